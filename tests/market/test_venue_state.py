"""The instruments of a venue: which of them speaks for it, listings, changed contracts, bounds."""

from __future__ import annotations

import math

import pytest

from service.market.venue_state import MAX_INSTRUMENTS

from .build import Driver

DAY = 86_400_000

# -- several instruments -----------------------------------------------------------------------------------------


def test_the_venue_speaks_through_its_largest_counting_instrument() -> None:
    driver = Driver(1)
    driver.both("a", 100.0, 5.0, at=0, instrument="P")
    driver.both("a", 101.0, 9.0, at=0, instrument="Q")
    driver.both("a", 102.0, 9.0, at=0, instrument="R")
    driver.funding("a", 0.0003, at=0, instrument="Q")
    found = driver.sample(1000)
    assert (found.price, found.oi_coins, found.funding_8h) == (101.0, 23.0, 0.0003)
    assert (found.venues[0].instrument, found.venues[0].oi_coins) == ("Q", 23.0)


def test_a_larger_instrument_that_does_not_count_is_no_primary() -> None:
    driver = Driver(1)
    driver.both("a", 100.0, 5.0, at=0, instrument="P")
    driver.oi("a", 50.0, at=0, instrument="Q")
    found = driver.sample(1000)
    assert (found.price, found.oi_coins) == (100.0, 5.0)
    assert found.venues[0].oi_coins_last == 55.0
    assert found.coverage == pytest.approx(5.0 / 55.0)
    assert (found.full_set, found.excluded, found.trouble) == (True, (), ())


def test_oi_zero_is_a_value() -> None:
    driver = Driver(1)
    driver.both("a", 100.0, 0.0, at=0)
    found = driver.sample(1000)
    assert (found.quorum, found.price, found.oi_coins) == (True, 100.0, 0.0)
    assert (found.coverage, found.funding_8h) == (0.0, None)


# -- listings ----------------------------------------------------------------------------------------------------


def test_an_instrument_that_does_not_trade_counts_nowhere() -> None:
    driver = Driver(3)
    for venue in "abc":
        driver.both(venue, 100.0, 50.0, at=0)
    driver.listing("c", at=500, trading=False)
    found = driver.sample(1000)
    assert (found.oi_coins, found.coverage, found.full_set, found.excluded) == (100.0, 1.0, True, ())
    assert [view.venue for view in found.venues] == ["a", "b"]
    assert (found.venues_total, driver.market.listed("BTC")) == (2, (("a", "P"), ("b", "P")))
    # late data does not bring it back
    driver.both("c", 101.9, 50.0, at=1500)
    found = driver.sample(2000)
    assert (found.oi_coins, found.oi_receipts) == (100.0, 0)
    driver.listing("c", at=2500)
    assert driver.sample(3000).oi_coins == 150.0


def test_the_mark_of_an_instrument_that_does_not_trade_is_no_measure_for_others() -> None:
    """102.5 is within 2 % of the median of 100 and 101.9, but not of 100."""
    driver = Driver(3)
    driver.mark("a", 100.0, at=0)
    driver.mark("b", 100.0, at=0)
    driver.mark("c", 101.9, at=0)
    driver.listing("c", at=500, trading=False)
    assert driver.mark("a", 102.5, at=1000) == "quarantined_mark"


def test_an_instrument_listed_as_not_trading_from_the_start_never_counts() -> None:
    driver = Driver(1)
    driver.listing("a", at=0, trading=False)
    driver.both("a", 100.0, 5.0, at=100)
    found = driver.sample(1000)
    assert (found.quorum, found.venues, found.venues_total) == (False, (), 0)


@pytest.mark.parametrize("change", [{"contract_size": 0.1}, {"multiplier": 1000.0}, {"inverse": True}])
def test_a_changed_contract_resets_the_trust_in_oi(change: dict[str, float]) -> None:
    driver = Driver(2)
    for venue in "ab":
        driver.listing(venue, at=0)
        driver.both(venue, 100.0, 100.0, at=0)
    driver.sample(1000)
    driver.listing("b", at=1100, **change)
    before = driver.sample(2000)
    assert dict(before.venues[1].states)["oi"] == "NEVER"
    assert (before.coverage, before.excluded) == (0.5, ("b",))  # what it held still counts as held
    assert driver.oi("b", 1000.0, at=2500, coins_each=0.1) is None  # no unit error: a first value
    found = driver.sample(3000)
    assert (found.oi_coins, found.ln_oi_index) == (200.0, 0.0)


def test_a_contract_changed_between_two_samples_is_no_build_up() -> None:
    driver = Driver(2)
    for venue in "ab":
        driver.listing(venue, at=0)
        driver.both(venue, 100.0, 100.0, at=0)
    driver.sample(1000)
    driver.listing("b", at=1100, contract_size=0.1)
    driver.oi("b", 1000.0, at=1200, coins_each=0.1)
    assert driver.sample(2000).ln_oi_index == 0.0
    driver.oi("b", 1100.0, at=2200, coins_each=0.1)
    assert driver.sample(3000).ln_oi_index == pytest.approx(math.log(210.0 / 200.0), rel=1e-12)


def test_the_same_listing_again_changes_nothing() -> None:
    driver = Driver(1)
    driver.listing("a", at=0)
    driver.both("a", 100.0, 5.0, at=0)
    driver.listing("a", at=100)
    driver.listing("a", at=200, contract_size=None)
    driver.listing("a", at=300)
    assert driver.sample(1000).oi_coins == 5.0


def test_instruments_of_a_venue_are_bounded_and_forgotten_after_a_day() -> None:
    driver = Driver(1)
    driver.listing("a", at=0, instrument="LISTED")
    for number in range(MAX_INSTRUMENTS - 1):
        driver.oi("a", 5.0, at=number, instrument=f"I{number:02}")
    assert driver.oi("a", 5.0, at=DAY, instrument="NEW") == "too_many_instruments"
    assert driver.listing("a", at=DAY, instrument="NEW") == "too_many_instruments"
    assert driver.oi("a", 5.0, at=DAY + 1, instrument="NEW") is None  # I00 was not seen for a day
    names = [name for _, name in driver.market.listed("BTC")]
    assert len(names) == MAX_INSTRUMENTS
    assert "I00" not in names
    assert {"NEW", "LISTED", "I01"} <= set(names)
