"""Section 4 of docs/signal.md: windows, scales, minute values, percentiles, from full lists of samples."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from service.model import HistoryPoint, PastHour

from .consensus import Sample
from .flows import Flows
from .numbers import Loose

S = 1000
MINUTE = 60 * S
HOUR = 3600 * S
DAY = 24 * HOUR
MONTH = 30 * DAY
WINDOWS = (("1m", 60), ("5m", 300), ("1h", 3600))
END_MS = 2 * S
GAP_MS = MINUTE  # a start is interpolated over no more than this
ALPHA_FAST = 1 - 0.5 ** (10 / 3600)
ALPHA_SLOW = 1 - 0.5 ** (10 / (7 * 24 * 3600))
READY_FAST = 60
READY_SLOW = 8640
FLOORS = {"return": 1e-5, "oi": 1e-6}
LEVEL_FLOORS = {"elr": 1e-3, "funding": 1e-5, "funding_abs": 1e-5, "premium": 1e-5, "spread": 1e-5, "volatility": 1e-9}
LINEAR_BINS = ("elr",)  # 0.5 % wide
RANK_TIE = 1e-9  # values that rounding alone tells apart share a rank
LOG_BINS = ("funding_abs", "volatility", "spread")  # 512 from 1e-8 to 10
LINEAR_BIN = 0.005
LOG_BIN = math.log(10.0) * 9 / 512
OLDER_WEIGHT = 10
LEAST_VALUES = 60
HOURS_OF_DAY = 24
LEAST_RETURNS = 20  # of the hourly ones of a day
LEAST_CHANGES = 72  # hourly ones of a week
GRID = 300 * S
DOUBLED = 0.05  # published open interest that steps by two within this share may count other sides


@dataclass
class Window:
    """One window at a tick; None is undefined."""

    name: str
    seconds: int
    ready: bool
    ret: float | None
    oi_change: float | None
    z_return: float | None
    z_oi: float | None
    slow_z_return: float | None
    slow_z_oi: float | None
    backfilled: bool = False


@dataclass
class Point:
    """Where a window begins."""

    price: float
    ln_oi_index: float
    backfilled: bool


@dataclass
class Level:
    """A level at a tick against its minute values."""

    value: float | None
    z: float | None
    percentile: float | None
    n: int
    horizon_h: int


@dataclass
class Scales:
    """The mean squares as they stood after the tick at ``ts``; ``updates`` so far."""

    ts: int
    updates: int
    fast: dict[str, float]
    slow: dict[str, float]


def _root_mean_square(changes: list[float]) -> float:
    return math.sqrt(sum(change**2 for change in changes) / len(changes))


class Minutes:
    """A level's minute values in time order; the last sample of a minute wins."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.values: list[float] = []
        self._sorted: list[float] = []  # of values[_range], which moves on with time
        self._range = (0, 0)

    def put(self, ts: int, value: float) -> None:
        start = ts - ts % MINUTE
        if self.starts and self.starts[-1] == start:
            self.values[-1] = value
        else:
            self.starts.append(start)
            self.values.append(value)

    def put_before(self, found: dict[int, float]) -> None:
        """Values of minutes that are older than all of the last 24 h."""
        merged = found | dict(zip(self.starts, self.values, strict=True))
        added = len(merged) - len(self.starts)
        self.starts = sorted(merged)
        self.values = [merged[start] for start in self.starts]
        self._range = (self._range[0] + added, self._range[1] + added)

    def at(self, start: int) -> float | None:
        i = bisect_left(self.starts, start)
        return self.values[i] if i < len(self.starts) and self.starts[i] == start else None

    def sorted_between(self, low: int, high: int) -> list[float]:
        """The values of ``between(low, high)`` in order, for bounds that only rise and completed minutes."""
        i, j = bisect_left(self.starts, low), bisect_right(self.starts, high)
        for value in self.values[self._range[1] : j]:
            insort(self._sorted, value)
        for value in self.values[self._range[0] : i]:
            del self._sorted[bisect_left(self._sorted, value)]
        self._range = (i, j)
        return list(self._sorted)

    def between(self, low: int, high: int) -> list[tuple[int, float]]:
        """(start, value) of the minutes with low <= start <= high."""
        i, j = bisect_left(self.starts, low), bisect_right(self.starts, high)
        return list(zip(self.starts[i:j], self.values[i:j], strict=True))


