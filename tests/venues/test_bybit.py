"""Bybit: merging of deltas, one-sided open interest, inverse contracts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.model import Confirm, Control, Decoded, Funding, Listing, Mark, OpenInterest, Skipped
from service.venues.bybit.venue import Bybit
from service.venues.contract import Catalog, Decoder
from tests.venues.frames import T0, check_mutations, decode, fresh, left_out, load, reasons, told

VENUE = Bybit()
NAME = "bybit"
TS = 1763719200300


def delta(cs: int = 5001007, ts: int = TS, symbol: str = "ETHUSDT", **fields: object) -> dict[str, Any]:
    data = {"symbol": symbol, **fields}
    return {"topic": f"tickers.{symbol}", "type": "delta", "data": data, "cs": cs, "ts": ts}


def started(catalog: Catalog | None = None) -> Decoder:
    decoder = fresh(NAME, catalog)
    assert len(decode(decoder, load(NAME, "ws_tickers_snapshot"))) == 3
    return decoder


def confirm(*streams: str, ts: int = TS) -> Decoded:
    return Confirm(NAME, "ETHUSDT", "ETH", streams, ts, T0)  # type: ignore[arg-type]


def test_snapshot() -> None:
    assert decode(fresh(NAME), load(NAME, "ws_tickers_snapshot")) == [
        Mark(NAME, "ETHUSDT", "ETH", 3010.25, 3011.75, 1763719200100, T0),
        Funding(NAME, "ETHUSDT", "ETH", 0.000062, 4.0, 0.000124, 1763726400000, False, 1763719200100, T0),
        OpenInterest(NAME, "ETHUSDT", "ETH", 400050.25, 1.0, 400050.25, False, 1763719200100, T0),
    ]


def test_delta_brings_the_merged_stream_and_confirms_the_rest() -> None:
    assert decode(started(), load(NAME, "ws_tickers_delta")) == [
        Mark(NAME, "ETHUSDT", "ETH", 3012.5, 3011.75, TS, T0),
        confirm("funding", "oi"),
    ]


def test_delta_without_our_fields_confirms_everything() -> None:
    assert decode(started(), delta(bid1Price="3011.00")) == [confirm("mark", "funding", "oi")]


def test_value_of_open_interest_alone_changes_no_coins() -> None:
    assert decode(started(), delta(openInterestValue="1", singleOpenInterestValue="2")) == [
        confirm("mark", "funding", "oi")
    ]


def test_absent_funding_fields_are_unchanged() -> None:
    assert decode(started(), delta(fundingRate="-0.00001")) == [
        Funding(NAME, "ETHUSDT", "ETH", -0.00001, 4.0, -0.00002, 1763726400000, False, TS, T0),
        confirm("mark", "oi"),
    ]


def test_interval_changes_in_a_delta() -> None:
    """Cause: the new interval may be the next period's: between settlements it is in doubt, at one it is measured."""
    decoder = started()
    (funding, _) = decode(decoder, delta(fundingIntervalHour="1"))
    assert isinstance(funding, Funding)
    assert (funding.interval_h, funding.rate_8h, funding.next_ts) == (None, None, 1763726400000)
    (funding, _) = decode(decoder, delta(ts=1763726400100, cs=5001013, nextFundingTime="1763730000000"))
    assert isinstance(funding, Funding)
    assert (funding.interval_h, funding.rate_8h, funding.next_ts) == (1.0, 0.000496, 1763730000000)


