"""``p_deleveraging`` of the message: the fitted chance of a deep fall of open interest, made anew each UTC minute."""

from __future__ import annotations

from typing import Any

from service.deleveraging import HORIZON_H, Model, Pair
from service.model import Readings, TrackRecord
from service.state import Stateful

MINUTE_MS = 60_000


class Deleveraging(Stateful):
    """The chance as it stands. It lives a minute: its inputs do not tell more, and every one that is said is judged."""

    STATE = ("_as_of", "_chance")
    __slots__ = ("_as_of", "_chance")

    def __init__(self) -> None:
        self._as_of: int | None = None
        self._chance: tuple[float, ...] = ()  # of 5 % and 10 %; empty: none is held

    def told(self, readings: Readings, model: Model, record: TrackRecord, backfill: bool) -> dict[str, Any]:
        """The ``p_deleveraging`` of this tick. In the back-filled past each tick has its own, and none is held."""
        chance, reason = _made(readings, model)
        if chance is None or backfill:
            self._chance, self._as_of = (), None
        elif not self._chance or self._as_of is None or readings.ts // MINUTE_MS != self._as_of // MINUTE_MS:
            self._chance, self._as_of = chance, readings.ts
        else:
            chance = (self._chance[0], self._chance[1])
        as_of = readings.ts if self._as_of is None else self._as_of
        base_rate, base_rate_10 = model.base_rates if record.base_rates is None else record.base_rates
        return {
            "oi_5": None if chance is None else chance[0],
            "oi_10": None if chance is None else chance[1],
            "horizon_h": HORIZON_H,
            "model": model.name,
            "base_rate": base_rate,
            "base_rate_10": base_rate_10,
            "as_of": None if chance is None else as_of,
            "reason": reason,
            "evidence": record.evidence,
        }

    def forget(self) -> None:
        """A tick of the past that says nothing: none is held."""
        self._chance, self._as_of = (), None

    def reanchor(self, shift_ms: int) -> None:
        if self._as_of is not None:
            self._as_of += shift_ms


def _made(readings: Readings, model: Model) -> tuple[Pair | None, str | None]:
    """The chance at this tick, or why there is none."""
    rank, volatility = readings.elr.percentile, readings.volatility_24h
    if not readings.consensus.quorum:
        return None, "no_quorum"
    if rank is None or readings.elr.horizon_h < model.least_rank_h:
        return None, "short_rank"
    if volatility is None:
        return None, "no_volatility"
    return model.probabilities(rank, volatility), None
