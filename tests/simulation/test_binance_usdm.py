from __future__ import annotations

import json

import pytest
from websockets.asyncio.client import connect

from service.simulation.market import HOUR_MS, MarketModel
from service.simulation.protocol import Frame, Hangup, ServerPing
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

TOPIC = "btcusdt@markPrice@1s"


async def test_a_client_subscribes_and_gets_the_mark_each_second() -> None:
    async with (
        serving("binance_usdm") as (server, endpoints, clock),
        connect(f"{endpoints.ws['market']}/ws") as socket,
    ):
        await socket.send('{"method":"SUBSCRIBE","params":["btcusdt@markPrice@1s","nosuch@markPrice@1s"],"id":7}')
        assert await receive(socket) == {"result": None, "id": 7}
        await socket.send('{"method":"LIST_SUBSCRIPTIONS","id":8}')
        assert await receive(socket) == {"result": [TOPIC, "nosuch@markPrice@1s"], "id": 8}
        for _ in range(2):
            await beat(server, clock)
            message = await receive(socket)
            quote = server.protocol.quotes[0]
            assert list(message) == ["e", "E", "s", "p", "ap", "P", "i", "r", "T", "st"]
            assert (message["e"], message["E"], message["s"]) == ("markPriceUpdate", clock.ms, "BTCUSDT")
            assert float(message["p"]) == quote.mark
            assert float(message["i"]) == quote.index
            assert message["p"].partition(".")[2].isdigit()
            assert len(message["p"].partition(".")[2]) == 8
            assert message["T"] == quote.next_ts
        await socket.send('{"method":"UNSUBSCRIBE","params":["btcusdt@markPrice@1s"],"id":9}')
        assert await receive(socket) == {"result": None, "id": 9}
        await beat(server, clock)
        await socket.send('{"method":"LIST_SUBSCRIPTIONS","id":10}')
        assert (await receive(socket))["id"] == 10  # no data in between


async def test_a_combined_stream_is_wrapped_and_may_be_named_in_the_address() -> None:
    async with (
        serving("binance_usdm") as (server, endpoints, clock),
        connect(f"{endpoints.ws['market']}/stream?streams={TOPIC}/!markPrice@arr@1s") as socket,
    ):
        await beat(server, clock)
        one, all_ = await receive(socket), await receive(socket)
        assert (one["stream"], one["data"]["s"]) == (TOPIC, "BTCUSDT")
        names = [row["s"] for row in all_["data"]]  # of both products, as each host sends them
        assert len(names) == len(server.protocol.quotes) + len(protocol_of("binance_coinm").quotes)
        assert {row["s"]: row["st"] for row in all_["data"]} == {
            name: 2 if name.endswith("_PERP") else 1 for name in names
        }


@pytest.mark.parametrize("route", ["/ws", "/public/ws"])
async def test_a_wrong_route_acks_and_stays_silent(route: str) -> None:
    async with (
        serving("binance_usdm") as (server, endpoints, clock),
        connect(endpoints.ws["market"].removesuffix("/market") + route) as socket,
    ):
        await socket.send('{"method":"SUBSCRIBE","params":["btcusdt@markPrice@1s"],"id":1}')
        assert await receive(socket) == {"result": None, "id": 1}
        await beat(server, clock)
        await socket.send('{"method":"LIST_SUBSCRIPTIONS","id":2}')
        assert await receive(socket) == {"result": [TOPIC], "id": 2}


async def test_the_server_pings_with_a_frame() -> None:
    async with (
        serving("binance_usdm") as (server, endpoints, clock),
        connect(f"{endpoints.ws['market']}/ws/{TOPIC}") as socket,
    ):
        await socket.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        await receive(socket)
        clock.ms += 180_000
        await beat(server, clock)
        await receive(socket)
        # The client library answers pings by itself; once its own ping has been answered, that pong has arrived.
        await (await socket.ping())
        [client] = server._clients
        assert client.session.ping_ms == client.session.last_in_ms == clock.ms


