"""The scoreboard in the line: fed by what is published, equal to the scorer's own record, identical in a replay."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.core.engine import Engine
from service.deleveraging import packaged
from service.errors import ConfigError
from service.metrics import LedgerNumbers
from service.runtime.ledger_file import LedgerFile, files, lines_of
from service.scoreboard import HORIZONS, Fall, read_line, verify
from tests.core.build import T0, both, engine, replayed
from tests.runtime.test_service import Bench

HOUR_S = 3600


def walk(seed: int) -> Iterator[tuple[float, float]]:
    """Price and open interest that trend together for some minutes, then otherwise: windows have something to say."""
    rng = random.Random(seed)
    price, coins = 100.0, 1000.0
    while True:
        drift, build = rng.choice([-1, 1]) * 2e-5, rng.choice([-1, 1]) * 2e-5
        for _ in range(rng.randrange(300, 3000)):
            price *= 1 + drift + rng.gauss(0, 1e-4)
            coins *= 1 + build + rng.gauss(0, 1e-4)
            yield price, coins


def drive(
    target: Engine, prices: Iterator[tuple[float, float]], start: int, seconds: int, publish: bool = True
) -> list[dict[str, Any]]:
    bodies = []
    for second in range(1, seconds + 1):
        ts = start + second * 1000
        price, coins = next(prices)
        for event in both(ts - 500, price, coins):
            target.apply(event)
        for tick in target.advance(ts):
            bodies.append(tick.signals[0])
            if publish:
                target.published(tick)
    return bodies


def test_the_composite_tally_is_the_record_that_p_hit_comes_from() -> None:
    """Hours of a walk: the ledger alone, recounted, gives the p_hit of every signal."""
    target = engine()
    prices = walk(3)
    for minute in range(-130, 1):
        price, coins = next(prices)
        for event in both(T0 + minute * 60_000, price, coins):
            target.apply(event)
        target.backfill(T0 + minute * 60_000, silent=True)
    assert target.scoreboard.since is None
    target.scoreboard.keep_lines()
    bodies = drive(target, prices, T0, 4 * HOUR_S)
    tally = target.scoreboard.tally("BTC", "composite")
    assert tally.n >= 3
    assert (bodies[-1]["p_hit"], bodies[-1]["p_hit_n"]) == (tally.p_hit, tally.n)
    lines = target.scoreboard.drain()
    assert verify(lines).broken is None
    outcomes = [read_line(line) for line in lines]
    assert len(outcomes) == target.scoreboard.chain.seq
    by_ts = {body["ts"]: body for body in bodies}
    n = hits = 0
    told = {}
    for item in outcomes:
        body = by_ts[item.ts]
        said = body if item.horizon == "composite" else body["windows"][item.horizon]
        assert item.score == float(f"{said['score']:.10g}")
        assert item.direction == said["direction"]
        assert item.price_then == float(f"{body['market']['price']:.10g}")
        assert item.at == item.ts + dict(HORIZONS)[item.horizon]
        if item.horizon == "composite" and item.in_hit and item.hit is not None:
            n, hits = n + 1, hits + item.hit
            told[item.at] = 0.5 + n / (n + 400) * (hits / n - 0.5)
    for at, p_hit in told.items():
        assert by_ts[at]["p_hit"] == p_hit
    assert min(target.scoreboard.tally("BTC", name).n for name in ("1m", "5m", "1h")) > 0


def test_nothing_of_the_past_and_nothing_unpublished_is_judged() -> None:
    target = engine()
    prices = walk(4)
    for minute in range(-130, 1):
        price, coins = next(prices)
        for event in both(T0 + minute * 60_000, price, coins):
            target.apply(event)
        target.backfill(T0 + minute * 60_000)
    drive(target, prices, T0, 300, publish=False)
    assert (target.scoreboard.since, target.scoreboard.chain.seq, target.matured) == (None, 0, [])
    bodies = drive(target, prices, T0 + 300_000, 120)
    assert [item.ts for item in target.matured if item.horizon == "1m"] == [bodies[-1]["ts"] - 60_000]


def test_save_and_restore_keep_open_outcomes_and_the_chain() -> None:
    straight, first = engine(), engine()
    for target in (straight, first):
        drive(target, walk(5), T0, 175)
    second = engine()
    second.restore(orjson.loads(orjson.dumps(first.save())))
    second.advance(T0 + 175_000)
    for target in (straight, second):
        target.scoreboard.keep_lines()
        drive(target, walk(6), T0 + 175_000, 700)
    lines = straight.scoreboard.drain()
    assert lines
    assert second.scoreboard.drain() == lines
    assert second.scoreboard.document(0) == straight.scoreboard.document(0)


def test_what_is_judged_of_open_interest_is_what_was_published() -> None:
    """A week of the past, minutes live, and nothing after: of every probability the ledger says that it is lost."""
    target, prices = engine(), walk(8)
    for number in range(7 * 144 + 2, 0, -1):
        ts = T0 - number * 600_000
        price, coins = next(prices)
        for event in both(ts, price, coins):
            target.apply(event)
        target.backfill(ts, silent=True, step_s=600)
    target.scoreboard.keep_lines()
    drive(target, prices, T0, 30, publish=False)  # until the venues have been heard
    bodies = drive(target, prices, T0 + 30_000, 150)
    said = [body["p_deleveraging"] for body in bodies]
    assert {one["reason"] for one in said} == {None}
    assert {(one["base_rate"], one["base_rate_10"], one["evidence"]) for one in said} == {
        (*packaged().base_rates, "none_yet")
    }
    target.advance(T0 + 180_000 + 30 * 3_600_000)
    lost = [fall for fall in map(read_line, target.scoreboard.drain()) if isinstance(fall, Fall) and not fall.event]
    ten = [float(f"{one['oi_5']:.10g}") for one in said]
    assert [(fall.ts, fall.oi_5) for fall in lost] == [
        (body["ts"], p)
        for number, (body, p, one) in enumerate(zip(bodies, ten, said, strict=True))
        if number == 0 or one["as_of"] != said[number - 1]["as_of"]
    ]
    assert len(lost) == 4  # the first was made before and is held: it counts from its first message
    assert {fall.fell for fall in lost} == {None}
    now = target.scoreboard.track_record("BTC")
    assert (now.base_rates, now.evidence, now.evidence_10) == (packaged().base_rates, "none_yet", "none_yet")
    assert target.scoreboard.body(0)["deleveraging"]["lost"] == 4


# -- files ---------------------------------------------------------------------------------------------------------


def some_lines(count: int) -> list[bytes]:
    target = engine()
    target.scoreboard.keep_lines()
    prices, start, lines = walk(7), T0, []
    while len(lines) < count:
        drive(target, prices, start, 60)
        start += 60_000
        lines += target.scoreboard.drain()
    return lines[:count]


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return some_lines(40)


def read_all(folder: Path) -> list[bytes]:
    return [line for path in files(folder) for line in lines_of(path)]


def test_files_are_appended_and_rotated_and_found_again(tmp_path: Path, lines: list[bytes]) -> None:
    ledger = LedgerFile(tmp_path / "l", 2000)
    assert ledger.end is None
    for line in lines[:20]:
        ledger.write([line])
    ledger.close()
    assert len(files(tmp_path / "l")) > 2
    before = {path: path.read_bytes() for path in files(tmp_path / "l")}
    again = LedgerFile(tmp_path / "l", 2000)
    assert again.end == (20, read_hash(lines[19]))
    again.write(lines[20:])
    again.close()
    assert read_all(tmp_path / "l") == lines
    for path, text in before.items():
        assert path.read_bytes().startswith(text)
    assert verify(read_all(tmp_path / "l")).seq == 40


def read_hash(line: bytes) -> str:
    return str(orjson.loads(line)["hash"])


@pytest.mark.parametrize("cut", [1, 5, 350])
def test_a_line_cut_off_by_a_crash_is_removed(tmp_path: Path, lines: list[bytes], cut: int) -> None:
    ledger = LedgerFile(tmp_path, 10_000)
    ledger.write(lines[:10])
    ledger.close()
    ledger.path.write_bytes(ledger.path.read_bytes()[:-cut])
    again = LedgerFile(tmp_path, 10_000)
    assert again.end == (9, read_hash(lines[8]))
    again.write(lines[9:12])
    again.close()
    assert read_all(tmp_path) == lines[:12]


def test_a_broken_end_is_left_alone_and_a_new_file_begins(tmp_path: Path, lines: list[bytes]) -> None:
    ledger = LedgerFile(tmp_path, 10_000)
    ledger.write([*lines[:3], lines[3].replace(b"long", b"lang").replace(b"short", b"shart").replace(b"neut", b"nout")])
    ledger.close()
    text = ledger.path.read_bytes()
    again = LedgerFile(tmp_path, 10_000)
    assert (again.end, again.path.name) == (None, "ledger-000002.jsonl")
    again.close()
    assert ledger.path.read_bytes() == text


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    first = LedgerFile(tmp_path, 10_000)
    with pytest.raises(ConfigError, match="in use by another process"):
        LedgerFile(tmp_path, 10_000)
    first.close()
    LedgerFile(tmp_path, 10_000).close()


def test_a_folder_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"scoreboard\.folder: .* cannot be written"):
        LedgerFile(tmp_path / "file" / "below", 10_000)


# -- service and replay --------------------------------------------------------------------------------------------


def moving(bench: Bench, seconds: int, seed: int) -> None:
    rng = random.Random(seed)
    price = 100.0
    for _ in range(seconds):
        price *= 1 + rng.gauss(0, 2e-4)
        bench.second(price)


def test_a_replay_gives_the_identical_ledger(tmp_path: Path) -> None:
    """With a hold-up (ticks computed and not published) and a clock step on the way."""
    bench = Bench(tmp_path, tmp_path / "ledger")
    moving(bench, 1100, 1)
    bench.hands.run(35.0)
    moving(bench, 200, 2)
    bench.hands.wall_s += 3.0
    moving(bench, 300, 3)
    bench.service.close()
    kept = read_all(tmp_path / "ledger")
    assert len(kept) > 100
    assert verify(kept).broken is None
    published = {body["ts"] for body in bench.published()}
    outcomes = [read_line(line) for line in kept]
    assert {item.ts for item in outcomes} <= published
    again = [line for run, _, _ in replayed(tmp_path / "a.tape", pytest.fail) for line in run.ledger]
    assert again[: len(kept)] == kept
    assert len(again) == len(kept)


class Full:
    """Stands before the ledger's file while its disk is full."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_metrics_tell_of_a_ledger_that_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cause: only the log said that lines waited or that the ledger had stopped."""
    without = Bench(tmp_path)
    assert without.service.views.scrape().ledger is None
    without.service.close()
    bench = Bench(tmp_path, tmp_path / "ledger")

    def said() -> LedgerNumbers:
        found = bench.service.views.scrape().ledger
        assert found is not None
        return found

    moving(bench, 1100, 1)
    assert said() == LedgerNumbers(0, 0, False)
    kept = bench.service._outputs.ledger
    assert kept is not None
    real = kept._file
    monkeypatch.setattr(kept, "_file", Full(real))
    moving(bench, 30, 2)
    assert (said().failures, said().stopped) == (3, False)
    assert said().waiting_bytes > 3 * 300
    monkeypatch.setattr(kept, "_file", real)
    moving(bench, 10, 3)
    assert said() == LedgerNumbers(0, 3, False)
    monkeypatch.setattr(kept, "_file", Full(real))
    monkeypatch.setattr("service.runtime.ledger_file.BACKLOG_BYTES", 1000)
    moving(bench, 60, 4)
    assert said().failures > 3
    assert (said().waiting_bytes, said().stopped) == (0, True)
    bench.service.close()
    assert verify(read_all(tmp_path / "ledger")).broken is None


