"""Fetches the venues' published past at the start: all venues at once, each within its budget, for a bounded time."""

from __future__ import annotations

import asyncio
import copy
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp

from service.clock import Clock
from service.core.backfill import MINUTE_MS, Archive
from service.model import Bad, Decoded, HistoryPoint, Listing
from service.runtime.venue_runner import VenueRunner
from service.statistics import fold
from service.venues.contract import Catalog, Decoder, Request
from service.venues.transport.backoff import Backoff
from service.venues.transport.poller import OWN_FAULT

log = logging.getLogger(__name__)

WORKERS = 4  # instruments of one venue fetched at once
TRIES = 3  # of one request, where the trouble is the venue's
GIVE_UP = 4  # requests in a row given up after all tries: the venue is left alone
PORTION = 8  # requests of an instrument made in a row; then the others have their turn
STALLED_S = 10.0  # a venue without any answer for this long is not waited for
MIN_FETCH_S = 15.0  # from here on a venue that will not be done by the deadline is not waited for
LOOK_S = 0.1
TELL_S = 5.0


@dataclass(slots=True)
class VenueProgress:
    """``total``: requests to make, None until the venue has listed its instruments. ``failed``: tries, by reason."""

    total: int | None = None
    done: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    last_s: float = 0.0

    @property
    def share(self) -> float:
        if self.total is None:
            return 0.0
        return 1.0 if self.total == 0 else self.done / self.total


@dataclass(slots=True)
class _Job:
    """One instrument's requests that are still to be made, the most needed first; ``portions`` are done."""

    listing: Listing
    requests: list[Request]
    portions: int = 0


class HistorySink:
    """Decodes history answers apart from the live decoders, so that nothing of it concerns the tape or a replay."""

    def __init__(
        self, decoder: Decoder, archive: Archive, clock: Clock, on_bad: Callable[[str, str, str], None]
    ) -> None:
        self.archive = archive
        self._decoder = decoder
        self._clock = clock
        self._on_bad = on_bad

    def frame(self, venue: str, connection: str, raw: str | bytes, context: str = "") -> Sequence[Decoded]:
        items = self._decoder.decode(raw, self._clock.now_ms(), context)
        for item in items:
            if isinstance(item, HistoryPoint):
                self.archive.add(item)
            elif isinstance(item, Bad):
                self._on_bad(venue, item.reason, item.detail)
        return items

    def opened(self, venue: str, connection: str) -> None:
        """HTTP answers have no opening."""

    def closed(self, venue: str, connection: str, reason: str) -> None:
        """HTTP answers have no end."""

    def rejected(self, venue: str, connection: str, reason: str) -> None:
        self._on_bad(venue, reason, "refused by the transport")


