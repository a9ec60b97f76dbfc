"""Weeks of probabilities and events of symbols that move together, made up, and their sums a week.

Open interest moves by the hour with a volatility that is common and stays for days; a symbol's leverage stays for days,
too, and makes deep falls likelier by as much as one wishes. An event is a leverage that has just become high.
"""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np

from service.deleveraging import packaged
from service.scoreboard import fall_record as module
from service.scoreboard.fall_record import FallRecord
from service.scoreboard.falls import EVENTS, Fall, hits_of

HOURS = 168
T0 = 1_763_942_400_000  # a Monday, 00:00 UTC
HOUR_MS = 3_600_000
EDGES = np.array(packaged().volatility_edges)


def sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def simulated(
    rng: np.random.Generator,
    weeks: int,
    symbols: int = 21,
    effect: float = 1.0,
    together: float = 0.8,
    claimed: float | None = None,
    every: int = 1,
) -> dict[str, Any]:
    """Rows by (hour, symbol). ``effect``: of leverage on falls; ``claimed``: the one that the probability believes in.

    ``together``: part of the variance of all that is common to the symbols.
    """
    count = weeks * HOURS + 24
    own, common = np.sqrt(1 - together), np.sqrt(together)

    def noise() -> Any:
        return common * rng.standard_normal((count, 1)) + own * rng.standard_normal((count, symbols))

    def slow(stay: float) -> Any:
        made, value = np.empty((count, symbols)), noise()[0]
        steps = noise() * np.sqrt(1 - stay * stay)
        for hour in range(count):
            value = stay * value + steps[hour]
            made[hour] = value
        return made

    volatility = 0.03 * np.exp(0.5 * slow(0.99))
    leverage = slow(0.98)
    deep = -np.maximum(0.0, noise() - 1.8 + 0.0) * 0.5 * volatility * np.exp(0.5 * effect * leverage)
    index = np.cumsum(0.35 * volatility / np.sqrt(24) * noise() * 3 + deep, axis=0)
    lowest = np.full_like(index, np.inf)
    for ahead in range(1, 25):
        lowest[: count - ahead] = np.minimum(lowest[: count - ahead], index[ahead:])
    usual = slice(0, weeks * HOURS, every)
    fell = (lowest - index)[usual]
    x = np.log(volatility[usual] / 0.03)
    believed = effect if claimed is None else claimed
    rank, risen = leverage[usual], np.zeros_like(leverage, dtype=bool)
    risen[1:] = (leverage[1:] > 1.3) & (leverage[:-1] <= 1.3)
    made: dict[str, Any] = {"volatility": volatility[usual], "fell": fell, "event": risen[usual]}
    for name, centre in (("5", -0.9), ("10", -3.2)):
        made[f"oi_{name}"] = sigmoid(centre + 1.6 * x + 0.5 * believed * rank)
        made[f"alone_{name}"] = sigmoid(centre + 1.6 * x)
        made[f"base_{name}"] = np.full_like(x, sigmoid(centre))
    made["week"] = np.broadcast_to(np.arange(len(x))[:, None] * every // HOURS, x.shape)
    return made


def sums(rows: dict[str, Any]) -> list[Any]:
    """What :class:`FallRecord` would hold of them, a week each; a test keeps the two equal."""
    found = []
    for week in range(int(rows["week"].max()) + 1):
        of = rows["week"] == week
        made = np.zeros(module._SIZE)
        made[module._N] = of.sum()
        place = np.searchsorted(EDGES, rows["volatility"][of], side="right")
        hits = [rows["fell"][of] <= log(0.95), rows["fell"][of] <= log(0.90)]
        for number, name in enumerate(("5", "10")):
            at, hit = module._ERRORS + 4 * number, hits[number]
            made[at] = hit.sum()
            for which, said in enumerate(("oi", "base", "alone"), 1):
                made[at + which] = ((rows[f"{said}_{name}"][of] - hit) ** 2).sum()
            p = rows[f"oi_{name}"][of]
            bins = np.clip((4 * (np.log(p / (1 - p)) + 8)).astype(int), 0, module.P_BINS - 1)
            at = module._P + 3 * module.P_BINS * number
            for which, weight in enumerate((np.ones_like(p), hit, p)):
                made[at + which : at + 3 * module.P_BINS : 3] = np.bincount(bins, weight, module.P_BINS)
        event = rows["event"][of]
        for at, chosen in ((module._VOLATILITY, np.ones_like(event)), (module._events_at(0, 0), event)):
            for which, weight in enumerate((np.ones_like(p), *hits)):
                made[at + which : at + 30 : 3] = np.bincount(place[chosen], weight[chosen], 10)
        found.append(made.tolist())
    return found


def entered(rows: dict[str, Any]) -> FallRecord:
    """The same, one by one."""
    record = FallRecord()
    model = packaged()
    hours, symbols = rows["fell"].shape
    for hour in range(hours):
        for symbol in range(symbols):
            volatility, fell = float(rows["volatility"][hour, symbol]), float(rows["fell"][hour, symbol])
            said = [float(rows[name][hour, symbol]) for name in ("oi_5", "oi_10", "base_5", "base_10")]
            alone = [float(rows[name][hour, symbol]) for name in ("alone_5", "alone_10")]
            ts = T0 + hour * HOUR_MS
            rest = (volatility, model.volatility_bin(volatility), fell, *hits_of(fell))
            record.enter(Fall(str(symbol), None, ts, ts, *said, *alone, *rest))  # type: ignore[arg-type]
            if rows["event"][hour, symbol]:
                none = (None,) * 4
                record.enter(Fall(str(symbol), EVENTS[0], ts, ts, *none, *alone, *rest))  # type: ignore[arg-type]
    return record
