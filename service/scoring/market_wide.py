"""The signal of the market as a whole (docs/signal.md section 7a): how loaded all symbols are together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import Any

from service.deleveraging import Model
from service.formulas import growth
from service.model import Readings, SignalBody, TrackRecord
from service.scoring.alerts import DEFAULT_RULES, SPIKE_LEAST_H, Days, Rule, alert_body, count_tick, has_held
from service.scoring.body import LEAST_COVERAGE, Status, told_month
from service.scoring.deleveraging import Deleveraging
from service.scoring.elr import oi_changes
from service.scoring.regime import Flush, provisional, regime
from service.state import Plain, Stateful
from service.statistics import fold

TTL_MS = 30_000
FLUSHING_SHARE = 0.5  # of open interest in symbols that flush: the market does, whatever its aggregate says
# The form is fitted to single symbols, and the record judges those: how good it is of all together nobody knows.
UNJUDGED = TrackRecord(evidence="not_judged", evidence_10="not_judged")
STATES: dict[str, Callable[[SignalBody], bool]] = {
    "spiking": lambda body: body["spike"] is not None,
    "crowded_longs": lambda body: bool(body["regime"] == "crowded_longs"),
    "crowded_shorts": lambda body: bool(body["regime"] == "crowded_shorts"),
    "loaded": lambda body: bool(body["regime"] == "loaded"),
    "flushing": lambda body: body["flush"] is not None,
}


class MarketScorer(Stateful):
    """``_raised``: the alerts that stand. ``_days``: as of :class:`~service.scoring.alerts.Alerts`."""

    STATE = ("_days", "_deleveraging", "_flush", "_held", "_raised")
    __slots__ = (*STATE, "_configured", "_model", "_rules")

    def __init__(self, configured: int, model: Model, rules: Mapping[str, Rule] = DEFAULT_RULES) -> None:
        self._rules = rules
        self._held: dict[str, int] = {}  # alert with a minimum hold -> since when its condition holds
        self._configured = configured
        self._model = model
        self._deleveraging = Deleveraging()
        self._flush = Flush()
        self._raised: list[str] = []
        self._days: Days = []

    def follow(self, readings: Readings) -> None:
        """The past without a word: leaves the state that :meth:`score` with ``backfill`` leaves."""
        self._flush.update(readings)
        self._deleveraging.forget()
        self._held.clear()

    def score(
        self, readings: Readings, symbols: Sequence[Readings], bodies: Sequence[SignalBody], backfill: bool
    ) -> tuple[SignalBody, list[dict[str, Any]]]:
        """The body of this tick, and the alerts it raises or clears. ``symbols``, ``bodies``: of the same tick, in
        configuration order. The scoreboard does not judge this chance: its base rates are the model's own."""
        self._flush.update(readings)
        sample, quorum = readings.consensus, readings.consensus.quorum
        chance = self._deleveraging.told(readings, self._model, UNJUDGED, backfill)
        counted = [
            (item, body, body["market"]["oi_usd"])
            for item, body in zip(symbols, bodies, strict=True)
            if body["market"]["oi_usd"] is not None
        ]
        ranks = [(item.elr.percentile, usd) for item, _, usd in counted]
        rank = _mean(ranks)
        shares = {name: _share(counted, holds) for name, holds in STATES.items()}
        state, reasons = _status(readings)
        level = readings.elr
        body: SignalBody = {
            "symbol": readings.symbol,
            "ts": readings.ts,
            "as_of": sample.as_of,
            "ttl_ms": TTL_MS,
            "status": state,
            "reasons": reasons,
            "symbols": {
                "configured": self._configured,
                "counted": len(counted),
                "provisional": sum(body["provisional"] for _, body, _ in counted),  # integers
            },
            "oi_usd": fold([usd for _, _, usd in counted]) if quorum else None,
            "coverage": sample.coverage if quorum else None,
            "leverage_rank": rank if quorum else None,
            "dispersion": _spread(ranks, rank) if quorum and rank is not None else None,
            "fragility": _mean([(body["fragility"], usd) for _, body, usd in counted]) if quorum else None,
            "fragility_2": _mean([(body["fragility_2"], usd) for _, body, usd in counted]) if quorum else None,
            "level": {
                "percentile": level.percentile if quorum else None,
                "z": level.z if quorum else None,
                "n": level.n,
                "horizon_h": level.horizon_h,
            },
            "oi_change": {name: growth(change) for name, change in oi_changes(readings).items()},
            "funding_8h": sample.funding_8h if quorum else None,
            "regime": regime(readings, self._flush),
            "volatility_24h": readings.volatility_24h if quorum else None,
            "p_deleveraging": chance,
            "flushing": self._flush.flushing or _held(shares["flushing"]) >= FLUSHING_SHARE,
            "flush": self._flush.told(),
            "flush_falling": self._flush.falling(readings),
            "flushed_1h": self._flush.flushed_1h(readings),
            "shares": shares if quorum else dict.fromkeys(shares),
            "provisional": provisional(level),
            "month": told_month(readings.month),
        }
        if backfill:
            self._held.clear()
        return body, [] if backfill else self._alerts(readings, body)

    def _alerts(self, readings: Readings, body: SignalBody) -> list[dict[str, Any]]:
        self._days = count_tick(self._days, readings.ts)
        if body["status"] in ("no_data", "warming"):
            self._held.clear()
            return []
        level, flushing = readings.elr, body["shares"]["flushing"]
        found: list[dict[str, Any]] = []
        if level.percentile is not None:
            rule = self._rules["market_loaded"]
            stands = level.percentile >= (rule.clear_percentile if "market_loaded" in self._raised else rule.percentile)
            stands = stands and ("market_loaded" in self._raised or level.reaches(SPIKE_LEAST_H))
            values = {
                "percentile": level.percentile,
                "leverage_rank": body["leverage_rank"],
                "dispersion": body["dispersion"],
                "provisional": body["provisional"],
            }
            text = "leverage of the market is no longer unusual"
            if stands:
                text = (
                    f"open interest of all symbols together is above {level.percentile:.0%} of its last "
                    f"{level.horizon_h / 24:.0f} days; it is not a direction"
                )
            self._set(readings, found, "market_loaded", stands, text, values)
        text = "the flush of the market is over"
        if body["flushing"]:
            text = f"open interest falls across the market: symbols with {_held(flushing):.0%} of it are in a flush"
        values = {"flushing": flushing, "oi_change_1h": body["oi_change"]["1h"], "falling": body["flush_falling"]}
        self._set(readings, found, "market_flush", body["flushing"], text, values)
        return found

    def _set(
        self, readings: Readings, out: list[dict[str, Any]], alert: str, stands: bool, text: str, values: dict[str, Any]
    ) -> None:
        stood, rule = alert in self._raised, self._rules[alert]
        if not stood:
            stands = has_held(self._held, alert, stands, readings.ts, rule)
        if stands == stood:
            return
        if stands:
            self._raised.append(alert)
        else:
            self._raised.remove(alert)
        if rule.mute:
            return
        state = "raised" if stands else "cleared"
        out.append(alert_body(readings.symbol, readings.ts, alert, state, text, values, self._days, rule))

    def reanchor(self, shift_ms: int, days: int) -> None:
        self._deleveraging.reanchor(shift_ms)
        self._flush.reanchor(shift_ms)
        self._held = {alert: since + shift_ms for alert, since in self._held.items()}
        self._days = [(day + days, ticks, counts) for day, ticks, counts in self._days]

    def load(self, plain: Plain) -> None:
        super().load(plain)
        self._days = [(day, ticks, counts) for day, ticks, counts in self._days]


