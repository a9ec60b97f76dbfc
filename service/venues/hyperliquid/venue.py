"""Hyperliquid, main dex: mark, oracle, funding and open interest of a coin from `activeAssetCtx`.

Facts from the venue page: messages carry no time; funding is per hour and settles on the hour; open interest is
one-sided in units of the coin's name (kPEPE: thousands); one unknown coin closes the socket; arrays over all coins
are positional.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from service.errors import BadPayload
from service.model import Bad, Control, Decoded, Endpoints, ExtraStream, Listing, Skipped, StreamRule, VenueRules
from service.venues.contract import Catalog, ConnectionPlan, Limits, Request, Streamed, sockets
from service.venues.emit import HOUR_MS, PONG, document, echo, guarded, items, label, mapping, need
from service.venues.funding_schedule import next_hour
from service.venues.history import subject_of
from service.venues.hyperliquid.trades import (
    INTERVAL_H,
    INTERVALS_H,
    KEEPALIVE,
    MAX_CONNECTIONS,
    HyperliquidExtras,
    extra_connections,
    history,
    requests_for,
)
from service.venues.numbers import coins, interval_hours, price, rate, text, timestamp_ms
from service.venues.symbols import canonical

GREETING = "Websocket connection established"
INFLATED_MAX = 4 << 20  # bytes a compressed payload may unfold to
FAST_FIELDS: dict[str, Callable[[Any], float]] = {
    "markPx": price,
    "oraclePx": price,
    "funding": rate,
    "openInterest": coins,
}
FOREIGN_MARKS = (":", "@", "#", "/")  # other dexes, spot pairs, outcome tokens


class Hyperliquid(Streamed):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = "hyperliquid"
    title = "Hyperliquid main dex"
    endpoints = Endpoints(ws={"main": "wss://api.hyperliquid.xyz/ws"}, rest="https://api.hyperliquid.xyz")
    limits = Limits(
        connects=30,
        connect_period_s=60.0,
        sends_per_s=5.0,  # six sockets at once stay under 33/s, above which subscriptions get lost in silence
        rest_weight=1200.0,
        rest_period_s=60.0,
        max_topics=200,
    )
    rules = VenueRules(
        venue="hyperliquid",
        exchange="hyperliquid",
        mark=StreamRule(15_000, "none"),
        funding=StreamRule(300_000, "none"),
        oi=StreamRule(60_000, "none"),
        index_max_age_ms=15_000,
        funding_cap_8h=0.32,
    )

    def decoder(self, catalog: Catalog) -> HyperliquidDecoder:
        return HyperliquidDecoder(catalog)

    def frames_of(self, document: object) -> Sequence[object]:
        """[meta, contexts] and the venue's other answers are one frame; lists of those, or of messages, are several."""
        if isinstance(document, list) and document:
            if all(_is_meta_pair(item) for item in document):
                return document
            if all(isinstance(item, dict) and ("channel" in item or "method" in item) for item in document):
                return document
        return [document]

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        return [Request("POST", f"{endpoints.rest}/info", 20.0, '{"type":"meta"}', "meta")]

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        url, most = endpoints.ws["main"], self.limits.max_topics
        each = max(most, -(-len(listings) // MAX_CONNECTIONS))
        plans = sockets("main", url, listings, each, requests_for("activeAssetCtx"), keepalive=KEEPALIVE)
        return plans + extra_connections(url, listings, extras, most, len(plans))

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history(endpoints, listing, since_ms, now_ms)


def _is_meta_pair(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], dict)
        and "universe" in value[0]
        and isinstance(value[1], list)
    )


