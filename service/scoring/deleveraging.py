"""``p_deleveraging`` of the message: the fitted chance of a deep fall of open interest, made anew each UTC minute."""

from __future__ import annotations

from typing import Any, TypeAlias

from service.deleveraging import HORIZON_H, Model, Pair
from service.model import Readings, TrackRecord
from service.state import Stateful

MINUTE_MS = 60_000
# Tick and model that made it, and the chances of 5 % and 10 %; empty: there is none.
_Said: TypeAlias = tuple[int, str, float, float] | tuple[()]


class Deleveraging(Stateful):
    """The chance as it stands. It lives a minute: its inputs do not tell more, and every one that is said is judged."""

    STATE = ("_held",)
    __slots__ = STATE

    def __init__(self) -> None:
        self._held: _Said = ()

    def told(self, readings: Readings, model: Model, record: TrackRecord, backfill: bool) -> dict[str, Any]:
        """The ``p_deleveraging`` of this tick. In the back-filled past each tick has its own, and none is held."""
        chance, reason = _made(readings, model)
        said: _Said = ()
        if chance is not None:
            stands = not backfill and self._stands(readings.ts, model)
            said = self._held if stands else (readings.ts, model.name, *chance)
        self._held = () if backfill else said
        base_rate, base_rate_10 = model.base_rates if record.base_rates is None else record.base_rates
        return {
            "oi_5": said[2] if said else None,
            "oi_10": said[3] if said else None,
            "horizon_h": HORIZON_H,
            "model": model.name,
            "base_rate": base_rate,
            "base_rate_10": base_rate_10,
            "as_of": said[0] if said else None,
            "reason": reason,
            "evidence": record.evidence,
            "evidence_10": record.evidence_10,
        }

    def _stands(self, ts: int, model: Model) -> bool:
        """Whether one made in this minute, and by this model (not before a restart with another), is held."""
        if not self._held:
            return False
        made_at, made_by = self._held[:2]
        return made_at // MINUTE_MS == ts // MINUTE_MS and made_by == model.name

    def forget(self) -> None:
        """A tick of the past that says nothing: none is held."""
        self._held = ()

    def reanchor(self, shift_ms: int) -> None:
        if self._held:
            self._held = (self._held[0] + shift_ms, *self._held[1:])


def _made(readings: Readings, model: Model) -> tuple[Pair | None, str | None]:
    """The chance at this tick, or why there is none."""
    rank, volatility = readings.elr.percentile, readings.volatility_24h
    if not readings.consensus.quorum:
        return None, "no_quorum"
    if rank is None or not readings.elr.reaches(model.least_rank_h):
        return None, "short_rank"
    if volatility is None or volatility == 0.0:  # a price that stood still for a day has no logarithm, and is none
        return None, "no_volatility"
    return model.probabilities(rank, volatility), None
