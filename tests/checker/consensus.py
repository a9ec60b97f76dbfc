"""Section 3 of docs/signal.md: one sample of one symbol."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from fractions import Fraction

from service.model import LongShort

from .books import STATES_BY_BADNESS, Book
from .streams import Market

CLIP_MADS = 5.0
RATE_MAD_FLOOR = 1e-5
TROUBLE_SHARE = 0.10


@dataclass
class Counted:
    """One counting instrument at a sample, for the chain link."""

    venue: str
    contracts: float
    contract_coins: float
    resized: int


@dataclass
class Sample:
    """One symbol at one sampled second. Without quorum the market values are None."""

    ts: int
    step_s: int
    quorum: bool
    price: float | None
    index: float | None
    funding_8h: float | None
    funding_spend: float | None
    funding_spread: float | None
    outlier_sign: int
    oi_coins: float | None
    ln_oi_index: float
    oi_receipts: int
    full_set: bool
    coverage: float
    freshness: float | None
    as_of: int | None
    trouble: list[str]
    venues_total: int
    fresh_oi: dict[str, float]  # venues of V, in venue order
    rates: dict[str, float]  # venues of V with a LIVE known rate, as said
    last_oi: dict[str, float]  # venues seen in 24 h
    counted: dict[tuple[str, str], Counted]
    taker: dict[str, tuple[float, float]] = field(default_factory=dict)  # coins bought and sold at venues of V
    liquidated: dict[str, tuple[float, float]] = field(default_factory=dict)  # coins of longs and shorts at them
    liquidation_at: int | None = None  # receipt of the last liquidation of the symbol, wherever it was
    has_positions: bool = False  # a venue has reported some
    positions: dict[str, tuple[float, float]] = field(default_factory=dict)  # fresh long and short coins by venue
    long_short: list[tuple[str, str, float, int]] = field(default_factory=list)  # venue, kind, share, receipt
    rates_used: dict[str, float] = field(default_factory=dict)  # the same as clipped


def take_sample(market: Market, symbol: str, ts: int, step_s: int, before: Sample | None) -> Sample:
    """The consensus of everything applied so far, as of ``ts``."""
    market.look_for_returns(ts)
    market.freeze(symbol, ts)
    counting: dict[str, list[Book]] = {}
    last_oi: dict[str, float] = {}
    for venue, instruments in market.books[symbol].items():
        books = list(instruments.values())
        live = [book for book in books if book.counts(ts) and not market.sides[venue].doubts]
        if live:
            counting[venue] = live
        for book in live:
            price_oi(market, book, before)
        seen = [book.coins() for book in books if book.seen(ts)]
        if seen:
            last_oi[venue] = sum(seen)
    top = {venue: largest(books) for venue, books in counting.items()}
    fresh_oi = {venue: sum(book.coins() for book in books) for venue, books in counting.items()}
    listing = market.venues_listing(symbol)
    min_venues = 1 if listing == 1 else market.settings.min_venues
    conflict = naming_conflict(market, symbol, ts)
    quorum = len(fresh_oi) >= min_venues and not conflict
    market.names[symbol].had_quorum |= quorum

    for book in market.of(symbol):
        note_history(book, ts, step_s)
    positions = positions_of(market, symbol, ts, counting)
    if positions and (step_s == 60 or ts % 10_000 == 0) and symbol not in market.has_positions:
        market.has_positions.append(symbol)
    counted = {
        (book.venue, book.instrument): Counted(book.venue, book.oi().contracts, book.contract_coins(), book.resized)
        for books in counting.values()
        for book in books
    }
    ln_oi_index = 0.0
    if before is not None and conflict:
        ln_oi_index = before.ln_oi_index
    elif before is not None:
        ln_oi_index = before.ln_oi_index + chain_link(before.counted, counted, min_venues)

    rates: dict[str, float] = {}
    for venue, book in top.items():
        rate = book.funding_rate_8h(ts)
        if rate is not None:
            rates[venue] = rate
    spread, outlier_sign = rate_spread(list(rates.values()))
    used = clipped(rates)
    indices = [index for index in (book.live_index(ts) for book in top.values()) if index is not None]
    all_last = sum(last_oi.values())

    taker = amounts(market, symbol, "taker")
    liquidated = amounts(market, symbol, "liquidated")
    for book in market.of(symbol):
        book.extras.sampled()
    receipts = market.oi_receipts[symbol]
    market.oi_receipts[symbol] = 0
    return Sample(
        ts=ts,
        step_s=step_s,
        quorum=quorum,
        price=statistics.median([book.mark() for book in top.values()]) if quorum else None,
        index=statistics.median(indices) if quorum and indices else None,
        funding_8h=weighted_rate(used, fresh_oi) if quorum else None,
        funding_spend=sum(fresh_oi[venue] * rate for venue, rate in used.items()) if quorum and rates else None,
        funding_spread=spread if quorum else None,
        outlier_sign=outlier_sign if quorum else 0,
        oi_coins=sum(fresh_oi.values()) if quorum else None,
        ln_oi_index=ln_oi_index,
        oi_receipts=receipts,
        full_set=all(venue in fresh_oi for venue in last_oi) and not market.unheard,
        coverage=sum(fresh_oi.values()) / all_last if all_last > 0 else 0.0,
        freshness=freshness(top, fresh_oi, ts) if quorum else None,
        as_of=oldest_input(counting, top, ts) if quorum else None,
        trouble=[
            *([f"naming_conflict:{','.join(conflict)}"] if conflict else []),
            *troubles(market, symbol, fresh_oi, last_oi, ts),
            *sides_changed(market, symbol, ts),
            *(f"unheard:{name}" for name in market.unheard),
        ],
        venues_total=listing,
        fresh_oi=fresh_oi,
        rates=rates,
        last_oi=last_oi,
        counted=counted,
        taker={venue: pair for venue, pair in taker.items() if venue in fresh_oi},
        liquidated={venue: pair for venue, pair in liquidated.items() if venue in fresh_oi},
        liquidation_at=market.liquidation_at.get(symbol),
        has_positions=symbol in market.has_positions,
        positions=positions,
        long_short=shares_of(market, symbol, ts),
        rates_used=used,
    )


def naming_conflict(market: Market, symbol: str, ts: int) -> list[str]:
    """The venues outside the first group while marks of different coins are about; none otherwise."""
    names = market.names[symbol]
    lasting_ms = market.settings.quarantine_s * 1000
    outside = disagreeing(market, symbol, ts)
    if outside:
        names.began_at = ts if names.began_at is None else names.began_at
        names.peace_at = None
        if names.outside or not names.had_quorum or ts - names.began_at >= lasting_ms:
            names.outside = outside
        return names.outside
    names.began_at = None
    if names.outside:
        names.peace_at = ts if names.peace_at is None else names.peace_at
        if ts - names.peace_at >= lasting_ms:
            names.outside, names.peace_at = [], None
    return names.outside


def disagreeing(market: Market, symbol: str, ts: int) -> list[str]:
    order = list(market.books[symbol])
    said: list[tuple[float, str]] = []
    for book in market.of(symbol):
        line = book.lines["mark"]
        if not book.trading or line.heard is None or line.heard_at is None:
            continue
        if book.frozen and not market.names[symbol].outside:
            continue
        if ts - line.heard_at <= book.rules.mark.max_age_ms:
            said.append((line.heard, book.venue))
    said.sort()
    parts: list[list[str]] = []
    for position, (mark, venue) in enumerate(said):
        if position == 0 or abs(said[position - 1][0] / mark - 1) > market.settings.quarantine_mark:
            parts.append([])
        parts[-1].append(venue)
    sides = [sorted(set(part), key=order.index) for part in parts]
    sides.sort(key=lambda side: (-len(side), [order.index(venue) for venue in side]))
    if len(sides) < 2:
        return []
    first = sides[0]
    # Of a venue of the first one, what is in a smaller one is another instrument of the same coin.
    sides = [side if len(side) == len(first) else [venue for venue in side if venue not in first] for side in sides]
    sides = sorted([side for side in sides if side], key=lambda side: -len(side))
    if len(sides) < 2:
        return []
    everyone = {venue for side in sides for venue in side}
    if len(sides[1]) >= 2 or (len(sides[0]) <= 2 and len(everyone) >= 3):
        return [venue for venue in order if any(venue in side for side in sides[1:])]
    return []


def price_oi(market: Market, book: Book, before: Sample | None) -> None:
    last = book.priced
    book.price_oi()
    received = book.lines["oi"].value
    assert received is not None
    if last is not None and book.priced != last and before is not None and received.recv_ts <= before.ts:
        market.note("priced:between")  # the mark has moved since the observation was last priced


def amounts(market: Market, symbol: str, stream: str) -> dict[str, tuple[float, float]]:
    """Coins of each venue since the sample before, over its trading instruments."""
    found = {}
    for venue, instruments in market.books[symbol].items():
        pairs = [getattr(book.extras, stream) for book in instruments.values() if book.trading]
        found[venue] = (sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs))
    return found


def note_history(book: Book, ts: int, step_s: int) -> None:
    """The first open interest accepted live after a back-filled one is not compared with it."""
    value = book.lines["oi"].value
    if value is None:
        return
    if step_s == 60:
        if value.recv_ts > ts - 60_000:
            book.history_until = ts
    elif book.history_until is not None and value.recv_ts > book.history_until:
        book.history_until = None
        book.resized += 1


def positions_of(
    market: Market, symbol: str, ts: int, counting: dict[str, list[Book]]
) -> dict[str, tuple[float, float]]:
    """Long and short coins of the venues with fresh positions: the sum over their trading instruments."""
    found: dict[str, tuple[float, float]] = {}
    partly = [
        venue
        for venue, books in counting.items()
        if any(book.extras.fresh_positions(ts) is None for book in books)  # sizes of a part are no base of the whole
    ]
    for book in market.of(symbol):
        if book.venue in partly:
            continue
        fresh = book.extras.fresh_positions(ts)
        if fresh is not None and book.trading:
            before = found.get(book.venue, (0.0, 0.0))
            found[book.venue] = (before[0] + fresh[0], before[1] + fresh[1])
    return found


def shares_of(market: Market, symbol: str, ts: int) -> list[tuple[str, str, float, int]]:
    """(venue, kind, long share, receipt): of a kind, what the venue's instrument with most last accepted OI says."""
    found = []
    for venue, instruments in market.books[symbol].items():
        by_kind: dict[str, list[tuple[float, str, LongShort]]] = {}
        for book in instruments.values():
            oi = book.coins() if book.lines["oi"].value is not None else 0.0
            for share in book.extras.fresh_shares(ts) if book.trading else []:
                by_kind.setdefault(share.kind, []).append((-oi, book.instrument, share))
        for kind, said in sorted(by_kind.items()):
            share = sorted(said, key=lambda row: row[:2])[0][2]
            found.append((venue, kind, share.long_share, share.recv_ts))
    return found


