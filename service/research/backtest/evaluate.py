"""One file's ticks to the numbers of its report: what can be said, what cannot, and how many tests were made. And their
headline in words: each question, its number, and whether that shows anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from service.research.backtest.csv_history import History
from service.research.backtest.deleveraging import DEEP, evaluate_deleveraging
from service.research.backtest.direction import evaluate_direction
from service.research.backtest.episodes import evaluate_episodes
from service.research.backtest.events import studied
from service.research.backtest.feeding import LIVE_BELOW_S, columns_fed
from service.research.backtest.fragility import evaluate_fragility, evaluate_regimes
from service.research.backtest.judging import NOTHING, Trials
from service.research.backtest.marks import evaluate_marks
from service.research.backtest.measures import LEVEL
from service.research.backtest.run import Record
from service.research.backtest.series import DAY_S, Series

LIVE_TICK_S = 10
FIELDS = (
    "score", "strength", "z_elr", "z_funding", "z_premium", "rank_elr", "rank_funding", "rank_volatility", "fragility",
    "regime", "elr", "elr_mcap", "funding_spend", "liquidated_long_1h",
)  # fmt: skip
SHOWN = "yes"
OPPOSITE = "no: the opposite is shown"
NOT_SHOWN = "not shown"
NOT_LEFT = "not shown: p below 0.05, but not left among so many tests"
NO_INTERVAL = "cannot be said: too little data for an interval"
FITTED = "cannot be said: its parameters were fitted to this symbol in this time"
UNDEFINED = "cannot be said: undefined, or nothing to judge it by"
LABELS = {
    "flush": "the service's own flush",
    "oi_fall_5": "a fall of open interest by 5 %",
    "oi_fall_10": "a fall of open interest by 10 %",
}
REFERENCES = {"climatology": "the plain share", "volatility": "volatility alone"}


def series_of(history: History, records: Sequence[Record]) -> Series:
    return Series(records, LIVE_TICK_S if history.step_s < LIVE_BELOW_S else history.step_s)


def pooled(parts: Sequence[Sequence[Record]]) -> list[Record]:
    """The ticks of several files one after the other by time, each file's stretches kept apart."""
    joined: list[Record] = []
    for part in sorted([part for part in parts if part], key=lambda part: int(part[0]["ts"])):
        after = joined[-1]["segment"] + 1 if joined else 0
        joined += [{**item, "segment": item["segment"] + after} for item in part]
    return joined


def evaluate(series: Series, days: Sequence[date], cost_bp: float, symbol: str = "BTC") -> dict[str, Any]:
    """All numbers of a run's ticks, as plain JSON values."""
    trials = Trials()
    ahead = series.ahead(DAY_S)
    events = studied(series, days)
    told: dict[str, Any] = {
        "ticks": series.n,
        "warm_ticks": int(series.warm.sum()),
        "from": _iso(series.ts[0]),
        "to": _iso(series.ts[-1]),
        "known": known(series),
        "direction": evaluate_direction(series, cost_bp, trials),
        "fragility": evaluate_fragility(series, ahead, trials),
        "regimes": evaluate_regimes(series, ahead, trials),
        "deleveraging": evaluate_deleveraging(series, ahead, symbol, trials),
        **evaluate_marks(series, ahead, trials),
        "flushes": int((series.flush & ~np.concatenate([[False], series.flush[:-1]])).sum()),
        "episodes": evaluate_episodes(series),
        "events": events,
        "events_not_covered": [
            day.isoformat() for day in days if day.isoformat() not in {item["event"] for item in events}
        ],
    }
    told["multiplicity"] = trials.summary()
    return told


def known(series: Series) -> dict[str, float]:
    """The share of warm ticks at which each field is not null."""
    warm = [item for item in series.records if item["warm"]]
    count = max(len(warm), 1)
    shares = {name: sum(item[name] is not None for item in warm) / count for name in FIELDS}
    for window in ("1m", "5m", "1h"):
        shares[f"window {window}"] = sum(item["scores"].get(window) is not None for item in warm) / count
    shares["flush"] = sum(item["flush_fed"] for item in warm) / count  # integers
    return shares


def described(history: History, refused: Mapping[str, int], slow: Sequence[History] = ()) -> dict[str, Any]:
    """What was read, what of it the market did not believe, and what its columns and resolution cannot feed."""
    return {
        "file": history.path.name,
        "sha256": history.digest,
        "layout": history.layout,
        "resolution_s": history.step_s,
        "rows": len(history.rows),
        "repeated_rows": history.repeated,
        "funding_intervals_h": history.intervals,
        "columns": list(history.columns),
        "ignored_columns": list(history.ignored),
        "refused": dict(sorted(refused.items())),
        "segments": [
            {"from": _iso(part[0].known_ms), "to": _iso(part[-1].known_ms), "rows": len(part)}
            for part in history.segments
        ],
        "cannot_feed": unfed(history, slow),
    }


