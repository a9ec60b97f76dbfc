"""The funding stream of an instrument (docs/signal.md section 2)."""

from __future__ import annotations

from service.market.freshness import NEVER
from service.market.streams import Track, Trust
from service.model import Funding, StreamRule

FUNDING_FACTOR = (
    10.0  # a rate this many times all others and itself before: percent for a fraction, or another interval
)
FUNDING_USUAL = 1e-4  # the rate per 8 h that most venues rest at; smaller ones are no measure


class FundingTrack(Track):
    """Funding rate. A settled rate (history) counts only where no running rate was ever seen."""

    __slots__ = ("cap_8h", "interval_h", "rate", "rate_8h", "running_seen")
    STATE = (*Track.STATE, "rate", "rate_8h", "interval_h", "running_seen")

    def __init__(self, rule: StreamRule, cap_8h: float, trust: Trust) -> None:
        super().__init__(rule, trust)
        self.cap_8h = cap_8h
        self.rate: float | None = None
        self.rate_8h: float | None = None
        self.interval_h: float | None = None
        self.running_seen = False

    def take(self, event: Funding, others: float | None) -> bool:
        """An unrefused observation. Without an interval nothing exceeds the cap (and nothing is scored).

        ``others``: the largest abs(rate_8h) that another venue says, None if none does.
        """
        agrees = event.rate_8h is None or abs(event.rate_8h) <= self._limit(others)
        changed = self.state == NEVER or event.rate != self.rate or event.interval_h != self.interval_h
        if not self.judge(agrees, changed, event.recv_ts):
            return False
        self.rate = event.rate
        self.rate_8h = event.rate_8h
        self.interval_h = event.interval_h
        return True

    def plausible(self, rate_8h: float) -> bool:
        """Whether a rate needs no comparison with other venues."""
        return abs(rate_8h) <= min(self.cap_8h, FUNDING_FACTOR * FUNDING_USUAL)

    def _limit(self, others: float | None) -> float:
        if self.rate_8h is None and others is None:
            return self.cap_8h
        own = 0.0 if self.rate_8h is None else abs(self.rate_8h)
        return min(self.cap_8h, FUNDING_FACTOR * max(FUNDING_USUAL, own, 0.0 if others is None else others))
