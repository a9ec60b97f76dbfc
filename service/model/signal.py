"""What is made of the consensus: the indicators' :class:`Readings`, denominators, and one :class:`Tick` of signals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from service.model.consensus import Consensus

HALF_OF_AN_HOUR = 30  # minute values


@dataclass(frozen=True, slots=True)
class WindowReading:
    """One window w at tick T (docs/signal.md section 4). Log changes; None is undefined.

    ``ready``: the sample rule holds. ``ret`` r_w, ``oi_change`` d_w; ``z_*``: over the scale with a half-life of
    1 h as known at T-w; ``slow_z_*``: over the 7-day scale used by flush (None before 24 h of updates).
    ``backfilled``: the window begins in the back-filled past. Taker flow and liquidations are sums over V in coins
    (taker flow of 1m and 5m only), None where nothing was reported; see docs/signal.md section 4. Of 4h and 24h the
    scale is that of a week of hourly changes, and all from ``slow_z_return`` on is missing.
    """

    name: Literal["1m", "5m", "1h", "4h", "24h"]
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

    def reaches(self, hours: int) -> bool:
        """Whether the percentile has so many hours behind it: the oldest value is as old, and half of the minutes are
        there (a week with a few values in it is no week)."""
        return self.horizon_h >= hours and self.n >= hours * HALF_OF_AN_HOUR


class Month(NamedTuple):
    """Published history before the samples: ``since`` its first hour, ``until`` where the samples begin (epoch ms),
    ``hours`` with a value in between, ``venues`` whose open interest is in it."""

    since: int
    until: int
    hours: int
    venues: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Readings:
    """All indicators of one symbol at tick ``ts``; ``consensus`` is the sample at ``ts``.

    ``elr`` reads ln oi_index. ``spread`` reads max-min of rate_8h over venues (its z is over 30 days).
    ``volatility`` reads the 24 h realised volatility. ``spend`` reads funding_spend.
    ``change_7d``, ``change_24h``, ``change_4h``: log changes of oi_index. ``continuity``: the factor of section 6.
    ``statistics_ready``: every 24 h statistic the status rule asks for has its 60 values.
    ``backfilled_until``: time of the last back-filled sample while statistics may still hold any, else None.
    ``liquidations_heard``: a liquidation of the symbol was received in the last 24 h.
    ``volatility_24h``: root of the sum of squared log returns of the last 24 hourly UTC closes; a fraction a day.
    ``month``: what a month of published history filled, while any of it may be held.
    ``swing_windows``: the windows 4h and 24h, only at a ``ts`` on the UTC grid of 300 s, else empty.
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
    volatility_24h: float | None = None
    change_4h: float | None = None
    change_7d: float | None = None
    swing_windows: tuple[WindowReading, ...] = ()
    month: Month | None = None


class EventRecord(NamedTuple):
    """What followed an event (``elr_spike``, ``flush``, ...) so far, of ``n`` whose outcome is known.

    ``share``: of them a fall of open interest by 5 % within a day came after; ``matched``: after as many moments of the
    same volatility; ``lift``: share / matched, with its 95 % interval. None: not known yet.
    """

    n: int = 0
    share: float | None = None
    matched: float | None = None
    lift: float | None = None
    low: float | None = None
    high: float | None = None


class TrackRecord(NamedTuple):
    """What the scoreboard knows at a tick and the message repeats (docs/scoreboard.md).

    ``p_hit``, ``n``: of the composite's direction. ``base_rates``: how often open interest falls by 5 % and 10 %
    within a day, None for the model's own. ``evidence``, ``evidence_10``: what the record says
    of the probabilities of both. ``events``: what followed each kind of event.
    """

    p_hit: float = 0.5
    n: int = 0
    base_rates: tuple[float, float] | None = None
    evidence: str = "none_yet"
    evidence_10: str = "none_yet"
    events: Mapping[str, EventRecord] = {}


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
    """One scored tick: every symbol's signal body, in configuration order, and the alert bodies raised or cleared.

    ``levels``: each symbol's ``ln_oi_index``, None without quorum: what its record of outcomes begins from.
    ``market``: the signal body of the market as a whole; None at ticks of which nothing is said.
    """

    ts: int
    signals: tuple[SignalBody, ...]
    alerts: tuple[dict[str, Any], ...]
    levels: tuple[float | None, ...] = ()
    market: SignalBody | None = None
