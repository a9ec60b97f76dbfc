"""Gate's recorded frames against values worked out by hand, for every capture file."""

from __future__ import annotations

import pytest

from service.model import Control, Listing, LongShort, OiSides
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
    ratio,
    read,
    same,
)

pytestmark = needs_captures
NAME = "gate"


def unsized(name: str) -> Row:
    """Open interest whose contract size no metadata has said."""
    return ("skipped", "unknown_contract_size", name)


def unsided(name: str) -> Row:
    """A socket's liquidation: what its sign means has not been measured."""
    return ("skipped", "unknown_side", name)


BTC = ("BTC_USDT", "BTC")
ETC = ("ETC_USD", "ETC")
ETC_2020 = [
    mark(*ETC, 5.735, 5.734, 1593561606000),
    funding(*ETC, 0.0001, None, None, 1593561606000),
    unsized("ETC_USD"),
]


def rest_ticker(symbol: str, price: float, index: float, rate: float) -> list[Row]:
    name = (f"{symbol}_USDT", symbol)
    return [mark(*name, price, index, None), funding(*name, rate, None, None, None), unsized(name[0])]


EXPECTED: dict[str, list[Row]] = {
    "rest_contract_stats_btc_usdt_2022.json": [],
    "rest_contracts_2023_subset.json": [],
    "rest_contracts_2026-09-11_subset.json": [],
    "rest_liq_orders_2026-09-12_subset.json": [
        unsized(f"{symbol}_USDT") for symbol in ("H", "LSK", "龙虾", "SOL", "BTC", "AKE", "AKE")
    ],
    "rest_liq_orders_doc.json": [],  # without order_size: how much was forced is not said
    "rest_tickers_2026-09-11_subset.json": [
        *rest_ticker("BTC", 77755.8, 77786.25, 0.000016),
        *rest_ticker("ETH", 2573.85, 2574.37, 0.000007),
        *rest_ticker("2Z", 0.04671, 0.046809, 0.00005),
        *rest_ticker("ANDURIL", 124.0, 124.0, 0.0),
    ],
    "ws_acks_2020.jsonl": [],
    "ws_contract_stats_doc.jsonl": [  # accounts 1.97, top accounts 1.196 and top sizes 0.834 long for one short
        ratio("ETH_USDT", "ETH", "account", 1.9713114754098362 / 2.9713114754098362, 1742812860000),
        ratio("ETH_USDT", "ETH", "top_account", 1.196078431372549 / 2.196078431372549, 1742812860000),
        ratio("ETH_USDT", "ETH", "top_position", 0.8342584430144387 / 1.8342584430144387, 1742812860000),
    ],
    "ws_pong_2026_09.json": [],
    "ws_public_liquidates_2026_08.jsonl": [unsided("HEI_USDT")] * 2,
    "ws_public_liquidates_doc_2026_08.jsonl": [unsided("BTC_USDT")] * 4,
    "ws_subscribe_ack_2026_10.json": [],
    "ws_subscribe_error_2026_09.jsonl": [],
    "ws_subscribe_requests_acks_2023.jsonl": [],
    "ws_ticker_btc_usdt_2022.json": [
        mark(*BTC, 29908.0, 29908.95, 1654162715000),
        funding(*BTC, -0.00004, None, None, 1654162715000),
        unsized("BTC_USDT"),
    ],
    "ws_ticker_btc_usdt_2026_10.json": [
        mark(*BTC, 84588.1, 84634.7, 1791009973252),
        funding(*BTC, -0.000011, 8.0, 1791014400000, 1791009973252),
        unsized("BTC_USDT"),
    ],
    "ws_ticker_shapes_2020_2023.jsonl": [
        *ETC_2020,
        *ETC_2020,
        mark(*ETC, 26.929, 26.9291, 1647501206000),
        funding(*ETC, 0.0001, None, None, 1647501206000),
        unsized("ETC_USD"),
    ],
    "ws_trade_btc_usdt_2026_10.json": [unsized("BTC_USDT")],
    "ws_trades_2020_2021.jsonl": [unsized("COMP_USDT"), unsized("ETH_USDT"), unsized("BTC_USDT")],
}


def test_every_capture_file_is_accounted_for() -> None:
    assert sorted(EXPECTED) == files_of(NAME)


@pytest.mark.parametrize("name", EXPECTED)
def test_capture(name: str) -> None:
    same(read(NAME, name), EXPECTED[name])


