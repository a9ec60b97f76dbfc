"""Aster's recorded frames against values worked out by hand, for every capture file."""

from __future__ import annotations

import pytest

from service.model import Skipped
from tests.venues.conformance import Row, decoded, files_of, funding, interest, mark, needs_captures, read, same

pytestmark = needs_captures
NAME = "aster"


def premiums(sushi_h: float | None, eth_h: float | None, btc_h: float | None) -> list[Row]:
    """The USD markets among them are left out."""
    at, next_ts = 1789147685000, 1789171200000
    return [
        mark("SUSHIUSDT", "SUSHI", 0.2166511, 0.21658, at),
        funding("SUSHIUSDT", "SUSHI", -0.00000112, sushi_h, 1789149600000, at),
        mark("ETHUSDT", "ETH", 2576.57302325, 2577.38953488, at),
        funding("ETHUSDT", "ETH", 0.0000977, eth_h, next_ts, at),
        mark("BTCUSDT", "BTC", 77852.06061232, 77866.89217391, at),
        funding("BTCUSDT", "BTC", 0.00003274, btc_h, next_ts, at),
    ]


FUNDING_INFO = "rest_funding_info_2026-09-11_subset.json"
PREMIUM_INDEX = "rest_premium_index_2026-09-11_subset.json"
EXPECTED: dict[str, list[Row]] = {
    FUNDING_INFO: [],
    "rest_open_interest_btcusdt_2026-08-18.json": [
        interest("BTCUSDT", "BTC", 6196.323, 6196.323, 1.0, 1787059914451),
    ],
    PREMIUM_INDEX: premiums(None, None, None),
    "ws_trade_insurance_fund_2026-08-21.json": [],  # no taker's
}


def test_every_capture_file_is_accounted_for() -> None:
    assert sorted(EXPECTED) == files_of(NAME)


@pytest.mark.parametrize("name", EXPECTED)
def test_capture(name: str) -> None:
    same(read(NAME, name), EXPECTED[name])


def test_intervals_come_from_funding_info() -> None:
    same(read(NAME, FUNDING_INFO, PREMIUM_INDEX), premiums(1.0, 8.0, 8.0))


def test_usd_markets_are_skipped_and_said() -> None:
    skipped = [item for item in decoded(NAME, PREMIUM_INDEX) if isinstance(item, Skipped)]
    assert skipped == [Skipped(NAME, name, "foreign") for name in ("GNSUSD", "BTCUSD")]
