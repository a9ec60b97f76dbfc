"""Which perpetuals each simulated venue lists, under the real names, units and contract sizes (venue pages)."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import Literal

from service.simulation.profiles import Profile, profile

VENUES = (
    "binance_usdm", "bybit", "okx", "hyperliquid", "binance_coinm", "bitget", "gate", "deribit", "kraken_futures",
    "bitmex", "dydx", "aster", "lighter",
)  # fmt: skip

MAJORS = ("BTC", "ETH")  # symbols that also trade against USDC and as inverse contracts
FOUR_HOURS = ("SUI", "HYPE")  # alts whose funding is settled every 4 h on the centralised venues
OWN_HOURS = {("aster", "SUI"): 2, ("aster", "HYPE"): 1}  # Aster has intervals of 1, 2, 4 and 8 h
HOURLY = ("hyperliquid", "kraken_futures", "dydx", "lighter")
BITCOIN = "XBTUSD"  # the BitMEX contract whose index converts the quanto ones
ABSENT = (("hyperliquid", "GRAM"), ("okx", "HYPE"), ("dydx", "BNB"), ("kraken_futures", "1000SHIB"))
OLD_TICKERS = {(venue, "GRAM"): "TON" for venue in ("okx", "kraken_futures", "dydx")}  # they have not renamed it yet
_PREFIX = re.compile(r"(1000000|10000|1000)([^\W\d_][^\W_]*)").fullmatch
_SUFFIXED_ON_BYBIT = ("SHIB",)  # SHIB1000USDT: the number stands after the name (Bybit page, Symbols)
_BARE = ("okx", "bitget", "gate", "deribit", "kraken_futures", "dydx")  # list single tokens, with prices small

# The default symbols that the smaller venues list; None of the others is restricted.
_ONLY = {
    "binance_coinm": ("BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "LINK", "DOT", "LTC", "BCH"),
    "deribit": ("BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "AVAX", "LINK", "DOT", "LTC", "TRX"),
    "bitmex": ("BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "AVAX", "LINK", "DOT", "LTC", "SUI"),
}

# Contract value of a linear swap in native coins; 1 unless stated.
_OKX_COINS = {
    "BTC": 0.01, "ETH": 0.1, "XRP": 100.0, "BNB": 0.01, "DOGE": 1000.0, "ADA": 100.0, "BCH": 0.1, "TRX": 1000.0,
    "ARB": 10.0, "NEAR": 10.0, "PEPE": 10_000_000.0, "SHIB": 1_000_000.0,
}  # fmt: skip
_GATE_COINS = {
    "BTC": 0.0001, "ETH": 0.01, "BNB": 0.001, "BCH": 0.01, "LTC": 0.1, "XRP": 10.0, "DOGE": 10.0, "ADA": 10.0,
    "TRX": 100.0, "PEPE": 10_000_000.0, "SHIB": 10_000.0,
}  # fmt: skip
_BITMEX_COINS = {
    "BTC": 1e-6, "ETH": 1e-5, "SOL": 1e-4, "XRP": 0.01, "BNB": 1e-5, "DOGE": 0.1, "ADA": 0.01, "AVAX": 1e-4,
    "LINK": 1e-4, "DOT": 1e-4, "LTC": 1e-4, "SUI": 1e-4,
}  # fmt: skip
_COINS = {"okx": _OKX_COINS, "gate": _GATE_COINS, "bitmex": _BITMEX_COINS}
_OKX_USD = {"BTC": 100.0, "ETH": 10.0}
_COINM_USD = {"BTC": 100.0}  # all others 10
# Ids of markets, which stand in our names of them; another symbol's follow from the symbol.
_LIGHTER_IDS = {
    "ETH": 0, "BTC": 1, "SOL": 2, "DOGE": 3, "1000PEPE": 4, "WIF": 5, "XRP": 7, "LINK": 8, "AVAX": 9, "NEAR": 10,
    "DOT": 11, "GRAM": 12, "SUI": 16, "1000SHIB": 17, "HYPE": 24, "BNB": 25, "APT": 31, "LTC": 35, "ADA": 39, "TRX": 43,
    "ARB": 50, "OP": 55, "BCH": 58,
}  # fmt: skip
_QUANTO_XBT = {"ETH": 1e-6}  # bitcoin per contract and dollar of price: a `multiplier` of 100 satoshi

# Share of the symbol's OI: (venue, variant) -> share.
_SHARES = {
    "binance_usdm": {"USDT": 0.30, "USDC": 0.02},
    "bybit": {"USDT": 0.125, "PERP": 0.01, "USD": 0.02},
    "okx": {"USDT": 0.10, "USD": 0.025},
    "hyperliquid": {"": 0.11},
    "binance_coinm": {"USD": 0.03},
    "bitget": {"USDT": 0.10, "PERP": 0.006, "USD": 0.01},
    "gate": {"USDT": 0.095, "USD": 0.004},
    "deribit": {"USD": 0.025, "USDC": 0.008},
    "kraken_futures": {"PF": 0.02, "PI": 0.003},
    "bitmex": {"USD": 0.008, "USDT": 0.006},
    "dydx": {"": 0.005},
    "aster": {"USDT": 0.07},
    "lighter": {"": 0.042},
}
_ALTS = ("USDT", "PF", "")  # variants of every listed symbol; the others are of the majors only
_USDC = ("USDC", "PERP")

Unit = Literal["coins", "usd", "quanto"]


@dataclass(frozen=True, slots=True)
class Instrument:
    """One perpetual as its venue names it.

    ``base``: the venue's own coin name (``1000PEPE``, ``PEPE``, ``kPEPE``, ``XBT``). ``inverse``: margined in the coin
    and quoted in USD. ``multiplier``: canonical units per native coin unit. ``native_size``: a contract in ``unit``:
    native coins, USD (``usd``: inverse), or bitcoin per dollar of price (``quanto``). Bitget counts its inverse
    contracts in coins. ``interval_h``, ``offset_h``: funding is settled every so many hours, so long after 00:00 UTC.
    ``price_digits``, ``oi_digits``: decimals of native prices and contract counts. ``cap``: largest abs funding rate
    per interval. ``oi_contracts``: the level its one-sided contract count starts from (``oi_coins`` canonical coins).
    """

    venue: str
    name: str
    symbol: str
    base: str
    quote: str
    inverse: bool
    multiplier: float
    unit: Unit
    native_size: float
    interval_h: int
    offset_h: int
    price_digits: int
    oi_digits: int
    cap: float
    oi_contracts: float
    oi_coins: float

    @property
    def contract_size(self) -> float | None:
        """Canonical coins per contract, or USD for an inverse one: what the venue's listing says.

        None where it says neither: quanto contracts, and inverse ones that are counted in coins.
        """
        if self.unit == "usd":
            return self.native_size
        return None if self.unit == "quanto" or self.inverse else self.native_size * self.multiplier

    @property
    def index_name(self) -> str:
        """OKX's name of the underlying index."""
        return f"{self.base}-{self.quote}"


