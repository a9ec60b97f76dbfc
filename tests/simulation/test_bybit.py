from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from service.simulation.market import MarketModel
from service.simulation.protocol import Hangup
from service.simulation.venues.bybit import is_block
from tests.simulation.build import (
    START_MS,
    SYMBOLS,
    beat,
    ends,
    get,
    market,
    protocol_of,
    receive,
    say,
    serving,
    session_of,
)

LINEAR = "/v5/public/linear"
INVERSE = "/v5/public/inverse"


def subscribe(*symbols: str) -> dict[str, Any]:
    return {"req_id": "r1", "op": "subscribe", "args": [f"tickers.{symbol}" for symbol in symbols]}


async def test_a_client_gets_ack_snapshot_deltas_and_pong() -> None:
    async with serving("bybit") as (server, endpoints, clock), connect(endpoints.ws["linear"]) as socket:
        await socket.send('{"req_id":"r1","op":"subscribe","args":["tickers.BTCUSDT"]}')
        messages = [await receive(socket), await receive(socket)]
        [ack] = [item for item in messages if "success" in item]
        [snapshot] = [item for item in messages if "topic" in item]
        assert list(ack) == ["success", "ret_msg", "conn_id", "req_id", "op"]
        assert (ack["success"], ack["req_id"], ack["op"]) == (True, "r1", "subscribe")
        assert (snapshot["topic"], snapshot["type"], snapshot["ts"]) == ("tickers.BTCUSDT", "snapshot", START_MS)
        state = dict(snapshot["data"])
        cs = snapshot["cs"]
        for _ in range(6):
            await beat(server, clock, 0.5)
            delta = await receive(socket)
            assert (delta["type"], delta["ts"]) == ("delta", clock.ms)
            assert delta["cs"] > cs
            cs = delta["cs"]
            changed = {key: value for key, value in delta["data"].items() if key != "symbol"}
            assert changed
            assert all(state[key] != value for key, value in changed.items())
            state.update(changed)
        [quote] = [item for item in server.protocol.quotes if item.instrument.name == "BTCUSDT"]
        assert float(state["markPrice"]) == quote.mark
        assert float(state["singleOpenInterest"]) == quote.contracts
        assert float(state["openInterest"]) == pytest.approx(2 * quote.contracts)
        await socket.send('{"op":"ping"}')
        pong = await receive(socket)
        assert (pong["success"], pong["ret_msg"], pong["op"]) == (True, "pong", "ping")


async def test_the_sockets_of_linear_and_inverse_are_separate() -> None:
    async with serving("bybit") as (_, endpoints, _clock), connect(endpoints.ws["inverse"]) as socket:
        await socket.send('{"op":"subscribe","args":["tickers.BTCUSDT"]}')
        refused = await receive(socket)
        assert refused["success"] is False
        assert refused["ret_msg"] == "error:handler not found,topic:tickers.BTCUSDT"
        await socket.send('{"op":"subscribe","args":["tickers.BTCUSD"]}')
        messages = [await receive(socket), await receive(socket)]
        [snapshot] = [item for item in messages if "topic" in item]
        assert snapshot["data"]["singleOpenInterest"].isdigit()


def test_the_snapshot_has_every_documented_field() -> None:
    protocol = protocol_of("bybit")
    replies = say(protocol, session_of(protocol, LINEAR), subscribe("SUIUSDT"))
    [snapshot] = [reply for reply in replies if "topic" in reply]
    assert list(snapshot["data"]) == [
        "symbol", "tickDirection", "price24hPcnt", "lastPrice", "prevPrice24h", "highPrice24h", "lowPrice24h",
        "prevPrice1h", "markPrice", "indexPrice", "openInterest", "openInterestValue", "turnover24h", "volume24h",
        "fundingIntervalHour", "fundingCap", "singleOpenInterest", "singleOpenInterestValue", "nextFundingTime",
        "fundingRate", "bid1Price", "bid1Size", "ask1Price", "ask1Size", "preOpenPrice", "preQty", "curPreListingPhase",
    ]  # fmt: skip
    assert snapshot["data"]["fundingIntervalHour"] == "4"
    assert float(snapshot["data"]["lowPrice24h"]) <= float(snapshot["data"]["markPrice"])


