"""From components to a window's score, and from windows to the composite (docs/signal.md sections 5 and 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp

from service.model import Readings, WindowReading
from service.scoring.components import OF_WINDOW, Component, Judgement
from service.statistics import fold

WEIGHTS = (("1m", 0.2), ("5m", 0.3), ("1h", 0.5))
GATE_UNKNOWN = 0.5
FIXED_WEIGHTS = {name: tuple(part.weight for part in parts) for name, parts in OF_WINDOW.items()}
_LEAST_Z = -700.0  # below it exp overflows; the gate is 0 there to 300 digits


@dataclass(frozen=True, slots=True)
class Weights:
    """Learned shares that replace the fixed formula (docs/weights.md), by window and expert.

    A window left out keeps it. The experts are component ids, ``static`` (the fixed formula's score) and ``zero`` (0);
    their shares sum to 1.
    """

    version: str
    windows: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class WindowScore:
    """A window with its score in [-1, 1], None unless it is ready and a component is.

    ``weights``: of the judged components, in their order, as published. ``static``: the fixed formula's score.
    """

    window: WindowReading
    ready: bool
    judged: tuple[tuple[Component, Judgement], ...]
    trend: float | None
    contrarian: float | None
    score: float | None
    weights: tuple[float, ...] = ()
    static: float | None = None


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


def score_window(
    window: WindowReading, readings: Readings, g: float, shares: Mapping[str, float] | None = None
) -> WindowScore:
    """Judge one window. Without quorum, or while it is not ready, its components are not ready either.

    ``shares``: learned ones that replace the fixed formula.
    """
    fixed = FIXED_WEIGHTS[window.name]
    if not (window.ready and readings.consensus.quorum):
        silent = tuple((part, _silent(part.judge(window, readings))) for part in OF_WINDOW[window.name])
        return WindowScore(window, False, silent, None, None, None, fixed, None)
    judged = tuple([(part, part.judge(window, readings)) for part in OF_WINDOW[window.name]])
    trend = weighted_mean([(part.weight, said.score) for part, said in judged if part.kind != "contrarian"])
    contrarian = weighted_mean([(part.weight, said.score) for part, said in judged if part.kind == "contrarian"])
    static = mix(trend, contrarian, g)
    if shares is None or static is None:
        return WindowScore(window, True, judged, trend, contrarian, static, fixed, static)
    weights = effective(judged, trend is not None, contrarian is not None, g, shares)
    trend = _sum(judged, weights, False)
    contrarian = _sum(judged, weights, True)
    score = (0.0 if trend is None else trend) + (0.0 if contrarian is None else contrarian)
    return WindowScore(window, True, judged, trend, contrarian, score, weights, static)


def effective(
    judged: Sequence[tuple[Component, Judgement]],
    has_trend: bool,
    has_contrarian: bool,
    g: float,
    shares: Mapping[str, float],
) -> tuple[float, ...]:
    """Each component's weight in the learned score: its share plus its part of ``static``'s, over those awake.

    The score is their sum of weight * score; what is missing to 1 lies on ``zero``.
    """
    totals = {True: 0.0, False: 0.0}  # fixed weights of the ready components, contrarian or not
    awake = shares.get("zero", 0.0) + shares.get("static", 0.0)
    for part, said in judged:
        if said.score is not None:
            totals[part.kind == "contrarian"] += part.weight
            awake += shares.get(part.id, 0.0)
    if awake == 0.0:
        return (0.0,) * len(judged)  # frozen shares that believe only what sleeps now
    gates = {True: g if has_trend else 1.0, False: 1.0 - g if has_contrarian else 1.0}
    weights = []
    for part, said in judged:
        crowd = part.kind == "contrarian"
        in_static = gates[crowd] * part.weight / totals[crowd] if said.score is not None else 0.0
        own = shares.get(part.id, 0.0) if said.score is not None else 0.0
        weights.append((own + shares.get("static", 0.0) * in_static) / awake)
    return tuple(weights)


def _sum(judged: Sequence[tuple[Component, Judgement]], weights: Sequence[float], contrarian: bool) -> float | None:
    terms = [
        weight * said.score
        for (part, said), weight in zip(judged, weights, strict=True)
        if said.score is not None and (part.kind == "contrarian") == contrarian
    ]
    return fold(terms) if terms else None


def over_windows(
    values: Sequence[tuple[str, float | None]], weights: Sequence[tuple[str, float]] = WEIGHTS
) -> float | None:
    """Weighted mean over the windows that have a value, renormalised; both in the order of the windows."""
    return weighted_mean([(weight, value) for (_, weight), (_, value) in zip(weights, values, strict=True)])


def _silent(said: Judgement) -> Judgement:
    return Judgement(None, dict.fromkeys(said.z))
