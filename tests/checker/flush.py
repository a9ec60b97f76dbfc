"""Flush, whether it falls now, whether it did within the hour, and the reset after it (docs/signal.md section 7)."""

from __future__ import annotations

import math
from typing import Any

from .consensus import Sample
from .history import DAY, HOUR, S, Window

FORCED_SHARE = 0.10
FALL_1H, FALL_5M, FALL_4H = math.log(0.975), math.log(0.98), math.log(0.94)
RESTLESS = 0.025  # the day's realised volatility that the four-hour fall asks for
PAUSE_MS = 900 * S
RESET_MS = 72 * HOUR


class Flush:
    """What one symbol's flush remembers from tick to tick. ``said``: `flush` of the message, ``since`` and ``forced``.

    ``causes``: what fired at the last tick, of "1h", "5m", "4h"; for the scenarios, which must meet each.
    """

    def __init__(self) -> None:
        self.said: dict[str, Any] | None = None
        self.peak = self.trough = 0.0
        self.trough_at = self.fired_at = 0
        self.reset: dict[str, float] | None = None  # level to regain, ended
        self.fell_at: int | None = None  # the last tick at which it was falling
        self.causes: list[str] = []

    def of(
        self,
        sample: Sample,
        windows: dict[str, Window],
        change_4h: float | None,
        volatility: float | None,
        liquidated: float,
    ) -> None:
        """``liquidated``: coins of the last hour, as they were counted. The windows are blank without quorum."""
        ts, level = sample.ts, sample.ln_oi_index
        changes = self.fired(sample, windows, change_4h, volatility)
        self.causes = list(changes)
        if changes:
            if self.said is None:
                self.said = {"since": ts, "forced": None}
                self.peak = level - min(changes.values())
                self.trough, self.trough_at = level, ts
                self.reset = None
            self.fired_at = ts
        if self.said is None:
            self._follow_reset(ts, level)
            return
        if not changes and ts - self.fired_at >= PAUSE_MS:
            self.reset = {"regain": (self.peak + self.trough) / 2, "ended": ts}
            self.said = None
            self._follow_reset(ts, level)
            return
        if level < self.trough:
            self.trough, self.trough_at = level, ts
        if changes and self.said["forced"] is not True:
            of_windows = [changes[name] for name in ("1h", "5m") if name in changes]
            d_1h = windows["1h"].oi_change
            fall = min(of_windows) if of_windows else d_1h
            assert fall is not None
            self.said["forced"] = forced(sample, fall, liquidated, ts)

    def fired(
        self, sample: Sample, windows: dict[str, Window], change_4h: float | None, volatility: float | None
    ) -> dict[str, float]:
        """The changes that fire, by window."""
        found: dict[str, float] = {}
        if not sample.quorum:
            return found
        for name, fall in (("1h", FALL_1H), ("5m", FALL_5M)):
            window = windows[name]
            if window.oi_change is None or window.slow_z_oi is None or window.slow_z_return is None:
                continue
            if window.oi_change <= fall and window.slow_z_oi <= -3 and abs(window.slow_z_return) >= 2:
                found[name] = window.oi_change
        z_hour = windows["1h"].slow_z_oi
        if change_4h is None or z_hour is None or volatility is None:
            return found
        if change_4h <= FALL_4H and z_hour <= -1 and volatility >= RESTLESS:
            found["4h"] = change_4h
        return found

    def _follow_reset(self, ts: int, level: float) -> None:
        if self.reset is not None and (level >= self.reset["regain"] or ts - self.reset["ended"] > RESET_MS):
            self.reset = None

    def falling(self, sample: Sample, windows: dict[str, Window]) -> bool | None:
        """After :meth:`of` of the same tick."""
        known = [windows[name] for name in ("5m", "1h") if windows[name].slow_z_oi is not None]
        if not sample.quorum or not known:
            return None
        z = known[0].slow_z_oi
        assert z is not None
        lately = self.trough_at > sample.ts - known[0].seconds * S
        now = self.said is not None and z <= -1 and lately
        if now:
            self.fell_at = sample.ts
        return now

    def within_the_hour(self, sample: Sample, windows: dict[str, Window]) -> bool | None:
        """After :meth:`falling` of the same tick."""
        if self.fell_at is not None and sample.ts - self.fell_at < HOUR:
            return True
        return False if sample.quorum and windows["1h"].slow_z_oi is not None else None


def forced(sample: Sample, change: float, liquidated: float, ts: int) -> bool | None:
    """Whether liquidations account for a tenth of the coins that fell; None where nobody would tell."""
    assert sample.oi_coins is not None
    fell = (1 - math.exp(change)) * sample.oi_coins / math.exp(change)
    if liquidated >= FORCED_SHARE * fell:
        return True
    heard = sample.liquidation_at is not None and ts - sample.liquidation_at <= DAY
    return False if heard else None
