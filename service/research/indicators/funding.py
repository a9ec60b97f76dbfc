"""Funding, and the premium that venues set it by."""

from __future__ import annotations

from functools import partial
from math import fsum, sqrt

from service.formulas import change, rate_8h, ratio
from service.research.indicators.contract import About, Input, Pointwise, whole
from service.research.indicators.windows import DAY_MS, HOUR_MS, MINUTE_MS, Levels, OverWindow, Row

INTERVALS_PER_YEAR = 3 * 365  # of 8 h


def _mean(levels: Levels) -> float:
    values = levels.window()
    return fsum(values) / len(values)


def _z(levels: Levels) -> float | None:
    if levels.now is None:
        return None
    rates = levels.window()
    # From the newest one: differences of near numbers are exact, so rates that hardly differ are told apart, and
    # equal ones have a variance of exactly 0.
    shifted = [rate - rates[-1] for rate in rates]
    mean = fsum(shifted) / len(shifted)
    variance = fsum((rate - mean) * (rate - mean) for rate in shifted) / len(shifted)
    return ratio(0.0 - mean, sqrt(variance))


def _premium(x: tuple[float | None, ...]) -> Row | None:
    prices = whole(x)
    premium = None if prices is None else change(*prices)
    return None if premium is None else (premium,)


FUNDING = (
    # A venue's rate per interval as a rate per 8 h: + longs pay shorts.
    About(
        id="funding_rate",
        inputs=(Input("rate", "fraction per interval", signed=True), Input("interval_h", "h")),
        unit="fraction per 8 h",
        formula="rate * 8 / interval_h",
        window="none",
        null="interval 0",
        wickra="FundingRate",
        differences="there the rate as it is, whatever its interval; the same at 8 h",
        make=partial(Pointwise, of=rate_8h),
    ),
    # What longs have been paying: the plain mean over the window's slots.
    About(
        id="funding_mean",
        inputs=(Input("rate_8h", "fraction per 8 h", signed=True),),
        unit="fraction per 8 h",
        formula="mean of the slots' rates",
        window="24 h of 1 min",
        null="window not covered",
        wickra="FundingRateMean",
        differences="there over a count of ticks, however long these took; ready when full, not from nine tenths on",
        make=partial(OverWindow, of=_mean),
        settings={"window_ms": DAY_MS, "step_ms": MINUTE_MS},
    ),
    # The rate now in standard deviations from its mean, itself among them. One outlier moves both; robust_z is what
    # the signal is made of.
    About(
        id="funding_z",
        inputs=(Input("rate_8h", "fraction per 8 h", signed=True),),
        unit="standard deviations",
        formula="(rate - mean) / sqrt(mean of squared deviations), over the slots, the running one included",
        window="24 h of 1 min",
        null="window not covered; running slot empty; all rates equal",
        wickra="FundingRateZScore",
        differences="there 0 while all are equal, at times the rounding noise of its running sums (6e-9); a count of "
        "ticks, not time",
        make=partial(OverWindow, of=_z),
        settings={"window_ms": DAY_MS, "step_ms": MINUTE_MS},
    ),
    # What a position held for a year would pay at this rate, not compounded.
    About(
        id="funding_apr",
        inputs=(Input("rate_8h", "fraction per 8 h", signed=True),),
        unit="fraction per year",
        formula="rate_8h * 1095",
        window="none",
        null="never, given a rate",
        wickra="FundingImpliedApr",
        differences="there the intervals per year are an argument; the same with 1095",
        make=partial(Pointwise, of=lambda rate: rate * INTERVALS_PER_YEAR),
    ),
    # How far the perpetual trades from its index now: the premium of docs/signal.md section 4.
    About(
        id="basis",
        inputs=(Input("mark", "USD"), Input("index", "USD")),
        unit="fraction",
        formula="mark / index - 1",
        window="none",
        null="index 0",
        wickra="FundingBasis",
        differences="there a price of 0 is refused",
        make=partial(Pointwise, of=change),
    ),
    # The basis that stood for a while: as venues average it before they set funding.
    About(
        id="premium_index",
        inputs=(Input("mark", "USD"), Input("index", "USD")),
        unit="fraction",
        formula="mean of the slots' mark / index - 1",
        window="1 h of 1 min",
        null="window not covered; an index of 0 is not observed",
        wickra="PerpetualPremiumIndex",
        differences="there of the newest tick alone, as FundingBasis; the same with a window of one slot",
        make=partial(OverWindow, of=_mean, row=_premium),
        settings={"window_ms": HOUR_MS, "step_ms": MINUTE_MS},
    ),
)
