"""The venues' own figures: hand-made answers in the documented shapes, every value distinct, the right figures worked
out by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from service.audit import SOURCES, read
from service.model import Listing
from service.venues import VENUES

REST = "https://venue.test/base"


def listing(name: str, symbol: str = "BTC", inverse: bool = False, multiplier: float = 1.0) -> Listing:
    """Without our size of a contract: the venue's own must be used."""
    return Listing("v", name, symbol, inverse, None, multiplier, None, True, 0)


@dataclass
class Case:
    """``answers``: by the context of the request. ``right``: instrument to (mark, funding per 8 h, coins)."""

    listings: list[Listing]
    answers: dict[str, Any]
    right: dict[str, tuple[float, float, float]]
    urls: list[str] = field(default_factory=list)


def okx(rows: list[dict[str, str]]) -> dict[str, Any]:
    return {"code": "0", "msg": "", "data": rows}


CASES = {
    "binance_usdm": Case(
        [listing("BTCUSDT"), listing("1000SHIBUSDT", "1000SHIB")],
        {
            "openInterest BTCUSDT": {"symbol": "BTCUSDT", "openInterest": "6007.008", "time": 1790000003401},
            "openInterest 1000SHIBUSDT": {"symbol": "1000SHIBUSDT", "openInterest": "51000", "time": 1790000003402},
            "fundingInfo": [{"symbol": "1000SHIBUSDT", "fundingIntervalHours": 4}],
            "premiumIndex": [
                {"symbol": "BTCUSDT", "markPrice": "70001.1", "indexPrice": "70002.2", "lastFundingRate": "0.00004"},
                {"symbol": "1000SHIBUSDT", "markPrice": "0.0125", "indexPrice": "0.0126", "lastFundingRate": "-0.0003"},
            ],
        },
        {"BTCUSDT": (70001.1, 0.00004, 6007.008), "1000SHIBUSDT": (0.0125, -0.0006, 51000.0)},
        [
            f"{REST}/fapi/v1/openInterest?symbol=BTCUSDT",
            f"{REST}/fapi/v1/openInterest?symbol=1000SHIBUSDT",
            f"{REST}/fapi/v1/fundingInfo",
            f"{REST}/fapi/v1/premiumIndex",
        ],
    ),
    "binance_coinm": Case(
        [listing("BTCUSD_PERP", inverse=True)],
        {
            "openInterest BTCUSD_PERP": {"symbol": "BTCUSD_PERP", "pair": "BTCUSD", "openInterest": "6784657"},
            "exchangeInfo": {"symbols": [{"symbol": "BTCUSD_PERP", "contractSize": 100, "contractStatus": "TRADING"}]},
            "fundingInfo": None,
            "premiumIndex": [
                {"symbol": "BTCUSD_PERP", "markPrice": "70003.3", "lastFundingRate": "0.00005", "pair": "BTCUSD"},
                {"symbol": "BTCUSD_270326", "markPrice": "70104.4", "lastFundingRate": "", "pair": "BTCUSD"},
            ],
        },
        {"BTCUSD_PERP": (70003.3, 0.00005, 678_465_700 / 70003.3)},
    ),
    "bybit": Case(
        [listing("BTCUSDT"), listing("SHIB1000USDT", "1000SHIB"), listing("BTCUSD", inverse=True)],
        {
            "linear": {
                "retCode": 0,
                "result": {
                    "list": [
                        {
                            "symbol": "BTCUSDT", "markPrice": "70004.4", "fundingRate": "0.00006",
                            "fundingIntervalHour": "8", "openInterest": "59972.256",
                            "openInterestValue": "4200264000", "singleOpenInterestValue": "2100132000",
                        },
                        {
                            "symbol": "SHIB1000USDT", "markPrice": "0.0127", "fundingRate": "0.00007",
                            "fundingIntervalHour": "2", "openInterest": "800", "openInterestValue": "10.16",
                        },
                    ]
                },
            },
            "inverse": {
                "retCode": 0,
                "result": {
                    "list": [
                        {
                            "symbol": "BTCUSD", "markPrice": "70005.5", "fundingRate": "-0.00008",
                            "fundingIntervalHour": "8", "openInterest": "240113967", "openInterestValue": "3429.92",
                        },
                    ]
                },
            },
        },
        {
            "BTCUSDT": (70004.4, 0.00006, 30000.0),
            "SHIB1000USDT": (0.0127, 0.00028, 400.0),  # half of both sides
            "BTCUSD": (70005.5, -0.00008, 1714.96),
        },
    ),
    "okx": Case(
        [listing("BTC-USDT-SWAP"), listing("PEPE-USDT-SWAP", "1000PEPE", multiplier=0.001)],
        {
            "funding-rate": okx(
                [
                    {
                        "instId": "BTC-USDT-SWAP", "fundingRate": "0.00009",
                        "fundingTime": "1790006400000", "nextFundingTime": "1790035200000",
                    },
                    {
                        "instId": "PEPE-USDT-SWAP", "fundingRate": "0.00011",
                        "fundingTime": "1790006400000", "nextFundingTime": "1790020800000",
                    },
                ]
            ),
            "open-interest": okx(
                [
                    {"instId": "BTC-USDT-SWAP", "oi": "2100180", "oiCcy": "21001.8", "oiUsd": "1470218400.9"},
                    {"instId": "PEPE-USDT-SWAP", "oi": "15", "oiCcy": "150000000", "oiUsd": "1800"},
                ]
            ),
            "mark-price": okx(
                [
                    {"instId": "BTC-USDT-SWAP", "markPx": "70006.6"},
                    {"instId": "PEPE-USDT-SWAP", "markPx": "0.000012"},
                ]
            ),
        },
        {
            "BTC-USDT-SWAP": (70006.6, 0.00009, 1470218400.9 / 70006.6),
            "PEPE-USDT-SWAP": (0.012, 0.00022, 150_000.0),  # of thousands
        },
    ),
    "bitget": Case(
        [listing("BTCUSDT"), listing("BTCPERP"), listing("BTCUSD", inverse=True)],
        {
            f"{what} {line}": {"code": "00000", "data": [{"symbol": name, **row}]}
            for line, name, contract, ticker in (
                ("USDT", "BTCUSDT", {"fundInterval": "8"},
                 {"markPrice": "70007.7", "fundingRate": "0.00012", "holdingAmount": "31911.3455999999605"}),
                ("USDC", "BTCPERP", {"fundInterval": "4"},
                 {"markPrice": "70008.8", "fundingRate": "0.00013", "holdingAmount": "1200.5"}),
                ("COIN", "BTCUSD", {"fundInterval": "8"},
                 {"markPrice": "70009.9", "fundingRate": "-0.00014", "holdingAmount": "1300.25"}),
            )
            for what, row in (("contracts", contract), ("tickers", ticker))
        },
        {
            "BTCUSDT": (70007.7, 0.00012, 31911.3456),
            "BTCPERP": (70008.8, 0.00026, 1200.5),
            "BTCUSD": (70009.9, -0.00014, 1300.25),
        },
    ),
    "gate": Case(
        [listing("BTC_USDT"), listing("PEPE_USDT", "1000PEPE", multiplier=0.001), listing("BTC_USD", inverse=True)],
        {
            "contracts usdt 0": [
                {
                    "name": "BTC_USDT", "mark_price": "70010.1", "position_size": "251827926",
                    "quanto_multiplier": "0.0001", "funding_rate": "0.00015", "funding_interval": 28800,
                },
            ],
            "contracts usdt 1000": [
                {
                    "name": "PEPE_USDT", "mark_price": "0.0000121", "position_size": 17,
                    "quanto_multiplier": "10000000", "funding_rate": "0.00016", "funding_interval": 14400,
                },
            ],
            "contracts btc 0": [
                {
                    "name": "BTC_USD", "mark_price": "70011.2", "position_size": 7001120,
                    "quanto_multiplier": "0", "funding_rate": "0.00017", "funding_interval": 28800,
                },
            ],
        },
        {
            "BTC_USDT": (70010.1, 0.00015, 25182.7926),
            "PEPE_USDT": (0.0121, 0.00032, 170_000.0),
            "BTC_USD": (70011.2, 0.00017, 100.0),
        },
    ),
    "deribit": Case(
        [listing("BTC-PERPETUAL", inverse=True), listing("SOL_USDC-PERPETUAL", "SOL")],
        {
            "book summary BTC": {
                "jsonrpc": "2.0",
                "result": [
                    {
                        "instrument_name": "BTC-PERPETUAL", "open_interest": 1400246000, "mark_price": 70012.3,
                        "current_funding": 0.00018, "funding_8h": 0.00019,
                    }
                ],
            },
            "book summary USDC": {
                "jsonrpc": "2.0",
                "result": [
                    {
                        "instrument_name": "SOL_USDC-PERPETUAL", "open_interest": 51234.5, "mark_price": 151.25,
                        "current_funding": 0.0, "funding_8h": 0.00021,
                    }
                ],
            },
        },
        {"BTC-PERPETUAL": (70012.3, 0.00018, 20000.0), "SOL_USDC-PERPETUAL": (151.25, 0.0, 51234.5)},
    ),
    "kraken_futures": Case(
        [listing("PF_XBTUSD"), listing("PI_XBTUSD", inverse=True)],
        {
            "tickers": {
                "result": "success",
                "tickers": [
                    {
                        "symbol": "PF_XBTUSD", "markPrice": 70013.4, "indexPrice": 70000.0,
                        "openInterest": 2055.214, "fundingRate": 0.7,
                    },
                    {
                        "symbol": "pi_xbtusd", "markPrice": 70014.5, "indexPrice": 70000.0,
                        "openInterest": 21004350.0, "fundingRate": -1e-10,
                    },
                    {"symbol": "in_xbtusd", "last": 70015.6},
                ],
            },
        },
        {
            "PF_XBTUSD": (70013.4, 8e-5, 2055.214),  # 0.7 dollars a coin and hour are 1e-5 of 70,000
            "PI_XBTUSD": (70014.5, -5.6e-5, 300.0),
        },
    ),
    "bitmex": Case(
        [listing("XBTUSD", inverse=True), listing("DOTUSDT", "DOT"), listing("ETHUSD", "ETH")],
        {
            "instruments": [
                {
                    "symbol": "XBTUSD", "settlCurrency": "XBt", "markPrice": 70016.7, "indicativeSettlePrice": 70000.0,
                    "openInterest": 411647400, "openValue": 587927000000, "fundingRate": 0.00022,
                    "fundingInterval": "2000-01-01T08:00:00.000Z",
                },
                {
                    "symbol": "DOTUSDT", "settlCurrency": "USDt", "markPrice": 1.25, "openInterest": 425000000,
                    "openValue": 531250000000, "fundingRate": 0.00023, "fundingInterval": "2000-01-01T04:00:00.000Z",
                },
                {
                    "symbol": "ETHUSD", "settlCurrency": "XBt", "markPrice": 2500.0, "openInterest": 9000,
                    "openValue": 2500000000, "fundingRate": 0.00024, "fundingInterval": "2000-01-01T08:00:00.000Z",
                },
            ]
        },
        {
            "XBTUSD": (70016.7, 0.00022, 5879.27),
            "DOTUSDT": (1.25, 0.00046, 425_000.0),
            "ETHUSD": (2500.0, 0.00024, 700.0),  # 25 bitcoin of 70,000 dollars
        },
    ),
    "hyperliquid": Case(
        [listing("BTC"), listing("kPEPE", "1000PEPE")],
        {
            "metaAndAssetCtxs": [
                {"universe": [{"name": "BTC", "szDecimals": 5}, {"name": "kPEPE", "szDecimals": 0}]},
                [
                    {"markPx": "70017.8", "oraclePx": "70018.9", "openInterest": "35409.417", "funding": "0.0000125"},
                    {"markPx": "0.0122", "oraclePx": "0.0123", "openInterest": "98000", "funding": "-0.00001"},
                ],
            ]
        },
        {"BTC": (70017.8, 1e-4, 35409.417), "kPEPE": (0.0122, -8e-5, 98000.0)},
    ),
    "dydx": Case(
        [listing("BTC-USD")],
        {
            "perpetualMarkets": {
                "markets": {
                    "BTC-USD": {
                        "ticker": "BTC-USD", "oraclePrice": "70019.1", "nextFundingRate": "0.0000025",
                        "openInterest": "381.7348", "baseOpenInterest": "782.0931",
                    }
                }
            }
        },
        {"BTC-USD": (70019.1, 2e-5, 381.7348)},
    ),
    "aster": Case(
        [listing("BTCUSDT")],
        {
            "openInterest BTCUSDT": {"symbol": "BTCUSDT", "openInterest": "6196.323", "time": 1790000003403},
            "fundingInfo": [{"symbol": "BTCUSDT", "fundingIntervalHours": 4}],
            "premiumIndex": [{"symbol": "BTCUSDT", "markPrice": "70020.2", "lastFundingRate": "0.00003"}],
        },
        {"BTCUSDT": (70020.2, 0.00006, 6196.323)},
        [
            f"{REST}/fapi/v3/openInterest?symbol=BTCUSDT",
            f"{REST}/fapi/v3/fundingInfo",
            f"{REST}/fapi/v3/premiumIndex",
        ],
    ),
    "lighter": Case(
        [listing("BTC-1"), listing("ETH-0", "ETH")],
        {
            "funding-rates": {
                "code": 200,
                "funding_rates": [
                    {"market_id": 1, "exchange": "binance", "symbol": "BTC", "rate": 0.00031},
                    {"market_id": 1, "exchange": "lighter", "symbol": "BTC", "rate": 0.000096},
                    {"market_id": 0, "exchange": "lighter", "symbol": "ETH", "rate": -0.000032},
                ],
            },
            "orderBookDetails": {
                "code": 200,
                "order_book_details": [
                    {
                        "symbol": "BTC", "market_id": 1, "market_type": "perp", "status": "active",
                        "mark_price": "70021.3", "open_interest": 2092.76507,
                    },
                    {
                        "symbol": "ETH", "market_id": 0, "market_type": "perp", "status": "active",
                        "mark_price": "2501.4", "open_interest": 47381.5269,
                    },
                    {
                        "symbol": "BTC", "market_id": 2048, "market_type": "spot", "status": "active",
                        "mark_price": "70022.4", "open_interest": 0,
                    },
                ],
            },
        },
        {"BTC-1": (70021.3, 0.000096, 2092.76507), "ETH-0": (2501.4, -0.000032, 47381.5269)},
    ),
}  # fmt: skip


