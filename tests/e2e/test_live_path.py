"""`elr serve` and `elr record` as on live venues: addresses from the configuration, real sockets, a cold start."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

from service.clock import ServiceClock
from service.model import Endpoints
from service.simulation import MarketModel, SimulatedVenues, history
from service.tapes import Header, Record, read

DEADLINE_S = 60.0  # each venue's open interest may be polled once in ten seconds


def configuration(endpoints: dict[str, Endpoints]) -> str:
    lines = ["[service]", 'symbols = ["BTC"]', "[feed]", "port = 0", "[start]", "history = false"]
    for source in ("defillama", "coingecko"):
        lines += [f"[denominators.{source}]", "enabled = false"]
    lines += ["[coverage]", "enabled = false"]
    for name, endpoint in endpoints.items():
        lines += [f"[venues.{name}]", f'rest = "{endpoint.rest}"', f"[venues.{name}.ws]"]
        lines += [f'{kind} = "{url}"' for kind, url in endpoint.ws.items()]
    return "\n".join(lines)


async def start(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "service",
        *arguments,
        cwd=folder,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "XDG_STATE_HOME": str(folder)},
    )


async def stop(process: asyncio.subprocess.Process) -> str:
    process.terminate()
    _, err = await asyncio.wait_for(process.communicate(), 8)
    text = err.decode()
    assert process.returncode == 0, text
    assert "Traceback" not in text
    return text


def bodies(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def test_serve_and_record_read_the_configured_venues(tmp_path: Path) -> None:
    clock = ServiceClock()
    now = clock.now_ms() // 1000 * 1000
    model = MarketModel(5, ["BTC"], now - 120_000)
    for _ in history(model, now - 120_000, now - 120_000, now):
        pass
    simulated = SimulatedVenues(model, clock, random.Random(5), scheduled_outage=False)
    endpoints = await simulated.start()
    try:
        (tmp_path / "elr.toml").write_text(configuration(endpoints))
        serving = await start(tmp_path, "serve", "--config", "elr.toml", "--signals", "s.jsonl", "--record", "s.tape")
        recording = await start(tmp_path, "record", "--config", "elr.toml", "--out", "r.tape")
        async with asyncio.timeout(DEADLINE_S):
            while not [
                body for body in bodies(tmp_path / "s.jsonl") if body["market"]["venues_fresh"] == len(endpoints)
            ]:
                await asyncio.sleep(0.2)
        log = await stop(serving)
        await stop(recording)
    finally:
        await simulated.stop()

    body = next(item for item in bodies(tmp_path / "s.jsonl") if item["market"]["venues_fresh"] == len(endpoints))
    assert (body["status"], body["tradeable"]) == ("warming", False)  # a cold start claims nothing
    assert body["reasons"][:2] == ["warming:1h", "warming:statistics"]
    assert body["market"]["oi_coverage"] == 1.0
    assert {item["variant"]: item["reason"] for item in body["elr"]}["oi_reserve"] == "no_denominator"
    assert "no denominators" in log

    items = list(read(tmp_path / "r.tape", print))
    header = items[0]
    assert isinstance(header, Header)
    assert (header.state, header.ticks) == (None, False)
    kinds = [item.kind for item in items if isinstance(item, Record)]
    assert kinds.count("f") > 50
    assert kinds[-1] == "e"

    replayed = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service", "replay", "r.tape", cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(replayed.communicate(), 30)
    assert replayed.returncode == 0
    prices = [json.loads(line)["market"]["price"] for line in out.splitlines()]
    assert prices
    assert prices[-1] is not None

    replayed = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service", "replay", "s.tape", cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(replayed.communicate(), 30)
    assert out == (tmp_path / "s.jsonl").read_bytes()  # byte-identical from a cold start as well
