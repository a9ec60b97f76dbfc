"""Status of a signal and the codes that explain it (docs/signal.md section 7)."""

from __future__ import annotations

from typing import Literal, TypeAlias

from service.model import Readings

Status: TypeAlias = Literal["ok", "warming", "degraded", "no_data"]

LARGEST_WINDOW = "1h"
LEAST_COVERAGE = 0.8


def judge(readings: Readings) -> tuple[Status, list[str]]:
    """The first of no_data, warming, degraded that holds, else ok; and its reason codes in fixed order."""
    sample = readings.consensus
    trouble = list(sample.trouble)
    if not sample.quorum:
        return "no_data", ["quorum", *trouble]
    ready = any(window.ready for window in readings.windows if window.name == LARGEST_WINDOW)
    warming = [] if ready else [f"warming:{LARGEST_WINDOW}"]
    if not readings.statistics_ready:
        warming.append("warming:statistics")
    if warming:
        return "warming", warming + trouble
    if sample.coverage < LEAST_COVERAGE:
        trouble = ["coverage", *trouble]
    return ("degraded" if trouble else "ok"), trouble
