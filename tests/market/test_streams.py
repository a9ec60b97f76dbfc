"""One stream at a time: boundaries of age, refusals, quarantines and their release, frozen marks."""

from __future__ import annotations

from math import log, nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.market.streams import near
from service.model import Stream, StreamRule

from .build import FUNDING_AGE, INDEX_AGE, MARK_AGE, OI_AGE, Driver, rule

# -- age ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("late_ms", "state"), [(-1, "LIVE"), (0, "LIVE"), (1, "STALE")])
@pytest.mark.parametrize(("stream", "max_age"), [("mark", MARK_AGE), ("funding", FUNDING_AGE), ("oi", OI_AGE)])
def test_exactly_max_age_is_fresh(stream: str, max_age: int, late_ms: int, state: str) -> None:
    driver = Driver(2)
    driver.both("a", 100.0, 5.0, at=0)
    driver.funding("a", 0.0001, at=0)
    assert driver.state("a", stream, at=max_age + late_ms) == state


@pytest.mark.parametrize(("late_ms", "index"), [(-1, 99.0), (0, 99.0), (1, None)])
def test_the_index_has_an_age_of_its_own(late_ms: int, index: float | None) -> None:
    driver = Driver(2)
    driver.mark("a", None, at=0, index=99.0)
    for at in (0, INDEX_AGE):
        driver.both("a", 100.0, 5.0, at=at)
        driver.both("b", 100.0, 5.0, at=at)
    found = driver.sample(INDEX_AGE + late_ms)
    assert found.index == index
    assert found.venues[0].index == index
    assert found.price == 100.0


def test_an_index_only_frame_does_not_vouch_for_the_mark() -> None:
    driver = Driver(2)
    driver.both("a", 100.0, 5.0, at=0)
    assert driver.mark("a", None, at=MARK_AGE, index=99.0) is None
    assert driver.state("a", "mark", at=MARK_AGE + 1) == "STALE"


def test_an_index_only_frame_of_an_unknown_instrument_is_not_a_mark() -> None:
    driver = Driver(2)
    driver.mark("a", None, at=0, index=99.0)
    view = driver.sample(1000).venues[0]
    assert view.states[0] == ("mark", "NEVER")
    assert view.age_mark_ms is None
    assert view.index == 99.0


def test_a_mark_without_index_leaves_the_index_as_it_is() -> None:
    driver = Driver(2)
    driver.mark("a", 100.0, at=0, index=99.0)
    driver.mark("a", 101.0, at=INDEX_AGE)
    assert driver.sample(INDEX_AGE).venues[0].index == 99.0
    assert driver.sample(INDEX_AGE + 1).venues[0].index is None


def test_the_sample_reports_ages_and_values() -> None:
    driver = Driver(2)
    driver.mark("a", 100.0, at=100, index=99.0)
    driver.oi("a", 7.0, at=200, coins_each=3.0)
    driver.funding("a", 0.0002, at=300, interval_h=4.0)
    view = driver.sample(1000).venues[0]
    assert (view.mark, view.index, view.rate, view.rate_8h, view.interval_h) == (100.0, 99.0, 0.0002, 0.0004, 4.0)
    assert (view.oi_coins, view.oi_coins_last, view.instrument, view.fresh) == (21.0, 21.0, "P", True)
    assert (view.age_mark_ms, view.age_oi_ms, view.age_funding_ms) == (900, 800, 700)
    assert view.states == (("mark", "LIVE"), ("funding", "LIVE"), ("oi", "LIVE"))


def test_values_that_are_not_live_are_not_shown() -> None:
    driver = Driver(2)
    driver.both("a", 100.0, 5.0, at=0)
    driver.funding("a", 0.0001, at=0)
    view = driver.sample(FUNDING_AGE + 1).venues[0]
    assert (view.mark, view.rate, view.rate_8h, view.interval_h, view.oi_coins) == (None,) * 5
    assert view.oi_coins_last == 5.0
    assert view.age_mark_ms == FUNDING_AGE + 1
    assert not view.fresh


