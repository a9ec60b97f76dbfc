"""docs/signal.md section 4 once more, by plain loops over the full list of samples. Shares nothing with the service."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

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
        self,
        samples: Sequence[Consensus],
        ticks: Sequence[int],
        minutes: Sequence[int] | None = None,
        hours: Sequence[int] | None = None,
        grid: Sequence[int] | None = None,
    ) -> None:
        self.samples = list(samples)
        self.by_second = {item.ts // 1000: item for item in samples}
        self.quorate = [item for item in samples if item.quorum]
        self.minutes = [item.ts // 60_000 for item in samples] if minutes is None else list(minutes)
        hours = [-(-item.ts // 3_600_000) for item in samples] if hours is None else list(hours)
        self.hourly = {hour: item for hour, item in zip(hours, self.samples, strict=True) if item.quorum}
        self.closes = {hour: item.price for hour, item in self.hourly.items()}
        grid = [-(-item.ts // 300_000) for item in samples] if grid is None else list(grid)
        self.grid = {
            step: item
            for step, item in zip(grid, self.samples, strict=True)
            if item.quorum and -item.ts % 300_000 < 60_000
        }
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
        self.taker_scales = {w: self._taker_scales(ticks, w) for w in (60, 300)}

    def _volatility(self, minute: int) -> float | None:
        squares = [self.squares[m] for m in range(minute - 1439 + 1, minute + 1) if m in self.squares]
        return math.sqrt(sum(squares) * 1440 / len(squares)) if len(squares) >= 60 else None

    def volatility_24h(self, ts: int) -> float | None:
        last, squares = ts // 3_600_000, []
        for hour in range(last - 23, last + 1):
            before, after = self.closes.get(hour - 1), self.closes.get(hour)
            if before is not None and after is not None:
                squares.append(math.log(after / before) ** 2)
        return math.sqrt(sum(squares)) if len(squares) >= 20 else None

    def swing_window(self, item: Consensus, name: Any, hours: int) -> WindowReading:
        start = self.grid.get((item.ts - hours * 3_600_000) // 300_000)
        if start is None or not item.quorum:
            return WindowReading(name, hours * 3600, False, None, None, None, None, None, None)
        assert item.price is not None
        assert start.price is not None
        ret, oi_change = math.log(item.price) - math.log(start.price), item.ln_oi_index - start.ln_oi_index
        last = item.ts // 3_600_000 - hours
        pairs = [(self.hourly.get(hour - 1), self.hourly.get(hour)) for hour in range(last - 167, last + 1)]
        both = [(a, b) for a, b in pairs if a is not None and b is not None]
        z: list[float | None] = [None, None]
        if len(both) >= 72:
            price = math.sqrt(sum((math.log(b.price) - math.log(a.price)) ** 2 for a, b in both) / len(both))
            oi = math.sqrt(sum((b.ln_oi_index - a.ln_oi_index) ** 2 for a, b in both) / len(both))
            z = [ret / max(price, 1e-5) / math.sqrt(hours), oi_change / max(oi, 1e-6) / math.sqrt(hours)]
        return WindowReading(name, hours * 3600, True, ret, oi_change, *z, None, None)

    def quorum_at(self, second: int, offsets: Sequence[int]) -> Consensus | None:
        for offset in offsets:
            item = self.by_second.get(second + offset)
            if item is not None and item.quorum:
                return item
        return None

    def begin(self, second: int) -> tuple[float, float, bool] | None:
        """Price, ln_oi_index, and whether they rest on a back-filled sample; interpolated where there is none near."""
        near = self.quorum_at(second, (0, -1, 1, -2, 2))
        if near is not None:
            assert near.price is not None
            return near.price, near.ln_oi_index, near.step_s == 60
        before = [item for item in self.quorate if item.ts // 1000 < second][-1:]
        after = [item for item in self.quorate if item.ts // 1000 > second][:1]
        if not before or not after:
            return None
        (left,), (right,) = before, after
        assert left.price is not None
        assert right.price is not None
        span = (right.ts - left.ts) / 1000
        if span > 60 or left.step_s + right.step_s == 2:
            return None
        share = (second - left.ts / 1000) / span
        price = left.price ** (1 - share) * right.price**share
        return price, left.ln_oi_index * (1 - share) + right.ln_oi_index * share, True

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
        end, start = self.quorum_at(second, (0, -1, -2)), self.begin(second - w)
        taker = self.over_venues(second, w, "taker_buy_coins", "taker_sell_coins")
        forced = self.over_venues(second, w, "liquidated_long_coins", "liquidated_short_coins")
        told: dict[str, float | None] = {}
        if w < 3600 and taker is not None:
            told = {"taker_buy_coins": taker[0], "taker_sell_coins": taker[1], "taker_imbalance": taker[2]}
        if w < 3600 and forced is not None:
            told["liquidated_long_coins"], told["liquidated_short_coins"] = forced[:2]
            told["liquidation_imbalance"], told["liquidation_intensity"] = -forced[2], forced[3]
        if w == 3600:
            counted = [view for item in inside for view in item.venues if view.fresh]
            long = sum(view.liquidated_long_coins for view in counted)
            short = sum(view.liquidated_short_coins for view in counted)
            if long + short > 0:
                told["liquidated_long_coins"], told["liquidated_short_coins"] = long, short
        if end is None or start is None or covered < 0.9 * w:
            return WindowReading(name, w, False, None, None, None, None, None, None, **told)  # type: ignore[arg-type]
        assert end.price is not None
        ret = math.log(end.price / start[0])
        oi = end.ln_oi_index - start[1] if sum(item.oi_receipts for item in inside) >= 3 else None
        if w < 3600 and taker is not None:
            known_taker = [entry for entry in self.taker_scales[w] if entry[0] <= second - w]
            if known_taker and known_taker[-1][1] >= 60:
                told["z_taker"] = taker[2] / max(0.02, math.sqrt(known_taker[-1][2]))
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
        return WindowReading(name, w, True, ret, oi, *z, start[2], **told)  # type: ignore[arg-type]

    def over_venues(self, second: int, w: int, left: str, right: str) -> tuple[float, float, float, float] | None:
        """Sums of two amounts of VenueView over (second - w, second], their balance weighed by open interest, and the
        median share of open interest."""
        sums: dict[str, list[float]] = {}
        for at in range(second - w + 1, second + 1):
            for view in self.by_second[at].venues if at in self.by_second else ():
                if view.fresh:
                    both = sums.setdefault(view.venue, [0.0, 0.0])
                    both[0] += getattr(view, left)
                    both[1] += getattr(view, right)
        used = [
            (view.oi_coins, *sums[view.venue])
            for view in self.by_second[second].venues
            if view.fresh and view.oi_coins and sum(sums[view.venue]) > 0
        ]
        if not used:
            return None
        weight = sum(coins for coins, _, _ in used)
        return (
            sum(a for _, a, _ in used),
            sum(b for _, _, b in used),
            sum(coins * (a - b) / (a + b) for coins, a, b in used) / weight,
            statistics.median((a + b) / coins for coins, a, b in used),
        )

    def _taker_scales(self, ticks: Sequence[int], w: int) -> list[tuple[int, int, float]]:
        alpha, made = 1 - 0.5 ** (10 / 3600), []
        n, v = 0, 0.0
        for ts in ticks:
            second = ts // 1000
            found = self.over_venues(second, w, "taker_buy_coins", "taker_sell_coins")
            if self.by_second[second].step_s == 1 and found is not None:
                n, v = n + 1, found[2] ** 2 if n == 0 else (1 - alpha) * v + alpha * found[2] ** 2
                made.append((second, n, v))
        return made

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
        total = sum(0.5 if abs(value - x) <= 1e-9 * abs(x) else 1.0 if value < x else 0.0 for value in recent)
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

    def backfilled_until(self, ts: int) -> int | None:
        past = [item.ts for item in self.samples if item.step_s == 60 and item.ts <= ts]
        return past[-1] if past and ts - past[-1] < 30 * 86_400_000 else None

    def readings(self, ts: int, now: int | None = None) -> Readings:
        """At a tick; ``now`` is the running minute where it is not that of ``ts``."""
        second, now = ts // 1000, ts // 60_000 if now is None else now
        item = self.by_second[second]
        levels = {
            name: self.level(name, now, item)
            for name in ("elr", "funding", "funding_abs", "premium", "spread", "volatility", "spend")
        }
        before, earlier = self.values["elr"].get(now - 1440), self.values["elr"].get(now - 240)
        week = self.hourly.get(ts // 3_600_000 - 168)
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
            backfilled_until=self.backfilled_until(ts),
            volatility_24h=self.volatility_24h(ts),
            liquidations_heard=any(
                view.liquidated_long_coins + view.liquidated_short_coins > 0
                for other in self.samples
                if ts - 86_400_000 < other.ts <= ts
                for view in other.venues
            ),
            change_4h=item.ln_oi_index - earlier if item.quorum and earlier is not None else None,
            change_7d=item.ln_oi_index - week.ln_oi_index if item.quorum and week is not None else None,
            swing_windows=(
                (self.swing_window(item, "4h", 4), self.swing_window(item, "24h", 24)) if ts % 300_000 == 0 else ()
            ),
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
