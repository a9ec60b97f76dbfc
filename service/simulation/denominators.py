"""What the demo's ELR divides by: simulated supply and exchange reserves, and they say so."""

from __future__ import annotations

import random
from collections.abc import Sequence

from service.model import Denominator
from service.simulation.instruments import VENUES, instruments
from service.simulation.profiles import profile, round_significant
from service.statistics import fold

_EXCHANGES = {
    "binance_usdm": "binance", "bybit": "bybit", "okx": "okx", "hyperliquid": "hyperliquid", "binance_coinm": "binance",
    "bitget": "bitget", "gate": "gate", "deribit": "deribit", "kraken_futures": "kraken", "bitmex": "bitmex",
    "dydx": "dydx", "aster": "aster", "lighter": "lighter",
}  # fmt: skip


def denominators(seed: int, symbols: Sequence[str], as_of_ms: int, venues: Sequence[str] = VENUES) -> list[Denominator]:
    """One per symbol, in order, for the exchanges of ``venues``.

    A reserve is three to eight times the exchange's usual open interest, so that an exchange's leverage ratio lies
    between 0.12 and 0.33 as it does for real ones.
    """
    listed = instruments(seed, symbols, venues)
    result = []
    for symbol in symbols:
        levels = profile(seed, symbol)
        rng = random.Random(f"{seed}:denominators:{symbol}")
        usual: dict[str, float] = {}
        for venue, exchange in _EXCHANGES.items():
            coins = fold(item.oi_coins for item in listed if item.venue == venue and item.symbol == symbol)
            usual[exchange] = usual.get(exchange, 0.0) + coins
        reserves: list[tuple[str, float]] = []
        for exchange, coins in usual.items():
            factor = rng.uniform(3.0, 8.0)
            if coins > 0:
                reserves.append((exchange, round_significant(coins * factor, 6)))
        result.append(
            Denominator(
                symbol=symbol,
                supply=levels.supply,
                reserves=tuple(reserves),
                as_of=as_of_ms,
                source="simulated",
                licence="none (simulated)",
            )
        )
    return result
