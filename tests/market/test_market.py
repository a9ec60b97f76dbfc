"""The market as a whole: chain link, resumption at any point, re-anchoring, order of arrival."""

from __future__ import annotations

import dataclasses
import math
import random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from service.config import MarketSection
from service.market import Market
from service.model import Consensus, Mark

from .build import MARK_AGE, OI_AGE, SYMBOLS, T0, Driver, Sample, Shift, history, rule, rules, run

# -- chain link --------------------------------------------------------------------------------------------------


def _feed(driver: Driver, at: int, **contracts: float) -> None:
    for venue, amount in contracts.items():
        driver.mark(venue, 100.0 + at / 1e9, at=at)
        assert driver.oi(venue, amount, at=at) is None


def test_the_index_starts_at_zero_and_is_always_a_number() -> None:
    driver = Driver(2)
    assert driver.sample(0).ln_oi_index == 0.0
    _feed(driver, 500, a=100.0, b=50.0)
    assert driver.sample(1000).ln_oi_index == 0.0
    _feed(driver, 1500, a=110.0, b=50.0)
    assert driver.sample(2000).ln_oi_index == pytest.approx(math.log(160.0 / 150.0), rel=1e-12)


def test_a_venue_that_leaves_and_returns_adds_no_change() -> None:
    driver = Driver(3)
    at = 0
    values = []
    for at in range(0, 200_000, 10_000):
        _feed(driver, at, a=100.0, b=50.0)
        if not 30_000 <= at <= 130_000:
            _feed(driver, at, c=1000.0 if at < 30_000 else 1150.0)  # it grew while away: not seen, not counted
        values.append(driver.sample(at + 1000).ln_oi_index)
    assert values == [0.0] * 20


def test_a_change_of_the_others_while_one_is_away_counts_over_them_alone() -> None:
    driver = Driver(3)
    _feed(driver, 0, a=100.0, b=100.0, c=200.0)
    driver.sample(1000)
    _feed(driver, OI_AGE + 1000, a=110.0, b=100.0)
    assert driver.sample(OI_AGE + 2000).excluded == ("c",)
    # c was not there at this sample, so the step was over a and b
    expected = math.log(210.0 / 200.0)
    assert driver.sample(OI_AGE + 3000).ln_oi_index == pytest.approx(expected, rel=1e-12)
    _feed(driver, OI_AGE + 4000, a=110.0, b=110.0, c=230.0)
    expected += math.log(220.0 / 210.0)
    assert driver.sample(OI_AGE + 5000).ln_oi_index == pytest.approx(expected, rel=1e-12)


def test_an_added_instrument_adds_no_change() -> None:
    driver = Driver(2)
    _feed(driver, 0, a=100.0, b=50.0)
    driver.sample(1000)
    driver.both("a", 100.0, 70.0, at=1500, instrument="Q")
    found = driver.sample(2000)
    assert (found.oi_coins, found.ln_oi_index) == (220.0, 0.0)


def test_a_quarantine_adds_no_change_in_or_out() -> None:
    driver = Driver(3)
    values = []
    for at in range(0, 200_000, 10_000):
        _feed(driver, at, a=100.0, b=50.0)
        driver.mark("c", 100.0 + at / 1e9, at=at)
        driver.oi("c", 100.0 if at < 50_000 else 140.0, at=at)
        values.append(driver.sample(at + 1000).ln_oi_index)
    assert values == [0.0] * 20
    assert driver.sample(191_000).oi_coins == 290.0


def test_a_price_move_of_an_inverse_contract_adds_no_change() -> None:
    driver = Driver(2)
    for at, price in ((0, 100.0), (1000, 101.0), (2000, 99.5), (3000, 100.7)):
        for venue in "ab":
            driver.mark(venue, price, at=at)
            driver.oi(venue, 5000.0, at=at, coins_each=1.0 / price)
        found = driver.sample(at)
        assert found.oi_coins == pytest.approx(10_000.0 / price)
        assert found.ln_oi_index == 0.0
    # and a real change is one, at the former coins per contract
    driver.oi("a", 6000.0, at=3500, coins_each=1.0 / 100.9)
    assert driver.sample(4000).ln_oi_index == pytest.approx(math.log(1.1), rel=1e-12)


