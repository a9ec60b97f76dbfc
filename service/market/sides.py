"""Which sides a venue's open interest counts: the rule in force, its evidence, and what raises a doubt. Pure.

docs/signal.md section 2. The documented rule holds until evidence contradicts it. Two figures of the venue itself
decide (:class:`~service.model.OiSides`). Everything else is weaker and only raises a doubt: how far open interest moves
on a single trade, whether it is always an even number of lots, whether all of it steps by a factor of two at once.
"""

from __future__ import annotations

from collections.abc import Container
from math import gcd
from typing import Any, ClassVar

from service.model import OiFigure, OiSides
from service.state import Stateful

MEASURED = "measured"

# Reasons of a doubt.
FIGURES = "figures_disagree"  # the venue's two figures are neither one nor two to one
STEPS = "moves_per_trade"  # open interest moves by twice or half the size of single trades
STEPPED = "all_stepped"  # open interest of most instruments doubled or halved at once

TELL_CHANGE_MS = 3_600_000  # a change of sides stands in the message for so long: the longest window
SETTLING_MS = 300_000  # longer than the quarantine of a step
WINDOWS = 20  # windows of a single trade before they say anything
WINDOWS_WITH_LOTS = 10  # where the lots say the same
WINDOWS_SHARE = 0.8  # of them that must agree
EVEN_LOTS = 50  # even counts without any odd one: one side would do that once in 2**50
EQUAL = 0.01  # how closely a move must be the size of the trade, or twice, or half of it
LOT_TRADES = 200  # trades after which the lot is known
LOT_UNIT = 1e8  # sizes are compared as whole numbers of 1e-8

HALF, ONE, TWO = "half", "one", "two"
RATIOS = ((HALF, 0.5), (ONE, 1.0), (TWO, 2.0))


def by_two(now: float, before: float, within: float = 0.02) -> int:
    """1 for a figure that has doubled, -1 for one that has halved, else 0.

    >>> by_two(201.0, 100.0), by_two(50.0, 100.0), by_two(180.0, 100.0)
    (1, -1, 0)
    """
    if before <= 0.0 or now <= 0.0:
        return 0
    ratio = now / before
    if abs(ratio / 2.0 - 1.0) <= within:
        return 1
    return -1 if abs(ratio * 2.0 - 1.0) <= within else 0


