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
# Where open interest or the price moves much anyway no hour stands out; a fall over four hours does (docs/flush.md).
FLUSH_FALL_4H = log(0.94)
FLUSH_VOLATILITY = 0.025  # per day, at least: open interest that is moved elsewhere moves no price
FALLING_Z = -1.0  # a fall by more than this on the 7-day scale is still under way
FLUSH_PAUSE_MS = 900_000  # ticks around a threshold are one flush
HOUR_MS = 3_600_000
RESET_LONGEST_MS = 72 * HOUR_MS
FORCED_SHARE = 0.1  # of the coins that fell: what venues report is a lower bound
CROWDED_PERCENTILE = 0.8
FIRM_H = 168  # hours behind a rank, below which what rests on it is provisional
CROWDED_Z = 2.0
BUILDING_CHANGE = log(1.03)


def falls(readings: Readings) -> list[float]:
    """Log changes of open interest (1h, 5m, 4h) that are a flush at this tick; empty: none. Unknown is no flush."""
    slow = _slow_fall(readings)
    return _quick_falls(readings) + ([] if slow is None else [slow])


def _quick_falls(readings: Readings) -> list[float]:
    """d_w of the windows that stand out by themselves."""
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


def _slow_fall(readings: Readings) -> float | None:
    """The change over four hours, if it is deep, the last hour is part of it, and the day's prices moved much."""
    change, volatility, hour_z = readings.change_4h, readings.volatility.value, _oi_z(readings, "1h")
    if not readings.consensus.quorum or change is None or volatility is None or hour_z is None:
        return None
    return change if change <= FLUSH_FALL_4H and hour_z <= FALLING_Z and volatility >= FLUSH_VOLATILITY else None


def _oi_z(readings: Readings, name: str) -> float | None:
    """The change of open interest over a window on the 7-day scale; None where it is not known."""
    window = next(window for window in readings.windows if window.name == name)
    return window.slow_z_oi if window.ready and window.oi_change is not None else None


class Flush(Stateful):
    """A flush while it lasts, then the reset: until half the fall is regained, at most 72 h.

    A flush begins at the first tick of a fall (:func:`falls`) and lasts until there was none for a quarter of an hour.
    Heights are of ln oi_index. A flush that begins during a reset replaces it. ``forced``: whether liquidations account
    for this flush, or the last one; None: no venue that would tell was heard.
    """

    STATE = ("_ended", "_fell", "_fired", "_peak", "_since", "_trough", "_trough_at", "flushing", "forced", "resetting")
    LATER = frozenset({"_fell", "_fired", "_trough_at"})
    __slots__ = STATE

    def __init__(self) -> None:
        self.flushing = False
        self.resetting = False
        self._peak = 0.0
        self._trough = 0.0
        self._trough_at = 0
        self._ended = 0
        self._since = 0  # first tick of the flush
        self._fired = 0  # last tick of a fall
        self._fell: int | None = None  # last tick at which it was falling
        self.forced: bool | None = None

    def update(self, readings: Readings) -> None:
        height, ts = readings.consensus.ln_oi_index, readings.ts
        fired = falls(readings)
        if fired:
            if not self.flushing:
                self._peak = max(height - fall for fall in fired)
                self._trough, self._trough_at = height, ts
                self._since, self.forced = ts, None
            if self.forced is not True:
                self.forced = _forced(readings)
            self._fired = ts
            self.flushing, self.resetting = True, False
        elif self.flushing and ts - self._fired >= FLUSH_PAUSE_MS:
            self.flushing, self.resetting, self._ended = False, True, ts
        if self.flushing:
            if height < self._trough:
                self._trough, self._trough_at = height, ts
            if self.falling(readings):
                self._fell = ts
        if self.resetting:
            regained = height >= (self._peak + self._trough) / 2
            self.resetting = not regained and ts - self._ended <= RESET_LONGEST_MS

    def told(self) -> dict[str, Any] | None:
        """The ``flush`` of the message: None unless one lasts."""
        return {"since": self._since, "forced": self.forced} if self.flushing else None

    def falling(self, readings: Readings) -> bool | None:
        """Whether the fall is under way at the tick of the last :meth:`update`: a flush lasts, and within the shorter
        window that is known (5m, else 1h) open interest fell by more than its 7-day scale and reached the lowest of
        this flush. None while neither window is known."""
        if not readings.consensus.quorum:
            return None
        for name, window_ms in (("5m", 300_000), ("1h", HOUR_MS)):
            z = _oi_z(readings, name)
            if z is not None:
                return self.flushing and z <= FALLING_Z and readings.ts - self._trough_at < window_ms
        return None

    def flushed_1h(self, readings: Readings) -> bool | None:
        """Whether it was :meth:`falling` at a tick of the last hour, (T-1h, T]. None where that hour is not known."""
        if self._fell is not None and readings.ts - self._fell < HOUR_MS:
            return True
        known = readings.consensus.quorum and _oi_z(readings, "1h") is not None
        return False if known else None

    def reanchor(self, shift_ms: int) -> None:
        self._ended += shift_ms
        self._since += shift_ms
        self._fired += shift_ms
        self._trough_at += shift_ms
        if self._fell is not None:
            self._fell += shift_ms


def _forced(readings: Readings) -> bool | None:
    """Whether the liquidations of the last hour come to a tenth of the coins that went within it: by the larger of the
    quick falls, or by the hour's own change where only the four hours are a flush."""
    coins = readings.consensus.oi_coins
    assert coins is not None  # a fall is only seen with quorum
    hour = next(window for window in readings.windows if window.name == "1h")
    fall = min(_quick_falls(readings), default=hour.oi_change)
    assert fall is not None  # no flush without the change of the hour
    if hour.liquidated_long_coins is not None and hour.liquidated_short_coins is not None:
        liquidated, left = hour.liquidated_long_coins + hour.liquidated_short_coins, exp(min(fall, 0.0))
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


def provisional(level: LevelReading) -> bool:
    """Whether a rank has less than a week behind it. Ranks of a day call three times as much extreme as those of a
    month (docs/evidence.md)."""
    return not level.reaches(FIRM_H)


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
