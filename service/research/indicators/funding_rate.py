"""Funding rate per 8 h."""

from __future__ import annotations

from service.formulas import rate_8h
from service.research.indicators.contract import About, Input, Pointwise


class FundingRate(Pointwise):
    """A venue's rate per interval as a rate per 8 h: + longs pay shorts."""

    ABOUT = About(
        id="funding_rate",
        inputs=(Input("rate", "fraction per interval", signed=True), Input("interval_h", "h")),
        unit="fraction per 8 h",
        formula="rate * 8 / interval_h",
        window="none",
        null="interval 0",
        wickra="FundingRate",
        differences="there the rate as it is, whatever its interval; the same at 8 h",
    )
    __slots__ = ()

    def of(self, x: tuple[float, ...]) -> float | None:
        rate, interval_h = x
        return rate_8h(rate, interval_h)
