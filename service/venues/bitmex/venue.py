"""BitMEX perpetuals: everything from the `instrument` table, a partial and then changed fields of its rows.

Facts from the venue page: absent in a partial is null, absent in an update unchanged; `openInterest` counts contracts
of 1 USD (inverse), 1/`underlyingToPositionMultiplier` coins (linear) or `multiplier` satoshi per unit of price (quanto,
converted here through the bitcoin index); `indicativeSettlePrice` is the index; `fundingRate` will be charged at
`fundingTimestamp`; row times lack in some updates and are rounded in others, so that they order the rows that have the
same field, and an untimed row is as late as it comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

from service.model import STREAMS, Endpoints, ExtraStream, Listing, OiFigure, Stream, StreamRule, VenueRules
from service.venues.bitmex import history
from service.venues.bitmex.messages import BitmexDecoder
from service.venues.bitmex.metadata import BITCOIN
from service.venues.contract import Catalog, ConnectionPlan, KeepAlive, Limits, Request, Streamed, paged, sockets

KEEPALIVE = KeepAlive("ping", 5.0, only_when_idle=True)


class Bitmex(Streamed):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = "bitmex"
    title = "BitMEX perpetuals"
    endpoints = Endpoints(ws={"realtime": "wss://ws.bitmex.com/realtime"}, rest="https://www.bitmex.com/api/v1")
    limits = Limits(
        connects=60,
        connect_period_s=3600.0,
        sends_per_s=10.0,
        rest_weight=30.0,
        rest_period_s=60.0,
        max_topics=200,
    )
    rules = VenueRules(
        venue="bitmex",
        exchange="bitmex",
        mark=StreamRule(15_000, "send"),
        funding=StreamRule(300_000, "send"),
        oi=StreamRule(60_000, "send"),
        index_max_age_ms=15_000,
        funding_cap_8h=0.16,
        oi_figure=OiFigure("openInterest", 1, "the page does not say; odd counts in recorded frames"),
    )

    def decoder(self, catalog: Catalog) -> BitmexDecoder:
        return BitmexDecoder(self.name, catalog)

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        return [Request("GET", f"{endpoints.rest}/instrument/active", context="instruments")]

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        """Of the extras, all liquidations come on one socket, trades by instrument on others."""
        url, most = endpoints.ws["realtime"], self.limits.max_topics
        plans: list[ConnectionPlan] = []
        for number, part in enumerate(paged(listings, most - 1), 1):
            names = [item.instrument for item in part]
            expects: list[tuple[str, Stream]] = [(name, stream) for name in names for stream in STREAMS]
            if any(item.contract_size is None for item in part):  # quanto contracts need the price of bitcoin
                expects += [] if BITCOIN in names else [(BITCOIN, "mark")]
                names = [BITCOIN, *(name for name in names if name != BITCOIN)]
            frames = _subscribe(f"instrument:{name}" for name in names)
            plans.append(ConnectionPlan(f"realtime-{number}", url, frames, tuple(expects), len(frames), KEEPALIVE))
        if "liquidation" in extras and listings:
            plans.append(ConnectionPlan("liquidation-extra-1", url, _subscribe(["liquidation"]), (), 1, KEEPALIVE))
        if "flow" in extras:
            plans += sockets("trade-extra", url, listings, most, _trades, (), KEEPALIVE)
        return plans

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history.requests(endpoints.rest, listing.instrument)


def _trades(listings: Sequence[Listing]) -> tuple[str, ...]:
    return _subscribe(f"trade:{item.instrument}" for item in listings)


def _subscribe(topics: Iterable[str]) -> tuple[str, ...]:
    """One request a topic: a bad one, as of an expired symbol, fails its whole request."""
    return tuple(orjson.dumps({"op": "subscribe", "args": [topic]}).decode() for topic in topics)
