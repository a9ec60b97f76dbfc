"""The checker's flush, falling and reset on cases computed by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from .consensus import Sample
from .flush import Flush, forced
from .history import DAY, MINUTE, Window
from .making import T0, S, sample
from .test_verdict import level, levels, verdict, window
from .verdict import blank_window

HIT = {"slow_z_oi": -3.0, "slow_z_return": 2.0}
CALM = {"oi_change": 0.0, "slow_z_oi": 0.0, "slow_z_return": 0.0}
LAST = {"1h": {"oi_change": -0.02, "slow_z_oi": -1.0}}  # the last hour is part of a fall over four


def windows(**given: dict[str, float]) -> dict[str, Window]:
    """``w1h``, ``w5m``: what they say; blank where nothing is given."""
    made = {"1h": blank_window("1h", 3600), "5m": blank_window("5m", 300)}
    return made | {name[1:]: window(name[1:], **values) for name, values in given.items()}


class Walk:
    """A flush taken from tick to tick; ``at``: seconds after T0."""

    def __init__(self) -> None:
        self.flush = Flush()

    def to(
        self,
        at: int,
        height: float,
        slow: tuple[float | None, float | None] = (None, None),
        liquidated: float = 0.0,
        quorum: bool = True,
        heard_at: int | None = None,
        **given: dict[str, float],
    ) -> tuple[int | None, bool | None, bool | None]:
        """(seconds after T0 since when a flush lasts, falling, within the hour). ``slow``: change_4h, volatility."""
        made = sample(T0 + at * S, ln_oi_index=height, quorum=quorum, liquidation_at=heard_at)
        shown = windows(**given if quorum else {})
        self.flush.of(made, shown, *slow, liquidated)
        now = self.flush.falling(made, shown)
        said = self.flush.said
        since = None if said is None else (said["since"] - T0) // S
        return since, now, self.flush.within_the_hour(made, shown)


# what fires


@pytest.mark.parametrize(
    ("slow", "given", "fires"),
    [
        ((None, None), {"w1h": HIT | {"oi_change": math.log(0.975)}}, ["1h"]),
        ((None, None), {"w1h": HIT | {"oi_change": math.log(0.976)}}, []),
        ((None, None), {"w5m": HIT | {"oi_change": math.log(0.98)}}, ["5m"]),
        ((None, None), {"w5m": HIT | {"oi_change": math.log(0.981)}}, []),
        ((None, None), {"w1h": HIT | {"oi_change": -0.1, "slow_z_oi": -2.9}}, []),
        ((None, None), {"w1h": HIT | {"oi_change": -0.1, "slow_z_return": -1.9}}, []),
        ((math.log(0.94), 0.025), {"w1h": LAST["1h"]}, ["4h"]),
        ((math.log(0.94), 0.025), {"w1h": HIT | {"oi_change": -0.03}}, ["1h", "4h"]),
        ((math.log(0.941), 0.025), {"w1h": LAST["1h"]}, []),
        ((math.log(0.94), 0.0249), {"w1h": LAST["1h"]}, []),
        ((math.log(0.94), None), {"w1h": LAST["1h"]}, []),
        ((None, 0.025), {"w1h": LAST["1h"]}, []),
        ((math.log(0.94), 0.025), {"w1h": {"oi_change": -0.02, "slow_z_oi": -0.9}}, []),
        ((math.log(0.94), 0.025), {"w5m": {"oi_change": -0.02, "slow_z_oi": -1.0}}, []),
    ],
)
def test_what_fires(slow: tuple[float | None, float | None], given: dict[str, dict[str, float]], fires: Any) -> None:
    assert list(Flush().fired(sample(T0), windows(**given), *slow)) == fires
    assert Flush().fired(sample(T0, quorum=False), windows(**given), *slow) == {}


# how long it lasts


def test_the_peak_is_the_higher_of_those_that_fired_at_the_first_tick() -> None:
    walk = Walk()
    given: dict[str, Any] = {"w1h": HIT | {"oi_change": -0.05}, "w5m": HIT | {"oi_change": -0.04}}
    walk.to(0, -0.10, (-0.08, 0.03), **given)
    assert walk.flush.peak == pytest.approx(-0.02)
    walk.to(10, -0.10, (-0.09, 0.03), **given)
    assert walk.flush.peak == pytest.approx(-0.02)


def test_it_ends_900_seconds_after_it_last_fired_and_the_lows_of_the_pause_count() -> None:
    walk = Walk()
    assert walk.to(0, 0.95, w1h=HIT | {"oi_change": -0.05})[0] == 0  # the peak is at 1.0
    assert walk.to(890, 0.94)[0] == 0
    assert walk.to(900, 0.94, w1h=HIT | {"oi_change": -0.06})[0] == 0
    assert walk.to(1_000, 0.92)[0] == 0
    assert walk.to(1_790, 0.93, quorum=False)[0] == 0
    assert walk.to(1_800, 0.90)[0] is None  # the low of the tick at which it ends is none of it
    assert walk.flush.reset == {"regain": pytest.approx(0.96), "ended": T0 + 1_800 * S}
    walk.to(1_810, 0.9599)
    assert walk.flush.reset is not None
    walk.to(1_820, 0.9601)
    assert walk.flush.reset is None


def test_a_flush_ends_without_quorum_too_and_another_takes_the_reset_away() -> None:
    walk = Walk()
    walk.to(0, 0.95, w1h=HIT | {"oi_change": -0.05})
    assert [walk.to(at, 0.95, quorum=False)[0] for at in (890, 900)] == [0, None]
    assert walk.flush.reset is not None
    assert walk.to(910, 0.95, w1h=HIT | {"oi_change": -0.05})[0] == 910
    assert walk.flush.reset is None


def test_a_reset_lasts_72_hours() -> None:
    walk = Walk()
    walk.to(0, 0.95, w1h=HIT | {"oi_change": -0.05})
    for at, lasts in ((900, True), (900 + 72 * 3_600, True), (900 + 72 * 3_600 + 10, False)):
        walk.to(at, 0.95)
        assert (walk.flush.reset is not None) is lasts


def test_what_stands_without_quorum_is_no_regime_then() -> None:
    made = verdict()
    made.flush.reset = {"regain": 0.0, "ended": T0}
    assert made._regime(False, levels(), None) == "reset"
    assert made._regime(True, levels(elr=level(0.0, 0.9)), None) == "flush"


# falling now, and within the hour


def test_falling_needs_a_flush_a_fall_and_a_low_of_the_last_five_minutes() -> None:
    walk = Walk()
    hour, lower = HIT | {"oi_change": -0.05}, {"oi_change": -0.01, "slow_z_oi": -1.0}
    assert walk.to(0, 0.95, w1h=CALM, w5m=lower) == (None, False, False)  # none lasts
    assert walk.to(10, 0.95, w1h=hour, w5m=lower) == (10, True, True)
    assert walk.to(20, 0.95, w1h=hour, w5m={"oi_change": -0.01, "slow_z_oi": -0.99}) == (10, False, True)
    assert walk.to(300, 0.95, w1h=hour, w5m=lower) == (10, True, True)
    assert walk.to(310, 0.95, w1h=hour, w5m=lower) == (10, False, True)  # an equal one is no new low
    assert walk.to(320, 0.9499, w1h=hour, w5m=lower) == (10, True, True)
    assert walk.to(330, 0.95, w1h=hour, quorum=False) == (10, None, True)
    assert walk.to(620, 0.95, w1h=hour, w5m=lower) == (10, False, True)
    assert walk.to(630, 0.95, w1h=hour) == (10, True, True)  # of the hour, where five minutes are not known
    assert walk.to(640, 0.95) == (10, None, True)
    assert walk.to(1_530, 0.95, w1h=CALM, w5m=CALM) == (None, False, True)
    assert walk.to(1_540, 0.95, w1h=hour, w5m=lower) == (1_540, True, True)  # another one, its first low is its own


def test_within_the_hour_ends_after_3600_seconds() -> None:
    walk = Walk()
    fall = {"oi_change": -0.02, "slow_z_oi": -3.0, "slow_z_return": 0.0}
    walk.to(0, 0.95, w1h=HIT | {"oi_change": -0.05}, w5m=fall)
    said = [walk.to(at, 0.95, w1h=CALM, w5m=CALM)[2] for at in (3_590, 3_600)]
    assert said == [True, False]
    assert walk.to(3_610, 0.95, w5m=CALM) == (None, False, None)
    assert walk.to(3_620, 0.95, quorum=False) == (None, None, None)


# forced


def fallen(heard_at: int | None) -> Sample:
    return sample(T0, oi_coins=90.0, liquidation_at=heard_at)


def test_a_tenth_of_what_fell_must_have_been_liquidated() -> None:
    fall = math.log(0.9)  # 100 coins became 90
    assert forced(fallen(None), fall, 1.0, T0) is True
    assert forced(fallen(T0), fall, 0.999, T0) is False
    assert forced(fallen(T0 - DAY), fall, 0.0, T0) is False
    assert forced(fallen(T0 - DAY - 1), fall, 0.0, T0) is None
    assert forced(fallen(None), fall, 0.0, T0) is None


def test_forced_stays_for_the_flush_and_the_larger_fall_counts() -> None:
    walk = Walk()

    def said(at: int, liquidated: float, given: dict[str, Any]) -> Any:
        walk.to(at, 0.0, liquidated=liquidated, heard_at=T0 - DAY + 5 * MINUTE, **given)
        assert walk.flush.said is not None
        return walk.flush.said["forced"]

    both = {"w1h": HIT | {"oi_change": math.log(0.97)}, "w5m": HIT | {"oi_change": math.log(0.9)}}
    # of 10 coins now, the smaller fall alone would ask for 0.03, the larger for 0.11
    assert said(0, 0.11, both) is False
    assert said(310, 0.0, {}) is False  # in a pause it stands; that nothing is heard any more shows when it fires
    assert said(320, 0.0, both) is None
    assert said(330, 0.12, both) is True
    assert said(340, 0.0, both) is True
    walk.to(1_240, 0.0)
    assert said(1_250, 0.0, both) is None  # of another one


def test_of_a_fall_over_four_hours_the_last_hour_is_what_liquidations_explain() -> None:
    walk = Walk()
    for at, liquidated, expected in ((0, 0.02, None), (10, 0.021, True)):  # 2 % of 10 coins: a tenth is 0.0202
        walk.to(at, 0.0, (-0.08, 0.03), liquidated=liquidated, w1h=LAST["1h"])
        assert walk.flush.said == {"since": T0, "forced": expected}
