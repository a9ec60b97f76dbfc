"""Lighter: mark, index, funding and open interest of every market from one subscription, `market_stats/all`.

Facts from the venue page: the first message is a snapshot, then whole rows of the markets that changed, about every
0.4 s; the channel has a slash in requests and a colon in answers. `open_interest` is dollars at the mark, one side
(REST has the same word for coins); `current_funding_rate` is percent per hour and settles on the hour
(`funding_timestamp` is the last settlement). Trades need a subscription a market. An address may send 200 messages a
minute, with 50 unanswered, over all its sockets: so all trades are on one, at a pace of its own. Both sides ping.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from service.model import Endpoints, ExtraStream, Listing, OiFigure, StreamRule, VenueRules
from service.venues.contract import Catalog, ConnectionPlan, KeepAlive, Limits, Request, Streamed, sockets
from service.venues.lighter import history
from service.venues.lighter.messages import LighterDecoder
from service.venues.lighter.metadata import MARKETS

KEEPALIVE = KeepAlive('{"type":"ping"}', 45.0)  # the venue closes what sends nothing for 2 minutes


class Lighter(Streamed):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = "lighter"
    title = "Lighter perpetuals"
    endpoints = Endpoints(
        ws={"stream": "wss://mainnet.zklighter.elliot.ai/stream"}, rest="https://mainnet.zklighter.elliot.ai/api/v1"
    )
    limits = Limits(
        connects=60,  # 80 published
        connect_period_s=60.0,
        sends_per_s=2.5,  # 150 a minute of the 200 of an address: the other socket and the pings need some
        rest_weight=50.0,  # requests, 60 published
        rest_period_s=60.0,
        max_topics=500,
    )
    rules = VenueRules(
        venue="lighter",
        exchange="lighter",
        mark=StreamRule(30_000, "send"),  # a row comes when anything in it has moved: of small markets not every second
        funding=StreamRule(300_000, "send"),
        oi=StreamRule(60_000, "send"),
        index_max_age_ms=30_000,
        funding_cap_8h=0.04,  # funding_clamp_big, 4 % of 8 h
        oi_figure=OiFigure(
            "open_interest", 1, "odd lots in frames of 2026: dollars at the mark of one side", "assumed"
        ),
    )

    def decoder(self, catalog: Catalog) -> LighterDecoder:
        return LighterDecoder(self.name, catalog)

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        return [Request("GET", f"{endpoints.rest}/orderBookDetails", context=MARKETS)]

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        """One socket with one topic for all, and one for the trades of all, which bring the liquidations too."""
        if not listings:
            return []
        url = endpoints.ws["stream"]
        plans = sockets("stream", url, listings, len(listings), _statistics, keepalive=KEEPALIVE)
        if "flow" in extras or "liquidation" in extras:
            plans += sockets("extra", url, listings, self.limits.max_topics, _trades, (), KEEPALIVE)
        return plans

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history.requests(endpoints.rest, listing.instrument, since_ms, now_ms)


def _statistics(listings: Sequence[Listing]) -> tuple[str, ...]:
    """All markets of the venue, whichever are wanted."""
    return (_subscribe("market_stats/all"),)


def _trades(listings: Sequence[Listing]) -> tuple[str, ...]:
    return tuple(_subscribe(f"trade/{item.instrument.rpartition('-')[2]}") for item in listings)


def _subscribe(channel: str) -> str:
    return orjson.dumps({"type": "subscribe", "channel": channel}).decode()
