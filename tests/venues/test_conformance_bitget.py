"""Real recorded frames of Bitget against values worked out by hand, for every capture file."""

from __future__ import annotations

import pytest

from service.model import Control, Listing
from tests.venues.conformance import (
    Row,
    catalog_of,
    decoded,
    files_of,
    flow,
    funding,
    interest,
    liquidation,
    mark,
    needs_captures,
    read,
    same,
)

pytestmark = needs_captures
NAME = "bitget"
BTC = ("BTCUSDT", "BTC")


def ticker_2026(hours: float | None) -> list[Row]:
    at, amount = 1790358794983, 31911.3455999999605
    return [
        mark(*BTC, 83692.3, 83720.9225, at),
        funding(*BTC, 0.0001, hours, 1790380800000, at),
        interest(*BTC, amount, amount, 1.0, at),
    ]


def ticker_v3_2026(hours: float | None) -> list[Row]:
    at, amount = 1777358880084, 29539.3825
    return [
        mark(*BTC, 76631.3, 76671.4381686055379793, at),
        funding(*BTC, -0.00003, hours, 1777363200000, at),
        interest(*BTC, amount, amount, 1.0, at),
    ]


def rest_v3_ticker(symbol: str, price: float, index: float, rate: float, amount: float, at: int) -> list[Row]:
    name = (f"{symbol}USDT", symbol)
    return [
        mark(*name, price, index, at),
        funding(*name, rate, None, None, at),
        interest(*name, amount, amount, 1.0, at),
    ]


EXPECTED: dict[str, list[Row]] = {
    "legacy_v1_ticker_2022.jsonl": [],  # a retired socket with other units and names
    "rest_contracts_2026.json": [],
    "rest_funding_time_doc.json": [],
    "rest_history_fund_rate_2026.json": [
        funding(*BTC, 0.000078, 8.0, None, 1790352000000, settled=True),
        funding(*BTC, 0.000053, 8.0, None, 1790323200000, settled=True),
        funding(*BTC, 0.000027, 8.0, None, 1790294400000, settled=True),
        funding(*BTC, 0.000044, 8.0, None, 1790265600000, settled=True),
        funding(*BTC, 0.000059, 8.0, None, 1790236800000, settled=True),
    ],
    "rest_open_interest_doc.json": [interest(*BTC, 34278.06, 34278.06, 1.0, 1695796781616)],
    "rest_v3_current_fund_rate_doc.json": [funding(*BTC, 0.000071, 8.0, 1743062400000, 1743059269376)],
    "rest_v3_instruments_2026.json": [],
    "rest_v3_tickers_2026-09-13_subset.json": [  # neither interval nor next time; no metadata says what SP500 is
        *rest_v3_ticker("BTC", 76967.7, 76999.899, 0.00005, 35917.05359999992, 1789337180512),
        *rest_v3_ticker("ETH", 2488.9, 2490.4065, 0.0001, 801617.43000000036, 1789337180304),
        *rest_v3_ticker("SP500", 7614.4, 7621.7381583525624667, 0.0, 932.5425000000000092, 1789337180851),
    ],
    "ws_acks_2024.jsonl": [],
    "ws_error_30016_2026.json": [],
    "ws_ticker_btcusdt_2026.json": ticker_2026(None),
    "ws_trade_doc.jsonl": [],  # a request, its ack, the snapshot: nothing new
    "ws_trade_dogeusd_2024.json": [flow("DOGEUSD", "DOGE", 447.0, 0.0, 1730332859962)],
    "ws_v3_liquidation_2026.json": [  # 13.70319 dollars at 0.1649 are 83.1 coins; the price is of the position's end
        liquidation("APEUSDT", "APE", "long", 83.1, 0.1649, True, 1777358886549),
        liquidation("IPUSDT", "IP", "long", 143.330431857868 / 0.500280739469, 0.500280739469, True, 1777358876983),
    ],
    "ws_v3_ticker_btcusdt_2026.json": ticker_v3_2026(None),
}


def test_every_capture_file_is_accounted_for() -> None:
    assert sorted(EXPECTED) == files_of(NAME)


@pytest.mark.parametrize("name", EXPECTED)
def test_capture(name: str) -> None:
    same(read(NAME, name), EXPECTED[name])


def test_the_interval_comes_from_the_metadata() -> None:
    same(read(NAME, "rest_contracts_2026.json", "ws_ticker_btcusdt_2026.json"), ticker_2026(8.0))
    same(read(NAME, "rest_v3_instruments_2026.json", "ws_v3_ticker_btcusdt_2026.json"), ticker_v3_2026(8.0))
    same(read(NAME, "rest_funding_time_doc.json", "ws_ticker_btcusdt_2026.json"), ticker_2026(8.0))


def test_float_noise_rounds_away() -> None:
    coins = read(NAME, "ws_ticker_btcusdt_2026.json")[2]["coins"]
    assert round(coins, 4) == 31911.3456


@pytest.mark.parametrize("name", ["rest_contracts_2026.json", "rest_v3_instruments_2026.json"])
def test_metadata(name: str) -> None:
    catalog = catalog_of(NAME, name, "contracts:USDT-FUTURES")
    assert catalog.listings["BTCUSDT"] == Listing(NAME, "BTCUSDT", "BTC", False, 1.0, 1.0, 8.0, True, 0)
    names = ["BTCUSDT", "ETHUSDT", "XRPUSDT"] if name.startswith("rest_contracts") else ["BTCUSDT"]
    assert list(catalog.listings) == names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "ws_acks_2024.jsonl",
            [
                Control("ack", "trade:LTCUSDT", "subscribe"),
                Control("ack", "trade:BTCPERP", "subscribe"),
                Control("ack", "ticker:BTCUSDT", "subscribe"),
            ],
        ),
        ("ws_error_30016_2026.json", [Control("refused", "candle1h:BTCUSDT", "30016 Param error")]),
        ("ws_trade_doc.jsonl", [Control("ack", "trade:BTCUSDT", "subscribe")]),
    ],
)
def test_control_frames(name: str, expected: list[Control]) -> None:
    assert decoded(NAME, name) == expected
