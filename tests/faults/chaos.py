"""A simulated venue's server that can misbehave: at the TCP level, in HTTP, and in every text it sends or hears.

What it does at a time is its ``fault``, an object with the hooks of :class:`Fault`; without one it is the venue.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from service.clock import Clock
from service.simulation.protocol import Frame, Out, Protocol, Session
from service.simulation.servers import HOST, VenueServer, _Client
from service.venues import VENUES
from tests.faults.wire import written

Note = Callable[[str, str], None]
"""(topic or path, text): told of every text that really goes out."""


class Fault:
    """What a faulty server does differently; by default nothing. One instance per run."""

    def begin(self, server: ChaosServer) -> Any:
        """The fault starts. May be a coroutine."""

    def end(self, server: ChaosServer) -> Any:
        """The fault is over. May be a coroutine."""

    async def request(self, server: ChaosServer, request: web.Request) -> web.StreamResponse | None:
        """Before a request or an upgrade is looked at: another answer, or None."""
        return None

    def incoming(self, server: ChaosServer, text: str) -> str | None:
        """A client's text: what the venue understands instead; None: it never heard it."""
        return text

    def outgoing(self, server: ChaosServer, topic: str, text: str) -> Sequence[tuple[float, str]]:
        """A text for a client (``topic`` empty: a reply): (seconds to wait, text) of what goes out instead."""
        return ((0.0, text),)

    def answer(self, server: ChaosServer, path: str, text: str) -> str | None:
        """An HTTP answer's text; None: 503."""
        return text

    def beat(self, server: ChaosServer) -> Any:
        """Twice a second. May be a coroutine."""


class ChaosServer(VenueServer):
    """``note`` is told of every text on the wire; ``mute`` holds the clients that are half-open for good."""

    def __init__(self, protocol: Protocol, clock: Clock, rng: random.Random, note: Note) -> None:
        super().__init__(protocol, clock, rng)
        self.fault = Fault()
        self.rng = rng
        self.mute: dict[int, _Client] = {}
        self.stalled = asyncio.Event()  # what waits for it waits until the server stops
        self.compress = False
        self.requests: list[float] = []
        self.upgrades: list[float] = []
        self._note = note
        self._late: set[asyncio.Task[None]] = set()
        self.on_send = self._answered
        hear = protocol.received

        def received(session: Session, text: str, now_ms: int) -> list[Out]:
            heard = self.fault.incoming(self, text)
            return [] if heard is None else hear(session, heard, now_ms)

        protocol.received = received  # type: ignore[method-assign]

    @property
    def clients(self) -> list[_Client]:
        return [client for client in self._clients if id(client) not in self.mute]

    @property
    def frame_limit(self) -> int:
        """The largest frame our side takes from this venue, bytes."""
        return VENUES[self.protocol.venue].limits.max_frame_bytes

    def subjects(self, text: str) -> tuple[str, ...]:
        """The instruments that a text names."""
        names = [quote.instrument.name for quote in self.protocol.quotes]
        return tuple(name for name in names if f'"{written(self.protocol.venue, name)}"' in text)

    # -- TCP -------------------------------------------------------------------------------------------------------

    async def refuse(self) -> None:
        """Nobody listens any more, and every socket is gone."""
        assert self._runner is not None
        for site in list(self._runner.sites):
            await site.stop()
        self.cut()

    async def listen(self) -> None:
        assert self._runner is not None
        await web.TCPSite(self._runner, HOST, self.port).start()

    def cut_all(self) -> None:
        """Every TCP connection is gone, those of HTTP too."""
        self.cut()
        assert self._runner is not None
        assert self._runner.server is not None
        for handler in list(self._runner.server.connections):
            if handler.transport is not None:
                handler.transport.abort()

    def deafen(self, client: _Client) -> None:
        """Half-open: the socket stays, nothing is read or sent any more."""
        self.mute[id(client)] = client
        with contextlib.suppress(RuntimeError):
            client.transport.pause_reading()  # type: ignore[attr-defined]

    def reset(self) -> None:
        """RST in the middle of a frame, on every socket."""
        for client in self.clients:
            client.transport.write(b'\x81\x7e\x07\xd0{"topic":"half a fra')  # 2,000 bytes announced
            client.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            client.transport.abort()

    async def hang_up(self, code: int) -> None:
        """A closing handshake on every socket."""
        for client in self.clients:
            with contextlib.suppress(ConnectionError):
                await client.socket.close(code=code, message=b"maintenance", drain=False)

    async def send_all(self, text: str) -> None:
        for client in self.clients:
            await self._write(client, "", text)

    # -- hooks -----------------------------------------------------------------------------------------------------

    async def beat(self, now_ms: int) -> None:
        await done(self.fault.beat(self))
        await super().beat(now_ms)

    async def stop(self) -> None:
        for task in self._late:
            task.cancel()
        self.stalled.set()
        await asyncio.sleep(0.01)
        await super().stop()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        now = asyncio.get_running_loop().time()
        (self.upgrades if "Upgrade" in request.headers else self.requests).append(now)
        other = await self.fault.request(self, request)
        return await super()._handle(request) if other is None else other

    def _answered(self, path: str, text: str) -> str | None:
        sent = self.fault.answer(self, path, text)
        if sent is not None:
            self._note(path, sent)
        return sent

    async def _put(self, client: _Client, out: Out, now_ms: int) -> None:
        if id(client) not in self.mute:
            await super()._put(client, out, now_ms)

    async def _push(self, client: _Client, frame: Frame, now_ms: int) -> None:
        if id(client) in self.mute:
            return
        text = self.protocol.wrap(client.session, frame) if frame.topic else frame.text
        for wait_s, sent in self.fault.outgoing(self, frame.topic, text):
            client.session.last_out_ms = now_ms
            if wait_s == 0.0:
                await self._write(client, frame.topic, sent)
            else:
                task = asyncio.create_task(self._later(client, frame.topic, sent, wait_s))
                self._late.add(task)
                task.add_done_callback(self._late.discard)

    async def _later(self, client: _Client, topic: str, text: str, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        if id(client) not in self.mute:
            await self._write(client, topic, text)

    async def _write(self, client: _Client, topic: str, text: str) -> None:
        self._note(topic, text)
        with contextlib.suppress(ConnectionError, RuntimeError):  # closed or closing meanwhile
            await client.socket.send_str(text)


async def done(result: Any) -> None:
    """Await what a hook returned, if it is a coroutine."""
    if asyncio.iscoroutine(result):
        await result
