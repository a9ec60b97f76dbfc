from __future__ import annotations

import copy
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from math import log
from pathlib import Path

import pytest

from service.config import DEFAULT_SYMBOLS
from service.simulation.instruments import VENUES
from service.simulation.market import HOUR_MS, MarketModel
from tests.simulation.build import START_MS, SYMBOLS

DIGEST = """
import hashlib
from service.simulation.market import MarketModel
model = MarketModel(9, {symbols!r}, {start})
model.stage({start} + 3_600_000)
seen = hashlib.sha256()
minutes = range({start} + 60_000, {start} + 3_600_000, 60_000)
seconds = range({start} + 3_601_000, {start} + 3_660_000, 1000)
for ts in [*minutes, *seconds]:
    model.step(ts)
    for q in model.quotes():
        seen.update(repr((q.instrument.name, q.mark, q.index, q.rate, q.next_ts, q.contracts, q.trades())).encode())
print(seen.hexdigest())
"""


def run(seed: int, symbols: tuple[str, ...], hours: float, step_ms: int = 60_000) -> Iterator[MarketModel]:
    model = MarketModel(seed, symbols, START_MS)
    for ts in range(START_MS + step_ms, START_MS + int(hours * HOUR_MS) + 1, step_ms):
        model.step(ts)
        yield model


def digest(seed: int, symbols: tuple[str, ...] = SYMBOLS) -> str:
    seen = hashlib.sha256()
    for model in run(seed, symbols, 1):
        seen.update(repr([(q.mark, q.index, q.rate, q.contracts) for q in model.quotes()]).encode())
    return seen.hexdigest()


def test_the_same_seed_gives_the_same_market_and_another_does_not() -> None:
    assert digest(9) == digest(9) != digest(10)


def test_the_hash_seed_does_not_matter(repository: Path) -> None:
    code = DIGEST.format(symbols=SYMBOLS, start=START_MS)
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, cwd=repository,
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("0", "1", "random")
    ]  # fmt: skip
    assert len(outputs[0]) == 65
    assert outputs[0] == outputs[1] == outputs[2]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_day_stays_within_what_real_markets_do(seed: int) -> None:
    model = MarketModel(seed, DEFAULT_SYMBOLS, START_MS)
    start = {state.symbol: state.levels.price for state in model.states}
    before = [quote.contracts for quote in model.quotes()]
    met: set[str] = set()
    rates = []
    for minute in range(1, 26 * 60 + 1):
        phases = {symbol: model.phase(symbol).phase.name for symbol in DEFAULT_SYMBOLS}
        met.update(phases.values())
        model.step(START_MS + minute * 60_000)
        for index, quote in enumerate(model.quotes()):
            item = quote.instrument
            change = abs(quote.contracts / before[index] - 1)
            assert change < (0.12 if phases[item.symbol] in ("flush", "cascade") else 0.05), item
            before[index] = quote.contracts
            assert abs(quote.price / start[item.symbol] - 1) < 0.45
            assert abs(quote.rate) <= item.cap
            assert 0 <= quote.next_ts - model.now_ms <= item.interval_h * HOUR_MS
            rates.append(quote.rate * 8 / item.interval_h)
        for state in model.states:
            prices = [quote.price for quote in state.quotes]
            assert max(prices) / min(prices) - 1 < 0.004  # a few bps apart, far under the 2 % of the quarantine
            indices = [quote.index / quote.instrument.multiplier for quote in state.quotes]
            assert max(indices) / min(indices) - 1 < 0.0005
    assert met == {"calm", "build_up", "crowding", "cascade", "flush", "reset"}
    assert min(rates) < -0.0002
    assert max(rates) > 0.0003


def test_crowding_drives_premium_and_funding() -> None:
    model = MarketModel(4, ("BTC", "ETH"), START_MS)
    live = START_MS + 6 * HOUR_MS
    model.stage(live)
    model.step(live - 180 * 60_000)
    calm = {quote.instrument.name: quote.rate for quote in model.quotes("binance_usdm")}
    model.step(live - 60_000)
    crowded = {quote.instrument.name: quote for quote in model.quotes("binance_usdm")}
    assert model.state("BTC").crowd > 0.7
    assert model.state("ETH").crowd < -0.7
    assert crowded["BTCUSDT"].mark > crowded["BTCUSDT"].index
    assert crowded["ETHUSDT"].mark < crowded["ETHUSDT"].index
    assert crowded["BTCUSDT"].rate > calm["BTCUSDT"] + 3e-5
    assert crowded["ETHUSDT"].rate < calm["ETHUSDT"] - 1e-4


