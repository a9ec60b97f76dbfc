"""The chance of a deep fall of open interest within a day: its form fitted and judged (docs/deleveraging.md).

    x = c_rank * (rank - 0.5) + c_volatility * ln(volatility_24h / 0.03)
    P(oi_5) = logistic(a_5 + x),  P(oi_10) = logistic(a_10 + x)

Three ordered classes, one pair of slopes: maximum likelihood with a ridge on the standardised slopes. Judged on
quarters it was not fitted to, beside the same form without the rank and beside the plain share of rows in which it
happened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from scipy import optimize, special

from service.deleveraging import (
    BINS,
    FORM,
    LOG_FALLS,
    MIDDLE_RANK,
    USUAL_VOLATILITY,
    digest,
    packaged_parameters,
)
from service.research.backtest.judging import Trials, plain
from service.research.backtest.measures import RIDGE, Bools, Estimate, Floats, Ints
from service.research.backtest.series import Series
from service.research.backtest.weeks import area, area_difference, bare, drawn, summed, thin, week_of

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
DECIMALS = 6
LEAST_RANK_H = 168  # hours of its own past that a rank must have behind it
EMBARGO_MS = 2 * DAY_MS  # an outcome takes a day, and must be over for a day before a quarter begins
LEAST_BEFORE_MS = 180 * DAY_MS
FALLS = {"oi_5": LOG_FALLS[0], "oi_10": LOG_FALLS[1]}
DEEP = {"oi_5": "a fall of 5 %", "oi_10": "a fall of 10 %"}  # in words


@dataclass(frozen=True, slots=True)
class Parameters:
    """Of the form; ``c_rank`` 0: volatility alone."""

    a_5: float
    a_10: float
    c_rank: float
    c_volatility: float

    def probabilities(self, rank: Floats, volatility: Floats) -> dict[str, Floats]:
        """P(oi_5), P(oi_10) in [0, 1]; the second is never the larger."""
        x = self.c_rank * (rank - MIDDLE_RANK) + self.c_volatility * log_ratio(volatility)
        return {
            "oi_5": np.asarray(special.expit(self.a_5 + x)),
            "oi_10": np.asarray(special.expit(self.a_10 + x)),
        }


def log_ratio(volatility: Floats) -> Floats:
    return np.asarray(np.log(volatility / USUAL_VOLATILITY))


@dataclass(frozen=True, slots=True)
class Rows:
    """Hours that count, in order of time. ``file``: its number; ``fallen``: 0 less than 5 %, 1 5 to 10 %, 2 more."""

    ts: Ints
    file: Ints
    rank: Floats
    volatility: Floats
    fallen: Ints

    def happened(self, label: str) -> Bools:
        return np.asarray(self.fallen >= (1 if label == "oi_5" else 2))

    def chosen(self, inside: Bools | Ints) -> Rows:
        return Rows(self.ts[inside], self.file[inside], self.rank[inside], self.volatility[inside], self.fallen[inside])


def usable(series: Series) -> Bools:
    """Ticks that may be rows: the last of each hour, with a rank of seven days and a volatility above 0."""
    hours = -(-series.ts // HOUR_MS)
    last = np.append((np.diff(hours) != 0) | (np.diff(series.segments) != 0), True)
    with np.errstate(invalid="ignore"):
        ranked = (series.column("rank_h") >= LEAST_RANK_H) & ~np.isnan(series.column("rank_elr"))
        return np.asarray(last & ranked & (series.column("volatility_24h") > 0))


def fallen(oi_low: Floats) -> Floats:
    """0, 1, 2 as :class:`Rows` has it of ``Series.ahead``'s ``oi_low``; NaN where that is."""
    return np.where(np.isnan(oi_low), np.nan, np.sum([oi_low <= fall for fall in FALLS.values()], axis=0))


def rows_of(series: Series, ahead: dict[str, Floats], file: int) -> Rows:
    """The rows of one file whose outcome is known."""
    classes = fallen(ahead["oi_low"])
    inside = usable(series) & ~np.isnan(classes)
    return Rows(
        series.ts[inside],
        np.full(int(inside.sum()), file, dtype=np.int64),
        series.column("rank_elr")[inside],
        series.column("volatility_24h")[inside],
        classes[inside].astype(np.int64),
    )


def joined(parts: Sequence[Rows]) -> Rows:
    """Of several files, by time; at the same time in the order of the files."""
    columns = [np.concatenate([getattr(part, name) for part in parts]) for name in Rows.__slots__]
    return Rows(*columns).chosen(np.argsort(columns[0], kind="stable"))


