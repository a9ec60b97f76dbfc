"""The market stage: what is fresh and credible, and one consensus per symbol and sample (docs/signal.md 1 to 3).

Pure and synchronous: times come with the events and the samples. The caller applies every event received at or
before a sample, and none received after it, before taking that sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from service.config import MarketSection
from service.market.symbol_state import SymbolState
from service.model import Consensus, Event, VenueRules
from service.state import Plain, Stateful

__all__ = ["Market"]


class Market(Stateful):
    """The market state of all symbols. Memory is bounded by symbols x venues x 16 instruments."""

    STATE = ("symbols", "heard")
    STORED: ClassVar = {"symbols": "books"}

    def __init__(self, symbols: Sequence[str], rules: Sequence[VenueRules], settings: MarketSection) -> None:
        self._rules = tuple(rules)
        self._settings = settings
        self.symbols = {symbol: SymbolState(symbol, rules, settings) for symbol in symbols}
        self.filling = False  # what comes is the back-filled past: the engine says so
        self.heard = {rule.venue: False for rule in rules}  # anything at all, of any symbol, since the start

    def apply(self, event: Event) -> str | None:
        """Take one event. None: accepted, or of a symbol or venue that is not configured.

        Else why it does not count (a metric label): ``future``, ``too_old``, ``out_of_order`` (refused),
        ``implausible`` (of taker flow and liquidations), ``quarantined_mark``, ``quarantined_oi``,
        ``quarantined_funding`` or ``too_many_instruments``.
        """
        if event.venue in self.heard:
            self.heard[event.venue] = True
        state = self.symbols.get(event.symbol)
        return None if state is None else state.apply(event, self.filling)

    def sample(self, ts: int, step_s: int) -> list[Consensus]:
        """The consensus of every symbol at ``ts`` (UTC ms on a whole second), in configuration order.

        ``step_s``: seconds since the sample before, 1 live and 60 back-filled. Samples are taken in time order.
        """
        unheard = tuple(venue for venue, heard in self.heard.items() if not heard)
        return [state.sample(ts, step_s, unheard) for state in self.symbols.values()]

    def reanchor(self, delta_ms: int) -> None:
        """The service clock moved by ``delta_ms``: shift every receipt, so that no age changes.

        Venue timestamps stay: the order check compares a venue's clock with itself, and the future and too-old
        checks were made against the receipt of their time; they are not made again.
        """
        for state in self.symbols.values():
            state.reanchor(delta_ms)

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

    def make(self, name: str, key: str) -> Stateful | None:
        if name == "heard":
            return None
        return SymbolState(key, self._rules, self._settings)

    def load(self, plain: Plain) -> None:
        """Restore a dump of a market with the same symbols and venues, in the same order; else ValueError, KeyError."""
        symbols = list(self.symbols)
        super().load(plain)
        if list(self.symbols) != symbols:
            raise ValueError(f"state of other symbols than {', '.join(symbols)}")