# -- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ahead_ms", "code"), [(1999, None), (2000, None), (2001, "future")])
def test_future(ahead_ms: int, code: str | None) -> None:
    driver = Driver(1)
    assert driver.mark("a", 100.0, at=0, venue_at=ahead_ms) == code
    assert driver.state("a", "mark", at=1000) == ("LIVE" if code is None else "NEVER")


@pytest.mark.parametrize(("age_ms", "code"), [(MARK_AGE - 1, None), (MARK_AGE, None), (MARK_AGE + 1, "too_old")])
def test_too_old_where_the_venue_stamps_sending(age_ms: int, code: str | None) -> None:
    driver = Driver(1)
    assert driver.mark("a", 100.0, at=0, venue_at=-age_ms) == code
    assert driver.state("a", "mark", at=1000) == ("LIVE" if code is None else "NEVER")


@pytest.mark.parametrize("stamp", ["change", "none"])
def test_an_old_change_is_not_too_old(stamp: str) -> None:
    driver = Driver([rule("a", mark=StreamRule(MARK_AGE, stamp))])  # type: ignore[arg-type]
    assert driver.mark("a", 100.0, at=0, venue_at=-3_600_000) is None


def test_out_of_order_below_equal_above() -> None:
    driver = Driver(1)
    assert driver.mark("a", 100.0, at=1000, venue_at=500) is None
    assert driver.mark("a", 101.0, at=1100, venue_at=499) == "out_of_order"
    assert driver.mark("a", 102.0, at=1200, venue_at=500) is None
    assert driver.mark("a", 103.0, at=1300, venue_at=501) is None
    assert driver.sample(2000).venues[0].mark == 103.0


def test_each_stream_and_the_index_have_an_order_of_their_own() -> None:
    driver = Driver(1)
    assert driver.mark("a", 100.0, at=1000, venue_at=900) is None
    assert driver.mark("a", None, at=1000, index=99.0, venue_at=950) is None
    assert driver.mark("a", None, at=1001, index=98.0, venue_at=940) == "out_of_order"
    assert driver.oi("a", 5.0, at=1000, venue_at=100) is None
    assert driver.funding("a", 0.0001, at=1000, venue_at=200) is None
    # the mark is in order, the index that came with it is not
    assert driver.mark("a", 101.0, at=1002, index=97.0, venue_at=945) is None
    view = driver.sample(2000).venues[0]
    assert (view.mark, view.index) == (101.0, 99.0)


@pytest.mark.parametrize(
    ("venue_at", "code"), [(2001, "future"), (-INDEX_AGE - 1, "too_old"), (-INDEX_AGE, None), (2000, None)]
)
def test_an_index_alone_is_refused_for_the_same_reasons(venue_at: int, code: str | None) -> None:
    driver = Driver(1)
    assert driver.mark("a", None, at=0, index=99.0, venue_at=venue_at) == code
    assert driver.sample(1000).venues[0].index == (99.0 if code is None else None)


def test_a_refused_observation_confirms_nothing_and_leaves_the_order_alone() -> None:
    driver = Driver(1)
    driver.mark("a", 100.0, at=0, venue_at=0)
    assert driver.mark("a", 100.0, at=14_000, venue_at=16_001) == "future"
    assert driver.mark("a", 100.0, at=14_500, venue_at=-600) == "too_old"
    assert driver.state("a", "mark", at=MARK_AGE) == "LIVE"
    assert driver.state("a", "mark", at=MARK_AGE + 1) == "STALE"
    assert driver.mark("a", 100.5, at=16_000, venue_at=1001) is None


# -- confirm -----------------------------------------------------------------------------------------------------


def test_a_confirm_moves_only_the_streams_it_names() -> None:
    driver = Driver(1)
    driver.both("a", 100.0, 5.0, at=0)
    assert driver.confirm("a", ("mark",), at=MARK_AGE) is None
    view = driver.sample(MARK_AGE + 1000).venues[0]
    assert (view.age_mark_ms, view.age_oi_ms, view.age_funding_ms) == (1000, MARK_AGE + 1000, None)


