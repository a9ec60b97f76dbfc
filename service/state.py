"""Dump and load of state machines as plain JSON values, exactly (floats survive via shortest repr).

A stateful class lists the attributes that change in ``STATE``. Values may be scalars, None, lists, tuples,
deques, ``array`` objects (kept as little-endian bytes), string-keyed dicts of these, and other stateful objects. ``load`` fills an object that was
constructed with the same parameters; for a dict of stateful objects the class overrides :meth:`Stateful.make`.
"""

from __future__ import annotations

import base64
import sys
from array import array
from collections import deque
from typing import Any, ClassVar

Plain = Any  # JSON value: None, bool, int, float, str, list, dict


class Stateful:
    """Mixin: ``dump()`` to plain JSON values and ``load()`` back, driven by ``STATE``."""

    STATE: ClassVar[tuple[str, ...]] = ()
    __slots__ = ()

    def dump(self) -> dict[str, Plain]:
        return {name: _dump(getattr(self, name)) for name in self.STATE}

    def load(self, plain: dict[str, Plain]) -> None:
        """Restore; raises KeyError or ValueError when ``plain`` is not this class's dump."""
        if set(plain) != set(self.STATE):
            raise ValueError(f"{type(self).__name__}: state has {sorted(plain)}, expected {sorted(self.STATE)}")
        for name in self.STATE:
            current = getattr(self, name)
            value = plain[name]
            if isinstance(current, Stateful):
                current.load(value)
            elif isinstance(current, dict):
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
                setattr(self, name, tuple(value))
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
        return {key: _dump(item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"cannot dump {type(value).__name__}")


def _like(value: Plain) -> Any:
    return value


def _pack(values: array[Any]) -> dict[str, Plain]:
    if sys.byteorder == "big":
        values = array(values.typecode, values)
        values.byteswap()
    return {"type": values.typecode, "base64": base64.b64encode(values.tobytes()).decode()}


def _unpack(plain: dict[str, Plain], typecode: str) -> array[Any]:
    if plain["type"] != typecode:
        raise ValueError(f"array of type {plain['type']}, expected {typecode}")
    values: array[Any] = array(typecode)
    values.frombytes(base64.b64decode(plain["base64"]))
    if sys.byteorder == "big":
        values.byteswap()
    return values
