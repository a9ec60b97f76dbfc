"""The share of known open interest that our venues hold, symbol by symbol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from service.coverage.coingecko import Listed, Ticker
from service.coverage.markets import Market, market_of, venue_of
from service.model import Consensus
from service.statistics import fold
from service.venues.sides import measure

STALE_MS = 86_400_000  # an older list says nothing any more
PRICE_WITHIN = 0.05  # of ours: a stock, or another coin, under the same ticker is further away
CHECK_WITHIN_MS = 900_000  # the list's prices are compared with ours of about the same time
DAYS_OF_VOLUME = 10.0  # a larger open interest than its own volume of so many days is doubtful
LEAST_OF_LAST = 0.5  # a list with fewer of the markets than that, or of a symbol's open interest, is not whole


@dataclass(slots=True)
class _Stated:
    """What the list says of one market, or of one venue of ours in it."""

    market: str
    known: Market
    usd: float = 0.0
    volume_usd: float = 0.0
    volume_known: bool = True
    instruments: int = 0

    def add(self, oi_usd: float, volume_usd: float | None) -> None:
        self.usd += oi_usd
        self.instruments += 1
        self.volume_usd += volume_usd or 0.0
        self.volume_known &= volume_usd is not None

    @property
    def doubtful(self) -> bool:
        """Nobody audits these figures, and some are many times what is traded."""
        return self.volume_known and self.usd > DAYS_OF_VOLUME * self.volume_usd

    def one_side(self) -> float:
        """Halved where the venue documents that it counts both; anything else as it is stated."""
        return self.usd / 2 if (self.known.sides, self.known.basis) == (2, "documented") else self.usd

    def least(self) -> float:
        """At least that much on one side: half of it where one side is not taken to be meant, nothing if doubtful."""
        if self.doubtful:
            return 0.0
        return self.usd if self.known.sides == 1 else self.usd / 2

    def plain(self, scale: float) -> dict[str, Any]:
        """``scale``: our price of now over that at which the list's dollars are coins."""
        return {
            "market": self.market,
            "oi_usd": scale * self.one_side(),
            "stated_oi_usd": self.usd,
            "instruments": self.instruments,
            "sides": self.known.sides,
            "basis": self.known.basis,
            "volume_24h_usd": self.volume_usd if self.volume_known else None,
            "doubtful": self.doubtful,
        }


@dataclass(slots=True)
class _Checked:
    """One symbol's tickers after the comparison of prices: ``ours`` by venue, the others by market. ``price``: ours at
    that moment, at which the list's dollars are coins. ``refused``: why there is no share, though there are figures."""

    price: float
    ours: dict[str, _Stated] = field(default_factory=dict)
    others: dict[str, _Stated] = field(default_factory=dict)
    silent: dict[str, None] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    refused: str | None = None
    others_usd: float = 0.0  # the sums over ``others``, kept because every scrape asks for every symbol
    least_usd: float = 0.0
    mispriced_usd: float = 0.0  # of the others whose price is not ours

    def unread(self, held: Iterable[_Held]) -> list[_Stated]:
        """Venues of ours that we do not read, or that have told us nothing yet: of these the list's figure counts."""
        told = {item.venue for item in held if item.usd > 0.0}
        return [stated for venue, stated in self.ours.items() if venue not in told]


class _Held(NamedTuple):
    """Our own figure of a venue of ours: one side, in USD. Not fresh: as it was last accepted. ``silent_usd``: last
    accepted of those instruments of a fresh venue that are not."""

    venue: str
    fresh: bool
    usd: float
    silent_usd: float


class _Sums(NamedTuple):
    """``others`` and what follows from it: None where the list names no other venue."""

    ours: float
    not_fresh: float
    others: float | None
    share: float | None
    share_most: float | None


