"""A save in slices is of one moment, and leaves no trace in the engine, whatever arrives meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.config import Config, MarketSection, WeightsSection
from service.core.engine import Engine
from service.core.snapshot import ITEMS_A_SLICE, MEMBERS_A_SLICE, Slices
from service.indicators import SymbolIndicators
from service.market.symbol_state import SymbolState
from service.metrics import Metrics
from service.model import Confirm, Denominator, Event, Flow, Funding, Liquidation, Mark, OpenInterest, Tick
from service.runtime.saver import Saver
from service.runtime.state_file import StateFile, document, document_in_slices
from service.scoreboard.board import _Board
from service.scoring import Scorer
from tests.core.build import T0, VENUES, rules

SYMBOLS = tuple(f"S{number}" for number in range(7))


def engine(per_symbol: bool = False) -> Engine:
    return Engine(SYMBOLS, rules(), MarketSection(), [], WeightsSection(per_symbol=per_symbol))


def heard(ts: int, rng: random.Random) -> list[Event]:
    """What comes in within a millisecond: every stream, of every symbol and venue, in no order."""
    events: list[Event] = []
    for symbol in SYMBOLS:
        for venue in VENUES:
            price, coins = 100.0 + rng.random(), 1000.0 + rng.random()
            events.append(Mark(venue, symbol, symbol, price, price, None, ts))
            events.append(
                Funding(venue, symbol, symbol, 1e-4 * rng.random(), 8.0, 1e-4 * rng.random(), None, False, None, ts)
            )
            events.append(OpenInterest(venue, symbol, symbol, coins, 1.0, coins, False, None, ts))
            events.append(Flow(venue, symbol, symbol, rng.random(), rng.random(), None, ts))
            events.append(Liquidation(venue, symbol, symbol, "long", rng.random(), price, True, None, ts))
            events.append(Confirm(venue, symbol, symbol, ("mark",), None, ts))
    rng.shuffle(events)
    return events


def lived(target: Engine, seconds: int = 73) -> Engine:
    """Behind a minute's tick, so that outcomes are open and rounds are under way; off the grid of ticks."""
    target.advance(T0)
    rng = random.Random(1)
    for second in range(1, seconds + 1):
        for event in heard(T0 + 1000 * second - 500, rng):
            target.apply(event)
        for tick in target.advance(T0 + 1000 * second):
            target.published(tick)
    return target


def base(symbol: str, ts: int) -> Denominator:
    return Denominator(symbol, 1e6, (("bybit", 5e5),), ts, "file", "own")


class Traffic:
    """The same events, bases and timers for an engine under a cut and for one without, in the same order."""

    def __init__(self, *engines: Engine) -> None:
        self.engines = engines
        self.rng = random.Random(2)
        self.now = T0 + 73_000
        self.ticks: tuple[list[Tick], ...] = tuple([] for _ in engines)

    def go_on(self, ms: int) -> None:
        self.now += ms
        events, item = heard(self.now, self.rng), base(self.rng.choice(SYMBOLS), self.now)
        for target, ticks in zip(self.engines, self.ticks, strict=True):
            for event in events:
                target.apply(event)
            target.denominate(item, self.now)
            for tick in target.advance(self.now):
                ticks.append(tick)
                target.published(tick)


def text_of(engine: Engine) -> bytes:
    return orjson.dumps(engine.save())