@dataclass
class Past:
    """The completed minute values of a level as of one minute: computed once a minute."""

    recent: list[float]  # the last 24 h, sorted
    older: list[float]  # one in ten minutes of what is older, sorted; counts ten times
    n: int
    horizon_h: int
    median: float | None
    deviation: float | None  # median absolute deviation


class History:
    """All samples of one symbol, and what section 4 says of them."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.times: list[int] = []
        self.quorum: list[Sample] = []
        self.quorum_times: list[int] = []
        self.scales: list[Scales] = []
        self.scale_times: list[int] = []
        self.minutes = {name: Minutes() for name in (*LEVEL_FLOORS, "spend", "price")}
        self._past: dict[str, tuple[int, Past]] = {}
        self._volatility_done: int | None = None  # the last minute whose realised volatility is taken
        self.flows = Flows()
        self.last_backfilled: int | None = None
        self.closes: dict[int, float] = {}  # end of a UTC hour -> price of its last quorum sample
        self.close_levels: dict[int, float] = {}  # the same of ln_oi_index
        self.month: tuple[int, int, int, tuple[str, ...]] | None = None  # from, until, hours, venues
        self.grid: dict[
            int, tuple[float, float]
        ] = {}  # t -> price, ln_oi_index of the last quorum sample up to 60 s old

    def oldest(self, name: str, floor_minute: int) -> int | None:
        """The oldest minute value that counts: of what is older than a day one in ten minutes does."""
        starts = self.minutes[name].starts
        counted = [
            start
            for start in starts[bisect_left(starts, floor_minute - MONTH) : bisect_left(starts, floor_minute)]
            if start >= floor_minute - DAY or start % (10 * MINUTE) == 0
        ]
        return counted[0] if counted else None

    def fill(self, rows: Sequence[PastHour], venues: tuple[str, ...]) -> float | None:
        """The month before. Returns the offset of its ``ln_oi``; None where no hour is held exactly."""
        now = self.samples[-1].ts
        floor_minute = now - now % MINUTE
        held = self.minutes["elr"]
        steps = [
            value - row.ln_oi
            for row in rows
            if floor_minute - DAY <= row.ts < floor_minute and (value := held.at(row.ts)) is not None
        ]
        if not steps:
            return None
        offset = statistics.median(steps)
        before = {name: self.oldest(name, floor_minute) for name in ("elr", "funding_abs", "spread", "volatility")}
        oldest = before["elr"]
        assert oldest is not None
        entered = [row for row in rows if floor_minute - MONTH <= row.ts < oldest]
        if entered or self.month is None:
            self.month = (entered[0].ts if entered else oldest, oldest, len(entered), venues)
        squares = {
            row.ts: math.log(row.price / last.price) ** 2 for last, row in pairwise(rows) if row.ts - last.ts == HOUR
        }
        for row in rows:
            day = [squares[at] for at in range(row.ts - DAY + HOUR, row.ts + 1, HOUR) if at in squares]
            values = {
                "elr": row.ln_oi + offset,
                "funding_abs": None if row.funding_8h is None else abs(row.funding_8h),
                "spread": row.spread,
                "volatility": math.sqrt(sum(day) * 24 / len(day)) if len(day) >= LEAST_RETURNS else None,
            }
            for name, value in values.items():
                end = floor_minute if before[name] is None else before[name]
                assert end is not None
                minutes = range(row.ts, row.ts + HOUR, 10 * MINUTE)
                older = [minute for minute in minutes if floor_minute - MONTH <= minute < end]
                if value is not None and older:
                    self.minutes[name].put_before(dict.fromkeys(older, value))
            self.closes.setdefault(row.ts, row.price)
            self.close_levels.setdefault(row.ts, row.ln_oi + offset)
        self._past.clear()
        return offset

    def month_told(self, ts: int) -> dict[str, object] | None:
        """The ``month`` of the message."""
        if self.month is None or ts - self.month[1] >= MONTH:
            return None
        since, until, hours, venues = self.month
        return {"from": since, "until": until, "hours": hours, "venues": list(venues)}

    def observe(self, sample: Sample) -> None:
        self.samples.append(sample)
        self.times.append(sample.ts)
        self.flows.observe(sample)
        if sample.step_s == 60:
            self.last_backfilled = sample.ts
        if not sample.quorum:
            return
        self.quorum.append(sample)
        self.quorum_times.append(sample.ts)
        for name in ("elr", "funding", "funding_abs", "premium", "spread", "spend"):
            value = level_of(sample, name)
            if value is not None:
                self.minutes[name].put(sample.ts, value)
        assert sample.price is not None
        self.minutes["price"].put(sample.ts, sample.price)
        self.closes[sample.ts + -sample.ts % HOUR] = sample.price  # one on the full hour ends it
        self.close_levels[sample.ts + -sample.ts % HOUR] = sample.ln_oi_index
        if -sample.ts % GRID < MINUTE:
            self.grid[sample.ts + -sample.ts % GRID] = sample.price, sample.ln_oi_index

    def current(self, ts: int) -> Sample:
        assert self.samples[-1].ts == ts
        return self.samples[-1]

    # windows

    def ends(self, ts: int, seconds: int) -> tuple[Sample, Sample] | None:
        """The quorum samples at ``ts - seconds`` and at ``ts``, each the nearest within 2 s; None if one is missing."""
        start = self._nearest(ts - seconds * S, END_MS, END_MS)
        end = self._nearest(ts, END_MS, 0)
        return None if start is None or end is None else (start, end)

    def _nearest(self, ts: int, before: int, after: int) -> Sample | None:
        i, j = bisect_left(self.quorum_times, ts - before), bisect_right(self.quorum_times, ts + after)
        near = self.quorum[i:j]
        return min(near, key=lambda sample: (abs(sample.ts - ts), sample.ts)) if near else None

    def start(self, ts: int) -> Point | None:
        """Where a window that begins at ``ts`` begins: at a sample within 2 s, or between two that are no minute apart
        and one of them back-filled.
        """
        near = self._nearest(ts, END_MS, END_MS)
        if near is not None:
            assert near.price is not None
            return Point(near.price, near.ln_oi_index, near.step_s == 60)
        i = bisect_right(self.quorum_times, ts)
        if i == 0 or i == len(self.quorum):
            return None
        before, after = self.quorum[i - 1], self.quorum[i]
        if after.ts - before.ts > GAP_MS or 60 not in (before.step_s, after.step_s):
            return None
        share = (ts - before.ts) / (after.ts - before.ts)
        assert before.price is not None
        return Point(
            before.price * math.exp(share * log_return(before, after)),
            before.ln_oi_index + share * (after.ln_oi_index - before.ln_oi_index),
            True,
        )

    def backfilled_until(self, ts: int) -> int | None:
        last = self.last_backfilled
        return last if last is not None and ts - last < MONTH else None

    def window(self, ts: int, name: str, seconds: int) -> Window:
        low = ts - seconds * S
        i, j = bisect_right(self.quorum_times, low), bisect_right(self.quorum_times, ts)
        filled = sum(sample.step_s for sample in self.quorum[i:j])
        start, end = self.start(low), self._nearest(ts, END_MS, 0)
        if start is None or end is None or filled < 0.9 * seconds:
            return Window(name, seconds, False, None, None, None, None, None, None)
        assert end.price is not None
        ret = math.log(end.price / start.price)
        i, j = bisect_right(self.times, low), bisect_right(self.times, ts)
        receipts = sum(sample.oi_receipts for sample in self.samples[i:j])
        change = end.ln_oi_index - start.ln_oi_index if receipts >= 3 else None
        return Window(
            name,
            seconds,
            True,
            ret,
            change,
            self.z_of(ret, "return", ts, seconds, slow=False),
            self.z_of(change, "oi", ts, seconds, slow=False),
            self.z_of(ret, "return", ts, seconds, slow=True),
            self.z_of(change, "oi", ts, seconds, slow=True),
            start.backfilled,
        )

    def z_of(self, change: float | None, kind: str, ts: int, seconds: int, slow: bool) -> float | None:
        """The change over the window's scale as known at the latest tick at or before ``ts - seconds``."""
        i = bisect_right(self.scale_times, ts - seconds * S) - 1
        if change is None or i < 0:
            return None
        then = self.scales[i]
        if then.updates < (READY_SLOW if slow else READY_FAST):
            return None
        mean_square = then.slow[kind] if slow else then.fast[kind]
        return change / max(FLOORS[kind], math.sqrt(mean_square) * math.sqrt(seconds / 10))

    def update_scales(self, ts: int, backfill: bool) -> None:
        """Once per tick, before the windows are read."""
        if self.scales:
            last = self.scales[-1]
            made = Scales(ts, last.updates, dict(last.fast), dict(last.slow))
        else:
            made = Scales(ts, 0, {}, {})
        ends = self.ends(ts, 60 if backfill else 10)
        if ends is not None:
            changes = {"return": log_return(*ends), "oi": ends[1].ln_oi_index - ends[0].ln_oi_index}
            for _ in range(6 if backfill else 1):
                made.updates += 1
                for kind, change in changes.items():
                    square = change * change / (6 if backfill else 1)
                    made.fast[kind] = _averaged(made.fast.get(kind), square, ALPHA_FAST)
                    slow_alpha = max(ALPHA_SLOW, 1 / made.updates)
                    made.slow[kind] = _averaged(made.slow.get(kind), square, slow_alpha)
        self.scales.append(made)
        self.scale_times.append(ts)

    # levels

    def complete_minutes(self, ts: int) -> None:
        """Realised volatility of each minute that has completed by ``ts``."""
        volatility = self.minutes["volatility"]
        done = self._volatility_done
        if done is None:
            done = self.samples[0].ts - self.samples[0].ts % MINUTE - MINUTE
        while done + 2 * MINUTE <= ts:
            done += MINUTE
            value = self._volatility_at(done)
            if value is not None:
                volatility.put(done, value)
        self._volatility_done = done

    def _volatility_at(self, minute: int) -> float | None:
        """From the prices of the completed minutes that count when ``minute`` is the last of them."""
        prices = self.minutes["price"].between(minute + MINUTE - DAY, minute)
        total, count = 0.0, 0
        for (start, price), (next_start, next_price) in pairwise(prices):
            if next_start - start == MINUTE:
                total += math.log(next_price / price) ** 2
                count += 1
        return math.sqrt(total * 1440 / count) if count >= LEAST_VALUES else None

    def level(self, name: str, ts: int) -> Level:
        """The level's value at ``ts`` against its completed minutes."""
        sample = self.current(ts)
        floor_minute = ts - ts % MINUTE
        if name == "volatility":
            value = self.minutes[name].at(floor_minute - MINUTE)
        else:
            value = level_of(sample, name) if sample.quorum else None
        past = self.past(name, floor_minute)
        z, percentile = None, None
        if value is not None and past.median is not None:
            assert past.deviation is not None
            if name == "spend":
                assert sample.oi_coins is not None
                floor = 1e-5 * sample.oi_coins
            else:
                floor = LEVEL_FLOORS[name]
            scale = 1.4826 * max(past.deviation, floor)
            if scale > 0 or value == past.median:  # the floor of spend is 0 where there is no open interest
                z = (value - past.median) / scale if scale > 0 else 0.0
        if value is not None and past.n >= LEAST_VALUES:
            percentile = rank(name, value, past)
        return Level(value, z, percentile, past.n, past.horizon_h)

    def past(self, name: str, floor_minute: int) -> Past:
        cached = self._past.get(name)
        if cached is not None and cached[0] == floor_minute:
            return cached[1]
        last = floor_minute - MINUTE
        if name == "volatility":
            last -= MINUTE  # the last completed minute is the current value
        minutes = self.minutes[name]
        recent_values = minutes.sorted_between(floor_minute - DAY, last)
        older: list[tuple[int, float]] = []
        if name in LINEAR_BINS or name in LOG_BINS:
            everything = self.minutes[name].between(floor_minute - MONTH, floor_minute - DAY - MINUTE)
            older = [(start, value) for start, value in everything if start % (10 * MINUTE) == 0]
        older_values = sorted(value for _, value in older)
        oldest = bisect_left(minutes.starts, floor_minute - DAY)
        starts = [start for start, _ in older] + minutes.starts[oldest : oldest + 1 if recent_values else oldest]
        n = len(recent_values) + OLDER_WEIGHT * len(older_values)
        horizon_h = min(720, math.ceil((floor_minute - starts[0]) / HOUR)) if starts else 0
        median = deviation = None
        values = recent_values  # z is over the last 24 h; that of the spread over all of it
        if name == "spread":
            values = values + [log_bin_centre(value) for value in older_values] * OLDER_WEIGHT
        if len(values) >= LEAST_VALUES:
            median = statistics.median(values)
            deviation = statistics.median([abs(value - median) for value in values])
        past = Past(recent_values, older_values, n, horizon_h, median, deviation)
        self._past[name] = (floor_minute, past)
        return past

    def volatility_24h(self, ts: int) -> float | None:
        """From the closes of the 25 hours that ended last; a missing one takes the two returns beside it away."""
        if not self.current(ts).quorum:
            return None
        ended = ts - ts % HOUR
        closes = [self.closes.get(ended - i * HOUR) for i in range(HOURS_OF_DAY + 1)]
        pairs = [(before, after) for after, before in pairwise(closes) if before is not None and after is not None]
        if len(pairs) < LEAST_RETURNS:
            return None
        return math.sqrt(sum(math.log(after / before) ** 2 for before, after in pairs))

    def change(self, ts: int, hours: int) -> float | None:
        """Of ln_oi_index, from the minute value of exactly so many hours before on."""
        sample = self.current(ts)
        then = self.minutes["elr"].at(ts - ts % MINUTE - hours * HOUR)
        return sample.ln_oi_index - then if sample.quorum and then is not None else None

    def change_7d(self, ts: int) -> float | None:
        """Of ln_oi_index, from the close of the full hour a week before the last one on."""
        sample = self.current(ts)
        then = self.close_levels.get(ts - ts % HOUR - 7 * DAY)
        return sample.ln_oi_index - then if sample.quorum and then is not None else None

    def long_window(self, ts: int, hours: int) -> Window:
        """A window of swing: 4 or 24 hours, over a scale of a week of hourly changes before it."""
        sample, name = self.current(ts), f"{hours}h"
        begin = self.grid.get(ts - hours * HOUR)
        if not sample.quorum or begin is None or sample.price is None:
            return Window(name, hours * 3600, False, None, None, None, None, None, None)
        ret, change = math.log(sample.price / begin[0]), sample.ln_oi_index - begin[1]
        last = ts - hours * HOUR - ts % HOUR
        ends = range(last - 168 * HOUR, last, HOUR)
        prices = [
            math.log(self.closes[end + HOUR] / self.closes[end])
            for end in ends
            if end in self.closes and end + HOUR in self.closes
        ]
        levels = [
            self.close_levels[end + HOUR] - self.close_levels[end]
            for end in ends
            if end in self.closes and end + HOUR in self.closes
        ]
        z_return, z_oi = None, None
        if len(prices) >= LEAST_CHANGES:
            z_return = ret / (max(FLOORS["return"], _root_mean_square(prices)) * math.sqrt(hours))
            z_oi = change / (max(FLOORS["oi"], _root_mean_square(levels)) * math.sqrt(hours))
        return Window(name, hours * 3600, True, ret, change, z_return, z_oi, None, None)

    def statistics_ready(self, ts: int) -> bool:
        """Every 24 h statistic has its 60 values; the spread is left out: one venue alone never has one. Of volatility
        only the rank is used, which needs 60 of any age.
        """
        floor_minute = ts - ts % MINUTE
        lately = all(
            len(self.past(name, floor_minute).recent) >= LEAST_VALUES for name in ("elr", "funding", "premium")
        )
        return lately and self.past("volatility", floor_minute).n >= LEAST_VALUES

    def continuity(self, ts: int) -> float:
        """1 - half the share of the last hour's seconds without the full venue set; unsampled seconds count as such."""
        low = ts - HOUR
        covered, lacking = 0, 0
        for sample in self.samples[bisect_right(self.times, low) :]:
            seconds = (min(sample.ts, ts) - max(sample.ts - sample.step_s * S, low)) // S
            covered += seconds
            if not sample.full_set:
                lacking += seconds
        began = self.samples[0].ts - self.samples[0].step_s * S
        before_first = max(0, began - low) // S
        unsampled = 3600 - covered - before_first
        return 1 - 0.5 * (lacking + unsampled) / 3600


