"""The tape format, version 1: gzip members, each holding whole lines; one JSON array a line.

A member is closed about every second, so a killed process loses at most its last member, and a tape may be appended to:
each run begins with its own header. Records (``ts`` = receive time by the service clock, UTC epoch ms):

====================================== =================================================================
``["h", {...}]``                       header of a run, see :class:`Header`
``["o", ts, venue, connection]``       a connection opened: its decoder starts anew
``["f", ts, venue, connection, text, context]``   a text frame or HTTP body
``["x", ts, venue, connection, base64, context]`` the same, not UTF-8
``["b", ts, venue, connection, reason]``  a frame the transport refused
``["c", ts, venue, connection, reason]``  a connection ended
``["r", ts, shift_ms, sampled_ms]``    the clock was re-anchored; last sample before it
``["d", ts, {...}]``                   what the ratio divides by arrived (plain denominator)
``["m", ts, {...}]``                   a month of published history arrived (plain :class:`~service.model.Past`)
``["p", ts]``                          the signals of tick ``ts`` were published
``["e", ts]``                          the run ended in order
====================================== =================================================================
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import orjson
from msgspec import Struct

from service.errors import TapeError

FORMAT = "elr-tape"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Header:
    """What a run started from. ``state`` None: a declared cold start. ``ticks``: the run published signals.

    ``config`` is the effective configuration, ``denominators`` what ELR divided by (plain values, in file order).
    """

    created_ms: int
    source: str
    service_version: str
    ticks: bool
    config: dict[str, Any]
    denominators: list[dict[str, Any]]
    state: dict[str, Any] | None

    def line(self) -> bytes:
        plain = {
            "format": FORMAT,
            "version": VERSION,
            "created_ms": self.created_ms,
            "source": self.source,
            "service_version": self.service_version,
            "ticks": self.ticks,
            "config": self.config,
            "denominators": self.denominators,
            "state": self.state,
        }
        return orjson.dumps(["h", plain])


class Record(Struct, frozen=True):
    """One line after the header. Fields that a kind does not have are empty. A struct: one is made per frame."""

    kind: str
    ts: int
    venue: str = ""
    connection: str = ""
    raw: str | bytes = ""
    context: str = ""
    reason: str = ""
    shift_ms: int = 0
    sampled_ms: int = 0
    item: dict[str, Any] | None = None


def record_line(record: Record) -> bytes:
    """The record's JSON line, without the newline."""
    kind = record.kind
    if kind == "f":
        raw = record.raw
        if type(raw) is not str:
            assert isinstance(record.raw, bytes)
            try:
                raw = record.raw.decode("utf-8")
            except UnicodeDecodeError:
                text = base64.b64encode(record.raw).decode()
                return orjson.dumps(["x", record.ts, record.venue, record.connection, text, record.context])
        try:
            return orjson.dumps(["f", record.ts, record.venue, record.connection, raw, record.context])
        except orjson.JSONEncodeError:  # lone surrogates: text that is not UTF-8 either
            text = base64.b64encode(raw.encode("utf-8", "surrogatepass")).decode()
            return orjson.dumps(["x", record.ts, record.venue, record.connection, text, record.context])
    if kind == "o":
        return orjson.dumps(["o", record.ts, record.venue, record.connection])
    if kind in ("b", "c"):
        return orjson.dumps([kind, record.ts, record.venue, record.connection, record.reason])
    if kind == "r":
        return orjson.dumps(["r", record.ts, record.shift_ms, record.sampled_ms])
    if kind in ("d", "m"):
        return orjson.dumps([kind, record.ts, record.item])
    return orjson.dumps([kind, record.ts])


def parse_line(line: bytes) -> Header | Record:
    """One line back to its record, every field of the type it was written with. Raises :exc:`TapeError`."""
    try:
        parts = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise TapeError(f"not a tape record: {error}") from None
    if not isinstance(parts, list) or not parts or not isinstance(parts[0], str):
        raise TapeError("not a tape record: not an array that begins with its kind")
    kind, *fields = parts
    shape = _SHAPES.get(kind)
    if shape is None:
        raise TapeError(f"unknown kind of record {kind!r}")
    if [type(field) for field in fields] != shape:  # exactly: True is no time
        found = ", ".join(type(field).__name__ for field in fields)
        wanted = ", ".join(each.__name__ for each in shape)
        raise TapeError(f"not a tape record: {kind!r} has ({found}), not ({wanted})")
    if kind == "h":
        return _header(fields[0])
    if kind == "x":
        try:
            fields[3] = base64.b64decode(fields[3], validate=True)
        except ValueError as error:
            raise TapeError(f"not a tape record: {error}") from None
    if kind in ("f", "x"):
        ts, venue, connection, raw, context = fields
        return Record("f", ts, venue, connection, raw=raw, context=context)
    if kind in ("b", "c"):
        ts, venue, connection, reason = fields
        return Record(kind, ts, venue, connection, reason=reason)
    if kind == "r":
        ts, shift_ms, sampled_ms = fields
        return Record("r", ts, shift_ms=shift_ms, sampled_ms=sampled_ms)
    if kind in ("d", "m"):
        ts, item = fields
        return Record(kind, ts, item=item)
    return Record(kind, *fields)


_SHAPES: dict[str, list[type]] = {
    "h": [dict],
    "o": [int, str, str],
    "f": [int, str, str, str, str],
    "x": [int, str, str, str, str],
    "b": [int, str, str, str],
    "c": [int, str, str, str],
    "r": [int, int, int],
    "d": [int, dict],
    "m": [int, dict],
    "p": [int],
    "e": [int],
}
_HEADER: dict[str, tuple[type, ...]] = {
    "created_ms": (int,),
    "source": (str,),
    "service_version": (str,),
    "ticks": (bool,),
    "config": (dict,),
    "denominators": (list,),
    "state": (dict, type(None)),
}


def _header(plain: dict[str, Any]) -> Header:
    if plain.get("format") != FORMAT:
        raise TapeError("not an elr tape")
    version = plain.get("version")
    if type(version) is not int or version != VERSION:
        raise TapeError(f"tape version {version!r}; this program reads version {VERSION}")
    for name, types in _HEADER.items():
        if name not in plain:
            raise TapeError(f"header without {name}")
        if type(plain[name]) not in types:
            raise TapeError(f"header: {name} is of type {type(plain[name]).__name__}")
    if not all(isinstance(item, dict) for item in plain["denominators"]):
        raise TapeError("header: denominators is not a list of objects")
    return Header(**{name: plain[name] for name in _HEADER})
