"""Signals by hand: only the fields that the scoreboard reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.deleveraging import packaged
from service.scoreboard import Fall, Outcome, Scoreboard

T0 = 1_763_683_200_000
TICK = 10_000
MINUTE = 60_000
HOUR = 3_600_000
DAY = 24 * HOUR
MODEL = packaged()


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
        self.outcomes += [item for item in found if isinstance(item, Outcome)]
        self.lines += self.board.drain()
        if body is not None:
            self.board.take(ts, [body])
        return [item for item in found if isinstance(item, Outcome)]


def said(
    oi_5: float | None = 0.25, oi_10: float | None = 0.04, as_of: int | None = None, base: float = 0.19
) -> dict[str, Any]:
    return {
        "oi_5": oi_5, "oi_10": oi_10, "horizon_h": 24, "model": MODEL.name, "base_rate": base, "base_rate_10": 0.037,
        "as_of": as_of, "reason": None, "evidence": "none_yet",
    }  # fmt: skip


def raised(alert: str, ts: int, symbol: str = "BTC", state: str = "raised", **values: Any) -> dict[str, Any]:
    return {"symbol": symbol, "ts": ts, "alert": alert, "state": state, "severity": "warning", "values": values}


class Day:
    """One symbol's scoreboard, tick by tick; each keeps what was published and what the levels were."""

    def __init__(self, symbols: Sequence[str] = ("BTC",)) -> None:
        self.board = Scoreboard(symbols)
        self.board.keep_lines()
        self.falls: list[Fall] = []
        self.lines: list[bytes] = []
        self.ticks: list[tuple[int, dict[str, float | None]]] = []
        self.published: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []

    def tick(
        self,
        ts: int,
        level: float | None = 0.0,
        claim: dict[str, Any] | None = None,
        alerts: Sequence[dict[str, Any]] = (),
        regime: str | None = "neutral",
        volatility: float | None = 0.031,
        out: bool = True,
    ) -> list[Fall]:
        """The same of every symbol. ``out`` False: computed, not published."""
        symbols = self.board.symbols
        found = self.board.mature(ts, [None] * len(symbols), [level] * len(symbols))
        mine = [item for item in found if isinstance(item, Fall)]
        self.falls += mine
        self.lines += self.board.drain()
        self.ticks.append((ts, dict.fromkeys(symbols, level)))
        if out:
            bodies = [
                {
                    **signal(None, None, None, symbol=symbol), "ts": ts, "regime": regime,
                    "p_deleveraging": said(None, None) if claim is None else claim, "volatility_24h": volatility,
                }
                for symbol in symbols
            ]  # fmt: skip
            self.published += [(body, list(alerts)) for body in bodies]
            self.board.take(ts, bodies, list(alerts), [level] * len(symbols))
        return mine

    def minutes(self, first: int, count: int, level: float | None = 0.0) -> None:
        for number in range(count):
            self.tick(first + number * MINUTE, level)
