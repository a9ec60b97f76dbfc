"""Funding intervals measured from the announced times."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from service.model import Funding
from service.venues.contract import Catalog
from service.venues.emit import beyond
from service.venues.funding_schedule import HOUR_MS, running_interval, stated_and_running
from tests.venues.frames import decode, fresh, load

T8 = 1_763_712_000_000  # 08:00 UTC


def measured(*said: tuple[int, int]) -> dict[str, float | None]:
    """What is measured after these (next time, when it was said), in ms after 08:00."""
    catalog = Catalog()
    for next_ts, at in said:
        running_interval(catalog, "X", 8.0, T8 + next_ts, T8 + at, (1, 2, 4, 8))
    return catalog.measured_h


@pytest.mark.parametrize(
    ("said", "hours"),
    [
        ([(0, -1000), (4 * HOUR_MS, 1000)], {"X": 4.0}),
        ([(0, -1000), (4 * HOUR_MS, 0)], {"X": 4.0}),
        ([(0, -1000), (4 * HOUR_MS, HOUR_MS - 1)], {"X": 4.0}),
        ([(0, -1000), (4 * HOUR_MS, HOUR_MS)], {}),  # seen too late: settlements may have been missed
        ([(0, -1000), (3 * HOUR_MS, 1000)], {"X": None}),
        ([(0, -1000), (HOUR_MS + 1, 1000)], {"X": None}),
        # Cause: said some milliseconds early, a rollover counted as rearranged: no interval for a whole period.
        ([(0, -70_000), (HOUR_MS, -60_000)], {"X": 1.0}),
        ([(0, -70_000), (HOUR_MS, -60_001)], {"X": None}),  # rearranged before the old time has passed
        ([(0, -70_000), (4 * HOUR_MS, -1000), (0, -500), (4 * HOUR_MS, 500)], {"X": 4.0}),  # one server still lags
        ([(0, -1000), (HOUR_MS, 1000), (0, -5000), (HOUR_MS, 2000)], {"X": 1.0}),  # a late message in between
        ([(0, -1000), (0, 1000)], {}),
        ([(4 * HOUR_MS, 0)], {}),
    ],
)
def test_measured_intervals(said: list[tuple[int, int]], hours: dict[str, float | None]) -> None:
    assert measured(*said) == hours


def followed(*said: tuple[float | None, int, int]) -> list[float | None]:
    """The intervals after these (stated hours, next time in hours, when it was said in minutes), after 08:00."""
    catalog = Catalog()
    return [
        stated_and_running(catalog, "X", stated_h, T8 + next_h * HOUR_MS, T8 + at * 60_000, (1, 2, 4, 8))
        for stated_h, next_h, at in said
    ]


@pytest.mark.parametrize(
    ("said", "hours"),
    [
        # stated at first sight; of another interval it is not known whether it is the running period's
        ([(8.0, 8, 1), (1.0, 8, 420), (1.0, 9, 480), (1.0, 9, 490)], [8.0, None, 1.0, 1.0]),
        ([(1.0, 1, 1), (8.0, 1, 30), (8.0, 8, 61)], [1.0, None, None]),  # 7 h are no interval: in doubt until 16:00
        ([(1.0, 1, 1), (1.0, 2, 60), (4.0, 2, 70), (4.0, 6, 120)], [1.0, 1.0, 1.0, 4.0]),  # measured: sure
        ([(8.0, 8, 1), (1.0, 8, 2), (8.0, 8, 3)], [8.0, None, None]),  # and back: still in doubt
        ([(None, 8, 1), (4.0, 8, 2), (None, 8, 3)], [None, 4.0, None]),  # nothing said is no other interval
        ([(4.0, 0, -1), (4.0, 4, 1), (4.0, 12, 500)], [4.0, 4.0, 4.0]),  # missed one: stated as measured before
        ([(4.0, 0, -1), (4.0, 4, 1), (1.0, 9, 500), (1.0, 10, 541)], [4.0, 4.0, None, 1.0]),  # or not
        ([(8.0, 0, -1), (1.0, 5, 250), (1.0, 6, 301)], [8.0, None, 1.0]),  # missed one: another than stated before
        ([(6.0, 0, -1), (6.0, 6, 1)], [6.0, 6.0]),  # a length that is stated is one that the venue has
    ],
)
def test_a_stated_interval_may_be_the_next_periods(
    said: list[tuple[float | None, int, int]], hours: list[float | None]
) -> None:
    assert followed(*said) == hours


def test_a_period_ends_within_its_length() -> None:
    """Cause: a settlement in three hours, stated as hourly: the rate of the longer period counted three times."""
    for hours, away_ms, wrong in ((1.0, 3 * HOUR_MS, True), (8.0, 8 * HOUR_MS + 600_000, False)):
        assert beyond(hours, T8 + away_ms, T8) is wrong
    assert beyond(8.0, T8 + 8 * HOUR_MS + 600_001, T8)
    assert not beyond(None, T8 + 9 * HOUR_MS, T8)
    assert not beyond(8.0, None, T8)
    assert not beyond(8.0, T8 + 9 * HOUR_MS, None)


def stamped(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def announcing(venue: str, at: int, next_ts: int) -> dict[str, Any]:
    """A venue's message at a time, with the next funding time."""
    if venue.startswith(("binance", "aster")):
        name = "BTCUSD_PERP" if venue == "binance_coinm" else "LPTUSDT"
        return {"e": "markPriceUpdate", "E": at, "s": name, "p": "5.5", "i": "5.25", "r": "0.0001", "T": next_ts}
    fixture = {"bybit": "ws_tickers_snapshot", "okx": "ws_funding_rate", "bitmex": "ws_partial_inverse"}
    frame: dict[str, Any] = json.loads(
        load(venue, fixture.get(venue, "ws_ticker" if venue == "bitget" else "ws_tickers"))
    )
    if venue == "bybit":
        frame.update(ts=at, cs=at)
        frame["data"]["nextFundingTime"] = str(next_ts)
    elif venue == "bitget":
        frame["data"][0].update(ts=str(at), nextFundingTime=str(next_ts))
    elif venue == "gate":
        frame["time_ms"] = at
        frame["result"][0]["funding_next_apply"] = next_ts // 1000
    elif venue == "bitmex":
        frame["data"][0].update(timestamp=stamped(at), fundingTimestamp=stamped(next_ts))
    else:
        frame["data"][0].update(ts=str(at), fundingTime=str(next_ts), nextFundingTime=str(next_ts + 2 * HOUR_MS))
        del frame["data"][0]["prevFundingTime"]
    return frame


