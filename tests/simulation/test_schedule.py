from __future__ import annotations

import random
from itertools import pairwise

import pytest

from service.simulation.schedule import (
    BUILD_UP,
    CALM,
    CASCADE,
    CROWDING,
    FLUSH,
    MINUTE_MS,
    PHASES,
    RESET,
    Schedule,
    plays,
)

START_MS = 1_763_720_040_000
HOUR_MS = 3_600_000


def walk(schedule: Schedule, begin: int, end: int) -> list[tuple[int, str, int]]:
    """(start, phase, side) of every segment met from ``begin`` to ``end``, minute by minute."""
    met = []
    for ts in range(begin, end, MINUTE_MS):
        segment = schedule.at(ts)
        assert segment.start_ms <= ts < segment.end_ms
        if not met or met[-1][0] != segment.start_ms:
            met.append((segment.start_ms, segment.phase.name, segment.side))
    return met


@pytest.mark.parametrize("seed", range(5))
def test_phases_follow_each_other_in_order_and_all_occur(seed: int) -> None:
    met = walk(Schedule(random.Random(seed), START_MS), START_MS, START_MS + 96 * HOUR_MS)
    order = [phase.name for phase in PHASES]
    assert {name for _, name, _ in met} == set(order)
    for (_, before, side_before), (_, after, side_after) in pairwise(met):
        quiet = before == "crowding" and after == "calm"
        assert quiet or order.index(after) == (order.index(before) + 1) % len(order)
        assert side_after == side_before or after == "build_up"


def test_both_sides_and_quiet_ends_occur() -> None:
    met = walk(Schedule(random.Random(1), START_MS), START_MS, START_MS + 800 * HOUR_MS)
    assert {side for _, name, side in met if name == "crowding"} == {-1, 1}
    assert any(a[1] == "crowding" and b[1] == "calm" for a, b in pairwise(met))


def test_a_play_replaces_what_was_drawn_and_chance_goes_on_after_it() -> None:
    live = START_MS + 5 * HOUR_MS
    schedule = Schedule(random.Random(2), START_MS)
    schedule.direct(START_MS, plays(live)[0])
    met = walk(schedule, START_MS, live + 10 * HOUR_MS)
    minutes = [(round((start - live) / MINUTE_MS), name) for start, name, _ in met]
    at = minutes.index((-170, "build_up"))
    assert minutes[at + 1 : at + 5] == [(-70, "crowding"), (2, "cascade"), (3, "flush"), (6, "reset")]
    assert minutes[at + 5][0] == 96
    assert met[at + 1][2] == 1


def test_a_play_that_began_in_the_past_is_clipped_and_its_pace_kept() -> None:
    whole = Schedule(random.Random(2), START_MS - 10 * HOUR_MS)
    whole.direct(START_MS - 10 * HOUR_MS, plays(START_MS)[0])
    whole.at(START_MS - HOUR_MS)
    clipped = Schedule(random.Random(3), START_MS)
    clipped.direct(START_MS, plays(START_MS)[0])
    segment = clipped.at(START_MS)
    assert (segment.phase, segment.start_ms, segment.end_ms) == (CROWDING, START_MS, START_MS + 2 * MINUTE_MS)
    low, high = (value / (72 * 60) for value in CROWDING.oi)
    assert low <= segment.oi_per_s <= high


def test_a_later_start_puts_off_what_has_not_happened_yet() -> None:
    schedule = Schedule(random.Random(2), START_MS - 10 * HOUR_MS)
    schedule.direct(START_MS - 10 * HOUR_MS, plays(START_MS)[0])
    assert schedule.at(START_MS + MINUTE_MS).phase is CROWDING
    late = START_MS + 90_000
    schedule.direct(late, plays(late)[0])
    assert schedule.at(late + 119_000).phase is CROWDING
    assert schedule.at(late + 121_000).phase is CASCADE
    assert schedule.at(late + 200_000).phase is FLUSH
    assert schedule.at(late + 7 * MINUTE_MS).phase is RESET


def test_a_play_that_is_over_changes_nothing() -> None:
    schedule = Schedule(random.Random(2), START_MS)
    before = schedule.at(START_MS)
    schedule.direct(START_MS, plays(START_MS - 24 * HOUR_MS)[0])
    assert schedule.at(START_MS) is before


def test_the_plays_show_both_crowds_and_a_build_up() -> None:
    first, second, third = plays(START_MS)
    assert [act[2] for act in first] == [BUILD_UP, CROWDING, CASCADE, FLUSH, RESET] == [act[2] for act in second]
    assert [act[2] for act in third] == list(PHASES)
    assert third[0][2] is CALM
    assert {act[3] for act in first} == {1}
    assert {act[3] for act in second} == {-1}
