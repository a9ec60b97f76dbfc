"""Rows as what the market stage takes: one made-up venue for a file (or one for each name in its ``venue`` column)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from service.formulas import rate_8h
from service.model import Denominator, Event, Funding, Liquidation, Mark, OpenInterest, StreamRule, VenueRules
from service.research.backtest.csv_history import MINUTE_MS, SECOND_MS, History, Row

LIVE_BELOW_S = 60  # finer data goes through the live path: samples a second, ticks each ten
LIVE_AGES = 3  # steps that a value stays fresh there
RECEIPTS = 3  # a row's open interest is told as often as a window asks for: the rule is about silent streams
FUNDING_CAP_8H = 0.04
STANDS = 1.05  # a settled rate stands for its interval and a little
LONGEST_H = 8.0  # one of unknown interval, which says nothing, ends the rate before it
SOURCE, LICENCE = "history file", "see the file's own source"


def rules(history: History) -> list[VenueRules]:
    """What is fresh: in data no finer than a minute what came at the sample itself, else three steps."""
    step_ms = history.step_s * SECOND_MS
    live = history.step_s < LIVE_BELOW_S
    rule = StreamRule(LIVE_AGES * step_ms if live else max(step_ms // 2, MINUTE_MS // 2), "none")
    return [VenueRules(venue, venue, rule, rule, rule, rule.max_age_ms, FUNDING_CAP_8H) for venue in history.venues]


def events(row: Row, symbol: str, at_ms: int) -> Iterator[Event]:
    """What a row says, received at ``at_ms``. A missing number is not said."""
    numbers, price, venue = row.numbers, row.price, row.venue
    index = numbers.get("index")
    if price is not None or index is not None:
        yield Mark(venue, symbol, symbol, price, index, None, at_ms)
    interest = _open_interest(row, symbol, at_ms)
    if interest is not None:
        for _ in range(RECEIPTS):
            yield interest
    rate, interval_h = numbers.get("funding_rate"), numbers.get("funding_interval_h")
    if rate is not None:
        yield Funding(venue, symbol, symbol, rate, interval_h, rate_8h(rate, interval_h), None, False, None, at_ms)
    # A 0 is no forced order: that none were reported, and not unknown, is said in the record (`Run`).
    long, short = numbers.get("liquidated_long_coins", 0.0), numbers.get("liquidated_short_coins", 0.0)
    if long > 0:
        yield Liquidation(venue, symbol, symbol, "long", long, None, True, None, at_ms)
    if short > 0:
        yield Liquidation(venue, symbol, symbol, "short", short, None, True, None, at_ms)


def _open_interest(row: Row, symbol: str, at_ms: int) -> OpenInterest | None:
    numbers, price = row.numbers, row.price
    coins = numbers.get("open_interest_coins")
    if coins is not None:
        return OpenInterest(row.venue, symbol, symbol, coins, 1.0, coins, False, None, at_ms)
    if price is None:
        return None
    contracts = numbers.get("open_interest_contracts_usd")
    if contracts is not None:  # inverse contracts of one dollar: their number is what changes when positions do
        return OpenInterest(row.venue, symbol, symbol, contracts, 1 / price, contracts / price, True, None, at_ms)
    usd = numbers.get("open_interest_usd")
    if usd is None:
        return None
    return OpenInterest(row.venue, symbol, symbol, usd / price, 1.0, usd / price, False, None, at_ms)


def base(row: Row, symbol: str) -> Denominator | None:
    """Reserves and supply of a row; supply also as market cap over price."""
    numbers, price = row.numbers, row.price
    reserve, supply, cap = numbers.get("reserve_coins"), numbers.get("supply_coins"), numbers.get("market_cap")
    if supply is None and cap is not None and price is not None:
        supply = cap / price
    if reserve is None and supply is None:
        return None
    reserves = () if reserve is None else (("all", reserve),)
    return Denominator(symbol, supply, reserves, row.known_ms, SOURCE, LICENCE)


def columns_fed(history: History, slow: Sequence[History]) -> frozenset[str]:
    """The columns that a file has numbers in, and those that a slow file has in time for it."""
    first, last = history.segments[0][0].known_ms, history.segments[-1][-1].known_ms
    found = set(history.columns)
    for row in (row for item in slow for row in item.rows if row.known_ms <= last):
        found.update(row.numbers.keys() & {"reserve_coins", "supply_coins", "market_cap"})
        interval_h = row.numbers.get("funding_interval_h")
        if "funding_rate" in row.numbers and interval_h is not None and row.known_ms >= first - _stands_ms(interval_h):
            found.add("funding_rate")
    return frozenset(found)


def _stands_ms(interval_h: float) -> float:
    return STANDS * interval_h * 3_600_000


class Slow:
    """Companion files: reserves, supply and settled funding, each from the moment it was known."""

    def __init__(self, histories: Sequence[History], symbol: str) -> None:
        found = [(row.known_ms, base(row, symbol)) for history in histories for row in history.rows]
        self._bases = sorted(
            [(known_ms, item) for known_ms, item in found if item is not None], key=lambda entry: entry[0]
        )
        self._rates = sorted(
            [
                (row.known_ms, row.numbers["funding_rate"], row.numbers.get("funding_interval_h"))
                for history in histories
                for row in history.rows
                if "funding_rate" in row.numbers
            ],
            key=lambda entry: entry[0],
        )

    def bases(self, after_ms: int | None, until_ms: int) -> list[tuple[int, Denominator]]:
        """Those that became known in (after, until]; without ``after`` all until then."""
        first = 0 if after_ms is None else bisect_right(self._bases, after_ms, key=lambda entry: entry[0])
        return self._bases[first : bisect_right(self._bases, until_ms, key=lambda entry: entry[0])]

    def funding(self, venue: str, symbol: str, at_ms: int) -> Funding | None:
        """The settled rate that stands at ``at_ms``, told anew; without rate_8h if its interval is not known."""
        position = bisect_right(self._rates, at_ms, key=lambda entry: entry[0]) - 1
        if position < 0:
            return None
        known_ms, rate, interval_h = self._rates[position]
        if at_ms - known_ms > _stands_ms(LONGEST_H if interval_h is None else interval_h):
            return None
        return Funding(venue, symbol, symbol, rate, interval_h, rate_8h(rate, interval_h), None, True, None, at_ms)
