from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from typing import Any

import pytest
from websockets.asyncio.client import connect

from service.simulation.market import HOUR_MS, MarketModel
from service.simulation.protocol import Hangup
from tests.simulation.build import START_MS, beat, get, market, protocol_of, receive, say, serving, session_of, shown

PATH = "/realtime"


def subscribe(*topics: str) -> dict[str, Any]:
    return {"op": "subscribe", "args": list(topics)}


def quote_of(protocol: Any, name: str) -> Any:
    [quote] = [item for item in protocol.quotes if item.instrument.name == name]
    return quote


def rows(frames: Any) -> list[tuple[str, dict[str, Any]]]:
    """(action, row) of pushed frames."""
    found = []
    for frame in frames:
        message = json.loads(frame.text)
        found += [(message["action"], row) for row in message["data"]]
    return found


async def test_a_client_is_welcomed_gets_ack_partial_and_then_changes() -> None:
    async with serving("bitmex") as (server, endpoints, clock), connect(endpoints.ws["realtime"]) as socket:
        assert (await receive(socket))["info"] == "Welcome to the BitMEX Realtime API."
        request = subscribe("instrument:XBTUSD", "trade:XBTUSD")
        await socket.send(json.dumps(request))
        ack, partial, second = [await receive(socket) for _ in range(3)]
        assert ack == {"success": True, "subscribe": "instrument:XBTUSD", "request": request}
        assert (second["subscribe"], second["pool"]) == ("trade:XBTUSD", "Aggregated")  # data between the acks
        assert (await receive(socket))["filter"] == {"pool": "Aggregated", "symbol": "XBTUSD"}
        assert (partial["table"], partial["action"], partial["filter"]) == (
            "instrument",
            "partial",
            {"symbol": "XBTUSD"},
        )
        [row] = partial["data"]
        assert partial["keys"] == ["symbol"]
        assert None not in row.values()  # null fields are left out
        await socket.send("ping")
        assert await receive(socket) == "pong"
        await beat(server, clock)
        quote = quote_of(server.protocol, "XBTUSD")
        update = (await receive(socket))["data"][0]
        assert (update["markPrice"], update["indicativeSettlePrice"]) == (quote.mark, quote.index)
        assert "openInterest" not in update
        assert "multiplier" not in update


def test_contracts_and_their_value_by_kind() -> None:
    protocol = protocol_of("bitmex")
    listed = {row["symbol"]: row for row in get(protocol, "/api/v1/instrument/active")[1]}
    inverse, linear, quanto = (listed[name] for name in ("XBTUSD", "XBTUSDT", "ETHUSD"))
    assert (inverse["isInverse"], inverse["multiplier"], inverse["settlCurrency"]) == (True, -100_000_000, "XBt")
    assert inverse["openValue"] / 1e8 == pytest.approx(inverse["openInterest"] / inverse["markPrice"])
    assert linear["settlCurrency"] == "USDt"
    coins = linear["openInterest"] / linear["underlyingToPositionMultiplier"]
    assert coins == pytest.approx(quote_of(protocol, "XBTUSDT").coins)
    assert linear["openValue"] / 1e6 == pytest.approx(coins * linear["markPrice"])
    assert (quanto["isQuanto"], quanto["multiplier"]) == (True, 100)
    assert quanto["openValue"] / 1e8 == pytest.approx(quanto["openInterest"] * quanto["markPrice"] * 100 / 1e8)
    dollars = quanto["openValue"] / 1e8 * inverse["indicativeSettlePrice"]
    assert dollars / quanto["markPrice"] == pytest.approx(quote_of(protocol, "ETHUSD").coins, rel=1e-6)


def test_open_interest_comes_apart_and_without_a_time() -> None:
    protocol = protocol_of("bitmex")
    session = session_of(protocol, PATH)
    say(protocol, session, subscribe("instrument:XBTUSD"))
    told, at = [], []
    for second in range(1, 121):
        protocol.model.step(START_MS + second * 1000)
        for action, row in rows(protocol.pushes(session.topics, START_MS + second * 1000)):
            assert action == "update"
            if "openInterest" in row:
                assert set(row) == {"symbol", "openInterest"}
                assert row["openInterest"] == round(quote_of(protocol, "XBTUSD").contracts)
                told.append(row["openInterest"])
                at.append(second)
            else:
                assert "timestamp" in row
    gaps = [after - before for before, after in pairwise(at)]
    assert (min(gaps) >= 2, max(gaps) <= 9, len(set(told)) > 5) == (True, True, True)