def test_too_few_venues_in_common_add_no_change() -> None:
    driver = Driver(3)
    _feed(driver, 0, a=100.0, b=50.0)
    driver.sample(1000)
    # the quorum is there at both samples, but only a is there at both
    _feed(driver, OI_AGE + 1000, a=115.0, c=50.0)
    found = driver.sample(OI_AGE + 1000)
    assert (found.quorum, found.excluded, found.ln_oi_index) == (True, ("b",), 0.0)


def test_a_single_venue_is_linked_where_one_lists() -> None:
    driver = Driver(3)
    _feed(driver, 0, a=100.0)
    driver.sample(1000)
    _feed(driver, 1000, a=110.0)
    assert driver.sample(2000).ln_oi_index == pytest.approx(math.log(1.1), rel=1e-12)


def test_no_oi_at_all_adds_no_change() -> None:
    driver = Driver(2)
    _feed(driver, 0, a=0.0, b=0.0)
    driver.sample(1000)
    _feed(driver, 3_600_000, a=10.0, b=10.0)
    assert driver.sample(3_601_000).ln_oi_index == 0.0


def test_back_filled_minutes_are_linked_like_seconds() -> None:
    driver = Driver(2)
    for minute in range(10):
        _feed(driver, minute * 60_000, a=100.0 + minute, b=200.0)
        found = driver.sample(minute * 60_000, step_s=60)
        assert found.step_s == 60
    assert found.ln_oi_index == pytest.approx(math.log(309.0 / 300.0), rel=1e-12)


@settings(max_examples=50)
@given(st.integers(0, 1_000_000), st.integers(1, 8))
def test_on_a_full_set_the_index_is_the_sum_of_parts(seed: int, venues: int) -> None:
    """Sum of log steps = log of the plain sums, where the same linear instruments count all along."""
    rng = random.Random(seed)
    driver = Driver(venues)
    amounts = {rule.venue: rng.uniform(1.0, 1e6) for rule in driver.rules}
    _feed(driver, 0, **amounts)
    first = driver.sample(500)
    for second in range(1, 60):
        for venue in amounts:
            if rng.random() < 0.5:
                amounts[venue] *= rng.uniform(0.85, 1.15)
            _feed(driver, second * 1000, **{venue: amounts[venue]})
        last = driver.sample(second * 1000 + 500)
        assert last.full_set
        assert first.oi_coins is not None
        assert last.oi_coins is not None
        assert last.ln_oi_index == pytest.approx(math.log(last.oi_coins / first.oi_coins), abs=1e-9)


@settings(max_examples=30)
@given(st.integers(0, 1_000_000), st.data())
def test_venues_coming_and_going_with_constant_oi_add_no_change(seed: int, data: st.DataObject) -> None:
    rng = random.Random(seed)
    driver = Driver(5)
    amounts = {rule.venue: rng.uniform(1.0, 1e6) for rule in driver.rules}
    silent = data.draw(st.lists(st.sets(st.sampled_from("abcde")), min_size=5, max_size=12))
    at = 0
    for away in silent:
        for _ in range(8):
            at += 10_000
            _feed(driver, at, **{venue: amount for venue, amount in amounts.items() if venue not in away})
            assert driver.sample(at + 500).ln_oi_index == 0.0


# -- resumption --------------------------------------------------------------------------------------------------


def _copy(market: Market, venues: int) -> Market:
    """The market after a stop and start: through the bytes of a file."""
    text = orjson.dumps(market.dump())
    fresh = Market(SYMBOLS, rules(venues), MarketSection())
    fresh.load(orjson.loads(text))
    assert orjson.dumps(fresh.dump()) == text
    return fresh


@settings(max_examples=25)
@given(st.integers(0, 1_000_000), st.integers(1, 5), st.data())
def test_dump_load_continue_equals_never_stopped(seed: int, venues: int, data: st.DataObject) -> None:
    """Cut at 40 random points of each history (1,000 in all), between any two events."""
    names = [rule.venue for rule in rules(venues)]
    steps = list(history(seed, 130, names))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(steps)), min_size=40, max_size=40)))
    straight, stopped = (Market(SYMBOLS, rules(venues), MarketSection()) for _ in range(2))
    for position, step in enumerate(steps):
        while cuts and cuts[0] == position:
            cuts.pop(0)
            stopped = _copy(stopped, venues)
        assert run(straight, step) == run(stopped, step)
    assert straight.dump() == stopped.dump()


