"""Binance, both products, and Aster: frames and HTTP answers to observations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.errors import BadPayload
from service.model import Decoded, Listing
from service.venues.binance.history import past
from service.venues.binance.marks import HINT, read_marks
from service.venues.binance.metadata import (
    ASTER,
    INTERVALS_H,
    PERPETUAL,
    by_name,
    interval_at,
    listing_of,
    next_funding,
    read_funding_info,
    read_instrument,
    stated_interval,
    statistics_name,
)
from service.venues.binance.trades import RATIO, ExtraRows
from service.venues.contract import Catalog
from service.venues.emit import Emit
from service.venues.funding_schedule import HOUR_MS, tell_settlements
from service.venues.history import HOURLY, subject_of, tell_history
from service.venues.numbers import coins, price, rate, text, timestamp_ms
from service.venues.reading import echo, label, mapping, unknown

STREAMED = ("s", "E", "p", "i", "r", "T")  # symbol, time, mark, index, running rate, next funding time
ANSWERED = ("symbol", "time", "markPrice", "indexPrice", "lastFundingRate", "nextFundingTime")


class BinanceDecoder:
    """See :class:`service.venues.contract.Decoder`."""

    def __init__(self, venue: str, coinm: bool, catalog: Catalog) -> None:
        self._coinm = coinm
        self._named = by_name(venue, coinm)
        self._emit = Emit(venue, catalog, self._coin_named if venue == ASTER else self._named, self._read)
        self._extra = ExtraRows(self._emit, coinm)
        self._past, self._hourly_past = past(coinm), past(coinm, HOUR_MS)
        self._events: dict[str, Callable[[dict[str, Any]], None]] = {  # by `e`; the others are not used
            "markPriceUpdate": self._prices,
            "aggTrade": self._extra.trade,
            "trade": self._extra.trade,
            "forceOrder": self._extra.forced_order,
        }
        if coinm:
            self._events["indexPriceUpdate"] = self._index_of_pair

    def _coin_named(self, name: str) -> Listing | str | None:
        """Aster's metadata do not tell coins from stocks, a name still less: only what is known to be a coin counts."""
        known = self._named(name)
        return None if known is None else self._emit.why_no_coin(known.symbol) or known

    def decode(self, raw: str | bytes, recv_ts: int, context: str = "") -> list[Decoded]:
        emit = self._emit
        if type(raw) is str and HINT in raw and context == "" and not self._coinm:
            emit.recv_ts, emit.out = recv_ts, []
            if read_marks(raw, emit):
                return emit.out
        return emit.frame(raw, recv_ts, context)

    def _read(self, parsed: Any, context: str) -> None:
        if type(parsed) is dict:
            self._object(parsed, context)
        elif type(parsed) is list and (asked := subject_of(context)) is not None:
            self._history(parsed, *asked)
        elif type(parsed) is list and (parsed or context):
            self._array(parsed, context)
        elif parsed is None and context == "fundingInfo" and self._coinm:
            read_funding_info([], self._emit)  # no instrument deviates from 8 h
        else:
            raise BadPayload("unknown_shape", type(parsed).__name__)

    def _object(self, frame: dict[str, Any], context: str) -> None:
        if "stream" in frame and "data" in frame:
            data = frame["data"]
            if type(data) is list:
                self._array(data, context)
            else:
                self._event(mapping(data, "data"))
        elif "e" in frame:
            self._event(frame)
        elif "error" in frame:
            error = frame["error"]
            said = echo(error.get("msg")) if isinstance(error, dict) else echo(error)
            self._emit.control("refused", _request(frame), said)
        elif "id" in frame and "result" in frame:
            self._emit.control("ack", echo(frame["id"]), "")
        elif "method" in frame:
            return  # a request of ours, as recordings hold them
        elif "code" in frame and "msg" in frame:
            self._emit.control("refused", _request(frame), f"{echo(frame['code'])} {echo(frame['msg'])}")
        elif "symbols" in frame:
            self._emit.each(frame["symbols"], "symbols", read_instrument, self._emit, self._coinm)
            if context == "exchangeInfo":
                self._emit.delist_absent(context)
        else:
            self._row(frame)

    def _event(self, row: dict[str, Any]) -> None:
        handler = self._events.get(label(row["e"], "e"))
        if handler is not None:
            handler(row)

    # -- HTTP answers ------------------------------------------------------------------------------------------

    def _array(self, rows: list[Any], context: str) -> None:
        if context == "fundingInfo" or any(type(row) is dict and "fundingIntervalHours" in row for row in rows):
            read_funding_info(rows, self._emit)
        elif any(type(row) is dict and "fundingTime" in row for row in rows):
            self._settlements(rows)
        elif context.startswith(RATIO):
            self._extra.ratios(rows, context.removeprefix(RATIO))
        else:
            self._emit.each(rows, "rows", self._any_row)

    def _history(self, rows: list[Any], what: str, name: str) -> None:
        emit, listing = self._emit, self._emit.listing(name)
        if listing is not None:
            read = self._hourly_past if what in HOURLY else self._past
            tell_history(emit, read, listing, what, rows, stated_interval(emit.catalog, name))

    def _settlements(self, rows: list[Any]) -> None:
        keys, catalog = ("symbol", "fundingRate", "fundingTime"), self._emit.catalog
        tell_settlements(self._emit, rows, keys, INTERVALS_H, lambda item: stated_interval(catalog, item.instrument))

    def _any_row(self, row: Any) -> None:
        if type(row) is list:
            return  # candles: only their request says of what
        if "e" in mapping(row, "row"):
            self._event(row)
        else:
            self._row(row)

    def _row(self, row: dict[str, Any]) -> None:
        """One row of an HTTP answer, told by its fields."""
        if self._coinm and "sumOpenInterest" in row:
            self._interest_of_pair(row)
        elif self._coinm and "longPosition" in row:  # told by its own name, unlike the other ratios
            self._extra.ratio(row, "top_position")
        elif self._coinm and "takerBuyVol" in row:
            return  # taker volumes: not used
        elif "openInterest" in row:
            self._interest(row, "openInterest", "time")
        elif "sumOpenInterest" in row:
            self._interest(row, "sumOpenInterest", "timestamp")
        elif "markPrice" in row or "lastFundingRate" in row:
            self._prices(row, ANSWERED)
        elif "fundingTime" in row:
            self._settlements([row])
        elif "longShortRatio" not in row and "buySellRatio" not in row:  # of ratios only the request says what of
            raise unknown(row)

    # -- mark, index, funding ----------------------------------------------------------------------------------

    def _prices(self, row: dict[str, Any], keys: tuple[str, ...] = STREAMED) -> None:
        """Mark, index and running funding rate. What is wrong with one does not cost the other."""
        emit = self._emit
        symbol, time, mark, index, running, next_time = keys
        listing = listing_of(row[symbol], row.get("st"), emit, self._coinm)
        if listing is None:
            return
        venue_ts = timestamp_ms(row[time])
        try:
            value = price(row[mark])  # messages of 2019 have no index; on COIN-M it is "" or absent in all recordings
            emit.mark(listing, value, emit.index_in(row, index) if index in row else None, venue_ts)
        except (BadPayload, KeyError) as error:
            emit.bad(error)
        value, next_raw = row[running], row[next_time]
        if value == "" or (type(next_raw) is int and next_raw == 0):
            return  # no funding on this contract: not a rate of 0
        value, next_ts = rate(value), next_funding(next_raw, venue_ts)
        interval_h = interval_at(emit.catalog, listing.instrument, next_ts, venue_ts)
        emit.funding(listing, value, interval_h, next_ts, venue_ts)

    def _index_of_pair(self, row: dict[str, Any]) -> None:
        """COIN-M: `i` is the pair here and `p` the index price."""
        listing = self._emit.find(text(row["i"]) + PERPETUAL)
        if listing is not None:
            self._emit.mark(listing, None, price(row["p"]), timestamp_ms(row["E"]))

    # -- open interest -----------------------------------------------------------------------------------------

    def _interest(self, row: dict[str, Any], key: str, time: str) -> None:
        """USD-M: coins. COIN-M: contracts of fixed dollars, whose coins follow from the last mark."""
        emit = self._emit
        listing = emit.listing(row["symbol"])
        if listing is None:
            return
        contracts, venue_ts, size = coins(row[key]), timestamp_ms(row[time]), listing.contract_size
        if listing.inverse and size is not None:
            mark = emit.catalog.marks.get(listing.instrument)
            if mark is None:
                emit.skipped(listing.instrument, "no_mark")
                return
            size /= mark
        if size is None:
            emit.skipped(listing.instrument, "unknown_contract_size")
        else:
            emit.open_interest(listing, contracts, size, contracts * size, listing.inverse, venue_ts)

    def _interest_of_pair(self, row: dict[str, Any]) -> None:
        """COIN-M, history: contracts, and their coins by the venue's own conversion at the time."""
        if label(row["contractType"], "contractType") != "PERPETUAL":
            return  # delivery contracts, or all of a pair together
        listing = self._emit.listing(statistics_name(row, self._coinm))
        if listing is None:
            return
        contracts, venue_ts = coins(row["sumOpenInterest"]), timestamp_ms(row["timestamp"])
        amount = coins(row["sumOpenInterestValue"]) * listing.multiplier
        if (contracts > 0) is not (amount > 0):
            raise BadPayload("size_mismatch", f"{listing.instrument}: {contracts:g} contracts, {amount:g} coins")
        size = amount / contracts if contracts > 0 else 0.0  # no contracts leave the size open
        self._emit.open_interest(listing, contracts, size, amount, False, venue_ts)


def _request(frame: dict[str, Any]) -> str | None:
    """The request that an error answers; None where it does not say."""
    return echo(frame["id"]) if "id" in frame else None
