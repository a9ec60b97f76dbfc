"""The estimated leverage ratio, each variant saying which one it is (docs/signal.md section 7).

* ``oi_reserve``: one-sided open interest over exchange reserves, both in coins (CryptoQuant's ratio);
* ``oi_mcap``: 100 * open interest over circulating supply, in percent (Glassnode, IntoTheBlock);
* ``funding_spend``: coins that longs pay shorts per 8 h (inferred: the source formula of its bands is lost);
* ``position_base``: open interest over reported long and short sizes (wickra), only where a venue reports any.

The price cancels in all. ``z``, ``percentile`` and ``change_1h`` of the first two are those of the chain-linked
index of open interest, so that neither a venue's absence nor a new base reads as a change of leverage; ``value`` is
the plain sum over the base.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from service.model import Denominator, LevelReading, Readings, VenueView
from service.scoring.denominators import DailyMeans, DenominatorState
from service.scoring.regime import provisional
from service.state import Stateful
from service.statistics import fold

UNSPLIT = "all"  # a reserve total that cannot be split by exchange
SUPPLY = "supply"  # the one holder of all coins there are
TICK_S = 10
MINUTE_TICKS = 6
HOUR_MS = 3_600_000
LEAST_COVERAGE = 0.8  # of a tick that counts for a day's mean
SAME_SIZE = 1e-6  # positions that equal open interest this closely are open interest

PERCENTILE_BANDS = ((0.5, "low"), (0.8, "moderate"), (0.95, "high"))
SPEND_BANDS = ((10.0, "low"), (25.0, "moderate"), (50.0, "high"))  # coins per 8 h, of BTC only
TOP_BAND = "extreme"
BY_PERCENTILE = "percentile"


def band(value: float, bands: Sequence[tuple[float, str]]) -> str:
    """The band whose upper edge ``value`` is below; an edge belongs to the band above it."""
    return next((name for edge, name in bands if value < edge), TOP_BAND)


class Leverage(Stateful):
    """The variants of one symbol, and the bases they divide by.

    ``exchanges``: venue -> exchange. Without a base the ratios are None with reason ``no_denominator``.
    """

    STATE = ("_daily", "_daily_reserve", "_positions_known", "_reserves", "_supply")
    LATER: ClassVar = frozenset({"_daily_reserve"})
    __slots__ = (*STATE, "_exchanges", "_symbol")

    def __init__(self, symbol: str, exchanges: Mapping[str, str], base: Denominator | None) -> None:
        self._symbol = symbol
        self._exchanges = dict(exchanges)
        self._reserves = DenominatorState()
        self._supply = DenominatorState()
        self._daily = DailyMeans()  # of oi_mcap
        self._daily_reserve = DailyMeans()  # of oi_reserve
        self._positions_known = False  # a venue of the symbol has reported positions
        if base is not None:
            self.denominate(base)

    def denominate(self, item: Denominator) -> None:
        """Use the reserves or the supply that ``item`` carries, or both, from the next tick on."""
        self._reserves.replace(item.reserves, item.as_of, item.source, item.licence, item.reserve_stale_h)
        if item.supply is not None:
            supply = ((SUPPLY, item.supply),)
            self._supply.replace(supply, item.as_of, item.source, item.licence, item.supply_stale_h)

    def observe(self, readings: Readings) -> None:
        """Every tick once, before :meth:`values`: what goes on from tick to tick."""
        sample, ts = readings.consensus, readings.ts
        self._reserves.observe(ts)
        self._supply.observe(ts)
        counts = sample.quorum and sample.coverage >= LEAST_COVERAGE
        ticks = MINUTE_TICKS if sample.step_s > TICK_S else 1
        over_supply = self._over_supply(_fresh(readings, sample.venues)) if counts else None
        self._daily.observe(ts, over_supply, ticks, sample.ln_oi_index)
        used = _fresh(readings, self._reserve_scope(readings)) if counts else []
        self._daily_reserve.observe(ts, self._over_reserves(used), ticks, sample.ln_oi_index)
        if not self._positions_known:
            self._positions_known = any(view.long_coins is not None for view in sample.venues)

    def fill(self, hours: Sequence[tuple[int, float]]) -> None:
        """(UTC hour in ms, ln_oi_index of it) of the month before, for the days that were not seen."""
        self._daily.fill(hours)
        self._daily_reserve.fill(hours)

    def keep_denominators(self, sources: Sequence[str]) -> None:
        """Forget the bases of other sources than these."""
        if self._reserves.source not in sources:
            self._reserves = DenominatorState()
        if self._supply.source not in sources:
            self._supply = DenominatorState()

    def values(self, readings: Readings) -> list[dict[str, Any]]:
        """The ``elr`` list of the message."""
        told = [self._oi_reserve(readings), self._oi_mcap(readings), self._funding_spend(readings)]
        return [*told, self._position_base(readings)] if self._positions_known else told

    def reanchor(self, shift_ms: int) -> None:
        self._reserves.reanchor(shift_ms)
        self._supply.reanchor(shift_ms)
        self._daily.reanchor(shift_ms)
        self._daily_reserve.reanchor(shift_ms)

    def _over_supply(self, used: list[tuple[VenueView, float]]) -> float | None:
        supply = self._supply.total
        return None if supply is None else 100 * fold([coins for _, coins in used]) / supply

    def _reserve_scope(self, readings: Readings) -> list[VenueView]:
        """The venues whose exchange has a reserve; all of them where the only one cannot be split."""
        reserves = self._reserves.coins
        unsplit = list(reserves) == [UNSPLIT]
        return [view for view in readings.consensus.venues if unsplit or self._exchanges.get(view.venue) in reserves]

    def _over_reserves(self, used: list[tuple[VenueView, float]]) -> float | None:
        reserve = self._reserves.total
        return fold([coins for _, coins in used]) / reserve if reserve is not None and used else None

    def _oi_reserve(self, readings: Readings) -> dict[str, Any]:
        reserves, reserve = self._reserves.coins, self._reserves.total
        seen = self._reserve_scope(readings)
        used = _fresh(readings, seen)
        value = self._over_reserves(used)
        reason: str | None = None
        if reserve is None:
            reason = "no_denominator"
        elif not used:
            reason = "no_venue_in_scope"
        parts = {
            view.venue: coins / reserves[exchange]
            for view, coins in used
            if (exchange := self._exchanges[view.venue]) in reserves
        }
        here = {self._exchanges[view.venue] for view, _ in used}  # compared, never iterated
        return self._variant(
            readings,
            "oi_reserve",
            value,
            unit="ratio",
            level=readings.elr,
            reason=reason,
            by_venue=parts,
            # Nothing over nothing does not match: there is no scope to compare.
            scope=_scope(used, seen, list(reserves), None if reserve is None else here == set(reserves)),
            base=self._reserves,
            ma=self._daily_reserve.means(),
        )

    def _oi_mcap(self, readings: Readings) -> dict[str, Any]:
        supply = self._supply.total
        used = _fresh(readings, readings.consensus.venues)
        return self._variant(
            readings,
            "oi_mcap",
            self._over_supply(used),
            unit="%",
            level=readings.elr,
            reason="no_denominator" if supply is None else None,
            by_venue={} if supply is None else {view.venue: 100 * coins / supply for view, coins in used},
            scope=_scope(used, readings.consensus.venues, [], None),
            base=self._supply,
            ma=self._daily.means(),
        )

    def _funding_spend(self, readings: Readings) -> dict[str, Any]:
        spend = readings.consensus.funding_spend
        rated = [view for view in readings.consensus.venues if view.rate_8h is not None]
        used = _fresh(readings, rated)
        return self._variant(
            readings,
            "funding_spend",
            spend,
            unit="coins_per_8h",
            level=readings.spend,
            reason="no_funding" if spend is None else None,
            by_venue={view.venue: coins * view.rate_8h for view, coins in used if view.rate_8h is not None},
            scope=_scope(used, readings.consensus.venues, [], None),
        )

    def _position_base(self, readings: Readings) -> dict[str, Any]:
        """OI over the reported long and short sizes of the same venues. It has no statistics of its own: those of the
        open-interest index would speak of other venues than it does."""
        used = [
            (view, coins, view.long_coins, view.short_coins)
            for view, coins in _fresh(readings, readings.consensus.venues)
            if view.long_coins is not None and view.short_coins is not None
        ]
        reported = fold([long + short for _, _, long, short in used])
        value: float | None = None
        reason: str | None = "no_positions"
        if reported > 0:
            value = fold([coins for _, coins, _, _ in used]) / reported
            degenerate = all(_same(long, coins) and _same(short, coins) for _, coins, long, short in used)
            reason = "degenerate" if degenerate else None
        return self._variant(
            readings,
            "position_base",
            value,
            unit="ratio",
            level=None,
            reason=reason,
            by_venue={view.venue: coins / (long + short) for view, coins, long, short in used if long + short > 0},
            scope=_scope([(view, coins) for view, coins, _, _ in used], readings.consensus.venues, [], None),
        )

    def _variant(
        self,
        readings: Readings,
        variant: str,
        value: float | None,
        *,
        unit: str,
        level: LevelReading | None,
        reason: str | None,
        by_venue: dict[str, float],
        scope: dict[str, Any],
        base: DenominatorState | None = None,
        ma: dict[str, float | None] | None = None,
    ) -> dict[str, Any]:
        """``level``: what ranks it, None if nothing does. Only what divides by coins of a ``base`` has a change."""
        quorum, ts = readings.consensus.quorum, readings.ts
        z, percentile = (level.z, level.percentile) if quorum and level is not None else (None, None)
        stale = base is not None and base.stale(ts)
        if not quorum:
            value, reason = None, "no_quorum"
        elif reason is None and level is not None:
            reason = "stale_base" if stale else "warming" if z is None or percentile is None else None
        named, source = self._band(variant, value, percentile)
        changes = None if base is None else oi_changes(readings)
        return {
            "variant": variant,
            "value": value,
            "unit": unit,
            "z": z,
            "percentile": percentile,
            "n": 0 if level is None else level.n,
            "horizon_h": 0 if level is None else level.horizon_h,
            "change_1h": None if changes is None else changes["1h"],
            "band": named,
            "band_source": source,
            "formula_status": "inferred" if variant == "funding_spend" else "published",
            "as_of": readings.consensus.as_of if quorum else None,
            "stale": stale,
            "reason": reason,
            "by_venue": by_venue,
            "ma": ma,
            "scope": scope,
            "base": None if base is None else base.described(ts),
            "base_changed": base is not None and base.changed(ts),
            "provisional": level is not None and source == BY_PERCENTILE and provisional(level),
            "change": changes,
            "backfilled": level is not None and _backfilled(readings, level),
        }

    def _band(self, variant: str, value: float | None, percentile: float | None) -> tuple[str | None, str]:
        if variant == "funding_spend" and self._symbol == "BTC":
            return (None if value is None else band(abs(value), SPEND_BANDS)), "cddstamp_inferred"
        return (None if percentile is None else band(percentile, PERCENTILE_BANDS)), BY_PERCENTILE


def _backfilled(readings: Readings, level: LevelReading) -> bool:
    """Whether any value that ranks is of the venues' published history and not of our own samples."""
    ends = [readings.backfilled_until]
    if readings.month is not None and level is not readings.spend:  # of which a day is kept, and nothing is filled
        ends.append(readings.month.until)
    oldest_ms = readings.ts - level.horizon_h * HOUR_MS
    return level.n > 0 and any(end is not None and oldest_ms < end for end in ends)


