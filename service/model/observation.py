"""What the venue stage says: observations, and what concerns only the link. See :mod:`service.model` for the terms.

All immutable; times are UTC epoch milliseconds; amounts are coins in canonical units, prices USD per canonical unit.
Structs of msgspec, because one is made per value received: a frozen dataclass takes ten times as long. They hold no
containers of their own, so that the garbage collector need not look at them (``gc=False``).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

Stream: TypeAlias = Literal["mark", "funding", "oi"]
STREAMS: tuple[Stream, ...] = ("mark", "funding", "oi")
ExtraStream: TypeAlias = Literal["liquidation", "flow", "positions", "long_short"]
EXTRA_STREAMS: tuple[ExtraStream, ...] = ("liquidation", "flow", "positions", "long_short")
PositionSide: TypeAlias = Literal["long", "short"]
LongShortKind: TypeAlias = Literal["account", "position", "top_account", "top_position"]


class Mark(Struct, frozen=True, gc=False):
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


class Funding(Struct, frozen=True, gc=False):
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


class OpenInterest(Struct, frozen=True, gc=False):
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


class Liquidation(Struct, frozen=True, gc=False):
    """One forced order. ``liquidated_side``: whose position was closed: ``long`` (the venue sold) or ``short``.

    ``coins`` in canonical units, > 0; ``price`` in USD per canonical unit, None where the frame has none.
    ``lower_bound``: the venue throttles or conflates, so that more was liquidated than is reported.
    """

    venue: str
    instrument: str
    symbol: str
    liquidated_side: PositionSide
    coins: float
    price: float | None
    lower_bound: bool
    venue_ts: int | None
    recv_ts: int


class Flow(Struct, frozen=True, gc=False):
    """Taker volume of one frame and instrument in coins: buys and sells summed over its trades, at least one > 0.

    Insurance-fund, auto-deleveraging, block and index prints are left out; so is history that a venue sends
    again on subscribing. ``venue_ts``: the newest of the trades.
    """

    venue: str
    instrument: str
    symbol: str
    taker_buy_coins: float
    taker_sell_coins: float
    venue_ts: int | None
    recv_ts: int


class Positions(Struct, frozen=True, gc=False):
    """Long and short sizes in coins that a venue reports (of its top traders, say), each >= 0."""

    venue: str
    instrument: str
    symbol: str
    long_coins: float
    short_coins: float
    venue_ts: int | None
    recv_ts: int


class LongShort(Struct, frozen=True, gc=False):
    """Who is long, as a share in [0, 1]. ``account``: of accounts; ``position``: of position size; ``top_*``: of the
    venue's large traders. A venue's ratio r = long/short is r / (1 + r) here."""

    venue: str
    instrument: str
    symbol: str
    kind: LongShortKind
    long_share: float
    venue_ts: int | None
    recv_ts: int


class HistoryPoint(Struct, frozen=True, gc=False):
    """One point of a venue's published history, for the warm start: valid from ``ts`` on, and known by then.

    ``value``: ``mark`` and ``index`` in USD per canonical unit (a bar's close, ``ts`` the end of the bar); ``oi``
    the native one-sided count, as :attr:`OpenInterest.contracts`; ``funding`` the settled rate per ``interval_h``.
    ``hold_ms``: how long it may stand for the time after it when no newer point follows (twice its spacing).
    """

    venue: str
    instrument: str
    symbol: str
    stream: Literal["mark", "index", "oi", "funding"]
    ts: int
    value: float
    interval_h: float | None
    hold_ms: int


class Confirm(Struct, frozen=True, gc=False):
    """The venue vouches again, without new values, for what it said last on these streams of an instrument.

    Sent for an accepted delta of a snapshot+delta topic: absent fields are unchanged, not unknown.
    """

    venue: str
    instrument: str
    symbol: str
    streams: tuple[Stream, ...]
    venue_ts: int | None
    recv_ts: int


class Listing(Struct, frozen=True, gc=False):
    """What a venue's metadata says of one perpetual instrument.

    ``contract_size`` in canonical coins (linear) or USD (``inverse`` True) per contract, None if not said.
    ``multiplier``: canonical units per native coin unit of the instrument (1 for BTCUSDT; for PEPE quoted per
    single token against canonical 1000PEPE: 0.001). ``interval_h``: funding interval. ``trading`` False: listed
    but not live (delisted, pre-launch, settling); such an instrument must not count. ``index``: the venue's name of
    the index that prices it, where the instrument's own name does not say it; else "".
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
    index: str = ""


class OiSides(Struct, frozen=True, gc=False):
    """What a venue's own figures say of the sides that its open interest counts: the figure we read over another that
    is known to be one-sided.

    ``ratio``: the median over ``compared`` instruments, of which the share ``agreeing`` is close to it. ``sides``: 1 or
    2; None: the figures fit neither.
    """

    venue: str
    sides: int | None
    ratio: float
    compared: int
    agreeing: float
    recv_ts: int


class Candidate(Struct, frozen=True, gc=False):
    """Numbers of a source of the venue that is not proven yet: the market compares them with those of the proven one,
    and takes them in its place only where the two were found to agree.

    ``fields``: (quantity, name of the field, value) of a row, in the order in which fields of one quantity are
    preferred. ``mark``, ``index``: USD per canonical unit; ``oi``, ``funding``: as sent, what they count is for the
    comparison to find; ``buys``, ``sells``: coins of takers if the size counts contracts. ``contract_size``,
    ``multiplier``, ``inverse``: as in :class:`Listing`. ``next_ts``: the next settlement of the venue's schedule.
    """

    venue: str
    instrument: str
    symbol: str
    fields: tuple[tuple[str, str, float], ...]
    inverse: bool
    contract_size: float
    multiplier: float
    interval_h: float
    next_ts: int
    venue_ts: int | None
    recv_ts: int


class Control(Struct, frozen=True, gc=False):
    """A frame about the connection, not about a market.

    ``kind``: ``ack`` (subscription accepted; ``key`` echoes what, if the venue says), ``pong``, ``info``,
    ``refused`` (a subscription was refused), ``closing`` (the venue announced it will close: reconnect now), ``more``
    (the list goes on: ``text`` is where its next page begins), ``ping`` (the venue asks whether we live: ``text`` is
    what to answer), ``notice`` (something that a person should read).
    """

    kind: Literal["ack", "pong", "info", "refused", "closing", "more", "ping", "notice"]
    key: str | None
    text: str


class Skipped(Struct, frozen=True, gc=False):
    """An instrument's row left out on purpose, with its bounded reason (``unknown_contract_size``, ...)."""

    venue: str
    instrument: str
    reason: str


class Bad(Struct, frozen=True, gc=False):
    """A frame or row that cannot be trusted: counted as ``bad_payload`` under its bounded ``reason``."""

    reason: str
    detail: str


Extra: TypeAlias = Liquidation | Flow | Positions | LongShort
InstrumentEvent: TypeAlias = Mark | Funding | OpenInterest | Confirm | Listing | Extra
Event: TypeAlias = InstrumentEvent | OiSides | Candidate
Decoded: TypeAlias = Event | HistoryPoint | Control | Skipped | Bad
