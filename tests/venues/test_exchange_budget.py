"""Venues of one exchange share its limits: Binance's two products against one server that counts as Binance does.

In virtual time, over real HTTP: what counts is what the server saw.
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from aiohttp import web

from service.clock import ServiceClock
from service.config import NetworkSection, parse
from service.core.build import endpoints_of, rules_of, venues_of
from service.core.engine import Engine
from service.core.intake import Intake
from service.metrics import Metrics
from service.model import EXTRA_STREAMS, Decoded, Endpoints, Listing, Skipped
from service.runtime.venue_runner import runners
from service.venues import VENUES
from service.venues.contract import Request
from service.venues.transport.budget import VenueBudget
from service.venues.transport.health import VenueHealth
from service.venues.transport.poller import Poller
from service.venues.transport.venue_io import VenueIo
from tests.fakes.venue_server import LoopClock
from tests.venues.extras import DAY_AND_TWO, NOW

USDM, COINM = "binance_usdm", "binance_coinm"


def now() -> float:
    return asyncio.get_running_loop().time()


def weight_of(request: web.Request) -> float:
    """The documented weights."""
    if "Klines" in request.path:
        limit = int(request.query["limit"])
        return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10
    return 1.0  # of statistics 0 on USD-M, but clients were banned for them: counted as 1


def most_within(spent: Sequence[tuple[float, float]], period_s: float) -> float:
    """The most that falls into any window of that length; ``spent`` in the order of time."""
    times = [at for at, _ in spent]
    sums = [0.0]
    for _, amount in spent:
        sums.append(sums[-1] + amount)
    return max(
        (sums[bisect_left(times, at + period_s - 0.5)] - sums[index] for index, at in enumerate(times)), default=0.0
    )


class Hosts:
    """Both hosts of Binance. ``others``: weight that somebody else on our address has used in this minute."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []
        self.statistics: list[tuple[float, float]] = []
        self.funding: list[tuple[float, float]] = []
        self.interest: dict[str, list[float]] = defaultdict(list)
        self.others = 0.0
        self.ban_s: float | None = None
        self.url = ""

    async def _handle(self, request: web.Request) -> web.Response:
        at, weight = now(), weight_of(request)
        self.seen.append((at, weight))
        name = request.query.get("symbol") or request.query.get("pair") or "list"
        if request.path.startswith("/futures/data/"):
            self.statistics.append((at, 1.0))
        elif "funding" in request.path:
            self.funding.append((at, 1.0))
        elif request.path.endswith("openInterest"):
            self.interest[name].append(at)
        minute = [amount for when, amount in self.seen if when // 60 == at // 60] if self.others else []
        headers = {"X-MBX-USED-WEIGHT-1M": f"{self.others + sum(minute):.0f}"} if self.others else {}
        if self.ban_s is not None:
            headers["Retry-After"], self.ban_s = f"{self.ban_s:.0f}", None
            return web.Response(status=418, headers=headers)
        return web.Response(text=name, headers=headers)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Hosts]:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()


class Sink:
    """Takes any answer for one about the instrument that it names."""

    def frame(self, venue: str, connection: str, raw: str | bytes, context: str = "") -> Sequence[Decoded]:
        return [Skipped(venue, raw.decode() if isinstance(raw, bytes) else raw, "foreign")]

    def opened(self, venue: str, connection: str) -> None: ...
    def closed(self, venue: str, connection: str, reason: str) -> None: ...
    def rejected(self, venue: str, connection: str, reason: str) -> None: ...


class Product:
    """One product's poller, with all that it asks for."""

    def __init__(self, name: str, count: int, hosts: Hosts, budget: VenueBudget) -> None:
        self.venue = VENUES[name]
        self.endpoints = Endpoints(ws=self.venue.endpoints.ws, rest=hosts.url)
        ending = "USDT" if name == USDM else "USD_PERP"
        self.listings = [
            Listing(name, f"C{n}{ending}", f"C{n}", name == COINM, 10.0, 1.0, 8.0, True, NOW) for n in range(count)
        ]
        self.polls = self.venue.polls(self.endpoints, self.listings, 10.0, EXTRA_STREAMS)
        self.health = VenueHealth(name)
        self.poller = Poller(
            VenueIo(self.venue, Sink(), LoopClock(), random.Random(name), budget, NetworkSection(), self.health)
        )

    def past(self) -> list[Request]:
        pages = [self.venue.history(self.endpoints, listing, NOW - DAY_AND_TWO, NOW) for listing in self.listings]
        return [request for page in pages for request in page]

    async def run(self) -> None:
        """Metadata, polls, and the past by four workers, as at the start of the service; then metadata hourly."""
        waiting = self.past()[::-1]

        async def work() -> None:
            async with self.poller.session() as session:
                while waiting:
                    await self.poller.fetch_history(session, waiting.pop(), Sink())

        async with asyncio.TaskGroup() as group:
            group.create_task(self.poller.run(self.polls))
            assert await self.poller.fetch_metadata(self.venue.metadata(self.endpoints)) == []
            for _ in range(4):
                group.create_task(work())


