"""Binance, both products: liquidations, taker flow, long/short ratios, and the sockets and polls they take."""

from __future__ import annotations

import json

import pytest

from service.model import EXTRA_STREAMS as ALL
from service.model import Flow, Liquidation, Listing, LongShort, Skipped
from service.venues import VENUES
from service.venues.contract import Catalog, Venue
from tests.venues.frames import T0, decode, fresh, left_out, load, reasons

USDM, COINM = "binance_usdm", "binance_coinm"


def order(name: str, symbol: str, **fields: str) -> dict[str, object]:
    body = {"s": symbol, "S": "SELL", "q": "9", "z": "5", "p": "99", "ap": "100", "X": "FILLED", "T": T0, **fields}
    return {"stream": f"{name}@forceOrder", "data": {"e": "forceOrder", "E": T0 + 3, "o": body}}


def trade(symbol: str, **fields: object) -> dict[str, object]:
    return {"e": "aggTrade", "E": T0, "a": 1, "s": symbol, "p": "100", "q": "5", "T": T0 - 5, "m": False, **fields}


# -- liquidations ---------------------------------------------------------------------------------------------


def test_a_bought_back_order_liquidated_a_short() -> None:
    """6.5 filled of 7.5 ordered, in units of a million tokens, at 0.599 on average."""
    (found,) = decode(fresh(USDM), load(USDM, "ws_force_order"))
    assert isinstance(found, Liquidation)
    assert (found.symbol, found.liquidated_side, found.coins) == ("MOG", "short", 6.5e6)
    assert found.price == pytest.approx(0.599e-6)
    assert (found.lower_bound, found.venue_ts, found.recv_ts) == (True, 1763719205002, T0)


def test_coin_margined_liquidations_are_dollars_at_their_own_price() -> None:
    """12 contracts of 100 dollars at 79,100.2, and of 10 dollars for all but BTC."""
    assert decode(fresh(COINM), load(COINM, "ws_force_order")) == [
        Liquidation(COINM, "BTCUSD_PERP", "BTC", "long", 1200 / 79100.2, 79100.2, True, 1763719205000, T0)
    ]
    (found,) = decode(fresh(COINM), order("!", "SOLUSD_PERP", z="40", ap="160"))
    assert isinstance(found, Liquidation)
    assert (found.coins, found.price) == (2.5, 160.0)


def test_an_order_of_which_nothing_is_filled_is_no_liquidation() -> None:
    assert decode(fresh(USDM), order("x", "BTCUSDT", z="0", ap="0")) == []


@pytest.mark.parametrize("symbol", ["BTCUSDT_210924", "ETHBTC"])
def test_liquidations_of_foreign_products_are_silent(symbol: str) -> None:
    assert left_out(decode(fresh(USDM), order("x", symbol)))
    assert left_out(decode(fresh(COINM), order("x", symbol)))


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("S", "LONG", "unknown_shape"),
        ("z", "nan", "bad_number"),
        ("ap", "0", "out_of_bounds"),
        ("T", "5", "out_of_bounds"),
    ],
)
def test_a_broken_order_is_refused(field: str, value: str, reason: str) -> None:
    assert reasons(decode(fresh(USDM), order("x", "BTCUSDT", **{field: value}))) == [reason]


def test_one_broken_order_of_an_array_costs_itself_only() -> None:
    good, bad = order("x", "BTCUSDT")["data"], order("x", "BTCUSDT", S="?")["data"]
    found = decode(fresh(USDM), [bad, good])
    assert reasons(found) == ["unknown_shape"]
    assert isinstance(found[1], Liquidation)


def told(*orders: dict[str, object], sockets: int = 1) -> list[float]:
    """Coins told of these messages, each brought by so many sockets of one venue."""
    catalog = Catalog()
    readers = [fresh(USDM, catalog) for _ in range(sockets)]
    found = [item for frame in orders for reader in readers for item in decode(reader, frame, T0 + 60_000)]
    assert all(isinstance(item, Liquidation) for item in found)
    return [item.coins for item in found if isinstance(item, Liquidation)]


def filled(z: str, at: int, **fields: str) -> dict[str, object]:
    frame = order("!", "BTCUSDT", z=z, **fields)
    frame["data"]["o"]["T"] = T0 + at  # type: ignore[index]
    return frame


@pytest.mark.parametrize("sockets", [1, 2, 3])
def test_an_order_filled_in_parts_counts_what_was_filled(sockets: int) -> None:
    """Cause: `z` adds up over an order's messages; 2, 5 and 9 filled of 9 were told as 16."""
    parts = (filled("2", 0), filled("5", 300), filled("9", 1300))
    assert told(*parts, sockets=sockets) == [2.0, 3.0, 4.0]


