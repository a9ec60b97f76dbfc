"""OKX: which funding time is the next, contract sizes, index to instruments."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.model import Control, Flow, Funding, Liquidation, Listing, Mark, OpenInterest, Skipped
from service.venues.contract import Catalog, Decoder
from service.venues.okx.venue import Okx
from tests.venues.frames import T0, check_mutations, decode, fresh, left_out, load, reasons, told

VENUE = Okx()
NAME = "okx"
TS = 1763719201077


def interest(instrument: str, oi: str, coins: str | None = None) -> dict[str, Any]:
    row = {"instId": instrument, "instType": "SWAP", "oi": oi, "ts": str(TS)}
    if coins is not None:
        row["oiCcy"] = coins
    return {"arg": {"channel": "open-interest", "instId": instrument}, "data": [row]}


def mark(instrument: str, value: str) -> dict[str, Any]:
    row = {"instId": instrument, "instType": "SWAP", "markPx": value, "ts": str(TS)}
    return {"arg": {"channel": "mark-price", "instId": instrument}, "data": [row]}


def with_metadata(catalog: Catalog | None = None) -> Decoder:
    decoder = fresh(NAME, catalog)
    assert len(told(decode(decoder, load(NAME, "http_get_instruments"), context="instruments"))) == 4
    return decoder


def test_mark_price() -> None:
    expected = [Mark(NAME, "SOL-USDT-SWAP", "SOL", 140.75, None, 1763719201011, T0)]
    assert decode(fresh(NAME), load(NAME, "ws_mark_price")) == expected


def test_index_without_metadata_prices_the_swap_of_its_name() -> None:
    expected = [Mark(NAME, "SOL-USDT-SWAP", "SOL", None, 140.9, 1763719201022, T0)]
    assert decode(fresh(NAME), load(NAME, "ws_index_tickers")) == expected


def test_index_prices_every_swap_that_names_it() -> None:
    catalog = Catalog()
    answer = json.loads(load(NAME, "http_get_instruments"))
    answer["data"][2]["uly"] = "BTC-USD"  # a USDC swap on the dollar index
    decoder = fresh(NAME, catalog)
    decode(decoder, answer)
    frame = {
        "arg": {"channel": "index-tickers", "instId": "BTC-USD"},
        "data": [{"instId": "BTC-USD", "idxPx": "80000", "ts": str(TS)}],
    }
    assert decode(decoder, frame) == [
        Mark(NAME, "BTC-USDC-SWAP", "BTC", None, 80000.0, TS, T0),
        Mark(NAME, "BTC-USD-SWAP", "BTC", None, 80000.0, TS, T0),
    ]
    decode(decoder, load(NAME, "http_get_instruments"))  # and moved to an index of its own
    assert [item.instrument for item in decode(decoder, frame) if isinstance(item, Mark)] == ["BTC-USD-SWAP"]


def test_funding_settles_at_funding_time() -> None:
    assert decode(fresh(NAME), load(NAME, "ws_funding_rate")) == [
        Funding(NAME, "SOL-USDT-SWAP", "SOL", 0.00017, 4.0, 0.00034, 1763726400000, False, 1763719140033, T0),
    ]


@pytest.mark.parametrize("following", ["", "1763726400000", "1763730000001", "1763740800001", "1763712000000"])
def test_interval_that_is_no_interval_is_unknown(following: str) -> None:
    frame = json.loads(load(NAME, "ws_funding_rate"))
    frame["data"][0]["nextFundingTime"] = following
    del frame["data"][0]["prevFundingTime"]
    (found,) = decode(fresh(NAME), frame)
    assert isinstance(found, Funding)
    assert (found.rate, found.interval_h, found.rate_8h) == (0.00017, None, None)


HOUR = 3_600_000
T12 = 1763726400000  # 12:00 UTC


def running(decoder: Decoder, at: int, ends: int, following: int, began: str | None = None) -> float | None:
    """The interval of a rate said ``at`` a time, with the ends of its period and of the one that follows."""
    frame = json.loads(load(NAME, "ws_funding_rate"))
    (row,) = frame["data"]
    row.update(ts=str(at), fundingTime=str(ends), nextFundingTime=str(following), prevFundingTime=began)
    if began is None:
        del row["prevFundingTime"]
    (found,) = decode(decoder, frame)
    assert isinstance(found, Funding)
    return found.interval_h


def test_the_running_period_began_at_prev_funding_time() -> None:
    """Cause: the period that follows is another length around a change, and its length was taken: eight times off."""
    decoder = fresh(NAME)
    assert running(decoder, T12 - 60_000, T12, T12 + 8 * HOUR, str(T12 - HOUR)) == 1.0
    assert running(decoder, T12 - 60_000, T12, T12 + HOUR, str(T12 - 8 * HOUR)) == 8.0
    assert running(decoder, T12 - 60_000, T12, T12 + HOUR, str(T12 - 3 * HOUR)) is None  # no such period
    assert running(decoder, T12 - 2 * HOUR, T12, T12 + HOUR, str(T12 - HOUR)) is None  # it has not begun


@pytest.mark.parametrize(
    ("ends_h", "following_h", "interval_h"),
    [
        # Cause: eight hours that end at 16:00, hourly from then on: the rate counted eight times.
        (16, 1, None), (16, 2, None), (16, 4, None), (16, 6, None),
        (16, 8, 8.0), (24, 8, 8.0), (8, 8, 8.0),  # the usual; none is longer
        (12, 4, None), (12, 6, 6.0), (20, 4, 4.0), (20, 2, None), (22, 2, 2.0), (22, 1, None), (15, 1, 1.0),
        (12, 8, None), (15, 8, None), (15, 2, None),  # no such period ends then: it is the next one's
    ],
)  # fmt: skip
@pytest.mark.parametrize("began", [None, "", "0"])
def test_without_prev_funding_time_the_next_periods_length_counts_where_the_running_one_can_be_no_longer(
    ends_h: int, following_h: int, interval_h: float | None, began: str | None
) -> None:
    ends, following = T12 + (ends_h - 12) * HOUR, following_h * HOUR
    decoder = fresh(NAME)
    assert running(decoder, ends - HOUR // 2, ends, ends + following, began) == interval_h
    assert running(decoder, ends - 1000, ends, ends + following, began) == interval_h
    after = running(decoder, ends + 30_000, ends + following, ends + 2 * following, began)
    assert after == following_h  # a settlement shows it
    stays = running(decoder, ends + 60_000, ends + following, ends + 2 * following + HOUR, began)
    assert stays == following_h


def test_without_any_time_of_its_own_a_message_says_the_next_period_only() -> None:
    frame = json.loads(load(NAME, "ws_funding_rate"))
    for following_h, interval_h in ((4, None), (6, 6.0)):
        for key in ("prevFundingTime", "ts"):
            frame["data"][0].pop(key, None)
        frame["data"][0]["nextFundingTime"] = str(T12 + following_h * HOUR)
        (found,) = decode(fresh(NAME), frame)
        assert isinstance(found, Funding)
        assert found.interval_h == interval_h


def test_without_prev_funding_time_a_length_that_changes_is_in_doubt_until_a_settlement() -> None:
    decoder, T20 = fresh(NAME), T12 + 8 * HOUR
    assert running(decoder, T20 - 2 * HOUR, T20, T20 + 4 * HOUR) == 4.0
    assert running(decoder, T20 - HOUR, T20, T20 + HOUR) is None  # announced: the running one still has four hours
    assert running(decoder, T20 + 30_000, T20 + HOUR, T20 + 2 * HOUR) == 1.0
    assert running(decoder, T20 + 40 * 60_000, T20 + HOUR, T20 + 5 * HOUR) == 1.0  # measured: sure
    assert running(decoder, T20 + HOUR + 30_000, T20 + 5 * HOUR, T20 + 9 * HOUR) == 4.0


def test_what_an_earlier_message_said_is_no_first_sight() -> None:
    """16:00 is in doubt for 4 h at first sight; not where the settlement at 12:00 was missed that began them."""
    for first, expected in ((4, 4.0), (1, None)):
        decoder = fresh(NAME)
        running(decoder, T12 - HOUR // 2, T12, T12 + first * HOUR)
        assert running(decoder, T12 + 3 * HOUR, T12 + 4 * HOUR, T12 + 8 * HOUR) == expected


def test_a_settlement_missed_leaves_a_period_in_doubt_that_is_not_as_long_as_the_last_one_seen() -> None:
    for following, expected in ((4, 4.0), (1, None)):
        decoder = fresh(NAME)
        running(decoder, T12 - HOUR, T12, T12 + 4 * HOUR)
        assert running(decoder, T12 + 1000, T12 + 4 * HOUR, T12 + 8 * HOUR) == 4.0
        assert running(decoder, T12 + 7 * HOUR, T12 + 8 * HOUR, T12 + (8 + following) * HOUR) == expected


def test_old_funding_message_without_times() -> None:
    frame = json.loads(load(NAME, "ws_funding_rate"))
    for key in ("prevFundingTime", "nextFundingTime", "ts"):
        del frame["data"][0][key]
    (found,) = decode(fresh(NAME), frame)
    assert isinstance(found, Funding)
    assert (found.interval_h, found.next_ts, found.venue_ts) == (None, 1763726400000, None)


def test_empty_funding_rate_is_no_rate() -> None:
    frame = json.loads(load(NAME, "ws_funding_rate"))
    frame["data"][0]["fundingRate"] = ""
    assert decode(fresh(NAME), frame) == []


def test_open_interest_with_coins_needs_no_metadata() -> None:
    expected = OpenInterest(NAME, "SOL-USDT-SWAP", "SOL", 5250000.5, 1.0, 5250000.5, False, 1763719198044, T0)
    assert decode(fresh(NAME), load(NAME, "ws_open_interest")) == [expected]
    assert decode(with_metadata(), load(NAME, "ws_open_interest")) == [expected]


def test_unknown_contract_size_is_skipped_never_guessed() -> None:
    for coins in (None, ""):
        found = decode(fresh(NAME), interest("SOL-USDT-SWAP", "12", coins))
        assert found == [Skipped(NAME, "SOL-USDT-SWAP", "unknown_contract_size")]


def test_contract_size_from_metadata() -> None:
    assert decode(with_metadata(), interest("PEPE-USDT-SWAP", "3")) == [
        OpenInterest(NAME, "PEPE-USDT-SWAP", "1000PEPE", 3.0, 10000.0, 30000.0, False, TS, T0)
    ]


def test_unprefixed_token_is_scaled() -> None:
    decoder = fresh(NAME)
    (price,) = decode(decoder, mark("PEPE-USDT-SWAP", "0.00000475"))
    assert price == Mark(NAME, "PEPE-USDT-SWAP", "1000PEPE", 0.00475, None, TS, T0)
    (amount,) = decode(decoder, interest("PEPE-USDT-SWAP", "250000", "2500000000000"))
    assert isinstance(amount, OpenInterest)
    assert (amount.coins, amount.contract_coins) == (2.5e9, 10000.0)


def test_coins_and_contracts_must_agree() -> None:
    decoder = with_metadata()
    assert reasons(decode(decoder, interest("SOL-USDT-SWAP", "1000", "994.9"))) == ["size_mismatch"]
    assert reasons(decode(decoder, interest("SOL-USDT-SWAP", "1000", "1005.1"))) == ["size_mismatch"]
    (found,) = decode(decoder, interest("SOL-USDT-SWAP", "1000", "1004.9"))
    assert isinstance(found, OpenInterest)
    assert (found.coins, found.contract_coins) == (1004.9, 1.0)


def test_inverse_takes_the_venues_coins_or_converts_by_its_mark() -> None:
    decoder = with_metadata()
    stated, _ = decode(decoder, load(NAME, "http_get_open_interest"))
    assert stated == OpenInterest(NAME, "BTC-USD-SWAP", "BTC", 4e6, 5000.5 / 4e6, 5000.5, False, 1763719199066, T0)
    assert decode(decoder, interest("BTC-USD-SWAP", "4000000")) == [Skipped(NAME, "BTC-USD-SWAP", "no_mark")]
    decode(decoder, mark("BTC-USD-SWAP", "80000"))
    assert decode(decoder, interest("BTC-USD-SWAP", "4000000")) == [
        OpenInterest(NAME, "BTC-USD-SWAP", "BTC", 4e6, 0.00125, 5000.0, True, TS, T0)
    ]


def test_no_contracts_are_a_value() -> None:
    for decoder in (fresh(NAME), with_metadata()):
        (found,) = decode(decoder, interest("SOL-USDT-SWAP", "0", "0"))
        assert isinstance(found, OpenInterest)
        assert found.coins == 0.0


@pytest.mark.parametrize(
    ("instrument", "kind"),
    [
        ("FIL-USDT-260327", "FUTURES"),
        ("BTC-USD_UM_XPERP-310404", "FUTURES"),
        ("BTC-USDT", "SPOT"),
        ("BTC-USD-260327-90000-C", "OPTION"),
        ("ETH-BTC-SWAP", "SWAP"),
        ("BTC-USDT-SWAP", "FUTURES"),
    ],
)
def test_foreign_products_are_silent(instrument: str, kind: str) -> None:
    frame = mark(instrument, "1.5")
    frame["data"][0]["instType"] = kind
    assert left_out(decode(fresh(NAME), frame))


def test_foreign_index_is_silent() -> None:
    frame = json.loads(load(NAME, "ws_index_tickers").replace("SOL-USDT", "ETH-BTC"))
    assert decode(fresh(NAME), frame) == []


def test_control_frames() -> None:
    decoder = fresh(NAME)
    assert decode(decoder, "pong") == decode(decoder, b"pong") == [Control("pong", None, "pong")]
    assert decode(decoder, "ping") == []
    assert decode(decoder, load(NAME, "ws_subscribed")) == [Control("ack", "mark-price:SOL-USDT-SWAP", "subscribe")]
    (refused,) = decode(decoder, load(NAME, "ws_error"))
    assert isinstance(refused, Control)
    assert refused.kind == "refused"
    assert refused.text.startswith("60018 Wrong URL or channel")
    (closing,) = decode(decoder, load(NAME, "ws_notice"))
    assert isinstance(closing, Control)
    assert closing.kind == "closing"
    (info,) = decode(decoder, {"event": "channel-conn-count", "channel": "orders", "connCount": "2", "connId": "a"})
    assert isinstance(info, Control)
    assert info.kind == "info"
    assert decode(decoder, {"op": "subscribe", "args": []}) == []
    assert decode(decoder, {"code": "50011", "msg": "Too Many Requests", "data": []}) == [
        Control("refused", None, "50011 Too Many Requests")
    ]


@pytest.mark.parametrize("frame", [{"foo": 1}, 42, "x", [], {}, None])
def test_unknown_shapes(frame: object) -> None:
    assert reasons(fresh(NAME).decode(json.dumps(frame), T0)) == ["unknown_shape"]


@pytest.mark.parametrize("frame", ["Pong", "pongpong", "{", "[1,"])
def test_bad_json(frame: str) -> None:
    assert reasons(fresh(NAME).decode(frame, T0)) == ["bad_json"]


def test_bad_row_costs_its_row_only() -> None:
    frame = mark("SOL-USDT-SWAP", "140")
    frame["data"] = [None, {"instId": "SOL-USDT-SWAP"}, {**frame["data"][0], "markPx": "-1"}, frame["data"][0]]
    found = decode(fresh(NAME), frame)
    assert reasons(found) == ["wrong_type", "missing_field", "out_of_bounds"]
    assert isinstance(found[-1], Mark)


def test_instruments() -> None:
    catalog = Catalog()
    decoder = fresh(NAME, catalog)
    assert told(decode(decoder, load(NAME, "http_get_instruments"), context="instruments")) == [
        Listing(NAME, "SOL-USDT-SWAP", "SOL", False, 1.0, 1.0, None, True, T0),
        Listing(NAME, "PEPE-USDT-SWAP", "1000PEPE", False, 10000.0, 0.001, None, True, T0),
        Listing(NAME, "BTC-USDC-SWAP", "BTC", False, 0.0001, 1.0, None, False, T0),
        Listing(NAME, "BTC-USD-SWAP", "BTC", True, 100.0, 1.0, None, True, T0),
    ]
    assert catalog.foreign.keys() == {"BTC-USD-260327"}


@pytest.mark.parametrize(("key", "value"), [("ctVal", ""), ("ctValCcy", "USDT")])
def test_a_size_that_is_not_stated_in_coins_is_unknown(key: str, value: str) -> None:
    catalog = Catalog()
    answer = json.loads(load(NAME, "http_get_instruments"))
    answer["data"][0][key] = value
    decode(fresh(NAME, catalog), answer)
    assert catalog.listings["SOL-USDT-SWAP"].contract_size is None


def test_contract_multiplier_counts() -> None:
    catalog = Catalog()
    answer = json.loads(load(NAME, "http_get_instruments"))
    answer["data"][0]["ctMult"] = "10"
    decode(fresh(NAME, catalog), answer)
    assert catalog.listings["SOL-USDT-SWAP"].contract_size == 10.0


def test_instruments_channel_and_delisting() -> None:
    catalog = Catalog()
    decoder = with_metadata(catalog)
    rows = json.loads(load(NAME, "http_get_instruments"))["data"]
    push = {"arg": {"channel": "instruments", "instType": "SWAP"}, "data": [{**rows[0], "state": "suspend"}]}
    decode(decoder, push)
    assert not catalog.listings["SOL-USDT-SWAP"].trading
    assert catalog.listings["PEPE-USDT-SWAP"].trading  # a push names only what changed
    decode(decoder, {"code": "0", "msg": "", "data": rows[:1]}, context="instruments")
    assert not catalog.listings["PEPE-USDT-SWAP"].trading


def test_settled_history_is_the_realised_rate() -> None:
    assert decode(fresh(NAME), load(NAME, "http_get_funding_rate_history")) == [
        Funding(NAME, "SOL-USDT-SWAP", "SOL", 0.0002, 4.0, 0.0004, None, True, 1763712000000, T0),
        Funding(NAME, "SOL-USDT-SWAP", "SOL", 0.0003, 4.0, 0.0006, None, True, 1763697600000, T0),
    ]


def test_connections_within_limits() -> None:
    listings = [Listing(NAME, f"C{n}-USDT-SWAP", f"C{n}", False, 1.0, 1.0, None, True, T0) for n in range(70)]
    plans = VENUE.connections(VENUE.endpoints, listings)
    args = [[arg for frame in plan.frames for arg in json.loads(frame)["args"]] for plan in plans]
    assert [len(part) for part in args] == [240, 40] == [plan.acks for plan in plans]
    assert {"channel": "index-tickers", "instId": "C0-USDT"} in args[0]
    assert all(len(frame) < 65_536 for plan in plans for frame in plan.frames)
    assert sum(len(plan.expects) for plan in plans) == 210
    assert plans[0].keepalive is not None
    assert plans[0].keepalive.text == "ping"
    assert VENUE.polls(VENUE.endpoints, listings, 10.0) == []
    assert VENUE.rules_for(99.0) == VENUE.rules


def test_swaps_of_one_index_subscribe_it_once() -> None:
    both = [Listing(NAME, name, "BTC", False, 1.0, 1.0, None, True, T0) for name in ("BTC-USD-SWAP", "BTC-USD-SWAP")]
    (plan,) = VENUE.connections(VENUE.endpoints, both)
    assert sum("index-tickers" in json.dumps(arg) for arg in json.loads(plan.frames[0])["args"]) == 1


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_no_mutation_escapes(seed: int) -> None:
    check_mutations(NAME, seed, 60)


# -- swaps margined in dollars -------------------------------------------------------------------------------------

SOL_UM = "SOL-USD_UM-SWAP"


def usd_margined(catalog: Catalog | None = None) -> Decoder:
    row = {
        "instType": "SWAP", "instId": SOL_UM, "uly": "SOL-USD", "instFamily": "SOL-USD_UM", "instCategory": "1",
        "ctType": "linear", "ctVal": "2", "ctMult": "0.05", "ctValCcy": "SOL", "settleCcy": "USD", "state": "live",
    }  # fmt: skip
    decoder = fresh(NAME, catalog)
    assert decode(decoder, {"code": "0", "msg": "", "data": [row]}, context="instruments") == [
        Listing(NAME, SOL_UM, "SOL", False, 0.1, 1.0, None, True, T0)
    ]
    return decoder


def test_a_swap_margined_in_dollars_is_linear_and_counts_as_its_coin() -> None:
    """Cause: its name has another quote than a swap's in stable coins, so that all it said was dropped."""
    decoder = usd_margined()
    assert decode(decoder, mark(SOL_UM, "187.31")) == [Mark(NAME, SOL_UM, "SOL", 187.31, None, TS, T0)]
    assert decode(decoder, interest(SOL_UM, "81230", "8123")) == [
        OpenInterest(NAME, SOL_UM, "SOL", 81230.0, 0.1, 8123.0, False, TS, T0)
    ]
    assert reasons(decode(decoder, interest(SOL_UM, "81230", "8170"))) == ["size_mismatch"]
    row = {
        "instType": "SWAP", "instId": SOL_UM, "fundingRate": "0.00004321", "fundingTime": "1763740800000",
        "nextFundingTime": "1763769600000", "ts": str(TS),
    }  # fmt: skip
    (found,) = decode(decoder, {"arg": {"channel": "funding-rate", "instId": SOL_UM}, "data": [row]})
    assert isinstance(found, Funding)
    assert found.rate_8h == 0.00004321


