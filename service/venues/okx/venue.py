"""OKX v5 perpetual swaps: what they are, their limits, what is asked of them.

Facts from the venue page: four channels per instrument on one public socket, extra streams on sockets of their own; the
next funding is `fundingTime` (`nextFundingTime` is the one after); sizes are contracts, `oiCcy` coins; the index has
its own id (`BTC-USDT`); keep-alive is the text `ping`; timestamps are of the last change.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import orjson

from service.model import Endpoints, ExtraStream, Listing, LongShortKind, OiFigure, StreamRule, VenueRules
from service.venues.contract import Catalog, ConnectionPlan, KeepAlive, Limits, Poll, Request, Streamed, paged, sockets
from service.venues.okx import history
from service.venues.okx.messages import OkxDecoder
from service.venues.okx.metadata import index_of
from service.venues.okx.trades import LIQUIDATIONS, RATIO, TRADES

CHANNELS = ("mark-price", "funding-rate", "open-interest")  # by instrument; the index by its own id
ARGS_PER_FRAME = 60  # well below 64 KB
KEEPALIVE = KeepAlive("ping", 25.0, only_when_idle=True)
RATIOS: tuple[tuple[LongShortKind, str], ...] = (  # kind and endpoint, the most telling first
    ("account", "long-short-account-ratio-contract"),
    ("top_position", "long-short-position-ratio-contract-top-trader"),
    ("top_account", "long-short-account-ratio-contract-top-trader"),
)
RATIO_S = 300.0
RATIO_BUDGET_SHARE = 0.25  # of the request weight: above, fewer kinds, then less often


class Okx(Streamed):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = "okx"
    title = "OKX v5 perpetual swaps"
    endpoints = Endpoints(ws={"public": "wss://ws.okx.com:8443/ws/v5/public"}, rest="https://www.okx.com")
    limits = Limits(
        connects=3,
        connect_period_s=1.0,
        sends_per_s=2.0,  # 480 requests an hour and connection: few and large ones
        rest_weight=20.0,
        rest_period_s=2.0,
        max_topics=240,
        first_message_s=95.0,  # funding comes every 30-90 s
    )
    rules = VenueRules(
        venue="okx",
        exchange="okx",
        mark=StreamRule(30_000, "change"),
        funding=StreamRule(300_000, "change"),
        oi=StreamRule(60_000, "change"),
        index_max_age_ms=90_000,
        funding_cap_8h=0.16,
        oi_figure=OiFigure("oi", 1, "venue page: single side", "documented"),
    )

    def decoder(self, catalog: Catalog) -> OkxDecoder:
        return OkxDecoder(catalog)

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        return [Request("GET", f"{endpoints.rest}/api/v5/public/instruments?instType=SWAP", context="instruments")]

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        """Liquidations of all swaps come on one socket, in a request of their own; trades beside and on further ones.

        Each topic is acknowledged.
        """
        url, most = endpoints.ws["public"], self.limits.max_topics
        each = most // (len(CHANNELS) + 1)
        plans = sockets(
            "public", url, listings, each, _swaps, keepalive=KEEPALIVE, acks=lambda part: len(_topics(part))
        )
        topics: list[dict[str, str]] = []
        if "liquidation" in extras and listings:
            topics.append({"channel": LIQUIDATIONS, "instType": "SWAP"})
        if "flow" in extras:
            topics += [{"channel": TRADES, "instId": item.instrument} for item in listings]
        for count, page in enumerate(paged(topics, most), 1):
            alone = 1 if page[0]["channel"] == LIQUIDATIONS else 0
            frames = _subscribe(page[:alone]) + _subscribe(page[alone:])
            plans.append(ConnectionPlan(f"extra-{count}", url, frames, (), len(page), KEEPALIVE))
        return plans

    def polls(
        self,
        endpoints: Endpoints,
        listings: Sequence[Listing],
        oi_poll_s: float,
        extras: Sequence[ExtraStream] = (),
    ) -> list[Poll]:
        """Of all streams only the ratios are polled: each kind of each instrument every five minutes, as far as the
        budget goes."""
        if "long_short" not in extras or not listings:
            return []
        allowed_per_s = self.limits.rest_weight / self.limits.rest_period_s * RATIO_BUDGET_SHARE
        kinds = RATIOS[: max(1, int(RATIO_S * allowed_per_s / len(listings)))]
        every_s = max(RATIO_S, len(kinds) * len(listings) / allowed_per_s)
        base = f"{endpoints.rest}/api/v5/rubik/stat/contracts"
        polls = []
        for kind, endpoint in kinds:
            for name in [item.instrument for item in listings]:
                url = f"{base}/{endpoint}?instId={quote(name, safe='')}&period=5m&limit=1"
                polls.append(Poll(Request("GET", url, context=f"{RATIO}{kind}:{name}"), every_s))
        return polls

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history.requests(f"{endpoints.rest}/api/v5", listing, since_ms, now_ms)

    def month(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history.month(f"{endpoints.rest}/api/v5", listing, since_ms, now_ms)


def _topics(listings: Sequence[Listing]) -> list[dict[str, str]]:
    """What one socket subscribes to for these; several swaps may follow one index."""
    indices = dict.fromkeys(map(index_of, listings))
    return [
        *({"channel": channel, "instId": item.instrument} for item in listings for channel in CHANNELS),
        *({"channel": "index-tickers", "instId": index} for index in indices),
    ]


def _swaps(listings: Sequence[Listing]) -> tuple[str, ...]:
    return _subscribe(_topics(listings))


def _subscribe(topics: Sequence[dict[str, str]]) -> tuple[str, ...]:
    """The requests that subscribe to these."""
    return tuple(orjson.dumps({"op": "subscribe", "args": page}).decode() for page in paged(topics, ARGS_PER_FRAME))
