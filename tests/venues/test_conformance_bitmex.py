"""BitMEX's recorded frames against values worked out by hand, for every capture file."""

from __future__ import annotations

import json

import pytest

from service.model import Control, HistoryPoint, Liquidation, Skipped
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
NAME = "bitmex"
XBT = ("XBTUSD", "BTC")
T55, T00, T05 = 1626993355000, 1626993360000, 1626993365000  # 22 July 2021, 22:35:55 and after
NEXT_2021 = 1627012800000  # 04:00
BITCOIN_2021 = 32182.72
# Symbol, mark, index, rate, contracts, satoshi per contract and dollar, time, openValue in satoshi.
QUANTO_2021 = (
    ("XRPUSD", 0.5895, 0.58945, 0.000113, 2000578, 20000, T05, 23586814620),
    ("LINKUSDT", 15.8322, 15.8311, 0.0001, 50672, 10000, T05, 8022492384),
    ("DOGEUSDT", 0.19057, 0.19056, 0.0001, 1564989, 100000, T05, 29823995373),
    ("BNBUSDT", 291.12, 291.1, 0.0001, 542596, 100, T05, 15796054752),
    ("UNIUSDT", 17.28, 17.279, 0.0001, 604643, 1000, T05, 10448231040),
    ("ADAUSDT", 1.175508, 1.174958, 0.000693, 10283, 1000000, T05, 12087748764),
    ("EOSUSDT", 3.5347, 3.5345, 0.0001, 202954, 10000, T00, 7173815038),
    ("TRXUSDT", 0.05455, 0.05455, 0.0001, 358828, 100000, T00, 1957406740),
    ("SOLUSDT", 27.499, 27.497, 0.0001, 1381470, 1000, T05, 37989043530),
    ("FILUSDT", 45.31, 45.31, 0.0001, 156744, 100, T55, 710207064),
    ("AAVEUSDT", 273.1, 272.95, 0.000812, 42995, 100, T05, 1174193450),
    ("SUSHIUSDT", 7.601, 7.6, 0.0001, 7475, 1000, T00, 56817475),
    ("BCHUSD", 437.63, 437.6, 0.0001, 299419, 100, T00, 13103473697),
    ("DOTUSDT", 12.989, 12.9881, 0.0001, 69174, 10000, T05, 8985010860),
    ("ALTMEXUSD", 91.06, 91.05, 0.0001, 7779, 100, T05, 70835574),
    ("DEFIMEXUSD", 90.85, 90.84, 0.0001, 12885, 100, T00, 117060225),
    ("XLMUSDT", 0.25857, 0.25855, 0.0001, 159415, 100000, T00, 4121993655),
    ("VETUSDT", 0.06682, 0.06682, 0.0001, 247561, 100000, T05, 1654202602),
    ("MATICUSDT", 0.8745, 0.8743, 0.000282, 196695, 10000, T05, 1720097775),
    ("ETHUSD", 2003.93, 2003.18, 0.000551, 1403475, 100, T05, 281246565675),
    ("LTCUSD", 119.78, 119.77, 0.0001, 590277, 200, T05, 14140675812),
)


def active_2021() -> list[Row]:
    """XBTUSD first, because it converts the 21 quanto perpetuals; 12 futures and XBTEUR are foreign."""
    rows = [
        mark(*XBT, 32184.89, BITCOIN_2021, T05),
        funding(*XBT, 0.0001, 8.0, NEXT_2021, T05),
        interest(*XBT, 574264600 / 32184.89, 574264600.0, 1 / 32184.89, T05, derived=True),
    ]
    for name, price, index, rate, contracts, satoshi, at, _ in QUANTO_2021:
        ticker = name.removesuffix("T").removesuffix("USD")
        symbol = "POL" if ticker == "MATIC" else ticker  # renamed one to one, and one asset ever since
        size = satoshi / 1e8 * BITCOIN_2021
        rows.append(mark(name, symbol, price, index, at))
        rows.append(funding(name, symbol, rate, 8.0, NEXT_2021, at))
        rows.append(interest(name, symbol, contracts * size, float(contracts), size, at, derived=True))
    return rows


