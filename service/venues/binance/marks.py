"""The `markPriceUpdate` of Binance USD-M and Aster, the frame that comes most, by a shorter way than the others. Pure.

A connection of 200 instruments brings 200 of these a second, `!markPrice@arr` all of them in one frame. msgspec reads
them into the fields below and nothing else, and all numbers of a frame at once, as JSON within bounds. Whatever is not
exactly as documented (another field, a number that is none, or out of bounds, or has a space beside it) is left to
:class:`service.venues.binance.messages.BinanceDecoder`, which reads anything and says what is wrong: this way takes a
frame whole or not at all, and tells the same (tests/venues/test_binance_marks.py).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from service.formulas import rate_8h
from service.model import Funding, Mark
from service.venues.binance.metadata import LATE_FUNDING_MS, interval_at, next_funding
from service.venues.emit import Emit
from service.venues.numbers import MAX_TEXT, PRICE_MAX, PRICE_MIN, RATE_MAX, TS_MAX, TS_MIN

NEVER = (0, 0)
UNREAD = "[1,1,0]"  # in place of the numbers of what is foreign
HINT = '"markPriceUpdate"'

Name = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Time = Annotated[int, Meta(ge=TS_MIN + LATE_FUNDING_MS, le=TS_MAX)]  # so that a `T` not too late is not too early


class _Event(msgspec.Struct, gc=False, kw_only=True, forbid_unknown_fields=True):
    """All documented fields, in the order in which they come, so that none is skipped unread.

    `e` is a Literal and not a msgspec tag: a tag may be absent.
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
    st: Literal[1] = 1  # USD-M: an array with rows of the other product is left to the long way


class _Combined(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """An event on a combined stream."""

    stream: str
    data: _Event


# Mark, index and rate, as JSON numbers within the bounds of service/venues/numbers.py.
_Prices = tuple[
    Annotated[float, Meta(ge=PRICE_MIN, le=PRICE_MAX)],
    Annotated[float, Meta(ge=PRICE_MIN, le=PRICE_MAX)],
    Annotated[float, Meta(ge=-RATE_MAX, le=RATE_MAX)],
]

_prices = msgspec.json.Decoder(_Prices).decode
_all_prices = msgspec.json.Decoder(list[_Prices]).decode
_event = msgspec.json.Decoder(_Event).decode
_combined = msgspec.json.Decoder(_Combined).decode
_events = msgspec.json.Decoder(list[_Event]).decode


def read_marks(raw: str, emit: Emit) -> bool:
    """Tell the marks and funding rates of a frame; False, and nothing told, if it is not one to be read here.

    Texts are read as JSON numbers. Of what they could hold beside a number a bracket, a comma or a quote shows in what
    is read; white space would not, so it is looked for.
    """
    try:
        if raw[0] == "[":
            return _array(_events(raw), emit)
        event = _event(raw) if raw[2] == "e" else _combined(raw).data
        text = f"[{event.p},{event.i},{event.r}]"
        mark, index, rate = _prices(text)
        if " " in text or not text.isprintable():
            return False
    except (msgspec.DecodeError, UnicodeEncodeError):  # the latter: a lone surrogate, which no socket sends
        return False
    name, venue_ts, next_ts, catalog, recv_ts, venue = event.s, event.E, event.T, emit.catalog, emit.recv_ts, emit.venue
    listing = catalog.listings.get(name) or emit.listing(name)
    if listing is None:
        return True
    symbol, say = listing.symbol, emit.out.append
    if listing.multiplier == 1.0:
        catalog.marks[name] = mark
        say(Mark(venue, name, symbol, mark, index, venue_ts, recv_ts))
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
        say(Funding(venue, name, symbol, rate, interval_h, per_8h, next_ts, False, venue_ts, recv_ts))
    return True


def _array(events: list[_Event], emit: Emit) -> bool:
    """The same of many: all numbers are read at once, and what the calls of :class:`Emit` do stands in the loop."""
    catalog, recv_ts, venue, say = emit.catalog, emit.recv_ts, emit.venue, emit.out.append
    last_marks, announced = catalog.marks, catalog.next_funding
    interval_of, default_h = catalog.intervals_h.get, catalog.default_interval_h
    names = [event.s for event in events]
    listings = list(map(catalog.listings.get, names))
    texts = [f"[{event.p},{event.i},{event.r}]" for event in events]
    if not all(listings):
        listings = list(map(emit.find, names))
        texts = [text if known else UNREAD for text, known in zip(texts, listings, strict=True)]
    text = ",".join(texts)
    numbers = _all_prices(f"[{text}]")
    if len(numbers) != len(events) or not numbers or " " in text or "\t" in text or "\n" in text or "\r" in text:
        return False
    before, measured = announced.get, catalog.measured_h
    for event, name, listing, (mark, index, rate) in zip(events, names, listings, numbers, strict=True):
        if listing is None:
            emit.listing(name)  # says why it is left out
            continue
        symbol, venue_ts, next_ts = listing.symbol, event.E, event.T
        if listing.multiplier == 1.0:
            last_marks[name] = mark
            say(Mark(venue, name, symbol, mark, index, venue_ts, recv_ts))
        else:
            emit.mark(listing, mark, index, venue_ts)
        if next_ts < venue_ts - LATE_FUNDING_MS:
            if next_ts != 0:
                emit.guard(next_funding, next_ts, venue_ts)
            continue
        said_ts, said_at = before(name, NEVER)
        if said_ts == next_ts and said_at <= venue_ts and not measured:  # else, and at a rollover: the long way
            announced[name] = (next_ts, venue_ts)
            interval_h = interval_of(name, default_h)
        else:
            interval_h = interval_at(catalog, name, next_ts, venue_ts)
        rate += 0.0  # -0.0 becomes 0.0
        per_8h = rate if interval_h == 8.0 else rate_8h(rate, interval_h)
        say(Funding(venue, name, symbol, rate, interval_h, per_8h, next_ts, False, venue_ts, recv_ts))
    return True