def test_the_rate_is_fixed_until_it_is_charged_and_then_a_funding_row_says_so() -> None:
    protocol = protocol_of("bitmex", market(symbols=("BTC",)))
    session = session_of(protocol, PATH)
    quote = quote_of(protocol, "XBTUSD")
    first = say(protocol, session, subscribe("instrument:XBTUSD", "funding"))[1]["data"][0]
    assert first["fundingRate"] == quote.told_rate
    assert (first["fundingInterval"], first["fundingTimestamp"]) == (
        "2000-01-01T08:00:00.000Z",
        "2025-11-21T12:00:00.000Z",
    )
    settles_ms = quote.next_ts
    protocol.model.step(settles_ms - 1000)
    before = rows(protocol.pushes(session.topics, settles_ms - 1000))
    assert all("fundingRate" not in row for _, row in before)
    protocol.model.step(settles_ms)
    after = rows(protocol.pushes(session.topics, settles_ms))
    [(action, charged)] = [
        (action, row) for action, row in after if "fundingRateDaily" in row and row["symbol"] == "XBTUSD"
    ]
    assert action == "insert"
    assert (charged["timestamp"], charged["fundingRate"]) == ("2025-11-21T12:00:00.000Z", first["fundingRate"])
    assert charged["fundingRateDaily"] == pytest.approx(3 * charged["fundingRate"])
    [changed] = [row for _, row in after if "fundingTimestamp" in row]
    assert changed["fundingTimestamp"] == "2025-11-21T20:00:00.000Z"
    assert {**first, **changed}["fundingRate"] == quote.told_rate


@pytest.mark.parametrize(
    ("request_text", "error"),
    [
        ("{", "Unrecognized request"),
        ('{"op":"dance"}', "Unrecognized request"),
        ('{"op":"subscribe"}', "args is required"),
        (json.dumps(subscribe("instrument:XBTUSD", "nope:XBTUSD")), "Unknown table: nope"),
        (json.dumps(subscribe("instrument:XBTUSD", "trade:XBTZ20")), "Unknown or expired symbol: XBTZ20"),
        (json.dumps(subscribe(*["instrument:XBTUSD"] * 21)), "Too many args sent. Max length is 20"),
    ],
)
def test_a_bad_request_or_topic_fails_as_a_whole(request_text: str, error: str) -> None:
    protocol = protocol_of("bitmex")
    session = session_of(protocol, PATH)
    [reply] = say(protocol, session, request_text)
    assert reply["status"] == 400
    assert reply["error"].startswith(error)
    assert session.topics == {}


def test_a_bare_topic_all_instruments_and_unsubscribing() -> None:
    protocol = protocol_of("bitmex")
    session = session_of(protocol, PATH)
    ack, partial = say(protocol, session, {"op": "subscribe", "args": "instrument"})
    assert ack["subscribe"] == "instrument"
    assert {row["symbol"] for row in partial["data"]} >= {"XBTUSD", "ETHUSD", "XBTZ26", "XBT_USDT"}
    assert [item["success"] for item in say(protocol, session, subscribe("instrument"))] == [True]  # and no partial
    assert say(protocol, session, {"op": "unsubscribe", "args": ["instrument"]})[0]["unsubscribe"] == "instrument"
    assert session.topics == {}


def test_sixty_connections_an_hour() -> None:
    protocol = protocol_of("bitmex")
    for _ in range(60):
        assert "info" in shown(protocol.greeting(session_of(protocol, PATH), START_MS)[0])
    session = protocol.accept(PATH, {}, "c61", START_MS + 1_800_000)
    assert session is not None
    refusal, end = protocol.greeting(session, START_MS + 1_800_000)
    assert (shown(refusal)["status"], shown(refusal)["meta"]) == (429, {"retryAfter": 1801})
    assert isinstance(end, Hangup)
    later = protocol.accept(PATH, {}, "c62", START_MS + HOUR_MS)
    assert later is not None
    assert "info" in shown(protocol.greeting(later, START_MS + HOUR_MS)[0])


def flushed() -> MarketModel:
    model = MarketModel(5, ("BTC",), START_MS - HOUR_MS, ("bitmex",))
    model.stage(START_MS - 180_000)
    model.step(START_MS)
    return model


