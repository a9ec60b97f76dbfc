"""What followed the service's marks, its alerts and regimes, beside what followed hours that were as volatile.

A mark is a moment at which something begins: `elr_spike` as live raises it, `flush`, `reset`, `crowded_longs`,
`crowded_shorts`, `loaded`. Hours of the same file in the same tenth of `volatility_24h` are what it is compared with:
a fall of open interest is likelier after a volatile day, whatever a mark says. Several files are judged as one table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.deleveraging import BINS
from service.research.backtest.deleveraging import FALLS, fallen, usable
from service.research.backtest.judging import Trials, plain
from service.research.backtest.measures import LEAST_BLOCKS, Bools, Estimate, Floats, Ints
from service.research.backtest.series import Series
from service.research.backtest.weeks import area, area_difference, bare, drawn, summed, thin, week_of
from service.scoring.alerts import SPIKE_EVERY_MS, SPIKE_LEAST_H, spike_stands

SPIKE, SHORT_SPIKE = "elr_spike", "elr_spike, percentile of 26 h"
SHORT_H = 26
REGIMES = ("reset", "crowded_longs", "crowded_shorts", "loaded")
MARKS = (SPIKE, "flush", *REGIMES)
SCORES = ("fragility", "fragility_2", "rank_elr", "rank_funding", "rank_volatility", "volatility_24h")
DIFFERENCES = (
    ("fragility", "volatility_24h"),
    ("fragility_2", "fragility"),
    ("fragility_2", "volatility_24h"),
    ("rank_volatility", "volatility_24h"),
    ("p_deleveraging", "volatility_24h"),
    ("p_deleveraging", "fragility"),
)
ALL_SCORES = (*SCORES, "p_deleveraging")
QUINTILES = 5
WHEN = ("began reset", "during reset")
ENTRY = ("drawdown", "range", "return")
RESET_H = (24, 72)  # hours ahead in which an entry is judged


@dataclass(frozen=True, slots=True)
class Hours:
    """Ticks of any number of files by time, as columns; NaN where nothing is known.

    ``file``: its number; ``cell``: file and tenth of its volatility_24h, -1 where that is not known.
    """

    ts: Ints
    file: Ints
    cell: Ints
    columns: dict[str, Floats]

    def chosen(self, inside: Bools | Ints) -> Hours:
        columns = {name: values[inside] for name, values in self.columns.items()}
        return Hours(self.ts[inside], self.file[inside], self.cell[inside], columns)


def hours_of(series: Series, ahead: dict[str, Floats], file: int) -> Hours:
    """The ticks of one file: its scores, when marks began (1 or 0), and what came after."""
    volatility, classes = series.column("volatility_24h"), fallen(ahead["oi_low"])
    known = np.isnan(classes)
    columns = {
        **{name: series.column(name) for name in SCORES},
        "usable": usable(series) * 1.0,
        **{
            label: np.where(known, np.nan, (classes >= number) * 1.0)
            for number, label in enumerate(FALLS, start=1)
        },
        **{f"began {name}": values * 1.0 for name, values in began(series).items()},
        "during reset": np.array([item["regime"] == "reset" for item in series.records]) * 1.0,
    }  # fmt: skip
    for hours in RESET_H:
        columns |= {f"{name} {hours}h": values for name, values in entry(series, hours * 3_600).items()}
    tenth = parts(volatility, BINS)
    cell = np.where(tenth < 0, -1, file * BINS + tenth)
    return Hours(series.ts, np.full(series.n, file, dtype=np.int64), cell, columns)


def joined(files: Sequence[Hours]) -> Hours:
    """Of several files, by time; at the same time in their order."""
    columns = {name: np.concatenate([item.columns[name] for item in files]) for name in files[0].columns}
    ts, file, cell = (np.concatenate([getattr(item, name) for item in files]) for name in ("ts", "file", "cell"))
    return Hours(ts, file, cell, columns).chosen(np.argsort(ts, kind="stable"))


def parts(values: Floats, count: int) -> Ints:
    """In which of ``count`` equal parts of all known values each lies, from 0; -1 where it is not known."""
    known = ~np.isnan(values)
    told = np.full(len(values), -1, dtype=np.int64)
    if known.any():
        edges = np.quantile(values[known], np.arange(1, count) / count)
        told[known] = np.searchsorted(edges, values[known], "right")
    return told


def began(series: Series) -> dict[str, Bools]:
    """mark -> whether it begins at each tick. Nothing goes on over a hole."""
    regime = np.array([item["regime"] or "" for item in series.records])
    first = np.append(True, np.diff(series.segments) != 0)
    rank = series.column("rank_elr")

    def begins(stands: Bools) -> Bools:
        return np.asarray(stands & (first | ~np.append(False, stands[:-1])))

    return {
        SPIKE: spikes(series, rank),
        SHORT_SPIKE: spikes(series, np.where(np.isnan(rank), np.nan, short_rank(series))),
        "flush": begins(series.flush),
        **{name: begins(regime == name) for name in REGIMES},
    }


def spikes(series: Series, percentile: Floats) -> Bools:
    """Whether elr_spike is raised at each tick, by the rule of the live alert."""
    told = np.zeros(series.n, dtype=np.bool_)
    stands, raised_ms = False, None
    z = series.column("z_elr")
    for i in np.flatnonzero(~np.isnan(z) & ~np.isnan(percentile)):
        ts = int(series.ts[i])
        due = raised_ms is None or ts - raised_ms >= SPIKE_EVERY_MS
        due = due and ts - int(series.ts[0]) >= SPIKE_LEAST_H * 3_600_000
        before, stands = stands, spike_stands(float(z[i]), float(percentile[i]), stands, due)
        if stands and not before:
            told[i], raised_ms = True, ts
    return told


def short_rank(series: Series) -> Floats:
    """The percentile of open interest in the 26 h before, ties half; NaN where under nine tenths of them are known."""
    told = np.full(series.n, np.nan)
    for segment in np.unique(series.segments):
        inside = np.flatnonzero(series.segments == segment)
        ts, values = series.ts[inside], series.ln_oi[inside]
        starts = np.searchsorted(ts, ts - SHORT_H * 3_600_000)
        for i, start in enumerate(starts):
            past = values[start:i][~np.isnan(values[start:i])]
            if len(past) >= 0.9 * SHORT_H * 3_600 / series.step_s and not np.isnan(values[i]):
                told[inside[i]] = (np.sum(past < values[i]) + np.sum(past == values[i]) / 2) / len(past)
    return told


def entry(series: Series, horizon_s: int) -> dict[str, Floats]:
    """What an entry at each tick meets until ``horizon_s`` later: the deepest log fall from a peak (``drawdown``), ln
    of the highest over the lowest price (``range``), log return. NaN where under nine tenths of it are known."""
    told = {name: np.full(series.n, np.nan) for name in ("drawdown", "range", "return")}
    for segment in np.unique(series.segments):
        inside = np.flatnonzero(series.segments == segment)
        ts, price = series.ts[inside], series.ln_price[inside]
        stops = np.searchsorted(ts, ts + horizon_s * 1_000, "right")
        for i, stop in enumerate(stops):
            path = price[i:stop][~np.isnan(price[i:stop])]
            if np.isnan(price[i]) or ts[stop - 1] - ts[i] < 900 * horizon_s:
                continue
            if len(path) - 1 >= 0.9 * horizon_s / series.step_s:
                told["drawdown"][inside[i]] = np.max(np.maximum.accumulate(path) - path)
                told["range"][inside[i]] = path.max() - path.min()
    told["return"] = series.forward_return(horizon_s)
    return told


def against(hours: Hours, mark: str, outcome: str, name: str, trials: Trials, run: int = 1) -> dict[str, Any]:
    """The mean of ``outcome`` at the ticks of ``mark``, that of the ticks as volatile, their ``difference`` and
    ``lift`` (ratio), with intervals by weeks. Of an outcome that happens or does not, the means are shares."""
    known = hours.chosen(~np.isnan(hours.columns[outcome]) & (hours.cell >= 0))
    at, values = known.columns[mark], known.columns[outcome]
    n = int(at.sum())
    if n == 0:
        return {"n": 0, **{part: plain(None) for part in ("followed", "matched", "difference", "lift")}}
    weeks = week_of(known.ts)
    cells, place = np.unique(known.cell, return_inverse=True)
    count, size = int(weeks.max()) + 1, len(cells)

    def of_cells(weights: Floats) -> Floats:
        return np.asarray(np.bincount(weeks * size + place, weights, count * size).reshape(count, size))

    sums = np.hstack([of_cells(np.ones(len(at))), of_cells(values), of_cells(at), summed(weeks, at * values)])

    def followed(drawn_sums: Floats) -> Floats:
        return np.asarray(drawn_sums[:, -1] / drawn_sums[:, 2 * size : 3 * size].sum(axis=1))

    def matched(drawn_sums: Floats) -> Floats:
        all_of, sum_of, at_of = (drawn_sums[:, i * size : (i + 1) * size] for i in range(3))
        means = np.divide(sum_of, all_of, out=np.zeros_like(sum_of), where=all_of > 0)
        return np.asarray((means * at_of).sum(axis=1) / at_of.sum(axis=1))

    few = _few(at == 1, values, weeks)

    def told(statistic: Callable[[Floats], Floats], null: float | None) -> Estimate | None:
        found = drawn(sums, statistic, null, n, run)
        return bare(found) if few else found

    compared = told(lambda draw: followed(draw) - matched(draw), 0.0)
    return {
        "n": n,
        "followed": plain(told(followed, None)),
        "matched": plain(drawn(sums, matched, None, n, run)),
        "difference": trials.told(f"{name}: against hours as volatile", compared),
        "lift": plain(told(lambda draw: followed(draw) / matched(draw), 1.0)),
    }


def _few(at: Bools, values: Floats, weeks: Ints) -> bool:
    """Whether the marks are of fewer than eight weeks, or what happens or not did so after them in fewer than eight."""
    if not set(np.unique(values)) <= {0.0, 1.0}:
        return len(np.unique(weeks[at])) < LEAST_BLOCKS
    return thin(values[at] == 1, weeks[at])


def ranked(hours: Hours, label: str, name: str, trials: Trials) -> dict[str, Any]:
    """How well each score ranks the chance of ``label``: area under the curve (0.5 is nothing), differences between
    two on the ticks that have both, and that of leverage inside each fifth of a file's volatility."""
    known = hours.chosen(~np.isnan(hours.columns[label]))
    happened, scores = known.columns[label] == 1, [score for score in ALL_SCORES if score in known.columns]
    told: dict[str, Any] = {"auc": {}, "difference": {}, "leverage_by_volatility": []}
    for score in scores:
        found = area_of(known, (score,), happened, np.isfinite(known.columns[score]))
        told["auc"][score] = trials.told(f"{name}, {label}: {score}", found)
    for pair in DIFFERENCES:
        if set(pair) <= set(scores):
            both = np.isfinite(known.columns[pair[0]]) & np.isfinite(known.columns[pair[1]])
            found = area_of(known, pair, happened, both)
            told["difference"]["-".join(pair)] = trials.told(f"{name}, {label}: {pair[0]} less {pair[1]}", found)
    fifths = np.full(len(known.ts), -1, dtype=np.int64)
    for file in np.unique(known.file):
        inside = known.file == file
        fifths[inside] = parts(known.columns["volatility_24h"][inside], QUINTILES)
    for number in range(QUINTILES):
        found = area_of(known, ("rank_elr",), happened, (fifths == number) & np.isfinite(known.columns["rank_elr"]))
        test = f"{name}, {label}: rank_elr, fifth {number + 1} of volatility"
        told["leverage_by_volatility"].append(trials.told(test, found))
    return told


