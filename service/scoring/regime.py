"""Flush, reset, regime and fragility (docs/signal.md section 7)."""

from __future__ import annotations

from math import exp, log
from typing import Any

from service.model import LevelReading, Readings, WindowReading
from service.state import Stateful
from service.statistics import fold

# (window, largest d_w): a fall of open interest that only forced closing explains, on the 7-day scale.
FLUSH_FALLS = (("1h", log(0.975)), ("5m", log(0.98)))
FLUSH_Z_OI = -3.0
FLUSH_Z_RETURN = 2.0
RESET_LONGEST_MS = 72 * 3_600_000
FORCED_SHARE = 0.1  # of the coins that fell: what venues report is a lower bound
CROWDED_PERCENTILE = 0.8
CROWDED_Z = 2.0
BUILDING_CHANGE = log(1.03)


def falls(readings: Readings) -> list[float]:
    """d_w of the windows in which open interest is being flushed now; empty: no flush. Unknown is no flush."""
    if not readings.consensus.quorum:
        return []
    return [
        window.oi_change
        for name, least in FLUSH_FALLS
        for window in readings.windows
        if window.name == name and _flushed(window, least) and window.oi_change is not None
    ]


def _flushed(window: WindowReading, least: float) -> bool:
    change, z_oi, z_return = window.oi_change, window.slow_z_oi, window.slow_z_return
    if not window.ready or change is None or z_oi is None or z_return is None:
        return False
    return change <= least and z_oi <= FLUSH_Z_OI and abs(z_return) >= FLUSH_Z_RETURN


class Flush(Stateful):
    """A flush while it lasts, then the reset: until half the fall is regained, at most 72 h.

    Heights are of ln oi_index. A flush that begins during a reset replaces it. ``forced``: whether liquidations account
    for this flush, or the last one; None: no venue that would tell was heard.
    """

    STATE = ("_ended", "_peak", "_since", "_trough", "flushing", "forced", "resetting")
    __slots__ = STATE

    def __init__(self) -> None:
        self.flushing = False
        self.resetting = False
        self._peak = 0.0
        self._trough = 0.0
        self._ended = 0
        self._since = 0  # first tick of the flush
        self.forced: bool | None = None

    def update(self, readings: Readings) -> None:
        height = readings.consensus.ln_oi_index
        fired = falls(readings)
        if fired:
            if not self.flushing:
                self._peak = max(height - fall for fall in fired)
                self._trough = height
                self._since, self.forced = readings.ts, None
            if self.forced is not True:
                self.forced = _forced(readings, min(fired))
            self._trough = min(self._trough, height)
            self.flushing, self.resetting = True, False
            return
        if self.flushing:
            self.flushing, self.resetting, self._ended = False, True, readings.ts
        if self.resetting:
            regained = height >= (self._peak + self._trough) / 2
            self.resetting = not regained and readings.ts - self._ended <= RESET_LONGEST_MS

    def told(self) -> dict[str, Any] | None:
        """The ``flush`` of the message: None unless one is under way."""
        return {"since": self._since, "forced": self.forced} if self.flushing else None

    def reanchor(self, shift_ms: int) -> None:
        self._ended += shift_ms
        self._since += shift_ms


def _forced(readings: Readings, fall: float) -> bool | None:
    """Whether the liquidations of the last hour come to a tenth of the coins that went with the log change ``fall``."""
    coins = readings.consensus.oi_coins
    assert coins is not None  # a fall is only seen with quorum
    hour = next(window for window in readings.windows if window.name == "1h")
    if hour.liquidated_long_coins is not None and hour.liquidated_short_coins is not None:
        liquidated, left = hour.liquidated_long_coins + hour.liquidated_short_coins, exp(fall)
        # Of coins / left there were, coins * (1 - left) / left are gone; both sides times left: no fall is too deep.
        if liquidated * left >= FORCED_SHARE * (1.0 - left) * coins:
            return True
    return False if readings.liquidations_heard else None


def regime(readings: Readings, flush: Flush) -> str | None:
    """The first that holds; None without quorum, or without a percentile of leverage (flush and reset excepted)."""
    if not readings.consensus.quorum:
        return None
    if flush.flushing:
        return "flush"
    if flush.resetting:
        return "reset"
    percentile, funding_z, change = readings.elr.percentile, readings.funding.z, readings.change_24h
    if percentile is None:
        return None
    if percentile >= CROWDED_PERCENTILE:
        if funding_z is not None and funding_z >= CROWDED_Z:
            return "crowded_longs"
        if funding_z is not None and funding_z <= -CROWDED_Z:
            return "crowded_shorts"
        return "loaded"
    return "building" if change is not None and change >= BUILDING_CHANGE else "calm"


def fragility(readings: Readings) -> float | None:
    """Mean percentile of leverage, abs(funding) and volatility, in [0, 1].

    It ranks the chance of a deep fall of open interest within a day; it is no forecast of volatility, of a direction or
    of the flush label (docs/evidence.md). None unless all three are known.
    """
    if not readings.consensus.quorum:
        return None
    return _mean_rank(readings.elr, readings.funding_abs, readings.volatility)


def fragility_2(readings: Readings) -> float | None:
    """Mean percentile of leverage and volatility, in [0, 1]: without the rank of funding, which ranks nothing by itself
    (docs/evidence.md). None unless both are known."""
    return _mean_rank(readings.elr, readings.volatility) if readings.consensus.quorum else None


def _mean_rank(*levels: LevelReading) -> float | None:
    ranks = [level.percentile for level in levels if level.percentile is not None]
    return fold(ranks) / len(ranks) if len(ranks) == len(levels) else None
