"""Sizing hints (docs/signal.md section 7): 0 until the service's own record has earned more."""

from __future__ import annotations

WIDE_STOP = 1.5
TIGHT_STOP = 0.8


def size_fraction(
    p_hit: float, confidence: float, fragility: float | None, tradeable: bool, direction: str | None
) -> float:
    """max(0, 2 p_hit - 1) * confidence * (1 - fragility/2), in [0, 1]; 0 unless tradeable with a direction."""
    if not tradeable or direction not in ("long", "short") or fragility is None:
        return 0.0
    return max(0.0, 2.0 * p_hit - 1.0) * confidence * (1.0 - 0.5 * fragility)


def stop_multiplier(conflict: bool, momentum: str, agreement: float, scored_windows: int) -> float:
    """1.5 when the windows conflict or the score fades, 0.8 when at least two windows agree fully, else 1."""
    if conflict or momentum == "decelerating":
        return WIDE_STOP
    return TIGHT_STOP if agreement == 1.0 and scored_windows >= 2 else 1.0
