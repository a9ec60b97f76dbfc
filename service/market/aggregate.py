"""All symbols as one: a sample of the market as a whole, for the same indicators as a symbol's (docs/signal.md 7a)."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log
from typing import Any

from service.model import MARKET, Consensus
from service.state import Plain, Stateful
from service.statistics import fold

DAY_MS = 86_400_000
LEAST_COVERAGE = 0.5  # of the open interest last known, by symbols that have a quorum now


class Aggregate(Stateful):
    """Chains the symbols' changes into one index of price and one of open interest, weighted by open interest in USD.

    ``_last``: by symbol [time, oi_usd, ln price, ln_oi_index] of its last sample with a quorum. ``_ts``: the sample
    before. A symbol counts in a step only if it had a quorum at both ends, so that none that comes, goes or returns is
    a change of the market; nor is the price alone a change of its open interest.
    """

    STATE = ("_last", "_ln_oi", "_ln_price", "_ts")
    __slots__ = (*STATE, "_symbols")

    def __init__(self, symbols: Sequence[str]) -> None:
        self._symbols = tuple(symbols)
        self._last: dict[str, list[Any]] = {}
        self._ln_price = 0.0
        self._ln_oi = 0.0
        self._ts = 0

    def sample(self, samples: Sequence[Consensus]) -> Consensus:
        """Of the ``samples`` of one second, one a symbol, in configuration order; at least one."""
        ts, last = samples[0].ts, self._last
        weights, prices, interests, counted = [], [], [], []
        for item in samples:
            if not item.quorum or item.price is None or item.oi_coins is None:
                continue
            now = [ts, item.oi_coins * item.price, log(item.price), item.ln_oi_index]
            before = last.get(item.symbol)
            if before is not None and before[0] == self._ts:
                weights.append(before[1])
                prices.append(before[1] * (now[2] - before[2]))
                interests.append(before[1] * (now[3] - before[3]))
            if before is None:  # in configuration order, whoever is heard first
                last[item.symbol] = now
                last = self._last = {symbol: last[symbol] for symbol in self._symbols if symbol in last}
            last[item.symbol] = now
            counted.append((item, now[1]))
        weight = fold(weights)
        if weight > 0.0:
            self._ln_price += fold(prices) / weight
            self._ln_oi += fold(interests) / weight
        self._ts = ts
        return self._told(samples, counted)

    def known_usd(self, ts: int) -> float:
        """Open interest of all symbols as last known in the 24 h before ``ts``."""
        return fold([usd for at, usd, _, _ in self._last.values() if ts - at < DAY_MS])

    def weights(self) -> dict[str, float]:
        """Open interest in USD as last known, by symbol."""
        return {symbol: usd for symbol, (_, usd, _, _) in self._last.items()}

    def _told(self, samples: Sequence[Consensus], counted: Sequence[tuple[Consensus, float]]) -> Consensus:
        ts, usd = samples[0].ts, fold([weight for _, weight in counted])
        known = self.known_usd(ts)
        coverage = usd / known if known > 0.0 else 0.0
        quorum = usd > 0.0 and coverage >= LEAST_COVERAGE
        price = exp(self._ln_price)
        funded = [(item.funding_8h, weight) for item, weight in counted if item.funding_8h is not None]
        paying = fold([weight for _, weight in funded])
        fresh = fold([weight * item.freshness for item, weight in counted if item.freshness is not None])
        return Consensus(
            symbol=MARKET,
            ts=ts,
            step_s=samples[0].step_s,
            quorum=quorum,
            price=price if quorum else None,
            index=None,
            funding_8h=fold([weight * rate for rate, weight in funded]) / paying if paying > 0.0 else None,
            funding_spend=None,
            funding_spread=None,
            funding_outlier_sign=0,
            oi_coins=usd / price if quorum else None,
            ln_oi_index=self._ln_oi,
            oi_receipts=sum([item.oi_receipts for item, _ in counted]),  # integers
            full_set=len(counted) == len(samples) and all(item.full_set for item, _ in counted),
            coverage=coverage,
            freshness=fresh / usd if quorum else None,
            as_of=min([item.as_of for item, _ in counted if item.as_of is not None], default=None) if quorum else None,
            trouble=(),
            excluded=(),
            venues_total=0,
            venues=(),
        )

    def reanchor(self, shift_ms: int) -> None:
        for entry in self._last.values():
            entry[0] += shift_ms
        if self._ts != 0:
            self._ts += shift_ms

    def load(self, plain: Plain) -> None:
        """What is no longer configured is left out: nobody will hear of it again."""
        super().load(plain)
        self._last = {symbol: self._last[symbol] for symbol in self._symbols if symbol in self._last}
