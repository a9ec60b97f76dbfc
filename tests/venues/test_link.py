"""Links over real sockets on loopback, in virtual time: what drops, what is retried, what is left behind (nothing)."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, InvalidHandshake, InvalidMessage, InvalidURI, ProxyError
from websockets.frames import Close
from websockets.http11 import Response

from service.config import NetworkSection
from service.venues.contract import ConnectionPlan, KeepAlive
from service.venues.transport.budget import VenueBudget, Window
from service.venues.transport.health import VenueHealth
from service.venues.transport.link import Link
from service.venues.transport.reasons import closed_reason, open_reason
from service.venues.transport.session import REASONS
from service.venues.transport.venue_io import VenueIo
from tests.fakes.venue_server import LIMITS, LoopClock, Peer, Script, Sink, ToyServer, ToyVenue

pytestmark = pytest.mark.looptime(idle_step=0.05, idle_timeout=10)

MARKS = ("mark BTC 50000.5", "mark ETH 3000.5")
NETWORK = NetworkSection()
CAP_S = NETWORK.backoff_cap_s


def now() -> float:
    return asyncio.get_running_loop().time()


def plan(url: str, **changes: Any) -> ConnectionPlan:
    made = ConnectionPlan("public", url, ("sub BTC", "sub ETH"), (("BTC", "mark"), ("ETH", "mark")), acks=0)
    return replace(made, **changes)


class Run:
    """A link under test with all that it was given."""

    def __init__(self, made: ConnectionPlan, network: NetworkSection = NETWORK, seed: int = 1, **options: Any) -> None:
        self.sink: Sink = options.get("sink", Sink())
        self.venue = ToyVenue(limits=options.get("limits", LIMITS))
        self.health = VenueHealth("toy")
        self.budget = options.get("budget", VenueBudget(self.venue.limits))
        io = VenueIo(self.venue, self.sink, LoopClock(), random.Random(seed), self.budget, network, self.health)
        self.link = Link(io, made)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Run]:
        task = asyncio.create_task(self.link.run())
        try:
            yield self
        finally:
            if task.done():
                task.result()
            task.cancel()
            started = now()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert now() - started <= 1.5
            assert self.health.connections == {}

    def reasons(self) -> list[str]:
        return [reason for _, _, reason in self.sink.of("closed")]

    @property
    def shown(self) -> Any:
        return self.health.connection("public")


@asynccontextmanager
async def linked(script: Script, **options: Any) -> AsyncIterator[tuple[ToyServer, Run]]:
    """A server running ``script``, a link to it; afterwards nothing may be left over."""
    before = asyncio.all_tasks()
    server = ToyServer(script, options.pop("process_request", None), **options.pop("serve", {}))
    changes = options.pop("plan", {})
    async with server.running():
        run = Run(plan(server.url, **changes), **options)
        async with run.running():
            yield server, run
    for _ in range(10):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() <= before


async def flow(peer: Peer) -> None:
    await peer.flow(*MARKS)


async def until(condition: Callable[[], bool], within_s: float) -> float:
    """Wait for ``condition``, looking often; returns the seconds it took."""
    start = now()
    while not condition():
        assert now() - start <= within_s, f"not within {within_s} s"
        await asyncio.sleep(0.05)
    return now() - start


# -- the plain life --------------------------------------------------------------------------------------------


async def test_subscribes_delivers_and_reports() -> None:
    async def script(peer: Peer) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(peer.flow(*MARKS))
            group.create_task(peer.listen())

    async with linked(script) as (server, run):
        await asyncio.sleep(30)
        assert [text for _, text in server.peers[0].received] == ["sub BTC", "sub ETH"]
        assert run.sink.of("opened") == [(pytest.approx(0, abs=0.5), "public#1", None)]
        assert run.sink.seen[0][1] == "opened"
        assert len(run.sink.of("frame")) >= 58
        assert run.shown.state == "live"
        assert run.shown.connection == "public#1"
        assert run.shown.streams_live == run.shown.streams_expected == 2
        assert run.shown.connected_since_ms == pytest.approx(1_750_000_000_000, abs=500)
        assert run.health.last_frame_ms == pytest.approx(1_750_000_030_000, abs=1500)
        assert run.health.up
        assert run.health.reconnects == {}
    assert run.reasons() == ["stopped"]


async def test_headers_of_the_plan_are_sent() -> None:
    seen = []

    async def script(peer: Peer) -> None:
        request = peer.connection.request
        assert request is not None
        seen.append(request.headers["X-Toy"])
        await flow(peer)

    async with linked(script, plan={"headers": {"X-Toy": "yes"}}):
        await asyncio.sleep(2)
    assert seen == ["yes"]


@pytest.mark.parametrize("code", [1000, 1001, 1012])
async def test_resubscribes_after_a_clean_close(code: int) -> None:
    async def script(peer: Peer) -> None:
        listener = asyncio.create_task(peer.listen())
        await peer.flow(*MARKS, seconds=100 if peer.number == 1 else None)
        await peer.connection.close(code)
        await listener

    async with linked(script) as (server, run):
        await asyncio.sleep(110)
        assert run.sink.of("closed")[0][1:] == ("public#1", "closed")
        assert [text for _, text in server.peers[1].received] == ["sub BTC", "sub ETH"]
        assert server.attempts[1] - 100 <= 2.0  # it had been healthy: the first pause is at most a second
        assert run.shown.state == "live"
        assert run.health.reconnects == {"closed": 1}
        assert str(code) in str(run.health.last_error)


async def test_reset_in_mid_frame() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(*MARKS)
        if peer.number == 1:
            await asyncio.sleep(5)
            peer.write_raw(b"\x81\x7e\x01\x00mark BTC")  # a text frame of 256 bytes, cut after 8
            await asyncio.sleep(0.1)
            peer.reset()
        await flow(peer)

    async with linked(script) as (_, run):
        await asyncio.sleep(20)
        assert run.reasons() == ["reset"]
        assert run.shown.state == "live"
        assert not [raw for _, _, raw in run.sink.of("frame") if raw == "mark BTC"]


async def test_what_rounding_leaves_of_a_pause_is_no_hot_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cause: a pause that ended a fraction of a nanosecond from now was asked for again without end."""
    asked = 0

    def arrange(group: asyncio.TaskGroup, now_s: float) -> float:
        nonlocal asked
        asked += 1
        assert asked < 1000
        return 3e-10

    run = Run(plan("ws://127.0.0.1:9"))
    monkeypatch.setattr(run.link, "_arrange", arrange)
    async with run.running():
        await asyncio.sleep(0.5)
    assert 100 <= asked <= 600


