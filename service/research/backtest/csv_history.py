"""History files (CSV, also gzipped) as rows with the moment from which each may be used. Nothing looks ahead."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from io import StringIO
from itertools import groupby, pairwise
from math import isfinite
from pathlib import Path
from statistics import median

from service.errors import ConfigError, HistoryError
from service.research.backtest.layouts import (
    NUMBERS,
    OPEN_INTEREST,
    PRICES,
    Layout,
    layout_of,
    meant,
    unclear,
    unknown,
)
from service.venues.funding_schedule import spacings_h
from service.venues.symbols import aliases, canonical_symbol

SECOND_MS = 1_000
MINUTE_MS = 60_000
DAY_MS = 86_400_000
VENUE = "file"
DEFAULT_INTERVAL_H = 8.0  # of a funding rate beside which none is said, unless it is a settled one
INTERVALS_H = (1, 2, 4, 6, 8)  # that venues have: other distances of settled rates are no interval
STEPS_S = (5, 10, 15, 30, 60, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 28_800, 43_200, 86_400)
NOT_NEGATIVE = frozenset(NUMBERS) - {"funding_rate"}
POSITIVE = frozenset({"mark", "index", "last", "funding_interval_h", "reserve_coins", "supply_coins", "market_cap"})
HOLE_STEPS = 3  # rows further apart than this many steps and than a day: the past before them says nothing
SHOWN_PROBLEMS = 10
LATEST_MS = 7_258_118_400_000  # 2200-01-01: what lies behind it is micro- or nanoseconds
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")  # float() takes 1_000 and other digits too


@dataclass(frozen=True, slots=True)
class Row:
    """One line: usable from ``known_ms`` (UTC ms) on. ``numbers``: by our column names, without blank cells."""

    known_ms: int
    venue: str
    numbers: dict[str, float]

    @property
    def price(self) -> float | None:
        """The mark, else the last price."""
        return self.numbers.get("mark", self.numbers.get("last"))


@dataclass(frozen=True, slots=True)
class History:
    """One file. ``step_s``: its resolution. ``segments``: rows without a hole between them, at least one."""

    path: Path
    layout: str
    digest: str
    step_s: int
    venues: tuple[str, ...]
    columns: tuple[str, ...]
    segments: tuple[tuple[Row, ...], ...]
    repeated: int = 0  # rows left out because they repeat the one before
    ignored: tuple[str, ...] = ()  # columns that nothing was read from
    empty: tuple[str, ...] = ()  # ours that are there without a number in any row

    @property
    def scorable(self) -> bool:
        """Whether it has what a score needs: a price and open interest."""
        return not lacking(self)

    @property
    def intervals(self) -> dict[str, int]:
        """Rows with a funding rate by its interval in hours, or ``unknown``."""
        said = [row.numbers.get("funding_interval_h") for row in self.rows if "funding_rate" in row.numbers]
        return dict(Counter("unknown" if hours is None else f"{hours:g}" for hours in said))

    @property
    def rows(self) -> list[Row]:
        return [row for segment in self.segments for row in segment]


def read_history(
    path: Path, delay_ms: int, symbol: str | None = None, names: Mapping[str, str] | None = None
) -> History:
    """Read a file; raises :exc:`ConfigError` if there is none to read, :exc:`HistoryError` with up to ten problems and
    their lines if it cannot be understood.

    ``delay_ms``: after the midnight that ends a UTC day its row is published. ``symbol``: what a ``coin`` column must
    say, if there is one; ``names``: other names of symbols; where left out, the usual ones.
    """
    names = aliases() if names is None else names
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    try:
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
    except (gzip.BadGzipFile, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise HistoryError([f"{path}: cannot be read: {error}"]) from None
    lines = csv.reader(StringIO(text, newline=""))
    try:
        header = [name.strip().lower() for name in next(lines, [])]
        layout = _layout(path, header)
        rows, repeated, problems = _read(path, layout, header, lines, symbol, names)
    except csv.Error as error:
        raise HistoryError([f"{path}: line {lines.line_num}: {error}"]) from None
    if not problems and len({row.known_ms for row in rows}) < 2:
        problems.append(f"{path}: fewer than two times: there is no resolution")
    if problems:
        more = len(problems) - SHOWN_PROBLEMS
        raise HistoryError(problems[:SHOWN_PROBLEMS] + ([f"{path}: {more} more problems"] if more > 0 else []))
    step_s = resolution(sorted({row.known_ms for row in rows}))
    after_ms = {"time": 0, "bar_open": step_s * SECOND_MS, "date": DAY_MS + delay_ms}[layout.time[1]]
    if layout.settled:
        rows = _with_intervals(rows)
    known = [Row(row.known_ms + after_ms, row.venue, row.numbers) for row in rows]
    present = {name for row in known for name in row.numbers}
    return History(
        path=path,
        layout=layout.name,
        digest=sha256(raw).hexdigest(),
        step_s=step_s,
        venues=tuple(dict.fromkeys(row.venue for row in known)),
        columns=tuple(name for name in NUMBERS if name in present),
        segments=tuple(_segments(known, step_s)),
        repeated=repeated,
        ignored=tuple(name for name in header if name not in layout.taken),
        empty=tuple(name for name, column in layout.columns.items() if column.name in header and name not in present),
    )


def lacking(history: History) -> list[str]:
    """What a score needs and the file does not have, in words: which columns it could be in, and which it may be."""
    problems = []
    for what, names in (("price", PRICES), ("open interest", OPEN_INTEREST)):
        if not any(name in history.columns for name in names):
            empty = [name for name in names if name in history.empty]
            problems.append(
                f"no {what} to score: none of the columns {', '.join(names)}"
                + (f" ({', '.join(empty)}: there, but empty)" if empty else "")
                + f"; read were {', '.join(history.columns) or 'none'}, not used {', '.join(history.ignored) or 'none'}"
                + "; a file of funding, reserves or supply alone goes to --slow"
                + meant(history.ignored, names)
            )
    return problems


def _layout(path: Path, header: list[str]) -> Layout:
    if len(header) == 1 and re.search("[;\t|]", header[0]):
        raise HistoryError([f"{path}: the header has no comma: cells must be separated by commas"])
    layout = layout_of(header)
    if layout is None:
        raise HistoryError([f"{path}: {problem}" for problem in unknown(header)])
    problems = unclear(layout, header)
    if problems:
        raise HistoryError([f"{path}: {problem}" for problem in problems])
    return layout


def resolution(times: Sequence[int]) -> int:
    """The usual distance of rising times in s, as the nearest of the known steps by ratio."""
    usual_s = median([(after - before) / SECOND_MS for before, after in pairwise(times)])
    return min(STEPS_S, key=lambda step_s: max(step_s / usual_s, usual_s / step_s))


def parse_time(text: str) -> int:
    """UTC ms from ms since the epoch or an ISO 8601 date or time (without an offset it is UTC); ValueError else."""
    if re.fullmatch("[0-9]{12,}", text):
        at_ms = int(text)
    else:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        at_ms = round(moment.timestamp() * SECOND_MS)
    if not 0 <= at_ms < LATEST_MS:
        raise ValueError("not between 1970 and 2200")
    return at_ms


def _read(
    path: Path,
    layout: Layout,
    header: Sequence[str],
    lines: Iterator[list[str]],
    symbol: str | None,
    names: Mapping[str, str],
) -> tuple[list[Row], int, list[str]]:
    rows: list[Row] = []
    problems: list[str] = []
    latest: dict[str, Row] = {}
    newest: int | None = None
    repeated = 0
    number = 1
    for cells in lines:
        number += 1
        if not cells:
            continue
        try:
            if len(cells) != len(header):
                raise ValueError(f"{len(cells)} cells under {len(header)} columns")
            row = _row(layout, dict(zip(header, cells, strict=True)), symbol, names)
            last = latest.get(row.venue)
            if row == last:
                repeated += 1  # polled again before the source moved on
                continue
            if (last is not None and row.known_ms <= last.known_ms) or (newest is not None and row.known_ms < newest):
                raise ValueError(f"{layout.time[0]}: not after the row before, and not the same row again")
        except ValueError as error:
            problems.append(f"{path}: line {number}: {error}")
            continue
        latest[row.venue], newest = row, row.known_ms
        rows.append(row)
    return rows, repeated, problems


def _row(layout: Layout, cells: dict[str, str], symbol: str | None, names: Mapping[str, str]) -> Row:
    numbers = dict(layout.constants)
    for ours, column in layout.columns.items():
        cell = cells.get(column.name, "").strip()
        if cell == "":
            continue
        if not NUMBER.fullmatch(cell):
            raise ValueError(f"{column.name}: {cell!r} is no number; leave the cell empty where it is not known")
        value = float(cell) * column.scale
        if not isfinite(value) or (ours in NOT_NEGATIVE and value < 0) or (ours in POSITIVE and value == 0):
            raise ValueError(f"{column.name}: {cell} is out of range")
        numbers[ours] = value
    if "funding_rate" in numbers and not layout.settled:
        numbers.setdefault("funding_interval_h", DEFAULT_INTERVAL_H)
    coin = cells.get("coin", "").strip()
    if symbol is not None and coin not in ("", symbol) and canonical_symbol(coin, names) != symbol:
        raise ValueError(f"coin: {coin}, and not {symbol}")
    return Row(_time(layout, cells), cells.get("venue", "").strip() or VENUE, numbers)


def _with_intervals(rows: Sequence[Row]) -> list[Row]:
    """Settled rates with the interval of each: what its row says, else by the distance of the venue's rows."""
    times: dict[str, list[int]] = {}
    for row in rows:
        times.setdefault(row.venue, []).append(row.known_ms)
    spacings = {venue: spacings_h(at, INTERVALS_H) for venue, at in times.items()}
    found = []
    for row in rows:
        interval_h = row.numbers.get("funding_interval_h", spacings[row.venue].get(row.known_ms))
        told = {} if interval_h is None else {"funding_interval_h": interval_h}
        found.append(Row(row.known_ms, row.venue, {**row.numbers, **told}))
    return found


