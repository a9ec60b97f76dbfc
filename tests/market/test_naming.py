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


def drive(
    driver: Driver, marks: dict[str, float], begin_s: int, end_s: int, drift: float = 1e-6, still: str = ""
) -> list[Consensus]:
    """Each venue says its mark and open interest each second; a sample a second. ``drift``: of all marks, a second,
    but of those of the venues of ``still``."""
    found = []
    for second in range(begin_s, end_s):
        for venue, mark in marks.items():
            moved = mark if venue in still else mark * (1.0 + drift * second)
            driver.mark(venue, moved, at=1000 * second + 100)
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
        ({"a": 30.0, "b": 30.0, "c": 30.0, "a2": 27.0, "b2": 27.0}, []),  # of another quote
        ({"a": 30.0, "b": 30.0, "c": 30.0, "a2": 27.0, "b2": 27.0, "c2": 27.0}, ["a", "b", "c"]),  # which is a dollar?
        ({"a": 30.0, "b": 30.0, "c": 30.0, "a2": 27.0, "d": 27.0}, []),  # d alone is an outlier
        ({"a": 30.0, "b": 30.0, "c": 30.0, "f": 30.0, "c2": 27.0, "d": 27.0, "e": 27.0}, ["d", "e"]),
        ({"a": 30.0, "b": 30.0, "b2": 27.0, "c": 27.0}, ["b", "c"]),
    ],
)
def test_which_groups_are_a_conflict(marks: dict[str, float], venues: list[str]) -> None:
    """``a2``: another instrument of venue a."""
    names = sorted({name[0] for name in marks})
    found = others(groups([(mark, names.index(name[0])) for name, mark in marks.items()], LIMIT))
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


MINUTE_DRIFT, SECOND_DRIFT = 0.001 / 60, 0.003


@pytest.mark.parametrize("drift", [1e-6, MINUTE_DRIFT, SECOND_DRIFT])
@pytest.mark.parametrize("first", [False, True])  # whether those of the other coin are before the honest ones
@pytest.mark.parametrize(("honest", "wrong"), [(1, 2), (2, 2), (3, 2)])
def test_a_conflict_outlives_a_market_that_moves(honest: int, wrong: int, first: bool, drift: float) -> None:
    """Cause: what was accepted before quarantine stands still, so a quarantined mark passed for a frozen one as soon as
    the others had moved, left the comparison, and the larger group's price was published."""
    count = honest + wrong
    names = "abcde"[:count]
    liars = names[:wrong] if first else names[-wrong:]
    driver = Driver(count)
    drive(driver, dict.fromkeys(names, 30.0), 0, 60, drift)
    both = {name: 45.0 if name in liars else 30.0 for name in names}
    found = drive(driver, both, 60, 600, drift)
    assert not any(sample.quorum for sample in found[60:])
    assert all(conflict_of(sample) for sample in found[60:])
    prices = [(sample.price, 30.0 * (1.0 + drift * (60 + number))) for number, sample in enumerate(found[:60])]
    assert all(price is None or price == pytest.approx(right, rel=1e-6) for price, right in prices)


@pytest.mark.parametrize("drift", [1e-6, MINUTE_DRIFT, SECOND_DRIFT])
def test_a_conflict_from_the_start_outlives_a_market_that_moves(drift: float) -> None:
    for sample in drive(Driver(3), {"a": 30.0, "b": 214.11, "c": 214.2}, 0, 600, drift):
        assert conflict_of(sample) == "naming_conflict:a"
        assert not sample.quorum


def test_a_coin_at_rest_does_not_lose_to_one_that_moves() -> None:
    """Cause: a frozen mark is no side of a conflict that comes up; one in force ended with it, for the wrong coin."""
    for sample in drive(Driver(3), {"a": 30.0, "b": 214.11, "c": 214.2}, 0, 400, MINUTE_DRIFT, still="a"):
        assert conflict_of(sample) == "naming_conflict:a"
        assert not sample.quorum


def test_a_feed_that_stops_in_a_crash_is_no_other_coin() -> None:
    """A mark at rest that the others leave behind is frozen before it could be a conflict."""
    driver = Driver(3)
    drive(driver, dict.fromkeys("abc", 100.0), 0, 10)
    found = drive(driver, dict.fromkeys("abc", 100.0), 10, 300, -0.0005, still="c")
    assert not any(map(conflict_of, found))
    assert all(sample.quorum for sample in found)
    assert found[-1].price == pytest.approx(100.0 * (1.0 - 0.0005 * 299))


def test_a_mark_that_stands_still_in_quarantine_is_frozen_until_it_says_another() -> None:
    """What it says counts, not what was accepted before."""
    driver = Driver(4)
    drive(driver, dict.fromkeys("abcd", 30.0), 0, 10)
    track = driver.market.symbols["BTC"].venues["d"].instruments["P"].mark
    drive(driver, {"a": 30.0, "b": 30.0, "c": 30.0, "d": 45.0}, 10, 200, MINUTE_DRIFT, still="d")
    assert (track.state, track.stuck) == ("QUARANTINED", True)
    driver.mark("d", 45.1, at=200_000)
    assert not track.stuck
    drive(driver, {"a": 30.0, "b": 30.0, "c": 30.0, "d": 45.0}, 201, 400, MINUTE_DRIFT)
    assert (track.state, track.stuck) == ("QUARANTINED", False)


@pytest.mark.parametrize("usdt_only", [1, 3])
@pytest.mark.parametrize("down", [0.95, 0.5])
def test_a_stablecoin_that_loses_its_dollar_is_no_conflict_where_its_venues_have_others(
    usdt_only: int, down: float
) -> None:
    """Cause: three venues with USDT and USDC perpetuals were the larger and the smaller group at once, and every
    symbol was without data. (Where no venue has USDT alone, nothing tells which of the two is worth a dollar.)"""
    names = "abcdef"[: 3 + usdt_only]
    driver = Driver(len(names))
    for second in range(200):
        usdc = 100.0 * (1.0 - (1.0 - down) * min(1.0, second / 100))
        for name in names:
            driver.mark(name, 100.0 + 0.001 * second, at=1000 * second + 100)
            driver.oi(name, 1000.0, at=1000 * second + 200)
            if name in "abc":
                driver.mark(name, usdc + 0.001 * second, at=1000 * second + 100, instrument="USDC")
                driver.oi(name, 20.0, at=1000 * second + 200, instrument="USDC")
        sample = driver.sample(1000 * second + 1000)
        assert conflict_of(sample) is None
        assert sample.quorum
        assert sample.price == pytest.approx(100.0 + 0.001 * second)


def test_venues_of_another_quote_alone_are_a_conflict_where_that_has_lost_its_dollar() -> None:
    """Fails closed, as docs/signal.md says: marks alone do not tell it from another coin."""
    driver = Driver(6)
    drive(driver, dict.fromkeys("abcdef", 100.0), 0, 10)
    split = dict.fromkeys("abc", 102.5) | dict.fromkeys("def", 100.0)
    found = drive(driver, split, 10, 200)
    assert {conflict_of(sample) for sample in found[60:]} == {"naming_conflict:d,e,f"}


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