def largest(books: list[Book]) -> Book:
    """The instrument with most OI in coins; ties: first by instrument name."""
    return sorted(books, key=lambda book: (-book.coins(), book.instrument))[0]


def chain_link(before: dict[tuple[str, str], Counted], now: dict[tuple[str, str], Counted], min_venues: int) -> float:
    """ln of the change in OI over the instruments counting at both samples, at the former coins per contract."""
    new_sum, old_sum = 0.0, 0.0
    venues = []
    for key, counted in now.items():
        if key not in before or before[key].resized != counted.resized:
            continue
        new_sum += counted.contracts * before[key].contract_coins
        old_sum += before[key].contracts * before[key].contract_coins
        if counted.venue not in venues:
            venues.append(counted.venue)
    if len(venues) < min_venues or new_sum == 0.0 or old_sum == 0.0:
        return 0.0
    return math.log(new_sum / old_sum)


def clipped(rates: dict[str, float]) -> dict[str, float]:
    """From three venues on: to the plain median +/- 5 MAD, then the extremes to those next to them."""
    if len(rates) < 3:
        return dict(rates)
    median = statistics.median(rates.values())
    mad = statistics.median([abs(rate - median) for rate in rates.values()])
    reach = CLIP_MADS * max(mad, RATE_MAD_FLOOR)
    near = {venue: min(max(rate, median - reach), median + reach) for venue, rate in rates.items()}
    in_order = sorted(near.values())
    return {venue: min(max(rate, in_order[1]), in_order[-2]) for venue, rate in near.items()}