EXPECTED: dict[str, list[Row]] = {
    "rest_error.json": [],
    "rest_instrument_active_2021.json": active_2021(),
    "rest_instrument_xbtusd_2025.json": [
        mark(*XBT, 97849.76, 97843.77, 1732491199034),
        funding(*XBT, 0.00011, 8.0, 1732507200000, 1732491199034),
        interest(*XBT, 411647400 / 97849.76, 411647400.0, 1 / 97849.76, 1732491199034, derived=True),
    ],
    "ws_funding_partial_xbtusd_2021.jsonl": [funding(*XBT, 0.000817, 8.0, None, 1617307200000, settled=True)],
    "ws_funding_row_nautilus.json": [funding(*XBT, 0.0001, 8.0, None, 1732507200000, settled=True)],
    "ws_instrument_partial_futures_2019.json": [],
    "ws_instrument_row_mark_update_2026.json": [mark("DOTUSDT", "DOT", 1.2669, None, 1779886600500)],
    "ws_instrument_row_nautilus.json": [
        mark(*XBT, 95125.7, 95126.0, 1732536000000),
        interest(*XBT, 123456789 / 95125.7, 123456789.0, 1 / 95125.7, 1732536000000, derived=True),
    ],
    "ws_instrument_updates_2019.jsonl": [],  # updates without their partial
    "ws_instrument_updates_mark_2019_2022.jsonl": [],
    "ws_liquidation_insert_delete_2019.jsonl": [liquidation(*XBT, "short", 9214 / 10106, 10106.0, False, None)],
    "ws_liquidation_row_nautilus.json": [],
    "ws_liquidation_session_2024.jsonl": [  # shrinking, new prices and deletes say nothing; 8,700 is growth
        ("skipped", "unknown_contract_size", "XBTUSDT"),
        liquidation(*XBT, "short", 1500 / 88051.8, 88051.8, False, None),
        liquidation(*XBT, "short", 15800 / 88225.6, 88225.6, False, None),
        liquidation(*XBT, "short", 50900 / 88303.7, 88303.7, False, None),
        liquidation(*XBT, "short", 12900 / 88635.6, 88635.6, False, None),
        ("skipped", "unknown_contract_size", "XBTUSDT"),
        liquidation(*XBT, "short", (21600 - 12900) / 88753.4, 88753.4, False, None),
        ("skipped", "unknown_contract_size", "ETHUSD"),
    ],
    "ws_quote_partial_2021.jsonl": [],
    "ws_subscribe_ack_jkorf_2025.jsonl": [],
    "ws_trade_ethusd_quanto_2021.jsonl": [],
    "ws_trade_index_symbols_2020.jsonl": [  # 1,240 contracts of 0.0099049 ETH, and an index
        flow("ETHUSD", "ETH", 0.0, 1240 * 0.009904912836767037, 1581903336442)
    ],
    "ws_trade_partial_and_insert_2021.jsonl": [],
    "ws_trade_referential_index_2025.jsonl": [],
    "ws_trade_xbtusd_2021.jsonl": [flow(*XBT, 0.0, 900 / 56927, 1615514404608)],
    "ws_welcome_2025.jsonl": [],
    "ws_welcome_ack_trade_pool_2026.jsonl": [],
    "ws_welcome_subscribe_ack_2021.jsonl": [],
}


def test_every_capture_file_is_accounted_for() -> None:
    assert sorted(EXPECTED) == files_of(NAME)


@pytest.mark.parametrize("name", EXPECTED)
def test_capture(name: str) -> None:
    same(read(NAME, name), EXPECTED[name])


