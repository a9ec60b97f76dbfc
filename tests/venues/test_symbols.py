"""Canonical names and units."""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model import Listing, Mark
from service.venues import VENUES
from service.venues.contract import Catalog
from service.venues.decoding import decode_document
from service.venues.emit import Emit
from service.venues.symbols import (
    ASSETS,
    MAX_SYMBOL,
    SCALED_SYMBOLS,
    STABLECOINS,
    Asset,
    aliases,
    assets_at,
    base_asset,
    base_of,
    canonical,
    canonical_price,
    canonical_symbol,
    never_listed,
    symbol_problem,
)


@pytest.mark.parametrize(
    ("base", "symbol", "multiplier"),
    [
        ("BTC", "BTC", 1.0),
        ("XBT", "BTC", 1.0),
        ("1000PEPE", "1000PEPE", 1.0),
        ("kPEPE", "1000PEPE", 1.0),
        ("PEPE", "1000PEPE", 0.001),
        ("1000000PEPE", "1000PEPE", 1000.0),
        ("10000SATS", "1000SATS", 10.0),
        ("SHIB1000", "1000SHIB", 1.0),
        ("1000000MOG", "MOG", 1_000_000.0),
        ("1MBABYDOGE", "BABYDOGE", 1_000_000.0),
        ("1000000BABYDOGE", "BABYDOGE", 1_000_000.0),
        ("kDOGS", "DOGS", 1000.0),
        ("DOGS", "DOGS", 1.0),
        ("1000X", "X", 1000.0),
        ("1INCH", "1INCH", 1.0),
        ("1000", "1000", 1.0),
        ("KAVA", "KAVA", 1.0),
        ("k", "k", 1.0),
        ("10001INCH", "10001INCH", 1.0),
        ("1MX", "1MX", 1.0),
    ],
)
def test_canonical(base: str, symbol: str, multiplier: float) -> None:
    assert canonical(base) == (symbol, multiplier)


def test_units_agree_across_spellings() -> None:
    """The same market quoted per token, per 1,000 and per 1,000,000 has one price and one amount."""
    tokens, token_price = 5e12, 4.7e-06
    for base, per in (("PEPE", 1), ("kPEPE", 1000), ("1000000PEPE", 1_000_000)):
        symbol, multiplier = canonical(base)
        assert symbol == "1000PEPE"
        assert canonical_price(token_price * per, multiplier) == pytest.approx(0.0047, rel=1e-12)
        assert tokens / per * multiplier == pytest.approx(5e9, rel=1e-12)


def test_price_scaling_is_exact_for_short_decimals() -> None:
    assert canonical_price(0.00000475, 0.001) == 0.00475


@pytest.mark.parametrize("symbol", SCALED_SYMBOLS)
def test_scaled_symbols_are_their_own_canonical_name(symbol: str) -> None:
    assert canonical(symbol) == (symbol, 1.0)


@given(st.text(max_size=12))
def test_any_name_has_a_symbol(base: str) -> None:
    symbol, multiplier = canonical(base)
    assert multiplier > 0
    assert bool(symbol) == bool(base)


def test_base_of() -> None:
    assert base_of("BTCUSDT", ("USDT", "USDC")) == "BTC"
    assert base_of("USDCUSDT", ("USDT", "USDC")) == "USDC"
    assert base_of("USDT", ("USDT",)) is None
    assert base_of("ETHBTC", ("USDT",)) is None


# -- one asset, several tickers --------------------------------------------------------------------------------------

NAMES = {  # a perpetual of the coin, as each venue writes it
    "binance_usdm": "{}USDT",
    "binance_coinm": "{}USD_PERP",
    "bybit": "{}USDT",
    "okx": "{}-USDT-SWAP",
    "bitget": "{}USDT",
    "gate": "{}_USDT",
    "deribit": "{}_USDC-PERPETUAL",
    "kraken_futures": "PF_{}USD",
    "bitmex": "{}USDT",
    "hyperliquid": "{}",
    "dydx": "{}-USD",
    "aster": "{}USDT",
    "lighter": "{}-7",
}
UNTOLD = ("aster", "lighter")  # venues that do not say what is a coin: only what is known to be one counts


def emit_of(venue: str, assets: tuple[Asset, ...] = ASSETS, recv_ts: int = 0) -> Emit:
    emit = VENUES[venue].decoder(Catalog(assets))._emit  # type: ignore[attr-defined]
    assert isinstance(emit, Emit)
    emit.recv_ts = recv_ts
    return emit


