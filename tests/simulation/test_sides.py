"""Both ways of counting open interest, from the simulated servers to the message, and the same again in a replay."""

from __future__ import annotations

import random
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest

from service.config import Config, parse, shareable
from service.core.build import rules_of, venues_of
from service.core.engine import Engine
from service.core.intake import Intake
from service.core.replay import replay
from service.metrics import Metrics
from service.model import Tick
from service.publishing import body_bytes
from service.simulation.market import HOUR_MS, MarketModel
from service.simulation.protocol import Frame
from service.simulation.servers import PROTOCOLS
from service.simulation.venues.gate import Gate
from service.tapes import Header, Record
from service.venues import VENUES
from service.venues.contract import Endpoints
from tests.simulation.build import START_MS

SYMBOLS = ("BTC", "ETH", "SOL", "XRP")
NAMES = ("bybit", "gate", "okx")


def config_of() -> Config:
    off = {name: {"enabled": False} for name in VENUES if name not in NAMES}
    return parse({"service": {"symbols": list(SYMBOLS)}, "venues": off})


class Hand:
    def __init__(self) -> None:
        self.now = START_MS

    def now_ms(self) -> int:
        return self.now


class Desk:
    """Three venues, spoken to without a socket: what they say goes through the intake into an engine, and on a tape."""

    def __init__(self, sides: int = 2, state: dict[str, object] | None = None, now_ms: int = START_MS) -> None:
        self.config, self.clock, self.records = config_of(), Hand(), list[Record]()
        self.model = MarketModel(8, SYMBOLS, START_MS - HOUR_MS)
        self.model.step(now_ms)
        self.engine = Engine(SYMBOLS, rules_of(self.config), self.config.market, [])
        if state is not None:
            self.engine.restore(state)
        self.intake = Intake(
            venues_of(self.config),
            self.clock,
            self.engine.apply,
            lambda: self.engine.sampled_ms,
            Metrics(NAMES, "simulated", "test"),
            self.records.append,
        )
        self.intake.adopt_sides(self.engine.market.sides_in_force())
        self.protocols = {kind.venue: kind(self.model, random.Random(3)) for kind in PROTOCOLS if kind.venue in NAMES}
        gate = self.protocols["gate"]
        assert isinstance(gate, Gate)
        self.gate = gate
        self.gate.sides = sides
        self.endpoints = {
            name: Endpoints(*protocol.addresses("127.0.0.1:9")) for name, protocol in self.protocols.items()
        }
        self.sessions = []
        self.ticks: list[Tick] = []
        self.begin(now_ms)

    def begin(self, now_ms: int) -> None:
        self.clock.now = now_ms
        self.header = Header(
            now_ms, "simulated", "test", True, shareable(self.config), [],
            self.engine.save() if self.engine.begun else None,
        )  # fmt: skip
        self.engine.advance(now_ms)
        self.clock.now = now_ms + 1
        self.metadata()
        for name, protocol in self.protocols.items():
            listings = [item for item in self.intake.catalogs[name].listings.values() if item.trading]
            for plan in VENUES[name].connections(self.endpoints[name], listings):
                session = protocol.accept(urlsplit(plan.url).path, {}, plan.name, now_ms)
                assert session is not None
                self.intake.opened(name, plan.name)
                for number, sent in enumerate(plan.frames):
                    for out in protocol.received(session, sent, now_ms + number * 1000):
                        assert isinstance(out, Frame)
                        self.intake.frame(name, plan.name, protocol.wrap(session, out) if out.topic else out.text)
                self.sessions.append((name, plan.name, session))

    def metadata(self, *names: str) -> None:
        """The lists, and what they are compared with."""
        for name in names or NAMES:
            for request in VENUES[name].metadata(self.endpoints[name]):
                parts = urlsplit(request.url)
                query = dict(parse_qsl(parts.query))
                answer = self.protocols[name].answer(request.method, parts.path, query, "", self.clock.now)
                assert answer.status == 200
                self.intake.frame(name, "rest", answer.text, request.context)

    def run(self, seconds: int) -> None:
        begun = self.clock.now // 1000 * 1000
        for second in range(1, seconds + 1):
            now_ms = begun + second * 1000
            self.clock.now = now_ms
            self.model.step(now_ms)
            for tick in self.engine.advance(now_ms):
                self.ticks.append(tick)
                self.records.append(Record("p", tick.ts))
                self.engine.published(tick)
            self.clock.now = now_ms + 20
            for name, connection, session in self.sessions:
                for frame in self.protocols[name].pushes(dict(session.topics), now_ms):
                    self.intake.frame(name, connection, self.protocols[name].wrap(session, frame))

    def tape(self) -> Iterator[Header | Record]:
        yield self.header
        yield from self.records

    def told(self) -> list[bytes]:
        return [body_bytes(body) for tick in self.ticks for body in tick.signals]

    def coins(self) -> float:
        """Gate's open interest of BTC in the newest sample."""
        (view,) = [view for view in self.engine.samples[0].venues if view.venue == "gate"]
        assert view.oi_coins is not None
        return view.oi_coins

    def truth(self) -> float:
        quotes = [quote for quote in self.protocols["gate"].quotes if quote.instrument.symbol == "BTC"]
        return sum(quote.coins for quote in quotes)


