"""What a finished back-test left in its folder, file by file: checked to be whole and of this version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from service.errors import ConfigError, HistoryError
from service.research.backtest.evaluate import LIVE_TICK_S
from service.research.backtest.feeding import LIVE_BELOW_S
from service.research.backtest.run import VERSION
from service.research.backtest.series import Series


@dataclass(frozen=True, slots=True)
class Judged:
    """One file of a report: its name, the SHA-256 of its bytes, the symbol it is of, and its ticks."""

    file: str
    sha256: str
    symbol: str
    series: Series


def read(directory: Path) -> Iterator[Judged]:
    """The files of a report one after the other, those with no tick left out.

    Raises :exc:`ConfigError` for a folder that is no finished report or one of another version, :exc:`HistoryError` for
    ticks that are not those of the report.
    """
    report = directory / "report.json"
    try:
        parts = orjson.loads(report.read_bytes())
        alone = [part for part in parts if len(part["inputs"]) == 1]
        named = {str(part["inputs"][0]["sha256"]): _described(part) for part in alone}
    except OSError as error:
        problem = f"{report}: {error.strerror}; is it the folder of an `elr backtest` that came to its end?"
        raise ConfigError([problem]) from None
    except (ValueError, TypeError, KeyError) as error:
        raise HistoryError([f"{report}: no report: {error}"]) from None
    checkpoints = {kept["files"][0]: (path, kept) for path, kept in _checkpoints(directory)}
    missing = [file for digest, (file, _, _) in named.items() if digest not in checkpoints]
    if missing:
        raise ConfigError([f"{directory}: no ticks of {name}; run `elr backtest` again" for name in missing])
    for digest, (file, symbol, resolution_s) in named.items():
        path, kept = checkpoints[digest]
        records = _ticks(path, kept)
        if records:
            step_s = LIVE_TICK_S if resolution_s < LIVE_BELOW_S else resolution_s
            yield Judged(file, digest, symbol, Series(records, step_s))


def _described(part: dict[str, Any]) -> tuple[str, str, int]:
    """File, symbol and resolution in seconds of one file's part of a report."""
    told = part["inputs"][0]
    return str(told["file"]), str(part["symbol"]), int(told["resolution_s"])


def _checkpoints(directory: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(directory.glob("*.checkpoint.json")):
        try:
            kept = orjson.loads(path.read_bytes())
            version, _, _ = kept["version"], kept["files"][0], kept["ticks_sha256"]
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise HistoryError([f"{path}: no checkpoint: {error}"]) from None
        if version != VERSION:
            raise ConfigError([f"{path}: of version {version}, not {VERSION}; run `elr backtest` again"])
        yield path, kept


def _ticks(checkpoint: Path, kept: dict[str, Any]) -> list[dict[str, Any]]:
    path = checkpoint.with_name(checkpoint.name.replace(".checkpoint.json", ".ticks.jsonl"))
    written = path.read_bytes()
    if sha256(written).hexdigest() != kept["ticks_sha256"]:
        raise HistoryError([f"{path}: not the ticks of {checkpoint.name}; run `elr backtest` again"])
    return [orjson.loads(line) for line in written.splitlines()]
