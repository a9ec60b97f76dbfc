"""Gate: signed contracts of trades and liquidations, statistics as shares and top traders' coins, published past."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from service.model import EXTRA_STREAMS, Flow, HistoryPoint, Liquidation, Listing, LongShort, Positions, Skipped
from service.venues.contract import Catalog, Decoder
from service.venues.gate.venue import Gate
from tests.venues.extras import NOW, check_only_what_is_wanted, check_plans, check_polls, points, requests_of
from tests.venues.frames import T0, decode, left_out, load, reasons, told

VENUE = Gate()
NAME = "gate"


def informed(catalog: Catalog | None = None) -> Decoder:
    decoder = VENUE.decoder(catalog or Catalog())
    decode(decoder, load(NAME, "http_get_contracts_usdt"), context="contracts:usdt")
    decode(decoder, load(NAME, "http_get_contracts_btc"), context="contracts:btc")
    return decoder


def trade(**changes: Any) -> dict[str, Any]:
    """A message with one trade, of ETH_USDT."""
    frame: dict[str, Any] = json.loads(load(NAME, "ws_trades"))
    frame["result"] = [{**frame["result"][2], **changes}]
    return frame


def listings(count: int) -> list[Listing]:
    usdt = [Listing(NAME, f"C{n}_USDT", f"C{n}", False, 1.0, 1.0, 8.0, True, T0) for n in range(count - 1)]
    return [*usdt, Listing(NAME, "BTC_USD", "BTC", True, 1.0, 1.0, 8.0, True, T0)]


# -- taker flow ----------------------------------------------------------------------------------------------------


def test_trades_by_instrument_without_what_the_insurance_fund_took_over() -> None:
    assert decode(informed(), load(NAME, "ws_trades")) == [
        Flow(NAME, "ETH_USDT", "ETH", 0.075, 0.4, 1763719217492, T0),
        Flow(NAME, "PEPE_USDT", "1000PEPE", 30000.0, 0.0, 1763719217493, T0),
    ]


def test_inverse_trades_at_their_own_price() -> None:
    assert decode(informed(), load(NAME, "ws_trades_inverse")) == [
        Flow(NAME, "BTC_USD", "BTC", 0.01, 0.0, 1763719218000, T0)
    ]


def test_the_same_trade_counts_once() -> None:
    catalog = Catalog()
    assert len(decode(informed(catalog), load(NAME, "ws_trades"), 1763719218000)) == 2
    assert decode(informed(catalog), load(NAME, "ws_trades"), 1763719218000) == []


def test_contracts_of_unknown_size_are_skipped_once_a_frame() -> None:
    found = decode(VENUE.decoder(Catalog()), load(NAME, "ws_trades"))
    assert found == [
        Skipped(NAME, "ETH_USDT", "unknown_contract_size"),
        Skipped(NAME, "PEPE_USDT", "unknown_contract_size"),
    ]


@pytest.mark.parametrize("size", ["5", 5, "-0.25"])
def test_the_sign_is_the_takers_side(size: str | int) -> None:
    (flow,) = decode(informed(), trade(size=size))
    assert isinstance(flow, Flow)
    amount = abs(float(size)) * 0.01
    assert (flow.taker_buy_coins, flow.taker_sell_coins) == ((amount, 0.0) if float(size) > 0 else (0.0, amount))


def test_a_fraction_cut_to_nothing_is_no_trade() -> None:
    assert decode(informed(), trade(size=0)) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"size": "x"}, "bad_number"),
        ({"price": "0"}, "out_of_bounds"),
        ({"create_time_ms": "now"}, "bad_number"),
        ({"is_internal": "yes"}, "wrong_type"),
        ({"contract": None}, "wrong_type"),
    ],
)
def test_a_bad_trade_costs_itself(changes: dict[str, Any], reason: str) -> None:
    frame = trade(**changes)
    frame["result"] += trade(size="2", id=70009)["result"]
    found = decode(informed(), frame)
    assert reasons(found) == [reason]
    assert found[1] == Flow(NAME, "ETH_USDT", "ETH", 0.02, 0.0, 1763719217492, T0)


@pytest.mark.parametrize("name", ["NVDA_USDT", "BTC_USDT_20260327", "ETH_BTC"])
def test_trades_of_foreign_products_are_silent(name: str) -> None:
    assert left_out(decode(informed(), trade(contract=name)))


# -- liquidations --------------------------------------------------------------------------------------------------


def test_liquidations_negative_closed_a_long() -> None:
    """The sign is that of the order here (undocumented); one is stamped in seconds, one is no crypto."""
    assert told(decode(informed(), load(NAME, "ws_public_liquidates"))) == [
        Liquidation(NAME, "ETH_USDT", "ETH", "long", 0.17, 3001.5, True, 1763719218505, T0),
        Liquidation(NAME, "SOL_USDT", "SOL", "short", 2.5, 141.5, True, 1763719218000, T0),
    ]


def test_an_inverse_liquidation_as_an_object_without_a_time() -> None:
    assert decode(informed(), load(NAME, "ws_public_liquidates_object")) == [
        Liquidation(NAME, "BTC_USD", "BTC", "long", 0.02, 80000.0, True, 1763719219612, T0)
    ]


def test_a_liquidation_is_told_once() -> None:
    catalog = Catalog()
    assert len(told(decode(informed(catalog), load(NAME, "ws_public_liquidates")))) == 2
    assert told(decode(informed(catalog), load(NAME, "ws_public_liquidates"))) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"size": 0}, "out_of_bounds"), ({"price": ""}, "bad_number"), ({"time": "x"}, "bad_number")],
)
def test_a_bad_liquidation_costs_itself(changes: dict[str, Any], reason: str) -> None:
    frame = json.loads(load(NAME, "ws_public_liquidates"))
    frame["result"][0].update(changes)
    found = decode(informed(), frame)
    assert reasons(found) == [reason]
    assert [type(item) for item in told(found)[1:]] == [Liquidation]


def test_liquidation_of_unknown_contract_size() -> None:
    found = decode(VENUE.decoder(Catalog()), load(NAME, "ws_public_liquidates"))
    assert found[0] == Skipped(NAME, "ETH_USDT", "unknown_contract_size")


# -- statistics ----------------------------------------------------------------------------------------------------


def test_streamed_statistics() -> None:
    """lsr_account 1.5 is 60 % long; the takers' ratio is no position."""
    at = 1763719200000
    expected = [
        LongShort(NAME, "ETH_USDT", "ETH", "account", 0.6, at, T0),
        LongShort(NAME, "ETH_USDT", "ETH", "top_account", 0.5, at, T0),
        LongShort(NAME, "ETH_USDT", "ETH", "top_position", 0.2, at, T0),
    ]
    frame = json.loads(load(NAME, "ws_contract_stats"))
    assert decode(informed(), frame) == expected
    assert decode(informed(), {**frame, "result": [frame["result"]]}) == expected


