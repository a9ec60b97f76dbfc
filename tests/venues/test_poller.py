"""The poller against real HTTP servers on loopback, in virtual time: spread, budget, bounds, patience."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.client_reqrep import ConnectionKey

from service.config import NetworkSection
from service.errors import VenueError
from service.model import Decoded, Endpoints
from service.venues.bybit.venue import Bybit
from service.venues.contract import Catalog, Limits, Poll, Request
from service.venues.dydx.venue import Dydx
from service.venues.transport.budget import VenueBudget
from service.venues.transport.health import VenueHealth
from service.venues.transport.poller import Poller, rest_reason
from service.venues.transport.venue_io import VenueIo
from tests.fakes.venue_server import LIMITS, LoopClock, Sink, ToyVenue

pytestmark = pytest.mark.looptime(idle_step=0.05, idle_timeout=10)

Handler = Callable[[web.Request, int], Awaitable[web.StreamResponse]]
NAMES = ("BTC", "ETH", "SOL", "XRP", "ADA")
RICH = replace(LIMITS, rest_weight=1000.0)


def now() -> float:
    return asyncio.get_running_loop().time()


async def answer(request: web.Request, number: int) -> web.StreamResponse:
    return web.Response(text=f"oi {request.query['name']} 12.5")


class Site:
    """An HTTP server; ``requests`` holds ``(time, name)`` of each."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[tuple[float, str]] = []
        self.bodies: list[str] = []
        self.url = ""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((now(), request.query.get("name", "")))
        self.bodies.append(await request.text())
        return await self.handler(request, len(self.requests))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Site]:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    def polls(self, every_s: float = 10.0, names: tuple[str, ...] = NAMES) -> list[Poll]:
        return [
            Poll(Request("GET", f"{self.url}/oi?name={name}", context=f"oi {name}"), every_s, ((name, "oi"),))
            for name in names
        ]

    def times(self, name: str) -> list[float]:
        return [at for at, asked in self.requests if asked == name]


class Run:
    def __init__(self, limits: Limits = RICH, network: NetworkSection | None = None, sink: Sink | None = None) -> None:
        self.sink = sink or Sink()
        self.health = VenueHealth("toy")
        venue = ToyVenue(limits=limits)
        budget, rng = VenueBudget(limits), random.Random(3)
        self.poller = Poller(
            VenueIo(venue, self.sink, LoopClock(), rng, budget, network or NetworkSection(), self.health)
        )

    @asynccontextmanager
    async def polling(self, polls: list[Poll]) -> AsyncIterator[Run]:
        task = asyncio.create_task(self.poller.run(polls))
        try:
            yield self
        finally:
            assert not task.done(), "the poller never ends by itself"
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


async def test_polls_are_spread_evenly_and_delivered() -> None:
    site, run = Site(answer), Run()
    async with site.running(), run.polling(site.polls()):
        await asyncio.sleep(100)
    for name in NAMES:
        times = site.times(name)
        assert 9 <= len(times) <= 11
        assert all(b - a == pytest.approx(10, abs=0.3) for a, b in itertools.pairwise(times))
    starts = [at for at, _ in site.requests]
    assert all(b - a == pytest.approx(2, abs=0.3) for a, b in itertools.pairwise(starts))
    assert run.sink.seen[0][1:3] == ("frame", "rest")
    assert run.sink.contexts[:5] == ["oi BTC", "oi ETH", "oi SOL", "oi XRP", "oi ADA"]
    assert run.sink.of("frame")[0][2] == b"oi BTC 12.5"
    assert run.health.rest.ok is True
    assert run.health.rest.answered == len(site.requests)
    assert run.health.last_frame_ms is not None


async def test_polls_of_each_cadence_are_spread_over_all_of_it() -> None:
    """Cause: they were spread over the whole list, so that five quick ones beside fifteen slow ones all came in the
    first quarter of their cadence."""
    site, run = Site(answer), Run()
    slow = tuple(f"SLOW{number}" for number in range(15))
    async with site.running(), run.polling(site.polls() + site.polls(300.0, slow)):
        await asyncio.sleep(100)
    starts = [at for at, name in site.requests if name in NAMES]
    assert all(b - a == pytest.approx(2, abs=0.4) for a, b in itertools.pairwise(starts))


