"""dYdX: taker trades, liquidations among them, what is no trade, settled funding, 32 markets a socket."""

from __future__ import annotations

import json
import random

import pytest

from service.model import Control, Flow, HistoryPoint, Liquidation, Listing
from service.model.observation import EXTRA_STREAMS
from service.venues.contract import Catalog
from service.venues.dydx.venue import Dydx
from tests.venues.frames import (
    T0,
    check_answers,
    check_mutations,
    decode,
    fresh,
    load,
    reasons,
)

VENUE = Dydx()
NAME = "dydx"
HOUR = 3_600_000
CONTEXT = "history:funding:ETH-USD"
LONG = "SOMETHINGQUITELONG,RAYDIUM,7GCihgDB8fe6KNjn2MYtkzZcRjQy3t9GHdC8uHYmW2hr-USD"


def listings(count: int) -> list[Listing]:
    return [Listing(NAME, f"C{n}-USD", f"C{n}", False, 1.0, 1.0, 1.0, True, T0) for n in range(count)]


def test_a_liquidated_taker_that_sold_was_long() -> None:
    assert decode(fresh(NAME), load(NAME, "ws_trades")) == [
        Liquidation(NAME, "ETH-USD", "ETH", "long", 0.25, 3010.5, False, 1763719202855, T0),
        Flow(NAME, "ETH-USD", "ETH", 0.0, 0.25, 1763719202855, T0),
    ]


def test_one_flow_of_a_batch_without_deleveraging() -> None:
    assert decode(fresh(NAME), load(NAME, "ws_trades_batch")) == [
        Liquidation(NAME, "ETH-USD", "ETH", "short", 0.75, 3011.0, False, 1763719203101, T0),
        Flow(NAME, "ETH-USD", "ETH", 2.25, 0.125, 1763719204202, T0),
    ]


def test_the_answer_to_a_subscription_is_history() -> None:
    assert decode(fresh(NAME), load(NAME, "ws_trades_subscribed")) == [
        Control("ack", "v4_trades:ETH-USD", "subscribed")
    ]


def test_the_same_trades_on_two_sockets_count_once() -> None:
    catalog = Catalog()
    assert len(decode(fresh(NAME, catalog), load(NAME, "ws_trades_batch"))) == 2
    assert decode(fresh(NAME, catalog), load(NAME, "ws_trades_batch")) == []


def test_trades_without_a_type_are_trades() -> None:
    frame = json.loads(load(NAME, "ws_trades"))
    del frame["contents"]["trades"][0]["type"]
    assert decode(fresh(NAME), frame) == [Flow(NAME, "ETH-USD", "ETH", 0.0, 0.25, 1763719202855, T0)]


def test_long_tickers_are_markets_too() -> None:
    """Cause: names were cut off at 64 characters where the venue's own are longer."""
    frame = json.loads(load(NAME, "ws_trades"))
    frame["id"] = LONG
    assert [item.instrument for item in decode(fresh(NAME), frame) if isinstance(item, Flow)] == [LONG]
    answer = {"historicalFunding": [{"ticker": LONG, "rate": "0.00001", "effectiveAt": "2025-11-21T09:00:00.219Z"}]}
    assert reasons(decode(fresh(NAME), answer)) == []


def test_scaled_tokens() -> None:
    frame = json.loads(load(NAME, "ws_trades"))
    frame["id"] = "PEPE-USD"
    frame["contents"]["trades"][0] |= {"size": "5000000", "price": "0.00000475"}
    liquidation, flow = decode(fresh(NAME), frame)
    assert isinstance(liquidation, Liquidation)
    assert isinstance(flow, Flow)
    assert (liquidation.symbol, liquidation.coins, liquidation.price) == ("1000PEPE", 5000.0, 0.00475)
    assert flow.taker_sell_coins == 5000.0


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("side", "short", "unknown_shape"),
        ("size", "0", "out_of_bounds"),
        ("price", "0", "out_of_bounds"),
        ("createdAt", 5, "wrong_type"),
        ("id", "", "bad_name"),
    ],
)
def test_a_bad_trade_costs_itself(field: str, value: object, reason: str) -> None:
    frame = json.loads(load(NAME, "ws_trades_batch"))
    frame["contents"][0]["trades"][1][field] = value
    found = decode(fresh(NAME), frame)
    assert reasons(found) == [reason]
    assert found[-1] == Flow(NAME, "ETH-USD", "ETH", 1.5, 0.125, 1763719204202, T0)