def test_an_interval_that_the_list_of_instruments_does_not_say_is_in_doubt_at_first_sight() -> None:
    """Cause: after a restart in the last period before a change, the interval of the next one was taken."""
    for minutes, expected in ((240, 4.0), (60, None), (0, 4.0)):
        decoder = fresh(NAME)
        listed = load(NAME, "http_get_instruments_linear").replace("BTCUSDT", "ETHUSDT").replace('"BTC"', '"ETH"')
        answer = json.loads(listed)
        for row in answer["result"]["list"]:
            row["fundingInterval"] = minutes
        decode(decoder, answer)
        (funding,) = [item for item in decode(decoder, load(NAME, "ws_tickers_snapshot")) if isinstance(item, Funding)]
        assert funding.interval_h == expected
        (funding, _) = decode(decoder, delta(ts=1763726400100, cs=5001013, nextFundingTime="1763730000000"))
        assert isinstance(funding, Funding)
        assert funding.interval_h == 1.0  # measured


def test_single_sided_figure_wins_and_both_sided_is_halved() -> None:
    (interest, _) = decode(started(), delta(openInterest="900000.5"))
    assert isinstance(interest, OpenInterest)
    assert (interest.coins, interest.derived) == (400050.25, False)
    old = json.loads(load(NAME, "ws_tickers_snapshot"))
    del old["data"]["singleOpenInterest"]
    (interest,) = [item for item in decode(fresh(NAME), old) if isinstance(item, OpenInterest)]
    assert (interest.contracts, interest.coins, interest.derived) == (400050.25, 400050.25, True)


def test_delta_before_snapshot_is_ignored() -> None:
    assert decode(fresh(NAME), load(NAME, "ws_tickers_delta")) == []


def test_order_follows_cs() -> None:
    decoder = started()
    decode(decoder, delta(cs=5001010, markPrice="3020"))
    assert decode(decoder, delta(cs=5001009, markPrice="3000")) == []
    assert decode(decoder, delta(cs=5001010, ts=TS - 1, markPrice="3000")) == []
    (mark, _) = decode(decoder, delta(cs=5001010, ts=TS + 1, markPrice="3021"))
    assert isinstance(mark, Mark)
    assert mark.mark == 3021.0


def test_new_snapshot_replaces_and_an_old_one_does_not() -> None:
    decoder = started()
    decode(decoder, delta(cs=5001010, markPrice="3020"))
    assert decode(decoder, load(NAME, "ws_tickers_snapshot")) == []
    again = json.loads(load(NAME, "ws_tickers_snapshot"))
    again["cs"], again["ts"] = 12, TS + 1000  # the venue's counter started anew
    del again["data"]["fundingIntervalHour"]
    _, funding, _ = decode(decoder, again)
    assert isinstance(funding, Funding)
    assert funding.interval_h is None


def test_empty_text_is_not_applicable_never_zero() -> None:
    decoder = started()
    assert decode(decoder, delta(fundingRate="")) == [confirm("mark", "oi")]
    assert decode(decoder, delta(bid1Price="1")) == [confirm("mark", "oi")]
    assert decode(decoder, delta(openInterest="", singleOpenInterest="")) == [confirm("mark")]


def test_unreadable_field_costs_its_stream_until_it_is_said_again() -> None:
    """The venue changed the mark to something unreadable: the old one must not be confirmed by later deltas."""
    decoder = started()
    found = decode(decoder, delta(markPrice="1e999", indexPrice="3000"))
    assert reasons(found) == ["out_of_bounds"]
    assert found[1:] == [confirm("funding", "oi")]
    assert decode(decoder, delta(bid1Price="1")) == [confirm("funding", "oi")]
    assert decode(decoder, delta(indexPrice="3001"))[0] == Mark(NAME, "ETHUSDT", "ETH", None, 3001.0, TS, T0)
    assert decode(decoder, delta(markPrice="3002"))[0] == Mark(NAME, "ETHUSDT", "ETH", 3002.0, 3001.0, TS, T0)


def test_unreadable_interval_is_unknown_even_with_metadata() -> None:
    catalog = Catalog()
    decoder = fresh(NAME, catalog)
    decode(decoder, load(NAME, "http_get_instruments_linear").replace("BTCUSDT", "ETHUSDT").replace('"BTC"', '"ETH"'))
    decode(decoder, load(NAME, "ws_tickers_snapshot"))
    decode(decoder, delta(fundingIntervalHour="0"))
    funding = decode(decoder, delta(fundingRate="0.0001"))[0]
    assert isinstance(funding, Funding)
    assert (funding.interval_h, funding.rate_8h) == (None, None)


