"""OKX: frames and HTTP answers to observations."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from service.errors import BadPayload
from service.model import Listing
from service.venues.contract import Catalog
from service.venues.emit import Emit
from service.venues.funding_schedule import HOUR_MS, stated_and_running, tell_settlements
from service.venues.history import subject_of, tell_history
from service.venues.numbers import coins, price, rate, text, timestamp_ms
from service.venues.okx.history import PAST
from service.venues.okx.metadata import INTERVALS_H, SWAP, by_name, if_swap, read_instrument, swap_of
from service.venues.okx.trades import LIQUIDATIONS, RATIO, TRADES, ExtraRows, skip_sizeless
from service.venues.reading import echo, items, label, mapping, unknown

SIZE_TOLERANCE = 0.005  # oiCcy against contracts x contract size: further apart is a unit error
NOTICE_CLOSING = "64008"
NO_TIME = ("", "0", None)

# For hours all swaps announce the same few settlements: each is read once.
_settlement = lru_cache(maxsize=64)(timestamp_ms)


def _time(announced: Any) -> int:
    return _settlement(announced) if type(announced) is str else timestamp_ms(announced)


def _hours(start_ms: int, end_ms: int) -> float | None:
    """A funding period's length; None for one that the venue does not have."""
    hours, rest = divmod(end_ms - start_ms, HOUR_MS)
    return float(hours) if rest == 0 and hours in INTERVALS_H else None


def _may_differ(following_h: float, ends_ms: int) -> bool:
    """Whether the period that ends at ``ends_ms`` may be of another length than the one that follows it.

    Periods of so many hours end at multiples of them in UTC: at 15:00 one of 1 hour, at 16:00 one of 1, 2, 4 or 8. Only
    the longest that fits is believed of both: at 16:00 8 h, as usual, but not 1 h, which eight hours may precede.
    """
    ends_h = round(ends_ms / HOUR_MS)
    return following_h != max(hours for hours in INTERVALS_H if ends_h % hours == 0)


