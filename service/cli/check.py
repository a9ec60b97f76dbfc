"""``elr check``: judge a configuration; with ``--net``, say which venues answer from here."""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter

import aiohttp

from service.clock import ServiceClock
from service.config import Config, load
from service.model import Endpoints
from service.venues.spec import Venue
from service.wiring.setup import denominators_of, endpoints_of, venues_of

TIMEOUT_S = 10.0


def run(options: argparse.Namespace) -> int:
    config = load(options.file)
    denominators = denominators_of(config, ServiceClock().now_ms())
    print(f"configuration: ok ({options.file if options.file is not None else 'defaults'})")
    print(f"symbols: {len(config.service.symbols)}, venues: {', '.join(config.venues.enabled())}")
    print(
        f"denominators: {len(denominators)} symbols"
        if denominators
        else "denominators: none; oi_reserve and oi_mcap stay null"
    )
    if not options.net:
        return 0
    return asyncio.run(_net(config))


async def _net(config: Config) -> int:
    endpoints = endpoints_of(config)
    venues = venues_of(config)
    answers = await asyncio.gather(*(_reach(config, venue, endpoints[name]) for name, venue in venues.items()))
    for name, answer in zip(venues, answers, strict=True):
        print(f"{name}: {answer}")
    counts = Counter("reachable" if answer.startswith("reachable") else "not" for answer in answers)
    quorum = min(config.market.min_venues, len(venues))
    enough = counts["reachable"] >= quorum
    verdict = "holds" if enough else "does NOT hold: no symbol will have data"
    print(f"{counts['reachable']} of {len(venues)} reachable; the quorum of {quorum} {verdict}")
    return 0 if enough else 1


async def _reach(config: Config, venue: Venue, endpoints: Endpoints) -> str:
    request = venue.metadata(endpoints)[0]
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            answer = await session.request(
                request.method,
                request.url,
                data=request.body,
                headers={"Content-Type": "application/json"},
                proxy=config.network.proxy,
                allow_redirects=False,
            )
            async with answer:
                if answer.status in (403, 451):
                    return (
                        f"refused from here (HTTP {answer.status}: geo-block?); "
                        f"use a proxy or disable venues.{venue.name}"
                    )
                if answer.status != 200:
                    return f"answers HTTP {answer.status}"
            for kind, url in endpoints.ws.items():
                async with session.get(url.replace("ws", "http", 1), allow_redirects=False) as upgrade:
                    if upgrade.status in (403, 451):
                        return f"HTTP is reachable, the {kind} socket is refused (HTTP {upgrade.status})"
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return f"not reachable ({str(error) or type(error).__name__})"
    return "reachable"