def area_of(hours: Hours, names: tuple[str, ...], happened: Bools, inside: Bools, run: int = 1) -> Estimate | None:
    """The area of one score, or that of the first less that of the second."""
    if not 0 < happened[inside].sum() < inside.sum():
        return None
    weeks = week_of(hours.ts[inside])
    first, *other = (hours.columns[name][inside] for name in names)
    if other:
        return area_difference(first, other[0], happened[inside], weeks, run)
    return area(first, happened[inside], weeks, run)


def table(hours: Hours, trials: Trials, name: str = "", marks: Sequence[str] = MARKS) -> dict[str, Any]:
    """mark -> label -> what followed (:func:`against`)."""
    return {
        mark: {label: against(hours, f"began {mark}", label, f"{name}{mark}, {label}", trials) for label in FALLS}
        for mark in marks
    }


def resets(hours: Hours, trials: Trials, name: str = "") -> dict[str, Any]:
    """Is a reset a cleaner entry? What follows its begin, and its hours, beside hours as volatile."""
    outcomes = [f"{outcome} {ahead}h" for ahead in RESET_H for outcome in ENTRY]
    return {
        when: {outcome: against(hours, when, outcome, f"{name}{when}: {outcome}", trials) for outcome in outcomes}
        for when in WHEN
    }


def evaluate_marks(series: Series, ahead: dict[str, Floats], trials: Trials) -> dict[str, Any]:
    """The tables of one file alone."""
    hours = hours_of(series, ahead, 0)
    return {"marks": table(hours, trials), "resets": resets(hours, trials)}
