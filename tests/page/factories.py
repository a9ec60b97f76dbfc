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


def falls_record() -> dict[str, Any]:
    """``deleveraging`` and ``events`` of the scoreboard by hand: clear at 5 %, without intervals at 10 %."""
    five = {
        "n": 1_180_214, "evidence": "no_better_than_volatility", "happened": 0.1712,
        "brier": 0.1331, "brier_low": 0.1182, "brier_high": 0.1495,
        "skill_base_rate": 0.0512, "skill_base_rate_low": 0.0211, "skill_base_rate_high": 0.0804,
        "skill_volatility": 0.0183, "skill_volatility_low": -0.0041, "skill_volatility_high": 0.0323,
        "auc": 0.641, "auc_low": 0.612, "auc_high": 0.669,
    }  # fmt: skip
    ten = {name: None if name.endswith(("low", "high")) else value for name, value in five.items()}
    bins = [
        {"low": 0.0, "high": 0.125, "n": 400_000, "p": 0.0812, "happened": 0.0755},
        {"low": 0.125, "high": 1.0, "n": 780_214, "p": 0.2211, "happened": 0.2204},
    ]
    events = {}
    for number, (name, low, high) in enumerate(
        (("elr_spike", 1.281, 2.009), ("flush", 0.41, 0.93), ("reset", 0.8, 1.3), ("crowded_longs", None, None))
    ):
        known = low is not None
        said = {
            "share": 0.3311 + number / 100, "share_low": 0.2514 if known else None,
            "share_high": 0.4217 if known else None, "matched": 0.2064, "matched_low": 0.1702, "matched_high": 0.2481,
            "lift": 1.604 - number / 10, "lift_low": low, "lift_high": high,
        }  # fmt: skip
        events[name] = {"n": 154 + number, "lost": 2 + number, "falls": {"oi_5": said, "oi_10": {}}}
    return {
        "deleveraging": {
            "as_of": TS - 600_000, "weeks": 9, "lost": 412,
            "falls": {
                "oi_5": {**five, "bins": bins},
                "oi_10": {**ten, "n": 1_180_215, "evidence": "none_yet", "bins": []},
            },
        },
        "events": events,
    }  # fmt: skip


def no_falls() -> dict[str, Any]:
    """The same of a record without any outcome."""
    made = falls_record()
    falls = made["deleveraging"]["falls"]
    for said in falls.values():
        said.update(dict.fromkeys(said), n=0, evidence="none_yet", bins=[])
    for record in made["events"].values():
        record.update(n=0, lost=0, falls={"oi_5": dict.fromkeys(record["falls"]["oi_5"])})
    made["deleveraging"].update(as_of=None, weeks=0, lost=0)
    return made


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
        self.falls = falls_record()

    def scoreboard(self) -> dict[str, Any]:
        return {"source": self.source, **self.board.document(self.clock.now), **self.falls}

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
        falls = deepcopy(self.views.falls)
        for said in falls["deleveraging"]["falls"].values():
            del said["bins"]  # only the list has them
        self.feed.hub.publish([("scoreboard", "scoreboard", {**self.board.body(self.clock.now), **falls})])

    def say(self, *bodies: dict[str, Any], alerts: Sequence[dict[str, Any]] = ()) -> None:
        """A tick of these signals, at the clock's time."""
        self.feed.publish_tick(Tick(self.clock.now, bodies, tuple(alerts)), 0)

    def whole(self, body: dict[str, Any]) -> None:
        """What is said of the market as a whole."""
        self.feed.hub.publish([("signal.MARKET", "signal", body)])

    def hush(self) -> None:
        """No more heartbeats to those who are connected: silence without waiting for it."""
        for client in self.feed.hub.clients:
            client.heartbeat_due_s = inf

    def later(self, ms: int = 60_000) -> None:
        self.clock.now += ms
