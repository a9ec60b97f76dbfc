"""The scoreboard counted again, from docs/scoreboard.md alone: from ledger lines, and from what the feed published.

Shares no code with the service but JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from math import log, sqrt
from typing import Any

LENGTHS = {"1m": 60_000, "5m": 300_000, "1h": 3_600_000, "composite": 3_600_000}
Row = dict[str, Any]


def ten(value: float) -> float:
    return float(f"{value:.10g}")


def outcomes(bodies: Iterable[Row], ticks: Sequence[tuple[int, Mapping[str, float | None]]]) -> list[Row]:
    """The ledger's fields (without ``seq``) of every published body, given the prices of every live tick.

    Straight from the definition: of each body look for the first tick with a price; nothing is carried along.
    """
    found: list[Row] = []
    end = ticks[-1][0]
    said: dict[str, list[Row]] = {}
    for body in bodies:
        said.setdefault(body["symbol"], []).append(body)
    for symbol, own in said.items():
        prices = [(ts, ten(known[symbol])) for ts, known in ticks if known.get(symbol) is not None]  # type: ignore[arg-type]
        for horizon, length in LENGTHS.items():
            free = {"in_hit": 0, "in_ic": 0}
            for body in own:
                part = body if horizon == "composite" else body["windows"][horizon]
                price, score = body["market"]["price"], part["score"]
                if price is None or score is None:
                    continue
                due = body["ts"] + length
                at = next(((ts, paid) for ts, paid in prices if due <= ts <= due + 60_000), None)
                lost_at = next((ts for ts, _ in ticks if ts > due + 60_000), None)
                over = at[0] if at is not None else lost_at
                row: Row = {"T": body["ts"], "symbol": symbol, "horizon": horizon, "score": ten(score)}
                row |= {"direction": part["direction"], "price_then": ten(price)}
                row |= {"at": None, "price_at": None, "ret": None, "hit": None}
                if at is not None:
                    ret = ten(log(at[1] / ten(price)))
                    row |= {"at": at[0], "price_at": at[1], "ret": ret}
                    if ret != 0 and part["direction"] in ("long", "short"):
                        row["hit"] = (ret > 0) == (part["direction"] == "long")
                qualifies = {"in_hit": part["direction"] in ("long", "short"), "in_ic": True}
                for name, since in free.items():
                    row[name] = qualifies[name] and body["ts"] >= since
                    if row[name]:
                        free[name] = end + 1 if over is None else over
                if over is not None:
                    found.append({**row, "over": over})
    return found


def statistics(rows: Iterable[Row]) -> dict[tuple[str, str], Row]:
    """By symbol and horizon, of ledger rows in the order of their telling."""
    made: dict[tuple[str, str], Row] = {}
    for row in rows:
        one = made.setdefault(
            (row["symbol"], row["horizon"]),
            {"n": 0, "hits": 0, "brier": 0.0, "matured": 0, "lost": 0, "pairs": [], "bins": {}},
        )
        if row["at"] is None:
            one["lost"] += 1
            continue
        one["matured"] += 1
        if row["in_ic"]:
            one["pairs"].append((row["score"], row["ret"]))
        if row["in_hit"] and row["hit"] is not None:
            one["n"] += 1
            one["hits"] += row["hit"]
            one["brier"] += (row["p_hit"] - row["hit"]) ** 2
            at = one["bins"].setdefault(math.floor(row["p_hit"] * 20 + 0.5), [0, 0.0, 0])
            at[0], at[1], at[2] = at[0] + 1, at[1] + row["p_hit"], at[2] + row["hit"]
    for one in made.values():
        n = one["n"]
        one["hit"] = None if n == 0 else one["hits"] / n
        one["brier"] = None if n == 0 else one["brier"] / n
        one["p_hit"] = 0.5 if n == 0 else 0.5 + n / (n + 400) * (one["hits"] / n - 0.5)
        one["ic"] = spearman(one["pairs"][-2000:])
    return made


def wilson(share: float, n: float) -> tuple[float, float]:
    """The roots of (p - share)^2 = z^2 p (1 - p) / n, by bisection: not the formula of the service."""
    z = 1.959963984540054

    def outside(p: float) -> bool:
        return (p - share) ** 2 > z * z * p * (1 - p) / n

    ends = []
    for edge in (0.0, 1.0):
        inner, outer = share, edge
        for _ in range(200):
            middle = (inner + outer) / 2
            inner, outer = (inner, middle) if outside(middle) else (middle, outer)
        ends.append(inner)
    return ends[0], ends[1]


def spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Pearson's correlation of mean ranks."""
    if len(pairs) < 2:
        return None
    columns = []
    for values in zip(*pairs, strict=True):
        ranks = [
            sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2
            for value in values
        ]
        mean = sum(ranks) / len(ranks)
        columns.append([rank - mean for rank in ranks])
    across = [sqrt(sum(rank * rank for rank in column)) for column in columns]
    if 0.0 in across:
        return None
    return float(sum(a * b for a, b in zip(*columns, strict=True)) / (across[0] * across[1]))


def rows_of(lines: Iterable[bytes]) -> list[Row]:
    return [json.loads(line) for line in lines]
