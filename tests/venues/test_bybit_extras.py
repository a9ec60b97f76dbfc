"""Bybit: liquidations, taker flow, long/short ratios, and the sockets and polls they take."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.model import EXTRA_STREAMS, Flow, Liquidation, Listing, LongShort
from service.venues.bybit.venue import Bybit
from service.venues.contract import Catalog
from tests.venues.frames import T0, decode, fresh, left_out, load, reasons

VENUE = Bybit()
NAME = "bybit"


def message(topic: str, symbol: str, *rows: dict[str, object]) -> dict[str, Any]:
    base = {"T": T0, "s": symbol, "S": "Buy", "v": "5", "p": "100", "BT": False}
    data = [{**base, "i": f"id-{number}", **row} for number, row in enumerate(rows)]
    return {"topic": f"{topic}.{symbol}", "type": "snapshot", "ts": T0, "data": data}


def trades(symbol: str, *rows: dict[str, object]) -> dict[str, Any]:
    return message("publicTrade", symbol, *rows)


def liquidations(symbol: str, *rows: dict[str, object]) -> dict[str, Any]:
    return message("allLiquidation", symbol, *rows)


# -- taker flow -----------------------------------------------------------------------------------------------


def test_the_side_is_the_takers() -> None:
    assert decode(fresh(NAME), load(NAME, "ws_public_trade")) == [
        Flow(NAME, "ETHUSDT", "ETH", 0.0, 0.75, 1763719200499, T0)
    ]


def test_inverse_trades_are_dollars_each_at_its_own_price_without_block_trades() -> None:
    """8,000 at 80,000 bought and 2,002.5 at 80,100 sold; the block of 990,000 is no taker flow, nor is its time."""
    assert decode(fresh(NAME), load(NAME, "ws_public_trade_inverse")) == [
        Flow(NAME, "BTCUSD", "BTC", 0.1, 0.025, 1763719200504, T0)
    ]


def test_one_flow_a_message_stamped_with_its_newest_trade() -> None:
    frame = trades("1000000MOGUSDT", {"T": T0 - 1}, {"S": "Sell", "v": "2", "T": T0 - 7}, {"v": "3", "T": T0 - 9})
    assert decode(fresh(NAME), frame) == [Flow(NAME, "1000000MOGUSDT", "MOG", 8e6, 2e6, T0 - 1, T0)]


def test_two_sockets_that_overlap_count_a_trade_once() -> None:
    """Cause: in a make-before-break renewal each trade of the overlap was counted twice."""
    catalog = Catalog()
    old, new = fresh(NAME, catalog), fresh(NAME, catalog)
    first = trades("ETHUSDT", {"i": "a", "T": T0 - 9}, {"i": "b", "T": T0 - 8, "v": "2"})
    later = trades("ETHUSDT", {"i": "b", "T": T0 - 8, "v": "2"}, {"i": "c", "T": T0 - 8, "v": "4"})
    found = [item for reader, frame in ((old, first), (new, later), (old, later)) for item in decode(reader, frame)]
    assert found == [
        Flow(NAME, "ETHUSDT", "ETH", 7.0, 0.0, T0 - 8, T0),
        Flow(NAME, "ETHUSDT", "ETH", 4.0, 0.0, T0 - 8, T0),
    ]


@pytest.mark.parametrize("wrong", [{"i": "\ud800"}, {"T": T0 + 86_400_000}, {"T": T0 + 1999}, {"T": 1_263_000_000_000}])
def test_a_corrupt_id_or_time_does_not_silence_the_stream(wrong: dict[str, object]) -> None:
    """Cause: all trades before the newest time counted as known; a time 2 s ahead hid 2 s of trades."""
    decoder = fresh(NAME)
    decode(decoder, trades("ETHUSDT", {"i": "x", **wrong}))
    for number in range(3):
        frame = trades("ETHUSDT", {"i": f"id-{number}", "T": T0 + number - 50})
        assert decode(decoder, frame) == [Flow(NAME, "ETHUSDT", "ETH", 5.0, 0.0, T0 + number - 50, T0)]


def test_nothing_but_block_trades_is_silent() -> None:
    assert decode(fresh(NAME), trades("ETHUSDT", {"BT": True})) == []
    assert decode(fresh(NAME), trades("ETHUSDT")) == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"S": "Long"}, "unknown_shape"),
        ({"v": "1e"}, "bad_number"),
        ({"p": "0"}, "out_of_bounds"),
        ({"BT": "false"}, "wrong_type"),
        ({"s": "BTCUSDT"}, "bad_name"),
        ({"T": "soon"}, "bad_number"),
        ({"v": "0"}, "out_of_bounds"),
        ({"i": 7}, "wrong_type"),
        ({"i": ""}, "bad_name"),
    ],
)
def test_a_broken_trade_costs_itself_only(fields: dict[str, object], reason: str) -> None:
    found = decode(fresh(NAME), trades("ETHUSDT", fields, {"v": "2"}))
    assert reasons(found) == [reason]
    assert found[1:] == [Flow(NAME, "ETHUSDT", "ETH", 2.0, 0.0, T0, T0)]


@pytest.mark.parametrize("symbol", ["BTC-27MAR26", "BTCUSDH26", "ETHBTC"])
def test_foreign_products_are_silent(symbol: str) -> None:
    assert left_out(decode(fresh(NAME), trades(symbol, {})))
    assert left_out(decode(fresh(NAME), liquidations(symbol, {})))


# -- liquidations ---------------------------------------------------------------------------------------------


def test_the_side_is_the_positions() -> None:
    """Buy: a long was liquidated; the opposite of Binance's order side. All of them are sent: no lower bound."""
    assert decode(fresh(NAME), load(NAME, "ws_all_liquidation")) == [
        Liquidation(NAME, "SHIB1000USDT", "1000SHIB", "long", 1500.0, 0.0086, False, 1763719200611, T0),
        Liquidation(NAME, "SHIB1000USDT", "1000SHIB", "short", 2500.0, 0.0088, False, 1763719200613, T0),
    ]


