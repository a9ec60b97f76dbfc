"""A change of symbols or venues costs the others nothing: state is loaded by name (docs/start.md)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.config import MarketSection, WeightsSection
from service.core.engine import Engine
from service.market.sides import MEASURED
from service.model import Consensus, Event, Flow, Funding, Mark, OpenInterest, StreamRule, Tick, VenueRules
from service.state import DAMAGE
from tests.core.build import T0

SYMBOLS, VENUES = ("BTC", "ETH", "SOL"), ("a", "b", "c", "d")
MINUTES, SECONDS = 150, 130
HOUR_MS = 3_600_000


def rules(names: Sequence[str]) -> list[VenueRules]:
    return [
        VenueRules(
            venue=name,
            exchange=name,
            mark=StreamRule(15_000, "none"),
            funding=StreamRule(300_000, "none"),
            oi=StreamRule(60_000, "none"),
            index_max_age_ms=15_000,
            funding_cap_8h=0.1,
        )
        for name in names
    ]


def engine_of(symbols: Sequence[str] = SYMBOLS, venues: Sequence[str] = VENUES, per_symbol: bool = False) -> Engine:
    return Engine(symbols, rules(venues), MarketSection(), [], WeightsSection(per_symbol=per_symbol))


def said(symbols: Sequence[str], venues: Sequence[str], ts: int) -> Iterator[Event]:
    """What the venues say of the symbols at ``ts``: each of its own, a function of names and time alone."""
    for venue in venues:
        for symbol in symbols:
            rng = random.Random(f"{venue} {symbol} {ts}")
            base = 100.0 * (1 + len(symbol)) + ord(symbol[0])
            price = base * (1 + 0.002 * ((ts // 1000) % 61) / 61 + rng.uniform(0, 1e-4))
            coins = 1000.0 * (1 + "abcdxy".index(venue)) * (1 + 0.01 * rng.random())
            rate = 1e-4 * rng.uniform(0.5, 1.5)
            yield Mark(venue, f"{symbol}-P", symbol, price, price * 1.0001, None, ts)
            yield Funding(venue, f"{symbol}-P", symbol, rate, 8.0, rate, None, False, None, ts)
            yield OpenInterest(venue, f"{symbol}-P", symbol, coins, 1.0, coins, False, None, ts)
            yield Flow(venue, f"{symbol}-P", symbol, 1.0 + rng.random(), 2.0, None, ts)


def live(engine: Engine, symbols: Sequence[str], venues: Sequence[str], seconds: range) -> list[Tick]:
    """Every tick is published."""
    ticks = []
    for second in seconds:
        ts = T0 + 1000 * second
        for event in said(symbols, venues, ts - 500):
            engine.apply(event)
        for tick in engine.advance(ts):
            engine.published(tick)
            ticks.append(tick)
    return ticks


def lived(symbols: Sequence[str], venues: Sequence[str], heard: Sequence[str], per_symbol: bool = False) -> Engine:
    """Hours of back-filled past, then two minutes live. ``heard``: venues that said anything."""
    engine = engine_of(symbols, venues, per_symbol)
    for minute in range(-MINUTES, 1):
        ts = T0 + minute * 60_000
        engine.backfill(ts, silent=True, events=list(said(symbols, heard, ts)))
    live(engine, symbols, heard, range(1, SECONDS + 1))
    return engine


@cache
def saved(per_symbol: bool = False) -> bytes:
    return orjson.dumps(lived(SYMBOLS, VENUES, VENUES, per_symbol).save())


def stored(per_symbol: bool = False) -> dict[str, Any]:
    plain: dict[str, Any] = orjson.loads(saved(per_symbol))
    return plain


def carried(symbols: Sequence[str], venues: Sequence[str], per_symbol: bool = False) -> Engine:
    engine = engine_of(symbols, venues, per_symbol)
    engine.carry_over(stored(per_symbol)["engine"])
    return engine


sets_of_symbols = st.lists(st.sampled_from([*SYMBOLS, "XRP", "ADA"]), min_size=1, unique=True).filter(
    lambda names: bool(set(names) & set(SYMBOLS))
)
sets_of_venues = st.lists(st.sampled_from([*VENUES, "x", "y"]), min_size=1, unique=True)


@settings(max_examples=40, deadline=None)
@given(sets_of_symbols, sets_of_venues, st.booleans())
def test_what_stays_is_as_it_was(symbols: list[str], venues: list[str], per_symbol: bool) -> None:
    """Cause: one symbol or venue more, less, or in another place threw away every window and percentile of all."""
    before = stored(per_symbol)["engine"]
    engine = engine_of(symbols, venues, per_symbol)
    told = engine.carry_over(stored(per_symbol)["engine"])
    found = orjson.loads(orjson.dumps(engine.dump()))
    fresh = orjson.loads(orjson.dumps(engine_of(symbols, venues, per_symbol).dump()))
    for part in ("indicators", "scorers"):
        assert list(found[part]) == symbols
        assert found[part] == {name: before[part].get(name, fresh[part][name]) for name in symbols}
    boards = before["scoreboard"]["_boards"]
    assert {name: found["scoreboard"]["_boards"][name] for name in boards} == boards  # of those that are gone, too
    assert list(found["scoreboard"]["_boards"])[: len(symbols)] == symbols
    assert (found["scoreboard"]["chain"], found["sampled_ms"]) == (before["scoreboard"]["chain"], before["sampled_ms"])
    assert list(found["market"]["books"]) == symbols
    for name, book in found["market"]["books"].items():
        known = before["market"]["books"].get(name)
        assert list(book["shelves"]) == venues
        for venue, shelf in book["shelves"].items():
            assert shelf == ({"instruments": {}} if known is None else known["shelves"].get(venue, shelf))
        assert book["ln_oi_index"] == (0.0 if known is None else known["ln_oi_index"])
    for part in ("heard", "sides"):
        assert list(found["market"][part]) == venues
        assert {name: found["market"][part][name] for name in venues if name in VENUES} == {
            name: before["market"][part][name] for name in venues if name in VENUES
        }
    hedges = before["learner"]["_hedges"]
    assert {name: hedge for name, hedge in found["learner"]["_hedges"].items() if name in hedges} == {
        name: hedge for name, hedge in hedges.items() if name in found["learner"]["_hedges"]
    }
    assert told.kept == tuple(name for name in symbols if name in SYMBOLS)
    assert told.new == engine.begun_anew == tuple(name for name in symbols if name not in SYMBOLS)
    assert told.gone == tuple(name for name in SYMBOLS if name not in symbols)
    assert told.new_venues == tuple(name for name in venues if name not in VENUES)
    assert told.gone_venues == tuple(name for name in VENUES if name not in venues)
    assert not told.unread
    assert not told.unread_records
    assert told.whole == (set(symbols) == set(SYMBOLS) and set(venues) == set(VENUES))
    again = engine_of(symbols, venues, per_symbol)
    assert again.carry_over(orjson.loads(orjson.dumps(engine.dump()))).gone == ()
    assert orjson.dumps(again.dump()) == orjson.dumps(engine.dump())  # what is saved next is whole


@settings(max_examples=12, deadline=None)
@given(sets_of_symbols)
def test_other_symbols_change_no_byte_of_those_that_stay(symbols: list[str]) -> None:
    straight, engine = carried(SYMBOLS, VENUES), carried(symbols, VENUES)
    after = range(SECONDS + 1, SECONDS + 71)
    expected = live(straight, SYMBOLS, VENUES, after)
    found = live(engine, symbols, VENUES, after)
    for then, now in zip(expected, found, strict=True):
        bodies = {body["symbol"]: orjson.dumps(body) for body in then.signals}
        assert [body["symbol"] for body in now.signals] == symbols
        for body in now.signals:
            if body["symbol"] in bodies:
                assert orjson.dumps(body) == bodies[body["symbol"]]


def plain_of(sample: Consensus) -> dict[str, Any]:
    """Without the chain-linked index, which remembers what other venues did before."""
    plain: dict[str, Any] = orjson.loads(orjson.dumps(sample))
    del plain["ln_oi_index"]
    return plain


@settings(max_examples=12, deadline=None)
@given(sets_of_venues)
def test_the_market_goes_on_as_if_the_venues_had_always_been_these(venues: list[str]) -> None:
    """New venues say nothing before the change in the engine that always had them."""
    known = [name for name in venues if name in VENUES]
    always = lived(SYMBOLS, venues, known)
    engine = carried(SYMBOLS, venues)
    begun = None
    for second in range(SECONDS + 1, SECONDS + 61):
        live(engine, SYMBOLS, venues, range(second, second + 1))
        live(always, SYMBOLS, venues, range(second, second + 1))
        assert [plain_of(item) for item in engine.samples] == [plain_of(item) for item in always.samples]
        apart = [x.ln_oi_index - y.ln_oi_index for x, y in zip(engine.samples, always.samples, strict=True)]
        begun = apart if begun is None else begun
        assert apart == pytest.approx(begun, abs=1e-12)  # the same steps from the first second on


def constant(venues: Sequence[str], coins: dict[str, float], ts: int) -> Iterator[Event]:
    for venue in venues:
        price = 100.0 + 1e-3 * ((ts // 1000) % 7)
        yield Mark(venue, "BTC-P", "BTC", price, price, None, ts)
        yield OpenInterest(venue, "BTC-P", "BTC", coins[venue], 1.0, coins[venue], False, None, ts)


@pytest.mark.parametrize("gap_s", [0, 45, 4000])
def test_no_change_of_venues_is_a_change_of_leverage(gap_s: int) -> None:
    """Cause guarded against: the largest venue taken out of the sums reads as a flush, put in as a build-up; one that
    comes back after a while steps by what it did meanwhile."""
    coins = {"a": 100.0, "b": 50.0, "c": 5000.0, "x": 70_000.0}
    at, plain = T0, None
    for venues in ("abc", "ab", "abcx", "xab", "cab", "acb"):
        engine = engine_of(["BTC"], venues)
        if plain is not None:
            engine.carry_over(plain)
        for _ in range(30):
            at += 1000
            for event in constant(venues, coins, at - 500):
                engine.apply(event)
            engine.advance(at)
            [sample] = engine.samples
            assert (sample.quorum, sample.ln_oi_index) == (True, 0.0)
        assert sample.oi_coins == sum(coins[venue] for venue in venues)
        plain = orjson.loads(orjson.dumps(engine.dump()))
        at += 1000 * gap_s
        if "c" not in venues:
            coins["c"] *= 1.15


@pytest.mark.parametrize("part", ["books", "indicators", "scorers"])
@pytest.mark.parametrize("damage", [None, {}, [], "x", {"sample": 1}, "absent"])
def test_a_symbol_whose_part_is_damaged_begins_anew_and_the_others_stay(part: str, damage: Any) -> None:
    """Cause: one value of one symbol that did not load cost all of them their past."""
    plain = stored()["engine"]
    parts = plain["market"] if part == "books" else plain
    if damage == "absent":
        del parts[part]["ETH"]
    else:
        parts[part]["ETH"] = damage
    engine = engine_of()
    told = engine.carry_over(plain)
    assert (told.kept, tuple(told.unread), told.new) == (("BTC", "SOL"), ("ETH",), ())
    assert engine.begun_anew == ("ETH",)
    found, fresh, before = engine.dump(), engine_of().dump(), stored()["engine"]
    for held, new, was in (
        (found["market"]["books"], fresh["market"]["books"], before["market"]["books"]),
        (found["indicators"], fresh["indicators"], before["indicators"]),
        (found["scorers"], fresh["scorers"], before["scorers"]),
    ):
        assert orjson.dumps(held) == orjson.dumps({name: new[name] if name == "ETH" else was[name] for name in SYMBOLS})
    assert orjson.dumps(found["scoreboard"]) == orjson.dumps(before["scoreboard"])  # what it had said is still due
    [*_, last] = live(engine, SYMBOLS, VENUES, range(SECONDS + 1, SECONDS + 21))
    assert [body["windows"]["1h"]["ready"] for body in last.signals] == [True, False, True]
    with pytest.raises(ValueError, match="damaged"):  # a tape's header says what its run began from, or nothing does
        engine_of().restore({**stored(), "engine": plain})


@pytest.mark.parametrize(("per_symbol", "group"), [(False, "all:1m"), (True, "ETH:1m")])
def test_a_damaged_record_or_damaged_weights_cost_themselves(per_symbol: bool, group: str) -> None:
    plain = stored(per_symbol)["engine"]
    plain["scoreboard"]["_boards"]["ETH"] = {"pending": 1}
    del plain["learner"]["_hedges"][group]["rounds"]
    engine = engine_of(per_symbol=per_symbol)
    told = engine.carry_over(plain)
    assert told.kept == SYMBOLS
    assert list(told.unread_records) == ["the record of ETH", f"what was learned for {group}"]
    before, fresh, found = stored(per_symbol)["engine"], engine_of(per_symbol=per_symbol).dump(), engine.dump()
    boards = before["scoreboard"]["_boards"] | {"ETH": fresh["scoreboard"]["_boards"]["ETH"]}
    assert orjson.dumps(found["scoreboard"]["_boards"]) == orjson.dumps(boards)
    hedges = before["learner"]["_hedges"] | {group: fresh["learner"]["_hedges"][group]}
    assert orjson.dumps(found["learner"]["_hedges"]) == orjson.dumps(hedges)


@pytest.mark.parametrize("without", ["market", "sampled_ms", "indicators", "scorers", "scoreboard"])
def test_a_state_without_one_of_its_parts_is_none(without: str) -> None:
    plain = stored()["engine"]
    del plain[without]
    with pytest.raises(DAMAGE):
        engine_of().carry_over(plain)


def test_a_measured_rule_of_sides_stays_with_its_venue() -> None:
    """Cause guarded against: a venue found to count both sides, taken for one-sided after a change of the others."""
    before = lived(SYMBOLS, VENUES, VENUES)
    before.market.sides["c"].change(2, T0)
    before.market.sides["c"].evidence = MEASURED
    engine = engine_of(["SOL"], ["x", "c"])
    engine.carry_over(before.dump())
    assert engine.market.sides_in_force() == {"x": 1, "c": 2}


# -- symbols that begin anew, filled in apart ----------------------------------------------------------------------


def without_the_market(made: Engine) -> dict[str, Any]:
    """The dump but for the market as a whole, which a symbol that comes later is no past of."""
    return {name: value for name, value in made.dump().items() if name != "market_wide"}


def test_a_symbol_filled_in_apart_is_the_one_of_an_engine_that_always_had_it() -> None:
    """Cause: a new symbol in a restored engine had no past: an hour without windows, a day without statistics."""
    always, engine = engine_of(), engine_of()
    known = ("BTC", "SOL")
    before = engine_of(known)
    for minute in range(-MINUTES, 1):
        ts = T0 + minute * 60_000
        always.backfill(ts, silent=True, events=list(said(SYMBOLS, VENUES, ts)))
        before.backfill(ts, silent=True, events=list(said(known, VENUES, ts)))
    engine.carry_over(orjson.loads(orjson.dumps(before.dump())))
    apart = engine.apart(engine.begun_anew)
    for minute in range(-MINUTES, 1):
        ts = T0 + minute * 60_000
        apart.backfill(ts, silent=True, events=list(said(["ETH"], VENUES, ts)))
    engine.adopt(apart)
    assert orjson.dumps(without_the_market(engine)) == orjson.dumps(without_the_market(always))
    for made in (engine, always):
        ts = T0 + 60_000
        made.backfill(ts, silent=True, events=list(said(SYMBOLS, VENUES, ts)))
    after = range(61, 131)
    ours, theirs = live(engine, SYMBOLS, VENUES, after), live(always, SYMBOLS, VENUES, after)
    assert [tick.signals for tick in ours] == [tick.signals for tick in theirs]
    assert orjson.dumps(without_the_market(engine)) == orjson.dumps(without_the_market(always))
