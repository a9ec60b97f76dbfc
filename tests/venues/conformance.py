"""Helpers of the conformance tests: rows as expected, and recorded files as decoded.

The recordings are not part of this repository: they are looked for in ``$ELR_SHARED`` or next to the repository.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from service.model import Control, Decoded, HistoryPoint, Listing, Skipped
from service.venues import VENUES
from service.venues.contract import Catalog
from service.venues.decoding import decode_document

SHARED = Path(os.environ.get("ELR_SHARED", Path(__file__).resolve().parents[3] / "shared"))
CAPTURES = SHARED / "captures"

needs_captures = [
    pytest.mark.needs_shared,
    pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"no recorded frames at {CAPTURES} (set ELR_SHARED)"),
]

# Rows of other products are recorded beside a venue's perpetuals; tests of their own look at why they are left out.
OTHER_PRODUCTS = ("dated", "option", "xperp", "builder_dex", "not_crypto", "unknown_kind", "foreign")

Row = tuple[Any, ...]


def mark(instrument: str, symbol: str, value: float | None, index: float | None, ts: int | None) -> Row:
    return ("mark", instrument, symbol, value, index, ts)


def funding(
    instrument: str,
    symbol: str,
    rate: float,
    hours: float | None,
    next_ts: int | None,
    ts: int | None,
    settled: bool = False,
) -> Row:
    return (
        "funding",
        instrument,
        symbol,
        rate,
        hours,
        None if hours is None else rate * 8 / hours,
        next_ts,
        settled,
        ts,
    )


def interest(
    instrument: str, symbol: str, coins: float, contracts: float, size: float, ts: int | None, derived: bool = False
) -> Row:
    return ("oi", instrument, symbol, coins, contracts, size, ts, derived)


def liquidation(
    instrument: str, symbol: str, side: str, coins: float, price: float | None, lower_bound: bool, ts: int | None
) -> Row:
    return ("liquidation", instrument, symbol, side, coins, price, lower_bound, ts)


def flow(instrument: str, symbol: str, bought: float, sold: float, ts: int | None) -> Row:
    return ("flow", instrument, symbol, bought, sold, ts)


def ratio(instrument: str, symbol: str, kind: str, long_share: float, ts: int | None) -> Row:
    return ("long_short", instrument, symbol, kind, long_share, ts)


def read(venue: str, *names: str) -> list[dict[str, Any]]:
    """Decoded rows of one file, or of several read one after the other as frames a line."""
    if len(names) == 1:
        text = (CAPTURES / venue / names[0]).read_text()
    else:
        text = "\n".join(
            line if name.endswith(".jsonl") else " ".join(line.split("\n"))
            for name in names
            for line in (
                (CAPTURES / venue / name).read_text().splitlines()
                if name.endswith(".jsonl")
                else [(CAPTURES / venue / name).read_text()]
            )
        )
    return [row for row in decode_document(venue, text) if row.get("skipped") not in OTHER_PRODUCTS]


def brief(row: dict[str, Any]) -> Row:
    if row.get("stream") == "mark":
        return mark(row["instrument"], row["symbol"], row["mark"], row["index"], row["venue_ts"])
    if row.get("stream") == "funding":
        return ("funding", *(row[key] for key in FUNDING_KEYS))
    if row.get("stream") == "oi":
        return ("oi", *(row[key] for key in INTEREST_KEYS))
    if row.get("stream") in EXTRA_KEYS:
        return (row["stream"], row["instrument"], row["symbol"], *(row[key] for key in EXTRA_KEYS[row["stream"]]))
    return ("skipped", row["skipped"], row["instrument"])


FUNDING_KEYS = ("instrument", "symbol", "rate", "interval_h", "rate_8h", "next_ts", "settled", "venue_ts")
INTEREST_KEYS = ("instrument", "symbol", "coins", "contracts", "contract_coins", "venue_ts", "derived")
EXTRA_KEYS = {
    "liquidation": ("liquidated_side", "coins", "price", "lower_bound", "venue_ts"),
    "flow": ("taker_buy", "taker_sell", "venue_ts"),
    "positions": ("long", "short", "venue_ts"),
    "long_short": ("kind", "long_share", "venue_ts"),
}


def same(found: list[dict[str, Any]], expected: list[Row]) -> None:
    assert not [row for row in found if "error" in row]
    assert len(found) == len(expected)
    for row, wanted in zip(map(brief, found), expected, strict=True):
        assert len(row) == len(wanted)
        for value, right in zip(row, wanted, strict=True):
            if isinstance(right, float):
                assert value == pytest.approx(right, rel=1e-12), (row, wanted)
            else:
                assert value == right, (row, wanted)


def catalog_of(venue: str, name: str, context: str = "") -> Catalog:
    catalog = Catalog()
    found = VENUES[venue].decoder(catalog).decode((CAPTURES / venue / name).read_bytes(), 0, context)
    assert all(isinstance(item, Listing | Skipped) for item in found)
    return catalog


def past(venue: str, name: str, context: str, recv_ts: int = 1_800_000_000_000) -> list[tuple[str, int, float]]:
    found = VENUES[venue].decoder(Catalog()).decode((CAPTURES / venue / name).read_bytes(), recv_ts, context)
    assert all(isinstance(item, HistoryPoint) for item in found)
    return [(item.stream, item.ts, item.value) for item in found if isinstance(item, HistoryPoint)]


def files_of(venue: str) -> list[str]:
    """The names of its recordings, sorted."""
    return sorted(path.name for path in (CAPTURES / venue).iterdir())


def decoded(venue: str, name: str) -> list[Decoded]:
    """All that one decoder makes of a file: one frame, or in a .jsonl one a line."""
    text = (CAPTURES / venue / name).read_text()
    frames = text.splitlines() if name.endswith(".jsonl") else [text]
    decoder = VENUES[venue].decoder(Catalog())
    return [item for frame in frames if frame.strip() for item in decoder.decode(frame, 0)]


def kinds_of(found: list[Decoded]) -> list[str]:
    """What control frames there were."""
    return [item.kind for item in found if isinstance(item, Control)]
