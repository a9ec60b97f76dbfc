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


def test_an_alt_has_no_usdc_and_no_inverse_contracts() -> None:
    assert [list(of(venue, "SOL")) for venue in VENUES] == [["SOLUSDT"], ["SOLUSDT"], ["SOL-USDT-SWAP"], ["SOL"]]


def test_a_scaled_symbol_has_each_venues_own_name_and_unit() -> None:
    pepe = [of(venue, "1000PEPE") for venue in VENUES]
    assert [list(item) for item in pepe] == [["1000PEPEUSDT"], ["1000PEPEUSDT"], ["PEPE-USDT-SWAP"], ["kPEPE"]]
    okx = pepe[2]["PEPE-USDT-SWAP"]
    assert (okx.multiplier, okx.native_size, okx.contract_size) == (0.001, 10_000_000.0, 10_000.0)
    assert pepe[0]["1000PEPEUSDT"].multiplier == pepe[3]["kPEPE"].multiplier == 1.0
    [bybit] = [item for item in instruments(5, ["1000SHIB"]) if item.venue == "bybit"]
    assert bybit.name == "SHIB1000USDT"


def test_not_every_symbol_is_on_every_venue() -> None:
    assert [bool(of(venue, "TON")) for venue in VENUES] == [True, True, True, False]
    assert [bool(of(venue, "HYPE")) for venue in VENUES] == [True, True, False, True]


def test_contract_sizes_and_intervals() -> None:
    assert of("okx", "BTC")["BTC-USDT-SWAP"].contract_size == 0.01
    assert of("okx", "BTC")["BTC-USD-SWAP"].contract_size == 100.0
    assert of("bybit", "BTC")["BTCUSD"].contract_size == 1.0
    assert of("okx", "ETH")["ETH-USD-SWAP"].contract_size == 10.0
    intervals = {
        symbol: [next(iter(of(venue, symbol).values())).interval_h for venue in VENUES[:2]] for symbol in ("BTC", "SUI")
    }
    assert intervals == {"BTC": [8, 8], "SUI": [4, 4]}
    assert {item.interval_h for item in LISTED if item.venue == "hyperliquid"} == {1}


@pytest.mark.parametrize(
    ("symbol", "parts"), [("BTC", (1, "BTC")), ("1000PEPE", (1000, "PEPE")), ("1INCH", (1, "1INCH"))]
)
def test_split_prefix(symbol: str, parts: tuple[int, str]) -> None:
    assert split_prefix(symbol) == parts


def test_the_same_seed_gives_the_same_instruments() -> None:
    assert instruments(5, DEFAULT_SYMBOLS) == LISTED != instruments(6, DEFAULT_SYMBOLS)
