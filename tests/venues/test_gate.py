"""Gate: three shapes of one message, contracts to coins, seconds and milliseconds, quanto and dated contracts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.model import Control, Funding, Listing, Mark, OpenInterest, Skipped
from service.venues.contract import Catalog, Decoder
from service.venues.decoding import frames_in
from service.venues.gate.venue import Gate
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

VENUE = Gate()
NAME = "gate"
SENT = 1763719201250
NEXT = 1763726400000
EXTRA_CONTEXTS = (
    "contract_stats:ETH_USDT", "contract_stats:BTC_USD", "history:mark:ETH_USDT", "history:index:BTC_USD",
    "history:oi:ETH_USDT", "history:funding:SOL_USDT", "history:x:ETH_USDT", "history:",
)  # fmt: skip


def informed(catalog: Catalog | None = None) -> Decoder:
    """A decoder that knows the contracts."""
    decoder = VENUE.decoder(catalog or Catalog())
    decode(decoder, load(NAME, "http_get_contracts_usdt"), context="contracts:usdt")
    decode(decoder, load(NAME, "http_get_contracts_btc"), context="contracts:btc")
    return decoder


def ticker(name: str = "ETH_USDT", **changes: object) -> dict[str, Any]:
    """The fixture with some fields of its row changed; None removes one."""
    frame: dict[str, Any] = json.loads(load(NAME, "ws_tickers"))
    row = frame["result"][0]
    row["contract"] = name
    for key, value in changes.items():
        row[key] = value
        if value is None:
            del row[key]
    return frame


def test_ticker() -> None:
    assert decode(informed(), load(NAME, "ws_tickers")) == [
        Mark(NAME, "ETH_USDT", "ETH", 3010.25, 3011.75, SENT, T0),
        Funding(NAME, "ETH_USDT", "ETH", -0.000031, 4.0, -0.000062, NEXT, False, SENT, T0),
        OpenInterest(NAME, "ETH_USDT", "ETH", 20600150.25, 0.01, 206001.5025, True, SENT, T0),
    ]


def test_ticker_of_the_nested_shape_takes_the_interval_from_metadata() -> None:
    at = 1763719202000
    assert decode(informed(), load(NAME, "ws_tickers_nested")) == [
        Mark(NAME, "SOL_USDT", "SOL", 140.25, 140.5, at, T0),
        Funding(NAME, "SOL_USDT", "SOL", 0.00012, 4.0, 0.00024, None, False, at, T0),
        OpenInterest(NAME, "SOL_USDT", "SOL", 2750055.5, 1.0, 2750055.5, True, at, T0),
        Mark(NAME, "PEPE_USDT", "1000PEPE", 0.004875, 0.00475, at, T0),
        Funding(NAME, "PEPE_USDT", "1000PEPE", 0.00005, 1.0, 0.0004, None, False, at, T0),
        OpenInterest(NAME, "PEPE_USDT", "1000PEPE", 20001.0, 10000.0, 200010000.0, True, at, T0),
    ]


def test_all_shapes_of_the_result_give_the_same_record() -> None:
    frame = ticker()
    (row,) = frame["result"]
    expected = decode(informed(), frame)
    assert kinds(expected) == [Mark, Funding, OpenInterest]
    for shape in (row, [[row]]):
        assert decode(informed(), {**frame, "result": shape}) == expected


def test_inverse_contract_is_one_dollar_even_without_metadata() -> None:
    at = 1763719203000
    expected = [
        Mark(NAME, "BTC_USD", "BTC", 80000.0, 80020.5, at, T0),
        Funding(NAME, "BTC_USD", "BTC", 0.0001, 8.0, 0.0001, None, False, at, T0),
        OpenInterest(NAME, "BTC_USD", "BTC", 8e6, 1 / 80000, 100.0, True, at, T0),
    ]
    assert decode(informed(), load(NAME, "ws_tickers_object")) == expected
    blind = decode(VENUE.decoder(Catalog()), load(NAME, "ws_tickers_object"))
    assert [blind[0], blind[2]] == [expected[0], expected[2]]
    assert isinstance(blind[1], Funding)
    assert (blind[1].rate, blind[1].interval_h, blind[1].rate_8h) == (0.0001, None, None)


def test_inverse_without_a_readable_mark_is_skipped() -> None:
    frame = load(NAME, "ws_tickers_object").replace('"80000"', '"?"')
    found = decode(informed(), frame)
    assert reasons(found) == ["bad_number"]
    assert found[-1] == Skipped(NAME, "BTC_USD", "no_mark")


@pytest.mark.parametrize(("index", "bad"), [("0", ["out_of_bounds"]), ("x", ["bad_number"]), ("", [])])
def test_a_bad_index_costs_itself_not_the_mark(index: str, bad: list[str]) -> None:
    found = decode(informed(), load(NAME, "ws_tickers_object").replace('"80020.5"', f'"{index}"'))
    assert reasons(found) == bad
    mark = found[len(bad)]
    assert isinstance(mark, Mark)
    assert (mark.mark, mark.index) == (80000.0, None)
    assert kinds(found[len(bad) + 1 :]) == [Funding, OpenInterest]


def test_contract_size_is_never_guessed() -> None:
    found = decode(VENUE.decoder(Catalog()), load(NAME, "ws_tickers"))
    assert kinds(found) == [Mark, Funding, Skipped]
    assert found[-1] == Skipped(NAME, "ETH_USDT", "unknown_contract_size")


@pytest.mark.parametrize("absent", [None, ""])
def test_absent_or_empty_is_unknown_never_zero(absent: object) -> None:
    decoder = informed()
    assert kinds(decode(decoder, ticker(total_size=absent))) == [Mark, Funding]
    assert kinds(decode(decoder, ticker(funding_rate=absent))) == [Mark, OpenInterest]
    assert kinds(decode(decoder, ticker(mark_price=absent, index_price=absent))) == [Funding, OpenInterest]
    (mark, *_) = decode(decoder, ticker(mark_price=absent))
    assert mark == Mark(NAME, "ETH_USDT", "ETH", None, 3011.75, SENT, T0)
    (_, funding, _) = decode(decoder, ticker(funding_interval=absent, funding_next_apply=absent))
    assert isinstance(funding, Funding)
    assert (funding.interval_h, funding.next_ts) == (8.0, None)  # metadata's


@pytest.mark.parametrize("size", ["5", 5, "0.25", 0])
def test_sizes_as_text_or_number(size: str | int) -> None:
    interest = decode(informed(), ticker(total_size=size))[-1]
    assert isinstance(interest, OpenInterest)
    assert interest.coins == float(size) / 2 * 0.01  # both sides are counted


@pytest.mark.parametrize(
    ("changes", "reason", "left"),
    [
        ({"mark_price": "1e999"}, "out_of_bounds", [Funding, OpenInterest]),
        ({"mark_price": None, "index_price": "x"}, "bad_number", [Funding, OpenInterest]),  # nothing is left of it
        ({"funding_rate": "1.5"}, "out_of_bounds", [Mark, OpenInterest]),
        ({"funding_interval": 1000}, "out_of_bounds", [Mark, OpenInterest]),
        ({"funding_next_apply": 1763726400000}, "out_of_bounds", [Mark, OpenInterest]),  # ms where seconds belong
        ({"funding_next_apply": 1763718601}, "out_of_bounds", [Mark, OpenInterest]),  # over 10 minutes ago
        ({"total_size": "-0.25"}, "out_of_bounds", [Mark, Funding]),
        ({"total_size": True}, "wrong_type", [Mark, Funding]),
    ],
)
def test_bad_field_costs_its_stream(changes: dict[str, object], reason: str, left: list[type]) -> None:
    found = decode(informed(), ticker(**changes))
    assert reasons(found) == [reason]
    assert [kind for kind in kinds(found) if kind in (Mark, Funding, OpenInterest)] == left


def test_next_time_just_past_or_unsaid() -> None:
    for stated, next_ts in ((1763718602, 1763718602000), (0, None)):
        funding = decode(informed(), ticker(funding_next_apply=stated))[1]
        assert isinstance(funding, Funding)
        assert funding.next_ts == next_ts


def test_broken_row_costs_that_row() -> None:
    frame = ticker()
    frame["result"] = [None, *frame["result"], {"last": "1"}]
    found = decode(informed(), frame)
    assert reasons(found) == ["wrong_type", "missing_field"]
    assert len(found) == 5


@pytest.mark.parametrize("stamp", [{"time_ms": "soon"}, {"time_ms": 1763719201}, {"time": 1, "time_ms": 0}])
def test_unreadable_stamp_costs_the_message(stamp: dict[str, object]) -> None:
    assert len(reasons(decode(informed(), {**ticker(), **stamp}))) == 1


@pytest.mark.parametrize(
    "name", ["BTC_USDT_20260327", "ETH_BTC", "BTCUSDT", "_USDT", "BTC_USD1", "NVDA_USDT", "ETH_USD"]
)
def test_foreign_products_are_silent(name: str) -> None:
    assert left_out(decode(informed(), ticker(name)))


def test_quanto_contract_without_metadata_has_no_coins() -> None:
    found = decode(VENUE.decoder(Catalog()), ticker("ETC_USD"))
    assert kinds(found) == [Mark, Funding, Skipped]


def test_control_frames() -> None:
    decoder = VENUE.decoder(Catalog())
    ack = Control("ack", "futures.tickers:ETH_USDT", "subscribe")
    assert decode(decoder, load(NAME, "ws_subscribed")) == [ack]
    refused = Control("refused", "futures.tickers:NOPE_USDT", "2 unknown contract NOPE_USDT")
    assert decode(decoder, load(NAME, "ws_refused")) == [refused]
    assert decode(decoder, load(NAME, "ws_pong")) == [Control("pong", None, "pong")]
    closing = Control("closing", None, "upgrade closing soon for an upgrade")
    assert decode(decoder, load(NAME, "ws_upgrade")) == [closing]
    assert decode(decoder, {"type": "upgrade", "msg": "closing soon for an upgrade"}) == [closing]
    notice = {"channel": "futures.system", "event": "update", "result": {"type": "schema", "msg": "old"}}
    assert decode(decoder, notice) == [Control("info", None, "schema old")]
    assert decode(decoder, load(NAME, "http_error")) == [
        Control("refused", None, "TOO_MANY_REQUESTS Request Rate limit Exceeded")
    ]
    for error in ({"code": 1, "message": "invalid"}, "1 invalid"):
        frame = {"time": 1763719201, "channel": "futures.tickers", "event": "", "error": error, "result": None}
        assert decode(decoder, frame) == [Control("refused", "futures.tickers", "1 invalid")]


def test_acks_of_old_servers_and_partial_refusals() -> None:
    decoder = VENUE.decoder(Catalog())
    old = {"time": 1763719200, "channel": "futures.tickers", "event": "subscribe", "error": None}
    assert decode(decoder, {**old, "result": {"status": "success"}}) == [Control("ack", "futures.tickers", "subscribe")]
    assert [item.kind for item in decode(decoder, {**old, "result": {"status": "fail"}})] == ["refused"]  # type: ignore[union-attr]
    assert [item.kind for item in decode(decoder, {**old, "result": None})] == ["refused"]  # type: ignore[union-attr]


@pytest.mark.parametrize("channel", ["futures.order_book", "futures.candlesticks", "futures.book_ticker"])
def test_unused_channels_are_silent(channel: str) -> None:
    assert decode(informed(), load(NAME, "ws_trades").replace("futures.trades", channel)) == []


def test_own_requests_in_a_recording_are_silent() -> None:
    listing = Listing(NAME, "ETH_USDT", "ETH", False, 0.01, 1.0, 4.0, True, T0)
    (plan,) = VENUE.connections(VENUE.endpoints, [listing])
    decoder = VENUE.decoder(Catalog())
    assert decode(decoder, plan.frames[0]) == []
    assert plan.keepalive is not None
    assert decode(decoder, plan.keepalive.text) == []


@pytest.mark.parametrize(
    "frame", [{"foo": 1}, 42, "x", [], {}, None, [{"foo": 1}], {"channel": "futures.tickers", "event": "odd"}]
)
def test_unknown_shapes(frame: object) -> None:
    assert reasons(VENUE.decoder(Catalog()).decode(json.dumps(frame), T0)) == ["unknown_shape"]


def test_instruments() -> None:
    catalog = Catalog()
    decoder = VENUE.decoder(catalog)
    assert told(decode(decoder, load(NAME, "http_get_contracts_usdt"), context="contracts:usdt")) == [
        Listing(NAME, "ETH_USDT", "ETH", False, 0.01, 1.0, 8.0, True, T0),
        Listing(NAME, "SOL_USDT", "SOL", False, 1.0, 1.0, 4.0, True, T0),
        Listing(NAME, "PEPE_USDT", "1000PEPE", False, 10000.0, 0.001, 1.0, True, T0),
        Listing(NAME, "OLD_USDT", "OLD", False, 10.0, 1.0, 8.0, False, T0),
        Listing(NAME, "NEW_USDT", "NEW", False, 0.1, 1.0, None, False, T0),
        Listing(NAME, "币安人生_USDT", "币安人生", False, 100.0, 1.0, 4.0, True, T0),
    ]
    assert told(decode(decoder, load(NAME, "http_get_contracts_btc"), context="contracts:btc")) == [
        Listing(NAME, "BTC_USD", "BTC", True, 1.0, 1.0, 8.0, True, T0),
    ]
    assert catalog.foreign.keys() == {"NVDA_USDT", "BTC_USDT_20260327", "ETH_USD"}
    assert catalog.listings["ETH_USDT"].trading  # the other list says nothing of it


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quanto_multiplier": "0"}, "out_of_bounds"),  # 1 USD a contract: not of one settled in USDT
        ({"quanto_multiplier": "-1"}, "out_of_bounds"),
        ({"quanto_multiplier": "1e-300"}, "out_of_bounds"),
        ({"quanto_multiplier": None}, "wrong_type"),
        ({"funding_interval": 1000}, "out_of_bounds"),
        ({"in_delisting": "false"}, "wrong_type"),
        ({"name": ""}, "bad_name"),
    ],
)
def test_bad_contract_is_not_listed(changes: dict[str, object], reason: str) -> None:
    row = {**json.loads(load(NAME, "http_get_contracts_usdt"))[0], **changes}
    assert reasons(decode(VENUE.decoder(Catalog()), [row])) == [reason]


def test_delisting_by_absence_and_changed_multiplier() -> None:
    catalog = Catalog()
    decoder = informed(catalog)
    rows = json.loads(load(NAME, "http_get_contracts_usdt"))[:1]
    rows[0]["quanto_multiplier"] = "0.1"
    decode(decoder, rows, context="contracts:usdt")
    assert catalog.listings["ETH_USDT"].contract_size == 0.1
    assert not catalog.listings["SOL_USDT"].trading
    assert catalog.listings["BTC_USD"].trading


def contract(name: str, **changes: object) -> dict[str, Any]:
    return {**json.loads(load(NAME, "http_get_contracts_usdt"))[0], "name": name, **changes}


@pytest.mark.parametrize(
    "row",
    [
        contract("NEWC_USDT", status="prelaunch", quanto_multiplier="0", funding_interval=0),
        contract("NEWC_USDT", status="prelaunch", quanto_multiplier="", funding_interval=""),
        contract("GONE_USDT", in_delisting=True, quanto_multiplier="0"),
    ],
)
def test_a_contract_that_does_not_trade_hinders_nothing(row: dict[str, Any]) -> None:
    """Cause: before its launch a contract has no size; that row kept delisted ones counting."""
    catalog = Catalog()
    decoder = VENUE.decoder(catalog)
    decode(decoder, [contract("AAA_USDT"), contract("BBB_USDT")], context="contracts:usdt")
    found = decode(decoder, [contract("AAA_USDT"), row], context="contracts:usdt")
    assert reasons(found) == []
    assert [name for name, item in catalog.listings.items() if item.trading] == ["AAA_USDT"]
    assert not catalog.listings["BBB_USDT"].trading


def test_a_malformed_contract_costs_itself_and_keeps_what_is_known_of_it() -> None:
    catalog = Catalog()
    decoder = VENUE.decoder(catalog)
    decode(decoder, [contract("AAA_USDT"), contract("BBB_USDT"), contract("CCC_USDT")], context="contracts:usdt")
    broken = contract("AAA_USDT", quanto_multiplier="many")
    assert reasons(decode(decoder, [broken, contract("CCC_USDT")], context="contracts:usdt")) == ["bad_number"]
    trading = {name: item.trading for name, item in catalog.listings.items()}
    assert trading == {"AAA_USDT": True, "BBB_USDT": False, "CCC_USDT": True}


@pytest.mark.parametrize(
    ("kind", "reason"), [("stocks", "not_crypto"), ("metals", "not_crypto"), ("x", "unknown_kind")]
)
def test_what_is_no_coin_is_left_out_and_said(kind: str, reason: str) -> None:
    decoder = VENUE.decoder(Catalog())
    assert decode(decoder, [contract("DASH_USDT", contract_type=kind)]) == [Skipped(NAME, "DASH_USDT", reason)]
    assert decode(decoder, ticker("DASH_USDT")) == [Skipped(NAME, "DASH_USDT", reason)]


def test_a_list_of_a_round_number_of_contracts_may_have_another_page() -> None:
    """The page size is not certain. Nobody is delisted before the last page, and then all that none of them named."""
    catalog = Catalog()
    decoder = VENUE.decoder(catalog)
    decode(decoder, [contract(f"C{n}_USDT") for n in range(103)], context="contracts:usdt")
    first = [contract(f"C{n}_USDT") for n in range(100)]
    found = decode(decoder, first, context="contracts:usdt")
    assert [(item.kind, item.text) for item in found if isinstance(item, Control)] == [("more", "100")]
    assert all(item.trading for item in catalog.listings.values())
    decode(decoder, [contract("C101_USDT")], context="contracts:usdt|page:100")
    assert [name for name, item in catalog.listings.items() if not item.trading] == ["C100_USDT", "C102_USDT"]


def test_rest_tickers_have_no_time_and_no_interval_of_their_own() -> None:
    assert decode(informed(), load(NAME, "http_get_tickers"), context="tickers") == [
        Mark(NAME, "BTC_USD", "BTC", 80000.0, 80021.0, None, T0),
        Funding(NAME, "BTC_USD", "BTC", 0.00012, 8.0, 0.00012, None, False, None, T0),
        OpenInterest(NAME, "BTC_USD", "BTC", 4e6, 1 / 80000, 50.0, True, None, T0),
    ]


def test_rest_funding_history() -> None:
    answer = load(NAME, "http_get_funding_rate")
    assert decode(informed(), answer, context="funding_rate:SOL_USDT") == [
        Funding(NAME, "SOL_USDT", "SOL", 0.0003, 4.0, 0.0006, None, True, 1763712000000, T0),
        Funding(NAME, "SOL_USDT", "SOL", -0.0002, 4.0, -0.0004, None, True, 1763697600000, T0),
    ]
    assert decode(informed(), answer) == [Skipped(NAME, "", "unknown_instrument")]


def test_rest_rows_that_are_not_used() -> None:
    stats = {"time": 1763719200, "lsr_taker": 0.9, "mark_price": 3010.5, "open_interest": 7}
    assert decode(informed(), [stats]) == []


def test_connections_by_settlement_one_contract_a_request() -> None:
    listings = [Listing(NAME, f"C{n}_USDT", f"C{n}", False, 1.0, 1.0, 8.0, True, T0) for n in range(103)]
    listings.append(Listing(NAME, "BTC_USD", "BTC", True, 1.0, 1.0, 8.0, True, T0))
    plans = VENUE.connections(VENUE.endpoints, listings)
    assert [(plan.name, plan.acks) for plan in plans] == [("usdt-1", 100), ("usdt-2", 3), ("btc-1", 1)]
    assert plans[0].url == "wss://fx-ws.gateio.ws/v4/ws/usdt"
    assert plans[2].url == "wss://fx-ws.gateio.ws/v4/ws/btc"
    assert plans[2].expects == (("BTC_USD", "mark"), ("BTC_USD", "funding"), ("BTC_USD", "oi"))
    assert [json.loads(frame)["payload"] for frame in plans[1].frames] == [["C100_USDT"], ["C101_USDT"], ["C102_USDT"]]
    for plan in plans:
        assert plan.headers == {"X-Gate-Size-Decimal": "1"}
        assert plan.keepalive is not None
        assert plan.keepalive.every_s <= 20
        assert len(plan.frames) <= VENUE.limits.max_topics
    assert VENUE.polls(VENUE.endpoints, listings, 10.0) == []
    assert VENUE.rules_for(99.0) == VENUE.rules
    assert [request.context for request in VENUE.metadata(VENUE.endpoints)] == [
        "contracts:usdt", "sides:usdt", "contracts:btc",
    ]  # fmt: skip
    assert {request.headers for request in VENUE.metadata(VENUE.endpoints)} == {(("X-Gate-Size-Decimal", "1"),)}


def test_documents_of_several_messages() -> None:
    message, row = ticker(), {"contract": "BTC_USD"}
    assert frames_in(NAME, [message, message]) == [message, message]
    assert frames_in(NAME, [row, row]) == [[row, row]]
    assert frames_in(NAME, message) == [message]


@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_no_mutation_escapes(seed: int) -> None:
    check_mutations(NAME, seed, 60, EXTRA_CONTEXTS)


@settings(max_examples=50)
@given(
    st.randoms(use_true_random=False), st.sampled_from(("contracts:usdt", "contracts:btc", "funding_rate:BTC_USD", "x"))
)
def test_no_mutation_escapes_under_the_venues_contexts(rng: Any, context: str) -> None:
    decoder = informed()
    check_answers(decoder, NAME, rng, context)
