"""A symbol of any script from the frame to the tape, the state, the ledger and back."""

from __future__ import annotations

from pathlib import Path

import orjson

from service.config import parse, shareable
from service.runtime.outputs import SignalsFile
from service.runtime.state_file import StateFile, document, restored
from service.scoreboard import read_line, verify
from service.tapes import Header, Record, TapeWriter
from tests.core.build import T0, replayed
from tests.core.test_renames import ALONE, FRAMES, engine_of, lived

NAME = "币安人生"
CONFIG = parse({**shareable(ALONE), "service": {"symbols": ["BTC", NAME]}})


def test_a_tape_replays_and_its_signals_and_ledger_are_whole(tmp_path: Path) -> None:
    frames = {
        "bybit": FRAMES["bybit"].replace("TONUSDT", f"{NAME}USDT"),
        "hyperliquid": FRAMES["hyperliquid"].replace("GRAM", NAME),
    }
    writer = TapeWriter(tmp_path / "a.tape")
    saved = lived(NAME, seconds=70)
    writer.header(Header(T0 + 70_000, "live", "0.1.0", True, shareable(CONFIG), [], saved.save()))
    for second in range(71, 151):
        ts = T0 + 1000 * second
        for venue, raw in frames.items():
            writer.record(Record("f", ts - 400, venue, "main-1", raw.replace("$TS", str(ts - 450)), f"history:{NAME}"))
        if second % 10 == 0:
            writer.record(Record("p", ts))
    writer.record(Record("e", T0 + 151_000))
    writer.close()
    signals = SignalsFile(tmp_path / "signals.jsonl")
    lines: list[bytes] = []
    for run, _, ticks in replayed(tmp_path / "a.tape"):
        lines += run.ledger
        for tick in ticks:
            signals.write(tick.signals)
    signals.close()
    told = [orjson.loads(line) for line in (tmp_path / "signals.jsonl").read_bytes().splitlines()]
    assert {body["symbol"] for body in told} == {"BTC", NAME}
    assert verify(lines).broken is None
    assert NAME in {read_line(line).symbol for line in lines}


def test_a_state_is_gone_on_from(tmp_path: Path) -> None:
    before = lived(NAME, seconds=60)
    file = StateFile(tmp_path)
    file.write([orjson.dumps(document(before, CONFIG, T0 + 60_000))])
    engine, found = restored(file, CONFIG, lambda: engine_of(("BTC", NAME)), T0 + 61_000)
    file.close()
    assert found == "restored the state saved 1 s ago"
    assert orjson.dumps(engine.save()) == orjson.dumps(before.save())
