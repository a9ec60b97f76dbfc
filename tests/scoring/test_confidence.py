from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.scoring.composite import WindowScore
from service.scoring.confidence import Factors, abstain_reasons, agreement, factors, published, warmup
from tests.scoring.factory import window

NAMES = ("1m", "5m", "1h")
unit = st.floats(0, 1)


def windows(*scores: float | None, ready: tuple[bool, ...] = (True, True, True)) -> list[WindowScore]:
    return [
        WindowScore(window(name), is_ready, (), None, None, score)
        for name, score, is_ready in zip(NAMES, scores, ready, strict=True)
    ]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((0.2, 0.3, 0.4), 1.0),
        ((-0.2, -0.3, -0.4), 1.0),
        ((0.2, 0.3, -0.4), abs(0.04 + 0.09 - 0.2) / (0.04 + 0.09 + 0.2)),
        ((0.5, None, -0.2), 0.0),
        ((None, None, -0.2), 1.0),
        ((None, None, None), 1.0),
        ((0.0, 0.0, 0.0), 1.0),
        ((0.0, None, 0.3), 1.0),
    ],
)
def test_agreement(scores: tuple[float | None, ...], expected: float) -> None:
    assert agreement(windows(*scores)) == pytest.approx(expected, abs=1e-15)


@given(st.lists(st.floats(-1, 1) | st.none(), min_size=3, max_size=3))
def test_agreement_is_a_share_and_one_without_dissent(scores: list[float | None]) -> None:
    value = agreement(windows(*scores))
    known = [score for score in scores if score is not None]
    assert 0 <= value <= 1
    if all(score >= 0 for score in known) or all(score <= 0 for score in known):
        assert value == 1


@pytest.mark.parametrize(
    ("ready", "expected"),
    [((True, True, True), 1.0), ((True, True, False), 0.5), ((False, False, True), 0.5), ((True, False, False), 0.2)],
)
def test_warmup(ready: tuple[bool, ...], expected: float) -> None:
    assert warmup(windows(None, None, None, ready=ready)) == expected


def test_warmup_of_a_ready_window_without_score_counts() -> None:
    assert warmup(windows(None, 0.3, None)) == 1.0


def test_published_is_ten_significant_digits() -> None:
    assert published(1 / 3) == 0.3333333333
    assert published(2e-7 / 3) == 6.666666667e-08
    assert published(0.0) == 0.0


@given(unit, unit, unit, st.lists(st.floats(-1, 1), min_size=3, max_size=3))
def test_confidence_is_the_product_of_the_published_factors(f: float, c: float, k: float, scores: list[float]) -> None:
    made = factors(f, c, k, windows(*scores))
    assert (made.freshness, made.coverage, made.continuity) == (published(f), published(c), published(k))
    product = made.freshness * made.coverage * made.warmup * made.agreement * made.continuity
    assert made.confidence == product
    assert 0 <= made.confidence <= 1
    assert made.of_window == made.freshness * made.coverage * made.continuity


def test_without_quorum_nothing_is_vouched_for() -> None:
    made = factors(None, 0.4, 1.0, windows(None, None, None, ready=(False, False, False)))
    assert made == Factors(0.0, 0.4, 0, 1.0, 1.0)
    assert made.confidence == 0


ALL = {"freshness": 1.0, "coverage": 1.0, "warmup": 1.0, "agreement": 1.0, "continuity": 1.0}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"agreement": 0.3}, []),
        ({"agreement": 0.2999999999}, ["low_confidence"]),
        ({"freshness": 0.5}, []),
        ({"freshness": 0.4999999999}, ["low_freshness"]),
        ({"coverage": 0.5}, []),
        ({"coverage": 0.4999999999}, ["low_coverage"]),
        ({"warmup": 0.5}, []),
        ({"warmup": 0.4999999999}, ["low_warmup"]),
        (
            {"freshness": 0.4, "coverage": 0.4, "warmup": 0.2},
            ["low_confidence", "low_freshness", "low_coverage", "low_warmup"],
        ),
        ({"continuity": 0.0}, ["low_confidence"]),
    ],
)
def test_abstain_thresholds(changes: dict[str, Any], expected: list[str]) -> None:
    assert abstain_reasons(Factors(**ALL | changes), 0.2, windows(0.2, 0.2, 0.2)) == expected


def test_abstain_without_score_or_window() -> None:
    full = Factors(**ALL)
    assert abstain_reasons(full, None, windows(None, None, None)) == ["no_score"]
    nothing = windows(None, None, None, ready=(False, False, False))
    assert abstain_reasons(full, None, nothing) == ["no_window_ready", "no_score"]
    assert abstain_reasons(full, 0.0, windows(0.0, None, None)) == []
