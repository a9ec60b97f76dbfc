"""Bybit: `tickers.<symbol>`, a snapshot and then deltas, merged per connection into mark, funding and open interest.

Facts from the venue page: a field absent from a delta is unchanged, "" is not applicable; `cs` orders messages;
`openInterest` counts both sides, `singleOpenInterest` (since June 2026) one; inverse contracts are 1 USD each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.errors import BadPayload
from service.model import Bad, Confirm, Decoded, Listing, Skipped, Stream
from service.venues.contract import Catalog
from service.venues.emit import FrameReader, guarded, label, mapping, need
from service.venues.numbers import coins, interval_hours, number, price, rate, timestamp_ms


def _timestamp_or_none(value: Any) -> int | None:
    return None if value == "0" or value == "" else timestamp_ms(value)


# field -> (stream it belongs to, parser)
FIELDS: dict[str, tuple[Stream, Callable[[Any], float | int | None]]] = {
    "markPrice": ("mark", price),
    "indexPrice": ("mark", price),
    "fundingRate": ("funding", rate),
    "nextFundingTime": ("funding", _timestamp_or_none),
    "fundingIntervalHour": ("funding", interval_hours),
    "openInterest": ("oi", coins),
    "singleOpenInterest": ("oi", coins),
}
MAIN_FIELDS = (("markPrice",), ("fundingRate",), ("openInterest", "singleOpenInterest"))


class Ticker:
    """One topic's merged state on this connection. A name missing from ``values`` has no value we may claim."""

    __slots__ = ("cs", "ts", "values")

    def __init__(self, cs: int, ts: int) -> None:
        self.cs = cs
        self.ts = ts
        self.values: dict[str, float | int | None] = {}

    def doubt(self, key: str) -> None:
        """The venue changed this field to something unreadable: its old value must not be claimed."""
        self.values.pop(key, None)
        if key == "fundingIntervalHour":
            self.values[key] = None  # known to be unknown: metadata may be as old as the lost value


class TickerReader(FrameReader):
    """Tickers of one connection. Stateful in the deltas."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog)
        self._tickers: dict[str, Ticker] = {}

    def _ticker(self, name: str, frame: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        listing = self._listing(name)
        if listing is None:
            return
        data = mapping(need(frame, "data"), "data")
        if "usdIndexPrice" in data:
            return  # the spot product of the same name
        try:
            kind = label(need(frame, "type"), "type")
            cs = int(number(need(frame, "cs"), 0, 2**63))
            ts = timestamp_ms(need(frame, "ts"))
            if kind not in ("snapshot", "delta"):
                raise BadPayload("unknown_shape", f"type {kind}")
            if data.get("symbol", name) != name:
                raise BadPayload("bad_name", f"data of {data['symbol']!r} on topic of {name}"[:80])
        except BadPayload:
            self._forget(name, data)
            raise
        known = self._tickers.get(name)
        if kind == "snapshot":
            if known is not None and cs < known.cs and ts < known.ts:
                return  # an old snapshot replayed; a new one would be stamped later
            known = self._tickers[name] = Ticker(cs, ts)
        elif known is None or cs < known.cs or (cs == known.cs and ts < known.ts):
            return  # no snapshot yet, or an old delta
        known.cs, known.ts = cs, ts
        self._merge(listing, known, data, kind == "snapshot", recv_ts, out)

    def _forget(self, name: str, data: dict[str, Any]) -> None:
        """Fields that a refused message changed: their old values are no longer what the venue says."""
        known = self._tickers.get(name)
        if known is not None:
            for key in FIELDS:
                if key in data:
                    known.doubt(key)

    def _merge(
        self, listing: Listing, ticker: Ticker, data: dict[str, Any], complete: bool, recv_ts: int, out: list[Decoded]
    ) -> None:
        touched: list[Stream] = []
        failed: list[Stream] = []
        for key, (stream, parse) in FIELDS.items():
            if key in data:
                ticker.values.pop(key, None)
                touched.append(stream)
                raw = data[key]
                if raw == "":
                    continue  # not applicable, never 0
                try:
                    ticker.values[key] = parse(raw)
                except BadPayload as error:
                    ticker.doubt(key)
                    failed.append(stream)
                    out.append(Bad(error.reason, f"{key}: {error.detail}"[:80]))
        if complete:
            self._complete(data, failed, out)
        vouched: list[Stream] = []
        for stream in ("mark", "funding", "oi"):
            if stream in failed:
                continue
            if stream in touched:
                guarded(out, self._emit, stream, listing, ticker.values, ticker.ts, recv_ts, out)
            elif self._has(stream, ticker.values):
                vouched.append(stream)
        if vouched:
            out.append(Confirm(self.venue, listing.instrument, listing.symbol, tuple(vouched), ticker.ts, recv_ts))

    @staticmethod
    def _complete(data: dict[str, Any], failed: list[Stream], out: list[Decoded]) -> None:
        """A snapshot must name its main fields: a missing one is a changed schema, not "unchanged"."""
        for keys in MAIN_FIELDS:
            if not any(key in data for key in keys):
                failed.append(FIELDS[keys[0]][0])
                out.append(Bad("missing_field", keys[0]))

    @staticmethod
    def _has(stream: Stream, values: dict[str, float | int | None]) -> bool:
        if stream == "oi":
            return "singleOpenInterest" in values or "openInterest" in values
        return ("markPrice" if stream == "mark" else "fundingRate") in values

    def _emit(
        self,
        stream: Stream,
        listing: Listing,
        values: dict[str, Any],
        venue_ts: int,
        recv_ts: int,
        out: list[Decoded],
    ) -> None:
        if stream == "mark":
            mark, index = values.get("markPrice"), values.get("indexPrice")
            if mark is not None or index is not None:
                out.append(self._mark(listing, mark, index, venue_ts, recv_ts))
        elif stream == "funding":
            if "fundingRate" in values:
                interval_h = values.get("fundingIntervalHour", listing.interval_h)
                next_ts = values.get("nextFundingTime")
                out.append(self._funding(listing, values["fundingRate"], interval_h, next_ts, venue_ts, recv_ts))
        elif self._has("oi", values):
            single = values.get("singleOpenInterest")
            contracts, derived = (values["openInterest"] / 2, True) if single is None else (single, False)
            mark = self._catalog.marks.get(listing.instrument) if "markPrice" in values else None
            self._interest(listing, contracts, derived, mark, venue_ts, recv_ts, out)

    def _interest(
        self,
        listing: Listing,
        contracts: float,
        derived: bool,
        mark: float | None,
        venue_ts: int,
        recv_ts: int,
        out: list[Decoded],
    ) -> None:
        """One-sided open interest; ``derived``: halved from the both-sided figure."""
        size = listing.multiplier
        if listing.inverse:
            if mark is None:
                out.append(Skipped(self.venue, listing.instrument, "no_mark"))
                return
            size, derived = 1 / mark, True
        out.append(self._open_interest(listing, contracts, size, contracts * size, derived, venue_ts, recv_ts))
