"""The second-by-second ring at its exact boundaries; its numbers are checked against the batch in test_symbol."""

from __future__ import annotations

import pytest

from service.indicators.window import SampleRing
from tests.indicators.build import through_json

T = 1_763_720_520


def ring(seconds: dict[int, float | None], receipts: int = 1, full_set: bool = True) -> SampleRing:
    """One-second samples at T + key with the price given; None: no quorum."""
    made = SampleRing()
    for offset, price in seconds.items():
        made.update(T + offset, price, 0.0 if price is None else price / 10, 1, receipts, full_set)
    return made


def test_nine_tenths_of_the_window_are_enough() -> None:
    dark = {-5 - k for k in range(6)}
    assert ring({s: None if s in dark else 1.0 for s in range(-60, 1)}).covered(T, 60)
    dark.add(-30)
    assert not ring({s: None if s in dark else 1.0 for s in range(-60, 1)}).covered(T, 60)


def test_the_sample_at_the_windows_start_is_not_inside_it() -> None:
    seconds = dict.fromkeys(range(-60, -5), 1.0)
    made = ring({**seconds, 0: 1.0})
    assert made.covered(T, 60)  # 54 from -59 to -6, and T: 55
    assert ring({**dict.fromkeys(range(-60, -6), 1.0), 0: 1.0}).covered(T, 60)  # 54
    assert not ring({**dict.fromkeys(range(-60, -7), 1.0), 0: 1.0}).covered(T, 60)  # 53


def test_a_sample_of_sixty_seconds_covers_a_minute() -> None:
    made = SampleRing()
    made.update(T - 60, 1.0, 0.0, 60, 0, True)
    made.update(T, 2.0, 0.1, 60, 0, True)
    assert made.covered(T, 60)
    assert not made.covered(T, 300)
    assert made.near(T - 60) == (1.0, 0.0)
    assert made.last(T) == (2.0, 0.1)


def test_nearest_within_two_seconds_and_the_earlier_of_two() -> None:
    assert ring({-2: 5.0, 3: 7.0}).near(T) == (5.0, 0.5)
    assert ring({-3: 5.0, 3: 7.0}).near(T) is None
    assert ring({-3: 5.0, 2: 7.0}).near(T) == (7.0, 0.7)
    assert ring({-1: 5.0, 1: 7.0}).near(T) == (5.0, 0.5)
    assert ring({-2: 5.0, 1: 7.0}).near(T) == (7.0, 0.7)
    assert ring({-2: 5.0, 2: 7.0}).near(T) == (5.0, 0.5)
    assert ring({-2: 5.0, 0: None, 3: 7.0}).near(T) == (5.0, 0.5)


def test_the_end_looks_only_back() -> None:
    assert ring({-2: 5.0, 0: None}).last(T) == (5.0, 0.5)
    assert ring({-3: 5.0, 0: None}).last(T) is None
    assert ring({-2: 5.0, 0: None, 1: 6.0}).last(T) == (5.0, 0.5)


def test_three_receipts_in_the_window() -> None:
    made = SampleRing()
    for offset, receipts in ((-60, 9), (-59, 1), (-1, 1), (0, 0)):
        made.update(T + offset, None, 0.0, 1, receipts, True)
    assert not made.received(T, 60)
    made.update(T + 1, None, 0.0, 1, 2, True)
    assert made.received(T + 1, 60)
    assert ring({0: 1.0}, receipts=3).received(T, 60)


@pytest.mark.parametrize("receipts", [3, 65_535, 65_536, 65_538, 1 << 20])
def test_receipts_beyond_what_anyone_asks_for_do_not_wrap_to_few(receipts: int) -> None:
    """Cause: the count has 16 bits. Uncapped, 65,536 receipts in a window would read as none of them."""
    made = ring({-60: None}, receipts=0)
    made.update(T - 30, None, 0.0, 1, receipts, True)
    assert made.received(T - 30, 30)
    for second in range(-29, 1):  # in many samples as in one
        made.update(T + second, None, 0.0, 1, receipts, True)
    assert made.received(T, 60)
    assert made.received(T, 1)


def test_two_receipts_are_too_few_in_one_sample_as_in_two() -> None:
    assert not ring({-1: None, 0: None}, receipts=1).received(T, 60)
    assert not ring({0: None}, receipts=2).received(T, 60)
    assert ring({0: None}, receipts=3).received(T, 60)


