"""The scoreboard's way out: the channel once a minute, the ledger's lines as they come."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from service.core.engine import MINUTE_MS, Engine
from service.model import Tick
from service.publishing import Feed
from service.runtime.ledger_file import LedgerFile
from service.scoreboard import Scoreboard
from service.venues.symbols import canonical_symbol

log = logging.getLogger(__name__)


class ScoreboardOutput:
    """``ledger``: None where none is kept. The chain goes on from the ledger's end, whatever the state remembers, and
    what the ledger tells and the state, saved before a crash, does not know is counted: the two then agree.
    ``aliases``: other names of symbols; lines with one count for the symbol."""

    def __init__(
        self, engine: Engine, ledger: LedgerFile | None = None, aliases: Mapping[str, str] | None = None
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._minute: int | None = None
        if ledger is not None:
            _agree(engine.scoreboard, ledger, {} if aliases is None else aliases)
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


def _agree(board: Scoreboard, ledger: LedgerFile, aliases: Mapping[str, str]) -> None:
    chain = board.chain
    if ledger.end is None:
        if chain.seq > 0:
            log.warning("ledger: empty, or its end is broken; it goes on with line %d, the record stays", chain.seq + 1)
        return
    later = ledger.told_after(chain.seq, chain.hash)
    if later is None:
        log.warning(
            "ledger ends with line %d, the record with line %d of a chain it does not follow: they will not agree",
            ledger.end[0],
            chain.seq,
        )
    elif later:
        for outcome in later:
            board.told(outcome._replace(symbol=canonical_symbol(outcome.symbol, aliases)))
        log.info("ledger: %d outcomes that the saved state did not know yet are counted", len(later))
    chain.seq, chain.hash = ledger.end
