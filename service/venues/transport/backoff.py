"""How long to wait before the next attempt: capped exponential backoff with jitter over the whole range.

Anchors: full jitter (AWS architecture blog, "Exponential Backoff And Jitter"), RFC 6455 section 7.2.3. Two
additions: a floor that grows with the ceiling, so that no history yields a hot loop; and a reset only after a
healthy period, so that a venue that accepts and drops at once is not hammered.
"""

from __future__ import annotations

from typing import Protocol

FLOOR_SHARE = 0.25  # the floor is this share of the ceiling: 0.25 s at first, 15 s at a cap of 60 s


class Randomness(Protocol):
    """The part of ``random.Random`` that is used here; the generator is always passed in."""

    def uniform(self, a: float, b: float) -> float: ...


class Backoff:
    """Delays of one link or poller. ``base_s`` is the first ceiling, doubled with each delay handed out.

    >>> from random import Random
    >>> backoff = Backoff(60.0, Random(1))
    >>> 0.25 <= backoff.next_delay_s() <= 1.0
    True
    """

    def __init__(self, cap_s: float, rng: Randomness, healthy_s: float = 60.0, base_s: float = 1.0) -> None:
        if not 0 < base_s <= cap_s:
            raise ValueError(f"backoff: base {base_s} s must be above 0 and at most the cap {cap_s} s")
        self._cap_s = cap_s
        self._rng = rng
        self._healthy_s = healthy_s
        self._base_s = base_s
        self.attempts = 0

    @property
    def ceiling_s(self) -> float:
        """The longest the next delay can be: ``min(cap, base * 2**attempts)``."""
        doublings = min(self.attempts, 64)  # beyond it the cap rules anyway; keeps the float finite
        return min(self._cap_s, self._base_s * 2.0**doublings)

    def next_delay_s(self) -> float:
        """Seconds to wait before the next attempt, uniform in [ceiling / 4, ceiling]; counts the attempt."""
        ceiling = self.ceiling_s
        self.attempts += 1
        return self._rng.uniform(ceiling * FLOOR_SHARE, ceiling)

    def lived(self, seconds: float) -> None:
        """Something was healthy for this long: at ``healthy_s`` and above the backoff starts anew."""
        if seconds >= self._healthy_s:
            self.attempts = 0