def test_liquidation_orders_rest_change_and_go() -> None:
    model = flushed()
    protocol = protocol_of("bitmex", model)
    session = session_of(protocol, PATH)
    ack, partial = say(protocol, session, subscribe("liquidation"))
    assert (ack["subscribe"], partial["keys"], partial["data"]) == ("liquidation", ["orderID"], [])
    orders: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    liquidated: dict[tuple[str, int], float] = {}
    for second in range(1, 62):
        model.step(START_MS + second * 1000)
        for action, row in rows(protocol.pushes(session.topics, START_MS + second * 1000)):
            orders[row["orderID"]].append((action, row))
        for quote in protocol.quotes:
            for trade in quote.liquidations():
                liquidated[quote.instrument.name, trade.number] = trade.contracts
    resting = [key for key, story in orders.items() if story[-1][0] != "delete"]
    mid = say(protocol, session_of(protocol, PATH), subscribe("liquidation"))[1]["data"]
    assert [row["orderID"] for row in mid] == resting
    kinds = set()
    named = {(story[0][1]["symbol"], int(key[-12:], 16)): story for key, story in orders.items()}
    assert set(named) == set(liquidated)
    for key, story in named.items():
        assert story[0][0] == "insert"
        assert set(story[0][1]) == {"orderID", "symbol", "side", "price", "leavesQty"}
        sizes = [row["leavesQty"] for _, row in story if "leavesQty" in row]
        if story[-1][0] == "delete":
            assert max(sizes) == liquidated[key]
            kinds.add("grows" if sizes[-1] > sizes[0] else "shrinks" if sizes[-1] < sizes[0] else "stays")
    assert kinds == {"grows", "shrinks", "stays"}
    assert sum(story[0][1]["side"] == "Sell" for story in orders.values()) > 10


def test_trades_have_their_worth_and_index_prints_are_no_trades() -> None:
    protocol = protocol_of("bitmex")
    session = session_of(protocol, PATH)
    say(protocol, session, subscribe("trade"))
    told: dict[str, dict[str, Any]] = {}
    prints = []
    for second in range(1, 61):
        protocol.model.step(START_MS + second * 1000)
        for action, row in rows(protocol.pushes(session.topics, START_MS + second * 1000)):
            assert action == "insert"
            if row["trdType"] == "Referential":
                prints.append(row)
            else:
                told[row["symbol"]] = row
                quote = quote_of(protocol, row["symbol"])
                coins = row["size"] * quote.coins_each(row["price"])
                assert row["homeNotional"] == pytest.approx(coins)
                assert row["foreignNotional"] == pytest.approx(coins * row["price"])
    assert {row["symbol"] for row in prints} == {".BXBT", ".BXBTT", ".BETH", ".BETHT", ".BSUIT"}
    assert {row["size"] for row in prints} == {0}
    assert told["XBTUSD"]["grossValue"] == pytest.approx(told["XBTUSD"]["homeNotional"] * 1e8, abs=1)
    assert told["ETHUSDT"]["grossValue"] == pytest.approx(told["ETHUSDT"]["foreignNotional"] * 1e6, abs=1)
    quanto = told["ETHUSD"]
    assert quanto["grossValue"] == pytest.approx(quanto["size"] * quanto["price"] * 100, abs=1)


def test_http_answers_and_errors() -> None:
    protocol = protocol_of("bitmex")
    protocol.model.step(START_MS + 20 * HOUR_MS)
    assert [row["symbol"] for row in get(protocol, "/api/v1/instrument", symbol="XBTUSD")[1]] == ["XBTUSD"]
    quote = quote_of(protocol, "XBTUSD")
    _, past = get(protocol, "/api/v1/funding", symbol="XBTUSD", count="2", reverse="true")
    assert [row["fundingRate"] for row in past] == [rate for _, rate in list(quote.settlements)[:-3:-1]]
    assert [row["timestamp"] for row in past] == ["2025-11-22T04:00:00.000Z", "2025-11-21T20:00:00.000Z"]
    _, since = get(protocol, "/api/v1/funding", symbol="XBTUSD", startTime="2025-11-22")
    assert [row["timestamp"] for row in since] == ["2025-11-22T04:00:00.000Z"]
    assert get(protocol, "/api/v1/funding", count="501")[0] == 400
    assert get(protocol, "/api/v1/funding", startTime="yesterday")[1]["error"]["name"] == "HTTPError"
    assert get(protocol, "/api/v1/nothing")[0] == 404
    assert protocol.answer("POST", "/api/v1/instrument", {}, "", START_MS).status == 405
    assert protocol.accept("/realtimePlatform", {}, "c", START_MS) is None
