"""Stage 1: venues in, observations out. :data:`VENUES` lists them in the fixed order in which they are summed."""

from __future__ import annotations

from service.venues.binance_usdm import BinanceUsdm
from service.venues.bybit import Bybit
from service.venues.hyperliquid import Hyperliquid
from service.venues.okx import Okx
from service.venues.spec import Venue

VENUES: dict[str, Venue] = {
    "binance_usdm": BinanceUsdm(),
    "bybit": Bybit(),
    "okx": Okx(),
    "hyperliquid": Hyperliquid(),
}