@pytest.mark.looptime(idle_step=0.02, idle_timeout=20)
@pytest.mark.parametrize(("usdm", "coinm", "minutes"), [(21, 21, 12), (500, 40, 10)])
async def test_both_products_keep_the_one_budget(usdm: int, coinm: int, minutes: int) -> None:
    """Cause: each had 2,400 a minute to itself. Open interest, ratios, lists and history of both at once."""
    async with Hosts().running() as hosts:
        budget = VenueBudget(VENUES[USDM].limits)
        products = [Product(USDM, usdm, hosts, budget), Product(COINM, coinm, hosts, budget)]
        tasks = [asyncio.create_task(product.run()) for product in products]
        await asyncio.sleep(minutes * 60)
        end = now()
        steady = sum(weight for at, weight in hosts.seen if at > end - 60.0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert most_within(hosts.seen, 60.0) <= 2400.0
    assert most_within(hosts.statistics, 60.0) <= 150.0
    assert most_within(hosts.funding, 300.0) <= 500.0
    for product in products:
        max_age_s = product.venue.rules_for(10.0, len(product.listings)).oi.max_age_ms / 1000
        assert product.health.rest.failures == {}
        for listing in product.listings:
            assert max(b - a for a, b in pairwise([*hosts.interest[listing.instrument], end])) < max_age_s
    assert steady <= 0.6 * 2400.0


@asynccontextmanager
async def polling(hosts: Hosts) -> AsyncIterator[tuple[Product, Product]]:
    budget = VenueBudget(VENUES[USDM].limits)
    products = Product(USDM, 12, hosts, budget), Product(COINM, 5, hosts, budget)
    tasks = [asyncio.create_task(product.poller.run(product.polls)) for product in products]
    try:
        yield products
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.looptime(idle_step=0.05, idle_timeout=20)
async def test_a_ban_by_one_host_stops_both() -> None:
    """Cause: only the poller that was told waited; the other one went on, which makes a ban longer."""
    async with Hosts().running() as hosts, polling(hosts) as products:
        await asyncio.sleep(30)
        hosts.ban_s = 100.0
        before = len(hosts.seen)
        while hosts.ban_s is not None:
            await asyncio.sleep(0.1)
        banned = now()
        await asyncio.sleep(160)
    after = [at for at, _ in hosts.seen[before + 1 :] if at > banned + 1.0]
    assert banned + 99.0 <= after[0] <= banned + 103.0
    assert sorted(bool(product.health.rest.failures) for product in products) == [False, True]
    for name in ("C0USDT", "C4USD_PERP"):
        assert [at for at in hosts.interest[name] if at > banned + 1.0], name
    assert most_within([(at, 1.0) for at in after], 5.0) <= 12  # 1.7 a second: no burst of what was left out


@pytest.mark.looptime(idle_step=0.05, idle_timeout=20)
async def test_what_others_use_of_the_address_counts() -> None:
    """Cause: the venue counts an address, we counted ourselves. What an answer says is used by then holds us back."""
    async with Hosts().running() as hosts, polling(hosts):
        await asyncio.sleep(65)
        hosts.others = 2400.0
        told = now()
        await asyncio.sleep(50)
        hosts.others = 0.0
        late = [at for at, _ in hosts.seen if at > told + 3.0]
        assert len(late) <= 8  # 89 else: only as what we spent before leaves the minute
        await asyncio.sleep(70)
        assert len([at for at, _ in hosts.seen if at > told + 100.0]) >= 30


def test_venues_of_one_exchange_state_the_same_limits_and_share_a_budget() -> None:
    """Whatever exchange has several products: the budget of its first venue is that of all."""
    config = parse({})
    venues, clock = venues_of(config), ServiceClock()
    engine = Engine(config.service.symbols, rules_of(config), config.market, [], config.weights)
    intake = Intake(venues, clock, engine.apply, lambda: 0, Metrics(tuple(venues), "live", "0"))
    health = {name: VenueHealth(name) for name in venues}
    made = runners(config, venues, endpoints_of(config), intake, clock, random.Random(1), health)
    by_exchange = defaultdict(list)
    for name, runner in made.items():
        by_exchange[runner.venue.rules.exchange].append(name)
        assert runner.venue.limits == made[by_exchange[runner.venue.rules.exchange][0]].venue.limits
    assert by_exchange["binance"] == [USDM, COINM]
    budgets = {
        exchange: {id(made[name].poller._io.budget) for name in names} for exchange, names in by_exchange.items()
    }
    assert all(len(each) == 1 for each in budgets.values())
    assert len(set.union(*budgets.values())) == len(by_exchange)
