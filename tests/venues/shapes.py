"""The shape of a frame: what kind of message it is, which fields it has, and of what kind their values are. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from service.venues import decoding

HEADS = ("table", "action", "feed", "event", "channel", "topic", "type", "e", "method", "op")  # name a message
DATA_EVENTS = ("update", "all", "")  # of messages with data; any other event is about the connection
# A body without a head is told by the first of these fields that it or one of its rows has.
TELLS = (
    "order_book_details", "fundings", "funding_rates", "trade_id_str",
    "optionsType", "stTag", "usdIndexPrice", "symbols", "instruments", "ctVal", "contractType", "total_size",
    "quanto_multiplier", "sumOpenInterest", "takerBuyVol", "buySellRatio", "fundInterval", "ratePeriod", "universe",
    "fundingRateInterval", "fundingIntervalHours", "realizedRate", "fundingRateDaily", "lastFundingRate",
    "settlement_period", "markets", "rates", "historicalFunding", "typ", "nextFundingTime", "fundingTime",
    "fundingRateTimestamp", "longAccount", "longPosition", "buyRatio", "longAccountRatio", "longPositionRatio",
    "lsr_account", "order_price", "orderID", "payload", "tickers", "ticker", "candles", "bids", "premium",
    "singleOpenInterest", "openInterestList", "openInterest", "open_interest", "markPx", "idxPx", "markPrice",
    "interest_8h", "deployer", "height", "epoch", "info", "success", "errors", "error", "r", "c",
)  # fmt: skip
BY_NAME = ("markets", "trading", "oraclePrices", "mids", "market_stats")  # objects whose keys are instruments


def frames_in(venue: str, text: str) -> list[Any]:
    """The frames of a file, as `elr decode` splits it; texts that are no JSON are left out."""
    frames: list[Any]
    try:
        frames = decoding.frames_in(venue, json.loads(text))
    except json.JSONDecodeError:
        frames = [frame for line in text.splitlines() for frame in _parsed(line)]
    return [frame["result"] if _is_wrapped(frame) else frame for frame in frames]


def _parsed(line: str) -> list[Any]:
    try:
        return [json.loads(line)]
    except json.JSONDecodeError:
        return []


def _is_wrapped(frame: Any) -> bool:
    """Recordings of dYdX wrap HTTP answers."""
    return isinstance(frame, dict) and {"requestId", "status", "result"} <= set(frame)


def kind_of(frame: Any) -> str:
    """A name for what kind of message it is."""
    head = frame["data"] if isinstance(frame, dict) and "stream" in frame and "data" in frame else frame
    if isinstance(head, list) and head and isinstance(head[0], dict) and "e" in head[0]:
        head = head[0]  # Binance's arrays of events
    if isinstance(head, dict):
        if head.get("event", "") not in DATA_EVENTS:
            return f"event={head['event']}"
        places = [head, *(head[key] for key in ("arg", "params") if isinstance(head.get(key), dict))]
        said = [
            f"{key}={place[key].partition('.')[0] if place is not head or key == 'topic' else place[key]}"
            for place in places
            for key in HEADS
            if isinstance(place.get(key), str) and place[key] != ""
        ]
        if said:
            return " ".join(said)
    names = {path.rpartition(".")[2].removesuffix("[]") for path in fields_of(frame)}
    return "body with " + next((name for name in TELLS if name in names), "nothing known")


def fields_of(frame: Any) -> dict[str, set[str]]:
    """Of each field's path the kinds of its values. Elements of arrays count as one, and so do instruments."""
    found: dict[str, set[str]] = {}
    for path, kind in _walk(frame, ""):
        found.setdefault(path, set()).add(kind)
    return found


def _walk(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if path:
            yield path, "object"
        by_name = path.rpartition(".")[2] in BY_NAME
        for key, item in value.items():
            yield from _walk(item, f"{path}.{'*' if by_name else key}")
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item, path if path.endswith("[]") or not path else path + "[]")
    elif path:
        yield path, "nothing" if value is None or value == "" else VALUES[type(value)]


VALUES = {bool: "flag", int: "number", float: "number", str: "text"}


def objects_in(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a frame, itself included."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects_in(item)


def scalars_in(value: Any) -> Iterator[Any]:
    """Every value of a frame that is no object and no array."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from scalars_in(item)
    else:
        yield value
