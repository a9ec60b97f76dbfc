"""The judge can fail: signals doctored against each rule are caught, and by that rule."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.faults import judge
from tests.faults.judge import Accepted, Evidence, Sample, Tick, View

TARGET, OTHERS = "okx", ("bybit", "gate")
START_S, END_S, TOTAL_S = 20.25, 60.25, 120.0
PRICE = 100.0


def body(ts: int, fresh: int = 3, **changes: Any) -> dict[str, Any]:
    coverage = fresh / 3
    window = {
        "ready": True, "score": 0.2, "strength": 0.5, "confidence": 0.9 * coverage, "direction": "long",
        "return": 0.001, "oi_change": 0.002, "trend": 0.2, "contrarian": None,
    }  # fmt: skip
    return {
        "symbol": "BTC", "ts": ts, "status": "ok" if fresh == 3 else "degraded", "reasons": [],
        "score": 0.2, "strength": 0.5, "direction": "long", "confidence": 0.9 * coverage, "gate": 0.5,
        "confidence_factors": {
            "freshness": 0.9, "coverage": coverage, "warmup": 1.0, "agreement": 1.0, "continuity": 1.0,
        },
        "market": {"price": PRICE, "funding_8h": 1e-4, "oi_coins": 1000.0 * fresh, "venues_fresh": fresh},
        "windows": {"1m": dict(window), "5m": dict(window), "1h": dict(window)},
        **changes,
    }  # fmt: skip


def evidence(may: str = "ab") -> Evidence:
    """A venue that is silent from 20 to 60 s, out at once, and whole again at 62 s. Nothing to complain of."""
    out = range(21, 63)

    def views(second: int) -> dict[str, View]:
        live = {"mark": "LIVE", "funding": "LIVE", "oi": "LIVE"}
        stale = {"mark": "STALE", "funding": "LIVE", "oi": "LIVE"}
        seen = {venue: View("A", True, PRICE, 1e-4, live) for venue in OTHERS}
        target = View("A", False, None, 1e-4, stale) if second in out else View("A", True, PRICE, 1e-4, live)
        return {**seen, TARGET: target}

    venues = (*OTHERS, TARGET)
    heard = [float(second) for second in range(int(TOTAL_S) + 1)]
    truth = {"mark": PRICE, "funding": 1e-4, "oi": 1000.0}
    ticks, messages = [], []
    for number in range(1, 13):
        ts = 1_763_720_040_000 + number * 10_000
        said = body(ts, 2 if number * 10 in out else 3)
        ticks.append(Tick(number * 10.0, ts, 0, "E1", (said,)))
        messages.append({"type": "signal", "kind": "update", "epoch": "E1", "symbol": "BTC", "seq": number})
    honest = {("BTC", judge.number(tick.at_s)): body(tick.ts) for tick in ticks}
    alike = {("BTC", judge.number(tick.at_s)): copy.deepcopy(tick.bodies[0]) for tick in ticks}
    return Evidence(
        target=TARGET,
        symbols=("BTC",),
        start_s=START_S,
        end_s=END_S,
        total_s=TOTAL_S,
        min_venues=2,
        max_age_s={(venue, stream): 15.0 for venue in venues for stream in judge.STREAMS},
        truth={(venue, "A", stream): [value] * 130 for venue in venues for stream, value in truth.items()},
        symbol_of={(venue, "A"): "BTC" for venue in venues},
        sent={
            (venue, "A", stream): [at for at in heard if venue != TARGET or not START_S < at < END_S]
            for venue in venues
            for stream in judge.STREAMS
        },
        accepted=[Accepted(10.0, TARGET, "A", "BTC", "mark", PRICE)],
        samples=[Sample(float(at), "BTC", True, PRICE, 1e-4, views(at)) for at in range(1, int(TOTAL_S) + 1)],
        ticks=ticks,
        messages=messages,
        honest=honest,
        removed=alike,
        purged=alike,
        masked={},
        unlisted={},
        scrapes=[(60.0, 'elr_score{symbol="BTC",window="1m"} 0.2\n')],
        may=may,
    )


def rules(case: Evidence) -> dict[str, int]:
    found: dict[str, int] = {}
    for violation in judge.judge(case).violations:
        found[violation.rule] = found.get(violation.rule, 0) + 1
    return found


def doctored(case: Evidence, number: int, change: Callable[[dict[str, Any]], None]) -> Evidence:
    """The same with the signal of one tick changed."""
    ticks = [copy.deepcopy(tick) for tick in case.ticks]
    [said] = ticks[number - 1].bodies
    change(said)  # type: ignore[arg-type]  # a plain dict underneath
    return replace(case, ticks=ticks)


def sampled(case: Evidence, second: int, **changes: Any) -> Evidence:
    samples = list(case.samples)
    samples[second - 1] = replace(samples[second - 1], **changes)
    return replace(case, samples=samples)


def seen(case: Evidence, second: int, **changes: Any) -> dict[str, View]:
    views = dict(case.samples[second - 1].views)
    views[TARGET] = replace(views[TARGET], **changes)
    return views


def test_an_honest_case_passes() -> None:
    verdict = judge.judge(evidence())
    assert verdict.violations == []
    assert verdict.healthy_s == pytest.approx(2.75)
    assert verdict.lost_s == pytest.approx(0.75)
    assert verdict.outcomes == {"a": 4}


# -- W1 ------------------------------------------------------------------------------------------------------------


def test_w1_a_silent_venue_that_still_counts_is_caught_just_above_its_max_age() -> None:
    case = evidence()
    for second, caught in ((34, False), (35, False), (36, True), (50, True)):  # last sent at 20 s, max_age 15 s
        views = seen(case, second, fresh=True, mark=PRICE)
        assert ("W1" in rules(sampled(case, second, views=views))) is caught, second


def test_w1_a_stale_funding_that_counts_is_caught() -> None:
    case = evidence()
    silent = {**case.sent, (TARGET, "A", "funding"): [at for at in case.sent[TARGET, "A", "mark"] if at < 5.0]}
    assert "W1" in rules(replace(case, sent=silent, end_s=END_S))


# -- W2 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "value"), [("mark", PRICE * 1.001), ("mark", PRICE * 100), ("funding", 0.01), ("oi", 1600.0)]
)
def test_w2_a_false_value_that_was_believed_is_caught(stream: str, value: float) -> None:
    lie = Accepted(30.0, TARGET, "A", "BTC", stream, value)
    assert "W2" in rules(replace(evidence(), accepted=[lie]))


def test_w2_an_old_value_is_a_false_one() -> None:
    case = evidence()
    moved = {**case.truth, (TARGET, "A", "mark"): [PRICE] * 10 + [PRICE * 1.01] * 120}
    late = Accepted(40.0, TARGET, "A", "BTC", "mark", PRICE)
    assert "W2" in rules(replace(case, truth=moved, accepted=[late]))
    in_time = Accepted(20.0, TARGET, "A", "BTC", "mark", PRICE)
    assert "W2" not in rules(replace(case, truth=moved, accepted=[in_time]))


def test_w2_a_result_moved_out_of_the_honest_range_is_caught_even_where_the_value_could_not_be_known_as_false() -> None:
    case = evidence(may="abcd")
    pulled = sampled(case, 70, views=seen(case, 70, mark=PRICE * 1.01), price=PRICE * 1.005)
    assert "W2" in rules(pulled)
    within = sampled(case, 70, views=seen(case, 70, mark=PRICE * 1.01), price=PRICE)
    assert "W2" not in rules(within)
    paid = sampled(case, 70, views=seen(case, 70, rate_8h=0.01), funding_8h=0.002)
    assert "W2" in rules(paid)


# -- W3 ------------------------------------------------------------------------------------------------------------


def test_w3_a_signal_that_is_neither_without_the_venue_nor_degraded_is_caught() -> None:
    def confident(said: dict[str, Any]) -> None:
        said["status"] = "ok"
        said["score"] = 0.2 + 1e-6

    assert "W3" in rules(doctored(evidence(), 4, confident))


def test_w3_degraded_but_just_as_sure_is_caught() -> None:
    def sure(said: dict[str, Any]) -> None:
        said["score"] = 0.3
        said["confidence_factors"]["coverage"] = 1.0

    assert "W3" in rules(doctored(evidence(), 4, sure))


def test_w3_degraded_and_less_sure_is_allowed_and_counted() -> None:
    def other(said: dict[str, Any]) -> None:
        said["score"] = 0.3

    case = doctored(evidence(), 4, other)
    verdict = judge.judge(case)
    assert verdict.passed
    assert verdict.outcomes == {"a": 3, "b": 1}


def test_w3_the_honest_part_alone_counts_only_where_the_case_allows_it() -> None:
    case = evidence()
    different = {key: {**said, "score": 0.25} for key, said in case.removed.items()}
    ok = doctored(replace(case, removed=different), 4, lambda said: said.update(status="ok"))
    ok = replace(ok, purged={**ok.purged, ("BTC", 4): ok.ticks[3].bodies[0]})
    assert "W3" in rules(ok)
    assert "W3" not in rules(replace(ok, may="abc"))


def test_w3_a_fault_that_shows_after_its_end_is_caught() -> None:
    assert "W3" in rules(doctored(evidence(), 10, lambda said: said.update(score=0.21)))


# -- W4 ------------------------------------------------------------------------------------------------------------


def lonely() -> Evidence:
    """Below the quorum from 20 to 60 s, and it says so."""
    case = evidence()
    sent = {
        key: times if key[0] == "bybit" else [at for at in times if not START_S < at < END_S]
        for key, times in case.sent.items()
    }
    nothing = {
        "status": "no_data", "score": None, "strength": None, "direction": None, "confidence": 0.0,
        "market": {"price": None, "funding_8h": None, "oi_coins": None, "venues_fresh": 1},
    }  # fmt: skip
    ticks = [
        replace(tick, bodies=({**tick.bodies[0], **nothing},)) if 35.0 < tick.at_s < 60.5 else tick
        for tick in case.ticks
    ]
    samples = [
        replace(
            s, price=None, funding_8h=None, views={v: replace(view, fresh=v == "bybit") for v, view in s.views.items()}
        )
        if START_S < s.at_s < END_S
        else s
        for s in case.samples
    ]
    said = {("BTC", judge.number(tick.at_s)): tick.bodies[0] for tick in ticks}
    return replace(case, sent=sent, ticks=ticks, samples=samples, removed=said, scrapes=[(60.5, "")])


def test_w4_below_the_quorum_no_data_passes_and_anything_else_is_caught() -> None:
    case = lonely()
    assert rules(case) == {}
    assert "W4" in rules(doctored(case, 5, lambda said: said.update(status="degraded")))
    assert "W4" in rules(doctored(case, 5, lambda said: said.update(score=0.0)))
    assert "W4" in rules(doctored(case, 5, lambda said: said.update(confidence=0.1)))
    assert "W4" in rules(replace(case, scrapes=[(60.5, 'elr_score{symbol="BTC",window="1m"} 0.2\n')]))


# -- W5 to W7 ------------------------------------------------------------------------------------------------------


def test_w5_more_confidence_for_a_lost_venue_is_caught() -> None:
    def fresher(said: dict[str, Any]) -> None:
        said["confidence_factors"].update(freshness=0.95, coverage=1.0)

    assert "W5" in rules(doctored(evidence(), 4, fresher))


@pytest.mark.parametrize(
    ("name", "value"), [("score", 1.0001), ("score", -1.1), ("strength", 1.01), ("confidence", -0.1)]
)
def test_w6_a_number_out_of_range_is_caught(name: str, value: float) -> None:
    assert "W6" in rules(doctored(evidence(), 2, lambda said: said.update({name: value})))
    assert "W6" in rules(doctored(evidence(), 2, lambda said: said["windows"]["5m"].update({name: value})))


def test_w6_a_number_that_is_not_finite_is_caught() -> None:
    assert "W6" in rules(doctored(evidence(), 2, lambda said: said["market"].update(oi_coins=float("inf"))))


def test_w7_a_missing_a_doubled_and_a_bunched_tick_are_caught() -> None:
    case = evidence()
    assert "W7" in rules(replace(case, ticks=[*case.ticks[:4], *case.ticks[5:]]))
    assert "W7" in rules(replace(case, ticks=[*case.ticks[:4], case.ticks[3], *case.ticks[4:]]))
    bunched = [replace(tick, at_s=50.0) if tick.at_s == 40.0 else tick for tick in case.ticks]
    assert "W7" in rules(replace(case, ticks=bunched))


def test_w7_a_tick_off_the_grid_a_lost_symbol_and_a_hole_in_the_sequence_are_caught() -> None:
    case = evidence()
    assert "W7" in rules(replace(case, ticks=[replace(case.ticks[0], ts=case.ticks[0].ts + 1), *case.ticks[1:]]))
    assert "W7" in rules(replace(case, ticks=[replace(case.ticks[0], bodies=()), *case.ticks[1:]]))
    assert "W7" in rules(replace(case, messages=[*case.messages[:3], *case.messages[4:]]))


# -- recovery ------------------------------------------------------------------------------------------------------


def test_a_venue_that_is_not_whole_in_time_is_caught() -> None:
    case = evidence()
    assert "recovery" in rules(replace(case, within_s=2.0))
    funding = {"mark": "LIVE", "funding": "STALE", "oi": "LIVE"}
    assert "recovery" in rules(sampled(replace(case, within_s=30.0), 115, views=seen(case, 115, states=funding)))


def test_a_market_that_is_not_again_the_honest_one_is_caught() -> None:
    case = evidence()
    off = doctored(case, 12, lambda said: said["market"].update(price=PRICE * 1.002))
    assert "recovery" in rules(replace(off, removed={("BTC", judge.number(t.at_s)): t.bodies[0] for t in off.ticks}))
