from __future__ import annotations

import pytest

from service.simulation.protocol import Session, fixed, parse, strings, trimmed


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
