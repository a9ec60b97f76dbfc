"""The ticks of a run as columns, and what came after each of them. Outcomes never reach across a hole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.research.backtest.measures import Bools, Floats, Ints
from service.research.backtest.run import Record

DAY_S = 86_400
COVERED = 0.9  # of an outcome's steps that must be known
NAN = float("nan")


class Series:
    """Columns over the ticks in time order; numbers are NaN where the record has None."""

    def __init__(self, records: Sequence[Record], step_s: int) -> None:
        self.records = records
        self.step_s = step_s
        self.n = len(records)
        self.ts: Ints = np.array([item["ts"] for item in records], dtype=np.int64)
        self.segments: Ints = np.array([item["segment"] for item in records], dtype=np.int64)
        self.warm: Bools = np.array([item["warm"] for item in records], dtype=np.bool_)
        self.price = self.column("price")
        self.ln_price = np.log(self.price)
        self.ln_oi = self.column("ln_oi")
        self.flush: Bools = np.array([item["flush"] for item in records], dtype=np.bool_)
        self.flush_fed: Bools = np.array([item["flush_fed"] for item in records], dtype=np.bool_)
        self._keys = self.segments * (1 << 50) + self.ts  # rising: a hole is never bridged

    def column(self, name: str) -> Floats:
        return _floats([item[name] for item in self.records])

    def part(self, group: str, name: str) -> Floats:
        """One of ``scores`` or ``components``."""
        return _floats([item[group].get(name) for item in self.records])

    def at(self, shift_s: int) -> Ints:
        """Position of the tick exactly ``shift_s`` later (earlier if negative) in the same segment; -1 if none."""
        wanted = self._keys + shift_s * 1_000
        found = np.searchsorted(self._keys, wanted)
        inside = np.minimum(found, self.n - 1)
        return np.where(self._keys[inside] == wanted, inside, -1)

    def forward_return(self, horizon_s: int) -> Floats:
        """ln P(T+h) - ln P(T)."""
        later = self.at(horizon_s)
        return np.where(later >= 0, self.ln_price[later] - self.ln_price, NAN)

    def past_return(self, horizon_s: int) -> Floats:
        before = self.at(-horizon_s)
        return np.where(before >= 0, self.ln_price - self.ln_price[before], NAN)

    def ahead(self, horizon_s: int) -> dict[str, Floats]:
        """Of the ticks in (T, T+h]: realised volatility per sqrt(day), deepest log fall of price from a peak since T,
        lowest ln of open interest (chain-linked) less now's, and whether a flush began. NaN under nine tenths of them.
        A flush is NaN as well where one is under way, or where the data could not have shown it.
        """
        steps = horizon_s // self.step_s
        made = {name: np.full(self.n, NAN) for name in ("volatility", "drawdown", "oi_low", "flush")}
        last = np.searchsorted(self._keys, self._keys + horizon_s * 1_000, side="right")
        began = self.flush & ~np.concatenate([[False], self.flush[:-1]])
        for i in range(self.n):
            inside = slice(i, int(last[i]))
            prices, interest = self.ln_price[inside], self.ln_oi[inside]
            known = ~np.isnan(prices)
            if not known[0] or known[1:].sum() < COVERED * steps or not _ends(self.ts, i, last[i], horizon_s):
                continue
            path = prices[known]
            made["volatility"][i] = np.sqrt(np.sum(np.diff(path) ** 2) * DAY_S / horizon_s)
            made["drawdown"][i] = np.max(np.maximum.accumulate(path) - path)
            after = interest[1:][~np.isnan(interest[1:])]
            if not np.isnan(interest[0]) and len(after) >= COVERED * steps:
                made["oi_low"][i] = after.min() - interest[0]
            if self.flush_fed[i] and not self.flush[i]:
                later = slice(i + 1, int(last[i]))
                if began[later].any() or self.flush_fed[later].sum() >= COVERED * steps:
                    made["flush"][i] = float(began[later].any())
        return made


def _ends(ts: Ints, start: int, stop: int, horizon_s: int) -> bool:
    """Whether the stretch reaches its end, within a tenth: the last ticks of a segment have no outcome."""
    return bool(ts[stop - 1] - ts[start] >= COVERED * horizon_s * 1_000)


def _floats(values: list[Any]) -> Floats:
    return np.array([NAN if value is None else value for value in values], dtype=np.float64)
