"""dYdX: one topic for all markets, who vouches for what, markets that are not active."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.model import Confirm, Control, Decoded, Funding, Listing, Mark, OpenInterest
from service.venues.contract import Catalog, Decoder
from service.venues.decoding import frames_in
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
HOUR = 1763722800000  # the full hour after T0
LONG = "PEPE,RAYDIUM,7GCihgDB8fe6KNjn2MYtkzZcRjQy3t9GHdC8uHYmW2hr-USD"


def started(catalog: Catalog | None = None) -> Decoder:
    decoder = fresh(NAME, catalog)
    assert reasons(decode(decoder, load(NAME, "ws_subscribed"))) == []
    return decoder


def trading(**markets: dict[str, Any]) -> dict[str, Any]:
    rows = {name.replace("_", "-"): row for name, row in markets.items()}
    return {"type": "channel_data", "channel": "v4_markets", "contents": {"trading": rows}}


def oracle(at: str = "2025-11-21T10:00:05.000Z", **prices: object) -> dict[str, Any]:
    rows = {
        name.replace("_", "-"): {"oraclePrice": value, "effectiveAt": at, "effectiveAtHeight": "1", "marketId": 1}
        for name, value in prices.items()
    }
    return {"type": "channel_data", "channel": "v4_markets", "contents": {"oraclePrices": rows}}


def confirm(instrument: str, symbol: str, *streams: str, ts: int | None = None) -> Decoded:
    return Confirm(NAME, instrument, symbol, streams, ts, T0)  # type: ignore[arg-type]


def eth(streams: list[Decoded]) -> list[Decoded]:
    return [item for item in streams if getattr(item, "instrument", None) == "ETH-USD"]


def listing(name: str, symbol: str, multiplier: float = 1.0, trading: bool = True) -> Listing:
    return Listing(NAME, name, symbol, False, multiplier, multiplier, 1.0, trading, T0)


def test_snapshot() -> None:
    long_symbol = LONG.removesuffix("-USD")
    assert decode(fresh(NAME), load(NAME, "ws_subscribed")) == [
        Control("ack", "v4_markets", "subscribed"),
        listing("ETH-USD", "ETH"),
        Mark(NAME, "ETH-USD", "ETH", 3010.25, 3010.25, None, T0),
        Funding(NAME, "ETH-USD", "ETH", 0.0000125, 1.0, 0.0001, HOUR, False, None, T0),
        OpenInterest(NAME, "ETH-USD", "ETH", 6250.375, 1.0, 6250.375, False, None, T0),
        listing("PEPE-USD", "1000PEPE", 0.001),
        Mark(NAME, "PEPE-USD", "1000PEPE", 0.0048, 0.0048, None, T0),
        Funding(NAME, "PEPE-USD", "1000PEPE", -0.0000075, 1.0, -0.00006, HOUR, False, None, T0),
        OpenInterest(NAME, "PEPE-USD", "1000PEPE", 1.5e11, 0.001, 1.5e8, False, None, T0),
        listing(LONG, long_symbol),
        Mark(NAME, LONG, long_symbol, 0.0012, 0.0012, None, T0),
        Funding(NAME, LONG, long_symbol, 0.0, 1.0, 0.0, HOUR, False, None, T0),
        OpenInterest(NAME, LONG, long_symbol, 0.0, 1.0, 0.0, False, None, T0),
        listing("LUNA-USD", "LUNA", trading=False),
    ]


def test_a_message_of_the_task_vouches_for_rates_and_open_interests_it_leaves_out() -> None:
    assert decode(started(), load(NAME, "ws_channel_data_trading")) == [
        OpenInterest(NAME, "ETH-USD", "ETH", 6253.75, 1.0, 6253.75, False, None, T0),
        confirm("ETH-USD", "ETH", "funding"),
        confirm("PEPE-USD", "1000PEPE", "funding", "oi"),
        confirm(LONG, LONG.removesuffix("-USD"), "funding", "oi"),
    ]


def test_batch_in_order_and_prices_vouch_for_prices_as_of_their_block() -> None:
    first, second = 1763719203231, 1763719204301
    assert decode(started(), load(NAME, "ws_channel_batch_data")) == [
        Mark(NAME, "ETH-USD", "ETH", 3012.5, 3012.5, first, T0),
        Funding(NAME, "PEPE-USD", "1000PEPE", -0.0000085, 1.0, -0.000068, HOUR, False, None, T0),
        Mark(NAME, "ETH-USD", "ETH", 3013.75, 3013.75, second, T0),
        confirm("ETH-USD", "ETH", "funding", "oi"),
        confirm("PEPE-USD", "1000PEPE", "mark", ts=second),
        confirm("PEPE-USD", "1000PEPE", "oi"),
        confirm(LONG, LONG.removesuffix("-USD"), "mark", ts=second),
        confirm(LONG, LONG.removesuffix("-USD"), "funding", "oi"),
    ]


def test_changed_parameters_alone_vouch_for_nothing() -> None:
    """They do not come from the 30 s task."""
    assert decode(started(), trading(ETH_USD={"initialMarginFraction": "0.05"})) == []


def test_updates_are_whole_values_and_need_no_snapshot() -> None:
    assert decode(fresh(NAME), load(NAME, "ws_channel_data_trading")) == [
        OpenInterest(NAME, "ETH-USD", "ETH", 6253.75, 1.0, 6253.75, False, None, T0)
    ]


def test_new_market_is_listed_and_then_heard() -> None:
    decoder = started()
    assert decode(decoder, load(NAME, "ws_new_market")) == [listing("NEW-USD", "NEW")]
    (mark, *_) = decode(decoder, oracle(NEW_USD="2.5"))
    assert mark == Mark(NAME, "NEW-USD", "NEW", 2.5, 2.5, 1763719205000, T0)


def test_base_open_interest_is_not_used() -> None:
    assert [item for item in decode(started(), trading(ETH_USD={"baseOpenInterest": "1"})) if eth([item])] == []


@pytest.mark.parametrize("value", ["", None])
def test_not_said_is_unknown_and_not_confirmed(value: object) -> None:
    decoder = started()
    assert eth(decode(decoder, trading(ETH_USD={"openInterest": value}))) == [confirm("ETH-USD", "ETH", "funding")]
    assert eth(decode(decoder, trading(PEPE_USD={"trades24H": 1}))) == [confirm("ETH-USD", "ETH", "funding")]


def test_a_bad_field_costs_its_stream_until_it_is_said_again() -> None:
    decoder = started()
    found = decode(decoder, trading(ETH_USD={"openInterest": "1e999", "nextFundingRate": "0.00002"}))
    assert reasons(found) == ["out_of_bounds"]
    assert [type(item) for item in eth(found)] == [Funding]
    assert eth(decode(decoder, trading(PEPE_USD={"volume24H": "1"}))) == [confirm("ETH-USD", "ETH", "funding")]
    assert len(eth(decode(decoder, trading(ETH_USD={"openInterest": "7000"})))) == 2
    assert eth(decode(decoder, trading(PEPE_USD={"volume24H": "1"}))) == [confirm("ETH-USD", "ETH", "funding", "oi")]


@pytest.mark.parametrize("row", [{"oraclePrice": "1"}, {"effectiveAt": "2025-11-21T10:00:05.000Z"}, "x", None])
def test_a_refused_price_is_not_confirmed(row: object) -> None:
    decoder = started()
    frame = oracle()
    frame["contents"]["oraclePrices"]["ETH-USD"] = row
    assert len(reasons(decode(decoder, frame))) == 1
    assert eth(decode(decoder, oracle(PEPE_USD="0.000005"))) == []
    assert eth(decode(decoder, trading(PEPE_USD={"trades24H": 2}))) == [confirm("ETH-USD", "ETH", "funding", "oi")]


def test_a_refused_row_leaves_the_other_markets() -> None:
    decoder = started()
    found = decode(
        decoder, trading(ETH_USD={"ticker": "BTC-USD", "openInterest": "1"}, PEPE_USD={"openInterest": "9000"})
    )
    assert reasons(found) == ["bad_name"]
    assert eth(found) == []
    assert [item.coins for item in found if isinstance(item, OpenInterest)] == [9.0]


def test_inactive_market_is_silent_and_tells_all_when_it_is_back() -> None:
    decoder = started()
    paused = decode(decoder, trading(ETH_USD={"status": "PAUSED", "openInterest": "7000"}))
    assert eth(paused) == [listing("ETH-USD", "ETH", trading=False)]
    assert eth(decode(decoder, oracle(ETH_USD="3000"))) == []
    assert eth(decode(decoder, trading(ETH_USD={"status": "ACTIVE"}))) == [
        listing("ETH-USD", "ETH"),
        Mark(NAME, "ETH-USD", "ETH", 3000.0, 3000.0, None, T0),
        Funding(NAME, "ETH-USD", "ETH", 0.0000125, 1.0, 0.0001, HOUR, False, None, T0),
        OpenInterest(NAME, "ETH-USD", "ETH", 7000.0, 1.0, 7000.0, False, None, T0),
    ]


def test_metadata_that_reactivates_a_market_confirms_nothing_untold() -> None:
    catalog = Catalog()
    decoder = started(catalog)
    decode(decoder, trading(ETH_USD={"status": "PAUSED", "openInterest": "7000"}))
    decode(fresh(NAME, catalog), load(NAME, "http_get_perpetual_markets"), context="markets")
    assert catalog.listings["ETH-USD"].trading
    assert eth(decode(decoder, trading(PEPE_USD={"trades24H": 3}))) == []
    told = eth(decode(decoder, oracle(ETH_USD="3001")))
    assert [type(item) for item in told] == [Mark, Funding, OpenInterest]


def test_new_snapshot_forgets_the_old_one() -> None:
    decoder = started()
    snapshot = json.loads(load(NAME, "ws_subscribed"))
    snapshot["contents"]["markets"] = {"PEPE-USD": snapshot["contents"]["markets"]["PEPE-USD"]}
    decode(decoder, snapshot)
    assert eth(decode(decoder, trading(PEPE_USD={"trades24H": 4}))) == []


def test_no_next_funding_without_a_receive_time() -> None:
    found = decode(fresh(NAME), load(NAME, "ws_subscribed"), recv_ts=0)
    assert {item.next_ts for item in found if isinstance(item, Funding)} == {None}


def test_control_frames() -> None:
    decoder = fresh(NAME)
    assert decode(decoder, load(NAME, "ws_connected")) == [Control("info", None, "connected")]
    assert decode(decoder, load(NAME, "ws_unsubscribed")) == [Control("info", "v4_trades:ETH-USD", "unsubscribed")]
    message = "Internal error, could not fetch data for subscription: v4_markets."
    assert decode(decoder, load(NAME, "ws_error")) == [Control("refused", "v4_markets", message)]
    assert decode(decoder, {"type": "pong"}) == [Control("pong", None, "pong")]
    assert decode(decoder, {"type": "subscribed", "channel": "v4_trades", "id": "ETH-USD", "contents": {}}) == [
        Control("ack", "v4_trades:ETH-USD", "subscribed")
    ]
    assert decode(decoder, load(NAME, "http_error")) == [Control("refused", None, "Too many requests")]
    for silent in ("ws_block_height", "ws_v3_markets", "http_get_height"):
        assert decode(decoder, load(NAME, silent)) == []
    (plan,) = VENUE.connections(VENUE.endpoints, [listing("ETH-USD", "ETH")])
    assert decode(decoder, plan.frames[0]) == []


@pytest.mark.parametrize("frame", [{"foo": 1}, 42, "x", [], {}, None, {"type": "news"}])
def test_unknown_shapes(frame: object) -> None:
    assert reasons(fresh(NAME).decode(json.dumps(frame), T0)) == ["unknown_shape"]


def test_metadata_lists_and_delists() -> None:
    catalog = Catalog()
    decoder = started(catalog)
    assert decode(decoder, load(NAME, "http_get_perpetual_markets"), context="markets") == [
        listing("ETH-USD", "ETH"),
        listing("PEPE-USD", "1000PEPE", 0.001),
        listing(LONG, LONG.removesuffix("-USD")),
        listing("SOL-USD", "SOL", trading=False),
    ]
    answer = json.loads(load(NAME, "http_get_perpetual_markets"))
    del answer["markets"]["ETH-USD"]
    assert listing("ETH-USD", "ETH", trading=False) in decode(decoder, answer, context="markets")
    assert eth(decode(decoder, oracle(ETH_USD="3002"))) == []


def test_rest_markets_without_context_are_observations() -> None:
    found = decode(fresh(NAME), load(NAME, "http_get_perpetual_markets"))
    assert [item.coins for item in found if isinstance(item, OpenInterest)] == [6250.375, 1.5e8, 0.0]
    wrapped = {"requestId": "r", "status": "success", "result": json.loads(load(NAME, "http_get_perpetual_markets"))}
    assert decode(fresh(NAME), wrapped) == found


def test_history() -> None:
    assert decode(fresh(NAME), load(NAME, "http_get_historical_funding")) == [
        Funding(NAME, "ETH-USD", "ETH", 0.0000023, 1.0, 0.0000184, None, True, 1763715600231, T0),
        Funding(NAME, "ETH-USD", "ETH", -0.0000017, 1.0, -0.0000136, None, True, 1763712000592, T0),
    ]


@pytest.mark.parametrize("name", ["ETH-USDC", "-USD", "ETH", "A" * 130 + "-USD"])
def test_foreign_names(name: str) -> None:
    frame = trading()
    frame["contents"]["trading"][name] = {"openInterest": "1", "status": "ACTIVE"}
    assert decode(fresh(NAME), frame) == []


def test_one_connection_for_all() -> None:
    listings = [listing(f"C{n}-USD", f"C{n}") for n in range(300)]
    (plan,) = VENUE.connections(VENUE.endpoints, listings)
    assert [json.loads(frame) for frame in plan.frames] == [
        {"type": "subscribe", "channel": "v4_markets", "batched": True}
    ]
    assert (plan.acks, plan.keepalive, len(plan.expects)) == (1, None, 900)
    assert VENUE.connections(VENUE.endpoints, []) == []
    (request,) = VENUE.metadata(VENUE.endpoints)
    assert request.url == "https://indexer.dydx.trade/v4/perpetualMarkets"
    assert VENUE.polls(VENUE.endpoints, listings, 10.0) == []
    assert VENUE.rules_for(99.0) == VENUE.rules
    assert VENUE.rules.oi.max_age_ms == 120_000
    assert frames_in(NAME, [1, 2]) == [1, 2]


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_no_mutation_escapes(seed: int) -> None:
    check_mutations(NAME, seed, 60)


@given(st.randoms(use_true_random=False))
def test_no_mutation_escapes_as_metadata(rng: Any) -> None:
    decoder = fresh(NAME)
    check_answers(decoder, NAME, rng, "markets")


FIELD = st.sampled_from(("oraclePrice", "nextFundingRate", "openInterest"))
STATUS = st.sampled_from((None, None, None, "ACTIVE", "PAUSED"))


@given(st.lists(st.tuples(FIELD, STATUS, st.sampled_from(("0.5", "0.25", "1e999", ""))), max_size=20))
def test_a_confirmed_value_is_the_last_said_and_the_last_told(steps: list[tuple[str, str | None, str]]) -> None:
    """Whatever happens in between, a Confirm never vouches for a value that the venue has replaced."""
    decoder = started()
    said = {"oraclePrice": 3010.25, "nextFundingRate": 0.0000125, "openInterest": 6250.375}
    told: dict[str, float] = dict(said)
    keys = {"mark": "oraclePrice", "funding": "nextFundingRate", "oi": "openInterest"}
    for key, status, value in steps:
        row = {key: value} if status is None else {key: value, "status": status}
        said[key] = float("nan") if value in ("", "1e999") else float(value)
        found = eth(decode(decoder, trading(ETH_USD=row))) + eth(decode(decoder, trading(PEPE_USD={"trades24H": 5})))
        for item in found:
            if isinstance(item, Mark):
                told["oraclePrice"] = item.mark or 0.0
            elif isinstance(item, Funding):
                told["nextFundingRate"] = item.rate
            elif isinstance(item, OpenInterest):
                told["openInterest"] = item.coins
            elif isinstance(item, Confirm):
                for stream in item.streams:
                    assert told[keys[stream]] == said[keys[stream]]
