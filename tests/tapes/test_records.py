"""One line of a tape: every field has the type it was written with, and times can have been recorded so."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.errors import TapeError
from service.tapes import Header, Record, read
from service.tapes.format import parse_line, record_line

HOUR_MS = 3_600_000
T0 = 1_700_000_000_000
HEADER = Header(T0, "live", "0.1.0", True, {"feed": {"port": 1}}, [{"symbol": "BTC"}], None)


@pytest.mark.parametrize(
    "parts",
    [
        {"h": 1},
        "f",
        [["f"], 1],
        ["f", "1", "okx", "a#1", "{}", "ctx"],
        ["f", 1.5, "okx", "a#1", "{}", "ctx"],
        ["f", True, "okx", "a#1", "{}", "ctx"],
        ["f", 1, None, "a#1", "{}", "ctx"],
        ["f", 1, "okx", 7, "{}", "ctx"],
        ["f", 1, "okx", "a#1", {"data": []}, "ctx"],
        ["f", 1, "okx", "a#1", "{}", None],
        ["f", 1, "okx", "a#1", "{}"],
        ["f", 1, "okx", "a#1", "{}", "ctx", "more"],
        ["x", 1, "okx", "a#1", "not base 64!", "ctx"],
        ["x", 1, "okx", "a#1", "é", "ctx"],
        ["o", 1, "okx", ["a#1"]],
        ["b", 1, "okx", "a#1", 3],
        ["c", 1, "okx", "a#1"],
        ["r", 1, "5", 1],
        ["r", 1, 5, None],
        ["d", 1, ["BTC"]],
        ["d", 1],
        ["p", "10000"],
        ["e"],
        ["h", []],
    ],
)
def test_a_field_of_another_type_is_refused(parts: Any) -> None:
    """Cause: a frame whose text was an object went through and stopped the replay with a TypeError elsewhere."""
    with pytest.raises(TapeError, match="not a tape record"):
        parse_line(orjson.dumps(parts))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("created_ms", "1"),
        ("created_ms", True),
        ("source", 1),
        ("service_version", None),
        ("ticks", 1),
        ("config", []),
        ("denominators", {}),
        ("denominators", [1]),
        ("state", "cold"),
        ("version", True),
    ],
)
def test_a_header_of_other_types_is_refused_by_name(name: str, value: Any) -> None:
    """Cause: header fields were forced (bool("no") is True) or let through."""
    plain = orjson.loads(HEADER.line())[1]
    with pytest.raises(TapeError, match=name):
        parse_line(orjson.dumps(["h", {**plain, name: value}]))
    if name != "version":
        del plain[name]
        with pytest.raises(TapeError, match=f"header without {name}"):
            parse_line(orjson.dumps(["h", plain]))


def test_a_shift_keeps_the_last_sample_before_it() -> None:
    """Cause: a replay could not know how far the live run had sampled when its clock was shifted."""
    record = Record("r", T0, shift_ms=-1500, sampled_ms=T0 + 1000)
    assert record_line(record) == b'["r",%d,-1500,%d]' % (T0, T0 + 1000)
    assert parse_line(record_line(record)) == record


def frame(ts: int) -> Record:
    return Record("f", ts, "bybit", "linear#1", raw="{}")


def shift(ts: int, by: int, sampled: int = 0) -> Record:
    return Record("r", ts, shift_ms=by, sampled_ms=sampled)


def tape(folder: Path, *records: Record) -> Path:
    path = folder / "a.tape"
    path.write_bytes(gzip.compress(b"\n".join([HEADER.line(), *map(record_line, records), b""])))
    return path


def never(text: str) -> None:
    raise AssertionError(text)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([frame(T0 - 1)], "line 2: .*goes back"),
        ([frame(T0 + 5), frame(T0 + 4)], "line 3: .*goes back"),
        ([frame(T0 + 31 * 24 * HOUR_MS + 1)], "line 2: .*31 days"),
        ([frame(T0), frame(2**62)], "line 3: .*31 days"),
        ([frame(T0), Record("p", T0 - 60_001)], "line 3: .*goes back"),
        ([frame(T0), Record("p", T0 + 31 * 24 * HOUR_MS + 1)], "line 3: .*31 days"),
        ([Record("p", T0 + 60_002), frame(T0 + 1)], "line 3: .*goes back"),
        ([frame(T0 + 2000), Record("e", T0 + 999)], "line 3: .*goes back"),
        ([Record("e", T0 + 31 * 24 * HOUR_MS + 1)], "line 2: .*31 days"),
        ([frame(T0 + 5), shift(T0 + HOUR_MS, HOUR_MS), frame(T0 + HOUR_MS - 1)], "line 4: .*goes back"),
        ([frame(T0), shift(2**62, 0)], "line 3: .*31 days"),
        ([frame(T0), shift(T0, 60_001)], "line 3: .*goes back"),
        ([frame(T0), shift(T0, 0, T0 + 60_001)], "line 3: last sample"),
        ([shift(T0 + HOUR_MS, HOUR_MS), Record("p", T0 + 60_001)], "line 3: .*goes back"),
        ([shift(T0 + HOUR_MS, HOUR_MS), frame(T0 + HOUR_MS), Record("p", T0)], "line 4: .*goes back"),
    ],
)
def test_a_time_that_cannot_follow_is_refused(tmp_path: Path, records: list[Record], message: str) -> None:
    """Cause: one flipped digit of a time made the replay sample every second of centuries."""
    kept: list[Header | Record] = []
    with pytest.raises(TapeError, match=message):
        kept.extend(read(tape(tmp_path, *records), never))
    assert kept == [HEADER, *records[:-1]]


@pytest.mark.parametrize(
    "records",
    [
        [frame(T0), frame(T0), frame(T0 + 31 * 24 * HOUR_MS)],
        [frame(T0), Record("p", T0 - 60_000), Record("p", T0 + 60_000), frame(T0)],
        [Record("p", T0 + 20 * HOUR_MS), frame(T0 + 20 * HOUR_MS), frame(T0 + 40 * HOUR_MS)],  # asleep, then on
        [Record("p", T0 + n * 20 * HOUR_MS) for n in range(4)],  # every venue down for days, ticks going on
        [frame(T0 + 1001), Record("e", T0 + 1000)],  # frames are stamped after the last sample, the end is not
        [frame(T0 + 5), shift(T0 + 5 - HOUR_MS, -HOUR_MS, T0), frame(T0 + 5 - HOUR_MS)],
        [frame(T0), shift(T0 + 99 * HOUR_MS, 99 * HOUR_MS, T0), frame(T0 + 99 * HOUR_MS)],
        # a tick taken before the shift, published after it under the old time
        [frame(T0), shift(T0 + HOUR_MS, HOUR_MS, T0), Record("p", T0), frame(T0 + HOUR_MS)],
        [frame(T0), shift(T0 - HOUR_MS, -HOUR_MS, T0), Record("p", T0), frame(T0 - HOUR_MS)],
    ],
)
def test_times_of_an_honest_run_are_accepted(tmp_path: Path, records: list[Record]) -> None:
    assert list(read(tape(tmp_path, *records), never)) == [HEADER, *records]


def test_each_run_has_its_own_times(tmp_path: Path) -> None:
    path = tape(tmp_path, frame(T0 + 5))
    path.write_bytes(path.read_bytes() * 2)
    assert list(read(path, never)) == [HEADER, frame(T0 + 5)] * 2
