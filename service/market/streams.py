"""One record per (venue, instrument, stream): the value held, who vouched for it when, and quarantine progress.

Mark, funding and open interest, by the rules of docs/signal.md section 2.

Times are receipts by the service clock (UTC epoch ms), except ``venue_ts``, the venue's own. ``confirmed_at`` is
the last receipt that vouched for the held value; a refused or quarantined observation vouches for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import ClassVar

from service.config import MarketSection
from service.market.freshness import (
    ACCEPTED,
    AGED,
    AGREEING,
    FROZEN,
    LIVE,
    NEVER,
    OUTLYING,
    QUARANTINED,
    RELEASED,
    REPEATED,
    RESET,
    STUCK,
    after,
)
from service.model import Mark, OpenInterest, StreamRule
from service.state import Stateful

AHEAD_MS = 2_000  # a venue timestamp further ahead of receipt than this is refused
FUNDING_FACTOR = (
    10.0  # a rate this many times all others and itself before: percent for a fraction, or another interval
)
FUNDING_USUAL = 1e-4  # the rate per 8 h that most venues rest at; smaller ones are no measure
FUNDING_TRUST_MS = 28_800_000  # a held rate is a measure for the longest usual period: after it another one runs
# Rates of two venues within this factor say the same: in one squeeze they differ by their caps and formulas. A unit
# error is not the like of a right rate, nor is an interval read four times too long or short; one of half the length
# is, but puts a rate no further off than honest venues are apart.
FUNDING_ALIKE = 3.0
FUNDING_STEP = 0.20  # a rate in quarantine that moves by no more than this from one observation to the next lasts ...
FUNDING_LASTS_MS = 1_800_000  # ... and is believed after this long, where no other venue can say better
# Of a silence between two observations only so much counts as lasting: three in a second and one much later are no half
# hour. After a longer one, beyond the rows of an hourly file, nobody knows what was in between: it counts anew.
FUNDING_SILENCE_MS = 900_000
FUNDING_APART_MS = 3_600_000
STEP_TRUST_MS = 3_600_000  # an oi step is judged against a value confirmed more recently than this ...
UNIT_TRUST_MS = 86_400_000  # ... and a unit error against one this recent

FUTURE = "future"
TOO_OLD = "too_old"
OUT_OF_ORDER = "out_of_order"


@dataclass(frozen=True, slots=True)
class Trust:
    """The plausibility settings in the units the records use."""

    mark_fraction: float
    oi_fraction: float
    oi_factor: float
    observations: int
    span_ms: int
    frozen_ms: int
    frozen_move: float

    @classmethod
    def of(cls, settings: MarketSection) -> Trust:
        return cls(
            mark_fraction=settings.quarantine_mark,
            oi_fraction=settings.quarantine_oi_step,
            oi_factor=settings.implausible_oi_factor,
            observations=settings.quarantine_observations,
            span_ms=settings.quarantine_s * 1000,
            frozen_ms=settings.frozen_s * 1000,
            frozen_move=settings.frozen_move,
        )


def near(value: float, reference: float, fraction: float) -> bool:
    """Whether ``value`` is within ``fraction`` of ``reference`` (inclusive). Of 0 only 0 is near.

    >>> near(101.9, 100.0, 0.02), near(102.1, 100.0, 0.02)
    (True, False)
    """
    if reference == 0.0:
        return value == 0.0
    return abs(value / reference - 1.0) <= fraction


def alike(rate_8h: float, other_8h: float) -> bool:
    """Whether two venues' rates say the same: of one sign, and within :data:`FUNDING_ALIKE` of each other (inclusive).

    >>> alike(-0.02, -0.007), alike(-0.02, -0.0025), alike(0.02, -0.02)
    (True, False, False)
    """
    low, high = sorted((abs(rate_8h), abs(other_8h)))
    return rate_8h * other_8h > 0.0 and high <= FUNDING_ALIKE * low


class Track(Stateful):
    """What all streams share: refusal, vouching, quarantine, ageing."""

    __slots__ = (
        "agreeing",
        "agreeing_since",
        "changed_at",
        "confirmed_at",
        "max_age_ms",
        "refused",
        "sends",
        "state",
        "trust",
        "venue_ts",
    )
    STATE: ClassVar[tuple[str, ...]] = (
        "state", "confirmed_at", "changed_at", "venue_ts", "refused", "agreeing", "agreeing_since",
    )  # fmt: skip

    def __init__(self, rule: StreamRule, trust: Trust) -> None:
        self.max_age_ms = rule.max_age_ms
        self.sends = rule.stamp == "send"
        self.trust = trust
        self.state = NEVER
        self.confirmed_at: int | None = None
        self.changed_at: int | None = None  # of marks alone: since when the venue has said the same
        self.venue_ts: int | None = None  # of the last observation that was not refused
        self.refused: str | None = None  # why the latest observation was, None if it was not
        self.agreeing = 0  # consecutive agreeing observations in quarantine
        self.agreeing_since: int | None = None  # receipt of the first of them

    def refusal(self, venue_ts: int | None, recv_ts: int) -> str | None:
        """Why the timestamps rule an observation out; None (and the order remembered) if they do not."""
        self.refused = self._ruled_out(venue_ts, recv_ts)
        return self.refused

    def _ruled_out(self, venue_ts: int | None, recv_ts: int) -> str | None:
        if venue_ts is None:
            return None
        if venue_ts > recv_ts + AHEAD_MS:
            return FUTURE
        if self.sends and recv_ts - venue_ts > self.max_age_ms:
            return TOO_OLD
        if self.venue_ts is not None and venue_ts < self.venue_ts:
            return OUT_OF_ORDER
        self.venue_ts = venue_ts
        return None

    def judge(self, agrees: bool, changed: bool, recv_ts: int, span_ms: int = 0) -> bool:
        """Take one unrefused observation into the state; True when its value is to be held from now on.

        ``span_ms``: what agreeing observations must span at least, where that is more than the setting.
        """
        if self.state == QUARANTINED:
            if not self._released(agrees, recv_ts, max(span_ms, self.trust.span_ms)):
                return False
        elif agrees:
            self.state = after(self.state, ACCEPTED if changed else REPEATED)
        else:
            self.state = after(self.state, OUTLYING)
            self.agreeing = 0
            return False
        self.confirmed_at = recv_ts
        return True

    def _released(self, agrees: bool, recv_ts: int, span_ms: int) -> bool:
        if not agrees:
            self.state = after(self.state, OUTLYING)
            self.agreeing = 0
            return False
        if self.agreeing == 0 or self.agreeing_since is None:
            self.agreeing_since = recv_ts
        self.agreeing += 1
        enough = self.agreeing >= self.trust.observations and recv_ts - self.agreeing_since >= span_ms
        self.state = after(self.state, RELEASED if enough else AGREEING)
        return enough

    def vouch(self, venue_ts: int | None, recv_ts: int) -> str | None:
        """A Confirm of the held value; the refusal, or None.

        Without a value it says nothing. In quarantine what it vouches for is the value not believed.
        """
        if self.state == NEVER:
            return None
        # It vouches for what the venue said last: not for what is held if that was refused. (A late repetition of
        # something older was not said last; only without a time of its own the Confirm may be just as late.)
        vouches = self.refused is None or (self.refused == OUT_OF_ORDER and venue_ts is not None)
        refused = self._ruled_out(venue_ts, recv_ts) if vouches else self.refused
        if refused is None and self.state != QUARANTINED:
            self.state = after(self.state, REPEATED)
            self.confirmed_at = recv_ts
        return refused

    def is_live(self, at: int) -> bool:
        """LIVE and not older than max_age at ``at``; exactly max_age is fresh."""
        return self.state == LIVE and self.confirmed_at is not None and at - self.confirmed_at <= self.max_age_ms

    def grow_old(self, at: int) -> None:
        """At a sample: note that a value is older than max_age."""
        if self.confirmed_at is None or at - self.confirmed_at <= self.max_age_ms:
            return
        if self.state == LIVE or self.state == FROZEN:
            self.state = after(self.state, AGED)

    def age_ms(self, at: int) -> int | None:
        """Time since the held value was last vouched for; None if never."""
        return None if self.confirmed_at is None else at - self.confirmed_at

    def worn(self, at: int) -> float:
        """Age as a share of max_age, at most 1; 1 when not LIVE."""
        if self.state != LIVE or self.confirmed_at is None:
            return 1.0
        share = (at - self.confirmed_at) / self.max_age_ms
        return share if share < 1.0 else 1.0

    def reanchor(self, delta_ms: int) -> None:
        """Shift the receipts. ``venue_ts`` stays: it is only ever compared with the same venue's own clock."""
        if self.confirmed_at is not None:
            self.confirmed_at += delta_ms
        if self.changed_at is not None:
            self.changed_at += delta_ms
        if self.agreeing_since is not None:
            self.agreeing_since += delta_ms