def test_a_confirm_revives_a_stale_stream_and_vouches_for_nothing_never_seen() -> None:
    driver = Driver(1)
    driver.mark("a", 100.0, at=0)
    assert driver.state("a", "mark", at=20_000) == "STALE"
    assert driver.confirm("a", ("mark", "oi"), at=20_500) is None
    states = dict(driver.sample(21_000).venues[0].states)
    assert (states["mark"], states["oi"]) == ("LIVE", "NEVER")


@pytest.mark.parametrize(("venue_at", "code"), [(16_001, "future"), (-1001, "too_old"), (-1, "out_of_order")])
def test_a_confirm_is_refused_like_an_observation(venue_at: int, code: str) -> None:
    driver = Driver(1)
    driver.mark("a", 100.0, at=0, venue_at=0)
    assert driver.confirm("a", ("mark",), at=14_000, venue_at=venue_at) == code
    assert driver.sample(15_000).venues[0].age_mark_ms == 15_000


def test_a_confirm_refused_for_one_stream_still_counts_for_the_others() -> None:
    driver = Driver(1)
    driver.mark("a", 100.0, at=0, venue_at=0)
    driver.oi("a", 5.0, at=0)
    assert driver.confirm("a", ("mark", "oi"), at=14_000, venue_at=-500) == "out_of_order"
    view = driver.sample(15_000).venues[0]
    assert (view.age_mark_ms, view.age_oi_ms) == (15_000, 1000)


@pytest.mark.parametrize(("apart", "index"), [(False, 99.0), (True, None)])
def test_a_confirm_of_the_mark_vouches_for_an_index_of_the_same_frames(apart: bool, index: float | None) -> None:
    driver = Driver(1)
    driver.mark("a", 100.0, at=0, index=99.0)
    if apart:
        driver.mark("a", None, at=0, index=99.0)
    driver.confirm("a", ("mark",), at=INDEX_AGE)
    assert driver.sample(INDEX_AGE + 1).venues[0].index == index


def test_a_confirm_ends_no_quarantine_and_keeps_nothing_fresh_in_it() -> None:
    driver = Driver(1)
    driver.oi("a", 100.0, at=0)
    assert driver.oi("a", 130.0, at=1000) == "quarantined_oi"
    for at in range(2000, 90_000, 1000):
        driver.confirm("a", ("oi",), at=at)
    view = driver.sample(90_000).venues[0]
    assert dict(view.states)["oi"] == "QUARANTINED"
    assert view.age_oi_ms == 90_000


# -- quarantine: mark --------------------------------------------------------------------------------------------


def _three_at_100() -> Driver:
    driver = Driver(3)
    for venue in "abc":
        driver.both(venue, 100.0, 5.0, at=0)
    return driver


@pytest.mark.parametrize(
    ("mark", "code"), [(101.999, None), (98.001, None), (102.001, "quarantined_mark"), (97.999, "quarantined_mark")]
)
def test_a_mark_is_held_against_the_median_of_the_others(mark: float, code: str | None) -> None:
    driver = _three_at_100()
    driver.sample(250)  # believed by now: one that differs must last before the names are in doubt
    assert driver.mark("c", mark, at=500) == code
    found = driver.sample(1000)
    assert [view.fresh for view in found.venues] == [True, True, code is None]
    assert found.price == 100.0


def test_a_quarantined_mark_counts_nowhere_and_is_no_measure_for_others() -> None:
    driver = _three_at_100()
    driver.sample(250)
    assert driver.mark("c", 150.0, at=500) == "quarantined_mark"
    assert driver.mark("b", 101.0, at=600) is None  # against a alone
    found = driver.sample(1000)
    assert found.price == 100.5
    assert found.excluded == ("c",)
    assert found.trouble == ("quarantined:c",)
    assert found.venues[2].mark is None


