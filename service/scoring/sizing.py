"""What a bot may make of its own size: limits, never a direction (docs/signal.md section 7). Pure, without memory."""

from __future__ import annotations

from typing import NamedTuple

from service.scoring.confidence import Factors
from service.scoring.direction import Side

LEAST_DATA = 0.3  # of freshness * coverage * warmup * continuity: no size at all
FULL_DATA = 0.7  # from here on the data take nothing off
# What followed an elr_spike was 1.7 times as often a deep fall as at the same volatility (docs/evidence.md): 1 / 1.7.
SPIKE_SHARE = 0.6
WIDE_STOP = 1.5
TIGHT_STOP = 0.8
TIGHT_STRENGTH = 0.5


class RiskFactors(NamedTuple):
    """Each in [0, 1], 1 where nothing is known against."""

    data: float
    deleveraging: float
    spike: float


def risk_factors(factors: Factors, oi_5: float | None, base_rate: float, spiking: bool) -> RiskFactors:
    """``oi_5``: chance of a fall of open interest by 5 % within a day, None if not known; ``base_rate``: how often one
    comes anyway. A size that shrinks by base_rate / oi_5 carries as many of these falls as ever."""
    measured = factors.freshness * factors.coverage * factors.warmup * factors.continuity
    return RiskFactors(
        data=min(1.0, max(0.0, (measured - LEAST_DATA) / (FULL_DATA - LEAST_DATA))),
        deleveraging=1.0 if oi_5 is None or oi_5 <= base_rate else base_rate / oi_5,
        spike=SPIKE_SHARE if spiking else 1.0,
    )


def risk_multiplier(factors: RiskFactors, tradeable: bool) -> float:
    """What to multiply a size by, in [0, 1]; 0 when not tradeable. The chance and the spike both rest on the rank of
    leverage: the stronger of them counts, not both."""
    return factors.data * min(factors.deleveraging, factors.spike) if tradeable else 0.0


def size_fraction(
    p_hit: float, confidence: float, fragility: float | None, tradeable: bool, direction: Side | None
) -> float:
    """max(0, 2 p_hit - 1) * confidence * (1 - fragility/2), in [0, 1]; 0 unless tradeable with a direction."""
    if not tradeable or direction not in ("long", "short") or fragility is None:
        return 0.0
    return max(0.0, 2.0 * p_hit - 1.0) * confidence * (1.0 - 0.5 * fragility)


def stop_multiplier(
    conflict: bool, momentum: str, agreement: float, scored_windows: int, direction: Side | None, strength: float | None
) -> float:
    """1.5 when the windows conflict or the score fades; 0.8 with a direction that is strong and that at least two
    windows agree on; else 1."""
    if conflict or momentum == "decelerating":
        return WIDE_STOP
    strong = direction in ("long", "short") and strength is not None and strength >= TIGHT_STRENGTH
    return TIGHT_STOP if strong and agreement == 1.0 and scored_windows >= 2 else 1.0
