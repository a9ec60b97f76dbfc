"""From a cold or restored engine to live: minutes of the past, then what was received meanwhile, without a seam.

The minutes come from the venues' history and, from the opening of the links on, from the live streams themselves. The
event loop never waits long: slices stay below :data:`SLICE_S`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from service.clock import Clock
from service.core.backfill import MINUTE_MS, Archive, minutes
from service.core.engine import HELD_UP_MS, Engine
from service.model import Event, Listing

log = logging.getLogger(__name__)

SLICE_S = 0.02
STEP_MS = 5_000
LINKS_MS = 8_000  # links opened so long after a full minute bridge to it; later ones wait for the next full minute
SHORT_GAP_MS = 20_000  # a restart within it goes on at once: every window stands that
MAX_INSTRUMENT_MINUTES = 1_000_000  # of back-filling: about 25 s on one core; more instruments get fewer hours


class Turns:
    """Lets the event loop have its turn after each slice of work."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._since_s = self._loop.time()

    async def take(self) -> None:
        if self._loop.time() - self._since_s >= SLICE_S:
            await asyncio.sleep(0)
            self._since_s = self._loop.time()


async def fill_history(
    engine: Engine,
    archive: Archive,
    listings: Sequence[Listing],
    since_ms: int,
    created_ms: int,
    clock: Clock,
    tell: Callable[[str], None],
) -> int:
    """Back-fill the cold ``engine`` minute by minute from ``since_ms``, or its last sample, to the present.

    ``created_ms``: when the links began to open. Ends at the last full minute; where the links opened too long after
    one it waits for the next, so that no seconds without data come between. Returns the number of minutes filled.
    """
    begun_ms = created_ms // MINUTE_MS * MINUTE_MS
    goal_ms = begun_ms if created_ms - begun_ms <= LINKS_MS else begun_ms + MINUTE_MS
    longest = MAX_INSTRUMENT_MINUTES // max(len(listings), 1)
    earliest_ms = goal_ms - longest * MINUTE_MS
    if earliest_ms > since_ms:
        log.info("warm start: %d instruments, so only the last %.1f h are filled in", len(listings), longest / 60)
    restored = engine.sampled_ms != 0
    after_ms = max(engine.sampled_ms, since_ms, earliest_ms)
    source = minutes(archive, listings, after_ms, engine.held.first, with_funding=not restored, anew=engine.begun_anew)
    minute = first = after_ms // MINUTE_MS * MINUTE_MS + MINUTE_MS
    turns = Turns()
    while not engine.held.full:
        now_ms = clock.now_ms()
        if minute > now_ms:
            if minute > goal_ms:
                break
            tell(f"waiting {(minute - now_ms) / 1000:.0f} s for a full minute")
            await asyncio.sleep(min((minute - now_ms) / 1000 + 0.001, 0.5))
            continue
        _, events = next(source)
        engine.backfill(minute, silent=True, events=events)
        minute += MINUTE_MS
        if minute % (20 * MINUTE_MS) == 0 and goal_ms > first:
            tell(f"filling in the past {100 * min(1.0, (minute - first) / (goal_ms - first)):.0f} %")
        await turns.take()
    return (minute - first) // MINUTE_MS


async def fill_begun_anew(
    engine: Engine, archive: Archive, listings: Sequence[Listing], since_ms: int, tell: Callable[[str], None]
) -> None:
    """The past of the symbols that begin anew in a restored, cold ``engine``, from ``since_ms`` to its last full
    minute; :func:`fill_history` goes on from there. It is filled in apart: the other symbols stay as they are."""
    names = ", ".join(engine.begun_anew)
    until_ms = engine.sampled_ms // MINUTE_MS * MINUTE_MS
    if not names or until_ms <= since_ms:
        return  # fill_history begins at since_ms for all of them
    mine = [listing for listing in listings if listing.symbol in engine.begun_anew]
    if not any(archive.of(listing.venue, listing.instrument) for listing in mine):
        log.warning("no venue gave any history of %s: their windows and statistics fill up live", names)
        return
    after_ms = max(since_ms, until_ms - MAX_INSTRUMENT_MINUTES // len(mine) * MINUTE_MS)
    apart = engine.apart(engine.begun_anew)
    heard: list[Event] = [listing for listing in listings if listing not in mine]  # their venues have answered
    turns = Turns()
    for minute, events in minutes(archive, mine, after_ms, {}):
        if minute > until_ms:
            break
        if engine.held.full:
            log.warning("no time is left to fill in the history of %s: they begin live", names)
            return
        apart.backfill(minute, silent=True, events=[*heard, *events])
        heard = []
        if minute % (20 * MINUTE_MS) == 0:
            tell(f"filling in the past of {names} {100 * (minute - after_ms) / (until_ms - after_ms):.0f} %")
        await turns.take()
    engine.adopt(apart)
    log.info("warm: %.1f h of history of %s filled in", (until_ms - after_ms) / 3_600_000, names)


async def catch_up(engine: Engine, created_ms: int) -> None:
    """Go live at ``created_ms`` and apply all that is held. Returns in the same turn in which nothing is left."""
    turns = Turns()
    if 0 < created_ms - engine.sampled_ms <= HELD_UP_MS:  # in steps: minutes of seconds would block the loop
        while (step_ms := engine.sampled_ms + STEP_MS) < created_ms:
            engine.open(step_ms)
            await turns.take()
    engine.open(created_ms)  # a replay from this state does the same
    while engine.release():
        await turns.take()