def test_a_late_socket_brings_no_earlier_part_again() -> None:
    assert told(filled("2", 0), filled("9", 300), filled("2", 0), filled("5", 100), filled("9", 300)) == [2.0, 7.0]


def test_orders_alike_are_told_apart_by_their_time() -> None:
    """A complete order takes no more fills; one of which a part is open takes none ten seconds later."""
    assert told(filled("9", 0), filled("9", 400), filled("9", 800), sockets=2) == [9.0, 9.0, 9.0]
    assert told(filled("5", 0), filled("6", 10_000)) == [5.0, 1.0]
    assert told(filled("5", 0), filled("5", 10_001)) == [5.0, 5.0]


def test_orders_that_differ_are_different_orders() -> None:
    first = filled("5", 0)
    others = [filled("5", 0, S="BUY"), filled("5", 0, q="8"), filled("5", 0, p="98"), order("!", "ETHUSDT")]
    assert told(first, *others, sockets=2) == [5.0] * 5


# -- taker flow -----------------------------------------------------------------------------------------------


def test_the_buyer_as_maker_means_the_taker_sold() -> None:
    """`q`, not `nq`: what met retail-only quotes was taken too."""
    assert decode(fresh(USDM), load(USDM, "ws_agg_trade")) == [
        Flow(USDM, "BTCUSDT", "BTC", 0.0, 0.25, 1763719203990, T0)
    ]
    assert decode(fresh(USDM), load(USDM, "ws_trade")) == [Flow(USDM, "ETHUSDT", "ETH", 0.375, 0.0, 1763719205012, T0)]


def test_coin_margined_trades_are_dollars_at_their_own_price() -> None:
    assert decode(fresh(COINM), load(COINM, "ws_agg_trade")) == [
        Flow(COINM, "BTCUSD_PERP", "BTC", 900 / 80001.5, 0.0, 1763719205090, T0)
    ]


def test_a_contract_of_unknown_size_is_skipped_never_guessed() -> None:
    decoder = fresh(COINM)
    decode(decoder, load(COINM, "http_get_exchange_info"))
    skipped = [Skipped(COINM, "XRPUSD_PERP", "unknown_contract_size")]
    assert decode(decoder, trade("XRPUSD_PERP")) == skipped
    assert decode(decoder, order("x", "XRPUSD_PERP")) == skipped
    (found,) = decode(decoder, trade("ETHUSD_PERP"))  # metadata: 20 dollars
    assert isinstance(found, Flow)
    assert found.taker_buy_coins == 1.0


@pytest.mark.parametrize("kind", ["INSURANCE_FUND", "ADL", "NA", None])
def test_fills_that_nobody_took_are_no_flow(kind: object) -> None:
    assert decode(fresh(USDM), {**trade("BTCUSDT"), "e": "trade", "X": kind}) == []


def bought(*found: object) -> float:
    return sum(item.taker_buy_coins for item in found if isinstance(item, Flow))


@pytest.mark.parametrize("venue", [USDM, COINM])
def test_two_sockets_that_overlap_count_a_trade_once(venue: str) -> None:
    """Cause: in a make-before-break renewal each trade of the overlap was counted twice."""
    catalog = Catalog()
    old, new = fresh(venue, catalog), fresh(venue, catalog)
    symbol = "BTCUSDT" if venue == USDM else "BTCUSD_PERP"
    each = 5.0  # 5 contracts of 100 dollars at 100 dollars
    assert bought(*decode(old, trade(symbol, a=7))) == each
    assert decode(new, trade(symbol, a=7)) == []
    assert bought(*decode(new, trade(symbol, a=8))) == each
    assert decode(old, trade(symbol, a=8)) == []
    assert bought(*decode(old, trade(symbol, a=9, T=T0 - 4))) == each


def test_trades_out_of_order_count() -> None:
    """Cause: an aggregate may have a later id and an earlier time than the one before it."""
    decoder = fresh(USDM)
    assert [bought(*decode(decoder, trade("BTCUSDT", a=n, T=T0 - n))) for n in range(5)] == [5.0] * 5


@pytest.mark.parametrize(
    "wrong", [{"a": 2**63}, {"a": -1}, {"T": T0 + 86_400_000}, {"T": T0 + 1999}, {"T": T0 - 10**11}]
)
def test_a_corrupt_id_or_time_does_not_silence_the_stream(wrong: dict[str, object]) -> None:
    decoder = fresh(USDM)
    decode(decoder, trade("BTCUSDT", **wrong))
    found = [item for n in range(3) for item in decode(decoder, trade("BTCUSDT", a=10 + n, T=T0 + n - 50))]
    assert bought(*found) == 15.0


