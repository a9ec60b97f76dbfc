"""Longs over shorts, as a venue reports them."""

from __future__ import annotations

from service.formulas import ratio
from service.research.indicators.contract import About, Input, Pointwise


class LongShortRatio(Pointwise):
    """Sizes or accounts, whichever the venue counts. Over all positions it is 1 by construction: for every long there
    is a short; it says something only of a part, such as top traders or accounts."""

    ABOUT = About(
        id="long_short_ratio",
        inputs=(Input("long", "coins, accounts or share"), Input("short", "as long")),
        unit="ratio",
        formula="long / short",
        window="none",
        null="no shorts",
        wickra="LongShortRatio",
        differences="there 0 without shorts, which is also what no longs give",
    )
    __slots__ = ()

    def of(self, x: tuple[float, ...]) -> float | None:
        long, short = x
        return ratio(long, short)
