"""Funding as a yearly rate."""

from __future__ import annotations

from service.research.indicators.contract import About, Input, Pointwise

INTERVALS_PER_YEAR = 3 * 365  # of 8 h


class FundingApr(Pointwise):
    """What a position held for a year would pay at this rate, not compounded."""

    ABOUT = About(
        id="funding_apr",
        inputs=(Input("rate_8h", "fraction per 8 h", signed=True),),
        unit="fraction per year",
        formula="rate_8h * 1095",
        window="none",
        null="never, given a rate",
        wickra="FundingImpliedApr",
        differences="there the intervals per year are an argument; the same with 1095",
    )
    __slots__ = ()

    def of(self, x: tuple[float, ...]) -> float | None:
        return x[0] * INTERVALS_PER_YEAR
