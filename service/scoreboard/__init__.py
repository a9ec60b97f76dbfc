"""The live track record: what became of every published signal (docs/scoreboard.md). Pure and synchronous."""

from service.scoreboard.board import Scoreboard
from service.scoreboard.chain import GENESIS, Chain, Checked, read_line, verify
from service.scoreboard.falls import EVENTS, Fall
from service.scoreboard.outcome import HORIZONS, Outcome
from service.scoreboard.tally import Tally

__all__ = [
    "EVENTS", "GENESIS", "HORIZONS", "Chain", "Checked", "Fall", "Outcome", "Scoreboard", "Tally", "read_line",
    "verify",
]  # fmt: skip
