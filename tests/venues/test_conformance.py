"""Real recorded frames against values worked out by hand from the venue pages, for every capture file: Binance USD-M,
Bybit, OKX and Hyperliquid. The other venues have files of their own."""

from __future__ import annotations

from itertools import pairwise

import pytest

from service.model import Listing, LongShort
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
from tests.venues.frames import told

pytestmark = needs_captures

# Binance: E, p, i, r, T of the rollover file, three symbols at four seconds.
B_BEFORE, B_8H, B_4H = 1790755200000, 1790784000000, 1790769600000
BTC_ROLL = (
    (1790755199000, 83259.61836957, 83301.31260870, -0.00000189, B_BEFORE, None),
    (1790755200000, 83259.61836957, 83301.31260870, -0.00000189, B_BEFORE, None),
    (1790755201000, 83260.90826812, 83301.32347826, -0.00000244, B_8H, 8.0),
    (1790755202002, 83260.77348551, 83301.18869565, -0.00000244, B_8H, 8.0),
)
ETH_ROLL = (
    (1790755199000, 2673.54, 2674.93930233, 0.00005479, B_BEFORE, None),
    (1790755200000, 2673.54, 2674.93930233, 0.00005479, B_BEFORE, None),
    (1790755201000, 2673.53075194, 2674.93930233, 0.00005437, B_8H, 8.0),
    (1790755202002, 2673.46191473, 2674.87046512, 0.00005437, B_8H, 8.0),
)
LPT_ROLL = (
    (1790755199000, 1.735, 1.73764706, 0.00005, B_BEFORE, None),
    (1790755200000, 1.735, 1.73764706, 0.00005, B_BEFORE, None),
    (1790755201000, 1.735, 1.73764706, 0.00005, B_4H, 4.0),
    (1790755202002, 1.73432941, 1.73764706, 0.00005, B_4H, 4.0),
)


def rollover(known: bool) -> list[Row]:
    rows = []
    for seconds in zip(BTC_ROLL, ETH_ROLL, LPT_ROLL, strict=True):
        for symbol, (at, price, index, rate, next_ts, hours) in zip(("BTC", "ETH", "LPT"), seconds, strict=True):
            stated = (4.0 if symbol == "LPT" else 8.0) if known else hours
            rows.append(mark(f"{symbol}USDT", symbol, price, index, at))
            rows.append(funding(f"{symbol}USDT", symbol, rate, stated, next_ts, at))
    return rows


def premium_index() -> list[Row]:
    prices = (
        ("EOS", 2.59828765, 2.59732255),
        ("SUSHI", 0.69218591, 0.69190731),
        ("BAL", 13.91206220, 13.92516488),
        ("BTT", 0.00034024, 0.00034023),
        ("KNC", 0.93419411, 0.93414471),
    )
    return [
        row
        for symbol, price, index in prices
        for row in (
            mark(f"{symbol}USDT", symbol, price, index, 1602819970000),
            funding(f"{symbol}USDT", symbol, 0.0001, None, 1602835200000, 1602819970000),
        )
    ]


O_NEXT = 1790784000000


def okx_2026() -> list[Row]:
    b, e = ("BTC-USDT-SWAP", "BTC"), ("ETH-USDT-SWAP", "ETH")
    t = 1790757000000
    return [
        mark(*b, 83003.8, None, t + 203016),
        interest(*b, 28744.8699000000925, 2874486.99000000925, 0.01, t + 195759),
        mark(*b, None, 83043.9, t + 203066),
        interest(*e, 583671.28300000185, 5836712.8300000185, 0.1, t + 195178),
        mark(*e, 2664.48, None, t + 203050),
        mark(*e, None, 2665.79, t + 202575),
        funding(*b, 0.0000252378080097, 8.0, O_NEXT, t + 122992),
        funding(*e, 0.0000539713785601, 8.0, O_NEXT, t + 123063),
        mark(*b, None, 83043.9, t + 203171),
        mark(*b, 83003.9, None, t + 203220),
        mark(*e, 2664.49, None, t + 203254),
        mark(*b, 83004.0, None, t + 203421),
        mark(*e, 2664.49, None, t + 203456),
        mark(*b, None, 83043.9, t + 203375),
        mark(*e, None, 2665.79, t + 204098),
        mark(*e, None, 2665.79, t + 204351),
        interest(*e, 583682.27700000185, 5836822.7700000185, 0.1, t + 205377),
        funding(*b, 0.0000249625867043, 8.0, O_NEXT, t + 205983),
        interest(*b, 28743.5480000000919, 2874354.80000000919, 0.01, t + 205999),
        funding(*e, 0.0000539743191049, 8.0, O_NEXT, t + 206046),
        interest(*e, 583702.03700000183, 5837020.3700000183, 0.1, t + 211138),
        interest(*b, 28743.6207000000898, 2874362.07000000898, 0.01, t + 211798),
    ]


