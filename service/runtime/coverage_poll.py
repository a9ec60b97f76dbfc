"""Keeps the list of other venues' open interest fresh, for the known share. Never blocks a tick, never raises.

A list that fails is asked for ever more rarely; the last good one stays in force and ages, and the share says its age.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

import aiohttp

from service.clock import Clock
from service.config import Config
from service.coverage import LIST, KnownShare, Listed, Tickers
from service.errors import BadPayload, VenueError
from service.model import Consensus
from service.runtime.denominator_polls import BODY_S, FIRST_RETRY_S, SourceHealth, Throttled, download, session

log = logging.getLogger(__name__)


async def poll_coverage(
    config: Config,
    base: str,
    known: KnownShare,
    health: SourceHealth,
    samples: Callable[[], Sequence[Consensus]],
    clock: Clock,
    rng: random.Random,
) -> None:
    """Ask ``base`` every ``coverage.every_s`` until cancelled; ``known`` takes what comes, ``health`` how it goes.

    ``samples``: the newest, whose prices the list's are compared with.
    """
    retry_s, every_s = FIRST_RETRY_S, config.coverage.every_s
    while True:
        after_s = 0.0
        health.polls += 1
        error = None
        try:
            listed = await ask_coverage(config, base, clock.now_ms())
            if not known.take(listed):
                raise BadPayload("not_whole", f"{listed.markets} markets, less than half of the last list")
            health.answered_ms = health.as_of_ms = listed.as_of
            for sample in samples():
                known.shares(sample, clock.now_ms())  # compares prices: here one by one, not all in the next scrape
                await asyncio.sleep(0)
        except (VenueError, BadPayload) as refused:
            error = f"{refused.reason} {refused.detail}".strip()
            after_s = refused.after_s if isinstance(refused, Throttled) else 0.0
        except Exception as bug:  # the one guard: a defect of ours costs this poll only
            log.exception("list of open interest failed, a defect of ours")
            error = f"bug {type(bug).__name__}"
        _tell(health, error)
        if error is None:
            retry_s, pause_s = FIRST_RETRY_S, every_s * rng.uniform(0.95, 1.05)
        else:
            health.failures += 1
            pause_s = max(rng.uniform(retry_s / 2, retry_s), after_s)
            retry_s = min(retry_s * 2, every_s)
        await asyncio.sleep(pause_s)


async def ask_coverage(config: Config, base: str, now_ms: int) -> Listed:
    """The list as asked for at ``now_ms``. Raises :exc:`VenueError` or :exc:`BadPayload`."""
    reader = Tickers(config.service.symbols, config.all_assets(), now_ms)
    timeout = aiohttp.ClientTimeout(total=BODY_S, connect=config.network.open_timeout_s)
    async with session(timeout) as client:
        await download(client, config.network, base + LIST.path, LIST.max_bytes, reader.feed)
    return reader.finish()


def _tell(health: SourceHealth, error: str | None) -> None:
    """A line in the log for every change."""
    if error is None and (health.last_error is not None or health.polls == 1):
        log.info("list of open interest source=%s answers (%s)", health.name, LIST.licence)
    elif error != health.last_error:
        said = "no known share yet" if health.as_of_ms is None else "its last answer stays in use and ages"
        log.warning("list of open interest source=%s %s; %s", health.name, error, said)
    health.last_error = error
