"""What the market stage must know of a venue, and what it says: one :class:`Consensus` per symbol and sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from service.model.observation import LongShortKind, Stream

MARKET = "MARKET"  # the market as a whole, where a symbol stands; no symbol may have the name


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
class OiFigure:
    """The venue's figure of open interest and how many ``sides`` it counts, 1 or 2. ``source``: how that is known.

    What we publish is one side: the decoder halves a figure of two. ``evidence``: ``assumed`` where no page of the
    venue says it. docs/venues.md has more.
    """

    name: str = "open interest"
    sides: Literal[1, 2] = 1
    source: str = "nothing is said"
    evidence: Literal["documented", "assumed"] = "assumed"


@dataclass(frozen=True, slots=True)
class VenueRules:
    """What the market stage must know of a venue. ``exchange`` names whose coin reserve backs it.

    ``index_max_age_ms``: how long an index price stays fresh where it comes apart from the mark.
    ``funding_cap_8h``: the largest plausible abs(rate_8h); beyond it a funding rate is quarantined.
    ``sources``: names of the proven source and of the one that may take its place once the two were found to agree
    (:class:`~service.model.Candidate`); None: the venue has one source.
    """

    venue: str
    exchange: str
    mark: StreamRule
    funding: StreamRule
    oi: StreamRule
    index_max_age_ms: int
    funding_cap_8h: float
    oi_figure: OiFigure = OiFigure()
    sources: tuple[str, str] | None = None


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