async def test_backoff_grows_while_unhealthy_and_starts_anew_after_a_healthy_while() -> None:
    """A venue that accepts and drops at once is asked ever more rarely; after 60 s of life, quickly again."""

    async def script(peer: Peer) -> None:
        await peer.send(*MARKS)
        if peer.number == 9:
            await peer.flow(*MARKS, seconds=90)

    async with linked(script) as (server, run):
        await until(lambda: len(server.attempts) >= 10, 600)
        gaps = [b - a for a, b in zip(server.attempts, server.attempts[1:], strict=False)]
        for number, gap in enumerate(gaps[:8]):
            ceiling = min(CAP_S, 2.0**number)
            assert ceiling / 4 <= gap <= ceiling + 0.5
        assert gaps[8] <= 91 + 1.5
        assert list(run.health.reconnects) == ["closed"]
        assert run.health.reconnects["closed"] >= 9


@pytest.mark.parametrize("healthy_s", [60.0, 20.0])
@pytest.mark.parametrize(("silent_s", "more_s", "anew"), [(0, -2.0, False), (0, 2.0, True), (12, -2.0, False)])
async def test_backoff_starts_anew_after_the_configured_healthy_while_of_speaking(
    healthy_s: float, silent_s: float, more_s: float, anew: bool
) -> None:
    """Cause: with another healthy while than the configured one, or one counted from the opening instead of the first
    data, a venue that drops everybody after a minute is knocked at every second."""

    async def script(peer: Peer) -> None:
        if peer.number == 6:
            await asyncio.sleep(silent_s)
            await peer.flow(*MARKS, seconds=healthy_s + more_s)
        else:
            await peer.send(*MARKS)

    async with linked(script, network=NetworkSection(healthy_s=healthy_s)) as (server, _):
        await until(lambda: len(server.attempts) >= 7, 600)
        pause_s = server.attempts[6] - server.attempts[5] - silent_s - healthy_s - more_s
    # The sixth pause is of 7.5 to 30 s, the first of 0.25 to 1 s; the peer's life ends up to a second late.
    assert (pause_s <= 2.5) if anew else (pause_s >= 7.0)


