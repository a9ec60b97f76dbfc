"""History files through the engine: the same market, indicators and scoring as live; resumable."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import orjson

from service.config import MarketSection, WeightsSection
from service.core.engine import TICK_MS, Engine
from service.errors import ConfigError
from service.indicators.trailing import LEAST_VALUES
from service.model import Readings, SignalBody, Tick
from service.research.backtest.csv_history import SECOND_MS, History, Row, frames
from service.research.backtest.feeding import LIVE_BELOW_S, Slow, base, columns_fed, events, rules
from service.scoring.body import judge_status
from service.statistics import fold

CHECKPOINT_TICKS = 5_000
VERSION = 4
MONTH_S = 30 * 86_400
HOUR_S = 3_600
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
WARM_ROWS = 60  # of its own past a percentile must rest on, or a month of them where that is fewer
Scored: TypeAlias = tuple[SignalBody, Readings]
Record: TypeAlias = dict[str, Any]  # what is kept of a scored tick: plain JSON values, one line each


def warm_after(step_s: int) -> int:
    """Rows of a segment before its percentiles count: minute values held over a long step are not sixty values."""
    return min(WARM_ROWS, MONTH_S // step_s)


def record(body: SignalBody, readings: Readings, segment: int, warm: bool) -> Record:
    """``warm``: enough of the segment's own rows came before. While not, ranks are None: nothing is known of them."""
    sample = readings.consensus
    components = {
        f"{name}:{part['id']}": part["score"]
        for name, window in body["windows"].items()
        for part in window["components"]
    }
    values = {variant["variant"]: variant["value"] for variant in body["elr"]}
    hour = readings.windows[2]
    return {
        "ts": readings.ts,
        "segment": segment,
        "warm": warm,
        "status": body["status"],
        "price": sample.price if sample.quorum else None,
        "index": body["market"]["index"],
        "oi_coins": body["market"]["oi_coins"],
        "ln_oi": sample.ln_oi_index if sample.quorum else None,
        "funding_8h": body["market"]["funding_8h"],
        "premium": body["market"]["premium"],
        "score": body["score"],
        "scores": {name: window["score"] for name, window in body["windows"].items()},
        "components": components,
        "strength": body["strength"],
        "direction": body["direction"],
        "confidence": body["confidence"],
        "abstain": body["abstain"],
        "regime": body["regime"] if warm or body["regime"] in ("flush", "reset") else None,
        "fragility": body["fragility"] if warm else None,
        "fragility_2": body["fragility_2"] if warm else None,
        "p_oi_5": body["p_deleveraging"]["oi_5"] if warm else None,
        "p_oi_10": body["p_deleveraging"]["oi_10"] if warm else None,
        "volatility_24h": body["volatility_24h"],
        "rank_h": readings.elr.horizon_h if warm else None,
        "rank_elr": readings.elr.percentile if warm else None,
        "rank_funding": readings.funding_abs.percentile if warm else None,
        "rank_volatility": readings.volatility.percentile if warm else None,
        "z_elr": readings.elr.z,
        "z_funding": readings.funding.z,
        "z_premium": readings.premium.z,
        "elr": values["oi_reserve"],
        "elr_mcap": values["oi_mcap"],
        "funding_spend": values["funding_spend"],
        "flush": body["flush"] is not None,
        "flush_fed": hour.ready and hour.slow_z_oi is not None and hour.slow_z_return is not None,
        "forced": None if body["flush"] is None else body["flush"]["forced"],
        "liquidated_long_1h": hour.liquidated_long_coins,
        "liquidated_short_1h": hour.liquidated_short_coins,
    }


def _given(
    rows: Sequence[Row], names: Sequence[str] = ("liquidated_long_coins", "liquidated_short_coins")
) -> float | None:
    """The sum of what the rows give under these names; None where they give nothing."""
    found = [row.numbers[name] for row in rows for name in names if name in row.numbers]
    return fold(found) if found else None


@dataclass(frozen=True, slots=True)
class Place:
    """How far a run is: frames of the segment that are done, and ticks written."""

    segment: int
    frames: int
    ticks: int


