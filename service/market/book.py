"""One symbol over all venues: takes its events, and samples one consensus."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from service.config import MarketSection
from service.market import consensus
from service.market.freshness import LIVE
from service.market.instruments import Instrument, Shelf, Tally
from service.market.streams import FundingTrack, MarkTrack, Trust, near
from service.model import (
    Confirm,
    Consensus,
    Event,
    Flow,
    Funding,
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
TOO_MANY_INSTRUMENTS = "too_many_instruments"


class Book(Stateful):
    """The market state of one symbol. Venues are walked in configuration order, instruments by name."""

    __slots__ = ("_high", "_low", "_min_venues", "_rules", "_trust", "ln_oi_index", "oi_receipts", "shelves", "symbol")
    STATE = ("shelves", "ln_oi_index", "oi_receipts")

    def __init__(self, symbol: str, rules: Sequence[VenueRules], settings: MarketSection) -> None:
        self.symbol = symbol
        self._min_venues = settings.min_venues
        self._trust = Trust.of(settings)
        self._rules = {rule.venue: rule for rule in rules}
        self.shelves = {rule.venue: Shelf(rule, self._trust) for rule in rules}
        self.ln_oi_index = 0.0
        self.oi_receipts = 0  # accepted since the last sample
        self._low, self._high = inf, -inf  # around every mark heard, perhaps wider: see _near_others

    def make(self, name: str, key: str) -> Stateful | None:
        return Shelf(self._rules[key], self._trust)

    def load(self, plain: Plain) -> None:
        """Restore; raises ValueError or KeyError for a dump of other venues, or of the same in another order."""
        venues = list(self.shelves)
        super().load(plain)
        if list(self.shelves) != venues:
            raise ValueError(f"{self.symbol}: state of other venues than {', '.join(venues)}")
        self._span_marks()

    # -- events ------------------------------------------------------------------------------------------------

    def apply(self, event: Event, filling: bool = False) -> str | None:
        """Take one event. The code of the refusal or quarantine, or None. ``filling``: of the back-filled past."""
        shelf = self.shelves.get(event.venue)
        if shelf is None:
            return None
        instrument = shelf.instruments.get(event.instrument)
        if instrument is None:
            instrument = shelf.find(event.instrument, event.recv_ts)
        if instrument is None:
            return TOO_MANY_INSTRUMENTS
        if isinstance(event, Mark):
            return self._take_mark(shelf, instrument, event)
        if isinstance(event, Flow):
            return instrument.reported.take_flow(event, instrument.oi.coins)
        if isinstance(event, Confirm):
            return self._confirm(instrument, event)
        if isinstance(event, OpenInterest):
            return self._take_oi(instrument, event, filling)
        if isinstance(event, Funding):
            return self._take_funding(shelf, instrument, event)
        if isinstance(event, Listing):
            instrument.describe(event)
            return None
        if isinstance(event, Liquidation):
            return instrument.reported.take_liquidation(event, instrument.oi.coins)
        if isinstance(event, Positions):
            return instrument.reported.take_positions(event)
        return instrument.reported.take_long_short(event)

    def _take_mark(self, shelf: Shelf, instrument: Instrument, event: Mark) -> str | None:
        track, mark = instrument.mark, event.mark
        if mark is None:
            return None if event.index is None else track.take_index(event, event.index)
        refused = track.refusal(event.venue_ts, event.recv_ts)
        if refused is not None:
            return refused
        agrees = self._near_others(shelf, track, mark, event.recv_ts)
        self._span(mark)
        return None if track.take(event, mark, agrees) else QUARANTINED_MARK

    def _take_oi(self, instrument: Instrument, event: OpenInterest, filling: bool) -> str | None:
        instrument.sent_oi = True
        refused = instrument.oi.refusal(event.venue_ts, event.recv_ts)
        if refused is not None:
            return refused
        if not instrument.oi.take(event):
            return QUARANTINED_OI
        if instrument.oi.historic and not filling:
            # History is dated late and held: the step to the first live value is the change of many minutes.
            instrument.linked_contracts = None
        instrument.oi.historic = filling
        if instrument.trading:
            self.oi_receipts += 1
        return None

    def _take_funding(self, shelf: Shelf, instrument: Instrument, event: Funding) -> str | None:
        track = instrument.funding
        if event.settled and track.running_seen:
            return None
        refused = track.refusal(event.venue_ts, event.recv_ts)
        if refused is not None:
            return refused
        track.running_seen = not event.settled
        return None if track.take(event, self._others_rate(shelf, track, event)) else QUARANTINED_FUNDING

    def _others_rate(self, shelf: Shelf, track: FundingTrack, event: Funding) -> float | None:
        """The largest rate of the other venues, None if there is none or it cannot matter."""
        if event.rate_8h is None or track.plausible(event.rate_8h):
            return None
        apart = [rate for other in self.shelves.values() if other is not shelf for rate in other.rates(event.recv_ts)]
        return max(apart, default=None)

    def _confirm(self, instrument: Instrument, event: Confirm) -> str | None:
        first: str | None = None
        for stream in event.streams:
            refused = instrument.track(stream).vouch(event.venue_ts, event.recv_ts)
            first = refused if first is None else first
        self._span_track(instrument.mark)
        return first

    # -- the marks of other venues -----------------------------------------------------------------------------

    def _near_others(self, shelf: Shelf, track: MarkTrack, mark: float, at: int) -> bool:
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
        apart = [other for other in self.shelves.values() if other is not shelf]
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
            for shelf in self.shelves.values()
            for instrument in shelf.instruments.values()
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
        tallies = []
        listing = len(unheard)
        for venue, shelf in self.shelves.items():
            if shelf.instruments:
                tally = shelf.tally(venue, ts)
                if tally is not None:
                    listing += tally.lists
                    tallies.append(tally)
        needed = consensus.needed_venues(listing, self._min_venues)
        linked = [tally for tally in tallies if tally.linked]
        self.ln_oi_index += consensus.link(
            fold([tally.link_now for tally in linked]),
            fold([tally.link_before for tally in linked]),
            len(linked),
            needed,
        )
        receipts, self.oi_receipts = self.oi_receipts, 0
        return self._consensus(ts, step_s, tallies, needed, listing, receipts, unheard)

    def _grow_old(self, ts: int) -> None:
        for shelf in self.shelves.values():
            for instrument in shelf.instruments.values():
                instrument.grow_old(ts)

    def _watch_marks(self, ts: int) -> None:
        """Look for frozen marks: all against the LIVE marks (just grown old) before any of them is frozen."""
        marks: list[tuple[float, int]] = []
        watched: list[tuple[int, MarkTrack]] = []
        for number, shelf in enumerate(self.shelves.values()):
            for item in shelf.instruments.values():
                track = item.mark
                if track.state == LIVE and item.trading and track.mark is not None:
                    marks.append((track.mark, number))
                if track.to_watch(ts):
                    watched.append((number, track))
        marks.sort()
        ordered = [mark for mark, _ in marks]
        own: list[list[int]] = [[] for _ in self.shelves]
        for position, (_, number) in enumerate(marks):
            own[number].append(position)
        for number, track in watched:
            track.watch(ts, consensus.median_without(ordered, own[number]))
        self._span_marks()

    def _consensus(
        self,
        ts: int,
        step_s: int,
        tallies: list[Tally],
        needed: int,
        listing: int,
        receipts: int,
        unheard: tuple[str, ...],
    ) -> Consensus:
        inside = [tally for tally in tallies if tally.oi is not None]
        absent = [tally for tally in tallies if tally.oi is None and tally.seen]
        quorum = len(inside) >= needed
        coins = [tally.oi for tally in inside if tally.oi is not None]
        oi_coins = fold(coins)
        last = fold([tally.last for tally in tallies])
        funded = [
            (tally, amount, rate)
            for tally, amount in zip(inside, coins, strict=True)
            if tally.primary.funding.state == LIVE and (rate := tally.primary.funding.rate_8h) is not None
        ]
        funding = consensus.funding_consensus(
            [amount for _, amount, _ in funded] if quorum else [],
            [rate for _, _, rate in funded] if quorum else [],
        )
        indices = [index for tally in inside if (index := tally.primary.mark.fresh_index(ts)) is not None]
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
            as_of=_as_of(inside, [tally for tally, _, _ in funded]) if quorum else None,
            trouble=(
                *(tally.trouble() for tally in absent if consensus.troubling(tally.last, last)),
                *(f"unheard:{venue}" for venue in unheard),
            ),
            excluded=tuple([tally.venue for tally in absent]),
            venues_total=listing,
            venues=tuple([tally.view(ts) for tally in tallies]),
        )

    def reanchor(self, delta_ms: int) -> None:
        for shelf in self.shelves.values():
            for instrument in shelf.instruments.values():
                instrument.reanchor(delta_ms)


def _marks(inside: list[Tally]) -> list[float]:
    return [mark for tally in inside if (mark := tally.primary.mark.mark) is not None]


def _worn(inside: list[Tally], ts: int) -> list[list[float]]:
    """Age over max_age per stream, each over the venues of V."""
    return [
        [tally.primary.mark.worn(ts) for tally in inside],
        [tally.primary.funding.worn(ts) for tally in inside],
        [tally.primary.oi.worn(ts) for tally in inside],
    ]


def _as_of(inside: list[Tally], funded: list[Tally]) -> int:
    """The oldest receipt among the inputs used: marks and fundings of the primaries, oi of all that count."""
    receipts = [tally.oldest_oi for tally in inside]
    receipts += [at for tally in inside if (at := tally.primary.mark.confirmed_at) is not None]
    receipts += [at for tally in funded if (at := tally.primary.funding.confirmed_at) is not None]
    return min(receipts)
