"""The market stage: what is fresh and credible, and one consensus per symbol and sample (docs/signal.md 1 to 3).

Pure and synchronous: times come with the events and the samples. The caller applies every event received at or
before a sample, and none received after it, before taking that sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from service.config import MarketSection
from service.market.agreement import Agreement
from service.market.sides import MEASURED, STEPPED, SideRule
from service.market.streams import FUTURE, OUT_OF_ORDER, TOO_OLD, UNIT_TRUST_MS, near
from service.market.symbol_state import SymbolState
from service.market.venue_state import Instrument
from service.model import Candidate, Consensus, Event, OiSides, OpenInterest, VenueRules
from service.state import DAMAGE, Plain, Stateful

__all__ = ["Agreement", "Market", "SideRule"]

REFUSED = (FUTURE, TOO_OLD, OUT_OF_ORDER)
STEPPING_LEAST = 3  # instruments that double or halve at once; all where there are two
AT_ONCE_MS = 300_000  # so shortly one after the other
ONE_SIDED_BEFORE = ("gate",)  # whose figure of two sides was taken for one in states that do not hold the rule


class Market(Stateful):
    """The market state of all symbols. Memory is bounded by symbols x venues x 16 instruments.

    ``sides``: by venue, which sides its open interest counts, by what evidence. ``agreements``: by venue that has a
    candidate for its source, whether the two agree.
    """

    STATE = ("symbols", "heard", "sides", "agreements")
    STORED: ClassVar = {"symbols": "books"}
    LATER: ClassVar = frozenset({"sides", "agreements"})
    CONFIGURED: ClassVar = frozenset({"symbols", "heard", "sides", "agreements"})

    def __init__(self, symbols: Sequence[str], rules: Sequence[VenueRules], settings: MarketSection) -> None:
        self._rules = tuple(rules)
        self._settings = settings
        self._figures = {rule.venue: rule.oi_figure for rule in rules}
        self.symbols = {symbol: SymbolState(symbol, rules, settings) for symbol in symbols}
        self.filling = False  # what comes is the back-filled past: the engine says so
        self.heard = {rule.venue: False for rule in rules}  # anything at all, of any symbol, since the start
        self.sides = {rule.venue: SideRule(rule.oi_figure) for rule in rules}
        self._sources = {rule.venue: rule.sources for rule in rules if rule.sources is not None}
        self.agreements = {venue: Agreement(sources) for venue, sources in self._sources.items()}
        self.unread: dict[str, str] = {}  # symbols whose stored part did not load, and why
        self._share_sides()

    def apply(self, event: Event, proven: bool = True) -> str | None:
        """Take one event. None: accepted, or of a symbol or venue that is not configured.

        Else why it does not count (a metric label): ``future``, ``too_old``, ``out_of_order`` (refused),
        ``implausible`` (of taker flow and liquidations), ``quarantined_mark``, ``quarantined_oi``,
        ``quarantined_funding`` or ``too_many_instruments``. ``proven`` False: of a candidate that counts.
        """
        if isinstance(event, Candidate):
            return self._take_candidate(event)
        if event.venue in self.heard:
            self.heard[event.venue] = True
        if isinstance(event, OiSides):
            self._measure_sides(event)
            return None
        state = self.symbols.get(event.symbol)
        if state is None:
            return None
        code = state.apply(event, self.filling)
        if isinstance(event, OpenInterest) and event.venue in self.sides and self.sides[event.venue].stepping:
            self._look_for_steps(event.venue, event.recv_ts)
        if event.venue in self.agreements and proven and not self.filling and code not in REFUSED:
            self.agreements[event.venue].proven(event)
        return code

    def _take_candidate(self, row: Candidate) -> str | None:
        """Numbers of a source that is not proven: nothing is heard of the venue before they count. The first code."""
        agreement, state = self.agreements.get(row.venue), self.symbols.get(row.symbol)
        if agreement is None or state is None or self.filling:  # of the past, the proven source is not heard either
            return None
        instrument = state.venues[row.venue].instruments.get(row.instrument)
        codes = [self.apply(item, proven=False) for item in agreement.take(row, instrument)]
        return next((code for code in codes if code is not None), None)

    # -- sides of open interest --------------------------------------------------------------------------------

    def sides_in_force(self) -> dict[str, int]:
        """How many sides each venue's figure of open interest counts: what its decoder must know after a restore."""
        return {venue: rule.sides for venue, rule in self.sides.items()}

    def _measure_sides(self, event: OiSides) -> None:
        rule = self.sides.get(event.venue)
        if rule is not None and rule.measure(event):
            self._break_oi(event.venue)

    def _break_oi(self, venue: str) -> None:
        """A venue counts other sides than before: nothing held of its open interest compares any more."""
        for instrument in self._instruments(venue):
            instrument.break_oi()

    def _look_for_steps(self, venue: str, at: int) -> None:
        """Raise a doubt where at least half of a venue's instruments, three or more (both where there are two), have
        doubled or halved at once: each may be right; all together say that the venue counts in another way."""
        rule = self.sides[venue]
        rule.stepping = False
        counted = [
            instrument
            for instrument in self._instruments(venue)
            if instrument.trading
            and instrument.oi.contracts is not None
            and instrument.oi.confirmed_at is not None
            and at - instrument.oi.confirmed_at <= UNIT_TRUST_MS
        ]
        stepped: dict[bool, dict[str, float]] = {True: {}, False: {}}
        for instrument in counted:
            before, begun_at = rule.steps.get(instrument.name, (0.0, 0.0))
            if before > 0.0 and at - begun_at <= AT_ONCE_MS:
                said = instrument.oi.first_outlying or instrument.oi.contracts or 0.0
                stepped[said > before][instrument.name] = before
        most = max(stepped.values(), key=len)
        if len(most) >= min(STEPPING_LEAST, max(2, len(counted))) and 2 * len(most) >= len(counted):
            rule.all_stepped(most, at)

    def _look_for_returns(self, ts: int) -> None:
        """End such a doubt once half of what had stepped is believed where it was before."""
        for venue, rule in self.sides.items():
            if STEPPED in rule.doubts:
                back = [
                    instrument.name
                    for instrument in self._instruments(venue)
                    if instrument.name in rule.levels
                    and instrument.oi.is_live(ts)
                    and instrument.oi.contracts is not None
                    and near(instrument.oi.contracts, rule.levels[instrument.name], self._settings.quarantine_oi_step)
                ]
                if 2 * len(back) >= len(rule.levels):
                    rule.settle(ts)

    def _instruments(self, venue: str) -> Iterator[Instrument]:
        for state in self.symbols.values():
            yield from state.venues[venue].instruments.values()

    def _share_sides(self) -> None:
        for state in self.symbols.values():
            for venue, venue_state in state.venues.items():
                venue_state.sides = self.sides[venue]

    def sample(self, ts: int, step_s: int) -> list[Consensus]:
        """The consensus of every symbol at ``ts`` (UTC ms on a whole second), in configuration order.

        ``step_s``: seconds since the sample before, 1 live and 60 back-filled. Samples are taken in time order.
        """
        self._look_for_returns(ts)
        unheard = tuple(venue for venue, heard in self.heard.items() if not heard)
        return [state.sample(ts, step_s, unheard) for state in self.symbols.values()]

    def reanchor(self, delta_ms: int) -> None:
        """The service clock moved by ``delta_ms``: shift every receipt, so that no age changes.

        Venue timestamps stay: the order check compares a venue's clock with itself, and the future and too-old
        checks were made against the receipt of their time; they are not made again.
        """
        for state in self.symbols.values():
            state.reanchor(delta_ms)
        for rule in self.sides.values():
            rule.reanchor(delta_ms)
        for agreement in self.agreements.values():
            agreement.reanchor(delta_ms)

    def listed(self, symbol: str) -> tuple[tuple[str, str], ...]:
        """(venue, instrument) of the perpetuals now listed and trading; () for a symbol that is not configured."""
        state = self.symbols.get(symbol)
        if state is None:
            return ()
        return tuple(
            (venue, name)
            for venue, venue_state in state.venues.items()
            for name, item in venue_state.instruments.items()
            if item.counts_as_listed
        )

    def parts(self) -> list[tuple[str, Any]]:
        """Of agreements those whose candidate has ever spoken."""
        stirred = {venue: agreement for venue, agreement in self.agreements.items() if agreement.stirred}
        rest = [(name, value) for name, value in super().parts() if name != "agreements"]
        return [*rest, ("agreements", stirred)] if stirred else rest

    def make(self, name: str, key: str) -> Stateful | None:
        if name == "heard":
            return None
        if name == "sides":
            return SideRule(self._figures[key])
        if name == "agreements":
            return Agreement(self._sources.get(key, ("", "")))
        return SymbolState(key, self._rules, self._settings)

    def damaged(self, name: str, key: str, error: Exception) -> None:
        if name == "agreements":
            return  # it is earned anew; it must not cost the symbols theirs
        if name != "symbols":
            raise error
        self.unread[key] = f"{type(error).__name__}: {error}"

    def take_over(self, symbol: str, state: SymbolState) -> None:
        """``state``, of a market with the same venues, is the symbol's from now on."""
        self.symbols[symbol] = state
        self._share_sides()

    def begin_anew(self, symbol: str) -> None:
        self.take_over(symbol, SymbolState(symbol, self._rules, self._settings))

    def salvage(self, plain: Plain) -> None:
        """Of a dump that cannot be gone on from, what does not age: on what a venue's two sources agree. What does not
        load is left out."""
        for venue, agreement in self.agreements.items():
            try:
                if (stored := plain.get("agreements", {}).get(venue)) is not None:
                    agreement.salvage(stored)
            except DAMAGE:
                continue

    def load(self, plain: Plain) -> None:
        """Restore what a dump has of the configured symbols and venues, by name. Raises ValueError or KeyError for what
        is no dump of a market. Symbols that do not load stay fresh: ``unread``."""
        self.unread = {}
        super().load(plain)
        if not plain["books"].keys() <= self.symbols.keys():
            for venue, rule in self.sides.items():
                rule.keep({instrument.name for instrument in self._instruments(venue)})
        for venue, rule in self.sides.items():
            fresh = SideRule(self._figures[venue])
            if rule.known_as != fresh.known_as:  # a release knows better: nothing of before compares
                self.sides[venue] = fresh
                self._read_anew(venue)
            elif rule.evidence != MEASURED:
                rule.evidence = fresh.evidence
        self._share_sides()
        if "sides" not in plain:
            for venue in ONE_SIDED_BEFORE:
                if venue in self.sides:
                    self._read_anew(venue)

    def _read_anew(self, venue: str) -> None:
        """What was stored of a venue's open interest is in other sides than what it will be read in."""
        receipts = [at for item in self._instruments(venue) if (at := item.oi.confirmed_at) is not None]
        self._break_oi(venue)
        if receipts:
            self.sides[venue].change(self.sides[venue].sides, max(receipts))
