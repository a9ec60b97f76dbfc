"""The extra streams of sections 1 to 3 of docs/signal.md: what is refused, what a sample gets, what is fresh."""

from __future__ import annotations

from msgspec import structs

from service.model import Extra, Flow, Liquidation, LongShort, Positions

FUTURE_MS = 2000
REPLAY_MS = 60_000
FRESH_MS = 900_000


class Extras:
    """What one instrument has said on its extra streams."""

    def __init__(self) -> None:
        self.taker = (0.0, 0.0)  # coins bought and sold since the sample before
        self.liquidated = (0.0, 0.0)  # coins of longs and of shorts since the sample before
        self.positions: Positions | None = None
        self.shares: dict[str, LongShort] = {}  # by kind
        self.last_venue_ts: dict[str, int] = {}  # of positions, and of each kind of long_short

    def apply(self, event: Extra, oi_coins: float | None) -> str | None:
        """Take the event or say why not. ``oi_coins``: the instrument's last accepted OI."""
        if event.venue_ts is not None and event.venue_ts > event.recv_ts + FUTURE_MS:
            return "future"
        if isinstance(event, Positions | LongShort):
            return self._latest(event)
        if event.venue_ts is not None and event.venue_ts < event.recv_ts - REPLAY_MS:
            return "too_old"
        amount = amount_of(event)
        if oi_coins is None or amount[0] + amount[1] > oi_coins:
            return "implausible"
        if isinstance(event, Flow):
            self.taker = (self.taker[0] + amount[0], self.taker[1] + amount[1])
        else:
            self.liquidated = (self.liquidated[0] + amount[0], self.liquidated[1] + amount[1])
        return None

    def _latest(self, event: Positions | LongShort) -> str | None:
        key = event.kind if isinstance(event, LongShort) else "positions"
        if event.venue_ts is not None:
            if event.venue_ts < self.last_venue_ts.get(key, event.venue_ts):
                return "out_of_order"
            self.last_venue_ts[key] = event.venue_ts
        if isinstance(event, Positions):
            self.positions = event
        else:
            self.shares[event.kind] = event
        return None

    def fresh_positions(self, at: int) -> tuple[float, float] | None:
        if self.positions is None or at - self.positions.recv_ts > FRESH_MS:
            return None
        return self.positions.long_coins, self.positions.short_coins

    def fresh_shares(self, at: int) -> list[LongShort]:
        return [share for share in self.shares.values() if at - share.recv_ts <= FRESH_MS]

    def shift(self, delta_ms: int) -> None:
        if self.positions is not None:
            self.positions = structs.replace(self.positions, recv_ts=self.positions.recv_ts + delta_ms)
        self.shares = {
            kind: structs.replace(share, recv_ts=share.recv_ts + delta_ms) for kind, share in self.shares.items()
        }

    def sampled(self) -> None:
        """A sample has been taken: what comes now belongs to the next."""
        self.taker, self.liquidated = (0.0, 0.0), (0.0, 0.0)


def amount_of(event: Flow | Liquidation) -> tuple[float, float]:
    """Coins (bought, sold) by takers, or (of longs, of shorts) by force."""
    if isinstance(event, Flow):
        return event.taker_buy_coins, event.taker_sell_coins
    return (event.coins, 0.0) if event.liquidated_side == "long" else (0.0, event.coins)
