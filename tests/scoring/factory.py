"""Readings by hand. Every default is a distinct, plausible value of a calm, fully ready market at minute ``T0``."""

from __future__ import annotations

from dataclasses import replace
from math import atanh
from typing import Any

from service.model import Consensus, Denominator, LevelReading, Readings, VenueView, WindowReading

T0 = 1_763_720_400_000  # 2025-11-21 10:20:00 UTC: on the grid of every mode
TICK_MS = 10_000
HOUR_MS = 3_600_000
SECONDS = {"1m": 60, "5m": 300, "1h": 3600}
EXCHANGES = {"alpha_linear": "alpha", "alpha_inverse": "alpha", "beta": "beta", "gamma": "gamma"}


def ticks(n: int) -> int:
    """Time of the n-th tick after T0."""
    return T0 + n * TICK_MS


def z_for(score: float) -> float:
    """The z whose tanh(z/2) is ``score``."""
    return 2 * atanh(score)


def view(venue: str, coins: float, **changes: Any) -> VenueView:
    made = VenueView(
        venue=venue,
        instrument=f"{venue}-PERP",
        fresh=True,
        mark=100.5,
        index=100.25,
        rate=0.0001,
        rate_8h=0.0002,
        interval_h=4.0,
        oi_coins=coins,
        oi_coins_last=coins,
        age_mark_ms=900,
        age_funding_ms=4_000,
        age_oi_ms=7_000,
        states=(("mark", "LIVE"), ("funding", "LIVE"), ("oi", "LIVE")),
    )
    return replace(made, **changes)


def gone(venue: str, last: float) -> VenueView:
    """A venue seen in 24 h that is not fresh."""
    return view(
        venue,
        last,
        fresh=False,
        mark=None,
        index=None,
        rate=None,
        rate_8h=None,
        oi_coins=None,
        states=(("mark", "STALE"), ("funding", "STALE"), ("oi", "STALE")),
    )


VENUES = (
    view("alpha_linear", 400.0, rate_8h=0.0001),
    view("alpha_inverse", 200.0, rate_8h=0.0002),
    view("beta", 300.0, rate_8h=0.0004),
    view("gamma", 100.0, rate_8h=-0.0003),
)


def consensus(ts: int = T0, **changes: Any) -> Consensus:
    made = Consensus(
        symbol="BTC",
        ts=ts,
        step_s=1,
        quorum=True,
        price=100.0,
        index=99.0,
        funding_8h=0.00017,
        funding_spend=0.17,
        funding_spread=0.0007,
        funding_outlier_sign=-1,
        oi_coins=1000.0,
        ln_oi_index=0.25,
        oi_receipts=4,
        full_set=True,
        coverage=0.98,
        freshness=0.9,
        as_of=ts - 7_000,
        trouble=(),
        excluded=(),
        venues_total=4,
        venues=VENUES,
    )
    return replace(made, **changes)


REPORTING = (
    replace(VENUES[0], long_coins=250.0, short_coins=150.0, long_short=(("account", 0.61, T0 - 5_000),)),
    VENUES[1],
    replace(VENUES[2], long_short=(("account", 0.44, T0 - 6_000), ("top_position", 0.57, T0 - 7_000))),
    replace(VENUES[3], long_coins=60.0, short_coins=40.0),
)


def reporting(ts: int = T0, **changes: Any) -> Consensus:
    """Two venues report positions, two report long shares."""
    return consensus(ts, **{"venues": REPORTING} | changes)


def no_data(ts: int = T0, **changes: Any) -> Consensus:
    """Below the quorum: one venue of four is left."""
    absent = {
        "quorum": False,
        "price": None,
        "index": None,
        "funding_8h": None,
        "funding_spend": None,
        "funding_spread": None,
        "funding_outlier_sign": 0,
        "oi_coins": None,
        "full_set": False,
        "coverage": 0.4,
        "freshness": None,
        "as_of": None,
        "trouble": ("stale:beta", "stale:alpha_inverse"),
        "excluded": ("alpha_inverse", "beta", "gamma"),
        "venues": (VENUES[0], gone("alpha_inverse", 200.0), gone("beta", 300.0), gone("gamma", 100.0)),
    }
    return consensus(ts, **absent | changes)


