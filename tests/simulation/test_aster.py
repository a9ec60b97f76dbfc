from __future__ import annotations

import json

import pytest
from websockets.asyncio.client import connect

from service.simulation.market import HOUR_MS, MarketModel
from service.simulation.protocol import Hangup, ServerPing
from tests.simulation.build import START_MS, SYMBOLS, beat, get, protocol_of, receive, say, serving, session_of

OTHERS = ["BTCUSD", "TSLAUSDT", "XAUUSDT"]  # no perpetuals of a coin in dollars


async def test_a_client_subscribes_without_a_route_and_gets_the_mark_each_second() -> None:
    async with serving("aster") as (server, endpoints, clock), connect(f"{endpoints.ws['market']}/ws") as socket:
        await socket.send('{"method":"SUBSCRIBE","params":["btcusdt@markPrice@1s","nosuch@markPrice@1s"],"id":7}')
        assert await receive(socket) == {"result": None, "id": 7}
        await beat(server, clock)
        message = await receive(socket)
        quote = server.protocol.quotes[0]
        assert list(message) == ["e", "E", "s", "p", "P", "i", "r", "T"]
        assert (message["s"], float(message["p"]), float(message["i"])) == ("BTCUSDT", quote.mark, quote.index)
        assert message["T"] == quote.next_ts


def test_routes_of_binance_do_not_exist() -> None:
    protocol = protocol_of("aster")
    assert protocol.accept("/market/ws", {}, "c", START_MS) is None
    assert protocol.accept("/stream", {"streams": "btcusdt@markPrice"}, "c", START_MS) is not None


def test_errors_are_flat() -> None:
    protocol = protocol_of("aster")
    session = session_of(protocol, "/ws")
    words = "Invalid request: request ID must be an unsigned integer"
    assert say(protocol, session, '{"method":"SUBSCRIBE","params":["a"]}') == [{"code": 2, "msg": words}]
    names = [f"x{n}@markPrice" for n in range(201)]
    [reply] = say(protocol, session, {"method": "SUBSCRIBE", "params": names, "id": 3})
    assert (reply["code"], reply["id"]) == (2, 3)
    assert "200" in reply["msg"]
    assert session.topics == {}


def test_pings_come_every_five_minutes_and_may_take_fifteen() -> None:
    protocol = protocol_of("aster")
    session = session_of(protocol, "/ws")
    assert protocol.watch(session, START_MS + 299_500) == []
    assert protocol.watch(session, START_MS + 300_000) == [ServerPing()]
    session.ping_ms = START_MS + 899_000
    assert protocol.watch(session, START_MS + 899_500) == []
    assert isinstance(protocol.watch(session, START_MS + 900_000)[0], Hangup)
    session.last_in_ms = START_MS + 24 * HOUR_MS
    assert isinstance(protocol.watch(session, START_MS + 24 * HOUR_MS)[0], Hangup)


def test_what_is_no_coin_is_listed_and_told_like_the_others() -> None:
    """A client must leave it out by what it is: nothing but a list tells a stock from a coin here."""
    protocol = protocol_of("aster")
    names = [quote.instrument.name for quote in protocol.quotes]
    rows = {row["symbol"]: row for row in get(protocol, "/fapi/v3/exchangeInfo")[1]["symbols"]}
    assert {*names, *OTHERS} < set(rows)
    for name in OTHERS:
        assert [rows[name][key] for key in ("contractType", "status", "underlyingType")] == [
            "PERPETUAL", "TRADING", "COIN",
        ]  # fmt: skip
    assert [rows[name]["quoteAsset"] for name in OTHERS] == ["USD", "USDT", "USDT"]
    [frame] = protocol.pushes({"!markPrice@arr@1s": None}, START_MS)
    told = {row["s"]: row for row in json.loads(frame.text)}
    assert list(told) == names + OTHERS
    assert (told["BTCUSD"]["p"], told["BTCUSD"]["r"]) == (told["BTCUSD"]["i"], "0")
    assert float(told["BTCUSD"]["i"]) == protocol.quotes[0].index
    [frame] = protocol.pushes({"xauusdt@markPrice@1s": None}, START_MS)
    assert json.loads(frame.text) == told["XAUUSDT"]
    _, premium = get(protocol, "/fapi/v3/premiumIndex")
    assert [row["symbol"] for row in premium] == names + OTHERS
    assert get(protocol, "/fapi/v3/premiumIndex", symbol="ETHUSDT")[1]["symbol"] == "ETHUSDT"


