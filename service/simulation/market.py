"""One seeded market behind all simulated venues: prices, premiums, funding and open interest that belong together.

Every number comes from ``random.Random`` seeded with text (never from ambient time or the hash seed): the same seed,
symbols, start and sequence of :meth:`MarketModel.step` calls give the same numbers. Log prices follow a common factor
plus the symbol's own moves, both with clustered volatility; the phases of :mod:`service.simulation.schedule` move
price, crowding and open interest; crowding makes the premium, the averaged premium makes the funding rate.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from math import exp, log, sqrt

from service.simulation.instruments import Instrument, instruments
from service.simulation.profiles import Profile, profile
from service.simulation.schedule import Schedule, Segment, plays

MAX_STEP_MS = 60_000
HOUR_MS = 3_600_000
YEAR_S = 31_557_600.0
MARKET_VOLATILITY = 0.34  # of the common factor, per year
BASE_PREMIUM = -0.00045  # perpetuals trade a few bps under the index in calm times; funding is then near zero
LONG_PREMIUM = 0.0020  # what a full crowd of longs adds to the premium
SHORT_PREMIUM = 0.0010
INTEREST_8H = 0.0001  # interest component and its dampener, as the venues publish their formula
DAMPENER_8H = 0.0005
OI_BAND = 0.35  # log distance from its base beyond which open interest is pulled back, whatever the phase
ORACLE_MS = 3_000  # Hyperliquid's oracle and mark move about every 3 s


class Quote:
    """One instrument now, in the venue's native units; read-only for everybody but the model.

    ``mark``, ``index``: USD per native coin. ``rate``: per funding interval. ``next_ts``: next settlement.
    ``contracts``: one-sided. ``premium``: mark against index before rounding. ``settled_rate``: of the last settlement.
    Rate and contracts are worked out when asked for: they are told less often than the market moves.
    """

    __slots__ = (
        "average_premium", "index", "index_offset", "instrument", "level", "loading", "mark", "next_ts", "noise",
        "premium", "settled_rate",
    )  # fmt: skip

    def __init__(self, instrument: Instrument, rng: random.Random) -> None:
        self.instrument = instrument
        self.index_offset = rng.uniform(-0.00003, 0.00003)
        self.loading = rng.uniform(0.85, 1.15)  # how strongly this instrument follows the symbol's build-ups
        self.premium = BASE_PREMIUM + rng.gauss(0.0, 0.0001)
        self.average_premium = self.premium
        self.noise = rng.gauss(0.0, 0.01)
        self.level = 0.0  # of the symbol's open interest
        self.mark = self.index = self.settled_rate = 0.0
        self.next_ts = 0

    @property
    def rate(self) -> float:
        mean, item = self.average_premium, self.instrument
        damped = mean + min(max(INTEREST_8H - mean, -DAMPENER_8H), DAMPENER_8H)
        return round(min(max(damped * item.interval_h / 8, -item.cap), item.cap), 8)

    @property
    def contracts(self) -> float:
        item = self.instrument
        return round(item.oi_contracts * exp(self.level * self.loading + self.noise), item.oi_digits)

    @property
    def price(self) -> float:
        """Mark in USD per canonical unit."""
        return self.mark / self.instrument.multiplier

    @property
    def contract_coins(self) -> float:
        """Canonical coins per contract now; moves with the mark for an inverse contract."""
        size = self.instrument.contract_size
        return size / self.price if self.instrument.inverse else size

    @property
    def coins(self) -> float:
        """One-sided open interest in canonical coins."""
        return self.contracts * self.contract_coins


class SymbolState:
    """One symbol's market, shared by its instruments."""

    __slots__ = (
        "crowd", "hours", "idle_volatility", "level", "levels", "log_base", "log_price", "phase_volatility", "quotes",
        "schedule", "symbol",
    )  # fmt: skip

    def __init__(self, seed: int, symbol: str, start_ms: int, listed: Sequence[Instrument]) -> None:
        rng = random.Random(f"{seed}:symbol:{symbol}")
        self.symbol = symbol
        self.levels: Profile = profile(seed, symbol)
        self.schedule = Schedule(random.Random(f"{seed}:phases:{symbol}"), start_ms)
        self.log_base = log(self.levels.price) + rng.uniform(-0.02, 0.02)
        self.log_price = self.log_base
        self.level = rng.uniform(-0.03, 0.03)  # log open interest against its base
        self.crowd = 0.0
        self.idle_volatility = rng.gauss(0.0, 0.25)  # log, clusters
        self.phase_volatility = 0.0  # log, follows the phase
        self.quotes = tuple(Quote(item, rng) for item in listed)
        self.hours: deque[tuple[int, float]] = deque(maxlen=25)  # (hour, price at its start)

    def day(self) -> tuple[float, float, float]:
        """(price 24 h ago or the oldest known, highest, lowest) of the last day, per canonical unit."""
        prices = [price for _, price in self.hours] + [exp(self.log_price)]
        return prices[0], max(prices), min(prices)


