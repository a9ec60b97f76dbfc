from __future__ import annotations

import json
from typing import Any

import pytest

from service.simulation.market import MarketModel
from service.simulation.protocol import Frame, Hangup
from tests.simulation.build import START_MS, SYMBOLS, ends, get, market, protocol_of, say, session_of

MARKET = "/api/v2/mix/market/"


def asked(channel: str, name: str = "BTCUSDT", line: str = "USDT-FUTURES") -> dict[str, Any]:
    return {"op": "subscribe", "args": [{"instType": line, "channel": channel, "instId": name}]}


def test_a_ticker_is_acknowledged_and_comes_whole() -> None:
    protocol = protocol_of("bitget")
    [quote] = [item for item in protocol.quotes if item.instrument.name == "BTCUSD"]
    session = session_of(protocol, "/v2/ws/public")
    ack, push = say(protocol, session, asked("ticker", "BTCUSD", "COIN-FUTURES"))
    assert ack == {"event": "subscribe", "arg": asked("ticker", "BTCUSD", "COIN-FUTURES")["args"][0]}
    assert (push["action"], push["arg"], push["ts"]) == ("snapshot", ack["arg"], START_MS)
    [row] = push["data"]
    assert float(row["holdingAmount"]) == pytest.approx(quote.coins)  # coins, though it is inverse
    assert len(row["holdingAmount"].partition(".")[2]) == 13  # the noise of binary floats
    assert (float(row["markPrice"]), float(row["indexPrice"])) == (quote.mark, quote.index)
    assert (float(row["fundingRate"]), int(row["nextFundingTime"])) == (quote.rate, quote.next_ts)
    assert {key: type(value) for key, value in row.items()} == dict.fromkeys(row, str)
    assert "fundInterval" not in row


def test_tickers_come_every_second() -> None:
    protocol = protocol_of("bitget")
    topics = dict.fromkeys(["ticker:BTCUSDT", "ticker:ETHUSD"])
    assert list(protocol.pushes(topics, START_MS + 500)) == []
    assert [frame.topic for frame in protocol.pushes(topics, START_MS + 1000)] == list(topics)


def test_trades_begin_with_history_the_newest_first() -> None:
    model = market()
    protocol = protocol_of("bitget", model)
    [quote] = [item for item in protocol.quotes if item.instrument.name == "PEPEUSDT"]
    for second in range(1, 4):
        model.step(START_MS + second * 1000)
        quote.trades()
    now_ms = model.now_ms
    _, push = say(protocol, session_of(protocol, "/v2/ws/public"), asked("trade", "PEPEUSDT"), now_ms)
    assert push["action"] == "snapshot"
    times = [int(row["ts"]) for row in push["data"]]
    assert len(times) > len(quote.trades())
    assert times == sorted(times, reverse=True)
    model.step(now_ms + 1000)
    [frame] = protocol.pushes({"trade:PEPEUSDT": None}, now_ms + 1000)
    update = json.loads(frame.text)
    assert update["action"] == "update"
    rows = {row["tradeId"]: row for row in update["data"]}
    assert len(rows) == len(quote.trades()) >= 1
    for trade, row in zip(quote.trades(), reversed(update["data"]), strict=True):
        assert (row["side"], int(row["ts"])) == (trade.taker, trade.ts)
        assert float(row["size"]) == pytest.approx(trade.contracts)
        assert float(row["price"]) == pytest.approx(trade.price)


def test_liquidations_come_every_twenty_seconds_on_the_v3_socket_only() -> None:
    model = MarketModel(5, SYMBOLS, START_MS - 3_600_000)
    model.stage(START_MS - 120_000)
    model.step(START_MS)
    protocol = protocol_of("bitget", model)
    request = {"op": "subscribe", "args": [{"instType": "usdt-futures", "topic": "liquidation"}]}
    session = session_of(protocol, "/v3/ws/public")
    [ack] = say(protocol, session, request)
    assert ack == {"event": "subscribe", "arg": request["args"][0], "connId": "conn-1"}
    [refused] = say(protocol, session_of(protocol, "/v2/ws/public"), request)
    assert refused["code"] == 30001
    forced: dict[int, tuple[str, float]] = {}
    pushed: list[tuple[int, dict[str, Any]]] = []
    for second in range(1, 61):
        now_ms = START_MS + second * 1000
        model.step(now_ms)
        for quote in protocol.quotes:
            if quote.instrument.quote == "USDT":
                for trade in quote.liquidations():
                    forced[trade.ts * 1000 + len(forced)] = (quote.instrument.name, trade.contracts * trade.price)
        pushed += [(now_ms, json.loads(frame.text)) for frame in protocol.pushes(session.topics, now_ms)]
    assert [now_ms % 20_000 for now_ms, _ in pushed] == [0, 0, 0]
    rows = [row for _, frame in pushed for row in frame["data"]]
    told = sorted((row["symbol"], float(row["amount"])) for row in rows)
    assert told == [(name, pytest.approx(amount)) for name, amount in sorted(forced.values())]
    times = [int(row["ts"]) for row in rows]
    assert times != sorted(times)
    assert {row["side"] for row in rows if row["symbol"] == "BTCUSDT"} == {"buy"}  # longs


