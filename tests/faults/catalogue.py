"""The 24 faults: what each does to a venue's server, and what may become of the signal meanwhile.

``may`` says which outcomes of rule W3 a cell may have at its ticks (docs/faults.md):
``a`` equal to the run without the venue's observations, ``b`` degraded and less confident, ``c`` equal to the run of
the venue's honest observations alone, ``d`` inside the range spanned by honest inputs although the venue's own value
was not honest: only where nothing in the venue's frames could tell.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from tests.faults.chaos import ChaosServer, Fault
from tests.faults.wire import WIRES, Kind, Wire, changed, shifted, times, written

HOUR_S = 3600
THROTTLED_S = 90.0
HEALTHY_S = 60.0
QUARANTINE_S = 60.0  # the contract's own time to believe a venue again


class Script(Fault):
    """A fault that goes on for a while. ``field`` is the run it happens in; set before :meth:`begin`."""

    field: Any

    def __init__(self, venue: str, length_s: float) -> None:
        self.venue = venue
        self.wire: Wire = WIRES[venue]
        self.length_s = length_s
        self.began_s = 0.0
        self.done: dict[Any, None] = {}

    def begin(self, server: ChaosServer) -> Any:
        self.began_s = _now()
        return self.start(server)

    def start(self, server: ChaosServer) -> Any:
        """What happens at the beginning."""

    @property
    def share(self) -> float:
        """How much of the fault is over, 0 to 1."""
        return (_now() - self.began_s) / self.length_s

    def part(self, parts: int) -> int:
        return min(int(self.share * parts), parts - 1)

    def once(self, number: Any) -> bool:
        """True the first time it is asked for ``number``."""
        fresh = number not in self.done
        self.done[number] = None
        return fresh

    def period(self, every_s: float) -> int:
        return int((_now() - self.began_s) // every_s)

    def data(self, topic: str) -> bool:
        """Whether the topic or path carries observations (of any stream, the index included)."""
        return len(self.wire.streams(topic)) > 0

    def largest(self, server: ChaosServer) -> str:
        """The first symbol's instrument with most open interest, as the venue's texts name it."""
        symbol = self.field.model.symbols[0]
        quotes = [quote for quote in server.protocol.quotes if quote.instrument.symbol == symbol]
        return written(server.protocol.venue, max(quotes, key=lambda quote: quote.coins).instrument.name)


def _now() -> float:
    return asyncio.get_running_loop().time()


# -- connections ---------------------------------------------------------------------------------------------------


class Refused(Script):
    async def start(self, server: ChaosServer) -> None:
        await server.refuse()
        server.cut_all()

    async def end(self, server: ChaosServer) -> None:
        await server.listen()


class Nameless(Script):
    def start(self, server: ChaosServer) -> None:
        self.field.unresolvable = True
        server.cut_all()

    def end(self, server: ChaosServer) -> None:
        self.field.unresolvable = False


class Stalled(Script):
    def start(self, server: ChaosServer) -> None:
        server.cut_all()

    async def request(self, server: ChaosServer, request: web.Request) -> web.StreamResponse | None:
        await server.stalled.wait()
        return None


class Rejected(Script):
    """403, then 429 with Retry-After, then 503."""

    def start(self, server: ChaosServer) -> None:
        server.cut_all()

    async def request(self, server: ChaosServer, request: web.Request) -> web.StreamResponse | None:
        match self.part(3):
            case 0:
                return web.Response(status=403, text="Forbidden")
            case 1:
                return web.Response(status=429, headers={"Retry-After": "20"}, text="Too many requests")
        return web.Response(status=503, text="Service Unavailable")


class Closed(Script):
    """A clean close with 1000, 1001 and 1012."""

    async def beat(self, server: ChaosServer) -> None:
        part = self.part(3)
        if self.once(part):
            await server.hang_up((1000, 1001, 1012)[part])


class Reset(Script):
    """RST in the middle of a frame, every 30 s; HTTP connections are cut too."""

    def beat(self, server: ChaosServer) -> None:
        if self.once(self.period(30.0)):
            server.reset()
            server.cut_all()


class HalfOpen(Script):
    """Sockets stay and are silent, new ones are accepted by the kernel only."""

    def start(self, server: ChaosServer) -> None:
        for client in list(server.clients):
            server.deafen(client)

    async def request(self, server: ChaosServer, request: web.Request) -> web.StreamResponse | None:
        await server.stalled.wait()
        return None


class Dataless(Script):
    """Subscriptions and pings are answered, data stopped; HTTP data answers 503."""

    def outgoing(self, server: ChaosServer, topic: str, text: str) -> Sequence[tuple[float, str]]:
        return () if topic != "" else ((0.0, text),)

    def answer(self, server: ChaosServer, path: str, text: str) -> str | None:
        return None if self.data(path) else text


class OneStops(Script):
    """The mark of the first symbol's largest instrument stops, with what shares its topic; all else flows."""

    def _stops(self, server: ChaosServer, topic: str, text: str) -> bool:
        return "mark" in self.wire.streams(topic) and f'"{self.largest(server)}"' in text

    def outgoing(self, server: ChaosServer, topic: str, text: str) -> Sequence[tuple[float, str]]:
        return () if self._stops(server, topic, text) else ((0.0, text),)

    def answer(self, server: ChaosServer, path: str, text: str) -> str | None:
        return None if self._stops(server, path, text) else text


