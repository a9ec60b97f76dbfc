"""The live service's heartbeat by hand: held-up ticks are counted, not bunched; a stepped clock is survived."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from service.clock import ServiceClock
from service.config import Config, ScoreboardSection, parse, shareable
from service.core.build import endpoints_of, rules_of
from service.core.engine import Engine
from service.errors import ConfigError
from service.publishing import body_bytes
from service.runtime.outputs import SignalsFile, open_outputs
from service.runtime.service import Inputs, Service, new_epoch
from service.tapes import Header, Record, read
from service.venues import VENUES
from tests.core.build import T0, replayed


class Hands:
    """Wall and monotonic clock moved by hand."""

    def __init__(self) -> None:
        self.wall_s = T0 / 1000 + 0.0005
        self.elapsed_s = 1.0

    def run(self, seconds: float) -> None:
        self.wall_s += seconds
        self.elapsed_s += seconds


def snapshot(coin: str, price: float, coins: float) -> str:
    context = {"funding": "0.00001", "openInterest": str(coins), "oraclePx": str(price), "markPx": str(price)}
    context |= {"midPx": str(price), "premium": "0.0001", "impactPxs": None, "prevDayPx": "1", "dayNtlVlm": "1"}
    return json.dumps({"channel": "activeAssetCtx", "data": {"coin": coin, "ctx": context}})


class Bench:
    """A service with two venues whose frames the test delivers itself."""

    def __init__(self, folder: Path, ledger: Path | None = None) -> None:
        self.hands = Hands()
        self.config: Config = parse(
            {
                "service": {"symbols": ["BTC"]},
                "market": {"min_venues": 1},
                "venues": {
                    name: {"enabled": name == "hyperliquid"} for name in VENUES if name in Config().venues.enabled()
                },
            }
        )
        clock = ServiceClock(lambda: self.hands.wall_s, lambda: self.hands.elapsed_s)
        engine = Engine(self.config.service.symbols, rules_of(self.config), self.config.market, [])
        self.signals = folder / "a.jsonl"
        self.service = Service(
            config=self.config,
            inputs=Inputs(
                source="live",
                venues={"hyperliquid": VENUES["hyperliquid"]},
                endpoints=endpoints_of(self.config),
                denominators=[],
            ),
            engine=engine,
            clock=clock,
            rng=random.Random(1),
            outputs=open_outputs(
                folder / "a.tape", self.signals, ScoreboardSection(folder=None if ledger is None else str(ledger))
            ),
        )
        self.ticks: list[tuple[int, int]] = []
        self.epochs: list[str] = []
        self.service.feed.publish_tick = lambda tick, missed: self.ticks.append((tick.ts, missed))  # type: ignore[method-assign]
        self.service.feed.new_epoch = self.epochs.append  # type: ignore[method-assign]
        self.service.intake.opened("hyperliquid", "main#1")

    def second(self, price: float = 100.0) -> None:
        self.hands.run(0.5)
        self.service.intake.frame("hyperliquid", "main#1", snapshot("BTC", price, 1000.0))
        self.hands.run(0.5)
        self.service._watch_clock()
        self.service._pulse()

    def metric(self, name: str) -> Any:
        return self.service.metrics.registry.get_sample_value(name)

    def published(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.signals.read_text().splitlines()]


def test_one_tick_each_ten_seconds(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for number in range(31):
        bench.second(100.0 + number)
    bench.service.close()
    assert bench.ticks == [(T0 + 10_000, 0), (T0 + 20_000, 0), (T0 + 30_000, 0)]
    assert [body["market"]["price"] for body in bench.published()] == [109.0, 119.0, 129.0]
    assert bench.metric("elr_ticks_missed_total") == 0


def test_a_hold_up_over_several_ticks_publishes_only_the_newest_and_counts_the_rest(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for _ in range(10):
        bench.second()
    bench.hands.run(35.0)  # the process was stopped: three ticks went by
    bench.second()
    bench.service.close()
    assert bench.ticks == [(T0 + 10_000, 0), (T0 + 40_000, 2)]
    assert bench.metric("elr_ticks_missed_total") == 2
    assert [body["ts"] for body in bench.published()] == [T0 + 10_000, T0 + 40_000]


def test_a_stepped_wall_clock_is_reanchored_after_three_seconds_and_changes_no_age(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for _ in range(12):
        bench.second()
    bench.hands.wall_s += 3600
    for _ in range(3):
        bench.second()
    ages = [view.age_mark_ms for view in bench.service._engine.samples[0].venues]
    assert ages == [500]
    for _ in range(10):
        bench.second()
    bench.service.close()
    assert bench.ticks[-1][0] >= T0 + 3_610_000
    assert all(ts % 10_000 == 0 for ts, _ in bench.ticks)
    assert bench.epochs == []
    kinds = [item.kind for item in read(tmp_path / "a.tape", print) if isinstance(item, Record)]
    assert kinds.count("r") == 1


def test_ticks_that_a_step_forward_jumps_over_are_announced(tmp_path: Path) -> None:
    """Cause: a re-anchor moved the last sample past grid points that nobody then counted."""
    bench = Bench(tmp_path)
    for _ in range(12):
        bench.second()
    bench.hands.wall_s += 60
    for _ in range(15):
        bench.second()
    bench.service.close()
    grid = [ts for ts, _ in bench.ticks]
    for (before, _), (after, missed) in pairwise(bench.ticks):
        assert missed == (after - before) // 10_000 - 1
    assert grid[-1] == T0 + 80_000
    assert bench.metric("elr_ticks_missed_total") == sum(missed for _, missed in bench.ticks) > 0


def test_an_hour_asleep_does_not_block_and_is_no_data(tmp_path: Path) -> None:
    """Cause: every second of a laptop's sleep was sampled in one go when it woke up."""
    bench = Bench(tmp_path)
    for _ in range(12):
        bench.second()
    bench.hands.run(3600.0)
    samples = 0
    take = bench.service._engine._sample

    def counted(ts: int, step_s: int) -> None:
        nonlocal samples
        samples += 1
        take(ts, step_s)

    bench.service._engine._sample = counted  # type: ignore[method-assign]
    bench.second()
    for _ in range(10):
        bench.second()
    bench.service.close()
    assert samples < 400
    assert bench.ticks[-1][0] > T0 + 3_600_000
    assert bench.published()[-1]["market"]["price"] == 100.0
    assert bench.published()[-1]["windows"]["5m"]["ready"] is False
    lines = [body_bytes(b) for _, _, ticks in replayed(tmp_path / "a.tape") for tick in ticks for b in tick.signals]
    assert b"\n".join(lines) + b"\n" == (tmp_path / "a.jsonl").read_bytes()


