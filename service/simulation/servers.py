"""The simulated venues on loopback: one HTTP and WebSocket server each, one driver that moves the market for all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import cast

from aiohttp import WSMsgType, web

from service.clock import Clock
from service.model import Endpoints
from service.simulation.derivatives_list import PATH, derivatives_list
from service.simulation.market import MarketModel
from service.simulation.protocol import Frame, Hangup, Out, Protocol, ServerPing, Session, encode
from service.simulation.venues.binance import BinanceCoinm, BinanceUsdm
from service.simulation.venues.bitget import Bitget
from service.simulation.venues.bitmex import Bitmex
from service.simulation.venues.bybit import Bybit
from service.simulation.venues.deribit import Deribit
from service.simulation.venues.dydx import Dydx
from service.simulation.venues.gate import Gate
from service.simulation.venues.hyperliquid import Hyperliquid
from service.simulation.venues.kraken_futures import KrakenFutures
from service.simulation.venues.okx import Okx

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
BEAT_MS = 500  # the market moves each second; Bybit's book also in between
PROTOCOLS: tuple[type[Protocol], ...] = (
    BinanceUsdm, Bybit, Okx, Hyperliquid, BinanceCoinm, Bitget, Gate, Deribit, KrakenFutures, Bitmex, Dydx,
)  # fmt: skip
MAX_UNSENT_BYTES = 1 << 20  # a client that does not read is cut, as a venue would
MAX_MESSAGE_BYTES = 1 << 17
OUTAGE_AFTER_S = (340.0, 380.0)
OUTAGE_S = (170.0, 190.0)

OnSend = Callable[[str, str], str | None]
"""Fault hook: (topic, text) -> the text to send instead, or None to send nothing.

The topic is "" for a reply and the path for an HTTP answer (None then makes it a 503).
"""


@dataclass(slots=True, eq=False)
class _Client:
    session: Session
    socket: web.WebSocketResponse
    transport: asyncio.WriteTransport


class VenueServer:
    """One venue's server. ``on_send`` may be replaced at any time; None passes everything."""

    def __init__(self, protocol: Protocol, clock: Clock, rng: random.Random) -> None:
        self.protocol = protocol
        self.on_send: OnSend | None = None
        self.down = False
        self.compress = False  # whether new connections negotiate permessage-deflate
        self.port = 0
        self._clock = clock
        self._rng = rng
        self._clients: list[_Client] = []
        self._runner: web.AppRunner | None = None

    @property
    def connections(self) -> int:
        """Open WebSocket connections."""
        return len(self._clients)

    async def start(self, port: int) -> Endpoints:
        """Listen on loopback; port 0 picks a free one. Raises OSError if it is taken."""
        application = web.Application(client_max_size=1 << 20)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self.port = self._runner.addresses[0][1]
        sockets, rest = self.protocol.addresses(f"{HOST}:{self.port}")
        return Endpoints(ws=sockets, rest=rest)

    async def stop(self) -> None:
        self.cut()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def outage(self, down: bool) -> None:
        """Down: every socket is dropped without a word, and new requests get 503."""
        self.down = down
        if down:
            self.cut()

    def cut(self) -> None:
        """Abort every open connection."""
        for client in self._clients:
            client.transport.abort()

    async def beat(self, now_ms: int) -> None:
        """Send what is due, and apply the keep-alive rules."""
        wanted: dict[str, None] = {}
        for client in self._clients:
            if not client.session.silent:
                wanted.update(client.session.topics)
        frames = self.protocol.pushes(wanted, now_ms)
        for frame in frames:
            for client in list(self._clients):
                if frame.topic in client.session.topics and not client.session.silent:
                    await self._push(client, frame, now_ms)
        for client in list(self._clients):
            for out in self.protocol.watch(client.session, now_ms):
                await self._put(client, out, now_ms)

    # -- one connection --------------------------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self.down:
            return web.Response(status=503, text="Service Unavailable")
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._serve(request)
        body = await request.text()
        answer = self.protocol.answer(request.method, request.path, request.query, body, self._clock.now_ms())
        text = self._filtered(request.path, answer.text)
        if text is None:
            return web.Response(status=503, text="Service Unavailable")
        return web.Response(
            status=answer.status, text=text, content_type="application/json", headers=dict(answer.headers)
        )

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        now_ms = self._clock.now_ms()
        session = self.protocol.accept(request.path, request.query, f"{self._rng.getrandbits(32):08x}", now_ms)
        if session is None:
            return web.Response(status=404, text="Not found")
        most = self.protocol.max_connections
        if most is not None and len(self._clients) >= most:
            return web.Response(status=429, text="Too Many Requests")
        socket = web.WebSocketResponse(
            autoping=False, compress=self.compress, max_msg_size=MAX_MESSAGE_BYTES, timeout=1.0
        )
        await socket.prepare(request)
        if request.transport is None:  # gone during the handshake
            return socket
        transport = cast(asyncio.WriteTransport, request.transport)  # uvloop's is one without being a subclass
        transport.set_write_buffer_limits(high=2 * MAX_UNSENT_BYTES)
        client = _Client(session, socket, transport)
        self._clients.append(client)
        try:
            for out in self.protocol.greeting(session, now_ms):
                await self._put(client, out, now_ms)
            await self._read(client)
        finally:
            self._clients.remove(client)
        return socket

    async def _read(self, client: _Client) -> None:
        async for message in client.socket:
            now_ms = self._clock.now_ms()
            if message.type is WSMsgType.TEXT:
                for out in self.protocol.received(client.session, message.data, now_ms):
                    await self._put(client, out, now_ms)
            elif message.type is WSMsgType.PING:
                client.session.last_in_ms = now_ms
                with contextlib.suppress(ConnectionError):
                    await client.socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                client.session.last_in_ms = now_ms
            elif message.type is WSMsgType.BINARY:
                await self._put(client, Hangup(1003, "text only"), now_ms)

    async def _put(self, client: _Client, out: Out, now_ms: int) -> None:
        if isinstance(out, Frame):
            await self._push(client, out, now_ms)
        elif isinstance(out, ServerPing):
            with contextlib.suppress(ConnectionError):
                await client.socket.ping()
        elif out.code is None:
            client.transport.abort()
        else:
            with contextlib.suppress(ConnectionError):
                await client.socket.close(code=out.code, message=out.reason.encode(), drain=False)

    async def _push(self, client: _Client, frame: Frame, now_ms: int) -> None:
        text = self.protocol.wrap(client.session, frame) if frame.topic else frame.text
        sent = self._filtered(frame.topic, text)
        if sent is None:
            return
        if client.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            client.transport.abort()
            return
        client.session.last_out_ms = now_ms
        # The buffer limit above lies below the transport's high-water mark: this never waits for a slow client.
        with contextlib.suppress(ConnectionError, RuntimeError):  # closed or closing meanwhile
            await client.socket.send_str(sent)

    def _filtered(self, topic: str, text: str) -> str | None:
        return text if self.on_send is None else self.on_send(topic, text)


