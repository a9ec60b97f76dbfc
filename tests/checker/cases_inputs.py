"""Scenarios about what may enter: funding rates, inverse open interest, confirms, and bases before the first tick."""

from __future__ import annotations

from dataclasses import replace

from service.model import Denominator

from .scenarios import DENOMINATORS, LIVE_FROM, Drift, Fault, Scenario

BTC_ETH = ("BTC", "ETH")

FUNDING = Scenario(
    "rates a hundred times too large, eight times, and large ones that are believed for their own or others' sake",
    27,
    ("BTC", "ETH", "SOL"),
    120,
    900,
    faults=(
        Fault("funding_factor", -99_999, -1_000, "okx", "ETH", 100.0),  # wrong from the first on
        Fault("funding_factor", 60, 200, "bybit", "ETH", 100.0),  # one of three venues
        Fault("funding_factor", 320, 480, "binance_usdm", "ETH", 8.0),  # believed, and then clipped
        Fault("rate_8h", 480, 9_999, "bybit", "ETH", 9e-4, "ETHUSD"),
        Fault("delisted", 600, 9_999, "bybit", "ETH", name="ETHUSD"),
        Fault("rate_8h", 620, 700, "okx", "ETH", -5e-3),  # ten times of what is no longer traded
        Fault("rate_8h", -99_999, 9_999, None, "BTC", 9e-4),
        Fault("rate_8h", -3_000, 9_999, None, "BTC", 2e-3),
        Fault("rate_8h", -99_999, 350, "okx", "BTC", 1e-4),
        Fault("rate_8h", 350, 420, "okx", "BTC", -1.4e-2),  # believed for the others' sake
        Fault("rate_8h", 100, 300, "hyperliquid", "BTC", 2.5e-2),
        Fault("rate_8h", 150, 260, "bybit", "BTC", 2.2e-2),  # a quarantined one speaks for nobody
        *(Fault("silent_funding", 430, 850, venue, "BTC") for venue in ("binance_usdm", "bybit", "hyperliquid")),
        Fault("rate_8h", 740, 850, "okx", "BTC", 1.45e-2),  # believed for its own sake
        Fault("rate_8h", 800, 9_999, "okx", "BTC", 2e-2),  # over the cap, and then no excuse for another
        Fault("rate_8h", 860, 9_999, "binance_usdm", "BTC", 2.5e-2),
        Fault("funding_factor", -99_999, -3_000, "hyperliquid", "SOL", 100.0),  # before there is anything to compare
        *(Fault("silent_funding", -99_999, -7_000, venue, "SOL") for venue in ("binance_usdm", "bybit", "okx")),
        Fault("silent_funding", -3_000, 9_999, "hyperliquid", "SOL"),
        Fault("rate_8h", 300, 9_999, None, "SOL", 1e-6),
        Fault("rate_8h", 500, 600, "bybit", "SOL", 9.9e-4),  # large against the others alone
        Fault("funding_factor", -2_400, 100, "okx", "SOL", 50.0),  # ten times of what is stale
    ),
    must=("quarantined_funding", "funding:own", "funding:others", "funding:alone", "funding:backed", "ETH/clipped"),
)
INVERSE = Scenario(
    "inverse open interest at the mark of the moment: a mark off by a hundred, stale, never believed; a new size",
    28,
    BTC_ETH,
    120,
    820,
    faults=(
        Fault("mark_off", 60, 150, name="BTCUSD", amount=99.0),
        Fault("oi_factor", 90, 9_999, name="BTCUSD", amount=1.1),
        Fault("flow_factor", 60, 200, name="BTCUSD", amount=2.5e5),  # about as much as its open interest
        Fault("silent_oi", 250, 290, name="BTCUSD"),
        Fault("silent_mark", 300, 360, name="BTCUSD"),
        Fault("silent", 400, 500, name="BTCUSDT"),  # the inverse one speaks for the venue
        Fault("mark_off", -99_999, 100, name="ETHUSD", amount=99.0),
        Fault("mark_off", 320, 345, name="ETHUSD", amount=99.0),
        Fault("resized", 330, 9_999, name="ETHUSD", amount=10.0),
        Fault("native", 550, 650, name="ETHUSD"),
        Fault("silent", 700, 800, "okx"),
        Fault("delisted", 720, 760, name="ETHUSD"),
    ),
    drifts=(
        Drift(70, 400, "BTC", price=0.02, oi=0.01),
        Drift(400, 600, "BTC", price=-0.01),
        Drift(0, 900, "ETH", price=-0.03),
    ),
    extras_from=0,
    restarts=(100, 320),
    must=("quarantined_mark", "priced:between", "implausible", "stale:okx"),
)
CONFIRMS = Scenario(
    "confirms without a time, of values whose successors were refused",
    29,
    BTC_ETH,
    90,
    500,
    faults=(
        Fault("bare_confirms", -99_999, 9_999),
        Fault("late_funding", -99_999, 40, "bybit", "ETH"),  # no value that could be confirmed
        Fault("late_mark", 60, 130, "bybit"),
        Fault("mark_off", 130, 131, "bybit", "ETH", 0.05),
        Fault("late_oi", 200, 290, "bybit", "BTC"),
        Fault("late_funding", 100, 450, "bybit"),
        Fault("bad_stamps", 300, 9_999, "bybit", amount=0.5),
    ),
    must=("confirm:refused", "stale:bybit", "too_old", "out_of_order"),
)
COLD = Scenario(
    "bases that arrive before the first advance, before and on a tick it has yet to take",
    30,
    ("BTC", "SOL", "1000PEPE"),
    60,
    120,
    bases=(
        (-1_800.0, replace(DENOMINATORS[0], supply=19_000_000.0, reserves=())),
        (-59.5, replace(DENOMINATORS[0], supply=19_900_000.0, reserves=())),
        (9.5, Denominator("1000PEPE", 4.2e8, (), LIVE_FROM, "count", "own")),
        (20.0, Denominator("SOL", 540e6, (), LIVE_FROM, "count", "own")),
        (20.25, replace(DENOMINATORS[0], supply=19_970_000.0)),
        (20.25, replace(DENOMINATORS[0], supply=None, reserves=(("bybit", 300_000.0),))),
        (22.5, Denominator("1000PEPE", None, (("hyperliquid", 1e7),), LIVE_FROM, "count", "own")),
    ),
    cold_s=23,
    restarts=(23,),
    must=("BTC/oi_reserve:changed", "BTC/oi_mcap:changed", "oi_mcap:no_denominator", "oi_reserve:no_denominator"),
)
NEW = replace(COLD, name="the same with no past at all", seed=31, backfill_minutes=-1, bases=COLD.bases[2:])
SIDES = Scenario(
    "a venue measures its sides: none, others, the same; all it has doubles and comes back; the past counted otherwise",
    32,
    BTC_ETH,
    120,
    1_000,
    faults=(
        *(Fault("oi_factor", 150, 260, "bybit", amount=2.0), Fault("oi_factor", 260, 330, "bybit", amount=0.995)),
        Fault("oi_factor", 330, 500, "okx", amount=2.0),  # two instruments are no venue
        Fault("oi_factor", 520, 700, "bybit", amount=0.5),  # what is measured now has not been counted so before
        Fault("silent", 600, 680, "binance_usdm"),
        Fault("oi_factor", 800, 9_999, "bybit", amount=2.0),
    ),
    sides=(
        (-5_000.0, "bybit", 1),
        (-3_000.0, "bybit", 2),
        (-2_000.5, "binance_usdm", 1),
        (50.5, "bybit", None),
        (90.0, "bybit", 2),
        (520.0, "bybit", 1),
        (640.25, "bybit", 1),
        (700.0, "bybit", 2),
        (880.0, "bybit", 2),
        (900.0, "okx", 2),
        (950.0, "okx", None),
    ),
    extras_from=0,
    restarts=(60, 180, 530),
    must=(
        *("oi_sides:bybit", "oi_sides:okx", "oi_sides_changed:bybit", "oi_sides_changed:okx"),
        *("sides:changed", "sides:stepped", "sides:believed", "status:degraded"),
    ),
)
