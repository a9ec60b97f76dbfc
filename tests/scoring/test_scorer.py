"""The whole of scoring on hand-made readings: the message's shape, its invariants, walks over time, state."""

from __future__ import annotations

import json
from dataclasses import replace
from math import isfinite, log
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.model import Readings, TrackRecord, WindowReading
from service.scoring import Scorer
from tests.scoring.factory import (
    EXCHANGES,
    HOUR_MS,
    SECONDS,
    T0,
    TICK_MS,
    VENUES,
    base,
    consensus,
    forced,
    gone,
    level,
    level_score,
    no_data,
    readings,
    reporting,
    scored,
    taken,
    ticks,
    unready,
)

BODY = [
    "symbol", "ts", "as_of", "ttl_ms", "status", "reasons", "abstain", "tradeable", "score", "strength", "confidence",
    "direction", "transition", "momentum", "conflict", "conflict_windows", "regime", "fragility",
    "fragility_horizon_h", "windows", "elr", "market", "confidence_factors", "p_hit", "modes", "sizing",
    "weights_version",
]  # fmt: skip
ADDED = [
    "gate", "p_hit_n", "excluded", "flush", "long_short", "backfilled_until", "volatility_24h", "fragility_2",
    "p_deleveraging", "flush_falling", "flushed_1h", "provisional", "spike", "month", "oi_change",
]  # fmt: skip
WINDOW = ["ready", "score", "strength", "confidence", "direction", "return", "oi_change", "components"]
MARKET = [
    "price", "index", "premium", "funding_8h", "oi_coins", "oi_usd", "oi_coverage", "venues_fresh", "venues_total",
]  # fmt: skip
FACTORS = ["freshness", "coverage", "warmup", "agreement", "continuity"]


def scorer() -> Scorer:
    return Scorer("BTC", EXCHANGES, base())


