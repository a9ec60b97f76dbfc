"""Stage 1: venues in, observations out. :data:`VENUES` lists them in the fixed order in which they are summed."""

from __future__ import annotations

from service.venues.binance.venue import ASTER_PERPETUALS, COINM, USDM, Binance
from service.venues.bitget.venue import Bitget
from service.venues.bitmex.venue import Bitmex
from service.venues.bybit.venue import Bybit
from service.venues.contract import Venue
from service.venues.deribit.venue import Deribit
from service.venues.dydx.venue import Dydx
from service.venues.gate.venue import Gate
from service.venues.hyperliquid.venue import Hyperliquid
from service.venues.kraken_futures.venue import KrakenFutures
from service.venues.lighter.venue import Lighter
from service.venues.okx.venue import Okx

VENUES: dict[str, Venue] = {
    venue.name: venue
    for venue in (
        Binance(USDM),
        Binance(COINM),
        Bybit(),
        Okx(),
        Bitget(),
        Gate(),
        Deribit(),
        KrakenFutures(),
        Bitmex(),
        Hyperliquid(),
        Dydx(),
        Binance(ASTER_PERPETUALS),
        Lighter(),
    )
}
