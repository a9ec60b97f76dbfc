"""One record: what the feed says, what p_hit rests on and what the ledger tells are the same, also after a crash."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from service.config import Config
from service.core.engine import Engine
from service.model import Tick
from service.runtime.ledger_file import LedgerFile, files, lines_of
from service.runtime.scoreboard_output import ScoreboardOutput
from service.runtime.state_file import StateFile, document, restored
from service.scoreboard import HORIZONS, Fall, Outcome, Scoreboard, verify
from service.scoring import alerts
from tests.core.build import T0, both, engine
from tests.runtime.test_scoreboard_output import walk
from tests.scoreboard import recount
from tests.scoreboard.build import HOUR, Market, signal
from tests.scoreboard.recount import Row

COUNTED = (
    "T",
    "symbol",
    "horizon",
    "score",
    "direction",
    "price_then",
    "at",
    "price_at",
    "ret",
    "hit",
    "in_hit",
    "in_ic",
)


class Run:
    """An engine with its ledger, driven second by second; every tick published but those of ``held`` seconds."""

    def __init__(self, folder: Path, made: Engine, keep: bool = True) -> None:
        self.engine = made
        self.folder = folder
        self.ledger = LedgerFile(folder, 1 << 20) if keep else None
        self.scores = ScoreboardOutput(made, self.ledger)
        self.sent: list[dict[str, Any]] = []
        publish = lambda items, tick=None: self.sent.extend(body for _, _, body in items)  # noqa: E731
        self.feed: Any = SimpleNamespace(hub=SimpleNamespace(publish=publish))
        self.bodies: list[Row] = []
        self.ticks: list[tuple[int, dict[str, float | None]]] = []

    def seconds(self, prices: Iterator[tuple[float, float]], start: int, count: int, silent: bool = False) -> int:
        """``silent``: the venues say nothing."""
        for second in range(1, count + 1):
            price, coins = next(prices)
            ts = start + second * 1000
            if not silent:
                for event in both(ts - 500, price, coins):
                    self.engine.apply(event)
            self.take(self.engine.advance(ts))
        return start + count * 1000

    def held(self, prices: Iterator[tuple[float, float]], start: int, count: int) -> int:
        """The process stands still: what was received meanwhile is taken in one go, the newest tick is published."""
        for second in range(1, count + 1):
            price, coins = next(prices)
            for event in both(start + second * 1000 - 500, price, coins):
                self.engine.apply(event)
        self.take(self.engine.advance(start + count * 1000))
        return start + count * 1000

    def take(self, ticks: list[Tick]) -> None:
        self.ticks += [(tick.ts, {body["symbol"]: body["market"]["price"] for body in tick.signals}) for tick in ticks]
        if ticks:
            self.bodies += ticks[-1].signals
            self.scores.published(ticks[-1], self.feed)

    def killed(self) -> None:
        """Nothing more is written; the lock goes with the process."""
        assert self.ledger is not None
        self.ledger.close()

    def told(self) -> list[Row]:
        lines = [line for path in files(self.folder) for line in lines_of(path)]
        assert verify(lines).broken is None
        return recount.rows_of(lines)


def warm(made: Engine, prices: Iterator[tuple[float, float]]) -> Engine:
    for minute in range(-130, 1):
        price, coins = next(prices)
        for event in both(T0 + minute * 60_000, price, coins):
            made.apply(event)
        made.backfill(T0 + minute * 60_000, silent=True)
    made.advance(T0)
    return made


def agree(run: Run, symbol: str = "BTC") -> None:
    """The scoreboard's numbers are those that the ledger comes to."""
    counted = recount.statistics(run.told())
    board = run.engine.scoreboard
    said = board.of_symbol(symbol)["horizons"]
    for name, _ in HORIZONS:
        board.tally(symbol, name).renew()
        said = board.of_symbol(symbol)["horizons"]
        own = counted.get((symbol, name))
        if own is None:
            assert (said[name]["n"], said[name]["matured"], said[name]["lost"]) == (0, 0, 0)
            continue
        assert {key: said[name][key] for key in ("n", "hit", "matured", "lost", "p_hit")} == {
            key: own[key] for key in ("n", "hit", "matured", "lost", "p_hit")
        }
        assert said[name]["brier"] == (None if own["brier"] is None else pytest.approx(own["brier"], abs=1e-12))
        assert said[name]["ic"] == (None if own["ic"] is None else pytest.approx(own["ic"], abs=1e-12))
        if own["n"] > 0:
            low, high = recount.wilson(own["hit"], said[name]["n_effective"])
            assert said[name]["hit_low"] == pytest.approx(low, abs=1e-9)
            assert said[name]["hit_high"] == pytest.approx(high, abs=1e-9)
        assert [(part["n"], round(part["hit"] * part["n"])) for part in said[name]["bins"]] == [
            (n, hits) for _, (n, _, hits) in sorted(own["bins"].items())
        ]


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Five hours of one symbol, with two hold-ups, ten minutes of silence, and one hold-up right at the start."""
    prices = walk(21)
    run = Run(tmp_path_factory.mktemp("ledger"), warm(engine(), prices))
    ts = run.held(prices, T0, 47)
    ts = run.seconds(prices, ts, 4000)
    ts = run.held(prices, ts, 33)
    ts = run.seconds(prices, ts, 5000)
    ts = run.seconds(prices, ts, 600, silent=True)
    ts = run.seconds(prices, ts, 4000)
    ts = run.held(prices, ts, 125)
    run.seconds(prices, ts, 4000)
    run.killed()
    return run


def test_the_ledger_is_what_the_feed_and_the_prices_say(long_run: Run) -> None:
    """Every outcome, and which of them count, straight from the definition (``recount.outcomes``)."""
    expected = recount.outcomes(long_run.bodies, long_run.ticks)
    told = long_run.told()
    assert len(told) == len(expected) > 5000
    lost = [row for row in told if row["at"] is None]
    assert len(lost) > 100

    def key(row: Row) -> tuple[Any, ...]:
        return row["T"], row["horizon"]

    for one, other in zip(sorted(told, key=key), sorted(expected, key=key), strict=True):
        assert {name: one[name] for name in COUNTED} == {name: other[name] for name in COUNTED}
    agree(long_run)


def test_no_signal_is_judged_by_what_it_could_not_know(long_run: Run) -> None:
    """p_hit of every signal, and its size, recounted from the lines told by then and not one more.

    Cause: the scorer kept a second record of its own, which also took ticks that were never published; after a hold-up
    at the start the two judged different hours for good.
    """
    told = [row for row in long_run.told() if row["horizon"] == "composite" and row["in_hit"]]
    seen = set()
    for body in long_run.bodies:
        known = [
            row["hit"] for row in told if row["at"] is not None and row["at"] <= body["ts"] and row["hit"] is not None
        ]
        n = len(known)
        p_hit = 0.5 if n == 0 else 0.5 + n / (n + 400) * (sum(known) / n - 0.5)
        assert (body["p_hit_n"], body["p_hit"]) == (n, p_hit), body["ts"]
        seen.add(n)
        if body["tradeable"] and body["direction"] != "neutral":
            size = max(0.0, 2 * p_hit - 1) * body["confidence"] * (1 - 0.5 * body["fragility"])
            assert body["sizing"]["size_fraction"] == pytest.approx(size, abs=1e-15)
    assert max(seen) >= 3
    by_ts = {body["ts"]: body for body in long_run.bodies}
    for row in long_run.told():
        if row["horizon"] == "composite":
            assert row["p_hit"] == recount.ten(by_ts[row["T"]]["p_hit"])


def test_what_was_published_stays_as_it_was(long_run: Run) -> None:
    """The bodies that went out are the ones that the engine would make again: nothing came back to them."""
    texts = [orjson.dumps(body) for body in long_run.bodies]
    board = long_run.engine.scoreboard
    board.mature(T0 + 10**9, [123.0])
    board.body(0)
    assert [orjson.dumps(body) for body in long_run.bodies] == texts


def test_a_price_that_differs_in_the_noise_is_no_return() -> None:
    """Cause: p_hit's own record compared unrounded prices: a mean's last bit made a hit or a miss of no move at all."""
    market = Market()
    market.tick(T0, signal(100.0, 0.4, "long"))
    market.tick(T0 + HOUR, signal(100.00000000000003, 0.4, "long"))
    assert market.outcomes[-1].ret == 0.0
    assert market.board.record("BTC") == (0.5, 0)


# -- crashes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("saved_after", "killed_after", "gap_s"), [(700, 757, 3), (700, 730, 40), (640, 699, 400)])
def test_after_a_crash_the_record_and_the_ledger_agree(
    saved_after: int, killed_after: int, gap_s: int, tmp_path: Path
) -> None:
    """Cause: the state is up to a minute older than the ledger: what had been told since was judged again, at other
    prices or as lost, so that the feed's numbers and the ledger's never met again."""
    prices = walk(9)
    first = Run(tmp_path, warm(engine(), prices))
    ts = first.seconds(prices, T0, saved_after)
    state = orjson.dumps(first.engine.save())
    ts = first.seconds(prices, ts, killed_after - saved_after)
    first.killed()
    before = first.engine.scoreboard
    made = engine()
    made.restore(orjson.loads(state))
    assert made.scoreboard.chain.seq < before.chain.seq
    second = Run(tmp_path, made)
    for name, _ in HORIZONS:  # what the first had counted, to the last pair
        assert orjson.dumps(made.scoreboard.tally("BTC", name).dump()) == orjson.dumps(before.tally("BTC", name).dump())
    assert made.scoreboard.chain.dump() == before.chain.dump()
    ts += gap_s * 1000
    made.advance(ts)
    second.seconds(prices, ts, 900)
    second.killed()
    agree(second)
    told = second.told()
    keys = [(row["horizon"], row["T"]) for row in told]
    assert len(keys) == len(set(keys))  # nothing is told twice
    for name, _ in HORIZONS:
        for flag in ("in_hit", "in_ic"):
            own = [row for row in told if row["horizon"] == name and row[flag]]
            for one, following in pairwise(own):
                assert following["T"] >= (one["at"] or one["T"] + recount.LENGTHS[name])
    for name in ("1m", "5m"):  # none that was told is still waited for
        own = [row for row in told if row["horizon"] == name and row["in_ic"]]
        assert own[-1]["T"] >= ts + 900_000 - 2 * recount.LENGTHS[name] - 20_000


def test_a_lost_state_is_counted_again_from_the_ledger(tmp_path: Path) -> None:
    prices = walk(10)
    first = Run(tmp_path, warm(engine(), prices))
    first.seconds(prices, T0, 900)
    first.killed()
    made = engine()
    second = Run(tmp_path, made)
    second.killed()
    agree(second)
    assert made.scoreboard.tally("BTC", "1m").n == first.engine.scoreboard.tally("BTC", "1m").n > 0
    assert made.scoreboard.since == first.told()[0]["T"]
    assert made.scoreboard.chain.dump() == first.engine.scoreboard.chain.dump()


def test_a_ledger_of_another_chain_is_gone_on_from_and_not_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prices = walk(10)
    first = Run(tmp_path / "a", warm(engine(), prices))
    first.seconds(prices, T0, 700)
    first.killed()
    other = Run(tmp_path / "b", warm(engine(), prices))
    other.seconds(prices, T0, 650)
    other.killed()
    was = orjson.dumps(other.engine.scoreboard.tally("BTC", "1m").dump())
    again = Run(tmp_path / "a", other.engine)
    again.killed()
    assert "they will not agree" in caplog.text
    assert orjson.dumps(other.engine.scoreboard.tally("BTC", "1m").dump()) == was
    assert other.engine.scoreboard.chain.dump() == first.engine.scoreboard.chain.dump()


def test_the_record_outlives_a_state_of_other_symbols(tmp_path: Path) -> None:
    """Cause: with one symbol more in the configuration the whole record began anew."""
    prices = walk(11)
    run = Run(tmp_path, warm(engine(), prices), keep=False)
    run.seconds(prices, T0, 700)
    was = run.engine.scoreboard
    plain = orjson.loads(orjson.dumps(was.dump()))
    more = Scoreboard(("ETH", "BTC"))
    more.load(plain)
    assert orjson.dumps(more.tally("BTC", "1m").dump()) == orjson.dumps(was.tally("BTC", "1m").dump())
    assert more.tally("ETH", "1m").n == 0
    assert (more.since, more.chain.dump()) == (was.since, was.chain.dump())
    lost = more.mature(T0 + 10**9, [None, 100.0])
    assert {item.symbol for item in lost} == {"BTC"}
    assert all(item.at is None for item in lost)


def test_what_is_open_of_a_symbol_that_is_gone_is_lost_and_the_ledger_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cause: signals that were published would have no line in the ledger for good, as if they had never been."""
    monkeypatch.setattr(alerts, "SPIKE_LEAST_H", 1)  # a spike on two hours of history, to have an event
    prices = walk(11)
    run = Run(tmp_path, warm(engine(), prices), keep=False)
    run.seconds(prices, T0, 700)
    was = run.engine.scoreboard
    plain = orjson.loads(orjson.dumps(was.dump()))
    other = Scoreboard(("ETH",))
    other.keep_lines()
    other.load(plain)
    assert other.dump()["_boards"]["BTC"] == plain["_boards"]["BTC"]  # stored until it is told, a tape's header has it
    lost = other.mature(T0 + 710_000, [50.0])
    assert {(item.symbol, item.at) for item in lost} == {("BTC", None)}
    same = Scoreboard(("BTC",))
    same.load(plain)
    due = same.mature(T0 + 10**9, [100.0])  # of the same record, all that is open
    assert lost == due
    assert {type(item) for item in lost} == {Outcome, Fall}
    lines = other.drain()
    checked = verify(lines, was.chain.hash, was.chain.seq)
    assert (checked.broken, checked.lines, checked.hash) == (None, len(due), other.chain.hash)
    assert list(other.dump()["_boards"]) == ["ETH"]
    assert other.mature(T0 + 720_000, [50.0]) == []


