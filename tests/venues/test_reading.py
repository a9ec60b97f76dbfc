"""Shared decoder parts: parsing guards, settlement spacings, delisting by absence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadPayload
from service.model import Bad, Decoded, Listing
from service.venues.emit import (
    HOUR_MS,
    contract_coins,
    document,
    echo,
    guarded,
    items,
    label,
    mapping,
    need,
    said,
    spacings_h,
)
from service.venues.numbers import price

START = 1_700_000_000_000


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "bad_json"),
        ("NaN", "bad_json"),
        ('{"a":1e999}', "bad_json"),
        ("[" * 2000, "too_deep"),
        (b"\xff", "bad_json"),
    ],
)
def test_document_refuses(raw: str | bytes, reason: str) -> None:
    with pytest.raises(BadPayload, match=reason):
        document(raw)


def test_types_are_checked() -> None:
    assert mapping({}, "x") == {}
    assert items([], "x") == []
    assert label("", "x") == ""
    assert label("a" * 99, "x") == "a" * 64
    for call in (lambda: mapping([], "x"), lambda: items({}, "x"), lambda: label(None, "x")):
        with pytest.raises(BadPayload, match="wrong_type"):
            call()
    with pytest.raises(BadPayload, match="missing_field: a"):
        need({}, "a")
    assert need({"a": None}, "a") is None


def test_echo_is_bounded_text() -> None:
    assert echo("a" * 500) == "a" * 200
    assert echo(7) == "7"
    assert echo(None) == echo({}) == echo([1]) == ""


def test_absent_or_empty_is_unsaid_never_zero() -> None:
    assert said({}, "a", price) is None
    assert said({"a": ""}, "a", price) is None
    assert said({"a": "2.5"}, "a", price) == 2.5
    with pytest.raises(BadPayload):
        said({"a": None}, "a", price)


@pytest.mark.parametrize(
    ("inverse", "size", "multiplier", "coins"),
    [
        (False, 0.01, 1.0, 0.01),  # linear: whatever the price
        (False, None, 1.0, None),
        (True, 10.0, 1.0, 0.004),  # 10 dollars at 2,500
        (True, 10.0, 0.001, 0.000004),  # priced per token, counted in thousands
        (True, None, 1.0, None),
    ],
)
def test_coins_per_contract(inverse: bool, size: float | None, multiplier: float, coins: float | None) -> None:
    assert contract_coins(Listing("v", "X", "X", inverse, size, multiplier, None, True, 0), 2500.0) == coins


def test_guarded_turns_a_refusal_into_one_bad_item() -> None:
    out: list[Decoded] = []

    def refuse() -> None:
        raise BadPayload("bad_number", "x")

    assert not guarded(out, refuse)
    assert guarded(out, lambda: None)
    assert out == [Bad("bad_number", "x")]


def test_spacings() -> None:
    hours = (0, 4, 8, 9, 25, 26.5)
    times = [START + int(hour * HOUR_MS) for hour in hours]
    found = spacings_h(times, (1, 4))
    assert [found[at] for at in times] == [4.0, 4.0, 4.0, 1.0, None, None]
    assert spacings_h([START], (1,)) == {}
    assert spacings_h([], (1,)) == {}


@given(st.lists(st.integers(0, 40), min_size=2, max_size=20, unique=True), st.integers(0, 59_000))
def test_spacings_ignore_order_and_small_delays(hours: list[int], jitter_ms: int) -> None:
    exact = [START + hour * HOUR_MS for hour in hours]
    late = [at + (jitter_ms if index % 2 else 0) for index, at in enumerate(exact)]
    one, other = spacings_h(exact, (1, 2, 4, 8)), spacings_h(list(reversed(late)), (1, 2, 4, 8))
    assert [one[at] for at in exact] == [other[at] for at in late]
