"""What the state of a symbol weighs, part by part: young as it runs, and full after a month.

In a fresh process for each size: tracemalloc counts what Python's allocators gave out (array buffers too) and not what
they keep in reserve, so that parts can be told apart by letting go of one after the other; beside it, in a process of
its own without tracing, by how much the resident size grew: what a machine must have. Linux only.

Full: a month through the engine would take hours at 500 symbols. So a few symbols are filled: 30 days by back-filled
samples of ten minutes (the minutes in between hold, as the engine does it), a day by minutes and 70 minutes live at
1 Hz, published, so that an hour of outcomes is open; a day of ranks by the strengths' own ``update``; 2,000 pairs a
horizon by the scoreboard's own ``settle``, a day of open probabilities by its own ``take``. Bytes a symbol are the
slope over the sizes; what is said of more symbols is that line drawn out.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import resource
import subprocess
import sys
import tracemalloc
from math import log
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.market import START_MS, events, symbols, warm_engine
from service.config import Config
from service.core.build import rules_of
from service.core.engine import Engine
from service.deleveraging import packaged
from service.scoreboard import HORIZONS, Outcome

PARTS = ("scoreboard", "learner", "scorers", "indicators", "market")
FULL_SIZES = (1, 2, 4)
DAY_MINUTES = 1_440
PAIRS = 2_100  # more than the ring of 2,000 holds


def full_engine(count: int) -> Engine:
    config = Config()
    names, venues = symbols(count), config.venues.enabled()
    engine, rng, ts = Engine(names, rules_of(config), config.market, []), random.Random(1), START_MS

    def hear() -> None:
        for event in events(names, venues, ts, rng):
            engine.apply(event)

    for _ in range(30 * DAY_MINUTES // 10):
        ts += 600_000
        hear()
        engine.backfill(ts, silent=True, step_s=600)
    for _ in range(DAY_MINUTES):
        ts += 60_000
        hear()
        engine.backfill(ts, silent=True)
    for _ in range(70 * 60):
        ts += 1_000
        hear()
        for tick in engine.advance(ts):
            engine.published(tick)
    for name in names:
        for strength in engine.scorers[name]._strengths:  # a day of live ticks, six times as many as minutes
            for number in range(DAY_MINUTES * 6):
                strength.update(rng.random() - 0.5, ts + (number + 1) * 10_000, False)
        falls = engine.scoreboard._boards[name].open_falls
        for minute in range(DAY_MINUTES):
            falls.take(ts - (DAY_MINUTES - minute) * 60_000, None, 0.0, (0.2, 0.04, 0.19, 0.037), 0.03, packaged())
        for number, (horizon, ms) in enumerate(HORIZONS):
            for back in range(PAIRS, 0, -1):
                then, price = ts - back * ms, 100.0 * (1 + 0.01 * rng.random())
                ret, score = log(price / 100.0), rng.random() - 0.5
                engine.scoreboard._boards[name].settle(
                    number,
                    Outcome(name, horizon, then, then + ms, score, "long", 0.5, 100.0, price, ret, ret > 0, True, True),
                )
    hour = ts // 3_600_000 * 3_600_000
    engine.learner.take(hour, {name: scorer.experts() for name, scorer in engine.scorers.items()})
    return engine


def weigh(count: int, full: bool, trace: bool) -> dict[str, int]:
    """In a process of its own: bytes of each part by tracemalloc, or the growth of the resident size."""
    before = _resident()
    if trace:
        tracemalloc.start()
    engine = full_engine(count) if full else warm_engine(count, 90)[0]
    engine.samples, engine.matured = [], []
    gc.collect()
    if not trace:
        return {"resident": _resident() - before}
    found = {}
    for part in PARTS:
        held = tracemalloc.get_traced_memory()[0]
        delattr(engine, part)
        gc.collect()
        found[part] = held - tracemalloc.get_traced_memory()[0]
    return found


def _resident() -> int:
    """Bytes of this process in memory now. (The peak that getrusage tells is inherited from the parent.)"""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _apart(count: int, full: bool, trace: bool) -> dict[str, int]:
    options = [flag for flag, on in (("--full", full), ("--trace", trace)) if on]
    command = [sys.executable, "-m", "bench.memory", str(count), *options]
    found: dict[str, int] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def slope(sizes: list[int], values: list[int]) -> tuple[float, float]:
    """Least squares: what each more costs, and what is there with none."""
    n = len(sizes)
    mean_x, mean_y = sum(sizes) / n, sum(values) / n
    each = sum((x - mean_x) * (y - mean_y) for x, y in zip(sizes, values, strict=True)) / sum(
        (x - mean_x) ** 2 for x in sizes
    )
    return each, mean_y - each * mean_x


def memory_tables(console: Console, sizes: list[int], quick: bool) -> None:
    full_sizes = [1, 2] if quick else list(FULL_SIZES)
    for title, full, of in (("young: 90 min back-filled, 2 min live", False, sizes), ("full", True, full_sizes)):
        found = {size: _apart(size, full, True) | _apart(size, full, False) for size in of}
        table = Table(
            "part", *(f"{size} symbols kB" for size in of), "kB a symbol (slope)", "rest kB",
            "21 symbols MB", "500 symbols MB",
            title=f"memory, {title}; the last two columns are the line drawn out",
        )  # fmt: skip
        for size in of:
            found[size]["all parts"] = sum(found[size][part] for part in PARTS)
        for part in (*PARTS, "all parts", "resident"):
            values = [found[size][part] for size in of]
            each, rest = slope(of, values)
            table.add_row(
                part, *(f"{value / 1e3:,.0f}" for value in values), f"{each / 1e3:,.1f}", f"{rest / 1e3:,.0f}",
                f"{(rest + 21 * each) / 1e6:,.1f}", f"{(rest + 500 * each) / 1e6:,.0f}",
            )  # fmt: skip
        console.print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--trace", action="store_true")
    options = parser.parse_args()
    print(json.dumps(weigh(options.count, options.full, options.trace)))
