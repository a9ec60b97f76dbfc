"""What histories have in common: pages, order of requests, the end of a period, how long a rate holds."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadPayload
from service.model import Bad, Decoded, HistoryPoint, Listing, Skipped
from service.venues import funding_schedule as schedule
from service.venues import history
from service.venues.binance import history as binance_history
from service.venues.contract import Catalog
from tests.venues.frames import bare_emit

HOUR = 3_600_000
T8 = 1_763_712_000_000  # 08:00 UTC


@pytest.mark.parametrize("module", [history, binance_history, schedule])
def test_examples(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert (result.failed, result.attempted > 0) == (0, True)


@given(
    st.integers(T8, T8 + 10**9),
    st.integers(0, 10**8),
    st.sampled_from((60_000, 300_000)),
    st.integers(1, 1000),
)
def test_pages_cover_every_stamp_once_newest_first(since_ms: int, span_ms: int, step_ms: int, rows: int) -> None:
    now_ms = since_ms + span_ms
    pages = history.pages(since_ms, now_ms, step_ms, rows)
    stamps = [stamp for first, last in reversed(pages) for stamp in range(first, last + 1, step_ms)]
    assert all((last - first) // step_ms + 1 <= rows for first, last in pages)
    assert stamps == list(range(stamps[0], now_ms + 1, step_ms))
    assert stamps[0] <= since_ms - step_ms < stamps[0] + step_ms  # the period that ends at or before the start


LISTING = Listing("venue", "COINUSDT", "COIN", False, 1.0, 1.0, None, True, 0)


def funding(settled: list[tuple[int, float]], fallback_h: float | None, recv_ts: int = T8 + 1) -> list[Decoded]:
    emit = bare_emit(Catalog())
    emit.recv_ts = recv_ts
    history.tell_settled(emit, LISTING, settled, (1, 4, 8), fallback_h)
    return emit.out


def past(ts: int, rate: float, interval_h: float, hold_ms: int) -> HistoryPoint:
    return HistoryPoint("venue", "COINUSDT", "COIN", "funding", ts, rate, interval_h, hold_ms)


def test_funding_takes_its_interval_from_the_spacing_and_holds_a_quarter_longer() -> None:
    assert funding([(T8, 0.0002), (T8 - 4 * HOUR + 7, 0.0001)], None) == [
        past(T8 - 4 * HOUR + 7, 0.0001, 4.0, 5 * HOUR),
        past(T8, 0.0002, 4.0, 5 * HOUR),
    ]


def test_a_lone_rate_takes_metadata_or_is_left_out() -> None:
    assert funding([(T8, 0.0)], 8.0) == [past(T8, 0.0, 8.0, 10 * HOUR)]
    assert funding([(T8, 0.0)], None) == [Skipped("venue", "COINUSDT", "unknown_interval")]


def test_a_settlement_to_come_is_left_out() -> None:
    assert funding([(T8, 0.5)], 8.0, recv_ts=T8 - 1) == []
    assert len(funding([(T8, 0.5)], 8.0, recv_ts=T8)) == 1


def test_rows_are_told_in_their_order_and_what_the_venue_does_not_have_is_refused() -> None:
    emit = bare_emit(Catalog())
    emit.recv_ts = T8
    past_of = history.Past(bar=lambda listing, row: None if row["skip"] else (T8 - 60_000, row["close"]))
    rows = [{"skip": False, "close": 2.5}, {}, {"skip": True}, {"skip": False, "close": 3.5}]
    history.tell_history(emit, past_of, LISTING, "index", rows)
    history.tell_history(emit, past_of, LISTING, "oi", [{}])
    point = HistoryPoint("venue", "COINUSDT", "COIN", "index", T8, 2.5, None, 120_000)
    assert [type(item) for item in emit.out] == [HistoryPoint, Bad, HistoryPoint, Bad]
    assert emit.out[0] == point
    assert [item.reason for item in emit.out if isinstance(item, Bad)] == ["missing_field", "unknown_shape"]
    with pytest.raises(BadPayload, match="unknown_shape"):
        history.tell_history(emit, past_of, LISTING, "trades", rows)


def test_a_name_that_was_not_asked_for() -> None:
    history.same_name("A", "A")
    with pytest.raises(BadPayload) as raised:
        history.same_name("B" * 200, "A")
    assert (raised.value.reason, len(raised.value.detail)) == ("bad_name", 80)
