"""A month of the venues' published history as hours of one symbol, by the market stage that is live, too. Pure."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from service.config import MarketSection
from service.core.backfill import Archive, minutes
from service.market import Market
from service.model import Listing, Past, PastHour, VenueRules
from service.model.past import HOUR_MS

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
