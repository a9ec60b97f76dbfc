"""BitMEX perpetuals: everything from the `instrument` table, a partial and then changed fields of its rows.

Facts from the venue page: absent in a partial is null, absent in an update unchanged; `openInterest` counts contracts
of 1 USD (inverse), 1/`underlyingToPositionMultiplier` coins (linear) or `multiplier` satoshi per unit of price (quanto,
converted here through the bitcoin index); `indicativeSettlePrice` is the index; `fundingRate` will be charged at
`fundingTimestamp`; row times lack in some updates and are rounded in others, so that they order the rows that have the
same field, and an untimed row is as late as it comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.errors import BadPayload
from service.model import (
    Bad,
    Confirm,
    Control,
    Decoded,
    Endpoints,
    ExtraStream,
    Listing,
    OpenInterest,
    Skipped,
    Stream,
    StreamRule,
    VenueRules,
)
from service.venues.bitmex.messages import (
    FIELDS,
    GRID_MS,
    MAIN_FIELD,
    Row,
    canonical_base,
    contract_size,
    interval_h,
    order_of,
    quanto_coins,
    row_time,
)
from service.venues.bitmex.trades import KEEPALIVE, BitmexExtras, extra_plans, history_requests, subscription
from service.venues.contract import Catalog, ConnectionPlan, Limits, Request, Streamed
from service.venues.emit import echo, guarded, items, label, mapping, need
from service.venues.numbers import iso_ms, rate, text
from service.venues.symbols import USD_QUOTES, base_of

TOPIC = "instrument:"
BITCOIN = "XBTUSD"  # its index converts quanto contracts, which are worth satoshi
BITCOIN_AGE_MS = 60_000
PERPETUAL = "FFWCSX"
UNUSED_ROWS = ("leavesQty", "trdMatchID", "trdType", "bidSize", "rootSymbol", "orderID")


class Bitmex(Streamed):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = "bitmex"
    title = "BitMEX perpetuals"
    endpoints = Endpoints(ws={"realtime": "wss://ws.bitmex.com/realtime"}, rest="https://www.bitmex.com/api/v1")
    limits = Limits(
        connects=60,
        connect_period_s=3600.0,
        sends_per_s=10.0,
        rest_weight=30.0,
        rest_period_s=60.0,
        max_topics=200,
    )
    rules = VenueRules(
        venue="bitmex",
        exchange="bitmex",
        mark=StreamRule(15_000, "send"),
        funding=StreamRule(300_000, "send"),
        oi=StreamRule(60_000, "send"),
        index_max_age_ms=15_000,
        funding_cap_8h=0.16,
    )

    def decoder(self, catalog: Catalog) -> BitmexDecoder:
        return BitmexDecoder(catalog)

    def frames_of(self, document: object) -> Sequence[object]:
        """An array of rows is one HTTP answer; an array of messages is several frames."""
        if isinstance(document, list) and any(_is_message(item) for item in document):
            return document
        return [document]

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        return [Request("GET", f"{endpoints.rest}/instrument/active", context="instruments")]

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        plans: list[ConnectionPlan] = []
        per_socket = self.limits.max_topics - 1
        for start in range(0, len(listings), per_socket):
            part = listings[start : start + per_socket]
            names = [item.instrument for item in part]
            expects: list[tuple[str, Stream]] = [(name, stream) for name in names for stream in MAIN_FIELD]
            if any(item.contract_size is None for item in part):  # quanto contracts need the price of bitcoin
                expects += [] if BITCOIN in names else [(BITCOIN, "mark")]
                names = [BITCOIN, *(name for name in names if name != BITCOIN)]
            plans.append(
                ConnectionPlan(
                    name=f"realtime-{len(plans) + 1}",
                    url=endpoints.ws["realtime"],
                    # One request per instrument: an expired symbol fails its whole request.
                    frames=tuple(subscription(TOPIC + name) for name in names),
                    expects=tuple(expects),
                    acks=len(names),
                    keepalive=KEEPALIVE,
                )
            )
        return plans + extra_plans(endpoints.ws["realtime"], listings, extras, self.limits.max_topics)

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        """Settled rates only: the venue publishes no past mark prices and no past open interest."""
        return history_requests(endpoints.rest, listing, since_ms, now_ms)


def _is_message(item: object) -> bool:
    return isinstance(item, dict) and any(key in item for key in ("table", "success", "info", "op", "status"))


class BitmexDecoder(BitmexExtras):
    """Frames and HTTP answers of the venue."""

    venue = "bitmex"

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog)
        self._rows: dict[str, Row] = {}
        self._bitcoin: tuple[float, int] | None = None  # index in USD, and when it was last vouched for

    def _read(self, parsed: Any, recv_ts: int, context: str, out: list[Decoded]) -> None:
        if type(parsed) is list and (parsed or context):
            self._answer(parsed, recv_ts, context, out)
        elif type(parsed) is not dict:
            raise BadPayload("unknown_shape", type(parsed).__name__)
        elif "table" in parsed:
            self._table(label(parsed["table"], "table"), parsed, recv_ts, out)
        elif "success" in parsed:
            topic = echo(parsed.get("subscribe", parsed.get("unsubscribe"))) or None
            out.append(Control("ack" if parsed["success"] is True else "refused", topic, echo(parsed.get("error"))))
        elif "error" in parsed:
            out.append(_refusal(parsed))
        elif "info" in parsed:
            out.append(Control("info", None, echo(parsed["info"])))
        elif "op" not in parsed:  # else a request of ours, as recordings hold them
            self._any_row(parsed, recv_ts, out)

    # -- table protocol ----------------------------------------------------------------------------------------

    def _table(self, table: str, frame: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        if table not in ("instrument", "funding", "trade", "liquidation"):
            return  # quotes, books: not used
        action = label(need(frame, "action"), "action")
        if action not in ("partial", "insert", "update", "delete"):
            raise BadPayload("unknown_shape", f"action {action}")
        rows = items(need(frame, "data"), "data")
        if table == "trade":
            self._trades(action, rows, recv_ts, out)
            return
        if table == "liquidation":
            self._liquidations(action, rows, recv_ts, out)
            return
        if table == "instrument":
            handler = {"update": self._update, "delete": self._delete}.get(action, self._insert)
        elif action in ("partial", "insert"):
            handler = self._settlement
        else:
            return
        for row in _bitcoin_first(rows):
            guarded(out, handler, row, recv_ts, out)

    def _insert(self, value: Any, recv_ts: int, out: list[Decoded]) -> None:
        """A whole row: the state starts anew."""
        fields = mapping(value, "data[]")
        name = text(need(fields, "symbol"))
        self._rows.pop(name, None)
        self._rows[name] = self._whole(name, fields, recv_ts, out)

    def _whole(self, name: str, fields: dict[str, Any], recv_ts: int, out: list[Decoded]) -> Row:
        row = Row()
        if "typ" in fields:
            row.take_terms(fields, recv_ts)
            guarded(out, self._instrument, name, fields, recv_ts, out)
        listing = self._listing(name)
        if listing is not None:
            self._merge(listing, row, fields, recv_ts, out)
        return row

    def _update(self, value: Any, recv_ts: int, out: list[Decoded]) -> None:
        fields = mapping(value, "data[]")
        name = text(need(fields, "symbol"))
        row = self._rows.get(name)
        if row is None:
            return  # nothing counts before the partial
        if row.take_terms(fields, recv_ts):
            row.unpriced = True  # the same contracts may now be other coins
            if "typ" in row.terms and not guarded(out, self._instrument, name, row.terms, recv_ts, out):
                row.doubt("openInterest")
        listing = self._listing(name)
        if listing is not None:
            self._merge(listing, row, fields, recv_ts, out)

    def _delete(self, value: Any, recv_ts: int, out: list[Decoded]) -> None:
        name = text(need(mapping(value, "data[]"), "symbol"))
        if self._rows.pop(name, None) is not None:
            self._delist(name, recv_ts, out)

    def _merge(self, listing: Listing, row: Row, fields: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        """Take the fields present into ``row``, tell the streams they touch, confirm the others.

        A late row (one stamped before a row merged already) changes only fields that no later row had and confirms
        nothing: what it leaves out was unchanged then, not now.
        """
        try:
            venue_ts = row_time(fields)
        except BadPayload:
            for key in FIELDS:
                if key in fields:
                    row.doubt(key)
            raise
        ordered = order_of(venue_ts, recv_ts)
        late = row.is_late(ordered)
        touched: list[Stream] = []
        failed: list[Stream] = []
        for key, (stream, parse) in FIELDS.items():
            if key in fields and row.takes(key, ordered):
                row.doubt(key)
                touched.append(stream)
                if fields[key] is None or fields[key] == "":
                    continue  # cleared, never 0
                try:
                    row.values[key] = parse(fields[key])
                except BadPayload as error:
                    failed.append(stream)
                    out.append(Bad(error.reason, f"{key}: {error.detail}"[:80]))
        vouched: list[Stream] = []
        for stream, key in MAIN_FIELD.items():
            if stream in failed:
                continue
            if stream in touched:
                at = venue_ts if ordered is None else row.said_at.get(stream)
                guarded(out, self._tell, stream, listing, row, at, recv_ts, out)
            elif stream == "oi" and row.unpriced:
                guarded(out, self._priced, listing, row, recv_ts, out)
            elif key in row.values and (stream != "mark" or row.values.get("indicativeSettlePrice", 0.0) is not None):
                vouched.append(stream)
        if late or ordered != venue_ts:
            return
        if listing.instrument == BITCOIN and "mark" not in failed:
            known = [row.values.get(key) for key in ("indicativeSettlePrice", "markPrice")]
            self._bitcoin = next(((value, recv_ts) for value in known if value is not None), None)
        as_of = None if venue_ts is None else venue_ts // GRID_MS * GRID_MS
        streams = tuple(vouched) if as_of is None else row.confirmable(vouched, as_of)
        if streams:
            out.append(Confirm(self.venue, listing.instrument, listing.symbol, streams, as_of, recv_ts))

    def _tell(
        self, stream: Stream, listing: Listing, row: Row, venue_ts: int | None, recv_ts: int, out: list[Decoded]
    ) -> None:
        values: dict[str, Any] = row.values
        if stream == "mark":
            mark, index = values.get("markPrice"), values.get("indicativeSettlePrice")
            if mark is not None or index is not None:
                out.append(self._mark(listing, mark, index, venue_ts, recv_ts))
        elif stream == "funding":
            if "fundingRate" in values:
                hours = values.get("fundingInterval", listing.interval_h)
                next_ts = values.get("fundingTimestamp")
                out.append(self._funding(listing, values["fundingRate"], hours, next_ts, venue_ts, recv_ts))
        elif "openInterest" in values:
            found = self._interest(listing, row, values["openInterest"], venue_ts, recv_ts)
            row.unpriced = isinstance(found, Skipped) and found.reason == "no_mark"
            out.append(found)
        else:
            row.unpriced = False

    def _priced(self, listing: Listing, row: Row, recv_ts: int, out: list[Decoded]) -> None:
        """Open interest that had no price to be converted through, or other terms: told once it can be."""
        contracts = row.values.get("openInterest")
        found = None if contracts is None else self._interest(listing, row, contracts, None, recv_ts)
        if isinstance(found, OpenInterest):
            row.unpriced = False
            out.append(found)

    def _interest(
        self, listing: Listing, row: Row, contracts: float, venue_ts: int | None, recv_ts: int
    ) -> OpenInterest | Skipped:
        """Contracts times the coins of one: through the mark (inverse), or the bitcoin index (quanto)."""
        if row.terms.get("isQuanto") is True:
            if row.terms.get("settlCurrency") != "XBt":
                return Skipped(self.venue, listing.instrument, "unknown_contract_size")
            bitcoin = self._bitcoin
            if bitcoin is None or recv_ts - bitcoin[1] > BITCOIN_AGE_MS:
                return Skipped(self.venue, listing.instrument, "no_mark")
            size = quanto_coins(row.terms, bitcoin[0]) * listing.multiplier
            return self._open_interest(listing, contracts, size, contracts * size, True, venue_ts, recv_ts)
        return self._contracts(listing, contracts, row.values.get("markPrice"), venue_ts, recv_ts)

    # -- HTTP answers ------------------------------------------------------------------------------------------

    def _answer(self, rows: list[Any], recv_ts: int, context: str, out: list[Decoded]) -> None:
        """As metadata only the instruments count: the socket is ahead of this answer."""
        if self._past_answer(rows, recv_ts, context, out):
            return
        for row in _bitcoin_first(rows):
            guarded(out, self._metadata if context == "instruments" else self._any_row, row, recv_ts, out)
        if context == "instruments":
            self._delist_absent(out, recv_ts)

    def _metadata(self, value: Any, recv_ts: int, out: list[Decoded]) -> None:
        fields = mapping(value, "row")
        self._instrument(text(need(fields, "symbol")), fields, recv_ts, out)

    def _any_row(self, value: Any, recv_ts: int, out: list[Decoded]) -> None:
        """A row outside the table protocol, told by its fields."""
        fields = mapping(value, "row")
        if "fundingRateDaily" in fields:
            self._settlement(fields, recv_ts, out)
        elif "symbol" in fields and any(key in fields for key in ("typ", *FIELDS)):
            self._whole(text(fields["symbol"]), fields, recv_ts, out)
        elif not any(key in fields for key in UNUSED_ROWS):
            raise BadPayload("unknown_shape", ",".join(list(fields)[:5])[:80])

    def _settlement(self, value: Any, recv_ts: int, out: list[Decoded]) -> None:
        """A row of the funding table: a rate that was charged."""
        fields = mapping(value, "funding[]")
        listing = self._listing(text(need(fields, "symbol")))
        if listing is not None:
            charged, hours = rate(need(fields, "fundingRate")), interval_h(need(fields, "fundingInterval"))
            at = iso_ms(need(fields, "timestamp"))
            out.append(self._funding(listing, charged, hours, None, at, recv_ts, settled=True))

    # -- metadata ----------------------------------------------------------------------------------------------

    def _by_name(self, name: str) -> Listing | None:
        """XBTUSDT is a perpetual; dated futures end in month and year, spot has an underscore, indices a dot.

        Only of XBTUSD does the name tell the contract: other names on USD are quanto or inverse.
        """
        base = None if "_" in name or name.startswith(".") else base_of(name, USD_QUOTES)
        if base is None:
            return None
        symbol, multiplier = canonical_base(base)
        inverse = name == BITCOIN
        return self._guess(name, symbol, multiplier, inverse, 1.0 if inverse else None)

    def _instrument(self, name: str, row: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        currency = row.get("quoteCurrency")
        quoted = type(currency) is str and currency.upper() in USD_QUOTES
        if label(need(row, "typ"), "typ") != PERPETUAL or not quoted:
            self._refuse(name, recv_ts, out)
            return
        inverse, quanto = need(row, "isInverse"), need(row, "isQuanto")
        if type(inverse) is not bool or type(quanto) is not bool:
            raise BadPayload("wrong_type", "isInverse or isQuanto")
        by_name = self._by_name(name)  # the contract's unit stands in its name
        underlying = text(need(row, "underlying"))
        symbol, multiplier = canonical_base(underlying) if by_name is None else (by_name.symbol, by_name.multiplier)
        size = None if quanto else contract_size(row, inverse, multiplier)
        trading = label(need(row, "state"), "state") == "Open"
        known = self._catalog.listings.get(name)
        hours = None if known is None else known.interval_h  # an update of other terms does not name it
        if row.get("fundingInterval") is not None:
            hours = interval_h(row["fundingInterval"])
        self._list(Listing(self.venue, name, symbol, inverse, size, multiplier, hours, trading, recv_ts), out)


def _bitcoin_first(rows: list[Any]) -> list[Any]:
    """The row that converts quanto contracts before those it converts."""
    return sorted(rows, key=lambda row: not (type(row) is dict and row.get("symbol") == BITCOIN))


def _refusal(frame: dict[str, Any]) -> Control:
    """400, 429 and HTTP errors, with the topics asked for where they are echoed."""
    error, request = frame["error"], frame.get("request")
    message = error.get("message") if type(error) is dict else error
    asked = request.get("args") if type(request) is dict else None
    topics = ",".join(item for item in asked if type(item) is str) if type(asked) is list else asked
    return Control("refused", echo(topics) or None, f"{echo(frame.get('status'))} {echo(message)}".strip())
