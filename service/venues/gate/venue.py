"""Gate perpetuals, settled in USDT and in BTC: everything from `futures.tickers`, whole values every second or two.

Facts from the venue page: sizes are contracts, of `quanto_multiplier` coins each, "0" meaning 1 USD (BTC_USD);
`total_size` counts both sides, `position_size` of the contract list one: their ratio is measured at the start and with
every contract list; seconds and milliseconds mix within a message; `result` has been an object, an array and a nested
array; one unknown contract fails its whole request; without the size header fractional contracts are truncated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import quote

import orjson

from service.model import Endpoints, ExtraStream, Listing, OiFigure, StreamRule, VenueRules
from service.venues.contract import Catalog, ConnectionPlan, KeepAlive, Limits, Poll, Request, Streamed, sockets
from service.venues.gate import history
from service.venues.gate.messages import LIQUIDATIONS, TICKERS, TRADES, GateDecoder
from service.venues.gate.metadata import SIDES, SIZES, VENUE
from service.venues.gate.trades import FORCED, FORCED_A_PAGE, STATS

SETTLES = ("usdt", "btc")
KEEPALIVE = KeepAlive('{"channel":"futures.ping"}', 15.0)
STATS_EVERY_S = 300.0
FORCED_EVERY_S = 20.0  # liquidations over 60 s old are refused


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
        oi_figure=OiFigure(
            "total_size", 2, "measured in frames of September 2026; odd, so one-sided, in 2022 and 2023", "documented"
        ),
    )

    def decoder(self, catalog: Catalog) -> GateDecoder:
        return GateDecoder(catalog)

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        """The contract lists, and right after the first the tickers that it is compared with."""

        def get(settle: str, what: str, context: str, more: str = "") -> Request:
            url = f"{endpoints.rest}/futures/{settle}/{what}"
            return Request("GET", url, context=context, headers=SIZES, more=more)

        usdt, btc = (get(settle, "contracts?limit=1000", f"contracts:{settle}", "offset") for settle in SETTLES)
        return [usdt, get("usdt", "tickers", SIDES), btc]

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
        return [replace(plan, headers=dict(SIZES)) for plan in plans]

    def polls(
        self,
        endpoints: Endpoints,
        listings: Sequence[Listing],
        oi_poll_s: float,
        extras: Sequence[ExtraStream] = (),
    ) -> list[Poll]:
        """Liquidations of all contracts of a settlement currency, and the newest statistics of each contract, in which
        ratios and top traders' positions stand. 200 requests in ten seconds are allowed."""
        polls = []
        if "liquidation" in extras:
            for settle in SETTLES:
                if any(item.inverse is (settle == "btc") for item in listings):
                    url = f"{endpoints.rest}/futures/{settle}/liq_orders?limit={FORCED_A_PAGE}"
                    polls.append(Poll(Request("GET", url, context=f"{FORCED}{settle}", headers=SIZES), FORCED_EVERY_S))
        if "long_short" in extras or "positions" in extras:
            for item in listings:
                contract = quote(item.instrument, safe="")
                url = f"{_futures(endpoints, item)}/contract_stats?contract={contract}&interval=5m&limit=1"
                context = f"{STATS}{item.instrument}"
                polls.append(Poll(Request("GET", url, context=context, headers=SIZES), STATS_EVERY_S))
        return polls

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history.requests(_futures(endpoints, listing), listing.instrument, since_ms, now_ms)

    def month(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history.month(_futures(endpoints, listing), listing.instrument, since_ms, now_ms)


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
