"""Sections 5 and 6 of docs/signal.md: components, gate, window scores, strength, conflict, confidence."""

from __future__ import annotations

import math
from typing import Any

from .consensus import Sample
from .history import DAY, Level, Window
from .numbers import Loose, slack_of

WINDOW_WEIGHTS = {"1m": 0.2, "5m": 0.3, "1h": 0.5}
ENTER, LEAVE = 0.15, 0.10
STRENGTH_LEAST = 360
BACKFILL_TICKS = 6  # what a back-filled minute counts as


def sign(value: float) -> int:
    return 1 if value > 0 else -1 if value < 0 else 0


def positioning(window: Window) -> dict[str, Any]:
    z_return, z_oi = window.z_return, window.z_oi
    score, quadrant = None, None
    if window.ready and z_return is not None and z_oi is not None:
        score = math.tanh(z_return / 2) * math.tanh(abs(z_oi) / 2) * (1.0 if z_oi > 0 else 0.5)
        names = {
            (1, 1): "long_build_up",
            (-1, 1): "short_build_up",
            (1, -1): "short_covering",
            (-1, -1): "long_unwinding",
        }
        quadrant = names.get((sign(z_return), sign(z_oi)))
    return component("positioning", "trend", score, {"return": z_return, "oi": z_oi}, quadrant)


def premium(z: float | None) -> dict[str, Any]:
    score = math.tanh(z / 2) if z is not None else None
    return component("premium", "trend", score, {"premium": z})


def funding(z: float | None) -> dict[str, Any]:
    score = None
    if z is not None:
        dead = sign(z) * max(abs(z) - 1, 0.0)
        score = -math.tanh(dead / 2)
    return component("funding", "contrarian", score, {"funding": z})


def divergence(z: float | None, outlier_sign: int) -> dict[str, Any]:
    score = -outlier_sign * math.tanh(max(z, 0.0) / 2) * 0.5 if z is not None else None
    return component("divergence", "contrarian", score, {"spread": z})


def component(
    name: str, kind: str, score: float | None, z: dict[str, float | None], quadrant: str | None = None
) -> dict[str, Any]:
    return {"id": name, "score": score, "weight": 1.0, "z": z, "quadrant": quadrant, "kind": kind}


def components_of(window: Window, levels: dict[str, Level], sample: Sample) -> list[dict[str, Any]]:
    """In a window that is not ready nothing is: neither scores nor z."""
    listed = [positioning(window)]
    if window.name == "1h":
        z = {name: levels[name].z if window.ready else None for name in ("premium", "funding", "spread")}
        listed += [premium(z["premium"]), funding(z["funding"]), divergence(z["spread"], sample.outlier_sign)]
    return listed


def gate(z_elr: float | None) -> float:
    """1 / (1 + exp(-z)), written so that a large fall of OI does not overflow."""
    if z_elr is None:
        return 0.5
    if z_elr >= 0:
        return 1 / (1 + math.exp(-z_elr))
    return math.exp(z_elr) / (1 + math.exp(z_elr))


def window_score(trend: float | None, contra: float | None, g: float) -> float | None:
    if trend is None:
        return contra
    if contra is None:
        return trend
    return trend * (1 - g) + contra * g


def kind_mean(components: list[dict[str, Any]], kind: str) -> float | None:
    """Mean score of the ready components of one kind (all weights are 1)."""
    scores = [part["score"] for part in components if part["kind"] == kind and part["score"] is not None]
    return float(sum(scores) / len(scores)) if scores else None


class Strength:
    """The rank of abs(score) among the window's earlier ticks of the trailing 24 h."""

    def __init__(self) -> None:
        self.ticks: list[tuple[int, float, int, int]] = []  # ts, abs(score), its bin, how many ticks it counts as
        self.first = 0  # ticks before this one have left the 24 h

    def of(self, ts: int, score: float | None, backfill: bool) -> Loose | None:
        while self.first < len(self.ticks) and self.ticks[self.first][0] <= ts - DAY:
            self.first += 1
        if score is None:
            return None
        size, own_bin = abs(score), _bin(abs(score))
        n, below, equal, same_bin = 0, 0, 0, 0
        for _, other, other_bin, weight in self.ticks[self.first :]:
            n += weight
            if other < size:
                below += weight
            elif other == size:
                equal += weight
            if other_bin == own_bin:
                same_bin += weight
        self.ticks.append((ts, size, own_bin, BACKFILL_TICKS if backfill else 1))
        if n < STRENGTH_LEAST:
            return None
        return Loose((below + 0.5 * equal) / n, 0.5 * same_bin / n)


def _bin(size: float) -> int:
    return min(math.floor(math.sqrt(size) * 512), 511)


def weighted_mean(values: dict[str, float | None], weights: dict[str, float]) -> float | None:
    """Mean over the windows with a value, weights renormalised; carries the slack of loose values."""
    total, weight, slack = 0.0, 0.0, 0.0
    for name, value in values.items():
        if value is not None:
            total += weights[name] * value
            weight += weights[name]
            slack += weights[name] * slack_of(value)
    if weight == 0.0:
        return None
    return Loose(total / weight, slack / weight) if slack > 0 else total / weight


def agreement(scores: dict[str, float | None]) -> float:
    signed, unsigned, count = 0.0, 0.0, 0
    for name, score in scores.items():
        if score is not None:
            signed += WINDOW_WEIGHTS[name] * score
            unsigned += WINDOW_WEIGHTS[name] * abs(score)
            count += 1
    return 1.0 if count < 2 or unsigned == 0.0 else abs(signed) / unsigned


def opposite_windows(scores: dict[str, float | None], least: float) -> list[str]:
    """The windows of pairs with opposite signs whose scores are both at least ``least`` in size."""
    found = []
    for name, score in scores.items():
        for other in scores.values():
            if score is None or other is None:
                continue
            if sign(score) * sign(other) < 0 and abs(score) >= least and abs(other) >= least:
                found.append(name)
                break
    return found


class Direction:
    """Enter at 0.15, leave below 0.10; None and a forced neutral reset it."""

    def __init__(self) -> None:
        self.state = "neutral"

    def of(self, score: float | None, neutral: bool = False) -> str:
        if score is None or neutral:
            self.state = "neutral"
        else:
            side = "long" if score > 0 else "short"
            if abs(score) >= ENTER:
                self.state = side
            elif abs(score) < LEAVE or self.state != side:
                self.state = "neutral"
        return self.state

    def reset(self) -> None:
        self.state = "neutral"


def ten_digits(value: float) -> float:
    return float(f"{value:.10g}")
