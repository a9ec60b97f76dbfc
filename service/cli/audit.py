"""``elr audit``: every venue's own figures, read from here over HTTP, beside those of a running service."""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
from rich.console import Console
from rich.table import Table

from service.audit import FIGURES, SOURCES, Audit, Difference, Figures, compare, read
from service.clock import ServiceClock
from service.config import Config, load
from service.core.intake import Intake
from service.errors import ConfigError, ServiceError
from service.metrics import Metrics
from service.model import Listing
from service.runtime.audits import fetched
from service.venues import VENUES
from service.venues.symbols import canonical_symbol
from service.venues.transport.budget import VenueBudget
from service.venues.transport.health import VenueHealth
from service.venues.transport.poller import Poller
from service.venues.transport.venue_io import VenueIo

WAIT_S = 10.0
PIPED_WIDTH = 160
WORST = 20  # figures shown that are within what is allowed


class NoAudit(ServiceError):
    """Nothing to compare with; its text says why."""


def run(options: argparse.Namespace) -> int:
    config = load(options.config)
    wanted = None
    if options.symbols is not None:
        wanted = {canonical_symbol(name, config.aliases()) for name in options.symbols}
    url = re.sub("^ws", "http", options.url.rstrip("/"))  # the feed's address will do
    if not url.startswith(("http://", "https://")):
        raise NoAudit(f"{_shown(url)}: an address begins with http://")
    source, audits = asyncio.run(_audits(url, config, options.config is not None, wanted))
    compared, beyond = sum(item.compared for item in audits), sum(item.beyond for item in audits)  # integers
    if options.json:
        sys.stdout.buffer.write(orjson.dumps(_document(config, source, audits), option=orjson.OPT_INDENT_2) + b"\n")
        sys.stdout.flush()
    else:
        _show(config, source, audits, options.everything)
    return 1 if beyond or not compared or _unsound(audits) else 0


def _unsound(audits: Sequence[Audit]) -> list[str]:
    """Why the audit of a venue says nothing, though nothing in it is beyond: a line each."""
    found = []
    for item in audits:
        if (item.rows or item.failures) and 2 * item.compared < max(len(item.rows), 1):
            found.append(f"{item.venue}: less than half of its figures could be compared")
        elif quarantined := [row.instrument for row in item.rows if "not here: quarantined" in row.note]:
            found.append(f"{item.venue}: not counted here, so not compared: {', '.join(sorted(set(quarantined))[:5])}")
    return found


def _shown(url: str) -> str:
    """An address without a login in it."""
    return re.sub("//[^/@]*@", "//", url)


async def _audits(
    url: str, config: Config, configured: bool, wanted: Collection[str] | None
) -> tuple[str, list[Audit]]:
    """Where the service's data come from, and the audit of each of its venues. ``configured``: the configuration was
    named, so that it says which venues are asked."""
    timeout = aiohttp.ClientTimeout(total=WAIT_S)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        listed, venues = await _asked(client, url, "/v1/symbols"), await _asked(client, url, "/v1/venues")
        try:
            listings = _listings(listed["symbols"], wanted)
            names = [name for name in venues["venues"] if not configured or name in config.venues.enabled()]
            addresses = {name: _address(config, name, venues["venues"][name]["rest"]) for name in names}
            source = str(venues["source"])
        except (KeyError, TypeError, AttributeError) as error:
            raise NoAudit(
                f"{_shown(url)}: not this service, or an older version ({type(error).__name__}: {error})"
            ) from None
        if None in addresses.values():
            raise NoAudit(f"{_shown(url)}: serves source={source}: it has no venues that could be asked")
        unknown = sorted(set(wanted or ()) - set(listed["symbols"]))
        if unknown:
            raise ConfigError([f"--symbols {' '.join(unknown)}: not among those of {_shown(url)}"])
        clock, rng = ServiceClock(), random.Random()
        budgets: dict[str, VenueBudget] = {}  # by exchange, as in the service

        async def one(name: str) -> Audit:
            if name not in SOURCES or name not in VENUES:
                return Audit(name, clock.now_ms(), failures=("this version does not know where its figures stand",))
            budget = budgets.setdefault(VENUES[name].rules.exchange, VenueBudget(VENUES[name].limits))
            poller = _poller(name, config, clock, rng, budget)
            mine = [item for item in listings if item.venue == name]
            requests = SOURCES[name].requests(str(addresses[name]), mine) if mine else []
            answers, failures = await fetched(poller, requests)
            now = await _asked(client, url, "/v1/venues")  # at once: marks move
            theirs, failures = read(SOURCES[name], answers, mine, failures)
            try:
                rows = compare(name, mine, _ours(now["venues"][name]), theirs, config.audit)
            except (KeyError, TypeError, AttributeError) as error:
                raise NoAudit(f"{_shown(url)}: figures of another shape ({type(error).__name__}: {error})") from None
            return Audit(name, clock.now_ms(), tuple(rows), tuple(failures))

        return source, list(await asyncio.gather(*(one(name) for name in addresses)))


async def _asked(client: aiohttp.ClientSession, url: str, path: str) -> dict[str, Any]:
    try:
        urlsplit(url)
        async with client.get(url + path) as answer:
            body = await answer.read()
            if answer.status != 200:
                why = ": behind a login" if answer.status in (401, 403) else ""
                raise NoAudit(f"{_shown(url)}{path}: answers {answer.status}{why}")
        document = orjson.loads(body)
    except (aiohttp.InvalidURL, UnicodeError) as error:
        raise NoAudit(f"{_shown(url)}: no address: {error}") from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise NoAudit(
            f"no service answers at {_shown(url)} ({str(error) or 'no answer in time'}): start one with `elr serve` "
            "(live) or `elr demo` (simulated), and ask again once it is ready"
        ) from None
    except ValueError:
        raise NoAudit(f"{_shown(url)}{path}: not JSON: not this service") from None
    if not isinstance(document, dict):
        raise NoAudit(f"{_shown(url)}{path}: not an object: not this service")
    return document