class MarkTrack(Track):
    """Mark price, and the index that may come with it or on its own."""

    __slots__ = (
        "heard",
        "heard_at",
        "index",
        "index_at",
        "index_max_age_ms",
        "index_venue_ts",
        "index_with_mark",
        "mark",
        "others_then",
        "stuck",
    )
    STATE = (
        *Track.STATE, "mark", "heard", "heard_at", "stuck", "others_then",
        "index", "index_at", "index_venue_ts", "index_with_mark",
    )  # fmt: skip

    def __init__(self, rule: StreamRule, index_max_age_ms: int, trust: Trust) -> None:
        super().__init__(rule, trust)
        self.index_max_age_ms = index_max_age_ms
        self.mark: float | None = None
        self.heard: float | None = None  # the latest unrefused mark, believed or not: what others are compared with
        self.heard_at: int | None = None
        # Both of what the venue says, believed or not: in quarantine the accepted mark stands still whatever it says.
        self.stuck = False  # the others moved while it stood still; outlasts STALE and QUARANTINED
        self.others_then: float | None = None  # the others' median at the first sample since it changed
        self.index: float | None = None
        self.index_at: int | None = None
        self.index_venue_ts: int | None = None
        self.index_with_mark = False  # it came in one frame with the mark, not on its own

    def take(self, event: Mark, mark: float, agrees: bool) -> bool:
        """An unrefused observation of the mark (and perhaps the index). False: quarantined, nothing is held."""
        if mark != self.heard:
            self.changed_at = event.recv_ts
            self.stuck = False
            self.others_then = None
        self.heard, self.heard_at = mark, event.recv_ts
        if not self.judge(agrees, mark != self.mark, event.recv_ts):
            return False
        self.mark = mark
        self._refreeze()
        if event.index is not None and not self._index_disorder(event.venue_ts):
            self._hold_index(event.index, event)
            self.index_with_mark = True
        return True

    def vouch(self, venue_ts: int | None, recv_ts: int) -> str | None:
        """A Confirm vouches for the whole stream: also for the index, unless that comes apart from the mark."""
        refused = super().vouch(venue_ts, recv_ts)
        self._refreeze()
        if refused is None and self.heard is not None:
            self.heard_at = recv_ts
        vouched = refused is None and self.state not in (NEVER, QUARANTINED)
        if vouched and self.index_with_mark:
            self.index_at = recv_ts
        return refused

    def take_index(self, event: Mark, index: float) -> str | None:
        """An index-only frame, under the same three checks but in an order of its own. The refusal, or None."""
        if event.venue_ts is not None:
            if event.venue_ts > event.recv_ts + AHEAD_MS:
                return FUTURE
            if self.sends and event.recv_ts - event.venue_ts > self.index_max_age_ms:
                return TOO_OLD
            if self._index_disorder(event.venue_ts):
                return OUT_OF_ORDER
        self._hold_index(index, event)
        self.index_with_mark = False
        return None

    def _index_disorder(self, venue_ts: int | None) -> bool:
        return venue_ts is not None and self.index_venue_ts is not None and venue_ts < self.index_venue_ts

    def _hold_index(self, index: float, event: Mark) -> None:
        self.index = index
        self.index_at = event.recv_ts
        if event.venue_ts is not None:
            self.index_venue_ts = event.venue_ts

    def fresh_index(self, at: int) -> float | None:
        if self.index_at is None or at - self.index_at > self.index_max_age_ms:
            return None
        return self.index

    def heard_mark(self, at: int) -> float | None:
        """The latest mark if it was heard within max_age, even one in quarantine."""
        return None if self.heard_at is None or at - self.heard_at > self.max_age_ms else self.heard

    def to_watch(self, at: int) -> bool:
        """Whether :meth:`watch` has anything to do at ``at``: note where the others are, or judge a mark at rest."""
        if self.stuck or self.changed_at is None:
            return False
        return self.others_then is None or at - self.changed_at >= self.trust.frozen_ms

    def watch(self, at: int, others: float | None) -> None:
        """At a sample: freeze a mark that stood still, as said, while the median of the other venues' marks moved."""
        if others is None or self.changed_at is None or not self.to_watch(at):
            return
        if self.others_then is None:
            self.others_then = others
        if at - self.changed_at >= self.trust.frozen_ms:
            self.stuck = abs(log(others / self.others_then)) > self.trust.frozen_move
            self._refreeze()

    def _refreeze(self) -> None:
        """Coming back from silence or quarantine with the very value that was stuck makes it no better."""
        if self.stuck and self.state == LIVE:
            self.state = after(self.state, STUCK)

    def reanchor(self, delta_ms: int) -> None:
        super().reanchor(delta_ms)
        if self.heard_at is not None:
            self.heard_at += delta_ms
        if self.index_at is not None:
            self.index_at += delta_ms


