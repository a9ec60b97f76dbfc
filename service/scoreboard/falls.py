"""What open interest did in the 24 hours after a published probability or event: the outcome, and those still open.

The event and its probability: docs/deleveraging.md. How it is judged: docs/scoreboard.md.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from math import inf, nan
from typing import NamedTuple

from service.deleveraging import LOG_FALLS, Model
from service.scoreboard.outcome import MINUTE_MS, short
from service.state import Stateful

DAY_MINUTES = 1_440
LEAST_MINUTES = 1_296  # of these; with fewer the deepest fall is not known, and the outcome is lost
DAY_MS = DAY_MINUTES * MINUTE_MS
EVENTS = ("elr_spike", "flush", "reset", "crowded_longs", "crowded_shorts")

_ROW = 11  # numbers of each that is open
_NO_BIN = 15
_CLAIM = 0  # of the code: no event, a probability; else the event's place in EVENTS, from 1


class Fall(NamedTuple):
    """What followed a probability (``event`` None) or an event published at ``ts``. Numbers with 10 digits.

    ``oi_*`` and ``base_rate*`` as published, None for an event; ``alone_*``: what the model says from the volatility
    alone, ``volatility_bin``: the tenth it lies in; both None where the volatility was not known. ``fell``: the lowest
    ``ln_oi_index`` of the 24 hours after, less that at ``ts``; None, with ``at`` and ``hit_*``, where it is lost.
    ``at``: time of the tick that decided it. ``hit_*``: whether open interest fell by 5 % (10 %).
    """

    symbol: str
    event: str | None
    ts: int
    at: int | None
    oi_5: float | None
    oi_10: float | None
    base_rate: float | None
    base_rate_10: float | None
    alone_5: float | None
    alone_10: float | None
    volatility_24h: float | None
    volatility_bin: int | None
    fell: float | None
    hit_5: bool | None
    hit_10: bool | None


def hits_of(fell: float | None) -> tuple[bool | None, bool | None]:
    """Whether a fall of 5 % and one of 10 % happened."""
    if fell is None:
        return None, None
    return fell <= LOG_FALLS[0], fell <= LOG_FALLS[1]


class OpenFalls(Stateful):
    """One symbol: the lowest ``ln_oi_index`` of each of the last 1,440 minutes, and what waits for 24 of its hours.

    88 bytes a probability and 11.5 kB of lows: 138 kB with one a minute. Minutes are internal: by the service clock
    less ``_shift_ms``, all that its anchor has moved, so that distances stay. Minute m holds the ticks of
    (m - 1, m] minutes. What was published within a minute is judged by the 1,440 whole ones after it.
    ``as_of``: of the last probability that was opened; ``regime``: the last one published; None before.
    """

    STATE = ("_lows", "_newest", "_rows", "_shift_ms", "as_of", "regime")
    __slots__ = STATE

    def __init__(self) -> None:
        self._lows = array("d", [inf]) * DAY_MINUTES  # infinite: not known
        self._newest = 0  # internal minute of the newest low
        self._rows = array("d")
        self._shift_ms = 0
        self.as_of: int | None = None
        self.regime: str | None = None

    def take(
        self,
        ts: int,
        event: str | None,
        level: float,
        said: tuple[float, float, float, float] | None,
        volatility_24h: float | None,
        model: Model,
    ) -> None:
        """Open one, published at ``ts`` with ``ln_oi_index`` ``level``. ``said``: oi_5, oi_10 and the base rates."""
        number, alone = _NO_BIN, (nan, nan)
        if volatility_24h is not None:
            number, alone = model.volatility_bin(volatility_24h), model.volatility_alone(volatility_24h)
        code = number + 16 * (_CLAIM if event is None else 1 + EVENTS.index(event))
        numbers = (volatility_24h, *alone, *(said or (nan,) * 4))
        self._rows.extend((float(ts), float(self._minute(ts)), level, float(code)))
        self._rows.extend(nan if value is None else short(value) for value in numbers)

    def mature(self, symbol: str, ts: int, level: float | None, settle: Callable[[Fall], None]) -> Iterator[Fall]:
        """What tick ``ts``, at ``ln_oi_index`` ``level`` (None without quorum), decides; by the time it was published.

        The first tick at or after the 24 hours decides; one that comes later does not count among their minutes.
        """
        own, minute = ts - self._shift_ms, self._minute(ts)
        if minute < self._newest:  # kept while the clock was wrong: it must not hold up, nor judge, what comes now
            yield from self.give_up(symbol, settle)
            self._lows, self._newest = array("d", [inf]) * DAY_MINUTES, 0
        yield from self._close(symbol, ts, own - 1, settle)
        if level is not None:
            self._enter(minute, level)
        yield from self._close(symbol, ts, own, settle)

    def give_up(self, symbol: str, settle: Callable[[Fall], None]) -> Iterator[Fall]:
        """All that is open is lost."""
        while self._rows:
            yield self._first(symbol, None, None, settle)

    def told(self, fall: Fall) -> None:
        """Close what a ledger has told since this state was kept; nothing where it was opened only after that."""
        if self._rows and self._outcome(fall.symbol, fall.at, fall.fell) == fall:
            del self._rows[:_ROW]

    def reanchor(self, shift_ms: int) -> None:
        """The service clock's anchor moved; the published times stay."""
        self._shift_ms += shift_ms
        if self.as_of is not None:
            self.as_of += shift_ms

    def _minute(self, ts: int) -> int:
        return -(-(ts - self._shift_ms) // MINUTE_MS)

    def _enter(self, minute: int, level: float) -> None:
        lows, slot = self._lows, minute % DAY_MINUTES
        if minute > self._newest:
            for missed in range(max(self._newest + 1, minute - DAY_MINUTES + 1), minute):
                lows[missed % DAY_MINUTES] = inf
            lows[slot] = level
            self._newest = minute
        elif level < lows[slot]:
            lows[slot] = level

    def _close(self, symbol: str, ts: int, until_ms: int, settle: Callable[[Fall], None]) -> Iterator[Fall]:
        rows = self._rows
        while rows and rows[1] * MINUTE_MS + DAY_MS <= until_ms:
            low = self._lowest(int(rows[1]))
            yield self._first(symbol, ts, None if low is None else short(low - rows[2]), settle)

    def _lowest(self, minute: int) -> float | None:
        """The lowest level of the 1,440 minutes after ``minute``; None where too few of them are known."""
        first = max(minute, self._newest - DAY_MINUTES) + 1
        last = min(minute + DAY_MINUTES, self._newest)
        if last - first + 1 < LEAST_MINUTES:
            return None
        begin, end = first % DAY_MINUTES, last % DAY_MINUTES + 1
        lows = self._lows[begin:end] if begin < end else self._lows[begin:] + self._lows[:end]
        return None if len(lows) - lows.count(inf) < LEAST_MINUTES else min(lows)

    def _first(self, symbol: str, at: int | None, fell: float | None, settle: Callable[[Fall], None]) -> Fall:
        fall = self._outcome(symbol, None if fell is None else at, fell)
        del self._rows[:_ROW]
        settle(fall)
        return fall

    def _outcome(self, symbol: str, at: int | None, fell: float | None) -> Fall:
        """The oldest row, with what came of it."""
        ts, code = int(self._rows[0]), int(self._rows[3])
        volatility, alone_5, alone_10, oi_5, oi_10, base_rate, base_rate_10 = (
            None if value != value else value for value in self._rows[4:_ROW]
        )
        kind, number = divmod(code, 16)
        hit_5, hit_10 = hits_of(fell)
        return Fall(
            symbol=symbol,
            event=None if kind == _CLAIM else EVENTS[kind - 1],
            ts=ts,
            at=at,
            oi_5=oi_5,
            oi_10=oi_10,
            base_rate=base_rate,
            base_rate_10=base_rate_10,
            alone_5=alone_5,
            alone_10=alone_10,
            volatility_24h=volatility,
            volatility_bin=None if number == _NO_BIN else number,
            fell=fell,
            hit_5=hit_5,
            hit_10=hit_10,
        )