def test_the_channel_comes_once_a_minute_beginning_with_the_first_tick(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    sent: list[tuple[str, int]] = []
    publish = bench.service.feed.hub.publish

    def seen(items: Any, tick: Any = None) -> None:
        sent.extend((channel, body["ts"]) for channel, _, body in items if channel == "scoreboard")
        publish(items, tick)

    bench.service.feed.hub.publish = seen  # type: ignore[method-assign]
    moving(bench, 185, 1)
    bench.service.close()
    assert sent == [("scoreboard", T0 + ms) for ms in (10_000, 60_000, 120_000, 180_000)]
    assert bench.service.views.scoreboard()["since"] == T0 + 10_000
    assert bench.service.views.scrape().evaluations[0][:2] == ("BTC", "1m")


def test_the_chain_goes_on_from_the_files_after_a_crash(tmp_path: Path) -> None:
    """The state is from before; the file knows better."""
    first = Bench(tmp_path, tmp_path / "ledger")
    moving(first, 1000, 1)
    first.service.close()
    kept = read_all(tmp_path / "ledger")
    assert kept
    (tmp_path / "b").mkdir()
    second = Bench(tmp_path / "b", tmp_path / "ledger")
    assert second.service._engine.scoreboard.chain.seq == len(kept)
    moving(second, 1000, 2)
    second.service.close()
    assert verify(read_all(tmp_path / "ledger")).broken is None
    both_runs = read_all(tmp_path / "ledger")
    assert len(both_runs) == 2 * len(kept)
    again = [line for run, _, _ in replayed(tmp_path / "b" / "a.tape", pytest.fail) for line in run.ledger]
    assert again == both_runs[len(kept) :]  # the tape knows where the chain stood
