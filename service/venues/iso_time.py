"""ISO 8601 times as venues send them (`2025-11-21T10:00:00.219Z`) to UTC epoch milliseconds. Pure and strict."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from service.errors import BadPayload
from service.venues.numbers import TS_MAX, TS_MIN

_SHAPE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?Z", re.ASCII).fullmatch
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def iso_epoch_ms(value: Any) -> int:
    """Milliseconds since 1970 of any date, fractions below 1 ms cut off. Raises :exc:`BadPayload`.

    >>> iso_epoch_ms("2000-01-01T08:00:00.000Z")
    946713600000
    """
    if type(value) is not str:
        raise BadPayload("wrong_type", f"{type(value).__name__} where a time belongs")
    if len(value) > 30 or _SHAPE(value) is None:
        raise BadPayload("bad_number", repr(value[:40]))
    if value[11:13] > "23":  # from Python 3.14 on fromisoformat takes 24:00 for the next midnight
        raise BadPayload("out_of_bounds", value)
    try:
        return (datetime.fromisoformat(value) - _EPOCH) // _MILLISECOND
    except ValueError:
        raise BadPayload("out_of_bounds", value) from None  # month 13, minute 60


def iso_ms(value: Any) -> int:
    """A time between 2010 and 2100, as :func:`service.venues.numbers.timestamp_ms` of its milliseconds."""
    result = iso_epoch_ms(value)
    if not TS_MIN <= result <= TS_MAX:
        raise BadPayload("out_of_bounds", value)
    return result