def test_a_healthy_while_is_a_minute_unless_configured() -> None:
    assert NetworkSection().healthy_s == 60.0


# -- attempts that fail ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "reason"),
    [(403, "http_403"), (429, "http_429"), (503, "http_503"), (302, "redirect"), (410, "http_other")],
)
async def test_refused_upgrades(status: int, reason: str) -> None:
    other = ToyServer(flow)

    def answer(connection: Any, number: int) -> Any:
        if number > 2:
            return None
        response = connection.respond(HTTPStatus(status), "no\n")
        if status == 302:
            response.headers["Location"] = other.url
        return response

    async with other.running(), linked(flow, process_request=answer) as (server, run):
        await until(lambda: run.health.up, 150)
        assert run.health.reconnects == {reason: 2}
        assert other.attempts == []  # no redirect is followed
        least = 30.0 if status in (403, 429) else 0.25
        assert all(b - a >= least for a, b in zip(server.attempts, server.attempts[1:], strict=False))
        assert run.sink.of("closed") == []  # nothing was opened


async def test_retry_after_holds_all_links_of_the_venue_back() -> None:
    def answer(connection: Any, number: int) -> Any:
        if number > 1:
            return None
        response: Response = connection.respond(HTTPStatus.TOO_MANY_REQUESTS, "slow down\n")
        response.headers["Retry-After"] = "300"
        return response

    async with linked(flow, process_request=answer) as (server, run):
        await asyncio.sleep(1)
        second = Run(plan(server.url, name="second"), budget=run.budget)
        task = asyncio.create_task(second.link.run())
        await asyncio.sleep(298)
        assert len(server.attempts) == 1
        await until(lambda: run.health.up and second.health.up, 10)
        task.cancel()
        await asyncio.wait([task])


async def test_name_resolution_fails_then_heals(monkeypatch: pytest.MonkeyPatch) -> None:
    async with linked(flow) as (server, _):
        loop = asyncio.get_running_loop()
        real, calls = loop.getaddrinfo, []

        async def resolve(host: Any, *rest: Any, **options: Any) -> Any:
            calls.append(host)
            if len(calls) <= 3:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return await real("127.0.0.1", *rest, **options)

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        run = Run(plan(server.url.replace("127.0.0.1", "venue.invalid")))
        async with run.running():
            await until(lambda: run.health.up, 30)
            assert run.health.reconnects == {"dns": 3}
            assert set(calls) == {"venue.invalid"}


async def test_connection_refused_then_heals() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    run = Run(plan(f"ws://127.0.0.1:{port}/"))
    async with run.running():
        await asyncio.sleep(20)
        refused = run.health.reconnects["refused_connection"]
        assert 3 <= refused <= 12
        assert run.shown.state in ("idle", "connecting")
        assert not run.health.up
    assert run.health.reconnects == {"refused_connection": refused}


async def test_stalled_handshake() -> None:
    """The port accepts and says nothing: given up at open_timeout_s, again and again, without a socket left."""
    accepted: list[asyncio.StreamWriter] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        with contextlib.suppress(ConnectionError):
            await reader.read()
            while await reader.read(1000):
                pass
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        run = Run(plan(f"ws://127.0.0.1:{port}/"), network=NetworkSection(open_timeout_s=7.0))
        async with run.running():
            await until(lambda: "open_timeout" in run.health.reconnects, 8)
            assert now() == pytest.approx(7.0, abs=0.3)
            await asyncio.sleep(60)
        assert len(accepted) - 1 <= run.health.reconnects["open_timeout"] <= len(accepted)
        assert len(accepted) >= 2
        await asyncio.sleep(1)
        assert all(writer.is_closing() for writer in accepted)


async def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=127.0.0.1"]
    try:
        subprocess.run(command, check=True, capture_output=True)  # blocking is fine: nothing runs yet
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ToyServer(flow, ssl=context)
    async with server.running():
        run = Run(plan(server.url.replace("ws://", "wss://")))
        async with run.running():
            await until(lambda: bool(run.health.reconnects), 5)
            assert list(run.health.reconnects) == ["tls"]
    assert server.attempts == []


async def test_the_proxy_is_used_and_its_refusal_named() -> None:
    asked = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readline()).decode().split()[:2])
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        run = Run(plan("ws://venue.invalid:1234/"), network=NetworkSection(proxy=address))
        async with run.running():
            await until(lambda: bool(run.health.reconnects), 5)
        assert list(run.health.reconnects) == ["proxy"]
        assert asked[0] == ["CONNECT", "venue.invalid:1234"]


