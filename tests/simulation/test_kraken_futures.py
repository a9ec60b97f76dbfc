from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from service.simulation.market import HOUR_MS
from service.simulation.protocol import Hangup
from tests.simulation.build import START_MS, beat, ends, get, market, protocol_of, receive, say, serving, session_of

PATH = "/ws/v1"
CHARTS = "/api/charts/v1"


def subscribe(feed: str, *products: str) -> dict[str, Any]:
    return {"event": "subscribe", "feed": feed, "product_ids": list(products)}


def quote_of(protocol: Any, name: str) -> Any:
    [quote] = [item for item in protocol.quotes if item.instrument.name == name]
    return quote


async def test_a_client_is_greeted_gets_an_ack_per_product_and_a_ticker_a_second() -> None:
    async with serving("kraken_futures") as (server, endpoints, clock), connect(endpoints.ws["public"]) as socket:
        assert await receive(socket) == {"event": "info", "version": 1}
        await socket.send(json.dumps(subscribe("ticker", "pf_xbtusd", "PI_XBTUSD")))
        messages = [await receive(socket) for _ in range(4)]
        acks = [item for item in messages if item.get("event") == "subscribed"]
        assert [(ack["feed"], ack["product_ids"]) for ack in acks] == [
            ("ticker", ["PF_XBTUSD"]),
            ("ticker", ["PI_XBTUSD"]),
        ]
        await beat(server, clock)
        tickers = {item["product_id"]: item for item in [await receive(socket), await receive(socket)]}
        for name, item in tickers.items():
            quote = quote_of(server.protocol, name)
            assert (item["markPrice"], item["index"], item["time"]) == (quote.mark, quote.index, clock.ms)
            assert item["openInterest"] == quote.contracts
            assert item["pair"] == "XBT:USD"
        assert tickers["PF_XBTUSD"]["openInterest"] == quote_of(server.protocol, "PF_XBTUSD").coins
        pong = await socket.ping()
        await pong


def test_funding_is_relative_and_absolute_fixed_for_the_hour_and_forecast() -> None:
    protocol = protocol_of("kraken_futures")
    session = session_of(protocol, PATH)
    protocol.model.step(START_MS + HOUR_MS)
    replies = say(protocol, session, subscribe("ticker", "PF_ETHUSD", "PI_ETHUSD"), START_MS + HOUR_MS)
    rows = {item["product_id"]: item for item in replies if "product_id" in item}
    for name, row in rows.items():
        quote = quote_of(protocol, name)
        assert row["relative_funding_rate"] == quote.told_rate == quote.settled_rate
        assert row["relative_funding_rate_prediction"] == quote.rate != quote.settled_rate
        assert row["next_funding_rate_time"] == quote.next_ts
    linear, inverse = rows["PF_ETHUSD"], rows["PI_ETHUSD"]
    assert linear["funding_rate"] / linear["index"] == pytest.approx(linear["relative_funding_rate"])
    assert inverse["funding_rate"] * inverse["index"] == pytest.approx(inverse["relative_funding_rate"])


@pytest.mark.parametrize(
    ("request_text", "message"),
    [
        ("{", "Bad websocket message"),
        ('{"event":"ping"}', "Bad websocket message"),
        ('{"event":"subscribe","feed":"ticker"}', "Bad websocket message"),
        ('{"event":"subscribe","feed":"nope","product_ids":["PF_XBTUSD"]}', "Couldn't subscribe to invalid feed"),
        ('{"event":"subscribe","feed":"fills"}', "Failed to subscribe to authenticated feed"),
    ],
)
def test_alerts_name_no_request(request_text: str, message: str) -> None:
    protocol = protocol_of("kraken_futures")
    assert say(protocol, session_of(protocol, PATH), request_text) == [{"event": "alert", "message": message}]