def test_a_mark_is_released_by_three_agreeing_over_a_minute() -> None:
    driver = _three_at_100()
    for at in range(1000, 80_000, 1000):  # the others go on
        driver.both("a", 100.0 + at / 1e6, 5.0, at=at)
        driver.both("b", 100.0 + at / 1e6, 5.0, at=at)
        if at == 1000:
            assert driver.mark("c", 110.0, at=at) == "quarantined_mark"
        elif at in (10_000, 40_000, 69_000):
            assert driver.mark("c", 100.5, at=at) == "quarantined_mark"  # third after 59 s
        elif at == 70_000:
            assert driver.mark("c", 100.6, at=at) is None  # fourth, 60 s after the first
    view = driver.sample(80_000).venues[2]
    assert (dict(view.states)["mark"], view.mark, view.age_mark_ms) == ("LIVE", 100.6, 10_000)


def test_a_disagreeing_mark_restarts_the_count() -> None:
    driver = _three_at_100()

    def others(at: int) -> None:
        for venue in "ab":
            driver.both(venue, 100.0 + at / 1e7, 5.0, at=at)

    others(1000)
    driver.mark("c", 110.0, at=1000)
    for at in (2000, 30_000):
        others(at)
        driver.mark("c", 100.0, at=at)
    others(60_000)
    assert driver.mark("c", 110.0, at=60_000) == "quarantined_mark"
    for at, code in ((61_000, "quarantined_mark"), (100_000, "quarantined_mark"), (121_000, None)):
        others(at)
        assert driver.mark("c", 100.0, at=at) == code


def test_two_observations_never_release() -> None:
    driver = _three_at_100()
    driver.mark("c", 110.0, at=0)
    for at, code in ((1000, "quarantined_mark"), (100_000, "quarantined_mark"), (100_001, None)):
        driver.both("a", 100.0 + at / 1e7, 5.0, at=at)
        assert driver.mark("c", 100.0, at=at) == code


def test_without_others_there_is_nothing_to_compare_with() -> None:
    driver = Driver(2)
    assert driver.mark("a", 100.0, at=0) is None
    assert driver.mark("a", 1000.0, at=100) is None
    assert driver.mark("b", 100.0, at=200) == "quarantined_mark"
    # a falls silent: b agrees with nobody, which is agreeing
    for at, code in ((20_000, "quarantined_mark"), (50_000, "quarantined_mark"), (80_000, None)):
        assert driver.mark("b", 100.0, at=at) == code


def test_a_stale_mark_is_no_measure_even_before_the_next_sample() -> None:
    driver = Driver(2)
    driver.mark("a", 100.0, at=0)
    assert driver.mark("b", 110.0, at=MARK_AGE) == "quarantined_mark"
    driver = Driver(2)
    driver.mark("a", 100.0, at=0)
    assert driver.mark("b", 110.0, at=MARK_AGE + 1) is None


def test_the_venue_itself_is_not_among_the_others() -> None:
    driver = Driver(2)
    for name in ("P", "Q", "R"):
        driver.both("a", 100.0, 5.0, at=0, instrument=name)
    assert driver.mark("a", 120.0, at=10, instrument="P") is None


# -- quarantine: oi ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contracts", "code"),
    [(120.0, None), (80.0, None), (120.1, "quarantined_oi"), (79.9, "quarantined_oi"), (0.0, "quarantined_oi")],
)
def test_an_oi_step(contracts: float, code: str | None) -> None:
    driver = Driver(1)
    assert driver.oi("a", 100.0, at=0) is None
    assert driver.oi("a", contracts, at=10_000) == code
    assert driver.sample(11_000).venues[0].oi_coins_last == (contracts if code is None else 100.0)


@pytest.mark.parametrize(("later_ms", "code"), [(3_599_999, "quarantined_oi"), (3_600_000, None)])
def test_a_step_is_judged_within_the_hour(later_ms: int, code: str | None) -> None:
    driver = Driver(1)
    driver.oi("a", 100.0, at=0)
    assert driver.oi("a", 130.0, at=later_ms) == code


