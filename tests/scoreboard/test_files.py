"""The ledger's files: packed, deleted on request, on a disk that fails for a while, read by a start after a crash."""

from __future__ import annotations

import gzip
import os
import signal as signals
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.cli.main import run
from service.config import MarketSection
from service.core.engine import Engine
from service.runtime import ledger_file as module
from service.runtime.ledger_file import LedgerFile, Reader, files, lines_of
from service.runtime.scoreboard_output import ScoreboardOutput
from service.scoreboard import GENESIS, Outcome, read_line, verify
from service.scoreboard.chain import Chain
from service.scoreboard.chain import written as written_line
from service.scoreboard.outcome import log_return
from tests.core.build import rules
from tests.scoreboard.build import T0, TICK, Market, signal


@pytest.fixture(autouse=True)
def _own_signal_handler() -> Any:
    before = signals.getsignal(signals.SIGTERM)
    yield
    signals.signal(signals.SIGTERM, before)


def some_lines(count: int) -> list[bytes]:
    market = Market()
    number = 0
    while len(market.lines) < count:
        market.tick(T0 + number * TICK, signal(100.0 + number % 5, 0.4, m1=(0.3 - number % 3 * 0.2, "long")))
        number += 1
    return market.lines[:count]


LINES = some_lines(60)


def read_all(folder: Path) -> list[bytes]:
    return [line for path in files(folder) for line in lines_of(path)]


def written(folder: Path, lines: list[bytes], rotate: int = 2000, keep: int | None = None) -> LedgerFile:
    ledger = LedgerFile(folder, rotate, keep)
    for line in lines:
        ledger.write([line])
    ledger.close()
    return ledger


# -- bounded and packed --------------------------------------------------------------------------------------------


def test_only_so_many_files_stay_and_what_is_left_is_a_whole_part_of_the_chain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, LINES, keep=3)
    kept = files(tmp_path)
    assert len(kept) == 3
    left = read_all(tmp_path)
    assert left == LINES[-len(left) :]
    assert 10 < len(left) < 60
    checked = verify(left)
    assert (checked.broken, checked.seq) == (None, 60)
    assert checked.first_prev == verify(LINES[: -len(left)]).hash
    assert run(["scoreboard", str(tmp_path)]) == 0
    assert f"begins in the middle: with line {61 - len(left)} of the chain" in capsys.readouterr().out
    again = LedgerFile(tmp_path, 2000, 3)
    assert again.end == (60, checked.hash)
    again.close()


def test_files_packed_by_the_operator_are_read_and_the_next_one_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, LINES[:40])
    for path in files(tmp_path):
        (tmp_path / (path.name + ".gz")).write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    count = len(files(tmp_path))
    again = LedgerFile(tmp_path, 2000)
    assert again.end == (40, verify(LINES[:40]).hash)
    assert again.path.name == f"ledger-{count + 1:06d}.jsonl"
    again.write(LINES[40:])
    again.close()
    assert read_all(tmp_path) == LINES
    assert run(["scoreboard", str(tmp_path)]) == 0
    assert "the chain is whole up to line 60" in capsys.readouterr().out


def test_a_file_being_packed_is_not_read_twice(tmp_path: Path) -> None:
    written(tmp_path, LINES)
    first = files(tmp_path)[0]
    (tmp_path / (first.name + ".gz")).write_bytes(b"half")
    assert read_all(tmp_path) == LINES


@pytest.mark.parametrize("cut", [0, 20])
def test_a_packed_file_that_is_damaged_is_an_answer_and_no_traceback(
    cut: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ledger-000001.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(LINES) + b"\n")[:-1000][cut:])
    assert run(["scoreboard", str(path)]) == 3
    assert "cannot be read" in capsys.readouterr().err


def test_other_files_in_the_folder_are_none_of_ours(tmp_path: Path) -> None:
    written(tmp_path, LINES[:5])
    for name in ("ledger-²².jsonl", "ledger-.jsonl", "ledger-1.jsonl.bak", "ledger-abc.jsonl", "notes.txt"):
        (tmp_path / name).write_text("x")
    assert read_all(tmp_path) == LINES[:5]


# -- ends that are not lines ---------------------------------------------------------------------------------------


