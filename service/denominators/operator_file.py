"""The operator file: circulating supply and exchange reserves per symbol (docs/denominators.md).

Nothing is invented: no file, no ratio.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.config import problems_of, read_toml
from service.errors import ConfigError
from service.model import Denominator

AHEAD_MS = 24 * 3_600_000  # as_of may lie this far ahead: a date written in another time zone

Coins = Annotated[float, Field(gt=0, le=1e18, strict=False)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    circulating_supply: Coins | None = None
    reserves: dict[str, Coins] = Field(default_factory=dict)
    as_of: datetime
    source: str = Field(min_length=1, max_length=200)
    licence: str = Field(min_length=1, max_length=200)

    @model_validator(mode="after")
    def _one_way(self) -> _Entry:
        if "all" in self.reserves and len(self.reserves) > 1:
            raise ValueError("reserves: either `all` or named exchanges; both would count the same coins twice")
        return self


def load(
    path: str | Path, symbols: Sequence[str], now_ms: int, aliases: Mapping[str, str] | None = None
) -> list[Denominator]:
    """The denominators of the configured symbols, in their order. Raises :exc:`ConfigError` with every problem.

    ``as_of`` is a TOML date-time; one without an offset is read as UTC. Symbols that are not configured are a problem:
    a misspelt name would otherwise leave its ELR silently undefined. So is an ``as_of`` more than a day after
    ``now_ms`` (UTC epoch ms): figures from the future would never count as stale. ``aliases``: other names of symbols.
    """
    document = read_toml(path)
    problems: list[str] = []
    entries: dict[str, _Entry] = {}
    for name, table in document.items():
        symbol = name if aliases is None else aliases.get(name, name)
        if symbol not in symbols:
            close = difflib.get_close_matches(name.upper(), symbols, n=1)
            meant = "".join(f"; did you mean {other}?" for other in close)
            problems.append(f"{path}: {name}: not a configured symbol{meant}")
            continue
        if symbol in entries:
            problems.append(f"{path}: {name}: {symbol} is there twice")
            continue
        try:
            entry = entries[symbol] = _Entry.model_validate(table)
        except ValidationError as error:
            problems.extend(f"{path}: {name}.{line}" for line in problems_of(error, _Entry))
            continue
        if _epoch_ms(entry.as_of) > now_ms + AHEAD_MS:
            problems.append(f"{path}: {name}.as_of: {entry.as_of.isoformat()} lies in the future")
    if problems:
        raise ConfigError(problems)
    return [_denominator(symbol, entries[symbol]) for symbol in symbols if symbol in entries]


def _epoch_ms(as_of: datetime) -> int:
    return int((as_of if as_of.tzinfo is not None else as_of.replace(tzinfo=UTC)).timestamp() * 1000)


def _denominator(symbol: str, entry: _Entry) -> Denominator:
    return Denominator(
        symbol=symbol,
        supply=entry.circulating_supply,
        reserves=tuple(sorted(entry.reserves.items())),
        as_of=_epoch_ms(entry.as_of),
        source=entry.source,
        licence=entry.licence,
    )


def to_plain(items: Sequence[Denominator]) -> list[dict[str, Any]]:
    """For a tape's header."""
    return [
        {
            "symbol": item.symbol,
            "supply": item.supply,
            "reserves": [list(pair) for pair in item.reserves],
            "as_of": item.as_of,
            "source": item.source,
            "licence": item.licence,
            "reserve_stale_h": item.reserve_stale_h,
            "supply_stale_h": item.supply_stale_h,
        }
        for item in items
    ]


def from_plain(items: Sequence[dict[str, Any]]) -> list[Denominator]:
    """From a tape's header. Raises KeyError or TypeError when it is not one."""
    return [
        Denominator(
            symbol=item["symbol"],
            supply=item["supply"],
            reserves=tuple((str(name), float(coins)) for name, coins in item["reserves"]),
            as_of=int(item["as_of"]),
            source=item["source"],
            licence=item["licence"],
            reserve_stale_h=float(item.get("reserve_stale_h", 36.0)),  # older tapes do not say
            supply_stale_h=float(item.get("supply_stale_h", 48.0)),
        )
        for item in items
    ]
