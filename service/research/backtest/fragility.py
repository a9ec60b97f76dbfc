"""Does fragility say what it claims, the chance of a flush within a day? And what it does not: volatility, drawdown."""

from __future__ import annotations

from typing import Any

import numpy as np

from service.research.backtest.direction import name_of
from service.research.backtest.judging import Trials, judged
from service.research.backtest.measures import (
    LEAST,
    Bools,
    Floats,
    auc_estimate,
    difference,
    hit_rate,
    lift_estimate,
    rank_correlation,
)
from service.research.backtest.series import DAY_S, Series

HORIZON_S = DAY_S  # fragility_horizon_h of the message
BLOCK_S = 7 * DAY_S  # of the bootstrap: its inputs are ranks over a month, and flushes come in clusters
FALLS = (("oi_fall_5", 0.95), ("oi_fall_10", 0.90))  # open interest in coins falls by a twentieth, a tenth
RANKS = ("rank_elr", "rank_funding", "rank_volatility")
REDUCED = "leverage and funding"  # all that coarse data have of it: the mean of two of the three ranks
DECILES = 10


def labels(ahead: dict[str, Floats]) -> dict[str, Floats]:
    """1 where it happened within the horizon, 0 where not, NaN where nobody knows."""
    low = ahead["oi_low"]
    falls = {name: np.where(np.isnan(low), np.nan, (low <= np.log(left)) * 1.0) for name, left in FALLS}
    return {"flush": ahead["flush"], **falls}


def scores_of(series: Series) -> dict[str, Floats]:
    """Fragility, its three ranks, two means of two of them (daily data have the first), and plain volatility."""
    ranks = {name: series.column(name) for name in RANKS}
    return {
        "fragility": series.column("fragility"),
        REDUCED: (ranks["rank_elr"] + ranks["rank_funding"]) / 2,
        "fragility_2": series.column("fragility_2"),
        **ranks,
        "volatility_24h": series.column("volatility_24h"),
    }


def evaluate_fragility(series: Series, ahead: dict[str, Floats], trials: Trials) -> dict[str, Any]:
    """Areas under the curve, lift, rank correlations, deciles and a walk-forward probability of a flush."""
    block = max(1, BLOCK_S // series.step_s)
    happened = labels(ahead)
    scores = scores_of(series)
    told: dict[str, Any] = {"horizon": name_of(HORIZON_S), "block": name_of(BLOCK_S), "labels": {}, "auc": {}}
    for label, values in happened.items():
        known = ~np.isnan(values)
        told["labels"][label] = {
            "n": int(known.sum()),
            "share": float(values[known].mean()) if known.any() else None,
            "episodes": episodes(series, values == 1, HORIZON_S),
        }
        told["auc"][label] = {
            name: _auc(name, label, score, values, series, block, trials) for name, score in scores.items()
        }
    judged_by = REDUCED if np.isnan(scores["fragility"]).all() else "fragility"
    fragile = scores[judged_by]
    told["judged_by"] = judged_by
    told["correlation"] = {
        outcome: {name: _correlation(name, outcome, score, ahead[outcome], series, block, trials)
                  for name, score in scores.items()}
        for outcome in ("volatility", "drawdown")
    }  # fmt: skip
    told["deciles"] = _deciles(fragile, ahead, happened)
    told["forecast"] = {}
    for label, values in happened.items():
        usable = ~np.isnan(fragile) & ~np.isnan(values)
        told["forecast"][label] = judged(
            f"{judged_by} {label}", fragile[usable], values[usable] == 1, series.ts[usable], HORIZON_S, series.step_s,
            trials,
        )  # fmt: skip
    return told


def episodes(series: Series, happened: Bools, horizon_s: int) -> int:
    """How often it happened, ticks no more than a horizon apart counted as one: that is what intervals rest on."""
    at = np.flatnonzero(happened)
    if len(at) == 0:
        return 0
    apart = (np.diff(series.ts[at]) > horizon_s * 1_000) | (np.diff(series.segments[at]) != 0)
    return 1 + int(apart.sum())


def _auc(
    name: str, label: str, score: Floats, values: Floats, series: Series, block: int, trials: Trials
) -> dict[str, Any]:
    usable = ~np.isnan(score) & ~np.isnan(values)
    x, y, parts = score[usable], values[usable] == 1, series.segments[usable]
    return {
        "auc": trials.told(f"{name} {label}: AUC", auc_estimate(x, y, parts, block)),
        "lift": trials.told(f"{name} {label}: lift of the highest decile", lift_estimate(x, y, parts, block)),
    }


def _correlation(
    name: str, outcome: str, score: Floats, values: Floats, series: Series, block: int, trials: Trials
) -> dict[str, Any]:
    usable = ~np.isnan(score) & ~np.isnan(values)
    found = rank_correlation(score[usable], values[usable], series.segments[usable], block)
    return trials.told(f"{name} {outcome}: rank correlation", found)


def _deciles(fragile: Floats, ahead: dict[str, Floats], happened: dict[str, Floats]) -> list[dict[str, Any]]:
    """Ticks by fragility, ten equal parts of the whole file: a description, not a rule that was known beforehand."""
    usable = np.flatnonzero(~np.isnan(fragile) & ~np.isnan(ahead["volatility"]))
    if len(usable) < LEAST:
        return []
    ordered = usable[np.argsort(fragile[usable], kind="stable")]
    return [
        {
            "decile": number,
            "from": float(fragile[part[0]]),
            "n": len(part),
            "volatility": float(ahead["volatility"][part].mean()),
            "drawdown": float(ahead["drawdown"][part].mean()),
            **{label: _share(values[part]) for label, values in happened.items()},
        }
        for number, part in enumerate(np.array_split(ordered, DECILES), start=1)
    ]


def _share(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) > 0 else None


def evaluate_regimes(series: Series, ahead: dict[str, Floats], trials: Trials) -> list[dict[str, Any]]:
    """What followed each regime within a day, its mean return against that of all other ticks (which overlap)."""
    named = np.array([item["regime"] or "" for item in series.records])
    after = series.forward_return(HORIZON_S)
    known = ~np.isnan(after) & (named != "")
    falls = labels(ahead)["oi_fall_5"]
    told = []
    for name in sorted(set(named.tolist()) - {""}):
        chosen: Bools = (named == name) & known
        against = difference(after[known], chosen[known], HORIZON_S // series.step_s)
        told.append(
            {
                "regime": name,
                "n": int((named == name).sum()),
                "return": _average(after[chosen]),
                "return_against_others": trials.told(f"regime {name}: return {name_of(HORIZON_S)}", against),
                "up": _up(after[chosen]),
                "volatility": _average(ahead["volatility"][chosen]),
                "drawdown": _average(ahead["drawdown"][chosen]),
                "oi_fall_5": _share(falls[chosen]),
            }
        )
    return told


def _up(returns: Floats) -> float | None:
    share = hit_rate(int((returns > 0).sum()), len(returns))
    return None if share is None else share.value


def _average(values: Floats) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmean(values))
