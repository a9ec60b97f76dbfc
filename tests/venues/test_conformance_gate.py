"""Gate's recorded frames against values worked out by hand, for every capture file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.model import Control, Listing
from service.venues import VENUES
from service.venues.gate import Gate
from service.venues.spec import Catalog
from tests.venues.test_conformance import CAPTURES, Row, catalog_of, funding, interest, mark, pytestmark, read, same

__all__ = ["pytestmark"]
NAME = "gate"


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    """The shared helpers find venues by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VENUES, NAME, Gate())
        yield


def unsized(name: str) -> Row:
    """Open interest whose contract size no metadata has said."""
    return ("skipped", "unknown_contract_size", name)


BTC = ("BTC_USDT", "BTC")
ETC = ("ETC_USD", "ETC")
ETC_2020 = [
    mark(*ETC, 5.735, 5.734, 1593561606000),
    funding(*ETC, 0.0001, None, None, 1593561606000),
    unsized("ETC_USD"),
]
EXPECTED: dict[str, list[Row]] = {
    "rest_contract_stats_btc_usdt_2022.json": [],
    "rest_contracts_2023_subset.json": [],
    "rest_liq_orders_doc.json": [],
    "ws_acks_2020.jsonl": [],
    "ws_contract_stats_doc.jsonl": [],
    "ws_pong_2026_09.json": [],
    "ws_public_liquidates_2026_08.jsonl": [],
    "ws_public_liquidates_doc_2026_08.jsonl": [],
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
    "ws_trade_btc_usdt_2026_10.json": [],
    "ws_trades_2020_2021.jsonl": [],
}


def test_every_capture_file_is_accounted_for() -> None:
    assert sorted(EXPECTED) == sorted(path.name for path in (CAPTURES / NAME).iterdir())


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
    """503,655,852 and 754,413,619 contracts of 0.0001 BTC: 4.26 and 2.26 billion dollars."""
    found = read(NAME, "rest_contracts_2023_subset.json", "ws_ticker_btc_usdt_2026_10.json")
    same(found[2:], [interest(*BTC, 50365.5852, 503655852.0, 0.0001, 1791009973252)])
    assert found[0]["mark"] * found[2]["coins"] == pytest.approx(4.26e9, rel=1e-3)
    found = read(NAME, "rest_contracts_2023_subset.json", "ws_ticker_btc_usdt_2022.json")
    same(found, [
        mark(*BTC, 29908.0, 29908.95, 1654162715000),
        funding(*BTC, -0.00004, 8.0, None, 1654162715000),
        interest(*BTC, 75441.3619, 754413619.0, 0.0001, 1654162715000),
    ])  # fmt: skip


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
    decoder = VENUES[NAME].decoder(Catalog())
    frames = (CAPTURES / NAME / name).read_text().splitlines()
    found = [item for frame in frames if frame.strip() for item in decoder.decode(frame, 0)]
    assert [item.kind for item in found if isinstance(item, Control)] == kinds
    assert len(found) == len(kinds)
