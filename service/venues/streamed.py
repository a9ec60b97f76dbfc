"""What the files of venues share whose mark, funding and open interest all come over sockets.

Only what says nothing of a venue is here; its limits, requests and units stay in its own file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.model import STREAMS, Endpoints, ExtraStream, Listing, Stream, VenueRules
from service.venues.contract import ConnectionPlan, KeepAlive, Poll


class Streamed:
    """Base of such a venue, see :class:`service.venues.contract.Venue`. A venue of which one of these is not true
    overrides it."""

    polls_oi = False
    rules: VenueRules

    def rules_for(self, oi_poll_s: float, instruments: int = 0) -> VenueRules:
        """Everything is streamed: the polling cadence does not matter."""
        return self.rules

    def frames_of(self, document: object) -> Sequence[object]:
        """No frame of the venue is an array."""
        return document if isinstance(document, list) else [document]

    def polls(
        self,
        endpoints: Endpoints,
        listings: Sequence[Listing],
        oi_poll_s: float,
        extras: Sequence[ExtraStream] = (),
    ) -> list[Poll]:
        """Nothing is polled."""
        return []


def sockets(
    name: str,
    url: str,
    listings: Sequence[Listing],
    each: int,
    requests: Callable[[Sequence[Listing]], tuple[str, ...]],
    streams: Sequence[Stream] = STREAMS,
    keepalive: KeepAlive | None = None,
    quiet_s: float | None = None,
) -> list[ConnectionPlan]:
    """One socket for ``each`` so many instruments, ``name``-1 and so on. ``requests``: the texts that subscribe to
    them, each of which the venue acknowledges; each instrument must then speak on all of ``streams``."""
    plans: list[ConnectionPlan] = []
    for start in range(0, len(listings), each):
        part = listings[start : start + each]
        frames = requests(part)
        expects = tuple((item.instrument, stream) for item in part for stream in streams)
        plans.append(ConnectionPlan(f"{name}-{len(plans) + 1}", url, frames, expects, len(frames), keepalive, quiet_s))
    return plans
