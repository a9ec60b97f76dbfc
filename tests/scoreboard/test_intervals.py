"""What the intervals are worth: records of scores that know nothing, and how often the truth lies in them."""

from __future__ import annotations

import random
from math import sqrt

import pytest

from service.scoreboard import Outcome, Tally
from service.scoreboard.measures import spearman, wilson
from service.scoreboard.tally import RING, entry
from tests.scoreboard.build import MINUTE, T0


def outcome(number: int, score: float, ret: float) -> Outcome:
    side = "long" if score > 0 else "short"
    hit = (ret > 0) == (score > 0)
    at = T0 + number * MINUTE
    return Outcome("BTC", "1m", at, at + MINUTE, score, side, 0.5, 100.0, 101.0, ret, hit, True, True)


class Late(Tally):
    """Takes the correlation once, at the end: the many times before are not what is looked at here."""

    def renew(self) -> None:
        pass


def record(rng: random.Random, count: int, stay: float, trend: float) -> Tally:
    """ScoreboardOutput and returns that each resemble their last value, and have nothing to do with each other."""
    tally = Late()
    score, ret = rng.gauss(0, 1), rng.gauss(0, 1)
    for number in range(count):
        score = stay * score + sqrt(1 - stay * stay) * rng.gauss(0, 1)
        ret = trend * ret + sqrt(1 - trend * trend) * rng.gauss(0, 1)
        tally.enter(outcome(number, score / 10, ret / 100))
    Tally.renew(tally)
    return tally


def held(runs: int, count: int, stay: float, trend: float) -> tuple[float, float, float, float]:
    """Share of intervals that hold 0.5 and 0: as published, and as they would be if neighbours were independent."""
    found = [0, 0, 0, 0]
    for seed in range(runs):
        said = entry([record(random.Random(seed), count, stay, trend)])
        low, high = wilson(said["hit"], count)
        found[0] += said["hit_low"] <= 0.5 <= said["hit_high"]
        found[1] += abs(said["ic"]) <= 1.96 * said["ic_se"]
        found[2] += low <= 0.5 <= high
        found[3] += abs(said["ic"]) <= 1.96 / sqrt(count - 1)
    return found[0] / runs, found[1] / runs, found[2] / runs, found[3] / runs


def test_where_returns_are_independent_the_intervals_hold_what_they_claim() -> None:
    hit, ic, plain_hit, plain_ic = held(150, 300, 0.9, 0.0)
    assert min(hit, ic) > 0.91
    assert 0 <= hit - plain_hit < 0.04  # and are hardly wider for it
    assert 0 <= ic - plain_ic < 0.04


def test_where_scores_stay_and_returns_trend_they_hold_more_than_naive_ones() -> None:
    """Cause: they took every outcome for independent of the one before, and excluded the truth in one case of eight."""
    hit, ic, plain_hit, plain_ic = held(120, 600, 0.9, 0.3)
    assert min(hit, ic) > 0.9
    assert max(plain_hit, plain_ic) < 0.93
    assert hit > plain_hit
    assert ic > plain_ic + 0.02


def test_what_the_record_is_worth_is_pooled_like_its_errors() -> None:
    tallies = [record(random.Random(seed), 1200, 0.95, 0.5) for seed in range(3)]
    spreads = [tally.dependence for tally in tallies]
    assert min(spreads) > 1.2
    alone = entry([tallies[0]])
    assert alone["n_effective"] == pytest.approx(1200 / spreads[0])
    together = entry(tallies)
    assert together["n_effective"] == pytest.approx(3600**2 / sum(sqrt(1200 * spread) for spread in spreads) ** 2)
    assert together["ic_se"] == pytest.approx(sum(entry([tally])["ic_se"] for tally in tallies) / 3)


def test_the_ring_is_read_in_the_order_of_time() -> None:
    rng = random.Random(1)
    tally, pairs = Tally(), []
    score = ret = 0.0
    for number in range(RING + 700):
        score, ret = 0.95 * score + rng.gauss(0, 1), 0.9 * ret + rng.gauss(0, 1)
        pairs.append((score / 100, ret / 100))
        tally.enter(outcome(number, *pairs[-1]))
    tally.renew()
    xs, ys = zip(*pairs[-RING:], strict=True)
    assert (tally.ic, tally.ic_se) == spearman(xs, ys)
    assert tally.ic_se is not None
    assert tally.ic_se > 1.5 / sqrt(RING - 1)
    turned = spearman(xs[-700:] + xs[:-700], ys[-700:] + ys[:-700])[1]
    assert turned != tally.ic_se
