"""When funding settles: on the hour, by the spacing of settlements, or by the steps of the time announced. Pure.

A rate is a fraction per interval, so a wrong interval is a rate up to eight times off: in doubt it is None, and nothing
of it is scored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from service.model import Listing
from service.venues.contract import Catalog
from service.venues.emit import Emit, beyond
from service.venues.numbers import rate, timestamp_ms
from service.venues.reading import mapping

HOUR_MS = 3_600_000
_NEVER = (0, 0)
SPACING_SLACK_MS = 60_000  # settlements are stamped up to some seconds after the hour
EARLY_MS = 60_000  # the next period is announced up to some seconds before the running one is over


def next_hour(recv_ts: int) -> int | None:
    """Top of the next UTC hour: when hourly funding settles. None without a receive time.

    >>> next_hour(3_600_000), next_hour(0)
    (7200000, None)
    """
    return (recv_ts // HOUR_MS + 1) * HOUR_MS if recv_ts > 0 else None


def restated(catalog: Catalog, name: str, before_h: float | None, stated_h: float | None) -> None:
    """The venue states another funding interval than before. It may be of the running period or of the next one: unless
    a rollover measured the running one, that is in doubt until the next does. So is a first one that is too short for
    the next funding time that was announced before it."""
    announced = catalog.next_funding.get(name)
    if announced is None or stated_h is None:
        return
    if beyond(stated_h, *announced) if before_h is None else stated_h != before_h:
        catalog.measured_h.setdefault(name, None)


def running_interval(
    catalog: Catalog, name: str, stated_h: float | None, next_ts: int, venue_ts: int, allowed: Sequence[int]
) -> float | None:
    """Hours of the running funding period, which ends at ``next_ts`` as said at ``venue_ts``; None: in doubt.

    That period is what a running rate belongs to. A jump of the next time, from :data:`EARLY_MS` before the old one on,
    measures it: what the venue states (``stated_h``) may be of the next period already, and counts where nothing was
    measured. A jump that is neither ``stated_h`` nor one of the ``allowed`` hours, or that comes earlier, leaves the
    interval in doubt until the next. Of one seen an hour late or more settlements may have been missed: then what is
    stated must be what was measured before.
    """
    known, measured = catalog.next_funding, catalog.measured_h
    before, said_at = known.get(name, _NEVER)
    if venue_ts >= said_at:  # an old message coming late proves nothing
        known[name] = (next_ts, venue_ts)
        if next_ts != before and said_at != 0:
            hours, rest = divmod(next_ts - before, HOUR_MS)
            if venue_ts < before - EARLY_MS:
                measured[name] = None
            elif venue_ts - before < HOUR_MS:
                measured[name] = float(hours) if rest == 0 and (hours in allowed or hours == stated_h) else None
            elif measured.get(name, stated_h) in (None, stated_h):
                measured.pop(name, None)
            else:
                measured[name] = None
    return measured.get(name, stated_h)


def stated_and_running(
    catalog: Catalog,
    name: str,
    stated_h: float | None,
    next_ts: int,
    venue_ts: int,
    allowed: Sequence[int],
    listed_h: float | None = None,
) -> float | None:
    """:func:`running_interval` where the interval is stated with the rate: kept in ``catalog.intervals_h``.

    It is in doubt where nothing was measured and another one was stated before, or, at first sight, the venue's list of
    instruments says ``listed_h``: one of the two is of the next period.
    """
    before_h = catalog.intervals_h.get(name) or listed_h
    if stated_h is not None:
        catalog.intervals_h[name] = stated_h
    interval_h = running_interval(catalog, name, stated_h, next_ts, venue_ts, allowed)
    if before_h is not None and stated_h not in (None, before_h) and name not in catalog.measured_h:
        catalog.measured_h[name] = interval_h = None
    return interval_h


def spacings_h(times: Sequence[int], allowed: Sequence[int]) -> dict[int, float | None]:
    """Funding interval per settlement time: whole hours since the settlement before it, if that is an allowed interval.

    The first takes the spacing to the second. A row that is missing makes a spacing longer, never shorter: one that is
    longer than a neighbouring one, and like neither, is a gap. Between two equal ones of which it is a multiple it has
    their interval. None where no allowed interval is left.
    """
    ordered = sorted(dict.fromkeys(times))
    spacings = [_whole_hours(after - before) for before, after in pairwise(ordered)]
    result: dict[int, float | None] = {}
    for number, (at, hours) in enumerate(zip(ordered[1:], spacings, strict=True)):
        beside = [item for item in (*spacings[max(0, number - 1) : number], *spacings[number + 1 : number + 2]) if item]
        if hours and beside and hours not in beside and hours > min(beside):
            like = beside[0] == beside[-1] and len(beside) == 2 and hours % beside[0] == 0
            hours = beside[0] if like else 0
        result[at] = float(hours) if hours in allowed else None
    if len(ordered) > 1:
        result[ordered[0]] = result[ordered[1]]
    return result


def _whole_hours(distance_ms: int) -> int:
    """Hours between two settlements; 0 if they are not whole."""
    hours = round(distance_ms / HOUR_MS)
    return hours if abs(distance_ms - hours * HOUR_MS) <= SPACING_SLACK_MS else 0


def tell_settlements(
    emit: Emit,
    rows: Sequence[Any],
    keys: tuple[str, str, str],
    allowed: Sequence[int],
    fallback: Callable[[Listing], float | None],
) -> None:
    """Settled rates; ``keys`` name instrument, rate and time. The interval of each comes from the spacing of its
    instrument's rows; of one that comes alone from ``fallback(listing)``, what the venue states today.
    """
    name, value, time = keys
    settled: list[tuple[Listing, float, int]] = []

    def read(row: Any) -> None:
        listing = emit.listing(mapping(row, "row")[name])
        if listing is not None:
            settled.append((listing, rate(row[value]), timestamp_ms(row[time])))

    for row in rows:
        emit.guard(read, row)
    times: dict[str, list[int]] = {}
    for listing, _, at in settled:
        times.setdefault(listing.instrument, []).append(at)
    spacing = {instrument: spacings_h(values, allowed) for instrument, values in times.items()}
    for listing, settled_rate, at in settled:
        known = spacing[listing.instrument]
        interval_h = known[at] if at in known else fallback(listing)
        emit.funding(listing, settled_rate, interval_h, None, at, settled=True)
