"""signal.MARKET through the engine: of all symbols, saved and replayed with them, and judged against a month."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, log, sin
from typing import Any

import orjson
import pytest

from service.config import Config, MarketSection, parse
from service.core.build import rules_of
from service.core.engine import Engine
from service.core.month import MarketPast
from service.core.replay import replay
from service.model import MARKET, Event, Funding, Mark, OpenInterest, Past, PastHour, Tick
from service.publishing import body_bytes
from service.tapes import Header, Record
from tests.core.build import T0, VENUES, rules

MINUTE, HOUR = 60_000, 3_600_000
NAMES = ("BTC", "ETH", "SOL")
SIZES = {"BTC": (100.0, 1_000.0), "ETH": (10.0, 5_000.0), "SOL": (1.0, 50_000.0)}  # 2 venues: 200,000, 100,000, 100,000


def events(name: str, ts: int, move: float = 0.0, build: float = 0.0) -> list[Event]:
    price, coins = SIZES[name]
    found: list[Event] = []
    for venue in VENUES:
        found.append(Mark(venue, f"{name}USDT", name, price * exp(move), price * exp(move), None, ts))
        found.append(Funding(venue, f"{name}USDT", name, 1e-4, 8.0, 1e-4, None, False, None, ts))
        held = coins * exp(build)
        found.append(OpenInterest(venue, f"{name}USDT", name, held, 1.0, held, False, None, ts))
    return found


def engine(names: tuple[str, ...] = NAMES) -> Engine:
    return Engine(names, rules(), MarketSection(), [])


def walk(hours: int) -> Iterator[tuple[int, list[Event]]]:
    """It ends where :func:`events` begin without a move."""
    for minute in range(-hours * 60, 1):
        found = list[Event]()
        for number, name in enumerate(NAMES):
            move = 0.01 * sin(minute / (37 + 10 * number)) + 0.003 * sin(minute / (5 + number))
            build = 0.02 * sin(minute / (91 - 20 * number)) + 0.001 * sin(minute / (3 + number))
            found += events(name, T0 + minute * MINUTE, move, build)
        yield T0 + minute * MINUTE, found


@pytest.fixture(scope="module")
def state() -> bytes:
    made = engine()
    for ts, found in walk(26):
        made.backfill(ts, silent=True, events=found)
    return orjson.dumps(made.save())


def warm(state: bytes) -> Engine:
    made = engine()
    made.restore(orjson.loads(state), filling=True)
    made.advance(T0)
    return made


def tick(made: Engine, ts: int, moves: dict[str, tuple[float, float]] | None = None) -> Tick:
    """Everything said again each second up to a tick."""
    for second in range(made.sampled_ms + 1_000, ts + 1, 1_000):
        for name in made.symbols:
            for event in events(name, second, *(moves or {}).get(name, (0.0, 0.0))):
                made.apply(event)
    return made.advance(ts)[-1]


def said(found: Tick) -> dict[str, Any]:
    assert found.market is not None
    return orjson.loads(body_bytes(found.market))  # type: ignore[no-any-return]


def test_what_it_says(state: bytes) -> None:
    made = warm(state)
    found = tick(made, T0 + 10_000)
    body, bodies = said(found), [orjson.loads(body_bytes(item)) for item in found.signals]
    assert (body["symbol"], body["ts"], body["status"], body["reasons"]) == (MARKET, T0 + 10_000, "ok", [])
    held = [item["market"]["oi_usd"] for item in bodies]
    assert body["oi_usd"] == pytest.approx(sum(held))  # integers
    ranks = [item["elr"][0]["percentile"] for item in bodies]
    mean = sum(rank * usd for rank, usd in zip(ranks, held, strict=True)) / sum(held)  # integers
    assert body["leverage_rank"] == pytest.approx(mean, rel=1e-9)
    variance = sum((rank - mean) ** 2 * usd for rank, usd in zip(ranks, held, strict=True)) / sum(held)  # integers
    assert body["dispersion"] == pytest.approx(variance**0.5, rel=1e-9)
    assert body["symbols"] == {"configured": 3, "counted": 3, "provisional": 3}
    assert (body["coverage"], body["provisional"], body["month"]) == (1.0, True, None)
    assert body["level"]["horizon_h"] == 26
    assert 0.0 <= body["level"]["percentile"] <= 1.0
    assert body["volatility_24h"] is not None
    assert body["volatility_24h"] < max(item["volatility_24h"] for item in bodies)  # they do not move together
    assert (body["p_deleveraging"]["reason"], body["p_deleveraging"]["evidence"]) == ("short_rank", "not_judged")
    assert [item["symbol"] for item in found.signals] == list(NAMES)  # it is none of the symbols


def test_it_needs_symbols_with_half_of_the_open_interest(state: bytes) -> None:
    made = warm(state)
    tick(made, T0 + 10_000)
    for second in range(T0 + 11_000, T0 + 100_001, 1_000):  # BTC, half of it, and ETH fall silent
        for event in events("SOL", second):
            made.apply(event)
    body = said(made.advance(T0 + 100_000)[-1])
    assert (body["status"], body["reasons"], body["symbols"]["counted"]) == ("no_data", ["quorum"], 1)
    for name in ("oi_usd", "coverage", "leverage_rank", "dispersion", "fragility", "volatility_24h", "regime"):
        assert body[name] is None, name
    assert set(body["oi_change"].values()) == {None}
    assert set(body["shares"].values()) == {None}
    assert body["p_deleveraging"]["reason"] == "no_quorum"
    back = said(tick(made, T0 + 110_000))
    assert back["status"] != "no_data"
    assert made.market_wide.aggregate.dump()["_ln_oi"] == pytest.approx(
        orjson.loads(state)["engine"]["market_wide"]["aggregate"]["_ln_oi"], abs=0.05
    )


def test_a_state_is_gone_on_from_to_the_same_bytes(state: bytes) -> None:
    made = warm(state)
    tick(made, T0 + 30_000)
    again = engine()
    again.restore(orjson.loads(orjson.dumps(made.save())))
    for ts in range(T0 + 40_000, T0 + 90_001, 10_000):
        assert body_bytes(said(tick(again, ts))) == body_bytes(said(tick(made, ts)))
    assert orjson.dumps(again.save()) == orjson.dumps(made.save())


def test_a_past_without_words_leaves_the_same_state() -> None:
    silent, loud = engine(), engine()
    for ts, found in walk(3):
        silent.backfill(ts, silent=True, events=found)
        loud.backfill(ts, events=found)
    assert silent.market_wide.dump() == loud.market_wide.dump()


def test_other_symbols_are_no_change_of_the_market(state: bytes) -> None:
    """A restart with one symbol less and one more: the index goes on, without a step."""
    made = engine(("ETH", "BTC", "XRP"))
    SIZES["XRP"] = (2.0, 500_000.0)
    made.carry_over(orjson.loads(state)["engine"])
    before = made.market_wide.aggregate.dump()
    assert set(before["_last"]) == {"BTC", "ETH"}
    made.advance(T0)
    tick(made, T0 + 10_000)
    after = made.market_wide.aggregate.dump()
    assert after["_ln_oi"] - before["_ln_oi"] == pytest.approx(0.0, abs=0.05)  # XRP holds 80 %, and came
    del SIZES["XRP"]


def test_symbols_filled_in_apart_are_no_change_of_it(state: bytes) -> None:
    made = warm(state)
    apart = made.apart(["SOL"])
    assert apart.market_wide is not made.market_wide
    dumped = made.market_wide.dump()
    made.adopt(apart)
    assert made.market_wide.dump() == dumped


def test_the_clock_may_be_anchored_anew(state: bytes) -> None:
    made, other = warm(state), warm(state)
    tick(made, T0 + 30_000)
    tick(other, T0 + 30_000)
    made.reanchor(3_600_000)
    ours, theirs = said(tick(made, T0 + 3_640_000)), said(tick(other, T0 + 40_000))
    for name in ("oi_usd", "leverage_rank", "coverage", "level", "status"):
        assert ours[name] == theirs[name], name


def test_a_fall_of_half_of_it_is_one_alert_of_the_market(state: bytes) -> None:
    made, raised = warm(state), []
    for number in range(1, 100):
        deep = min(number, 60) / 60
        moves = dict.fromkeys(("BTC", "ETH"), (-0.05 * deep, -0.12 * deep))
        found = tick(made, T0 + number * 10_000, moves)
        raised += [item for item in found.alerts if item["symbol"] == MARKET]
        if raised:
            break
    [alert] = raised
    assert (alert["alert"], alert["state"], alert["severity"], alert["lasts"]) == (
        "market_flush", "raised", "warning", True,
    )  # fmt: skip
    assert alert["text"].startswith("MARKET: open interest falls across the market")
    assert said(found)["flushing"]
    assert set(alert["values"]) == {"flushing", "oi_change_1h", "falling", "per_day"}
    for later in range(number + 1, number + 120):
        found = tick(made, T0 + later * 10_000, moves)
        if cleared := [item for item in found.alerts if item["symbol"] == MARKET]:
            break
    assert [(item["alert"], item["state"]) for item in cleared] == [("market_flush", "cleared")]


def test_a_muted_alert_of_the_market_is_neither_told_nor_counted(state: bytes) -> None:
    config = parse({"alerts": [{"alert": "market_flush", "mute": True}]})
    made = Engine(NAMES, rules(), MarketSection(), [], alerts=config.alerts)
    made.restore(orjson.loads(state), filling=True)
    made.advance(T0)
    told, flushing = [], False
    for number in range(1, 70):
        deep = min(number, 60) / 60
        found = tick(made, T0 + number * 10_000, dict.fromkeys(("BTC", "ETH"), (-0.05 * deep, -0.12 * deep)))
        told += [item for item in found.alerts if item["symbol"] == MARKET]
        flushing = flushing or said(found)["flushing"]
    assert flushing
    assert told == []
    assert [counts for _, _, counts in made.market_wide.scorer._days] == [{}]  # as with an alert of a symbol


def hours(first: int, rise: float, oi: float = 0.0, price: float = 100.0) -> tuple[PastHour, ...]:
    return tuple(
        PastHour(T0 + hour * HOUR, price * exp(0.001 * hour), oi + rise * hour, 1e-4 * rise / abs(rise), 0.0)
        for hour in range(first, 1)
    )


def test_the_month_of_the_market_is_that_of_its_symbols() -> None:
    made = MarketPast()
    made.add(Past("BTC", hours(-100, 0.001), ("bybit",)), 300.0)
    made.add(Past("ETH", hours(-90, -0.003, 5.0), ("okx",)), 100.0)
    past = made.past(400.0)
    assert past is not None
    assert (past.symbol, past.venues, len(past.hours)) == (MARKET, ("bybit", "okx"), 101)
    last, before = past.hours[-1], past.hours[-2]
    btc, eth = 300 * exp(-0.001 - 0.001), 100 * exp(0.003 - 0.001)  # an hour ago
    assert last.ln_oi - before.ln_oi == pytest.approx((btc * 0.001 - eth * 0.003) / (btc + eth), rel=1e-9)
    assert log(last.price / before.price) == pytest.approx(0.001)
    assert last.funding_8h == pytest.approx(1e-4 * (300 - 100) / 400)
    assert past.hours[5].ln_oi - past.hours[4].ln_oi == pytest.approx(0.001)  # ETH was not there yet: no step


def test_hours_before_a_gap_are_left_out_and_too_few_are_none() -> None:
    made = MarketPast()
    whole = hours(-200, 0.001)
    made.add(Past("BTC", (*whole[:60], *whole[70:]), ("bybit",)), 300.0)
    made.add(Past("ETH", hours(-200, 0.002), ("bybit",)), 100.0)
    past = made.past(400.0)
    assert past is not None
    assert past.hours[0].ts == whole[70].ts  # BTC has most of it
    few = MarketPast()
    few.add(Past("BTC", hours(-60, 0.001), ("bybit",)), 300.0)
    assert few.past(300.0) is None
    assert MarketPast().past(0.0) is None


@pytest.mark.parametrize(("whole", "there"), [(599.0, True), (601.0, False)])
def test_a_month_of_less_than_half_of_the_market_is_none_of_it(whole: float, there: bool) -> None:
    """The symbols without a month are part of the market, too."""
    made = MarketPast()
    made.add(Past("ETH", hours(-100, 0.001), ("okx",)), 300.0)
    assert (made.past(whole) is not None) == there


def test_a_filled_month_ends_its_being_provisional(state: bytes) -> None:
    made = warm(state)
    tick(made, T0 + 10_000)
    past = MarketPast()
    for name in NAMES:
        past.add(Past(name, hours(-31 * 24, 0.0001), VENUES), made.market_wide.aggregate.weights()[name])
    found = past.past(sum(made.market_wide.aggregate.weights().values()))
    assert found is not None
    made.fill(found, T0 + 10_500)
    body = said(tick(made, T0 + 20_000))
    assert (body["provisional"], body["level"]["horizon_h"]) == (False, 720)
    assert body["month"]["venues"] == list(VENUES)
    assert body["p_deleveraging"]["oi_5"] is not None
    assert body["oi_change"]["7d"] is not None


def test_a_replay_says_the_same(state: bytes) -> None:
    config = Config()
    made = Engine(("BTC",), rules_of(config), config.market, [])
    made.advance(T0)
    lines = [Record("p", T0 + 10_000 * number) for number in range(1, 4)]
    plain = {**config.model_dump(mode="json"), "service": {"symbols": ["BTC"], "log_level": "info"}}
    header = Header(T0, "live", "0", True, plain, [], orjson.loads(orjson.dumps(made.save())))
    replayed = [found for _, _, ticks in replay([header, *lines], "a.tape") for found in ticks]
    live = [made.advance(T0 + 10_000 * number)[-1] for number in range(1, 4)]
    assert [said(item) for item in replayed] == [said(item) for item in live]
    assert said(live[-1])["status"] == "no_data"