# -- streams that do not speak ---------------------------------------------------------------------------------


async def test_acknowledged_but_silent() -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 1:
            await peer.listen({"sub BTC": "ack", "sub ETH": "ack"})
        await flow(peer)

    async with linked(script, plan={"acks": 2}) as (_, run):
        took = await until(lambda: run.health.up, 40)
        assert run.reasons() == ["first_message"]
        assert took == pytest.approx(30.5, abs=1.5)


@pytest.mark.parametrize(("answer", "reason", "after_s"), [("refused BTC", "refused", 5.0), (None, "no_ack", 10.0)])
async def test_subscription_refused_or_never_acknowledged(answer: str | None, reason: str, after_s: float) -> None:
    async def script(peer: Peer) -> None:
        if peer.number <= 2:
            await peer.listen({"sub BTC": answer} if answer is not None else None)
        else:
            await flow(peer)

    async with linked(script, plan={"acks": 2}) as (server, run):
        await until(lambda: run.health.up, 60)
        assert run.reasons() == [reason, reason]
        assert server.attempts[1] - after_s <= 2.0
        assert server.attempts[1] >= after_s


async def test_one_stream_stops_while_others_flow() -> None:
    """The connection that still serves BTC is kept until the new one serves both: BTC has no gap."""

    async def script(peer: Peer) -> None:
        if peer.number == 1:
            await peer.flow(*MARKS, seconds=60)
            await peer.flow(MARKS[0])
        await flow(peer)

    async with linked(script) as (server, run):
        await asyncio.sleep(120)
        assert server.attempts[1] == pytest.approx(59 + 20, abs=2.5)  # twice its max_age after its last word
        assert run.reasons() == ["stream_silent"]
        assert run.sink.gap_s("mark BTC", 1, 120) <= 1.5
        assert run.sink.gap_s("mark ETH", 1, 120) <= 24
        assert run.health.reconnects == {"stream_silent": 1}
        assert len(server.peers) == 2
        assert server.open == 1


async def test_a_ping_that_is_a_message_is_answered_on_the_socket() -> None:
    """Also on a socket where nothing else is due: the answer must not wait for the next keep-alive."""

    async def script(peer: Peer) -> None:
        await peer.send(*MARKS)
        await asyncio.sleep(3)
        await peer.send("ping yes")
        await peer.listen()

    async with linked(script) as (server, run):
        await asyncio.sleep(5)
        assert server.peers[0].received[-1][1] == "yes"
        assert run.reasons() == []


async def test_pongs_answered_but_data_stopped() -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 1:
            await peer.flow(*MARKS, seconds=60)
            await peer.listen({"ping": "pong"})
        await flow(peer)

    async with linked(script, plan={"keepalive": KeepAlive("ping", 5.0)}) as (server, run):
        await asyncio.sleep(100)
        assert run.reasons() == ["stream_silent"]
        assert server.attempts[1] == pytest.approx(59 + 20, abs=3)


@pytest.mark.parametrize("keepalive", [KeepAlive("ping", 15.0), None])
async def test_half_open_no_pong(keepalive: KeepAlive | None) -> None:
    """The socket stands, the peer is gone: found by the venue's keep-alive, or by protocol pings where it has none."""

    async def script(peer: Peer) -> None:
        if peer.number == 1:
            await peer.send("funding BTC 0.0001")
            peer.connection.transport.pause_reading()
            await asyncio.sleep(600)
        await peer.flow("funding BTC 0.0001")

    changes = {"keepalive": keepalive, "expects": (("BTC", "funding"),)}
    async with linked(script, plan=changes, serve={"close_timeout": 0.1}) as (server, run):
        await until(lambda: len(server.peers) == 2, 60)
        assert run.reasons() == ["no_pong"]
        assert now() == pytest.approx(26 if keepalive is not None else 41.5, abs=3)
        await until(lambda: run.health.up, 5)
        server.peers[0].connection.transport.abort()


