"""What a simulated venue's protocol file provides: sans-I/O, so that the sockets are in one place (servers.py)."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from service.simulation.market import MarketModel, Quote

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True, eq=False)
class Session:
    """One client's socket as the protocol sees it. Times: UTC epoch ms.

    ``kind``: what the address chose (``linear``, ``inverse``, ``stream``, ...). ``topics``: its subscriptions, in
    order. ``silent``: subscriptions are accepted and never served (Binance's wrong routes).
    """

    kind: str
    connection_id: str
    opened_ms: int
    topics: dict[str, None] = field(default_factory=dict)
    silent: bool = False
    last_in_ms: int = 0
    last_out_ms: int = 0
    ping_ms: int = 0
    second: int = 0
    in_this_second: int = 0
    operations: list[int] = field(default_factory=list)

    def count_in(self, now_ms: int) -> int:
        """Note a client message; returns how many came in this second."""
        self.last_in_ms = now_ms
        if self.second != now_ms // 1000:
            self.second, self.in_this_second = now_ms // 1000, 0
        self.in_this_second += 1
        return self.in_this_second


@dataclass(frozen=True, slots=True)
class Frame:
    """A text frame to one client. ``topic`` empty: a reply; else a push, as the fault hook sees it."""

    text: str
    topic: str = ""


@dataclass(frozen=True, slots=True)
class Hangup:
    """End of the connection: with a close code, or None to cut it without a frame."""

    code: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ServerPing:
    """A ping frame from the server."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status, JSON text, extra headers."""

    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)


Out = Frame | Hangup | ServerPing


class Protocol(ABC):
    """One venue's wire protocol over the market model."""

    venue: str
    max_connections: int | None = None  # open at a time; the next one gets HTTP 429

    def __init__(self, model: MarketModel, rng: random.Random) -> None:
        self.model = model
        self.rng = rng
        self.quotes: tuple[Quote, ...] = model.quotes(self.venue)

    @abstractmethod
    def addresses(self, authority: str) -> tuple[dict[str, str], str]:
        """(WebSocket bases by socket kind, HTTP base) for ``host:port``."""

    @abstractmethod
    def accept(self, path: str, query: Mapping[str, str], session_id: str, now_ms: int) -> Session | None:
        """A session for a WebSocket request on ``path``; None where the venue has no socket there."""

    def greeting(self, session: Session, now_ms: int) -> list[Out]:
        """What the venue says first on a new connection."""
        return []

    @abstractmethod
    def received(self, session: Session, text: str, now_ms: int) -> list[Out]:
        """Replies to one text frame of the client."""

    @abstractmethod
    def pushes(self, wanted: Mapping[str, None], now_ms: int) -> Iterator[Frame]:
        """What is due now on the topics that somebody is subscribed to; called twice a second."""

    def wrap(self, session: Session, frame: Frame) -> str:
        """The push as this session gets it."""
        return frame.text

    def watch(self, session: Session, now_ms: int) -> list[Out]:
        """Keep-alive rules: called twice a second for every session."""
        return []

    @abstractmethod
    def answer(self, method: str, path: str, query: Mapping[str, str], body: str, now_ms: int) -> Answer:
        """One HTTP request."""


def encode(document: Any) -> str:
    """Compact JSON text, as venues send it."""
    return orjson.dumps(document).decode()


def parse(text: str) -> Any:
    """JSON to values; None if it is none (a client's frame is never trusted)."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def strings(value: Any) -> list[str] | None:
    """A list of strings, or None if it is anything else."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return list(value)
    return None


def whole(query: Mapping[str, str], key: str, default: int) -> int | None:
    """A non-negative whole number of the query, ``default`` where it is absent; None if it is none."""
    text = query.get(key, "")
    if text == "":
        return default
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else None


def fixed(value: float, digits: int) -> str:
    """Plain decimal text with exactly ``digits`` decimals."""
    return f"{value:.{digits}f}"


def trimmed(value: float, digits: int, least: int = 0) -> str:
    """Plain decimal text with at most ``digits`` decimals, trailing zeros cut down to ``least`` decimals."""
    text = f"{value:.{max(digits, least)}f}"
    if "." not in text:
        return text
    whole, _, decimals = text.partition(".")
    decimals = decimals.rstrip("0").ljust(least, "0")
    text = f"{whole}.{decimals}" if decimals else whole
    return "0" if text == "-0" else text


def iso(ms: int) -> str:
    """UTC epoch milliseconds as the text that venues send.

    >>> iso(1_763_720_040_219)
    '2025-11-21T10:14:00.219Z'
    """
    return (_EPOCH + timedelta(milliseconds=ms)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def epoch_ms(text: str) -> int | None:
    """The reverse, of any ISO 8601 time (a date alone, with or without an offset); None if it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def by_name(quotes: Iterable[Quote]) -> dict[str, Quote]:
    """Quotes under their instrument's name."""
    return {quote.instrument.name: quote for quote in quotes}


def day_volume(quote: Quote) -> float:
    """A plausible 24 h volume in canonical coins: a slowly breathing multiple of the open interest."""
    return quote.coins * (1.4 + 40 * abs(quote.premium))