def test_polled_statistics_take_the_newest_row() -> None:
    """6,000 and 10,000 contracts of 0.01 ETH; a ratio of 0 is a value, an empty one is unknown."""
    at = 1763719200000
    rows = json.loads(load(NAME, "http_get_contract_stats"))
    expected = [
        LongShort(NAME, "ETH_USDT", "ETH", "top_account", 0.75, at, T0),
        LongShort(NAME, "ETH_USDT", "ETH", "top_position", 0.0, at, T0),
        Positions(NAME, "ETH_USDT", "ETH", 60.0, 100.0, at, T0),
    ]
    assert decode(informed(), rows, context="contract_stats:ETH_USDT") == expected
    assert decode(informed(), rows[::-1], context="contract_stats:ETH_USDT") == expected


def test_top_traders_of_the_inverse_contract_are_dollars() -> None:
    row = {"time": 1763719200, "mark_price": 80000, "top_long_size": 1600, "top_short_size": "800"}
    assert decode(informed(), [row], context="contract_stats:BTC_USD") == [
        Positions(NAME, "BTC_USD", "BTC", 0.02, 0.01, 1763719200000, T0)
    ]
    del row["mark_price"]
    assert reasons(decode(informed(), [row], context="contract_stats:BTC_USD")) == ["missing_field"]


def test_broken_statistics() -> None:
    row = {"time": 1763719200, "lsr_account": -1, "top_lsr_account": 3, "top_long_size": 5, "top_short_size": ""}
    found = decode(informed(), [row, 7], context="contract_stats:ETH_USDT")
    assert reasons(found) == ["wrong_type", "out_of_bounds"]
    assert [item for item in found if isinstance(item, LongShort)] == [
        LongShort(NAME, "ETH_USDT", "ETH", "top_account", 0.75, 1763719200000, T0)
    ]
    assert left_out(decode(informed(), [row], context="contract_stats:NVDA_USDT"))
    sizes = {"time": 1763719200, "top_long_size": 5, "top_short_size": 6}
    assert decode(VENUE.decoder(Catalog()), [sizes], context="contract_stats:ETH_USDT") == [
        Skipped(NAME, "ETH_USDT", "unknown_contract_size")
    ]


# -- history -------------------------------------------------------------------------------------------------------


def test_bars_count_from_their_end() -> None:
    answer = load(NAME, "http_get_candlesticks")
    assert points(decode(informed(), answer, context="history:mark:ETH_USDT")) == [
        ("mark", 1763719140000, 3001.75, 120_000),
        ("mark", 1763719200000, 3003.25, 120_000),
    ]
    found = decode(informed(), answer, 1763719260000, "history:index:PEPE_USDT")
    assert points(found)[2:] == [("index", 1763719260000, 3002500.0, 120_000)]


def test_open_interest_counts_from_the_end_of_its_five_minutes() -> None:
    """Whether a statistic is of the start or the end of its period is not said: never too early."""
    answer = load(NAME, "http_get_contract_stats")
    assert points(decode(informed(), answer, context="history:oi:ETH_USDT")) == [
        ("oi", 1763718900000, 41200100.0, 600_000),
        ("oi", 1763719200000, 41200200.0, 600_000),
    ]
    found = decode(informed(), answer, 1763719500000, "history:oi:BTC_USD")  # dollars: contracts of one
    assert points(found)[2:] == [("oi", 1763719500000, 41200300.0, 600_000)]


