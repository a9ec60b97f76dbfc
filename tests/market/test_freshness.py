"""Every (state, event) pair of the freshness table, by name."""

from __future__ import annotations

from itertools import product

import pytest

from service.errors import OurBug
from service.market.freshness import BADNESS, EVENTS, STATES, TABLE, after, worse

# state, then what follows: accepted repeated outlying agreeing released aged stuck reset ("-": must not happen)
EXPECTED = """
NEVER        LIVE  -       QUARANTINED  -            -     -      -       NEVER
LIVE         LIVE  LIVE    QUARANTINED  -            -     STALE  FROZEN  NEVER
STALE        LIVE  LIVE    QUARANTINED  -            -     -      -       NEVER
FROZEN       LIVE  FROZEN  QUARANTINED  -            -     STALE  -       NEVER
QUARANTINED  -     -       QUARANTINED  QUARANTINED  LIVE  -      -       NEVER
"""
ROWS = {line.split()[0]: line.split()[1:] for line in EXPECTED.strip().splitlines()}
COLUMNS = ("accepted", "repeated", "outlying", "agreeing", "released", "aged", "stuck", "reset")
PAIRS = [(state, event, ROWS[state][COLUMNS.index(event)]) for state, event in product(ROWS, COLUMNS)]


def test_the_expectation_names_every_state_and_event() -> None:
    assert tuple(ROWS) == STATES
    assert COLUMNS == EVENTS
    assert tuple(TABLE) == STATES
    assert tuple(sorted(BADNESS)) == tuple(sorted(STATES))


@pytest.mark.parametrize(("state", "event", "expected"), PAIRS)
def test_pair(state: str, event: str, expected: str) -> None:
    if expected == "-":
        with pytest.raises(OurBug, match=f"{state} met event {event}"):
            after(state, event)
    else:
        assert after(state, event) == expected


@pytest.mark.parametrize(("state", "event"), [("LIVE", "surprise"), ("DEAD", "accepted")])
def test_unknown_names_are_our_bug(state: str, event: str) -> None:
    with pytest.raises(OurBug):
        after(state, event)


@pytest.mark.parametrize(
    ("state", "other", "word"),
    [
        ("LIVE", "LIVE", "live"),
        ("LIVE", "NEVER", "stale"),
        ("STALE", "LIVE", "stale"),
        ("FROZEN", "STALE", "frozen"),
        ("STALE", "QUARANTINED", "quarantined"),
        ("QUARANTINED", "FROZEN", "quarantined"),
    ],
)
def test_the_worse_of_two_states(state: str, other: str, word: str) -> None:
    assert worse(state, other) == word
