"""Funding intervals measured from the announced times."""

from __future__ import annotations

import pytest

from service.venues.contract import Catalog
from service.venues.emit import beyond
from service.venues.funding_schedule import HOUR_MS, running_interval, stated_and_running

T8 = 1_763_712_000_000  # 08:00 UTC


def measured(*said: tuple[int, int]) -> dict[str, float | None]:
    """What is measured after these (next time, when it was said), in ms after 08:00."""
    catalog = Catalog()
    for next_ts, at in said:
        running_interval(catalog, "X", 8.0, T8 + next_ts, T8 + at, (1, 2, 4, 8))
    return catalog.measured_h


@pytest.mark.parametrize(
    ("said", "hours"),
    [
        ([(0, -1000), (4 * HOUR_MS, 1000)], {"X": 4.0}),
        ([(0, -1000), (4 * HOUR_MS, 0)], {"X": 4.0}),
        ([(0, -1000), (4 * HOUR_MS, HOUR_MS - 1)], {"X": 4.0}),
        ([(0, -1000), (4 * HOUR_MS, HOUR_MS)], {}),  # seen too late: settlements may have been missed
        ([(0, -1000), (3 * HOUR_MS, 1000)], {"X": None}),
        ([(0, -1000), (HOUR_MS + 1, 1000)], {"X": None}),
        # Cause: said some milliseconds early, a rollover counted as rearranged: no interval for a whole period.
        ([(0, -70_000), (HOUR_MS, -60_000)], {"X": 1.0}),
        ([(0, -70_000), (HOUR_MS, -60_001)], {"X": None}),  # rearranged before the old time has passed
        ([(0, -70_000), (4 * HOUR_MS, -1000), (0, -500), (4 * HOUR_MS, 500)], {"X": 4.0}),  # one server still lags
        ([(0, -1000), (HOUR_MS, 1000), (0, -5000), (HOUR_MS, 2000)], {"X": 1.0}),  # a late message in between
        ([(0, -1000), (0, 1000)], {}),
        ([(4 * HOUR_MS, 0)], {}),
    ],
)
def test_measured_intervals(said: list[tuple[int, int]], hours: dict[str, float | None]) -> None:
    assert measured(*said) == hours


def followed(*said: tuple[float | None, int, int]) -> list[float | None]:
    """The intervals after these (stated hours, next time in hours, when it was said in minutes), after 08:00."""
    catalog = Catalog()
    return [
        stated_and_running(catalog, "X", stated_h, T8 + next_h * HOUR_MS, T8 + at * 60_000, (1, 2, 4, 8))
        for stated_h, next_h, at in said
    ]


@pytest.mark.parametrize(
    ("said", "hours"),
    [
        # stated at first sight; of another interval it is not known whether it is the running period's
        ([(8.0, 8, 1), (1.0, 8, 420), (1.0, 9, 480), (1.0, 9, 490)], [8.0, None, 1.0, 1.0]),
        ([(1.0, 1, 1), (8.0, 1, 30), (8.0, 8, 61)], [1.0, None, None]),  # 7 h are no interval: in doubt until 16:00
        ([(1.0, 1, 1), (1.0, 2, 60), (4.0, 2, 70), (4.0, 6, 120)], [1.0, 1.0, 1.0, 4.0]),  # measured: sure
        ([(8.0, 8, 1), (1.0, 8, 2), (8.0, 8, 3)], [8.0, None, None]),  # and back: still in doubt
        ([(None, 8, 1), (4.0, 8, 2), (None, 8, 3)], [None, 4.0, None]),  # nothing said is no other interval
        ([(4.0, 0, -1), (4.0, 4, 1), (4.0, 12, 500)], [4.0, 4.0, 4.0]),  # missed one: stated as measured before
        ([(4.0, 0, -1), (4.0, 4, 1), (1.0, 9, 500), (1.0, 10, 541)], [4.0, 4.0, None, 1.0]),  # or not
        ([(6.0, 0, -1), (6.0, 6, 1)], [6.0, 6.0]),  # a length that is stated is one that the venue has
    ],
)
def test_a_stated_interval_may_be_the_next_periods(
    said: list[tuple[float | None, int, int]], hours: list[float | None]
) -> None:
    assert followed(*said) == hours


def test_a_period_ends_within_its_length() -> None:
    """Cause: a settlement in three hours, stated as hourly: the rate of the longer period counted three times."""
    for hours, away_ms, wrong in ((1.0, 3 * HOUR_MS, True), (8.0, 8 * HOUR_MS + 600_000, False)):
        assert beyond(hours, T8 + away_ms, T8) is wrong
    assert beyond(8.0, T8 + 8 * HOUR_MS + 600_001, T8)
    assert not beyond(None, T8 + 9 * HOUR_MS, T8)
    assert not beyond(8.0, None, T8)
    assert not beyond(8.0, T8 + 9 * HOUR_MS, None)
