"""Who acts: the signs of price and open interest."""

from __future__ import annotations

from service.formulas import quadrant
from service.research.indicators.contract import About, Input
from service.research.indicators.windowed import MINUTE_MS, SECOND_MS, Change


class Quadrant(Change[str]):
    """long_build_up, short_build_up, short_covering or long_unwinding, as in docs/signal.md section 5."""

    ABOUT = About(
        id="quadrant",
        inputs=(Input("price", "USD"), Input("oi", "coins")),
        unit="name",
        formula="price up, oi up: long_build_up; down, up: short_build_up; up, down: short_covering; down, down: "
        "long_unwinding",
        window="5 min of 1 s",
        null="window not covered or without a start; running slot empty; either unchanged",
        wickra=None,
        differences="",
    )
    __slots__ = ()

    def __init__(self, window_ms: int = 5 * MINUTE_MS, step_ms: int = SECOND_MS) -> None:
        super().__init__(window_ms, step_ms)

    def between(self, now: tuple[float, ...], start: tuple[float, ...]) -> str | None:
        return quadrant(now[0] - start[0], now[1] - start[1])
