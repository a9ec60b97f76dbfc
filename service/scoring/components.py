"""The components of a window's score (docs/signal.md section 5). A new one is one function and one row.

Each judges one window of a symbol: a score in [-1, 1] (+ up), None while an input is missing. ``trend`` components say
who pushes, ``pressure`` who is pushed out (which pushes as well), ``contrarian`` ones who is crowded; the gate
(composite.py) weighs the first two against the last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import tanh
from typing import Literal, TypeAlias

from service.formulas import quadrant
from service.model import Readings, WindowReading

Kind: TypeAlias = Literal["trend", "pressure", "contrarian"]

FUNDING_DEAD_ZONE = 1.0
UNWINDING_SHARE = 0.5  # a move on falling open interest closes positions: half as much conviction
DIVERGENCE_SHARE = 0.5
# Liquidated coins over open interest that weigh three quarters: more than all but one hour in twenty sees, in a window.
HEAVY_LIQUIDATION = {"1m": 2e-4, "5m": 5e-4}
ZERO = 0.0  # added, it turns -0.0 into 0.0: one zero on the wire


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a component says of a window; ``z``: the inputs it read, as z-scores where they have one.

    ``quadrant`` only of ``positioning``.
    """

    score: float | None
    z: dict[str, float | None]
    quadrant: str | None = None


@dataclass(frozen=True, slots=True)
class Component:
    """One row of the table."""

    id: str
    windows: tuple[str, ...]
    kind: Kind
    weight: float
    judge: Callable[[WindowReading, Readings], Judgement]


def dead(z: float) -> float:
    """sign(z) * max(abs(z) - 1, 0): funding within one deviation of its day says nothing."""
    return max(z - FUNDING_DEAD_ZONE, 0.0) + min(z + FUNDING_DEAD_ZONE, 0.0)


def positioning(window: WindowReading, readings: Readings) -> Judgement:
    """tanh(z_r/2) * tanh(abs(z_d)/2), halved unless open interest rose; needs both z."""
    z_return, z_oi = window.z_return, window.z_oi
    z = {"return": z_return, "oi": z_oi}
    if z_return is None or z_oi is None:
        return Judgement(None, z)
    share = 1.0 if z_oi > 0 else UNWINDING_SHARE
    score = tanh(z_return / 2) * tanh(abs(z_oi) / 2) * share
    return Judgement(score + ZERO, z, quadrant(z_return, z_oi))


def taker_flow(window: WindowReading, readings: Readings) -> Judgement:
    """tanh(z/2) of the balance of taker buys and sells. No trades reported is not balanced: None."""
    z = window.z_taker
    return Judgement(None if z is None else tanh(z / 2) + ZERO, {"taker": z})


def liquidations(window: WindowReading, readings: Readings) -> Judgement:
    """Who is closed by force, by how much of open interest: shorts bought back push up, longs sold push down."""
    imbalance, intensity = window.liquidation_imbalance, window.liquidation_intensity
    inputs = {"imbalance": imbalance, "intensity": intensity}
    if imbalance is None or intensity is None:
        return Judgement(None, inputs)
    return Judgement(imbalance * tanh(intensity / HEAVY_LIQUIDATION[window.name]) + ZERO, inputs)


def premium(window: WindowReading, readings: Readings) -> Judgement:
    """tanh(z/2) of the premium of mark over index."""
    z = readings.premium.z
    return Judgement(None if z is None else tanh(z / 2), {"premium": z})


def funding(window: WindowReading, readings: Readings) -> Judgement:
    """-tanh(dead(z)/2) of the 8 h funding rate: who pays much is crowded."""
    z = readings.funding.z
    return Judgement(None if z is None else ZERO - tanh(dead(z) / 2), {"funding": z})


def divergence(window: WindowReading, readings: Readings) -> Judgement:
    """Against the venue whose funding stands furthest off, by how unusual the spread over venues is."""
    z = readings.spread.z
    if z is None:
        return Judgement(None, {"spread": z})
    sign = readings.consensus.funding_outlier_sign
    return Judgement(ZERO - sign * tanh(max(z, 0.0) / 2) * DIVERGENCE_SHARE, {"spread": z})


COMPONENTS = (
    Component("positioning", ("1m", "5m", "1h"), "trend", 1.0, positioning),
    Component("taker_flow", ("1m", "5m"), "trend", 1.0, taker_flow),
    Component("liquidations", ("1m", "5m"), "pressure", 1.0, liquidations),
    Component("premium", ("1h",), "trend", 1.0, premium),
    Component("funding", ("1h",), "contrarian", 1.0, funding),
    Component("divergence", ("1h",), "contrarian", 1.0, divergence),
)
OF_WINDOW = {name: tuple(c for c in COMPONENTS if name in c.windows) for name in ("1m", "5m", "1h")}
