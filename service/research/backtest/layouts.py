"""Column names of history files: the documented one (docs/backtest.md) and those of known sources, as one table.

A layout maps our column names to a file's; ``scale`` turns its unit into ours. It applies to a file whose header has
all columns of ``marks``, in small letters (case and spaces around a name do not matter); the first that applies wins.
A new source is one entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

# When a row's values are known: at its time; at the end of the bar it opens; from the midnight after its UTC day on,
# plus the publication delay.
TimeKind: TypeAlias = Literal["time", "bar_open", "date"]

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


TOLD_ONCE = (
    ("time", "bar_open", "date"),
    ("open_interest_coins", "open_interest_usd", "open_interest_contracts_usd"),
)


def unclear(layout: Layout, header: Sequence[str]) -> list[str]:
    """What a header leaves open: no column that is known, one that is there twice, and two of which only one can be
    meant."""
    if not any(column.name in header for column in layout.columns.values()):
        return [f"none of the columns {', '.join(header)} is known; see docs/backtest.md"]
    problems = [f"{name}: a column twice" for name in sorted(layout.taken) if header.count(name) > 1]
    if layout.name == "elr":
        for names in TOLD_ONCE:
            both = [name for name in names if name in header]
            if len(both) > 1:
                problems.append(f"{' and '.join(both)}: only one of them can be taken")
    return problems