def hyperliquid_doc() -> list[Row]:
    coins = (
        ("BTC", 14.3161, 14.32, 688.11),
        ("ETH", 6.0436, 6.0457, 1882.55),
        ("HPOS", 8.4542, 8.4585, 2912.05),
    )
    return [
        row
        for coin, price, oracle, amount in coins
        for row in (
            mark(coin, coin, price, oracle, None),
            funding(coin, coin, 0.0000125, 1.0, None, None),
            interest(coin, coin, amount, amount, 1.0, None),
        )
    ]


EXPECTED: dict[str, dict[str, list[Row] | None]] = {  # None: has a test of its own below
    "binance_usdm": {
        "rest_exchange_info_recent.json": [],
        "rest_funding_info_2026.json": [],
        "rest_funding_rate_btcusdt_2020.json": None,
        "rest_global_long_short_account_ratio_btcusdt_5m_2020.json": [],
        "rest_open_interest_2023.json": [interest("BTCUSDT", "BTC", 83782.317, 83782.317, 1.0, 1702244985273)],
        "rest_open_interest_hist_btcusdt_5m_2020.json": [
            interest("BTCUSDT", "BTC", 36316.877, 36316.877, 1.0, 1602989400000)
        ],
        "rest_premium_index_all.json": premium_index(),
        "rest_premium_index_btcusdt_2023.json": [
            mark("BTCUSDT", "BTC", 26780.82240476, 26798.25197802, 1687244112000),
            funding("BTCUSDT", "BTC", 0.00001226, None, 1687248000000, 1687244112000),
        ],
        "rest_taker_long_short_ratio_btcusdt_5m_2020.json": [],
        "rest_top_long_short_account_ratio_btcusdt_5m_2020.json": [],
        "rest_top_long_short_position_ratio_btcusdt_5m_2020.json": [],
        "ws_agg_trade_2021.jsonl": None,
        "ws_agg_trade_2026.json": [flow("BTCUSDT", "BTC", 1046.765, 0.0, 1789469121938)],
        "ws_control_doc.jsonl": [],
        "ws_force_order_2020.json": [liquidation("BTCUSDT", "BTC", "short", 0.014, 4706.04, True, 1584059031421)],
        "ws_mark_price_2019_2021.jsonl": [
            mark("BTCUSDT", "BTC", 8291.34697815, None, 1569888003001),
            funding("BTCUSDT", "BTC", 0.0001, None, 1569916800000, 1569888003001),
            mark("BTCUSDT", "BTC", 11857.56, 11851.86949091, 1597536008000),
            funding("BTCUSDT", "BTC", 0.0001564, None, 1597564800000, 1597536008000),
        ],
        "ws_mark_price_rollover_2026.jsonl": rollover(known=False),
        "ws_trade_2020.jsonl": [  # between the two a fill of the insurance fund
            flow("BTCUSDT", "BTC", 0.044, 0.0, 1574381164086),
            flow("BTCUSDT", "BTC", 0.0, 0.467, 1596240000519),
        ],
    },
    "bybit": {
        "rest_account_ratio_doc.jsonl": [
            ratio("BTCUSDT", "BTC", "account", 0.49, 1696262400000),
            ratio("BTCUSDT", "BTC", "account", 0.4927, 1696258800000),
        ],
        "rest_funding_history_doc.jsonl": [funding("ETHPERP", "ETH", 0.0001, None, None, 1672041600000, settled=True)],
        "rest_instruments_info_doc.jsonl": [],
        "rest_open_interest_2026.json": [
            interest("BTCUSDT", "BTC", 26332.321, 26332.321, 1.0, 1789458600000),
            interest("BTCUSDT", "BTC", 26336.672, 26336.672, 1.0, 1789458300000),
            interest("BTCUSDT", "BTC", 26326.209, 26326.209, 1.0, 1789458000000),
        ],
        "rest_tickers_doc.jsonl": [
            mark("BTCUSD", "BTC", 114898.43, 114890.92, 1760352369814),
            funding("BTCUSD", "BTC", 0.0001, 8.0, 1760371200000, 1760352369814),
            interest(
                "BTCUSD", "BTC", 240113967 / 2 / 114898.43, 120056983.5, 1 / 114898.43, 1760352369814, derived=True
            ),
        ],
        "ws_all_liquidation_2025.json": [
            liquidation("PIPPINUSDT", "PIPPIN", "short", 2846.0, 0.02456, False, 1740480207110)
        ],
        "ws_control_doc.jsonl": [],
        "ws_liquidation_deprecated_2023.jsonl": [],
        "ws_public_trade_2023.jsonl": [  # 5823 + 3 + 5593 dollars at one price
            flow("BTCUSD", "BTC", 11419 / 28560.5, 0.0, 1680673823564),
            flow("LTCUSDT", "LTC", 0.4, 0.0, 1680688979983),
        ],
        "ws_subscribe_ack.json": [],
        "ws_tickers_btcusdt_2023.json": [
            mark("BTCUSDT", "BTC", 28552.81, 28562.25, 1680673821770),
            funding("BTCUSDT", "BTC", 0.0001, None, 1680681600000, 1680673821770),
            interest("BTCUSDT", "BTC", 26387.264, 26387.264, 1.0, 1680673821770, derived=True),
        ],
        "ws_tickers_btcusdt_2026.jsonl": [
            mark("BTCUSDT", "BTC", 83024.70, 83074.01, 1790757082283),
            funding("BTCUSDT", "BTC", -0.00007774, 8.0, 1790784000000, 1790757082283),
            interest("BTCUSDT", "BTC", 28559.256, 28559.256, 1.0, 1790757082283),
            mark("BTCUSDT", "BTC", 83024.70, 83073.68, 1790757082784),
            mark("BTCUSDT", "BTC", 83024.60, 83073.68, 1790757083083),
            mark("BTCUSDT", "BTC", 83024.60, 83073.67, 1790757083383),
            mark("BTCUSDT", "BTC", 83024.60, 83084.91, 1790757083683),
            mark("BTCUSDT", "BTC", 83032.50, 83086.98, 1790757084283),
        ],
        "ws_tickers_inverse_2024.jsonl": [
            mark("BTCUSD", "BTC", 61894.0, 61923.36, 1715757637952),
            funding("BTCUSD", "BTC", 0.0001, None, 1715760000000, 1715757637952),
            interest("BTCUSD", "BTC", 931760496 / 2 / 61894, 465880248.0, 1 / 61894, 1715757637952, derived=True),
        ],
    },
    "okx": {
        "rest_funding_rate_2023.json": [
            funding("BTC-USDT-SWAP", "BTC", 0.000079238688534, 8.0, 1703088000000, 1703070685309)
        ],
        "rest_index_tickers_2025.json": [mark("BTC-USDT-SWAP", "BTC", None, 103895.0, 1746942707815)],
        "rest_instruments_swap_2022.json": [],
        "rest_mark_price_2025.json": [mark("BTC-USDT-SWAP", "BTC", 84660.1, None, 1744590349506)],
        "rest_open_interest_inverse_swap_2022.json": [
            interest(
                "BTC-USD-SWAP", "BTC", 13840.048827662696883, 4092973.0, 13840.048827662696883 / 4092973, 1654348683853
            ),
            interest(
                "ETH-USD-SWAP",
                "ETH",
                123562.1205163528751467,
                21795246.0,
                123562.1205163528751467 / 21795246,
                1654348683853,
            ),
        ],
        "rest_rubik_taker_volume_doc.json": [],
        "ws_error_notice_doc.jsonl": [],
        "ws_funding_rate_2021_2022.jsonl": [
            funding("WNCG-USDT-SWAP", "WNCG", 0.00048105, None, 1640131200000, None),
            funding("BTC-USDT-SWAP", "BTC", 0.0001534702159002, None, 1646323200000, None),
        ],
        "ws_liquidation_orders_2023.jsonl": [],
        "ws_open_interest_mark_index_fil_2021.jsonl": [mark("FIL-USDT-SWAP", "FIL", None, 35.583, 1640140200581)],
        "ws_perp_stream_btc_eth_2026.jsonl": okx_2026(),
        "ws_subscribe_and_acks_2022.jsonl": [],
        "ws_trades_2021.json": [("skipped", "unknown_contract_size", "BTC-USDT-SWAP")],
        "ws_trades_2022.jsonl": [
            ("skipped", "unknown_contract_size", "BTC-USDT-SWAP"),
            ("skipped", "unknown_contract_size", "BTC-USD-SWAP"),
        ],
        "ws_xperp_funding_and_index_2026-08-04.jsonl": [  # the index of a swap too; the contract itself is dated
            mark("BTC-USD-SWAP", "BTC", None, 64280.0, 1785870839964)
        ],
    },
    "hyperliquid": {
        "rest_funding_history_2026.json": [
            funding("BTC", "BTC", 0.0000125, 1.0, None, 1769908800000, settled=True),
            funding("BTC", "BTC", -0.0000081, 1.0, None, 1769912400000, settled=True),
            funding("BTC", "BTC", 0.0000033, 1.0, None, 1769916000000, settled=True),
        ],
        "rest_funding_history_long_2023.json": None,
        "rest_meta_2023.json": [],
        "rest_meta_and_asset_ctxs_doc.json": hyperliquid_doc(),
        "rest_meta_and_asset_ctxs_hip3_doc.json": hyperliquid_doc(),
        "rest_meta_delisted_doc.json": [],
        "rest_meta_sample.json": [],
        "rest_meta_testnet_2025.json": [],
        "rest_perp_dexs_testnet_2025.json": [],
        "rest_predicted_fundings_doc.json": [funding("AVAX", "AVAX", 0.0000125, 1.0, 1733961600000, None)],
        "ws_active_asset_ctx_btc_2026.jsonl": [
            mark("BTC", "BTC", 79890.0, 79922.0, None),
            funding("BTC", "BTC", 0.0000125, 1.0, None, None),
            interest("BTC", "BTC", 35409.41702, 35409.41702, 1.0, None),
        ],
        "ws_active_asset_ctx_moodeng_2024.jsonl": [
            mark("MOODENG", "MOODENG", 0.19963, 0.1995, None),
            funding("MOODENG", "MOODENG", 0.00004863, 1.0, None, None),
            interest("MOODENG", "MOODENG", 18617460.0, 18617460.0, 1.0, None),
        ],
        "ws_active_spot_asset_ctx_2024.jsonl": [],
        "ws_all_dexs_asset_ctxs_2026.json": [("skipped", "unknown_universe", "")],
        "ws_all_mids.json": [],
        "ws_control_frames_testnet_2026.jsonl": [],
        "ws_error_bad_request.jsonl": [],
        "ws_fast_asset_ctxs_payload_doc.json": [
            mark("BTC", "BTC", 97500.5, None, None),
            mark("ETH", "ETH", 3650.25, None, None),
        ],
        "ws_subscribe_request_ack.jsonl": [],
        "ws_trades_btc_2024.jsonl": [flow("BTC", "BTC", 1.55182, 0.0, 1730160006192)],
        "ws_trades_replay_testnet_2026.jsonl": [flow("BTC", "BTC", 0.00032, 0.0, 1785251457213)],
        "ws_user_fill_liquidation_2026.json": [],
    },
}
CASES = [(venue, name) for venue, files in EXPECTED.items() for name in files]