def test_the_histories_visit_every_state() -> None:
    """Else the property tests above would prove little."""
    market = Market(SYMBOLS, rules(4), MarketSection())
    codes, states, trouble = set(), set(), set()
    for step in history(7, 700, "abcd"):
        answer = run(market, step)
        if isinstance(step, Sample):
            for found in answer:
                states |= {state for view in found.venues for _, state in view.states}
                trouble |= {code.partition(":")[0] for code in found.trouble}
        elif answer is not None:
            codes.add(answer)
    assert states == {"NEVER", "LIVE", "STALE", "FROZEN", "QUARANTINED"}
    assert trouble == {"stale", "frozen", "quarantined"}
    assert codes == {
        "future", "too_old", "out_of_order", "quarantined_mark", "quarantined_oi", "quarantined_funding",
    }  # fmt: skip


def test_a_dump_shares_nothing_with_the_market() -> None:
    driver = Driver(2)
    _feed(driver, 0, a=100.0, b=50.0)
    plain = driver.market.dump()
    before = orjson.dumps(plain)
    other = Driver(2)
    other.market.load(plain)
    _feed(other, 1000, a=110.0, b=60.0)
    other.sample(2000)
    assert orjson.dumps(plain) == before == orjson.dumps(driver.market.dump())


@pytest.mark.parametrize("order", ["abc", "ab", "b", "cbad", "dcb"])
def test_a_dump_of_other_venues_is_taken_by_name(order: str) -> None:
    """Cause: with one venue more, one less or another order everything of all of them was lost."""
    driver = Driver(3, symbols=("BTC", "ETH"))
    _feed(driver, 0, a=100.0, b=50.0, c=70.0)
    driver.sample(1000)
    plain = driver.market.dump()
    other = Market(("SOL", "BTC"), [rule(name) for name in order], MarketSection())
    other.load(plain)
    assert list(other.symbols) == ["SOL", "BTC"]
    found = other.dump()
    for named, stored in (
        (found["books"]["BTC"]["shelves"], plain["books"]["BTC"]["shelves"]),
        (found["heard"], plain["heard"]),
        (found["sides"], plain["sides"]),
    ):
        assert list(named) == list(order)
        assert {name: named[name] for name in order if name != "d"} == {n: stored[n] for n in order if n != "d"}
    assert not found["heard"].get("d", False)
    assert found["books"]["BTC"]["shelves"].get("d", {"instruments": {}}) == {"instruments": {}}
    assert all(state.sides is other.sides[name] for name, state in other.symbols["BTC"].venues.items())


def test_a_doubt_does_not_wait_for_instruments_of_symbols_that_are_gone() -> None:
    """Cause: a doubt ends when half of what had stepped is back; of symbols that are gone nothing comes back."""
    driver = Driver(3, symbols=("BTC", "ETH"))
    _feed(driver, 0, a=100.0, b=50.0, c=70.0)
    driver.sample(1000)
    driver.market.sides["a"].all_stepped({"P": 100.0, "E1": 7.0, "E2": 8.0, "E3": 9.0}, T0 + 1000)
    plain = driver.market.dump()
    kept, alone = Market(("BTC", "ETH"), rules(3), MarketSection()), Market(("BTC",), rules(3), MarketSection())
    for market in (kept, alone):
        market.load(plain)
        market.sample(T0 + 2000, 1)
    assert kept.sides["a"].doubted
    assert not alone.sides["a"].doubted