class SideRule(Stateful):
    """The rule of one venue. ``sides``: 1 or 2, of the venue's ``figure``; what is published is always one side.

    ``evidence``: documented, assumed or measured. ``doubts``: reason -> since when (UTC ms); while there is any, the
    venue's open interest does not count. ``ratio``, ``compared``: of the last measurement, made at ``checked_ms``.
    """

    STATE = (
        "sides", "evidence", "since_ms", "checked_ms", "changed_ms", "ratio", "compared", "doubts", "windows", "even",
        "odd", "steps", "stepping", "levels", "settled_ms", "known_as",
    )  # fmt: skip
    __slots__ = (*STATE, "figure")

    def __init__(self, figure: OiFigure) -> None:
        self.figure = figure
        self.sides: int = figure.sides
        self.evidence: str = figure.evidence
        self.since_ms: int | None = None  # None: since the start
        self.checked_ms: int | None = None
        self.changed_ms: int | None = None  # when the figure last changed its sides
        self.ratio: float | None = None
        self.compared = 0
        self.doubts: dict[str, int] = {}
        self.windows: dict[str, int] = dict.fromkeys((HALF, ONE, TWO), 0)
        self.even = 0
        self.odd = 0
        self.steps: dict[str, list[float]] = {}  # by instrument: contracts before it doubled or halved, and when it did
        self.stepping = False  # there is one that is not judged yet
        self.levels: dict[str, float] = {}  # of those whose steps are in doubt: contracts before
        self.settled_ms: int | None = None  # when such a doubt ended: instruments may be in quarantine for a while
        self.known_as = f"{figure.name} {figure.sides}"  # what was known of the figure when this was stored

    def described(self) -> dict[str, Any]:
        """The rule as ``/v1/venues`` shows it."""
        return {
            "figure": self.figure.name,
            "sides": self.sides,
            "evidence": self.evidence,
            "source": self.figure.source,
            "since": self.since_ms,
            "checked": self.checked_ms,
            "ratio": self.ratio,
            "compared": self.compared,
            "doubts": dict(self.doubts),
        }

    @property
    def doubted(self) -> bool:
        return bool(self.doubts)

    def changed_lately(self, ts: int) -> bool:
        return self.changed_ms is not None and ts - self.changed_ms <= TELL_CHANGE_MS

    def measure(self, event: OiSides) -> bool:
        """Take the venue's own figures. True: it counts other sides than until now, so that nothing before compares."""
        at = event.recv_ts
        self.ratio, self.compared, self.checked_ms = event.ratio, event.compared, at
        if event.sides is None:
            self.doubts.setdefault(FIGURES, at)
            return False
        self.settle(at)
        self.doubts.clear()  # two figures of the venue itself say more than anything else
        if event.sides == self.sides:
            if self.evidence != MEASURED:
                self.evidence, self.since_ms = MEASURED, at
            return False
        self.change(event.sides, at)
        self.evidence = MEASURED
        return True

    def change(self, sides: int, at: int) -> None:
        """From ``at`` on the figure counts so many sides."""
        self.sides, self.since_ms, self.changed_ms = sides, at, at
        self.steps.clear()
        self._forget_windows()

    def window(self, moved: float, traded: float, at: int) -> None:
        """Open interest moved by so much while exactly one trade took place, both in contracts and > 0."""
        for name, times in RATIOS:
            if abs(moved / (traded * times) - 1.0) <= EQUAL:
                self.windows[name] += 1
                self._judge_windows(at)
                return

    def lots(self, even: bool) -> None:
        """Open interest was an even or an odd number of lots."""
        if even:
            self.even += 1
        else:
            self.odd += 1

    def _judge_windows(self, at: int) -> None:
        """Most windows at twice or half the trade contradict the rule; most at its size support it again."""
        half, one, two = self.windows[HALF], self.windows[ONE], self.windows[TWO]
        seen = half + one + two
        two_sided_lots = self.odd == 0 and self.even >= EVEN_LOTS
        enough = WINDOWS_WITH_LOTS if two_sided_lots and two > half else WINDOWS
        if seen < enough:
            return
        if max(half, two) >= WINDOWS_SHARE * seen:
            self.doubts.setdefault(STEPS, at)
            self._forget_windows()
        elif one >= WINDOWS_SHARE * seen:
            self.doubts.pop(STEPS, None)
            self.settle(at)
            self._forget_windows()
        elif seen >= 2 * WINDOWS:  # nothing clear: look anew
            self._forget_windows()

    def compare(self, instrument: str, before: float, now: float, at: int) -> None:
        """An observation, believed or not, against the last one believed before it."""
        known = self.steps.get(instrument)
        if known is not None and by_two(now, known[0]) == 0:
            del self.steps[instrument]
            known = None
        if known is None and not 0.75 * before < now < 1.5 * before and by_two(now, before) != 0:
            self.steps[instrument] = [before, at]
            self.stepping = True

    def forget(self, instrument: str) -> None:
        """There is nothing to compare the instrument's next observation with."""
        self.steps.pop(instrument, None)

    def keep(self, instruments: Container[str]) -> None:
        """Only these are followed now: a doubt must not wait for the return of others."""
        self.steps = {name: step for name, step in self.steps.items() if name in instruments}
        self.levels = {name: level for name, level in self.levels.items() if name in instruments}

    def all_stepped(self, levels: dict[str, float], at: int) -> None:
        """Most of the venue's instruments doubled or halved at once. ``levels``: what they had before, in contracts."""
        if STEPPED in self.doubts:
            return
        if self.settled_ms is not None and at - self.settled_ms <= SETTLING_MS:
            self.stepping = True  # judged again when that is over
            return
        self.doubts[STEPPED] = at
        self.levels = levels

    def settle(self, at: int) -> None:
        """The doubt about such a step is over."""
        if self.doubts.pop(STEPPED, None) is not None:
            self.settled_ms = at
            self.levels = {}

    def _forget_windows(self) -> None:
        self.windows = dict.fromkeys((HALF, ONE, TWO), 0)
        self.even = self.odd = 0

    def reanchor(self, delta_ms: int) -> None:
        for name in ("since_ms", "checked_ms", "changed_ms", "settled_ms"):
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, value + delta_ms)
        self.doubts = {reason: at + delta_ms for reason, at in self.doubts.items()}
        for step in self.steps.values():
            step[1] += delta_ms


class TradeWatch(Stateful):
    """One instrument's trades between two observations of its open interest, in contracts, and the lot they show."""

    STATE: ClassVar[tuple[str, ...]] = ("traded", "trades", "quiet", "lot", "known")
    __slots__ = STATE

    def __init__(self) -> None:
        self.traded = 0.0
        self.trades = 0
        self.quiet = False  # nothing was traded between the two observations before
        self.lot = 0  # greatest common divisor of the sizes, in units of 1e-8; 0: none yet
        self.known = 0  # trades it was found from

    def trade(self, contracts: float) -> None:
        self.traded += contracts
        self.trades += 1
        if self.known < LOT_TRADES:
            self.lot = gcd(self.lot, round(contracts * LOT_UNIT))
            self.known += 1

    def interest(self, before: float, now: float, rule: SideRule, at: int) -> None:
        """An accepted observation. Only a single trade after silence can be told apart from others."""
        if now != before:
            if self.trades == 1 and self.quiet and self.traded > 0.0:
                rule.window(abs(now - before), self.traded, at)
            if self.known == LOT_TRADES and self.lot > 1:
                lots, rest = divmod(round(now * LOT_UNIT), self.lot)
                if rest == 0:
                    rule.lots(lots % 2 == 0)
        self.quiet = self.trades == 0
        self.traded, self.trades = 0.0, 0
