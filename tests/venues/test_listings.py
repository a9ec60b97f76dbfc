"""What belongs on the list: of every venue rows before their launch, broken ones and those of no coin.

Rows are hand-made in each venue's documented shape. A list names A and B, then A and a row that is none of them: B is
delisted whatever that row says of itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from service.model import Bad, Decoded, Listing, Skipped
from service.venues import VENUES
from service.venues.contract import Catalog
from service.venues.symbols import ASSETS, Asset
from tests.venues.frames import T0, decode, left_out

Row = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """A venue's list. ``row``: a sound one of an instrument. ``unlaunched``: how it reads before its launch, with terms
    that are empty or 0 then. ``broken``: what makes a row that trades unreadable. ``foreign``: rows of what is no
    coin, and why it is left out."""

    context: str
    name: Callable[[str], str]
    row: Callable[[str], Row]
    answer: Callable[[list[Row]], Any]
    unlaunched: Row
    broken: Row
    foreign: tuple[tuple[Row, str], ...] = ()


def bybit(rows: list[Row]) -> Row:
    return {"retCode": 0, "result": {"category": "linear", "list": rows, "nextPageCursor": ""}, "time": 1763719200000}


SHAPES = {
    "binance_usdm": Shape(
        "exchangeInfo",
        lambda coin: f"{coin}USDT",
        lambda coin: {
            "symbol": f"{coin}USDT", "pair": f"{coin}USDT", "contractType": "PERPETUAL", "status": "TRADING",
            "baseAsset": coin, "quoteAsset": "USDT", "underlyingType": "COIN", "onboardDate": 1569398400000,
        },
        lambda rows: {"symbols": rows},
        {"status": "PENDING_TRADING", "baseAsset": ""},
        {"baseAsset": 7},
        (
            ({"contractType": "TRADIFI_PERPETUAL", "underlyingType": "EQUITY"}, "not_crypto"),
            ({"underlyingType": "COMMODITY"}, "not_crypto"),
            ({"underlyingType": "INDEX"}, "not_crypto"),
            ({"underlyingType": "WEATHER"}, "unknown_kind"),
        ),
    ),
    "binance_coinm": Shape(
        "exchangeInfo",
        lambda coin: f"{coin}USD_PERP",
        lambda coin: {
            "symbol": f"{coin}USD_PERP", "pair": f"{coin}USD", "contractType": "PERPETUAL", "contractSize": 10,
            "contractStatus": "TRADING", "baseAsset": coin, "quoteAsset": "USD", "underlyingType": "COIN",
        },
        lambda rows: {"symbols": rows},
        {"contractStatus": "PENDING_TRADING", "contractSize": 0},
        {"contractSize": 0},
        (({"underlyingType": "EQUITY"}, "not_crypto"),),
    ),
    "aster": Shape(
        "exchangeInfo",
        lambda coin: f"{coin}USDT",
        lambda coin: {
            "symbol": f"{coin}USDT", "pair": f"{coin}USDT", "contractType": "PERPETUAL", "status": "TRADING",
            "baseAsset": coin, "quoteAsset": "USDT", "underlyingType": "COIN", "underlyingSubType": [],
        },
        lambda rows: {"symbols": rows},
        {"status": "PENDING_TRADING", "baseAsset": ""},
        {"baseAsset": 7},
        (
            ({"quoteAsset": "USD"}, "foreign"),
            ({"baseAsset": "TSLA"}, "not_crypto"),
            ({"baseAsset": "FOO"}, "unknown_kind"),
            ({"underlyingType": "WEATHER"}, "unknown_kind"),
        ),
    ),
    "bybit": Shape(
        "instruments:linear",
        lambda coin: f"{coin}USDT",
        lambda coin: {
            "symbol": f"{coin}USDT", "contractType": "LinearPerpetual", "status": "Trading", "baseCoin": coin,
            "quoteCoin": "USDT", "settleCoin": "USDT", "fundingInterval": 480, "symbolType": "innovation",
        },
        bybit,
        {"status": "PreLaunch", "fundingInterval": "", "baseCoin": ""},
        {"fundingInterval": "?"},
        (
            *(({"symbolType": kind}, "not_crypto") for kind in (
                "stock", "xstocks", "mstocks", "etf", "commodity", "forex",
            )),
            ({"symbolType": "weather"}, "unknown_kind"),
        ),
    ),
    "okx": Shape(
        "instruments",
        lambda coin: f"{coin}-USDT-SWAP",
        lambda coin: {
            "instType": "SWAP", "instId": f"{coin}-USDT-SWAP", "uly": f"{coin}-USDT", "instFamily": f"{coin}-USDT",
            "instCategory": "1", "ctType": "linear", "ctVal": "0.1", "ctMult": "1", "ctValCcy": coin,
            "settleCcy": "USDT", "state": "live", "ruleType": "normal",
        },
        lambda rows: {"code": "0", "msg": "", "data": rows},
        {"state": "preopen", "ctVal": "", "ctValCcy": "", "ctType": "", "uly": ""},
        {"ctVal": "?"},
        (
            *(({"instCategory": kind}, "not_crypto") for kind in ("3", "4", "5", "6", "7")),
            ({"instType": "FUTURES", "instId": "BTC-USD_UM_XPERP-310404", "ruleType": "xperp"}, "xperp"),
            ({"instType": "FUTURES", "instId": "BTC-USDT-270326", "ruleType": "normal"}, "dated"),
        ),
    ),
    "bitget": Shape(
        "contracts:USDT-FUTURES",
        lambda coin: f"{coin}USDT",
        lambda coin: {
            "symbol": f"{coin}USDT", "baseCoin": coin, "quoteCoin": "USDT", "sizeMultiplier": "0.01", "isRwa": "NO",
            "symbolType": "perpetual", "symbolStatus": "normal", "fundInterval": "8", "deliveryTime": "",
        },
        lambda rows: {"code": "00000", "msg": "success", "requestTime": 1763719190001, "data": rows},
        {"symbolStatus": "listed", "fundInterval": "0", "baseCoin": ""},
        {"fundInterval": "?"},
        (
            ({"isRwa": "YES"}, "not_crypto"),
            ({"type": "perpetual", "symbolType": "stock"}, "not_crypto"),
            ({"type": "perpetual", "symbolType": "weather"}, "unknown_kind"),
            ({"symbolType": "delivery"}, "dated"),
        ),
    ),
    "deribit": Shape(
        "instruments",
        lambda coin: f"{coin}_USDC-PERPETUAL",
        lambda coin: {
            "instrument_name": f"{coin}_USDC-PERPETUAL", "settlement_period": "perpetual", "quote_currency": "USDC",
            "base_currency": coin, "future_type": "linear", "is_active": True, "contract_size": 0.001,
        },
        lambda rows: {"jsonrpc": "2.0", "result": rows},
        {"is_active": False, "future_type": "", "contract_size": 0},
        {"future_type": "?"},
        (({"settlement_period": "month", "instrument_name": "BTC-27MAR26"}, "dated"),),
    ),
    "kraken_futures": Shape(
        "instruments",
        lambda coin: f"PF_{coin}USD",
        lambda coin: {
            "symbol": f"PF_{coin}USD", "type": "flexible_futures", "base": coin, "quote": "USD", "contractSize": 1,
            "tradeable": True, "postOnly": False, "isExpired": False, "tradfi": False, "category": "",
        },
        lambda rows: {"result": "success", "instruments": rows},
        {"tradeable": False, "postOnly": True, "contractSize": 0, "type": ""},
        {"contractSize": "?"},
        (
            ({"tradfi": True, "category": "xStocks"}, "not_crypto"),
            ({"lastTradingTime": "2026-03-27T08:00:00Z", "symbol": "FF_XBTUSD_260327"}, "dated"),
        ),
    ),
    "bitmex": Shape(
        "instruments",
        lambda coin: f"{coin}USDT",
        lambda coin: {
            "symbol": f"{coin}USDT", "state": "Open", "typ": "FFWCSX", "underlying": coin, "quoteCurrency": "USDT",
            "settlCurrency": "USDt", "isInverse": False, "isQuanto": False, "multiplier": 10000,
            "underlyingToPositionMultiplier": 100, "quoteToSettleMultiplier": 1000000,
            "fundingInterval": "2000-01-01T08:00:00.000Z",
        },
        lambda rows: rows,
        {"state": "Unlisted", "underlyingToPositionMultiplier": 0, "multiplier": 0},
        {"underlyingToPositionMultiplier": "?"},
        (
            ({"typ": "FFWCSF"}, "not_crypto"),
            ({"typ": "FFCCSX", "symbol": "XBTZ26"}, "dated"),
            ({"typ": "XXXXXX"}, "unknown_kind"),
        ),
    ),
    "hyperliquid": Shape(
        "meta",
        lambda coin: coin,
        lambda coin: {"name": coin, "szDecimals": 5, "maxLeverage": 40},
        lambda rows: {"universe": rows},
        {"isDelisted": True},
        {"isDelisted": "?"},
    ),
    "lighter": Shape(
        "markets:sides",
        lambda coin: f"{coin}-7",
        lambda coin: {
            "symbol": coin, "market_id": 7, "market_type": "perp", "status": "active", "open_interest": 1501.5,
            "market_config": {"force_reduce_only": False},
        },
        lambda rows: {"code": 200, "order_book_details": rows, "spot_order_book_details": []},
        {"status": "inactive", "market_type": None},
        {"status": 7},
        (({}, "not_crypto"), ({"symbol": "WEATHER"}, "unknown_kind"), ({"market_type": "spot"}, "foreign")),
    ),
}  # fmt: skip
COINS = tuple(Asset(coin, coin) for coin in ("AAA", "BBB", "CCC", "NEW"))  # at venues that do not say what is one

LISTS = [pytest.param(venue, shape, id=venue) for venue, shape in SHAPES.items()]


class Lists:
    """The lists of one venue, one after the other."""

    def __init__(self, venue: str, shape: Shape) -> None:
        self.catalog = Catalog((*ASSETS, *COINS))
        self.shape = shape
        self._decoder = VENUES[venue].decoder(self.catalog)

    def read(self, *rows: Row) -> list[Decoded]:
        return decode(self._decoder, json.dumps(self.shape.answer(list(rows))), context=self.shape.context)

    def row(self, coin: str, **changes: Any) -> Row:
        return self.shape.row(coin) | changes

    def trading(self) -> list[str]:
        return sorted(name for name, listing in self.catalog.listings.items() if listing.trading)

    def named(self, *coins: str) -> list[str]:
        return sorted(map(self.shape.name, coins))


@pytest.mark.parametrize(("venue", "shape"), LISTS)
def test_a_row_before_its_launch_costs_nothing_and_keeps_nobody_listed(venue: str, shape: Shape) -> None:
    """Cause: its empty terms were refused, and an answer with a refused row delisted nobody."""
    lists = Lists(venue, shape)
    lists.read(lists.row("AAA"), lists.row("BBB"))
    assert lists.trading() == lists.named("AAA", "BBB")
    found = lists.read(lists.row("AAA"), lists.row("NEW", **shape.unlaunched))
    assert all(isinstance(item, Listing | Skipped) for item in found)
    assert lists.trading() == lists.named("AAA")


@pytest.mark.parametrize(("venue", "shape"), LISTS)
def test_launched_delisted_and_listed_again(venue: str, shape: Shape) -> None:
    lists = Lists(venue, shape)
    lists.read(lists.row("AAA"), lists.row("NEW", **shape.unlaunched))
    lists.read(lists.row("AAA"), lists.row("NEW"))
    assert lists.trading() == lists.named("AAA", "NEW")
    known = lists.catalog.listings[shape.name("NEW")]
    lists.read(lists.row("AAA"))
    assert lists.trading() == lists.named("AAA")
    lists.read(lists.row("AAA"), lists.row("NEW"))
    assert lists.catalog.listings[shape.name("NEW")] == known
    lists.read(lists.row("AAA"), lists.row("NEW", **shape.unlaunched))
    assert lists.trading() == lists.named("AAA")


@pytest.mark.parametrize(("venue", "shape"), LISTS)
def test_a_broken_row_costs_itself_keeps_what_was_known_and_nobody_else(venue: str, shape: Shape) -> None:
    lists = Lists(venue, shape)
    lists.read(lists.row("AAA"), lists.row("BBB"), lists.row("CCC"))
    known = lists.catalog.listings[shape.name("BBB")]
    found = lists.read(lists.row("AAA"), lists.row("BBB", **shape.broken))
    assert sum(isinstance(item, Bad) for item in found) == 1
    assert lists.trading() == lists.named("AAA", "BBB")
    assert lists.catalog.listings[shape.name("BBB")] == known


FOREIGN = [
    pytest.param(venue, shape, changes, reason, id=f"{venue}-{reason}-{number}")
    for venue, shape in SHAPES.items()
    for number, (changes, reason) in enumerate(shape.foreign)
]


@pytest.mark.parametrize(("venue", "shape", "changes", "reason"), FOREIGN)
def test_what_is_no_coin_is_left_out_though_it_has_a_coins_ticker(
    venue: str, shape: Shape, changes: Row, reason: str
) -> None:
    """Cause: a stock whose ticker is a coin's was read as the coin."""
    lists = Lists(venue, shape)
    assert left_out(lists.read(lists.row("DASH", **changes))) == [reason]
    assert lists.trading() == []


