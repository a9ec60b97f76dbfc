"""The one strict parser of numbers, and of times as text, used by every venue.

``float()`` accepts ``nan``, ``inf``, ``1e999``, ``1_000``, spaces and non-Latin digits; none of these is a price.
Accepted is exactly the JSON number grammar (RFC 8259 section 6), finite, inside the stated bounds. Of ISO 8601 times
exactly the shape `2025-11-21T10:00:00.219Z` is accepted, with or without a fraction.

:func:`number` is the rule. What is read of every frame (:func:`price`, :func:`coins`, :func:`rate`,
:func:`timestamp_ms`) takes a short way first: a text without space at its ends that begins with a digit or a minus is,
if orjson takes it, one JSON number and nothing else. Whatever the short way does not take goes to the rule, which
accepts it or says what is wrong. tests/venues/test_numbers.py holds the two ways against each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

import orjson

from service.errors import BadPayload

_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII).fullmatch
_ISO_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?Z", re.ASCII).fullmatch
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
MAX_TEXT = 64  # venues send up to about 25 characters; a longer text is not a number we want to parse

PRICE_MIN = 1e-15  # far below any token; keeps 1/price finite
PRICE_MAX = 1e9
COINS_MAX = 1e18
RATE_MAX = 1.0  # a funding fraction per interval; 100 % is already absurd, venue caps are checked in the market
SHARES_SLACK = 0.01  # two shares add up to 1, with four digits each
TS_MIN = 1_262_304_000_000  # 2010-01-01, in ms: anything earlier is a unit error (seconds for milliseconds)
TS_MAX = 4_102_444_800_000  # 2100-01-01


def number(value: Any, low: float, high: float) -> float:
    """A finite float in [low, high] from a JSON number or its text. Raises :exc:`BadPayload`.

    >>> number("83024.70", 0, PRICE_MAX)
    83024.7
    """
    kind = type(value)
    if kind is str:
        if len(value) > MAX_TEXT or _JSON_NUMBER(value) is None:
            raise BadPayload("bad_number", repr(value[:40]))
        result = float(value)
    elif kind is float or kind is int:
        result = float(value) if abs(value) < 1e300 else float("inf")
    else:
        raise BadPayload("wrong_type", f"{kind.__name__} where a number belongs")
    if not isfinite(result) or not low <= result <= high:
        raise BadPayload("out_of_bounds", f"{value!r} not in [{low:g}, {high:g}]"[:80])
    return result + 0.0  # -0.0 becomes 0.0


def within(low: float, high: float) -> Callable[[Any], float]:
    """:func:`number` with these bounds, quick for what is accepted. Same values, same refusals."""
    loads = orjson.loads  # looked up once: this runs several times a frame

    def parse(value: Any) -> float:
        kind = type(value)
        if kind is str:
            try:
                result = loads(value)
                if low <= result <= high and len(value) <= MAX_TEXT and value.strip() is value and value[0] < ":":
                    return result + 0.0  # type: ignore[no-any-return]
            except (ValueError, TypeError):
                pass  # no JSON, or none that compares with a number
        elif (kind is float or kind is int) and low <= value <= high:
            return value + 0.0  # type: ignore[no-any-return]
        return number(value, low, high)

    return parse


price = within(PRICE_MIN, PRICE_MAX)
"""A price in [1e-15, 1e9]. Zero is no price."""

coins = within(0.0, COINS_MAX)
"""An amount in [0, 1e18]; 0 is a value."""

rate = within(-RATE_MAX, RATE_MAX)
"""A funding fraction per interval in [-1, 1]."""

_time = within(TS_MIN, TS_MAX)
_TIME_DIGITS = 13  # of any time within bounds: a text of this length that is one holds nothing but digits


def interval_hours(value: Any) -> float:
    """A funding interval: 1 to 24 whole hours."""
    result = number(value, 1.0, 24.0)
    if result != int(result):
        raise BadPayload("out_of_bounds", f"interval of {result:g} hours")
    return result


def timestamp_ms(value: Any) -> int:
    """UTC epoch milliseconds between 2010 and 2100."""
    found = value
    if type(value) is str and len(value) == _TIME_DIGITS:
        try:
            found = orjson.loads(value)
        except orjson.JSONDecodeError:
            return int(_time(value))  # refused
    return found if type(found) is int and TS_MIN <= found <= TS_MAX else int(_time(value))


def iso_epoch_ms(value: Any) -> int:
    """Milliseconds since 1970 of any date, fractions below 1 ms cut off. Raises :exc:`BadPayload`.

    >>> iso_epoch_ms("2000-01-01T08:00:00.000Z")
    946713600000
    """
    if type(value) is not str:
        raise BadPayload("wrong_type", f"{type(value).__name__} where a time belongs")
    if len(value) > 30 or _ISO_TIME(value) is None:
        raise BadPayload("bad_number", repr(value[:40]))
    if value[11:13] > "23":  # from Python 3.14 on fromisoformat takes 24:00 for the next midnight
        raise BadPayload("out_of_bounds", value)
    try:
        return (datetime.fromisoformat(value) - _EPOCH) // _MILLISECOND
    except ValueError:
        raise BadPayload("out_of_bounds", value) from None  # month 13, minute 60


def iso_ms(value: Any) -> int:
    """A time between 2010 and 2100, as :func:`timestamp_ms` of its milliseconds."""
    result = iso_epoch_ms(value)
    if not TS_MIN <= result <= TS_MAX:
        raise BadPayload("out_of_bounds", value)
    return result


def text(value: Any) -> str:
    """A non-empty string of at most 64 characters (names, topics)."""
    if type(value) is not str:
        raise BadPayload("wrong_type", f"{type(value).__name__} where text belongs")
    if not value or len(value) > MAX_TEXT:
        raise BadPayload("bad_name", repr(value[:40]))
    return value


def long_share(long: Any, short: Any) -> float:
    """The long one of two shares that must add up to 1, but for rounding. Raises :exc:`BadPayload`.

    >>> long_share("0.6125", "0.3875")
    0.6125
    """
    share = number(long, 0.0, 1.0)
    total = share + number(short, 0.0, 1.0)
    if abs(total - 1.0) > SHARES_SLACK:
        raise BadPayload("size_mismatch", f"shares add up to {total:g}")
    return share
