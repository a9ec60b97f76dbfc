"""What an indicator of the library costs: a table of microseconds an update and bytes of a full instance."""

from __future__ import annotations

import gc
import random
import statistics
import time
import tracemalloc
from typing import Any

from rich.console import Console
from rich.table import Table

from service.research.indicators import REGISTRY, About, Indicator

T0 = 1_763_683_200_000
MINUTE_MS = 60_000
MONTH_MINUTES = 30 * 1_440
TIMED = 2_000
ROUNDS = 7


def step_of(about: About) -> int:
    """The spacing of updates that fills every slot of its window."""
    return int(about.settings.get("step_ms", MINUTE_MS))


def full_after(about: About) -> int:
    """Updates until it holds all that it ever will: its window and a tenth more, or the days it ranks among."""
    if "window_ms" in about.settings:
        return int(about.settings["window_ms"]) // step_of(about) * 12 // 10 + 10
    return {"percentile_30d": MONTH_MINUTES + 2 * 1_440, "robust_z": 2 * 1_440}.get(about.id, 100)


def series(made: Indicator[Any], count: int, rng: random.Random) -> list[tuple[float, ...]]:
    return [
        tuple((rng.random() - 0.5) * 1e-3 if item.signed else 1e3 * (1 + 0.01 * rng.random()) for item in made.inputs)
        for _ in range(count)
    ]


def _filled(about: About) -> tuple[Indicator[Any], int]:
    made, t_ms, step_ms, rng = about(), T0, step_of(about), random.Random(1)
    for _ in range(full_after(about)):
        t_ms += step_ms
        made.update(t_ms, series(made, 1, rng)[0])
    return made, t_ms


def full_bytes(about: About) -> int:
    """Of all that the instance holds, by tracemalloc: every allocation of Python's, array buffers too."""
    _filled(about)  # what the first one leaves in caches is not the second one's
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        made, _ = _filled(about)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] - before
        assert made.ready, about.id
        return held
    finally:
        tracemalloc.stop()


def library_table(console: Console, quick: bool) -> None:
    filled = {name: _filled(about) for name, about in REGISTRY.items()}
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
    for name, about in REGISTRY.items():
        table.add_row(
            name, about.window.split(";")[0], f"{statistics.median(update_us[name]):.2f}",
            f"{statistics.median(value_us[name]):.1f}", f"{full_bytes(about):,}",
        )  # fmt: skip
    console.print(table)
