"""Walk-forward probabilities: fitted on the past, with an embargo, judged on what came after."""

from __future__ import annotations

from typing import Any

import numpy as np

from service.research.backtest.measures import LEAST, Bools, Floats, Ints, brier, logistic, mean, reliability
from service.research.backtest.trials import Trials

FOLDS = 5  # the first is only learned from


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
