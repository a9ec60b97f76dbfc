"""Invented trades, liquidations, positions and long/short shares. Drawn apart from the rest of a scenario's market."""

from __future__ import annotations

import math
import random

from service.model import Event, Flow, Liquidation, LongShort, LongShortKind, Positions, PositionSide

FLOW_CHANCE = {"binance_usdm": 0.6, "bybit": 0.5, "okx": 0.3, "hyperliquid": 0.15}  # a second
LIQUIDATION_CHANCE = {"binance_usdm": 0.03, "bybit": 0.05, "okx": 0.01, "hyperliquid": 0.0}  # it publishes none
POSITIONS_EVERY_S = {"bybit": 60, "hyperliquid": 20}
KINDS: dict[str, tuple[LongShortKind, ...]] = {
    "binance_usdm": ("top_position", "account"),
    "bybit": ("account",),
    "okx": ("top_account",),
}
SHARES_EVERY_S = 100


class ExtraFeed:
    """What the venues say beside mark, funding and open interest.

    Fault kinds: ``silent_extra`` (nothing of it), ``flow_factor`` (a unit error in its trades), ``liquidate`` (this
    share of its OI a second by force, longs where positive, shorts where negative), ``calm`` (no liquidations else),
    ``bad_extra_stamps`` (share of them), ``no_positions``, ``flat_positions`` (long = short = OI, but for a
    fraction of it).
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed * 7919)
        self.mood: dict[str, float] = {}  # which way takers lean, by symbol

    def emit(
        self, key: tuple[str, str, str], coins: float, price: float, faults: dict[str, float], ts: int
    ) -> list[Event]:
        """One second of an instrument (venue, instrument, symbol) with ``coins`` of open interest, up to ``ts``."""
        if "silent_extra" in faults:
            return []
        venue, name, symbol = key
        rng, second = self.random, ts // 1000
        made: list[Event] = []
        self.mood[symbol] = 0.999 * self.mood.get(symbol, 0.0) + rng.gauss(0.0, 0.02)
        if rng.random() < FLOW_CHANCE[venue]:
            size = coins * 4e-6 * math.exp(rng.gauss(0.0, 1.0)) * faults.get("flow_factor", 1.0)
            share = 1 / (1 + math.exp(-2 * self.mood[symbol] - rng.gauss(0.0, 0.7)))
            recv_ts = ts - rng.randint(0, 999)
            made.append(Flow(*key, size * share, size * (1 - share), self.stamp(venue, faults, recv_ts), recv_ts))
        forced = faults.get("liquidate", 0.0) * coins
        if forced == 0.0 and "calm" not in faults and rng.random() < LIQUIDATION_CHANCE[venue]:
            forced = coins * 2e-5 * rng.gauss(0.0, 1.0)
        if forced != 0.0:
            recv_ts = ts - rng.randint(0, 999)
            shown = None if venue == "okx" else price
            side: PositionSide = "long" if forced > 0 else "short"
            stamp = self.stamp(venue, faults, recv_ts)
            made.append(Liquidation(*key, side, abs(forced), shown, venue != "bybit", stamp, recv_ts))
        every = POSITIONS_EVERY_S.get(venue)
        if every is not None and (second + 10 * len(name)) % every == 0 and "no_positions" not in faults:
            longs, shorts = (coins * share * math.exp(rng.gauss(0.0, 0.1)) for share in (0.6, 0.3))
            if "flat_positions" in faults:
                longs, shorts = coins, coins * (1 + faults["flat_positions"])
            made.append(Positions(*key, longs, shorts, self.stamp(venue, faults, ts), ts))
        for i, kind in enumerate(KINDS.get(venue, ())):
            if (second + 7 * i + len(name)) % SHARES_EVERY_S == 0:
                recv_ts = ts - rng.randint(0, 999)
                made.append(LongShort(*key, kind, rng.random(), self.stamp(venue, faults, recv_ts), recv_ts))
        return made

    def stamp(self, venue: str, faults: dict[str, float], recv_ts: int) -> int | None:
        if venue == "hyperliquid":
            return None
        if self.random.random() < faults.get("bad_extra_stamps", 0.0):
            return recv_ts + self.random.choice((2000, 2001, -60_000, -60_001, -300_000))
        return recv_ts - 60
