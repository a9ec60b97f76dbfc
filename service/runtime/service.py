"""One process, all stages: venues -> market -> indicators -> scoring -> publishing."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service import __version__
from service.clock import ServiceClock, perf_seconds
from service.config import Config, shareable
from service.core.build import rules_of
from service.core.engine import TICK_MS, Engine
from service.core.intake import Intake
from service.core.snapshot import Slices
from service.coverage import LIST, KnownShare
from service.denominators.operator_file import to_plain
from service.denominators.precedence import kinds_of
from service.metrics import Metrics
from service.model import Denominator, Endpoints, Past, Tick
from service.publishing import Feed
from service.runtime.audits import Audits
from service.runtime.clock_watch import ClockWatch
from service.runtime.coverage_poll import poll_coverage
from service.runtime.denominator_polls import DenominatorPolls, SourceHealth
from service.runtime.history_fetch import HistoryFetch
from service.runtime.month import MonthFill
from service.runtime.outputs import Outputs
from service.runtime.read_models import ReadModels
from service.runtime.saver import Saver
from service.runtime.scoreboard_output import ScoreboardOutput
from service.runtime.state_file import StateFile, document_in_slices
from service.runtime.venue_runner import keep, runners
from service.runtime.warm_up import SHORT_GAP_MS, catch_up, fill_begun_anew, fill_history
from service.tapes import Header, Record
from service.venues.contract import Venue
from service.venues.transport.health import VenueHealth

log = logging.getLogger(__name__)

STATUS_EVERY_MS = 10_000


@dataclass(frozen=True, slots=True)
class Inputs:
    """Where a run's data comes from.

    ``source``: live or simulated, as every message says. ``denominators``: the operator's file; ``sources``: ask the
    enabled network sources for what it does not cover. ``coverage``: address of the list of other venues' open
    interest; None: no known share. ``warm``: begin with the venues' history (``config.start``);
    otherwise the engine goes live at once.
    """

    source: str
    venues: Mapping[str, Venue]
    endpoints: Mapping[str, Endpoints]
    denominators: Sequence[Denominator]
    warm: bool = False
    sources: bool = False
    coverage: str | None = None


class Service:
    """Everything a run needs, built from its arguments; :meth:`run` serves until ``stop`` is set."""

    def __init__(
        self,
        config: Config,
        inputs: Inputs,
        engine: Engine,
        clock: ServiceClock,
        rng: random.Random,
        outputs: Outputs,
        state: StateFile | None = None,
    ) -> None:
        """``state``: where the engine is kept from time to time and at the end. The caller closes it."""
        epoch = new_epoch(clock.now_ms(), rng)
        venues, source = inputs.venues, inputs.source
        self.config = config
        self._clock = clock
        self._rng = rng
        self._engine = engine
        self._outputs = outputs
        self._writer = outputs.tape
        self._watch = ClockWatch(clock)
        self._scores = ScoreboardOutput(engine, outputs.ledger, config.aliases())
        self.health = {name: VenueHealth(name) for name in venues}
        self.metrics = Metrics(tuple(venues), source, __version__)
        self.intake = Intake(
            venues,
            clock,
            engine.apply,
            lambda: engine.sampled_ms,
            self.metrics,
            None if self._writer is None else self._writer.record,
            config.streams.wanted(),
            config.all_assets(),
        )
        self.intake.adopt_sides(engine.market.sides_in_force())
        self._inputs = inputs
        sync = None if outputs.ledger is None else outputs.ledger.sync
        self._saver = None if state is None else Saver(state, self._document, self.metrics, clock.now_ms, sync)
        fixed = [pair for item in inputs.denominators for pair in kinds_of(item)]
        self.denominator_polls = (
            DenominatorPolls(config, fixed, self.denominate, clock, rng) if inputs.sources else None
        )
        self.known_share = KnownShare(inputs.coverage is not None)
        self._list_health = SourceHealth(LIST.name)
        self._runners = runners(config, venues, inputs.endpoints, self.intake, clock, rng, self.health)
        self.month = (
            MonthFill(
                engine,
                self._runners,
                rules_of(config),
                config,
                clock,
                rng,
                self.metrics,
                self.intake.bad,
                self.fill,
            )
            if config.start.history and config.start.month_days > 0
            else None
        )
        self._ticking = asyncio.Event()  # since the first tick
        self.audits = Audits(engine, self._runners, config.audit, clock) if config.audit.enabled else None
        self.views = ReadModels(
            config,
            source,
            engine,
            self.intake,
            self.health,
            clock,
            None if self.denominator_polls is None else self.denominator_polls.health,
            outputs.ledger,
            self.known_share,
            self._list_health,
            self.audits,
            inputs.endpoints,
        )
        self.feed = Feed(
            config.feed,
            source,
            config.service.symbols,
            epoch,
            f"elr/{__version__}",
            clock,
            self.metrics,
            self.views,
            config.aliases(),
        )
        self._published_ms = 0
        self._sides_told: dict[str, str] = {}
        self._sources_told: dict[str, tuple[str, str]] = {}
        self._created_ms = clock.now_ms()
        gap_ms = self._created_ms - engine.sampled_ms
        if inputs.warm and (gap_ms > SHORT_GAP_MS or engine.begun_anew):
            if self._writer is not None:
                self._writer.hold()
        else:
            self._write_header()
            engine.advance(self._created_ms)  # from here it is live; a replay starts at the same instant

    def _write_header(self) -> None:
        if self._writer is not None:
            self._writer.header(
                Header(
                    created_ms=self._created_ms,
                    source=self._inputs.source,
                    service_version=__version__,
                    ticks=True,
                    config=shareable(self.config),
                    denominators=to_plain(self._inputs.denominators),
                    state=self._engine.save() if self._engine.begun else None,
                )
            )

    def denominate(self, item: Denominator) -> None:
        """A base has arrived: on the tape, and in use from the next tick on."""
        recv_ts = self.intake.stamp()
        if self._writer is not None:
            self._writer.record(Record("d", recv_ts, item=to_plain([item])[0]))
        self._engine.denominate(item, recv_ts)

    def fill(self, past: Past) -> None:
        """A month of a symbol has arrived: on the tape, and entered before what is known."""
        recv_ts = self.intake.stamp()
        if self._writer is not None:
            self._writer.record(Record("m", recv_ts, item=past.plain()))
        self._engine.fill(past, recv_ts)

    async def run(self, stop: asyncio.Event) -> None:
        """Open the feed, run every task until ``stop``, then drain: not ready, notice, close 1001, exit within 5 s."""
        try:
            port = await self.feed.start()
            log.info("feed on http://%s:%d ws://%s:%d/v1/stream", *[self.config.feed.host, port] * 2)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(keep(name, self._runners[name]), name=f"venue:{name}") for name in self._runners
                ]
                tasks.append(group.create_task(self._live(), name="beat"))
                if self.denominator_polls is not None:
                    tasks.append(group.create_task(self._poll(self.denominator_polls), name="denominators"))
                if self._inputs.coverage is not None:
                    polling = poll_coverage(
                        self.config,
                        self._inputs.coverage,
                        self.known_share,
                        self._list_health,
                        lambda: self._engine.samples,
                        self._clock,
                        self._rng,
                    )
                    tasks.append(group.create_task(polling, name="coverage"))
                if self.audits is not None:
                    tasks.append(group.create_task(self.audits.run(), name="audits"))
                if self.month is not None:
                    tasks.append(group.create_task(self._fill_months(self.month), name="month"))
                if self._saver is not None:
                    tasks.append(group.create_task(self._saver.run(self.config.state.every_s), name="state"))
                await stop.wait()
                self.feed.set_ready(False)
                for task in tasks:
                    task.cancel()
                await self.feed.drain()  # while the venue links close: both together stay within 5 s
        finally:
            await self.feed.drain()
            if self._saver is not None:
                await self._saver.save()
            self.close()

    async def _fill_months(self, month: MonthFill) -> None:
        await self._ticking.wait()
        try:
            await month.run()
        except Exception:
            log.exception("the month of history failed, a defect of ours: ranks stay provisional for a week")

    async def _poll(self, polls: DenominatorPolls) -> None:
        try:
            await polls.run()
        except Exception:
            log.exception("denominator sources failed, a defect of ours: what they gave stays in use")

    def _document(self) -> Slices | None:
        """The state to be kept; None while the engine is not live: what is on disk is better then."""
        if self._engine.holding:
            return None
        return document_in_slices(self._engine, self.config, self._clock.now_ms())

    def close(self) -> None:
        """Write what is queued and close the files."""
        if self._writer is not None:
            self._writer.record(Record("e", self._clock.now_ms()))
        self._scores.flush()
        self._outputs.close()

    # -- once a second -----------------------------------------------------------------------------------------

    async def _live(self) -> None:
        if self._engine.holding:
            await self._warm_up()
        await self._beat()

    async def _warm_up(self) -> None:
        """The past first; meanwhile the links open and what they deliver is held."""
        start, engine = self.config.start, self._engine
        whole_ms = self._created_ms - start.history_h * 3_600_000
        asked_ms = max(engine.sampled_ms, whole_ms)
        warm = HistoryFetch(
            self._runners,
            {symbol: whole_ms if symbol in engine.begun_anew else asked_ms for symbol in self.config.service.symbols},
            self.config.market.min_venues,
            self._clock,
            self._rng,
            self.intake.bad,
        )
        log.info("warm start: asking the venues for the last %.1f h", (self._created_ms - asked_ms) / 3_600_000)
        if engine.begun_anew:
            log.info("warm start: and for the last %d h of %s", start.history_h, ", ".join(engine.begun_anew))
        await warm.fetch(start.deadline_s, lambda: engine.held.half_full, self._tell)
        filled = 0
        if warm.archive.points > 0:
            await fill_begun_anew(engine, warm.archive, warm.listings(), whole_ms, self._tell)
            filled = await fill_history(
                engine, warm.archive, warm.listings(), asked_ms, self._created_ms, self._clock, self._tell
            )
        if filled > 0:
            log.info("warm: %.1f h of history filled in, %d points", filled / 60, warm.archive.points)
        elif engine.sampled_ms != 0:
            if warm.archive.points == 0:
                log.warning("no venue gave any history: going on from the saved state, with a gap")
        else:
            log.warning("cold start: no venue gave any history; every window and statistic fills up live")
        self._write_header()
        self._tell("catching up")
        await catch_up(engine, self._created_ms)
        self.feed.starting = "starting"

    def _tell(self, text: str) -> None:
        """For /readyz."""
        self.feed.starting = f"starting: {text}"

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
            self._tell_sides()
            self._tell_sources()

    def _tell_sides(self) -> None:
        """A line for every decision on what a venue's open interest counts."""
        for venue, rule in self._engine.market.sides.items():
            said = f"sides={rule.sides} evidence={rule.evidence} doubts={','.join(rule.doubts) or 'none'}"
            if self._sides_told.get(venue) not in (None, said):
                log.log(
                    logging.WARNING if rule.doubted or rule.changed_lately(self._engine.sampled_ms) else logging.INFO,
                    "open interest venue=%s figure=%s %s",
                    venue,
                    rule.figure.name,
                    said,
                )
            self._sides_told[venue] = said

    def _tell_sources(self) -> None:
        """A line whenever another source of a venue counts, or what agrees has changed."""
        at = self._engine.sampled_ms
        for venue, agreement in self._engine.market.agreements.items():
            if agreement.proven_at is None and not agreement.stirred:
                continue  # neither has spoken yet
            counts = agreement.counting(at)
            agreed = ",".join(
                f"{key}={found['field']}:{found['unit']}".replace(" ", "_") for key, found in agreement.agreed.items()
            )
            told = (counts, agreed)
            if self._sources_told.get(venue, ("", "")) != told:
                why = agreement.reason(at) or "-"
                level = logging.INFO if counts == agreement.sources[0] else logging.WARNING
                log.log(level, "source venue=%s counts=%s agreed=%s why=%s", venue, counts, agreed or "none", why)
            self._sources_told[venue] = told

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
        self._scores.published(ticks[-1], self.feed)
        self.feed.set_ready(True)
        self._ticking.set()

    def _watch_clock(self) -> None:
        shift = self._watch.second()
        if shift is None:
            return
        log.warning("wall clock stepped by %+d ms: re-anchored; ages are unchanged", shift)
        if self._writer is not None:
            sampled_ms = self._engine.sampled_ms  # a replay must have sampled as far before the shift
            self._writer.record(Record("r", self._clock.now_ms(), shift_ms=shift, sampled_ms=sampled_ms))
        self._engine.reanchor(shift)
        self.known_share.reanchor(shift)
        if self._engine.sampled_ms + TICK_MS < self._published_ms:
            # Ticks of times already published are coming: clients must not take them for repeats.
            self._published_ms = 0
            self._scores.forget()
            self.feed.new_epoch(new_epoch(self._clock.now_ms(), self._rng))


def new_epoch(now_ms: int, rng: random.Random) -> str:
    """A ULID: 48 bits of time, 80 random bits, Crockford base 32."""
    value = (now_ms << 80) | rng.getrandbits(80)
    return "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[(value >> shift) & 31] for shift in range(125, -1, -5))
