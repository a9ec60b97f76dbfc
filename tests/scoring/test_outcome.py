from __future__ import annotations

import pytest

from service.scoring.outcome import HORIZON_MS, Record
from tests.scoring.factory import T0


def one(record: Record, ts: int, direction: str, before: float, after: float) -> int:
    record.take(direction, before, ts)
    record.mature(after, ts + HORIZON_MS)
    return ts + HORIZON_MS


def test_without_a_record_it_is_a_coin() -> None:
    assert Record().p_hit == 0.5


@pytest.mark.parametrize(
    ("direction", "before", "after", "n", "hits"),
    [
        ("long", 100.0, 100.5, 1, 1),
        ("long", 100.0, 99.5, 1, 0),
        ("short", 100.0, 99.5, 1, 1),
        ("short", 100.0, 100.5, 1, 0),
        ("long", 100.0, 100.0, 0, 0),
        ("neutral", 100.0, 101.0, 0, 0),
    ],
)
def test_what_is_a_hit(direction: str, before: float, after: float, n: int, hits: int) -> None:
    record = Record()
    one(record, T0, direction, before, after)
    assert (record.n, record.hits) == (n, hits)


def test_arithmetic() -> None:
    """100 outcomes, 70 of them hits: 0.5 + 100/500 * 0.2."""
    record = Record()
    ts = T0
    for n in range(100):
        ts = one(record, ts, "long", 100.0, 101.0 if n < 70 else 99.0)
    assert record.p_hit == pytest.approx(0.54, abs=1e-15)


def test_matures_at_the_first_tick_an_hour_on_with_a_price() -> None:
    record = Record()
    record.take("long", 100.0, T0)
    record.mature(101.0, T0 + HORIZON_MS - 1)
    assert record.n == 0
    record.mature(None, T0 + HORIZON_MS)
    assert record.n == 0
    record.mature(101.0, T0 + HORIZON_MS + 10_000)
    assert record.n == 1
    record.mature(102.0, T0 + 3 * HORIZON_MS)
    assert record.n == 1


@pytest.mark.parametrize(("late_ms", "counted"), [(0, 1), (60_000, 1), (60_001, 0)])
def test_a_price_hours_after_it_was_due_is_not_the_outcome_at_one_hour(late_ms: int, counted: int) -> None:
    """Cause: after hours without data the first price was taken for that of the hour."""
    record = Record()
    record.take("long", 100.0, T0)
    record.mature(None, T0 + HORIZON_MS)
    record.mature(101.0, T0 + HORIZON_MS + late_ms)
    assert record.n == counted
    record.take("short", 100.0, T0 + 3 * HORIZON_MS)
    record.mature(99.0, T0 + 4 * HORIZON_MS)
    assert record.n == counted + 1


def test_outcomes_do_not_overlap() -> None:
    record = Record()
    record.take("long", 100.0, T0)
    record.take("short", 90.0, T0 + 10_000)
    record.mature(101.0, T0 + HORIZON_MS)
    assert (record.n, record.hits) == (1, 1)


def test_no_price_no_outcome() -> None:
    record = Record()
    record.take("long", None, T0)
    record.take(None, 100.0, T0)
    record.mature(101.0, T0 + HORIZON_MS)
    assert record.n == 0


def test_a_dropped_outcome_makes_room() -> None:
    """A zero return is not counted, yet the next outcome may be taken at that tick."""
    record = Record()
    ts = one(record, T0, "long", 100.0, 100.0)
    one(record, ts, "short", 100.0, 99.0)
    assert (record.n, record.hits) == (1, 1)


def test_reanchor_keeps_the_hour() -> None:
    record = Record()
    record.reanchor(1_000)
    record.take("long", 100.0, T0)
    record.reanchor(-7_000)
    record.mature(101.0, T0 - 8_000 + HORIZON_MS)
    assert record.n == 0
    record.mature(101.0, T0 - 7_000 + HORIZON_MS)
    assert record.n == 1
