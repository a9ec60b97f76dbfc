"""Names: from a venue's base asset to the canonical symbol and its unit. Pure.

The canonical symbol is the base asset. Cheap tokens are quoted per 1, 1,000, 10,000 or 1,000,000 depending on
the venue; to sum them, one unit must be chosen per token. Those in :data:`SCALED_SYMBOLS` keep the unit of 1,000
tokens in which most venues list them (``1000PEPE``); every other token is counted singly, whatever the prefix.

One asset may have several tickers, at one time or one after the other: :data:`ASSETS` says which are the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

USD_QUOTES = ("USDT", "USDC", "USD", "BUSD", "FDUSD")  # quote assets taken as US dollars; other quotes are foreign

# One unit of these symbols is 1,000 tokens.
SCALED_SYMBOLS = (
    "1000PEPE",
    "1000SHIB",
    "1000BONK",
    "1000FLOKI",
    "1000LUNC",
    "1000XEC",
    "1000SATS",
    "1000RATS",
    "1000CAT",
    "1000CHEEMS",
    "1000WHY",
)
ALIASES = {"XBT": "BTC"}
MAX_SYMBOL = 20  # characters


class Asset(NamedTuple):
    """``ticker`` names the asset ``canonical``: one unit of it is ``factor`` units of that.

    ``ticker``: as :func:`canonical` gives it, so that 1000X and X are one. ``venue``: only there; None: everywhere.
    ``since``: UTC date from which the ticker means this. None: it never meant anything else, so that what was recorded
    before the renaming counts for the new name, too.
    """

    ticker: str
    canonical: str
    factor: float = 1.0
    venue: str | None = None
    since: date | None = None


# docs/venues.md lists them with the day and the terms of each renaming. No ticker here is also a canonical name.
ASSETS = (
    Asset("TON", "GRAM"),
    Asset("LUNA2", "LUNA"),
    Asset("MATIC", "POL"),
    Asset("FTM", "S"),
    Asset("RNDR", "RENDER"),
    Asset("KLAY", "KAIA"),
    Asset("AGIX", "FET", 0.433350, None, date(2024, 7, 1)),  # before, it was a coin with a price of its own
)


def assets_at(venue: str, assets: Sequence[Asset] = ASSETS) -> dict[str, Asset]:
    """By ticker, what holds at a venue: its own rows before those of all venues, later rows before earlier ones."""
    found = {item.ticker: item for item in assets if item.venue is None}
    return found | {item.ticker: item for item in assets if item.venue == venue}


def aliases(assets: Sequence[Asset] = ASSETS) -> dict[str, str]:
    """Other names of canonical symbols, for people and files: tickers that mean the same in the same unit, always and
    everywhere."""
    found: dict[str, str] = {}
    for item in assets:
        if item.venue is None:
            found.pop(item.ticker, None)
            if item.factor == 1.0 and item.since is None and item.canonical != item.ticker:
                found[item.ticker] = item.canonical
    return found


# Base assets that end as a pair does.
STABLECOINS = ("PYUSD", "RLUSD", "FDUSD", "BFUSD", "CRVUSD", "FRXUSD", "LISUSD", "DEUSD")
_PAIR_ENDS = ("-SWAP", "-PERPETUAL", "-PERP", "_PERP", "PERP", *USD_QUOTES)
_PAIR_MARKS = "-_/: "


def symbol_problem(name: str) -> str | None:
    """Why ``name`` cannot be written as a symbol: it breaks channels, addresses, labels or files; None if it can."""
    if not 1 <= len(name) <= MAX_SYMBOL:
        return f"a symbol has 1 to {MAX_SYMBOL} characters"
    upper = name == name.upper()
    if _lettered(name) and upper:
        return None if name == unicodedata.normalize("NFC", name) else "is not normalised (NFC)"
    base = base_asset(name)
    meant = f"; did you mean {base}?" if base != name and _lettered(base) and base == base.upper() else ""
    if _lettered(name):
        return f"is not in upper case{meant}"
    return f"is no base asset{meant}" if meant else "letters and digits only"


def _lettered(name: str) -> bool:
    """Letters and digits of any script, with their vowel signs and the like."""
    kinds = [unicodedata.category(letter) for letter in name]
    return bool(kinds) and kinds[0][0] != "M" and all(kind[0] in "LM" or kind == "Nd" for kind in kinds)


def never_listed(name: str) -> str | None:
    """Why no instrument of any venue can be of this symbol: its assets are counted under another; None if some can."""
    symbol, _ = canonical(name)
    if symbol != name:
        return f"is counted as {symbol}; did you mean {symbol}?"
    base = base_asset(name)
    return None if base == name else f"is no base asset; did you mean {base}?"


def base_asset(name: str) -> str:
    """The symbol probably meant by a name that people write: a pair, a venue's instrument, a ticker in lower case.

    >>> [base_asset(name) for name in ("btc", "BTCUSDT", "XBT/USD", "PF_XBTUSD", "kPEPE", "KPEPE", "PYUSD")]
    ['BTC', 'BTC', 'BTC', 'BTC', '1000PEPE', '1000PEPE', 'PYUSD']
    """
    return canonical(base_ticker(name))[0]


def base_ticker(name: str) -> str:
    """The same as it is written, before :func:`canonical` says in which unit.

    >>> [base_ticker(name) for name in ("BTC-PERPUSDT", "1000000MOGUSDT", "PEPE_USDT", "kPEPE")]
    ['BTC', '1000000MOG', 'PEPE', '1000PEPE']
    """
    if name[:1] == "k" and name[1:2].isupper():
        return base_ticker(f"1000{name[1:]}")
    base = name.strip(" ").upper()
    for prefix in ("PF_", "PI_"):
        base = base.removeprefix(prefix)
    shorter = True
    while shorter and base not in STABLECOINS:
        end = next((end for end in _PAIR_ENDS if base.endswith(end) and len(base) - len(end) >= 2), "")
        shorter = end != ""
        base = base.removesuffix(end).rstrip(_PAIR_MARKS)
    for mark in _PAIR_MARKS:
        base = base.partition(mark)[0] or base
    if base[:1] == "K" and f"1000{base[1:]}" in SCALED_SYMBOLS:
        base = f"1000{base[1:]}"
    return base


def canonical_symbol(name: str, known: Mapping[str, str]) -> str:
    """The symbol that a name in a request, file or option means. ``known``: of :func:`aliases`.

    >>> canonical_symbol("TON", aliases()), canonical_symbol("BTC", aliases())
    ('GRAM', 'BTC')
    """
    name = unicodedata.normalize("NFC", name)
    return known.get(name, name)


def canonical(base: str) -> tuple[str, float]:
    """Symbol and multiplier: canonical units in one unit of the venue's ``base``.

    A price per venue unit is divided by the multiplier, an amount in venue units is multiplied by it.

    >>> canonical("kPEPE"), canonical("PEPE"), canonical("SHIB1000"), canonical("1000000MOG")
    (('1000PEPE', 1.0), ('1000PEPE', 0.001), ('1000SHIB', 1.0), ('MOG', 1000000.0))
    """
    token, tokens = _token(base)
    scaled = f"1000{token}"
    if scaled in SCALED_SYMBOLS:
        return scaled, tokens / 1000
    return ALIASES.get(token, token), float(tokens)


def canonical_price(value: float, multiplier: float) -> float:
    """A price per venue unit as a price per canonical unit; exact powers of ten are kept exact."""
    if multiplier == 1.0:
        return value
    if multiplier < 1.0:
        times = round(1 / multiplier)
        if abs(times * multiplier - 1.0) < 1e-12:  # else a factor of ASSETS, not a power of ten
            return value * times
    return value / multiplier


# What names of other products look like, whatever the venue: the first that fits says why a name is left out.
FOREIGN_NAMES = (
    (":", "builder_dex"),  # xyz:TSLA
    (r"_UM_XPERP-", "xperp"),  # BTC-USD_UM_XPERP-310404: dated in name, yet it pays funding
    (r"-[CP]$|-[CP]-", "option"),  # BTC-27MAR26-90000-C
    # BTC-USDT-260327, BTCUSDT_260327, BTC_USDT_20260327, BTC-26MAR27, BTCUSDT-26MAR27, XBTZ26, BTCUSDTZ26, ETHUSDH26
    (r"[-_][0-9]{6,8}$|-[0-9]{1,2}[A-Z]{3}[0-9]{2}$|[A-Z][FGHJKMNQUVXZ][0-9]{2}$", "dated"),
)
_foreign_names = tuple((re.compile(pattern, re.ASCII).search, reason) for pattern, reason in FOREIGN_NAMES)


def why_foreign(name: str) -> str:
    """Why a name that is no perpetual quoted in dollars is left out, as far as the name tells.

    >>> why_foreign("BTC-USDT-260327"), why_foreign("BTC-USD_UM_XPERP-310404"), why_foreign("XBT_USDT")
    ('dated', 'xperp', 'foreign')
    """
    return next((reason for fits, reason in _foreign_names if fits(name) is not None), "foreign")


def base_of(name: str, quotes: tuple[str, ...]) -> str | None:
    """``name`` without the first of ``quotes`` it ends with, where no metadata says it; None if none fits."""
    for quote in quotes:
        if name.endswith(quote) and len(name) > len(quote):
            return name[: -len(quote)]
    return None


def _token(base: str) -> tuple[str, int]:
    """The token's own name and how many tokens one unit of ``base`` is: 1000X, 1000000X, 1MX, kX, X1000."""
    if base.startswith("1000"):
        rest = base[1:].lstrip("0")
        if rest and not rest[0].isdigit():
            return rest, 10 ** (len(base) - 1 - len(rest))
    if base.startswith("1M") and len(base) > 4 and base[2:].isalpha():
        return base[2:], 1_000_000
    if base[:1] == "k" and base[1:2].isupper():
        return base[1:], 1000
    if base.endswith("1000") and len(base) > 6 and base[:-4].isalpha():
        return base[:-4], 1000
    return base, 1
