"""Close codes of the feed and error codes of its replies, as docs/close-codes.md and docs/messages.md repeat them."""

from __future__ import annotations

from dataclasses import dataclass

RESTART = 1001
NOT_TEXT = 1003
IDLE = 4002
SLOW = 4003
BAD_REQUESTS = 4006
RATE = 4008


@dataclass(frozen=True, slots=True)
class CloseCode:
    """``reconnect``: what the client should do. ``used`` False: reserved for access tokens, not sent yet."""

    code: int
    meaning: str
    reconnect: str
    used: bool = True


CLOSE_CODES = (
    CloseCode(1001, "the service restarts", "yes, after reconnect_after_ms of the notice"),
    CloseCode(1002, "the client broke the WebSocket protocol", "no, fix the client"),
    CloseCode(1003, "a binary message was sent; the feed is text", "no, fix the client"),
    CloseCode(1007, "a message was not UTF-8", "no, fix the client"),
    CloseCode(1009, "a client message was larger than max_message_bytes", "no, fix the client"),
    CloseCode(1011, "no answer to a ping, or an error of the service", "yes, with backoff"),
    CloseCode(4001, "authentication failed", "no, get a valid token", used=False),
    CloseCode(4002, "nothing was subscribed for idle_s", "yes, and subscribe at once"),
    CloseCode(4003, "the client reads too slowly", "yes, with backoff; subscribe to fewer channels or read faster"),
    CloseCode(4004, "the connection reached its lifetime", "yes, at once", used=False),
    CloseCode(4005, "too many connections of one token", "no, close others first", used=False),
    CloseCode(4006, "ten bad requests within 60 s", "no, fix the client"),
    CloseCode(4008, "over 200 requests within 10 s", "yes, after a minute, and ask less often"),
)

ERROR_CODES = (
    "bad_json",
    "bad_request",
    "unknown_op",
    "unknown_channel",
    "unauthorised",  # reserved for access tokens
    "too_many",
)
