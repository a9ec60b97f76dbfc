"""One run: the real service against the real simulated servers over loopback, in virtual time, with everything noted.

The past is driven through the core once per set of venues; each run begins from that state and from the same market,
so a run with a fault and one without see the same world. Every venue's open interest is made alike, so that
the loss of any of them matters.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import random
import socket
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import looptime
from websockets.asyncio.client import connect

from service.clock import ServiceClock
from service.config import Config, parse
from service.core.build import rules_of
from service.core.engine import Engine
from service.model import EXTRA_STREAMS, Consensus, Denominator, Endpoints, Event, Tick
from service.publishing import exporter
from service.runtime.outputs import Outputs
from service.runtime.service import Inputs, Service
from service.simulation import MarketModel, denominators, history
from service.simulation.servers import BEAT_MS, HOST, PROTOCOLS
from service.venues import VENUES
from tests.faults.chaos import ChaosServer, Fault
from tests.faults.wire import WIRES, written

BASE_MS = 1_763_720_040_000  # 2025-11-21 10:14:00 UTC: no funding settles within the run
SYMBOLS = ("BTC", "ETH")
SEED = 7
HOUR_MS = 3_600_000
FINE_MS = 600_000  # at 1 Hz; before it minutes
NAME = "venue.example"  # the target's host name, resolved by us
TOTAL_COINS = {"BTC": 60_000.0, "ETH": 1_200_000.0}  # open interest per venue


@dataclass(frozen=True)
class Spans:
    """Virtual seconds before, during and after the fault; hours of past before them; whether trades and liquidations
    are read too."""

    healthy: int = 300
    fault: int = 300
    heal: int = 300
    past_h: int = 26
    extras: bool = True

    @property
    def total(self) -> int:
        return self.healthy + self.fault + self.heal


FULL = Spans()


def simulated() -> tuple[str, ...]:
    """The venues that have a server, in the fixed order of the service."""
    served = {protocol.venue for protocol in PROTOCOLS}
    return tuple(name for name in VENUES if name in served)


def references(target: str, count: int = 2) -> tuple[str, ...]:
    steady = [name for name in ("okx", "hyperliquid", "bybit") if name != target]
    return tuple(steady[:count])


def trio(target: str) -> tuple[str, ...]:
    """The target and two steady references, in the fixed order."""
    chosen = {target, *references(target)}
    return tuple(name for name in simulated() if name in chosen)


def configuration(venues: Sequence[str], extras: bool = True) -> Config:
    return parse(
        {
            "service": {"symbols": list(SYMBOLS)},
            "feed": {"port": 0},
            "venues": {name: {"enabled": name in venues} for name in VENUES},
            "network": {"listing_refresh_s": 60.0, "backoff_cap_s": 30.0},
            "streams": dict.fromkeys(EXTRA_STREAMS, extras),
            "start": {"history": False},
            "state": {"keep": False},
        }
    )


# -- what happened -------------------------------------------------------------------------------------------------


@dataclass
class Truth:
    """The market as it really was: per (venue, instrument) one value per second since ``BASE_MS``."""

    symbol: dict[tuple[str, str], str] = field(default_factory=dict)
    mark: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    rate_8h: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    coins: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    contract_coins: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def note(self, model: MarketModel) -> None:
        for quote in model.quotes():
            key = quote.instrument.venue, quote.instrument.name
            self.symbol[key] = quote.instrument.symbol
            self.mark.setdefault(key, []).append(quote.price)
            self.rate_8h.setdefault(key, []).append(quote.told_rate * 8 / quote.instrument.interval_h)
            self.coins.setdefault(key, []).append(quote.coins)
            self.contract_coins.setdefault(key, []).append(quote.contract_coins)


@dataclass
class Observation:
    """One event as the core got it: ``at_s`` seconds of the run, ``code`` None if it was accepted."""

    at_s: float
    event: Event
    code: str | None


@dataclass
class Second:
    """One sample as the core took it."""

    at_s: float
    ts: int
    samples: tuple[Consensus, ...]


@dataclass
class Published:
    """One tick as it left the service."""

    at_s: float
    tick: Tick
    missed: int
    epoch: str


@dataclass
class Run:
    venues: tuple[str, ...]
    spans: Spans
    seed: int
    truth: Truth = field(default_factory=Truth)
    sends: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)  # (venue, instrument, stream)
    actions: list[tuple[str, Any]] = field(default_factory=list)  # what the engine was told, to tell it again
    observations: list[Observation] = field(default_factory=list)
    seconds: list[Second] = field(default_factory=list)
    counting: dict[int, dict[tuple[str, str, str], bool]] = field(default_factory=dict)  # sample: (venue, symbol, name)
    published: list[Published] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    connects: dict[str, list[float]] = field(default_factory=dict)  # HTTP requests, when
    upgrades: dict[str, list[float]] = field(default_factory=dict)  # WebSocket attempts that reached the server, when
    reconnects: dict[str, dict[str, int]] = field(default_factory=dict)
    scrapes: list[tuple[float, str]] = field(default_factory=list)
    bad: dict[str, int] = field(default_factory=dict)

    def sent_age_s(self, venue: str, instrument: str, stream: str, at_s: float) -> float | None:
        """Seconds at ``at_s`` since the venue last sent it; None: never in this run."""
        times = self.sends.get((venue, instrument, stream), [])
        found = bisect_right(times, at_s + 0.001)
        return None if found == 0 else at_s - times[found - 1]

    def bodies(self) -> dict[tuple[str, int], dict[str, Any]]:
        """(symbol, ts) -> body, of every published tick."""
        return {(body["symbol"], item.tick.ts): body for item in self.published for body in item.tick.signals}


class TappedEngine(Engine):
    """The engine, and a note of everything it is told and does. ``run`` None: no notes."""

    run: Run | None = None
    ticked: list[Tick] | None = None

    def apply(self, event: Event) -> None:
        if self.run is not None:
            self.run.actions.append(("event", event))
        super().apply(event)

    def _take(self, event: Event) -> None:
        code = self.market.apply(event)
        if code is not None:
            key = (event.venue, code)
            self.refused[key] = self.refused.get(key, 0) + 1
        if self.run is not None:
            self.run.observations.append(Observation(_time(), event, code))

    def advance(self, now_ms: int, live: bool = True, silent: bool = False) -> list[Tick]:
        if self.run is not None:
            self.run.actions.append(("advance", now_ms))
        return super().advance(now_ms, live, silent)

    def reanchor(self, delta_ms: int) -> None:
        if self.run is not None:
            self.run.actions.append(("reanchor", delta_ms))
        super().reanchor(delta_ms)

    def _sample(self, ts: int, step_s: int) -> None:
        super()._sample(ts, step_s)
        if self.run is not None:
            self.run.seconds.append(Second(_time(), ts, tuple(self.samples)))
            self.run.counting[ts] = {
                (venue, symbol, name): item.trading and item.mark.state == item.oi.state == "LIVE"
                for symbol, book in self.market.symbols.items()
                for venue, shelf in book.venues.items()
                for name, item in shelf.instruments.items()
            }


def _time() -> float:
    return asyncio.get_running_loop().time()


# -- the state before ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Warm:
    model: MarketModel
    state: str
    bases: tuple[Denominator, ...]


@cache
def warm(venues: tuple[str, ...], past_h: int, seed: int) -> Warm:
    """The market and the engine at ``BASE_MS``, after so many hours of past."""
    config = configuration(venues)
    begin = (BASE_MS - past_h * HOUR_MS) // 60_000 * 60_000
    model = MarketModel(seed, SYMBOLS, begin, venues)
    alike(model)
    bases = tuple(denominators(seed, SYMBOLS, begin))
    engine = Engine(SYMBOLS, rules_of(config), config.market, bases)
    for ts, step_s, events in history(model, begin, BASE_MS - FINE_MS, BASE_MS):
        for event in events:
            if event.venue in venues:
                engine.apply(event)
        if step_s == 60:
            engine.backfill(ts, silent=True)
        else:
            engine.advance(ts, live=False, silent=True)
    return Warm(model, json.dumps(engine.save()), bases)


def alike(model: MarketModel) -> None:
    """Every venue holds the same open interest of a symbol; its instruments keep their shares of it."""
    held: dict[tuple[str, str], float] = {}
    for quote in model.quotes():
        key = quote.instrument.venue, quote.instrument.symbol
        held[key] = held.get(key, 0.0) + quote.coins
    for quote in model.quotes():
        item = quote.instrument
        factor = TOTAL_COINS[item.symbol] / held[item.venue, item.symbol]
        quote.instrument = replace(item, oi_contracts=item.oi_contracts * factor)


def fresh_engine(venues: tuple[str, ...], past_h: int, seed: int) -> MaskedEngine:
    config = configuration(venues)
    past = warm(venues, past_h, seed)
    engine = MaskedEngine(SYMBOLS, rules_of(config), config.market, past.bases)
    engine.restore(json.loads(past.state))
    return engine


# -- a run ---------------------------------------------------------------------------------------------------------


class Field:
    """Servers, service and clocks of one run. ``wall_step_s`` moves our own wall clock."""

    def __init__(self, venues: tuple[str, ...], faults: Mapping[str, Fault], spans: Spans, seed: int = SEED) -> None:
        self.run = Run(venues, spans, seed)
        self.wall_step_s = 0.0
        self.unresolvable = False
        self._faults = dict(faults)
        past = warm(venues, spans.past_h, seed)
        self.model = copy.deepcopy(past.model)
        rng = random.Random(seed)
        self.servers = {
            protocol.venue: ChaosServer(
                protocol(self.model, random.Random(rng.getrandbits(64))),
                self,
                random.Random(rng.getrandbits(64)),
                self._noted(protocol.venue),
            )
            for protocol in PROTOCOLS
            if protocol.venue in venues
        }
        self.service: Service | None = None
        self._seed = seed
        self._bases = past.bases

    def now_ms(self) -> int:
        """True time: the servers' clock."""
        return BASE_MS + round(_time() * 1000)

    def _noted(self, venue: str) -> Any:
        wire = WIRES[venue]
        listed = [quote.instrument.name for quote in self.model.quotes(venue)]
        names = [(name, f'"{written(venue, name)}"') for name in listed]

        def note(topic: str, text: str) -> None:
            streams = wire.vouched(topic, text)
            if not streams:
                return
            now = _time()
            for name, quoted in names:
                if quoted in text:
                    for stream in streams:
                        self.run.sends.setdefault((venue, name, stream), []).append(now)

        return note

    async def play(self) -> Run:
        loop = asyncio.get_running_loop()
        loop.getaddrinfo = self._resolve  # type: ignore[method-assign]
        endpoints: dict[str, Endpoints] = {}
        for venue, server in self.servers.items():
            own = await server.start(0)
            if venue in self._faults:
                own = Endpoints({kind: _named(url) for kind, url in own.ws.items()}, _named(own.rest))
            endpoints[venue] = own
        engine = fresh_engine(self.run.venues, self.run.spans.past_h, self._seed)
        engine.run = self.run
        clock = ServiceClock(lambda: BASE_MS / 1000 + _time() + self.wall_step_s, _time)
        rng = random.Random(self._seed)
        config = configuration(self.run.venues, self.run.spans.extras)
        service = self.service = Service(
            config=config,
            inputs=Inputs(
                source="simulated",
                venues={name: VENUES[name] for name in self.run.venues},
                endpoints=endpoints,
                denominators=list(self._bases),
            ),
            engine=engine,
            clock=clock,
            rng=rng,
            outputs=Outputs(),
        )
        self._tap(service)
        stop = asyncio.Event()
        ports = self._port(service)
        async with asyncio.TaskGroup() as group:
            driving = group.create_task(self._drive(), name="market")
            serving = group.create_task(service.run(stop), name="service")
            listening = group.create_task(self._listen(await ports), name="client")
            await self._script()
            listening.cancel()
            stop.set()
            await serving
            driving.cancel()
        for server in self.servers.values():
            await server.stop()
        self.run.connects = {venue: server.requests for venue, server in self.servers.items()}
        self.run.upgrades = {venue: server.upgrades for venue, server in self.servers.items()}
        self.run.reconnects = {venue: dict(health.reconnects) for venue, health in service.health.items()}
        return self.run

    async def _script(self) -> None:
        spans = self.run.spans
        await asyncio.sleep(spans.healthy + 0.25)  # between two beats
        for venue, fault in self._faults.items():
            fault.field = self  # type: ignore[attr-defined]
            self.servers[venue].fault = fault
            await _done(fault.begin(self.servers[venue]))
        await asyncio.sleep(spans.fault - 0.25)
        self._scrape()
        await asyncio.sleep(0.25)
        for venue, fault in self._faults.items():
            self.servers[venue].fault = Fault()
            await _done(fault.end(self.servers[venue]))
        await asyncio.sleep(spans.heal + 0.25)
        self._scrape()

    def _scrape(self) -> None:
        assert self.service is not None
        feed, views = self.service.feed, self.service.views
        state = replace(views.scrape(), signals=feed._numbers)
        self.run.scrapes.append((_time(), exporter.render(feed.metrics.registry, state).decode()))

    async def _drive(self) -> None:
        self.run.truth.note(self.model)
        while True:
            beat_ms = (self.now_ms() // BEAT_MS + 1) * BEAT_MS
            await asyncio.sleep((beat_ms - self.now_ms()) / 1000)
            if beat_ms % 1000 == 0:
                self.model.step(beat_ms)
                self.run.truth.note(self.model)
            for server in self.servers.values():
                await server.beat(beat_ms)

    async def _resolve(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        if host == NAME and self.unresolvable:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, port))]

    # -- what leaves the service -----------------------------------------------------------------------------------

    def _tap(self, service: Service) -> None:
        feed = service.feed
        publish, epoch = feed.publish_tick, feed.new_epoch
        current = [feed.hub.epoch] if hasattr(feed.hub, "epoch") else [""]

        def published(tick: Tick, missed: int) -> None:
            self.run.published.append(Published(_time(), tick, missed, current[0]))
            publish(tick, missed)

        def renewed(name: str) -> None:
            current[0] = name
            epoch(name)

        feed.publish_tick = published  # type: ignore[method-assign]
        feed.new_epoch = renewed  # type: ignore[method-assign,assignment]

    def _port(self, service: Service) -> asyncio.Future[int]:
        port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        start = service.feed.start

        async def started() -> int:
            port.set_result(await start())
            return port.result()

        service.feed.start = started  # type: ignore[method-assign]
        return port

    async def _listen(self, port: int) -> None:
        """A plain client: what it reads is what users read."""
        async with connect(f"ws://{HOST}:{port}/v1/stream", proxy=None) as feed:
            await feed.send(json.dumps({"op": "subscribe", "id": 1, "channels": ["signal.*"]}))
            async for text in feed:
                self.run.messages.append(json.loads(text))