def test_contracts() -> None:
    """Ten contracts of May 2023, all at 8 h; ours are counted in the canonical unit (1000PEPE: 1,000 PEPE)."""
    catalog = catalog_of(NAME, "rest_contracts_2023_subset.json", "contracts:usdt")
    sizes = {name: listing.contract_size for name, listing in catalog.listings.items()}
    assert sizes == {
        "ETH_USDT": 0.01,
        "FLOKI_USDT": 10.0,
        "LUNC_USDT": 10.0,
        "SOL_USDT": 1.0,
        "BONK_USDT": 1000.0,
        "SHIB_USDT": 10.0,
        "PEPE_USDT": 10000.0,
        "BTC_USDT": 0.0001,
        "XRP_USDT": 10.0,
        "DOGE_USDT": 10.0,
    }
    pepe = Listing(NAME, "PEPE_USDT", "1000PEPE", False, 10000.0, 0.001, 8.0, True, 0)
    assert catalog.listings["PEPE_USDT"] == pepe
    assert {listing.interval_h for listing in catalog.listings.values()} == {8.0}


def test_coins_with_metadata() -> None:
    """503,655,852 contracts of 0.0001 BTC on both sides: 25,182.8 BTC, 2.13 billion dollars."""
    found = read(NAME, "rest_contracts_2023_subset.json", "ws_ticker_btc_usdt_2026_10.json")
    same(found[2:], [interest(*BTC, 25182.7926, 251827926.0, 0.0001, 1791009973252, True)])
    assert found[0]["mark"] * found[2]["coins"] == pytest.approx(2.13e9, rel=1e-3)


def test_sides_measured_in_recorded_lists() -> None:
    """The contract list and the tickers of one minute: total_size is twice position_size."""
    catalog = catalog_of(NAME, "rest_contracts_2026-09-11_subset.json", "contracts:usdt")
    body = (CAPTURES / NAME / "rest_tickers_2026-09-11_subset.json").read_bytes()
    (sides,) = VENUES[NAME].decoder(catalog).decode(body, 0, "sides:usdt")
    assert isinstance(sides, OiSides)
    assert (sides.sides, sides.ratio, sides.compared, sides.agreeing) == (
        2,
        2.0,
        4,
        1.0,
    )  # one is a stock, counted alike


def test_trades_and_liquidations_with_metadata() -> None:
    """Contracts of 0.0001 BTC and 0.01 ETH; a trade's sign is the taker's, a liquidation's the position's."""
    contracts = "rest_contracts_2023_subset.json"
    found = read(NAME, contracts, "ws_trade_btc_usdt_2026_10.json")
    same(found, [flow(*BTC, 0.0005, 0.0, 1791009974834)])
    found = read(NAME, contracts, "ws_trades_2020_2021.jsonl")
    same(found, [
        unsized("COMP_USDT"),
        flow("ETH_USDT", "ETH", 0.0, 0.22, 1593561623000),
        flow(*BTC, 0.3, 0.0, 1614556850860),
    ])  # fmt: skip
    found = read(NAME, contracts, "rest_liq_orders_2026-09-12_subset.json")
    same([row for row in found if "skipped" not in row], [
        liquidation("SOL_USDT", "SOL", "long", 4.2, 101.24, False, 1789242436000),
        liquidation(*BTC, "long", 0.02, 77030.6, False, 1789242268000),
    ])  # fmt: skip


def test_recorded_statistics_as_the_past() -> None:
    """Stamped 09:35 and 09:40 on 4 June 2022; each counts from five minutes later, read as both sides."""
    name = "rest_contract_stats_btc_usdt_2022.json"
    points = [("oi", 1654335600000, 374886757.5), ("oi", 1654335900000, 374861781.5)]
    assert past(NAME, name, "history:oi:BTC_USDT") == points
    assert past(NAME, name, "history:oi:BTC_USDT", 1654335899999) == points[:1]


def test_recorded_statistics_as_ratios() -> None:
    """1.786 accounts, 1.174 top accounts and 0.907 of top sizes long for one short, in the newer row."""
    body = (CAPTURES / NAME / "rest_contract_stats_btc_usdt_2022.json").read_bytes()
    found = VENUES[NAME].decoder(Catalog()).decode(body, 0, "contract_stats:BTC_USDT")
    assert [(item.kind, round(item.long_share, 4)) for item in found if isinstance(item, LongShort)] == [
        ("account", 0.6411),
        ("top_account", 0.54),
        ("top_position", 0.4757),
    ]


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("ws_acks_2020.jsonl", ["ack"] * 3),
        ("ws_contract_stats_doc.jsonl", ["ack"]),
        ("ws_pong_2026_09.json", ["pong"]),
        ("ws_subscribe_ack_2026_10.json", ["ack"]),
        ("ws_subscribe_error_2026_09.jsonl", ["refused", "ack"]),
        ("ws_subscribe_requests_acks_2023.jsonl", ["ack"] * 2),
    ],
)
def test_control_frames(name: str, kinds: list[str]) -> None:
    found = decoded(NAME, name)
    assert kinds_of(found) == kinds
    assert all(isinstance(item, Control | LongShort) for item in found)
