"""Who holds what, who trades at the market, who is closed by force."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from service.formulas import quadrant, ratio
from service.research.indicators.contract import About, Input, Pointwise
from service.research.indicators.windows import MINUTE_MS, SECOND_MS, Change, OverFlows, Row


class Liquidated(NamedTuple):
    """Coins over a window. ``net`` and ``imbalance`` are + when shorts were bought back, which pushes up."""

    long: float
    short: float
    net: float
    total: float
    imbalance: float | None  # None: nothing was liquidated


def _liquidated(long: float, short: float) -> Liquidated:
    return Liquidated(long, short, short - long, long + short, ratio(short - long, long + short))


def _acting(now: Row, start: Row) -> str | None:
    return quadrant(now[0] - start[0], now[1] - start[1])


POSITIONING = (
    # Longs over shorts as a venue reports them: sizes or accounts, whichever it counts. Over all positions it is 1 by
    # construction: for every long there is a short; it says something only of a part, such as top traders or accounts.
    About(
        id="long_short_ratio",
        inputs=(Input("long", "coins, accounts or share"), Input("short", "as long")),
        unit="ratio",
        formula="long / short",
        window="none",
        null="no shorts",
        wickra="LongShortRatio",
        differences="there 0 without shorts, which is also what no longs give",
        make=partial(Pointwise, of=ratio),
    ),
    # Who trades at the market: above 1 the buyers.
    About(
        id="taker_ratio",
        inputs=(Input("taker_buy", "coins"), Input("taker_sell", "coins")),
        unit="ratio",
        formula="sum of taker_buy / sum of taker_sell over the window",
        window="5 min of 10 s",
        null="window not covered; no sells",
        wickra="TakerBuySellRatio",
        differences="there of the newest tick alone; 0 without sells, which is also what no buys give",
        make=partial(OverFlows, of=ratio),
        settings={"window_ms": 5 * MINUTE_MS, "step_ms": 10 * SECOND_MS},
    ),
    # A lower bound: venues throttle and conflate what they report (docs/signal.md section 4).
    About(
        id="liquidations",
        inputs=(Input("long", "coins liquidated"), Input("short", "coins liquidated")),
        unit="coins; imbalance a fraction in [-1, 1]",
        formula="sums of long and short over the window; net = short - long; total = long + short; "
        "imbalance = net / total",
        window="5 min of 10 s",
        null="window not covered; imbalance alone while total is 0",
        wickra="LiquidationFeatures",
        differences="there of the newest tick alone; net and imbalance + when longs were sold; imbalance 0 of nothing",
        make=partial(OverFlows, of=_liquidated),
        settings={"window_ms": 5 * MINUTE_MS, "step_ms": 10 * SECOND_MS},
    ),
    # Who acts, as in docs/signal.md section 5.
    About(
        id="quadrant",
        inputs=(Input("price", "USD"), Input("oi", "coins")),
        unit="name",
        formula="price up, oi up: long_build_up; down, up: short_build_up; up, down: short_covering; down, down: "
        "long_unwinding",
        window="5 min of 1 s",
        null="window not covered or without a start; running slot empty; either unchanged",
        wickra=None,
        differences="",
        make=partial(Change, between=_acting),
        settings={"window_ms": 5 * MINUTE_MS, "step_ms": SECOND_MS},
    ),
)
