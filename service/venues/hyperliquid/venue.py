"""Hyperliquid, main dex: mark, oracle, funding and open interest of a coin from `activeAssetCtx`.

Facts from the venue page: messages carry no time; funding is per hour and settles on the hour; open interest is
one-sided in units of the coin's name (kPEPE: thousands); one unknown coin closes the socket; arrays over all coins
are positional. The address' 1,000 subscriptions and 10 sockets are shared by all streams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson

from service.model import Endpoints, ExtraStream, Listing, OiFigure, StreamRule, VenueRules
from service.venues.contract import Catalog, ConnectionPlan, KeepAlive, Limits, Request, Streamed, sockets
from service.venues.hyperliquid import history
from service.venues.hyperliquid.messages import HyperliquidDecoder

MAX_CONNECTIONS = 10
MAX_SUBSCRIPTIONS = 1000
KEEPALIVE = KeepAlive('{"method":"ping"}', 30.0)


class Hyperliquid(Streamed):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = "hyperliquid"
    title = "Hyperliquid main dex"
    endpoints = Endpoints(ws={"main": "wss://api.hyperliquid.xyz/ws"}, rest="https://api.hyperliquid.xyz")
    limits = Limits(
        connects=30,
        connect_period_s=60.0,
        sends_per_s=5.0,  # six sockets at once stay under 33/s, above which subscriptions get lost in silence
        rest_weight=1200.0,
        rest_period_s=60.0,
        max_topics=200,
    )
    rules = VenueRules(
        venue="hyperliquid",
        exchange="hyperliquid",
        mark=StreamRule(15_000, "none"),
        funding=StreamRule(300_000, "none"),
        oi=StreamRule(60_000, "none"),
        index_max_age_ms=15_000,
        funding_cap_8h=0.32,
        oi_figure=OiFigure("openInterest", 1, "venue page: one-sided", "documented"),
    )

    def decoder(self, catalog: Catalog) -> HyperliquidDecoder:
        return HyperliquidDecoder(self.name, catalog)

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        return [Request("POST", f"{endpoints.rest}/info", 20.0, '{"type":"meta"}', "meta")]

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        """Trades come on what subscriptions and sockets the main streams leave: first listings first."""
        url, most = endpoints.ws["main"], self.limits.max_topics
        each = max(most, -(-len(listings) // MAX_CONNECTIONS))
        plans = sockets("main", url, listings, each, _subscribe("activeAssetCtx"), keepalive=KEEPALIVE)
        left, room = MAX_CONNECTIONS - len(plans), MAX_SUBSCRIPTIONS - len(listings)
        if "flow" in extras and left > 0 and room > 0:
            wanted = listings[:room]
            each = max(most, -(-len(wanted) // left))
            plans += sockets("extra", url, wanted, each, _subscribe("trades"), (), KEEPALIVE)
        return plans

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history.requests(endpoints.rest, listing.instrument, since_ms, now_ms)


def _subscribe(kind: str) -> Callable[[Sequence[Listing]], tuple[str, ...]]:
    """One request a coin: there is no batching."""
    return lambda part: tuple(
        orjson.dumps({"method": "subscribe", "subscription": {"type": kind, "coin": item.instrument}}).decode()
        for item in part
    )
