"""The record behind ``p_hit``: non-overlapping outcomes of the composite at one hour (docs/signal.md section 7)."""

from __future__ import annotations

from service.state import Stateful

HORIZON_MS = 3_600_000
LATE_MS = 60_000  # a price later than this is not the outcome at one hour: it is dropped, not counted
SHRINKAGE = 400  # outcomes it takes for the record to count as much as "no edge" does


class Record(Stateful):
    """One outcome at a time: taken at a tick with a direction, matured at the first tick with a price an hour on."""

    STATE = ("_price", "_sign", "_taken", "hits", "n")
    __slots__ = ("_price", "_sign", "_taken", "hits", "n")

    def __init__(self) -> None:
        self.n = 0
        self.hits = 0
        self._taken: int | None = None  # None: no outcome pending
        self._price = 0.0
        self._sign = 0

    @property
    def p_hit(self) -> float:
        """Hit probability shrunk towards 0.5, which it is until there is a record."""
        if self.n == 0:
            return 0.5
        return 0.5 + self.n / (self.n + SHRINKAGE) * (self.hits / self.n - 0.5)

    def mature(self, price: float | None, ts: int) -> None:
        """Close the pending outcome if it is due and there is a price.

        A return of zero is not counted, nor one over more than an hour and a minute (no data when it was due).
        """
        if self._taken is None or ts < self._taken + HORIZON_MS:
            return
        late = ts > self._taken + HORIZON_MS + LATE_MS
        if price is None and not late:
            return
        self._taken = None
        if price is not None and not late and price != self._price:
            self.n += 1
            self.hits += (price > self._price) == (self._sign > 0)

    def take(self, direction: str | None, price: float | None, ts: int) -> None:
        """Open one, unless one is pending or there is no direction."""
        if self._taken is None and price is not None and direction in ("long", "short"):
            self._taken = ts
            self._price = price
            self._sign = 1 if direction == "long" else -1

    def reanchor(self, shift_ms: int) -> None:
        if self._taken is not None:
            self._taken += shift_ms
