"""Kraken Futures: the unified socket, which replaces REST and WebSocket v1 on 2027-03-01. Not proven yet.

Documented are requests, acknowledgements, ping, the envelope `channel`, `type`, `data` and the trade row of the spot
socket whose format it shares; **the fields of `ticker` and `instrument` are not**. So a row is read through a table of
names that each quantity may have, a number may be a JSON number or a text, and what comes of it is a candidate: the
market compares it with v1 (service/market/agreement.py) and nothing of it counts by its name alone. A field that is in
no table is told once, so that a person can complete the tables.

Facts from the venue page: `asset_class` is always sent; one acknowledgement a symbol, a refusal names its symbol;
`status` and `heartbeat` are no data; times are RFC 3339 texts; the ticker may speak on trades alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from msgspec.structs import replace

from service.errors import BadPayload
from service.model import Listing
from service.venues.emit import PONG, Emit
from service.venues.funding_schedule import HOUR_MS
from service.venues.kraken_futures.metadata import INTERVAL_H
from service.venues.numbers import COINS_MAX, coins, iso_ms, number, price, text, timestamp_ms
from service.venues.reading import echo, flag, is_buy, items, label, mapping, unknown
from service.venues.trades import coins_in, traded

ASSET_CLASS = "derivatives"
PING = '{"method":"ping","req_id":1}'
PING_S = 30.0
SENDS_PER_S = 5.0  # no limit is documented
ANEW_S = 60.0  # a ticker older than this is asked for again

RATE_MAX = 1e9  # an absolute rate is money an hour
NAMES: tuple[tuple[str, tuple[str, ...], Callable[[Any], float]], ...] = (  # of each quantity, the likeliest first
    ("mark", ("mark_price", "markPrice", "mark"), price),
    ("index", ("index_price", "indexPrice", "index"), price),
    ("oi", ("open_interest", "openInterest", "oi"), coins),
    (
        "funding",
        ("relative_funding_rate", "relativeFundingRate", "funding_rate", "fundingRate"),
        lambda value: number(value, -RATE_MAX, RATE_MAX),
    ),
)
SUSPENDED = ("suspended", "is_suspended", "isSuspended")
TIMES = ("timestamp", "time", "ts")
TRADES_ENDED = ("delisted", "expired", "suspended", "maintenance")  # of an instrument's `status`
NOT_USED = (  # known, and of no use here; the next settlement is the top of the hour
    "symbol", "bid", "bid_qty", "ask", "ask_qty", "last", "last_qty", "volume", "volume_quote", "vwap", "low", "high",
    "open", "change", "change_pct", "premium", "tag", "pair", "post_only", "postOnly", "volumeQuote", "bid_size",
    "ask_size", "maturity_time", "maturityTime", "dtm", "leverage",
    "funding_rate_prediction", "fundingRatePrediction", "relative_funding_rate_prediction",
    "relativeFundingRatePrediction", "next_funding_rate_time", "nextFundingRateTime", "next_funding_time",
)  # fmt: skip
KNOWN = frozenset((*NOT_USED, *SUSPENDED, *TIMES, *(name for _, names, _ in NAMES for name in names)))
MAX_TOLD = 40  # unknown fields of one row that are named
MAX_TOLD_CHARACTERS = 400


class Shared:
    """What all connections of the venue share about this socket."""

    def __init__(self) -> None:
        self.suspended: dict[str, None] = {}  # what v1 last called suspended: so it is until v1 says otherwise
        self.trade_ids: dict[str, int] = {}  # the newest counted: two sockets bring the same trades for a moment
        self.unknown: set[str] = set()  # fields already told
        self.listed: set[str] = set()  # instruments that no HTTP answer has named


class Unified:
    """Messages of the unified socket."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._shared = emit.catalog.shared(Shared)
        self._maintained = False  # the whole venue: its last values must not count as live
        self._channels: dict[str, Callable[[dict[str, Any]], None]] = {  # heartbeats, books, candles: not used
            "ticker": self._tickers,
            "trade": self._trades,
            "instrument": self._instruments,
            "status": self._status,
        }

    def read(self, frame: dict[str, Any]) -> None:
        if "method" in frame:
            self._answer(frame)
            return
        handler = self._channels.get(label(frame["channel"], "channel"))
        if handler is not None:
            handler(frame)

    # -- requests and their answers ----------------------------------------------------------------------------

    def _answer(self, frame: dict[str, Any]) -> None:
        emit, method = self._emit, label(frame["method"], "method")
        if "success" not in frame:
            if "params" not in frame and method != "ping":  # else a request of ours, as recordings hold it
                raise unknown(frame)
            return
        if not flag(frame["success"], "success"):
            emit.control("refused", echo(frame.get("symbol")) or None, f"{method}: {echo(frame.get('error'))}")
            emit.control("notice", echo(frame.get("symbol")) or None, f"{method} refused: {echo(frame.get('error'))}")
        elif method == "pong":
            emit.out.append(PONG)
        elif method == "subscribe":
            result = mapping(frame["result"], "result")
            key = ":".join(part for part in (echo(result.get("channel")), echo(result.get("symbol"))) if part)
            emit.control("ack", key, method)
            for warning in items(result.get("warnings") or [], "warnings")[:MAX_TOLD]:
                emit.control("notice", key, f"warning: {echo(warning)}")

    def _status(self, frame: dict[str, Any]) -> None:
        """Of the whole venue. Sent on connecting, before any subscription, and again from time to time."""
        for row in items(frame["data"], "data"):
            system = label(mapping(row, "data[]")["system"], "system")
            self._maintained = system == "maintenance"
            self._emit.control("info", None, f"status {system}")

    # -- ticker ------------------------------------------------------------------------------------------------

    def _tickers(self, frame: dict[str, Any]) -> None:
        self._emit.each(frame["data"], "data", self._ticker)

    def _ticker(self, row: Any) -> None:
        """What is wrong with one field does not cost the others."""
        emit, fields = self._emit, mapping(row, "data[]")
        listing = emit.listing(text(fields["symbol"]).upper())
        if listing is None:
            return
        if self._maintained or self._is_suspended(listing.instrument, fields):
            emit.skipped(listing.instrument, "suspended")
            return
        venue_ts, found = _time(fields), []
        for quantity, names, parse in NAMES:
            for name in names:
                raw = fields.get(name)
                if raw is None or raw == "":
                    continue
                try:
                    found.append((quantity, name, parse(raw)))
                except BadPayload as error:
                    emit.bad(error)
        self._tell_unknown("ticker", fields, KNOWN)
        emit.candidate(listing, found, INTERVAL_H, _next_hour(emit.recv_ts), venue_ts)

    def _is_suspended(self, name: str, fields: dict[str, Any]) -> bool:
        """As this row says, or v1 beside it: how this socket says it is not documented."""
        said = [flag(fields[key], key) for key in SUSPENDED if fields.get(key) is not None]
        return any(said) or name in self._shared.suspended

    def _tell_unknown(self, channel: str, fields: Mapping[str, Any], known: frozenset[str]) -> None:
        told = self._shared.unknown
        new = [name for name in fields if name not in known and f"{channel}.{name}" not in told][:MAX_TOLD]
        if new and len(told) < 5 * MAX_TOLD:
            told.update(f"{channel}.{name}" for name in new)
            names = " ".join(name[:40] for name in new)[:MAX_TOLD_CHARACTERS]
            self._emit.control("notice", channel, f"fields that are not known: {names}")

    # -- trades ------------------------------------------------------------------------------------------------

    def _trades(self, frame: dict[str, Any]) -> None:
        """Takers' coins of one frame by instrument. Which trades are liquidations is not documented: none is told."""
        if frame.get("type") == "snapshot":  # trades of before
            return
        volumes: dict[str, tuple[Listing, dict[str, float], int]] = {}
        self._emit.each(frame["data"], "data", self._trade, volumes)
        for listing, sums, at in volumes.values():
            fields = [(quantity, "qty", value) for quantity, value in sums.items()]
            self._emit.candidate(listing, fields, INTERVAL_H, _next_hour(self._emit.recv_ts), at)

    def _trade(self, row: Any, volumes: dict[str, tuple[Listing, dict[str, float], int]]) -> None:
        emit, fields = self._emit, mapping(row, "data[]")
        listing = emit.listing(text(fields["symbol"]).upper())
        if listing is None:
            return
        quantity = "buys" if is_buy(fields["side"]) else "sells"
        size, each = coins(fields["qty"]), price(fields["price"])
        at, trade_id = iso_ms(fields["timestamp"]), int(number(fields["trade_id"], 0.0, 1e15))
        amount = coins_in(emit, listing, size, each)
        if amount is None or trade_id <= self._shared.trade_ids.get(listing.instrument, -1):
            return
        amount = traded(amount)
        self._shared.trade_ids[listing.instrument] = trade_id
        _, sums, newest = volumes.setdefault(listing.instrument, (listing, {}, at))
        sums[quantity] = min(sums.get(quantity, 0.0) + amount, COINS_MAX)
        volumes[listing.instrument] = (listing, sums, max(newest, at))

    # -- instruments -------------------------------------------------------------------------------------------

    def _instruments(self, frame: dict[str, Any]) -> None:
        """Where no HTTP answer has named an instrument, its name here lets the sockets subscribe to it; the market is
        told nothing. The rows stand in `data`, or in lists within it as on the spot socket."""
        data = frame["data"]
        parts = list(data.values()) if type(data) is dict else [data]
        for rows in parts:
            self._emit.each(rows, "data", self._instrument)

    def _instrument(self, row: Any) -> None:
        fields = mapping(row, "data[]")
        name = fields.get("symbol")
        if name is None:  # an asset
            return
        name = text(name).upper()
        listings, listed = self._emit.catalog.listings, self._shared.listed
        if name in listings and name not in listed:
            return
        found = self._emit.find(name)
        if found is None:
            return
        ended = label(fields.get("status") or "", "status") in TRADES_ENDED or fields.get("tradeable") is False
        listed.add(name)
        listings[name] = replace(found, trading=not ended, recv_ts=self._emit.recv_ts)


