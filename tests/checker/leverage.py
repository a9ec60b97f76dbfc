"""The ``elr`` array of a signal message (docs/signal.md section 7, design of the feed, docs/denominators.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .bases import Base, Bases, Days
from .consensus import Sample
from .history import HOUR, Level
from .numbers import Either, Loose

DEGENERATE = 1e-6
NO_LEVEL = Level(None, None, None, 0, 0)
SPEND_BANDS = ((10.0, "low"), (25.0, "moderate"), (50.0, "high"))
PERCENTILE_BANDS = ((0.5, "low"), (0.8, "moderate"), (0.95, "high"))


def provisional(level: Level) -> bool:
    """Less than 168 hours behind the percentile, or fewer than half of their minutes."""
    return level.horizon_h < 168 or level.n < 168 * 30


def banded(value: float, bands: tuple[tuple[float, str], ...]) -> str:
    for below, word in bands:
        if value < below:
            return word
    return "extreme"


def percentile_words(percentile: float, word_at: Callable[[float], str]) -> str:
    """The word at a percentile; :class:`Either` when its slack reaches over a threshold."""
    word = word_at(percentile)
    if not isinstance(percentile, Loose):
        return word
    slack = percentile.slack
    allowed = tuple(dict.fromkeys(word_at(p) for p in (percentile, percentile - slack, percentile + slack)))
    return Either(word, allowed) if len(allowed) > 1 else word


def percentile_band(percentile: float | None) -> str | None:
    if percentile is None:
        return None
    return percentile_words(percentile, lambda share: banded(share, PERCENTILE_BANDS))


def elr_entries(
    symbol: str,
    bases: Bases,
    days: Days,
    reserve_days: Days,
    exchanges: dict[str, str],
    sample: Sample,
    levels: dict[str, Level],
    changes: dict[str, float | None],
    backfilled_until: int | None,
    month_until: int | None,
    ts: int,
) -> list[dict[str, Any]]:
    """One entry per variant; the tick's values of ``oi_mcap`` and ``oi_reserve`` enter their day."""
    change_1h = changes["1h"]
    bases.tick(ts)
    reserve = _oi_reserve(bases.reserves, exchanges, sample, ts)
    mcap = _oi_mcap(bases.supply, sample, ts)
    spend = _spend(sample)
    elr, own = levels["elr"], levels["spend"]
    spend_band: str | None = percentile_band(own.percentile)
    if symbol == "BTC":
        value = spend["value"]
        spend_band = None if value is None else banded(abs(value), SPEND_BANDS)
    days.tick(ts, mcap["value"], sample)
    reserve["changed"], mcap["changed"] = bases.changed("reserves", ts), bases.changed("supply", ts)
    mcap["ma"] = days.means(ts)
    reserve_days.tick(ts, reserve["value"], sample)
    reserve["ma"] = reserve_days.means(ts)
    entries = [
        _entry("oi_reserve", "ratio", "published", reserve, elr, change_1h, percentile_band(elr.percentile), sample),
        _entry("oi_mcap", "%", "published", mcap, elr, change_1h, percentile_band(elr.percentile), sample),
        _entry("funding_spend", "coins_per_8h", "inferred", spend, own, None, spend_band, sample)
        | {"band_source": "cddstamp_inferred" if symbol == "BTC" else "percentile"}
        | ({"provisional": False} if symbol == "BTC" else {}),
    ]
    if sample.has_positions:
        found = _position_base(sample)
        entry = _entry("position_base", "ratio", "published", found, NO_LEVEL, None, None, sample)
        entries.append(entry | {"reason": found["reason"]})  # it has no statistic that could be warming
    for entry in entries:
        if entry["variant"] in ("oi_reserve", "oi_mcap"):
            entry["change"] = dict(changes)
        # whether any value that ranks is as old as the back-filled past
        oldest = ts - entry["horizon_h"] * HOUR
        ends = [backfilled_until, None if entry["variant"] == "funding_spend" else month_until]
        entry["backfilled"] = entry["n"] > 0 and any(end is not None and oldest < end for end in ends)
    return entries


def _entry(
    variant: str,
    unit: str,
    formula_status: str,
    found: dict[str, Any],
    level: Level,
    change_1h: float | None,
    band: str | None,
    sample: Sample,
) -> dict[str, Any]:
    return {
        "variant": variant,
        "value": found["value"],
        "unit": unit,
        "z": level.z,
        "percentile": level.percentile,
        "n": level.n,
        "horizon_h": level.horizon_h,
        "change_1h": change_1h,
        "band": band,
        "band_source": "percentile",
        "formula_status": formula_status,
        "as_of": sample.as_of,
        "stale": found["stale"],
        "reason": found["reason"] or ("warming" if level.z is None else None),
        "by_venue": found["by_venue"],
        "ma": found.get("ma"),
        "scope": found["scope"],
        "base": found["base"],
        "base_changed": found.get("changed", False),
        "provisional": level is not NO_LEVEL and provisional(level),
        "change": None,
        "backfilled": False,
    }


