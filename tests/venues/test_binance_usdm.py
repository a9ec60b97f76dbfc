"""Binance USD-M: units, funding intervals, foreign products, budgets."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.model import Control, Funding, Listing, Mark, OpenInterest
from service.venues import VENUES
from service.venues.contract import Catalog
from service.venues.decoding import frames_in
from tests.venues.frames import T0, check_mutations, decode, fresh, left_out, load, reasons, told

NAME = "binance_usdm"
VENUE = VENUES[NAME]
HOUR = 3_600_000
T8 = 1_763_712_000_000  # 08:00 UTC


def update(at: int, next_ts: int, rate: str = "0.0001", symbol: str = "LPTUSDT") -> dict[str, object]:
    return {"e": "markPriceUpdate", "E": at, "s": symbol, "p": "5.5", "i": "5.25", "r": rate, "T": next_ts}


def interval(decoder: object, at: int, next_ts: int) -> float | None:
    _, funding = decode(decoder, update(at, next_ts))  # type: ignore[arg-type]
    assert isinstance(funding, Funding)
    return funding.interval_h


def test_mark_price_update() -> None:
    assert decode(fresh(NAME), load(NAME, "ws_mark_price_update")) == [
        Mark(NAME, "BTCUSDT", "BTC", 90210.5, 90250.25, 1763719201123, T0),
        Funding(NAME, "BTCUSDT", "BTC", 0.000125, None, None, 1763740800000, False, 1763719201123, T0),
    ]


def test_combined_frame_and_multiplier_contract() -> None:
    mark, funding = decode(fresh(NAME), load(NAME, "ws_mark_price_update_combined"))
    assert mark == Mark(NAME, "1000PEPEUSDT", "1000PEPE", 0.004712, 0.004719, 1763719202345, T0)
    assert isinstance(funding, Funding)
    assert funding.rate == -0.000031


def test_array_leaves_out_delivery_contracts_and_foreign_quotes() -> None:
    found = decode(fresh(NAME), load(NAME, "ws_mark_price_update_array"))
    assert told(found) == [
        Mark(NAME, "ETHUSDC", "ETH", 3011.25, 3012.5, 1763719203456, T0),
        Funding(NAME, "ETHUSDC", "ETH", 0.000042, None, None, 1763740800000, False, 1763719203456, T0),
    ]


def test_no_funding_is_not_a_rate_of_zero() -> None:
    for frame in (update(T0, 0, "0.00000000"), update(T0, T8 + 8 * HOUR, "")):
        assert [type(item) for item in decode(fresh(NAME), frame)] == [Mark]


def test_old_message_without_index() -> None:
    frame = {"e": "markPriceUpdate", "E": T0, "s": "BTCUSDT", "p": "8123.5", "r": "0.0002", "T": T8 + 8 * HOUR}
    mark, _ = decode(fresh(NAME), frame)
    assert mark == Mark(NAME, "BTCUSDT", "BTC", 8123.5, None, T0, T0)


def test_bad_field_costs_its_stream_only() -> None:
    found = decode(fresh(NAME), {**update(T0, T8 + 8 * HOUR), "p": "nan"})
    assert reasons(found) == ["bad_number"]
    assert [type(item) for item in found][1] is Funding
    found = decode(fresh(NAME), {**update(T0, T8 + 8 * HOUR), "r": "1_0"})
    assert isinstance(found[0], Mark)
    assert reasons(found) == ["bad_number"]


def test_bad_row_costs_its_row_only() -> None:
    found = decode(fresh(NAME), [7, {**update(T0, T8 + 8 * HOUR), "E": "x"}, update(T0, T8 + 8 * HOUR)])
    assert reasons(found) == ["wrong_type", "bad_number"]
    assert [type(item) for item in found[2:]] == [Mark, Funding]


@pytest.mark.parametrize("frame", ["{", "nan", "", "\udc80", b"\xff\xfe"])
def test_bad_json(frame: str | bytes) -> None:
    assert reasons(fresh(NAME).decode(frame, T0)) == ["bad_json"]


@pytest.mark.parametrize("frame", [{"foo": 1}, 42, "x", [], {}, None, True])
def test_unknown_shapes(frame: object) -> None:
    assert reasons(fresh(NAME).decode(json.dumps(frame), T0)) == ["unknown_shape"]


def test_deep_nesting() -> None:
    assert reasons(fresh(NAME).decode("[" * 5000, T0)) == ["too_deep"]


def test_missing_field() -> None:
    frame = update(T0, T8 + 8 * HOUR)
    del frame["p"]
    assert reasons(decode(fresh(NAME), frame)) == ["missing_field"]


def test_control_frames() -> None:
    decoder = fresh(NAME)
    assert decode(decoder, load(NAME, "ws_subscribed")) == [Control("ack", "7", "")]
    assert decode(decoder, load(NAME, "ws_error")) == [Control("refused", "8", "Invalid JSON: expected value")]
    refused = [Control("refused", None, "-1121 Invalid symbol.")]
    assert decode(decoder, load(NAME, "http_get_open_interest_error")) == refused
    assert decode(decoder, {"method": "SUBSCRIBE", "params": ["btcusdt@markPrice"], "id": 1}) == []


def test_rollover_measures_the_interval() -> None:
    """E == T still carries the old T; a second later T jumps by the interval."""
    decoder = fresh(NAME)
    assert interval(decoder, T8 - 1000, T8) is None
    assert interval(decoder, T8, T8) is None
    assert interval(decoder, T8 + 1000, T8 + 4 * HOUR) == 4.0
    assert interval(decoder, T8 + 2000, T8 + 4 * HOUR) == 4.0


def test_a_jump_seen_late_measures_nothing() -> None:
    """After an outage over a settlement, 2 h between the old and the new T may be two intervals of 1 h."""
    decoder = fresh(NAME)
    assert interval(decoder, T8 - 1000, T8) is None
    assert interval(decoder, T8 + HOUR, T8 + 2 * HOUR) is None


def test_a_measured_interval_takes_over_from_metadata_until_the_next_rollover() -> None:
    """Cause: metadata that changed while a period ran were believed for it, though they are the next one's."""
    catalog = Catalog()
    decoder = fresh(NAME, catalog)
    decode(decoder, load(NAME, "http_get_exchange_info").replace("BTCUSDC", "LPTUSDT"))
    decode(decoder, '[{"symbol":"LPTUSDT","fundingIntervalHours":8}]')
    assert interval(decoder, T8 - 1000, T8) == 8.0
    assert interval(decoder, T8 + 1000, T8 + 4 * HOUR) == 4.0
    decode(decoder, '[{"symbol":"LPTUSDT","fundingIntervalHours":8}]')
    assert interval(decoder, T8 + 2000, T8 + 4 * HOUR) == 4.0
    decode(decoder, '[{"symbol":"LPTUSDT","fundingIntervalHours":1}]')
    assert interval(decoder, T8 + 3000, T8 + 4 * HOUR) == 4.0
    assert interval(decoder, T8 + 4 * HOUR, T8 + 5 * HOUR) == 1.0


