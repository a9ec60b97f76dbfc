"""Whose a name of the list is, and which sides that venue's open interest counts."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple

Basis = Literal["documented", "measured", "assumed", "unknown"]


class Market(NamedTuple):
    """``venues``: ours that the name stands for, empty for others. ``sides``: of the venue's own figure, None where
    nobody says. ``basis``: how that is known. That the list passes the venue's figure on as it is, is assumed."""

    venues: tuple[str, ...]
    sides: Literal[1, 2] | None
    basis: Basis


OTHER = Market((), None, "unknown")

# By name in lower case without the kind of product. Ours: as docs/venues.md has it; the others: odd numbers of lots in
# frames of 2026, which a sum of two equal sides is not (HTX documents both sides, and 6 of 14 of its rows are odd).
MARKETS = {
    "binance": Market(("binance_usdm", "binance_coinm"), 1, "documented"),
    "bybit": Market(("bybit",), 2, "documented"),
    "okx": Market(("okx",), 1, "documented"),
    "bitget": Market(("bitget",), 1, "assumed"),
    "gate": Market(("gate",), 2, "measured"),
    "gate.io": Market(("gate",), 2, "measured"),
    "deribit": Market(("deribit",), 1, "assumed"),
    "kraken": Market(("kraken_futures",), 1, "assumed"),
    "bitmex": Market(("bitmex",), 1, "assumed"),
    "hyperliquid": Market(("hyperliquid",), 1, "documented"),
    "dydx": Market(("dydx",), 1, "documented"),
    "dydx chain": Market(("dydx",), 1, "documented"),
    "dydx (v4)": Market(("dydx",), 1, "documented"),
    "aster": Market(("aster",), 1, "assumed"),
    "asterdex": Market(("aster",), 1, "assumed"),
    "lighter": Market(("lighter",), 1, "assumed"),
    "zklighter": Market(("lighter",), 1, "assumed"),
    "htx": Market((), 1, "measured"),
    "kucoin": Market((), 1, "measured"),
    "mexc": Market((), 1, "measured"),
}
_product = re.compile(r"[ ]+\(?(?:futures|derivatives?|perpetuals?|perps?)\)?$").sub
_OLD_NAMES = ("okex", "crypto facilities")  # of OKX, of Kraken's futures
_OURS = (*dict.fromkeys(re.split(r"[ .]", name)[0] for name, market in MARKETS.items() if market.venues), *_OLD_NAMES)


@lru_cache(1000)  # the same hundred names in thousands of tickers
def market_of(name: str) -> Market | None:
    """None where a name begins as one of ours does, or did, and is not in the table: whose it is, is not clear.

    It may be ours under a new name, which would count twice, or a sister company, which we do not read.

    >>> market_of("Bitget Futures").venues, market_of("LBank (Futures)").sides, market_of("Binance US (Futures)")
    (('bitget',), None, None)
    """
    short = _product("", name.strip().lower())
    found = MARKETS.get(short)
    if found is None and short.startswith(_OURS):
        return None
    return OTHER if found is None else found


def venue_of(market: Market, instrument: str) -> str | None:
    """Our venue that lists the instrument; Binance has two, and its coin-margined perpetuals end with ``USD_PERP``.

    >>> venue_of(MARKETS["binance"], "BTCUSD_PERP"), venue_of(MARKETS["binance"], "BTCUSDT"), venue_of(OTHER, "BTCUSDT")
    ('binance_coinm', 'binance_usdm', None)
    """
    if len(market.venues) > 1 and instrument.endswith("USD_PERP"):
        return market.venues[1]
    return market.venues[0] if market.venues else None
