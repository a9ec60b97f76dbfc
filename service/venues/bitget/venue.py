"""Bitget perpetuals: everything from the `ticker` channel of the v2 socket, always whole; v3 frames are read as well.

Facts from the venue page: open interest is in base coins on every product line (`sizeMultiplier` is the quantity step),
one or both sides is not documented (the magnitude says one); the funding interval stands in the metadata only;
keep-alive is the text `ping`; over 50 channels a connection the venue drops messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.errors import BadPayload
from service.model import Bad, Control, Decoded, Endpoints, ExtraStream, Listing, StreamRule, VenueRules
from service.venues.bitget.trades import (
    INTERVALS_H,
    KEEPALIVE,
    PRODUCTS,
    QUOTES,
    BitgetExtras,
    extra_plans,
    history_requests,
    product_of,
    ratio_polls,
    requests_for,
)
from service.venues.contract import Catalog, ConnectionPlan, Limits, Poll, Request, Streamed, sockets
from service.venues.emit import HOUR_MS, echo, guarded, items, label, mapping, need
from service.venues.funding_schedule import measure_interval
from service.venues.numbers import coins, interval_hours, price, rate, text, timestamp_ms
from service.venues.symbols import USD_QUOTES, base_of, canonical

SLACK_MS = 600_000  # a next funding this long past, or this much beyond its interval: the schedule is broken
SUCCESS = "00000"
NO_TIME = ("", "0", "-1")
PERPETUAL, DELIVERY = "1", "2"  # symbolType of tickers: text live, an integer in the documents
UNUSED = ("tradeId", "longShortRatio", "longShortAccountRatio", "longShortPositionRatio", "buyVolume")


class Bitget(Streamed):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = "bitget"
    title = "Bitget USDT, USDC and coin futures"
    endpoints = Endpoints(ws={"public": "wss://ws.bitget.com/v2/ws/public"}, rest="https://api.bitget.com")
    limits = Limits(
        connects=300,
        connect_period_s=300.0,
        sends_per_s=5.0,
        rest_weight=20.0,
        rest_period_s=1.0,
        max_topics=50,
        lifetime_s=86_400.0,
    )
    rules = VenueRules(
        venue="bitget",
        exchange="bitget",
        mark=StreamRule(15_000, "send"),
        funding=StreamRule(300_000, "send"),
        oi=StreamRule(60_000, "send"),
        index_max_age_ms=15_000,
        funding_cap_8h=0.16,
    )

    def decoder(self, catalog: Catalog) -> BitgetDecoder:
        return BitgetDecoder(catalog)

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        return [
            Request(
                "GET",
                f"{endpoints.rest}/api/v2/mix/market/contracts?productType={product.lower()}",
                context=f"contracts:{product}",
            )
            for product in PRODUCTS
        ]

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        """One request an instrument: whether a bad channel fails its whole request is not documented."""
        url, most = endpoints.ws["public"], self.limits.max_topics
        tickers = sockets("public", url, listings, most, requests_for("ticker"), keepalive=KEEPALIVE)
        return tickers + extra_plans(url, listings, extras, most)

    def polls(
        self,
        endpoints: Endpoints,
        listings: Sequence[Listing],
        oi_poll_s: float,
        extras: Sequence[ExtraStream] = (),
    ) -> list[Poll]:
        return ratio_polls(endpoints.rest, listings, self.limits.rest_weight) if "long_short" in extras else []

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        """Mark, index and settled rates; the venue publishes no past open interest."""
        return history_requests(endpoints.rest, listing, since_ms, now_ms)


class BitgetDecoder(BitgetExtras):
    """Frames and HTTP answers of the venue."""

    venue = "bitget"

    def _read(self, parsed: Any, recv_ts: int, context: str, out: list[Decoded]) -> None:
        if type(parsed) is not dict:
            raise BadPayload("unknown_shape", type(parsed).__name__)
        if "event" in parsed:
            self._control(parsed, out)
        elif "arg" in parsed:
            self._push(parsed, recv_ts, out)
        elif "code" in parsed:
            self._answer(parsed, recv_ts, context, out)
        elif "op" not in parsed:  # a request of ours, as recordings hold them
            raise BadPayload("unknown_shape", ",".join(list(parsed)[:5])[:80])

    def _control(self, frame: dict[str, Any], out: list[Decoded]) -> None:
        event = label(frame["event"], "event")
        arg = frame.get("arg")
        names = (("channel", "topic"), ("instId", "symbol"))
        key = ":".join(echo(arg.get(v2, arg.get(v3))) for v2, v3 in names) if isinstance(arg, dict) else None
        message = f"{echo(frame.get('code'))} {echo(frame.get('msg'))}".strip()
        if event == "error":
            out.append(Control("refused", key, message))
        elif event in ("subscribe", "unsubscribe", "login"):
            out.append(Control("ack", key, event))
        else:
            out.append(Control("info", key, f"{event} {message}".strip()))

    # -- ticker ------------------------------------------------------------------------------------------------

    def _push(self, frame: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        arg = mapping(frame["arg"], "arg")
        modern = "topic" in arg
        channel = label(arg["topic"] if modern else need(arg, "channel"), "channel")
        product = label(need(arg, "instType"), "instType")
        if product.upper() not in PRODUCTS:
            return  # spot and the retired v1
        if channel == "liquidation":
            self._liquidations(frame, recv_ts, out)
            return
        if channel not in ("ticker", "trade", "publicTrade"):
            return  # candles, books: not used
        name = text(need(arg, "symbol" if modern else "instId"))
        if channel != "ticker":
            self._trades(frame, name, modern, recv_ts, out)
            return
        for row in items(need(frame, "data"), "data"):
            guarded(out, self._ticker, row, name, modern, frame.get("ts"), recv_ts, out)

    def _ticker(self, row: Any, name: str, modern: bool, sent: Any, recv_ts: int, out: list[Decoded]) -> None:
        """A whole ticker: a field that is missing is a changed schema, not "unchanged"."""
        fields = mapping(row, "data[]")
        if fields.get("instId", name) != name or fields.get("symbol", name) != name:
            raise BadPayload("bad_name", f"ticker of another instrument on the channel of {name}"[:80])
        listing = None if _delivers(fields) else self._listing(name)
        if listing is None:
            return
        venue_ts = timestamp_ms(fields.get("ts", sent))  # v3 stamps the frame only
        amount = "openInterest" if modern else "holdingAmount"
        guarded(out, self._add_mark, listing, fields, venue_ts, recv_ts, out)
        guarded(out, self._add_funding, listing, fields, "nextFundingTime", venue_ts, recv_ts, out)
        guarded(out, self._add_interest, listing, fields, amount, venue_ts, recv_ts, out)

    def _add_mark(self, listing: Listing, row: dict[str, Any], venue_ts: int, recv_ts: int, out: list[Decoded]) -> None:
        value, index = price(need(row, "markPrice")), need(row, "indexPrice")
        out.append(self._mark(listing, value, None if index == "" else price(index), venue_ts, recv_ts))

    def _add_funding(
        self, listing: Listing, row: dict[str, Any], next_time: str, venue_ts: int, recv_ts: int, out: list[Decoded]
    ) -> None:
        running, next_raw = need(row, "fundingRate"), need(row, next_time)
        if running == "" or next_raw in NO_TIME:
            return  # no funding on this contract now: not a rate of 0
        value, next_ts = rate(running), timestamp_ms(next_raw)
        if venue_ts - next_ts > SLACK_MS:
            raise BadPayload("out_of_bounds", f"next funding {venue_ts - next_ts} ms ago")
        interval_h = self._interval_at(listing.instrument, next_ts, venue_ts)
        out.append(self._funding(listing, value, interval_h, next_ts, venue_ts, recv_ts))

    def _interval_at(self, name: str, next_ts: int, venue_ts: int) -> float | None:
        """The interval of the metadata, unless the schedule itself says something newer.

        A next funding further away than the interval leaves it in doubt.
        """
        catalog = self._catalog
        measure_interval(catalog, name, next_ts, venue_ts, INTERVALS_H)
        interval_h = catalog.measured_h.get(name, catalog.intervals_h.get(name))
        if interval_h is not None and next_ts - venue_ts > interval_h * HOUR_MS + SLACK_MS:
            return None
        return interval_h

    def _add_interest(
        self, listing: Listing, row: dict[str, Any], key: str, venue_ts: int, recv_ts: int, out: list[Decoded]
    ) -> None:
        """Base coins, also of coin-margined contracts, whose quantities are coins too: nothing to convert."""
        native, size = coins(need(row, key)), listing.multiplier
        out.append(self._open_interest(listing, native, size, native * size, False, venue_ts, recv_ts))

    # -- HTTP answers ------------------------------------------------------------------------------------------

    def _answer(self, frame: dict[str, Any], recv_ts: int, context: str, out: list[Decoded]) -> None:
        if frame["code"] != SUCCESS:
            out.append(Control("refused", None, f"{echo(frame['code'])} {echo(frame.get('msg'))}"))
            return
        if self._extra_answer(need(frame, "data"), recv_ts, context, out):
            return
        data, sent = frame["data"], frame.get("requestTime")
        if type(data) is dict:
            sent = data.get("ts", sent)
            lists = [data[key] for key in ("openInterestList", "list") if key in data]
            rows = items(lists[0] if lists else [data], "list")
        else:
            rows = items(data, "data")
        if any(type(row) is dict and "fundingTime" in row for row in rows):
            keys = ("symbol", "fundingRate", "fundingTime")
            self._history(rows, keys, INTERVALS_H, self._metadata_interval, recv_ts, out)
            return
        for row in rows:
            guarded(out, self._row, row, sent, recv_ts, out)
        if context.startswith("contracts:"):
            self._delist_absent_of(context.removeprefix("contracts:"), out, recv_ts)

    def _row(self, row: Any, sent: Any, recv_ts: int, out: list[Decoded]) -> None:
        """One row of an HTTP answer, told by its fields."""
        if type(row) is list:
            return  # candles
        fields = mapping(row, "data[]")
        if "baseCoin" in fields:
            self._instrument(fields, recv_ts, out)
            return
        if any(key in fields for key in UNUSED):
            return
        amount = next((key for key in ("size", "openInterest", "holdingAmount") if key in fields), None)
        if not any(key in fields for key in ("markPrice", "fundingRate", "ratePeriod")) and amount is None:
            raise BadPayload("unknown_shape", ",".join(list(fields)[:5])[:80])
        spot = label(fields.get("category", PRODUCTS[0]), "category").upper() not in PRODUCTS
        listing = None if spot or _delivers(fields) else self._listing(text(need(fields, "symbol")))
        if listing is None:
            return
        for key in ("fundingRateInterval", "ratePeriod"):
            if key in fields:
                self._said_interval(listing.instrument, fields[key])
        venue_ts = timestamp_ms(fields.get("ts", sent))
        if "markPrice" in fields:
            guarded(out, self._add_mark, listing, fields, venue_ts, recv_ts, out)
        if "fundingRate" in fields:
            guarded(out, self._rate_row, listing, fields, venue_ts, recv_ts, out)
        if amount is not None:
            guarded(out, self._add_interest, listing, fields, amount, venue_ts, recv_ts, out)

    def _rate_row(self, listing: Listing, row: dict[str, Any], venue_ts: int, recv_ts: int, out: list[Decoded]) -> None:
        """A running rate over HTTP; the rows of `tickers` do not name the next funding."""
        next_time = next((key for key in ("nextUpdate", "nextFundingTime") if key in row), None)
        if next_time is not None:
            self._add_funding(listing, row, next_time, venue_ts, recv_ts, out)
        elif row["fundingRate"] != "":
            interval_h = self._metadata_interval(listing, False)
            out.append(self._funding(listing, rate(row["fundingRate"]), interval_h, None, venue_ts, recv_ts))

    def _metadata_interval(self, listing: Listing, alone: bool) -> float | None:
        return self._catalog.intervals_h.get(listing.instrument)

    # -- metadata ----------------------------------------------------------------------------------------------

    def _by_name(self, name: str) -> Listing | None:
        """BTCUSDT and BTCPERP (USDC) are linear, BTCUSD is inverse; BTCUSDZ25 and BTCUSD_251226 are dated."""
        product = product_of(name)
        base = None if product is None else base_of(name, QUOTES[product])
        if base is None:
            return None
        symbol, multiplier = canonical(base)
        inverse = product == "COIN-FUTURES"
        return self._guess(name, symbol, multiplier, inverse, None if inverse else multiplier)

    def _instrument(self, row: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        """A row of v2 `contracts` or v3 `instruments`. Tokenised stocks and metals (`isRwa`) are foreign."""
        name = text(need(row, "symbol"))
        kind = label(row["type"] if "type" in row else need(row, "symbolType"), "symbolType")
        currency = label(need(row, "quoteCoin"), "quoteCoin")
        real_world = label(row.get("isRwa", "NO"), "isRwa") == "YES"
        if kind != "perpetual" or currency not in USD_QUOTES or real_world or product_of(name) is None:
            self._refuse(name, recv_ts, out)
            return
        symbol, multiplier = canonical(text(row["baseCoin"]))
        inverse = currency == "USD"
        state = label(row["status"] if "status" in row else need(row, "symbolStatus"), "symbolStatus")
        size = None if inverse else multiplier  # coin-margined contracts are counted in coins, not in dollars
        interval_h = self._said_interval(name, need(row, "fundInterval"))
        trading = state in ("normal", "online")
        self._list(Listing(self.venue, name, symbol, inverse, size, multiplier, interval_h, trading, recv_ts), out)

    def _said_interval(self, name: str, raw: Any) -> float | None:
        """The venue says the interval, "" for none: newer than what a rollover measured, if it is a change."""
        catalog = self._catalog
        before = catalog.intervals_h.get(name)
        catalog.intervals_h[name] = None  # unless it is readable
        interval_h = None if raw == "" else interval_hours(raw)
        catalog.intervals_h[name] = interval_h
        if interval_h != before or catalog.measured_h.get(name, interval_h) is None:
            catalog.measured_h.pop(name, None)
        return interval_h

    def _delist_absent_of(self, product: str, out: list[Decoded], recv_ts: int) -> None:
        """As ``_delist_absent``, of one product line: its answer says nothing of the others."""
        named = {item.instrument for item in out if isinstance(item, Listing)}
        if not named or any(isinstance(item, Bad) for item in out):
            return
        for name in list(self._catalog.listings):
            if name not in named and product_of(name) == product:
                self._delist(name, recv_ts, out)


def _delivers(row: dict[str, Any]) -> bool:
    """Whether a ticker is of a dated contract."""
    kind, at = echo(row.get("symbolType", PERPETUAL)), row.get("deliveryTime")
    if kind not in (PERPETUAL, DELIVERY):
        raise BadPayload("unknown_shape", f"symbolType {kind}"[:80])
    return kind == DELIVERY or (at is not None and at not in NO_TIME and timestamp_ms(at) > 0)
