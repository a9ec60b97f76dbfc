"""A tiny venue of our own: its decoder, a scripted WebSocket server, and a sink that remembers.

Wire format: ``mark BTC 50000.5``, ``oi BTC 12.5``, ``funding BTC 0.0001``, ``confirm BTC mark``, ``ack``, ``pong``,
``refused``, ``closing``; anything else is bad. Texts, not JSON, so that no real venue's code is involved.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from service.model import Bad, Confirm, Control, Decoded, Funding, Mark, OpenInterest, StreamRule, VenueRules
from service.venues.contract import Catalog, ConnectionPlan, Endpoints, Limits, Poll, Request

MARK_AGE_S, FUNDING_AGE_S, OI_AGE_S = 10, 120, 30
RULES = VenueRules(
    venue="toy",
    exchange="toy",
    mark=StreamRule(MARK_AGE_S * 1000, "send"),
    funding=StreamRule(FUNDING_AGE_S * 1000, "none"),
    oi=StreamRule(OI_AGE_S * 1000, "none"),
    index_max_age_ms=60_000,
    funding_cap_8h=0.03,
)
LIMITS = Limits(
    connects=60, connect_period_s=60.0, sends_per_s=10.0, rest_weight=100.0, rest_period_s=60.0, max_topics=100
)


def decode(line: str, recv_ts: int = 0) -> list[Decoded]:
    """Items of one text of the toy wire format."""
    kind, *rest = line.split()
    match kind, rest:
        case "mark", [name, price]:
            return [Mark("toy", name, name, None if price == "-" else float(price), 1.5, None, recv_ts)]
        case "oi", [name, amount]:
            return [OpenInterest("toy", name, name, float(amount), 1.0, float(amount), False, None, recv_ts)]
        case "funding", [name, rate]:
            return [Funding("toy", name, name, float(rate), 8.0, float(rate), None, False, None, recv_ts)]
        case "confirm", [name, *streams]:
            return [Confirm("toy", name, name, tuple(streams), None, recv_ts)]  # type: ignore[arg-type]
        case (("ack" | "pong" | "refused" | "closing" | "info"), _):
            return [Control(kind, rest[0] if rest else None, line)]  # type: ignore[arg-type]
        case "ping", [answer]:
            return [Control("ping", None, answer)]
    return [Bad("bad_text", line[:40])]


class ToyDecoder:
    def decode(self, raw: str | bytes, recv_ts: int, context: str = "") -> list[Decoded]:
        text = raw if isinstance(raw, str) else raw.decode()
        return [item for line in text.splitlines() for item in decode(line, recv_ts)]


class ToyVenue:
    """Satisfies ``service.venues.contract.Venue``."""

    def __init__(self, name: str = "toy", limits: Limits = LIMITS, rules: VenueRules = RULES) -> None:
        self.name = name
        self.title = name
        self.polls_oi = False
        self.limits = limits
        self.rules = rules
        self.endpoints = Endpoints({}, "")

    def decoder(self, catalog: Catalog) -> ToyDecoder:
        return ToyDecoder()

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        return []

    def connections(self, endpoints: Endpoints, listings: Sequence[Any]) -> list[ConnectionPlan]:
        return []

    def polls(self, endpoints: Endpoints, listings: Sequence[Any], oi_poll_s: float) -> list[Poll]:
        return []


class LoopClock:
    """Service clock on the loop's (virtual) time."""

    def now_ms(self) -> int:
        return 1_750_000_000_000 + round(asyncio.get_running_loop().time() * 1000)


@dataclass
class Sink:
    """Remembers everything with the loop's time in seconds: ``(at_s, what, connection, detail)``."""

    seen: list[tuple[float, str, str, Any]] = field(default_factory=list)
    contexts: list[str] = field(default_factory=list)
    break_on: str | None = None

    def _note(self, what: str, connection: str, detail: Any = None) -> None:
        self.seen.append((asyncio.get_running_loop().time(), what, connection, detail))

    def opened(self, venue: str, connection: str) -> None:
        self._note("opened", connection)

    def frame(self, venue: str, connection: str, raw: str | bytes, context: str = "") -> Sequence[Decoded]:
        self._note("frame", connection, raw)
        self.contexts.append(context)
        if self.break_on is not None and raw == self.break_on:
            raise RuntimeError("a decoder with a defect")
        return ToyDecoder().decode(raw, 0)

    def rejected(self, venue: str, connection: str, reason: str) -> None:
        self._note("rejected", connection, reason)

    def closed(self, venue: str, connection: str, reason: str) -> None:
        self._note("closed", connection, reason)

    def of(self, what: str) -> list[tuple[float, str, Any]]:
        return [(at, connection, detail) for at, kind, connection, detail in self.seen if kind == what]

    def gap_s(self, prefix: str, start_s: float, end_s: float) -> float:
        """The longest silence of frames beginning with ``prefix`` between two times."""
        times = [start_s, *(at for at, _, raw in self.of("frame") if str(raw).startswith(prefix)), end_s]
        times = sorted(at for at in times if start_s <= at <= end_s)
        return max(b - a for a, b in itertools.pairwise(times))


Script = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The server's end of one connection. ``number`` counts connections from 1."""

    def __init__(self, server: ToyServer, connection: ServerConnection, number: int) -> None:
        self.server = server
        self.connection = connection
        self.number = number
        self.received: list[tuple[float, str]] = []

    async def send(self, *texts: str) -> None:
        for text in texts:
            await self.connection.send(text)

    async def flow(self, *texts: str, every_s: float = 1.0, seconds: float | None = None) -> None:
        """Repeat ``texts`` until ``seconds`` are over (None: for ever)."""
        loop = asyncio.get_running_loop()
        end = None if seconds is None else loop.time() + seconds
        while end is None or loop.time() < end:
            await self.send(*texts)
            await asyncio.sleep(every_s)

    async def listen(self, answers: dict[str, str] | None = None) -> None:
        """Remember what the client says; answer the texts that have an answer."""
        async for message in self.connection:
            text = str(message)
            self.received.append((asyncio.get_running_loop().time(), text))
            if answers is not None and text in answers:
                await self.send(answers[text])

    def reset(self) -> None:
        """Cut with RST (SO_LINGER 0), in the middle of a frame if one was begun."""
        transport = self.connection.transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    def write_raw(self, data: bytes) -> None:
        self.connection.transport.write(data)


class ToyServer:
    """Runs ``script(peer)`` per connection; ``attempts`` holds the time of each upgrade request."""

    def __init__(self, script: Script, process_request: Any = None, **options: Any) -> None:
        self.script = script
        self.process_request = process_request
        self.options = options
        self.attempts: list[float] = []
        self.peers: list[Peer] = []
        self.url = ""

    @property
    def open(self) -> int:
        return sum(peer.connection.state.name == "OPEN" for peer in self.peers)

    async def _handle(self, connection: ServerConnection) -> None:
        peer = Peer(self, connection, len(self.peers) + 1)
        self.peers.append(peer)
        try:
            await self.script(peer)
        except* ConnectionClosed:  # alone or from the tasks of a script's group
            pass

    def _request(self, connection: ServerConnection, request: Any) -> Any:
        self.attempts.append(asyncio.get_running_loop().time())
        if self.process_request is not None:
            return self.process_request(connection, len(self.attempts))
        return None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ToyServer]:
        options: dict[str, Any] = {"ping_interval": None, "close_timeout": 1, **self.options}
        async with serve(self._handle, "127.0.0.1", 0, process_request=self._request, **options) as server:
            port = server.sockets[0].getsockname()[1]
            self.url = f"ws://127.0.0.1:{port}/"
            yield self
