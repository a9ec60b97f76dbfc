"""The strict parser accepts exactly finite JSON numbers inside the bounds, and one shape of ISO times."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import BadPayload
from service.venues.numbers import (
    COINS_MAX,
    PRICE_MAX,
    PRICE_MIN,
    TS_MAX,
    TS_MIN,
    coins,
    interval_hours,
    iso_epoch_ms,
    iso_ms,
    number,
    price,
    rate,
    text,
    timestamp_ms,
)

ACCEPTED = {
    "0": 0.0, "-0": 0.0, "0.0": 0.0, "1": 1.0, "-1": -1.0, "10": 10.0, "0.5": 0.5, "-0.5": -0.5, "1e3": 1000.0,
    "1E3": 1000.0, "1e+3": 1000.0, "1e-3": 0.001, "1.5e2": 150.0, "0e0": 0.0, "123456789": 123456789.0,
    "83024.70": 83024.7, "0.00000001": 1e-8, "2874486.99000000925": 2874486.99000000925, "-0.00007774": -7.774e-05,
    "0.0000100000000000000000000000": 1e-05, "1e-320": 1e-320,
}  # fmt: skip
REFUSED = (
    "", " ", "nan", "NaN", "NAN", "inf", "-inf", "Infinity", "-Infinity", "1e999", "-1e999", "1_000", "1,000",
    "1.", ".5", "+1", "--1", "-", "e5", "1e", "1e+", "01", "00", "-01", "0x10", "0b1", "1 ", " 1", "1\n", "\t1",
    "\u0661", "\uff11", "\u00b2", "1\u00a0", "true", "null", "None", "1.0.0", "1e1.5", "1f", "1d", "1L", "$1", "1%",
    "\u22121", "1\u2009000", "0" * 65, "1" * 65, "\x001", "1e99999999999", "1/2", "(1)", "[1]", "1;", "1'000",
)  # fmt: skip


@pytest.mark.parametrize(("written", "value"), ACCEPTED.items())
def test_json_numbers_are_accepted(written: str, value: float) -> None:
    assert number(written, -1e300, 1e300) == value


@pytest.mark.parametrize("written", REFUSED)
def test_everything_else_is_refused(written: str) -> None:
    with pytest.raises(BadPayload):
        number(written, -math.inf, math.inf)


@pytest.mark.parametrize("value", [None, True, False, [], {}, b"1", "1".encode])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(BadPayload, match="wrong_type"):
        number(value, -1e300, 1e300)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, -(10**400), 1e301])
def test_numbers_beyond_all_bounds_are_refused(value: float) -> None:
    with pytest.raises(BadPayload, match="out_of_bounds"):
        number(value, -1e300, 1e300)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e299, max_value=1e299))
def test_a_float_and_its_shortest_text_agree(value: float) -> None:
    assert number(json.dumps(value), -1e299, 1e299) == number(value, -1e299, 1e299) == value


@given(st.text(max_size=20))
def test_accepts_no_text_that_json_does_not(written: str) -> None:
    try:
        parsed = number(written, -1e299, 1e299)
    except BadPayload:
        return
    assert json.loads(written) == parsed
    assert written.strip() == written


PARSERS: tuple[tuple[Callable[[Any], float], float, float], ...] = (
    (price, PRICE_MIN, PRICE_MAX),
    (coins, 0.0, COINS_MAX),
    (rate, -1.0, 1.0),
    (timestamp_ms, TS_MIN, TS_MAX),
)
ALMOST_NUMBERS = st.one_of(
    st.from_regex(r"[ \t\n\r]?-?[0-9]{0,20}(\.[0-9]{0,25})?([eE][+-]?[0-9]{0,3})?[ \t\n\r]?", fullmatch=True),
    st.text('-+.0123456789eE \t\n_,[]"', max_size=12),
    st.text(max_size=8),
    st.sampled_from([*ACCEPTED, *REFUSED, "false", '"1"', "-0.0", "1" * 64, "0." + "1" * 62, "0." + "1" * 63]),
    st.floats(),
    st.integers(-(2**70), 2**70),
    st.integers(TS_MIN - 2, TS_MAX + 2),
    st.sampled_from([None, True, False, [], [1], {}, b"1", (), 1j]),
)


def outcome(parse: Callable[[], float]) -> tuple[str, float | str]:
    try:
        value = parse()
    except BadPayload as error:
        return "refused", str(error)
    return type(value).__name__, value


@settings(max_examples=2000)
@given(ALMOST_NUMBERS)
def test_the_short_way_is_the_rule(value: Any) -> None:
    """Cause: float() took 'nan' and '1_000', orjson takes ' 1 ' and 'true'; whatever is quick must refuse the same."""
    for parse, low, high in PARSERS:
        exact = outcome(lambda low=low, high=high: number(value, low, high))  # type: ignore[misc]
        if parse is timestamp_ms and exact[0] != "refused":
            exact = ("int", int(exact[1]))
        found = outcome(lambda parse=parse: parse(value))  # type: ignore[misc]
        assert found == exact
        assert found[0] == "refused" or math.copysign(1, found[1]) == math.copysign(1, exact[1])  # type: ignore[arg-type]


def test_negative_zero_is_zero() -> None:
    assert math.copysign(1, number("-0", 0, 1)) == 1
    assert math.copysign(1, coins("-0.0")) == 1


@pytest.mark.parametrize("value", ["0", 0, "-1", "1e-16", "1000000000.1"])
def test_a_price_is_positive_and_bounded(value: object) -> None:
    with pytest.raises(BadPayload, match="out_of_bounds"):
        price(value)


def test_bounds_are_inclusive() -> None:
    assert price("1e9") == 1e9
    assert price("1e-15") == 1e-15
    assert coins("1e18") == 1e18
    assert coins(0) == 0.0
    assert rate("-1") == -1.0
    with pytest.raises(BadPayload):
        rate("1.0000001")
    with pytest.raises(BadPayload):
        coins("-0.1")


def test_timestamps_in_seconds_are_a_unit_error() -> None:
    assert timestamp_ms("1763719201123") == 1763719201123
    for wrong in (1763719201, "1763719201", 0, 1763719201123000):
        with pytest.raises(BadPayload, match="out_of_bounds"):
            timestamp_ms(wrong)


def test_intervals_are_whole_hours() -> None:
    assert interval_hours("8") == 8.0
    for wrong in (0, "0", 25, 1.5, "480"):
        with pytest.raises(BadPayload, match="out_of_bounds"):
            interval_hours(wrong)


def test_names() -> None:
    assert text("BTCUSDT") == "BTCUSDT"
    for wrong in ("", "x" * 65):
        with pytest.raises(BadPayload, match="bad_name"):
            text(wrong)
    with pytest.raises(BadPayload, match="wrong_type"):
        text(7)


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
def test_iso_times(value: str, expected: int) -> None:
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
def test_other_texts_are_no_time(value: object, reason: str) -> None:
    with pytest.raises(BadPayload) as caught:
        iso_ms(value)
    assert caught.value.reason == reason


@given(st.integers(0, 4_102_444_800_000))
def test_every_millisecond_of_a_text_survives(at: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)
    assert iso_epoch_ms(moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at % 1000:03d}Z") == at
