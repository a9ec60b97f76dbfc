"""The checker's windows, scales, minute values and percentiles on cases computed by hand."""

from __future__ import annotations

import math

import pytest

from .history import ALPHA_FAST, DAY, HOUR, MINUTE, History, log_bin_centre
from .making import T0, S, sample
from .numbers import Loose


def seconds(count: int, step: float = 0.0, oi_step: float = 0.0, skip: tuple[int, ...] = ()) -> History:
    """One sample a second from T0 on, ln price and ln oi_index rising evenly; ``skip`` lacks quorum."""
    history = History()
    for second in range(count + 1):
        made = sample(T0 + second * S, 100 * math.exp(step * second), oi_step * second, quorum=second not in skip)
        history.observe(made)
    return history


def minutes(values: list[float], last: int = T0) -> History:
    """Back-filled samples up to the minute ``last``, ``ln_oi_index`` as given."""
    history = History()
    for i, value in enumerate(values):
        history.observe(sample(last - (len(values) - 1 - i) * MINUTE, ln_oi_index=value, step_s=60))
    return history


# windows


def test_a_window_measures_from_end_to_end() -> None:
    window = seconds(60, 1e-5, 2e-5).window(T0 + 60 * S, "1m", 60)
    assert window.ready
    assert window.ret == pytest.approx(6e-4)
    assert window.oi_change == pytest.approx(1.2e-3)
    assert window.z_return is None  # no scale yet


