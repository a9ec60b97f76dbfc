"""Names: from a venue's base asset to the canonical symbol and its unit. Pure.

The canonical symbol is the base asset. Cheap tokens are quoted per 1, 1,000, 10,000 or 1,000,000 depending on
the venue; to sum them, one unit must be chosen per token. Those in :data:`SCALED_SYMBOLS` keep the unit of 1,000
tokens in which most venues list them (``1000PEPE``); every other token is counted singly, whatever the prefix.
"""

from __future__ import annotations

import re

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
    return value * round(1 / multiplier) if multiplier < 1.0 else value / multiplier


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