def test_the_trades_and_liquidations_of_a_swap_margined_in_dollars_count() -> None:
    decoder = usd_margined()
    row = {"instId": SOL_UM, "tradeId": "7", "px": "187.4", "sz": "30", "side": "buy", "ts": str(TS)}
    assert decode(decoder, {"arg": {"channel": "trades", "instId": SOL_UM}, "data": [row]}) == [
        Flow(NAME, SOL_UM, "SOL", 3.0, 0.0, TS, T0)
    ]
    detail = {"side": "sell", "posSide": "long", "sz": "50", "bkPx": "186.5", "ts": str(TS)}
    rows = [{"instType": "SWAP", "instId": SOL_UM, "uly": "SOL-USD", "details": [detail]}]
    assert decode(decoder, {"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": rows}) == [
        Liquidation(NAME, SOL_UM, "SOL", "long", 5.0, 186.5, True, TS, T0)
    ]


def test_one_dollar_index_prices_the_inverse_swap_and_the_one_margined_in_dollars() -> None:
    catalog = Catalog()
    decoder = usd_margined(catalog)
    frame = {
        "arg": {"channel": "index-tickers", "instId": "SOL-USD"},
        "data": [{"instId": "SOL-USD", "idxPx": "187.25", "ts": str(TS)}],
    }
    assert decode(decoder, frame) == [Mark(NAME, SOL_UM, "SOL", None, 187.25, TS, T0)]
    swaps = [Listing(NAME, name, "SOL", False, 0.1, 1.0, None, True, T0) for name in (SOL_UM, "SOL-USD-SWAP")]
    (plan,) = VENUE.connections(VENUE.endpoints, swaps)
    args = [arg for text in plan.frames for arg in json.loads(text)["args"]]
    assert [arg["instId"] for arg in args if arg["channel"] == "index-tickers"] == ["SOL-USD"]
    asked = [request.url for request in VENUE.history(VENUE.endpoints, swaps[0], TS - 600_000, TS)]
    assert any("index-candles?instId=SOL-USD&" in url for url in asked)
    assert any("mark-price-candles?instId=SOL-USD_UM-SWAP&" in url for url in asked)


def test_the_index_that_metadata_name_is_subscribed_to() -> None:
    swap = Listing(NAME, "BTC-USDC-SWAP", "BTC", False, 0.01, 1.0, None, True, T0, "BTC-USD")
    (plan,) = VENUE.connections(VENUE.endpoints, [swap])
    assert {"channel": "index-tickers", "instId": "BTC-USD"} in json.loads(plan.frames[0])["args"]
    asked = [request.url for request in VENUE.history(VENUE.endpoints, swap, TS - 600_000, TS)]
    assert any("index-candles?instId=BTC-USD&" in url for url in asked)


def test_a_new_listing_without_a_rate_is_silence() -> None:
    """Cause: a row without `fundingRate` was counted as a broken one."""
    row = {"instType": "SWAP", "instId": "NEW-USDT-SWAP", "fundingTime": "1763740800000", "ts": str(TS)}
    assert decode(fresh(NAME), {"arg": {"channel": "funding-rate", "instId": "NEW-USDT-SWAP"}, "data": [row]}) == []
    assert decode(fresh(NAME), {"code": "0", "msg": "", "data": [row]}) == []
