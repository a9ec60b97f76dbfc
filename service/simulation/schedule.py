"""Through which phases a symbol goes and when: calm, build-up, crowding, cascade, flush, reset; seeded.

Seen by the product they become the regimes calm, building, loaded, crowded_longs or crowded_shorts, flush and reset.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

MINUTE_MS = 60_000

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Phase:
    """What a phase does to a symbol. Ranges are drawn once per occurrence.

    ``oi``, ``price``: log change over the whole phase; the price's in the crowd's direction. ``crowd``: level which the
    crowding (-1 shorts .. +1 longs) tends to, times the side. ``volatility``: factor. ``ramp_s``: how fast crowding
    follows. ``calms``: whether open interest drifts back to its base.
    """

    name: str
    minutes: Range
    oi: Range
    price: Range
    crowd: float
    volatility: float
    ramp_s: float
    calms: bool = False


CALM = Phase("calm", (60, 240), (0.0, 0.0), (0.0, 0.0), 0.0, 1.0, 1800.0, calms=True)
BUILD_UP = Phase("build_up", (45, 110), (0.05, 0.09), (0.008, 0.02), 0.35, 1.1, 1500.0)
CROWDING = Phase("crowding", (30, 80), (0.015, 0.035), (0.002, 0.008), 1.0, 1.25, 900.0)
CASCADE = Phase("cascade", (2, 3), (-0.02, -0.01), (-0.012, -0.006), 0.4, 2.5, 240.0)
FLUSH = Phase("flush", (3, 6), (-0.12, -0.08), (-0.05, -0.025), -0.3, 3.5, 240.0)
RESET = Phase("reset", (60, 150), (0.01, 0.025), (0.0, 0.012), 0.0, 1.5, 2400.0)
PHASES = (CALM, BUILD_UP, CROWDING, CASCADE, FLUSH, RESET)

DISSOLVES = 0.2  # share of crowdings that end quietly, without a flush
LONGS = 0.6  # share of crowds that are long


@dataclass(frozen=True, slots=True)
class Segment:
    """A phase in time: [start_ms, end_ms). Log changes per second; ``side`` +1 longs, -1 shorts."""

    start_ms: int
    end_ms: int
    phase: Phase
    side: int
    oi_per_s: float
    price_per_s: float


def _drawn(rng: random.Random, start_ms: int, end_ms: int, phase: Phase, side: int) -> Segment:
    seconds = (end_ms - start_ms) / 1000
    oi = rng.uniform(*phase.oi)
    price = rng.uniform(*phase.price) * side
    return Segment(start_ms, end_ms, phase, side, oi / seconds, price / seconds)


class Schedule:
    """The phases of one symbol, drawn as time goes on. Ask in time order."""

    def __init__(self, rng: random.Random, start_ms: int) -> None:
        self._rng = rng
        first = CALM if rng.random() < 0.7 else BUILD_UP
        # The audience comes in somewhere in the middle of a phase, not with all symbols at the start of one.
        length_ms = round(rng.uniform(*first.minutes) * rng.uniform(0.1, 1.0)) * MINUTE_MS + MINUTE_MS
        self._segments = [_drawn(rng, start_ms, start_ms + length_ms, first, self._side())]

    def at(self, ts: int) -> Segment:
        """The segment that ``ts`` falls in."""
        while self._segments[0].end_ms <= ts:
            if len(self._segments) == 1:
                self._segments.append(self._next(self._segments[0]))
            self._segments.pop(0)
        return self._segments[0]

    def direct(self, now_ms: int, play: Sequence[tuple[int, int, Phase, int]]) -> None:
        """Replace what is scheduled by ``play``: (start_ms, end_ms, phase, side) in order, without gaps.

        What lies before ``now_ms`` is over and left out. The schedule stays until the play starts; chance goes on
        after it.
        """
        acts = [act for act in play if act[1] > now_ms]
        if not acts:
            return
        start_ms = max(now_ms, acts[0][0])
        while self._segments[-1].end_ms < start_ms:
            self._segments.append(self._next(self._segments[-1]))
        kept = [segment for segment in self._segments if segment.start_ms < start_ms]
        if kept:
            kept[-1] = replace(kept[-1], end_ms=start_ms)
        for begin, end, phase, side in acts:
            whole = _drawn(self._rng, begin, end, phase, side)
            kept.append(replace(whole, start_ms=max(begin, now_ms)))
        self._segments = [segment for segment in kept if segment.end_ms > segment.start_ms]

    def _side(self) -> int:
        return 1 if self._rng.random() < LONGS else -1

    def _next(self, last: Segment) -> Segment:
        side = last.side
        if last.phase is CROWDING and self._rng.random() < DISSOLVES:
            phase = CALM
        else:
            phase = PHASES[(PHASES.index(last.phase) + 1) % len(PHASES)]
        if phase is BUILD_UP:
            side = self._side()
        length_ms = round(self._rng.uniform(*phase.minutes)) * MINUTE_MS
        return _drawn(self._rng, last.end_ms, last.end_ms + length_ms, phase, side)


def plays(live_ms: int) -> tuple[tuple[tuple[int, int, Phase, int], ...], ...]:
    """What the first symbols go through around the start of a demo at ``live_ms``, so that there is something to see.

    The first is crowded with longs and flushes two to six minutes after the start; the second is crowded with shorts
    and is squeezed a quarter of an hour after it; the third starts to build up three minutes after it.
    """
    return (
        _play(live_ms, 1, (-170, -70, 2, 3, 6, 96), BUILD_UP),
        _play(live_ms, -1, (-140, -60, 12, 14, 18, 110), BUILD_UP),
        _play(live_ms, 1, (-120, 3, 28, 60, 63, 67, 140), CALM),
    )


def _play(live_ms: int, side: int, minutes: Sequence[int], first: Phase) -> tuple[tuple[int, int, Phase, int], ...]:
    phases = PHASES[PHASES.index(first) :]
    bounds = [live_ms + minute * MINUTE_MS for minute in minutes]
    return tuple((begin, end, phase, side) for (begin, end), phase in zip(pairwise(bounds), phases, strict=True))
