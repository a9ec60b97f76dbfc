"""Dump and load of state machines as plain JSON values, exactly (floats survive via shortest repr).

A stateful class lists the attributes that change in ``STATE``. Values may be scalars, None, lists, tuples,
deques, ``array`` objects (kept as little-endian bytes), string-keyed dicts of these, and other stateful objects.
``load`` fills an object that was constructed with the same parameters; for a dict of stateful objects the class
overrides :meth:`Stateful.make`. Within lists, deques and dicts a tuple comes back as a list.

What JSON does not keep is refused when dumped, not noticed when the state is needed: NaN and infinity (orjson writes
null), keys that are not strings. ``array`` objects may hold any float.
"""

from __future__ import annotations

import base64
import sys
from array import array
from collections import deque
from math import isfinite
from typing import Any, ClassVar

Plain = Any  # JSON value: None, bool, int, float, str, list, dict
_PACKED = {"type", "base64"}  # the keys of an array's plain form


class Stateful:
    """Mixin: ``dump()`` to plain JSON values and ``load()`` back, driven by ``STATE``."""

    STATE: ClassVar[tuple[str, ...]] = ()
    __slots__ = ()

    def dump(self) -> dict[str, Plain]:
        return {name: _dump(getattr(self, name)) for name in self.STATE}

    def load(self, plain: Plain) -> None:
        """Restore; raises ValueError (or KeyError) when ``plain`` is not this class's dump. ``plain`` is not kept."""
        if not isinstance(plain, dict) or set(plain) != set(self.STATE):
            found = sorted(plain) if isinstance(plain, dict) else type(plain).__name__
            raise ValueError(f"{type(self).__name__}: state has {found}, expected {sorted(self.STATE)}")
        for name in self.STATE:
            current = getattr(self, name)
            value = plain[name]
            if isinstance(current, Stateful):
                current.load(value)
            elif isinstance(current, dict):
                if not isinstance(value, dict):
                    raise ValueError(f"{type(self).__name__}.{name}: {type(value).__name__}, expected dict")
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

    def make(self, name: str, key: str) -> Stateful | None:
        """A fresh member for dict attribute ``name`` at ``key``; None if its values are plain."""
        return None


def _dump(value: Any) -> Plain:
    if isinstance(value, Stateful):
        return value.dump()
    if isinstance(value, array):
        return _pack(value)
    if isinstance(value, list | tuple | deque):
        return [_dump(item) for item in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("cannot dump a dict with keys that are not strings")
        if value.keys() == _PACKED:
            raise TypeError("cannot dump a dict that would read as a packed array")
        return {key: _dump(item) for key, item in value.items()}
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"cannot dump {value}: JSON has no such number")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"cannot dump {type(value).__name__}")


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
