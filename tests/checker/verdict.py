"""Section 7 of docs/signal.md: the whole body of a signal message, one symbol."""

from __future__ import annotations

import math
from typing import Any

from service.model import Denominator

from .alerts import Alerts
from .bases import Bases, Days
from .components import (
    WINDOW_WEIGHTS,
    Direction,
    Strength,
    agreement,
    components_of,
    gate,
    kind_mean,
    opposite_windows,
    positioning,
    sign,
    ten_digits,
    weighted_mean,
    window_score,
)
from .consensus import Sample
from .deleveraging import Deleveraging, fragility_2_of
from .flows import FlowReading
from .flush import Flush
from .history import HOUR, WINDOWS, History, Level, Window
from .leverage import elr_entries, percentile_words, provisional
from .numbers import Loose, OneOf, slack_of

MODES = {
    "scalp": (30_000, {"1m": 2 / 3, "5m": 1 / 3}),
    "day": (60_000, {"1m": 0.2, "5m": 0.5, "1h": 0.3}),
    "swing": (300_000, {"1h": 0.25, "4h": 0.35, "24h": 0.4}),
}
LONG_WINDOWS = {"4h": 4, "24h": 24}
ABSTAIN_CONFIDENCE, ABSTAIN_FACTOR = 0.30, 0.5
LEVELS = ("elr", "funding", "funding_abs", "premium", "spread", "volatility", "spend")


def risk_of(factors: dict[str, float], chance: dict[str, Any], spiking: bool, tradeable: bool) -> dict[str, Any]:
    """``risk_multiplier`` and its factors."""
    measured = factors["freshness"] * factors["coverage"] * factors["warmup"] * factors["continuity"]
    data = min(1.0, max(0.0, (measured - 0.3) / 0.4))
    likely, usual = chance["oi_5"], chance["base_rate"]
    falls: float = 1.0 if likely is None else min(1.0, usual / likely)
    spike = 0.6 if spiking else 1.0
    if isinstance(likely, Loose):  # the chance is of a percentile, which is binned
        low, high = (min(1.0, usual / max(likely + way * likely.slack, 1e-9)) for way in (1, -1))
        slack = max(abs(falls - low), abs(falls - high))
        multiplier: float = Loose(data * min(falls, spike), data * slack)
        falls = Loose(falls, slack)
    else:
        multiplier = data * min(falls, spike)
    return {
        "risk_multiplier": multiplier if tradeable else 0.0,
        "risk_factors": {"data": data, "deleveraging": falls, "spike": spike},
    }


def stop_of(strength: float | None) -> float:
    """Of a direction that two windows agree on. The strength is binned: it may be on either side of the threshold."""
    if strength is None:
        return 1.0
    found = 0.8 if strength >= 0.5 else 1.0
    low, high = strength - slack_of(strength), strength + slack_of(strength)
    return OneOf(found, (0.8, 1.0)) if low < 0.5 <= high else found