async def test_a_delisted_instrument_costs_one_renewal_then_rare_ones() -> None:
    async with linked(lambda peer: peer.flow(MARKS[0])) as (server, run):
        await asyncio.sleep(600)
        assert run.shown.state in ("live", "renewing")
        assert run.shown.given_up == ("ETH:mark",)
        gaps = [b - a for a, b in zip(server.attempts[1:], server.attempts[2:], strict=False)]
        assert server.attempts[1] == pytest.approx(31, abs=2)
        assert min(gaps) >= CAP_S  # tried again at the cadence of the backoff cap, then ever more rarely
        assert gaps[:7] == pytest.approx([CAP_S] * 5 + [2 * CAP_S, 4 * CAP_S], abs=2)
        assert run.sink.gap_s("mark BTC", 1, 600) <= 1.5
        assert run.health.up


# -- make before break -----------------------------------------------------------------------------------------


async def test_a_stream_that_dies_after_seconds_on_each_connection_is_given_up() -> None:
    """Cause: forgiven before the healthy while is over, it would cost a connection again and again."""

    async def script(peer: Peer) -> None:
        await peer.flow(*MARKS, seconds=20)
        await peer.flow(MARKS[0])

    async with linked(script) as (server, run):
        await until(lambda: run.shown.given_up == ("ETH:mark",), 240)
        assert len(server.attempts) == 2


async def test_a_closing_notice_makes_before_it_breaks() -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 1:
            await peer.flow(*MARKS, seconds=30)
            await peer.send("closing")
            await peer.flow(*MARKS, seconds=20)
            await peer.connection.close(1001)
            return
        await asyncio.sleep(5)  # a slow start: the old one must go on meanwhile
        await flow(peer)

    async with linked(script) as (server, run):
        await asyncio.sleep(80)
        assert run.sink.gap_s("mark BTC", 1, 80) <= 1.5
        assert run.sink.gap_s("mark ETH", 1, 80) <= 1.5
        assert [connection for _, connection, _ in run.sink.of("opened")] == ["public#1", "public#2"]
        assert run.sink.of("opened")[1][0] < run.sink.of("closed")[0][0]
        assert run.reasons() == ["closing_notice"]
        assert server.open == 1
        assert run.shown.connection == "public#2"


async def test_planned_renewal_before_the_lifetime_has_no_gap() -> None:
    """Ten lifetimes: the venue cuts at 24 min, the link is never there to be cut."""
    cut = []

    async def script(peer: Peer) -> None:
        await peer.flow(*MARKS, every_s=5.0, seconds=1440)
        cut.append(now())
        peer.reset()

    async with linked(script, limits=replace(LIMITS, lifetime_s=1440.0)) as (server, run):
        await asyncio.sleep(14_400)
        assert cut == []
        assert len(server.peers) == 11
        assert set(run.reasons()) == {"lifetime"}
        assert run.sink.gap_s("mark BTC", 1, 14_400) <= 5.5


async def test_a_new_plan_is_served_before_the_old_socket_goes() -> None:
    async def script(peer: Peer) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(peer.listen())
            await asyncio.sleep(1)
            subscribed = [text.split()[1] for _, text in peer.received]
            group.create_task(peer.flow(*(f"mark {name} 1.5" for name in subscribed)))

    async with linked(script) as (server, run):
        await asyncio.sleep(20)
        changed_s = now()
        wanted = plan(server.url, frames=("sub ETH", "sub SOL"), expects=(("ETH", "mark"), ("SOL", "mark")))
        run.link.replan(wanted)
        await until(lambda: server.open == 2, 3)
        await until(lambda: server.open == 1, 5)
        assert run.link.serves
        assert [text for _, text in server.peers[1].received] == ["sub ETH", "sub SOL"]
        await asyncio.sleep(10)
        assert run.sink.gap_s("mark ETH", changed_s - 5, now()) <= 1.3
        assert run.shown.streams_expected == run.shown.streams_live == 2
        assert run.health.reconnects == {}
        run.link.replan(wanted)  # the same again changes nothing
        await asyncio.sleep(10)
        assert len(server.attempts) == 2


async def test_a_plan_that_fails_leaves_the_old_socket_serving() -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 1:
            await peer.flow(*MARKS)
        await peer.listen()

    async with linked(script) as (server, run):
        await asyncio.sleep(10)
        run.link.replan(plan(server.url, frames=("sub ETH",), expects=(("ETH", "mark"),)))
        await asyncio.sleep(120)
        assert run.sink.gap_s("mark ETH", 5, now()) <= 1.3
        assert not run.link.serves
        assert 2 <= len(server.attempts) <= 8  # with patience


