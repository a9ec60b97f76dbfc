"""Binance's `markPriceUpdate`, the frame that comes most, by a shorter way than the others. Pure.

A connection of 200 instruments brings 200 of these a second, `!markPrice@arr` all of them in one frame. msgspec reads
them into the fields below and nothing else, and all numbers of a frame are read as one JSON array. Whatever is not
exactly as documented (another field, a space, an escape, a number that is none, a funding time long past) is left to
:class:`service.venues.binance.messages.BinanceDecoder`, which reads anything and says what is wrong: this way takes a
frame whole or not at all, and tells the same (tests/venues/test_binance_marks.py).
"""

from __future__ import annotations

from typing import Annotated, Literal, cast

import msgspec
from msgspec import Meta
from orjson import loads

from service.formulas import rate_8h
from service.model import Funding, Listing, Mark
from service.venues.binance.metadata import LATE_FUNDING_MS, interval_at, next_funding
from service.venues.emit import Emit
from service.venues.numbers import MAX_TEXT, PRICE_MAX, PRICE_MIN, RATE_MAX, TS_MAX, TS_MIN

VENUE = "binance_usdm"
NEVER = (0, 0)
HINT = '"markPriceUpdate"'

Name = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Time = Annotated[int, Meta(ge=TS_MIN, le=TS_MAX)]


class _Event(msgspec.Struct, gc=False, kw_only=True, forbid_unknown_fields=True):
    """All documented fields in the order in which they come, so that none is passed over unread.

    `e` is no tag: msgspec takes a tag that is missing.
    """

    e: Literal["markPriceUpdate"]
    E: Time
    s: Name
    p: Text
    ap: str = ""
    P: str = ""
    i: Text
    r: Text  # "" where there is no funding, with a `T` of 0
    T: Annotated[int, Meta(ge=0, le=TS_MAX)]
    st: int = 0


class _Combined(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """An event on a combined stream."""

    stream: str
    data: _Event


_event = msgspec.json.Decoder(_Event).decode
_combined = msgspec.json.Decoder(_Combined).decode
_events = msgspec.json.Decoder(list[_Event]).decode


def read_marks(raw: str, emit: Emit) -> bool:
    """Tell the marks and funding rates of a USD-M frame; False, and nothing told, if it is not one to be read here.

    Without a space or an escape in the frame, a text in it that JSON reads as a number is that number and no more.
    """
    if " " in raw or "\\" in raw:
        return False
    try:
        if raw[0] == "[":
            return _array(_events(raw), emit)
        event = _event(raw) if raw[2] == "e" else _combined(raw).data
        mark, index, rate = loads(event.p), loads(event.i), loads(event.r)
        if not (
            type(mark) is type(index) is type(rate) is float
            and PRICE_MIN <= mark <= PRICE_MAX
            and PRICE_MIN <= index <= PRICE_MAX
            and -RATE_MAX <= rate <= RATE_MAX
        ):
            return False
    except (ValueError, TypeError):  # of msgspec, of orjson, of comparing what is no number
        return False
    name, venue_ts, next_ts, catalog, recv_ts = event.s, event.E, event.T, emit.catalog, emit.recv_ts
    listing = catalog.listings.get(name) or emit.listing(name)
    if listing is None:
        return True
    symbol, say = listing.symbol, emit.out.append
    if listing.multiplier == 1.0:
        catalog.marks[name] = mark
        say(Mark(VENUE, name, symbol, mark, index, venue_ts, recv_ts))
    else:
        emit.mark(listing, mark, index, venue_ts)
    if next_ts == 0:
        pass  # no funding on this contract: not a rate of 0
    elif next_ts < venue_ts - LATE_FUNDING_MS:
        emit.guard(next_funding, next_ts, venue_ts)
    else:
        interval_h = interval_at(catalog, name, next_ts, venue_ts)
        rate += 0.0  # -0.0 becomes 0.0
        per_8h = rate if interval_h == 8.0 else rate_8h(rate, interval_h)
        say(Funding(VENUE, name, symbol, rate, interval_h, per_8h, next_ts, False, venue_ts, recv_ts))
    return True


def _array(events: list[_Event], emit: Emit) -> bool:
    """The same of many: all numbers are read at once, and what the calls of :class:`Emit` do stands in the loop."""
    catalog, recv_ts, say = emit.catalog, emit.recv_ts, emit.out.append
    known, announced = catalog.listings.get, catalog.next_funding
    intervals, default_h = catalog.intervals_h, catalog.default_interval_h
    listings = [known(event.s) or emit.listing(event.s) for event in events]
    if not all(listings):  # what is foreign is not read
        events = [event for event, listing in zip(events, listings, strict=True) if listing]
        listings = [listing for listing in listings if listing]
    text = ",".join([f"{event.p},{event.i},{event.r}" for event in events])
    numbers = loads(f"[{text}]")
    marks, indices, rates = numbers[0::3], numbers[1::3], numbers[2::3]
    # Each number has its point and is no integer. No other JSON has one without a quote, nor compares with a number.
    if not (
        len(numbers) == 3 * len(events) == text.count(".") > 0
        and min(marks) >= PRICE_MIN
        and max(marks) <= PRICE_MAX
        and min(indices) >= PRICE_MIN
        and max(indices) <= PRICE_MAX
        and min(rates) >= -RATE_MAX
        and max(rates) <= RATE_MAX
    ):
        return False
    if 0.0 in rates:
        rates = [rate + 0.0 for rate in rates]  # -0.0 becomes 0.0
    names = [event.s for event in events]
    catalog.marks.update(zip(names, marks, strict=True))  # scaled ones again below
    before = ({} if catalog.measured_h else announced).get  # with measured intervals, interval_at() decides for all
    rows = zip(events, names, cast(list[Listing], listings), marks, indices, rates, strict=True)
    for event, name, listing, mark, index, rate in rows:
        symbol, venue_ts, next_ts = listing.symbol, event.E, event.T
        if listing.multiplier == 1.0:
            say(Mark(VENUE, name, symbol, mark, index, venue_ts, recv_ts))
        else:
            emit.mark(listing, mark, index, venue_ts)
        if next_ts < venue_ts - LATE_FUNDING_MS:
            if next_ts != 0:
                emit.guard(next_funding, next_ts, venue_ts)
            continue
        said_ts, said_at = before(name, NEVER)
        if said_ts == next_ts and said_at <= venue_ts:
            announced[name] = (next_ts, venue_ts)
            interval_h = intervals.get(name, default_h)
        else:
            interval_h = interval_at(catalog, name, next_ts, venue_ts)
        per_8h = rate if interval_h == 8.0 else rate_8h(rate, interval_h)
        say(Funding(VENUE, name, symbol, rate, interval_h, per_8h, next_ts, False, venue_ts, recv_ts))
    return True
