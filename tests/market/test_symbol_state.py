"""One symbol over venues: quorum, coverage, trouble, random histories, and the plain-loop reference."""

from __future__ import annotations

import math
from dataclasses import asdict
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.config import MarketSection
from service.market import Market
from service.market.symbol_state import SymbolState
from service.model import Consensus, Listing, OpenInterest

from .build import MARK_AGE, OI_AGE, SYMBOLS, T0, Driver, Sample, history, rules, run
from .reference import Reference

DAY = 86_400_000
FINITE = ("price", "index", "funding_8h", "funding_spend", "funding_spread", "oi_coins", "freshness")


# -- against plain loops -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "venues"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 11)])
def test_a_sample_equals_the_plain_loops(seed: int, venues: int) -> None:
    chosen = rules(venues)
    market = Market(SYMBOLS, chosen, MarketSection(frozen_move=1.0, quarantine_mark=1.0, quarantine_oi_step=10.0))
    references = {symbol: Reference(symbol, chosen, 2) for symbol in SYMBOLS}
    compared = 0
    for step in history(seed, 600, [rule.venue for rule in chosen], rough=False):
        if not isinstance(step, Sample):
            code = run(market, step)
            if code is None:
                for reference in references.values():
                    reference.apply(step)  # type: ignore[arg-type]
            else:  # random venue timestamps are not always in order
                assert code == "out_of_order"
            continue
        for found in market.sample(step.ts, 1):
            for name, expected in references[found.symbol].sample(step.ts).items():
                value = getattr(found, name)
                if isinstance(expected, float):
                    assert value == pytest.approx(expected, rel=1e-9, abs=1e-12), (step.ts, name)
                else:
                    assert value == expected, (step.ts, name)
                compared += 1
    assert compared > 10_000


# -- quorum ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("min_venues", [1, 2, 3, 4])
def test_quorum_of_every_state_of_four_venues(min_venues: int) -> None:
    """Each venue absent, without mark, without oi, with an old mark, with an old oi, or fresh: 1,296 cases."""
    now = OI_AGE + 1
    for kinds in product(("absent", "no_mark", "no_oi", "old_mark", "old_oi", "fresh"), repeat=4):
        driver = Driver(4, min_venues=min_venues)
        for venue, kind in zip("abcd", kinds, strict=True):
            if kind not in ("absent", "no_mark"):
                driver.mark(venue, 100.0, at=now - MARK_AGE - 1 if kind == "old_mark" else now)
            if kind not in ("absent", "no_oi"):
                driver.oi(venue, 5.0, at=now - OI_AGE - 1 if kind == "old_oi" else now)
        found = driver.sample(now)
        listing = sum(kind not in ("absent", "no_oi") for kind in kinds)
        assert found.venues_total == listing
        expected = kinds.count("fresh") >= (1 if listing == 1 else min_venues)
        _assert_quorum(found, expected)


def test_quorum_of_every_subset_of_eleven_venues() -> None:
    """Q2: 2,048 subsets, all eleven listed."""
    names = [rule.venue for rule in rules(11)]
    for subset in range(2048):
        driver = Driver(11)
        inside = [name for bit, name in enumerate(names) if subset >> bit & 1]
        for name in names:
            driver.listing(name, at=0)
        for name in inside:
            driver.both(name, 100.0, 5.0, at=0)
        found = driver.sample(1000)
        assert found.venues_total == 11
        _assert_quorum(found, len(inside) >= 2)


