"""One instrument of the simulated market: its prices, funding, open interest, trades, liquidations and past."""

from __future__ import annotations

import random
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import cos, exp, floor, log, pi, sin, sqrt
from typing import Literal

from service.model import LongShortKind, PositionSide
from service.simulation.before import Before, Hour, price
from service.simulation.instruments import Instrument
from service.simulation.minutes import Bar, Point, Price, Records

BASE_PREMIUM = -0.00045  # perpetuals trade a few bps under the index in calm times; funding is then near zero
INTEREST_8H = 0.0001  # interest component and its dampener, as the venues publish their formula
DAMPENER_8H = 0.0005
RATE_IN_FORCE = ("bitmex", "kraken_futures")  # tell the rate fixed for the running interval, not the estimate
SETTLEMENTS = 800  # a month of hourly ones
RECENT_TRADES = 50
HOUR_MS = 3_600_000
LONG_PREMIUM = 0.0020  # what a full crowd of longs adds to the premium
SHORT_PREMIUM = 0.0010
DAY_S = 86_400
TRADES_PER_STEP = 3  # ordinary ones, at most
FORCED_PER_STEP = 6
FORCED_SHARE = 3e-5  # of the open interest: the middle size of a liquidation in a cascade
IDLE_SHARE = 2e-6  # and in calm times
_LONG_SHARES: dict[LongShortKind, tuple[float, float]] = {  # when nobody is crowded, and what a full crowd adds
    "account": (0.55, 0.16), "position": (0.51, 0.06), "top_account": (0.53, 0.12), "top_position": (0.52, 0.08),
}  # fmt: skip


def normal_pair(random: Callable[[], float]) -> tuple[float, float]:
    """Two independent standard normal numbers: those that ``gauss(0.0, 1.0)`` gives one by one in twice the time."""
    angle = random() * (2.0 * pi)
    radius = sqrt(-2.0 * log(1.0 - random()))
    return cos(angle) * radius, sin(angle) * radius


def rounded(value: float, digits: int, scale: float) -> float:
    """``round(value, digits)`` of a value >= 0, in half the time; ``scale``: 10.0 to the power of ``digits``.

    Away from ties, and as long as a whole number of that size is exact, the nearest multiple is the whole number over
    the scale. Everything else is left to ``round``.
    """
    scaled = value * scale
    whole = floor(scaled + 0.5)
    return whole / scale if -0.49 < scaled - whole < 0.49 and whole < 1e13 else round(value, digits)


def premium(hour: Hour) -> float:
    """What the crowd of an hour of the month before makes of the premium."""
    return BASE_PREMIUM + hour.crowd * (LONG_PREMIUM if hour.crowd > 0 else SHORT_PREMIUM)


@dataclass(frozen=True, slots=True)
class Trade:
    """One taker order's fill. ``ts``: within the last second. ``price``: native. ``contracts``: > 0, whole lots.

    ``number``: unique per instrument and growing, with gaps. ``liquidated``: whose position was closed by force.
    """

    ts: int
    price: float
    contracts: float
    taker: Literal["buy", "sell"]
    liquidated: PositionSide | None
    number: int


class Mood:
    """What a symbol's traders do now; set by the model, shared by the symbol's instruments.

    ``activity``: turnover against calm times. ``pressure``: in [-1, 1], takers sell or buy. ``forced``: liquidations
    per second and instrument, of the ``side`` (+1 longs) that is crowded. ``crowd``: as at the last five minutes.
    """

    __slots__ = ("activity", "cascading", "crowd", "dice", "forced", "now_ms", "pressure", "side", "step_s")

    def __init__(self, now_ms: int) -> None:
        self.activity, self.pressure, self.forced, self.crowd = 1.0, 0.0, 0.0, 0.0
        self.side, self.cascading = 1, False
        self.now_ms, self.step_s = now_ms, 1.0
        self.dice = random.Random(0)  # seeded anew for every instrument and step: draws must not depend on who asks


