"""The scenarios in which checker and engine must agree."""

from __future__ import annotations

from dataclasses import replace

from service.model import Denominator

from .cases_inputs import COLD, CONFIRMS, FUNDING, INVERSE, NEW, SIDES
from .scenarios import DENOMINATORS, LIVE_FROM, Drift, Fault, Scenario

BTC_ETH = ("BTC", "ETH")

NORMAL = Scenario(
    "normal market with trends, and one symbol at one venue",
    1,
    ("BTC", "ETH", "1000PEPE"),
    180,
    900,
    drifts=(Drift(100, 400, "BTC", price=0.006, oi=0.01), Drift(500, 800, "BTC", price=-0.01, oi=-0.012)),
    must=(
        *("status:ok", "tradeable", "direction:long", "direction:short", "transition", "conflict", "stop:0.8"),
        *("alert:fading:raised", "alert:fading:cleared", "alert:transition:raised"),
    ),
)
AWAY = Scenario(
    "venues drop out and return, with an OI that differs a little and a lot",
    2,
    BTC_ETH,
    180,
    900,
    faults=(
        Fault("silent", 100, 260, "binance_usdm"),
        Fault("oi_factor", 260, 9_999, "binance_usdm", amount=1.15),
        Fault("silent", 300, 420, "bybit"),
        Fault("oi_factor", 420, 9_999, "bybit", amount=1.6),
        Fault("silent_oi", 500, 640, "okx"),
        Fault("silent_funding", 200, 700, "okx"),
        Fault("silent_mark", 700, 760, "hyperliquid"),
    ),
    must=(
        "stale:binance_usdm",
        "stale:okx",
        "quarantined:bybit",
        "discontinuous",
        "status:degraded",
        "oi_reserve:None",
    ),
)
STEPS = Scenario(
    "OI steps: released when they last, a unit error never, and back within bounds",
    3,
    BTC_ETH,
    180,
    900,
    faults=(
        Fault("oi_factor", 60, 9_999, "okx", amount=1.3),
        Fault("oi_factor", 200, 500, "bybit", amount=7.0, name="BTCUSDT"),
        Fault("oi_factor", 200, 420, "binance_usdm", amount=0.001, symbol="ETH"),
        Fault("oi_factor", 300, 330, "hyperliquid", amount=0.7),
        Fault("oi_factor", 600, 640, "binance_usdm", amount=1.25, symbol="BTC"),
        Fault("oi_factor", 640, 9_999, "binance_usdm", amount=1.6, symbol="BTC"),
    ),
    must=("quarantined_oi", "quarantined:okx", "quarantined:binance_usdm"),
)
MARKS = Scenario(
    "marks 3 % off, a frozen mark while the others move, funding beyond the cap",
    4,
    BTC_ETH,
    180,
    900,
    faults=(
        Fault("mark_off", 60, 150, "bybit", amount=0.03),
        Fault("mark_off", 300, 303, "okx", amount=-0.04),
        Fault("frozen", 200, 520, "binance_usdm"),
        Fault("rate_8h", 100, 250, "okx", amount=0.016),
        Fault("rate_8h", 600, 700, "bybit", amount=-0.05, symbol="BTC"),
        Fault("frozen", 600, 800, "hyperliquid"),
    ),
    drifts=(Drift(220, 420, "BTC", price=0.008, oi=0.004), Drift(230, 430, "ETH", price=-0.012, oi=0.01)),
    must=("quarantined_mark", "quarantined_funding", "frozen:binance_usdm", "quarantined:bybit"),
)
STAMPS = Scenario(
    "future, too old and out-of-order stamps; no index; unknown interval; the process held up",
    5,
    BTC_ETH,
    120,
    900,
    faults=(
        Fault("bad_stamps", -3_600, 9_999, "binance_usdm", amount=0.2),
        Fault("bad_stamps", 0, 9_999, "bybit", amount=0.3),
        Fault("bad_stamps", 0, 500, "okx", amount=0.1),
        Fault("coarse_stamps", 500, 9_999, "okx"),
        Fault("no_index", 100, 300),
        Fault("no_index", 400, 9_999, "okx"),
        Fault("unknown_interval", 200, 9_999, "binance_usdm"),
    ),
    hold=((333, 351), (600, 627), (700, 702)),
    must=("future", "too_old", "out_of_order"),
)
WRONG = Scenario(
    "a wrong venue from the start, and two that differ with nobody to tell who is right",
    11,
    BTC_ETH,
    120,
    800,
    faults=(
        Fault("mark_off", -99_999, 150, "bybit", "BTC", 0.05),
        Fault("mark_off", -99_999, 100, "binance_usdm", "ETH", -0.03),
        Fault("silent", 400, 700, "okx"),
        Fault("silent", 400, 700, "hyperliquid"),
        Fault("mark_off", 500, 560, "bybit", amount=0.03),
        Fault("silent_mark", 525, 560, "bybit"),  # only confirms keep its last mark heard
        Fault("silent_mark", 530, 549, "binance_usdm"),
    ),
    must=("quarantined:bybit", "quarantined:binance_usdm", "status:no_data"),
)
NAMES = Scenario(
    "two coins under one ticker in a market that moves, two against two and two against one, the one at rest",
    57,
    BTC_ETH,
    120,
    700,
    faults=(
        Fault("mark_off", 60, 450, "bybit", amount=0.5),
        Fault("mark_off", 60, 450, "okx", amount=0.5),
        Fault("silent", 40, 650, "hyperliquid", "ETH"),
        Fault("frozen", 220, 460, "binance_usdm", "ETH"),
        Fault("mark_off", 590, 700, "bybit", "BTC", 0.5),  # an outlier, and at rest in quarantine
        Fault("frozen", 600, 700, "bybit", "BTC"),
    ),
    drifts=(Drift(60, 690, "BTC", price=0.05), Drift(60, 690, "ETH", price=0.05)),
    must=("naming_conflict:bybit,okx", "naming_conflict:binance_usdm", "quarantined:bybit", "status:no_data"),
    restarts=(300,),
)
LOST = Scenario(
    "below quorum, none at all, and back; the only exchange with a reserve goes away",
    6,
    ("BTC", "SOL", "1000PEPE"),
    120,
    900,
    faults=(
        Fault("silent", 120, 400, "bybit"),
        Fault("silent", 120, 320, "okx"),
        Fault("silent", 180, 300, "binance_usdm"),
        Fault("silent", 150, 260, "hyperliquid"),
        Fault("silent", 600, 9_999, "binance_usdm"),
        Fault("silent", 640, 651, "bybit"),
    ),
    must=("quorum", "status:no_data", "alert:no_data:raised", "alert:no_data:cleared", "oi_reserve:no_venue_in_scope"),
)
FLAT = Scenario(
    "a flat series, funding pinned at 0, then a collapse of OI to a fifth",
    7,
    ("BTC", "ETH"),
    180,
    900,
    faults=(
        Fault("rate_8h", -99_999, 9_999, None, "ETH", 0.0),
        Fault("rate_8h", -99_999, 9_999, None, "BTC", 0.0001),
        Fault("mark_off", 470, 545, None, "BTC", 0.00003),  # a premium of three times its floor
    ),
    drifts=(Drift(200, 400, "ETH", price=-0.05, oi=-1.6), Drift(300, 600, "BTC", price=0.003, oi=0.02)),
    quiet=("BTC", "ETH"),
    must=("status:ok", "direction:short"),
)
LISTS = Scenario(
    "a contract size changes, an instrument is delisted and comes back, for a second where a window starts",
    8,
    ("BTC", "ETH", "1000PEPE"),
    120,
    600,
    faults=(
        Fault("resized", 100, 9_999, "okx", "ETH", amount=10.0),
        Fault("resized", 101, 9_999, "okx", "BTC", amount=10.0),  # the next oi comes in the same second
        Fault("delisted", 200, 300, "bybit", name="BTCUSDT"),
        Fault("delisted", 300, 301, "hyperliquid", "1000PEPE"),
        Fault("delisted", 410, 411, "hyperliquid", "1000PEPE"),
        Fault("delisted", 250, 9_999, "binance_usdm", symbol="ETH"),
        Fault("silent", 251, 9_999, "binance_usdm", symbol="ETH"),
    ),
    must=("status:ok",),
)
YOUNG = Scenario(
    "just started: no statistic is ready", 9, ("BTC", "1000PEPE"), 0, 600, must=("status:warming", "no_score")
)
DISAGREE = Scenario(
    "an hour up, its last minutes down, on falling OI: the windows disagree for more than five minutes, then agree",
    12,
    ("BTC",),
    120,
    4_300,
    drifts=(
        Drift(0, 3_500, "BTC", price=0.05, oi=-0.05),
        Drift(3_550, 4_000, "BTC", price=-0.02, oi=-0.02),
        Drift(4_000, 4_300, "BTC", price=0.01, oi=-0.01),
    ),
    quiet=("BTC",),
    bases=((120.35, replace(DENOMINATORS[0], supply=None, reserves=(("bybit", 400_000.0),))),),
    must=("alert:conflict:raised", "alert:conflict:cleared", "stop:1.5"),
)
FLOWS = Scenario(
    "trades and liquidations: a unit error in one venue's, venues that leave V while they trade, refused ones",
    21,
    BTC_ETH,
    120,
    1_150,
    faults=(
        Fault("flow_factor", 200, 700, "okx", amount=100.0),
        Fault("flow_factor", 620, 640, "binance_usdm", "ETH", amount=1e7),  # more than its open interest
        Fault("silent_mark", 300, 420, "okx"),
        *(Fault("silent", 300, 400, venue) for venue in ("binance_usdm", "bybit", "okx")),  # one alone: no quorum
        Fault("silent_oi", 480, 600, "binance_usdm", "BTC"),
        Fault("delisted", 560, 640, "bybit", name="BTCUSD"),
        Fault("silent", 850, 1_000, "okx"),
        Fault("silent_extra", 650, 960, symbol="ETH"),
        Fault("bad_extra_stamps", 250, 900, amount=0.1),
        Fault("liquidate", 700, 705, "binance_usdm", "BTC", 3e-4),
        Fault("liquidate", 703, 706, "bybit", "BTC", -1e-3),
        Fault("liquidate", 930, 933, "hyperliquid", "BTC", 2e-2),
    ),
    extras_from=-40,
    restarts=(701,),
    must=(
        *("future", "too_old", "out_of_order", "implausible", "taker", "taker_flow", "liquidations", "quorum"),
        *("stale:binance_usdm", "stale:okx", "long_short", "position_base:None"),
    ),
)
HEARD = Scenario(
    "trades are the first that is heard of anything, and for a while all that is heard of a venue",
    22,
    ("BTC", "1000PEPE"),
    0,
    500,
    faults=(
        Fault("unlisted", -99, 99),
        *(Fault(f"silent_{stream}", -99, 60, "hyperliquid") for stream in ("mark", "oi", "funding")),
        *(Fault(f"silent_{stream}", -99, 9) for stream in ("mark", "oi", "funding")),
        Fault("silent", -99, 30, "okx"),
        Fault("bad_extra_stamps", 0, 500, amount=0.3),
        Fault("oi_factor", 200, 9_999, "bybit", amount=7.0),
        Fault("flow_factor", 300, 9_999, "bybit", amount=3e4),
        Fault("resized", 250, 9_999, "okx", amount=10.0),
    ),
    past_s=20,
    extras_from=-1,
    must=("unheard:okx", "implausible", "no_score", "alert:no_data:raised"),
)
WARM = Scenario(
    "a warm start from minutes alone, a gap, live from 23 s on: windows begin between samples",
    23,
    ("BTC", "1000PEPE"),
    120,
    460,
    faults=(
        Fault("old", -90, 1, "binance_usdm", amount=6_900),
        Fault("old", -90, 1, "bybit", amount=11_900),
        Fault("old", -90, 1, "okx", amount=21_900),
        Fault("old", -90, 1, "hyperliquid", amount=6_900),
        Fault("silent", 110, 260, "bybit"),
        Fault("silent", 110, 200, "okx"),
        Fault("silent", 115, 180, "binance_usdm"),
    ),
    hold=((0, 23), (300, 318)),
    extras_from=-130,
    silent=True,
    must=("interpolated:1m", "interpolated:5m", "backfilled:1m", "backfilled:5m", "backfilled:1h", "status:no_data"),
)
PAST = Scenario(
    "minutes, then the past at 1 Hz without a word, then live, for longer than an hour",
    24,
    ("BTC",),
    120,
    4_000,
    faults=(
        Fault("silent", 1_500, 1_590),
        Fault("calm", 200, 9_999),
        Fault("liquidate", 250, 253, amount=1e-3),  # and nothing for an hour and more
    ),
    past_s=3_600,
    restarts=(3_333, 3_604),
    extras_from=-20,
    silent=True,
    must=("taker_flow", "liquidations", "backfilled:1h", "interpolated:1h", "position_base:None"),
)
BASE = DENOMINATORS[0]
BASES = Scenario(
    "bases come, change in amount or in exchanges, age, while the process is held up and on the tick",
    25,
    ("BTC", "SOL", "1000PEPE"),
    90,
    700,
    faults=(
        Fault("silent", 200, 400, "bybit"),
        Fault("silent", 200, 330, "okx"),
        Fault("silent", 200, 330, "hyperliquid"),
    ),
    hold=((150, 181),),
    restarts=(130, 305),
    bases=(
        (-600.5, replace(BASE, supply=19_960_000.0, reserves=())),
        (33.25, Denominator("SOL", 540e6, (), LIVE_FROM, "count", "own", supply_stale_h=0.125)),
        (60.0, replace(BASE, supply=None, reserves=(("binance", 620_000.0), ("okx", 120_000.0)), source="other")),
        (60.001, Denominator("ETH", 1.0, (), LIVE_FROM, "of no symbol here", "own")),
        (90.0, Denominator("1000PEPE", 4.2e8, (("hyperliquid", 1e7),), LIVE_FROM, "count", "own")),
        (155.7, replace(BASE, supply=19_970_000.0, reserves=(("all", 2_000_000.0),))),
        (250.0, replace(BASE, reserves=(("bybit", 300_000.0),), as_of=LIVE_FROM, reserve_stale_h=0.1)),
        (321.0, Denominator("1000PEPE", None, (("hyperliquid", 6e6), ("okx", 4e6)), LIVE_FROM, "count", "own")),
        (351.0, Denominator("1000PEPE", None, (("hyperliquid", 7e6), ("okx", 3e6)), LIVE_FROM, "count", "own")),
        (351.5, Denominator("1000PEPE", None, (("hyperliquid", 7e6),), LIVE_FROM, "count", "own")),
        (352.0, Denominator("1000PEPE", None, (("hyperliquid", 7e6), ("okx", 3e6)), LIVE_FROM, "count", "own")),
        (560.5, Denominator("SOL", 540e6, (("bybit", 9e6),), LIVE_FROM, "same supply again", "own")),
        (500.0, replace(BASE, reserves=(("okx", 140_000.0), ("bybit", 160_000.0)), as_of=LIVE_FROM + 480_000)),
    ),
    must=(
        *("BTC/oi_reserve:changed", "BTC/oi_mcap:changed", "SOL/oi_reserve:changed", "stale_denominator"),
        *("oi_mcap:None", "oi_mcap:stale_base", "oi_reserve:no_venue_in_scope"),
    ),
)
POSITIONS = Scenario(
    "positions that begin, are as large as the open interest, go stale and come back; shares go stale",
    26,
    ("ETH", "SOL"),
    100,
    1_500,
    faults=(
        Fault("no_positions", -99, 100),
        Fault("flat_positions", 200, 330, symbol="ETH", amount=9e-7),
        Fault("flat_positions", 1_350, 9_999, "bybit", "ETH", amount=1.1e-6),
        Fault("no_positions", 330, 1_350),
        Fault("delisted", 1_420, 1_460, "bybit", name="ETHUSD"),
        Fault("silent", 1_380, 1_420, "hyperliquid"),
        Fault("silent_extra", 400, 1_350, "binance_usdm"),
        Fault("bad_extra_stamps", 0, 9_999, "bybit", amount=0.2),
    ),
    quiet=("ETH",),
    extras_from=0,
    restarts=(250, 801, 1_355),
    must=("position_base:no_positions", "position_base:degenerate", "position_base:None", "long_short", "out_of_order"),
)
SHORT = (
    NORMAL,
    AWAY,
    STEPS,
    MARKS,
    STAMPS,
    WRONG,
    NAMES,
    LOST,
    FLAT,
    LISTS,
    YOUNG,
    DISAGREE,
    FLOWS,
    HEARD,
    WARM,
    PAST,
    BASES,
    POSITIONS,
    FUNDING,
    INVERSE,
    CONFIRMS,
    COLD,
    NEW,
    SIDES,
)

