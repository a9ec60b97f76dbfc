"""BitMEX rows of the simulated server: an instrument's terms and its state, in the venue's units. Pure."""

from __future__ import annotations

from typing import Any

from service.simulation.iso import iso
from service.simulation.market import HOUR_MS, Quote
from service.simulation.protocol import day_volume

XBT = 100_000_000  # satoshi per bitcoin: the smallest unit of XBt
USDT = 1_000_000  # of USDt


def terms(quote: Quote) -> dict[str, Any]:
    """What the contract is: 1 USD (inverse), 1/underlyingToPositionMultiplier coins, or satoshi per dollar (quanto)."""
    item = quote.instrument
    if item.unit == "usd":
        contract = {"multiplier": -XBT, "settlCurrency": "XBt", "underlyingToSettleMultiplier": -XBT}
    elif item.unit == "quanto":
        contract = {
            "multiplier": round(item.native_size * XBT),
            "settlCurrency": "XBt",
            "quoteToSettleMultiplier": 3108,
        }
    else:
        contract = {
            "multiplier": round(item.native_size * USDT, 6),
            "settlCurrency": "USDt",
            "underlyingToPositionMultiplier": round(1 / item.native_size, 6),
            "quoteToSettleMultiplier": USDT,
        }
    return {
        "symbol": item.name,
        "rootSymbol": item.base,
        "state": "Open",
        "typ": "FFWCSX",
        "listing": "2018-08-01T12:00:00.000Z",
        "front": "2018-08-01T12:00:00.000Z",
        "positionCurrency": "USD" if item.unit == "usd" else "" if item.unit == "quanto" else item.base,
        "underlying": item.base,
        "quoteCurrency": item.quote,
        "underlyingSymbol": f"{item.base}T=" if item.quote == "USDT" else f"{item.base}=",
        "reference": "BMEX",
        "referenceSymbol": index_symbol(quote),
        "maxOrderQty": 10_000_000,
        "maxPrice": 1_000_000,
        "lotSize": 100,
        "tickSize": round(10.0**-item.price_digits, item.price_digits),
        **contract,
        "isQuanto": item.unit == "quanto",
        "isInverse": item.unit == "usd",
        "initMargin": 0.01,
        "maintMargin": 0.005,
        "riskLimit": 20_000_000_000,
        "riskStep": 15_000_000_000,
        "taxed": True,
        "deleverage": True,
        "makerFee": 0.0005,
        "takerFee": 0.0005,
        "settlementFee": 0,
        "fundingBaseSymbol": f".{item.base}BON8H",
        "fundingQuoteSymbol": ".USDBON8H",
        "fundingPremiumSymbol": f".{item.name}PI8H",
        "markMethod": "FairPrice",
        "fairMethod": "FundingRate",
        "hasLiquidity": True,
    }


def index_symbol(quote: Quote) -> str:
    """The venue's name of the index that prices an instrument."""
    return f".B{quote.instrument.base}{'T' if quote.instrument.quote == 'USDT' else ''}"


def interval(quote: Quote) -> str:
    """Eight hours, as the venue writes them."""
    return f"2000-01-01T{quote.instrument.interval_h:02d}:00:00.000Z"


def open_value(quote: Quote) -> int:
    """Value of the open interest at the mark, in the smallest unit of the settlement currency."""
    item = quote.instrument
    if item.unit == "usd":
        return round(quote.contracts / quote.mark * XBT)
    if item.unit == "quanto":
        return round(quote.contracts * item.native_size * quote.mark * XBT)
    return round(quote.contracts * item.native_size * quote.mark * USDT)


def prices(quote: Quote) -> dict[str, Any]:
    """The fields that move with every second."""
    return {
        "openValue": open_value(quote),
        "fairBasis": round(quote.mark - quote.index, quote.instrument.price_digits),
        "fairPrice": quote.mark,
        "markPrice": quote.mark,
        "indicativeSettlePrice": quote.index,
    }


def funding(quote: Quote) -> dict[str, Any]:
    """The rate that will be charged, fixed since the last settlement, and the forecast of the one after."""
    return {
        "fundingTimestamp": iso(quote.next_ts),
        "fundingInterval": interval(quote),
        "fundingRate": quote.told_rate,
        "indicativeFundingRate": quote.rate,
    }


def whole(quote: Quote, now_ms: int, day: tuple[float, float, float]) -> dict[str, Any]:
    """A row as a partial or /instrument has it: fields that are null are left out."""
    item, mark = quote.instrument, quote.mark
    before, high, low = day
    volume = day_volume(quote)
    contracts = round(volume * quote.contracts / max(quote.coins, 1e-9))
    return {
        **terms(quote),
        **funding(quote),
        "openingTimestamp": iso(now_ms // HOUR_MS * HOUR_MS),
        "closingTimestamp": iso((now_ms // HOUR_MS + 1) * HOUR_MS),
        "sessionInterval": "2000-01-01T01:00:00.000Z",
        "prevClosePrice": round(before, item.price_digits),
        "volume24h": contracts,
        "homeNotional24h": round(volume, 6),
        "foreignNotional24h": round(volume * mark, 4),
        "prevPrice24h": round(before, item.price_digits),
        "highPrice": round(max(high, mark), item.price_digits),
        "lowPrice": round(min(low, mark), item.price_digits),
        "lastPrice": mark,
        "lastTickDirection": "ZeroPlusTick",
        "lastChangePcnt": round(mark / before - 1, 4),
        "bidPrice": mark,
        "midPrice": mark,
        "askPrice": round(mark + 10.0**-item.price_digits, item.price_digits),
        "openInterest": round(quote.contracts),
        **prices(quote),
        "timestamp": iso(now_ms // 500 * 500),
    }


def foreign(quote: Quote) -> list[dict[str, Any]]:
    """What a client must leave out: a dated future, and spot."""
    dated = {"symbol": f"{quote.instrument.base}Z26", "typ": "FFCCSX", "expiry": "2026-12-25T12:00:00.000Z"}
    spot = {"symbol": f"{quote.instrument.base}_USDT", "typ": "IFXXXP", "isInverse": False, "quoteCurrency": "USDT"}
    return [{**terms(quote), **kind, "markPrice": quote.mark, "openInterest": 0} for kind in (dated, spot)]
