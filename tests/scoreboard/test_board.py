"""Outcomes by hand: when they mature, when they are lost, which count, and what they come to."""

from __future__ import annotations

from itertools import pairwise
from math import log

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.scoreboard import HORIZONS, Outcome, Scoreboard, Tally
from service.scoreboard.outcome import short
from service.scoreboard.tally import RING, entry, reliability
from tests.scoreboard.build import HOUR, MINUTE, T0, TICK, Market, signal

LENGTH = dict(HORIZONS)


def test_each_horizon_is_judged_after_its_own_time() -> None:
    market = Market()
    market.tick(T0, signal(100.0, 0.4, "long", m1=(0.3, "long"), m5=(-0.2, "short"), h1=(0.05, "neutral")))
    assert market.tick(T0 + MINUTE - 1, None, 107.0) == []
    (first,) = market.tick(T0 + MINUTE, None, 101.0)
    assert (first.horizon, first.score, first.direction) == ("1m", 0.3, "long")
    assert (first.ts, first.at, first.price_then, first.price_at) == (T0, T0 + MINUTE, 100.0, 101.0)
    assert first.ret == pytest.approx(log(1.01), rel=1e-9)
    assert first.hit is True
    (second,) = market.tick(T0 + 5 * MINUTE, None, 102.0)
    assert (second.horizon, second.direction, second.hit) == ("5m", "short", False)
    third, fourth = market.tick(T0 + HOUR, None, 99.0)
    assert (third.horizon, third.direction, third.hit) == ("1h", "neutral", None)  # it claimed no direction
    assert (fourth.horizon, fourth.score, fourth.hit) == ("composite", 0.4, False)
    assert fourth.ret == pytest.approx(log(0.99), rel=1e-9)


@pytest.mark.parametrize(("late_ms", "lost"), [(0, False), (60_000, False), (60_001, True)])
def test_a_price_more_than_a_minute_late_is_none(late_ms: int, lost: bool) -> None:
    market = Market()
    market.tick(T0, signal(m1=(0.3, "long"), score=None))
    market.tick(T0 + MINUTE, None, None)  # due, no price
    assert market.outcomes == []
    (outcome,) = market.tick(T0 + MINUTE + late_ms, None, 101.0)
    assert (outcome.ret is None) is lost
    assert (outcome.at, outcome.price_at, outcome.hit) == (
        (None, None, None) if lost else (T0 + MINUTE + late_ms, 101.0, True)
    )
    tally = market.board.tally("BTC", "1m")
    assert (tally.matured, tally.lost, tally.n, tally.hits) == ((0, 1, 0, 0) if lost else (1, 0, 1, 1))


def test_without_any_price_it_is_lost_a_minute_later_and_not_before() -> None:
    market = Market()
    market.tick(T0, signal(m1=(0.3, "long"), score=None))
    assert market.tick(T0 + 2 * MINUTE, None, None) == []
    (outcome,) = market.tick(T0 + 2 * MINUTE + TICK, None, None)
    assert outcome.ret is None


def test_what_claims_nothing_has_no_outcome() -> None:
    market = Market()
    market.tick(T0, signal(None, 0.4, "long", m1=(0.3, "long")))  # no price to compare with
    market.tick(T0 + TICK, signal(100.0, None, "neutral"))  # no score
    market.tick(T0 + 2 * HOUR, None, 101.0)
    assert market.outcomes == []


def test_a_tick_that_was_not_published_has_no_outcome_but_its_price_counts() -> None:
    market = Market()
    market.tick(T0, signal(100.0, m1=(0.3, "long"), score=None))
    market.tick(T0 + MINUTE, None, 103.0)
    market.tick(T0 + 2 * MINUTE, None, 105.0)
    assert [(item.ts, item.price_at) for item in market.outcomes] == [(T0, 103.0)]