class _Coefficients:
    """What depends on the step's length only."""

    __slots__ = (
        "average_fast", "average_slow", "calm", "cluster", "cluster_kick", "follow", "noise", "noise_kick", "premium",
        "premium_kick", "pull", "root", "seconds",
    )  # fmt: skip

    def __init__(self, dt_ms: int) -> None:
        s = self.seconds = dt_ms / 1000
        self.root = sqrt(s)
        self.cluster = exp(-s / 3600)
        self.cluster_kick = 0.35 * sqrt(1 - self.cluster**2)
        self.follow = exp(-s / 90)
        self.pull = 1 - exp(-s / (2.5 * 86_400))
        self.calm = 1 - exp(-s / 9_000)
        self.premium = exp(-s / 60)
        self.premium_kick = 0.00009 * sqrt(1 - self.premium**2)
        self.average_slow = 1 - exp(-s / 2400)
        self.average_fast = 1 - exp(-s / 1200)
        self.noise = exp(-s / 14_400)
        self.noise_kick = 0.008 * sqrt(1 - self.noise**2)


class MarketModel:
    """The market of ``symbols`` from ``start_ms`` on (UTC epoch ms); :meth:`step` moves it."""

    def __init__(self, seed: int, symbols: Sequence[str], start_ms: int) -> None:
        self.seed = seed
        self.symbols = tuple(symbols)
        self.now_ms = start_ms
        self.staged_ms: int | None = None
        self._rng = random.Random(f"{seed}:market")
        self._market_volatility = 0.0
        self._coefficients: dict[int, _Coefficients] = {}
        listed = instruments(seed, self.symbols)
        self.states = tuple(
            SymbolState(seed, symbol, start_ms, [item for item in listed if item.symbol == symbol])
            for symbol in self.symbols
        )
        by_name = {(q.instrument.venue, q.instrument.name): q for state in self.states for q in state.quotes}
        self._quotes = tuple(by_name[item.venue, item.name] for item in listed)
        for state in self.states:
            self._refresh(state, 0, start_ms)

    # -- reading ---------------------------------------------------------------------------------------------------

    def quotes(self, venue: str | None = None) -> tuple[Quote, ...]:
        """All instruments now, venue by venue in the fixed order; or those of one venue."""
        if venue is None:
            return self._quotes
        return tuple(quote for quote in self._quotes if quote.instrument.venue == venue)

    def state(self, symbol: str) -> SymbolState:
        """The symbol's own state. KeyError if it is not simulated."""
        for state in self.states:
            if state.symbol == symbol:
                return state
        raise KeyError(symbol)

    def phase(self, symbol: str) -> Segment:
        """What the symbol goes through now."""
        return self.state(symbol).schedule.at(self.now_ms)

    # -- moving ----------------------------------------------------------------------------------------------------

    def stage(self, live_ms: int) -> None:
        """Arrange the phases of the first symbols around a demo that starts at ``live_ms`` (see ``schedule.plays``).

        May be called again with a later start: what has not happened yet is put off.
        """
        self.staged_ms = live_ms
        for state, play in zip(self.states, plays(live_ms), strict=False):
            state.schedule.direct(self.now_ms, play)

    def step(self, to_ms: int) -> None:
        """Move to ``to_ms``. Long steps are walked in minutes. Raises ValueError for a step back."""
        if to_ms < self.now_ms:
            raise ValueError(f"the market is at {self.now_ms}, {to_ms} is past")
        while self.now_ms < to_ms:
            self._advance(min(to_ms, self.now_ms + MAX_STEP_MS))

    def _advance(self, to_ms: int) -> None:
        from_ms = self.now_ms
        k = self._coefficients.get(to_ms - from_ms)
        if k is None:
            if len(self._coefficients) >= 64:  # odd steps of a late timer; bounded memory
                self._coefficients.clear()
            k = self._coefficients[to_ms - from_ms] = _Coefficients(to_ms - from_ms)
        gauss = self._rng.gauss
        self._market_volatility = self._market_volatility * k.cluster + k.cluster_kick * gauss(0.0, 1.0)
        market = MARKET_VOLATILITY / sqrt(YEAR_S) * exp(self._market_volatility) * k.root * gauss(0.0, 1.0)
        if self.states:  # the others feel half of what the first symbol's crowd does to it
            market += 0.5 * self.states[0].schedule.at(from_ms).price_per_s * k.seconds
        self.now_ms = to_ms
        for index, state in enumerate(self.states):
            self._move(state, k, from_ms, market, index == 0)
            self._refresh(state, from_ms, to_ms, k)

    def _move(self, state: SymbolState, k: _Coefficients, from_ms: int, market: float, leads: bool) -> None:
        gauss = self._rng.gauss
        segment = state.schedule.at(from_ms)
        phase = segment.phase
        levels = state.levels
        state.idle_volatility = state.idle_volatility * k.cluster + k.cluster_kick * gauss(0.0, 1.0)
        target = log(phase.volatility)
        state.phase_volatility = target + (state.phase_volatility - target) * k.follow
        liveliness = exp(state.idle_volatility + state.phase_volatility)
        own = levels.volatility / sqrt(YEAR_S) * liveliness * k.root * gauss(0.0, 1.0)
        push = segment.price_per_s * k.seconds * (0.5 if leads else 1.0)  # the leader has its other half in ``market``
        state.log_price += levels.beta * market + own + push + (state.log_base - state.log_price) * k.pull

        follow = exp(-k.seconds / phase.ramp_s)
        aim = phase.crowd * segment.side
        state.crowd = aim + (state.crowd - aim) * follow + 0.06 * sqrt(1 - follow * follow) * gauss(0.0, 1.0)

        # Busy markets turn over more positions: open interest moves more where price does.
        level = state.level + segment.oi_per_s * k.seconds + 0.00004 * k.root * sqrt(liveliness) * gauss(0.0, 1.0)
        if phase.calms:
            level -= level * k.calm
        elif abs(level) > OI_BAND:
            level -= (level - (OI_BAND if level > 0 else -OI_BAND)) * k.calm
        state.level = level

    def _refresh(self, state: SymbolState, from_ms: int, to_ms: int, k: _Coefficients | None = None) -> None:
        """Bring the instruments in line with their symbol."""
        gauss = self._rng.gauss
        price = exp(state.log_price)
        hour = to_ms // HOUR_MS
        if not state.hours or state.hours[-1][0] != hour:
            state.hours.append((hour, price))
        crowd = state.crowd
        premium_aim = BASE_PREMIUM + crowd * (LONG_PREMIUM if crowd > 0 else SHORT_PREMIUM)
        if state.symbol in ("BTC", "ETH"):
            premium_aim = BASE_PREMIUM + (premium_aim - BASE_PREMIUM) * 0.85
        oracle_moves = to_ms // ORACLE_MS != from_ms // ORACLE_MS
        for quote in state.quotes:
            item = quote.instrument
            hyperliquid = item.interval_h == 1
            interval_ms = item.interval_h * HOUR_MS
            if item.venue == "binance_usdm":
                next_ts = -(-to_ms // interval_ms) * interval_ms  # the message of the settlement itself has the old T
            else:
                next_ts = (to_ms // interval_ms + 1) * interval_ms
            settles = next_ts != quote.next_ts
            if settles and quote.next_ts != 0:
                quote.settled_rate = quote.rate
            if k is not None:
                premium = quote.premium - premium_aim
                quote.premium = premium_aim + premium * k.premium + k.premium_kick * gauss(0.0, 1.0)
                average = k.average_fast if hyperliquid else k.average_slow
                quote.average_premium += (quote.premium - quote.average_premium) * average
                quote.noise = quote.noise * k.noise + k.noise_kick * gauss(0.0, 1.0)
            quote.level = state.level
            if oracle_moves or not hyperliquid:
                native = price * item.multiplier * (1 + quote.index_offset)
                quote.index = round(native, item.price_digits)
                quote.mark = round(native * (1 + quote.premium), item.price_digits)
            if settles:
                if quote.next_ts == 0:
                    quote.settled_rate = quote.rate
                quote.next_ts = next_ts