class HyperliquidDecoder(HyperliquidExtras):
    """Frames and HTTP answers of the venue."""

    venue = "hyperliquid"

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog)
        self._fast: dict[str, dict[str, Any]] = {}  # merged fields per coin of the compressed stream

    def _plain(self, raw: str | bytes) -> list[Decoded] | None:
        if len(raw) < 100:
            line = raw if isinstance(raw, str) else raw.decode("latin-1")
            if line.startswith(GREETING):
                return [Control("info", None, line.strip())]
        return super()._plain(raw)

    def _read(self, parsed: Any, recv_ts: int, context: str, out: list[Decoded]) -> None:
        past = subject_of(context)
        if past is not None:
            self._past_rows(parsed, *past, recv_ts, out)
        elif type(parsed) is dict:
            self._object(parsed, recv_ts, context, out)
        elif type(parsed) is list and (parsed or context):
            self._array(parsed, recv_ts, context, out)
        else:
            raise BadPayload("unknown_shape", type(parsed).__name__)

    def _object(self, frame: dict[str, Any], recv_ts: int, context: str, out: list[Decoded]) -> None:
        if "channel" in frame:
            self._channel(label(frame["channel"], "channel"), frame, recv_ts, out)
        elif "method" in frame:
            return  # a request of ours, as recordings hold them
        elif "universe" in frame:
            if "tokens" not in frame:  # else spot metadata
                self._meta(frame, recv_ts, out)
                if context == "meta":
                    self._delist_absent(out, recv_ts)
        elif "payload" in frame:
            self._fast_contexts(frame["payload"], recv_ts, out)
        else:
            raise BadPayload("unknown_shape", ",".join(list(frame)[:5])[:80])

    def _channel(self, channel: str, frame: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        if channel == "pong":
            out.append(PONG)
            return
        data = need(frame, "data")
        if channel == "activeAssetCtx":
            fields = mapping(data, "data")
            listing = self._listing(text(need(fields, "coin")))
            if listing is not None:
                self._context(listing, need(fields, "ctx"), recv_ts, out)
        elif channel == "allDexsAssetCtxs":
            for pair in items(need(mapping(data, "data"), "ctxs"), "ctxs"):
                dex, contexts = self._pair(pair)
                if dex == "":
                    self._contexts(contexts, recv_ts, out)
        elif channel == "assetCtxs":
            fields = data if type(data) is dict else {"ctxs": data}
            if fields.get("dex") in (None, ""):
                self._contexts(items(need(fields, "ctxs"), "ctxs"), recv_ts, out)
        elif channel == "fastAssetCtxs":
            self._fast_contexts(data["payload"] if type(data) is dict and "payload" in data else data, recv_ts, out)
        elif channel == "subscriptionResponse":
            asked = mapping(data, "data").get("subscription")
            if isinstance(asked, dict) and data.get("method") == "subscribe":
                self._acknowledged(asked, recv_ts)
            key = f"{echo(asked.get('type'))}:{echo(asked.get('coin'))}" if isinstance(asked, dict) else None
            out.append(Control("ack", key, echo(data.get("method"))))
        elif channel == "error":
            out.append(Control("refused", None, echo(data)))
        elif channel == "trades":
            self._trades(items(data, "data"), recv_ts, out)
        # candles, books, user events, spot contexts: not used

    @staticmethod
    def _pair(value: Any) -> tuple[str, list[Any]]:
        pair = items(value, "pair")
        if len(pair) != 2:
            raise BadPayload("unknown_shape", f"pair of {len(pair)}")
        return label(pair[0], "pair[0]"), items(pair[1], "pair[1]")

    def _array(self, rows: list[Any], recv_ts: int, context: str, out: list[Decoded]) -> None:
        if _is_meta_pair(rows):
            if self._meta(rows[0], recv_ts, out):
                self._contexts(rows[1], recv_ts, out)
            return
        if any(type(row) is dict and "fundingRate" in row for row in rows):
            keys = ("coin", "fundingRate", "time")
            self._history(rows, keys, INTERVALS_H, lambda _, alone: INTERVAL_H if alone else None, recv_ts, out)
            return
        for row in rows:
            if type(row) is list:
                guarded(out, self._predicted, row, recv_ts, out)
            elif row is not None and not (type(row) is dict and _unused(row)):
                out.append(Bad("unknown_shape", type(row).__name__))

    # -- contexts ----------------------------------------------------------------------------------------------

    def _contexts(self, contexts: list[Any], recv_ts: int, out: list[Decoded]) -> None:
        """A positional array: nothing can be said of it unless the universe of the same length is known."""
        universe = self._catalog.universe
        if len(universe) != len(contexts) or not universe:
            out.append(Skipped(self.venue, "", "unknown_universe"))
            return
        for name, fields in zip(universe, contexts, strict=True):
            listing = self._listing(name) if name != "" else None
            if listing is not None:
                guarded(out, self._context, listing, fields, recv_ts, out)

    def _context(self, listing: Listing, value: Any, recv_ts: int, out: list[Decoded]) -> None:
        fields = mapping(value, "ctx")
        if not listing.trading:
            return
        if fields.get("midPx") is None and fields.get("premium") is None and self._is_empty(fields):
            return  # delisted or empty: its prices are still filled, but it must not count as live
        for build in (self._prices, self._rate, self._interest):
            guarded(out, build, listing, fields, recv_ts, out)

    @staticmethod
    def _is_empty(fields: dict[str, Any]) -> bool:
        try:
            return coins(need(fields, "openInterest")) == 0.0
        except BadPayload:
            return False

    def _prices(self, listing: Listing, fields: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        mark, oracle = price(need(fields, "markPx")), price(need(fields, "oraclePx"))
        out.append(self._mark(listing, mark, oracle, None, recv_ts))

    def _rate(self, listing: Listing, fields: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        value = rate(need(fields, "funding"))
        out.append(self._funding(listing, value, INTERVAL_H, next_hour(recv_ts), None, recv_ts))

    def _interest(self, listing: Listing, fields: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        contracts, size = coins(need(fields, "openInterest")), listing.multiplier
        out.append(self._open_interest(listing, contracts, size, contracts * size, False, None, recv_ts))

    def _fast_contexts(self, payload: Any, recv_ts: int, out: list[Decoded]) -> None:
        """Compressed contexts by coin: a snapshot, then changed fields of changed coins."""
        if type(payload) is not str:
            raise BadPayload("wrong_type", f"payload: {type(payload).__name__}")
        for name, changed in mapping(document(_inflate(payload)), "payload").items():
            listing = self._listing(name)
            if listing is not None and listing.trading:
                guarded(out, self._fast_coin, listing, changed, recv_ts, out)

    def _fast_coin(self, listing: Listing, changed: Any, recv_ts: int, out: list[Decoded]) -> None:
        fields = mapping(changed, "ctx")
        known = self._fast.setdefault(listing.instrument, {})
        for key, parse in FAST_FIELDS.items():
            if key in fields:
                known.pop(key, None)
                try:
                    parse(fields[key])
                except BadPayload as error:
                    out.append(Bad(error.reason, f"{key}: {error.detail}"[:80]))
                else:
                    known[key] = fields[key]
        mark, oracle = known.get("markPx"), known.get("oraclePx")
        if ("markPx" in fields or "oraclePx" in fields) and (mark is not None or oracle is not None):
            mark_px = None if mark is None else price(mark)
            oracle_px = None if oracle is None else price(oracle)
            out.append(self._mark(listing, mark_px, oracle_px, None, recv_ts))
        if "funding" in fields and "funding" in known:
            self._rate(listing, known, recv_ts, out)
        if "openInterest" in fields and "openInterest" in known:
            self._interest(listing, known, recv_ts, out)

    # -- funding of other answers --------------------------------------------------------------------------------

    def _predicted(self, row: list[Any], recv_ts: int, out: list[Decoded]) -> None:
        """A row of predictedFundings: this venue's entry names the START of the running hour (measured)."""
        coin, venues = self._pair(row)
        listing = self._listing(text(coin))
        for entry in venues if listing is not None else ():
            pair = items(entry, "entry")
            if len(pair) == 2 and pair[0] == "HlPerp" and pair[1] is not None:
                assert listing is not None
                fields = mapping(pair[1], "HlPerp")
                hours = interval_hours(fields.get("fundingIntervalHours", INTERVAL_H))
                started = timestamp_ms(need(fields, "nextFundingTime"))
                next_ts = started + int(hours) * HOUR_MS
                value = rate(need(fields, "fundingRate"))
                out.append(self._funding(listing, value, hours, next_ts, None, recv_ts))

    # -- metadata ----------------------------------------------------------------------------------------------

    def _by_name(self, name: str) -> Listing | None:
        if not name or any(mark in name for mark in FOREIGN_MARKS):
            return None
        symbol, multiplier = canonical(name)
        return self._guess(name, symbol, multiplier, False, multiplier)

    def _meta(self, meta: dict[str, Any], recv_ts: int, out: list[Decoded]) -> bool:
        """Listings by position. False: the metadata of another dex, whose coins carry its name."""
        rows = items(meta["universe"], "universe")
        first = rows[0].get("name") if rows and type(rows[0]) is dict else None
        if type(first) is str and ":" in first:
            return False
        names: list[str] = []
        for row in rows:
            names.append("")  # a broken row keeps its position
            guarded(out, self._coin, row, names, recv_ts, out)
        self._catalog.universe = tuple(names)
        return True

    def _coin(self, row: Any, names: list[str], recv_ts: int, out: list[Decoded]) -> None:
        fields = mapping(row, "universe[]")
        name = text(need(fields, "name"))
        by_name = self._by_name(name)
        if by_name is None:
            raise BadPayload("bad_name", f"{name} in the main dex"[:80])
        delisted = fields.get("isDelisted")
        if delisted is not None and type(delisted) is not bool:
            raise BadPayload("wrong_type", "isDelisted")
        names[-1] = name
        size = by_name.multiplier
        self._list(
            Listing(self.venue, name, by_name.symbol, False, size, size, INTERVAL_H, delisted is not True, recv_ts),
            out,
        )


def _unused(row: dict[str, Any]) -> bool:
    """Rows of answers we have no use for: other dexes, recent trades, candles."""
    return "deployer" in row or "px" in row or "T" in row


def _inflate(payload: str) -> bytes:
    """Base64 of a raw DEFLATE stream, with a bound on what it may unfold to."""
    try:
        packed = base64.b64decode(payload, validate=True)
        stream = zlib.decompressobj(-15)
        data = stream.decompress(packed, INFLATED_MAX)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise BadPayload("bad_json", str(error)[:80]) from None
    if not stream.eof:
        raise BadPayload("oversized" if len(data) >= INFLATED_MAX else "bad_json", "compressed payload")
    return data
