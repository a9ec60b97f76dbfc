"""BitMEX: trades without prints and partials, liquidation orders as the most they ever were, settled rates."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.model import Flow, HistoryPoint, Liquidation, Listing, Skipped
from service.venues.bitmex.venue import Bitmex
from service.venues.contract import Catalog, Decoder
from service.venues.trades import ORDERS_KEPT
from tests.venues.extras import check_only_what_is_wanted, check_plans, requests_of
from tests.venues.frames import T0, decode, left_out, load, reasons, told

VENUE = Bitmex()
NAME = "bitmex"
ORDER = "00000000-0000-4000-8000-000000000001"
AT = 1763719202608


def informed(catalog: Catalog | None = None) -> Decoder:
    decoder = VENUE.decoder(catalog or Catalog())
    decode(decoder, load(NAME, "http_get_instrument_active"), context="instruments")
    return decoder


def orders(action: str, **fields: Any) -> dict[str, Any]:
    return {"table": "liquidation", "action": action, "data": [{"orderID": ORDER, "symbol": "XBTUSD", **fields}]}


def trades(**changes: Any) -> dict[str, Any]:
    """One trade of XBTUSD, 1,600 dollars sold at 80,000; None removes a field."""
    row = {**json.loads(load(NAME, "ws_trade"))["data"][1], **changes}
    row = {key: value for key, value in row.items() if value is not None}
    return {"table": "trade", "action": "insert", "data": [row]}


def long_of(coins: float, price: float) -> Liquidation:
    return Liquidation(NAME, "XBTUSD", "BTC", "long", coins, price, False, None, T0)


def listings(count: int) -> list[Listing]:
    return [Listing(NAME, f"C{n}USDT", f"C{n}", False, 0.01, 1.0, 8.0, True, T0) for n in range(count)]


# -- taker flow ----------------------------------------------------------------------------------------------------


def test_trades_of_a_frame_by_instrument() -> None:
    """Dollars at the trade's own price; of the quanto contract the coins that the venue says; no index print."""
    assert told(decode(informed(), load(NAME, "ws_trade"))) == [
        Flow(NAME, "XBTUSD", "BTC", 900 * (1 / 80000), 0.02, AT + 2, T0),
        Flow(NAME, "ETHUSD", "ETH", 0.0, 2.4, AT + 4, T0),
    ]


def test_linear_trades_are_in_coins() -> None:
    assert decode(informed(), trades(symbol="DOTUSDT", size=500, price=1.25)) == [
        Flow(NAME, "DOTUSDT", "DOT", 0.0, 5.0, AT + 2, T0)
    ]
    bonk = trades(symbol="100BONKUSDT", size=3000, price=0.0024, side="Buy")
    assert decode(informed(), bonk) == [Flow(NAME, "100BONKUSDT", "1000BONK", 0.3, 0.0, AT + 2, T0)]


def test_old_trades_of_a_partial_are_no_news() -> None:
    decoder = informed()
    assert decode(decoder, load(NAME, "ws_trade_partial")) == []
    assert decode(decoder, {**trades(), "action": "update"}) == []
    assert len(decode(decoder, trades())) == 1


def test_two_sockets_with_the_same_trades_count_them_once() -> None:
    catalog = Catalog()
    assert len(told(decode(informed(catalog), load(NAME, "ws_trade")))) == 2
    assert told(decode(informed(catalog), load(NAME, "ws_trade"))) == []


@pytest.mark.parametrize("kind", ["Referential", "Settlement", "Funding"])
def test_other_prints_are_left_out(kind: str) -> None:
    assert decode(informed(), trades(trdType=kind, side=None)) == []
    assert decode(informed(), trades(size=0)) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"side": None}, "missing_field"),
        ({"side": "Hold"}, "unknown_shape"),
        ({"size": -1}, "out_of_bounds"),
        ({"price": "1e999"}, "out_of_bounds"),
        ({"timestamp": "now"}, "bad_number"),
        ({"trdMatchID": None}, "missing_field"),
        ({"symbol": "ETHUSD", "homeNotional": None}, "missing_field"),
    ],
)
def test_a_bad_trade_costs_itself(changes: dict[str, Any], reason: str) -> None:
    frame = trades(**changes)
    frame["data"] += trades(trdMatchID="x")["data"]
    found = decode(informed(), frame)
    assert reasons(found) == [reason]
    assert found[1] == Flow(NAME, "XBTUSD", "BTC", 0.0, 0.02, AT + 2, T0)


