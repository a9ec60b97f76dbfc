"""One outcome: what a published score was followed by."""

from __future__ import annotations

from math import log
from typing import NamedTuple

MINUTE_MS = 60_000
HORIZONS = (  # name, ms: the score of the window of that length; the composite is judged at one hour
    ("1m", MINUTE_MS),
    ("5m", 5 * MINUTE_MS),
    ("1h", 60 * MINUTE_MS),
    ("composite", 60 * MINUTE_MS),
)
LATE_MS = 60_000  # a price later than this is not the price at the horizon: the outcome is lost
SIDES = {"long": 1, "short": -1}


def short(value: float) -> float:
    """As published: 10 significant digits, no minus zero."""
    return float(f"{value:.10g}") + 0.0


class Outcome(NamedTuple):
    """A score published at ``ts`` and the price a horizon later. Numbers as published: 10 significant digits.

    ``at``: time of the tick that gave ``price_at``; None with ``price_at`` and ``ret`` where the outcome is lost.
    ``ret``: ln(price_at / price_then). ``hit``: whether the published direction was that of the return; None without a
    direction, at a return of zero, or lost. ``in_hit``, ``in_ic``: whether it is one of the non-overlapping outcomes
    of the hit statistics (from one with a direction to the next) and of the rank correlation; decided at ``ts``.
    """

    symbol: str
    horizon: str
    ts: int
    at: int | None
    score: float
    direction: str | None
    p_hit: float
    price_then: float
    price_at: float | None
    ret: float | None
    hit: bool | None
    in_hit: bool
    in_ic: bool


def log_return(price_then: float, price_at: float) -> float:
    return short(log(price_at / price_then))


def is_hit(direction: str | None, ret: float | None) -> bool | None:
    side = SIDES.get(direction) if direction is not None else None
    if side is None or ret is None or ret == 0.0:
        return None
    return (ret > 0.0) == (side > 0)
