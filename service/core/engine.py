"""The pure line: events in, one signal per symbol and tick out. No socket, no clock, no randomness.

Live, replay, back-test and simulation are this one code path. Times come with the events: :meth:`Engine.apply`
first takes every one-second sample before the event's receipt, so a tick at T never sees what was received after
T, however late the caller's timers are.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from service.config import MarketSection, WeightsSection
from service.core.snapshot import EVENTS_A_SLICE, Cut, Slices
from service.indicators import SymbolIndicators
from service.learning.learner import ROUND_MS, Learner
from service.market import Market
from service.model import Consensus, Denominator, Event, SignalBody, Tick, VenueRules
from service.scoreboard import Outcome, Scoreboard
from service.scoring import COMPONENT_IDS, Scorer, Weights
from service.state import Plain, Stateful

log = logging.getLogger(__name__)

SAMPLE_MS = 1_000
TICK_MS = 10_000
MINUTE_MS = 60_000
HELD_UP_MS = 600_000
STALE_BY_MS = 310_000  # funding is fresh for five minutes, everything else for less
STATE_VERSION = 4  # 2: extra streams, bases, the back-filled past of a window's start; 3: the scoreboard; 4: its p_hit


class Engine(Stateful):
    """Market, indicators and scoring of all symbols.

    Until the first :meth:`advance` the engine is cold: events are held back, and :meth:`backfill` may fill the past
    minute by minute. From then on it samples every second.
    """

    STATE = ("sampled_ms", "market", "indicators", "scorers", "scoreboard")

    def __init__(
        self,
        symbols: Sequence[str],
        rules: Sequence[VenueRules],
        settings: MarketSection,
        denominators: Sequence[Denominator],
        weights: WeightsSection | None = None,
    ) -> None:
        self.symbols = tuple(symbols)
        self.market_settings = settings
        self._exchanges = {rule.venue: rule.exchange for rule in rules}
        self._denominators = {item.symbol: item for item in denominators}
        self.market = Market(self.symbols, rules, settings)
        self.indicators = {symbol: SymbolIndicators(symbol) for symbol in self.symbols}
        self.scorers = {symbol: self._scorer(symbol) for symbol in self.symbols}
        self.learner = Learner(self.symbols, COMPONENT_IDS, weights)
        self.scoreboard = Scoreboard(self.symbols)
        self.matured: list[Outcome] = []  # what the last live tick decided, of signals published before
        self.sampled_ms: int = 0  # time of the last sample; 0 before any
        self.samples: list[Consensus] = []  # the last sample of every symbol
        self.refused: dict[tuple[str, str], int] = {}  # (venue, code) -> observations not counted
        self._cold = True
        self._held: list[Event] = []
        self._held_bases: list[tuple[int, Denominator]] = []
        self._cut: Cut | None = None  # a save in slices under way
        self._ticks: list[Tick] = []
        self._live = True
        self._silent = False

    def _scorer(self, symbol: str) -> Scorer:
        return Scorer(symbol, self._exchanges, self._denominators.get(symbol))

    def make(self, name: str, key: str) -> Stateful | None:
        return SymbolIndicators(key) if name == "indicators" else self._scorer(key)

    # -- live and replay ---------------------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """One event, with ``recv_ts`` not below that of the events before."""
        if self._cold:
            self._held.append(event)
        elif self._cut is not None:
            self._cut.waiting.append(event)
        else:
            self._enter(event)

    def _enter(self, event: Event) -> None:
        if event.recv_ts > self.sampled_ms + SAMPLE_MS:
            self._sample_to(event.recv_ts - 1)
        self._take(event)

    def denominate(self, item: Denominator, at_ms: int | None = None) -> None:
        """A base that arrived: its symbol divides by what it carries from the next tick on.

        ``at_ms``: when it arrived, not before the events so far. A tick before it that is still to be taken does
        without it, however late the caller's timers are. A symbol that is not configured is not scored.
        """
        if at_ms is not None and self._cold:
            self._held_bases.append((at_ms, item))  # like events: what was scored before must not know it
        elif self._cut is not None:
            self._cut.waiting.append((self.sampled_ms if at_ms is None else at_ms, item))
        else:
            self._divide(item, at_ms)

    def _divide(self, item: Denominator, at_ms: int | None) -> None:
        if at_ms is not None and at_ms > self.sampled_ms + SAMPLE_MS:
            self._sample_to(at_ms - 1)
        self._settle(item)

    def keep_bases(self, sources: Sequence[str]) -> None:
        """After a restore: forget the bases that are not from these sources. A file may have changed meanwhile."""
        for scorer in self.scorers.values():
            scorer.keep_bases(sources)

    def _settle(self, item: Denominator) -> None:
        scorer = self.scorers.get(item.symbol)
        if scorer is not None:
            scorer.denominate(item)

    def advance(self, now_ms: int, live: bool = True, silent: bool = False) -> list[Tick]:
        """Take all samples and ticks up to and including ``now_ms``; return the ticks not yet returned, oldest first.

        ``live`` False: the past is being driven at full resolution (warm start): no outcomes, no alerts. With
        ``silent`` no ticks of it either: the state afterwards is the same, but nothing is put into words.
        While a save in slices is under way nothing is taken, unless a tick is due.
        """
        if self._cut is not None:
            if now_ms // TICK_MS == self.sampled_ms // TICK_MS and not self._ticks:
                return []
            self._end_cut()
        self.market.filling = False
        if self._cold:
            self._cold = False
            held, self._held = self._held, []
            if self.sampled_ms == 0:
                first_ms = min(held[0].recv_ts, now_ms) if held else now_ms
                self.sampled_ms = -(-first_ms // SAMPLE_MS) * SAMPLE_MS - SAMPLE_MS
            self._live, self._silent = live, silent
            bases, self._held_bases = self._held_bases, []
            for event in held:
                while bases and bases[0][0] < event.recv_ts:
                    at_ms, item = bases.pop(0)
                    self.denominate(item, at_ms)
                self.apply(event)
            for at_ms, item in bases:
                self.denominate(item, at_ms)
        self._live, self._silent = live, silent
        self._sample_to(now_ms)
        ticks, self._ticks = self._ticks, []
        return ticks

    def _take(self, event: Event) -> None:
        code = self.market.apply(event)
        if code is not None:
            key = (event.venue, code)
            self.refused[key] = self.refused.get(key, 0) + 1

    def _sample_to(self, until_ms: int) -> None:
        if until_ms - self.sampled_ms > HELD_UP_MS:
            # The process stood still (a sleeping laptop): nothing was received, so all of it is no data. Its first
            # part is sampled until everything has gone stale, and its last; an hour must not block the loop.
            self._sample_to(self.sampled_ms + STALE_BY_MS)
            self.sampled_ms = (until_ms - MINUTE_MS) // SAMPLE_MS * SAMPLE_MS
        ts = self.sampled_ms + SAMPLE_MS
        while ts <= until_ms:
            self._sample(ts, 1)
            if ts % TICK_MS == 0 and self._silent and not self._live:
                self._follow(ts)
            elif ts % TICK_MS == 0:
                self._ticks.append(self._score(ts, backfill=not self._live))
            ts += SAMPLE_MS

    def _sample(self, ts: int, step_s: int) -> None:
        self.samples = self.market.sample(ts, step_s)
        self.sampled_ms = ts
        for sample in self.samples:
            self.indicators[sample.symbol].observe(sample)

    def _score(self, ts: int, backfill: bool) -> Tick:
        bodies: list[SignalBody] = []
        alerts: list[dict[str, Any]] = []
        readings = [self.indicators[symbol].read(ts) for symbol in self.symbols]
        learning = not backfill and ts % ROUND_MS == 0
        if learning:  # all labels of this tick first: no symbol is scored with weights that another has outlived
            self.learner.mature(
                ts, {item.symbol: {str(window.name): window.z_return for window in item.windows} for item in readings}
            )
        if not backfill:  # before the scoring: what this tick's price decides is known to it
            seen = [item.consensus for item in readings]
            self.matured = self.scoreboard.mature(ts, [sample.price if sample.quorum else None for sample in seen])
        for item in readings:
            symbol = item.symbol
            record = self.scoreboard.record(symbol)
            body, raised = self.scorers[symbol].score(item, backfill, self._weights(symbol), record)
            bodies.append(body)
            alerts.extend(raised)
        if learning:
            self.learner.take(ts, {symbol: scorer.experts() for symbol, scorer in self.scorers.items()})
        return Tick(ts, tuple(bodies), tuple(alerts))

    def published(self, tick: Tick) -> None:
        """``tick``, the newest so far, went out: its outcomes are open from now on. Ticks never published have none."""
        self._end_cut()
        self.scoreboard.take(tick.ts, tick.signals)

    def _weights(self, symbol: str) -> Weights | None:
        """The learned weights in force, None for the fixed formula."""
        force = self.learner.in_force(symbol)
        return None if force is None else Weights(force.version, force.windows)

    def _follow(self, ts: int) -> None:
        for symbol in self.symbols:
            self.scorers[symbol].follow(self.indicators[symbol].read(ts, ranks=False), self._weights(symbol))

    # -- warm start --------------------------------------------------------------------------------------------

    def backfill(self, ts: int, silent: bool = False, step_s: int = 60) -> Tick:
        """Take the back-filled sample and tick of UTC minute ``ts`` from the events applied since the last one.

        ``silent``: as for :meth:`advance`; the tick says nothing. ``step_s``: the seconds the sample stands for, whole
        minutes; more than one in a back-test of coarser data.
        """
        if not self._cold:
            raise ValueError("back-filling comes before the first advance()")
        if step_s < 60 or step_s % 60 != 0:
            raise ValueError(f"a back-filled sample stands for whole minutes, not {step_s} s")
        if ts % MINUTE_MS != 0 or ts <= self.sampled_ms:
            raise ValueError(f"{ts} is not a UTC minute after {self.sampled_ms}")
        self.market.filling = True
        due = [event for event in self._held if event.recv_ts <= ts]
        self._held = [event for event in self._held if event.recv_ts > ts]
        for event in due:
            self._take(event)
        while self._held_bases and self._held_bases[0][0] <= ts:
            self._settle(self._held_bases.pop(0)[1])
        self._sample(ts, step_s)
        if silent:
            self._follow(ts)
            return Tick(ts, (), ())
        return self._score(ts, backfill=True)

    # -- clock and state ---------------------------------------------------------------------------------------

    def reanchor(self, delta_ms: int) -> None:
        """The service clock's anchor moved: shift everything stored, so that no age changes."""
        self._end_cut()
        self.market.reanchor(delta_ms)
        for symbol in self.symbols:
            self.indicators[symbol].reanchor(delta_ms)
            self.scorers[symbol].reanchor(delta_ms)
        self.learner.reanchor()
        self.scoreboard.reanchor(delta_ms)
        if self.sampled_ms != 0:
            self.sampled_ms += round(delta_ms / SAMPLE_MS) * SAMPLE_MS

    def parts(self) -> list[tuple[str, Any]]:
        return [*super().parts(), ("learner", self.learner)]

    def load(self, plain: Plain) -> None:
        """A state from before the weights were learned has none of them: they begin anew."""
        if isinstance(plain, dict) and "learner" in plain:
            self.learner.load(plain["learner"])
            plain = {name: value for name, value in plain.items() if name != "learner"}
        super().load(plain)

    @property
    def begun(self) -> bool:
        """Whether there is anything yet that a replay must begin with."""
        return self.sampled_ms != 0 or self.scoreboard.chain.seq != 0 or self.scoreboard.since is not None

    @property
    def covered_minutes(self) -> int:
        """Minutes of the last day of which the best known symbol has values."""
        return max((indicators.covered_minutes for indicators in self.indicators.values()), default=0)

    def save(self) -> dict[str, Any]:
        """Everything that :meth:`restore` needs to go on exactly from here, as plain JSON values."""
        self._must_not_hold()
        return {**self._head(), "engine": self.dump()}

    def cut(self) -> Slices:
        """The JSON text of :meth:`save` at this moment, in slices of the work (:mod:`~service.core.snapshot`). What is
        applied meanwhile waits until the generator has ended or is closed. Raises what dumping raises."""
        self._must_not_hold()
        cut = self._cut = Cut(self.texts())
        try:
            yield [orjson.dumps(self._head())[:-1] + b',"engine":']
            while not cut.done:
                yield cut.slice()
            yield [*cut.rest(), b"}"]
            while cut.waiting:
                self._apply_waiting(cut, EVENTS_A_SLICE)
                yield []
        finally:
            if self._cut is cut:
                self._cut = None
                self._apply_waiting(cut, len(cut.waiting))

    def _must_not_hold(self) -> None:
        if self._held or self._held_bases or self._cut is not None:
            raise ValueError("events are held back: advance() first")

    def _head(self) -> dict[str, Any]:
        return {"version": STATE_VERSION, "symbols": list(self.symbols)}

    def _apply_waiting(self, cut: Cut, most: int) -> None:
        for _ in range(min(most, len(cut.waiting))):
            item = cut.waiting.popleft()
            try:
                if isinstance(item, tuple):
                    self._divide(item[1], item[0])
                else:
                    self._enter(item)
            except Exception:  # whoever sent it has gone on: a defect must cost neither those behind it nor the tick
                log.exception("an event that waited for a save was not taken, a defect of ours: %r", item)

    def _end_cut(self) -> None:
        """What cannot wait has come: dump what is left, apply what waits."""
        cut, self._cut = self._cut, None
        if cut is not None:
            cut.finish()
            self._apply_waiting(cut, len(cut.waiting))

    def restore(self, plain: Mapping[str, Any], filling: bool = False) -> None:
        """Load a :meth:`save` of an engine with the same symbols; raises ValueError if it is not one.

        ``filling``: it was saved between two :meth:`backfill`, which go on.
        """
        if plain.get("version") != STATE_VERSION:
            raise ValueError(f"state version {plain.get('version')!r}, expected {STATE_VERSION}")
        if plain.get("symbols") != list(self.symbols):
            raise ValueError("state of other symbols")
        self.load(plain["engine"])
        self._cold = filling or self.sampled_ms == 0

    def salvage(self, plain: Plain) -> None:
        """Of a dump that cannot be gone on from, what does not age: the record of outcomes and what was learned."""
        self.scoreboard.salvage(plain["scoreboard"])
        self.learner.load(plain["learner"])
