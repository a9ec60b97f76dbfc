"""Section 2 of docs/signal.md: what is refused, what is quarantined, what is LIVE."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

from msgspec import structs

from service.config import MarketSection
from service.model import (
    Confirm,
    Event,
    Extra,
    Flow,
    Funding,
    Liquidation,
    Listing,
    Mark,
    OiSides,
    OpenInterest,
    StreamRule,
    VenueRules,
)

from .books import DAY_MS, HOUR_MS, Book, Line, moved, refusal
from .sides import Sides

FUNDING_FLOOR, FUNDING_STEP = 1e-4, 10.0  # a rate beyond ten times the largest of what is known is not believed
FUNDING_TRUST_MS = 8 * HOUR_MS  # what was believed longer ago says nothing of a rate now
FUNDING_LIKE = 3.0  # two venues whose rates are within this factor say the same
FUNDING_DRIFT, FUNDING_LASTS_MS = 0.2, HOUR_MS // 2  # a lone rate that moves by so little for so long is believed
FUNDING_PAUSE_MS, FUNDING_GAP_MS = HOUR_MS // 4, HOUR_MS  # so much of a silence counts; a longer one begins anew
BASELINE_MS = HOUR_MS  # an accepted OI older than this is no baseline for the 20 % step
REFUSALS = ("future", "too_old", "out_of_order", "implausible")


class Names:
    """Whether the venues' marks of a symbol are of one coin."""

    def __init__(self) -> None:
        self.outside: list[str] = []  # venues of other groups than the first, while there is a conflict
        self.began_at: int | None = None
        self.peace_at: int | None = None
        self.had_quorum = False