def split_prefix(symbol: str) -> tuple[int, str]:
    """``1000PEPE`` -> (1000, ``PEPE``); ``BTC`` -> (1, ``BTC``)."""
    match = _PREFIX(symbol)
    return (int(match[1]), match[2]) if match is not None else (1, symbol)


def instruments(seed: int, symbols: Sequence[str], venues: Sequence[str] = VENUES) -> tuple[Instrument, ...]:
    """All listed instruments of ``venues``, venue by venue in the fixed order, symbols in the given order.

    An instrument is the same whichever other venues and symbols are simulated.
    """
    result: list[Instrument] = []
    for venue in VENUES:
        for symbol in symbols:
            if venue in venues and (venue, symbol) not in ABSENT and symbol in _ONLY.get(venue, symbols):
                quanto = "BTC" in symbols  # without bitcoin nothing says what a quanto contract is worth
                result.extend(item for item in _listed(seed, venue, symbol) if quanto or item.unit != "quanto")
    return tuple(result)


def _listed(seed: int, venue: str, symbol: str) -> list[Instrument]:
    levels = profile(seed, symbol)
    ticker = OLD_TICKERS.get((venue, symbol), symbol)
    thousand, coin = split_prefix(ticker)
    if venue == "hyperliquid" and thousand > 1000:
        return []  # Hyperliquid knows the k prefix only
    rng = random.Random(f"{seed}:instruments:{venue}:{symbol}")
    interval_h = 1 if venue in HOURLY else 4 if symbol in FOUR_HOURS and venue not in ("deribit", "bitmex") else 8
    interval_h = OWN_HOURS.get((venue, symbol), interval_h)
    multiplier = 1 / thousand if venue in _BARE else 1.0
    native_price = levels.price * multiplier
    result = []
    for variant, share in _SHARES[venue].items():
        if not _offers(venue, variant, symbol):
            continue
        name, base, quote = _named(venue, variant, ticker, thousand, coin)
        unit, size = _contract(venue, variant, coin)
        inverse = variant in ("USD", "PI") and unit != "quanto"
        native_coins = levels.oi_coins / multiplier * share * rng.uniform(0.85, 1.15)
        if unit == "usd":
            contracts = native_coins * native_price / size
        elif unit == "quanto":
            contracts = native_coins / (size * profile(seed, "BTC").price)
        else:
            contracts = native_coins / size
        result.append(
            Instrument(
                venue=venue,
                name=name,
                symbol=symbol,
                base=base,
                quote=quote,
                inverse=inverse,
                multiplier=multiplier,
                unit=unit,
                native_size=size,
                interval_h=interval_h,
                offset_h=4 if venue == "bitmex" else 0,  # 04:00, 12:00, 20:00 UTC (BitMEX page)
                price_digits=_price_digits(venue, native_price),
                oi_digits=_oi_digits(venue, levels, unit),
                cap=_cap(venue, symbol, interval_h),
                oi_contracts=contracts,
                oi_coins=native_coins * multiplier,
            )
        )
    return result