class Verdict:
    """One symbol's scorer: what it remembers from tick to tick is listed in ``__init__``."""

    def __init__(self, symbol: str, exchanges: dict[str, str], denominator: Denominator | None) -> None:
        self.symbol = symbol
        self.exchanges = exchanges
        self.bases = Bases(denominator)
        self.days, self.reserve_days = Days(), Days()
        self.alerts = Alerts(symbol)
        self.strengths = {name: Strength() for name, _ in WINDOWS}
        self.direction = Direction()
        self.window_directions = {name: Direction() for name, _ in WINDOWS}
        self.mode_directions = {name: Direction() for name in MODES}
        self.modes: dict[str, dict[str, Any]] = {
            name: {"bias": None, "score": None, "as_of": None, "windows": unread(name)} for name in MODES
        }
        self.last_direction: str | None = None
        self.sizes: list[float] = []  # abs(composite) of the ticks in a row
        self.conflict = False
        self.flush = Flush()
        self.pending: tuple[int, float, float] | None = None  # ts, price, score
        self.deleveraging = Deleveraging()
        self.hits = 0
        self.outcomes = 0

    def body(
        self, sample: Sample, history: History, ts: int, backfill: bool
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        no_data = not sample.quorum
        levels = {name: history.level(name, ts) for name in LEVELS}
        if no_data:
            windows = {name: blank_window(name, seconds) for name, seconds in WINDOWS}
        else:
            windows = {name: history.window(ts, name, seconds) for name, seconds in WINDOWS}
        ready = [name for name, _ in WINDOWS if windows[name].ready]
        flows = {name: FlowReading() for name, _ in WINDOWS}
        flows |= {name: history.flows.read(sample, name, windows[name].seconds) for name in ready}

        g = gate(levels["elr"].z)
        components = {name: components_of(windows[name], flows[name], levels, sample) for name in windows}
        trend = {name: kind_mean(components[name], "trend", "pressure") for name in windows}
        contra = {name: kind_mean(components[name], "contrarian") for name in windows}
        scores = {name: window_score(trend[name], contra[name], g) for name in windows}
        strengths = {name: self.strengths[name].of(ts, scores[name], sample.step_s == 60) for name in windows}
        composite = weighted_mean(scores, WINDOW_WEIGHTS)

        factors = {
            "freshness": ten_digits(sample.freshness if sample.freshness is not None else 0.0),
            "coverage": ten_digits(sample.coverage),
            "warmup": ten_digits(sum(WINDOW_WEIGHTS[name] for name in ready)),
            "agreement": ten_digits(agreement(scores)),
            "continuity": ten_digits(history.continuity(ts)),
        }
        confidence = 1.0
        for factor in factors.values():
            confidence *= factor
        abstain_reasons = why_abstain(confidence, factors, ready, composite)
        abstain = len(abstain_reasons) > 0

        if opposite_windows(scores, 0.15):
            self.conflict = True
        conflict_windows = opposite_windows(scores, 0.10) if self.conflict else []
        self.conflict = len(conflict_windows) > 0

        direction, transition = self._direction(composite, abstain, no_data)
        momentum = self._momentum(composite)
        liquidated = sum(history.flows.liquidated.total(ts, 3600))
        self.flush.of(sample, windows, history.change(ts, 4), levels["volatility"].value, liquidated)
        falling = self.flush.falling(sample, windows)
        flushed_1h = self.flush.within_the_hour(sample, windows)
        flushing = self.flush.said is not None
        change_24h = history.change(ts, 24)
        regime = None if no_data else self._regime(flushing, levels, change_24h)
        fragility = fragility_of(levels)
        volatility_24h = history.volatility_24h(ts)
        p_hit = self._outcome(ts, sample.price, composite, direction, backfill)

        warming = [] if no_data or windows["1h"].ready else ["warming:1h"]
        warming += [] if no_data or history.statistics_ready(ts) else ["warming:statistics"]
        if no_data:
            status = "no_data"
        elif warming:
            status = "warming"
        elif sample.coverage < 0.8 or sample.trouble:
            status = "degraded"
            warming += ["coverage"] if sample.coverage < 0.8 else []  # a reason code, not a warm-up
        else:
            status = "ok"
        tradeable = status == "ok" and not abstain and not self.conflict

        window_bodies = {}
        for name, window in windows.items():
            side = self.window_directions[name].of(scores[name])
            base = factors["freshness"] * factors["coverage"] * factors["continuity"]
            window_bodies[name] = {
                "ready": window.ready,
                "score": scores[name],
                "strength": strengths[name],
                "confidence": base if window.ready else 0.0,
                "direction": None if no_data else side,
                "return": window.ret,
                "oi_change": window.oi_change,
                "components": components[name],
                "trend": trend[name],
                "contrarian": contra[name],
                "backfilled": window.backfilled,
                "taker": flows[name].taker,
                "liquidated": flows[name].liquidated,
            }
        self._modes(ts, scores, no_data, history)
        changes = {
            "1h": windows["1h"].oi_change,
            "4h": history.change(ts, 4),
            "24h": change_24h,
            "7d": history.change_7d(ts),
        }
        size = 0.0
        if tradeable and direction in ("long", "short") and fragility is not None:
            edge = max(0.0, 2 * p_hit - 1) * confidence
            size = Loose(edge * (1 - 0.5 * fragility), edge * 0.5 * slack_of(fragility))
        counted = sum(1 for score in scores.values() if score is not None)
        stop = 1.0
        if self.conflict or momentum == "decelerating":
            stop = 1.5
        elif factors["agreement"] == 1.0 and counted >= 2 and direction in ("long", "short"):
            stop = stop_of(weighted_mean(dict(strengths), WINDOW_WEIGHTS))

        chance = self.deleveraging.of(ts, sample.quorum, levels["elr"], volatility_24h, backfill)
        values = {"forced": self.flush.said["forced"], "falling": falling} if self.flush.said is not None else None
        alerts = self.alerts.of(
            ts,
            status,
            levels,
            flushing,
            regime,
            self.conflict,
            transition,
            not backfill,
            values,
            direction,
            composite,
            momentum,
        )
        spike = self.alerts.spike
        body: dict[str, Any] = {
            "symbol": self.symbol,
            "ts": ts,
            "as_of": sample.as_of,
            "ttl_ms": 30_000,
            "status": status,
            "reasons": sample.trouble + abstain_reasons + warming + (["quorum"] if no_data else []),
            "abstain": abstain,
            "tradeable": tradeable,
            "score": composite,
            "strength": weighted_mean(dict(strengths), WINDOW_WEIGHTS),
            "confidence": confidence,
            "direction": direction,
            "transition": transition,
            "momentum": momentum,
            "conflict": self.conflict,
            "conflict_windows": conflict_windows,
            "regime": regime,
            "fragility": fragility,
            "fragility_horizon_h": 24,
            "windows": window_bodies,
            "elr": elr_entries(
                self.symbol,
                self.bases,
                self.days,
                self.reserve_days,
                self.exchanges,
                sample,
                levels,
                changes,
                history.backfilled_until(ts),
                None if history.month_told(ts) is None or history.month is None else history.month[1],
                ts,
            ),
            "market": market_of(sample),
            "confidence_factors": factors,
            "p_hit": p_hit,
            "modes": {name: dict(mode) for name, mode in self.modes.items()},
            "sizing": {"size_fraction": size, "stop_multiplier": stop},  # and risk, below
            "weights_version": "static-1",
            "gate": g,
            "p_hit_n": self.outcomes,
            "excluded": [venue for venue in sample.last_oi if venue not in sample.fresh_oi],
            "flush": None if self.flush.said is None else dict(self.flush.said),
            "long_short": [
                {"venue": venue, "kind": kind, "long_share": share, "as_of": at}
                for venue, kind, share, at in sample.long_short
            ],
            "backfilled_until": history.backfilled_until(ts),
            "volatility_24h": volatility_24h,
            "fragility_2": fragility_2_of(levels),
            "p_deleveraging": chance,
            "flush_falling": falling,
            "flushed_1h": flushed_1h,
            "provisional": provisional(levels["elr"]),
            "spike": spike,
            "month": history.month_told(ts),
            "oi_change": {name: None if x is None else math.exp(x) - 1 for name, x in changes.items()},
        }
        body["sizing"] |= risk_of(factors, chance, spike is not None, tradeable)
        return body, alerts

    def _direction(
        self, composite: float | None, abstain: bool, no_data: bool
    ) -> tuple[str | None, dict[str, str] | None]:
        direction: str | None = self.direction.of(composite, neutral=abstain)
        if no_data:
            direction = None
        before, self.last_direction = self.last_direction, direction
        if before is None or direction is None or before == direction:
            return direction, None
        return direction, {"from": before, "to": direction}

    def _momentum(self, composite: float | None) -> str:
        if composite is None:
            self.sizes = []
            return "steady"
        self.sizes = [*self.sizes[-3:], abs(composite)]
        if len(self.sizes) < 4:
            return "steady"
        a, b, c, d = self.sizes
        if a < b < c < d:
            return "accelerating"
        return "decelerating" if a > b > c > d else "steady"

    def _regime(self, flushing: bool, levels: dict[str, Level], change_24h: float | None) -> str | None:
        if flushing:
            return "flush"
        if self.flush.reset is not None:
            return "reset"
        percentile, z = levels["elr"].percentile, levels["funding"].z
        if percentile is None:
            return None

        def regime_at(share: float) -> str:
            if share >= 0.8:
                if z is not None and z >= 2:
                    return "crowded_longs"
                if z is not None and z <= -2:
                    return "crowded_shorts"
                return "loaded"
            if change_24h is not None and math.exp(change_24h) - 1 >= 0.03:
                return "building"
            return "calm"

        return percentile_words(percentile, regime_at)

    def _outcome(
        self, ts: int, price: float | None, composite: float | None, direction: str | None, backfill: bool
    ) -> float:
        if not backfill:
            if self.pending is not None and ts > self.pending[0] + HOUR + 60_000:
                self.pending = None  # no price when it was due
            if self.pending is not None and price is not None and ts >= self.pending[0] + HOUR:
                moved = sign(math.log(price / self.pending[1]))
                if moved != 0:
                    self.outcomes += 1
                    self.hits += 1 if moved == sign(self.pending[2]) else 0
                self.pending = None
            if self.pending is None and direction in ("long", "short"):
                assert price is not None
                assert composite is not None
                self.pending = (ts, price, composite)
        if self.outcomes == 0:
            return 0.5
        return 0.5 + self.outcomes / (self.outcomes + 400) * (self.hits / self.outcomes - 0.5)

    def _modes(self, ts: int, scores: dict[str, float | None], no_data: bool, history: History) -> None:
        for name, (grid, weights) in MODES.items():
            if ts % grid != 0:
                continue
            read: dict[str, dict[str, Any]] = {}
            for window, weight in weights.items():
                if window in LONG_WINDOWS:
                    reading = history.long_window(ts, LONG_WINDOWS[window])
                    judged = positioning(reading)
                    read[window] = {
                        "weight": weight,
                        "score": judged["score"],
                        "return": reading.ret,
                        "oi_change": reading.oi_change,
                        "z": judged["z"],
                        "quadrant": judged["quadrant"],
                    }
                else:
                    read[window] = {"weight": weight, "score": scores[window]}
            score = weighted_mean({window: said["score"] for window, said in read.items()}, weights)
            bias = self.mode_directions[name].of(score)
            self.modes[name] = {"bias": None if no_data else bias, "score": score, "as_of": ts, "windows": read}


def unread(mode: str) -> dict[str, dict[str, Any]]:
    """The windows of a mode that was never renewed."""
    long: dict[str, Any] = {"return": None, "oi_change": None, "z": {"return": None, "oi": None}, "quadrant": None}
    return {
        name: {"weight": weight, "score": None} | (long if name in LONG_WINDOWS else {})
        for name, weight in MODES[mode][1].items()
    }


def blank_window(name: str, seconds: int) -> Window:
    return Window(name, seconds, False, None, None, None, None, None, None)


def why_abstain(confidence: float, factors: dict[str, float], ready: list[str], composite: float | None) -> list[str]:
    reasons = []
    if confidence < ABSTAIN_CONFIDENCE:
        reasons.append("low_confidence")
    reasons += [f"low_{name}" for name in ("freshness", "coverage", "warmup") if factors[name] < ABSTAIN_FACTOR]
    if not ready:
        reasons.append("no_window_ready")
    if composite is None:
        reasons.append("no_score")
    return reasons


def fragility_of(levels: dict[str, Level]) -> float | None:
    parts = [levels[name].percentile for name in ("elr", "funding_abs", "volatility")]
    known = [part for part in parts if part is not None]
    if len(known) < 3:
        return None
    return Loose(sum(known) / 3, sum(slack_of(part) for part in known) / 3)


def market_of(sample: Sample) -> dict[str, Any]:
    premium, oi_usd = None, None
    if sample.price is not None and sample.index is not None:
        premium = sample.price / sample.index - 1
    if sample.price is not None and sample.oi_coins is not None:
        oi_usd = sample.oi_coins * sample.price
    return {
        "price": sample.price,
        "index": sample.index,
        "premium": premium,
        "funding_8h": sample.funding_8h,
        "oi_coins": sample.oi_coins,
        "oi_usd": oi_usd,
        "oi_coverage": sample.coverage if sample.quorum else None,
        "venues_fresh": len(sample.fresh_oi),
        "venues_total": sample.venues_total,
    }
