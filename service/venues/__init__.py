"""Stage 1: venues in, observations out. :data:`VENUES` lists them in the fixed order in which they are summed."""

from __future__ import annotations

from service.venues.binance_coinm import BinanceCoinm
from service.venues.binance_usdm import BinanceUsdm
from service.venues.bitget import Bitget
from service.venues.bitmex import Bitmex
from service.venues.bybit import Bybit
from service.venues.deribit import Deribit
from service.venues.dydx import Dydx
from service.venues.gate import Gate
from service.venues.hyperliquid import Hyperliquid
from service.venues.kraken_futures import KrakenFutures
from service.venues.okx import Okx
from service.venues.spec import Venue

VENUES: dict[str, Venue] = {
    "binance_usdm": BinanceUsdm(),
    "binance_coinm": BinanceCoinm(),
    "bybit": Bybit(),
    "okx": Okx(),
    "bitget": Bitget(),
    "gate": Gate(),
    "deribit": Deribit(),
    "kraken_futures": KrakenFutures(),
    "bitmex": Bitmex(),
    "hyperliquid": Hyperliquid(),
    "dydx": Dydx(),
}