def _time(fields: Mapping[str, Any]) -> int | None:
    """UTC ms of a row: an RFC 3339 text, or a number of ms."""
    for key in TIMES:
        raw = fields.get(key)
        if raw is not None and raw != "":
            return iso_ms(raw) if type(raw) is str else timestamp_ms(raw)
    return None


def _next_hour(now_ms: int) -> int:
    """Funding is settled at the top of every hour."""
    return (now_ms // HOUR_MS + 1) * HOUR_MS


# -- requests ----------------------------------------------------------------------------------------------------------


def request(method: str, channel: str, req_id: int, symbols: Sequence[str] = (), snapshot: bool = True) -> str:
    """One request. ``symbols`` empty: of a channel that has none."""
    params: dict[str, Any] = {"channel": channel, "asset_class": ASSET_CLASS}
    if symbols:
        params["symbol"] = list(symbols)
    if method == "subscribe":
        params["snapshot"] = snapshot
    return orjson.dumps({"method": method, "params": params, "req_id": req_id}).decode()


def tickers(listings: Sequence[Listing]) -> tuple[str, ...]:
    """One request a product, so that a refused one cannot concern another."""
    return tuple(request("subscribe", "ticker", 101 + n, [item.instrument]) for n, item in enumerate(listings))


def trades(listings: Sequence[Listing]) -> tuple[str, ...]:
    return tuple(request("subscribe", "trade", 101 + n, [item.instrument], False) for n, item in enumerate(listings))


def tickers_anew(listings: Sequence[Listing]) -> dict[str, tuple[str, ...]]:
    """By instrument: what brings a new snapshot of its ticker."""
    return {
        item.instrument: (
            request("unsubscribe", "ticker", 1001 + n, [item.instrument]),
            request("subscribe", "ticker", 2001 + n, [item.instrument]),
        )
        for n, item in enumerate(listings)
    }