class Quote:
    """One instrument now, in the venue's native units; read-only for everybody but the model.

    ``mark``, ``index``: USD per native coin. ``rate``: per funding interval. ``next_ts``: next settlement.
    ``contracts``: one-sided. ``premium``: mark against index before rounding. ``settled_rate``: the estimate as it
    stood at the last settlement. ``settlements``: (time, rate charged then), oldest first, with those of the month
    before. ``past``: its minutes, and the hours of that month. ``before``: its symbol's month. ``bitcoin``: the quote
    whose index converts a quanto contract. ``settles_ms``: the first step at or after it passes ``next_ts``. ``rng``:
    what moves it. ``price_scale``: of :func:`rounded`.
    """

    __slots__ = (
        "_first_noise", "_oi_scale", "_salt", "_traded_ms", "_trades", "average_premium", "before", "bitcoin", "index",
        "index_offset", "instrument", "level", "loading", "mark", "mood", "next_ts", "noise", "past", "premium",
        "price_scale", "recent", "rng", "settled_rate", "settlements", "settles_ms", "tilt",
    )  # fmt: skip

    def __init__(self, instrument: Instrument, seed: int, mood: Mood, before: Before) -> None:
        name = f"{seed}:quote:{instrument.venue}:{instrument.name}"
        rng = random.Random(name)  # of its own: a venue's numbers do not depend on which others are simulated
        self.rng = rng
        self.instrument = instrument
        self.price_scale, self._oi_scale = float(10**instrument.price_digits), float(10**instrument.oi_digits)
        self.mood = mood
        self.index_offset = rng.uniform(-0.00003, 0.00003)
        self.loading = rng.uniform(0.85, 1.15)  # how strongly this instrument follows the symbol's build-ups
        self.tilt = rng.uniform(-0.02, 0.02)  # of its long shares
        self.premium = BASE_PREMIUM + rng.gauss(0.0, 0.0001)
        self.average_premium = self.premium
        self.noise = self._first_noise = rng.gauss(0.0, 0.01)
        self.level = 0.0  # of the symbol's open interest
        self.mark = self.index = self.settled_rate = 0.0
        self.next_ts = self.settles_ms = 0
        self.settlements: deque[tuple[int, float]] = deque(maxlen=SETTLEMENTS)
        self.before = before
        self.past = Records(self._older)
        self.bitcoin: Quote | None = None
        self.recent: deque[Trade] = deque(maxlen=RECENT_TRADES)  # those that were asked for
        self._salt = zlib.crc32(name.encode()) << 44
        self._traded_ms = -1
        self._trades: tuple[Trade, ...] = ()

    # -- prices, funding, open interest ----------------------------------------------------------------------------

    @property
    def rate(self) -> float:
        """The running estimate for the next settlement."""
        return self._rate(self.average_premium)

    def _rate(self, mean: float) -> float:
        """What a mean premium makes of a funding interval."""
        item = self.instrument
        damped = mean + min(max(INTEREST_8H - mean, -DAMPENER_8H), DAMPENER_8H)
        return round(min(max(damped * item.interval_h / 8, -item.cap), item.cap), 8)

    @property
    def told_rate(self) -> float:
        """What the venue calls its funding rate now: the estimate, or the rate in force until ``next_ts``."""
        return self.settled_rate if self.instrument.venue in RATE_IN_FORCE else self.rate

    @property
    def contracts(self) -> float:
        return self._contracts(self.level, self.noise)

    def _contracts(self, level: float, noise: float) -> float:
        item = self.instrument
        return rounded(item.oi_contracts * exp(level * self.loading + noise), item.oi_digits, self._oi_scale)

    @property
    def price(self) -> float:
        """Mark in USD per canonical unit."""
        return self.mark / self.instrument.multiplier

    @property
    def contract_coins(self) -> float:
        """Canonical coins per contract now; moves with the mark for an inverse one, with bitcoin for a quanto one."""
        return self.coins_each(self.mark)

    @property
    def coins(self) -> float:
        """One-sided open interest in canonical coins."""
        return self.contracts * self.contract_coins

    def coins_each(self, native_price: float) -> float:
        """Canonical coins per contract at that native price (a trade's own)."""
        item = self.instrument
        if item.unit == "usd":
            return item.native_size / native_price * item.multiplier
        size = item.native_size * item.multiplier
        if item.unit == "coins":
            return size
        assert self.bitcoin is not None  # quanto contracts are listed with bitcoin only
        return size * self.bitcoin.index

    # -- trades ----------------------------------------------------------------------------------------------------

    def trades(self) -> tuple[Trade, ...]:
        """Fills of the model's last step, in time order, liquidations among them; () where nobody traded.

        The same however often and by whomever they are asked for.
        """
        if self._traded_ms != self.mood.now_ms:
            self._traded_ms = self.mood.now_ms
            self._trades = self._drawn()
            self.recent.extend(self._trades)
        return self._trades

    def liquidations(self) -> tuple[Trade, ...]:
        """Those of :meth:`trades` that closed somebody's position by force."""
        return tuple(trade for trade in self.trades() if trade.liquidated is not None)

    def flow_coins(self) -> tuple[float, float]:
        """(bought, sold) by takers in the last step, canonical coins."""
        bought = sold = 0.0
        for trade in self.trades():
            coins = trade.contracts * self.coins_each(trade.price)
            if trade.taker == "buy":
                bought += coins
            else:
                sold += coins
        return bought, sold

    def _drawn(self) -> tuple[Trade, ...]:
        mood = self.mood
        dice = mood.dice
        dice.seed(self._salt ^ mood.now_ms)
        whole, lot = self.contracts, 10.0**-self.instrument.oi_digits
        orders: list[tuple[float, bool, PositionSide | None]] = []  # contracts, whether the taker buys, liquidated
        volume = whole * (1.4 + 40 * abs(self.premium)) / DAY_S * mood.step_s * mood.activity
        volume *= exp(dice.gauss(-0.18, 0.6))
        count = dice.randint(1, TRADES_PER_STEP)
        for _ in range(count):
            size = volume / count * dice.uniform(0.3, 1.7)
            if size >= lot or dice.random() * lot < size:
                orders.append((size, dice.random() < 0.5 + 0.5 * mood.pressure, None))
        chance, forced = exp(-mood.forced * mood.step_s), 0
        product = dice.random()
        while product > chance and forced < FORCED_PER_STEP:  # Poisson, as Knuth draws it
            forced += 1
            product *= dice.random()
            middle = FORCED_SHARE if mood.cascading else IDLE_SHARE
            long = mood.side > 0 if mood.cascading else dice.random() < 0.5
            orders.append((whole * exp(dice.gauss(log(middle), 1.0)), not long, "long" if long else "short"))
        if not orders:
            return ()
        first = mood.now_ms // 1000 * 16
        times = sorted(mood.now_ms - dice.randrange(1, 900) for _ in orders)
        dice.shuffle(orders)
        digits, price_digits = self.instrument.oi_digits, self.instrument.price_digits
        return tuple(
            Trade(
                ts=ts,
                price=round(self.mark * (1 + dice.uniform(-0.00005, 0.00005)), price_digits),
                contracts=max(lot, round(size, digits)),
                taker="buy" if buys else "sell",
                liquidated=liquidated,
                number=first + place,
            )
            for place, (ts, (size, buys, liquidated)) in enumerate(zip(times, orders, strict=True))
        )

    # -- the month before ------------------------------------------------------------------------------------------

    def _older(self, ts: int) -> Point | None:
        """What it was on a full hour of the month before; None beyond that."""
        if not self.before.first_ms <= ts <= self.before.last_ms:
            return None
        item, hour = self.instrument, self.before.at(ts)
        native = price(hour) * item.multiplier * (1 + self.index_offset)
        index = rounded(native, item.price_digits, self.price_scale)
        mark = rounded(native * (1 + premium(hour)), item.price_digits, self.price_scale)
        mark = index if item.venue == "dydx" else mark  # as in the market: no mark of its own
        return Point(ts, mark, index, self._contracts(hour.level, self._first_noise))

    def settled_before(self, last_ms: int) -> None:
        """Enter the settlements of the month before, the last one at ``last_ms``."""
        interval_ms = self.instrument.interval_h * HOUR_MS
        hours = [ts // HOUR_MS * HOUR_MS for ts in range(last_ms, self.before.first_ms - 1, -interval_ms)]
        self.settlements.extend((ts, self._rate(premium(self.before.at(ts)))) for ts in reversed(hours))

    # -- positions, past -------------------------------------------------------------------------------------------

    def long_share(self, kind: LongShortKind) -> float:
        """Who is long, in (0, 1), as of the last five full minutes; four decimals."""
        middle, slope = _LONG_SHARES[kind]
        return round(min(max(middle + slope * self.mood.crowd * self.loading + self.tilt, 0.05), 0.95), 4)

    def bars(self, price: Price, begin_ms: int, end_ms: int, minutes: int = 1) -> list[Bar]:
        """Bars of mark or index that open in [begin_ms, end_ms], oldest first, the running one included."""
        now = self.mark if price == "mark" else self.index
        return self.past.bars(price, begin_ms, end_ms, minutes, self.mood.now_ms, now)
