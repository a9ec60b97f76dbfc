"""Sides of open interest: the checker on cases counted by hand, and the market stage against it, sample by sample."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from msgspec import structs

from service.config import MarketSection
from service.core.backfill import Series, since_last_doubling
from service.market import Market as Engine
from service.model import Consensus, Event, HistoryPoint, OiFigure, OiSides, VenueRules

from .consensus import Sample, take_sample
from .history import since_last_doubling as usable
from .making import T0, S, flow, listing, mark, oi, rules, sides
from .numbers import compare
from .side_worlds import SYMBOLS, SideWorld
from .side_worlds import rules as world_rules
from .streams import Market


class Pair:
    """A checker and a market stage that are told the same. ``differing``: where what they say is not."""

    def __init__(self, symbols: Sequence[str] = ("BTC",), of: Sequence[VenueRules] | None = None) -> None:
        self.symbols, self.rules = symbols, [rules("a"), rules("b"), rules("c")] if of is None else list(of)
        self.checker = Market(symbols, self.rules, MarketSection())
        self.engine = Engine(symbols, self.rules, MarketSection())
        self.before: dict[str, Sample | None] = dict.fromkeys(symbols)
        self.differing: list[str] = []
        self.seen: Counter[str] = Counter()

    def apply(self, *events: Event) -> None:
        for event in events:
            self.checker.apply(event)
            self.engine.apply(event)

    def sample(self, ts: int) -> list[Sample]:
        """What the checker says of each symbol."""
        made = []
        for symbol, said in zip(self.symbols, self.engine.sample(ts, 1), strict=True):
            mine = take_sample(self.checker, symbol, ts, 1, self.before[symbol])
            self.before[symbol] = mine
            self.seen.update(code.split(":")[0] for code in mine.trouble)
            self.differing += [f"{symbol} at {(ts - T0) / S:g} s: {line}" for line in compare(shown(mine), told(said))]
            made.append(mine)
        return made

    def restart(self, without: Sequence[str] = ()) -> None:
        """Another market stage goes on from the stored state, ``without`` some of it."""
        stored = {
            name: json.loads(json.dumps(part)) for name, part in self.engine.dump().items() if name not in without
        }
        self.engine = Engine(self.symbols, self.rules, MarketSection())
        self.engine.load(stored)

    def shift(self, delta_ms: int) -> None:
        self.checker.shift(delta_ms)
        self.engine.reanchor(delta_ms)


def shown(sample: Sample) -> dict[str, object]:
    return {
        "quorum": sample.quorum,
        "oi_coins": sample.oi_coins,
        "ln_oi_index": sample.ln_oi_index,
        "coverage": sample.coverage,
        "trouble": sample.trouble,
        "excluded": [venue for venue in sample.last_oi if venue not in sample.fresh_oi],
        "full_set": sample.full_set,
        "oi_receipts": sample.oi_receipts,
        "fresh_oi": sample.fresh_oi,
        "last_oi": sample.last_oi,
    }


def told(said: Consensus) -> dict[str, object]:
    return {
        "quorum": said.quorum,
        "oi_coins": said.oi_coins,
        "ln_oi_index": said.ln_oi_index,
        "coverage": said.coverage,
        "trouble": list(said.trouble),
        "excluded": list(said.excluded),
        "full_set": said.full_set,
        "oi_receipts": said.oi_receipts,
        "fresh_oi": {view.venue: view.oi_coins for view in said.venues if view.fresh},
        "last_oi": {view.venue: view.oi_coins_last for view in said.venues if view.oi_coins_last > 0},
    }


NAMES = ("P", "Q", "R", "S")


def pair(names: Iterable[str] = NAMES[:3], coins: float = 1000.0) -> Pair:
    """Venues a (with instruments of these names), b and c, all LIVE at T0."""
    made = Pair()
    for name in names:
        made.apply(mark("a", 100.0, T0, name=name), oi("a", coins, T0, name=name))
    for venue in ("b", "c"):
        made.apply(mark(venue, 100.0, T0), oi(venue, 1000.0, T0))
    made.sample(T0)
    return made


def keep(made: Pair, at: int) -> None:
    """Marks of every instrument, and the open interest of b and c, go on."""
    for name in made.checker.books["BTC"]["a"]:
        made.apply(mark("a", 100.0, at, name=name))
    for venue in ("b", "c"):
        made.apply(mark(venue, 100.0, at), oi(venue, 1000.0, at))


def moment(made: Pair, at: int, size: float, before: float, after: float, name: str = "P") -> None:
    """Three seconds: silence, then one trade."""
    made.apply(oi("a", before, at, name=name), oi("a", before, at + S, name=name))
    made.apply(flow("a", size, 0.0, at + 2 * S, name=name), oi("a", after, at + 2 * S, name=name))


def moments(made: Pair, start: int, factors: Sequence[float]) -> list[bool]:
    """After each moment: is a in doubt? A trade of 2 each, one after the other."""
    doubted = []
    for i, factor in enumerate(factors):
        at = start + 3 * i * S
        keep(made, at)
        moment(made, at, 2.0, 1000.0, 1000.0 + 2.0 * factor)
        doubted.append("oi_sides:a" in made.sample(at + 2 * S)[0].trouble)
    return doubted


# measurements


def test_a_figure_that_fits_nothing_takes_the_venue_out_and_a_measurement_brings_it_back() -> None:
    made = pair()
    made.apply(sides("a", None, T0 + S))
    got = made.sample(T0 + S)[0]
    assert (got.trouble, got.oi_coins, got.ln_oi_index, got.coverage) == (["oi_sides:a"], 2000.0, 0.0, 0.4)
    assert not got.full_set
    made.apply(oi("a", 1100.0, T0 + 2 * S, name="P"), sides("a", 1, T0 + 2 * S))
    got = made.sample(T0 + 2 * S)[0]
    assert (got.trouble, got.oi_coins, got.ln_oi_index) == ([], 5100.0, 0.0)
    assert made.differing == []


def test_a_change_of_sides_is_no_step_and_stands_for_an_hour() -> None:
    made = pair()
    made.apply(sides("a", 2, T0 + S))
    got = made.sample(T0 + S)[0]
    assert got.trouble == ["stale:a", "oi_sides_changed:a"]
    assert (got.coverage, got.last_oi["a"]) == (0.4, 3000.0)  # what it last held stays in coverage
    for name in NAMES[:3]:
        made.apply(oi("a", 500.0, T0 + 2 * S, name=name))
    got = made.sample(T0 + 2 * S)[0]
    assert (got.trouble, got.oi_coins, got.ln_oi_index) == (["oi_sides_changed:a"], 3500.0, 0.0)
    keep(made, T0 + 3601 * S)
    made.apply(*(oi("a", 500.0, T0 + 3601 * S, name=name) for name in NAMES[:3]))
    assert made.sample(T0 + 3601 * S)[0].trouble == ["oi_sides_changed:a"]
    assert made.sample(T0 + 3602 * S)[0].trouble == []
    assert made.differing == []


def test_the_doubt_is_told_whatever_the_share_and_not_of_symbols_without_the_venue() -> None:
    made = Pair(("BTC", "ETH"))
    for venue, coins in (("a", 1.0), ("b", 1000.0), ("c", 1000.0)):
        made.apply(mark(venue, 100.0, T0), oi(venue, coins, T0))
    made.apply(sides("a", None, T0))
    assert [sample.trouble for sample in made.sample(T0)] == [["oi_sides:a"], []]
    made.apply(listing("a", T0 + S, trading=False))
    assert made.sample(T0 + S)[0].trouble == []
    assert made.differing == []


# single trades


def test_sixteen_of_twenty_moves_of_twice_the_trade_raise_a_doubt_and_as_many_of_its_size_end_it() -> None:
    made = pair()
    assert moments(made, T0 + S, [2.0, 1.0] * 4 + [2.0] * 12) == [False] * 19 + [True]
    assert moments(made, T0 + 100 * S, [0.0, 0.3] * 5 + [1.0] * 20) == [True] * 29 + [False]
    assert moments(made, T0 + 200 * S, [0.5, -0.5] * 10) == [False] * 19 + [True]
    assert made.differing == []


def test_moves_that_say_nothing_clear_raise_no_doubt() -> None:
    made = pair()
    assert not any(moments(made, T0 + S, [2.0, 1.0, 2.0, 2.0] * 5 + [2.0, 1.0] * 10))  # 40: counted anew
    assert moments(made, T0 + 200 * S, [2.0] * 20) == [False] * 19 + [True]
    assert made.differing == []


def test_a_moment_has_one_trade_after_silence() -> None:
    made = pair()
    for i in range(30):
        at = T0 + 2 * i * S
        keep(made, at)
        made.apply(flow("a", 2.0, 0.0, at), oi("a", 1004.0, at))  # no silence before
        made.apply(flow("a", 2.0, 0.0, at + S), flow("a", 2.0, 0.0, at + S), oi("a", 1000.0, at + S))
        assert made.sample(at + S)[0].trouble == []
    assert made.differing == []


@pytest.mark.parametrize(
    ("start", "trades", "earlier", "doubted_at"),
    [(1000.0, 200, 32, 10), (1000.0, 200, 30, 11), (1000.0, 199, 32, 20), (1002.0, 200, 32, 20), (1004.0, 200, 32, 20)],
)
def test_ten_moves_do_where_fifty_open_interests_were_an_even_number_of_lots(
    start: float, trades: int, earlier: int, doubted_at: int
) -> None:
    """A lot of 4, which 200 trades show. 1000 and 1008 are 250 and 252 lots, 1004 is 251 and 1002 no number of lots.

    Each moment after the first brings two: the tenth comes after 18 and what was ``earlier``.
    """
    made = pair(NAMES[:1], start)
    made.apply(*(flow("a", 4.0 * (1 + i % 2), 0.0, T0) for i in range(trades)))
    for i in range(earlier + 1):
        made.apply(oi("a", start + 8.0 * (i % 2), T0 + i))
    for i in range(20):
        keep(made, T0 + (3 * i + 1) * S)
        moment(made, T0 + (3 * i + 1) * S, 4.0, start, start + 8.0)
        doubted = "oi_sides:a" in made.sample(T0 + (3 * i + 3) * S)[0].trouble
        assert doubted == (i + 1 >= doubted_at)
    assert made.differing == []


# most instruments at once


def step(made: Pair, at: int, coins: float, names: Iterable[str] = NAMES[:3]) -> list[str]:
    keep(made, at)
    made.apply(*(oi("a", coins, at, name=name) for name in names))
    return made.sample(at)[0].trouble


@pytest.mark.parametrize(
    ("listed", "stepping", "factor", "doubted"),
    [
        (3, 3, 2.0, True),
        (3, 2, 2.0, False),
        (4, 3, 0.5, True),
        (2, 2, 2.0, True),
        (2, 1, 2.0, False),
        (1, 1, 2.0, False),
        (3, 3, 2.05, False),
    ],
)
def test_three_instruments_and_half_of_all_step_by_two_at_once(
    listed: int, stepping: int, factor: float, doubted: bool
) -> None:
    made = pair(NAMES[:listed])
    assert ("oi_sides:a" in step(made, T0 + S, 1000.0 * factor, NAMES[:stepping])) == doubted
    assert made.differing == []


def test_a_step_that_was_believed_is_taken_back_by_the_way_back() -> None:
    made = pair()
    assert [step(made, T0 + at * S, 2000.0) for at in (1, 2, 30, 62)] == [["oi_sides:a"]] * 4
    assert [step(made, T0 + at * S, 1000.0) for at in (70, 71, 100, 131)] == [["oi_sides:a"]] * 3 + [[]]
    assert made.before["BTC"] is not None
    assert made.before["BTC"].ln_oi_index == 0.0
    assert made.differing == []


def test_soon_after_a_doubt_over_a_step_there_is_no_other() -> None:
    made = pair()
    step(made, T0 + S, 2000.0)
    made.apply(sides("a", 1, T0 + 2 * S))
    assert [step(made, T0 + at * S, 2000.0) for at in (3, 30, 63)] == [["quarantined:a"], ["quarantined:a"], []]
    assert step(made, T0 + 302 * S, 1000.0) == ["quarantined:a"]
    assert step(made, T0 + 303 * S, 1000.0) == ["oi_sides:a"]
    assert made.differing == []


# a state without the rule


def test_a_stored_state_without_the_rule_is_read_as_a_change_of_gate() -> None:
    two = OiFigure("both", 2, "invented", "documented")
    made = Pair(of=[replace(rules("gate"), oi_figure=two), rules("b"), rules("c")])
    made.checker.sides["gate"].sides = 1  # as it was taken for
    for venue in ("gate", "b", "c"):
        made.apply(mark(venue, 100.0, T0), oi(venue, 1000.0, T0))
    assert made.sample(T0)[0].oi_coins == 3000.0
    made.checker.apply(sides("gate", 2, T0))  # as of the last receipt in the state
    made.restart(without=("sides",))
    for at in (S, 2 * S):
        for venue in ("gate", "b", "c"):
            made.apply(mark(venue, 100.0, T0 + at), *([oi("gate", 500.0, T0 + at)] if at > S else []))
        got = made.sample(T0 + at)[0]
    assert (got.trouble, got.oi_coins, got.ln_oi_index) == (["oi_sides_changed:gate"], 2500.0, 0.0)
    assert made.differing == []


# what ends a doubt, and who takes part


def test_a_measurement_that_confirms_ends_a_doubt_by_single_trades() -> None:
    made = pair()
    assert moments(made, T0 + S, [2.0] * 20)[-1]
    made.apply(sides("a", 1, T0 + 70 * S))
    assert made.sample(T0 + 70 * S)[0].trouble == []
    assert made.differing == []


def test_a_step_that_is_back_before_it_was_believed_leaves_no_doubt() -> None:
    made = pair()
    assert [step(made, T0 + at * S, 2000.0) for at in (1, 11, 21)] == [["oi_sides:a"]] * 3
    assert [step(made, T0 + at * S, 1000.0) for at in (31, 61, 91)] == [["oi_sides:a"]] * 2 + [[]]
    assert made.differing == []


def test_delisted_instruments_are_no_part_of_the_half() -> None:
    made = pair([*NAMES[:3], *(f"old{i}" for i in range(4))])
    made.apply(*(listing("a", T0, trading=False, name=f"old{i}") for i in range(4)))
    assert step(made, T0 + S, 2000.0) == ["oi_sides:a"]
    assert made.differing == []


# seeded markets


@pytest.mark.parametrize("seed", range(8))
def test_the_market_stage_says_what_the_checker_says_of_a_seeded_market(seed: int) -> None:
    """Every 700 s the state is stored and restored, in between the clock is set anew."""
    made = Pair(SYMBOLS, world_rules())
    offset = 0
    for count, (ts, events) in enumerate(SideWorld(seed).seconds(1_600)):
        if count % 700 == 350:
            delta = (7_000, -3_400, 123_456)[seed % 3]
            made.shift(delta)
            offset += delta
        if count % 700 == 699:
            made.restart()
        for event in events:
            if not (isinstance(event, OiSides) and confirms_a_doubt(made.checker, event)):
                made.apply(event_later(event, offset))
        made.sample(-(-(ts + offset) // S) * S)
        assert made.differing == []
    made.seen.update(made.checker.codes)
    missing = {"oi_sides", "quarantined_oi", "sides:trades"} - set(made.seen)
    assert not missing


def confirms_a_doubt(checker: Market, event: OiSides) -> bool:
    """What a test above expects to differ."""
    sides_of = checker.sides[event.venue]
    return event.sides == sides_of.sides and "trades" in sides_of.doubts


def event_later(event: Event, delta_ms: int) -> Event:
    return structs.replace(event, recv_ts=event.recv_ts + delta_ms)


# published history


@pytest.mark.parametrize(
    ("values", "first"),
    [
        ([100.0, 101.0, 102.0], 0),
        ([100.0, 201.0, 202.0], 1),
        ([100.0, 50.0, 100.0, 101.0], 2),
        ([100.0, 191.0, 60.0], 1),
        ([100.0, 189.0, 60.0, 29.0], 3),
        ([100.0, 0.0, 100.0], 0),
        ([100.0, 210.1, 400.0], 2),
        ([100.0], 0),
        ([], 0),
    ],
)
def test_published_history_is_used_from_its_last_step_by_two_on(values: list[float], first: int) -> None:
    points = [HistoryPoint("a", "P", "BTC", "oi", T0 + 60 * S * i, value, None, S) for i, value in enumerate(values)]
    assert usable(list(reversed(points))) == points[first:]
    series = Series()
    for point in points:
        series.add(point)
    assert list(since_last_doubling(series).values) == values[first:]
    assert math.isclose(sum(values[first:]), sum(point.value for point in points[first:]))
