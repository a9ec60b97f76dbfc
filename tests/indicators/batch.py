"""docs/signal.md section 4 once more, by plain loops over the full list of samples. Shares nothing with the service."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.model import Consensus, LevelReading, Readings, WindowReading


@dataclass
class Scale:
    """Mean squares right after a tick that updated them."""

    second: int
    n: int
    ret: float
    oi: float
    slow_ret: float
    slow_oi: float


def premium(item: Consensus) -> float | None:
    assert item.price is not None
    return None if item.index is None else item.price / item.index - 1


OF: dict[str, Callable[[Consensus], float | None]] = {
    "elr": lambda item: item.ln_oi_index,
    "funding": lambda item: item.funding_8h,
    "funding_abs": lambda item: None if item.funding_8h is None else abs(item.funding_8h),
    "premium": premium,
    "spread": lambda item: item.funding_spread,
    "spend": lambda item: item.funding_spend,
    "price": lambda item: item.price,
}
FLOORS = {"elr": 1e-3, "funding": 1e-5, "premium": 1e-5, "spread": 1e-5, "volatility": 1e-9}
BINNED = ("elr", "funding_abs", "spread", "volatility")


class Batch:
    """All samples of one symbol in time order, the ticks read, and optionally the minute each sample counts for."""

    def __init__(
        self, samples: Sequence[Consensus], ticks: Sequence[int], minutes: Sequence[int] | None = None
    ) -> None:
        self.samples = list(samples)
        self.by_second = {item.ts // 1000: item for item in samples}
        self.minutes = [item.ts // 60_000 for item in samples] if minutes is None else list(minutes)
        self.values: dict[str, dict[int, float]] = {}
        for name, of in OF.items():
            self.values[name] = {}
            for item, minute in zip(self.samples, self.minutes, strict=True):
                x = of(item) if item.quorum else None
                if x is not None:
                    self.values[name][minute] = x
        self.values["volatility"] = {}
        prices = self.values["price"]
        self.squares = {m: math.log(prices[m] / prices[m - 1]) ** 2 for m in prices if m - 1 in prices}
        for minute in range(self.minutes[0], self.minutes[-1]):
            volatility = self._volatility(minute)
            if volatility is not None:
                self.values["volatility"][minute] = volatility
        self.scales = self._scales(ticks)

    def _volatility(self, minute: int) -> float | None:
        squares = [self.squares[m] for m in range(minute - 1439 + 1, minute + 1) if m in self.squares]
        return math.sqrt(sum(squares) * 1440 / len(squares)) if len(squares) >= 60 else None

    def quorum_at(self, second: int, offsets: Sequence[int]) -> Consensus | None:
        for offset in offsets:
            item = self.by_second.get(second + offset)
            if item is not None and item.quorum:
                return item
        return None

    def ends(self, second: int, seconds: int) -> tuple[Consensus, Consensus] | None:
        end = self.quorum_at(second, (0, -1, -2))
        start = self.quorum_at(second - seconds, (0, -1, 1, -2, 2))
        return None if end is None or start is None else (start, end)

    def _scales(self, ticks: Sequence[int]) -> list[Scale]:
        fast, slow = 1 - 0.5 ** (10 / 3600), 1 - 0.5 ** (10 / (7 * 86400))
        made: list[Scale] = []
        for ts in ticks:
            second = ts // 1000
            backfill = self.by_second[second].step_s == 60
            ends = self.ends(second, 60 if backfill else 10)
            if ends is None:
                continue
            start, end = ends
            assert start.price is not None
            assert end.price is not None
            ret, oi = math.log(end.price / start.price), end.ln_oi_index - start.ln_oi_index
            last = made[-1] if made else None
            n, v = (last.n, [last.ret, last.oi, last.slow_ret, last.slow_oi]) if last else (0, [0.0] * 4)
            for _ in range(6 if backfill else 1):
                n += 1
                for i, x in enumerate((ret, oi, ret, oi)):
                    square = x * x / (6 if backfill else 1)
                    alpha = fast if i < 2 else max(slow, 1 / n)
                    v[i] = square if n == 1 else (1 - alpha) * v[i] + alpha * square
            made.append(Scale(second, n, *v))
        return made

    def window(self, second: int, name: str, w: int) -> WindowReading:
        inside = [item for item in self.samples if second - w < item.ts // 1000 <= second]
        covered = sum(item.step_s for item in inside if item.quorum)
        ends = self.ends(second, w)
        if ends is None or covered < 0.9 * w:
            return WindowReading(name, w, False, None, None, None, None, None, None)  # type: ignore[arg-type]
        start, end = ends
        assert start.price is not None
        assert end.price is not None
        ret = math.log(end.price / start.price)
        oi = end.ln_oi_index - start.ln_oi_index if sum(item.oi_receipts for item in inside) >= 3 else None
        known = [scale for scale in self.scales if scale.second <= second - w]
        z: list[float | None] = [None] * 4
        if known:
            scale = known[-1]
            for i, (change, v, floor, least) in enumerate(
                (
                    (ret, scale.ret, 1e-5, 60),
                    (oi, scale.oi, 1e-6, 60),
                    (ret, scale.slow_ret, 1e-5, 8640),
                    (oi, scale.slow_oi, 1e-6, 8640),
                )
            ):
                if change is not None and scale.n >= least:
                    z[i] = change / max(floor, math.sqrt(v) * math.sqrt(w / 10))
        return WindowReading(name, w, True, ret, oi, *z)  # type: ignore[arg-type]

    def level(self, name: str, now: int, item: Consensus) -> LevelReading:
        values = self.values[name]
        last = now - 2 if name == "volatility" else now - 1
        recent = [values[m] for m in range(now - 1440, last + 1) if m in values]
        older: dict[int, float] = {}
        if name in BINNED:
            older = {m: values[m] for m in values if now - 43200 <= m < now - 1440 and m % 10 == 0}
        n = len(recent) + 10 * len(older)
        counted = [m for m in values if now - 1440 <= m <= last] + list(older)
        horizon = min(720, math.ceil((now - min(counted)) / 60)) if counted else 0
        shown = OF[name](item) if name != "volatility" and item.quorum else None
        x = values.get(now - 1) if name == "volatility" else shown
        if x is None:
            return LevelReading(None, None, None, n, horizon)
        return LevelReading(
            x, self._z(name, x, recent, older, item), self._percentile(name, x, recent, older), n, horizon
        )

    def _z(self, name: str, x: float, recent: list[float], older: dict[int, float], item: Consensus) -> float | None:
        if name == "funding_abs":
            return None
        past = list(recent)
        if name == "spread":
            for value in older.values():
                past += [1e-8 * math.exp((log_bin(value) + 0.5) * math.log(1e9) / 512)] * 10
        if len(past) < 60:
            return None
        median = statistics.median(past)
        mad = statistics.median([abs(value - median) for value in past])
        floor = 1e-5 * item.oi_coins if name == "spend" and item.oi_coins is not None else FLOORS.get(name, 0.0)
        return (x - median) / (1.4826 * max(mad, floor))

    def _percentile(self, name: str, x: float, recent: list[float], older: dict[int, float]) -> float | None:
        n = len(recent) + 10 * len(older)
        if n < 60:
            return None
        total = sum(1.0 if value < x else 0.5 if value == x else 0.0 for value in recent)
        if older:
            first = self.values[name][min(m for m in self.values[name] if m % 10 == 0)]
            bin_of = (lambda v: math.floor((v - first) / 0.005 + 0.5)) if name == "elr" else log_bin
            for value in older.values():
                total += 10.0 if bin_of(value) < bin_of(x) else 5.0 if bin_of(value) == bin_of(x) else 0.0
        return total / n

    def continuity(self, second: int) -> float:
        first = self.samples[0].ts // 1000 - self.samples[0].step_s
        full, seen = set(), set()
        for item in self.samples:
            for covered in range(item.ts // 1000 - item.step_s + 1, item.ts // 1000 + 1):
                if covered not in seen and item.full_set:
                    full.add(covered)
                seen.add(covered)
        lost = sum(1 for at in range(second - 3599, second + 1) if at > first and at not in full)
        return 1 - 0.5 * lost / 3600

    def readings(self, ts: int, now: int | None = None) -> Readings:
        """At a tick; ``now`` is the running minute where it is not that of ``ts``."""
        second, now = ts // 1000, ts // 60_000 if now is None else now
        item = self.by_second[second]
        levels = {
            name: self.level(name, now, item)
            for name in ("elr", "funding", "funding_abs", "premium", "spread", "volatility", "spend")
        }
        before = self.values["elr"].get(now - 1440)
        recent = {
            name: sum(1 for m in self.values[name] if now - 1440 <= m < now) for name in ("elr", "funding", "premium")
        }
        return Readings(
            symbol=item.symbol,
            ts=ts,
            consensus=item,
            windows=tuple(self.window(second, name, w) for name, w in (("1m", 60), ("5m", 300), ("1h", 3600))),
            change_24h=item.ln_oi_index - before if item.quorum and before is not None else None,
            continuity=self.continuity(second),
            statistics_ready=min(recent.values()) >= 60 and levels["volatility"].n >= 60,
            **levels,
        )


def log_bin(value: float) -> int:
    if value <= 1e-8:
        return 0
    return min(math.floor(math.log(value / 1e-8) / (math.log(1e9) / 512)), 511)


def differences(expected: object, actual: object, path: str = "") -> list[str]:
    """Where two readings differ by more than 1e-9 (relative, or 1e-12 absolute)."""
    if hasattr(expected, "__dataclass_fields__"):
        assert type(expected) is type(actual)
        names = [name for name in expected.__dataclass_fields__ if name != "consensus"]
        return [
            line
            for name in names
            for line in differences(getattr(expected, name), getattr(actual, name), f"{path}.{name}")
        ]
    if isinstance(expected, tuple):
        assert isinstance(actual, tuple)
        assert len(actual) == len(expected)
        return [
            line
            for i, pair in enumerate(zip(expected, actual, strict=True))
            for line in differences(*pair, f"{path}[{i}]")
        ]
    if isinstance(expected, float) and isinstance(actual, float):
        same = math.isclose(expected, actual, rel_tol=1e-9, abs_tol=1e-12)
    else:
        same = type(expected) is type(actual) and expected == actual
    return [] if same else [f"{path}: batch {expected!r}, online {actual!r}"]