@pytest.mark.parametrize("per_symbol", [False, True])
@pytest.mark.parametrize("ms", [1, 40, 170])
def test_a_cut_is_of_one_moment_and_the_engine_goes_on_as_if_there_had_been_none(ms: int, per_symbol: bool) -> None:
    """At 40 ms samples fall due meanwhile, at 170 ms a tick does, so that the rest is dumped at once."""
    target, straight = lived(engine(per_symbol)), lived(engine(per_symbol))
    traffic = Traffic(target, straight)
    at_first = text_of(target)
    pieces, slices = [], 0
    for found in target.snapshot():
        pieces += found
        slices += 1
        traffic.go_on(ms)
    assert slices > 4 * len(SYMBOLS) / MEMBERS_A_SLICE
    assert b"".join(pieces) == at_first
    restored = engine(per_symbol)
    restored.restore(orjson.loads(b"".join(pieces)))
    assert text_of(restored) == at_first

    traffic.now = T0 + 90_000
    traffic.go_on(0)
    assert [tick.ts for tick in traffic.ticks[1]] == [T0 + 80_000, T0 + 90_000]
    assert orjson.dumps(traffic.ticks[0]) == orjson.dumps(traffic.ticks[1])
    assert text_of(target) == text_of(straight)
    assert target.refused == straight.refused


def test_a_restored_cut_goes_on_as_the_engine_did() -> None:
    target = lived(engine())
    text = b"".join(piece for pieces in target.snapshot() for piece in pieces)
    restored = engine()
    restored.restore(orjson.loads(text))
    traffic = Traffic(target, restored)
    for _ in range(50):
        traffic.go_on(700)
    assert len(traffic.ticks[0]) == 3
    assert orjson.dumps(traffic.ticks[0]) == orjson.dumps(traffic.ticks[1])
    assert text_of(target) == text_of(restored)


