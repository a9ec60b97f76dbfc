"""Hyperliquid: hourly funding, positional arrays, dead coins, compressed payloads."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.model import Control, Funding, Listing, Mark, OpenInterest, Skipped
from service.venues.contract import Catalog
from service.venues.decoding import frames_in
from service.venues.hyperliquid.messages import INFLATED_MAX
from service.venues.hyperliquid.venue import Hyperliquid
from tests.venues.frames import T0, check_mutations, decode, fresh, left_out, load, reasons, told

VENUE = Hyperliquid()
NAME = "hyperliquid"
HOUR = 3_600_000
NEXT = 1_763_722_800_000  # the hour after T0


def context_of(coin: str, **fields: object) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(load(NAME, "ws_active_asset_ctx"))
    frame["data"]["coin"] = coin
    frame["data"]["ctx"].update(fields)
    return frame


def packed(data: bytes) -> str:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.b64encode(compressor.compress(data) + compressor.flush()).decode()


def test_active_asset_ctx() -> None:
    assert decode(fresh(NAME), load(NAME, "ws_active_asset_ctx")) == [
        Mark(NAME, "kPEPE", "1000PEPE", 0.00474, 0.00475, None, T0),
        Funding(NAME, "kPEPE", "1000PEPE", 0.0000375, 1.0, 0.0003, NEXT, False, None, T0),
        OpenInterest(NAME, "kPEPE", "1000PEPE", 1234567890.5, 1.0, 1234567890.5, False, None, T0),
    ]


@pytest.mark.parametrize(("recv_ts", "next_ts"), [(NEXT - 1, NEXT), (NEXT, NEXT + HOUR), (0, None)])
def test_funding_settles_on_the_hour(recv_ts: int, next_ts: int | None) -> None:
    funding = decode(fresh(NAME), context_of("BTC"), recv_ts)[1]
    assert isinstance(funding, Funding)
    assert funding.next_ts == next_ts


def test_dead_coins_say_nothing() -> None:
    assert decode(fresh(NAME), context_of("LOOM", midPx=None, premium=None, openInterest="0.0")) == []
    assert len(decode(fresh(NAME), context_of("LOOM", midPx=None, premium=None, openInterest="0.5"))) == 3
    assert len(decode(fresh(NAME), context_of("LOOM", openInterest="0.0"))) == 3


def test_delisted_coins_say_nothing() -> None:
    decoder = fresh(NAME)
    decode(decoder, load(NAME, "http_post_meta"))
    assert decode(decoder, context_of("LOOM")) == []
    assert len(decode(decoder, context_of("BTC"))) == 3


@pytest.mark.parametrize("coin", ["xyz:TSLA", "@107", "#3", "PURR/USDC"])
def test_foreign_products_are_silent(coin: str) -> None:
    assert left_out(decode(fresh(NAME), context_of(coin)))


def test_spot_context_is_silent() -> None:
    frame = {"channel": "activeSpotAssetCtx", "data": {"coin": "@1", "ctx": {"markPx": "1", "midPx": "1"}}}
    assert decode(fresh(NAME), frame) == []


def test_bad_field_costs_its_stream_only() -> None:
    found = decode(fresh(NAME), context_of("BTC", funding="0.0001%"))
    assert reasons(found) == ["bad_number"]
    assert [type(item) for item in found] == [Mark, type(found[1]), OpenInterest]
    found = decode(fresh(NAME), context_of("BTC", markPx=None))
    assert reasons(found) == ["wrong_type"]


def test_positional_arrays_need_the_universe() -> None:
    decoder = fresh(NAME)
    frame = load(NAME, "ws_all_dexs_asset_ctxs")
    assert decode(decoder, frame) == [Skipped(NAME, "", "unknown_universe"), Skipped(NAME, "xyz", "builder_dex")]
    decode(decoder, load(NAME, "http_post_meta"))
    found = decode(decoder, frame)
    assert [item for item in found if isinstance(item, Mark)] == [
        Mark(NAME, "BTC", "BTC", 80110.0, 80100.0, None, T0),
        Mark(NAME, "kPEPE", "1000PEPE", 0.00472, 0.00471, None, T0),
    ]
    assert len(told(found)) == 6


def test_array_of_another_length_is_not_matched_by_position() -> None:
    decoder = fresh(NAME)
    decode(decoder, load(NAME, "http_post_meta"))
    frame = json.loads(load(NAME, "ws_all_dexs_asset_ctxs"))
    frame["data"]["ctxs"][0][1].pop()
    assert decode(decoder, frame) == [Skipped(NAME, "", "unknown_universe"), Skipped(NAME, "xyz", "builder_dex")]


def test_one_dex_array() -> None:
    decoder = fresh(NAME)
    decode(decoder, load(NAME, "http_post_meta"))
    contexts = json.loads(load(NAME, "ws_all_dexs_asset_ctxs"))["data"]["ctxs"][0][1]
    assert len(decode(decoder, {"channel": "assetCtxs", "data": {"dex": "", "ctxs": contexts}})) == 6
    assert decode(decoder, {"channel": "assetCtxs", "data": {"dex": "xyz", "ctxs": contexts}}) == [
        Skipped(NAME, "xyz", "builder_dex")
    ]


def test_a_broken_universe_row_keeps_its_position() -> None:
    decoder = fresh(NAME)
    meta = json.loads(load(NAME, "http_post_meta"))
    meta["universe"][0] = {"szDecimals": 5}
    assert reasons(decode(decoder, meta)) == ["missing_field"]
    marks = [item for item in decode(decoder, load(NAME, "ws_all_dexs_asset_ctxs")) if isinstance(item, Mark)]
    assert [item.instrument for item in marks] == ["kPEPE"]


def test_meta() -> None:
    catalog = Catalog()
    decoder = fresh(NAME, catalog)
    assert decode(decoder, load(NAME, "http_post_meta"), context="meta") == [
        Listing(NAME, "BTC", "BTC", False, 1.0, 1.0, 1.0, True, T0),
        Listing(NAME, "LOOM", "LOOM", False, 1.0, 1.0, 1.0, False, T0),
        Listing(NAME, "kPEPE", "1000PEPE", False, 1.0, 1.0, 1.0, True, T0),
    ]
    decode(decoder, '{"universe":[{"name":"BTC","isDelisted":null}]}', context="meta")
    assert catalog.listings["BTC"].trading
    assert not catalog.listings["kPEPE"].trading


def test_meta_of_other_dexes_and_spot_leave_the_universe_alone() -> None:
    catalog = Catalog()
    decoder = fresh(NAME, catalog)
    decode(decoder, load(NAME, "http_post_meta"))
    assert decode(decoder, '{"universe":[{"name":"xyz:TSLA"}]}') == [Skipped(NAME, "xyz", "builder_dex")]
    assert decode(decoder, '{"universe":[{"name":"PURR/USDC","tokens":[1,0]}],"tokens":[]}') == []
    assert catalog.universe == ("BTC", "LOOM", "kPEPE")


def test_meta_and_asset_ctxs_is_one_frame() -> None:
    document = json.loads(load(NAME, "http_post_meta_and_asset_ctxs"))
    assert frames_in(NAME, document) == [document]
    found = decode(fresh(NAME), document)
    assert [item.coins for item in found if isinstance(item, OpenInterest)] == [3500000.5, 21000000.75]
    assert [item.rate for item in found if isinstance(item, Funding)] == [0.000011, 0.000022]
    assert [(item.mark, item.index) for item in found if isinstance(item, Mark)] == [(140.0, 140.2), (35.2, 35.15)]


def test_a_list_of_pairs_is_several_frames() -> None:
    pair = json.loads(load(NAME, "http_post_meta_and_asset_ctxs"))
    assert frames_in(NAME, [pair, pair]) == [pair, pair]
    frames = [{"channel": "pong"}, {"method": "ping"}]
    assert frames_in(NAME, frames) == frames


def test_an_absurd_name_in_a_packed_payload_costs_itself() -> None:
    """Cause: a name of 400 digits went into a float, which no frame survived, and a long one was kept for good."""
    catalog = Catalog()
    changed = {"markPx": "1.5"}
    names = dict.fromkeys(("1" + "0" * 400 + "X", "1" + "0" * 400 + "PEPE", "X" * 65, "", "BTC"), changed)
    found = decode(fresh(NAME, catalog), {"payload": packed(json.dumps(names).encode())})
    assert reasons(found) == ["bad_name"] * 4
    assert [item.instrument for item in found if isinstance(item, Mark)] == ["BTC"]
    assert list(catalog.marks) == ["BTC"]


def test_settled_history() -> None:
    assert decode(fresh(NAME), load(NAME, "http_post_funding_history")) == [
        Funding(NAME, "ETH", "ETH", 0.000014, 1.0, 0.000112, None, True, 1763708400012, T0),
        Funding(NAME, "ETH", "ETH", -0.000015, 1.0, -0.00012, None, True, 1763712000034, T0),
        Funding(NAME, "SOL", "SOL", 0.000016, 1.0, 0.000128, None, True, 1763712000056, T0),
    ]


def test_history_with_odd_spacings() -> None:
    """8 h rows of early 2023, a late one, and a missing hour: unknown rather than a wrong interval."""
    hours = (0, 8, 16.4, 24, 25, 27)
    rows = [{"coin": "BTC", "fundingRate": "0.0001", "time": 1_680_000_000_000 + int(hour * HOUR)} for hour in hours]
    found = decode(fresh(NAME), rows)
    assert [item.interval_h for item in found if isinstance(item, Funding)] == [8.0, 8.0, None, None, 1.0, None]


def test_predicted_fundings_name_the_start_of_the_hour() -> None:
    assert told(decode(fresh(NAME), load(NAME, "http_post_predicted_fundings"))) == [
        Funding(NAME, "ETH", "ETH", 0.0000085, 1.0, 0.000068, 1763722800000, False, None, T0)
    ]


def test_fast_contexts_snapshot_then_changes() -> None:
    decoder = fresh(NAME)
    assert told(decode(decoder, load(NAME, "ws_fast_asset_ctxs"))) == [
        Mark(NAME, "BTC", "BTC", 80222.5, 80333.5, None, T0),
        Funding(NAME, "BTC", "BTC", 0.000019, 1.0, 0.000152, NEXT, False, None, T0),
        OpenInterest(NAME, "BTC", "BTC", 20500.25, 1.0, 20500.25, False, None, T0),
    ]
    change = {"channel": "fastAssetCtxs", "data": {"payload": packed(b'{"BTC":{"markPx":"80400.5"}}')}}
    assert told(decode(decoder, change)) == [Mark(NAME, "BTC", "BTC", 80400.5, 80333.5, None, T0)]
    change = {"payload": packed(b'{"BTC":{"markPx":"x","oraclePx":"80300"}}')}
    found = decode(decoder, change)
    assert reasons(found) == ["bad_number"]
    assert found[1:] == [Mark(NAME, "BTC", "BTC", None, 80300.0, None, T0)]


@pytest.mark.parametrize("payload", ["", "?", "AAAA", base64.b64encode(zlib.compress(b"{}")).decode(), "é", "q1Zy"])
def test_broken_payload(payload: str) -> None:
    assert reasons(decode(fresh(NAME), {"payload": payload})) == ["bad_json"]


def test_payload_is_bounded() -> None:
    assert reasons(decode(fresh(NAME), {"payload": packed(b" " * (INFLATED_MAX + 1))})) == ["oversized"]


def test_control_frames() -> None:
    decoder = fresh(NAME)
    assert decode(decoder, load(NAME, "ws_pong")) == [Control("pong", None, "pong")]
    assert decode(decoder, load(NAME, "ws_subscribed")) == [Control("ack", "activeAssetCtx:kPEPE", "subscribe")]
    (refused,) = decode(decoder, load(NAME, "ws_error"))
    assert isinstance(refused, Control)
    assert refused.kind == "refused"
    greeting = "Websocket connection established."
    assert decode(decoder, greeting) == decode(decoder, greeting.encode()) == [Control("info", None, greeting)]
    assert decode(decoder, {"method": "ping"}) == []
    assert decode(decoder, [None, {"name": "xyz", "deployer": "0x"}]) == []


@pytest.mark.parametrize("frame", [{"foo": 1}, 42, "x", [], {}, None, [1], [{"foo": 1}]])
def test_unknown_shapes(frame: object) -> None:
    assert reasons(fresh(NAME).decode(json.dumps(frame), T0)) == ["unknown_shape"]


def test_connections_within_limits() -> None:
    listings = [Listing(NAME, f"C{n}", f"C{n}", False, 1.0, 1.0, 1.0, True, T0) for n in range(230)]
    plans = VENUE.connections(VENUE.endpoints, listings)
    assert [len(plan.frames) for plan in plans] == [200, 30] == [plan.acks for plan in plans]
    assert json.loads(plans[0].frames[0]) == {
        "method": "subscribe",
        "subscription": {"type": "activeAssetCtx", "coin": "C0"},
    }
    assert len(plans) * VENUE.limits.sends_per_s <= 20
    many = [Listing(NAME, f"C{n}", f"C{n}", False, 1.0, 1.0, 1.0, True, T0) for n in range(5000)]
    assert len(VENUE.connections(VENUE.endpoints, many)) <= 10
    assert VENUE.polls(VENUE.endpoints, listings, 10.0) == []
    assert VENUE.rules_for(99.0) == VENUE.rules
    (request,) = VENUE.metadata(VENUE.endpoints)
    assert (request.method, request.url, request.body) == (
        "POST",
        "https://api.hyperliquid.xyz/info",
        '{"type":"meta"}',
    )


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_no_mutation_escapes(seed: int) -> None:
    check_mutations(NAME, seed, 60)