def _status(readings: Readings) -> tuple[Status, list[str]]:
    """As of a symbol, of what the aggregate has: its premium is no number."""
    sample = readings.consensus
    if not sample.quorum:
        return "no_data", ["quorum"]
    warming = [f"warming:{window.name}" for window in readings.windows if window.name == "1h" and not window.ready]
    if readings.elr.percentile is None:
        warming.append("warming:statistics")
    if warming:
        return "warming", warming
    return ("degraded", ["coverage"]) if sample.coverage < LEAST_COVERAGE else ("ok", [])


def _mean(values: Sequence[tuple[float | None, float]]) -> float | None:
    """Weighted, of what is known."""
    known = [(value, weight) for value, weight in values if value is not None]
    weight = fold([weight for _, weight in known])
    return fold([value * weight for value, weight in known]) / weight if weight > 0.0 else None


def _spread(values: Sequence[tuple[float | None, float]], mean: float) -> float | None:
    """Weighted standard deviation."""
    variance = _mean([(None if value is None else (value - mean) ** 2, weight) for value, weight in values])
    return None if variance is None else sqrt(variance)


def _share(
    counted: Sequence[tuple[Readings, SignalBody, float]], holds: Callable[[SignalBody], bool]
) -> dict[str, float] | None:
    """Of the counted symbols, by number and by open interest; None without any."""
    whole = fold([usd for _, _, usd in counted])
    if whole <= 0.0:
        return None
    those = [usd for _, body, usd in counted if holds(body)]
    return {"symbols": len(those) / len(counted), "oi": fold(those) / whole}


def _held(share: Mapping[str, float] | None) -> float:
    """How much of the open interest is in a state."""
    return 0.0 if share is None else share["oi"]
