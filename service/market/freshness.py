"""TABLE: what a stream of an instrument is worth, and what changes it (docs/signal.md section 2).

NEVER        nothing accepted yet (or trust was withdrawn)
LIVE         the last accepted value is vouched for and young enough; the only state that counts
STALE        older than the stream's max_age
FROZEN       young enough, but a mark that did not change while the other venues moved; ends when it changes
QUARANTINED  implausible; contributes nothing until enough agreeing observations

A (state, event) pair without a row is a defect of ours and raises :exc:`~service.errors.OurBug`.
"""

from __future__ import annotations

from service.errors import OurBug

NEVER = "NEVER"
LIVE = "LIVE"
STALE = "STALE"
FROZEN = "FROZEN"
QUARANTINED = "QUARANTINED"
STATES = (NEVER, LIVE, STALE, FROZEN, QUARANTINED)

ACCEPTED = "accepted"  # a credible observation with a first or changed value
REPEATED = "repeated"  # the held value again, by observation or by Confirm
OUTLYING = "outlying"  # an observation that fails its plausibility check
AGREEING = "agreeing"  # a plausible observation in quarantine, not yet enough of them
RELEASED = "released"  # the agreeing observation that ends the quarantine
AGED = "aged"  # older than max_age at a sample
STUCK = "stuck"  # unchanged while the others moved
RESET = "reset"  # trust withdrawn: what was known no longer applies (changed contract size)
EVENTS = (ACCEPTED, REPEATED, OUTLYING, AGREEING, RELEASED, AGED, STUCK, RESET)

TABLE: dict[str, dict[str, str]] = {
    NEVER: {ACCEPTED: LIVE, OUTLYING: QUARANTINED, RESET: NEVER},
    LIVE: {
        ACCEPTED: LIVE,
        REPEATED: LIVE,
        OUTLYING: QUARANTINED,
        AGED: STALE,
        STUCK: FROZEN,
        RESET: NEVER,
    },
    STALE: {ACCEPTED: LIVE, REPEATED: LIVE, OUTLYING: QUARANTINED, RESET: NEVER},
    FROZEN: {ACCEPTED: LIVE, REPEATED: FROZEN, OUTLYING: QUARANTINED, AGED: STALE, RESET: NEVER},
    QUARANTINED: {AGREEING: QUARANTINED, OUTLYING: QUARANTINED, RELEASED: LIVE, RESET: NEVER},
}

# How bad, when one word must stand for two streams. A stream never heard of is as good as a stale one.
BADNESS: dict[str, tuple[int, str]] = {
    LIVE: (0, "live"),
    NEVER: (1, "stale"),
    STALE: (1, "stale"),
    FROZEN: (2, "frozen"),
    QUARANTINED: (3, "quarantined"),
}


def after(state: str, event: str) -> str:
    """The state that follows. Raises OurBug for a pair that must not happen.

    >>> after("LIVE", "aged")
    'STALE'
    """
    try:
        return TABLE[state][event]
    except KeyError:
        raise OurBug(f"stream in state {state} met event {event}") from None


def worse(state: str, other: str) -> str:
    """The word for the worse of two states: ``live``, ``stale``, ``frozen`` or ``quarantined``.

    >>> worse("LIVE", "NEVER")
    'stale'
    """
    return max(BADNESS[state], BADNESS[other])[1]
