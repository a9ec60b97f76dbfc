"""The simulated list of derivatives: every instrument of the simulated venues, and a few venues nobody reads.

In the shape of CoinGecko's ``GET /api/v3/derivatives``. Invented for the demo, which says so.
"""

from __future__ import annotations

import random
from typing import Any

from service.simulation.market import MarketModel
from service.simulation.quotes import Quote

PATH = "/api/v3/derivatives"
_NAMES = {
    "binance_usdm": "Binance (Futures)", "binance_coinm": "Binance (Futures)", "bybit": "Bybit (Futures)",
    "okx": "OKX (Futures)", "bitget": "Bitget Futures", "gate": "Gate (Futures)", "deribit": "Deribit",
    "kraken_futures": "Kraken (Futures)", "bitmex": "BitMEX (Derivatives)", "hyperliquid": "Hyperliquid (Futures)",
    "dydx": "dYdX Chain", "aster": "Aster (Futures)", "lighter": "Lighter",
}  # fmt: skip
_BOTH_SIDES = ("bybit", "gate")  # the list takes their figures as they come, counted twice
# Venues that are not simulated: open interest as a share of what the simulated ones have; None: states none.
OTHERS = (
    ("MEXC (Futures)", "{base}_USDT", 0.16),
    ("HTX Futures", "{base}-USDT", 0.08),
    ("KuCoin Futures", "{base}USDTM", 0.06),
    ("BingX (Futures)", "{base}-USDT", 0.05),
    ("Nobody's Exchange", "{base}USDT", None),
)


def derivatives_list(model: MarketModel, rng: random.Random, now_ms: int) -> list[dict[str, Any]]:
    """All rows as they are now. The draws of ``rng`` scatter the other venues' figures by a tenth."""
    rows = []
    whole = dict.fromkeys(model.symbols, 0.0)
    first: dict[str, Quote] = {}
    for quote in model.quotes():
        item = quote.instrument
        usd = quote.coins * quote.price
        whole[item.symbol] += usd
        first.setdefault(item.symbol, quote)
        sides = 2 if item.venue in _BOTH_SIDES else 1
        rows.append(_row(_NAMES[item.venue], item.name, item.base, quote.mark, quote.index, usd * sides, now_ms))
    for symbol, quote in first.items():  # and of each venue that is not simulated one perpetual, of one a dated future
        item = quote.instrument
        for market, name, share in OTHERS:
            stated = None if share is None else whole[symbol] * share * rng.uniform(0.9, 1.1)
            instrument = name.format(base=item.base)
            rows.append(_row(market, instrument, item.base, quote.mark * 1.0002, quote.index, stated, now_ms))
        rows.append(
            _row(OTHERS[0][0], f"{item.base}_USDT_20301227", item.base, quote.mark * 1.01, quote.index, 1e6, now_ms)
        )
        rows[-1] |= {"contract_type": "futures", "expired_at": 1_924_588_800}
    return rows


def _row(
    market: str, name: str, base: str, mark: float, index: float, oi_usd: float | None, now_ms: int
) -> dict[str, Any]:
    return {
        "market": market,
        "symbol": name,
        "index_id": base.upper(),
        "price": str(round(mark, 10)),
        "price_percentage_change_24h": 0.5,
        "contract_type": "perpetual",
        "index": index,
        "basis": round((mark / index - 1) * 100, 6),
        "spread": 0.01,
        "funding_rate": 0.005,
        "open_interest": None if oi_usd is None else round(oi_usd, 2),
        "volume_24h": round((oi_usd or 1e6) * 1.7, 2),
        "last_traded_at": now_ms // 1000 - 20,
        "expired_at": None,
    }
