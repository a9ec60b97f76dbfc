from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

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
