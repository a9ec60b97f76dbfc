"""Every error this service raises on purpose.

* :exc:`ServiceError`
    * :exc:`ConfigError`: the operator's file or flags are wrong; lists every problem (exit status 2)
    * :exc:`BadPayload`: a venue's frame cannot be trusted; costs that frame and one counter
    * :exc:`VenueError`: a venue cannot be talked to
        * :exc:`VenueRejected`: it answered no (HTTP status, refused subscription)
        * :exc:`VenueSilent`: it did not answer in time
    * :exc:`TapeError`: a tape cannot be read (exit status 3)
    * :exc:`HistoryError`: a file of history cannot be understood; lists every problem (exit status 3)
    * :exc:`PublishError`: the feed cannot do what was asked (port taken)
    * :exc:`OurBug`: a state table was given an event that must not happen there
"""

from __future__ import annotations


class ServiceError(Exception):
    """Base of all errors below; its text is written for a person."""


class ConfigError(ServiceError):
    """Wrong configuration. ``problems`` holds one ``path: what is wrong`` line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class BadPayload(ServiceError):
    """A frame, or one row of it, that cannot be trusted. ``reason`` is a short bounded code (a metric label)."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class VenueError(ServiceError):
    """A venue cannot be talked to. ``reason`` is a short bounded code (a metric label)."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class VenueRejected(VenueError):
    """The venue answered no."""


class VenueSilent(VenueError):
    """The venue did not answer in time."""


class TapeError(ServiceError):
    """A tape that cannot be read, with the place."""


class HistoryError(ServiceError):
    """A file of history that cannot be understood. ``problems`` holds one ``path: line: what is wrong`` line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class PublishError(ServiceError):
    """The feed cannot do what was asked."""


class OurBug(ServiceError):
    """A state table met a (state, event) pair that has no row: a defect of ours, not of a venue."""
