"""Hedge with fixed share over experts that may sleep; its bound, and the regret it really had.

Herbster and Warmuth 1998 (fixed share), Freund, Schapire, Singer and Warmuth 1997 (sleeping experts).

**Loss.** What a score costs once the outcome is known (docs/weights.md). The label is the return of the window in units
of its own scale as known when the score was given (``WindowReading.z_return`` at the end of the window), clipped: one
hour in a hundred must not decide about a month. The loss is linear in ``score * label``: minus what a position of that
size would have made. A score is read as a position, so this is what its reader gains or loses; a squared loss would ask
for calibrated magnitudes, which scores of a few percent of explained variance can only meet by being next to 0, and
would call every component useless.

**Protocol.** In a round every symbol that takes part has the scores of the experts that are awake for it, and later its
outcome. Over them the mixture's score is the mean of the awake experts' scores, weighted by their shares p. Its loss
lies in [0, 1] and is convex. An expert that sleeps for a symbol is charged there what the mixture's awake experts are
charged on average, c: it neither gains nor loses share. A round's loss is the mean over its symbols.

**Update.** From a prior q: p_i <- p_i * exp(-eta * l_i), normalised; then p_i <- (1 - alpha) * p_i + alpha * q_i.
Labels are applied in order of maturity, each before the next round is said: no round waits for another one's label.

**Guarantee.** For every sequence of losses, however made, and every sequence of experts i_1..i_T with k switches

    sum over t of mean over symbols for which i_t is awake of (loss of the mixture - loss of i_t)
        <= ( ln M + k * ln(M / alpha) + (T - 1 - k) * ln(1 / (1 - alpha)) ) / eta  +  eta * T / 8,

where M is 1 over the smallest q_i (the number of experts if q is even): the weights are a Bayesian mixture over
sequences that start at i with q_i, switch to i with alpha * q_i and stay with at least 1 - alpha; eta/8 a round is
Hoeffding's inequality, and convexity puts the mixture's loss below c. Over rounds r..s that do not begin at the first,
ln M becomes ln(M / alpha): no share is ever below alpha / M.

**Rates.** Fixed beforehand for a span of T rounds with k switches: alpha = k / (T - 1) and the eta that makes the two
parts of the bound equal, sqrt(8 * (first part * eta) / T); the bound is then sqrt(T / 2 * (...)).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, sqrt
from typing import Any

from service.state import Stateful
from service.statistics import fold

CLIP = 2.0  # scales of the return; beyond, a label is +1 or -1
# What a unit of position must make to be worth more than none, as a part of the label's range. Without it a component
# that knows nothing would cost exactly what doing nothing costs, and nothing would ever be decided. It is no fee.
HURDLE = 0.02
ZERO_LOSS = 1.0 / (2.0 + HURDLE)  # of a score of 0, whatever happens

SWITCHES = 8  # the regret against sequences with up to as many switches is measured as it goes

Said = Sequence[float | None]  # the experts' scores in [-1, 1], in their order; None: asleep


def label(z_return: float) -> float:
    """The outcome in [-1, 1].

    >>> label(1.0), label(-7.0)
    (0.5, -1.0)
    """
    return max(-1.0, min(1.0, z_return / CLIP))


def loss(score: float, outcome: float) -> float:
    """(1 - score * outcome + hurdle * abs(score)) / (2 + hurdle), in [0, 1] for both in [-1, 1]; convex in ``score``.

    >>> loss(1.0, 1.0) < ZERO_LOSS == loss(0.0, 1.0) < loss(1.0, 0.0) < loss(1.0, -1.0)
    True
    """
    return (1.0 - score * outcome + HURDLE * abs(score)) / (2.0 + HURDLE)


def complexity(against: float, rounds: int, switches: int, share_rate: float) -> float:
    """Minus the log of the prior weight of a sequence with so many switches, at least: the numerator of the bound.

    ``against``: M, 1 over the smallest prior. A ``share_rate`` of 0 knows no switches: infinite for them.
    """
    stays = (rounds - 1 - switches) * -log(1.0 - share_rate)
    if switches == 0:
        return log(against) + stays
    return float("inf") if share_rate == 0 else log(against) + switches * log(against / share_rate) + stays


def rates(against: float, rounds: int, switches: int) -> tuple[float, float]:
    """(learning rate, share rate) for a span of ``rounds`` (above 1) in which the best expert changes so often."""
    share_rate = switches / (rounds - 1)
    return sqrt(8.0 * complexity(against, rounds, switches, share_rate) / rounds), share_rate


class Hedge(Stateful):
    """The shares of ``experts`` (in fixed order) and what they came to. ``prior``: q, summing to 1; even if left out.

    ``rounds``: updates so far. ``loss``: of the mixture, summed over them. ``gains``: of each expert, while awake, over
    doing nothing, in units of loss; ``gain``: of the mixture. ``awake``: of each expert, rounds times symbols' share.
    """

    STATE = ("_best", "awake", "gain", "gains", "loss", "rounds", "shares")
    __slots__ = (*STATE, "_against", "_prior", "experts", "learning_rate", "share_rate")

    def __init__(
        self, experts: Sequence[str], learning_rate: float, share_rate: float, prior: Sequence[float] | None = None
    ) -> None:
        self.experts = tuple(experts)
        self.learning_rate = learning_rate
        self.share_rate = share_rate
        count = len(self.experts)
        self._prior = (1.0 / count,) * count if prior is None else tuple(prior)
        self._against = 1.0 / min(self._prior)
        self.shares = list(self._prior)
        self.rounds = 0
        self.loss = 0.0
        self.gain = 0.0
        self.gains = [0.0] * count
        self.awake = [0.0] * count
        # By number of switches: the largest sum, over sequences of experts that end at each, of the regret so far.
        self._best: list[list[float]] = []

    def mix(self, said: Said) -> float:
        """The mixture's score; 0 while all sleep."""
        mass = score = 0.0
        for share, one in zip(self.shares, said, strict=True):
            if one is not None:
                mass += share
                score += share * one
        return score / mass if mass > 0 else 0.0

    def update(self, outcomes: Sequence[tuple[Said, float]]) -> None:
        """One round: for each symbol with an outcome what the experts had said and its label. None at all: no round."""
        if not outcomes:
            return
        count = len(self.experts)
        excess, regret = [0.0] * count, [0.0] * count
        part = 1.0 / len(outcomes)
        for said, outcome in outcomes:
            losses = [None if score is None else loss(score, outcome) for score in said]
            mass = charged = 0.0
            for share, lost in zip(self.shares, losses, strict=True):
                if lost is not None:
                    mass += share
                    charged += share * lost
            mixed = loss(self.mix(said), outcome)
            self.loss += part * mixed
            self.gain += part * (ZERO_LOSS - mixed)
            for i, lost in enumerate(losses):
                if lost is not None:
                    excess[i] += part * (lost - charged / mass)
                    regret[i] += part * (mixed - lost)
                    self.gains[i] += part * (ZERO_LOSS - lost)
                    self.awake[i] += part
        self._step(excess)
        self._compare(regret)
        self.rounds += 1

    def _step(self, excess: Sequence[float]) -> None:
        kept = [share * exp(-self.learning_rate * more) for share, more in zip(self.shares, excess, strict=True)]
        total, rate = fold(kept), self.share_rate
        self.shares = [
            (1.0 - rate) * share / total + rate * fresh for share, fresh in zip(kept, self._prior, strict=True)
        ]

    def _compare(self, regret: Sequence[float]) -> None:
        # A sequence with at most j switches that ends at i either was at i before, or was elsewhere with one less.
        before = self._best
        if not before:
            self._best = [list(regret)]
            return
        after = []
        for j in range(min(len(before), SWITCHES) + 1):
            from_elsewhere = max(before[j - 1]) if j > 0 else None
            row = []
            for i, more in enumerate(regret):
                stayed = before[j][i] if j < len(before) else None
                best = from_elsewhere if stayed is None else stayed
                assert best is not None  # row 0 always stayed
                row.append((best if from_elsewhere is None else max(best, from_elsewhere)) + more)
            after.append(row)
        self._best = after

    def regret(self, switches: int = 0) -> float:
        """Measured: the mixture's loss above that of the best sequence of experts with at most so many switches."""
        if not self._best:
            return 0.0
        return max(self._best[min(switches, len(self._best) - 1)])

    def bound(self, switches: int = 0, rounds: int | None = None, begun: bool = False) -> float:
        """What :meth:`regret` cannot exceed (module docstring), now or after ``rounds``; 0 before any.

        ``begun``: over any stretch of so many rounds that does not begin at the first one.
        """
        span = self.rounds if rounds is None else rounds
        if span == 0:
            return 0.0
        first = complexity(self._against, span, min(switches, span - 1), self.share_rate)
        if begun:
            first += -log(self.share_rate) if self.share_rate > 0 else float("inf")
        return first / self.learning_rate + self.learning_rate * span / 8.0

    def best(self) -> str:
        """The expert with the largest share, the first of equals."""
        return self.experts[self.shares.index(max(self.shares))]

    def named(self, values: Sequence[float]) -> dict[str, float]:
        return dict(zip(self.experts, values, strict=True))

    def report(self) -> dict[str, Any]:
        """For a person: gains are a round's mean, in units of loss (0.5 is all there is to gain)."""
        count = max(self.rounds, 1)
        return {
            "rounds": self.rounds,
            "learning_rate": self.learning_rate,
            "share_rate": self.share_rate,
            "shares": self.named(self.shares),
            "awake": self.named([value / count for value in self.awake]),
            "gains": self.named([value / count for value in self.gains]),
            "gain": self.gain / count,
            "loss": self.loss / count,
            "regret": [
                {"switches": k, "measured": self.regret(k), "bound": self.bound(k)} for k in (0, 1, 2, 4, SWITCHES)
            ],
        }