def _same(size: float, coins: float) -> bool:
    return abs(size - coins) <= SAME_SIZE * coins


def _fresh(readings: Readings, views: Sequence[VenueView]) -> list[tuple[VenueView, float]]:
    """The views that are in V with their coins; none without quorum."""
    if not readings.consensus.quorum:
        return []
    return [(view, view.oi_coins) for view in views if view.fresh and view.oi_coins is not None]


def _scope(
    used: list[tuple[VenueView, float]], seen: Sequence[VenueView], denominator: list[str], match: bool | None
) -> dict[str, Any]:
    """What is over what. ``coverage``: share of the last open interest of the ``seen`` venues that is counted."""
    last = fold([view.oi_coins_last for view in seen])
    counted = fold([coins for _, coins in used])
    return {
        "numerator": [view.venue for view, _ in used],
        "denominator": denominator,
        "coverage": min(counted / last, 1.0) if used and last > 0 else None,
        "match": match,
    }


def oi_changes(readings: Readings) -> dict[str, float | None]:
    """Log changes of the chain-linked open interest by lookback; None where one is not known, all without quorum."""
    if not readings.consensus.quorum:
        return dict.fromkeys(("1h", "4h", "24h", "7d"))
    return {
        "1h": next((w.oi_change for w in readings.windows if w.name == "1h" and w.ready), None),
        "4h": readings.change_4h,
        "24h": readings.change_24h,
        "7d": readings.change_7d,
    }