def test_a_return_of_zero_is_no_hit_and_no_miss() -> None:
    market = Market()
    market.tick(T0, signal(100.0, m1=(0.3, "long"), score=None))
    (outcome,) = market.tick(T0 + MINUTE, None, 100.0)
    assert (outcome.ret, outcome.hit) == (0.0, None)
    tally = market.board.tally("BTC", "1m")
    assert (tally.matured, tally.n, tally.entered) == (1, 0, 1)  # the rank correlation knows it


def test_statistics_count_outcomes_that_do_not_overlap() -> None:
    """Every tick has an outcome; of the 1m ones that begin at 0, 10, ... 180 s those at 0, 60, 120, 180 count."""
    market = Market()
    for second in range(0, 250, 10):
        body = signal(100.0 + second, None, "neutral", m1=(0.3, "long")) if second <= 180 else None
        market.tick(T0 + second * 1000, body, 100.0 + second)
    assert len(market.outcomes) == 19
    assert [(item.ts - T0) // 1000 for item in market.outcomes if item.in_hit] == [0, 60, 120, 180]
    tally = market.board.tally("BTC", "1m")
    assert (tally.matured, tally.n, tally.hits, tally.ic_n) == (19, 4, 4, 4)


def test_hit_statistics_wait_for_a_direction_and_the_correlation_does_not() -> None:
    market = Market()
    market.tick(T0, signal(100.0, None, m1=(0.05, "neutral")))
    market.tick(T0 + TICK, signal(100.0, None, m1=(0.2, "long")))
    market.tick(T0 + MINUTE, None, 101.0)
    market.tick(T0 + MINUTE + TICK, None, 101.0)
    assert [(item.in_hit, item.in_ic) for item in market.outcomes] == [(False, True), (True, False)]


def test_hand_computed_statistics() -> None:
    """Four composites, an hour apart: long +1 %, long -1 %, short -2 %, long +3 %; said 0.5, 0.6, 0.7, 0.55."""
    market = Market()
    price = 100.0
    for number, (score, direction, p_hit, factor) in enumerate(
        [(0.4, "long", 0.5, 1.01), (0.3, "long", 0.6, 0.99), (-0.5, "short", 0.7, 0.98), (0.2, "long", 0.55, 1.03)]
    ):
        market.tick(T0 + number * HOUR, signal(price, score, direction, p_hit=p_hit))
        price *= factor
    market.tick(T0 + 4 * HOUR, None, price)
    said = market.board.of_symbol("BTC")["horizons"]["composite"]
    assert (said["n"], said["hit"], said["n_effective"], said["matured"], said["lost"]) == (4, 0.75, 4.0, 4, 0)
    assert (round(said["hit_low"], 4), round(said["hit_high"], 4)) == (0.3006, 0.9544)
    assert said["brier"] == pytest.approx((0.25 + 0.36 + 0.09 + 0.2025) / 4, abs=1e-12)
    assert said["brier_climatology"] == 0.1875
    # scores rank 3 2 0 1, returns 2 1 0 3: 1 - 6 * (1 + 1 + 0 + 4) / 60
    assert said["ic"] == pytest.approx(0.4, abs=1e-12)
    assert said["ic_se"] == pytest.approx(3**-0.5, abs=1e-12)
    assert said["p_hit"] == pytest.approx(0.5 + 4 / 404 * 0.25, abs=1e-15)
    assert said["bins"] == [
        {"low": 0.475, "high": 0.525, "n": 1, "p_hit": 0.5, "hit": 1.0},
        {"low": 0.525, "high": 0.575, "n": 1, "p_hit": 0.55, "hit": 1.0},
        {"low": 0.575, "high": 0.625, "n": 1, "p_hit": 0.6, "hit": 0.0},
        {"low": 0.675, "high": 0.725, "n": 1, "p_hit": 0.7, "hit": 1.0},
    ]
    assert market.board.numbers()[3] == (
        "BTC", "composite", 0.75, said["ic"], said["ic_se"], said["brier"], 4, 4.0, 4, 4, 0
    )  # fmt: skip
    assert market.board.numbers()[0] == ("BTC", "1m", None, None, None, None, 0, None, 0, 0, 0)


def outcome(score: float, ret: float, hit: bool | None = True, p_hit: float = 0.5) -> Outcome:
    return Outcome("BTC", "1m", T0, T0 + MINUTE, score, "long", p_hit, 100.0, 101.0, ret, hit, True, True)


def filled(hits: int, misses: int, phase: int = 0) -> Tally:
    tally = Tally(phase)
    for number in range(hits + misses):
        tally.enter(outcome(0.1 + number * 1e-4, 1e-3 * (-1) ** number, number < hits))
    return tally


def test_an_empty_record_is_undefined_not_zero() -> None:
    said = entry([Tally()])
    names = ("hit", "hit_low", "hit_high", "ic", "ic_se", "brier", "brier_climatology")
    assert {name: said[name] for name in names} == dict.fromkeys(names)
    assert (said["n"], said["n_effective"], said["ic_n"], said["matured"]) == (0, 0.0, 0, 0)
    assert reliability([Tally()]) == []
    assert entry([Tally(), Tally()])["hit"] is None


def test_pooling_symbols_makes_nothing_more_certain_than_its_parts_could() -> None:
    """Twins: the same outcomes twice are no more evidence than once."""
    one, twin = filled(60, 40), filled(60, 40)
    alone, both = entry([one]), entry([one, twin])
    assert (both["n"], both["hit"]) == (200, 0.6)
    assert both["n_effective"] == pytest.approx(100.0)
    assert both["hit_low"] == pytest.approx(alone["hit_low"])
    assert both["ic"] == pytest.approx(alone["ic"])
    assert both["ic_se"] == pytest.approx(alone["ic_se"])
    mixed = entry([one, filled(3, 1)])
    assert mixed["n_effective"] == pytest.approx(104**2 / (10 + 2) ** 2)
    assert mixed["hit"] == pytest.approx(63 / 104)


def test_the_ring_forgets_the_oldest_and_stays_bounded() -> None:
    tally = Tally()
    for number in range(RING):
        tally.enter(outcome(number / RING, -number * 1e-6))
    assert tally.ic == -1.0
    for number in range(RING):
        tally.enter(outcome(number / RING, number * 1e-6))
    assert (tally.ic, tally.ic_n, tally.n) == (1.0, RING, 2 * RING)
    assert len(tally._scores) == RING


def test_the_correlation_is_at_most_two_hundredths_of_the_ring_behind() -> None:
    tally = Tally(phase=7)
    for number in range(2 * RING):
        tally.enter(outcome(number / RING, number * 1e-6))
        assert len(tally._scores) - tally.ic_n <= 2 * (len(tally._scores) // 100)


def test_pending_outcomes_are_bounded() -> None:
    market = Market()
    for number in range(2000):
        market.tick(
            T0 + number * TICK, signal(100.0 + number % 7, m1=(0.3, "long"), m5=(0.1, "long"), h1=(0.2, "long"))
        )
    size = len(market.board._boards["BTC"].pending._rows)
    assert size <= 15 * (360 + 64 + 2)


# -- properties ----------------------------------------------------------------------------------------------------

moves = st.lists(
    st.tuples(
        st.sampled_from([TICK, TICK, TICK, MINUTE, 3 * MINUTE, 40 * MINUTE]),
        st.one_of(st.none(), st.floats(90, 110)),
        st.one_of(st.none(), st.floats(-1, 1)),
        st.booleans(),
    ),
    max_size=80,
)


def side(score: float | None) -> str:
    return "neutral" if score is None or abs(score) < 0.1 else ("long" if score > 0 else "short")


def play(market: Market, steps: list[tuple[int, float | None, float | None, bool]], ts: int = T0) -> int:
    for step, price, score, published in steps:
        ts += step
        said = (score, side(score))
        body = signal(price, *said, m1=said, m5=said, h1=said)
        market.tick(ts, body if published else None, price)
    return ts


@settings(max_examples=60, deadline=None)
@given(moves)
def test_counted_outcomes_never_overlap_and_every_signal_is_settled_once(
    steps: list[tuple[int, float | None, float | None, bool]],
) -> None:
    market = Market()
    end = play(market, steps)
    market.tick(end + 2 * HOUR, None, None)
    ts, expected = T0, set()
    for step, price, score, published in steps:
        ts += step
        if published and price is not None and score is not None:
            expected |= {(name, ts) for name, _ in HORIZONS}
    assert {(item.horizon, item.ts) for item in market.outcomes} == expected
    assert len(market.outcomes) == len(expected)
    for name, length in HORIZONS:
        for flag in ("in_hit", "in_ic"):
            counted = [item for item in market.outcomes if item.horizon == name and getattr(item, flag)]
            for before, after in pairwise(counted):
                assert after.ts >= (before.at if before.at is not None else before.ts + length)
    for item in market.outcomes:
        if item.at is not None:
            assert LENGTH[item.horizon] <= item.at - item.ts <= LENGTH[item.horizon] + 60_000
            assert item.price_at is not None
            assert item.ret == short(log(item.price_at / item.price_then))


@settings(max_examples=40, deadline=None)
@given(moves, moves)
def test_dump_and_load_go_on_exactly(
    before: list[tuple[int, float | None, float | None, bool]],
    after: list[tuple[int, float | None, float | None, bool]],
) -> None:
    straight = Market()
    ts = play(straight, before)
    other = Market()
    other.board.load(orjson.loads(orjson.dumps(straight.board.dump())))
    straight.lines.clear()
    play(straight, after, ts)
    play(other, after, ts)
    assert other.lines == straight.lines
    assert other.board.dump() == straight.board.dump()
    assert other.board.document(ts) == straight.board.document(ts)


@pytest.mark.parametrize("shift_ms", [3_600_000, -3_600_000, 7_777])
def test_a_reanchor_changes_no_age_and_no_published_time(shift_ms: int) -> None:
    market = Market()
    market.tick(T0, signal(100.0, None, m1=(0.3, "long")))
    market.board.reanchor(shift_ms)
    shifted = round(shift_ms / 1000) * 1000
    assert market.tick(T0 + MINUTE + shifted - 1, None, 101.0) == []
    (outcome,) = market.tick(T0 + MINUTE + shifted, None, 101.0)
    assert (outcome.ts, outcome.at) == (T0, T0 + MINUTE + shifted)


def test_symbols_are_kept_apart() -> None:
    market = Market(Scoreboard(("BTC", "ETH")))
    board = market.board
    board.take(T0, [signal(100.0, None, m1=(0.3, "long")), signal(50.0, None, symbol="ETH", m1=(-0.3, "short"))])
    first, second = board.mature(T0 + MINUTE, [101.0, 51.0])
    assert (first.symbol, first.hit, second.symbol, second.hit) == ("BTC", True, "ETH", False)
    body = board.body(T0 + MINUTE)
    assert body["horizons"]["1m"]["n"] == 2
    assert body["horizons"]["1m"]["hit"] == 0.5
    assert body["since"] == T0
    assert body["ledger"] == {"seq": 2, "hash": board.chain.hash, "kept": True}


def test_what_was_open_when_the_clock_was_wrong_holds_up_nothing() -> None:
    """Cause: a record from the future, kept over a restart, would have let nothing mature until its time had come."""
    market = Market()
    market.tick(T0 + 10**10, signal(100.0, None, m1=(0.3, "long")))
    market.tick(T0, signal(100.0, None, m1=(0.3, "long")))
    (lost,) = market.outcomes
    assert (lost.ts, lost.ret) == (T0 + 10**10, None)
    (outcome,) = market.tick(T0 + MINUTE, None, 101.0)
    assert (outcome.ts, outcome.hit, outcome.in_hit) == (T0, True, True)
