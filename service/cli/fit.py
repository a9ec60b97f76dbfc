"""``elr fit``: the parameters of p_deleveraging from finished back-tests, into a file. Never by itself."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from service.cli.backtest import NEEDED
from service.deleveraging import packaged_parameters
from service.errors import ConfigError, HistoryError


def run(options: argparse.Namespace) -> int:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError([f"{', '.join(missing)} missing: run `make dev` in the clone, then .venv/bin/elr fit"])
    from service.research.backtest import deleveraging
    from service.research.backtest.reports import read
    from service.research.backtest.series import DAY_S

    if not options.out.parent.is_dir():
        raise ConfigError([f"--out {options.out}: no folder {options.out.parent}"])
    files: list[dict[str, Any]] = []
    rows = []
    for directory in options.directories:
        for item in read(directory):
            if item.sha256 in [file["sha256"] for file in files]:
                raise ConfigError([f"{directory}: {item.file} is there twice"])
            rows.append(deleveraging.rows_of(item.series, item.series.ahead(DAY_S), len(files)))
            files.append({"file": item.file, "sha256": item.sha256, "symbol": item.symbol})
    if not rows:
        raise HistoryError(["no ticks in these reports"])
    found = deleveraging.fitted(deleveraging.joined(rows), files, datetime.now(UTC).date().isoformat())
    if found is None:
        raise HistoryError(["too little to fit: hours with a rank of seven days and a fall of 5 %, of 10 %, and none"])
    there = options.out.exists()
    present = _read(options.out) if there else packaged_parameters()
    against = options.out if there else "the parameters that come with the service"
    print("\n".join([*_judged(found), f"against {against}:", *_changes(present, found)]))
    if there and not options.force:
        raise ConfigError([f"--out {options.out}: is there; --force replaces it"])
    part = options.out.with_name(f"{options.out.name}.part")
    part.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
    part.replace(options.out)
    print(options.out)
    return 0


def _read(path: Path) -> dict[str, Any]:
    """The file that is there; empty for none, or for one that is no JSON object."""
    try:
        plain = orjson.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return plain if isinstance(plain, dict) else {}


def _judged(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['rows']:,} hours of {len(found['data'])} file{'s' * (len(found['data']) != 1)}"
    for label, told in found["walk_forward"].items():
        if told is None:
            yield f"{label}: not judged: no quarter with enough before it"
            continue
        for name in ("skill_over_climatology", "skill_over_volatility"):
            number = told[name]
            between = "" if number["low"] is None else f" [{number['low']:.4f}, {number['high']:.4f}]"
            yield f"{label}: {name.replace('_', ' ')} {number['value']:.4f}{between}, walk-forward, {told['n']:,} hours"


def _changes(present: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
    """What is different from the file that is there: form, numbers, files of data."""
    if not present:
        yield "it holds no parameters"
        return
    before, after = dict(_flat(present)), dict(_flat(found))
    names = [name for name in after if before.get(name) != after[name]] + [name for name in before if name not in after]
    for name in names:
        yield f"{name}: {before.get(name, 'none')} -> {after.get(name, 'none')}"
    if not names:
        yield "nothing changes"


def _flat(plain: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Name and value of what is said of a change; the judged figures are printed anyway, the date always differs."""
    for group in ("form", "least_rank_h", "rows", "volatility_edges"):
        yield group, plain.get(group)
    for group in ("parameters", "volatility_alone", "base_rates"):
        named = plain.get(group)
        for name, value in named.items() if isinstance(named, dict) else ():
            yield f"{group}.{name}", value
    data = plain.get("data")
    for item in data if isinstance(data, list) else ():
        if isinstance(item, dict):
            yield f"rows of {item.get('file')} {str(item.get('sha256'))[:12]}", item.get("rows")
