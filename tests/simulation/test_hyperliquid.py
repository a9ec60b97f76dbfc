from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from service.simulation.market import HOUR_MS
from service.simulation.protocol import Hangup
from tests.simulation.build import START_MS, beat, ends, protocol_of, receive, say, serving, session_of


def request(coin: str, method: str = "subscribe") -> dict[str, Any]:
    return {"method": method, "subscription": {"coin": coin, "type": "activeAssetCtx"}}


def post(kind: Any, path: str = "/info", method: str = "POST") -> tuple[int, Any]:
    answer = protocol_of("hyperliquid").answer(method, path, {}, json.dumps(kind), START_MS)
    return answer.status, json.loads(answer.text)


async def test_a_client_gets_ack_context_updates_and_pong() -> None:
    async with serving("hyperliquid") as (server, endpoints, clock), connect(endpoints.ws["main"]) as socket:
        await socket.send(json.dumps(request("kPEPE")))
        ack, first = await receive(socket), await receive(socket)
        assert ack == {
            "channel": "subscriptionResponse",
            "data": {"method": "subscribe", "subscription": {"type": "activeAssetCtx", "coin": "kPEPE"}},
        }
        assert (first["channel"], first["data"]["coin"]) == ("activeAssetCtx", "kPEPE")
        assert list(first["data"]["ctx"]) == [
            "funding", "openInterest", "prevDayPx", "dayNtlVlm", "premium", "oraclePx", "markPx", "midPx",
            "impactPxs", "dayBaseVlm",
        ]  # fmt: skip
        await beat(server, clock, 3)
        update = (await receive(socket))["data"]["ctx"]
        [quote] = [item for item in server.protocol.quotes if item.instrument.name == "kPEPE"]
        assert float(update["markPx"]) == quote.mark
        assert float(update["openInterest"]) == quote.contracts
        assert float(update["funding"]) == quote.rate
        assert all("e" not in update[key] for key in ("funding", "premium", "markPx"))
        await socket.send('{"method":"ping"}')
        assert await receive(socket) == {"channel": "pong"}


async def test_an_unknown_coin_cuts_the_socket_without_a_frame() -> None:
    async with serving("hyperliquid") as (_, endpoints, _clock), connect(endpoints.ws["main"]) as socket:
        await socket.send(json.dumps(request("BTC")))
        await receive(socket)
        await receive(socket)
        await socket.send(json.dumps(request("TON")))
        with pytest.raises(ConnectionClosed) as caught:
            await receive(socket)
        assert caught.value.rcvd is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"method":"subscribe","xsubscription":{"type":"bbo","coin":"SOL"}}',
        '{"method":"subscribe","subscription":{"type":"noSuchType","coin":"BTC"}}',
        '{"method":"subscribe","subscription":{"type":"activeAssetCtx","coin":1}}',
    ],
)
def test_bad_requests_get_an_error_that_echoes_them(text: str) -> None:
    protocol = protocol_of("hyperliquid")
    session = session_of(protocol, "/ws")
    assert say(protocol, session, text) == [
        {"channel": "error", "data": f"Error parsing JSON into valid websocket request: {text}"}
    ]
    assert not ends(say(protocol, session, request("BTC")))


def test_subscribing_and_unsubscribing_twice_are_errors() -> None:
    protocol = protocol_of("hyperliquid")
    session = session_of(protocol, "/ws")
    say(protocol, session, request("BTC"))
    assert say(protocol, session, request("BTC"))[0]["data"].startswith("Already subscribed: ")
    assert say(protocol, session, request("BTC", "unsubscribe"))[0]["channel"] == "subscriptionResponse"
    assert say(protocol, session, request("BTC", "unsubscribe"))[0]["data"].startswith("Already unsubscribed: ")


def test_nothing_is_pushed_while_nothing_changes() -> None:
    protocol = protocol_of("hyperliquid")
    wanted = {"BTC": None, "ETH": None}
    assert len(list(protocol.pushes(wanted, START_MS))) == 2
    assert list(protocol.pushes(wanted, START_MS + 1000)) == []
    protocol.model.step(START_MS + 2000)
    assert len(list(protocol.pushes(wanted, START_MS + 2000))) == 2
    assert list(protocol.pushes(wanted, START_MS + 2500)) == []


def test_a_connection_to_which_nothing_was_sent_for_a_minute_is_closed() -> None:
    protocol = protocol_of("hyperliquid")
    session = session_of(protocol, "/ws")
    assert protocol.watch(session, START_MS + 59_999) == []
    assert isinstance(protocol.watch(session, START_MS + 60_000)[0], Hangup)
    session.last_out_ms = START_MS + 50_000
    assert protocol.watch(session, START_MS + 60_000) == []


