"""Parts of the signal message that only restate what the stages before found."""

from __future__ import annotations

from typing import Any

from service.model import Consensus, WindowReading
from service.scoring.composite import WindowScore
from service.scoring.direction import Side


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
