"""The estimated leverage ratio, each variant saying which one it is (docs/signal.md section 7).

* ``oi_reserve``: one-sided open interest over exchange reserves, both in coins (CryptoQuant's ratio);
* ``oi_mcap``: 100 * open interest over circulating supply, in percent (Glassnode, IntoTheBlock);
* ``funding_spend``: coins that longs pay shorts per 8 h (inferred: the source formula of its bands is lost).

The price cancels in all three. ``z``, ``percentile`` and ``change_1h`` of the ratios are those of the chain-linked
index of open interest, so that neither a venue's absence nor a new base reads as a change of leverage; ``value`` is
the plain sum over the base.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.model import Denominator, Readings, VenueView

HOUR_MS = 3_600_000
SUPPLY_STALE_MS = 48 * HOUR_MS
RESERVES_STALE_MS = 36 * HOUR_MS
UNSPLIT = "all"  # a reserve total that cannot be split by exchange

PERCENTILE_BANDS = ((0.5, "low"), (0.8, "moderate"), (0.95, "high"))
SPEND_BANDS = ((10.0, "low"), (25.0, "moderate"), (50.0, "high"))  # coins per 8 h, of BTC only
TOP_BAND = "extreme"


def band(value: float, bands: Sequence[tuple[float, str]]) -> str:
    """The band whose upper edge ``value`` is below; an edge belongs to the band above it."""
    return next((name for edge, name in bands if value < edge), TOP_BAND)


class Leverage:
    """The variants of one symbol. Nothing in it changes: what it says follows from the readings alone.

    ``exchanges``: venue -> exchange. Without a base the ratios are None with reason ``no_denominator``.
    """

    def __init__(self, symbol: str, exchanges: Mapping[str, str], base: Denominator | None) -> None:
        self._symbol = symbol
        self._exchanges = dict(exchanges)
        self._base = base
        self._reserves = {} if base is None else {name: coins for name, coins in base.reserves if coins > 0}
        self._reserve = sum(self._reserves.values())
        supply = None if base is None else base.supply
        self._supply = supply if supply is not None and supply > 0 else None
        unsplit = list(self._reserves) == [UNSPLIT]
        # Venues of the numerator of oi_reserve, in the fixed venue order.
        self._backed = [name for name, exchange in self._exchanges.items() if unsplit or exchange in self._reserves]

    def values(self, readings: Readings) -> list[dict[str, Any]]:
        """The ``elr`` list of the message."""
        return [self._oi_reserve(readings), self._oi_mcap(readings), self._funding_spend(readings)]

    def _oi_reserve(self, readings: Readings) -> dict[str, Any]:
        seen = [view for view in readings.consensus.venues if view.venue in self._backed]
        used = _fresh(readings, seen)
        value: float | None = None
        reason: str | None = None
        if not self._reserves:
            reason = "no_denominator"
        elif not used:
            reason = "no_venue_in_scope"
        else:
            value = sum([coins for _, coins in used]) / self._reserve
        parts = {
            view.venue: coins / self._reserves[exchange]
            for view, coins in used
            if (exchange := self._exchanges[view.venue]) in self._reserves
        }
        here = {self._exchanges[view.venue] for view, _ in used}  # compared, never iterated
        return self._variant(
            readings,
            "oi_reserve",
            value,
            unit="ratio",
            reason=reason,
            stale=self._older_than(readings.ts, RESERVES_STALE_MS) if self._reserves else False,
            by_venue=parts,
            # Nothing over nothing does not match: there is no scope to compare.
            scope=_scope(used, seen, list(self._reserves), here == set(self._reserves) if self._reserves else None),
            base=self._described(self._reserve, readings.ts) if self._reserves else None,
        )

    def _oi_mcap(self, readings: Readings) -> dict[str, Any]:
        supply = self._supply
        used = _fresh(readings, readings.consensus.venues)
        return self._variant(
            readings,
            "oi_mcap",
            None if supply is None else 100 * sum([coins for _, coins in used]) / supply,
            unit="%",
            reason="no_denominator" if supply is None else None,
            stale=self._older_than(readings.ts, SUPPLY_STALE_MS) if supply is not None else False,
            by_venue={} if supply is None else {view.venue: 100 * coins / supply for view, coins in used},
            scope=_scope(used, readings.consensus.venues, [], None),
            base=None if supply is None else self._described(supply, readings.ts),
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
            reason="no_funding" if spend is None else None,
            stale=False,
            by_venue={view.venue: coins * view.rate_8h for view, coins in used if view.rate_8h is not None},
            scope=_scope(used, readings.consensus.venues, [], None),
            base=None,
        )

    def _variant(
        self,
        readings: Readings,
        variant: str,
        value: float | None,
        *,
        unit: str,
        reason: str | None,
        stale: bool,
        by_venue: dict[str, float],
        scope: dict[str, Any],
        base: dict[str, Any] | None,
    ) -> dict[str, Any]:
        quorum = readings.consensus.quorum
        spend = variant == "funding_spend"
        level = readings.spend if spend else readings.elr
        z, percentile = (level.z, level.percentile) if quorum else (None, None)
        if not quorum:
            value, reason = None, "no_quorum"
        elif reason is None:
            reason = "stale_base" if stale else "warming" if z is None or percentile is None else None
        named, source = self._band(spend, value, percentile)
        return {
            "variant": variant,
            "value": value,
            "unit": unit,
            "z": z,
            "percentile": percentile,
            "n": level.n,
            "horizon_h": level.horizon_h,
            "change_1h": None if spend else _change_1h(readings),
            "band": named,
            "band_source": source,
            "formula_status": "inferred" if spend else "published",
            "as_of": readings.consensus.as_of if quorum else None,
            "stale": stale,
            "reason": reason,
            "by_venue": by_venue,
            "ma": None,
            "scope": scope,
            "base": base,
        }

    def _band(self, spend: bool, value: float | None, percentile: float | None) -> tuple[str | None, str]:
        if spend and self._symbol == "BTC":
            return (None if value is None else band(abs(value), SPEND_BANDS)), "cddstamp_inferred"
        return (None if percentile is None else band(percentile, PERCENTILE_BANDS)), "percentile"

    def _older_than(self, ts: int, longest_ms: int) -> bool:
        return self._base is not None and ts - self._base.as_of > longest_ms

    def _described(self, coins: float, ts: int) -> dict[str, Any]:
        assert self._base is not None
        return {
            "coins": coins,
            "as_of": self._base.as_of,
            "age_h": (ts - self._base.as_of) / HOUR_MS,
            "source": self._base.source,
            "licence": self._base.licence,
        }


def _fresh(readings: Readings, views: Sequence[VenueView]) -> list[tuple[VenueView, float]]:
    """The views that are in V with their coins; none without quorum."""
    if not readings.consensus.quorum:
        return []
    return [(view, view.oi_coins) for view in views if view.fresh and view.oi_coins is not None]


def _scope(
    used: list[tuple[VenueView, float]], seen: Sequence[VenueView], denominator: list[str], match: bool | None
) -> dict[str, Any]:
    """What is over what. ``coverage``: share of the last open interest of the ``seen`` venues that is counted."""
    last = sum([view.oi_coins_last for view in seen])
    counted = sum([coins for _, coins in used])
    return {
        "numerator": [view.venue for view, _ in used],
        "denominator": denominator,
        "coverage": min(counted / last, 1.0) if used and last > 0 else None,
        "match": match,
    }


def _change_1h(readings: Readings) -> float | None:
    if not readings.consensus.quorum:
        return None
    return next((w.oi_change for w in readings.windows if w.name == "1h" and w.ready), None)