def test_settled_rates_of_the_past() -> None:
    found = decode(informed(), load(NAME, "http_get_funding_rate"), context="history:funding:SOL_USDT")
    hold = int(1.25 * 4 * 3_600_000)
    assert found == [
        HistoryPoint(NAME, "SOL_USDT", "SOL", "funding", 1763697600000, -0.0002, 4.0, hold),
        HistoryPoint(NAME, "SOL_USDT", "SOL", "funding", 1763712000000, 0.0003, 4.0, hold),
    ]


def test_a_broken_row_of_history_costs_itself() -> None:
    rows = json.loads(load(NAME, "http_get_candlesticks"))
    rows[0]["c"] = "0"
    found = decode(informed(), [7, *rows], context="history:mark:ETH_USDT")
    assert reasons(found) == ["wrong_type", "out_of_bounds"]
    assert len(points(found[2:])) == 1
    assert left_out(decode(informed(), rows, context="history:mark:NVDA_USDT"))


def test_history_requests_fit_their_pages() -> None:
    found = requests_of(VENUE, listings(1)[0], NOW - 60 * 3_600_000)
    kinds = [request.context.split(":")[1] for request in found]
    assert kinds[:5] == ["mark", "oi", "index", "funding", "mark"]
    assert all(urlsplit(request.url).path.startswith("/api/v4/futures/btc/") for request in found)
    bars = [parse_qs(urlsplit(request.url).query) for request in found if "/candlesticks?" in request.url]
    assert [query["contract"] for query in bars] == [["mark_BTC_USD"], ["index_BTC_USD"]] * 2
    for query in bars:
        assert 0 < int(query["to"][0]) - int(query["from"][0]) <= 1999 * 60
    assert int(bars[0]["to"][0]) > NOW / 1000 - 60
    interest = [parse_qs(urlsplit(request.url).query) for request in found if "/contract_stats?" in request.url]
    starts = [int(query["from"][0]) for query in interest]
    assert [query["limit"] for query in interest] == [["100"]] * len(interest)
    assert starts == sorted(starts, reverse=True)
    assert starts[-1] <= (NOW - 60 * 3_600_000) / 1000
    assert all(before - after <= 100 * 300 for before, after in pairwise(starts))
    assert len(found) == sum(kinds.count(kind) for kind in ("mark", "index", "oi")) + 1


# -- plans ---------------------------------------------------------------------------------------------------------


def test_plans_for_500_listings_keep_the_limits() -> None:
    names = check_plans(VENUE, listings(500))
    assert names[5:] == [
        "usdt-liquidation-extra-1", *(f"usdt-trade-extra-{n}" for n in range(1, 6)),
        "btc-1", "btc-liquidation-extra-1", "btc-trade-extra-1",
    ]  # fmt: skip
    check_only_what_is_wanted(VENUE, listings(60), {"flow": "trade-extra", "liquidation": "liquidation-extra"})


def test_liquidations_of_all_contracts_and_trades_one_by_one() -> None:
    plans = VENUE.connections(VENUE.endpoints, listings(2), ("liquidation", "flow"))
    by_name = {plan.name: plan for plan in plans}
    asked = {name: [json.loads(text) for text in plan.frames] for name, plan in by_name.items() if "extra" in name}
    assert {name: [(frame["channel"], frame["payload"]) for frame in frames] for name, frames in asked.items()} == {
        "usdt-liquidation-extra-1": [("futures.public_liquidates", ["!all"])],
        "usdt-trade-extra-1": [("futures.trades", ["C0_USDT"])],
        "btc-liquidation-extra-1": [("futures.public_liquidates", ["!all"])],
        "btc-trade-extra-1": [("futures.trades", ["BTC_USD"])],
    }
    assert by_name["btc-trade-extra-1"].url == "wss://fx-ws.gateio.ws/v4/ws/btc"
    assert all(plan.headers == {"X-Gate-Size-Decimal": "1"} for plan in plans)  # else fractions are cut off


def test_statistics_are_polled_within_the_budget() -> None:
    check_polls(VENUE, listings(500), 0.1)
    for wanted in ("long_short", "positions"):
        polls = VENUE.polls(VENUE.endpoints, listings(2), 10.0, (wanted,))
        base = "https://api.gateio.ws/api/v4/futures"
        assert [(poll.request.url, poll.request.context) for poll in polls] == [
            (f"{base}/usdt/contract_stats?contract=C0_USDT&interval=5m&limit=1", "contract_stats:C0_USDT"),
            (f"{base}/btc/contract_stats?contract=BTC_USD&interval=5m&limit=1", "contract_stats:BTC_USD"),
        ]
    assert len(VENUE.polls(VENUE.endpoints, listings(2), 10.0, EXTRA_STREAMS)) == 2
