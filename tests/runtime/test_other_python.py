"""One tape, two Pythons, the same bytes: signals and outcomes that the running Python wrote live, replayed by another.

Cause guarded against: what differs between Pythons, as the builtin sum of floats does from 3.12 on, differs in the last
digit, and a tie or a threshold makes another signal of it.

``ELR_OTHER_PYTHON`` is the path of the interpreter of an environment of another Python version, in which what
``requirements.lock`` lists is installed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from service.clock import ServiceClock
from service.config import parse
from service.core.build import rules_of
from service.core.engine import Engine
from service.runtime.outputs import open_outputs
from service.runtime.service import Inputs, Service
from service.simulation import MarketModel, SimulatedVenues, denominators, history
from service.venues import VENUES
from tests.runtime.starting import NOON_MS, until

NAMED = os.environ.get("ELR_OTHER_PYTHON", "")
OTHER = str(Path(NAMED).absolute())  # not resolved: a link of an environment is what makes it one
SEED = 5
SYMBOLS = ("BTC", "ETH", "1000PEPE", "ARB")
HOUR_MS = 3_600_000
PAST_MS = 26 * HOUR_MS
FINE_MS = 600_000  # of the past, at 1 Hz; before it minutes
TICKS = 24  # four minutes
SAID = "import sys; print(*sys.version_info[:3], sep='.')"

pytestmark = [
    pytest.mark.looptime(idle_step=0.05, idle_timeout=30),
    pytest.mark.skipif(NAMED == "", reason="ELR_OTHER_PYTHON does not name the interpreter of another Python"),
]


def warm_engine(model: MarketModel, engine: Engine) -> None:
    """A day of the simulated past, so that every window, scale and rank is in use."""
    for ts, step_s, events in history(model, NOON_MS - PAST_MS, NOON_MS - FINE_MS, NOON_MS):
        for event in events:
            engine.apply(event)
        if step_s == 60:
            engine.backfill(ts, silent=True)
        else:
            engine.advance(ts, live=False, silent=True)


async def record(folder: Path) -> tuple[Path, bytes]:
    """Four minutes of all simulated venues, in virtual time: the tape, and the signals as they were published."""
    loop = asyncio.get_running_loop()
    begin_s = NOON_MS / 1000 - loop.time()
    clock = ServiceClock(lambda: begin_s + loop.time(), loop.time)
    config = parse({"service": {"symbols": list(SYMBOLS)}, "feed": {"port": 0}})
    model = MarketModel(SEED, SYMBOLS, NOON_MS - PAST_MS)
    bases = denominators(SEED, SYMBOLS, NOON_MS - PAST_MS)
    engine = Engine(SYMBOLS, rules_of(config), config.market, bases, config.weights)
    warm_engine(model, engine)
    simulated = SimulatedVenues(model, clock, random.Random(SEED), scheduled_outage=False)
    endpoints = await simulated.start()
    signals = folder / "live.jsonl"
    stop = asyncio.Event()
    service = Service(
        config=config,
        inputs=Inputs("simulated", VENUES, endpoints, bases),
        engine=engine,
        clock=clock,
        rng=random.Random(SEED),
        outputs=open_outputs(folder / "a.tape", signals),
    )
    task = asyncio.create_task(service.run(stop))
    try:
        await until(lambda: signals.read_bytes().count(b"\n") >= TICKS * len(SYMBOLS), TICKS * 10 + 60)
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)
        await simulated.stop()
    return folder / "a.tape", signals.read_bytes()


def said_by(python: str, *arguments: str, cwd: Path) -> bytes:
    """What another process says, on this very source code."""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [python, *arguments],
        capture_output=True,
        timeout=300,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def first_difference(one: bytes, other: bytes) -> str:
    """For a person: the first line that differs, and the fields."""
    lines = zip(one.splitlines(), other.splitlines(), strict=False)
    for number, (a, b) in enumerate(lines):
        if a != b:
            found, expected = json.loads(a), json.loads(b)
            fields = {name: (found[name], expected.get(name)) for name in found if found[name] != expected.get(name)}
            return f"line {number + 1}, {found.get('symbol')} {found.get('ts')}: {fields}"
    return f"{len(one.splitlines())} and {len(other.splitlines())} lines"


async def test_another_python_replays_the_same_bytes(tmp_path: Path) -> None:
    other = said_by(OTHER, "-c", SAID, cwd=tmp_path).decode().strip()
    own = ".".join(map(str, sys.version_info[:3]))
    assert other.split(".")[:2] != own.split(".")[:2], f"ELR_OTHER_PYTHON is Python {other} too, no other version"
    tape, live = await record(tmp_path)

    bodies = [json.loads(line) for line in live.splitlines()]
    assert len(bodies) >= TICKS * len(SYMBOLS)
    last = bodies[-len(SYMBOLS) :]  # nothing to compare would be no comparison: everything is warm and counts
    assert [body["status"] for body in last] == ["ok"] * len(SYMBOLS)
    assert all(body["market"]["venues_fresh"] >= 5 for body in last)
    assert all(body["score"] is not None and body["fragility"] is not None for body in last)
    assert len({body["score"] for body in bodies}) > len(bodies) // 2

    ledgers = {}
    for python in (sys.executable, OTHER):
        ledger = tmp_path / "ledger.jsonl"
        arguments = ("-m", "service", "replay", str(tape), "--signals", "-", "--ledger", str(ledger))
        again = said_by(python, *arguments, cwd=tmp_path)
        assert again == live, f"{python} against what Python {own} published: {first_difference(again, live)}"
        ledgers[python] = ledger.read_bytes()
    # The outcomes at 1m of all but the last ticks, each line with the hash of the one before.
    assert ledgers[OTHER].count(b"\n") >= (TICKS - 6) * len(SYMBOLS)
    assert ledgers[OTHER] == ledgers[sys.executable]