def test_a_lone_reachable_venue_does_not_pass_for_the_only_one_there_is() -> None:
    """Cause: venues that never answered since a cold start did not count as listing the symbol, so that one venue made
    the quorum, with full coverage and confidence."""
    driver = Driver(3, heard=False)
    driver.both("a", 100.0, 5.0, at=0)
    alone = driver.sample(1000)
    assert not alone.quorum
    assert alone.venues_total == 3
    assert alone.trouble == ("unheard:b", "unheard:c")
    assert not alone.full_set
    driver.both("b", 100.0, 5.0, at=1500)
    two = driver.sample(2000)
    assert two.quorum
    assert two.trouble == ("unheard:c",)
    driver.market.apply(Listing("c", "Z", "ZZZ", False, 1.0, 1.0, 8.0, True, T0 + 2500))
    all_known = driver.sample(3000)
    assert (all_known.venues_total, all_known.trouble, all_known.full_set) == (2, (), True)


def _assert_quorum(found: Consensus, expected: bool) -> None:
    assert found.quorum is expected
    if not expected:
        undefined = (found.price, found.index, found.funding_8h, found.funding_spend, found.funding_spread)
        assert undefined == (None,) * 5
        assert (found.oi_coins, found.freshness, found.as_of) == (None, None, None)
        assert found.funding_outlier_sign == 0
    else:
        assert found.price == 100.0
        assert found.freshness is not None
        assert 0.0 < found.freshness <= 1.0
    assert 0.0 <= found.coverage <= 1.0
    assert math.isfinite(found.ln_oi_index)


def test_one_venue_is_enough_where_one_lists() -> None:
    driver = Driver(3)
    driver.both("b", 100.0, 5.0, at=0)
    assert driver.sample(1000).quorum
    driver.listing("c", at=1500)
    assert not driver.sample(2000).quorum
    driver.listing("c", at=2500, trading=False)
    assert driver.sample(3000).quorum


def test_an_oi_observation_lists_even_when_it_is_refused() -> None:
    driver = Driver(2)
    driver.both("a", 100.0, 5.0, at=0)
    assert driver.oi("b", 5.0, at=0, venue_at=5000) == "future"
    found = driver.sample(1000)
    assert (found.venues_total, found.quorum) == (2, False)


def test_a_mark_alone_lists_nothing() -> None:
    driver = Driver(2)
    driver.both("a", 100.0, 5.0, at=0)
    driver.mark("b", 100.0, at=0)
    found = driver.sample(1000)
    assert (found.venues_total, found.quorum) == (1, True)
    assert driver.market.listed("BTC") == (("a", "P"),)


def test_as_of_is_the_oldest_input_used() -> None:
    driver = Driver(2)
    driver.mark("a", 100.0, at=900)
    driver.mark("b", 100.0, at=800)
    driver.oi("a", 5.0, at=700)
    driver.oi("b", 5.0, at=950)
    assert driver.sample(1000).as_of == T0 + 700
    driver.funding("a", 0.0001, at=1000)
    driver.oi("a", 5.0, at=1100)
    driver.funding("b", 0.0001, at=1200, interval_h=None)
    assert driver.sample(2000).as_of == T0 + 800


def test_oi_receipts_count_what_was_accepted_since_the_last_sample() -> None:
    driver = Driver(2)
    driver.oi("a", 5.0, at=0)
    driver.oi("b", 5.0, at=0)
    driver.oi("a", 50.0, at=100)
    driver.oi("a", 5.0, at=100, venue_at=9000)
    driver.confirm("b", ("oi",), at=200)
    assert driver.sample(1000).oi_receipts == 2
    assert driver.sample(2000).oi_receipts == 0


def test_a_venue_or_symbol_that_is_not_configured_is_passed_over() -> None:
    driver = Driver(1, symbols=("ETH",))
    assert driver.mark("a", 100.0, at=0) is None
    assert driver.sample(1000).venues == ()
    driver = Driver(1)
    assert driver.mark("nowhere", 100.0, at=0) is None
    assert driver.oi("nowhere", 5.0, at=0) is None
    found = driver.sample(1000)
    assert (found.venues, found.venues_total) == ((), 0)


# -- absent venues -----------------------------------------------------------------------------------------------


