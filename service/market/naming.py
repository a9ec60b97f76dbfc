"""One ticker, two coins: whether the venues' marks of a symbol fall into groups of which none may outvote the other.

Pure; docs/signal.md section 2. A lone venue against three or more that agree is an outlier, which quarantine handles.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import ClassVar

from service.market.streams import near
from service.state import Stateful

MAJORITY = 3  # venues that agree, from which on a lone other one is an outlier


def groups(marks: Iterable[tuple[float, int]], fraction: float) -> list[list[int]]:
    """The venues of each group of (mark, venue number), each once: the most first, then by their first venue.

    Sorted by price, a mark whose predecessor is within ``fraction`` of it is of the same group: a market that moves
    fast, which venues follow at their own pace, is one group. A venue of the first group is in no smaller one: it knows
    that coin under the name, and what differs is another of its instruments (a stablecoin that has lost its dollar).

    >>> groups([(100.0, 0), (7.0, 1), (100.5, 2), (101.5, 3)], 0.02)
    [[0, 2, 3], [1]]
    >>> groups([(100.0, 0), (95.0, 0), (100.0, 1), (95.0, 1), (100.0, 2), (100.0, 3), (95.0, 4)], 0.02)
    [[0, 1, 2, 3], [4]]
    """
    found: list[set[int]] = []
    before: float | None = None
    for mark, venue in sorted(marks):
        if before is None or not near(before, mark, fraction):
            found.append(set())
        found[-1].add(venue)
        before = mark
    most = max(found, key=len, default=set())
    first = _largest_first([group for group in found if len(group) == len(most)])
    smaller = [group.difference(first[0]) for group in found if len(group) < len(most)]
    return first + _largest_first(smaller)


def _largest_first(found: Iterable[set[int]]) -> list[list[int]]:
    return sorted([sorted(group) for group in found if group], key=lambda group: (-len(group), group))


def others(found: list[list[int]]) -> list[int]:
    """The venues of all groups but the first, where they are a conflict of names; else none."""
    if len(found) < 2:
        return []
    outside = sorted({venue for group in found[1:] for venue in group})
    several = len(found[1]) >= 2
    no_majority = len(found[0]) < MAJORITY and len({venue for group in found for venue in group}) >= MAJORITY
    return outside if several or no_majority else []


class Naming(Stateful):
    """Whether a conflict is in force. ``venues``: of the smaller groups, while it is; empty: none.

    ``believed``: there has been a quorum before, so that a disagreement must last to count.
    """

    STATE: ClassVar = ("venues", "since", "agreed_since", "believed")
    __slots__ = ("agreed_since", "believed", "since", "venues")

    def __init__(self) -> None:
        self.venues: list[str] = []
        self.since: int | None = None  # the disagreement, UTC ms
        self.agreed_since: int | None = None  # while in force: no disagreement since
        self.believed = False

    def observe(self, ts: int, disagreeing: list[str], span_ms: int) -> None:
        """At a sample: the venues of the smaller groups, none where there is no conflict. It counts, and ends, once it
        has lasted ``span_ms``."""
        if disagreeing:
            self.agreed_since = None
            self.since = ts if self.since is None else self.since
            if self.venues or not self.believed or ts - self.since >= span_ms:
                self.venues = disagreeing
        elif self.venues:
            self.agreed_since = ts if self.agreed_since is None else self.agreed_since
            if ts - self.agreed_since >= span_ms:
                self.venues, self.since, self.agreed_since = [], None, None
        else:
            self.since = None

    def keep(self, venues: Container[str]) -> None:
        """Only these venues are configured now. Without any of the others left there is no conflict to wait out."""
        kept = [venue for venue in self.venues if venue in venues]
        if self.venues and not kept:
            self.since = self.agreed_since = None
        self.venues = kept

    def reanchor(self, delta_ms: int) -> None:
        if self.since is not None:
            self.since += delta_ms
        if self.agreed_since is not None:
            self.agreed_since += delta_ms