class FundingTrack(Track):
    """Funding rate. A settled rate (history) counts only where no running rate was ever seen."""

    __slots__ = (
        "agreeing_far",
        "cap_8h",
        "heard_8h",
        "heard_at",
        "heard_interval_h",
        "heard_rate",
        "interval_h",
        "rate",
        "rate_8h",
        "running_seen",
    )
    STATE = (
        *Track.STATE, "rate", "rate_8h", "interval_h", "running_seen",
        "heard_rate", "heard_8h", "heard_interval_h", "heard_at", "agreeing_far",
    )  # fmt: skip
    LATER: ClassVar = frozenset({"heard_rate", "heard_8h", "heard_interval_h", "heard_at", "agreeing_far"})

    def __init__(self, rule: StreamRule, cap_8h: float, trust: Trust) -> None:
        super().__init__(rule, trust)
        self.cap_8h = cap_8h
        self.rate: float | None = None
        self.rate_8h: float | None = None
        self.interval_h: float | None = None
        self.running_seen = False
        # What was said last in quarantine: others may agree with it, and a Confirm repeats it.
        self.heard_rate = 0.0
        self.heard_8h: float | None = None
        self.heard_interval_h: float | None = None
        self.heard_at: int | None = None  # None: not in quarantine
        self.agreeing_far = False  # the present count is of rates beyond the limit that last, not of rates within it

    def take(
        self,
        rate: float,
        rate_8h: float | None,
        interval_h: float | None,
        at: int,
        others: float | None = None,
        backed: bool = False,
    ) -> bool:
        """What was said at ``at``. Without an interval nothing exceeds the cap (and nothing is scored).

        ``others``: the largest abs(rate_8h) that is LIVE at another venue, None if none is. ``backed``: other venues
        say the like, see :meth:`SymbolState._backed`. Both matter only for a rate that is not :meth:`plausible`.
        """
        size = 0.0 if rate_8h is None else abs(rate_8h)
        far, possible = size > self._limit(others, at), size <= self.cap_8h
        lasts = far and possible and others is None and self._lasts(rate_8h, at)
        if possible and backed and self.state == QUARANTINED:
            self.state = after(self.state, RELEASED)
        agrees = not far or lasts or (possible and backed)
        if agrees and far != self.agreeing_far:  # changing sides counts anew
            self.agreeing, self.agreeing_far = 0, far
        if lasts and self.heard_at is not None and self.agreeing_since is not None:
            self.agreeing_since += max(0, at - self.heard_at - FUNDING_SILENCE_MS)
        changed = self.state == NEVER or rate != self.rate or interval_h != self.interval_h
        if not self.judge(agrees, changed, at, FUNDING_LASTS_MS if far else 0):
            self.heard_rate, self.heard_8h, self.heard_interval_h, self.heard_at = rate, rate_8h, interval_h, at
            return False
        self.rate = rate
        self.rate_8h = rate_8h
        self.interval_h = interval_h
        self.heard_at = None
        return True

    def _lasts(self, rate_8h: float | None, at: int) -> bool:
        """Whether a rate in quarantine is near the one that was said before it."""
        if rate_8h is None or self.heard_at is None or self.heard_8h is None:
            return False
        return at - self.heard_at <= FUNDING_APART_MS and near(rate_8h, self.heard_8h, FUNDING_STEP)

    def said(self, at: int) -> float | None:
        """The rate per 8 h that the venue says at ``at``, believed or quarantined; None if none within max_age, or one
        beyond its own cap."""
        if self.heard_at is None:
            return self.rate_8h if self.is_live(at) else None
        fresh = at - self.heard_at <= self.max_age_ms
        return self.heard_8h if fresh and self.heard_8h is not None and abs(self.heard_8h) <= self.cap_8h else None

    def plausible(self, rate_8h: float) -> bool:
        """Whether a rate needs no comparison with other venues."""
        return abs(rate_8h) <= min(self.cap_8h, FUNDING_FACTOR * FUNDING_USUAL)

    def _limit(self, others: float | None, at: int) -> float:
        own = self.rate_8h
        if own is None or self.confirmed_at is None or at - self.confirmed_at > FUNDING_TRUST_MS:
            own = None if others is None else 0.0
        if own is None:
            return self.cap_8h
        return min(self.cap_8h, FUNDING_FACTOR * max(FUNDING_USUAL, abs(own), 0.0 if others is None else others))

    def reanchor(self, delta_ms: int) -> None:
        super().reanchor(delta_ms)
        if self.heard_at is not None:
            self.heard_at += delta_ms