class Unsubscribed(Script):
    """Subscriptions are never acknowledged; in the second half they name something the venue does not have."""

    def start(self, server: ChaosServer) -> None:
        server.cut_all()

    def beat(self, server: ChaosServer) -> None:
        if self.share >= 0.5 and self.once(1):
            server.cut_all()

    def incoming(self, server: ChaosServer, text: str) -> str | None:
        if "subscri" not in text.lower():
            return text
        if self.share < 0.5:
            return None
        for quote in server.protocol.quotes:
            name = quote.instrument.name
            text = text.replace(name, "NOPE").replace(name.lower(), "nope")
        return text


# -- order and time ------------------------------------------------------------------------------------------------


class Repeated(Script):
    """Everything twice, and every seven seconds something that is half a minute old."""

    def __init__(self, venue: str, length_s: float) -> None:
        super().__init__(venue, length_s)
        self._old: dict[tuple[str, ...], deque[tuple[float, str]]] = {}

    def outgoing(self, server: ChaosServer, topic: str, text: str) -> Sequence[tuple[float, str]]:
        if not self.data(topic):
            return ((0.0, text),)
        old = self._aged(server, topic, text)
        return ((0.0, text), (0.0, text)) if old is None else ((0.0, text), (0.0, text), (0.0, old))

    def answer(self, server: ChaosServer, path: str, text: str) -> str | None:
        if not self.data(path):
            return text
        old = self._aged(server, path, text)
        return text if old is None else old

    def _aged(self, server: ChaosServer, topic: str, text: str) -> str | None:
        subject = (topic, *server.subjects(text))
        seen = self._old.setdefault(subject, deque(maxlen=200))
        now = _now()
        seen.append((now, text))
        if not self.once_for(subject, self.period(7.0)):
            return None
        old = [sent for at, sent in seen if at <= now - 30.0]
        return old[-1] if old else None

    def once_for(self, subject: tuple[str, ...], number: int) -> bool:
        return self.once((subject, number))


class Delayed(Script):
    """Data out of order (each frame up to 3 s late), then all of it 30 s late; replies come at once."""

    def outgoing(self, server: ChaosServer, topic: str, text: str) -> Sequence[tuple[float, str]]:
        if topic == "":
            return ((0.0, text),)
        return ((server.rng.uniform(0.1, 3.0) if self.share < 0.5 else 30.0, text),)


class Headless(Script):
    """Deltas without the snapshot they build on; where a venue has no deltas: fields absent, all of them, then in
    every other frame."""

    def __init__(self, venue: str, length_s: float) -> None:
        super().__init__(venue, length_s)
        self._count = 0

    def start(self, server: ChaosServer) -> None:
        if self.wire.snapshot is not None:
            server.cut_all()

    def outgoing(self, server: ChaosServer, topic: str, text: str) -> Sequence[tuple[float, str]]:
        if not self.data(topic):
            return ((0.0, text),)
        if self.wire.snapshot is not None:
            return () if self.wire.is_snapshot(text) else ((0.0, text),)
        return ((0.0, self._bare(text)),)

    def answer(self, server: ChaosServer, path: str, text: str) -> str | None:
        return self._bare(text) if self.data(path) else text

    def _bare(self, text: str) -> str:
        self._count += 1
        if self.share >= 0.5 and self._count % 2 == 0:
            return text
        return changed(text, self.wire, lambda kind, key, value: None)


# -- content -------------------------------------------------------------------------------------------------------


class Altered(Script):
    """Texts that carry observations are changed, on sockets and in HTTP answers alike."""

    def outgoing(self, server: ChaosServer, topic: str, text: str) -> Sequence[tuple[float, str]]:
        return ((0.0, self.alter(server, topic, text) if self.data(topic) else text),)

    def answer(self, server: ChaosServer, path: str, text: str) -> str | None:
        return self.alter(server, path, text) if self.data(path) else text

    def alter(self, server: ChaosServer, topic: str, text: str) -> str:
        raise NotImplementedError