def base_of(base: Base | None, ts: int) -> dict[str, Any]:
    """The denominator as published, and whether it is older than it says it may be."""
    if base is None or base.coins <= 0:
        return {"base": None, "stale": False, "reason": "no_denominator"}
    age = ts - base.as_of
    published = {
        "coins": base.coins,
        "as_of": base.as_of,
        "age_h": age / HOUR,
        "source": base.source,
        "licence": base.licence,
    }
    stale = age > base.stale_h * HOUR
    return {"base": published, "stale": stale, "reason": "stale_base" if stale else None}


def _oi_reserve(base: Base | None, exchanges: dict[str, str], sample: Sample, ts: int) -> dict[str, Any]:
    """OI of the venues whose exchange has a reserve, over the whole base."""
    reserves = base.parts if base is not None else {}
    only_all = list(reserves) == ["all"]
    in_scope = [venue for venue in exchanges if only_all or exchanges[venue] in reserves]
    numerator = [venue for venue in sample.fresh_oi if sample.quorum and venue in in_scope]
    oi = sum(sample.fresh_oi[venue] for venue in numerator)
    last = sum(sample.last_oi[venue] for venue in sample.last_oi if venue in in_scope)
    total = sum(reserves.values())
    found = base_of(base, ts)
    value, by_venue = None, {}
    if not sample.quorum:
        found["reason"] = "no_quorum"
    elif found["base"] is not None and not numerator:
        found["reason"] = "no_venue_in_scope"
    elif found["base"] is not None:
        value = oi / total
        if not only_all:
            by_venue = {venue: sample.fresh_oi[venue] / reserves[exchanges[venue]] for venue in numerator}
    scope = {
        "numerator": numerator,
        "denominator": list(reserves),
        "coverage": oi / last if numerator and last > 0 else None,
        "match": sorted({exchanges[venue] for venue in numerator}) == sorted(reserves) if reserves else None,
    }
    return found | {"value": value, "by_venue": by_venue, "scope": scope}


def _oi_mcap(base: Base | None, sample: Sample, ts: int) -> dict[str, Any]:
    supply = base.coins if base is not None else None
    found = base_of(base, ts)
    value, by_venue = None, {}
    if sample.oi_coins is None:
        found["reason"] = "no_quorum"
    elif supply is not None and found["base"] is not None:
        value = 100 * sample.oi_coins / supply
        by_venue = {venue: 100 * oi / supply for venue, oi in sample.fresh_oi.items()}
    return found | {"value": value, "by_venue": by_venue, "scope": _whole_scope(sample, list(sample.fresh_oi))}


def _spend(sample: Sample) -> dict[str, Any]:
    reason = None
    if not sample.quorum:
        reason = "no_quorum"
    elif sample.funding_spend is None:
        reason = "no_funding"
    by_venue = {venue: sample.fresh_oi[venue] * rate for venue, rate in sample.rates.items()}
    return {
        "value": sample.funding_spend,
        "base": None,
        "stale": False,
        "reason": reason,
        "by_venue": by_venue if sample.quorum else {},
        "scope": _whole_scope(sample, list(sample.rates)),
    }


def _position_base(sample: Sample) -> dict[str, Any]:
    """OI over the long and short coins reported, of the venues of V whose positions are fresh."""
    sides = {venue: sample.positions[venue] for venue in sample.fresh_oi if venue in sample.positions}
    if not sample.quorum:
        sides = {}
    total = sum(longs + shorts for longs, shorts in sides.values())
    value, reason = None, None if sample.quorum else "no_quorum"
    if sample.quorum and total <= 0:
        reason = "no_positions"
    elif sample.quorum:
        value = sum(sample.fresh_oi[venue] for venue in sides) / total
        flat = [abs(side / sample.fresh_oi[venue] - 1) <= DEGENERATE for venue, pair in sides.items() for side in pair]
        reason = "degenerate" if all(flat) else None
    by_venue = {venue: sample.fresh_oi[venue] / sum(pair) for venue, pair in sides.items() if sum(pair) > 0}
    scope = _whole_scope(sample, list(sides))
    return {"value": value, "base": None, "stale": False, "reason": reason, "by_venue": by_venue, "scope": scope}


def _whole_scope(sample: Sample, venues: list[str]) -> dict[str, Any]:
    """Of a variant over all venues: those that entered, and their share of the last OI of all that were seen."""
    numerator = venues if sample.quorum else []
    oi, last = sum(sample.fresh_oi[venue] for venue in numerator), sum(sample.last_oi.values())
    coverage = oi / last if numerator and last > 0 else None
    return {"numerator": numerator, "denominator": [], "coverage": coverage, "match": None}
