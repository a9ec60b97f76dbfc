"""What a venue tells beyond mark, funding and open interest: taker flow, liquidations, positions, long/short shares.

docs/signal.md sections 2 and 3. Silence is normal here: nothing of this makes a venue count or stop counting.
"""

from __future__ import annotations

from service.market.streams import AHEAD_MS, FUTURE, OUT_OF_ORDER, TOO_OLD
from service.model import Flow, Liquidation, LongShort, LongShortKind, Positions
from service.state import Stateful

REPLAY_MS = 60_000  # trades and liquidations older than this are told again, not told
FRESH_MS = 900_000  # positions and shares are polled every five minutes

IMPLAUSIBLE = "implausible"

KINDS: tuple[LongShortKind, ...] = ("account", "position", "top_account", "top_position")


class Share(Stateful):
    """One kind of long share in [0, 1], its receipt, and the last venue timestamp accepted."""

    __slots__ = ("at", "long_share", "venue_ts")
    STATE = __slots__

    def __init__(self) -> None:
        self.long_share = 0.0
        self.at = 0
        self.venue_ts: int | None = None


class Reported(Stateful):
    """The extra streams of one instrument: sums of coins since the last sample, and the latest positions and shares."""

    __slots__ = (
        "liquidated_long", "liquidated_short", "long_coins", "positions_at", "positions_venue_ts", "ratios",
        "short_coins", "stirred", "taker_buy", "taker_sell",
    )  # fmt: skip
    STATE = __slots__

    def __init__(self) -> None:
        self.stirred = False  # something was traded or liquidated since the last sample
        self.taker_buy = 0.0
        self.taker_sell = 0.0
        self.liquidated_long = 0.0
        self.liquidated_short = 0.0
        self.long_coins = 0.0
        self.short_coins = 0.0
        self.positions_at: int | None = None
        self.positions_venue_ts: int | None = None
        self.ratios: dict[str, Share] = {}  # by kind

    def take_flow(self, event: Flow, oi_coins: float | None) -> str | None:
        """Taker volume; ``oi_coins``: last accepted open interest of the instrument. The refusal, or None."""
        refused = _untimely(event.venue_ts, event.recv_ts)
        if refused is not None:
            return refused
        if oi_coins is None or event.taker_buy_coins + event.taker_sell_coins > oi_coins:
            return IMPLAUSIBLE
        self.stirred = True
        self.taker_buy += event.taker_buy_coins
        self.taker_sell += event.taker_sell_coins
        return None

    def take_liquidation(self, event: Liquidation, oi_coins: float | None) -> str | None:
        """A forced order, under the same checks. No one can be liquidated of more than there is."""
        refused = _untimely(event.venue_ts, event.recv_ts)
        if refused is not None:
            return refused
        if oi_coins is None or event.coins > oi_coins:
            return IMPLAUSIBLE
        self.stirred = True
        if event.liquidated_side == "long":
            self.liquidated_long += event.coins
        else:
            self.liquidated_short += event.coins
        return None

    def take_positions(self, event: Positions) -> str | None:
        refused = _disorderly(event.venue_ts, event.recv_ts, self.positions_venue_ts)
        if refused is not None:
            return refused
        if event.venue_ts is not None:
            self.positions_venue_ts = event.venue_ts
        self.long_coins, self.short_coins, self.positions_at = event.long_coins, event.short_coins, event.recv_ts
        return None

    def take_long_short(self, event: LongShort) -> str | None:
        """A share; each kind has an order of timestamps of its own, because venues publish them apart."""
        held = self.ratios.get(event.kind)
        refused = _disorderly(event.venue_ts, event.recv_ts, None if held is None else held.venue_ts)
        if refused is not None:
            return refused
        if held is None:
            held = self.ratios[event.kind] = Share()
        if event.venue_ts is not None:
            held.venue_ts = event.venue_ts
        held.long_share, held.at = event.long_share, event.recv_ts
        return None

    def make(self, name: str, key: str) -> Stateful | None:
        return Share()

    def settle(self) -> None:
        """The sample has taken the sums."""
        self.stirred = False
        self.taker_buy = self.taker_sell = self.liquidated_long = self.liquidated_short = 0.0

    def has_positions(self, at: int) -> bool:
        """Whether the positions are fresh; exactly 900 s is fresh."""
        return self.positions_at is not None and at - self.positions_at <= FRESH_MS

    def share(self, kind: LongShortKind, at: int) -> tuple[float, int] | None:
        """The long share of a kind and its receipt, None unless fresh."""
        held = self.ratios.get(kind)
        return None if held is None or at - held.at > FRESH_MS else (held.long_share, held.at)

    def reanchor(self, delta_ms: int) -> None:
        """Shift the receipts; venue timestamps are only ever compared with the venue's own."""
        if self.positions_at is not None:
            self.positions_at += delta_ms
        for held in self.ratios.values():
            held.at += delta_ms


def _untimely(venue_ts: int | None, recv_ts: int) -> str | None:
    if venue_ts is None:
        return None
    if venue_ts > recv_ts + AHEAD_MS:
        return FUTURE
    return TOO_OLD if venue_ts < recv_ts - REPLAY_MS else None


def _disorderly(venue_ts: int | None, recv_ts: int, last: int | None) -> str | None:
    if venue_ts is None:
        return None
    if venue_ts > recv_ts + AHEAD_MS:
        return FUTURE
    return OUT_OF_ORDER if last is not None and venue_ts < last else None