def test_an_oi_step_is_released_at_its_new_level() -> None:
    driver = Driver(1)
    driver.oi("a", 100.0, at=0)
    for at, contracts in ((10_000, 130.0), (20_000, 131.0), (50_000, 135.0), (79_999, 140.0)):
        assert driver.oi("a", contracts, at=at) == "quarantined_oi"
    assert driver.oi("a", 141.0, at=80_000) is None
    assert driver.sample(81_000).venues[0].oi_coins_last == 141.0


def test_an_oi_step_that_steps_again_has_a_new_first_value() -> None:
    driver = Driver(1)
    driver.oi("a", 100.0, at=0)
    for at, contracts in ((10_000, 130.0), (20_000, 131.0), (60_000, 170.0), (70_000, 131.0), (80_000, 131.0)):
        assert driver.oi("a", contracts, at=at) == "quarantined_oi"
    # 170 restarted the count and 131 restarted it again: its agreeing ones are those of 80, 110 and 140 s
    assert driver.oi("a", 131.0, at=110_000) == "quarantined_oi"
    assert driver.oi("a", 131.0, at=140_000) is None


def test_back_at_the_old_level_is_agreeing_but_not_instant() -> None:
    driver = Driver(1)
    driver.oi("a", 100.0, at=0)
    for at, contracts in ((10_000, 130.0), (20_000, 100.0), (50_000, 101.0)):
        assert driver.oi("a", contracts, at=at) == "quarantined_oi"
    assert driver.oi("a", 102.0, at=80_000) is None


@pytest.mark.parametrize("wrong", [501.0, 10_000.0, 19.9, 0.0])
def test_a_unit_error_is_never_released_by_persisting(wrong: float) -> None:
    driver = Driver(1)
    driver.oi("a", 100.0, at=0)
    for at in range(10_000, 7_200_000, 10_000):
        assert driver.oi("a", wrong, at=at) == "quarantined_oi"
    for at, code in ((7_210_000, "quarantined_oi"), (7_240_000, "quarantined_oi"), (7_270_000, None)):
        assert driver.oi("a", 110.0, at=at) == code


@pytest.mark.parametrize("plausible", [500.0, 20.0])
def test_a_factor_of_five_itself_is_no_unit_error(plausible: float) -> None:
    driver = Driver(1)
    driver.oi("a", 100.0, at=0)
    codes = [driver.oi("a", plausible, at=at) for at in (10_000, 20_000, 50_000, 80_000)]
    assert codes == ["quarantined_oi"] * 3 + [None]


def test_a_venue_back_after_hours_with_another_unit_is_quarantined() -> None:
    """The step rule looks back an hour only; the unit rule a day."""
    driver = Driver(1)
    driver.oi("a", 100.0, at=0)
    assert driver.oi("a", 1000.0, at=7_200_000) == "quarantined_oi"


@pytest.mark.parametrize(("later_ms", "code"), [(86_399_999, "quarantined_oi"), (86_400_000, None)])
def test_a_unit_is_remembered_for_a_day(later_ms: int, code: str | None) -> None:
    driver = Driver(1)
    driver.oi("a", 100.0, at=0)
    assert driver.oi("a", 1000.0, at=later_ms) == code


def test_values_within_five_times_do_not_carry_one_beyond_it() -> None:
    driver = Driver(1)
    driver.oi("a", 100.0, at=0)
    for at, contracts in ((10_000, 450.0), (20_000, 460.0), (50_000, 460.0), (80_000, 510.0), (81_000, 510.0)):
        assert driver.oi("a", contracts, at=at) == "quarantined_oi"


def test_growing_from_zero_is_a_step_but_tells_of_no_unit() -> None:
    driver = Driver(1)
    assert driver.oi("a", 0.0, at=0) is None
    assert driver.oi("a", 0.0, at=5000) is None
    codes = [driver.oi("a", 10.0, at=at) for at in (10_000, 20_000, 50_000, 80_000)]
    assert codes == ["quarantined_oi"] * 3 + [None]


