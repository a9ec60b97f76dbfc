"""Kraken Futures perpetuals: everything from the `ticker` feed, a whole snapshot a second.

Facts from the venue page: PF_ contracts are 1 coin, PI_ (inverse) 1 USD; `relative_funding_rate` is a fraction per hour
(`funding_rate` is absolute: money, not a rate); errors name no request; keep-alive is a protocol ping, a JSON one is
refused; names are upper-case in messages and were lower-case in metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.errors import BadPayload
from service.model import Control, Decoded, Endpoints, ExtraStream, Listing, Skipped, StreamRule, VenueRules
from service.venues.contract import Catalog, ConnectionPlan, Limits, Request, Streamed, sockets
from service.venues.emit import PONG, echo, guarded, items, label, mapping, need, readable, said
from service.venues.kraken_futures.trades import (
    INTERVAL_H,
    KrakenFuturesExtras,
    extra_plans,
    history_requests,
    requests_for,
)
from service.venues.numbers import coins, iso_ms, number, price, rate, text, timestamp_ms
from service.venues.symbols import USD_QUOTES, canonical

INVERSE = {"PF": False, "PI": True}  # perpetuals by the prefix of their name; FF and FI are dated
KINDS = {"flexible_futures": False, "futures_inverse": True}
QUOTE = "USD"
LATE_FUNDING_MS = 600_000  # the next time may be past for a second; this long after it the schedule is broken
SETTLEMENTS = "historicalfundingrates:"  # context of a funding history: its rows do not name the instrument
ACKS = ("subscribed", "unsubscribed")
REFUSALS = ("alert", "error", "subscribed_failed", "unsubscribed_failed")
REQUESTS = ("subscribe", "unsubscribe", "ping")


class KrakenFutures(Streamed):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = "kraken_futures"
    title = "Kraken Futures perpetuals"
    endpoints = Endpoints(
        ws={"public": "wss://futures.kraken.com/ws/v1"}, rest="https://futures.kraken.com/derivatives/api/v3"
    )
    limits = Limits(
        connects=30,  # no rate is documented, only about 100 connections at once
        connect_period_s=60.0,
        sends_per_s=20.0,  # of 100
        rest_weight=5.0,
        rest_period_s=1.0,
        max_topics=100,
    )
    rules = VenueRules(
        venue="kraken_futures",
        exchange="kraken",
        mark=StreamRule(10_000, "send"),
        funding=StreamRule(300_000, "send"),
        oi=StreamRule(60_000, "send"),
        index_max_age_ms=10_000,
        funding_cap_8h=0.04,  # 0.005 an hour
    )

    def decoder(self, catalog: Catalog) -> KrakenFuturesDecoder:
        return KrakenFuturesDecoder(catalog)

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        return [Request("GET", f"{endpoints.rest}/instruments", context="instruments")]

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        """One request a product: an error names none, so it must not be able to concern another."""
        url, most = endpoints.ws["public"], self.limits.max_topics
        tickers = sockets("public", url, listings, most, requests_for("ticker"))
        return tickers + extra_plans(url, listings, extras, most)

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history_requests(endpoints.rest, listing, since_ms, now_ms)


def _flag(fields: dict[str, Any], key: str) -> bool:
    """A truth value, False where it is not said."""
    value = fields.get(key, False)
    if type(value) is not bool:
        raise BadPayload("wrong_type", key)
    return value


class KrakenFuturesDecoder(KrakenFuturesExtras):
    """Frames and HTTP answers of the venue."""

    venue = "kraken_futures"

    def _read(self, parsed: Any, recv_ts: int, context: str, out: list[Decoded]) -> None:
        if type(parsed) is not dict:
            raise BadPayload("unknown_shape", type(parsed).__name__)
        if "event" in parsed:
            self._control(parsed, out)
        elif "feed" in parsed:
            feed = label(parsed["feed"], "feed")
            if feed == "ticker":
                self._ticker(parsed, recv_ts, out)
            elif feed in ("trade", "trade_snapshot"):
                self._trade_feed(feed, parsed, recv_ts, out)
            # books, the light ticker, heartbeats: not used
        elif self._past_answer(parsed, recv_ts, context, out):
            return
        elif "result" in parsed or "error" in parsed or "errors" in parsed:
            self._answer(parsed, recv_ts, context, out)
        else:
            raise BadPayload("unknown_shape", ",".join(list(parsed)[:5])[:80])

    def _control(self, frame: dict[str, Any], out: list[Decoded]) -> None:
        event, products = label(frame["event"], "event"), frame.get("product_ids")
        named = f":{echo(products[0])}" if type(products) is list and products else ""
        key = f"{echo(frame.get('feed'))}{named}" if "feed" in frame else None
        if event in ACKS:
            out.append(Control("ack", key, event))
        elif event in REFUSALS:
            out.append(Control("refused", key, f"{event} {echo(frame.get('message'))}".strip()))
        elif event == "pong":
            out.append(PONG)
        elif event not in REQUESTS:  # requests of ours, as recordings hold them
            out.append(Control("info", key, f"{event} {echo(frame.get('message'))}".strip()))

    # -- ticker ------------------------------------------------------------------------------------------------

    def _ticker(self, fields: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        listing = self._listing(text(need(fields, "product_id")).upper())
        if listing is None or self._suspended(listing, fields, out):
            return
        venue_ts = timestamp_ms(need(fields, "time"))
        guarded(out, self._prices, listing, fields, "index", venue_ts, recv_ts, out)
        guarded(out, self._rate, listing, fields, venue_ts, recv_ts, out)
        guarded(out, self._interest, listing, fields, venue_ts, recv_ts, out)

    def _suspended(self, listing: Listing, fields: dict[str, Any], out: list[Decoded]) -> bool:
        """A suspended market goes on sending its last values: they must not count as live."""
        suspended = _flag(fields, "suspended")
        if suspended:
            out.append(Skipped(self.venue, listing.instrument, "suspended"))
        return suspended

    def _prices(
        self,
        listing: Listing,
        fields: dict[str, Any],
        index_key: str,
        venue_ts: int | None,
        recv_ts: int,
        out: list[Decoded],
    ) -> None:
        mark, index = said(fields, "markPrice", price), said(fields, index_key, price)
        if mark is not None or index is not None:
            out.append(self._mark(listing, mark, index, venue_ts, recv_ts))

    def _rate(self, listing: Listing, fields: dict[str, Any], venue_ts: int, recv_ts: int, out: list[Decoded]) -> None:
        """The rate of the running hour. A next time of 0: the market does not trade yet, its zeros are no rate."""
        value = said(fields, "relative_funding_rate", rate)
        next_raw = fields.get("next_funding_rate_time", "")
        if value is None or next_raw == 0:
            return
        next_ts = None if next_raw == "" else timestamp_ms(next_raw)
        if next_ts is not None and venue_ts - next_ts > LATE_FUNDING_MS:
            raise BadPayload("out_of_bounds", f"next funding {venue_ts - next_ts} ms ago")
        out.append(self._funding(listing, value, INTERVAL_H, next_ts, venue_ts, recv_ts))

    def _interest(
        self, listing: Listing, fields: dict[str, Any], venue_ts: int | None, recv_ts: int, out: list[Decoded]
    ) -> None:
        """One-sided contracts: coins (PF) or dollars (PI), the latter at this message's mark, if it has a sound one."""
        contracts = said(fields, "openInterest", coins)
        if contracts is None:
            return
        out.append(self._contracts(listing, contracts, readable(fields, "markPrice", price), venue_ts, recv_ts))

    # -- HTTP answers ------------------------------------------------------------------------------------------

    def _answer(self, frame: dict[str, Any], recv_ts: int, context: str, out: list[Decoded]) -> None:
        if frame.get("result") != "success":
            out.append(Control("refused", None, self._reason(frame)))
        elif "instruments" in frame:
            for row in items(frame["instruments"], "instruments"):
                guarded(out, self._instrument, row, recv_ts, out)
            if context == "instruments":
                self._delist_absent(out, recv_ts)
        elif "tickers" in frame or "ticker" in frame:
            rows = items(frame["tickers"], "tickers") if "tickers" in frame else [frame["ticker"]]
            venue_ts = iso_ms(frame["serverTime"]) if "serverTime" in frame else None
            for row in rows:
                guarded(out, self._ticker_row, row, venue_ts, recv_ts, out)
        elif "rates" in frame:
            self._settlements(items(frame["rates"], "rates"), recv_ts, context, out)
        else:
            raise BadPayload("unknown_shape", ",".join(list(frame)[:5])[:80])

    @staticmethod
    def _reason(frame: dict[str, Any]) -> str:
        errors = frame.get("errors")
        first = errors[0] if type(errors) is list and errors else None
        said = first if type(first) is dict else {"code": frame.get("status"), "message": frame.get("error")}
        return f"{echo(said.get('code'))} {echo(said.get('message'))}".strip()

    def _ticker_row(self, row: Any, venue_ts: int | None, recv_ts: int, out: list[Decoded]) -> None:
        """A ticker over HTTP: its funding rate is absolute, so it says nothing here."""
        fields = mapping(row, "tickers[]")
        listing = self._listing(text(need(fields, "symbol")).upper())
        if listing is None or self._suspended(listing, fields, out):
            return
        guarded(out, self._prices, listing, fields, "indexPrice", venue_ts, recv_ts, out)
        guarded(out, self._interest, listing, fields, venue_ts, recv_ts, out)

    def _settlements(self, rows: list[Any], recv_ts: int, context: str, out: list[Decoded]) -> None:
        if not context.startswith(SETTLEMENTS):
            out.append(Skipped(self.venue, "", "unknown_instrument"))
            return
        listing = self._listing(text(context.removeprefix(SETTLEMENTS)).upper())
        if listing is not None:
            for row in rows:
                guarded(out, self._settlement, listing, row, recv_ts, out)

    def _settlement(self, listing: Listing, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        fields = mapping(row, "rates[]")
        value, at = rate(need(fields, "relativeFundingRate")), iso_ms(need(fields, "timestamp"))
        out.append(self._funding(listing, value, INTERVAL_H, None, at, recv_ts, settled=True))

    # -- metadata ----------------------------------------------------------------------------------------------

    def _by_name(self, name: str) -> Listing | None:
        """PF_XBTUSD, PI_XBTUSD; a second underscore marks dated contracts."""
        prefix, _, pair = name.partition("_")
        base = pair.removesuffix(QUOTE)
        if prefix not in INVERSE or "_" in pair or not pair.endswith(QUOTE) or not base:
            return None
        symbol, multiplier = canonical(base)
        return self._guess(name, symbol, multiplier, INVERSE[prefix], 1.0 if INVERSE[prefix] else multiplier)

    def _instrument(self, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        fields = mapping(row, "instruments[]")
        name = text(need(fields, "symbol")).upper()
        by_name, inverse = self._by_name(name), KINDS.get(label(need(fields, "type"), "type"))
        dated = fields.get("lastTradingTime") is not None
        foreign = dated or _flag(fields, "tradfi") or fields.get("quote", QUOTE) not in USD_QUOTES
        if by_name is None or inverse is None or foreign:
            self._refuse(name, recv_ts, out)
            return
        if inverse is not by_name.inverse:
            raise BadPayload("unknown_shape", f"{name} of type {fields['type']}"[:80])
        symbol, multiplier = by_name.symbol, by_name.multiplier
        if fields.get("base", "") != "":  # rows of 2021 have none
            symbol, multiplier = canonical(text(fields["base"]))
        size = said(fields, "contractSize", lambda value: number(value, 1e-12, 1e15))
        if size is not None and not inverse:
            size *= multiplier
        # post-only: not opened yet, or on its way out
        trading = _flag(fields, "tradeable") and not _flag(fields, "isExpired") and not _flag(fields, "postOnly")
        self._list(Listing(self.venue, name, symbol, inverse, size, multiplier, INTERVAL_H, trading, recv_ts), out)
