"""Taker flow and liquidations by hand: buckets, weights, scales, what is heard; the batch checks the rest."""

from __future__ import annotations

import math

import pytest

from service.indicators import SymbolIndicators
from service.indicators.pressure import Buckets, Pressure, TakerScale
from service.model import Consensus, VenueView
from tests.indicators.build import MINUTE, SECOND, T0, liquidated, reloaded, sample, through_json, traded, venue

S0 = T0 // 1000


def at(second: int, *views: VenueView) -> Consensus:
    return sample(T0 + second * SECOND, venues=views)


def fed(*samples: Consensus) -> Pressure:
    made = Pressure()
    for item in samples:
        made.observe(item)
    return made


def test_imbalance_is_weighted_by_open_interest_not_by_volume() -> None:
    """Cause guarded against: a venue that counts its trades a hundredfold would be the market."""
    now = at(10, venue("a", 300.0), venue("b", 100.0), venue("c", 100.0))
    honest = fed(at(1, traded("a", 1.0, 3.0, 300.0), traded("b", 4.0, 1.0, 100.0)))
    wrong = fed(at(1, traded("a", 1.0, 3.0, 300.0), traded("b", 400.0, 100.0, 100.0)))
    expected = (300 * -0.5 + 100 * 0.6) / 400
    for made, coins in ((honest, (5.0, 4.0)), (wrong, (401.0, 103.0))):
        made.observe(now)
        for buy, sell, imbalance, z in made.taker(now, S0 + 10, update=False):
            assert (buy, sell) == coins
            assert imbalance == pytest.approx(expected, rel=1e-14)
            assert z is None


def test_a_window_holds_the_samples_after_its_start() -> None:
    """Trades of second 10 are in (0, 10], those of 11 in (10, 20]: at 70 the first have left 1m, at 310 also 5m."""
    made = fed(at(10, traded("a", 1.0, 0.0)), at(11, traded("a", 0.0, 2.0)))
    seen = {}
    for second in (20, 60, 70, 80, 300, 310, 320):
        now = at(second, venue("a"))
        made.observe(now)
        seen[second] = [reading[:2] for reading in made.taker(now, S0 + second, update=False)]
    both, last, none = (1.0, 2.0), (0.0, 2.0), (None, None)
    assert seen == {
        20: [both, both], 60: [both, both], 70: [last, both], 80: [none, both],
        300: [none, both], 310: [none, last], 320: [none, none],
    }  # fmt: skip


def test_trades_count_while_their_venue_is_in_v_and_are_told_while_it_is() -> None:
    made = fed(at(1, traded("a", 1.0, 0.0)), at(2, traded("a", 8.0, 0.0, coins=None)), at(3, traded("a", 0.0, 2.0)))
    out, back = at(10, venue("a", None)), at(20, venue("a"))
    made.observe(out)
    assert made.taker(out, S0 + 10, update=False) == [(None,) * 4] * 2
    made.observe(back)
    assert made.taker(back, S0 + 20, update=False)[0][:2] == (1.0, 2.0)


def test_balanced_is_zero_and_silent_is_none() -> None:
    now = at(10, venue("a"), venue("b"))
    made = fed(at(1, traded("a", 2.0, 2.0)), now)
    assert made.taker(now, S0 + 10, update=False)[0][:3] == (2.0, 2.0, 0.0)
    assert fed(now).taker(now, S0 + 10, update=False)[0] == (None,) * 4


def test_a_venue_without_open_interest_weighs_nothing() -> None:
    now = at(10, venue("a", 0.0), venue("b", 50.0))
    made = fed(at(1, traded("a", 9.0, 0.0, 0.0), traded("b", 0.0, 1.0, 50.0)), now)
    assert made.taker(now, S0 + 10, update=False)[0][:3] == (0.0, 1.0, -1.0)
    forced = fed(at(1, liquidated("a", 9.0, 0.0, 0.0)), now)
    assert forced.liquidated(now, S0 + 10)[0] == (None,) * 4


def test_liquidations_lean_up_when_shorts_are_bought_back() -> None:
    """Intensities 0.01, 0.04 and 0.02: the median, so that no venue's unit error moves it far."""
    now = at(10, venue("a", 300.0), venue("b", 100.0), venue("c", 100.0))
    made = fed(at(1, liquidated("a", 3.0, 0.0, 300.0), liquidated("b", 1.0, 3.0), liquidated("c", 0.0, 2.0)), now)
    long, short, imbalance, intensity = made.liquidated(now, S0 + 10)[0]
    assert (long, short) == (4.0, 5.0)
    assert imbalance == pytest.approx((300 * -1.0 + 100 * 0.5 + 100 * 1.0) / 500, rel=1e-14)
    assert intensity == pytest.approx(0.02, rel=1e-14)


def test_the_hour_keeps_totals_as_they_were_counted() -> None:
    made = fed(
        at(10, liquidated("a", 1.0, 0.0), liquidated("b", 5.0, 5.0, coins=None)),
        at(11, liquidated("a", 0.0, 2.0)),
    )
    told = {}
    for second in (20, 3600, 3610, 3620):
        now = at(second, venue("c"))  # neither is in V any more
        made.observe(now)
        told[second] = made.liquidated(now, S0 + second)[2]
    assert told == {
        20: (1.0, 2.0, None, None),
        3600: (1.0, 2.0, None, None),
        3610: (0.0, 2.0, None, None),
        3620: (None,) * 4,
    }


def test_a_liquidation_is_heard_for_a_day_from_any_venue() -> None:
    made = fed(at(5, liquidated("a", 0.0, 1.0, coins=None)))
    assert made.heard(S0 + 5 + 86_399)
    assert not made.heard(S0 + 5 + 86_400)
    assert not fed(at(5, traded("a", 1.0, 1.0))).heard(S0 + 5)