class Malformed(Altered):
    """Every text, then every other one: cut short, not JSON, of another type, nested too deep."""

    def __init__(self, venue: str, length_s: float) -> None:
        super().__init__(venue, length_s)
        self._count = 0

    def alter(self, server: ChaosServer, topic: str, text: str) -> str:
        self._count += 1
        if self.share >= 0.5 and self._count % 2 == 0:
            return text
        ways: tuple[Callable[[], str], ...] = (
            lambda: text[: len(text) // 2],
            lambda: text + "}",
            lambda: "null",
            lambda: changed(text, self.wire, lambda kind, key, value: (key, [value])),
            lambda: changed(text, self.wire, lambda kind, key, value: (key, {"value": value})),
            lambda: changed(text, self.wire, lambda kind, key, value: (key, True)),
            lambda: "[" * 3000 + "]" * 3000,
            lambda: "\x00" + text,
        )
        return ways[self._count % len(ways)]()


class Poisonous(Altered):
    """Number texts that are none, in every field, then in every other frame. (-0 is a number: not for funding.)"""

    TEXTS = ("nan", "inf", "-inf", "1e999", "1_000", "", " 1", "٣", "0x10", "1,5", "+1", "-0", "NaN", "1.")

    def __init__(self, venue: str, length_s: float) -> None:
        super().__init__(venue, length_s)
        self._count = 0

    def alter(self, server: ChaosServer, topic: str, text: str) -> str:
        self._count += 1
        if self.share >= 0.5 and self._count % 2 == 0:
            return text
        poison = self.TEXTS[self._count % len(self.TEXTS)]

        def change(kind: Kind, key: str, value: Any) -> tuple[str, Any]:
            return key, "nan" if poison == "-0" and kind == "funding" else poison

        return changed(text, self.wire, change)


class Renamed(Altered):
    """Every field has another name."""

    def alter(self, server: ChaosServer, topic: str, text: str) -> str:
        return changed(text, self.wire, lambda kind, key, value: (f"{key}_v2", value))


class Units(Altered):
    """Prices x100; then funding x100 (percent for fractions); then open interest x100."""

    def alter(self, server: ChaosServer, topic: str, text: str) -> str:
        wrong: tuple[Kind, ...] = (("mark", "index"), ("funding",), ("oi",))[self.part(3)]
        return changed(text, self.wire, lambda k, key, v: (key, times(v, "100") if k in wrong else v))


class Outliers(Altered):
    """Single ones every 20 s; then bursts of 20 s each minute: price +30 %, open interest +60 %."""

    def alter(self, server: ChaosServer, topic: str, text: str) -> str:
        elapsed = _now() - self.began_s
        off = elapsed % 20.0 < 1.0 if self.share < 0.5 else elapsed % 60.0 < 20.0
        if not off:
            return text
        factor: dict[Kind, str] = {"mark": "1.3", "index": "1.3", "oi": "1.6", "funding": "1"}
        return changed(text, self.wire, lambda k, key, v: (key, times(v, factor[k]) if k != "funding" else v))


class Frozen(Altered):
    """The values of the first moment, for good; times go on."""

    def __init__(self, venue: str, length_s: float) -> None:
        super().__init__(venue, length_s)
        self._values: dict[tuple[Any, ...], Any] = {}

    def alter(self, server: ChaosServer, topic: str, text: str) -> str:
        subject = server.subjects(text)
        seen: dict[str, int] = {}

        def change(kind: Kind, key: str, value: Any) -> tuple[str, Any]:
            seen[key] = seen.get(key, 0) + 1
            return key, self._values.setdefault((topic, subject, key, seen[key]), value)

        return changed(text, self.wire, change)


class Astray(Altered):
    """The venue's clock is five minutes fast, then five minutes slow."""

    def alter(self, server: ChaosServer, topic: str, text: str) -> str:
        return shifted(text, self.field.now_ms(), 300 if self.share < 0.5 else -300)


class OwnClock(Script):
    """Our own wall clock steps one hour ahead, and back at the end."""

    def start(self, server: ChaosServer) -> None:
        self.field.wall_step_s += HOUR_S

    def end(self, server: ChaosServer) -> None:
        self.field.wall_step_s -= HOUR_S


# -- volume and change ---------------------------------------------------------------------------------------------


class Flood(Script):
    """Everything a hundred times, for a tenth of the time."""

    def outgoing(self, server: ChaosServer, topic: str, text: str) -> Sequence[tuple[float, str]]:
        return ((0.0, text),) * (100 if topic != "" and self.share < 0.1 else 1)


class Heavy(Script):
    """A frame above the limit, and one that is small only while compressed, in turns every 30 s; HTTP alike."""

    def start(self, server: ChaosServer) -> None:
        server.compress = True  # from the next connections on
        server.cut_all()

    def end(self, server: ChaosServer) -> None:
        server.compress = False

    async def beat(self, server: ChaosServer) -> None:
        period = self.period(30.0)
        if period > 0 and self.once(period):
            size = (2, 12)[period % 2] * server.frame_limit
            await server.send_all('{"data":"' + "0" * size + '"}')

    async def request(self, server: ChaosServer, request: web.Request) -> web.StreamResponse | None:
        if not self.data(request.path) or self.period(15.0) % 4 != 1:
            return None
        if self.period(30.0) % 2 == 0:
            return web.Response(text="[" + " " * (6 << 20) + "]", content_type="application/json")
        body = zlib.compressobj(9, zlib.DEFLATED, 31)
        packed = body.compress(b"[" + b" " * (48 << 20) + b"]") + body.flush()
        return web.Response(body=packed, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})


