"""What is held back keeps its order, whoever sent it, and leaves no trace once it is released."""

from __future__ import annotations

import random

import orjson
import pytest

from service.config import MarketSection
from service.core import holdback
from service.core.engine import Engine
from service.core.holdback import Holdback
from service.model import Confirm, Denominator, Event, Flow, Funding, Mark, OpenInterest
from tests.core.build import T0, both, rules


def mark(ts: int, mark: float | None = 1.0, index: float | None = 1.0) -> Mark:
    return Mark("okx", "BTC-USDT-SWAP", "BTC", mark, index, None, ts)


def supply(coins: float, ts: int = T0) -> Denominator:
    return Denominator("BTC", coins, (), ts, "test", "none")


def popped(held: Holdback, until_ms: int | None = None) -> list[int]:
    found = []
    while (entry := held.pop(until_ms)) is not None:
        found.append(entry[0])
    return found


def test_order_is_that_of_receipt_and_of_arrival_within_it() -> None:
    held = Holdback()
    items = [(5, mark(5)), (7, mark(7)), (5, supply(1.0)), (9, mark(9)), (7, supply(2.0)), (1, supply(3.0))]
    for recv_ts, item in items:
        held.put(recv_ts, item)
    assert [held.pop() for _ in items] == [items[i] for i in (5, 0, 2, 1, 4, 3)]
    assert held.pop() is None


def test_until_is_included_and_one_more_is_not() -> None:
    held = Holdback()
    for ts in (10, 20, 21):
        held.put(ts, mark(ts))
    assert popped(held, 9) == []
    assert popped(held, 20) == [10, 20]
    assert len(held) == 1
    assert held.oldest_ms() == 21


def test_first_is_when_each_stream_spoke_for_itself() -> None:
    held = Holdback()
    events: list[Event] = [
        mark(3, mark=None),
        mark(4, index=None),
        Funding("okx", "BTC-USDT-SWAP", "BTC", 1e-4, 8.0, 1e-4, None, False, None, 5),
        Confirm("bybit", "BTCUSDT", "BTC", ("mark", "oi"), None, 6),
        OpenInterest("okx", "BTC-USDT-SWAP", "BTC", 1.0, 1.0, 1.0, False, None, 7),
        Flow("gate", "BTC_USDT", "BTC", 1.0, 0.0, None, 8),
        mark(9),
    ]
    for event in events:
        held.put(event.recv_ts, event)
    popped(held)
    okx, bybit = ("okx", "BTC-USDT-SWAP"), ("bybit", "BTCUSDT")
    assert held.first == {
        (*okx, "index"): 3, (*okx, "mark"): 4, (*okx, "funding"): 5, (*okx, "oi"): 7,
        (*bybit, "mark"): 6, (*bybit, "oi"): 6,
    }  # fmt: skip


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdback, "MAX_HELD", 4)
    held = Holdback()
    seen = []
    for ts in range(5):
        held.put(ts, mark(ts))
        seen.append((held.half_full, held.full))
    assert seen == [(False, False), (True, False), (True, False), (True, True), (True, True)]


def told(seconds: int, rng: random.Random) -> list[tuple[int, Event | Denominator]]:
    """Events of a market and a denominator now and then, in the order of their receipt."""
    found: list[tuple[int, Event | Denominator]] = []
    for second in range(1, seconds + 1):
        ts = T0 + 1000 * second - rng.choice((0, 1, 500, 999))
        found += [(event.recv_ts, event) for event in both(ts, 100.0 + rng.random(), coins=1000.0 + rng.random())]
        if rng.random() < 0.3:
            found.append((ts, supply(1e6 * (1 + rng.random()), ts)))
    return found


def give(target: Engine, item: tuple[int, Event | Denominator]) -> None:
    if isinstance(item[1], Denominator):
        target.denominate(item[1], item[0])
    else:
        target.apply(item[1])


@pytest.mark.parametrize("seed", range(5))
def test_an_engine_that_held_everything_back_is_the_one_that_never_did(seed: int) -> None:
    """Cold, catching up or being dumped: afterwards ticks and state are, byte for byte, those of one that was not."""
    items = told(47, random.Random(seed))
    straight, cold, slow, dumped = (Engine(["BTC"], rules(), MarketSection(), []) for _ in range(4))
    straight.advance(T0)
    dumped.advance(T0)
    slow.open(T0)
    slices = dumped.snapshot()
    next(slices)
    for number, item in enumerate(items):
        for target in (straight, slow, cold, dumped):
            give(target, item)
        if number % 3 == 0:
            assert slow.holding
            assert slow.release()
    cold.open(T0)
    assert cold.holding
    while slow.release():
        pass
    assert not slow.holding
    slices.close()
    end = T0 + 50_000
    expected = straight.advance(end)
    assert len(expected) == 5
    for target in (slow, cold, dumped):
        assert orjson.dumps(target.advance(end)) == orjson.dumps(expected)
        assert orjson.dumps(target.save()) == orjson.dumps(straight.save())


def test_a_cold_engine_can_be_saved_and_one_that_catches_up_cannot() -> None:
    """Cause: the header of a tape is written before what was held is released, and must not contain it."""
    target = Engine(["BTC"], rules(), MarketSection(), [])
    empty = orjson.dumps(target.save())
    give(target, (T0, mark(T0)))
    assert orjson.dumps(target.save()) == empty
    target.open(T0)
    with pytest.raises(ValueError, match="held back"):
        target.save()
