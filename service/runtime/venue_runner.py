"""Keeps one venue running: instruments first, then its links and polls, re-planned without a gap as listings change."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Mapping, Sequence

from service.clock import Clock
from service.config import Config, NetworkSection
from service.core.intake import Intake
from service.model import Endpoints, ExtraStream, Listing
from service.venues.contract import Catalog, FrameSink, Venue
from service.venues.transport.backoff import Backoff
from service.venues.transport.budget import VenueBudget, Window
from service.venues.transport.health import VenueHealth
from service.venues.transport.link import Link
from service.venues.transport.poller import Poller

log = logging.getLogger(__name__)

PROCESS_CONNECTS = (3, 1.0)  # attempts and seconds, over all venues: all dropped at once come back without a burst
RESTART_S = 10.0
RETIRE_S = 90.0  # a plan that is no more keeps its socket for so long, or until the changed plans serve
LOOK_S = 0.5


class VenueRunner:
    """One venue's tasks. :meth:`run` never ends by itself; cancelling it closes every socket of the venue.

    ``listed`` is set once the venue has said which instruments it has; ``listings`` are those we want, by name.
    """

    def __init__(
        self,
        venue: Venue,
        endpoints: Endpoints,
        symbols: Sequence[str],
        oi_poll_s: float,
        extras: Sequence[ExtraStream],
        catalog: Catalog,
        sink: FrameSink,
        clock: Clock,
        rng: random.Random,
        network: NetworkSection,
        health: VenueHealth,
        process_connects: Window,
    ) -> None:
        self.venue = venue
        self.endpoints = endpoints
        self.catalog = catalog
        self.listed = asyncio.Event()
        self.listings: list[Listing] = []
        self._symbols = frozenset(symbols)
        self._oi_poll_s = oi_poll_s
        self._extras = tuple(extras)
        self._sink = sink
        self._clock = clock
        self._rng = rng
        self._network = network
        self._health = health
        self._budget = VenueBudget(venue.limits, process_connects)
        self.poller = Poller(venue, sink, clock, rng, self._budget, network, health)
        self._links: dict[str, tuple[Link, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        self._links.clear()
        self.listings = []
        backoff = Backoff(self._network.backoff_cap_s, self._rng)
        every_s = self._network.listing_refresh_s
        requests = self.venue.metadata(self.endpoints)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.poller.run(()), name=f"{self.venue.name}:polls")
            while True:
                failed = await self.poller.fetch_metadata(requests)
                if not failed and not self.catalog.listings:
                    failed = requests  # a venue that lists nothing at all has not answered
                wanted = self._wanted()
                if wanted != self.listings:
                    self._plan(group, wanted)
                if wanted or not failed:
                    self.listed.set()
                if failed:
                    requests = failed  # the others are known until the next round
                    await asyncio.sleep(backoff.next_delay_s())
                    continue
                if not wanted:
                    log.info("venue=%s lists none of the configured symbols; asked again later", self.venue.name)
                backoff.lived(math.inf)
                requests = self.venue.metadata(self.endpoints)
                await asyncio.sleep(every_s * (0.9 + 0.2 * self._rng.random()))

    def _wanted(self) -> list[Listing]:
        return [
            listing
            for _, listing in sorted(self.catalog.listings.items())
            if listing.trading and listing.symbol in self._symbols
        ]

    def _plan(self, group: asyncio.TaskGroup, wanted: list[Listing]) -> None:
        """Bring links and polls in line with these listings; what is planned as before is left untouched."""
        name = self.venue.name
        before = {listing.instrument for listing in self.listings}
        after = {listing.instrument for listing in wanted}
        if before != after:
            gone, new = sorted(before - after), sorted(after - before)
            log.info("venue=%s instruments=%d new=%d gone=%s", name, len(wanted), len(new), ",".join(gone) or "-")
        self.listings = wanted
        plans = (
            {plan.name: plan for plan in self.venue.connections(self.endpoints, wanted, self._extras)} if wanted else {}
        )
        changed: list[Link] = []
        retired = [self._links.pop(plan_name) for plan_name in list(self._links) if plan_name not in plans]
        for plan_name, plan in plans.items():
            known = self._links.get(plan_name)
            if known is None:
                link = Link(
                    self.venue, plan, self._sink, self._clock, self._rng, self._budget, self._network, self._health
                )
                self._links[plan_name] = (link, group.create_task(link.run(), name=f"{name}:{plan_name}"))
                changed.append(link)
            elif known[0].plan != plan:
                known[0].replan(plan)
                changed.append(known[0])
        for old, task in retired:
            group.create_task(self._retire(task, changed), name=f"{name}:{old.plan.name}:retiring")
        polls = self.venue.polls(self.endpoints, wanted, self._oi_poll_s, self._extras) if wanted else []
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
    """One runner a venue; all share the process-wide budget of connection attempts."""
    process_connects = Window(*PROCESS_CONNECTS)
    return {
        name: VenueRunner(
            venue,
            endpoints[name],
            config.service.symbols,
            config.venues.of(name).oi_poll_s,
            config.streams.wanted(),
            intake.catalogs[name],
            intake,
            clock,
            random.Random(rng.random()),
            config.network,
            health[name],
            process_connects,
        )
        for name, venue in venues.items()
    }