def test_continuity_counts_what_was_there_since_the_first_sample() -> None:
    made = ring({0: 1.0})
    assert made.continuity(T) == 1.0
    made.update(T + 10, 1.0, 0.0, 1, 0, True)  # nine seconds missed
    assert made.continuity(T + 10) == 1.0 - 0.5 * 9 / 3600
    made.update(T + 11, 1.0, 0.0, 1, 0, False)
    assert made.continuity(T + 11) == 1.0 - 0.5 * 10 / 3600
    assert ring(dict.fromkeys(range(3700), 1.0), full_set=False).continuity(T + 3699) == 0.5


def test_continuity_of_samples_that_stand_for_a_minute() -> None:
    made = SampleRing()
    made.update(T, 1.0, 0.0, 60, 0, False)
    assert made.continuity(T) == 1.0 - 0.5 * 60 / 3600
    made.update(T + 180, 1.0, 0.0, 60, 0, True)
    assert made.continuity(T + 180) == 1.0 - 0.5 * 180 / 3600
    made.update(T + 190, 1.0, 0.0, 60, 0, False)  # ten seconds are new
    assert made.continuity(T + 190) == 1.0 - 0.5 * 190 / 3600
    made.update(T + 191 + 3600 - 20, 1.0, 0.0, 60, 0, True)
    # the hour begins at T + 171: 9 full, 10 not, then nothing but the last minute
    assert made.continuity(T + 191 + 3580) == 1.0 - 0.5 * (3600 - 9 - 60) / 3600


def test_an_hour_of_continuous_samples_reaches_back_an_hour_and_two_seconds() -> None:
    made = ring({s: float(s + 10_000) for s in range(-4000, 1)})
    assert made.near(T - 3600) == (6400.0, 640.0)
    assert made.near(T - 3602) is not None
    assert made.start(T - 3600) == (6400.0, 640.0, False)
    assert made.covered(T, 3600)
    assert made.continuity(T) == 1.0


def test_a_gap_longer_than_the_ring_leaves_nothing_behind() -> None:
    made = ring(dict.fromkeys(range(-4000, 1), 1.0), receipts=3)
    made.update(T + 50_000, 2.0, 0.3, 1, 0, True)
    for back in range(1, 3603):
        assert made.last(T + 50_000 - back) is None
    assert not made.covered(T + 50_000, 60)
    assert not made.received(T + 50_000, 3600)
    assert made.continuity(T + 50_000) == 1.0 - 0.5 * 3599 / 3600


def test_a_sample_that_is_not_later_is_ignored() -> None:
    made = ring({0: 1.0, 5: 2.0})
    before = made.dump()
    made.update(T + 5, 9.0, 9.0, 1, 9, False)
    made.update(T + 3, 9.0, 9.0, 1, 9, False)
    assert made.dump() == before


def test_counts_may_wrap() -> None:
    """70,000 seconds with three receipts each pass 2^16 several times over."""
    made = SampleRing()
    for second in range(T, T + 70_000):
        made.update(second, 1.0, 0.0, 1, 3, False)
        if second % 977 == 0 and second > T + 3600:
            assert made.covered(second, 3600)
            assert made.received(second, 60)
            assert made.continuity(second) == 0.5
    for second in range(T + 70_000, T + 70_060):
        made.update(second, None, 0.0, 1, 0, True)
    assert not made.received(T + 70_059, 60)
    assert not made.covered(T + 70_059, 300)
    assert made.covered(T + 70_059, 3600)


def test_reanchor_and_reload() -> None:
    made = ring({s: float(s + 100) for s in range(-70, 1)})
    made.reanchor(-13)
    other = SampleRing()
    other.load(through_json(made.dump()))
    for one in (made, other):
        assert one.near(T - 13 - 60) == (40.0, 4.0)
        assert one.covered(T - 13, 60)
        one.update(T - 12, 1.0, 0.0, 1, 0, True)
        assert one.last(T - 12) == (1.0, 0.0)
    assert made.dump() == other.dump()


# -- where a window begins in the back-filled past ------------------------------------------------------------------


