"""Bitget: whole tickers of three product lines, both API generations, intervals from the metadata."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.model import Bad, Control, Funding, Listing, Mark, OpenInterest
from service.venues.bitget.messages import BitgetDecoder
from service.venues.bitget.metadata import product_of
from service.venues.bitget.venue import Bitget
from service.venues.contract import Catalog, Venue
from service.venues.decoding import frames_in
from tests.venues.frames import T0, check_mutations, decode, left_out, load, reasons, told

VENUE: Venue = Bitget()
NAME = "bitget"
HOUR = 3_600_000
T8 = 1_763_712_000_000  # 08:00 UTC
EXTRA_CONTEXTS = (
    "long_short:account:ETHUSDT", "long_short:position:ETHUSDT", "long_short:x:ETHUSDT", "history:mark:ETHUSDT",
    "history:index:BTCUSD", "history:funding:ETHUSDT", "history:oi:ETHUSDT", "history:",
)  # fmt: skip


def fresh(catalog: Catalog | None = None) -> BitgetDecoder:
    return BitgetDecoder(catalog or Catalog())


def listed() -> Catalog:
    """What the three metadata answers say."""
    catalog = Catalog()
    for product in ("usdt", "coin", "usdc"):
        answer = load(NAME, f"http_get_contracts_{product}")
        decode(fresh(catalog), answer, context=f"contracts:{product.upper()}-FUTURES")
    return catalog


def ticker(**fields: Any) -> dict[str, Any]:
    """The linear fixture with other fields."""
    frame: dict[str, Any] = json.loads(load(NAME, "ws_ticker"))
    frame["data"][0].update(fields)
    return frame


def scheduled(decoder: BitgetDecoder, at: int, next_ts: int) -> float | None:
    """The interval of a ticker sent at ``at``."""
    funding = decode(decoder, ticker(ts=str(at), nextFundingTime=str(next_ts)))[1]
    assert isinstance(funding, Funding)
    assert (funding.interval_h is None) == (funding.rate_8h is None)
    return funding.interval_h


def test_ticker() -> None:
    assert decode(fresh(), load(NAME, "ws_ticker")) == [
        Mark(NAME, "ETHUSDT", "ETH", 3010.25, 3011.7512345678901234, 1763719200100, T0),
        Funding(NAME, "ETHUSDT", "ETH", 0.000062, None, None, 1763726400000, False, 1763719200100, T0),
        OpenInterest(NAME, "ETHUSDT", "ETH", 400050.2499999999605, 1.0, 400050.2499999999605, False, 1763719200100, T0),
    ]


def test_coin_margined_is_counted_in_coins_too() -> None:
    mark, funding, interest = decode(fresh(listed()), load(NAME, "ws_ticker_coin"))
    assert mark == Mark(NAME, "BTCUSD", "BTC", 80000.5, 80020.25, 1763719200200, T0)
    assert funding == Funding(NAME, "BTCUSD", "BTC", -0.000031, 8.0, -0.000031, 1763740800000, False, 1763719200200, T0)
    assert interest == OpenInterest(NAME, "BTCUSD", "BTC", 6071.485, 1.0, 6071.485, False, 1763719200200, T0)


def test_usdc_margined() -> None:
    mark, funding, interest = decode(fresh(listed()), load(NAME, "ws_ticker_usdc"))
    assert mark == Mark(NAME, "BTCPERP", "BTC", 80010.75, 80021.5, 1763719200300, T0)
    assert isinstance(funding, Funding)
    assert (funding.rate, funding.interval_h, funding.next_ts) == (0.000017, 8.0, 1763737200000)
    assert interest == OpenInterest(NAME, "BTCPERP", "BTC", 321.5, 1.0, 321.5, False, 1763719200300, T0)


def test_v3_ticker_takes_the_time_of_the_frame() -> None:
    assert decode(fresh(), load(NAME, "ws_v3_ticker")) == [
        Mark(NAME, "SOLUSDT", "SOL", 141.25, 141.7512, 1763719200500, T0),
        Funding(NAME, "SOLUSDT", "SOL", -0.00003, None, None, 1763733600000, False, 1763719200500, T0),
        OpenInterest(NAME, "SOLUSDT", "SOL", 2953938.25, 1.0, 2953938.25, False, 1763719200500, T0),
    ]


def test_multiplier_token() -> None:
    """PEPE is listed singly; our unit is 1,000."""
    frame = json.loads(load(NAME, "ws_ticker").replace("ETHUSDT", "PEPEUSDT"))
    frame["data"][0].update(markPrice="0.0000048", indexPrice="0.0000046", holdingAmount="150000000000")
    mark, funding, interest = decode(fresh(listed()), frame)
    assert mark == Mark(NAME, "PEPEUSDT", "1000PEPE", 0.0048, 0.0046, 1763719200100, T0)
    assert isinstance(funding, Funding)
    assert (funding.symbol, funding.interval_h) == ("1000PEPE", 2.0)
    assert isinstance(interest, OpenInterest)
    assert (interest.contracts, interest.contract_coins, interest.coins) == (150e9, 0.001, 150e6)


def test_delivery_contracts_are_silent() -> None:
    assert left_out(decode(fresh(), load(NAME, "ws_ticker_delivery")))
    for kind in ("2", 2):
        assert left_out(decode(fresh(), ticker(symbolType=kind)))
    assert left_out(decode(fresh(), ticker(deliveryTime="1766736000000")))
    assert len(decode(fresh(), ticker(deliveryTime=None))) == 3


@pytest.mark.parametrize("name", ["ETHUSD_231229", "ETHUSDTZ25", "ETHUSDT_UMCBL", "ETHBTC", "USDT", "ETHEUR"])
def test_foreign_names_are_silent(name: str) -> None:
    assert left_out(decode(fresh(), load(NAME, "ws_ticker").replace("ETHUSDT", name)))


@pytest.mark.parametrize("product", ["SPOT", "mc", "SUSDT-FUTURES", "spot"])
def test_other_products_are_silent(product: str) -> None:
    assert decode(fresh(), load(NAME, "ws_ticker").replace("USDT-FUTURES", product)) == []


@pytest.mark.parametrize("field", ["", "0"])
def test_no_next_funding_is_no_rate_of_zero(field: str) -> None:
    found = decode(fresh(), ticker(nextFundingTime=field, fundingRate="0"))
    assert [type(item) for item in found] == [Mark, OpenInterest]


def test_empty_text_is_unknown_never_zero() -> None:
    assert [type(item) for item in decode(fresh(), ticker(fundingRate=""))] == [Mark, OpenInterest]
    assert decode(fresh(), ticker(indexPrice=""))[0] == Mark(NAME, "ETHUSDT", "ETH", 3010.25, None, 1763719200100, T0)
    found = decode(fresh(), ticker(holdingAmount=""))
    assert reasons(found) == ["bad_number"]
    assert [type(item) for item in found] == [Mark, Funding, Bad]


def test_open_interest_of_zero_is_a_value() -> None:
    interest = decode(fresh(), ticker(holdingAmount="0"))[2]
    assert isinstance(interest, OpenInterest)
    assert interest.coins == 0.0


@pytest.mark.parametrize(
    ("field", "left"),
    [
        ("markPrice", [Bad, Funding, OpenInterest]),
        ("indexPrice", [Bad, Mark, Funding, OpenInterest]),
        ("fundingRate", [Mark, Bad, OpenInterest]),
        ("nextFundingTime", [Mark, Bad, OpenInterest]),
        ("holdingAmount", [Mark, Funding, Bad]),
    ],
)
def test_missing_or_broken_field_costs_its_stream_only(field: str, left: list[type]) -> None:
    frame = ticker()
    del frame["data"][0][field]
    found = decode(fresh(), frame)
    assert [type(item) for item in found] == left
    assert reasons(found) == ["missing_field"]
    found = decode(fresh(), ticker(**{field: "1_0"}))
    assert [type(item) for item in found] == left
    assert reasons(found) == ["bad_number"]


@pytest.mark.parametrize("field", ["instId", "symbol"])
def test_row_of_another_instrument(field: str) -> None:
    assert reasons(decode(fresh(), ticker(**{field: "BTCUSDT"}))) == ["bad_name"]


@pytest.mark.parametrize("kind", ["3", None, True, {}])
def test_unknown_kind_of_contract(kind: object) -> None:
    assert reasons(decode(fresh(), ticker(symbolType=kind))) == ["unknown_shape"]


def test_bad_row_costs_its_row_only() -> None:
    frame = ticker()
    frame["data"] = [7, {**frame["data"][0], "ts": "x"}, frame["data"][0]]
    found = decode(fresh(), frame)
    assert reasons(found) == ["wrong_type", "bad_number"]
    assert [type(item) for item in found[2:]] == [Mark, Funding, OpenInterest]


def test_funding_long_past_is_refused() -> None:
    frame = ticker(ts=str(T8 + 600_001), nextFundingTime=str(T8))
    assert reasons(decode(fresh(), frame)) == ["out_of_bounds"]
    assert reasons(decode(fresh(), ticker(ts=str(T8 + 600_000), nextFundingTime=str(T8)))) == []


# -- funding intervals -------------------------------------------------------------------------------------------


def test_interval_of_the_metadata() -> None:
    funding = decode(fresh(listed()), load(NAME, "ws_ticker"))[1]
    assert isinstance(funding, Funding)
    assert (funding.interval_h, funding.rate_8h) == (4.0, 0.000124)


def test_rollover_measures_the_interval_until_the_metadata_changes() -> None:
    catalog = listed()
    decoder = fresh(catalog)
    assert scheduled(decoder, T8 - 1000, T8) == 4.0
    assert scheduled(decoder, T8 + 1000, T8 + HOUR) == 1.0
    answer = load(NAME, "http_get_contracts_usdt")
    decode(decoder, answer)
    assert scheduled(decoder, T8 + 2000, T8 + HOUR) == 1.0
    decode(decoder, answer.replace('"fundInterval":"4"', '"fundInterval":"2"'))
    assert scheduled(decoder, T8 + 3000, T8 + HOUR) == 2.0


def test_a_jump_seen_late_measures_nothing() -> None:
    decoder = fresh()
    assert scheduled(decoder, T8 - 1000, T8) is None
    assert scheduled(decoder, T8 + HOUR, T8 + 2 * HOUR) is None


def test_an_odd_jump_or_a_rearranged_schedule_is_in_doubt() -> None:
    decoder = fresh(listed())
    scheduled(decoder, T8 - 1000, T8)
    assert scheduled(decoder, T8 + 1000, T8 + 3 * HOUR) is None
    decode(decoder, load(NAME, "http_get_contracts_usdt"))
    assert scheduled(decoder, T8 + 2000, T8 + 3 * HOUR) == 4.0
    assert scheduled(decoder, T8 + 3000, T8 + 2 * HOUR) is None


def test_a_late_message_changes_no_interval() -> None:
    decoder = fresh(listed())
    scheduled(decoder, T8 - 1000, T8)
    assert scheduled(decoder, T8 + 1000, T8 + HOUR) == 1.0
    assert scheduled(decoder, T8 - 5000, T8) == 1.0
    assert scheduled(decoder, T8 + 2000, T8 + HOUR) == 1.0


def test_a_next_funding_beyond_the_interval_leaves_it_in_doubt() -> None:
    assert scheduled(fresh(listed()), T8 - 600_000, T8 + 4 * HOUR) == 4.0
    assert scheduled(fresh(listed()), T8 - 600_001, T8 + 4 * HOUR) is None


def test_unreadable_interval_is_unknown() -> None:
    catalog = listed()
    answer = load(NAME, "http_get_contracts_usdt").replace('"fundInterval":"4"', '"fundInterval":"x"')
    assert reasons(decode(fresh(catalog), answer)) == ["bad_number"]
    assert scheduled(fresh(catalog), T8, T8 + 4 * HOUR) is None


# -- HTTP answers ------------------------------------------------------------------------------------------------


def test_contracts() -> None:
    catalog = Catalog()
    decoder = fresh(catalog)
    assert told(decode(decoder, load(NAME, "http_get_contracts_usdt"), context="contracts:USDT-FUTURES")) == [
        Listing(NAME, "BTCUSDT", "BTC", False, 1.0, 1.0, 8.0, True, T0),
        Listing(NAME, "ETHUSDT", "ETH", False, 1.0, 1.0, 4.0, True, T0),
        Listing(NAME, "PEPEUSDT", "1000PEPE", False, 0.001, 0.001, 2.0, True, T0),
        Listing(NAME, "1000BONKUSDT", "1000BONK", False, 1.0, 1.0, 1.0, False, T0),
    ]
    assert told(decode(decoder, load(NAME, "http_get_contracts_coin"), context="contracts:COIN-FUTURES")) == [
        Listing(NAME, "BTCUSD", "BTC", True, None, 1.0, 8.0, True, T0)
    ]
    assert told(decode(decoder, load(NAME, "http_get_contracts_usdc"), context="contracts:USDC-FUTURES")) == [
        Listing(NAME, "BTCPERP", "BTC", False, 1.0, 1.0, 8.0, True, T0)
    ]
    assert catalog.foreign.keys() == {"TSLAUSDT", "BTCUSDTZ25", "ETHUSDZ25"}
    assert left_out(decode(decoder, load(NAME, "ws_ticker").replace("ETHUSDT", "TSLAUSDT")))


def test_v3_instruments() -> None:
    assert decode(fresh(), load(NAME, "http_get_v3_instruments")) == [
        Listing(NAME, "SOLUSDT", "SOL", False, 1.0, 1.0, 4.0, True, T0)
    ]


def test_absence_delists_within_the_product_line_only() -> None:
    catalog = listed()
    answer = json.loads(load(NAME, "http_get_contracts_usdt"))
    answer["data"] = answer["data"][1:]
    broken = {**answer, "data": [*answer["data"], {"symbol": "BTCUSDT", "baseCoin": 5}]}
    decode(fresh(catalog), broken, context="contracts:USDT-FUTURES")
    assert catalog.listings["BTCUSDT"].trading
    decode(fresh(catalog), {**answer, "data": []}, context="contracts:USDT-FUTURES")
    assert catalog.listings["BTCUSDT"].trading
    found = decode(fresh(catalog), answer, context="contracts:USDT-FUTURES")
    assert found[-1] == Listing(NAME, "BTCUSDT", "BTC", False, 1.0, 1.0, 8.0, False, T0)
    trading = [name for name, listing in catalog.listings.items() if listing.trading]
    assert trading == ["ETHUSDT", "PEPEUSDT", "BTCUSD", "BTCPERP"]


def test_rest_open_interest() -> None:
    assert decode(fresh(), load(NAME, "http_get_open_interest")) == [
        OpenInterest(NAME, "ETHUSDT", "ETH", 400051.5, 1.0, 400051.5, False, 1763719190999, T0)
    ]
    assert decode(fresh(), load(NAME, "http_get_v3_open_interest")) == [
        OpenInterest(NAME, "SOLUSDT", "SOL", 2953939.5, 1.0, 2953939.5, False, 1763719191999, T0),
        OpenInterest(NAME, "PEPEUSDT", "1000PEPE", 7e6, 0.001, 7000.0, False, 1763719191999, T0),
    ]


def test_rest_tickers_name_no_next_funding() -> None:
    mark, funding, interest = told(decode(fresh(listed()), load(NAME, "http_get_tickers")))
    assert mark == Mark(NAME, "PEPEUSDT", "1000PEPE", 0.0048, 0.0046, 1763719190107, T0)
    assert funding == Funding(NAME, "PEPEUSDT", "1000PEPE", 0.0002, 2.0, 0.0008, None, False, 1763719190107, T0)
    assert isinstance(interest, OpenInterest)
    assert interest.coins == 150e6


def test_rest_running_rate_says_its_interval() -> None:
    assert decode(fresh(listed()), load(NAME, "http_get_current_fund_rate")) == [
        Funding(NAME, "ETHUSDT", "ETH", 0.000071, 2.0, 0.000284, 1763722800000, False, 1763719190008, T0)
    ]


def test_rest_funding_time_says_the_interval() -> None:
    decoder = fresh()
    assert decode(decoder, load(NAME, "http_get_funding_time")) == []
    assert scheduled(decoder, T8, T8 + 4 * HOUR) == 4.0


def test_settled_rates_take_their_interval_from_the_spacing() -> None:
    answer = load(NAME, "http_get_history_fund_rate")
    assert decode(fresh(), answer) == [
        Funding(NAME, "ETHUSDT", "ETH", 0.000033, 4.0, 0.000066, None, True, 1763712000000, T0),
        Funding(NAME, "ETHUSDT", "ETH", -0.000022, 4.0, -0.000044, None, True, 1763697600000, T0),
    ]
    alone = json.loads(answer)
    del alone["data"][1]
    assert [item.interval_h for item in decode(fresh(), alone) if isinstance(item, Funding)] == [None]
    assert [item.interval_h for item in decode(fresh(listed()), alone) if isinstance(item, Funding)] == [4.0]


def test_answer_of_the_spot_market_is_silent() -> None:
    answer = json.loads(load(NAME, "http_get_tickers"))
    answer["data"][0]["category"] = "SPOT"
    assert left_out(decode(fresh(), answer))


# -- control, shapes, plans --------------------------------------------------------------------------------------


def test_control_frames() -> None:
    decoder = fresh()
    assert [item.kind for item in decode(decoder, "pong") if isinstance(item, Control)] == ["pong"]
    assert decode(decoder, load(NAME, "ws_subscribed")) == [Control("ack", "ticker:ETHUSDT", "subscribe")]
    assert decode(decoder, load(NAME, "ws_v3_subscribed")) == [Control("ack", "ticker:SOLUSDT", "subscribe")]
    missing = "30001 instType:USDT-FUTURES,channel:ticker,instId:NOPEUSDT doesn't exist"
    assert decode(decoder, load(NAME, "ws_error")) == [Control("refused", "ticker:NOPEUSDT", missing)]
    assert decode(decoder, {"event": "error", "code": 30007, "msg": "too many"}) == [
        Control("refused", None, "30007 too many")
    ]
    assert decode(decoder, {"event": "news", "msg": "x"}) == [Control("info", None, "news x")]
    assert decode(decoder, load(NAME, "http_get_error")) == [Control("refused", None, "40034 Parameter does not exist")]
    assert decode(decoder, {"op": "subscribe", "args": []}) == []


@pytest.mark.parametrize("name", ["http_get_account_ratio", "http_get_position_ratio", "http_get_candles"])
def test_silent_without_their_context(name: str) -> None:
    assert decode(fresh(), load(NAME, name)) == []


@pytest.mark.parametrize(
    "frame", [{"foo": 1}, 42, "x", [], {}, None, {"code": "00000", "data": [{"x": 1}]}, {"code": "00000", "data": {}}]
)
def test_unknown_shapes(frame: object) -> None:
    assert reasons(fresh().decode(json.dumps(frame), T0)) == ["unknown_shape"]


@pytest.mark.parametrize(
    ("name", "product"),
    [
        ("BTCUSDT", "USDT-FUTURES"),
        ("BTCUSD", "COIN-FUTURES"),
        ("BTCPERP", "USDC-FUTURES"),
        ("BTCUSDC", "USDC-FUTURES"),
        ("PERPUSDT", "USDT-FUTURES"),
        ("BTCUSDZ25", None),
        ("PERP", None),
    ],
)
def test_product_of(name: str, product: str | None) -> None:
    assert product_of(name) == product


def test_connections_within_the_recommended_channels() -> None:
    names = ["BTCUSD", "BTCPERP", *(f"C{n}USDT" for n in range(55))]
    listings = [Listing(NAME, name, "X", False, 1.0, 1.0, 8.0, True, T0) for name in names]
    plans = VENUE.connections(VENUE.endpoints, listings)
    assert [(plan.name, len(plan.frames), plan.acks) for plan in plans] == [("public-1", 50, 50), ("public-2", 7, 7)]
    assert [json.loads(frame) for frame in plans[0].frames[:3]] == [
        {"op": "subscribe", "args": [{"instType": product, "channel": "ticker", "instId": name}]}
        for product, name in (("COIN-FUTURES", "BTCUSD"), ("USDC-FUTURES", "BTCPERP"), ("USDT-FUTURES", "C0USDT"))
    ]
    assert plans[0].url == "wss://ws.bitget.com/v2/ws/public"
    assert plans[0].expects[:3] == (("BTCUSD", "mark"), ("BTCUSD", "funding"), ("BTCUSD", "oi"))
    assert sum(len(plan.expects) for plan in plans) == 3 * 57
    assert plans[0].keepalive is not None
    assert (plans[0].keepalive.text, plans[0].keepalive.every_s, plans[0].keepalive.only_when_idle) == (
        "ping",
        30.0,
        False,
    )
    assert VENUE.polls(VENUE.endpoints, listings, 10.0) == []
    assert VENUE.rules_for(99.0) == VENUE.rules


def test_metadata_requests() -> None:
    base = "https://api.bitget.com/api/v2/mix/market/contracts?productType="
    assert [(request.url, request.context) for request in VENUE.metadata(VENUE.endpoints)] == [
        (f"{base}usdt-futures", "contracts:USDT-FUTURES"),
        (f"{base}coin-futures", "contracts:COIN-FUTURES"),
        (f"{base}usdc-futures", "contracts:USDC-FUTURES"),
    ]


def test_documents_of_several_frames() -> None:
    assert frames_in(NAME, [{"event": "x"}, {"arg": {}}]) == [{"event": "x"}, {"arg": {}}]
    assert frames_in(NAME, {"event": "x"}) == [{"event": "x"}]


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_no_mutation_escapes(seed: int) -> None:
    """Nothing but sane items of this venue comes out of intact and mutated fixtures, and nothing is raised."""
    check_mutations(NAME, seed, 60, ("contracts:USDT-FUTURES", "contracts:COIN-FUTURES", *EXTRA_CONTEXTS))
