"""Gate perpetuals, settled in USDT and in BTC: everything from `futures.tickers`, whole values every second or two.

Facts from the venue page: sizes are contracts, of `quanto_multiplier` coins each, "0" meaning 1 USD (BTC_USD); seconds
and milliseconds mix within a message; `result` has been an object, an array and a nested array; one unknown contract
fails its whole request; without the size header fractional contracts are truncated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from service.errors import BadPayload
from service.model import Control, Decoded, Endpoints, Listing, Skipped, StreamRule, VenueRules
from service.venues.numbers import TS_MAX, TS_MIN, coins, interval_hours, number, price, rate, text, timestamp_ms
from service.venues.reading import PONG, FrameReader, echo, guarded, items, label, mapping, need
from service.venues.spec import Catalog, ConnectionPlan, KeepAlive, Limits, Poll, Request
from service.venues.symbols import USD_QUOTES, canonical, canonical_price

TICKERS = "futures.tickers"
INTERVALS_H = (1, 2, 4, 8)
SETTLES = ("usdt", "btc")
HEADERS = {"X-Gate-Size-Decimal": "1"}
INVERSE = "BTC_USD"  # 1 USD each, known without metadata; other _USD names are or were quanto: no number of coins
CRYPTO = ("", "crypto")  # contract_type of what is no stock, metal, index or currency
LATE_FUNDING_MS = 600_000  # this long after the announced settlement the schedule is broken
HISTORY = "funding_rate:"  # context of a funding history: its rows do not name the contract
UNUSED_FIELDS = ("lsr_taker", "order_price", "create_time", "o")  # statistics, liquidations, trades, candles


class Gate:
    """The venue: see :class:`service.venues.spec.Venue`."""

    name = "gate"
    endpoints = Endpoints(
        ws={settle: f"wss://fx-ws.gateio.ws/v4/ws/{settle}" for settle in SETTLES},
        rest="https://api.gateio.ws/api/v4",
    )
    limits = Limits(
        connects=30,  # no rate is documented, only 300 connections at once
        connect_period_s=60.0,
        sends_per_s=10.0,
        rest_weight=200.0,
        rest_period_s=10.0,
        max_topics=100,
    )
    rules = VenueRules(
        venue="gate",
        exchange="gate",
        mark=StreamRule(15_000, "send"),
        funding=StreamRule(300_000, "send"),
        oi=StreamRule(60_000, "send"),
        index_max_age_ms=15_000,
        funding_cap_8h=0.16,
    )

    def rules_for(self, oi_poll_s: float, instruments: int = 0) -> VenueRules:
        """Everything is streamed: the polling cadence does not matter."""
        return self.rules

    def decoder(self, catalog: Catalog) -> GateDecoder:
        return GateDecoder(catalog)

    def frames_of(self, document: object) -> Sequence[object]:
        """An array of rows is one HTTP answer; an array of messages is several frames."""
        if isinstance(document, list) and any(isinstance(item, dict) and "channel" in item for item in document):
            return document
        return [document]

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        return [
            Request("GET", f"{endpoints.rest}/futures/{settle}/contracts", context=f"contracts:{settle}")
            for settle in SETTLES
        ]

    def connections(self, endpoints: Endpoints, listings: Sequence[Listing]) -> list[ConnectionPlan]:
        plans: list[ConnectionPlan] = []
        for settle in SETTLES:
            wanted = [item for item in listings if item.inverse is (settle == "btc")]
            for number_, start in enumerate(range(0, len(wanted), self.limits.max_topics), 1):
                part = wanted[start : start + self.limits.max_topics]
                frames = tuple(  # "time" is left out: a plan is made once, and the server does not ask for it
                    orjson.dumps(
                        {"id": request, "channel": TICKERS, "event": "subscribe", "payload": [item.instrument]}
                    ).decode()
                    for request, item in enumerate(part, 1)
                )
                plans.append(
                    ConnectionPlan(
                        name=f"{settle}-{number_}",
                        url=endpoints.ws[settle],
                        frames=frames,
                        expects=tuple(
                            (item.instrument, stream) for item in part for stream in ("mark", "funding", "oi")
                        ),
                        acks=len(frames),
                        keepalive=KeepAlive('{"channel":"futures.ping"}', 15.0),
                        headers=HEADERS,
                    )
                )
        return plans

    def polls(self, endpoints: Endpoints, listings: Sequence[Listing], oi_poll_s: float) -> list[Poll]:
        return []


def _from_seconds(value: Any) -> int:
    """Seconds (whole or not) as milliseconds."""
    return int(number(value, TS_MIN / 1000, TS_MAX / 1000) * 1000)


def _sent_ms(frame: dict[str, Any]) -> int | None:
    """When the message was sent. ``time_ms`` is missing in old messages and 0 in some of 2023."""
    if frame.get("time_ms", 0) != 0:
        return timestamp_ms(frame["time_ms"])
    return _from_seconds(frame["time"]) if "time" in frame else None


def _said(fields: dict[str, Any], key: str, parse: Callable[[Any], float]) -> float | None:
    """A field's value; None where it is absent or empty: unknown, never 0."""
    raw = fields.get(key, "")
    return None if raw == "" else parse(raw)