def test_one_bad_topic_fails_the_whole_request() -> None:
    protocol = protocol_of("bybit")
    session = session_of(protocol, LINEAR)
    [reply] = say(protocol, session, subscribe("BTCUSDT", "NOPEUSDT"))
    assert (reply["success"], reply["req_id"]) == (False, "r1")
    assert session.topics == {}


@pytest.mark.parametrize(
    "request_text",
    [
        "{",
        "[]",
        '{"op":"dance"}',
        '{"op":"subscribe"}',
        '{"op":"subscribe","args":[]}',
        '{"op":"subscribe","args":[1]}',
    ],
)
def test_bad_requests_are_refused_and_the_socket_stays(request_text: str) -> None:
    protocol = protocol_of("bybit")
    session = session_of(protocol, LINEAR)
    [reply] = say(protocol, session, request_text)
    assert reply["success"] is False
    assert reply["ret_msg"].startswith("error:")
    assert not ends(say(protocol, session, {"op": "ping"}))


def test_too_many_characters_of_topics_are_refused() -> None:
    protocol = protocol_of("bybit")
    [reply] = say(protocol, session_of(protocol, LINEAR), {"op": "subscribe", "args": ["tickers." + "X" * 21_000]})
    assert "21000" in reply["ret_msg"]


def test_data_can_arrive_before_the_ack() -> None:
    protocol = protocol_of("bybit")
    first = {"topic" in say(protocol, session_of(protocol, LINEAR), subscribe("ETHUSDT"))[0] for _ in range(40)}
    assert first == {True, False}


def test_a_second_subscriber_gets_the_state_that_the_next_delta_continues() -> None:
    """A snapshot taken between a market step and the push must not swallow the change for those already subscribed."""
    model = market()
    protocol = protocol_of("bybit", model)
    one, two = session_of(protocol, LINEAR), session_of(protocol, LINEAR)
    [before] = [reply for reply in say(protocol, one, subscribe("BTCUSDT")) if "topic" in reply]
    model.step(START_MS + 1000)
    [snapshot] = [reply for reply in say(protocol, two, subscribe("BTCUSDT"), START_MS + 1000) if "topic" in reply]
    assert snapshot["data"]["markPrice"] == before["data"]["markPrice"]
    [delta] = protocol.pushes({"tickers.BTCUSDT": None}, START_MS + 1000)
    assert '"markPrice"' in delta.text


def test_a_topic_left_alone_starts_with_a_fresh_snapshot() -> None:
    model = market()
    protocol = protocol_of("bybit", model)
    session = session_of(protocol, LINEAR)
    say(protocol, session, subscribe("BTCUSDT"))
    say(protocol, session, {"op": "unsubscribe", "args": ["tickers.BTCUSDT"]})
    assert list(protocol.pushes({}, START_MS + 500)) == []
    model.step(START_MS + 60_000)
    [snapshot] = [r for r in say(protocol, session, subscribe("BTCUSDT"), START_MS + 60_000) if "topic" in r]
    [quote] = [item for item in protocol.quotes if item.instrument.name == "BTCUSDT"]
    assert float(snapshot["data"]["markPrice"]) == quote.mark


def test_an_idle_client_is_closed_after_ten_minutes() -> None:
    protocol = protocol_of("bybit")
    session = session_of(protocol, LINEAR)
    assert protocol.watch(session, START_MS + 599_999) == []
    assert isinstance(protocol.watch(session, START_MS + 600_000)[0], Hangup)
    say(protocol, session, {"op": "ping"}, START_MS + 600_000)
    assert protocol.watch(session, START_MS + 600_500) == []


