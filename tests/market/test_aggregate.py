"""The market as one sample: no symbol's coming, going or return is a change of it, and weights are dollars."""

from __future__ import annotations

from math import exp, log

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.market.aggregate import Aggregate
from service.model import Consensus
from tests.scoring import factory

NAMES = ("BTC", "ETH", "SOL")
T0 = 1_763_720_520_000
SECOND = 1_000


def one(symbol: str, at: int, price: float | None, coins: float = 100.0, ln_oi: float = 0.0) -> Consensus:
    """A symbol at second ``at``; without a price it has no quorum."""
    ts = T0 + at * SECOND
    if price is None:
        return factory.no_data(ts, symbol=symbol, ln_oi_index=ln_oi)
    return factory.consensus(ts, symbol=symbol, price=price, oi_coins=coins, ln_oi_index=ln_oi)


def chain(*rounds: list[Consensus]) -> list[Consensus]:
    made = Aggregate(NAMES)
    return [made.sample(samples) for samples in rounds]


def test_changes_are_weighted_by_the_dollars_before_them() -> None:
    first, second = chain(
        [one("BTC", 0, 100.0, 30.0, 0.5), one("ETH", 0, 10.0, 100.0, -2.0)],  # 3,000 and 1,000 dollars
        [one("BTC", 1, 110.0, 28.0, 0.46), one("ETH", 1, 9.0, 108.0, -1.92)],
    )
    assert (first.price, first.ln_oi_index) == (1.0, 0.0)
    assert second.price == pytest.approx(exp(0.75 * log(1.1) + 0.25 * log(0.9)), rel=1e-12)
    assert second.ln_oi_index == pytest.approx(0.75 * -0.04 + 0.25 * 0.08, rel=1e-12)
    assert second.price is not None
    assert second.oi_coins is not None
    assert second.oi_coins * second.price == pytest.approx(28.0 * 110.0 + 108.0 * 9.0)
    assert second.funding_8h == pytest.approx(0.00017)
    assert (second.oi_receipts, second.as_of, second.step_s) == (8, second.ts - 7_000, 1)


def test_the_price_alone_moves_no_open_interest() -> None:
    *_, last = chain(*[[one("BTC", at, 100.0 * 0.9**at), one("ETH", at, 5.0)] for at in range(20)])
    assert last.ln_oi_index == 0.0
    assert last.price is not None
    assert last.price < 0.5


def test_a_symbol_that_comes_goes_and_returns_is_no_step() -> None:
    large = [one("SOL", at, 50.0, 1_000.0, 3.0) for at in range(4)]
    rounds = [
        [one("BTC", 0, 100.0, 400.0), one("SOL", 0, None)],
        [one("BTC", 1, 100.0, 400.0), large[1]],  # comes, with more than half
        [one("BTC", 2, 100.0, 400.0), one("SOL", 2, None, ln_oi=3.0)],  # goes
        [one("BTC", 3, 100.0, 400.0), one("SOL", 3, 70.0, 900.0, 2.5)],  # returns, at another level
    ]
    told = chain(*rounds)
    assert [item.ln_oi_index for item in told] == [0.0] * 4
    assert [item.price for item in told] == [1.0, 1.0, None, 1.0]
    assert [item.quorum for item in told] == [True, True, False, True]  # 40,000 of 90,000 dollars are too few
    assert told[2].coverage == pytest.approx(4 / 9)


def test_what_was_not_heard_for_a_day_is_not_missed() -> None:
    made = Aggregate(NAMES)
    made.sample([one("BTC", 0, 100.0, 10.0), one("ETH", 0, 100.0, 90.0)])
    late = 24 * 3600
    assert not made.sample([one("BTC", late - 1, 100.0, 10.0), one("ETH", late - 1, None)]).quorum
    after = made.sample([one("BTC", late, 100.0, 10.0), one("ETH", late, None)])
    assert (after.quorum, after.coverage) == (True, 1.0)


def test_nobody_with_a_quorum_is_no_market() -> None:
    [told] = chain([one(name, 0, None) for name in NAMES])
    assert (told.quorum, told.price, told.oi_coins, told.coverage, told.as_of) == (False, None, None, 0.0, None)


@st.composite
def markets(draw: st.DrawFn) -> list[list[Consensus]]:
    rounds = []
    for at in range(draw(st.integers(2, 12))):
        present = draw(st.lists(st.booleans(), min_size=3, max_size=3))
        rounds.append(
            [
                one(
                    name,
                    at,
                    draw(st.floats(1e-6, 1e6)) if there else None,
                    draw(st.floats(1e-3, 1e9)),
                    draw(st.floats(-20, 20)),
                )
                for name, there in zip(NAMES, present, strict=True)
            ]
        )
    return rounds


@given(markets(), st.integers(0, 11))
def test_a_dump_goes_on_the_same(rounds: list[list[Consensus]], at: int) -> None:
    made, again = Aggregate(NAMES), Aggregate(NAMES)
    for number, samples in enumerate(rounds):
        if number == min(at, len(rounds) - 1):
            again.load(orjson.loads(orjson.dumps(made.dump())))
        told = made.sample(samples)
        if number >= min(at, len(rounds) - 1):
            assert again.sample(samples) == told
    assert again.dump() == made.dump()


@given(markets())
def test_a_step_lies_between_those_of_the_symbols(rounds: list[list[Consensus]]) -> None:
    made, before = Aggregate(NAMES), dict[str, Consensus]()
    level = 0.0
    for samples in rounds:
        told = made.sample(samples)
        both = [item for item in samples if item.quorum and item.symbol in before]
        steps = [item.ln_oi_index - before[item.symbol].ln_oi_index for item in both]
        step, level = told.ln_oi_index - level, told.ln_oi_index
        assert min(steps, default=0.0) - 1e-9 <= step <= max(steps, default=0.0) + 1e-9
        before = {item.symbol: item for item in samples if item.quorum}


def test_symbols_that_are_gone_are_forgotten_and_a_new_anchor_changes_no_age() -> None:
    made = Aggregate(NAMES)
    made.sample([one("BTC", 0, 100.0, 10.0), one("ETH", 0, 100.0, 90.0)])
    fewer = Aggregate(("BTC", "SOL"))
    fewer.load(made.dump())
    assert fewer.weights() == {"BTC": 1000.0}
    fewer.reanchor(60_000)
    told = fewer.sample([one("BTC", 61, 120.0, 10.0, 0.1), one("SOL", 61, None)])
    assert told.ln_oi_index == pytest.approx(0.1)  # the two seconds follow each other still
    assert told.coverage == 1.0