def body(of: Scorer, now: Readings, backfill: bool = False) -> dict[str, Any]:
    return of.score(now, backfill)[0]


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [x for item in value.values() for x in numbers(item)]
    if isinstance(value, list):
        return [x for item in value for x in numbers(item)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def check(signal: dict[str, Any]) -> None:
    """What every body promises, whatever the market."""
    assert list(signal) == BODY + ADDED
    assert list(signal["windows"]) == ["1m", "5m", "1h"]
    for window in signal["windows"].values():
        assert list(window)[: len(WINDOW)] == WINDOW
        assert all(list(part)[:5] == ["id", "score", "weight", "z", "quadrant"] for part in window["components"])
        assert window["ready"] or [window[name] for name in ("score", "strength", "return", "oi_change")] == [None] * 4
    assert list(signal["market"]) == MARKET
    assert list(signal["confidence_factors"]) == FACTORS
    assert list(signal["modes"]) == ["scalp", "day", "swing"]
    assert list(signal["sizing"]) == ["size_fraction", "stop_multiplier", "risk_multiplier", "risk_factors"]
    assert 0 <= signal["sizing"]["risk_multiplier"] <= 1
    assert signal["tradeable"] or signal["sizing"]["risk_multiplier"] == 0.0
    json.dumps(signal, allow_nan=False)
    assert all(isfinite(number) for number in numbers(signal))
    parts = [signal, *signal["windows"].values()]
    for part in parts:
        assert part["score"] is None or -1 <= part["score"] <= 1
        assert part["strength"] is None or 0 <= part["strength"] <= 1
        assert 0 <= part["confidence"] <= 1
    product = 1.0
    for factor in signal["confidence_factors"].values():
        assert factor == float(f"{factor:.10g}")
        assert 0 <= factor <= 1
        product *= factor
    assert abs(signal["confidence"] - product) <= 1e-12
    assert 0 <= signal["sizing"]["size_fraction"] <= 1
    assert signal["tradeable"] == (signal["status"] == "ok" and not signal["abstain"] and not signal["conflict"])
    assert signal["conflict"] == (len(signal["conflict_windows"]) >= 2)
    assert (signal["direction"] is None) == (signal["status"] == "no_data")
    if signal["abstain"]:
        assert signal["direction"] in (None, "neutral")
        assert signal["reasons"]
    if signal["score"] is None:
        assert signal["abstain"]


def test_an_ordinary_tick() -> None:
    signal = body(scorer(), readings())
    check(signal)
    windows = signal["windows"]
    assert (signal["symbol"], signal["ts"], signal["as_of"], signal["ttl_ms"]) == ("BTC", T0, T0 - 7_000, 30_000)
    assert (signal["status"], signal["reasons"], signal["abstain"]) == ("ok", [], False)
    composite = 0.2 * windows["1m"]["score"] + 0.3 * windows["5m"]["score"] + 0.5 * windows["1h"]["score"]
    assert signal["score"] == pytest.approx(composite, rel=1e-14)
    assert signal["confidence_factors"] == {
        "freshness": 0.9, "coverage": 0.98, "warmup": 1.0, "agreement": 1.0, "continuity": 0.99,
    }  # fmt: skip
    assert windows["5m"]["confidence"] == 0.9 * 0.98 * 0.99
    assert (signal["regime"], signal["momentum"], signal["transition"]) == ("calm", "steady", None)
    assert (signal["p_hit"], signal["p_hit_n"], signal["weights_version"]) == (0.5, 0, "static-1")
    assert signal["strength"] is None


def test_oi_change_is_the_log_change_as_a_fraction() -> None:
    now = readings(change_4h=log(0.9), change_24h=log(1.25), change_7d=800.0)
    told = body(scorer(), now)["oi_change"]
    assert list(told) == ["1h", "4h", "24h", "7d"]
    assert (told["4h"], told["24h"]) == (pytest.approx(-0.1), pytest.approx(0.25))
    assert told["7d"] is None  # no float holds it
    assert set(body(scorer(), readings(sample=no_data()))["oi_change"].values()) == {None}


def test_nothing_is_shared_between_messages() -> None:
    """A consumer that edits one body must not change the next."""
    of = scorer()
    first = body(of, readings())
    kept = json.dumps(first)
    second = body(of, readings(ticks(1)))
    second["windows"]["1m"]["components"].clear()
    second["modes"]["swing"]["windows"]["4h"]["z"].clear()
    second["modes"].clear()
    second["elr"][0]["scope"].clear()
    assert json.dumps(first) == kept
    third = body(of, readings(ticks(2)))
    assert len(third["elr"][0]["scope"]) == 4
    assert third["modes"]["swing"]["windows"]["4h"]["z"] == {"return": None, "oi": None}


def test_no_data_body() -> None:
    of = scorer()
    body(of, level_score(T0, 0.3))
    now = level_score(ticks(1), 0.3, sample=no_data(ticks(1)))
    signal = body(of, now)
    check(signal)
    nulls = (
        "as_of", "score", "strength", "direction", "transition", "regime", "fragility",
    )  # fmt: skip
    assert [signal[name] for name in nulls] == [None] * len(nulls)
    assert (signal["status"], signal["abstain"], signal["tradeable"], signal["confidence"]) == (
        "no_data",
        True,
        False,
        0,
    )
    assert signal["reasons"] == [
        "quorum", "stale:beta", "stale:alpha_inverse",
        "low_confidence", "low_freshness", "low_coverage", "low_warmup", "no_window_ready", "no_score",
    ]  # fmt: skip
    assert (signal["momentum"], signal["conflict"], signal["conflict_windows"]) == ("steady", False, [])
    assert signal["confidence_factors"] == {
        "freshness": 0.0, "coverage": 0.4, "warmup": 0.0, "agreement": 1.0, "continuity": 0.99,
    }  # fmt: skip
    for name in SECONDS:
        window = signal["windows"][name]
        assert (window.pop("ready"), window.pop("confidence")) == (False, 0.0)
        for part in window.pop("components"):
            assert part["score"] is None
        assert window.pop("backfilled") is False
        assert set(window.values()) == {None}
    assert {value["reason"] for value in signal["elr"]} == {"no_quorum"}
    assert [signal["market"][name] for name in ("venues_fresh", "venues_total")] == [1, 4]
    assert signal["sizing"] == {
        "size_fraction": 0.0, "stop_multiplier": 1.0, "risk_multiplier": 0.0,
        "risk_factors": {"data": 0.0, "deleveraging": 1.0, "spike": 1.0},
    }  # fmt: skip
    assert signal["excluded"] == ["alpha_inverse", "beta", "gamma"]


def test_cold_start() -> None:
    """Nothing known yet but a quorum: warming, abstaining, neutral; not no_data."""
    nothing = level(None, z=None, percentile=None, n=0, horizon_h=0)
    levels = ("elr", "funding", "funding_abs", "premium", "spread", "volatility", "spend")
    now = replace(
        readings(statistics_ready=False, change_24h=None, **dict.fromkeys(levels, nothing)),
        windows=tuple(unready(name) for name in SECONDS),
    )
    signal = body(scorer(), now)
    check(signal)
    assert (signal["status"], signal["direction"], signal["score"]) == ("warming", "neutral", None)
    assert signal["reasons"] == [
        "warming:1h", "warming:statistics", "low_confidence", "low_warmup", "no_window_ready", "no_score",
    ]  # fmt: skip
    assert signal["gate"] == 0.5
    assert {window["direction"] for window in signal["windows"].values()} == {"neutral"}


def test_direction_walk() -> None:
    of = scorer()
    walk: list[tuple[float | None, str, tuple[str, str] | None]] = [
        (0.12, "neutral", None),
        (0.16, "long", ("neutral", "long")),
        (0.11, "long", None),
        (0.09, "neutral", ("long", "neutral")),
        (0.30, "long", ("neutral", "long")),
        (-0.20, "short", ("long", "short")),
        (None, "neutral", ("short", "neutral")),
        (-0.12, "neutral", None),
    ]
    for n, (score, direction, change) in enumerate(walk):
        signal = body(of, level_score(ticks(n), score))
        check(signal)
        assert signal["score"] == (None if score is None else pytest.approx(score, abs=1e-12))
        assert signal["direction"] == direction
        assert {window["direction"] for window in signal["windows"].values()} == {direction}
        assert signal["transition"] == (None if change is None else {"from": change[0], "to": change[1]})


def test_abstaining_is_neutral_for_the_composite_alone() -> None:
    of = scorer()
    assert body(of, level_score(T0, 0.3))["direction"] == "long"
    poor = body(of, level_score(ticks(1), 0.3, sample=consensus(ticks(1), coverage=0.45)))
    assert poor["reasons"] == ["coverage", "low_coverage"]
    assert (poor["score"], poor["direction"]) == (pytest.approx(0.3), "neutral")
    assert poor["transition"] == {"from": "long", "to": "neutral"}
    assert poor["windows"]["1h"]["direction"] == "long"
    kept = body(of, level_score(ticks(2), 0.12))
    assert (kept["direction"], kept["windows"]["1h"]["direction"]) == ("neutral", "long")


def test_no_transition_across_no_data() -> None:
    of = scorer()
    body(of, level_score(T0, 0.3))
    assert body(of, readings(ticks(1), no_data(ticks(1))))["transition"] is None
    after = body(of, level_score(ticks(2), -0.3))
    assert (after["direction"], after["transition"]) == ("short", None)


def test_momentum_walk() -> None:
    of = scorer()
    said = [body(of, level_score(ticks(n), s))["momentum"] for n, s in enumerate((0.1, 0.2, -0.3, 0.4, 0.3, 0.2, 0.1))]
    assert said == ["steady", "steady", "steady", "accelerating", "steady", "steady", "decelerating"]


def test_conflict_makes_untradeable_and_widens_the_stop() -> None:
    of = scorer()
    signal = body(of, scored(T0, -0.2, 0.5, 0.6))
    check(signal)
    assert (signal["conflict"], signal["conflict_windows"]) == (True, ["1m", "5m", "1h"])
    assert (signal["status"], signal["abstain"], signal["tradeable"]) == ("ok", False, False)
    assert signal["sizing"]["stop_multiplier"] == 1.5
    agreed = abs(-0.04 + 0.15 + 0.3) / (0.04 + 0.15 + 0.3)
    assert signal["confidence_factors"]["agreement"] == pytest.approx(agreed, abs=1e-9)
    after = body(of, scored(ticks(1), -0.09, 0.5, 0.6))
    assert (after["conflict"], after["tradeable"]) == (False, True)


def test_one_ready_window_cannot_agree() -> None:
    now = scored(T0, None, None, 0.4)
    assert body(scorer(), now)["sizing"]["stop_multiplier"] == 1.0
    of = scorer()
    for n in range(361):
        signal = body(of, level_score(ticks(n), 0.2 + n * 1e-3))
    assert (signal["strength"], signal["sizing"]["stop_multiplier"]) == (1.0, 0.8)


def test_strength_comes_with_the_ticks() -> None:
    of = scorer()
    for n in range(360):
        signal = body(of, scored(ticks(n), 0.01 if n < 180 else 0.5, 0.01, None))
        assert signal["strength"] is None
    signal = body(of, scored(ticks(360), 0.2, 0.9, 0.3))
    check(signal)
    assert [signal["windows"][name]["strength"] for name in SECONDS] == [0.5, 1.0, None]
    assert signal["strength"] == pytest.approx((0.2 * 0.5 + 0.3 * 1.0) / 0.5)


def test_back_filled_minutes_warm_the_ranks_and_the_states_but_raise_no_alert() -> None:
    of = scorer()
    loud: dict[str, Any] = {"elr": level(z=4.0, percentile=0.99), "spread": level(z=4.0)}
    for n in range(60):
        ts = T0 - (60 - n) * 60_000
        signal, alerts = of.score(level_score(ts, 0.3, sample=consensus(ts, step_s=60), **loud), backfill=True)
        check(signal)
        assert alerts == []
        assert signal["direction"] == "long"
    signal, alerts = of.score(level_score(T0 + HOUR_MS, 0.12, sample=consensus(T0 + HOUR_MS, price=150.0)))
    assert signal["strength"] == 0.0
    assert signal["direction"] == "long"
    assert alerts == []


def test_p_hit_is_what_the_record_says_and_sizes_by_it() -> None:
    of = scorer()
    signal, _ = of.score(level_score(T0, 0.3), record=TrackRecord(0.62, 150))
    check(signal)
    assert (signal["p_hit"], signal["p_hit_n"]) == (0.62, 150)
    assert signal["tradeable"]
    expected = (2 * 0.62 - 1) * signal["confidence"] * (1 - 0.5 * signal["fragility"])
    assert signal["sizing"]["size_fraction"] == pytest.approx(expected, rel=1e-12)
    below, _ = of.score(level_score(T0 + 10_000, 0.3), record=TrackRecord(0.48, 150))
    assert below["sizing"]["size_fraction"] == 0.0


def test_flush_reset_calm_with_its_alert() -> None:
    of = scorer()
    hit = {"oi_change": -0.05, "slow_z_oi": -4.0, "slow_z_return": -3.0}
    walk: list[tuple[int, float, dict[str, Any], str, list[tuple[str, str]]]] = [
        (0, 1.00, {}, "calm", []),
        (1, 0.95, {"w1h": hit}, "flush", [("flush", "raised")]),
        (2, 0.94, {"w1h": hit}, "flush", []),
        (91, 0.94, {}, "flush", []),
        (92, 0.94, {}, "reset", [("flush", "cleared"), ("reset", "raised")]),  # a quarter of an hour without a fall
        (93, 0.98, {}, "calm", [("reset", "cleared")]),
    ]
    for n, height, changes, regime, expected in walk:
        sample = consensus(ticks(n), ln_oi_index=height)
        signal, alerts = of.score(readings(ticks(n), sample, liquidations_heard=True, **changes))
        check(signal)
        assert signal["regime"] == regime
        assert [(alert["alert"], alert["state"]) for alert in alerts] == expected
        assert signal["flush"] == ({"since": ticks(1), "forced": False} if regime == "flush" else None)
        for alert in alerts:
            assert alert["alert"] == "reset" or alert["values"]["forced"] is False


def test_what_venues_report_is_passed_on() -> None:
    signal = body(scorer(), readings(sample=reporting(), backfilled_until=T0 - HOUR_MS))
    check(signal)
    assert [entry["venue"] for entry in signal["long_short"]] == ["alpha_linear", "beta", "beta"]
    assert signal["backfilled_until"] == T0 - HOUR_MS
    assert [value["variant"] for value in signal["elr"]][3:] == ["position_base"]


def test_a_followed_past_knows_bases_positions_and_flushes() -> None:
    """Silence leaves the state that words leave: means, the first report of positions, a flush under way."""
    told, silent = scorer(), scorer()
    hit = {"oi_change": -0.05, "slow_z_oi": -4.0, "slow_z_return": -3.0}
    for n in range(3):
        now = readings(ticks(n), reporting(ticks(n)), w1h=hit)
        told.score(now, backfill=True)
        silent.follow(now)
    assert json.dumps(told.dump()) == json.dumps(silent.dump())
    after = readings(ticks(3), w1h=hit)
    assert json.dumps(told.score(after)) == json.dumps(silent.score(after))
    assert len(body(silent, readings(ticks(4)))["elr"]) == 4


def test_a_followed_past_leaves_the_modes_of_a_live_one() -> None:
    """Swing goes on from its windows of 4 h and 24 h: a warm start must not begin it anew."""
    told, silent = scorer(), scorer()
    for n in range(31):
        longer = tuple(WindowReading(name, 14_400, True, 0.01, 0.02, 2.0, 2.0 + n, None, None) for name in LONGER)
        now = readings(ticks(n), swing_windows=longer if ticks(n) % 300_000 == 0 else ())
        told.score(now, backfill=True)
        silent.follow(now)
    after = readings(ticks(31))
    said = body(told, after)["modes"]["swing"]
    assert said == body(silent, after)["modes"]["swing"]
    assert (said["as_of"], said["bias"], said["windows"]["4h"]["z"]["oi"]) == (ticks(30), "long", 32.0)


def test_no_data_alert_after_thirty_seconds_live_only() -> None:
    of = scorer()
    for n in range(3):
        assert of.score(readings(T0 - (3 - n) * 60_000, no_data()), backfill=True)[1] == []
    said = [of.score(readings(ticks(n), no_data(ticks(n))))[1] for n in range(5)]
    assert [[alert["alert"] for alert in alerts] for alerts in said] == [[], [], [], ["no_data"], []]


def test_losing_a_venue_is_degraded_and_says_who() -> None:
    venues = (*VENUES[:2], gone("beta", 300.0), VENUES[3])
    sample = consensus(coverage=0.7, trouble=("stale:beta",), excluded=("beta",), venues=venues, full_set=False)
    signal = body(scorer(), level_score(T0, 0.4, sample=sample))
    check(signal)
    assert (signal["status"], signal["reasons"], signal["tradeable"]) == ("degraded", ["coverage", "stale:beta"], False)
    assert (signal["market"]["venues_fresh"], signal["market"]["venues_total"]) == (3, 4)


# -- any market at all ------------------------------------------------------------------------------------------

big = st.floats(-1e4, 1e4)
z = st.none() | big
unit = st.floats(0, 1)
percentile = st.none() | unit
LONGER: tuple[Literal["4h", "24h"], ...] = ("4h", "24h")


@st.composite
def any_readings(draw: st.DrawFn, ts: int) -> Readings:
    lost = draw(st.integers(0, 5)) == 0
    shared = {"coverage": draw(unit), "ln_oi_index": draw(st.floats(-5, 5)), "full_set": draw(st.booleans())}
    if lost:
        sample = no_data(ts, **shared)
    else:
        sample = consensus(
            ts,
            price=draw(st.floats(1e-6, 1e6)),
            index=draw(st.none() | st.floats(1e-6, 1e6)),
            funding_spend=draw(z),
            funding_outlier_sign=draw(st.sampled_from([-1, 0, 1])),
            freshness=draw(st.floats(0.3678, 1)),
            trouble=draw(st.sampled_from([(), ("frozen:beta",)])),
            **shared,
        )
    names = ("elr", "funding", "funding_abs", "premium", "spread", "volatility", "spend")
    levels: dict[str, Any] = {
        name: level(z=draw(z), percentile=draw(percentile), horizon_h=draw(st.integers(0, 720))) for name in names
    }
    made = readings(
        ts,
        sample,
        change_24h=draw(z),
        continuity=draw(st.floats(0.5, 1)),
        statistics_ready=draw(st.booleans()),
        **levels,
    )
    windows = tuple(
        replace(
            window,
            ready=draw(st.booleans()),
            ret=draw(z),
            oi_change=draw(z),
            z_return=draw(z),
            z_oi=draw(z),
            slow_z_return=draw(z),
            slow_z_oi=draw(z),
            backfilled=draw(st.booleans()),
            **draw(st.sampled_from([{}, taken(2.0, 1.0, draw(st.floats(-1, 1)), draw(z))])),
            **draw(st.sampled_from([{}, forced(3.0, 0.5, draw(st.floats(-1, 1)), draw(unit))])),
        )
        for window in made.windows
    )
    longer = [WindowReading(name, 14_400, True, draw(z), draw(z), draw(z), draw(z), None, None) for name in LONGER]
    return replace(
        made,
        windows=windows,
        liquidations_heard=draw(st.booleans()),
        change_4h=draw(z),
        change_7d=draw(z),
        swing_windows=tuple(longer) if ts % 300_000 == 0 else (),
    )


@settings(max_examples=60)
@given(st.data())
def test_any_market_keeps_every_promise(data: st.DataObject) -> None:
    of = scorer()
    for n in range(4):
        signal, alerts = of.score(data.draw(any_readings(ticks(n))), backfill=n == 0)
        check(signal)
        json.dumps(alerts, allow_nan=False)
        if n == 0:
            assert alerts == []


@settings(max_examples=60)
@given(st.data(), st.integers(0, 5))
def test_dump_and_load_at_any_point_change_nothing(data: st.DataObject, point: int) -> None:
    """Also through JSON text, and the first scorer keeps going unharmed."""
    one = scorer()
    other = one
    for n in range(6):
        if n == 3:
            for each in (one,) if other is one else (one, other):
                each.denominate(base(supply=None, reserves=(("alpha", 7.0),), as_of=T0))
        if n == point:
            other = scorer()
            other.load(json.loads(json.dumps(one.dump())))
        now = data.draw(any_readings(ticks(n)))
        if other is one:
            one.score(now)
        else:
            assert json.dumps(one.score(now)) == json.dumps(other.score(now))
    if other is not one:
        assert one.dump() == other.dump()


def test_dump_and_load_in_the_middle_of_everything() -> None:
    """Flushing, in conflict, an outcome pending, strength known, a mode between its ticks, an alert raised."""
    one = scorer()
    hit = {"oi_change": -0.05, "slow_z_oi": -4.0, "slow_z_return": -3.0}

    def now(n: int) -> Readings:
        made = scored(
            ticks(n), -0.2 - n * 1e-4, 0.3, 0.4, sample=consensus(ticks(n), price=100 + n, ln_oi_index=1 - n / 1e4)
        )
        return replace(made, windows=(*made.windows[:2], replace(made.windows[2], **hit))) if n < 280 else made

    for n in range(365):  # the flush lasts until tick 369
        one.score(now(n))
    other = scorer()
    other.load(json.loads(json.dumps(one.dump())))
    for n in range(365, 400):
        a, b = one.score(now(n)), other.score(now(n))
        assert json.dumps(a) == json.dumps(b)
    signal = a[0]
    assert signal["conflict"]
    assert signal["regime"] == "reset"
    assert signal["strength"] is not None


def test_a_reanchor_changes_only_times() -> None:
    """The same market with every time an hour back from the middle on; the anchor moves by whole seconds."""
    shift = -HOUR_MS  # whole grids of every mode, so that the same ticks fall on them
    still, moved = scorer(), scorer()

    def now(n: int, by: int = 0) -> Readings:
        ts = ticks(n) + by
        return scored(ts, 0.3, -0.3, 0.2 + n * 1e-4, sample=consensus(ts, price=100 + n))

    for n in range(380):
        still.score(now(n))
        moved.score(now(n))
    moved.reanchor(shift + 400)
    for n in range(380, 800):
        (a, said), (b, heard) = still.score(now(n)), moved.score(now(n, shift))
        for times in (b, *b["elr"], *b["modes"].values(), *heard):
            for name in ("ts", "as_of"):
                if name in times:
                    times[name] -= shift
        for value in (*a["elr"], *b["elr"]):
            value.pop("base")
        assert json.dumps(a) == json.dumps(b)
        assert json.dumps(said) == json.dumps(heard)


def test_two_runs_are_byte_identical() -> None:
    runs = []
    for _ in range(2):
        of = scorer()
        runs.append([json.dumps(of.score(scored(ticks(n), 0.3 - n / 100, 0.1, -0.2))) for n in range(50)])
    assert runs[0] == runs[1]


def test_tick_grid_of_the_factory() -> None:
    assert T0 % 300_000 == 0
    assert ticks(1) - T0 == TICK_MS
