"""The independent checker of the signal service: docs/signal.md once more, slow and plain, sharing no code with it.

From the service come only the message types (``service.model``) and the shape of the settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.config import MarketSection
from service.model import Denominator, Event, Past, VenueRules

from .consensus import Sample, take_sample
from .history import History
from .market import MarketChecker
from .numbers import Either, Loose, compare
from .streams import Market
from .verdict import Verdict


class Checker:
    """Feed it what the engine is fed, in the same order; :meth:`tick` gives the bodies the engine must publish."""

    def __init__(
        self,
        symbols: Sequence[str],
        rules: Sequence[VenueRules],
        settings: MarketSection,
        denominators: Sequence[Denominator],
    ) -> None:
        self.symbols = list(symbols)
        self.market = Market(symbols, rules, settings)
        self.histories = {symbol: History() for symbol in symbols}
        self.samples: dict[str, Sample | None] = dict.fromkeys(symbols)
        by_symbol = {denominator.symbol: denominator for denominator in denominators}
        exchanges = {rule.venue: rule.exchange for rule in rules}
        self.verdicts = {symbol: Verdict(symbol, exchanges, by_symbol.get(symbol)) for symbol in symbols}
        self.alerts: list[dict[str, Any]] = []  # of the last tick: symbol, ts, alert, state
        self.whole = MarketChecker(len(self.symbols))
        self.market_body: dict[str, Any] = {}  # of the last tick
        self.market_alerts: list[dict[str, Any]] = []

    def apply(self, event: Event, filling: bool = False) -> None:
        """One event, in receive order; ``filling``: of the back-filled past."""
        self.market.filling = filling
        self.market.apply(event)

    def denominate(self, item: Denominator) -> None:
        """A base that arrived: it counts from the next tick on."""
        if item.symbol in self.verdicts:
            self.verdicts[item.symbol].bases.take(item)

    def fill(self, past: Past) -> None:
        """A month of published history: before everything known of its symbol, once the samples so far are taken."""
        if past.symbol == "MARKET":
            self.whole.fill(past.hours, past.venues)
        if past.symbol not in self.histories:
            return
        offset = self.histories[past.symbol].fill(past.hours, past.venues)
        if offset is not None:
            self.verdicts[past.symbol].days.fill(past.hours, offset)
            self.verdicts[past.symbol].reserve_days.fill(past.hours, offset)

    def sample(self, ts: int, step_s: int) -> None:
        """Take the consensus of every symbol as of ``ts``, standing for ``step_s`` seconds."""
        for symbol in self.symbols:
            made = take_sample(self.market, symbol, ts, step_s, self.samples[symbol])
            self.samples[symbol] = made
            self.histories[symbol].observe(made)
        self.whole.sample({symbol: sample for symbol, sample in self.samples.items() if sample is not None})

    def tick(self, ts: int, backfill: bool = False) -> dict[str, dict[str, Any]]:
        """The body of every symbol's signal at ``ts``, after :meth:`sample` of the same ``ts``.

        ``backfill``: a tick of the past (by the minute or at 1 Hz): no outcome is taken, no alert raised.
        """
        bodies = {}
        self.alerts = []
        for symbol in self.symbols:
            history = self.histories[symbol]
            history.complete_minutes(ts)
            sample = history.current(ts)
            history.update_scales(ts, sample.step_s == 60)
            history.flows.update(sample)
            bodies[symbol], alerts = self.verdicts[symbol].body(sample, history, ts, backfill)
            self.alerts += alerts
        self.market_body, self.market_alerts = self.whole.tick(ts, bodies, backfill)
        return bodies


__all__ = ["Checker", "Either", "Loose", "compare"]
