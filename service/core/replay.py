"""A tape through the same engine: frames at their recorded receive times, signals byte-identical to the live run's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from service.config import Config, parse
from service.core.build import rules_of
from service.core.engine import Engine
from service.core.intake import Intake
from service.core.renames import renamed_state
from service.denominators.operator_file import from_plain
from service.errors import ConfigError, TapeError
from service.metrics import Metrics
from service.model import Denominator, Event, Tick, past_from
from service.tapes import Header, Record
from service.venues import VENUES
from service.venues.contract import Venue
from service.venues.symbols import canonical_symbol


class TapeClock:
    """The receive time of the record being replayed."""

    def __init__(self) -> None:
        self.now = 0

    def now_ms(self) -> int:
        return self.now


class Run:
    """One run of a tape: the engine it started from and what its records do to it."""

    def __init__(self, header: Header, name: str | Path) -> None:
        try:
            self.config: Config = parse(_as_recorded(header.config))
            self._aliases = self.config.aliases()
            denominators = self._denominators(header.denominators)
            venues: Mapping[str, Venue] = {name: VENUES[name] for name in self.config.venues.enabled()}
            self.engine = Engine(
                self.config.service.symbols,
                rules_of(self.config),
                self.config.market,
                denominators,
                self.config.weights,
                self.config.deleveraging.model(),
                self.config.alerts,
            )
            if header.state is not None:
                self.engine.restore(renamed_state(header.state, self._aliases))
        except (ConfigError, ValueError, KeyError, TypeError) as error:
            raise TapeError(f"{name}: header cannot be used by this version: {error}") from None
        self.header = header
        self.clock = TapeClock()
        self.metrics = Metrics(tuple(venues), "replay", header.service_version)
        self._within_ms: int | None = self.engine.sampled_ms  # what was received until then is in the state already
        self.intake = Intake(
            venues,
            self.clock,
            self._apply,
            lambda: self.engine.sampled_ms,
            self.metrics,
            extras=self.config.streams.wanted(),
            assets=self.config.all_assets(),
        )
        self.intake.adopt_sides(self.engine.market.sides_in_force())
        self.engine.scoreboard.keep_lines()
        self.engine.advance(header.created_ms)
        self._pending: list[Tick] = []
        self.ledger: list[bytes] = []

    def _denominators(self, items: Sequence[dict[str, Any]]) -> list[Denominator]:
        """Under the canonical names of their symbols."""
        return from_plain([{**item, "symbol": canonical_symbol(item["symbol"], self._aliases)} for item in items])

    def _apply(self, event: Event) -> None:
        if self._within_ms is None:
            self.engine.apply(event)

    def take(self, record: Record) -> list[Tick]:
        """Apply one record; returns the ticks the live run published at it. ``ledger``: its lines since."""
        published = self._apply_record(record)
        for tick in published:
            self.engine.published(tick)
        self.ledger = self.engine.scoreboard.drain()
        return published

    def _apply_record(self, record: Record) -> list[Tick]:
        self.clock.now = record.ts
        if self._within_ms is not None and (record.ts > self._within_ms or record.kind == "r"):
            self._within_ms = None
        if record.kind == "d":
            if self._within_ms is None:
                assert record.item is not None  # the reader checks
                try:
                    self.engine.denominate(self._denominators([record.item])[0], record.ts)
                except (KeyError, TypeError, ValueError) as error:
                    raise TapeError(f"denominator at {record.ts} cannot be used by this version: {error}") from None
            return []
        if record.kind == "m":
            if self._within_ms is None:
                assert record.item is not None  # the reader checks
                try:
                    past = past_from(record.item)
                except (KeyError, TypeError, ValueError) as error:
                    raise TapeError(f"history at {record.ts} cannot be used by this version: {error}") from None
                self.engine.fill(replace(past, symbol=canonical_symbol(past.symbol, self._aliases)), record.ts)
            return []
        if record.kind == "r":
            due = self.engine.advance(record.sampled_ms)  # what the live run had sampled before the shift
            self.engine.reanchor(record.shift_ms)
            if not self.header.ticks:
                return due
            self._pending.extend(due)
            return []
        if record.kind == "p":
            self._pending.extend(self.engine.advance(record.ts))
            published = [tick for tick in self._pending if tick.ts == record.ts]
            self._pending = []
            return published
        if not self.header.ticks:  # frames only: every tick the frames reach
            ticks = self.engine.advance(record.ts if record.kind == "e" else record.ts - 1)
            self.intake.take(record)
            return ticks
        if record.kind != "e":
            self.intake.take(record)
        return []


def _as_recorded(config: Mapping[str, Any]) -> dict[str, Any]:
    """The header's configuration, in which every venue has a table: one without did not exist yet when the tape was
    recorded. It is left out: never heard, it would count as listing every symbol."""
    known = config.get("venues", {})
    if not isinstance(known, dict) or not known:
        return dict(config)
    return {**config, "venues": {**known, **{name: {"enabled": False} for name in VENUES if name not in known}}}


def replay(items: Iterable[Header | Record], name: str | Path) -> Iterator[tuple[Run, Record, list[Tick]]]:
    """Every record of a tape with the run it belongs to and the ticks it published. ``items``: of
    :func:`service.tapes.read`; ``name``: the tape's, for errors."""
    run: Run | None = None
    for item in items:
        if isinstance(item, Header):
            run = Run(item, name)
            continue
        assert run is not None  # the reader refuses a tape that does not begin with a header
        yield run, item, run.take(item)