async def test_the_weight_budget_is_never_exceeded() -> None:
    site, run = Site(answer), Run(limits=replace(LIMITS, rest_weight=6.0, rest_period_s=10.0))
    async with site.running():
        polls = [replace(poll, request=replace(poll.request, weight=2.0)) for poll in site.polls(every_s=2.0)]
        async with run.polling(polls):
            await asyncio.sleep(100)
    times = [at for at, _ in site.requests]
    assert len(times) >= 27
    assert all(sum(start <= at < start + 9.9 for at in times) <= 3 for start in times)
    assert {name for _, name in site.requests} == set(NAMES)


@pytest.mark.parametrize("status", [403, 418, 429])
async def test_throttling_slows_every_request_of_the_venue(status: int) -> None:
    async def throttle(request: web.Request, number: int) -> web.StreamResponse:
        if number == 3:
            return web.Response(status=status, headers={"Retry-After": "90"})
        return await answer(request, number)

    site, run = Site(throttle), Run()
    async with site.running(), run.polling(site.polls()):
        await asyncio.sleep(150)
    third, fourth = site.requests[2][0], site.requests[3][0]
    assert 90 <= fourth - third <= 93
    later = [at for at, _ in site.requests[3:]]
    assert all(b - a == pytest.approx(2, abs=0.3) for a, b in itertools.pairwise(later))  # no burst
    assert run.health.rest.failures == {f"http_{status}": 1}


