"""A scenario of falls of open interest: what fires, pauses, quorum lost in a flush, falling now and within the hour.

All symbols are quiet: open interest and price move by the drifts alone.
"""

from __future__ import annotations

from .scenarios import Drift, Fault, Scenario

HOUR_S = 3_600

FALLS = Scenario(
    "falls over four hours, an hour and five minutes; pauses short and long, quorum lost in a flush",
    35,
    ("SOL", "ETH", "1000PEPE"),
    26 * 60,
    3_700,
    faults=(
        *(Fault("silent", 850, 910, venue, "SOL") for venue in ("binance_usdm", "bybit", "hyperliquid")),
        Fault("silent", 200, 1_300, symbol="1000PEPE"),
    ),
    drifts=(
        # SOL falls by 6 % from four hours before live on, then a little more, once the day is restless enough.
        Drift(-8 * HOUR_S, -8 * HOUR_S + 60, "SOL", price=0.02),
        Drift(-14_000, -8_000, "SOL", oi=-0.06),
        Drift(1, 101, "SOL", oi=-0.018),
        Drift(60, 120, "SOL", price=-0.016),
        Drift(200, 210, "SOL", oi=0.025),  # a pause of five minutes
        Drift(500, 510, "SOL", oi=-0.019),  # at 810 the low is older than five minutes; after 910 these are not known
        Drift(1_000, 2_740, "SOL", oi=-0.0087),  # its lows go on in the pause that ends it
        Drift(2_800, 3_600, "SOL", oi=0.06),
        # ETH's fall is over before live begins: the flush outlasts the hour after it.
        Drift(-1_500, -1_440, "ETH", price=-0.03, oi=-0.05),
        # Of 1000PEPE nothing is heard for longer than a flush may pause; then the 5m window alone is ready.
        Drift(-660, -600, "1000PEPE", price=-0.03, oi=-0.05),
        Drift(2_000, 2_003, "1000PEPE", price=-0.03, oi=-0.05),
    ),
    quiet=("SOL", "ETH", "1000PEPE"),
    restarts=(305, 870, 1_005, 2_215, 2_605),
    must=(
        *("fires:4h", "fires:1h", "fires:5m", "pause", "fires_again", "pause:no_quorum", "flush_ends:no_data"),
        *("falling:True", "falling:False", "falling:None", "falling:by_the_hour", "flush_older_than_its_fall"),
        *("flushed_1h:True", "flushed_1h:False", "regime:reset", "flush_ends:ok"),
        *("alert:flush:raised", "alert:flush:cleared", "alert:reset:raised", "alert:reset:cleared"),
    ),
)
