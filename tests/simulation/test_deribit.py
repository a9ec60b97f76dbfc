from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from service.simulation.protocol import Hangup
from tests.simulation.build import START_MS, beat, ends, get, market, protocol_of, receive, say, serving, session_of

PATH = "/ws/api/v2"


def call(number: int, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": f"public/{method}", "params": params}


def subscribe(*channels: str, number: int = 1) -> dict[str, Any]:
    return call(number, "subscribe", channels=list(channels))


async def test_a_client_gets_the_accepted_channels_the_first_ticker_and_then_one_a_second() -> None:
    async with serving("deribit") as (server, endpoints, clock), connect(endpoints.ws["public"]) as socket:
        await socket.send(json.dumps(subscribe("ticker.BTC-PERPETUAL.agg2", number=7)))
        ack = await receive(socket)
        assert list(ack) == ["jsonrpc", "id", "result", "usIn", "usOut", "usDiff", "testnet"]
        assert (ack["id"], ack["result"], ack["usDiff"]) == (
            7,
            ["ticker.BTC-PERPETUAL.agg2"],
            ack["usOut"] - ack["usIn"],
        )
        first = await receive(socket)
        assert (first["method"], first["params"]["channel"]) == ("subscription", "ticker.BTC-PERPETUAL.agg2")
        assert "id" not in first
        await beat(server, clock)
        data = (await receive(socket))["params"]["data"]
        [quote] = [item for item in server.protocol.quotes if item.instrument.name == "BTC-PERPETUAL"]
        assert (data["mark_price"], data["index_price"], data["timestamp"]) == (quote.mark, quote.index, clock.ms)
        assert data["open_interest"] == quote.contracts == pytest.approx(quote.coins * quote.mark)  # dollars
        assert data["current_funding"] == quote.rate
        await socket.send(json.dumps(call(8, "test")))
        assert (await receive(socket))["result"] == {"version": "1.2.26"}


def test_open_interest_of_a_linear_perpetual_is_in_coins() -> None:
    protocol = protocol_of("deribit")
    [_, pushed] = say(protocol, session_of(protocol, PATH), subscribe("ticker.BTC_USDC-PERPETUAL.100ms"))
    [quote] = [item for item in protocol.quotes if item.instrument.name == "BTC_USDC-PERPETUAL"]
    assert pushed["params"]["data"]["open_interest"] == quote.coins


def test_one_raw_channel_refuses_the_whole_request() -> None:
    protocol = protocol_of("deribit")
    session = session_of(protocol, PATH)
    [reply] = say(protocol, session, subscribe("ticker.ETH-PERPETUAL.agg2", "ticker.BTC-PERPETUAL.raw"))
    assert reply["error"] == {"message": "raw_subscriptions_not_available_for_unauthorized", "code": 13778}
    assert session.topics == {}


def test_an_unknown_channel_is_left_out_in_silence_and_the_order_is_the_venues() -> None:
    protocol = protocol_of("deribit")
    session = session_of(protocol, PATH)
    asked = ["ticker.BTC-PERPETUAL.agg2", "ticker.NOPE-PERPETUAL.agg2", "ticker.ETH-PERPETUAL.agg2"]
    reply = say(protocol, session, subscribe(*asked))[0]
    assert reply["result"] == ["ticker.ETH-PERPETUAL.agg2", "ticker.BTC-PERPETUAL.agg2"]
    assert say(protocol, session, subscribe("nonsense"))[0]["result"] == []
    gone = say(protocol, session, call(3, "unsubscribe", channels=asked[:1]))
    assert [item["result"] for item in gone] == [asked[:1]]
    assert list(session.topics) == asked[2:]
    say(protocol, session, call(4, "unsubscribe_all"))
    assert session.topics == {}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", -32700),
        ("[1]", -32700),
        ('{"method":"public/test"}', -32600),
        ('{"jsonrpc":"2.0","id":1,"method":"public/subscribe","params":{"channels":"ticker"}}', -32602),
        ('{"jsonrpc":"2.0","id":1,"method":"public/dance","params":{}}', -32601),
        ('{"jsonrpc":"2.0","id":1,"method":"public/set_heartbeat","params":{"interval":9}}', -32602),
        (json.dumps(subscribe(*["ticker.BTC-PERPETUAL.agg2"] * 1300)), -32600),
    ],
)
def test_bad_requests_get_their_json_rpc_error(text: str, code: int) -> None:
    protocol = protocol_of("deribit")
    [reply] = say(protocol, session_of(protocol, PATH), text)
    assert reply["error"]["code"] == code
    assert "result" not in reply