class Run:
    """One file's rows to scored ticks, a segment at a time: after a hole everything begins anew."""

    def __init__(self, history: History, slow: Sequence[History], symbol: str) -> None:
        self.history = history
        self.symbol = symbol
        self.slow = slow
        self._slow = Slow(slow, symbol)
        fed = columns_fed(history, slow)
        self._never = {
            name for name, column in (("funding", "funding_rate"), ("premium", "index")) if column not in fed
        }
        self._live = history.step_s < LIVE_BELOW_S
        self._warm_after = warm_after(history.step_s)
        self._engine = self._made()
        self._refused: Counter[str] = Counter()  # of the engines before this one
        self.place = Place(0, 0, 0)

    def _made(self) -> Engine:
        return Engine(
            [self.symbol], rules(self.history), MarketSection(min_venues=1), [], WeightsSection(mode="static")
        )

    @property
    def rows(self) -> int:
        """Rows in all."""
        return sum(len(segment) for segment in self.history.segments)

    def ticks(self) -> Iterator[tuple[int, list[Record]]]:
        """(rows taken, ticks they led to) from :attr:`place` on, frame by frame; between two the run can be saved."""
        for number in range(self.place.segment, len(self.history.segments)):
            done = self.place.frames
            if done == 0:
                self._refused = self.refused
                self._engine = self._made()
            before: int | None = None
            for position, (ts, rows) in enumerate(self._frames(self.history.segments[number])):
                if position < done:
                    before = ts
                    continue
                drive = self._drive_live if self._live else self._drive
                told = [
                    {**record(*tick, number, position >= self._warm_after), **self._of_the_file(*tick, number)}
                    for tick in drive(ts, rows, before)
                ]
                before = ts
                self.place = Place(number, position + 1, self.place.ticks + len(told))
                yield len(rows), told
            self.place = Place(number + 1, 0, self.place.ticks)

    def _frames(self, segment: Sequence[Row]) -> Iterator[tuple[int, tuple[Row, ...]]]:
        if self._live:
            return ((row.known_ms, (row,)) for row in segment)
        return frames(segment, self.history.step_s)

    def _drive(self, ts: int, rows: Sequence[Row], before: int | None) -> list[Scored]:
        """One back-filled sample, with its tick."""
        self._tell(ts, rows, before)
        return [self._scored(self._engine.backfill(ts, step_s=self.history.step_s))]

    def _drive_live(self, ts: int, rows: Sequence[Row], before: int | None) -> list[Scored]:
        """The ticks before ``ts``, which know nothing of it; then what it says."""
        engine, scored = self._engine, []
        if before is None:
            engine.advance((ts - 1) // SECOND_MS * SECOND_MS, live=False)  # nothing was known then
        for tick_ms in range((engine.sampled_ms // TICK_MS + 1) * TICK_MS, ts, TICK_MS):
            scored += [self._scored(tick) for tick in engine.advance(tick_ms, live=False)]
        self._tell(ts, rows, before)
        return scored

    def _of_the_file(self, body: SignalBody, readings: Readings, number: int) -> Record:
        """What a record says otherwise than the service would, which cannot know what a file will never say, nor that a
        file without a forced order says 0 and not nothing."""
        hour = self._rows_of(number, readings.ts - HOUR_MS, readings.ts)
        reading = readings.windows[2]
        told: Record = {"status": self._status(body, readings)}
        told["liquidated_long_1h"], told["liquidated_short_1h"] = None, None
        if self.history.step_s <= HOUR_S:
            for side, coins in (("long", reading.liquidated_long_coins), ("short", reading.liquidated_short_coins)):
                if _given(hour, (f"liquidated_{side}_coins",)) is not None:
                    told[f"liquidated_{side}_1h"] = 0.0 if coins is None and _given(hour) == 0.0 else coins
        if body["flush"] is not None and body["flush"]["forced"] is None:
            day = self._rows_of(number, readings.ts - DAY_MS, readings.ts)
            told["forced"] = False if _given(day) == 0.0 else None
        return told

    def _status(self, body: SignalBody, readings: Readings) -> str | None:
        """The service's, by its own rule; but what the file cannot feed is not waited for. Coarser than an hour nothing
        that the rule asks for is ever ready: None."""
        status = str(body["status"])
        if status != "warming":
            return status
        if self.history.step_s > HOUR_S:
            return None
        ready = {
            "elr": readings.elr.z is not None,
            "funding": readings.funding.n >= LEAST_VALUES,
            "premium": readings.premium.n >= LEAST_VALUES,
            "volatility": readings.volatility.n >= LEAST_VALUES,
        }
        fed = all(ready[name] for name in ready.keys() - self._never)
        return judge_status(replace(readings, statistics_ready=fed))[0]

    def _rows_of(self, number: int, after_ms: int, until_ms: int) -> Sequence[Row]:
        """The rows of a segment known in (after, until]."""
        segment = self.history.segments[number]
        first = bisect_right(segment, after_ms, key=lambda row: row.known_ms)
        return segment[first : bisect_right(segment, until_ms, lo=first, key=lambda row: row.known_ms)]

    def _tell(self, ts: int, rows: Sequence[Row], before: int | None) -> None:
        for at_ms, item in self._slow.bases(before, ts):
            self._engine.denominate(item, at_ms)
        for row in rows:
            settled = self._slow.funding(row.venue, self.symbol, ts)
            if settled is not None and "funding_rate" not in row.numbers:
                self._engine.apply(settled)
            for event in events(row, self.symbol, ts):
                self._engine.apply(event)
            own = base(row, self.symbol)
            if own is not None:
                self._engine.denominate(own, ts)

    def _scored(self, tick: Tick) -> Scored:
        return tick.signals[0], self._engine.readings[0]

    @property
    def refused(self) -> Counter[str]:
        """What the market did not believe so far: code -> observations."""
        now: Counter[str] = Counter()
        for (_, code), count in self._engine.refused.items():
            now[code] += count
        return self._refused + now

    def rows_done(self) -> int:
        """Rows taken up to :attr:`place`."""
        segments = self.history.segments
        done = sum(len(segment) for segment in segments[: self.place.segment])
        if self.place.frames > 0:
            taken = islice(self._frames(segments[self.place.segment]), self.place.frames)
            done += sum(len(rows) for _, rows in taken)
        return done

    def save(self) -> dict[str, Any]:
        return {
            "segment": self.place.segment,
            "frames": self.place.frames,
            "ticks": self.place.ticks,
            "refused": dict(sorted(self.refused.items())),
            "engine": self._engine.save() if self.place.frames > 0 else None,
        }

    def restore(self, plain: dict[str, Any]) -> None:
        """Raises ValueError, KeyError or TypeError for what is no :meth:`save` of a run of the same file."""
        self.place = Place(int(plain["segment"]), int(plain["frames"]), int(plain["ticks"]))
        self._refused = Counter({str(code): int(count) for code, count in plain["refused"].items()})
        if plain["engine"] is not None:
            self._engine.restore(plain["engine"], filling=not self._live)


def identity(run: Run) -> dict[str, Any]:
    """What a checkpoint must agree with to be gone on from. ``known``: when each file's first row may be used, which
    the publication delay moves."""
    histories = (run.history, *run.slow)
    return {
        "version": VERSION,
        "files": [item.digest for item in histories],
        "known": [item.segments[0][0].known_ms for item in histories],
        "symbol": run.symbol,
    }


def drive(run: Run, directory: Path, name: str, resume: bool, told: Callable[[int], None]) -> Path:
    """Run to the end, keeping ``name``.ticks.jsonl and ``name``.checkpoint.json in ``directory``; returns the former.

    ``resume``: go on from the checkpoint, if there is one; raises :exc:`ConfigError` if it is of other files, or if
    the ticks are not those it speaks of. ``told`` gets the rows done, as they are.
    """
    ticks_path, checkpoint = directory / f"{name}.ticks.jsonl", directory / f"{name}.checkpoint.json"
    written = _resume(run, checkpoint, ticks_path) if resume and checkpoint.exists() else b""
    told(run.rows_done())
    digest = sha256(written)
    with open(ticks_path, "r+b" if written else "wb") as out:
        out.truncate(len(written))
        out.seek(len(written))
        kept = run.place.ticks
        for rows, records in run.ticks():
            for item in records:
                line = orjson.dumps(item) + b"\n"
                digest.update(line)
                out.write(line)
            told(rows)
            if run.place.ticks - kept >= CHECKPOINT_TICKS:
                kept = run.place.ticks
                _keep(run, out, digest.hexdigest(), checkpoint)
        _keep(run, out, digest.hexdigest(), checkpoint)
    return ticks_path


def _keep(run: Run, out: BinaryIO, digest: str, checkpoint: Path) -> None:
    """The ticks first: a checkpoint never speaks of ticks that are not on the disk."""
    out.flush()
    os.fsync(out.fileno())
    part = checkpoint.with_suffix(".part")
    kept = {**identity(run), "bytes": out.tell(), "ticks_sha256": digest, "run": run.save()}
    part.write_bytes(orjson.dumps(kept))
    part.replace(checkpoint)


def _resume(run: Run, checkpoint: Path, ticks_path: Path) -> bytes:
    """Bring ``run`` to the checkpoint; returns the ticks it speaks of."""
    try:
        plain = orjson.loads(checkpoint.read_bytes())
        if not isinstance(plain, dict):
            raise TypeError("no checkpoint")
        if {key: plain.get(key) for key in identity(run)} != identity(run):
            raise ConfigError([f"{checkpoint}: of another version, file, symbol or delay; run without --resume"])
        written = ticks_path.read_bytes()[: max(0, int(plain["bytes"]))] if ticks_path.exists() else b""
        if sha256(written).hexdigest() != plain["ticks_sha256"]:
            raise ConfigError([f"{ticks_path}: not the ticks of {checkpoint.name}; run without --resume"])
        run.restore(plain["run"])
        return written
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError([f"{checkpoint}: cannot be used: {error}; run without --resume"]) from None
