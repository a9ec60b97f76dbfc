"""When funding settles: on the hour, or as a venue's own schedule shows by the steps of the time it announces. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from service.venues.contract import Catalog
from service.venues.emit import HOUR_MS


def next_hour(recv_ts: int) -> int | None:
    """Top of the next UTC hour: when funding settles that is paid each hour. None without a receive time.

    >>> next_hour(3_600_000), next_hour(0)
    (7200000, None)
    """
    return (recv_ts // HOUR_MS + 1) * HOUR_MS if recv_ts > 0 else None


def measure_interval(catalog: Catalog, name: str, next_ts: int, venue_ts: int, allowed: Sequence[int]) -> None:
    """Take note of an instrument's next funding time, said at ``venue_ts``, in ``catalog.measured_h``.

    A jump right after the old time has passed measures the interval: later, settlements may have been missed. One that
    is no allowed number of hours, or comes before the old time, leaves the interval in doubt (None).
    """
    before, said_at = catalog.next_funding.get(name, (next_ts, 0))
    if venue_ts < said_at:
        return  # an old message coming late proves nothing
    catalog.next_funding[name] = (next_ts, venue_ts)
    if next_ts == before:
        return
    hours, rest = divmod(next_ts - before, HOUR_MS)
    if 0 <= venue_ts - before < HOUR_MS:
        catalog.measured_h[name] = float(hours) if rest == 0 and hours in allowed else None
    elif venue_ts < before:
        catalog.measured_h[name] = None