@pytest.mark.parametrize("venue", EXPECTED)
def test_every_capture_file_is_accounted_for(venue: str) -> None:
    assert sorted(EXPECTED[venue]) == files_of(venue)


@pytest.mark.parametrize(("venue", "name"), CASES)
def test_capture(venue: str, name: str) -> None:
    found = read(venue, name)
    assert not [row for row in found if "error" in row]
    expected = EXPECTED[venue][name]
    if expected is not None:
        same(found, expected)


def test_binance_funding_history() -> None:
    """100 settlements of 8 h between 15 September and 18 October 2020."""
    found = read("binance_usdm", "rest_funding_rate_btcusdt_2020.json")
    assert len(found) == 100
    same(found[:1], [funding("BTCUSDT", "BTC", -0.0002227, 8.0, None, 1600128000000, settled=True)])
    same(found[31:32], [funding("BTCUSDT", "BTC", 0.00002542, 8.0, None, 1601020800045, settled=True)])
    same(found[-1:], [funding("BTCUSDT", "BTC", 0.0001, 8.0, None, 1602979200006, settled=True)])
    assert {row["interval_h"] for row in found} == {8.0}
    assert all(7.99 < (b["venue_ts"] - a["venue_ts"]) / 3.6e6 < 8.01 for a, b in pairwise(found))


