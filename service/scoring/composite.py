"""From components to a window's score, and from windows to the composite (docs/signal.md sections 5 and 6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp

from service.model import Readings, WindowReading
from service.scoring.components import OF_WINDOW, Component, Judgement

WEIGHTS = (("1m", 0.2), ("5m", 0.3), ("1h", 0.5))
GATE_UNKNOWN = 0.5
_LEAST_Z = -700.0  # below it exp overflows; the gate is 0 there to 300 digits


@dataclass(frozen=True, slots=True)
class WindowScore:
    """A window with its score in [-1, 1], None unless it is ready and a component is."""

    window: WindowReading
    ready: bool
    judged: tuple[tuple[Component, Judgement], ...]
    trend: float | None
    contrarian: float | None
    score: float | None


def gate(z_elr: float | None) -> float:
    """How much of the score the contrarian side gets, in [0, 1]: leverage gates the score, it never signs it."""
    return GATE_UNKNOWN if z_elr is None else 1.0 / (1.0 + exp(-max(z_elr, _LEAST_Z)))


def weighted_mean(pairs: Iterable[tuple[float, float | None]]) -> float | None:
    """Mean of (weight, value) over the values that are not None; None if there is none."""
    total = weights = 0.0
    for weight, value in pairs:
        if value is not None:
            total += weight * value
            weights += weight
    return total / weights if weights > 0 else None


def mix(trend: float | None, contrarian: float | None, g: float) -> float | None:
    """trend * (1 - g) + contrarian * g; with only one of them known, that one alone."""
    if trend is None:
        return contrarian
    return trend if contrarian is None else trend * (1.0 - g) + contrarian * g


def score_window(window: WindowReading, readings: Readings, g: float) -> WindowScore:
    """Judge one window. Without quorum, or while it is not ready, its components are not ready either."""
    if not (window.ready and readings.consensus.quorum):
        silent = tuple((part, _silent(part.judge(window, readings))) for part in OF_WINDOW[window.name])
        return WindowScore(window, False, silent, None, None, None)
    judged = tuple([(part, part.judge(window, readings)) for part in OF_WINDOW[window.name]])
    trend = weighted_mean([(part.weight, said.score) for part, said in judged if part.kind != "contrarian"])
    contrarian = weighted_mean([(part.weight, said.score) for part, said in judged if part.kind == "contrarian"])
    return WindowScore(window, True, judged, trend, contrarian, mix(trend, contrarian, g))


def over_windows(
    values: Sequence[tuple[str, float | None]], weights: Sequence[tuple[str, float]] = WEIGHTS
) -> float | None:
    """Weighted mean over the windows that have a value, renormalised; both in the order of the windows."""
    return weighted_mean([(weight, value) for (_, weight), (_, value) in zip(weights, values, strict=True)])


def _silent(said: Judgement) -> Judgement:
    return Judgement(None, dict.fromkeys(said.z))
