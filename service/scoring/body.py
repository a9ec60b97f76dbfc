"""Parts of the signal message that need no memory: market, windows, status (docs/signal.md section 7)."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from service.model import Consensus, Month, Readings, WindowReading
from service.scoring.composite import WindowScore
from service.scoring.direction import Side

Status: TypeAlias = Literal["ok", "warming", "degraded", "no_data"]

LARGEST_WINDOW = "1h"
LEAST_COVERAGE = 0.8


def judge_status(readings: Readings) -> tuple[Status, list[str]]:
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


def market(sample: Consensus) -> dict[str, Any]:
    """The ``market`` object; without quorum only the counts of venues are said."""
    price, index, coins = sample.price, sample.index, sample.oi_coins
    known = sample.quorum
    return {
        "price": price if known else None,
        "index": index if known else None,
        "premium": price / index - 1.0 if known and price is not None and index is not None else None,
        "funding_8h": sample.funding_8h if known else None,
        "oi_coins": coins if known else None,
        "oi_usd": coins * price if known and coins is not None and price is not None else None,
        "oi_coverage": sample.coverage if known else None,
        "venues_fresh": sum([view.fresh for view in sample.venues]),  # integers
        "venues_total": sample.venues_total,
    }


def told_month(month: Month | None) -> dict[str, Any] | None:
    """The ``month`` of the message: what of the past was entered; of when, and by which venues."""
    if month is None:
        return None
    return {"from": month.since, "until": month.until, "hours": month.hours, "venues": list(month.venues)}


def window(scored: WindowScore, strength: float | None, confidence: float, side: Side | None) -> dict[str, Any]:
    """One window; what is not ready is None throughout."""
    reading, ready = scored.window, scored.ready
    return {
        "ready": ready,
        "score": scored.score,
        "strength": strength,
        "confidence": confidence if ready else 0.0,
        "direction": side,
        "return": reading.ret if ready else None,
        "oi_change": reading.oi_change if ready else None,
        "components": [
            {
                "id": part.id,
                "score": said.score,
                "weight": weight,
                "z": said.z,
                "quadrant": said.quadrant,
                "kind": part.kind,
            }
            for (part, said), weight in zip(scored.judged, scored.weights, strict=True)
        ],
        "trend": scored.trend,
        "contrarian": scored.contrarian,
        "backfilled": reading.backfilled if ready else False,
        "taker": _taker(reading) if ready else None,
        "liquidated": _liquidated(reading) if ready else None,
    }


def _taker(reading: WindowReading) -> dict[str, Any] | None:
    if reading.taker_imbalance is None:
        return None
    return {
        "buy_coins": reading.taker_buy_coins,
        "sell_coins": reading.taker_sell_coins,
        "imbalance": reading.taker_imbalance,
    }


def _liquidated(reading: WindowReading) -> dict[str, Any] | None:
    if reading.liquidated_long_coins is None:
        return None
    return {"long_coins": reading.liquidated_long_coins, "short_coins": reading.liquidated_short_coins}


def long_short(sample: Consensus) -> list[dict[str, Any]]:
    """The fresh long shares that venues report: context, in venue order; no score reads them."""
    return [
        {"venue": view.venue, "kind": kind, "long_share": share, "as_of": at}
        for view in sample.venues
        for kind, share, at in view.long_short
    ]
