"""What a source of denominators provides, and what its answers come to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Literal, Protocol, TypeAlias

import orjson

from service.errors import BadPayload

Kind: TypeAlias = Literal["reserve", "supply"]

COINS_MAX = 1e18
ANSWER_BYTES = 4 << 20
EARLIEST_MS = 1_230_940_800_000  # 2009-01-03: nothing on a chain is older
AHEAD_MS = 3_600_000  # a figure this far ahead of our clock is wrong
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Figure:
    """One number: coins in canonical units (1000PEPE: thousands of tokens), > 0, as they stood at ``as_of`` (epoch ms).

    ``exchange``: whose reserve, ``all`` for a total that cannot be split; empty for a supply.
    """

    kind: Kind
    symbol: str
    exchange: str
    coins: float
    as_of: int


@dataclass(frozen=True, slots=True)
class Fetch:
    """One GET request. ``context`` comes back to :meth:`Source.reader`; ``max_bytes`` bounds the body as sent."""

    url: str
    context: str
    max_bytes: int = ANSWER_BYTES


@dataclass(frozen=True, slots=True)
class Answer:
    """What a body came to: figures, rows refused (bounded reasons), and requests that follow from it."""

    figures: tuple[Figure, ...]
    refused: tuple[str, ...] = ()
    more: tuple[Fetch, ...] = ()


class BodyReader(Protocol):
    """Reads one body as it comes, in memory that does not grow with it where the source sends much."""

    def feed(self, chunk: bytes) -> None:
        """The next piece. Raises :exc:`BadPayload` when this can be no answer of the source."""
        ...

    def finish(self, now_ms: int) -> Answer:
        """The body is complete, received at ``now_ms``. Raises :exc:`BadPayload`."""
        ...


class Source(Protocol):
    """One source. ``*_stale_h``: age in hours beyond which its figures are stale (service.model.Denominator)."""

    name: str
    title: str
    licence: str
    rest: str
    reserve_stale_h: float
    supply_stale_h: float

    def begin(self, base: str, symbols: Sequence[str], ids: Mapping[str, str]) -> list[Fetch]:
        """The first requests of a poll. ``base``: its address; ``ids``: the operator's CoinGecko names."""
        ...

    def reader(self, fetch: Fetch) -> BodyReader:
        """A reader for the answer to ``fetch``."""
        ...


class WholeBody:
    """A reader that keeps the body and parses it at the end."""

    def __init__(self) -> None:
        self._body = bytearray()

    def feed(self, chunk: bytes) -> None:
        self._body += chunk

    def parsed(self) -> Any:
        try:
            return orjson.loads(self._body)
        except orjson.JSONDecodeError as error:
            raise BadPayload("bad_json", str(error)[:80]) from None

    def finish(self, now_ms: int) -> Answer:
        raise NotImplementedError


def coins_of(value: object) -> float:
    """A JSON number, or its text, as coins in (0, 1e18]. Raises :exc:`BadPayload`; a truth value is no number."""
    if type(value) is str and _NUMBER.fullmatch(value):
        value = float(value)
    if type(value) is not int and type(value) is not float:
        raise BadPayload("bad_number", type(value).__name__)
    number = float(value)
    if not isfinite(number) or not 0.0 < number <= COINS_MAX:
        raise BadPayload("out_of_bounds", "coins")
    return number


def epoch_ms(value: object, now_ms: int) -> int:
    """An ISO 8601 text (UTC where it says nothing) or epoch seconds, as UTC epoch ms that lie in the past."""
    if type(value) is str:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise BadPayload("bad_number", "time") from None
        at = int((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    elif type(value) is int or type(value) is float:
        at = int(value * 1000) if isfinite(value) else -1
    else:
        raise BadPayload("wrong_type", "time")
    if not EARLIEST_MS <= at <= now_ms + AHEAD_MS:
        raise BadPayload("out_of_bounds", "time")
    return at


def unit_of(symbol: str) -> tuple[str, float]:
    """The token behind a canonical symbol, and tokens per canonical unit.

    >>> unit_of("1000PEPE"), unit_of("BTC")
    (('PEPE', 1000.0), ('BTC', 1.0))
    """
    token = symbol.removeprefix("1000")
    return (token, 1000.0) if token != symbol and token else (symbol, 1.0)
