"""What a score costs once the outcome is known (docs/weights.md).

The label is the return of the window in units of its own scale as known when the score was given
(``WindowReading.z_return`` at the end of the window), clipped: one hour in a hundred must not decide about a month.

The loss is linear in ``score * label``: minus what a position of that size would have made. A score is read as a
position, so this is what its reader gains or loses; a squared loss would ask for calibrated magnitudes, which scores of
a few percent of explained variance can only meet by being next to 0, and would call every component useless.
"""

from __future__ import annotations

CLIP = 2.0  # scales of the return; beyond, a label is +1 or -1
# What a unit of position must make to be worth more than none, as a part of the label's range. Without it a component
# that knows nothing would cost exactly what doing nothing costs, and nothing would ever be decided. It is no fee.
HURDLE = 0.02
ZERO_LOSS = 1.0 / (2.0 + HURDLE)  # of a score of 0, whatever happens


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
