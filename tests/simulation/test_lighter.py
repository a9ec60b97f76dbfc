"""The simulated Lighter as its page describes it, and the service's own link against it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from service.model import OiSides
from service.simulation.market import HOUR_MS, MarketModel
from service.simulation.protocol import Frame, Hangup
from tests.faults.field import Spans, play
from tests.simulation.build import START_MS, beat, get, market, protocol_of, receive, say, serving, session_of
from tests.simulation.test_round_trip import Desk

PATH = "/stream"
ALL = {"type": "subscribe", "channel": "market_stats/all"}


def pushed(protocol: Any, session: Any, now_ms: int) -> list[dict[str, Any]]:
    protocol.model.step(now_ms // 1000 * 1000)
    return [json.loads(frame.text) for frame in protocol.pushes(session.topics, now_ms)]


async def test_a_subscription_is_answered_with_a_snapshot_and_then_whole_rows_of_what_changed() -> None:
    async with serving("lighter") as (server, endpoints, clock), connect(endpoints.ws["stream"]) as socket:
        assert (await receive(socket))["type"] == "connected"
        await socket.send(json.dumps(ALL))
        snapshot = await receive(socket)
        assert (snapshot["type"], snapshot["channel"]) == ("subscribed/market_stats", "market_stats:all")
        [quote] = [item for item in server.protocol.quotes if item.instrument.name == "BTC-1"]
        row = snapshot["market_stats"]["1"]
        assert (row["symbol"], row["market_id"], float(row["mark_price"])) == ("BTC", 1, quote.mark)
        assert float(row["open_interest"]) == pytest.approx(quote.coins * quote.mark, rel=1e-12)  # dollars
        assert float(row["current_funding_rate"]) == pytest.approx(quote.rate * 100, abs=1e-6)  # percent
        assert row["funding_timestamp"] <= clock.ms  # of the last settlement
        assert {item["symbol"] for item in snapshot["market_stats"].values()} >= {"TSLA", "XAU", "DASH"}
        await beat(server, clock)
        update = await receive(socket)
        assert (update["type"], update["timestamp"]) == ("update/market_stats", START_MS + 1000)
        assert set(update["market_stats"]["1"]) == set(row)
        assert "2003" not in update["market_stats"]  # the old market of the first coin does not change


def test_the_list_counts_in_coins_and_holds_what_is_no_coin_and_what_no_longer_trades() -> None:
    protocol = protocol_of("lighter")
    status, document = get(protocol, "/api/v1/orderBookDetails")
    assert status == 200
    rows = {row["market_id"]: row for row in document["order_book_details"]}
    [quote] = [item for item in protocol.quotes if item.instrument.name == "BTC-1"]
    assert rows[1]["open_interest"] == quote.coins
    assert [(row["symbol"], row["status"]) for row in rows.values()][-4:] == [
        ("BTC", "inactive"), ("TSLA", "active"), ("XAU", "active"), ("DASH", "active"),
    ]  # fmt: skip
    assert rows[2003]["open_interest"] > 0
    assert [row["market_type"] for row in document["spot_order_book_details"]] == ["spot"]


def test_trades_and_liquidations_come_apart_and_a_subscription_replays_the_last() -> None:
    model = MarketModel(8, ("BTC",), START_MS - 60_000, ("lighter",))
    model.stage(START_MS)
    model.step(START_MS)
    protocol = protocol_of("lighter", model)
    session = session_of(protocol, PATH)
    [first] = say(protocol, session, {"type": "subscribe", "channel": "trade/1"})
    assert (first["type"], first["channel"]) == ("subscribed/trade", "trade:1")
    kinds: dict[str, set[str]] = {"trades": set(), "liquidation_trades": set()}
    messages = []
    for second in range(1, 600):
        messages += pushed(protocol, session, START_MS + second * 1000)
    for message in messages:
        for key, found in kinds.items():
            for row in message.get(key, []):
                found.add(row["type"])
                assert (row["market_id"], row["trade_id_str"]) == (1, str(row["trade_id"]))
                if row["type"] == "liquidation":  # a short's position is negative, and is bought back
                    assert (float(row["taker_position_size_before"]) < 0) is row["is_maker_ask"]
    assert kinds == {"trades": {"trade"}, "liquidation_trades": {"liquidation"}}
    assert any("liquidation_trades" not in message for message in messages)
    again = session_of(protocol, PATH)
    [replay] = say(protocol, again, {"type": "subscribe", "channel": "trade/1"}, START_MS + 600_000)
    assert len(replay["trades"]) + len(replay.get("liquidation_trades", [])) == 50


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"type": "subscribe", "channel": "trade/999"}, 30005),
        ({"type": "subscribe", "channel": "trade:1"}, 30005),
        ({"type": "subscribe", "channel": "market_stats:all"}, 30005),  # a colon, where requests have a slash
        ({"type": "subscribe"}, 30001),
        ("{", 30001),
        ({"type": "unsubscribe", "channel": "trade/1"}, 30002),
    ],
)
def test_errors_carry_a_code_and_no_request(request_: Any, code: int) -> None:
    protocol = protocol_of("lighter")
    [reply] = say(protocol, session_of(protocol, PATH), request_)
    assert list(reply) == ["error"]
    assert reply["error"]["code"] == code


def test_subscribing_twice_and_two_hundred_messages_a_minute() -> None:
    protocol = protocol_of("lighter")
    session = session_of(protocol, PATH)
    say(protocol, session, ALL)
    assert say(protocol, session, ALL)[0]["error"]["code"] == 30003
    for _ in range(198):
        assert say(protocol, session, {"type": "ping"}) == [{"type": "pong"}]
    assert say(protocol, session, {"type": "ping"})[0]["error"]["code"] == 30009
    assert say(protocol, session, {"type": "ping"}, START_MS + 60_000) == [{"type": "pong"}]


def test_the_server_pings_and_cuts_who_does_not_answer_or_says_nothing() -> None:
    protocol = protocol_of("lighter")
    answering, deaf = session_of(protocol, PATH), session_of(protocol, PATH)
    for session in (answering, deaf):
        assert protocol.watch(session, START_MS + 59_999) == []
        assert protocol.watch(session, START_MS + 60_000) == [Frame('{"type":"ping"}')]
        say(protocol, session, {"type": "ping"}, START_MS + 60_500)
    assert say(protocol, answering, {"type": "pong"}, START_MS + 60_500) == []
    assert protocol.watch(deaf, START_MS + 120_000) == [Hangup(1000, "no ping")]
    assert protocol.watch(answering, START_MS + 120_000) == [Frame('{"type":"ping"}')]
    say(protocol, answering, {"type": "pong"}, START_MS + 120_500)
    assert protocol.watch(answering, START_MS + 240_500) == [Hangup(1000, "no ping")]


def test_settled_rates_are_unsigned_percent_in_seconds() -> None:
    model = MarketModel(5, ("BTC", "ETH"), START_MS - 6 * HOUR_MS)
    model.step(START_MS)
    protocol = protocol_of("lighter", model)
    asked = {"market_id": "1", "resolution": "1h", "start_timestamp": str(START_MS // 1000 - 4 * 3600),
             "end_timestamp": str(START_MS // 1000), "count_back": "100"}  # fmt: skip
    status, document = get(protocol, "/api/v1/fundings", START_MS, **asked)
    assert (status, document["resolution"]) == (200, "1h")
    [quote] = [item for item in protocol.quotes if item.instrument.name == "BTC-1"]
    charged = {at // 1000: rate for at, rate in quote.settlements}
    assert len(document["fundings"]) == 4
    for row in document["fundings"]:
        signed = float(row["rate"]) * (1 if row["direction"] == "long" else -1)
        assert signed == pytest.approx(charged[row["timestamp"]] * 100, abs=1e-6)
        assert not row["rate"].startswith("-")
    assert get(protocol, "/api/v1/fundings", START_MS, **{**asked, "market_id": "999"})[0] == 400
    assert get(protocol, "/api/v1/fundings", START_MS, **{**asked, "resolution": "8h"})[0] == 400
    assert get(protocol, "/api/v2/fundings")[0] == 404


def test_ids_are_apart_and_none_is_that_of_what_is_no_coin() -> None:
    model = MarketModel(5, (*market().symbols, *(f"SIM{number}" for number in range(300))), START_MS, ("lighter",))
    protocol = protocol_of("lighter", model)
    ids = [row["market_id"] for row in get(protocol, "/api/v1/orderBookDetails")[1]["order_book_details"]]
    assert len(set(ids)) == len(ids) == 310


def test_the_list_of_markets_agrees_with_the_socket_on_one_side() -> None:
    """Cause: the one counts in coins, the other in dollars; what is compared must be the same after the division."""
    model = market()
    desk = Desk("lighter", model)
    desk.talk(START_MS)
    for request in desk.venue.metadata(desk.endpoints):
        desk.request(request, START_MS + 1000)
    measured = [item for item in desk.items if isinstance(item, OiSides)]  # with the snapshot, then with the list
    assert len(measured) == 2
    for sides in measured:
        assert (sides.sides, sides.compared, sides.agreeing) == (1, len(model.quotes("lighter")), 1.0)
        assert sides.ratio == pytest.approx(1.0)


def test_the_service_keeps_its_sockets_for_minutes() -> None:
    """Cause: the server's ping is a message; who does not answer it within a minute is cut (above)."""
    run = play(("okx", "hyperliquid", "lighter"), {}, Spans(200, 40, 1, past_h=1))
    assert run.reconnects["lighter"] == {}
    assert run.bad.get("lighter", 0) == 0
    assert max(run.sends["lighter", "BTC-1", "mark"]) > 230
