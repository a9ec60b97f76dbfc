"""The messages that pass between the stages. All immutable; times are UTC epoch milliseconds.

Venue stage out: :class:`Mark`, :class:`Funding`, :class:`OpenInterest`, :class:`Confirm`, :class:`Listing`
(together :data:`Event`), and what concerns only the link: :class:`Control`, :class:`Skipped`, :class:`Bad`
(with the former, :data:`Decoded`). Market stage out: :class:`Consensus`. One term per thing:

* *venue*: a trading place and product line, e.g. ``binance_usdm``;
* *instrument*: the venue's own name of a perpetual, e.g. ``BTC-USDT-SWAP``;
* *symbol*: our canonical name, e.g. ``BTC`` or ``1000PEPE`` (unit: 1,000 tokens);
* *stream*: ``mark``, ``funding`` or ``oi``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Stream: TypeAlias = Literal["mark", "funding", "oi"]
STREAMS: tuple[Stream, ...] = ("mark", "funding", "oi")


@dataclass(frozen=True, slots=True)
class Mark:
    """Mark price and index price in USD (USDT, USDC) per canonical unit. ``None``: not in this frame.

    At least one of the two is set. ``mark`` None means an index-only frame, which does not vouch for the mark.
    """

    venue: str
    instrument: str
    symbol: str
    mark: float | None
    index: float | None
    venue_ts: int | None
    recv_ts: int


@dataclass(frozen=True, slots=True)
class Funding:
    """Funding rate: a fraction per ``interval_h`` hours, + means longs pay shorts.

    ``rate_8h = rate * 8 / interval_h``; both None where neither frame nor metadata says the interval.
    ``settled`` True: a settled rate (history), not the running estimate.
    """

    venue: str
    instrument: str
    symbol: str
    rate: float
    interval_h: float | None
    rate_8h: float | None
    next_ts: int | None
    settled: bool
    venue_ts: int | None
    recv_ts: int


@dataclass(frozen=True, slots=True)
class OpenInterest:
    """One-sided open interest. ``coins = contracts * contract_coins`` in canonical units.

    ``contracts`` is the native one-sided count (for an inverse contract a USD amount over the contract's
    USD size), ``contract_coins`` the coins per contract now (it moves with the price for inverse contracts).
    ``derived``: halved from a both-sided figure or converted through a price.
    """

    venue: str
    instrument: str
    symbol: str
    contracts: float
    contract_coins: float
    coins: float
    derived: bool
    venue_ts: int | None
    recv_ts: int


@dataclass(frozen=True, slots=True)
class Confirm:
    """The venue vouches again, without new values, for what it said last on these streams of an instrument.

    Sent for an accepted delta of a snapshot+delta topic: absent fields are unchanged, not unknown.
    """

    venue: str
    instrument: str
    symbol: str
    streams: tuple[Stream, ...]
    venue_ts: int | None
    recv_ts: int


@dataclass(frozen=True, slots=True)
class Listing:
    """What a venue's metadata says of one perpetual instrument.

    ``contract_size`` in canonical coins (linear) or USD (``inverse`` True) per contract, None if not said.
    ``multiplier``: canonical units per native coin unit of the instrument (1 for BTCUSDT; for PEPE quoted per
    single token against canonical 1000PEPE: 0.001). ``interval_h``: funding interval. ``trading`` False: listed
    but not live (delisted, pre-launch, settling); such an instrument must not count.
    """

    venue: str
    instrument: str
    symbol: str
    inverse: bool
    contract_size: float | None
    multiplier: float
    interval_h: float | None
    trading: bool
    recv_ts: int


@dataclass(frozen=True, slots=True)
class Control:
    """A frame about the connection, not about a market.

    ``kind``: ``ack`` (subscription accepted; ``key`` echoes what, if the venue says), ``pong``, ``info``,
    ``refused`` (a subscription was refused), ``closing`` (the venue announced it will close: reconnect now).
    """

    kind: Literal["ack", "pong", "info", "refused", "closing"]
    key: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """An instrument's row left out on purpose, with its bounded reason (``unknown_contract_size``, ...)."""

    venue: str
    instrument: str
    reason: str


@dataclass(frozen=True, slots=True)
class Bad:
    """A frame or row that cannot be trusted: counted as ``bad_payload`` under its bounded ``reason``."""

    reason: str
    detail: str


Event: TypeAlias = Mark | Funding | OpenInterest | Confirm | Listing
Decoded: TypeAlias = Event | Control | Skipped | Bad


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
    ``fresh``: the venue is in V (mark and oi LIVE).
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


@dataclass(frozen=True, slots=True)
class Denominator:
    """What ELR divides by, for one symbol, in canonical units (1000PEPE: thousands of tokens).

    ``reserves``: coins held per exchange (keys are exchange names such as ``binance``; ``all`` for a total that
    cannot be split). ``supply``: circulating supply. ``as_of``: epoch ms of the figures. ``source``, ``licence``: text.
    """

    symbol: str
    supply: float | None
    reserves: tuple[tuple[str, float], ...]
    as_of: int
    source: str
    licence: str


SignalBody: TypeAlias = dict[str, Any]  # the body of a signal message, keys as in docs/messages.md, full floats


@dataclass(frozen=True, slots=True)
class Tick:
    """One scored tick: every symbol's signal body, in configuration order, and the alert bodies raised or cleared."""

    ts: int
    signals: tuple[SignalBody, ...]
    alerts: tuple[dict[str, Any], ...]
