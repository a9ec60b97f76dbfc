"""Gate: signed contracts of trades and liquidations, statistics as shares and top traders' coins, published past."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from service.model import (
    EXTRA_STREAMS,
    Decoded,
    Flow,
    HistoryPoint,
    Liquidation,
    Listing,
    LongShort,
    Positions,
    Skipped,
)
from service.venues.contract import Catalog, Decoder
from service.venues.gate.metadata import SIZES
from service.venues.gate.trades import FORCED_A_PAGE, SIGNS_NEEDED, Signs
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


def signed(sign: int) -> Catalog:
    """A venue whose socket's sign is known."""
    catalog = Catalog()
    catalog.shared(Signs).sign = sign
    return catalog


def forced(at_s: int, **changes: Any) -> dict[str, Any]:
    """A row of the list: 100 of a long of 300 were to be sold, 10 are left."""
    row = {
        "contract": "ETH_USDT", "left": "10", "size": "300", "order_size": "-100", "fill_price": "3003.5",
        "order_price": "2999.5", "time": at_s,
    }  # fmt: skip
    return {**row, **changes}


def message(at_ms: int, size: float, price: float = 3001.5, name: str = "ETH_USDT") -> dict[str, Any]:
    """A message of the socket."""
    row = {"contract": name, "price": str(price), "time": at_ms, "size": size}
    return {"channel": "futures.public_liquidates", "event": "update", "time_ms": at_ms, "result": [row]}


def listed(decoder: Decoder, rows: list[dict[str, Any]], recv_ts: int = T0) -> list[Decoded]:
    """A later answer with forced orders: the first of a process is of before its start."""
    assert decode(decoder, [], recv_ts, "liq_orders:usdt") == []
    return decode(decoder, rows, recv_ts, "liq_orders:usdt")


@pytest.mark.parametrize(("sign", "first", "second"), [(-1, "long", "short"), (1, "short", "long")])
def test_liquidations_of_a_socket_whose_sign_is_known(sign: int, first: Any, second: Any) -> None:
    """-1: the order's, as of trades. One is stamped in seconds, one is no crypto."""
    assert decode(informed(signed(sign)), load(NAME, "ws_public_liquidates"))[:2] == [
        Liquidation(NAME, "ETH_USDT", "ETH", first, 0.17, 3001.5, True, 1763719218505, T0),
        Liquidation(NAME, "SOL_USDT", "SOL", second, 2.5, 141.5, True, 1763719218000, T0),
    ]


def test_an_inverse_liquidation_as_an_object_without_a_time() -> None:
    assert decode(informed(signed(-1)), load(NAME, "ws_public_liquidates_object")) == [
        Liquidation(NAME, "BTC_USD", "BTC", "long", 0.02, 80000.0, True, 1763719219612, T0)
    ]


def test_a_liquidation_is_told_once() -> None:
    catalog = signed(-1)
    frame = message(T0 - 500, -17)
    assert len(decode(informed(catalog), frame)) == 1
    assert decode(informed(catalog), frame) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"size": 0}, "out_of_bounds"), ({"price": ""}, "bad_number"), ({"time": "x"}, "bad_number")],
)
def test_a_bad_liquidation_costs_itself(changes: dict[str, Any], reason: str) -> None:
    frame = json.loads(load(NAME, "ws_public_liquidates"))
    frame["result"][0].update(changes)
    found = decode(informed(signed(-1)), frame)
    assert reasons(found) == [reason]
    assert Liquidation in [type(item) for item in found[1:]]


def test_liquidation_of_unknown_contract_size() -> None:
    found = decode(VENUE.decoder(signed(1)), load(NAME, "ws_public_liquidates"))
    assert found[0] == Skipped(NAME, "ETH_USDT", "unknown_contract_size")


def test_a_sign_that_no_page_explains_is_not_guessed() -> None:
    """Cause: the socket's sign is undocumented; half of the implementers read it one way, half the other."""
    assert decode(informed(), message(T0 - 500, -17)) == [Skipped(NAME, "ETH_USDT", "unknown_side")]