class HistoryFetch:
    """One fetch of the past of all wanted instruments.

    ``since_ms``: by symbol, in their order, from when on its past is asked for. ``on_bad(venue, reason, detail)`` is
    told of broken answers. The venues' runners must be running: they list the instruments.
    """

    def __init__(
        self,
        runners: Mapping[str, VenueRunner],
        since_ms: Mapping[str, int],
        min_venues: int,
        clock: Clock,
        rng: random.Random,
        on_bad: Callable[[str, str, str], None],
    ) -> None:
        self.archive = Archive()
        self.progress = {name: VenueProgress() for name in runners}
        self._runners = runners
        self._rank = {symbol: number for number, symbol in enumerate(since_ms)}
        self._min_venues = min_venues
        self._since_ms = since_ms
        self._clock = clock
        self._rng = rng
        self._on_bad = on_bad
        self._claimed: dict[str, set[str]] = {symbol: set() for symbol in since_ms}  # venues under way or done

    async def fetch(
        self, deadline_s: float, enough: Callable[[], bool] = lambda: False, tell: Callable[[str], None] | None = None
    ) -> None:
        """Returns when all is fetched, those still missing will not make it, ``enough()`` is true, or time is up.

        ``tell``: given :meth:`text` every few seconds.
        """
        loop = asyncio.get_running_loop()
        start_s = told_s = loop.time()
        for item in self.progress.values():
            item.last_s = start_s
        tasks = {
            name: asyncio.create_task(self._venue(name, runner), name=f"{name}:history")
            for name, runner in self._runners.items()
        }
        try:
            while not enough():
                now_s = loop.time()
                waited_for = [
                    task
                    for name, task in tasks.items()
                    if not task.done() and now_s - self.progress[name].last_s <= STALLED_S
                ]
                if not waited_for or now_s - start_s >= deadline_s or self._in_vain(now_s - start_s, deadline_s):
                    break
                if now_s - told_s >= TELL_S:
                    told_s = now_s
                    log.info("warm start: %s", self.text())
                if tell is not None:
                    tell(self.text())
                await asyncio.wait(waited_for, timeout=LOOK_S)
        finally:
            for task in tasks.values():
                task.cancel()
            for name, result in zip(tasks, await asyncio.gather(*tasks.values(), return_exceptions=True), strict=True):
                if isinstance(result, Exception):  # a defect of ours costs that venue's history only
                    log.error("history venue=%s failed", name, exc_info=result)
        log.info("warm start: %s", self.text())

    def _in_vain(self, elapsed_s: float, deadline_s: float) -> bool:
        """Whether only such venues are left that will not be done in time at their pace, while others are done."""
        left = [item for item in self.progress.values() if item.total is not None and item.share < 1.0]
        return (
            elapsed_s >= MIN_FETCH_S
            and len(left) < len(self.progress)
            and all(elapsed_s > item.share * deadline_s for item in left)
            and all(item.total is not None for item in self.progress.values())
        )

    @property
    def share(self) -> float:
        """The mean over the venues, 0 to 1."""
        if not self.progress:
            return 1.0
        return fold(item.share for item in self.progress.values()) / len(self.progress)

    def text(self) -> str:
        """For a person: the share done, and that of each venue which is not done or had trouble."""
        parts = []
        for name, item in self.progress.items():
            reasons = ",".join(sorted(item.failed))
            if item.total is None:
                said = "not listed yet"
            elif item.total > 0 and (item.done < item.total or reasons):
                said = f"{100 * item.share:.0f} %"
            else:
                continue
            parts.append(f"{name} {said}" + (f" ({reasons})" if reasons else ""))
        return f"history {100 * self.share:.0f} %" + (f": {'; '.join(parts)}" if parts else "")

    def listings(self) -> list[Listing]:
        """Everything wanted that has been listed, venues in their fixed order."""
        return [listing for runner in self._runners.values() for listing in runner.listings]

    # -- one venue ---------------------------------------------------------------------------------------------

    async def _venue(self, name: str, runner: VenueRunner) -> None:
        await runner.listed.wait()
        loop = asyncio.get_running_loop()
        progress = self.progress[name]
        progress.last_s = loop.time()
        now_ms = self._clock.now_ms()
        waiting = [
            _Job(item, runner.venue.history(runner.endpoints, item, self._since_ms[item.symbol], now_ms))
            for item in runner.listings
        ]
        progress.total = sum(len(job.requests) for job in waiting)
        waiting = [job for job in waiting if job.requests]
        decoder = runner.venue.decoder(private(runner.catalog))
        sink = HistorySink(decoder, self.archive, self._clock, self._on_bad)
        async with runner.poller.session() as session, asyncio.TaskGroup() as group:
            for _ in range(min(WORKERS, len(waiting))):
                group.create_task(self._work(name, runner, session, sink, waiting, progress))

    async def _work(
        self,
        name: str,
        runner: VenueRunner,
        session: aiohttp.ClientSession,
        sink: HistorySink,
        waiting: list[_Job],
        progress: VenueProgress,
    ) -> None:
        given_up = 0
        while waiting and given_up < GIVE_UP:
            job = min(waiting, key=lambda item: self._need(name, item))
            waiting.remove(job)
            self._claimed[job.listing.symbol].add(name)
            got_any = False
            for request in job.requests[:PORTION]:
                if given_up >= GIVE_UP:
                    break
                failure = await ask(runner, session, request, sink, self._rng, progress.failed)
                progress.done += 1
                if failure is None:
                    progress.last_s = asyncio.get_running_loop().time()
                    got_any, given_up = True, 0
                elif failure not in OWN_FAULT:
                    given_up += 1
            if not got_any and job.portions == 0:  # another venue is needed for the quorum of this symbol
                self._claimed[job.listing.symbol].discard(name)
            del job.requests[:PORTION]
            job.portions += 1
            if job.requests:
                waiting.append(job)
        if given_up >= GIVE_UP:
            log.warning("history venue=%s given up: %s", name, ",".join(sorted(progress.failed)))

    def _need(self, venue: str, job: _Job) -> tuple[int, bool, bool, int, int]:
        """Smaller is more needed: the newest portion of every instrument before older ones; a quorum of venues for
        every symbol, in their order, before more venues for one."""
        claimed = self._claimed[job.listing.symbol]
        enough = len(claimed) >= self._min_venues
        rank = self._rank[job.listing.symbol]
        return job.portions, venue in claimed, enough, len(claimed) if enough else 0, rank


async def ask(
    runner: VenueRunner,
    session: aiohttp.ClientSession,
    request: Request,
    sink: HistorySink,
    rng: random.Random,
    failed: dict[str, int],
) -> str | None:
    """One request, again where the trouble is the venue's. None, or why it failed for good; tries that ``failed`` are
    counted by reason."""
    pauses = Backoff(4.0, rng)
    for left in reversed(range(TRIES)):
        failure = await runner.poller.fetch_history(session, request, sink)
        if failure is None:
            return None
        failed[failure] = failed.get(failure, 0) + 1
        if failure in OWN_FAULT or left == 0:
            return failure
        await asyncio.sleep(pauses.next_delay_s())
    return None


def first_minute_after(ts: int) -> int:
    """The first UTC minute strictly after ``ts``."""
    return (ts // MINUTE_MS + 1) * MINUTE_MS


def private(catalog: Catalog) -> Catalog:
    """A copy: what history answers teach a decoder must not reach the live ones, whose frames alone are on the tape."""
    mine = copy.copy(catalog)
    for name, value in vars(mine).items():
        setattr(mine, name, copy.copy(value))
    return mine
