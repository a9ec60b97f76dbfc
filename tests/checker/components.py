"""Sections 5 and 6 of docs/signal.md: components, gate, window scores, strength, conflict, confidence."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import Any

from .consensus import Sample
from .flows import FLOW_WINDOWS, INTENSITY_SCALES, FlowReading
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


def taker_flow(z: float | None) -> dict[str, Any]:
    return component("taker_flow", "trend", None if z is None else math.tanh(z / 2), {"taker": z})


def liquidations(name: str, flow: FlowReading) -> dict[str, Any]:
    """Shorts bought back push up; how much counts against the open interest."""
    imbalance, intensity = flow.imbalance, flow.intensity
    score = None
    if imbalance is not None and intensity is not None:
        score = imbalance * math.tanh(intensity / INTENSITY_SCALES[name])
    return component("liquidations", "pressure", score, {"imbalance": imbalance, "intensity": intensity})


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


def components_of(window: Window, flow: FlowReading, levels: dict[str, Level], sample: Sample) -> list[dict[str, Any]]:
    """In a window that is not ready nothing is: neither scores nor z."""
    listed = [positioning(window)]
    if window.name in FLOW_WINDOWS:
        listed += [taker_flow(flow.z_taker), liquidations(window.name, flow)]
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


def kind_mean(components: list[dict[str, Any]], *kinds: str) -> float | None:
    """Mean score of the ready components of some kinds (all weights are 1)."""
    scores = [part["score"] for part in components if part["kind"] in kinds and part["score"] is not None]
    return float(sum(scores) / len(scores)) if scores else None


class Strength:
    """The rank of abs(score) among the window's earlier ticks of the trailing 24 h."""

    def __init__(self) -> None:
        self.ticks: list[tuple[int, float, int]] = []  # ts, abs(score), how many ticks it counts as
        self.first = 0  # ticks before this one have left the 24 h
        self.sizes: list[float] = []  # of the others, in order, each as often as it counts
        self.bins: list[int] = []  # theirs, in order

    def of(self, ts: int, score: float | None, backfill: bool) -> Loose | None:
        while self.first < len(self.ticks) and self.ticks[self.first][0] <= ts - DAY:
            _, size, weight = self.ticks[self.first]
            i, j = bisect_left(self.sizes, size), bisect_left(self.bins, _bin(size))
            del self.sizes[i : i + weight]
            del self.bins[j : j + weight]
            self.first += 1
        if score is None:
            return None
        size, n = abs(score), len(self.sizes)
        below, up_to = bisect_left(self.sizes, size), bisect_right(self.sizes, size)
        same_bin = bisect_right(self.bins, _bin(size)) - bisect_left(self.bins, _bin(size))
        weight = BACKFILL_TICKS if backfill else 1
        self.ticks.append((ts, size, weight))
        self.sizes[below:below] = [size] * weight
        bin_at = bisect_left(self.bins, _bin(size))
        self.bins[bin_at:bin_at] = [_bin(size)] * weight
        if n < STRENGTH_LEAST:
            return None
        return Loose((below + 0.5 * (up_to - below)) / n, 0.5 * same_bin / n)


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
