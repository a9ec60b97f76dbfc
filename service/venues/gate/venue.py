"""Gate perpetuals, settled in USDT and in BTC: everything from `futures.tickers`, whole values every second or two.

Facts from the venue page: sizes are contracts, of `quanto_multiplier` coins each, "0" meaning 1 USD (BTC_USD); seconds
and milliseconds mix within a message; `result` has been an object, an array and a nested array; one unknown contract
fails its whole request; without the size header fractional contracts are truncated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.errors import BadPayload
from service.model import STREAMS, Control, Decoded, Endpoints, ExtraStream, Listing, Skipped, StreamRule, VenueRules
from service.venues.contract import Catalog, ConnectionPlan, Limits, Poll, Request, Streamed
from service.venues.emit import PONG, echo, guarded, label, mapping, need, readable, said
from service.venues.gate.trades import (
    INTERVALS_H,
    GateExtras,
    extra_plans,
    from_seconds,
    history_requests,
    plan,
    rows_of,
    sent_ms,
    stats_polls,
)
from service.venues.numbers import coins, interval_hours, number, price, rate, text
from service.venues.symbols import USD_QUOTES, canonical

TICKERS = "futures.tickers"
SETTLES = ("usdt", "btc")
INVERSE = "BTC_USD"  # 1 USD each, known without metadata; other _USD names are or were quanto: no number of coins
CRYPTO = ("", "crypto")  # contract_type of what is no stock, metal, index or currency
LATE_FUNDING_MS = 600_000  # this long after the announced settlement the schedule is broken
SETTLEMENTS = "funding_rate:"  # context of a funding history: its rows do not name the contract
UNUSED_FIELDS = ("lsr_taker", "order_price", "create_time", "o")  # statistics, liquidations, trades, candles


class Gate(Streamed):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = "gate"
    title = "Gate USDT and BTC settled futures"
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

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        plans: list[ConnectionPlan] = []
        for settle in SETTLES:
            wanted = [item for item in listings if item.inverse is (settle == "btc")]
            for number_, start in enumerate(range(0, len(wanted), self.limits.max_topics), 1):
                part = wanted[start : start + self.limits.max_topics]
                names = [item.instrument for item in part]
                expects = tuple((name, stream) for name in names for stream in STREAMS)
                plans.append(plan(f"{settle}-{number_}", endpoints.ws[settle], TICKERS, names, expects))
            plans += extra_plans(settle, endpoints.ws[settle], wanted, extras, self.limits.max_topics)
        return plans

    def polls(
        self,
        endpoints: Endpoints,
        listings: Sequence[Listing],
        oi_poll_s: float,
        extras: Sequence[ExtraStream] = (),
    ) -> list[Poll]:
        """Ratios and top traders' positions stand in the same statistics."""
        if "long_short" not in extras and "positions" not in extras:
            return []
        return stats_polls(endpoints.rest, listings)

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        return history_requests(endpoints.rest, listing, since_ms, now_ms)


def _interval_h(seconds: Any) -> float:
    return interval_hours(number(seconds, 0, 1e6) / 3600)


class GateDecoder(GateExtras):
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
        elif channel == TICKERS:
            if event not in ("update", "all"):
                raise BadPayload("unknown_shape", f"event {event}")
            venue_ts = sent_ms(frame)
            for row in rows_of(need(frame, "result")):
                guarded(out, self._ticker, row, venue_ts, recv_ts, out)
        elif event == "update":
            self._extra_message(channel, frame, recv_ts, out)

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
        mark, index = said(fields, "mark_price", price), said(fields, "index_price", price)
        if mark is not None or index is not None:
            out.append(self._mark(listing, mark, index, venue_ts, recv_ts))

    def _rate(
        self, listing: Listing, fields: dict[str, Any], venue_ts: int | None, recv_ts: int, out: list[Decoded]
    ) -> None:
        """The running rate; interval and next time stand in the message since 2026, the interval also in metadata."""
        value = said(fields, "funding_rate", rate)
        if value is None:
            return
        interval_h = said(fields, "funding_interval", _interval_h)
        next_ts = None
        if fields.get("funding_next_apply", "") not in ("", 0):
            next_ts = from_seconds(fields["funding_next_apply"])
            if venue_ts is not None and venue_ts - next_ts > LATE_FUNDING_MS:
                raise BadPayload("out_of_bounds", f"next funding {venue_ts - next_ts} ms ago")
        if interval_h is None:
            interval_h = listing.interval_h
        out.append(self._funding(listing, value, interval_h, next_ts, venue_ts, recv_ts))

    def _interest(
        self, listing: Listing, fields: dict[str, Any], venue_ts: int | None, recv_ts: int, out: list[Decoded]
    ) -> None:
        """One-sided contracts. Messages without them are known: what was said last then ages.

        What is wrong with a mark has been said by the mark stream.
        """
        contracts = said(fields, "total_size", coins)
        if contracts is None:
            return
        out.append(self._contracts(listing, contracts, readable(fields, "mark_price", price), venue_ts, recv_ts))

    # -- HTTP answers ------------------------------------------------------------------------------------------

    def _array(self, rows: list[Any], recv_ts: int, context: str, out: list[Decoded]) -> None:
        if self._extra_answer(rows, recv_ts, context, out):
            return
        if context.startswith(SETTLEMENTS) or any(type(row) is dict and "r" in row and "t" in row for row in rows):
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
        if not context.startswith(SETTLEMENTS):
            out.append(Skipped(self.venue, "", "unknown_instrument"))
            return
        name = context.removeprefix(SETTLEMENTS)
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
