"""The scoreboard's way out: the channel once a minute, the ledger's lines as they come."""

from __future__ import annotations

from collections.abc import Sequence

from service.model import Tick
from service.publishing import Feed
from service.wiring.engine import MINUTE_MS, Engine
from service.wiring.ledger import LedgerFile


class Scores:
    """``ledger``: None where none is kept. The chain goes on from the ledger's end, whatever the state remembers."""

    def __init__(self, engine: Engine, ledger: LedgerFile | None = None) -> None:
        self._engine = engine
        self._ledger = ledger
        self._minute: int | None = None
        if ledger is not None:
            if ledger.end is not None:
                engine.scoreboard.chain.seq, engine.scoreboard.chain.hash = ledger.end
            engine.scoreboard.keep_lines()

    def published(self, tick: Tick, feed: Feed) -> None:
        """``tick`` went out on ``feed``: its outcomes are open, and those it decided are written down."""
        self._engine.published(tick)
        self.flush()
        self.show([tick], feed)

    def show(self, ticks: Sequence[Tick], feed: Feed) -> None:
        """Once a minute the channel ``scoreboard``."""
        if ticks and ticks[-1].ts // MINUTE_MS != self._minute:
            self._minute = ticks[-1].ts // MINUTE_MS
            feed.hub.publish([("scoreboard", "scoreboard", self._engine.scoreboard.body(ticks[-1].ts))])

    def forget(self) -> None:
        """A new epoch: the channel begins anew with the next tick."""
        self._minute = None

    def flush(self) -> None:
        if self._ledger is not None:
            self._ledger.write(self._engine.scoreboard.drain())
