"""The chain: every line canonical, every change found, named by its line."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.scoreboard import GENESIS, Chain, Outcome, read_line, verify
from service.scoreboard.chain import FIELDS, canonical, written
from service.scoreboard.outcome import is_hit, log_return, short
from tests.scoreboard.build import HOUR, MINUTE, T0, TICK, Market, signal


def some_lines(count: int = 12) -> list[bytes]:
    market = Market()
    number = 0
    while len(market.lines) < count:
        market.tick(T0 + number * TICK, signal(100.0 + number % 5, 0.4, m1=(0.3 - number % 3 * 0.2, "long")))
        number += 1
    return market.lines[:count]


LINES = some_lines()

outcomes = st.builds(
    lambda symbol, ts, score, direction, p_hit, then, price, in_hit, in_ic, name: Outcome(
        symbol,
        name,
        ts,
        None if price is None else ts + HOUR,
        short(score),
        direction,
        short(p_hit),
        short(then),
        None if price is None else short(price),
        None if price is None else log_return(short(then), short(price)),
        is_hit(direction, None if price is None else log_return(short(then), short(price))),
        in_hit and direction in ("long", "short"),
        in_ic,
    ),
    st.sampled_from(["1000PEPE", "币安人生", "ΣΩ"]),
    st.integers(0, 2**48),
    st.floats(-1, 1),
    st.sampled_from([None, "long", "short", "neutral"]),
    st.floats(0, 1),
    st.floats(1e-9, 1e9),
    st.none() | st.floats(1e-9, 1e9),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["1m", "5m", "1h", "composite"]),
)


@given(st.lists(outcomes, min_size=1, max_size=8))
def test_lines_are_canonical_json_hashed_with_the_hash_before(items: list[Outcome]) -> None:
    """Recomputed here with nothing of ours: what a stranger would do."""
    chain, prev = Chain(), "0" * 64
    lines = [written(chain.add(item)) for item in items]
    for number, line in enumerate(lines, 1):
        found: dict[str, Any] = json.loads(line)
        assert (found.pop("prev_hash"), found["seq"]) == (prev, number)
        own = found.pop("hash")
        text = json.dumps(found, sort_keys=True, separators=(",", ":"))
        assert own == sha256((text + prev).encode()).hexdigest()
        assert line.startswith(text[:-1].encode() + b",")
        prev = own
    checked = verify(lines)
    assert (checked.broken, checked.lines, checked.seq, checked.hash) == (None, len(items), len(items), chain.hash)
    assert [read_line(line) for line in lines] == items


def test_a_line_by_hand() -> None:
    chain = Chain()
    item = Outcome("BTC", "1m", T0, T0 + MINUTE, 0.3, "long", 0.5, 100.0, 101.0, 0.009950330853, True, True, False)
    line = written(chain.add(item))
    text = (
        '{"T":1763683200000,"at":1763683260000,"direction":"long","hit":true,"horizon":"1m","in_hit":true,'
        '"in_ic":false,"p_hit":0.5,"price_at":101.0,"price_then":100.0,"ret":0.009950330853,"score":0.3,"seq":1,'
        '"symbol":"BTC"}'
    )
    assert json.loads(line) == json.loads(text) | {
        "prev_hash": GENESIS,
        "hash": sha256((text + GENESIS).encode()).hexdigest(),
    }


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_changed_byte_is_found_in_its_line(data: st.DataObject) -> None:
    text = bytearray(b"\n".join(LINES) + b"\n")
    position = data.draw(st.integers(0, len(text) - 1))
    text[position] ^= data.draw(st.integers(1, 255))
    where = b"".join(line + b"\n" for line in LINES)[:position].count(b"\n") + 1
    lines = bytes(text).split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    checked = verify(lines)
    assert checked.broken == where
    assert checked.why != ""
    assert checked.lines == where


@pytest.mark.parametrize("number", [0, 4, 10])
def test_a_line_left_out_twice_told_or_moved_is_found(number: int) -> None:
    without = [*LINES[:number], *LINES[number + 1 :]]
    assert verify(without, GENESIS, 0).broken == number + 1
    twice = [*LINES[: number + 1], *LINES[number:]]
    assert verify(twice).broken == number + 2
    swapped = [*LINES[:number], LINES[number + 1], LINES[number], *LINES[number + 2 :]]
    assert verify(swapped, GENESIS, 0).broken == number + 1


def test_a_line_put_in_with_a_hash_of_its_own_breaks_the_next() -> None:
    head = json.loads(LINES[3])
    chain = Chain()
    chain.seq, chain.hash = head["seq"], head["hash"]
    false = Outcome("BTC", "1m", T0, T0 + MINUTE, 0.3, "long", 0.5, 100.0, 101.0, 0.009950330853, True, True, False)
    checked = verify([*LINES[:4], written(chain.add(false)), *LINES[5:]])
    assert (checked.broken, checked.why) == (6, "prev_hash is not the hash of the line before")


def rewritten(line: bytes, **changes: Any) -> bytes:
    """A line with its hash made right again: the liar has the code, too."""
    found = {**json.loads(line), **changes}
    fields = {name: found[name] for name in FIELDS}
    text = canonical(fields)
    own = sha256((text + found["prev_hash"]).encode()).hexdigest()
    return f'{text[:-1]},"prev_hash":"{found["prev_hash"]}","hash":"{own}"}}'.encode()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"price_at": 250.0}, "ret is not ln"),
        ({"hit": None}, "hit does not follow"),
        ({"horizon": "2h"}, "unknown horizon"),
        ({"at": None}, "lost, and yet"),
        ({"price_then": "100"}, "wrong type"),
        ({"T": "soon"}, "wrong type"),
        ({"T": 1.5}, "wrong type"),
        ({"symbol": ["BTC"]}, "wrong type"),
        ({"score": True}, "wrong type"),
        ({"p_hit": None}, "wrong type"),
        ({"in_hit": 1}, "wrong type"),
        ({"direction": {}}, "wrong type"),
        ({"at": True}, "wrong type"),
        ({"price_then": 0.0}, "wrong type"),
        ({"p_hit": 1.5}, "out of its range"),
        ({"score": -2.0}, "out of its range"),
        ({"horizon": ["1m"]}, "unknown horizon"),
        ({"direction": "neutral", "hit": None, "in_hit": True}, "in_hit without a direction"),
    ],
)
def test_numbers_that_contradict_each_other_are_found_under_a_right_hash(changes: dict[str, Any], why: str) -> None:
    """Cause of many: `elr scoreboard` ended in a traceback where a rightly hashed line had values of a wrong type."""
    checked = verify([rewritten(LINES[0], **changes)])
    assert checked.broken == 1
    assert why in checked.why


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        LINES[0].replace(b'"prev_hash":"0', b'"prev_hash":"\\ud800'),
        LINES[0].replace(b'"p_hit":0.5', b'"p_hit":NaN'),
        LINES[0] + b" ",
        LINES[0].replace(b"{", b'{"seq":1,', 1),
    ],
)
def test_what_is_no_line_of_ours_is_broken_and_never_an_exception(line: bytes) -> None:
    assert verify([LINES[0], line]).broken == 2


def test_a_part_is_taken_at_its_word_unless_one_knows_what_it_follows() -> None:
    middle = LINES[5:]
    checked = verify(middle)
    assert (checked.broken, checked.first_seq, checked.seq) == (None, 6, 12)
    before = verify(LINES[:5])
    assert verify(middle, before.hash, before.seq).broken is None
    assert verify(middle, GENESIS, 0).broken == 1
    assert verify([]).lines == 0


def test_the_line_of_the_document_is_whole(repository: Path) -> None:
    text = (repository / "docs/scoreboard.md").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith('{"T"')]
    assert verify([line.encode()], GENESIS, 0).broken is None


def test_the_chain_goes_on_from_its_dump() -> None:
    first, second = Chain(), Chain()
    item = read_line(LINES[0])
    first.add(item)
    second.load(first.dump())
    assert written(first.add(item)) == written(second.add(item))
