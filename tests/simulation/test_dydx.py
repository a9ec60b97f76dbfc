from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from service.config import DEFAULT_SYMBOLS
from service.simulation.market import HOUR_MS, MarketModel
from service.simulation.protocol import Frame, Hangup, ServerPing
from tests.simulation.build import START_MS, beat, get, market, protocol_of, receive, say, serving, session_of

PATH = "/v4/ws"


def subscribe(channel: str, name: str | None = None, batched: bool = True) -> dict[str, Any]:
    return {"type": "subscribe", "channel": channel, "batched": batched, **({} if name is None else {"id": name})}


def quote_of(protocol: Any, name: str) -> Any:
    [quote] = [item for item in protocol.quotes if item.instrument.name == name]
    return quote


def pushed(protocol: Any, session: Any, now_ms: int) -> list[dict[str, Any]]:
    """What a session gets of the pushes, as it gets them."""
    protocol.model.step(now_ms // 1000 * 1000)
    frames = [frame for frame in protocol.pushes(session.topics, now_ms) if frame.topic in session.topics]
    return [json.loads(protocol.wrap(session, frame)) for frame in frames]


async def test_a_client_is_connected_subscribed_with_a_snapshot_and_then_gets_batches() -> None:
    async with serving("dydx") as (server, endpoints, clock), connect(endpoints.ws["indexer"]) as socket:
        hello = await receive(socket)
        assert (hello["type"], hello["message_id"]) == ("connected", 0)
        await socket.send(json.dumps(subscribe("v4_markets")))
        snapshot = await receive(socket)
        assert list(snapshot)[:4] == ["type", "connection_id", "message_id", "channel"]
        assert (snapshot["type"], snapshot["message_id"], snapshot["channel"]) == ("subscribed", 1, "v4_markets")
        assert snapshot["connection_id"] == hello["connection_id"]
        row = snapshot["contents"]["markets"]["BTC-USD"]
        quote = quote_of(server.protocol, "BTC-USD")
        assert (float(row["oraclePrice"]), float(row["openInterest"])) == (quote.index, quote.coins)
        assert float(row["nextFundingRate"]) == quote.rate
        assert float(row["baseOpenInterest"]) != quote.coins  # deprecated, and elsewhere
        assert snapshot["contents"]["markets"]["SIMOLD-USD"]["status"] == "FINAL_SETTLEMENT"
        await beat(server, clock)
        batch = await receive(socket)
        assert (batch["type"], batch["message_id"]) == ("channel_batch_data", 2)
        [part] = batch["contents"]
        assert float(part["oraclePrices"]["BTC-USD"]["oraclePrice"]) == quote.mark
        assert part["oraclePrices"]["BTC-USD"]["effectiveAt"] == "2025-11-21T10:14:01.000Z"
        await socket.send('{"type":"ping"}')  # no answer
        await socket.send("{")
        assert (await receive(socket))["message"] == "Invalid message: could not parse"


def test_without_batches_contents_are_single_objects() -> None:
    protocol = protocol_of("dydx")
    session = session_of(protocol, PATH)
    say(protocol, session, subscribe("v4_markets", batched=False))
    [message] = pushed(protocol, session, START_MS + 1000)
    assert message["type"] == "channel_data"
    assert list(message["contents"]) == ["oraclePrices"]


def test_open_interest_and_funding_come_every_half_minute_and_only_what_changed() -> None:
    protocol = protocol_of("dydx", market(symbols=("BTC",)))
    session = session_of(protocol, PATH)
    say(protocol, session, subscribe("v4_markets"))
    ran = []
    for second in range(1, 121):
        for message in pushed(protocol, session, START_MS + second * 1000):
            for part in message["contents"]:
                row = part.get("trading", {}).get("BTC-USD")
                if row is not None:
                    ran.append((START_MS // 1000 + second) % 30)
                    assert set(row) <= {"priceChange24H", "volume24H", "trades24H", "nextFundingRate", "openInterest"}
                    assert "oraclePrice" not in row
                    if "openInterest" in row:
                        assert float(row["openInterest"]) == quote_of(protocol, "BTC-USD").contracts
    assert ran == [0, 0, 0, 0]


def test_an_unchanged_price_is_not_sent_again() -> None:
    protocol = protocol_of("dydx")
    session = session_of(protocol, PATH)
    say(protocol, session, subscribe("v4_markets"))
    assert len(pushed(protocol, session, START_MS)) == 1
    assert list(protocol.pushes(session.topics, START_MS + 1000)) == []


@pytest.mark.parametrize(
    ("request_text", "message"),
    [
        ("{", "Invalid message: could not parse"),
        ("{}", "Invalid message: type is required"),
        ('{"type":"foo"}', "Invalid message type: foo"),
        ('{"type":"subscribe","channel":"v3_markets"}', "Invalid channel: v3_markets"),
        ('{"type":"subscribe","channel":"v4_trades","id":"X"}', "Invalid subscription id for channel: (v4_trades-X)"),
        ('{"type":"subscribe","channel":"v4_trades"}', "Invalid subscription id for channel: (v4_trades-None)"),
    ],
)  # fmt: skip
def test_errors_have_a_number_too(request_text: str, message: str) -> None:
    protocol = protocol_of("dydx")
    [reply] = say(protocol, session_of(protocol, PATH), request_text)
    assert (reply["type"], reply["message"], reply["message_id"]) == ("error", message, 1)


def test_two_attempts_a_second_and_two_invalid_messages() -> None:
    protocol = protocol_of("dydx")
    session = session_of(protocol, PATH)
    say(protocol, session, subscribe("v4_markets"))
    again = say(protocol, session, subscribe("v4_markets"))
    assert again[0]["message"] == "Invalid subscribe message: already subscribed (v4_markets)"
    error, end = say(protocol, session, subscribe("v4_markets"))
    assert error["message"].startswith("Too many subscribe attempts for channel v4_markets.")
    assert end == Hangup(1008, '{"message":"Rate limited"}')
    other = session_of(protocol, PATH)
    assert len(say(protocol, other, "{")) == len(say(protocol, other, "{")) == 1
    assert say(protocol, other, "{", START_MS + 999)[1] == end
    assert len(say(protocol, other, "{", START_MS + 3000)) == 1


def test_thirty_two_markets_a_connection() -> None:
    symbols = (*DEFAULT_SYMBOLS, *(f"SIM{number}" for number in range(20)))
    protocol = protocol_of("dydx", MarketModel(5, symbols, START_MS, ("dydx",)))
    session = session_of(protocol, PATH)
    names = [quote.instrument.name for quote in protocol.quotes]
    for name in names[:32]:
        assert say(protocol, session, subscribe("v4_trades", name))[0]["type"] == "subscribed"
    [reply] = say(protocol, session, subscribe("v4_trades", names[32]))
    assert reply["message"] == "Per-connection subscription limit reached for v4_trades (limit=32)."
    assert reply["id"] == names[32]
    assert (
        say(protocol, session, {"type": "unsubscribe", "channel": "v4_trades", "id": names[0]})[0]["type"]
        == "unsubscribed"
    )
    assert say(protocol, session, subscribe("v4_trades", names[32]))[0]["type"] == "subscribed"
    assert say(protocol, session, subscribe("v4_markets"))[0]["type"] == "subscribed"  # counted by channel


def test_a_client_that_answers_no_ping_is_closed() -> None:
    protocol = protocol_of("dydx")
    session = session_of(protocol, PATH)
    assert protocol.watch(session, START_MS + 29_500) == []
    assert protocol.watch(session, START_MS + 30_000) == [ServerPing()]
    session.last_in_ms = START_MS + 30_400
    assert protocol.watch(session, START_MS + 59_500) == []
    assert protocol.watch(session, START_MS + 60_000) == [ServerPing()]
    assert protocol.watch(session, START_MS + 69_500) == []
    assert protocol.watch(session, START_MS + 70_000) == [Hangup(1011, "heartbeat timeout")]


def test_trades_are_replayed_newest_first_and_liquidations_have_their_type() -> None:
    model = MarketModel(5, ("BTC",), START_MS - HOUR_MS, ("dydx",))
    model.stage(START_MS - 180_000)
    model.step(START_MS)
    protocol = protocol_of("dydx", model)
    session = session_of(protocol, PATH)
    say(protocol, session, subscribe("v4_trades", "BTC-USD"))
    seen: list[dict[str, Any]] = []
    for second in range(1, 61):
        for message in pushed(protocol, session, START_MS + second * 1000):
            assert (message["channel"], message["id"]) == ("v4_trades", "BTC-USD")
            seen += [row for part in message["contents"] for row in part["trades"]]
    kinds = {(row["type"], row["side"]) for row in seen}
    assert ("LIQUIDATED", "SELL") in kinds
    assert {kind for kind, _ in kinds} == {"LIMIT", "LIQUIDATED"}
    assert len({row["id"] for row in seen}) == len(seen)
    other = session_of(protocol, PATH)
    [out] = protocol.received(other, json.dumps(subscribe("v4_trades", "BTC-USD")), START_MS + 60_000)
    assert isinstance(out, Frame)
    replayed = json.loads(protocol.wrap(other, out))["contents"]["trades"]
    assert replayed[0] == seen[-1]
    assert [row["createdAt"] for row in replayed] == sorted((row["createdAt"] for row in replayed), reverse=True)
    assert get(protocol, "/v4/trades/perpetualMarket/BTC-USD", limit="3")[1]["trades"] == replayed[:3]


def test_the_block_height_is_a_sign_of_life() -> None:
    protocol = protocol_of("dydx")
    session = session_of(protocol, PATH)
    assert say(protocol, session, subscribe("v4_block_height"))[0]["type"] == "subscribed"
    first, second = (pushed(protocol, session, START_MS + ms)[0]["contents"][0] for ms in (1000, 2000))
    assert int(second["blockHeight"]) == int(first["blockHeight"]) + 1


def test_the_past() -> None:
    protocol = protocol_of("dydx")
    now_ms = START_MS + 3 * HOUR_MS
    protocol.model.step(now_ms)
    quote = quote_of(protocol, "PEPE-USD")
    rates = get(protocol, "/v4/historicalFunding/PEPE-USD", now_ms)[1]["historicalFunding"]
    assert [float(row["rate"]) for row in rates] == [rate for _, rate in reversed(quote.settlements)]
    assert rates[0]["effectiveAt"] == "2025-11-21T13:00:00.219Z"
    [point] = quote.past.points(quote.settlements[-1][0], quote.settlements[-1][0])
    assert float(rates[0]["price"]) == point.index
    old = get(protocol, "/v4/historicalFunding/PEPE-USD", now_ms, effectiveBeforeOrAt="2025-11-21T12:30:00Z")[1]
    assert old["historicalFunding"] == rates[1:]
    query = {"resolution": "5MINS", "fromISO": "2025-11-21T12:00:00.000Z", "toISO": "2025-11-21T12:30:00.000Z"}
    candles = get(protocol, "/v4/candles/perpetualMarkets/PEPE-USD", now_ms, **query)[1]["candles"]
    assert [row["startedAt"][11:16] for row in candles] == ["12:25", "12:20", "12:15", "12:10", "12:05", "12:00"]
    noon = START_MS - START_MS % HOUR_MS + 2 * HOUR_MS
    [begin] = quote.past.points(noon, noon)
    [end] = quote.past.points(noon + 300_000, noon + 300_000)
    assert (float(candles[-1]["open"]), float(candles[-1]["close"])) == (begin.mark, end.mark)
    assert float(candles[-1]["startingOpenInterest"]) == begin.contracts


def test_http_answers_and_errors() -> None:
    protocol = protocol_of("dydx")
    assert list(get(protocol, "/v4/perpetualMarkets", market="BTC-USD")[1]["markets"]) == ["BTC-USD"]
    assert get(protocol, "/v4/time")[1] == {"iso": "2025-11-21T10:14:00.000Z", "epoch": START_MS / 1000}
    assert int(get(protocol, "/v4/height")[1]["height"]) > 0
    assert get(protocol, "/v4/perpetualMarkets", market="NOPE-USD")[0] == 400
    assert get(protocol, "/v4/historicalFunding/NOPE-USD")[1]["errors"][0]["param"] == "ticker"
    assert get(protocol, "/v4/historicalFunding/BTC-USD", limit="1001")[0] == 400
    assert get(protocol, "/v4/candles/perpetualMarkets/BTC-USD", resolution="7MIN")[0] == 400
    assert get(protocol, "/v4/candles/perpetualMarkets/BTC-USD", resolution="1MIN", fromISO="x")[0] == 400
    assert get(protocol, "/v4/nothing")[0] == get(protocol, "/v3/time")[0] == 404
    assert protocol.accept("/v3/ws", {}, "c", START_MS) is None
