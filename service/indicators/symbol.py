"""All indicators of one symbol: a sample in each second, readings out at each tick."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal

import orjson

from service.errors import OurBug
from service.indicators.contract import UNREAD, feeds_a_day
from service.indicators.hours import GRID_MS, HOUR_MS, LEAST_RETURNS, RETURNS, GridCloses, HourlyCloses
from service.indicators.levels import Levels
from service.indicators.minute import MINUTE_MS, MinuteValues
from service.indicators.pressure import BUCKET_S, NOTHING, Forced, Pressure, Taker
from service.indicators.scale import OI_FLOOR, RETURN_FLOOR, STEP_S, Scales
from service.indicators.trailing import HOUR_MINUTES, MONTH_MINUTES
from service.indicators.window import SampleRing
from service.model import Consensus, LevelReading, Month, Past, PastHour, Readings, VenueView, WindowReading
from service.state import Plain, Stateful
from service.statistics import fold

SECOND_MS = 1_000
ONE_MINUTE, FIVE_MINUTES, ONE_HOUR = 60, 300, 3_600
SWING: tuple[tuple[Literal["4h", "24h"], int], ...] = (("4h", 4), ("24h", 24))  # windows of this mode alone, in hours
BACKFILL_COUNTS_MS = 30 * 86_400_000  # statistics may hold back-filled samples this long


class SymbolIndicators(Stateful):
    """docs/signal.md section 4, and the continuity of section 6, of one symbol.

    Live samples stand for 1 s; back-filled ones for 60 s, on the UTC minute, each with a reading like a tick's.
    """

    STATE = ("_book", "_grid", "_hours", "_levels", "_month", "_pressure", "_ring", "_scales", "_scaled_second")
    LATER: ClassVar = frozenset({"_grid", "_hours", "_month"})
    __slots__ = (*STATE, "_sample", "symbol")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self._ring = SampleRing()
        self._scales = Scales()
        self._pressure = Pressure()
        self._hours = HourlyCloses()
        self._grid = GridCloses()
        self._levels = Levels()
        self._book = MinuteValues(self._levels.each())
        self._month: Month | None = None  # published history before the samples
        self._sample: Consensus | None = None  # the newest
        self._scaled_second: int | None = None  # of the last reading: one update of the scales a tick

    @property
    def covered_minutes(self) -> int:
        """Minutes of the last 24 h that leverage has a value of."""
        return len(self._levels.elr.history.recent)

    @property
    def month(self) -> Month | None:
        """What :meth:`fill` has entered; None before."""
        return self._month

    def remembers(self, hours: int) -> bool:
        """Whether leverage has values as old as that."""
        oldest, now = self._levels.elr.history.oldest, self._book.minute
        return oldest is not None and now is not None and now - oldest >= hours * HOUR_MINUTES

    def fill(self, past: Past) -> float | None:
        """Enter what the venues published of the month before all that is known here (docs/signal.md section 4).

        Returns what makes ``ln_oi`` of its hours comparable with ``ln_oi_index``; None, and nothing is entered, where
        no hour of it has a value of our own: the two could not be joined without a step.
        """
        recent, now = self._levels.elr.history.recent, self._book.minute
        own = [(recent.at(hour.ts // MINUTE_MS), hour.ln_oi) for hour in past.hours]
        steps = sorted(value - ln_oi for value, ln_oi in own if value is not None)
        if not steps or now is None:
            return None
        offset = (steps[(len(steps) - 1) // 2] + steps[len(steps) // 2]) / 2
        levels, oldest = self._levels, self._levels.elr.history.oldest
        assert oldest is not None  # there are steps
        entered = [hour for hour in past.hours if now - MONTH_MINUTES <= hour.ts // MINUTE_MS < oldest]
        since = entered[0].ts if entered else oldest * MINUTE_MS
        for level, values in (
            (levels.elr, [(hour.ts, hour.ln_oi + offset) for hour in past.hours]),
            (levels.funding, [(hour.ts, hour.funding_8h) for hour in past.hours]),
            (levels.spread, [(hour.ts, hour.spread) for hour in past.hours]),
            (levels.volatility, volatilities(past.hours)),
        ):
            level.fill([(ts // MINUTE_MS, value) for ts, value in values if value is not None], now)
        self._hours.fill(past.hours, offset)
        if entered or self._month is None:
            self._month = Month(since, oldest * MINUTE_MS, len(entered), past.venues)
        return offset

    def observe(self, consensus: Consensus) -> None:
        """Every sample of the symbol, in time order."""
        self._ring.update(
            consensus.ts // SECOND_MS,
            consensus.price if consensus.quorum else None,
            consensus.ln_oi_index,
            consensus.step_s,
            consensus.oi_receipts,
            consensus.full_set,
        )
        self._book.update(consensus)
        self._hours.update(consensus)
        self._grid.update(consensus)
        self._pressure.observe(consensus)
        self._sample = consensus

    def read(self, ts: int, ranks: bool = True) -> Readings:
        """Everything as of ``ts``, the time of the newest sample; raises OurBug at any other time.

        The first reading of a tick updates the scales; another at the same ``ts`` gives the same. Without ``ranks``
        percentiles and whatever no score is made of are missing: enough for ``Scorer.follow``.
        """
        sample, now = self._sample, self._book.minute
        if sample is None or now is None or sample.ts != ts:
            raise OurBug(f"{self.symbol}: read at {ts}, newest sample {None if sample is None else sample.ts}")
        second = ts // SECOND_MS
        end = self._ring.last(second)
        first = self._scaled_second is None or second > self._scaled_second
        if first:
            self._scaled_second = second
            self._update_scales(second, sample.step_s, end)
        taker = self._pressure.taker(sample, second, first and sample.step_s <= BUCKET_S)
        forced = self._pressure.liquidated(sample, second)
        windows = (
            self._window("1m", ONE_MINUTE, second, end, taker[0], forced[0]),
            self._window("5m", FIVE_MINUTES, second, end, taker[1], forced[1]),
            self._window("1h", ONE_HOUR, second, end, NOTHING, forced[2]),
        )
        backfilled_until, heard = self._backfilled_until(ts), self._pressure.heard(second)
        levels, swing = self._levels, self._swing_windows(sample)
        if not ranks:
            return Readings(
                symbol=self.symbol,
                ts=ts,
                consensus=sample,
                windows=windows,
                elr=levels.elr.read_z(sample),
                funding=levels.funding.read_z(sample),
                funding_abs=UNREAD,
                premium=levels.premium.read_z(sample),
                spread=levels.spread.read_z(sample),
                volatility=LevelReading(levels.volatility.value(sample), None, None, 0, 0),
                spend=UNREAD,
                change_24h=None,
                continuity=self._ring.continuity(second),
                statistics_ready=False,
                backfilled_until=backfilled_until,
                liquidations_heard=heard,
                change_4h=levels.elr.change_4h(now, sample),
                swing_windows=swing,
            )
        return Readings(
            symbol=self.symbol,
            ts=ts,
            consensus=sample,
            windows=windows,
            elr=levels.elr.read(now, sample),
            funding=levels.funding.read(now, sample),
            funding_abs=levels.funding.read_magnitude(now, sample),
            premium=levels.premium.read(now, sample),
            spread=levels.spread.read(now, sample),
            volatility=levels.volatility.read(now, sample),
            spend=levels.spend.read(now, sample),
            change_24h=levels.elr.change_24h(now, sample),
            continuity=self._ring.continuity(second),
            statistics_ready=(
                feeds_a_day(sample)
                and levels.funding.ready
                and levels.premium.ready
                and levels.elr.ready
                and levels.volatility.ready
            ),
            backfilled_until=backfilled_until,
            liquidations_heard=heard,
            volatility_24h=self._hours.volatility_24h(ts),
            change_4h=levels.elr.change_4h(now, sample),
            change_7d=self._hours.change_7d(ts, sample),
            swing_windows=swing,
            month=self._month if self._month is not None and ts - self._month.until < BACKFILL_COUNTS_MS else None,
        )

    def reanchor(self, delta_ms: int) -> None:
        """The service clock moved: shift samples by ``delta_ms`` in whole seconds, minutes in whole minutes."""
        seconds, minutes = round(delta_ms / SECOND_MS), round(delta_ms / MINUTE_MS)
        if self._ring.newest is not None:
            self._pressure.reanchor(seconds, self._ring.newest)
        self._ring.reanchor(seconds)
        self._scales.reanchor(seconds)
        self._hours.reanchor(delta_ms)
        self._grid.reanchor(delta_ms)
        if self._scaled_second is not None:
            self._scaled_second += seconds
        self._book.reanchor(minutes)
        if self._month is not None:
            shift_ms = minutes * MINUTE_MS
            since, until = self._month.since + shift_ms, self._month.until + shift_ms
            self._month = self._month._replace(since=since, until=until)
        for level in self._levels.each():
            level.reanchor(minutes)

    def parts(self) -> list[tuple[str, Any]]:
        return [*super().parts(), ("sample", orjson.loads(orjson.dumps(self._sample)))]

    def load(self, plain: dict[str, Plain]) -> None:
        super().load({name: value for name, value in plain.items() if name != "sample"})
        if self._month is not None:
            since, until, hours, venues = self._month
            self._month = Month(since, until, hours, tuple(venues))
        self._sample = None if plain["sample"] is None else _consensus(plain["sample"])

    def _backfilled_until(self, ts: int) -> int | None:
        if self._ring.backfilled is None:
            return None
        until = self._ring.backfilled * SECOND_MS
        return until if ts - until < BACKFILL_COUNTS_MS else None

    def _update_scales(self, second: int, step_s: int, end: tuple[float, float] | None) -> None:
        span_s = max(step_s // STEP_S, 1) * STEP_S
        start = self._ring.near(second - span_s)
        if end is not None and start is not None:
            self._scales.update(second, math.log(end[0] / start[0]), end[1] - start[1], span_s)

    def _window(
        self,
        name: Literal["1m", "5m", "1h"],
        seconds: int,
        second: int,
        end: tuple[float, float] | None,
        taker: Taker,
        forced: Forced,
    ) -> WindowReading:
        ring = self._ring
        start = None if end is None else ring.start(second - seconds)
        if end is None or start is None or not ring.covered(second, seconds):
            return WindowReading(
                name, seconds, False, None, None, None, None, None, None, False, *taker[:3], None, *forced
            )
        ret = math.log(end[0] / start.price)
        oi_change = end[1] - start.ln_oi if ring.received(second, seconds) else None
        z = self._scales.z(second - seconds, seconds, ret, oi_change)
        return WindowReading(name, seconds, True, ret, oi_change, *z, start.backfilled, *taker, *forced)

    def _swing_windows(self, sample: Consensus) -> tuple[WindowReading, ...]:
        if sample.ts % GRID_MS != 0:
            return ()  # nothing asks for them in between
        return tuple([self._swing_window(name, hours, sample) for name, hours in SWING])

    def _swing_window(self, name: Literal["4h", "24h"], hours: int, sample: Consensus) -> WindowReading:
        seconds, ts = hours * ONE_HOUR, sample.ts
        start = self._grid.at((ts - hours * HOUR_MS) // GRID_MS)
        if start is None or not sample.quorum or sample.price is None:
            return WindowReading(name, seconds, False, None, None, None, None, None, None)
        ret, oi_change = math.log(sample.price) - start.ln_price, sample.ln_oi_index - start.ln_oi
        scale = self._hours.scale(ts, hours)
        if scale is None:
            return WindowReading(name, seconds, True, ret, oi_change, None, None, None, None)
        stretch = math.sqrt(hours)
        z_return = ret / (max(RETURN_FLOOR, scale.ln_price) * stretch)
        z_oi = oi_change / (max(OI_FLOOR, scale.ln_oi) * stretch)
        return WindowReading(name, seconds, True, ret, oi_change, z_return, z_oi, None, None)


def volatilities(hours: Sequence[PastHour]) -> list[tuple[int, float | None]]:
    """(hour, realised volatility of the day up to it), made of the returns between consecutive hours: as of a market
    that moves at the full hour alone. None under 20 of 24 returns."""
    squares = {
        after.ts: math.log(after.price / before.price) ** 2
        for before, after in pairwise(hours)
        if after.ts - before.ts == HOUR_MS
    }
    found: list[tuple[int, float | None]] = []
    for hour in hours:
        day = [squares.get(hour.ts - ago * HOUR_MS) for ago in range(RETURNS)]
        known = [square for square in day if square is not None]
        enough = len(known) >= LEAST_RETURNS
        found.append((hour.ts, math.sqrt(fold(known) * RETURNS / len(known)) if enough else None))
    return found


def _consensus(plain: dict[str, Plain]) -> Consensus:
    """A sample back from its JSON form."""
    venues = tuple(
        VenueView(
            **{
                **venue,
                "states": tuple((stream, state) for stream, state in venue["states"]),
                "long_short": tuple((kind, share, at) for kind, share, at in venue["long_short"]),
            }
        )
        for venue in plain["venues"]
    )
    return Consensus(
        **{**plain, "trouble": tuple(plain["trouble"]), "excluded": tuple(plain["excluded"]), "venues": venues}
    )
