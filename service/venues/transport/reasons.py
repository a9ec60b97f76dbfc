"""Foreign exceptions of a socket to bounded reason codes (metric labels)."""

from __future__ import annotations

import errno
import socket
import ssl

from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidProxy,
    InvalidURI,
    ProxyError,
)

from service.errors import VenueError, VenueRejected, VenueSilent


def open_reason(error: Exception) -> VenueError:
    """Why no connection was made: an error of ``connect`` to a bounded reason."""
    detail = f"{type(error).__name__}: {error}"
    cause = error.__cause__
    match error:
        case TimeoutError():
            return VenueSilent("open_timeout", detail)
        case socket.gaierror():
            reason = "dns"
        case ssl.SSLError():
            reason = "tls"
        case ProxyError() | InvalidProxy():
            reason = "proxy"
        case InvalidURI():
            reason = "bad_address"
        case InvalidMessage() if isinstance(cause, EOFError | OSError):
            reason = "reset"
        case InvalidHandshake():
            reason = "protocol"
        case ConnectionError() | EOFError():
            reason = "refused_connection" if isinstance(error, ConnectionRefusedError) else "reset"
        case _:  # asyncio joins the errors of several addresses into one text
            reason = "refused_connection" if f"[Errno {errno.ECONNREFUSED}]" in detail else "unreachable"
    return VenueRejected(reason, detail) if reason in ("proxy", "protocol") else VenueError(reason, detail)


def closed_reason(error: ConnectionClosed) -> VenueError:
    """Why a socket ended: what we failed it for, else whether the venue closed it or it was cut."""
    ours = error.sent if error.sent is not None and error.rcvd_then_sent is not True else None
    if ours is not None and ours.code == 1009:
        return VenueError("oversized", ours.reason)
    if ours is not None and ours.code == 1011:
        return VenueSilent("no_pong", ours.reason)
    if ours is not None and ours.code == 1007:
        return VenueError("bad_utf8", ours.reason)
    if ours is not None and ours.code == 1002:
        return VenueError("protocol", ours.reason)
    if error.rcvd is not None:
        return VenueError("closed", str(error.rcvd))
    return VenueError("reset", str(error))
