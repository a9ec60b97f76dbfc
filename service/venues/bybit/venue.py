"""Bybit V5 perpetuals: mark, index, funding and open interest from `tickers.<symbol>` (``bybit_tickers.py``).

Linear and inverse contracts have sockets of their own; text pings, whose answer carries `success` like an
acknowledgement. Extra streams: ``bybit_extras.py``; the published past: ``bybit_history.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.errors import BadPayload
from service.model import Control, Decoded, Endpoints, ExtraStream, Listing, StreamRule, VenueRules
from service.venues.bybit.history import INTERVALS_H, HistoryReader, history_requests, one_sided, stamp_ms
from service.venues.bybit.tickers import Ticker, TickerReader
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
from service.venues.emit import PONG, echo, guarded, items, label, mapping, need
from service.venues.history import subject_of
from service.venues.numbers import interval_hours, number, text, timestamp_ms
from service.venues.symbols import USD_QUOTES, base_of, canonical

TOPIC = "tickers."
KINDS = {"LinearPerpetual": False, "InversePerpetual": True}


class Bybit(Streamed):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = "bybit"
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