def replayed(desk: Desk) -> list[bytes]:
    return [
        body_bytes(body) for _, _, ticks in replay(desk.tape(), "memory") for tick in ticks for body in tick.signals
    ]


@pytest.mark.parametrize("sides", [2, 1])
def test_a_venue_counts_one_side_or_two_and_we_publish_one(sides: int) -> None:
    desk = Desk(sides)
    desk.run(12)
    rule = desk.engine.market.sides["gate"]
    assert (rule.sides, rule.evidence, rule.compared, rule.doubts) == (sides, "measured", len(SYMBOLS), {})
    assert desk.coins() == pytest.approx(desk.truth(), rel=0.01)
    others = {name: desk.engine.market.sides[name].evidence for name in ("bybit", "okx")}
    assert others == {"bybit": "measured", "okx": "documented"}


def test_a_change_between_two_lists_is_a_break_and_replays_alike() -> None:
    """Halved at once for all contracts: in doubt within seconds, measured with the next list, never deleveraging."""
    desk = Desk()
    desk.run(30)
    index = desk.engine.samples[0].ln_oi_index
    desk.gate.sides = 1
    desk.run(10)
    sample = desk.engine.samples[0]
    assert ("gate" in sample.excluded, "oi_sides:gate" in sample.trouble) == (True, True)
    assert "oi_sides:gate" in desk.ticks[-1].signals[0]["reasons"]
    desk.run(120)  # longer than the quarantine of each instrument
    assert "oi_sides:gate" in desk.engine.samples[0].trouble
    desk.metadata("gate")
    desk.run(20)
    sample = desk.engine.samples[0]
    assert sample.excluded == ()
    assert "oi_sides_changed:gate" in desk.ticks[-1].signals[0]["reasons"]
    assert desk.coins() == pytest.approx(desk.truth(), rel=0.01)
    assert abs(sample.ln_oi_index - index) < 0.02
    assert replayed(desk) == desk.told()


def test_a_restart_goes_on_with_the_sides_that_were_measured() -> None:
    """The decoder of a restored service reads the figure as the saved state says, before any list; and so does a replay
    whose tape begins there."""
    first = Desk(1)
    first.run(30)
    assert first.engine.market.sides["gate"].sides == 1
    saved = orjson.loads(orjson.dumps(first.engine.save()))
    again = Desk(1, saved, first.engine.sampled_ms + 5000)
    assert again.intake.catalogs["gate"].oi_sides == 1
    again.run(12)
    assert again.coins() == pytest.approx(again.truth(), rel=0.01)
    assert replayed(again) == again.told()


def test_figures_that_fit_neither_are_told_as_such() -> None:
    desk = Desk()
    desk.gate.sides = 3
    desk.metadata("gate")
    desk.run(5)
    assert desk.engine.market.sides["gate"].doubted
    assert desk.intake.catalogs["gate"].oi_sides == 2  # what was in force stays