def _without_c(contracts: float, at: int) -> Consensus:
    """Venues a and b live with 50 each; c sent ``contracts`` at 0 and then nothing."""
    driver = Driver(3)
    driver.both("c", 100.0, contracts, at=0)
    for venue in "ab":
        driver.both(venue, 100.0, 50.0, at=at)
    return driver.sample(at)


def test_an_absent_venue_lowers_coverage_and_is_named() -> None:
    found = _without_c(100.0, at=120_000)
    assert (found.coverage, found.full_set, found.excluded) == (0.5, False, ("c",))
    assert found.trouble == ("stale:c",)
    assert found.venues[2].oi_coins_last == 100.0
    assert not found.venues[2].fresh


@pytest.mark.parametrize(("contracts", "trouble"), [(11.0, ()), (11.2, ("stale:c",))])
def test_trouble_is_for_more_than_a_tenth(contracts: float, trouble: tuple[str, ...]) -> None:
    found = _without_c(contracts, at=120_000)
    assert (found.trouble, found.excluded) == (trouble, ("c",))


@pytest.mark.parametrize(("at", "seen"), [(DAY - 1, True), (DAY, True), (DAY + 1, False)])
def test_a_venue_is_forgotten_after_a_day(at: int, seen: bool) -> None:
    found = _without_c(100.0, at=at)
    assert found.excluded == (("c",) if seen else ())
    assert found.full_set is not seen
    assert found.coverage == (0.5 if seen else 1.0)
    assert found.venues[2].oi_coins_last == (100.0 if seen else 0.0)
    assert found.venues_total == 3


def test_trouble_tells_the_worse_of_mark_and_oi_of_the_largest_instrument() -> None:
    driver = Driver(2)
    driver.both("a", 100.0, 50.0, at=0)
    driver.oi("b", 50.0, at=0, instrument="P")
    driver.oi("b", 60.0, at=0, instrument="Q")
    assert driver.sample(1000).trouble == ("stale:b",)  # never had a mark
    driver.oi("b", 90.0, at=1500, instrument="P")  # quarantined, but P is not the largest
    assert driver.sample(2000).trouble == ("stale:b",)
    driver.oi("b", 90.0, at=2500, instrument="Q")
    assert driver.sample(3000).trouble == ("quarantined:b",)


# -- under random histories --------------------------------------------------------------------------------------


@settings(max_examples=12)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_every_sample_of_a_rough_history_is_in_range(seed: int, venues: int) -> None:
    chosen = rules(venues)
    market = Market(SYMBOLS, chosen, MarketSection())
    for step in history(seed, 200, [rule.venue for rule in chosen]):
        if not isinstance(step, Sample):
            run(market, step)
            continue
        for found in market.sample(step.ts, step.step_s):
            assert 0.0 <= found.coverage <= 1.0
            assert math.isfinite(found.ln_oi_index)
            for name in FINITE:
                value = getattr(found, name)
                assert value is None or math.isfinite(value), name
            fresh = [view for view in found.venues if view.fresh]
            if found.quorum:
                marks = [view.mark for view in fresh if view.mark is not None]
                assert found.price is not None
                assert min(marks) <= found.price <= max(marks)
                assert found.as_of is not None
                assert found.as_of <= found.ts
            assert found.full_set == (found.excluded == ())
            for view in fresh:
                states = dict(view.states)
                assert (states["mark"], states["oi"]) == ("LIVE", "LIVE")