class KnownShare:
    """Keeps the last good list. A symbol's tickers are compared with our price once, when there is one; from then on
    the list's figures are coins at that price, as ours are: a price that moves moves both.

    ``wanted``: somebody asks for the list; else every share is null because it is off.
    """

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self.listed: Listed | None = None
        self._checked: dict[str, _Checked] = {}
        self._others: dict[
            str, tuple[float, int]
        ] = {}  # by symbol, coins of the others in the last good list, its time

    def take(self, listed: Listed) -> bool:
        """The new list in force; False where it has lost half of the markets of the last one, which then stays."""
        last = self.listed
        if last is not None and listed.as_of - last.as_of <= STALE_MS and listed.markets < LEAST_OF_LAST * last.markets:
            return False
        self.listed = listed
        self._checked.clear()
        return True

    def reanchor(self, shift_ms: int) -> None:
        """The wall clock was stepped: the list is as old as it was."""
        if self.listed is not None:
            self.listed = replace(self.listed, as_of=self.listed.as_of + shift_ms)

    def stale(self, now_ms: int) -> bool:
        return self.listed is not None and now_ms - self.listed.as_of > STALE_MS

    def shares(self, sample: Consensus, now_ms: int) -> tuple[float | None, float | None]:
        """The share and the most that it may be: what every scrape asks for."""
        checked = self._checked_of(sample, now_ms)
        if checked is None or sample.price is None:
            return None, None
        sums = _sums(_held(sample, sample.price), checked, sample.price)
        return sums.share, sums.share_most

    def of(self, sample: Consensus, now_ms: int) -> dict[str, Any]:
        """One symbol of ``/v1/coverage`` (docs/coverage.md). ``share`` is null with the ``reason``, never a guess."""
        price = sample.price if sample.quorum else None
        held = [] if price is None else _held(sample, price)
        checked = self._checked_of(sample, now_ms)
        sums = _sums(held, checked, price)
        others = [] if checked is None else [*checked.others.values(), *checked.unread(held)]
        scale = 1.0 if checked is None or price is None else price / checked.price
        return {
            "symbol": sample.symbol,
            "ts": sample.ts,
            "share": sums.share,
            "share_most": sums.share_most,
            "reason": None if sums.share is not None else self._why_null(sample, now_ms, checked),
            "ours_oi_usd": None if price is None else sums.ours,
            "not_fresh_oi_usd": None if price is None else sums.not_fresh,
            "others_oi_usd": sums.others,
            "ours": [_beside(item, None if checked is None else checked.ours.get(item.venue), scale) for item in held],
            "others": [item.plain(scale) for item in sorted(others, key=lambda stated: (-stated.usd, stated.market))],
            "without_figure": [] if checked is None else sorted(checked.silent),
            "left_out": {} if checked is None else checked.left_out,
        }

    def measured_sides(self, samples: Iterable[Consensus], now_ms: int) -> dict[str, dict[str, Any]]:
        """By venue of ours, what the list's figure is of our one-sided one: which sides the list takes.

        The same measure as of the venues' own figures (service.venues.sides): three symbols at least, 90 % of them
        alike.
        """
        pairs: dict[str, list[tuple[float, float]]] = {}
        for sample in samples:
            checked = self._checked_of(sample, now_ms)
            if checked is None or sample.price is None:
                continue
            for item in _held(sample, sample.price):
                stated = checked.ours.get(item.venue)
                if stated is not None and item.fresh and item.usd > 0.0:
                    scale = sample.price / checked.price
                    pairs.setdefault(item.venue, []).append((stated.usd * scale, item.usd + item.silent_usd))
        found = {venue: measure(figures) for venue, figures in pairs.items()}
        return {
            venue: {"sides": result[0], "ratio": result[1], "symbols": result[2], "agreeing": result[3]}
            for venue, result in found.items()
            if result is not None
        }

    def _why_null(self, sample: Consensus, now_ms: int, checked: _Checked | None) -> str:
        if checked is not None:
            return checked.refused or "no_other_venue"
        if self.listed is None:
            return "no_answer" if self.wanted else "off"
        if self.stale(now_ms):
            return "stale"
        return "unchecked" if sample.quorum else "no_data"

    def _checked_of(self, sample: Consensus, now_ms: int) -> _Checked | None:
        """None without a list, or a price, or where the list came too long before there was a price to compare with."""
        listed, symbol = self.listed, sample.symbol
        if listed is None or self.stale(now_ms) or not sample.quorum or sample.price is None:
            return None
        if symbol not in self._checked and now_ms - listed.as_of <= CHECK_WITHIN_MS:
            tickers = listed.tickers.get(symbol, ())
            found = _judged(tickers, sample.price, listed.left_out.get(symbol, {}))
            self._checked[symbol] = found
            coins, at = self._others.get(symbol, (0.0, 0))
            lost = listed.as_of - at <= STALE_MS and found.others_usd / sample.price < LEAST_OF_LAST * coins
            if found.refused is None and lost:
                found.refused = "not_whole"
            if found.refused is None:
                self._others[symbol] = (found.others_usd / sample.price, listed.as_of)
        return self._checked.get(symbol)