def test_funding_info_names_every_instrument() -> None:
    protocol = protocol_of("aster")
    _, rows = get(protocol, "/fapi/v3/fundingInfo")
    assert {row["symbol"]: row["fundingIntervalHours"] for row in rows} == {
        "BTCUSDT": 8, "ETHUSDT": 8, "SUIUSDT": 2, "GRAMUSDT": 8, "HYPEUSDT": 1, "1000PEPEUSDT": 8,
        "BTCUSD": 2, "TSLAUSDT": 8, "XAUUSDT": 4,
    }  # fmt: skip
    assert list(rows[0]) == [
        "symbol", "interestRate", "time", "fundingIntervalHours", "fundingFeeCap", "fundingFeeFloor",
    ]  # fmt: skip


def test_open_interest_is_there_and_statistics_are_not() -> None:
    protocol = protocol_of("aster")
    [quote] = [item for item in protocol.quotes if item.instrument.name == "1000PEPEUSDT"]
    status, row = get(protocol, "/fapi/v3/openInterest", symbol="1000PEPEUSDT")
    assert (status, row["symbol"], float(row["openInterest"])) == (200, "1000PEPEUSDT", quote.contracts)
    assert get(protocol, "/futures/data/openInterestHist", symbol="BTCUSDT", period="5m")[0] == 404
    assert get(protocol, "/fapi/v1/time")[0] == 404


def test_weights_have_one_budget() -> None:
    """All of premiumIndex costs 1 here, 10 at Binance; funding has no limit of its own."""
    protocol = protocol_of("aster")
    weights = [
        int(protocol.answer("GET", f"/fapi/v3/{path}", query, "", START_MS).headers["X-MBX-USED-WEIGHT-1M"])
        for path, query in (
            ("premiumIndex", {}),
            ("fundingRate", {"symbol": "BTCUSDT"}),
            ("markPriceKlines", {"symbol": "BTCUSDT", "interval": "1m", "limit": "1000"}),
        )
    ]
    assert weights == [1, 2, 7]
    answers = [protocol.answer("GET", "/fapi/v3/time", {}, "", START_MS).status for _ in range(2394)]
    assert answers[-2:] == [200, 429]


@pytest.mark.parametrize("what", ["markPriceKlines", "indexPriceKlines"])
def test_candles(what: str) -> None:
    protocol = protocol_of("aster")
    key = "symbol" if what == "markPriceKlines" else "pair"
    status, rows = get(protocol, f"/fapi/v3/{what}", **{key: "ETHUSDT"}, interval="1m", limit="1")
    quote = protocol.quotes[1]
    assert (status, float(rows[0][4])) == (200, quote.mark if key == "symbol" else quote.index)


def test_the_latest_liquidation_of_a_second_is_told() -> None:
    model = MarketModel(5, SYMBOLS, START_MS - 3_600_000)
    model.stage(START_MS - 120_000)
    model.step(START_MS)
    protocol = protocol_of("aster", model)
    quote = protocol.quotes[0]
    several = 0
    for second in range(1, 61):
        model.step(START_MS + second * 1000)
        frames = [json.loads(frame.text) for frame in protocol.pushes({"btcusdt@forceOrder": None}, model.now_ms)]
        forced = quote.liquidations()
        several += len(forced) > 1
        assert [frame["o"]["T"] for frame in frames] == [trade.ts for trade in forced[-1:]]
        trades = [json.loads(frame.text) for frame in protocol.pushes({"btcusdt@aggTrade": None}, model.now_ms)]
        assert [(row["q"], row["m"]) for row in trades] == [
            (f"{trade.contracts:.3f}", trade.taker == "sell") for trade in quote.trades()
        ]
        assert all("nq" not in row and "st" not in row for row in trades)
    assert several >= 5


def test_open_interest_of_all_is_about_two_and_a_half_billion_dollars() -> None:
    from service.config import DEFAULT_SYMBOLS

    model = MarketModel(7, DEFAULT_SYMBOLS, START_MS, ("aster",))
    assert 2.2e9 < sum(quote.coins * quote.price for quote in model.quotes("aster")) < 2.8e9
