"""Gate perpetuals, settled in USDT and in BTC: everything from `futures.tickers`, whole values every second or two.

Facts from the venue page: sizes are contracts, of `quanto_multiplier` coins each, "0" meaning 1 USD (BTC_USD); seconds
and milliseconds mix within a message; `result` has been an object, an array and a nested array; one unknown contract
fails its whole request; without the size header fractional contracts are truncated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import quote

import orjson

from service.model import Endpoints, ExtraStream, Listing, StreamRule, VenueRules
from service.venues.contract import Catalog, ConnectionPlan, KeepAlive, Limits, Poll, Request, Streamed, sockets
from service.venues.gate import history
from service.venues.gate.messages import LIQUIDATIONS, TICKERS, TRADES, GateDecoder
from service.venues.gate.metadata import VENUE
from service.venues.gate.trades import STATS

SETTLES = ("usdt", "btc")
HEADERS = {"X-Gate-Size-Decimal": "1"}  # else fractional sizes are cut off
KEEPALIVE = KeepAlive('{"channel":"futures.ping"}', 15.0)
STATS_EVERY_S = 300.0


class Gate(Streamed):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = VENUE
    title = "Gate USDT and BTC settled futures"
    endpoints = Endpoints(
        ws={settle: f"wss://fx-ws.gateio.ws/v4/ws/{settle}" for settle in SETTLES},
        rest="https://api.gateio.ws/api/v4",
    )
    limits = Limits(
        connects=30,  # no rate is documented, only 300 connections at once
        connect_period_s=60.0,
        sends_per_s=10.0,
        rest_weight=200.0,
        rest_period_s=10.0,
        max_topics=100,
    )
    rules = VenueRules(
        venue=VENUE,
        exchange="gate",
        mark=StreamRule(15_000, "send"),
        funding=StreamRule(300_000, "send"),
        oi=StreamRule(60_000, "send"),
        index_max_age_ms=15_000,
        funding_cap_8h=0.16,
    )

    def decoder(self, catalog: Catalog) -> GateDecoder:
        return GateDecoder(catalog)

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        return [
            Request("GET", f"{endpoints.rest}/futures/{settle}/contracts", context=f"contracts:{settle}")
            for settle in SETTLES
        ]

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        """Sockets of their own by settlement currency; of liquidations one for all contracts."""
        plans: list[ConnectionPlan] = []
        most = self.limits.max_topics
        for settle in SETTLES:
            url, wanted = endpoints.ws[settle], [item for item in listings if item.inverse is (settle == "btc")]
            plans += sockets(settle, url, wanted, most, _each(TICKERS), keepalive=KEEPALIVE)
            if "liquidation" in extras and wanted:
                name = f"{settle}-liquidation-extra"
                plans += sockets(name, url, wanted, len(wanted), _all, (), KEEPALIVE)
            if "flow" in extras:
                plans += sockets(f"{settle}-trade-extra", url, wanted, most, _each(TRADES), (), KEEPALIVE)
        return [replace(plan, headers=HEADERS) for plan in plans]

    def polls(
        self,
        endpoints: Endpoints,
        listings: Sequence[Listing],
        oi_poll_s: float,
        extras: Sequence[ExtraStream] = (),
    ) -> list[Poll]:
        """The newest statistics of each contract: ratios and top traders' positions stand in the same. 200 requests in
        ten seconds are allowed."""
        if "long_short" not in extras and "positions" not in extras:
            return []
        query = "interval=5m&limit=1"
        return [
            Poll(
                Request(
                    "GET",
                    f"{_futures(endpoints, item)}/contract_stats?contract={quote(item.instrument, safe='')}&{query}",
                    context=f"{STATS}{item.instrument}",
                ),
                STATS_EVERY_S,
            )
            for item in listings
        ]

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history.requests(_futures(endpoints, listing), listing.instrument, since_ms, now_ms)


def _futures(endpoints: Endpoints, listing: Listing) -> str:
    return f"{endpoints.rest}/futures/{'btc' if listing.inverse else 'usdt'}"


def _subscribe(number: int, channel: str, contract: str) -> str:
    """The text of a request. "time" is left out: a plan is made once, and the server does not ask for it."""
    return orjson.dumps({"id": number, "channel": channel, "event": "subscribe", "payload": [contract]}).decode()


def _each(channel: str) -> Callable[[Sequence[Listing]], tuple[str, ...]]:
    """One request a contract: an unknown one fails its whole request."""
    return lambda part: tuple(_subscribe(count, channel, item.instrument) for count, item in enumerate(part, 1))


def _all(listings: Sequence[Listing]) -> tuple[str, ...]:
    """One request for the liquidations of all contracts."""
    return (_subscribe(1, LIQUIDATIONS, "!all"),)
