"""Deribit: frames and HTTP answers to observations. Of tickers nothing is held: `incremental_ticker` carries whole
values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.errors import BadPayload
from service.venues.contract import Catalog
from service.venues.deribit.history import tell_past
from service.venues.deribit.metadata import INTERVAL_H, PERPETUAL, VENUE, by_name, read_instrument
from service.venues.deribit.trades import TradeRows
from service.venues.emit import PONG, Emit
from service.venues.history import subject_of
from service.venues.numbers import coins, price, rate, text, timestamp_ms
from service.venues.reading import echo, label, mapping, unknown

DEAD_STATES = ("closed", "delivered", "inactive", "archivized")  # a locked or halted book still has a valid ticker


class DeribitDecoder:
    """See :class:`service.venues.contract.Decoder`."""

    def __init__(self, catalog: Catalog) -> None:
        self._emit = Emit(VENUE, catalog, by_name, self._read)
        self.decode = self._emit.frame
        self._marks = catalog.marks
        # By the first part of a channel's name: books, quotes, funding interest are not used.
        self._channels: dict[str, Callable[[Any, str], None]] = {
            "ticker": self._ticker,
            "incremental_ticker": self._ticker,
            "deribit_price_index": self._index,
            "trades": TradeRows(self._emit).tell,
            "platform_state": self._state,
        }

    def _read(self, parsed: Any, context: str) -> None:
        if type(parsed) is not dict:
            raise BadPayload("unknown_shape", type(parsed).__name__)
        past = subject_of(context) if context else None
        if past is not None and "error" not in parsed:
            tell_past(self._emit, parsed, *past)
        elif "method" in parsed:
            self._method(parsed["method"], parsed)
        elif "error" in parsed:
            self._emit.control("refused", echo(parsed.get("id")) or None, _problem(parsed["error"]))
        elif "result" in parsed:
            self._answer(parsed["result"], echo(parsed.get("id")) or None, context)
        elif "instrument_name" in parsed:
            self._row(parsed)
        elif type(parsed.get("data")) is dict and "instrument_name" in parsed["data"]:
            self._row(parsed["data"])  # a notification as the documentation prints it
        else:
            raise unknown(parsed)

    def _method(self, method: Any, frame: dict[str, Any]) -> None:
        if method == "subscription":
            params = mapping(frame["params"], "params")
            channel, data = label(params["channel"], "channel"), params["data"]
            handler = self._channels.get(channel.partition(".")[0])
            if handler is not None:
                handler(data, channel)
        elif label(method, "method") == "heartbeat":
            self._emit.control("info", None, "heartbeat")  # only sent to those who opted in
        # else a request of ours, as recordings hold them

    def _state(self, data: Any, channel: str) -> None:
        self._emit.control("info", channel, echo(",".join(mapping(data, "data"))))

    # -- answers -----------------------------------------------------------------------------------------------

    def _answer(self, result: Any, key: str | None, context: str) -> None:
        emit = self._emit
        if type(result) is list:
            if context == "" and all(type(item) is str for item in result):
                # The accepted channels: one that does not exist is left out in silence; our requests have one each.
                if result:
                    emit.control("ack", echo(result[0]) if len(result) == 1 else key, echo(",".join(result)))
                else:
                    emit.control("refused", key, "no channel accepted")
                return
            emit.each(result, "result", self._row)
            if context == "instruments":
                emit.delist_absent(context)
        elif type(result) is dict:
            if "version" in result:
                emit.out.append(PONG)
            elif "trades" not in result:
                self._row(result)
        elif type(result) is str:
            emit.control("ack", key, echo(result))
        elif type(result) is not int and type(result) is not float:  # numbers: server time, funding of a window
            raise BadPayload("unknown_shape", f"result: {type(result).__name__}")

    def _row(self, row: Any) -> None:
        """One row of an HTTP answer, told by its fields."""
        if type(row) is list:
            return  # candles, volatility
        fields = mapping(row, "result[]")
        if "settlement_period" in fields:
            read_instrument(fields, self._emit)
        elif "open_interest" in fields or "mark_price" in fields:
            self._values(fields["instrument_name"], fields)
        elif "interest_8h" not in fields and "trade_seq" not in fields:  # funding history names no instrument
            raise unknown(fields)

    # -- ticker ------------------------------------------------------------------------------------------------

    def _ticker(self, data: Any, channel: str) -> None:
        fields, name = mapping(data, "data"), channel.partition(".")[2].partition(".")[0]
        if fields.get("instrument_name", name) != name:
            raise BadPayload("bad_name", f"data of {echo(fields['instrument_name'])} on {channel}"[:80])
        self._values(name, fields)

    def _values(self, name: Any, fields: dict[str, Any]) -> None:
        """Mark, index, funding and open interest. What is wrong with one costs no other, but inverse open interest
        needs the mark. A `change` has only what changed."""
        emit = self._emit
        listing = emit.listing(name)
        if listing is None:
            return
        state, kind = fields.get("state", "open"), fields.get("type", "snapshot")
        if state != "open" and label(state, "state") in DEAD_STATES:
            emit.skipped(listing.instrument, "not_trading")
            return
        whole = kind == "snapshot" or label(kind, "type") != "change"
        venue_ts = timestamp_ms(fields["timestamp" if "timestamp" in fields else "creation_timestamp"])
        priced = True
        try:
            mark = price(fields["mark_price"]) if whole or "mark_price" in fields else None
            index = emit.index_in(fields, "index_price") if "index_price" in fields else None  # book summaries lack it
            if mark is not None or index is not None:
                emit.mark(listing, mark, index, venue_ts)
        except (BadPayload, KeyError) as error:
            priced = False
            emit.bad(error)
        try:
            if whole or "current_funding" in fields:
                emit.funding(listing, rate(fields["current_funding"]), INTERVAL_H, None, venue_ts)
        except (BadPayload, KeyError) as error:
            emit.bad(error)
        if whole or "open_interest" in fields:  # an amount: its unit (1 USD, 1 coin) stands for the contract
            contracts, size = coins(fields["open_interest"]), listing.multiplier
            if listing.inverse:
                last = self._marks.get(listing.instrument) if priced else None
                if last is None:
                    emit.skipped(listing.instrument, "no_mark")
                    return
                size = 1 / last
            emit.open_interest(listing, contracts, size, contracts * size, listing.inverse, venue_ts)

    def _index(self, data: Any, channel: str) -> None:
        """An index on its own channel: `btc_usd` prices BTC-PERPETUAL, `sol_usdc` SOL_USDC-PERPETUAL."""
        fields = mapping(data, "data")
        base, _, quote = text(fields["index_name"]).upper().partition("_")
        listing = self._emit.find((base if quote == "USD" else f"{base}_{quote}") + PERPETUAL)
        if listing is not None:
            self._emit.mark(listing, None, price(fields["price"]), timestamp_ms(fields["timestamp"]))


def _problem(error: Any) -> str:
    """Code, message and reason of a JSON-RPC error, bounded."""
    if type(error) is not dict:
        return echo(error)
    data = error.get("data")
    reason = echo(data.get("reason")) if type(data) is dict else ""
    return f"{echo(error.get('code'))} {echo(error.get('message'))} {reason}".strip()
