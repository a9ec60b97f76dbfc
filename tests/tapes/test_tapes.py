"""Tapes: what is written is read back, appended runs stay apart, and a torn tail costs only itself."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import TapeError
from service.tapes import Header, Record, TapeWriter, read
from service.tapes.format import parse_line, record_line

HEADER = Header(1, "simulated", "0.1.0", True, {"feed": {"port": 1}}, [{"symbol": "BTC"}], {"version": 1})

names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
times = st.integers(0, 2**53)
records = st.one_of(
    st.builds(Record, st.just("o"), times, names, names),
    st.builds(
        lambda t, v, c, raw, ctx: Record("f", t, v, c, raw=raw, context=ctx), times, names, names, st.text(), st.text()
    ),
    st.builds(lambda t, v, c, why: Record("c", t, v, c, reason=why), times, names, names, names),
    st.builds(lambda t, v, c, why: Record("b", t, v, c, reason=why), times, names, names, names),
    st.builds(lambda t, d, s: Record("r", t, shift_ms=d, sampled_ms=s), times, st.integers(-(2**40), 2**40), times),
    st.builds(lambda t: Record("p", t), times),
    st.builds(lambda t, n: Record("d", t, item={"symbol": n, "supply": None}), times, names),
    st.builds(lambda t: Record("e", t), times),
)


@given(records)
def test_a_record_survives_its_line(record: Record) -> None:
    assert parse_line(record_line(record)) == record


def test_bytes_that_are_not_text_survive() -> None:
    back = parse_line(record_line(Record("f", 5, "okx", "a#1", raw=b"\xff\x00{", context="meta")))
    assert isinstance(back, Record)
    assert back.raw == b"\xff\x00{"
    assert back.context == "meta"


def test_lone_surrogates_survive_as_bytes() -> None:
    back = parse_line(record_line(Record("f", 5, "okx", "a#1", raw="\ud800")))
    assert isinstance(back, Record)
    assert back.raw == "\ud800".encode("utf-8", "surrogatepass")


def test_a_header_survives_its_line() -> None:
    assert parse_line(HEADER.line()) == HEADER


def write(path: Path, *items: Record) -> None:
    writer = TapeWriter(path)
    writer.header(HEADER)
    for item in items:
        writer.record(item)
    writer.close()
    assert writer.failed is None


def never(text: str) -> None:
    raise AssertionError(text)


@pytest.mark.parametrize("early", [True, False])
def test_a_held_run_begins_with_its_header_all_the_same(tmp_path: Path, early: bool) -> None:
    """Cause: frames arrive while the past is still being filled in; the header's state is known only afterwards."""
    path = tmp_path / "a.tape"
    write(path, Record("p", 10_000))
    writer = TapeWriter(path)
    writer.hold()
    frames = [Record("f", 20_001 + number, "okx", "a#1", raw="{}", context="") for number in range(3)]
    writer.record(frames[0])
    if early:  # a member of its own, before the header is there
        deadline = time.monotonic() + 5
        while not writer._held and time.monotonic() < deadline:
            time.sleep(0.02)
        assert writer._held
    writer.record(frames[1])
    writer.header(HEADER)
    writer.record(frames[2])
    writer.close()
    assert list(read(path, never)) == [HEADER, Record("p", 10_000), HEADER, *frames]


def test_a_held_run_without_a_header_leaves_the_tape_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.tape"
    write(path, Record("p", 10_000))
    before = path.read_bytes()
    writer = TapeWriter(path)
    writer.hold()
    writer.record(Record("o", 20_000, "okx", "a#1"))
    writer.close()
    assert path.read_bytes() == before


def test_two_runs_appended_to_one_tape(tmp_path: Path) -> None:
    path = tmp_path / "a.tape"
    first, second = Record("p", 10_000), Record("f", 20_001, "bybit", "linear#1", raw="{}")
    write(path, first)
    write(path, second)
    assert list(read(path, never)) == [HEADER, first, HEADER, second]


@pytest.mark.parametrize("cut", [1, 10, 30])
def test_a_torn_last_member_costs_only_itself(tmp_path: Path, cut: int) -> None:
    """Cause: a process killed inside a write leaves half a gzip member at the end."""
    path = tmp_path / "a.tape"
    write(path, Record("p", 10_000))
    whole = path.read_bytes()
    torn = gzip.compress(b'["p",20000]\n["p",30000]\n', mtime=0)
    path.write_bytes(whole + torn[:-cut])
    told: list[str] = []
    kept = list(read(path, told.append))
    assert kept[:2] == [HEADER, Record("p", 10_000)]
    assert len(told) == 1
    assert "inside a member" in told[0]
    assert f"at byte {len(whole)}" in told[0]
    assert f"{len(torn) - cut} bytes are lost" in told[0]


def test_every_truncation_opens_and_keeps_a_prefix(tmp_path: Path) -> None:
    path = tmp_path / "a.tape"
    members = [b"".join([HEADER.line(), b"\n"])] + [f'["p",{n}0000]\n'.encode() for n in range(1, 6)]
    whole = b"".join(gzip.compress(member, mtime=0) for member in members)
    expected = [HEADER, *[Record("p", n * 10_000) for n in range(1, 6)]]
    first = len(gzip.compress(members[0], mtime=0))
    for length in range(first, len(whole) + 1):
        path.write_bytes(whole[:length])
        kept = list(read(path, lambda text: None))
        assert kept == expected[: len(kept)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"not gzip at all", "damaged at byte 0"),
        (b"\x1f\x8b", "damaged at byte 0"),
        (gzip.compress(HEADER.line() + b"\n", mtime=0)[:-1], "damaged at byte 0"),
        (gzip.compress(b'["p",1]\n', mtime=0), "does not begin with a header"),
        (gzip.compress(b'["h",{"format":"other"}]\n', mtime=0), "not an elr tape"),
        (gzip.compress(b'["h",{"format":"elr-tape","version":99}]\n', mtime=0), "version 99"),
        (gzip.compress(HEADER.line() + b'\n["?",1]\n', mtime=0), "line 2: unknown kind"),
        (gzip.compress(HEADER.line() + b"\n[]\n", mtime=0), "line 2: not a tape record"),
    ],
)
def test_a_file_that_is_no_tape_is_refused_in_words(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.tape"
    path.write_bytes(content)
    with pytest.raises(TapeError, match=message):
        list(read(path, never))
