"""A scrape with everything in it, of any number of symbols: how many series there are, how large and how long it takes.

``python -m tests.publishing.scraped`` prints the table of docs/metrics.md.
"""

from __future__ import annotations

import gzip
import statistics
import time
from dataclasses import replace

from prometheus_client import CollectorRegistry

from service.metrics import AuditNumbers, EvalNumbers, LedgerNumbers, Metrics, ScrapeState, market_numbers, numbers_of
from service.publishing.exporter import render
from service.scoreboard.outcome import HORIZONS
from service.scoring import Scorer
from service.venues import VENUES
from tests.publishing.factories import TS, market_body_whole, sample, view
from tests.scoring import factory

NAMES = tuple(VENUES)


def whole(count: int, per_venue: int = 50) -> ScrapeState:
    """``count`` symbols on every venue, each number of each there. ``per_venue``: symbols with series by venue."""
    symbols = tuple(f"S{number}" for number in range(count))
    scorer = Scorer("BTC", factory.EXCHANGES, factory.base())
    readings = factory.readings(TS, sample=factory.reporting(TS), change_4h=0.01, change_7d=0.02, volatility_24h=0.03)
    numbers = numbers_of({**scorer.score(readings)[0], "status": "ok"})
    views = tuple(view(venue) for venue in NAMES)
    horizons = [name for name, _ in HORIZONS]
    figures = tuple((figure, symbol, 1.01) for symbol in symbols for figure in ("oi", "mark", "funding"))
    return ScrapeState(
        now_ms=TS + 4,
        symbols=symbols,
        venues=tuple((venue, True) for venue in NAMES),
        samples=tuple(replace(sample(symbol), ts=TS, venues=views) for symbol in symbols),
        max_venue_symbols=per_venue,
        signals=tuple(replace(numbers, symbol=symbol) for symbol in symbols),
        evaluations=tuple(
            EvalNumbers(symbol, name, 0.5, 0.01, 0.02, 0.25, 90, 80.5, 100, 120, 1)
            for symbol in symbols
            for name in horizons
        ),
        known_shares=tuple((symbol, 0.6, 0.7) for symbol in symbols),
        known_share_as_of_ms=TS,
        ledger=LedgerNumbers(1, 2, False),
        audits=tuple(AuditNumbers(venue, TS, 60, 1, figures, False) for venue in NAMES),
        market=market_numbers(market_body_whole()),
    )


def text_of(state: ScrapeState) -> bytes:
    registry = CollectorRegistry()
    Metrics(NAMES, "live", "0", registry)
    return render(registry, state)


def series(text: bytes) -> int:
    return sum(not line.startswith(b"#") for line in text.splitlines())  # integers


def main() -> None:
    print("| symbols | series | plain, kB | gzip, kB | to write, ms |\n|---|---|---|---|---|")
    for count in (21, 500):
        state, took = whole(count), []
        for _ in range(9):
            begun = time.perf_counter()
            text = text_of(state)
            took.append(time.perf_counter() - begun)
        zipped = len(gzip.compress(text, 1))
        print(
            f"| {count} | {series(text):,} | {len(text) / 1e3:,.0f} | {zipped / 1e3:,.0f} |"
            f" {1e3 * statistics.median(took):.0f} |"
        )


if __name__ == "__main__":
    main()