def test_a_tail_of_zeros_as_a_crash_leaves_is_cut_off_however_long(tmp_path: Path) -> None:
    """Cause: only the last 4 KiB were looked at, so that a longer tail ended the chain, and 4 KiB of it were cut."""
    ledger = written(tmp_path, LINES[:3], rotate=10_000)
    ledger.path.write_bytes(ledger.path.read_bytes() + bytes(20_000))
    again = LedgerFile(tmp_path, 10_000)
    assert again.end == (3, verify(LINES[:3]).hash)
    again.write(LINES[3:5])
    again.close()
    assert read_all(tmp_path) == LINES[:5]


def test_a_long_tail_that_is_something_stays_to_be_looked_at(tmp_path: Path) -> None:
    """Cause: 4 KiB of whatever stood at the end were cut off, as if they were half a line of ours."""
    ledger = written(tmp_path, LINES[:3], rotate=10_000)
    text = ledger.path.read_bytes() + b"x" * 5000
    ledger.path.write_bytes(text)
    again = LedgerFile(tmp_path, 10_000)
    assert (again.end, again.path.name) == (None, "ledger-000002.jsonl")
    again.close()
    assert ledger.path.read_bytes() == text


def test_a_line_being_written_is_no_broken_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cause: a look at the ledger of a running service, or of one that was killed, could say that it is broken."""
    path = tmp_path / "ledger-000001.jsonl"
    path.write_bytes(b"\n".join(LINES[:10]) + b"\n" + LINES[10][:200])
    assert run(["scoreboard", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "line 11 is being written, or was when the power went: not counted" in said
    assert "whole up to line 10" in said
    (tmp_path / "ledger-000002.jsonl").write_bytes(b"\n".join(LINES[10:20]) + b"\n")
    assert run(["scoreboard", str(tmp_path)]) == 3  # nothing may follow half a line
    assert "ledger-000001.jsonl: line 11 is broken: it is cut off" in capsys.readouterr().err


def test_every_changed_byte_of_a_file_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them, one after the other, in three ways, but the last newline, which is a line under way then."""
    path = tmp_path / "ledger-000001.jsonl"
    text = b"\n".join(LINES[:3]) + b"\n"
    line = 1
    for position in range(len(text) - 1):
        for flip in (1, 0x20, 0x80):
            changed = bytearray(text)
            changed[position] ^= flip
            path.write_bytes(changed)
            checked = verify(Reader(path))
            assert checked.broken == line, (position, flip)
        line += text[position] == ord("\n")
    path.write_bytes(text[:-1] + b"x")
    reader = Reader(path)
    assert (verify(reader).lines, reader.unfinished) == (2, len(LINES[2]) + 1)


def test_files_in_the_wrong_order_and_one_twice_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = []
    for number, part in enumerate((LINES[:20], LINES[20:40], LINES[40:])):
        parts.append(tmp_path / f"part{number}")
        parts[-1].write_bytes(b"\n".join(part) + b"\n")
    for order, broken in (((1, 0, 2), 0), ((0, 2, 1), 2), ((0, 1, 1), 1), ((0, 1, 2, 0), 0)):
        assert run(["scoreboard", *[str(parts[number]) for number in order]]) == 3, order
        assert f"part{broken}: line 1 is broken: prev_hash" in capsys.readouterr().err
    joined = tmp_path / "joined"
    joined.write_bytes(b"\n".join([*LINES[40:], *LINES[:40]]) + b"\n")
    assert run(["scoreboard", str(joined)]) == 3
    assert "line 21 is broken" in capsys.readouterr().err


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    """Cause: a file without newlines was read as one line, whatever its size."""
    path = tmp_path / "ledger-000001.jsonl"
    path.write_bytes(b"x" * 1_000_000)
    assert max(len(line) for line in lines_of(path)) <= module.LONGEST_LINE
    assert verify(Reader(path)).broken == 1


# -- a disk that fails ---------------------------------------------------------------------------------------------


