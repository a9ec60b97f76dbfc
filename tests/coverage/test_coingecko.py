"""Answers of CoinGecko's list of derivatives, in the documented shape."""

from __future__ import annotations

import tracemalloc
from typing import Any

import orjson
import pytest

from service.coverage import LIST, Listed, Tickers
from service.coverage.coingecko import Ticker
from service.errors import BadPayload
from service.venues.symbols import ASSETS
from tests.fakes.source_server import derivative

NOW = 1_795_000_000_000  # 2026-11-18
BTC = derivative("HTX Futures", "BTC-USDT", "BTC", "83000.5")


def read(rows: Any, symbols: tuple[str, ...] = ("BTC",), step: int = 7) -> Listed:
    body = rows if isinstance(rows, bytes) else orjson.dumps(rows)
    reader = Tickers(symbols, ASSETS, NOW)
    for start in range(0, len(body), step):
        reader.feed(body[start : start + step])
    return reader.finish()


def test_the_documented_row() -> None:
    listed = read([BTC, derivative("Deepcoin (Derivatives)", "ETHUSDT", "ETH", "3395.91")])
    assert listed.tickers == {"BTC": (Ticker("HTX Futures", "BTC-USDT", 9_327_998.66, 392_642_535.232, (83_000.5,)),)}
    assert (listed.as_of, listed.rows, listed.markets, listed.left_out) == (NOW, 2, 2, {})


@pytest.mark.parametrize(
    ("stated", "oi_usd", "reason"),
    [
        (None, None, None),
        (0, None, None),  # most venues that tell none: no figure, which is no open interest of 0
        ("0.0", None, None),
        (12.5, 12.5, None),
        ("12.5", 12.5, None),
        (-12.5, None, "out_of_bounds"),
        (2e12, None, "out_of_bounds"),
        ("12,5", None, "bad_number"),
        ("N/A", None, "bad_number"),
        (True, None, "wrong_type"),
        ([], None, "wrong_type"),
    ],
)
def test_open_interest(stated: Any, oi_usd: float | None, reason: str | None) -> None:
    listed = read([{**BTC, "open_interest": stated}])
    assert [item.oi_usd for item in listed.tickers["BTC"]] == ([] if reason else [oi_usd])
    assert listed.left_out == ({"BTC": {reason: 1}} if reason else {})


@pytest.mark.parametrize("stated", [None, "lots", -1.0, []])
def test_a_volume_that_cannot_be_read_costs_the_volume(stated: Any) -> None:
    [ticker] = read([{**BTC, "volume_24h": stated}]).tickers["BTC"]
    assert (ticker.oi_usd, ticker.volume_usd) == (9_327_998.66, None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"contract_type": "futures"}, "dated"),
        ({"contract_type": None}, "unknown_kind"),
        ({"symbol": "BTC-USDT-261225"}, "dated"),  # called perpetual, dated by name
        ({"symbol": "BTC-25DEC26-90000-C"}, "option"),
        ({"symbol": "xyz:BTC"}, "builder_dex"),
        ({"last_traded_at": NOW // 1000 - 86_401}, "old"),
        ({"last_traded_at": NOW // 1000 + 3_601}, "out_of_bounds"),
        ({"last_traded_at": "yesterday"}, "bad_number"),
        ({"price": None}, "wrong_type"),
        ({"price": "-1"}, "out_of_bounds"),
    ],
)
def test_rows_left_out_are_counted(changes: dict[str, Any], reason: str) -> None:
    listed = read([{**BTC, **changes}, derivative("BingX (Futures)", "BTC-USDT", "BTC", "83001.5")])
    assert [item.market for item in listed.tickers["BTC"]] == ["BingX (Futures)"]
    assert listed.left_out == {"BTC": {reason: 1}}


@pytest.mark.parametrize(
    "row", [None, 7, [], {}, {**BTC, "market": None}, {**BTC, "symbol": ""}, {**BTC, "market": "x" * 101}]
)
def test_a_row_that_cannot_be_read_costs_itself(row: Any) -> None:
    listed = read([row, BTC])
    assert len(listed.tickers["BTC"]) == 1
    assert listed.left_out == {"": {"wrong_type": 1}}


def test_names_and_units() -> None:
    """Cause: the same coin is listed per 1, 1,000 or 1,000,000 tokens, under old names, and in any script. Which of its
    two names says the unit of the price is documented nowhere: both are tried."""
    rows = [
        derivative("MEXC (Futures)", "PEPE_USDT", "PEPE", "0.00000463"),
        derivative("Binance (Futures)", "1000PEPEUSDT", "PEPE", "0.00464"),
        derivative("HTX Futures", "PEPE1000-USDT", "1000PEPE", "0.00465"),
        derivative("KuCoin Futures", "TONUSDTM", "TON", "1.58"),
        derivative("BingX (Futures)", "GRAM-USDT", "gram", "1.59"),
        derivative("Kraken (Futures)", "PF_XBTUSD", None, "83002.5"),
        derivative("Toobit Futures", "龙虾USDT", "龙虾", "0.25"),
    ]
    listed = read(rows, ("1000PEPE", "GRAM", "BTC", "龙虾"))
    found = {symbol: [(item.market, item.prices) for item in items] for symbol, items in listed.tickers.items()}
    assert found["1000PEPE"][0] == ("MEXC (Futures)", (pytest.approx(0.00463),))
    assert found["1000PEPE"][1] == ("Binance (Futures)", (pytest.approx(4.64), 0.00464))
    assert found["1000PEPE"][2] == ("HTX Futures", (0.00465,))
    assert found["GRAM"] == [("KuCoin Futures", (1.58,)), ("BingX (Futures)", (1.59,))]
    assert found["BTC"] == [("Kraken (Futures)", (83_002.5,))]
    assert found["龙虾"] == [("Toobit Futures", (0.25,))]


def test_a_ticker_told_twice_counts_once() -> None:
    listed = read([BTC, {**BTC, "open_interest": 1.5}])
    assert [item.oi_usd for item in listed.tickers["BTC"]] == [9_327_998.66]
    assert listed.left_out == {"BTC": {"repeated": 1}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>busy</html>",
        b"[]",
        b"{}",
        b'{"status":{"error_code":429}}',
        b"7",
        b"[1,2]",
        orjson.dumps([BTC])[:-9],
    ],
)
def test_what_is_no_list_of_tickers_is_refused(body: bytes) -> None:
    with pytest.raises(BadPayload):
        read(body)


def test_memory_does_not_grow_with_the_list() -> None:
    """Of other symbols nothing is kept."""
    body = orjson.dumps([{**BTC, "index_id": f"X{number}", "symbol": f"X{number}USDT"} for number in range(8000)])
    reader = Tickers(("BTC",), ASSETS, NOW)
    tracemalloc.start()
    for start in range(0, len(body), 65_536):
        reader.feed(body[start : start + 65_536])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reader.finish().rows == 8000
    assert len(body) > 2_500_000
    assert peak < 1_000_000


def test_the_limit_is_above_what_the_list_has() -> None:
    assert 3 * 9e6 < LIST.max_bytes < 64 << 20
