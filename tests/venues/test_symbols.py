"""Canonical names and units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.venues.symbols import SCALED_SYMBOLS, base_of, canonical, canonical_price


@pytest.mark.parametrize(
    ("base", "symbol", "multiplier"),
    [
        ("BTC", "BTC", 1.0),
        ("XBT", "BTC", 1.0),
        ("1000PEPE", "1000PEPE", 1.0),
        ("kPEPE", "1000PEPE", 1.0),
        ("PEPE", "1000PEPE", 0.001),
        ("1000000PEPE", "1000PEPE", 1000.0),
        ("10000SATS", "1000SATS", 10.0),
        ("SHIB1000", "1000SHIB", 1.0),
        ("1000000MOG", "MOG", 1_000_000.0),
        ("1MBABYDOGE", "BABYDOGE", 1_000_000.0),
        ("1000000BABYDOGE", "BABYDOGE", 1_000_000.0),
        ("kDOGS", "DOGS", 1000.0),
        ("DOGS", "DOGS", 1.0),
        ("1000X", "X", 1000.0),
        ("1INCH", "1INCH", 1.0),
        ("1000", "1000", 1.0),
        ("KAVA", "KAVA", 1.0),
        ("k", "k", 1.0),
        ("10001INCH", "10001INCH", 1.0),
        ("1MX", "1MX", 1.0),
    ],
)
def test_canonical(base: str, symbol: str, multiplier: float) -> None:
    assert canonical(base) == (symbol, multiplier)


def test_units_agree_across_spellings() -> None:
    """The same market quoted per token, per 1,000 and per 1,000,000 has one price and one amount."""
    tokens, token_price = 5e12, 4.7e-06
    for base, per in (("PEPE", 1), ("kPEPE", 1000), ("1000000PEPE", 1_000_000)):
        symbol, multiplier = canonical(base)
        assert symbol == "1000PEPE"
        assert canonical_price(token_price * per, multiplier) == pytest.approx(0.0047, rel=1e-12)
        assert tokens / per * multiplier == pytest.approx(5e9, rel=1e-12)


def test_price_scaling_is_exact_for_short_decimals() -> None:
    assert canonical_price(0.00000475, 0.001) == 0.00475


@pytest.mark.parametrize("symbol", SCALED_SYMBOLS)
def test_scaled_symbols_are_their_own_canonical_name(symbol: str) -> None:
    assert canonical(symbol) == (symbol, 1.0)


@given(st.text(max_size=12))
def test_any_name_has_a_symbol(base: str) -> None:
    symbol, multiplier = canonical(base)
    assert multiplier > 0
    assert bool(symbol) == bool(base)


def test_base_of() -> None:
    assert base_of("BTCUSDT", ("USDT", "USDC")) == "BTC"
    assert base_of("USDCUSDT", ("USDT", "USDC")) == "USDC"
    assert base_of("USDT", ("USDT",)) is None
    assert base_of("ETHBTC", ("USDT",)) is None
