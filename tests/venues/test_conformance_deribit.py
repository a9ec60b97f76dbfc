"""Deribit's recorded frames against values worked out by hand, for every capture file."""

from __future__ import annotations

import pytest

from service.model import Listing
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
    read,
    same,
)

pytestmark = needs_captures
NAME = "deribit"
BTC = ("BTC-PERPETUAL", "BTC")


def btc(price: float, index: float | None, rate: float, dollars: float, ts: int) -> list[Row]:
    """The three observations of the inverse perpetual; 1 USD of open interest is 1/mark coins."""
    return [
        mark(*BTC, price, index, ts),
        funding(*BTC, rate, 8.0, None, ts),
        interest(*BTC, dollars / price, dollars, 1 / price, ts, derived=True),
    ]


EXPECTED: dict[str, list[Row]] = {
    "rest_book_summary_btc_perpetual_2022.jsonl": btc(29700.53, None, 0.0, 560105870.0, 1654340303741),
    "rest_get_instrument_btc_perpetual.json": [],
    "rest_get_order_book.json": btc(87006.21, 86992.82, 0.0, 1139551440.0, 1766554855140),
    "rest_instrument_entries_perpetuals_2021.jsonl": [],
    "rest_order_book_btc_perpetual_2022.jsonl": btc(30436.94, 30418.45, 0.00010785, 560520540.0, 1654246806027),
    "ws_deribit_price_index.jsonl": [mark(*BTC, None, 3937.89, 1550588002899)],
    "ws_error_invalid_params_2020.jsonl": [],
    "ws_error_raw_unauthorized_2022.jsonl": [],
    "ws_error_too_many_requests.json": [],
    "ws_heartbeat_test_request.json": [],
    "ws_incremental_ticker_doc_2021.jsonl": btc(36446.51, 36441.64, 0.0, 502097590.0, 1623060194301),
    "ws_incremental_ticker_snapshot_2023.jsonl": btc(23408.41, 23406.85, 0.0, 333091400.0, 1677592580023),
    "ws_platform_state.jsonl": [],
    "ws_subscribe_ack_nautilus.json": [],
    "ws_subscribe_request_and_ack_2021.jsonl": [],
    "ws_ticker_future_100ms_2022.jsonl": [],
    "ws_ticker_nonperp_2020_2024.jsonl": [],
    "ws_ticker_perpetual_100ms_2025.json": btc(92281.78, 92263.55, 0.0, 1132329370.0, 1765541474086),
    "ws_ticker_perpetual_raw_2019.jsonl": btc(10094.1, 10091.15, 0.0, 66128281.0, 1564617604229),
    "ws_trades_liquidation_taker_2020.jsonl": [  # the taker was liquidated and sold: a long of 1,120 USD
        liquidation(*BTC, "long", 1120 / 4469.5, 4469.5, True, 1584058044032),
        flow(*BTC, 0.0, 1120 / 4469.5, 1584058044032),
    ],
    "ws_trades_perpetual_raw_2019.jsonl": [flow(*BTC, 0.0, 2000 / 9598.5 + 50 / 9598.5, 1567296022565)],
}


def test_every_capture_file_is_accounted_for() -> None:
    assert sorted(EXPECTED) == files_of(NAME)


@pytest.mark.parametrize("name", EXPECTED)
def test_capture(name: str) -> None:
    same(read(NAME, name), EXPECTED[name])


def test_coins_of_december_2025() -> None:
    """The venue page: 1,132,329,370 USD are about 12,270 BTC at 92,281.78."""
    found = read(NAME, "ws_ticker_perpetual_100ms_2025.json")[-1]
    assert found["coins"] == pytest.approx(12270, abs=1)


def test_metadata_does_not_change_amounts() -> None:
    """contract_size 10 must not multiply the amount."""
    names = ("rest_get_instrument_btc_perpetual.json", "ws_ticker_perpetual_100ms_2025.json")
    same(read(NAME, *names), EXPECTED[names[1]])


def test_instruments() -> None:
    catalog = Catalog()
    decoder = VENUES[NAME].decoder(catalog)
    for line in (CAPTURES / NAME / "rest_instrument_entries_perpetuals_2021.jsonl").read_text().splitlines():
        decoder.decode(line, 0)
    assert len(catalog.listings) == 19
    assert [name for name, item in catalog.listings.items() if item.inverse] == [
        "BTC-PERPETUAL", "ETH-PERPETUAL", "SOL-PERPETUAL",
    ]  # fmt: skip
    assert all(item.trading and item.contract_size == 1.0 for item in catalog.listings.values())
    assert catalog.listings["BTC_USDC-PERPETUAL"].symbol == "BTC"
    assert catalog_of(NAME, "rest_get_instrument_btc_perpetual.json").listings == {
        "BTC-PERPETUAL": Listing(NAME, "BTC-PERPETUAL", "BTC", True, 1.0, 1.0, 8.0, True, 0)
    }


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("ws_error_invalid_params_2020.jsonl", ["refused"]),
        ("ws_error_raw_unauthorized_2022.jsonl", ["refused"]),
        ("ws_error_too_many_requests.json", ["refused"]),
        ("ws_heartbeat_test_request.json", ["info"]),
        ("ws_platform_state.jsonl", ["info"]),
        ("ws_subscribe_ack_nautilus.json", ["ack"]),
        ("ws_subscribe_request_and_ack_2021.jsonl", ["ack"]),
    ],
)
def test_control_frames(name: str, kinds: list[str]) -> None:
    found = decoded(NAME, name)
    assert kinds_of(found) == kinds
    assert len(found) == len(kinds)