@pytest.mark.parametrize("text", ["<html>maintenance</html>", "refused too many visits"])
async def test_an_answer_that_is_no_list_is_a_failed_one(text: str) -> None:
    """Cause: a maintenance page with HTTP 200 counted as a complete list, and the venue was gone for an hour."""

    async def meta(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(text=text)

    site, run = Site(meta), Run()
    async with site.running():
        requests = [Request("GET", f"{site.url}/a", context="a")]
        assert await run.poller.fetch_metadata(requests) == requests


async def test_metadata_is_fetched_once_in_order() -> None:
    async def meta(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(text="info".ljust(5 << 20) if number == 2 else "info")

    site, run = Site(meta), Run()
    async with site.running():
        requests = [
            Request("GET", f"{site.url}/a", context="a"),
            Request("POST", f"{site.url}/b", body='{"type":"meta"}', context="b"),
        ]
        assert await run.poller.fetch_metadata(requests) == []
    assert run.sink.contexts == ["a", "b"]
    assert site.bodies == ["", '{"type":"meta"}']
    assert len(run.sink.of("frame")[1][2]) == 5 << 20  # lists may be larger than a poll's answer


async def test_one_failing_list_does_not_keep_the_others_back() -> None:
    """Cause: a venue with two lists waited for both, although one of them would have been enough to begin."""

    async def meta(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(status=503) if request.path == "/a" else web.Response(text="info")

    site, run = Site(meta), Run()
    async with site.running():
        first, second = Request("GET", f"{site.url}/a"), Request("GET", f"{site.url}/b", context="b")
        assert await run.poller.fetch_metadata([first, second]) == [first]
    assert run.sink.contexts == ["b"]
    assert run.health.rest.failures == {"http_503": 1}
    assert await run.poller.fetch_metadata([]) == []


async def test_lists_are_not_asked_for_while_the_venue_says_wait() -> None:
    async def meta(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": "100"})

    site, run = Site(meta), Run()
    async with site.running():
        requests = [Request("GET", f"{site.url}/{name}") for name in "ab"]
        assert await run.poller.fetch_metadata(requests) == requests
        assert now() < 5
    assert len(site.requests) == 1


# -- re-planning and history -----------------------------------------------------------------------------------


async def test_replanned_polls_leave_the_others_in_phase_and_delay_none() -> None:
    site, run = Site(answer), Run()
    async with site.running(), run.polling(site.polls(names=("BTC", "ETH"))):
        await asyncio.sleep(35)
        kept = site.polls(names=("BTC",))
        changed = site.polls(12.0, names=("ETH", "SOL"))
        run.poller.replan([*kept, *changed])
        await asyncio.sleep(60)
        run.poller.replan(kept)
        await asyncio.sleep(1)
        ended = now()
        await asyncio.sleep(30)
    assert all(b - a == pytest.approx(10, abs=0.3) for a, b in itertools.pairwise(site.times("BTC")))
    assert all(b - a <= 12.3 for a, b in itertools.pairwise(site.times("ETH")))  # not later than planned before
    assert len(site.times("SOL")) == 5
    assert max(site.times("ETH") + site.times("SOL")) <= ended
    assert max(site.times("BTC")) > ended + 20


async def test_history_leaves_live_polls_their_share_of_the_budget() -> None:
    limits = replace(LIMITS, rest_weight=10.0, rest_period_s=10.0)
    site, run = Site(answer), Run(limits=limits)
    sink = Sink()
    async with site.running(), run.poller.session() as session:

        async def fetch() -> None:
            while True:
                request = Request("GET", f"{site.url}/past?name=PAST", context="history:oi:BTC")
                assert await run.poller.fetch_history(session, request, sink) is None

        past = asyncio.create_task(fetch())
        async with run.polling(site.polls(5.0, names=("BTC",))):
            await asyncio.sleep(60)
        past.cancel()
        await asyncio.wait([past])
    assert all(b - a == pytest.approx(5, abs=0.5) for a, b in itertools.pairwise(site.times("BTC")))
    for at in site.times("PAST"):
        assert sum(at <= other < at + 9.9 for other in site.times("PAST")) <= 6
    assert 25 <= len(site.times("PAST")) <= 36
    assert sink.contexts[0] == "history:oi:BTC"
    assert not [context for context in run.sink.contexts if context.startswith("history")]


async def test_a_failing_history_never_holds_up_the_live_polls() -> None:
    """Cause: the patience with a venue's failing requests was one for all of them."""

    async def partly(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(status=500) if request.path == "/past" else await answer(request, number)

    site, run = Site(partly), Run()
    async with site.running(), run.poller.session() as session, run.polling(site.polls(2.0, names=("BTC",))):
        for _ in range(30):
            assert await run.poller.fetch_history(session, Request("GET", f"{site.url}/past"), Sink()) == "http_500"
            await asyncio.sleep(1)
    assert all(b - a == pytest.approx(2, abs=0.3) for a, b in itertools.pairwise(site.times("BTC")))
    assert run.health.rest.failures == {"http_500": 30}
    assert run.health.rest.ok is True


async def test_what_is_fetched_apart_reaches_no_decoder_and_waits_for_the_live_polls() -> None:
    """Cause guarded against: an audit's answer on the tape would be part of every replay."""
    limits = replace(LIMITS, rest_weight=10.0, rest_period_s=10.0)
    site, run = Site(answer), Run(limits=limits)
    async with site.running(), run.poller.session() as session:

        async def fetch() -> None:
            while True:
                request = Request("GET", f"{site.url}/audit?name=APART", context="audit")
                assert await run.poller.fetch_apart(session, request) == b"oi APART 12.5"

        apart = asyncio.create_task(fetch())
        async with run.polling(site.polls(5.0, names=("BTC",))):
            await asyncio.sleep(60)
        apart.cancel()
        await asyncio.wait([apart])
    assert all(b - a == pytest.approx(5, abs=0.5) for a, b in itertools.pairwise(site.times("BTC")))
    for at in site.times("APART"):
        assert sum(at <= other < at + 9.9 for other in site.times("APART")) <= 6
    assert 25 <= len(site.times("APART")) <= 36
    assert set(run.sink.contexts) == {"oi BTC"}


async def test_an_oversized_answer_fetched_apart_is_told_to_nobody_else() -> None:
    site, run = Site(_endless), Run()
    async with site.running(), run.poller.session() as session:
        with pytest.raises(VenueError, match="oversized"):
            await run.poller.fetch_apart(session, Request("GET", f"{site.url}/audit", context="audit"))
    assert run.sink.of("rejected") == []
    assert run.health.rest.failures == {"oversized": 1}
    assert run.health.rest.ok is None


async def _bomb(request: web.Request, number: int) -> web.StreamResponse:
    return web.Response(body=gzip.compress(b"x" * (64 << 20)), headers={"Content-Encoding": "gzip"})


async def _endless(request: web.Request, number: int) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(200):
        await response.write(b"y" * 100_000)
    return response


@pytest.mark.parametrize("handler", [_bomb, _endless])
async def test_bodies_are_bounded(handler: Handler) -> None:
    site, run = Site(handler), Run()
    async with site.running(), run.polling(site.polls(names=("BTC",))):
        await asyncio.sleep(12)
    assert run.sink.of("frame") == []
    assert run.sink.of("rejected")[0][1:] == ("rest", "oversized")
    assert run.health.rest.failures["oversized"] >= 1


async def test_redirects_are_refused() -> None:
    other = Site(answer)

    async def away(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": other.url})

    site, run = Site(away), Run()
    async with other.running(), site.running(), run.polling(site.polls()):
        await asyncio.sleep(15)
    assert other.requests == []
    assert set(run.health.rest.failures) == {"redirect"}


async def test_one_bad_instrument_does_not_slow_the_others() -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        if request.query["name"] == "ETH":
            return web.Response(status=400, text='{"code":-1121}')
        if request.query["name"] == "SOL":
            return web.Response(text="info nothing")
        return await answer(request, number)

    site, run = Site(handler), Run()
    async with site.running(), run.polling(site.polls()):
        await asyncio.sleep(600)
    assert len(site.times("BTC")) == pytest.approx(60, abs=1)
    assert len(site.times("ETH")) < 30
    assert run.health.rest.failures["http_400"] == len(site.times("ETH"))
    assert run.health.rest.failures["no_data"] == len(site.times("SOL")) < 30
    assert run.health.rest.ok is True


async def test_an_outage_is_asked_ever_more_rarely_and_healing_is_noticed() -> None:
    healed = asyncio.Event()

    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return await answer(request, number) if healed.is_set() else web.Response(status=502)

    site, run = Site(handler), Run()
    async with site.running(), run.polling(site.polls()):
        await asyncio.sleep(300)
        assert len(site.requests) < 40  # of 150
        assert run.health.rest.ok is False
        assert not run.health.up
        healed.set()
        before = len(site.requests)
        await asyncio.sleep(75)
        assert run.health.rest.ok is True
        assert len(site.requests) > before
        before = len(site.requests)
        await asyncio.sleep(100)
        assert len(site.requests) - before == pytest.approx(50, abs=2)  # the full pace again


async def test_a_stalled_answer_times_out() -> None:
    async def stall(request: web.Request, number: int) -> web.StreamResponse:
        if number <= 2:
            await asyncio.sleep(1000)
        return await answer(request, number)

    site, run = Site(stall), Run(network=NetworkSection(open_timeout_s=5.0))
    async with site.running(), run.polling(site.polls(names=("BTC",))):
        await asyncio.sleep(60)
    assert run.health.rest.failures == {"timeout": 2}
    assert run.health.rest.ok is True


async def test_connection_trouble_and_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    async def cut(request: web.Request, number: int) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    site, run = Site(cut), Run()
    async with site.running():
        assert len(await run.poller.fetch_metadata([Request("GET", site.url)])) == 1
    assert len(await run.poller.fetch_metadata([Request("GET", site.url)])) == 1  # the server is gone
    assert len(await run.poller.fetch_metadata([Request("GET", "http://")])) == 1

    async def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    assert len(await run.poller.fetch_metadata([Request("GET", "http://venue.invalid/")])) == 1
    assert run.health.rest.failures == {"reset": 1, "refused_connection": 1, "bad_address": 1, "dns": 1}


async def test_a_defect_in_the_sink_costs_that_answer_only(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Sink):
        def frame(self, venue: str, connection: str, raw: str | bytes, context: str = "") -> Any:
            if context == "oi ETH":
                raise RuntimeError("a decoder with a defect")
            return super().frame(venue, connection, raw, context)

    site, run = Site(answer), Run(sink=Broken())
    async with site.running(), run.polling(site.polls()):
        await asyncio.sleep(60)
    assert run.health.rest.failures["bug"] >= 1
    assert len(run.sink.of("frame")) >= 10
    assert "a decoder with a defect" in caplog.text


async def test_cancellation_in_mid_request_leaves_nothing_behind() -> None:
    async def stall(request: web.Request, number: int) -> web.StreamResponse:
        await asyncio.sleep(1000)
        return web.Response()

    site, run = Site(stall), Run()
    async with site.running():
        before = asyncio.all_tasks()
        task = asyncio.create_task(run.poller.run(site.polls()))
        await asyncio.sleep(3)
        assert site.requests
        task.cancel()
        started = now()
        await asyncio.wait([task])
        assert task.cancelled()
        assert now() - started <= 1.0
        await asyncio.sleep(0.1)
        assert not [item for item in asyncio.all_tasks() - before if "toy" in item.get_name()]


KEY = ConnectionKey("venue.invalid", 443, True, True, None, None, None)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), "timeout"),
        (aiohttp.ServerTimeoutError(), "timeout"),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "unknown")), "dns"),
        (aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(111, "refused")), "refused_connection"),
        (aiohttp.ClientConnectorError(KEY, OSError(101, "unreachable")), "unreachable"),
        (aiohttp.ClientConnectorSSLError(KEY, OSError(1, "handshake")), "tls"),
        (aiohttp.ClientProxyConnectionError(KEY, OSError(111, "refused")), "proxy"),
        (aiohttp.ServerDisconnectedError(), "reset"),
        (aiohttp.ClientPayloadError("cut"), "reset"),
        (ConnectionResetError(104, "reset"), "reset"),
        (aiohttp.InvalidURL("http://"), "bad_address"),
        (aiohttp.ClientError("odd"), "protocol"),
    ],
)
def test_rest_reasons(error: Exception, reason: str) -> None:
    assert rest_reason(error).reason == reason


