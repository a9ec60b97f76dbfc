"""The wire format, version 1: envelope and body to JSON text. docs/messages.md says what each field means.

A body is a pure function of the input and is what replay compares (:func:`body_bytes`); the envelope (kind, seq, epoch,
sent_ts, ...) differs between runs. Every float is rounded to 10 significant digits and is finite, or null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, TypeAlias

import orjson

from service.model import MARKET, Consensus

VERSION = 1
TICK_S = 10
HEARTBEAT_S = 10

Kind: TypeAlias = Literal["update", "snapshot"]


def rounded(value: Any) -> Any:
    """JSON values with every float at 10 significant digits; NaN and infinities become None.

    >>> rounded({"a": 0.1 + 0.2, "b": [float("nan"), -0.0], "c": 3})
    {'a': 0.3, 'b': [None, 0.0], 'c': 3}
    """
    kind = type(value)
    if kind is float:
        short = float(f"{value:.10g}")
        return short + 0.0 if isfinite(short) else None  # -0.0 becomes 0.0
    if kind is dict:
        return {key: rounded(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [rounded(item) for item in value]
    return value


def body_bytes(body: Mapping[str, Any]) -> bytes:
    """The body as JSON text: keys in the order given, no spaces, numbers rounded."""
    return orjson.dumps(rounded(dict(body)))


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a channel. ``seq`` counts from 1 inside an epoch, without gaps; ``body`` is JSON text."""

    type: str
    channel: str
    seq: int
    epoch: str
    source: str
    body: bytes

    def text(self, kind: Kind, sent_ts: int, skipped: int = 0) -> bytes:
        """Envelope and body. ``skipped``: values of this channel left out before it for this client."""
        envelope: dict[str, Any] = {
            "v": VERSION,
            "type": self.type,
            "kind": kind,
            "channel": self.channel,
            "seq": self.seq,
            "epoch": self.epoch,
            "source": self.source,
            "sent_ts": sent_ts,
        }
        if skipped != 0:
            envelope["skipped"] = skipped
        return b"%b,%b" % (orjson.dumps(envelope)[:-1], self.body[1:])


# -- bodies ------------------------------------------------------------------------------------------------------


def market_body(consensus: Consensus) -> dict[str, Any]:
    """The body of ``market.<SYMBOL>``. Without quorum the numbers of ``market`` are null, and only its counts stay."""
    sample = consensus
    known = sample.quorum
    price = sample.price if known else None
    index = sample.index if known else None
    coins = sample.oi_coins if known else None
    return {
        "symbol": sample.symbol,
        "ts": sample.ts,
        "market": {
            "price": price,
            "index": index,
            "premium": None if price is None or index is None else price / index - 1,
            "funding_8h": sample.funding_8h if known else None,
            "oi_coins": coins,
            "oi_usd": None if price is None or coins is None else coins * price,
            "oi_coverage": sample.coverage if known else None,
            "venues_fresh": sum(view.fresh for view in sample.venues),  # integers
            "venues_total": sample.venues_total,
        },
        "venues": {
            view.venue: {
                "mark": view.mark,
                "index": view.index,
                "funding_8h": view.rate_8h,
                "interval_h": view.interval_h,
                "oi_coins": view.oi_coins,
                "age_ms": {"mark": view.age_mark_ms, "funding": view.age_funding_ms, "oi": view.age_oi_ms},
                "state": dict(view.states),
            }
            for view in sample.venues
        },
    }


def status_body(ts: int, venues: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The body of ``status`` from each venue's up, streams {live, stale}, reconnects and last_error."""
    return {
        "ts": ts,
        "venues": {
            name: {key: venue[key] for key in ("up", "streams", "reconnects", "last_error")}
            for name, venue in venues.items()
        },
    }


# -- messages outside the channels -------------------------------------------------------------------------------

Id: TypeAlias = int | str | None


def _control(type_: str, **fields: Any) -> bytes:
    return orjson.dumps({"v": VERSION, "type": type_, **fields})


def hello(server: str, epoch: str, source: str, symbols: Sequence[str]) -> bytes:
    """The first message on every connection."""
    return _control(
        "hello",
        server=server,
        epoch=epoch,
        source=source,
        tick_s=TICK_S,
        heartbeat_s=HEARTBEAT_S,
        symbols=list(symbols),
        market=MARKET,
    )


def subscribed(request_id: Id, epoch: str, channels: Mapping[str, Mapping[str, Any]]) -> bytes:
    """``channels``: per concrete channel its seq, whether a resume recovered, and how many messages follow for it."""
    return _control("subscribed", id=request_id, epoch=epoch, channels=channels)


def unsubscribed(request_id: Id, channels: Sequence[str]) -> bytes:
    return _control("unsubscribed", id=request_id, channels=list(channels))


def snapshots(request_id: Id, epoch: str, channels: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Answers the op ``snapshot``: seq per channel (0: nothing yet); the snapshots follow."""
    return _control("snapshots", id=request_id, epoch=epoch, channels=channels)


def pong(request_id: Id, ts: int) -> bytes:
    return _control("pong", id=request_id, ts=ts)


def error(request_id: Id, code: str, message: str) -> bytes:
    return _control("error", id=request_id, code=code, message=message)


def tick(ts: int, signals: int, missed: int) -> bytes:
    """All ``signals`` of tick ``ts`` are out; ``missed`` ticks before it were computed too late to publish."""
    return _control("tick", ts=ts, signals=signals, missed=missed)


def heartbeat(epoch: str, ts: int, seq: Mapping[str, int]) -> bytes:
    return _control("heartbeat", epoch=epoch, ts=ts, seq=seq)


def notice(code: str, reconnect_after_ms: int) -> bytes:
    return _control("notice", code=code, reconnect_after_ms=reconnect_after_ms)
