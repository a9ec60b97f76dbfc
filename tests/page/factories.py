"""A real feed whose scoreboard holds outcomes that a test knows, and a real learner behind ``/v1/weights``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache
from math import inf
from typing import Any, Protocol

from prometheus_client import CollectorRegistry

from service.config import FeedSection, WeightsSection
from service.learning import Learner
from service.metrics import Metrics, ScrapeState
from service.model import Tick
from service.publishing import Feed
from service.scoreboard import HORIZONS, Outcome, Scoreboard
from tests.publishing.factories import EPOCH, TS, VENUES, FakeViews, FixedClock

SYMBOLS = ("BTC", "ETH", "1000PEPE")
EXPERTS = dict.fromkeys(("1m", "5m", "1h"), ("positioning", "premium", "funding"))
SPANS = dict(HORIZONS)

Plan = Mapping[tuple[str, str], tuple[int, int]]  # (symbol, horizon) -> outcomes, hits

PLAN: Plan = {
    ("BTC", "1m"): (400, 260),  # right more often than a coin
    ("ETH", "1m"): (400, 140),  # wrong more often
    ("1000PEPE", "1m"): (400, 201),  # nothing told
    ("BTC", "5m"): (120, 60),
    ("ETH", "5m"): (110, 57),
    ("1000PEPE", "5m"): (130, 61),
    ("BTC", "1h"): (12, 7),  # too few
    ("ETH", "1h"): (11, 5),
}


def outcome(symbol: str, horizon: str, number: int, right: bool, span_ms: int) -> Outcome:
    """The ``number``-th non-overlapping outcome: long and a rise where it was right, a fall where not."""
    ts = TS - 1_000 * span_ms + number * span_ms
    ret = (0.001 + number * 1e-6) * (1 if right else -1)
    score = 0.2 + 0.001 * (number * 7 % 100)
    p_hit = (0.47, 0.52, 0.56)[number % 3]
    return Outcome(symbol, horizon, ts, ts + span_ms, score, "long", p_hit, 100.0, 100.1, ret, right, True, True)


def enter(board: Scoreboard, plan: Plan) -> None:
    """Outcomes as planned, the hits spread evenly among them; and one that is lost, for each."""
    for (symbol, horizon), (count, hits) in plan.items():
        tally, span_ms = board.tally(symbol, horizon), SPANS[horizon]
        for number in range(count):
            right = (number + 1) * hits // count > number * hits // count
            one = outcome(symbol, horizon, number, right, span_ms)
            tally.enter(one)
            board.chain.add(one)
        lost = outcome(symbol, horizon, count, True, span_ms)._replace(at=None, price_at=None, ret=None, hit=None)
        tally.enter(lost)
        board.chain.add(lost)


def filled(plan: Plan = PLAN) -> Scoreboard:
    """A board of one's own with what was planned; made once for each plan."""
    return deepcopy(_filled(tuple(plan.items())))


@cache
def _filled(plan: tuple[tuple[tuple[str, str], tuple[int, int]], ...]) -> Scoreboard:
    board = Scoreboard(SYMBOLS)
    board.since = TS - 3 * 86_400_000
    enter(board, dict(plan))
    return board


def taught(rounds: int, settings: WeightsSection | None = None, right: str = "premium") -> Learner:
    """A learner after so many rounds of 1m in which one expert was right and the others were not."""
    learner = Learner(SYMBOLS, EXPERTS, settings)
    begin = TS - TS % 3_600_000
    for number in range(rounds + 1):
        ts = begin + number * 60_000
        side = 1.0 if number % 2 == 0 else -1.0
        learner.mature(ts, {symbol: {"1m": -2.0 * side} for symbol in SYMBOLS})  # of the round before: the other side
        said = {name: (side if name == right else -side) * 0.5 for name in EXPERTS["1m"]}
        learner.take(ts, {symbol: {"1m": {**said, "static": -0.5 * side}} for symbol in SYMBOLS})
    return learner


class Views(FakeViews):
    """The real scoreboard and learner behind the fake rest."""

    def __init__(self, clock: FixedClock, source: str, board: Scoreboard, learner: Learner) -> None:
        super().__init__(clock)
        self.source = source
        self.board = board
        self.learner = learner
        self.broken = False

    def scoreboard(self) -> dict[str, Any]:
        return {"source": self.source, **self.board.document(self.clock.now)}

    def scoreboard_of(self, symbol: str) -> dict[str, Any]:
        return self.board.of_symbol(symbol)

    def weights(self) -> dict[str, Any]:
        return {"ts": self.clock.now, "source": self.source, **self.learner.report()}

    def scrape(self) -> ScrapeState:
        return replace(super().scrape(), evaluations=self.board.numbers())


class Guest(Protocol):
    """Who must be gone before the service is, lest it complains of that."""

    async def leave(self) -> None: ...


class Service:
    """A feed on loopback. The clock stands still until a test moves it."""

    def __init__(
        self,
        source: str = "simulated",
        board: Scoreboard | None = None,
        learner: Learner | None = None,
        port: int = 0,
        epoch: str = EPOCH,
        server: str = "elr/0.1.0",
        quiet: bool = False,
    ) -> None:
        self.clock = FixedClock()
        self.board = filled() if board is None else board
        self.views = Views(self.clock, source, self.board, taught(0) if learner is None else learner)
        metrics = Metrics(VENUES, source, "0.1.0", CollectorRegistry())
        settings = FeedSection(port=port)
        self.feed = Feed(settings, source, self.board.symbols, epoch, server, self.clock, metrics, self.views)
        self.port = 0
        self.quiet = quiet  # it has published nothing yet
        self.guests: list[Guest] = []

    async def __aenter__(self) -> Service:
        self.port = await self.feed.start()
        if self.quiet:
            return self
        self.publish()
        self.feed.publish_status({"ts": self.clock.now, "venues": {name: {"up": name == "okx"} for name in VENUES}})
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            for guest in self.guests:
                await guest.leave()
        finally:
            await self.feed.drain(reconnect_after_ms=0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def publish(self) -> None:
        """The minute's message."""
        self.feed.hub.publish([("scoreboard", "scoreboard", self.board.body(self.clock.now))])

    def say(self, *bodies: dict[str, Any], alerts: Sequence[dict[str, Any]] = ()) -> None:
        """A tick of these signals, at the clock's time."""
        self.feed.publish_tick(Tick(self.clock.now, bodies, tuple(alerts)), 0)

    def hush(self) -> None:
        """No more heartbeats to those who are connected: silence without waiting for it."""
        for client in self.feed.hub.clients:
            client.heartbeat_due_s = inf

    def later(self, ms: int = 60_000) -> None:
        self.clock.now += ms
