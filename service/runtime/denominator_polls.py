"""Keeps the denominators coming: polls the enabled sources, and delivers what follows. Never blocks, never raises.

A source that fails is left alone for a growing while; its last figures stay in use and age (the signal says so).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aiohttp

from service import __version__
from service.clock import Clock
from service.config import Config, NetworkSection, SourceSection
from service.denominators import SOURCES, Answer, Fetch, Figure, Kind, Precedence, Source
from service.errors import BadPayload, VenueError, VenueRejected, VenueSilent
from service.model import Denominator

log = logging.getLogger(__name__)

FIRST_RETRY_S = 30.0
BETWEEN_S = 1.0  # free services: one request at a time, a second apart
BODY_S = 120.0  # DefiLlama's histories are tens of megabytes
MAX_FOLLOW_UPS = 8


@dataclass(slots=True)
class SourceHealth:
    """How a source is doing, for people. Times: UTC epoch ms."""

    name: str
    polls: int = 0
    failures: int = 0
    answered_ms: int | None = None
    as_of_ms: int | None = None
    last_error: str | None = None

    def plain(self) -> dict[str, int | str | None]:
        return {
            "polls": self.polls,
            "failures": self.failures,
            "answered_ms": self.answered_ms,
            "as_of_ms": self.as_of_ms,
            "last_error": self.last_error,
        }


class DenominatorPolls:
    """Polls until :meth:`run` is cancelled. ``fixed``: (symbol, kind) that the operator's file covers."""

    def __init__(
        self,
        config: Config,
        fixed: Sequence[tuple[str, Kind]],
        deliver: Callable[[Denominator], None],
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._symbols = config.service.symbols
        self._network = config.network
        self._ids = config.denominators.coingecko_ids
        self._deliver = deliver
        self._clock = clock
        self._rng = rng
        self._wanted = {
            name: section
            for name in SOURCES
            if (section := sections(config)[name]).enabled and self._symbols_of(name, fixed)
        }
        self._ledger = Precedence(list(SOURCES.values()), fixed)
        self.health = {name: SourceHealth(name) for name in self._wanted}

    def _symbols_of(self, name: str, fixed: Sequence[tuple[str, Kind]]) -> bool:
        """Whether anything is left for the source beside what the operator's file says."""
        kind: Kind = "supply" if name == "coingecko" else "reserve"
        covered = dict.fromkeys(fixed)
        return any((symbol, kind) not in covered for symbol in self._symbols)

    async def run(self) -> None:
        if not self._wanted:
            return
        async with asyncio.TaskGroup() as group:
            for name, section in self._wanted.items():
                group.create_task(self._keep(SOURCES[name], section), name=f"base:{name}")

    async def _keep(self, source: Source, section: SourceSection) -> None:
        retry_s = FIRST_RETRY_S
        health = self.health[source.name]
        while True:
            failures = health.failures
            after_s = await self._poll(source, section, health)
            if health.failures == failures:
                retry_s = FIRST_RETRY_S
                pause_s = section.every_s * self._rng.uniform(0.95, 1.05)
            else:
                pause_s = max(self._rng.uniform(retry_s / 2, retry_s), after_s)
                retry_s = min(retry_s * 2, section.every_s)
            await asyncio.sleep(pause_s)

    async def _poll(self, source: Source, section: SourceSection, health: SourceHealth) -> float:
        """One round over all requests of a source. Returns seconds it asked us to stay away (0 mostly)."""
        base = section.rest or source.rest
        queue = source.begin(base, self._symbols, self._ids)
        figures: list[Figure] = []
        trouble: dict[str, None] = {}
        asked = answered = 0
        after_s = 0.0
        health.polls += 1
        timeout = aiohttp.ClientTimeout(total=BODY_S, connect=self._network.open_timeout_s)
        try:
            async with session(timeout) as client:
                while queue and asked < len(SOURCES) + MAX_FOLLOW_UPS + 8:
                    if asked > 0:
                        await asyncio.sleep(BETWEEN_S)
                    request = queue.pop(0)
                    asked += 1
                    try:
                        answer = await fetch(client, self._network, source, request, self._clock.now_ms())
                    except Throttled as error:
                        trouble[f"{error.reason} {error.detail}"] = None
                        after_s = error.after_s
                        break
                    except (VenueError, BadPayload) as error:
                        trouble[f"{error.reason} {error.detail}".strip()] = None
                        continue
                    answered += 1
                    figures.extend(answer.figures)
                    trouble.update(dict.fromkeys(answer.refused))
                    queue.extend(answer.more[:MAX_FOLLOW_UPS])
            items, notes = self._ledger.take(source.name, figures)
            for item in items:
                self._deliver(item)
        except Exception as error:  # the one guard of a source: a defect of ours costs this poll only
            log.exception("denominators source=%s failed, a defect of ours", source.name)
            trouble[f"bug {type(error).__name__}"] = None
            answered, notes = 0, []
        self._note(source, health, list(trouble), notes, answered > 0)
        return after_s

    def _note(
        self, source: Source, health: SourceHealth, trouble: Sequence[str], notes: Sequence[str], answered: bool
    ) -> None:
        for note in notes:
            log.warning("denominators source=%s %s", source.name, note)
        health.as_of_ms = self._ledger.oldest(source.name)
        first = health.answered_ms is None
        if answered:
            health.answered_ms = self._clock.now_ms()
        else:
            health.failures += 1
        error = "; ".join(trouble)[:300] or None
        if error != health.last_error:
            if error is None:
                log.info("denominators source=%s answers again", source.name)
            else:
                log.warning(
                    "denominators source=%s %s; %s",
                    source.name,
                    error,
                    "no figures of it yet" if health.as_of_ms is None else "its last figures stay in use and age",
                )
        elif answered and first:
            log.info("denominators source=%s answered (%s)", source.name, source.licence)
        health.last_error = error


class Throttled(VenueRejected):
    """HTTP 429 and the like, with the seconds to stay away."""

    def __init__(self, status: int, after_s: float) -> None:
        super().__init__(f"http_{status}", f"asked to wait {after_s:.0f} s")
        self.after_s = after_s


def sections(config: Config) -> dict[str, SourceSection]:
    """The configuration of each source, by name."""
    return {name: getattr(config.denominators, name) for name in SOURCES}


def session(timeout: aiohttp.ClientTimeout) -> aiohttp.ClientSession:
    """A pool with our manners, closed by the caller. Who we are is said: free services ask for it."""
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept": "application/json", "User-Agent": f"elr-signal-service/{__version__}"},
        timeout=timeout,
    )