@pytest.mark.parametrize("breakage", [{"cs": "x"}, {"ts": 1763719200}, {"type": "partial"}])
def test_refused_delta_leaves_its_fields_in_doubt(breakage: dict[str, Any]) -> None:
    decoder = started()
    assert len(reasons(decode(decoder, {**delta(markPrice="3020"), **breakage}))) == 1
    assert decode(decoder, delta(bid1Price="1")) == [confirm("funding", "oi")]


def test_symbol_of_data_must_be_that_of_the_topic() -> None:
    frame = delta(markPrice="3020")
    frame["data"]["symbol"] = "BTCUSDT"
    assert reasons(decode(started(), frame)) == ["bad_name"]


def test_snapshot_must_name_its_main_fields() -> None:
    frame = json.loads(load(NAME, "ws_tickers_snapshot"))
    frame["data"]["markPx"] = frame["data"].pop("markPrice")
    found = decode(fresh(NAME), frame)
    assert reasons(found) == ["missing_field"]
    assert [type(item) for item in found[1:]] == [Funding, OpenInterest]


def test_inverse_is_in_dollars_and_converted() -> None:
    _, _, interest = decode(fresh(NAME), load(NAME, "ws_tickers_inverse_snapshot"))
    assert interest == OpenInterest(NAME, "BTCUSD", "BTC", 320e6, 1 / 80000, 4000.0, True, 1763719200400, T0)


def test_inverse_without_a_readable_mark_is_skipped() -> None:
    frame = load(NAME, "ws_tickers_inverse_snapshot").replace('"80000.00"', '"?"')
    decoder = fresh(NAME)
    decode(decoder, load(NAME, "ws_tickers_inverse_snapshot"))
    found = decode(decoder, frame)
    assert reasons(found) == ["bad_number"]
    assert found[-1] == Skipped(NAME, "BTCUSD", "no_mark")


@pytest.mark.parametrize(
    "symbol", ["BTC-27MAR26", "BTCUSDT-27MAR26", "BTCUSDH26", "BTC-27MAR26-70000-P-USDT", "ETHBTC"]
)
def test_foreign_products_are_silent(symbol: str) -> None:
    frame = json.loads(load(NAME, "ws_tickers_snapshot"))
    frame["topic"], frame["data"]["symbol"] = f"tickers.{symbol}", symbol
    assert left_out(decode(fresh(NAME), frame))


def test_spot_of_the_same_name_is_silent() -> None:
    frame = delta(usdIndexPrice="3010", lastPrice="3009")
    assert decode(started(), {**frame, "type": "snapshot"}) == []


def test_usdc_perpetual() -> None:
    frame = json.loads(load(NAME, "ws_tickers_snapshot"))
    frame["topic"], frame["data"]["symbol"] = "tickers.BTCPERP", "BTCPERP"
    mark = decode(fresh(NAME), frame)[0]
    assert isinstance(mark, Mark)
    assert mark.symbol == "BTC"


def test_control_frames() -> None:
    decoder = fresh(NAME)
    assert decode(decoder, load(NAME, "ws_subscribed")) == [Control("ack", "3", "subscribe")]
    refused = [Control("refused", "4", "error:handler not found,topic:tickers.NOPE")]
    assert decode(decoder, load(NAME, "ws_refused")) == refused
    assert [item.kind for item in decode(decoder, load(NAME, "ws_pong")) if isinstance(item, Control)] == ["pong"]
    assert decode(decoder, {"op": "ping"}) == []
    assert decode(decoder, {"op": "subscribe", "args": ["tickers.BTCUSDT"]}) == []
    assert decode(decoder, {"retCode": 10006, "retMsg": "Too many visits!", "result": {}}) == [
        Control("refused", None, "10006 Too many visits!")
    ]


