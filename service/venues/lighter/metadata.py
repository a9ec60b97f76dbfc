"""Lighter: markets (`orderBookDetails`), their ids, and the open interest in coins that stands in their rows."""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.model import Listing
from service.venues.emit import Emit
from service.venues.numbers import coins, text
from service.venues.reading import flag, label, mapping, readable
from service.venues.symbols import canonical

INTERVAL_H = 1.0
MARKETS = "markets:sides"  # context of the whole list, which also measures what the socket's open interest counts
MARKET_MAX = 2**31 - 1  # perpetuals have had ids up to 254, spot markets from 2048 to 4094
SIDES_WITHIN_MS = 60_000  # of each other: the socket's and the list's open interest


class Markets:
    """What the venue's connections tell each other: ``names``, the instrument behind a market's id; ``interest``, of
    each instrument the coins that the socket's figure says, as the venue counts, and when it was received; ``rows``, of
    each the last row; ``mismatched``, those whose open interest was far off the list's, and ``judged``, whether that
    has been told since the last list; ``listed``: the list has been read."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.interest: dict[str, tuple[float, int]] = {}
        self.rows: dict[str, dict[str, Any]] = {}
        self.mismatched: dict[str, None] = {}
        self.judged = False
        self.listed = False


def market_id(value: Any) -> int:
    """A market's id. Raises :exc:`BadPayload`."""
    if type(value) is not int:
        raise BadPayload("wrong_type", f"market_id: {type(value).__name__}")
    if not 0 <= value <= MARKET_MAX:
        raise BadPayload("out_of_bounds", f"market_id {value}"[:80])
    return value


def instrument_of(row: dict[str, Any]) -> str:
    """BTC-1: symbol and id. A market that is listed again gets another id, and must not go on from the old one."""
    return f"{text(row['symbol'])}-{market_id(row['market_id'])}"


def by_name(name: str) -> Listing | None:
    """BTC-1. Spot markets are pairs (ETH/USDC). Whether it is a coin, the name does not say."""
    base, _, market = name.rpartition("-")
    if not base or "/" in base or not (market.isascii() and market.isdigit()):
        return None
    symbol, multiplier = canonical(base)
    return Listing("lighter", name, symbol, False, multiplier, multiplier, INTERVAL_H, True, 0)


def read_market(row: Any, emit: Emit) -> None:
    """One market, and the open interest of one side that stands in its row."""
    fields = mapping(row, "order_book_details[]")
    name = instrument_of(fields)
    emit.catalog.shared(Markets).names[fields["market_id"]] = name
    emit.instrument(name, fields, lambda name, fields: _terms(name, fields, emit), _trades)
    amount = readable(fields, "open_interest", coins)
    if amount is not None:
        emit.catalog.one_sided[name] = (amount, emit.recv_ts)


def _trades(fields: dict[str, Any]) -> bool:
    """An inactive market keeps its last prices and open interest. One in which positions can only be closed is on its
    way out: its open interest falls whatever traders think of the coin."""
    settings = mapping(fields.get("market_config", {}), "market_config")
    closing = flag(settings.get("force_reduce_only", False), "force_reduce_only")
    hidden = flag(settings.get("hidden", False), "hidden")
    return label(fields["status"], "status") == "active" and not closing and not hidden


def _terms(name: str, fields: dict[str, Any], emit: Emit) -> Listing | str:
    """Stocks, metals and currencies stand in the same list, and no field says so."""
    known = by_name(name)
    if known is None or label(fields["market_type"], "market_type") != "perp":
        return "foreign"
    why = emit.why_no_coin(known.symbol)
    if why is not None:
        return why
    settings = mapping(fields.get("market_config", {}), "market_config")
    if label(settings.get("trading_hours", ""), "trading_hours") != "":
        return "not_crypto"  # a coin trades round the clock
    size = known.multiplier
    return Listing(emit.venue, name, known.symbol, False, size, size, INTERVAL_H, _trades(fields), emit.recv_ts)


def measure_sides(emit: Emit, within_ms: int = SIDES_WITHIN_MS) -> None:
    """What the socket's open interest counts, by the list, whose `open_interest` is one side in coins. A socket that no
    longer speaks of dollars fits neither one side nor two. ``within_ms``: of each other, the two figures."""
    figures = []
    for name, (amount, at) in emit.catalog.shared(Markets).interest.items():
        single, listed_at = emit.catalog.one_sided.get(name, (0.0, 0))
        if single > 0.0 and abs(listed_at - at) <= within_ms:
            figures.append((amount, single))
    emit.sides(figures)
