"""The tables of docs/flush.md, from the history files: ``python -m bench.flush HISTORY`` (a minute).

Rules are worked out here from open interest and price alone, without the engine, so that many can be compared; the
back-test judges the one that runs (``episodes`` of its report). ``--check docs/flush.md`` prints only the lines of the
tables that the document does not have, and ends with status 1 if there are any.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from math import log
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from scipy.ndimage import maximum_filter1d, minimum_filter1d
from scipy.signal import lfilter

from bench.evidence import told
from service.research.backtest.csv_history import read_history
from service.research.backtest.episodes import Episode, episodes, judged, pooled
from service.research.backtest.measures import Bools, Floats, Ints

SEED = 13
SHIFTS = 21
MINUTE_MS = 60_000
FLUSH_PAUSE_MINUTES = 15
COINS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "AVAX", "BNB")
FILES = {
    "BTC 2020-23": "bybit_BTC_1h_202012_20231127.csv.gz",
    "BTC 2023-24": "tardis_binance_BTCUSDT_derivative_ticker_1h_20231128_20240214.csv.gz",
    **{coin: f"bybit_{coin}_1h_20241018_20260225.csv.gz" for coin in COINS},
}
SETS = {"chosen on": ("BTC 2020-23", "BTC 2023-24"), "second look": COINS}
Rules: TypeAlias = dict[str, Bools]
BEFORE, TAKEN = "before", "or 6 % in 4 h"


@dataclass(frozen=True, slots=True)
class Market:
    """Open interest (coins) and price as logs, every ``step`` minutes without a hole."""

    ts: Ints
    ln_oi: Floats
    ln_price: Floats
    step: int

    def lagged(self, values: Floats, minutes: int) -> Floats:
        """The values as of ``minutes`` ago (a whole number of steps); NaN before the first."""
        rows = minutes // self.step
        return np.concatenate([np.full(rows, np.nan), values[: len(values) - rows]])

    def change(self, values: Floats, minutes: int) -> Floats:
        return values - self.lagged(values, minutes)

    def slow_square(self, values: Floats) -> Floats:
        """The 7-day mean square of 10 s changes (docs/signal.md section 4), as known at each row; NaN for a day."""
        updates = self.step * 6
        alpha = 1 - 0.5 ** (10 / (7 * 86_400))
        keep = (1 - alpha) ** updates
        squares = np.diff(values) ** 2 / updates
        plain = min(int(1 / alpha / updates), len(squares))
        start = np.cumsum(squares[:plain]) / np.arange(1, plain + 1)
        rest, _ = lfilter([1 - keep], [1, -keep], squares[plain:], zi=[keep * start[-1]])
        known = np.concatenate([[np.nan], start, rest])
        known[: 1_440 // self.step] = np.nan
        return known

    def slow_z(self, values: Floats, minutes: int) -> Floats:
        before = self.lagged(self.slow_square(values), minutes)
        return self.change(values, minutes) / np.sqrt(before * minutes * 6)

    def range_24h(self) -> Floats:
        """Log of the highest over the lowest price of the last 24 hours."""
        rows = 1_440 // self.step + 1
        origin = (rows - 1) // 2
        return np.asarray(
            maximum_filter1d(self.ln_price, rows, origin=origin) - minimum_filter1d(self.ln_price, rows, origin=origin)
        )

    def volatility_24h(self) -> Floats:
        """Root of the sum of squared returns of 24 hours, as of the last completed row: the return into the first row
        is left out, as the service's minutes do."""
        total = np.concatenate([[0.0], np.cumsum(np.diff(self.ln_price) ** 2)])
        return self.lagged(np.sqrt(total - np.nan_to_num(self.lagged(total, 1_440 - self.step))), self.step)


def hourly(path: Path) -> Market:
    rows = [row for row in read_history(path, 0).rows if row.price is not None]
    coins = [row.numbers["open_interest_coins"] for row in rows]
    prices = np.array([row.price for row in rows], dtype=np.float64)
    return Market(np.array([row.known_ms for row in rows]), np.log(np.array(coins)), np.log(prices), 60)


def minutes(hours: Market, seed: int) -> Market:
    """A made-up path through the hourly values: Brownian bridges, as rough as the three hours on either side of each
    (without itself: its own move may be a jump)."""
    rng = np.random.default_rng(seed)
    ts = np.arange(hours.ts[0], hours.ts[-1] + 1, MINUTE_MS)
    return Market(ts, _bridged(hours.ln_oi, rng), _bridged(hours.ln_price, rng), 1)