async def test_a_plan_replaced_before_its_socket_opened_is_never_tried() -> None:
    async def script(peer: Peer) -> None:
        await peer.flow(*MARKS)

    async with linked(script) as (server, run):
        run.link.replan(plan(server.url + "?two"))
        run.link.replan(plan(server.url + "?three"))
        await asyncio.sleep(10)
        assert server.peers[-1].connection.request.path == "/?three"  # type: ignore[union-attr]
        assert server.open == 1


async def test_the_venue_cuts_before_the_successor_is_there() -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 1:
            await peer.flow(*MARKS, seconds=70)
            await peer.send("closing")
            await peer.flow(*MARKS, seconds=3)
            peer.reset()
            return
        await asyncio.sleep(10)
        await flow(peer)

    async with linked(script) as (server, run):
        await asyncio.sleep(100)
        assert len(server.attempts) == 2  # the successor under way became the link; no third
        assert run.shown.connection == "public#2"
        assert run.shown.state == "live"


async def test_a_successor_that_serves_less_is_dropped() -> None:
    async def script(peer: Peer) -> None:
        names = ["mark A 1.5", "mark B 2.5", "mark C 3.5"]
        if peer.number == 1:
            await peer.flow(*names, seconds=60)
            await peer.flow(*names[:2])
        await peer.flow(*(names[:1] if peer.number == 2 else names))

    expects = tuple((name, "mark") for name in "ABC")
    async with linked(script, plan={"expects": expects}) as (_, run):
        await until(lambda: run.shown.connection == "public#3", 300)
        closed = [(connection, reason) for _, connection, reason in run.sink.of("closed")]
        assert closed[0][0] == "public#2"
        assert run.sink.gap_s("mark B", 1, now()) <= 1.5


# -- frames that are refused -----------------------------------------------------------------------------------


async def test_oversized_frame_is_counted_and_the_link_comes_back() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(*MARKS)
        if peer.number == 1:
            await peer.send("x" * 2000)
        await flow(peer)

    async with linked(script, limits=replace(LIMITS, max_frame_bytes=1000)) as (_, run):
        await asyncio.sleep(10)
        assert [detail for _, _, detail in run.sink.of("rejected")] == ["oversized"]
        assert run.reasons() == ["oversized"]
        assert run.shown.state == "live"


async def test_a_frame_that_inflates_beyond_the_limit_is_refused() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(*MARKS)
        if peer.number == 1:
            await peer.send("x" * (8 << 20))  # some 8 KiB on the wire
        await flow(peer)

    async with linked(script) as (_, run):
        await asyncio.sleep(10)
        assert run.reasons() == ["oversized"]
        assert max(len(str(raw)) for _, _, raw in run.sink.of("frame")) < 100


async def test_binary_frames_are_counted_and_cost_nothing_else() -> None:
    async def script(peer: Peer) -> None:
        await peer.connection.send(b"\x00\x01")
        await flow(peer)

    async with linked(script) as (server, run):
        await asyncio.sleep(10)
        assert [detail for _, _, detail in run.sink.of("rejected")] == ["binary"]
        assert len(server.attempts) == 1


async def test_broken_protocol_and_text() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(*MARKS)
        if peer.number == 1:
            peer.write_raw(b"\xf1\x00")  # reserved bits
        elif peer.number == 2:
            peer.write_raw(b"\x81\x02\xff\xfe")  # not UTF-8
        await flow(peer)

    async with linked(script) as (_, run):
        await asyncio.sleep(20)
        assert run.reasons() == ["protocol", "bad_utf8"]
        assert [detail for _, _, detail in run.sink.of("rejected")] == ["bad_utf8"]


async def test_a_defect_in_the_sink_costs_that_socket_only(caplog: pytest.LogCaptureFixture) -> None:
    async def script(peer: Peer) -> None:
        await peer.send("poison" if peer.number == 1 else MARKS[0])
        await flow(peer)

    async with linked(script, sink=Sink(break_on="poison")) as (_, run):
        await asyncio.sleep(5)
        assert run.reasons() == ["bug"]
        assert run.health.reconnects == {"bug": 1}
        assert run.shown.state == "live"
    assert "a decoder with a defect" in caplog.text


# -- many at once, and the end ---------------------------------------------------------------------------------