def test_multiplier_contracts() -> None:
    (found,) = decode(fresh(USDM), trade("1MBABYDOGEUSDT", m=True))
    assert isinstance(found, Flow)
    assert (found.symbol, found.taker_sell_coins) == ("BABYDOGE", 5e6)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"m": "true"}, "wrong_type"),
        ({"q": "-1"}, "out_of_bounds"),
        ({"p": "0"}, "out_of_bounds"),
        ({"T": 5}, "out_of_bounds"),
        ({"a": "7"}, "wrong_type"),
        ({"a": True}, "wrong_type"),
    ],
)
def test_a_broken_trade_is_refused(fields: dict[str, object], reason: str) -> None:
    assert reasons(decode(fresh(USDM), trade("BTCUSDT", **fields))) == [reason]


def test_a_trade_of_nothing_is_silent() -> None:
    assert decode(fresh(USDM), trade("BTCUSDT", q="0")) == []


# -- ratios ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["account", "top_account", "top_position"])
def test_what_a_ratio_is_of_is_known_from_its_request(kind: str) -> None:
    found = decode(fresh(USDM), load(USDM, "http_get_account_ratio"), context=f"long_short:{kind}")
    assert found == [
        LongShort(USDM, "BTCUSDT", "BTC", kind, 0.6, 1763718900000, T0),  # type: ignore[arg-type]
        LongShort(USDM, "BTCUSDT", "BTC", kind, 0.62, 1763719200000, T0),  # type: ignore[arg-type]
    ]


def test_a_pairs_ratio_is_its_perpetuals() -> None:
    assert decode(fresh(COINM), load(COINM, "http_get_account_ratio"), context="long_short:account") == [
        LongShort(COINM, "ETHUSD_PERP", "ETH", "account", 0.65, 1763719200001, T0)
    ]
    for context in ("", "long_short:top_position"):
        assert decode(fresh(COINM), load(COINM, "http_get_position_ratio"), context=context) == [
            LongShort(COINM, "BTCUSD_PERP", "BTC", "top_position", 0.6, 1763718300001, T0)
        ]


def test_shares_that_do_not_add_up_are_refused() -> None:
    """One page's own sample has 64.42 % and 44.04 %."""
    row = {"symbol": "BTCUSDT", "longAccount": "0.6442", "shortAccount": "0.4404", "timestamp": T0}
    good = {**row, "shortAccount": "0.3558"}
    found = decode(fresh(USDM), [row, good], context="long_short:account")
    assert reasons(found) == ["size_mismatch"]
    assert isinstance(found[1], LongShort)
    assert reasons(decode(fresh(USDM), [good], context="long_short:whales")) == ["unknown_shape"]


def test_an_empty_ratio_answer_is_silent() -> None:
    assert decode(fresh(USDM), [], context="long_short:account") == []


# -- plans ----------------------------------------------------------------------------------------------------


def listings(venue: str, count: int) -> list[Listing]:
    ending = "USDT" if venue == USDM else "USD_PERP"
    return [Listing(venue, f"C{n}{ending}", f"C{n}", venue == COINM, 10.0, 1.0, 8.0, True, T0) for n in range(count)]


@pytest.mark.parametrize("venue", [USDM, COINM])
def test_extra_streams_have_sockets_of_their_own(venue: str) -> None:
    place: Venue = VENUES[venue]
    few = listings(venue, 3)
    main = place.connections(place.endpoints, few)
    assert place.connections(place.endpoints, few, ("positions", "long_short")) == main
    plans = place.connections(place.endpoints, few, ALL)
    assert plans[: len(main)] == main
    assert [(plan.name, plan.expects, plan.acks, plan.quiet_s) for plan in plans[len(main) :]] == [
        ("extra-1", (), 1, 3600.0),
        ("extra-2", (), 1, 180.0),
    ]
    assert json.loads(plans[-2].frames[0])["params"] == ["!forceOrder@arr"]
    ending = "usdt" if venue == USDM else "usd_perp"
    assert json.loads(plans[-1].frames[0])["params"] == [f"c{n}{ending}@aggTrade" for n in range(3)]
    assert {plan.url for plan in plans} == {main[0].url}
    only = place.connections(place.endpoints, few, ("flow",))
    assert [plan.name for plan in only[len(main) :]] == ["extra-1"]
    assert place.connections(place.endpoints, [], ALL) == []


@pytest.mark.parametrize("venue", [USDM, COINM])
def test_500_instruments_keep_every_limit(venue: str) -> None:
    place = VENUES[venue]
    many = listings(venue, 500)
    plans = place.connections(place.endpoints, many, ALL)
    assert len(dict.fromkeys(plan.name for plan in plans)) == len(plans)
    for plan in plans:
        topics = [topic for frame in plan.frames for topic in json.loads(frame)["params"]]
        assert len(topics) <= place.limits.max_topics
        assert len(topics) == len(dict.fromkeys(topics))
        assert max(len(frame) for frame in plan.frames) < 4096
        assert len(plan.frames) / place.limits.sends_per_s < place.limits.first_message_s
    trades = [t for plan in plans for frame in plan.frames for t in json.loads(frame)["params"] if "aggTrade" in t]
    assert len(trades) == 500