def test_the_scale_is_the_one_known_before_the_window_began() -> None:
    scale = TakerScale(60)
    for n in range(60):
        scale.update(10 * n, 0.1)
    assert scale.z(10 * 59 + 59, 0.3) is None  # 59 updates at its start
    assert scale.z(10 * 59 + 60, 0.3) == pytest.approx(3.0, rel=1e-12)
    scale.update(650, 0.9)
    assert scale.z(650, 0.3) == pytest.approx(3.0, rel=1e-12)  # what it has just seen is not in it
    assert scale.z(709, 0.3) == pytest.approx(3.0, rel=1e-12)
    alpha = 1 - 0.5 ** (10 / 3600)
    expected = 0.3 / math.sqrt((1 - alpha) * 0.01 + alpha * 0.81)
    assert scale.z(710, 0.3) == pytest.approx(expected, rel=1e-12)
    assert scale.z(10**6, 0.3) == pytest.approx(expected, rel=1e-12)  # the latest, however old


def test_the_scale_has_a_floor() -> None:
    scale = TakerScale(60)
    for n in range(60):
        scale.update(10 * n, 0.0)
    assert scale.z(1000, 0.05) == pytest.approx(2.5, rel=1e-15)


def test_the_scale_keeps_little() -> None:
    scale = TakerScale(300)
    for n in range(10_000):
        scale.update(10 * n, 0.1)
    assert len(scale._seconds) == len(scale._values) == len(scale._updates) < 100


def test_buckets_keep_their_span_only() -> None:
    buckets = Buckets(300)
    for end in range(10, 100_000, 10):
        buckets.add(end, 1.0, 2.0)
        buckets.add(end, 1.0, 0.0)
    assert len(buckets._ends) == 30
    assert buckets.after(99_990 - 300) == (60.0, 60.0)


def readings_of(indicators: SymbolIndicators, seconds: range) -> list[tuple[float | None, float | None]]:
    """Trades every second; imbalance and z of 1m at each tick."""
    out = []
    for second in seconds:
        item = at(second, traded("a", 3.0 + second % 7, 2.0))
        indicators.observe(item)
        if item.ts % 10_000 == 0:
            window = indicators.read(item.ts).windows[0]
            out.append((window.taker_imbalance, window.z_taker))
    return out


def test_back_filled_minutes_update_no_scale_of_taker_flow() -> None:
    indicators = SymbolIndicators("BTC")
    for minute in range(-200, 1):
        item = sample(T0 + minute * MINUTE, step_s=60, venues=(traded("a", 3.0, 2.0),))
        indicators.observe(item)
        reading = indicators.read(item.ts)
    assert reading.windows[0].taker_imbalance == pytest.approx(0.2)
    live = readings_of(indicators, range(1, 700))
    # sixty ticks, and the one a minute later sees them
    assert next(n for n, (_, z) in enumerate(live) if z is not None) == 59 + 6


def test_in_a_window_that_is_not_ready_there_is_no_z_but_the_scale_goes_on() -> None:
    made = SymbolIndicators("BTC")
    assert readings_of(made, range(1, 681))[-1][1] is not None
    made.observe(sample(T0 + 690 * SECOND, quorum=False, venues=(traded("a", 3.0, 2.0),)))
    reading = made.read(T0 + 690 * SECOND).windows[0]
    assert (reading.ready, reading.z_taker) == (False, None)
    assert reading.taker_imbalance is not None
    assert made._pressure._scales[0]._seconds[-1] == S0 + 690


def test_reanchor_closes_the_open_bucket() -> None:
    """At second 14 the bucket (10, 20] is open; the clock goes back by 3: what follows has buckets of its own."""
    made = fed(at(9, traded("a", 1.0, 0.0)), at(14, traded("a", 2.0, 0.0)))
    made.reanchor(-3, S0 + 14)
    other = Pressure()
    other.load(through_json(made.dump()))
    for one in (made, other):
        one.observe(at(12, traded("a", 4.0, 0.0)))  # samples of 14 are at 11 now
        assert one._taker["a"]._ends.tolist() == [S0 + 7, S0 + 11, S0 + 20]
        for second, buys in ((60, 7.0), (70, 6.0), (80, None)):
            now = at(second, venue("a"))
            assert one.taker(now, S0 + second, update=False)[0][0] == buys
    assert made.dump() == other.dump()


def test_all_of_it_resumes_and_shifts_with_the_indicators() -> None:
    one = SymbolIndicators("BTC")
    readings_of(one, range(1, 995))
    two = reloaded(one)
    assert readings_of(two, range(995, 1201)) == readings_of(one, range(995, 1201))
    assert one.dump() == two.dump()
    two.reanchor(-3_600_000)
    compared = 0
    for second in range(1201, 1301):
        for made, by in ((one, 0), (two, -3600)):
            made.observe(at(second + by, traded("a", 3.0 + second % 7, 2.0), liquidated("b", 0.0, 1.0)))
        if second % 10 == 0:
            a, b = one.read(T0 + second * SECOND), two.read(T0 + (second - 3600) * SECOND)
            assert a.windows == b.windows
            compared += a.windows[0].z_taker is not None
    assert compared == 10


def test_backfilled_until_for_thirty_days() -> None:
    indicators = SymbolIndicators("BTC")
    indicators.observe(sample(T0, step_s=60))
    assert indicators.read(T0).backfilled_until == T0
    for after, expected in ((30 * 86_400 - 10, T0), (30 * 86_400, None)):
        item = sample(T0 + after * SECOND)
        indicators.observe(item)
        assert indicators.read(item.ts).backfilled_until == expected
    cold = SymbolIndicators("BTC")
    cold.observe(sample(T0))
    assert cold.read(T0).backfilled_until is None