def test_two_sockets_tell_a_liquidation_once_but_twice_in_a_message_is_two() -> None:
    """Cause: without ids, equal rows of one message and the same row of two sockets look alike."""
    catalog = Catalog()
    old, new = fresh(NAME, catalog), fresh(NAME, catalog)
    frame = liquidations("ETHUSDT", {"T": T0 - 9}, {"T": T0 - 9}, {"T": T0 - 9, "S": "Sell"})
    sides = [item.liquidated_side for item in decode(old, frame) if isinstance(item, Liquidation)]
    assert sides == ["long", "long", "short"]
    assert decode(new, frame) == []
    assert len(decode(new, liquidations("ETHUSDT", {"T": T0 - 8}))) == 1


def test_inverse_liquidations_are_dollars_at_their_bankruptcy_price() -> None:
    assert decode(fresh(NAME), liquidations("BTCUSD", {"v": "64000", "p": "80000", "S": "Sell"})) == [
        Liquidation(NAME, "BTCUSD", "BTC", "short", 0.8, 80000.0, False, T0, T0)
    ]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"S": "short"}, "unknown_shape"),
        ({"v": "0"}, "out_of_bounds"),
        ({"p": ""}, "bad_number"),
        ({"s": "X"}, "bad_name"),
    ],
)
def test_a_broken_liquidation_costs_itself_only(fields: dict[str, object], reason: str) -> None:
    found = decode(fresh(NAME), liquidations("ETHUSDT", fields, {}))
    assert reasons(found) == [reason]
    assert found[1:] == [Liquidation(NAME, "ETHUSDT", "ETH", "long", 5.0, 100.0, False, T0, T0)]


def test_the_retired_topic_is_not_read() -> None:
    data = {"price": "0.03", "side": "Buy", "size": "5", "symbol": "ETHUSDT", "updatedTime": T0}
    assert decode(fresh(NAME), {"topic": "liquidation.ETHUSDT", "type": "snapshot", "ts": T0, "data": data}) == []


@pytest.mark.parametrize("topic", ["publicTrade", "allLiquidation"])
def test_a_message_without_rows_is_refused(topic: str) -> None:
    assert reasons(decode(fresh(NAME), {"topic": f"{topic}.ETHUSDT"})) == ["missing_field"]
    assert reasons(decode(fresh(NAME), {"topic": f"{topic}.ETHUSDT", "data": {}})) == ["wrong_type"]


# -- ratios ---------------------------------------------------------------------------------------------------


def test_account_ratio() -> None:
    for context in ("", "long_short"):
        assert decode(fresh(NAME), load(NAME, "http_get_account_ratio"), context=context) == [
            LongShort(NAME, "SOLUSDT", "SOL", "account", 0.6125, 1763718900000, T0)
        ]


@pytest.mark.parametrize(("sell", "reason"), [("0.3", "size_mismatch"), ("1.2", "out_of_bounds")])
def test_shares_that_do_not_add_up_are_refused(sell: str, reason: str) -> None:
    body = load(NAME, "http_get_account_ratio").replace("0.3875", sell)
    assert reasons(decode(fresh(NAME), body)) == [reason]