LONG = Scenario(
    "73 h of history and an hour live: flush, reset, crowding, spike, outcomes",
    10,
    ("BTC", "ETH", "SOL"),
    73 * 60,  # no spike on less than three days
    4_000,
    faults=(
        Fault("rate_8h", 2_000, 2_400, "bybit", "SOL", 0.002),
        Fault("silent", -40_000, -30_000, "okx", "ETH"),
        Fault("silent_extra", -99_999, 9_999, symbol="BTC"),
        Fault("calm", -99_999, 1_990, symbol="SOL"),
        Fault("liquidate", 1_150, 1_165, None, "ETH", 0.002),
    ),
    extras_from=0,
    drifts=(
        Drift(-5_100, -4_800, "BTC", price=-0.04, oi=-0.07),
        Drift(-600, 1_500, "BTC", price=0.01, oi=0.06),
        Drift(2_600, 2_604, "BTC", price=-0.02, oi=-0.08),  # nothing is heard of liquidations
        # building for as long as the minute a day ago is before the step
        Drift(-85_800, -85_740, "ETH", oi=0.10),
        Drift(-20_000, -10_000, "ETH", oi=-0.12),
        Drift(1_131, 1_133, "ETH", price=-0.019, oi=-0.08),  # both windows fire at the same first tick
        Drift(-4_000, 2_000, "SOL", price=0.02, oi=0.01, funding=0.002),
        Drift(900, 904, "SOL", price=0.002, oi=0.07),
        Drift(2_000, 2_004, "SOL", price=-0.005, oi=-0.09),
        Drift(3_000, 3_004, "SOL", price=0.002, oi=0.15),  # a second spike within six hours
    ),
    must=(
        "regime:flush",
        "forced:True",
        "forced:False",
        "forced:None",
        "ma:1d",
        "regime:reset",
        "regime:building",
        "regime:crowded_longs",
        "p_hit",
        "alert:flush:raised",
        "alert:crowding:raised",
        "alert:crowding:cleared",
        "alert:elr_spike:raised",
        "alert:elr_spike:cleared",
        "alert:venue_divergence:raised",
        "alert:transition:raised",
        "alert:reset:raised",
        "alert:reset:cleared",
        "alert:market_flush:raised",
        "alert:market_flush:cleared",
    ),
)
