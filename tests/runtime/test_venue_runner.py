"""One venue kept running while its list changes: no socket is touched without need, no stream has a gap."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from service.config import NetworkSection
from service.model import Decoded, Mark
from service.runtime.venue_runner import Scope, VenueRunner
from service.venues.contract import Catalog
from service.venues.transport.budget import VenueBudget, Window
from service.venues.transport.health import VenueHealth
from service.venues.transport.venue_io import VenueIo
from tests.fakes.history_venue import PastServer, PastVenue
from tests.runtime.starting import until

pytestmark = pytest.mark.looptime(idle_step=0.05, idle_timeout=20)

SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE")


class Clock:
    def now_ms(self) -> int:
        return 1_763_683_200_000 + round(asyncio.get_running_loop().time() * 1000)


class Sink:
    """Decodes like the intake and remembers when each instrument's mark came, and what was opened and closed."""

    def __init__(self, venue: PastVenue) -> None:
        self.catalog = Catalog()
        self._decoder = venue.decoder(self.catalog)
        self.marks: dict[str, list[float]] = {}
        self.opened_names: list[str] = []
        self.closed_names: list[tuple[str, str]] = []

    def opened(self, venue: str, connection: str) -> None:
        self.opened_names.append(connection)

    def closed(self, venue: str, connection: str, reason: str) -> None:
        self.closed_names.append((connection, reason))

    def rejected(self, venue: str, connection: str, reason: str) -> None:
        raise AssertionError(reason)

    def frame(self, venue: str, connection: str, raw: str | bytes, context: str = "") -> Sequence[Decoded]:
        items = self._decoder.decode(raw, 0, context)
        for item in items:
            if isinstance(item, Mark):
                self.marks.setdefault(item.instrument, []).append(asyncio.get_running_loop().time())
        return items

    def gap_s(self, name: str, until_s: float) -> float:
        times = [*self.marks[name], until_s]
        return max(b - a for a, b in itertools.pairwise(times))


class Rig:
    def __init__(self, names: Sequence[str], extras: Sequence[Any] = (), **network: Any) -> None:
        self.server = PastServer(Clock().now_ms, names)
        self.venue = PastVenue("bybit")
        self.sink = Sink(self.venue)
        self.health = VenueHealth("bybit")
        self._extras = extras
        self._network = NetworkSection(listing_refresh_s=60.0, **network)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[VenueRunner]:
        async with self.server.running():
            budget = VenueBudget(self.venue.limits, Window(100, 1.0))
            io = VenueIo(self.venue, self.sink, Clock(), random.Random(2), budget, self._network, self.health)
            scope = Scope(self.server.endpoints, SYMBOLS, 10.0, self._extras)
            runner = VenueRunner(io, scope, self.sink.catalog)
            task = asyncio.create_task(runner.run())
            try:
                yield runner
            finally:
                assert not task.done()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_an_unchanged_list_touches_nothing() -> None:
    rig = Rig(["AAA", "BBB", "CCC"])
    async with rig.running() as runner:
        await asyncio.sleep(300)
        assert runner.listed.is_set()
    assert sorted(rig.server.opened) == ["AAA,BBB", "CCC"]


async def test_a_new_instrument_moves_only_the_sockets_that_it_changes() -> None:
    rig = Rig(["AAA", "BBB", "CCC"])
    async with rig.running():
        await until(lambda: sorted(rig.server.open) == ["AAA,BBB", "CCC"], 5)
        rig.server.names.append("DDD")
        await until(lambda: sorted(rig.server.open) == ["AAA,BBB", "CCC,DDD"], 80)
        await asyncio.sleep(10)
        ended = now()
    assert sorted(rig.server.opened) == ["AAA,BBB", "CCC", "CCC,DDD"]
    assert all(rig.sink.gap_s(name, ended) <= 1.3 for name in ("AAA", "BBB", "CCC"))
    assert len(rig.sink.marks["DDD"]) >= 9


