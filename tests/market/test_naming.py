"""One ticker that is two coins: told as what it is, never decided by a vote; a lone outlier is none."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.market import Market
from service.market.naming import groups, others
from service.model import Consensus
from tests.market.build import T0, Driver

LIMIT = 0.02


def conflict_of(sample: Consensus) -> str | None:
    return next((code for code in sample.trouble if code.startswith("naming_conflict")), None)


def drive(driver: Driver, marks: dict[str, float], begin_s: int, end_s: int) -> list[Consensus]:
    """Each venue says its mark and open interest each second; a sample a second."""
    found = []
    for second in range(begin_s, end_s):
        for venue, mark in marks.items():
            driver.mark(venue, mark * (1.0 + 1e-6 * second), at=1000 * second + 100)
            driver.oi(venue, 50.0, at=1000 * second + 200)
        found.append(driver.sample(1000 * second + 1000))
    return found


# -- which groups are a conflict -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("marks", "venues"),
    [
        ({"a": 100.0, "b": 101.0, "c": 99.5}, []),
        ({"a": 100.0, "b": 7.0}, []),  # two: neither is believed, as ever
        ({"a": 214.0, "b": 214.5, "c": 30.0}, ["c"]),  # two must not outvote one
        ({"a": 30.0, "b": 214.0, "c": 214.5}, ["a"]),
        ({"a": 1.0, "b": 2.0, "c": 3.0}, ["b", "c"]),
        ({"a": 30.0, "b": 30.1, "c": 30.2, "d": 214.0}, []),  # an outlier
        ({"a": 30.0, "b": 30.1, "c": 30.2, "d": 30.0, "e": 214.0, "f": 0.3}, []),  # two outliers, each for itself
        ({"a": 30.0, "b": 30.1, "c": 30.2, "d": 214.0, "e": 214.2}, ["d", "e"]),
        ({"a": 30.0, "b": 30.1, "c": 214.0, "d": 214.2}, ["c", "d"]),
        ({"a": 100.0, "b": 101.9, "c": 103.8, "d": 105.8}, []),  # a fast market, followed at different paces
    ],
)
def test_which_groups_are_a_conflict(marks: dict[str, float], venues: list[str]) -> None:
    names = list(marks)
    found = others(groups([(mark, names.index(name)) for name, mark in marks.items()], LIMIT))
    assert [names[number] for number in found] == venues


@given(st.lists(st.tuples(st.floats(1e-9, 1e9), st.integers(0, 7)), max_size=16), st.randoms(use_true_random=False))
def test_groups_part_the_marks_whatever_their_order(marks: list[tuple[float, int]], rng: Any) -> None:
    found = groups(marks, LIMIT)
    shuffled = list(marks)
    rng.shuffle(shuffled)
    assert groups(shuffled, LIMIT) == found
    assert {venue for group in found for venue in group} == {venue for _, venue in marks}
    assert [len(group) for group in found] == sorted((len(group) for group in found), reverse=True)
    told = others(found)
    if told:
        assert len({venue for _, venue in marks}) >= 3
        assert len(found[0]) < 3 or len(found[1]) >= 2


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([0, 0, 0, 1, 1, 2]), min_size=3, max_size=7),
    st.permutations(range(7)),
    st.floats(1.05, 1000.0),
)
def test_no_price_is_published_of_which_fewer_than_three_venues_outvote_others(
    coins: list[int], order: list[int], apart: float
) -> None:
    """Whoever speaks first after a start: a price comes from three or more, or from all, or there is none."""
    driver = Driver(len(coins))
    names = "abcdefg"[: len(coins)]
    prices = {name: 30.0 * apart**coin for name, coin in zip(names, coins, strict=True)}
    for name in [names[number] for number in order if number < len(names)]:
        driver.mark(name, prices[name], at=0)
        driver.oi(name, 5.0, at=0)
    for sample in drive(driver, prices, 1, 4):
        sizes = sorted((coins.count(coin) for coin in set(coins)), reverse=True)
        outvoted = len(sizes) > 1 and (sizes[0] < 3 or sizes[1] > 1)
        assert (conflict_of(sample) is not None) == outvoted
        if outvoted:
            assert not sample.quorum
            assert sample.price is None
        elif sample.price is not None:
            assert sample.price == pytest.approx(30.0 * apart ** max(set(coins), key=coins.count), rel=1e-4)


# -- in the market ---------------------------------------------------------------------------------------------------


def test_two_venues_with_a_stock_of_the_name_do_not_outvote_an_honest_one() -> None:
    """Cause: DASH is a coin at one venue and a stock at two: the median was the stock's 214.11."""
    driver = Driver(3)
    for sample in drive(driver, {"a": 30.0, "b": 214.11, "c": 214.2}, 0, 130):
        assert not sample.quorum
        assert sample.price is None
        assert conflict_of(sample) == "naming_conflict:a"