class Disk:
    """Stands before the file: takes so many bytes more, then is full."""

    def __init__(self, file: Any, free: int) -> None:
        self.file, self.free = file, free

    def write(self, data: Any) -> int:
        if self.free <= 0 and len(data) > 0:
            raise OSError(28, "No space left on device")
        taken = int(self.file.write(data[: self.free]))
        self.free -= taken
        return taken

    def truncate(self, size: int) -> int:
        return int(self.file.truncate(size))

    def fileno(self) -> int:
        return int(self.file.fileno())

    def close(self) -> None:
        self.file.close()


def test_what_was_written_is_forced_to_the_disk_also_in_files_that_are_done_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut the state was ahead of a ledger that nobody had forced to the disk."""
    synced: list[int] = []
    ledger = LedgerFile(tmp_path, 6000)
    monkeypatch.setattr(module.os, "fsync", lambda number: synced.append(os.fstat(number).st_ino))
    for line in LINES:
        ledger.write([line])
    assert 2 < len(files(tmp_path)) <= 1 + module.MOST_OPEN
    ledger.sync()
    assert set(synced) == {path.stat().st_ino for path in files(tmp_path)}
    synced.clear()
    ledger.sync()
    assert synced == [ledger.path.stat().st_ino]
    ledger.close()


def test_without_a_state_full_files_do_not_stay_open(tmp_path: Path) -> None:
    """sync() is the saver's call; a service that keeps no state would have run out of files in a year."""
    ledger = LedgerFile(tmp_path, 1000)
    opened = []
    for line in LINES:
        ledger.write([line])
        opened.append(ledger._file)
    kept = {id(file) for file in opened if file is not None and not file.closed}
    assert len(files(tmp_path)) > 10
    assert len(kept) == 1 + module.MOST_OPEN
    ledger.close()
    assert all(file is None or file.closed for file in opened)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[tuple[LedgerFile, Disk]]:
    ledger = LedgerFile(tmp_path, 1 << 20)
    disk = Disk(ledger._file, 1000)
    ledger._file = disk  # type: ignore[assignment]
    yield ledger, disk
    ledger.close()


def test_lines_wait_for_a_disk_that_is_full_for_a_while(full: tuple[LedgerFile, Disk], tmp_path: Path) -> None:
    """Cause: after one failed write nothing was written until the next start, and half a line stayed behind."""
    ledger, disk = full
    ledger.write(LINES[:2])
    ledger.write(LINES[2:5])  # a part of it goes in
    ledger.write(LINES[5:9])
    assert not ledger.failed
    assert (ledger.failures, ledger.waiting_bytes) == (2, len(b"\n".join(LINES[2:9])) + 1)
    disk.free = 1 << 20
    ledger.write(LINES[9:12])
    assert (ledger.failures, ledger.waiting_bytes) == (2, 0)
    assert read_all(tmp_path) == LINES[:12]


