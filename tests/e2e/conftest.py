"""One demo run as a subprocess, shared by the end-to-end tests: real sockets, real tape, three symbols."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SYMBOLS = ("BTC", "ETH", "1000PEPE")
SEED = 11
START_DEADLINE_S = 120.0

CONFIG = f"""
[service]
symbols = {list(SYMBOLS)!r}
[feed]
history_per_channel = 5
"""


@dataclass
class Demo:
    """A running ``elr demo``. ``tape`` and ``signals`` are complete once it has been stopped."""

    process: subprocess.Popen[bytes]
    port: int
    tape: Path
    signals: Path
    log: Path

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def feed(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/stream"

    def past(self) -> list[tuple[int, int, int]]:
        """The arguments of each ``history`` call of the warm start: (start, end of the minute steps, end), UTC ms."""
        text = self.log.read_text()
        found = re.search(r"simulated past begin_ms=(\d+) coarse_end_ms=(\d+) end_ms=(\d+)", text)
        assert found is not None
        calls = [(int(found[1]), int(found[2]), int(found[3]))]
        for target in re.findall(r"catching up to_ms=(\d+)", text):
            calls.append((calls[-1][2], calls[-1][2], int(target)))
        return calls

    def stop(self) -> tuple[int, float]:
        """SIGTERM; returns (exit status, seconds it took)."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(10)
        return status, time.monotonic() - begin


def start_demo(folder: Path, *arguments: str) -> Demo:
    """Start a demo in ``folder`` and wait until it is ready."""
    config = folder / "elr.toml"
    config.write_text(CONFIG)
    tape, signals, log = folder / "demo.tape", folder / "demo.jsonl", folder / "demo.log"
    command = [sys.executable, "-m", "service", "demo", "--port", "0", "--seed", str(SEED), "--config", str(config)]
    command += ["--record", str(tape), "--signals", str(signals), *arguments]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, cwd=folder, env={**os.environ, "PYTHONHASHSEED": "1"}
        )
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        found = re.search(r"feed on http://127\.0\.0\.1:(\d+)", log.read_text())
        if found is not None and ready(int(found[1])):
            return Demo(process, int(found[1]), tape, signals, log)
        time.sleep(0.2)
    process.kill()
    raise AssertionError(f"not ready in {START_DEADLINE_S} s:\n{log.read_text()}")


def ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return answer.status == 200
    except urllib.error.HTTPError:
        return False


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = start_demo(tmp_path_factory.mktemp("demo"))
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait(10)
