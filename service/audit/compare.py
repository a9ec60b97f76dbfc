"""Our figures beside the venue's: what differs by how much, whether that is too much, and what it looks like. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, log10
from typing import Any

from service.audit.figures import Figures
from service.config import AuditSection
from service.model import Listing

FIGURES = ("oi", "mark", "funding")
ALIKE = 0.05  # a ratio this near to a known one is taken for it
# What a ratio of ours to theirs may mean.
OI_HINTS = (
    (2.0, "twice theirs: both sides counted?"),
    (0.5, "half of theirs: one side halved again, or their figure counts both now?"),
)
FUNDING_HINTS = (
    (8.0, "8 times theirs: a rate per 8 h taken for one per hour?"),
    (1 / 8, "an eighth of theirs: a rate per hour taken for one per 8 h?"),
    (100.0, "100 times theirs: percent taken for a fraction?"),
    (0.01, "a hundredth of theirs: a fraction taken for percent?"),
    (2.0, "twice theirs: another interval?"),
    (0.5, "half of theirs: another interval?"),
    (4.0, "4 times theirs: another interval?"),
    (0.25, "a quarter of theirs: another interval?"),
    (-1.0, "the other sign"),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of one instrument: ``oi`` and ``mark`` in canonical units, ``funding`` per 8 h; None where missing.

    ``ratio``: ours over theirs, None where one is missing or theirs is 0. ``off``: ratio - 1, of funding ours minus
    theirs. ``beyond``: further off than allowed. ``times``: abs(off) over what is allowed, to sort by; -1 where nothing
    could be compared. ``note``: why it could not be, or what the difference looks like.
    """

    venue: str
    symbol: str
    instrument: str
    figure: str
    ours: float | None
    theirs: float | None
    ratio: float | None
    off: float | None
    beyond: bool
    times: float
    note: str

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "symbol": self.symbol,
            "instrument": self.instrument,
            "figure": self.figure,
            "ours": self.ours,
            "theirs": self.theirs,
            "ratio": self.ratio,
            "off": self.off,
            "beyond": self.beyond,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Audit:
    """One venue, once. ``ts``: when it was read, UTC epoch ms. ``failures``: which requests had no answer, and why."""

    venue: str
    ts: int
    rows: tuple[Difference, ...] = ()
    failures: tuple[str, ...] = ()

    @property
    def compared(self) -> int:
        """Figures that were there on both sides."""
        return sum(row.times >= 0 for row in self.rows)  # integers

    @property
    def beyond(self) -> int:
        return sum(row.beyond for row in self.rows)  # integers

    def worst(self, most: int) -> list[Difference]:
        """Compared figures, the furthest off first."""
        return sorted((row for row in self.rows if row.times >= 0), key=lambda row: -row.times)[:most]


def compare(
    venue: str,
    listings: Iterable[Listing],
    ours: Mapping[str, Figures],
    theirs: Mapping[str, Figures],
    allowed: AuditSection,
) -> list[Difference]:
    """Every figure of every listing. ``ours``, ``theirs``: by instrument."""
    unheard = Figures(missing=dict.fromkeys(FIGURES, "never received"))
    return [
        _difference(
            venue, item, figure, ours.get(item.instrument, unheard), theirs.get(item.instrument, Figures()), allowed
        )
        for item in listings
        for figure in FIGURES
    ]


def _difference(
    venue: str, item: Listing, figure: str, own: Figures, said: Figures, allowed: AuditSection
) -> Difference:
    ours: float | None = getattr(own, figure)
    theirs: float | None = getattr(said, figure)
    notes = [f"not here: {own.missing.get(figure, 'unknown')}"] if ours is None else []
    notes += [said.missing.get(figure, "not at the venue")] if theirs is None else []
    if ours is None or theirs is None:
        return _row(venue, item, figure, ours, theirs, None, -1.0, "; ".join(notes))
    if figure == "funding":
        off = ours - theirs
        times = abs(off) / max(allowed.funding_8h, allowed.funding_share * max(abs(ours), abs(theirs)))
    elif theirs == 0:
        off = 0.0 if ours == 0 else inf
        times = off
    else:
        off = ours / theirs - 1
        times = abs(off) / (allowed.oi if figure == "oi" else allowed.mark)
    note = _hint(figure, ours, theirs, said.mark) if times > 1 else ""
    return _row(venue, item, figure, ours, theirs, off, times, "; ".join(filter(None, (own.missing.get(figure), note))))


def _row(
    venue: str,
    item: Listing,
    figure: str,
    ours: float | None,
    theirs: float | None,
    off: float | None,
    times: float,
    note: str,
) -> Difference:
    ratio = ours / theirs if ours is not None and theirs else None
    told = None if off == inf else off
    return Difference(venue, item.symbol, item.instrument, figure, ours, theirs, ratio, told, times > 1, times, note)


def _hint(figure: str, ours: float, theirs: float, mark: float | None) -> str:
    """What a ratio that is far off may come from; "" where it looks like nothing known."""
    if theirs == 0:
        return "0 at the venue"
    ratio = ours / theirs
    known: Sequence[tuple[float, str]] = OI_HINTS if figure == "oi" else FUNDING_HINTS if figure == "funding" else ()
    for value, text in known:
        if _near(ratio, value):
            return text
    if figure == "oi" and mark is not None and _near(ratio, mark):
        return "the mark times theirs: dollars taken for coins?"
    if figure == "oi" and mark is not None and _near(ratio, 1 / mark):
        return "theirs over the mark: coins taken for dollars?"
    power = round(log10(ratio)) if ratio > 0 else 0
    if power != 0 and _near(ratio, 10.0**power):
        return f"10^{power} of theirs: the size of a contract, or the factor of a name (1000X)?"
    return ""


def _near(ratio: float, value: float) -> bool:
    return abs(ratio / value - 1) <= ALIKE
