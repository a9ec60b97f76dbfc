"""The plots of a report, as SVG text that stands in the page. No window, no network, the same bytes every time."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from service.research.backtest.measures import Floats, Ints
from service.research.backtest.series import Series

POINTS = 2_500  # of a line: more does not show
BINS = 180  # of time, in which regimes are counted: narrower columns run into each other
REGIMES = {  # the colours of Okabe and Ito, which colour-blind readers tell apart
    "calm": "#dddddd",
    "building": "#f0e442",
    "loaded": "#e69f00",
    "crowded_longs": "#cc79a7",
    "crowded_shorts": "#56b4e9",
    "flush": "#444444",
    "reset": "#009e73",
}
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#000000")
WORDS = {  # what the report calls the names of report.json
    "oi_fall_5": "open interest -5 %",
    "oi_fall_10": "open interest -10 %",
    "flush": "flush (the service's own)",
    "rank_elr": "leverage rank",
    "rank_funding": "funding rank",
    "rank_volatility": "volatility rank",
    "crowded_longs": "crowded longs",
    "crowded_shorts": "crowded shorts",
}


def in_words(text: str) -> str:
    """A name of report.json, or a text with such names, as the report says it."""
    return re.sub("|".join(rf"\b{name}\b" for name in WORDS if name != "flush"), lambda found: WORDS[found[0]], text)


STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "elr", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3,
    "axes.prop_cycle": cycler(color=LINES),
}  # fmt: skip


def _drawn(height: float, panels: int, draw: Callable[[list[Axes]], None], share: bool = False) -> str:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, height), layout="constrained")
        axes = figure.subplots(panels, 1, squeeze=False, sharex=share)
        draw([axes[row][0] for row in range(panels)])
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]


def timeline(series: Series) -> str:
    """Price, with where flushes began; ELR (open interest where there is no base); fragility; shares of regimes."""
    every = max(1, series.n // POINTS)
    level, name = series.column("elr"), "ELR (open interest / reserve)"
    if np.isnan(level).all():
        level, name = series.column("oi_coins"), "open interest, coins"

    def draw(axes: list[Axes]) -> None:
        panels = ((series.price, "price, USD"), (level, name), (series.column("fragility"), "fragility"))
        for ax, (values, label) in zip(axes[:3], panels, strict=True):
            for segment in sorted(set(series.segments.tolist())):
                inside = np.flatnonzero(series.segments == segment)[::every]
                ax.plot(_days(series.ts[inside]), values[inside], color="#1f3b73", linewidth=0.8)
            ax.set_ylabel(label)
        axes[2].set_ylim(0, 1)
        axes[3].xaxis_date()
        began = np.flatnonzero(series.flush & ~np.concatenate([[False], series.flush[:-1]]))
        axes[0].plot(_days(series.ts[began]), series.price[began], "v", color="#d55e00", markersize=5,
                     label="a flush began")  # fmt: skip
        if len(began) > 0:
            axes[0].legend(fontsize=8, loc="upper left")
        if np.isnan(series.column("fragility")).all():
            axes[2].text(0.5, 0.5, "undefined on these data", transform=axes[2].transAxes, ha="center")
        edges, shares = regime_shares(series)
        stacked = [np.append(share, share[-1]) for share in shares.values()]  # the last one to the last edge
        names = [in_words(regime) for regime in shares]
        axes[3].stackplot(_days(edges), stacked, labels=names, colors=list(REGIMES.values()), step="post", linewidth=0)
        axes[3].set_ylim(0, 1)
        axes[3].set_ylabel("share of ticks by regime")
        axes[3].grid(visible=False)
        axes[3].legend(ncols=len(REGIMES), fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.2))

    return _drawn(9.0, 4, draw, share=True)


def regime_shares(series: Series) -> tuple[Ints, dict[str, Floats]]:
    """Edges of up to 180 equal spans of time (UTC ms), and by regime its share of the ticks that lie in each. A band a
    tick cannot be told from its neighbours over months."""
    count = max(1, min(BINS, series.n))
    first, last = int(series.ts[0]), int(series.ts[-1]) + series.step_s * 1_000
    edges = np.linspace(first, last, count + 1).astype(np.int64)
    place = np.clip(np.searchsorted(edges, series.ts, side="right") - 1, 0, count - 1)
    ticks = np.maximum(np.bincount(place, minlength=count), 1)
    named = np.array([item["regime"] or "" for item in series.records])
    return edges, {name: np.bincount(place[named == name], minlength=count) / ticks for name in REGIMES}


def calibration(curves: dict[str, list[dict[str, Any]]]) -> str | None:
    """Said against happened, with Wilson intervals; None without any curve."""
    if not curves:
        return None

    def draw(axes: list[Axes]) -> None:
        top = 0.0
        for name, bins in curves.items():
            said, was = [item["said"] for item in bins], [item["happened"] for item in bins]
            spread = [
                [value - item["low"] for value, item in zip(was, bins, strict=True)],
                [item["high"] - value for value, item in zip(was, bins, strict=True)],
            ]
            axes[0].errorbar(said, was, yerr=np.maximum(spread, 0), marker="o", markersize=3, capsize=2,
                             label=in_words(name))  # fmt: skip
            top = max(top, *said, *was)
        axes[0].plot([0, top], [0, top], color="#888", linestyle="--", linewidth=0.8)
        axes[0].set_xlabel("probability said")
        axes[0].set_ylabel("share that happened")
        axes[0].legend(fontsize=7)

    return _drawn(3.6, 1, draw)


def decay(direction: dict[str, Any]) -> str | None:
    """Information coefficient over the horizons, with its intervals; None without any."""
    shown = {
        name: [(h, at["ic"]) for h, at in values.items() if at["ic"]["low"] is not None]
        for name, values in direction["signals"].items()
    }
    shown = {name: points for name, points in shown.items() if points}
    if not shown:
        return None
    order = direction["horizons"]

    def draw(axes: list[Axes]) -> None:
        for number, (name, points) in enumerate(shown.items()):
            at = [order.index(h) + 0.06 * (number - len(shown) / 2) for h, _ in points]
            values = [ic["value"] for _, ic in points]
            spread = [[ic["value"] - ic["low"] for _, ic in points], [ic["high"] - ic["value"] for _, ic in points]]
            axes[0].errorbar(at, values, yerr=spread, marker="o", markersize=3, capsize=2, linewidth=0.8, label=name)
        axes[0].axhline(0, color="#888", linewidth=0.8)
        axes[0].set_xticks(range(len(order)), order)
        axes[0].set_ylabel("rank correlation with the return")
        axes[0].legend(fontsize=7, ncols=2)

    return _drawn(3.6, 1, draw)


def by_regime(regimes: list[dict[str, Any]]) -> str | None:
    """The day after each regime: its mean return less that of all other ticks, with intervals, and its mean volatility;
    None without any."""
    rows = [row for row in regimes if row["return_against_others"]["value"] is not None]
    if not rows:
        return None

    def draw(axes: list[Axes]) -> None:
        names = [f"{in_words(row['regime'])}\n(n={row['n']})" for row in rows]
        colours = [REGIMES[row["regime"]] for row in rows]
        against = [row["return_against_others"] for row in rows]
        axes[0].bar(names, [item["value"] for item in against], color=colours, edgecolor="#555")
        for at, item in enumerate(against):
            if item["low"] is not None:
                axes[0].vlines(at, item["low"], item["high"], color="#222", linewidth=1.2)
        axes[0].axhline(0, color="#888", linewidth=0.8)
        axes[0].set_ylabel("log return, next day,\nless that of all others")
        axes[1].bar(
            names,
            [np.nan if row["volatility"] is None else row["volatility"] for row in rows],
            color=colours,
            edgecolor="#555",
        )
        axes[1].set_ylabel("mean volatility, next day")

    return _drawn(4.8, 2, draw)


def by_decile(deciles: list[dict[str, Any]]) -> str | None:
    """Flushes, falls and volatility of the day after, by decile of fragility; None without any."""
    if not deciles:
        return None

    def draw(axes: list[Axes]) -> None:
        numbers = [row["decile"] for row in deciles]
        for key in ("flush", "oi_fall_5", "oi_fall_10"):
            if all(row[key] is not None for row in deciles):
                axes[0].plot(numbers, [row[key] for row in deciles], marker="o", markersize=3, label=WORDS[key])
        axes[0].set_ylabel("share within a day")
        axes[0].legend(fontsize=7)
        for key in ("volatility", "drawdown"):
            axes[1].plot(numbers, [row[key] for row in deciles], marker="o", markersize=3, label=key)
        axes[1].set_ylabel("mean, next day")
        axes[1].set_xlabel("decile")
        axes[1].legend(fontsize=7)

    return _drawn(4.8, 2, draw)


def _days(ts: Ints) -> Floats:
    """As matplotlib counts dates: days since the epoch."""
    return np.asarray(ts / 86_400_000.0, dtype=np.float64)
