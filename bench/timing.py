"""Interleaved timing: every variant runs in every round, ratios are taken inside a round, their median counts."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping

ROUNDS = 15


def seconds(work: Callable[[], object], repeat: int) -> float:
    """Seconds per call of ``work`` over ``repeat`` calls."""
    gc.collect()
    gc.disable()
    try:
        begin = time.perf_counter()
        for _ in range(repeat):
            work()
        return (time.perf_counter() - begin) / repeat
    finally:
        gc.enable()


def interleaved(
    variants: Mapping[str, Callable[[], object]], repeat: int, rounds: int = ROUNDS
) -> dict[str, list[float]]:
    """Seconds per call of every variant, one entry a round."""
    results: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, work in variants.items():
            results[name].append(seconds(work, repeat))
    return results


def median_us(values: list[float]) -> float:
    return statistics.median(values) * 1e6


def ratio(floor: list[float], ours: list[float]) -> float:
    """Floor over ours, median of per-round ratios: 1 is as fast as the floor, 0.5 takes twice as long."""
    return statistics.median(a / b for a, b in zip(floor, ours, strict=True))
