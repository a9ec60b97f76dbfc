"""What one mark price passes: the files and functions of ``service`` on its way in, and at the tick that uses it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import service
from bench.frames import FRAMES
from bench.market import warm_engine
from service.config import Config
from service.core.intake import Intake
from service.metrics import Metrics
from service.model import Tick
from service.publishing import body_bytes
from service.tapes.format import record_line
from service.venues import VENUES

ROOT = Path(service.__file__).parent


class _Clock:
    def __init__(self, now_ms: int) -> None:
        self.now = now_ms

    def now_ms(self) -> int:
        return self.now


def passed(call: Callable[[], object]) -> tuple[list[str], list[str]]:
    """Files and functions of the service that ran during ``call``, in the order of their first call."""
    functions: dict[str, None] = {}
    files: dict[str, None] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(str(ROOT)) and not code.co_qualname.endswith(">"):
            file = str(Path(code.co_filename).relative_to(ROOT))
            files.setdefault(file)
            functions.setdefault(f"{file}: {code.co_qualname}")

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return list(files), list(functions)


def main(verbose: bool) -> None:
    """Print the counts; ``verbose``: the functions, too."""
    engine, ts, _ = warm_engine(1)
    clock = _Clock(ts + 500)
    config = Config()
    metrics = Metrics(config.venues.enabled(), "live", "0")
    venues = {name: VENUES[name] for name in config.venues.enabled()}
    intake = Intake(venues, clock, engine.apply, lambda: engine.sampled_ms, metrics, record_line)
    intake.opened("binance_usdm", "main#1")
    frame = FRAMES["binance_usdm", "markPrice"].replace("BTCUSDT", "S0000USDT").replace("912", "1").replace("913", "1")
    intake.frame("binance_usdm", "main#1", frame.replace("1763720519000", str(clock.now)))  # lists the instrument
    clock.now += 1
    way_in = passed(lambda: intake.frame("binance_usdm", "main#1", frame.replace("1763720519000", str(clock.now))))
    end = (ts // 10_000 + 1) * 10_000
    engine.advance(end - 1000)

    def tick() -> None:
        ticks: list[Tick] = engine.advance(end)
        for body in ticks[-1].signals:
            body_bytes(body)
        engine.published(ticks[-1])

    for name, (files, functions) in (("in", way_in), ("at a tick", passed(tick))):
        print(f"one mark price {name}: {len(files)} files, {len(functions)} functions")
        if verbose:
            print("\n".join(f"  {item}" for item in functions))
