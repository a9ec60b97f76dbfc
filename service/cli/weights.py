"""``elr weights``: the weights in force and in the shadow, of a running service or a saved state."""

from __future__ import annotations

import argparse
import asyncio
import gzip
import sys
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
from rich.console import Console
from rich.table import Table

from service.core.renames import renamed_state
from service.errors import ConfigError, ServiceError
from service.learning import Learner
from service.venues.symbols import aliases, canonical_symbol

PATH = "/v1/weights"
WAIT_S = 10.0
PIPED_WIDTH = 140
FORMAT = "elr-weights"


class NoWeights(ServiceError):
    """Nothing to show there; its text says why."""


def run(options: argparse.Namespace) -> int:
    live = options.source.startswith(("http://", "https://"))
    report = asyncio.run(_asked(options.source)) if live else _saved(Path(options.source))
    try:
        group = _group(report, options.symbol)
        if options.save is not None:
            _save(options.save, group, report["min_outcomes"])
        _show(report, group, live)
    except (KeyError, TypeError, AttributeError) as error:
        raise NoWeights(f"{options.source}: weights of another shape ({type(error).__name__}: {error})") from None
    return 0


async def _asked(url: str) -> dict[str, Any]:
    try:
        address = url if urlsplit(url).path.strip("/") else url.rstrip("/") + PATH
    except ValueError as error:
        raise NoWeights(f"{url}: no address: {error}") from None
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WAIT_S)) as client,
            client.get(address) as answer,
        ):
            body = await answer.read()
            if answer.status != 200:
                raise NoWeights(f"{address}: answers {answer.status}")
        report = orjson.loads(body)
    except (aiohttp.InvalidURL, UnicodeError) as error:
        raise NoWeights(f"{url}: no address: {error}") from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise NoWeights(f"{address}: {str(error) or 'no answer'}; is the service running?") from None
    except ValueError:
        raise NoWeights(f"{address}: not JSON: not this service") from None
    if not isinstance(report, dict):
        raise NoWeights(f"{address}: not an object: not this service")
    return report


def _saved(path: Path) -> dict[str, Any]:
    """The report of what a saved state has learned."""
    try:
        plain = orjson.loads(gzip.decompress(path.read_bytes()))
        saved = renamed_state(plain["engine"], aliases())
        return Learner.saved(saved["engine"]["learner"]).report()
    except FileNotFoundError:
        raise ConfigError([f"{path}: no such file"]) from None
    except KeyError:
        raise NoWeights(f"{path}: a state without weights (of an earlier version?)") from None
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise NoWeights(f"{path}: not a saved state: {str(error).splitlines()[0]}") from None


def _group(report: dict[str, Any], symbol: str | None) -> dict[str, Any]:
    groups: dict[str, dict[str, Any]] = report["groups"]
    if not report["per_symbol"]:
        if symbol is not None:
            raise ConfigError([f"--symbol {symbol}: the weights are the same for all symbols here"])
        return groups["all"]
    if symbol is not None and symbol not in groups:
        symbol = canonical_symbol(symbol, aliases())
    if symbol is None or symbol not in groups:
        raise ConfigError([f"--symbol: each symbol has its own weights; one of {' '.join(groups)}"])
    return groups[symbol]


def _save(path: Path, group: dict[str, Any], least: int) -> None:
    """What is in force, for a window that uses what it learned; for another what it has learned so far."""
    learned = {name: window for name, window in group["windows"].items() if window["rounds"] > 0}
    if not learned:
        raise ConfigError([f"--save {path}: nothing has been learned yet"])
    windows = {name: window["in_force"] or window["shares"] for name, window in learned.items()}
    rounds = sum(window["rounds"] for window in learned.values())  # integers
    document = {"format": FORMAT, "rounds": rounds, "version": group["shadow_version"], "windows": windows}
    try:
        path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    except OSError as error:
        raise ConfigError([f"--save {path}: cannot be written: {error.strerror}"]) from None
    print(f"saved {group['shadow_version']} to {path}", file=sys.stderr)
    for name, window in learned.items():
        if window["rounds"] < least:
            print(
                f"elr: {name} has {window['rounds']} rounds, fewer than {least}: frozen, it is little but the prior; "
                f"delete it from the file to keep the fixed formula there",
                file=sys.stderr,
            )


def _show(report: dict[str, Any], group: dict[str, Any], live: bool) -> None:
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    if live:
        console.print(
            f"mode {report['mode']}, in force {group['version']}, learned so far {group['shadow_version']}; "
            f"mode learn uses a window from {report['min_outcomes']} rounds on",
            highlight=False,
        )
    else:
        console.print(f"learned so far {group['shadow_version']} (which mode used it, the state does not say)")
    shares = Table(
        "window", "expert", "in force", "learned", "awake", "gain a round", title="shares", title_justify="left"
    )
    for name, window in group["windows"].items():
        force = window["in_force"]
        for expert, share in window["shares"].items():
            shares.add_row(
                name,
                expert,
                ("all" if expert == "static" else "") if force is None else f"{force.get(expert, 0.0):.3f}",
                f"{share:.3f}",
                f"{window['awake'][expert]:.0%}",
                f"{window['gains'][expert]:+.5f}",
            )
        shares.add_row(name, "(the mixture)", "", "", "", f"{window['gain']:+.5f}", end_section=True)
    console.print(shares)
    regret = Table("window", "rounds", "learning rate", "share rate", "against the best", "measured", "bound",
                   title="regret, in units of loss (0 to 1 a round)", title_justify="left")  # fmt: skip
    for name, window in group["windows"].items():
        for entry in window["regret"]:
            k = entry["switches"]
            regret.add_row(
                name,
                str(window["rounds"]),
                f"{window['learning_rate']:.4f}",
                f"{window['share_rate']:.2e}",
                "single expert" if k == 0 else f"sequence, {k} switch{'es' if k > 1 else ''}",
                f"{entry['measured']:.2f}",
                f"{entry['bound']:.2f}",
                end_section=entry is window["regret"][-1],
            )
    console.print(regret)
