"""Funding intervals measured from the announced times."""

from __future__ import annotations

import pytest

from service.venues.contract import Catalog
from service.venues.funding_schedule import HOUR_MS, measure_interval

T8 = 1_763_712_000_000  # 08:00 UTC


def measured(*said: tuple[int, int]) -> dict[str, float | None]:
    """What is measured after these (next time, when it was said), in ms after 08:00."""
    catalog = Catalog()
    for next_ts, at in said:
        measure_interval(catalog, "X", T8 + next_ts, T8 + at, (1, 2, 4, 8))
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
        ([(0, -1000), (HOUR_MS, -500)], {"X": None}),  # rearranged before the old time has passed
        ([(0, -1000), (HOUR_MS, 1000), (0, -5000), (HOUR_MS, 2000)], {"X": 1.0}),  # a late message in between
        ([(0, -1000), (0, 1000)], {}),
        ([(4 * HOUR_MS, 0)], {}),
    ],
)
def test_measured_intervals(said: list[tuple[int, int]], hours: dict[str, float | None]) -> None:
    assert measured(*said) == hours