@pytest.mark.parametrize("name", ["XBTZ25", "XBT_USDT", ".BXBT", "XBTEUR"])
def test_trades_of_foreign_products_are_silent(name: str) -> None:
    assert left_out(decode(informed(), trades(symbol=name)))


# -- liquidations --------------------------------------------------------------------------------------------------


def test_an_order_counts_once_and_then_by_its_growth() -> None:
    """1,600 dollars at 80,000, then 750 more at 75,000: not the sum of what its rows say."""
    decoder = informed()
    assert decode(decoder, load(NAME, "ws_liquidation")) == [long_of(0.02, 80000.0)]
    assert decode(decoder, load(NAME, "ws_liquidation_update")) == [long_of(0.01, 75000.0)]
    assert decode(decoder, load(NAME, "ws_liquidation_delete")) == []
    assert decode(decoder, load(NAME, "ws_liquidation_update")) == []


def test_shrinking_and_growing_back_is_no_growth() -> None:
    decoder = informed()
    decode(decoder, load(NAME, "ws_liquidation"))
    for contracts in (900, 1600, 0):
        assert decode(decoder, orders("update", leavesQty=contracts)) == []
    assert decode(decoder, orders("update", price=64000.0)) == []
    assert decode(decoder, orders("update", leavesQty=2240)) == [long_of(0.01, 64000.0)]
    assert decode(decoder, orders("update", leavesQty=None, price=None)) == []


def test_an_order_that_was_there_before_us_counts_from_its_next_growth_on() -> None:
    decoder = informed()
    assert decode(decoder, load(NAME, "ws_liquidation_partial")) == []
    key = "00000000-0000-4000-8000-000000000009"
    growth = {"table": "liquidation", "action": "update", "data": [{"orderID": key, "leavesQty": 4100}]}
    assert decode(decoder, growth) == [Liquidation(NAME, "DOTUSDT", "DOT", "short", 1.0, 1.25, False, None, T0)]


def test_two_sockets_with_the_same_order_count_it_once() -> None:
    catalog = Catalog()
    one, other = informed(catalog), informed(catalog)
    assert len(decode(one, load(NAME, "ws_liquidation"))) == 1
    assert decode(other, load(NAME, "ws_liquidation")) == []
    assert len(decode(other, load(NAME, "ws_liquidation_update"))) == 1
    assert decode(one, load(NAME, "ws_liquidation_update")) == []


def test_quanto_orders_have_no_number_of_coins_here() -> None:
    frame = orders("insert", symbol="ETHUSD", side="Buy", price=3000.5, leavesQty=40)
    assert decode(informed(), frame) == [Skipped(NAME, "ETHUSD", "unknown_contract_size")]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"side": "Sell", "price": 80000}, "missing_field"),
        ({"side": "Sell", "leavesQty": 5}, "missing_field"),
        ({"side": "?", "leavesQty": 5, "price": 80000}, "unknown_shape"),
        ({"side": "Sell", "leavesQty": -5, "price": 80000}, "out_of_bounds"),
        ({"orderID": None, "side": "Sell", "leavesQty": 5, "price": 80000}, "wrong_type"),
    ],
)
def test_a_bad_order_costs_itself(fields: dict[str, Any], reason: str) -> None:
    frame = orders("insert", **fields)
    frame["data"].append({**json.loads(load(NAME, "ws_liquidation"))["data"][0], "orderID": "other"})
    found = decode(informed(), frame)
    assert reasons(found) == [reason]
    assert found[1:] == [long_of(0.02, 80000.0)]


def test_foreign_orders_are_silent() -> None:
    assert left_out(decode(informed(), orders("insert", symbol="XBTZ25", side="Sell", price=80000, leavesQty=5)))


