"""The scenarios in which checker and engine must agree."""

from __future__ import annotations

from .scenarios import Drift, Fault, Scenario

BTC_ETH = ("BTC", "ETH")

NORMAL = Scenario(
    "normal market with trends, and one symbol at one venue",
    1,
    ("BTC", "ETH", "1000PEPE"),
    180,
    900,
    drifts=(Drift(100, 400, "BTC", price=0.006, oi=0.01), Drift(500, 800, "BTC", price=-0.01, oi=-0.012)),
    must=("status:ok", "tradeable", "direction:long", "direction:short", "transition", "conflict", "stop:0.8"),
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
    must=("alert:conflict:raised", "alert:conflict:cleared", "stop:1.5"),
)
SHORT = (NORMAL, AWAY, STEPS, MARKS, STAMPS, WRONG, LOST, FLAT, LISTS, YOUNG, DISAGREE)

LONG = Scenario(
    "26 h of history and an hour live: flush, reset, crowding, spike, outcomes",
    10,
    ("BTC", "ETH", "SOL"),
    26 * 60,
    4_000,
    faults=(
        Fault("rate_8h", 2_000, 2_400, "bybit", "SOL", 0.002),
        Fault("silent", -40_000, -30_000, "okx", "ETH"),
    ),
    drifts=(
        Drift(-5_100, -4_800, "BTC", price=-0.04, oi=-0.07),
        Drift(-600, 1_500, "BTC", price=0.01, oi=0.06),
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
    ),
)