def test_a_wrong_product_fails_alone() -> None:
    protocol = protocol_of("kraken_futures")
    session = session_of(protocol, PATH)
    replies = say(protocol, session, subscribe("ticker", "PF_NOPEUSD", "PF_ETHUSD"))
    assert replies[0] == {"event": "alert", "message": "Couldn't subscribe to invalid product `PF_NOPEUSD`"}
    assert list(session.topics) == ["ticker:PF_ETHUSD"]
    [gone] = say(protocol, session, {"event": "unsubscribe", "feed": "ticker", "product_ids": ["PF_ETHUSD"]})
    assert gone == {"event": "unsubscribed", "feed": "ticker", "product_ids": ["PF_ETHUSD"]}
    assert session.topics == {}


def test_a_hundred_requests_a_second() -> None:
    protocol = protocol_of("kraken_futures")
    session = session_of(protocol, PATH)
    for _ in range(100):
        assert not ends(say(protocol, session, subscribe("ticker_lite", "PF_ETHUSD")))
    assert ends(say(protocol, session, subscribe("ticker_lite", "PF_ETHUSD")))
    assert not ends(say(protocol, session, subscribe("ticker_lite", "PF_ETHUSD"), START_MS + 1000))


async def test_only_protocol_pings_keep_a_silent_client() -> None:
    async with serving("kraken_futures") as (server, endpoints, clock), connect(endpoints.ws["public"]) as socket:
        await receive(socket)
        await beat(server, clock, 59)
        await (await socket.ping())
        [client] = server._clients
        assert client.session.last_in_ms == START_MS + 59_000
        assert server.protocol.watch(client.session, START_MS + 118_500) == []
        [out] = server.protocol.watch(client.session, START_MS + 119_000)
        assert isinstance(out, Hangup)


def test_the_heartbeat_feed_and_the_light_ticker() -> None:
    protocol = protocol_of("kraken_futures")
    session = session_of(protocol, PATH)
    replies = say(protocol, session, {"event": "subscribe", "feed": "heartbeat"})
    assert {"event": "subscribed", "feed": "heartbeat"} in replies
    say(protocol, session, subscribe("ticker_lite", "PI_ETHUSD"))
    [beat_, light] = [json.loads(frame.text) for frame in protocol.pushes(session.topics, START_MS + 1000)]
    assert beat_ == {"feed": "heartbeat", "time": START_MS + 1000}
    assert "markPrice" not in light
    assert "openInterest" not in light


def test_trades_are_replayed_newest_first_on_every_subscription_and_then_come_singly() -> None:
    protocol = protocol_of("kraken_futures", market(symbols=("BTC",)))
    session = session_of(protocol, PATH)
    say(protocol, session, subscribe("trade", "PF_XBTUSD"))
    seen: list[dict[str, Any]] = []
    for second in range(1, 61):
        protocol.model.step(START_MS + second * 1000)
        seen += [json.loads(frame.text) for frame in protocol.pushes(session.topics, START_MS + second * 1000)]
    assert {item["feed"] for item in seen} == {"trade"}
    assert [item["seq"] for item in seen] == sorted(item["seq"] for item in seen)
    assert len({item["uid"] for item in seen}) == len(seen)
    assert {"fill", "block"} <= {item["type"] for item in seen}
    again = say(protocol, session, subscribe("trade", "PF_XBTUSD"), START_MS + 60_000)
    [snapshot] = [item for item in again if item.get("feed") == "trade_snapshot"]
    sequence = [item["seq"] for item in snapshot["trades"]]
    assert sequence == sorted(sequence, reverse=True)
    assert snapshot["trades"][0] == seen[-1]
    assert len(sequence) <= 100