@pytest.mark.parametrize("seed", range(6))
def test_soon_after_a_staged_start_the_first_symbol_flushes(seed: int) -> None:
    model = MarketModel(seed, ("BTC", "ETH", "SOL"), START_MS)
    live = START_MS + 4 * HOUR_MS
    model.stage(live)
    model.step(live + 120_000)
    price = model.quotes("okx")[0].mark
    coins = sum(quote.coins for quote in model.state("BTC").quotes)
    worst = 0.0
    for second in range(1, 241):
        before = [quote.contracts for quote in model.quotes()]
        model.step(live + 120_000 + second * 1000)
        worst = max(worst, *(abs(q.contracts / b - 1) for q, b in zip(model.quotes(), before, strict=True)))
    assert log(sum(quote.coins for quote in model.state("BTC").quotes) / coins) < -0.05
    assert log(model.quotes("okx")[0].mark / price) < -0.012
    assert worst < 0.01
    assert model.phase("BTC").phase.name == "reset"


def test_volatility_is_clustered() -> None:
    squares = []
    price = 0.0
    for model in run(3, ("BTC", "ETH"), 40):
        now = model.state("ETH").log_price
        if price != 0.0:
            squares.append((now - price) ** 2)
        price = now
    mean = sum(squares) / len(squares)
    spread = sum((x - mean) ** 2 for x in squares)
    lagged = sum((a - mean) * (b - mean) for a, b in zip(squares, squares[5:], strict=False))
    assert lagged / spread > 0.05  # zero for constant volatility; standard error 0.02


def test_a_step_back_is_refused_and_a_long_one_is_walked_in_minutes() -> None:
    one, many = MarketModel(3, SYMBOLS, START_MS), MarketModel(3, SYMBOLS, START_MS)
    one.step(START_MS + 30 * 60_000)
    for minute in range(1, 31):
        many.step(START_MS + minute * 60_000)
    assert [quote.mark for quote in one.quotes()] == [quote.mark for quote in many.quotes()]
    with pytest.raises(ValueError, match="past"):
        one.step(START_MS)


def test_odd_steps_do_not_grow_memory() -> None:
    model = MarketModel(3, ("BTC",), START_MS)
    for extra in range(1, 200):
        model.step(model.now_ms + 1000 + extra)
    assert len(model._coefficients) <= 64


def test_hyperliquids_oracle_and_mark_move_every_three_seconds() -> None:
    model = MarketModel(3, ("BTC",), START_MS)
    moved = []
    for second in range(1, 31):
        [quote] = model.quotes("hyperliquid")
        before = (quote.mark, quote.index)
        model.step(START_MS + second * 1000)
        moved.append(before != (quote.mark, quote.index))
    assert [index + 1 for index, each in enumerate(moved) if each and (index + 1) % 3 != 0] == []
    assert sum(moved) >= 8


