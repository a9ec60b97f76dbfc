"""p_deleveraging of the message: when it is null, that it lives a minute, and what it repeats of the record."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.deleveraging import packaged
from service.model import Readings, TrackRecord
from service.scoring import Scorer
from service.scoring.deleveraging import Deleveraging
from tests.scoring.factory import level, readings

MINUTE = 60_000
T0 = 1_763_683_200_000


def now(
    ts: int = T0, rank: float | None = 0.9, horizon_h: int = 168, n: int = 5_040, volatility: float | None = 0.04
) -> Readings:
    ranked = replace(level(z=1.0, percentile=rank), horizon_h=horizon_h, n=n)
    return replace(readings(ts), elr=ranked, volatility_24h=volatility)


def said(of: Deleveraging, at: Readings, record: TrackRecord | None = None, backfill: bool = False) -> dict[str, Any]:
    return of.told(at, packaged(), TrackRecord() if record is None else record, backfill)


def test_the_object() -> None:
    five, ten = packaged().probabilities(0.9, 0.04)
    assert said(Deleveraging(), now()) == {
        "oi_5": five,
        "oi_10": ten,
        "horizon_h": 24,
        "model": packaged().name,
        "base_rate": packaged().base_rates[0],
        "base_rate_10": packaged().base_rates[1],
        "as_of": T0,
        "reason": None,
        "evidence": "none_yet",
        "evidence_10": "none_yet",
    }


def test_base_rates_and_evidence_are_the_records() -> None:
    told = said(
        Deleveraging(),
        now(),
        TrackRecord(base_rates=(0.3, 0.1), evidence="better_than_volatility", evidence_10="worse_than_base_rate"),
    )
    assert (told["base_rate"], told["base_rate_10"]) == (0.3, 0.1)
    assert (told["evidence"], told["evidence_10"]) == ("better_than_volatility", "worse_than_base_rate")


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (now(horizon_h=167), "short_rank"),
        (now(rank=None), "short_rank"),
        (now(n=5_039), "short_rank"),  # cause: one value a week old and a day of others passed for a week
        (now(volatility=0.0), "no_volatility"),
        (now(volatility=None), "no_volatility"),
        (replace(now(), consensus=replace(now().consensus, quorum=False)), "no_quorum"),
    ],
)
def test_null_with_a_reason(at: Readings, reason: str) -> None:
    """Cause: on a first day a rank over 26 h was read like one over a month."""
    told = said(Deleveraging(), at)
    assert (told["oi_5"], told["oi_10"], told["as_of"], told["reason"]) == (None, None, None, reason)


def test_it_is_made_anew_on_the_minute_and_stands_between() -> None:
    of = Deleveraging()
    first = said(of, now(T0, 0.9))
    held = said(of, now(T0 + 50_000, 0.2))
    assert (held["oi_5"], held["as_of"]) == (first["oi_5"], T0)
    renewed = said(of, now(T0 + MINUTE, 0.2))
    assert renewed["oi_5"] < first["oi_5"]
    assert renewed["as_of"] == T0 + MINUTE


def test_what_can_no_longer_be_known_does_not_stand() -> None:
    of = Deleveraging()
    said(of, now(T0))
    assert said(of, now(T0 + 10_000, volatility=None))["oi_5"] is None
    assert said(of, now(T0 + 20_000))["as_of"] == T0 + 20_000


def test_the_past_holds_nothing() -> None:
    """A back-filled tick and a silent one leave the same state, whatever stood before."""
    of, silent = Deleveraging(), Deleveraging()
    for each in (of, silent):
        said(each, now(T0))
    assert said(of, now(T0 + 10_000), backfill=True)["as_of"] == T0 + 10_000
    silent.forget()
    assert of.dump() == silent.dump()
    assert said(silent, now(T0 + 20_000))["as_of"] == T0 + 20_000


def test_a_scorer_that_only_follows_holds_nothing() -> None:
    scorer = Scorer("BTC", {"bybit": "bybit"}, None)
    scorer.score(now(T0))
    scorer.follow(now(T0 + 10_000))
    body, _ = scorer.score(now(T0 + 20_000))
    assert body["p_deleveraging"]["as_of"] == T0 + 20_000


def test_another_model_after_a_restart_does_not_say_what_the_one_before_said() -> None:
    """Cause: restarted within a minute with another parameter file, the old chance went out under the new name."""
    of, again = Deleveraging(), Deleveraging()
    said(of, now(T0))
    again.load(of.dump())
    other = replace(packaged(), name="deleveraging-1:other", intercepts=(0.0, -1.0))
    told = again.told(now(T0 + 10_000), other, TrackRecord(), backfill=False)
    assert (told["oi_5"], told["as_of"]) == (other.probabilities(0.9, 0.04)[0], T0 + 10_000)


def test_a_clock_set_anew_moves_the_time_it_was_made_at() -> None:
    of = Deleveraging()
    first = said(of, now(T0))
    of.reanchor(7_000)
    held = said(of, now(T0 + 20_000, 0.2))
    assert (held["oi_5"], held["as_of"]) == (first["oi_5"], T0 + 7_000)


def test_dump_and_load() -> None:
    of, again = Deleveraging(), Deleveraging()
    said(of, now(T0))
    again.load(of.dump())
    assert said(again, now(T0 + 10_000, 0.1)) == said(of, now(T0 + 10_000, 0.1))
