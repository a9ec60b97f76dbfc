from __future__ import annotations

from service.scoring.strength import HORIZON_MS, Strength
from tests.scoring.factory import T0, ticks


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
