"""Which sides a venue's open interest counts (docs/signal.md section 2, docs/venues.md): the rule and its doubts.

What comes in is one side by the rule in force. So a trade of size q moves it by up to q; where the rule is wrong, by
up to 2q or by half.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from service.model import Flow, OiSides, OpenInterest

CHANGED_MS = 3_600_000  # so long the message tells of a change
MOMENTS, SHARE = 20, 0.8
EVEN_MOMENTS, EVEN_ROW = 10, 50  # fewer moments do where so many open interests in a row were even
EXACT = 1e-6
STEP, LEAST, AT_ONCE_MS = 0.02, 3, 60_000


@dataclass
class Moment:
    """One instrument between two observations of open interest."""

    coins: float | None = None  # the last one
    contracts: float = 0.0
    trades: list[float | None] = field(default_factory=list)  # since then; None: more than one, or not to be believed
    quiet: bool = False  # there was no trade between the two observations before
    stepped: tuple[int, str] | None = None  # receipt and kind of the last step by two


class Sides:
    """One venue."""

    def __init__(self, documented: int) -> None:
        self.sides = documented
        self.doubts: list[str] = []  # of "figures", "trades", "double", "half"
        self.changed_at: int | None = None
        self.moments: dict[tuple[str, str], Moment] = {}  # by symbol and instrument
        self.moves: list[str] = []  # of the last moments: "twice", "half", "once", "other"
        self.even = 0

    def changed(self, at: int) -> bool:
        return self.changed_at is not None and at - self.changed_at < CHANGED_MS

    def measured(self, event: OiSides) -> bool:
        """A measurement decides. True: the venue counts other sides than it did."""
        if event.sides is None:
            self.doubts = ["figures"]
            return False
        self.doubts, self.moves = [], []
        if event.sides == self.sides:
            return False
        self.sides, self.changed_at, self.even = event.sides, event.recv_ts, 0
        self.moments.clear()
        return True

    def traded(self, event: Flow, refused: bool) -> None:
        size = event.taker_buy_coins + event.taker_sell_coins
        single = min(event.taker_buy_coins, event.taker_sell_coins) == 0.0 and not refused
        moment = self.moments.setdefault((event.symbol, event.instrument), Moment())
        moment.trades.append(size if single else None)

    def restart(self, symbol: str, instrument: str) -> None:
        """What comes next of the instrument is not compared with what was."""
        self.moments.pop((symbol, instrument), None)

    def observed(self, event: OpenInterest, trading: int) -> str | None:
        """An open interest that was not refused; ``trading``: instruments of the venue that are. A code to count."""
        moment = self.moments.setdefault((event.symbol, event.instrument), Moment())
        said = None
        if moment.coins is not None:
            self._judge_step(moment, event, trading)
            self.even = self.even + 1 if event.contracts % 2 == 0 else 0
            if moment.quiet and len(moment.trades) == 1 and moment.trades[0] is not None:
                moved = abs(event.contracts - moment.contracts) * event.contract_coins
                said = self._judge_move(moved / moment.trades[0])
        moment.quiet = moment.coins is not None and not moment.trades
        moment.coins, moment.contracts, moment.trades = event.coins, event.contracts, []
        return said

    def _judge_move(self, factor: float) -> str:
        kind = "other"
        for name, wanted in (("once", 1.0), ("twice", 2.0), ("half", 0.5)):
            if abs(factor - wanted) <= EXACT * wanted:
                kind = name
        self.moves = [*self.moves[1 - MOMENTS :], kind]
        for name in ("twice", "half"):
            even = name == "twice" and self.even >= EVEN_ROW
            if self._mostly(name, EVEN_MOMENTS if even else MOMENTS) and "trades" not in self.doubts:
                self.doubts.append("trades")
        if self._mostly("once", MOMENTS):
            self.doubts = [doubt for doubt in self.doubts if doubt == "figures"]
        return f"move:{kind}"

    def _mostly(self, kind: str, count: int) -> bool:
        last = self.moves[-count:]
        return len(last) == count and last.count(kind) >= SHARE * count

    def _judge_step(self, moment: Moment, event: OpenInterest, trading: int) -> None:
        if moment.contracts <= 0.0 or event.contracts <= 0.0:
            return
        factor = event.contracts / moment.contracts
        kind = "double" if abs(factor / 2 - 1) <= STEP else "half" if abs(factor * 2 - 1) <= STEP else None
        if kind is None:
            return
        moment.stepped = (event.recv_ts, kind)
        steps = [one.stepped for one in self.moments.values() if one.stepped is not None]
        alike = sum(1 for at, other in steps if other == kind and event.recv_ts - at <= AT_ONCE_MS)
        if alike < LEAST or 2 * alike < trading:
            return
        opposite = "half" if kind == "double" else "double"
        if opposite in self.doubts:
            self.doubts.remove(opposite)
        elif kind not in self.doubts:
            self.doubts.append(kind)
