"""Kraken Futures' recorded frames against values worked out by hand, for every capture file."""

from __future__ import annotations

import pytest

from service.model import Funding
from service.venues import VENUES
from service.venues.contract import Catalog
from tests.venues.conformance import (
    CAPTURES,
    Row,
    catalog_of,
    decoded,
    files_of,
    flow,
    funding,
    interest,
    kinds_of,
    liquidation,
    mark,
    needs_captures,
    past,
    read,
    same,
)

pytestmark = needs_captures
NAME = "kraken_futures"


def inverse(name: str, symbol: str, dollars: float, price: float, ts: int) -> Row:
    return interest(name, symbol, dollars / price, dollars, 1 / price, ts, derived=True)


PF_XBT, PF_ETH, PI_XBT, PI_LTC, PI_BCH = (
    ("PF_XBTUSD", "BTC"),
    ("PF_ETHUSD", "ETH"),
    ("PI_XBTUSD", "BTC"),
    ("PI_LTCUSD", "LTC"),
    ("PI_BCHUSD", "BCH"),
)
SERVER_2022, SERVER_2025 = 1655463631335, 1763339677524  # 2022-06-17 11:00:31.335, 2025-11-17 00:34:37.524
NAMELESS: Row = ("skipped", "unknown_instrument", "")
EXPECTED: dict[str, list[Row]] = {
    "rest_error_2021.jsonl": [],
    "rest_historical_funding_pf_xbtusd_2025.json": [NAMELESS],
    "rest_historical_funding_rates_2022.json": [NAMELESS],
    "rest_historical_funding_rates_synthetic.json": [NAMELESS],
    "rest_instruments_2021.json": [],
    "rest_instruments_2025.json": [],
    "rest_instruments_2026.json": [],
    "rest_tickers_2022.json": [
        mark(*PI_XBT, 30209.9, 21087.8, SERVER_2022),
        inverse(*PI_XBT, 149655.0, 30209.9, SERVER_2022),
    ],
    "rest_tickers_2025.json": [
        mark(*PI_XBT, 91506.6009839176, 91468.38, SERVER_2025),
        inverse(*PI_XBT, 21279580.0, 91506.6009839176, SERVER_2025),
        mark(*PF_ETH, 3205.25, 3202.75, SERVER_2025),
        interest(*PF_ETH, 1e6, 1e6, 1.0, SERVER_2025),
    ],
    "ws_alert_errors_2026.jsonl": [],
    "ws_info_subscribe_ack_2021.jsonl": [],
    "ws_ticker_fi_dated_2019.jsonl": [],
    "ws_ticker_lite_2021.jsonl": [],
    "ws_ticker_pf_ethusd_2026.jsonl": [
        mark(*PF_ETH, 1751.97553924942, 1751.75, 1783587648112),
        funding(*PF_ETH, 0.0000186711875, 1.0, 1783591200000, 1783587648112),
        interest(*PF_ETH, 24085.822, 24085.822, 1.0, 1783587648112),
    ],
    "ws_ticker_pf_suiusd_zeros_2023.jsonl": [
        mark("PF_SUIUSD", "SUI", 1.3336, 1.3336, 1683116402169),
        interest("PF_SUIUSD", "SUI", 0.0, 0.0, 1.0, 1683116402169),
    ],
    "ws_ticker_pf_xbtusd_2026-09-05.jsonl": [  # the second one was cut down to its book: nothing is said, nothing bad
        mark(*PF_XBT, 79873.40587777576, 79871.28, 1788646159008),
        funding(*PF_XBT, 0.000012439370833333, 1.0, 1788649200000, 1788646159008),
        interest(*PF_XBT, 2055.214, 2055.214, 1.0, 1788646159008),
    ],
    "ws_ticker_pi_2019_2023.jsonl": [
        mark(*PI_LTC, 60.38, 60.31, 1554076800695),
        funding(*PI_LTC, 0.000104908704166667, 1.0, 1554091200000, 1554076800695),
        inverse(*PI_LTC, 631360.0, 60.38, 1554076800695),
        mark(*PI_LTC, 197.05, 196.82, 1617235200598),
        funding(*PI_LTC, 0.000156359265625, 1.0, 1617249600000, 1617235200598),
        inverse(*PI_LTC, 2239386.0, 197.05, 1617235200598),
        mark(*PI_BCH, 123.83534812969, 123.91, 1680307198986),
        funding(*PI_BCH, -0.000015670191666667, 1.0, 1680307200000, 1680307198986),
        inverse(*PI_BCH, 488789.0, 123.83534812969, 1680307198986),
    ],
    "ws_ticker_pi_xbtusd_2023-04.jsonl": [
        mark(*PI_XBT, 30253.61960357119, 30251.4, 1681492461791),
        funding(*PI_XBT, -0.000001687995833333, 1.0, 1681495200000, 1681492461791),
        inverse(*PI_XBT, 30590973.0, 30253.61960357119, 1681492461791),
    ],
    "ws_trade_doc.json": [flow(*PI_XBT, 0.0, 15000 / 34969.5, 1612266317519)],
    "ws_trade_fill_2019.jsonl": [],  # dated futures
    "ws_trade_liquidation_sell_2020.jsonl": [  # a long of 12,000 dollars at 0.1736: 69,124.42 XRP
        liquidation("PI_XRPUSD", "XRP", "long", 12000 / 0.1736, 0.1736, False, 1593561965283),
        flow("PI_XRPUSD", "XRP", 0.0, 12000 / 0.1736, 1593561965283),
    ],
    "ws_trade_pi_xbtusd_2022.jsonl": [flow(*PI_XBT, 0.0, 386 / 39054.5, 1646472684700)],
    "ws_trade_snapshot_doc.json": [],
    "ws_trade_snapshot_pf_xbtusd_2026.jsonl": [],
    "ws_trade_snapshot_pi_xbtusd_2022.jsonl": [],
}


