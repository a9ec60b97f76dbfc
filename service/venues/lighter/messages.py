"""Lighter: frames and HTTP answers to observations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.errors import BadPayload
from service.model import Listing
from service.venues.contract import Catalog
from service.venues.emit import PONG, Emit
from service.venues.funding_schedule import next_hour
from service.venues.history import subject_of
from service.venues.lighter.history import PERCENT_MOST, ROWS, tell_past
from service.venues.lighter.metadata import (
    INTERVAL_H,
    MARKETS,
    Markets,
    by_name,
    instrument_of,
    measure_sides,
    read_market,
)
from service.venues.lighter.trades import tell_trades
from service.venues.numbers import coins, number, price, timestamp_ms
from service.venues.reading import echo, label, mapping, unknown
from service.venues.trades import Trades

ALL_MARKETS, ONE_MARKET = "market_stats:all", "market_stats:"
TRADE = "trade:"
ANSWER = '{"type":"pong"}'  # to the server's own pings
ALREADY_SUBSCRIBED = 30003
SIDES_DOCUMENTED = 1
# Of open interest over that of the list of instruments, at most two lists (of an hour each) old: further apart one of
# the two is in another unit (one is dollars, the other coins).
OI_LEAST, OI_MOST, OI_WITHIN_MS = 0.2, 5.0, 7_200_000
# The limit of a rate stands beside it in the same unit, 4.0000 percent. As a fraction it would be below.
CLAMP_LEAST, CLAMP_MOST = 0.4, 40.0
# So many markets off at once are no moves of their own. A unit that changes is off by the price: of a coin near one
# dollar that does not show in its own row, but in those of the others.
MISMATCHES = 3
SETTLED_WITHIN_MS = 7_200_000  # `funding_timestamp` is the last full hour: a row with an older one has stopped
OURS = ("subscribe", "unsubscribe")  # requests, as recordings hold them
UNUSED_ANSWERS = ("funding_rates", "trades", "c", "order_books")  # rates of other venues among them; candles are "c"


class LighterDecoder:
    """See :class:`service.venues.contract.Decoder`."""

    def __init__(self, venue: str, catalog: Catalog) -> None:
        self._emit = Emit(venue, catalog, self._coin_named, self._read)
        self.decode = self._emit.frame
        self._trades = Trades(self._emit)
        self._markets = catalog.shared(Markets)
        self._kinds: dict[str, Callable[[dict[str, Any]], None]] = {
            "subscribed/market_stats": lambda frame: self._statistics(frame, True),
            "update/market_stats": lambda frame: self._statistics(frame, False),
            "subscribed/trade": lambda frame: self._trade(frame, True),
            "update/trade": lambda frame: self._trade(frame, False),
            "ping": lambda frame: self._emit.control("ping", None, ANSWER),
            "pong": lambda frame: self._emit.out.append(PONG),
            "connected": lambda frame: self._emit.control("info", None, "connected"),
            "unsubscribed": lambda frame: self._emit.control("info", echo(frame.get("channel")), "unsubscribed"),
        } | dict.fromkeys(OURS, lambda frame: None)

    def _coin_named(self, name: str) -> Listing | str | None:
        """Before metadata, too, only what is known to be a coin."""
        known = by_name(name)
        return None if known is None else self._emit.why_no_coin(known.symbol) or known

    def _read(self, parsed: Any, context: str) -> None:
        frame = mapping(parsed, "frame")
        if "error" in frame:
            self._error(frame["error"])
        elif "type" in frame:
            kind = label(frame["type"], "type")
            handler = self._kinds.get(kind)
            if handler is None:
                raise BadPayload("unknown_shape", f"type {kind}")
            handler(frame)
        elif "order_book_details" in frame:
            self._details(frame, context)
        elif ROWS in frame:
            asked = subject_of(context)
            if asked is None:
                self._emit.skipped("", "unknown_instrument")  # the answer does not say of which market it is
            else:
                tell_past(self._emit, frame, *asked)
        elif "code" in frame and "message" in frame:
            self._error(frame)
        elif not any(key in frame for key in UNUSED_ANSWERS):
            raise unknown(frame)

    def _error(self, error: Any) -> None:
        """What was refused, it does not say."""
        fields = mapping(error, "error")
        code, message = fields.get("code"), fields.get("message")
        text = f"{echo(code)} {echo(message)}".strip()
        if code == ALREADY_SUBSCRIBED:
            self._emit.control("info", None, text)  # harmless
        else:
            self._emit.control("refused", None, text)

    def _details(self, frame: dict[str, Any], context: str) -> None:
        emit = self._emit
        for key in ("order_book_details", "spot_order_book_details"):
            if frame.get(key) is not None:
                emit.each(frame[key], key, read_market, emit)
        if context == MARKETS:
            emit.delist_absent(context)
            markets = self._markets
            markets.listed, markets.judged = True, False
            markets.mismatched.clear()
            measure_sides(emit)

    # -- market statistics -------------------------------------------------------------------------------------

    def _statistics(self, frame: dict[str, Any], first: bool) -> None:
        """Rows of all markets by id, or the row of one. An update has the whole rows of those that changed.

        It vouches for no other: nothing numbers the messages, so a row that was lost looks like one that has not
        changed. A market of which anything moves, be it its volume, comes again. A snapshot has a row of each market,
        also of one that has stopped, and one time for all: what stood just so in the last row is no news.
        """
        emit, channel = self._emit, frame["channel"]
        if first:
            emit.control("ack", echo(channel), "subscribed")
        sent, rows = timestamp_ms(frame["timestamp"]), mapping(frame["market_stats"], "market_stats")
        if channel != ALL_MARKETS:
            self._market(rows, sent, first, label(channel, "channel").removeprefix(ONE_MARKET))
            return
        for key, row in rows.items():
            try:
                self._market(row, sent, first, key)
            except (BadPayload, KeyError) as error:
                emit.bad(error)
        if first:
            measure_sides(emit)  # at the start the list comes before the socket
        if len(self._markets.mismatched) >= MISMATCHES and not self._markets.judged:
            self._markets.judged = True
            measure_sides(emit, OI_WITHIN_MS)  # at once, not with the next list

    def _market(self, row: Any, sent: int, first: bool, key: str) -> None:
        """One market: what is wrong with one stream does not cost the others."""
        emit, fields = self._emit, mapping(row, "market_stats")
        name = instrument_of(fields)
        market = fields["market_id"]
        if key != str(market):
            raise BadPayload("bad_name", f"market {market} under {echo(key)}"[:80])
        markets = self._markets
        if markets.listed and name not in emit.catalog.listings and name not in emit.catalog.foreign:
            emit.skipped(name, "unknown_instrument")  # listed anew, perhaps beside its old id: the next list tells
            return
        listing = emit.listing(name)
        if listing is None:
            return
        markets.names[market] = name
        if not listing.trading:
            return
        before, markets.rows[name] = markets.rows.get(name), fields
        if first and before == fields:
            return
        if "funding_timestamp" in fields and sent - timestamp_ms(fields["funding_timestamp"]) > SETTLED_WITHIN_MS:
            emit.skipped(name, "stopped")
            return
        mark = None
        try:
            mark = price(fields["mark_price"])
            emit.mark(listing, mark, emit.index_in(fields, "index_price"), sent)
        except (BadPayload, KeyError) as error:
            emit.bad(error)
        try:
            emit.funding(listing, _hourly(fields), INTERVAL_H, next_hour(sent), sent)
        except (BadPayload, KeyError) as error:
            emit.bad(error)
        if mark is None:
            emit.skipped(name, "no_mark")
        else:
            self._interest(listing, coins(fields["open_interest"]) / mark, sent)

    def _interest(self, listing: Listing, counted: float, sent: int) -> None:
        """``counted``: coins as the venue counts. Raises :exc:`BadPayload` where the list of instruments, which counts
        in coins itself, says something else altogether."""
        emit, name = self._emit, listing.instrument
        self._markets.interest[name] = (counted, emit.recv_ts)
        amount = counted / (emit.catalog.oi_sides or SIDES_DOCUMENTED)
        single, at = emit.catalog.one_sided.get(name, (0.0, 0))
        if single > 0.0 and emit.recv_ts - at > OI_WITHIN_MS:
            raise BadPayload("size_mismatch", f"{name}: nothing to compare with, the list is over two hours old")
        if single > 0.0 and not OI_LEAST <= amount / single <= OI_MOST:
            self._markets.mismatched[name] = None
            raise BadPayload("size_mismatch", f"{name}: {amount:g} coins, listed with {single:g}"[:80])
        self._markets.mismatched.pop(name, None)
        emit.open_interest(listing, amount, listing.multiplier, amount * listing.multiplier, True, sent)

    # -- trades ------------------------------------------------------------------------------------------------

    def _trade(self, frame: dict[str, Any], first: bool) -> None:
        emit, channel = self._emit, label(frame["channel"], "channel")
        if first:
            emit.control("ack", channel, "subscribed")
        market = channel.removeprefix(TRADE)
        if market == channel or not (market.isascii() and market.isdigit()):
            raise BadPayload("bad_name", f"channel {channel}")
        name = self._markets.names.get(int(market))
        if name is None:
            emit.skipped(channel, "unknown_instrument")
        elif (listing := emit.listing(name)) is not None:
            if first:
                self._trades.begin(listing.instrument)
            else:
                tell_trades(emit, self._trades, listing, int(market), frame)


def _hourly(fields: dict[str, Any]) -> float:
    """The rate of the running hour, a fraction. Raises :exc:`BadPayload` unless it is said in percent: documents have
    shown fractions under the same name."""
    limit = coins(fields["funding_clamp_big"])
    if not CLAMP_LEAST <= limit <= CLAMP_MOST:
        raise BadPayload("out_of_bounds", f"funding_clamp_big {limit:g} is not in percent")
    return number(fields["current_funding_rate"], -PERCENT_MOST, PERCENT_MOST) / 100