def test_metadata_that_change_while_a_period_runs_leave_it_in_doubt() -> None:
    catalog = Catalog()
    decoder = fresh(NAME, catalog)
    decode(decoder, load(NAME, "http_get_exchange_info").replace("BTCUSDC", "LPTUSDT"))
    decode(decoder, '[{"symbol":"LPTUSDT","fundingIntervalHours":4}]')
    assert interval(decoder, T8 - 2 * HOUR, T8) == 4.0
    decode(decoder, '[{"symbol":"LPTUSDT","fundingIntervalHours":8}]')
    assert interval(decoder, T8 - HOUR, T8) is None
    assert interval(decoder, T8 + 1000, T8 + 8 * HOUR) == 8.0


def test_a_settlement_further_away_than_the_interval_leaves_it_in_doubt() -> None:
    for early_ms, hours in ((HOUR + 600_001, None), (HOUR + 600_000, 1.0)):
        decoder = fresh(NAME)
        decode(decoder, '[{"symbol":"LPTUSDT","fundingIntervalHours":1}]')
        assert interval(decoder, T8 - early_ms, T8) == hours


def test_a_rearranged_schedule_leaves_the_interval_in_doubt_until_the_next_rollover() -> None:
    decoder = fresh(NAME)
    decode(decoder, '[{"symbol":"LPTUSDT","fundingIntervalHours":8}]')
    assert interval(decoder, T8 - 2 * HOUR, T8) == 8.0
    assert interval(decoder, T8 - 2 * HOUR + 1000, T8 - HOUR) is None
    decode(decoder, load(NAME, "http_get_exchange_info").replace("BTCUSDC", "LPTUSDT"))
    decode(decoder, '[{"symbol":"LPTUSDT","fundingIntervalHours":1}]')
    assert interval(decoder, T8 - 2 * HOUR + 2000, T8 - HOUR) is None
    assert interval(decoder, T8 - HOUR, T8) == 1.0