def fit(rows: Rows, with_rank: bool = True) -> Parameters | None:
    """The likeliest parameters; None where one of the three classes has no row."""
    if len(np.unique(rows.fallen)) < 3:
        return None
    columns = [rows.rank - MIDDLE_RANK] if with_rank else []
    plain = np.column_stack([*columns, log_ratio(rows.volatility)])
    centre, spread = plain.mean(axis=0), plain.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    design = (plain - centre) / spread
    low, middle, deep = (rows.fallen == number for number in range(3))
    share_5, share_10 = 1 - low.mean(), deep.mean()
    start = np.array([special.logit(share_5), np.log(special.logit(share_5) - special.logit(share_10))])

    def lost(at: Floats) -> tuple[float, Floats]:
        """Mean negative log likelihood with its gradient. ``at``: a_5, ln(a_5 - a_10), slopes: ordered as it is."""
        apart = np.exp(at[1])
        five = at[0] + design @ at[2:]
        ten = five - apart
        not_5, not_10 = special.expit(-five), special.expit(-ten)
        told = -np.where(deep, special.log_expit(ten), special.log_expit(-five))
        told[middle] = -(special.log_expit(five) + special.log_expit(-ten) + np.log(-np.expm1(-apart)))[middle]
        between = 1 / np.expm1(apart)
        by_five = np.where(low, not_5 - 1, np.where(middle, not_5 + between, 0.0))
        by_ten = np.where(deep, not_10, np.where(middle, not_10 - 1 - between, 0.0))
        by_x = by_five + by_ten
        gradient = -np.array([by_x.mean(), -apart * by_ten.mean(), *(design.T @ by_x / len(by_x))])
        gradient[2:] += RIDGE * at[2:]
        return float(told.mean() + RIDGE / 2 * (at[2:] @ at[2:])), gradient

    found = optimize.minimize(
        lost, np.concatenate([start, np.zeros(design.shape[1])]), jac=True, method="BFGS", options={"gtol": 1e-9}
    ).x
    slopes = found[2:] / spread
    a_5 = float(found[0] - slopes @ centre)
    return Parameters(a_5, a_5 - float(np.exp(found[1])), float(slopes[0]) if with_rank else 0.0, float(slopes[-1]))


def shares(rows: Rows) -> dict[str, float]:
    """Climatology: the share of rows in which each happened."""
    return {label: float(rows.happened(label).mean()) for label in FALLS}


def quarters(ts: Ints) -> Iterator[tuple[int, int]]:
    """(start, end) in ms of the calendar quarters in which rows of times ``ts`` are judged."""
    moment = datetime.fromtimestamp(int(ts[0]) / 1000, UTC)
    year, quarter = moment.year, (moment.month - 1) // 3
    start = _quarter_ms(year, quarter)
    while start <= ts[-1]:
        quarter += 1
        end = _quarter_ms(year, quarter)
        if start - ts[0] >= LEAST_BEFORE_MS:
            yield start, end
        start = end


