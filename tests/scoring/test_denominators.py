"""Daily means at their exact limits; state and shifts of bases and means."""

from __future__ import annotations

import json

import pytest

from service.scoring.denominators import DAY_MS, HOUR_MS, DailyMeans, DenominatorState

DAY0 = 20_000  # a day since the epoch
TICK_MS = 10_000


def day(means: DailyMeans, number: int, value: float | None, ticks: int = 8_640) -> None:
    """One UTC day of ticks, the first ``ticks`` of them with ``value``."""
    start = (DAY0 + number) * DAY_MS
    for n in range(8_640):
        means.observe(start + n * TICK_MS, value if n < ticks else None)


def at_noon(means: DailyMeans, number: int) -> dict[str, float | None]:
    means.observe((DAY0 + number) * DAY_MS + 12 * HOUR_MS, None)
    return means.means()


def counted(days: list[tuple[int, float]]) -> DailyMeans:
    """Days of half their ticks, each one observation of the weight of as many."""
    means = DailyMeans()
    for number, value in days:
        means.observe((DAY0 + number) * DAY_MS, value, 4_320)
    return means


@pytest.mark.parametrize(("ticks", "expected"), [(4_320, 2.5), (4_319, None), (8_640, 2.5)])
def test_a_day_counts_with_half_of_its_ticks(ticks: int, expected: float | None) -> None:
    means = DailyMeans()
    day(means, 0, 2.5, ticks)
    assert means.means()["1d"] is None  # it is not over
    assert at_noon(means, 1)["1d"] == expected


def test_midnight_belongs_to_the_new_day() -> None:
    means = DailyMeans()
    means.observe(DAY0 * DAY_MS, 1.0, 4_320)
    means.observe((DAY0 + 1) * DAY_MS, 7.0, 4_320)
    assert means.means()["1d"] == 1.0
    assert at_noon(means, 2)["1d"] == 7.0


def test_a_value_of_zero_counts() -> None:
    assert at_noon(counted([(0, 0.0)]), 1)["1d"] == 0.0


def test_the_last_completed_day_is_yesterday_or_none() -> None:
    means = counted([(0, 3.0)])
    assert at_noon(means, 1)["1d"] == 3.0
    assert at_noon(means, 2)["1d"] is None


@pytest.mark.parametrize(("name", "span", "least"), [("7d", 7, 5), ("30d", 30, 21)])
def test_means_over_the_days_that_count(name: str, span: int, least: int) -> None:
    values = [(number, float(number)) for number in range(span)]
    assert at_noon(counted(values), span)[name] == pytest.approx((span - 1) / 2)
    last = values[span - least :]
    assert at_noon(counted(last), span)[name] == pytest.approx(sum(v for _, v in last) / least)
    assert at_noon(counted(last[1:]), span)[name] is None
    # a day later the first of the span is too old
    assert at_noon(counted(values), span + 1)[name] == pytest.approx(span / 2)


def test_only_thirty_days_are_kept() -> None:
    means = counted([(number, 1.0) for number in range(200)])
    assert len(means.dump()["_days"]) == 30
    assert at_noon(means, 400)["30d"] is None
    assert means.dump()["_days"] == []


def test_means_resume_and_shift_by_whole_days() -> None:
    means = counted([(number, float(number)) for number in range(8)])
    other = DailyMeans()
    other.load(json.loads(json.dumps(means.dump())))
    assert at_noon(other, 8) == at_noon(means, 8)
    means.reanchor(-3 * HOUR_MS)
    assert at_noon(means, 8) == at_noon(other, 8)
    means.reanchor(2 * DAY_MS + HOUR_MS)
    assert at_noon(means, 10) == at_noon(other, 8)


def test_after_a_backward_shift_over_midnight_ticks_count_for_the_running_day() -> None:
    means = counted([(0, 1.0), (1, 5.0)])
    means.observe((DAY0 + 1) * DAY_MS - HOUR_MS, 5.0)  # the clock went back: yesterday is over all the same
    assert means.means()["1d"] == 1.0
    assert at_noon(means, 2)["1d"] == 5.0


def test_a_base_resumes_with_its_change_and_shifts_it() -> None:
    first = DenominatorState()
    first.replace([("x", 2.0)], 5, "s", "l", 1.0)
    first.observe(1_000)
    first.replace([("x", 3.0)], 6, "t", "m", 2.0)
    second = DenominatorState()
    second.load(json.loads(json.dumps(first.dump())))
    for one in (first, second):
        one.observe(11_000)
        assert one.changed(11_000 + HOUR_MS - 1)
        assert not one.changed(11_000 + HOUR_MS)
        one.reanchor(-10_000)
        assert not one.changed(1_000 + HOUR_MS)
        assert one.described(6 + HOUR_MS) == {"coins": 3.0, "as_of": 6, "age_h": 1.0, "source": "t", "licence": "m"}
    assert first.dump() == second.dump()


def test_no_base_is_nothing_at_all() -> None:
    empty = DenominatorState()
    empty.observe(0)
    assert (empty.total, empty.described(0), empty.stale(10**15), empty.changed(0)) == (None, None, False, False)
