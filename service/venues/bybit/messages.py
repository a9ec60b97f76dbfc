"""Bybit: frames and HTTP answers to observations. Stateful in the deltas of tickers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.errors import BadPayload
from service.model import Listing, Stream
from service.venues.bybit.history import PAST, one_sided, stamp_ms
from service.venues.bybit.metadata import INTERVALS_H, SIDES, SIDES_DOCUMENTED, by_name, read_instrument
from service.venues.bybit.trades import ExtraRows
from service.venues.contract import Catalog
from service.venues.emit import PONG, Emit
from service.venues.funding_schedule import stated_and_running, tell_settlements
from service.venues.history import same_name, subject_of, tell_history
from service.venues.numbers import coins, interval_hours, price, rate, text, timestamp_ms, within
from service.venues.reading import cursor, echo, items, label, mapping, readable, unknown


def _timestamp_or_none(value: Any) -> int | None:
    return None if value == "0" or value == "" else timestamp_ms(value)


_sequence = within(0, 2**63)

# field -> (stream it belongs to, parser)
FIELDS: dict[str, tuple[Stream, Callable[[Any], float | int | None]]] = {
    "markPrice": ("mark", price),
    "indexPrice": ("mark", price),
    "fundingRate": ("funding", rate),
    "nextFundingTime": ("funding", _timestamp_or_none),
    "fundingIntervalHour": ("funding", interval_hours),
    "openInterest": ("oi", coins),
    "singleOpenInterest": ("oi", coins),
}
# Known to be unknown where lost: metadata may be as old as the interval, and a Confirm would bring the old index back.
UNKNOWN = ("fundingIntervalHour", "indexPrice")
MAIN_FIELDS: tuple[tuple[Stream, tuple[str, ...]], ...] = (
    ("mark", ("markPrice",)),
    ("funding", ("fundingRate",)),
    ("oi", ("openInterest", "singleOpenInterest")),
)


class Ticker:
    """One topic's merged state on this connection. A name missing from ``values`` has no value we may claim."""

    __slots__ = ("cs", "ts", "values")

    def __init__(self, cs: int, ts: int) -> None:
        self.cs = cs
        self.ts = ts
        self.values: dict[str, Any] = {}

    def doubt(self, key: str) -> None:
        """The venue changed this field to something unreadable: its old value must not be claimed."""
        self.values.pop(key, None)
        if key in UNKNOWN:
            self.values[key] = None


