"""Signals by hand: only the fields that the scoreboard reads."""

from __future__ import annotations

from typing import Any

from service.scoreboard import Outcome, Scoreboard

T0 = 1_763_683_200_000
TICK = 10_000
MINUTE = 60_000
HOUR = 3_600_000


def signal(
    price: float | None = 100.0,
    score: float | None = 0.4,
    direction: str | None = "long",
    symbol: str = "BTC",
    p_hit: float = 0.5,
    **windows: tuple[float | None, str | None],
) -> dict[str, Any]:
    """``windows``: m1, m5, h1 as (score, direction); the others say nothing."""
    said = {"1m": windows.get("m1"), "5m": windows.get("m5"), "1h": windows.get("h1")}
    return {
        "symbol": symbol,
        "score": score,
        "direction": direction,
        "p_hit": p_hit,
        "market": {"price": price},
        "windows": {
            name: {"score": pair[0], "direction": pair[1]} if pair else {"score": None, "direction": "neutral"}
            for name, pair in said.items()
        },
    }


class Market:
    """One symbol's scoreboard, a tick at a time: maturing, then taking."""

    def __init__(self, board: Scoreboard | None = None) -> None:
        self.board = Scoreboard(("BTC",)) if board is None else board
        self.board.keep_lines()
        self.outcomes: list[Outcome] = []
        self.lines: list[bytes] = []

    def tick(self, ts: int, body: dict[str, Any] | None, price: float | None = None) -> list[Outcome]:
        """``body`` None: this tick was not published, or back-filled; ``price`` then is the market's."""
        found = self.board.mature(ts, [price if body is None else body["market"]["price"]])
        self.outcomes += found
        self.lines += self.board.drain()
        if body is not None:
            self.board.take(ts, [body])
        return found