# -- quarantine: funding -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "code"), [(0.03, None), (-0.03, None), (0.0301, "quarantined_funding")])
def test_a_funding_rate_is_held_against_the_cap(rate: float, code: str | None) -> None:
    driver = Driver(1)
    assert driver.funding("a", rate, at=0) == code
    assert driver.state("a", "funding", at=1000) == ("LIVE" if code is None else "QUARANTINED")


def test_funding_in_percent_is_quarantined_below_every_cap() -> None:
    """Cause: 0.01 % sent as 0.01 stays below the cap and moved the mean of all venues."""
    driver = Driver(3)
    for venue in "ab":
        assert driver.funding(venue, 0.0002, at=0) is None
    assert driver.funding("c", 0.0021, at=0) == "quarantined_funding"
    for at in (30_000, 60_000, 90_000, 120_000, 150_000):
        assert driver.funding("c", 0.0021, at=at) == "quarantined_funding"  # persistence makes it no better
    for at, code in ((160_000, "quarantined_funding"), (190_000, "quarantined_funding"), (220_000, None)):
        assert driver.funding("c", 0.002, at=at) == code


def test_a_rate_may_rise_tenfold_at_once_and_with_the_others() -> None:
    driver = Driver(2)
    assert driver.funding("a", 0.0003, at=0) is None
    assert driver.funding("a", 0.0029, at=1000) is None  # against its own last
    assert driver.funding("b", 0.0001, at=1500) is None
    assert driver.funding("b", -0.028, at=2000) is None  # against the other venue's


def test_a_funding_rate_of_a_stale_venue_is_no_measure() -> None:
    driver = Driver(2)
    driver.funding("a", 0.02, at=0)
    driver.funding("b", 0.0001, at=0)
    assert driver.funding("b", 0.015, at=FUNDING_AGE) is None
    driver = Driver(2)
    driver.funding("a", 0.02, at=0)
    driver.funding("b", 0.0001, at=0)
    assert driver.funding("b", 0.015, at=FUNDING_AGE + 1) == "quarantined_funding"


def test_the_first_rate_of_all_is_held_against_the_cap_alone() -> None:
    driver = Driver(2)
    assert driver.funding("a", 0.029, at=0) is None


@pytest.mark.parametrize("stream", ["mark", "oi", "funding"])
def test_a_confirm_does_not_vouch_after_a_refused_observation(stream: Stream) -> None:
    """Cause: a venue whose frames were refused as too old kept its old mark fresh by unstamped confirmations."""
    driver = Driver([rule("a", funding=StreamRule(FUNDING_AGE, "send"), oi=StreamRule(OI_AGE, "send"))])

    def say(at: int, venue_at: int) -> str | None:
        if stream == "mark":
            return driver.mark("a", 100.0, at=at, venue_at=venue_at)
        if stream == "oi":
            return driver.oi("a", 5.0, at=at, venue_at=venue_at)
        return driver.funding("a", 0.0001, at=at, venue_at=venue_at)

    assert say(0, 0) is None
    assert driver.confirm("a", (stream,), at=1000) is None
    assert say(10_000, 13_000) == "future"
    assert driver.confirm("a", (stream,), at=11_000) == "future"
    assert driver.confirm("a", (stream,), at=12_000, venue_at=12_000) == "future"  # nor does one with a time
    assert driver.confirm("a", (stream,), at=13_000) == "future"
    assert say(14_000, 14_000) is None
    assert driver.confirm("a", (stream,), at=15_000) is None
    assert say(16_000, 13_000) == "out_of_order"
    assert driver.confirm("a", (stream,), at=17_000) == "out_of_order"
    assert driver.confirm("a", (stream,), at=18_000, venue_at=18_000) is None  # a late repetition was not said last


def test_the_cap_is_per_eight_hours() -> None:
    driver = Driver(1)
    assert driver.funding("a", 0.004, at=0, interval_h=1.0) == "quarantined_funding"
    assert driver.funding("a", -0.004, at=0, interval_h=1.0) == "quarantined_funding"


