"""Hyperliquid: frames and HTTP answers to observations."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Callable
from typing import Any

from service.errors import BadPayload
from service.model import Decoded, Listing
from service.venues.contract import Catalog
from service.venues.emit import PONG, Emit
from service.venues.funding_schedule import HOUR_MS, next_hour, tell_settlements
from service.venues.history import subject_of
from service.venues.hyperliquid.history import INTERVALS_H, tell_past
from service.venues.hyperliquid.metadata import INTERVAL_H, by_name, read_meta
from service.venues.hyperliquid.trades import tell_trades
from service.venues.numbers import coins, interval_hours, price, rate, timestamp_ms
from service.venues.reading import document, echo, items, label, mapping, readable, unknown
from service.venues.trades import Trades

GREETING = "Websocket connection established"
INFLATED_MAX = 4 << 20  # bytes a compressed payload may grow to
FAST_FIELDS = {"markPx": price, "oraclePx": price, "funding": rate, "openInterest": coins}


class HyperliquidDecoder:
    """See :class:`service.venues.contract.Decoder`."""

    def __init__(self, venue: str, catalog: Catalog) -> None:
        self._emit = Emit(venue, catalog, by_name, self._read)
        self._trades = Trades(self._emit)
        self._fast: dict[str, dict[str, float]] = {}  # merged fields per coin of the compressed stream
        self._channels: dict[str, Callable[[Any], None]] = {  # candles, books, user events, spot contexts: not used
            "activeAssetCtx": self._coin,
            "allDexsAssetCtxs": self._dexes,
            "assetCtxs": self._dex,
            "fastAssetCtxs": self._packed,
            "trades": lambda data: tell_trades(self._emit, self._trades, data),
            "subscriptionResponse": self._acknowledged,
            "error": lambda data: self._emit.control("refused", None, echo(data)),
        }

    def decode(self, raw: str | bytes, recv_ts: int, context: str = "") -> list[Decoded]:
        emit = self._emit
        if len(raw) < 100:
            line = raw if isinstance(raw, str) else raw.decode("latin-1")
            if line.startswith(GREETING):
                emit.out = []
                emit.control("info", None, line.strip())
                return emit.out
        return emit.frame(raw, recv_ts, context)

    def _read(self, parsed: Any, context: str) -> None:
        if context and (asked := subject_of(context)) is not None:
            tell_past(self._emit, parsed, *asked)
        elif type(parsed) is dict:
            self._object(parsed, context)
        elif type(parsed) is list and (parsed or context):
            self._array(parsed)
        else:
            raise BadPayload("unknown_shape", type(parsed).__name__)

    def _object(self, frame: dict[str, Any], context: str) -> None:
        if "channel" in frame:
            channel = label(frame["channel"], "channel")
            if channel == "pong":
                self._emit.out.append(PONG)
                return
            data, handler = frame["data"], self._channels.get(channel)
            if handler is not None:
                handler(data)
        elif "method" in frame:
            return  # a request of ours, as recordings hold them
        elif "universe" in frame:
            if "tokens" not in frame:  # else spot metadata
                read_meta(frame, self._emit)
                if context == "meta":
                    self._emit.delist_absent(context)
        elif "payload" in frame:
            self._packed(frame)
        else:
            raise unknown(frame)

    def _array(self, rows: list[Any]) -> None:
        """One of the HTTP answers, told by its shape: [metadata, contexts], or rows."""
        if len(rows) == 2 and type(rows[0]) is dict and "universe" in rows[0] and type(rows[1]) is list:
            if read_meta(rows[0], self._emit):
                self._contexts(rows[1])
        elif any(type(row) is dict and "fundingRate" in row for row in rows):
            keys = ("coin", "fundingRate", "time")
            tell_settlements(self._emit, rows, keys, INTERVALS_H, lambda _, alone: INTERVAL_H if alone else None)
        else:
            self._emit.each(rows, "rows", self._other_row)

    def _other_row(self, row: Any) -> None:
        if type(row) is list:
            self._predicted(row)
        elif row is not None and not (type(row) is dict and ("deployer" in row or "px" in row or "T" in row)):
            raise BadPayload("unknown_shape", type(row).__name__)  # else other dexes, recent trades, candles: not used

    def _acknowledged(self, data: Any) -> None:
        asked, method = mapping(data, "data").get("subscription"), data.get("method")
        key = None
        if isinstance(asked, dict):
            kind, coin = asked.get("type"), asked.get("coin")
            if method == "subscribe" and kind == "trades" and type(coin) is str:
                self._trades.begin(coin)
            key = f"{echo(kind)}:{echo(coin)}"
        self._emit.control("ack", key, echo(method))

    # -- contexts ----------------------------------------------------------------------------------------------

    def _coin(self, data: Any) -> None:
        fields = mapping(data, "data")
        listing = self._emit.listing(fields["coin"])
        if listing is not None:
            self._context(fields["ctx"], listing)

    def _dexes(self, data: Any) -> None:
        for row in items(mapping(data, "data")["ctxs"], "ctxs"):
            dex, contexts = _pair(row)
            if dex == "":
                self._contexts(contexts)
            else:
                self._emit.skipped(dex, "builder_dex")

    def _dex(self, data: Any) -> None:
        fields = data if type(data) is dict else {"ctxs": data}
        dex = fields.get("dex")
        if dex in (None, ""):
            self._contexts(items(fields["ctxs"], "ctxs"))
        else:
            self._emit.skipped(label(dex, "dex"), "builder_dex")

    def _contexts(self, contexts: list[Any]) -> None:
        """A positional array: nothing can be said of it unless the universe of the same length is known."""
        emit = self._emit
        universe = emit.catalog.universe
        if len(universe) != len(contexts) or not universe:
            emit.skipped("", "unknown_universe")
            return
        for name, fields in zip(universe, contexts, strict=True):
            listing = emit.listing(name) if name != "" else None
            if listing is not None:
                emit.guard(self._context, fields, listing)

    def _context(self, value: Any, listing: Listing) -> None:
        fields, emit = mapping(value, "ctx"), self._emit
        if not listing.trading:
            return
        empty = fields.get("midPx") is None and fields.get("premium") is None
        if empty and readable(fields, "openInterest", coins) == 0.0:
            return  # nothing left, or delisted: its prices are still filled, but it must not count as live
        try:
            mark = price(fields["markPx"])
            emit.mark(listing, mark, emit.index_in(fields, "oraclePx"), None)
        except (BadPayload, KeyError) as error:
            emit.bad(error)
        try:
            emit.funding(listing, rate(fields["funding"]), INTERVAL_H, next_hour(emit.recv_ts), None)
        except (BadPayload, KeyError) as error:
            emit.bad(error)
        contracts, size = coins(fields["openInterest"]), listing.multiplier
        emit.open_interest(listing, contracts, size, contracts * size, False, None)

    def _packed(self, data: Any) -> None:
        """Compressed contexts by coin: a snapshot, then changed fields of changed coins."""
        payload = data["payload"] if type(data) is dict and "payload" in data else data
        if type(payload) is not str:
            raise BadPayload("wrong_type", f"payload: {type(payload).__name__}")
        for name, changed in mapping(document(_inflate(payload)), "payload").items():
            self._emit.guard(self._changed, name, changed)

    def _changed(self, name: str, value: Any) -> None:
        emit = self._emit
        listing = emit.listing(name)
        if listing is None or not listing.trading:
            return
        fields = mapping(value, "ctx")
        known = self._fast.setdefault(listing.instrument, {})
        for key, parse in FAST_FIELDS.items():
            if key in fields:
                known.pop(key, None)
                try:
                    known[key] = parse(fields[key])
                except BadPayload as error:
                    emit.bad(error)
        if ("markPx" in fields or "oraclePx" in fields) and ("markPx" in known or "oraclePx" in known):
            emit.mark(listing, known.get("markPx"), known.get("oraclePx"), None)
        if "funding" in fields and "funding" in known:
            emit.funding(listing, known["funding"], INTERVAL_H, next_hour(emit.recv_ts), None)
        if "openInterest" in fields and "openInterest" in known:
            contracts, size = known["openInterest"], listing.multiplier
            emit.open_interest(listing, contracts, size, contracts * size, False, None)

    # -- funding of other answers --------------------------------------------------------------------------------

    def _predicted(self, row: list[Any]) -> None:
        """A row of predictedFundings: this venue's entry names the START of the running hour (measured)."""
        coin, venues = _pair(row)
        listing = self._emit.listing(coin)
        if listing is None:
            return
        for value in venues:
            entry = items(value, "entry")
            if len(entry) == 2 and entry[0] == "HlPerp" and entry[1] is not None:
                fields = mapping(entry[1], "HlPerp")
                hours = interval_hours(fields.get("fundingIntervalHours", INTERVAL_H))
                next_ts = timestamp_ms(fields["nextFundingTime"]) + int(hours) * HOUR_MS
                self._emit.funding(listing, rate(fields["fundingRate"]), hours, next_ts, None)


def _pair(value: Any) -> tuple[str, list[Any]]:
    pair = items(value, "pair")
    if len(pair) != 2:
        raise BadPayload("unknown_shape", f"pair of {len(pair)}")
    return label(pair[0], "pair[0]"), items(pair[1], "pair[1]")


def _inflate(payload: str) -> bytes:
    """Base64 of a raw DEFLATE stream, with a bound on what it may grow to."""
    try:
        packed = base64.b64decode(payload, validate=True)
        stream = zlib.decompressobj(-15)
        data = stream.decompress(packed, INFLATED_MAX)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise BadPayload("bad_json", str(error)[:80]) from None
    if not stream.eof:
        raise BadPayload("oversized" if len(data) >= INFLATED_MAX else "bad_json", "compressed payload")
    return data
