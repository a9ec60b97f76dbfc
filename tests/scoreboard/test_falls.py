"""Probabilities of a fall of open interest and events, by hand: what becomes of each, and what they come to."""

from __future__ import annotations

import json
import random
from array import array
from hashlib import sha256
from math import inf, log, nan, sqrt
from typing import Any

import orjson
import pytest

from service.deleveraging import FALLS
from service.scoreboard import EVENTS, GENESIS, Chain, Fall, Outcome, Scoreboard, read_line, verify
from service.scoreboard import fall_record as module
from service.scoreboard.chain import KINDS, canonical, written
from service.scoreboard.fall_record import LEAST_WEEKS, FallRecord, FallTotals, evidence_of, summed_up
from service.scoreboard.falls import hits_of
from service.scoreboard.measures import jackknife, t_95
from service.scoreboard.outcome import short
from service.state import Stateful
from tests.scoreboard import recount
from tests.scoreboard.build import DAY, HOUR, MINUTE, MODEL, T0, TICK, Day, raised, said
from tests.scoreboard.simulate import entered, simulated, sums

# -- outcomes ------------------------------------------------------------------------------------------------------


def test_a_probability_is_judged_by_the_lowest_level_of_the_24_hours_after_it() -> None:
    day = Day()
    day.tick(T0, 0.3, said(as_of=T0))
    for number in range(1, 1440):
        day.tick(T0 + number * MINUTE, 0.3 + (log(0.94) if number == 700 else 0.001))
    assert day.falls == []
    (fall,) = day.tick(T0 + DAY, 0.4)
    alone_5, alone_10 = MODEL.volatility_alone(0.031)
    assert fall == Fall(
        "BTC", None, T0, T0 + DAY, 0.25, 0.04, 0.19, 0.037, short(alone_5), short(alone_10), 0.031,
        MODEL.volatility_bin(0.031), short(log(0.94)), True, False,
    )  # fmt: skip


@pytest.mark.parametrize(("at_ms", "counts"), [(0, False), (10_000, True), (DAY, True), (DAY + 10_000, False)])
def test_the_24_hours_begin_after_the_tick_and_end_with_the_tick_a_day_later(at_ms: int, counts: bool) -> None:
    """A low at the tick itself is what is compared with, one after the day is another day's."""
    day = Day()
    low = log(0.8)
    day.tick(T0, 0.0, said(as_of=T0))
    if at_ms == 0:  # beside it, within the same minute, before it
        day = Day()
        day.tick(T0 - 10_000, low, out=False)
        day.tick(T0, 0.0, said(as_of=T0))
    for ts in sorted({T0 + n * MINUTE for n in range(1, 1440)} | {T0 + at_ms, T0 + DAY, T0 + DAY + 10_000} - {T0}):
        day.tick(ts, low if ts == T0 + at_ms and at_ms > 0 else 0.0)
    (fall,) = day.falls
    assert fall.at == T0 + DAY
    assert (fall.fell, fall.hit_5, fall.hit_10) == ((short(low), True, True) if counts else (0.0, False, False))


@pytest.mark.parametrize(("known", "lost"), [(1296, False), (1295, True)])
def test_it_is_lost_when_less_than_nine_tenths_of_the_minutes_are_known(known: int, lost: bool) -> None:
    """A minute without quorum is not known, nor is one in which the process stood still."""
    day = Day()
    day.tick(T0, 0.0, said(as_of=T0))
    for number in range(1, known + 1):
        day.tick(T0 + number * MINUTE, log(0.85) if number == 5 else 0.0)
    for number in range(known + 1, known + 20):
        day.tick(T0 + number * MINUTE, None)
    (fall,) = day.tick(T0 + DAY + 5 * MINUTE, log(0.5))  # the next tick comes late: not one of the 24 hours
    assert (fall.at is None, fall.fell is None, fall.hit_5 is None, fall.hit_10 is None) == (lost,) * 4
    if not lost:
        assert fall.fell == short(log(0.85))
    entry = day.board.of_symbol("BTC")["deleveraging"]
    assert (entry["lost"], entry["falls"]["oi_5"]["n"], entry["own_n"]) == ((1, 0, 0) if lost else (0, 1, 1))


def test_a_start_after_days_loses_what_was_open_and_judges_nothing_by_old_lows() -> None:
    day = Day()
    for number in range(1500):
        day.tick(T0 + number * MINUTE, -0.001 * number, said(as_of=T0 + number * MINUTE))
    judged = len(day.falls)
    assert judged == 60
    later = T0 + 5 * DAY
    found = day.tick(later, 0.0, said(as_of=later))
    # Of those whose 24 hours the process saw nine tenths of the outcome is known, whenever it comes back.
    assert [fall.at for fall in found[:144]] == [later] * 144
    assert all(fall.at is None for fall in found[145:])
    assert len(found) == 1440
    day.minutes(later + MINUTE, 1440, 0.0)
    assert (day.falls[-1].ts, day.falls[-1].fell) == (later, 0.0)


