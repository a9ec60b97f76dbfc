"""The messages that pass between the stages. All immutable; times are UTC epoch milliseconds.

Venue stage out: :class:`Mark`, :class:`Funding`, :class:`OpenInterest`, :class:`Confirm`, :class:`Listing`,
:class:`Liquidation`, :class:`Flow`, :class:`Positions`, :class:`LongShort`, :class:`OiSides`, :class:`Candidate`
(together :data:`Event`); :class:`HistoryPoint`, a point of a venue's published history; and what concerns only the
link: :class:`Control`, :class:`Skipped`, :class:`Bad` (with the former, :data:`Decoded`). Market stage out:
:class:`Consensus`. Indicators out: :class:`Readings`. Scoring out: :class:`Tick`. One term per thing:

* *venue*: a trading place and product line, e.g. ``binance_usdm``;
* *instrument*: the venue's own name of a perpetual, e.g. ``BTC-USDT-SWAP``;
* *symbol*: our canonical name, e.g. ``BTC`` or ``1000PEPE`` (unit: 1,000 tokens);
* *stream*: ``mark``, ``funding`` or ``oi``, without which a venue does not count; ``liquidation``, ``flow``,
  ``positions`` and ``long_short`` where a venue offers them (*extra* streams: their silence is normal).
"""

from __future__ import annotations

from service.model.consensus import MARKET, Consensus, Endpoints, OiFigure, StreamRule, VenueRules, VenueView
from service.model.observation import (
    EXTRA_STREAMS,
    STREAMS,
    Bad,
    Candidate,
    Confirm,
    Control,
    Decoded,
    Event,
    Extra,
    ExtraStream,
    Flow,
    Funding,
    HistoryPoint,
    InstrumentEvent,
    Liquidation,
    Listing,
    LongShort,
    LongShortKind,
    Mark,
    OiSides,
    OpenInterest,
    Positions,
    PositionSide,
    Skipped,
    Stream,
)
from service.model.past import Past, PastHour, past_from
from service.model.signal import (
    Denominator,
    EventRecord,
    LevelReading,
    Month,
    Readings,
    SignalBody,
    Tick,
    TrackRecord,
    WindowReading,
)

__all__ = [
    "EXTRA_STREAMS",
    "MARKET",
    "STREAMS",
    "Bad",
    "Candidate",
    "Confirm",
    "Consensus",
    "Control",
    "Decoded",
    "Denominator",
    "Endpoints",
    "Event",
    "EventRecord",
    "Extra",
    "ExtraStream",
    "Flow",
    "Funding",
    "HistoryPoint",
    "InstrumentEvent",
    "LevelReading",
    "Liquidation",
    "Listing",
    "LongShort",
    "LongShortKind",
    "Mark",
    "Month",
    "OiFigure",
    "OiSides",
    "OpenInterest",
    "Past",
    "PastHour",
    "PositionSide",
    "Positions",
    "Readings",
    "SignalBody",
    "Skipped",
    "Stream",
    "StreamRule",
    "Tick",
    "TrackRecord",
    "VenueRules",
    "VenueView",
    "WindowReading",
    "past_from",
]