def test_a_bad_argument_does_not_touch_the_others() -> None:
    protocol = protocol_of("bitget")
    session = session_of(protocol, "/v2/ws/public")
    request = asked("ticker")
    request["args"] += [{"instType": "USDT-FUTURES", "channel": "ticker", "instId": "NOPE"}, "BTCUSDT"]
    ack, _, unknown, broken = say(protocol, session, request)
    assert ack["event"] == "subscribe"
    assert (unknown["event"], unknown["code"], unknown["op"]) == ("error", 30001, "subscribe")
    assert unknown["arg"]["instId"] == "NOPE"
    assert broken["code"] == 30016
    assert list(session.topics) == ["ticker:BTCUSDT"]
    assert say(protocol, session, asked("ticker", "BTCUSD", "USDT-FUTURES"))[0]["code"] == 30001  # another line
    assert say(protocol, session, {"op": "unsubscribe", "args": asked("ticker")["args"]})[0]["event"] == "unsubscribe"
    assert session.topics == {}
    assert say(protocol, session, "nonsense")[0]["code"] == 30003


def test_text_pings_keep_the_connection_alive_for_a_day() -> None:
    protocol = protocol_of("bitget")
    session = session_of(protocol, "/v2/ws/public")
    assert say(protocol, session, "ping", START_MS + 100_000) == ["pong"]
    say(protocol, session, asked("ticker"), START_MS + 200_000)  # is no ping
    assert protocol.watch(session, START_MS + 219_999) == []
    assert ends(protocol.watch(session, START_MS + 220_000))
    session.ping_ms = START_MS + 86_400_000
    assert ends(protocol.watch(session, START_MS + 86_400_000))


def test_messages_and_subscriptions_are_limited() -> None:
    protocol = protocol_of("bitget")
    session = session_of(protocol, "/v2/ws/public")
    flood = [protocol.received(session, "ping", START_MS) for _ in range(11)]
    assert flood[9] == [Frame("pong")]
    assert isinstance(flood[10][-1], Hangup)
    other = session_of(protocol, "/v2/ws/public")
    codes = [say(protocol, other, asked("ticker"), START_MS + n * 1000)[0].get("code") for n in range(241)]
    assert codes == [None] * 240 + [30006]
    assert say(protocol, other, asked("ticker"), START_MS + 3_601_000)[0]["event"] == "subscribe"


def test_contracts_hold_what_a_client_must_leave_out() -> None:
    protocol = protocol_of("bitget")
    _, answer = get(protocol, MARKET + "contracts", productType="usdt-futures")
    rows = {row["symbol"]: row for row in answer["data"]}
    assert (answer["code"], answer["requestTime"]) == ("00000", START_MS)
    assert rows["PEPEUSDT"]["baseCoin"] == "PEPE"
    assert (rows["BTCUSDT"]["fundInterval"], rows["SUIUSDT"]["fundInterval"]) == ("8", "4")
    assert rows["BTCUSDZ26"]["symbolType"] == "delivery"
    assert rows["SIMSTOCKUSDT"]["isRwa"] == "YES"
    assert rows["SIMOLDUSDT"]["symbolStatus"] == "off"
    _, usdc = get(protocol, MARKET + "contracts", productType="usdc-futures", symbol="BTCPERP")
    assert [(row["symbol"], row["quoteCoin"]) for row in usdc["data"]] == [("BTCPERP", "USDC")]


