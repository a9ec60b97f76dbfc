"""One symbol over all venues: takes its events, and samples one consensus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import ClassVar

from service.config import MarketSection
from service.market import consensus
from service.market.freshness import LIVE
from service.market.naming import Naming, groups, others
from service.market.streams import FUNDING_FACTOR, FUNDING_USUAL, FundingTrack, MarkTrack, Trust, alike, near
from service.market.venue_state import Instrument, VenueSample, VenueState
from service.model import (
    Confirm,
    Consensus,
    Flow,
    Funding,
    InstrumentEvent,
    Liquidation,
    Listing,
    Mark,
    OpenInterest,
    Positions,
    VenueRules,
)
from service.state import Plain, Stateful
from service.statistics import fold

QUARANTINED_MARK = "quarantined_mark"
QUARANTINED_FUNDING = "quarantined_funding"
QUARANTINED_OI = "quarantined_oi"
NAMING_CONFLICT = "naming_conflict"
TOO_MANY_INSTRUMENTS = "too_many_instruments"


class SymbolState(Stateful):
    """The market state of one symbol. Venues are walked in configuration order, instruments by name."""

    __slots__ = (
        "_high", "_low", "_min_venues", "_rules", "_trust", "ln_oi_index", "naming", "oi_receipts", "symbol", "venues",
    )  # fmt: skip
    STATE = ("venues", "ln_oi_index", "oi_receipts", "naming")
    STORED: ClassVar = {"venues": "shelves"}
    LATER: ClassVar = frozenset({"naming"})
    CONFIGURED: ClassVar = frozenset({"venues"})

    def __init__(self, symbol: str, rules: Sequence[VenueRules], settings: MarketSection) -> None:
        self.symbol = symbol
        self._min_venues = settings.min_venues
        self._trust = Trust.of(settings)
        self._rules = {rule.venue: rule for rule in rules}
        self.venues = {rule.venue: VenueState(rule, self._trust) for rule in rules}
        self.ln_oi_index = 0.0
        self.oi_receipts = 0  # accepted since the last sample
        self.naming = Naming()
        self._low, self._high = inf, -inf  # around every mark heard, perhaps wider: see _near_others

    def make(self, name: str, key: str) -> Stateful | None:
        return VenueState(self._rules[key], self._trust)

    def load(self, plain: Plain) -> None:
        """Restore; raises ValueError or KeyError for what is not a dump of this class. Of other venues than the
        configured ones nothing is kept: neither their open interest nor their part in a conflict of names."""
        super().load(plain)
        self.naming.keep(self.venues)
        self._span_marks()

    # -- events ------------------------------------------------------------------------------------------------

    def apply(self, event: InstrumentEvent, filling: bool = False) -> str | None:
        """Take one event. The code of the refusal or quarantine, or None. ``filling``: of the back-filled past."""
        venue_state = self.venues.get(event.venue)
        if venue_state is None:
            return None
        instrument = venue_state.instruments.get(event.instrument)
        if instrument is None:
            instrument = venue_state.find(event.instrument, event.recv_ts)
        if instrument is None:
            return TOO_MANY_INSTRUMENTS
        if isinstance(event, Mark):
            return self._take_mark(venue_state, instrument, event)
        if isinstance(event, Flow):
            return self._take_flow(instrument, event)
        if isinstance(event, Confirm):
            return self._confirm(venue_state, instrument, event)
        if isinstance(event, OpenInterest):
            return self._take_oi(venue_state, instrument, event, filling)
        if isinstance(event, Funding):
            return self._take_funding(venue_state, instrument, event)
        if isinstance(event, Listing):
            instrument.describe(event)
            return None
        if isinstance(event, Liquidation):
            return instrument.reported.take_liquidation(event, instrument.oi.coins)
        if isinstance(event, Positions):
            return instrument.reported.take_positions(event)
        return instrument.reported.take_long_short(event)

    def _take_mark(self, venue_state: VenueState, instrument: Instrument, event: Mark) -> str | None:
        track, mark = instrument.mark, event.mark
        if mark is None:
            return None if event.index is None else track.take_index(event, event.index)
        refused = track.refusal(event.venue_ts, event.recv_ts)
        if refused is not None:
            return refused
        agrees = self._near_others(venue_state, track, mark, event.recv_ts)
        self._span(mark)
        return None if track.take(event, mark, agrees) else QUARANTINED_MARK

    @staticmethod
    def _take_flow(instrument: Instrument, event: Flow) -> str | None:
        oi = instrument.oi
        refused = instrument.reported.take_flow(event, oi.coins)
        if refused is None and oi.contract_coins:
            instrument.watch.trade((event.taker_buy_coins + event.taker_sell_coins) / oi.contract_coins)
        return refused

    def _take_oi(
        self, venue_state: VenueState, instrument: Instrument, event: OpenInterest, filling: bool
    ) -> str | None:
        instrument.sent_oi = True
        oi = instrument.oi
        refused = oi.refusal(event.venue_ts, event.recv_ts)
        if refused is not None:
            return refused
        before = oi.contracts
        if before is None or filling or oi.historic:
            venue_state.sides.forget(instrument.name)
        elif instrument.trading:
            venue_state.sides.compare(instrument.name, before, event.contracts, event.recv_ts)
        if not oi.take(event):
            return QUARANTINED_OI
        if filling:
            pass
        elif oi.historic:
            # History is dated late and held: the step to the first live value is the change of many minutes.
            instrument.linked_contracts = None
        elif before is not None:
            instrument.watch.interest(before, event.contracts, venue_state.sides, event.recv_ts)
        oi.historic = filling
        if instrument.trading:
            self.oi_receipts += 1
        return None

    def _take_funding(self, venue_state: VenueState, instrument: Instrument, event: Funding) -> str | None:
        track = instrument.funding
        if event.settled and track.running_seen:
            return None
        refused = track.refusal(event.venue_ts, event.recv_ts)
        if refused is not None:
            return refused
        track.running_seen = not event.settled
        believed = self._judge_funding(venue_state, track, event.rate, event.rate_8h, event.interval_h, event.recv_ts)
        return None if believed else QUARANTINED_FUNDING

    def _judge_funding(
        self,
        venue_state: VenueState,
        track: FundingTrack,
        rate: float,
        rate_8h: float | None,
        interval_h: float | None,
        at: int,
    ) -> bool:
        """Whether a rate said at ``at`` is believed; the other venues are only asked where it can matter."""
        if rate_8h is None or track.plausible(rate_8h):
            return track.take(rate, rate_8h, interval_h, at)
        others = [other for other in self.venues.values() if other is not venue_state]
        largest = max([live for other in others for live in other.rates(at)], default=None)
        believed = track.take(
            rate, rate_8h, interval_h, at, largest, _backed(others, venue_state.exchange, rate_8h, at)
        )
        if believed:
            self._release_like(others, rate_8h, at)
        return believed

    def _release_like(self, others: list[VenueState], rate_8h: float, at: int) -> None:
        """A large rate is believed: so is the like of it that other venues said before, in quarantine."""
        for other in others:
            for item in other.instruments.values():
                track = item.funding
                if track.heard_at is None or not item.trading:
                    continue
                said = track.said(at)
                if said is None or track.plausible(said) or not alike(rate_8h, said):
                    continue
                if _backed(self.venues.values(), other.exchange, said, at):
                    track.take(track.heard_rate, said, track.heard_interval_h, track.heard_at, backed=True)

    def _confirm(self, venue_state: VenueState, instrument: Instrument, event: Confirm) -> str | None:
        first: str | None = None
        for stream in event.streams:
            refused = instrument.track(stream).vouch(event.venue_ts, event.recv_ts)
            first = refused if first is None else first
            if stream == "funding" and refused is None and instrument.funding.heard_at is not None:
                # It repeats what is not believed yet: a venue that speaks on change says it only once.
                track = instrument.funding
                said = track.heard_rate, track.heard_8h, track.heard_interval_h
                self._judge_funding(venue_state, track, *said, event.recv_ts)
        self._span_track(instrument.mark)
        return first

    # -- the marks of other venues -----------------------------------------------------------------------------

    def _near_others(self, venue_state: VenueState, track: MarkTrack, mark: float, at: int) -> bool:
        """Whether ``mark`` is within the quarantine fraction of what the other venues say.

        A LIVE track is judged by the others' LIVE marks. One that is not yet (or no more) believed is judged by all
        that the others said last, quarantined or not, and from two others on by the median including itself:
        otherwise a wrong venue that speaks first after a start would lock out every honest one for good.
        A mark near both the lowest and the highest is near any median of them, so that the usual mark costs two
        comparisons. True if there is no other to compare with.
        """
        limit = self._trust.mark_fraction
        if self._low > self._high or (near(mark, self._low, limit) and near(mark, self._high, limit)):
            return True
        apart = [other for other in self.venues.values() if other is not venue_state]
        if track.is_live(at):
            others = [live for other in apart for live in other.live_marks(at)]
        else:
            others = [heard for other in apart for heard in other.heard_marks(at)]
            if len(others) > 1:
                others.append(mark)
        return not others or near(mark, consensus.median(others), limit)

    def _span(self, mark: float) -> None:
        if mark < self._low:
            self._low = mark
        if mark > self._high:
            self._high = mark

    def _span_track(self, track: MarkTrack) -> None:
        if track.heard is not None:
            self._span(track.heard)

    def _span_marks(self) -> None:
        heard = [
            mark
            for venue_state in self.venues.values()
            for instrument in venue_state.instruments.values()
            if (mark := instrument.mark.heard) is not None
        ]
        self._low, self._high = inf, -inf
        if heard:
            self._span(min(heard))
            self._span(max(heard))

    # -- samples -----------------------------------------------------------------------------------------------

    def sample(self, ts: int, step_s: int, unheard: tuple[str, ...] = ()) -> Consensus:
        """The consensus at ``ts``, one step after the sample before.

        ``unheard``: venues that have not said anything since the start. What they list is not known, so they count as
        listing the symbol: a lone reachable venue must not pass for the only one there is.
        """
        self._grow_old(ts)
        self._watch_marks(ts)
        self.naming.observe(ts, self._other_coins(ts), self._trust.span_ms)
        venue_samples = []
        listing = len(unheard)
        for venue, venue_state in self.venues.items():
            if venue_state.instruments:
                venue_sample = venue_state.sample(venue, ts)
                if venue_sample is not None:
                    listing += venue_sample.lists
                    venue_samples.append(venue_sample)
        needed = consensus.needed_venues(listing, self._min_venues)
        one_coin = not self.naming.venues  # of two, changes of open interest are not one market's
        linked = [venue_sample for venue_sample in venue_samples if venue_sample.linked and one_coin]
        self.ln_oi_index += consensus.link(
            fold([venue_sample.link_now for venue_sample in linked]),
            fold([venue_sample.link_before for venue_sample in linked]),
            len(linked),
            needed,
        )
        receipts, self.oi_receipts = self.oi_receipts, 0
        return self._consensus(ts, step_s, venue_samples, needed, listing, receipts, unheard)

    def _other_coins(self, ts: int) -> list[str]:
        """The venues of the smaller groups of marks, where it is not to be decided by a vote which coin is meant.

        Compared are the latest fresh marks of trading instruments, believed or not. Frozen ones are left out, unless a
        conflict is in force: a quiet coin must not lose to one that moves. That all of them are near each other, as
        usual, one comparison says.
        """
        limit = self._trust.mark_fraction
        if self._low >= self._high or near(self._low, self._high, limit):
            return []
        moving = not self.naming.venues
        marks = [
            (mark, number)
            for number, venue_state in enumerate(self.venues.values())
            for mark in venue_state.heard_marks(ts, moving)
        ]
        names = list(self.venues)
        return [names[number] for number in others(groups(marks, limit))]

    def _grow_old(self, ts: int) -> None:
        for venue_state in self.venues.values():
            for instrument in venue_state.instruments.values():
                instrument.grow_old(ts)

    def _watch_marks(self, ts: int) -> None:
        """Look for frozen marks: all against the LIVE marks (just grown old) before any of them is frozen."""
        marks: list[tuple[float, int]] = []
        watched: list[tuple[int, MarkTrack]] = []
        for number, venue_state in enumerate(self.venues.values()):
            for item in venue_state.instruments.values():
                track = item.mark
                if track.state == LIVE and item.trading and track.mark is not None:
                    marks.append((track.mark, number))
                if track.to_watch(ts):
                    watched.append((number, track))
        marks.sort()
        ordered = [mark for mark, _ in marks]
        own: list[list[int]] = [[] for _ in self.venues]
        for position, (_, number) in enumerate(marks):
            own[number].append(position)
        for number, track in watched:
            track.watch(ts, consensus.median_without(ordered, own[number]))
        self._span_marks()

    def _consensus(
        self,
        ts: int,
        step_s: int,
        venue_samples: list[VenueSample],
        needed: int,
        listing: int,
        receipts: int,
        unheard: tuple[str, ...],
    ) -> Consensus:
        inside = [venue_sample for venue_sample in venue_samples if venue_sample.oi is not None]
        absent = [venue_sample for venue_sample in venue_samples if venue_sample.oi is None and venue_sample.seen]
        quorum = len(inside) >= needed and not self.naming.venues
        self.naming.believed = self.naming.believed or quorum
        coins = [venue_sample.oi for venue_sample in inside if venue_sample.oi is not None]
        oi_coins = fold(coins)
        last = fold([venue_sample.last for venue_sample in venue_samples])
        funded = [
            (venue_sample, amount, rate)
            for venue_sample, amount in zip(inside, coins, strict=True)
            if venue_sample.primary.funding.state == LIVE and (rate := venue_sample.primary.funding.rate_8h) is not None
        ]
        funding = consensus.funding_consensus(
            [amount for _, amount, _ in funded] if quorum else [],
            [rate for _, _, rate in funded] if quorum else [],
        )
        indices = [index for venue_sample in inside if (index := venue_sample.primary.mark.fresh_index(ts)) is not None]
        return Consensus(
            symbol=self.symbol,
            ts=ts,
            step_s=step_s,
            quorum=quorum,
            price=consensus.median(_marks(inside)) if quorum else None,
            index=consensus.median(indices) if quorum and indices else None,
            funding_8h=funding.mean_8h,
            funding_spend=funding.spend,
            funding_spread=funding.spread,
            funding_outlier_sign=funding.outlier_sign,
            oi_coins=oi_coins if quorum else None,
            ln_oi_index=self.ln_oi_index,
            oi_receipts=receipts,
            full_set=not absent and not unheard,
            coverage=consensus.coverage(oi_coins, last),
            freshness=consensus.freshness(coins, _worn(inside, ts)) if quorum else None,
            as_of=_as_of(inside, [venue_sample for venue_sample, _, _ in funded]) if quorum else None,
            trouble=(
                *([f"{NAMING_CONFLICT}:{','.join(self.naming.venues)}"] if self.naming.venues else ()),
                *(
                    venue_sample.trouble()
                    for venue_sample in absent
                    if venue_sample.doubted or consensus.troubling(venue_sample.last, last)
                ),
                *(f"oi_sides_changed:{venue_sample.venue}" for venue_sample in venue_samples if venue_sample.changed),
                *(f"unheard:{venue}" for venue in unheard),
            ),
            excluded=tuple([venue_sample.venue for venue_sample in absent]),
            venues_total=listing,
            venues=tuple([venue_sample.view(ts) for venue_sample in venue_samples]),
        )

    def reanchor(self, delta_ms: int) -> None:
        self.naming.reanchor(delta_ms)
        for venue_state in self.venues.values():
            for instrument in venue_state.instruments.values():
                instrument.reanchor(delta_ms)


def _backed(venue_states: Iterable[VenueState], exchange: str, rate_8h: float, at: int) -> bool:
    """Whether other exchanges than ``exchange`` say the like of its rate, and with it are more than those whose LIVE
    rates are more than ten times smaller. Two venues of one company may have one error: they are one voice."""
    like: set[str] = set()
    against: set[str] = set()
    for other in venue_states:
        if other.exchange == exchange:
            continue
        if any(alike(rate_8h, said) for said in other.said_rates(at)):
            like.add(other.exchange)
        elif any(abs(rate_8h) > FUNDING_FACTOR * max(FUNDING_USUAL, live) for live in other.rates(at)):
            against.add(other.exchange)
    return bool(like) and len(like) + 1 > len(against - like)


def _marks(inside: list[VenueSample]) -> list[float]:
    return [mark for venue_sample in inside if (mark := venue_sample.primary.mark.mark) is not None]


def _worn(inside: list[VenueSample], ts: int) -> list[list[float]]:
    """Age over max_age per stream, each over the venues of V."""
    return [
        [venue_sample.primary.mark.worn(ts) for venue_sample in inside],
        [venue_sample.primary.funding.worn(ts) for venue_sample in inside],
        [venue_sample.primary.oi.worn(ts) for venue_sample in inside],
    ]


def _as_of(inside: list[VenueSample], funded: list[VenueSample]) -> int:
    """The oldest receipt among the inputs used: marks and fundings of the primaries, oi of all that count."""
    receipts = [venue_sample.oldest_oi for venue_sample in inside]
    receipts += [at for venue_sample in inside if (at := venue_sample.primary.mark.confirmed_at) is not None]
    receipts += [at for venue_sample in funded if (at := venue_sample.primary.funding.confirmed_at) is not None]
    return min(receipts)
