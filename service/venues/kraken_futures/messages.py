"""Kraken Futures: frames and HTTP answers to observations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.errors import BadPayload
from service.model import Listing
from service.venues.contract import Catalog
from service.venues.emit import PONG, Emit
from service.venues.history import subject_of
from service.venues.kraken_futures.history import tell_past, tell_rates
from service.venues.kraken_futures.metadata import INTERVAL_H, VENUE, by_name, read_instrument
from service.venues.kraken_futures.trades import TradeRows
from service.venues.kraken_futures.unified import Shared, Unified
from service.venues.numbers import coins, iso_ms, price, rate, text, timestamp_ms
from service.venues.reading import echo, flag, items, label, mapping, readable, said, unknown

LATE_FUNDING_MS = 600_000  # the next time may be past for a second; this long after it the schedule is broken
ACKS = ("subscribed", "unsubscribed")
REFUSALS = ("alert", "error", "subscribed_failed", "unsubscribed_failed")
REQUESTS = ("subscribe", "unsubscribe", "ping")


class KrakenFuturesDecoder:
    """See :class:`service.venues.contract.Decoder`."""

    def __init__(self, catalog: Catalog) -> None:
        self._emit = Emit(VENUE, catalog, by_name, self._read)
        self.decode = self._emit.frame
        self._unified = Unified(self._emit)
        self._suspended = catalog.shared(Shared).suspended
        trades = TradeRows(self._emit)
        self._feeds: dict[str, Callable[[dict[str, Any]], None]] = {  # books, light ticker, heartbeats: not used
            "ticker": self._ticker,
            "trade": trades.trade,
            "trade_snapshot": trades.replay,
        }

    def _read(self, parsed: Any, context: str) -> None:
        if type(parsed) is not dict:
            raise BadPayload("unknown_shape", type(parsed).__name__)
        if "event" in parsed:
            self._control(parsed)
        elif "feed" in parsed:
            handler = self._feeds.get(label(parsed["feed"], "feed"))
            if handler is not None:
                handler(parsed)
        elif "method" in parsed or "channel" in parsed:
            self._unified.read(parsed)
        elif (asked := subject_of(context)) is not None and tell_past(self._emit, parsed, *asked):
            return
        elif "result" in parsed or "error" in parsed or "errors" in parsed:
            self._answer(parsed, context)
        else:
            raise unknown(parsed)

    def _control(self, frame: dict[str, Any]) -> None:
        event, products = label(frame["event"], "event"), frame.get("product_ids")
        named = f":{echo(products[0])}" if type(products) is list and products else ""
        key = f"{echo(frame.get('feed'))}{named}" if "feed" in frame else None
        if event in ACKS:
            self._emit.control("ack", key, event)
        elif event == "pong":
            self._emit.out.append(PONG)
        elif event not in REQUESTS:  # requests of ours, as recordings hold them
            message = f"{event} {echo(frame.get('message'))}".strip()
            self._emit.control("refused" if event in REFUSALS else "info", key, message)

    # -- ticker ------------------------------------------------------------------------------------------------

    def _ticker(self, fields: dict[str, Any]) -> None:
        """What is wrong with the prices, the rate or the open interest does not cost the others."""
        listing = self._live(fields, "product_id")
        if listing is None:
            return
        venue_ts = timestamp_ms(fields["time"])
        self._prices(listing, fields, "index", venue_ts)
        try:
            self._rate(listing, fields, venue_ts)
        except BadPayload as error:
            self._emit.bad(error)
        self._interest(listing, fields, venue_ts)

    def _live(self, fields: dict[str, Any], key: str) -> Listing | None:
        """The instrument, unless foreign or suspended: then it goes on sending its last values, which must not count
        as live."""
        listing = self._emit.listing(text(fields[key]).upper())
        if listing is not None and flag(fields.get("suspended", False), "suspended"):
            self._suspended[listing.instrument] = None
            self._emit.skipped(listing.instrument, "suspended")
            return None
        if listing is not None:
            self._suspended.pop(listing.instrument, None)
        return listing

    def _prices(self, listing: Listing, fields: dict[str, Any], index_key: str, venue_ts: int | None) -> None:
        try:
            mark = said(fields, "markPrice", price)
            index = self._emit.index_in(fields, index_key) if index_key in fields else None
            if mark is not None or index is not None:
                self._emit.mark(listing, mark, index, venue_ts)
        except BadPayload as error:
            self._emit.bad(error)

    def _rate(self, listing: Listing, fields: dict[str, Any], venue_ts: int) -> None:
        """The rate of the running hour. A next time of 0: the market does not trade yet, its zeros are no rate."""
        value = said(fields, "relative_funding_rate", rate)
        next_raw = fields.get("next_funding_rate_time", "")
        if value is None or next_raw == 0:
            return
        next_ts = None if next_raw == "" else timestamp_ms(next_raw)
        if next_ts is not None and venue_ts - next_ts > LATE_FUNDING_MS:
            raise BadPayload("out_of_bounds", f"next funding {venue_ts - next_ts} ms ago")
        self._emit.funding(listing, value, INTERVAL_H, next_ts, venue_ts, per_time=True)

    def _interest(self, listing: Listing, fields: dict[str, Any], venue_ts: int | None) -> None:
        """One-sided contracts: coins (PF) or dollars (PI), the latter at this message's mark, if it has a sound one."""
        contracts = said(fields, "openInterest", coins)
        if contracts is not None:
            mark = readable(fields, "markPrice", price) if listing.inverse else None
            self._emit.contracts(listing, contracts, mark, venue_ts)

    # -- HTTP answers ------------------------------------------------------------------------------------------

    def _answer(self, frame: dict[str, Any], context: str) -> None:
        emit = self._emit
        if frame.get("result") != "success":
            emit.control("refused", None, _reason(frame))
        elif "instruments" in frame:
            emit.each(frame["instruments"], "instruments", read_instrument, emit)
            if context == "instruments":
                emit.delist_absent(context)
        elif "tickers" in frame or "ticker" in frame:
            rows = items(frame["tickers"], "tickers") if "tickers" in frame else [frame["ticker"]]
            venue_ts = iso_ms(frame["serverTime"]) if "serverTime" in frame else None
            emit.each(rows, "tickers", self._ticker_row, venue_ts)
        elif "rates" in frame:
            tell_rates(emit, frame["rates"], context)
        else:
            raise unknown(frame)

    def _ticker_row(self, row: Any, venue_ts: int | None) -> None:
        """A ticker over HTTP: its funding rate is absolute, so it says nothing here."""
        fields = mapping(row, "tickers[]")
        listing = self._live(fields, "symbol")
        if listing is not None:
            self._prices(listing, fields, "indexPrice", venue_ts)
            self._interest(listing, fields, venue_ts)


def _reason(frame: dict[str, Any]) -> str:
    errors = frame.get("errors")
    first = errors[0] if type(errors) is list and errors else None
    told = first if type(first) is dict else {"code": frame.get("status"), "message": frame.get("error")}
    return f"{echo(told.get('code'))} {echo(told.get('message'))}".strip()
