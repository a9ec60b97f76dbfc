"""Kraken's two sockets side by side over loopback, in virtual time: the trouble of the newer one is never v1's, and it
finds its instruments by itself where HTTP and v1 have ended."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from service.config import NetworkSection
from service.core.intake import Intake
from service.metrics import Metrics
from service.model import Candidate, Event, Mark
from service.runtime.venue_runner import Scope, VenueRunner
from service.simulation.market import MarketModel
from service.simulation.servers import VenueServer
from service.simulation.venues.kraken_futures import KrakenFutures
from service.tapes import Record
from service.venues import VENUES
from service.venues.transport.budget import VenueBudget
from service.venues.transport.health import VenueHealth
from service.venues.transport.venue_io import VenueIo
from tests.runtime.starting import until

pytestmark = pytest.mark.looptime(idle_step=0.05, idle_timeout=20)

START_MS = 1_763_720_040_000
NAME = "kraken_futures"
SYMBOLS = ("BTC", "ETH", "SOL")
V1, UNIFIED = "/ws/v1", "/v2/public"


class Clock:
    def now_ms(self) -> int:
        return START_MS + round(asyncio.get_running_loop().time() * 1000)


class Gate(VenueServer):
    """The simulated venue; paths in ``refused`` are answered with that HTTP status. ``upgrades``: attempts by path."""

    def __init__(self, protocol: KrakenFutures) -> None:
        super().__init__(protocol, Clock(), random.Random(2))
        self.refused: dict[str, int] = {}
        self.upgrades: Counter[str] = Counter()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.upgrades[request.path] += 1
        if request.path in self.refused:
            return web.Response(status=self.refused[request.path], text="no")
        return await super()._serve(request)


class Rig:
    def __init__(self) -> None:
        self.model = MarketModel(5, SYMBOLS, START_MS - 60_000, (NAME,))
        self.model.step(START_MS)
        self.gate = Gate(KrakenFutures(self.model, random.Random(1)))
        self.health = VenueHealth(NAME)
        self.marks: dict[str, list[float]] = {}
        self.candidates: dict[str, list[float]] = {}
        self.records: list[Record] = []
        metrics = Metrics((NAME,), "live", "test")
        self.intake = Intake({NAME: VENUES[NAME]}, Clock(), self._take, lambda: 0, metrics, self.records.append)

    def _take(self, event: Event) -> None:
        now = asyncio.get_running_loop().time()
        if isinstance(event, Mark):
            self.marks.setdefault(event.instrument, []).append(now)
        elif isinstance(event, Candidate) and event.fields[0][0] == "mark":  # a ticker's
            self.candidates.setdefault(event.instrument, []).append(now)

    async def _drive(self) -> None:
        while True:
            now_ms = Clock().now_ms()
            beat_ms = (now_ms // 1000 + 1) * 1000
            await asyncio.sleep((beat_ms - now_ms) / 1000)
            self.model.step(beat_ms)
            await self.gate.beat(beat_ms)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[VenueRunner]:
        endpoints = await self.gate.start(0)
        venue = VENUES[NAME]
        io = VenueIo(
            venue, self.intake, Clock(), random.Random(3), VenueBudget(venue.limits), NetworkSection(), self.health
        )
        runner = VenueRunner(io, Scope(endpoints, SYMBOLS, 10.0, ("flow",)), self.intake.catalogs[NAME])
        tasks = [asyncio.create_task(runner.run()), asyncio.create_task(self._drive())]
        try:
            yield runner
        finally:
            for task in tasks:
                assert not task.done()
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.gate.stop()

    def gap_s(self, since_s: float) -> float:
        """The longest silence of v1's Bitcoin since then."""
        times = [at for at in self.marks["PF_XBTUSD"] if at >= since_s]
        return max(b - a for a, b in itertools.pairwise([since_s, *times, now()]))

    def v1_links(self) -> list[str]:
        """States of v1's links."""
        return [link.state for plan, link in self.health.connections.items() if not plan.startswith("unified")]


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_both_run_side_by_side_and_are_recorded() -> None:
    rig = Rig()
    async with rig.running():
        await until(lambda: len(rig.candidates) == len(rig.marks) == len(rig.gate.protocol.quotes), 30)
        await asyncio.sleep(60)
        assert set(rig.health.connections) == {
            "public-1", "trade-extra-1", "unified-list", "unified-1", "unified-trade-1",
        }  # fmt: skip
        assert all(link.state == "live" for link in rig.health.connections.values())
    recorded = {record.connection.partition("#")[0] for record in rig.records if record.kind == "f"}
    assert {"public-1", "unified-1", "unified-trade-1", "unified-list"} < recorded


