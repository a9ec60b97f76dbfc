"""One symbol's readings in, its signal and its alerts out (docs/signal.md sections 5 to 7). Pure and synchronous."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from service.deleveraging import Model, packaged
from service.formulas import growth
from service.model import Denominator, Readings, SignalBody, TrackRecord
from service.scoring import body, confidence
from service.scoring.alerts import DEFAULT_RULES, Alerts, Rule, Situation
from service.scoring.composite import WEIGHTS, Weights, WindowScore, gate, over_windows, score_window
from service.scoring.conflict import Conflict
from service.scoring.deleveraging import Deleveraging
from service.scoring.direction import Direction, Momentum, Side, Strength, transition
from service.scoring.elr import Leverage, oi_changes
from service.scoring.modes import Modes
from service.scoring.regime import Flush, fragility, fragility_2, provisional, regime
from service.scoring.sizing import risk_factors, risk_multiplier, size_fraction, stop_multiplier
from service.state import Stateful

TTL_MS = 30_000
TICK_S = 10
FRAGILITY_HORIZON_H = 24  # fragility ranks the chance of a deep fall of open interest within a day
WEIGHTS_VERSION = "static-1"
NO_RECORD = TrackRecord()


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What a tick comes to before it is put into words."""

    gate: float
    windows: list[WindowScore]
    strengths: Sequence[tuple[str, float | None]]
    sides: list[Side | None]
    composite: float | None
    factors: confidence.Factors
    abstain: list[str]
    conflict_windows: tuple[str, ...]
    side: Side | None
    changed: dict[str, str] | None
    momentum: str
    modes: dict[str, Any]


