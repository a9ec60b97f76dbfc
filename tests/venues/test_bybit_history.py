"""Bybit: requests for the past and their answers."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from service.model import Control, HistoryPoint, Listing
from service.venues.bybit.venue import Bybit
from service.venues.contract import Request
from tests.venues.frames import T0, decode, fresh, left_out, load, reasons

VENUE = Bybit()
NAME = "bybit"
MINUTE, HOUR = 60_000, 3_600_000
LINEAR = Listing(NAME, "SOLUSDT", "SOL", False, 1.0, 1.0, 8.0, True, T0)
INVERSE = Listing(NAME, "BTCUSD", "BTC", True, 1.0, 1.0, 8.0, True, T0)


def requests(listing: Listing = LINEAR, hours: int = 26) -> list[Request]:
    return VENUE.history(VENUE.endpoints, listing, T0 - hours * HOUR, T0)


def query(request: Request) -> dict[str, Any]:
    found = {key: values[0] for key, values in parse_qs(urlsplit(request.url).query).items()}
    return {key: int(value) if value.isdecimal() else value for key, value in found.items()}


def past(stream: str, ts: int, value: float, hold_ms: int, listing: Listing = LINEAR) -> HistoryPoint:
    return HistoryPoint(NAME, listing.instrument, listing.symbol, stream, ts, value, None, hold_ms)  # type: ignore[arg-type]


def test_most_needed_and_newest_first() -> None:
    found = requests()
    assert [request.context for request in found] == [
        f"history:{what}:SOLUSDT" for what in ("mark", "oi", "index", "funding", "mark", "oi", "index")
    ]
    assert [urlsplit(request.url).path for request in found[:4]] == [
        "/v5/market/mark-price-kline",
        "/v5/market/open-interest",
        "/v5/market/index-price-kline",
        "/v5/market/funding/history",
    ]
    newest, older = (query(request) for request in found if "mark-price" in request.url)
    floor = T0 // MINUTE * MINUTE
    assert (newest["end"], newest["start"], newest["limit"]) == (floor, floor - 999 * MINUTE, 1000)
    assert (older["end"], older["start"]) == (floor - 1000 * MINUTE, (T0 - 26 * HOUR) // MINUTE * MINUTE - MINUTE)
    assert {request.weight for request in found} == {1.0}
    assert {query(request)["category"] for request in found} == {"linear"}
    assert {query(request)["category"] for request in requests(INVERSE)} == {"inverse"}


@pytest.mark.parametrize("hours", [2, 26, 72])
def test_pages_respect_the_venues_limits(hours: int) -> None:
    for request in requests(LINEAR, hours):
        asked = query(request)
        if "kline" in request.url:
            assert (asked["end"] - asked["start"]) // MINUTE + 1 <= asked["limit"] == 1000
        elif "open-interest" in request.url:
            assert (asked["endTime"] - asked["startTime"]) // (5 * MINUTE) + 1 <= asked["limit"] == 200
        else:
            assert (asked["startTime"], asked["endTime"]) == (T0 - (hours + 24) * HOUR, T0)
            assert (asked["endTime"] - asked["startTime"]) // HOUR <= asked["limit"] == 200


def test_a_bar_is_valid_at_its_end_and_not_before_it_is_over() -> None:
    body = load(NAME, "http_get_mark_price_kline")
    closed = [past("mark", 1763719200000, 141.11, 120_000), past("mark", 1763719140000, 140.95, 120_000)]
    assert decode(fresh(NAME), body, T0, "history:mark:SOLUSDT") == closed
    assert decode(fresh(NAME), body, 1763719259999, "history:mark:SOLUSDT") == closed
    over = decode(fresh(NAME), body, 1763719260000, "history:mark:SOLUSDT")
    assert over == [past("mark", 1763719260000, 141.12, 120_000), *closed]
    found = decode(fresh(NAME), body, T0, "history:index:SOLUSDT")
    assert [item.stream for item in found if isinstance(item, HistoryPoint)] == ["index", "index"]


def test_prices_are_per_canonical_unit() -> None:
    body = load(NAME, "http_get_mark_price_kline").replace("SOLUSDT", "1000000MOGUSDT")
    found = decode(fresh(NAME), body, T0, "history:mark:1000000MOGUSDT")
    assert [(item.symbol, item.value) for item in found if isinstance(item, HistoryPoint)] == [
        ("MOG", pytest.approx(141.11e-6)),
        ("MOG", pytest.approx(140.95e-6)),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (["1763719140000", "1", "1", "1", ""], "bad_number"),
        (["1763719140001", "1", "1", "1", "1"], "out_of_bounds"),
        (["1763719140000", "1", "1"], "missing_field"),
        ({"start": 1}, "wrong_type"),
    ],
)
def test_a_broken_bar_costs_itself_only(row: object, reason: str) -> None:
    body = json.loads(load(NAME, "http_get_mark_price_kline"))
    body["result"]["list"][1] = row
    found = decode(fresh(NAME), body, T0, "history:mark:SOLUSDT")
    assert reasons(found) == [reason]
    assert found[1] == past("mark", 1763719140000, 140.95, 120_000)


def test_open_interest_is_one_sided_and_counts_from_the_end_of_its_period() -> None:
    """The older row has both sides only, and its time in seconds; the newer one's five minutes are not over."""
    body = load(NAME, "http_get_open_interest")
    older = past("oi", 1763719200000, 3950000.3, 600_000)
    assert decode(fresh(NAME), body, T0, "history:oi:SOLUSDT") == [older]
    newer = past("oi", 1763719500000, 4000000.3, 600_000)
    assert decode(fresh(NAME), body, 1763719500000, "history:oi:SOLUSDT") == [newer, older]


