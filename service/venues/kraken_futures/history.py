"""Kraken Futures: the published past for the warm start, and settled rates.

"Market Candles" (`mark`, and `spot`, which is the index: same price, no volume) of the charts API, stamped at their
opening in ms, 2,000 a page as measured (5,000 documented); "Market Analytics" `open-interest`: buckets of open, high,
low, close, stamped at their start in seconds, whose last close is the ticker's value (ccxt pull request 30121); settled
rates at `/derivatives/api/v4/historicalfundingrates` (v3 answers 404). In which unit the analytics count inverse
contracts is not said: their open interest is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from service.errors import BadPayload
from service.model import Listing
from service.venues.contract import Request
from service.venues.emit import Emit
from service.venues.funding_schedule import HOUR_MS
from service.venues.history import HOURLY, MINUTE_MS, Past, context_of, newest_first, pages, tell_history
from service.venues.kraken_futures.metadata import INTERVAL_H
from service.venues.numbers import COINS_MAX, coins, iso_ms, number, price, rate, text, timestamp_ms
from service.venues.reading import items, mapping

API = "/derivatives/api/v3"
SETTLEMENTS = "historicalfundingrates:"  # context of a funding history: its rows do not name the instrument
INTEREST_MS = 300_000
BARS_A_PAGE = 2000
RATES_MS = 32 * 24 * HOUR_MS  # the answer goes back a year: older rates are of no use, not even to a month


def requests(rest: str, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
    """Bars of mark, open interest, bars of index, settled rates."""
    name, root = listing.instrument, rest.removesuffix(API)
    quoted = quote(name, safe="")

    def get(what: str, path: str) -> Request:
        return Request("GET", f"{root}/{path}", context=context_of(what, name))

    def bars(what: str, tick: str) -> list[Request]:
        path, spans = f"api/charts/v1/{tick}/{quoted}/1m", pages(since_ms, now_ms, MINUTE_MS, BARS_A_PAGE)
        return [get(what, f"{path}?from={first // 1000}&to={last // 1000}") for first, last in spans]

    analytics = f"api/charts/v1/analytics/{quoted}/open-interest"
    interest = [
        get("oi", f"{analytics}?since={first // 1000}&to={last // 1000}&interval=300")
        for first, last in pages(since_ms, now_ms, INTEREST_MS, BARS_A_PAGE)
        if not listing.inverse
    ]
    rates = get("funding", f"derivatives/api/v4/historicalfundingrates?symbol={quoted}")
    return newest_first(bars("mark", "mark"), interest, bars("index", "spot"), [rates])


def month(rest: str, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
    """See :meth:`service.venues.contract.Venue.month`."""
    if listing.inverse:
        return []  # without open interest it would add nothing
    root, quoted = rest.removesuffix(API), quote(listing.instrument, safe="")

    def get(what: str, path: str) -> Request:
        return Request("GET", f"{root}/{path}", context=context_of(what, listing.instrument))

    charts, spans = "api/charts/v1", pages(since_ms, now_ms, HOUR_MS, BARS_A_PAGE)
    return [
        *(
            get("hourly_mark", f"{charts}/mark/{quoted}/1h?from={first // 1000}&to={last // 1000}")
            for first, last in spans
        ),
        *(
            get(
                "hourly_oi",
                f"{charts}/analytics/{quoted}/open-interest?since={first // 1000}&to={last // 1000}&interval=3600",
            )
            for first, last in spans
        ),
        get("funding", f"derivatives/api/v4/historicalfundingrates?symbol={quoted}"),
    ]


def tell_past(emit: Emit, frame: dict[str, Any], what: str, name: str) -> bool:
    """The answer to such a request; False where it is none but a refusal. Each row for itself, in their order."""
    stream = HOURLY.get(what, what)
    answered = frame.get("result" if stream == "oi" else "rates" if stream == "funding" else "candles")
    if answered is None or (stream == "oi" and type(answered) is not dict):
        return False
    listing = emit.listing(name)
    if listing is not None:
        past = _past(emit.recv_ts - RATES_MS)
        for row in _buckets(listing, answered) if stream == "oi" else items(answered, "rows"):
            tell_history(emit, past, listing, what, [row], INTERVAL_H)
    return True


def tell_rates(emit: Emit, rows: Any, context: str) -> None:
    """The settled rates of an answer outside the warm start."""
    checked = items(rows, "rates")
    if not context.startswith(SETTLEMENTS):
        emit.skipped("", "unknown_instrument")
        return
    listing = emit.listing(text(context.removeprefix(SETTLEMENTS)).upper())
    if listing is not None:
        emit.each(checked, "rates", _tell_rate, emit, listing)


def _tell_rate(row: Any, emit: Emit, listing: Listing) -> None:
    fields = mapping(row, "rates[]")
    value, at = rate(fields["relativeFundingRate"]), iso_ms(fields["timestamp"])
    emit.funding(listing, value, INTERVAL_H, None, at, settled=True)


def _past(oldest_rate_ms: int) -> Past:
    """How the answers are read."""

    def settled(listing: Listing, row: Any) -> tuple[int, float] | None:
        fields = mapping(row, "rates[]")
        at = iso_ms(fields["timestamp"])
        return (at, rate(fields["relativeFundingRate"])) if at >= oldest_rate_ms else None

    return Past(_bar, _bucket, INTEREST_MS, settled)


def _bar(listing: Listing, row: Any) -> tuple[int, float]:
    fields = mapping(row, "candles[]")
    return timestamp_ms(fields["time"]), price(fields["close"])


def _buckets(listing: Listing, result: dict[str, Any]) -> Sequence[Any]:
    """Two arrays side by side: times in seconds, buckets of four values."""
    times, buckets = items(result["timestamp"], "timestamp"), items(result["data"], "data")
    if len(times) != len(buckets):
        raise BadPayload("size_mismatch", f"{len(times)} times, {len(buckets)} values")
    return [] if listing.inverse else list(zip(times, buckets, strict=True))


def _bucket(listing: Listing, row: tuple[Any, Any]) -> tuple[int, float]:
    values = items(row[1], "data[]")
    if len(values) != 4:
        raise BadPayload("size_mismatch", f"bucket of {len(values)} values")
    return timestamp_ms(number(row[0], 0.0, COINS_MAX) * 1000), coins(values[3])