def test_a_conflict_that_comes_up_counts_once_it_has_lasted_and_ends_likewise() -> None:
    driver = Driver(5)
    honest = {"a": 30.0, "b": 30.1, "c": 30.05}
    assert all(sample.quorum for sample in drive(driver, honest, 0, 10))
    both = honest | {"d": 214.11, "e": 214.2}
    found = drive(driver, both, 10, 80)
    assert [conflict_of(sample) for sample in found[:60]] == [None] * 60
    assert [conflict_of(sample) for sample in found[60:]] == ["naming_conflict:d,e"] * 10
    assert all(sample.price == pytest.approx(30.05, rel=1e-3) for sample in found[:60])  # quarantined, as ever
    ended = drive(driver, honest | {"d": 30.0, "e": 30.0}, 80, 145)
    assert [conflict_of(sample) is None for sample in ended] == [False] * 60 + [True] * 5
    assert all(sample.quorum for sample in ended[60:])


def test_a_moment_of_disagreement_is_none() -> None:
    driver = Driver(4)
    drive(driver, {"a": 30.0, "b": 30.1, "c": 30.0, "d": 30.0}, 0, 5)
    for begin in range(5, 200, 50):
        found = drive(driver, {"a": 30.0, "b": 30.1, "c": 33.0, "d": 33.0}, begin, begin + 45)
        found += drive(driver, {"a": 30.0, "b": 30.1, "c": 30.0, "d": 30.0}, begin + 45, begin + 50)
        assert not any(map(conflict_of, found))


def test_a_lone_outlier_beside_three_is_quarantined_and_the_price_stands() -> None:
    driver = Driver(4)
    for sample in drive(driver, {"a": 30.0, "b": 30.1, "c": 30.05, "d": 214.0}, 0, 100):
        assert conflict_of(sample) is None
    assert sample.price == pytest.approx(30.05, rel=1e-3)


def test_a_delisted_instrument_a_frozen_mark_and_one_gone_silent_are_no_side_of_a_conflict() -> None:
    driver = Driver(3)
    drive(driver, {"a": 30.0, "b": 214.11, "c": 214.2}, 0, 5)
    driver.listing("a", at=5000, trading=False)
    found = drive(driver, {"a": 30.0, "b": 214.11, "c": 214.2}, 5, 80)
    assert conflict_of(found[-1]) is None
    assert found[-1].quorum
    driver = Driver(3)
    drive(driver, {"a": 30.0, "b": 214.11, "c": 214.2}, 0, 5)
    found = drive(driver, {"b": 214.11, "c": 214.2}, 5, 90)
    assert conflict_of(found[-1]) is None


def test_changes_of_open_interest_are_not_linked_while_it_is_not_known_of_what() -> None:
    driver = Driver(4)
    drive(driver, {"a": 30.0, "b": 30.1, "c": 214.0, "d": 214.1}, 0, 3)
    before = driver.sample(3500).ln_oi_index
    for at, contracts in ((4000, 55.0), (5000, 60.0)):
        for venue in "abcd":
            driver.oi(venue, contracts, at=at)
        assert driver.sample(at + 500).ln_oi_index == before == 0.0


def test_a_conflict_outlives_a_restart_and_a_clock_step() -> None:
    driver = Driver(3)
    drive(driver, {"a": 30.0, "b": 214.11, "c": 214.2}, 0, 5)
    other = Driver(3)
    other.market.load(orjson.loads(orjson.dumps(driver.market.dump())))
    assert conflict_of(other.sample(6000)) == "naming_conflict:a"
    other.market.reanchor(3_600_000)
    found = other.market.sample(T0 + 3_600_000 + 7000, 1)[0]
    assert conflict_of(found) == "naming_conflict:a"


def test_a_dump_of_before_loads_without_a_conflict() -> None:
    driver = Driver(3)
    drive(driver, {"a": 30.0, "b": 30.1, "c": 30.0}, 0, 5)
    plain = orjson.loads(orjson.dumps(driver.market.dump()))
    for book in plain["books"].values():
        del book["naming"]
    other = Driver(3)
    other.market.load(plain)
    assert isinstance(other.market, Market)
    assert other.sample(6000) == driver.sample(6000)
