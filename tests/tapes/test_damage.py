"""Damaged tapes: what is lost is said with its place; what is whole is read, and never cut away by the writer."""

from __future__ import annotations

import gzip
import logging
import random
import threading
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from service.errors import ConfigError, TapeError
from service.tapes import Header, Record, TapeWriter, members, read, writer

FIRST = Header(1, "live", "0.1.0", True, {"feed": {"port": 1}}, [{"symbol": "BTC"}], {"version": 1})
SECOND = Header(2, "simulated", "0.2.0", False, {}, [], None)
RUN_1 = gzip.compress(FIRST.line() + b"\n", mtime=0)
RUN_2 = gzip.compress(SECOND.line() + b"\n", mtime=0)
P1, P2, P3 = (Record("p", n * 10_000) for n in (1, 2, 3))
TICK_1, TICK_2, TICK_3 = (gzip.compress(b'["p",%d0000]\n' % n, mtime=0) for n in (1, 2, 3))


def never(text: str) -> None:
    raise AssertionError(text)


def append(path: Path, *records: Record) -> None:
    tape = TapeWriter(path)
    tape.header(SECOND)
    for record in records:
        tape.record(record)
    tape.close()
    assert tape.failed is None


# -- the writer mends ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("torn", [TICK_2[:-1], TICK_2[:20], TICK_2[:1], bytes(70_000)])
def test_a_torn_tape_is_cut_before_a_run_is_appended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, torn: bytes
) -> None:
    """Cause: a run appended behind half a gzip member could never be read again. Zeros: a machine lost its power."""
    path = tmp_path / "a.tape"
    whole = RUN_1 + TICK_1
    path.write_bytes(whole + torn)
    with caplog.at_level(logging.WARNING):
        append(path, P3)
    assert list(read(path, never)) == [FIRST, P1, SECOND, P3]
    assert path.read_bytes().startswith(whole)
    assert f"cut {len(torn)} bytes" in caplog.text
    assert f"from byte {len(whole)} on" in caplog.text


