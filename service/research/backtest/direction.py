"""Does the score say where the price goes? The composite, its parts and two baselines, over horizons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from service.research.backtest.judging import Trials, judged
from service.research.backtest.measures import LEAST, Bools, Floats, hit_rate, information_coefficient, mean
from service.research.backtest.series import Series

HORIZONS_S = (60, 300, 3_600, 14_400, 86_400, 259_200, 604_800)
HOUR_S = 3_600
BASIS_POINTS = 1e4


def horizons(step_s: int) -> list[int]:
    """The horizons that a resolution can show, from its own step to about 200 of them."""
    return [h for h in HORIZONS_S if h >= step_s and h % step_s == 0 and h <= max(200 * step_s, HOUR_S)]


def name_of(horizon_s: int) -> str:
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if horizon_s % seconds == 0:
            return f"{horizon_s // seconds}{unit}"
    return f"{horizon_s}s"


def signals(series: Series) -> dict[str, Floats]:
    """Name -> what it says (+ up). The baselines need nothing of ours: the last return, and funding's opposite."""
    found = {"composite": series.column("score")}
    for name in sorted({key for item in series.records for key in item["components"]}):
        found[f"component {name}"] = series.part("components", name)
    found["baseline momentum"] = series.past_return(max(HOUR_S, series.step_s))
    found["baseline funding"] = -series.column("funding_8h")
    return {name: values for name, values in found.items() if (~np.isnan(values)).sum() >= LEAST}


def apart(series: Series, chosen: Bools, horizon_s: int) -> Iterator[int]:
    """Positions of ``chosen`` ticks, each at least a horizon after the one before: outcomes that do not overlap."""
    free = -1
    for position in np.flatnonzero(chosen):
        if series.ts[position] >= free:
            free = int(series.ts[position]) + horizon_s * 1_000
            yield int(position)


def evaluate_direction(series: Series, cost_bp: float, trials: Trials) -> dict[str, Any]:
    """Information coefficients and hit rates over horizons, Brier scores, and what trading it would have cost."""
    spoken = signals(series)
    shown = horizons(series.step_s)
    told: dict[str, Any] = {"horizons": [name_of(h) for h in shown], "undefined": "composite" not in spoken}
    told["signals"] = {
        name: {name_of(h): _at(series, name, values, h, trials) for h in shown} for name, values in spoken.items()
    }
    main_s = max(HOUR_S, series.step_s)
    told["main_horizon"] = name_of(main_s)
    told["brier"] = {
        name: _brier(series, name, values, main_s, trials)
        for name, values in spoken.items()
        if not name.startswith("component")
    }
    told["sign_trades"] = {
        name: _sign_trades(series, name, values, main_s, cost_bp, trials) for name, values in spoken.items()
    }
    told["trades"] = _trades(series, main_s, cost_bp, trials)
    return told


def _at(series: Series, name: str, values: Floats, horizon_s: int, trials: Trials) -> dict[str, Any]:
    after = series.forward_return(horizon_s)
    usable = series.warm & ~np.isnan(values) & ~np.isnan(after)
    label = f"{name} {name_of(horizon_s)}"
    ic = information_coefficient(values[usable], after[usable], horizon_s // series.step_s)
    directed = list(apart(series, usable & (values != 0) & (after != 0), horizon_s))
    hits = sum((values[position] > 0) == (after[position] > 0) for position in directed)
    return {
        "ic": trials.told(f"{label}: IC", ic),
        "hit_rate": trials.told(f"{label}: hit rate", hit_rate(int(hits), len(directed))),
    }


def _brier(series: Series, name: str, values: Floats, horizon_s: int, trials: Trials) -> dict[str, Any] | None:
    after = series.forward_return(horizon_s)
    usable = series.warm & ~np.isnan(values) & ~np.isnan(after) & (after != 0)
    return judged(
        f"{name} {name_of(horizon_s)}", values[usable], after[usable] > 0, series.ts[usable], horizon_s,
        series.step_s, trials,
    )  # fmt: skip


def _sign_trades(
    series: Series, name: str, values: Floats, horizon_s: int, cost_bp: float, trials: Trials
) -> dict[str, Any]:
    """Always on the side of the sign, one trade at a time: what an information coefficient is worth before costs."""
    after = series.forward_return(horizon_s)
    usable = series.warm & ~np.isnan(values) & (values != 0) & ~np.isnan(after)
    taken = list(apart(series, usable, horizon_s))
    gross = np.sign(values[taken]) * after[taken] * BASIS_POINTS
    return {
        "n": len(taken),
        "gross_bp": trials.told(f"{name} {name_of(horizon_s)}: gross return of its sign", mean(gross, 0)),
        "net_bp": float(gross.mean()) - cost_bp if taken else None,
    }


def _trades(series: Series, horizon_s: int, cost_bp: float, trials: Trials) -> dict[str, Any]:
    """The published direction, held for the horizon, one at a time; gross, and net of a round trip's cost."""
    sides = np.array([{"long": 1.0, "short": -1.0}.get(item["direction"], 0.0) for item in series.records])
    after = series.forward_return(horizon_s)
    taken = list(apart(series, series.warm & (sides != 0) & ~np.isnan(after), horizon_s))
    gross = sides[taken] * after[taken] * BASIS_POINTS
    moved = gross[gross != 0]
    return {
        "n": len(taken),
        "cost_bp": cost_bp,
        "gross_bp": trials.told("direction: gross return", mean(gross, 0)),
        "net_bp": float(gross.mean()) - cost_bp if taken else None,
        "hit_rate": trials.told("direction: hit rate", hit_rate(int((moved > 0).sum()), len(moved))),
    }
