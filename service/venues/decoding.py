"""The engine of ``elr decode``: a recording's text to observations, as plain rows. Pure.

Input is one frame a line, or one JSON document; of an array the venue says whether it is one frame or a list of
frames. Blank lines are no frames. Decoder state carries from frame to frame. Frames have no receive time here, so
what follows only from it (Hyperliquid's next funding time) is null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from service.errors import ConfigError
from service.model import (
    Bad,
    Decoded,
    Flow,
    Funding,
    Liquidation,
    LongShort,
    Mark,
    OpenInterest,
    Positions,
    Skipped,
)
from service.venues import VENUES
from service.venues.contract import Catalog, Venue

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
NO_RECEIVE_TIME = 0


def decode_document(venue_name: str, text: str | bytes) -> Iterator[dict[str, Any]]:
    """One row per observation, skipped instrument or broken frame, in order.

    Rows with key ``error`` (``bad_payload``, its ``reason`` and the ``frame``, counted from 1) mean bad data was met;
    rows with key ``skipped`` name an instrument left out and why, of metadata too. Acknowledgements, what metadata
    list, confirmations: no row.
    Raises :exc:`ConfigError` for an unknown venue.
    """
    venue = VENUES.get(venue_name)
    if venue is None:
        raise ConfigError([f"{venue_name!r} is not a venue; known are {', '.join(VENUES)}"])
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    decoder = venue.decoder(Catalog())
    for number, frame in enumerate(_frames(venue, raw.removeprefix(BYTE_ORDER_MARK)), 1):
        items = [frame] if isinstance(frame, Bad) else decoder.decode(frame, NO_RECEIVE_TIME)
        for item in items:
            row = _row(item, number)
            if row is not None:
                yield row


def frames_in(venue_name: str, document: Any) -> list[Any]:
    """The frames of a parsed JSON document: an array is one of them or a list of them, by the venue."""
    if not isinstance(document, list) or not SEVERAL.get(venue_name, _always)(document):
        return [document]
    return document


def _always(items: list[Any]) -> bool:
    """Of venues that send no array."""
    return True


def _any_has(*keys: str) -> Callable[[list[Any]], bool]:
    """Messages have one of these keys, the rows of an HTTP answer have none."""
    return lambda items: any(isinstance(item, dict) and any(key in item for key in keys) for item in items)


_binance_message = _any_has("stream", "method", "id")


def _binance(items: list[Any]) -> bool:
    return _binance_message(items) or any(isinstance(item, list) for item in items)


def _is_meta_pair(item: Any) -> bool:
    return isinstance(item, list) and len(item) == 2 and isinstance(item[1], list) and _any_has("universe")(item[:1])


def _hyperliquid(items: list[Any]) -> bool:
    """[meta, contexts] and the venue's other answers are one frame; lists of those, or of messages, are several."""
    return bool(items) and (
        all(map(_is_meta_pair, items))
        or all(isinstance(item, dict) and ("channel" in item or "method" in item) for item in items)
    )


# Venues that send arrays: whether one is several frames.
SEVERAL: dict[str, Callable[[list[Any]], bool]] = {
    "binance_usdm": _binance,
    "binance_coinm": _binance,
    "aster": _binance,
    "gate": _any_has("channel"),
    "bitmex": _any_has("table", "success", "info", "op", "status"),
    "hyperliquid": _hyperliquid,
}


def _frames(venue: Venue, raw: bytes) -> Iterator[bytes | Bad]:
    """The texts of the frames, in order."""
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        for line in raw.splitlines():
            if line.strip():
                yield line.strip()
        return
    frames = frames_in(venue.name, document)
    if len(frames) == 1 and frames[0] is document:
        yield raw
        return
    for frame in frames:
        try:
            yield orjson.dumps(frame)
        except orjson.JSONEncodeError as error:  # nested deeper than a frame of any venue
            yield Bad("too_deep", str(error)[:80])


def _row(item: Decoded, frame: int) -> dict[str, Any] | None:
    if isinstance(item, Bad):
        return {"error": "bad_payload", "reason": item.reason, "frame": frame}
    if isinstance(item, Skipped):
        return {"skipped": item.reason, "venue": item.venue, "instrument": item.instrument, "frame": frame}
    if not isinstance(item, Mark | Funding | OpenInterest | Liquidation | Flow | Positions | LongShort):
        return None
    head = {"venue": item.venue, "instrument": item.instrument, "symbol": item.symbol}
    if isinstance(item, Mark):
        return {**head, "stream": "mark", "mark": item.mark, "index": item.index, "venue_ts": item.venue_ts}
    if isinstance(item, Funding):
        return {
            **head,
            "stream": "funding",
            "rate": item.rate,
            "interval_h": item.interval_h,
            "rate_8h": item.rate_8h,
            "next_ts": item.next_ts,
            "settled": item.settled,
            "venue_ts": item.venue_ts,
        }
    if not isinstance(item, OpenInterest):
        return {**head, **_extra(item), "venue_ts": item.venue_ts}
    return {
        **head,
        "stream": "oi",
        "coins": item.coins,
        "contracts": item.contracts,
        "contract_coins": item.contract_coins,
        "venue_ts": item.venue_ts,
        "derived": item.derived,
    }


def _extra(item: Liquidation | Flow | Positions | LongShort) -> dict[str, Any]:
    """The fields of an extra stream, named as in docs/signal.md section 1."""
    if isinstance(item, Liquidation):
        return {
            "stream": "liquidation",
            "liquidated_side": item.liquidated_side,
            "coins": item.coins,
            "price": item.price,
            "lower_bound": item.lower_bound,
        }
    if isinstance(item, Flow):
        return {"stream": "flow", "taker_buy": item.taker_buy_coins, "taker_sell": item.taker_sell_coins}
    if isinstance(item, Positions):
        return {"stream": "positions", "long": item.long_coins, "short": item.short_coins}
    return {"stream": "long_short", "kind": item.kind, "long_share": item.long_share}
