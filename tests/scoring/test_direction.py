from __future__ import annotations

import pytest

from service.scoring.direction import HORIZON_MS, Direction, Momentum, Strength, decide, transition
from tests.scoring.factory import T0, ticks

BELOW_ENTER, BELOW_LEAVE = 0.1499999999, 0.0999999999


@pytest.mark.parametrize("before", [None, "neutral", "long", "short"])
@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (0.15, "long"), (-0.15, "short"), (1.0, "long"), (-1.0, "short"),
        (BELOW_LEAVE, "neutral"), (-BELOW_LEAVE, "neutral"), (0.0, "neutral"), (None, "neutral"),
    ],
)  # fmt: skip
def test_outside_the_band_the_past_does_not_matter(before: object, score: float | None, expected: str) -> None:
    assert decide(score, before) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0.10, 0.12, BELOW_ENTER])
def test_inside_the_band_the_same_side_is_kept(size: float) -> None:
    assert decide(size, "long") == "long"
    assert decide(-size, "short") == "short"
    assert decide(-size, "long") == decide(size, "short") == "neutral"
    assert decide(size, "neutral") == decide(size, None) == decide(-size, None) == "neutral"


def test_walk() -> None:
    direction = Direction()
    walk = [
        (0.12, "neutral"), (0.15, "long"), (0.10, "long"), (BELOW_LEAVE, "neutral"), (0.14, "neutral"),
        (0.3, "long"), (-0.15, "short"), (-0.1, "short"), (0.1, "neutral"), (-0.1, "neutral"),
        (-0.2, "short"), (None, "neutral"), (-0.12, "neutral"), (-0.16, "short"),
    ]  # fmt: skip
    for score, expected in walk:
        assert direction.update(score) == expected
        assert direction.side == expected


def test_no_data_forgets_the_side() -> None:
    direction = Direction()
    direction.update(0.2)
    direction.lose()
    assert direction.side is None
    assert direction.update(0.12) == "neutral"


def test_transition() -> None:
    assert transition("neutral", "long") == {"from": "neutral", "to": "long"}
    assert transition("long", "short") == {"from": "long", "to": "short"}
    assert transition("short", "neutral") == {"from": "short", "to": "neutral"}
    assert transition("long", "long") is None
    assert transition(None, "long") is None
    assert transition("long", None) is None


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.1, 0.2, 0.3], "steady"),
        ([0.1, 0.2, 0.3, 0.4], "accelerating"),
        ([-0.1, 0.2, -0.3, 0.4], "accelerating"),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "accelerating"),
        ([0.1, 0.2, 0.3, 0.4, 0.4], "steady"),
        ([0.1, 0.2, 0.3, 0.4, 0.3], "steady"),
        ([0.4, 0.3, 0.2, 0.1], "decelerating"),
        ([0.4, 0.3, 0.2], "steady"),
        ([0.4, 0.3, 0.2, 0.1, 0.2, 0.3], "steady"),
        ([0.4, 0.3, 0.2, 0.1, 0.2, 0.3, 0.4], "accelerating"),
        ([0.1, 0.2, None, 0.3, 0.4, 0.5], "steady"),
        ([0.1, 0.2, None, 0.3, 0.4, 0.5, 0.6], "accelerating"),
        ([0.1, 0.2, 0.3, 0.4, None], "steady"),
        ([0.0, 0.0, 0.0, 0.0], "steady"),
    ],
)
def test_momentum(scores: list[float | None], expected: str) -> None:
    momentum = Momentum()
    assert [momentum.update(score) for score in scores][-1] == expected


def test_rank_among_earlier_ticks_only() -> None:
    """360 earlier scores, half of them smaller: the current one never measures itself."""
    strength = Strength()
    for n in range(360):
        assert strength.update(0.01 if n % 2 == 0 else -0.9, ticks(n), False) is None
    assert strength.update(-0.25, ticks(360), False) == 0.5
    assert strength.update(0.25, ticks(361), False) == (180 + 0.5) / 361


def test_a_back_filled_minute_counts_as_six() -> None:
    strength = Strength()
    for n in range(60):
        assert strength.update(0.1, T0 + n * 60_000, True) is None
    assert strength.update(0.2, T0 + 60 * 60_000, True) == 1.0
    assert strength.update(0.2, T0 + 61 * 60_000, False) == (360 + 0.5 * 6) / 366


def test_a_missing_score_neither_ranks_nor_counts() -> None:
    strength = Strength()
    for n in range(359):
        strength.update(0.1, ticks(n), False)
    assert strength.update(None, ticks(359), False) is None
    assert strength.update(0.3, ticks(360), False) is None
    assert strength.update(0.3, ticks(361), False) is not None


def test_a_day_later_all_is_forgotten() -> None:
    """Exactly 24 h old is forgotten, one tick less is not."""
    strength, longer = Strength(), Strength()
    for n in range(800):
        strength.update(0.1, ticks(n), False)
        longer.update(0.1, ticks(n), False)
    assert strength.update(0.3, ticks(439) + HORIZON_MS, False) == 1.0
    assert longer.update(0.3, ticks(440) + HORIZON_MS, False) is None


def test_reanchor_moves_the_past() -> None:
    strength = Strength()
    for n in range(400):
        strength.update(0.1, ticks(n), False)
    strength.reanchor(HORIZON_MS)
    assert strength.update(0.3, ticks(400) + HORIZON_MS, False) == 1.0
