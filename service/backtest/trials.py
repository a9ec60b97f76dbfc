"""Every test that was made, counted: a p-value means nothing without how many were looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from service.backtest.measures import LEVEL, Estimate, benjamini_hochberg

NOTHING = {"value": None, "low": None, "high": None, "p": None, "n": 0}


class Trials:
    """The tests of a report in the order in which they were made."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._p: list[float] = []

    def told(self, name: str, estimate: Estimate | None) -> dict[str, Any]:
        """An estimate as the report has it; its test is counted under ``name``."""
        if estimate is None:
            return dict(NOTHING)
        if estimate.p is not None:
            self._names.append(name)
            self._p.append(estimate.p)
        return asdict(estimate)

    def summary(self) -> dict[str, Any]:
        """How many tests, how many below 5 % as they are, how many that chance alone would give, and what is left."""
        corrected = benjamini_hochberg(self._p)
        found = sorted(zip(self._names, self._p, corrected, strict=True), key=lambda row: row[1])
        return {
            "tests": len(found),
            "below_5_percent": sum(p < LEVEL for p in self._p),
            "expected_by_chance": LEVEL * len(found),
            "left_after_benjamini_hochberg": [name for name, _, q in found if q < LEVEL],
            "rows": [{"test": name, "p": p, "p_corrected": q} for name, p, q in found],
        }


def together(summaries: Sequence[dict[str, Any]]) -> None:
    """Several files are looked at in one go: each summary also gets what is left when all their tests are corrected
    as one family, as ``over_all_files``."""
    corrected = iter(benjamini_hochberg([row["p"] for told in summaries for row in told["rows"]]))
    tests = sum(told["tests"] for told in summaries)  # integers
    for told in summaries:
        left = [row["test"] for row, q in zip(told["rows"], corrected, strict=False) if q < LEVEL]
        told["over_all_files"] = {"tests": tests, "left_after_benjamini_hochberg": left}