def test_no_slice_dumps_or_applies_more_than_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cause: the state of all symbols was dumped in one go; the event loop stood still for half a second at 500."""
    target = lived(engine())
    done = {"dumped": 0, "taken": 0}

    def counting(what: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any) -> Any:
            done[what] += 1
            return work(*args)

        return counted

    for kind in (SymbolState, SymbolIndicators, Scorer, _Board):
        monkeypatch.setattr(kind, "dump", counting("dumped", kind.dump))
    monkeypatch.setattr(target, "_take", counting("taken", target._take))
    rng, dumped, taken = random.Random(3), [], []
    for number, _ in enumerate(target.snapshot()):
        dumped.append(done["dumped"])
        taken.append(done["taken"])
        done["dumped"] = done["taken"] = 0
        if number < 12:
            for event in heard(T0 + 73_001 + number, rng):
                target.apply(event)
        assert done["taken"] == 0  # until the dump is complete all of it waits
    assert sum(dumped) == 4 * len(SYMBOLS)
    assert max(dumped) <= MEMBERS_A_SLICE
    assert sum(taken) == 12 * len(heard(0, rng)) > ITEMS_A_SLICE
    assert max(taken) <= ITEMS_A_SLICE


def test_a_tick_is_not_made_to_wait() -> None:
    target, straight = lived(engine()), lived(engine())
    slices = target.snapshot()
    next(slices)
    next(slices)
    assert target.advance(T0 + 79_999) == []  # samples wait
    assert target.sampled_ms == T0 + 73_000
    (tick,) = target.advance(T0 + 80_000)
    (promptly,) = straight.advance(T0 + 80_000)
    assert orjson.dumps(tick) == orjson.dumps(promptly)


def test_a_tick_that_what_waited_has_brought_about_does_not_wait_for_the_rest() -> None:
    """The engine had sampled beyond the tick already, and so it did not look due: it came with the one after it."""
    target, straight = lived(engine()), lived(engine())
    slices = target.snapshot()
    next(slices)
    rng = random.Random(6)
    for number in range(2 * ITEMS_A_SLICE // len(heard(0, rng)) + 1):
        for event in heard(T0 + 80_100 + number, rng):
            target.apply(event)
            straight.apply(event)
    while target.sampled_ms < T0 + 80_000:
        next(slices)
    (tick,) = target.advance(T0 + 80_500)
    (promptly,) = straight.advance(T0 + 80_500)
    assert orjson.dumps(tick) == orjson.dumps(promptly)
    list(slices)
    assert text_of(target) == text_of(straight)


@pytest.mark.parametrize("end", ["tick", "drained", "given up"])
def test_a_defect_in_what_waited_costs_neither_what_is_behind_it_nor_the_tick(
    end: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    target = lived(engine())
    events = heard(T0 + 73_300, random.Random(7))
    taken: list[Event] = []

    def apply(event: Event) -> None:
        if event in (events[3], events[40]):
            raise RuntimeError("a defect")
        taken.append(event)

    slices = target.snapshot()
    next(slices)
    monkeypatch.setattr(target.market, "apply", apply)
    for event in events:
        target.apply(event)
    if end == "tick":
        assert len(target.advance(T0 + 80_000)) == 1
    elif end == "drained":
        list(slices)
    else:
        slices.close()
    assert taken == [event for event in events if event not in (events[3], events[40])]
    assert caplog.text.count("an event that was held back was not taken, a defect of ours") == 2


@pytest.mark.parametrize("shift_ms", [3_600_000, -250])
def test_a_stepped_clock_ends_a_cut_before_anything_is_shifted(shift_ms: int) -> None:
    target, straight = lived(engine()), lived(engine())
    at_first, rng = text_of(target), random.Random(4)
    slices = target.snapshot()
    pieces = [*next(slices), *next(slices)]
    for event in heard(T0 + 73_300, rng):
        target.apply(event)
        straight.apply(event)
    target.reanchor(shift_ms)
    straight.reanchor(shift_ms)
    pieces += [piece for found in slices for piece in found]
    assert b"".join(pieces) == at_first
    assert text_of(target) == text_of(straight)


def test_a_cut_that_is_given_up_leaves_the_engine_going() -> None:
    target, straight = lived(engine()), lived(engine())
    slices = target.snapshot()
    next(slices)
    for event in heard(T0 + 73_300, random.Random(5)):
        target.apply(event)
        straight.apply(event)
    with pytest.raises(ValueError, match="held back"):
        target.save()
    with pytest.raises(ValueError, match="held back"):
        next(target.snapshot())
    slices.close()
    assert text_of(target) == text_of(straight)


def test_what_cannot_be_dumped_costs_the_save_and_not_the_tick_that_had_to_end_it() -> None:
    target, straight = lived(engine()), lived(engine())
    target.market.symbols["S6"].ln_oi_index = float("inf")
    slices = target.snapshot()
    next(slices)
    assert len(target.advance(T0 + 80_000)) == len(straight.advance(T0 + 80_000)) == 1
    with pytest.raises(ValueError, match="cannot dump inf"):
        list(slices)


def test_the_document_in_slices_is_the_document() -> None:
    target, config = lived(engine()), Config()
    pieces = [piece for found in document_in_slices(target, config, T0) for piece in found]
    assert b"".join(pieces) == orjson.dumps(document(target, config, T0))


@pytest.mark.looptime
@pytest.mark.parametrize(("every_s", "apart_s"), [(60.0, 60.0), (5.0, 10.0), (64.0, 60.0)])
async def test_a_save_begins_behind_a_tick_and_others_have_their_turn(
    tmp_path: Path, every_s: float, apart_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    begun: list[int] = []
    turns: list[str] = []

    def now_ms() -> int:
        return T0 + 3_000 + round(loop.time() * 1000)

    def document() -> Slices:
        begun.append(now_ms())
        for _ in range(3):
            loop.call_soon(turns.append, "other")
            turns.append("slice")
            yield []
        yield [b"{}"]

    file = StateFile(tmp_path)
    order: list[str] = []
    write = file.write
    monkeypatch.setattr(file, "write", lambda text: (order.append("state"), write(text)))
    saver = Saver(file, document, Metrics(("okx",), "live", "test"), now_ms, lambda: order.append("ledger"))
    saving = asyncio.create_task(saver.run(every_s))
    while len(begun) < 4:
        await asyncio.sleep(1.0)
    saving.cancel()
    file.close()
    assert {ms % 10_000 for ms in begun} == {1_100}
    assert [later - ms for ms, later in pairwise(begun[:4])] == [apart_s * 1000] * 3
    assert order[:4] == ["ledger", "state"] * 2  # a state on disk never goes further than the ledger there
    assert turns[:6] == ["slice", "other"] * 3
