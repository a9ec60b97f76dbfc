"""What the learned weights would have done on recorded hours: `python -m bench.weights_history FOLDER`.

FOLDER holds hourly files ``tardis_binance_BTCUSDT_derivative_ticker_1h_*.csv.gz`` (time_utc, open_interest_btc,
index_price, mark_price, funding_rate: values as of the hour). The components, the gate, the fixed formula, the loss and
the learner are the product's own. Coarser data cannot feed its windows, so that their inputs are made here, from what
was known at each hour only:

* z of the return and of the change of open interest over an hour: over the root of an exponentially weighted mean
  square with a half-life of 24 h, as known at the hour before (the product: 10 s changes, half-life 1 h);
* z of premium, funding and the level of open interest: robust, over the 168 hours before (the product: 1,440 minutes).

``divergence`` needs several venues and sleeps throughout. Everything restarts at a hole in the data, the weights go on.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import math
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from service.config import WeightsSection
from service.learning import Learner
from service.learning.hedge import label, loss
from service.model import Consensus, LevelReading, Readings, WindowReading
from service.scoring import COMPONENT_IDS
from service.scoring.composite import gate, score_window
from service.statistics import EwMeanSquare, robust_z

PATTERN = "tardis_binance_BTCUSDT_derivative_ticker_1h_*.csv.gz"
HOUR_MS = 3_600_000
HALF_LIFE_S = 24 * 3600
LEVEL_HOURS, LEAST_HOURS = 168, 60
LEAST_UPDATES = 60
FLOORS = {"funding": 1e-5, "premium": 1e-5, "elr": 1e-3}
UNKNOWN = LevelReading(None, None, None, 0, 0)


@dataclass(frozen=True, slots=True)
class Hour:
    """One row: values as of ``ts``."""

    ts: int
    mark: float
    index: float
    coins: float
    funding: float


def hours(path: Path) -> list[Hour]:
    text = io.StringIO(gzip.decompress(path.read_bytes()).decode())
    return [
        Hour(
            int(datetime.strptime(row["time_utc"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()) * 1000,
            float(row["mark_price"]),
            float(row["index_price"]),
            float(row["open_interest_btc"]),
            float(row["funding_rate"]),
        )
        for row in csv.DictReader(text)
    ]


@dataclass
class Level:
    """Robust z over the hours before."""

    floor: float
    past: deque[float] = field(default_factory=lambda: deque(maxlen=LEVEL_HOURS))

    def read(self, value: float) -> LevelReading:
        z = None
        if len(self.past) >= LEAST_HOURS:
            middle = median(self.past)
            z = robust_z(value, middle, median([abs(x - middle) for x in self.past]), self.floor)
        self.past.append(value)
        return LevelReading(value, z, None, len(self.past), LEVEL_HOURS)


class Inputs:
    """Readings of each hour, from it and what was before."""

    def __init__(self) -> None:
        self._levels = {name: Level(floor) for name, floor in FLOORS.items()}
        self._returns = EwMeanSquare(HALF_LIFE_S, 3600)
        self._changes = EwMeanSquare(HALF_LIFE_S, 3600)
        self._before: Hour | None = None

    def read(self, hour: Hour) -> Readings:
        before, self._before = self._before, hour
        z_return = z_oi = ret = change = None
        if before is not None:
            ret, change = math.log(hour.mark / before.mark), math.log(hour.coins / before.coins)
            if self._returns.n >= LEAST_UPDATES:
                z_return = ret / max(1e-5, math.sqrt(self._returns.value))
                z_oi = change / max(1e-6, math.sqrt(self._changes.value))
            self._returns.update(ret * ret)
            self._changes.update(change * change)
        window = WindowReading("1h", 3600, before is not None, ret, change, z_return, z_oi, None, None)
        sample = Consensus(
            symbol="BTC", ts=hour.ts, step_s=1, quorum=True, price=hour.mark, index=hour.index, funding_8h=hour.funding,
            funding_spend=None, funding_spread=None, funding_outlier_sign=0, oi_coins=hour.coins,
            ln_oi_index=math.log(hour.coins), oi_receipts=3, full_set=True, coverage=1.0, freshness=1.0, as_of=hour.ts,
            trouble=(), excluded=(), venues_total=1, venues=(),
        )  # fmt: skip
        return Readings(
            symbol="BTC", ts=hour.ts, consensus=sample, windows=(window,),
            elr=self._levels["elr"].read(math.log(hour.coins)), funding=self._levels["funding"].read(hour.funding),
            funding_abs=UNKNOWN, premium=self._levels["premium"].read(hour.mark / hour.index - 1.0), spread=UNKNOWN,
            volatility=UNKNOWN, spend=UNKNOWN, change_24h=None, continuity=1.0, statistics_ready=True,
        )  # fmt: skip


def rounds(files: Sequence[Path]) -> Iterator[tuple[int, float | None, dict[str, float | None]]]:
    """(hour, z of the return that ends at it, what the experts say at it) over all files."""
    for path in files:
        inputs = Inputs()
        last: int | None = None
        for hour in hours(path):
            if last is not None and hour.ts != last + HOUR_MS:
                inputs = Inputs()
            last = hour.ts
            readings = inputs.read(hour)
            scored = score_window(readings.windows[0], readings, gate(readings.elr.z))
            said = {part.id: judged.score for part, judged in scored.judged} | {"static": scored.static}
            yield hour.ts, readings.windows[0].z_return, said


def learn(files: Sequence[Path]) -> tuple[Learner, list[tuple[dict[str, float | None], float]]]:
    """The learner after all files, and each round it learned from: what was said and the label."""
    learner = Learner(("BTC",), COMPONENT_IDS, WeightsSection())
    made: list[tuple[dict[str, float | None], float]] = []
    waiting: tuple[int, dict[str, float | None]] | None = None
    for ts, z, said in rounds(files):
        learner.mature(ts, {"BTC": {"1h": z}})
        if waiting is not None and ts == waiting[0] + HOUR_MS and z is not None:
            made.append((waiting[1], label(z)))
        learner.take(ts, {"BTC": {"1h": said}})
        waiting = (ts, said) if any(score is not None for score in said.values()) else None
    return learner, made


def edge(made: Sequence[tuple[dict[str, float | None], float]], expert: str) -> tuple[int, float, float]:
    """Rounds awake, mean of score * label, and its standard error with a Newey-West window of 24 hours."""
    gains = [said[expert] * y for said, y in made if said[expert] is not None]  # type: ignore[operator]
    if len(gains) < 2:
        return len(gains), 0.0, 0.0
    n = len(gains)
    mean = math.fsum(gains) / n
    off = [gain - mean for gain in gains]
    variance = math.fsum(x * x for x in off)
    for lag in range(1, min(24, n - 1) + 1):
        variance += 2.0 * (1.0 - lag / 25.0) * math.fsum(a * b for a, b in zip(off, off[lag:], strict=False))
    return n, mean, math.sqrt(max(variance, 0.0)) / n


def summary(files: Sequence[Path]) -> dict[str, Any]:
    learner, made = learn(files)
    window = learner.report()["groups"]["all"]["windows"]["1h"]
    return {**window, "edges": {name: edge(made, name) for name in (*COMPONENT_IDS["1h"], "static")}}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.weights_history", description=__doc__)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    files = sorted(options.folder.glob(PATTERN))
    if not files:
        sys.exit(f"no {PATTERN} in {options.folder}")
    for chosen in [[path] for path in files] + ([files] if len(files) > 1 else []):
        found = summary(chosen)
        print(f"{' + '.join(path.name for path in chosen)}: {found['rounds']} rounds")
        for name, share in found["shares"].items():
            n, mean, error = found["edges"].get(name, (found["rounds"], 0.0, 0.0))
            print(
                f"  {name:12} share {share:.3f}  awake {n:5}  mean score*label {mean:+.5f} +- {1.96 * error:.5f}  "
                f"gain a round {found['gains'][name]:+.5f}"
            )
        print(
            f"  the mixture: gain a round {found['gain']:+.5f}, loss {found['loss']:.5f} (zero: {loss(0.0, 0.0):.5f})"
        )
        for entry in found["regret"]:
            print(f"  {entry['switches']} switches: regret {entry['measured']:8.3f}, bound {entry['bound']:8.2f}")


if __name__ == "__main__":
    main()