def test_ten_subscriptions_at_once_and_then_three_a_second() -> None:
    protocol = protocol_of("deribit")
    session = session_of(protocol, PATH)
    wanted = subscribe("platform_state")
    assert all("result" in say(protocol, session, wanted)[0] for _ in range(10))
    assert say(protocol, session, wanted)[0]["error"] == {"code": 10028, "message": "too_many_requests"}
    assert "result" in say(protocol, session, wanted, START_MS + 300)[0]
    assert "error" in say(protocol, session, wanted, START_MS + 400)[0]
    assert ends(say(protocol, session, wanted, START_MS + 401))  # who does not stop is shut out


def test_a_ticker_comes_only_when_something_changed() -> None:
    protocol = protocol_of("deribit")
    topics = {"ticker.BTC-PERPETUAL.agg2": None}
    assert len(list(protocol.pushes(topics, START_MS))) == 1
    assert list(protocol.pushes(topics, START_MS + 1000)) == []
    protocol.model.step(START_MS + 2000)
    assert len(list(protocol.pushes(topics, START_MS + 2000))) == 1
    assert list(protocol.pushes(topics, START_MS + 2500)) == []


def test_an_incremental_ticker_sends_whole_values_of_changed_fields_only() -> None:
    protocol = protocol_of("deribit")
    session = session_of(protocol, PATH)
    channel = "incremental_ticker.BTC-PERPETUAL"
    snapshot = say(protocol, session, subscribe(channel))[1]["params"]["data"]
    assert (snapshot["type"], len(snapshot)) == ("snapshot", 20)
    protocol.model.step(START_MS + 1000)
    [frame] = protocol.pushes(session.topics, START_MS + 1000)
    change = json.loads(frame.text)["params"]["data"]
    assert change["type"] == "change"
    [quote] = [item for item in protocol.quotes if item.instrument.name == "BTC-PERPETUAL"]
    assert {**snapshot, **change}["mark_price"] == quote.mark
    assert "settlement_price" in change
    assert "stats" not in change


def test_a_heartbeat_that_is_not_answered_ends_the_connection() -> None:
    protocol = protocol_of("deribit")
    silent, lively = session_of(protocol, PATH), session_of(protocol, PATH)
    assert protocol.watch(silent, START_MS + 3_600_000) == []  # opt-in
    for session in (silent, lively):
        assert say(protocol, session, call(1, "set_heartbeat", interval=30))[0]["result"] == "ok"
        assert protocol.watch(session, START_MS + 29_500) == []
        kinds = [json.loads(out.text)["params"]["type"] for out in protocol.watch(session, START_MS + 30_000)]  # type: ignore[union-attr]
        assert kinds == ["heartbeat", "test_request"]
    say(protocol, lively, call(2, "test"), START_MS + 31_000)
    assert [type(out) for out in protocol.watch(silent, START_MS + 60_000)] == [Hangup]
    assert len(protocol.watch(lively, START_MS + 60_000)) == 2
    say(protocol, lively, call(3, "disable_heartbeat"), START_MS + 61_000)
    assert protocol.watch(lively, START_MS + 600_000) == []


def test_trades_of_a_currency_come_in_one_array_and_liquidations_are_marked() -> None:
    protocol = protocol_of("deribit")
    session = session_of(protocol, PATH)
    say(protocol, session, subscribe("trades.future.USDC.100ms"))
    names, marked = set(), 0
    for second in range(1, 300):
        protocol.model.step(START_MS + second * 1000)
        frames = list(protocol.pushes(session.topics, START_MS + second * 1000))
        assert len(frames) <= 1
        for row in json.loads(frames[0].text)["params"]["data"] if frames else ():
            names.add(row["instrument_name"])
            marked += row.get("liquidation") == "T"
            assert row["trade_id"].startswith(row["instrument_name"].removesuffix("PERPETUAL"))
    assert names == {quote.instrument.name for quote in protocol.quotes if not quote.instrument.inverse}
    assert marked > 0


