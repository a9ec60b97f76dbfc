"""OKX: instruments, and which index prices which swaps."""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.model import Listing
from service.venues.emit import Emit
from service.venues.numbers import number, text
from service.venues.reading import label, mapping
from service.venues.symbols import USD_QUOTES, canonical, why_foreign

SWAP = "-SWAP"
INTERVALS_H = (1, 2, 4, 6, 8)
USD_MARGINED = "USD_UM"  # quoted in dollars and margined in them, whatever stable coin pays: a linear contract
INVERSE = {**dict.fromkeys(USD_QUOTES, False), USD_MARGINED: False, "USD": True}  # by the quote of a swap's name
COINS = ("", "1")  # instCategory; the others are stocks, commodities, currencies, bonds


def by_name(name: str) -> Listing | None:
    """BTC-USDT-SWAP and SOL-USD_UM-SWAP are linear, BTC-USD-SWAP is inverse."""
    parts = name.split("-")
    inverse = INVERSE.get(parts[1]) if len(parts) == 3 and parts[2] == "SWAP" and parts[0] else None
    if inverse is None:
        return None
    symbol, multiplier = canonical(parts[0])
    return Listing("okx", name, symbol, inverse, None, multiplier, None, True, 0)


def index_of(listing: Listing) -> str:
    """The index that prices a swap: as metadata say, else BTC-USDT of BTC-USDT-SWAP and SOL-USD of SOL-USD_UM-SWAP."""
    return listing.index or _index_by_name(listing.instrument)


def _index_by_name(name: str) -> str:
    return name.removesuffix(SWAP).removesuffix("_UM")


def swap_of(row: Any, emit: Emit) -> Listing | None:
    """A row's instrument; None, and said so, where it is no swap quoted in dollars."""
    return if_swap(row, emit.listing(mapping(row, "data[]")["instId"]), emit)


def if_swap(row: dict[str, Any], listing: Listing | None, emit: Emit) -> Listing | None:
    """The instrument of a row, unless the row says that it is something else than a swap."""
    if listing is not None and row.get("instType", "SWAP") != "SWAP":
        emit.skipped(listing.instrument, "foreign")
        return None
    return listing


def read_instrument(row: Any, emit: Emit) -> None:
    fields = mapping(row, "data[]")
    name = text(fields["instId"])
    emit.instrument(name, fields, lambda name, fields: _terms(name, fields, emit), _trades)


def _trades(fields: dict[str, Any]) -> bool:
    """Not suspended, before its opening (`preopen`: terms may be empty), a test, or in a change of its terms."""
    return label(fields["state"], "state") == "live"


def _terms(name: str, fields: dict[str, Any], emit: Emit) -> Listing | str:
    if fields.get("ruleType") == "xperp":
        return "xperp"
    named = by_name(name)
    if fields["instType"] != "SWAP" or named is None:
        return why_foreign(name)
    if label(fields.get("instCategory", ""), "instCategory") not in COINS:
        return "not_crypto"
    kind = label(fields["ctType"], "ctType")
    if kind not in ("linear", "inverse"):
        raise BadPayload("unknown_shape", f"ctType {kind}")
    symbol, multiplier, inverse = named.symbol, named.multiplier, kind == "inverse"
    size = _contract_size(fields, name, multiplier, inverse)
    trading, expected = _trades(fields), _index_by_name(name)
    index = text(fields["uly"]) if fields.get("uly", "") != "" else expected
    _price_by(emit.catalog.swaps_of_index, index, name)
    other = "" if index == expected else index
    return Listing(emit.venue, name, symbol, inverse, size, multiplier, None, trading, emit.recv_ts, other)


def _contract_size(fields: dict[str, Any], name: str, multiplier: float, inverse: bool) -> float | None:
    """Canonical coins (linear) or USD (inverse) per contract; None where the row does not say it in these."""
    value, times, unit = fields["ctVal"], fields.get("ctMult", ""), fields["ctValCcy"]
    if value == "" or unit != ("USD" if inverse else name.split("-")[0]):
        return None
    size = number(value, 1e-12, 1e15) * (1.0 if times == "" else number(times, 1e-12, 1e15))
    return size if inverse else size * multiplier


def _price_by(swaps_of_index: dict[str, tuple[str, ...]], index: str, name: str) -> None:
    """Remember that ``index`` now prices ``name``; contracts have moved between indices."""
    if name not in swaps_of_index.get(index, ()):
        for other, swaps in swaps_of_index.items():
            swaps_of_index[other] = tuple(item for item in swaps if item != name)
        swaps_of_index[index] = (*swaps_of_index.get(index, ()), name)
