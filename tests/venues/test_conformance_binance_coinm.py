"""Real recorded frames of Binance COIN-M against values worked out by hand, for every capture file."""

from __future__ import annotations

import pytest

from service.model import Control, LongShort
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
    mark,
    needs_captures,
    read,
    same,
)

pytestmark = needs_captures
NAME = "binance_coinm"
BTC = ("BTCUSD_PERP", "BTC")
EXPECTED: dict[str, list[Row] | None] = {  # None: has a test of its own below
    "rest_exchange_info_recent.json": [("skipped", "not_trading", "GALAUSD_PERP")],
    "rest_funding_rate_btcusd_perp_2020.json": [
        funding(*BTC, 0.0001, 8.0, None, 1605513600010, settled=True),
        funding(*BTC, 0.00025141, 8.0, None, 1605542400000, settled=True),
        funding(*BTC, 0.0001, 8.0, None, 1605571200000, settled=True),
        funding(*BTC, 0.0001, 8.0, None, 1605600000000, settled=True),
        funding(*BTC, 0.0001, 8.0, None, 1605628800008, settled=True),
    ],
    "rest_global_long_short_account_ratio_btcusd_2020.json": [],
    "rest_open_interest_2023.json": [("skipped", "no_mark", "BTCUSD_PERP")],
    "rest_open_interest_hist_quarter_btcusd_2020.json": [],
    "rest_premium_index_btcusd_perp_2023.json": [
        mark(*BTC, 26780.2, 26792.39505234, 1687244113000),
        funding(*BTC, 0.00006292, None, 1687248000000, 1687244113000),
    ],
    "rest_premium_index_pair_btcusd_2020.json": [
        mark(*BTC, 11354.19919373, 11353.95875, 1602829101010),
        funding(*BTC, 0.0001, None, 1602835200000, 1602829101010),
    ],
    "rest_taker_buy_sell_vol_all_btcusd_2020.json": [],
    "rest_top_long_short_account_ratio_btcusd_2020.json": [],
    "ws_ack_2020.json": [],
    "ws_agg_trade_2021.jsonl": None,
    "ws_force_order_2020.json": [],  # of a delivery contract, as the trade below
    "ws_mark_and_index_price_2020.jsonl": [mark(*BTC, None, 9429.39675, 1592265601001)],
    "ws_mark_price_btcusd_perp_2021.json": [
        mark(*BTC, 59012.56007222, None, 1617309477000),
        funding(*BTC, 0.00073689, None, 1617321600000, 1617309477000),
    ],
    "ws_trade_2020.json": [],
}


def test_every_capture_file_is_accounted_for() -> None:
    assert sorted(EXPECTED) == files_of(NAME)


@pytest.mark.parametrize("name", EXPECTED)
def test_capture(name: str) -> None:
    found = read(NAME, name)
    assert not [row for row in found if "error" in row]
    expected = EXPECTED[name]
    if expected is not None:
        same(found, expected)


def test_trades() -> None:
    """39 of the 51 are of perpetuals. Contracts of 10 dollars at the trade's price."""
    found = read(NAME, "ws_agg_trade_2021.jsonl")
    assert len(found) == 39
    same(found[:2], [
        flow("BCHUSD_PERP", "BCH", 0.0, 30 / 427.91, 1626916403852),
        flow("ETCUSD_PERP", "ETC", 0.0, 170 / 42.278, 1626916405055),
    ])  # fmt: skip
    bch = [row for row in found if row["symbol"] == "BCH"]
    assert sum(row["taker_sell"] for row in bch) == pytest.approx(30 / 427.91 + 1690 / 427.9, rel=1e-12)
    eos = [row for row in found if row["symbol"] == "EOS"]
    assert sum(row["taker_sell"] for row in eos) == pytest.approx(16430 / 3.467, rel=1e-12)
    assert sum(row["taker_buy"] for row in eos) == pytest.approx(13000 / 3.466, rel=1e-3)
    assert not [row for row in found if "_PERP" not in row["instrument"]]


def test_ratios_are_told_by_their_request() -> None:
    body = (CAPTURES / NAME / "rest_global_long_short_account_ratio_btcusd_2020.json").read_bytes()
    found = VENUES[NAME].decoder(Catalog()).decode(body, 0, "long_short:account")
    assert found[0] == LongShort(NAME, *BTC, "account", 0.6173, 1603937100000, 0)
    assert [item.long_share for item in found if isinstance(item, LongShort)] == [
        0.6173, 0.6177, 0.6160, 0.6171, 0.6164, 0.6182
    ]  # fmt: skip


def test_history_leaves_out_delivery_contracts() -> None:
    body = (CAPTURES / NAME / "rest_open_interest_hist_quarter_btcusd_2020.json").read_bytes()
    assert VENUES[NAME].decoder(Catalog()).decode(body, 1_700_000_000_000, "history:oi:BTCUSD_PERP") == []


def test_open_interest_with_a_mark() -> None:
    """6,784,657 contracts of 100 dollars are 678,465,700 dollars, whatever the mark."""
    _, _, found = read(NAME, "rest_premium_index_btcusd_perp_2023.json", "rest_open_interest_2023.json")
    same([found], [interest(*BTC, 678_465_700 / 26780.2, 6784657.0, 100 / 26780.2, 1702244982986, derived=True)])
    assert found["coins"] * 26780.2 == pytest.approx(678_465_700, rel=1e-12)


def test_metadata() -> None:
    catalog = catalog_of(NAME, "rest_exchange_info_recent.json", "exchangeInfo")
    assert len(catalog.listings) == 24
    assert catalog.foreign == {"GALAUSD_PERP": "not_trading"}  # PERPETUAL DELIVERING
    assert all(listing.inverse and listing.trading for listing in catalog.listings.values())
    sizes = {listing.contract_size for name, listing in catalog.listings.items() if name != "BTCUSD_PERP"}
    assert (catalog.listings["BTCUSD_PERP"].contract_size, sizes) == (100.0, {10.0})


def test_control_frames() -> None:
    assert decoded(NAME, "ws_ack_2020.json") == [Control("ack", "1000", "")]
