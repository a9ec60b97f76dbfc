"""Deribit perpetuals: one `ticker` channel per instrument brings mark, index, funding and open interest.

Facts from the venue page: `open_interest` is an amount, in USD for inverse and in coins for linear perpetuals, never a
count of contracts; `current_funding` is the rate in force per 8 h (`funding_8h` looks back), 0 most of the time, and
accrues continuously, so there is no funding time; one refused channel fails its whole request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.errors import BadPayload
from service.model import Control, Decoded, Endpoints, ExtraStream, Listing, Skipped, StreamRule, VenueRules
from service.venues.contract import Catalog, ConnectionPlan, Limits, Request, Streamed, sockets
from service.venues.deribit.trades import KEEPALIVE, DeribitTrades, extra_connections, history, requests_for
from service.venues.emit import PONG, echo, guarded, items, label, mapping, need
from service.venues.history import subject_of
from service.venues.numbers import coins, price, rate, text, timestamp_ms
from service.venues.symbols import USD_QUOTES, canonical

INTERVAL_H = 8.0  # current_funding is expressed per 8 h
PERPETUAL = "-PERPETUAL"
KINDS = {"linear": False, "reversed": True}
DEAD_STATES = ("closed", "delivered", "inactive", "archivized")  # a locked or halted book still has a valid ticker


class Deribit(Streamed):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = "deribit"
    title = "Deribit perpetuals"
    endpoints = Endpoints(ws={"public": "wss://www.deribit.com/ws/api/v2"}, rest="https://www.deribit.com/api/v2")
    limits = Limits(
        connects=5,  # none published but 32 open at a time and IP, HTTP included
        connect_period_s=5.0,
        sends_per_s=3.0,  # 3,000 of 30,000 credits a subscription; excess closes the connection
        rest_weight=10.0,
        rest_period_s=1.0,
        max_topics=90,  # sent within 30 s
    )
    rules = VenueRules(
        venue="deribit",
        exchange="deribit",
        mark=StreamRule(15_000, "send"),
        funding=StreamRule(300_000, "send"),
        oi=StreamRule(60_000, "send"),
        index_max_age_ms=15_000,
        funding_cap_8h=0.16,
    )

    def decoder(self, catalog: Catalog) -> DeribitDecoder:
        return DeribitDecoder(catalog)

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        query = "currency=any&kind=future&expired=false"
        return [Request("GET", f"{endpoints.rest}/public/get_instruments?{query}", context="instruments")]

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        url, most = endpoints.ws["public"], self.limits.max_topics
        tickers = requests_for("ticker.{}.agg2")  # agg2: every 1-2 s
        return [
            *sockets("public", url, listings, most, tickers, keepalive=KEEPALIVE),
            *extra_connections(url, listings, extras, most),
        ]

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history(endpoints, listing, since_ms, now_ms)


class DeribitDecoder(DeribitTrades):
    """Frames and HTTP answers of the venue. Of tickers nothing is held: `incremental_ticker` carries whole values."""

    venue = "deribit"

    def _read(self, parsed: Any, recv_ts: int, context: str, out: list[Decoded]) -> None:
        if type(parsed) is not dict:
            raise BadPayload("unknown_shape", type(parsed).__name__)
        past = subject_of(context)
        if past is not None and "error" not in parsed:
            self._past_rows(parsed, *past, recv_ts, out)
        elif "method" in parsed:
            self._method(label(parsed["method"], "method"), parsed, recv_ts, out)
        elif "error" in parsed:
            out.append(Control("refused", echo(parsed.get("id")) or None, _problem(parsed["error"])))
        elif "result" in parsed:
            self._answer(parsed["result"], parsed, recv_ts, context, out)
        elif "instrument_name" in parsed:
            self._row(parsed, recv_ts, out)
        elif type(parsed.get("data")) is dict and "instrument_name" in parsed["data"]:
            self._row(parsed["data"], recv_ts, out)  # a notification as the documentation prints it
        else:
            raise BadPayload("unknown_shape", ",".join(list(parsed)[:5])[:80])

    def _method(self, method: str, frame: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        if method == "subscription":
            params = mapping(need(frame, "params"), "params")
            self._notified(label(need(params, "channel"), "channel"), need(params, "data"), recv_ts, out)
        elif method == "heartbeat":
            out.append(Control("info", None, "heartbeat"))  # only sent to those who opted in
        # else a request of ours, as recordings hold them

    def _notified(self, channel: str, data: Any, recv_ts: int, out: list[Decoded]) -> None:
        kind, _, rest = channel.partition(".")
        if kind in ("ticker", "incremental_ticker"):
            fields, name = mapping(data, "data"), text(rest.split(".")[0])
            if fields.get("instrument_name", name) != name:
                raise BadPayload("bad_name", f"data of {echo(fields['instrument_name'])} on {channel}"[:80])
            self._ticker(name, fields, recv_ts, out)
        elif kind == "deribit_price_index":
            self._index(mapping(data, "data"), recv_ts, out)
        elif kind == "trades":
            self._trades(items(data, "data"), recv_ts, out)
        elif kind == "platform_state":
            out.append(Control("info", channel, echo(",".join(mapping(data, "data")))))
        # books, quotes, funding interest: not used

    def _answer(self, result: Any, frame: dict[str, Any], recv_ts: int, context: str, out: list[Decoded]) -> None:
        key = echo(frame.get("id")) or None
        if type(result) is list:
            if context == "" and all(type(item) is str for item in result):
                self._subscribed(result, key, out)
                return
            for row in result:
                guarded(out, self._row, row, recv_ts, out)
            if context == "instruments":
                self._delist_absent(out, recv_ts)
        elif type(result) is dict:
            if "version" in result:
                out.append(PONG)
            elif "trades" not in result:
                self._row(result, recv_ts, out)
        elif type(result) is str:
            out.append(Control("ack", key, echo(result)))
        elif type(result) is not int and type(result) is not float:  # numbers: server time, funding of a window
            raise BadPayload("unknown_shape", f"result: {type(result).__name__}")

    @staticmethod
    def _subscribed(channels: list[str], key: str | None, out: list[Decoded]) -> None:
        """The accepted channels: one that does not exist is left out in silence, and each of our requests has one."""
        if channels:
            out.append(Control("ack", echo(channels[0]) if len(channels) == 1 else key, echo(",".join(channels))))
        else:
            out.append(Control("refused", key, "no channel accepted"))

    def _row(self, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        """One row of an HTTP answer, told by its fields."""
        if type(row) is list:
            return  # candles, volatility
        fields = mapping(row, "result[]")
        if "settlement_period" in fields:
            self._instrument(fields, recv_ts, out)
        elif "open_interest" in fields or "mark_price" in fields:
            self._ticker(text(need(fields, "instrument_name")), fields, recv_ts, out)
        elif "interest_8h" not in fields and "trade_seq" not in fields:  # funding history names no instrument
            raise BadPayload("unknown_shape", ",".join(list(fields)[:5])[:80])

    # -- ticker ------------------------------------------------------------------------------------------------

    def _ticker(self, name: str, fields: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        listing = self._listing(name)
        if listing is None:
            return
        if label(fields.get("state", "open"), "state") in DEAD_STATES:
            out.append(Skipped(self.venue, name, "not_trading"))
            return
        whole = label(fields.get("type", "snapshot"), "type") != "change"
        venue_ts = timestamp_ms(need(fields, "timestamp" if "timestamp" in fields else "creation_timestamp"))
        priced = guarded(out, self._prices, listing, fields, whole, venue_ts, recv_ts, out)
        guarded(out, self._rate, listing, fields, whole, venue_ts, recv_ts, out)
        guarded(out, self._interest, listing, fields, whole, priced, venue_ts, recv_ts, out)

    def _prices(
        self, listing: Listing, fields: dict[str, Any], whole: bool, venue_ts: int, recv_ts: int, out: list[Decoded]
    ) -> None:
        mark = price(need(fields, "mark_price")) if whole or "mark_price" in fields else None
        index = price(fields["index_price"]) if "index_price" in fields else None  # book summaries lack it
        if mark is not None or index is not None:
            out.append(self._mark(listing, mark, index, venue_ts, recv_ts))

    def _rate(
        self, listing: Listing, fields: dict[str, Any], whole: bool, venue_ts: int, recv_ts: int, out: list[Decoded]
    ) -> None:
        if whole or "current_funding" in fields:
            value = rate(need(fields, "current_funding"))
            out.append(self._funding(listing, value, INTERVAL_H, None, venue_ts, recv_ts))

    def _interest(
        self,
        listing: Listing,
        fields: dict[str, Any],
        whole: bool,
        priced: bool,
        venue_ts: int,
        recv_ts: int,
        out: list[Decoded],
    ) -> None:
        """An amount: its unit (1 USD, 1 coin) stands for the contract."""
        if not whole and "open_interest" not in fields:
            return
        contracts, size = coins(need(fields, "open_interest")), listing.multiplier
        if listing.inverse:
            mark = self._catalog.marks.get(listing.instrument) if priced else None
            if mark is None:
                out.append(Skipped(self.venue, listing.instrument, "no_mark"))
                return
            size = 1 / mark
        out.append(self._open_interest(listing, contracts, size, contracts * size, listing.inverse, venue_ts, recv_ts))

    def _index(self, fields: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        """An index on its own channel: `btc_usd` prices BTC-PERPETUAL, `sol_usdc` SOL_USDC-PERPETUAL."""
        base, _, quote = text(need(fields, "index_name")).upper().partition("_")
        listing = self._listing((base if quote == "USD" else f"{base}_{quote}") + PERPETUAL)
        if listing is not None:
            value, venue_ts = price(need(fields, "price")), timestamp_ms(need(fields, "timestamp"))
            out.append(self._mark(listing, None, value, venue_ts, recv_ts))

    # -- metadata ----------------------------------------------------------------------------------------------

    def _by_name(self, name: str) -> Listing | None:
        """BTC-PERPETUAL is inverse, BTC_USDC-PERPETUAL linear; futures, options and combos end otherwise."""
        stem = name.removesuffix(PERPETUAL)
        base, paired, quote = stem.partition("_")
        if stem == name or not base or "-" in stem or (paired and quote not in USD_QUOTES):
            return None
        symbol, multiplier = canonical(base)
        return self._guess(name, symbol, multiplier, not paired, multiplier if paired else 1.0)

    def _instrument(self, row: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        name = text(need(row, "instrument_name"))
        by_name = self._by_name(name)
        perpetual = label(row["settlement_period"], "settlement_period") == "perpetual"
        if not perpetual or label(need(row, "quote_currency"), "quote_currency") not in USD_QUOTES or by_name is None:
            self._refuse(name, recv_ts, out)
            return
        inverse = by_name.inverse
        if "future_type" in row:  # rows before 2022 do not say
            kind = label(row["future_type"], "future_type")
            if kind not in KINDS:
                raise BadPayload("unknown_shape", f"future_type {kind}")
            inverse = KINDS[kind]
        active = need(row, "is_active")
        if type(active) is not bool:
            raise BadPayload("wrong_type", "is_active")
        # contract_size (10 USD, 0.001 coins) is the trading step; open interest is an amount in USD or coins
        size = 1.0 if inverse else by_name.multiplier
        self._list(
            Listing(self.venue, name, by_name.symbol, inverse, size, by_name.multiplier, INTERVAL_H, active, recv_ts),
            out,
        )


def _problem(error: Any) -> str:
    """Code, message and reason of a JSON-RPC error, bounded."""
    if type(error) is not dict:
        return echo(error)
    data = error.get("data")
    reason = echo(data.get("reason")) if type(data) is dict else ""
    return f"{echo(error.get('code'))} {echo(error.get('message'))} {reason}".strip()
