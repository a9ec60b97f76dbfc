from __future__ import annotations

from itertools import pairwise

import pytest

from service.simulation.minutes import HOUR_MS, KEEP_HOURS, KEEP_MINUTES, MINUTE_MS, Bar, Point, Records

FIRST = 28_000_000 * MINUTE_MS  # a multiple of five minutes


def filled(count: int) -> Records:
    records = Records()
    for number in range(count):
        records.note(FIRST + number * MINUTE_MS, 100.0 + number, 200.0 + number, 10.0 + number)
    return records


def test_points_lie_within_the_span_at_whole_periods() -> None:
    records = filled(12)
    assert [point.ts - FIRST for point in records.points(FIRST + 1, FIRST + 3 * MINUTE_MS)] == [
        MINUTE_MS, 2 * MINUTE_MS, 3 * MINUTE_MS,
    ]  # fmt: skip
    assert records.points(0, FIRST) == [Point(FIRST, 100.0, 200.0, 10.0)]
    assert [point.contracts for point in records.points(0, 2 * FIRST, 5 * MINUTE_MS)] == [10.0, 15.0, 20.0]
    assert records.points(FIRST + 20 * MINUTE_MS, 2 * FIRST) == []
    assert Records().points(0, FIRST) == []
    assert Records().bars("mark", 0, FIRST, 1, FIRST, 5.0) == []


def test_a_gap_is_refused() -> None:
    records = filled(3)
    with pytest.raises(ValueError, match="does not follow"):
        records.note(FIRST + 4 * MINUTE_MS, 1.0, 1.0, 1.0)
    assert records.last_ms == FIRST + 2 * MINUTE_MS


def test_a_bar_closes_with_the_value_at_its_end_and_the_running_one_with_now() -> None:
    records = filled(3)
    now_ms = FIRST + 2 * MINUTE_MS + 30_000
    assert records.bars("mark", FIRST, now_ms, 1, now_ms, 99.0) == [
        Bar(FIRST, 100.0, 101.0, 100.0, 101.0, True),
        Bar(FIRST + MINUTE_MS, 101.0, 102.0, 101.0, 102.0, True),
        Bar(FIRST + 2 * MINUTE_MS, 102.0, 102.0, 99.0, 99.0, False),
    ]
    assert records.bars("index", FIRST, FIRST, 5, now_ms, 199.0) == [Bar(FIRST, 200.0, 202.0, 199.0, 199.0, False)]
    assert records.bars("index", FIRST + 1, FIRST + MINUTE_MS, 1, now_ms, 0.0) == [
        Bar(FIRST + MINUTE_MS, 201.0, 202.0, 201.0, 202.0, True)
    ]


def test_three_days_are_kept() -> None:
    count = KEEP_MINUTES + 2000
    records = filled(count)
    points = records.points(0, 2 * FIRST)
    assert KEEP_MINUTES <= len(points) <= KEEP_MINUTES + 600
    assert points[-1] == Point(FIRST + (count - 1) * MINUTE_MS, 99.0 + count, 199.0 + count, 9.0 + count)
    assert points[0].mark == 100.0 + (points[0].ts - FIRST) / MINUTE_MS


def test_full_hours_are_kept_for_a_month_and_go_on_from_the_month_before() -> None:
    def older(ts: int) -> Point | None:
        return Point(ts, 1.0, 2.0, 3.0) if ts >= FIRST - 700 * HOUR_MS else None

    records = Records(older)
    count = KEEP_MINUTES + 60 * 24
    for number in range(count):
        records.note(FIRST + number * MINUTE_MS, 100.0 + number, 200.0 + number, 10.0 + number)
    first_hour = -(-FIRST // HOUR_MS) * HOUR_MS
    hours = records.points(0, 2 * FIRST, HOUR_MS)
    assert hours[-1].ts == records.last_ms // HOUR_MS * HOUR_MS
    assert hours[0].ts == -(-(records.last_ms - KEEP_HOURS * HOUR_MS) // HOUR_MS) * HOUR_MS
    assert len(hours) == KEEP_HOURS  # without a gap, over all three sources
    seam = [point for point in hours if first_hour - HOUR_MS <= point.ts <= first_hour]
    assert seam == [
        Point(first_hour - HOUR_MS, 1.0, 2.0, 3.0),
        Point(first_hour, *(base + (first_hour - FIRST) / MINUTE_MS for base in (100.0, 200.0, 10.0))),
    ]
    bars = records.bars("mark", 0, 2 * FIRST, 60, records.last_ms, 0.0)
    assert len(bars) == KEEP_HOURS
    assert all(earlier.close == later.open for earlier, later in pairwise(bars))
    assert [bar.closed for bar in bars[-2:]] == [True, False]
    assert records.points(0, FIRST - 1) == []  # of minutes there is nothing older
