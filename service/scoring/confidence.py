"""Confidence: a product of published factors, and the reasons to abstain (docs/signal.md section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.scoring.composite import WEIGHTS, WindowScore
from service.statistics import fold

LEAST_CONFIDENCE = 0.30
LEAST_FACTOR = 0.5


@dataclass(frozen=True, slots=True)
class Factors:
    """The five factors in [0, 1], each as published: rounded to 10 significant digits."""

    freshness: float
    coverage: float
    warmup: float
    agreement: float
    continuity: float

    @property
    def confidence(self) -> float:
        """Exactly their product: a client recomputes it from the message."""
        return self.freshness * self.coverage * self.warmup * self.agreement * self.continuity

    @property
    def of_window(self) -> float:
        """Confidence of a ready window: warm by itself, and agreeing with itself."""
        return self.freshness * self.coverage * self.continuity


def published(value: float) -> float:
    """``value`` rounded to 10 significant digits, as on the wire."""
    return float(f"{value:.10g}")


def agreement(windows: Sequence[WindowScore]) -> float:
    """abs(sum a s) / sum a abs(s) over windows with a score; 1 for one of them, none, or all 0."""
    signed = unsigned = 0.0
    for (_, weight), window in zip(WEIGHTS, windows, strict=True):
        if window.score is not None:
            signed += weight * window.score
            unsigned += weight * abs(window.score)
    return 1.0 if unsigned == 0 else abs(signed) / unsigned


def warmup(windows: Sequence[WindowScore]) -> float:
    """Share of the weights whose windows are ready."""
    return fold(weight for (_, weight), window in zip(WEIGHTS, windows, strict=True) if window.ready)


def factors(freshness: float | None, coverage: float, continuity: float, windows: Sequence[WindowScore]) -> Factors:
    """``freshness`` None (no quorum): nothing vouches for anything, 0."""
    return Factors(
        freshness=0.0 if freshness is None else published(freshness),
        coverage=published(coverage),
        warmup=published(warmup(windows)),
        agreement=published(agreement(windows)),
        continuity=published(continuity),
    )


def abstain_reasons(of: Factors, score: float | None, windows: Sequence[WindowScore]) -> list[str]:
    """Why not to act on the composite, in fixed order; empty: nothing speaks against it."""
    told = (
        ("low_confidence", of.confidence < LEAST_CONFIDENCE),
        ("low_freshness", of.freshness < LEAST_FACTOR),
        ("low_coverage", of.coverage < LEAST_FACTOR),
        ("low_warmup", of.warmup < LEAST_FACTOR),
        ("no_window_ready", not any(window.ready for window in windows)),
        ("no_score", score is None),
    )
    return [code for code, holds in told if holds]
