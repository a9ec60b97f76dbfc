"""All symbols' records, the open outcomes and the end of the ledger's chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from service.metrics import EvalNumbers
from service.model import SignalBody
from service.scoreboard.chain import Chain, written
from service.scoreboard.outcome import HORIZONS, Outcome, short
from service.scoreboard.pending import Pending
from service.scoreboard.tally import Tally, entry, reliability
from service.state import DAMAGE, Plain, Stateful

_NUMBERS = {name: number for number, (name, _) in enumerate(HORIZONS)}


class _Board(Stateful):
    """One symbol."""

    STATE = ("pending", "tallies")
    __slots__ = STATE

    def __init__(self, phase: int) -> None:
        self.pending = Pending()
        self.tallies = [Tally(phase) for _ in HORIZONS]

    def settle(self, number: int, outcome: Outcome) -> None:
        self.tallies[number].enter(outcome)

    def told(self, outcome: Outcome) -> None:
        number = _NUMBERS[outcome.horizon]
        self.pending.told(number, outcome)
        self.settle(number, outcome)


class Scoreboard(Stateful):
    """What became of every published signal, judged at 1m, 5m and 1h; the composite at 1h.

    At each live tick first :meth:`mature`, before it is scored; then, once it is published, :meth:`take`. Back-filled
    ticks come to neither. :meth:`record` is what ``p_hit`` says.
    ``since``: the first published tick that was taken, None before.

    What is open of a symbol that is no longer configured is lost at the first live tick after the load, and the ledger
    says so; until then it is stored with the others.
    """

    STATE = ("_boards", "chain", "since")
    CONFIGURED: ClassVar = frozenset({"_boards"})

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = tuple(symbols)
        self._phases = {symbol: number for number, symbol in enumerate(self.symbols)}
        self._boards = {symbol: _Board(self._phases[symbol]) for symbol in self.symbols}
        self.chain = Chain()
        self.since: int | None = None
        self._leaving: dict[str, _Board] = {}  # of symbols no longer configured, until the next live tick
        self._lines: list[tuple[str, str, str]] | None = None
        self.unread: dict[str, str] = {}  # symbols whose stored record did not load, and why: it begins anew

    def make(self, name: str, key: str) -> Stateful | None:
        return _Board(self._phases[key])

    def parts(self) -> list[tuple[str, Any]]:
        return [(name, {**value, **self._leaving} if name == "_boards" else value) for name, value in super().parts()]

    def load(self, plain: Plain) -> None:
        """Restore a :meth:`dump`, also one of other symbols. Raises ValueError or KeyError for what is none."""
        self.unread = {}
        super().load(plain)
        self._leaving = {}
        for symbol, kept in plain["_boards"].items():
            if symbol not in self._boards:
                board = _Board(0)
                try:
                    board.load(kept)
                except DAMAGE as error:
                    self.damaged("_boards", symbol, error)
                else:
                    self._leaving[symbol] = board

    def damaged(self, name: str, key: str, error: Exception) -> None:
        self.unread[key] = f"{type(error).__name__}: {error}"

    # -- outcomes ----------------------------------------------------------------------------------------------

    def take(self, ts: int, signals: Sequence[SignalBody]) -> None:
        """The signals of tick ``ts`` were published: from now on their outcomes are open."""
        if self.since is None:
            self.since = ts
        for body in signals:
            price = body["market"]["price"]
            if price is None:
                continue
            board = self._boards[body["symbol"]]
            windows = body["windows"]
            said = [_said(body if name == "composite" else windows[name]) for name, _ in HORIZONS]
            p_hits = [
                short(body["p_hit"] if name == "composite" else tally.p_hit)
                for (name, _), tally in zip(HORIZONS, board.tallies, strict=True)
            ]
            board.pending.take(ts, short(price), said, p_hits)

    def mature(self, ts: int, prices: Sequence[float | None]) -> list[Outcome]:
        """The outcomes that tick ``ts`` decides, lost ones included; ``prices`` in the order of the symbols."""
        found: list[Outcome] = []
        for symbol, board in self._leaving.items():
            found += board.pending.give_up(symbol, board.settle)
        self._leaving.clear()
        for symbol, price in zip(self.symbols, prices, strict=True):
            board = self._boards[symbol]
            found += board.pending.mature(symbol, ts, None if price is None else short(price), board.settle)
        for outcome in found:
            parts = self.chain.add(outcome)
            if self._lines is not None:
                self._lines.append(parts)
        return found

    def record(self, symbol: str) -> tuple[float, int]:
        """(p_hit, n) of the composite: what its outcomes known by now say of the next one."""
        tally = self._boards[symbol].tallies[_NUMBERS["composite"]]
        return tally.p_hit, tally.n

    def told(self, outcome: Outcome) -> None:
        """Count an outcome that the ledger tells and this record, older than it, does not know yet; in their order."""
        if self.since is None:
            self.since = outcome.ts
        board = self._boards.get(outcome.symbol) or self._leaving.get(outcome.symbol)
        if board is not None:
            board.told(outcome)

    def reanchor(self, delta_ms: int) -> None:
        """The service clock's anchor moved: what is due keeps its distance, rounded to whole seconds."""
        shift_ms = round(delta_ms / 1000) * 1000
        for board in self._boards.values():
            board.pending.reanchor(shift_ms)

    # -- ledger ------------------------------------------------------------------------------------------------

    def keep_lines(self) -> None:
        """From now on lines wait for :meth:`drain`, which the caller must then do."""
        if self._lines is None:
            self._lines = []

    def drain(self) -> list[bytes]:
        """The ledger's lines since the last call, without newlines."""
        if not self._lines:
            return []
        lines, self._lines = self._lines, []
        return [written(parts) for parts in lines]

    # -- what it comes to --------------------------------------------------------------------------------------

    def tally(self, symbol: str, horizon: str) -> Tally:
        return self._boards[symbol].tallies[_NUMBERS[horizon]]

    def body(self, ts: int) -> dict[str, Any]:
        """The body of the channel ``scoreboard``: each horizon over all symbols, as of ``ts``."""
        return {
            "ts": ts,
            "since": self.since,
            "ledger": {"seq": self.chain.seq, "hash": self.chain.hash, "kept": self._lines is not None},
            "horizons": {name: entry(tallies) for name, tallies in self._pooled()},
        }

    def document(self, ts: int | None) -> dict[str, Any]:
        """The same with the reliability of ``p_hit``."""
        body = self.body(0)
        for name, tallies in self._pooled():
            body["horizons"][name]["bins"] = reliability(tallies)
        return {**body, "ts": ts}

    def of_symbol(self, symbol: str) -> dict[str, Any]:
        """One symbol's horizons, each with the reliability of ``p_hit`` and what it would say now."""
        tallies = zip(HORIZONS, self._boards[symbol].tallies, strict=True)
        return {
            "symbol": symbol,
            "horizons": {
                name: {**entry([tally]), "p_hit": tally.p_hit, "bins": reliability([tally])}
                for (name, _), tally in tallies
            },
        }

    def numbers(self) -> tuple[EvalNumbers, ...]:
        """Every symbol and horizon, for the metrics."""
        return tuple(
            EvalNumbers(
                symbol,
                name,
                tally.hit,
                tally.ic,
                tally.ic_se,
                None if tally.n == 0 else tally.brier_sum / tally.n,
                tally.n,
                None if tally.n == 0 else tally.n / tally.dependence,
                tally.ic_n,
                tally.matured,
                tally.lost,
            )
            for symbol in self.symbols
            for (name, _), tally in zip(HORIZONS, self._boards[symbol].tallies, strict=True)
        )

    def _pooled(self) -> list[tuple[str, list[Tally]]]:
        return [
            (name, [self._boards[symbol].tallies[number] for symbol in self.symbols])
            for number, (name, _) in enumerate(HORIZONS)
        ]


def _said(part: Mapping[str, Any]) -> tuple[float | None, str | None]:
    score = part["score"]
    return (None if score is None else short(score)), part["direction"]
