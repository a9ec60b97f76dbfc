"""A sample of one symbol over a few venues."""

from __future__ import annotations

from service.model import Consensus, VenueView

NOW = 1_795_000_000_000


def view(venue: str, coins: float | None, last: float = 0.0) -> VenueView:
    return VenueView(
        venue=venue,
        instrument="BTCUSDT",
        fresh=coins is not None,
        mark=100.0,
        index=100.0,
        rate=None,
        rate_8h=None,
        interval_h=None,
        oi_coins=coins,
        oi_coins_last=last if coins is None else coins,
        age_mark_ms=1,
        age_funding_ms=1,
        age_oi_ms=1,
        states=(),
    )


def sample(*views: VenueView, symbol: str = "BTC", price: float | None = 100.0) -> Consensus:
    return Consensus(
        symbol=symbol,
        ts=NOW,
        step_s=1,
        quorum=price is not None,
        price=price,
        index=price,
        funding_8h=None,
        funding_spend=None,
        funding_spread=None,
        funding_outlier_sign=0,
        oi_coins=None,
        ln_oi_index=0.0,
        oi_receipts=0,
        full_set=True,
        coverage=1.0,
        freshness=None,
        as_of=None,
        trouble=(),
        excluded=(),
        venues_total=len(views),
        venues=views,
    )