def _quarter_ms(year: int, quarter: int) -> int:
    return round(datetime(year + quarter // 4, 1 + 3 * (quarter % 4), 1, tzinfo=UTC).timestamp() * 1000)


FORMS = ("model", "volatility", "climatology")


def walk_forward(rows: Rows) -> dict[str, dict[str, Floats]]:
    """form -> label -> forecast of each row, NaN where it is not judged: for each quarter the forms are learned from
    rows whose outcome was over a day before it began."""
    told = {form: {label: np.full(len(rows.ts), np.nan) for label in FALLS} for form in FORMS}
    for start, end in quarters(rows.ts) if len(rows.ts) else ():
        known = rows.chosen(rows.ts <= start - EMBARGO_MS)
        inside = (rows.ts >= start) & (rows.ts < end)
        model, alone = fit(known), fit(known, with_rank=False)
        if model is None or alone is None or not inside.any():
            continue
        here = rows.chosen(inside)
        usual = {label: np.full(len(here.ts), share) for label, share in shares(known).items()}
        forecasts = (
            model.probabilities(here.rank, here.volatility),
            alone.probabilities(here.rank, here.volatility),
            usual,
        )
        for form, forecast in zip(FORMS, forecasts, strict=True):
            for label in FALLS:
                told[form][label][inside] = forecast[label]
    return told


def said(rows: Rows, plain: dict[str, Any]) -> dict[str, dict[str, Floats]]:
    """The forecasts of a parameter file, as :func:`walk_forward` has them."""
    model = Parameters(**plain["parameters"])
    alone = Parameters(**plain["volatility_alone"], c_rank=0.0)
    return {
        "model": model.probabilities(rows.rank, rows.volatility),
        "volatility": alone.probabilities(rows.rank, rows.volatility),
        "climatology": {label: np.full(len(rows.ts), plain["base_rates"][label]) for label in FALLS},
    }


def judged(
    rows: Rows, forecasts: dict[str, dict[str, Floats]], label: str, trials: Trials, name: str = "p_deleveraging"
) -> dict[str, Any] | None:
    """Brier scores, skills, areas and the reliability curve of the rows that have a forecast; None without any of
    them, or where it always or never happened."""
    inside = ~np.isnan(forecasts["model"][label])
    was = rows.happened(label)[inside]
    if not 0 < was.sum() < len(was):
        return None
    ts, weeks = rows.ts[inside], week_of(rows.ts[inside])
    values = {form: forecasts[form][label][inside] for form in FORMS}
    errors = {form: (value - was) ** 2 for form, value in values.items()}

    def better(form: str, than: str) -> Estimate | None:
        return skill(errors[form], errors[than], was, weeks)

    def told(test: str, estimate: Estimate | None) -> dict[str, Any]:
        return trials.told(f"{name} {label}: {test}", estimate)

    return {
        "n": len(was),
        "happened": float(was.mean()),
        "weeks": int(weeks.max()) + 1,
        "from": _day(ts[0]),
        "to": _day(ts[-1]),
        "brier": {form: float(error.mean()) for form, error in errors.items()},
        "skill_over_climatology": told("skill over climatology", better("model", "climatology")),
        "skill_over_volatility": told("skill over volatility", better("model", "volatility")),
        "volatility_over_climatology": plain(better("volatility", "climatology")),
        "auc": told("AUC", area(values["model"], was, weeks)),
        "auc_volatility": plain(area(values["volatility"], was, weeks)),
        "auc_difference": plain(area_difference(values["model"], values["volatility"], was, weeks)),
        "reliability": reliability(values["model"], was, weeks),
    }


def reliability(forecast: Floats, happened: Bools, weeks: Ints) -> list[dict[str, Any]]:
    """What was said against what happened in tenths of the rows by forecast; intervals by weeks where it
    happened in eight."""
    told = []
    for part in np.array_split(np.argsort(forecast, kind="stable"), BINS):
        share = drawn(
            summed(weeks[part], happened[part].astype(np.float64), np.ones(len(part))), _ratio, None, len(part)
        )
        share = bare(share) if thin(happened[part], weeks[part]) else share
        if share is not None:
            said = float(forecast[part].mean())
            told.append({"said": said, "happened": share.value, "low": share.low, "high": share.high, "n": len(part)})
    return told


def _ratio(sums: Floats) -> Floats:
    return sums[:, 0] / sums[:, 1]


def skill(error: Floats, reference: Floats, happened: Bools, weeks: Ints, run: int = 1) -> Estimate | None:
    """1 - the sum of one squared error over that of the other: above 0 the first forecast is the better one."""
    found = drawn(summed(weeks, error, reference), lambda sums: 1 - sums[:, 0] / sums[:, 1], 0.0, len(error), run)
    return bare(found) if thin(happened, weeks) else found


def fitted(rows: Rows, files: Sequence[dict[str, Any]], date: str) -> dict[str, Any] | None:
    """The parameter file (docs/deleveraging.md): fitted to all rows, judged walk-forward; None where it cannot be.

    ``files``: ``file``, ``sha256`` and ``symbol`` of each number in ``rows.file``; ``date``: YYYY-MM-DD.
    """
    model, alone = fit(rows), fit(rows, with_rank=False)
    if model is None or alone is None:
        return None
    forecasts = walk_forward(rows)
    data = []
    for number, file in enumerate(files):
        ts = rows.ts[rows.file == number]
        span = {} if len(ts) == 0 else {"from": _day(ts[0]), "to": _day(ts[-1])}
        data.append({**file, **span, "rows": len(ts)})
    told: dict[str, Any] = {
        "form": FORM,
        "fitted": date,
        "parameters": asdict(model),
        "volatility_alone": {name: value for name, value in asdict(alone).items() if name != "c_rank"},
        "base_rates": shares(rows),
        "least_rank_h": LEAST_RANK_H,
        "volatility_edges": [float(edge) for edge in np.quantile(rows.volatility, np.arange(1, BINS) / BINS)],
        "data": data,
        "rows": len(rows.ts),
        "walk_forward": {label: judged(rows, forecasts, label, Trials()) for label in FALLS},
    }
    told = _rounded(told)
    return {**told, "hash": digest(told)}


def evaluate_deleveraging(series: Series, ahead: dict[str, Floats], symbol: str, trials: Trials) -> dict[str, Any]:
    """What the service's parameters say of one file's ticks, judged. ``fitted_to``: whether they were fitted to the
    same `symbol` in this time (a description then, and no test: it is not counted as one), to other symbols of this
    `time` (coins fall together), or to neither (None)."""
    current = packaged_parameters()
    start, end = _day(series.ts[0]), _day(series.ts[-1])
    then = {item["symbol"] for item in current["data"] if item["from"] <= end and item["to"] >= start}
    rows = rows_of(series, ahead, 0)
    forecasts = said(rows, current)
    counted = Trials() if symbol in then else trials
    return {
        "model": current["hash"],
        "fitted_to": "symbol" if symbol in then else "time" if then else None,
        **{label: judged(rows, forecasts, label, counted) for label in FALLS},
    }


def _rounded(value: Any) -> Any:
    """Floats to six decimals: more of them mean nothing, and would differ from machine to machine."""
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, DECIMALS) if isinstance(value, float) else value


def _day(ts: int | np.int64) -> str:
    return datetime.fromtimestamp(int(ts) / 1000, UTC).date().isoformat()