class Upkeep(Script):
    """A notice where the venue has one, then every socket cut; later one instrument is delisted, and listed again."""

    async def beat(self, server: ChaosServer) -> None:
        if self.once(0) and self.wire.notice is not None:
            await server.send_all(self.wire.notice)
        if _now() - self.began_s >= 30.0 and self.once(1):
            await server.hang_up(1001)

    def _delisted(self) -> bool:
        return 1 / 4 <= self.share < 2 / 3

    def outgoing(self, server: ChaosServer, topic: str, text: str) -> Sequence[tuple[float, str]]:
        if topic != "" and self._delisted() and f'"{self.largest(server)}"' in text:
            return ()
        return ((0.0, text),)

    def answer(self, server: ChaosServer, path: str, text: str) -> str | None:
        if not self._delisted():
            return text
        return orjson.dumps(_without(orjson.loads(text), self.largest(server))).decode()


def _without(value: Any, name: str) -> Any:
    """A document without the rows and members that are of ``name``."""
    if isinstance(value, list):
        return [
            _without(item, name) for item in value if not (isinstance(item, dict) and name in _direct(item.values()))
        ]
    if isinstance(value, dict):
        return {key: _without(item, name) for key, item in value.items() if key != name}
    return value


def _direct(values: Any) -> list[str]:
    return [value for value in values if isinstance(value, str)]


# -- the table -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FaultType:
    """One row of the catalogue. ``within_s``: seconds after its end in which the venue must be whole again."""

    number: int
    name: str
    make: Callable[[str, float], Script]
    may: str
    within_s: float = HEALTHY_S
    unstamped: str = ""  # ``may`` for a venue whose frames carry no time of sending


FAULTS: tuple[FaultType, ...] = (
    FaultType(1, "refused", Refused, "ab"),
    FaultType(2, "dns", Nameless, "abc"),
    FaultType(3, "stalled handshake", Stalled, "ab"),
    FaultType(4, "403 429 503", Rejected, "ab", THROTTLED_S),
    FaultType(5, "clean close", Closed, "abc"),
    FaultType(6, "reset in mid-frame", Reset, "abc"),
    FaultType(7, "half-open", HalfOpen, "ab"),
    FaultType(8, "pongs, no data", Dataless, "ab"),
    FaultType(9, "one stream stops", OneStops, "abc"),
    FaultType(10, "subscription refused", Unsubscribed, "abc"),
    FaultType(11, "duplicates, replay", Repeated, "abc", unstamped="abcd"),
    FaultType(12, "reordered, 30 s late", Delayed, "abc", unstamped="abcd"),
    FaultType(13, "delta first, absent field", Headless, "abc"),
    FaultType(14, "malformed", Malformed, "abc"),
    FaultType(15, "poisonous numbers", Poisonous, "abc", HEALTHY_S + QUARANTINE_S),
    FaultType(16, "renamed field", Renamed, "abc"),
    FaultType(17, "unit error x100", Units, "abcd", HEALTHY_S + QUARANTINE_S),
    FaultType(18, "outliers", Outliers, "abcd", HEALTHY_S + QUARANTINE_S),
    FaultType(19, "frozen value", Frozen, "abcd"),
    FaultType(20, "venue clock off", Astray, "abc"),
    FaultType(21, "own clock steps", OwnClock, "abc"),
    FaultType(22, "flood x100", Flood, "abc"),
    FaultType(23, "oversized, bomb", Heavy, "abc"),
    FaultType(24, "24 h cut, delisting", Upkeep, "abc"),
)