def test_binance_intervals_from_metadata_agree_with_the_rollover() -> None:
    same(read("binance_usdm", "rest_funding_info_2026.json", "ws_mark_price_rollover_2026.jsonl"), rollover(known=True))


def test_binance_absent_from_funding_info_is_8_hours() -> None:
    found = read("binance_usdm", "rest_funding_info_2026.json", "rest_premium_index_all.json")
    assert [row["interval_h"] for row in found if row["stream"] == "funding"] == [8.0] * 5


def test_binance_trades() -> None:
    """60 trades of four instruments; the sums of their quantities by hand."""
    found = read("binance_usdm", "ws_agg_trade_2021.jsonl")
    assert len(found) == 60
    same(found[:2], [
        flow("CTKUSDT", "CTK", 10.0, 0.0, 1626992741421),
        flow("AKROUSDT", "AKRO", 0.0, 312.0, 1626992742134),
    ])  # fmt: skip
    sums = {
        name: tuple(sum(row[key] for row in found if row["instrument"] == name) for key in ("taker_buy", "taker_sell"))
        for name in ("CTKUSDT", "AKROUSDT", "SUSHIUSDT", "KEEPUSDT")
    }
    assert sums == {
        "CTKUSDT": (6955.0, 212.0),
        "AKROUSDT": (33121.0, 46869.0),
        "SUSHIUSDT": (1351.0, 368.0),
        "KEEPUSDT": (344.0, 0.0),
    }


