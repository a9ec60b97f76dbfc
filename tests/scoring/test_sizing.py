"""Sizes: what a bot multiplies its own by, what the record earns, how far a stop lies."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.scoring.confidence import Factors
from service.scoring.direction import Side
from service.scoring.scorer import Scorer
from service.scoring.sizing import RiskFactors, risk_factors, risk_multiplier, size_fraction, stop_multiplier
from tests.scoring.factory import T0, consensus, level, level_score, no_data, readings, ticks

unit = st.floats(0, 1)


def test_size() -> None:
    assert size_fraction(0.6, 0.8, 0.5, True, "long") == pytest.approx(0.2 * 0.8 * 0.75)
    assert size_fraction(0.6, 0.8, 0.0, True, "short") == pytest.approx(0.2 * 0.8)


@pytest.mark.parametrize(
    ("p_hit", "fragility", "tradeable", "direction"),
    [
        (0.5, 0.5, True, "long"),
        (0.4, 0.5, True, "long"),
        (0.9, None, True, "long"),
        (0.9, 0.5, False, "long"),
        (0.9, 0.5, True, "neutral"),
        (0.9, 0.5, True, None),
    ],
)
def test_no_size(p_hit: float, fragility: float | None, tradeable: bool, direction: str | None) -> None:
    assert size_fraction(p_hit, 0.8, fragility, tradeable, direction) == 0.0


@given(unit, unit, unit)
def test_size_is_a_share(p_hit: float, confidence: float, fragility: float) -> None:
    assert 0 <= size_fraction(p_hit, confidence, fragility, True, "long") <= confidence


FINE = Factors(freshness=0.9, coverage=0.9, warmup=1.0, agreement=0.2, continuity=1.0)
USUAL = 0.2


def risk(factors: Factors = FINE, oi_5: float | None = USUAL, spiking: bool = False) -> RiskFactors:
    return risk_factors(factors, oi_5, USUAL, spiking)


def test_nothing_known_against_takes_nothing_off() -> None:
    """``agreement`` is of scores, not of data: it does not count."""
    assert risk() == risk(oi_5=None) == risk(oi_5=0.01) == (1.0, 1.0, 1.0)
    assert risk_multiplier(risk(), True) == 1.0


def test_not_tradeable_is_no_size() -> None:
    assert risk_multiplier(risk(), False) == 0.0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"oi_5": 0.4}, 0.5),  # twice as likely as ever: half the size carries as many falls as ever
        ({"oi_5": 0.25}, 0.8),
        ({"spiking": True}, 0.6),
        ({"oi_5": 0.4, "spiking": True}, 0.5),  # both rest on the rank: the stronger counts
        ({"oi_5": 0.25, "spiking": True}, 0.6),
        ({"factors": replace(FINE, freshness=0.5, coverage=1.0)}, 0.5),
        ({"factors": replace(FINE, freshness=0.5, coverage=1.0), "oi_5": 0.4}, 0.25),
        ({"factors": replace(FINE, freshness=0.3, coverage=1.0)}, 0.0),
        ({"factors": replace(FINE, freshness=0.0)}, 0.0),
    ],
)
def test_risk_by_hand(changes: dict[str, Any], expected: float) -> None:
    assert risk_multiplier(risk(**changes), True) == pytest.approx(expected)


@given(st.lists(unit, min_size=5, max_size=5), unit, unit, st.booleans(), st.integers(0, 4), unit)
def test_risk_is_monotone(values: list[float], oi_5: float, rate: float, spiking: bool, at: int, by: float) -> None:
    """Better data, a lower chance of a fall, no spike: never a smaller size. Always a share."""
    worse = Factors(*values)
    better = Factors(*[max(value, by) if number == at else value for number, value in enumerate(astuple(worse))])
    size = risk_multiplier(risk_factors(worse, oi_5, rate, spiking), True)
    assert 0 <= size <= 1
    assert risk_multiplier(risk_factors(better, oi_5, rate, spiking), True) >= size
    assert risk_multiplier(risk_factors(worse, oi_5 * by, rate, spiking), True) >= size
    assert risk_multiplier(risk_factors(worse, oi_5, rate, False), True) >= size


STRONG: tuple[Side, float] = ("long", 0.5)


@pytest.mark.parametrize(
    ("conflict", "momentum", "agreement", "count", "said", "expected"),
    [
        (True, "steady", 1.0, 3, STRONG, 1.5),
        (False, "decelerating", 1.0, 3, STRONG, 1.5),
        (False, "accelerating", 1.0, 3, STRONG, 0.8),
        (False, "steady", 1.0, 2, ("short", 0.9), 0.8),
        (False, "steady", 1.0, 2, ("short", 0.4999), 1.0),
        (False, "steady", 1.0, 2, ("long", None), 1.0),
        (False, "steady", 1.0, 3, ("neutral", 0.9), 1.0),  # was 0.8: a tight stop for no position at all
        (False, "steady", 1.0, 3, (None, 0.9), 1.0),
        (False, "steady", 1.0, 1, STRONG, 1.0),
        (False, "steady", 0.9999999999, 3, STRONG, 1.0),
        (False, "steady", 1.0, 0, STRONG, 1.0),
    ],
)
def test_stop(
    conflict: bool, momentum: str, agreement: float, count: int, said: tuple[Side | None, float | None], expected: float
) -> None:
    assert stop_multiplier(conflict, momentum, agreement, count, *said) == expected


def test_the_message_says_why() -> None:
    """A spike that stands, and a chance above the usual one, each shrink the size, and the factors say so."""
    of = Scorer("BTC", {"alpha": "alpha", "alpha_inverse": "alpha", "beta": "beta", "gamma": "gamma"}, None)
    month = level(z=3.5, percentile=0.97, horizon_h=720, n=40_000)
    now = replace(level_score(T0, 0.3, elr=month), volatility_24h=0.08)
    signal, alerts = of.score(now)
    assert [alert["alert"] for alert in alerts if alert["alert"] == "elr_spike"] == ["elr_spike"]
    assert signal["spike"] == {"since": T0}
    assert not signal["provisional"]
    sizing, chance = signal["sizing"], signal["p_deleveraging"]
    assert chance["oi_5"] > chance["base_rate"]
    assert sizing["risk_factors"]["deleveraging"] == pytest.approx(chance["base_rate"] / chance["oi_5"])
    assert sizing["risk_factors"]["spike"] == 0.6
    least = min(sizing["risk_factors"]["deleveraging"], 0.6)
    assert sizing["risk_multiplier"] == pytest.approx(sizing["risk_factors"]["data"] * least)
    lost, _ = of.score(readings(ticks(1), no_data(ticks(1)), elr=month))
    assert lost["sizing"]["risk_multiplier"] == 0.0
    assert lost["spike"] == {"since": T0}  # what cannot be known is neither raised nor cleared
    over, _ = of.score(replace(readings(ticks(2), consensus(ticks(2))), elr=replace(month, z=1.0)))
    assert over["spike"] is None


@pytest.mark.parametrize(("horizon_h", "n", "raised"), [(71, 4_260, False), (72, 2_159, False), (72, 2_160, True)])
def test_no_spike_on_less_than_three_days(horizon_h: int, n: int, raised: bool) -> None:
    """Cause: judged against 26 h, over three times as many hours were called a spike as against 30 days."""
    signal, _ = Scorer("BTC", {}, None).score(readings(elr=level(z=3.5, percentile=0.97, horizon_h=horizon_h, n=n)))
    assert (signal["spike"] is not None) is raised
    assert signal["provisional"]


@pytest.mark.parametrize(("horizon_h", "n", "young"), [(167, 10_000, True), (168, 5_039, True), (168, 5_040, False)])
def test_what_rests_on_less_than_a_week_is_provisional(horizon_h: int, n: int, young: bool) -> None:
    signal, _ = Scorer("BTC", {}, None).score(readings(elr=level(horizon_h=horizon_h, n=n)))
    assert signal["provisional"] is young
    variants = {item["variant"]: item["provisional"] for item in signal["elr"]}
    assert (variants["oi_reserve"], variants["oi_mcap"]) == (young, young)
    assert variants["funding_spend"] is False  # of BTC by absolute bands
    other, _ = Scorer("ETH", {}, None).score(readings(elr=level(horizon_h=horizon_h, n=n)))
    assert {item["variant"]: item["provisional"] for item in other["elr"]}["funding_spend"]  # ranked over a day
