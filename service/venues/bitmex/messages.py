"""BitMEX: frames and HTTP answers to observations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.errors import BadPayload
from service.model import Listing, Stream
from service.venues.bitmex.history import tell_past
from service.venues.bitmex.metadata import BITCOIN, by_name, interval_h, quanto_coins, read_instrument
from service.venues.bitmex.rows import FIELDS, GRID_MS, MAIN_FIELD, Row, order_of, row_time
from service.venues.bitmex.trades import ExtraRows
from service.venues.contract import Catalog
from service.venues.emit import Emit, contract_coins
from service.venues.history import subject_of
from service.venues.numbers import iso_ms, rate, text
from service.venues.reading import echo, items, label, mapping, unknown

BITCOIN_AGE_MS = 60_000
ACTIONS = ("partial", "insert", "update", "delete")
UNUSED_ROWS = ("leavesQty", "trdMatchID", "trdType", "bidSize", "rootSymbol", "orderID")


class BitmexDecoder:
    """See :class:`service.venues.contract.Decoder`."""

    def __init__(self, venue: str, catalog: Catalog) -> None:
        self._emit = Emit(venue, catalog, by_name, self._read)
        self.decode = self._emit.frame
        self._rows: dict[str, Row] = {}
        self._bitcoin: tuple[float, int] | None = None  # index in USD, and when it was last vouched for
        extra = ExtraRows(self._emit)
        self._tables: dict[str, Callable[[str, list[Any]], None]] = {  # quotes, books: not used
            "instrument": self._instruments,
            "funding": self._settlements,
            "trade": extra.trades,
            "liquidation": extra.liquidations,
        }

    def _read(self, parsed: Any, context: str) -> None:
        if type(parsed) is list and (parsed or context):
            self._answer(parsed, context)
        elif type(parsed) is not dict:
            raise BadPayload("unknown_shape", type(parsed).__name__)
        elif "table" in parsed:
            self._table(parsed)
        elif "success" in parsed:
            topic = echo(parsed.get("subscribe", parsed.get("unsubscribe"))) or None
            self._emit.control("ack" if parsed["success"] is True else "refused", topic, echo(parsed.get("error")))
        elif "error" in parsed:
            self._refused(parsed)
        elif "info" in parsed:
            self._emit.control("info", None, echo(parsed["info"]))
        elif "op" not in parsed:  # else a request of ours, as recordings hold them
            self._any_row(parsed)

    def _refused(self, frame: dict[str, Any]) -> None:
        """400, 429 and HTTP errors, with the topics asked for where they are echoed."""
        error, request = frame["error"], frame.get("request")
        message = error.get("message") if type(error) is dict else error
        asked = request.get("args") if type(request) is dict else None
        topics = ",".join(item for item in asked if type(item) is str) if type(asked) is list else asked
        said = f"{echo(frame.get('status'))} {echo(message)}".strip()
        self._emit.control("refused", echo(topics) or None, said)

    # -- table protocol ----------------------------------------------------------------------------------------

    def _table(self, frame: dict[str, Any]) -> None:
        handler = self._tables.get(label(frame["table"], "table"))
        if handler is None:
            return
        action = label(frame["action"], "action")
        if action not in ACTIONS:
            raise BadPayload("unknown_shape", f"action {action}")
        handler(action, items(frame["data"], "data"))

    def _instruments(self, action: str, rows: list[Any]) -> None:
        handler = self._update if action == "update" else self._delete if action == "delete" else self._insert
        self._emit.each(_bitcoin_first(rows), "data", handler)

    def _insert(self, value: Any) -> None:
        """A whole row: the state starts anew."""
        fields = mapping(value, "data[]")
        name = text(fields["symbol"])
        self._rows.pop(name, None)
        self._rows[name] = self._whole(name, fields)

    def _whole(self, name: str, fields: dict[str, Any]) -> Row:
        emit, row = self._emit, Row()
        if "typ" in fields:
            row.take_terms(fields, emit.recv_ts)
            emit.guard(read_instrument, name, fields, emit)
        listing = emit.find(name) if "typ" in fields else emit.listing(name)  # said once that it is foreign
        if listing is not None:
            self._merge(listing, row, fields)
        return row

    def _update(self, value: Any) -> None:
        emit, fields = self._emit, mapping(value, "data[]")
        name = text(fields["symbol"])
        row = self._rows.get(name)
        if row is None:
            return  # nothing counts before the partial
        if row.take_terms(fields, emit.recv_ts):
            row.unpriced = True  # the same contracts may now be other coins
            if "typ" in row.terms and not emit.guard(read_instrument, name, row.terms, emit):
                row.doubt("openInterest")
        listing = emit.find(name)
        if listing is not None:
            self._merge(listing, row, fields)

    def _delete(self, value: Any) -> None:
        name = text(mapping(value, "data[]")["symbol"])
        if self._rows.pop(name, None) is not None:
            self._emit.delist(name)

    def _merge(self, listing: Listing, row: Row, fields: dict[str, Any]) -> None:
        """Take the fields present into ``row``, tell the streams they touch, confirm the others.

        A late row (one stamped before a row merged already) changes only fields that no later row had and confirms
        nothing: what it leaves out was unchanged then, not now.
        """
        emit, values = self._emit, row.values
        try:
            venue_ts = row_time(fields)
        except BadPayload:
            for key in FIELDS:
                if key in fields:
                    row.doubt(key)
            raise
        ordered = order_of(venue_ts, emit.recv_ts)
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
                    values[key] = parse(fields[key])
                except BadPayload as error:
                    if key != "indicativeSettlePrice":  # the index costs itself: the mark beside it counts
                        failed.append(stream)
                    emit.bad(error)
        vouched: list[Stream] = []
        for stream, key in MAIN_FIELD.items():
            if stream in failed:
                continue
            if stream in touched:
                emit.guard(self._tell, stream, listing, row, venue_ts if ordered is None else row.said_at.get(stream))
            elif stream == "oi" and row.unpriced:
                emit.guard(self._priced, listing, row)
            elif key in values and (stream != "mark" or values.get("indicativeSettlePrice", 0.0) is not None):
                vouched.append(stream)
        if late or ordered != venue_ts:
            return
        if listing.instrument == BITCOIN and "mark" not in failed:
            index, mark = values.get("indicativeSettlePrice"), values.get("markPrice")
            bitcoin = mark if index is None else index
            self._bitcoin = None if bitcoin is None else (bitcoin, emit.recv_ts)
        if vouched:
            as_of = None if venue_ts is None else venue_ts // GRID_MS * GRID_MS
            streams = tuple(vouched) if as_of is None else row.confirmable(vouched, as_of)
            if streams:
                emit.confirm(listing, streams, as_of)

    # -- streams -----------------------------------------------------------------------------------------------

    def _tell(self, stream: Stream, listing: Listing, row: Row, venue_ts: int | None) -> None:
        emit, values = self._emit, row.values
        if stream == "mark":
            mark, index = values.get("markPrice"), values.get("indicativeSettlePrice")
            if mark is not None or index is not None:
                emit.mark(listing, mark, index, venue_ts)
        elif stream == "funding":
            if "fundingRate" in values:
                hours = values.get("fundingInterval", listing.interval_h)
                emit.funding(listing, values["fundingRate"], hours, values.get("fundingTimestamp"), venue_ts)
        elif "openInterest" in values:
            why_not = self._interest(listing, row, venue_ts)
            row.unpriced = why_not == "no_mark"
            if why_not is not None:
                emit.skipped(listing.instrument, why_not)
        else:
            row.unpriced = False

    def _priced(self, listing: Listing, row: Row) -> None:
        """Open interest that had no price to be converted through, or other terms: told once it can be."""
        if "openInterest" in row.values and self._interest(listing, row, None) is None:
            row.unpriced = False

    def _interest(self, listing: Listing, row: Row, venue_ts: int | None) -> str | None:
        """Contracts times the coins of one: through the mark (inverse), or the bitcoin index (quanto). Why it cannot be
        told, else None."""
        emit, mark, quanto = self._emit, row.values.get("markPrice"), row.terms.get("isQuanto") is True
        if quanto:
            if row.terms.get("settlCurrency") != "XBt":
                return "unknown_contract_size"
            if self._bitcoin is None or emit.recv_ts - self._bitcoin[1] > BITCOIN_AGE_MS:
                return "no_mark"
            size: float | None = quanto_coins(row.terms, self._bitcoin[0]) * listing.multiplier
        else:
            size = listing.contract_size if mark is None else contract_coins(listing, mark)
        if size is None:
            return "unknown_contract_size"
        if listing.inverse and not quanto and mark is None:
            return "no_mark"
        contracts = row.values["openInterest"]
        emit.open_interest(listing, contracts, size, contracts * size, quanto or listing.inverse, venue_ts)
        return None

    def _settlements(self, action: str, rows: list[Any]) -> None:
        if action in ("partial", "insert"):
            self._emit.each(_bitcoin_first(rows), "data", self._settlement)

    def _settlement(self, value: Any) -> None:
        """A row of the funding table: a rate that was charged."""
        fields = mapping(value, "funding[]")
        listing = self._emit.listing(fields["symbol"])
        if listing is not None:
            charged, hours = rate(fields["fundingRate"]), interval_h(fields["fundingInterval"])
            self._emit.funding(listing, charged, hours, None, iso_ms(fields["timestamp"]), settled=True)

    # -- HTTP answers ------------------------------------------------------------------------------------------

    def _answer(self, rows: list[Any], context: str) -> None:
        """As metadata only the instruments count: the socket is ahead of this answer."""
        emit, asked = self._emit, subject_of(context)
        if asked is not None:
            tell_past(emit, rows, *asked)
        elif context == "instruments":
            emit.each(_bitcoin_first(rows), "rows", self._metadata)
            emit.delist_absent(context)
        else:
            emit.each(_bitcoin_first(rows), "rows", self._any_row)

    def _metadata(self, value: Any) -> None:
        fields = mapping(value, "row")
        read_instrument(text(fields["symbol"]), fields, self._emit)

    def _any_row(self, value: Any) -> None:
        """A row outside the table protocol, told by its fields."""
        fields = mapping(value, "row")
        if "fundingRateDaily" in fields:
            self._settlement(fields)
        elif "symbol" in fields and any(key in fields for key in ("typ", *FIELDS)):
            self._whole(text(fields["symbol"]), fields)
        elif not any(key in fields for key in UNUSED_ROWS):
            raise unknown(fields)


def _bitcoin_first(rows: list[Any]) -> list[Any]:
    """The row that converts quanto contracts before those it converts."""
    if len(rows) < 2:
        return rows
    return sorted(rows, key=lambda row: not (type(row) is dict and row.get("symbol") == BITCOIN))