@pytest.mark.parametrize("frame", [{"foo": 1}, 42, "x", [], {}, None, [{"topic": "tickers.BTCUSDT"}]])
def test_unknown_shapes(frame: object) -> None:
    assert reasons(fresh(NAME).decode(json.dumps(frame), T0)) == ["unknown_shape"]


def test_instruments() -> None:
    catalog = Catalog()
    decoder = fresh(NAME, catalog)
    assert told(decode(decoder, load(NAME, "http_get_instruments_linear"), context="instruments:linear")) == [
        Listing(NAME, "BTCUSDT", "BTC", False, 1.0, 1.0, 8.0, True, T0),
        Listing(NAME, "BTCPERP", "BTC", False, 1.0, 1.0, 8.0, True, T0),
        Listing(NAME, "SHIB1000USDT", "1000SHIB", False, 1.0, 1.0, 4.0, True, T0),
        Listing(NAME, "1000000MOGUSDT", "MOG", False, 1e6, 1e6, 1.0, True, T0),
        Listing(NAME, "NEWUSDT", "NEW", False, 1.0, 1.0, 2.0, False, T0),
    ]
    assert told(decode(decoder, load(NAME, "http_get_instruments_inverse"), context="instruments:inverse")) == [
        Listing(NAME, "BTCUSD", "BTC", True, 1.0, 1.0, 8.0, True, T0),
    ]
    assert catalog.foreign.keys() == {"BTC-27MAR26", "BTCUSDH26"}
    assert catalog.listings["BTCUSDT"].trading  # an inverse answer says nothing of linear contracts


def test_delisting_only_after_the_last_page() -> None:
    catalog = Catalog()
    decoder = fresh(NAME, catalog)
    answer = json.loads(load(NAME, "http_get_instruments_linear"))
    decode(decoder, answer, context="instruments:linear")
    answer["result"]["list"] = answer["result"]["list"][:1]
    answer["result"]["nextPageCursor"] = "more"
    decode(decoder, answer, context="instruments:linear")
    assert catalog.listings["BTCPERP"].trading
    answer["result"]["nextPageCursor"] = ""
    decode(decoder, answer, context="instruments:linear")
    assert not catalog.listings["BTCPERP"].trading


def test_rest_tickers() -> None:
    assert told(decode(fresh(NAME), load(NAME, "http_get_tickers"))) == [
        Mark(NAME, "1000PEPEUSDT", "1000PEPE", 0.0048, 0.0046, 1763719200600, T0),
        Funding(NAME, "1000PEPEUSDT", "1000PEPE", 0.0002, 1.0, 0.0016, 1763722800000, False, 1763719200600, T0),
        OpenInterest(NAME, "1000PEPEUSDT", "1000PEPE", 150000001.0, 1.0, 150000001.0, False, 1763719200600, T0),
    ]


def test_rest_open_interest_accepts_the_row_in_seconds() -> None:
    assert decode(fresh(NAME), load(NAME, "http_get_open_interest")) == [
        OpenInterest(NAME, "SOLUSDT", "SOL", 4000000.3, 1.0, 4000000.3, False, 1763719200000, T0),
        OpenInterest(NAME, "SOLUSDT", "SOL", 3950000.3, 1.0, 3950000.3, True, 1763718900000, T0),
    ]


def test_rest_funding_history() -> None:
    assert decode(fresh(NAME), load(NAME, "http_get_funding_history")) == [
        Funding(NAME, "SOLUSDT", "SOL", 0.0003, 4.0, 0.0006, None, True, 1763712000000, T0),
        Funding(NAME, "SOLUSDT", "SOL", -0.0002, 4.0, -0.0004, None, True, 1763697600000, T0),
    ]