def test_http_answers() -> None:
    protocol = protocol_of("deribit", market())
    _, listed = get(protocol, "/api/v2/public/get_instruments", currency="any", kind="future", expired="false")
    rows = {row["instrument_name"]: row for row in listed["result"]}
    assert set(rows) == {quote.instrument.name for quote in protocol.quotes} | {"BTC-25DEC26", "SIMOLD_USDC-PERPETUAL"}
    assert [rows["BTC-PERPETUAL"][key] for key in ("future_type", "contract_size", "settlement_currency")] == [
        "reversed", 10.0, "BTC",
    ]  # fmt: skip
    assert (rows["BTC_USDC-PERPETUAL"]["future_type"], rows["SIMOLD_USDC-PERPETUAL"]["is_active"]) == ("linear", False)
    _, of_btc = get(protocol, "/api/v2/public/get_instruments", currency="BTC", kind="future")
    assert [row["instrument_name"] for row in of_btc["result"]] == [
        "BTC-PERPETUAL",
        "BTC-25DEC26",
        "SIMOLD_USDC-PERPETUAL",
    ]
    _, book = get(protocol, "/api/v2/public/get_book_summary_by_currency", currency="USDC", kind="future")
    assert {row["quote_currency"] for row in book["result"]} == {"USDC"}
    _, ticker = get(protocol, "/api/v2/public/ticker", instrument_name="ETH-PERPETUAL")
    assert ticker["result"]["instrument_name"] == "ETH-PERPETUAL"
    history = {"instrument_name": "BTC-PERPETUAL", "start_timestamp": "0", "end_timestamp": str(START_MS)}
    assert get(protocol, "/api/v2/public/get_mark_price_history", **history)[1]["result"] == []
    assert get(protocol, "/api/v2/public/get_funding_rate_history", **history)[0] == 200
    assert get(protocol, "/api/v2/public/get_time")[1]["result"] == START_MS
    trades = get(protocol, "/api/v2/public/get_last_trades_by_instrument", instrument_name="BTC-PERPETUAL")[1]["result"]
    assert [row["trade_seq"] for row in trades["trades"]] == sorted(
        (r["trade_seq"] for r in trades["trades"]), reverse=True
    )


def test_the_past_is_hourly_funding_and_the_index() -> None:
    protocol = protocol_of("deribit")
    hour = START_MS // 3_600_000 * 3_600_000
    later = hour + 10 * 3_600_000
    protocol.model.step(later)
    query = {"instrument_name": "BTC-PERPETUAL", "start_timestamp": str(hour), "end_timestamp": str(later)}
    rows = get(protocol, "/api/v2/public/get_funding_rate_history", later, **query)[1]["result"]
    assert [row["timestamp"] for row in rows] == list(range(hour, later + 1, 3_600_000))
    [quote] = [item for item in protocol.quotes if item.instrument.name == "BTC-PERPETUAL"]
    assert rows[-1]["index_price"] == quote.index
    assert rows[-1]["prev_index_price"] == rows[-2]["index_price"]
    assert rows[-1]["interest_8h"] == quote.settlements[-1][1] == 8 * rows[-1]["interest_1h"]
    chart = get(protocol, "/api/v2/public/get_index_chart_data", later, index_name="btc_usd", range="1h")[1]["result"]
    assert chart[-1] == [later, quote.index]
    assert len(chart) == 61


def test_http_errors() -> None:
    protocol = protocol_of("deribit")
    for path, query in (
        ("get_instruments", {"currency": "MOON"}),
        ("ticker", {"instrument_name": "NOPE"}),
        ("get_funding_rate_history", {"instrument_name": "BTC-PERPETUAL", "start_timestamp": "x"}),
        ("get_index_chart_data", {"index_name": "btc_usd", "range": "3d"}),
        ("get_index_chart_data", {"index_name": "nope_usd", "range": "1d"}),
        ("get_book_summary_by_currency", {}),
    ):
        status, answer = get(protocol, f"/api/v2/public/{path}", **query)
        assert (status, answer["error"]["code"]) == (400, -32602)
    assert get(protocol, "/api/v2/public/nothing")[1]["error"]["code"] == -32601
    assert get(protocol, "/api/v1/public/test")[0] == 404
    assert protocol.answer("POST", "/api/v2/public/test", {}, "", START_MS).status == 405
    assert protocol.accept("/ws/api/v1", {}, "c", START_MS) is None
