"""More than a day of live ticks, so that falls of open interest mature: recounted, restored, after a crash and changes.

One run of 25 hours in virtual time, with a silence and hold-ups; then quarters of an hour that go on from its state.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from service.config import MarketSection
from service.core.engine import Engine
from service.core.renames import renamed_state
from service.deleveraging import packaged
from service.model import Event, Funding, Mark, OpenInterest, Tick
from service.runtime.ledger_file import LedgerFile, files, lines_of
from service.runtime.scoreboard_output import ScoreboardOutput
from service.scoreboard import Fall, verify
from tests.core.build import T0, VENUES, rules
from tests.scoreboard import recount
from tests.scoreboard.build import DAY, HOUR, MINUTE, TICK
from tests.scoreboard.recount import Row

MODEL = replace(packaged(), least_rank_h=1)  # else a week must be filled in first
WARM = 73 * HOUR // TICK  # no spike on less than three days
LONG = 25 * HOUR // TICK
SAVED = (DAY + 2 * MINUTE) // TICK  # the tick whose state is gone on from
KILLED = SAVED + 5
SILENT = range(3 * HOUR // TICK, (3 * HOUR + 20 * MINUTE) // TICK)  # the venues say nothing: no quorum
AFTER = range(SAVED + 1, SAVED + 1 + 15 * MINUTE // TICK)
HELD_UP = (range(5 * HOUR // TICK, 5 * HOUR // TICK + 7), range(7 * HOUR // TICK, 7 * HOUR // TICK + 72))


def market() -> list[tuple[float, float]]:
    """(price, coins) of every tick from :data:`WARM` before the first: open interest builds up quickly, then collapses,
    with the price, within two minutes; and by a third as much now and then."""
    rng = random.Random(13)
    price, coins, falling, found = 100.0, 1000.0, 0, []
    for number in range(-WARM, LONG + 1):
        price *= 1 + rng.gauss(0, 3e-4)
        coins *= 1 + rng.gauss(0, 3e-4) + (2.5e-4 if -240 < number < 120 else 2e-4 if coins < 1000 else 0)
        if number == 150 or (number > 300 and rng.random() < 1 / 2500):
            falling = 12 if number == 150 else 4
        if falling > 0:
            coins, price, falling = coins * rng.uniform(0.985, 0.995), price * 0.996, falling - 1
        found.append((price, coins))
    return found


MARKET = market()


def events(ts: int, number: int, symbols: Sequence[str] = ("BTC",)) -> list[Event]:
    price, coins = MARKET[WARM + number]
    found: list[Event] = []
    for symbol in symbols:
        raw = symbol + "USDT"
        for venue in VENUES:
            found.append(Mark(venue, raw, symbol, price, price, None, ts))
            found.append(Funding(venue, raw, symbol, 1e-4, 8.0, 1e-4, None, False, None, ts))
            found.append(OpenInterest(venue, raw, symbol, coins, 1.0, coins, False, None, ts))
    return found


def engine(symbols: Sequence[str] = ("BTC",)) -> Engine:
    return Engine(symbols, rules(), MarketSection(), [], deleveraging=MODEL)


class Run:
    """An engine with its ledger. ``shift_ms``: the clock shows so much more than in the long run."""

    def __init__(self, folder: Path, made: Engine, shift_ms: int = 0) -> None:
        self.engine, self.folder, self.shift_ms = made, folder, shift_ms
        self.ledger = LedgerFile(folder, 64 << 20)
        self.scores = ScoreboardOutput(made, self.ledger, {"BTC": "XBT"} if made.symbols == ("XBT",) else None)
        self.feed: Any = SimpleNamespace(hub=SimpleNamespace(publish=lambda items: None))
        self.before: list[bytes] = []  # lines of files that are kept elsewhere
        self.published: list[tuple[Row, list[Row]]] = []
        self.ticks: list[tuple[int, Mapping[str, float | None]]] = []
        self.bodies: dict[int, bytes] = {}  # by number of the tick
        self.ends: dict[int, int] = {}  # lines until then
        self.skipped: list[Tick] = []  # never published

    def go(self, numbers: Sequence[int], each: Callable[[int], None] = lambda number: None) -> None:
        for number in numbers:
            ts = T0 + number * TICK + self.shift_ms
            if number not in SILENT:
                for event in events(ts - 500, number, [name for name in self.engine.symbols if name != "ETH"]):
                    self.engine.apply(event)
            if any(number in held and number != held[-1] for held in HELD_UP):
                continue
            ticks = self.engine.advance(ts)
            self.ticks += [(tick.ts, dict(zip(self.engine.symbols, tick.levels, strict=True))) for tick in ticks]
            self.skipped += ticks[:-1]
            newest = ticks[-1]
            assert newest.ts == ts
            self.published += [(body, list(newest.alerts)) for body in newest.signals]
            self.bodies[number] = orjson.dumps([newest.signals, newest.alerts])
            self.scores.published(newest, self.feed)
            self.ends[number] = self.engine.scoreboard.chain.seq
            each(number)
        self.ledger.close()

    def lines(self) -> list[bytes]:
        found = [line for path in files(self.folder) for line in lines_of(path)]
        assert verify(found).broken is None
        return self.before + found


class Long(Run):
    def __init__(self, folder: Path) -> None:
        made = engine()
        for number in range(-WARM, 1, MINUTE // TICK):
            ts = T0 + number * TICK
            made.backfill(ts, silent=True, events=events(ts, number))
        made.advance(T0)
        super().__init__(folder, made)
        self.state = b""
        self.go(range(1, LONG + 1), self.keep)
        self.told = self.lines()

    def keep(self, number: int) -> None:
        if number == SAVED:
            self.state = orjson.dumps(self.engine.save())


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Long:
    return Long(tmp_path_factory.mktemp("long"))


def falls_of(lines: Sequence[bytes], without: Sequence[str] = ()) -> list[Row]:
    dropped = {"seq", "hash", "prev_hash", *without}
    rows = [row for row in recount.rows_of(lines) if "kind" in row]
    return [{name: value for name, value in row.items() if name not in dropped} for row in rows]


def expected(published: Sequence[Any], ticks: Sequence[Any]) -> list[Row]:
    return recount.falls(published, ticks, MODEL.volatility_alone, MODEL.volatility_edges)


def in_order(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["T"], row.get("event", ""), row["symbol"]))


def test_every_published_probability_and_event_gets_its_outcome_and_no_other(long: Long) -> None:
    told, own = falls_of(long.told), expected(long.published, long.ticks)
    assert in_order(told) == in_order(own)
    assert len(told) > 55
    assert {row["kind"] for row in told} == {"deleveraging", "event"}
    assert {row["hit_5"] for row in told} == {True, False}
    skipped = {tick.ts for tick in long.skipped}
    assert len(skipped) > 70
    assert not skipped & {row["T"] for row in recount.rows_of(long.told)}
    assert [row["event"] for row in told if row["kind"] == "event"] == ["elr_spike", "flush"]


def test_all_that_is_open_is_what_was_published_in_the_last_day(long: Long) -> None:
    """What will be judged after the run: told as lost, it is all the rest."""
    made = engine(("ETH",))
    made.scoreboard.load(orjson.loads(orjson.dumps(long.engine.scoreboard.dump())))
    lost = [item for item in made.scoreboard.mature(T0 + 2 * DAY, [None]) if isinstance(item, Fall)]
    whole = expected(long.published, [*long.ticks, (T0 + 3 * DAY, {"BTC": None})])
    assert len(lost) + len(falls_of(long.told)) == len(whole) > 1400
    assert "reset" in {item.event for item in lost}
    assert sorted(item.ts for item in lost) == sorted(row["T"] for row in whole)[-len(lost) :]


def forked(long: Long, folder: Path, made: Engine, until: int = SAVED, shift_ms: int = 0) -> Run:
    """``made`` has the state of tick ``SAVED``; its ledger goes as far as tick ``until``, and begins in the middle."""
    first = long.ends[SAVED] - 1
    (folder / "ledger-000001.jsonl").write_bytes(b"".join(line + b"\n" for line in long.told[first : long.ends[until]]))
    run = Run(folder, made, shift_ms)
    run.before = long.told[:first]
    return run


def test_gone_on_from_a_state_in_the_middle_it_is_the_same_byte_for_byte(long: Long, tmp_path: Path) -> None:
    made = engine()
    made.restore(orjson.loads(long.state))
    run = forked(long, tmp_path, made)
    run.go(AFTER)
    assert run.bodies == {number: long.bodies[number] for number in AFTER}
    assert run.lines() == long.told[: long.ends[AFTER[-1]]]


@pytest.mark.parametrize("gap_s", [20, 9_000])
def test_after_a_kill_with_a_ledger_ahead_of_the_state_every_outcome_is_told_once(
    long: Long, gap_s: int, tmp_path: Path
) -> None:
    """After two and a half hours away those are lost that the process saw too little of."""
    made = engine()
    made.restore(orjson.loads(long.state))
    run = forked(long, tmp_path, made, KILLED)
    assert long.ends[KILLED] > long.ends[SAVED]
    first = KILLED + gap_s // 10
    if gap_s > HOUR // 1000:
        run.shift_ms = (first - KILLED) * TICK  # the market goes on where it was
        first = KILLED + 1
    run.go(range(first, AFTER[-1] + 1))
    told = falls_of(run.lines())
    assert len({(row["T"], row.get("event")) for row in told}) == len(told)
    before = [one for one in long.published if one[0]["ts"] <= T0 + SAVED * TICK]
    own = expected(
        [*before, *run.published], [*[one for one in long.ticks if one[0] <= T0 + KILLED * TICK], *run.ticks]
    )
    assert in_order(told) == in_order(own)
    assert any(row["at"] is None for row in told) == (gap_s > HOUR // 1000)
    assert made.scoreboard.falls.summary["deleveraging"]["lost"] <= sum(row["at"] is None for row in told)
    totals = made.scoreboard.of_symbol("BTC")
    known = [row for row in told if row["at"] is not None]
    assert totals["deleveraging"]["falls"]["oi_5"]["n"] == sum(row["kind"] == "deleveraging" for row in known)
    assert sum(item["n"] for item in totals["events"].values()) == sum(row["kind"] == "event" for row in known)


@pytest.mark.parametrize("shift_ms", [2 * HOUR, -5 * HOUR, 400 * DAY, 3_000])
def test_a_clock_set_anew_moves_when_it_is_decided_and_nothing_else(long: Long, shift_ms: int, tmp_path: Path) -> None:
    made = engine()
    made.restore(orjson.loads(long.state))
    made.reanchor(shift_ms)
    run = forked(long, tmp_path, made, shift_ms=shift_ms)
    if shift_ms % TICK:
        run.shift_ms = shift_ms // TICK * TICK + TICK
    run.go(AFTER)
    assert falls_of(run.lines(), ("at",)) == falls_of(long.told[: long.ends[AFTER[-1]]], ("at",))
    at = [row["at"] - shift_ms for row in recount.rows_of(run.lines()[long.ends[SAVED] :]) if "kind" in row]
    assert len(at) >= 14
    assert all(0 <= one - (T0 + SAVED * TICK) <= 16 * MINUTE for one in at)


def test_a_renamed_symbol_goes_on(long: Long, tmp_path: Path) -> None:
    """Also with a ledger ahead of the state, whose lines have the old name."""
    made = engine(("XBT",))
    made.restore(renamed_state(orjson.loads(long.state), {"BTC": "XBT"}))
    run = forked(long, tmp_path, made, KILLED)
    run.go(AFTER[KILLED - SAVED :])
    told = falls_of(run.lines(), ("symbol",))
    assert told == falls_of(long.told[: long.ends[AFTER[-1]]], ("symbol",))
    assert {row["symbol"] for row in falls_of(run.lines())} == {"BTC", "XBT"}


def test_a_symbol_more_or_less_costs_the_others_nothing(long: Long, tmp_path: Path) -> None:
    made = engine(("ETH", "BTC"))
    carried = made.carry_over(orjson.loads(long.state)["engine"])
    assert (carried.kept, carried.new) == (("BTC",), ("ETH",))
    run = forked(long, tmp_path, made)
    run.go(AFTER)
    assert falls_of(run.lines()) == falls_of(long.told[: long.ends[AFTER[-1]]])
    less = engine(("ETH",))
    less.scoreboard.load(orjson.loads(orjson.dumps(made.scoreboard.dump())))
    whole = [item for item in less.scoreboard.mature(T0 + DAY + HOUR, [None]) if isinstance(item, Fall)]
    assert len(whole) > 1400
    assert all(item.at is None for item in whole)
    again = engine(("BTC", "ETH"))
    again.scoreboard.load(orjson.loads(orjson.dumps(less.scoreboard.dump())))
    assert again.scoreboard.of_symbol("BTC")["deleveraging"]["own_n"] == 0
    assert again.scoreboard.falls.dump() == less.scoreboard.falls.dump()
