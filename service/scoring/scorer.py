"""One symbol's readings in, its signal and its alerts out (docs/signal.md sections 5 to 7). Pure and synchronous."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.model import Denominator, Readings, SignalBody
from service.scoring import body, confidence, sizing, status
from service.scoring.alerts import Alerts, Situation
from service.scoring.composite import WEIGHTS, gate, over_windows, score_window
from service.scoring.conflict import Conflict
from service.scoring.direction import Direction, Momentum, Side, transition
from service.scoring.elr import Leverage
from service.scoring.modes import Modes
from service.scoring.outcome import Record
from service.scoring.regime import Flush, fragility, regime
from service.scoring.strength import Strength
from service.state import Stateful

TTL_MS = 30_000
TICK_S = 10
FRAGILITY_HORIZON_H = 24  # fragility ranks the chance of a flush within a day
WEIGHTS_VERSION = "static-1"


class Scorer(Stateful):
    """The score of one symbol over time; every tick once, in time order.

    ``exchanges``: venue -> exchange in configuration order. ``denominator``: what ELR divides by, None if unknown.
    """

    STATE = (
        "_alerts",
        "_conflict",
        "_direction",
        "_flush",
        "_modes",
        "_momentum",
        "_record",
        "_strengths",
        "_window_directions",
    )
    __slots__ = (*STATE, "_leverage", "symbol")

    def __init__(self, symbol: str, exchanges: Mapping[str, str], denominator: Denominator | None) -> None:
        self.symbol = symbol
        self._leverage = Leverage(symbol, exchanges, denominator)
        self._alerts = Alerts(symbol)
        self._conflict = Conflict()
        self._direction = Direction()
        self._flush = Flush()
        self._modes = Modes()
        self._momentum = Momentum()
        self._record = Record()
        self._strengths = [Strength() for _ in WEIGHTS]
        self._window_directions = [Direction() for _ in WEIGHTS]

    def score(self, readings: Readings, backfill: bool = False) -> tuple[SignalBody, list[dict[str, Any]]]:
        """The signal body of this tick, keys in the order of the feed's contract, and the alerts it raises or clears.

        Without quorum nothing is claimed. ``backfill``: the past; it takes no outcome and raises no alert.
        A back-filled minute counts six ticks in the ranks.
        """
        sample, ts = readings.consensus, readings.ts
        quorum = sample.quorum
        price = sample.price if quorum else None
        g = gate(readings.elr.z if quorum else None)

        windows = [score_window(window, readings, g) for window in readings.windows]
        scores = [(scored.window.name, scored.score) for scored in windows]
        strengths = [
            (scored.window.name, ranks.update(scored.score, ts, sample.step_s > TICK_S))
            for scored, ranks in zip(windows, self._strengths, strict=True)
        ]
        sides = [
            _side(direction, scored.score, quorum)
            for scored, direction in zip(windows, self._window_directions, strict=True)
        ]
        composite = over_windows(scores)

        factors = confidence.factors(
            sample.freshness if quorum else None, sample.coverage, readings.continuity, windows
        )
        abstain = confidence.abstain_reasons(factors, composite, windows)
        state, reasons = status.judge(readings)
        conflict_windows = self._conflict.update(scores, ts)
        conflict = len(conflict_windows) > 0
        tradeable = state == "ok" and not abstain and not conflict

        before = self._direction.side
        side = _side(self._direction, None if abstain else composite, quorum)
        changed = transition(before, side)
        momentum = self._momentum.update(composite)
        self._flush.update(readings)
        named = regime(readings, self._flush)
        fragile = fragility(readings)
        modes = self._modes.update(scores, quorum, ts)
        if not backfill:
            self._record.mature(price, ts)
            self._record.take(side, price, ts)
        p_hit = self._record.p_hit
        scored_windows = sum(scored.score is not None for scored in windows)

        signal: SignalBody = {
            "symbol": self.symbol,
            "ts": ts,
            "as_of": sample.as_of if quorum else None,
            "ttl_ms": TTL_MS,
            "status": state,
            "reasons": reasons + abstain,
            "abstain": len(abstain) > 0,
            "tradeable": tradeable,
            "score": composite,
            "strength": over_windows(strengths),
            "confidence": factors.confidence,
            "direction": side,
            "transition": changed,
            "momentum": momentum,
            "conflict": conflict,
            "conflict_windows": list(conflict_windows),
            "regime": named,
            "fragility": fragile,
            "fragility_horizon_h": FRAGILITY_HORIZON_H,
            "windows": {
                scored.window.name: body.window(scored, strength, factors.of_window, window_side)
                for scored, (_, strength), window_side in zip(windows, strengths, sides, strict=True)
            },
            "elr": self._leverage.values(readings),
            "market": body.market(sample),
            "confidence_factors": {
                "freshness": factors.freshness,
                "coverage": factors.coverage,
                "warmup": factors.warmup,
                "agreement": factors.agreement,
                "continuity": factors.continuity,
            },
            "p_hit": p_hit,
            "modes": modes,
            "sizing": {
                "size_fraction": sizing.size_fraction(p_hit, factors.confidence, fragile, tradeable, side),
                "stop_multiplier": sizing.stop_multiplier(conflict, momentum, factors.agreement, scored_windows),
            },
            "weights_version": WEIGHTS_VERSION,
            "gate": g,
            "p_hit_n": self._record.n,
            "excluded": list(sample.excluded),
        }
        if backfill:
            self._alerts.pause()
            return signal, []
        raised = self._alerts.update(
            Situation(
                readings=readings,
                status=state,
                flushing=self._flush.flushing,
                regime=named,
                conflict_windows=conflict_windows,
                conflict_since=self._conflict.since,
                transition=changed,
                score=composite,
                confidence=factors.confidence,
            )
        )
        return signal, raised

    def reanchor(self, delta_ms: int) -> None:
        """The service clock's anchor moved: shift every stored time by ``delta_ms`` rounded to whole seconds."""
        shift_ms = round(delta_ms / 1000) * 1000
        for strength in self._strengths:
            strength.reanchor(delta_ms)
        self._alerts.reanchor(shift_ms)
        self._conflict.reanchor(shift_ms)
        self._flush.reanchor(shift_ms)
        self._modes.reanchor(shift_ms)
        self._record.reanchor(shift_ms)


def _side(direction: Direction, score: float | None, quorum: bool) -> Side | None:
    if quorum:
        return direction.update(score)
    direction.lose()
    return None