class Scorer(Stateful):
    """The score of one symbol over time; every tick once, in time order.

    ``exchanges``: venue -> exchange in configuration order. ``denominator``: the first of what ELR divides by, None if
    unknown; more come with :meth:`denominate`. ``model``: of ``p_deleveraging``; None: the one that comes with us.
    """

    STATE = (
        "_alerts",
        "_conflict",
        "_deleveraging",
        "_direction",
        "_flush",
        "_leverage",
        "_modes",
        "_momentum",
        "_strengths",
        "_window_directions",
    )
    LATER: ClassVar = frozenset({"_deleveraging"})
    __slots__ = (*STATE, "_model", "_windows", "symbol")

    def __init__(
        self,
        symbol: str,
        exchanges: Mapping[str, str],
        denominator: Denominator | None,
        model: Model | None = None,
        rules: Mapping[str, Rule] = DEFAULT_RULES,
    ) -> None:
        self.symbol = symbol
        self._model = packaged() if model is None else model
        self._leverage = Leverage(symbol, exchanges, denominator)
        self._alerts = Alerts(symbol, rules)
        self._conflict = Conflict()
        self._deleveraging = Deleveraging()
        self._direction = Direction()
        self._flush = Flush()
        self._modes = Modes()
        self._momentum = Momentum()
        self._strengths = [Strength() for _ in WEIGHTS]
        self._window_directions = [Direction() for _ in WEIGHTS]
        self._windows: list[WindowScore] = []  # of the last tick

    def denominate(self, item: Denominator) -> None:
        """Divide by what ``item`` carries from the next tick on; what it does not carry stays."""
        self._leverage.denominate(item)

    def fill(self, hours: Sequence[tuple[int, float]]) -> None:
        """(UTC hour in ms, ln_oi_index of it) of the month before (``SymbolIndicators.fill``), for daily means."""
        self._leverage.fill(hours)

    def experts(self) -> dict[str, dict[str, float | None]]:
        """What each component, and the fixed formula as ``static``, said at the last tick, by window; None: nothing."""
        return {
            scored.window.name: {part.id: said.score for part, said in scored.judged} | {"static": scored.static}
            for scored in self._windows
        }

    def keep_denominators(self, sources: Sequence[str]) -> None:
        """Forget the bases of other sources than these."""
        self._leverage.keep_denominators(sources)

    def follow(self, readings: Readings, weights: Weights | None = None) -> None:
        """The past without a word: leaves exactly the state that :meth:`score` with ``backfill`` leaves.

        Percentiles and the levels that no score is made of may be missing (``SymbolIndicators.read(ranks=False)``).
        """
        self._judge(readings, weights)
        self._deleveraging.forget()
        self._alerts.pause()

    def _judge(self, readings: Readings, weights: Weights | None) -> _Verdict:
        """Score and state of this tick: everything that goes on from tick to tick but the alerts."""
        sample, ts = readings.consensus, readings.ts
        quorum = sample.quorum
        g = gate(readings.elr.z if quorum else None)

        shares = {} if weights is None else weights.windows
        windows = [score_window(window, readings, g, shares.get(window.name)) for window in readings.windows]
        self._windows = windows
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
        conflict_windows = self._conflict.update(scores, ts)
        before = self._direction.side
        side = _side(self._direction, None if abstain else composite, quorum)
        self._flush.update(readings)
        self._leverage.observe(readings)
        return _Verdict(
            gate=g,
            windows=windows,
            strengths=strengths,
            sides=sides,
            composite=composite,
            factors=factors,
            abstain=abstain,
            conflict_windows=conflict_windows,
            side=side,
            changed=transition(before, side),
            momentum=self._momentum.update(composite),
            modes=self._modes.update(scores, readings),
        )

    def score(
        self,
        readings: Readings,
        backfill: bool = False,
        weights: Weights | None = None,
        record: TrackRecord = NO_RECORD,
    ) -> tuple[SignalBody, list[dict[str, Any]]]:
        """The signal body of this tick, keys in the order of the feed's contract, and the alerts it raises or clears.

        Without quorum nothing is claimed. ``backfill``: the past; it raises no alert. A back-filled minute counts six
        ticks in the ranks. ``weights``: learned ones, None for the fixed formula. ``record``: from the
        scoreboard.
        """
        verdict = self._judge(readings, weights)
        sample, ts = readings.consensus, readings.ts
        quorum = sample.quorum
        windows, composite, factors = verdict.windows, verdict.composite, verdict.factors
        side, momentum, changed = verdict.side, verdict.momentum, verdict.changed
        abstain, conflict_windows = verdict.abstain, verdict.conflict_windows
        state, reasons = body.judge_status(readings)
        conflict = len(conflict_windows) > 0
        tradeable = state == "ok" and not abstain and not conflict
        named = regime(readings, self._flush)
        fragile = fragility(readings)
        falling = self._flush.falling(readings)
        scored_windows = sum(scored.score is not None for scored in windows)
        strength = over_windows(verdict.strengths)
        chance = self._deleveraging.told(readings, self._model, record, backfill)
        raised: list[dict[str, Any]] = []
        if backfill:
            self._alerts.pause()
        else:
            raised = self._alerts.update(
                Situation(
                    readings=readings,
                    status=state,
                    flushing=self._flush.flushing,
                    forced=self._flush.forced,
                    regime=named,
                    conflict_windows=conflict_windows,
                    conflict_since=self._conflict.since,
                    transition=changed,
                    score=composite,
                    confidence=factors.confidence,
                    flush_falling=falling,
                    events=record.events,
                    direction=side,
                    momentum=momentum,
                )
            )
        spike = self._alerts.spike
        risk = risk_factors(factors, chance["oi_5"], chance["base_rate"], spike is not None)

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
            "strength": strength,
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
                scored.window.name: body.window(scored, rank, factors.of_window, window_side)
                for scored, (_, rank), window_side in zip(windows, verdict.strengths, verdict.sides, strict=True)
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
            "p_hit": record.p_hit,
            "modes": verdict.modes,
            "sizing": {
                "size_fraction": size_fraction(record.p_hit, factors.confidence, fragile, tradeable, side),
                "stop_multiplier": stop_multiplier(
                    conflict, momentum, factors.agreement, scored_windows, side, strength
                ),
                "risk_multiplier": risk_multiplier(risk, tradeable),
                "risk_factors": risk._asdict(),
            },
            "weights_version": WEIGHTS_VERSION if weights is None else weights.version,
            "gate": verdict.gate,
            "p_hit_n": record.n,
            "excluded": list(sample.excluded),
            "flush": self._flush.told(),
            "long_short": body.long_short(sample),
            "backfilled_until": readings.backfilled_until,
            "volatility_24h": readings.volatility_24h if quorum else None,
            "fragility_2": fragility_2(readings),
            "p_deleveraging": chance,
            "flush_falling": falling,
            "flushed_1h": self._flush.flushed_1h(readings),
            "provisional": provisional(readings.elr),
            "spike": spike,
            "month": body.told_month(readings.month),
            "oi_change": {name: growth(change) for name, change in oi_changes(readings).items()},
        }
        return signal, raised

    def reanchor(self, delta_ms: int) -> None:
        """The service clock's anchor moved: shift every stored time by ``delta_ms`` rounded to whole seconds."""
        shift_ms = round(delta_ms / 1000) * 1000
        for strength in self._strengths:
            strength.reanchor(delta_ms)
        self._alerts.reanchor(shift_ms)
        self._conflict.reanchor(shift_ms)
        self._deleveraging.reanchor(shift_ms)
        self._flush.reanchor(shift_ms)
        self._leverage.reanchor(shift_ms)
        self._modes.reanchor(shift_ms)


def _side(direction: Direction, score: float | None, quorum: bool) -> Side | None:
    if quorum:
        return direction.update(score)
    direction.lose()
    return None
