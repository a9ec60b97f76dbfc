from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from service.simulation.protocol import Hangup
from tests.simulation.build import START_MS, beat, get, protocol_of, receive, say, serving, session_of

PATH = "/ws/v5/public"


def subscribe(*topics: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"op": "subscribe", "args": [{"channel": channel, "instId": name} for channel, name in topics], **more}


async def test_a_client_gets_one_ack_per_argument_and_first_data_of_each_channel() -> None:
    wanted = [
        ("mark-price", "BTC-USDT-SWAP"),
        ("index-tickers", "BTC-USDT"),
        ("funding-rate", "BTC-USDT-SWAP"),
        ("open-interest", "BTC-USDT-SWAP"),
    ]
    async with serving("okx") as (server, endpoints, clock), connect(endpoints.ws["public"]) as socket:
        await socket.send(json.dumps(subscribe(*wanted, id="perp")))
        messages = [await receive(socket) for _ in range(8)]
        for (channel, name), ack in zip(wanted, messages[:4], strict=True):
            assert list(ack) == ["id", "event", "arg", "connId"]
            assert (ack["id"], ack["event"], ack["arg"]) == ("perp", "subscribe", {"channel": channel, "instId": name})
        for (channel, name), data in zip(wanted, messages[4:], strict=True):
            assert data["arg"] == {"channel": channel, "instId": name}
            assert data["data"][0]["instId"] == name
            assert data["data"][0]["ts"] == str(START_MS)
        await socket.send("ping")
        assert await receive(socket) == "pong"
        await beat(server, clock)
        mark = await receive(socket)
        [quote] = [item for item in server.protocol.quotes if item.instrument.name == "BTC-USDT-SWAP"]
        assert mark["arg"]["channel"] == "mark-price"
        assert float(mark["data"][0]["markPx"]) == quote.mark


def test_funding_names_the_next_settlement_fundingtime() -> None:
    protocol = protocol_of("okx")
    replies = say(protocol, session_of(protocol, PATH), subscribe(("funding-rate", "SUI-USDT-SWAP")))
    row = replies[1]["data"][0]
    [quote] = [item for item in protocol.quotes if item.instrument.name == "SUI-USDT-SWAP"]
    assert int(row["fundingTime"]) == quote.next_ts
    assert int(row["nextFundingTime"]) - int(row["fundingTime"]) == 4 * 3_600_000
    assert (row["method"], row["nextFundingRate"], row["settState"]) == ("current_period", "", "settled")
    assert len(row) == 17


def test_open_interest_in_contracts_coins_and_dollars_agrees() -> None:
    protocol = protocol_of("okx")
    names = ("BTC-USDT-SWAP", "BTC-USD-SWAP", "PEPE-USDT-SWAP")
    replies = say(protocol, session_of(protocol, PATH), subscribe(*(("open-interest", name) for name in names)))
    rows = {reply["arg"]["instId"]: reply["data"][0] for reply in replies[3:]}
    for quote in protocol.quotes:
        item = quote.instrument
        if item.name in rows:
            row = {key: float(rows[item.name][key]) for key in ("oi", "oiCcy", "oiUsd")}
            assert row["oi"] == quote.contracts
            assert row["oiUsd"] == pytest.approx(row["oiCcy"] * quote.mark, rel=1e-9)
            assert (row["oiUsd"] if item.inverse else row["oiCcy"]) == pytest.approx(
                row["oi"] * item.native_size, rel=1e-9
            )


@pytest.mark.parametrize(
    "request_text", ["{", "[]", '{"op":"dance"}', '{"op":"subscribe"}', '{"op":"subscribe","args":[]}']
)
def test_bad_requests_get_60012_with_the_request(request_text: str) -> None:
    protocol = protocol_of("okx")
    [reply] = say(protocol, session_of(protocol, PATH), request_text)
    assert (reply["event"], reply["code"]) == ("error", "60012")
    assert request_text in reply["msg"]


def test_a_wrong_argument_fails_alone() -> None:
    protocol = protocol_of("okx")
    session = session_of(protocol, PATH)
    request = subscribe(
        ("mark-price", "NOPE-USDT-SWAP"), ("index-tickers", "BTC-USDT-SWAP"), ("mark-price", "ETH-USDT-SWAP")
    )
    replies = say(protocol, session, request)
    assert [reply.get("event") for reply in replies] == ["error", "error", "subscribe", None]
    assert [reply["code"] for reply in replies[:2]] == ["60018", "60018"]
    assert list(session.topics) == ["mark-price:ETH-USDT-SWAP"]
    [gone] = say(
        protocol, session, {"op": "unsubscribe", "args": [{"channel": "mark-price", "instId": "ETH-USDT-SWAP"}]}
    )
    assert gone["event"] == "unsubscribe"
    assert session.topics == {}