def minutes(*samples: tuple[int, float | None, int]) -> SampleRing:
    """Samples (offset from T, price, step_s); ln_oi_index is a hundredth of the offset."""
    made = SampleRing()
    for offset, price, step_s in samples:
        made.update(T + offset, price, offset / 100, step_s, 0, True)
    return made


def test_between_two_back_filled_minutes_the_start_is_interpolated() -> None:
    made = minutes((-120, 100.0, 60), (-60, 121.0, 60), (0, 121.0, 60))
    start = made.start(T - 90)
    assert start is not None
    assert start.price == pytest.approx(110.0, rel=1e-14)  # the middle of two prices is their geometric mean
    assert start.ln_oi == pytest.approx(-0.9, rel=1e-14)
    assert start.backfilled
    quarter = made.start(T - 105)
    assert quarter is not None
    assert quarter.price == pytest.approx(100.0 * 1.21**0.25, rel=1e-14)
    assert quarter.ln_oi == pytest.approx(-1.05, rel=1e-14)


def test_a_sample_within_two_seconds_is_used_as_it_is() -> None:
    made = minutes((-120, 100.0, 60), (-60, 121.0, 60), (0, 121.0, 60))
    for offset in (-122, -121, -120, -119, -118):
        assert made.start(T + offset) == (100.0, -1.2, True)
    interpolated = made.start(T - 117)
    assert interpolated is not None
    assert interpolated.price > 100.0
    assert made.start(T - 123) is None  # nothing before it


@pytest.mark.parametrize(
    ("samples", "known"),
    [
        (((-100, 100.0, 60), (-40, 121.0, 60)), True),
        (((-101, 100.0, 60), (-40, 121.0, 60)), False),  # 61 s apart
        (((-100, 100.0, 60), (-60, 121.0, 1)), True),
        (((-100, 100.0, 1), (-40, 121.0, 60)), True),
        (((-100, 100.0, 1), (-60, 121.0, 1)), False),  # a gap in the live past stays a gap
        (((-180, 1.0, 60), (-100, 100.0, 1), (-60, 121.0, 1)), False),
        (((-120, 1.0, 60), (-100, 100.0, 1), (-60, 121.0, 1), (-59, 1.0, 1)), False),
        (((-100, None, 60), (-40, 121.0, 60)), False),
        (((-100, 100.0, 60), (-90, None, 1), (-60, 121.0, 1)), True),  # consecutive among those with quorum
    ],
)
def test_what_may_be_interpolated(samples: tuple[tuple[int, float | None, int], ...], known: bool) -> None:
    made = minutes(*samples, (0, 1.0, 1))
    start = made.start(T - 80)
    assert (start is not None) == known
    assert start is None or start.backfilled


@pytest.mark.parametrize("price", [99.7, 0.1, 83_024.7, 1e-5, 3.3])
def test_a_flat_past_stays_exactly_flat(price: float) -> None:
    """Cause: exp(ln p) is not p, so that a return of rounding named a quadrant in a market that stood still."""
    made = minutes((-120, price, 60), (-60, price, 60), (0, price, 60))
    start = made.start(T - 83)
    assert start is not None
    assert start.price == price


def test_neither_scales_nor_the_end_are_interpolated() -> None:
    made = minutes((-60, 100.0, 60), (0, 121.0, 60))
    assert made.near(T - 30) is None
    assert made.last(T - 30) is None


def test_the_neighbour_may_lie_before_the_hour() -> None:
    """Cause guarded against: a ring of an hour has forgotten the minute before the start of the 1h window."""
    made = minutes((-3657, 100.0, 60), (-3597, 121.0, 60), *((k, 1.0, 1) for k in range(-3500, 1)))
    start = made.start(T - 3600)
    assert start is not None
    assert start.price == pytest.approx(100.0 * 1.21 ** (57 / 60), rel=1e-12)


def test_the_back_filled_past_survives_a_reload_and_a_shift() -> None:
    made = minutes((-120, 100.0, 60), (-60, 121.0, 60), (0, 121.0, 60))
    made.reanchor(-17)
    other = SampleRing()
    other.load(through_json(made.dump()))
    assert other.backfilled == T - 17
    for one in (made, other):
        start = one.start(T - 17 - 90)
        assert start is not None
        assert start.price == pytest.approx(110.0, rel=1e-14)
