"""Dump and load of state machines as plain JSON values, exactly (floats survive via shortest repr).

A stateful class lists the attributes that change in ``STATE``. Values may be scalars, None, lists, tuples,
deques, ``array`` objects (kept as little-endian bytes), string-keyed dicts of these, and other stateful objects.
``load`` fills an object that was constructed with the same parameters; for a dict of stateful objects the class
overrides :meth:`Stateful.make`. Within lists, deques and dicts a tuple comes back as a list. Dicts whose keys the
configuration gives (symbols, venues) are named in ``CONFIGURED`` and loaded by name.

What JSON does not keep is refused when dumped, not noticed when the state is needed: NaN and infinity (orjson writes
null), keys that are not strings. ``array`` objects may hold any float.
"""

from __future__ import annotations

import base64
import sys
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Any, ClassVar

import orjson

Plain = Any  # JSON value: None, bool, int, float, str, list, dict
_PACKED = {"type", "base64"}  # the keys of an array's plain form
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError)  # loading another shape raises
_AS_THEY_ARE = frozenset((type(None), bool, int, str))


class Stateful:
    """Mixin: ``dump()`` to plain JSON values and ``load()`` back, driven by ``STATE``."""

    STATE: ClassVar[tuple[str, ...]] = ()
    STORED: ClassVar[Mapping[str, str]] = {}  # a renamed attribute -> the name that stays in what is stored
    # Names newer than the oldest dump that still loads: missing there, they keep what was constructed.
    LATER: ClassVar[frozenset[str]] = frozenset()
    # Dicts with a member for each symbol or venue of the configuration: loaded by name. What a dump does not have keeps
    # what was constructed, what it has beyond is left out, the order is the constructed one.
    CONFIGURED: ClassVar[frozenset[str]] = frozenset()
    __slots__ = ()

    def parts(self) -> Iterable[tuple[str, Any]]:
        """What :meth:`dump` writes: names and values."""
        return [(self.STORED.get(name, name), getattr(self, name)) for name in self.STATE]

    def dump(self) -> dict[str, Plain]:
        return {name: _dump(value) for name, value in self.parts()}

    def texts(self) -> Iterator[bytes]:
        """The JSON text of :meth:`dump`, member by member: each member of a dict of stateful objects, here and in
        what is held directly, is dumped as its text is asked for. Nothing may change until the last is."""
        yield b"{"
        comma = b""
        for name, value in self.parts():
            yield comma + orjson.dumps(name) + b":"
            comma = b","
            if isinstance(value, Stateful):
                yield from value.texts()
            elif isinstance(value, dict) and value and all(isinstance(member, Stateful) for member in value.values()):
                between = b"{"
                for key, member in _fit(value).items():
                    yield between + orjson.dumps(key) + b":" + orjson.dumps(member.dump())
                    between = b","
                yield b"}"
            else:
                yield orjson.dumps(_dump(value))
        yield b"}"

    def load(self, plain: Plain) -> None:
        """Restore; raises ValueError (or KeyError) when ``plain`` is not this class's dump. ``plain`` is not kept."""
        names = {name: self.STORED.get(name, name) for name in self.STATE}
        if not isinstance(plain, dict) or set(plain) | self.LATER != set(names.values()) | self.LATER:
            found = sorted(plain) if isinstance(plain, dict) else type(plain).__name__
            raise ValueError(f"{type(self).__name__}: state has {found}, expected {sorted(names.values())}")
        for name, stored in names.items():
            if stored not in plain:
                continue
            current = getattr(self, name)
            value = plain[stored]
            if isinstance(current, Stateful):
                current.load(value)
            elif isinstance(current, dict):
                if not isinstance(value, dict):
                    raise ValueError(f"{type(self).__name__}.{name}: {type(value).__name__}, expected dict")
                if name in self.CONFIGURED:
                    self._load_by_name(name, current, value)
                    continue
                current.clear()
                for key, item in value.items():
                    made = self.make(name, key)
                    if made is None:
                        current[key] = _like(item)
                    else:
                        made.load(item)
                        current[key] = made
            elif isinstance(current, list) and current and isinstance(current[0], Stateful):
                if len(current) != len(value):
                    raise ValueError(f"{type(self).__name__}.{name}: {len(value)} items, expected {len(current)}")
                for member, item in zip(current, value, strict=True):
                    member.load(item)
            elif isinstance(current, array):
                setattr(self, name, _unpack(value, current.typecode))
            elif isinstance(current, deque):
                setattr(self, name, deque((_like(item) for item in value), maxlen=current.maxlen))
            elif isinstance(current, tuple):
                setattr(self, name, tuple(_like(item) for item in value))
            else:
                setattr(self, name, _like(value))

    def _load_by_name(self, name: str, current: dict[str, Any], plain: dict[str, Plain]) -> None:
        for key in [key for key in current if key in plain]:
            made = self.make(name, key)
            if made is None:
                current[key] = _like(plain[key])
                continue
            try:
                made.load(plain[key])
            except DAMAGE as error:
                self.damaged(name, key, error)
            else:
                current[key] = made

    def damaged(self, name: str, key: str, error: Exception) -> None:
        """A member of a ``CONFIGURED`` dict does not load. Raises ``error``, unless the others are worth keeping
        without it: then it stays as constructed."""
        raise error

    def make(self, name: str, key: str) -> Stateful | None:
        """A fresh member for dict attribute ``name`` at ``key``; None if its values are plain."""
        return None


def _dump(value: Any) -> Plain:
    kind = type(value)
    if kind in _AS_THEY_ARE or (kind is float and isfinite(value)):  # nearly all of them: first
        return value
    if isinstance(value, Stateful):
        return value.dump()
    if isinstance(value, array):
        return _pack(value)
    if isinstance(value, (list, tuple, deque)):
        return [_dump(item) for item in value]
    if isinstance(value, dict):
        return {key: _dump(item) for key, item in _fit(value).items()}
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"cannot dump {value}: JSON has no such number")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"cannot dump {type(value).__name__}")


def _fit(value: dict[str, Any]) -> dict[str, Any]:
    """``value``, whose keys can be dumped; else TypeError."""
    if not all(isinstance(key, str) for key in value):
        raise TypeError("cannot dump a dict with keys that are not strings")
    if value.keys() == _PACKED:
        raise TypeError("cannot dump a dict that would read as a packed array")
    return value


def _like(value: Plain) -> Any:
    """A copy, so that the loaded object and ``plain`` share nothing that changes."""
    if isinstance(value, list):
        return [_like(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == _PACKED:
            return _unpack(value, value["type"])
        return {key: _like(item) for key, item in value.items()}
    return value


def _pack(values: array[Any]) -> dict[str, Plain]:
    if sys.byteorder == "big":
        values = array(values.typecode, values)
        values.byteswap()
    return {"type": values.typecode, "base64": base64.b64encode(values.tobytes()).decode()}


def _unpack(plain: Plain, typecode: str) -> array[Any]:
    if not isinstance(plain, dict) or plain.keys() != _PACKED or plain["type"] != typecode:
        raise ValueError(f"not a packed array of type {typecode}")
    values: array[Any] = array(typecode)
    values.frombytes(base64.b64decode(plain["base64"], validate=True))
    if sys.byteorder == "big":
        values.byteswap()
    return values
