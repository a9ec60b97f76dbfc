"""Hyperliquid: the universe, whose order is that of all positional arrays."""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.model import Listing
from service.venues.emit import Emit
from service.venues.numbers import text
from service.venues.reading import items, mapping
from service.venues.symbols import canonical

INTERVAL_H = 1.0
FOREIGN_MARKS = (":", "@", "#", "/")  # other dexes, spot pairs, outcome tokens


def by_name(name: str) -> Listing | None:
    """What a name alone says."""
    if not name or any(mark in name for mark in FOREIGN_MARKS):
        return None
    symbol, multiplier = canonical(name)
    return Listing("hyperliquid", name, symbol, False, multiplier, multiplier, None, True, 0)


def read_meta(meta: dict[str, Any], emit: Emit) -> bool:
    """Listings by position. False: the metadata of another dex, whose coins carry its name."""
    rows = items(meta["universe"], "universe")
    first = rows[0].get("name") if rows and type(rows[0]) is dict else None
    if type(first) is str and ":" in first:
        emit.skipped(first.partition(":")[0], "builder_dex")
        return False
    names: list[str] = []
    for row in rows:
        names.append("")  # a broken row keeps its position
        emit.guard(_read_coin, row, names, emit)
    emit.catalog.universe = tuple(names)
    return True


def _read_coin(row: Any, names: list[str], emit: Emit) -> None:
    fields = mapping(row, "universe[]")
    name = emit.named(text(fields["name"]))
    known = by_name(name)
    if known is None:
        raise BadPayload("bad_name", f"{name} in the main dex"[:80])
    delisted = fields.get("isDelisted")
    if delisted is not None and type(delisted) is not bool:
        raise BadPayload("wrong_type", "isDelisted")
    names[-1] = name
    size, trading = known.multiplier, delisted is not True
    emit.listed(Listing(emit.venue, name, known.symbol, False, size, size, INTERVAL_H, trading, emit.recv_ts))
