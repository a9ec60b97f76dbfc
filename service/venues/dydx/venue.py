"""dYdX v4 (chain and Indexer): every market's oracle price, funding and open interest from one `v4_markets` topic.

Facts from the venue page: the oracle price is mark and index at once; prices come per block, the rest from a task
that runs every 30 s; each sends only what changed. Funding is per hour and settles on the hour; open interest is
one-sided in coins (`baseOpenInterest` is frozen: not used). Only ACTIVE markets count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from service.errors import BadPayload
from service.model import (
    STREAMS,
    Bad,
    Confirm,
    Control,
    Decoded,
    Endpoints,
    ExtraStream,
    Listing,
    Stream,
    StreamRule,
    VenueRules,
)
from service.venues.contract import Catalog, ConnectionPlan, Limits, Request, Streamed, sockets
from service.venues.dydx.trades import (
    INTERVAL_H,
    MAX_NAME,
    TRADES,
    DydxTrades,
    extra_connections,
    history,
    market_name,
    subscription,
)
from service.venues.emit import PONG, echo, guarded, items, label, mapping, need
from service.venues.funding_schedule import next_hour
from service.venues.history import subject_of
from service.venues.numbers import coins, iso_ms, price, rate
from service.venues.symbols import canonical

CHANNEL = "v4_markets"
QUOTE = "-USD"
FIELDS: dict[str, tuple[Stream, Callable[[Any], float]]] = {
    "oraclePrice": ("mark", price),
    "nextFundingRate": ("funding", rate),
    "openInterest": ("oi", coins),
}
# Fields the 30 s task sends of those markets in which they changed.
TASK_FIELDS = ("openInterest", "nextFundingRate", "volume24H", "trades24H", "priceChange24H")
UNUSED_ANSWERS = ("height", "epoch", "trades", "candles", "bids")


class Dydx(Streamed):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = "dydx"
    title = "dYdX v4 perpetuals"
    endpoints = Endpoints(ws={"indexer": "wss://indexer.dydx.trade/v4/ws"}, rest="https://indexer.dydx.trade/v4")
    limits = Limits(
        connects=10,  # none published
        connect_period_s=60.0,
        sends_per_s=2.0,  # above, the venue disconnects
        rest_weight=100.0,
        rest_period_s=10.0,
        max_topics=32,
        max_frame_bytes=4 << 20,  # the snapshot of all markets, permissionless ones included
    )
    rules = VenueRules(
        venue="dydx",
        exchange="dydx",
        mark=StreamRule(15_000, "send"),  # effectiveAt: a halted chain or a lagging Indexer must not look alive
        funding=StreamRule(300_000, "none"),
        oi=StreamRule(120_000, "none"),
        index_max_age_ms=15_000,
        funding_cap_8h=0.6,  # 600 % x (initial - maintenance margin): 12 % for BTC, 60 % at margins of 20 % and 10 %
    )

    def decoder(self, catalog: Catalog) -> DydxDecoder:
        return DydxDecoder(catalog)

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        return [Request("GET", f"{endpoints.rest}/perpetualMarkets", context="markets")]

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        """One socket with one topic for all. The server pings by protocol frames and answers no JSON ping."""
        if not listings:
            return []
        url = endpoints.ws["indexer"]
        return [
            *sockets("indexer", url, listings, len(listings), lambda _: (subscription(CHANNEL),)),
            *extra_connections(url, listings, extras, self.limits.max_topics),
        ]

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history(endpoints, listing, since_ms, now_ms)


class _Said:
    """What one frame has said: per (market, stream) so that the rest can be confirmed, and by which source."""

    __slots__ = ("prices_at", "task", "touched")

    def __init__(self) -> None:
        self.touched: dict[tuple[str, Stream], None] = {}
        self.prices_at: int | None = None  # newest block time of its oracle prices
        self.task = False


class DydxDecoder(DydxTrades):
    """Frames and HTTP answers of the venue.

    Every field is sent as a whole value; what is held here tells which streams an update that leaves them out confirms.
    """

    venue = "dydx"

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog)
        self._markets: dict[str, dict[Stream, float]] = {}  # readable values in force on this connection
        self._untold: dict[str, None] = {}  # markets whose values have come while they were not active

    def _read(self, parsed: Any, recv_ts: int, context: str, out: list[Decoded]) -> None:
        if type(parsed) is not dict:
            raise BadPayload("unknown_shape", type(parsed).__name__)
        past = subject_of(context)
        if past is not None and "errors" not in parsed:
            self._past_rows(parsed, *past, recv_ts, out)
        elif "type" in parsed:
            self._message(label(parsed["type"], "type"), parsed, recv_ts, out)
        elif "markets" in parsed:
            self._answer(mapping(parsed["markets"], "markets"), recv_ts, context, out)
        elif "historicalFunding" in parsed:
            for row in items(parsed["historicalFunding"], "historicalFunding"):
                guarded(out, self._settlement, row, recv_ts, out)
        elif "errors" in parsed:
            first = next(iter(items(parsed["errors"], "errors")), None)
            out.append(Control("refused", None, echo(first.get("msg")) if type(first) is dict else ""))
        elif "result" in parsed and "status" in parsed:
            self._read(parsed["result"], recv_ts, context, out)  # recordings wrap HTTP answers
        elif not any(key in parsed for key in UNUSED_ANSWERS):
            raise BadPayload("unknown_shape", ",".join(list(parsed)[:5])[:80])

    def _message(self, kind: str, frame: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        ours = frame.get("channel") == CHANNEL
        key = ":".join(echo(frame[part]) for part in ("channel", "id") if part in frame) or None
        if kind == "subscribed":
            out.append(Control("ack", key, kind))
            if ours:
                self._snapshot(need(frame, "contents"), recv_ts, out)
        elif kind in ("channel_data", "channel_batch_data"):
            if ours or frame.get("channel") == TRADES:
                contents = need(frame, "contents")
                parts = items(contents, "contents") if kind == "channel_batch_data" else [contents]
                if ours:
                    self._updates(parts, recv_ts, out)
                else:
                    self._trades(need(frame, "id"), parts, recv_ts, out)
        elif kind == "error":
            out.append(Control("refused", key, echo(frame.get("message"))))
        elif kind == "pong":
            out.append(PONG)
        elif kind in ("connected", "unsubscribed"):
            out.append(Control("info", key, kind))
        elif kind not in ("subscribe", "unsubscribe", "ping"):  # requests of ours, as recordings hold them
            raise BadPayload("unknown_shape", f"type {kind}")

    # -- markets -----------------------------------------------------------------------------------------------

    def _snapshot(self, contents: Any, recv_ts: int, out: list[Decoded]) -> None:
        self._markets, self._untold = {}, {}
        said = _Said()
        for name, row in mapping(need(mapping(contents, "contents"), "markets"), "markets").items():
            guarded(out, self._market, name, row, None, said, recv_ts, out)

    def _updates(self, parts: list[Any], recv_ts: int, out: list[Decoded]) -> None:
        said = _Said()
        for part in parts:
            guarded(out, self._update, part, said, recv_ts, out)
        self._confirm(said, recv_ts, out)

    def _update(self, value: Any, said: _Said, recv_ts: int, out: list[Decoded]) -> None:
        contents = mapping(value, "contents")
        if "trading" in contents:
            for name, row in mapping(contents["trading"], "trading").items():
                guarded(out, self._market, name, row, None, said, recv_ts, out)
                said.task |= type(row) is dict and any(key in row for key in TASK_FIELDS)
        if "oraclePrices" in contents:
            for name, row in mapping(contents["oraclePrices"], "oraclePrices").items():
                guarded(out, self._oracle, name, row, said, recv_ts, out)

    def _oracle(self, name: str, row: Any, said: _Said, recv_ts: int, out: list[Decoded]) -> None:
        try:
            fields = mapping(row, "oraclePrices[]")
            at = iso_ms(need(fields, "effectiveAt"))
            need(fields, "oraclePrice")
        except BadPayload:
            self._forget(name, ("mark",), said)
            raise
        said.prices_at = at if said.prices_at is None else max(said.prices_at, at)
        self._market(name, {"oraclePrice": fields["oraclePrice"]}, at, said, recv_ts, out)

    def _forget(self, name: str, streams: tuple[Stream, ...], said: _Said) -> None:
        """What a refused row may have changed must not be confirmed."""
        for stream in streams:
            self._markets.get(name, {}).pop(stream, None)
            said.touched[name, stream] = None

    def _market(self, name: str, row: Any, venue_ts: int | None, said: _Said, recv_ts: int, out: list[Decoded]) -> None:
        """Fields of one market, all or some: held, and told if the market is active."""
        known = self._listing(name)
        if known is None:
            return
        try:
            fields = mapping(row, "market")
            if fields.get("ticker", name) != name:
                raise BadPayload("bad_name", f"{echo(fields['ticker'])} under {name}"[:80])
            if "status" in fields:
                self._instrument(known, fields, recv_ts, out)
        except BadPayload:
            self._forget(name, STREAMS, said)
            raise
        listing = self._catalog.listings.get(name, known)
        values = self._markets.setdefault(name, {})
        revived = listing.trading and name in self._untold
        if listing.trading:
            self._untold.pop(name, None)
        else:
            self._untold[name] = None
        for key, (stream, parse) in FIELDS.items():
            if key in fields:
                said.touched[name, stream] = None
                values.pop(stream, None)
                if fields[key] is None or fields[key] == "":
                    continue  # not said, never 0
                try:
                    values[stream] = parse(fields[key])
                except BadPayload as error:
                    out.append(Bad(error.reason, f"{key}: {error.detail}"[:80]))
                    continue
            if stream in values and listing.trading and (key in fields or revived):
                said.touched[name, stream] = None
                guarded(out, self._tell, stream, listing, values[stream], venue_ts, recv_ts, out)

    def _tell(
        self, stream: Stream, listing: Listing, value: float, venue_ts: int | None, recv_ts: int, out: list[Decoded]
    ) -> None:
        if stream == "mark":
            out.append(self._mark(listing, value, value, venue_ts, recv_ts))
        elif stream == "funding":
            out.append(self._funding(listing, value, INTERVAL_H, next_hour(recv_ts), None, recv_ts))
        else:
            size = listing.multiplier
            out.append(self._open_interest(listing, value, size, value * size, False, None, recv_ts))

    def _confirm(self, said: _Said, recv_ts: int, out: list[Decoded]) -> None:
        """Each source sends all that changed: its sending vouches for every value it has left out.

        Oracle prices of a block vouch for the other prices as of that block, a message of the 30 s task for the other
        funding rates and open interests. A quiet market thus stays fresh, and nothing does when the source stops.
        """
        for name, values in self._markets.items():
            listing = self._listing(name)
            if listing is None or not listing.trading or name in self._untold:
                continue
            held = [stream for stream in values if (name, stream) not in said.touched]
            if said.prices_at is not None and "mark" in held:
                out.append(Confirm(self.venue, name, listing.symbol, ("mark",), said.prices_at, recv_ts))
            rest: tuple[Stream, ...] = tuple(stream for stream in held if stream != "mark")
            if said.task and rest:
                out.append(Confirm(self.venue, name, listing.symbol, rest, None, recv_ts))

    # -- HTTP answers, metadata --------------------------------------------------------------------------------

    def _answer(self, markets: dict[str, Any], recv_ts: int, context: str, out: list[Decoded]) -> None:
        """All markets, or one. As metadata only the instruments count: the socket is ahead of these read replicas."""
        said = _Said()
        for name, row in markets.items():
            if context == "markets":
                guarded(out, self._metadata, name, row, recv_ts, out)
            else:
                guarded(out, self._market, name, row, None, said, recv_ts, out)
        if context == "markets":
            self._delist_absent(out, recv_ts)

    def _metadata(self, name: str, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        known = self._listing(name)
        if known is not None:
            self._instrument(known, mapping(row, "market"), recv_ts, out)

    def _settlement(self, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        """A settled rate of an hour, stamped with the first block after it."""
        fields = mapping(row, "historicalFunding[]")
        listing = self._listing(market_name(need(fields, "ticker")))
        if listing is not None:
            value, at = rate(need(fields, "rate")), iso_ms(need(fields, "effectiveAt"))
            out.append(self._funding(listing, value, INTERVAL_H, None, at, recv_ts, settled=True))

    def _by_name(self, name: str) -> Listing | None:
        """BTC-USD. A permissionless market's symbol is all before -USD: its token may only look like a known one."""
        base = name.removesuffix(QUOTE)
        if base == name or not base or len(name) > MAX_NAME:
            return None
        symbol, multiplier = canonical(base)
        return self._guess(name, symbol, multiplier, False, multiplier)

    def _instrument(self, known: Listing, fields: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        trading = label(need(fields, "status"), "status") == "ACTIVE"
        name, size = known.instrument, known.multiplier
        self._list(Listing(self.venue, name, known.symbol, False, size, size, INTERVAL_H, trading, recv_ts), out)
