"""One seeded market behind all simulated venues: prices, premiums, funding and open interest that belong together.

Every number comes from ``random.Random`` seeded with text (never from ambient time or the hash seed): the same seed,
symbols, start and sequence of :meth:`MarketModel.step` calls give the same numbers. Log prices follow a common factor
plus the symbol's own moves, both with clustered volatility; the phases of :mod:`service.simulation.schedule` move
price, crowding and open interest; crowding makes the premium, the averaged premium makes the funding rate. An
instrument's numbers are the same whichever other venues are simulated. Each whole minute is put on record.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from math import exp, log, sqrt, tanh

from service.simulation.before import Before
from service.simulation.instruments import BITCOIN, VENUES, Instrument, instruments
from service.simulation.minutes import MINUTE_MS
from service.simulation.profiles import Profile, profile
from service.simulation.quotes import (
    BASE_PREMIUM,
    LONG_PREMIUM,
    RATE_IN_FORCE,
    SHORT_PREMIUM,
    Mood,
    Quote,
    normal_pair,
    rounded,
)
from service.simulation.schedule import Schedule, Segment, plays

MAX_STEP_MS = 60_000
HOUR_MS = 3_600_000
YEAR_S = 31_557_600.0
MARKET_VOLATILITY = 0.34  # of the common factor, per year
OI_BAND = 0.35  # log distance from its base beyond which open interest is pulled back, whatever the phase
ORACLE_MS = 3_000  # Hyperliquid's oracle and mark move about every 3 s
CROWD_MS = 300_000  # long/short ratios are published every five minutes
FORCED_PER_S = {"flush": 1.2, "cascade": 0.6}  # liquidations per instrument
FORCED_IDLE = 1 / 900
_LATE_NEXT = ("binance_usdm", "binance_coinm", "aster")  # the message of the settlement itself has the old time

__all__ = ["HOUR_MS", "ORACLE_MS", "MarketModel", "Quote", "SymbolState"]


class SymbolState:
    """One symbol's market, shared by its instruments."""

    __slots__ = (
        "burst", "crowd", "hours", "idle_volatility", "lean", "level", "levels", "log_base", "log_price", "mood",
        "phase_volatility", "quotes", "schedule", "symbol",
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
        self.burst = 0.0  # log, of liquidations: they come in clusters
        self.lean = 0.0  # of the takers, beyond what crowd and price say
        self.mood = Mood(start_ms)
        before = Before(seed, symbol, self.levels, start_ms, self.log_price, self.level)
        self.quotes = tuple(Quote(item, seed, self.mood, before) for item in listed)
        self.hours: deque[tuple[int, float]] = deque(maxlen=25)  # (hour, price at its start)

    def day(self) -> tuple[float, float, float]:
        """(price 24 h ago or the oldest known, highest, lowest) of the last day, per canonical unit."""
        prices = [price for _, price in self.hours] + [exp(self.log_price)]
        return prices[0], max(prices), min(prices)


class _Coefficients:
    """What depends on the step's length only."""

    __slots__ = (
        "average_fast", "average_slow", "burst", "burst_kick", "calm", "cluster", "cluster_kick", "follow", "lean",
        "lean_kick", "noise", "noise_kick", "premium", "premium_kick", "pull", "root", "seconds",
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
        self.burst = exp(-s / 8)
        self.burst_kick = sqrt(1 - self.burst**2)
        self.lean = exp(-s / 90)
        self.lean_kick = 0.12 * sqrt(1 - self.lean**2)


class MarketModel:
    """The market of ``symbols`` on ``venues`` from ``start_ms`` on (UTC epoch ms); :meth:`step` moves it."""

    def __init__(self, seed: int, symbols: Sequence[str], start_ms: int, venues: Sequence[str] = VENUES) -> None:
        self.seed = seed
        self.symbols = tuple(symbols)
        self.venues = tuple(venue for venue in VENUES if venue in venues)
        self.now_ms = start_ms
        self.staged_ms: int | None = None
        self._rng = random.Random(f"{seed}:market")
        self._market_volatility = 0.0
        self._coefficients: dict[int, _Coefficients] = {}
        self._crowd_rng = random.Random(f"{seed}:crowds")
        listed = instruments(seed, self.symbols, self.venues)
        self.states = tuple(
            SymbolState(seed, symbol, start_ms, [item for item in listed if item.symbol == symbol])
            for symbol in self.symbols
        )
        by_name = {(q.instrument.venue, q.instrument.name): q for state in self.states for q in state.quotes}
        self._quotes = tuple(by_name[item.venue, item.name] for item in listed)
        bitcoin = by_name.get(("bitmex", BITCOIN))
        for quote in self._quotes:
            if quote.instrument.unit == "quanto":
                quote.bitcoin = bitcoin
        for state in self.states:
            self._refresh(state, 0, start_ms)
            for quote in state.quotes:
                quote.settled_rate = quote.rate
                _expect(quote, start_ms)
                quote.settled_before(quote.next_ts - quote.instrument.interval_h * HOUR_MS)
        if start_ms % MINUTE_MS == 0:
            self._record(start_ms)

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
        first, second = normal_pair(self._rng.random)
        self._market_volatility = self._market_volatility * k.cluster + k.cluster_kick * first
        market = MARKET_VOLATILITY / sqrt(YEAR_S) * exp(self._market_volatility) * k.root * second
        if self.states:  # the others feel half of what the first symbol's crowd does to it
            market += 0.5 * self.states[0].schedule.at(from_ms).price_per_s * k.seconds
        self.now_ms = to_ms
        for index, state in enumerate(self.states):
            self._move(state, k, from_ms, market, index == 0)
            self._sway(state, k, from_ms, to_ms)
            self._refresh(state, from_ms, to_ms, k)
        if to_ms // MINUTE_MS != from_ms // MINUTE_MS:
            self._record(to_ms // MINUTE_MS * MINUTE_MS)

    def _record(self, minute_ms: int) -> None:
        for quote in self._quotes:
            quote.past.note(minute_ms, quote.mark, quote.index, quote.contracts)

    def _sway(self, state: SymbolState, k: _Coefficients, from_ms: int, to_ms: int) -> None:
        """How many trade, on which side, and who is forced to."""
        first, second = normal_pair(self._crowd_rng.random)
        segment, mood = state.schedule.at(from_ms), state.mood
        state.burst = state.burst * k.burst + k.burst_kick * first
        state.lean = state.lean * k.lean + k.lean_kick * second
        forced = FORCED_PER_S.get(segment.phase.name)
        mood.cascading, mood.side = forced is not None, segment.side
        mood.forced = (FORCED_IDLE if forced is None else forced) * exp(state.burst - 0.5)
        mood.activity = exp(state.idle_volatility + state.phase_volatility)
        mood.pressure = 0.7 * tanh(0.25 * state.crowd + 8_000 * segment.price_per_s + state.lean)
        mood.now_ms, mood.step_s = to_ms, k.seconds
        if to_ms // CROWD_MS != from_ms // CROWD_MS:
            mood.crowd = state.crowd

    def _move(self, state: SymbolState, k: _Coefficients, from_ms: int, market: float, leads: bool) -> None:
        first, second = normal_pair(self._rng.random)
        third, fourth = normal_pair(self._rng.random)
        segment = state.schedule.at(from_ms)
        phase = segment.phase
        levels = state.levels
        state.idle_volatility = state.idle_volatility * k.cluster + k.cluster_kick * first
        target = log(phase.volatility)
        state.phase_volatility = target + (state.phase_volatility - target) * k.follow
        liveliness = exp(state.idle_volatility + state.phase_volatility)
        own = levels.volatility / sqrt(YEAR_S) * liveliness * k.root * second
        push = segment.price_per_s * k.seconds * (0.5 if leads else 1.0)  # the leader has its other half in ``market``
        state.log_price += levels.beta * market + own + push + (state.log_base - state.log_price) * k.pull

        follow = exp(-k.seconds / phase.ramp_s)
        aim = phase.crowd * segment.side
        state.crowd = aim + (state.crowd - aim) * follow + 0.06 * sqrt(1 - follow * follow) * third

        # Busy markets turn over more positions: open interest moves more where price does.
        level = state.level + segment.oi_per_s * k.seconds + 0.00004 * k.root * sqrt(liveliness) * fourth
        if phase.calms:
            level -= level * k.calm
        elif abs(level) > OI_BAND:
            level -= (level - (OI_BAND if level > 0 else -OI_BAND)) * k.calm
        state.level = level

    def _refresh(self, state: SymbolState, from_ms: int, to_ms: int, k: _Coefficients | None = None) -> None:
        """Bring the instruments in line with their symbol."""
        price = exp(state.log_price)
        hour = to_ms // HOUR_MS
        if not state.hours or state.hours[-1][0] != hour:
            state.hours.append((hour, price))
        crowd = state.crowd
        premium_aim = BASE_PREMIUM + crowd * (LONG_PREMIUM if crowd > 0 else SHORT_PREMIUM)
        if state.symbol in ("BTC", "ETH"):
            premium_aim = BASE_PREMIUM + (premium_aim - BASE_PREMIUM) * 0.85
        oracle_moves = to_ms // ORACLE_MS != from_ms // ORACLE_MS
        level = state.level
        for quote in state.quotes:
            item = quote.instrument
            if k is not None:
                if to_ms >= quote.settles_ms:
                    self._settle(quote, to_ms)
                first, second = normal_pair(quote.rng.random)
                premium = quote.premium = (
                    premium_aim + (quote.premium - premium_aim) * k.premium + k.premium_kick * first
                )
                average = k.average_fast if item.interval_h == 1 else k.average_slow
                quote.average_premium += (premium - quote.average_premium) * average
                quote.noise = quote.noise * k.noise + k.noise_kick * second
            quote.level = level
            venue = item.venue
            if oracle_moves or venue != "hyperliquid":
                native = price * item.multiplier * (1 + quote.index_offset)
                index = quote.index = rounded(native, item.price_digits, quote.price_scale)
                # dYdX margins by its oracle: there is no mark of its own (venue page).
                if venue == "dydx":
                    quote.mark = index
                else:
                    quote.mark = rounded(native * (1 + quote.premium), item.price_digits, quote.price_scale)

    @staticmethod
    def _settle(quote: Quote, to_ms: int) -> None:
        """Pass the settlement that lies between the last step and this one."""
        charged = quote.settled_rate if quote.instrument.venue in RATE_IN_FORCE else quote.rate
        quote.settlements.append((quote.next_ts, charged))
        quote.settled_rate = quote.rate
        _expect(quote, to_ms)


def _expect(quote: Quote, now_ms: int) -> None:
    """Let the next settlement be the first one from now on."""
    item = quote.instrument
    quote.next_ts = _next_ts(item, now_ms)
    quote.settles_ms = quote.next_ts + (item.venue in _LATE_NEXT)


def _next_ts(item: Instrument, now_ms: int) -> int:
    interval_ms, offset_ms = item.interval_h * HOUR_MS, item.offset_h * HOUR_MS
    if item.venue in _LATE_NEXT:
        return -(-now_ms // interval_ms) * interval_ms
    return ((now_ms - offset_ms) // interval_ms + 1) * interval_ms + offset_ms
