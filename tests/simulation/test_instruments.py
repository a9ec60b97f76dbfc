from __future__ import annotations

import pytest

from service.config import DEFAULT_SYMBOLS
from service.simulation.instruments import VENUES, Instrument, instruments, split_prefix

LISTED = instruments(5, DEFAULT_SYMBOLS)


def of(venue: str, symbol: str) -> dict[str, Instrument]:
    return {item.name: item for item in LISTED if item.venue == venue and item.symbol == symbol}


def test_bitcoin_is_listed_as_on_the_real_venues() -> None:
    assert list(of("binance_usdm", "BTC")) == ["BTCUSDT", "BTCUSDC"]
    assert list(of("bybit", "BTC")) == ["BTCUSDT", "BTCPERP", "BTCUSD"]
    assert list(of("okx", "BTC")) == ["BTC-USDT-SWAP", "BTC-USD-SWAP"]
    assert list(of("hyperliquid", "BTC")) == ["BTC"]
    assert [item.inverse for item in of("bybit", "BTC").values()] == [False, False, True]
    assert of("bybit", "BTC")["BTCPERP"].quote == "USDC"


def test_an_alt_has_one_contract_on_each_venue_and_no_inverse_contracts() -> None:
    assert {venue: list(of(venue, "SOL")) for venue in VENUES} == {
        "binance_usdm": ["SOLUSDT"],
        "bybit": ["SOLUSDT"],
        "okx": ["SOL-USDT-SWAP"],
        "hyperliquid": ["SOL"],
        "binance_coinm": ["SOLUSD_PERP"],
        "bitget": ["SOLUSDT"],
        "gate": ["SOL_USDT"],
        "deribit": ["SOL_USDC-PERPETUAL"],
        "kraken_futures": ["PF_SOLUSD"],
        "bitmex": ["SOLUSDT"],
        "dydx": ["SOL-USD"],
        "aster": ["SOLUSDT"],
        "lighter": ["SOL-2"],
    }


def test_a_scaled_symbol_has_each_venues_own_name_and_unit() -> None:
    pepe = [of(venue, "1000PEPE") for venue in VENUES[:4]]
    assert [list(item) for item in pepe] == [["1000PEPEUSDT"], ["1000PEPEUSDT"], ["PEPE-USDT-SWAP"], ["kPEPE"]]
    okx = pepe[2]["PEPE-USDT-SWAP"]
    assert (okx.multiplier, okx.native_size, okx.contract_size) == (0.001, 10_000_000.0, 10_000.0)
    assert pepe[0]["1000PEPEUSDT"].multiplier == pepe[3]["kPEPE"].multiplier == 1.0
    assert [(item.name, item.multiplier) for item in of("lighter", "1000PEPE").values()] == [("1000PEPE-4", 1.0)]
    bare = [venue for venue in VENUES[4:] if venue != "lighter"]
    others = {venue: list(of(venue, "1000PEPE").values()) for venue in bare}
    assert {venue: [item.name for item in items] for venue, items in others.items()} == {
        "binance_coinm": [],
        "bitget": ["PEPEUSDT"],
        "gate": ["PEPE_USDT"],
        "deribit": [],
        "kraken_futures": ["PF_PEPEUSD"],
        "bitmex": [],
        "dydx": ["PEPE-USD"],
        "aster": ["1000PEPEUSDT"],
    }
    assert {item.multiplier for item in others.pop("aster")} == {1.0}
    assert {item.multiplier for items in others.values() for item in items} == {0.001}
    assert others["gate"][0].contract_size == 10_000.0
    [bybit] = [item for item in instruments(5, ["1000SHIB"]) if item.venue == "bybit"]
    assert bybit.name == "SHIB1000USDT"


def test_not_every_symbol_is_on_every_venue() -> None:
    assert [bool(of(venue, "GRAM")) for venue in VENUES[:4]] == [True, True, True, False]
    assert [bool(of(venue, "HYPE")) for venue in VENUES[:4]] == [True, True, False, True]


def test_contract_sizes_and_intervals() -> None:
    assert of("okx", "BTC")["BTC-USDT-SWAP"].contract_size == 0.01
    assert of("okx", "BTC")["BTC-USD-SWAP"].contract_size == 100.0
    assert of("bybit", "BTC")["BTCUSD"].contract_size == 1.0
    assert of("okx", "ETH")["ETH-USD-SWAP"].contract_size == 10.0
    sizes = [
        of(venue, "BTC")[name]
        for venue, name in (
            ("binance_coinm", "BTCUSD_PERP"),
            ("bitget", "BTCUSD"),
            ("gate", "BTC_USDT"),
            ("gate", "BTC_USD"),
            ("bitmex", "XBTUSDT"),
            ("bitmex", "XBTUSD"),
        )
    ]
    assert [item.contract_size for item in sizes] == [100.0, None, 0.0001, 1.0, 1e-6, 1.0]
    assert [item.inverse for item in sizes] == [True, True, False, True, False, True]
    assert of("binance_coinm", "SOL")["SOLUSD_PERP"].contract_size == 10.0
    intervals = {
        symbol: [next(iter(of(venue, symbol).values())).interval_h for venue in VENUES[:2]] for symbol in ("BTC", "SUI")
    }
    assert intervals == {"BTC": [8, 8], "SUI": [4, 4]}
    for venue in ("hyperliquid", "kraken_futures", "dydx", "lighter"):
        assert {item.interval_h for item in LISTED if item.venue == venue} == {1}
    assert {(item.interval_h, item.offset_h) for item in LISTED if item.venue == "bitmex"} == {(8, 4)}
    assert {item.interval_h for item in LISTED if item.venue == "aster"} == {1, 2, 8}


def test_a_quanto_contract_is_worth_bitcoin_and_is_not_listed_without_it() -> None:
    [quanto] = [item for item in LISTED if item.unit == "quanto"]
    assert (quanto.venue, quanto.name, quanto.symbol, quanto.inverse) == ("bitmex", "ETHUSD", "ETH", False)
    assert (quanto.native_size, quanto.contract_size) == (1e-6, None)
    assert quanto.oi_contracts * quanto.native_size * 83_000.0 == pytest.approx(quanto.oi_coins)
    assert [item.name for item in instruments(5, ["ETH"], ["bitmex"])] == ["ETHUSDT"]


def test_an_instrument_does_not_depend_on_the_other_venues_and_symbols() -> None:
    [alone] = instruments(5, ["SOL"], ["gate"])
    assert alone == of("gate", "SOL")["SOL_USDT"]
    names = {(item.venue, item.name) for item in LISTED}
    assert len(names) == len(LISTED)


@pytest.mark.parametrize(
    ("symbol", "parts"), [("BTC", (1, "BTC")), ("1000PEPE", (1000, "PEPE")), ("1INCH", (1, "1INCH"))]
)
def test_split_prefix(symbol: str, parts: tuple[int, str]) -> None:
    assert split_prefix(symbol) == parts


def test_the_same_seed_gives_the_same_instruments() -> None:
    assert instruments(5, DEFAULT_SYMBOLS) == LISTED != instruments(6, DEFAULT_SYMBOLS)


def test_a_renamed_coin_is_listed_under_both_tickers() -> None:
    """What makes one asset of it must have something to do in every demo."""
    names = {item.venue: item.name for item in instruments(7, ("BTC", "GRAM")) if item.symbol == "GRAM"}
    assert (names["okx"], names["kraken_futures"], names["dydx"]) == ("TON-USDT-SWAP", "PF_TONUSD", "TON-USD")
    assert (names["binance_usdm"], names["gate"]) == ("GRAMUSDT", "GRAM_USDT")