class SimulatedList:
    """Somebody else's list of all venues' derivatives: the simulated market, and a few venues that are not in it."""

    def __init__(self, model: MarketModel, clock: Clock, rng: random.Random) -> None:
        self._model = model
        self._clock = clock
        self._seed = rng.getrandbits(32)
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Listen on a free loopback port; the base address."""
        application = web.Application()
        application.router.add_get(PATH, self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0).start()
        return f"http://{HOST}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        rows = derivatives_list(self._model, random.Random(self._seed), self._clock.now_ms())
        return web.Response(text=encode(rows), content_type="application/json")


class SimulatedVenues:
    """All simulated venues over one market. ``scheduled_outage``: one venue, drawn by ``rng``, is down for about three
    minutes some six minutes after the start, so that users see a degraded state."""

    def __init__(self, model: MarketModel, clock: Clock, rng: random.Random, scheduled_outage: bool = True) -> None:
        self.model = model
        self._clock = clock
        base = rng.getrandbits(64)  # a venue's draws depend neither on who else draws from ``rng`` nor on other venues
        own = random.Random(base)
        self.servers: dict[str, VenueServer] = {}
        for protocol in PROTOCOLS:
            if protocol.venue not in model.venues:
                continue
            spoken = protocol(model, random.Random(f"{base}:protocol:{protocol.venue}"))
            drawn = random.Random(f"{base}:server:{protocol.venue}")
            self.servers[spoken.venue] = VenueServer(spoken, clock, drawn)
        self.planned_outage: tuple[str, float, float] | None = None  # (venue, seconds after start, seconds long)
        if scheduled_outage:
            self.planned_outage = (own.choice(list(self.servers)), own.uniform(*OUTAGE_AFTER_S), own.uniform(*OUTAGE_S))
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, ports: Mapping[str, int] | None = None) -> dict[str, Endpoints]:
        """Open the servers (free ports where ``ports`` names none) and set the market going; their addresses by venue.

        The first symbols' phases are arranged around this moment (``MarketModel.stage``). Raises OSError for a taken
        port, with nothing left open.
        """
        endpoints: dict[str, Endpoints] = {}
        try:
            for venue, server in self.servers.items():
                endpoints[venue] = await server.start((ports or {}).get(venue, 0))
        except OSError:
            await self.stop()
            raise
        self.model.stage(self._clock.now_ms())
        self._run(self._drive(), "simulation:market")
        if self.planned_outage is not None:
            self._run(self._interrupt(*self.planned_outage), "simulation:outage")
        return endpoints

    def _run(self, coroutine: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(coroutine, name=name)
        task.add_done_callback(_complain)
        self._tasks.append(task)

    async def stop(self) -> None:
        """Close everything; safe to call twice."""
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for server in self.servers.values():
            await server.stop()
        for result in ended:
            if isinstance(result, Exception):  # the market had stopped on a defect of ours: do not hide it
                raise result

    def outage(self, venue: str, down: bool) -> None:
        """Take a venue down (sockets dropped, new ones refused with 503) or up again."""
        self.servers[venue].outage(down)
        log.warning("simulated outage venue=%s down=%s", venue, down)

    async def _drive(self) -> None:
        while True:
            now_ms = self._clock.now_ms()
            beat_ms = (now_ms // BEAT_MS + 1) * BEAT_MS
            await asyncio.sleep((beat_ms - now_ms) / 1000)
            beat_ms = max(beat_ms, self._clock.now_ms() // BEAT_MS * BEAT_MS)  # late: go on from now, never bunch
            second_ms = beat_ms // 1000 * 1000
            if second_ms > self.model.now_ms:
                self.model.step(second_ms)
            for server in self.servers.values():
                await server.beat(beat_ms)

    async def _interrupt(self, venue: str, after_s: float, length_s: float) -> None:
        await asyncio.sleep(after_s)
        self.outage(venue, True)
        await asyncio.sleep(length_s)
        self.outage(venue, False)


def _complain(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("task %s has ended", task.get_name(), exc_info=task.exception())
