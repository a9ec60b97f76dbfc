"""What a venue's links and poller say about themselves, read by ``/v1/venues``, the status channel and the metrics.

Plain memory, bounded: one entry per configured connection, one counter per reason code. Times are UTC epoch ms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MAX_REASONS = 64  # reason codes are a closed list (session.REASONS and HTTP statuses); a guard, not a limit in use
OTHER = "other"


@dataclass(slots=True)
class ConnectionHealth:
    """One planned connection. ``state``: a :class:`~service.venues.transport.session.State` in lower case.

    ``connection``: the name of the socket in use, None while there is none. ``renewing``: why a successor is wanted.
    ``given_up``: ``instrument:stream`` of streams that stayed silent on two connections while others spoke.
    """

    state: str = "idle"
    connection: str | None = None
    connected_since_ms: int | None = None
    last_frame_ms: int | None = None
    streams_expected: int = 0
    streams_live: int = 0
    renewing: str | None = None
    given_up: tuple[str, ...] = ()


@dataclass(slots=True)
class RestHealth:
    """HTTP requests. ``ok`` is None before the first answer, else whether the venue answers."""

    ok: bool | None = None
    answered: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    last_ok_ms: int | None = None


class VenueHealth:
    """One venue. ``reconnects`` counts ended connections and failed attempts by reason."""

    def __init__(self, venue: str) -> None:
        self.venue = venue
        self.connections: dict[str, ConnectionHealth] = {}
        self.reconnects: dict[str, int] = {}
        self.rest = RestHealth()
        self.last_error: str | None = None
        self.last_error_ms: int | None = None
        self.last_frame_ms: int | None = None

    @property
    def up(self) -> bool:
        """Something of this venue speaks: a stream, or HTTP where no connection is planned."""
        if self.connections:
            return any(connection.streams_live > 0 for connection in self.connections.values())
        return self.rest.ok is True

    @property
    def given_up(self) -> tuple[str, ...]:
        return tuple(key for connection in self.connections.values() for key in connection.given_up)

    def connection(self, plan: str) -> ConnectionHealth:
        """The entry of a planned connection, made at first use."""
        return self.connections.setdefault(plan, ConnectionHealth())

    def forget(self, plan: str) -> None:
        """The plan is no longer pursued."""
        self.connections.pop(plan, None)

    def framed(self, plan: str, now_ms: int) -> None:
        """A frame or body arrived."""
        self.last_frame_ms = now_ms
        if plan in self.connections:
            self.connections[plan].last_frame_ms = now_ms

    def reconnected(self, reason: str, now_ms: int, detail: str = "") -> None:
        """A connection ended, or an attempt failed."""
        _count(self.reconnects, reason)
        self.error(reason, now_ms, detail)

    def rest_answered(self, now_ms: int) -> None:
        self.rest.ok = True
        self.rest.answered += 1
        self.rest.last_ok_ms = now_ms

    def rest_failed(self, reason: str, now_ms: int, detail: str = "", down: bool = True) -> None:
        """A request failed; ``down``: for a reason that concerns the whole venue, not this request alone."""
        if down:
            self.rest.ok = False
        _count(self.rest.failures, reason)
        self.error(f"rest {reason}", now_ms, detail)

    def error(self, reason: str, now_ms: int, detail: str = "") -> None:
        """The latest trouble, for a person to read: at most 200 characters, one line."""
        text = f"{reason}: {detail}" if detail else reason
        self.last_error = " ".join(text.split())[:200]
        self.last_error_ms = now_ms

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "up": self.up,
            "last_frame_ms": self.last_frame_ms,
            "last_error": self.last_error,
            "last_error_ms": self.last_error_ms,
            "reconnects": dict(self.reconnects),
            "connections": {
                plan: {
                    "state": link.state,
                    "connection": link.connection,
                    "connected_since_ms": link.connected_since_ms,
                    "last_frame_ms": link.last_frame_ms,
                    "streams": {"expected": link.streams_expected, "live": link.streams_live},
                    "renewing": link.renewing,
                    "given_up": list(link.given_up),
                }
                for plan, link in self.connections.items()
            },
            "rest": {
                "ok": self.rest.ok,
                "answered": self.rest.answered,
                "last_ok_ms": self.rest.last_ok_ms,
                "failures": dict(self.rest.failures),
            },
        }


def _count(counters: dict[str, int], reason: str) -> None:
    if reason not in counters and len(counters) >= MAX_REASONS:
        reason = OTHER
    counters[reason] = counters.get(reason, 0) + 1
