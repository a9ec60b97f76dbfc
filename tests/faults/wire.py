"""What the faults must know of each venue's wire: which fields say what, which topics and paths carry what.

Written from the venue pages and the simulated servers' frames, not from the decoders. A venue without an entry here
cannot join the matrix; ``test_wire.py`` fails for a simulated venue that has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import orjson

Kind = Literal["mark", "index", "funding", "oi"]
Change = Callable[[Kind, str, Any], "tuple[str, Any] | None"]
"""(what it says, key, value) -> the (key, value) to send instead; None: the field is left out."""

ALL = ("mark", "funding", "oi")


@dataclass(frozen=True)
class Wire:
    """``fields``: JSON key -> what it says. ``carries``: (pattern of topic or HTTP path, streams) in order; the first
    that matches counts, and a path that none matches is metadata. ``snapshot``: the texts on which later deltas
    build, None where every frame is whole. ``notice``: what the venue sends before it closes connections for an
    upgrade, where it does. ``vouches``: (pattern of a text, streams) where the
    texts of one topic differ in what they vouch for."""

    fields: dict[str, Kind]
    carries: tuple[tuple[str, tuple[str, ...]], ...]
    snapshot: str | None = None
    notice: str | None = None
    vouches: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def vouched(self, topic: str, text: str) -> tuple[str, ...]:
        """The streams for which this text, sent on ``topic``, vouches."""
        streams = self.streams(topic)
        if not self.vouches or not streams:
            return streams
        return tuple(stream for pattern, said in self.vouches if re.search(pattern, text) for stream in said)

    def is_snapshot(self, text: str) -> bool:
        return self.snapshot is not None and re.search(self.snapshot, text) is not None

    def streams(self, topic: str) -> tuple[str, ...]:
        for pattern, streams in self.carries:
            if re.search(pattern, topic) is not None:
                return streams
        return ()


WIRES: dict[str, Wire] = {
    "binance_usdm": Wire(
        {"p": "mark", "i": "index", "r": "funding", "openInterest": "oi"},
        ((r"@markPrice", ("mark", "funding")), (r"/fapi/v1/openInterest", ("oi",))),
    ),
    "bybit": Wire(
        {
            "markPrice": "mark", "indexPrice": "index", "fundingRate": "funding", "openInterest": "oi",
            "openInterestValue": "oi", "singleOpenInterest": "oi", "singleOpenInterestValue": "oi",
        },
        ((r"^tickers\.", ALL),),
        snapshot=r'"type":"snapshot"',
    ),
    "okx": Wire(
        {"markPx": "mark", "idxPx": "index", "fundingRate": "funding", "oi": "oi", "oiCcy": "oi", "oiUsd": "oi"},
        ((r"^mark-price:", ("mark",)), (r"^index-tickers:", ("index",)), (r"^funding-rate:", ("funding",)),
         (r"^open-interest:", ("oi",))),
        notice='{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. '
        'Please reconnect.","connId":"a4d3ae55"}',
    ),
    "hyperliquid": Wire(
        {"markPx": "mark", "oraclePx": "index", "funding": "funding", "openInterest": "oi"},
        ((r"^[A-Za-z0-9]+$", ALL),),
    ),
    "binance_coinm": Wire(
        {"p": "mark", "r": "funding", "openInterest": "oi"},
        ((r"@markPrice", ("mark", "funding")), (r"@indexPrice", ("index",)), (r"/dapi/v1/openInterest$", ("oi",))),
    ),
    "bitget": Wire(
        {"markPrice": "mark", "indexPrice": "index", "fundingRate": "funding", "holdingAmount": "oi"},
        ((r"^ticker:", ALL),),
    ),
    "gate": Wire(
        {
            "mark_price": "mark", "index_price": "index", "funding_rate": "funding",
            "funding_rate_indicative": "funding", "total_size": "oi",
        },
        ((r"futures\.tickers", ALL),),
    ),
    "deribit": Wire(
        {
            "mark_price": "mark", "index_price": "index", "current_funding": "funding", "funding_8h": "funding",
            "open_interest": "oi",
        },
        ((r"^ticker\.", ALL),),
    ),
    "kraken_futures": Wire(
        {
            "markPrice": "mark", "index": "index", "funding_rate": "funding", "funding_rate_prediction": "funding",
            "relative_funding_rate": "funding", "relative_funding_rate_prediction": "funding", "openInterest": "oi",
            "mark_price": "mark", "index_price": "index", "open_interest": "oi",  # unified: carries nothing
        },
        ((r"^ticker:", ALL),),
    ),
    "bitmex": Wire(
        {
            "markPrice": "mark", "fairPrice": "mark", "indicativeSettlePrice": "index", "fundingRate": "funding",
            "indicativeFundingRate": "funding", "openInterest": "oi", "openValue": "oi",
        },
        ((r"^instrument:", ALL),),
        snapshot=r'"action":"partial"',
    ),
    "aster": Wire(
        {"p": "mark", "i": "index", "r": "funding", "openInterest": "oi"},
        ((r"@markPrice", ("mark", "funding")), (r"/fapi/v3/openInterest", ("oi",))),
    ),
    "dydx": Wire(
        {"oraclePrice": "mark", "nextFundingRate": "funding", "openInterest": "oi"},
        ((r"^v4_markets", ALL),),
        snapshot=r'"type":"subscribed"',
        vouches=((r'"markets":', ALL), (r'"oraclePrices":', ("mark",)), (r'"trading":', ("funding", "oi"))),
    ),
    "lighter": Wire(
        {
            "mark_price": "mark", "index_price": "index", "current_funding_rate": "funding", "funding_rate": "funding",
            "open_interest": "oi",
        },
        ((r"^market_stats", ALL),),
    ),
}  # fmt: skip


def written(venue: str, name: str) -> str:
    """An instrument's name as it stands in the venue's texts: Lighter's are our symbol and id, which stand apart."""
    return name.rpartition("-")[0] if venue == "lighter" else name


