"""All symbols' records, the open outcomes and the end of the ledger's chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from service.deleveraging import Model, packaged
from service.metrics import EvalNumbers
from service.model import SignalBody, TrackRecord
from service.scoreboard.chain import Chain, written
from service.scoreboard.fall_record import FallRecord, FallTotals
from service.scoreboard.falls import EVENTS, Fall, OpenFalls
from service.scoreboard.outcome import HORIZONS, Outcome, short
from service.scoreboard.pending import Pending
from service.scoreboard.tally import Tally, entry, reliability
from service.state import DAMAGE, Plain, Stateful

_NUMBERS = {name: number for number, (name, _) in enumerate(HORIZONS)}


class _Board(Stateful):
    """One symbol."""

    STATE = ("fall_totals", "open_falls", "pending", "tallies")
    LATER: ClassVar = frozenset({"fall_totals", "open_falls"})
    __slots__ = (*STATE, "unread")

    def __init__(self, phase: int) -> None:
        self.pending = Pending()
        self.tallies = [Tally(phase) for _ in HORIZONS]
        self.open_falls = OpenFalls()
        self.fall_totals = FallTotals()
        self.unread: dict[str, str] = {}

    def load(self, plain: Plain) -> None:
        self.unread = _load_apart(self, plain, super().load)

    def settle(self, number: int, outcome: Outcome) -> None:
        self.tallies[number].enter(outcome)

    def told(self, outcome: Outcome) -> None:
        number = _NUMBERS[outcome.horizon]
        self.pending.told(number, outcome)
        self.settle(number, outcome)


class Scoreboard(Stateful):
    """What became of every published signal, judged at 1m, 5m and 1h; the composite at 1h; and whether open interest
    fell within 24 hours of every published probability of that and of every event.

    At each live tick first :meth:`mature`, before it is scored; then, once it is published, :meth:`take`. Back-filled
    ticks come to neither. :meth:`track_record` is what the signals say of it. ``model``: the one behind
    ``p_deleveraging``, None for the one that comes with the service.
    ``since``: the first published tick that was taken, None before.

    What is open of a symbol that is no longer configured is lost at the first live tick after the load, and the ledger
    says so; until then it is stored with the others.
    """

    STATE = ("_boards", "chain", "falls", "since")
    LATER: ClassVar = frozenset({"falls"})
    CONFIGURED: ClassVar = frozenset({"_boards"})

    def __init__(self, symbols: Sequence[str], model: Model | None = None) -> None:
        self.symbols = tuple(symbols)
        self._model = packaged() if model is None else model
        self._phases = {symbol: number for number, symbol in enumerate(self.symbols)}
        self._boards = {symbol: _Board(self._phases[symbol]) for symbol in self.symbols}
        self.chain = Chain()
        self.falls = FallRecord()
        self.since: int | None = None
        self._leaving: dict[str, _Board] = {}  # of symbols no longer configured, until the next live tick
        self._lines: list[tuple[str, str, str]] | None = None
        self.unread: dict[str, str] = {}  # whose stored record did not load, and why: it begins anew

    def make(self, name: str, key: str) -> Stateful | None:
        return _Board(self._phases[key])

    def parts(self) -> list[tuple[str, Any]]:
        return [(name, {**value, **self._leaving} if name == "_boards" else value) for name, value in super().parts()]

    def load(self, plain: Plain) -> None:
        """Restore a :meth:`dump`, also one of other symbols. Raises ValueError or KeyError for what is none."""
        self.unread = {}
        self.unread |= _load_apart(self, plain, super().load)
        for symbol, board in self._boards.items():
            self.unread |= {f"{symbol}, {name}": why for name, why in board.unread.items()}
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

    def take(
        self,
        ts: int,
        signals: Sequence[SignalBody],
        alerts: Sequence[Mapping[str, Any]] = (),
        levels: Sequence[float | None] = (),
    ) -> None:
        """The signals and alerts of tick ``ts`` were published: from now on their outcomes are open.

        ``levels``: ``ln_oi_index`` at ``ts`` in the order of the symbols, None without quorum; none at all: nothing
        that is judged by open interest is taken.
        """
        if self.since is None:
            self.since = ts
        known = dict(zip(self.symbols, levels, strict=True)) if levels else {}
        raised = _raised(alerts)
        for body in signals:
            board = self._boards[body["symbol"]]
            price = body["market"]["price"]
            if price is not None:
                self._take_directions(board, ts, short(price), body)
            level = known.get(body["symbol"])
            events = raised.get(body["symbol"], [])
            regime = body.get("regime")
            if regime is not None:
                if regime == "reset" and board.open_falls.regime not in (None, "reset"):
                    events = [*events, "reset"]
                board.open_falls.regime = regime
            if level is not None:
                self._take_falls(board.open_falls, ts, level, body, events)

    def _take_directions(self, board: _Board, ts: int, price: float, body: SignalBody) -> None:
        windows = body["windows"]
        said = [_said(body if name == "composite" else windows[name]) for name, _ in HORIZONS]
        p_hits = [
            short(body["p_hit"] if name == "composite" else tally.p_hit)
            for (name, _), tally in zip(HORIZONS, board.tallies, strict=True)
        ]
        board.pending.take(ts, price, said, p_hits)

    def _take_falls(self, falls: OpenFalls, ts: int, level: float, body: SignalBody, events: Sequence[str]) -> None:
        claim, volatility = body.get("p_deleveraging"), body.get("volatility_24h")
        if claim is None or claim["oi_5"] is None or volatility is None:
            pass  # nothing was said: without a volatility there is no probability
        elif claim["as_of"] != falls.as_of:
            falls.as_of = claim["as_of"]  # held for a minute: it is judged from when it was first published
            said = claim["oi_5"], claim["oi_10"], claim["base_rate"], claim["base_rate_10"]
            falls.take(ts, None, level, said, volatility, self._model)
        for event in events:
            falls.take(ts, event, level, None, volatility, self._model)

    def mature(
        self, ts: int, prices: Sequence[float | None], levels: Sequence[float | None] | None = None
    ) -> list[Outcome | Fall]:
        """The outcomes that tick ``ts`` decides, lost ones included; ``prices`` and ``levels`` (``ln_oi_index``), None
        without quorum, in the order of the symbols."""
        found: list[Outcome | Fall] = []
        for symbol, board in self._leaving.items():
            found += board.pending.give_up(symbol, board.settle)
            found += board.open_falls.give_up(symbol, self._settler(board))
        self._leaving.clear()
        seen = zip(self.symbols, prices, [None] * len(prices) if levels is None else levels, strict=True)
        for symbol, price, level in seen:
            board = self._boards[symbol]
            found += board.pending.mature(symbol, ts, None if price is None else short(price), board.settle)
            found += board.open_falls.mature(symbol, ts, level, self._settler(board))
        for outcome in found:
            parts = self.chain.add(outcome)
            if self._lines is not None:
                self._lines.append(parts)
        self.falls.renew(ts, (board.fall_totals for board in self._boards.values()))
        return found

    def _settler(self, board: _Board) -> Callable[[Fall], None]:
        """Counts a fall for its symbol and for all together."""

        def settle(fall: Fall) -> None:
            board.fall_totals.enter(fall)
            self.falls.enter(fall)

        return settle

    def track_record(self, symbol: str) -> TrackRecord:
        """What the signals say of the record. The base rates are the model's, as 100 outcomes, and the symbol's own."""
        rates = self._boards[symbol].fall_totals.base_rates(self._model.base_rates)
        return TrackRecord(*self.record(symbol), rates, *self.falls.evidence, self.falls.events)

    def record(self, symbol: str) -> tuple[float, int]:
        """(p_hit, n) of the composite: what its outcomes known by now say of the next one."""
        tally = self._boards[symbol].tallies[_NUMBERS["composite"]]
        return tally.p_hit, tally.n

    def told(self, outcome: Outcome | Fall) -> None:
        """Count an outcome that the ledger tells and this record, older than it, does not know yet; in their order."""
        if self.since is None:
            self.since = outcome.ts
        board = self._boards.get(outcome.symbol) or self._leaving.get(outcome.symbol)
        if isinstance(outcome, Fall):
            self.falls.enter(outcome)  # all symbols together, also those no longer configured
            if board is not None:
                board.open_falls.told(outcome)
                board.fall_totals.enter(outcome)
        elif board is not None:
            board.told(outcome)

    def reanchor(self, delta_ms: int) -> None:
        """The service clock's anchor moved: what is due keeps its distance, rounded to whole seconds."""
        shift_ms = round(delta_ms / 1000) * 1000
        for board in self._boards.values():
            board.pending.reanchor(shift_ms)
            board.open_falls.reanchor(shift_ms)

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
            **self._fall_summary(),
        }

    def document(self, ts: int | None) -> dict[str, Any]:
        """The same with the reliability of ``p_hit`` and of ``p_deleveraging``."""
        body = self.body(0)
        for name, tallies in self._pooled():
            body["horizons"][name]["bins"] = reliability(tallies)
        falls = body["deleveraging"]["falls"]
        bins = self.falls.reliability()
        body["deleveraging"]["falls"] = {name: {**said, "bins": bins[name]} for name, said in falls.items()}
        return {**body, "ts": ts}

    def _fall_summary(self) -> dict[str, Any]:
        """``deleveraging`` and ``events``. Copies on top: what was handed out does not change."""
        summary = self.falls.summary
        return {
            "deleveraging": {"as_of": summary["as_of"], **summary["deleveraging"]},
            "events": dict(summary["events"]),
        }

    def of_symbol(self, symbol: str) -> dict[str, Any]:
        """One symbol's horizons, each with the reliability of ``p_hit`` and what it would say now; and what its
        probabilities of a fall of open interest and its events came to, without intervals."""
        tallies = zip(HORIZONS, self._boards[symbol].tallies, strict=True)
        falls = self._boards[symbol].fall_totals
        return {
            "symbol": symbol,
            "horizons": {
                name: {**entry([tally]), "p_hit": tally.p_hit, "bins": reliability([tally])}
                for (name, _), tally in tallies
            },
            "deleveraging": falls.entry(),
            "events": falls.events(),
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


def _load_apart(owner: Stateful, plain: Plain, load: Callable[[Plain], None]) -> dict[str, str]:
    """Load a dump in which what is judged by open interest may be damaged: that alone begins anew; which, and why."""
    if not isinstance(plain, dict):
        load(plain)
    load({name: value for name, value in plain.items() if name not in owner.LATER})
    unread = {}
    for name in sorted(owner.LATER & plain.keys()):
        made = type(getattr(owner, name))
        part = made()
        try:
            part.load(plain[name])
        except DAMAGE as error:
            unread[name] = f"{type(error).__name__}: {error}"
            part = made()
        setattr(owner, name, part)
    return unread


def _raised(alerts: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """By symbol, what was raised and is judged; crowding by the side that is crowded."""
    found: dict[str, list[str]] = {}
    for item in alerts:
        name = item["values"]["regime"] if item["alert"] == "crowding" else item["alert"]
        if item["values"].get("own_rule"):
            continue  # by thresholds of its own: the record is of the default rule
        if item["state"] == "raised" and name in EVENTS and name != "reset":  # which is taken from the regime
            found.setdefault(item["symbol"], []).append(name)
    return found


def _said(part: Mapping[str, Any]) -> tuple[float | None, str | None]:
    score = part["score"]
    return (None if score is None else short(score)), part["direction"]