def test_coins_agree_with_the_venues_own_value() -> None:
    """openValue is in satoshi at mark price: the value of our coins, of all 22 perpetuals quoted in dollars."""
    found = {row["instrument"]: row for row in read(NAME, "rest_instrument_active_2021.json") if row["stream"] == "oi"}
    assert len(found) == 22
    assert found["XBTUSD"]["coins"] == pytest.approx(1784268825430 / 1e8, rel=1e-4)
    for name, price, _, _, _, _, _, value in QUANTO_2021:
        assert found[name]["coins"] * price / BITCOIN_2021 == pytest.approx(value / 1e8, rel=1e-4)
    (row,) = [row for row in read(NAME, "rest_instrument_xbtusd_2025.json") if row["stream"] == "oi"]
    assert row["coins"] == pytest.approx(420691293378 / 1e8, rel=1e-4)


def test_recorded_rate_as_the_past() -> None:
    """Any row of the funding table, as the answer of /funding has it."""
    row = (CAPTURES / NAME / "ws_funding_row_nautilus.json").read_text()
    found = VENUES[NAME].decoder(Catalog()).decode(f"[{row}]", 1_732_507_200_000, "history:funding:XBTUSD")
    assert [(item.ts, item.value, item.interval_h) for item in found if isinstance(item, HistoryPoint)] == [
        (1732507200000, 0.0001, 8.0)
    ]


def test_metadata() -> None:
    catalog = catalog_of(NAME, "rest_instrument_active_2021.json", "instruments")
    assert len(catalog.listings) == 22
    assert sorted(catalog.foreign) == [
        "ADAU21", "BCHU21", "EOSU21", "ETHU21", "ETHUSDU21", "LTCU21", "TRXU21", "XBTEUR", "XBTEURU21", "XBTU21",
        "XBTZ21", "XRPU21",
    ]  # fmt: skip
    assert all(item.trading and item.interval_h == 8.0 for item in catalog.listings.values())
    assert [(name, item.contract_size) for name, item in catalog.listings.items() if item.inverse] == [("XBTUSD", 1.0)]
    assert catalog.listings["ETHUSD"].contract_size is None


def test_updates_after_a_partial() -> None:
    """The update of 2019 on a row of 2025, whose time is taken away: its mark is told, the rest confirmed."""
    decoder = VENUES[NAME].decoder(Catalog())
    row = json.loads((CAPTURES / NAME / "rest_instrument_xbtusd_2025.json").read_text())
    assert decoder.decode(json.dumps({"table": "instrument", "action": "partial", "data": [row]}), 0)
    late = (CAPTURES / NAME / "ws_instrument_updates_mark_2019_2022.jsonl").read_text().splitlines()[0]
    assert decoder.decode(late, 0) == []  # six years late
    decoder = VENUES[NAME].decoder(Catalog())
    del row["timestamp"]
    decoder.decode(json.dumps({"table": "instrument", "action": "partial", "data": [row]}), 0)
    update = (CAPTURES / NAME / "ws_instrument_updates_mark_2019_2022.jsonl").read_text().splitlines()[0]
    told, confirmed = decoder.decode(update, 0)
    assert (told.mark, told.index, told.venue_ts) == (3805.18, 97843.77, 1551329450386)  # type: ignore[union-attr]
    assert confirmed.streams == ("funding", "oi")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("rest_error.json", ["refused"]),
        ("ws_liquidation_session_2024.jsonl", ["info", "refused", "ack"]),
        ("ws_subscribe_ack_jkorf_2025.jsonl", ["ack"]),
        ("ws_welcome_2025.jsonl", ["info", "ack"]),
        ("ws_welcome_ack_trade_pool_2026.jsonl", ["info", "ack"]),
    ],
)
def test_control_frames(name: str, kinds: list[str]) -> None:
    found = decoded(NAME, name)
    assert kinds_of(found) == kinds
    assert all(isinstance(item, Control | Liquidation | Skipped) for item in found)
