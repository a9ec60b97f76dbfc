"""Column names of history files: the documented one (docs/backtest.md) and those of known sources, as one table.

A layout maps our column names to a file's; ``scale`` turns its unit into ours. It applies to a file whose header has
all columns of ``marks``, in small letters (case and spaces around a name do not matter); the first that applies wins.
A new source is one entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal, TypeAlias

# When a row's values are known: at its time; at the end of the bar it opens; from the midnight after its UTC day on,
# plus the publication delay.
TimeKind: TypeAlias = Literal["time", "bar_open", "date"]

LIKE = 0.7  # how alike two names must be for one to be the other misspelt

NUMBERS = (
    "mark", "index", "last", "open_interest_coins", "open_interest_usd", "open_interest_contracts_usd", "funding_rate",
    "funding_interval_h", "liquidated_long_coins", "liquidated_short_coins", "reserve_coins", "supply_coins",
    "market_cap",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A file's column, and what its numbers are multiplied by to be ours."""

    name: str
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Layout:
    """``time``: the column that says when; how. ``columns``: our name -> the file's; ``constants``: in each row."""

    name: str
    marks: tuple[str, ...]
    time: tuple[str, TimeKind]
    columns: Mapping[str, Column]
    constants: Mapping[str, float] = field(default_factory=dict)
    settled: bool = False  # the rate of a row is of the interval up to it, which the distance of the rows shows

    @property
    def taken(self) -> frozenset[str]:
        """The file's columns that are read."""
        return frozenset({self.time[0], "venue", "coin"} | {column.name for column in self.columns.values()})


def _own(kind: TimeKind) -> Layout:
    return Layout("elr", (kind,), (kind, kind), {name: Column(name) for name in NUMBERS})


LAYOUTS = (
    _own("bar_open"),
    Layout(
        "daily OI, reserve, funding",
        ("date", "open_interest_usd", "exchange_reserve_btc"),
        ("date", "date"),
        {
            "last": Column("price_usd"),
            "open_interest_usd": Column("open_interest_usd"),
            "reserve_coins": Column("exchange_reserve_btc"),
            "funding_rate": Column("funding_rate_pct", 0.01),  # percent per 8 h
        },
        {"funding_interval_h": 8.0},
    ),
    Layout(
        "daily supply",
        ("date", "supply_btc", "market_cap_usd"),
        ("date", "date"),
        {
            "last": Column("price_usd"),
            "supply_coins": Column("supply_btc"),
            "market_cap": Column("market_cap_usd"),
        },
    ),
    Layout(
        "Coin Metrics daily",
        ("time", "splycur", "capmrktcurusd"),
        ("time", "date"),
        {
            "last": Column("priceusd"),
            "supply_coins": Column("splycur"),
            "market_cap": Column("capmrktcurusd"),
        },
    ),
    Layout(
        "derivative ticker",
        ("time_utc", "open_interest_btc", "mark_price"),
        ("time_utc", "time"),
        {
            "mark": Column("mark_price"),
            "index": Column("index_price"),
            "last": Column("last_price"),
            "open_interest_coins": Column("open_interest_btc"),
            "funding_rate": Column("funding_rate"),
        },
        {"funding_interval_h": 8.0},
    ),
    Layout(
        "OI and price bars",
        ("time_utc", "oi_close", "px_close"),
        ("time_utc", "bar_open"),
        {
            "last": Column("px_close"),
            "open_interest_coins": Column("oi_close"),
            "liquidated_long_coins": Column("liq_long"),
            "liquidated_short_coins": Column("liq_short"),
        },
    ),
    Layout(
        "polled inverse OI",
        ("time_utc", "last_price", "open_interest_musd"),
        ("time_utc", "time"),
        {
            "last": Column("last_price"),
            "open_interest_contracts_usd": Column("open_interest_musd", 1e6),
        },
    ),
    Layout(
        "settled funding",
        ("time_ms", "funding_rate"),
        ("time_ms", "time"),
        {"funding_rate": Column("funding_rate"), "funding_interval_h": Column("funding_interval_h")},
        settled=True,
    ),
    _own("time"),
    _own("date"),
)


def layout_of(header: Sequence[str]) -> Layout | None:
    """The layout of a file with these columns; None if none applies."""
    return next((layout for layout in LAYOUTS if all(name in header for name in layout.marks)), None)


TIMES = ("time", "bar_open", "date")
PRICES = ("mark", "last")
OPEN_INTEREST = ("open_interest_coins", "open_interest_usd", "open_interest_contracts_usd")
TOLD_ONCE = (TIMES, OPEN_INTEREST)


def meant(found: Sequence[str], names: Sequence[str]) -> str:
    """Which of the columns found is likely one of these names misspelt; empty where none is."""
    pairs = [(name, close) for name in found for close in get_close_matches(name, names, n=1, cutoff=LIKE)]
    return "".join(f"; did you mean {close}, where it has {name}?" for name, close in pairs)


def unknown(header: Sequence[str]) -> list[str]:
    """What a header lacks that no layout applies to: a time; and a known source's columns, where it has most of one."""
    found = ", ".join(header)
    own = [column.name for column in _own("time").columns.values()]
    known = max(LAYOUTS, key=lambda layout: sum(name in header for name in layout.marks) / len(layout.marks))
    there = [name for name in known.marks if name in header]
    if len(there) * 2 >= len(known.marks):
        lost = [name for name in known.marks if name not in header]
        return [
            f"like a file of the layout {known.name!r}, but without its column {', '.join(lost)}; "
            f"its columns are {found}" + meant([name for name in header if name not in known.taken], lost)
        ]
    return [
        f"no time: none of the columns {', '.join(TIMES)}, nor those of a known source; its columns are {found}"
        + "; see docs/backtest.md"
        + meant([name for name in header if name not in own], TIMES)
    ]


def unclear(layout: Layout, header: Sequence[str]) -> list[str]:
    """What a header leaves open: no column that is known, one that is there twice, and two of which only one can be
    meant."""
    if not any(column.name in header for column in layout.columns.values()):
        return [
            f"none of the columns {', '.join(header)} is known: a price is in {' or '.join(PRICES)}, open interest in "
            f"{', '.join(OPEN_INTEREST)}, all others in docs/backtest.md{meant(header, NUMBERS)}"
        ]
    problems = [f"{name}: a column twice" for name in sorted(layout.taken) if header.count(name) > 1]
    if layout.name == "elr":
        for names in TOLD_ONCE:
            both = [name for name in names if name in header]
            if len(both) > 1:
                problems.append(f"{' and '.join(both)}: only one of them can be taken")
    return problems
