"""``elr scoreboard``: is the ledger whole, and what does it come to."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from service.config import load
from service.deleveraging import FALLS
from service.errors import ConfigError
from service.runtime.ledger_file import Reader, files
from service.scoreboard import GENESIS, HORIZONS, Checked, Fall, Outcome, Tally, verify
from service.scoreboard.fall_record import FallRecord, FallTotals
from service.scoreboard.tally import entry, reliability
from service.venues.symbols import canonical_symbol

BAD_DATA = 3
REMEMBERED = 1000  # of a symbol and horizon: nearly three hours of ticks
COLUMNS = (("horizon", 10), ("n", 8), ("hit", 8), ("95 % interval", 17), ("ic", 9), ("se", 8), ("brier", 8))
HEAD = " " * 10 + "".join(f"{name:>{width}}" for name, width in (*COLUMNS, ("clim.", 8), ("lost", 7)))

SPREAD = 24  # columns of a number and its interval


class Totals:
    """The tallies of every symbol met, each outcome once. ``aliases``: other names of symbols."""

    def __init__(self, aliases: Mapping[str, str] | None = None) -> None:
        self.aliases = {} if aliases is None else aliases
        self.tallies: dict[str, dict[str, Tally]] = {}
        self.falls = FallRecord()
        self.fall_totals: dict[str, FallTotals] = {}
        self.repeated = 0
        self._told: dict[tuple[str, str], dict[int, tuple[object, ...]]] = {}

    def add(self, outcome: Outcome | Fall) -> None:
        """What was told before a restart and is told again has the same time and the same words: the first counts.

        After the clock was set back other outcomes have these times: they count.
        """
        symbol = canonical_symbol(outcome.symbol, self.aliases)
        about, said = _said(outcome)
        told = self._told.setdefault((symbol, about), {})
        if told.get(outcome.ts) == said:
            self.repeated += 1
            return
        told.pop(outcome.ts, None)
        told[outcome.ts] = said
        if len(told) > REMEMBERED:
            del told[next(iter(told))]
        known = self.tallies.setdefault(symbol, {name: Tally() for name, _ in HORIZONS})
        if isinstance(outcome, Fall):
            self.falls.enter(outcome)
            self.fall_totals.setdefault(symbol, FallTotals()).enter(outcome)
        else:
            known[outcome.horizon].enter(outcome)

    def renew(self) -> None:
        """Bring the correlations and the intervals up to the last outcome."""
        for known in self.tallies.values():
            for tally in known.values():
                tally.renew()
        self.falls.renew(0, self.fall_totals.values(), now=True)


def _said(outcome: Outcome | Fall) -> tuple[str, tuple[object, ...]]:
    """What the outcome is of, and what was said then."""
    if isinstance(outcome, Fall):
        then = outcome._replace(at=None, fell=None, hit_5=None, hit_10=None)
        return outcome.event or "deleveraging", then[2:]
    return outcome.horizon, (
        outcome.score, outcome.direction, outcome.p_hit, outcome.price_then, outcome.in_hit, outcome.in_ic,
    )  # fmt: skip


class Kept:
    """Lines whose hash somebody kept, and what the ledger has there."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._wanted: dict[int, str] = {}
        self._found: dict[int, str] = {}
        for text in texts:
            number, _, known = text.partition(":")
            if not (
                number.isascii() and number.isdigit() and len(known) == 64 and set(known) <= set("0123456789abcdef")
            ):
                raise ConfigError([f"--hash {text}: NUMBER:HASH, as ledger.seq and ledger.hash of the feed"])
            self._wanted[int(number)] = known

    def watch(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The same lines; whether they are whole is for the reader to say."""
        for line in lines:
            if self._wanted:
                with suppress(ValueError, KeyError, TypeError):
                    fields = json.loads(line)
                    if fields["seq"] in self._wanted:
                        self._found[fields["seq"]] = fields["hash"]
            yield line

    def told(self) -> bool:
        """Say of each what was found; whether all are as they were."""
        for number, known in self._wanted.items():
            found = self._found.get(number)
            if found is None:
                print(f"elr: line {number} is not in it: cut off, or it begins later", file=sys.stderr)
            elif found != known:
                print(f"elr: line {number} has another hash ({found}): it was written anew", file=sys.stderr)
            else:
                print(f"line {number} has the hash that was kept: up to it nothing was changed")
        return self._found == self._wanted


def run(options: argparse.Namespace) -> int:
    paths = _paths(options)
    totals, kept = Totals(load(options.config).aliases()), Kept(options.kept)
    end: Checked | None = None
    for path in paths:
        reader = Reader(path)
        try:
            prev, seq = (None, None) if end is None else (end.hash, end.seq)
            checked = verify(kept.watch(reader), prev, seq, totals.add)
        except OSError as error:
            print(f"elr: {path}: cannot be read: {error.strerror or error}", file=sys.stderr)
            return BAD_DATA
        broken, why = checked.broken, checked.why
        if broken is None and reader.unfinished > 0 and path != paths[-1]:
            broken, why = checked.lines + 1, "it is cut off"
        if broken is not None:
            print(f"elr: {path}: line {broken} is broken: {why}", file=sys.stderr)
            print(f"{path}: {broken - 1} lines before it are whole")
            return BAD_DATA
        if end is None and checked.lines > 0 and (checked.first_seq, checked.first_prev) != (1, GENESIS):
            print(f"begins in the middle: with line {checked.first_seq} of the chain, after {checked.first_prev}")
        if checked.lines > 0:
            end = checked
        print(f"{path}: {checked.lines} lines, whole")
        if reader.unfinished > 0:
            print(f"{path}: line {checked.lines + 1} is being written, or was when the power went: not counted")
    if end is None:
        print("no outcome yet")
        return 0 if kept.told() else BAD_DATA
    print(f"the chain is whole up to line {end.seq}, hash {end.hash}")
    if totals.repeated > 0:
        print(f"{totals.repeated} outcomes told again after a restart are counted once")
    totals.renew()
    whole = kept.told()
    _table(totals, options.symbols)
    return 0 if whole else BAD_DATA


def _paths(options: argparse.Namespace) -> list[Path]:
    given: list[Path] = options.files
    if not given:
        folder = load(options.config).scoreboard.folder
        if folder is None:
            raise ConfigError(["no ledger: name a FILE, or a --config with scoreboard.folder"])
        given = [Path(folder)]
    found: list[Path] = []
    for path in given:
        inside = files(path) if path.is_dir() else [path]
        if not inside or not inside[0].exists():
            raise ConfigError([f"{path}: no ledger there"])
        found += inside
    return found


def _table(totals: Totals, symbols: Sequence[str] | None) -> None:
    symbols = [canonical_symbol(symbol, totals.aliases) for symbol in symbols or ()]
    for symbol in symbols:
        if symbol not in totals.tallies:
            raise ConfigError([f"--symbols {symbol}: not in the ledger"])
    everyone = list(totals.tallies.values())
    print(f"\n{HEAD}")
    for number, (name, _) in enumerate(HORIZONS):
        print(_row("all" if number == 0 else "", name, entry([known[name] for known in everyone])))
    for symbol in symbols:
        for number, (name, _) in enumerate(HORIZONS):
            print(_row(symbol if number == 0 else "", name, entry([totals.tallies[symbol][name]])))
    bins = reliability([known["composite"] for known in everyone])
    if bins:
        print("\nsaid (p_hit of the composite) and came:")
        for part in bins:
            told = f"said {part['p_hit']:.3f}, came {part['hit']:.3f}, n {part['n']}"
            print(f"  {part['low']:.2f} to {part['high']:.2f}: {told}")
    _falls(totals, symbols)
    print("\nAll symbols: they move together, so the intervals assume no more than they know (docs/scoreboard.md).")


def _falls(totals: Totals, symbols: Sequence[str]) -> None:
    """The tables of what is judged by open interest; each where there is any of it."""
    said, events = totals.falls.summary["deleveraging"], totals.falls.summary["events"]
    if said["falls"]["oi_5"]["n"] + said["lost"] > 0:
        names = ("brier", "skill_base_rate", "skill_volatility", "auc")
        heads = ("brier", "skill on base rate", "on volatility", "auc")
        print(f"\np_deleveraging: {said['weeks']} weeks, {said['lost']} lost")
        print(f"{'':10}{'fall':>6}{'n':>9}{'came':>7}" + "".join(f"{head:>{SPREAD}}" for head in heads))
        for fall in FALLS:
            print(_fall_row("all", fall, said["falls"][fall], names) + f"  {said['falls'][fall]['evidence']}")
        for symbol in symbols:
            own = totals.fall_totals.get(symbol, FallTotals()).entry()
            for fall in FALLS:
                print(_fall_row(symbol, fall, own["falls"][fall], names[:-1]))
        for fall, bins in totals.falls.reliability().items():
            print(f"\nsaid ({fall}) and came:")
            for part in bins:
                print(f"  said {part['p']:.3f}, came {part['happened']:.3f}, n {part['n']}")
    if any(found["n"] + found["lost"] > 0 for found in events.values()):
        print("\nafter an event, beside all published moments of the same volatility:")
        titles = "".join(f"{head:>{SPREAD}}" for head in ("followed", "same volatility", "lift"))
        print(f"{'':16}{'fall':>6}{'n':>7}{titles}{'lost':>7}")
        for event, found in events.items():
            for fall in FALLS:
                numbers = "".join(_with_interval(found["falls"][fall], name) for name in ("share", "matched", "lift"))
                print(f"{event:16}{fall:>6}{found['n']:>7}{numbers}{found['lost']:>7}")
        for symbol in symbols:
            for event, own in totals.fall_totals.get(symbol, FallTotals()).events().items():
                print(f"{symbol} {event}: n {own['n']}, oi_5 {own['hit_5']}, oi_10 {own['hit_10']}, lost {own['lost']}")


def _fall_row(symbol: str, fall: str, said: dict[str, Any], names: Sequence[str]) -> str:
    numbers = "".join(_with_interval(said, name) for name in names)
    return f"{symbol:<10}{fall:>6}{said['n']:>9}{_number(said['happened'], 3):>7}{numbers}"


def _with_interval(said: dict[str, Any], name: str) -> str:
    low, high = said.get(f"{name}_low"), said.get(f"{name}_high")
    interval = "" if low is None else f" [{_number(low, 3)}, {_number(high, 3)}]"
    return f"{_number(said[name], 3) + interval:>{SPREAD}}"


def _row(symbol: str, name: str, said: dict[str, Any]) -> str:
    interval = "-" if said["hit_low"] is None else f"{said['hit_low']:.3f} to {said['hit_high']:.3f}"
    numbers = "".join(
        f"{_number(said[key], digits):>{width}}"
        for key, digits, width in (("ic", 4, 9), ("ic_se", 4, 8), ("brier", 4, 8), ("brier_climatology", 4, 8))
    )
    return f"{symbol:<10}{name:>10}{said['n']:>8}{_number(said['hit'], 3):>8}{interval:>17}{numbers}{said['lost']:>7}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
