"""What is kept of a scored tick: plain JSON values, one line each."""

from __future__ import annotations

from typing import Any, TypeAlias

from service.model import Readings, SignalBody

Record: TypeAlias = dict[str, Any]
MONTH_S = 30 * 86_400
WARM_ROWS = 60  # of its own past a percentile must rest on, or a month of them where that is fewer


def warm_after(step_s: int) -> int:
    """Rows of a segment before its percentiles count: minute values held over a long step are not sixty values."""
    return min(WARM_ROWS, MONTH_S // step_s)


def record(body: SignalBody, readings: Readings, segment: int, warm: bool) -> Record:
    """``warm``: enough of the segment's own rows came before. While not, ranks are None: nothing is known of them."""
    sample = readings.consensus
    components = {
        f"{name}:{part['id']}": part["score"]
        for name, window in body["windows"].items()
        for part in window["components"]
    }
    values = {variant["variant"]: variant["value"] for variant in body["elr"]}
    hour = readings.windows[2]
    return {
        "ts": readings.ts,
        "segment": segment,
        "warm": warm,
        "status": body["status"],
        "price": sample.price if sample.quorum else None,
        "index": body["market"]["index"],
        "oi_coins": body["market"]["oi_coins"],
        "ln_oi": sample.ln_oi_index if sample.quorum else None,
        "funding_8h": body["market"]["funding_8h"],
        "premium": body["market"]["premium"],
        "score": body["score"],
        "scores": {name: window["score"] for name, window in body["windows"].items()},
        "components": components,
        "strength": body["strength"],
        "direction": body["direction"],
        "confidence": body["confidence"],
        "abstain": body["abstain"],
        "regime": body["regime"] if warm or body["regime"] in ("flush", "reset") else None,
        "fragility": body["fragility"] if warm else None,
        "rank_elr": readings.elr.percentile if warm else None,
        "rank_funding": readings.funding_abs.percentile if warm else None,
        "rank_volatility": readings.volatility.percentile if warm else None,
        "z_elr": readings.elr.z,
        "z_funding": readings.funding.z,
        "z_premium": readings.premium.z,
        "elr": values["oi_reserve"],
        "elr_mcap": values["oi_mcap"],
        "funding_spend": values["funding_spend"],
        "flush": body["flush"] is not None,
        "flush_fed": hour.ready and hour.slow_z_oi is not None and hour.slow_z_return is not None,
        "forced": None if body["flush"] is None else body["flush"]["forced"],
        "liquidated_long_1h": hour.liquidated_long_coins,
        "liquidated_short_1h": hour.liquidated_short_coins,
    }
