"""Bitget: frames of both socket generations and HTTP answers to observations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.errors import BadPayload
from service.model import Listing
from service.venues.bitget.history import PAST
from service.venues.bitget.metadata import (
    INTERVALS_H,
    PRODUCTS,
    SLACK_MS,
    by_name,
    interval_at,
    product_of,
    read_instrument,
    said_interval,
)
from service.venues.bitget.trades import RATIO, ExtraRows
from service.venues.contract import Catalog
from service.venues.emit import Emit
from service.venues.funding_schedule import tell_settlements
from service.venues.history import subject_of, tell_history
from service.venues.numbers import coins, price, rate, text, timestamp_ms
from service.venues.reading import echo, items, label, mapping, unknown

SUCCESS = "00000"
NO_TIME = ("", "0", "-1")
PERPETUAL, DELIVERY = "1", "2"  # symbolType of tickers: text live, an integer in the documents
UNUSED = ("tradeId", "longShortRatio", "longShortAccountRatio", "longShortPositionRatio", "buyVolume")


class BitgetDecoder:
    """See :class:`service.venues.contract.Decoder`."""

    def __init__(self, catalog: Catalog) -> None:
        self._emit = Emit("bitget", catalog, by_name, self._read)
        self.decode = self._emit.frame
        self._extra = ExtraRows(self._emit)
        # `modern`: a message of the v3 socket
        self._channels: dict[str, Callable[[dict[str, Any], dict[str, Any], bool], None]] = {
            "ticker": self._tickers,
            "trade": self._extra.trades,
            "publicTrade": self._extra.trades,
            "liquidation": self._extra.liquidations,
        }

    def _read(self, parsed: Any, context: str) -> None:
        if type(parsed) is not dict:
            raise BadPayload("unknown_shape", type(parsed).__name__)
        if "event" in parsed:
            self._control(parsed)
        elif "arg" in parsed:
            arg = mapping(parsed["arg"], "arg")
            modern = "topic" in arg
            handler = self._channels.get(label(arg["topic" if modern else "channel"], "channel"))
            known = label(arg["instType"], "instType").upper() in PRODUCTS  # not spot and the retired v1
            if known and handler is not None:  # candles, books: not used
                handler(parsed, arg, modern)
        elif "code" in parsed:
            self._answer(parsed, context)
        elif "op" not in parsed:  # a request of ours, as recordings hold them
            raise unknown(parsed)

    def _control(self, frame: dict[str, Any]) -> None:
        event, arg = label(frame["event"], "event"), frame.get("arg")
        names = (("channel", "topic"), ("instId", "symbol"))
        key = ":".join(echo(arg.get(v2, arg.get(v3))) for v2, v3 in names) if isinstance(arg, dict) else None
        message = f"{echo(frame.get('code'))} {echo(frame.get('msg'))}".strip()
        if event == "error":
            self._emit.control("refused", key, message)
        elif event in ("subscribe", "unsubscribe", "login"):
            self._emit.control("ack", key, event)
        else:
            self._emit.control("info", key, f"{event} {message}".strip())

    # -- ticker ------------------------------------------------------------------------------------------------

    def _tickers(self, frame: dict[str, Any], arg: dict[str, Any], modern: bool) -> None:
        """Whole tickers: a field that is missing is a changed schema, not "unchanged"."""
        emit, name, sent = self._emit, text(arg["symbol" if modern else "instId"]), frame.get("ts")
        for row in items(frame["data"], "data"):
            try:
                fields = mapping(row, "data[]")
                if fields.get("instId", name) != name or fields.get("symbol", name) != name:
                    raise BadPayload("bad_name", f"ticker of another instrument on the channel of {name}"[:80])
                listing = self._perpetual(fields, name)
                if listing is not None:
                    venue_ts = timestamp_ms(fields.get("ts", sent))  # v3 stamps the frame only
                    self._mark(listing, fields, venue_ts)
                    self._funding(listing, fields, "nextFundingTime", venue_ts)
                    self._interest(listing, fields, "openInterest" if modern else "holdingAmount", venue_ts)
            except (BadPayload, KeyError) as error:
                emit.bad(error)

    def _perpetual(self, row: dict[str, Any], name: Any) -> Listing | None:
        """A ticker's instrument; None, and said so, for a dated contract and what else is foreign."""
        if _delivers(row):
            self._emit.skipped(text(name), "dated")
            return None
        return self._emit.listing(name)

    # What is wrong with one of these does not cost the others.

    def _mark(self, listing: Listing, row: dict[str, Any], venue_ts: int) -> None:
        try:
            value = price(row["markPrice"])
            self._emit.mark(listing, value, self._emit.index_in(row, "indexPrice"), venue_ts)
        except (BadPayload, KeyError) as error:
            self._emit.bad(error)

    def _funding(self, listing: Listing, row: dict[str, Any], next_time: str | None, venue_ts: int) -> None:
        """The running rate; ``next_time`` None: the row does not name the next funding."""
        emit = self._emit
        try:
            running, next_raw = row["fundingRate"], None if next_time is None else row[next_time]
            if running == "" or next_raw in NO_TIME:
                return  # no funding on this contract now: not a rate of 0
            value, next_ts = rate(running), None if next_time is None else timestamp_ms(next_raw)
            if next_ts is None:
                interval_h = emit.catalog.intervals_h.get(listing.instrument)
            elif venue_ts - next_ts > SLACK_MS:
                raise BadPayload("out_of_bounds", f"next funding {venue_ts - next_ts} ms ago")
            else:
                interval_h = interval_at(emit.catalog, listing.instrument, next_ts, venue_ts)
            emit.funding(listing, value, interval_h, next_ts, venue_ts)
        except (BadPayload, KeyError) as error:
            emit.bad(error)

    def _interest(self, listing: Listing, row: dict[str, Any], key: str, venue_ts: int) -> None:
        """Base coins, also of coin-margined contracts, whose quantities are coins too: nothing to convert."""
        try:
            native, size = coins(row[key]), listing.multiplier
            self._emit.open_interest(listing, native, size, native * size, False, venue_ts)
        except (BadPayload, KeyError) as error:
            self._emit.bad(error)

    # -- HTTP answers ------------------------------------------------------------------------------------------

    def _answer(self, frame: dict[str, Any], context: str) -> None:
        emit = self._emit
        if frame["code"] != SUCCESS:
            emit.control("refused", None, f"{echo(frame['code'])} {echo(frame.get('msg'))}")
            return
        data, sent, asked = frame["data"], frame.get("requestTime"), subject_of(context)
        intervals = emit.catalog.intervals_h
        if context.startswith(RATIO):
            self._extra.ratio(data, context.removeprefix(RATIO))
            return
        if asked is not None:
            listing = emit.listing(asked[1])
            if listing is not None:
                interval_h = intervals.get(listing.instrument, listing.interval_h)
                tell_history(emit, PAST, listing, asked[0], items(data, "data"), interval_h)
            return
        if type(data) is dict:
            sent = data.get("ts", sent)
            lists = [data[key] for key in ("openInterestList", "list") if key in data]
            data = lists[0] if lists else [data]
        rows = items(data, "data")
        if any(type(row) is dict and "fundingTime" in row for row in rows):
            keys = ("symbol", "fundingRate", "fundingTime")
            tell_settlements(emit, rows, keys, INTERVALS_H, lambda item, _: intervals.get(item.instrument))
            return
        emit.each(rows, "data", self._row, sent)
        if context.startswith("contracts:"):
            product = context.removeprefix("contracts:")
            emit.delist_absent(context, among=lambda listing: product_of(listing.instrument) == product)

    def _row(self, row: Any, sent: Any) -> None:
        """One row of an HTTP answer, told by its fields."""
        if type(row) is list:
            return  # candles
        emit, fields = self._emit, mapping(row, "data[]")
        if "baseCoin" in fields:
            read_instrument(fields, emit)
            return
        if any(key in fields for key in UNUSED):
            return
        amount = next((key for key in ("size", "openInterest", "holdingAmount") if key in fields), None)
        if not any(key in fields for key in ("markPrice", "fundingRate", "ratePeriod")) and amount is None:
            raise unknown(fields)
        spot = label(fields.get("category", PRODUCTS[0]), "category").upper() not in PRODUCTS
        if spot:
            emit.skipped(text(fields["symbol"]), "foreign")
            return
        listing = self._perpetual(fields, fields["symbol"])
        if listing is None:
            return
        for key in ("fundingRateInterval", "ratePeriod"):
            if key in fields:
                said_interval(emit.catalog, listing.instrument, fields[key])
        venue_ts = timestamp_ms(fields.get("ts", sent))
        if "markPrice" in fields:
            self._mark(listing, fields, venue_ts)
        if "fundingRate" in fields:  # the rows of `tickers` do not name the next funding
            next_time = next((key for key in ("nextUpdate", "nextFundingTime") if key in fields), None)
            self._funding(listing, fields, next_time, venue_ts)
        if amount is not None:
            self._interest(listing, fields, amount, venue_ts)


def _delivers(row: dict[str, Any]) -> bool:
    """Whether a ticker is of a dated contract."""
    kind, at = row.get("symbolType", PERPETUAL), row.get("deliveryTime")
    if kind != PERPETUAL and (kind := echo(kind)) not in (PERPETUAL, DELIVERY):
        raise BadPayload("unknown_shape", f"symbolType {kind}"[:80])
    return kind == DELIVERY or (at is not None and at not in NO_TIME and timestamp_ms(at) > 0)