def test_a_funding_rate_is_released() -> None:
    driver = Driver(1)
    driver.funding("a", 0.5, at=0)
    for at, code in ((1000, "quarantined_funding"), (60_999, "quarantined_funding"), (61_000, None)):
        assert driver.funding("a", 0.0001, at=at) == code
    assert driver.sample(62_000).venues[0].rate_8h == 0.0001


def test_a_rate_without_interval_is_kept_but_not_scored() -> None:
    driver = Driver(2)
    for venue in "ab":
        driver.both(venue, 100.0, 5.0, at=0)
    assert driver.funding("a", 0.5, at=0, interval_h=None) is None
    found = driver.sample(1000)
    assert (found.venues[0].rate, found.venues[0].rate_8h) == (0.5, None)
    assert (found.funding_8h, found.funding_spend, found.funding_spread) == (None, None, None)


def test_a_settled_rate_counts_until_a_running_one_was_seen() -> None:
    driver = Driver(1)
    assert driver.funding("a", 0.0001, at=0, settled=True) is None
    assert driver.funding("a", 0.0002, at=1000, settled=True) is None
    assert driver.sample(2000).venues[0].rate == 0.0002
    assert driver.funding("a", 0.0003, at=2000) is None
    assert driver.funding("a", 0.0004, at=3000, settled=True) is None
    view = driver.sample(4000).venues[0]
    assert (view.rate, view.age_funding_ms) == (0.0003, 2000)
    # nor does history vouch for a running rate that has grown old
    driver.funding("a", 0.0004, at=FUNDING_AGE + 5000, settled=True)
    assert driver.state("a", "funding", at=FUNDING_AGE + 6000) == "STALE"


# -- frozen ------------------------------------------------------------------------------------------------------


def _stuck(until: int, drift: float, mark_at: int = 0) -> Driver:
    """Venue c repeats 100.0 each second while a and b drift by ``drift`` in all, sampled each second."""
    driver = Driver(3)
    for at in range(mark_at, until + 1, 1000):
        moved = 100.0 * (1.0 + drift * at / until)
        driver.both("a", moved, 5.0, at=at)
        driver.both("b", moved, 5.0, at=at)
        driver.both("c", 100.0, 5.0, at=at)
        driver.sample(at)
    return driver


def test_a_mark_that_stands_still_while_others_move_is_frozen() -> None:
    driver = _stuck(60_000, 0.002)
    found = driver.sample(60_000)
    assert dict(found.venues[2].states)["mark"] == "FROZEN"
    assert found.trouble == ("frozen:c",)
    assert not found.full_set
    assert found.price == pytest.approx(100.2)


def test_it_takes_sixty_seconds() -> None:
    driver = _stuck(59_000, 0.002)
    assert driver.state("c", "mark", at=59_000) == "LIVE"
    assert driver.state("c", "mark", at=59_999) == "LIVE"
    assert driver.state("c", "mark", at=60_000) == "FROZEN"


@pytest.mark.parametrize(("beyond", "state"), [(0.0, "LIVE"), (1.0, "FROZEN")])
def test_moved_by_just_what_is_allowed_is_not_moved(beyond: float, state: str) -> None:
    """To the last bit: exactly the configured move freezes nothing."""
    moved = 100.0 * 1.001
    limit = abs(log(moved / 100.0))
    driver = Driver(3, frozen_move=nextafter(limit, 0.0) if beyond else limit)
    for at in range(0, 60_001, 1000):
        for venue, mark in (("a", moved if at else 100.0), ("b", moved if at else 100.0), ("c", 100.0)):
            driver.both(venue, mark, 5.0, at=at)
        found = driver.sample(at)
    assert dict(found.venues[2].states)["mark"] == state


@pytest.mark.parametrize(("drift", "state"), [(0.00099, "LIVE"), (0.00102, "FROZEN"), (-0.00102, "FROZEN")])
def test_the_others_must_have_moved(drift: float, state: str) -> None:
    assert _stuck(100_000, drift).state("c", "mark", at=100_000) == state