def test_forced_orders_of_the_list() -> None:
    """90 contracts of 0.01 ETH were sold: the order less what is left of it, not the position; stamped in seconds."""
    at_s = T0 // 1000 - 5
    short = forced(at_s, size="-80", order_size="20", left="0", contract="SOL_USDT", fill_price="141.5")
    assert listed(informed(), [forced(at_s), short]) == [
        Liquidation(NAME, "ETH_USDT", "ETH", "long", 0.9, 3003.5, False, at_s * 1000, T0),
        Liquidation(NAME, "SOL_USDT", "SOL", "short", 20.0, 141.5, False, at_s * 1000, T0),
    ]


def test_forced_orders_count_once_and_only_when_they_are_news() -> None:
    catalog, at_s = Catalog(), T0 // 1000 - 5
    rows = [forced(at_s), forced(at_s), forced(at_s - 60), forced(at_s - 60, fill_price="0", left="100")]
    assert len(listed(informed(catalog), rows)) == 2  # two alike are two; two are old
    assert listed(informed(catalog), rows) == []


def test_an_order_that_goes_on_being_filled_counts_what_is_more() -> None:
    """Cause: its row changes from one answer to the next; each would have counted whole."""
    catalog, at_s = Catalog(), T0 // 1000 - 5
    decoder = informed(catalog)
    coins = [
        [item.coins for item in listed(decoder, [row]) if isinstance(item, Liquidation)]
        for row in (forced(at_s, left="100", fill_price="0"), forced(at_s, left="60"), forced(at_s, left="0"))
    ]
    assert coins == [[], [0.4], [0.6]]


def test_what_a_process_finds_on_the_list_at_its_start_was_told_by_the_one_before() -> None:
    """Cause: after a restart the liquidations of the last minute counted a second time."""
    catalog, at_s = Catalog(), T0 // 1000 - 5
    rows = [forced(at_s)]
    assert decode(informed(catalog), rows, T0, "liq_orders:usdt") == []
    (found,) = decode(informed(catalog), [forced(at_s + 1), *rows], T0, "liq_orders:usdt")
    assert isinstance(found, Liquidation)
    assert found.venue_ts == (at_s + 1) * 1000


