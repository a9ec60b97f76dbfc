"""A month by the hour: what each venue is asked, within its limits, and what its answers give."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from service.model import HistoryPoint, Listing
from service.venues import VENUES
from service.venues.contract import Catalog, Request
from service.venues.history import HOURLY, funding_pages, subject_of
from tests.venues.frames import T0, decode, fresh, reasons

HOUR = 3_600_000
TEN, NINE, EIGHT = 1_763_719_200_000, 1_763_715_600_000, 1_763_712_000_000  # T0 is six seconds after ten
SINCE = T0 - 31 * 24 * HOUR
PUBLISHING = ("binance_usdm", "binance_coinm", "bybit", "okx", "gate", "kraken_futures")  # open interest of the past
LISTED = {
    "binance_usdm": Listing("binance_usdm", "ETHUSDT", "ETH", False, 1.0, 1.0, 8.0, True, T0),
    "binance_coinm": Listing("binance_coinm", "ETHUSD_PERP", "ETH", True, 10.0, 1.0, 8.0, True, T0),
    "bybit": Listing("bybit", "SOLUSDT", "SOL", False, 1.0, 1.0, 8.0, True, T0),
    "okx": Listing("okx", "SOL-USDT-SWAP", "SOL", False, 1.0, 1.0, 8.0, True, T0),
    "gate": Listing("gate", "ETH_USDT", "ETH", False, 0.01, 1.0, 8.0, True, T0),
    "kraken_futures": Listing("kraken_futures", "PF_ETHUSD", "ETH", False, 1.0, 1.0, 1.0, True, T0),
}


def month(venue: str, listing: Listing | None = None) -> list[Request]:
    return VENUES[venue].month(VENUES[venue].endpoints, listing or LISTED[venue], SINCE, T0)


def query(request: Request) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(request.url).query).items()}


def asked(venue: str, what: str) -> list[dict[str, str]]:
    return [query(request) for request in month(venue) if request.context.split(":")[1] == what]


@pytest.mark.parametrize("venue", sorted(set(VENUES) - set(PUBLISHING)))
def test_a_venue_without_past_open_interest_is_not_asked(venue: str) -> None:
    assert month(venue, Listing(venue, "X", "X", False, 1.0, 1.0, 8.0, True, T0)) == []


def test_nor_is_one_for_contracts_that_it_has_none_of() -> None:
    inverse = Listing("kraken_futures", "PI_XBTUSD", "BTC", True, 1.0, 1.0, 1.0, True, T0)
    assert month("kraken_futures", inverse) == []


@pytest.mark.parametrize(
    ("venue", "requests", "weight"),
    [
        ("binance_usdm", {"hourly_mark": 1, "hourly_oi": 2, "funding": 1}, 8.0),
        ("binance_coinm", {"hourly_mark": 1, "hourly_oi": 2, "funding": 1}, 8.0),
        ("bybit", {"hourly_mark": 1, "hourly_oi": 4, "funding": 1}, 6.0),
        ("okx", {"hourly_mark": 8, "hourly_oi": 8, "funding": 2}, 21.0),
        ("gate", {"hourly_mark": 1, "hourly_oi": 8, "funding": 1}, 10.0),
        ("kraken_futures", {"hourly_mark": 1, "hourly_oi": 1, "funding": 1}, 3.0),
    ],
)
def test_what_a_symbol_costs(venue: str, requests: dict[str, int], weight: float) -> None:
    """As docs/start.md says."""
    found = month(venue)
    assert Counter(request.context.split(":")[1] for request in found) == requests
    assert sum(request.weight for request in found) == weight  # integers
    assert {subject_of(request.context) for request in found} == {
        (what, LISTED[venue].instrument) for what in (*HOURLY, "funding")
    }


def test_hourly_rates_of_a_month_come_in_pages() -> None:
    listing = Listing("bybit", "SOLUSDT", "SOL", False, 1.0, 1.0, 1.0, True, T0)
    spans = [query(request) for request in month("bybit", listing) if "funding" in request.url]
    assert len(spans) == 4
    assert all(int(span["endTime"]) - int(span["startTime"]) < 200 * HOUR for span in spans)
    assert funding_pages(SINCE, T0, None, 200) == funding_pages(SINCE, T0, 1.0, 200)


def test_binance_is_asked_for_what_it_keeps() -> None:
    for venue in ("binance_usdm", "binance_coinm"):
        [marks] = asked(venue, "hourly_mark")
        assert marks["interval"] == "1h"
        assert int(marks["limit"]) == (int(marks["endTime"]) - int(marks["startTime"])) // HOUR + 1 <= 1000
        interests = asked(venue, "hourly_oi")
        assert {item["period"] for item in interests} == {"1h"}
        assert all(int(item["limit"]) <= 500 for item in interests)
        assert T0 - min(int(item["startTime"]) for item in interests) < 30 * 24 * HOUR  # older is refused


def test_pages_of_the_others_join_and_fit() -> None:
    for venue, what, first, last, step, rows in (
        ("bybit", "hourly_oi", "startTime", "endTime", 1, 200),
        ("okx", "hourly_oi", "begin", "end", 1, 102),  # bounds are exclusive
        ("okx", "hourly_mark", "before", "after", 1, 102),
    ):
        spans = sorted((int(item[first]), int(item[last])) for item in asked(venue, what))
        assert all((end - begin) // HOUR < rows for begin, end in spans)
        assert spans[0][0] <= SINCE
        assert all(later[0] - earlier[1] <= step * HOUR for earlier, later in pairwise(spans))
    assert {item["intervalTime"] for item in asked("bybit", "hourly_oi")} == {"1h"}
    assert {item["bar"] for item in asked("okx", "hourly_mark")} == {"1H"}
    assert {item["period"] for item in asked("okx", "hourly_oi")} == {"1H"}
    assert {item["interval"] for item in asked("gate", "hourly_oi")} == {"1h"}
    starts = sorted(int(item["from"]) for item in asked("gate", "hourly_oi"))
    assert {later - earlier for earlier, later in pairwise(starts[1:])} == {360_000}
    [oi] = asked("kraken_futures", "hourly_oi")
    assert (oi["interval"], int(oi["since"]) * 1000 <= SINCE) == ("3600", True)


MARKS: dict[str, Any] = {
    "binance_usdm": [
        [EIGHT, "3001.1", "3009.4", "2999.2", "3005.3", "0", NINE - 1, "0", 3600, "0", "0", "0"],
        [NINE, "3005.3", "3020.5", "3004.6", "3017.7", "0", TEN - 1, "0", 3599, "0", "0", "0"],
        [TEN, "3017.7", "3018.8", "3016.9", "3017.2", "0", TEN + HOUR - 1, "0", 6, "0", "0", "0"],
    ],
    "bybit": {
        "retCode": 0,
        "retMsg": "OK",
        "result": {
            "symbol": "SOLUSDT",
            "category": "linear",
            "list": [
                [str(TEN), "3017.7", "3018.8", "3016.9", "3017.2"],
                [str(NINE), "3005.3", "3020.5", "3004.6", "3017.7"],
                [str(EIGHT), "3001.1", "3009.4", "2999.2", "3005.3"],
            ],
        },
        "retExtInfo": {},
        "time": T0,
    },
    "okx": {
        "code": "0",
        "msg": "",
        "data": [
            [str(TEN), "3017.7", "3018.8", "3016.9", "3017.2", "0"],
            [str(NINE), "3005.3", "3020.5", "3004.6", "3017.7", "1"],
            [str(EIGHT), "3001.1", "3009.4", "2999.2", "3005.3", "1"],
        ],
    },
    "gate": [
        {"t": EIGHT // 1000, "o": "3001.1", "h": "3009.4", "l": "2999.2", "c": "3005.3"},
        {"t": NINE // 1000, "o": "3005.3", "h": "3020.5", "l": "3004.6", "c": "3017.7"},
        {"t": TEN // 1000, "o": "3017.7", "h": "3018.8", "l": "3016.9", "c": "3017.2"},
    ],
    "kraken_futures": {
        "candles": [
            {"time": EIGHT, "open": "3001.1", "high": "3009.4", "low": "2999.2", "close": "3005.3", "volume": "0"},
            {"time": NINE, "open": "3005.3", "high": "3020.5", "low": "3004.6", "close": "3017.7", "volume": "0"},
            {"time": TEN, "open": "3017.7", "high": "3018.8", "low": "3016.9", "close": "3017.2", "volume": "0"},
        ],
        "more_candles": False,
    },
}
MARKS["binance_coinm"] = MARKS["binance_usdm"]
INTERESTS: dict[str, Any] = {
    "binance_usdm": [
        {"symbol": "ETHUSDT", "sumOpenInterest": "410.5", "sumOpenInterestValue": "1233675.7", "timestamp": EIGHT},
        {"symbol": "ETHUSDT", "sumOpenInterest": "420.25", "sumOpenInterestValue": "1268188.4", "timestamp": NINE},
    ],
    "binance_coinm": [
        {
            "pair": "ETHUSD",
            "contractType": "PERPETUAL",
            "sumOpenInterest": "410.5",
            "sumOpenInterestValue": "1.3659",
            "timestamp": EIGHT,
        },
        {
            "pair": "ETHUSD",
            "contractType": "PERPETUAL",
            "sumOpenInterest": "420.25",
            "sumOpenInterestValue": "1.3926",
            "timestamp": NINE,
        },
    ],
    "bybit": {
        "retCode": 0,
        "retMsg": "OK",
        "result": {
            "symbol": "SOLUSDT",
            "category": "linear",
            "list": [
                {"openInterest": "840.5", "singleOpenInterest": "420.25", "timestamp": str(NINE)},
                {"openInterest": "821", "timestamp": str(EIGHT // 1000)},
            ],
            "nextPageCursor": "",
        },
        "retExtInfo": {},
        "time": T0,
    },
    "okx": {
        "code": "0",
        "msg": "",
        "data": [[str(NINE), "420.25", "421", "1268188"], [str(EIGHT), "410.5", "411", "1233675"]],
    },
    "gate": [
        {"time": EIGHT // 1000, "mark_price": 3005.3, "open_interest": 821, "open_interest_usd": 24673.5},
        {"time": NINE // 1000, "mark_price": 3017.7, "open_interest": 840.5, "open_interest_usd": 25363.8},
    ],
    "kraken_futures": {
        "result": {
            "timestamp": [EIGHT // 1000, NINE // 1000],
            "more": False,
            "data": [["409.5", "411.5", "409.25", "410.5"], ["410.5", "421.5", "410.25", "420.25"]],
        },
        "errors": [],
    },
}


def points(venue: str, answer: Any, what: str) -> list[tuple[str, int, float, int]]:
    catalog = Catalog()
    catalog.listings[LISTED[venue].instrument] = LISTED[venue]
    found = decode(fresh(venue, catalog), json.dumps(answer), T0, f"history:{what}:{LISTED[venue].instrument}")
    assert all(isinstance(item, HistoryPoint) for item in found), found
    return sorted((item.stream, item.ts, item.value, item.hold_ms) for item in found if isinstance(item, HistoryPoint))


@pytest.mark.parametrize("venue", PUBLISHING)
def test_an_hour_is_known_at_its_end_and_stands_for_two(venue: str) -> None:
    assert points(venue, MARKS[venue], "hourly_mark") == [
        ("mark", NINE, 3005.3, 2 * HOUR),
        ("mark", TEN, 3017.7, 2 * HOUR),  # and the hour under way is not known
    ]
    assert points(venue, INTERESTS[venue], "hourly_oi") == [
        ("oi", NINE, 410.5, 2 * HOUR),
        ("oi", TEN, 420.25, 2 * HOUR),  # one side of two, where the venue counts both
    ]


@pytest.mark.parametrize("venue", PUBLISHING)
def test_minutes_where_hours_were_asked_for_are_refused(venue: str) -> None:
    """Their close would pass for that of an hour that was not over."""
    text = json.dumps(MARKS[venue])
    for hour, minute in ((EIGHT, 1), (NINE, 2), (TEN, 3)):
        text = text.replace(str(hour // 1000), str((NINE + minute * 60_000) // 1000))
    catalog = Catalog()
    catalog.listings[LISTED[venue].instrument] = LISTED[venue]
    found = decode(fresh(venue, catalog), text, T0, f"history:hourly_mark:{LISTED[venue].instrument}")
    assert set(reasons(found)) == {"out_of_bounds"}


@pytest.mark.parametrize("venue", ["binance_usdm", "binance_coinm"])
def test_hours_where_minutes_were_asked_for_are_refused(venue: str) -> None:
    catalog = Catalog()
    catalog.listings[LISTED[venue].instrument] = LISTED[venue]
    found = decode(fresh(venue, catalog), json.dumps(MARKS[venue]), T0, f"history:mark:{LISTED[venue].instrument}")
    assert set(reasons(found)) == {"out_of_bounds"}