@pytest.mark.parametrize(
    ("early_ms", "interval_h"), [(-1000, 2.0), (0, 2.0), (1, 2.0), (59_000, 2.0), (60_000, 2.0), (61_000, None)]
)
@pytest.mark.parametrize(
    "venue", ["binance_usdm", "binance_coinm", "bybit", "okx", "bitget", "gate", "bitmex", "aster"]
)
def test_a_rollover_said_a_minute_early_measures_the_period(
    venue: str, early_ms: int, interval_h: float | None
) -> None:
    """Cause: said a millisecond early, it was a schedule rearranged, and the rate was unknown for a whole period."""
    decoder = fresh(venue)

    def said(at: int, next_ts: int) -> float | None:
        (found,) = [item for item in decode(decoder, announcing(venue, at, next_ts), at) if isinstance(item, Funding)]
        return found.interval_h

    said(T8 - 90_000, T8)
    assert said(T8 - early_ms, T8 + 2 * HOUR_MS) == interval_h
    assert said(T8 + HOUR_MS, T8 + 2 * HOUR_MS) == interval_h
    assert said(T8 + 2 * HOUR_MS - early_ms, T8 + 3 * HOUR_MS) == (None if interval_h is None else 1.0)


@pytest.mark.parametrize(
    "venue", ["binance_usdm", "binance_coinm", "bybit", "okx", "bitget", "gate", "bitmex", "aster"]
)
def test_an_interval_too_short_for_the_next_settlement_is_in_doubt_until_it_however_near_it_comes(venue: str) -> None:
    """Cause: stated hourly with a settlement in twenty hours, null at first, but in the last hour the longer period's
    rate was read as an hour's."""
    decoder = fresh(venue)
    next_ts = T8 + 20 * HOUR_MS

    def said(at: int, next_ts: int) -> float | None:
        (found,) = [item for item in decode(decoder, announcing(venue, at, next_ts), at) if isinstance(item, Funding)]
        return found.interval_h

    assert said(T8, next_ts) is None
    assert said(next_ts - HOUR_MS // 2, next_ts) is None
    said(next_ts + 1000, next_ts + 2 * HOUR_MS)
    assert said(next_ts + 2 * HOUR_MS + 1000, next_ts + 4 * HOUR_MS) == 2.0