def _time(layout: Layout, cells: dict[str, str]) -> int:
    name, kind = layout.time
    said = cells.get(name, "").strip()
    try:
        at_ms = parse_time(said)
    except ValueError:
        raise ValueError(f"{name}: {said!r} is no time: ms since the epoch, or ISO 8601") from None
    if kind == "date" and at_ms % DAY_MS != 0:
        raise ValueError(f"{name}: {said!r} is no UTC day")
    if kind != "date" and re.fullmatch("[0-9]{4}-?[0-9]{2}-?[0-9]{2}", said):
        # The values of a day are known at its end: taken as its first moment they would look a day ahead.
        raise ValueError(f"{name}: {said!r} is a day without a time: name the column date")
    return at_ms


def _segments(rows: Sequence[Row], step_s: int) -> Iterator[tuple[Row, ...]]:
    longest_ms = max(DAY_MS, HOLE_STEPS * step_s * SECOND_MS)
    start = 0
    for position, (before, after) in enumerate(pairwise(rows), start=1):
        if after.known_ms - before.known_ms > longest_ms:
            yield tuple(rows[start:position])
            start = position
    yield tuple(rows[start:])


def frames(segment: Sequence[Row], step_s: int) -> Iterator[tuple[int, tuple[Row, ...]]]:
    """(sample time, rows known by then and not before) of data no finer than a minute, on whole minutes.

    Where rows are missing the samples go on, without rows: that is no data, not the last value.
    """
    step_ms = step_s * SECOND_MS
    before: int | None = None
    for ts, rows in groupby(segment, key=lambda row: -(-row.known_ms // MINUTE_MS) * MINUTE_MS):
        while before is not None and ts - before > 1.5 * step_ms:
            before += step_ms
            yield before, ()
        yield ts, tuple(rows)
        before = ts
