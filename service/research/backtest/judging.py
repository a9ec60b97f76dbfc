"""What a report may say of a number: every test counted, and probabilities judged on what they were not fitted on.

A p-value means nothing without how many were looked at. Walk-forward: fitted on the past, with an embargo, judged on
what came after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from service.research.backtest.measures import (
    LEAST,
    LEVEL,
    Bools,
    Estimate,
    Floats,
    Ints,
    benjamini_hochberg,
    brier,
    logistic,
    mean,
    reliability,
)

NOTHING = {"value": None, "low": None, "high": None, "p": None, "n": 0}
FOLDS = 5  # the first is only learned from


def plain(estimate: Estimate | None) -> dict[str, Any]:
    """An estimate as the report has it, its test counted nowhere."""
    return dict(NOTHING) if estimate is None else asdict(estimate)


class Trials:
    """The tests of a report in the order in which they were made."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._p: list[float] = []

    def told(self, name: str, estimate: Estimate | None) -> dict[str, Any]:
        """An estimate as the report has it; its test is counted under ``name``."""
        if estimate is not None and estimate.p is not None:
            self._names.append(name)
            self._p.append(estimate.p)
        return plain(estimate)

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


def walk_forward(x: Floats, happened: Bools, ts: Ints, horizon_s: int) -> tuple[Ints, Floats, Floats]:
    """(positions, forecast, climatology) of the ticks after the first fold, in time order.

    For each fold the logistic curve and the base rate are learned from ticks whose outcome was over one more horizon
    (the embargo) before the fold began. A fold with too little to learn from, or with nothing that happened, is left
    out.
    """
    positions: list[Ints] = []
    forecasts: list[Floats] = []
    rates: list[Floats] = []
    for fold in np.array_split(np.arange(len(x)), FOLDS)[1:]:
        if len(fold) == 0:
            continue
        train = np.flatnonzero(ts <= ts[fold[0]] - 2 * horizon_s * 1_000)
        if len(train) < LEAST or not 0 < happened[train].sum() < len(train):
            continue
        intercept, slope = logistic(x[train], happened[train])
        positions.append(fold)
        forecasts.append(1 / (1 + np.exp(-np.clip(intercept + slope * x[fold], -30, 30))))
        rates.append(np.full(len(fold), happened[train].mean()))
    if not positions:
        return np.array([], dtype=np.int64), np.array([]), np.array([])
    return np.concatenate(positions), np.concatenate(forecasts), np.concatenate(rates)


def judged(
    name: str, x: Floats, happened: Bools, ts: Ints, horizon_s: int, step_s: int, trials: Trials
) -> dict[str, Any] | None:
    """Brier score against climatology, its skill, the difference with Newey-West errors (below 0: better), and the
    reliability curve. None where nothing could be learned, or nothing happened."""
    at, forecast, rate = walk_forward(x, happened, ts, horizon_s)
    was = happened[at]
    if len(at) < LEAST or not 0 < was.sum() < len(was):
        return None
    score, reference = brier(forecast, was), brier(rate, was)
    difference = mean((forecast - was) ** 2 - (rate - was) ** 2, horizon_s // step_s)
    return {
        "n": len(at),
        "happened": float(was.mean()),
        "brier": score,
        "brier_climatology": reference,
        "skill": 1 - score / reference if reference > 0 else None,
        "difference": trials.told(f"{name}: Brier against climatology", difference),
        "reliability": reliability(forecast, was, overlap=horizon_s // step_s),
    }