@pytest.mark.parametrize(
    ("request_text", "number", "words"),
    [
        ("{", None, "Invalid JSON"),
        ('{"method":"SUBSCRIBE","params":["a"]}', None, "unsigned integer"),
        ('{"method":"SUBSCRIBE","params":["a"],"id":-1}', None, "unsigned integer"),
        ('{"method":"NONSENSE","id":2}', 2, "unknown variant `NONSENSE`, expected one of `SUBSCRIBE`"),
        ('{"method":"SUBSCRIBE","params":"btcusdt@markPrice","id":3}', 3, "params"),
    ],
)
def test_bad_requests_get_an_error(request_text: str, number: int | None, words: str) -> None:
    protocol = protocol_of("binance_usdm")
    [reply] = say(protocol, session_of(protocol, "/market/ws"), request_text)
    assert words in reply["error"]["msg"]
    assert reply.get("id") == number


def test_more_than_ten_messages_a_second_cut_the_connection() -> None:
    protocol = protocol_of("binance_usdm")
    session = session_of(protocol, "/market/ws")
    request = '{"method":"LIST_SUBSCRIPTIONS","id":1}'
    assert not any(ends(say(protocol, session, request)) for _ in range(10))
    assert ends(say(protocol, session, request))
    assert not ends(say(protocol, session, request, START_MS + 1000))


def test_at_most_1024_streams() -> None:
    protocol = protocol_of("binance_usdm")
    session = session_of(protocol, "/market/ws")
    [reply] = say(
        protocol, session, {"method": "SUBSCRIBE", "params": [f"x{n}@markPrice" for n in range(1025)], "id": 1}
    )
    assert "1024" in reply["error"]["msg"]
    assert session.topics == {}


def test_pings_pong_deadline_and_the_24_hour_cut() -> None:
    protocol = protocol_of("binance_usdm")
    session = session_of(protocol, "/market/ws")
    assert protocol.watch(session, START_MS + 179_500) == []
    assert protocol.watch(session, START_MS + 180_000) == [ServerPing()]
    assert protocol.watch(session, START_MS + 180_500) == []
    assert isinstance(protocol.watch(session, START_MS + 600_000)[0], Hangup)
    session.last_in_ms = START_MS + 24 * HOUR_MS
    assert isinstance(protocol.watch(session, START_MS + 24 * HOUR_MS)[0], Hangup)


def test_the_three_second_stream_comes_every_three_seconds() -> None:
    protocol = protocol_of("binance_usdm")
    wanted = {"ethusdt@markPrice": None}
    seen = [second for second in range(12) if list(protocol.pushes(wanted, START_MS + second * 1000))]
    assert seen == [0, 3, 6, 9]
    assert [list(protocol.pushes({TOPIC: None}, START_MS + 500))] == [[]]
    assert isinstance(next(protocol.pushes({TOPIC: None}, START_MS)), Frame)


def test_open_interest_is_asked_per_symbol_and_refreshed_with_its_time() -> None:
    protocol = protocol_of("binance_usdm")
    status, first = get(protocol, "/fapi/v1/openInterest", symbol="1000PEPEUSDT")
    [quote] = [item for item in protocol.quotes if item.instrument.name == "1000PEPEUSDT"]
    assert (status, first["symbol"], first["time"]) == (200, "1000PEPEUSDT", START_MS)
    assert float(first["openInterest"]) == quote.contracts
    protocol.model.step(START_MS + 4000)
    assert get(protocol, "/fapi/v1/openInterest", START_MS + 4000, symbol="1000PEPEUSDT")[1] == first
    protocol.model.step(START_MS + 6000)
    _, later = get(protocol, "/fapi/v1/openInterest", START_MS + 6000, symbol="1000PEPEUSDT")
    assert later["time"] == START_MS + 6000
    assert float(later["openInterest"]) == quote.contracts


