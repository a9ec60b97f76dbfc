"""The market as a whole, from the symbols' samples to its signal: one more line beside theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from service.config import AlertSection
from service.deleveraging import Model
from service.indicators import SymbolIndicators
from service.market.aggregate import Aggregate
from service.model import MARKET, Consensus, Month, Past, Readings, SignalBody
from service.scoring.alerts import rules_for
from service.scoring.market_wide import MarketScorer
from service.state import Stateful

DAY_MS = 86_400_000


class MarketWide(Stateful):
    """Aggregate, indicators and scorer of ``MARKET``."""

    STATE: ClassVar = ("aggregate", "indicators", "scorer")
    __slots__ = STATE

    def __init__(self, symbols: Sequence[str], model: Model, alerts: Sequence[AlertSection] = ()) -> None:
        self.aggregate = Aggregate(symbols)
        self.indicators = SymbolIndicators(MARKET)
        self.scorer = MarketScorer(len(symbols), model, rules_for(MARKET, alerts))

    @property
    def month(self) -> Month | None:
        return self.indicators.month

    def observe(self, samples: Sequence[Consensus]) -> None:
        """The samples of one second, one a symbol."""
        if samples:
            self.indicators.observe(self.aggregate.sample(samples))

    def follow(self, ts: int) -> None:
        self.scorer.follow(self.indicators.read(ts, ranks=False))

    def score(
        self, ts: int, symbols: Sequence[Readings], bodies: Sequence[SignalBody], backfill: bool
    ) -> tuple[SignalBody, list[dict[str, Any]]]:
        """Of the tick ``ts``, whose symbols have been scored."""
        return self.scorer.score(self.indicators.read(ts), symbols, bodies, backfill)

    def fill(self, past: Past) -> None:
        """A month of the market before what is known of it."""
        self.indicators.fill(past)

    def reanchor(self, delta_ms: int) -> None:
        shift_ms = round(delta_ms / 1000) * 1000
        self.aggregate.reanchor(shift_ms)
        self.indicators.reanchor(delta_ms)
        self.scorer.reanchor(shift_ms, round(shift_ms / DAY_MS))