def test_one_that_is_held_for_a_minute_counts_once_and_from_its_first_message() -> None:
    """Cause: the tick that makes it may be one that is not published; what is held is published all the same."""
    day = Day()
    day.tick(T0, 0.1, said(as_of=T0), out=False)
    for second in (10, 20, 30, 40, 50):
        day.tick(T0 + second * 1000, 0.1 + second, said(as_of=T0))
    day.tick(T0 + MINUTE, 0.0, said(as_of=T0 + MINUTE))
    day.minutes(T0 + 2 * MINUTE, 1450, 0.0)
    assert [fall.ts for fall in day.falls] == [T0 + 10_000, T0 + MINUTE]
    assert day.falls[0].fell == short(0.0 - 10.1)  # by the whole minutes after it
    assert day.falls[0].at == T0 + DAY + MINUTE


def test_events_are_judged_whether_or_not_there_is_a_probability() -> None:
    day = Day()
    day.tick(T0, 0.0)
    alerts = [
        raised("elr_spike", T0 + TICK), raised("flush", T0 + TICK), raised("transition", T0 + TICK),
        raised("crowding", T0 + TICK, regime="crowded_shorts"), raised("elr_spike", T0 + TICK, "ETH"),
        raised("no_data", T0 + TICK), raised("flush", T0 + TICK, state="cleared"),
    ]  # fmt: skip
    day.tick(T0 + TICK, 0.2, None, alerts, volatility=None)
    day.tick(T0 + 2 * TICK, 0.2, None, [raised("crowding", T0, regime="crowded_longs")])
    for number in range(1, 1450):
        day.tick(T0 + number * MINUTE, 0.2 + (log(0.89) if number == 3 else 0.0))
    assert [(fall.ts - T0, fall.event) for fall in day.falls] == [
        (TICK, "elr_spike"), (TICK, "flush"), (TICK, "crowded_shorts"), (2 * TICK, "crowded_longs")
    ]  # fmt: skip
    spike, *_, longs = day.falls
    assert spike == Fall(
        "BTC", "elr_spike", T0 + TICK, T0 + MINUTE + DAY, *[None] * 8, short(log(0.89)), True, True
    )  # fmt: skip
    assert (longs.volatility_24h, longs.volatility_bin) == (0.031, MODEL.volatility_bin(0.031))
    assert longs.alone_5 == short(MODEL.volatility_alone(0.031)[0])
    assert day.board.of_symbol("BTC")["events"] == {
        name: {"n": int(name != "reset"), "hit_5": int(name != "reset"), "hit_10": int(name != "reset"), "lost": 0}
        for name in EVENTS
    }
    day.board.falls.renew(0, now=True)
    found = day.board.body(0)["events"]
    assert (found["elr_spike"]["n"], found["elr_spike"]["falls"]["oi_5"]["share"]) == (1, 1.0)
    assert found["elr_spike"]["falls"]["oi_5"]["matched"] is None  # nobody knows its volatility
    assert found["crowded_longs"]["falls"]["oi_5"]["matched"] is None  # no probability: nothing to compare with


def test_an_event_while_the_price_stands_still_is_judged_and_matched_with_nothing() -> None:
    """Cause guarded against: no logarithm of a volatility of 0, and no tick for anybody."""
    day = Day()
    day.tick(T0, 0.0, None, [raised("flush", T0)], volatility=0.0)
    day.minutes(T0 + MINUTE, 1441)
    (fall,) = day.falls
    assert (fall.volatility_24h, fall.volatility_bin, fall.alone_5, fall.fell) == (0.0, None, None, 0.0)
    assert verify(day.lines).broken is None


