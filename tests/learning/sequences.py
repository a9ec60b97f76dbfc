"""Rounds made to be hard, and the regret of them computed the long way round: independent of the code under test."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import pairwise, product

from service.learning.hedge import Hedge, loss

Round = list[tuple[list[float | None], float]]
Maker = Callable[[Hedge, int, random.Random], Round]


def _scores(rng: random.Random, experts: int, sleepy: float) -> list[float | None]:
    """Arbitrary scores, many of them at the ends; the last expert is the zero one."""
    said: list[float | None] = [
        None if rng.random() < sleepy else rng.choice((-1.0, 1.0, rng.uniform(-1, 1))) for _ in range(experts - 1)
    ]
    return [*said, 0.0]


def noise(hedge: Hedge, t: int, rng: random.Random) -> Round:
    return [(_scores(rng, len(hedge.experts), 0.3), rng.uniform(-1, 1)) for _ in range(rng.randint(0, 3))]


def against_the_mixture(hedge: Hedge, t: int, rng: random.Random) -> Round:
    """The outcome is always the opposite of what the mixture says."""
    made = []
    for _ in range(rng.randint(1, 2)):
        said = _scores(rng, len(hedge.experts), 0.2)
        made.append((said, -1.0 if hedge.mix(said) > 0 else 1.0))
    return made


def against_the_leader(hedge: Hedge, t: int, rng: random.Random) -> Round:
    """Whoever has the largest share says up, the others down, and it goes down; sometimes the leader sleeps."""
    leader = hedge.shares.index(max(hedge.shares[:-1]))
    said: list[float | None] = [-1.0] * (len(hedge.experts) - 1)
    said[leader] = None if rng.random() < 0.1 else 1.0
    return [([*said, 0.0], -1.0)]


def alternating(hedge: Hedge, t: int, rng: random.Random) -> Round:
    """Two experts of opposite minds, right in turn: whoever was trusted last is wrong."""
    said: list[float | None] = [1.0, -1.0, *[None] * (len(hedge.experts) - 3), 0.0]
    return [(said, 1.0 if hedge.mix(said) < 0 else -1.0)]


def drowsy_genius(hedge: Hedge, t: int, rng: random.Random) -> Round:
    """One expert is always right but hardly ever awake; the rest guess."""
    outcome = rng.choice((-1.0, 1.0))
    said = _scores(rng, len(hedge.experts), 0.1)
    said[0] = outcome if rng.random() < 0.2 else None
    return [(said, outcome)]


def changing_genius(hedge: Hedge, t: int, rng: random.Random) -> Round:
    """Another expert is right every dozen rounds."""
    outcome = rng.choice((-1.0, 1.0))
    right = t // 12 % (len(hedge.experts) - 1)
    said: list[float | None] = [-outcome] * (len(hedge.experts) - 1)
    said[right] = outcome
    return [([*said, 0.0], outcome)]


MAKERS: tuple[Maker, ...] = (
    noise,
    against_the_mixture,
    against_the_leader,
    alternating,
    drowsy_genius,
    changing_genius,
)


def regrets(hedge: Hedge, rounds: int, make: Maker, rng: random.Random) -> Iterator[list[float]]:
    """Play; yields each round's regret against each expert, 0 where it slept."""
    for t in range(rounds):
        outcomes = make(hedge, t, rng)
        if not outcomes:
            continue
        row = [0.0] * len(hedge.experts)
        for said, outcome in outcomes:
            mixed = loss(hedge.mix(said), outcome)
            for i, score in enumerate(said):
                if score is not None:
                    row[i] += (mixed - loss(score, outcome)) / len(outcomes)
        hedge.update(outcomes)
        yield row


def best_sequence(rows: list[list[float]], switches: int) -> float:
    """The largest regret against a sequence of experts with at most so many switches: over all places to switch."""
    count = len(rows[0])
    sums = [[0.0] * count]
    for row in rows:
        sums.append([before + more for before, more in zip(sums[-1], row, strict=True)])

    def segment(first: int, end: int) -> float:
        return max(b - a for a, b in zip(sums[first], sums[end], strict=True))

    best = [[segment(0, end) for end in range(1, len(rows) + 1)]]
    for _ in range(switches):
        before = best[-1]
        best.append(
            [
                max([before[end - 1], *(before[cut - 1] + segment(cut, end) for cut in range(1, end))])
                for end in range(1, len(rows) + 1)
            ]
        )
    return best[-1][-1]


def brute_force(rows: list[list[float]], switches: int) -> float:
    """The same by trying every sequence."""
    count = len(rows[0])
    return max(
        sum(row[i] for row, i in zip(rows, path, strict=True))
        for path in product(range(count), repeat=len(rows))
        if sum(a != b for a, b in pairwise(path)) <= switches
    )