def figures(name: str, answers: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    bodies = {context: json.dumps(document).encode() for context, document in answers.items()}
    return read(SOURCES[name], bodies, CASES[name].listings)


def test_every_venue_has_its_figures() -> None:
    """Cause guarded against: a new venue without a row here would never be audited, and nobody would notice."""
    assert set(VENUES) <= set(SOURCES)
    assert set(SOURCES) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_figures_are_those_of_the_answers(name: str) -> None:
    found, failures = figures(name, CASES[name].answers)
    assert failures == []
    for instrument, right in CASES[name].right.items():
        own = found[instrument]
        assert dict(own.missing) == {}
        assert (own.mark, own.funding, own.oi) == pytest.approx(right, rel=1e-9, abs=1e-15), instrument
    assert set(found) == set(CASES[name].right)


@pytest.mark.parametrize("name", CASES)
def test_each_answer_is_asked_for_once(name: str) -> None:
    """Whatever is read has a request, and no request is in vain; marks, which move most, come with the last."""
    case = CASES[name]
    requests = SOURCES[name].requests(REST, case.listings)
    assert sorted(request.context for request in requests) == sorted(case.answers)
    assert all(request.url.startswith(REST) for request in requests)
    if case.urls:
        assert [request.url for request in requests] == case.urls
    last = {requests[-1].context: case.answers[requests[-1].context]}
    assert any(own.mark is not None for own in figures(name, last)[0].values())


@pytest.mark.parametrize("name", CASES)
def test_what_is_no_answer_costs_what_it_would_have_said(name: str) -> None:
    """Bad JSON, an error in words, other types: one line each, no exception, and never a 0."""
    case = CASES[name]
    for broken in (b"<html>", b"", b"[[]]", b'{"code":"1","msg":"Too many","retCode":1}', b'"text"', b"7", b"[null]"):
        found, failures = read(SOURCES[name], dict.fromkeys(case.answers, broken), case.listings)
        for own in found.values():
            assert (own.mark, own.funding, own.oi) == (None, None, None)
            assert all(text.startswith("not read" if failures else "not at") for text in own.missing.values())
            assert len(own.missing) == 3
        assert len(failures) in (0, len(case.answers))
        assert all(len(text) < 200 and "\n" not in text for text in failures)


@pytest.mark.parametrize("name", CASES)
def test_rows_that_are_missing_or_broken_cost_themselves(name: str) -> None:
    """Every field of every answer in turn replaced by what is none, and left out: other figures stay right."""
    case = CASES[name]
    whole, _ = figures(name, case.answers)

    def spoilt(node: Any) -> Any:
        """Each copy of a document in which one value is another thing."""
        pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in pairs:
            if isinstance(node, dict):
                yield {name: kept for name, kept in node.items() if name != key}
            for other in (None, "", "none", True, [], {}, "NaN"):
                copy = dict(node) if isinstance(node, dict) else list(node)
                copy[key] = other
                yield copy
            for deeper in spoilt(value):
                copy = dict(node) if isinstance(node, dict) else list(node)
                copy[key] = deeper
                yield copy

    count = 0
    for context, document in case.answers.items():
        for broken in spoilt(document):
            found, _ = figures(name, {**case.answers, context: broken})
            count += 1
            for instrument, own in found.items():
                for figure in ("mark", "funding", "oi"):
                    value, right = getattr(own, figure), getattr(whole[instrument], figure)
                    if value is None:
                        assert own.missing[figure].startswith(("not at the venue", "not read", "unreadable"))
                    elif value != right:  # another figure of the venue's own, by the rules of the table
                        assert (name, figure) in ALTERNATIVES, (context, broken)
    assert count > 20


# Figures that are read from another field where one is missing: Kraken's funding over the mark without an index;
# Binance's over 8 h where no row names the interval.
ALTERNATIVES = {("kraken_futures", "funding"), ("binance_usdm", "funding")}


def test_an_interval_that_could_not_be_asked_for_is_not_assumed() -> None:
    """Cause: without the list of intervals every rate of Binance would have passed for one of 8 h."""
    answers = {context: body for context, body in CASES["binance_usdm"].answers.items() if context != "fundingInfo"}
    found, _ = figures("binance_usdm", answers)
    assert {name: (own.funding, own.missing) for name, own in found.items()} == {
        name: (None, {"funding": "not at the venue: no fundingIntervalHours"}) for name in found
    }
