"""The pure line: events in, one signal per symbol and tick out. No socket, no clock, no randomness.

Live, replay, back-test and simulation are this one code path. Times come with the events: :meth:`Engine.apply`
first takes every one-second sample before the event's receipt, so a tick at T never sees what was received after
T, however late the caller's timers are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from service.config import AlertSection, MarketSection, WeightsSection
from service.core.holdback import Holdback, Item
from service.core.market_wide import MarketWide
from service.core.snapshot import ITEMS_A_SLICE, Slices, Snapshot
from service.deleveraging import Model, packaged
from service.indicators import SymbolIndicators
from service.learning.learner import ROUND_MS, Learner
from service.market import Market
from service.model import MARKET, Consensus, Denominator, Event, Past, Readings, SignalBody, Tick, VenueRules
from service.scoreboard import Fall, Outcome, Scoreboard
from service.scoring import COMPONENT_IDS, Scorer, Weights
from service.scoring.alerts import rules_for
from service.state import Plain, Stateful

log = logging.getLogger(__name__)

SAMPLE_MS = 1_000
TICK_MS = 10_000
MINUTE_MS = 60_000
HELD_UP_MS = 600_000
STALE_BY_MS = 310_000  # funding is fresh for five minutes, everything else for less
# 2: extra streams, denominators, the back-filled past of a window's start; 3: the scoreboard; 4: its p_hit; 5: sides of
# open interest; 6: of any symbols and venues, loaded by name; 7: hourly closes, p_deleveraging and its record;
# 8: nine days of hours, a day of 300 s, the month of published history; 9: the market as a whole.
STATE_VERSION = 9
LOADED_VERSIONS = (4, 5, 6, 7, 8, STATE_VERSION)  # what they do not have stays as constructed (Stateful.LATER)


@dataclass(frozen=True, slots=True)
class CarriedOver:
    """What of a stored state goes on in an engine of other symbols or venues, in the order of the configuration.

    ``new``: symbols that the state does not have; ``unread``: symbols whose part does not load, and why; both begin
    anew. ``unread_records``: the same of records of outcomes and of learned weights. ``gone_*``: no longer configured.
    """

    kept: tuple[str, ...]
    new: tuple[str, ...]
    unread: Mapping[str, str]
    unread_records: Mapping[str, str]
    gone: tuple[str, ...]
    new_venues: tuple[str, ...]
    gone_venues: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """It is the state of just these symbols and venues."""
        return not (self.new or self.unread or self.unread_records or self.gone or self.new_venues or self.gone_venues)


class Engine(Stateful):
    """Market, indicators and scoring of all symbols.

    Until :meth:`advance` or :meth:`open` the engine is cold: :meth:`backfill` may fill the past minute by minute. From
    then on it samples every second. What arrives while it is cold, while it catches up after :meth:`open`, or while it
    is being dumped is held back, in order, in ``held``.
    """

    STATE = ("sampled_ms", "market", "indicators", "scorers", "scoreboard", "market_wide")
    LATER: ClassVar = frozenset({"market_wide"})
    CONFIGURED: ClassVar = frozenset({"indicators", "scorers"})

    def __init__(
        self,
        symbols: Sequence[str],
        rules: Sequence[VenueRules],
        settings: MarketSection,
        denominators: Sequence[Denominator],
        weights: WeightsSection | None = None,
        deleveraging: Model | None = None,
        alerts: Sequence[AlertSection] = (),
    ) -> None:
        self.symbols = tuple(symbols)
        self.market_settings = settings
        self._rules = tuple(rules)
        self._exchanges = {rule.venue: rule.exchange for rule in rules}
        self._denominators = {item.symbol: item for item in denominators}
        self._deleveraging = packaged() if deleveraging is None else deleveraging
        self._alerts = tuple(alerts)
        self.market = Market(self.symbols, rules, settings)
        self.indicators = {symbol: SymbolIndicators(symbol) for symbol in self.symbols}
        self.scorers = {symbol: self._scorer(symbol) for symbol in self.symbols}
        self.market_wide = MarketWide(self.symbols, self._deleveraging, self._alerts)
        self.learner = Learner(self.symbols, COMPONENT_IDS, weights)
        self.scoreboard = Scoreboard(self.symbols, self._deleveraging)
        self.matured: list[Outcome | Fall] = []  # what the last live tick decided, of signals published before
        self.sampled_ms: int = 0  # time of the last sample; 0 before any
        self.samples: list[Consensus] = []  # the last sample of every symbol
        self.readings: list[Readings] = []  # what the last tick in words was made of, by symbol
        self.refused: dict[tuple[str, str], int] = {}  # (venue, code) -> observations not counted
        self.begun_anew: tuple[str, ...] = ()  # symbols without a past in an engine that goes on from a stored state
        self._unread: dict[str, str] = {}  # symbols whose stored part did not load, and why
        self.held = Holdback()
        self._cold = True
        self._catching_up = False  # open, but what was held before is not applied yet
        self._snapshot: Snapshot | None = None  # a save in slices under way
        self._ticks: list[Tick] = []
        self._live = True
        self._silent = False

    def _scorer(self, symbol: str) -> Scorer:
        rules = rules_for(symbol, self._alerts)
        return Scorer(symbol, self._exchanges, self._denominators.get(symbol), self._deleveraging, rules)

    def make(self, name: str, key: str) -> Stateful | None:
        return SymbolIndicators(key) if name == "indicators" else self._scorer(key)

    # -- live and replay ---------------------------------------------------------------------------------------

    @property
    def holding(self) -> bool:
        """Whether what arrives is held back."""
        return self._cold or self._catching_up or self._snapshot is not None

    def apply(self, event: Event) -> None:
        """One event, with ``recv_ts`` not below that of the events before."""
        if self.holding:
            self.held.put(event.recv_ts, event)
        else:
            self._enter(event.recv_ts, event)

    def denominate(self, item: Denominator, at_ms: int | None = None) -> None:
        """A denominator that arrived: its symbol divides by what it carries from the next tick on.

        ``at_ms``: when it arrived. A tick before it that is still to be taken does without it, however late the
        caller's timers are. None: before anything else. A symbol that is not configured is not scored.
        """
        if at_ms is None and self._snapshot is None:
            self._settle(item)
        elif self.holding:
            self.held.put(self.sampled_ms if at_ms is None else at_ms, item)
        else:
            self._enter(self.sampled_ms if at_ms is None else at_ms, item)

    def fill(self, past: Past, at_ms: int) -> None:
        """A month of published history of a symbol, or of ``MARKET``, that arrived at ``at_ms``: entered before
        everything known of it, once every sample before ``at_ms`` is taken. Nothing of it is entered where it has no
        hour in common with the last 24 hours; ``indicators[symbol].month`` says which. Of a symbol that is not
        configured it is left out."""
        if self.holding:
            self.held.put(at_ms, past)
        else:
            self._enter(at_ms, past)

    def _enter(self, recv_ts: int, item: Item) -> None:
        """Take every sample before its receipt, then the item."""
        if recv_ts > self.sampled_ms + SAMPLE_MS:
            self._sample_to(recv_ts - 1)
        self._take(item)

    def release(self) -> bool:
        """Apply the oldest item held back. With none left (False) nothing is held back any more, unless cold."""
        entry = self.held.pop()
        if entry is None:
            self._catching_up = False
            return False
        try:
            self._enter(*entry)
        except Exception:  # whoever sent it has gone on: a defect must cost neither those behind it nor the tick
            log.exception("an event that was held back was not taken, a defect of ours: %r", entry[1])
        return True

    def keep_denominators(self, sources: Sequence[str]) -> None:
        """After a restore: forget denominators of other sources than these. A file may have changed meanwhile."""
        for scorer in self.scorers.values():
            scorer.keep_denominators(sources)

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
        if self._snapshot is not None:
            if now_ms // TICK_MS == self.sampled_ms // TICK_MS and not self._ticks:
                return []
            self._end_snapshot()
        self._live, self._silent = live, silent
        if self.holding:
            oldest_ms = self.held.oldest_ms()
            self._begin(now_ms if oldest_ms is None else min(oldest_ms, now_ms))
            self._release_all()
        self._sample_to(now_ms)
        ticks, self._ticks = self._ticks, []
        return ticks

    def open(self, at_ms: int) -> None:
        """End the past and sample up to ``at_ms``, whose ticks are nobody's any more. What is held stays held, until
        :meth:`release` finds no more."""
        self._live, self._silent = True, False
        self._begin(at_ms)
        self._sample_to(at_ms)
        self._ticks = []

    def _begin(self, first_ms: int) -> None:
        if self._cold and self.sampled_ms == 0:
            self.sampled_ms = -(-first_ms // SAMPLE_MS) * SAMPLE_MS - SAMPLE_MS
        self._cold, self._catching_up = False, True
        self.market.filling = False

    def _take(self, item: Item) -> None:
        if isinstance(item, Denominator):
            self._settle(item)
            return
        if isinstance(item, Past):
            self._fill(item)
            return
        code = self.market.apply(item)
        if code is not None:
            key = (item.venue, code)
            self.refused[key] = self.refused.get(key, 0) + 1

    def _fill(self, past: Past) -> None:
        if past.symbol == MARKET:
            self.market_wide.fill(past)
            return
        if past.symbol not in self.indicators:
            return
        offset = self.indicators[past.symbol].fill(past)
        if offset is not None:
            self.scorers[past.symbol].fill([(hour.ts, hour.ln_oi + offset) for hour in past.hours])

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
        self.market_wide.observe(self.samples)

    def _score(self, ts: int, backfill: bool) -> Tick:
        bodies: list[SignalBody] = []
        alerts: list[dict[str, Any]] = []
        readings = self.readings = [self.indicators[symbol].read(ts) for symbol in self.symbols]
        learning = not backfill and ts % ROUND_MS == 0
        if learning:  # all labels of this tick first: no symbol is scored with weights that another has outlived
            self.learner.mature(
                ts, {item.symbol: {str(window.name): window.z_return for window in item.windows} for item in readings}
            )
        levels = tuple(item.consensus.ln_oi_index if item.consensus.quorum else None for item in readings)
        if not backfill:  # before the scoring: what this tick's price decides is known to it
            seen = [item.consensus for item in readings]
            prices = [sample.price if sample.quorum else None for sample in seen]
            self.matured = self.scoreboard.mature(ts, prices, levels)
        for item in readings:
            symbol = item.symbol
            record = self.scoreboard.track_record(symbol)
            body, raised = self.scorers[symbol].score(item, backfill, self._weights(symbol), record)
            bodies.append(body)
            alerts.extend(raised)
        if learning:
            self.learner.take(ts, {symbol: scorer.experts() for symbol, scorer in self.scorers.items()})
        market, raised = self.market_wide.score(ts, readings, bodies, backfill)
        return Tick(ts, tuple(bodies), (*alerts, *raised), levels, market)

    def published(self, tick: Tick) -> None:
        """``tick``, the newest so far, went out: its outcomes are open from now on. Ticks never published have none."""
        self._end_snapshot()
        self.scoreboard.take(tick.ts, tick.signals, tick.alerts, tick.levels)

    def _weights(self, symbol: str) -> Weights | None:
        """The learned weights in force, None for the fixed formula."""
        force = self.learner.in_force(symbol)
        return None if force is None else Weights(force.version, force.windows)

    def _follow(self, ts: int) -> None:
        for symbol in self.symbols:
            self.scorers[symbol].follow(self.indicators[symbol].read(ts, ranks=False), self._weights(symbol))
        self.market_wide.follow(ts)

    # -- warm start --------------------------------------------------------------------------------------------

    def backfill(self, ts: int, silent: bool = False, step_s: int = 60, events: Iterable[Event] = ()) -> Tick:
        """Take the back-filled sample and tick of UTC minute ``ts``: what was held back until then, then ``events``.

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
        while (entry := self.held.pop(ts)) is not None:
            self._take(entry[1])
        for event in events:
            self._take(event)
        self._sample(ts, step_s)
        if silent:
            self._follow(ts)
            return Tick(ts, (), ())
        return self._score(ts, backfill=True)

    # -- clock and state ---------------------------------------------------------------------------------------

    def reanchor(self, delta_ms: int) -> None:
        """The service clock's anchor moved: shift everything stored, so that no age changes."""
        self._end_snapshot()
        self.market.reanchor(delta_ms)
        for symbol in self.symbols:
            self.indicators[symbol].reanchor(delta_ms)
            self.scorers[symbol].reanchor(delta_ms)
        self.market_wide.reanchor(delta_ms)
        self.learner.reanchor()
        self.scoreboard.reanchor(delta_ms)
        if self.sampled_ms != 0:
            self.sampled_ms += round(delta_ms / SAMPLE_MS) * SAMPLE_MS

    def parts(self) -> list[tuple[str, Any]]:
        return [*super().parts(), ("learner", self.learner)]

    def load(self, plain: Plain) -> None:
        """What a dump has of the configured symbols and venues, by name; :meth:`carry_over` says what that is.

        A state from before the weights were learned has none of them: they begin anew.
        """
        self._unread = {}
        if isinstance(plain, dict) and "learner" in plain:
            self.learner.load(plain["learner"])
            plain = {name: value for name, value in plain.items() if name != "learner"}
        super().load(plain)
        self._unread |= self.market.unread
        parts = (plain["market"]["books"], plain["indicators"], plain["scorers"])
        for symbol in self.symbols:
            found = sum(symbol in part for part in parts)  # integers
            if 0 < found < len(parts):
                self._unread.setdefault(symbol, "a part of it is missing")
        self.begun_anew = tuple(
            symbol for symbol in self.symbols if symbol in self._unread or symbol not in plain["indicators"]
        )
        for symbol in self.begun_anew:  # its parts belong together
            self.market.begin_anew(symbol)
            self.indicators[symbol] = SymbolIndicators(symbol)
            self.scorers[symbol] = self._scorer(symbol)

    def damaged(self, name: str, key: str, error: Exception) -> None:
        self._unread[key] = f"{type(error).__name__}: {error}"

    def carry_over(self, plain: Plain) -> CarriedOver:
        """Load a :meth:`dump` of an engine with any symbols and venues. Raises one of :data:`service.state.DAMAGE` for
        what is none; the engine is then of no use any more."""
        self.load(plain)
        symbols, venues = plain["indicators"], plain["market"]["heard"]
        mine = self.market.heard
        return CarriedOver(
            kept=tuple(symbol for symbol in self.symbols if symbol not in self.begun_anew),
            new=tuple(symbol for symbol in self.begun_anew if symbol not in self._unread),
            unread=self._unread,
            unread_records={
                **{f"the record of {symbol}": why for symbol, why in self.scoreboard.unread.items()},
                **{f"what was learned for {name}": why for name, why in self.learner.unread.items()},
            },
            gone=tuple(symbol for symbol in symbols if symbol not in self.indicators),
            new_venues=tuple(venue for venue in mine if venue not in venues),
            gone_venues=tuple(venue for venue in venues if venue not in mine),
        )

    # -- symbols that begin anew -------------------------------------------------------------------------------

    def apart(self, symbols: Sequence[str]) -> Engine:
        """A cold engine of some of the symbols alone, to fill with their past; then :meth:`adopt` it. The weights in
        force and the venues heard are this engine's."""
        denominators = [self._denominators[symbol] for symbol in symbols if symbol in self._denominators]
        made = Engine(
            symbols,
            self._rules,
            self.market_settings,
            denominators,
            deleveraging=self._deleveraging,
            alerts=self._alerts,
        )
        made.learner = self.learner
        made.market.heard.update(self.market.heard)
        return made

    def adopt(self, other: Engine) -> None:
        """Take over the symbols of an engine set :meth:`apart`, whose last sample is at most a minute before this
        one's. The other symbols stay as they are."""
        for symbol in other.symbols:
            self.market.take_over(symbol, other.market.symbols[symbol])
            self.indicators[symbol] = other.indicators[symbol]
            self.scorers[symbol] = other.scorers[symbol]

    @property
    def begun(self) -> bool:
        """Whether there is anything yet that a replay must begin with."""
        return self.sampled_ms != 0 or self.scoreboard.chain.seq != 0 or self.scoreboard.since is not None

    @property
    def covered_minutes(self) -> int:
        """Minutes of the last day of which the best known symbol has values."""
        return max((indicators.covered_minutes for indicators in self.indicators.values()), default=0)

    def save(self) -> dict[str, Any]:
        """Everything that :meth:`restore` needs to go on exactly from here, as plain JSON values. What a cold engine
        holds back is not in it: a tape has it behind this state."""
        self._must_not_hold()
        return {**self._head(), "engine": self.dump()}

    def snapshot(self) -> Slices:
        """The JSON text of :meth:`save` at this moment, in slices of the work (:mod:`~service.core.snapshot`). What
        arrives meanwhile is held back until the generator has ended or is closed. Raises what dumping raises."""
        self._must_not_hold()
        snapshot = self._snapshot = Snapshot(self.texts())
        try:
            yield [orjson.dumps(self._head())[:-1] + b',"engine":']
            while not snapshot.done:
                yield snapshot.slice()
            yield [*snapshot.rest(), b"}"]
            while self._snapshot is snapshot and len(self.held) > 0:
                for _ in range(ITEMS_A_SLICE):
                    self.release()
                yield []
        finally:
            if self._snapshot is snapshot:
                self._snapshot = None
                self._release_all()

    def _must_not_hold(self) -> None:
        if self._snapshot is not None or (len(self.held) > 0 and not self._cold):
            raise ValueError("events are held back: advance() first")

    def _head(self) -> dict[str, Any]:
        return {"version": STATE_VERSION, "symbols": list(self.symbols)}

    def _end_snapshot(self) -> None:
        """What cannot wait has come, or the dump is over: dump what is left, apply what is held."""
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            snapshot.finish()
            self._release_all()

    def _release_all(self) -> None:
        while self.release():
            pass

    def restore(self, plain: Mapping[str, Any], filling: bool = False) -> None:
        """Load a :meth:`save` of an engine with the same symbols and venues; raises ValueError if it is not one.

        ``filling``: it was saved between two :meth:`backfill`, which go on.
        """
        if plain.get("version") not in LOADED_VERSIONS:
            raise ValueError(f"state version {plain.get('version')!r}, expected one of {LOADED_VERSIONS}")
        if plain.get("symbols") != list(self.symbols) or not self.carry_over(plain["engine"]).whole:
            raise ValueError("state of other symbols or venues, or damaged")
        self._cold = filling or self.sampled_ms == 0

    def salvage(self, plain: Plain) -> None:
        """Of a dump that cannot be gone on from, what does not age: the record of outcomes and what was learned."""
        self.scoreboard.load(plain["scoreboard"])
        self.learner.load(plain["learner"])
        self.market.salvage(plain.get("market", {}))
