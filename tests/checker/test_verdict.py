"""The checker's components, composite, states and comparison on cases computed by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from service.model import Denominator

from .alerts import Alerts, Often
from .bases import Bases, Days
from .components import (
    Direction,
    Strength,
    agreement,
    component,
    divergence,
    funding,
    gate,
    kind_mean,
    opposite_windows,
    positioning,
    premium,
    ten_digits,
    weighted_mean,
    window_score,
)
from .history import DAY, HOUR, MINUTE, History, Level, Window
from .leverage import banded, elr_entries, percentile_band
from .making import T0, S, sample
from .numbers import Either, Loose, OneOf, compare
from .verdict import Verdict, blank_window, risk_of, stop_of

NO_LEVEL = Level(None, None, None, 0, 0)
NAMES = ("elr", "funding", "funding_abs", "premium", "spread", "volatility", "spend")


def window(name: str, **values: float | None) -> Window:
    made = blank_window(name, {"1m": 60, "5m": 300, "1h": 3600}[name])
    made.ready = True
    for key, value in values.items():
        setattr(made, key, value)
    return made


def levels(**given: Level) -> dict[str, Level]:
    return dict.fromkeys(NAMES, NO_LEVEL) | given


def level(z: float | None = None, percentile: float | None = None) -> Level:
    return Level(0.0, z, percentile, 100, 2)


def verdict() -> Verdict:
    return Verdict("ETH", {"a": "A", "b": "B"}, None)


# components


def test_positioning() -> None:
    up = positioning(window("1m", z_return=2.0, z_oi=-1.0))
    assert up["score"] == pytest.approx(math.tanh(1) * math.tanh(0.5) * 0.5)
    assert up["quadrant"] == "short_covering"
    assert positioning(window("1m", z_return=-2.0, z_oi=1.0))["quadrant"] == "short_build_up"
    assert positioning(window("1m", z_return=0.0, z_oi=1.0))["quadrant"] is None
    assert positioning(window("1m", z_return=0.0, z_oi=1.0))["score"] == 0.0
    assert positioning(window("1m", z_return=1.0, z_oi=None))["score"] is None


def test_funding_has_a_dead_zone_and_fades_the_crowd() -> None:
    assert funding(1.0)["score"] == 0.0
    assert funding(3.0)["score"] == pytest.approx(-math.tanh(1.0))
    assert funding(-3.0)["score"] == pytest.approx(math.tanh(1.0))
    assert funding(None)["score"] is None


def test_premium_follows_and_divergence_fades_the_outlier() -> None:
    assert premium(2.0)["score"] == pytest.approx(math.tanh(1.0))
    assert divergence(2.0, 1)["score"] == pytest.approx(-math.tanh(1.0) / 2)
    assert divergence(2.0, -1)["score"] == pytest.approx(math.tanh(1.0) / 2)
    assert divergence(-2.0, 1)["score"] == 0.0


def test_the_gate() -> None:
    assert gate(None) == 0.5
    assert gate(math.log(3)) == pytest.approx(0.75)
    assert gate(-math.log(3)) == pytest.approx(0.25)
    assert gate(-900.0) == pytest.approx(0.0)  # the plain formula would overflow


def test_window_score() -> None:
    parts = [component("x", "trend", 0.4, {}), component("y", "trend", 0.2, {}), component("z", "contrarian", -0.5, {})]
    assert kind_mean(parts, "trend") == pytest.approx(0.3)
    assert window_score(0.3, -0.5, 0.25) == pytest.approx(0.3 * 0.75 - 0.5 * 0.25)
    assert window_score(None, -0.5, 0.25) == -0.5
    assert window_score(0.3, None, 0.25) == 0.3
    assert window_score(None, None, 0.25) is None


# strength, agreement, conflict, direction


def test_strength_ranks_among_earlier_ticks_and_a_minute_counts_six() -> None:
    strength = Strength()
    for i in range(60):
        assert strength.of(T0 + i * MINUTE, 0.01 * i, True) is None
    # 60 minutes are 360 ticks; 0.295 is above the 30 values 0.00 .. 0.29
    got = strength.of(T0 + 60 * MINUTE, -0.295, False)
    assert got == pytest.approx(0.5)
    # ln of the bins: sqrt(0.295) * 512 = 278.09, neighbours 0.29 -> 275.7, 0.30 -> 280.4: alone in its bin
    assert got is not None
    assert got.slack == 0.0
    assert strength.of(T0 + 61 * MINUTE, None, False) is None
    # a day after T0 the first minute has left, the tick of 0.295 is still there: (360 - 6) + 1, at most 0.59
    assert strength.of(T0 + 24 * HOUR, 0.6, False) is None


def test_agreement() -> None:
    # 0.2*0.5 - 0.3*0.5 + 0.5*0.1 = 0.0; abs sum 0.3
    assert agreement({"1m": 0.5, "5m": -0.5, "1h": 0.1}) == pytest.approx(0.0)
    assert agreement({"1m": 0.5, "5m": None, "1h": -0.1}) == pytest.approx(0.05 / 0.15)
    assert agreement({"1m": 0.5, "5m": None, "1h": None}) == 1.0
    assert agreement({"1m": 0.0, "5m": 0.0, "1h": None}) == 1.0


def test_composite_is_renormalised() -> None:
    assert weighted_mean({"1m": 0.5, "5m": None, "1h": -0.1}, {"1m": 0.2, "5m": 0.3, "1h": 0.5}) == pytest.approx(
        0.05 / 0.7
    )
    assert weighted_mean({"1m": None}, {"1m": 0.2}) is None


def test_opposite_windows() -> None:
    scores: dict[str, float | None] = {"1m": 0.2, "5m": 0.01, "1h": -0.16}
    assert opposite_windows(scores, 0.15) == ["1m", "1h"]
    assert opposite_windows({"1m": 0.2, "5m": None, "1h": -0.12}, 0.15) == []
    assert opposite_windows({"1m": 0.2, "5m": 0.3, "1h": 0.9}, 0.10) == []


def test_direction_enters_at_015_and_leaves_below_010() -> None:
    direction = Direction()
    said = [direction.of(score) for score in (0.149, 0.15, 0.10, 0.099, 0.12, -0.15, -0.10, 0.12, -0.2, None, -0.12)]
    assert said == [
        *("neutral", "long", "long", "neutral", "neutral", "short"),
        *("short", "neutral", "short", "neutral", "neutral"),
    ]
    assert direction.of(0.9, neutral=True) == "neutral"
    assert direction.of(0.12) == "neutral"


def test_ten_digits() -> None:
    assert ten_digits(0.123456789012345) == 0.123456789


# states of the verdict


def test_transition_needs_two_known_directions() -> None:
    made = verdict()
    assert made._direction(0.2, False, False) == ("long", None)
    assert made._direction(-0.2, False, False) == ("short", {"from": "long", "to": "short"})
    assert made._direction(None, True, True) == (None, None)
    assert made._direction(0.2, True, False) == ("neutral", None)
    assert made._direction(0.2, False, False) == ("long", {"from": "neutral", "to": "long"})


def test_momentum_needs_three_rises_and_a_null_restarts() -> None:
    made = verdict()
    said = [made._momentum(x) for x in (0.1, -0.2, 0.3, -0.4, -0.4, 0.3, 0.2, 0.1, None, 0.2, 0.3, 0.4)]
    assert [i for i, word in enumerate(said) if word == "accelerating"] == [3]
    assert [i for i, word in enumerate(said) if word == "decelerating"] == [7]


@pytest.mark.parametrize(
    ("percentile", "z", "change", "regime"),
    [
        (0.8, 2.0, None, "crowded_longs"),
        (0.8, -2.0, None, "crowded_shorts"),
        (0.8, 1.9, 0.5, "loaded"),
        (0.79, 3.0, math.log(1.0301), "building"),
        (0.79, 3.0, math.log(1.0299), "calm"),
        (None, 3.0, 0.5, None),
    ],
)
def test_regimes(percentile: float | None, z: float, change: float | None, regime: str | None) -> None:
    assert verdict()._regime(False, levels(elr=level(0.0, percentile), funding=level(z)), change) == regime


def test_an_outcome_at_a_time() -> None:
    made = verdict()
    assert made._outcome(T0, 100.0, 0.2, "long", False) == 0.5
    assert made._outcome(T0 + 10 * S, 100.0, -0.2, "short", False) == 0.5  # one is pending
    assert made._outcome(T0 + HOUR - 1, 101.0, 0.2, "long", False) == 0.5
    assert made._outcome(T0 + HOUR, None, None, None, False) == 0.5
    # 1 of 1 hit: 0.5 + 1/401 * 0.5; the next is taken at once, short at 101
    assert made._outcome(T0 + HOUR + 10 * S, 101.0, -0.3, "short", False) == pytest.approx(0.5 + 0.5 / 401)
    # unmoved: not counted
    assert made._outcome(T0 + 2 * HOUR + 10 * S, 101.0, 0.1, "neutral", False) == pytest.approx(0.5 + 0.5 / 401)
    assert made.pending is None
    assert made._outcome(T0 + 3 * HOUR, 101.0, -0.3, "short", True) == pytest.approx(0.5 + 0.5 / 401)
    assert made.pending is None  # a back-filled tick counts for nothing


def test_modes_change_on_their_grids_only() -> None:
    made, history = verdict(), History()

    def modes(ts: int, **scores: float | None) -> None:
        history.observe(sample(ts))
        made._modes(ts, {"1m": None, "5m": None, "1h": None} | scores, False, history)

    modes(T0 + 30 * S, **{"1m": 0.5, "1h": 0.1})
    scalp = made.modes["scalp"]
    assert (scalp["bias"], scalp["score"], scalp["as_of"]) == ("long", 0.5, T0 + 30 * S)  # nothing above 5m
    assert scalp["windows"] == {"1m": {"weight": 2 / 3, "score": 0.5}, "5m": {"weight": 1 / 3, "score": None}}
    assert made.modes["day"]["as_of"] is None
    modes(T0 + 40 * S, **{"1m": -0.5, "1h": 0.1})
    assert made.modes["scalp"]["bias"] == "long"
    modes(T0 + 300 * S, **{"1m": -0.5, "5m": 0.2, "1h": -0.1})
    assert made.modes["day"]["score"] == pytest.approx(-0.5 * 0.2 + 0.2 * 0.5 - 0.1 * 0.3)
    assert made.modes["swing"]["score"] == pytest.approx(-0.1)  # of 4 h and 24 h nothing is known
    assert made.modes["swing"]["windows"]["4h"]["return"] is None


# leverage


def entries(denominator: Denominator | None, **changes: Any) -> list[dict[str, Any]]:
    made = sample(
        T0,
        fresh_oi={"a": 30.0, "b": 10.0},
        last_oi={"a": 30.0, "b": 10.0, "c": 20.0},
        rates={"a": 1e-4, "b": -2e-4},
        funding_spend=1e-3,
        oi_coins=40.0,
        **changes,
    )
    exchanges = {"a": "A", "b": "B", "c": "A"}
    given = levels(elr=level(1.0, 0.9), spend=level(2.0, 0.3))
    changes = {"1h": 0.01, "4h": None, "24h": 0.02, "7d": None}
    return elr_entries("ETH", Bases(denominator), Days(), Days(), exchanges, made, given, changes, None, None, T0)


def test_reserves_split_by_exchange() -> None:
    reserve, mcap, spend = entries(Denominator("ETH", 4000.0, (("A", 100.0), ("Z", 50.0)), T0, "s", "l"))
    assert reserve["value"] == pytest.approx(30 / 150)  # b's exchange has no reserve; Z's coins stay in the base
    assert reserve["by_venue"] == {"a": pytest.approx(0.3)}
    assert reserve["scope"] == {
        "numerator": ["a"],
        "denominator": ["A", "Z"],
        "coverage": pytest.approx(30 / 50),
        "match": False,
    }
    assert (reserve["band"], reserve["change_1h"], reserve["reason"]) == ("high", 0.01, None)
    assert mcap["value"] == pytest.approx(1.0)
    assert spend["value"] == 1e-3
    assert spend["by_venue"] == {"a": pytest.approx(3e-3), "b": pytest.approx(-2e-3)}
    assert spend["band"] == "low"


def test_a_reserve_that_cannot_be_split_takes_all_venues() -> None:
    reserve = entries(Denominator("ETH", None, (("all", 100.0),), T0 - 36 * HOUR - 1, "s", "l"))[0]
    assert (reserve["value"], reserve["by_venue"]) == (pytest.approx(0.4), {})
    assert (reserve["stale"], reserve["reason"]) == (True, "stale_base")


def test_undefined_leverage_says_why() -> None:
    reserve, mcap, _ = entries(None)
    assert (reserve["value"], reserve["reason"], reserve["z"]) == (None, "no_denominator", 1.0)
    assert (mcap["value"], mcap["reason"]) == (None, "no_denominator")
    reserve = entries(Denominator("ETH", None, (("Z", 50.0),), T0, "s", "l"))[0]
    assert (reserve["value"], reserve["reason"]) == (None, "no_venue_in_scope")


def test_bands() -> None:
    assert [percentile_band(p) for p in (0.49, 0.5, 0.8, 0.95, None)] == ["low", "moderate", "high", "extreme", None]
    assert banded(10.0, ((10.0, "low"), (25.0, "moderate"))) == "moderate"
    loose = percentile_band(Loose(0.79, 0.02))
    assert isinstance(loose, Either)
    assert loose.allowed == ("moderate", "high")


# alerts


def test_alerts() -> None:
    alerts = Alerts("BTC")

    def say(at: int, status: str = "ok", conflict: bool = False, regime: str = "calm", z: float = 0.0) -> list[str]:
        given = levels(elr=Level(0.0, z, 0.99, 2_160, 72), spread=level(0.0))
        made = alerts.of(T0 + at * S, status, given, False, regime, conflict, None, emit=True)
        return [f"{alert['alert']}:{alert['state']}" for alert in made]

    assert say(0, conflict=True, regime="crowded_longs") == ["crowding:raised"]
    assert say(280, conflict=True, regime="crowded_longs") == []
    assert say(290, conflict=True, regime="crowded_shorts") == ["crowding:cleared", "crowding:raised"]
    assert say(300, "warming", conflict=True, regime="calm") == []
    assert say(310, conflict=True) == ["crowding:cleared", "conflict:raised"]
    assert say(320) == ["conflict:cleared"]
    assert [say(at, "no_data") for at in (330, 340, 350, 360)] == [[], [], [], ["no_data:raised"]]
    assert say(370, z=3.0) == ["elr_spike:raised", "no_data:cleared"]
    assert say(380, z=2.0) == []
    assert say(390, z=1.9) == ["elr_spike:cleared"]
    assert say(370 + 6 * 3600 - 10, z=3.0) == []
    assert say(370 + 6 * 3600, z=3.0) == ["elr_spike:raised"]


def fading(
    alerts: Alerts,
    at: int,
    direction: str | None,
    score: float | None,
    momentum: str = "decelerating",
    status: str = "ok",
    emit: bool = True,
) -> list[str]:
    given = levels(elr=level(0.0, 0.5), spread=level(0.0))
    made = alerts.of(T0 + at * S, status, given, False, "calm", False, None, emit, None, direction, score, momentum)
    return [alert["state"] for alert in made if alert["alert"] == "fading"]


def test_fading_is_of_the_largest_score_since_the_direction_began() -> None:
    alerts = Alerts("BTC")
    assert fading(alerts, 0, "neutral", 0.9) == []  # no direction: 0.9 is not its largest
    assert fading(alerts, 10, "long", 0.9, emit=False) == []  # nor is what no live tick said
    assert fading(alerts, 20, "long", 0.5, momentum="accelerating") == []
    assert fading(alerts, 30, "long", 0.375, momentum="steady") == []  # 0.75 of it, but it does not fall on
    assert fading(alerts, 40, "long", 0.376) == []
    assert fading(alerts, 50, "long", 0.375) == ["raised"]
    assert fading(alerts, 60, "long", 0.3) == []
    assert fading(alerts, 70, "long", 0.449) == []
    assert fading(alerts, 80, "long", 0.45, momentum="steady") == ["cleared"]  # 0.90 of it
    assert fading(alerts, 90, "long", 0.37) == ["raised"]
    assert fading(alerts, 100, "short", -0.16) == ["cleared"]  # a side that begins has nothing to fade from
    assert fading(alerts, 110, "short", -0.12) == ["raised"]
    assert fading(alerts, 120, None, None, status="no_data") == []
    assert fading(alerts, 130, "neutral", 0.05) == ["cleared"]


def test_a_reset_is_up_as_long_as_its_regime() -> None:
    alerts = Alerts("BTC")

    def say(at: int, regime: str | None, status: str = "ok") -> list[str]:
        given = levels(elr=level(0.0, 0.5), spread=level(0.0))
        made = alerts.of(T0 + at * S, status, given, regime == "flush", regime, False, None, emit=True)
        return [f"{alert['alert']}:{alert['state']}" for alert in made]

    assert say(0, "flush") == ["flush:raised"]
    assert say(10, "reset") == ["flush:cleared", "reset:raised"]
    assert say(20, None, "no_data") == []
    assert say(30, "reset") == []
    assert say(40, "flush") == ["flush:raised", "reset:cleared"]


def test_how_often_an_alert_comes() -> None:
    often = Often()
    for tick in range(8_639):
        often.tick(T0 + tick * 10 * S)
    often.raised = [(T0, "flush"), (T0 + 10 * S, "flush"), (T0, "reset")]
    last = T0 + 8_639 * 10 * S
    assert often.per_day(last, "flush") is None  # a tick short of a day
    often.tick(last)
    assert (often.per_day(last, "flush"), often.per_day(last, "conflict")) == (2.0, 0.0)
    # T0 is at noon, so half of the ticks are of its day, which counts for seven days after it and no longer
    begin = T0 - T0 % DAY + 7 * DAY
    for tick in range(8_640):
        often.tick(begin + tick * 10 * S)
    assert often.per_day(begin + DAY - 10 * S, "flush") == 2 * 8_640 / 17_280
    assert often.per_day(begin + DAY, "flush") == 0.0
    often.raised.append((begin + DAY, "flush"))
    assert often.per_day(begin + DAY, "flush") == 0.0  # the one that is raised is not one before it


def test_what_an_alert_says_of_its_rank_and_whether_it_lasts() -> None:
    def of(n: int, horizon_h: int) -> dict[str, Any]:
        given = levels(elr=Level(0.0, 3.0, 0.99, n, horizon_h), spread=level(0.0))
        made = Alerts("BTC").of(T0, "ok", given, False, "calm", False, {"from": "neutral", "to": "long"}, emit=True)
        return {alert["alert"]: (alert["lasts"], alert.get("provisional")) for alert in made}

    assert of(5_040, 168) == {"elr_spike": (True, False), "transition": (False, None)}
    assert of(5_039, 168) == of(5_040, 167) == {"elr_spike": (True, True), "transition": (False, None)}


# sizes


def test_the_risk_multiplier() -> None:
    def of(likely: float | None, spiking: bool = False, tradeable: bool = True, **given: float) -> list[float]:
        factors = dict.fromkeys(("freshness", "coverage", "warmup", "continuity"), 1.0) | {"agreement": 0.0} | given
        made = risk_of(factors, {"oi_5": likely, "base_rate": 0.1}, spiking, tradeable)
        parts = made["risk_factors"]
        return [made["risk_multiplier"], parts["data"], parts["deleveraging"], parts["spike"]]

    assert of(None) == [1.0, 1.0, 1.0, 1.0]  # nothing is known against it; agreement is no quality of data
    assert of(0.05) == [1.0, 1.0, 1.0, 1.0]  # less likely than usual: no more than 1
    assert of(0.2) == pytest.approx([0.5, 1.0, 0.5, 1.0])
    assert of(0.2, spiking=True) == pytest.approx([0.5, 1.0, 0.5, 0.6])  # the smaller, not the product
    assert of(0.11, spiking=True) == pytest.approx([0.6, 1.0, 0.1 / 0.11, 0.6])
    # 0.9 * 0.8 * 0.7 = 0.504, and (0.504 - 0.3) / 0.4 = 0.51
    assert of(0.2, freshness=0.9, coverage=0.8, warmup=0.7) == pytest.approx([0.255, 0.51, 0.5, 1.0])
    assert of(None, coverage=0.7) == pytest.approx([1.0, 1.0, 1.0, 1.0])
    assert of(None, continuity=0.5, freshness=0.6) == [0.0, 0.0, 1.0, 1.0]
    assert of(0.2, spiking=True, tradeable=False) == pytest.approx([0.0, 1.0, 0.5, 0.6])


def test_a_stop_is_tight_from_a_strength_of_one_half_on() -> None:
    assert [stop_of(strength) for strength in (None, 0.499, 0.5, Loose(0.49, 0.001))] == [1.0, 1.0, 0.8, 1.0]
    open_ = stop_of(Loose(0.4995, 0.0006))
    assert isinstance(open_, OneOf)
    assert (open_, open_.allowed) == (1.0, (0.8, 1.0))


def test_a_chance_of_a_binned_rank_is_as_loose_in_the_multiplier() -> None:
    factors = dict.fromkeys(("freshness", "coverage", "warmup", "continuity"), 1.0)
    made = risk_of(factors, {"oi_5": Loose(0.2, 0.05), "base_rate": 0.1}, False, True)
    assert made["risk_multiplier"] == pytest.approx(0.5)
    assert made["risk_multiplier"].slack == pytest.approx(0.1 / 0.15 - 0.5)


# comparison


def test_compare_names_every_differing_path() -> None:
    expected = {"a": 1.0, "b": {"c": [1, 2.0]}, "d": None, "e": True, "reasons": ["x", "y"]}
    assert compare(expected, {"a": 1.0 + 1e-10, "b": {"c": [1, 2]}, "d": None, "e": True, "reasons": ["y", "x"]}) == []
    lines = compare(expected, {"a": 1.0 + 1e-8, "b": {"c": [1, 3.0]}, "d": 0, "e": 1, "reasons": ["x"]})
    assert [line.split(":")[0] for line in lines] == [".a", ".b.c[1]", ".d", ".e", ".reasons"]


def test_compare_sees_missing_extra_and_reordered_keys() -> None:
    assert compare({"a": 1}, {"b": 1}) == [".a: missing", ".b: not expected, got 1"]
    assert len(compare({"a": 1, "b": 2}, {"b": 2, "a": 1})) == 1


def test_compare_allows_what_is_loose_and_no_more() -> None:
    assert compare({"s": Loose(0.5, 0.01)}, {"s": 0.509}) == []
    assert len(compare({"s": Loose(0.5, 0.01)}, {"s": 0.511})) == 1
    assert compare(Either("low", ("low", "moderate")), "moderate") == []
    assert len(compare(Either("low", ("low", "moderate")), "high")) == 1
    assert [len(compare(OneOf(1.0, (0.8, 1.0)), said)) for said in (0.8, 1.0, 0.9)] == [0, 0, 1]
