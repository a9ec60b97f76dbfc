"""OKX: frames and HTTP answers to observations."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from service.errors import BadPayload
from service.model import Listing
from service.venues.contract import Catalog
from service.venues.emit import Emit
from service.venues.funding_schedule import HOUR_MS, tell_settlements
from service.venues.history import subject_of, tell_history
from service.venues.numbers import coins, price, rate, text, timestamp_ms
from service.venues.okx.history import PAST
from service.venues.okx.metadata import INTERVALS_H, SWAP, by_name, if_swap, read_instrument, swap_of
from service.venues.okx.trades import LIQUIDATIONS, RATIO, TRADES, ExtraRows, skip_sizeless
from service.venues.reading import echo, items, label, mapping, unknown

SIZE_TOLERANCE = 0.005  # oiCcy against contracts x contract size: further apart is a unit error
NOTICE_CLOSING = "64008"

# For hours all swaps announce the same few settlements: each is read once.
_settlement = lru_cache(maxsize=64)(timestamp_ms)


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
        running = row.get("fundingRate", "")
        if running == "":
            return  # a new listing has none yet
        value, known, announced = rate(running), _settlement, row["fundingTime"]
        next_ts = known(announced) if type(announced) is str else timestamp_ms(announced)
        venue_ts = timestamp_ms(row["ts"]) if "ts" in row else None  # messages before 2023 have none
        interval_h, after = listing.interval_h, row.get("nextFundingTime", "")
        if after != "":
            after_ts = known(after) if type(after) is str else timestamp_ms(after)
            hours, rest = divmod(after_ts - next_ts, HOUR_MS)
            interval_h = float(hours) if rest == 0 and hours in INTERVALS_H else None
        self._emit.funding(listing, value, interval_h, next_ts, venue_ts)

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
            tell_settlements(emit, rows, keys, INTERVALS_H, lambda item, _: item.interval_h)
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