def test_a_frozen_mark_thaws_when_it_changes() -> None:
    driver = _stuck(60_000, 0.002)
    driver.both("c", 100.0, 5.0, at=60_500)
    assert driver.state("c", "mark", at=61_000) == "FROZEN"
    driver.confirm("c", ("mark",), at=61_500)
    assert driver.state("c", "mark", at=62_000) == "FROZEN"
    driver.mark("c", 100.2, at=62_500)
    assert driver.state("c", "mark", at=63_000) == "LIVE"


def test_a_frozen_mark_stays_so_when_the_others_come_back() -> None:
    driver = _stuck(60_000, 0.002)
    driver.sample(60_000)
    for at in range(61_000, 65_000, 1000):
        for venue in "abc":
            driver.both(venue, 100.0, 5.0, at=at)
    assert driver.state("c", "mark", at=65_000) == "FROZEN"


def test_silence_makes_a_frozen_mark_stale_and_the_same_value_frozen_again() -> None:
    driver = _stuck(60_000, 0.002)
    driver.sample(60_000)
    assert driver.state("c", "mark", at=75_000) == "FROZEN"
    assert driver.state("c", "mark", at=75_001) == "STALE"
    driver.mark("c", 100.0, at=75_500)
    assert driver.state("c", "mark", at=76_000) == "FROZEN"


def test_a_frozen_mark_is_no_measure_for_others() -> None:
    driver = Driver(2)
    for at in range(0, 61_000, 1000):
        driver.both("a", 100.0 * (1.0 + 0.002 * at / 60_000), 5.0, at=at)
        driver.both("b", 100.0, 5.0, at=at)
        driver.sample(at)
    assert driver.state("b", "mark", at=61_000) == "FROZEN"
    assert driver.mark("a", 110.0, at=61_500) is None


def test_a_frozen_mark_left_behind_is_quarantined() -> None:
    driver = _stuck(60_000, 0.002)
    driver.sample(60_000)
    for venue in "ab":
        driver.mark(venue, 101.5, at=60_500)
    for venue in "ab":
        driver.mark(venue, 103.0, at=60_600)
    assert driver.mark("c", 100.0, at=61_000) == "quarantined_mark"
    assert driver.state("c", "mark", at=62_000) == "QUARANTINED"


def test_a_quiet_market_freezes_nobody() -> None:
    assert _stuck(600_000, 0.0).state("c", "mark", at=600_000) == "LIVE"


# -- arithmetic --------------------------------------------------------------------------------------------------


@given(st.floats(1e-6, 1e9), st.floats(1e-6, 1e9), st.floats(1e-6, 1e9), st.sampled_from([0.02, 0.2]))
def test_near_both_ends_is_near_everything_between(value: float, low: float, high: float, fraction: float) -> None:
    """What lets the usual mark pass on two comparisons, in floats and not only on paper."""
    low, high = sorted((low, high))
    if near(value, low, fraction) and near(value, high, fraction):
        for share in (0.0, 0.1, 0.25, 0.5, 0.75, 1.0):
            between = min(max(low + (high - low) * share, low), high)
            assert near(value, between, fraction)


def test_near_zero() -> None:
    assert near(0.0, 0.0, 0.2)
    assert not near(1e-300, 0.0, 0.2)


def test_an_oi_that_flaps_between_two_levels_is_never_released() -> None:
    """Cause: values near the old level and values near the new one were counted together as three that agree."""
    driver = Driver(2)
    driver.both("a", 100.0, 100.0, at=0)
    for number in range(1, 40):
        code = driver.oi("a", 150.0 if number % 2 else 100.0, at=number * 10_000)
        assert code == "quarantined_oi", number
    for number in range(40, 45):
        assert driver.oi("a", 150.0, at=number * 10_000) == "quarantined_oi"
    assert driver.oi("a", 150.0, at=450_000) is None  # since 390 s, where the flapping ended: 60 s
