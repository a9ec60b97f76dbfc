"""The life of one socket as a table: states, what happens, and the bounded reasons for which it ends."""

from __future__ import annotations

import enum


class State(enum.Enum):
    """IDLE: waiting for its turn. SUBSCRIBING: open, not every stream has spoken. LIVE: all that can speak do.
    RENEWING: serves, a successor is wanted. CLOSING: we are closing. CLOSED: over."""

    IDLE = "idle"
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    LIVE = "live"
    RENEWING = "renewing"
    CLOSING = "closing"
    CLOSED = "closed"


class Happening(enum.Enum):
    """ATTEMPT: a connection attempt begins. SETTLED: every stream spoke or is not waited for. RENEW: a successor
    is wanted. STOP: we want it closed. LOST: the attempt failed or the socket is gone."""

    ATTEMPT = "attempt"
    OPENED = "opened"
    SETTLED = "settled"
    RENEW = "renew"
    STOP = "stop"
    LOST = "lost"


TABLE: dict[tuple[State, Happening], State] = {
    (State.IDLE, Happening.ATTEMPT): State.CONNECTING,
    (State.IDLE, Happening.STOP): State.CLOSED,
    (State.CONNECTING, Happening.OPENED): State.SUBSCRIBING,
    (State.CONNECTING, Happening.STOP): State.CLOSING,
    (State.CONNECTING, Happening.LOST): State.CLOSED,
    (State.SUBSCRIBING, Happening.SETTLED): State.LIVE,
    (State.SUBSCRIBING, Happening.RENEW): State.RENEWING,
    (State.SUBSCRIBING, Happening.STOP): State.CLOSING,
    (State.SUBSCRIBING, Happening.LOST): State.CLOSED,
    (State.LIVE, Happening.RENEW): State.RENEWING,
    (State.LIVE, Happening.STOP): State.CLOSING,
    (State.LIVE, Happening.LOST): State.CLOSED,
    (State.RENEWING, Happening.RENEW): State.RENEWING,
    (State.RENEWING, Happening.SETTLED): State.LIVE,
    (State.RENEWING, Happening.STOP): State.CLOSING,
    (State.RENEWING, Happening.LOST): State.CLOSED,
    (State.CLOSING, Happening.STOP): State.CLOSING,
    (State.CLOSING, Happening.LOST): State.CLOSED,
}
SERVING = (State.SUBSCRIBING, State.LIVE, State.RENEWING)

REASONS = (  # why a socket ended or a successor was wanted; HTTP refusals add http_<status> (see link.py)
    "open_timeout", "dns", "refused_connection", "unreachable", "tls", "proxy", "redirect", "bad_address", "reset",
    "refused", "no_ack", "first_message", "stream_silent", "no_pong", "send_stalled",
    "closing_notice", "lifetime", "closed", "oversized", "bad_utf8", "protocol", "bug",
    "stopped",
)  # fmt: skip
PLANNED = ("closing_notice", "lifetime")  # the venue will cut this socket: a worse successor is better than none
