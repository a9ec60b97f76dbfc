"""The engine of `elr decode`: framing, row shapes, errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import ConfigError
from service.venues import VENUES
from service.venues.decoding import decode_document
from tests.venues.frames import load


def rows(venue: str, text: str | bytes) -> list[dict[str, Any]]:
    return list(decode_document(venue, text))


def line(venue: str, name: str) -> str:
    return json.dumps(json.loads(load(venue, name)))


def test_order_of_venues_is_fixed() -> None:
    assert list(VENUES) == [
        "binance_usdm", "binance_coinm", "bybit", "okx", "bitget", "gate", "deribit", "kraken_futures", "bitmex",
        "hyperliquid", "dydx", "aster", "lighter",
    ]  # fmt: skip
    assert [venue.name for venue in VENUES.values()] == list(VENUES)
    assert [venue.rules.venue for venue in VENUES.values()] == list(VENUES)


def test_unknown_venue() -> None:
    with pytest.raises(ConfigError, match="nyse"):
        rows("nyse", "{}")


def test_row_shapes() -> None:
    assert rows("bybit", load("bybit", "ws_tickers_snapshot")) == [
        {"venue": "bybit", "instrument": "ETHUSDT", "symbol": "ETH", "stream": "mark", "mark": 3010.25,
         "index": 3011.75, "venue_ts": 1763719200100},
        {"venue": "bybit", "instrument": "ETHUSDT", "symbol": "ETH", "stream": "funding", "rate": 0.000062,
         "interval_h": 4.0, "rate_8h": 0.000124, "next_ts": 1763726400000, "settled": False,
         "venue_ts": 1763719200100},
        {"venue": "bybit", "instrument": "ETHUSDT", "symbol": "ETH", "stream": "oi", "coins": 400050.25,
         "contracts": 400050.25, "contract_coins": 1.0, "venue_ts": 1763719200100, "derived": False},
    ]  # fmt: skip


def test_a_pretty_printed_document_is_one_frame() -> None:
    pretty = json.dumps(json.loads(load("binance_usdm", "http_get_funding_rate")), indent=2)
    assert len(rows("binance_usdm", pretty)) == 3


def test_an_array_of_frames_is_several() -> None:
    frames = [
        json.loads(load("bybit", "ws_tickers_snapshot")),
        {"foo": 1},
        json.loads(load("bybit", "ws_tickers_delta")),
    ]
    found = rows("bybit", json.dumps(frames, indent=1))
    assert [row.get("stream") for row in found] == ["mark", "funding", "oi", None, "mark"]
    assert found[3] == {"error": "bad_payload", "reason": "unknown_shape", "frame": 2}


def test_lines_blank_lines_and_state() -> None:
    text = f"\n{line('bybit', 'ws_tickers_snapshot')}\r\n\n   \n{line('bybit', 'ws_tickers_delta')}\n"
    assert [row["mark"] for row in rows("bybit", text) if row["stream"] == "mark"] == [3010.25, 3012.5]


def test_frames_are_counted_from_one_without_blank_lines() -> None:
    text = f"\n\n{line('okx', 'ws_mark_price')}\n\nnot json\n\n{{}}\n"
    assert rows("okx", text)[1:] == [
        {"error": "bad_payload", "reason": "bad_json", "frame": 2},
        {"error": "bad_payload", "reason": "unknown_shape", "frame": 3},
    ]


@pytest.mark.parametrize("venue", VENUES)
def test_text_keep_alives_are_no_errors(venue: str) -> None:
    assert rows(venue, "ping\npong\n") == []


def test_metadata_first_sets_contract_sizes() -> None:
    row = '{"instId":"BTC-USD-SWAP","instType":"SWAP","oi":"800","ts":"1763719199000"}'
    interest = f'{{"arg":{{"channel":"open-interest","instId":"BTC-USD-SWAP"}},"data":[{row}]}}'
    mark = interest.replace("open-interest", "mark-price").replace('"oi":"800"', '"markPx":"80000"')
    skipped = {"venue": "okx", "instrument": "BTC-USD-SWAP"}
    assert rows("okx", interest + "\n" + interest)[0] == {"skipped": "unknown_contract_size", **skipped, "frame": 1}
    metadata = line("okx", "http_get_instruments")
    dated = {"skipped": "dated", "venue": "okx", "instrument": "BTC-USD-260327", "frame": 1}
    assert rows("okx", metadata + "\n" + interest) == [dated, {"skipped": "no_mark", **skipped, "frame": 2}]
    found = rows("okx", "\n".join((metadata, mark, interest)))
    assert (found[2]["coins"], found[2]["derived"]) == (1.0, True)


def test_next_funding_that_only_a_receive_time_could_tell_is_null() -> None:
    (funding,) = [
        row for row in rows("hyperliquid", load("hyperliquid", "ws_active_asset_ctx")) if row["stream"] == "funding"
    ]
    assert funding["next_ts"] is None
    assert funding["interval_h"] == 1.0


def test_byte_order_mark_and_broken_text() -> None:
    text = load("okx", "ws_mark_price")
    assert len(rows("okx", b"\xef\xbb\xbf" + text.encode())) == 1
    assert rows("okx", text.replace("140.75", "\udcff"))[0]["reason"] == "bad_json"
    assert rows("okx", b"\xff\xfe")[0]["reason"] == "bad_json"


def test_nothing_in_nothing_out() -> None:
    for venue in VENUES:
        assert rows(venue, "") == rows(venue, "\n \n") == []


def test_an_item_nested_too_deep() -> None:
    found = rows("bybit", '[{"topic":' + "[" * 400 + "]" * 400 + "}]")
    assert found == [{"error": "bad_payload", "reason": "too_deep", "frame": 1}]


@given(st.sampled_from(list(VENUES)), st.one_of(st.text(max_size=60), st.binary(max_size=60)))
def test_any_input_gives_rows_that_json_can_hold(venue: str, text: str | bytes) -> None:
    for row in rows(venue, text):
        assert json.loads(json.dumps(row, allow_nan=False)) == row