def unfed(history: History, slow: Sequence[History] = ()) -> list[str]:
    """In words: which windows and statistics stay null, and why. ``slow``: the companions that it was run with."""
    step_s, columns = history.step_s, columns_fed(history, slow)
    nowhere = "in it, nor in a --slow file for its time"
    said = [
        f"window {name}: shorter than the resolution"
        for name, seconds in (("1m", 60), ("5m", 300), ("1h", 3_600))
        if seconds < step_s
    ]
    if step_s > 3_600:
        said.append("z over 24 h of every level, crowded regimes, flush and reset: a day has too few values")
        said.append(
            "realised volatility of 24 h, its rank, and so fragility: judged without it, by the other two ranks"
        )
    if step_s >= 3_600:
        said.append("strength: fewer than 60 scores a day")
    said.append("taker flow: not a column")
    if "funding_rate" not in columns:
        said.append(f"funding, its rank, fragility: no funding rate {nowhere}")
    if "index" not in columns:
        said.append("premium: no index price")
    if "mark" not in columns:
        said.append("mark price: the last price stands for it")
    if "reserve_coins" not in columns:
        said.append(f"oi_reserve: no reserve {nowhere}")
    if "supply_coins" not in columns and "market_cap" not in columns:
        said.append(f"oi_mcap: no supply {nowhere}")
    if "liquidated_long_coins" not in columns and "liquidated_short_coins" not in columns:
        said.append("liquidations, and whether a flush was forced: not a column")
    if len(history.venues) == 1:
        said.append("divergence between venues: one venue")
    return said


def _iso(ts: int | np.int64) -> str:
    return datetime.fromtimestamp(int(ts) / 1000, UTC).isoformat(timespec="seconds")


def headline(told: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of ``question``, ``number`` (an estimate), ``verdict``, ``note``; a no stands where a yes would."""
    return [*_direction(told), *_fragility(told), *_deleveraging(told)]


def _direction(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    direction = told["direction"]
    main, trades = direction["main_horizon"], direction["trades"]
    signal = direction["signals"].get("composite", {}).get(main, {})
    test = f"composite {main}"
    yield _row(told, f"Does the score rank the return of the next {main}?", signal.get("ic"), f"{test}: IC")
    yield _row(
        told, f"Is its sign right more often than not over {main}?", signal.get("hit_rate"), f"{test}: hit rate",
        nothing=0.5,
    )  # fmt: skip
    yield _row(
        told, "Does the published direction earn anything before costs (basis points a trade)?", trades["gross_bp"],
        "direction: gross return",
        note="" if trades["net_bp"] is None else f"{trades['n']} trades, after costs {trades['net_bp']:.3g}",
    )  # fmt: skip
    yield _row(
        told, f"Is a probability of a rise over {main} made of it better than the base rate (below 0)?",
        (direction["brier"].get("composite") or {}).get("difference"), f"{test}: Brier against climatology", sign=-1,
    )  # fmt: skip


def _fragility(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    fragile = told["fragility"]
    name, horizon = fragile["judged_by"], fragile["horizon"]
    for label, words in LABELS.items():
        yield _row(
            told, f"Does {name} rank the chance of {words} within {horizon} (area; 0.5 is nothing)?",
            fragile["auc"][label][name]["auc"], f"{name} {label}: AUC", nothing=0.5,
            note=f"episodes: {fragile['labels'][label]['episodes']}",
        )  # fmt: skip
        yield _row(
            told, "... and is a probability made of it better than the base rate (below 0)?",
            (fragile["forecast"][label] or {}).get("difference"), f"{name} {label}: Brier against climatology", sign=-1,
        )  # fmt: skip
    yield _row(
        told, f"Does {name} rank the volatility of the next {horizon} (not claimed)?",
        fragile["correlation"]["volatility"][name], f"{name} volatility: rank correlation",
    )  # fmt: skip


def _deleveraging(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    said = told["deleveraging"]
    for label, words in DEEP.items():
        judged = said[label] or {}
        for kind in ("climatology", "volatility"):
            row = _row(
                told, f"Is p_deleveraging of {words} better than {REFERENCES[kind]} (skill; 0 is nothing)?",
                judged.get(f"skill_over_{kind}"), f"p_deleveraging {label}: skill over {kind}",
                note="fitted to other symbols of this time" if said["fitted_to"] == "time" else "",
            )  # fmt: skip
            yield {**row, "verdict": FITTED} if said["fitted_to"] == "symbol" else row
    spike = told["marks"]["elr_spike"]["oi_5"]
    lift = spike["lift"]["value"]
    yield _row(
        told, "Is an elr_spike followed by a fall of 5 % more often than hours as volatile are (difference of shares)?",
        spike["difference"], "elr_spike, oi_5: against hours as volatile",
        note=f"{spike['n']} alerts" + ("" if lift is None else f", {lift:.2f} times as often"),
    )  # fmt: skip
    reset = told["resets"]["began reset"]["drawdown 72h"]
    yield _row(
        told, "Is the drawdown of the three days after a reset begins smaller than after hours as volatile (below 0)?",
        reset["difference"], "began reset: drawdown 72h: against hours as volatile", sign=-1,
        note=f"{reset['n']} resets",
    )  # fmt: skip


def _row(
    told: dict[str, Any],
    question: str,
    number: dict[str, Any] | None,
    test: str,
    nothing: float = 0.0,
    sign: int = 1,
    note: str = "",
) -> dict[str, Any]:
    """``nothing``: the value that says nothing; ``sign``: on which side of it the answer is yes."""
    corrected = next((row["p_corrected"] for row in told["multiplicity"]["rows"] if row["test"] == test), None)
    return {
        "question": question,
        "number": NOTHING if number is None else number,
        "verdict": verdict(number, corrected, nothing, sign),
        "note": note,
    }


def verdict(number: dict[str, Any] | None, corrected: float | None, nothing: float = 0.0, sign: int = 1) -> str:
    """In words. ``corrected``: the p-value after Benjamini-Hochberg over the part's tests."""
    if number is None or number["value"] is None:
        return UNDEFINED
    if number["p"] is None or corrected is None:
        return NO_INTERVAL
    if number["p"] >= LEVEL:
        return NOT_SHOWN
    if corrected >= LEVEL:
        return NOT_LEFT
    return SHOWN if (number["value"] - nothing) * sign > 0 else OPPOSITE
