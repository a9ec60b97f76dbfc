"""What is a coin at venues whose metadata do not say so."""

from __future__ import annotations

from datetime import date

import pytest

from service.config.sections import DEFAULT_SYMBOLS
from service.venues.coins import COINS, NOT_COINS, why_no_coin
from service.venues.contract import Catalog
from service.venues.emit import Emit
from service.venues.symbols import ASSETS, SCALED_SYMBOLS, Asset, canonical


def test_the_default_symbols_are_coins() -> None:
    assert set(DEFAULT_SYMBOLS) <= COINS


def test_nothing_is_both() -> None:
    assert not COINS & NOT_COINS


@pytest.mark.parametrize("name", sorted(COINS | NOT_COINS))
def test_names_are_canonical_symbols(name: str) -> None:
    """A name in another form would never be found; an old ticker is in the table of assets."""
    assert canonical(name) == (name, 1.0)
    assert name not in {item.ticker for item in ASSETS}


def test_coins_counted_by_the_thousand_are_known_but_for_a_stocks_ticker() -> None:
    assert set(SCALED_SYMBOLS) - COINS == {"1000CAT"}  # CAT is Caterpillar, too


def emit_with(*assets: Asset) -> Emit:
    return Emit("lighter", Catalog((*ASSETS, *assets)), lambda name: None, lambda parsed, context: None)


def test_old_tickers_of_the_table_are_coins_and_an_operators_row_makes_one() -> None:
    """A row says that a ticker is a coin, at its venue alone where it names one."""
    assert emit_with().why_no_coin("TON") is None
    assert emit_with().why_no_coin("FOO") == "unknown_kind"
    assert emit_with(Asset("FOO", "FOO", venue="lighter")).why_no_coin("FOO") is None
    assert emit_with(Asset("FOO", "FOO", venue="aster")).why_no_coin("FOO") == "unknown_kind"
    assert emit_with(Asset("DASH", "DASH", since=date(2026, 1, 1))).why_no_coin("DASH") is None


def test_a_stock_with_a_coins_ticker_is_no_coin() -> None:
    assert why_no_coin("DASH") == why_no_coin("TSLA") == "not_crypto"
