"""``elr backtest``: history files through the service's own code, and an honest report."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from datetime import date
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.backtest.rows import MINUTE_MS, History, read_history
from service.config import ServiceSection
from service.errors import ConfigError
from service.wiring.backtest import Run, drive

NEEDED = ("numpy", "scipy", "statsmodels", "matplotlib")


def run(options: argparse.Namespace) -> int:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError([f"{', '.join(missing)} missing: pip install 'elr-signal-service[research]'"])
    _check_symbol(options.symbol)
    if not 0 <= options.delay_m <= 1_440:
        raise ConfigError([f"--delay-m {options.delay_m}: between 0 and 1440"])
    if not 0 <= options.cost_bp <= 1_000:
        raise ConfigError([f"--cost-bp {options.cost_bp}: between 0 and 1000"])
    days = _days(options.event or [])
    delay_ms = options.delay_m * MINUTE_MS
    slow = [read_history(path, delay_ms) for path in options.slow or []]
    histories = [read_history(path, delay_ms) for path in options.files]
    problems = [f"{item.path}: no price and open interest to score; --slow?" for item in histories if not item.scorable]
    if problems:
        raise ConfigError(problems)
    options.report.mkdir(parents=True, exist_ok=True)
    paths = _score(histories, slow, options)
    _report(histories, slow, paths, days, options)
    print(f"{options.report / 'report.html'}")
    return 0


def _check_symbol(symbol: str) -> None:
    try:
        ServiceSection(symbols=(symbol,))
    except ValueError:
        raise ConfigError([f"--symbol {symbol}: capital letters and digits, as BTC"]) from None


def _days(texts: Sequence[str]) -> list[date]:
    try:
        return [date.fromisoformat(text) for text in texts]
    except ValueError as error:
        raise ConfigError([f"--event: {error}"]) from None


def _score(histories: Sequence[History], slow: Sequence[History], options: argparse.Namespace) -> list[Path]:
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
        for number, history in enumerate(histories, start=1):
            name = f"{number}-{re.sub(r'[^A-Za-z0-9_-]+', '_', history.path.name.split('.')[0])}"
            run = Run(history, slow, options.symbol)
            task = bar.add_task(history.path.name, total=run.rows)
            paths.append(drive(run, options.report, name, options.resume, partial(bar.advance, task)))
    return paths


def _report(
    histories: Sequence[History],
    slow: Sequence[History],
    paths: Sequence[Path],
    days: Sequence[date],
    options: argparse.Namespace,
) -> None:
    """``report.json`` and ``report.html``: one part a file, and one of all files of a layout and resolution."""
    from service.backtest.evaluate import described, evaluate, pooled, series_of
    from service.backtest.report import page

    records = [[orjson.loads(line) for line in path.read_bytes().splitlines()] for path in paths]
    runs = []
    alike: dict[tuple[str, int], list[int]] = {}
    for number, history in enumerate(histories):
        alike.setdefault((history.layout, history.step_s), []).append(number)
    parts = [[number] for number in range(len(histories))] + [found for found in alike.values() if len(found) > 1]
    for part in parts:
        if not any(records[number] for number in part):
            raise ConfigError([f"{histories[number].path}: too short for a single tick" for number in part])
        series = series_of(histories[part[0]], pooled([records[number] for number in part]))
        told = {
            "symbol": options.symbol,
            "inputs": [described(histories[number]) for number in part],
            "slow": [described(item) for item in slow],
            "publication_delay_m": options.delay_m,
            **evaluate(series, days, options.cost_bp),
        }
        runs.append((told, series))
    numbers = orjson.dumps([told for told, _ in runs], option=orjson.OPT_INDENT_2)
    (options.report / "report.json").write_bytes(numbers + b"\n")
    (options.report / "report.html").write_text(page(runs), encoding="utf-8")
