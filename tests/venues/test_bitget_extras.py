"""Bitget: taker flow without the snapshot, positions liquidated in quote coins, ratios by context, published past."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from service.model import EXTRA_STREAMS, Control, Decoded, Flow, HistoryPoint, Liquidation, Listing, LongShort, Skipped
from service.venues.bitget.venue import Bitget
from service.venues.contract import Catalog, Decoder
from tests.venues.extras import NOW, check_only_what_is_wanted, check_plans, check_polls, points, requests_of
from tests.venues.frames import T0, decode, left_out, load, reasons, told

VENUE = Bitget()
NAME = "bitget"


def informed() -> Decoder:
    decoder = VENUE.decoder(Catalog())
    for product in ("usdt", "coin", "usdc"):
        answer = load(NAME, f"http_get_contracts_{product}")
        decode(decoder, answer, context=f"contracts:{product.upper()}-FUTURES")
    return decoder


def frame(name: str, **changes: Any) -> dict[str, Any]:
    """A fixture with fields of its first row changed."""
    document: dict[str, Any] = json.loads(load(NAME, name))
    document["data"][0].update(changes)
    return document


def listings(count: int) -> list[Listing]:
    usdt = [Listing(NAME, f"C{n}USDT", f"C{n}", False, 1.0, 1.0, 8.0, True, T0) for n in range(count - 2)]
    coin = Listing(NAME, "BTCUSD", "BTC", True, None, 1.0, 8.0, True, T0)
    return [*usdt, coin, Listing(NAME, "BTCPERP", "BTC", False, 1.0, 1.0, 8.0, True, T0)]


# -- taker flow ----------------------------------------------------------------------------------------------------


def test_trades_of_a_frame_are_one_flow() -> None:
    assert decode(informed(), load(NAME, "ws_trade")) == [Flow(NAME, "ETHUSDT", "ETH", 1.5, 0.75, 1763719200610, T0)]


def test_v3_trades_in_the_canonical_unit() -> None:
    assert decode(informed(), load(NAME, "ws_v3_public_trade")) == [
        Flow(NAME, "PEPEUSDT", "1000PEPE", 250.0, 0.0, 1763719200620, T0)
    ]


def test_coin_margined_sizes_are_coins() -> None:
    text = load(NAME, "ws_trade").replace("USDT-FUTURES", "COIN-FUTURES").replace("ETHUSDT", "BTCUSD")
    (flow,) = decode(informed(), text)
    assert isinstance(flow, Flow)
    assert (flow.symbol, flow.taker_buy_coins, flow.taker_sell_coins) == ("BTC", 1.5, 0.75)


def test_the_snapshot_after_each_reconnect_adds_nothing() -> None:
    decoder = informed()
    assert decode(decoder, load(NAME, "ws_trade_snapshot")) == []
    assert len(decode(decoder, load(NAME, "ws_trade"))) == 1


def test_two_sockets_with_the_same_trades_count_them_once() -> None:
    """While one socket takes over from another both bring the same trades."""
    catalog = Catalog()
    assert len(decode(VENUE.decoder(catalog), load(NAME, "ws_trade"))) == 1
    assert decode(VENUE.decoder(catalog), load(NAME, "ws_trade")) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"side": "both"}, "unknown_shape"),
        ({"side": None}, "wrong_type"),
        ({"size": "-1"}, "out_of_bounds"),
        ({"size": "0"}, "out_of_bounds"),
        ({"price": "0"}, "out_of_bounds"),
        ({"ts": "1763719200"}, "out_of_bounds"),
        ({"tradeId": ""}, "bad_name"),
    ],
)
def test_a_bad_trade_costs_itself(changes: dict[str, Any], reason: str) -> None:
    found = decode(informed(), frame("ws_trade", **changes))
    assert reasons(found) == [reason]
    assert found[1] == Flow(NAME, "ETHUSDT", "ETH", 0.0, 0.75, 1763719200600, T0)


def test_an_unknown_action_is_not_taken_for_news() -> None:
    assert reasons(decode(informed(), {**frame("ws_trade"), "action": "replay"})) == ["unknown_shape"]


@pytest.mark.parametrize("name", ["BTCUSDTZ25", "ETHUSD_231229", "TSLAUSDT"])
def test_trades_of_foreign_contracts_are_silent(name: str) -> None:
    assert left_out(decode(informed(), load(NAME, "ws_trade").replace("ETHUSDT", name)))


# -- liquidations --------------------------------------------------------------------------------------------------


def test_liquidations_name_the_position_and_are_in_quote_coins() -> None:
    assert told(decode(informed(), load(NAME, "ws_v3_liquidation"))) == [
        Liquidation(NAME, "ETHUSDT", "ETH", "long", 0.5, 2990.5, True, 1763719190700, T0),
        Liquidation(NAME, "PEPEUSDT", "1000PEPE", "short", 4000.0, 0.004, True, 1763719185800, T0),
    ]


def test_a_liquidation_is_told_once() -> None:
    catalog = Catalog()
    assert len(decode(VENUE.decoder(catalog), load(NAME, "ws_v3_liquidation"))) == 3  # TSLA: no metadata says a stock
    assert decode(VENUE.decoder(catalog), load(NAME, "ws_v3_liquidation")) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"amount": "0"}, "out_of_bounds"),
        ({"amount": "x"}, "bad_number"),
        ({"price": "0"}, "out_of_bounds"),
        ({"side": "long"}, "unknown_shape"),
        ({"symbol": ""}, "bad_name"),
        ({"ts": None}, "wrong_type"),
    ],
)
def test_a_bad_liquidation_costs_itself(changes: dict[str, Any], reason: str) -> None:
    found = decode(informed(), frame("ws_v3_liquidation", **changes))
    assert reasons(found) == [reason]
    assert [type(item) for item in told(found) if not reasons([item])] == [Liquidation]


# -- ratios --------------------------------------------------------------------------------------------------------


def test_ratios_take_the_newest_row() -> None:
    context = "long_short:account:ETHUSDT"
    expected = LongShort(NAME, "ETHUSDT", "ETH", "account", 0.61, 1763718900000, T0)
    assert decode(informed(), load(NAME, "http_get_account_ratio"), context=context) == [expected]
    turned = frame("http_get_account_ratio")
    turned["data"].reverse()
    assert decode(informed(), turned, context=context) == [expected]
    assert decode(informed(), load(NAME, "http_get_position_ratio"), context="long_short:position:ETHUSDT") == [
        LongShort(NAME, "ETHUSDT", "ETH", "position", 0.48, 1763718900000, T0)
    ]


def test_ratios_as_percentages_and_broken_ones() -> None:
    context = "long_short:account:ETHUSDT"
    percent = frame("http_get_account_ratio", longAccountRatio="75", shortAccountRatio="25", ts="1763719000000")
    (found,) = decode(informed(), percent, context=context)
    assert isinstance(found, LongShort)
    assert found.long_share == 0.75
    nobody = frame("http_get_account_ratio", longAccountRatio="0", shortAccountRatio="0")
    assert reasons(decode(informed(), nobody, context=context)) == ["out_of_bounds"]
    unsupported = {"code": "40034", "msg": "symbol not supported", "data": None}
    assert [type(item) for item in decode(informed(), unsupported, context=context)] == [Control]
    assert decode(informed(), {"code": "00000", "data": []}, context=context) == []


# -- history -------------------------------------------------------------------------------------------------------


def test_bars_count_from_their_end_and_the_unfinished_one_is_left_out() -> None:
    answer = load(NAME, "http_get_candles")
    found = decode(informed(), answer, context="history:mark:ETHUSDT")
    assert points(found) == [("mark", 1763719140000, 3001.75, 120_000), ("mark", 1763719200000, 3003.25, 120_000)]
    assert found[0] == HistoryPoint(NAME, "ETHUSDT", "ETH", "mark", 1763719140000, 3001.75, None, 120_000)
    assert len(decode(informed(), answer, 1763719260000, "history:mark:ETHUSDT")) == 3
    assert len(decode(informed(), answer, 1763719259999, "history:mark:ETHUSDT")) == 2


def test_bars_of_index_and_of_a_multiplier_token() -> None:
    found = decode(informed(), load(NAME, "http_get_candles"), context="history:index:PEPEUSDT")
    assert points(found) == [
        ("index", 1763719140000, 3001750.0, 120_000),
        ("index", 1763719200000, 3003250.0, 120_000),
    ]


def test_settled_rates_of_the_past() -> None:
    answer = load(NAME, "http_get_history_fund_rate")
    hold = int(1.25 * 4 * 3_600_000)
    found = decode(informed(), answer, context="history:funding:ETHUSDT")
    assert sorted(points(found)) == [
        ("funding", 1763697600000, -0.000022, hold),
        ("funding", 1763712000000, 0.000033, hold),
    ]
    assert {item.interval_h for item in found if isinstance(item, HistoryPoint)} == {4.0}
    alone = json.loads(answer)
    del alone["data"][1]
    assert decode(VENUE.decoder(Catalog()), alone, context="history:funding:ETHUSDT") == [
        Skipped(NAME, "ETHUSDT", "unknown_interval")
    ]
    assert reasons(decode(informed(), answer, context="history:funding:BTCUSDT")) == ["bad_name", "bad_name"]


@pytest.mark.parametrize("row", [["1763719080000", "1", "1", "1"], {}, ["x", "1", "1", "1", "1"]])
def test_a_broken_bar_costs_itself(row: object) -> None:
    answer = json.loads(load(NAME, "http_get_candles"))
    answer["data"][0] = row
    found: list[Decoded] = decode(informed(), answer, context="history:mark:ETHUSDT")
    assert len(reasons(found)) == 1
    assert len(points(found[1:])) == 1


def test_history_requests_fit_their_pages() -> None:
    found = requests_of(VENUE, listings(2)[0])
    assert [request.context.split(":")[1] for request in found] == ["mark", "index", "funding", "mark", "index"]
    queries = [parse_qs(urlsplit(request.url).query) for request in found if "/candles?" in request.url]
    assert [query["kLineType"] for query in queries] == [["MARK"], ["INDEX"]] * 2
    for query in queries:
        start, end = int(query["startTime"][0]), int(query["endTime"][0])
        assert (end - start) // 60_000 <= int(query["limit"][0]) <= 1000
        assert start % 60_000 == end % 60_000 == 0
    newest, oldest = queries[0], queries[2]
    assert int(newest["endTime"][0]) >= NOW > int(newest["startTime"][0])
    assert int(oldest["endTime"][0]) == int(newest["startTime"][0])
    assert int(oldest["startTime"][0]) < NOW - 26 * 3_600_000
    assert queries[0]["productType"] == ["coin-futures"]
    assert queries[0]["symbol"] == ["BTCUSD"]


# -- plans ---------------------------------------------------------------------------------------------------------


def test_plans_for_500_listings_keep_the_limits() -> None:
    names = check_plans(VENUE, listings(500))
    assert names[10:] == ["liquidation-extra-1", *(f"trade-extra-{n}" for n in range(1, 11))]
    check_only_what_is_wanted(VENUE, listings(60), {"flow": "trade-extra", "liquidation": "liquidation-extra"})


def test_liquidations_are_asked_for_by_product_line_on_the_newer_socket() -> None:
    plans = VENUE.connections(VENUE.endpoints, listings(3), ("liquidation",))
    assert plans[1].url == "wss://ws.bitget.com/v3/ws/public"
    assert [json.loads(text) for text in plans[1].frames] == [
        {"op": "subscribe", "args": [{"instType": line, "topic": "liquidation"}]}
        for line in ("usdt-futures", "coin-futures", "usdc-futures")
    ]
    only = VENUE.connections(VENUE.endpoints, listings(2)[:1], ("liquidation",))
    assert [json.loads(text)["args"][0]["instType"] for text in only[1].frames] == ["coin-futures"]


def test_trades_are_asked_for_one_by_one() -> None:
    plan = VENUE.connections(VENUE.endpoints, listings(2), ("flow",))[1]
    assert plan.url == "wss://ws.bitget.com/v2/ws/public"
    assert [json.loads(text) for text in plan.frames] == [
        {"op": "subscribe", "args": [{"instType": line, "channel": "trade", "instId": name}]}
        for line, name in (("COIN-FUTURES", "BTCUSD"), ("USDC-FUTURES", "BTCPERP"))
    ]


def test_ratio_polls_ask_once_a_second_at_most() -> None:
    """Account ratios come within their freshness even for 500 listings; position ratios where both fit."""
    for count, kinds in ((22, 2), (322, 2), (323, 1), (500, 1)):
        polls = VENUE.polls(VENUE.endpoints, listings(count), 10.0, EXTRA_STREAMS)
        assert len(polls) == kinds * (count - 2)
        check_polls(VENUE, listings(count), 0.81)
        assert all(poll.every_s <= 900.0 for poll in polls)
        assert {poll.request.weight for poll in polls} == {VENUE.limits.rest_weight}
    first = VENUE.polls(VENUE.endpoints, listings(3), 10.0, ("long_short",))
    base = "https://api.bitget.com/api/v2/mix/market"
    assert [(poll.request.url, poll.request.context) for poll in first] == [
        (f"{base}/account-long-short?symbol=C0USDT&period=5m", "long_short:account:C0USDT"),
        (f"{base}/position-long-short?symbol=C0USDT&period=5m", "long_short:position:C0USDT"),
    ]
