"""What is known of one venue's part of one symbol: its instruments, and what they add up to at a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from service.market.freshness import LIVE, worse
from service.market.reported import KINDS, Reported
from service.market.sides import SideRule, TradeWatch
from service.market.streams import FundingTrack, MarkTrack, OiTrack, Track, Trust
from service.model import Listing, LongShortKind, Stream, VenueRules, VenueView
from service.state import Stateful

DAY_MS = 86_400_000
MAX_INSTRUMENTS = 16  # per venue and symbol; venues list one to four perpetuals of a coin


class Instrument(Stateful):
    """One perpetual: its streams, its listing, and its contracts at the last sample for the chain link."""

    __slots__ = (
        "contract_size",
        "funding",
        "inverse",
        "linked_coins",
        "linked_contracts",
        "listed",
        "mark",
        "multiplier",
        "name",
        "oi",
        "reported",
        "sent_oi",
        "trading",
        "watch",
    )
    STATE = (
        "mark", "funding", "oi", "reported", "listed", "trading", "sent_oi", "inverse", "contract_size", "multiplier",
        "linked_contracts", "linked_coins", "watch",
    )  # fmt: skip
    LATER: ClassVar = frozenset({"watch"})

    def __init__(self, name: str, rules: VenueRules, trust: Trust) -> None:
        self.name = name
        self.mark = MarkTrack(rules.mark, rules.index_max_age_ms, trust)
        self.funding = FundingTrack(rules.funding, rules.funding_cap_8h, trust)
        self.oi = OiTrack(rules.oi, trust)
        self.reported = Reported()
        self.listed = False  # the venue's metadata names it
        self.trading = True  # False: delisted or not live; its data is followed, but counts nowhere
        self.sent_oi = False
        self.inverse: bool | None = None
        self.contract_size: float | None = None
        self.multiplier: float | None = None
        self.linked_contracts: float | None = None  # contracts at the last sample, None if it did not count then
        self.linked_coins = 0.0  # coins per contract at the last sample
        self.watch = TradeWatch()

    def track(self, stream: Stream) -> Track:
        if stream == "mark":
            return self.mark
        return self.oi if stream == "oi" else self.funding

    def describe(self, listing: Listing) -> None:
        """Take metadata. A changed contract takes back the trust in its oi."""
        size = listing.contract_size
        resized = (
            (size is not None and self.contract_size is not None and size != self.contract_size)
            or (self.multiplier is not None and listing.multiplier != self.multiplier)
            or (self.inverse is not None and listing.inverse != self.inverse)
        )
        if resized:  # old contracts times new size would read as build-up
            self.break_oi()
        self.listed = True
        self.trading = listing.trading
        self.inverse = listing.inverse
        self.multiplier = listing.multiplier
        if size is not None:
            self.contract_size = size

    def break_oi(self) -> None:
        """What was known of its open interest no longer compares: the next observation is a first value, and the chain
        link does not reach across."""
        self.oi.reset()
        self.linked_contracts = None
        self.watch = TradeWatch()

    @property
    def counts_as_listed(self) -> bool:
        return self.trading and (self.listed or self.sent_oi)

    def seen(self, at: int) -> bool:
        """Whether its oi was confirmed in the 24 h before ``at``."""
        return self.oi.confirmed_at is not None and at - self.oi.confirmed_at <= DAY_MS

    def grow_old(self, at: int) -> None:
        self.mark.grow_old(at)
        self.funding.grow_old(at)
        self.oi.grow_old(at)

    def reanchor(self, delta_ms: int) -> None:
        self.mark.reanchor(delta_ms)
        self.funding.reanchor(delta_ms)
        self.oi.reanchor(delta_ms)
        self.reported.reanchor(delta_ms)


@dataclass(slots=True)
class VenueSample:
    """One venue's part of a sample, over its trading instruments in the order of their names.

    ``primary``: the counting instrument with most oi; where none counts (``oi`` None, the venue is not in V) the one
    with most last accepted oi. ``lists``: one of them counts as listed. ``last``: coins seen in 24 h. ``link_*``: coins
    of the instruments that count at this sample and the one before, valued at the coins per contract of the one before.
    ``taker_*``, ``liquidated_*``: coins since the sample before. ``ratios``: kind -> last oi of its instrument, share,
    receipt. ``doubted``: which sides its open interest counts is in doubt; ``changed``: they changed lately.
    """

    venue: str
    primary: Instrument
    doubted: bool = False
    changed: bool = False
    lists: bool = False
    oi: float | None = None
    last: float = 0.0
    seen: bool = False
    linked: bool = False
    link_before: float = 0.0
    link_now: float = 0.0
    oldest_oi: int = 0
    taker_buy: float = 0.0
    taker_sell: float = 0.0
    liquidated_long: float = 0.0
    liquidated_short: float = 0.0
    long_coins: float | None = None
    short_coins: float | None = None
    ratios: dict[LongShortKind, tuple[float, float, int]] | None = None

    def view(self, at: int) -> VenueView:
        chosen = self.primary
        mark, funding, oi = chosen.mark, chosen.funding, chosen.oi
        funded = funding.state == LIVE
        return VenueView(
            venue=self.venue,
            instrument=chosen.name,
            fresh=self.oi is not None,
            mark=mark.mark if mark.state == LIVE else None,
            index=mark.fresh_index(at),
            rate=funding.rate if funded else None,
            rate_8h=funding.rate_8h if funded else None,
            interval_h=funding.interval_h if funded else None,
            oi_coins=self.oi,
            oi_coins_last=self.last,
            age_mark_ms=mark.age_ms(at),
            age_funding_ms=funding.age_ms(at),
            age_oi_ms=oi.age_ms(at),
            states=(("mark", mark.state), ("funding", funding.state), ("oi", oi.state)),
            taker_buy_coins=self.taker_buy,
            taker_sell_coins=self.taker_sell,
            liquidated_long_coins=self.liquidated_long,
            liquidated_short_coins=self.liquidated_short,
            long_coins=self.long_coins,
            short_coins=self.short_coins,
            long_short=() if self.ratios is None else self._shares(self.ratios),
        )

    @staticmethod
    def _shares(ratios: dict[LongShortKind, tuple[float, float, int]]) -> tuple[tuple[LongShortKind, float, int], ...]:
        """(kind, share, receipt) in the fixed order of the kinds."""
        return tuple((kind, ratios[kind][1], ratios[kind][2]) for kind in KINDS if kind in ratios)

    def trouble(self) -> str:
        """Why the venue is not in V, as ``what:venue``."""
        if self.doubted:
            return f"oi_sides:{self.venue}"
        return f"{worse(self.primary.mark.state, self.primary.oi.state)}:{self.venue}"


class VenueState(Stateful):
    """All instruments of one venue for one symbol, in the order of their names whatever order they came in.

    ``sides``: the venue's rule, which the market of all symbols shares and stores.
    """

    __slots__ = ("_rules", "_trust", "exchange", "instruments", "sides")
    STATE = ("instruments",)

    def __init__(self, rules: VenueRules, trust: Trust) -> None:
        self._rules = rules
        self.exchange = rules.exchange
        self._trust = trust
        self.sides = SideRule(rules.oi_figure)
        self.instruments: dict[str, Instrument] = {}

    def make(self, name: str, key: str) -> Stateful | None:
        return Instrument(key, self._rules, self._trust)

    def find(self, name: str, at: int) -> Instrument | None:
        """The instrument, made if it is new; None when the venue_state is full of instruments still in use."""
        known = self.instruments.get(name)
        if known is not None:
            return known
        if len(self.instruments) >= MAX_INSTRUMENTS and not self._make_room(at):
            return None
        made = self.instruments[name] = Instrument(name, self._rules, self._trust)
        ordered = sorted(self.instruments.items())
        self.instruments.clear()
        self.instruments.update(ordered)
        return made

    def _make_room(self, at: int) -> bool:
        """Forget the first instrument that is neither listed as trading nor was heard of in 24 h."""
        for name, item in self.instruments.items():
            if not item.seen(at) and not (item.listed and item.trading):
                del self.instruments[name]
                return True
        return False

    def live_marks(self, at: int) -> list[float]:
        """The LIVE marks of its trading instruments."""
        return [
            item.mark.mark
            for item in self.instruments.values()
            if item.trading and item.mark.is_live(at) and item.mark.mark is not None
        ]

    def heard_marks(self, at: int, moving: bool = False) -> list[float]:
        """The latest marks of its trading instruments, believed or quarantined. ``moving``: without those that stand
        still while others move."""
        return [
            mark
            for item in self.instruments.values()
            if item.trading and not (moving and item.mark.stuck) and (mark := item.mark.heard_mark(at)) is not None
        ]

    def rates(self, at: int) -> list[float]:
        """The abs(rate_8h) of its trading instruments whose funding is LIVE."""
        return [
            abs(item.funding.rate_8h)
            for item in self.instruments.values()
            if item.trading and item.funding.rate_8h is not None and item.funding.is_live(at)
        ]

    def said_rates(self, at: int) -> list[float]:
        """The rates per 8 h that its trading instruments say, believed or quarantined."""
        return [
            rate for item in self.instruments.values() if item.trading and (rate := item.funding.said(at)) is not None
        ]

    def sample(self, venue: str, at: int) -> VenueSample | None:
        """The venue's part of the sample at ``at``, remembering it for the next chain link. None: no instrument.

        An instrument counts (is part of the sums) while its mark and oi are LIVE, exact after ``grow_old``, and the
        venue's sides are not in doubt.
        """
        result: VenueSample | None = None
        doubted = self.sides.doubted
        unreported = False  # of an instrument that counts no positions are known
        most = (-1, -2.0)  # whether it counts, then how much: a counting instrument ranks before all others
        for item in self.instruments.values():
            reported = item.reported
            if not item.trading:
                item.linked_contracts = None
                if reported.stirred:
                    reported.settle()
                continue
            if result is None:
                result = VenueSample(venue, item, doubted, self.sides.changed_lately(at))
            if reported.stirred:
                result.taker_buy += reported.taker_buy
                result.taker_sell += reported.taker_sell
                result.liquidated_long += reported.liquidated_long
                result.liquidated_short += reported.liquidated_short
                reported.settle()
            if reported.positions_at is not None or reported.ratios:
                self._report(result, item, at)
            if item.listed or item.sent_oi:
                result.lists = True
            oi = item.oi
            counts = item.mark.state == LIVE and oi.state == LIVE and not doubted
            if counts and oi.derived and item.inverse and item.contract_size is not None:
                assert item.mark.mark is not None
                oi.price(item.contract_size / item.mark.mark)
            # Without any it is -1, so that an instrument with oi 0 ranks before it.
            coins = -1.0 if oi.coins is None else oi.coins
            seen = item.seen(at)
            if seen:
                result.seen = True
                result.last += coins
            rank = (2 if counts else int(seen), coins)
            if rank > most:
                most = rank
                result.primary = item
            if counts:
                unreported = unreported or not reported.has_positions(at)
                self._count(result, item)
                item.linked_contracts = oi.contracts
                item.linked_coins = 0.0 if oi.contract_coins is None else oi.contract_coins
            else:
                item.linked_contracts = None
        if result is not None and unreported:  # sizes of a part are no base of the whole
            result.long_coins = result.short_coins = None
        return result

    @staticmethod
    def _report(result: VenueSample, item: Instrument, at: int) -> None:
        """Fresh positions add up; of the shares of a kind that of the instrument with most oi is the venue's."""
        reported = item.reported
        if reported.has_positions(at):
            result.long_coins = (0.0 if result.long_coins is None else result.long_coins) + reported.long_coins
            result.short_coins = (0.0 if result.short_coins is None else result.short_coins) + reported.short_coins
        coins = -1.0 if item.oi.coins is None else item.oi.coins
        for kind in KINDS:
            share = reported.share(kind, at)
            if share is None:
                continue
            if result.ratios is None:
                result.ratios = {}
            if kind not in result.ratios or coins > result.ratios[kind][0]:
                result.ratios[kind] = (coins, *share)

    @staticmethod
    def _count(result: VenueSample, item: Instrument) -> None:
        oi = item.oi
        assert oi.coins is not None
        assert oi.contracts is not None
        assert oi.confirmed_at is not None
        if result.oi is None:
            result.oi, result.oldest_oi = oi.coins, oi.confirmed_at
        else:
            result.oi += oi.coins
            result.oldest_oi = min(result.oldest_oi, oi.confirmed_at)
        if item.linked_contracts is not None:
            result.linked = True
            result.link_before += item.linked_contracts * item.linked_coins
            result.link_now += oi.contracts * item.linked_coins