@pytest.mark.parametrize(
    ("name", "kind", "shares", "first_ts"),
    [
        ("rest_global_long_short_account_ratio_btcusdt_5m_2020", "account", [0.5799, 0.5801, 0.581], 1602989400000),
        ("rest_top_long_short_account_ratio_btcusdt_5m_2020", "top_account", [0.5169, 0.5163], 1602989100000),
        ("rest_top_long_short_position_ratio_btcusdt_5m_2020", "top_position", [0.531] * 3, 1602988800000),
    ],
)
def test_binance_ratios_are_told_by_their_request(name: str, kind: str, shares: list[float], first_ts: int) -> None:
    body = (CAPTURES / "binance_usdm" / f"{name}.json").read_bytes()
    found = VENUES["binance_usdm"].decoder(Catalog()).decode(body, 0, f"long_short:{kind}")
    assert all(isinstance(item, LongShort) for item in found)
    assert [(item.kind, item.long_share, item.venue_ts) for item in found if isinstance(item, LongShort)] == [
        (kind, share, first_ts + count * 300_000) for count, share in enumerate(shares)
    ]


def test_recorded_histories_as_the_past() -> None:
    """Open interest counts from the end of the five minutes it is stamped with; Bybit's newest row was not over."""
    name = "rest_open_interest_hist_btcusdt_5m_2020.json"
    assert past("binance_usdm", name, "history:oi:BTCUSDT") == [("oi", 1602989700000, 36316.877)]
    name = "rest_open_interest_2026.json"
    points = [("oi", 1789458300000, 26326.209), ("oi", 1789458600000, 26336.672), ("oi", 1789458900000, 26332.321)]
    assert past("bybit", name, "history:oi:BTCUSDT") == points[::-1]
    assert past("bybit", name, "history:oi:BTCUSDT", 1789458642339) == points[1::-1]
    rates = past("binance_usdm", "rest_funding_rate_btcusdt_2020.json", "history:funding:BTCUSDT")
    assert (len(rates), rates[0]) == (100, ("funding", 1600128000000, -0.0002227))


