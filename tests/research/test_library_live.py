"""The library against the live signal: on the same samples the same statistics, to the last bit."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator

import pytest

from service.indicators import SymbolIndicators
from service.model import Consensus, LevelReading, Readings
from service.research.indicators import REGISTRY
from tests.indicators.build import MINUTE, T0, sample


def samples(seed: int, minutes: int) -> Iterator[Consensus]:
    """One each half minute, some without quorum, with an hour's gap."""
    rng, price, oi = random.Random(seed), 100.0, 0.0
    for step in range(2 * minutes):
        price *= math.exp(rng.gauss(0.0, 1e-3))
        oi += rng.gauss(0.0, 2e-3)
        ts = T0 + step * MINUTE // 2 + (60 * MINUTE if step > minutes else 0)
        if rng.random() < 0.05:
            yield sample(ts, quorum=False, price=None, oi_coins=None)
        else:
            index, rate = price * (1 + rng.gauss(0, 1e-4)), rng.choice((1e-4, 0.0, rng.gauss(0.0, 1e-4)))
            yield sample(ts, price=price, index=index, ln_oi_index=oi, funding_8h=rate)


def premium(item: Consensus) -> float | None:
    basis = REGISTRY["basis"]()
    basis.update(item.ts, (item.price, item.index))
    value: float | None = basis.value
    return value


LEVELS: dict[str, tuple[Callable[[Readings], LevelReading], Callable[[Consensus], float | None], float]] = {
    "elr": (lambda readings: readings.elr, lambda item: item.ln_oi_index, 1e-3),
    "funding": (lambda readings: readings.funding, lambda item: item.funding_8h, 1e-5),
    "premium": (lambda readings: readings.premium, premium, 1e-5),
}


@pytest.mark.parametrize("name", list(LEVELS))
def test_live_levels_are_those_of_the_library(name: str) -> None:
    of, x_of, floor = LEVELS[name]
    live = SymbolIndicators("BTC")
    robust = REGISTRY["robust_z"](floor=floor)
    rank = REGISTRY["percentile_30d"]()
    compared = 0
    for item in samples(5, 200):
        live.observe(item)
        x = x_of(item) if item.quorum else None
        robust.update(item.ts, x)
        rank.update(item.ts, x)
        said = of(live.read(item.ts))
        assert said.value == x
        if x is None:
            continue  # the running minute may have had a value before: the library's stands, the live one is of now
        assert said.z == robust.value
        assert said.percentile == rank.value
        compared += said.z is not None
    assert compared > 200


def test_the_live_rank_of_a_magnitude_is_that_of_the_library() -> None:
    live, rank = SymbolIndicators("BTC"), REGISTRY["percentile_30d"](bin_width=None)
    for item in samples(6, 120):
        live.observe(item)
        rank.update(item.ts, item.funding_8h if item.quorum else None)
        if item.quorum:
            assert live.read(item.ts).funding_abs.percentile == rank.value
    assert rank.value is not None
