"""The tables of docs/evidence.md, from the history files: ``python -m bench.evidence HISTORY DIR``.

HISTORY holds the files that the document names; the reports of ``elr backtest`` go to DIR (several minutes; ``--have``:
they are there already). ``--check docs/evidence.md`` prints only the lines of the tables that the document does not
have, and ends with status 1 if there are any.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from service.cli.main import run
from service.errors import ConfigError, HistoryError
from service.research.backtest import deleveraging, marks
from service.research.backtest.deleveraging import Rows
from service.research.backtest.judging import Trials, plain
from service.research.backtest.measures import Bools, Floats, Ints
from service.research.backtest.reports import read
from service.research.backtest.series import DAY_S
from service.research.backtest.weeks import week_of

DAYS = ("2020-03-12", "2021-05-19", "2021-09-07", "2021-12-04", "2022-05-11", "2022-11-08", "2023-08-17", "2023-12-10",
        "2024-01-03", "2024-07-04", "2024-08-05", "2025-10-10", "2026-02-05")  # fmt: skip
A = "tardis_binance_BTCUSDT_derivative_ticker_1h_20231128_20240214.csv.gz"
B = "tardis_binance_BTCUSDT_derivative_ticker_1h_20240501_20241017.csv.gz"
FUNDING = "funding_binance_BTC.csv.gz"
COINS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "AVAX", "BNB")  # of Bybit, 2024-10 to 2026-02
# name of the report -> files, slow companions, symbol
REPORTS: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "daily": (("btc_daily_oi_reserve_funding.csv.gz",), (), "BTC"),
    "hourly": ((A, B), (), "BTC"),
    "btc_1h": (("coinalyze_binance_BTCUSDT_1h_20240619_20240819.csv.gz",), (FUNDING,), "BTC"),
    "eth_1h": (("coinalyze_binance_ETHUSDT_1h_20240619_20240819.csv.gz",), (), "ETH"),
    "btc_5m": (("coinalyze_binance_BTCUSDT_5m_20240913_20240918.csv.gz",), (FUNDING,), "BTC"),
    "xrp_5m": (("coinalyze_binance_XRPUSDT_5m_20240913_20240918.csv.gz",), (), "XRP"),
    "xbt_5s": (("bitmex_XBTUSD_oi_5s_20191226.csv.gz",), (), "BTC"),
    "bybit_btc_old": (("bybit_BTC_1h_202012_20231127.csv.gz",), ("funding_binance_BTC_to_2026.csv.gz",), "BTC"),
    **{
        f"bybit_{coin.lower()}": (
            (f"bybit_{coin}_1h_20241018_20260225.csv.gz",),
            (f"funding_binance_{coin}_to_2026.csv.gz",),
            coin,
        )
        for coin in COINS
    },
}
BYBIT = ("bybit_btc_old", *(f"bybit_{coin.lower()}" for coin in COINS))
FITTED = (*BYBIT, "hourly")  # what p_deleveraging is fitted to
SIX = tuple(f"bybit_{coin.lower()}" for coin in COINS[1:])
ALL, EIGHT = "all ten files", "the eight of Bybit"
WITHIN = {"oi_5": "open interest -5 %", "oi_10": "open interest -10 %"}
GROUPS = {
    "BTC 2024-10 to 2026-02": ("bybit_btc",),
    "BTC 2020-12 to 2023-11": ("bybit_btc_old",),
    "six coins 2024-10 to 2026-02": SIX,
}
HIGHEST = "lift of the highest decile"
RUNS = (1, 2, 4, 8)  # weeks drawn at once
Part = dict[str, Any]


def make(history: Path, directory: Path) -> None:
    for name, (files, slow, symbol) in REPORTS.items():
        arguments = ["backtest", *(str(history / file) for file in files), "--symbol", symbol]
        for file in slow:
            arguments += ["--slow", str(history / file)]
        for day in DAYS:
            arguments += ["--event", day]
        if run([*arguments, "--report", str(directory / name), "--resume"]) != 0:
            sys.exit(f"{name}: no report")


def parts(directory: Path) -> dict[str, Part]:
    found: dict[str, Part] = {}
    for name in REPORTS:
        told = orjson.loads((directory / name / "report.json").read_bytes())
        if name == "hourly":
            found["A"], found["B"], found["A and B"] = told
        else:
            (found[name],) = told
    return found


def shown(number: Part | None, digits: int = 3, left: bool = False) -> str:
    """A number with its interval; in bold where it is left after the correction."""
    if number is None or number["value"] is None:
        return "-"
    value = f"{number['value']:.{digits}f}"
    if number["low"] is None:
        return value
    text = f"{value} [{number['low']:.{digits}f}, {number['high']:.{digits}f}]"
    return f"**{text}**" if left else text


def kept(part: Part) -> frozenset[str]:
    return frozenset(part["multiplicity"]["left_after_benjamini_hochberg"])


def line(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def tests(found: dict[str, Part]) -> Iterator[str]:
    yield line("file", "ticks", "tests", "p < 0.05 (by chance)", "left")
    names = {"daily": "daily BTC", "A": "hourly BTC, A", "B": "hourly BTC, B", "A and B": "A and B together",
             "btc_1h": "hourly BTC with liquidations", "eth_1h": "hourly ETH with liquidations",
             "btc_5m": "5-minute BTC", "xrp_5m": "5-minute XRP", "xbt_5s": "5-second XBTUSD",
             **{key: f"hourly, {key}" for key in BYBIT}}  # fmt: skip
    for key, name in names.items():
        part, many = found[key], found[key]["multiplicity"]
        chance = f"{many['below_5_percent']} ({many['expected_by_chance']:.1f})"
        yield line(name, f"{part['ticks']:,}", many["tests"], chance, len(kept(part)))


def coefficients(found: dict[str, Part]) -> Iterator[str]:
    shown_at = ("1h", "4h", "1d", "3d")
    yield line("information coefficient, A and B", *shown_at)
    part = found["A and B"]
    left = kept(part)
    names = {"composite": "composite", "component 1h:positioning": "positioning", "component 1h:premium": "premium",
             "component 1h:funding": "funding (component)", "baseline momentum": "baseline: last hour's return",
             "baseline funding": "baseline: opposite of funding"}  # fmt: skip
    for key, name in names.items():
        at = part["direction"]["signals"][key]
        yield line(name, *(shown(at[h]["ic"], 3, f"{key} {h}: IC" in left) for h in shown_at))


def direction(found: dict[str, Part]) -> Iterator[str]:
    yield line("file", "horizon", "composite: IC", "hit rate", "momentum: IC", "hit rate")
    for key, horizons in {"A and B": ("1h",), "btc_1h": ("1h", "1d"), "eth_1h": ("1h", "1d"), "btc_5m": ("5m", "1h"),
                          "xrp_5m": ("5m", "1h"), "xbt_5s": ("1m",), "daily": ("1d", "3d", "7d"),
                          **dict.fromkeys(BYBIT, ("1h", "1d"))}.items():  # fmt: skip
        part = found[key]
        left = kept(part)
        for horizon in horizons:
            cells = []
            for name in ("composite", "baseline momentum"):
                at = part["direction"]["signals"].get(name, {}).get(horizon)
                for kind, test in (("ic", "IC"), ("hit_rate", "hit rate")):
                    cells.append(shown(at and at[kind], 3, f"{name} {horizon}: {test}" in left))
            yield line(key, horizon, *cells)


def trades(found: dict[str, Part]) -> Iterator[str]:
    yield line("file", "trades", "hit rate", "gross, bp", "net of 10 bp", "sign of momentum: gross, bp")
    for key, part in found.items():
        made = part["direction"]["trades"]
        if made["n"] == 0:
            continue
        momentum = part["direction"]["sign_trades"].get("baseline momentum", {}).get("gross_bp")
        yield line(key, f"{made['n']:,}", shown(made["hit_rate"]), shown(made["gross_bp"], 1), f"{made['net_bp']:.1f}",
                   shown(momentum, 1))  # fmt: skip


def probabilities(found: dict[str, Part]) -> Iterator[str]:
    yield line("walk-forward probability", "n", "Brier", "climatology", "difference (below 0: better)")
    for key, part in found.items():
        told = {f"{part['direction']['main_horizon']} rise, composite": part["direction"]["brier"].get("composite")}
        told |= {f"{label}, {part['fragility']['judged_by']}": part["fragility"]["forecast"][label]
                 for label in ("flush", "oi_fall_5", "oi_fall_10")}  # fmt: skip
        for name, item in told.items():
            if item is not None:
                difference = shown(item["difference"], 4)
                yield line(f"{key}: {name}", f"{item['n']:,}", f"{item['brier']:.4f}",
                           f"{item['brier_climatology']:.4f}", difference)  # fmt: skip


def regimes(found: dict[str, Part]) -> Iterator[str]:
    yield line("regime: return of the next day less that of all others, %", "A", "B", "A and B", "daily")
    keys = ("A", "B", "A and B", "daily")
    names = sorted({row["regime"] for key in keys for row in found[key]["regimes"]})
    for name in names:
        cells = []
        for key in keys:
            row = next((row for row in found[key]["regimes"] if row["regime"] == name), None)
            against = None if row is None else row["return_against_others"]
            cells.append(shown(percent(against), 1, f"regime {name}: return 1d" in kept(found[key])))
        yield line(name, *cells)


def after_regimes(found: dict[str, Part]) -> Iterator[str]:
    yield line("regime: ticks; share followed by a fall of open interest by 5 % within a day", "A and B", "daily")
    keys = ("A and B", "daily")
    for name in sorted({row["regime"] for key in keys for row in found[key]["regimes"]}):
        cells = []
        for key in keys:
            row = next((row for row in found[key]["regimes"] if row["regime"] == name), None)
            cells.append("-" if row is None else f"{row['n']:,}; {100 * row['oi_fall_5']:.1f} %")
        yield line(name, *cells)


def areas(found: dict[str, Part]) -> Iterator[str]:
    labels = ("flush", "oi_fall_5", "oi_fall_10")
    yield line("area under the curve", "flush (the service's own)", "open interest -5 %", "open interest -10 %")
    scores = {"A and B": ("fragility", "rank_elr", "rank_funding", "rank_volatility"), "A": ("fragility",),
              "B": ("fragility",), "btc_1h": ("fragility",), "eth_1h": ("rank_elr", "rank_volatility"),
              "daily": ("leverage and funding", "rank_elr", "rank_funding")}  # fmt: skip
    for key, names in scores.items():
        part = found[key]["fragility"]
        left = kept(found[key])
        counts = [part["labels"][label]["episodes"] or "-" for label in labels]
        yield line(f"{key}: episodes", *counts)
        for name in names:
            yield line(f"{key}: {name}", *(
                shown(part["auc"][label][name]["auc"], 3, f"{name} {label}: AUC" in left) for label in labels
            ))  # fmt: skip
        if len(names) != 1:
            yield line(f"{key}: lift of {names[0]}'s highest decile", *(
                shown(part["auc"][label][names[0]]["lift"], 1, f"{names[0]} {label}: {HIGHEST}" in left)
                for label in labels
            ))  # fmt: skip


def correlations(found: dict[str, Part]) -> Iterator[str]:
    yield line("rank correlation with the next day's", "volatility", "drawdown")
    for key, names in {"A and B": ("fragility", "rank_elr", "rank_volatility"),
                       "daily": ("leverage and funding", "rank_elr")}.items():  # fmt: skip
        told, left = found[key]["fragility"]["correlation"], kept(found[key])
        for name in names:
            yield line(f"{key}: {name}", *(
                shown(told[o][name], 3, f"{name} {o}: rank correlation" in left) for o in ("volatility", "drawdown")
            ))  # fmt: skip


def deciles(found: dict[str, Part]) -> Iterator[str]:
    yield line("decile of fragility, A and B", *range(1, 11))
    for label in ("flush", "oi_fall_5", "oi_fall_10"):
        rows = found["A and B"]["fragility"]["deciles"]
        yield line(f"{label}, %", *(f"{100 * row[label]:.1f}" for row in rows))


def cascades(found: dict[str, Part]) -> Iterator[str]:
    yield line("day", "before", "30 d", "days as high", "180 d", "lowest of the fall", "change", "largest day",
               "regime before", "days with that regime")  # fmt: skip
    for item in found["daily"]["events"]:
        change, step = f"{100 * item['change']:.1f} %", f"{100 * item['largest_step']:.1f} %"
        yield line(item["event"], f"{item['pre']:.4f}", f"{item['percentile_30d']:.2f}", f"{item['days_as_high']:.0%}",
                   f"{item['percentile_180d']:.2f}", f"{item['trough']:.4f}", change, step, item["regime"],
                   f"{item['days_same_regime']:.0%}")  # fmt: skip


def flushes(found: dict[str, Part]) -> Iterator[str]:
    yield line("day", "file", "change of open interest", "fragility before", "flush seen",
               "share of the fall over by then", "forced")  # fmt: skip
    for key in ("A", "B", "btc_1h", "eth_1h", *BYBIT):
        for item in found[key]["events"]:
            fragility = "undefined" if item["fragility"] is None else f"{item['fragility']:.2f}"
            done = "" if item["fallen_by_then"] is None else f"{item['fallen_by_then']:.0%}"
            forced = {None: "unknown", True: "yes", False: "no"}[item["forced"]] if item["flush_at"] else ""
            seen = item["flush_at"][5:16].replace("T", " ") if item["flush_at"] else "**never**"
            yield line(item["event"], key, f"{100 * item['change']:.1f} %", fragility, seen, done, forced)


@dataclass(frozen=True, slots=True)
class Pool:
    """The hours of the files that p_deleveraging is fitted to, of all symbols together, and what was found in them.

    Whatever is tested in them is one family. ``files``: report -> numbers of its files; ``rows``: the hours that count
    for p_deleveraging, ``forecasts``: what was said of them walk-forward.
    """

    hours: marks.Hours
    files: dict[str, list[int]]
    rows: Rows
    forecasts: dict[str, dict[str, Floats]]
    ranked: dict[str, dict[str, Part]]
    marks: dict[str, Part]
    resets: dict[str, Part]
    judged: dict[str, dict[str, Part | None]]
    longer: dict[str, list[Part | None]]
    left: frozenset[str]


def pool(directory: Path) -> Pool:
    """Everything that rests on several reports. Takes a minute or two."""
    hours, rows, files = [], [], {}
    for name in FITTED:
        files[name] = []
        for item in read(directory / name):
            number, ahead = len(hours), item.series.ahead(DAY_S)
            files[name].append(number)
            hours.append(marks.hours_of(item.series, ahead, number))
            rows.append(deleveraging.rows_of(item.series, ahead, number))
    every, counted = marks.joined(hours), deleveraging.joined(rows)
    forecasts, trials = deleveraging.walk_forward(counted), Trials()
    counts = (every.columns["usable"] == 1) & ~np.isnan(every.columns["oi_5"])  # the same rows in the same order

    def inside(names: Sequence[str], file: Ints) -> Bools:
        return np.isin(file, [number for name in names for number in files[name]])

    ranked: dict[str, dict[str, Part]] = {}
    for group, names in GROUPS.items():
        ranked[group] = {}
        for label in deleveraging.FALLS:
            said = np.full(len(every.ts), np.nan)
            said[counts] = forecasts["model"][label]
            every.columns["p_deleveraging"] = said
            chosen = every.chosen(inside(names, every.file))
            ranked[group][label] = marks.ranked(chosen, label, group, trials)
    groups = {ALL: FITTED, **GROUPS}
    followed, entries = {}, {}
    for group, names in groups.items():
        chosen = every.chosen(inside(names, every.file))
        followed[group] = marks.table(chosen, trials, f"{group}: ", (*marks.MARKS, marks.SHORT_SPIKE))
        entries[group] = marks.resets(chosen, trials, f"{group}: ")
    spikes = (marks.SPIKE, marks.SHORT_SPIKE)
    followed[EIGHT] = marks.table(every.chosen(inside(BYBIT, every.file)), trials, f"{EIGHT}: ", spikes)
    years = (counted.ts.astype("datetime64[ms]").astype("datetime64[Y]").astype(np.int64)) + 1970
    parts = {group: inside(names, counted.file) for group, names in groups.items()}
    parts |= {str(year): years == year for year in range(2021, 2027)}
    judged = {
        name: {
            label: deleveraging.judged(
                counted.chosen(part),
                {form: {of: value[part] for of, value in told.items()} for form, told in forecasts.items()},
                label, trials, f"{name}: p_deleveraging",
            )
            for label in deleveraging.FALLS
        }
        for name, part in parts.items()
    }  # fmt: skip
    left = frozenset(trials.summary()["left_after_benjamini_hochberg"])
    within = {group: inside(names, every.file) for group, names in groups.items()}
    longer = longer_runs(every, within, counted, {group: parts[group] for group in groups}, forecasts)
    return Pool(every, files, counted, forecasts, ranked, followed, entries, judged, longer, left)


def longer_runs(
    every: marks.Hours,
    within: dict[str, Bools],
    counted: Rows,
    parts: dict[str, Bools],
    forecasts: dict[str, dict[str, Floats]],
) -> dict[str, list[Part | None]]:
    """The claims with their intervals by runs of :data:`RUNS` weeks: leverage lingers for longer than one. No tests:
    the claims are counted where they are made, by single weeks.

    ``within`` and ``parts``: group -> which of ``every`` and of ``counted`` are of it.
    """
    told: dict[str, list[Part | None]] = {}
    for group, part in parts.items():
        for label, words in WITHIN.items():
            judged = part & ~np.isnan(forecasts["model"][label])
            was, weeks = counted.happened(label)[judged], week_of(counted.ts[judged])
            errors = {form: (said[label][judged] - was) ** 2 for form, said in forecasts.items()}
            for form, over in (("volatility", "volatility alone"), ("climatology", "the share")):
                told[f"{words}, {group}: skill over {over}"] = [
                    plain(deleveraging.skill(errors["model"], errors[form], was, weeks, run)) for run in RUNS
                ]
    for group in GROUPS:
        hours = every.chosen(within[group] & ~np.isnan(every.columns["oi_5"]))
        for scores in (("rank_elr",), ("fragility", "volatility_24h")):
            inside = np.all([np.isfinite(hours.columns[score]) for score in scores], axis=0)
            told[f"open interest -5 %, {group}: area of {' less '.join(scores)}"] = [
                plain(marks.area_of(hours, scores, hours.columns["oi_5"] == 1, inside, run)) for run in RUNS
            ]
    for group in (ALL, *GROUPS):
        hours = every.chosen(within[group])
        told[f"open interest -5 %, {group}: times as often after elr_spike"] = [
            marks.against(hours, f"began {marks.SPIKE}", "oi_5", "", Trials(), run)["lift"] for run in RUNS
        ]
    hours = every.chosen(within[ALL])
    told["drawdown within 72 h after a reset, %, all ten files: less that of hours as volatile"] = [
        percent(marks.against(hours, "began reset", "drawdown 72h", "", Trials(), run)["difference"]) or {}
        for run in RUNS
    ]
    return told


def longer(pooled: Pool) -> Iterator[str]:
    yield line("interval by drawing runs of", *(f"{run} week{'s' * (run > 1)}" for run in RUNS))
    for name, numbers in pooled.longer.items():
        yield line(name, *(shown(number) for number in numbers))


def first_look(found: dict[str, Part]) -> Iterator[str]:
    """What an earlier look at the files of Binance and the daily one had said, beside what they say now."""
    both, daily = found["A and B"], found["daily"]
    composite = both["direction"]["signals"]["composite"]
    auc, days = both["fragility"]["auc"], daily["fragility"]["auc"]
    hourly = [shown(auc[label]["fragility"]["auc"], 2) for label in ("flush", "oi_fall_5")]
    told = [shown(days[label]["leverage and funding"]["auc"], 2) for label in ("oi_fall_5", "oi_fall_10")]
    volatility = both["fragility"]["correlation"]["volatility"]["rank_volatility"]
    yield line("first look", "here")
    yield line(
        "composite 1h -0.001 [-0.021, 0.018], 24h +0.053 [-0.010, 0.121]",
        f"1h {shown(composite['1h']['ic'])}, 24h {shown(composite['1d']['ic'])}: **agrees**, nothing usable",
    )
    yield line(
        "fragility ranks flushes, hourly 0.67 [0.59, 0.77]",
        f"**corrected**: for the service's own flush {hourly[0]}, which shows nothing; for a fall of 5 % {hourly[1]}",
    )
    yield line(
        "daily 0.61 [0.55, 0.67]",
        f"{told[0]} at 5 %, {told[1]} at 10 %, with two of the three ranks: **agrees**, less surely; "
        "the volatility rank does not exist on daily data",
    )
    yield line(
        "says nothing about volatility",
        f"**agrees**, also for its volatility rank by itself ({shown(volatility, 2)})",
    )


def informs(pooled: Pool) -> Iterator[str]:
    for label, words in WITHIN.items():
        yield line(f"area under the curve, {words}", *pooled.ranked)
        for score in marks.ALL_SCORES:
            yield line(score, *(
                shown(told[label]["auc"].get(score), 3, f"{group}, {label}: {score}" in pooled.left)
                for group, told in pooled.ranked.items()
            ))  # fmt: skip
        for first, second in marks.DIFFERENCES:
            yield line(f"{first} less {second}", *(
                shown(told[label]["difference"].get(f"{first}-{second}"), 3,
                      f"{group}, {label}: {first} less {second}" in pooled.left)
                for group, told in pooled.ranked.items()
            ))  # fmt: skip
        for number in range(marks.QUINTILES):
            yield line(f"rank_elr, fifth {number + 1} of volatility", *(
                shown(told[label]["leverage_by_volatility"][number], 3,
                      f"{group}, {label}: rank_elr, fifth {number + 1} of volatility" in pooled.left)
                for group, told in pooled.ranked.items()
            ))  # fmt: skip


def said(pooled: Pool) -> Iterator[str]:
    yield line("p_deleveraging, walk-forward", "hours", "happened, %", "Brier", "of volatility alone", "of the share",
               "skill over volatility alone", "skill over the share", "area", "less that of volatility")  # fmt: skip
    for name, labels in pooled.judged.items():
        for label, told in labels.items():
            if told is None:
                continue
            test = f"{name}: p_deleveraging {label}:"
            scores = (f"{told['brier'][form]:.4f}" for form in deleveraging.FORMS)
            yield line(f"{WITHIN[label]}: {name}", f"{told['n']:,}", f"{100 * told['happened']:.1f}", *scores,
                       shown(told["skill_over_volatility"], 3, f"{test} skill over volatility" in pooled.left),
                       shown(told["skill_over_climatology"], 3, f"{test} skill over climatology" in pooled.left),
                       shown(told["auc"], 3, f"{test} AUC" in pooled.left), shown(told["auc_difference"]))  # fmt: skip


def calibration(pooled: Pool) -> Iterator[str]:
    yield line("tenth of hours by what was said, all ten files", *range(1, 11))
    for label, words in WITHIN.items():
        told = pooled.judged[ALL][label]
        assert told is not None
        yield line(f"{words}: said, %", *(f"{100 * item['said']:.1f}" for item in told["reliability"]))
        yield line(f"{words}: happened, %", *(
            shown(percent({"value": item["happened"], "low": item["low"], "high": item["high"]}), 1)
            for item in told["reliability"]
        ))  # fmt: skip


def alerts(pooled: Pool) -> Iterator[str]:
    yield line("begins", "n", *(
        cell for words in WITHIN.values() for cell in (f"{words}, %", "hours as volatile, %", "times as often")
    ))  # fmt: skip
    for group, told in pooled.marks.items():
        for mark, labels in told.items():
            cells = []
            for label, found in labels.items():
                left = f"{group}: {mark}, {label}: against hours as volatile" in pooled.left
                cells += [shown(percent(found["followed"]), 1), shown(percent(found["matched"]), 1)]
                cells.append(shown(found["lift"], 2, left))
            yield line(f"{mark}: {group}", labels["oi_5"]["n"], *cells)


def entry(pooled: Pool) -> Iterator[str]:
    yield line("reset, %", "n", "after it", "hours as volatile", "difference")
    for group, told in pooled.resets.items():
        for when, outcomes in told.items():
            for outcome, found in outcomes.items():
                if group != ALL and (when != "began reset" or outcome.startswith("return")):
                    continue
                left = f"{group}: {when}: {outcome}: against hours as volatile" in pooled.left
                number, of = (shown(percent(found[part]), 2) for part in ("followed", "matched"))
                yield line(f"{when}: {outcome}: {group}", f"{found['n']:,}", number, of,
                           shown(percent(found["difference"]), 2, left))  # fmt: skip


def percent(number: Part | None) -> Part | None:
    return number and {name: value if value is None or name in ("n", "p") else 100 * value
                       for name, value in number.items()}  # fmt: skip


def falls_found(found: dict[str, Part]) -> Iterator[str]:
    yield line("file", "episodes", "flush before the trough", "over when it shows", "hours after the peak",
               "false starts a month")  # fmt: skip
    for key, part in found.items():
        told = part.get("episodes")
        if not told or told["n"] == 0:
            continue
        recall, rate = told["before_trough"], told["false_a_month"]
        over = "-" if told["over"] is None else f"{100 * told['over'][1]:.0f} %"
        hours = "-" if told["hours"] is None else f"{told['hours'][1]:.1f}"
        yield line(key, told["n"], f"{recall['value']:.2f} [{recall['low']:.2f}, {recall['high']:.2f}]", over, hours,
                   f"{rate['value']:.2f} [{rate['low']:.2f}, {rate['high']:.2f}]")  # fmt: skip


POOLED = (said, calibration, longer, informs, alerts, entry)
TABLES = (
    tests,
    coefficients,
    direction,
    trades,
    probabilities,
    regimes,
    after_regimes,
    areas,
    correlations,
    deciles,
    cascades,
    flushes,
    falls_found,
    first_look,
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.evidence", description=__doc__)
    parser.add_argument("history", metavar="HISTORY", type=Path)
    parser.add_argument("directory", metavar="DIR", type=Path)
    parser.add_argument("--have", action="store_true", help="the reports are in DIR")
    parser.add_argument("--check", metavar="FILE", type=Path, help="print only what this document does not have")
    options = parser.parse_args()
    if not options.have:
        make(options.history, options.directory)
    try:
        found, pooled = parts(options.directory), pool(options.directory)
    except (OSError, ConfigError, HistoryError) as error:
        sys.exit(f"{error}; without --have the reports are made")
    return told([list(table(found)) for table in TABLES] + [list(table(pooled)) for table in POOLED], options.check)


def told(tables: Iterable[Sequence[str]], document: Path | None) -> int:
    """Print the tables, or only the lines that the ``document`` does not have; 1 if there are any of these, else 0."""
    have = None if document is None else set(document.read_text(encoding="utf-8").splitlines())
    missing = 0
    for rows in tables:
        if have is None:
            print("\n".join([rows[0], "|---" * (rows[0].count("|") - 1) + "|", *rows[1:]]), end="\n\n")
        else:
            absent = [row for row in rows if row not in have]
            missing += len(absent)
            print("\n".join(absent), end="\n" if absent else "")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
