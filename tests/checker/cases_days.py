"""Scenarios of days: hourly closes and what is said once the rank of leverage has a week behind it."""

from __future__ import annotations

from .scenarios import Drift, Fault, Scenario

MINUTE_S, HOUR_S = 60, 3_600
WEEK_S = 168 * HOUR_S

WEEK = Scenario(
    "eight days back-filled with hours missing; over a full hour the twentieth return comes; no quorum within a minute",
    33,
    ("SOL",),
    90,
    3_700,
    faults=(
        *(Fault("silent", -80 * HOUR_S, -75 * HOUR_S, venue) for venue in ("binance_usdm", "bybit", "okx")),
        # without the five closes at 24 to 20 hours before live there are nineteen returns, at 13:00 there are twenty
        Fault("silent", -25 * HOUR_S + 1, -20 * HOUR_S + 1),
        *(Fault("silent", 3_610, 3_700, venue) for venue in ("binance_usdm", "bybit", "okx")),
    ),
    hold=((3_650, 3_672),),
    early=(
        *range(-192 * HOUR_S, -150 * HOUR_S, 600),  # older values count ten: half of a week in all
        *range(-120 * HOUR_S, -52 * HOUR_S, 2_400),  # the last one of an hour: at its end, at 40 or at 20 minutes
        *range(-52 * HOUR_S, -28 * HOUR_S, 600),
        *range(-28 * HOUR_S, -100 * MINUTE_S, 1_800),
    ),
    drifts=(Drift(-3 * HOUR_S, 3_600, "SOL", oi=0.04),),
    restarts=(3_593, 3_611, 3_630),
    must=("volatility_24h", "no_volatility_24h", "fragility_2", "p:no_volatility", "p:anew", "p:kept", "p:no_quorum"),
)
BEGUN = Scenario(
    "the rank comes to 168 hours while live; no quorum and back within another; the process held up",
    34,
    ("SOL",),
    90,
    900,
    faults=(Fault("silent", 300, 335), Fault("silent", 640, 682)),
    hold=((150, 181), (700, 791)),
    early=(
        *range(-167 * HOUR_S + 10 * MINUTE_S, -137 * HOUR_S, 600),
        *range(-137 * HOUR_S, -90 * MINUTE_S, 1_200),
    ),
    drifts=(Drift(400, 410, "SOL", oi=0.05), Drift(800, 806, "SOL", oi=-0.12)),
    restarts=(125, 205, 680),
    must=(
        *("p:short_rank", "p:anew", "p:anew_within", "p:kept", "p:no_quorum"),
        *("alert:market_loaded:raised", "alert:market_loaded:cleared"),
    ),
)
WEEKS = (WEEK, BEGUN)
