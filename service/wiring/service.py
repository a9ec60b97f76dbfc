"""One process, all stages: venues -> market -> indicators -> scoring -> publishing."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping

from service import __version__
from service.clock import ServiceClock, perf_seconds
from service.config import Config
from service.metrics import Metrics
from service.model import Denominator, Endpoints, Tick
from service.publishing import Feed
from service.tapes import Header, Record
from service.venues.health import VenueHealth
from service.venues.spec import Venue
from service.wiring.clock_watch import ClockWatch
from service.wiring.denominators import to_plain
from service.wiring.engine import TICK_MS, Engine
from service.wiring.intake import Intake
from service.wiring.outputs import Outputs
from service.wiring.venue_runner import keep, runners
from service.wiring.views import LiveViews

log = logging.getLogger(__name__)

STATUS_EVERY_MS = 10_000


class Service:
    """Everything a run needs, built from its arguments; :meth:`run` serves until ``stop`` is set."""

    def __init__(
        self,
        config: Config,
        source: str,
        venues: Mapping[str, Venue],
        endpoints: Mapping[str, Endpoints],
        denominators: list[Denominator],
        engine: Engine,
        clock: ServiceClock,
        rng: random.Random,
        epoch: str,
        outputs: Outputs,
    ) -> None:
        self.config = config
        self._clock = clock
        self._rng = rng
        self._engine = engine
        self._outputs = outputs
        self._writer = outputs.tape
        self._watch = ClockWatch(clock)
        self.health = {name: VenueHealth(name) for name in venues}
        self.metrics = Metrics(tuple(venues), source, __version__)
        self.intake = Intake(
            venues,
            clock,
            engine.apply,
            lambda: engine.sampled_ms,
            self.metrics,
            None if self._writer is None else self._writer.record,
        )
        self.views = LiveViews(config, source, engine, self.intake, self.health, clock)
        self.feed = Feed(
            config.feed,
            source,
            config.service.symbols,
            epoch,
            f"elr/{__version__}",
            clock,
            self.metrics,
            self.views,
        )
        self._runners = runners(config, venues, endpoints, self.intake, clock, rng, self.health)
        self._published_ms = 0
        created_ms = clock.now_ms()
        if self._writer is not None:
            self._writer.header(
                Header(
                    created_ms=created_ms,
                    source=source,
                    service_version=__version__,
                    ticks=True,
                    config=config.model_dump(mode="json"),
                    denominators=to_plain(denominators),
                    state=engine.save() if engine.sampled_ms != 0 else None,
                )
            )
        engine.advance(created_ms)  # from here it is live; a replay starts at the same instant

    async def run(self, stop: asyncio.Event) -> None:
        """Open the feed, run every task until ``stop``, then drain: not ready, notice, close 1001, exit within 5 s."""
        try:
            port = await self.feed.start()
            log.info("feed on http://%s:%d ws://%s:%d/v1/stream", *[self.config.feed.host, port] * 2)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(keep(name, self._runners[name]), name=f"venue:{name}") for name in self._runners
                ]
                tasks.append(group.create_task(self._beat(), name="beat"))
                await stop.wait()
                self.feed.set_ready(False)
                for task in tasks:
                    task.cancel()
                await self.feed.drain()  # while the venue links close: both together stay within 5 s
        finally:
            await self.feed.drain()
            self.close()

    def close(self) -> None:
        """Write what is queued and close the files."""
        if self._writer is not None:
            self._writer.record(Record("e", self._clock.now_ms()))
        self._outputs.close()

    # -- once a second -----------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        while True:
            now = self._clock.now_ms()
            due = (now // 1000 + 1) * 1000
            await asyncio.sleep((due - now) / 1000)
            while self._clock.now_ms() < due:  # noqa: ASYNC110 - event loops may wake up to a millisecond early
                await asyncio.sleep(0.0005)
            self._watch_clock()
            self._pulse()

    def _pulse(self) -> None:
        now = self._clock.now_ms()
        started = perf_seconds()
        ticks = self._engine.advance(now)
        if ticks:
            self.metrics.tick(perf_seconds() - started, max(0.0, (now - ticks[-1].ts) / 1000))
            self._publish(ticks)
        self.feed.publish_market(self._engine.samples)
        if now // 1000 * 1000 % STATUS_EVERY_MS == 0:
            self.feed.publish_status(self.views.status())

    def _publish(self, ticks: list[Tick]) -> None:
        newest = ticks[-1].ts
        if newest <= self._published_ms:  # a small backward re-anchor: this tick is already out
            self.metrics.ticks_missed(1)
            return
        # Held up, or the clock jumped forward: what lies between on the grid is announced, never bunched.
        missed = 0 if self._published_ms == 0 else (newest - self._published_ms) // TICK_MS - 1
        if missed > 0:
            self.metrics.ticks_missed(missed)
            log.warning("ticks missed=%d newest=%d", missed, newest)
        self._published_ms = newest
        if self._writer is not None:
            self._writer.record(Record("p", newest))
        if self._outputs.signals is not None:
            self._outputs.signals.write(ticks[-1].signals)
        self.feed.publish_tick(ticks[-1], missed)
        self.feed.set_ready(True)

    def _watch_clock(self) -> None:
        shift = self._watch.second()
        if shift is None:
            return
        log.warning("wall clock stepped by %+d ms: re-anchored; ages are unchanged", shift)
        if self._writer is not None:
            sampled_ms = self._engine.sampled_ms  # a replay must have sampled as far before the shift
            self._writer.record(Record("r", self._clock.now_ms(), shift_ms=shift, sampled_ms=sampled_ms))
        self._engine.reanchor(shift)
        if self._engine.sampled_ms + TICK_MS < self._published_ms:
            # Ticks of times already published are coming: clients must not take them for repeats.
            self._published_ms = 0
            self.feed.new_epoch(new_epoch(self._clock.now_ms(), self._rng))


def new_epoch(now_ms: int, rng: random.Random) -> str:
    """A ULID: 48 bits of time, 80 random bits, Crockford base 32."""
    value = (now_ms << 80) | rng.getrandbits(80)
    return "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[(value >> shift) & 31] for shift in range(125, -1, -5))
