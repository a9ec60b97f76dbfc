from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.simulation.iso import epoch_ms, iso
from service.venues.iso_time import iso_ms

MOMENTS = st.integers(1_500_000_000_000, 2_500_000_000_000)


@given(MOMENTS)
def test_the_text_is_read_as_what_was_written(ms: int) -> None:
    assert epoch_ms(iso(ms)) == ms == iso_ms(iso(ms))


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2025-11-21T10:14:00.219Z", 1_763_720_040_219),
        ("2025-11-21", 1_763_683_200_000),
        ("2025-11-21T11:14:00+01:00", 1_763_720_040_000),
        ("2025-11-21T10:14", 1_763_720_040_000),
        ("yesterday", None),
        ("", None),
    ],
)
def test_what_clients_may_ask_with(text: str, ms: int | None) -> None:
    assert epoch_ms(text) == ms