def window(name: Any, **changes: Any) -> WindowReading:
    made = WindowReading(
        name=name,
        seconds=SECONDS[name],
        ready=True,
        ret=0.001 + SECONDS[name] * 1e-7,
        oi_change=0.002 + SECONDS[name] * 1e-7,
        z_return=0.5,
        z_oi=0.75,
        slow_z_return=0.25,
        slow_z_oi=0.125,
    )
    return replace(made, **changes)


def unready(name: Any) -> WindowReading:
    nothing = dict.fromkeys(("ret", "oi_change", "z_return", "z_oi", "slow_z_return", "slow_z_oi"))
    return window(name, ready=False, **nothing)


def level(value: float | None = 0.5, **changes: Any) -> LevelReading:
    return replace(LevelReading(value=value, z=0.3, percentile=0.4, n=1440, horizon_h=24), **changes)


def taken(buy: float, sell: float, imbalance: float, z: float | None = None) -> dict[str, Any]:
    """Taker flow of a window."""
    return {"taker_buy_coins": buy, "taker_sell_coins": sell, "taker_imbalance": imbalance, "z_taker": z}


def forced(long: float, short: float, imbalance: float | None = None, intensity: float | None = None) -> dict[str, Any]:
    """Liquidations of a window."""
    return {
        "liquidated_long_coins": long,
        "liquidated_short_coins": short,
        "liquidation_imbalance": imbalance,
        "liquidation_intensity": intensity,
    }


def readings(ts: int = T0, sample: Consensus | None = None, **changes: Any) -> Readings:
    """Also takes ``w1m``, ``w5m``, ``w1h``: changes to one window."""
    named = {name: changes.pop(f"w{name}", {}) for name in SECONDS}
    made = Readings(
        symbol="BTC",
        ts=ts,
        consensus=consensus(ts) if sample is None else sample,
        windows=tuple(window(name, **named[name]) for name in SECONDS),
        elr=level(0.25, z=0.2, percentile=0.41, n=1500, horizon_h=26),
        funding=level(0.00017, z=0.31, percentile=None, n=1440, horizon_h=24),
        funding_abs=level(0.00017, z=None, percentile=0.42, n=1440, horizon_h=25),
        premium=level(0.0101, z=0.33, percentile=None, n=1440, horizon_h=24),
        spread=level(0.0007, z=0.34, percentile=None, n=1440, horizon_h=24),
        volatility=level(0.02, z=None, percentile=0.43, n=1440, horizon_h=24),
        spend=level(0.17, z=0.36, percentile=0.44, n=1450, horizon_h=27),
        change_24h=0.001,
        change_7d=0.0019,
        continuity=0.99,
        statistics_ready=True,
    )
    return replace(made, **changes)


def scored(
    ts: int,
    m1: float | None,
    m5: float | None,
    h1: float | None,
    sample: Consensus | None = None,
    **changes: Any,
) -> Readings:
    """Ready windows with just these scores (within rounding): open interest surely rising, positioning alone."""
    parts = {
        f"w{name}": {"z_return": None if score is None else z_for(score), "z_oi": 100.0}
        for name, score in zip(SECONDS, (m1, m5, h1), strict=True)
    }
    mute: dict[str, Any] = {name: level(0.0, z=None) for name in ("premium", "funding", "spread")}
    return readings(ts, sample, **parts | mute | changes)


def level_score(ts: int, score: float | None, **changes: Any) -> Readings:
    """All three windows at one score, so the composite is that too."""
    return scored(ts, score, score, score, **changes)


def base(**changes: Any) -> Denominator:
    made = Denominator(
        symbol="BTC",
        supply=20_000.0,
        reserves=(("alpha", 2_000.0), ("beta", 500.0)),
        as_of=T0 - HOUR_MS,
        source="attestation",
        licence="own research",
    )
    return replace(made, **changes)