def test_a_venue_that_is_gone_is_no_side_of_a_conflict_of_names() -> None:
    """Cause: the conflict would have named a venue that is not configured, for a minute after each start."""
    driver = Driver(4)
    for at in (0, 1000):
        for venue, mark in zip("abcd", (100.0, 100.0, 7.0, 7.0), strict=True):
            driver.mark(venue, mark, at=at)
            driver.oi(venue, 50.0, at=at)
        found = driver.sample(at + 500)
    assert found.trouble[0] == "naming_conflict:c,d"
    plain = driver.market.dump()
    for order, venues in (("abcd", ["c", "d"]), ("abc", ["c"]), ("ab", [])):
        market = Market(("BTC",), [rule(name) for name in order], MarketSection())
        market.load(plain)
        assert market.symbols["BTC"].naming.venues == venues
    assert market.sample(T0 + 2000, 1)[0].quorum


@pytest.mark.parametrize("plain", [None, [], {}, {"books": []}, {"books": {"BTC": {}}}, {"books": {}, "more": 1}])
def test_what_is_no_dump_is_refused(plain: Any) -> None:
    with pytest.raises(ValueError, match=r"state|expected"):
        Driver(2).market.load(plain)


# -- clock -------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(st.integers(0, 1_000_000), st.sampled_from([-3_600_000, -1500, -1, 1, 60_000, 86_400_000]))
def test_a_reanchor_changes_no_age_and_no_number(seed: int, delta_ms: int) -> None:
    """The same history with the clock set right in the middle gives the same samples, shifted. Without venue
    timestamps: the venues' clocks do not move with ours."""
    plain, shifted = (Market(SYMBOLS, rules(3), MarketSection()) for _ in range(2))
    offset = 0
    for number, step in enumerate(step for step in history(seed, 120, "abc") if not isinstance(step, Shift)):
        if number == 300:
            shifted.reanchor(delta_ms)
            offset = delta_ms
        if isinstance(step, Sample):
            expected = plain.sample(step.ts, 1)
            found = shifted.sample(step.ts + offset, 1)
            assert found == [_moved(sample, offset) for sample in expected]
        else:
            event = replace(step, venue_ts=None) if hasattr(step, "venue_ts") else step  # type: ignore[type-var]
            assert shifted.apply(replace(event, recv_ts=event.recv_ts + offset)) == plain.apply(event)  # type: ignore


def _moved(sample: Consensus, offset: int) -> Consensus:
    as_of = None if sample.as_of is None else sample.as_of + offset
    return dataclasses.replace(sample, ts=sample.ts + offset, as_of=as_of)


@pytest.mark.parametrize("shift_ms", [-3_600_000, 3_600_000])
def test_a_quarantine_ends_when_it_would_have_ended_without_the_shift(shift_ms: int) -> None:
    """Cause: its beginning was left behind by the shift, so an hour back it lasted an hour, an hour on it was over."""
    driver = Driver(2)
    driver.both("a", 100.0, 5.0, at=0)
    assert driver.oi("a", 10.0, at=1_000) == "quarantined_oi"
    assert driver.oi("a", 10.0, at=2_000) == "quarantined_oi"
    driver.market.reanchor(shift_ms)
    for at in (31_000, 61_999):
        assert driver.oi("a", 10.0, at=at + shift_ms) == "quarantined_oi"
    assert driver.oi("a", 10.0, at=62_000 + shift_ms) is None


@pytest.mark.parametrize("shift_ms", [-3_600_000, 3_600_000])
@pytest.mark.parametrize(("heard_at", "code"), [(1_000, "quarantined_mark"), (999, None)])
def test_what_was_heard_before_a_shift_is_as_old_as_without(shift_ms: int, heard_at: int, code: str | None) -> None:
    """Cause: left behind by the shift, the others' marks seem too old to compare with, or never grow old."""
    driver = Driver(2)
    driver.mark("a", 100.0, at=heard_at)
    driver.market.reanchor(shift_ms)
    assert driver.mark("b", 103.0, at=1_000 + MARK_AGE + shift_ms) == code


def test_a_reanchor_leaves_the_order_of_venue_timestamps_alone() -> None:
    driver = Driver(1)
    driver.mark("a", 100.0, at=0, venue_at=-1000)
    driver.market.reanchor(-1500)
    # our clock was 1.5 s ahead; the venue's own goes on as before
    assert driver.mark("a", 101.0, at=-1400, venue_at=-1001) == "out_of_order"
    assert driver.mark("a", 101.0, at=-1400, venue_at=601) == "future"
    assert driver.sample(-1300).venues[0].age_mark_ms == 200
    assert driver.mark("a", 101.0, at=-1200, venue_at=-999) is None