def test_what_the_ledger_tells_of_a_symbol_that_is_gone_is_not_told_twice(tmp_path: Path) -> None:
    """Cause: a line written after the last save and before the crash would have a second one that says lost."""
    prices = walk(11)
    run = Run(tmp_path, warm(engine(), prices), keep=False)
    run.seconds(prices, T0, 700)
    plain = orjson.loads(orjson.dumps(run.engine.scoreboard.dump()))
    later = Scoreboard(("BTC",))
    later.load(plain)
    told = later.mature(T0 + 710_000, [100.0])
    assert told
    other = Scoreboard(("ETH",))
    other.load(plain)
    for outcome in told:
        other.told(outcome)
    lost = {(item.ts, kind(item)) for item in other.mature(T0 + 720_000, [50.0])}
    assert lost
    assert not lost & {(item.ts, kind(item)) for item in told}


def kind(item: Outcome | Fall) -> str | None:
    return item.horizon if isinstance(item, Outcome) else item.event


PARTS = ("indicators", "scorers")


@pytest.mark.parametrize("change", ["age", "symbols", "little", "shape"])
def test_the_record_and_what_was_learned_outlive_a_state_that_is_not_used(change: str, tmp_path: Path) -> None:
    """Cause: after three days off a record of months and all weights began anew."""
    prices = walk(12)
    run = Run(tmp_path / "l", warm(engine(), prices), keep=False)
    run.seconds(prices, T0, 700)
    config = Config().model_copy(
        update={
            "service": Config().service.model_copy(update={"symbols": ("BTC",)}),
            "start": Config().start.model_copy(update={"history": change == "little"}),
        }
    )
    plain = document(run.engine, config, T0 + 700_000)
    now = T0 + 701_000
    if change == "age":
        now += 80 * HOUR
    elif change == "symbols":  # the record is known of a symbol whose windows are not: salvaged from such a state
        for part in (plain["engine"]["engine"]["market"]["books"], *map(plain["engine"]["engine"].get, PARTS)):
            part["ETH"] = part.pop("BTC")
    elif change == "shape":
        plain["engine"]["version"] = 1
        del plain["engine"]["engine"]["scoreboard"]["chain"]
    file = StateFile(tmp_path / "state")
    file.path.write_bytes(gzip.compress(orjson.dumps(plain)))
    made, said = restored(file, config, engine, now)
    file.close()
    assert said is not None
    assert "is not used" in said
    was, board = run.engine.scoreboard, made.scoreboard
    assert made.sampled_ms == 0
    if change == "shape":
        assert (board.chain.seq, board.since) == (0, None)
        return
    assert board.tally("BTC", "1m").n == was.tally("BTC", "1m").n > 0
    assert board.chain.dump() == was.chain.dump()
    assert made.learner.report()["groups"] == run.engine.learner.report()["groups"]
    again = engine()
    again.restore(orjson.loads(orjson.dumps(made.save())))  # a tape's header
    assert again.scoreboard.dump() == board.dump()