def _offers(venue: str, variant: str, symbol: str) -> bool:
    if variant in _ALTS or venue == "binance_coinm" or (venue, variant) == ("deribit", "USDC"):
        return True
    return symbol == "BTC" if (venue, variant) == ("gate", "USD") else symbol in MAJORS


def _named(venue: str, variant: str, symbol: str, thousand: int, coin: str) -> tuple[str, str, str]:
    """Name, base and quote."""
    own = "XBT" if coin == "BTC" else coin
    if venue == "hyperliquid":
        base = f"k{coin}" if thousand == 1000 else coin
        return base, base, "USDC"
    if venue == "okx":
        return f"{coin}-{variant}-SWAP", coin, variant
    if venue == "gate":
        return f"{coin}_{variant}", coin, variant
    if venue == "deribit":
        return f"{coin}-PERPETUAL" if variant == "USD" else f"{coin}_{variant}-PERPETUAL", coin, variant
    if venue == "kraken_futures":
        return f"{variant}_{own}USD", own, "USD"
    if venue == "bitmex":
        return f"{own}{variant}", own, variant
    if venue == "dydx":
        return f"{coin}-USD", coin, "USDC"
    if venue == "lighter":
        return f"{symbol}-{_LIGHTER_IDS.get(symbol, zlib.crc32(symbol.encode()) >> 1)}", symbol, "USDC"
    if venue == "binance_coinm":
        return f"{symbol}USD_PERP", symbol, "USD"
    if venue == "bybit" and coin in _SUFFIXED_ON_BYBIT and thousand > 1:
        return f"{coin}{thousand}USDT", f"{coin}{thousand}", "USDT"
    base = coin if venue == "bitget" else symbol
    return f"{base}{variant}", base, "USDC" if variant == "PERP" else variant


def _contract(venue: str, variant: str, coin: str) -> tuple[Unit, float]:
    """What a contract is: its unit, and how much of it."""
    if variant in ("USD", "PI") and venue != "bitget":
        if venue == "bitmex" and coin in _QUANTO_XBT:
            return "quanto", _QUANTO_XBT[coin]
        if venue == "binance_coinm":
            return "usd", _COINM_USD.get(coin, 10.0)
        return "usd", _OKX_USD[coin] if venue == "okx" else 1.0
    return "coins", _COINS.get(venue, {}).get(coin, 1.0)


def _price_digits(venue: str, price: float) -> int:
    if venue in ("binance_usdm", "aster"):
        return 8
    figures = {"hyperliquid": 5, "okx": 6, "bitmex": 6, "kraken_futures": 6}.get(venue, 7)
    return max(0, figures - 1 - floor(log10(price)))


def _oi_digits(venue: str, levels: Profile, unit: Unit) -> int:
    if venue == "okx":
        return 2
    if unit != "coins" or venue in ("gate", "bitmex"):
        return 0
    digits = max(0, min(3, floor(log10(levels.price))))
    return digits + 1 if venue in ("hyperliquid", "bitget", "dydx", "lighter") else digits


def _cap(venue: str, symbol: str, interval_h: int) -> float:
    if venue in HOURLY:
        per_hour = {"hyperliquid": 0.04, "kraken_futures": 0.005, "dydx": 0.015, "lighter": 0.005}  # (venue pages)
        return per_hour[venue]
    own = {"binance_usdm": (0.003, 0.02), "bybit": (0.00333, 0.015), "okx": (0.00375, 0.015), "aster": (0.003, 0.02)}
    cap_8h = own.get(venue, (0.003, 0.015))[0 if symbol in MAJORS else 1]
    return cap_8h * interval_h / 8