@pytest.mark.parametrize("venue", [USDM, COINM])
@pytest.mark.parametrize("count", [1, 21, 170, 500, 1000])
def test_polls_stay_within_the_budget(venue: str, count: int) -> None:
    place = VENUES[venue]
    polls = place.polls(place.endpoints, listings(venue, count), 10.0, ALL)
    per_minute = sum(poll.request.weight * 60 / poll.every_s for poll in polls)
    share = 1050 if venue == USDM else 290  # of 2,400 for both: open interest, and 50 statistics
    assert per_minute <= share * (1 + 1e-9)
    ratios = [poll for poll in polls if poll.request.context.startswith("long_short:")]
    assert {poll.expects for poll in ratios} == {()}
    assert all(poll.every_s >= 300.0 for poll in ratios)
    if count <= 500:
        assert all(poll.every_s <= 600.0 for poll in ratios)
    assert len(dict.fromkeys(poll.request.url for poll in polls)) == len(polls)


def test_statistics_and_funding_requests_have_limits_of_their_own() -> None:
    """Cause: they were told to cost more weight than they do, to keep 1,000 and 500 in five minutes; shared by both
    products, this took from the weight what others need. Polls of both leave a third of the statistics to history."""
    assert VENUES[USDM].limits.buckets == {"statistics": (150, 60.0), "funding": (500, 300.0)}
    per_minute = 0.0
    for place in (VENUES[USDM], VENUES[COINM]):
        polls = place.polls(place.endpoints, listings(place.name, 500), 10.0, ALL)
        for poll in polls:
            assert poll.request.bucket == ("statistics" if "/futures/data/" in poll.request.url else "")
            assert poll.request.weight == 1.0
            per_minute += 60 / poll.every_s if poll.request.bucket else 0.0
        assert [request.bucket for request in place.metadata(place.endpoints)] == ["", "funding"]
    assert per_minute == pytest.approx(100.0)


def test_ratio_requests() -> None:
    urls = {
        venue: [
            poll.request.url for poll in VENUES[venue].polls(VENUES[venue].endpoints, listings(venue, 1), 10.0, ALL)
        ]
        for venue in (USDM, COINM)
    }
    base = "https://fapi.binance.com/futures/data"
    assert urls[USDM][1:] == [
        f"{base}/globalLongShortAccountRatio?symbol=C0USDT&period=5m&limit=1",
        f"{base}/topLongShortPositionRatio?symbol=C0USDT&period=5m&limit=1",
        f"{base}/topLongShortAccountRatio?symbol=C0USDT&period=5m&limit=1",
    ]
    base = "https://dapi.binance.com/futures/data"
    assert urls[COINM][1:] == [
        f"{base}/globalLongShortAccountRatio?pair=C0USD&period=5m&limit=1",
        f"{base}/topLongShortPositionRatio?pair=C0USD&period=5m&limit=1",
    ]
    assert VENUES[USDM].polls(VENUES[USDM].endpoints, [], 10.0, ALL) == []


def test_a_trade_is_converted_at_its_own_price_and_is_no_mark() -> None:
    catalog = Catalog()
    decode(fresh(COINM, catalog), load(COINM, "ws_mark_price_update"))
    (found,) = decode(fresh(COINM, catalog), load(COINM, "ws_agg_trade"))
    assert isinstance(found, Flow)
    assert found.taker_buy_coins == 900 / 80001.5
    decode(fresh(COINM, catalog), load(COINM, "ws_force_order"))
    assert catalog.marks == {"BTCUSD_PERP": 80000.0}


def test_a_trade_without_an_id_counts() -> None:
    """Cause: `a` was required. Told by what it was, so that two sockets that bring the same count it once."""
    catalog = Catalog()
    bare = trade("BTCUSDT")
    del bare["a"]
    assert decode(fresh(USDM, catalog), bare) == [Flow(USDM, "BTCUSDT", "BTC", 5.0, 0.0, T0 - 5, T0)]
    assert decode(fresh(USDM, catalog), bare) == []
    assert decode(fresh(USDM, catalog), bare | {"q": "6"}) == [Flow(USDM, "BTCUSDT", "BTC", 6.0, 0.0, T0 - 5, T0)]
    assert reasons(decode(fresh(USDM), trade("BTCUSDT", a="x"))) == ["wrong_type"]
