"""Bybit V5 perpetuals: mark, index, funding and open interest from `tickers.<symbol>`, a snapshot and then deltas.

Facts from the venue page: a field absent from a delta is unchanged, "" is not applicable; `cs` orders messages;
`openInterest` counts both sides, `singleOpenInterest` (since June 2026) one; inverse contracts are 1 USD each. Linear
and inverse contracts have sockets of their own; text pings, whose answer carries `success` like an acknowledgement.
Extra streams: ``trades.py``; the published past: ``history.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from service.errors import BadPayload
from service.model import (
    Bad,
    Confirm,
    Control,
    Decoded,
    Endpoints,
    ExtraStream,
    Listing,
    Skipped,
    Stream,
    StreamRule,
    VenueRules,
)
from service.venues.bybit.history import INTERVALS_H, HistoryReader, history_requests, one_sided, stamp_ms
from service.venues.bybit.trades import (
    CATEGORIES,
    KEEPALIVE,
    LIQUIDATIONS,
    TRADES,
    ExtrasReader,
    category_of,
    extra_connections,
    ratio_polls,
    requests_for,
)
from service.venues.contract import Catalog, ConnectionPlan, Limits, Poll, Request, Streamed, sockets
from service.venues.emit import PONG, FrameReader, echo, guarded, items, label, mapping, need
from service.venues.history import subject_of
from service.venues.numbers import coins, interval_hours, number, price, rate, text, timestamp_ms
from service.venues.symbols import USD_QUOTES, base_of, canonical

TOPIC = "tickers."
KINDS = {"LinearPerpetual": False, "InversePerpetual": True}


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


class Bybit(Streamed):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = "bybit"
    title = "Bybit V5 linear and inverse perpetuals"
    endpoints = Endpoints(
        ws={
            "linear": "wss://stream.bybit.com/v5/public/linear",
            "inverse": "wss://stream.bybit.com/v5/public/inverse",
        },
        rest="https://api.bybit.com",
    )
    limits = Limits(
        connects=500,
        connect_period_s=300.0,
        sends_per_s=10.0,
        rest_weight=600.0,
        rest_period_s=5.0,
        max_topics=400,  # 21,000 characters of topics a connection
    )
    rules = VenueRules(
        venue="bybit",
        exchange="bybit",
        mark=StreamRule(15_000, "send"),
        funding=StreamRule(300_000, "send"),
        oi=StreamRule(60_000, "send"),
        index_max_age_ms=15_000,
        funding_cap_8h=0.16,
    )

    def decoder(self, catalog: Catalog) -> BybitDecoder:
        return BybitDecoder(catalog)

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        return [
            Request(
                "GET",
                f"{endpoints.rest}/v5/market/instruments-info?category={category}&limit=1000",
                context=f"instruments:{category}",
            )
            for category in ("linear", "inverse")
        ]

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        most = self.limits.max_topics
        plans: list[ConnectionPlan] = []
        for category in CATEGORIES:
            wanted, url = [item for item in listings if category_of(item) == category], endpoints.ws[category]
            plans += sockets(category, url, wanted, most, requests_for(TOPIC), keepalive=KEEPALIVE)
        return plans + extra_connections(endpoints, listings, extras, most)

    def polls(
        self,
        endpoints: Endpoints,
        listings: Sequence[Listing],
        oi_poll_s: float,
        extras: Sequence[ExtraStream] = (),
    ) -> list[Poll]:
        """Only the ratios: everything else is streamed."""
        return ratio_polls(endpoints, listings) if "long_short" in extras else []

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history_requests(endpoints, listing, since_ms, now_ms)


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


class BybitDecoder(TickerReader, ExtrasReader, HistoryReader):
    """Frames and HTTP answers of the venue."""

    venue = "bybit"

    def _read(self, parsed: Any, recv_ts: int, context: str, out: list[Decoded]) -> None:
        if type(parsed) is not dict:
            raise BadPayload("unknown_shape", type(parsed).__name__)
        if "topic" in parsed:
            topic = text(parsed["topic"])
            if topic.startswith(TOPIC):
                self._ticker(topic.removeprefix(TOPIC), parsed, recv_ts, out)
            elif topic.startswith(TRADES):
                self._trades(topic.removeprefix(TRADES), parsed, recv_ts, out)
            elif topic.startswith(LIQUIDATIONS):
                self._liquidations(topic.removeprefix(LIQUIDATIONS), parsed, recv_ts, out)
        elif "retCode" in parsed:
            self._answer(parsed, recv_ts, context, out)
        elif "success" in parsed or parsed.get("op") == "pong":
            self._control(parsed, out)
        elif "op" not in parsed:  # with op, without success: a request of ours, as recordings hold them
            raise BadPayload("unknown_shape", ",".join(list(parsed)[:5])[:80])

    def _control(self, frame: dict[str, Any], out: list[Decoded]) -> None:
        key = echo(frame.get("req_id")) or None
        if frame.get("ret_msg") == "pong" or frame.get("op") in ("ping", "pong"):
            out.append(PONG)
        elif frame["success"] is True:
            out.append(Control("ack", key, echo(frame.get("op"))))
        else:
            out.append(Control("refused", key, echo(frame.get("ret_msg"))))

    # -- HTTP answers ------------------------------------------------------------------------------------------

    def _answer(self, frame: dict[str, Any], recv_ts: int, context: str, out: list[Decoded]) -> None:
        if frame["retCode"] != 0:
            out.append(Control("refused", None, f"{echo(frame['retCode'])} {echo(frame.get('retMsg'))}"))
            return
        result = mapping(need(frame, "result"), "result")
        if result.get("category") in ("spot", "option"):
            return
        subject = subject_of(context)
        if subject is not None:
            self._read_history(subject, result, recv_ts, out)
            return
        rows = items(need(result, "list"), "list")
        if any(type(row) is dict and "fundingRateTimestamp" in row for row in rows):
            keys = ("symbol", "fundingRate", "fundingRateTimestamp")
            self._history(rows, keys, INTERVALS_H, lambda item, _: item.interval_h, recv_ts, out)
            return
        for row in rows:
            guarded(out, self._row, row, frame, result, recv_ts, out)
        if context.startswith("instruments:") and result.get("nextPageCursor") == "":
            self._delist_absent(out, recv_ts, inverse=context == "instruments:inverse")

    def _row(self, row: Any, frame: dict[str, Any], result: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        if type(row) is list:
            return  # candles
        fields = mapping(row, "list[]")
        if "contractType" in fields:
            self._instrument(fields, recv_ts, out)
        elif "timestamp" in fields and ("openInterest" in fields or "singleOpenInterest" in fields):
            listing = self._listing(text(need(result, "symbol")))
            if listing is not None:
                contracts, derived = one_sided(fields)
                venue_ts = stamp_ms(fields["timestamp"])
                mark = self._catalog.marks.get(listing.instrument)
                self._interest(listing, contracts, derived, mark, venue_ts, recv_ts, out)
        elif "lastPrice" in fields or "markPrice" in fields:
            listing = self._listing(text(need(fields, "symbol")))
            if listing is not None:
                ticker = Ticker(0, timestamp_ms(need(frame, "time")))
                self._merge(listing, ticker, fields, True, recv_ts, out)
        elif "buyRatio" in fields:
            self._ratio(fields, recv_ts, out)
        elif "execId" not in fields:  # trades over HTTP: not used
            raise BadPayload("unknown_shape", ",".join(list(fields)[:5])[:80])

    # -- metadata ----------------------------------------------------------------------------------------------

    def _by_name(self, name: str) -> Listing | None:
        """BTCUSDT and BTCPERP (USDC) are linear, BTCUSD is inverse; a dash marks dated contracts and options."""
        if "-" in name:
            return None
        inverse = name.endswith("USD")
        base = base_of(name, ("USD",) if inverse else ("USDT", "PERP"))
        if base is None:
            return None
        symbol, multiplier = canonical(base)
        return self._guess(name, symbol, multiplier, inverse, 1.0 if inverse else multiplier)

    def _instrument(self, row: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        name = text(need(row, "symbol"))
        inverse = KINDS.get(label(row["contractType"], "contractType"))
        if inverse is None or label(need(row, "quoteCoin"), "quoteCoin") not in USD_QUOTES:
            self._refuse(name, recv_ts, out)
            return
        by_name = self._by_name(name)  # the contract's unit stands in its name
        base = text(need(row, "baseCoin"))
        symbol, multiplier = canonical(base) if by_name is None else (by_name.symbol, by_name.multiplier)
        minutes = number(need(row, "fundingInterval"), 0, 1440)  # the ticker speaks of hours
        interval_h = None if minutes == 0 else interval_hours(minutes / 60)
        trading = label(need(row, "status"), "status") == "Trading"
        size = 1.0 if inverse else multiplier
        self._list(Listing(self.venue, name, symbol, inverse, size, multiplier, interval_h, trading, recv_ts), out)