def test_what_waits_is_bounded_and_what_was_written_stays_whole(
    full: tuple[LedgerFile, Disk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, disk = full
    monkeypatch.setattr(module, "BACKLOG_BYTES", 3000)
    for line in LINES[:20]:
        ledger.write([line])
    assert ledger.failed
    assert ledger.waiting_bytes == 0  # nothing waits any more: it is lost
    disk.free = 1 << 20
    ledger.write(LINES[20:25])  # there is a hole now: nothing can follow
    ledger.close()
    again = LedgerFile(tmp_path, 1 << 20)
    assert again.end == (2, verify(LINES[:2]).hash)
    again.close()


def test_a_full_disk_at_the_end_is_tried_once_more(full: tuple[LedgerFile, Disk], tmp_path: Path) -> None:
    ledger, disk = full
    ledger.write(LINES[:6])
    disk.free = 1 << 20
    ledger.close()
    assert read_all(tmp_path) == LINES[:6]


# -- what a start reads --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("seq", [0, 1, 17, 39, 40])
def test_the_lines_after_a_known_one(seq: int, packed: bool, tmp_path: Path) -> None:
    written(tmp_path, LINES[:40])
    if packed:
        first = files(tmp_path)[1]
        (tmp_path / (first.name + ".gz")).write_bytes(gzip.compress(first.read_bytes()))
        first.unlink()
    ledger = LedgerFile(tmp_path, 2000)
    known = GENESIS if seq == 0 else verify(LINES[:seq]).hash
    assert ledger.told_after(seq, known) == [read_line(line) for line in LINES[seq:40]]
    assert ledger.told_after(seq, "f" * 64) is None or seq == 0
    assert ledger.told_after(41, known) is None
    ledger.close()


def test_a_ledger_begun_over_an_older_record_says_what_it_follows(tmp_path: Path) -> None:
    """Switched on after line 12 and killed before the next save: its outcomes were never counted."""
    written(tmp_path, LINES[12:40])
    ledger = LedgerFile(tmp_path, 2000)
    assert ledger.told_after(12, verify(LINES[:12]).hash) == [read_line(line) for line in LINES[12:40]]
    assert ledger.told_after(12, "f" * 64) is None
    assert ledger.told_after(11, verify(LINES[:11]).hash) is None  # line 12 is nowhere
    ledger.close()


def test_a_hash_that_was_kept_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, LINES)
    known = verify(LINES[:17]).hash
    assert run(["scoreboard", str(tmp_path), "--hash", f"17:{known}"]) == 0
    assert "line 17 has the hash that was kept: up to it nothing was changed" in capsys.readouterr().out
    for kept, said in ((f"18:{known}", "line 18 has another hash"), (f"61:{known}", "line 61 is not in it")):
        assert run(["scoreboard", str(tmp_path), "--hash", f"17:{known}", "--hash", kept]) == 3
        assert said in capsys.readouterr().err
    assert run(["scoreboard", str(tmp_path), "--hash", "17:abc"]) == 2
    assert "--hash 17:abc: NUMBER:HASH" in capsys.readouterr().err


def test_what_a_start_cannot_know_it_does_not_guess(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, LINES[:40])
    ledger = LedgerFile(tmp_path, 2000)
    monkeypatch.setattr(module, "MOST_TOLD", 10)
    assert ledger.told_after(29, verify(LINES[:29]).hash) is None  # too many
    assert ledger.told_after(30, verify(LINES[:30]).hash) is not None
    files(tmp_path)[0].unlink()
    assert ledger.told_after(0, GENESIS) is None  # the beginning is gone
    path = files(tmp_path)[-1]
    path.write_bytes(path.read_bytes().replace(b'"symbol":"BTC"', b'"symbol":"ETH"', 1))
    assert ledger.told_after(34, verify(LINES[:34]).hash) is None  # broken on the way
    ledger.close()
    empty = LedgerFile(tmp_path / "new", 2000)
    assert empty.told_after(0, GENESIS) is None
    empty.close()


# -- names ---------------------------------------------------------------------------------------------------------


def lines_of_names(*symbols: str) -> list[bytes]:
    """A ledger of a coin whose name changed on the way, its chain unbroken."""
    chain, found = Chain(), []
    for number, symbol in enumerate(symbols):
        ts = T0 + number * 120_000
        ret = log_return(100.0, 101.0)
        outcome = Outcome(symbol, "1m", ts, ts + 60_000, 0.5, "long", 0.5, 100.0, 101.0, ret, True, True, True)
        found.append(written_line(chain.add(outcome)))
    return found


def test_lines_of_another_name_count_for_the_symbol(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cause: after a renaming the record of a coin begins anew."""
    written(tmp_path, lines_of_names("TON", "TON", "GRAM", "币安人生"))
    for name in ("GRAM", "TON"):
        assert run(["scoreboard", str(tmp_path), "--symbols", name, "币安人生"]) == 0
        said = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert [row[:3] for row in said if row[:1] in (["GRAM"], ["TON"], ["币安人生"])] == [
            ["GRAM", "1m", "3"],
            ["币安人生", "1m", "1"],
        ]


def test_what_the_ledger_tells_of_another_name_is_counted_after_a_crash(tmp_path: Path) -> None:
    written(tmp_path, lines_of_names("TON", "GRAM", "TON"))
    engine = Engine(["GRAM"], rules(), MarketSection(), [])
    ledger = LedgerFile(tmp_path, 2000)
    ScoreboardOutput(engine, ledger, {"TON": "GRAM"})
    ledger.close()
    assert engine.scoreboard.tally("GRAM", "1m").n == 3
    assert engine.scoreboard.chain.seq == 3