def test_what_was_told_is_forgotten_in_the_end() -> None:
    """Memory stays bounded, and the newest orders are those remembered."""
    catalog = Catalog()
    decoder = informed(catalog)
    row = json.loads(load(NAME, "ws_liquidation"))["data"][0]
    rows = [{**row, "orderID": f"{number}"} for number in range(ORDERS_KEPT + 5)]
    assert len(decode(decoder, {"table": "liquidation", "action": "insert", "data": rows})) == len(rows)
    assert len(catalog.liquidated) == ORDERS_KEPT
    again = {"table": "liquidation", "action": "insert", "data": rows[-1:]}
    assert decode(VENUE.decoder(catalog), again) == []


# -- history -------------------------------------------------------------------------------------------------------


def test_settled_rates_of_the_past() -> None:
    answer = load(NAME, "http_get_funding")
    found = decode(informed(), answer, context="history:funding:DOTUSDT")
    assert found == [
        HistoryPoint(NAME, "DOTUSDT", "DOT", "funding", 1763697600000, 0.00007, 8.0, 10 * 3_600_000),
        HistoryPoint(NAME, "DOTUSDT", "DOT", "funding", 1763668800000, -0.00006, 4.0, 5 * 3_600_000),
    ]
    assert len(decode(informed(), answer, 1763697599999, "history:funding:DOTUSDT")) == 1
    broken = [{**json.loads(answer)[0], "fundingRate": 2}]
    assert reasons(decode(informed(), broken, context="history:funding:DOTUSDT")) == ["out_of_bounds"]
    assert reasons(decode(informed(), answer, context="history:funding:XBTUSD")) == ["bad_name", "bad_name"]


def test_history_is_settled_rates_only() -> None:
    """The venue publishes neither past mark prices nor past open interest."""
    (request,) = requests_of(VENUE, listings(1)[0])
    assert request.url == "https://www.bitmex.com/api/v1/funding?symbol=C0USDT&count=100&reverse=true"
    assert request.context == "history:funding:C0USDT"


# -- plans ---------------------------------------------------------------------------------------------------------


def test_plans_for_500_listings_keep_the_limits() -> None:
    names = check_plans(VENUE, listings(500))
    assert names[3:] == ["liquidation-extra-1", "trade-extra-1", "trade-extra-2", "trade-extra-3"]
    check_only_what_is_wanted(VENUE, listings(60), {"flow": "trade-extra", "liquidation": "liquidation-extra"})
    assert VENUE.polls(VENUE.endpoints, listings(3), 10.0, ("long_short", "positions")) == []


def test_all_liquidations_in_one_topic_and_trades_one_by_one() -> None:
    plans = VENUE.connections(VENUE.endpoints, listings(2), ("flow", "liquidation"))
    assert [[json.loads(text) for text in plan.frames] for plan in plans[1:]] == [
        [{"op": "subscribe", "args": ["liquidation"]}],
        [{"op": "subscribe", "args": ["trade:C0USDT"]}, {"op": "subscribe", "args": ["trade:C1USDT"]}],
    ]
    assert all(plan.url == "wss://ws.bitmex.com/realtime" for plan in plans)
    assert all(plan.keepalive is not None and plan.keepalive.text == "ping" for plan in plans)


def test_a_quanto_order_counts_through_the_price_of_bitcoin() -> None:
    """40 contracts of 100 satoshi for each dollar of ETH: 40 * 1e-6 bitcoin of 80,000 dollars a dollar, so 3.2 ETH.
    Cause: rows of this table say no coins, so that no quanto liquidation ever counted."""
    catalog = Catalog()
    decoder = informed(catalog)
    catalog.marks["XBTUSD"] = 80_000.0
    frame = orders("insert", symbol="ETHUSD", side="Buy", price=3000.5, leavesQty=40)
    (found,) = decode(decoder, frame)
    assert found == Liquidation(NAME, "ETHUSD", "ETH", "short", pytest.approx(3.2), 3000.5, False, None, T0)  # type: ignore[arg-type]
