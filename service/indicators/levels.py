"""The level indicators of a symbol, each a few lines over :class:`~service.indicators.contract.Level`, and the list of
them. Realised volatility has arithmetic of its own: :mod:`~service.indicators.volatility`.
"""

from __future__ import annotations

from service.formulas import change
from service.indicators.contract import Level, feeds_a_day
from service.indicators.trailing import LEAST_VALUES, LinearBins, LogarithmicBins, Trailing
from service.indicators.volatility import Volatility
from service.model import Consensus, LevelReading
from service.state import Stateful
from service.statistics import robust_z

FOUR_HOURS_MINUTES = 240
TINY = 1e-12  # coins: open interest of 0 leaves no scale of its own, and nothing is divided by 0


class Elr(Level):
    """Leverage: ln of the chain-linked open-interest index; older values in linear bins of 0.5 %.

    In coins, so the price cancels; a venue that drops out or returns does not move it. Every statistic of ELR reads
    this, whatever the published variant divides by.
    """

    NAME = "elr"
    FLOOR = 1e-3
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Trailing(LinearBins(0.005)))

    def of(self, sample: Consensus) -> float | None:
        return sample.ln_oi_index

    def change_24h(self, now: int, sample: Consensus) -> float | None:
        """ln_oi_index now less that of the minute exactly 24 h before minute ``now``; None if either is missing."""
        return self._change(now - self.history.recent.span, sample)

    def change_4h(self, now: int, sample: Consensus) -> float | None:
        """The same over 4 h."""
        return self._change(now - FOUR_HOURS_MINUTES, sample)

    def _change(self, then: int, sample: Consensus) -> float | None:
        before = self.history.recent.at(then)
        return sample.ln_oi_index - before if sample.quorum and before is not None else None


class Funding(Level):
    """funding_8h, the OI-weighted rate per 8 h over the venues: z and percentile over the last 24 h.

    Its magnitude, how expensive leverage is, is a second reading over the same minutes (one copy of them), with
    30 days of history in bins.
    """

    NAME = "funding"
    FLOOR = 1e-5
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Trailing(LogarithmicBins(), magnitude=True))

    def of(self, sample: Consensus) -> float | None:
        return sample.funding_8h

    def read(self, now: int, sample: Consensus) -> LevelReading:
        x = self.value(sample)
        return LevelReading(
            x,
            None if x is None else self.z(x, sample),
            None if x is None or not feeds_a_day(sample) else self.history.recent_percentile(x),
            len(self.history.recent),
            self.history.recent_horizon_h(now),
        )

    def read_magnitude(self, now: int, sample: Consensus) -> LevelReading:
        """abs(funding_8h): its percentile over up to 30 days. No z: nothing asks how unusual a magnitude is."""
        x = self.value(sample)
        return LevelReading(
            None if x is None else abs(x),
            None,
            None if x is None else self.history.percentile(x),
            self.history.n,
            self.history.horizon_h(now),
        )


class Premium(Level):
    """How far the perpetual trades from its index: price / index - 1, over 24 h."""

    NAME = "premium"
    FLOOR = 1e-5
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Trailing())

    def of(self, sample: Consensus) -> float | None:
        if sample.price is None or sample.index is None:
            return None
        return change(sample.price, sample.index)


class Spread(Level):
    """How far the venues' rates lie apart: largest less smallest rate_8h; z and percentile over up to 30 days."""

    NAME = "spread"
    FLOOR = 1e-5
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Trailing(LogarithmicBins()))

    def of(self, sample: Consensus) -> float | None:
        return sample.funding_spread

    @property
    def ready(self) -> bool:
        return self.history.n >= LEAST_VALUES

    def z(self, x: float, sample: Consensus) -> float | None:
        if not self.ready:
            return None
        median, mad = self.history.median()
        return robust_z(x, median, mad, self.FLOOR)


class Spend(Level):
    """What one side pays the other in 8 h, in coins, over 24 h. The MAD floor is a rate of 1e-5 on all open interest of
    the sample."""

    NAME = "spend"
    FLOOR = 1e-5
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Trailing())

    def of(self, sample: Consensus) -> float | None:
        return sample.funding_spend

    def floor(self, sample: Consensus) -> float:
        assert sample.oi_coins is not None  # a sample with a spend has quorum
        return max(self.FLOOR * sample.oi_coins, TINY)


class Levels(Stateful):
    """One of each, in the order in which they are fed and read. A new level is a class, an attribute here and a field
    of Readings."""

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
