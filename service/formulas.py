"""Formulas of docs/signal.md that more than one stage needs, each written once. Pure.

Undefined is None, never 0 and never an exception: a divisor of 0, or a quotient that no float can hold.
"""

from __future__ import annotations

from math import expm1, isfinite, log

FUNDING_UNIT_H = 8.0  # rates are compared per 8 h
NORMAL = 1e-300  # quotients between this and its inverse lose no digits


def ratio(upper: float, lower: float) -> float | None:
    """``upper / lower``.

    >>> ratio(3.0, 2.0), ratio(0.0, 2.0), ratio(1.0, 0.0), ratio(1e300, 1e-300)
    (1.5, 0.0, None, None)
    """
    if lower == 0:
        return None
    result = upper / lower
    return result if isfinite(result) else None


def change(now: float, before: float) -> float | None:
    """The relative change ``now / before - 1``; the premium, of mark over index."""
    result = ratio(now, before)
    return None if result is None else result - 1.0


def log_change(now: float, before: float) -> float | None:
    """``ln(now / before)``; None where one of the two is not above 0."""
    if now <= 0.0 or before <= 0.0:
        return None
    quotient = now / before
    return log(quotient) if NORMAL < quotient < 1.0 / NORMAL else log(now) - log(before)


def growth(log_change: float | None) -> float | None:
    """A log change as a fraction, ``exp(x) - 1``; None for None."""
    if log_change is None:
        return None
    try:
        return expm1(log_change)
    except OverflowError:
        return None


def rate_8h(rate: float, interval_h: float | None) -> float | None:
    """A funding rate per ``interval_h`` hours as one per 8 h; None without an interval.

    >>> rate_8h(0.0001, 4.0), rate_8h(0.0001, None)
    (0.0002, None)
    """
    return None if interval_h is None else ratio(rate * FUNDING_UNIT_H, interval_h)


def quadrant(price: float, oi: float) -> str | None:
    """Who acts, by the signs of the changes of price and open interest; None when either is 0."""
    if price == 0 or oi == 0:
        return None
    if oi > 0:
        return "long_build_up" if price > 0 else "short_build_up"
    return "short_covering" if price > 0 else "long_unwinding"