def test_http_answers() -> None:
    protocol = protocol_of("kraken_futures")
    rows = {row["symbol"]: row for row in get(protocol, "/derivatives/api/v3/instruments")[1]["instruments"]}
    assert [rows[name]["type"] for name in ("PF_XBTUSD", "PI_XBTUSD")] == ["flexible_futures", "futures_inverse"]
    assert (rows["PF_XBTUSD"]["base"], rows["PF_XBTUSD"]["contractSize"]) == ("BTC", 1)
    assert "lastTradingTime" in rows["FF_XBTUSD_261225"]
    assert (rows["PF_SIMOLDUSD"]["tradeable"], rows["PF_SIMOLDUSD"]["postOnly"]) == (False, True)
    _, all_tickers = get(protocol, "/derivatives/api/v3/tickers")
    tickers = {row["symbol"]: row for row in all_tickers["tickers"]}
    assert set(tickers) == {quote.instrument.name for quote in protocol.quotes} | {"in_xbtusd"}
    assert "relative_funding_rate" not in tickers["PF_XBTUSD"]
    _, one = get(protocol, "/derivatives/api/v3/tickers/pf_ethusd")
    assert one["ticker"] == tickers["PF_ETHUSD"]


def test_the_past_of_prices_open_interest_and_rates() -> None:
    protocol = protocol_of("kraken_futures")
    now_ms = START_MS + 3 * HOUR_MS
    protocol.model.step(now_ms)
    quote = quote_of(protocol, "PF_XBTUSD")
    span = {"from": str((now_ms - 600_000) // 1000), "to": str(now_ms // 1000)}
    for tick, price in (("mark", "mark"), ("spot", "index")):
        answer = get(protocol, f"{CHARTS}/{tick}/PF_XBTUSD/1m", now_ms, **span)[1]
        assert [row["time"] for row in answer["candles"]] == list(range(now_ms - 600_000, now_ms + 1, 60_000))
        points = quote.past.points(now_ms - 540_000, now_ms)
        assert [float(row["close"]) for row in answer["candles"][:-1]] == [getattr(point, price) for point in points]
        assert answer["more_candles"] is False
    query = {"since": span["from"], "to": span["to"], "interval": "300"}
    result = get(protocol, f"{CHARTS}/analytics/PF_XBTUSD/open-interest", now_ms, **query)[1]["result"]
    first = -(-(now_ms - 600_000) // 300_000) * 300
    assert result["timestamp"] == list(range(first, now_ms // 1000 + 1, 300))
    [point] = quote.past.points((first + 300) * 1000, (first + 300) * 1000)
    assert float(result["data"][0][3]) == point.contracts
    rates = get(protocol, "/derivatives/api/v4/historicalfundingrates", now_ms, symbol="PF_XBTUSD")[1]["rates"]
    assert [row["relativeFundingRate"] for row in rates] == [rate for _, rate in quote.settlements] + [quote.told_rate]
    assert rates[-1]["timestamp"] == "2025-11-21T13:00:00Z"


def test_two_thousand_candles_a_page() -> None:
    protocol = protocol_of("kraken_futures", market(symbols=("BTC",)))
    now_ms = START_MS + 40 * HOUR_MS
    protocol.model.step(now_ms)
    answer = get(protocol, f"{CHARTS}/mark/PF_XBTUSD/1m", now_ms, **{"from": str(START_MS // 1000)})[1]
    assert (len(answer["candles"]), answer["more_candles"]) == (2000, True)
    assert answer["candles"][0]["time"] == START_MS


def test_http_errors() -> None:
    protocol = protocol_of("kraken_futures")
    assert get(protocol, "/derivatives/api/v3/tickers/NOPE")[1]["errors"][0]["code"] == 97
    assert get(protocol, "/derivatives/api/v4/historicalfundingrates")[0] == 400
    assert get(protocol, "/derivatives/api/v3/historicalfundingrates", symbol="PF_XBTUSD")[0] == 404
    assert get(protocol, f"{CHARTS}/mark/NOPE/1m")[0] == 404
    assert get(protocol, f"{CHARTS}/mark/PF_XBTUSD/7m")[0] == 400
    assert get(protocol, f"{CHARTS}/analytics/PF_XBTUSD/open-interest", interval="7")[0] == 400
    assert get(protocol, "/derivatives/api/v3/tickersnope")[0] == 404
    assert protocol.answer("POST", "/derivatives/api/v3/tickers", {}, "", START_MS).status == 405
    assert protocol.accept("/ws/v2", {}, "c", START_MS) is None
