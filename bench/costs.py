"""`python -m bench costs`: CPU per symbol and tick by stage, memory young and full, the indicator library, the ledger,
a save. What each number is, and the numbers of one machine: docs/performance.md.

CPU is the thread's own (``thread_time``): other processes on the machine count as little as can be. Still, trust the
ratios to the floor more than the microseconds.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from bench.library import library_table
from bench.market import warm_engine
from bench.memory import memory_tables
from bench.timing import ratio
from service.config import Config
from service.core.engine import TICK_MS, Engine
from service.indicators import SymbolIndicators
from service.learning import Learner
from service.market import Market
from service.model import Event, Funding, Mark, OpenInterest, Tick
from service.publishing import body_bytes
from service.runtime.state_file import StateFile
from service.scoreboard import Scoreboard
from service.scoring import Scorer

FLOOR = "floor"
TICKS_A_MINUTE = 6
OPEN_TICKS = 361  # an hour of them: every horizon has outcomes to decide at each tick
STAGES = {  # what of the service is in it
    "observations": ((Market, "apply"),),
    "sampling x 10": ((Market, "sample"),),
    "indicators observe x 10": ((SymbolIndicators, "observe"),),
    "indicators read": ((SymbolIndicators, "read"),),
    "scoring": ((Scorer, "score"),),
    "learner (once a minute)": ((Learner, "mature"), (Learner, "take")),
    "scoreboard, ledger lines": ((Scoreboard, "mature"), (Scoreboard, "take"), (Scoreboard, "drain")),
}
ENCODING = "encoding"


class Meter:
    """CPU seconds by name, of whole calls; what the clock itself costs is taken off."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._own_s = 0.0
        empty = self.of("", lambda: None)
        for _ in range(20_000):
            empty()
        self._own_s = self.spent.pop("") / 20_000

    def of(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        spent, clock = self.spent, time.thread_time

        def timed(*args: Any, **named: Any) -> Any:
            begin = clock()
            try:
                return work(*args, **named)
            finally:
                spent[name] += clock() - begin - self._own_s

        return timed

    @contextmanager
    def on(self) -> Iterator[None]:
        """Every stage is timed inside."""
        before = [(kind, name, getattr(kind, name)) for parts in STAGES.values() for kind, name in parts]
        for stage, parts in STAGES.items():
            for kind, name in parts:
                setattr(kind, name, self.of(stage, getattr(kind, name)))
        try:
            yield
        finally:
            for kind, name, work in before:
                setattr(kind, name, work)


class Running:
    """An engine with an hour of open outcomes, fed at the venues' usual pace, tick after tick."""

    def __init__(self, count: int, minutes: int) -> None:
        self.engine, self.ts, self.rng = warm_engine(count, minutes)
        self.venues = Config().venues.enabled()
        self.engine.scoreboard.keep_lines()
        self.observations = 0
        self.lines = 0
        tick = self._ten_seconds()
        prices = [body["market"]["price"] for body in tick.signals]
        for back in range(OPEN_TICKS - 1, -1, -1):
            self.engine.scoreboard.mature(self.ts - back * TICK_MS, prices)
            self.engine.scoreboard.take(self.ts - back * TICK_MS, tick.signals)
        self.engine.scoreboard.drain()

    def tick(self, meter: Meter) -> None:
        gc.collect()
        with meter.on():
            tick = self._ten_seconds()
            self.engine.published(tick)
            self.lines = len(self.engine.scoreboard.drain())
        frames = meter.of(ENCODING, lambda: [body_bytes(body) for body in tick.signals])()
        bodies = [orjson.loads(frame) for frame in frames]
        meter.of(FLOOR, lambda: [orjson.dumps(body) for body in bodies])()

    def _ten_seconds(self) -> Tick:
        ticks: list[Tick] = []
        self.observations = 0
        while not ticks:
            self.ts += 1_000
            for event in observations(self.engine.symbols, self.venues, self.ts, self.rng):
                self.engine.apply(event)
                self.observations += 1
            ticks = self.engine.advance(self.ts)
        return ticks[0]


def observations(names: Sequence[str], venues: Sequence[str], ts: int, rng: random.Random) -> Iterator[Event]:
    """Of one second: a mark and a funding rate of every venue, open interest every fifth second."""
    for name in names:
        price = 100.0 * (1 + 0.001 * rng.random())
        for venue in venues:
            yield Mark(venue, name, name, price * (1 + 1e-4 * rng.random()), price, ts, ts)
            yield Funding(venue, name, name, 1e-4 * rng.random(), 8.0, 1e-4 * rng.random(), None, False, ts, ts)
            if ts % 5_000 == 0:
                coins = 1e6 * (1 + 0.01 * rng.random())
                yield OpenInterest(venue, name, name, coins, 1.0, coins, False, ts, ts)


def cpu_table(console: Console, running: dict[int, Running], rounds: int) -> None:
    """Whole minutes in turn, so that each has its learner's round; the sizes take turns, too."""
    per: dict[int, dict[str, list[float]]] = {size: defaultdict(list) for size in running}
    for _ in range(rounds):
        for size, made in running.items():
            meter = Meter()
            for _ in range(TICKS_A_MINUTE):
                made.tick(meter)
            for stage in (*STAGES, ENCODING, FLOOR):
                per[size][stage].append(meter.spent[stage] / TICKS_A_MINUTE / size * 1e6)
    table = Table(
        "stage",
        *(f"{size} symbols" for size in running),
        *(f"of the floor, {size}" for size in running),
        title=f"CPU us per symbol and tick x {len(Config().venues.enabled())} venues, medians of {rounds} minutes; "
        "floor: orjson.dumps of the finished bodies",
    )
    for size in running:
        per[size]["all"] = [sum(parts) for parts in zip(*(per[size][s] for s in (*STAGES, ENCODING)), strict=True)]
    for stage in (*STAGES, ENCODING, "all", FLOOR):
        table.add_row(
            stage,
            *(f"{statistics.median(per[size][stage]):.1f}" for size in running),
            *(f"x{1 / ratio(per[size][FLOOR], per[size][stage]):.1f}" for size in running),
        )
    console.print(table)
    made, size = next(iter(running.values())), next(iter(running))
    console.print(
        f"{made.observations / size:.0f} observations per symbol and tick, "
        f"{statistics.median(per[size]['observations']) * size / made.observations:.2f} us each; "
        f"{made.lines / size:.0f} ledger lines per symbol and tick\n"
    )


def save_table(console: Console, running: dict[int, Running]) -> None:
    table = Table(
        "symbols", "in one go ms", "in slices ms", "slices", "longest slice ms", "text MB", "packing ms",
        title="a save of a young engine on the event loop: dump and JSON text; then packing, in a thread",
    )  # fmt: skip
    for size, made in running.items():
        whole, sliced, longest = [], [], []
        found: list[bytes] = []
        for _ in range(5):
            begin = time.thread_time()
            orjson.dumps(made.engine.save())
            whole.append(time.thread_time() - begin)
            each, found = _slices(made.engine)
            sliced.append(sum(each))
            longest.append(max(each))
        table.add_row(
            str(size), f"{statistics.median(whole) * 1e3:.0f}", f"{statistics.median(sliced) * 1e3:.0f}",
            str(len(each)), f"{statistics.median(longest) * 1e3:.1f}", f"{sum(map(len, found)) / 1e6:.1f}",
            f"{_packing(found) * 1e3:.0f}",
        )  # fmt: skip
    console.print(table)


def _slices(engine: Engine) -> tuple[list[float], list[bytes]]:
    each, text = [], []
    slices = engine.snapshot()
    while True:
        begin = time.thread_time()
        found = next(slices, None)
        each.append(time.thread_time() - begin)
        if found is None:
            return each, text
        text += found


def _packing(text: list[bytes]) -> float:
    with TemporaryDirectory() as folder:
        file = StateFile(Path(folder))
        begin = time.thread_time()
        file.write(text)
        spent = time.thread_time() - begin
        file.close()
    return spent


def ledger_table(console: Console, running: dict[int, Running]) -> None:
    made = next(iter(running.values()))
    board, symbols = made.engine.scoreboard, len(made.engine.symbols)
    prices = [100.0 + number / 7 for number in range(symbols)]
    cpu: dict[str, list[float]] = {"decide and chain": [], "write out": []}
    lines: list[bytes] = []
    size = 0.0
    for _ in range(60):
        tick = made._ten_seconds()
        made.engine.published(tick)
        board.drain()
        ts = made.ts + TICK_MS
        begin = time.thread_time()
        outcomes = board.mature(ts, prices)
        middle = time.thread_time()
        lines = board.drain()
        end = time.thread_time()
        if outcomes:
            cpu["decide and chain"].append((middle - begin) / len(outcomes) * 1e6)
            cpu["write out"].append((end - middle) / len(outcomes) * 1e6)
            size = sum(len(line) + 1 for line in lines) / len(lines)
        made.ts += TICK_MS
        made.engine.advance(made.ts)
    each = ", ".join(f"{what} {statistics.median(values):.1f} us" for what, values in cpu.items())
    console.print(f"ledger: {size:.0f} bytes a line; CPU a line: {each}\n")


def main(quick: bool) -> None:
    console = Console(width=160)
    library_table(console, quick)
    sizes = [3, 6] if quick else [21, 100, 500]
    running = {size: Running(size, 62 if quick else 90) for size in sizes}
    cpu_table(console, running, 1 if quick else 7)
    save_table(console, running)
    ledger_table(console, running)
    running.clear()
    memory_tables(console, sizes, quick)