def test_binance_exchange_info() -> None:
    catalog = catalog_of("binance_usdm", "rest_exchange_info_recent.json", "exchangeInfo")
    assert len(catalog.listings) == 25
    assert list(catalog.listings)[:3] == ["BTCUSDT", "ETHUSDT", "BCHUSDT"]
    assert {listing.trading for listing in catalog.listings.values()} == {True}
    assert catalog.listings["IOTAUSDT"] == Listing("binance_usdm", "IOTAUSDT", "IOTA", False, 1.0, 1.0, None, True, 0)


def test_okx_instruments() -> None:
    catalog = catalog_of("okx", "rest_instruments_swap_2022.json", "instruments")
    assert len(catalog.listings) == 166
    assert sum(listing.inverse for listing in catalog.listings.values()) == 40
    sizes = {name: catalog.listings[name].contract_size for name in catalog.listings}
    assert (sizes["BTC-USDT-SWAP"], sizes["ETH-USDT-SWAP"], sizes["YFI-USDT-SWAP"]) == (0.01, 0.1, 0.0001)
    assert (sizes["BTC-USD-SWAP"], sizes["ETH-USD-SWAP"]) == (100.0, 10.0)
    shib = catalog.listings["SHIB-USDT-SWAP"]  # a contract of 1,000,000 SHIB; our unit is 1,000
    assert (shib.symbol, shib.multiplier, shib.contract_size) == ("1000SHIB", 0.001, pytest.approx(1000.0))
    assert catalog.swaps_of_index["BTC-USDT"] == ("BTC-USDT-SWAP",)


def test_okx_sizes_from_metadata_agree_with_the_venues_coins() -> None:
    """No size_mismatch in any capture, and the contract size is the constant of the metadata."""
    found = read("okx", "rest_instruments_swap_2022.json", "ws_perp_stream_btc_eth_2026.jsonl")
    same(found, okx_2026())
    assert {row["contract_coins"] for row in found if row["stream"] == "oi"} == {0.01, 0.1}
    inverse = read("okx", "rest_instruments_swap_2022.json", "rest_open_interest_inverse_swap_2022.json")
    assert [row["coins"] for row in inverse] == [13840.048827662697, 123562.12051635288]
    assert 4092973 * 100 / inverse[0]["coins"] == pytest.approx(29573, abs=1)


def test_okx_trades_in_coins() -> None:
    """0.01 BTC a contract; 100 USD at the trade's price for the inverse one."""
    names = ("rest_instruments_swap_2022.json", "ws_trades_2021.json", "ws_trades_2022.jsonl")
    same(
        read("okx", *names),
        [
            flow("BTC-USDT-SWAP", "BTC", 0.05, 0.0, 1640131236050),
            flow("BTC-USDT-SWAP", "BTC", 0.07, 0.0, 1646312440645),
            flow("BTC-USD-SWAP", "BTC", 0.0, 100 / 43574.9, 1646312664791),
        ],
    )


@pytest.mark.parametrize("acknowledged", [False, True])
def test_hyperliquid_replay_is_history_to_who_has_just_subscribed(acknowledged: bool) -> None:
    decoder = VENUES["hyperliquid"].decoder(Catalog())
    if acknowledged:
        asked = '{"method":"subscribe","subscription":{"type":"trades","coin":"BTC"}}'
        decoder.decode(f'{{"channel":"subscriptionResponse","data":{asked}}}', 1785251457300)
    replay = (CAPTURES / "hyperliquid" / "ws_trades_replay_testnet_2026.jsonl").read_bytes()
    assert len(decoder.decode(replay, 1785251457400)) == (0 if acknowledged else 1)


