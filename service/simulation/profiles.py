"""Plausible levels of each symbol: price, volatility, open interest, supply. Invented for the simulation, not data."""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import floor, log10


@dataclass(frozen=True, slots=True)
class Profile:
    """Levels of one symbol in canonical units (``1000PEPE``: thousands of tokens).

    ``volatility``: of the symbol's own moves, per year. ``beta``: to the common market move. ``oi_coins``: one-sided,
    over all simulated venues. ``supply``: circulating.
    """

    price: float
    volatility: float
    beta: float
    oi_coins: float
    supply: float


_PROFILES = {
    "BTC": Profile(83_000.0, 0.20, 1.0, 175_000.0, 19_950_000.0),
    "ETH": Profile(2_700.0, 0.32, 1.15, 4_000_000.0, 120_700_000.0),
    "SOL": Profile(132.0, 0.45, 1.25, 18_000_000.0, 560_000_000.0),
    "XRP": Profile(2.12, 0.45, 1.1, 700_000_000.0, 60_500_000_000.0),
    "BNB": Profile(780.0, 0.30, 0.9, 1_150_000.0, 138_000_000.0),
    "DOGE": Profile(0.142, 0.50, 1.3, 6_400_000_000.0, 152_000_000_000.0),
    "ADA": Profile(0.42, 0.50, 1.2, 830_000_000.0, 36_500_000_000.0),
    "AVAX": Profile(14.2, 0.52, 1.25, 16_000_000.0, 428_000_000.0),
    "LINK": Profile(12.9, 0.50, 1.2, 25_000_000.0, 700_000_000.0),
    "DOT": Profile(2.31, 0.50, 1.2, 56_000_000.0, 1_650_000_000.0),
    "LTC": Profile(81.0, 0.42, 1.0, 2_200_000.0, 76_800_000.0),
    "BCH": Profile(523.0, 0.42, 1.0, 385_000.0, 20_000_000.0),
    "TRX": Profile(0.281, 0.25, 0.6, 535_000_000.0, 94_700_000_000.0),
    "SUI": Profile(1.63, 0.60, 1.35, 280_000_000.0, 3_700_000_000.0),
    "APT": Profile(1.97, 0.58, 1.25, 45_000_000.0, 750_000_000.0),
    "ARB": Profile(0.213, 0.58, 1.25, 520_000_000.0, 5_700_000_000.0),
    "OP": Profile(0.318, 0.60, 1.3, 250_000_000.0, 1_900_000_000.0),
    "NEAR": Profile(1.71, 0.55, 1.25, 88_000_000.0, 1_280_000_000.0),
    "GRAM": Profile(1.58, 0.45, 1.0, 56_000_000.0, 2_500_000_000.0),
    "HYPE": Profile(32.4, 0.65, 1.2, 37_000_000.0, 270_000_000.0),
    "1000PEPE": Profile(0.00463, 0.70, 1.4, 54_000_000_000.0, 420_690_000.0 * 1000),
}


def profile(seed: int, symbol: str) -> Profile:
    """The symbol's levels; those of a symbol not in the table are drawn, the same for the same seed."""
    known = _PROFILES.get(symbol)
    if known is not None:
        return known
    rng = random.Random(f"{seed}:profile:{symbol}")
    price = round_significant(10 ** rng.uniform(-1.3, 1.5), 4)
    oi_usd = 10 ** rng.uniform(7.3, 8.3)
    return Profile(
        price, rng.uniform(0.4, 0.7), rng.uniform(0.9, 1.4), oi_usd / price, oi_usd * rng.uniform(8, 25) / price
    )


def round_significant(value: float, figures: int) -> float:
    """``value`` to that many significant figures."""
    return round(value, figures - 1 - floor(log10(abs(value))))
