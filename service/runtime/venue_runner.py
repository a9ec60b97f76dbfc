"""Keeps one venue running: instruments first, then its links and polls, re-planned without a gap as listings change."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from service.clock import Clock
from service.config import Config
from service.core.intake import Intake
from service.model import Endpoints, ExtraStream, Listing
from service.venues.contract import Catalog, Venue
from service.venues.transport.backoff import Backoff
from service.venues.transport.budget import VenueBudget, Window
from service.venues.transport.health import VenueHealth
from service.venues.transport.link import Link
from service.venues.transport.poller import Poller
from service.venues.transport.venue_io import VenueIo

log = logging.getLogger(__name__)

PROCESS_CONNECTS = (3, 1.0)  # attempts and seconds, over all venues: all dropped at once come back without a burst
RESTART_S = 10.0
RETIRE_S = 90.0  # a plan that is no more keeps its socket for so long, or until the changed plans serve
LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Scope:
    """What is wanted of a venue, and from which addresses."""

    endpoints: Endpoints
    symbols: Collection[str]
    oi_poll_s: float
    extras: Sequence[ExtraStream] = ()


class VenueRunner:
    """One venue's tasks. :meth:`run` never ends by itself; cancelling it closes every socket of the venue.

    ``listed`` is set once the venue has said which instruments it has; ``listings`` are those we want, by name.
    """

    def __init__(self, io: VenueIo, scope: Scope, catalog: Catalog) -> None:
        self.venue = io.venue
        self.endpoints = scope.endpoints
        self.catalog = catalog
        self.poller = Poller(io)
        self.listed = asyncio.Event()
        self.listings: list[Listing] = []
        self._io = io
        self._scope = scope
        self._links: dict[str, tuple[Link, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        self._links.clear()
        self.listings = []
        rng, network = self._io.rng, self._io.network
        backoff = Backoff(network.backoff_cap_s, rng)
        requests = self.venue.metadata(self.endpoints)
        loop = asyncio.get_running_loop()
        due_s = loop.time() + network.listing_refresh_s
        async with asyncio.TaskGroup() as group:
            group.create_task(self.poller.run(()), name=f"{self.venue.name}:polls")
            while True:
                failed = await self.poller.fetch_metadata(requests)
                if not failed and not self.catalog.listings:
                    failed = requests  # a venue that lists nothing at all has not answered
                wanted = self._wanted()
                if wanted != self.listings or (not wanted and not self._links and self.venue.rules.sources):
                    self._plan(group, wanted)  # a venue with a second source may have its list there alone
                if wanted or not failed:
                    self.listed.set()
                if failed:
                    await asyncio.sleep(backoff.next_delay_s())
                    requests = failed  # the others are known until the next round
                    if loop.time() >= due_s:  # which one list that always fails does not put off
                        requests = self.venue.metadata(self.endpoints)
                        due_s = loop.time() + network.listing_refresh_s
                    continue
                if not wanted:
                    log.info("venue=%s lists none of the configured symbols; asked again later", self.venue.name)
                backoff.lived(math.inf)
                requests = self.venue.metadata(self.endpoints)
                await asyncio.sleep(network.listing_refresh_s * (0.9 + 0.2 * rng.random()))
                due_s = loop.time() + network.listing_refresh_s

    def _wanted(self) -> list[Listing]:
        return [
            listing
            for _, listing in sorted(self.catalog.listings.items())
            if listing.trading and listing.symbol in self._scope.symbols
        ]

    def _plan(self, group: asyncio.TaskGroup, wanted: list[Listing]) -> None:
        """Bring links and polls in line with these listings; what is planned as before is left untouched."""
        name, scope = self.venue.name, self._scope
        before = {listing.instrument for listing in self.listings}
        after = {listing.instrument for listing in wanted}
        if before != after:
            gone, new = sorted(before - after), sorted(after - before)
            log.info("venue=%s instruments=%d new=%d gone=%s", name, len(wanted), len(new), ",".join(gone) or "-")
        self.listings = wanted
        planned = (
            self.venue.connections(self.endpoints, wanted, scope.extras) if wanted or self.venue.rules.sources else []
        )
        plans = {plan.name: plan for plan in planned}
        changed: list[Link] = []
        retired = [self._links.pop(plan_name) for plan_name in list(self._links) if plan_name not in plans]
        for plan_name, plan in plans.items():
            known = self._links.get(plan_name)
            if known is None:
                link = Link(self._io, plan)
                self._links[plan_name] = (link, group.create_task(link.run(), name=f"{name}:{plan_name}"))
                changed.append(link)
            elif known[0].plan != plan:
                known[0].replan(plan)
                changed.append(known[0])
        for old, task in retired:
            group.create_task(self._retire(task, changed), name=f"{name}:{old.plan.name}:retiring")
        polls = self.venue.polls(self.endpoints, wanted, scope.oi_poll_s, scope.extras) if wanted else []
        self.poller.replan(polls)

    async def _retire(self, task: asyncio.Task[None], changed: Sequence[Link]) -> None:
        """End a link whose plan is no more once the changed plans serve: its instruments may have moved to them."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + RETIRE_S
        while loop.time() < end_s and not all(link.serves for link in changed):  # noqa: ASYNC110 - links tell nobody
            await asyncio.sleep(LOOK_S)
        task.cancel()


async def keep(name: str, runner: VenueRunner) -> None:
    """Run for ever: a defect of ours in one venue's tasks costs that venue a pause, never the others or the process."""
    while True:
        try:
            await runner.run()
        except Exception:
            log.exception("venue=%s failed, a defect of ours; it starts again in %.0f s", name, RESTART_S)
        await asyncio.sleep(RESTART_S)


def runners(
    config: Config,
    venues: Mapping[str, Venue],
    endpoints: Mapping[str, Endpoints],
    intake: Intake,
    clock: Clock,
    rng: random.Random,
    health: Mapping[str, VenueHealth],
) -> dict[str, VenueRunner]:
    """One runner a venue. Venues of one exchange share its budget, and all of them that of connection attempts."""
    process_connects = Window(*PROCESS_CONNECTS)
    symbols, extras = frozenset(config.service.symbols), config.streams.wanted()
    budgets: dict[str, VenueBudget] = {}
    result = {}
    for name, venue in venues.items():
        budget = budgets.setdefault(venue.rules.exchange, VenueBudget(venue.limits, process_connects))
        apart = VenueBudget(venue.limits, process_connects)
        io = VenueIo(venue, intake, clock, random.Random(rng.random()), budget, config.network, health[name], apart)
        scope = Scope(endpoints[name], symbols, config.venues.of(name).oi_poll_s, extras)
        result[name] = VenueRunner(io, scope, intake.catalogs[name])
    return result
