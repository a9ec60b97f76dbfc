"""Seeded markets and their troubles, as the events a service would receive. Everything here is invented data."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from service.model import (
    Confirm,
    Denominator,
    Event,
    Funding,
    Listing,
    Mark,
    OiFigure,
    OiSides,
    OpenInterest,
    Stream,
    StreamRule,
    VenueRules,
)

from .scenario_extras import ExtraFeed

Arrival = tuple[int, Denominator]  # when, what
LIVE_FROM = 1_767_614_400_000  # the last back-filled minute, 2026-01-05 12:00 UTC
PRICES = {"BTC": 91_250.0, "ETH": 3_140.0, "SOL": 137.5, "1000PEPE": 0.00643}

RULES = (
    VenueRules(
        "binance_usdm",
        "binance",
        mark=StreamRule(15_000, "send"),
        funding=StreamRule(300_000, "send"),
        oi=StreamRule(60_000, "send"),
        index_max_age_ms=15_000,
        funding_cap_8h=0.03,
    ),
    VenueRules(
        "bybit",
        "bybit",
        mark=StreamRule(20_000, "send"),
        funding=StreamRule(240_000, "send"),
        oi=StreamRule(45_000, "send"),
        index_max_age_ms=20_000,
        funding_cap_8h=0.04,
        oi_figure=OiFigure("openInterest", 2, "invented", "documented"),
    ),
    VenueRules(
        "okx",
        "okx",
        mark=StreamRule(30_000, "change"),
        funding=StreamRule(300_000, "change"),
        oi=StreamRule(60_000, "send"),
        index_max_age_ms=40_000,
        funding_cap_8h=0.015,
    ),
    VenueRules(
        "hyperliquid",
        "hyperliquid",
        mark=StreamRule(15_000, "none"),
        funding=StreamRule(300_000, "none"),
        oi=StreamRule(30_000, "none"),
        index_max_age_ms=25_000,
        funding_cap_8h=0.32,
    ),
)
RULE_OF = {rule.venue: rule for rule in RULES}

DENOMINATORS = (
    Denominator(
        "BTC", 19_950_000.0, (("binance", 610_000.0), ("okx", 120_000.0)), LIVE_FROM - 30 * 3_600_000, "t", "t"
    ),
    Denominator("ETH", 120_700_000.0, (("all", 16_000_000.0),), LIVE_FROM - 40 * 3_600_000, "t", "t"),
    Denominator("SOL", None, (("binance", 30_000_000.0),), LIVE_FROM - 50 * 3_600_000, "t", "t"),
)


@dataclass(frozen=True)
class Contract:
    """One perpetual of a venue. ``size``: coins per contract, or USD when ``inverse``."""

    venue: str
    name: str
    symbol: str
    inverse: bool
    size: float
    interval_h: float
    oi_usd: float


def contracts_of(symbol: str) -> list[Contract]:
    """BTC and SOL everywhere (BTC at bybit also inverse), ETH at three venues, 1000PEPE at one."""
    made = [
        Contract("binance_usdm", f"{symbol}USDT", symbol, False, 1.0, 8.0, 7.0e9),
        Contract("bybit", f"{symbol}USDT", symbol, False, 1.0, 8.0, 4.1e9),
        Contract("bybit", f"{symbol}USD", symbol, True, 1.0, 8.0, 0.6e9),
        Contract("okx", f"{symbol}-USDT-SWAP", symbol, False, 0.01, 4.0, 2.7e9),
        Contract("hyperliquid", symbol, symbol, False, 1.0, 1.0, 1.9e9),
    ]
    wanted = {
        "BTC": made,
        "SOL": [made[0], made[1], made[3], made[4]],
        "ETH": [made[0], made[1], made[2], made[3]],
        "1000PEPE": [made[4]],
    }
    return wanted[symbol]


@dataclass(frozen=True)
class Fault:
    """Trouble from ``start`` to ``end`` (seconds from the start of live). Kinds: see :meth:`Market.emit`."""

    kind: str
    start: float
    end: float
    venue: str | None = None
    symbol: str | None = None
    amount: float = 0.0
    name: str | None = None

    def hits(self, at: float, contract: Contract) -> bool:
        return (
            self.start <= at < self.end
            and self.venue in (None, contract.venue)
            and self.symbol in (None, contract.symbol)
            and self.name in (None, contract.name)
        )


@dataclass(frozen=True)
class Drift:
    """A push from ``start`` to ``end``: total log moves of price and OI, and an addition to the funding rate."""

    start: float
    end: float
    symbol: str
    price: float = 0.0
    oi: float = 0.0
    funding: float = 0.0


@dataclass(frozen=True)
class Scenario:
    """``hold``: (start, end) seconds in which the process is held up: nothing received, the timer late.

    ``extras_from``: None, no extra streams. ``backfill_minutes`` below 0: none, and no listing but in the first second.
    ``must``: what has to happen for the scenario to prove anything (see ``features`` in the test).
    """

    name: str
    seed: int
    symbols: tuple[str, ...]
    backfill_minutes: int
    live_s: int
    faults: tuple[Fault, ...] = ()
    drifts: tuple[Drift, ...] = ()
    hold: tuple[tuple[int, int], ...] = ()
    must: tuple[str, ...] = ()
    quiet: tuple[str, ...] = ()  # symbols whose price, OI and funding do not move by themselves
    extras_from: int | None = None  # seconds from the start of live from which the extra streams speak
    bases: tuple[tuple[float, Denominator], ...] = ()  # (seconds from the start of live, what arrives then)
    sides: tuple[tuple[float, str, int | None], ...] = ()  # seconds, venue, as how many sides its figures measure
    past_s: int = 0  # so much of live is driven as the past at 1 Hz
    restarts: tuple[int, ...] = ()  # seconds after which another engine goes on from the saved state
    silent: bool = False  # the engine puts nothing of the past into words
    cold_s: int = 0  # the first advance comes only then; what is received before is held back
    early: tuple[int, ...] = ()  # seconds of back-filled samples before the minutes: whole minutes, with gaps


@dataclass
class State:
    """Where one symbol's market is."""

    price: float
    oi: float = 0.0
    funding: float = 0.0001
    premium: float = 0.0
    own_oi: dict[str, float] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)
    trend: tuple[float, float] = (0.0, 0.0)
    venue_ts: dict[str, int] = field(default_factory=dict)