def _named(url: str) -> str:
    return url.replace(HOST, NAME, 1)


async def _done(result: Any) -> None:
    if asyncio.iscoroutine(result):
        await result


def play(venues: tuple[str, ...], faults: Mapping[str, Fault], spans: Spans = FULL, seed: int = SEED) -> Run:
    """One run in a loop of its own, in virtual time."""
    loop = looptime.patch_event_loop(asyncio.SelectorEventLoop())
    loop.setup_looptime(start=0.0, end=float(spans.total + 120), idle_timeout=30.0)
    enabled = gc.isenabled()
    gc.disable()  # nothing of a run is garbage before its end; collecting while it grows costs a third of the time
    try:
        return loop.run_until_complete(Field(venues, faults, spans, seed).play())
    finally:
        loop.close()
        if enabled:
            gc.enable()


class MaskedEngine(TappedEngine):
    """An engine in which the venue ``masked`` counts exactly where it counted in the run ``like``: elsewhere the open
    interest of its instruments is taken for stale. Their trades go on: these count with the venue."""

    like: Run | None = None
    masked = ""

    def _sample(self, ts: int, step_s: int) -> None:
        hidden = []
        if self.like is not None:
            for (venue, symbol, name), counted in self.like.counting.get(ts, {}).items():
                if venue == self.masked and symbol in self.market.symbols and not counted:
                    item = self.market.symbols[symbol].venues[venue].instruments.get(name)
                    if item is not None and item.oi.state == "LIVE":
                        item.oi.state = "STALE"
                        hidden.append(item.oi)
        super()._sample(ts, step_s)
        for stream in hidden:
            stream.state = "LIVE"


def again(run: Run, keep: Any, masked: str = "") -> dict[tuple[str, int], dict[str, Any]]:
    """The core alone, told the same again except the events that ``keep(event)`` is false for: bodies by (symbol, ts).

    ``masked``: a venue that counts exactly where it counted in ``run``.
    """
    engine = fresh_engine(run.venues, run.spans.past_h, run.seed)
    if masked:
        engine.like, engine.masked = run, masked
    bodies: dict[tuple[str, int], dict[str, Any]] = {}
    for what, value in run.actions:
        if what == "event":
            if keep(value):
                engine.apply(value)
        elif what == "reanchor":
            engine.reanchor(value)
        else:
            for tick in engine.advance(value):
                for body in tick.signals:
                    bodies[body["symbol"], tick.ts] = body
    return bodies
