"""Which perpetuals each simulated venue lists, under the real names, units and contract sizes (venue pages)."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10

from service.simulation.profiles import Profile, profile

VENUES = ("binance_usdm", "bybit", "okx", "hyperliquid")

MAJORS = ("BTC", "ETH")  # symbols that also trade against USDC and as inverse contracts
FOUR_HOURS = ("SUI", "HYPE")  # alts whose funding is settled every 4 h on the centralised venues
ABSENT = (("hyperliquid", "TON"), ("okx", "HYPE"))  # not every symbol is on every venue
_PREFIX = re.compile(r"(1000000|10000|1000)([A-Z][A-Z0-9]*)").fullmatch
_SUFFIXED_ON_BYBIT = ("SHIB",)  # SHIB1000USDT: the number stands after the name (Bybit page, Symbols)

# Contract value of a linear OKX swap in native coins; 1 unless stated.
_OKX_COINS = {
    "BTC": 0.01, "ETH": 0.1, "XRP": 100.0, "BNB": 0.01, "DOGE": 1000.0, "ADA": 100.0, "BCH": 0.1, "TRX": 1000.0,
    "ARB": 10.0, "NEAR": 10.0, "PEPE": 10_000_000.0, "SHIB": 1_000_000.0,
}  # fmt: skip
_OKX_USD = {"BTC": 100.0, "ETH": 10.0}

# Share of the symbol's OI: (venue, variant) -> share.
_SHARES = {
    "binance_usdm": {"USDT": 0.44, "USDC": 0.03},
    "bybit": {"USDT": 0.165, "PERP": 0.012, "USD": 0.03},
    "okx": {"USDT": 0.135, "USD": 0.03},
    "hyperliquid": {"": 0.165},
}


@dataclass(frozen=True, slots=True)
class Instrument:
    """One perpetual as its venue names it.

    ``base``: the venue's own coin name (``1000PEPE``, ``PEPE``, ``kPEPE``). ``multiplier``: canonical units per native
    coin unit. ``native_size``: a contract in native coins, or in USD for ``inverse``. ``price_digits``, ``oi_digits``:
    decimals of native prices and contract counts. ``cap``: largest abs funding rate per interval. ``oi_contracts``: the
    level its one-sided contract count starts from.
    """

    venue: str
    name: str
    symbol: str
    base: str
    quote: str
    inverse: bool
    multiplier: float
    native_size: float
    interval_h: int
    price_digits: int
    oi_digits: int
    cap: float
    oi_contracts: float

    @property
    def contract_size(self) -> float:
        """Canonical coins per contract, or USD for an inverse one: what the venue's listing says."""
        return self.native_size if self.inverse else self.native_size * self.multiplier

    @property
    def index_name(self) -> str:
        """OKX's name of the underlying index."""
        return f"{self.base}-{self.quote}"


def split_prefix(symbol: str) -> tuple[int, str]:
    """``1000PEPE`` -> (1000, ``PEPE``); ``BTC`` -> (1, ``BTC``)."""
    match = _PREFIX(symbol)
    return (int(match[1]), match[2]) if match is not None else (1, symbol)


def instruments(seed: int, symbols: Sequence[str]) -> tuple[Instrument, ...]:
    """All listed instruments, venue by venue, symbols in the given order."""
    result: list[Instrument] = []
    for venue in VENUES:
        for symbol in symbols:
            if (venue, symbol) not in ABSENT:
                result.extend(_listed(seed, venue, symbol))
    return tuple(result)


def _listed(seed: int, venue: str, symbol: str) -> list[Instrument]:
    levels = profile(seed, symbol)
    thousand, coin = split_prefix(symbol)
    rng = random.Random(f"{seed}:instruments:{venue}:{symbol}")
    interval_h = 1 if venue == "hyperliquid" else 4 if symbol in FOUR_HOURS else 8
    result = []
    for variant, share in _SHARES[venue].items():
        if variant in ("USDC", "PERP", "USD") and symbol not in MAJORS:
            continue
        inverse = variant == "USD"
        if venue == "hyperliquid":
            if thousand > 1000:
                continue  # Hyperliquid knows the k prefix only
            name = base = f"k{coin}" if thousand == 1000 else coin
            quote = "USDC"
        elif venue == "okx":
            base, quote = coin, variant
            name = f"{coin}-{variant}-SWAP"
        elif venue == "bybit" and coin in _SUFFIXED_ON_BYBIT and thousand > 1:
            base, quote, name = f"{coin}{thousand}", "USDT", f"{coin}{thousand}USDT"
        else:
            base = symbol
            quote = "USDC" if variant == "PERP" else variant
            name = f"{symbol}{variant}"
        multiplier = 1 / thousand if venue == "okx" else 1.0
        size = 1.0
        if venue == "okx":
            size = _OKX_USD[coin] if inverse else _OKX_COINS.get(coin, 1.0)
        native_coins = levels.oi_coins / multiplier * share * rng.uniform(0.85, 1.15)
        native_price = levels.price * multiplier
        contracts = native_coins * (native_price if inverse else 1.0) / size
        result.append(
            Instrument(
                venue=venue,
                name=name,
                symbol=symbol,
                base=base,
                quote=quote,
                inverse=inverse,
                multiplier=multiplier,
                native_size=size,
                interval_h=interval_h,
                price_digits=_price_digits(venue, native_price),
                oi_digits=_oi_digits(venue, levels, inverse),
                cap=_cap(venue, symbol, interval_h),
                oi_contracts=contracts,
            )
        )
    return result


def _price_digits(venue: str, price: float) -> int:
    if venue == "binance_usdm":
        return 8
    figures = {"bybit": 7, "okx": 6, "hyperliquid": 5}[venue]
    return max(0, figures - 1 - floor(log10(price)))


def _oi_digits(venue: str, levels: Profile, inverse: bool) -> int:
    if venue == "okx":
        return 2
    if inverse:
        return 0
    digits = max(0, min(3, floor(log10(levels.price))))
    return digits + 1 if venue == "hyperliquid" else digits


def _cap(venue: str, symbol: str, interval_h: int) -> float:
    major = symbol in MAJORS
    if venue == "hyperliquid":
        return 0.04  # per hour (Hyperliquid page)
    cap_8h = {"binance_usdm": (0.003, 0.02), "bybit": (0.00333, 0.015), "okx": (0.00375, 0.015)}[venue][
        0 if major else 1
    ]
    return cap_8h * interval_h / 8