async def test_a_delisted_instrument_does_not_hold_its_old_socket() -> None:
    """Cause: the successor had to serve all that the old socket served, which now was impossible."""
    rig = Rig(["AAA", "BBB", "CCC"])
    async with rig.running():
        await until(lambda: len(rig.sink.marks) == 3, 5)
        rig.server.names.remove("BBB")  # CCC moves to the first socket, the second is needed no more
        await until(lambda: rig.server.open == ["AAA,CCC"], 100)
        ended = now()
        assert list(rig.health.connections) == ["public-1"]
    assert rig.sink.gap_s("AAA", ended) <= 1.3
    assert rig.sink.gap_s("CCC", ended) <= 1.3


async def test_a_relisted_instrument_comes_back() -> None:
    rig = Rig(["AAA", "BBB"])
    async with rig.running():
        await until(lambda: len(rig.sink.marks) == 2, 5)
        rig.server.names.remove("BBB")
        await until(lambda: rig.server.open == ["AAA"], 100)
        rig.server.names.append("BBB")
        await until(lambda: rig.server.open == ["AAA,BBB"], 100)
        assert rig.sink.gap_s("AAA", now()) <= 1.3


async def test_a_venue_that_lists_none_of_ours_is_asked_at_the_refresh_cadence() -> None:
    rig = Rig(["ZZZ"])
    asked: list[float] = []

    def counted(path: str) -> web.Response | None:
        if path == "/meta":
            asked.append(now())
        return None

    rig.server.trouble = counted
    async with rig.running() as runner:
        await asyncio.sleep(200)
        assert runner.listed.is_set()
        assert rig.health.last_error is None
        assert 3 <= len(asked) <= 5
        rig.server.names.append("AAA")
        await until(lambda: "AAA" in rig.sink.marks, 70)


async def test_a_failing_list_is_tried_again_with_patience() -> None:
    rig = Rig(["AAA"])
    asked: list[float] = []

    def failing(path: str) -> web.Response | None:
        asked.append(now())
        return web.Response(status=500) if len(asked) < 4 else None

    rig.server.trouble = failing
    async with rig.running() as runner:
        await until(lambda: "AAA" in rig.sink.marks, 30)
        assert runner.listings[0].instrument == "AAA"
    assert len([at for at in asked if at < 30]) <= 6


async def test_one_of_two_lists_is_enough_to_begin_and_the_other_follows() -> None:
    """Cause: Gate has two lists; without the second one the first one's instruments were not served."""
    rig = Rig(["AAA"])
    first = rig.venue.metadata
    failing = {"on": True}

    def both(endpoints: Any) -> list[Any]:
        [one] = first(endpoints)
        return [one, type(one)("GET", f"{endpoints.rest}/other", context="other")]

    rig.venue.metadata = both  # type: ignore[method-assign]
    async with rig.running():
        await until(lambda: "AAA" in rig.sink.marks, 5)
        assert "http_404" in rig.health.rest.failures
        failing["on"] = False
        await asyncio.sleep(30)
        assert rig.sink.gap_s("AAA", now()) <= 1.3
    assert rig.server.opened == ["AAA"]


async def test_a_list_that_always_fails_does_not_put_off_the_others() -> None:
    """Cause: only what had failed was asked for, for ever; a new instrument of the other list never came."""
    rig = Rig(["AAA"])
    first = rig.venue.metadata

    def both(endpoints: Any) -> list[Any]:
        [one] = first(endpoints)
        return [one, type(one)("GET", f"{endpoints.rest}/retired", context="retired")]

    rig.venue.metadata = both  # type: ignore[method-assign]
    async with rig.running():
        await until(lambda: "AAA" in rig.sink.marks, 5)
        rig.server.names.append("BBB")
        await until(lambda: "BBB" in rig.sink.marks, 150)


async def test_extra_streams_get_their_own_socket_which_gates_nothing() -> None:
    rig = Rig(["AAA"], extras=("liquidation",))
    async with rig.running():
        await until(lambda: sorted(rig.server.open) == ["", "AAA"], 5)
        await asyncio.sleep(200)
    assert sorted(rig.server.opened) == ["", "AAA"]  # its silence is normal