@pytest.mark.parametrize(("venue", "shape", "changes", "reason"), FOREIGN)
def test_what_turns_out_to_be_no_coin_no_longer_trades(venue: str, shape: Shape, changes: Row, reason: str) -> None:
    lists = Lists(venue, shape)
    lists.read(lists.row("DASH"), lists.row("AAA"))
    lists.read(lists.row("DASH", **changes), lists.row("AAA"))
    assert lists.trading() == lists.named("AAA")


def test_frames_of_what_metadata_calls_a_stock_are_left_out_and_said() -> None:
    """Cause: DASH the stock was told as the coin, at 214 dollars."""
    decoder = VENUES["bybit"].decoder(Catalog())
    row = SHAPES["bybit"].row("DASH") | {"symbolType": "stock"}
    assert decode(decoder, bybit([row])) == [Skipped("bybit", "DASHUSDT", "not_crypto")]
    data = {
        "symbol": "DASHUSDT", "markPrice": "214.11", "indexPrice": "214.02", "openInterest": "8002",
        "singleOpenInterest": "4001", "nextFundingTime": "1784563200000", "fundingRate": "0.00003",
        "fundingIntervalHour": "8",
    }  # fmt: skip
    ticker = {"topic": "tickers.DASHUSDT", "type": "snapshot", "cs": 1, "ts": 1784541602010, "data": data}
    assert decode(decoder, ticker) == [Skipped("bybit", "DASHUSDT", "not_crypto")]
    trade = {"T": T0, "s": "DASHUSDT", "S": "Buy", "v": "1.5", "p": "214.1", "i": "a", "BT": False}
    assert decode(decoder, {"topic": "publicTrade.DASHUSDT", "type": "snapshot", "ts": T0, "data": [trade]}) == [
        Skipped("bybit", "DASHUSDT", "not_crypto")
    ]


def test_dydx_lists_by_status_alone() -> None:
    catalog = Catalog()
    decoder = VENUES["dydx"].decoder(catalog)
    rows: dict[str, Row] = {name: {"ticker": name, "status": "ACTIVE"} for name in ("AAA-USD", "BBB-USD", "CCC-USD")}
    decode(decoder, {"markets": rows}, context="markets")
    rows = {
        "AAA-USD": rows["AAA-USD"],
        "BBB-USD": {"ticker": "BBB-USD", "status": 7},
        "NEW-USD": {"ticker": "NEW-USD", "status": "INITIALIZING", "oraclePrice": None},
        "BBB-EUR": {"ticker": "BBB-EUR", "status": "ACTIVE"},
    }
    found = decode(decoder, {"markets": rows}, context="markets")
    assert [item.reason for item in found if isinstance(item, Bad | Skipped)] == ["wrong_type", "foreign"]
    assert sorted(name for name, listing in catalog.listings.items() if listing.trading) == ["AAA-USD", "BBB-USD"]
