"""Basis: how far the perpetual trades from its index now."""

from __future__ import annotations

from service.formulas import change
from service.research.indicators.contract import About, Input, Pointwise


class Basis(Pointwise):
    """mark / index - 1, the premium of docs/signal.md section 4."""

    ABOUT = About(
        id="basis",
        inputs=(Input("mark", "USD"), Input("index", "USD")),
        unit="fraction",
        formula="mark / index - 1",
        window="none",
        null="index 0",
        wickra="FundingBasis",
        differences="there a price of 0 is refused",
    )
    __slots__ = ()

    def of(self, x: tuple[float, ...]) -> float | None:
        mark, index = x
        return change(mark, index)
