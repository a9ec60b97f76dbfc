"""What the demo's ELR divides by: simulated supply and exchange reserves, and they say so."""

from __future__ import annotations

import random
from collections.abc import Sequence

from service.model import Denominator
from service.simulation.instruments import instruments
from service.simulation.profiles import profile, round_significant

_EXCHANGES = {"binance_usdm": "binance", "bybit": "bybit", "okx": "okx", "hyperliquid": "hyperliquid"}


def denominators(seed: int, symbols: Sequence[str], as_of_ms: int) -> list[Denominator]:
    """One per symbol, in order. A reserve is three to eight times the exchange's usual open interest, so that an
    exchange's leverage ratio lies between 0.12 and 0.33 as it does for real ones."""
    listed = instruments(seed, symbols)
    result = []
    for symbol in symbols:
        levels = profile(seed, symbol)
        rng = random.Random(f"{seed}:denominators:{symbol}")
        reserves: list[tuple[str, float]] = []
        for venue, exchange in _EXCHANGES.items():
            coins = 0.0
            for item in listed:
                if item.venue == venue and item.symbol == symbol:
                    price = levels.price if item.inverse else 1.0
                    coins += item.oi_contracts * item.contract_size / price
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