def test_info_answers() -> None:
    status, meta = post({"type": "meta"})
    names = [row["name"] for row in meta["universe"]]
    assert (status, names) == (200, ["BTC", "ETH", "SUI", "HYPE", "kPEPE", "SIMOLD"])
    assert meta["universe"][-1]["isDelisted"] is True
    _, [same, contexts] = post({"type": "metaAndAssetCtxs"})
    assert same == meta
    assert len(contexts) == len(names)
    assert (contexts[-1]["midPx"], contexts[-1]["openInterest"]) == (None, "0.0")
    _, predicted = post({"type": "predictedFundings"})
    [venue, row] = predicted[0][1][0]
    assert (venue, row["fundingIntervalHours"], row["nextFundingTime"]) == (
        "HlPerp",
        1,
        START_MS // 3_600_000 * 3_600_000,
    )


def test_info_errors() -> None:
    assert post({"type": "nonsense"})[0] == 422
    assert post([1])[0] == 422
    assert post({"type": "meta"}, path="/nothing")[0] == 404
    assert post({"type": "meta"}, method="GET")[0] == 405


def test_there_is_no_socket_elsewhere() -> None:
    assert protocol_of("hyperliquid").accept("/", {}, "c", START_MS) is None


def trades_of(coin: str, method: str = "subscribe") -> dict[str, Any]:
    return {"method": method, "subscription": {"type": "trades", "coin": coin}}


def test_trades_come_in_lists_and_the_last_thirty_are_replayed_without_a_mark() -> None:
    protocol = protocol_of("hyperliquid")
    session = session_of(protocol, "/ws")
    ack = say(protocol, session, trades_of("kPEPE"))[0]
    assert ack["data"]["subscription"] == {"type": "trades", "coin": "kPEPE"}
    assert say(protocol, session, trades_of("kPEPE"))[0]["data"].startswith("Already subscribed")
    [quote] = [item for item in protocol.quotes if item.instrument.name == "kPEPE"]
    told: list[dict[str, Any]] = []
    for half in range(1, 121):
        protocol.model.step(START_MS + half * 500 // 1000 * 1000)
        frames = list(protocol.pushes(session.topics, START_MS + half * 500))
        assert len(frames) == (0 if half % 2 or not quote.trades() else 1)
        for frame in frames:
            message = json.loads(frame.text)
            assert message["channel"] == "trades"
            told += message["data"]
            fills = [("B" if fill.taker == "buy" else "A", fill.price, fill.contracts) for fill in quote.trades()]
            assert [(row["side"], float(row["px"]), float(row["sz"])) for row in message["data"]] == fills
    assert len({(row["time"], row["coin"], row["tid"]) for row in told}) == len(told) > 30
    assert any(set(row["hash"]) == {"0", "x"} for row in told)
    [_, replay] = say(protocol, session_of(protocol, "/ws"), trades_of("kPEPE"), START_MS + 60_000)
    assert set(replay) == {"channel", "data"}
    assert replay["data"] == told[-30:]
    say(protocol, session, trades_of("kPEPE", "unsubscribe"))
    assert session.topics == {}
    assert ends(say(protocol, session, trades_of("NOPE")))


def test_settled_funding_from_a_time_on() -> None:
    protocol = protocol_of("hyperliquid")
    now_ms = START_MS + 5 * HOUR_MS
    protocol.model.step(now_ms)
    [quote] = [item for item in protocol.quotes if item.instrument.name == "BTC"]

    def asked(**more: Any) -> tuple[int, Any]:
        body = json.dumps({"type": "fundingHistory", "coin": "BTC", **more})
        answer = protocol.answer("POST", "/info", {}, body, now_ms)
        return answer.status, json.loads(answer.text)

    _, rows = asked(startTime=START_MS + HOUR_MS)
    assert [float(row["fundingRate"]) for row in rows] == [rate for _, rate in list(quote.settlements)[-4:]]
    assert [row["time"] % HOUR_MS < 1000 for row in rows] == [True] * 4
    assert rows[0]["time"] < rows[-1]["time"]
    assert len(asked(startTime=START_MS, endTime=now_ms - 2 * HOUR_MS)[1]) == 3
    assert len(asked(startTime=0, endTime=now_ms)[1]) == 500  # of a month, the most of an answer
    assert asked()[0] == asked(startTime="x")[0] == 422
    assert asked(coin="NOPE", startTime=0) == (500, None)


async def test_the_eleventh_connection_gets_429() -> None:
    async with serving("hyperliquid") as (_, endpoints, _):
        sockets = [await connect(endpoints.ws["main"]) for _ in range(10)]
        with pytest.raises(InvalidStatus) as caught:
            await connect(endpoints.ws["main"])
        assert caught.value.response.status_code == 429
        for socket in sockets:
            await socket.close()
        await (await connect(endpoints.ws["main"])).close()
