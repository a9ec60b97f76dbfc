"""Deribit perpetuals: one `ticker` channel per instrument brings mark, index, funding and open interest.

Facts from the venue page: `open_interest` is an amount, in USD for inverse and in coins for linear perpetuals, never a
count of contracts; `current_funding` is the rate in force per 8 h (`funding_8h` looks back), 0 most of the time, and
accrues continuously, so there is no funding time; one refused channel fails its whole request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from service.model import Endpoints, ExtraStream, Listing, OiFigure, StreamRule, VenueRules
from service.venues.contract import Catalog, ConnectionPlan, KeepAlive, Limits, Request, Streamed, sockets
from service.venues.deribit import history
from service.venues.deribit.messages import DeribitDecoder
from service.venues.deribit.metadata import VENUE


def _call(number: int, method: str, params: dict[str, Any]) -> str:
    """The text of a JSON-RPC request."""
    return orjson.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).decode()


def _subscribe(channel: str) -> Callable[[Sequence[Listing]], tuple[str, ...]]:
    """One request a channel of some instruments ({} is the name): a refused one takes the others of its request with
    it."""
    return lambda part: tuple(
        _call(count, "public/subscribe", {"channels": [channel.format(item.instrument)]})
        for count, item in enumerate(part, 1)
    )


# Not the venue's heartbeat: once opted in, a late reply to its test_request closes the connection.
KEEPALIVE = KeepAlive(_call(0, "public/test", {}), 30.0)


class Deribit(Streamed):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = VENUE
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
        venue=VENUE,
        exchange="deribit",
        mark=StreamRule(15_000, "send"),
        funding=StreamRule(300_000, "send"),
        oi=StreamRule(60_000, "send"),
        index_max_age_ms=15_000,
        funding_cap_8h=0.16,
        oi_figure=OiFigure("open_interest", 1, "the page does not say"),
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
        tickers = _subscribe("ticker.{}.agg2")  # agg2: every 1-2 s
        plans = sockets("public", url, listings, most, tickers, keepalive=KEEPALIVE)
        if "flow" in extras or "liquidation" in extras:  # trades bring the liquidations too
            plans += sockets("extra", url, listings, most, _subscribe("trades.{}.100ms"), (), KEEPALIVE)
        return plans

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history.requests(endpoints, listing, since_ms, now_ms)
