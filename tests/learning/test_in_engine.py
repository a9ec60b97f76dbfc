"""The whole line from prices to shares: a market in which one component is right, and one in which none is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from service.config import MarketSection, WeightsSection
from service.core.engine import Engine
from tests.core.build import T0, both, rules

MINUTES = 45


def market(seed: int, drift: float) -> Iterator[tuple[float, float]]:
    """Price and open interest each second; with ``drift`` they move together for minutes: positioning is right."""
    rng = random.Random(seed)
    price, coins = 100.0, 1000.0
    while True:
        side = rng.choice((-1, 1))
        for _ in range(rng.randrange(300, 1500)):
            price *= 1 + side * drift + rng.gauss(0, 1e-4)
            coins *= 1 + drift + rng.gauss(0, 1e-4)
            yield price, coins


def learned(drift: float) -> tuple[Engine, list[dict[str, Any]]]:
    made = Engine(["BTC"], rules(), MarketSection(), [], WeightsSection(mode="learn", min_outcomes=10))
    prices = market(5, drift)
    for minute in range(-130, 1):
        for event in both(T0 + minute * 60_000, *next(prices)):
            made.apply(event)
        made.backfill(T0 + minute * 60_000, silent=True)
    bodies = []
    for second in range(1, MINUTES * 60 + 1):
        price, coins = next(prices)
        if second % 2 == 0:
            for event in both(T0 + second * 1000 - 500, price, coins):
                made.apply(event)
        bodies += [tick.signals[0] for tick in made.advance(T0 + second * 1000)]
    return made, bodies


def window(made: Engine) -> dict[str, Any]:
    found: dict[str, Any] = made.learner.report()["groups"]["all"]["windows"]["1m"]
    return found


def test_a_component_that_is_right_gains_share_and_speaks() -> None:
    made, bodies = learned(2e-5)
    found = window(made)
    assert found["rounds"] >= MINUTES - 2
    assert found["gains"]["positioning"] > 0.05
    assert found["shares"]["positioning"] > 0.145 > 0.125  # its prior
    assert found["shares"]["zero"] < 0.46
    body = bodies[-1]
    assert body["weights_version"].startswith("hedge-")
    part = {item["id"]: item for item in body["windows"]["1m"]["components"]}["positioning"]
    force = made.learner.in_force("BTC")
    assert force is not None
    shares = force.windows["1m"]
    awake = shares["positioning"] + shares["static"] + shares["zero"]  # the other two heard nothing
    assert part["weight"] == pytest.approx((shares["positioning"] + shares["static"]) / awake, rel=1e-12)
    assert body["windows"]["1m"]["score"] == pytest.approx(part["weight"] * part["score"], rel=1e-12)


def test_where_nothing_is_to_be_known_zero_stays_ahead() -> None:
    made, _ = learned(0.0)
    shares = window(made)["shares"]
    assert abs(window(made)["gains"]["positioning"]) < 0.03
    assert shares["zero"] > 0.47
    assert max(shares, key=shares.__getitem__) == "zero"
