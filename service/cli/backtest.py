"""``elr backtest``: history files through the service's own code, and an honest report."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.config import load
from service.errors import ConfigError, HistoryError
from service.research.backtest.csv_history import MINUTE_MS, History, lacking, read_history
from service.research.backtest.run import Record, Run, drive
from service.venues.symbols import canonical_symbol, symbol_problem

REPORTS = ("report.json", "report.html")
NEEDED = ("numpy", "scipy", "statsmodels", "matplotlib", "pandas")
# The arrays of a report are short: threads only wait for each other, twice the CPU for no time won, and the last digits
# of a sum depend on how many there are. Read when numpy is imported, which nothing here does before `run`.
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def run(options: argparse.Namespace) -> int:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError([f"{', '.join(missing)} missing: run `make dev` in the clone, then .venv/bin/elr backtest"])
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    known = load(options.config).aliases()
    options.symbol = _symbol(options.symbol, known)
    if not 0 <= options.delay_m <= 1_440:
        raise ConfigError([f"--delay-m {options.delay_m}: between 0 and 1440"])
    if not 0 <= options.cost_bp <= 1_000:
        raise ConfigError([f"--cost-bp {options.cost_bp}: between 0 and 1000"])
    days = _days(options.event or [])
    _check_export(options)
    delay_ms = options.delay_m * MINUTE_MS
    slow = [read_history(path, delay_ms, options.symbol, known) for path in options.slow or []]
    histories = [read_history(path, delay_ms, options.symbol, known) for path in options.files]
    for item in (*slow, *histories):
        unknown = item.intervals.get("unknown", 0)
        if unknown:
            print(f"{item.path}: {unknown} funding rates whose interval is not known are not used", file=sys.stderr)
    problems = [f"{item.path}: {problem}" for item in histories for problem in lacking(item)]
    digests = [item.digest for item in histories]
    problems += [
        f"{item.path}: the same as {histories[digests.index(item.digest)].path}"
        for number, item in enumerate(histories)
        if item.digest in digests[:number]
    ]
    if problems:
        raise ConfigError(problems)
    if options.export is not None and not _apart(histories):
        raise ConfigError([f"--export {options.export}: of files that overlap in time, one at a time"])
    options.report.mkdir(parents=True, exist_ok=True)
    for name in REPORTS:  # a run that is stopped must not leave the report of another one behind
        (options.report / name).unlink(missing_ok=True)
    runs = [Run(history, slow, options.symbol) for history in histories]
    paths = _score(runs, options)
    _report(runs, slow, paths, days, options)
    print(f"{options.report / 'report.html'}")
    return 0


def _check_export(options: argparse.Namespace) -> None:
    """Before anything is read: a run may take long."""
    if options.export is None and options.export_timeframe is not None:
        raise ConfigError(["--export-timeframe: of what --export writes, which is not asked for"])
    if options.export is None:
        return
    from service.research.backtest.export import export_problem, timeframe_s

    problem = export_problem(options.export)
    if problem is not None:
        raise ConfigError([problem])
    if options.export_timeframe is not None:
        timeframe_s(options.export_timeframe)


def _symbol(name: str, known: Mapping[str, str]) -> str:
    """Under its canonical name."""
    symbol = canonical_symbol(name, known)
    problem = symbol_problem(symbol)
    if problem is not None:
        raise ConfigError([f"--symbol {name}: {problem}"])
    return symbol


def _days(texts: Sequence[str]) -> list[date]:
    try:
        return [date.fromisoformat(text) for text in texts]
    except ValueError as error:
        raise ConfigError([f"--event: {error}"]) from None


def _score(runs: Sequence[Run], options: argparse.Namespace) -> list[Path]:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
    paths = []
    with bar:
        for number, run in enumerate(runs, start=1):
            file = run.history.path.name
            name = f"{number}-{re.sub(r'[^A-Za-z0-9_-]+', '_', file.split('.')[0])}"
            task = bar.add_task(file, total=run.rows)
            paths.append(drive(run, options.report, name, options.resume, partial(bar.advance, task)))
    return paths


def _report(
    runs: Sequence[Run],
    slow: Sequence[History],
    paths: Sequence[Path],
    days: Sequence[date],
    options: argparse.Namespace,
) -> None:
    """``report.json`` and ``report.html``: one part a file, and one of all files of a layout and resolution."""
    from service.research.backtest.evaluate import described, evaluate, headline, pooled, series_of
    from service.research.backtest.judging import together
    from service.research.backtest.report import page

    records = [[orjson.loads(line) for line in path.read_bytes().splitlines()] for path in paths]
    shown = []
    for part in _parts([run.history for run in runs]):
        if not any(records[number] for number in part):
            raise HistoryError([f"{runs[number].history.path}: too short for a single tick" for number in part])
        series = series_of(runs[part[0]].history, pooled([records[number] for number in part]))
        told = {
            "symbol": options.symbol,
            "inputs": [described(runs[number].history, runs[number].refused, slow) for number in part],
            "slow": [described(item, {}) for item in slow],
            "publication_delay_m": options.delay_m,
            **evaluate(series, days, options.cost_bp, options.symbol),
        }
        shown.append((told, series))
    if options.export is not None:
        _export(runs, records, options)
    together([told["multiplicity"] for told, _ in shown if len(told["inputs"]) == 1])
    for told, _ in shown:
        told["headline"] = headline(told)
    numbers = orjson.dumps([told for told, _ in shown], option=orjson.OPT_INDENT_2)
    (options.report / REPORTS[0]).write_bytes(numbers + b"\n")
    (options.report / REPORTS[1]).write_text(page(shown), encoding="utf-8")


def _export(runs: Sequence[Run], records: Sequence[Sequence[Record]], options: argparse.Namespace) -> None:
    from service.research.backtest.evaluate import pooled, series_of
    from service.research.backtest.export import frame, timeframe_s, write

    steps_s = [series_of(run.history, part).step_s for run, part in zip(runs, records, strict=True)]
    step_s = max(steps_s) if options.export_timeframe is None else timeframe_s(options.export_timeframe)
    write(frame(pooled(records), step_s), options.export)


def _apart(histories: Sequence[History]) -> bool:
    """Whether the files follow each other in time."""
    spans = sorted((item.segments[0][0].known_ms, item.segments[-1][-1].known_ms) for item in histories)
    return all(before[1] < after[0] for before, after in pairwise(spans))


def _parts(histories: Sequence[History]) -> list[list[int]]:
    """Each file alone, then those of a layout and resolution together. Files that overlap in time are another
    instrument or the same hours twice, which would make every interval too narrow: they are not put together."""
    alike: dict[tuple[str, int], list[int]] = {}
    for number, history in enumerate(histories):
        alike.setdefault((history.layout, history.step_s), []).append(number)
    several = [part for part in alike.values() if len(part) > 1]
    joined = [part for part in several if _apart([histories[number] for number in part])]
    return [[number] for number in range(len(histories))] + joined