@pytest.mark.parametrize(
    ("venue", "name", "kinds"),
    [
        ("binance_usdm", "ws_control_doc.jsonl", ["ack", "ack", "ack", "refused"]),
        ("bybit", "ws_control_doc.jsonl", ["refused", "pong"]),
        ("bybit", "ws_subscribe_ack.json", ["ack"]),
        ("okx", "ws_error_notice_doc.jsonl", ["refused", "closing"]),
        ("okx", "ws_subscribe_and_acks_2022.jsonl", ["ack"] * 18),
        ("hyperliquid", "ws_control_frames_testnet_2026.jsonl", ["pong", "ack", "refused"]),
        ("hyperliquid", "ws_error_bad_request.jsonl", ["refused"]),
        ("hyperliquid", "ws_subscribe_request_ack.jsonl", ["ack"]),
    ],
)
def test_control_frames(venue: str, name: str, kinds: list[str]) -> None:
    found = decoded(venue, name)
    assert kinds_of(found) == kinds
    assert len(found) == len(kinds)


def test_hyperliquid_long_funding_history() -> None:
    """8 h settlements until 8 June 2023, hourly after; a late settlement and a missing hour stay unknown."""
    found = read("hyperliquid", "rest_funding_history_long_2023.json")
    assert len(found) == 1038
    same(found[:1], [funding("BTC", "BTC", -0.00061334, 8.0, None, 1683849600048, settled=True)])
    same(found[81:83], [
        funding("BTC", "BTC", 0.0001, 8.0, None, 1686182400254, settled=True),
        funding("BTC", "BTC", 0.0000125, 1.0, None, 1686186000054, settled=True),
    ])  # fmt: skip
    same(found[-1:], [funding("BTC", "BTC", 0.0000125, 1.0, None, 1689627600065, settled=True)])
    by_interval = [sum(row["interval_h"] == hours for row in found) for hours in (8.0, 1.0, None)]
    assert by_interval == [80, 955, 3]
    unknown = [row["venue_ts"] for row in found if row["interval_h"] is None]
    assert unknown == [1684830233040, 1684857600079, 1688331600180]


def test_hyperliquid_metadata() -> None:
    testnet = catalog_of("hyperliquid", "rest_meta_testnet_2025.json", "meta")
    assert len(testnet.universe) == len(testnet.listings) == 201
    assert sum(not listing.trading for listing in testnet.listings.values()) == 35
    assert [testnet.listings[name].symbol for name in ("kPEPE", "kSHIB", "kBONK")] == [
        "1000PEPE",
        "1000SHIB",
        "1000BONK",
    ]
    assert (testnet.listings["kDOGS"].symbol, testnet.listings["kDOGS"].multiplier) == ("DOGS", 1000.0)
    assert len(catalog_of("hyperliquid", "rest_meta_2023.json").universe) == 28
    delisted = catalog_of("hyperliquid", "rest_meta_delisted_doc.json")
    assert [(name, listing.trading) for name, listing in delisted.listings.items()] == [
        ("BTC", True),
        ("ETH", True),
        ("HPOS", True),
        ("LOOM", False),
    ]
    sample = catalog_of("hyperliquid", "rest_meta_sample.json")  # isDelisted null
    assert all(listing.trading for listing in sample.listings.values())


def test_hyperliquid_positions_follow_the_universe() -> None:
    """230 main-dex contexts of which 51 are dead; names by position (invented here beyond the first two)."""
    names = ["BTC", "ETH", *(f"COIN{number}" for number in range(2, 230))]
    catalog = Catalog()
    decoder = VENUES["hyperliquid"].decoder(catalog)
    decoder.decode('{"universe":[' + ",".join(f'{{"name":"{name}"}}' for name in names) + "]}", 0)
    found = told(decoder.decode((CAPTURES / "hyperliquid" / "ws_all_dexs_asset_ctxs_2026.json").read_bytes(), 0))
    assert len(found) == 3 * (230 - 51)
    btc_mark, btc_funding, btc_interest = found[:3]
    assert (btc_mark.instrument, btc_mark.mark, btc_mark.index) == ("BTC", 77562.0, 77605.0)  # type: ignore[union-attr]
    assert btc_funding.rate == -0.0000015186  # type: ignore[union-attr]
    assert btc_interest.coins == 27353.17682  # type: ignore[union-attr]
    assert (found[3].instrument, found[3].mark) == ("ETH", 2123.7)  # type: ignore[union-attr]
    assert "COIN3" not in {item.instrument for item in found}  # type: ignore[union-attr]
    last = found[-1]
    assert (last.instrument, last.coins) == ("COIN229", 146951716.0)  # type: ignore[union-attr]