def since_last_doubling(points: list[HistoryPoint]) -> list[HistoryPoint]:
    """Of an instrument's published open interest what may be used: from its last step by a factor of two on."""
    points = sorted(points, key=lambda point: point.ts)
    first = 0
    for i, (before, after) in enumerate(pairwise(points), start=1):
        factor = after.value / before.value if before.value > 0 else 0.0
        if abs(factor / 2 - 1) <= DOUBLED or abs(factor * 2 - 1) <= DOUBLED:
            first = i
    return points[first:]


def level_of(sample: Sample, name: str) -> float | None:
    """The value of a level at one quorum sample."""
    if name == "elr":
        return sample.ln_oi_index
    if name == "funding":
        return sample.funding_8h
    if name == "funding_abs":
        return None if sample.funding_8h is None else abs(sample.funding_8h)
    if name == "premium":
        if sample.price is None or sample.index is None:
            return None
        return sample.price / sample.index - 1
    if name == "spread":
        return sample.funding_spread
    assert name == "spend"
    return sample.funding_spend


def log_return(start: Sample, end: Sample) -> float:
    assert start.price is not None
    assert end.price is not None
    return math.log(end.price / start.price)


def _averaged(mean: float | None, square: float, alpha: float) -> float:
    return square if mean is None else (1 - alpha) * mean + alpha * square


def rank(name: str, value: float, past: Past) -> float:
    """(below + half of equal) / n; loose by half the weight of the older values that may share the value's bin."""

    def below_and_half(values: list[float]) -> float:
        below = bisect_left(values, value - RANK_TIE * abs(value))
        return below + 0.5 * (bisect_right(values, value + RANK_TIE * abs(value)) - below)

    exact = (below_and_half(past.recent) + OLDER_WEIGHT * below_and_half(past.older)) / past.n
    if not past.older:
        return exact
    if name in LINEAR_BINS:
        near = sum(1 for other in past.older if abs(other - value) <= LINEAR_BIN)
    else:
        near = sum(1 for other in past.older if abs(_log(other) - _log(value)) <= LOG_BIN)
    return Loose(exact, 0.5 * OLDER_WEIGHT * near / past.n)


def _log(value: float) -> float:
    return math.log(min(max(value, 1e-8), 10.0))


def log_bin_centre(value: float) -> float:
    """Geometric centre of the value's bin of 512 between 1e-8 and 10."""
    i = min(max(math.floor((_log(value) - math.log(1e-8)) / LOG_BIN), 0), 511)
    return float(math.exp(math.log(1e-8) + (i + 0.5) * LOG_BIN))
