"""How often the back-test's tests find something in noise: ``python -m bench.coverage [RUNS]`` (about ten minutes).

Series that linger and returns with clustered volatility, in the sizes of the shared files, none of them tied to
another: of tests at 5 % one in twenty may find something. The last rows are of series that are tied: how many of the
95 % intervals hold the true value. The numbers of docs/backtest.md come from here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from scipy.signal import lfilter
from scipy.stats import rankdata

from service.research.backtest import measures, weeks
from service.research.backtest.measures import Estimate

HOURS = 4_000
WEEK = 168
RNG = np.random.default_rng(20_240_805)


def lingering(n: int, phi: float) -> np.ndarray:
    """A stationary autoregressive series of order one."""
    return lfilter([np.sqrt(1 - phi * phi)], [1, -phi], RNG.standard_normal(n + 3_000))[3_000:]


def returns(n: int) -> np.ndarray:
    """Student noise of a volatility that clusters."""
    noise, made, variance = RNG.standard_t(5, n + 500) / np.sqrt(5 / 3), np.empty(n + 500), 1.0
    for i in range(n + 500):
        made[i] = np.sqrt(variance) * noise[i]
        variance = 0.02 + 0.08 * made[i] ** 2 + 0.9 * variance
    return made[500:]


def ahead(single: np.ndarray, horizon: int) -> np.ndarray:
    total = np.concatenate([[0.0], np.cumsum(single)])
    return total[horizon:] - total[:-horizon]


def before_events(at: np.ndarray, n: int, horizon: int = 24) -> np.ndarray:
    happened = np.zeros(n, dtype=bool)
    for event in at:
        happened[max(0, event - horizon) : event] = True
    return happened


def ic(n: int, phi: float, horizon: int) -> Estimate | None:
    return measures.information_coefficient(lingering(n, phi), ahead(returns(n + horizon - 1), horizon), horizon)


def area(phi: float, events: int, statistic: Callable[..., Estimate | None]) -> Estimate | None:
    happened = before_events(RNG.choice(HOURS, events, replace=False), HOURS)
    return statistic(lingering(HOURS, phi), happened, np.zeros(HOURS, dtype=np.int64), WEEK)


def by_weeks(phi: float, run: int, n: int = 2 * HOURS) -> Estimate | None:
    """Events that come in spells, as falls do, and a score that lingers, as a rank in 30 days does; not tied."""
    weight = np.exp(lingering(n, phi))
    happened = before_events(RNG.choice(n, 100, replace=False, p=weight / weight.sum()), n)
    return weeks.area(lingering(n, phi), happened, np.arange(n) // WEEK, run)


def ranks(phi: float) -> Estimate | None:
    return measures.rank_correlation(lingering(HOURS, phi), lingering(HOURS, 0.99), np.zeros(HOURS, dtype=int), WEEK)


def regime(phi: float, share: float) -> Estimate | None:
    level = lingering(HOURS, phi)
    return measures.difference(ahead(returns(HOURS + 23), 24), level > np.quantile(level, 1 - share), 24)


def tied_ic(horizon: int) -> Estimate | None:
    """The return of the next hour holds 0.1 of a level that lingers."""
    level = lingering(HOURS + horizon, 0.95)
    single = np.concatenate([[0.0], 0.1 * level[:-1]]) + RNG.standard_normal(len(level))
    return measures.information_coefficient(level[:HOURS], ahead(single[1:], horizon)[:HOURS], horizon)


def tied_area(events: int, n: int = HOURS) -> tuple[np.ndarray, np.ndarray]:
    """Events that are more likely the higher a level."""
    level = lingering(n, 0.97)
    weight = np.exp(level)
    return level, before_events(RNG.choice(n, events, replace=False, p=weight / weight.sum()), n)


def found(make: Callable[[], Estimate | None], runs: int) -> float:
    said = [made for _ in range(runs) if (made := make()) is not None and made.p is not None]
    return sum(made.p is not None and made.p < measures.LEVEL for made in said) / len(said)


def held(make: Callable[[], Estimate | None], truth: float, runs: int) -> float:
    said = [made for _ in range(runs) if (made := make()) is not None and made.low is not None]
    return sum(made.low <= truth <= made.high for made in said) / len(said)  # type: ignore[operator]


def main(runs: int) -> None:
    print(f"noise, {runs} series each: share with p < 0.05 (right: 0.05)")
    for n, phi in ((4_000, 0.0), (4_000, 0.9), (4_000, 0.99), (4_000, 0.998), (1_450, 0.9), (1_450, 0.99)):
        shown = [f"{h}: {found(lambda n=n, phi=phi, h=h: ic(n, phi, h), runs):.3f}" for h in (1, 4, 24, 72)]
        print(f"  information coefficient, {n} ticks, phi {phi}, by horizon   {'   '.join(shown)}", flush=True)
    for name, statistic in (("area", measures.auc_estimate), ("lift", measures.lift_estimate)):
        for phi in (0.97, 0.99):
            rates = [
                f"{k}: {found(lambda phi=phi, k=k, s=statistic: area(phi, k, s), runs // 2):.3f}"
                for k in (3, 5, 10, 30)
            ]
            print(f"  {name}, phi {phi}, by events   {'   '.join(rates)}", flush=True)
    for run in (1, 4):
        rates = [
            f"{phi}: {found(lambda phi=phi, run=run: by_weeks(phi, run), runs):.3f}" for phi in (0.97, 0.99, 0.998)
        ]
        print(f"  area by runs of {run} weeks, by phi   {'   '.join(rates)}", flush=True)
    print(
        "  rank correlation, by phi  ",
        *(f"{phi}: {found(lambda phi=phi: ranks(phi), runs // 2):.3f}" for phi in (0.97, 0.99, 0.995)),
        flush=True,
    )
    for share in (0.05, 0.3):
        rates = [f"{phi}: {found(lambda phi=phi, share=share: regime(phi, share), runs):.3f}" for phi in (0.9, 0.99)]
        print(f"  regime that holds {share:.0%} of the time, by phi   {'   '.join(rates)}", flush=True)
    print("tied: share of 95 % intervals that hold the true value (right: 0.95)")
    for horizon in (1, 24):
        level = lingering(400_000 + horizon, 0.95)
        single = np.concatenate([[0.0], 0.1 * level[:-1]]) + RNG.standard_normal(len(level))
        pair = rankdata(level[:400_000]), rankdata(ahead(single[1:], horizon)[:400_000])
        truth = float(np.corrcoef(*pair)[0, 1])
        rate = held(lambda horizon=horizon: tied_ic(horizon), truth, runs)
        print(f"  information coefficient of {truth:.3f}, horizon {horizon}   {rate:.3f}", flush=True)
    for events in (10, 30):
        many = [measures.auc(*tied_area(events)) for _ in range(1_000)]
        truth = float(np.mean([value for value in many if value is not None]))
        rate = held(
            lambda k=events: measures.auc_estimate(*tied_area(k), np.zeros(HOURS, dtype=np.int64), WEEK),
            truth,
            runs // 2,
        )
        print(f"  area of {truth:.3f}, {events} events   {rate:.3f}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
