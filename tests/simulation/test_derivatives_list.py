"""The demo's list over its own server, read by the service: the share that comes out is the one that went in."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from service.config import parse
from service.coverage import KnownShare
from service.runtime.coverage_poll import ask_coverage
from service.simulation import MarketModel, SimulatedList
from service.simulation.derivatives_list import OTHERS
from service.simulation.instruments import VENUES
from service.statistics import fold
from tests.coverage.build import NOW, sample, view

SYMBOLS = ("BTC", "ETH", "GRAM", "1000PEPE")


class Clock:
    def now_ms(self) -> int:
        return NOW


async def test_the_demos_list() -> None:
    model = MarketModel(7, SYMBOLS, NOW - NOW % 60_000)
    listing = SimulatedList(model, Clock(), random.Random(1))
    base = await listing.start()
    try:
        listed = await ask_coverage(parse({"service": {"symbols": list(SYMBOLS)}}), base, NOW)
    finally:
        await listing.stop()
    known = KnownShare(True)
    assert known.take(listed)
    stated = fold(share for _, _, share in OTHERS if share is not None)
    samples = []
    for symbol in SYMBOLS:
        quotes = [quote for quote in model.quotes() if quote.instrument.symbol == symbol]
        coins = {
            venue: fold(quote.coins for quote in quotes if quote.instrument.venue == venue)
            for venue in VENUES
            if any(quote.instrument.venue == venue for quote in quotes)
        }
        views = tuple(view(venue, amount) for venue, amount in coins.items())
        samples.append(replace(sample(*views, symbol=symbol), price=quotes[0].price))
        body = known.of(samples[-1], NOW)
        assert body["share"] == pytest.approx(1 / (1 + stated), abs=0.03)
        assert body["left_out"] == {"dated": 1}
        assert [item["market"] for item in body["others"]] == [
            "MEXC (Futures)",
            "HTX Futures",
            "KuCoin Futures",
            "BingX (Futures)",
        ]
        assert body["without_figure"] == ["Nobody's Exchange"]
        assert all(item["ratio"] is not None for item in body["ours"])  # every simulated venue has its name
    sides = known.measured_sides(samples, NOW)
    assert {venue: found["sides"] for venue, found in sides.items()} == {
        venue: 2 if venue in ("bybit", "gate") else 1 for venue in sides
    }
    assert len(sides) >= 6
