from __future__ import annotations

import json
from typing import Any

import pytest

from service.simulation.market import MarketModel
from service.simulation.protocol import Frame
from tests.simulation.build import START_MS, SYMBOLS, ends, get, market, protocol_of, say, session_of

FUTURES = "/api/v4/futures/usdt"


def asked(channel: str, *payload: str, event: str = "subscribe") -> dict[str, Any]:
    return {"time": START_MS // 1000, "id": 7, "channel": channel, "event": event, "payload": list(payload)}


def cascading() -> MarketModel:
    model = MarketModel(5, SYMBOLS, START_MS - 3_600_000)
    model.stage(START_MS - 120_000)
    model.step(START_MS)
    return model


def test_a_subscription_is_acknowledged_with_its_number() -> None:
    protocol = protocol_of("gate")
    session = session_of(protocol, "/v4/ws/usdt")
    [ack] = say(protocol, session, asked("futures.tickers", "BTC_USDT"))
    assert (ack["id"], ack["channel"], ack["event"], ack["payload"]) == (
        7,
        "futures.tickers",
        "subscribe",
        ["BTC_USDT"],
    )
    assert ack["result"] == {"status": "success"}
    assert "error" not in ack
    assert (ack["time"], ack["time_ms"]) == (START_MS // 1000, START_MS)
    say(protocol, session, asked("futures.tickers", "BTC_USDT", event="unsubscribe"))
    assert session.topics == {}


def test_one_unknown_contract_fails_the_whole_request() -> None:
    protocol = protocol_of("gate")
    session = session_of(protocol, "/v4/ws/usdt")
    for request in (
        asked("futures.tickers", "BTC_USDT", "NOPE_USDT"),
        asked("futures.tickers", "BTC_USD"),  # is on the other socket
        asked("futures.nothing", "BTC_USDT"),
        asked("futures.contract_stats", "BTC_USDT"),
    ):
        [reply] = say(protocol, session, request)
        assert reply["error"]["code"] == 2
        assert reply["result"] == {"status": "fail"}
    assert session.topics == {}
    assert say(protocol, session, "{")[0]["error"]["code"] == 1
    assert say(protocol, session_of(protocol, "/v4/ws/btc"), asked("futures.tickers", "BTC_USD"))[0]["id"] == 7


def test_a_ticker_tells_everything_in_contracts_seconds_and_text() -> None:
    protocol = protocol_of("gate")
    quotes = {quote.instrument.name: quote for quote in protocol.quotes}
    topics = dict.fromkeys(["usdt|futures.tickers|PEPE_USDT", "btc|futures.tickers|BTC_USD"])
    assert list(protocol.pushes(topics, START_MS + 500)) == []
    frames = [json.loads(frame.text) for frame in protocol.pushes(topics, START_MS)]
    assert [(frame["channel"], frame["event"]) for frame in frames] == [("futures.tickers", "update")] * 2
    [pepe], [inverse] = (frame["result"] for frame in frames)
    quote = quotes["PEPE_USDT"]
    assert int(pepe["total_size"]) * 10_000.0 == pytest.approx(2 * quote.coins)  # both sides
    assert (float(pepe["mark_price"]), float(pepe["index_price"])) == (quote.mark, quote.index)
    assert pepe["funding_rate"] == pepe["funding_rate_indicative"]
    assert float(pepe["funding_rate"]) == quote.rate
    assert (pepe["funding_interval"], pepe["funding_next_apply"] * 1000) == (28_800, quote.next_ts)
    assert START_MS - 1000 < pepe["t"] < START_MS
    assert int(inverse["total_size"]) == 2 * quotes["BTC_USD"].contracts  # dollars


def test_trades_are_signed_and_takeovers_are_internal() -> None:
    model = cascading()
    protocol = protocol_of("gate", model)
    [quote] = [item for item in protocol.quotes if item.instrument.name == "BTC_USDT"]
    internal = 0
    for second in range(1, 61):
        model.step(START_MS + second * 1000)
        rows = [
            row
            for frame in protocol.pushes({"usdt|futures.trades|BTC_USDT": None}, model.now_ms)
            for row in json.loads(frame.text)["result"]
        ]
        assert len({row["id"] for row in rows}) == len(rows)
        taken = [row for row in rows if "is_internal" not in row]
        internal += len(rows) - len(taken)
        assert [int(row["size"]) for row in taken] == [
            round(trade.contracts) * (1 if trade.taker == "buy" else -1) for trade in quote.trades()
        ]
        assert all(row["create_time_ms"] // 1000 == row["create_time"] for row in rows)
    assert internal >= 3


def test_liquidations_of_all_contracts_come_in_one_array_signed_as_orders() -> None:
    model = cascading()
    protocol = protocol_of("gate", model)
    session = session_of(protocol, "/v4/ws/usdt")
    say(protocol, session, asked("futures.public_liquidates", "!all"))
    told: list[tuple[str, int, int]] = []
    forced: list[tuple[str, int, int]] = []
    for second in range(1, 61):
        model.step(START_MS + second * 1000)
        for frame in protocol.pushes(session.topics, model.now_ms):
            told += [(row["contract"], int(row["size"]), row["time"]) for row in json.loads(frame.text)["result"]]
        for quote in protocol.quotes:
            if not quote.instrument.inverse:
                for trade in quote.liquidations():
                    sign = -1 if trade.liquidated == "long" else 1
                    forced.append((quote.instrument.name, round(trade.contracts) * sign, trade.ts))
    assert told == forced
    assert {size < 0 for name, size, _ in told if name == "BTC_USDT"} == {True}


def test_statistics_are_pushed_at_the_end_of_their_period() -> None:
    model = market()
    protocol = protocol_of("gate", model)
    session = session_of(protocol, "/v4/ws/usdt")
    say(protocol, session, asked("futures.contract_stats", "ETH_USDT", "1m"))
    model.step(START_MS + 59_000)
    assert list(protocol.pushes(session.topics, START_MS + 59_000)) == []
    model.step(START_MS + 60_000)
    [frame] = protocol.pushes(session.topics, START_MS + 60_000)
    row = json.loads(frame.text)["result"]
    [quote] = [item for item in protocol.quotes if item.instrument.name == "ETH_USDT"]
    assert (row["contract"], int(row["open_interest"])) == ("ETH_USDT", 2 * quote.contracts)
    ratio = row["lsr_account"]
    assert ratio / (1 + ratio) == pytest.approx(quote.long_share("account"))


def test_pings_are_answered_and_a_socket_without_subscriptions_is_closed() -> None:
    protocol = protocol_of("gate")
    session = session_of(protocol, "/v4/ws/usdt")
    [pong] = say(protocol, session, {"channel": "futures.ping"})
    assert (pong["channel"], pong["event"], pong["result"]) == ("futures.pong", "", None)
    assert protocol.watch(session, START_MS + 29_999) == []
    assert ends(protocol.watch(session, START_MS + 30_000))
    say(protocol, session, asked("futures.tickers", "BTC_USDT"))
    assert protocol.watch(session, START_MS + 30_000) == []
    assert protocol.accept("/v4/ws/delivery/usdt", {}, "c", START_MS) is None


def test_contracts() -> None:
    protocol = protocol_of("gate")
    status, rows = get(protocol, FUTURES + "/contracts")
    assert status == 200
    named = {row["name"]: row for row in rows}
    assert named["SIMOLD_USDT"]["in_delisting"] is True
    assert named["SIMSTOCK_USDT"]["contract_type"] == "stocks"
    assert named["BTC_USDT"]["quanto_multiplier"] == "0.0001"
    assert named["PEPE_USDT"]["quanto_multiplier"] == "10000000"
    assert (named["BTC_USDT"]["funding_interval"], named["SUI_USDT"]["funding_interval"]) == (28_800, 14_400)
    assert [row["quanto_multiplier"] for row in get(protocol, "/api/v4/futures/btc/contracts")[1]] == ["0"]
    assert get(protocol, FUTURES + "/contracts/ETH_USDT")[1]["name"] == "ETH_USDT"
    assert get(protocol, FUTURES + "/contracts/NOPE_USDT")[1]["label"] == "CONTRACT_NOT_FOUND"
    _, tickers = get(protocol, FUTURES + "/tickers")
    assert len(tickers) == len(named) - 2
    assert "funding_interval" not in tickers[0]
    assert len(get(protocol, FUTURES + "/tickers", contract="BTC_USDT")[1]) == 1


def test_candles_are_of_mark_or_index() -> None:
    model = market()
    model.step(START_MS + 150_000)
    protocol = protocol_of("gate", model)
    [quote] = [item for item in protocol.quotes if item.instrument.name == "ETH_USDT"]
    now_ms, minute = START_MS + 150_000, {"interval": "1m"}
    span = {"from": str(START_MS // 1000), "to": str(START_MS // 1000 + 60)}
    _, rows = get(protocol, FUTURES + "/candlesticks", now_ms, contract="mark_ETH_USDT", **minute, **span)
    assert [row["t"] * 1000 - START_MS for row in rows] == [0, 60_000]
    [point] = quote.past.points(START_MS + 120_000, START_MS + 120_000)
    assert float(rows[1]["c"]) == point.mark
    _, newest = get(protocol, FUTURES + "/candlesticks", now_ms, contract="index_ETH_USDT", **minute, limit="2")
    assert [row["t"] * 1000 - START_MS for row in newest] == [60_000, 120_000]
    assert float(newest[1]["c"]) == quote.index
    both = get(protocol, FUTURES + "/candlesticks", now_ms, contract="mark_ETH_USDT", **minute, **span, limit="2")
    assert (both[0], both[1]["label"]) == (400, "INVALID_PARAM_VALUE")
    assert get(protocol, FUTURES + "/candlesticks", now_ms, contract="mark_ETH_USDT", interval="7m")[0] == 400


def test_statistics_of_the_past_are_stamped_with_the_start_of_their_period() -> None:
    model = market()
    model.step(START_MS + 900_000)
    protocol = protocol_of("gate", model)
    [quote] = [item for item in protocol.quotes if item.instrument.name == "BTC_USDT"]
    query = {"contract": "BTC_USDT", "interval": "5m"}
    now_ms = START_MS + 900_000
    _, rows = get(protocol, FUTURES + "/contract_stats", now_ms, **query)
    for row in rows:
        [point] = quote.past.points(row["time"] * 1000 + 300_000, row["time"] * 1000 + 300_000)
        assert (row["open_interest"], row["mark_price"]) == (2 * point.contracts, point.mark)
        assert row["open_interest_usd"] == pytest.approx(2 * point.contracts * 0.0001 * point.mark)
    assert len(rows) == 3
    _, last = get(protocol, FUTURES + "/contract_stats", now_ms, **query, limit="1")
    assert last == rows[-1:]
    _, first = get(protocol, FUTURES + "/contract_stats", now_ms, **query, limit="1", **{"from": str(rows[0]["time"])})
    assert first == rows[:1]


def test_settled_rates_and_errors_and_the_limit() -> None:
    model = MarketModel(5, ("BTC",), START_MS - 30 * 3_600_000)
    model.step(START_MS)
    protocol = protocol_of("gate", model)
    quote = protocol.quotes[0]
    _, rows = get(protocol, FUTURES + "/funding_rate", contract="BTC_USDT", limit="2")
    assert [(row["t"] * 1000, float(row["r"])) for row in rows] == list(reversed(quote.settlements))[:2]
    assert get(protocol, FUTURES + "/funding_rate", contract="BTC_USDT", limit="1001")[0] == 400
    assert get(protocol, FUTURES + "/nothing")[0] == 404
    assert get(protocol, "/api/v4/spot/tickers")[0] == 404
    assert protocol.answer("POST", FUTURES + "/contracts", {}, "", START_MS).status == 404
    statuses = [get(protocol, FUTURES + "/tickers", START_MS + 10_000)[0] for _ in range(201)]
    assert statuses == [200] * 200 + [429]
    assert get(protocol, FUTURES + "/tickers", START_MS + 20_000)[0] == 200


def test_replies_are_frames_without_a_topic() -> None:
    protocol = protocol_of("gate")
    outs = protocol.received(session_of(protocol, "/v4/ws/usdt"), json.dumps(asked("futures.tickers", "BTC_USDT")), 0)
    assert [isinstance(out, Frame) and out.topic for out in outs] == [""]
