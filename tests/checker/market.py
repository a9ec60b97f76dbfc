"""``signal.MARKET`` from docs/signal.md section 7a: all symbols as one, from their samples and bodies."""

from __future__ import annotations

import math
from typing import Any

from service.model import PastHour

from .alerts import Often, told
from .consensus import Sample
from .deleveraging import Deleveraging
from .flush import Flush
from .history import DAY, WINDOWS, History, Level
from .leverage import percentile_words, provisional
from .numbers import Either, Loose, slack_of

LEVELS = ("elr", "funding", "funding_abs", "premium", "spread", "volatility")
STATES = ("spiking", "crowded_longs", "crowded_shorts", "loaded", "flushing")


def weighted(values: list[tuple[float | None, float]]) -> float | None:
    """The mean over what is known; as loose as what it is made of."""
    known = [(value, weight) for value, weight in values if value is not None]
    whole = sum(weight for _, weight in known)
    if whole <= 0:
        return None
    slack = sum(slack_of(value) * weight for value, weight in known) / whole
    return Loose(sum(value * weight for value, weight in known) / whole, slack)


class MarketChecker:
    """What it remembers from sample to sample and from tick to tick is listed in ``__init__``."""

    def __init__(self, configured: int) -> None:
        self.configured = configured
        self.history = History()
        self.flush = Flush()
        self.deleveraging = Deleveraging()
        self.last: dict[str, tuple[int, float, float, float]] = {}  # ts, usd, ln price, ln_oi_index
        self.ln_price = self.ln_oi = 0.0
        self.before: int | None = None
        self.raised: set[str] = set()
        self.often = Often()
        self.undecided: list[int] = []  # ticks at which market_loaded depends on how the percentile was binned

    def sample(self, samples: dict[str, Sample]) -> None:
        any_one = next(iter(samples.values()))
        ts = any_one.ts
        counted = {}
        steps = []
        for symbol, item in samples.items():
            if not item.quorum:
                continue
            assert item.price is not None
            assert item.oi_coins is not None
            usd, ln_price = item.oi_coins * item.price, math.log(item.price)
            was = self.last.get(symbol)
            if was is not None and was[0] == self.before:
                steps.append((was[1], ln_price - was[2], item.ln_oi_index - was[3]))
            self.last[symbol] = ts, usd, ln_price, item.ln_oi_index
            counted[symbol] = item, usd
        whole = sum(weight for weight, _, _ in steps)
        if whole > 0:
            self.ln_price += sum(weight * step for weight, step, _ in steps) / whole
            self.ln_oi += sum(weight * step for weight, _, step in steps) / whole
        self.before = ts
        usd = sum(held for _, held in counted.values())
        known = sum(held for at, held, _, _ in self.last.values() if ts - at < DAY)
        coverage = usd / known if known > 0 else 0.0
        quorum = usd > 0 and coverage >= 0.5
        funded = [(item.funding_8h, held) for item, held in counted.values() if item.funding_8h is not None]
        price = math.exp(self.ln_price)
        made = Sample(
            ts=ts,
            step_s=any_one.step_s,
            quorum=quorum,
            price=price if quorum else None,
            index=None,
            funding_8h=sum(r * held for r, held in funded) / sum(held for _, held in funded) if funded else None,
            funding_spend=None,
            funding_spread=None,
            outlier_sign=0,
            oi_coins=usd / price if quorum else None,
            ln_oi_index=self.ln_oi,
            oi_receipts=sum(item.oi_receipts for item, _ in counted.values()),
            full_set=len(counted) == len(samples) and all(item.full_set for item, _ in counted.values()),
            coverage=coverage,
            freshness=None,
            as_of=min((item.as_of for item, _ in counted.values() if item.as_of is not None), default=None),
            trouble=[],
            venues_total=0,
            fresh_oi={},
            rates={},
            last_oi={},
            counted={},
        )
        self.history.observe(made)

    def fill(self, rows: tuple[PastHour, ...], venues: tuple[str, ...]) -> None:
        self.history.fill(rows, venues)

    def tick(
        self, ts: int, symbols: dict[str, dict[str, Any]], backfill: bool
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        history = self.history
        history.complete_minutes(ts)
        sample = history.current(ts)
        history.update_scales(ts, sample.step_s == 60)
        levels = {name: history.level(name, ts) for name in LEVELS}
        windows = {name: history.window(ts, name, seconds) for name, seconds in WINDOWS}
        self.flush.of(sample, windows, history.change(ts, 4), levels["volatility"].value, 0.0)
        known = sample.quorum
        volatility = history.volatility_24h(ts)
        chance = self.deleveraging.of(ts, known, levels["elr"], volatility, backfill)
        chance |= {"evidence": "not_judged", "evidence_10": "not_judged"}
        counted = [body for body in symbols.values() if body["market"]["oi_usd"] is not None]
        held = [body["market"]["oi_usd"] for body in counted]
        ranks = [(body["elr"][0]["percentile"], usd) for body, usd in zip(counted, held, strict=True)]
        mean = weighted(ranks)
        spread = weighted([(None if rank is None else (rank - (mean or 0.0)) ** 2, usd) for rank, usd in ranks])
        slack = max((slack_of(rank) for rank, _ in ranks), default=0.0)
        shares = {state: share(state, counted, held) for state in STATES}
        flushing = self.flush.said is not None or (shares["flushing"] or {"oi": 0.0})["oi"] >= 0.5
        warming = [] if windows["1h"].ready else ["warming:1h"]
        warming += ["warming:statistics"] if levels["elr"].percentile is None else []
        if not known:
            status, reasons = "no_data", ["quorum"]
        elif warming:
            status, reasons = "warming", warming
        else:
            status, reasons = ("degraded", ["coverage"]) if sample.coverage < 0.8 else ("ok", [])
        changes = {
            "1h": windows["1h"].oi_change if known else None,
            "4h": history.change(ts, 4),
            "24h": history.change(ts, 24),
            "7d": history.change_7d(ts),
        }
        elr = levels["elr"]
        fragile = [(body["fragility"], usd) for body, usd in zip(counted, held, strict=True)]
        fragile_2 = [(body["fragility_2"], usd) for body, usd in zip(counted, held, strict=True)]
        body: dict[str, Any] = {
            "symbol": "MARKET",
            "ts": ts,
            "as_of": sample.as_of if known else None,
            "ttl_ms": 30_000,
            "status": status,
            "reasons": reasons,
            "symbols": {
                "configured": self.configured,
                "counted": len(counted),
                "provisional": sum(body["provisional"] for body in counted),
            },
            "oi_usd": sum(held) if known else None,
            "coverage": sample.coverage if known else None,
            "leverage_rank": mean if known else None,
            "dispersion": Loose(math.sqrt(spread), 2 * slack) if known and spread is not None else None,
            "fragility": weighted(fragile) if known else None,
            "fragility_2": weighted(fragile_2) if known else None,
            "level": {
                "percentile": elr.percentile if known else None,
                "z": elr.z if known else None,
                "n": elr.n,
                "horizon_h": elr.horizon_h,
            },
            "oi_change": {name: None if x is None else math.exp(x) - 1 for name, x in changes.items()},
            "funding_8h": sample.funding_8h if known else None,
            "regime": self._regime(levels, changes["24h"]) if known else None,
            "volatility_24h": volatility,
            "p_deleveraging": chance,
            "flushing": flushing,
            "flush": None if self.flush.said is None else dict(self.flush.said),
            "flush_falling": self.flush.falling(sample, windows),
            "flushed_1h": self.flush.within_the_hour(sample, windows),
            "shares": shares if known else dict.fromkeys(shares),
            "provisional": provisional(elr),
            "month": history.month_told(ts),
        }
        if not backfill:
            self.often.tick(ts)
        return body, [] if backfill or status in ("no_data", "warming") else self._alerts(ts, elr, flushing)

    def _regime(self, levels: dict[str, Level], change_24h: float | None) -> str | None:
        if self.flush.said is not None:
            return "flush"
        if self.flush.reset is not None:
            return "reset"
        percentile, z = levels["elr"].percentile, levels["funding"].z
        if percentile is None:
            return None

        def at(rank: float) -> str:
            if rank < 0.8:
                return "building" if change_24h is not None and math.exp(change_24h) - 1 >= 0.03 else "calm"
            if z is None or abs(z) < 2:
                return "loaded"
            return "crowded_longs" if z > 0 else "crowded_shorts"

        return percentile_words(percentile, at)

    def _alerts(self, ts: int, level: Level, flushing: bool) -> list[dict[str, Any]]:
        found = []
        assert level.percentile is not None
        three_days = level.horizon_h >= 72 and level.n >= 72 * 30
        loaded = "market_loaded" in self.raised
        slack = slack_of(level.percentile)
        if level.percentile - slack < (0.90 if loaded else 0.95) <= level.percentile + slack:
            self.undecided.append(ts)
        wanted = {
            "market_loaded": level.percentile >= (0.90 if loaded else 0.95) and (loaded or three_days),
            "market_flush": flushing,
        }
        for alert, stands in wanted.items():
            if stands != (alert in self.raised):
                self.raised ^= {alert}
                state = "raised" if stands else "cleared"
                found.append(told("MARKET", ts, alert, state, self.often, level))
        return found


def share(state: str, counted: list[dict[str, Any]], held: list[float]) -> dict[str, float] | None:
    """By number and by open interest. A regime that hangs on a loose percentile makes it loose."""
    if sum(held) <= 0:
        return None

    def holds(body: dict[str, Any]) -> tuple[bool, bool]:
        """Whether it is in the state, and whether it may be otherwise."""
        if state in ("spiking", "flushing"):
            return body["spike" if state == "spiking" else "flush"] is not None, False
        regime = body["regime"]
        allowed = regime.allowed if isinstance(regime, Either) else (regime,)
        return regime == state, len({word == state for word in allowed}) > 1

    found = [(holds(body), usd) for body, usd in zip(counted, held, strict=True)]
    loose = [(1 / len(counted), usd / sum(held)) for (_, open_), usd in found if open_]
    those = [usd for (inside, _), usd in found if inside]
    return {
        "symbols": Loose(len(those) / len(counted), sum(by for by, _ in loose)),
        "oi": Loose(sum(those) / sum(held), sum(by for _, by in loose)),
    }
