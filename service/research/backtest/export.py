"""Scored ticks as a data frame that a back-test of candles, as freqtrade's, merges on ``date``. It never looks ahead.

A candle is named by the time it opens, and a strategy acts on it once it has closed. So the row of the candle that
opens at D holds the newest tick known after D and not after the candle's close.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from service.errors import ConfigError
from service.research.backtest.run import Record

UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
DAY_S = 86_400
ENDINGS = (".csv", ".csv.gz")
LEFT_OUT = ("components",)  # parts of the window scores: by their own names, not the message's


def timeframe_s(text: str) -> int:
    """``5m``, ``1h``, ``1d`` in seconds; raises :exc:`ConfigError` for what does not divide a UTC day."""
    found = re.fullmatch("([1-9][0-9]{0,4})([smhd])", text)
    seconds = 0 if found is None else int(found[1]) * UNITS_S[found[2]]
    if seconds == 0 or DAY_S % seconds != 0:
        raise ConfigError([f"--export-timeframe {text}: a part of a day, as 5m, 1h, 4h or 1d"])
    return seconds


def frame(records: Sequence[Record], timeframe_s: int) -> pd.DataFrame:
    """One row a candle in which a tick became known, by time: ``date``, the UTC time at which the candle of
    ``timeframe_s`` seconds opens, then every plain field of the newest such record under its own name; ``ts`` is when
    it was known (UTC ms). A field that is an object becomes one column a key, ``scores.1h``. None is missing.

    ``records``: by rising ``ts``.
    """
    step_ms = timeframe_s * 1_000
    newest = {-(-item["ts"] // step_ms) * step_ms - step_ms: item for item in records}
    table = pd.DataFrame([{"date": opens_ms, **dict(_plain(item))} for opens_ms, item in newest.items()])
    table["date"] = pd.to_datetime(table["date"], unit="ms", utc=True)
    return table


def _plain(item: Record) -> Iterator[tuple[str, Any]]:
    for name, value in item.items():
        if name in LEFT_OUT:
            continue
        if isinstance(value, dict):
            yield from ((f"{name}.{key}", part) for key, part in value.items() if not isinstance(part, dict | list))
        elif not isinstance(value, list):
            yield name, value


def export_problem(path: Path) -> str | None:
    """Why a frame cannot be written there; None if it can."""
    if not path.name.endswith(ENDINGS):
        return f"--export {path}: must end with {' or '.join(ENDINGS)}"
    return None if path.parent.is_dir() else f"--export {path}: no folder {path.parent}"


def write(table: pd.DataFrame, path: Path) -> None:
    """As CSV, also gzipped; the same bytes for the same frame."""
    packed = {"method": "gzip", "mtime": 0} if path.name.endswith(".gz") else None
    table.to_csv(path, index=False, compression=packed)
