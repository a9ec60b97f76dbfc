"""The plots of a report, as SVG text that stands in the page. No window, no network, the same bytes every time."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from service.research.backtest.measures import Floats, Ints
from service.research.backtest.series import Series

POINTS = 2_500  # of a line: more does not show
REGIMES = {
    "calm": "#d9ead3",
    "building": "#fff2cc",
    "loaded": "#fce5cd",
    "crowded_longs": "#ead1dc",
    "crowded_shorts": "#d9d2e9",
    "flush": "#e06666",
    "reset": "#cfe2f3",
}
STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "elr", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}


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
    """Price over the colours of the regimes; ELR (open interest where there is no base); fragility."""
    every = max(1, series.n // POINTS)
    level, name = series.column("elr"), "ELR (open interest / reserve)"
    if np.isnan(level).all():
        level, name = series.column("oi_coins"), "open interest, coins"

    def draw(axes: list[Axes]) -> None:
        panels = ((series.price, "price, USD"), (level, name), (series.column("fragility"), "fragility"))
        for ax, (values, label) in zip(axes, panels, strict=True):
            for segment in sorted(set(series.segments.tolist())):
                inside = np.flatnonzero(series.segments == segment)[::every]
                ax.plot(_days(series.ts[inside]), values[inside], color="#1f3b73", linewidth=0.8)
            ax.set_ylabel(label)
        axes[2].set_ylim(0, 1)
        axes[2].xaxis_date()
        if np.isnan(series.column("fragility")).all():
            axes[2].text(0.5, 0.5, "undefined on these data", transform=axes[2].transAxes, ha="center")
        for regime, first, last in _stretches(series):
            start, end = _days(series.ts[[first, last]])
            axes[0].axvspan(float(start), float(end), color=REGIMES[regime], linewidth=0)
        for regime, colour in REGIMES.items():
            axes[0].plot(_days(series.ts[:1]), [np.nan], color=colour, linewidth=6, label=regime)
        axes[0].legend(ncols=len(REGIMES), fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.0))

    return _drawn(7.0, 3, draw, share=True)


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
            axes[0].errorbar(said, was, yerr=np.maximum(spread, 0), marker="o", markersize=3, capsize=2, label=name)
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
        names = [f"{row['regime']}\n(n={row['n']})" for row in rows]
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
                axes[0].plot(numbers, [row[key] for row in deciles], marker="o", markersize=3, label=key)
        axes[0].set_ylabel("share within a day")
        axes[0].legend(fontsize=7)
        for key in ("volatility", "drawdown"):
            axes[1].plot(numbers, [row[key] for row in deciles], marker="o", markersize=3, label=key)
        axes[1].set_ylabel("mean, next day")
        axes[1].set_xlabel("decile")
        axes[1].legend(fontsize=7)

    return _drawn(4.8, 2, draw)


def _stretches(series: Series) -> list[tuple[str, int, int]]:
    """(regime, first, last) of neighbouring ticks with the same one."""
    found: list[tuple[str, int, int]] = []
    for position, item in enumerate(series.records):
        regime = item["regime"]
        if regime is None:
            continue
        follows = (
            found
            and found[-1][0] == regime
            and found[-1][2] in (position - 1, position)
            and series.segments[position] == series.segments[position - 1]
        )
        if follows:
            found[-1] = (regime, found[-1][1], min(position + 1, series.n - 1))
        else:
            found.append((regime, position, min(position + 1, series.n - 1)))
    return found


def _days(ts: Ints) -> Floats:
    """As matplotlib counts dates: days since the epoch."""
    return np.asarray(ts / 86_400_000.0, dtype=np.float64)
