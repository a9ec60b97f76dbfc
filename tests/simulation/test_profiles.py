from __future__ import annotations

import pytest

from service.config import DEFAULT_SYMBOLS
from service.simulation.profiles import profile, round_significant


@pytest.mark.parametrize("symbol", DEFAULT_SYMBOLS)
def test_levels_of_the_default_symbols_are_plausible(symbol: str) -> None:
    levels = profile(1, symbol)
    market_cap, oi_usd = levels.price * levels.supply, levels.price * levels.oi_coins
    assert 1e8 < market_cap < 3e12
    assert 0.002 < oi_usd / market_cap < 0.2
    assert 0.1 < levels.volatility < 1.0


def test_an_unknown_symbol_gets_the_same_levels_for_the_same_seed() -> None:
    assert profile(3, "WIF") == profile(3, "WIF")
    assert profile(3, "WIF") != profile(4, "WIF")
    levels = profile(3, "WIF")
    assert 0.002 < levels.oi_coins / levels.supply < 0.2


def test_round_significant() -> None:
    assert round_significant(12345.678, 3) == 12300.0
    assert round_significant(0.00123456, 4) == 0.001235
    assert round_significant(-9.99, 2) == -10.0
