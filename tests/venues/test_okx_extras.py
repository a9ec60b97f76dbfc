"""OKX: trades and liquidations in coins, ratios, the published past, and the plans for them."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from service.model import Control, Flow, HistoryPoint, Liquidation, Listing, LongShort, Skipped
from service.model.observation import EXTRA_STREAMS, ExtraStream
from service.venues.contract import Catalog, Decoder, Request
from service.venues.okx.venue import Okx
from tests.venues.frames import (
    T0,
    check_answers,
    check_mutations,
    decode,
    fresh,
    left_out,
    load,
    reasons,
)

VENUE = Okx()
NAME = "okx"
MINUTE = 60_000
LIQUIDATION_ACK = {"event": "subscribe", "arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "connId": "a1"}
CONTEXTS = ("history:mark:SOL-USDT-SWAP", "history:oi:SOL-USDT-SWAP", "history:funding:SOL-USDT-SWAP",
            "history:index:SOL-USDT-SWAP", "long_short:account:SOL-USDT-SWAP")  # fmt: skip


def informed(catalog: Catalog | None = None) -> Decoder:
    decoder = fresh(NAME, catalog)
    decode(decoder, load(NAME, "http_get_instruments"), context="instruments")
    return decoder


def listing(number: int) -> Listing:
    return Listing(NAME, f"C{number}-USDT-SWAP", f"C{number}", False, 1.0, 1.0, None, True, T0)


# -- trades ----------------------------------------------------------------------------------------------------


def test_trades_are_contracts_of_the_takers_side() -> None:
    assert decode(informed(), load(NAME, "ws_trades")) == [
        Flow(NAME, "SOL-USDT-SWAP", "SOL", 0.0, 12.0, 1763719201055, T0)
    ]


def test_inverse_trades_are_dollars_at_their_own_price() -> None:
    assert decode(informed(), load(NAME, "ws_trades_inverse")) == [
        Flow(NAME, "BTC-USD-SWAP", "BTC", 4000 / 80000, 800 / 79900, 1763719201067, T0)
    ]


def test_trades_of_scaled_tokens_are_in_canonical_units() -> None:
    frame = json.loads(load(NAME, "ws_trades").replace("SOL-USDT", "PEPE-USDT"))
    (flow,) = decode(informed(), frame)
    assert isinstance(flow, Flow)
    assert (flow.symbol, flow.taker_sell_coins) == ("1000PEPE", 120_000.0)


def test_trades_of_unknown_size_are_skipped_once_a_frame() -> None:
    frame = json.loads(load(NAME, "ws_trades"))
    frame["data"] *= 3
    assert decode(fresh(NAME), frame) == [Skipped(NAME, "SOL-USDT-SWAP", "unknown_contract_size")]


def test_a_bad_trade_costs_itself() -> None:
    frame = json.loads(load(NAME, "ws_trades"))
    row = frame["data"][0]
    frame["data"] = [{**row, "side": "hold"}, {**row, "sz": "0"}, {**row, "px": "-1"}, None, {**row, "tradeId": 7}, row]
    found = decode(informed(), frame)
    assert reasons(found) == ["unknown_shape", "out_of_bounds", "out_of_bounds", "wrong_type", "wrong_type"]
    assert found[-1] == Flow(NAME, "SOL-USDT-SWAP", "SOL", 0.0, 12.0, 1763719201055, T0)


def test_the_same_trade_on_two_sockets_counts_once() -> None:
    catalog = Catalog()
    first = informed(catalog)
    assert len(decode(first, load(NAME, "ws_trades"))) == 1
    assert decode(fresh(NAME, catalog), load(NAME, "ws_trades")) == []


def test_trades_of_other_products_are_silent() -> None:
    frame = json.loads(load(NAME, "ws_trades").replace("SOL-USDT-SWAP", "SOL-USDT-260327"))
    assert left_out(decode(informed(), frame))


# -- liquidations ----------------------------------------------------------------------------------------------


def test_liquidations() -> None:
    assert decode(informed(), load(NAME, "ws_liquidation_orders")) == [
        Liquidation(NAME, "SOL-USDT-SWAP", "SOL", "long", 250.0, 139.5, True, 1763719200911, T0),
        Liquidation(NAME, "SOL-USDT-SWAP", "SOL", "short", 30.5, 142.25, True, 1763719200822, T0),
        Liquidation(NAME, "PEPE-USDT-SWAP", "1000PEPE", "short", 20_000.0, 0.00475, True, 1763719200733, T0),
    ]


def test_backlog_after_subscribing_is_left_out() -> None:
    decoder = informed()
    (ack,) = decode(decoder, LIQUIDATION_ACK, recv_ts=1763719200900)
    assert isinstance(ack, Control)
    assert ack.kind == "ack"
    found = decode(decoder, load(NAME, "ws_liquidation_orders"))
    assert [item.venue_ts for item in found if isinstance(item, Liquidation)] == [1763719200911]


def test_a_liquidation_told_twice_counts_once_on_any_socket() -> None:
    catalog = Catalog()
    decoder = informed(catalog)
    assert len(decode(decoder, load(NAME, "ws_liquidation_orders"))) == 3
    assert decode(decoder, load(NAME, "ws_liquidation_orders")) == []
    assert decode(fresh(NAME, catalog), load(NAME, "ws_liquidation_orders")) == []
    other = json.loads(load(NAME, "ws_liquidation_orders"))
    other["data"][0]["details"][0]["sz"] = "251"
    assert len(decode(decoder, other)) == 1


def test_what_is_remembered_of_liquidations_is_bounded() -> None:
    catalog = Catalog()
    decoder = informed(catalog)
    frame = json.loads(load(NAME, "ws_liquidation_orders"))
    detail = frame["data"][0]["details"][0]
    frame["data"][0]["details"] = [{**detail, "ts": str(1763719200000 + n)} for n in range(5000)]
    decode(decoder, frame)
    assert len(catalog.liquidated) == 4096


@pytest.mark.parametrize(("price", "coins"), [("80000", 0.125), ("", 0.1)])
def test_inverse_liquidation_at_its_price_or_else_at_the_mark(price: str, coins: float) -> None:
    decoder = informed()
    mark = {"instId": "BTC-USD-SWAP", "instType": "SWAP", "markPx": "100000", "ts": "1763719200000"}
    decode(decoder, {"arg": {"channel": "mark-price", "instId": "BTC-USD-SWAP"}, "data": [mark]})
    frame = json.loads(load(NAME, "ws_liquidation_orders").replace("SOL-USDT", "BTC-USD"))
    frame["data"] = frame["data"][:1]
    frame["data"][0]["details"] = [{**frame["data"][0]["details"][0], "bkPx": price, "sz": "100"}]
    (found,) = decode(decoder, frame)
    assert isinstance(found, Liquidation)
    assert (found.coins, found.price) == (coins, 80000.0 if price else None)
    assert decode(informed(), json.loads(json.dumps(frame).replace('"80000"', '""'))) == [
        Skipped(NAME, "BTC-USD-SWAP", "no_mark")
    ]


def test_liquidations_of_dated_contracts_are_silent() -> None:
    text = load(NAME, "ws_liquidation_orders").replace('"SWAP"', '"FUTURES"').replace("-SWAP", "-260327")
    assert left_out(decode(informed(), text))


# -- ratio -----------------------------------------------------------------------------------------------------


def test_ratio_is_the_newest_as_a_share() -> None:
    found = decode(fresh(NAME), load(NAME, "http_get_long_short_ratio"), context="long_short:account:SOL-USDT-SWAP")
    assert found == [LongShort(NAME, "SOL-USDT-SWAP", "SOL", "account", 0.6, 1763718900000, T0)]
    bad = {"code": "0", "msg": "", "data": [["1763718900000", "-1"], ["1763718600000", "4"], ["1763718600000"]]}
    found = decode(fresh(NAME), bad, context="long_short:account:SOL-USDT-SWAP")
    assert reasons(found) == ["out_of_bounds", "missing_field"]
    assert found[-1] == LongShort(NAME, "SOL-USDT-SWAP", "SOL", "account", 0.8, 1763718600000, T0)


@pytest.mark.parametrize("kind", ["account", "top_account", "top_position"])
def test_kind_of_ratio_is_what_was_asked_for(kind: str) -> None:
    (found,) = decode(fresh(NAME), load(NAME, "http_get_long_short_ratio"), context=f"long_short:{kind}:SOL-USDT-SWAP")
    assert isinstance(found, LongShort)
    assert (found.kind, found.long_share) == (kind, 0.6)


def test_ratio_of_an_unknown_kind_is_refused() -> None:
    found = decode(fresh(NAME), load(NAME, "http_get_long_short_ratio"), context="long_short:margin:SOL-USDT-SWAP")
    assert reasons(found) == ["unknown_shape"]


def test_ratio_rows_without_their_context_are_silent() -> None:
    assert decode(fresh(NAME), load(NAME, "http_get_long_short_ratio")) == []


# -- history ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["mark", "index"])
def test_bars_stand_from_their_end_and_not_before_it(stream: Any) -> None:
    found = decode(fresh(NAME), load(NAME, "http_get_mark_price_candles"), context=f"history:{stream}:SOL-USDT-SWAP")
    assert found == [
        HistoryPoint(NAME, "SOL-USDT-SWAP", "SOL", stream, 1763719200000, 140.1, None, 2 * MINUTE),
        HistoryPoint(NAME, "SOL-USDT-SWAP", "SOL", stream, 1763719140000, 140.05, None, 2 * MINUTE),
    ]


def test_a_bar_said_to_be_complete_before_its_end_is_not() -> None:
    rows = {"code": "0", "msg": "", "data": [["1763719200000", "1", "1", "1", "1", "1"]]}
    context = "history:mark:SOL-USDT-SWAP"
    assert decode(fresh(NAME), rows, 1763719259999, context) == []
    assert len(decode(fresh(NAME), rows, 1763719260000, context)) == 1


def test_past_open_interest_is_native_and_known_at_the_end_of_its_period() -> None:
    found = decode(informed(), load(NAME, "http_get_open_interest_history"), context="history:oi:SOL-USDT-SWAP")
    assert found == [
        HistoryPoint(NAME, "SOL-USDT-SWAP", "SOL", "oi", 1763719200000, 5250000.25, None, 10 * MINUTE),
        HistoryPoint(NAME, "SOL-USDT-SWAP", "SOL", "oi", 1763718900000, 5249000.0, None, 10 * MINUTE),
    ]
    inverse = {"code": "0", "msg": "", "data": [["1763718600000", "4000000", "5000.5", "400000000"]]}
    (point,) = decode(informed(), inverse, context="history:oi:BTC-USD-SWAP")
    assert isinstance(point, HistoryPoint)
    assert point.value == 4e6


def test_past_bars_of_scaled_tokens() -> None:
    rows = {"code": "0", "msg": "", "data": [["1763719080000", "1", "1", "1", "0.00000475", "1"]]}
    (point,) = decode(fresh(NAME), rows, context="history:mark:PEPE-USDT-SWAP")
    assert isinstance(point, HistoryPoint)
    assert (point.symbol, point.value) == ("1000PEPE", 0.00475)


def test_past_funding_takes_its_interval_from_the_spacing() -> None:
    found = decode(fresh(NAME), load(NAME, "http_get_funding_rate_history"), context="history:funding:SOL-USDT-SWAP")
    assert found == [
        HistoryPoint(NAME, "SOL-USDT-SWAP", "SOL", "funding", 1763697600000, 0.0003, 4.0, 18_000_000),
        HistoryPoint(NAME, "SOL-USDT-SWAP", "SOL", "funding", 1763712000000, 0.0002, 4.0, 18_000_000),
    ]


def test_history_of_another_instrument_or_kind_is_refused() -> None:
    found = decode(fresh(NAME), load(NAME, "http_get_funding_rate_history"), context="history:funding:BTC-USDT-SWAP")
    assert reasons(found) == ["bad_name", "bad_name"]
    rows = load(NAME, "http_get_mark_price_candles")
    assert reasons(decode(fresh(NAME), rows, context="history:candles:SOL-USDT-SWAP")) == ["unknown_shape"]
    assert reasons(decode(fresh(NAME), rows, context="history:funding:SOL-USDT-SWAP")) == ["wrong_type"] * 3
    assert decode(fresh(NAME), rows, context="history:mark:ETH-BTC-SWAP") == [Skipped(NAME, "ETH-BTC-SWAP", "foreign")]


def query(request: Request) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(request.url).query).items()}


def test_history_requests_cover_the_span_in_pages_newest_first() -> None:
    requests = VENUE.history(VENUE.endpoints, listing(1), T0 - 26 * 3_600_000, T0)
    assert [item.context for item in requests[:4]] == [
        f"history:{what}:C1-USDT-SWAP" for what in ("mark", "oi", "index", "funding")
    ]
    for what, step, least in (("mark", MINUTE, 1560), ("index", MINUTE, 1560), ("oi", 5 * MINUTE, 312)):
        asked: list[int] = []
        mine = [item for item in requests if item.context == f"history:{what}:C1-USDT-SWAP"]
        for item in mine:
            fields = query(item)
            after, before = ("end", "begin") if what == "oi" else ("after", "before")
            opened = range(int(fields[before]) + 1, int(fields[after]), step)
            assert len(opened) <= int(fields["limit"]) == 100
            assert opened[0] % step == 0
            asked += reversed(opened)
        assert asked == sorted(asked, reverse=True)
        assert len(asked) == len(dict.fromkeys(asked)) >= least
        assert asked[-1] + step <= T0 - 26 * 3_600_000  # a value from the beginning on
        assert asked[0] + 2 * step > T0
    old = [item for item in requests if "/history-" in item.url]
    assert old
    assert all(int(query(item)["before"]) < T0 - 1400 * MINUTE and item.weight == 2.0 for item in old)
    assert query(requests[2])["instId"] == "C1-USDT"
    assert all(item.method == "GET" and item.url.startswith("https://www.okx.com/api/v5/") for item in requests)


# -- plans -----------------------------------------------------------------------------------------------------


def topics(extras: tuple[ExtraStream, ...], count: int) -> list[list[dict[str, str]]]:
    plans = VENUE.connections(VENUE.endpoints, [listing(n) for n in range(count)], extras)
    return [
        [arg for frame in plan.frames for arg in json.loads(frame)["args"]]
        for plan in plans
        if plan.name.startswith("extra-")
    ]


def test_extra_streams_have_their_own_sockets() -> None:
    liquidations = {"channel": "liquidation-orders", "instType": "SWAP"}
    trades = [{"channel": "trades", "instId": f"C{n}-USDT-SWAP"} for n in range(2)]
    assert topics(("liquidation", "flow"), 2) == [[liquidations, *trades]]
    assert topics(("liquidation",), 2) == [[liquidations]]
    assert topics(("flow",), 2) == [trades]
    assert topics(("long_short", "positions"), 2) == topics((), 2) == topics(EXTRA_STREAMS, 0) == []


def test_five_hundred_instruments_with_everything_on() -> None:
    listings = [listing(n) for n in range(500)]
    plain = VENUE.connections(VENUE.endpoints, listings)
    plans = VENUE.connections(VENUE.endpoints, listings, EXTRA_STREAMS)
    assert plans[: len(plain)] == plain
    extra = plans[len(plain) :]
    assert [plan.name for plan in extra] == ["extra-1", "extra-2", "extra-3"]
    for plan in plans:
        args = [arg for frame in plan.frames for arg in json.loads(frame)["args"]]
        assert len(args) == len({json.dumps(arg) for arg in args}) == plan.acks <= VENUE.limits.max_topics
        assert all(len(frame) <= 65_536 for frame in plan.frames)
        assert len(plan.frames) < 480
    for plan in extra:
        assert plan.expects == ()
        assert plan.keepalive == plans[0].keepalive
    assert len(json.loads(extra[0].frames[0])["args"]) == 1  # should its neighbours be refused
    polls = VENUE.polls(VENUE.endpoints, listings, 10.0, EXTRA_STREAMS)
    assert len(polls) == 500
    assert all(poll.expects == () and poll.every_s >= 300.0 for poll in polls)
    share = sum(poll.request.weight / poll.every_s for poll in polls)
    assert share <= 0.5 * VENUE.limits.rest_weight / VENUE.limits.rest_period_s
    assert polls[0].request.context == "long_short:account:C0-USDT-SWAP"
    assert VENUE.polls(VENUE.endpoints, listings, 10.0, ("flow",)) == []


@pytest.mark.parametrize(
    ("count", "kinds", "every_s"), [(21, 3, 300.0), (250, 3, 300.0), (251, 2, 300.0), (750, 1, 300.0), (2000, 1, 800.0)]
)
def test_ratios_keep_to_a_quarter_of_the_budget(count: int, kinds: int, every_s: float) -> None:
    polls = VENUE.polls(VENUE.endpoints, [listing(n) for n in range(count)], 10.0, ("long_short",))
    assert len(polls) == kinds * count == len({poll.request.url for poll in polls})
    assert {poll.every_s for poll in polls} == {every_s}
    assert sum(poll.request.weight / poll.every_s for poll in polls) <= 2.5 + 1e-9
    assert VENUE.polls(VENUE.endpoints, [], 10.0, EXTRA_STREAMS) == []


@pytest.mark.parametrize("seed", range(12))
def test_no_mutation_escapes(seed: int) -> None:
    check_mutations(NAME, seed, 120, CONTEXTS)


@pytest.mark.parametrize("context", CONTEXTS)
def test_no_mutated_answer_escapes(context: str) -> None:

    rng = random.Random(context)
    decoder = informed()
    check_answers(decoder, NAME, rng, context, 60)