def test_a_reset_begins_where_the_regime_before_was_another() -> None:
    day = Day()
    regimes = ["reset", "reset", "neutral", "reset", None, "reset", "flush", "reset"]
    for number, regime in enumerate(regimes):
        day.tick(T0 + number * TICK, 0.0, regime=regime)
    day.minutes(T0 + 2 * MINUTE, 1442)
    # Not the first: what was before it nobody knows. A gap of one tick ends no reset.
    assert [(fall.event, (fall.ts - T0) // TICK) for fall in day.falls] == [("reset", 3), ("reset", 7)]


def test_the_service_clock_s_anchor_may_move() -> None:
    """What is due keeps its distance; the published time stays."""
    day = Day()
    day.tick(T0, 0.0, said(as_of=T0))
    day.minutes(T0 + MINUTE, 700)
    shift = 7 * HOUR
    day.board.reanchor(shift)
    later = T0 + 701 * MINUTE + shift
    day.tick(later, log(0.93), said(as_of=T0 + shift))  # the one held until now, by today's clock: not another one
    day.minutes(later + MINUTE, 738)
    assert day.falls == []
    day.tick(T0 + DAY + shift, 0.0)
    assert [(fall.ts, fall.at, fall.hit_5, fall.hit_10) for fall in day.falls] == [(T0, T0 + DAY + shift, True, False)]


def test_what_was_kept_while_the_clock_was_wrong_is_lost_and_holds_up_nothing() -> None:
    day = Day()
    future = T0 + 400 * DAY
    day.tick(future, -5.0, said(as_of=future))
    found = day.tick(T0, 0.0, said(as_of=T0))
    assert [(fall.ts, fall.fell) for fall in found] == [(future, None)]
    day.minutes(T0 + MINUTE, 1440)
    assert (day.falls[-1].ts, day.falls[-1].fell) == (T0, 0.0)


# -- the whole, recounted ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def three_days() -> Day:
    """Two symbols that move as one, with gaps, hold-ups and minutes without quorum; events now and then."""
    rng = random.Random(5)
    day = Day(("BTC", "ETH"))
    level, volatility, as_of, chance = 0.0, 0.03, None, (0.2, 0.03)
    ts = T0 - TICK
    for number in range(3 * 1440 * 2):
        ts += rng.choice([TICK, 2 * TICK, 5 * TICK, MINUTE])
        if number in (2000, 4500):
            ts += (200 if number == 2000 else 60) * MINUTE
        level += rng.gauss(-1e-5, 1.2e-3) - (0.06 if rng.random() < 5e-4 else 0.0)
        volatility *= 1 + rng.gauss(0, 0.01)
        if as_of is None or ts // MINUTE != as_of // MINUTE:
            as_of, chance = ts, (0.1 + 0.3 * rng.random(), 0.1 * rng.random())
        quorum = number % 997 > 12
        alerts = [
            raised(rng.choice(["elr_spike", "flush", "crowding"]), ts, rng.choice(day.board.symbols),
                   regime=rng.choice(["crowded_longs", "crowded_shorts"]))
            for _ in range(rng.random() < 0.02)
        ]  # fmt: skip
        day.tick(
            ts,
            level if quorum else None,
            said(*chance, as_of=as_of, base=0.15) if quorum and number % 50 else None,
            alerts if quorum else (),
            ("reset" if number % 700 < 30 else "neutral") if quorum else None,
            volatility if number % 50 else None,
            out=rng.random() > 0.02,
        )
        if not quorum or number % 50 == 0:
            as_of = None
    return day


def test_the_ledger_is_what_was_published_and_what_the_levels_were(three_days: Day) -> None:
    """Every outcome straight from the definition, by code that shares nothing with ours (``recount.falls``)."""
    day = three_days
    expected = recount.falls(day.published, day.ticks, MODEL.volatility_alone, MODEL.volatility_edges)
    told = recount.rows_of(day.lines)
    assert verify(day.lines).broken is None
    rest = {"seq", "hash", "prev_hash"}

    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["T"], row["symbol"], row["kind"], row.get("event", "")

    for one, other in zip(sorted(told, key=key), sorted(expected, key=key), strict=True):
        assert {name: value for name, value in one.items() if name not in rest} == other
    assert len(told) > 5000
    assert {row["at"] is None for row in told} == {True, False}
    assert {row.get("event") for row in told} == {None, *EVENTS}
    assert all(0.05 < sum(row[hit] for row in told if row["at"]) / len(told) < 0.95 for hit in ("hit_5", "hit_10"))


def test_the_numbers_are_what_the_ledger_comes_to(three_days: Day) -> None:
    day = three_days
    rows = recount.rows_of(day.lines)
    day.board.falls.renew(1, now=True)
    document = day.board.document(1)
    found, events = document["deleveraging"], document["events"]
    counted = recount.fall_statistics(rows)
    assert found["lost"] == counted["lost"]
    for fall in FALLS:
        of = found["falls"][fall]
        for name, value in counted[fall].items():
            assert of[name] == pytest.approx(value, abs=1e-9), (fall, name)
        known = [row for row in rows if row["kind"] == "deleveraging" and row["at"] is not None]
        pairs = [(row[fall], row[fall.replace("oi", "hit")]) for row in known]
        assert of["auc"] == pytest.approx(recount.area(pairs), abs=0.01)
        assert of["auc_low"] is None  # three days are no eight weeks
        assert sum(part["n"] for part in of["bins"]) == of["n"]
        assert sum(part["n"] * part["happened"] for part in of["bins"]) == pytest.approx(of["n"] * of["happened"])
        for event in EVENTS:
            own = counted[event, fall]
            assert (events[event]["n"], events[event]["lost"]) == (own["n"], own["lost"])
            for name in ("share", "matched", "lift"):
                assert events[event]["falls"][fall][name] == pytest.approx(own[name], abs=1e-9), (event, fall, name)
    symbols = [day.board.of_symbol(symbol) for symbol in day.board.symbols]
    for fall in FALLS:
        assert sum(part["deleveraging"]["falls"][fall]["n"] for part in symbols) == found["falls"][fall]["n"]
    for event in EVENTS:
        assert sum(part["events"][event]["n"] for part in symbols) == events[event]["n"]
    assert [found["falls"][fall]["evidence"] for fall in FALLS] == ["none_yet"] * 2


def test_a_ledger_tells_a_record_that_knows_nothing_all_of_it(three_days: Day) -> None:
    day = three_days
    again = Scoreboard(("BTC", "ETH"))
    for line in day.lines:
        again.told(read_line(line))
    for board in (again, day.board):
        board.falls.renew(1, now=True)
    assert again.body(0)["deleveraging"] == day.board.body(0)["deleveraging"]
    assert again.body(0)["events"] == day.board.body(0)["events"]
    assert [again.of_symbol(symbol) for symbol in again.symbols] == [
        day.board.of_symbol(symbol) for symbol in again.symbols
    ]
    assert again.track_record("ETH") == day.board.track_record("ETH")


def test_a_dump_goes_on_with_what_is_open_and_an_older_one_without() -> None:
    day, other = Day(), Day()
    for number in range(900):
        ts = T0 + number * MINUTE
        day.tick(ts, -0.0001 * number, said(as_of=ts), [raised("flush", ts)] if number == 400 else ())
    plain = orjson.loads(orjson.dumps(day.board.dump()))
    other.board.load(plain)
    assert orjson.loads(orjson.dumps(other.board.dump())) == plain
    for number in range(900, 3000):
        ts = T0 + number * MINUTE
        assert other.tick(ts, -0.0001 * number, said(as_of=ts)) == day.tick(ts, -0.0001 * number, said(as_of=ts))
    assert other.board.dump() == day.board.dump()
    assert other.board.body(0) == day.board.body(0)
    assert other.board.falls.events == day.board.falls.events
    older = orjson.loads(orjson.dumps(Scoreboard(("BTC",)).dump()))
    del older["falls"]
    for name in ("open_falls", "fall_totals"):
        del older["_boards"]["BTC"][name]
    day.board.load(older)
    assert day.board.unread == {}


def packed(values: list[float], kind: str = "d") -> Any:
    made = Numbers()
    made.numbers = array(kind, values)
    return made.dump()["numbers"]


class Numbers(Stateful):
    STATE = ("numbers",)


ROW = [float(T0), T0 / MINUTE, 0.0, 0.0, 3.0, 0.03, 0.2, 0.03, 0.2, 0.03, 0.19, 0.04]
NO_BIN = [*ROW[:4], 15.0, *ROW[5:]]
EARLY = [ROW[0], T0 / MINUTE - 2000, -1990.0, *ROW[3:]]  # more minutes seen than there are levels of
OPEN, TOTALS = ("_boards", "BTC", "open_falls"), ("_boards", "BTC", "fall_totals")
FULL = [1.0] * module._SIZE


@pytest.mark.parametrize(
    ("where", "value", "part"),
    [
        (OPEN, [], "BTC, open_falls"),
        ((*OPEN, "_rows"), packed(ROW[:7]), "BTC, open_falls"),
        ((*OPEN, "_rows"), packed(NO_BIN), "BTC, open_falls"),
        ((*OPEN, "_rows"), packed([*ROW[:4], 97.0, *ROW[5:]]), "BTC, open_falls"),
        ((*OPEN, "_rows"), packed([nan, *ROW[1:]]), "BTC, open_falls"),
        ((*OPEN, "_rows"), packed(EARLY), "BTC, open_falls"),
        ((*OPEN, "_head"), 5, "BTC, open_falls"),
        ((*OPEN, "_head"), None, "BTC, open_falls"),
        ((*OPEN, "_levels"), packed([]), "BTC, open_falls"),
        ((*OPEN, "_newest"), None, "BTC, open_falls"),
        ((*OPEN, "as_of"), "x", "BTC, open_falls"),
        ((*OPEN, "regime"), 4, "BTC, open_falls"),
        ((*TOTALS, "_errors"), packed([1.0]), "BTC, fall_totals"),
        ((*TOTALS, "own_hits"), [1], "BTC, fall_totals"),
        ((*TOTALS, "own_n"), -100, "BTC, fall_totals"),
        (("falls",), [], "falls"),
        (("falls", "_weeks"), {"2900": packed([1.0])}, "falls"),
        (("falls", "_weeks"), {"x": packed(FULL)}, "falls"),
        (("falls", "_weeks"), {"2900": packed([nan, *FULL[1:]])}, "falls"),
        (("falls", "_hour"), None, "falls"),
        (("falls", "summary"), {}, "falls"),
        (("falls", "summary", "deleveraging"), {}, "falls"),
        (("falls", "summary", "deleveraging", "falls", "oi_5", "evidence"), 1.0, "falls"),
    ],
)
def test_a_damaged_part_costs_itself_alone_and_never_a_later_tick(
    where: tuple[str, ...], value: Any, part: str
) -> None:
    """Cause: damage of the weeks threw the whole state away; that of open rows loaded, and ended every start at its
    first tick."""
    day = Day()
    for number in range(1450):
        day.tick(T0 + number * MINUTE, 0.0, said(as_of=T0 + number * MINUTE))
    day.board.tally("BTC", "1m").lost = 7
    was = orjson.loads(orjson.dumps(day.board.dump()))
    plain = orjson.loads(orjson.dumps(was))
    inside = plain
    for name in where[:-1]:
        inside = inside[name]
    inside[where[-1]] = value
    board = Scoreboard(("BTC",))
    board.load(plain)
    assert list(board.unread) == [part]
    now, fresh = board.dump(), Scoreboard(("BTC",)).dump()
    for name in ("open_falls", "fall_totals", "pending", "tallies"):
        expected = fresh if part.endswith(name) else was
        assert now["_boards"]["BTC"][name] == expected["_boards"]["BTC"][name]
    assert now["falls"] == (fresh if part == "falls" else was)["falls"]
    board.mature(T0 + 2 * DAY, [None], [0.0])
    board.document(T0)
    board.of_symbol("BTC")
    board.track_record("BTC")
    orjson.dumps(board.dump())


def test_what_the_ledger_tells_of_a_crash_is_not_told_twice() -> None:
    day = Day()
    for number in range(1500):
        day.tick(T0 + number * MINUTE, -0.0001 * number, said(as_of=T0 + number * MINUTE))
    kept = orjson.loads(orjson.dumps(day.board.dump()))
    later = []
    for number in range(1500, 1503):
        later += day.tick(T0 + number * MINUTE, -0.0001 * number, said(as_of=T0 + number * MINUTE))
    assert len(later) == 3
    made = Day()
    made.board.load(kept)
    for fall in later:
        made.board.told(fall)
    assert made.board.of_symbol("BTC") == day.board.of_symbol("BTC")
    (fall,) = made.tick(T0 + 1503 * MINUTE, -0.1503)
    assert fall.ts == later[-1].ts + MINUTE


# -- the ledger ----------------------------------------------------------------------------------------------------

CLAIM = Fall("BTC", None, T0, T0 + DAY, 0.25, 0.04, 0.19, 0.037, 0.2, 0.03, 0.031, 5, -0.06, True, False)
EVENT = Fall("ETH", "flush", T0, T0 + DAY, None, None, None, None, 0.2, 0.03, 0.031, 5, -0.2, True, True)
BLIND = EVENT._replace(alone_5=None, alone_10=None, volatility_24h=None, volatility_bin=None)
LOST = CLAIM._replace(at=None, fell=None, hit_5=None, hit_10=None)
DIRECTION = Outcome("BTC", "1m", T0, T0 + MINUTE, 0.3, "long", 0.5, 100.0, 101.0, 0.009950330853, True, True, False)


def test_a_chain_may_mix_kinds_and_a_direction_s_line_stays_as_it_was() -> None:
    items = [DIRECTION, CLAIM, EVENT, BLIND, LOST, DIRECTION]
    chain, prev = Chain(), GENESIS
    lines = [written(chain.add(item)) for item in items]
    assert verify(lines).broken is None
    assert [read_line(line) for line in lines] == items
    for number, line in enumerate(lines, 1):  # what a stranger would do
        found = json.loads(line)
        assert (found.pop("prev_hash"), found["seq"]) == (prev, number)
        own = found.pop("hash")
        text = json.dumps(found, sort_keys=True, separators=(",", ":"))
        assert own == sha256((text + prev).encode()).hexdigest()
        prev = own
    assert "kind" not in json.loads(lines[0])
    assert set(json.loads(lines[1])) == {
        "T", "alone_10", "alone_5", "at", "base_rate", "base_rate_10", "fell", "hit_10", "hit_5", "kind", "oi_10",
        "oi_5", "seq", "symbol", "volatility_24h", "volatility_bin", "prev_hash", "hash",
    }  # fmt: skip
    assert set(json.loads(lines[2])) == {
        "T", "alone_10", "alone_5", "at", "event", "fell", "hit_10", "hit_5", "kind", "seq", "symbol",
        "volatility_24h", "volatility_bin", "prev_hash", "hash",
    }  # fmt: skip


def rewritten(item: Fall, **changes: Any) -> bytes:
    """A line with its hash made right again: the liar has the code, too."""
    found = {**json.loads(written(Chain().add(item))), **changes}
    text = canonical({name: value for name, value in found.items() if name not in ("prev_hash", "hash")})
    own = sha256((text + GENESIS).encode()).hexdigest()
    return f'{text[:-1]},"prev_hash":"{GENESIS}","hash":"{own}"}}'.encode()


@pytest.mark.parametrize(
    ("item", "changes", "why"),
    [
        (CLAIM, {"hit_5": False}, "hits do not follow"),
        (CLAIM, {"hit_10": True}, "hits do not follow"),
        (CLAIM, {"hit_10": 0}, "hits do not follow"),
        (CLAIM, {"fell": -0.01}, "hits do not follow"),
        (CLAIM, {"fell": None}, "wrong type"),
        (CLAIM, {"fell": "deep"}, "wrong type"),
        (CLAIM, {"at": None}, "lost, and yet"),
        (CLAIM, {"at": None, "fell": None}, "hits do not follow"),
        (CLAIM, {"oi_10": 0.26}, "likelier than 5 %"),
        (CLAIM, {"oi_5": 1.2}, "out of their range"),
        (CLAIM, {"oi_10": -0.01}, "out of their range"),
        (CLAIM, {"base_rate_10": 0.2}, "likelier than 5 %"),
        (CLAIM, {"alone_10": 0.9}, "likelier than 5 %"),
        (CLAIM, {"alone_5": None}, "wrong type"),
        (CLAIM, {"oi_5": True}, "wrong type"),
        (CLAIM, {"T": 1.5}, "wrong type"),
        (CLAIM, {"T": 10**30}, "wrong type"),  # no state could have held it: every start would have failed
        (CLAIM, {"seq": 10**30}, "wrong type"),
        (CLAIM, {"at": -1}, "wrong type"),
        (CLAIM, {"at": "now"}, "wrong type"),
        (CLAIM, {"symbol": None}, "wrong type"),
        (CLAIM, {"volatility_bin": 10}, "volatility out of its range"),
        (CLAIM, {"volatility_bin": -1}, "volatility out of its range"),
        (CLAIM, {"volatility_bin": None}, "wrong type"),
        (CLAIM, {"volatility_24h": -0.1}, "volatility out of its range"),
        (CLAIM, {"volatility_24h": []}, "wrong type"),
        (CLAIM, {"kind": "event"}, "not the fields"),
        (CLAIM, {"kind": ["deleveraging"]}, "not the fields"),
        (CLAIM, {"kind": "other"}, "not the fields"),
        (CLAIM, {"kind": None}, "not the fields"),
        (EVENT, {"event": "liquidation"}, "unknown event"),
        (EVENT, {"event": ["flush"]}, "unknown event"),
        (EVENT, {"alone_5": 0.01}, "likelier than 5 %"),
        (EVENT, {"volatility_bin": None}, "wrong type"),
        (BLIND, {"volatility_24h": 0}, "wrong type"),
        (BLIND, {"volatility_24h": 0.02}, "wrong type"),
        (BLIND, {"alone_5": 0.3}, "wrong type"),
        (LOST, {"hit_5": False}, "hits do not follow"),
    ],
)
def test_numbers_that_contradict_each_other_are_found_under_a_right_hash(
    item: Fall, changes: dict[str, Any], why: str
) -> None:
    assert verify([rewritten(item)]).broken is None
    checked = verify([rewritten(item, **changes)])
    assert checked.broken == 1
    assert why in checked.why


def test_the_kinds_are_the_fields_of_their_lines() -> None:
    for item, kind in ((CLAIM, "deleveraging"), (EVENT, "event"), (DIRECTION, None)):
        found = json.loads(written(Chain().add(item)))
        assert set(found) == {*KINDS[kind], "prev_hash", "hash"}


# -- what they come to ---------------------------------------------------------------------------------------------


def claim(ts: int, fell: float, **changes: Any) -> Fall:
    hit_5, hit_10 = hits_of(fell)
    return CLAIM._replace(ts=ts, at=ts + DAY, fell=fell, hit_5=hit_5, hit_10=hit_10, **changes)


def test_the_base_rate_is_the_model_s_until_the_symbol_has_outcomes_that_do_not_overlap() -> None:
    totals = FallTotals()
    pooled = (0.19, 0.037)
    assert totals.base_rates(pooled) == pytest.approx(pooled, abs=1e-15)
    for number in range(3 * 24):  # one an hour, three days: three count, at 0 h, 24 h, 48 h
        totals.enter(claim(T0 + number * HOUR, -0.2 if number in (24, 30, 31) else -0.06 if number == 48 else 0.0))
    assert (totals.n, totals.own_n, totals.own_hits) == (72, 3, [2, 1])
    assert totals.base_rates(pooled) == pytest.approx(((100 * 0.19 + 2) / 103, (100 * 0.037 + 1) / 103))
    totals.enter(LOST._replace(ts=T0 + 72 * HOUR))
    totals.enter(claim(T0 + 72 * HOUR + MINUTE, 0.0))  # the lost one took no place
    assert totals.own_n == 4
    totals.enter(claim(T0 - 400 * DAY, 0.0))  # the clock was set back: it goes on
    assert totals.own_n == 5


def filled(weeks: int, model: float, alone: float, base: float = 0.2, seed: int = 1) -> FallRecord:
    """Hours of ``weeks`` weeks; one in five happens. ``model``, ``alone``: how much each of the two knows of it."""
    rng, record = random.Random(seed), FallRecord()
    for number in range(weeks * 168):
        fell = -0.06 if rng.random() < 0.2 else -0.01
        known = (fell < -0.05) - 0.2
        p, v = (0.2 + know * (0.5 * known + 0.5 * (rng.random() - 0.5) * 0.4) for know in (model, alone))
        record.enter(claim(T0 + number * HOUR, fell, oi_5=p, oi_10=p / 9, alone_5=v, alone_10=v / 9, base_rate=base))
    record.renew(0, now=True)
    return record


def test_the_words_become_smaller_by_themselves() -> None:
    assert filled(LEAST_WEEKS - 3, 0.9, 0.1).evidence == ("none_yet", "none_yet")
    assert filled(12, 0.9, 0.3).evidence[0] == "better_than_volatility"
    assert filled(12, 0.3, 0.9).evidence[0] == "no_better_than_volatility"
    assert filled(12, 0.3, 0.3).evidence[0] == "no_better_than_volatility"
    assert filled(12, -0.9, -0.9).evidence[0] == "worse_than_base_rate"
    assert filled(12, -0.9, -0.9).evidence[1] != "worse_than_base_rate"  # each of the two for itself


@pytest.mark.parametrize(
    ("base", "volatility_low", "word"),
    [
        ((0.01, 0.05), 0.01, "better_than_volatility"),
        ((-0.06, 0.01), 0.01, "no_better_than_base_rate"),  # cause: this was called better than volatility alone
        ((0.01, 0.05), 0.0, "no_better_than_volatility"),
        ((-0.06, -0.01), 0.01, "worse_than_base_rate"),
        ((None, None), None, "none_yet"),
    ],
)
def test_praise_needs_both(base: tuple[float | None, float | None], volatility_low: float | None, word: str) -> None:
    low, high = base
    said = {"skill_base_rate_low": low, "skill_base_rate_high": high, "skill_volatility_low": volatility_low}
    assert evidence_of(said) == word


@pytest.mark.parametrize("weeks_of_falls", [0, LEAST_WEEKS - 1, LEAST_WEEKS])
def test_weeks_without_a_fall_prove_nothing(weeks_of_falls: int) -> None:
    """Cause: where no fall of 10 % came in eight calm weeks, the smaller of two probabilities was "better" with a
    narrow interval (skill 0.53 [0.52, 0.53]), and the message said ``better_than_volatility``."""
    rng, record, monday = random.Random(4), FallRecord(), T0 // DAY * DAY + 3 * DAY
    for number in range(12 * 168):
        falls = number // 168 < weeks_of_falls and rng.random() < 0.1
        p = 0.2 if falls else 0.1 + 0.02 * rng.random()
        record.enter(claim(monday + number * HOUR, -0.06 if falls else 0.0, oi_5=p, alone_5=0.15))
    record.renew(0, now=True)
    said = record.summary["deleveraging"]["falls"]["oi_5"]
    expected = "better_than_volatility" if weeks_of_falls == LEAST_WEEKS else "none_yet"
    assert said["evidence"] == expected
    assert all((said[f"{name}_low"] is None) == (expected == "none_yet") for name in ("brier", "skill_volatility"))
    always = FallRecord()
    for number in range(12 * 168):
        always.enter(claim(T0 + number * HOUR, -0.06, oi_5=0.3 + 0.1 * rng.random(), alone_5=0.25))
    always.renew(0, now=True)
    assert always.evidence[0] == "none_yet"


def test_one_symbol_alone_does_not_make_it_better() -> None:
    """Cause: open interest of one symbol out of twenty-one that falls all the time, because its feed is broken, made
    the record of all say ``better_than_volatility``: weeks hold all symbols, and each had that one."""
    rng, record = random.Random(5), FallRecord()
    totals = {number: FallTotals() for number in range(21)}
    for number in range(9 * 84):
        for symbol, own in totals.items():
            alone = 0.1 + 0.15 * rng.random()
            fell = -0.2 if symbol == 0 or rng.random() < alone else 0.0
            p = 0.35 if symbol == 0 else max(0.01, alone + rng.gauss(0, 0.03))
            fall = claim(T0 + number * 2 * HOUR, fell, symbol=str(symbol), oi_5=p, oi_10=0.01, alone_5=alone)
            record.enter(fall)
            own.enter(fall)
    record.renew(0, totals.values(), now=True)
    assert record.summary["deleveraging"]["falls"]["oi_5"]["skill_volatility_low"] > 0.05
    assert record.evidence[0] == "no_better_than_volatility"
    good = filled(12, 0.9, 0.3)
    same = FallTotals()
    same._errors[1:4:2] = good._sorted()[0][3:6:2]
    good._changed = True
    good.renew(0, [same], now=True)  # the only symbol there is
    assert good.evidence[0] == "better_than_volatility"


def test_it_is_summed_up_at_most_once_an_hour_of_ticks() -> None:
    record = FallRecord()
    begin = T0 // HOUR * HOUR
    record.renew(begin)
    assert record.summary["as_of"] is None  # nothing is new
    record.enter(CLAIM)
    record.renew(begin + TICK)
    record.enter(CLAIM)
    record.renew(begin + 50 * MINUTE)
    assert (record.summary["as_of"], record.summary["deleveraging"]["falls"]["oi_5"]["n"]) == (begin + TICK, 1)
    record.renew(begin + HOUR)
    assert (record.summary["as_of"], record.summary["deleveraging"]["falls"]["oi_5"]["n"]) == (begin + HOUR, 2)


def test_the_record_is_bounded_and_the_oldest_week_goes_first() -> None:
    record = FallRecord()
    for week in (*range(1, 530), 0):
        record.enter(claim(T0 + week * 7 * DAY, 0.0))
    assert len(record._weeks) == 520
    record.renew(0, now=True)
    assert record.summary["deleveraging"]["weeks"] == 520
    assert str((T0 // DAY + 3) // 7) not in record._weeks
    assert len(orjson.dumps(record.dump())) < 3_000_000


def test_the_lift_compares_events_with_moments_of_the_same_volatility() -> None:
    """Ten calm moments, one in ten falls; ten wild ones, half of them do. Of four events in wild ones three do."""
    record = FallRecord()
    for number in range(10):
        record.enter(claim(T0 + number * HOUR, -0.06 if number < 1 else 0.0, volatility_bin=1))
        record.enter(claim(T0 + number * HOUR, -0.06 if number < 5 else 0.0, volatility_bin=8))
    for number in range(4):
        record.enter(claim(T0 + number * HOUR, -0.2 if number < 3 else 0.0, volatility_bin=8, event="elr_spike"))
    record.enter(claim(T0, -0.2, volatility_bin=None, event="elr_spike"))
    record.enter(claim(T0, -0.2, volatility_bin=4, event="elr_spike"))  # no moment to compare it with
    record.renew(0, now=True)
    found = record.summary["events"]["elr_spike"]
    five, ten = found["falls"]["oi_5"], found["falls"]["oi_10"]
    assert (found["n"], five["share"], five["matched"], five["lift"]) == (
        6, pytest.approx(5 / 6), 0.5, 1.5
    )  # fmt: skip
    assert (ten["share"], ten["matched"], ten["lift"]) == (
        pytest.approx(5 / 6), 0.0, None
    )  # fmt: skip
    assert record.events["elr_spike"] == (6, pytest.approx(5 / 6), 0.5, 1.5, None, None)


# -- what the intervals are worth ----------------------------------------------------------------------------------


def test_t_and_the_jackknife_of_a_mean() -> None:
    table = {7: 2.364624, 8: 2.306004, 11: 2.200985, 25: 2.059539, 51: 2.007584, 519: 1.964530}
    for freedom, expected in table.items():
        assert t_95(freedom) == pytest.approx(expected, abs=1e-3)
    rng = random.Random(3)
    values = [rng.gauss(1, 2) * (-1) ** number for number in range(12)]  # neighbours differ: nothing is widened
    mean = sum(values) / 12
    without = [(sum(values) - value) / 11 for value in values]
    low, high = jackknife(mean, without, 11)
    error = sqrt(sum((value - mean) ** 2 for value in values) / 11 / 12)
    assert low is not None
    assert high is not None
    assert (high - low) / 2 == pytest.approx(t_95(11) * error)
    ordered = sorted(without)
    wide = jackknife(mean, ordered, 11)
    assert wide[1] is not None
    assert wide[1] - mean > 1.2 * (high - mean)  # they resemble those beside them
    assert jackknife(0.5, [0.5] * 9, 8) == (None, None)
    assert jackknife(0.5, [0.5, 0.4, None], 8) == (None, None)
    assert jackknife(None, [0.5, 0.4], 8) == (None, None)


def test_no_interval_where_nothing_varied() -> None:
    """Cause guarded against: no fall after any of nine flushes would have the interval 0 to 0."""
    record = FallRecord()
    for week in range(9):
        record.enter(claim(T0 + week * 7 * DAY, -0.06 if week % 2 else 0.0))
        record.enter(claim(T0 + week * 7 * DAY, 0.0, event="flush"))
    record.renew(0, now=True)
    found = record.summary["events"]["flush"]["falls"]["oi_5"]
    assert (found["share"], found["share_low"], found["share_high"]) == (0.0, None, None)
    assert (found["lift"], found["lift_low"]) == (0.0, None)


def test_the_simulated_sums_are_those_of_the_record() -> None:
    import numpy as np

    rows = simulated(np.random.default_rng(2), 2, symbols=3)
    record = entered(rows)
    own = [list(week) for week in record._sorted()]
    for one, other in zip(own, sums(rows), strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_the_intervals_hold_the_truth_though_outcomes_overlap_and_symbols_move_together() -> None:
    """As claimed in docs/scoreboard.md, where the table has more records; truth is what hundreds of weeks come to."""
    import numpy as np

    long_run = np.sum([sums(simulated(np.random.default_rng(900 + n), 80, every=6)) for n in range(6)], axis=(0, 1))
    truth = numbers(summed_up([long_run.tolist()]))
    held, naive = dict.fromkeys(truth, 0), 0
    runs = 30
    for seed in range(runs):
        weeks = sums(simulated(np.random.default_rng(seed), 26, every=6))
        found = numbers(summed_up(weeks))
        for name, (value, low, high) in found.items():
            assert value is not None
            held[name] += (low or -inf) <= truth[name][0] <= (high or inf)
        n, happened = np.sum(weeks, axis=0)[[0, 2]]
        share, real = happened / n, long_run[2] / long_run[0]
        naive += abs(share - real) < 1.96 * sqrt(share * (1 - share) / n)
    assert min(held.values()) / runs > 0.8, held
    assert sum(held.values()) / runs / len(held) > 0.9
    assert naive / runs < 0.3  # as if every outcome were one of its own


def numbers(summary: dict[str, Any]) -> dict[str, tuple[Any, Any, Any]]:
    said, spike = (part["falls"]["oi_5"] for part in (summary["deleveraging"], summary["events"]["elr_spike"]))
    found = dict.fromkeys(("brier", "skill_base_rate", "skill_volatility", "auc"), said)
    found |= dict.fromkeys(("share", "matched", "lift"), spike)
    return {name: (part[name], part[f"{name}_low"], part[f"{name}_high"]) for name, part in found.items()}
