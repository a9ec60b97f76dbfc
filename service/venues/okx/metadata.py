"""OKX: instruments, and which index prices which swaps."""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.model import Listing
from service.venues.emit import Emit
from service.venues.numbers import number, text
from service.venues.reading import label, mapping
from service.venues.symbols import USD_QUOTES, canonical

SWAP = "-SWAP"
INTERVALS_H = (1, 2, 4, 6, 8)


def by_name(name: str) -> Listing | None:
    parts = name.split("-")
    if len(parts) != 3 or parts[2] != "SWAP" or parts[1] not in USD_QUOTES or not parts[0]:
        return None
    symbol, multiplier = canonical(parts[0])
    return Listing("okx", name, symbol, parts[1] == "USD", None, multiplier, None, True, 0)


def swap_of(row: Any, emit: Emit) -> Listing | None:
    """A row's instrument; None where it is no swap quoted in dollars."""
    listing = emit.listing(mapping(row, "data[]")["instId"])
    return listing if row.get("instType", "SWAP") == "SWAP" else None


def read_instrument(row: Any, emit: Emit) -> None:
    fields = mapping(row, "data[]")
    name = text(fields["instId"])
    named = by_name(name)
    if fields["instType"] != "SWAP" or named is None:
        emit.refuse(name)
        return
    kind = label(fields["ctType"], "ctType")
    if kind not in ("linear", "inverse"):
        raise BadPayload("unknown_shape", f"ctType {kind}")
    symbol, multiplier, inverse = named.symbol, named.multiplier, kind == "inverse"
    size = _contract_size(fields, name, multiplier, inverse)
    trading = label(fields["state"], "state") == "live"
    index = text(fields["uly"]) if fields.get("uly", "") != "" else name.removesuffix(SWAP)
    _price_by(emit.catalog.swaps_of_index, index, name)
    emit.listed(Listing(emit.venue, name, symbol, inverse, size, multiplier, None, trading, emit.recv_ts))


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