def _address(config: Config, name: str, used: str | None) -> str | None:
    """Where the venue is asked: where the file says, else where the service does; None for a service without any."""
    own = config.venues.of(name).rest if name in VENUES else None
    return own if own is not None and used is not None else used


def _listings(symbols: Mapping[str, Sequence[Mapping[str, Any]]], wanted: Collection[str] | None) -> list[Listing]:
    return [
        Listing(
            venue=row["venue"],
            instrument=row["instrument"],
            symbol=symbol,
            inverse=row["inverse"],
            contract_size=None,  # ours: the venue's own counts here
            multiplier=row["multiplier"],
            interval_h=None,
            trading=True,
            recv_ts=0,
        )
        for symbol, rows in symbols.items()
        if wanted is None or symbol in wanted
        for row in rows
    ]


def _ours(venue: Mapping[str, Any]) -> dict[str, Figures]:
    return {
        name: Figures(row["mark"], row["funding_8h"], row["oi_coins"], row["missing"])
        for symbol in venue["symbols"].values()
        for name, row in symbol["instruments"].items()
    }


def _poller(name: str, config: Config, clock: ServiceClock, rng: random.Random, budget: VenueBudget) -> Poller:
    venue = VENUES[name]
    nowhere = Intake({}, clock, lambda event: None, lambda: 0, Metrics((), "audit", ""))
    return Poller(VenueIo(venue, nowhere, clock, rng, budget, config.network, VenueHealth(name)))


# -- for people, for machines ------------------------------------------------------------------------------------------


def _document(config: Config, source: str, audits: Sequence[Audit]) -> dict[str, Any]:
    return {
        "source": source,
        "allowed": {name: getattr(config.audit, name) for name in ("oi", "mark", "funding_share", "funding_8h")},
        "compared": sum(item.compared for item in audits),  # integers
        "beyond": sum(item.beyond for item in audits),  # integers
        "unsound": _unsound(audits),
        "venues": {
            item.venue: {
                "ts": item.ts,
                "compared": item.compared,
                "beyond": item.beyond,
                "failures": list(item.failures),
                "oi_read": SOURCES[item.venue].oi_read if item.venue in SOURCES else None,
                "rows": [row.plain() for row in sorted(item.rows, key=lambda row: -row.times)],
            }
            for item in audits
        },
    }


def _show(config: Config, source: str, audits: Sequence[Audit], everything: bool) -> None:
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    rows = sorted((row for item in audits for row in item.rows), key=lambda row: -row.times)
    shown = rows if everything else [row for n, row in enumerate(rows) if row.beyond or (n < WORST and row.times >= 0)]
    grid = Table("venue", "instrument", "figure", box=None, header_style="bold", pad_edge=False)
    for name in ("ours", "theirs", "off"):
        grid.add_column(name, justify="right", no_wrap=True)
    for row in shown:
        grid.add_row(*_cells(row), style="bold red" if row.beyond else "dim" if row.times < 0 else None)
    console.print(grid)
    if len(shown) < len(rows):
        console.print(f"{len(rows) - len(shown)} more: --all")
    notes = _notes(rows)
    for line in ["", *notes, ""] if notes else [""]:
        console.print(line, highlight=False, markup=False)
    totals = Table("venue", box=None, header_style="bold", pad_edge=False)
    for name in ("compared", "beyond", "missing"):
        totals.add_column(name, justify="right")
    totals.add_column("requests that failed", overflow="fold")
    for item in audits:
        missing = len(item.rows) - item.compared
        totals.add_row(item.venue, str(item.compared), str(item.beyond), str(missing), "\n".join(item.failures))
    console.print(totals)
    compared, beyond = sum(item.compared for item in audits), sum(item.beyond for item in audits)  # integers
    allowed = config.audit
    missing = sum(len(item.rows) for item in audits) - compared  # integers
    unsound = _unsound(audits)
    for line in ["", *unsound, ""] if unsound else [""]:
        console.print(line, highlight=False, markup=False)
    console.print(
        f"source={source}: {compared} figures compared, {beyond} beyond, {missing} missing: open interest "
        f"{allowed.oi:.0%}, mark {allowed.mark:.0%}, funding {allowed.funding_share:.0%} and "
        f"{100 * allowed.funding_8h:g} % per 8 h"
    )


def _notes(rows: Sequence[Difference]) -> list[str]:
    """What is missing and what differences look like: a line for all instruments of a venue of which the same is
    said."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        if row.note:
            groups.setdefault((row.venue, row.figure, row.note), []).append(row.instrument)
    return [
        f"{venue} {figure} of {names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {note}"
        for (venue, figure, note), names in groups.items()
    ]


def _cells(row: Difference) -> tuple[str, str, str, str, str, str]:
    assert row.figure in FIGURES
    funding = row.figure == "funding"

    def number(value: float | None) -> str:
        if value is None:
            return "-"
        return f"{100 * value:.4f} %" if funding else f"{value:,.0f}" if value >= 1e6 else f"{value:,.7g}"

    off = "-" if row.off is None else f"{100 * row.off:+.4f} %" if funding else f"{row.off:+.2%}"
    return row.venue, row.instrument, row.figure, number(row.ours), number(row.theirs), off
