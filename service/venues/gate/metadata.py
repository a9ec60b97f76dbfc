"""Gate: instruments (`contracts`), what a name alone says, and how intervals and times are written."""

from __future__ import annotations

from typing import Any

from service.model import Listing
from service.venues.emit import Emit
from service.venues.numbers import TS_MAX, TS_MIN, coins, interval_hours, number, text, timestamp_ms, within
from service.venues.reading import flag, label, readable
from service.venues.symbols import USD_QUOTES, canonical, why_foreign

VENUE = "gate"
INVERSE = "BTC_USD"  # 1 USD each, known without metadata; other _USD names are or were quanto: no number of coins
SIZES = (("X-Gate-Size-Decimal", "1"),)  # header without which fractional sizes are cut off
SIDES = "sides:usdt"  # context of the tickers that the contract list is compared with
SIDES_WITHIN_MS = 60_000  # of each other
LEAST_CONTRACTS = 100  # fewer are too coarse for a ratio
SIDES_DOCUMENTED = 2  # of `total_size` and of the statistics' `open_interest`
CRYPTO = (None, "", "crypto")  # contract_type of coins; a kind that we do not know is left out, too
NOT_CRYPTO = ("stocks", "metals", "indices", "forex", "commodities")
INTERVALS_H = (1, 2, 4, 8)
SECONDS_H = {hours * 3600: float(hours) for hours in INTERVALS_H}
SECONDS_BELOW = 1e11  # a smaller time is in seconds, in fields that have been both

_seconds = within(TS_MIN / 1000, TS_MAX / 1000)
_either = within(0.0, TS_MAX)


def from_seconds(value: Any) -> int:
    """Seconds (whole or not) as milliseconds."""
    return int(_seconds(value) * 1000)


def either_ms(value: Any) -> int:
    """A time that has been in seconds and in milliseconds."""
    return from_seconds(value) if _either(value) < SECONDS_BELOW else timestamp_ms(value)


def interval_of(seconds: Any) -> float:
    """A funding interval in hours."""
    usual = SECONDS_H.get(seconds) if type(seconds) is int else None
    return interval_hours(number(seconds, 0, 1e6) / 3600) if usual is None else usual


def by_name(name: str) -> Listing | None:
    """BTC_USDT; a date after the last underscore marks delivery. How much a contract is, the name does not say."""
    base, _, quote = name.rpartition("_")
    if not base or quote not in USD_QUOTES:
        return None
    symbol, multiplier = canonical(base)
    inverse = name == INVERSE
    return Listing(VENUE, name, symbol, inverse, 1.0 if inverse else None, multiplier, None, True, 0)


def read_instrument(row: dict[str, Any], emit: Emit) -> None:
    """One contract, and the open interest of one side that stands in its row."""
    name = text(row["name"])
    emit.instrument(name, row, lambda name, row: _terms(name, row, emit), _trades)
    positions = readable(row, "position_size", coins)
    if positions is not None:
        emit.catalog.one_sided[name] = (positions, emit.recv_ts)


def _trades(row: dict[str, Any]) -> bool:
    """Neither before its launch (`prelaunch`: terms may be 0) nor on its way out."""
    delisting = flag(row.get("in_delisting", False), "in_delisting")
    return not delisting and label(row.get("status", "trading"), "status") == "trading"


def _terms(name: str, row: dict[str, Any], emit: Emit) -> Listing | str:
    named, kind = by_name(name), row.get("contract_type")
    if named is None:
        return why_foreign(name)
    if kind not in CRYPTO:
        return "not_crypto" if kind in NOT_CRYPTO else "unknown_kind"
    size, multiplier, in_usd = number(row["quanto_multiplier"], 0.0, 1e15), named.multiplier, name.endswith("_USD")
    inverse = in_usd and size == 0.0
    if not inverse:
        number(size, 1e-12, 1e15)
        if in_usd:
            return "quanto"  # settled in BTC at a fixed rate
    seconds = row.get("funding_interval", 0)
    interval_h = None if seconds == 0 else interval_of(seconds)
    native = 1.0 if inverse else size * multiplier
    return Listing(VENUE, name, named.symbol, inverse, native, multiplier, interval_h, _trades(row), emit.recv_ts)


def measure_sides(rows: list[Any], emit: Emit) -> None:
    """What `total_size` of these tickers counts, by `position_size` ("current total long position size") of the
    contract list of the same minute."""
    figures = []
    for row in rows:
        if type(row) is not dict or row.get("total_size", "") == "" or type(row.get("contract")) is not str:
            continue
        single, at = emit.catalog.one_sided.get(row["contract"], (0.0, 0))
        if single >= LEAST_CONTRACTS and abs(emit.recv_ts - at) <= SIDES_WITHIN_MS:
            total = readable(row, "total_size", coins)
            if total is not None:
                figures.append((total, single))
    emit.sides(figures)
