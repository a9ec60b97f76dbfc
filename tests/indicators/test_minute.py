"""Which sample speaks for a minute, and when the minute is over."""

from __future__ import annotations

import pytest

from service.indicators.contract import Level
from service.indicators.minute import MinuteValues
from service.indicators.trailing import Trailing
from service.model import Consensus
from tests.indicators.build import MINUTE, SECOND, T0, sample, through_json

M0 = T0 // MINUTE


class Kept(Level):
    """Records what it is fed."""

    NAME = "kept"
    FLOOR = 1.0
    __slots__ = ("calls",)

    def __init__(self) -> None:
        super().__init__(Trailing())
        self.calls: list[tuple[str, int, float | None]] = []

    def of(self, sample: Consensus) -> float | None:
        return sample.funding_8h

    def hold(self, first: int, until: int, x: float | None) -> None:
        self.calls += [("update", t, x) for t in range(first, until)]

    def advance(self, now: int) -> None:
        self.calls.append(("advance", now, None))


def book() -> tuple[MinuteValues, Kept]:
    kept = Kept()
    return MinuteValues([kept]), kept


def test_the_last_non_null_quorum_sample_of_the_minute() -> None:
    made, kept = book()
    made.update(sample(T0, funding_8h=1.0))
    made.update(sample(T0 + 30 * SECOND, funding_8h=0.0))
    made.update(sample(T0 + 58 * SECOND, funding_8h=None))
    made.update(sample(T0 + 59 * SECOND, funding_8h=3.0, quorum=False))
    assert kept.calls == []
    made.update(sample(T0 + 60 * SECOND, funding_8h=4.0))
    assert kept.calls == [("update", M0, 0.0), ("advance", M0 + 1, None)]


def test_a_minute_without_value_is_said_to_have_none() -> None:
    made, kept = book()
    made.update(sample(T0, funding_8h=1.0))
    made.update(sample(T0 + MINUTE, quorum=False))
    made.update(sample(T0 + 5 * MINUTE + 1, funding_8h=2.0))
    assert kept.calls[2:] == [("update", M0 + 1, None), ("advance", M0 + 5, None)]


@pytest.mark.parametrize(("step_s", "held"), [(600, 10), (599, 1), (60, 1)])
def test_a_sample_of_several_minutes_says_that_the_one_before_held_so_long(step_s: int, held: int) -> None:
    """Exactly as many as it stands for; one that stands for less leaves the minutes in between without a value."""
    made, kept = book()
    made.update(sample(T0, funding_8h=1.0))
    made.update(sample(T0 + 10 * MINUTE, funding_8h=2.0, step_s=step_s))
    updates = [call for call in kept.calls if call[0] == "update"]
    assert updates == [("update", M0 + minute, 1.0) for minute in range(held)]


def test_after_a_backward_reanchor_samples_count_for_the_running_minute() -> None:
    made, kept = book()
    made.update(sample(T0 + 10 * SECOND, funding_8h=1.0))
    made.update(sample(T0 - 15 * SECOND, funding_8h=2.0))
    assert kept.calls == []
    assert made.minute == M0
    made.update(sample(T0 + MINUTE))
    assert kept.calls[0] == ("update", M0, 2.0)


def test_reanchor_and_reload() -> None:
    made, _ = book()
    made.update(sample(T0, funding_8h=1.0))
    made.reanchor(-3)
    other, kept = book()
    other.load(through_json(made.dump()))
    other.update(sample(T0 - 2 * MINUTE))
    assert kept.calls[0] == ("update", M0 - 3, 1.0)
