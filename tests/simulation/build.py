"""Shared by the simulation tests: a small market, a clock that the test moves, and one running venue server."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from service.simulation.market import MarketModel
from service.simulation.protocol import Frame, Hangup, Out, Protocol, Session
from service.simulation.servers import PROTOCOLS, VenueServer
from service.venues.contract import Endpoints

START_MS = 1_763_720_040_000  # 2025-11-21 10:14:00 UTC
SYMBOLS = ("BTC", "ETH", "SUI", "GRAM", "HYPE", "1000PEPE")
DEADLINE_S = 5.0


class ManualClock:
    def __init__(self, now_ms: int = START_MS) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        return self.ms


def market(seed: int = 5, symbols: tuple[str, ...] = SYMBOLS) -> MarketModel:
    model = MarketModel(seed, symbols, START_MS - 60_000)
    model.step(START_MS)
    return model


def protocol_of(venue: str, model: MarketModel | None = None) -> Protocol:
    [kind] = [item for item in PROTOCOLS if item.venue == venue]
    return kind(model or market(), random.Random(1))


def session_of(protocol: Protocol, path: str, now_ms: int = START_MS) -> Session:
    session = protocol.accept(path, {}, "conn-1", now_ms)
    assert session is not None
    return session


def say(protocol: Protocol, session: Session, request: Any, now_ms: int = START_MS) -> list[Any]:
    """Replies and pushes to one request, as parsed JSON; a hangup as it is."""
    text = request if isinstance(request, str) else json.dumps(request)
    return [shown(out) for out in protocol.received(session, text, now_ms)]


def shown(out: Out) -> Any:
    if not isinstance(out, Frame):
        return out
    return out.text if out.text == "pong" else json.loads(out.text)


def ends(outs: list[Any]) -> bool:
    return any(isinstance(out, Hangup) for out in outs)


def get(protocol: Protocol, path: str, now_ms: int = START_MS, **query: str) -> tuple[int, Any]:
    answer = protocol.answer("GET", path, query, "", now_ms)
    return answer.status, json.loads(answer.text)


@asynccontextmanager
async def serving(venue: str) -> AsyncIterator[tuple[VenueServer, Endpoints, ManualClock]]:
    """One venue on a free port; nothing moves until the test calls :func:`beat`."""
    clock = ManualClock()
    server = VenueServer(protocol_of(venue), clock, random.Random(2))
    endpoints = await server.start(0)
    try:
        yield server, endpoints, clock
    finally:
        await server.stop()


async def beat(server: VenueServer, clock: ManualClock, seconds: float = 1.0) -> None:
    clock.ms += int(seconds * 1000)
    server.protocol.model.step(clock.ms)
    await server.beat(clock.ms)


async def receive(socket: Any) -> Any:
    text = await asyncio.wait_for(socket.recv(), DEADLINE_S)
    return text if text == "pong" else json.loads(text)
