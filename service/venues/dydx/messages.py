"""dYdX v4: frames and HTTP answers to observations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.errors import BadPayload
from service.model import STREAMS, Listing, Stream
from service.venues.contract import Catalog
from service.venues.dydx.history import ROWS, tell_past, tell_settlement
from service.venues.dydx.metadata import INTERVAL_H, MAX_NAME, by_name, list_market
from service.venues.dydx.trades import tell_trades
from service.venues.emit import PONG, Emit
from service.venues.funding_schedule import next_hour
from service.venues.history import subject_of
from service.venues.numbers import coins, iso_ms, price, rate
from service.venues.reading import echo, items, label, mapping, unknown
from service.venues.trades import Trades

MARKETS = "v4_markets"
TRADES = "v4_trades"
FIELDS: dict[str, tuple[Stream, Callable[[Any], float]]] = {
    "oraclePrice": ("mark", price),
    "nextFundingRate": ("funding", rate),
    "openInterest": ("oi", coins),
}
# Fields the 30 s task sends of those markets in which they changed.
TASK_FIELDS = frozenset(("openInterest", "nextFundingRate", "volume24H", "trades24H", "priceChange24H"))
OURS = ("subscribe", "unsubscribe", "ping")  # requests, as recordings hold them
UNUSED_ANSWERS = ("height", "epoch", "trades", "candles", "bids")
MARKETS_MOST = 1000  # rows of an answer of the Indexer, which has no further pages of them
CUT = "unknown"  # where the rest of a list begins that was cut there


class DydxDecoder:
    """See :class:`service.venues.contract.Decoder`.

    Every field is sent as a whole value; what is held here tells which streams an update that leaves them out confirms.
    """

    def __init__(self, venue: str, catalog: Catalog) -> None:
        self._emit = Emit(venue, catalog, by_name, self._read)
        self.decode = self._emit.frame
        self._trades = Trades(self._emit)
        self._markets: dict[str, dict[Stream, float]] = {}  # readable values in force on this connection
        self._untold: set[str] = set()  # markets whose values have come while they were not active
        self._block: tuple[object, int] = (object(), 0)  # its time as the venue writes it with each price, and in ms
        # What the frame under way has said, so that the rest can be confirmed, and by which source:
        self._touched: set[tuple[str, Stream]] = set()
        self._prices_at = 0  # newest block time of its oracle prices
        self._task = False
        self._kinds: dict[str, Callable[[dict[str, Any]], None]] = {
            "channel_batch_data": lambda frame: self._data(frame, True),
            "channel_data": lambda frame: self._data(frame, False),
            "subscribed": self._subscribed,
            "error": lambda frame: self._emit.control("refused", _topic(frame), echo(frame.get("message"))),
            "pong": lambda frame: self._emit.out.append(PONG),
            "connected": self._info,
            "unsubscribed": self._info,
        } | dict.fromkeys(OURS, lambda frame: None)

    def _read(self, parsed: Any, context: str, wrapped: bool = False) -> None:
        emit = self._emit
        if type(parsed) is not dict:
            raise BadPayload("unknown_shape", type(parsed).__name__)
        if context and (asked := subject_of(context)) is not None and "errors" not in parsed:
            tell_past(emit, parsed, *asked)
        elif "type" in parsed:
            kind = label(parsed["type"], "type")
            handler = self._kinds.get(kind)
            if handler is None:
                raise BadPayload("unknown_shape", f"type {kind}")
            handler(parsed)
        elif "markets" in parsed:
            self._answer(parsed["markets"], context)
        elif ROWS in parsed:
            emit.each(parsed[ROWS], ROWS, tell_settlement, emit)
        elif "errors" in parsed:
            first = next(iter(items(parsed["errors"], "errors")), None)
            emit.control("refused", None, echo(first.get("msg")) if type(first) is dict else "")
        elif "result" in parsed and "status" in parsed and not wrapped:
            self._read(parsed["result"], context, wrapped=True)  # recordings wrap HTTP answers, once
        elif not any(key in parsed for key in UNUSED_ANSWERS):
            raise unknown(parsed)

    def _answer(self, markets: Any, context: str) -> None:
        """All markets, or one. As metadata only the instruments count: the socket is ahead of these read replicas."""
        if context == "markets":
            self._each(markets, "markets", self._metadata)
            self._emit.delist_absent(context, CUT if len(markets) >= MARKETS_MOST else "")
        else:
            self._each(markets, "markets", self._market)

    def _metadata(self, name: str, row: Any) -> None:
        known = self._emit.find(name)
        if known is None:
            self._emit.skipped(name[:MAX_NAME], "foreign")
        else:
            self._emit.named(known.instrument)
            list_market(self._emit, known.instrument, mapping(row, "market"))

    def _info(self, frame: dict[str, Any]) -> None:
        self._emit.control("info", _topic(frame), frame["type"])

    # -- the channels ------------------------------------------------------------------------------------------

    def _subscribed(self, frame: dict[str, Any]) -> None:
        self._emit.control("ack", _topic(frame), "subscribed")
        if frame.get("channel") == MARKETS:
            contents = frame["contents"]
            self._markets, self._untold = {}, set()
            self._each(mapping(contents, "contents")["markets"], "markets", self._market)

    def _data(self, frame: dict[str, Any], batch: bool) -> None:
        channel = frame.get("channel")
        if channel != MARKETS and channel != TRADES:
            return
        contents = frame["contents"]
        parts = items(contents, "contents") if batch else [contents]
        if channel == TRADES:
            tell_trades(self._emit, self._trades, frame["id"], parts)
            return
        self._touched, self._prices_at, self._task = set(), 0, False
        self._emit.each(parts, "contents", self._update)
        self._confirm()

    def _update(self, value: Any) -> None:
        contents = mapping(value, "contents")
        if "trading" in contents:
            rows = contents["trading"]
            self._each(rows, "trading", self._market)
            if any(type(row) is dict and not TASK_FIELDS.isdisjoint(row) for row in rows.values()):
                self._task = True
        if "oraclePrices" in contents:
            self._each(contents["oraclePrices"], "oraclePrices", self._oracle)

    def _each(self, rows: Any, what: str, handler: Callable[[str, Any], None]) -> None:
        """As :meth:`service.venues.emit.Emit.each`, of rows by name."""
        for name, row in mapping(rows, what).items():
            try:
                handler(name, row)
            except (BadPayload, KeyError) as error:
                self._emit.bad(error)

    # -- markets -----------------------------------------------------------------------------------------------

    def _oracle(self, name: str, row: Any) -> None:
        try:
            fields = mapping(row, "oraclePrices[]")
            stamp = fields["effectiveAt"]
            if stamp != self._block[0]:
                self._block = (stamp, iso_ms(stamp))
            value = fields["oraclePrice"]
        except (BadPayload, KeyError):
            self._forget(name, ("mark",))
            raise
        at = self._block[1]
        self._prices_at = max(self._prices_at, at)
        listing = self._emit.find(name)
        if listing is not None:
            self._take(listing, {"oraclePrice": value}, at)

    def _market(self, name: str, row: Any) -> None:
        """Fields of one market, all or some."""
        listing = self._emit.find(name)
        if listing is None:
            return
        try:
            fields = mapping(row, "market")
            if fields.get("ticker", name) != name:
                raise BadPayload("bad_name", f"{echo(fields['ticker'])} under {name}"[:80])
            if "status" in fields:
                list_market(self._emit, name, fields)
        except BadPayload:
            self._forget(name, STREAMS)
            raise
        self._take(self._emit.catalog.listings.get(name, listing), fields, None)

    def _forget(self, name: str, streams: tuple[Stream, ...]) -> None:
        """What a refused row may have changed must not be confirmed."""
        for stream in streams:
            self._markets.get(name, {}).pop(stream, None)
            self._touched.add((name, stream))

    def _take(self, listing: Listing, fields: dict[str, Any], venue_ts: int | None) -> None:
        """Values of one market: held, and told if it is active; when it becomes active, those held are told too."""
        name, trading = listing.instrument, listing.trading
        values, touched = self._markets.setdefault(name, {}), self._touched
        revived = trading and name in self._untold
        if revived:
            self._untold.discard(name)
        elif not trading:
            self._untold.add(name)
        for key, (stream, parse) in FIELDS.items():
            if key not in fields and not (revived and stream in values):
                continue
            touched.add((name, stream))
            try:
                if key in fields:
                    values.pop(stream, None)
                    if fields[key] is None or fields[key] == "":
                        continue  # not said, never 0
                    values[stream] = parse(fields[key])
                if trading:
                    self._tell(stream, listing, values[stream], venue_ts)
            except BadPayload as error:
                self._emit.bad(error)

    def _tell(self, stream: Stream, listing: Listing, value: float, venue_ts: int | None) -> None:
        emit = self._emit
        if stream == "mark":
            emit.mark(listing, value, value, venue_ts)
        elif stream == "funding":
            emit.funding(listing, value, INTERVAL_H, next_hour(emit.recv_ts), None)
        else:
            emit.open_interest(listing, value, listing.multiplier, value * listing.multiplier, False, None)

    def _confirm(self) -> None:
        """Each source sends all that changed: its sending vouches for every value it has left out.

        Oracle prices of a block vouch for the other prices as of that block, a message of the 30 s task for the other
        funding rates and open interests. A quiet market thus stays fresh, and nothing does when the source stops.
        """
        emit, touched, prices_at, task = self._emit, self._touched, self._prices_at, self._task
        for name, values in self._markets.items():
            listing = emit.find(name)
            if listing is None or not listing.trading or name in self._untold:
                continue
            if prices_at and "mark" in values and (name, "mark") not in touched:
                emit.confirm(listing, ("mark",), prices_at)
            if task:
                rest = tuple(item for item in values if item != "mark" and (name, item) not in touched)
                if rest:
                    emit.confirm(listing, rest, None)


def _topic(frame: dict[str, Any]) -> str | None:
    """What a message is about."""
    return ":".join(echo(frame[part]) for part in ("channel", "id") if part in frame) or None
