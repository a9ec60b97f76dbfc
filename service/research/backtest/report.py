"""The report: one HTML file that needs nothing else, and every number in it as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from service.research.backtest import plots
from service.research.backtest.deleveraging import DEEP
from service.research.backtest.series import Series

STYLE = """
body { font: 14px/1.45 sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: .6em 0 1.4em; font-size: 12px }
td, th { border: 1px solid #ccc; padding: 2px 7px; text-align: right }
td:first-child, th:first-child { text-align: left }
h1, h2 { border-bottom: 1px solid #999 } svg { width: 100%; height: auto } .note { color: #555 }
"""
INTRODUCTION = (
    "Scored by the service's own code, tick by tick, with the same formulas and settings as live. Intervals are at "
    "95 %: Newey-West for information coefficients and means, Wilson for shares, blocks of seven days for areas under "
    "the curve, lifts and rank correlations; where sliding the two series past each other gives more by chance, that. "
    "An interval that holds 0 (0.5 for an area or a hit rate, 1 for a lift) shows nothing, and is printed all the "
    "same. A dash: these data cannot say."
)
FITTED_TO = {
    "symbol": "Its parameters were fitted to this symbol in this time: a description and no test.",
    "time": "Its parameters were fitted to other symbols of this time, and coins fall together: half a test.",
    None: "Its parameters were fitted to other times: a test.",
}
# By a verdict's first word: blue and orange, which colour-blind readers tell apart, and neither for what shows nothing.
BANDS = {"yes": "#cfe4f5", "no": "#fbd5ac", "not": "#ffffff", "cannot": "#eeeeee"}
SIGNS = {"yes": "\u2713", "no": "\u2717", "not": "\u25cb", "cannot": "\u2013"}  # the same without any colour
LEGEND = "\u2713 yes, \u2717 no (the opposite is shown), \u25cb not shown, \u2013 cannot be said."
EVENTS = {  # rows of the known days
    "event": "day", "variant": "level", "pre_at": "highest before the low: when", "pre": "highest before the low",
    "percentile_30d": "its percentile, 30 days", "percentile_180d": "its percentile, 180 days",
    "fragility": "fragility then", "regime": "regime then", "trough_at": "low: when", "trough": "low",
    "over_at": "over (half regained, or a day without a lower low)", "change": "change of the level",
    "largest_step": "largest step", "price_change": "change of the price", "flush_can_be_seen": "a flush can be seen",
    "flush_at": "flush seen, up to the low", "fallen_by_then": "share of the fall over by then",
    "forced": "forced by liquidations", "days_as_high": "share of all days as high",
    "days_same_regime": "share of all days with that regime",
}  # fmt: skip
VARIANTS = {"oi_reserve": "open interest / reserve", "oi_coins": "open interest, coins"}


def number(value: Any) -> str:
    """As it is shown: four significant digits, a dash for what is not known."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def estimate(value: dict[str, Any]) -> str:
    """A number with its interval, or a dash."""
    if value["value"] is None:
        return "-"
    around = "no interval" if value["low"] is None else f"{value['low']:.3g} to {value['high']:.3g}"
    return f"{value['value']:.3g} [{around}]"


def named(name: str | None) -> str | None:
    """A name of report.json as the report says it."""
    return None if name is None else plots.WORDS.get(name, name)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    lines = "".join(
        "<tr>"
        + "".join(f"<td>{escape(cell if isinstance(cell, str) else number(cell))}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{lines}</table>"


def page(runs: Sequence[tuple[dict[str, Any], Series]]) -> str:
    """The whole page; each run is its numbers (``report.json``'s) and the ticks they come from."""
    parts = [_run(told, series) for told, series in runs]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>ELR back-test</title>'
        f"<style>{STYLE}</style></head><body><h1>ELR back-test</h1><p>{escape(INTRODUCTION)}</p>"
        f"{''.join(parts)}</body></html>\n"
    )


def _run(told: dict[str, Any], series: Series) -> str:
    title = " + ".join(item["file"] for item in told["inputs"])
    direction, fragile = told["direction"], told["fragility"]
    return "".join(
        [
            f"<h2>{escape(told['symbol'])}: {escape(title)}</h2>",
            _headline(told),
            _inputs(told),
            plots.timeline(series),
            _direction(direction),
            plots.decay(direction) or "",
            _fragility(fragile),
            plots.by_decile(fragile["deciles"]) or "",
            plots.calibration(_curves(told)) or "",
            _deleveraging(told["deleveraging"]),
            plots.calibration(_said(told["deleveraging"])) or "",
            _marks(told["marks"], told["resets"]),
            _regimes(told["regimes"]),
            plots.by_regime(told["regimes"]) or "",
            _events(told["events"], told["events_not_covered"]),
            _multiplicity(told["multiplicity"]),
        ]
    )


def _headline(told: dict[str, Any]) -> str:
    """The answers, before anything else; a no in colour as well."""
    lines = "".join(
        f'<tr style="background:{BANDS[kind]}">'
        f"<td>{escape(row['question'])}</td><td>{escape(estimate(row['number']))}</td>"
        f"<td>{SIGNS[kind]} {escape(row['verdict'])}</td><td>{escape(row['note'])}</td></tr>"
        for row in told["headline"]
        for kind in [row["verdict"].split()[0].rstrip(":")]
    )
    counted = told["multiplicity"]
    return (
        f"<p>{told['ticks']} ticks, {told['from'][:16]} to {told['to'][:16]} UTC; {counted['tests']} tests, "
        f"{counted['below_5_percent']} with p below 0.05 where chance gives {counted['expected_by_chance']:.1f}.</p>"
        f"<table><tr><th>question</th><th>number [95 %]</th><th>answer</th><th></th></tr>{lines}</table>"
        f'<p class="note">{LEGEND}</p>'
    )


def _funding(intervals: dict[str, int]) -> str:
    """How many rates of which interval; those of an unknown one are not used."""
    told = [f"{count} of " + (name if name == "unknown" else f"{name} h") for name, count in intervals.items()]
    return f" (funding rates by interval: {', '.join(told)})" if told else ""


def _inputs(told: dict[str, Any]) -> str:
    rows = [
        (item["file"], item["layout"], f"{item['resolution_s']} s", item["rows"], item["repeated_rows"],
         "; ".join(f"{code}: {count}" for code, count in item["refused"].items()) or "none",
         ", ".join(item["ignored_columns"]) or "none",
         "; ".join(f"{part['from']} to {part['to']}" for part in item["segments"]))
        for item in told["inputs"]
    ]  # fmt: skip
    unfed = dict.fromkeys(text for item in told["inputs"] for text in item["cannot_feed"])
    slow = ", ".join(item["file"] + _funding(item["funding_intervals_h"]) for item in told["slow"]) or "none"
    return (
        "<h3>What was read</h3>"
        + table(
            (
                "file",
                "layout",
                "resolution",
                "rows",
                "repeated",
                "not believed",
                "columns not used",
                "stretches (anew after each hole)",
            ),
            rows,
        )
        + f"<p>{told['ticks']} ticks, {told['warm_ticks']} of them with enough of their own past; "
        f"{told['flushes']} flushes. Slow companions: {escape(slow)}.</p>"
        + "<p>Null, because these data cannot feed it:</p><ul>"
        + "".join(f"<li>{escape(text)}</li>" for text in unfed)
        + "</ul>"
        + table(
            ("field", "share of ticks that have it"),
            [(plots.in_words(name), share) for name, share in told["known"].items()],
        )
    )


def _direction(told: dict[str, Any]) -> str:
    horizons = told["horizons"]
    signals = told["signals"].items()
    text = "<h3>Direction</h3>"
    if told["undefined"]:
        text += "<p>The score is undefined on these data: no window is ready. Baselines only, which are not ours.</p>"
    text += "<p>Information coefficient (rank correlation with the return ahead):</p>"
    text += table(("", *horizons), [(name, *(estimate(at[h]["ic"]) for h in horizons)) for name, at in signals])
    text += "<p>Hit rate of the sign, outcomes that do not overlap:</p>"
    text += table(("", *horizons), [(name, *(estimate(at[h]["hit_rate"]) for h in horizons)) for name, at in signals])
    text += f"<p>Probability of a rise over {told['main_horizon']}, walk-forward; difference below 0 is better than "
    text += "always saying how often it rose so far:</p>"
    text += _briers(told["brier"])
    text += f"<p>The sign of each, held {told['main_horizon']}, one trade at a time:</p>"
    text += table(
        ("", "trades", "gross, bp", "net, bp"),
        [(name, item["n"], estimate(item["gross_bp"]), item["net_bp"]) for name, item in told["sign_trades"].items()],
    )
    trades = told["trades"]
    text += table(
        ("published direction", "trades", "hit rate", "gross, bp", "cost, bp", "net, bp"),
        [(f"held {told['main_horizon']}", trades["n"], estimate(trades["hit_rate"]), estimate(trades["gross_bp"]),
          float(trades["cost_bp"]), trades["net_bp"])],
    )  # fmt: skip
    return text


def _briers(briers: dict[str, dict[str, Any] | None]) -> str:
    return table(
        ("", "n", "Brier", "climatology", "skill", "difference"),
        [
            (name, item["n"], item["brier"], item["brier_climatology"], item["skill"], estimate(item["difference"]))
            if item is not None
            else (name, 0, None, None, None, "too little to learn from or to judge")
            for name, item in briers.items()
        ],
    )


def _fragility(told: dict[str, Any]) -> str:
    labels = {name: plots.WORDS[name] for name in told["labels"]}
    text = f"<h3>Fragility: what followed within {told['horizon']}</h3>"
    text += table(
        ("", "ticks", "share", "episodes"),
        [(labels[name], item["n"], item["share"], item["episodes"]) for name, item in told["labels"].items()],
    )
    for kind, words in (("auc", "Area under the curve"), ("lift", "Lift of the highest decile")):
        text += f"<p>{words}:</p>"
        text += table(
            ("", *labels.values()),
            [
                (named(score), *(estimate(told["auc"][label][score][kind]) for label in labels))
                for score in told["auc"]["flush"]
            ],
        )
    text += "<p>Episodes (ticks within a day of each other are one) are what an interval rests on, not ticks.</p>"
    text += "<p>Rank correlation with what came:</p>"
    outcomes = told["correlation"]
    text += table(
        ("", *outcomes),
        [(named(score), *(estimate(outcomes[name][score]) for name in outcomes)) for score in outcomes["volatility"]],
    )
    text += (
        f"<p>By decile of {escape(told['judged_by'])} (of the whole file: a description, not a rule known then):</p>"
    )
    text += table(
        ("decile", "from", "n", "volatility", "drawdown", *labels.values()),
        [[row[key] for key in ("decile", "from", "n", "volatility", "drawdown", *labels)] for row in told["deciles"]],
    )
    text += "<p>Its probability, walk-forward:</p>"
    return text + _briers({labels[name]: item for name, item in told["forecast"].items()})


def _regimes(rows: list[dict[str, Any]]) -> str:
    keys = ("regime", "n", "return", "up", "volatility", "drawdown", "oi_fall_5")
    return "<h3>Regimes: the day after</h3>" + table(
        (*map(plots.in_words, keys), "return less that of all others"),
        [
            (plots.in_words(row["regime"]), *(row[key] for key in keys[1:]), estimate(row["return_against_others"]))
            for row in rows
        ],
    )


def _events(rows: list[dict[str, Any]], missing: list[str]) -> str:
    """One column a day: there are more things to say than days."""
    text = "<h3>Known days</h3>" if rows or missing else ""
    if rows:
        text += (
            "<p>The one fall of the day, chosen with hindsight: from the highest level of the three days before it to "
            "its low; over once half is regained or a day has passed without a lower one. Days as high: of all days of "
            "the file, looked at the same way.</p>"
        )
        shown = [{**row, "variant": VARIANTS[row["variant"]], "regime": named(row["regime"])} for row in rows]
        text += table(
            ("", *(row["event"] for row in rows)),
            [(EVENTS.get(key, key), *(row[key] for row in shown)) for key in rows[0] if key != "event"],
        )
    if missing:
        text += f"<p>Not covered by this file: {escape(', '.join(missing))}.</p>"
    return text


def _deleveraging(told: dict[str, Any]) -> str:
    """The probability as the service says it, judged on these ticks."""
    text = f"<h3>p_deleveraging</h3><p>{FITTED_TO[told['fitted_to']]} "
    text += f"Parameters {escape(told['model'][:12])}; intervals by drawing weeks.</p>"
    rows = [
        (words, judged["n"], judged["happened"], judged["brier"]["model"], judged["brier"]["volatility"],
         judged["brier"]["climatology"], estimate(judged["skill_over_volatility"]),
         estimate(judged["skill_over_climatology"]), estimate(judged["auc"]), estimate(judged["auc_volatility"]))
        for label, words in DEEP.items()
        if (judged := told[label]) is not None
    ]  # fmt: skip
    header = ("", "hours", "share", "Brier score", "of volatility alone", "of the plain share",
              "skill over volatility", "skill over the plain share", "area", "area of volatility")  # fmt: skip
    return text + (table(header, rows) if rows else "<p>Cannot be said: too few hours, or it never happened.</p>")


def _said(told: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Calibration curves; a point without an interval has no bar."""
    return {
        f"p_deleveraging: {words}": [
            item if item["low"] is not None else {**item, "low": item["happened"], "high": item["happened"]}
            for item in told[label]["reliability"]
        ]
        for label, words in DEEP.items()
        if told[label]
    }


def _marks(marks: dict[str, Any], resets: dict[str, Any]) -> str:
    """What followed alerts and regimes."""
    rows = [
        (f"{mark}: {DEEP[label]}", found["n"], estimate(found["followed"]), estimate(found["matched"]),
         estimate(found["difference"]), estimate(found["lift"]))
        for mark, labels in marks.items()
        for label, found in labels.items()
    ]  # fmt: skip
    header = ("begins; within a day", "n", "followed by it", "hours as volatile", "difference", "times as often")
    entries = [
        (f"{when}: {outcome}", found["n"], estimate(found["followed"]), estimate(found["matched"]),
         estimate(found["difference"]))
        for when, outcomes in resets.items()
        for outcome, found in outcomes.items()
    ]  # fmt: skip
    return (
        "<h3>What followed alerts and regimes</h3><p>Beside all hours of the file in the same tenth of volatility_24h. "
        "Intervals by drawing weeks.</p>"
        + table(header, rows)
        + "<h3>Is a reset a cleaner entry?</h3><p>Logs; range: highest over lowest price.</p>"
        + table(("", "n", "after it", "hours as volatile", "difference"), entries)
    )


def _multiplicity(told: dict[str, Any]) -> str:
    left = plots.in_words(", ".join(told["left_after_benjamini_hochberg"])) or "none"
    return (
        f"<h3>How many tests</h3><p>{told['tests']} tests; {told['below_5_percent']} have p below 0.05, "
        f"{told['expected_by_chance']:.1f} would by chance alone. Left after Benjamini-Hochberg at 5 %: {escape(left)}."
        "</p>"
        + _over_all(told)
        + table(
            ("test", "p", "corrected"),
            [(plots.in_words(row["test"]), row["p"], row["p_corrected"]) for row in told["rows"][:15]],
        )
    )


def _over_all(told: dict[str, Any]) -> str:
    over = told.get("over_all_files")
    if over is None or over["tests"] == told["tests"]:
        return ""
    left = plots.in_words(", ".join(over["left_after_benjamini_hochberg"])) or "none"
    return f"<p>Corrected over the {over['tests']} tests of all files of this report: {escape(left)}.</p>"


def _curves(told: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    forecasts = {f"{name} within a day": item for name, item in told["fragility"]["forecast"].items()}
    composite = told["direction"]["brier"].get("composite")
    named = {**forecasts, f"rise within {told['direction']['main_horizon']}": composite}
    return {name: item["reliability"] for name, item in named.items() if item is not None}
