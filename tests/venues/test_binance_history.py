"""Binance, both products: requests for the past and their answers."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from service.model import Control, HistoryPoint, Listing
from service.venues import VENUES
from service.venues.contract import Request
from tests.venues.frames import T0, decode, fresh, left_out, load, reasons

USDM, COINM = "binance_usdm", "binance_coinm"
MINUTE, HOUR = 60_000, 3_600_000
LINEAR = Listing(USDM, "BTCUSDT", "BTC", False, 1.0, 1.0, 8.0, True, T0)
INVERSE = Listing(COINM, "BTCUSD_PERP", "BTC", True, 100.0, 1.0, 8.0, True, T0)


def requests(listing: Listing, hours: int = 26) -> list[Request]:
    venue = VENUES[listing.venue]
    return venue.history(venue.endpoints, listing, T0 - hours * HOUR, T0)


def query(request: Request) -> dict[str, Any]:
    found = {key: values[0] for key, values in parse_qs(urlsplit(request.url).query).items()}
    return {key: int(value) if value.isdecimal() else value for key, value in found.items()}


def past(listing: Listing, stream: str, ts: int, value: float, hold_ms: int) -> HistoryPoint:
    return HistoryPoint(listing.venue, listing.instrument, "BTC", stream, ts, value, None, hold_ms)  # type: ignore[arg-type]


def test_most_needed_and_newest_first() -> None:
    found = requests(LINEAR)
    assert [request.context for request in found] == [
        f"history:{what}:BTCUSDT" for what in ("mark", "oi", "index", "funding", "mark", "index")
    ]
    paths = [urlsplit(request.url).path for request in found]
    assert paths[:4] == [
        "/fapi/v1/markPriceKlines",
        "/futures/data/openInterestHist",
        "/fapi/v1/indexPriceKlines",
        "/fapi/v1/fundingRate",
    ]
    newest, older = (query(request) for request in found if "markPrice" in request.url)
    floor = T0 // MINUTE * MINUTE
    assert (newest["endTime"], newest["startTime"]) == (floor, floor - 999 * MINUTE)
    assert older["endTime"] == floor - 1000 * MINUTE
    assert older["startTime"] == (T0 - 26 * HOUR) // MINUTE * MINUTE - MINUTE
    assert newest["interval"] == "1m"


def test_subjects_of_both_products() -> None:
    assert [query(request).get("symbol", query(request).get("pair")) for request in requests(LINEAR)] == ["BTCUSDT"] * 6
    inverse = requests(INVERSE)
    assert [(query(request).get("symbol"), query(request).get("pair")) for request in inverse[:4]] == [
        ("BTCUSD_PERP", None),
        (None, "BTCUSD"),
        (None, "BTCUSD"),
        ("BTCUSD_PERP", None),
    ]
    assert query(inverse[1])["contractType"] == "PERPETUAL"
    assert all(request.url.startswith("https://dapi.binance.com/") for request in inverse)


@pytest.mark.parametrize("hours", [2, 26, 72])
@pytest.mark.parametrize("listing", [LINEAR, INVERSE], ids=[USDM, COINM])
def test_pages_respect_the_venues_limits_and_weights(listing: Listing, hours: int) -> None:
    for request in requests(listing, hours):
        asked = query(request)
        if "Klines" in request.url:
            assert asked["limit"] == (asked["endTime"] - asked["startTime"]) // MINUTE + 1 <= 1000
            assert request.weight == (1 if asked["limit"] < 100 else 2 if asked["limit"] < 500 else 5)
        elif "openInterestHist" in request.url:
            assert asked["limit"] == (asked["endTime"] - asked["startTime"]) // (5 * MINUTE) + 1 <= 500
            assert (request.weight, request.bucket) == (1.0, "statistics")
        else:
            assert asked["startTime"] == T0 - (hours + 24) * HOUR
            assert (request.weight, request.bucket) == (1.0, "funding")


def test_a_bar_is_valid_at_its_end_and_not_before_it_is_over() -> None:
    body = load(USDM, "http_get_mark_price_klines")
    closed = [
        past(LINEAR, "mark", 1763719140000, 90110.3, 120_000),
        past(LINEAR, "mark", 1763719200000, 90145.7, 120_000),
    ]
    last = past(LINEAR, "mark", 1763719260000, 90146.2, 120_000)
    assert decode(fresh(USDM), body, T0, "history:mark:BTCUSDT") == closed
    assert decode(fresh(USDM), body, 1763719259999, "history:mark:BTCUSDT") == closed
    assert decode(fresh(USDM), body, 1763719260000, "history:mark:BTCUSDT") == [*closed, last]
    assert [item.stream for item in decode(fresh(USDM), body, T0, "history:index:BTCUSDT")] == ["index"] * 2  # type: ignore[union-attr]


def test_prices_are_per_canonical_unit() -> None:
    body = load(USDM, "http_get_mark_price_klines")
    found = decode(fresh(USDM), body, T0, "history:mark:1000000MOGUSDT")
    assert [item.value for item in found if isinstance(item, HistoryPoint)] == [
        pytest.approx(0.0901103),
        pytest.approx(0.0901457),
    ]


def test_index_of_a_pair() -> None:
    assert decode(fresh(COINM), load(COINM, "http_get_index_price_klines"), T0, "history:index:BTCUSD_PERP") == [
        past(INVERSE, "index", 1763719080000, 80001.5, 120_000),
        past(INVERSE, "index", 1763719140000, 80015.5, 120_000),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([1763719080000, "1", "1", "1", "nan", "0", 1763719139999], "bad_number"),
        ([1763719080000, "1", "1", "1", "1", "0", 1763719379999], "out_of_bounds"),  # of five minutes
        ([1763719080000, "1", "1", "1", "1"], "missing_field"),
        ({"open": 1}, "wrong_type"),
    ],
)
def test_a_broken_bar_costs_itself_only(row: object, reason: str) -> None:
    good = [1763719080000, "1", "1", "1", "2", "0", 1763719139999]
    found = decode(fresh(USDM), [row, good], T0, "history:mark:BTCUSDT")
    assert reasons(found) == [reason]
    assert found[1] == past(LINEAR, "mark", 1763719140000, 2.0, 120_000)


def test_open_interest_counts_from_the_end_of_its_period() -> None:
    """The newer row is stamped 10:00, and its five minutes are not over at 10:00:06."""
    body = load(USDM, "http_get_open_interest_hist").replace("1763718900000", "1763719200000")
    (found,) = decode(fresh(USDM), body, T0, "history:oi:ETHUSDT")
    assert isinstance(found, HistoryPoint)
    assert (found.ts, found.value, found.hold_ms) == (1763718900000, 2100345.25, 600_000)
    (_, newer) = decode(fresh(USDM), body, 1763719500000, "history:oi:ETHUSDT")
    assert isinstance(newer, HistoryPoint)
    assert (newer.ts, newer.value) == (1763719500000, 2100999.75)


def test_inverse_open_interest_is_in_contracts_of_the_perpetual() -> None:
    (found,) = decode(fresh(COINM), load(COINM, "http_get_open_interest_hist"), T0, "history:oi:ETHUSD_PERP")
    assert isinstance(found, HistoryPoint)
    assert (found.instrument, found.value, found.ts) == ("ETHUSD_PERP", 4e6, 1763718900000)


def test_settled_rates() -> None:
    found = decode(fresh(USDM), load(USDM, "http_get_funding_rate"), T0, "history:funding:LPTUSDT")
    assert found == [
        HistoryPoint(USDM, "LPTUSDT", "LPT", "funding", 1763683200004, 0.00011, 4.0, 5 * HOUR),
        HistoryPoint(USDM, "LPTUSDT", "LPT", "funding", 1763697600000, -0.00022, 4.0, 5 * HOUR),
        HistoryPoint(USDM, "LPTUSDT", "LPT", "funding", 1763712000017, 0.00033, 4.0, 5 * HOUR),
    ]


def test_rows_of_another_instrument_are_refused() -> None:
    found = decode(fresh(USDM), load(USDM, "http_get_funding_rate"), T0, "history:funding:BTCUSDT")
    assert reasons(found) == ["bad_name"] * 3 == [item.reason for item in found]  # type: ignore[union-attr]
    assert reasons(decode(fresh(COINM), load(COINM, "http_get_open_interest_hist"), T0, "history:oi:BTCUSD_PERP")) == [
        "bad_name"
    ]


def test_other_answers_to_a_history_request() -> None:
    refused = [Control("refused", None, "-1121 Invalid symbol.")]
    assert decode(fresh(USDM), {"code": -1121, "msg": "Invalid symbol."}, T0, "history:mark:XUSDT") == refused
    assert decode(fresh(USDM), [], T0, "history:oi:BTCUSDT") == []
    assert left_out(decode(fresh(USDM), [[1]], T0, "history:mark:ETHBTC")) == ["foreign"]
    assert reasons(decode(fresh(USDM), [[1]], T0, "history:volume:BTCUSDT")) == ["unknown_shape"]


def test_without_its_request_a_history_is_read_as_before() -> None:
    assert decode(fresh(USDM), load(USDM, "http_get_mark_price_klines")) == []
    assert len(decode(fresh(USDM), load(USDM, "http_get_open_interest_hist"))) == 2
