"""Gate: the published past for the warm start, and settled rates.

Bars: `candlesticks` of `mark_`/`index_` contracts, 2,000 at most; open interest: `contract_stats` with `from`,
`interval`, `limit` (API v4, Futures), one-sided as that of tickers. Whether a statistic's time is the start of its
period is not said: taken as such, the later of the two. Rates: `t` in seconds, `r`.
"""

from __future__ import annotations

from typing import Any

from service.model import Listing
from service.venues.contract import Request
from service.venues.emit import Emit
from service.venues.funding_schedule import tell_settlements
from service.venues.gate.metadata import INTERVALS_H, either_ms
from service.venues.history import MINUTE_MS, Past, context_of, newest_first, pages
from service.venues.numbers import coins, price, rate
from service.venues.reading import mapping

SETTLEMENTS = "funding_rate:"  # context of a funding history: its rows do not name the contract
BARS_A_PAGE = 2000
STATS_A_PAGE = 100
STATS_MS = 300_000
RATES_A_PAGE = 100


def requests(base: str, name: str, since_ms: int, now_ms: int) -> list[Request]:
    """Bars of mark, open interest, bars of index, settled rates."""

    def get(what: str, query: str) -> Request:
        return Request("GET", f"{base}/{query}", context=context_of(what, name))

    def bars(stream: str) -> list[Request]:
        query = f"candlesticks?contract={stream}_{name}&interval=1m"
        spans = pages(since_ms, now_ms, MINUTE_MS, BARS_A_PAGE)
        return [get(stream, f"{query}&from={first // 1000}&to={last // 1000}") for first, last in spans]

    interest = [
        get("oi", f"contract_stats?contract={name}&interval=5m&from={first // 1000}&limit={STATS_A_PAGE}")
        for first, _ in pages(since_ms, now_ms, STATS_MS, STATS_A_PAGE)
    ]
    rates = get("funding", f"funding_rate?contract={name}&limit={RATES_A_PAGE}")
    return newest_first(bars("mark"), interest, bars("index"), [rates])


def tell_rates(emit: Emit, rows: list[Any], context: str) -> None:
    """The settled rates of an answer outside the warm start."""
    if not context.startswith(SETTLEMENTS):
        emit.skipped("", "unknown_instrument")
        return
    name = context.removeprefix(SETTLEMENTS)
    named = [
        {**row, "contract": name, "t": row["t"] * 1000} if type(row) is dict and type(row.get("t")) is int else row
        for row in rows
    ]
    tell_settlements(emit, named, ("contract", "r", "t"), INTERVALS_H, lambda item: item.interval_h)


def _bar(listing: Listing, row: Any) -> tuple[int, float]:
    fields = mapping(row, "row")
    return either_ms(fields["t"]), price(fields["c"])


def _interest(listing: Listing, row: Any) -> tuple[int, float]:
    fields = mapping(row, "row")
    return either_ms(fields["time"]), coins(fields["open_interest"])


def _settled(listing: Listing, row: Any) -> tuple[int, float]:
    fields = mapping(row, "row")
    return either_ms(fields["t"]), rate(fields["r"])


PAST = Past(_bar, _interest, STATS_MS, _settled, INTERVALS_H)
