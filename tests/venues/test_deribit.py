"""Deribit: amounts in USD and in coins, a rate of 0, one channel per request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.model import Control, Funding, Listing, Mark, OpenInterest, Skipped
from service.venues.contract import Catalog
from service.venues.decoding import frames_in
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
    told,
)

VENUE = Deribit()
NAME = "deribit"
TS = 1763719200100


def ticker(fixture: str = "ws_ticker_inverse", drop: tuple[str, ...] = (), **changes: object) -> dict[str, Any]:
    """A fixture with some fields of its data changed or dropped."""
    frame: dict[str, Any] = json.loads(load(NAME, fixture))
    data = frame["params"]["data"]
    data.update(changes)
    for key in drop:
        del data[key]
    return frame


def test_inverse_open_interest_is_an_amount_of_dollars() -> None:
    assert decode(fresh(NAME), load(NAME, "ws_ticker_inverse")) == [
        Mark(NAME, "ETH-PERPETUAL", "ETH", 3010.25, 3011.75, TS, T0),
        Funding(NAME, "ETH-PERPETUAL", "ETH", 0.00002, 8.0, 0.00002, None, False, TS, T0),
        OpenInterest(NAME, "ETH-PERPETUAL", "ETH", 602050000.0, 1 / 3010.25, 602050000 * (1 / 3010.25), True, TS, T0),
    ]
    assert 602050000 / 3010.25 == 200000.0


def test_linear_open_interest_is_in_coins_and_a_rate_of_0_is_a_rate() -> None:
    at = TS + 100
    assert decode(fresh(NAME), load(NAME, "ws_ticker_linear")) == [
        Mark(NAME, "SOL_USDC-PERPETUAL", "SOL", 140.125, 140.5, at, T0),
        Funding(NAME, "SOL_USDC-PERPETUAL", "SOL", 0.0, 8.0, 0.0, None, False, at, T0),
        OpenInterest(NAME, "SOL_USDC-PERPETUAL", "SOL", 98765.4, 1.0, 98765.4, False, at, T0),
    ]


def test_metadata_changes_no_amount() -> None:
    """The contract size of the metadata (10 USD, 0.1 SOL) is a trading step."""
    catalog = Catalog()
    informed = fresh(NAME, catalog)
    decode(informed, load(NAME, "http_get_instruments"), context="instruments")
    for fixture in ("ws_ticker_inverse", "ws_ticker_linear"):
        assert decode(informed, load(NAME, fixture)) == decode(fresh(NAME), load(NAME, fixture))


def test_changes_of_the_incremental_ticker() -> None:
    at = TS + 400
    assert decode(fresh(NAME), load(NAME, "ws_incremental_ticker_change")) == [
        Mark(NAME, "ETH-PERPETUAL", "ETH", 3020.0, None, at, T0),
        OpenInterest(NAME, "ETH-PERPETUAL", "ETH", 604e6, 1 / 3020.0, 604e6 * (1 / 3020.0), True, at, T0),
    ]
    bare = {
        "jsonrpc": "2.0",
        "method": "subscription",
        "params": {
            "channel": "incremental_ticker.ETH-PERPETUAL",
            "data": {"type": "change", "timestamp": at, "current_funding": 0.0001},
        },
    }
    assert decode(fresh(NAME), bare) == [
        Funding(NAME, "ETH-PERPETUAL", "ETH", 0.0001, 8.0, 0.0001, None, False, at, T0)
    ]


def test_inverse_change_without_any_mark_is_skipped() -> None:
    frame = ticker("ws_incremental_ticker_change", drop=("mark_price",))
    assert decode(fresh(NAME), frame) == [Skipped(NAME, "ETH-PERPETUAL", "no_mark")]


def test_a_bad_field_costs_its_stream() -> None:
    found = decode(fresh(NAME), ticker(current_funding="0.1e"))
    assert reasons(found) == ["bad_number"]
    assert [type(item) for item in found if not reasons([item])] == [Mark, OpenInterest]
    found = decode(fresh(NAME), ticker("ws_ticker_linear", mark_price=0))
    assert reasons(found) == ["out_of_bounds"]
    assert [type(item) for item in found if not reasons([item])] == [Funding, OpenInterest]
    assert reasons(decode(fresh(NAME), ticker(drop=("open_interest",)))) == ["missing_field"]
    assert reasons(decode(fresh(NAME), ticker(drop=("current_funding",)))) == ["missing_field"]


def test_an_unreadable_mark_is_not_replaced_by_an_old_one() -> None:
    decoder = fresh(NAME)
    decode(decoder, load(NAME, "ws_ticker_inverse"))
    found = decode(decoder, ticker(mark_price=None))
    assert reasons(found) == ["wrong_type"]
    assert found[-1] == Skipped(NAME, "ETH-PERPETUAL", "no_mark")


@pytest.mark.parametrize(
    ("state", "counts"), [("open", True), ("locked", True), ("closed", False), ("inactive", False)]
)
def test_a_closed_book_does_not_count(state: str, counts: bool) -> None:
    found = decode(fresh(NAME), ticker(state=state))
    assert len(found) == 3 if counts else found == [Skipped(NAME, "ETH-PERPETUAL", "not_trading")]


def test_name_of_data_must_be_that_of_the_channel() -> None:
    assert reasons(decode(fresh(NAME), ticker(instrument_name="BTC-PERPETUAL"))) == ["bad_name"]


@pytest.mark.parametrize("fixture", ["ws_ticker_future", "ws_ticker_option"])
def test_other_products_are_silent(fixture: str) -> None:
    assert left_out(decode(fresh(NAME), load(NAME, fixture)))


@pytest.mark.parametrize(
    "name", ["BTC-FS-30SEP22_PERP", "ETH_BTC-PERPETUAL", "-PERPETUAL", "_USDC-PERPETUAL", "BTC_-PERPETUAL", "BTC_USDC"]
)
def test_foreign_names(name: str) -> None:
    frame = ticker(instrument_name=name)
    frame["params"]["channel"] = f"ticker.{name}.agg2"
    assert left_out(decode(fresh(NAME), frame))


def test_index_channel() -> None:
    decoder = fresh(NAME)
    assert decode(decoder, load(NAME, "ws_price_index")) == [
        Mark(NAME, "SOL_USDC-PERPETUAL", "SOL", None, 140.75, TS + 500, T0)
    ]
    frame = json.loads(load(NAME, "ws_price_index").replace("sol_usdc", "btc_usd"))
    (mark,) = decode(decoder, frame)
    assert isinstance(mark, Mark)
    assert (mark.instrument, mark.mark, mark.index) == ("BTC-PERPETUAL", None, 140.75)
    frame["params"]["data"]["index_name"] = "eth_btc"
    assert decode(decoder, frame) == []


def test_control_frames() -> None:
    decoder = fresh(NAME)
    channel = "ticker.ETH-PERPETUAL.agg2"
    assert decode(decoder, load(NAME, "ws_subscribed")) == [Control("ack", channel, channel)]
    assert decode(decoder, load(NAME, "ws_subscribed_nothing")) == [Control("refused", "4", "no channel accepted")]
    refused = [Control("refused", "5", "-32602 Invalid params unrecognized channel")]
    assert decode(decoder, load(NAME, "ws_refused")) == refused
    assert decode(decoder, load(NAME, "ws_test")) == [Control("pong", None, "pong")]
    assert decode(decoder, load(NAME, "ws_heartbeat")) == [Control("info", None, "heartbeat")]
    assert decode(decoder, load(NAME, "ws_platform_state")) == [Control("info", "platform_state", "price_index,locked")]
    assert decode(decoder, {"jsonrpc": "2.0", "id": 9, "result": "ok"}) == [Control("ack", "9", "ok")]
    assert decode(decoder, {"jsonrpc": "2.0", "id": 9, "result": 1763719200000}) == []
    for plan in VENUE.connections(VENUE.endpoints, [Listing(NAME, "A-PERPETUAL", "A", True, 1.0, 1.0, 8.0, True, T0)]):
        assert plan.keepalive is not None
        assert decode(decoder, plan.frames[0]) == decode(decoder, plan.keepalive.text) == []


@pytest.mark.parametrize("frame", [{"foo": 1}, 42, "x", [], {}, None, {"result": None}, {"result": True}])
def test_unknown_shapes(frame: object) -> None:
    assert reasons(fresh(NAME).decode(json.dumps(frame), T0)) == ["unknown_shape"]


def test_instruments() -> None:
    catalog = Catalog()
    decoder = fresh(NAME, catalog)
    assert told(decode(decoder, load(NAME, "http_get_instruments"), context="instruments")) == [
        Listing(NAME, "BTC-PERPETUAL", "BTC", True, 1.0, 1.0, 8.0, True, T0),
        Listing(NAME, "ETH-PERPETUAL", "ETH", True, 1.0, 1.0, 8.0, True, T0),
        Listing(NAME, "SOL_USDC-PERPETUAL", "SOL", False, 1.0, 1.0, 8.0, True, T0),
        Listing(NAME, "PEPE_USDC-PERPETUAL", "1000PEPE", False, 0.001, 0.001, 8.0, False, T0),
    ]
    assert catalog.foreign.keys() == {"ETH-27MAR26", "ETH_BTC-PERPETUAL"}
    answer = json.loads(load(NAME, "http_get_instruments"))
    answer["result"] = answer["result"][1:]
    gone = Listing(NAME, "BTC-PERPETUAL", "BTC", True, 1.0, 1.0, 8.0, False, T0 + 1)
    assert decode(decoder, answer, T0 + 1, context="instruments")[-1] == gone


def test_multiplier_tokens_are_in_canonical_units() -> None:
    frame = ticker("ws_ticker_linear", instrument_name="PEPE_USDC-PERPETUAL", mark_price=0.0000048, open_interest=5e9)
    frame["params"]["channel"] = "ticker.PEPE_USDC-PERPETUAL.agg2"
    mark, _, interest = decode(fresh(NAME), frame)
    assert isinstance(mark, Mark)
    assert isinstance(interest, OpenInterest)
    assert (mark.symbol, mark.mark) == ("1000PEPE", 0.0048)
    assert (interest.contracts, interest.contract_coins, interest.coins) == (5e9, 0.001, 5e6)


def test_unknown_kind_of_contract_is_not_guessed() -> None:
    answer = json.loads(load(NAME, "http_get_instruments").replace('"reversed"', '"sideways"'))
    catalog = Catalog()
    found = decode(fresh(NAME, catalog), answer, context="instruments")
    assert reasons(found) == ["unknown_shape"]
    assert "ETH-PERPETUAL" not in catalog.listings


def test_rest_fallbacks() -> None:
    found = decode(fresh(NAME), load(NAME, "http_get_order_book"))
    assert told(found) == [
        Mark(NAME, "ETH-PERPETUAL", "ETH", 3030.0, 3031.5, TS + 700, T0),
        Funding(NAME, "ETH-PERPETUAL", "ETH", -0.00005, 8.0, -0.00005, None, False, TS + 700, T0),
        OpenInterest(NAME, "ETH-PERPETUAL", "ETH", 606e6, 1 / 3030.0, 606e6 * (1 / 3030.0), True, TS + 700, T0),
    ]
    found = decode(fresh(NAME), load(NAME, "http_get_book_summary"), context="summary")
    assert told(found) == [
        Mark(NAME, "ETH-PERPETUAL", "ETH", 3040.0, None, TS + 800, T0),
        Funding(NAME, "ETH-PERPETUAL", "ETH", 0.00006, 8.0, 0.00006, None, False, TS + 800, T0),
        OpenInterest(NAME, "ETH-PERPETUAL", "ETH", 608e6, 1 / 3040.0, 608e6 * (1 / 3040.0), True, TS + 800, T0),
    ]
    assert decode(fresh(NAME), load(NAME, "http_get_funding_rate_history")) == []


def test_connections_one_request_per_instrument() -> None:
    listings = [Listing(NAME, f"C{n}-PERPETUAL", f"C{n}", True, 1.0, 1.0, 8.0, True, T0) for n in range(91)]
    plans = VENUE.connections(VENUE.endpoints, listings)
    assert [(plan.name, plan.acks, len(plan.frames)) for plan in plans] == [("public-1", 90, 90), ("public-2", 1, 1)]
    assert json.loads(plans[1].frames[0]) == {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "public/subscribe",
        "params": {"channels": ["ticker.C90-PERPETUAL.agg2"]},
    }
    assert plans[1].expects == tuple(("C90-PERPETUAL", stream) for stream in ("mark", "funding", "oi"))
    keepalive = plans[0].keepalive
    assert keepalive is not None
    assert json.loads(keepalive.text)["method"] == "public/test"
    assert len({json.loads(text)["id"] for text in (*plans[0].frames, keepalive.text)}) == 91
    assert len(plans[0].frames) / VENUE.limits.sends_per_s <= VENUE.limits.first_message_s
    (request,) = VENUE.metadata(VENUE.endpoints)
    assert request.url.startswith("https://www.deribit.com/api/v2/public/get_instruments?currency=any&kind=future")
    assert VENUE.polls(VENUE.endpoints, listings, 10.0) == []
    assert VENUE.rules_for(99.0) == VENUE.rules


def test_documents_of_several_frames() -> None:
    assert frames_in(NAME, [{"id": 1}, {"id": 2}]) == [{"id": 1}, {"id": 2}]
    assert frames_in(NAME, {"id": 1}) == [{"id": 1}]


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_no_mutation_escapes(seed: int) -> None:
    check_mutations(NAME, seed, 60)


@given(st.randoms(use_true_random=False))
def test_no_mutation_escapes_as_metadata(rng: Any) -> None:
    decoder = fresh(NAME)
    check_answers(decoder, NAME, rng, "instruments")


@given(st.floats(1e-3, 1e6), st.floats(0, 1e12))
def test_inverse_coins_times_mark_are_the_dollars(mark: float, amount: float) -> None:
    interest = decode(fresh(NAME), ticker(mark_price=mark, open_interest=amount))[-1]
    assert isinstance(interest, OpenInterest)
    assert interest.coins * mark == pytest.approx(amount, rel=1e-12)
