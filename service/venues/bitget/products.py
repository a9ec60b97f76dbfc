"""Bitget's three product lines of futures and the names of their perpetuals. Pure."""

from __future__ import annotations

from service.venues.symbols import base_of

PRODUCTS = ("USDT-FUTURES", "COIN-FUTURES", "USDC-FUTURES")
QUOTES = {"USDT-FUTURES": ("USDT",), "COIN-FUTURES": ("USD",), "USDC-FUTURES": ("PERP", "USDC")}  # name endings
INTERVALS_H = (1, 2, 4, 8)


def product_of(name: str) -> str | None:
    """The product line a perpetual's name belongs to; None: not the name of a perpetual.

    >>> product_of("BTCUSDT"), product_of("BTCUSD"), product_of("BTCPERP"), product_of("BTCUSDZ25")
    ('USDT-FUTURES', 'COIN-FUTURES', 'USDC-FUTURES', None)
    """
    return next((product for product in PRODUCTS if base_of(name, QUOTES[product]) is not None), None)
