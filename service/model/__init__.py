"""The messages that pass between the stages. All immutable; times are UTC epoch milliseconds.

Venue stage out: :class:`Mark`, :class:`Funding`, :class:`OpenInterest`, :class:`Confirm`, :class:`Listing`,
:class:`Liquidation`, :class:`Flow`, :class:`Positions`, :class:`LongShort` (together :data:`Event`); :class:`Past`,
a point of a venue's published history; and what concerns only the link: :class:`Control`, :class:`Skipped`,
:class:`Bad` (with the former, :data:`Decoded`). Market stage out: :class:`Consensus`. One term per thing:

* *venue*: a trading place and product line, e.g. ``binance_usdm``;
* *instrument*: the venue's own name of a perpetual, e.g. ``BTC-USDT-SWAP``;
* *symbol*: our canonical name, e.g. ``BTC`` or ``1000PEPE`` (unit: 1,000 tokens);
* *stream*: ``mark``, ``funding`` or ``oi``, without which a venue does not count; ``liquidation``, ``flow``,
  ``positions`` and ``long_short`` where a venue offers them (*extra* streams: their silence is normal).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from service.model.observation import (
    EXTRA_STREAMS,
    STREAMS,
    Bad,
    Confirm,
    Control,
    Decoded,
    Event,
    Extra,
    ExtraStream,
    Flow,
    Funding,
    Liquidation,
    Listing,
    LongShort,
    LongShortKind,
    Mark,
    OpenInterest,
    Past,
    Positions,
    PositionSide,
    Skipped,
    Stream,
)

__all__ = [
    "EXTRA_STREAMS",
    "STREAMS",
    "Bad",
    "Confirm",
    "Consensus",
    "Control",
    "Decoded",
    "Denominator",
    "Endpoints",
    "Event",
    "Extra",
    "ExtraStream",
    "Flow",
    "Funding",
    "LevelReading",
    "Liquidation",
    "Listing",
    "LongShort",
    "LongShortKind",
    "Mark",
    "OpenInterest",
    "Past",
    "PositionSide",
    "Positions",
    "Readings",
    "SignalBody",
    "Skipped",
    "Stream",
    "StreamRule",
    "Tick",
    "VenueRules",
    "VenueView",
    "WindowReading",
]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Base addresses, without a trailing slash. Configuration may replace each (regions, test nets, loopback).

    ``ws`` holds one base per socket kind, e.g. ``{"linear": ..., "inverse": ...}``; ``rest`` one base.
    """

    ws: Mapping[str, str]
    rest: str


@dataclass(frozen=True, slots=True)
class StreamRule:
    """How long a stream of a venue stays fresh, and what its venue timestamps mean.

    ``max_age_ms``: exactly this age is fresh, 1 ms more is not. ``stamp``: ``send`` (time of sending: too old
    is not fresh), ``change`` (time of last change: may be old), ``none`` (no timestamps).
    """

    max_age_ms: int
    stamp: Literal["send", "change", "none"]


@dataclass(frozen=True, slots=True)
class VenueRules:
    """What the market stage must know of a venue. ``exchange`` names whose coin reserve backs it.

    ``index_max_age_ms``: how long an index price stays fresh where it comes apart from the mark.
    ``funding_cap_8h``: the largest plausible abs(rate_8h); beyond it a funding rate is quarantined.
    """

    venue: str
    exchange: str
    mark: StreamRule
    funding: StreamRule
    oi: StreamRule
    index_max_age_ms: int
    funding_cap_8h: float