def _judged(tickers: Sequence[Ticker], price: float, left_out: Mapping[str, int]) -> _Checked:
    found = _Checked(price, left_out=dict(left_out))
    for ticker in tickers:
        known = market_of(ticker.market)
        if known is None:
            reason = f"unclear_market:{ticker.market}"
        elif not any(abs(theirs / price - 1) <= PRICE_WITHIN for theirs in ticker.prices):
            reason = "price"
            if venue_of(known, ticker.instrument) is None:
                found.mispriced_usd += ticker.oi_usd or 0.0  # in the order of the list
        elif ticker.oi_usd is None:
            found.silent[ticker.market] = None
            continue
        else:
            venue = venue_of(known, ticker.instrument)
            group = found.others if venue is None else found.ours
            stated = group.setdefault(venue or ticker.market, _Stated(ticker.market, known))
            if stated.market == ticker.market:
                stated.add(ticker.oi_usd, ticker.volume_usd)
                continue
            reason = "repeated"  # one venue of ours under two names
        found.left_out[reason] = found.left_out.get(reason, 0) + 1
    found.others_usd = fold(stated.one_side() for stated in found.others.values())
    found.least_usd = fold(stated.least() for stated in found.others.values())
    if found.mispriced_usd > found.others_usd:
        found.refused = "unchecked"  # the market has moved between the list and us, or most is another asset
    elif len(found.silent) > len(found.others):
        found.refused = "little_known"
    return found


def _held(sample: Consensus, price: float) -> list[_Held]:
    held = []
    for view in sample.venues:
        coins = (view.oi_coins or 0.0) if view.fresh else view.oi_coins_last
        silent = max(view.oi_coins_last - coins, 0.0) if view.fresh else 0.0
        held.append(_Held(view.venue, view.fresh, price * coins, price * silent))
    return held


def _sums(held: Sequence[_Held], checked: _Checked | None, price: float | None) -> _Sums:
    ours = fold(item.usd for item in held if item.fresh)
    not_fresh = fold(item.silent_usd if item.fresh else item.usd for item in held)
    unread = [] if checked is None else checked.unread(held)
    if checked is None or price is None or not (checked.others or unread):
        return _Sums(ours, not_fresh, None, None, None)
    scale = price / checked.price
    others = scale * fold((checked.others_usd, *(stated.one_side() for stated in unread)))
    least = scale * fold((checked.least_usd, *(stated.least() for stated in unread)))
    if checked.refused is not None:
        return _Sums(ours, not_fresh, others, None, None)
    return _Sums(ours, not_fresh, others, ours / (ours + not_fresh + others), ours / (ours + not_fresh + least))


def _beside(item: _Held, stated: _Stated | None, scale: float) -> dict[str, Any]:
    """Our figure, and what the list states of the same venue: a ratio of about 2 would mean that it counts both sides
    there."""
    told = None if stated is None or item.usd <= 0.0 else stated.usd
    ratio = scale * told / (item.usd + item.silent_usd) if told is not None and item.fresh else None
    return {"venue": item.venue, "fresh": item.fresh, "oi_usd": item.usd, "stated_oi_usd": told, "ratio": ratio}
