from __future__ import annotations

from service.config import DEFAULT_SYMBOLS
from service.simulation.denominators import denominators
from service.simulation.market import MarketModel
from service.venues import VENUES
from tests.simulation.build import START_MS

EXCHANGES = {name: venue.rules.exchange for name, venue in VENUES.items()}


def test_one_per_symbol_and_said_to_be_simulated() -> None:
    found = denominators(5, DEFAULT_SYMBOLS, START_MS)
    assert [item.symbol for item in found] == list(DEFAULT_SYMBOLS)
    assert {(item.source, item.licence, item.as_of) for item in found} == {("simulated", "none (simulated)", START_MS)}
    assert found == denominators(5, DEFAULT_SYMBOLS, START_MS) != denominators(6, DEFAULT_SYMBOLS, START_MS)


def test_leverage_ratios_are_plausible_on_every_exchange() -> None:
    model = MarketModel(5, DEFAULT_SYMBOLS, START_MS)
    for item in denominators(5, DEFAULT_SYMBOLS, START_MS):
        state = model.state(item.symbol)
        reserves = dict(item.reserves)
        coins: dict[str, float] = {}
        for quote in state.quotes:
            exchange = EXCHANGES[quote.instrument.venue]
            coins[exchange] = coins.get(exchange, 0.0) + quote.coins
        assert set(coins) == set(reserves)
        for exchange, amount in coins.items():
            assert 0.08 < amount / reserves[exchange] < 0.5
        assert item.supply is not None
        assert sum(reserves.values()) < item.supply