def test_candles_are_of_mark_or_index_and_end_with_the_running_one() -> None:
    model = market()
    model.step(START_MS + 150_000)
    protocol = protocol_of("bitget", model)
    [quote] = [item for item in protocol.quotes if item.instrument.name == "ETHUSDT"]
    query = {"symbol": "ETHUSDT", "productType": "usdt-futures", "granularity": "1m"}
    now_ms = START_MS + 150_000
    _, marks = get(protocol, MARKET + "candles", now_ms, **query, kLineType="MARK")
    assert [int(row[0]) - START_MS for row in marks["data"]] == [-60_000, 0, 60_000, 120_000]
    assert float(marks["data"][-1][4]) == quote.mark
    _, some = get(protocol, MARKET + "candles", now_ms, **query, kLineType="INDEX",
                  startTime=str(START_MS), endTime=str(START_MS + 120_000), limit="1000")  # fmt: skip
    assert [int(row[0]) - START_MS for row in some["data"]] == [0, 60_000]  # the end is not included
    _, index = get(protocol, MARKET + "history-index-candles", now_ms, **query, limit="1")
    assert float(index["data"][0][4]) == quote.index
    assert get(protocol, MARKET + "history-mark-candles", now_ms, **query, limit="201")[0] == 400
    assert get(protocol, MARKET + "candles", now_ms, **{**query, "granularity": "1min"})[0] == 400


def test_other_answers() -> None:
    protocol = protocol_of("bitget")
    [quote] = [item for item in protocol.quotes if item.instrument.name == "BTCUSDT"]
    one = {"symbol": "BTCUSDT", "productType": "usdt-futures"}
    _, interest = get(protocol, MARKET + "open-interest", **one)
    assert float(interest["data"]["openInterestList"][0]["size"]) == pytest.approx(quote.contracts)
    _, rate = get(protocol, MARKET + "current-fund-rate", **one)
    assert (rate["data"][0]["fundingRateInterval"], float(rate["data"][0]["fundingRate"])) == ("8", quote.rate)
    _, time = get(protocol, MARKET + "funding-time", **one)
    assert (time["data"][0]["ratePeriod"], int(time["data"][0]["nextFundingTime"])) == ("8", quote.next_ts)
    _, tickers = get(protocol, MARKET + "tickers", productType="coin-futures")
    assert [row["symbol"] for row in tickers["data"]] == ["BTCUSD", "ETHUSD"]
    _, ratio = get(protocol, MARKET + "account-long-short", symbol="BTCUSDT", period="5m")
    [row] = ratio["data"]
    assert float(row["longAccountRatio"]) == quote.long_share("account")
    assert float(row["longAccountRatio"]) + float(row["shortAccountRatio"]) == pytest.approx(1.0)


def test_http_errors_and_limits() -> None:
    protocol = protocol_of("bitget")
    assert get(protocol, "/api/v2/spot/market/tickers")[0] == 404
    assert get(protocol, MARKET + "nothing", productType="usdt-futures", symbol="BTCUSDT")[0] == 404
    assert get(protocol, MARKET + "contracts", productType="spot")[1]["code"] == "40020"
    assert get(protocol, MARKET + "tickers", productType="usdt-futures", symbol="NOPE")[1]["code"] == "40034"
    assert get(protocol, MARKET + "open-interest", productType="usdt-futures")[1]["code"] == "40019"
    assert protocol.answer("POST", MARKET + "contracts", {}, "", START_MS).status == 404
    fast = [get(protocol, MARKET + "account-long-short", START_MS + 1000, symbol="BTCUSDT")[0] for _ in range(3)]
    assert fast == [200, 200, 429]
    assert get(protocol, MARKET + "account-long-short", START_MS + 2000, symbol="BTCUSD")[0] == 400  # USDT only
    tickers = [get(protocol, MARKET + "tickers", START_MS + 3000, productType="usdt-futures")[0] for _ in range(21)]
    assert tickers == [200] * 20 + [429]
    assert protocol.accept("/v1/ws/public", {}, "c", START_MS) is None


def test_settled_rates_come_newest_first_in_pages() -> None:
    model = MarketModel(5, ("BTC",), START_MS - 30 * 3_600_000)
    model.step(START_MS)
    protocol = protocol_of("bitget", model)
    quote = protocol.quotes[0]
    query = {"symbol": "BTCUSDT", "productType": "usdt-futures", "pageSize": "2"}
    pages = [get(protocol, MARKET + "history-fund-rate", **query, pageNo=str(page))[1]["data"] for page in (1, 2, 3)]
    told = [(int(row["fundingTime"]), float(row["fundingRate"])) for page in pages for row in page]
    assert told == list(reversed(quote.settlements))[:6]
    last = get(protocol, MARKET + "history-fund-rate", **query | {"pageSize": "100"}, pageNo="2")[1]["data"]
    assert last == []  # a month of them, and no more
    assert len(quote.settlements) == 31 * 3 + 4