def test_metadata() -> None:
    protocol = protocol_of("binance_usdm")
    _, info = get(protocol, "/fapi/v1/exchangeInfo")
    rows = {row["symbol"]: row for row in info["symbols"]}
    assert (rows["BTCUSDC"]["baseAsset"], rows["BTCUSDC"]["quoteAsset"]) == ("BTC", "USDC")
    assert {row["contractType"] for row in rows.values()} == {"PERPETUAL", "CURRENT_QUARTER"}
    assert rows["SIMOLDUSDT"]["status"] == "SETTLING"
    _, funding = get(protocol, "/fapi/v1/fundingInfo")
    assert {row["symbol"]: row["fundingIntervalHours"] for row in funding} == {
        "BTCUSDT": 8, "BTCUSDC": 8, "ETHUSDT": 8, "ETHUSDC": 8, "SUIUSDT": 4, "HYPEUSDT": 4,
    }  # fmt: skip
    assert get(protocol, "/fapi/v1/time") == (200, {"serverTime": START_MS})
    assert get(protocol, "/fapi/v1/ping") == (200, {})
    _, premium = get(protocol, "/fapi/v1/premiumIndex")
    assert [row["symbol"] for row in premium] == [quote.instrument.name for quote in protocol.quotes]
    assert get(protocol, "/fapi/v1/premiumIndex", symbol="ETHUSDT")[1]["symbol"] == "ETHUSDT"


def test_http_errors() -> None:
    protocol = protocol_of("binance_usdm")
    assert get(protocol, "/fapi/v1/openInterest", symbol="NOPE") == (400, {"code": -1121, "msg": "Invalid symbol."})
    status, missing = get(protocol, "/fapi/v1/openInterest")
    assert (status, missing["code"]) == (400, -1102)
    assert get(protocol, "/fapi/v1/nothing")[0] == 404
    assert protocol.answer("POST", "/fapi/v1/time", {}, "", START_MS).status == 405


def test_the_weight_is_counted_and_limited_per_minute() -> None:
    protocol = protocol_of("binance_usdm")
    answers = [protocol.answer("GET", "/fapi/v1/premiumIndex", {}, "", START_MS) for _ in range(241)]
    assert answers[0].headers == {"X-MBX-USED-WEIGHT-1M": "10"}
    assert [answer.status for answer in answers[238:]] == [200, 200, 429]
    assert json.loads(answers[240].text)["code"] == -1003
    assert 0 < int(answers[240].headers["Retry-After"]) <= 60
    assert protocol.answer("GET", "/fapi/v1/ping", {}, "", START_MS + 60_000).status == 200


def test_there_is_no_socket_elsewhere() -> None:
    assert protocol_of("binance_usdm").accept("/market", {}, "c", START_MS) is None


def test_trades_say_who_took_and_forced_orders_come_once_a_second() -> None:
    model = MarketModel(5, SYMBOLS, START_MS - 3_600_000)
    model.stage(START_MS - 120_000)
    model.step(START_MS)
    protocol = protocol_of("binance_usdm", model)
    [quote] = [item for item in protocol.quotes if item.instrument.name == "BTCUSDT"]
    wanted = dict.fromkeys(["btcusdt@aggTrade", "btcusdt@forceOrder", "nopeusdt@aggTrade"])
    forced = 0
    for second in range(1, 61):
        model.step(START_MS + second * 1000)
        frames = [(frame.topic, json.loads(frame.text)) for frame in protocol.pushes(wanted, model.now_ms)]
        trades = [row for topic, row in frames if topic == "btcusdt@aggTrade"]
        assert [(row["s"], float(row["q"]), row["m"], row["T"]) for row in trades] == [
            ("BTCUSDT", trade.contracts, trade.taker == "sell", trade.ts) for trade in quote.trades()
        ]
        orders = [row["o"] for topic, row in frames if topic == "btcusdt@forceOrder"]
        assert len(orders) == min(1, len(quote.liquidations()))
        for order in orders:
            forced += 1
            assert order["S"] == "SELL"  # the order that closed a long
            assert float(order["z"]) == max(trade.contracts for trade in quote.liquidations())
    assert forced >= 5
    assert list(protocol.pushes(wanted, model.now_ms + 500)) == []


