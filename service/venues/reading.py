"""JSON in, row by row: what every venue's reading of a frame begins with. Pure.

A field that must be there is read as ``row["name"]``. That it is missing then shows as a KeyError, which
:class:`service.venues.emit.Emit` counts as ``missing_field`` of that row, like every :exc:`BadPayload`. So a handler
must not look up what a venue sent in a table of our own but with ``.get``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from service.errors import BadPayload

MAX_CURSOR = 1024  # Bybit's hold two instrument names

BAD_REASONS = (
    "bad_json",
    "wrong_type",
    "missing_field",
    "bad_number",
    "out_of_bounds",
    "bad_name",
    "too_deep",
    "unknown_shape",
    "size_mismatch",
    "oversized",
)


def document(raw: str | bytes) -> Any:
    """The parsed JSON text. Raises :exc:`BadPayload` (``bad_json``, ``too_deep``)."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        reason = "too_deep" if error.msg.startswith("depth limit") else "bad_json"
        raise BadPayload(reason, error.msg[:80]) from None


def mapping(value: Any, what: str) -> dict[str, Any]:
    """A JSON object."""
    if type(value) is not dict:
        raise BadPayload("wrong_type", f"{what}: {type(value).__name__} where an object belongs")
    return value


def items(value: Any, what: str) -> list[Any]:
    """A JSON array."""
    if type(value) is not list:
        raise BadPayload("wrong_type", f"{what}: {type(value).__name__} where an array belongs")
    return value


def label(value: Any, what: str) -> str:
    """Any short string, the empty one included (states, kinds)."""
    if type(value) is not str:
        raise BadPayload("wrong_type", f"{what}: {type(value).__name__} where text belongs")
    return value[:64]


def cursor(value: Any) -> str:
    """Where the next page of a list begins, in the venue's own words: "" after the last."""
    if type(value) is not str:
        raise BadPayload("wrong_type", f"cursor: {type(value).__name__} where text belongs")
    if len(value) > MAX_CURSOR:
        raise BadPayload("out_of_bounds", f"cursor of {len(value)} characters")
    return value


def flag(value: Any, what: str) -> bool:
    """True or false."""
    if type(value) is not bool:
        raise BadPayload("wrong_type", f"{what}: {type(value).__name__} where true or false belongs")
    return value


def is_buy(value: Any) -> bool:
    """A side: `buy` or `sell`, in any case. Raises :exc:`BadPayload` for anything else."""
    side = label(value, "side").lower()
    if side not in ("buy", "sell"):
        raise BadPayload("unknown_shape", f"side {side}"[:80])
    return side == "buy"


def echo(value: Any) -> str:
    """A venue's free text for a log line, bounded."""
    return str(value)[:200] if isinstance(value, str | int) else ""


def unknown(row: dict[str, Any]) -> BadPayload:
    """To be raised for an object that is none of the venue's shapes: its first fields."""
    return BadPayload("unknown_shape", ",".join(list(row)[:5])[:80])


def said(fields: dict[str, Any], key: str, parse: Callable[[Any], float]) -> float | None:
    """A field's value; None where it is absent or empty: unknown, never 0."""
    raw = fields.get(key, "")
    return None if raw == "" else parse(raw)


def readable(fields: dict[str, Any], key: str, parse: Callable[[Any], float]) -> float | None:
    """The same of a field that is told by another stream, which also says what is wrong with it."""
    try:
        return said(fields, key, parse)
    except BadPayload:
        return None