async def test_eleven_venues_dropped_at_once_stay_inside_their_budgets() -> None:
    dropped = asyncio.Event()

    async def script(peer: Peer) -> None:
        asyncio.get_running_loop().create_task(_cut(peer))
        await flow(peer)

    async def _cut(peer: Peer) -> None:
        if not dropped.is_set():
            await dropped.wait()
            peer.reset()

    server = ToyServer(script)
    async with server.running(), contextlib.AsyncExitStack() as stack:
        process = Window(3, 1.0)
        limits = replace(LIMITS, connects=2, connect_period_s=30.0)
        runs = []
        for number in range(11):
            run = Run(plan(server.url), seed=number, limits=limits, budget=VenueBudget(limits, process))
            runs.append(await stack.enter_async_context(run.running()))
        await asyncio.sleep(100)
        assert len(server.attempts) == 11
        dropped.set()
        await until(lambda: all(run.health.up for run in runs) and len(server.attempts) == 22, 15)
        for start in server.attempts:
            assert sum(start <= at < start + 0.999 for at in server.attempts) <= 3


@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.3, 1.0, 30.0, 61.0, 62.0])
async def test_cancellation_leaves_nothing_behind(after_s: float) -> None:
    """At the start, in the handshake, while subscribing, live, and with two sockets during a renewal."""

    async def script(peer: Peer) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await peer.flow(*MARKS, seconds=60)
            await peer.send("closing")
            await peer.connection.wait_closed()

    server = ToyServer(script)
    async with server.running():
        before = asyncio.all_tasks()
        run = Run(plan(server.url))
        task = asyncio.create_task(run.link.run())
        await asyncio.sleep(after_s)
        task.cancel()
        started = now()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert now() - started <= 1.0
        await asyncio.sleep(0.5)
        assert server.open == 0
        assert len(run.sink.of("opened")) == len(run.sink.of("closed"))
        leftover = asyncio.all_tasks() - before
        assert not [item for item in leftover if "toy" in item.get_name() or "keepalive" in repr(item)]


async def test_cancellation_does_not_wait_for_a_peer_that_will_not_close() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(*MARKS)
        peer.connection.transport.pause_reading()
        await asyncio.sleep(100)

    server = ToyServer(script, close_timeout=0.1)
    async with server.running():
        run = Run(plan(server.url))
        task = asyncio.create_task(run.link.run())
        await asyncio.sleep(2)
        task.cancel()
        started = now()
        await asyncio.wait([task])
        assert task.cancelled()
        assert now() - started <= 1.1
        server.peers[0].connection.transport.abort()


# -- the boundary ----------------------------------------------------------------------------------------------


def _with_cause(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError("timed out during opening handshake"), "open_timeout"),
        (socket.gaierror(-2, "Name or service not known"), "dns"),
        (ssl.SSLCertVerificationError("self-signed certificate"), "tls"),
        (ConnectionRefusedError(111, "refused"), "refused_connection"),
        (
            OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1'), [Errno 111] ..."),
            "refused_connection",
        ),
        (ConnectionResetError(104, "reset"), "reset"),
        (OSError(101, "Network is unreachable"), "unreachable"),
        (ProxyError("no"), "proxy"),
        (InvalidURI("x", "y"), "bad_address"),
        (_with_cause(InvalidMessage("bad"), EOFError("closed")), "reset"),
        (_with_cause(InvalidMessage("bad"), ValueError("not HTTP")), "protocol"),
        (InvalidHandshake("bad"), "protocol"),
    ],
)
def test_open_reasons(error: Exception, reason: str) -> None:
    assert open_reason(error).reason == reason
    assert reason in REASONS


@pytest.mark.parametrize(
    ("received", "sent", "first", "reason"),
    [
        (None, None, None, "reset"),
        (Close(1012, ""), None, None, "closed"),
        (Close(1009, ""), Close(1009, ""), True, "closed"),
        (None, Close(1009, ""), None, "oversized"),
        (Close(1000, ""), Close(1009, ""), False, "oversized"),
        (None, Close(1011, "keepalive ping timeout"), None, "no_pong"),
        (None, Close(1002, ""), None, "protocol"),
        (None, Close(1007, ""), None, "bad_utf8"),
        (None, Close(1000, ""), None, "reset"),
    ],
)
def test_closed_reasons(received: Close | None, sent: Close | None, first: bool | None, reason: str) -> None:
    assert closed_reason(ConnectionClosedError(received, sent, first)).reason == reason
    assert reason in REASONS


def test_headers_type_is_plain() -> None:
    """Plans hold a plain mapping; websockets takes it as it is."""
    assert Headers({"X-Toy": "1"})["x-toy"] == "1"
