"""Hyperliquid: trades once each, replays left out, shared subscriptions, settled funding."""

from __future__ import annotations

import json
import random

import pytest

from service.model import Control, Flow, HistoryPoint, Listing
from service.model.observation import EXTRA_STREAMS
from service.venues.contract import Catalog
from service.venues.hyperliquid.venue import Hyperliquid
from tests.venues.frames import (
    T0,
    check_answers,
    check_mutations,
    decode,
    fresh,
    left_out,
    load,
    reasons,
)

VENUE = Hyperliquid()
NAME = "hyperliquid"
HOUR = 3_600_000
CONTEXT = "history:funding:ETH"


def listings(count: int) -> list[Listing]:
    return [Listing(NAME, f"C{n}", f"C{n}", False, 1.0, 1.0, 1.0, True, T0) for n in range(count)]


def test_trades_of_the_aggressors_side_in_coins() -> None:
    assert decode(fresh(NAME), load(NAME, "ws_trades")) == [Flow(NAME, "BTC", "BTC", 0.0, 0.015, 1763719201099, T0)]
    assert decode(fresh(NAME), load(NAME, "ws_trades_several")) == [
        Flow(NAME, "kPEPE", "1000PEPE", 1750.0, 400.0, 1763719201201, T0)
    ]


def test_fills_sent_again_on_subscribing_are_left_out() -> None:
    decoder = fresh(NAME)
    ack = load(NAME, "ws_subscribed_trades")
    assert decode(decoder, ack, 1763719201150) == [Control("ack", "trades:kPEPE", "subscribe")]
    assert decode(decoder, load(NAME, "ws_trades_several"), 1763719201300) == [
        Flow(NAME, "kPEPE", "1000PEPE", 0.0, 400.0, 1763719201201, 1763719201300)
    ]


def test_an_unsubscription_begins_nothing() -> None:
    decoder = fresh(NAME)
    decode(decoder, load(NAME, "ws_subscribed_trades").replace('"subscribe"', '"unsubscribe"'), T0)
    assert len(decode(decoder, load(NAME, "ws_trades_several"))) == 1


def test_the_same_trades_on_two_sockets_count_once() -> None:
    catalog = Catalog()
    assert len(decode(fresh(NAME, catalog), load(NAME, "ws_trades_several"))) == 1
    assert decode(fresh(NAME, catalog), load(NAME, "ws_trades_several")) == []


def test_trade_ids_are_told_apart_by_time() -> None:
    """`tid` alone is not unique: the same one at another time is another trade."""
    decoder = fresh(NAME)
    frame = json.loads(load(NAME, "ws_trades"))
    decode(decoder, frame)
    frame["data"][0]["time"] += 1
    assert len(decode(decoder, frame)) == 1


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("side", "X", "unknown_shape"),
        ("tid", "12", "wrong_type"),
        ("sz", "0.0", "out_of_bounds"),
        ("px", "", "bad_number"),
    ],
)
def test_a_bad_trade_costs_itself(field: str, value: object, reason: str) -> None:
    frame = json.loads(load(NAME, "ws_trades_several"))
    frame["data"][0][field] = value
    found = decode(fresh(NAME), frame)
    assert reasons(found) == [reason]
    assert found[-1] == Flow(NAME, "kPEPE", "1000PEPE", 250.0, 400.0, 1763719201201, T0)


def test_trades_of_other_dexes_are_silent() -> None:
    assert left_out(decode(fresh(NAME), load(NAME, "ws_trades").replace('"BTC"', '"xyz:TSLA"')))


def test_history_is_settled_funding_only() -> None:
    (request,) = VENUE.history(VENUE.endpoints, listings(1)[0], T0 - 26 * HOUR, T0)
    assert (request.method, request.url, request.context) == (
        "POST",
        "https://api.hyperliquid.xyz/info",
        "history:funding:C0",
    )
    assert request.body is not None
    assert json.loads(request.body) == {
        "type": "fundingHistory",
        "coin": "C0",
        "startTime": T0 - 27 * HOUR,
        "endTime": T0,
    }
    assert request.weight == 22.0  # 28 rows


def test_settled_funding_is_hourly_even_where_rows_are_missing() -> None:
    """Cause: eight hours between two rows would have passed for the 8 h interval of 2023, an eighth of the rate."""
    rows = [
        {"coin": "ETH", "fundingRate": "0.000014", "premium": "0.0001", "time": 1763712000034},
        {"coin": "ETH", "fundingRate": "-0.00002", "premium": "0.0001", "time": 1763683200011},
    ]
    assert decode(fresh(NAME), rows, context=CONTEXT) == [
        HistoryPoint(NAME, "ETH", "ETH", "funding", 1763683200011, -0.00002, 1.0, 4_500_000),
        HistoryPoint(NAME, "ETH", "ETH", "funding", 1763712000034, 0.000014, 1.0, 4_500_000),
    ]
    found = decode(fresh(NAME), load(NAME, "http_post_funding_history"), context=CONTEXT)
    assert reasons(found) == ["bad_name"]  # a row of SOL
    assert len(found) == 3
    assert decode(fresh(NAME), [], context=CONTEXT) == []
    assert reasons(decode(fresh(NAME), "null", context=CONTEXT)) == ["wrong_type"]
    assert reasons(decode(fresh(NAME), [], context="history:mark:ETH")) == ["unknown_shape"]


def test_trades_have_their_own_sockets() -> None:
    plain = VENUE.connections(VENUE.endpoints, listings(2))
    plans = VENUE.connections(VENUE.endpoints, listings(2), ("flow",))
    assert plans[:1] == plain
    (extra,) = plans[1:]
    assert (extra.name, extra.expects, extra.acks, extra.keepalive) == ("extra-1", (), 2, plain[0].keepalive)
    assert [json.loads(frame)["subscription"] for frame in extra.frames] == [
        {"type": "trades", "coin": "C0"},
        {"type": "trades", "coin": "C1"},
    ]
    assert VENUE.connections(VENUE.endpoints, listings(2), ("liquidation", "positions", "long_short")) == plain
    assert VENUE.connections(VENUE.endpoints, [], EXTRA_STREAMS) == []


@pytest.mark.parametrize("count", [21, 200, 230, 500, 700, 1000])
def test_all_streams_share_the_address_limits(count: int) -> None:
    plans = VENUE.connections(VENUE.endpoints, listings(count), EXTRA_STREAMS)
    frames = [frame for plan in plans for frame in plan.frames]
    assert len(plans) <= 10
    assert len(frames) == len(dict.fromkeys(frames)) == min(2 * count, 1000)
    assert [len(plan.frames) for plan in plans] == [plan.acks for plan in plans]
    assert sum("activeAssetCtx" in frame for frame in frames) == count
    if count <= 500:
        assert len(plans) * VENUE.limits.sends_per_s <= 33


def test_five_hundred_instruments_with_everything_on() -> None:
    plans = VENUE.connections(VENUE.endpoints, listings(500), EXTRA_STREAMS)
    assert [plan.name for plan in plans] == ["main-1", "main-2", "main-3", "extra-1", "extra-2", "extra-3"]
    assert all(len(plan.frames) <= 200 for plan in plans)
    assert VENUE.polls(VENUE.endpoints, listings(500), 10.0, EXTRA_STREAMS) == []


@pytest.mark.parametrize("seed", range(12))
def test_no_mutation_escapes(seed: int) -> None:
    check_mutations(NAME, seed, 120, (CONTEXT,))


def test_no_mutated_answer_escapes() -> None:
    rng = random.Random(5)
    decoder = fresh(NAME)
    check_answers(decoder, NAME, rng, CONTEXT, 60)