def refuse(status: int) -> Callable[[Rig], None]:
    return lambda rig: rig.gate.refused.update({UNIFIED: status})


def mute(rig: Rig) -> None:
    rig.gate.on_send = lambda topic, text: None if topic.startswith("unified") else text


def deaf(rig: Rig) -> None:
    rig.gate.on_send = lambda topic, text: None if topic.startswith("unified") or '"method"' in text else text


def garbage(rig: Rig) -> None:
    rig.gate.on_send = lambda topic, text: '{"channel":5}' if topic.startswith("unified") else text


@pytest.mark.parametrize(
    ("trouble", "attempts"),
    [
        (refuse(503), 130), (refuse(429), 70), (refuse(404), 130), (mute, 12), (deaf, 90), (garbage, 12),
    ],
    ids=["503", "429", "404", "acknowledged and silent", "no answer at all", "garbage"],
)  # fmt: skip
async def test_its_trouble_is_not_v1s(trouble: Callable[[Rig], None], attempts: int) -> None:
    """Cause guarded against: a shared budget, penalty or link would take the proven socket along. Attempts back off:
    ten minutes on three links."""
    rig = Rig()
    trouble(rig)
    async with rig.running():
        await until(lambda: len(rig.marks) == len(rig.gate.protocol.quotes), 30)
        begun = now()
        await asyncio.sleep(600)
        assert rig.gap_s(begun) <= 2.5
        assert rig.v1_links() == ["live", "live"]
        assert rig.gate.upgrades[V1] == 2
        assert 3 <= rig.gate.upgrades[UNIFIED] <= attempts


async def test_a_refused_unified_socket_does_not_keep_v1_from_coming_back() -> None:
    """Cause guarded against: 429 of one host forbids attempts for half a minute, of the other host, too."""
    rig = Rig()
    async with rig.running():
        await until(lambda: len(rig.marks) == len(rig.gate.protocol.quotes), 30)
        rig.gate.refused[UNIFIED] = 429
        rig.gate.cut()
        await asyncio.sleep(2)
        begun = now()
        await until(lambda: rig.marks["PF_XBTUSD"][-1] > begun, 10)


async def test_without_http_and_v1_its_own_list_names_the_instruments() -> None:
    """Cause: no instrument was known without HTTP, so no socket was opened: after 2027-03-01 the venue would be gone
    even where what its new socket says has long been proven."""
    rig = Rig()
    rig.gate.refused[V1] = 404
    rig.gate.on_send = lambda topic, text: None if topic.startswith("/") else text
    async with rig.running() as runner:
        await until(lambda: len(rig.candidates) == len(rig.gate.protocol.quotes), 120)
        assert rig.marks == {}
        assert [item.instrument for item in runner.listings] == sorted(rig.candidates)


async def test_a_quiet_contract_is_asked_for_again() -> None:
    """Cause: the ticker speaks on trades alone. One that nobody trades would grow old on a healthy socket."""
    rig = Rig()
    quiet = "PF_SOLUSD"
    rig.gate.on_send = lambda topic, text: None if topic == f"unified:ticker:{quiet}" and '"update"' in text else text
    async with rig.running():
        await until(lambda: quiet in rig.candidates, 30)
        await asyncio.sleep(600)
        times = rig.candidates[quiet]
        assert 8 <= len(times) <= 12
        assert all(b - a < 70 for a, b in itertools.pairwise(times))
        assert rig.gate.upgrades[UNIFIED] == 3


async def test_a_refused_symbol_costs_itself_alone() -> None:
    rig = Rig()
    gone = "PF_SOLUSD"

    def refused(topic: str, text: str) -> str | None:
        if topic == f"unified:ticker:{gone}":
            return None
        if topic == "" and f'"symbol":"{gone}"' in text and '"channel":"ticker"' in text:
            return f'{{"method":"subscribe","success":false,"error":"not supported","symbol":"{gone}"}}'
        return text

    rig.gate.on_send = refused
    async with rig.running():
        others = len(rig.gate.protocol.quotes) - 1
        await until(lambda: len(rig.candidates) == others, 30)
        await asyncio.sleep(300)
        assert gone not in rig.candidates
        assert rig.gate.upgrades[UNIFIED] == 3
        assert rig.gap_s(10.0) <= 2.5
