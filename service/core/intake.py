"""Where frames enter: tape, decode, count, apply. Live links and the replay use the same object.

Implements :class:`service.venues.contract.FrameSink`. A frame's receipt is stamped here, by the service clock, and
never at or before a sample already taken, so that a replay from the tape applies it to the same side of every tick.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from service.clock import Clock
from service.metrics import Metrics
from service.model import (
    EXTRA_STREAMS,
    Bad,
    Candidate,
    Confirm,
    Control,
    Decoded,
    Event,
    ExtraStream,
    Flow,
    Funding,
    Liquidation,
    Listing,
    LongShort,
    Mark,
    OiSides,
    OpenInterest,
    Positions,
    Skipped,
)
from service.tapes import Record
from service.venues.contract import Catalog, Venue
from service.venues.symbols import ASSETS, Asset

log = logging.getLogger(__name__)

Decode: TypeAlias = Callable[[str | bytes, int, str], list[Decoded]]

EVENTS: dict[type[Event], ExtraStream | None] = {  # what is applied, and the extra stream it belongs to
    Mark: None,
    Funding: None,
    OpenInterest: None,
    Confirm: None,
    Listing: None,
    OiSides: None,
    Candidate: None,
    Liquidation: "liquidation",
    Flow: "flow",
    Positions: "positions",
    LongShort: "long_short",
}
MAX_NOTICES = 256  # different ones logged: a bound, not a limit in use
MAX_CONNECTIONS = 4096  # decoders kept; connections beyond it are forgotten oldest first (their links are long gone)


class Intake:
    """Frames of all venues to events. ``apply`` is the engine's; ``sampled_ms`` its last sample time.

    ``extras``: the extra streams that are on. Some venues' channels carry one that is off beside one that is on (trades
    and liquidations, say): what is off goes no further than the tape. ``assets``: which tickers are one asset.
    """

    def __init__(
        self,
        venues: Mapping[str, Venue],
        clock: Clock,
        apply: Callable[[Event], None],
        sampled_ms: Callable[[], int],
        metrics: Metrics,
        record: Callable[[Record], None] | None = None,
        extras: Sequence[ExtraStream] = EXTRA_STREAMS,
        assets: Sequence[Asset] = ASSETS,
    ) -> None:
        self._venues = venues
        self._now_ms = clock.now_ms
        self._apply = apply
        self._sampled_ms = sampled_ms
        self._metrics = metrics
        self._messages = metrics.messages
        assert venues.keys() <= self._messages.keys()
        self._record = record
        self._applied = frozenset(kind for kind, stream in EVENTS.items() if stream is None or stream in extras)
        self.catalogs = {name: Catalog(assets) for name in venues}
        self._decoders: dict[tuple[str, str], Decode] = {}  # by venue and connection
        self.last_bad: dict[str, str] = {}
        self._noticed: set[tuple[str, str | None, str]] = set()

    def adopt_sides(self, sides: Mapping[str, int]) -> None:
        """Sides in force by venue, of a restored engine: decoders go on from there. Before any frame."""
        for venue, catalog in self.catalogs.items():
            catalog.oi_sides = sides.get(venue)

    def stamp(self) -> int:
        """The receive time of something that arrives now."""
        now, least = self._now_ms(), self._sampled_ms() + 1
        return now if now > least else least

    # -- FrameSink ---------------------------------------------------------------------------------------------

    def opened(self, venue: str, connection: str) -> None:
        self.take(Record("o", self.stamp(), venue, connection))

    def frame(
        self, venue: str, connection: str, raw: str | bytes, context: str = "", recv_ts: int | None = None
    ) -> Sequence[Decoded]:
        """``recv_ts``: when it was received, of a tape; None: now. One call, because a thousand come a second."""
        if recv_ts is None:
            recv_ts, least = self._now_ms(), self._sampled_ms() + 1
            if recv_ts < least:
                recv_ts = least
        if self._record is not None:
            self._record(Record("f", recv_ts, venue, connection, raw, context))
        decode = self._decoders.get((venue, connection))
        if decode is None:
            if venue not in self._venues:
                return ()
            decode = self._open(venue, connection)  # HTTP answers have no opening
        items = decode(raw, recv_ts, context)
        self._messages[venue] += 1
        applied, apply = self._applied, self._apply
        for item in items:
            kind = type(item)  # no subclass of these exists
            if kind in applied:
                apply(item)  # type: ignore[arg-type]
            elif kind is Bad:
                self.bad(venue, item.reason, item.detail)  # type: ignore[union-attr]
            elif kind is Skipped:
                self._metrics.skipped(venue, item.reason)  # type: ignore[union-attr]
            elif kind is Control and item.kind == "notice":  # type: ignore[union-attr]
                self._notice(venue, item.key, item.text)  # type: ignore[union-attr]
        return items

    def rejected(self, venue: str, connection: str, reason: str) -> None:
        self.take(Record("b", self.stamp(), venue, connection, reason=reason))

    def closed(self, venue: str, connection: str, reason: str) -> None:
        self.take(Record("c", self.stamp(), venue, connection, reason=reason))

    # -- shared with replay ------------------------------------------------------------------------------------

    def take(self, record: Record) -> Sequence[Decoded]:
        """One stamped record, live or from a tape."""
        kind, venue = record.kind, record.venue
        if kind == "f":
            return self.frame(venue, record.connection, record.raw, record.context, record.ts)
        if self._record is not None:
            self._record(record)
        if venue not in self._venues:
            return ()
        if kind == "o":
            self._open(venue, record.connection)
        elif kind == "c":
            self._decoders.pop((venue, record.connection), None)
        elif kind == "b":
            self.bad(venue, record.reason, "refused by the transport")
        return ()

    def _open(self, venue: str, connection: str) -> Decode:
        """A decoder that begins anew."""
        while len(self._decoders) >= MAX_CONNECTIONS:
            self._decoders.pop(next(iter(self._decoders)))
        decode = self._decoders[venue, connection] = self._venues[venue].decoder(self.catalogs[venue]).decode
        return decode

    def bad(self, venue: str, reason: str, detail: str) -> None:
        """Count a frame or row that cannot be trusted."""
        self._metrics.bad_payload(venue, reason)
        text = f"{reason}: {detail}"[:200]
        if self.last_bad.get(venue) != text:  # one line per kind of trouble, not per frame
            self.last_bad[venue] = text
            log.warning("bad payload venue=%s %s", venue, text)

    def _notice(self, venue: str, key: str | None, text: str) -> None:
        """Log what a person should read, each once."""
        said = (venue, key, text)
        if said not in self._noticed and len(self._noticed) < MAX_NOTICES:
            self._noticed.add(said)
            log.warning("notice venue=%s %s %s", venue, key or "-", text)
