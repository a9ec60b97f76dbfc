"""Taker flow and liquidations over windows (section 4 of docs/signal.md), from every counted amount there was."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right
from dataclasses import dataclass

from .consensus import Sample

S = 1000
FLOW_WINDOWS = {"1m": 60, "5m": 300}
ALPHA = 1 - 0.5 ** (10 / 3600)
READY = 60
FLOOR = 0.02
INTENSITY_SCALES = {"1m": 2e-4, "5m": 5e-4}


class Ledger:
    """Pairs of coins per venue and sample, counted while the venue was in V; nothing is kept of samples without any."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.rows: list[tuple[str, float, float]] = []

    def put(self, ts: int, amounts: dict[str, tuple[float, float]]) -> None:
        for venue, (first, second) in amounts.items():
            if first + second > 0:
                self.times.append(ts)
                self.rows.append((venue, first, second))

    def by_venue(self, ts: int, seconds: int) -> dict[str, tuple[float, float]]:
        """Sums of the samples in (ts - seconds, ts], of venues that had any."""
        sums: dict[str, tuple[float, float]] = {}
        low, high = bisect_right(self.times, ts - seconds * S), bisect_right(self.times, ts)
        for venue, first, second in self.rows[low:high]:
            before = sums.get(venue, (0.0, 0.0))
            sums[venue] = (before[0] + first, before[1] + second)
        return sums

    def total(self, ts: int, seconds: int) -> tuple[float, float]:
        """Over all venues, whether they are in V now or not."""
        sums = self.by_venue(ts, seconds).values()
        return sum(first for first, _ in sums), sum(second for _, second in sums)


def of_fresh(sums: dict[str, tuple[float, float]], fresh_oi: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Of the venues in V now; one whose OI is 0 weighs nothing and is left out."""
    return {venue: sums[venue] for venue in fresh_oi if venue in sums and fresh_oi[venue] > 0}


def tilt(sums: dict[str, tuple[float, float]], fresh_oi: dict[str, float]) -> float | None:
    """OI-weighted mean over the venues of (first - second) / (first + second); None if nothing was said."""
    weight = sum(fresh_oi[venue] for venue in sums)
    if weight == 0.0:
        return None
    weighted = sum(fresh_oi[venue] * (first - second) / (first + second) for venue, (first, second) in sums.items())
    return weighted / weight


def intensity(sums: dict[str, tuple[float, float]], fresh_oi: dict[str, float]) -> float | None:
    """Median over the venues of what was liquidated over its OI."""
    shares = [(first + second) / fresh_oi[venue] for venue, (first, second) in sums.items()]
    return statistics.median(shares) if shares else None


class TakerScale:
    """Mean square of one window's imbalance after each tick."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.states: list[tuple[int, float]] = []  # updates, mean square

    def update(self, ts: int, imbalance: float | None) -> None:
        updates, mean = self.states[-1] if self.states else (0, 0.0)
        if imbalance is not None:
            square = imbalance * imbalance
            mean = square if updates == 0 else (1 - ALPHA) * mean + ALPHA * square
            updates += 1
        self.times.append(ts)
        self.states.append((updates, mean))

    def z(self, imbalance: float | None, ts: int, seconds: int) -> float | None:
        """Over the scale as known at the latest tick at or before ``ts - seconds``."""
        i = bisect_right(self.times, ts - seconds * S) - 1
        if imbalance is None or i < 0:
            return None
        updates, mean = self.states[i]
        return imbalance / max(FLOOR, math.sqrt(mean)) if updates >= READY else None


@dataclass
class FlowReading:
    """One window at a tick. ``taker`` and ``liquidated`` as published; None where nothing was said."""

    taker: dict[str, float] | None = None
    z_taker: float | None = None
    liquidated: dict[str, float] | None = None
    imbalance: float | None = None  # of liquidations, + where shorts were bought back
    intensity: float | None = None


class Flows:
    """All that was traded and liquidated of one symbol."""

    def __init__(self) -> None:
        self.taker = Ledger()
        self.liquidated = Ledger()
        self.scales = {name: TakerScale() for name in FLOW_WINDOWS}

    def observe(self, sample: Sample) -> None:
        self.taker.put(sample.ts, sample.taker)
        self.liquidated.put(sample.ts, sample.liquidated)

    def update(self, sample: Sample) -> None:
        """Once per tick, with its sample; a back-filled minute updates nothing."""
        for name, seconds in FLOW_WINDOWS.items():
            sums = of_fresh(self.taker.by_venue(sample.ts, seconds), sample.fresh_oi)
            self.scales[name].update(sample.ts, None if sample.step_s == 60 else tilt(sums, sample.fresh_oi))

    def read(self, sample: Sample, name: str, seconds: int) -> FlowReading:
        """Of a window that is ready: in another one nothing is said."""
        made, ts, fresh_oi = FlowReading(), sample.ts, sample.fresh_oi
        if name not in FLOW_WINDOWS:
            made.liquidated = _liquidated(*self.liquidated.total(ts, seconds))
            return made
        traded = of_fresh(self.taker.by_venue(ts, seconds), fresh_oi)
        balance = tilt(traded, fresh_oi)
        if balance is not None:
            bought, sold = sum(pair[0] for pair in traded.values()), sum(pair[1] for pair in traded.values())
            made.taker = {"buy_coins": bought, "sell_coins": sold, "imbalance": balance}
            made.z_taker = self.scales[name].z(balance, ts, seconds)
        forced = of_fresh(self.liquidated.by_venue(ts, seconds), fresh_oi)
        made.liquidated = _liquidated(
            sum(pair[0] for pair in forced.values()), sum(pair[1] for pair in forced.values())
        )
        down = tilt(forced, fresh_oi)
        made.imbalance = None if down is None else -down
        made.intensity = intensity(forced, fresh_oi)
        return made


def _liquidated(longs: float, shorts: float) -> dict[str, float] | None:
    return {"long_coins": longs, "short_coins": shorts} if longs + shorts > 0 else None
