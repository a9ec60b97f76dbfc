"""Deribit: trades in coins, who was liquidated, what was agreed off the book, past funding."""

from __future__ import annotations

import json
import random

import pytest

from service.model import Control, Flow, HistoryPoint, Liquidation, Listing
from service.model.observation import EXTRA_STREAMS
from service.venues.contract import Catalog
from service.venues.deribit.venue import Deribit
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

VENUE = Deribit()
NAME = "deribit"
HOUR = 3_600_000
CONTEXT = "history:funding:ETH-PERPETUAL"
SOL = ("SOL_USDC-PERPETUAL", "SOL")


def listings(count: int) -> list[Listing]:
    return [Listing(NAME, f"C{n}-PERPETUAL", f"C{n}", True, 1.0, 1.0, 8.0, True, T0) for n in range(count)]


def test_inverse_trades_are_dollars_at_their_own_price() -> None:
    coins = 170 / 3010.45
    assert decode(fresh(NAME), load(NAME, "ws_trades")) == [
        Liquidation(NAME, "ETH-PERPETUAL", "ETH", "long", coins, 3010.45, True, 1763719200700, T0),
        Flow(NAME, "ETH-PERPETUAL", "ETH", 0.0, coins, 1763719200700, T0),
    ]


def test_linear_trades_are_coins_and_block_trades_none_at_all() -> None:
    """Who buys from a liquidated maker closes a long; of two liquidated, the seller was long and the buyer short."""
    assert decode(fresh(NAME), load(NAME, "ws_trades_linear")) == [
        Liquidation(NAME, *SOL, "long", 2.5, 140.25, True, 1763719200701, T0),
        Liquidation(NAME, *SOL, "long", 0.4, 139.75, True, 1763719200704, T0),
        Liquidation(NAME, *SOL, "short", 0.4, 139.75, True, 1763719200704, T0),
        Flow(NAME, *SOL, 2.5, 1.3 + 0.4, 1763719200704, T0),
    ]


@pytest.mark.parametrize(
    ("direction", "flag", "sides"),
    [
        ("sell", "T", ["long"]),
        ("buy", "T", ["short"]),
        ("sell", "M", ["short"]),
        ("buy", "M", ["long"]),
        ("buy", "MT", ["short", "long"]),
        ("buy", None, []),
    ],
)
def test_who_was_liquidated(direction: str, flag: str | None, sides: list[str]) -> None:
    frame = json.loads(load(NAME, "ws_trades"))
    frame["params"]["data"][0] |= {"direction": direction, "liquidation": flag}
    found = decode(fresh(NAME), frame)
    assert [item.liquidated_side for item in found if isinstance(item, Liquidation)] == sides
    assert isinstance(found[-1], Flow)


def test_the_same_trades_on_two_sockets_count_once() -> None:
    catalog = Catalog()
    assert len(decode(fresh(NAME, catalog), load(NAME, "ws_trades"))) == 2
    assert decode(fresh(NAME, catalog), load(NAME, "ws_trades")) == []


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("direction", "up", "unknown_shape"),
        ("liquidation", "X", "unknown_shape"),
        ("amount", 0, "out_of_bounds"),
        ("price", None, "wrong_type"),
        ("trade_id", 9, "wrong_type"),
        ("timestamp", 1763719200, "out_of_bounds"),
    ],
)
def test_a_bad_trade_costs_itself(field: str, value: object, reason: str) -> None:
    frame = json.loads(load(NAME, "ws_trades_linear"))
    frame["params"]["data"][3][field] = value
    found = decode(fresh(NAME), frame)
    assert reasons(found) == [reason]
    assert found[-1] == Flow(NAME, *SOL, 2.5, 1.3, 1763719200703, T0)


def test_trades_of_other_products_are_silent() -> None:
    assert left_out(decode(fresh(NAME), load(NAME, "ws_trades").replace("ETH-PERPETUAL", "ETH-27MAR26")))


def test_history_is_funding_only() -> None:
    (request,) = VENUE.history(VENUE.endpoints, listings(1)[0], T0 - 26 * HOUR, T0)
    assert request.url == (
        "https://www.deribit.com/api/v2/public/get_funding_rate_history?instrument_name=C0-PERPETUAL"
        f"&start_timestamp={T0 - 28 * HOUR}&end_timestamp={T0}"
    )
    assert (request.method, request.weight, request.context) == ("GET", 1.0, "history:funding:C0-PERPETUAL")


def test_past_funding_is_of_an_hour_and_known_an_hour_after_its_stamp() -> None:
    expected = [HistoryPoint(NAME, "ETH-PERPETUAL", "ETH", "funding", 1763712000000 + HOUR, 0.0000023, 1.0, 4_500_000)]
    answer = load(NAME, "http_get_funding_rate_history")
    assert decode(fresh(NAME), answer, context=CONTEXT) == expected
    assert decode(fresh(NAME), answer, 1763712000000 + HOUR - 1, CONTEXT) == []
    broken = json.loads(answer)
    broken["result"] += [{"timestamp": 1763708400000}, None]
    found = decode(fresh(NAME), broken, context=CONTEXT)
    assert reasons(found) == ["missing_field", "wrong_type"]
    assert found[2:] == expected
    (refused,) = decode(fresh(NAME), load(NAME, "ws_refused"), context=CONTEXT)
    assert isinstance(refused, Control)
    assert refused.kind == "refused"
    assert reasons(decode(fresh(NAME), answer, context="history:mark:ETH-PERPETUAL")) == ["unknown_shape"]


def test_trades_have_their_own_sockets() -> None:
    plain = VENUE.connections(VENUE.endpoints, listings(91))
    for extras in (("flow",), ("liquidation",), EXTRA_STREAMS):
        plans = VENUE.connections(VENUE.endpoints, listings(91), extras)
        assert plans[:2] == plain
        assert [(plan.name, plan.acks, plan.expects) for plan in plans[2:]] == [("extra-1", 90, ()), ("extra-2", 1, ())]
        assert json.loads(plans[3].frames[0])["params"] == {"channels": ["trades.C90-PERPETUAL.100ms"]}
        assert plans[3].keepalive == plain[0].keepalive
    assert VENUE.connections(VENUE.endpoints, listings(91), ("positions", "long_short")) == plain


def test_five_hundred_instruments_with_everything_on() -> None:
    plans = VENUE.connections(VENUE.endpoints, listings(500), EXTRA_STREAMS)
    assert len(plans) == 12 <= 32
    for plan in plans:
        assert len(plan.frames) == plan.acks <= VENUE.limits.max_topics
        assert all(len(json.loads(frame)["params"]["channels"]) == 1 for frame in plan.frames)
        numbers = [json.loads(frame)["id"] for frame in plan.frames]
        assert len(dict.fromkeys(numbers)) == len(numbers)
        assert plan.keepalive is not None
        assert json.loads(plan.keepalive.text)["id"] not in numbers
        assert max(map(len, plan.frames)) < 32_000
    assert VENUE.polls(VENUE.endpoints, listings(500), 10.0, EXTRA_STREAMS) == []


@pytest.mark.parametrize("seed", range(12))
def test_no_mutation_escapes(seed: int) -> None:
    check_mutations(NAME, seed, 120, (CONTEXT,))


def test_no_mutated_answer_escapes() -> None:
    rng = random.Random(5)
    decoder = fresh(NAME)
    check_answers(decoder, NAME, rng, CONTEXT, 60)