# -- texts ---------------------------------------------------------------------------------------------------------


def changed(text: str, wire: Wire, change: Change) -> str:
    """The JSON text with ``change`` made to every field of ``wire``; anything else as it is."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return orjson.dumps(_walk(document, wire.fields, change)).decode()


def _walk(value: Any, fields: dict[str, Kind], change: Change) -> Any:
    if isinstance(value, list):
        return [_walk(item, fields, change) for item in value]
    if not isinstance(value, dict):
        return value
    result: dict[str, Any] = {}
    for key, item in value.items():
        kind = fields.get(key)
        if kind is None or isinstance(item, dict | list):
            result[key] = _walk(item, fields, change)
        elif item is None or item == "":  # this frame does not say it
            result[key] = item
        elif (new := change(kind, key, item)) is not None:
            result[new[0]] = new[1]
    return result


def times(value: Any, factor: str) -> Any:
    """A wire number (text or JSON number) multiplied, in its own type."""
    if isinstance(value, str):
        return format(Decimal(value) * Decimal(factor), "f")
    return value * float(factor) if isinstance(value, float) else int(value * Decimal(factor))


_EPOCH = re.compile(r"(?<![\d.])(1[67]\d{8})(\d{3}|\d{6}|\d{9})?(\.\d+)?(?!\d)")
_ISO = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?=Z|\+00:00)")
NEAR_S = 600.0


def shifted(text: str, now_ms: int, shift_s: int) -> str:
    """Every time of the text within ten minutes of now (seconds to nanoseconds, or ISO), ``shift_s`` later."""

    def epoch(match: re.Match[str]) -> str:
        seconds = int(match[1])
        if abs(seconds - now_ms / 1000) > NEAR_S:
            return match[0]
        return f"{seconds + shift_s}{match[2] or ''}{match[3] or ''}"

    def iso(match: re.Match[str]) -> str:
        at = datetime.fromisoformat(match[0]).replace(tzinfo=UTC)
        if abs(at.timestamp() - now_ms / 1000) > NEAR_S:
            return match[0]
        tail = match[0][19:]
        return (at + timedelta(seconds=shift_s)).strftime("%Y-%m-%dT%H:%M:%S") + tail

    return _ISO.sub(iso, _EPOCH.sub(epoch, text))
