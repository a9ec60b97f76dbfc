"""Small venues with a published past, on loopback: lists, a socket, and history over HTTP, in a text format of our own.

``list BTC``, ``mark BTC 100.5 100.4``, ``oi BTC 1000.5``, ``funding BTC 0.0001``, ``past mark BTC <ts> <value>``.
The market is a function of time, so that what a service should know of it can be computed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from math import sin
from typing import Any

from aiohttp import web

from service.model import (
    Bad,
    Decoded,
    Endpoints,
    Funding,
    HistoryPoint,
    Listing,
    Mark,
    OpenInterest,
    StreamRule,
    VenueRules,
)
from service.venues.contract import Catalog, ConnectionPlan, Limits, Poll, Request

LIMITS = Limits(
    connects=60, connect_period_s=60.0, sends_per_s=100.0, rest_weight=1000.0, rest_period_s=60.0, max_topics=2
)
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


def price(symbol: str, ts: int) -> float:
    return (100.0 + len(symbol)) * (1 + 0.01 * sin(ts / 3.1e6) + 0.001 * sin(ts / 41_000))


def interest(symbol: str, ts: int) -> float:
    return 1000.0 * (1 + 0.05 * sin(ts / 5.3e6) + 0.002 * sin(ts / 400_000))


class PastDecoder:
    def __init__(self, venue: str, catalog: Catalog) -> None:
        self._venue = venue
        self._catalog = catalog

    def decode(self, raw: str | bytes, recv_ts: int, context: str = "") -> list[Decoded]:
        text = raw if isinstance(raw, str) else raw.decode()
        if context == "meta":
            names = [line.split()[1] for line in text.splitlines()]
            listings = [self._listing(name, True, recv_ts) for name in names]
            listings += [self._listing(name, False, recv_ts) for name in self._catalog.listings if name not in names]
            self._catalog.listings.update({listing.instrument: listing for listing in listings})
            return list(listings)
        return [self._line(line.split(), recv_ts) for line in text.splitlines()]

    def _listing(self, name: str, trading: bool, recv_ts: int) -> Listing:
        return Listing(self._venue, name, name, False, 1.0, 1.0, 8.0, trading, recv_ts)

    def _line(self, words: list[str], ts: int) -> Decoded:
        venue = self._venue
        match words:
            case ["mark", name, mark, index]:
                return Mark(venue, name, name, float(mark), float(index), None, ts)
            case ["oi", name, coins]:
                return OpenInterest(venue, name, name, float(coins), 1.0, float(coins), False, None, ts)
            case ["funding", name, rate]:
                return Funding(venue, name, name, float(rate), 8.0, float(rate), None, False, None, ts)
            case ["past", stream, name, at, value, *held]:
                hold_ms = int(held[0]) if held else {"oi": 600_000, "funding": 36_000_000}.get(stream, 120_000)
                hours = 8.0 if stream == "funding" else None
                return HistoryPoint(venue, name, name, stream, int(at), float(value), hours, hold_ms)  # type: ignore[arg-type]
        return Bad("unknown_shape", " ".join(words)[:40])


class PastVenue:
    """Satisfies ``service.venues.contract.Venue``; ``name`` is a configured venue's."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.title = name
        self.polls_oi = False
        self.limits = LIMITS
        self.rules = VenueRules(
            venue=name,
            exchange=name,
            mark=StreamRule(15_000, "none"),
            funding=StreamRule(300_000, "none"),
            oi=StreamRule(60_000, "none"),
            index_max_age_ms=15_000,
            funding_cap_8h=0.1,
        )
        self.endpoints = Endpoints({}, "")

    def rules_for(self, oi_poll_s: float, instruments: int = 0) -> VenueRules:
        return self.rules

    def decoder(self, catalog: Catalog) -> PastDecoder:
        return PastDecoder(self.name, catalog)

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        return [Request("GET", f"{endpoints.rest}/meta", context="meta")]

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[Any] = ()
    ) -> list[ConnectionPlan]:
        plans = []
        for start in range(0, len(listings), self.limits.max_topics):
            names = [item.instrument for item in listings[start : start + self.limits.max_topics]]
            expects = tuple((name, stream) for name in names for stream in ("mark", "funding", "oi"))
            plan = ConnectionPlan(
                f"public-{len(plans) + 1}",
                f"{endpoints.ws['main']}?names={','.join(names)}",
                (),
                expects,  # type: ignore[arg-type]
                acks=0,
            )
            plans.append(plan)
        if extras and listings:
            plans.append(replace(plans[0], name="extra-1", expects=(), url=f"{endpoints.ws['main']}?names="))
        return plans

    def polls(
        self, endpoints: Endpoints, listings: Sequence[Listing], oi_poll_s: float, extras: Sequence[Any] = ()
    ) -> list[Poll]:
        return []

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        name = listing.instrument
        return [
            Request(
                "GET",
                f"{endpoints.rest}/history?what={what}&name={name}&since={since_ms}&now={now_ms}",
                context=f"history:{what}:{name}",
            )
            for what in ("mark", "index", "oi", "funding")
        ]

    def month(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        name = listing.instrument
        return [
            Request(
                "GET",
                f"{endpoints.rest}/month?what={what.removeprefix('hourly_')}&name={name}&since={since_ms}&now={now_ms}",
                context=f"history:{what}:{name}",
            )
            for what in ("hourly_mark", "hourly_oi", "funding")
        ]


class PastServer:
    """The server of one venue. ``names`` may change while it runs; ``trouble(path)`` may answer instead."""

    def __init__(self, clock: Callable[[], int], names: Sequence[str] = ("BTC",)) -> None:
        self.names = list(names)
        self.trouble: Callable[[str], web.Response | None] = lambda path: None
        self.endpoints = Endpoints({}, "")
        self.delay_s = 0.0  # of each history answer
        self.month_delay_s = 0.0
        self.without_past: set[str] = set()  # names that there is no history of
        self.asked: list[str] = []
        self.months: list[str] = []  # names whose month was asked for, once a request
        self.since: dict[str, set[int]] = {}  # by name, from when on its past was asked for
        self.opened: list[str] = []  # names of each socket, in order
        self.open: list[str] = []
        self._clock = clock

    @asynccontextmanager
    async def running(self) -> AsyncIterator[PastServer]:
        app = web.Application()
        app.router.add_get("/meta", self._meta)
        app.router.add_get("/history", self._history)
        app.router.add_get("/month", self._month)
        app.router.add_get("/ws", self._socket)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"127.0.0.1:{runner.addresses[0][1]}"
        self.endpoints = Endpoints({"main": f"ws://{address}/ws"}, f"http://{address}")
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _meta(self, request: web.Request) -> web.Response:
        return self.trouble("/meta") or web.Response(text="\n".join(f"list {name}" for name in self.names))

    async def _history(self, request: web.Request) -> web.Response:
        what, name = request.query["what"], request.query["name"]
        self.asked.append(f"{name}:{what}")
        self.since.setdefault(name, set()).add(int(request.query["since"]))
        await asyncio.sleep(self.delay_s)
        refused = self.trouble("/history")
        if refused is not None:
            return refused
        if name in self.without_past:
            return web.Response(text="")
        step = {"oi": 5 * MINUTE_MS, "funding": 8 * 60 * MINUTE_MS}.get(what, MINUTE_MS)
        since, now = int(request.query["since"]), int(request.query["now"])
        value = {"mark": price, "index": price, "oi": interest, "funding": lambda symbol, ts: 1e-4}[what]
        first = since // step * step
        lines = [f"past {what} {name} {ts} {value(name, ts)}" for ts in range(first, now + 1, step)]
        return web.Response(text="\n".join(lines))

    async def _month(self, request: web.Request) -> web.Response:
        what, name = request.query["what"], request.query["name"]
        self.months.append(name)
        await asyncio.sleep(self.month_delay_s)
        refused = self.trouble("/month")
        if refused is not None:
            return refused
        step = {"funding": 8 * HOUR_MS}.get(what, HOUR_MS)
        since, now = int(request.query["since"]), int(request.query["now"])
        value = {"mark": price, "oi": interest, "funding": lambda symbol, ts: 1e-4}[what]
        lines = [
            f"past {what} {name} {ts} {value(name, ts)} {2 * step}" for ts in range(since // step * step, now + 1, step)
        ]
        return web.Response(text="\n".join(lines))

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        refused = self.trouble("/ws")
        if refused is not None:
            return refused
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        wanted = request.query["names"]
        names = [name for name in wanted.split(",") if name]
        self.opened.append(wanted)
        self.open.append(wanted)
        reading = asyncio.create_task(socket.receive())
        try:
            while not reading.done():
                now = self._clock()
                lines = []
                for name in names:
                    if name in self.names:
                        lines.append(f"mark {name} {price(name, now)} {price(name, now)}")
                        lines.append(f"oi {name} {interest(name, now)}")
                        lines.append(f"funding {name} 0.0001")
                if lines:
                    await socket.send_str("\n".join(lines))
                await asyncio.wait([reading], timeout=1.0)
        except ConnectionError:
            pass
        finally:
            self.open.remove(wanted)
            reading.cancel()
        return socket
