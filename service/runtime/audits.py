"""The audit of a running service: every venue's own figures over HTTP beside ours, every ten minutes.

What the answers say reaches neither the market nor the tape, so a replay knows nothing of it. Requests take what live
polls can spare of the venue's budget, as those for history do; a venue that fails costs its own audit alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from service.audit import SOURCES, Audit, Figures, compare, read
from service.clock import Clock
from service.config import AuditSection
from service.core.engine import Engine
from service.errors import VenueError
from service.market.streams import Track
from service.metrics import AuditNumbers
from service.runtime.venue_runner import VenueRunner
from service.venues.contract import Request
from service.venues.transport.poller import OWN_FAULT, Poller

log = logging.getLogger(__name__)

FIRST_S = 90.0  # after a start, when every stream has spoken
APART_S = 5.0  # between the first of one venue and the next one's
GIVE_UP = 3  # requests in a row that failed for the venue's sake: the others are not tried
SHOWN = 5  # of a venue's figures in /v1/venues, the furthest off
LASTING = 2.5  # times every_s: an older audit says nothing of now


async def fetched(poller: Poller, requests: Sequence[Request]) -> tuple[dict[str, bytes], list[str]]:
    """The answers by the context of their request, and which requests had none, and why."""
    answers: dict[str, bytes] = {}
    failures: list[str] = []
    in_vain = 0
    async with poller.session() as session:
        for count, request in enumerate(requests, 1):
            if (blocked_s := poller.blocked_s()) > 0.0:  # for as long as the venue says, which may be days
                failures.append(f"asked to wait {blocked_s:.0f} s: {len(requests) - count + 1} requests were not made")
                break
            try:
                answers[request.context] = await poller.fetch_apart(session, request)
                in_vain = 0
            except VenueError as error:
                failures.append(f"{request.context}: {error}".rstrip(": "))
                in_vain += error.reason not in OWN_FAULT
            if in_vain >= GIVE_UP and count < len(requests):
                failures.append(f"given up: {len(requests) - count} more requests were not made")
                break
    return answers, failures


def ours(engine: Engine, venue: str, symbol: str | None = None) -> dict[str, Figures]:
    """What the market believes now, by instrument of the venue. What is not live is missing, and says why.

    ``symbol``: of this one only. Open interest whose sides are in doubt is told all the same, and marked: the audit
    may say which it is.
    """
    market = engine.market
    doubted = market.sides[venue].doubted
    found: dict[str, Figures] = {}
    for state in market.symbols.values() if symbol is None else (market.symbols[symbol],):
        for name, item in state.venues[venue].instruments.items():
            if not item.trading:  # delisted, or listed as closed: nobody says anything of it
                continue
            tracks: dict[str, Track] = {"mark": item.mark, "funding": item.funding, "oi": item.oi}
            missing = {figure: track.state.lower() for figure, track in tracks.items() if track.state != "LIVE"}
            if "funding" not in missing and item.funding.rate_8h is None:
                missing["funding"] = "its interval is in doubt"
            if "oi" not in missing and doubted:
                missing["oi"] = "not counted: its sides are in doubt"
            found[name] = Figures(
                mark=item.mark.mark if "mark" not in missing else None,
                funding=item.funding.rate_8h if "funding" not in missing else None,
                oi=item.oi.coins if item.oi.state == "LIVE" else None,
                missing=missing,
            )
    return found


class Audits:
    """The last audit of every venue, and the task that makes them. :meth:`run` ends only by cancellation."""

    def __init__(
        self, engine: Engine, runners: Mapping[str, VenueRunner], settings: AuditSection, clock: Clock
    ) -> None:
        self.latest: dict[str, Audit] = {}
        self._numbers: dict[str, AuditNumbers] = {}
        self._engine = engine
        self._runners = {name: runner for name, runner in runners.items() if name in SOURCES}
        self._settings = settings
        self._clock = clock

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number, (name, runner) in enumerate(self._runners.items()):
                work = self._repeat(name, runner, FIRST_S + APART_S * number)
                group.create_task(work, name=f"{name}:audit")

    def numbers(self) -> tuple[AuditNumbers, ...]:
        """For a scrape."""
        oldest_ms = self._clock.now_ms() - LASTING * self._settings.every_s * 1000
        return tuple(item._replace(stale=item.ts_ms < oldest_ms) for item in self._numbers.values())

    async def once(self, name: str, runner: VenueRunner) -> Audit:
        """One venue now."""
        source, listings = SOURCES[name], list(runner.listings)
        requests = source.requests(runner.endpoints.rest, listings) if listings else []
        answers, failures = await fetched(runner.poller, requests)
        own = ours(self._engine, name)  # at once: marks move
        theirs, failures = read(source, answers, listings, failures)
        rows = compare(name, listings, own, theirs, self._settings)
        return Audit(name, self._clock.now_ms(), tuple(rows), tuple(failures))

    async def _repeat(self, name: str, runner: VenueRunner, first_s: float) -> None:
        await runner.listed.wait()
        await asyncio.sleep(first_s)
        while self._engine.holding:  # noqa: ASYNC110 - what it knows is of before the start, and nobody says when not
            await asyncio.sleep(1.0)
        while True:
            try:
                self._tell(await self.once(name, runner))
            except Exception:  # the one guard of an audit: what the venue does is a failure of a request above
                log.exception("audit venue=%s failed, a defect of ours", name)
            await asyncio.sleep(self._settings.every_s)

    def _tell(self, audit: Audit) -> None:
        """Keep it; a line for whatever is beyond, and for a venue that is well again."""
        before = self.latest.get(audit.venue)
        self.latest[audit.venue] = audit
        self._numbers[audit.venue] = numbers_of(audit)
        for row in audit.worst(SHOWN):
            if row.beyond:
                log.warning(
                    "audit venue=%s instrument=%s figure=%s ours=%s theirs=%s %s",
                    audit.venue, row.instrument, row.figure, row.ours, row.theirs, row.note,
                )  # fmt: skip
        if audit.failures and (before is None or not before.failures):
            log.warning("audit venue=%s: %s", audit.venue, "; ".join(audit.failures)[:200])
        if before is not None and before.beyond and audit.compared and not audit.beyond:
            log.info("audit venue=%s: all within what is allowed again", audit.venue)


def numbers_of(audit: Audit) -> AuditNumbers:
    """What the metrics show: of every symbol the instrument furthest off."""
    figures: dict[tuple[str, str], float | None] = {}
    for row in audit.worst(len(audit.rows)):
        value = row.off if row.figure == "funding" else row.ratio
        if value is not None or row.beyond:  # theirs is 0: nothing to show, and not that of the next
            figures.setdefault((row.figure, row.symbol), value)
    rows = tuple((figure, symbol, value) for (figure, symbol), value in figures.items() if value is not None)
    return AuditNumbers(audit.venue, audit.ts, audit.compared, audit.beyond, rows, False)


def described(audit: Audit | None) -> dict[str, object] | None:
    """For /v1/venues; None before the first."""
    if audit is None:
        return None
    return {
        "ts": audit.ts,
        "compared": audit.compared,
        "beyond": audit.beyond,
        "failures": [text[:200] for text in audit.failures[:SHOWN]],
        "worst": [row.plain() for row in audit.worst(SHOWN)],
    }
