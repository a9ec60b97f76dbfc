"""What a decoder can emit, read from its code: whatever the functions name that a frame and its tables lead to."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FunctionType

from service.venues.contract import Decoder
from service.venues.emit import Emit
from tests.venues.committed import ITEM_TYPES


def emitted_by(decoder: Decoder) -> set[type]:
    """The types of items that some function reached from the decoder constructs or tells apart.

    A method's name reaches the method of that name of the decoder, and of :class:`Emit`; a class that a venue's code
    names (its trades, what they are counted by) is reached as a whole.
    """
    found: set[type] = set()
    seen: set[type | FunctionType] = set()
    waiting: list[object] = [_method(type(decoder), name) for name in ("__init__", "_read", "decode")]
    while waiting:
        thing = waiting.pop()
        if not isinstance(thing, type | FunctionType) or thing in seen:
            continue
        seen.add(thing)
        if isinstance(thing, type):
            waiting += [_method(thing, name) for name in vars(thing)]
            continue
        for name in _names(thing.__code__):
            waiting += [_method(type(decoder), name), _method(Emit, name)]
            named = thing.__globals__.get(name)
            if isinstance(named, type) and named in ITEM_TYPES:
                found.add(named)
            elif str(getattr(named, "__module__", "")).startswith("service.venues.") and named is not Emit:
                waiting.append(named)
    return found


def _method(owner: type, name: str) -> object:
    held = vars(owner).get(name)
    return getattr(held, "__func__", held)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