# -- instrument lists over several pages ---------------------------------------------------------------------------


def instruments(*names: str, following: str = "") -> dict[str, Any]:
    """Bybit's `instruments-info` as documented."""
    rows = [
        {
            "symbol": f"{name}USDT", "contractType": "LinearPerpetual", "status": "Trading", "baseCoin": name,
            "quoteCoin": "USDT", "settleCoin": "USDT", "fundingInterval": 480, "symbolType": "",
        }
        for name in names
    ]  # fmt: skip
    return {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": rows, "nextPageCursor": following}}


class Lists:
    """A poller whose sink decodes as Bybit, and a server that answers by ``pages``: cursor to a body or a status."""

    def __init__(self, pages: dict[str, dict[str, Any] | int]) -> None:
        self.pages = pages
        self.asked: list[str] = []
        self.catalog = Catalog()
        decode = Bybit().decoder(self.catalog).decode

        class Decodes(Sink):
            def frame(self, venue: str, connection: str, raw: str | bytes, context: str = "") -> Sequence[Decoded]:
                return decode(raw, 7, context)

        self.site, self.run = Site(self._answer), Run(sink=Decodes())

    async def _answer(self, request: web.Request, number: int) -> web.StreamResponse:
        self.asked.append(request.query.get("cursor", ""))
        page = self.pages.get(self.asked[-1], 400)
        return web.Response(status=page) if isinstance(page, int) else web.json_response(page)

    async def fetch(self) -> list[Request]:
        linear = Bybit().metadata(Endpoints({}, self.site.url))[:1]
        return await self.run.poller.fetch_metadata(linear)

    def trading(self) -> list[str]:
        return [name for name, listing in self.catalog.listings.items() if listing.trading]


async def test_a_list_that_was_cut_and_has_no_pages_is_said_and_delists_nobody() -> None:
    """dYdX answers with at most 1,000 markets."""
    catalog = Catalog()
    decode = Dydx().decoder(catalog).decode
    markets = {f"C{number}-USD": {"ticker": f"C{number}-USD", "status": "ACTIVE"} for number in range(1001)}
    kept = [dict(list(markets.items())[:1]), dict(list(markets.items())[1:])]

    async def answer(request: web.Request, number: int) -> web.StreamResponse:
        return web.json_response({"markets": kept.pop(0)})

    class Decodes(Sink):
        def frame(self, venue: str, connection: str, raw: str | bytes, context: str = "") -> Sequence[Decoded]:
            return decode(raw, 7, context)

    site, run = Site(answer), Run(sink=Decodes())
    async with site.running():
        requests = Dydx().metadata(Endpoints({}, site.url))
        assert await run.poller.fetch_metadata(requests) == []
        assert await run.poller.fetch_metadata(requests) == []
    assert len(catalog.listings) == 1001
    assert catalog.listings["C0-USD"].trading
    assert run.health.last_error == "rest not_whole: markets: no end after 1 pages"


OPAQUE = "first%3DADA&last=SOL/+é "  # a cursor is opaque: what it holds must come back as it was


async def test_a_list_is_asked_for_over_all_its_pages() -> None:
    """Cause: only the first page was asked for, and what stood on the others had no data."""
    lists = Lists({"": instruments("BTC", following=OPAQUE), OPAQUE: instruments("XRP")})
    async with lists.site.running():
        assert await lists.fetch() == []
        assert lists.trading() == ["BTCUSDT", "XRPUSDT"]
        lists.pages[OPAQUE] = instruments("SOL")
        assert await lists.fetch() == []
    assert lists.asked == ["", OPAQUE] * 2
    assert lists.trading() == ["BTCUSDT", "SOLUSDT"]
    assert lists.run.health.last_error is None


async def test_a_page_that_fails_is_said_delists_nobody_and_the_list_is_asked_for_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lists = Lists({"": instruments("BTC", "ADA", following="2"), "2": instruments("XRP")})
    async with lists.site.running():
        assert await lists.fetch() == []
        lists.pages |= {"": instruments("BTC", following="2"), "2": 404}
        assert [request.context for request in await lists.fetch()] == ["instruments:linear"]
        assert lists.trading() == ["BTCUSDT", "ADAUSDT", "XRPUSDT"]
        assert lists.run.health.last_error == "rest not_whole: instruments:linear: page 2: rest http_404: HTTP 404"
        assert "request=instruments:linear not whole: page 2" in caplog.text
        lists.pages["2"] = instruments("XRP")
        assert await lists.fetch() == []
    assert lists.trading() == ["BTCUSDT", "XRPUSDT"]


@pytest.mark.parametrize(("cursor", "page", "requests"), [("same", "C", 2), (None, "C", 50), (None, "", 2)])
async def test_a_list_without_an_end_is_given_up_and_delists_nobody(
    cursor: str | None, page: str, requests: int
) -> None:
    """The same cursor for ever, ever new pages, or ever new cursors for one page: the parameter means nothing there."""
    lists = Lists({"": instruments("BTC", "ADA")})
    async with lists.site.running():
        assert await lists.fetch() == []
        lists.asked.clear()
        following = ["", *(cursor or str(number) for number in range(1, 99))]
        lists.pages = {
            at: instruments("BTC", *([f"{page}{at}"] if page and at else []), following=after)
            for at, after in itertools.pairwise(following)
        }
        assert await lists.fetch() == []
    assert len(lists.asked) == requests
    assert lists.trading()[:2] == ["BTCUSDT", "ADAUSDT"]
    assert lists.run.health.last_error == f"rest not_whole: instruments:linear: no end after {requests} pages"
    assert lists.run.health.rest.failures == {"not_whole": 1}
    assert lists.run.health.rest.ok is True
