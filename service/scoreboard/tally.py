"""The running record of one symbol and horizon, and what it comes to. Bounded: counts, and a ring of pairs."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import sqrt
from typing import Any

from service.scoreboard.measures import BLOCK, dependence, spearman, wilson
from service.scoreboard.outcome import Outcome
from service.state import Stateful
from service.statistics import fold

RING = 2_000  # pairs of score and return that the rank correlation is taken over
BINS = 21  # of p_hit, 0.05 wide around multiples of 0.05: a young record, all about 0.5, is not cut in two
SHRINKAGE = 400  # of p_hit towards 0.5 (docs/signal.md section 7); the composite's is the published one
REFRESH = 100  # the correlation is taken anew whenever the ring has grown by this part of itself


class Tally(Stateful):
    """``phase`` staggers the renewal of the correlation: symbols whose outcomes come together do not all do it at once.

    ``matured``, ``lost``: all outcomes, overlapping ones included. ``n``, ``hits``: the non-overlapping ones with a
    direction and a return. ``ic_n``: pairs behind ``ic`` and its standard error ``ic_se``.
    """

    STATE = (
        "_bin_hits", "_bin_n", "_bin_p", "_block", "_block_squares", "_block_sums", "_blocks", "_next", "_rets",
        "_scores", "brier_sum", "entered", "hits", "ic", "ic_n", "ic_se", "lost", "matured", "n",
    )  # fmt: skip
    __slots__ = (*STATE, "_phase")

    def __init__(self, phase: int = 0) -> None:
        self._phase = phase
        self.matured = 0
        self.lost = 0
        self.n = 0
        self.hits = 0
        self.brier_sum = 0.0
        self._bin_n = array("Q", bytes(8 * BINS))
        self._bin_hits = array("Q", bytes(8 * BINS))
        self._bin_p = array("d", bytes(8 * BINS))  # sum of p_hit
        self._block = array("b")  # the last hits (1) and misses (0)
        self._blocks = 0
        self._block_sums = 0
        self._block_squares = 0
        self._scores = array("d")
        self._rets = array("d")
        self._next = 0  # where the full ring is overwritten
        self.entered = 0
        self.ic: float | None = None
        self.ic_se: float | None = None
        self.ic_n = 0

    @property
    def hit(self) -> float | None:
        return None if self.n == 0 else self.hits / self.n

    @property
    def p_hit(self) -> float:
        """What this record says before the fact: its hit share, shrunk towards 0.5."""
        if self.n == 0:
            return 0.5
        return 0.5 + self.n / (self.n + SHRINKAGE) * (self.hits / self.n - 0.5)

    @property
    def dependence(self) -> float:
        """By how much hits that resemble their neighbours widen what is known of their share, 1 for not at all."""
        if self.n == 0:
            return 1.0
        return dependence(self._blocks, self._block_sums, self._block_squares, self.hits / self.n)

    def enter(self, outcome: Outcome) -> None:
        """Count an outcome; those of a symbol and horizon come in the order of their maturing."""
        if outcome.ret is None:
            self.lost += 1
            return
        self.matured += 1
        if outcome.in_hit and outcome.hit is not None:
            self.n += 1
            self.hits += outcome.hit
            self.brier_sum += (outcome.p_hit - outcome.hit) ** 2
            index = int(outcome.p_hit * (BINS - 1) + 0.5)
            self._bin_n[index] += 1
            self._bin_hits[index] += outcome.hit
            self._bin_p[index] += outcome.p_hit
            self._enter_block(outcome.hit)
        if outcome.in_ic:
            self._pair(outcome.score, outcome.ret)

    def _enter_block(self, hit: bool) -> None:
        self._block.append(hit)
        if len(self._block) > BLOCK:
            del self._block[0]
        if len(self._block) == BLOCK:
            hits = sum(self._block)  # integers
            self._blocks += 1
            self._block_sums += hits
            self._block_squares += hits * hits

    def _pair(self, score: float, ret: float) -> None:
        if len(self._scores) < RING:
            self._scores.append(score)
            self._rets.append(ret)
        else:
            self._scores[self._next] = score
            self._rets[self._next] = ret
            self._next = (self._next + 1) % RING
        self.entered += 1
        if (self.entered + self._phase) % max(1, len(self._scores) // REFRESH) == 0:
            self.renew()

    def renew(self) -> None:
        """Take the correlation now. While outcomes come it is taken only so often: it costs a millisecond."""
        order = (slice(self._next, None), slice(None, self._next))  # by time
        scores, rets = ([value for part in order for value in ring[part]] for ring in (self._scores, self._rets))
        self.ic, self.ic_se = spearman(scores, rets)
        self.ic_n = len(self._scores)

    def bins(self) -> list[tuple[int, int, float]]:
        """(n, hits, sum of p_hit) of every bin."""
        return list(zip(self._bin_n, self._bin_hits, self._bin_p, strict=True))


def entry(tallies: Sequence[Tally]) -> dict[str, Any]:
    """The statistics of one tally, or of one horizon over several symbols (docs/scoreboard.md).

    Hits that resemble those before them tell less: those of one symbol count as n / d trials (:func:`dependence`).
    Symbols move together, so pooling them does not multiply what is known. A mean's error is at most the mean of the
    errors, whatever the dependence: ``ic_se`` is that, and the interval of ``hit`` rests on ``n_effective`` =
    n^2 / (sum of sqrt(n_i d_i))^2 trials, for one symbol n / d.
    """
    n = sum(tally.n for tally in tallies)  # integers
    hits = sum(tally.hits for tally in tallies)  # integers
    hit = None if n == 0 else hits / n
    spreads = [tally.dependence for tally in tallies]
    roots = fold([sqrt(tally.n * spread) for tally, spread in zip(tallies, spreads, strict=True)])
    effective = n / spreads[0] if len(tallies) == 1 else (0.0 if n == 0 else (n / roots) ** 2)
    low, high = (None, None) if hit is None else wilson(hit, effective)
    ic, ic_se, ic_n = _correlation(tallies)
    return {
        "n": n,
        "hit": hit,
        "hit_low": low,
        "hit_high": high,
        "n_effective": effective,
        "ic": ic,
        "ic_se": ic_se,
        "ic_n": ic_n,
        "brier": None if n == 0 else fold(tally.brier_sum for tally in tallies) / n,
        "brier_climatology": None if hit is None else hit * (1.0 - hit),
        "matured": sum(tally.matured for tally in tallies),  # integers
        "lost": sum(tally.lost for tally in tallies),  # integers
    }


def _correlation(tallies: Sequence[Tally]) -> tuple[float | None, float | None, int]:
    if len(tallies) == 1:
        return tallies[0].ic, tallies[0].ic_se, tallies[0].ic_n
    total = error = 0.0
    weight = pairs = 0
    for tally in tallies:
        if tally.ic is not None and tally.ic_se is not None:
            weight += tally.ic_n - 1
            pairs += tally.ic_n
            total += (tally.ic_n - 1) * tally.ic
            error += (tally.ic_n - 1) * tally.ic_se
    return (None, None, 0) if weight == 0 else (total / weight, error / weight, pairs)


def reliability(tallies: Sequence[Tally]) -> list[dict[str, Any]]:
    """The bins of p_hit that hold anything: their edges, how many, the mean of what was said, and what came."""
    found = []
    for index, parts in enumerate(zip(*(tally.bins() for tally in tallies), strict=True)):
        n = sum(part[0] for part in parts)  # integers
        if n > 0:
            hits = sum(part[1] for part in parts)  # integers
            said = fold(part[2] for part in parts)
            low, high = ((2 * index + side) / (2 * (BINS - 1)) for side in (-1, 1))
            edges = {"low": max(0.0, low), "high": min(1.0, high)}
            found.append({**edges, "n": n, "p_hit": said / n, "hit": hits / n})
    return found