def weighted_rate(rates: dict[str, float], oi: dict[str, float]) -> float | None:
    """OI-weighted mean of the clipped rates."""
    weight = sum(oi[venue] for venue in rates)
    if not rates or weight == 0.0:
        return None
    return sum(oi[venue] * rate for venue, rate in rates.items()) / weight


def rate_spread(rates: list[float]) -> tuple[float | None, int]:
    """(max - min, sign of the outlier): the outlier is furthest from the median, ties first in venue order."""
    if len(rates) < 2:
        return None, 0
    exact = [Fraction(rate) for rate in rates]  # two rates always tie: rounding must not decide between them
    median = statistics.median(exact)
    outlier = exact[0]
    for rate in exact[1:]:
        if abs(rate - median) > abs(outlier - median):
            outlier = rate
    sign = 1 if outlier > median else -1 if outlier < median else 0
    return max(rates) - min(rates), sign


def freshness(top: dict[str, Book], oi: dict[str, float], ts: int) -> float:
    """min over the streams of exp(-OI-weighted mean age share)."""
    weight = sum(oi.values())
    factors = []
    for stream in ("mark", "funding", "oi"):
        shares = {venue: book.age_share(stream, ts) for venue, book in top.items()}
        if weight == 0.0:
            mean = sum(shares.values()) / len(shares)
        else:
            mean = sum(oi[venue] * share for venue, share in shares.items()) / weight
        factors.append(math.exp(-mean))
    return min(factors)