class OiTrack(Track):
    """Open interest. ``coins`` outlives a reset, because coverage still asks what the venue last held."""

    __slots__ = (
        "agreeing_old",
        "coins",
        "contract_coins",
        "contracts",
        "derived",
        "first_outlying",
        "historic",
        "priced",
    )
    STATE = (
        *Track.STATE,
        "agreeing_old",
        "coins",
        "contract_coins",
        "contracts",
        "derived",
        "first_outlying",
        "historic",
        "priced",
    )

    def __init__(self, rule: StreamRule, trust: Trust) -> None:
        super().__init__(rule, trust)
        self.contracts: float | None = None  # last accepted
        self.contract_coins: float | None = None
        self.coins: float | None = None
        self.derived = False
        self.historic = False  # the held value was back-filled
        self.priced: float | None = None  # coins per contract at the last accepted mark, where they hang on one
        self.first_outlying: float | None = None  # contracts that began the quarantine, or its present count
        self.agreeing_old = False  # the present count agrees with the last accepted value, not the first outlying one

    def take(self, event: OpenInterest) -> bool:
        """An unrefused observation; False: quarantined."""
        agrees = self._agrees(event.contracts, event.recv_ts)
        if agrees and self.state == QUARANTINED:
            self._take_side(event.contracts)
        changed = self.state == NEVER or event.contracts != self.contracts
        if not self.judge(agrees, changed, event.recv_ts):
            if not agrees:
                self.first_outlying = event.contracts
            return False
        self.first_outlying = None
        self.contracts = event.contracts
        self.derived = event.derived
        if self.derived and self.priced is not None:  # the decoder's mark may be one that we do not believe
            self.price(self.priced)
        else:
            self.contract_coins = event.contract_coins
            self.coins = event.coins
        return True

    def price(self, contract_coins: float) -> None:
        """What a contract is worth now, where its coins hang on a price."""
        if self.contracts is not None:
            self.priced = self.contract_coins = contract_coins
            self.coins = self.contracts * contract_coins

    def _agrees(self, contracts: float, recv_ts: int) -> bool:
        if self.contracts is None or self.confirmed_at is None:
            return True
        age_ms = recv_ts - self.confirmed_at
        if near(contracts, self.contracts, self.trust.oi_fraction):
            return True
        if age_ms < UNIT_TRUST_MS and self._unit_error(contracts):
            return False
        if self.state == QUARANTINED:
            return self.first_outlying is not None and near(contracts, self.first_outlying, self.trust.oi_fraction)
        return age_ms >= STEP_TRUST_MS

    def _take_side(self, contracts: float) -> None:
        """A value that flaps between the old level and the new agrees with neither: changing sides counts anew."""
        near_old = self.contracts is not None and near(contracts, self.contracts, self.trust.oi_fraction)
        near_new = self.first_outlying is not None and near(contracts, self.first_outlying, self.trust.oi_fraction)
        if self.agreeing > 0 and (near_old if self.agreeing_old else near_new):
            return
        self.agreeing = 0
        self.agreeing_old = near_old

    def _unit_error(self, contracts: float) -> bool:
        """Beyond the factor, up or down. An accepted 0 tells no unit, so nothing can be wrong by a factor of it."""
        assert self.contracts is not None
        factor = self.trust.oi_factor
        return self.contracts > 0.0 and (contracts > self.contracts * factor or contracts * factor < self.contracts)

    def reset(self) -> None:
        """The contract changed its size: the next observation is a first value."""
        self.state = after(self.state, RESET)
        self.contracts = None
        self.contract_coins = None
        self.priced = None
        self.first_outlying = None
        self.agreeing = 0
