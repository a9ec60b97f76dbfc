"""dYdX v4: markets, as `perpetualMarkets`, the snapshot and updates of the `trading` kind have them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from service.errors import BadPayload
from service.model import Listing
from service.venues.emit import Emit
from service.venues.reading import label
from service.venues.symbols import canonical

QUOTE = "-USD"
INTERVAL_H = 1.0
MAX_NAME = 128  # permissionless markets: PEPE,RAYDIUM,<address>-USD


def by_name(name: str) -> Listing | None:
    """BTC-USD. A permissionless market's symbol is all before -USD: its token may only look like a known one."""
    base = name.removesuffix(QUOTE)
    if base == name or not base or len(name) > MAX_NAME:
        return None
    symbol, multiplier = canonical(base)
    return Listing("dydx", name, symbol, False, multiplier, multiplier, None, True, 0)


def market_name(value: Any) -> str:
    """A market's ticker. Raises :exc:`BadPayload`."""
    if type(value) is not str:
        raise BadPayload("wrong_type", f"{type(value).__name__} where a ticker belongs")
    if not value or len(value) > MAX_NAME:
        raise BadPayload("bad_name", repr(value[:40]))
    return value


def list_market(emit: Emit, name: str, fields: dict[str, Any]) -> None:
    """What a market's row says of it beyond its name: whether it trades."""
    trading = label(fields["status"], "status") == "ACTIVE"
    known = by_name(name)
    if known is not None:
        emit.listed(replace(known, interval_h=INTERVAL_H, trading=trading, recv_ts=emit.recv_ts))