@settings(max_examples=12)
@given(st.integers(0, 10_000), st.integers(2, 6), st.data())
def test_removing_a_venue_never_raises_freshness_times_coverage(seed: int, venues: int, data: st.DataObject) -> None:
    """W5 in random states: a copy of the market in which one venue has been silent for as long as it takes to be
    stale compares with the market as it is. One instrument per venue, as the venue is lost whole."""
    driver = Driver(venues)
    names = [rule.venue for rule in driver.rules]
    offsets = st.integers(0, 29_000)
    for name in names:
        driver.mark(name, 100.0, at=60_000 - data.draw(offsets) // 2)
        driver.oi(name, data.draw(st.floats(0.01, 1e6)), at=60_000 - data.draw(offsets) * 2)
        if data.draw(st.booleans()):
            driver.funding(name, 0.0001, at=60_000 - data.draw(offsets))
    plain = driver.market.dump()
    whole = driver.sample(60_000)
    if not whole.quorum:
        return
    lost = data.draw(st.sampled_from(names))
    other = Driver(venues)
    other.market.load(plain)
    track = other.market.symbols["BTC"].venues[lost].instruments["P"].mark
    track.confirmed_at = T0 + 60_000 - MARK_AGE - 1
    part = other.sample(60_000)
    after = 0.0 if part.freshness is None else part.freshness * part.coverage
    assert whole.freshness is not None
    assert after <= whole.freshness * whole.coverage * (1.0 + 1e-12)


@settings(max_examples=12)
@given(st.integers(0, 10_000))
def test_the_quick_mark_check_decides_as_the_full_one(seed: int) -> None:
    class Slow(SymbolState):
        """Never knows the span of the marks, so that each mark is held against the median itself."""

        __slots__ = ()

        def _span(self, mark: float) -> None:
            self._low, self._high = 0.0, math.inf

    chosen = rules(4)
    quick, slow = Market(SYMBOLS, chosen, MarketSection()), Market(SYMBOLS, chosen, MarketSection())
    slow.symbols = {symbol: Slow(symbol, chosen, MarketSection()) for symbol in SYMBOLS}
    quarantined = 0
    for step in history(seed, 150, "abcd"):
        code = run(quick, step)
        assert run(slow, step) == code
        quarantined += code == "quarantined_mark"
    assert quarantined > 0


def test_the_sample_is_a_plain_message() -> None:
    driver = Driver(1)
    driver.both("a", 100.0, 5.0, at=0)
    assert asdict(driver.sample(1000, step_s=60))["step_s"] == 60


def test_inverse_open_interest_is_priced_with_the_accepted_mark() -> None:
    """Cause: a mark x100 in quarantine, or one from before an outage, had priced the dollars of an inverse contract."""
    driver = Driver(3)
    for venue in "ab":
        driver.both(venue, 100.0, 50.0, at=0)
    driver.listing("c", at=0, inverse=True, contract_size=10.0)
    assert driver.mark("c", 100.0, at=0) is None

    def dollars(contracts: float, each: float, at: int) -> None:
        event = OpenInterest("c", "P", "BTC", contracts, each, contracts * each, True, None, T0 + at)
        assert driver.market.apply(event) is None

    dollars(200.0, 0.01, at=0)  # priced by the decoder at a mark of 1000
    assert driver.sample(1000).oi_coins == pytest.approx(120.0)
    for venue in "abc":
        assert driver.mark(venue, 101.0, at=1500) is None
    view = next(view for view in driver.sample(2000).venues if view.venue == "c")
    assert view.oi_coins == pytest.approx(2000.0 / 101.0)
    assert driver.mark("c", 10_100.0, at=2500) == "quarantined_mark"
    dollars(200.0, 0.00099, at=2500)
    sample = driver.sample(3000)
    view = next(view for view in sample.venues if view.venue == "c")
    assert view.oi_coins is None
    assert view.oi_coins_last == pytest.approx(2000.0 / 101.0)
    dollars(210.0, 0.00099, at=3500)
    view = next(view for view in driver.sample(4000).venues if view.venue == "c")
    assert view.oi_coins_last == pytest.approx(2100.0 / 101.0)


def test_a_linear_or_reported_amount_is_never_priced_anew() -> None:
    driver = Driver(1)
    driver.listing("a", at=0, inverse=True, contract_size=10.0)
    driver.both("a", 100.0, 50.0, at=0)  # in coins, as the venue says: not derived
    assert driver.sample(1000).oi_coins == 50.0
