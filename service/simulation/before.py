"""The month before a simulated market begins, by the hour: as far back as its venues publish history.

Coarser than the market itself and much cheaper: no minutes, no phases. It ends where the market begins.
"""

from __future__ import annotations

import random
from math import exp, sqrt
from typing import NamedTuple

from service.simulation.profiles import Profile

HOUR_MS = 3_600_000
HOURS = 31 * 24
YEAR_H = 8_766.0
LEVEL_KEEPS = 0.5 ** (1 / 48)  # of log open interest, an hour: half of a build-up is gone after two days
LEVEL_SPREAD = 0.07
CROWD_KEEPS = 0.5 ** (1 / 12)
CROWD_SPREAD = 0.35
FALLS_EVERY_H = 120  # on average: open interest is forced out, and the price moves against the crowd
FALL, MOVE = (0.05, 0.12), (0.015, 0.04)


class Hour(NamedTuple):
    """A symbol on a full hour. ``log_price``; ``level``: log open interest against its base; ``crowd``: -1 shorts to
    1 longs."""

    log_price: float
    level: float
    crowd: float


class Before:
    """The hours of one symbol up to the last full one at or before ``start_ms``; made when first asked for.

    ``log_price``, ``level``: of the market at its start, to which this leads.
    """

    def __init__(self, seed: int, symbol: str, levels: Profile, start_ms: int, log_price: float, level: float) -> None:
        self.last_ms = start_ms // HOUR_MS * HOUR_MS
        self.first_ms = self.last_ms - HOURS * HOUR_MS
        self._seed = f"{seed}:before:{symbol}"
        self._volatility = levels.volatility / sqrt(YEAR_H)
        self._end = (log_price, level)
        self._hours: list[Hour] = []

    def at(self, ts: int) -> Hour:
        """The full hour ``ts`` of [first_ms, last_ms]; IndexError for others."""
        if not self._hours:
            self._hours = self._walk()
        if not self.first_ms <= ts <= self.last_ms:
            raise IndexError(f"{ts} is not in the month before")
        return self._hours[(ts - self.first_ms) // HOUR_MS]

    def _walk(self) -> list[Hour]:
        rng = random.Random(self._seed)
        log_price, level, crowd = 0.0, rng.gauss(0.0, LEVEL_SPREAD), rng.gauss(0.0, CROWD_SPREAD)
        walked = [Hour(log_price, level, crowd)]
        for _ in range(HOURS):
            log_price += rng.gauss(0.0, self._volatility)
            level = level * LEVEL_KEEPS + rng.gauss(0.0, LEVEL_SPREAD * sqrt(1 - LEVEL_KEEPS**2))
            crowd = crowd * CROWD_KEEPS + rng.gauss(0.0, CROWD_SPREAD * sqrt(1 - CROWD_KEEPS**2))
            crowd = max(-1.0, min(crowd, 1.0))
            if rng.random() < 1 / FALLS_EVERY_H:
                level -= rng.uniform(*FALL)
                log_price -= rng.uniform(*MOVE) * (1 if crowd > 0 else -1)
                crowd *= 0.3
            walked.append(Hour(log_price, level, crowd))
        # What it is off at the end is taken off bit by bit, so that no step comes in.
        off = self._end[0] - log_price, self._end[1] - level
        return [
            Hour(hour.log_price + off[0] * done, hour.level + off[1] * done**8, hour.crowd)
            for number, hour in enumerate(walked)
            for done in [number / HOURS]
        ]


def price(hour: Hour) -> float:
    """USD per canonical unit."""
    return exp(hour.log_price)
