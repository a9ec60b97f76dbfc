from __future__ import annotations

from collections import Counter

import pytest

from service.config import DEFAULT_SYMBOLS
from service.model import LongShortKind
from service.simulation.market import HOUR_MS, MarketModel
from service.simulation.quotes import Quote, Trade
from tests.simulation.build import START_MS

KINDS: tuple[LongShortKind, ...] = ("account", "position", "top_account", "top_position")


def model_at(minutes: float, symbols: tuple[str, ...] = ("BTC", "ETH", "SOL"), seed: int = 4) -> MarketModel:
    """So many minutes after a demo's start: the first symbol cascades from the second on and flushes from the third."""
    model = MarketModel(seed, symbols, START_MS - 5 * HOUR_MS)
    model.stage(START_MS)
    model.step(START_MS + round(minutes * 60_000))
    return model


def seconds_of(model: MarketModel, quote: Quote, count: int) -> list[tuple[Trade, ...]]:
    result = []
    for _ in range(count):
        model.step(model.now_ms + 1000)
        result.append(quote.trades())
    return result


def test_a_trade_is_whole_lots_near_the_mark_within_the_last_second() -> None:
    model = model_at(0, DEFAULT_SYMBOLS)
    model.step(model.now_ms + 1000)
    traded = 0
    for quote in model.quotes():
        item, trades = quote.instrument, quote.trades()
        lot = 10.0**-item.oi_digits
        for trade in trades:
            assert trade.contracts == round(trade.contracts, item.oi_digits) >= lot
            assert trade.price == pytest.approx(quote.mark, rel=2e-4)
            assert model.now_ms - 1000 < trade.ts < model.now_ms
        assert [trade.ts for trade in trades] == sorted(trade.ts for trade in trades)
        assert len({trade.number for trade in trades}) == len(trades)
        traded += len(trades)
    assert traded > len(model.quotes())


def test_trades_do_not_depend_on_who_asks_and_how_often() -> None:
    one, other = model_at(3), model_at(3)
    asked = one.quotes("okx")[0]
    seen = []
    for _ in range(20):
        one.step(one.now_ms + 1000)
        assert asked.trades() is asked.trades()
        seen.append(asked.trades())
    for _ in range(19):
        other.step(other.now_ms + 1000)
    other.step(other.now_ms + 1000)
    assert other.quotes("okx")[0].trades() == seen[-1]
    numbers = [trade.number for trades in seen for trade in trades]
    assert numbers == sorted(set(numbers))
    assert list(asked.recent)[-len(seen[-1]) :] == list(seen[-1])
    assert len(asked.recent) <= 50


def test_a_days_turnover_is_of_the_order_of_the_open_interest() -> None:
    model = model_at(-170, ("BTC", "ETH"))
    quote = model.quotes("binance_usdm")[0]
    coins = sum(trade.contracts for trades in seconds_of(model, quote, 1200) for trade in trades)
    assert 0.5 < coins * 72 / quote.contracts < 8


def test_takers_sell_and_longs_are_liquidated_in_a_flush() -> None:
    calm, flush = model_at(-60), model_at(3)
    for model, sells in ((calm, False), (flush, True)):
        bought = sold = 0.0
        sides = Counter[str]()
        for _ in range(150):
            model.step(model.now_ms + 1000)
            for quote in model.state("BTC").quotes:
                flow = quote.flow_coins()
                bought, sold = bought + flow[0], sold + flow[1]
                for trade in quote.liquidations():
                    assert trade.taker == ("sell" if trade.liquidated == "long" else "buy")
                    sides[trade.liquidated or ""] += 1
        imbalance = (bought - sold) / (bought + sold)
        if sells:
            assert imbalance < -0.15
            assert sides["long"] > 500
            assert sides["short"] == 0
        else:
            assert imbalance > -0.15
            assert 0 < sum(sides.values()) < 60


def test_what_is_liquidated_in_a_flush_is_part_of_what_open_interest_loses() -> None:
    model = model_at(3)
    quotes = model.state("BTC").quotes
    before = sum(quote.coins for quote in quotes)
    forced = 0.0
    for _ in range(180):
        model.step(model.now_ms + 1000)
        for quote in quotes:
            forced += sum(trade.contracts * quote.coins_each(trade.price) for trade in quote.liquidations())
    lost = before - sum(quote.coins for quote in quotes)
    assert 0.05 < forced / lost < 0.9


def test_liquidations_come_in_clusters() -> None:
    model = model_at(3)
    quotes = model.state("BTC").quotes
    counts = []
    for _ in range(180):
        model.step(model.now_ms + 1000)
        counts.append(sum(len(quote.liquidations()) for quote in quotes))
    mean = sum(counts) / len(counts)
    variance = sum((count - mean) ** 2 for count in counts) / len(counts)
    assert variance > 2.5 * mean  # equal for independent ones


def test_a_crowd_of_longs_is_seen_in_every_share() -> None:
    calm, crowded = model_at(-175), model_at(1)
    for kind in KINDS:
        before, after = (model.quotes("okx")[0].long_share(kind) for model in (calm, crowded))
        assert 0.05 <= before < after <= 0.95
    shorts = model_at(11).state("ETH").quotes[0]
    assert shorts.long_share("account") < 0.5


def test_shares_move_every_five_minutes_only() -> None:
    model = model_at(1)
    quote = model.quotes("okx")[0]
    shares: dict[int, set[float]] = {}
    for _ in range(60):
        model.step(model.now_ms + 15_000)
        shares.setdefault(model.now_ms // 300_000, set()).add(quote.long_share("account"))
    assert {len(each) for each in shares.values()} == {1}
    assert len(set().union(*shares.values())) > 1


def test_a_quanto_contract_moves_with_bitcoin() -> None:
    model = model_at(0)
    [quanto] = [quote for quote in model.quotes("bitmex") if quote.instrument.unit == "quanto"]
    [bitcoin] = [quote for quote in model.quotes("bitmex") if quote.instrument.name == "XBTUSD"]
    assert quanto.contract_coins == pytest.approx(1e-6 * bitcoin.index)
    assert quanto.coins_each(quanto.mark * 2) == quanto.contract_coins
