from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.scoring.conflict import Conflict, opposed
from tests.scoring.factory import T0, TICK_MS

BELOW_RAISE, BELOW_KEEP = 0.1499999999, 0.0999999999
NAMES = ("1m", "5m", "1h")


def named(*scores: float | None) -> list[tuple[str, float | None]]:
    return list(zip(NAMES, scores, strict=True))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((0.15, -0.15, None), ("1m", "5m")),
        ((0.15, -BELOW_RAISE, None), ()),
        ((BELOW_RAISE, None, -0.9), ()),
        ((-0.9, None, 0.15), ("1m", "1h")),
        ((0.9, 0.9, 0.9), ()),
        ((0.0, 0.9, 0.9), ()),
        ((0.2, -0.3, 0.4), ("1m", "5m", "1h")),
        ((0.2, -0.3, 0.12), ("1m", "5m", "1h")),
        ((0.2, -0.3, BELOW_KEEP), ("1m", "5m")),
        ((None, None, None), ()),
    ],
)
def test_raising(scores: tuple[float | None, ...], expected: tuple[str, ...]) -> None:
    """The windows listed are those of every pair that would keep the conflict."""
    assert Conflict().update(named(*scores), T0) == expected


def test_walk() -> None:
    conflict = Conflict()
    steps: list[tuple[tuple[float | None, ...], tuple[str, ...], int | None]] = [
        ((0.12, -0.12, 0.3), (), None),
        ((0.2, -0.3, 0.3), ("1m", "5m", "1h"), 1),
        ((0.10, -0.10, 0.0), ("1m", "5m"), 1),
        ((BELOW_KEEP, -0.3, 0.1), ("5m", "1h"), 1),
        ((BELOW_KEEP, -0.3, BELOW_KEEP), (), None),
        ((0.14, -0.14, 0.0), (), None),
        ((0.0, -0.15, 0.15), ("5m", "1h"), 6),
        ((0.0, -0.15, None), (), None),
    ]
    for tick, (scores, expected, since) in enumerate(steps):
        assert conflict.update(named(*scores), T0 + tick * TICK_MS) == expected
        assert conflict.since == (None if since is None else T0 + since * TICK_MS)


@given(st.lists(st.floats(-1, 1) | st.none(), min_size=3, max_size=3), st.sampled_from([0.1, 0.15]))
def test_opposed_are_the_members_of_all_pairs(scores: list[float | None], least: float) -> None:
    pairs = named(*scores)
    members = {
        name
        for name, a in pairs
        for _, b in pairs
        if a is not None and b is not None and a * b < 0 and abs(a) >= least and abs(b) >= least
    }
    assert opposed(pairs, least) == tuple(name for name in NAMES if name in members)


def test_reanchor_moves_its_beginning() -> None:
    conflict = Conflict()
    conflict.reanchor(5_000)
    assert conflict.since is None
    conflict.update(named(0.2, -0.2, None), T0)
    conflict.reanchor(-3_000)
    assert conflict.since == T0 - 3_000
