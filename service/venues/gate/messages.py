"""Gate: frames and HTTP answers to observations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.errors import BadPayload
from service.model import Listing
from service.venues.contract import Catalog, page_of
from service.venues.emit import PONG, Emit
from service.venues.funding_schedule import stated_and_running
from service.venues.gate.history import SETTLEMENTS, past_of, tell_rates
from service.venues.gate.metadata import (
    INTERVALS_H,
    SIDES,
    SIDES_DOCUMENTED,
    VENUE,
    by_name,
    from_seconds,
    interval_of,
    measure_sides,
    read_instrument,
)
from service.venues.gate.trades import FORCED, STATS, ExtraRows
from service.venues.history import subject_of, tell_history
from service.venues.numbers import coins, price, rate, timestamp_ms
from service.venues.reading import echo, items, label, mapping, readable, unknown

TICKERS, TRADES = "futures.tickers", "futures.trades"
LIQUIDATIONS, STATISTICS = "futures.public_liquidates", "futures.contract_stats"
CONTRACTS_A_PAGE = 100  # rows; documents of other years say 500 or 1,000
LATE_FUNDING_MS = 600_000  # this long after the announced settlement the schedule is broken
UNUSED_FIELDS = ("lsr_taker", "order_price", "create_time", "o")  # statistics, forced orders of old, trades, candles


class GateDecoder:
    """See :class:`service.venues.contract.Decoder`."""

    def __init__(self, catalog: Catalog) -> None:
        self._emit = Emit(VENUE, catalog, by_name, self._read)
        self.decode = self._emit.frame
        self._extra = ExtraRows(self._emit)
        self._updates: dict[str, Callable[[list[Any], int | None], None]] = {  # by channel; candles, books: not used
            TICKERS: self._tickers,
            TRADES: self._extra.trades,
            LIQUIDATIONS: self._extra.liquidations,
            STATISTICS: self._extra.statistics,
        }

    def _read(self, parsed: Any, context: str) -> None:
        if type(parsed) is dict:
            if "channel" in parsed:
                self._message(parsed)
            elif "label" in parsed:  # an HTTP error
                self._emit.control("refused", None, f"{echo(parsed['label'])} {echo(parsed.get('message'))}".strip())
            elif "type" in parsed and "msg" in parsed:  # a notice as the documents had it until 2026
                self._notice(parsed)
            else:
                self._row(parsed)
        elif type(parsed) is list and (parsed or context):
            self._answer(parsed, context)
        else:
            raise BadPayload("unknown_shape", type(parsed).__name__)

    # -- messages ----------------------------------------------------------------------------------------------

    def _message(self, frame: dict[str, Any]) -> None:
        channel, event = label(frame["channel"], "channel"), label(frame.get("event", ""), "event")
        error, handler = frame.get("error"), self._updates.get(channel)
        if handler is not None and error is None and (event == "update" or (event == "all" and channel == TICKERS)):
            sent_ms = _sent_ms(frame)
            handler(_rows_of(frame["result"]), sent_ms)
        elif channel == "futures.pong":
            self._emit.out.append(PONG)
        elif channel == "futures.system":
            self._notice(mapping(frame["result"], "result"))
        elif event in ("subscribe", "unsubscribe"):
            if "result" in frame or "error" in frame:  # else a request of ours, as recordings hold them
                self._acknowledged(channel, event, frame)
        elif error is not None:
            self._emit.control("refused", channel, _reason(error))
        elif channel == TICKERS:
            raise BadPayload("unknown_shape", f"event {event}")

    def _acknowledged(self, channel: str, event: str, frame: dict[str, Any]) -> None:
        payload, result, error = frame.get("payload"), frame.get("result"), frame.get("error")
        key = f"{channel}:{echo(payload[0])}" if type(payload) is list and payload else channel
        accepted = error is None and type(result) is dict and result.get("status") == "success"
        self._emit.control("ack" if accepted else "refused", key, event if error is None else _reason(error))

    def _notice(self, notice: dict[str, Any]) -> None:
        kind = label(notice["type"], "type")
        message = f"{kind} {echo(notice.get('msg'))}".strip()
        self._emit.control("closing" if "upgrade" in kind else "info", None, message)

    # -- tickers -----------------------------------------------------------------------------------------------

    def _tickers(self, rows: list[Any], sent_ms: int | None) -> None:
        self._emit.each(rows, "result", self._ticker, sent_ms)

    def _ticker(self, row: Any, venue_ts: int | None) -> None:
        """Mark, index, running rate and open interest: what is wrong with one does not cost the others."""
        emit, fields = self._emit, mapping(row, "result[]")
        listing, get = emit.listing(fields["contract"]), fields.get
        if listing is None:
            return
        stated, stated_index = get("mark_price", ""), get("index_price", "")
        index = None if stated_index == "" else emit.index_in(fields, "index_price")
        try:
            mark = None if stated == "" else price(stated)
            if mark is not None or index is not None:
                emit.mark(listing, mark, index, venue_ts)
        except BadPayload as error:
            emit.bad(error)
        running = get("funding_rate", "")
        if running != "":
            try:
                self._rate(listing, rate(running), fields, venue_ts)
            except BadPayload as error:
                emit.bad(error)
        size = get("total_size", "")
        if size != "":  # messages without it are known: what was said last then ages
            mark = readable(fields, "mark_price", price) if listing.inverse else None
            sides = emit.catalog.oi_sides or SIDES_DOCUMENTED
            emit.contracts(listing, coins(size) / sides, mark, venue_ts, halved=sides == 2)

    def _rate(self, listing: Listing, running: float, fields: dict[str, Any], venue_ts: int | None) -> None:
        """Interval and next time stand in the message since 2026, the interval also in metadata."""
        seconds, next_s, next_ts = fields.get("funding_interval", ""), fields.get("funding_next_apply", ""), None
        interval_h = listing.interval_h if seconds == "" else interval_of(seconds)
        if next_s not in ("", 0):
            next_ts = from_seconds(next_s)
            if venue_ts is not None and venue_ts - next_ts > LATE_FUNDING_MS:
                raise BadPayload("out_of_bounds", f"next funding {venue_ts - next_ts} ms ago")
            if venue_ts is not None:
                catalog, name = self._emit.catalog, listing.instrument
                interval_h = stated_and_running(catalog, name, interval_h, next_ts, venue_ts, INTERVALS_H)
        self._emit.funding(listing, running, interval_h, next_ts, venue_ts)

    # -- HTTP answers ------------------------------------------------------------------------------------------

    def _answer(self, rows: list[Any], context: str) -> None:
        """Rows that do not say what they are of are told by our request."""
        emit, asked = self._emit, subject_of(context)
        if context.startswith(STATS):
            self._extra.newest_statistic(rows, context.removeprefix(STATS))
        elif context.startswith(FORCED):
            self._extra.forced(rows, context)
        elif context == SIDES:
            measure_sides(rows, emit)
        elif asked is not None:
            listing = emit.listing(asked[1])
            if listing is not None:
                tell_history(emit, past_of(emit, listing, asked[0], rows), listing, asked[0], rows, listing.interval_h)
        elif context.startswith(SETTLEMENTS) or any(type(row) is dict and "r" in row and "t" in row for row in rows):
            tell_rates(emit, rows, context)
        elif any(type(row) is dict and "order_size" in row for row in rows):
            self._extra.forced(rows, "")
        else:
            if not context:  # a recording's tickers
                measure_sides(rows, emit)
            emit.each(rows, "rows", self._row)
            if context.startswith("contracts:"):
                self._listed(rows, context)

    def _listed(self, rows: list[Any], context: str) -> None:
        """A page of a contract list. How many rows a page may have is not certain: a round number may not be all."""
        asked, begins = page_of(context)
        read = (int(begins) if begins.isdecimal() else 0) + len(rows)
        more = str(read) if rows and len(rows) % CONTRACTS_A_PAGE == 0 else ""
        self._emit.delist_absent(context, more, lambda listing: listing.inverse is (asked == "contracts:btc"))

    def _row(self, row: Any) -> None:
        """One row of an HTTP answer, told by its fields."""
        fields = mapping(row, "row")
        if "name" in fields and "quanto_multiplier" in fields:  # the tickers have the latter, too
            read_instrument(fields, self._emit)
        elif any(key in fields for key in UNUSED_FIELDS):
            return
        elif "contract" in fields and ("total_size" in fields or "mark_price" in fields):
            self._ticker(fields, None)
        else:
            raise unknown(fields)


def _sent_ms(frame: dict[str, Any]) -> int | None:
    """When the message was sent. ``time_ms`` is missing in old messages and 0 in some of 2023."""
    sent = frame.get("time_ms", 0)
    if sent != 0:
        return timestamp_ms(sent)
    return from_seconds(frame["time"]) if "time" in frame else None


def _rows_of(result: Any) -> list[Any]:
    """The rows of a message in any of its three shapes."""
    if type(result) is dict:
        return [result]
    rows: list[Any] = []
    for row in items(result, "result"):
        if type(row) is list:
            rows.extend(row)
        else:
            rows.append(row)
    return rows


def _reason(error: Any) -> str:
    if type(error) is dict:
        return f"{echo(error.get('code'))} {echo(error.get('message'))}".strip()
    return echo(error)
