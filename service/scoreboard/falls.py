"""What open interest did in the 24 hours after a published probability or event: the outcome, and those still open.

The event and its probability: docs/deleveraging.md. How it is judged: docs/scoreboard.md.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from math import isfinite, nan
from typing import NamedTuple

from service.deleveraging import BINS, LOG_FALLS, Model
from service.scoreboard.outcome import MINUTE_MS, short
from service.state import Plain, Stateful

DAY_MINUTES = 1_440
LEAST_MINUTES = 1_296  # of these; with fewer the deepest fall is not known, and the outcome is lost
DAY_MS = DAY_MINUTES * MINUTE_MS
EVENTS = ("elr_spike", "flush", "reset", "crowded_longs", "crowded_shorts")

_ROW = 12  # published ts; internal minute, minutes seen until then, level, code; volatility and what was said
_SPARE = 64  # rows kept before the used-up ones are cut off
_NO_BIN = 15
_CLAIM = 0  # of the code: no event, a probability; else the event's place in EVENTS, from 1


class Fall(NamedTuple):
    """What followed a probability (``event`` None) or an event published at ``ts``. Numbers with 10 digits.

    ``oi_*`` and ``base_rate*`` as published, None for an event; ``alone_*``: what the model says from the volatility
    alone, ``volatility_bin``: the tenth it lies in; both None where the volatility was not known, or 0. ``fell``: the
    lowest ``ln_oi_index`` of the 24 hours after, less that at ``ts``; None, with ``at`` and ``hit_*``, where it is
    lost. ``at``: time of the tick that decided it. ``hit_*``: whether open interest fell by 5 % (10 %).
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
    """One symbol: what waits for its 24 hours, and the lowest ``ln_oi_index`` since then. 96 bytes each; 138 kB with
    one a minute.

    Minutes are internal: by the service clock less ``_shift_ms``, all that its anchor has moved, so that distances
    stay. Minute m holds the ticks of (m - 1, m] minutes. What was published within a minute is judged by the 1,440
    whole ones after it. ``as_of``: of the last probability that was opened; ``regime``: the last one published; None
    before. ``_head``: the first row that is still open.
    """

    STATE = ("_head", "_levels", "_minutes", "_newest", "_rows", "_seen", "_shift_ms", "as_of", "regime")
    __slots__ = STATE

    def __init__(self) -> None:
        # Minutes whose low no later one has undercut: the first of them after a time has the lowest since.
        self._minutes = array("q")
        self._levels = array("d")
        self._newest = 0  # the newest minute with a level
        self._seen = 0  # minutes with a level so far
        self._rows = array("d")
        self._head = 0
        self._shift_ms = 0
        self.as_of: int | None = None
        self.regime: str | None = None

    def load(self, plain: Plain) -> None:
        super().load(plain)
        numbers = (self._head, self._newest, self._seen, self._shift_ms, self.as_of or 0)
        rows, newest = self._rows, self._minutes[-1] if self._minutes else 0
        if not (
            all(type(number) is int for number in numbers)
            and type(self.regime) in (str, type(None))
            and len(rows) % _ROW == self._head % _ROW == 0
            and 0 <= self._head <= len(rows)
            and len(self._minutes) == len(self._levels)
            and self._newest == newest
            and all(self._is_row(rows[at : at + _ROW]) for at in range(self._head, len(rows), _ROW))
        ):
            raise ValueError("OpenFalls: what is open does not fit together")

    def _is_row(self, row: array[float]) -> bool:
        _, minute, seen, _, code, *said = row
        kind, number = divmod(code, 16)
        return (
            all(map(isfinite, row[:5]))
            and 0 <= self._seen - seen <= self._newest - minute  # no more minutes were seen than there were
            and number in (*range(BINS), _NO_BIN)
            and kind in range(len(EVENTS) + 1)
            and (kind != _CLAIM or (number != _NO_BIN and all(map(isfinite, said))))
        )

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
        if volatility_24h:  # that of a price that stood still has no logarithm
            number, alone = model.volatility_bin(volatility_24h), model.volatility_alone(volatility_24h)
        code = number + 16 * (_CLAIM if event is None else 1 + EVENTS.index(event))
        minute = self._minute(ts)
        seen = self._seen - max(0, self._newest - minute)
        numbers = (volatility_24h, *alone, *(said or (nan,) * 4))
        self._rows.extend((float(ts), float(minute), float(seen), level, float(code)))
        self._rows.extend([nan if value is None else short(value) for value in numbers])

    def mature(self, symbol: str, ts: int, level: float | None, settle: Callable[[Fall], None]) -> Iterator[Fall]:
        """What tick ``ts``, at ``ln_oi_index`` ``level`` (None without quorum), decides; by the time it was published.

        The first tick at or after the 24 hours decides; one that comes later does not count among their minutes.
        """
        own, minute = ts - self._shift_ms, self._minute(ts)
        if minute < self._newest:  # kept while the clock was wrong: it must not hold up, nor judge, what comes now
            yield from self.give_up(symbol, settle)
            del self._minutes[:], self._levels[:]
            self._newest = 0
        yield from self._close(symbol, ts, own - 1, settle)
        if level is not None:
            self._enter(minute, level)
        yield from self._close(symbol, ts, own, settle)

    def give_up(self, symbol: str, settle: Callable[[Fall], None]) -> Iterator[Fall]:
        """All that is open is lost."""
        while self._head < len(self._rows):
            yield self._first(symbol, None, None, settle)

    def told(self, fall: Fall) -> None:
        """Close what a ledger has told since this state was kept; nothing where it was opened only after that."""
        if self._head < len(self._rows) and self._outcome(fall.symbol, fall.at, fall.fell) == fall:
            self._drop()

    def reanchor(self, shift_ms: int) -> None:
        """The service clock's anchor moved; the published times stay."""
        self._shift_ms += shift_ms
        if self.as_of is not None:
            self.as_of += shift_ms

    def _minute(self, ts: int) -> int:
        return -(-(ts - self._shift_ms) // MINUTE_MS)

    def _enter(self, minute: int, level: float) -> None:
        minutes, levels = self._minutes, self._levels
        if minute > self._newest:
            self._newest = minute
            self._seen += 1
            while minutes and minutes[0] <= minute - DAY_MINUTES:
                del minutes[0], levels[0]
        elif levels and levels[-1] <= level:  # a lower one of the same minute stands
            return
        while levels and levels[-1] >= level:
            del minutes[-1], levels[-1]
        minutes.append(minute)
        levels.append(level)

    def _close(self, symbol: str, ts: int, until_ms: int, settle: Callable[[Fall], None]) -> Iterator[Fall]:
        rows = self._rows
        while self._head < len(rows) and rows[self._head + 1] * MINUTE_MS + DAY_MS <= until_ms:
            low = self._lowest(int(rows[self._head + 1]), int(rows[self._head + 2]))
            yield self._first(symbol, ts, None if low is None else short(low - rows[self._head + 3]), settle)

    def _lowest(self, minute: int, seen: int) -> float | None:
        """The lowest level since ``minute``, when ``seen`` minutes had one; None where too few had one since."""
        if self._seen - seen < LEAST_MINUTES:
            return None
        return self._levels[bisect_right(self._minutes, minute)]

    def _first(self, symbol: str, at: int | None, fell: float | None, settle: Callable[[Fall], None]) -> Fall:
        fall = self._outcome(symbol, None if fell is None else at, fell)
        self._drop()
        settle(fall)
        return fall

    def _drop(self) -> None:
        self._head += _ROW
        if self._head >= _SPARE * _ROW:
            del self._rows[: self._head]
            self._head = 0

    def _outcome(self, symbol: str, at: int | None, fell: float | None) -> Fall:
        """The oldest row that is open, with what came of it."""
        ts, _, _, _, code, *said = self._rows[self._head : self._head + _ROW]
        kind, number = divmod(int(code), 16)
        volatility, alone_5, alone_10, oi_5, oi_10, base_rate, base_rate_10 = (
            None if value != value else value for value in said
        )
        hit_5, hit_10 = hits_of(fell)
        return Fall(
            symbol=symbol,
            event=None if kind == _CLAIM else EVENTS[kind - 1],
            ts=int(ts),
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