def test_a_bad_part_costs_itself() -> None:
    frame = json.loads(load(NAME, "ws_trades_batch"))
    frame["contents"][0] = {"fills": []}
    found = decode(fresh(NAME), frame)
    assert reasons(found) == ["missing_field"]
    assert found[-1] == Flow(NAME, "ETH-USD", "ETH", 0.0, 0.125, 1763719204202, T0)


def test_blocks_and_foreign_markets_are_silent() -> None:
    assert decode(fresh(NAME), load(NAME, "ws_block_height")) == []
    assert decode(fresh(NAME), load(NAME, "ws_trades").replace("ETH-USD", "ETH-EUR")) == []


def test_history_is_settled_funding_only() -> None:
    market = Listing(NAME, LONG, "X", False, 1.0, 1.0, 1.0, True, T0)
    (request,) = VENUE.history(VENUE.endpoints, market, T0 - 26 * HOUR, T0)
    assert request.url.startswith("https://indexer.dydx.trade/v4/historicalFunding/SOMETHINGQUITELONG%2CRAYDIUM%2C7G")
    assert request.url.endswith("-USD?limit=28")
    assert (request.weight, request.context) == (1.0, f"history:funding:{LONG}")
    found = decode(fresh(NAME), load(NAME, "http_get_historical_funding"), context=CONTEXT)
    assert found == [
        HistoryPoint(NAME, "ETH-USD", "ETH", "funding", 1763712000592, -0.0000017, 1.0, 4_500_000),
        HistoryPoint(NAME, "ETH-USD", "ETH", "funding", 1763715600231, 0.0000023, 1.0, 4_500_000),
    ]
    assert decode(fresh(NAME), load(NAME, "http_get_historical_funding"), 1763715600218, CONTEXT) == found[:1]
    (refused,) = decode(fresh(NAME), load(NAME, "http_error"), context=CONTEXT)
    assert refused == Control("refused", None, "Too many requests")
    other = "history:funding:BTC-USD"
    assert reasons(decode(fresh(NAME), load(NAME, "http_get_historical_funding"), context=other)) == ["bad_name"] * 2
    assert reasons(decode(fresh(NAME), {}, context="history:oi:ETH-USD")) == ["unknown_shape"]


def test_trades_have_their_own_sockets_with_a_sign_of_life() -> None:
    plain = VENUE.connections(VENUE.endpoints, listings(33))
    for extras in (("flow",), ("liquidation",), EXTRA_STREAMS):
        plans = VENUE.connections(VENUE.endpoints, listings(33), extras)
        assert plans[:1] == plain
        first, second = plans[1:]
        assert (first.name, second.name) == ("extra-1", "extra-2")
        assert first.expects == second.expects == ()
        assert (first.acks, second.acks) == (33, 2)
        assert first.quiet_s == second.quiet_s == 60.0  # no keep-alive answer would tell a dead socket
        assert [json.loads(frame) for frame in second.frames] == [
            {"type": "subscribe", "channel": "v4_block_height", "batched": True},
            {"type": "subscribe", "channel": "v4_trades", "id": "C32-USD", "batched": True},
        ]
    assert VENUE.connections(VENUE.endpoints, listings(33), ("positions", "long_short")) == plain


def test_five_hundred_markets_with_everything_on() -> None:
    plans = VENUE.connections(VENUE.endpoints, listings(500), EXTRA_STREAMS)
    assert len(plans) == 1 + 16
    for plan in plans[1:]:
        trades = [frame for frame in plan.frames if "v4_trades" in frame]
        assert len(trades) == len(plan.frames) - 1 <= VENUE.limits.max_topics
    ids = [json.loads(frame).get("id") for plan in plans[1:] for frame in plan.frames if "v4_trades" in frame]
    assert ids == [item.instrument for item in listings(500)]
    assert VENUE.polls(VENUE.endpoints, listings(500), 10.0, EXTRA_STREAMS) == []


@pytest.mark.parametrize("seed", range(12))
def test_no_mutation_escapes(seed: int) -> None:
    check_mutations(NAME, seed, 120, (CONTEXT,))


def test_no_mutated_answer_escapes() -> None:
    rng = random.Random(5)
    decoder = fresh(NAME)
    check_answers(decoder, NAME, rng, CONTEXT, 60)
