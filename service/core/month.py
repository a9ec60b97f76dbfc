"""A month of the venues' published history as hours of one symbol, by the market stage that is live, too; and as hours
of the market as a whole. Pure."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import pairwise
from math import exp, log

from service.config import MarketSection
from service.core.backfill import Archive, minutes
from service.market import Market
from service.model import MARKET, Listing, Past, PastHour, VenueRules
from service.model.past import HOUR_MS

LEAST_SHARE = 0.5  # of the open interest now, in the symbols that an hour of the market is made of
LEAST_HOURS = 72  # with fewer there is nothing that would not soon be known anyway


def past_of(
    archive: Archive,
    listings: Sequence[Listing],
    symbol: str,
    since_ms: int,
    until_ms: int,
    rules: Sequence[VenueRules],
    settings: MarketSection,
) -> Generator[None, None, Past | None]:
    """The full hours of (``since_ms``, ``until_ms``] at which ``symbol`` had a quorum, yielding after each, so that the
    caller can do something else in between; returned at the end. None with fewer than 72 of them.

    ``archive``: points by the hour. ``listings``: those of the symbol at every venue that lists it; the others have no
    say in its quorum. Nothing else may be in it: the samples are those of a cold market, as in a warm start.
    """
    listing_venues = {item.venue for item in listings}
    market = Market([symbol], [rule for rule in rules if rule.venue in listing_venues], settings)
    market.filling = True
    hours: list[PastHour] = []
    seen: set[str] = set()
    for ts, events in minutes(archive, listings, since_ms, {}, step_ms=HOUR_MS):
        if ts > until_ms:
            break
        for event in events:
            market.apply(event)
        [sample] = market.sample(ts, HOUR_MS // 1_000)
        if sample.quorum and sample.price is not None:
            hours.append(PastHour(ts, sample.price, sample.ln_oi_index, sample.funding_8h, sample.funding_spread))
            seen.update(view.venue for view in sample.venues if view.fresh)
        yield
    if len(hours) < LEAST_HOURS:
        return None
    return Past(symbol, tuple(hours), tuple(rule.venue for rule in rules if rule.venue in seen))


class MarketPast:
    """The month of the market as a whole, from those of its symbols, in any order: chained as a live sample is
    (:class:`~service.market.aggregate.Aggregate`), at the weights that the symbols had then."""

    def __init__(self) -> None:
        # Hour -> weight, weighted steps of ln price and of ln_oi up to it, open interest now of the symbols in it
        self._steps: dict[int, list[float]] = {}
        self._funding: dict[int, list[float]] = {}  # hour -> weight, and weighted rate
        self._venues: dict[str, None] = {}

    def add(self, past: Past, oi_usd: float) -> None:
        """A symbol's month, once. ``oi_usd``: its open interest now."""
        last = past.hours[-1]
        self._venues.update(dict.fromkeys(past.venues))
        weights = [oi_usd * exp(hour.ln_oi - last.ln_oi) * hour.price / last.price for hour in past.hours]
        for (before, after), weight in zip(pairwise(past.hours), weights, strict=False):
            if after.ts - before.ts == HOUR_MS:
                step = self._steps.setdefault(after.ts, [0.0, 0.0, 0.0, 0.0])
                step[0] += weight
                step[1] += weight * log(after.price / before.price)
                step[2] += weight * (after.ln_oi - before.ln_oi)
                step[3] += oi_usd
        for hour, weight in zip(past.hours, weights, strict=True):
            if hour.funding_8h is not None:
                paid = self._funding.setdefault(hour.ts, [0.0, 0.0])
                paid[0] += weight
                paid[1] += weight * hour.funding_8h

    def past(self, oi_usd: float) -> Past | None:
        """Of the newest hours without a gap that symbols with half of the open interest are in; None under 72 of
        them. ``oi_usd``: that of all symbols now, those without a month, too."""
        enough = sorted(ts for ts, step in self._steps.items() if step[0] > 0.0 and step[3] >= LEAST_SHARE * oi_usd)
        if not enough:
            return None
        begins = max([after for before, after in pairwise(enough) if after - before != HOUR_MS], default=enough[0])
        hours, ln_price, ln_oi = [self._hour(begins - HOUR_MS, 0.0, 0.0)], 0.0, 0.0
        for ts in [ts for ts in enough if ts >= begins]:
            weight, price, interest, _ = self._steps[ts]
            ln_price, ln_oi = ln_price + price / weight, ln_oi + interest / weight
            hours.append(self._hour(ts, ln_price, ln_oi))
        if len(hours) < LEAST_HOURS:
            return None
        return Past(MARKET, tuple(hours), tuple(self._venues))

    def _hour(self, ts: int, ln_price: float, ln_oi: float) -> PastHour:
        weight, paid = self._funding.get(ts, (0.0, 0.0))
        return PastHour(ts, exp(ln_price), ln_oi, paid / weight if weight > 0.0 else None, None)
