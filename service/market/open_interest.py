"""The open interest of an instrument, and what a step of it is worth (docs/signal.md section 2)."""

from __future__ import annotations

from service.market.freshness import NEVER, QUARANTINED, RESET, after
from service.market.streams import Track, Trust, near
from service.model import OpenInterest, StreamRule

STEP_TRUST_MS = 3_600_000  # an oi step is judged against a value confirmed more recently than this ...
UNIT_TRUST_MS = 86_400_000  # ... and a unit error against one this recent


class OiTrack(Track):
    """Open interest. ``coins`` outlives a reset, because coverage still asks what the venue last held."""

    __slots__ = (
        "agreeing_old",
        "coins",
        "contract_coins",
        "contracts",
        "derived",
        "first_outlying",
        "historic",
        "priced",
    )
    STATE = (
        *Track.STATE,
        "agreeing_old",
        "coins",
        "contract_coins",
        "contracts",
        "derived",
        "first_outlying",
        "historic",
        "priced",
    )

    def __init__(self, rule: StreamRule, trust: Trust) -> None:
        super().__init__(rule, trust)
        self.contracts: float | None = None  # last accepted
        self.contract_coins: float | None = None
        self.coins: float | None = None
        self.derived = False
        self.historic = False  # the held value was back-filled
        self.priced: float | None = None  # coins per contract at the last accepted mark, where they hang on one
        self.first_outlying: float | None = None  # contracts that began the quarantine, or its present count
        self.agreeing_old = False  # the present count agrees with the last accepted value, not the first outlying one

    def take(self, event: OpenInterest) -> bool:
        """An unrefused observation; False: quarantined."""
        agrees = self._agrees(event.contracts, event.recv_ts)
        if agrees and self.state == QUARANTINED:
            self._take_side(event.contracts)
        changed = self.state == NEVER or event.contracts != self.contracts
        if not self.judge(agrees, changed, event.recv_ts):
            if not agrees:
                self.first_outlying = event.contracts
            return False
        self.first_outlying = None
        self.contracts = event.contracts
        self.derived = event.derived
        if self.derived and self.priced is not None:  # the decoder's mark may be one that we do not believe
            self.price(self.priced)
        else:
            self.contract_coins = event.contract_coins
            self.coins = event.coins
        return True

    def price(self, contract_coins: float) -> None:
        """What a contract is worth now, where its coins hang on a price."""
        if self.contracts is not None:
            self.priced = self.contract_coins = contract_coins
            self.coins = self.contracts * contract_coins

    def _agrees(self, contracts: float, recv_ts: int) -> bool:
        if self.contracts is None or self.confirmed_at is None:
            return True
        age_ms = recv_ts - self.confirmed_at
        if near(contracts, self.contracts, self.trust.oi_fraction):
            return True
        if age_ms < UNIT_TRUST_MS and self._unit_error(contracts):
            return False
        if self.state == QUARANTINED:
            return self.first_outlying is not None and near(contracts, self.first_outlying, self.trust.oi_fraction)
        return age_ms >= STEP_TRUST_MS

    def _take_side(self, contracts: float) -> None:
        """A value that flaps between the old level and the new agrees with neither: changing sides counts anew."""
        near_old = self.contracts is not None and near(contracts, self.contracts, self.trust.oi_fraction)
        near_new = self.first_outlying is not None and near(contracts, self.first_outlying, self.trust.oi_fraction)
        if self.agreeing > 0 and (near_old if self.agreeing_old else near_new):
            return
        self.agreeing = 0
        self.agreeing_old = near_old

    def _unit_error(self, contracts: float) -> bool:
        """Beyond the factor, up or down. An accepted 0 tells no unit, so nothing can be wrong by a factor of it."""
        assert self.contracts is not None
        factor = self.trust.oi_factor
        return self.contracts > 0.0 and (contracts > self.contracts * factor or contracts * factor < self.contracts)

    def reset(self) -> None:
        """The contract changed its size: the next observation is a first value."""
        self.state = after(self.state, RESET)
        self.contracts = None
        self.contract_coins = None
        self.priced = None
        self.first_outlying = None
        self.agreeing = 0