def test_instruments_are_listed_by_pages() -> None:
    protocol = protocol_of("bybit")
    names: list[str] = []
    cursor = ""
    while True:
        _, page = get(protocol, "/v5/market/instruments-info", category="linear", limit="3", cursor=cursor)
        names += [row["symbol"] for row in page["result"]["list"]]
        cursor = page["result"]["nextPageCursor"]
        if cursor == "":
            break
    assert names == [
        "BTCUSDT", "BTCPERP", "ETHUSDT", "ETHPERP", "SUIUSDT", "GRAMUSDT", "HYPEUSDT", "1000PEPEUSDT",
        "BTC-26MAR27", "SIMNEWUSDT",
    ]  # fmt: skip
    _, whole = get(protocol, "/v5/market/instruments-info", category="inverse")
    rows = {row["symbol"]: row for row in whole["result"]["list"]}
    assert list(rows) == ["BTCUSD", "ETHUSD", "BTC-26MAR27"]
    assert (rows["BTCUSD"]["contractType"], rows["BTCUSD"]["fundingInterval"]) == ("InversePerpetual", 480)
    assert rows["BTC-26MAR27"]["contractType"] == "InverseFutures"


def test_other_http_answers_and_errors() -> None:
    model = market()
    model.step(START_MS + 60_000)
    protocol = protocol_of("bybit", model)
    _, tickers = get(protocol, "/v5/market/tickers", category="linear")
    assert len(tickers["result"]["list"]) == 8
    _, one = get(protocol, "/v5/market/tickers", category="linear", symbol="BTCUSDT")
    assert [row["symbol"] for row in one["result"]["list"]] == ["BTCUSDT"]
    query = {"category": "linear", "symbol": "BTCUSDT"}
    _, interest = get(protocol, "/v5/market/open-interest", START_MS + 60_000, **query, intervalTime="5min")
    row = interest["result"]["list"][0]
    assert float(row["openInterest"]) == pytest.approx(2 * float(row["singleOpenInterest"]))
    assert get(protocol, "/v5/market/time")[1]["time"] == START_MS
    assert get(protocol, "/v5/market/tickers", category="spot")[1]["retCode"] == 10001
    assert get(protocol, "/v5/market/tickers", category="linear", symbol="NOPE")[1]["retCode"] == 10001
    assert get(protocol, "/v5/market/open-interest", category="linear")[1]["retCode"] == 10001
    assert get(protocol, "/v5/market/instruments-info", category="linear", limit="-1")[1]["retCode"] == 10001
    assert get(protocol, "/v5/nothing")[0] == 404
    assert protocol.answer("POST", "/v5/market/time", {}, "", START_MS).status == 405


def cascading() -> MarketModel:
    model = MarketModel(5, SYMBOLS, START_MS - 3_600_000)
    model.stage(START_MS - 120_000)
    model.step(START_MS)
    return model


def test_trades_and_liquidations_have_no_snapshot() -> None:
    protocol = protocol_of("bybit")
    session = session_of(protocol, INVERSE)
    [ack] = say(protocol, session, {"op": "subscribe", "args": ["publicTrade.BTCUSD", "allLiquidation.BTCUSD"]})
    assert ack["success"] is True
    [refused] = say(protocol, session, {"op": "subscribe", "args": ["allLiquidation.BTCUSDT", "publicTrade.ETHUSD"]})
    assert refused["success"] is False
    assert list(session.topics) == ["publicTrade.BTCUSD", "allLiquidation.BTCUSD"]


def test_a_liquidations_side_is_the_positions_and_an_inverse_size_is_dollars() -> None:
    model = cascading()
    protocol = protocol_of("bybit", model)
    [quote] = [item for item in protocol.quotes if item.instrument.name == "BTCUSD"]
    wanted = dict.fromkeys(["publicTrade.BTCUSD", "allLiquidation.BTCUSD"])
    sides: list[str] = []
    blocks = 0
    for second in range(1, 121):
        model.step(START_MS + second * 1000)
        frames = {frame.topic: json.loads(frame.text) for frame in protocol.pushes(wanted, model.now_ms)}
        trades = frames["publicTrade.BTCUSD"]["data"] if "publicTrade.BTCUSD" in frames else []
        assert [(row["S"], float(row["v"]), row["T"], row["BT"]) for row in trades] == [
            (trade.taker.capitalize(), trade.contracts, trade.ts, is_block(trade)) for trade in quote.trades()
        ]
        blocks += sum(row["BT"] for row in trades)
        forced = frames["allLiquidation.BTCUSD"]["data"] if "allLiquidation.BTCUSD" in frames else []
        assert [float(row["v"]) for row in forced] == [trade.contracts for trade in quote.liquidations()]
        assert all(row["v"] == str(int(row["v"])) for row in forced)  # whole dollars
        sides += [row["S"] for row in forced]
    assert len(sides) >= 10
    assert set(sides) == {"Buy"}  # longs were closed
    assert blocks >= 1
    assert list(protocol.pushes(wanted, model.now_ms + 500)) == []


