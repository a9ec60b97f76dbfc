"""The scoreboard counted again, from docs/scoreboard.md alone: from ledger lines, and from what the feed published.

Shares no code with the service but JSON.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
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


DAY = 86_400_000
NAMED = ("elr_spike", "flush", "reset", "crowded_longs", "crowded_shorts")


def falls(
    published: Sequence[tuple[Row, Sequence[Row]]],
    ticks: Sequence[tuple[int, Mapping[str, float | None]]],
    alone: Callable[[float], tuple[float, float]],
    edges: Sequence[float],
) -> list[Row]:
    """The ledger's fields (without ``seq``) of every published probability and event that has matured.

    ``published``: each body with the alerts of its tick; ``ticks``: of each live one the level (``ln_oi_index``) of
    every symbol, None without quorum; ``alone``, ``edges``: of the model.
    """
    found: list[Row] = []
    before: dict[str, Any] = {}
    held: dict[str, Any] = {}
    levels, times = dict(ticks), [ts for ts, _ in ticks]
    lowest: dict[tuple[str, int], float] = {}  # of the ticks in a minute, its end included
    for ts, known in ticks:
        for symbol, value in known.items():
            if value is not None:
                minute = (symbol, math.ceil(ts / 60_000))
                lowest[minute] = min(lowest.get(minute, value), value)
    for body, alerts in published:
        symbol, ts, volatility = body["symbol"], body["ts"], body["volatility_24h"]
        events = [
            alert["values"]["regime"] if alert["alert"] == "crowding" else alert["alert"]
            for alert in alerts
            if alert["symbol"] == symbol and alert["state"] == "raised" and alert["alert"] in ("crowding", *NAMED)
            if alert["alert"] != "reset"  # it is taken from the regime
        ]
        if body["regime"] == "reset" and before.get(symbol) not in (None, "reset"):
            events.append("reset")
        before[symbol] = body["regime"] or before.get(symbol)
        row: Row = {"T": ts, "symbol": symbol, "volatility_24h": None, "volatility_bin": None}
        row |= {"alone_5": None, "alone_10": None}
        if volatility is not None:
            five, ten_ = alone(volatility)
            row |= {"alone_5": ten(five), "alone_10": ten(ten_), "volatility_24h": ten(volatility)}
            row["volatility_bin"] = sum(edge <= volatility for edge in edges)
        rows = [{**row, "kind": "event", "event": name} for name in events]
        said = body["p_deleveraging"]
        if said["oi_5"] is not None and held.get(symbol) != said["as_of"]:
            held[symbol] = said["as_of"]
            numbers = {name: ten(said[name]) for name in ("oi_5", "oi_10", "base_rate", "base_rate_10")}
            rows.insert(0, {**row, "kind": "deleveraging", **numbers})
        level = levels[ts][symbol]
        begin = math.ceil(ts / 60_000) * 60_000
        decided = bisect_left(times, begin + DAY)
        if level is None or decided == len(times):
            continue
        at = times[decided]
        minutes = [(symbol, begin // 60_000 + number) for number in range(1, 1441)]
        lows = [lowest[minute] for minute in minutes if minute in lowest]
        fell = ten(min(lows) - level) if len(lows) >= 1296 else None
        came: Row = {"at": at if fell is not None else None, "fell": fell}
        for name, share in (("hit_5", 0.95), ("hit_10", 0.9)):
            came[name] = None if fell is None else fell <= log(share)
        found += [{**one, **came} for one in rows]
    return found


def fall_statistics(rows: Iterable[Row]) -> Row:
    """Over all symbols, of ledger rows: the numbers of 5 % and 10 % that have no interval here."""
    made: Row = {}
    claims = [row for row in rows if row.get("kind") == "deleveraging"]
    known = [row for row in claims if row["at"] is not None]
    bins: dict[int, list[Row]] = {}
    for row in known:
        bins.setdefault(row["volatility_bin"], []).append(row)
    for fall in ("5", "10"):
        hit, p, base = f"hit_{fall}", f"oi_{fall}", "base_rate" if fall == "5" else "base_rate_10"
        errors = [sum((row[name] - row[hit]) ** 2 for row in known) for name in (p, base, f"alone_{fall}")]
        one: Row = {"n": len(known), "happened": None, "brier": None, "skill_base_rate": None, "skill_volatility": None}
        if known:
            one["happened"] = sum(row[hit] for row in known) / len(known)
            one["brier"] = errors[0] / len(known)
            one["skill_base_rate"], one["skill_volatility"] = 1 - errors[0] / errors[1], 1 - errors[0] / errors[2]
        made[p] = one
        for event in NAMED:
            told = [row for row in rows if row.get("event") == event]
            seen = [row for row in told if row["at"] is not None]
            like = [row for row in seen if row["volatility_bin"] in bins]
            shares = [
                sum(x[hit] for x in bins[row["volatility_bin"]]) / len(bins[row["volatility_bin"]]) for row in like
            ]
            matched = sum(shares) / len(like) if like else None
            share = sum(row[hit] for row in like) / len(like) if like else None
            made[event, p] = {
                "n": len(seen),
                "lost": len(told) - len(seen),
                "share": sum(row[hit] for row in seen) / len(seen) if seen else None,
                "matched": matched,
                "lift": share / matched if share is not None and matched else None,
            }
    made["lost"] = len(claims) - len(known)
    return made


def area(pairs: Sequence[tuple[float, bool]]) -> float:
    """Share of pairs of one that happened and one that did not in which the first had the larger number."""
    came, not_came = ([p for p, hit in pairs if hit is which] for which in (True, False))
    wins = sum((a > b) + (a == b) / 2 for a in came for b in not_came)
    return wins / (len(came) * len(not_came))


def statistics(rows: Iterable[Row]) -> dict[tuple[str, str], Row]:
    """By symbol and horizon, of ledger rows in the order of their telling."""
    made: dict[tuple[str, str], Row] = {}
    for row in rows:
        if "kind" in row:
            continue  # judged by open interest
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