def test_every_capture_file_is_accounted_for() -> None:
    assert sorted(EXPECTED) == files_of(NAME)


@pytest.mark.parametrize("name", EXPECTED)
def test_capture(name: str) -> None:
    same(read(NAME, name), EXPECTED[name])


def test_open_interest_in_coins() -> None:
    """30,590,973 dollars at 30,253.62 are 1,011.15 BTC."""
    (_, _, found) = read(NAME, "ws_ticker_pi_xbtusd_2023-04.jsonl")
    assert found["coins"] == pytest.approx(1011.15, abs=0.01)


@pytest.mark.parametrize(
    ("file", "product", "expected"),
    [
        (
            "rest_historical_funding_pf_xbtusd_2025.json",
            "PF_XBTUSD",
            [(1758700800000, 1.1795815277778e-05), (1758704400000, 1.3625181944444e-05), (1758708000000, 1.49229e-05)],
        ),
        (
            "rest_historical_funding_rates_2022.json",
            "PI_XBTUSD",
            [
                (1656374400000, -0.000016898883333333),
                (1656388800000, -5.40935416667e-7),
                (1656403200000, -0.000008521190625),
            ],
        ),
        (
            "rest_historical_funding_rates_synthetic.json",
            "PI_XBTUSD",
            [(1752220800000, 0.0001), (1752192000000, -0.00005), (1752163200000, 0.00015)],
        ),
    ],
)
def test_funding_history(file: str, product: str, expected: list[tuple[int, float]]) -> None:
    """Relative rates, per hour, once the request has said whose they are."""
    body = (CAPTURES / NAME / file).read_bytes()
    found = VENUES[NAME].decoder(Catalog()).decode(body, 0, f"historicalfundingrates:{product}")
    for item, (at, rate) in zip(found, expected, strict=True):
        assert item == Funding(NAME, product, "BTC", rate, 1.0, rate * 8, None, True, at, 0)


def test_recorded_rates_as_the_past() -> None:
    name = "rest_historical_funding_pf_xbtusd_2025.json"
    received = 1758710000000
    assert past(NAME, name, "history:funding:PF_XBTUSD", received) == [
        ("funding", 1758700800000, 1.1795815277778e-05),
        ("funding", 1758704400000, 1.3625181944444e-05),
        ("funding", 1758708000000, 1.49229e-05),
    ]
    assert past(NAME, name, "history:funding:PF_XBTUSD") == []  # read years later, it is out of date


def test_a_trade_after_the_replay_that_held_it() -> None:
    """222736 is the newest of the replay of 2022, and 222737 comes next."""
    found = read(NAME, "ws_trade_snapshot_pi_xbtusd_2022.jsonl", "ws_trade_pi_xbtusd_2022.jsonl")
    same(found, EXPECTED["ws_trade_pi_xbtusd_2022.jsonl"])


def test_instruments() -> None:
    """Lower-case names and dated contracts and indices in 2021; stocks without a mark of it in 2025."""
    old = catalog_of(NAME, "rest_instruments_2021.json", "instruments")
    assert {name: listing.symbol for name, listing in old.listings.items()} == {
        "PI_XBTUSD": "BTC",
        "PI_ETHUSD": "ETH",
        "PI_LTCUSD": "LTC",
        "PI_BCHUSD": "BCH",
        "PI_XRPUSD": "XRP",
    }
    assert all(item.inverse and item.trading and item.contract_size == 1.0 for item in old.listings.values())
    assert len(old.foreign) == 22
    newer = catalog_of(NAME, "rest_instruments_2025.json", "instruments")
    assert list(newer.listings) == ["PI_XBTUSD", "PF_ETHUSD", "PF_PEPEUSD", "PF_AAPLXUSD"]
    pepe = newer.listings["PF_PEPEUSD"]
    assert (pepe.symbol, pepe.multiplier, pepe.contract_size, pepe.interval_h) == ("1000PEPE", 0.001, 0.001, 1.0)
    newest = catalog_of(NAME, "rest_instruments_2026.json", "instruments")
    assert {name: (listing.symbol, listing.inverse) for name, listing in newest.listings.items()} == {
        "PF_XBTUSD": ("BTC", False),
        "PF_DOGEUSD": ("DOGE", False),
        "PI_XBTUSD": ("BTC", True),
    }
    assert newest.foreign.keys() == {"FF_XBTUSD_261225"}


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("rest_error_2021.jsonl", ["refused"] * 2),
        ("ws_alert_errors_2026.jsonl", ["refused"] * 4),
        ("ws_info_subscribe_ack_2021.jsonl", ["info"] + ["ack"] * 30),
        ("ws_ticker_pf_ethusd_2026.jsonl", ["ack"]),
        ("ws_ticker_pf_xbtusd_2026-09-05.jsonl", ["info", "ack"]),
        ("ws_ticker_lite_2021.jsonl", ["ack"] * 10),
    ],
)
def test_control_frames(name: str, kinds: list[str]) -> None:
    found = decoded(NAME, name)
    assert kinds_of(found) == kinds
