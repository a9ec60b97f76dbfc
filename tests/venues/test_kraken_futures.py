"""Kraken Futures: relative hourly rates, coins and dollars, dated contracts, names in either case."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.model import Candidate, Control, Decoded, Endpoints, Funding, Listing, Mark, OpenInterest, Skipped
from service.venues.contract import Catalog, Decoder
from service.venues.kraken_futures.venue import KrakenFutures
from tests.venues.frames import (
    T0,
    check_answers,
    check_mutations,
    decode,
    kinds,
    left_out,
    load,
    reasons,
    told,
)

VENUE = KrakenFutures()
V1 = KrakenFutures()  # with the unified socket switched off
V1.endpoints = Endpoints({**VENUE.endpoints.ws, "unified": ""}, VENUE.endpoints.rest)
NAME = "kraken_futures"
TS = 1763719200300
NEXT = 1763722800000
EXTRA_CONTEXTS = (
    "history:mark:PF_ETHUSD", "history:index:PI_XBTUSD", "history:oi:PF_ETHUSD", "history:oi:PI_XBTUSD",
    "history:funding:PF_ETHUSD", "history:x:PF_ETHUSD", "history:",
)  # fmt: skip


def blind() -> Decoder:
    return VENUE.decoder(Catalog())


def ticker(name: str = "ws_ticker_linear", **changes: object) -> dict[str, Any]:
    """A fixture with some fields changed; None removes one."""
    frame: dict[str, Any] = json.loads(load(NAME, name))
    for key, value in changes.items():
        frame[key] = value
        if value is None:
            del frame[key]
    return frame


def test_linear_is_in_coins_and_the_rate_is_the_relative_one() -> None:
    assert decode(blind(), load(NAME, "ws_ticker_linear")) == [
        Mark(NAME, "PF_ETHUSD", "ETH", 3010.25, 3011.75, TS, T0),
        Funding(NAME, "PF_ETHUSD", "ETH", 0.000015, 1.0, 0.00012, NEXT, False, TS, T0),
        OpenInterest(NAME, "PF_ETHUSD", "ETH", 21000.125, 1.0, 21000.125, False, TS, T0),
    ]


def test_inverse_is_in_dollars_and_converted() -> None:
    at = 1763719200400
    assert decode(blind(), load(NAME, "ws_ticker_inverse")) == [
        Mark(NAME, "PI_XBTUSD", "BTC", 80000.0, 80020.0, at, T0),
        Funding(NAME, "PI_XBTUSD", "BTC", -2.0005e-05, 1.0, -0.00016004, NEXT, False, at, T0),
        OpenInterest(NAME, "PI_XBTUSD", "BTC", 32e6, 1 / 80000, 400.0, True, at, T0),
    ]


def test_exponent_notation_and_canonical_unit() -> None:
    at = 1763719200500
    assert decode(blind(), load(NAME, "ws_ticker_scaled")) == [
        Mark(NAME, "PF_PEPEUSD", "1000PEPE", 0.004875, 0.00475, at, T0),
        Funding(NAME, "PF_PEPEUSD", "1000PEPE", 0.00002, 1.0, 0.00016, NEXT, False, at, T0),
        OpenInterest(NAME, "PF_PEPEUSD", "1000PEPE", 4000200000.0, 0.001, 4000200.0, False, at, T0),
    ]


def test_market_not_yet_open_has_no_funding_rate() -> None:
    at = 1763719200600
    assert decode(blind(), load(NAME, "ws_ticker_unopened")) == [
        Mark(NAME, "PF_NEWUSD", "NEW", 1.25, 1.25, at, T0),
        OpenInterest(NAME, "PF_NEWUSD", "NEW", 0.0, 1.0, 0.0, False, at, T0),
    ]


def test_suspended_market_is_not_live() -> None:
    assert decode(blind(), ticker(suspended=True)) == [Skipped(NAME, "PF_ETHUSD", "suspended")]
    assert reasons(decode(blind(), ticker(suspended="true"))) == ["wrong_type"]
    assert len(decode(blind(), ticker(suspended=None))) == 3


@pytest.mark.parametrize("absent", [None, ""])
def test_absent_or_empty_is_unknown_never_zero(absent: object) -> None:
    assert kinds(decode(blind(), ticker(openInterest=absent))) == [Mark, Funding]
    assert kinds(decode(blind(), ticker(relative_funding_rate=absent))) == [Mark, OpenInterest]
    assert kinds(decode(blind(), ticker(markPrice=absent, index=absent))) == [Funding, OpenInterest]
    (mark, *_) = decode(blind(), ticker(markPrice=absent))
    assert mark == Mark(NAME, "PF_ETHUSD", "ETH", None, 3011.75, TS, T0)
    (_, funding, _) = decode(blind(), ticker(next_funding_rate_time=absent))
    assert isinstance(funding, Funding)
    assert funding.next_ts is None


@pytest.mark.parametrize(
    ("changes", "reason", "left"),
    [
        ({"markPrice": 0.0}, "out_of_bounds", [Funding, OpenInterest]),
        ({"index": "x"}, "bad_number", [Mark, Funding, OpenInterest]),
        ({"relative_funding_rate": 1.5}, "out_of_bounds", [Mark, OpenInterest]),
        ({"next_funding_rate_time": 1763722800}, "out_of_bounds", [Mark, OpenInterest]),  # seconds for ms
        ({"next_funding_rate_time": TS - 600_001}, "out_of_bounds", [Mark, OpenInterest]),
        ({"openInterest": -1.0}, "out_of_bounds", [Mark, Funding]),
        ({"openInterest": False}, "wrong_type", [Mark, Funding]),
    ],
)
def test_bad_field_costs_its_stream(changes: dict[str, object], reason: str, left: list[type]) -> None:
    found = decode(blind(), ticker(**changes))
    assert reasons(found) == [reason]
    assert [kind for kind in kinds(found) if kind in (Mark, Funding, OpenInterest)] == left


def test_next_time_may_be_just_past() -> None:
    funding = decode(blind(), ticker(next_funding_rate_time=TS - 600_000))[1]
    assert isinstance(funding, Funding)
    assert funding.next_ts == TS - 600_000


@pytest.mark.parametrize("value", ["?", None])
def test_inverse_without_a_readable_mark_is_skipped(value: object) -> None:
    found = decode(blind(), ticker("ws_ticker_inverse", markPrice=value))
    assert found[-1] == Skipped(NAME, "PI_XBTUSD", "no_mark")


def test_bad_index_of_an_inverse_contract_costs_itself_alone() -> None:
    found = decode(blind(), ticker("ws_ticker_inverse", index=0))
    assert reasons(found) == ["out_of_bounds"]
    assert kinds(found[1:]) == [Mark, Funding, OpenInterest]
    assert isinstance(found[1], Mark)
    assert found[1].index is None


@pytest.mark.parametrize("stamp", [1763719200, "now", None])
def test_unreadable_time_costs_the_message(stamp: object) -> None:
    frame = ticker()
    frame["time"] = stamp
    assert len(reasons(decode(blind(), frame))) == 1


@pytest.mark.parametrize(
    "name",
    ["FI_XBTUSD_260327", "FF_XBTUSD_260327", "PF_XBTUSD_260327", "PF_XBTEUR", "PF_USD", "in_xbtusd", "PV_XRPXBT"],
)
def test_foreign_products_are_silent(name: str) -> None:
    assert left_out(decode(blind(), ticker(product_id=name)))


@pytest.mark.parametrize("name", ["ws_ticker_dated", "ws_ticker_lite", "ws_trade_snapshot", "ws_heartbeat"])
def test_other_feeds_are_silent(name: str) -> None:
    assert told(decode(blind(), load(NAME, name))) == []


def test_control_frames() -> None:
    decoder = blind()
    assert decode(decoder, load(NAME, "ws_info")) == [Control("info", None, "info")]
    assert decode(decoder, load(NAME, "ws_subscribed")) == [Control("ack", "ticker:PF_SOLUSD", "subscribed")]
    text = "alert Couldn't subscribe to invalid product `PF_NOPEUSD`"
    assert decode(decoder, load(NAME, "ws_alert")) == [Control("refused", None, text)]
    for event in ("error", "subscribed_failed", "unsubscribed_failed"):
        refused = Control("refused", "ticker:PF_X", f"{event} no")
        frame = {"event": event, "feed": "ticker", "product_ids": ["PF_X"], "message": "no"}
        assert decode(decoder, frame) == [refused]
    assert decode(decoder, {"event": "pong"}) == [Control("pong", None, "pong")]
    assert decode(decoder, load(NAME, "http_error")) == [Control("refused", None, "apiLimitExceeded")]
    assert decode(decoder, load(NAME, "http_error_list")) == [Control("refused", None, "11 Argument invalid: symbol")]
    not_found = {"timestamp": 1763719200000, "path": "/x", "status": 404, "error": "Not Found", "message": ""}
    assert decode(decoder, not_found) == [Control("refused", None, "404 Not Found")]


def test_own_requests_in_a_recording_are_silent() -> None:
    listing = Listing(NAME, "PF_ETHUSD", "ETH", False, 1.0, 1.0, 1.0, True, T0)
    plans = VENUE.connections(VENUE.endpoints, [listing], ("flow",))
    texts = [text for plan in plans for text in (*plan.frames, *plan.anew.get("PF_ETHUSD", ()))]
    assert len(texts) == 8
    assert all(decode(blind(), text) == [] for text in texts)


@pytest.mark.parametrize(
    "frame", [{"foo": 1}, 42, "x", [], {}, None, [{"feed": "ticker"}], {"result": "success", "orderBook": {}}]
)
def test_unknown_shapes(frame: object) -> None:
    assert reasons(blind().decode(json.dumps(frame), T0)) == ["unknown_shape"]


def test_instruments() -> None:
    catalog = Catalog()
    decoder = VENUE.decoder(catalog)
    assert told(decode(decoder, load(NAME, "http_get_instruments"), context="instruments")) == [
        Listing(NAME, "PF_XBTUSD", "BTC", False, 1.0, 1.0, 1.0, True, T0),
        Listing(NAME, "PF_PEPEUSD", "1000PEPE", False, 0.001, 0.001, 1.0, True, T0),
        Listing(NAME, "PI_XBTUSD", "BTC", True, 1.0, 1.0, 1.0, True, T0),
        Listing(NAME, "PF_NEWUSD", "NEW", False, 1.0, 1.0, 1.0, False, T0),
        Listing(NAME, "PI_BCHUSD", "BCH", True, 1.0, 1.0, 1.0, False, T0),
    ]
    assert catalog.foreign.keys() == {"FF_XBTUSD_260327", "PF_AAPLXUSD", "IN_DOGEUSD"}


def test_contract_size_of_the_metadata_counts_and_its_absence_is_unknown() -> None:
    catalog = Catalog()
    decoder = VENUE.decoder(catalog)
    rows = [
        {"symbol": "PF_ETHUSD", "type": "flexible_futures", "contractSize": 0.5, "tradeable": True},
        {"symbol": "PI_XBTUSD", "type": "futures_inverse", "contractSize": 10, "tradeable": True},
        {"symbol": "PF_PEPEUSD", "type": "flexible_futures", "tradeable": True},
    ]
    decode(decoder, {"result": "success", "instruments": rows}, context="instruments")
    linear = decode(decoder, load(NAME, "ws_ticker_linear"))[-1]
    inverse = decode(decoder, load(NAME, "ws_ticker_inverse"))[-1]
    assert isinstance(linear, OpenInterest)
    assert isinstance(inverse, OpenInterest)
    assert (linear.contract_coins, linear.coins) == (0.5, 10500.0625)
    assert (inverse.contracts, inverse.contract_coins, inverse.coins) == (32e6, 10 / 80000, 4000.0)
    skipped = Skipped(NAME, "PF_PEPEUSD", "unknown_contract_size")
    assert decode(decoder, load(NAME, "ws_ticker_scaled"))[-1] == skipped


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "futures_inverse"}, "unknown_shape"),  # of a PF_ name
        ({"contractSize": 0}, "out_of_bounds"),
        ({"contractSize": None}, "wrong_type"),
        ({"tradeable": "true"}, "wrong_type"),
        ({"tradfi": None}, "wrong_type"),
        ({"symbol": ""}, "bad_name"),
    ],
)
def test_bad_instrument_is_not_listed(changes: dict[str, object], reason: str) -> None:
    row = {**json.loads(load(NAME, "http_get_instruments"))["instruments"][0], **changes}
    assert reasons(decode(blind(), {"result": "success", "instruments": [row]})) == [reason]


def test_delisting_by_absence() -> None:
    catalog = Catalog()
    decoder = VENUE.decoder(catalog)
    answer = json.loads(load(NAME, "http_get_instruments"))
    decode(decoder, answer, context="instruments")
    answer["instruments"] = answer["instruments"][1:]
    decode(decoder, answer)
    assert catalog.listings["PF_XBTUSD"].trading
    decode(decoder, answer, context="instruments")
    assert not catalog.listings["PF_XBTUSD"].trading
    assert catalog.listings["PI_XBTUSD"].trading


def test_rest_tickers_have_no_relative_rate() -> None:
    at = 1763719202750
    expected = [
        Mark(NAME, "PI_XBTUSD", "BTC", 80000.0, 80020.5, at, T0),
        OpenInterest(NAME, "PI_XBTUSD", "BTC", 16e6, 1 / 80000, 200.0, True, at, T0),
    ]
    answer = json.loads(load(NAME, "http_get_tickers"))
    assert told(decode(blind(), answer)) == expected
    single = {"result": "success", "ticker": answer["tickers"][0], "serverTime": answer["serverTime"]}
    assert told(decode(blind(), single)) == expected


@pytest.mark.parametrize("at", ["2025-11-21 10:00:00Z", "2025-13-21T10:00:00Z", "2025-11-21T10:00:00", 1763719200000])
def test_unreadable_server_time(at: object) -> None:
    answer = {**json.loads(load(NAME, "http_get_tickers")), "serverTime": at}
    assert len(reasons(decode(blind(), answer))) == 1


def test_rest_funding_history() -> None:
    answer = load(NAME, "http_get_historical_funding_rates")
    assert decode(blind(), answer, context="historicalfundingrates:pi_xbtusd") == [
        Funding(NAME, "PI_XBTUSD", "BTC", 0.000015, 1.0, 0.00012, None, True, 1763715600000, T0),
        Funding(NAME, "PI_XBTUSD", "BTC", -0.00001, 1.0, -0.00008, None, True, 1763719200000, T0),
    ]
    assert decode(blind(), answer) == [Skipped(NAME, "", "unknown_instrument")]
    assert decode(blind(), answer, context="historicalfundingrates:FI_XBTUSD_260327") == [
        Skipped(NAME, "FI_XBTUSD_260327", "dated")
    ]


def test_connections_one_product_a_request() -> None:
    listings = [Listing(NAME, f"PF_C{n}USD", f"C{n}", False, 1.0, 1.0, 1.0, True, T0) for n in range(103)]
    plans = V1.connections(V1.endpoints, listings)
    assert [(plan.name, plan.acks) for plan in plans] == [("public-1", 100), ("public-2", 3)]
    assert [json.loads(frame)["product_ids"] for frame in plans[1].frames] == [
        ["PF_C100USD"],
        ["PF_C101USD"],
        ["PF_C102USD"],
    ]
    assert plans[1].expects[:3] == (("PF_C100USD", "mark"), ("PF_C100USD", "funding"), ("PF_C100USD", "oi"))
    for plan in plans:
        assert plan.url == "wss://futures.kraken.com/ws/v1"
        assert plan.keepalive is None  # protocol pings: the venue refuses any text
    assert VENUE.polls(VENUE.endpoints, listings, 10.0) == []
    assert VENUE.rules_for(99.0) == VENUE.rules
    (request,) = VENUE.metadata(VENUE.endpoints)
    assert request.url == "https://futures.kraken.com/derivatives/api/v3/instruments"


def test_the_cap_takes_the_venues_largest_rate_and_no_absolute_one() -> None:
    largest, absolute = (decode(blind(), ticker(relative_funding_rate=rate))[1] for rate in (0.005, 0.0451537))
    assert isinstance(largest, Funding)
    assert isinstance(absolute, Funding)
    assert largest.rate_8h is not None
    assert absolute.rate_8h is not None
    assert largest.rate_8h <= VENUE.rules.funding_cap_8h < absolute.rate_8h


@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_no_mutation_escapes(seed: int) -> None:
    check_mutations(NAME, seed, 60, EXTRA_CONTEXTS)


@settings(max_examples=50)
@given(st.randoms(use_true_random=False), st.sampled_from(("historicalfundingrates:PF_XBTUSD", "instruments")))
def test_no_mutation_escapes_under_the_venues_contexts(rng: Any, context: str) -> None:
    decoder = blind()
    check_answers(decoder, NAME, rng, context)


# -- the unified socket --------------------------------------------------------------------------------------------


def row(**changes: object) -> dict[str, Any]:
    """A message with one ticker."""
    fields = {"symbol": "PF_ETHUSD", "mark_price": 3010.5, "timestamp": "2025-11-21T10:00:05.700Z"}
    return {"channel": "ticker", "type": "update", "data": [fields | changes]}


def fields_of(found: list[Decoded]) -> list[tuple[str, str, float]]:
    (item,) = [item for item in found if isinstance(item, Candidate)]
    return list(item.fields)


def test_plans_of_the_unified_socket() -> None:
    listings = [Listing(NAME, f"PF_C{n}USD", f"C{n}", False, 1.0, 1.0, 1.0, True, T0) for n in range(103)]
    plans = VENUE.connections(VENUE.endpoints, listings, ("flow",))
    newer = [plan for plan in plans if plan.apart]
    assert [(plan.name, plan.acks, len(plan.anew)) for plan in newer] == [
        ("unified-list", 1, 0), ("unified-1", 100, 100), ("unified-2", 3, 3),
        ("unified-trade-1", 100, 0), ("unified-trade-2", 3, 0),
    ]  # fmt: skip
    for plan in newer:
        assert (plan.url, plan.expects, plan.sends_per_s) == ("wss://uws.kraken.com/v2/public", (), 5.0)
        assert plan.keepalive is not None
        assert (json.loads(plan.keepalive.text)["method"], plan.keepalive.every_s) == ("ping", 30.0)
        assert all(json.loads(text)["params"]["asset_class"] == "derivatives" for text in plan.frames)
    assert [plan for plan in plans if not plan.apart] == V1.connections(V1.endpoints, listings, ("flow",))
    assert [plan.name for plan in VENUE.connections(VENUE.endpoints, [])] == ["unified-list"]
    assert V1.connections(V1.endpoints, []) == []
    (asked,) = [plan.anew["PF_C101USD"] for plan in newer if "PF_C101USD" in plan.anew]
    assert [json.loads(text)["method"] for text in asked] == ["unsubscribe", "subscribe"]
    assert json.loads(asked[1])["params"]["snapshot"] is True


@pytest.mark.parametrize("value", [3011.25, "3011.25", "3.01125e3"])
@pytest.mark.parametrize("name", ["mark_price", "markPrice", "mark"])
def test_names_and_numbers_are_read_tolerantly(name: str, value: object) -> None:
    changes = {"mark_price": None, name: value}
    assert fields_of(decode(blind(), row(**changes))) == [("mark", name, 3011.25)]


@pytest.mark.parametrize("raw", ["NaN", [1], {}, True, "1_000", -1.0])
def test_a_broken_field_costs_itself(raw: object) -> None:
    found = decode(blind(), row(open_interest=raw))
    assert len(reasons(found)) == 1
    assert fields_of(found) == [("mark", "mark_price", 3010.5)]


def test_suspended_here_or_by_v1_or_in_maintenance_is_not_live() -> None:
    """Cause guarded against: how this socket says that a market is suspended is not documented, but v1 says it. What v1
    said last holds when it has ended: a market suspended then came back to life with the other socket."""
    catalog = Catalog()
    decoder = VENUE.decoder(catalog)
    assert left_out(decode(decoder, row(suspended=True))) == ["suspended"]
    assert left_out(decode(VENUE.decoder(catalog), ticker(suspended=True), T0)) == ["suspended"]
    assert left_out(decode(decoder, row(), T0 + 3_600_000)) == ["suspended"]
    decode(VENUE.decoder(catalog), ticker(suspended=False), T0)
    assert kinds(decode(decoder, row(), T0 + 60_000)) == [Candidate]
    for system, kept in (("maintenance", False), ("post_only", True), ("online", True)):
        decode(decoder, {"channel": "status", "data": [{"system": system}]})
        assert (kinds(decode(decoder, row(), T0 + 70_000)) == [Candidate]) is kept


def test_fields_that_are_not_known_are_told_once_and_within_bounds() -> None:
    decoder = blind()
    found = decode(decoder, row(**{f"novelty{n}": n for n in range(500)}))
    (notice,) = [item for item in found if isinstance(item, Control)]
    assert notice.kind == "notice"
    assert notice.text.startswith("fields that are not known: novelty0 novelty1 ")
    assert len(notice.text) < 500
    assert kinds(decode(decoder, row(novelty1=7))) == [Candidate]


def test_names_of_its_list_are_known_where_http_named_none() -> None:
    """They let the sockets subscribe; the market is told nothing, and what HTTP says later counts."""
    catalog = Catalog()
    decoder = VENUE.decoder(catalog)
    assert decode(decoder, load(NAME, "ws_unified_instrument")) == []
    assert [(name, item.trading) for name, item in catalog.listings.items()] == [("PF_ETHUSD", True)]
    gone = {"channel": "instrument", "data": [{"symbol": "PF_ETHUSD", "status": "delisted"}]}
    assert decode(decoder, gone) == []
    assert catalog.listings["PF_ETHUSD"].trading is False
    decode(decoder, load(NAME, "http_get_instruments"), context="instruments")
    known = dict(catalog.listings)
    decode(decoder, {"channel": "instrument", "data": [{"symbol": "PF_XBTUSD", "status": "delisted"}]})
    assert catalog.listings == known


@pytest.mark.parametrize(
    "frame",
    [
        {"channel": 5}, {"channel": "ticker"}, {"channel": "ticker", "data": 5}, {"method": 7}, {"method": "subscribe"},
        {"method": "subscribe", "success": "yes"}, {"method": "subscribe", "success": True},
        {"channel": "status", "data": [{}]}, {"channel": "trade", "data": [{"symbol": "PF_ETHUSD", "side": "up"}]},
        {"channel": "instrument", "data": [5]}, row(timestamp="soon"), row(symbol=None),
    ],
)  # fmt: skip
def test_a_bad_frame_costs_one(frame: object) -> None:
    assert len(reasons(decode(blind(), frame))) == 1
