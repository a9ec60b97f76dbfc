"""What the chain link costs when a venue is away: the figures of docs/signal.md section 3.

A venue's own change while it was away never enters the index. That is the promise (a venue that returns is no
build-up), and it leaves an offset, which the percentile keeps until the days before the gap are 30 days old.
"""

from __future__ import annotations

import csv
import gzip
import math
import os
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from statistics import fmean, quantiles

import pytest

from service.indicators.levels import Elr
from service.indicators.minute import MINUTE_MS, MinuteValues
from service.model import Consensus, LevelReading
from tests.market.build import Driver

HOUR_MS = 3_600_000
HISTORY = Path(os.environ.get("ELR_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "history"
# docs/signal.md: offset of ln_oi_index in per cent, by the venue's share and by how much further than the others' its
# open interest grew (log).
OFFSETS = {
    0.1: {-0.15: 1.4, -0.07: 0.7, 0.02: -0.2, 0.07: -0.7, 0.15: -1.6},
    0.3: {-0.15: 4.3, -0.07: 2.0, 0.02: -0.6, 0.07: -2.2, 0.15: -4.7},
    0.6: {-0.15: 8.7, -0.07: 4.1, 0.02: -1.2, 0.07: -4.3, 0.15: -9.3},
}


def driven(
    hours: list[float], lns: Callable[[float], tuple[float, float]], share: float, away: tuple[float, float] | None
) -> list[Consensus]:
    """Samples at these hours: venue a holds ``share``, b and c the rest in equal parts. ``lns``: ln of a's and of the
    others' open interest at an hour, against hour 0. ``away``: a says nothing at the hours between the two."""
    driver, samples = Driver(3), []
    step_s = round((hours[1] - hours[0]) * 3600)
    for hour in hours:
        at = round(hour * HOUR_MS)
        ln_own, ln_others = lns(hour)
        if away is None or not away[0] < hour < away[1]:
            driver.mark("a", 100.0, at)
            driver.oi("a", 1000.0 * share * math.exp(ln_own), at)
        for venue in "bc":
            driver.both(venue, 100.0, 500.0 * (1.0 - share) * math.exp(ln_others), at)
        samples.append(driver.sample(at, step_s))
    return samples


def gap(gap_h: float, share: float, drift: float, others: float, factor: float = 1.0) -> tuple[list[Consensus], float]:
    """Away for ``gap_h`` in twelve steps, then two more. The venues drift evenly meanwhile and rest before and after;
    what a says after its return is ``factor`` times the truth. The samples, and the index had a never been away."""
    hours = [gap_h * step / 12 for step in range(-1, 15)]

    def lns(hour: float) -> tuple[float, float]:
        part = min(max(hour / gap_h, 0.0), 1.0)
        return (others + drift) * part, others * part

    def said(hour: float) -> tuple[float, float]:
        own, rest = lns(hour)
        return own + (math.log(factor) if hour >= gap_h else 0.0), rest

    return driven(hours, said, share, (0.0, gap_h)), driven(hours, lns, share, None)[-1].ln_oi_index


@pytest.mark.parametrize("gap_h", [1.0, 6.0, 36.0, 168.0])
@pytest.mark.parametrize("share", OFFSETS)
def test_the_offset_is_the_venues_own_change(gap_h: float, share: float) -> None:
    """Offset = -ln(1 - s + s*exp(d)): not the length of the gap counts, and not what the market did, but by how much
    the venue's open interest grew further than the others'. It stays after the return."""
    for drift, percent in OFFSETS[share].items():
        for others in (-0.04, 0.0, 0.1):
            samples, truth = gap(gap_h, share, drift, others)
            offset = samples[-1].ln_oi_index - truth
            assert offset == pytest.approx(-math.log(1.0 - share + share * math.exp(drift)), abs=1e-12)
            assert round(100.0 * offset, 1) == percent
            # What a reader can tell: the sum of its steps less the change of all coins from before to after.
            before, after = samples[1], samples[-1]
            assert before.oi_coins is not None
            assert after.oi_coins is not None
            told = after.ln_oi_index - before.ln_oi_index - math.log(after.oi_coins / before.oi_coins)
            assert told == pytest.approx(offset, abs=1e-12)


def test_below_the_quorum_the_whole_change_is_lost() -> None:
    """Cause of another offset: one venue of three is no market, the index stands still."""
    driver = Driver(3)
    for venue in "abc":
        driver.both(venue, 100.0, 500.0, 0)
    driver.sample(0)
    for step in range(1, 13):
        driver.both("c", 100.0, 500.0 * math.exp(-0.01 * step), step * HOUR_MS)
        found = driver.sample(step * HOUR_MS, 3600)
        assert (found.quorum, found.ln_oi_index) == (False, 0.0)
    for venue in "abc":
        driver.both(venue, 100.0, 500.0 * math.exp(-0.12), 13 * HOUR_MS)
    found = driver.sample(13 * HOUR_MS, 3600)
    assert (found.quorum, found.ln_oi_index) == (True, 0.0)


@pytest.mark.parametrize("gap_h", [0.8, 6.0, 36.0])
@pytest.mark.parametrize("factor", [0.1, 0.5, 0.85, 1.15, 2.0, 10.0])
def test_nothing_that_a_venue_returns_with_is_build_up(gap_h: float, factor: float) -> None:
    """What is bought with the offset. After an hour a doubled figure is believed at once, after a day any figure is: a
    rule that read the venue's own change as open interest would read these, too."""
    samples, _ = gap(gap_h, 0.3, 0.0, 0.0, factor)
    assert {item.ln_oi_index for item in samples} == {0.0}
    believed = gap_h == 36.0 or (gap_h == 6.0 and factor not in (0.1, 10.0)) or factor in (0.85, 1.15)
    assert samples[-1].oi_coins == pytest.approx(700.0 + (300.0 * factor if believed else 0.0))


def test_what_tells_of_a_gap() -> None:
    """For 24 h the venue is named and its share missing; then only the count of venues; after the return nothing."""
    samples, _ = gap(36.0, 0.3, 0.07, 0.0)
    told = [(item.excluded, round(item.coverage, 9), sum(view.fresh for view in item.venues)) for item in samples]
    assert told[:2] == [((), 1.0, 3)] * 2  # at -3 h and 0 h
    assert told[2:10] == [(("a",), 0.7, 2)] * 8  # 3 h to 24 h
    assert told[10:13] == [((), 1.0, 2)] * 3  # 27 h to 33 h
    assert told[13:] == [((), 1.0, 3)] * 3
    assert {item.venues_total for item in samples} == {3}


# -- the percentile after it -------------------------------------------------------------------------------------


WALK_H, LEFT, BACK = 63 * 24, 30 * 24, 30 * 24 + 36


def leverage(samples: list[Consensus]) -> list[LevelReading]:
    """The level's reading at each."""
    elr = Elr()
    book, readings = MinuteValues([elr]), []
    for item in samples:
        book.update(item)
        readings.append(elr.read(item.ts // MINUTE_MS, item))
    return readings


def test_the_percentile_is_off_for_thirty_days_and_z_for_one() -> None:
    """Three venues, one of 30 % away from day 30 on for 36 h, which grows 7 % further: -2.2 %. The others' open
    interest wanders by 4 % (standard deviation of 30 days), as that of BTC does."""
    rng, walk = random.Random(8), [0.0]
    for _ in range(WALK_H):
        walk.append(walk[-1] * 0.98 + rng.gauss(0.0, 0.008))

    def lns(hour: float) -> tuple[float, float]:
        ln = walk[round(hour)]
        return ln + 0.07 * min(max((hour - LEFT) / (BACK - LEFT), 0.0), 1.0), ln

    hours = [float(hour) for hour in range(WALK_H)]
    pairs = list(
        zip(leverage(driven(hours, lns, 0.3, (LEFT, BACK))), leverage(driven(hours, lns, 0.3, None)), strict=True)
    )
    errors, apart = [], []
    for found, true in pairs[BACK:]:
        assert found.percentile is not None
        assert true.percentile is not None
        assert found.z is not None
        assert true.z is not None
        errors.append(found.percentile - true.percentile)
        apart.append(abs(found.z - true.z))
    by_week = [fmean(errors[start : start + 168]) for start in range(0, 28 * 24, 168)]
    assert by_week == pytest.approx([-0.07, -0.08, -0.01, -0.01], abs=0.01)
    assert max(errors, key=abs) == pytest.approx(-0.23, abs=0.01)
    # From then on nothing is left but that the bins of 0.5 % are cut elsewhere.
    assert fmean(errors[30 * 24 :]) == pytest.approx(0.0, abs=0.01)
    assert max(abs(error) for error in errors[30 * 24 :]) <= 0.05
    assert max(apart[:24]) > 0.3
    assert max(apart[25:]) < 1e-9


needs_history = pytest.mark.skipif(not HISTORY.is_dir(), reason=f"no history at {HISTORY} (set ELR_SHARED)")


def column(file_name: str, *names: str) -> dict[str, list[float]]:
    """Rows by time to the minute, those with blanks left out."""
    with gzip.open(HISTORY / file_name, "rt") as file:
        return {
            next(iter(row.values()))[:16].replace("T", " "): [float(row[name]) for name in names]
            for row in csv.DictReader(file)
            if all(row[name] for name in names)
        }


@pytest.mark.needs_shared
@needs_history
def test_how_far_one_large_venue_drifts_from_the_others() -> None:
    """docs/signal.md: the offset had Binance (about 30 % of BTC's open interest) been away for 1, 2 and 7 days, from
    every day of 2023-11 to 2024-10 that the files have: median, 90th of a hundred and largest, per cent."""
    own: dict[str, list[float]] = {}
    for span in ("20231128_20240214", "20240501_20241017"):
        own |= column(f"tardis_binance_BTCUSDT_derivative_ticker_1h_{span}.csv.gz", "open_interest_btc")
    held = {}  # at the end of a day: of Binance, of all
    for day, (usd, price) in column("btc_daily_oi_reserve_funding.csv.gz", "open_interest_usd", "price_usd").items():
        end = datetime.fromisoformat(day) + timedelta(days=1)
        coins = own.get(end.strftime("%Y-%m-%d %H:%M"))
        if coins is not None:
            held[end] = coins[0], usd / price
    assert quantiles([one / every for one, every in held.values()], n=2) == [pytest.approx(0.30, abs=0.01)]
    found = {}
    for days in (1, 2, 7):
        offsets = []
        for start, (one, every) in held.items():
            if start + timedelta(days=days) in held:
                one_later, every_later = held[start + timedelta(days=days)]
                linked = math.log((every_later - one_later) / (every - one))
                offsets.append(100.0 * (linked - math.log(every_later / every)))
        size = sorted(map(abs, offsets))
        found[days] = tuple(round(x, 1) for x in (size[len(size) // 2], size[len(size) * 9 // 10], size[-1]))
        assert abs(fmean(offsets)) < 0.1  # no side is favoured
        assert len(offsets) > 200
    assert found == {1: (0.5, 1.2, 3.5), 2: (0.6, 1.8, 4.0), 7: (1.1, 2.9, 5.5)}


@pytest.mark.needs_shared
@needs_history
def test_the_percentile_error_on_real_open_interest() -> None:
    """docs/signal.md: absolute error of the 30-day percentile of BTC (Bybit, 2024-10 to 2026-02, every other day) by
    offset and days after a return from 36 h: mean and 95th of a hundred. How often it is then on the other side of
    0.80."""
    rows = column("bybit_BTC_1h_20241018_20260225.csv.gz", "open_interest_coins")
    lns = [math.log(coins) for (coins,) in rows.values()]
    month, away = 720, 36
    found, crossed = {}, 0.0
    for offset in (-0.006, -0.022):
        for days in (0, 7, 14, 21):
            left = month - 24 * days - away  # hours of the month that are older than the gap
            shift = [offset * min(max(1.0 - (hour - left) / away, 0.0), 1.0) for hour in range(month)]
            errors, crossings = [], 0
            for now in range(month, len(lns), 48):
                past, x = lns[now - month : now], lns[now]
                seen = _rank([value - by for value, by in zip(past, shift, strict=True)], x)
                true = _rank(past, x)
                errors.append(abs(seen - true))
                crossings += (seen >= 0.8) != (true >= 0.8)
            found[offset, days] = (round(fmean(errors), 2), round(quantiles(errors, n=20)[-1], 2))
            if (offset, days) == (-0.022, 0):
                crossed = crossings / len(errors)
    assert found == {
        (-0.006, 0): (0.03, 0.07),
        (-0.006, 7): (0.02, 0.05),
        (-0.006, 14): (0.01, 0.04),
        (-0.006, 21): (0.01, 0.03),
        (-0.022, 0): (0.11, 0.25),
        (-0.022, 7): (0.07, 0.19),
        (-0.022, 14): (0.04, 0.16),
        (-0.022, 21): (0.02, 0.10),
    }
    assert round(crossed, 2) == 0.08


def _rank(values: list[float], x: float) -> float:
    return (sum([value < x for value in values]) + sum([value <= x for value in values])) / 2 / len(values)
