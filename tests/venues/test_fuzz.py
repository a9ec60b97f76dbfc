"""A slice of ``make fuzz``: what is decoded from mutated frames is sane, the same every time, and bounded in memory."""

from __future__ import annotations

import tracemalloc

import pytest

from service.venues import VENUES
from tests.venues.frames import T0, check_sane, fresh
from tests.venues.fuzz import CHUNK, Found, chunk, chunks, corpus


@pytest.mark.parametrize("venue", VENUES)
def test_mutated_frames_bring_nothing_but_sane_items(venue: str) -> None:
    found = Found()
    for number in (900_001, 900_002):
        chunk(10, venue, number, found)
    assert found.frames == 2 * CHUNK
    assert found.items > CHUNK // 2  # the mutations leave enough to be read
    assert found.refused > CHUNK // 4


HOSTILE: tuple[str | bytes, ...] = (
    "\ud800", '{"a":"\ud800"}', '"', "\x00", "\ufeff{}", b"\xff", b'{"e":"\xff"}', "NaN", "-", "1e999", "9" * 5000,
    "null", "true", '"text"', "[[]]", "[null]", "{" * 3000, "[" * 3000, '{"a":' * 1000 + "1" + "}" * 1000,
    *(head * 1000 + "{}" + "}" * 1000 for head in ('{"data":', '{"stream":"x","data":', '{"status":200,"result":')),
    '{"result":' * 1000 + "[]" + "}" * 1000,
)  # fmt: skip


@pytest.mark.parametrize("venue", VENUES)
def test_hostile_texts_cost_themselves(venue: str) -> None:
    """Cause: an answer wrapped a thousand times went a thousand calls deep, and no further."""
    decoder = fresh(venue)
    for raw in HOSTILE:
        for context in ("", *corpus(venue)[1][:40]):
            check_sane(decoder.decode(raw, T0, context), venue)


def test_a_chunk_is_the_same_every_time() -> None:
    """Else a frame that was found could not be found again."""
    results = []
    for _ in range(2):
        found = Found()
        chunk(3, "bybit", 7, found)
        results.append((found.items, found.refused))
    assert results[0] == results[1]


def test_decoding_holds_on_to_nothing() -> None:
    """Cause: what a decoder keeps per frame, rather than per instrument, grows until the process dies."""
    corpus("bitmex")
    chunk(10, "bitmex", 1, Found())
    tracemalloc.start()
    try:
        chunk(10, "bitmex", 1, Found())
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(3):
            chunk(10, "bitmex", 1, Found())
        assert tracemalloc.get_traced_memory()[0] - before < 2_000_000
    finally:
        tracemalloc.stop()


def test_all_venues_take_their_turn() -> None:
    planned = list(chunks(1_000_000))
    assert len(planned) * CHUNK >= 1_000_000
    assert {venue for venue, _ in planned} == set(VENUES)
    assert len(set(planned)) == len(planned)