def test_a_message_that_comes_late_changes_no_interval() -> None:
    decoder = fresh(NAME)
    interval(decoder, T8 - 1000, T8)
    assert interval(decoder, T8 + 1000, T8 + 4 * HOUR) == 4.0
    assert interval(decoder, T8 - 5000, T8) == 4.0
    assert interval(decoder, T8 + 2000, T8 + 4 * HOUR) == 4.0


def test_funding_time_long_past_is_refused() -> None:
    found = decode(fresh(NAME), update(T8 + 600_001, T8))
    assert reasons(found) == ["out_of_bounds"]
    assert reasons(decode(fresh(NAME), update(T8 + 600_000, T8))) == []


def test_exchange_info() -> None:
    catalog = Catalog()
    found = decode(fresh(NAME, catalog), load(NAME, "http_get_exchange_info"))
    assert told(found) == [
        Listing(NAME, "BTCUSDT", "BTC", False, 1.0, 1.0, None, True, T0),
        Listing(NAME, "BTCUSDC", "BTC", False, 1.0, 1.0, None, True, T0),
        Listing(NAME, "1000PEPEUSDT", "1000PEPE", False, 1.0, 1.0, None, True, T0),
        Listing(NAME, "1MBABYDOGEUSDT", "BABYDOGE", False, 1e6, 1e6, None, False, T0),
    ]
    assert catalog.foreign.keys() == {"ETHBTC", "TSLAUSDT", "BTCUSDT_260327", "OLDUSDT"}
    assert left_out(decode(fresh(NAME, catalog), update(T0, T8 + 8 * HOUR, symbol="TSLAUSDT")))


def test_absent_from_funding_info_is_8_hours() -> None:
    catalog = Catalog()
    decoder = fresh(NAME, catalog)
    decode(decoder, load(NAME, "http_get_exchange_info"))
    found = decode(decoder, load(NAME, "http_get_funding_info"), context="fundingInfo")
    assert [(item.instrument, item.interval_h) for item in found if isinstance(item, Listing)] == [
        ("BTCUSDT", 8.0),
        ("BTCUSDC", 4.0),
        ("1000PEPEUSDT", 1.0),
        ("1MBABYDOGEUSDT", 8.0),
    ]
    _, funding = decode(decoder, load(NAME, "ws_mark_price_update_combined"))
    assert isinstance(funding, Funding)
    assert funding.interval_h == 1.0
    assert funding.rate_8h == pytest.approx(-0.000248)


def test_funding_info_before_exchange_info() -> None:
    decoder = fresh(NAME)
    assert decode(decoder, load(NAME, "http_get_funding_info")) == []
    found = decode(decoder, load(NAME, "http_get_exchange_info"))
    assert [item.interval_h for item in found if isinstance(item, Listing)] == [8.0, 4.0, 1.0, 8.0]


