"""What ``sizing.risk_multiplier`` would have done over the history files: ``python -m bench.risk HISTORY DIR``.

HISTORY holds the files that docs/evidence.md names; the reports of ``elr backtest`` go to DIR (several minutes;
``--have``: they are there already). Prints the table of docs/evidence.md, "What to multiply a size by". The factor
``data`` is left out: a file has no missing venues.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from bench.evidence import FITTED, REPORTS, SIX, line
from service.cli.main import run
from service.deleveraging import packaged
from service.research.backtest.measures import Bools, Floats, Ints
from service.research.backtest.weeks import week_of
from service.scoring.alerts import SPIKE_EVERY_MS, SPIKE_LEAST_H, spike_stands
from service.scoring.sizing import SPIKE_SHARE

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
FALL = np.log(0.95)
DRAWS = 1_000
GROUPS = {
    "all ten files": FITTED,
    "BTC 2024-10 to 2026-02": ("bybit_btc",),
    "BTC 2020-12 to 2023-11": ("bybit_btc_old",),
    "six coins 2024-10 to 2026-02": SIX,
}


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours with a multiplier and a day ahead of them: its size, whether a fall of 5 % came, the log return."""

    week: Ints
    multiplier: Floats
    volatility: Floats
    fell: Bools
    ahead: Floats

    def drawn(self, chosen: Ints) -> Hours:
        return Hours(
            self.week[chosen],
            self.multiplier[chosen],
            self.volatility[chosen],
            self.fell[chosen],
            self.ahead[chosen],
        )


def make(history: Path, directory: Path) -> None:
    for name in FITTED:
        files, slow, symbol = REPORTS[name]
        arguments = ["backtest", *(str(history / file) for file in files), "--symbol", symbol]
        for file in slow:
            arguments += ["--slow", str(history / file)]
        if run([*arguments, "--report", str(directory / name), "--resume"]) != 0:
            sys.exit(f"{name}: no report")


def hours_of(directory: Path) -> Hours:
    """One file's ticks, in time order."""
    rows = [row for text in sorted(directory.glob("*.ticks.jsonl")) for row in map(orjson.loads, text.open("rb"))]
    base_rate = packaged().base_rates[0]
    known = {row["ts"]: row for row in rows}
    found, spiked, stood = [], None, False
    for row in rows:
        ts, z, rank = row["ts"], row["z_elr"], row["rank_elr"]
        if z is not None and rank is not None:
            due = (spiked is None or ts - spiked >= SPIKE_EVERY_MS) and row["rank_h"] >= SPIKE_LEAST_H
            stands = spike_stands(z, rank, stood, due)
            spiked, stood = (ts if stands and not stood else spiked), stands
        day = [known.get(ts + hour * HOUR_MS) for hour in range(1, 25)]
        if row["p_oi_5"] is None or row["volatility_24h"] is None or row["ln_oi"] is None or row["price"] is None:
            continue
        ahead = [item["ln_oi"] for item in day if item is not None and item["ln_oi"] is not None]
        last = day[-1]
        if len(ahead) < 22 or last is None or last["price"] is None:
            continue
        multiplier = min(1.0, base_rate / row["p_oi_5"], SPIKE_SHARE if stood else 1.0)
        fell = min(ahead) - row["ln_oi"] <= FALL
        found.append((ts, multiplier, row["volatility_24h"], fell, np.log(last["price"] / row["price"])))
    columns = [np.array(column) for column in zip(*found, strict=True)]
    return Hours(week_of(columns[0]), columns[1], columns[2], columns[3].astype(bool), columns[4])


def joined(parts: list[Hours]) -> Hours:
    names = ("week", "multiplier", "volatility", "fell", "ahead")
    return Hours(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def by_volatility(hours: Hours) -> Floats:
    """Sizes by volatility alone, min(1, c / volatility), of the same mean."""
    low, high, wanted = 0.0, float(hours.volatility.max()), float(hours.multiplier.mean())
    for _ in range(60):
        middle = (low + high) / 2
        below = np.minimum(1.0, middle / hours.volatility).mean() < wanted
        low, high = (middle, high) if below else (low, middle)
    return np.minimum(1.0, high / hours.volatility)


def carried(hours: Hours, sizes: Floats) -> tuple[float, float]:
    """Per unit of size: falls of 5 % that it carries, and root mean square of the next day's log return."""
    return float((sizes * hours.fell).sum() / sizes.sum()), float(
        np.sqrt((sizes**2 * hours.ahead**2).sum() / (sizes**2).sum())
    )


def row(name: str, hours: Hours, rng: np.random.Generator) -> str:
    sizes = hours.multiplier
    alone = by_volatility(hours)
    plain = carried(hours, np.ones_like(sizes))
    ours, theirs = carried(hours, sizes), carried(hours, alone)
    weeks, where = np.unique(hours.week, return_inverse=True)
    places = [np.flatnonzero(where == number) for number in range(len(weeks))]
    less, over = [], []
    for _ in range(DRAWS):
        chosen = np.concatenate([places[number] for number in rng.integers(0, len(weeks), len(weeks))])
        drawn = hours.drawn(chosen)
        own = carried(drawn, drawn.multiplier)[0]
        less.append(own / carried(drawn, np.ones(len(chosen)))[0])
        over.append(own / carried(drawn, alone[chosen])[0])

    def interval(values: list[float]) -> str:
        low, high = np.percentile(values, [2.5, 97.5])
        return f"[{low:.2f}, {high:.2f}]"

    return line(
        name,
        f"{len(sizes):,}",
        f"{sizes.mean():.2f}",
        f"{(sizes < 1).mean():.0%}",
        f"{(sizes < 0.7).mean():.0%}",
        f"{plain[0]:.1%}",
        f"{ours[0]:.1%}",
        f"{ours[0] / plain[0]:.2f} {interval(less)}",
        f"{ours[0] / theirs[0]:.2f} {interval(over)}",
        f"{plain[1]:.2%}, {ours[1]:.2%}, {theirs[1]:.2%}",
    )


def table(directory: Path) -> Iterator[str]:
    yield line(
        "files", "hours", "mean", "below 1", "below 0.7", "falls carried, size 1", "times the multiplier",
        "the one over the other", "over sizes by volatility alone", "next day's move: size 1, multiplier, volatility",
    )  # fmt: skip
    yield "|" + "---|" * 10
    rng = np.random.default_rng(14)
    parts = {name: hours_of(directory / name) for name in FITTED}
    for group, names in GROUPS.items():
        yield row(group, joined([parts[name] for name in names]), rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("history", type=Path)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--have", action="store_true", help="the reports are there already")
    options = parser.parse_args()
    if not options.have:
        make(options.history, options.directory)
    print("\n".join(table(options.directory)))


if __name__ == "__main__":
    main()
