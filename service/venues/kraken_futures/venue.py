"""Kraken Futures perpetuals: everything from the `ticker` feed, a whole snapshot a second.

Facts from the venue page: PF_ contracts are 1 coin, PI_ (inverse) 1 USD; `relative_funding_rate` is a fraction per hour
(`funding_rate` is absolute: money, not a rate); errors name no request; keep-alive is a protocol ping, a JSON one is
refused, so where nothing but trades comes the `heartbeat` feed shows that a socket lives; names are upper-case in
messages and were lower-case in metadata.

REST and this socket, v1, end on 2027-03-01. The unified socket that follows runs beside it, on connections of its own
(unified.py): what it says counts once it has been found to agree with v1 and v1 is silent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import orjson

from service.model import Endpoints, ExtraStream, Listing, OiFigure, StreamRule, VenueRules
from service.venues.contract import Catalog, ConnectionPlan, KeepAlive, Limits, Request, Streamed, paged, sockets
from service.venues.kraken_futures import history, unified
from service.venues.kraken_futures.messages import KrakenFuturesDecoder
from service.venues.kraken_futures.metadata import VENUE

QUIET_S = 180.0


class KrakenFutures(Streamed):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = VENUE
    title = "Kraken Futures perpetuals"
    endpoints = Endpoints(
        ws={"public": "wss://futures.kraken.com/ws/v1", "unified": "wss://uws.kraken.com/v2/public"},
        rest=f"https://futures.kraken.com{history.API}",
    )
    limits = Limits(
        connects=30,  # no rate is documented, only about 100 connections at once
        connect_period_s=60.0,
        sends_per_s=20.0,  # of 100
        rest_weight=5.0,
        rest_period_s=1.0,
        max_topics=100,
        max_frame_bytes=1 << 22,  # of the unified socket's list of all instruments, whose size is not documented
    )
    rules = VenueRules(
        venue=VENUE,
        exchange="kraken",
        mark=StreamRule(10_000, "send"),
        funding=StreamRule(300_000, "send"),
        oi=StreamRule(60_000, "send"),
        index_max_age_ms=10_000,
        funding_cap_8h=0.04,  # 0.005 an hour
        oi_figure=OiFigure("openInterest", 1, "the page does not say"),
        sources=("v1", "unified"),
    )

    def decoder(self, catalog: Catalog) -> KrakenFuturesDecoder:
        return KrakenFuturesDecoder(catalog)

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        return [Request("GET", f"{endpoints.rest}/instruments", context="instruments")]

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        url, most = endpoints.ws["public"], self.limits.max_topics
        plans = sockets("public", url, listings, most, _requests("ticker"))
        if "flow" in extras or "liquidation" in extras:  # trades bring the liquidations too
            trades = _requests("trade", _subscribe({"feed": "heartbeat"}))
            plans += sockets("trade-extra", url, listings, most - 1, trades, (), quiet_s=QUIET_S)
        if endpoints.ws.get("unified"):
            plans += _unified(endpoints.ws["unified"], listings, most, "flow" in extras)
        return plans

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history.requests(endpoints.rest, listing, since_ms, now_ms)

    def month(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history.month(endpoints.rest, listing, since_ms, now_ms)


def _subscribe(topic: dict[str, object]) -> str:
    return orjson.dumps({"event": "subscribe", **topic}).decode()


def _requests(feed: str, *first: str) -> Callable[[Sequence[Listing]], tuple[str, ...]]:
    """The requests for a feed of some products after those that come ``first``. One a product: an error names none, so
    it must not be able to concern another."""
    return lambda part: (
        *first,
        *(_subscribe({"feed": feed, "product_ids": [item.instrument]}) for item in part),
    )


def _unified(url: str, listings: Sequence[Listing], most: int, flow: bool) -> list[ConnectionPlan]:
    """Tickers, trades and the list of instruments apart, so that none is disturbed by another. Nothing is expected, so
    that their silence is nobody's trouble. The list comes even where no instrument is known: it may be the only one."""
    ping = KeepAlive(unified.PING, unified.PING_S)
    plans = [ConnectionPlan("unified-list", url, (unified.request("subscribe", "instrument", 100),), (), 1, ping)]
    for number, part in enumerate(paged(listings, most), 1):
        name, anew = f"unified-{number}", unified.tickers_anew(part)
        texts = unified.tickers(part)
        plans.append(ConnectionPlan(name, url, texts, (), len(texts), ping, anew=anew, anew_s=unified.ANEW_S))
    if flow:
        plans += sockets("unified-trade", url, listings, most, unified.trades, (), ping)
    return [replace(plan, apart=True, sends_per_s=unified.SENDS_PER_S) for plan in plans]
