"""History points to minutes of events: when a point counts, how long it stands, and what the live streams overrule."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from service.core.backfill import Archive, Series, minutes
from service.model import Confirm, Event, Funding, HistoryPoint, Listing, Mark, OpenInterest
from tests.core.build import T0

MINUTE = 60_000
LINEAR = Listing("okx", "BTC-USDT-SWAP", "BTC", False, 0.01, 1.0, 8.0, True, 5)
INVERSE = Listing("okx", "BTC-USD-SWAP", "BTC", True, 100.0, 1.0, 8.0, True, 5)


def point(
    stream: str, minute: float, value: float, item: Listing = LINEAR, hold: float = 2.0, **more: Any
) -> HistoryPoint:
    ts, hold_ms = round(T0 + minute * MINUTE), round(hold * MINUTE)
    hours = more.get("interval_h")
    return HistoryPoint(item.venue, item.instrument, "BTC", stream, ts, value, hours, hold_ms)  # type: ignore[arg-type]


def told(points: list[HistoryPoint], count: int, item: Listing = LINEAR, **options: Any) -> list[list[Event]]:
    """The events of the first minutes after T0, without the listings."""
    archive = Archive()
    for each in points:
        archive.add(each)
    made = minutes(archive, [item], T0, options.pop("live", {}), **options)
    result = []
    for number, (minute, events) in enumerate(islice(made, count), 1):
        assert minute == T0 + number * MINUTE
        assert all(event.recv_ts == minute for event in events)
        result.append([event for event in events if not isinstance(event, Listing)])
    return result


def test_the_first_minute_begins_with_the_listings() -> None:
    _, events = next(minutes(Archive(), [LINEAR, INVERSE], T0, {}))
    assert [(type(event), event.instrument, event.recv_ts) for event in events] == [
        (Listing, "BTC-USDT-SWAP", T0 + MINUTE),
        (Listing, "BTC-USD-SWAP", T0 + MINUTE),
    ]


def test_a_point_counts_from_the_first_minute_at_or_after_its_time() -> None:
    """Cause guarded against: a value used before it was known."""
    first, second, third = told([point("mark", 1, 101.5), point("mark", 2.001, 102.5)], 3)
    assert first == [Mark("okx", "BTC-USDT-SWAP", "BTC", 101.5, None, None, T0 + MINUTE)]
    assert second == [Confirm("okx", "BTC-USDT-SWAP", "BTC", ("mark",), None, T0 + 2 * MINUTE)]
    assert third == [Mark("okx", "BTC-USDT-SWAP", "BTC", 102.5, None, None, T0 + 3 * MINUTE)]


def test_of_several_points_between_two_minutes_the_newest_counts() -> None:
    [first] = told([point("mark", 0.2, 1.5), point("mark", 0.9, 2.5), point("mark", 0.5, 3.5)], 1)
    assert first == [Mark("okx", "BTC-USDT-SWAP", "BTC", 2.5, None, None, T0 + MINUTE)]


def test_a_settled_rate_stands_as_long_as_its_own_interval() -> None:
    """Cause: after a change from 8 h to 1 h the last hourly rate stood for ten hours where the next was missing."""
    points = [
        point("funding", 1, 0.0001, hold=600, interval_h=8.0),
        point("funding", 481, -0.0015, hold=75, interval_h=1.0),
    ]
    found = [bool(events) for events in told(points, 700)]
    assert found == [True] * 556 + [False] * 144


def test_a_point_stands_for_its_hold_and_not_a_millisecond_longer() -> None:
    shown = told([point("mark", 1, 101.5)], 5)
    assert [len(events) for events in shown] == [1, 1, 1, 0, 0]
    assert told([point("mark", -1, 101.5)], 1) == [
        [Mark("okx", "BTC-USDT-SWAP", "BTC", 101.5, None, None, T0 + MINUTE)]
    ]
    assert told([point("mark", -1.001, 101.5)], 1) == [[]]


def test_held_interest_is_no_new_observation() -> None:
    """Cause guarded against: an index that takes its values each time interest is observed would count it again."""
    points = [point("oi", 1, 500.0, hold=10), point("oi", 6, 600.0, hold=10)]
    shown = [event for events in told(points, 8) for event in events]
    observed = [event for event in shown if isinstance(event, OpenInterest)]
    assert [(event.contracts, event.contract_coins, event.coins, event.derived) for event in observed] == [
        (500.0, 0.01, 5.0, False),
        (600.0, 0.01, 6.0, False),
    ]
    assert [event.streams for event in shown if isinstance(event, Confirm)] == [("oi",)] * 6


def test_an_inverse_contract_is_converted_at_the_mark_of_its_minute() -> None:
    points = [
        point("oi", 1, 2000.0, INVERSE, 10),
        point("mark", 2, 50_000.0, INVERSE),
        point("mark", 3, 40_000.0, INVERSE),
    ]
    first, second, third = told(points, 3, INVERSE)
    assert first == []  # without a mark nobody knows the coins
    assert isinstance(second[1], OpenInterest)
    assert (second[1].contracts, second[1].contract_coins, second[1].coins) == (2000.0, 0.002, 4.0)
    assert second[1].derived
    assert third[1] == Confirm("okx", "BTC-USD-SWAP", "BTC", ("oi",), None, T0 + 3 * MINUTE)


def test_without_a_contract_size_there_is_no_interest() -> None:
    nameless = Listing("okx", "BTC-USDT-SWAP", "BTC", False, None, 1.0, 8.0, True, 5)
    assert told([point("oi", 1, 500.0)], 2, nameless) == [[], []]


def test_funding_is_settled_and_per_eight_hours() -> None:
    first, second = told([point("funding", 0.5, 0.0002, hold=600, interval_h=4.0)], 2)
    assert first == [Funding("okx", "BTC-USDT-SWAP", "BTC", 0.0002, 4.0, 0.0004, None, True, None, T0 + MINUTE)]
    assert second == [Confirm("okx", "BTC-USDT-SWAP", "BTC", ("funding",), None, T0 + 2 * MINUTE)]
    [unsaid] = told([point("funding", 0.5, 0.0002, hold=600)], 1)
    assert isinstance(unsaid[0], Funding)
    assert (unsaid[0].interval_h, unsaid[0].rate_8h) == (None, None)


def test_beside_a_restored_state_settled_rates_say_nothing() -> None:
    """Cause: a held settled rate would have vouched for the running estimate of before the gap."""
    assert told([point("funding", 0.5, 0.0002, hold=600)], 2, with_funding=False) == [[], []]


def test_an_index_goes_with_its_mark_and_alone_where_the_mark_is_held() -> None:
    points = [point("mark", 1, 101.5), point("index", 1, 100.5), point("index", 2, 100.75)]
    first, second = told(points, 2)
    assert first == [Mark("okx", "BTC-USDT-SWAP", "BTC", 101.5, 100.5, None, T0 + MINUTE)]
    assert second == [
        Mark("okx", "BTC-USDT-SWAP", "BTC", None, 100.75, None, T0 + 2 * MINUTE),
        Confirm("okx", "BTC-USDT-SWAP", "BTC", ("mark",), None, T0 + 2 * MINUTE),
    ]


def test_a_stream_that_speaks_live_overrules_its_past_from_then_on() -> None:
    points = [point("mark", minute, 100.0 + minute) for minute in (1, 2, 3)] + [point("oi", 1, 500.0, hold=10)]
    live = {("okx", "BTC-USDT-SWAP", "mark"): T0 + 2 * MINUTE}
    first, second, third = told(points, 3, live=live)
    assert [type(event).__name__ for event in first] == ["Mark", "OpenInterest"]
    for later in (second, third):
        assert [event.streams for event in later if isinstance(event, Confirm)] == [("oi",)]
        assert len(later) == 1


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (1, 3, 0, 2)])
def test_points_may_come_in_any_order(order: tuple[int, ...]) -> None:
    series = Series()
    for number in order:
        series.add(point("mark", number, 100.0 + number))
    series.add(point("mark", 2, 99.0))  # the same time again: the later answer counts
    assert list(series.times) == [T0 + number * MINUTE for number in range(4)]
    assert list(series.values) == [100.0, 101.0, 99.0, 103.0]
