"""Gate: the published past for the warm start, and settled rates.

Bars: `candlesticks` of `mark_`/`index_` contracts, 2,000 at most; open interest: `contract_stats` with `from`,
`interval`, `limit` (API v4, Futures), of as many sides as that of tickers, or as the newest row shows. Whether a
statistic's time is the start of its period is not said: taken as such, the later of the two. Rates: `t` in seconds,
`r`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from service.model import Listing
from service.venues.contract import Request
from service.venues.emit import Emit
from service.venues.funding_schedule import HOUR_MS, tell_settlements
from service.venues.gate.metadata import INTERVALS_H, LEAST_CONTRACTS, SIDES_DOCUMENTED, SIZES, either_ms
from service.venues.history import HOURLY, MINUTE_MS, Past, context_of, newest_first, pages
from service.venues.numbers import coins, price, rate
from service.venues.reading import mapping, readable
from service.venues.sides import sides_of

SETTLEMENTS = "funding_rate:"  # context of a funding history: its rows do not name the contract
BARS_A_PAGE = 2000
STATS_A_PAGE = 100
STATS_MS = 300_000
RATES_A_PAGE = 100
MONTHS_RATES_A_PAGE = 1000  # as documented the most; 41 days even of hourly settlements
COMPARED_WITHIN_MS = 900_000  # a contract's open interest rarely moves by a tenth in this time
ABOUT_ONE, ABOUT_TWO = (0.8, 1.25), (1.6, 2.5)


def requests(base: str, name: str, since_ms: int, now_ms: int) -> list[Request]:
    """Bars of mark, open interest, bars of index, settled rates."""
    contract = quote(name, safe="")

    def get(what: str, query: str) -> Request:
        return Request("GET", f"{base}/{query}", context=context_of(what, name), headers=SIZES)

    def bars(stream: str) -> list[Request]:
        query = f"candlesticks?contract={stream}_{contract}&interval=1m"
        spans = pages(since_ms, now_ms, MINUTE_MS, BARS_A_PAGE)
        return [get(stream, f"{query}&from={first // 1000}&to={last // 1000}") for first, last in spans]

    interest = [
        get("oi", f"contract_stats?contract={contract}&interval=5m&from={first // 1000}&limit={STATS_A_PAGE}")
        for first, _ in pages(since_ms, now_ms, STATS_MS, STATS_A_PAGE)
    ]
    rates = get("funding", f"funding_rate?contract={contract}&limit={RATES_A_PAGE}")
    return newest_first(bars("mark"), interest, bars("index"), [rates])


def month(base: str, name: str, since_ms: int, now_ms: int) -> list[Request]:
    """See :meth:`service.venues.contract.Venue.month`."""
    contract = quote(name, safe="")

    def get(what: str, query: str) -> Request:
        return Request("GET", f"{base}/{query}", context=context_of(what, name), headers=SIZES)

    bars = f"candlesticks?contract=mark_{contract}&interval=1h"
    statistics = f"contract_stats?contract={contract}&interval=1h"
    return [
        *(
            get("hourly_mark", f"{bars}&from={first // 1000}&to={last // 1000}")
            for first, last in pages(since_ms, now_ms, HOUR_MS, BARS_A_PAGE)
        ),
        *(
            get("hourly_oi", f"{statistics}&from={first // 1000}&limit={STATS_A_PAGE}")
            for first, _ in pages(since_ms, now_ms, HOUR_MS, STATS_A_PAGE)
        ),
        get("funding", f"funding_rate?contract={contract}&limit={MONTHS_RATES_A_PAGE}"),
    ]


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


def past_of(emit: Emit, listing: Listing, what: str, rows: list[Any]) -> Past:
    """How the rows of this answer are read. Open interest: by the sides that it counts."""
    if HOURLY.get(what, what) != "oi":
        return PASTS[1]
    sides = _sides_of(emit, listing, rows, HOUR_MS if what in HOURLY else STATS_MS)
    if sides is None:  # neither: history is not read on a guess
        emit.skipped(listing.instrument, "unknown_sides")
        return UNREAD
    return PASTS[sides]


def _sides_of(emit: Emit, listing: Listing, rows: list[Any], period_ms: int) -> int | None:
    """Sides of the statistics' open interest: measured where their newest row is of about the time of the contract
    list, else as for the tickers."""
    single, at = emit.catalog.one_sided.get(listing.instrument, (0.0, 0))
    dated = [row for row in rows if type(row) is dict and "time" in row and "open_interest" in row]
    newest = max(dated, key=lambda row: readable(row, "time", either_ms) or 0, default=None)
    if newest is not None and single >= LEAST_CONTRACTS:
        ended_ms = (readable(newest, "time", either_ms) or 0) + period_ms
        total = readable(newest, "open_interest", coins)
        if total is not None and abs(ended_ms - at) <= COMPARED_WITHIN_MS:
            return sides_of(total / single, ABOUT_ONE, ABOUT_TWO)
    return emit.catalog.oi_sides or SIDES_DOCUMENTED


def _bar(listing: Listing, row: Any) -> tuple[int, float]:
    fields = mapping(row, "row")
    return either_ms(fields["t"]), price(fields["c"])


def _interest(listing: Listing, row: Any) -> tuple[int, float]:
    fields = mapping(row, "row")
    return either_ms(fields["time"]), coins(fields["open_interest"])


def _settled(listing: Listing, row: Any) -> tuple[int, float]:
    fields = mapping(row, "row")
    return either_ms(fields["t"]), rate(fields["r"])


def _halved(listing: Listing, row: Any) -> tuple[int, float]:
    at, contracts = _interest(listing, row)
    return at, contracts / 2


def _unread(listing: Listing, row: Any) -> None:
    return None


PASTS = {
    1: Past(_bar, _interest, STATS_MS, _settled, INTERVALS_H),
    2: Past(_bar, _halved, STATS_MS, _settled, INTERVALS_H),
}
UNREAD = Past(interest=_unread)