def test_a_full_page_of_forced_orders_may_not_be_all() -> None:
    at_s = T0 // 1000 - 5
    rows = [forced(at_s), *(forced(at_s - 3600) for _ in range(FORCED_A_PAGE - 1))]
    (found,) = listed(informed(), rows)
    assert isinstance(found, Liquidation)
    assert found.lower_bound


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"order_size": None}, "wrong_type"),
        ({"size": "0"}, "out_of_bounds"),
        ({"left": "101"}, "out_of_bounds"),
        ({"fill_price": "0"}, "out_of_bounds"),
        ({"time": "now"}, "bad_number"),
        ({"contract": 7}, "wrong_type"),
    ],
)
def test_a_bad_forced_order_costs_itself(changes: dict[str, Any], reason: str) -> None:
    at_s = T0 // 1000 - 5
    found = listed(informed(), [forced(at_s, **changes), forced(at_s)])
    assert reasons(found) == [reason]
    assert [type(item) for item in told(found)[1:]] == [Liquidation]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_sign_of_the_socket_is_measured_against_the_list(sign: int) -> None:
    """Twenty matches by contract, second and size; the list is told until then, the socket from then on."""
    catalog, at_s = Catalog(), T0 // 1000 - 40
    decoder = informed(catalog)
    for count in range(SIGNS_NEEDED):
        side = 1 if count % 3 else -1  # of the position
        decode(decoder, message((at_s + count) * 1000 + 7, sign * side * 100))
        row = forced(at_s + count, size=str(300 * side), order_size=str(-100 * side))
        assert len(listed(decoder, [row])) == 1
    assert catalog.shared(Signs).sign == sign
    late, later = T0 - 1000, T0 + 1000
    assert decode(decoder, message(late, sign * 100), later) == [Skipped(NAME, "ETH_USDT", "unknown_side")]
    (of_list,) = listed(decoder, [forced(late // 1000)], later)  # of before: the socket left it to the list
    (found,) = decode(decoder, message(later, sign * 100), later)
    assert isinstance(of_list, Liquidation)
    assert isinstance(found, Liquidation)
    assert found.liquidated_side == of_list.liquidated_side == "long"
    assert listed(decoder, [forced(later // 1000)], later + 5000) == []  # the socket has told of it


def test_a_sign_that_is_lost_counts_nothing_twice() -> None:
    """The list takes over again from the moment on, and does not repeat what the socket told."""
    signs = Signs()
    signs.sign, signs.since_s = 1, 100
    assert (signs.by_list(100_999), signs.by_list(101_000)) == (True, False)
    signs._decide(None, 200_500)
    assert (signs.by_list(200_999), signs.by_list(201_000)) == (False, True)
    assert (signs.heard("ETH_USDT", 5.0, 200_000), signs.heard("ETH_USDT", 5.0, 201_000)) == (None, None)


def test_a_socket_that_contradicts_itself_is_not_believed() -> None:
    catalog, at_s = Catalog(), T0 // 1000 - 50
    decoder = informed(catalog)
    for count in range(2 * SIGNS_NEEDED):
        decode(decoder, message((at_s + count) * 1000, 100 if count % 2 else -100))
        listed(decoder, [forced(at_s + count)])
    assert catalog.shared(Signs).sign is None


def test_a_sign_that_turns_is_measured_anew() -> None:
    """Cause: the votes of a year outweighed what the venue did since yesterday."""
    signs = Signs()
    for count in range(5000 + 2 * SIGNS_NEEDED):
        turned = count >= 5000
        signs.heard("ETH_USDT", -100.0 if turned else 100.0, count * 1000)
        signs.compare("ETH_USDT", 300.0, -100.0, count * 1000, count * 1000)
        if count == 5000 + 3:
            assert signs.sign is None
    assert signs.sign == -1


def test_a_socket_that_tells_of_positions_is_not_used() -> None:
    """Cause: a position closed in steps is told anew at each; its size is no amount that was liquidated."""
    catalog, at_s = Catalog(), T0 // 1000 - 50
    decoder = informed(catalog)
    for count in range(2 * SIGNS_NEEDED):
        decode(decoder, message((at_s + count) * 1000, 300 if count % 5 == 0 else 100))
        listed(decoder, [forced(at_s + count)])
    assert catalog.shared(Signs).sign is None


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
        ("oi", 1763718900000, 20600050.0, 600_000),
        ("oi", 1763719200000, 20600100.0, 600_000),
    ]
    catalog = Catalog()
    decoder = informed(catalog)
    del catalog.one_sided["BTC_USD"]  # nothing to compare with: as the tickers
    found = decode(decoder, answer, 1763719500000, "history:oi:BTC_USD")  # dollars: contracts of one
    assert points(found)[2:] == [("oi", 1763719500000, 20600150.0, 600_000)]


@pytest.mark.parametrize(("times", "expected"), [(1, 41200100.0), (0.5, 20600050.0), (0.7, None)])
def test_the_sides_of_the_past_are_measured(times: float, expected: float | None) -> None:
    """Cause: the statistics' convention has changed before. Their newest row is compared with the contract list; where
    it is neither one side nor two the past is not read."""
    catalog = Catalog()
    decoder = informed(catalog)
    catalog.one_sided["ETH_USDT"] = (41200300 * times, T0)
    found = decode(decoder, load(NAME, "http_get_contract_stats"), context="history:oi:ETH_USDT")
    if expected is None:
        assert found == [Skipped(NAME, "ETH_USDT", "unknown_sides")]
    else:
        assert points(found)[0] == ("oi", 1763718900000, expected, 600_000)


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
    check_polls(VENUE, listings(500), 0.1, (20.0, 20.0))
    for wanted in ("long_short", "positions"):
        polls = VENUE.polls(VENUE.endpoints, listings(2), 10.0, (wanted,))
        base = "https://api.gateio.ws/api/v4/futures"
        assert [(poll.request.url, poll.request.context) for poll in polls] == [
            (f"{base}/usdt/contract_stats?contract=C0_USDT&interval=5m&limit=1", "contract_stats:C0_USDT"),
            (f"{base}/btc/contract_stats?contract=BTC_USD&interval=5m&limit=1", "contract_stats:BTC_USD"),
        ]
    forced_orders = VENUE.polls(VENUE.endpoints, listings(2), 10.0, ("liquidation",))
    assert [(poll.request.url, poll.every_s) for poll in forced_orders] == [
        (f"{base}/usdt/liq_orders?limit=1000", 20.0),
        (f"{base}/btc/liq_orders?limit=1000", 20.0),
    ]
    everything = VENUE.polls(VENUE.endpoints, listings(2), 10.0, EXTRA_STREAMS)
    assert len(everything) == 4
    assert all(poll.request.headers == SIZES for poll in everything)  # else fractions are cut off