def test_connections_by_category_and_within_limits() -> None:
    listings = [Listing(NAME, f"C{n}USDT", f"C{n}", False, 1.0, 1.0, 8.0, True, T0) for n in range(405)]
    listings.append(Listing(NAME, "BTCUSD", "BTC", True, 1.0, 1.0, 8.0, True, T0))
    plans = VENUE.connections(VENUE.endpoints, listings)
    assert [(plan.name, plan.acks) for plan in plans] == [("linear-1", 40), ("linear-2", 1), ("inverse-1", 1)]
    assert plans[2].url == "wss://stream.bybit.com/v5/public/inverse"
    assert plans[2].expects == (("BTCUSD", "mark"), ("BTCUSD", "funding"), ("BTCUSD", "oi"))
    assert json.loads(plans[1].frames[0])["args"] == [f"tickers.C{n}USDT" for n in range(400, 405)]
    for plan in plans:
        assert sum(len(json.loads(frame)["args"]) for frame in plan.frames) <= VENUE.limits.max_topics
        assert plan.keepalive is not None
    assert VENUE.polls(VENUE.endpoints, listings, 10.0) == []
    assert VENUE.rules_for(99.0) == VENUE.rules


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_no_mutation_escapes(seed: int) -> None:
    contexts = ("long_short", "history:mark:SOLUSDT", "history:oi:SOLUSDT", "history:funding:SOLUSDT")
    check_mutations(NAME, seed, 60, contexts)


@given(
    st.lists(
        st.sampled_from(("markPrice", "indexPrice", "fundingRate", "singleOpenInterest", "bid1Price")), max_size=12
    )
)
def test_merged_values_equal_the_last_said_ones(keys: list[str]) -> None:
    """Whatever the order of deltas, each observation carries the newest value of each of its fields."""
    decoder = started()
    said = {"markPrice": 3010.25, "indexPrice": 3011.75, "fundingRate": 0.000062, "singleOpenInterest": 400050.25}
    for count, key in enumerate(keys, 1):
        value = count / 1000 if key == "fundingRate" else count + 0.5
        said[key] = value
        for item in decode(decoder, delta(cs=5001007 + count, **{key: str(value)})):
            if isinstance(item, Mark):
                assert (item.mark, item.index) == (said["markPrice"], said["indexPrice"])
            elif isinstance(item, Funding):
                assert item.rate == said["fundingRate"]
            elif isinstance(item, OpenInterest):
                assert item.coins == said["singleOpenInterest"]


def test_a_ticker_row_with_a_time_of_its_own_is_a_ticker() -> None:
    """Cause: a row with `timestamp` and `openInterest` was taken for one of open interest's past."""
    answer = json.loads(load(NAME, "http_get_tickers"))
    expected = told(decode(fresh(NAME), answer))
    for row in answer["result"]["list"]:
        row["timestamp"] = "1763719100000"
    assert told(decode(fresh(NAME), answer)) == expected


@pytest.mark.parametrize(("index", "told_of_it"), [("0", ["out_of_bounds"]), ("", []), (None, ["wrong_type"])])
def test_an_index_that_is_none_costs_itself_and_not_the_mark(index: object, told_of_it: list[str]) -> None:
    frame = json.loads(load(NAME, "ws_tickers_snapshot"))
    frame["data"]["indexPrice"] = index
    decoder = fresh(NAME)
    found = decode(decoder, frame)
    assert reasons(found) == told_of_it
    assert Mark(NAME, "ETHUSDT", "ETH", 3010.25, None, 1763719200100, T0) in found
    assert decode(decoder, delta(bid1Price="3012.00")) == [confirm("funding", "oi")]  # else the old index counted again
    assert decode(decoder, delta(markPrice="3012.5"))[0] == Mark(NAME, "ETHUSDT", "ETH", 3012.5, None, TS, T0)
    assert decode(decoder, delta(indexPrice="3013.5"))[0] == Mark(NAME, "ETHUSDT", "ETH", 3012.5, 3013.5, TS, T0)
    assert decode(decoder, delta(bid1Price="3012.25")) == [confirm("mark", "funding", "oi")]
