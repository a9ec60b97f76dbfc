"""Why a port cannot be opened, for the person who must change something."""

from __future__ import annotations

import errno


def why_not(error: OSError, host: str, port: int) -> str:
    """One line: which port, what is wrong, what to do."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use: stop the program that has it, or choose another port (feed.port in the "
            "configuration, --port where the command has it; 0 picks a free one)"
        )
    if error.errno == errno.EACCES:
        return f"port {port} on {host}: not permitted; choose a port above 1023 (feed.port)"
    return f"cannot listen on {host} port {port}: {error.strerror or error}; check feed.host and feed.port"
