"""Bitget, USDT, USDC and coin futures: what they are, their limits, what is asked of them.

Facts from the venue page: everything comes on the `ticker` channel of the v2 socket, always whole; v3 frames are read
as well; open interest is in base coins on every product line (`sizeMultiplier` is the quantity step), one or both sides
is not documented (the magnitude says one); the funding interval stands in the metadata only; keep-alive is the text
`ping`; over 50 channels a connection the venue drops messages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import quote

import orjson

from service.model import Endpoints, ExtraStream, Listing, OiFigure, StreamRule, VenueRules
from service.venues.bitget import history
from service.venues.bitget.messages import BitgetDecoder
from service.venues.bitget.metadata import PRODUCTS, product_of
from service.venues.bitget.trades import KINDS, RATIO
from service.venues.contract import Catalog, ConnectionPlan, KeepAlive, Limits, Poll, Request, Streamed, sockets

KEEPALIVE = KeepAlive("ping", 30.0)
RATIO_EVERY_S = 300.0
RATIO_MOST_S = 800.0  # a ratio is fresh for 900 s
RATIO_GAP_S = 1.25  # seconds between two requests: the venue allows one a second


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
        oi_figure=OiFigure("holdingAmount", 1, "not documented; odd lots in frames of 2026 speak for one side"),
    )

    def decoder(self, catalog: Catalog) -> BitgetDecoder:
        return BitgetDecoder(catalog)

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        base = f"{endpoints.rest}/api/v2/mix/market/contracts?productType="
        return [Request("GET", base + line.lower(), context=f"contracts:{line}") for line in PRODUCTS]

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        """Liquidations of all product lines come on one v3 socket, trades on v2 sockets of their own."""
        url, most = endpoints.ws["public"], self.limits.max_topics
        plans = sockets("public", url, listings, most, _requests_for("ticker"), keepalive=KEEPALIVE)
        if "liquidation" in extras:
            lines = [line for line in PRODUCTS if any(product_of(item.instrument) == line for item in listings)]
            frames = tuple(_subscription(instType=line.lower(), topic="liquidation") for line in lines)
            if frames:
                v3 = url.replace("/v2/ws/", "/v3/ws/")  # the same host, as the venue page has it
                plans.append(ConnectionPlan("liquidation-extra-1", v3, frames, (), len(frames), KEEPALIVE))
        if "flow" in extras:
            plans += sockets("trade-extra", url, listings, most, _requests_for("trade"), (), KEEPALIVE)
        return plans

    def polls(
        self,
        endpoints: Endpoints,
        listings: Sequence[Listing],
        oi_poll_s: float,
        extras: Sequence[ExtraStream] = (),
    ) -> list[Poll]:
        """Ratios of the USDT line (the endpoint knows no other). Each request takes the whole second's weight: one a
        second is allowed. Accounts come first; position shares only where both fit into the freshness of a ratio.
        """
        if "long_short" not in extras:
            return []
        names = [item.instrument for item in listings if product_of(item.instrument) == PRODUCTS[0]]
        kinds = list(KINDS) if 2 * len(names) * RATIO_GAP_S <= RATIO_MOST_S else ["account"]
        every_s, weight = max(RATIO_EVERY_S, len(kinds) * len(names) * RATIO_GAP_S), self.limits.rest_weight
        polls = []
        for kind in kinds:
            for name in names:
                url = f"{endpoints.rest}/api/v2/mix/market/{kind}-long-short?symbol={quote(name, safe='')}&period=5m"
                polls.append(Poll(Request("GET", url, weight, context=f"{RATIO}{kind}:{name}"), every_s))
        return polls

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        """Mark, index and settled rates; the venue publishes no past open interest."""
        return history.requests(f"{endpoints.rest}/api/v2/mix/market", listing.instrument, since_ms, now_ms)


def _requests_for(channel: str) -> Callable[[Sequence[Listing]], tuple[str, ...]]:
    """The requests for some instruments' channel of the v2 socket, one each: whether a bad channel fails its whole
    request is not documented."""
    return lambda part: tuple(
        _subscription(instType=product_of(item.instrument), channel=channel, instId=item.instrument) for item in part
    )


def _subscription(**argument: str | None) -> str:
    """The request for one channel."""
    return orjson.dumps({"op": "subscribe", "args": [argument]}).decode()
