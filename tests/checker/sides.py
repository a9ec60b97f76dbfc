"""Which sides a venue's open interest counts (docs/signal.md section 2, docs/venues.md): the rule and its doubts.

What comes in is one side by the rule in force. So a trade of size q moves it by up to q; where the rule is wrong, by
up to 2q or by half.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd

from service.model import Flow, OiSides, OpenInterest

CHANGED_MS = 3_600_000  # so long the message tells of a change
MOMENTS, SHARE, TOO_MANY = 20, 0.8, 40
EVEN_MOMENTS, EVEN_ROW = 10, 50  # fewer moments do where so many open interests were even and none was odd
LOT_TRADES, LOT_UNIT = 200, 1e8  # so many trades show the lot
EXACT = 0.01
STEP, LEAST = 0.02, 3
PAUSE_MS = 300_000  # after a doubt over a step of most instruments there is no other
AT_ONCE_MS = 300_000


@dataclass
class Step:
    """Open interest doubled or halved, and has not left that level since."""

    kind: str
    level: float  # contracts before
    at: int


def _by_two(now: float, before: float) -> str | None:
    if now <= 0 or before <= 0:
        return None
    if abs(now / before / 2 - 1) <= STEP:
        return "double"
    return "half" if abs(now / before * 2 - 1) <= STEP else None


@dataclass
class Watched:
    """One instrument: what happened between two accepted open interests, and where the latest one stands."""

    contracts: float | None = None  # the last accepted
    trades: list[float] = field(default_factory=list)  # contracts of each frame of trades since then
    quiet: bool = False  # there was no trade between the two accepted ones before
    sizes: list[int] = field(default_factory=list)  # of the first trades
    step: Step | None = None


class Sides:
    """One venue."""

    def __init__(self, documented: int) -> None:
        self.sides = documented
        self.doubts: list[str] = []  # of "figures", "trades", "stepped"
        self.news = False  # a step that is not judged yet
        self.levels: dict[tuple[str, str], float] = {}  # contracts of what stepped all at once, before
        self.changed_at: int | None = None
        self.settled_at: int | None = None  # when the last doubt over a step ended
        self.watched: dict[tuple[str, str], Watched] = {}  # by symbol and instrument
        self.moves: list[str] = []  # of the moments since the last judgement: "twice", "half", "once"
        self.lots: list[bool] = []  # since then: was an open interest an even number of lots?

    def changed(self, at: int) -> bool:
        return self.changed_at is not None and at - self.changed_at <= CHANGED_MS

    def measured(self, event: OiSides) -> bool:
        """A measurement decides. True: the venue counts other sides than it did."""
        if event.sides is None:
            self._doubt("figures")
            return False
        self._believe(["figures", "trades", "stepped"], event.recv_ts)
        if event.sides == self.sides:
            return False
        self.sides, self.changed_at = event.sides, event.recv_ts
        self.moves, self.lots = [], []
        self.watched.clear()
        return True

    def restart(self, symbol: str, instrument: str) -> None:
        """What comes next of the instrument is not compared with what was."""
        self.watched.pop((symbol, instrument), None)

    def traded(self, event: Flow, contract_coins: float) -> None:
        """Taker flow that was not refused."""
        watched = self.watched.setdefault((event.symbol, event.instrument), Watched())
        size = (event.taker_buy_coins + event.taker_sell_coins) / contract_coins
        watched.trades.append(size)
        if len(watched.sizes) < LOT_TRADES:
            watched.sizes.append(round(size * LOT_UNIT))

    def accepted(self, event: OpenInterest) -> None:
        """Open interest that was believed."""
        watched = self.watched.setdefault((event.symbol, event.instrument), Watched())
        before, trades = watched.contracts, watched.trades
        if before is not None and event.contracts != before:
            if watched.quiet and len(trades) == 1:
                self._judge_move(abs(event.contracts - before) / trades[0], event.recv_ts)
            lot = gcd(*watched.sizes)
            if len(watched.sizes) == LOT_TRADES and lot > 1 and round(event.contracts * LOT_UNIT) % lot == 0:
                self.lots.append(round(event.contracts * LOT_UNIT) // lot % 2 == 0)
        watched.quiet = before is not None and not trades
        watched.contracts, watched.trades = event.contracts, []

    def _judge_move(self, factor: float, at: int) -> None:
        for name, wanted in (("once", 1.0), ("twice", 2.0), ("half", 0.5)):
            if abs(factor / wanted - 1) <= EXACT:
                self.moves.append(name)
                break
        else:
            return  # several hands: it says nothing
        once, twice, half = (self.moves.count(name) for name in ("once", "twice", "half"))
        even = len(self.lots) >= EVEN_ROW and all(self.lots) and twice > half
        if len(self.moves) < (EVEN_MOMENTS if even else MOMENTS):
            return
        if max(twice, half) >= SHARE * len(self.moves):
            self._doubt("trades")
        elif once >= SHARE * len(self.moves):
            self._believe(["trades", "stepped"], at)
        elif len(self.moves) < TOO_MANY:
            return
        self.moves, self.lots = [], []

    def compares(self, symbol: str, instrument: str) -> bool:
        """Whether an open interest was believed that the next one can be compared with."""
        return self.watched.get((symbol, instrument), Watched()).contracts is not None

    def stands(self, symbol: str, instrument: str, contracts: float, last: float, at: int) -> None:
        """An unrefused open interest of a trading instrument, believed or not; ``last``: believed before it."""
        watched = self.watched.setdefault((symbol, instrument), Watched())
        if watched.step is not None and _by_two(contracts, watched.step.level) is None:
            watched.step = None
        kind = _by_two(contracts, last)
        if watched.step is None and kind is not None:
            watched.step = Step(kind, last, at)
            self.news = True

    def judge_steps(self, known: list[tuple[str, str]], at: int) -> None:
        """``known``: the trading instruments whose open interest was believed within a day."""
        self.news = False
        for kind in ("double", "half"):
            alike = {}
            for key in known:
                step = self.watched.get(key, Watched()).step
                if step is not None and step.kind == kind and at - step.at <= AT_ONCE_MS:
                    alike[key] = step.level
            least = min(LEAST, max(2, len(known)))
            if len(alike) < least or 2 * len(alike) < len(known) or "stepped" in self.doubts:
                continue
            if self._settling(at):
                self.news = True
                continue
            self.levels = alike
            self._doubt("stepped")

    def judge_returns(self, back: set[tuple[str, str]], at: int) -> None:
        """``back``: the instruments whose open interest is LIVE and near the level from which it stepped."""
        if "stepped" in self.doubts and 2 * len(back & self.levels.keys()) >= len(self.levels):
            self._believe(["stepped"], at)

    def _settling(self, at: int) -> bool:
        return self.settled_at is not None and at - self.settled_at <= PAUSE_MS

    def _doubt(self, reason: str) -> None:
        if reason not in self.doubts:
            self.doubts.append(reason)

    def _believe(self, reasons: list[str], at: int) -> None:
        if "stepped" in reasons and "stepped" in self.doubts:
            self.settled_at, self.levels = at, {}
        self.doubts = [doubt for doubt in self.doubts if doubt not in reasons]

    def shift(self, delta_ms: int) -> None:
        self.changed_at = None if self.changed_at is None else self.changed_at + delta_ms
        self.settled_at = None if self.settled_at is None else self.settled_at + delta_ms
        for watched in self.watched.values():
            if watched.step is not None:
                watched.step.at += delta_ms
