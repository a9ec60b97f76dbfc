"""Precedence, doubt, and sets of exchanges that do not shrink."""

from __future__ import annotations

from service.denominators import SOURCES, Figure, Precedence, kinds_of
from service.model import Denominator

HOUR = 3_600_000
T0 = 1_795_000_000_000
ORDER = [SOURCES["defillama"], SOURCES["coinmetrics"], SOURCES["coingecko"]]


def reserve(exchange: str, coins: float, hours: float = 0, symbol: str = "BTC") -> Figure:
    return Figure("reserve", symbol, exchange, coins, T0 + int(hours * HOUR))


def supply(coins: float, hours: float = 0) -> Figure:
    return Figure("supply", "BTC", "", coins, T0 + int(hours * HOUR))


def test_an_exchange_missing_from_an_answer_keeps_its_last_figure_and_ages_the_item() -> None:
    """Cause: a partial sum of reserves reads as a jump of leverage."""
    ledger = Precedence(ORDER)
    items, _ = ledger.take("defillama", [reserve("binance", 600), reserve("okx", 100)])
    assert items[0].reserves == (("binance", 600), ("okx", 100))
    items, _ = ledger.take("defillama", [reserve("binance", 610, hours=1)])
    assert items[0].reserves == (("binance", 610), ("okx", 100))
    assert items[0].as_of == T0


def test_a_source_that_dies_is_not_replaced_by_one_of_lower_precedence() -> None:
    """Cause: two sources' bases differ in level; switching reads as leverage."""
    ledger = Precedence(ORDER)
    ledger.take("defillama", [reserve("binance", 600)])
    items, _ = ledger.take("coinmetrics", [reserve("all", 2_000, hours=30)])
    assert items == []
    assert ledger.oldest("defillama") == T0
    assert ledger.oldest("coinmetrics") is None


def test_one_of_higher_precedence_takes_over_and_says_so() -> None:
    ledger = Precedence(ORDER)
    first, _ = ledger.take("coinmetrics", [reserve("all", 2_000), supply(19e6)])
    assert [item.source for item in first] == ["Coin Metrics community"] * 2
    items, notes = ledger.take("defillama", [reserve("binance", 600)])
    assert [item.reserves for item in items] == [(("binance", 600),)]
    assert notes == ["BTC reserve: defillama takes over from coinmetrics"]
    assert ledger.take("coinmetrics", [reserve("all", 2_001, hours=1)]) == ([], [])
    assert ledger.take("coinmetrics", [supply(19.1e6, hours=1)])[0][0].supply == 19.1e6


def test_what_the_operator_says_is_never_replaced() -> None:
    own = Denominator("BTC", 19e6, (), T0, "own", "own")
    ledger = Precedence(ORDER, kinds_of(own))
    items, _ = ledger.take("coingecko", [supply(18e6)])
    assert items == []
    items, _ = ledger.take("defillama", [reserve("okx", 100)])
    assert [item.reserves for item in items] == [(("okx", 100),)]


def test_a_sudden_step_is_believed_after_three_polls_that_agree() -> None:
    ledger = Precedence(ORDER)
    ledger.take("coingecko", [supply(19e6)])
    items, notes = ledger.take("coingecko", [supply(19e9, 1)])
    assert items == []
    assert notes == ["BTC supply: 1.9e+10 after 1.9e+07 is not believed yet"]
    assert ledger.take("coingecko", [supply(19.1e9, 2)]) == ([], [])
    items, _ = ledger.take("coingecko", [supply(19e9, 3)])
    assert [item.supply for item in items] == [19e9]


def test_steps_that_do_not_agree_with_each_other_are_never_believed() -> None:
    ledger = Precedence(ORDER)
    ledger.take("coingecko", [supply(19e6)])
    for hour, value in enumerate((1e9, 5e9, 1e9, 5e9, 1e9, 5e9), 1):
        assert ledger.take("coingecko", [supply(value, hour)])[0] == []
    items, _ = ledger.take("coingecko", [supply(19.2e6, 9)])
    assert [item.supply for item in items] == [19.2e6]


def test_a_step_once_doubted_does_not_count_after_a_good_answer() -> None:
    ledger = Precedence(ORDER)
    ledger.take("coingecko", [supply(19e6)])
    ledger.take("coingecko", [supply(1e9, 1)])
    ledger.take("coingecko", [supply(1e9, 2)])
    ledger.take("coingecko", [supply(19.1e6, 3)])
    assert ledger.take("coingecko", [supply(1e9, 4)])[0] == []


def test_older_and_repeated_figures_are_no_news() -> None:
    ledger = Precedence(ORDER)
    ledger.take("coingecko", [supply(19e6, 5)])
    assert ledger.take("coingecko", [supply(19e6, 5)]) == ([], [])
    assert ledger.take("coingecko", [supply(18e6, 4)]) == ([], [])


def test_items_carry_licence_and_the_age_at_which_they_are_stale() -> None:
    items, _ = Precedence(ORDER).take("coinmetrics", [reserve("all", 2e6)])
    assert items[0].licence.startswith("CC BY-NC 4.0")
    assert (items[0].reserve_stale_h, items[0].supply_stale_h) == (36.0, 48.0)