class OkxDecoder:
    """See :class:`service.venues.contract.Decoder`."""

    def __init__(self, catalog: Catalog) -> None:
        self._emit = Emit("okx", catalog, by_name, self._read)
        self.decode = self._emit.frame
        self._extra = ExtraRows(self._emit)
        self._swaps: dict[str, Callable[[Listing, dict[str, Any]], None]] = {  # channel -> row of a swap
            "mark-price": self._mark,
            "funding-rate": self._funding,
            "open-interest": self._interest,
            LIQUIDATIONS: self._extra.liquidation,
        }

    def _read(self, parsed: Any, context: str) -> None:
        """What comes most, rows of a swap, straight to their handler."""
        try:
            handler = None if "event" in parsed else self._swaps[parsed["arg"]["channel"]]
        except (KeyError, TypeError):  # another channel, or no message of one
            handler = None
        if handler is None:
            self._other(parsed, context)
            return
        emit, rows = self._emit, parsed["data"]
        for row in rows if type(rows) is list else items(rows, "data"):
            try:
                if type(row) is not dict:
                    mapping(row, "data[]")
                listing = if_swap(row, emit.listing(row["instId"]), emit)
                if listing is not None:
                    handler(listing, row)
            except (BadPayload, KeyError) as error:
                emit.bad(error)

    def _other(self, parsed: Any, context: str) -> None:
        if type(parsed) is not dict:
            raise BadPayload("unknown_shape", type(parsed).__name__)
        if "event" in parsed:
            self._control(parsed)
        elif "arg" in parsed:
            channel = label(mapping(parsed["arg"], "arg")["channel"], "channel")
            if channel == TRADES:
                self._extra.trades(parsed["data"])
            elif channel == "index-tickers":
                self._emit.each(parsed["data"], "data", self._index)
            elif channel == "instruments":
                self._emit.each(parsed["data"], "data", read_instrument, self._emit)
        elif "code" in parsed:
            self._answer(parsed, context)
        elif "op" not in parsed:  # a request of ours, as recordings hold them
            raise unknown(parsed)

    def _control(self, frame: dict[str, Any]) -> None:
        say, event, code, arg = self._emit.control, label(frame["event"], "event"), frame.get("code"), frame.get("arg")
        key = f"{echo(arg.get('channel'))}:{echo(arg.get('instId'))}" if isinstance(arg, dict) else None
        message = f"{echo(code)} {echo(frame.get('msg'))}".strip()
        if event == "subscribe" and isinstance(arg, dict) and arg.get("channel") == LIQUIDATIONS:
            self._extra.subscribed()
        if event in ("subscribe", "unsubscribe", "login"):
            say("ack", key, event)
        elif event == "error" or event == "channel-conn-count-error":
            say("refused", key, message)
        elif event == "notice" and code == NOTICE_CLOSING:
            say("closing", key, message)
        else:
            say("info", key, f"{event} {message}".strip())

    # -- mark, index, funding ----------------------------------------------------------------------------------

    def _mark(self, listing: Listing, row: dict[str, Any]) -> None:
        self._emit.mark(listing, price(row["markPx"]), None, timestamp_ms(row["ts"]))

    def _index(self, row: Any) -> None:
        """An index prices every swap on it; without metadata, the swap of the same name."""
        emit = self._emit
        index = text(mapping(row, "data[]")["instId"])
        swaps = emit.catalog.swaps_of_index.get(index, (index + SWAP,))
        listings = [listing for name in swaps if (listing := emit.find(name)) is not None]
        if listings:
            value, venue_ts = price(row["idxPx"]), timestamp_ms(row["ts"])
            for listing in listings:
                emit.mark(listing, None, value, venue_ts)

    def _funding(self, listing: Listing, row: dict[str, Any]) -> None:
        """The running rate belongs to the period from `prevFundingTime` to `fundingTime`.

        `nextFundingTime` ends the period after it, which is another length around a change of interval: see
        :meth:`_unless_changing`.
        """
        running = row.get("fundingRate", "")
        if running == "":
            return  # a new listing has none yet
        value, next_ts = rate(running), _time(row["fundingTime"])
        venue_ts = timestamp_ms(row["ts"]) if "ts" in row else None  # messages before 2023 have none
        interval_h, began, after = listing.interval_h, row.get("prevFundingTime", ""), row.get("nextFundingTime", "")
        if began not in NO_TIME:  # a swap just listed has none
            interval_h = _hours(_time(began), next_ts)
        elif after not in NO_TIME:
            interval_h = self._unless_changing(listing.instrument, _hours(next_ts, _time(after)), next_ts, venue_ts)
        self._emit.funding(listing, value, interval_h, next_ts, venue_ts)

    def _unless_changing(
        self, name: str, following_h: float | None, next_ts: int, venue_ts: int | None
    ) -> float | None:
        """The interval where only the next period's is said: as a rollover measured it, before one ``following_h``,
        unless at first sight the running period may be another."""
        catalog = self._emit.catalog
        seen = catalog.intervals_h.get(name) is not None
        doubt = following_h is not None and not seen and _may_differ(following_h, next_ts)
        if venue_ts is None:  # nothing can be measured
            return None if doubt else following_h
        interval_h = stated_and_running(catalog, name, following_h, next_ts, venue_ts, INTERVALS_H)
        if doubt and name not in catalog.measured_h:
            catalog.measured_h[name] = interval_h = None
        return interval_h

    # -- open interest -----------------------------------------------------------------------------------------

    def _interest(self, listing: Listing, row: dict[str, Any]) -> None:
        emit = self._emit
        contracts, venue_ts, stated = coins(row["oi"]), timestamp_ms(row["ts"]), row.get("oiCcy", "")
        size, inverse, derived = listing.contract_size, listing.inverse, False
        if inverse and size is not None:
            mark = emit.catalog.marks.get(listing.instrument)
            size, derived = (None, False) if mark is None else (size / mark, True)
        if stated == "":
            if size is None:
                skip_sizeless(listing, emit)
                return
            amount = contracts * size
        else:
            amount = coins(stated) * listing.multiplier
            if inverse or size is None:
                # the venue's own conversion; no contracts leave the size open, and 0 coins need none
                size, derived = amount / contracts if contracts > 0 else size or 0.0, False
            else:
                counted = contracts * size
                if abs(amount - counted) > SIZE_TOLERANCE * counted:
                    said = f"oiCcy {amount:g}, by size {counted:g}"
                    raise BadPayload("size_mismatch", f"{listing.instrument}: {said}")
        emit.open_interest(listing, contracts, size, amount, derived, venue_ts)

    # -- HTTP answers ------------------------------------------------------------------------------------------

    def _answer(self, frame: dict[str, Any], context: str) -> None:
        emit = self._emit
        if frame["code"] != "0":
            emit.control("refused", None, f"{echo(frame['code'])} {echo(frame.get('msg'))}")
            return
        rows = items(frame["data"], "data")
        asked = subject_of(context)
        if asked is not None:
            listing = emit.listing(asked[1])
            if listing is not None:
                tell_history(emit, PAST, listing, asked[0], rows, listing.interval_h)
        elif context.startswith(RATIO):
            self._extra.ratio(rows, context.removeprefix(RATIO))
        elif any(type(row) is dict and "realizedRate" in row for row in rows):
            keys = ("instId", "realizedRate", "fundingTime")
            tell_settlements(emit, rows, keys, INTERVALS_H, lambda item: item.interval_h)
        else:
            emit.each(rows, "data", self._row)
            if context == "instruments":
                emit.delist_absent(context)

    def _row(self, row: Any) -> None:
        """One row of an HTTP answer, told by its fields."""
        if type(row) is list:
            return  # candles, taker volume, ratios
        fields = mapping(row, "data[]")
        if "ctVal" in fields:
            read_instrument(fields, self._emit)
        elif "markPx" in fields:
            self._swap(fields, self._mark)
        elif "idxPx" in fields:
            self._index(fields)
        elif "fundingRate" in fields or "fundingTime" in fields:
            self._swap(fields, self._funding)
        elif "oi" in fields or "oiCcy" in fields:
            self._swap(fields, self._interest)
        elif "last" not in fields and "px" not in fields and "details" not in fields:
            raise unknown(fields)

    def _swap(self, row: dict[str, Any], handler: Callable[[Listing, dict[str, Any]], None]) -> None:
        listing = swap_of(row, self._emit)
        if listing is not None:
            handler(listing, row)