def test_the_ends_may_be_two_seconds_off_and_the_earlier_wins_a_tie() -> None:
    history = seconds(70, 1e-5, skip=(8, 10, 70, 69))
    start, end = history.ends(T0 + 70 * S, 60) or (None, None)
    assert start is not None
    assert end is not None
    assert ((start.ts - T0) // S, (end.ts - T0) // S) == (9, 68)
    assert seconds(70, skip=(68, 69, 70)).ends(T0 + 70 * S, 60) is None
    assert seconds(70, skip=(8, 9, 10, 11, 12)).ends(T0 + 70 * S, 60) is None


def test_nine_tenths_of_the_window_must_be_filled() -> None:
    # (T-60, T] has 60 samples: 6 missing leave 54 = 0.9 * 60, 7 missing leave 53
    assert seconds(70, skip=tuple(range(20, 26))).window(T0 + 70 * S, "1m", 60).ready
    assert not seconds(70, skip=tuple(range(20, 27))).window(T0 + 70 * S, "1m", 60).ready


def test_a_backfilled_sample_stands_for_sixty_seconds() -> None:
    history = minutes([0.0, 0.1])
    window = history.window(T0, "1m", 60)
    assert window.ready
    assert window.oi_change is None  # one receipt in the minute, three are needed
    history.observe(sample(T0 + MINUTE, ln_oi_index=0.3, step_s=60, oi_receipts=3))
    assert history.window(T0 + MINUTE, "1m", 60).oi_change == pytest.approx(0.2)


# scales


def test_the_fast_scale_starts_with_the_first_square_and_is_read_as_of_the_windows_start() -> None:
    history = seconds(2000, 1e-5)
    for tick in range(10, 1330, 10):
        history.update_scales(T0 + tick * S, backfill=False)
    # the tick at 10 s is the first with both ends: 132 updates, each (1e-4)^2, so v stays (1e-4)^2
    last = history.scales[-1]
    assert last.updates == 132
    assert last.fast["return"] == pytest.approx(1e-8)
    assert last.slow["return"] == pytest.approx(1e-8)
    # 60 updates are there at the tick of 600 s, so a 1m window has a z from 660 s on; scale 1e-4 * sqrt(6)
    assert history.window(T0 + 650 * S, "1m", 60).z_return is None
    z = history.window(T0 + 660 * S, "1m", 60).z_return
    assert z == pytest.approx(6e-4 / (1e-4 * math.sqrt(6)))


def test_one_step_of_the_average() -> None:
    history = seconds(10, 1e-4)
    history.update_scales(T0 + 10 * S, backfill=False)  # x = 1e-3
    for second in range(11, 21):
        history.observe(sample(T0 + second * S, 100 * math.exp(1e-3)))
    history.update_scales(T0 + 20 * S, backfill=False)  # x = 0
    assert history.scales[-1].fast["return"] == pytest.approx(1e-6 * 0.5 ** (10 / 3600))
    assert history.scales[-1].slow["return"] == pytest.approx(0.5e-6)  # a plain mean of two


def test_a_tick_without_both_ends_updates_nothing() -> None:
    history = seconds(20, 1e-4, skip=(18, 19, 20))
    history.update_scales(T0 + 20 * S, backfill=False)
    assert history.scales[-1].updates == 0


def test_a_backfilled_minute_is_six_updates_of_a_sixth() -> None:
    history = minutes([0.0, 0.06, 0.06])
    history.update_scales(T0 - MINUTE, backfill=True)
    history.samples.pop()
    first = history.scales[-1]
    assert first.updates == 6
    assert first.fast["oi"] == pytest.approx(0.06**2 / 6)
    history.update_scales(T0, backfill=True)
    assert history.scales[-1].fast["oi"] == pytest.approx(0.06**2 / 6 * (1 - ALPHA_FAST) ** 6)
    assert history.scales[-1].slow["oi"] == pytest.approx(0.06**2 / 12)


def test_scale_floors() -> None:
    history = seconds(700)
    for tick in range(10, 701, 10):
        history.update_scales(T0 + tick * S, backfill=False)
    assert history.z_of(2e-5, "return", T0 + 700 * S, 60, slow=False) == pytest.approx(2.0)
    assert history.z_of(-2e-6, "oi", T0 + 700 * S, 60, slow=False) == pytest.approx(-2.0)
    assert history.z_of(2e-5, "return", T0 + 700 * S, 60, slow=True) is None


# minute values


def test_a_minutes_value_is_its_last_and_the_running_minute_does_not_count() -> None:
    history = minutes([0.01 * i for i in range(61)])  # the 61st is the running minute's
    level = history.level("elr", T0)
    # 60 values 0.00 .. 0.59: median 0.295, MAD 0.15; the value 0.60
    assert (level.n, level.horizon_h) == (60, 1)
    assert level.value == pytest.approx(0.60)
    assert level.z == pytest.approx((0.60 - 0.295) / (1.4826 * 0.15))
    assert level.percentile == 1.0
    history.observe(sample(T0 + S, ln_oi_index=0.2))
    history.observe(sample(T0 + 59 * S, ln_oi_index=0.305))
    history.observe(sample(T0 + 60 * S, ln_oi_index=0.305))
    level = history.level("elr", T0 + 60 * S)
    # 61 values, 31 of them below 0.305 (0.00 .. 0.30) and the one of 0.305
    assert level.percentile == pytest.approx((31 + 0.5) / 61)


def test_below_sixty_values_nothing_is_said() -> None:
    level = minutes([0.01 * i for i in range(60)]).level("elr", T0)
    assert (level.n, level.z, level.percentile) == (59, None, None)


def test_a_flat_series_has_z_zero_and_percentile_one_half() -> None:
    level = minutes([0.5] * 70).level("elr", T0)
    assert (level.z, level.percentile) == (0.0, 0.5)


def test_the_floor_of_the_deviation() -> None:
    values = [0.0] * 70 + [0.0029652]
    assert minutes(values).level("elr", T0).z == pytest.approx(2.0)  # 1.4826e-3 twice


def test_older_values_count_ten_each_one_in_ten_minutes() -> None:
    # 1500 minutes: 1440 in the last 24 h, 60 older, 6 of them on a full ten minutes
    history = minutes([0.0] * 60 + [1.0] * 1440 + [0.5])
    level = history.level("elr", T0)
    assert (level.n, level.horizon_h) == (1440 + 60, 25)
    assert level.percentile == pytest.approx(60 / 1500)
    assert isinstance(level.percentile, Loose)
    assert level.percentile.slack == 0.0  # none of the older values is within a bin of 0.5
    assert history.change(T0, 24) == pytest.approx(-0.5)


def test_slack_is_half_the_older_weight_near_the_value() -> None:
    percentile = minutes([0.5] * 60 + [1.0] * 1440 + [0.501]).level("elr", T0).percentile
    assert isinstance(percentile, Loose)
    assert percentile.slack == pytest.approx(0.5 * 60 / 1500)


def test_change_over_a_day_needs_exactly_that_minute() -> None:
    assert minutes([0.0] * 1440).change(T0, 24) is None
    assert minutes([0.25] + [0.0] * 1440).change(T0, 24) == pytest.approx(-0.25)


def test_change_over_a_week_is_from_the_close_of_a_full_hour() -> None:
    history, week = History(), 7 * 24 * HOUR

    def after(at: int, ln_oi_index: float, quorum: bool = True) -> float | None:
        history.observe(sample(T0 + at, ln_oi_index=ln_oi_index, quorum=quorum))
        return history.change_7d(T0 + at)

    assert [after(-3 * S, 0.1), after(0, 0.2), after(S, 0.3), after(HOUR - S, 0.25)] == [None] * 4
    assert after(week - S, 0.5) is None  # the hour before T0 has no close
    assert after(week, 0.5) == pytest.approx(0.5 - 0.2)  # a sample on the full hour is its close
    assert after(week + HOUR - S, 0.6) == pytest.approx(0.6 - 0.2)  # up to an hour more than a week
    assert after(week + HOUR, 0.6) == pytest.approx(0.6 - 0.25)  # the last of its hour, not the first
    assert after(week + HOUR + S, 0.6, quorum=False) is None
    assert after(week + 2 * HOUR, 0.6) is None  # a week before nothing was sampled in the hour


def test_log_bins() -> None:
    ratio = 10 ** (9 / 512)
    assert log_bin_centre(0.0) == pytest.approx(1e-8 * math.sqrt(ratio))
    assert log_bin_centre(1e-8 * ratio**100 * 1.001) == pytest.approx(1e-8 * ratio**100.5)
    assert log_bin_centre(50.0) == pytest.approx(10 / math.sqrt(ratio))


def test_realised_volatility() -> None:
    history = History()
    for i in range(63):  # the price alternates by 1 %: every squared return is 1e-4, so a day has sqrt(0.144)
        history.observe(sample(T0 + i * MINUTE, 100 * math.exp(0.01 * (i % 2)), step_s=60))
    ts = T0 + 61 * MINUTE
    history.samples.pop()
    history.complete_minutes(ts)
    # minutes 0 .. 60 are complete: 60 returns at minute 60, the first value; its own past is empty
    level = history.level("volatility", ts)
    assert level.value == pytest.approx(math.sqrt(1e-4 * 1440))
    assert level.n == 0


# continuity


def test_continuity_before_the_first_sample_is_full() -> None:
    assert seconds(100).continuity(T0 + 100 * S) == 1.0


def test_continuity_counts_seconds_not_full_and_seconds_without_a_sample() -> None:
    history = History()
    for second in range(1, 101):
        if not 41 <= second <= 60:
            history.observe(sample(T0 + second * S, full_set=second > 40))
    # 40 s not full, 20 s without any sample: 60 of 3600
    assert history.continuity(T0 + 100 * S) == pytest.approx(1 - 0.5 * 60 / 3600)
    # 3580 s later seconds 81 .. 100 are left of it, full; the 3580 after them were not sampled
    history.observe(sample(T0 + 3680 * S))
    assert history.continuity(T0 + 3680 * S) == pytest.approx(1 - 0.5 * 3579 / 3600)


def test_a_backfilled_minute_weighs_sixty_seconds() -> None:
    history = History()
    for minute in range(61):
        history.observe(sample(T0 + minute * MINUTE, step_s=60, full_set=minute != 30))
    assert history.continuity(T0 + HOUR) == pytest.approx(1 - 0.5 / 60)
    assert DAY == 24 * HOUR


# where a window begins


def warm(gap_s: int = 20) -> History:
    """Minutes up to T0, live from ``gap_s`` on: 0.001 of ln price and 0.01 of ln oi_index a second all the time."""
    history = History()
    for minute in range(-3, 1):
        history.observe(sample(T0 + minute * MINUTE, 100 * math.exp(0.06 * minute), 0.6 * minute, step_s=60))
    for second in range(gap_s, 381):
        history.observe(sample(T0 + second * S, 100 * math.exp(0.001 * second), 0.01 * second))
    return history


def test_a_start_between_backfilled_minutes_is_interpolated() -> None:
    window = warm().window(T0 + 30 * S, "1m", 60)  # from half past, between two minutes
    assert window.ready
    assert window.backfilled
    assert window.ret == pytest.approx(0.06)
    assert window.oi_change == pytest.approx(0.6)


def test_a_start_in_the_gap_before_live_is_interpolated() -> None:
    history = warm()
    for at in (303, 310, 317):
        window = history.window(T0 + at * S, "5m", 300)
        assert (window.ready, window.backfilled) == (True, True)
        assert window.ret == pytest.approx(0.3)
        assert window.oi_change == pytest.approx(3.0)
    near = history.window(T0 + 318 * S, "5m", 300)  # 2 s before the first live sample: that one is the start
    assert (near.ready, near.backfilled) == (True, False)
    assert near.ret == pytest.approx(0.298)


def test_a_sample_within_two_seconds_is_used_as_it_is() -> None:
    window = warm().window(T0 + 302 * S, "5m", 300)
    assert (window.ready, window.backfilled) == (True, True)
    assert window.ret == pytest.approx(0.302)


def test_an_interpolated_start_does_not_fill_the_window() -> None:
    assert warm(6).window(T0 + 63 * S, "1m", 60).ready  # 58 of 60 s
    assert not warm(11).window(T0 + 63 * S, "1m", 60).ready  # 53
    # 22 s are empty: in the way from 60 s on, until all but 6 of them have left
    ready = [warm(23).window(T0 + at * S, "1m", 60).ready for at in (30, 59, 60, 75, 76)]
    assert ready == [True, True, False, False, True]
    # 3 minutes, and of the 120 s since then 90 or 89
    assert warm(31).window(T0 + 120 * S, "5m", 300).ready
    assert not warm(32).window(T0 + 120 * S, "5m", 300).ready


def test_live_samples_are_not_joined_nor_what_is_more_than_a_minute_apart() -> None:
    live = seconds(100, 1e-3, skip=tuple(range(20, 26)))
    assert live.start(T0 + 22 * S + 500) is None
    assert warm(60).start(T0 + 30 * S) is not None
    assert warm(61).start(T0 + 30 * S) is None
    assert warm().start(T0 - 4 * MINUTE) is None
    assert warm().start(T0 + 383 * S) is None  # nothing after it


def test_samples_without_quorum_lie_between_two_that_have_it() -> None:
    history = warm(60)
    history.samples.insert(4, sample(T0 + 30 * S, quorum=False))
    start = history.start(T0 + 30 * S)
    assert start is not None
    assert start.ln_oi_index == pytest.approx(0.3)


def test_scales_and_ends_are_never_interpolated() -> None:
    history = warm()
    history.update_scales(T0 + 20 * S, backfill=False)
    assert history.scales[-1].updates == 0
    assert not warm(30).window(T0 + 20 * S, "1m", 60).ready


def test_backfilled_until() -> None:
    history = warm()
    assert history.backfilled_until(T0 + 30 * DAY - 1) == T0
    assert history.backfilled_until(T0 + 30 * DAY) is None
    assert seconds(3).backfilled_until(T0 + 3 * S) is None