def test_480_operations_an_hour() -> None:
    protocol = protocol_of("okx")
    session = session_of(protocol, PATH)
    for _ in range(480):
        assert say(protocol, session, subscribe(("mark-price", "ETH-USDT-SWAP")))[0]["event"] == "subscribe"
    assert say(protocol, session, subscribe(("mark-price", "ETH-USDT-SWAP")))[0]["code"] == "60014"
    later = START_MS + 3_600_001
    assert say(protocol, session, subscribe(("mark-price", "ETH-USDT-SWAP")), later)[0]["event"] == "subscribe"


def test_unchanged_values_are_repeated_at_the_heartbeat_only() -> None:
    protocol = protocol_of("okx")
    wanted = {"mark-price:BTC-USDT-SWAP": None, "index-tickers:BTC-USDT": None}
    seen: dict[str, list[int]] = {topic: [] for topic in wanted}
    for half in range(0, 242):
        for frame in protocol.pushes(wanted, START_MS + half * 500):
            seen[frame.topic].append(half // 2)
    assert seen == {"mark-price:BTC-USDT-SWAP": list(range(0, 121, 10)), "index-tickers:BTC-USDT": [0, 60, 120]}


def test_funding_and_open_interest_keep_their_pace() -> None:
    protocol = protocol_of("okx")
    topics = {"funding-rate:BTC-USDT-SWAP": None, "open-interest:BTC-USDT-SWAP": None}
    at: dict[str, list[int]] = {topic: [] for topic in topics}
    for half in range(3600):
        for frame in protocol.pushes(topics, START_MS + half * 500):
            at[frame.topic].append(half * 500)
    for topic, (least, most) in zip(topics, ((30_000, 90_500), (3_000, 10_500)), strict=True):
        gaps = [after - before for before, after in zip(at[topic], at[topic][1:], strict=False)]
        assert least <= min(gaps)
        assert max(gaps) <= most
        assert len(set(gaps)) > 3


def test_quiet_or_aimless_connections_are_closed() -> None:
    protocol = protocol_of("okx")
    aimless, quiet = session_of(protocol, PATH), session_of(protocol, PATH)
    say(protocol, quiet, subscribe(("mark-price", "ETH-USDT-SWAP")), START_MS + 1000)
    aimless.last_in_ms = START_MS + 29_000
    assert protocol.watch(aimless, START_MS + 29_999) == []
    assert isinstance(protocol.watch(aimless, START_MS + 30_000)[0], Hangup)
    assert protocol.watch(quiet, START_MS + 30_999) == []
    assert isinstance(protocol.watch(quiet, START_MS + 31_000)[0], Hangup)
    say(protocol, quiet, "ping", START_MS + 30_999)
    assert protocol.watch(quiet, START_MS + 31_000) == []


def test_http_answers() -> None:
    protocol = protocol_of("okx")
    _, instruments = get(protocol, "/api/v5/public/instruments", instType="SWAP")
    rows = {row["instId"]: row for row in instruments["data"]}
    assert [rows["BTC-USDT-SWAP"][key] for key in ("ctVal", "ctMult", "ctValCcy", "ctType", "uly", "state")] == [
        "0.01",
        "1",
        "BTC",
        "linear",
        "BTC-USDT",
        "live",
    ]
    assert [rows["BTC-USD-SWAP"][key] for key in ("ctVal", "ctValCcy", "ctType", "settleCcy")] == [
        "100",
        "USD",
        "inverse",
        "BTC",
    ]
    assert (rows["PEPE-USDT-SWAP"]["ctVal"], rows["SIMOLD-USDT-SWAP"]["state"]) == ("10000000", "suspend")
    assert "HYPE-USDT-SWAP" not in rows
    swaps = len(protocol.quotes)
    assert len(get(protocol, "/api/v5/public/open-interest", instType="SWAP")[1]["data"]) == swaps
    assert len(get(protocol, "/api/v5/public/mark-price", instType="SWAP")[1]["data"]) == swaps
    assert len(get(protocol, "/api/v5/public/funding-rate", instId="ANY")[1]["data"]) == swaps
    assert len(get(protocol, "/api/v5/public/funding-rate", instId="BTC-USD-SWAP")[1]["data"]) == 1
    assert [row["instId"] for row in get(protocol, "/api/v5/market/index-tickers", quoteCcy="USD")[1]["data"]] == [
        "BTC-USD",
        "ETH-USD",
    ]
    assert get(protocol, "/api/v5/public/time")[1]["data"] == [{"ts": str(START_MS)}]


def test_http_errors() -> None:
    protocol = protocol_of("okx")
    assert get(protocol, "/api/v5/public/instruments")[1]["code"] == "50014"
    assert get(protocol, "/api/v5/public/funding-rate")[1]["code"] == "50014"
    assert get(protocol, "/api/v5/market/index-tickers")[1]["code"] == "50014"
    assert get(protocol, "/api/v5/public/instruments", instType="MOON")[1]["code"] == "51000"
    assert get(protocol, "/api/v5/public/open-interest", instType="SWAP", instId="NOPE")[1]["code"] == "51001"
    assert get(protocol, "/api/v5/nothing")[0] == 404
    assert protocol.answer("POST", "/api/v5/public/time", {}, "", START_MS).status == 405