def test_a_clock_step_after_silent_seconds_replays_the_same(tmp_path: Path) -> None:
    """Cause: live had sampled the silent seconds before the shift, the replay took them after it."""
    bench = Bench(tmp_path)
    for _ in range(14):
        bench.second()
    for _ in range(5):  # nothing received
        bench.hands.run(1.0)
        bench.service._watch_clock()
        bench.service._pulse()
    bench.hands.wall_s += 7
    for _ in range(4):
        bench.hands.run(1.0)
        bench.service._watch_clock()
        bench.service._pulse()
    for number in range(25):
        bench.second(100 + number)
    bench.service.close()
    lines = [body_bytes(b) for _, _, ticks in replayed(tmp_path / "a.tape") for tick in ticks for b in tick.signals]
    assert len(lines) >= 3
    assert b"\n".join(lines) + b"\n" == (tmp_path / "a.jsonl").read_bytes()


def test_a_full_disk_costs_the_signals_file_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    """Cause: the write error ended the heartbeat and with it the service."""
    file = SignalsFile(Path("/dev/full"))
    file.write([{"symbol": "BTC"}])
    file.write([{"symbol": "BTC"}])
    file.close()
    assert file.failed
    assert len([record for record in caplog.records if "signals file stopped" in record.message]) == 1


def test_outputs_that_cannot_be_opened_are_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        open_outputs(None, tmp_path / "none" / "x.jsonl")


def test_a_large_step_back_begins_a_new_epoch(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for _ in range(12):
        bench.second()
    bench.hands.wall_s -= 3600
    for _ in range(25):
        bench.second()
    bench.service.close()
    assert len(bench.epochs) == 1
    assert bench.ticks[-1][0] < T0


def test_the_replay_of_all_this_is_byte_identical(tmp_path: Path) -> None:
    """Hold-up, step forward, step back: the tape carries what the live run did."""
    bench = Bench(tmp_path)
    for number in range(12):
        bench.second(100 + number)
    bench.hands.run(25.0)
    for number in range(12):
        bench.second(105 - number)
    bench.hands.wall_s += 1800.4
    for number in range(25):
        bench.second(101 + 0.1 * number)
    bench.hands.wall_s -= 7200.7
    for number in range(25):
        bench.second(102 - 0.1 * number)
    bench.service.close()
    lines = [
        body_bytes(body) for _, _, ticks in replayed(tmp_path / "a.tape") for tick in ticks for body in tick.signals
    ]
    assert len(lines) == len(bench.ticks)
    assert b"\n".join(lines) + b"\n" == (tmp_path / "a.jsonl").read_bytes()
    header = next(iter(read(tmp_path / "a.tape", print)))
    assert isinstance(header, Header)
    assert header.state is None  # a declared cold start


def test_an_epoch_is_a_ulid() -> None:
    epoch = new_epoch(T0, random.Random(3))
    assert len(epoch) == 26
    assert epoch == new_epoch(T0, random.Random(3))
    assert epoch < new_epoch(T0 + 1, random.Random(3))


def test_a_tape_does_not_carry_the_proxy() -> None:
    """Cause: the header held the whole configuration, the proxy's password with it, and tapes are handed on."""
    config = parse({"network": {"proxy": "http://bob:secret@proxy.example:3128"}})
    assert "secret" not in json.dumps(shareable(config))
    assert parse(shareable(config)).network.open_timeout_s == config.network.open_timeout_s