def test_binances_settlement_second_still_carries_the_old_time() -> None:
    settlement = -(-START_MS // (8 * HOUR_MS)) * 8 * HOUR_MS
    model = MarketModel(3, ("BTC",), settlement - 60_000)
    binance, okx = model.quotes("binance_usdm")[0], model.quotes("okx")[0]
    model.step(settlement)
    assert (binance.next_ts, okx.next_ts) == (settlement, settlement + 8 * HOUR_MS)
    model.step(settlement + 1000)
    assert binance.next_ts == settlement + 8 * HOUR_MS


def test_inverse_contracts_are_counted_in_dollars() -> None:
    model = MarketModel(3, ("BTC",), START_MS)
    [inverse] = [quote for quote in model.quotes("okx") if quote.instrument.inverse]
    assert inverse.contract_coins == 100.0 / inverse.mark
    assert inverse.coins == pytest.approx(inverse.contracts * 100.0 / inverse.mark, rel=1e-12)


def test_an_unknown_symbol_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        MarketModel(3, ("BTC",), START_MS).state("ETH")


def test_a_venue_is_the_same_whichever_others_are_simulated() -> None:
    """Instruments once drew from one generator in turn, so that leaving a venue out changed all after it."""
    seen = []
    for venues in (VENUES, ("gate", "okx"), ("okx",)):
        model = MarketModel(7, ("BTC", "SOL"), START_MS, venues)
        model.stage(START_MS)
        model.step(START_MS + HOUR_MS)
        model.step(START_MS + HOUR_MS + 1000)
        assert model.venues == tuple(venue for venue in VENUES if venue in venues)
        seen.append([(q.mark, q.index, q.rate, q.contracts, q.trades(), q.settlements) for q in model.quotes("okx")])
    assert seen[0] == seen[1] == seen[2]


def test_funding_is_settled_at_each_venues_own_time() -> None:
    begin = START_MS // (24 * HOUR_MS) * 24 * HOUR_MS + 1000
    model = MarketModel(3, ("BTC",), begin)
    rates: dict[str, float] = {}
    for minute in range(1, 25 * 60):
        for quote in model.quotes():
            rates[quote.instrument.name] = quote.rate
        model.step(begin + minute * 60_000)
    hours = {
        quote.instrument.venue: [ts // HOUR_MS % 24 for ts, _ in quote.settlements if ts > begin]
        for quote in model.quotes()
    }
    assert hours["okx"] == hours["binance_usdm"] == hours["gate"] == [8, 16, 0]
    assert hours["bitmex"] == [4, 12, 20]
    assert hours["dydx"] == [*range(1, 24), 0]
    for quote in model.quotes():
        assert quote.next_ts > model.now_ms
        times, interval_ms = [ts for ts, _ in quote.settlements], quote.instrument.interval_h * HOUR_MS
        assert {later - earlier for earlier, later in pairwise(times)} == {interval_ms}  # with the month before
        assert begin - 31 * 24 * HOUR_MS - interval_ms < times[0] <= begin - 31 * 24 * HOUR_MS + interval_ms
        assert all(abs(rate) <= quote.instrument.cap for _, rate in quote.settlements)


def test_a_rate_in_force_is_fixed_for_its_interval_and_then_charged() -> None:
    model = MarketModel(3, ("BTC",), START_MS, ("kraken_futures", "okx"))
    kraken, okx = model.quotes("kraken_futures")[0], model.quotes("okx")[0]
    settlement = kraken.next_ts
    told = set()
    while model.now_ms < settlement - 60_000:
        model.step(model.now_ms + 60_000)
        told.add(kraken.told_rate)
    assert len(told) == 1
    [in_force] = told
    model.step(settlement)
    assert kraken.settlements[-1] == (settlement, in_force)
    assert kraken.told_rate != in_force
    assert okx.told_rate == okx.rate


def test_dydx_margins_by_its_oracle() -> None:
    model = MarketModel(3, ("BTC",), START_MS)
    model.step(START_MS + HOUR_MS)
    [quote] = model.quotes("dydx")
    assert quote.mark == quote.index
    assert quote.premium != 0.0


def test_every_minute_is_on_record_however_late_the_steps() -> None:
    model = MarketModel(3, ("BTC",), START_MS + 30_000)
    for step_ms in (1000, 29_000, 61_500, 500, 58_000, 180_000):
        model.step(model.now_ms + step_ms)
    quote = model.quotes()[0]
    minutes = [point.ts for point in quote.past.points(0, model.now_ms)]
    assert minutes == list(range(START_MS + 60_000, model.now_ms + 1, 60_000))
    whole = MarketModel(3, ("BTC",), START_MS)
    assert [point.ts for point in whole.quotes()[0].past.points(0, START_MS)] == [START_MS]


def test_a_copy_of_a_market_goes_its_own_way() -> None:
    """Cause: a quote kept its generator's method, which a deep copy shares: two runs of a seed threw the same dice."""
    first = MarketModel(5, SYMBOLS, START_MS)
    second = copy.deepcopy(first)
    for model in (first, second):
        for minute in range(1, 4):
            model.step(START_MS + minute * 60_000)
    assert [(quote.mark, quote.contracts) for quote in first.quotes()] == [
        (quote.mark, quote.contracts) for quote in second.quotes()
    ]
