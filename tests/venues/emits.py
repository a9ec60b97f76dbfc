"""What a decoder can emit, read from its code: whatever the functions name that ``decode`` leads to."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FunctionType

from service.venues.contract import Decoder
from tests.venues.committed import ITEM_TYPES


def emitted_by(decoder: Decoder) -> set[type]:
    """The types of items that some function reached from ``decode`` constructs or tells apart.

    A method's name reaches every method of that name in the decoder's class and its bases.
    """
    found: set[type] = set()
    seen: set[FunctionType] = set()
    waiting = _methods(type(decoder), "decode")
    while waiting:
        function = waiting.pop()
        if function in seen:
            continue
        seen.add(function)
        for name in _names(function.__code__):
            waiting += _methods(type(decoder), name)
            thing = function.__globals__.get(name)
            if thing in ITEM_TYPES:
                found.add(thing)
            elif isinstance(thing, FunctionType) and thing.__module__.startswith("service.venues."):
                waiting.append(thing)
    return found


def _methods(decoder: type, name: str) -> list[FunctionType]:
    held = [base.__dict__[name] for base in decoder.__mro__ if name in base.__dict__]
    return [
        getattr(item, "__func__", item) for item in held if isinstance(getattr(item, "__func__", item), FunctionType)
    ]


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
