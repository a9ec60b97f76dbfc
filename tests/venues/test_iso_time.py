"""Strict ISO times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadPayload
from service.venues.iso_time import iso_epoch_ms, iso_ms


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2025-11-21T10:00:00.000Z", 1763719200000),
        ("2025-11-21T10:00:00Z", 1763719200000),
        ("2025-11-21T10:00:00.219999Z", 1763719200219),
        ("2025-11-21T10:00:00.219999999Z", 1763719200219),
        ("2025-11-21T10:00:00.2Z", 1763719200200),
    ],
)
def test_times(value: str, expected: int) -> None:
    assert iso_ms(value) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1763719200000, "wrong_type"),
        (None, "wrong_type"),
        ("", "bad_number"),
        ("2025-11-21", "bad_number"),
        ("2025-11-21T10:00:00", "bad_number"),
        ("2025-11-21T10:00:00+00:00", "bad_number"),
        ("2025-11-21 10:00:00Z", "bad_number"),
        ("2025-11-21T10:00:00.\u0661Z", "bad_number"),
        ("2025-11-21T10:00:00.Z", "bad_number"),
        ("2025-13-21T10:00:00Z", "out_of_bounds"),
        ("2025-02-29T10:00:00Z", "out_of_bounds"),
        ("2025-11-21T24:00:00Z", "out_of_bounds"),
        ("2025-11-21T25:00:00Z", "out_of_bounds"),
        ("2025-11-21T23:60:00Z", "out_of_bounds"),
        ("0000-01-01T00:00:00Z", "out_of_bounds"),
        ("2000-01-01T08:00:00.000Z", "out_of_bounds"),
        ("2101-01-01T00:00:00Z", "out_of_bounds"),
    ],
)
def test_refused(value: object, reason: str) -> None:
    with pytest.raises(BadPayload) as caught:
        iso_ms(value)
    assert caught.value.reason == reason


@given(st.integers(0, 4_102_444_800_000))
def test_every_millisecond_survives(at: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)
    assert iso_epoch_ms(moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at % 1000:03d}Z") == at
