"""Any series against its own completed minutes: the rules of docs/signal.md section 4."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from service.indicators.minute import MINUTE_MS
from service.indicators.trailing import LEAST_VALUES, LinearBins, LogarithmicBins, Trailing
from service.research.indicators.contract import About, Indicator, Input
from service.state import Stateful
from service.statistics import robust_z


class Minutes(Stateful):
    """Feeds a :class:`~service.indicators.trailing.Trailing`: of each minute the last value, once it is over."""

    STATE: ClassVar[tuple[str, ...]] = ("_minute", "history", "now")
    __slots__ = STATE

    def __init__(self, history: Trailing) -> None:
        self.history = history
        self._minute: int | None = None  # the running one
        self.now: float | None = None  # its last value so far

    def update(self, t_ms: int, x: float | None) -> None:
        """Enter a value at a time not before the newest; None: only time passes."""
        minute = t_ms // MINUTE_MS
        if minute != self._minute:
            if self._minute is not None and self.now is not None:
                self.history.add(self._minute, self.now)
            self.history.advance(minute)
            self._minute, self.now = minute, None
        if x is not None:
            self.now = x


class OverMinutes(Indicator[float]):
    """A function of the past minutes and the value now; ready from 60 of them on."""

    STATE: ClassVar[tuple[str, ...]] = (*Indicator.STATE, "_minutes")
    __slots__ = ("_minutes", "_of")

    def __init__(self, about: About, of: Callable[[Trailing, float], float | None], history: Trailing) -> None:
        super().__init__(about)
        self._minutes = Minutes(history)
        self._of = of

    @property
    def value(self) -> float | None:
        x = self._minutes.now
        return self._of(self._minutes.history, x) if self.ready and x is not None else None

    @property
    def ready(self) -> bool:
        return self._minutes.history.n >= LEAST_VALUES

    def _take(self, t_ms: int, x: tuple[float | None, ...]) -> None:
        self._minutes.update(t_ms, x[0])


def _robust_z(about: About, floor: float) -> OverMinutes:
    if not floor > 0.0:
        raise ValueError(f"floor {floor}: a flat past would be divided by 0")
    return OverMinutes(about, lambda past, x: robust_z(x, *past.median(), floor), Trailing())


def _percentile_30d(about: About, bin_width: float | None) -> OverMinutes:
    if bin_width is not None and not bin_width > 0.0:
        raise ValueError(f"bins of {bin_width}")
    bins = LogarithmicBins() if bin_width is None else LinearBins(bin_width)
    return OverMinutes(about, Trailing.percentile, Trailing(bins, magnitude=bin_width is None))


STATISTICS = (
    # Distance from the median in units of 1.4826 MAD. ``floor``: least MAD, in the series' own unit: a flat past gives
    # 0, not a division by 0, and what moves less than the floor is never unusual.
    About(
        id="robust_z",
        inputs=(Input("x", "any", signed=True),),
        unit="robust standard deviations",
        formula="(x - median) / (1.4826 * max(MAD, floor)), over the minutes completed before",
        window="24 h of minute values, at least 60",
        null="under 60 values; running minute empty",
        wickra=None,
        differences="",
        make=_robust_z,
        settings={"floor": 1e-5},
    ),
    # The last 24 h exactly, what is older every tenth minute, ten times, in 512 bins. ``bin_width`` in the series' own
    # unit; None: magnitudes, in bins of 4.1 % from 1e-8 to 10. An older value is off by at most half a bin; those in
    # x's own bin count half, so the bins cost at most half their share of all values.
    About(
        id="percentile_30d",
        inputs=(Input("x", "any", signed=True),),
        unit="share in [0, 1]",
        formula="(count below + 0.5 * count equal) / count, over the minutes completed before",
        window="30 days of minute values, at least 60; beyond 24 h one in ten, in bins of 0.005",
        null="under 60 values; running minute empty",
        wickra=None,
        differences="",
        make=_percentile_30d,
        settings={"bin_width": 0.005},
    ),
)