@dataclass(frozen=True, slots=True)
class VenueView:
    """One venue's part of a symbol at a sample: values are None where not LIVE; ages in ms, None if never seen.

    ``oi_coins_last`` is the last accepted OI of all its instruments seen in the trailing 24 h, fresh or not.
    ``oi_coins`` sums only its instruments with LIVE mark and oi. ``instrument``: the one with most OI, whose mark
    and funding count. ``states``: stream -> NEVER, LIVE, STALE, FROZEN, QUARANTINED (of that instrument).
    ``fresh``: the venue is in V (mark and oi LIVE). ``taker_*`` and ``liquidated_*``: coins received since the sample
    before, 0 where nothing was. ``long_coins``, ``short_coins``: reported positions, None unless fresh.
    ``long_short``: (kind, long share, receipt) of what is fresh.
    """

    venue: str
    instrument: str
    fresh: bool
    mark: float | None
    index: float | None
    rate: float | None
    rate_8h: float | None
    interval_h: float | None
    oi_coins: float | None
    oi_coins_last: float
    age_mark_ms: int | None
    age_funding_ms: int | None
    age_oi_ms: int | None
    states: tuple[tuple[Stream, str], ...]
    taker_buy_coins: float = 0.0
    taker_sell_coins: float = 0.0
    liquidated_long_coins: float = 0.0
    liquidated_short_coins: float = 0.0
    long_coins: float | None = None
    short_coins: float | None = None
    long_short: tuple[tuple[LongShortKind, float, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Consensus:
    """One symbol at one sampled second ``ts`` (docs/signal.md section 3).

    ``step_s``: seconds this sample stands for (1 live, 60 back-filled). ``quorum`` False means no_data: price
    and oi_coins are then None. ``ln_oi_index`` is the chain-linked log index and always a number.
    ``oi_receipts``: OI observations accepted since the previous sample. ``full_set``: every venue seen in
    the trailing 24 h is fresh. ``as_of``: oldest receipt among the inputs used, None without quorum.
    ``freshness``: the factor of section 6 in (0, 1], None without quorum. ``coverage`` in [0, 1].
    ``trouble``: codes such as ``stale:bybit`` of venues that are not fresh and hold over 10 % of the OI.
    ``venues`` in configuration order. ``venues_total``: configured venues that list the symbol.
    """

    symbol: str
    ts: int
    step_s: int
    quorum: bool
    price: float | None
    index: float | None
    funding_8h: float | None
    funding_spend: float | None
    funding_spread: float | None
    funding_outlier_sign: int
    oi_coins: float | None
    ln_oi_index: float
    oi_receipts: int
    full_set: bool
    coverage: float
    freshness: float | None
    as_of: int | None
    trouble: tuple[str, ...]
    excluded: tuple[str, ...]
    venues_total: int
    venues: tuple[VenueView, ...]


@dataclass(frozen=True, slots=True)
class WindowReading:
    """One window w at tick T (docs/signal.md section 4). Log changes; None is undefined.

    ``ready``: the sample rule holds. ``ret`` r_w, ``oi_change`` d_w; ``z_*``: over the scale with a half-life of
    1 h as known at T-w; ``slow_z_*``: over the 7-day scale used by flush (None before 24 h of updates).
    ``backfilled``: the window begins in the back-filled past. Taker flow and liquidations are sums over V in coins
    (taker flow of 1m and 5m only), None where nothing was reported; see docs/signal.md section 4.
    """

    name: Literal["1m", "5m", "1h"]
    seconds: int
    ready: bool
    ret: float | None
    oi_change: float | None
    z_return: float | None
    z_oi: float | None
    slow_z_return: float | None
    slow_z_oi: float | None
    backfilled: bool = False
    taker_buy_coins: float | None = None
    taker_sell_coins: float | None = None
    taker_imbalance: float | None = None
    z_taker: float | None = None
    liquidated_long_coins: float | None = None
    liquidated_short_coins: float | None = None
    liquidation_imbalance: float | None = None
    liquidation_intensity: float | None = None


@dataclass(frozen=True, slots=True)
class LevelReading:
    """A level against its own past: robust z over 24 h, percentile over up to 30 days.

    ``n`` and ``horizon_h`` describe the percentile's history. None: undefined (no value now, or under 60 minutes).
    """

    value: float | None
    z: float | None
    percentile: float | None
    n: int
    horizon_h: int


@dataclass(frozen=True, slots=True)
class Readings:
    """All indicators of one symbol at tick ``ts``; ``consensus`` is the sample at ``ts``.

    ``elr`` reads ln oi_index. ``spread`` reads max-min of rate_8h over venues (its z is over 30 days).
    ``volatility`` reads the 24 h realised volatility. ``spend`` reads funding_spend.
    ``change_24h`` is the log change of oi_index over 24 h. ``continuity`` is the factor of section 6.
    ``statistics_ready``: every 24 h statistic the status rule asks for has its 60 values.
    ``backfilled_until``: time of the last back-filled sample while statistics may still hold any, else None.
    ``liquidations_heard``: a liquidation of the symbol was received in the last 24 h.
    """

    symbol: str
    ts: int
    consensus: Consensus
    windows: tuple[WindowReading, ...]
    elr: LevelReading
    funding: LevelReading
    funding_abs: LevelReading
    premium: LevelReading
    spread: LevelReading
    volatility: LevelReading
    spend: LevelReading
    change_24h: float | None
    continuity: float
    statistics_ready: bool
    backfilled_until: int | None = None
    liquidations_heard: bool = False


@dataclass(frozen=True, slots=True)
class Denominator:
    """What ELR divides by, for one symbol, in canonical units (1000PEPE: thousands of tokens).

    ``reserves``: coins held per exchange (keys are exchange names such as ``binance``; ``all`` for a total that
    cannot be split). ``supply``: circulating supply. ``as_of``: epoch ms of the figures. ``source``, ``licence``: text.
    An item may carry reserves, a supply or both; a later item replaces what it carries and leaves the other.
    ``reserve_stale_h``, ``supply_stale_h``: age in hours beyond which the figure is stale; it stays in use, said so.
    """

    symbol: str
    supply: float | None
    reserves: tuple[tuple[str, float], ...]
    as_of: int
    source: str
    licence: str
    reserve_stale_h: float = 36.0
    supply_stale_h: float = 48.0


SignalBody: TypeAlias = dict[str, Any]  # the body of a signal message, keys as in docs/messages.md, full floats


@dataclass(frozen=True, slots=True)
class Tick:
    """One scored tick: every symbol's signal body, in configuration order, and the alert bodies raised or cleared."""

    ts: int
    signals: tuple[SignalBody, ...]
    alerts: tuple[dict[str, Any], ...]
