"""What an indicator of the library costs: a table of microseconds an update and bytes of a full instance."""

from __future__ import annotations

import gc
import inspect
import random
import statistics
import time
import tracemalloc
from typing import Any

from rich.console import Console
from rich.table import Table

from service.research.indicators import REGISTRY
from service.research.indicators.contract import Indicator

T0 = 1_763_683_200_000
MINUTE_MS = 60_000
MONTH_MINUTES = 30 * 1_440
TIMED = 2_000
ROUNDS = 7


def step_of(kind: type[Indicator[Any]]) -> int:
    """The spacing of updates that fills every slot of its window."""
    step = inspect.signature(kind).parameters.get("step_ms")
    return MINUTE_MS if step is None else int(step.default)


def full_after(kind: type[Indicator[Any]], name: str) -> int:
    """Updates until it holds all that it ever will: its window and a tenth more, or the days it ranks among."""
    window = inspect.signature(kind).parameters.get("window_ms")
    if window is not None:
        return int(window.default) // step_of(kind) * 12 // 10 + 10
    return {"percentile_30d": MONTH_MINUTES + 2 * 1_440, "robust_z": 2 * 1_440}.get(name, 100)


def series(made: Indicator[Any], count: int, rng: random.Random) -> list[tuple[float, ...]]:
    return [
        tuple((rng.random() - 0.5) * 1e-3 if item.signed else 1e3 * (1 + 0.01 * rng.random()) for item in made.inputs)
        for _ in range(count)
    ]


def _filled(kind: type[Indicator[Any]], name: str) -> tuple[Indicator[Any], int]:
    made, t_ms, step_ms, rng = kind(), T0, step_of(kind), random.Random(1)
    for _ in range(full_after(kind, name)):
        t_ms += step_ms
        made.update(t_ms, series(made, 1, rng)[0])
    return made, t_ms


def full_bytes(kind: type[Indicator[Any]], name: str) -> int:
    """Of all that the instance holds, by tracemalloc: every allocation of Python's, array buffers too."""
    _filled(kind, name)  # what the first one leaves in caches is not the second one's
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        made, _ = _filled(kind, name)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] - before
        assert made.ready, name
        return held
    finally:
        tracemalloc.stop()


def library_table(console: Console, quick: bool) -> None:
    filled = {name: _filled(kind, name) for name, kind in REGISTRY.items()}
    update_us: dict[str, list[float]] = {name: [] for name in REGISTRY}
    value_us: dict[str, list[float]] = {name: [] for name in REGISTRY}
    times = {name: t_ms for name, (_, t_ms) in filled.items()}
    for _ in range(1 if quick else ROUNDS):
        for name, (made, _) in filled.items():
            step_ms, rows, at = step_of(REGISTRY[name]), series(made, TIMED, random.Random(2)), times[name]
            begin = time.thread_time()
            for number, row in enumerate(rows, 1):
                made.update(at + number * step_ms, row)
            update_us[name].append((time.thread_time() - begin) / TIMED * 1e6)
            times[name] = at + TIMED * step_ms
            begin = time.thread_time()
            for _ in range(20):
                made.value  # noqa: B018
            value_us[name].append((time.thread_time() - begin) / 20 * 1e6)
    table = Table(
        "indicator", "usual window", "us an update", "us a value", "bytes, full",
        title="indicator library: an update that opens a new slot, on a full window",
    )  # fmt: skip
    for name, kind in REGISTRY.items():
        table.add_row(
            name, kind.ABOUT.window.split(";")[0], f"{statistics.median(update_us[name]):.2f}",
            f"{statistics.median(value_us[name]):.1f}", f"{full_bytes(kind, name):,}",
        )  # fmt: skip
    console.print(table)