class BybitDecoder:
    """See :class:`service.venues.contract.Decoder`."""

    def __init__(self, catalog: Catalog) -> None:
        self._emit = Emit("bybit", catalog, by_name, self._read)
        self.decode = self._emit.frame
        self._extra = ExtraRows(self._emit)
        self._tickers: dict[str, Ticker] = {}
        self._topics: dict[str, Callable[[str, dict[str, Any]], None]] = {  # others are not used
            "tickers": self._ticker,
            "publicTrade": self._extra.trades,
            "allLiquidation": self._extra.liquidations,
        }

    def _read(self, parsed: Any, context: str) -> None:
        if type(parsed) is not dict:
            raise BadPayload("unknown_shape", type(parsed).__name__)
        if "topic" in parsed:
            topic, _, name = text(parsed["topic"]).partition(".")
            handler = self._topics.get(topic)
            if handler is not None and name:
                handler(name, parsed)
        elif "retCode" in parsed:
            self._answer(parsed, context)
        elif "success" in parsed or parsed.get("op") == "pong":
            self._control(parsed)
        elif "op" not in parsed:  # with op, without success: a request of ours, as recordings hold them
            raise unknown(parsed)

    def _control(self, frame: dict[str, Any]) -> None:
        key = echo(frame.get("req_id")) or None
        if frame.get("ret_msg") == "pong" or frame.get("op") in ("ping", "pong"):
            self._emit.out.append(PONG)
        elif frame["success"] is True:
            self._emit.control("ack", key, echo(frame.get("op")))
        else:
            self._emit.control("refused", key, echo(frame.get("ret_msg")))

    # -- tickers -----------------------------------------------------------------------------------------------

    def _ticker(self, name: str, frame: dict[str, Any]) -> None:
        listing = self._emit.listing(name)
        if listing is None:
            return
        data = mapping(frame["data"], "data")
        if "usdIndexPrice" in data:
            return  # the spot product of the same name
        ticker = self._tickers.get(name)
        try:
            kind, cs, ts = label(frame["type"], "type"), int(_sequence(frame["cs"])), timestamp_ms(frame["ts"])
            if kind != "delta" and kind != "snapshot":
                raise BadPayload("unknown_shape", f"type {kind}")
            if data.get("symbol", name) != name:
                raise BadPayload("bad_name", f"data of {data['symbol']!r} on topic of {name}"[:80])
        except (BadPayload, KeyError):
            if ticker is not None:  # what a refused message changed is no longer what the venue says
                for key in FIELDS.keys() & data.keys():
                    ticker.doubt(key)
            raise
        if kind == "snapshot":
            if ticker is not None and cs < ticker.cs and ts < ticker.ts:
                return  # an old snapshot replayed; a new one would be stamped later
            ticker = self._tickers[name] = Ticker(cs, ts)
        elif ticker is None or cs < ticker.cs or (cs == ticker.cs and ts < ticker.ts):
            return  # no snapshot yet, or an old delta
        else:
            ticker.cs, ticker.ts = cs, ts
        self._merge(listing, ticker, data, kind == "snapshot")

    def _merge(self, listing: Listing, ticker: Ticker, data: dict[str, Any], complete: bool) -> None:
        """Tell the streams of which something is said, and confirm the others."""
        emit, values, ts = self._emit, ticker.values, ticker.ts
        touched: list[Stream] = []
        failed: list[Stream] = []
        for key in FIELDS:
            if key in data:
                stream, parse = FIELDS[key]
                touched.append(stream)
                raw = data[key]
                if raw == "":
                    values.pop(key, None)  # not applicable, never 0
                    if key == "indexPrice":
                        ticker.doubt(key)
                    continue
                try:
                    values[key] = parse(raw)
                except BadPayload as error:
                    ticker.doubt(key)
                    if key != "indexPrice":  # it costs itself: the mark beside it counts
                        failed.append(stream)
                    emit.bad(BadPayload(error.reason, f"{key}: {error.detail}"[:80]))
        if complete:  # a snapshot names its main fields: a missing one is a changed schema, not "unchanged"
            for stream, keys in MAIN_FIELDS:
                if not any(key in data for key in keys):
                    failed.append(stream)
                    emit.bad(KeyError(keys[0]))
        vouched: list[Stream] = []
        if "mark" in touched:
            if "mark" not in failed:
                mark, index = values.get("markPrice"), values.get("indexPrice")
                if mark is not None or index is not None:
                    emit.mark(listing, mark, index, ts)
        elif "markPrice" in values and "mark" not in failed and values.get("indexPrice", 0.0) is not None:
            vouched.append("mark")
        if "funding" in touched:
            if "funding" not in failed and "fundingRate" in values:
                hours, next_ts = values.get("fundingIntervalHour", listing.interval_h), values.get("nextFundingTime")
                if next_ts is not None:
                    catalog, name = emit.catalog, listing.instrument
                    hours = stated_and_running(catalog, name, hours, next_ts, ts, INTERVALS_H, listing.interval_h)
                emit.funding(listing, values["fundingRate"], hours, next_ts, ts)
        elif "fundingRate" in values and "funding" not in failed:
            vouched.append("funding")
        if "singleOpenInterest" in values or "openInterest" in values:
            if "oi" in failed:
                pass
            elif "oi" in touched:
                contracts, derived = values.get("singleOpenInterest"), False
                if contracts is None:
                    sides = emit.catalog.oi_sides or SIDES_DOCUMENTED
                    contracts, derived = values["openInterest"] / sides, sides == 2
                mark = emit.catalog.marks.get(listing.instrument) if "markPrice" in values else None
                emit.guard(self._interest, listing, contracts, derived, mark, ts)
            else:
                vouched.append("oi")
        if vouched:
            emit.confirm(listing, tuple(vouched), ts)

    def _interest(self, listing: Listing, contracts: float, derived: bool, mark: float | None, venue_ts: int) -> None:
        """One-sided open interest; ``derived``: halved from the both-sided figure."""
        size = listing.multiplier
        if listing.inverse:
            if mark is None:
                self._emit.skipped(listing.instrument, "no_mark")
                return
            size, derived = 1 / mark, True
        self._emit.open_interest(listing, contracts, size, contracts * size, derived, venue_ts)

    # -- HTTP answers ------------------------------------------------------------------------------------------

    def _answer(self, frame: dict[str, Any], context: str) -> None:
        emit = self._emit
        if frame["retCode"] != 0:
            emit.control("refused", None, f"{echo(frame['retCode'])} {echo(frame.get('retMsg'))}")
            return
        result = mapping(frame["result"], "result")
        if result.get("category") in ("spot", "option"):
            return
        asked = subject_of(context)
        if asked is not None:
            self._history(result, *asked)
            return
        rows = items(result["list"], "list")
        if any(type(row) is dict and "fundingRateTimestamp" in row for row in rows):
            keys = ("symbol", "fundingRate", "fundingRateTimestamp")
            tell_settlements(emit, rows, keys, INTERVALS_H, lambda item: item.interval_h)
            return
        if not context or context.startswith(SIDES):
            _measure_sides(rows, emit)
        if context.startswith(SIDES):
            return
        emit.each(rows, "list", self._row, frame, result)
        if context.startswith("instruments:") and "nextPageCursor" in result:  # else who knows whether it goes on
            inverse, more = context.startswith("instruments:inverse"), cursor(result["nextPageCursor"])
            emit.delist_absent(context, more, lambda listing: listing.inverse is inverse)

    def _history(self, result: dict[str, Any], what: str, name: str) -> None:
        listing = self._emit.listing(name)
        if listing is None:
            return
        rows = items(result["list"], "list")
        if what != "funding":
            same_name(text(result["symbol"]), name)
        tell_history(self._emit, PAST, listing, what, rows, listing.interval_h)

    def _row(self, row: Any, frame: dict[str, Any], result: dict[str, Any]) -> None:
        """One row of an HTTP answer, told by its fields."""
        if type(row) is list:
            return  # candles
        emit, fields = self._emit, mapping(row, "list[]")
        if "contractType" in fields:
            read_instrument(fields, emit)
        elif "lastPrice" in fields or "markPrice" in fields:
            listing = emit.listing(fields["symbol"])
            if listing is not None:
                self._merge(listing, Ticker(0, timestamp_ms(frame["time"])), fields, True)
        elif "timestamp" in fields and ("openInterest" in fields or "singleOpenInterest" in fields):
            listing = emit.listing(result["symbol"])
            if listing is not None:
                contracts, derived = one_sided(fields, emit.catalog.oi_sides or SIDES_DOCUMENTED)
                mark = emit.catalog.marks.get(listing.instrument)
                self._interest(listing, contracts, derived, mark, stamp_ms(fields["timestamp"]))
        elif "buyRatio" in fields:
            self._extra.ratio(fields)
        elif "execId" not in fields:  # trades over HTTP: not used
            raise unknown(fields)


def _measure_sides(rows: list[Any], emit: Emit) -> None:
    """What `openInterest` of these tickers counts, by `singleOpenInterest` of the same row."""
    figures = []
    for row in rows:
        if type(row) is dict and "symbol" in row:
            both, single = readable(row, "openInterest", coins), readable(row, "singleOpenInterest", coins)
            if both is not None and single is not None and single > 0.0:
                figures.append((both, single))
    emit.sides(figures)
