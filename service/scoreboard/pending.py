"""The published signals of one symbol whose outcomes are still open: at most an hour and a minute of ticks."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from math import nan

from service.scoreboard.outcome import HORIZONS, LATE_MS, Outcome, is_hit, log_return
from service.state import Stateful

_PER = 3  # numbers per horizon: score, p_hit, code
_ROW = 3 + _PER * len(HORIZONS)  # published ts, the same by today's clock, price; then each horizon's
NEVER_MS = 1 << 62  # later than everything that is due
_SPARE = 64  # rows kept before the used-up ones are cut off
_DIRECTIONS: tuple[str | None, ...] = (None, "long", "short", "neutral")
_IN_HIT, _IN_IC = 4, 8  # bits of the code, above the direction


class Pending(Stateful):
    """Rows of numbers, 120 bytes a tick. ``_heads``: each horizon's first row that is still open.

    ``_hit_open``, ``_ic_open``: horizons with a non-overlapping outcome under way; the next begins when it has ended.
    """

    STATE = ("_heads", "_hit_open", "_ic_open", "_rows")
    __slots__ = STATE

    def __init__(self) -> None:
        self._rows = array("d")
        self._heads = [0] * len(HORIZONS)
        self._hit_open = [False] * len(HORIZONS)
        self._ic_open = [False] * len(HORIZONS)

    def take(
        self, ts: int, price: float, said: Sequence[tuple[float | None, str | None]], p_hits: Sequence[float]
    ) -> None:
        """Open a tick's outcomes: (score, direction) and p_hit of each horizon. A null score claims nothing."""
        row = [float(ts), float(ts), price]
        for number, ((score, direction), p_hit) in enumerate(zip(said, p_hits, strict=True)):
            if score is None:
                row += (nan, nan, 0.0)
                continue
            code = _DIRECTIONS.index(direction)
            if direction in ("long", "short") and not self._hit_open[number]:
                self._hit_open[number] = True
                code |= _IN_HIT
            if not self._ic_open[number]:
                self._ic_open[number] = True
                code |= _IN_IC
            row += (score, p_hit, float(code))
        self._rows.extend(row)

    def mature(
        self, symbol: str, ts: int, price: float | None, settle: Callable[[int, Outcome], None]
    ) -> Iterator[Outcome]:
        """What is due at tick ``ts``, by horizon, then by time; ``settle`` is told of each with its horizon's number.

        The first tick with a price at or after the horizon decides; later than a minute after it, it is lost.
        """
        rows, count = self._rows, len(self._rows) // _ROW
        for number, (horizon, length_ms) in enumerate(HORIZONS):
            while (head := self._heads[number]) < count:
                at = head * _ROW
                taken = int(rows[at + 1])
                due = taken + length_ms
                # A record kept while the clock was wrong may be from the future: it must not hold up what comes now.
                late = ts > due + LATE_MS or taken > ts + LATE_MS
                if not late and (ts < due or price is None):
                    break
                self._heads[number] = head + 1
                first = at + 3 + _PER * number
                score = rows[first]
                if score != score:
                    continue
                code, then = int(rows[first + 2]), rows[at + 2]
                in_hit, in_ic = bool(code & _IN_HIT), bool(code & _IN_IC)
                if in_hit:
                    self._hit_open[number] = False
                if in_ic:
                    self._ic_open[number] = False
                direction = _DIRECTIONS[code & 3]
                ret = None if late or price is None else log_return(then, price)
                outcome = Outcome(
                    symbol=symbol,
                    horizon=horizon,
                    ts=int(rows[at]),
                    at=None if ret is None else ts,
                    score=score,
                    direction=direction,
                    p_hit=rows[first + 1],
                    price_then=then,
                    price_at=None if ret is None else price,
                    ret=ret,
                    hit=is_hit(direction, ret),
                    in_hit=in_hit,
                    in_ic=in_ic,
                )
                settle(number, outcome)
                yield outcome
        self._cut()

    def give_up(self, symbol: str, settle: Callable[[int, Outcome], None]) -> Iterator[Outcome]:
        """All that is open is lost: there will be no more prices of the symbol."""
        return self.mature(symbol, NEVER_MS, None, settle)

    def told(self, number: int, outcome: Outcome) -> None:
        """Close what a ledger has told since this state was kept; nothing where it was opened only after that."""
        rows, head, first = self._rows, self._heads[number], 3 + _PER * number
        while head * _ROW < len(rows) and rows[head * _ROW + first] != rows[head * _ROW + first]:
            head += 1  # it claimed nothing at this horizon
        at = head * _ROW
        if at < len(rows) and (rows[at], rows[at + 2], rows[at + first]) == (
            outcome.ts,
            outcome.price_then,
            outcome.score,
        ):
            self._heads[number] = head + 1
            if outcome.in_hit:
                self._hit_open[number] = False
            if outcome.in_ic:
                self._ic_open[number] = False
            self._cut()

    def _cut(self) -> None:
        if (done := min(self._heads)) >= _SPARE:
            del self._rows[: done * _ROW]
            self._heads = [head - done for head in self._heads]

    def reanchor(self, shift_ms: int) -> None:
        """Ages stay; the published time of a signal stays, too: it was said so."""
        for at in range(1, len(self._rows), _ROW):
            self._rows[at] += shift_ms