class Market:
    """All books. ``books[symbol]`` is in venue order, then by the time an instrument was first heard of."""

    def __init__(self, symbols: Sequence[str], rules: Sequence[VenueRules], settings: MarketSection) -> None:
        self.symbols = list(symbols)
        self.rules = list(rules)
        self.settings = settings
        self.books: dict[str, dict[str, dict[str, Book]]] = {
            symbol: {rule.venue: {} for rule in rules} for symbol in symbols
        }
        self.names = {symbol: Names() for symbol in symbols}
        self.sides = {rule.venue: Sides(rule.oi_figure.sides) for rule in rules}
        self.filling = False  # what is applied now is of the back-filled past
        self.oi_receipts: dict[str, int] = dict.fromkeys(symbols, 0)  # accepted since the last sample
        self.unheard = [rule.venue for rule in rules]  # venues that have not said anything yet, of any symbol
        self.liquidation_at: dict[str, int] = {}  # symbol -> receipt of its last accepted liquidation
        self.has_positions: list[str] = []  # symbols of which a tick knew the positions of a venue
        self.codes: dict[str, int] = {}  # refusals, quarantines and the like, counted: did a case occur?
        self.refusals: dict[tuple[str, str], int] = {}  # the same by venue, of what section 2 calls refused

    def of(self, symbol: str) -> list[Book]:
        return [book for venue in self.books[symbol].values() for book in venue.values()]

    def others_median(self, symbol: str, venue: str, at: int) -> float | None:
        """Median of the LIVE marks of the other venues' instruments."""
        others = [book for book in self.of(symbol) if book.venue != venue and book.trading]
        marks = [book.mark() for book in others if book.state("mark", at) == "LIVE"]
        return statistics.median(marks) if marks else None

    def others_heard(self, symbol: str, venue: str, at: int) -> list[float]:
        """The latest marks of the other venues' trading instruments heard within max_age, believed or quarantined."""
        heard = []
        for book in self.of(symbol):
            line = book.lines["mark"]
            if book.venue == venue or not book.trading or line.heard is None or line.heard_at is None:
                continue
            if at - line.heard_at <= book.rules.mark.max_age_ms:
                heard.append(line.heard)
        return heard

    def apply(self, event: Event) -> str | None:
        if event.venue in self.unheard:
            self.unheard.remove(event.venue)
        code = self._apply(event)
        if code is not None:
            self.note(code)
            if isinstance(event, Confirm) and event.venue_ts is None:
                self.note("confirm:refused")
            if code in REFUSALS:
                self.refusals[event.venue, code] = self.refusals.get((event.venue, code), 0) + 1
        return code

    def note(self, code: str) -> None:
        self.codes[code] = self.codes.get(code, 0) + 1

    def _apply(self, event: Event) -> str | None:
        if isinstance(event, OiSides):
            return self._measured(event)
        if event.symbol not in self.books or event.venue not in self.books[event.symbol]:
            return None
        instruments = self.books[event.symbol][event.venue]
        if event.instrument not in instruments:
            rules = next(rule for rule in self.rules if rule.venue == event.venue)
            instruments[event.instrument] = Book(rules, event.instrument)
        book = instruments[event.instrument]
        if isinstance(event, Listing):
            if _list(book, event):
                self.sides[event.venue].restart(event.symbol, event.instrument)
            return None
        if isinstance(event, Confirm):
            return self._confirm(book, event)
        if isinstance(event, Extra):
            return self._extra(book, event)
        if isinstance(event, Mark) and event.mark is None:
            return _index_only(book, event)
        stream = "mark" if isinstance(event, Mark) else "funding" if isinstance(event, Funding) else "oi"
        line = book.lines[stream]
        code = refusal(event.venue_ts, event.recv_ts, book.rule(stream), line.last_venue_ts)
        line.refused = code
        if code is not None:
            return code
        if event.venue_ts is not None:
            line.last_venue_ts = event.venue_ts
        if isinstance(event, Mark):
            return self._mark(book, line, event)
        if isinstance(event, Funding):
            return self._funding(book, line, event)
        return self._oi(book, line, event)

    def _measured(self, event: OiSides) -> str | None:
        if event.venue not in self.sides:
            return None
        if not self.sides[event.venue].measured(event):
            return None
        for instruments in self.books.values():
            for book in instruments[event.venue].values():
                book.forget_oi()
        return "sides:changed"

    def _watch(self, book: Book, event: OpenInterest, last: float | None) -> None:
        """What an unrefused open interest, judged, says of the venue's sides; ``last``: the accepted one before it."""
        sides, at = self.sides[event.venue], event.recv_ts
        if self.filling:
            sides.restart(event.symbol, event.instrument)  # the past is dated late and held
            return
        before = list(sides.doubts)
        if last is not None and book.trading and sides.compares(event.symbol, event.instrument):
            sides.stands(event.symbol, event.instrument, event.contracts, last, at)
        if not book.lines["oi"].quarantined:
            sides.accepted(event)
        if sides.news:
            sides.judge_steps(self._believed(event.venue, at), at)
        for doubt in sides.doubts:
            if doubt not in before:
                self.note(f"sides:{doubt}")
        if before and not sides.doubts:
            self.note("sides:believed")

    def _believed(self, venue: str, at: int) -> list[tuple[str, str]]:
        """Trading instruments whose open interest was believed within a day."""
        found = []
        for symbol, venues in self.books.items():
            for name, book in venues[venue].items():
                line = book.lines["oi"]
                if not book.trading or line.distrusted or line.confirmed_at is None or line.value is None:
                    continue
                if at - line.confirmed_at <= DAY_MS:
                    found.append((symbol, name))
        return found

    def look_for_returns(self, ts: int) -> None:
        """At a sample: whether what stepped all at once is back."""
        for venue, sides in self.sides.items():
            back = set()
            for symbol, name in sides.levels:
                book = self.books[symbol][venue][name]
                value = book.lines["oi"].value
                if book.lines["oi"].distrusted or not isinstance(value, OpenInterest):
                    continue
                near = _within(value.contracts, sides.levels[symbol, name], self.settings.quarantine_oi_step)
                if near and book.state("oi", ts) == "LIVE":
                    back.add((symbol, name))
            before = list(sides.doubts)
            sides.judge_returns(back, ts)
            if before and not sides.doubts:
                self.note("sides:believed")

    def shift(self, delta_ms: int) -> None:
        """The clock is set anew: every receipt moves, so that no age changes (section 8)."""
        for symbol in self.symbols:
            names = self.names[symbol]
            names.began_at, names.peace_at = moved(names.began_at, delta_ms), moved(names.peace_at, delta_ms)
            for book in self.of(symbol):
                book.shift(delta_ms)
        for sides in self.sides.values():
            sides.shift(delta_ms)
        self.liquidation_at = {symbol: at + delta_ms for symbol, at in self.liquidation_at.items()}

    def _extra(self, book: Book, event: Extra) -> str | None:
        accepted = book.coins() if book.lines["oi"].value is not None else None
        code = book.extras.apply(event, accepted)
        if code is not None:
            return code
        if isinstance(event, Flow):
            self.sides[event.venue].traded(event, book.contract_coins())
        if isinstance(event, Liquidation):
            self.liquidation_at[event.symbol] = event.recv_ts
        return None

    def _released(self, line: Line, recv_ts: int, side: str = "", least_ms: int = 0) -> bool:
        """Count one agreeing observation; True when it ends the quarantine. Of another side it begins a count."""
        if side and side != line.side:
            line.agreeing, line.side = [], side
        line.agreeing.append(recv_ts)
        enough = len(line.agreeing) >= self.settings.quarantine_observations
        lasted = sum(min(after - before, FUNDING_PAUSE_MS) for before, after in pairwise(line.agreeing))
        return enough and recv_ts - line.agreeing[0] >= self.settings.quarantine_s * 1000 and lasted >= least_ms

    def _mark(self, book: Book, line: Line, event: Mark) -> str | None:
        assert event.mark is not None
        if book.state("mark", event.recv_ts) == "LIVE":
            median = self.others_median(event.symbol, event.venue, event.recv_ts)
        else:
            heard = self.others_heard(event.symbol, event.venue, event.recv_ts)
            if len(heard) > 1:
                heard.append(event.mark)
            median = statistics.median(heard) if heard else None
        if line.heard != event.mark:
            line.changed_at = event.recv_ts
            book.frozen, book.frozen_reference = False, None
        line.heard, line.heard_at = event.mark, event.recv_ts
        agrees = median is None or abs(event.mark / median - 1) <= self.settings.quarantine_mark
        if not agrees:
            line.quarantined, line.agreeing = True, []
            return "quarantined_mark"
        if line.quarantined and not self._released(line, event.recv_ts):
            return "quarantined_mark"
        line.accept(event)
        older = event.venue_ts is not None and book.index_venue_ts is not None and event.venue_ts < book.index_venue_ts
        # What came with a quarantined mark is no more trusted than the mark.
        if event.index is not None and not older:
            book.index, book.index_at, book.index_with_mark = event.index, event.recv_ts, True
            if event.venue_ts is not None:
                book.index_venue_ts = event.venue_ts
        return None

    def _funding(self, book: Book, line: Line, event: Funding) -> str | None:
        """``event``: said, or repeated by a Confirm, at its receipt."""
        at, rate_8h = event.recv_ts, event.rate_8h
        possible = rate_8h is None or abs(rate_8h) <= book.rules.funding_cap_8h
        backed = rate_8h is not None and possible and self._backed(event.symbol, event.venue, rate_8h, at)
        near_limits = rate_8h is None or self._plausible(book, line, event, rate_8h)
        lasting = False
        if not near_limits and possible and not self._live_rates(event.symbol, event.venue, at):
            said = line.doubted
            before = None if said is None or at - said.recv_ts > FUNDING_GAP_MS else said.rate_8h
            lasting = before is not None and rate_8h is not None and _within(rate_8h, before, FUNDING_DRIFT)
        if backed and line.quarantined:
            self.note("funding:backed")
        if not backed:
            if not near_limits and not lasting:
                line.quarantined, line.agreeing, line.doubted = True, [], event
                return "quarantined_funding"
            side = "near" if near_limits else "far"
            if line.quarantined and not self._released(line, at, side, 0 if near_limits else FUNDING_LASTS_MS):
                line.doubted = event
                return "quarantined_funding"
            if lasting:
                self.note("funding:lasting")
        line.accept(event)
        if rate_8h is not None and abs(rate_8h) > FUNDING_STEP * FUNDING_FLOOR:
            self._release_like(event, rate_8h, at)
        return None

    def _release_like(self, event: Funding, rate_8h: float, at: int) -> None:
        """What others said before, in quarantine, and that is about the believed ``rate_8h``, is asked about again."""
        for book in self.of(event.symbol):
            doubted, said = book.lines["funding"].doubted, book.said_rate_8h(at)
            if book.venue == event.venue or not book.trading or doubted is None or said is None:
                continue
            alike = said * rate_8h > 0 and max(said / rate_8h, rate_8h / said) <= FUNDING_LIKE
            if alike and self._backed(event.symbol, book.venue, said, at):
                book.lines["funding"].accept(doubted)

    def _live_rates(self, symbol: str, venue: str, at: int) -> list[float]:
        others = [book for book in self.of(symbol) if book.venue != venue and book.trading]
        return [abs(rate) for book in others if (rate := book.funding_rate_8h(at)) is not None]

    def _backed(self, symbol: str, venue: str, rate_8h: float, at: int) -> bool:
        """Of a large rate: more exchanges say about the same (its own included) than believably say a tenth or less."""
        if abs(rate_8h) <= FUNDING_STEP * FUNDING_FLOOR:
            return False
        like: set[str] = set()
        against: set[str] = set()
        (own,) = [rule.exchange for rule in self.rules if rule.venue == venue]
        for book in self.of(symbol):
            exchange = book.rules.exchange
            if exchange == own or not book.trading:
                continue
            said, live = book.said_rate_8h(at), book.funding_rate_8h(at)
            if said is not None and said * rate_8h > 0:
                small, large = min(abs(said), abs(rate_8h)), max(abs(said), abs(rate_8h))
                if large <= FUNDING_LIKE * small:
                    like.add(exchange)
            if live is not None and abs(rate_8h) > FUNDING_STEP * max(FUNDING_FLOOR, abs(live)):
                against.add(exchange)
        return bool(like) and len(like) + 1 > len(against - like)

    def _plausible(self, book: Book, line: Line, event: Funding, rate_8h: float) -> bool:
        """Within the cap, and within ten times of what it was itself, or of what another venue believably says."""
        size = abs(rate_8h)
        last = line.value.rate_8h if isinstance(line.value, Funding) else None
        if line.confirmed_at is not None and event.recv_ts - line.confirmed_at > FUNDING_TRUST_MS:
            last = None
        rates = self._live_rates(event.symbol, event.venue, event.recv_ts)
        own = [] if last is None else [abs(last)]
        if size > book.rules.funding_cap_8h:
            return False
        if not own and not rates:
            self.note("funding:alone" if size > FUNDING_STEP * FUNDING_FLOOR else "funding:first")
            return True  # nothing to compare with
        if size > FUNDING_STEP * max([FUNDING_FLOOR, *own, *rates]):
            return False
        if size > FUNDING_STEP * max([FUNDING_FLOOR, *own]):
            self.note("funding:others")
        elif size > FUNDING_STEP * max([FUNDING_FLOOR, *rates]):
            self.note("funding:own")
        return True

    def _confirm(self, book: Book, event: Confirm) -> str | None:
        """Vouches for what the venue said last: for a quarantined stream that is not the accepted value."""
        worst = None
        for stream in event.streams:
            line = book.lines[stream]
            if (line.value is None or line.distrusted) and not line.quarantined:
                continue
            code = refusal(event.venue_ts, event.recv_ts, book.rule(stream), line.last_venue_ts)
            if event.venue_ts is None or line.refused in ("future", "too_old"):
                code = line.refused  # "unchanged" since something that was not taken
            if code is not None:
                worst = code
                continue
            if event.venue_ts is not None:
                line.last_venue_ts = event.venue_ts
            if line.heard is not None:
                line.heard_at = event.recv_ts
            if not line.quarantined and not line.distrusted:
                line.confirmed_at = event.recv_ts
            if stream == "mark" and book.index_with_mark:
                book.index_at = event.recv_ts
            if stream == "funding" and line.doubted is not None:  # it says again what is not believed yet
                self._funding(book, line, structs.replace(line.doubted, recv_ts=event.recv_ts))
        return worst

    def _oi(self, book: Book, line: Line, event: OpenInterest) -> str | None:
        book.sent_oi = True
        value, last = line.value, None
        if isinstance(value, OpenInterest) and not line.distrusted:
            last = value.contracts
        code = self._judge_oi(book, line, event)
        self._watch(book, event, last)
        return code

    def _judge_oi(self, book: Book, line: Line, event: OpenInterest) -> str | None:
        step, factor = self.settings.quarantine_oi_step, self.settings.implausible_oi_factor
        contracts, resized = event.contracts, line.distrusted
        near_last, baseline, unit_error = False, False, False
        if line.value is not None and line.confirmed_at is not None and not line.distrusted:
            last = book.oi().contracts
            age = event.recv_ts - line.confirmed_at
            near_last = _within(contracts, last, step)
            baseline = age < BASELINE_MS
            unit_error = age < DAY_MS and (contracts > last * factor or contracts * factor < last)
        if not line.quarantined:
            if unit_error or (baseline and not near_last):
                line.quarantined, line.first_contracts, line.agreeing = True, contracts, []
                return "quarantined_oi"
        else:
            near_first = _within(contracts, line.first_contracts, step) and not unit_error
            if not near_last and not near_first:
                line.first_contracts, line.agreeing = contracts, []
                return "quarantined_oi"
            stays = near_last if line.side == "old" else near_first
            if line.agreeing == [] or not stays:
                line.agreeing, line.side = [], "old" if near_last else "new"
            if not self._released(line, event.recv_ts):
                return "quarantined_oi"
        line.accept(event)
        if not event.derived or resized:
            book.priced = None  # the observation's own values, until it counts
        if book.trading:
            self.oi_receipts[event.symbol] += 1
        return None

    def venues_listing(self, symbol: str) -> int:
        """Configured venues that list the symbol, by metadata or by having sent its open interest."""
        count = 0
        for instruments in self.books[symbol].values():
            if any(book.trading and (book.listed or book.sent_oi) for book in instruments.values()):
                count += 1
        return count + len(self.unheard)

    def freeze(self, symbol: str, at: int) -> None:
        """At a sample: note the others' median after a change, and find marks that stood still while others moved."""
        books = self.of(symbol)
        medians = [self.others_median(symbol, book.venue, at) for book in books]
        for book, median in zip(books, medians, strict=True):
            changed_at = book.lines["mark"].changed_at
            if changed_at is None or median is None:
                continue
            if book.frozen_reference is None:
                book.frozen_reference = median
            moved = abs(math.log(median / book.frozen_reference)) > self.settings.frozen_move
            if at - changed_at >= self.settings.frozen_s * 1000 and moved:
                book.frozen = True


def _within(contracts: float, reference: float, step: float) -> bool:
    if reference == 0.0:
        return contracts == 0.0
    return abs(contracts / reference - 1) <= step


def _list(book: Book, event: Listing) -> bool:
    """True where the contract size has changed."""
    book.listed = True
    book.inverse = event.inverse
    book.trading = event.trading
    before = book.contract_size
    resized = before is not None and event.contract_size is not None and before != event.contract_size
    if resized:
        book.forget_oi()
    if event.contract_size is not None:
        book.contract_size = event.contract_size
    return resized


def _index_only(book: Book, event: Mark) -> str | None:
    """Index prices have an order of venue timestamps of their own: they may come on another channel than the mark."""
    assert event.index is not None
    rule = StreamRule(max_age_ms=book.rules.index_max_age_ms, stamp=book.rules.mark.stamp)
    code = refusal(event.venue_ts, event.recv_ts, rule, book.index_venue_ts)
    if code is not None:
        return code
    if event.venue_ts is not None:
        book.index_venue_ts = event.venue_ts
    book.index, book.index_at, book.index_with_mark = event.index, event.recv_ts, False
    return None