def _interval_h(seconds: Any) -> float:
    return interval_hours(number(seconds, 0, 1e6) / 3600)


def _rows(result: Any) -> list[Any]:
    """The rows of a message in any of its three shapes."""
    if type(result) is dict:
        return [result]
    rows: list[Any] = []
    for row in items(result, "result"):
        if type(row) is list:
            rows.extend(row)
        else:
            rows.append(row)
    return rows


class GateDecoder(FrameReader):
    """Frames and HTTP answers of the venue."""

    venue = "gate"

    def _read(self, parsed: Any, recv_ts: int, context: str, out: list[Decoded]) -> None:
        if type(parsed) is dict:
            self._object(parsed, recv_ts, out)
        elif type(parsed) is list and (parsed or context):
            self._array(parsed, recv_ts, context, out)
        else:
            raise BadPayload("unknown_shape", type(parsed).__name__)

    def _object(self, frame: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        if "channel" in frame:
            self._message(frame, recv_ts, out)
        elif "label" in frame:  # an HTTP error
            out.append(Control("refused", None, f"{echo(frame['label'])} {echo(frame.get('message'))}".strip()))
        elif "type" in frame and "msg" in frame:  # a notice as the documents had it until 2026
            self._notice(frame, out)
        else:
            self._row(frame, recv_ts, out)

    def _message(self, frame: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        channel, event = label(frame["channel"], "channel"), label(frame.get("event", ""), "event")
        if channel == "futures.pong":
            out.append(PONG)
        elif channel == "futures.system":
            self._notice(mapping(need(frame, "result"), "result"), out)
        elif event in ("subscribe", "unsubscribe"):
            if "result" in frame or "error" in frame:  # else a request of ours, as recordings hold them
                self._control(channel, event, frame, out)
        elif frame.get("error") is not None:
            out.append(Control("refused", channel, self._reason(frame["error"])))
        elif channel == TICKERS:  # trades, liquidations, statistics and the rest: not used
            if event not in ("update", "all"):
                raise BadPayload("unknown_shape", f"event {event}")
            venue_ts = _sent_ms(frame)
            for row in _rows(need(frame, "result")):
                guarded(out, self._ticker, row, venue_ts, recv_ts, out)

    def _control(self, channel: str, event: str, frame: dict[str, Any], out: list[Decoded]) -> None:
        payload, result = frame.get("payload"), frame.get("result")
        key = f"{channel}:{echo(payload[0])}" if type(payload) is list and payload else channel
        if frame.get("error") is not None:
            out.append(Control("refused", key, self._reason(frame["error"])))
        elif type(result) is dict and result.get("status") == "success":
            out.append(Control("ack", key, event))
        else:
            out.append(Control("refused", key, event))

    @staticmethod
    def _reason(error: Any) -> str:
        if type(error) is dict:
            return f"{echo(error.get('code'))} {echo(error.get('message'))}".strip()
        return echo(error)

    @staticmethod
    def _notice(notice: dict[str, Any], out: list[Decoded]) -> None:
        kind = label(need(notice, "type"), "type")
        message = f"{kind} {echo(notice.get('msg'))}".strip()
        out.append(Control("closing" if "upgrade" in kind else "info", None, message))

    # -- tickers -----------------------------------------------------------------------------------------------

    def _ticker(self, row: Any, venue_ts: int | None, recv_ts: int, out: list[Decoded]) -> None:
        fields = mapping(row, "result[]")
        listing = self._listing(text(need(fields, "contract")))
        if listing is not None:
            for build in (self._prices, self._rate, self._interest):
                guarded(out, build, listing, fields, venue_ts, recv_ts, out)

    def _prices(
        self, listing: Listing, fields: dict[str, Any], venue_ts: int | None, recv_ts: int, out: list[Decoded]
    ) -> None:
        mark, index = _said(fields, "mark_price", price), _said(fields, "index_price", price)
        if mark is not None or index is not None:
            out.append(self._mark(listing, mark, index, venue_ts, recv_ts))

    def _rate(
        self, listing: Listing, fields: dict[str, Any], venue_ts: int | None, recv_ts: int, out: list[Decoded]
    ) -> None:
        """The running rate; interval and next time stand in the message since 2026, the interval also in metadata."""
        value = _said(fields, "funding_rate", rate)
        if value is None:
            return
        interval_h = _said(fields, "funding_interval", _interval_h)
        next_ts = None
        if fields.get("funding_next_apply", "") not in ("", 0):
            next_ts = _from_seconds(fields["funding_next_apply"])
            if venue_ts is not None and venue_ts - next_ts > LATE_FUNDING_MS:
                raise BadPayload("out_of_bounds", f"next funding {venue_ts - next_ts} ms ago")
        if interval_h is None:
            interval_h = listing.interval_h
        out.append(self._funding(listing, value, interval_h, next_ts, venue_ts, recv_ts))

    def _interest(
        self, listing: Listing, fields: dict[str, Any], venue_ts: int | None, recv_ts: int, out: list[Decoded]
    ) -> None:
        """One-sided contracts. Messages without them are known: what was said last then ages."""
        contracts = _said(fields, "total_size", coins)
        if contracts is None:
            return
        size = listing.contract_size
        if size is None:
            out.append(Skipped(self.venue, listing.instrument, "unknown_contract_size"))
            return
        if listing.inverse:
            mark = self._mark_of(fields)
            if mark is None:
                out.append(Skipped(self.venue, listing.instrument, "no_mark"))
                return
            size = size / canonical_price(mark, listing.multiplier)
        amount = contracts * size
        out.append(self._open_interest(listing, contracts, size, amount, listing.inverse, venue_ts, recv_ts))

    @staticmethod
    def _mark_of(fields: dict[str, Any]) -> float | None:
        """This message's mark; what is wrong with it has been said by the mark stream."""
        try:
            return _said(fields, "mark_price", price)
        except BadPayload:
            return None

    # -- HTTP answers ------------------------------------------------------------------------------------------

    def _array(self, rows: list[Any], recv_ts: int, context: str, out: list[Decoded]) -> None:
        if context.startswith(HISTORY) or any(type(row) is dict and "r" in row and "t" in row for row in rows):
            self._settlements(rows, recv_ts, context, out)
            return
        for row in rows:
            guarded(out, self._row, row, recv_ts, out)
        if context.startswith("contracts:"):
            self._delist_absent(out, recv_ts, inverse=context == "contracts:btc")

    def _row(self, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        """One row of an HTTP answer, told by its fields."""
        fields = mapping(row, "row")
        if "quanto_multiplier" in fields:
            self._instrument(fields, recv_ts, out)
        elif any(key in fields for key in UNUSED_FIELDS):
            return
        elif "contract" in fields and ("total_size" in fields or "mark_price" in fields):
            self._ticker(fields, None, recv_ts, out)
        else:
            raise BadPayload("unknown_shape", ",".join(list(fields)[:5])[:80])

    def _settlements(self, rows: list[Any], recv_ts: int, context: str, out: list[Decoded]) -> None:
        """Settled rates: `t` in seconds, `r`."""
        if not context.startswith(HISTORY):
            out.append(Skipped(self.venue, "", "unknown_instrument"))
            return
        name = context.removeprefix(HISTORY)
        named = [
            {**row, "contract": name, "t": row["t"] * 1000} if type(row) is dict and type(row.get("t")) is int else row
            for row in rows
        ]
        self._history(named, ("contract", "r", "t"), INTERVALS_H, lambda item, _: item.interval_h, recv_ts, out)

    # -- metadata ----------------------------------------------------------------------------------------------

    def _by_name(self, name: str) -> Listing | None:
        """BTC_USDT; a date after the last underscore marks delivery. How much a contract is, the name does not say."""
        base, _, quote = name.rpartition("_")
        if not base or quote not in USD_QUOTES:
            return None
        symbol, multiplier = canonical(base)
        inverse = name == INVERSE
        return self._guess(name, symbol, multiplier, inverse, 1.0 if inverse else None)

    def _instrument(self, row: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        name = text(need(row, "name"))
        by_name = self._by_name(name)
        if by_name is None or row.get("contract_type") not in (None, *CRYPTO):
            self._refuse(name, recv_ts, out)
            return
        size = number(row["quanto_multiplier"], 0.0, 1e15)
        inverse = size == 0.0
        if inverse and not name.endswith("_USD"):
            raise BadPayload("out_of_bounds", f"quanto_multiplier 0 of {name}"[:80])
        if not inverse:
            number(size, 1e-12, 1e15)
        if name.endswith("_USD") and not inverse:
            self._refuse(name, recv_ts, out)  # quanto: settled in BTC at a fixed rate
            return
        seconds = row.get("funding_interval", 0)
        interval_h = None if seconds == 0 else _interval_h(seconds)
        delisting = row.get("in_delisting", False)
        if type(delisting) is not bool:
            raise BadPayload("wrong_type", "in_delisting")
        trading = not delisting and label(row.get("status", "trading"), "status") == "trading"
        native = 1.0 if inverse else size * by_name.multiplier
        self._list(
            Listing(
                self.venue, name, by_name.symbol, inverse, native, by_name.multiplier, interval_h, trading, recv_ts
            ),
            out,
        )