def test_a_whole_tape_is_not_cut(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.tape"
    path.write_bytes(RUN_1 + TICK_1)
    append(path)
    assert list(read(path, never)) == [FIRST, P1, SECOND]
    assert caplog.text == ""


def test_whole_members_behind_damage_are_not_cut(tmp_path: Path) -> None:
    """Cause: a cut at the first damage instead of after the last whole member would lose runs appended since."""
    path = tmp_path / "a.tape"
    before = RUN_1 + TICK_1[:-3] + RUN_2 + TICK_2
    path.write_bytes(before + TICK_3[:-1])
    append(path, P3)
    assert path.read_bytes().startswith(before)
    told: list[str] = []
    assert list(read(path, told.append)) == [FIRST, SECOND, P2, SECOND, P3]
    assert len(told) == 1


def test_a_tape_torn_in_its_first_header_begins_anew(tmp_path: Path) -> None:
    """Cause: killed while the first header (tens of MiB of state) was written, the service could not record again."""
    path = tmp_path / "a.tape"
    state = {"noise": random.Random(1).randbytes(200_000).hex()}
    path.write_bytes(gzip.compress(Header(1, "live", "0", True, {}, [], state).line(), mtime=0)[:100_000])
    append(path, P1)
    assert list(read(path, never)) == [SECOND, P1]


@pytest.mark.parametrize(
    "content",
    [
        b"a letter to my bank\n" * 5000,
        b"\x1f\x8b",
        gzip.compress(b"somebody's log\n", mtime=0),
        gzip.compress(b'["h",{"format":"other"}]\n', mtime=0) + TICK_1[:-1],
        b"x" + RUN_1 + TICK_1,
    ],
)
def test_a_file_that_is_no_tape_is_never_touched(tmp_path: Path, content: bytes) -> None:
    """Cause: a mistyped --record path must not cost the file that lies there."""
    path = tmp_path / "a.tape"
    path.write_bytes(content)
    with pytest.raises(TapeError, match=r"a\.tape: exists and is not a tape"):
        TapeWriter(path)
    assert path.read_bytes() == content


def test_a_tape_that_is_being_recorded_is_refused(tmp_path: Path) -> None:
    """Cause: a second process would take the first one's unfinished member for a torn one and cut it."""
    path = tmp_path / "a.tape"
    first = TapeWriter(path)
    try:
        with pytest.raises(ConfigError, match=r"a\.tape: cannot be written: another process is recording"):
            TapeWriter(path)
    finally:
        first.close()
    append(path)


@pytest.mark.parametrize(
    ("name", "reason"), [("missing/a.tape", "No such file or directory"), ("folder", "Is a directory")]
)
def test_a_path_that_cannot_be_written_is_a_usage_error(tmp_path: Path, name: str, reason: str) -> None:
    """Cause: a mistyped folder ended with the exit status of a damaged tape."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError) as caught:
        TapeWriter(tmp_path / name)
    assert caught.value.problems == [f"{tmp_path / name}: cannot be written: {reason}"]


# -- the disk ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's always full device")
def test_a_full_disk_is_said_once_and_close_does_not_raise(caplog: pytest.LogCaptureFixture) -> None:
    """Cause: close() flushed the file's buffer again, and the second refusal ended the service with a traceback."""
    tape = TapeWriter("/dev/full")
    tape.header(FIRST)
    tape.record(P1)
    tape.close()
    assert tape.failed is not None
    assert "No space left" in tape.failed
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_file_that_fails_on_closing_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cause: network file systems refuse on close() what they took before."""

    class Refusing(FileIO):
        def close(self) -> None:
            first = not self.closed
            super().close()
            if first:
                raise OSError("quota exceeded")

    monkeypatch.setattr(writer, "_open", lambda path: Refusing(path, "ab"))
    tape = TapeWriter(tmp_path / "a.tape")
    tape.header(FIRST)
    tape.close()
    assert tape.failed == "quota exceeded"
    assert len(caplog.records) == 1


def test_nothing_follows_a_member_written_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cause: a disk that fills and frees again would leave half a member in the middle of the run."""
    writing, queued = threading.Event(), threading.Event()

    class FullOnce(FileIO):
        def write(self, data: Any) -> int:
            if self.tell() > 0 and not queued.is_set():
                writing.set()
                assert queued.wait(5.0)
                raise OSError("no space")
            return super().write(memoryview(data)[:7])

    monkeypatch.setattr(writer, "_open", lambda path: FullOnce(path, "ab"))
    monkeypatch.setattr(writer, "MEMBER_SECONDS", 0.001)
    path = tmp_path / "a.tape"
    tape = TapeWriter(path)
    tape.header(FIRST)
    assert writing.wait(5.0)
    tape.record(P1)
    queued.set()
    tape.close()
    assert tape.failed == "no space"
    assert path.stat().st_size == 7


def test_partial_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cause: an unbuffered file may take a part of a member only."""

    class Small(FileIO):
        def write(self, data: Any) -> int:
            return super().write(memoryview(data)[:7])

    monkeypatch.setattr(writer, "_open", lambda path: Small(path, "ab"))
    append(tmp_path / "a.tape", P1, P2)
    assert list(read(tmp_path / "a.tape", never)) == [SECOND, P1, P2]


def test_a_large_header_does_not_count_against_the_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cause: a warm state larger than the limit stopped the recording at its first frame."""
    monkeypatch.setattr(writer, "MAX_QUEUED_BYTES", 1000)
    path = tmp_path / "a.tape"
    tape = TapeWriter(path)
    large = Header(1, "live", "0.1.0", True, {}, [], {"windows": ["x" * 100] * 100})
    tape.header(large)
    tape.record(P1)
    tape.close()
    assert tape.failed is None
    assert list(read(path, never)) == [large, P1]


def test_frames_above_the_limit_stop_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MAX_QUEUED_BYTES", 1000)
    monkeypatch.setattr(writer, "MEMBER_SECONDS", 60.0)
    tape = TapeWriter(tmp_path / "a.tape")
    for _ in range(11):
        tape.record(Record("f", 5, "okx", "a#1", raw="x" * 100))
    tape.close()
    assert tape.failed == "the disk cannot keep up"


@pytest.mark.parametrize(
    ("record", "most"),
    [
        (Record("f", 5, "okx", "a#1", raw="\U0001f680" * 100), 2),  # four bytes a character
        (Record("f", 5, "okx", "a#1", raw=b"x" * 400), 2),
        (Record("d", 5, item={"symbol": "x" * 500}), 1),
    ],
)
def test_the_limit_is_of_bytes(record: Record, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cause: characters were counted, and nothing of a record without a frame: a backlog took more than it may."""
    monkeypatch.setattr(writer, "MAX_QUEUED_BYTES", 1050)
    monkeypatch.setattr(writer, "MEMBER_SECONDS", 60.0)
    tape = TapeWriter(tmp_path / "a.tape")
    for _ in range(most):
        tape.record(record)
    assert tape.failed is None
    tape.record(record)
    tape.close()
    assert tape.failed == "the disk cannot keep up"


def test_a_record_that_cannot_be_written_is_told_and_ends_the_tape(tmp_path: Path) -> None:
    """Cause: the thread that makes the lines died in silence, and what came after waited for nobody."""
    path = tmp_path / "a.tape"
    tape = TapeWriter(path)
    tape.header(FIRST)
    tape.record(Record("f", 5, "okx", "a#1", raw="x", context="\ud800"))
    tape.close()
    assert tape.failed is not None
    tape.record(P1)
    tape.header(SECOND)
    assert path.read_bytes() == b""


def test_records_come_out_as_they_went_in(tmp_path: Path) -> None:
    """Cause guarded against: the loop appends while the thread takes, without a lock."""
    records = [Record("p", 10_000 * n) for n in range(1, 20_001)]
    tape = TapeWriter(tmp_path / "a.tape")
    tape.header(Header(1, "live", "0.1.0", True, {}, [], None))
    for record in records:
        tape.record(record)
    tape.close()
    assert tape.failed is None
    assert list(read(tmp_path / "a.tape", never))[1:] == records


# -- the reader goes on --------------------------------------------------------------------------------------------

BAD_CRC = TICK_2[:-8] + bytes(4) + TICK_2[-4:]


@pytest.mark.parametrize(
    "lost",
    [TICK_2[:-3], TICK_2[:3], BAD_CRC, BAD_CRC + TICK_3, RUN_1[:-1], b"garbage" * 100_000, bytes(300_001)],
)
def test_the_reader_goes_on_with_the_next_run(tmp_path: Path, lost: bytes) -> None:
    """Cause: runs appended behind a torn member were taken for its damage, and lost; or refused with all before."""
    path = tmp_path / "a.tape"
    path.write_bytes(RUN_1 + TICK_1 + lost + RUN_2 + TICK_3)
    told: list[str] = []
    assert list(read(path, told.append)) == [FIRST, P1, SECOND, P3]
    start = len(RUN_1 + TICK_1)
    assert len(told) == 1
    assert f"damaged at byte {start} " in told[0]
    assert f" {len(lost)} bytes are lost" in told[0]
    assert f"the run at byte {start + len(lost)}" in told[0]


def test_a_torn_member_that_swallows_the_next_run(tmp_path: Path) -> None:
    """Cause: a stored block takes the bytes of the members behind the tear for its own, up to the end of the file."""
    path = tmp_path / "a.tape"
    stored = gzip.compress(b'["f",1,"okx","a#1","%s",""]\n' % (b"y" * 40_000), compresslevel=0, mtime=0)[:1000]
    path.write_bytes(RUN_1 + TICK_1 + stored + RUN_2 + TICK_3)
    told: list[str] = []
    assert list(read(path, told.append)) == [FIRST, P1, SECOND, P3]
    assert f" {len(stored)} bytes are lost" in told[0]


def test_every_place_of_the_next_run_against_the_chunks_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cause: the mark of a member that straddles two reads is easily missed."""
    monkeypatch.setattr(members, "CHUNK", 64)
    path = tmp_path / "a.tape"
    for gap in range(1, 130):
        path.write_bytes(RUN_1 + bytes(gap) + RUN_2)
        told: list[str] = []
        assert list(read(path, told.append)) == [FIRST, SECOND]
        assert f" {gap} bytes are lost" in told[0]


def test_a_torn_first_header_costs_its_run_only(tmp_path: Path) -> None:
    path = tmp_path / "a.tape"
    path.write_bytes(RUN_1[:-5] + RUN_2 + TICK_1)
    told: list[str] = []
    assert list(read(path, told.append)) == [SECOND, P1]
    assert "damaged at byte 0 " in told[0]


@pytest.mark.parametrize("gap", [0, 10, 1_000_000])
def test_damage_inside_a_run_is_refused_with_its_place(tmp_path: Path, gap: int) -> None:
    """Cause: with the following members beyond the 256 KiB read at once, damage in the middle passed for a torn end."""
    path = tmp_path / "a.tape"
    path.write_bytes(RUN_1 + TICK_1 + BAD_CRC + bytes(gap) + TICK_3)
    kept: list[Header | Record] = []
    with pytest.raises(TapeError, match=f"damaged at byte {len(RUN_1 + TICK_1)}:"):
        kept.extend(read(path, never))
    assert kept == [FIRST, P1]


@pytest.mark.parametrize("tail", [BAD_CRC, bytes(5), bytes(1_000_000), b"\x1f\x8b\x08" * 1000])
def test_damage_that_nothing_follows_is_a_torn_end(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "a.tape"
    path.write_bytes(RUN_1 + TICK_1 + tail)
    told: list[str] = []
    assert list(read(path, told.append)) == [FIRST, P1]
    assert len(told) == 1
    assert f"the last member, at byte {len(RUN_1 + TICK_1)}, is torn" in told[0]
    assert f" {len(tail)} bytes are lost" in told[0]


def test_a_member_far_larger_than_a_piece_is_read(tmp_path: Path) -> None:
    """Cause: output is inflated in bounded pieces; none may be lost between them."""
    path = tmp_path / "a.tape"
    big = Record("f", 5, "okx", "a#1", raw="z" * (3 * members.PIECE + 17))
    append(path, big, P1)
    assert list(read(path, never)) == [SECOND, big, P1]
    append(path)
    assert len(list(read(path, never))) == 4
