"""Kraken Futures: trades with liquidations among them, the replay on subscribing, charts and analytics as the past."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from service.model import Control, Endpoints, Flow, HistoryPoint, Liquidation, Listing, Skipped
from service.venues.contract import Catalog, Decoder
from service.venues.kraken_futures.venue import KrakenFutures
from tests.venues.extras import NOW, check_only_what_is_wanted, check_plans, points, requests_of
from tests.venues.frames import T0, decode, left_out, load, reasons

VENUE = KrakenFutures()
V1 = KrakenFutures()  # with the unified socket switched off
V1.endpoints = Endpoints({**VENUE.endpoints.ws, "unified": ""}, VENUE.endpoints.rest)
NAME = "kraken_futures"
LINEAR = Listing(NAME, "PF_ETHUSD", "ETH", False, 1.0, 1.0, 1.0, True, T0)
INVERSE = Listing(NAME, "PI_XBTUSD", "BTC", True, 1.0, 1.0, 1.0, True, T0)
FORCED = Liquidation(NAME, "PI_XBTUSD", "BTC", "long", 1500 / 80000, 80000.0, False, 1763719200800, T0)
SOLD = Flow(NAME, "PI_XBTUSD", "BTC", 0.0, 1500 / 80000, 1763719200800, T0)


def blind(catalog: Catalog | None = None) -> Decoder:
    return VENUE.decoder(catalog or Catalog())


def trade(**changes: Any) -> dict[str, Any]:
    """A liquidation of 1,500 dollars at 80,000, with fields changed; None removes one."""
    frame: dict[str, Any] = {**json.loads(load(NAME, "ws_trade")), "price": 80000, **changes}
    return {key: value for key, value in frame.items() if value is not None}


def listings(count: int) -> list[Listing]:
    return [Listing(NAME, f"PF_C{n}USD", f"C{n}", False, 1.0, 1.0, 1.0, True, T0) for n in range(count)]


def test_a_liquidation_is_taker_flow_too() -> None:
    """The taker was the liquidated one: it sold, so a long position was closed."""
    assert decode(blind(), trade()) == [FORCED, SOLD]
    short, bought = decode(blind(), trade(side="buy"))
    assert isinstance(short, Liquidation)
    assert isinstance(bought, Flow)
    assert (short.liquidated_side, bought.taker_buy_coins, bought.taker_sell_coins) == ("short", 1500 / 80000, 0.0)


def test_a_fill_is_flow_only_and_in_the_canonical_unit() -> None:
    assert decode(blind(), load(NAME, "ws_trade_fill")) == [
        Flow(NAME, "PF_PEPEUSD", "1000PEPE", 250.0, 0.0, 1763719200810, T0)
    ]


def test_a_termination_is_forced_but_no_taker_flow() -> None:
    assert decode(blind(), load(NAME, "ws_trade_termination")) == [
        Liquidation(NAME, "PI_XBTUSD", "BTC", "short", 0.01, 80000.0, False, 1763719200820, T0)
    ]


@pytest.mark.parametrize("kind", ["block", "assignment"])
def test_what_was_not_taken_from_the_book_is_left_out(kind: str) -> None:
    assert decode(blind(), trade(type=kind)) == []


def test_the_replay_is_not_news_nor_is_a_trade_that_it_held() -> None:
    decoder = blind()
    assert decode(decoder, load(NAME, "ws_trade_snapshot")) == []
    assert decode(decoder, trade(seq=900)) == []
    assert decode(decoder, trade(seq=899)) == []
    assert decode(decoder, trade(seq=901)) == [FORCED, SOLD]
    assert len(decode(decoder, load(NAME, "ws_trade_fill"))) == 1  # another product counts by itself


@pytest.mark.parametrize("kind", ["liquidation", "termination"])
def test_two_sockets_with_the_same_trade_count_it_once(kind: str) -> None:
    catalog = Catalog()
    assert decode(blind(catalog), trade(type=kind))[0] == FORCED
    assert decode(blind(catalog), trade(type=kind)) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "gift"}, "unknown_shape"),
        ({"side": "none"}, "unknown_shape"),
        ({"qty": 0}, "out_of_bounds"),
        ({"qty": "x"}, "bad_number"),
        ({"price": 0}, "out_of_bounds"),
        ({"seq": None}, "missing_field"),
        ({"time": 1763719200}, "out_of_bounds"),
    ],
)
def test_a_bad_trade(changes: dict[str, Any], reason: str) -> None:
    assert reasons(decode(blind(), trade(**changes))) == [reason]


def test_a_bad_row_of_the_replay_costs_itself() -> None:
    frame = json.loads(load(NAME, "ws_trade_snapshot"))
    frame["trades"].insert(0, {"seq": "x"})
    decoder = blind()
    assert reasons(decode(decoder, frame)) == ["bad_number"]
    assert decode(decoder, trade(seq=900)) == []


@pytest.mark.parametrize("name", ["FI_XBTUSD_260327", "PF_XBTEUR", "PV_XRPXBT"])
def test_trades_of_foreign_products_are_silent(name: str) -> None:
    assert left_out(decode(blind(), trade(product_id=name)))


def test_unknown_contract_size_is_skipped() -> None:
    catalog = Catalog()
    decoder = blind(catalog)
    rows = [{"symbol": "PF_PEPEUSD", "type": "flexible_futures", "tradeable": True}]
    decode(decoder, {"result": "success", "instruments": rows}, context="instruments")
    skipped = Skipped(NAME, "PF_PEPEUSD", "unknown_contract_size")
    assert decode(decoder, load(NAME, "ws_trade_fill")) == [skipped]


# -- history -------------------------------------------------------------------------------------------------------


def test_bars_count_from_their_end() -> None:
    answer = load(NAME, "http_get_candles")
    assert points(decode(blind(), answer, context="history:mark:PF_ETHUSD")) == [
        ("mark", 1763719140000, 3001.75, 120_000),
        ("mark", 1763719200000, 3003.25, 120_000),
    ]
    found = decode(blind(), answer, 1763719260000, "history:index:PF_PEPEUSD")
    assert points(found)[2:] == [("index", 1763719260000, 3002500.0, 120_000)]


def test_open_interest_is_the_close_of_its_bucket() -> None:
    answer = load(NAME, "http_get_analytics_open_interest")
    assert points(decode(blind(), answer, context="history:oi:PF_ETHUSD")) == [
        ("oi", 1763718900000, 21001.25, 600_000),
        ("oi", 1763719200000, 21004.75, 600_000),
    ]
    assert len(decode(blind(), answer, 1763719500000, "history:oi:PF_ETHUSD")) == 3


def test_open_interest_of_inverse_contracts_is_of_an_unknown_unit() -> None:
    assert decode(blind(), load(NAME, "http_get_analytics_open_interest"), context="history:oi:PI_XBTUSD") == []


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"timestamp": [1763718600], "data": []}, "size_mismatch"),
        ({"timestamp": [1763718600], "data": [["1", "2", "3"]]}, "size_mismatch"),
        ({"timestamp": [1763718600], "data": {"open_interest": ["1"]}}, "wrong_type"),
        ({"timestamp": [1763718600000], "data": [["1", "2", "3", "4"]]}, "out_of_bounds"),
        ({"data": []}, "missing_field"),
    ],
)
def test_broken_analytics(result: dict[str, Any], reason: str) -> None:
    found = decode(blind(), {"result": result, "errors": []}, context="history:oi:PF_ETHUSD")
    assert reasons(found) == [reason]
    assert len(found) == 1


def test_settled_rates_of_the_past_but_not_of_the_whole_year() -> None:
    answer = json.loads(load(NAME, "http_get_historical_funding_rates"))
    answer["rates"].append({"timestamp": "2025-10-17T09:00:00Z", "relativeFundingRate": 0.5})
    hold = int(1.25 * 3_600_000)
    assert decode(blind(), answer, context="history:funding:PI_XBTUSD") == [
        HistoryPoint(NAME, "PI_XBTUSD", "BTC", "funding", 1763715600000, 0.000015, 1.0, hold),
        HistoryPoint(NAME, "PI_XBTUSD", "BTC", "funding", 1763719200000, -0.00001, 1.0, hold),
    ]
    early = decode(blind(), answer, 1763719199999, "history:funding:PI_XBTUSD")
    assert [item[1] for item in points(early)] == [1763715600000]


@pytest.mark.parametrize("what", ["mark", "oi", "funding"])
def test_a_refused_history_is_a_refusal(what: str) -> None:
    for name in ("http_error", "http_error_list"):
        (found,) = decode(blind(), load(NAME, name), context=f"history:{what}:PF_ETHUSD")
        assert isinstance(found, Control)
        assert found.kind == "refused"


def test_history_requests_fit_their_pages() -> None:
    found = requests_of(VENUE, LINEAR)
    assert [(request.context.split(":")[1], urlsplit(request.url).path) for request in found] == [
        ("mark", "/api/charts/v1/mark/PF_ETHUSD/1m"),
        ("oi", "/api/charts/v1/analytics/PF_ETHUSD/open-interest"),
        ("index", "/api/charts/v1/spot/PF_ETHUSD/1m"),
        ("funding", "/derivatives/api/v4/historicalfundingrates"),
    ]
    assert all(request.url.startswith("https://futures.kraken.com/") for request in found)
    mark, interest = (parse_qs(urlsplit(request.url).query) for request in found[:2])
    assert int(mark["from"][0]) < (NOW - 26 * 3_600_000) / 1000 <= int(mark["from"][0]) + 120
    assert int(mark["to"][0]) == NOW // 60_000 * 60
    assert interest["interval"] == ["300"]
    long = requests_of(VENUE, INVERSE, NOW - 72 * 3_600_000)
    assert [request.context.split(":")[1] for request in long] == ["mark", "index", "funding", *["mark", "index"] * 2]
    for request in long:
        query = parse_qs(urlsplit(request.url).query)
        assert "symbol" in query or int(query["to"][0]) - int(query["from"][0]) <= 1999 * 60
    here = Endpoints(ws={"public": "ws://h"}, rest="http://h:1/derivatives/api/v3")
    assert VENUE.history(here, LINEAR, NOW - 60_000, NOW)[0].url.startswith("http://h:1/api/charts/v1/mark/")


# -- plans ---------------------------------------------------------------------------------------------------------


def test_plans_for_500_listings_keep_the_limits() -> None:
    names = check_plans(V1, listings(500))
    assert names[5:] == [f"trade-extra-{n}" for n in range(1, 7)]
    check_only_what_is_wanted(V1, listings(60), {"flow": "trade-extra", "liquidation": "trade-extra"})
    assert VENUE.polls(VENUE.endpoints, listings(3), 10.0, ("long_short", "positions")) == []


def test_the_socket_of_trades_hears_a_heartbeat() -> None:
    """Nothing else shows that it lives: the venue refuses pings in text."""
    plan = VENUE.connections(VENUE.endpoints, [LINEAR], ("flow", "liquidation"))[1]
    assert [json.loads(text) for text in plan.frames] == [
        {"event": "subscribe", "feed": "heartbeat"},
        {"event": "subscribe", "feed": "trade", "product_ids": ["PF_ETHUSD"]},
    ]
    assert (plan.acks, plan.keepalive, plan.quiet_s) == (2, None, 180.0)
    assert decode(blind(), {"event": "subscribed", "feed": "heartbeat"}) == [Control("ack", "heartbeat", "subscribed")]
    assert decode(blind(), load(NAME, "ws_heartbeat")) == []
