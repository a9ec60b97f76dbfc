from __future__ import annotations

import json

import pytest
from websockets.asyncio.client import connect

from service.simulation.market import HOUR_MS
from service.simulation.protocol import Frame, Hangup, ServerPing
from tests.simulation.build import START_MS, beat, ends, get, protocol_of, receive, say, serving, session_of

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
        assert len(all_["data"]) == len(server.protocol.quotes)


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