def oldest_input(counting: dict[str, list[Book]], top: dict[str, Book], ts: int) -> int:
    """Smallest confirmed_at of the marks, open interests and known LIVE rates that went in."""
    times = []
    for books in counting.values():
        times += [book.lines["oi"].confirmed_at for book in books]
    for book in top.values():
        times.append(book.lines["mark"].confirmed_at)
        if book.funding_rate_8h(ts) is not None:
            times.append(book.lines["funding"].confirmed_at)
    return min(time for time in times if time is not None)


def sides_changed(market: Market, symbol: str, ts: int) -> list[str]:
    """``oi_sides_changed:V`` for each venue with an instrument of the symbol that trades."""
    return [
        f"oi_sides_changed:{venue}"
        for venue, instruments in market.books[symbol].items()
        if market.sides[venue].changed(ts) and any(book.trading for book in instruments.values())
    ]


def troubles(market: Market, symbol: str, fresh_oi: dict[str, float], last_oi: dict[str, float], ts: int) -> list[str]:
    """``stale:V`` and the like for venues out of V that hold over 10 % of the last OI; ``oi_sides:V`` in its stead for
    one whose sides are in doubt, whatever it holds.
    """
    total = sum(last_oi.values())
    codes = []
    for venue, oi in last_oi.items():
        if market.sides[venue].doubts:
            codes.append(f"oi_sides:{venue}")
            continue
        if venue in fresh_oi or oi <= TROUBLE_SHARE * total:
            continue
        book = largest([book for book in market.books[symbol][venue].values() if book.seen(ts)])
        worse = max(book.state("mark", ts), book.state("oi", ts), key=STATES_BY_BADNESS.index)
        word = {"FROZEN": "frozen", "QUARANTINED": "quarantined"}.get(worse, "stale")
        codes.append(f"{word}:{venue}")
    return codes
