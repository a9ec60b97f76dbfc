"""Binance USD-M futures: mark, index and funding from `<symbol>@markPrice@1s`, open interest by polling.

Facts from the venue page: numbers are text; open interest is one-sided, in base units (1000SHIB: thousands of SHIB);
an unknown symbol or a retired route is acknowledged and then silent; the connection is cut at 24 h.
Extra streams: ``trades.py``; the published past: ``history.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from service.errors import BadPayload
from service.model import Control, Decoded, Endpoints, ExtraStream, Listing, LongShortKind, StreamRule, VenueRules
from service.venues.binance.history import INTERVALS_H, HistoryReader, HistoryRequests, is_history
from service.venues.binance.trades import RATIO, TRADE_IDS, ExtraPlans, frames_for
from service.venues.contract import Catalog, ConnectionPlan, Limits, Poll, Request
from service.venues.emit import echo, guarded, items, label, mapping, need
from service.venues.funding_schedule import measure_interval
from service.venues.numbers import coins, interval_hours, price, rate, text, timestamp_ms
from service.venues.symbols import USD_QUOTES, base_of, canonical

DEFAULT_INTERVAL_H = 8.0  # fundingInfo lists only instruments that differ from it
LATE_FUNDING_MS = 600_000  # at a settlement T <= E for about a second; this long after it the schedule is broken
NAME_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD")
OI_WEIGHT = 1.0
OI_BUDGET_SHARE = 0.5  # of the request weight; the rest is for ratios, metadata, history and recovery
OI_POLLS_MAX_AGE = 3
DEFAULT_OI_POLL_S = 10.0


class BinanceUsdm(HistoryRequests, ExtraPlans):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = "binance_usdm"
    title = "Binance USD-M futures"
    polls_oi = True
    api = "fapi"  # first part of every HTTP path
    topics_each = 1
    # Two limits of their own, expressed in our only budget of 2400 a minute, so that it keeps them too:
    statistics_weight = 12.0  # `/futures/data/*`: weight 0, but 1000 requests in 5 min
    funding_weight = 24.0  # `fundingRate` with `fundingInfo`: 500 requests in 5 min
    ratios: tuple[tuple[LongShortKind, str], ...] = (
        ("account", "globalLongShortAccountRatio"),
        ("top_position", "topLongShortPositionRatio"),
        ("top_account", "topLongShortAccountRatio"),
    )
    endpoints = Endpoints(ws={"market": "wss://fstream.binance.com/market"}, rest="https://fapi.binance.com")
    limits = Limits(
        connects=300,
        connect_period_s=300.0,
        sends_per_s=5.0,
        rest_weight=2400.0,
        rest_period_s=60.0,
        max_topics=200,
        lifetime_s=86_400.0,
    )
    rules = VenueRules(
        venue="binance_usdm",
        exchange="binance",
        mark=StreamRule(15_000, "send"),
        funding=StreamRule(300_000, "send"),
        oi=StreamRule(int(OI_POLLS_MAX_AGE * DEFAULT_OI_POLL_S * 1000), "change"),
        index_max_age_ms=15_000,
        funding_cap_8h=0.16,
    )

    def rules_for(self, oi_poll_s: float, instruments: int = 0) -> VenueRules:
        """Open interest is fresh for three polling intervals."""
        age_ms = int(OI_POLLS_MAX_AGE * self._cadence_s(oi_poll_s, instruments) * 1000)
        return replace(self.rules, oi=StreamRule(age_ms, "change"))

    def decoder(self, catalog: Catalog) -> BinanceUsdmDecoder:
        return BinanceUsdmDecoder(catalog)

    def frames_of(self, document: object) -> Sequence[object]:
        """An array of events or rows is one frame; an array of wrapped frames or replies is several."""
        if isinstance(document, list) and any(_stands_alone(item) for item in document):
            return document
        return [document]

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        return [
            Request("GET", f"{endpoints.rest}/{self.api}/v1/exchangeInfo", context="exchangeInfo"),
            Request("GET", f"{endpoints.rest}/{self.api}/v1/fundingInfo", context="fundingInfo"),
        ]

    def _topics(self, listings: Sequence[Listing]) -> list[str]:
        """What to subscribe to for these instruments: ``topics_each`` of each."""
        return [f"{item.instrument.lower()}@markPrice@1s" for item in listings]

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        plans: list[ConnectionPlan] = []
        per_socket = self.limits.max_topics // self.topics_each
        for start in range(0, len(listings), per_socket):
            part = listings[start : start + per_socket]
            frames = frames_for(self._topics(part))
            plans.append(
                ConnectionPlan(
                    name=f"market-{len(plans) + 1}",
                    url=f"{endpoints.ws['market']}/ws",
                    frames=frames,
                    expects=tuple(
                        pair for item in part for pair in ((item.instrument, "mark"), (item.instrument, "funding"))
                    ),
                    acks=len(frames),
                )
            )
        return plans + self._extra_connections(endpoints, listings, extras)

    def polls(
        self,
        endpoints: Endpoints,
        listings: Sequence[Listing],
        oi_poll_s: float,
        extras: Sequence[ExtraStream] = (),
    ) -> list[Poll]:
        every_s = self._cadence_s(oi_poll_s, len(listings))
        interest = [
            Poll(
                Request(
                    "GET",
                    f"{endpoints.rest}/{self.api}/v1/openInterest?symbol={quote(item.instrument, safe='')}",
                    OI_WEIGHT,
                    context="openInterest",
                ),
                every_s,
                ((item.instrument, "oi"),),
            )
            for item in listings
        ]
        return interest + (self._ratio_polls(endpoints, listings) if "long_short" in extras else [])

    def _cadence_s(self, oi_poll_s: float, instruments: int) -> float:
        """One request per instrument, all of them within half of the request weight."""
        budget_per_s = self.limits.rest_weight * OI_BUDGET_SHARE / self.limits.rest_period_s
        return max(oi_poll_s, instruments * OI_WEIGHT / budget_per_s)

    def _statistics_of(self, instrument: str) -> str:
        return f"symbol={quote(instrument, safe='')}"


def _stands_alone(item: object) -> bool:
    if isinstance(item, list):
        return True
    return isinstance(item, dict) and ("stream" in item or "method" in item or "id" in item)


class BinanceUsdmDecoder(HistoryReader):
    """Frames and HTTP answers of the venue."""

    venue = "binance_usdm"

    def _read(self, parsed: Any, recv_ts: int, context: str, out: list[Decoded]) -> None:
        if is_history(context, parsed):
            self._read_history(parsed, context, recv_ts, out)
        elif type(parsed) is dict:
            self._object(parsed, recv_ts, context, out)
        elif type(parsed) is list and (parsed or context):
            self._array(parsed, recv_ts, context, out)
        else:
            raise BadPayload("unknown_shape", type(parsed).__name__)

    def _object(self, frame: dict[str, Any], recv_ts: int, context: str, out: list[Decoded]) -> None:
        if "stream" in frame and "data" in frame:
            data = frame["data"]
            if type(data) is list:
                self._array(data, recv_ts, context, out)
            else:
                self._event(mapping(data, "data"), recv_ts, out)
        elif "e" in frame:
            self._event(frame, recv_ts, out)
        elif "id" in frame and "error" in frame:
            error = frame["error"]
            message = echo(error.get("msg")) if isinstance(error, dict) else echo(error)
            out.append(Control("refused", echo(frame["id"]), message))
        elif "id" in frame and "result" in frame:
            out.append(Control("ack", echo(frame["id"]), ""))
        elif "method" in frame:
            return  # a request of ours, as recordings hold them
        elif "code" in frame and "msg" in frame:
            out.append(Control("refused", None, f"{echo(frame['code'])} {echo(frame['msg'])}"))
        elif "symbols" in frame:
            self._exchange_info(frame, recv_ts, context, out)
        else:
            self._row(frame, recv_ts, out)

    def _array(self, rows: list[Any], recv_ts: int, context: str, out: list[Decoded]) -> None:
        if context == "fundingInfo" or any(type(row) is dict and "fundingIntervalHours" in row for row in rows):
            self._funding_info(rows, recv_ts, out)
        elif any(type(row) is dict and "fundingTime" in row for row in rows):
            self._settlements(rows, recv_ts, out)
        elif context.startswith(RATIO):
            self._ratios(rows, context.removeprefix(RATIO), recv_ts, out)
        else:
            for row in rows:
                guarded(out, self._any_row, row, recv_ts, out)

    def _any_row(self, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        if type(row) is list:
            return  # candles: only their request says of what
        if "e" in mapping(row, "row"):
            self._event(row, recv_ts, out)
        else:
            self._row(row, recv_ts, out)

    def _row(self, row: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        """One row of an HTTP answer, told by its fields."""
        if "openInterest" in row:
            self._interest(row, "openInterest", "time", recv_ts, out)
        elif "sumOpenInterest" in row:
            self._interest(row, "sumOpenInterest", "timestamp", recv_ts, out)
        elif "markPrice" in row or "lastFundingRate" in row:
            self._prices(
                row, ("symbol", "time", "markPrice", "indexPrice", "lastFundingRate", "nextFundingTime"), recv_ts, out
            )
        elif "fundingTime" in row:
            self._settlements([row], recv_ts, out)
        elif "longShortRatio" not in row and "buySellRatio" not in row:  # ratios of which only the request says what of
            raise BadPayload("unknown_shape", ",".join(list(row)[:5])[:80])

    def _event(self, row: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        kind = label(need(row, "e"), "e")
        if kind == "markPriceUpdate":
            self._prices(row, ("s", "E", "p", "i", "r", "T"), recv_ts, out)
        elif kind in TRADE_IDS:
            self._trade(row, TRADE_IDS[kind], recv_ts, out)
        elif kind == "forceOrder":
            self._forced_order(row, recv_ts, out)

    # -- mark, index, funding ----------------------------------------------------------------------------------

    def _prices(self, row: dict[str, Any], keys: tuple[str, ...], recv_ts: int, out: list[Decoded]) -> None:
        """Mark, index and running funding rate; ``keys`` name symbol, time, mark, index, rate and next time."""
        symbol, time, mark, index, running, next_time = keys
        listing = self._listing(text(need(row, symbol)))
        if listing is None:
            return
        venue_ts = timestamp_ms(need(row, time))
        guarded(out, self._add_mark, listing, row, mark, index, venue_ts, recv_ts, out)
        guarded(out, self._add_funding, listing, row, running, next_time, venue_ts, recv_ts, out)

    def _add_mark(
        self,
        listing: Listing,
        row: dict[str, Any],
        mark: str,
        index: str,
        venue_ts: int,
        recv_ts: int,
        out: list[Decoded],
    ) -> None:
        value = price(need(row, mark))
        out.append(self._mark(listing, value, self._index_in(row, index), venue_ts, recv_ts))

    def _index_in(self, row: dict[str, Any], key: str) -> float | None:
        """Messages of 2019 lack it."""
        return price(row[key]) if key in row else None

    def _add_funding(
        self,
        listing: Listing,
        row: dict[str, Any],
        key: str,
        next_time: str,
        venue_ts: int,
        recv_ts: int,
        out: list[Decoded],
    ) -> None:
        running, next_raw = need(row, key), need(row, next_time)
        if running == "" or (type(next_raw) is int and next_raw == 0):
            return  # no funding on this contract: not a rate of 0
        value = rate(running)
        next_ts = timestamp_ms(next_raw)
        if venue_ts - next_ts > LATE_FUNDING_MS:
            raise BadPayload("out_of_bounds", f"next funding {venue_ts - next_ts} ms ago")
        interval_h = self._interval_at(listing.instrument, next_ts, venue_ts)
        out.append(self._funding(listing, value, interval_h, next_ts, venue_ts, recv_ts))

    def _interval_at(self, name: str, next_ts: int, venue_ts: int) -> float | None:
        """The funding interval: as measured at the last rollover, else as the metadata says."""
        catalog = self._catalog
        measure_interval(catalog, name, next_ts, venue_ts, INTERVALS_H)
        if name in catalog.measured_h:
            return catalog.measured_h[name]
        return self._metadata_interval(name)

    def _metadata_interval(self, name: str) -> float | None:
        return self._catalog.intervals_h.get(name, self._catalog.default_interval_h)

    def _settlements(self, rows: list[Any], recv_ts: int, out: list[Decoded]) -> None:
        keys = ("symbol", "fundingRate", "fundingTime")
        self._history(rows, keys, INTERVALS_H, lambda item, _: self._metadata_interval(item.instrument), recv_ts, out)

    # -- amounts -----------------------------------------------------------------------------------------------

    def _amount(self, listing: Listing, amount: float, each: float, out: list[Decoded]) -> float | None:
        return amount * listing.multiplier

    def _interest(self, row: dict[str, Any], key: str, time: str, recv_ts: int, out: list[Decoded]) -> None:
        listing = self._listing(text(need(row, "symbol")))
        if listing is None:
            return
        contracts = coins(row[key])
        venue_ts = timestamp_ms(need(row, time))
        size = listing.multiplier
        out.append(self._open_interest(listing, contracts, size, contracts * size, False, venue_ts, recv_ts))

    # -- metadata ----------------------------------------------------------------------------------------------

    def _by_name(self, name: str) -> Listing | None:
        base = None if "_" in name else base_of(name, NAME_QUOTES)  # BTCUSDT_210129 is a delivery contract
        if base is None:
            return None
        symbol, multiplier = canonical(base)
        return self._guess(name, symbol, multiplier, False, multiplier)

    def _exchange_info(self, frame: dict[str, Any], recv_ts: int, context: str, out: list[Decoded]) -> None:
        for row in items(frame["symbols"], "symbols"):
            guarded(out, self._instrument, row, recv_ts, out)
        if context == "exchangeInfo":
            self._delist_absent(out, recv_ts)

    def _instrument(self, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        fields = mapping(row, "symbols[]")
        name = text(need(fields, "symbol"))
        kind = label(need(fields, "contractType"), "contractType")
        currency = label(need(fields, "quoteAsset"), "quoteAsset")
        if kind != "PERPETUAL" or currency not in USD_QUOTES:
            self._refuse(name, recv_ts, out)
            return
        symbol, multiplier = canonical(text(need(fields, "baseAsset")))
        trading = label(need(fields, "status"), "status") == "TRADING"
        interval_h = self._metadata_interval(name)
        self._list(Listing(self.venue, name, symbol, False, multiplier, multiplier, interval_h, trading, recv_ts), out)

    def _funding_info(self, rows: list[Any], recv_ts: int, out: list[Decoded]) -> None:
        """Funding intervals; instruments the answer does not name have 8 h. Re-lists what changed."""
        catalog = self._catalog
        before = {name: self._metadata_interval(name) for name in catalog.listings}
        named: list[str] = []
        for row in rows:
            guarded(out, self._interval_row, row, named)
        if len(named) == len(rows):  # a row without a name could be anyone's: then absence proves nothing
            catalog.default_interval_h = DEFAULT_INTERVAL_H
            for name in [name for name in catalog.intervals_h if name not in named]:
                del catalog.intervals_h[name]
        for name, listing in list(catalog.listings.items()):
            interval_h = self._metadata_interval(name)
            changed = interval_h != before[name]
            if changed or catalog.measured_h.get(name, interval_h) is None:
                catalog.measured_h.pop(name, None)  # the venue has said something newer
            if changed:
                self._list(replace(listing, interval_h=interval_h, recv_ts=recv_ts), out)

    def _interval_row(self, row: Any, named: list[str]) -> None:
        name = text(need(mapping(row, "row"), "symbol"))
        named.append(name)
        self._catalog.intervals_h.setdefault(name, None)
        self._catalog.intervals_h[name] = interval_hours(need(row, "fundingIntervalHours"))