# -- plans ----------------------------------------------------------------------------------------------------


def listings(linear: int, inverse: int = 0, ending: str = "USDT") -> list[Listing]:
    return [Listing(NAME, f"C{n}{ending}", f"C{n}", False, 1.0, 1.0, 8.0, True, T0) for n in range(linear)] + [
        Listing(NAME, f"C{n}USD", f"C{n}", True, 1.0, 1.0, 8.0, True, T0) for n in range(inverse)
    ]


def topics(frame: str) -> list[str]:
    found: list[str] = json.loads(frame)["args"]
    return found


def test_extra_streams_have_sockets_of_their_own() -> None:
    few = listings(2, 1)
    main = VENUE.connections(VENUE.endpoints, few)
    assert VENUE.connections(VENUE.endpoints, few, ("positions", "long_short")) == main
    plans = VENUE.connections(VENUE.endpoints, few, EXTRA_STREAMS)
    assert plans[:2] == main
    linear, inverse = plans[2:]
    assert [topics(frame) for frame in linear.frames] == [
        ["allLiquidation.C0USDT", "allLiquidation.C1USDT"],
        ["publicTrade.C0USDT", "publicTrade.C1USDT"],
    ]
    assert (linear.name, linear.url, linear.acks) == ("linear-extra-1", VENUE.endpoints.ws["linear"], 2)
    assert (inverse.name, inverse.url, inverse.acks) == ("inverse-extra-1", VENUE.endpoints.ws["inverse"], 2)
    for plan in (linear, inverse):
        assert (plan.expects, plan.quiet_s) == ((), None)  # the answered ping is the sign of life
        assert plan.keepalive == main[0].keepalive
    (only,) = VENUE.connections(VENUE.endpoints, few[:2], ("flow",))[1:]
    assert [topics(frame) for frame in only.frames] == [["publicTrade.C0USDT", "publicTrade.C1USDT"]]
    assert VENUE.connections(VENUE.endpoints, [], EXTRA_STREAMS) == []


def test_500_instruments_keep_every_limit() -> None:
    """21,000 characters of topics a connection, even with names of 20 characters."""
    many = listings(500, 30, ending="X" * 12 + "USDT")
    plans = VENUE.connections(VENUE.endpoints, many, EXTRA_STREAMS)
    extra = [plan for plan in plans if "extra" in plan.name]
    assert [plan.name for plan in extra] == ["linear-extra-1", "linear-extra-2", "linear-extra-3", "inverse-extra-1"]
    assert len(dict.fromkeys(plan.name for plan in plans)) == len(plans)
    for plan in plans:
        asked = [topic for frame in plan.frames for topic in topics(frame)]
        assert len(asked) == len(dict.fromkeys(asked)) <= VENUE.limits.max_topics
        assert sum(len(topic) + 3 for topic in asked) <= 21_000
        assert max(len(topics(frame)) for frame in plan.frames) <= 10
        assert len(plan.frames) / VENUE.limits.sends_per_s < VENUE.limits.first_message_s
        assert [json.loads(frame)["req_id"] for frame in plan.frames] == [str(n + 1) for n in range(plan.acks)]
    asked = [topic for plan in extra for frame in plan.frames for topic in topics(frame)]
    assert len(asked) == len(dict.fromkeys(asked)) == 2 * 530


def test_ratio_polls() -> None:
    """Not for perpetuals in USDC: the endpoint has none."""
    usdc = Listing(NAME, "C0PERP", "C0", False, 1.0, 1.0, 8.0, True, T0)
    polls = VENUE.polls(VENUE.endpoints, [*listings(1, 1), usdc], 10.0, EXTRA_STREAMS)
    base = "https://api.bybit.com/v5/market/account-ratio"
    assert [(poll.request.url, poll.every_s, poll.expects) for poll in polls] == [
        (f"{base}?category=linear&symbol=C0USDT&period=5min&limit=1", 300.0, ()),
        (f"{base}?category=inverse&symbol=C0USD&period=5min&limit=1", 300.0, ()),
    ]
    assert VENUE.polls(VENUE.endpoints, listings(1), 10.0, ("flow", "liquidation", "positions")) == []
    many = VENUE.polls(VENUE.endpoints, listings(500), 10.0, EXTRA_STREAMS)
    per_period = sum(poll.request.weight * VENUE.limits.rest_period_s / poll.every_s for poll in many)
    assert per_period <= 0.05 * VENUE.limits.rest_weight