def test_a_broken_funding_info_row_is_unknown_not_8_hours() -> None:
    decoder = fresh(NAME)
    found = decode(decoder, '[{"symbol":"LPTUSDT","fundingIntervalHours":"x"}]')
    assert reasons(found) == ["bad_number"]
    assert interval(decoder, T0, T8 + 8 * HOUR) is None
    nameless = fresh(NAME)
    assert reasons(decode(nameless, '[{"fundingIntervalHours":4}]')) == ["missing_field"]
    assert interval(nameless, T0, T8 + 8 * HOUR) is None


def test_delisting() -> None:
    catalog = Catalog()
    decoder = fresh(NAME, catalog)
    info = json.loads(load(NAME, "http_get_exchange_info"))
    decode(decoder, info, context="exchangeInfo")
    info["symbols"] = [row for row in info["symbols"] if row["symbol"] != "BTCUSDC"]
    found = decode(decoder, info, context="exchangeInfo")
    assert found[-1] == Listing(NAME, "BTCUSDC", "BTC", False, 1.0, 1.0, None, False, T0)
    info["symbols"][0]["contractType"] = ""
    found = decode(decoder, info, context="exchangeInfo")
    assert found[0] == Listing(NAME, "BTCUSDT", "BTC", False, 1.0, 1.0, None, False, T0)


def test_a_row_without_a_name_keeps_nobody_else_listed_but_an_empty_answer_delists_nobody() -> None:
    catalog = Catalog()
    decoder = fresh(NAME, catalog)
    info = json.loads(load(NAME, "http_get_exchange_info"))
    decode(decoder, info, context="exchangeInfo")
    decode(decoder, {"symbols": []}, context="exchangeInfo")
    assert catalog.listings["BTCUSDC"].trading
    info["symbols"] = [*info["symbols"][:1], {"symbol": 5}]
    assert reasons(decode(decoder, info, context="exchangeInfo")) == ["wrong_type"]
    assert catalog.listings["BTCUSDT"].trading
    assert not catalog.listings["BTCUSDC"].trading


def test_open_interest() -> None:
    found = decode(fresh(NAME), load(NAME, "http_get_open_interest"), context="openInterest")
    assert found == [
        OpenInterest(NAME, "BTCUSDT", "BTC", 71234.567, 1.0, 71234.567, False, 1763719195432, T0),
    ]
    found = decode(fresh(NAME), '{"openInterest":"3.5","symbol":"1000000MOGUSDT","time":1763719195432}')
    assert found == [
        OpenInterest(NAME, "1000000MOGUSDT", "MOG", 3.5, 1e6, 3.5e6, False, 1763719195432, T0),
    ]


def test_open_interest_of_zero_is_a_value() -> None:
    (found,) = decode(fresh(NAME), '{"openInterest":"0","symbol":"BTCUSDT","time":1763719195432}')
    assert isinstance(found, OpenInterest)
    assert found.coins == 0.0


def test_open_interest_history() -> None:
    found = decode(fresh(NAME), load(NAME, "http_get_open_interest_hist"))
    assert [(item.coins, item.venue_ts) for item in found if isinstance(item, OpenInterest)] == [
        (2100345.25, 1763718600000),
        (2100999.75, 1763718900000),
    ]


def test_premium_index() -> None:
    assert told(decode(fresh(NAME), load(NAME, "http_get_premium_index"))) == [
        Mark(NAME, "SOLUSDT", "SOL", 141.25, 141.5, 1763719205000, T0),
        Funding(NAME, "SOLUSDT", "SOL", 0.000077, None, None, 1763740800000, False, 1763719205000, T0),
    ]


def test_settled_rates_take_their_interval_from_the_spacing() -> None:
    assert decode(fresh(NAME), load(NAME, "http_get_funding_rate")) == [
        Funding(NAME, "LPTUSDT", "LPT", 0.00011, 4.0, 0.00022, None, True, 1763683200004, T0),
        Funding(NAME, "LPTUSDT", "LPT", -0.00022, 4.0, -0.00044, None, True, 1763697600000, T0),
        Funding(NAME, "LPTUSDT", "LPT", 0.00033, 4.0, 0.00066, None, True, 1763712000017, T0),
    ]


