"""The level indicators of a symbol: the explicit list, in the order in which they are fed and read."""

from __future__ import annotations

from service.indicators.contract import Level
from service.indicators.elr import Elr
from service.indicators.funding import Funding
from service.indicators.premium import Premium
from service.indicators.spend import Spend
from service.indicators.spread import Spread
from service.indicators.volatility import Volatility
from service.state import Stateful


class Levels(Stateful):
    """One of each. A new level is a file, an attribute here and a field of Readings."""

    STATE = ("elr", "funding", "premium", "spread", "volatility", "spend")
    __slots__ = STATE

    def __init__(self) -> None:
        self.elr = Elr()
        self.funding = Funding()
        self.premium = Premium()
        self.spread = Spread()
        self.volatility = Volatility()
        self.spend = Spend()

    def each(self) -> tuple[Level, ...]:
        return (self.elr, self.funding, self.premium, self.spread, self.volatility, self.spend)
