from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.simulation.protocol import Session, epoch_ms, fixed, iso, parse, strings, trimmed
from service.venues.numbers import iso_ms

MOMENTS = st.integers(1_500_000_000_000, 2_500_000_000_000)


@pytest.mark.parametrize(
    ("value", "digits", "least", "text"),
    [
        (83024.7, 2, 0, "83024.7"),
        (79890.0, 1, 1, "79890.0"),
        (100.0, 0, 1, "100.0"),
        (100.0, 8, 0, "100"),
        (0.0000125, 10, 1, "0.0000125"),
        (-0.0000001, 4, 0, "0"),
        (0.0, 10, 1, "0.0"),
    ],
)
def test_trimmed(value: float, digits: int, least: int, text: str) -> None:
    assert trimmed(value, digits, least) == text


def test_fixed() -> None:
    assert fixed(0.00001, 8) == "0.00001000"


def test_parse_and_strings_trust_nothing() -> None:
    assert parse("{") is None
    assert parse('{"a":1}') == {"a": 1}
    assert strings(["a", "b"]) == ["a", "b"]
    assert strings(["a", 1]) is None
    assert strings("ab") is None


def test_a_session_counts_the_messages_of_a_second() -> None:
    session = Session("ws", "c", 1_000)
    assert [session.count_in(ms) for ms in (5_000, 5_400, 5_999, 6_000)] == [1, 2, 3, 1]
    assert session.last_in_ms == 6_000


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