def test_candles_page_from_their_start_or_from_now() -> None:
    model = market()
    model.step(START_MS + 150_000)
    protocol = protocol_of("binance_usdm", model)
    [quote] = [item for item in protocol.quotes if item.instrument.name == "ETHUSDT"]
    query, now_ms = {"symbol": "ETHUSDT", "interval": "1m"}, START_MS + 150_000
    _, rows = get(protocol, "/fapi/v1/markPriceKlines", now_ms, **query)
    assert [row[0] - START_MS for row in rows] == [-60_000, 0, 60_000, 120_000]
    assert [row[6] - row[0] for row in rows] == [59_999] * 4
    [point] = quote.past.points(START_MS + 60_000, START_MS + 60_000)
    assert float(rows[1][4]) == float(rows[2][1]) == point.mark
    assert all(float(row[3]) <= float(row[4]) <= float(row[2]) for row in rows)
    _, early = get(protocol, "/fapi/v1/markPriceKlines", now_ms, **query, startTime=str(START_MS), limit="1")
    assert [row[0] for row in early] == [START_MS]
    _, late = get(protocol, "/fapi/v1/indexPriceKlines", now_ms, pair="ETHUSDT", interval="1m", limit="1")
    assert (late[0][0], float(late[0][4])) == (START_MS + 120_000, quote.index)
    assert get(protocol, "/fapi/v1/markPriceKlines", now_ms, symbol="ETHUSDT", interval="7m")[1]["code"] == -1120
    assert get(protocol, "/fapi/v1/markPriceKlines", now_ms, **query, startTime="x")[1]["code"] == -1130
    assert get(protocol, "/fapi/v1/indexPriceKlines", now_ms, symbol="ETHUSDT", interval="1m")[1]["code"] == -1102


def test_candles_weigh_by_their_limit() -> None:
    protocol = protocol_of("binance_usdm")
    query = {"symbol": "ETHUSDT", "interval": "1m"}
    used = []
    for limit in ("99", "499", "1000", "1500"):
        answer = protocol.answer("GET", "/fapi/v1/markPriceKlines", {**query, "limit": limit}, "", START_MS)
        used.append(int(answer.headers["X-MBX-USED-WEIGHT-1M"]))
    assert used == [1, 3, 8, 18]


def test_statistics_have_a_limit_of_their_own_and_no_weight() -> None:
    protocol = protocol_of("binance_usdm")
    query = {"symbol": "BTCUSDT", "period": "5m"}
    answers = [
        protocol.answer("GET", "/futures/data/topLongShortAccountRatio", query, "", START_MS) for _ in range(1001)
    ]
    assert [answer.status for answer in answers[999:]] == [200, 429]
    assert answers[0].headers == {}
    assert protocol.answer("GET", "/futures/data/topLongShortAccountRatio", query, "", START_MS + 300_000).status == 200
    [row] = json.loads(answers[0].text)
    quote = protocol.quotes[0]
    assert float(row["longAccount"]) == quote.long_share("top_account")
    assert float(row["longAccount"]) + float(row["shortAccount"]) == pytest.approx(1.0)
    funding = [get(protocol, "/fapi/v1/fundingRate", symbol="BTCUSDT")[0] for _ in range(501)]
    assert funding[499:] == [200, 429]


def test_the_past_of_open_interest_and_funding() -> None:
    model = MarketModel(5, ("BTC",), START_MS - 30 * 3_600_000)
    model.step(START_MS)
    protocol = protocol_of("binance_usdm", model)
    quote = protocol.quotes[0]
    _, rows = get(protocol, "/futures/data/openInterestHist", symbol="BTCUSDT", period="5m", limit="500")
    newest = START_MS // 300_000 * 300_000
    assert rows[-1]["timestamp"] == newest - 300_000  # the five minutes under way are not there yet
    [point] = quote.past.points(newest, newest)
    assert float(rows[-1]["sumOpenInterest"]) == point.contracts
    assert float(rows[-1]["sumOpenInterestValue"]) == pytest.approx(point.contracts * point.mark)
    _, settled = get(protocol, "/fapi/v1/fundingRate", symbol="BTCUSDT")
    assert [float(row["fundingRate"]) for row in settled] == [rate for _, rate in quote.settlements]
    late = [row["fundingTime"] - ts for row, (ts, _) in zip(settled, quote.settlements, strict=True)]
    assert all(0 <= ms < 17 for ms in late)
    assert any(late)


def test_topics_of_names_of_any_script_speak() -> None:
    """The real venue lists such coins, and its topics are their names in lower case."""
    protocol = protocol_of("binance_usdm", market(symbols=("BTC", "币安人生")))
    wanted = dict.fromkeys(["币安人生usdt@markPrice@1s", "BTCUSDT@markPrice@1s"])  # upper case is no topic
    assert [json.loads(frame.text)["s"] for frame in protocol.pushes(wanted, START_MS)] == ["币安人生USDT"]