def test_a_lone_settled_rate_takes_metadata() -> None:
    decoder = fresh(NAME)
    row = [{"symbol": "1000PEPEUSDT", "fundingRate": "0.0001", "fundingTime": T8}]
    (alone,) = decode(decoder, row)
    decode(decoder, load(NAME, "http_get_funding_info"))
    (known,) = decode(decoder, row)
    assert isinstance(alone, Funding)
    assert isinstance(known, Funding)
    assert (alone.interval_h, known.interval_h) == (None, 1.0)


def test_ratios_of_which_nothing_says_what_of_are_not_used() -> None:
    assert decode(fresh(NAME), [{"symbol": "BTCUSDT", "longShortRatio": "1.5", "timestamp": T0}]) == []
    assert decode(fresh(NAME), [{"buySellRatio": "1.1", "buyVol": "2", "sellVol": "3", "timestamp": T0}]) == []


def listings(count: int) -> list[Listing]:
    return [Listing(NAME, f"C{n}USDT", f"C{n}", False, 1.0, 1.0, 8.0, True, T0) for n in range(count)]


def test_connections_respect_the_limits() -> None:
    plans = VENUE.connections(VENUE.endpoints, listings(450))
    assert [len(plan.expects) for plan in plans] == [400, 400, 100]
    assert plans[0].url == "wss://fstream.binance.com/market/ws"
    requests = [json.loads(frame) for plan in plans for frame in plan.frames]
    assert [name for request in requests for name in request["params"]][:2] == [
        "c0usdt@markPrice@1s",
        "c1usdt@markPrice@1s",
    ]
    assert sum(len(request["params"]) for request in requests) == 450
    assert [plan.acks for plan in plans] == [4, 4, 1]
    assert [request["id"] for request in requests[:4]] == [1, 2, 3, 4]


def test_polls_stay_within_their_share_of_the_budget() -> None:
    few = VENUE.polls(VENUE.endpoints, listings(40), 10.0)
    assert {poll.every_s for poll in few} == {10.0}
    assert few[0].request.url == "https://fapi.binance.com/fapi/v1/openInterest?symbol=C0USDT"
    assert few[0].expects == (("C0USDT", "oi"),)
    many = VENUE.polls(VENUE.endpoints, listings(600), 10.0)
    per_minute = sum(poll.request.weight * 60 / poll.every_s for poll in many)
    assert per_minute == pytest.approx(1000.0)  # of 2,400 that COIN-M and all else need something of, too
    assert many[0].every_s == pytest.approx(36.0)


def test_rules_follow_the_cadence() -> None:
    assert VENUE.rules_for(10.0).oi.max_age_ms == 30_000
    assert VENUE.rules_for(20.0).oi.max_age_ms == 60_000
    assert VENUE.rules_for(10.0, 600).oi.max_age_ms == 108_000
    assert VENUE.rules_for(10.0) == VENUE.rules


def test_metadata_requests() -> None:
    urls = [request.url for request in VENUE.metadata(VENUE.endpoints)]
    assert urls == ["https://fapi.binance.com/fapi/v1/exchangeInfo", "https://fapi.binance.com/fapi/v1/fundingInfo"]


def test_documents_of_several_frames() -> None:
    events = json.loads(load(NAME, "ws_mark_price_update_array"))
    assert frames_in(NAME, events) == [events]
    recorded = [{"result": None, "id": 1}, {"stream": "x", "data": {}}]
    assert frames_in(NAME, recorded) == recorded
    assert frames_in(NAME, {"e": "x"}) == [{"e": "x"}]


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_no_mutation_escapes(seed: int) -> None:
    contexts = ("long_short:account", "history:mark:BTCUSDT", "history:oi:SOLUSDT", "history:funding:LPTUSDT")
    check_mutations(NAME, seed, 60, contexts)