# -- order -------------------------------------------------------------------------------------------------------


def test_the_order_in_which_venues_and_instruments_arrive_does_not_matter() -> None:
    """Sums run in configuration order, then by name: bit for bit the same."""
    rng = random.Random(5)
    rows = [
        (venue, name, 100.0 + rng.random(), rng.uniform(0.001, 1e6), rng.gauss(0.0, 1e-4))
        for venue in "abcdefghijk"
        for name in ("P", "Q", "R")
    ]
    found = []
    for order in range(20):
        random.Random(order).shuffle(rows)
        driver = Driver(11)
        for venue, name, mark, contracts, rate in rows:
            driver.both(venue, mark, contracts, at=0, instrument=name)
            driver.funding(venue, rate, at=0, instrument=name)
        driver.sample(1000)
        for venue, name, _, contracts, _ in rows:
            driver.oi(venue, contracts * 1.01, at=1500, instrument=name)
        found.append(driver.sample(2000))
    assert all(sample == found[0] for sample in found)
    assert [view.venue for view in found[0].venues] == list("abcdefghijk")


def test_samples_come_in_configuration_order_and_driven_in_order_see_no_later_event() -> None:
    driver = Driver(2, symbols=("ETH", "BTC", "SOL"))
    _feed(driver, 0, a=100.0, b=50.0)
    early = driver.market.sample(T0 + 1000, 1)
    assert [sample.symbol for sample in early] == ["ETH", "BTC", "SOL"]
    assert [sample.quorum for sample in early] == [False, True, False]
    kept = early[1]
    _feed(driver, 1001, a=101.0, b=51.0)
    assert early[1] is kept
    assert (kept.oi_coins, kept.as_of) == (150.0, T0)  # a sample is a message: nothing reaches into it later
    ages = [view.age_mark_ms for view in driver.market.sample(T0 + 2000, 1)[1].venues]
    assert ages == [999, 999]


@settings(max_examples=200)
@given(st.integers(1, 6), st.data())
def test_a_minority_of_venues_cannot_move_the_price_outside_the_honest_range(extra: int, data: st.DataObject) -> None:
    """Q1 through the whole market, quarantine included: the honest within 1 %, the others anything, in any order."""
    count = 2 * extra + 1
    names = [rule.venue for rule in rules(count)]
    liars = data.draw(st.permutations(names))[:extra]
    driver = Driver(count)
    for name in data.draw(st.permutations(names)):
        driver.oi(name, data.draw(st.floats(0.0, 1e9)), at=0)
        lying = name in liars
        mark = data.draw(st.floats(1e-6, 1e9) if lying else st.floats(99.5, 100.5))
        driver.mark(name, mark, at=0)
    found = driver.sample(1000)
    honest = [view.mark for view in found.venues if view.fresh and view.venue not in liars and view.mark is not None]
    lies = [view for view in found.venues if view.fresh and view.venue in liars]
    if found.price is None and any(code.startswith("naming_conflict:") for code in found.trouble):
        assert len({*honest}) < 3 or len(liars) > 1  # one liar beside three or more is an outlier, and no conflict
    elif len(lies) <= (len(honest) + len(lies) - 1) // 2:
        assert found.price is not None
        assert min(honest) <= found.price <= max(honest)


def test_listed_names_what_trades_in_order() -> None:
    driver = Driver(3)
    driver.listing("c", at=0, instrument="Z")
    driver.listing("c", at=0, instrument="Y")
    driver.listing("b", at=0, trading=False)
    driver.oi("a", 5.0, at=0, instrument="X")
    assert driver.market.listed("BTC") == (("a", "X"), ("c", "Y"), ("c", "Z"))
    assert driver.market.listed("ETH") == ()


def test_events_of_other_symbols_are_passed_over() -> None:
    driver = Driver(1)
    event = Mark("a", "P", "DOGE", 1.0, None, None, T0 + MARK_AGE)
    assert driver.market.apply(event) is None
    assert driver.sample(MARK_AGE).venues == ()
