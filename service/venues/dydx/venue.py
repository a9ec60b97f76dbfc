"""dYdX v4 (chain and Indexer): every market's oracle price, funding and open interest from one `v4_markets` topic.

Facts from the venue page: the oracle price is mark and index at once; prices come per block, the rest from a task
that runs every 30 s; each sends only what changed. Funding is per hour and settles on the hour; open interest is
one-sided in coins (`baseOpenInterest` is frozen: not used). Only ACTIVE markets count. 32 markets a connection; the
server sends no answer to a JSON ping, so `v4_block_height` (a message a block, about each second) tells a living
socket of trades from a dead one.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from service.model import Endpoints, ExtraStream, Listing, OiFigure, StreamRule, VenueRules
from service.venues.contract import Catalog, ConnectionPlan, Limits, Request, Streamed, sockets
from service.venues.dydx import history
from service.venues.dydx.messages import MARKETS, TRADES, DydxDecoder

BLOCKS = "v4_block_height"
QUIET_S = 60.0  # dozens of blocks


class Dydx(Streamed):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = "dydx"
    title = "dYdX v4 perpetuals"
    endpoints = Endpoints(ws={"indexer": "wss://indexer.dydx.trade/v4/ws"}, rest="https://indexer.dydx.trade/v4")
    limits = Limits(
        connects=10,  # none published
        connect_period_s=60.0,
        sends_per_s=2.0,  # above, the venue disconnects
        rest_weight=100.0,
        rest_period_s=10.0,
        max_topics=32,
        max_frame_bytes=4 << 20,  # the snapshot of all markets, permissionless ones included
    )
    rules = VenueRules(
        venue="dydx",
        exchange="dydx",
        mark=StreamRule(15_000, "send"),  # effectiveAt: a halted chain or a lagging Indexer must not look alive
        funding=StreamRule(300_000, "none"),
        oi=StreamRule(120_000, "none"),
        index_max_age_ms=15_000,
        funding_cap_8h=0.6,  # 600 % x (initial - maintenance margin): 12 % for BTC, 60 % at margins of 20 % and 10 %
        oi_figure=OiFigure("openInterest", 1, "indexer: sum of long open positions", "documented"),
    )

    def decoder(self, catalog: Catalog) -> DydxDecoder:
        return DydxDecoder(self.name, catalog)

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        return [Request("GET", f"{endpoints.rest}/perpetualMarkets", context="markets")]

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        """One socket with one topic for all. The server pings by protocol frames and answers no JSON ping.

        Trades bring the liquidations too. Each of their sockets hears the blocks, a channel with a limit of its own.
        """
        if not listings:
            return []
        url = endpoints.ws["indexer"]
        plans = sockets("indexer", url, listings, len(listings), lambda _: (_subscribe(MARKETS),))
        if "flow" in extras or "liquidation" in extras:
            plans += sockets("extra", url, listings, self.limits.max_topics, _trades, (), quiet_s=QUIET_S)
        return plans

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history.requests(endpoints.rest, listing.instrument, since_ms, now_ms)


def _trades(listings: Sequence[Listing]) -> tuple[str, ...]:
    return _subscribe(BLOCKS), *(_subscribe(TRADES, item.instrument) for item in listings)


def _subscribe(channel: str, market: str | None = None) -> str:
    """One request; updates come in batches."""
    subject = {} if market is None else {"id": market}
    return orjson.dumps({"type": "subscribe", "channel": channel, **subject, "batched": True}).decode()