def ms(*day: int) -> int:
    return int(datetime(*day, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize("asset", ASSETS, ids=lambda asset: asset.ticker)
@pytest.mark.parametrize("venue", VENUES)
def test_every_venue_lists_both_tickers_under_the_canonical_name(venue: str, asset: Asset) -> None:
    """Cause: a coin is renamed at one venue and not yet at another, and its open interest falls apart."""
    emit = emit_of(venue)
    for ticker, factor in ((asset.ticker, asset.factor), (asset.canonical, 1.0)):
        listing = emit.listing(NAMES[venue].format(ticker))
        if venue in UNTOLD and ticker == "S":  # a stock's ticker, too: not known to be a coin there
            assert listing is None
            continue
        assert listing is not None
        assert (listing.symbol, listing.multiplier) == (asset.canonical, factor)


def test_metadata_of_an_old_ticker_list_the_canonical_name_in_its_units() -> None:
    """Cause: what metadata lists goes another way than what a name alone tells."""
    emit = emit_of("bybit")
    emit.listed(Listing("bybit", "AGIXUSDT", "AGIX", False, 10.0, 1.0, 8.0, True, 0))
    emit.listed(Listing("bybit", "AGIXUSD", "AGIX", True, 10.0, 1.0, 8.0, True, 0))
    assert [(item.symbol, item.multiplier, item.contract_size) for item in emit.out if isinstance(item, Listing)] == [
        ("FET", 0.43335, 4.3335),
        ("FET", 0.43335, 10.0),  # an inverse contract is dollars, whatever the coin is called
    ]
    emit.mark(emit.catalog.listings["AGIXUSDT"], 0.86670, None, None)
    [mark] = [item for item in emit.out if isinstance(item, Mark)]
    assert mark.mark == pytest.approx(2.0, rel=1e-12)


def test_a_ticker_keeps_its_name_until_it_means_the_asset() -> None:
    rows = (Asset("OLD", "NEW", 60.0, None, date(2024, 7, 1)),)
    for recv_ts, symbol in ((ms(2024, 6, 30), "OLD"), (ms(2024, 7, 1), "NEW"), (0, "NEW")):
        found = emit_of("okx", rows, recv_ts).listing("OLD-USDT-SWAP")
        assert found is not None
        assert (found.symbol, found.multiplier) == (symbol, 60.0 if symbol == "NEW" else 1.0)


LISTS = {
    "bybit": (
        "instruments:linear",
        {
            "retCode": 0,
            "result": {
                "category": "linear",
                "nextPageCursor": "",
                "list": [
                    {
                        "symbol": "OLDUSDT",
                        "contractType": "LinearPerpetual",
                        "status": "Trading",
                        "baseCoin": "OLD",
                        "quoteCoin": "USDT",
                        "fundingInterval": 480,
                    }
                ],
            },
        },
    ),
    "hyperliquid": ("meta", {"universe": [{"name": "OLD", "szDecimals": 1}]}),
    "dydx": ("markets", {"markets": {"OLD-USD": {"ticker": "OLD-USD", "status": "ACTIVE", "oraclePrice": "1"}}}),
    "lighter": (
        "markets:sides",
        {
            "order_book_details": [
                {
                    "symbol": "OLD",
                    "market_id": 7,
                    "market_type": "perp",
                    "status": "active",
                }
            ]
        },
    ),
}


@pytest.mark.parametrize("venue", LISTS)
def test_an_instrument_whose_ticker_takes_its_new_meaning_counts_for_one_symbol(venue: str) -> None:
    """Cause: the old symbol's listing stayed as it was, so one instrument counted for both; dYdX's kept the old."""
    context, answer = LISTS[venue]
    decoder = VENUES[venue].decoder(Catalog((*ASSETS, Asset("OLD", "NEW", 60.0, None, date(2026, 12, 1)))))
    told = [
        [(item.symbol, item.trading, item.multiplier) for item in found if isinstance(item, Listing)]
        for at in (ms(2026, 11, 30), ms(2026, 12, 1), ms(2026, 12, 2))
        for found in [decoder.decode(json.dumps(answer), at, context)]
    ]
    assert told == [[("OLD", True, 1.0)], [("OLD", False, 1.0), ("NEW", True, 60.0)], [("NEW", True, 60.0)]]


def test_a_row_of_one_venue_holds_there_and_comes_before_that_of_all() -> None:
    rows = (Asset("A", "B"), Asset("A", "C", 1.0, "gate"), Asset("A", "D"))
    assert assets_at("okx", rows)["A"].canonical == "D"  # the later one
    assert assets_at("gate", rows)["A"].canonical == "C"
    assert aliases(rows) == {"A": "D"}
    assert aliases((*rows, Asset("A", "A"))) == {}


def test_aliases_mean_the_same_in_the_same_unit_always() -> None:
    known = aliases()
    assert canonical_symbol("TON", known) == "GRAM"
    assert "AGIX" not in known
    assert not set(known) & set(known.values())


def test_no_ticker_of_the_table_is_a_canonical_name_and_all_are_in_canonical_form() -> None:
    """Cause: a listing listed anew would be renamed twice, its units multiplied twice."""
    assert not {item.ticker for item in ASSETS} & {item.canonical for item in ASSETS}
    assert all(canonical(name) == (name, 1.0) for item in ASSETS for name in (item.ticker, item.canonical))
    assert len({item.ticker for item in ASSETS}) == len(ASSETS)


def test_the_page_lists_the_table() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "venues.md").read_text()
    rows = re.findall(r"^\| (\w+) \| (\w+) \| ([\d.]+) \| ([\w-]+) \| .+ \|$", text, re.MULTILINE)
    assert rows == [
        (a.ticker, a.canonical, f"{a.factor:g}", "always" if a.since is None else a.since.isoformat()) for a in ASSETS
    ]


def test_a_frame_that_says_the_old_ticker_is_of_the_canonical_symbol() -> None:
    """Also without metadata, and where a positional or compressed stream asks for the name alone."""
    frame = (
        '{"channel":"activeAssetCtx","data":{"coin":"TON","ctx":{"funding":"0.0000125","openInterest":"512.5",'
        '"markPx":"2.25","oraclePx":"2.24","midPx":"2.251","premium":"0.0001","dayNtlVlm":"1.0","prevDayPx":"2.1"}}}'
    )
    rows = list(decode_document("hyperliquid", frame))
    assert {row["symbol"] for row in rows} == {"GRAM"}
    assert {row["instrument"] for row in rows} == {"TON"}  # the venue's own name stays
    assert len(rows) == 3


# -- what people write -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["BTC", "1000PEPE", "币安人生", "龙虾", "ΣΩ", "हिन्दी", "1INCH", "A", "PERP", "PYUSD", "C98"]
)
def test_names_of_any_script_can_be_symbols(name: str) -> None:
    assert symbol_problem(name) is None
    assert never_listed(name) is None


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "1 to 20 characters"),
        ("A" * 21, "1 to 20 characters"),
        ("btc", "did you mean BTC?"),
        ("kPEPE", "did you mean 1000PEPE?"),
        ("BTC-PERP", "did you mean BTC?"),
        ("XBT/USD", "did you mean BTC?"),
        ("SOL_USDT", "did you mean SOL?"),
        ("BTC USDT", "did you mean BTC?"),
        ("A.B", "letters and digits only"),
        ("币 安", "did you mean 币?"),
        ("A*", "letters and digits only"),
        ("A\n", "letters and digits only"),
        ("A\u200b", "letters and digits only"),
        ("A\ud800", "letters and digits only"),
        ("\u0301A", "letters and digits only"),
        ("ΣΩα", "not in upper case; did you mean ΣΩΑ?"),
        (unicodedata.normalize("NFD", "É"), "not normalised"),
    ],
)
def test_what_cannot_be_written_as_a_symbol(name: str, problem: str) -> None:
    assert problem in (symbol_problem(name) or "")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("PEPE", "is counted as 1000PEPE; did you mean 1000PEPE?"),
        ("BONK", "is counted as 1000BONK; did you mean 1000BONK?"),
        ("XBT", "is counted as BTC; did you mean BTC?"),
        ("1000MOG", "is counted as MOG; did you mean MOG?"),
        ("SHIB1000", "is counted as 1000SHIB; did you mean 1000SHIB?"),
        ("KPEPE", "is no base asset; did you mean 1000PEPE?"),
        ("BTCUSDT", "is no base asset; did you mean BTC?"),
        ("BTCUSD", "is no base asset; did you mean BTC?"),
        ("BTCUSDC", "is no base asset; did you mean BTC?"),
        ("OPPERP", "is no base asset; did you mean OP?"),
        ("XBTUSDT", "is no base asset; did you mean BTC?"),
        ("PEPEUSDT", "is no base asset; did you mean 1000PEPE?"),
    ],
)
def test_a_symbol_that_no_instrument_can_be_of_is_told_with_the_one_that_is_meant(name: str, problem: str) -> None:
    assert never_listed(name) == problem


@given(st.text(max_size=25))
def test_whatever_is_written_the_suggestion_is_a_symbol_that_can_have_data(name: str) -> None:
    """Cause: a suggestion that is refused in its turn."""
    meant = base_asset(name)
    if name not in STABLECOINS and symbol_problem(meant) is None:
        assert never_listed(meant) is None
    if symbol_problem(name) is None and len(name) < MAX_SYMBOL - 3 and never_listed(name) is None:
        assert meant == name


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("symbol", ["BTC", "1000PEPE", "MOG", "GRAM", "币安人生"])
def test_what_is_not_refused_some_instrument_of_every_venue_can_be_of(venue: str, symbol: str) -> None:
    listing = emit_of(venue).listing(NAMES[venue].format(symbol))
    assert listing is not None
    assert (listing.symbol, never_listed(symbol)) == (symbol, None)