def test_inverse_open_interest_is_in_dollars_without_any_mark() -> None:
    rows = [{"openInterest": "640000000", "singleOpenInterest": "", "timestamp": "1763718600000"}]
    body = {"retCode": 0, "result": {"symbol": "BTCUSD", "category": "inverse", "list": rows}}
    assert decode(fresh(NAME), body, T0, "history:oi:BTCUSD") == [past("oi", 1763718900000, 320e6, 600_000, INVERSE)]


def test_settled_rates() -> None:
    found = decode(fresh(NAME), load(NAME, "http_get_funding_history"), T0, "history:funding:SOLUSDT")
    assert found == [
        HistoryPoint(NAME, "SOLUSDT", "SOL", "funding", 1763697600000, -0.0002, 4.0, 5 * HOUR),
        HistoryPoint(NAME, "SOLUSDT", "SOL", "funding", 1763712000000, 0.0003, 4.0, 5 * HOUR),
    ]


def test_answers_about_another_instrument_are_refused() -> None:
    decoder = fresh(NAME)
    for name in ("http_get_mark_price_kline", "http_get_open_interest"):
        assert reasons(decode(decoder, load(NAME, name), T0, "history:mark:ETHUSDT")) == ["bad_name"]
    found = decode(decoder, load(NAME, "http_get_funding_history"), T0, "history:funding:ETHUSDT")
    assert reasons(found) == ["bad_name", "bad_name"]


def test_other_answers_to_a_history_request() -> None:
    refused = {"retCode": 10001, "retMsg": "params error", "result": {}}
    assert decode(fresh(NAME), refused, T0, "history:oi:SOLUSDT") == [Control("refused", None, "10001 params error")]
    empty = {"retCode": 0, "result": {"symbol": "SOLUSDT", "list": []}}
    assert decode(fresh(NAME), empty, T0, "history:oi:SOLUSDT") == []
    assert left_out(decode(fresh(NAME), empty, T0, "history:oi:ETHBTC")) == ["foreign"]
    assert reasons(decode(fresh(NAME), empty, T0, "history:volume:SOLUSDT")) == ["unknown_shape"]


def test_without_its_request_a_history_is_read_as_before() -> None:
    assert decode(fresh(NAME), load(NAME, "http_get_mark_price_kline")) == []
    assert len(decode(fresh(NAME), load(NAME, "http_get_open_interest"))) == 2
