"""Bybit V5, linear and inverse perpetuals: what they are, their limits, what is asked of them.

Facts from the venue page: mark, index, funding and open interest come on `tickers.<symbol>`, a snapshot and then
deltas; a field absent from a delta is unchanged, "" is not applicable; `cs` orders messages; `openInterest` counts both
sides, `singleOpenInterest` (since June 2026) one; inverse contracts are 1 USD each. Linear and inverse contracts have
sockets of their own; text pings, whose answer carries `success` like an acknowledgement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import quote

import orjson

from service.model import Endpoints, ExtraStream, Listing, OiFigure, StreamRule, VenueRules
from service.venues.bybit import history
from service.venues.bybit.messages import BybitDecoder
from service.venues.bybit.metadata import SIDES
from service.venues.contract import Catalog, ConnectionPlan, KeepAlive, Limits, Poll, Request, Streamed, paged, sockets

CATEGORIES = ("linear", "inverse")
TICKERS = "tickers"
EXTRA_TOPICS: tuple[tuple[ExtraStream, str], ...] = (("liquidation", "allLiquidation"), ("flow", "publicTrade"))
TOPICS_PER_FRAME = 10  # one bad topic fails its whole request
RATIO_S = 300.0  # the venue computes them every five minutes
KEEPALIVE = KeepAlive('{"op":"ping"}', 20.0)  # answered, so that a socket without trades is not mistaken for a dead one


class Bybit(Streamed):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = "bybit"
    title = "Bybit V5 linear and inverse perpetuals"
    endpoints = Endpoints(
        ws={
            "linear": "wss://stream.bybit.com/v5/public/linear",
            "inverse": "wss://stream.bybit.com/v5/public/inverse",
        },
        rest="https://api.bybit.com",
    )
    limits = Limits(
        connects=500,
        connect_period_s=300.0,
        sends_per_s=10.0,
        rest_weight=600.0,
        rest_period_s=5.0,
        max_topics=400,  # 21,000 characters of topics a connection
    )
    rules = VenueRules(
        venue="bybit",
        exchange="bybit",
        mark=StreamRule(15_000, "send"),
        funding=StreamRule(300_000, "send"),
        oi=StreamRule(60_000, "send"),
        index_max_age_ms=15_000,
        funding_cap_8h=0.16,
        oi_figure=OiFigure(
            "openInterest", 2, "change log of June 2026; singleOpenInterest is read instead", "documented"
        ),
    )

    def decoder(self, catalog: Catalog) -> BybitDecoder:
        return BybitDecoder(catalog)

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        """The lists, and the tickers, in which both figures of open interest stand."""
        base = f"{endpoints.rest}/v5/market"
        lists = [
            Request(
                "GET",
                f"{base}/instruments-info?category={category}&limit=1000",
                context=f"instruments:{category}",
                more="cursor",
            )
            for category in CATEGORIES
        ]
        return [*lists, Request("GET", f"{base}/tickers?category=linear", context=f"{SIDES}linear")]

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        """Trades and liquidations of a category share sockets, liquidations first."""
        most = self.limits.max_topics
        topics = [topic for stream, topic in EXTRA_TOPICS if stream in extras]
        plans: list[ConnectionPlan] = []
        extra: list[ConnectionPlan] = []
        for category in CATEGORIES:
            wanted, url = [item for item in listings if _category(item) == category], endpoints.ws[category]
            plans += sockets(category, url, wanted, most, _requests_for(TICKERS), keepalive=KEEPALIVE)
            if topics:
                each = most // len(topics)
                extra += sockets(f"{category}-extra", url, wanted, each, _requests_for(*topics), (), KEEPALIVE)
        return plans + extra

    def polls(
        self,
        endpoints: Endpoints,
        listings: Sequence[Listing],
        oi_poll_s: float,
        extras: Sequence[ExtraStream] = (),
    ) -> list[Poll]:
        """Only the ratios, which inverse and USDT contracts have: everything else is streamed.

        One request an instrument: 500 of them take 1.7 of the 120 requests a second that are allowed.
        """
        base = f"{endpoints.rest}/v5/market/account-ratio"
        return [
            Poll(Request("GET", f"{base}?{_subject(item)}&period=5min&limit=1", context="long_short"), RATIO_S)
            for item in listings
            if "long_short" in extras and (item.inverse or item.instrument.endswith("USDT"))
        ]

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        base = f"{endpoints.rest}/v5/market"
        return history.requests(base, listing.instrument, _subject(listing), since_ms, now_ms)

    def month(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history.month(f"{endpoints.rest}/v5/market", listing, _subject(listing), since_ms, now_ms)


def _category(listing: Listing) -> str:
    return "inverse" if listing.inverse else "linear"


def _subject(listing: Listing) -> str:
    """The query that names an instrument."""
    return f"category={_category(listing)}&symbol={quote(listing.instrument, safe='')}"


def _requests_for(*topics: str) -> Callable[[Sequence[Listing]], tuple[str, ...]]:
    """The requests that subscribe to these topics of some instruments; no request mixes two kinds of topics."""

    def requests(part: Sequence[Listing]) -> tuple[str, ...]:
        pages = [
            [f"{topic}.{item.instrument}" for item in page]
            for topic in topics
            for page in paged(part, TOPICS_PER_FRAME)
        ]
        return tuple(
            orjson.dumps({"req_id": str(count), "op": "subscribe", "args": page}).decode()
            for count, page in enumerate(pages, 1)
        )

    return requests
