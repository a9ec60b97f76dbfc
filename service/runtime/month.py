"""The month before the service began: what venues publish of it by the hour, fetched beside the live service.

One symbol after the other, all its venues at once, each within what live polls can spare of its budget. What was
entered is part of the engine's state: a restart goes on with the symbols that are left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import aiohttp

from service.clock import Clock
from service.config import Config
from service.core.backfill import Archive
from service.core.engine import TICK_MS, Engine
from service.core.month import MarketPast, past_of
from service.indicators import SymbolIndicators
from service.metrics import Metrics
from service.model import Listing, Past, VenueRules
from service.runtime.history_fetch import GIVE_UP, HistorySink, ask, private
from service.runtime.venue_runner import VenueRunner
from service.runtime.warm_up import Turns
from service.statistics import fold
from service.venues.transport.poller import OWN_FAULT

log = logging.getLogger(__name__)

DAY_MS = 86_400_000
AGAIN_S = 3_600.0  # after a round in which a venue did not answer; twice as long after each one more
LONGEST_S = 86_400.0
MARKET_TRIES = 24
TELL_S = 30.0
QUIET_MS = (1_200, 8_500)  # after a tick: work goes on then alone; a month is entered in one piece, some tens of ms
LOOK_S = 0.25


@dataclass(slots=True)
class _Asked:
    """One venue in one round. ``failed``: tries by reason; ``in_vain``: requests in a row given up for the venue's
    sake; ``missing``: whether there was one."""

    runner: VenueRunner
    session: aiohttp.ClientSession
    sink: HistorySink
    failed: dict[str, int]
    in_vain: int = 0
    missing: bool = False

    @property
    def given_up(self) -> bool:
        return self.in_vain >= GIVE_UP


class MonthFill:
    """Fills in the month of every symbol that has none. :meth:`run` ends when nothing is left to ask for.

    ``enter``: puts a symbol's past on the tape and into the engine. ``on_bad``: as of
    :class:`~service.runtime.history_fetch.HistoryFetch`.
    """

    def __init__(
        self,
        engine: Engine,
        runners: Mapping[str, VenueRunner],
        rules: Sequence[VenueRules],
        config: Config,
        clock: Clock,
        rng: random.Random,
        metrics: Metrics,
        on_bad: Callable[[str, str, str], None],
        enter: Callable[[Past], None],
    ) -> None:
        self._engine = engine
        self._runners = runners
        self._rules = rules
        self._config = config
        self._clock = clock
        self._rng = rng
        self._metrics = metrics
        self._on_bad = on_bad
        self._enter = enter
        self._market = MarketPast()
        self._told_s = 0.0

    async def run(self) -> None:
        """Rounds over the symbols that are left, an hour apart while a venue did not answer."""
        days, patient, again_s = self._config.start.month_days, True, AGAIN_S
        self._metrics.month_filled(self._filled())
        while left := self._left(days):
            log.info("month: asking the venues for %d days by the hour, of %d symbols", days, len(left))
            self._market = MarketPast()  # a round asks for all symbols again while the market has no month
            unanswered = await self._round(left, days, patient)
            log.info("month: of %d symbols %d have one", len(self._engine.symbols), self._filled())
            if not (unanswered and patient):
                await self._fill_market(days)
            if not unanswered:
                return
            log.warning("month: asked again in %.0f h: no answer from %s", again_s / 3_600, ", ".join(unanswered))
            await asyncio.sleep(again_s)
            patient, again_s = False, min(2 * again_s, LONGEST_S)  # from now on with what there is

    async def _fill_market(self, days: int) -> None:
        """The market as a whole, of all its symbols together: again each hour while no full hour of its own is there
        to join it to, as after an upgrade."""
        past = self._market.past(fold(self._engine.market_wide.aggregate.weights().values()))
        for _ in range(MARKET_TRIES):
            if past is None or not _short(self._engine.market_wide.indicators, days):
                return
            await self._between_ticks()
            self._enter(past)
            if self._engine.market_wide.month is None:
                await asyncio.sleep(AGAIN_S)

    def _filled(self) -> int:
        return sum(item.month is not None for item in self._engine.indicators.values())  # integers

    def _left(self, days: int) -> list[str]:
        """Symbols without a month whose own past is shorter; all of them while the market as a whole is such a one: it
        is made of theirs."""
        symbols = [symbol for symbol, own in self._engine.indicators.items() if _short(own, days)]
        return list(self._engine.symbols) if _short(self._engine.market_wide.indicators, days) else symbols

    async def _round(self, symbols: Sequence[str], days: int, patient: bool) -> list[str]:
        """Every one of ``symbols`` once. Returns the venues that did not answer. ``patient``: what such a venue lists
        is left for the next round, so that it can be in it."""
        async with contextlib.AsyncExitStack() as stack:
            venues = {}
            for name, runner in self._runners.items():
                session = await stack.enter_async_context(runner.poller.session())
                decoder = runner.venue.decoder(private(runner.catalog))
                sink = HistorySink(decoder, Archive(), self._clock, self._on_bad)
                venues[name] = _Asked(runner, session, sink, {})
            for symbol in symbols:
                past = await self._past(symbol, days, venues, patient)
                if past is not None:
                    self._market.add(past, self._engine.market_wide.aggregate.weights().get(symbol, 0.0))
                    if _short(self._engine.indicators[symbol], days):
                        self._enter(past)
                    self._metrics.month_filled(self._filled())
                    self._tell(past)
        return [name for name, asked in venues.items() if asked.missing]

    async def _past(self, symbol: str, days: int, venues: Mapping[str, _Asked], patient: bool) -> Past | None:
        """The symbol's month; None where no quorum of venues has one, or where one is worth waiting for."""
        until_ms = self._clock.now_ms()
        since_ms = until_ms - (days + 1) * DAY_MS  # a day more: means are over whole days
        listings = {
            name: [item for item in asked.runner.listings if item.symbol == symbol] for name, asked in venues.items()
        }
        failed = await asyncio.gather(
            *[self._fetch(name, venues[name], items, since_ms, until_ms) for name, items in listings.items()]
        )
        if patient and any(failed):
            return None
        archive, everything = Archive(), [item for items in listings.values() for item in items]
        for asked in venues.values():
            archive.adopt(asked.sink.archive)
        turns = Turns()
        made = past_of(archive, everything, symbol, since_ms, until_ms, self._rules, self._config.market)
        while True:
            try:
                next(made)
            except StopIteration as ended:
                past: Past | None = ended.value
                await self._between_ticks()
                return past
            await turns.take()
            await self._between_ticks()

    async def _fetch(self, name: str, asked: _Asked, listings: Sequence[Listing], since_ms: int, until_ms: int) -> bool:
        """One venue's part; whether something of it is missing for the venue's sake."""
        venue, endpoints, missing = asked.runner.venue, asked.runner.endpoints, False
        asked.sink.archive = Archive()  # of one symbol at a time
        for listing in listings:
            for request in venue.month(endpoints, listing, since_ms, until_ms):
                if asked.given_up:
                    return True  # of this symbol, too
                failure = await ask(asked.runner, asked.session, request, asked.sink, self._rng, asked.failed)
                self._metrics.month_request(name, failure is None)
                if failure is None:
                    asked.in_vain = 0
                elif failure not in OWN_FAULT:  # else asking again would not help
                    missing = asked.missing = True
                    asked.in_vain += 1
                    if asked.given_up:
                        log.warning("month: venue=%s given up: %s", name, ",".join(sorted(asked.failed)))
        return missing

    async def _between_ticks(self) -> None:
        while not QUIET_MS[0] <= self._clock.now_ms() % TICK_MS <= QUIET_MS[1]:  # noqa: ASYNC110 - a tick has no event
            await asyncio.sleep(LOOK_S)

    def _tell(self, past: Past) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told_s >= TELL_S:
            self._told_s = now_s
            log.info(
                "month: %d of %d symbols; last %s, %d hours of %s",
                self._filled(), len(self._engine.symbols), past.symbol, len(past.hours), ", ".join(past.venues),
            )  # fmt: skip


def _short(own: SymbolIndicators, days: int) -> bool:
    """Whether it has no month and does not know it by itself."""
    return own.month is None and not own.remembers(24 * (days - 1))
