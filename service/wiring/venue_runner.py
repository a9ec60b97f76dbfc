"""Keeps one venue running: instruments first, then its links and polls, renewed when the listing changes."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence

from service.clock import Clock
from service.config import Config, NetworkSection
from service.model import Endpoints, Listing
from service.venues.backoff import Backoff
from service.venues.budget import VenueBudget, Window
from service.venues.health import VenueHealth
from service.venues.link import Link
from service.venues.poller import Poller
from service.venues.spec import Catalog, FrameSink, Venue
from service.wiring.intake import Intake

log = logging.getLogger(__name__)

PROCESS_CONNECTS = (3, 1.0)  # attempts and seconds, over all venues: all dropped at once come back without a burst
RESTART_S = 10.0
LISTING_REFRESH_S = (
    3600.0  # funding intervals and listings change at run time (venue pages); hourly is what they advise
)


class VenueRunner:
    """One venue's tasks. :meth:`run` never ends by itself; cancelling it closes every socket of the venue."""

    def __init__(
        self,
        venue: Venue,
        endpoints: Endpoints,
        symbols: Sequence[str],
        oi_poll_s: float,
        catalog: Catalog,
        sink: FrameSink,
        clock: Clock,
        rng: random.Random,
        network: NetworkSection,
        health: VenueHealth,
        process_connects: Window,
    ) -> None:
        self._venue = venue
        self._endpoints = endpoints
        self._symbols = frozenset(symbols)
        self._oi_poll_s = oi_poll_s
        self._catalog = catalog
        self._sink = sink
        self._clock = clock
        self._rng = rng
        self._network = network
        self._health = health
        self._budget = VenueBudget(venue.limits, process_connects)
        self._poller = Poller(venue, sink, clock, rng, self._budget, network, health)

    async def run(self) -> None:
        listings = await self._first_listings()
        while True:
            log.info("venue=%s instruments=%d", self._venue.name, len(listings))
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(link.run(), name=f"{self._venue.name}:{name}")
                    for name, link in self._links(listings)
                ]
                polls = self._venue.polls(self._endpoints, listings, self._oi_poll_s)
                if polls:
                    tasks.append(group.create_task(self._poller.run(polls), name=f"{self._venue.name}:polls"))
                listings = await self._changed_listings(listings)
                for task in tasks:
                    task.cancel()

    def _links(self, listings: Sequence[Listing]) -> list[tuple[str, Link]]:
        plans = self._venue.connections(self._endpoints, listings)
        return [
            (
                plan.name,
                Link(
                    self._venue,
                    plan,
                    self._sink,
                    self._clock,
                    self._rng,
                    self._budget,
                    self._network,
                    self._health,
                ),
            )
            for plan in plans
        ]

    def _wanted(self) -> list[Listing]:
        return [
            listing
            for _, listing in sorted(self._catalog.listings.items())
            if listing.trading and listing.symbol in self._symbols
        ]

    async def _first_listings(self) -> list[Listing]:
        backoff = Backoff(self._network.backoff_cap_s, self._rng)
        while True:
            if await self._poller.fetch_metadata(self._venue.metadata(self._endpoints)):
                wanted = self._wanted()
                if wanted:
                    return wanted
                log.warning("venue=%s lists none of the configured symbols", self._venue.name)
            await asyncio.sleep(backoff.next_delay_s())

    async def _changed_listings(self, current: Sequence[Listing]) -> list[Listing]:
        """Wait until the venue's list of our instruments differs from ``current``."""
        known = [listing.instrument for listing in current]
        while True:
            await asyncio.sleep(LISTING_REFRESH_S * (0.9 + 0.2 * self._rng.random()))
            if await self._poller.fetch_metadata(self._venue.metadata(self._endpoints)):
                wanted = self._wanted()
                if wanted and [listing.instrument for listing in wanted] != known:
                    log.info("venue=%s listing changed: links are renewed", self._venue.name)
                    return wanted


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