def _bridged(values: Floats, rng: np.random.Generator) -> Floats:
    changes = np.diff(values)
    around = [np.concatenate([changes[max(0, k - 3) : k], changes[k + 1 : k + 4]]) for k in range(len(changes))]
    sizes = np.array([np.sqrt(np.mean(near**2)) for near in around])
    walk = rng.standard_normal((len(changes), 60)).cumsum(axis=1) / np.sqrt(60)
    share = np.arange(1, 61) / 60
    path = values[:-1, None] + share * changes[:, None] + (walk - share * walk[:, -1:]) * sizes[:, None]
    path[:, -1] = values[1:]
    return np.concatenate([values[:1], path.ravel()])


def fired(market: Market) -> Rules:
    """Every rule of docs/flush.md, at every row."""
    oi, price = market.ln_oi, market.ln_price
    with np.errstate(invalid="ignore", divide="ignore"):
        hour, z, z_price = market.change(oi, 60), market.slow_z(oi, 60), np.abs(market.slow_z(price, 60))
        four = market.change(oi, 240)
        wide = market.range_24h() >= log(1.03)
        ready = ~np.isnan(z)
        five = np.zeros(len(oi), dtype=np.bool_)
        if market.step < 5:
            five_z, five_price = market.slow_z(oi, 5), np.abs(market.slow_z(price, 5))
            five = (market.change(oi, 5) <= log(0.98)) & (five_z <= -3) & (five_price >= 2)
        fall = hour <= log(0.975)
        day_z = market.change(oi, 60) / np.sqrt(market.lagged(market.slow_square(oi), 1_440) * 360)
        high = maximum_filter1d(oi, 1_440 // market.step + 1, origin=(1_440 // market.step) // 2)
        before = (fall & (z <= -3) & (z_price >= 2)) | five
        still = market.volatility_24h() >= 0.025
        still &= z <= -1
        return {
            BEFORE: before,
            "range": (fall & (z <= -3) & ((z_price >= 2) | wide)) | five,
            "no price": (fall & (z <= -3)) | five,
            "frozen": _frozen(market, False) | five,
            "frozen, range": _frozen(market, True) | five,
            "day before": (fall & (day_z <= -3) & ((z_price >= 2) | wide)) | five,
            "plain": fall & ready,
            "plain 3 %": (hour <= log(0.97)) & wide & ready,
            "plain, range": fall & wide & ready,
            "4 hours": (four <= log(0.95)) & ready,
            "4 hours, range": (four <= log(0.95)) & wide & ready,
            "from the high": (oi - high <= log(0.95)) & wide & ready,
            "or 5 % in 4 h": before | ((four <= log(0.95)) & still),
            TAKEN: before | ((four <= log(0.94)) & still),
            "or 7 % in 4 h": before | ((four <= log(0.93)) & still),
        }


def _frozen(market: Market, with_range: bool) -> Bools:
    """The 1h rule with the scales held as they were before a flush while it or its reset lasts (docs/signal.md)."""
    oi, price, rows = market.ln_oi, market.ln_price, 60 // market.step
    scale_oi = np.sqrt(market.slow_square(oi) * 360)
    scale_price = np.sqrt(market.slow_square(price) * 360)
    wide = market.range_24h() >= log(1.03)
    out = np.zeros(len(oi), dtype=np.bool_)
    flushing = resetting = False
    peak = trough = 0.0
    ended, held = 0, -1
    for i in range(rows, len(oi)):
        known = i - rows if held < 0 else held
        hour, moved = oi[i] - oi[i - rows], abs(price[i] - price[i - rows])
        move = moved / scale_price[known] >= 2 or (with_range and wide[i])
        if hour <= log(0.975) and hour / scale_oi[known] <= -3 and move:
            if not flushing:
                peak, trough = oi[i] - hour, oi[i]
            held, trough = known, min(trough, oi[i])
            flushing, resetting, out[i] = True, False, True
            continue
        if flushing:
            flushing, resetting, ended = False, True, i
        resetting = resetting and oi[i] < (peak + trough) / 2 and (i - ended) * market.step <= 72 * 60
        held = held if resetting else -1
    return out


def lasting(fires: Bools, pause: int) -> Bools:
    """Until it has not fired for ``pause`` rows."""
    rows = np.arange(len(fires))
    last = np.maximum.accumulate(np.where(fires, rows, -pause - 1))
    return np.asarray(rows - last < max(pause, 1))


def line(*cells: Any) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _interval(number: dict[str, Any], digits: int) -> str:
    return f"{number['value']:.{digits}f} [{number['low']:.{digits}f}, {number['high']:.{digits}f}]"


@dataclass(frozen=True, slots=True)
class File:
    """One file: its falls, and every rule judged on them, hour by hour and on the made-up minutes."""

    market: Market
    falls: list[Episode]
    rules: Rules  # hour by hour
    by_hour: dict[str, dict[str, Any]]
    by_minute: dict[str, dict[str, Any]]
    begun: dict[str, float]  # times a month that a rule begins to fire from one minute to the next

    @classmethod
    def of(cls, path: Path) -> File:
        market = hourly(path)
        falls = episodes(market.ts, market.ln_oi, market.ln_price, np.zeros_like(market.ts))
        hour_rules = fired(market)
        by_hour = {name: _judged(market, falls, rule) for name, rule in hour_rules.items()}
        fine = minutes(market, SEED)
        fine_falls = [Episode(*(60 * row for row in fall)) for fall in falls]
        rules = fired(fine)
        by_minute = {
            name: _judged(fine, fine_falls, lasting(rule, FLUSH_PAUSE_MINUTES))
            for name, rule in rules.items()
            if not name.startswith("frozen")
        }
        begun = {name: _judged(fine, fine_falls, rules[name])["begun"] for name in by_minute}
        return cls(market, falls, hour_rules, by_hour, by_minute, begun)


def _judged(market: Market, falls: list[Episode], rule: Bools) -> dict[str, Any]:
    with np.errstate(invalid="ignore", divide="ignore"):
        fed = ~np.isnan(market.slow_z(market.ln_oi, 60))
    return judged(falls, market.ts, market.ln_oi, rule, fed, market.step * 60.0)


def later(rule: list[dict[str, Any]], than: list[dict[str, Any]]) -> str:
    """Of the episodes that both find: how much more of the fall is over, on average."""
    both = [
        one["over"] - other["over"]
        for one, other in zip(rule, than, strict=True)
        if one["before_trough"] and other["before_trough"]
    ]
    return f"{100 * float(np.mean(both)):+.0f} %" if both else "-"


def compared(files: dict[str, File], cadence: str, label: str) -> Iterator[str]:
    by = "by_hour" if cadence == "hourly" else "by_minute"
    names = SETS[label]
    yield line(f"{label}, {cadence}", "found before the trough", "over when it shows", "hours after the peak",
               "same episodes: over by more", "false starts a month")  # fmt: skip
    base = pooled([getattr(files[name], by)[BEFORE] for name in names])
    for rule in getattr(files[names[0]], by):
        found = pooled([getattr(files[name], by)[rule] for name in names])
        over, hours, recall = found["over"], found["hours"], found["before_trough"]
        yield line(rule, f"{round(recall['value'] * recall['n'])} of {recall['n']}: {_interval(recall, 2)}",
                   f"{100 * over[1]:.0f} %", f"{hours[1]:.1f}", later(found["rows"], base["rows"]),
                   _interval(found["false_a_month"], 2))  # fmt: skip


def each(files: dict[str, File]) -> Iterator[str]:
    yield line("file", "episodes", BEFORE, TAKEN, f"false starts a month: {BEFORE}", TAKEN)
    for name, file in files.items():
        before, taken = file.by_hour[BEFORE], file.by_hour[TAKEN]
        yield line(name, before["n"], *(_interval(item["before_trough"], 2) for item in (before, taken)),
                   *(_interval(item["false_a_month"], 2) for item in (before, taken)))  # fmt: skip


def by_chance(files: dict[str, File]) -> Iterator[str]:
    """The same begins at other times: every rule that begins often finds something."""
    yield line("found before the trough", BEFORE, "by chance", TAKEN, "by chance")
    for label, names in SETS.items():
        cells = []
        for rule in (BEFORE, TAKEN):
            found = pooled([files[name].by_hour[rule] for name in names])["before_trough"]["value"]
            moved = [pooled([_moved(files[name], rule, part) for name in names]) for part in range(1, SHIFTS)]
            chance = float(np.mean([item["before_trough"]["value"] for item in moved]))
            cells += [f"{found:.2f}", f"{chance:.2f}"]
        yield line(f"{label}, hourly", *cells)


def added(files: dict[str, File]) -> Iterator[str]:
    """What the new part finds by itself; and the recall if what was drawn were weeks, with all falls of all files that
    began in them: coins fall together."""
    yield line("hourly", "found by the new part alone", "over when it shows", f"recall, by weeks: {BEFORE}", TAKEN)
    for label, names in SETS.items():
        rows = {rule: pooled([files[name].by_hour[rule] for name in names])["rows"] for rule in (BEFORE, TAKEN)}
        pairs = zip(rows[BEFORE], rows[TAKEN], strict=True)
        over = [new["over"] for old, new in pairs if new["before_trough"] and not old["before_trough"]]
        yield line(label, len(over), f"{100 * float(np.median(over)):.0f} %",
                   *(_by_weeks(rows[rule]) for rule in (BEFORE, TAKEN)))  # fmt: skip


def _by_weeks(rows: list[dict[str, Any]]) -> str:
    """The 95 % interval of the share that was found, from 4,000 draws of the weeks in which falls began."""
    weeks: dict[tuple[int, int], list[bool]] = {}
    for row in rows:
        weeks.setdefault(date.fromisoformat(row["peak_at"][:10]).isocalendar()[:2], []).append(row["before_trough"])
    counts = np.array([(sum(found), len(found)) for found in weeks.values()])  # integers
    drawn = counts[np.random.default_rng(SEED).integers(0, len(counts), (4_000, len(counts)))].sum(axis=1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    return f"[{low:.2f}, {high:.2f}]"


def _moved(file: File, rule: str, part: int) -> dict[str, Any]:
    """The rule's ticks moved by a part of the file, its end joined to its start."""
    fires = file.rules[rule]
    return _judged(file.market, file.falls, np.roll(fires, part * len(fires) // SHIFTS))


def flicker(files: dict[str, File]) -> Iterator[str]:
    yield line("begun a month, minutes", "every crossing", f"with a pause of {FLUSH_PAUSE_MINUTES} min")
    for label, names in SETS.items():
        for rule in (BEFORE, TAKEN):
            months = sum(files[name].by_minute[rule]["months"] for name in names)
            raw = sum(files[name].begun[rule] for name in names)
            kept = sum(files[name].by_minute[rule]["begun"] for name in names)
            yield line(f"{label}: {rule}", f"{raw / months:.0f}", f"{kept / months:.1f}")


CAUSES = {
    "found": "found before the trough",
    "late": "only at the trough",
    "slow": "no hour fell by 2.5 %",
    "price": "one did, three times its usual; the price of that hour moved too little",
    "scale": "one did with the price; but not three times its usual",
    "both": "one did; neither the one nor the other",
}


def causes(files: dict[str, File]) -> Iterator[str]:
    """Why the rule as it was before missed: the nearest that any hour between peak and trough came to it."""
    yield line("episodes, by what came nearest to the rule before", *SETS)
    counts = {
        label: Counter(cause for name in names for cause in _causes(files[name])) for label, names in SETS.items()
    }
    for cause, words in CAUSES.items():
        yield line(words, *(counts[label][cause] for label in SETS))


def _causes(file: File) -> Iterator[str]:
    market = file.market
    with np.errstate(invalid="ignore", divide="ignore"):
        fall = market.change(market.ln_oi, 60) <= log(0.975)
        deep = fall & (market.slow_z(market.ln_oi, 60) <= -3)
        moved = fall & (np.abs(market.slow_z(market.ln_price, 60)) >= 2)
    for peak, _, trough in file.falls:
        inside = slice(peak + 1, trough)
        if (deep & moved)[inside].any():
            yield "found"
        elif (deep & moved)[trough]:
            yield "late"
        elif not fall[inside].any():
            yield "slow"
        elif deep[inside].any():
            yield "price"
        else:
            yield "scale" if moved[inside].any() else "both"


def tables(files: dict[str, File]) -> Iterator[list[str]]:
    for cadence in ("hourly", "minutes"):
        for label in SETS:
            yield list(compared(files, cadence, label))
    yield list(each(files))
    yield list(by_chance(files))
    yield list(added(files))
    yield list(flicker(files))
    yield list(causes(files))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.flush", description=__doc__)
    parser.add_argument("history", metavar="HISTORY", type=Path)
    parser.add_argument("--check", metavar="FILE", type=Path, help="print only what this document does not have")
    options = parser.parse_args()
    files = {name: File.of(options.history / file) for name, file in FILES.items()}
    return told(tables(files), options.check)


if __name__ == "__main__":
    sys.exit(main())
