"""Binance COIN-M: contracts of dollars, the index of a pair, foreign products, budgets."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.model import Control, Funding, Listing, Mark, OpenInterest, Skipped
from service.venues import VENUES
from service.venues.contract import Catalog, Decoder
from service.venues.decoding import frames_in
from tests.venues.frames import T0, check_mutations, decode, left_out, load, reasons, told

NAME = "binance_coinm"
VENUE = VENUES[NAME]
HOUR = 3_600_000
T8 = 1_763_712_000_000  # 08:00 UTC


def fresh(catalog: Catalog | None = None) -> Decoder:
    return VENUE.decoder(catalog or Catalog())


def update(at: int, next_ts: int, rate: str = "0.0001", symbol: str = "SOLUSD_PERP") -> dict[str, object]:
    return {"e": "markPriceUpdate", "E": at, "s": symbol, "p": "125", "P": "124", "r": rate, "T": next_ts}


def interest(symbol: str, amount: str) -> dict[str, object]:
    return {"symbol": symbol, "pair": symbol.split("_")[0], "openInterest": amount, "time": T8}


def test_mark_price_update_without_index() -> None:
    assert decode(fresh(), load(NAME, "ws_mark_price_update")) == [
        Mark(NAME, "BTCUSD_PERP", "BTC", 80000.0, None, 1763719201123, T0),
        Funding(NAME, "BTCUSD_PERP", "BTC", 0.000125, None, None, 1763740800000, False, 1763719201123, T0),
    ]


def test_an_index_in_the_mark_price_is_read() -> None:
    mark, funding = decode(fresh(), load(NAME, "ws_mark_price_update_combined"))
    assert mark == Mark(NAME, "ETHUSD_PERP", "ETH", 2500.0, 2501.25, 1763719202345, T0)
    assert isinstance(funding, Funding)
    assert (funding.rate, funding.next_ts) == (-0.000031, 1763726400000)
    without = load(NAME, "ws_mark_price_update_combined").replace('"2501.25000000"', '""')
    assert decode(fresh(), without)[0] == Mark(NAME, "ETHUSD_PERP", "ETH", 2500.0, None, 1763719202345, T0)


def test_pair_stream_leaves_out_delivery_contracts() -> None:
    assert told(decode(fresh(), load(NAME, "ws_mark_price_update_pair"))) == [
        Mark(NAME, "SOLUSD_PERP", "SOL", 125.0, None, 1763719203456, T0),
        Funding(NAME, "SOLUSD_PERP", "SOL", 0.000042, None, None, 1763740800001, False, 1763719203456, T0),
    ]


def test_index_comes_by_pair_and_vouches_for_no_mark() -> None:
    catalog = Catalog()
    found = decode(fresh(catalog), load(NAME, "ws_index_price_update"))
    assert found == [Mark(NAME, "BTCUSD_PERP", "BTC", None, 80050.125, 1763719204567, T0)]
    assert catalog.marks == {}


@pytest.mark.parametrize("field", ["i", "p", "E"])
def test_index_with_a_broken_field(field: str) -> None:
    frame = json.loads(load(NAME, "ws_index_price_update"))
    del frame["data"][field]
    assert reasons(decode(fresh(), frame)) == ["missing_field"]


@pytest.mark.parametrize("pair", ["BTCUSDT", "BTCEUR", "USD"])
def test_index_of_a_foreign_pair_is_silent(pair: str) -> None:
    frame = {"e": "indexPriceUpdate", "E": T0, "i": pair, "p": "5"}
    assert decode(fresh(), frame) == []


@pytest.mark.parametrize("symbol", ["BTCUSD_260327", "BTCUSDT", "BTCUSDT_PERP", "BTCUSD", "_PERP", "USD_PERP"])
def test_foreign_products_are_silent(symbol: str) -> None:
    assert left_out(decode(fresh(), update(T0, T8 + 8 * HOUR, symbol=symbol)))
    assert left_out(decode(fresh(), interest(symbol, "5")))


def test_no_funding_is_not_a_rate_of_zero() -> None:
    for frame in (update(T0, 0, "0.00000000"), update(T0, T8 + 8 * HOUR, "")):
        assert [type(item) for item in decode(fresh(), frame)] == [Mark]


def test_bad_field_costs_its_stream_only() -> None:
    found = decode(fresh(), {**update(T0, T8 + 8 * HOUR), "p": ""})
    assert reasons(found) == ["bad_number"]
    assert isinstance(found[1], Funding)
    found = decode(fresh(), {**update(T0, T8 + 8 * HOUR), "r": "x"})
    assert isinstance(found[0], Mark)
    assert reasons(found) == ["bad_number"]


def test_rollover_measures_the_interval() -> None:
    decoder = fresh()
    intervals = []
    for at, next_ts in ((T8 - 1000, T8), (T8, T8), (T8 + 1000, T8 + 4 * HOUR)):
        _, funding = decode(decoder, update(at, next_ts))
        assert isinstance(funding, Funding)
        intervals.append(funding.interval_h)
    assert intervals == [None, None, 4.0]


def test_open_interest_is_dollars_over_the_mark_of_another_connection() -> None:
    """6,000,400 contracts of 100 dollars at 80,000 are 7,500.5 coins."""
    catalog = Catalog()
    socket, poll = fresh(catalog), fresh(catalog)
    row = load(NAME, "http_get_open_interest")
    assert decode(poll, row, context="openInterest") == [Skipped(NAME, "BTCUSD_PERP", "no_mark")]
    decode(socket, load(NAME, "ws_mark_price_update"))
    assert decode(poll, row, context="openInterest") == [
        OpenInterest(NAME, "BTCUSD_PERP", "BTC", 6000400.0, 0.00125, 7500.5, True, 1763719195432, T0)
    ]


def test_coins_follow_the_mark_and_contracts_do_not() -> None:
    decoder = fresh()
    decode(decoder, update(T0, T8 + 8 * HOUR))
    (before,) = decode(decoder, interest("SOLUSD_PERP", "1000"))
    decode(decoder, {**update(T0, T8 + 8 * HOUR), "p": "250"})
    (after,) = decode(decoder, interest("SOLUSD_PERP", "1000"))
    assert isinstance(before, OpenInterest)
    assert isinstance(after, OpenInterest)
    assert (before.contracts, before.coins) == (1000.0, 80.0)  # 10 dollars a contract at 125
    assert (after.contracts, after.coins) == (1000.0, 40.0)


def test_metadata_overrides_the_built_in_size() -> None:
    decoder = fresh()
    decode(decoder, load(NAME, "http_get_exchange_info"))
    decode(decoder, load(NAME, "ws_mark_price_update_combined"))
    (found,) = decode(decoder, interest("ETHUSD_PERP", "0.5"))
    assert isinstance(found, OpenInterest)
    assert (found.contract_coins, found.coins) == (0.008, 0.004)  # 20 dollars at 2,500
    (none,) = decode(decoder, interest("ETHUSD_PERP", "0"))
    assert isinstance(none, OpenInterest)
    assert none.coins == 0.0


def test_unknown_contract_size_is_skipped_never_guessed() -> None:
    decoder = fresh()
    decode(decoder, load(NAME, "http_get_exchange_info"))
    decode(decoder, update(T0, T8 + 8 * HOUR, symbol="XRPUSD_PERP"))
    skipped = [Skipped(NAME, "XRPUSD_PERP", "unknown_contract_size")]
    assert decode(decoder, interest("XRPUSD_PERP", "5")) == skipped


def test_open_interest_history_is_in_coins_by_the_venue() -> None:
    assert decode(fresh(), load(NAME, "http_get_open_interest_hist")) == [
        OpenInterest(NAME, "ETHUSD_PERP", "ETH", 4e6, 0.004, 16000.0, False, 1763718600000, T0)
    ]


@pytest.mark.parametrize(("contracts", "value"), [("5", "0"), ("0", "5")])
def test_history_whose_two_figures_disagree(contracts: str, value: str) -> None:
    row = json.loads(load(NAME, "http_get_open_interest_hist"))[0]
    found = decode(fresh(), [{**row, "sumOpenInterest": contracts, "sumOpenInterestValue": value}])
    assert reasons(found) == ["size_mismatch"]


def test_premium_index() -> None:
    assert told(decode(fresh(), load(NAME, "http_get_premium_index"))) == [
        Mark(NAME, "ADAUSD_PERP", "ADA", 0.625, 0.625125, 1763719205000, T0),
        Funding(NAME, "ADAUSD_PERP", "ADA", 0.000077, None, None, 1763740800000, False, 1763719205000, T0),
    ]


def test_settled_rates() -> None:
    assert told(decode(fresh(), load(NAME, "http_get_funding_rate"))) == [
        Funding(NAME, "SOLUSD_PERP", "SOL", 0.00011, 8.0, 0.00011, None, True, 1763683200004, T0),
        Funding(NAME, "SOLUSD_PERP", "SOL", -0.00022, 8.0, -0.00022, None, True, 1763712000000, T0),
    ]


@pytest.mark.parametrize("name", ["http_get_taker_volume", "http_get_account_ratio"])
def test_not_used(name: str) -> None:
    """The account ratios of all and of the top traders look the same: only their request tells them apart."""
    assert decode(fresh(), load(NAME, name)) == []


def test_control_frames() -> None:
    decoder = fresh()
    assert decode(decoder, load(NAME, "ws_subscribed")) == [Control("ack", "7", "")]
    assert decode(decoder, load(NAME, "ws_error")) == [Control("refused", "9", "Invalid request: unknown variant")]
    assert decode(decoder, {"code": -1121, "msg": "Invalid symbol."}) == [
        Control("refused", None, "-1121 Invalid symbol.")
    ]


@pytest.mark.parametrize("frame", [{"foo": 1}, 42, "x", [], {}, None, True])
def test_unknown_shapes(frame: object) -> None:
    assert reasons(fresh().decode(json.dumps(frame), T0)) == ["unknown_shape"]


def test_exchange_info() -> None:
    catalog = Catalog()
    assert told(decode(fresh(catalog), load(NAME, "http_get_exchange_info"), context="exchangeInfo")) == [
        Listing(NAME, "BTCUSD_PERP", "BTC", True, 100.0, 1.0, None, True, T0),
        Listing(NAME, "ETHUSD_PERP", "ETH", True, 20.0, 1.0, None, True, T0),
        Listing(NAME, "XRPUSD_PERP", "XRP", True, None, 1.0, None, True, T0),
        Listing(NAME, "NEWUSD_PERP", "NEW", True, 5.0, 1.0, None, False, T0),
    ]
    assert catalog.foreign.keys() == {"OLDUSD_PERP", "BTCUSD_260327", "BTCUSD_260626"}
    assert left_out(decode(fresh(catalog), update(T0, T8 + 8 * HOUR, symbol="OLDUSD_PERP")))


@pytest.mark.parametrize("empty", ["[]", "null"])
def test_nothing_in_funding_info_means_8_hours(empty: str) -> None:
    catalog = Catalog()
    decoder = fresh(catalog)
    decode(decoder, load(NAME, "http_get_exchange_info"))
    assert decode(decoder, update(T0, T8 + 8 * HOUR))[1].interval_h is None  # type: ignore[union-attr]
    decode(decoder, empty, context="fundingInfo")
    assert {listing.interval_h for listing in catalog.listings.values()} == {8.0}
    assert decode(decoder, update(T0, T8 + 8 * HOUR))[1].interval_h == 8.0  # type: ignore[union-attr]
    decode(decoder, load(NAME, "http_get_funding_info"), context="fundingInfo")
    assert catalog.listings["ETHUSD_PERP"].interval_h == 4.0


def test_delisting() -> None:
    catalog = Catalog()
    decoder = fresh(catalog)
    info = json.loads(load(NAME, "http_get_exchange_info"))
    decode(decoder, info, context="exchangeInfo")
    info["symbols"] = [row for row in info["symbols"] if row["symbol"] != "ETHUSD_PERP"]
    found = decode(decoder, info, context="exchangeInfo")
    assert found[-1] == Listing(NAME, "ETHUSD_PERP", "ETH", True, 20.0, 1.0, None, False, T0)


def listings(count: int) -> list[Listing]:
    return [Listing(NAME, f"C{n}USD_PERP", f"C{n}", True, 10.0, 1.0, 8.0, True, T0) for n in range(count)]


def test_connections_respect_the_limits() -> None:
    plans = VENUE.connections(VENUE.endpoints, listings(120))
    assert [(plan.name, len(plan.expects), plan.acks) for plan in plans] == [("market-1", 200, 4), ("market-2", 40, 1)]
    assert plans[0].url == "wss://dstream.binance.com/ws"
    assert plans[0].expects[:2] == (("C0USD_PERP", "mark"), ("C0USD_PERP", "funding"))
    params = [name for plan in plans for frame in plan.frames for name in json.loads(frame)["params"]]
    assert (params[0], params[100]) == ("c0usd_perp@markPrice@1s", "c0usd@indexPrice@1s")
    assert len(params) == len(dict.fromkeys(params)) == 240
    for plan in plans:
        assert sum(len(json.loads(frame)["params"]) for frame in plan.frames) <= VENUE.limits.max_topics
        assert [json.loads(frame)["id"] for frame in plan.frames] == list(range(1, plan.acks + 1))


def test_polls_stay_within_their_share_of_the_budget() -> None:
    few = VENUE.polls(VENUE.endpoints, listings(2), 10.0)
    assert [(poll.request.url, poll.every_s, poll.expects) for poll in few] == [
        ("https://dapi.binance.com/dapi/v1/openInterest?symbol=C0USD_PERP", 10.0, (("C0USD_PERP", "oi"),)),
        ("https://dapi.binance.com/dapi/v1/openInterest?symbol=C1USD_PERP", 10.0, (("C1USD_PERP", "oi"),)),
    ]
    many = VENUE.polls(VENUE.endpoints, listings(600), 10.0)
    assert sum(poll.request.weight * 60 / poll.every_s for poll in many) == pytest.approx(240.0)


def test_rules_follow_the_cadence() -> None:
    assert (VENUE.name, VENUE.rules.venue, VENUE.rules.exchange) == (NAME, NAME, "binance")
    assert VENUE.rules_for(20.0).oi.max_age_ms == 60_000
    assert VENUE.rules_for(10.0) == VENUE.rules


def test_metadata_requests() -> None:
    assert [(request.url, request.context) for request in VENUE.metadata(VENUE.endpoints)] == [
        ("https://dapi.binance.com/dapi/v1/exchangeInfo", "exchangeInfo"),
        ("https://dapi.binance.com/dapi/v1/fundingInfo", "fundingInfo"),
    ]


def test_documents_of_several_frames() -> None:
    events = json.loads(load(NAME, "ws_mark_price_update_pair"))
    assert frames_in(NAME, events) == [events]
    recorded = [{"result": None, "id": 1}, {"stream": "x", "data": {}}]
    assert frames_in(NAME, recorded) == recorded


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_no_mutation_escapes(seed: int) -> None:
    """Nothing but sane items of this venue comes out of intact and mutated fixtures, and nothing is raised."""
    past = ("history:index:BTCUSD_PERP", "history:oi:ETHUSD_PERP", "history:funding:SOLUSD_PERP")
    check_mutations(NAME, seed, 60, ("openInterest", "long_short:account", *past))