class World:
    """Advances all symbols and emits events. ``at`` is seconds from the start of live; negative while back-filling."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.random = random.Random(scenario.seed)
        self.contracts = [contract for symbol in scenario.symbols for contract in contracts_of(symbol)]
        self.states = {symbol: State(PRICES[symbol]) for symbol in scenario.symbols}
        self.extras = ExtraFeed(scenario.seed)

    def steps(self) -> Iterator[tuple[str, int, list[Event | Arrival]]]:
        """("backfill" | "second" | "held", ts, what came by ts): at "held" the timer does not fire."""
        early = [LIVE_FROM + at * 1000 for at in self.scenario.early]
        minutes = range(LIVE_FROM - self.scenario.backfill_minutes * 60_000, LIVE_FROM + 1, 60_000)
        before = None
        for ts in (*early, *minutes):
            at = (ts - LIVE_FROM) / 1000
            self.move(at, 60.0 if before is None else (ts - before) / 1000)
            events = self.listings(ts - 9_000) if before is None else []
            before = ts
            for contract in self.contracts:
                events += self.emit(contract, at, ts, 8_000, ("mark", "oi", "funding"))
                events += self.extra(contract, at, ts)
            yield "backfill", ts, self.in_order(events, ts - 60_000, ts)
        for second in range(1, self.scenario.live_s + 1):
            ts, at = LIVE_FROM + second * 1000, float(second)
            self.move(at, 1.0)
            held = any(start < second < end for start, end in self.scenario.hold)
            events = []
            if not any(start < second <= end for start, end in self.scenario.hold):
                unheard = second == 1 and self.scenario.backfill_minutes < 0
                events = self.listings(ts - 999) if unheard else self.relistings(second, ts)
                for contract in self.contracts:
                    events += self.emit(contract, at, ts, 999, self.due(contract, second))
                    events += self.extra(contract, at, ts)
            held = held or second < self.scenario.cold_s
            yield "held" if held else "second", ts, self.in_order(events, ts - 1000, ts)

    def extra(self, contract: Contract, at: float, ts: int) -> list[Event]:
        """The extra streams of a contract in the second up to ``ts``."""
        faults = self.faults(at, contract)
        if self.scenario.extras_from is None or at < self.scenario.extras_from or "silent" in faults:
            return []
        key = (contract.venue, contract.name, contract.symbol)
        coins = self.coins(contract) * faults.get("oi_factor", 1.0)
        return self.extras.emit(key, coins, self.states[contract.symbol].price, faults, ts)

    def in_order(self, events: list[Event], after: int, until: int) -> list[Event | Arrival]:
        """By receipt; a base comes after what was received in the same millisecond."""
        arrivals = [(LIVE_FROM + round(at * 1000), item) for at, item in self.scenario.bases]
        found: list[Event | Arrival] = [*events, *((at, item) for at, item in arrivals if after < at <= until)]
        for seconds, venue, counted in self.scenario.sides:
            at = LIVE_FROM + round(seconds * 1000)
            if after < at <= until:
                found.append(OiSides(venue, counted, counted or 1.5, 9, 1.0, at))
        return sorted(found, key=lambda one: one[0] if isinstance(one, tuple) else one.recv_ts)

    def coins(self, contract: Contract) -> float:
        own = self.states[contract.symbol].own_oi.get(contract.venue + contract.name, 0.0)
        return contract.oi_usd / PRICES[contract.symbol] * math.exp(self.states[contract.symbol].oi + own)

    def due(self, contract: Contract, second: int) -> tuple[str, ...]:
        """Which streams of a contract speak in this second: cadences differ by venue."""
        mark = {"binance_usdm": 1.0, "bybit": 0.7, "okx": 0.5, "hyperliquid": 0.34}[contract.venue]
        oi = {"binance_usdm": 10, "bybit": 4, "okx": 3, "hyperliquid": 6}[contract.venue]
        streams = []
        if self.random.random() < mark:
            streams.append("mark")
        if (second + len(contract.name)) % oi == 0:
            streams.append("oi")
        if self.random.random() < 0.06:
            streams.append("funding")
        if contract.venue == "bybit" and self.random.random() < 0.3:
            streams.append("confirm")
        return tuple(streams)

    def move(self, at: float, seconds: float) -> None:
        """Random walks with trends, plus the scenario's drifts."""
        for symbol, state in self.states.items():
            price, oi, funding = 0.0, 0.0, 0.0
            for drift in self.scenario.drifts:
                if drift.symbol == symbol and drift.start <= at < drift.end:
                    price += drift.price * seconds / (drift.end - drift.start)
                    oi += drift.oi * seconds / (drift.end - drift.start)
                    funding += drift.funding
            if symbol not in self.scenario.quiet:
                root = math.sqrt(seconds)
                if self.random.random() < seconds / 500:
                    state.trend = (self.random.gauss(0.0, 1.5e-5), self.random.gauss(0.0, 6e-6))
                price += state.trend[0] * seconds + self.random.gauss(0.0, 7e-5) * root
                oi += state.trend[1] * seconds + self.random.gauss(0.0, 2e-5) * root
                state.premium = 0.97 * state.premium + self.random.gauss(0.0, 4e-5)
                for contract in contracts_of(symbol):
                    before = state.own_oi.get(contract.venue + contract.name, 0.0)
                    state.own_oi[contract.venue + contract.name] = before + self.random.gauss(0.0, 3e-5) * root
                    spread = state.spread.get(contract.venue, 0.0)
                    state.spread[contract.venue] = 0.98 * spread + self.random.gauss(0.0, 4e-6)
                state.funding = 0.995 * state.funding + 0.005 * 0.0001 + self.random.gauss(0.0, 2e-6)
            state.price *= math.exp(price)
            state.oi += oi
            state.funding += 0.02 * (funding - 0.0) if funding != 0.0 else 0.0

    def faults(self, at: float, contract: Contract) -> dict[str, float]:
        return {fault.kind: fault.amount for fault in self.scenario.faults if fault.hits(at, contract)}

    def emit(self, contract: Contract, at: float, ts: int, within_ms: int, streams: tuple[str, ...]) -> list[Event]:
        """The events of one contract received in the ``within_ms`` up to ``ts``, with the faults of the moment."""
        faults = self.faults(at, contract)
        if "silent" in faults:
            return []
        state, rng = self.states[contract.symbol], self.random
        made: list[Event] = []
        for stream in streams:
            if f"silent_{stream}" in faults:
                continue
            recv_ts = ts - rng.randint(0, within_ms) - round(faults.get("old", 0.0))
            if stream == "mark":
                made += self.marks(contract, state, faults, recv_ts)
            elif stream == "oi":
                made.append(self.open_interest(contract, state, faults, recv_ts))
            elif stream == "funding":
                made.append(self.funding(contract, state, faults, recv_ts))
            else:
                named: tuple[Stream, ...] = rng.choice((("mark",), ("mark", "funding", "oi"), ("oi",)))
                stamp = self.stamp(contract, "confirm", faults, recv_ts)
                made.append(Confirm(contract.venue, contract.name, contract.symbol, named, stamp, recv_ts))
        return made

    def marks(self, contract: Contract, state: State, faults: dict[str, float], recv_ts: int) -> list[Event]:
        key = contract.venue + contract.name
        index = state.price
        mark = index * math.exp(state.premium + 0.2 * state.spread.get(contract.venue, 0.0))
        if "frozen" in faults:
            mark = state.spread.setdefault("mark" + key, mark)  # as it was when the fault began
        else:
            state.spread.pop("mark" + key, None)
        mark *= 1 + faults.get("mark_off", 0.0)
        shown = None if "no_index" in faults else index
        stamp = self.stamp(contract, "mark", faults, recv_ts)
        if contract.venue != "okx":
            return [Mark(contract.venue, contract.name, contract.symbol, mark, shown, stamp, recv_ts)]
        events: list[Event] = [Mark(contract.venue, contract.name, contract.symbol, mark, None, stamp, recv_ts)]
        if shown is not None:  # okx sends the index apart, with older stamps
            older = None if stamp is None else stamp - 700
            events.append(Mark(contract.venue, contract.name, contract.symbol, None, shown, older, recv_ts))
        return events

    def open_interest(self, contract: Contract, state: State, faults: dict[str, float], recv_ts: int) -> Event:
        coins = self.coins(contract) * faults.get("oi_factor", 1.0)
        size = contract.size * faults.get("resized", 1.0)
        contract_coins = size / state.price if contract.inverse else size
        contracts = coins * PRICES[contract.symbol] / size if contract.inverse else coins / size
        stamp = self.stamp(contract, "oi", faults, recv_ts)
        coins = contracts * contract_coins
        names = (contract.venue, contract.name, contract.symbol)
        derived = contract.inverse and "native" not in faults
        return OpenInterest(*names, contracts, contract_coins, coins, derived, stamp, recv_ts)

    def funding(self, contract: Contract, state: State, faults: dict[str, float], recv_ts: int) -> Event:
        rate_8h = state.funding + state.spread.get(contract.venue, 0.0)
        rate_8h = faults.get("rate_8h", rate_8h) * faults.get("funding_factor", 1.0)
        rate = rate_8h * contract.interval_h / 8
        interval_h: float | None = contract.interval_h
        known: float | None = rate * 8 / contract.interval_h
        if "unknown_interval" in faults:
            interval_h, known = None, None
        stamp = self.stamp(contract, "funding", faults, recv_ts)
        names = (contract.venue, contract.name, contract.symbol)
        return Funding(*names, rate, interval_h, known, None, False, stamp, recv_ts)

    def stamp(self, contract: Contract, stream: str, faults: dict[str, float], recv_ts: int) -> int | None:
        """A venue timestamp: none, a little before the receipt, far too old (``late_mark`` and so on) or nonsense."""
        if contract.venue == "hyperliquid" or (stream == "confirm" and "bare_confirms" in faults):
            return None
        if f"late_{stream}" in faults:
            return recv_ts - 1_000_000
        rng = self.random
        if "bad_stamps" in faults and rng.random() < faults["bad_stamps"]:
            rule = RULE_OF[contract.venue].oi if stream == "oi" else RULE_OF[contract.venue].mark
            return recv_ts + rng.choice((2000, 2001, 9000, -3000, -rule.max_age_ms, -rule.max_age_ms - 1))
        if "coarse_stamps" in faults:
            return recv_ts - recv_ts % 4000  # several observations share one
        return recv_ts - 40 - 10 * (recv_ts // 1000 % 3)

    def listings(self, recv_ts: int) -> list[Event]:
        at = (recv_ts - LIVE_FROM) / 1000
        told = [contract for contract in self.contracts if "unlisted" not in self.faults(at, contract)]
        return [self.listing(contract, True, contract.size, recv_ts) for contract in told]

    def listing(self, contract: Contract, trading: bool, size: float, recv_ts: int) -> Event:
        names = (contract.venue, contract.name, contract.symbol)
        return Listing(*names, contract.inverse, size, 1.0, contract.interval_h, trading, recv_ts)

    def relistings(self, second: int, ts: int) -> list[Event]:
        """Metadata at the start and end of the faults ``delisted`` and ``resized``."""
        events = []
        for contract in self.contracts:
            now, before = self.faults(second, contract), self.faults(second - 1, contract)
            if ("delisted" in now) != ("delisted" in before) or now.get("resized") != before.get("resized"):
                size = contract.size * now.get("resized", 1.0)
                events.append(self.listing(contract, "delisted" not in now, size, ts - 999))
        return events