async def fetch(
    client: aiohttp.ClientSession, network: NetworkSection, source: Source, request: Fetch, now_ms: int
) -> Answer:
    """One request read as it comes. Raises :exc:`VenueError` or :exc:`BadPayload`; redirects are refused."""
    reader = source.reader(request)
    await download(client, network, request.url, request.max_bytes, reader.feed)
    return reader.finish(now_ms)


async def download(
    client: aiohttp.ClientSession, network: NetworkSection, url: str, max_bytes: int, feed: Callable[[bytes], None]
) -> None:
    """A body, piece by piece to ``feed``. Raises as :func:`fetch` does, and what ``feed`` raises."""
    size = 0
    try:
        async with client.get(url, allow_redirects=False, proxy=network.proxy) as response:
            if response.status in (403, 418, 429, 503):
                after = response.headers.get("Retry-After", "")
                raise Throttled(response.status, min(float(after), 86_400.0) if after.isdecimal() else 60.0)
            if not 200 <= response.status < 300:
                raise VenueRejected(f"http_{response.status}", url.partition("?")[0])
            async for chunk in response.content.iter_chunked(1 << 16):
                size += len(chunk)
                if size > max_bytes:
                    raise BadPayload("oversized", f"above {max_bytes} bytes")
                feed(chunk)
                await asyncio.sleep(0)  # parsing a megabyte takes milliseconds: others first
    except TimeoutError:
        raise VenueSilent("timeout", url.partition("?")[0]) from None
    except (aiohttp.ClientError, OSError) as error:
        raise VenueError("unreachable", (str(error) or type(error).__name__)[:120]) from None
