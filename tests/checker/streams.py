"""Section 2 of docs/signal.md: what is refused, what is quarantined, what is LIVE. One :class:`Book` per instrument."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from service.config import MarketSection
from service.model import Confirm, Event, Funding, Listing, Mark, OpenInterest, StreamRule, VenueRules

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
FUTURE_MS = 2000
BASELINE_MS = HOUR_MS  # an accepted OI older than this is no baseline for the 20 % step
STATES_BY_BADNESS = ("LIVE", "NEVER", "STALE", "FROZEN", "QUARANTINED")


class Line:
    """One (venue, instrument, stream): its last accepted value and what is needed to judge the next one."""

    def __init__(self) -> None:
        self.value: Mark | Funding | OpenInterest | None = None
        self.confirmed_at: int | None = None
        self.changed_at: int | None = None
        self.last_venue_ts: int | None = None
        self.quarantined = False
        self.distrusted = False  # oi: the contract size has changed since; the next observation is a first value
        self.first_contracts = 0.0  # oi: the value the quarantined observations must agree with
        self.side = ""  # oi: whether they agree with the "old" level or with the "new"
        self.agreeing: list[int] = []  # receipts of the consecutive agreeing observations

        self.heard: float | None = None  # mark: the latest unrefused one, believed or not
        self.heard_at: int | None = None

    def accept(self, value: Mark | Funding | OpenInterest) -> None:
        self.value = value
        self.confirmed_at = value.recv_ts
        self.quarantined = False
        self.distrusted = False
        self.agreeing = []


class Book:
    """One instrument of one venue."""

    def __init__(self, rules: VenueRules, instrument: str) -> None:
        self.rules = rules
        self.venue = rules.venue
        self.instrument = instrument
        self.lines: dict[str, Line] = {"mark": Line(), "funding": Line(), "oi": Line()}
        self.listed = False  # metadata said so
        self.sent_oi = False
        self.trading = True
        self.contract_size: float | None = None
        self.resized = 0  # contract size changes so far; contracts of different sizes are not compared
        self.index: float | None = None
        self.index_at: int | None = None
        self.index_venue_ts: int | None = None
        self.frozen = False
        self.frozen_reference: float | None = None  # others' median at the first sample after the mark last changed

    def rule(self, stream: str) -> StreamRule:
        return {"mark": self.rules.mark, "funding": self.rules.funding, "oi": self.rules.oi}[stream]

    def state(self, stream: str, at: int) -> str:
        line = self.lines[stream]
        if line.quarantined:
            return "QUARANTINED"
        if line.value is None or line.confirmed_at is None or line.distrusted:
            return "NEVER"
        if at - line.confirmed_at > self.rule(stream).max_age_ms:
            return "STALE"
        if stream == "mark" and self.frozen:
            return "FROZEN"
        return "LIVE"

    def counts(self, at: int) -> bool:
        """Whether the instrument is part of the consensus."""
        return self.trading and self.state("mark", at) == "LIVE" and self.state("oi", at) == "LIVE"

    def mark(self) -> float:
        value = self.lines["mark"].value
        assert isinstance(value, Mark)
        assert value.mark is not None
        return value.mark

    def oi(self) -> OpenInterest:
        value = self.lines["oi"].value
        assert isinstance(value, OpenInterest)
        return value

    def funding_rate_8h(self, at: int) -> float | None:
        """The LIVE rate, None when not LIVE or of unknown interval."""
        value = self.lines["funding"].value
        if self.state("funding", at) != "LIVE":
            return None
        assert isinstance(value, Funding)
        return value.rate_8h

    def live_index(self, at: int) -> float | None:
        if self.index is None or self.index_at is None or at - self.index_at > self.rules.index_max_age_ms:
            return None
        return self.index

    def age_share(self, stream: str, at: int) -> float:
        """min(age / max_age, 1); a stream that is not LIVE counts 1."""
        confirmed_at = self.lines[stream].confirmed_at
        if self.state(stream, at) != "LIVE" or confirmed_at is None:
            return 1.0
        return min((at - confirmed_at) / self.rule(stream).max_age_ms, 1.0)

    def seen(self, at: int) -> bool:
        """Its oi was confirmed within 24 h and it is not delisted."""
        line = self.lines["oi"]
        if not self.trading or line.value is None or line.confirmed_at is None:
            return False
        return at - line.confirmed_at <= DAY_MS


class Market:
    """All books. ``books[symbol]`` is in venue order, then by the time an instrument was first heard of."""

    def __init__(self, symbols: Sequence[str], rules: Sequence[VenueRules], settings: MarketSection) -> None:
        self.symbols = list(symbols)
        self.rules = list(rules)
        self.settings = settings
        self.books: dict[str, dict[str, dict[str, Book]]] = {
            symbol: {rule.venue: {} for rule in rules} for symbol in symbols
        }
        self.oi_receipts: dict[str, int] = dict.fromkeys(symbols, 0)  # accepted since the last sample
        self.unheard = [rule.venue for rule in rules]  # venues that have not said anything yet, of any symbol
        self.codes: dict[str, int] = {}  # refusals and quarantines, counted: tests ask whether a case occurred

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
            self.codes[code] = self.codes.get(code, 0) + 1
        return code

    def _apply(self, event: Event) -> str | None:
        if event.symbol not in self.books or event.venue not in self.books[event.symbol]:
            return None
        instruments = self.books[event.symbol][event.venue]
        if event.instrument not in instruments:
            rules = next(rule for rule in self.rules if rule.venue == event.venue)
            instruments[event.instrument] = Book(rules, event.instrument)
        book = instruments[event.instrument]
        if isinstance(event, Listing):
            _list(book, event)
            return None
        if isinstance(event, Confirm):
            return _confirm(book, event)
        if isinstance(event, Mark) and event.mark is None:
            return _index_only(book, event)
        stream = "mark" if isinstance(event, Mark) else "funding" if isinstance(event, Funding) else "oi"
        line = book.lines[stream]
        code = refusal(event.venue_ts, event.recv_ts, book.rule(stream), line.last_venue_ts)
        if code is not None:
            return code
        if event.venue_ts is not None:
            line.last_venue_ts = event.venue_ts
        if isinstance(event, Mark):
            return self._mark(book, line, event)
        if isinstance(event, Funding):
            return self._funding(book, line, event)
        return self._oi(book, line, event)

    def _released(self, line: Line, recv_ts: int) -> bool:
        """Count one agreeing observation; True when it ends the quarantine."""
        line.agreeing.append(recv_ts)
        enough = len(line.agreeing) >= self.settings.quarantine_observations
        return enough and recv_ts - line.agreeing[0] >= self.settings.quarantine_s * 1000

    def _mark(self, book: Book, line: Line, event: Mark) -> str | None:
        assert event.mark is not None
        if event.index is not None:
            book.index, book.index_at = event.index, event.recv_ts
        if book.state("mark", event.recv_ts) == "LIVE":
            median = self.others_median(event.symbol, event.venue, event.recv_ts)
        else:
            heard = self.others_heard(event.symbol, event.venue, event.recv_ts)
            if len(heard) > 1:
                heard.append(event.mark)
            median = statistics.median(heard) if heard else None
        line.heard, line.heard_at = event.mark, event.recv_ts
        agrees = median is None or abs(event.mark / median - 1) <= self.settings.quarantine_mark
        if not agrees:
            line.quarantined, line.agreeing = True, []
            return "quarantined_mark"
        if line.quarantined and not self._released(line, event.recv_ts):
            return "quarantined_mark"
        if line.value is None or book.mark() != event.mark:
            line.changed_at = event.recv_ts
            book.frozen, book.frozen_reference = False, None
        line.accept(event)
        return None

    def _funding(self, book: Book, line: Line, event: Funding) -> str | None:
        agrees = event.rate_8h is None or abs(event.rate_8h) <= book.rules.funding_cap_8h
        if not agrees:
            line.quarantined, line.agreeing = True, []
            return "quarantined_funding"
        if line.quarantined and not self._released(line, event.recv_ts):
            return "quarantined_funding"
        line.accept(event)
        return None

    def _oi(self, book: Book, line: Line, event: OpenInterest) -> str | None:
        book.sent_oi = True
        step, factor = self.settings.quarantine_oi_step, self.settings.implausible_oi_factor
        contracts = event.contracts
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


def refusal(venue_ts: int | None, recv_ts: int, rule: StreamRule, last_venue_ts: int | None) -> str | None:
    """Why an observation is not taken at all, or None."""
    if venue_ts is None:
        return None
    if venue_ts > recv_ts + FUTURE_MS:
        return "future"
    if rule.stamp == "send" and recv_ts - venue_ts > rule.max_age_ms:
        return "too_old"
    if last_venue_ts is not None and venue_ts < last_venue_ts:
        return "out_of_order"
    return None


def _within(contracts: float, reference: float, step: float) -> bool:
    if reference == 0.0:
        return contracts == 0.0
    return abs(contracts / reference - 1) <= step


def _list(book: Book, event: Listing) -> None:
    book.listed = True
    book.trading = event.trading
    before = book.contract_size
    if before is not None and event.contract_size is not None and before != event.contract_size:
        line = book.lines["oi"]
        line.distrusted, line.quarantined, line.agreeing = True, False, []
        book.resized += 1
    if event.contract_size is not None:
        book.contract_size = event.contract_size


def _confirm(book: Book, event: Confirm) -> str | None:
    """Vouches for what the venue said last: for a quarantined stream that is not the accepted value."""
    worst = None
    for stream in event.streams:
        line = book.lines[stream]
        if line.value is None and not line.quarantined:
            continue
        code = refusal(event.venue_ts, event.recv_ts, book.rule(stream), line.last_venue_ts)
        if code is not None:
            worst = code
            continue
        if event.venue_ts is not None:
            line.last_venue_ts = event.venue_ts
        if line.heard is not None:
            line.heard_at = event.recv_ts
        if not line.quarantined and not line.distrusted:
            line.confirmed_at = event.recv_ts
        if stream == "mark" and book.index is not None:
            book.index_at = event.recv_ts
    return worst


def _index_only(book: Book, event: Mark) -> str | None:
    """Has its own order of venue timestamps: it may come on another channel than the mark."""
    assert event.index is not None
    rule = StreamRule(max_age_ms=book.rules.index_max_age_ms, stamp=book.rules.mark.stamp)
    code = refusal(event.venue_ts, event.recv_ts, rule, book.index_venue_ts)
    if code is not None:
        return code
    if event.venue_ts is not None:
        book.index_venue_ts = event.venue_ts
    book.index, book.index_at = event.index, event.recv_ts
    return None
