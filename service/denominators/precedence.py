"""Which figure counts: precedence of sources, doubt about sudden steps, and sets of exchanges that must not shrink.

* The operator's file covers what it names for good. Otherwise the first source in precedence that ever delivered a
  symbol's figure keeps it: when it dies its figure ages, because two sources' bases differ in level and mixing them
  would read as a change of leverage. Only a source of higher precedence takes over.
* An exchange missing from an answer keeps its last figure (and ages the whole item): a partial sum would read as
  leverage.
* A figure a factor of three away from the last is believed after three polls that agree with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from service.denominators.contract import Figure, Kind, Source
from service.model import Denominator

STEP_FACTOR = 3.0
AGREE_FACTOR = 1.2
AGREEING_POLLS = 3

_Key = tuple[Kind, str, str]  # kind, symbol, exchange


def kinds_of(item: Denominator) -> list[tuple[str, Kind]]:
    """What an item carries, as (symbol, kind)."""
    found: list[tuple[str, Kind]] = []
    if item.reserves:
        found.append((item.symbol, "reserve"))
    if item.supply is not None:
        found.append((item.symbol, "supply"))
    return found


class Precedence:
    """``sources`` in order of precedence; ``fixed``: what the operator's file covers."""

    def __init__(self, sources: Sequence[Source], fixed: Iterable[tuple[str, Kind]] = ()) -> None:
        self._sources = {source.name: source for source in sources}
        self._rank = {source.name: rank for rank, source in enumerate(sources)}
        self._fixed = frozenset(fixed)
        self._held: dict[tuple[str, Kind], str] = {}
        self._accepted: dict[str, dict[_Key, Figure]] = {source.name: {} for source in sources}
        self._doubted: dict[tuple[str, _Key], tuple[float, int]] = {}

    def take(self, source: str, figures: Sequence[Figure]) -> tuple[list[Denominator], list[str]]:
        """One whole poll of a source: the items that follow from it, and what a person should know (may be empty)."""
        notes: list[str] = []
        touched: dict[tuple[str, Kind], None] = {}
        for figure in figures:
            if self._accept(source, figure, notes):
                touched[figure.symbol, figure.kind] = None
        items = []
        for symbol, kind in touched:
            if (symbol, kind) in self._fixed:
                continue
            holder = self._held.get((symbol, kind))
            if holder is not None and self._rank[holder] < self._rank[source]:
                continue
            if holder is not None and holder != source:
                notes.append(f"{symbol} {kind}: {source} takes over from {holder}")
            self._held[symbol, kind] = source
            items.append(self._item(source, symbol, kind))
        return items, notes

    def oldest(self, source: str) -> int | None:
        """``as_of`` of the oldest figure of a source that is in use; None if none is."""
        in_use = [
            figure.as_of
            for (kind, symbol, _), figure in self._accepted[source].items()
            if self._held.get((symbol, kind)) == source
        ]
        return min(in_use, default=None)

    def _accept(self, source: str, figure: Figure, notes: list[str]) -> bool:
        """Whether the figure is news. A repeated or older one is not; a sudden step is doubted first."""
        key: _Key = (figure.kind, figure.symbol, figure.exchange)
        last = self._accepted[source].get(key)
        if last is not None:
            if figure.as_of < last.as_of or figure == last:
                return False
            if not _within(figure.coins, last.coins, STEP_FACTOR):
                first, agreeing = self._doubted.get((source, key), (figure.coins, 0))
                agreeing = agreeing + 1 if _within(figure.coins, first, AGREE_FACTOR) else 1
                self._doubted[source, key] = (first if agreeing > 1 else figure.coins, agreeing)
                if agreeing < AGREEING_POLLS:
                    if agreeing == 1:
                        what = f"{figure.symbol} {figure.kind} {figure.exchange}".strip()
                        notes.append(f"{what}: {figure.coins:g} after {last.coins:g} is not believed yet")
                    return False
            self._doubted.pop((source, key), None)
        self._accepted[source][key] = figure
        return True

    def _item(self, source: str, symbol: str, kind: Kind) -> Denominator:
        own = self._sources[source]
        figures = [
            figure for (of, name, _), figure in sorted(self._accepted[source].items()) if of == kind and name == symbol
        ]
        return Denominator(
            symbol=symbol,
            supply=figures[0].coins if kind == "supply" else None,
            reserves=tuple((figure.exchange, figure.coins) for figure in figures) if kind == "reserve" else (),
            as_of=min(figure.as_of for figure in figures),
            source=own.title,
            licence=own.licence,
            reserve_stale_h=own.reserve_stale_h,
            supply_stale_h=own.supply_stale_h,
        )


def _within(value: float, other: float, factor: float) -> bool:
    return other / factor <= value <= other * factor