def test_the_past_comes_newest_first_and_its_last_stamp_in_seconds() -> None:
    model = MarketModel(5, ("BTC",), START_MS - 30 * 3_600_000)
    model.step(START_MS)
    protocol = protocol_of("bybit", model)
    [quote] = [item for item in protocol.quotes if item.instrument.name == "BTCUSD"]
    query = {"category": "inverse", "symbol": "BTCUSD"}
    path = "/v5/market/"
    _, bars = get(protocol, path + "mark-price-kline", **query, interval="1", start=str(START_MS - 120_000))
    assert [int(row[0]) - START_MS for row in bars["result"]["list"]] == [0, -60_000, -120_000]
    assert float(bars["result"]["list"][0][4]) == quote.mark
    _, index = get(protocol, path + "index-price-kline", **query, interval="1", limit="1")
    assert float(index["result"]["list"][0][4]) == quote.index
    _, interest = get(protocol, path + "open-interest", **query, intervalTime="5min", limit="3")
    rows = interest["result"]["list"]
    newest = START_MS // 300_000 * 300_000
    assert [int(row["timestamp"]) for row in rows] == [newest, newest - 300_000, (newest - 600_000) // 1000]
    [point] = quote.past.points(newest, newest)
    assert float(rows[0]["singleOpenInterest"]) == point.contracts
    assert float(rows[0]["openInterest"]) == 2 * point.contracts
    cursor = interest["result"]["nextPageCursor"]
    _, following = get(protocol, path + "open-interest", **query, intervalTime="5min", limit="3", cursor=cursor)
    assert int(following["result"]["list"][0]["timestamp"]) == newest - 900_000
    since = str(START_MS - 30 * 3_600_000)
    _, funding = get(protocol, path + "funding/history", **query, startTime=since, endTime=str(START_MS))
    assert [(int(row["fundingRateTimestamp"]), float(row["fundingRate"])) for row in funding["result"]["list"]] == list(
        reversed([settled for settled in quote.settlements if settled[0] >= int(since)])
    )
    month = {"startTime": str(START_MS - 33 * 24 * 3_600_000), "endTime": str(START_MS), "limit": "200"}
    settled = get(protocol, path + "funding/history", **query, **month)[1]["result"]["list"]
    assert len(settled) == len(quote.settlements) == 31 * 3 + 4
    hours = {"startTime": str(START_MS - 200 * 3_600_000), "endTime": str(START_MS), "limit": "200"}
    rows = get(protocol, path + "open-interest", **query, intervalTime="1h", **hours)[1]["result"]["list"]
    assert len(rows) == 200  # far beyond the minutes on record
    for endpoint, wrong in (
        ("funding/history", {"startTime": since}),
        ("mark-price-kline", {"interval": "1m"}),
        ("mark-price-kline", {"interval": "1", "limit": "1001"}),
        ("open-interest", {"intervalTime": "5min", "limit": "201"}),
        ("open-interest", {}),
        ("account-ratio", {}),
    ):
        assert get(protocol, path + endpoint, **query, **wrong)[1]["retCode"] == 10001


def test_account_ratios_are_of_contracts_not_settled_in_usdc() -> None:
    protocol = protocol_of("bybit")
    query = {"category": "linear", "period": "5min", "limit": "1"}
    _, answer = get(protocol, "/v5/market/account-ratio", **query, symbol="BTCUSDT")
    [row] = answer["result"]["list"]
    [quote] = [item for item in protocol.quotes if item.instrument.name == "BTCUSDT"]
    assert float(row["buyRatio"]) == quote.long_share("account")
    assert float(row["buyRatio"]) + float(row["sellRatio"]) == pytest.approx(1.0)
    assert get(protocol, "/v5/market/account-ratio", **query, symbol="BTCPERP")[1]["retCode"] == 10001
