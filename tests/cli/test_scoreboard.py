"""``elr scoreboard``: says whether the chain is whole, names the first broken line, prints the table."""

from __future__ import annotations

import signal as signals
from pathlib import Path
from typing import Any

import pytest

from service.cli.main import run
from service.scoreboard import Chain
from service.scoreboard.chain import written
from tests.scoreboard.build import HOUR, MINUTE, T0, Day, Market, raised, said, signal


@pytest.fixture(autouse=True)
def _own_signal_handler() -> Any:
    before = signals.getsignal(signals.SIGTERM)
    yield
    signals.signal(signals.SIGTERM, before)


@pytest.fixture
def lines() -> list[bytes]:
    """Forty minutes, one signal each: 1m long, right three times of four; then a composite that is wrong."""
    market = Market()
    price = 100.0
    for minute in range(40):
        market.tick(T0 + minute * MINUTE, signal(price, 0.5, "long", m1=(0.1 + minute / 100, "long")))
        price *= 0.9995 if minute % 4 == 3 else 1.0001
    for minute in range(40, 125):
        market.tick(T0 + minute * MINUTE, None, price)
    assert market.outcomes[-1].at == T0 + 39 * MINUTE + HOUR
    return market.lines


def test_a_whole_ledger_and_its_table(lines: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ledger-000001.jsonl").write_bytes(b"\n".join(lines[:30]) + b"\n")
    (tmp_path / "ledger-000002.jsonl").write_bytes(b"\n".join(lines[30:]) + b"\n")
    assert run(["scoreboard", str(tmp_path), "--symbols", "BTC"]) == 0
    said = capsys.readouterr().out
    assert "ledger-000001.jsonl: 30 lines, whole" in said
    assert f"the chain is whole up to line {len(lines)}, hash " in said
    rows = [line.split() for line in said.splitlines() if " 1m " in line or " composite " in line]
    assert [row[:4] for row in rows] == [
        ["all", "1m", "40", "0.750"],
        ["composite", "1", "0.000", "0.000"],
        ["BTC", "1m", "40", "0.750"],
        ["composite", "1", "0.000", "0.000"],
    ]
    assert rows[0][4:7] == ["0.598", "to", "0.858"]  # Wilson of 30 of 40


def test_tables_of_probabilities_and_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four probabilities of 0.25, one of them right; a flush after which nothing came."""
    day = Day()
    for number in range(4):
        ts = T0 + number * MINUTE
        day.tick(ts, 0.0 if number < 3 else 0.3, said(as_of=ts), [raised("flush", ts)] if number == 1 else ())
    day.minutes(T0 + 4 * MINUTE, 1441, 0.2)
    (tmp_path / "ledger-000001.jsonl").write_bytes(b"\n".join(day.lines) + b"\n")
    assert run(["scoreboard", str(tmp_path), "--symbols", "BTC"]) == 0
    told = capsys.readouterr().out
    assert "p_deleveraging: 1 weeks, 0 lost" in told
    rows = [line.split() for line in told.splitlines()]
    for name in ("all", "BTC"):
        (row,) = [row for row in rows if row[:2] == [name, "oi_5"]]
        assert row[2:6] == ["4", "0.250", "0.188", f"{1 - 4 * 0.1875 / (3 * 0.19**2 + 0.81**2):.3f}"]
    assert ["said", "0.250,", "came", "0.250,", "n", "4"] in rows
    (flush,) = [row for row in rows if row[:2] == ["flush", "oi_5"]]
    assert flush[2:] == ["1", "0.000", "0.250", "0.000", "0"]
    assert "BTC flush: n 1, oi_5 0, oi_10 0, lost 0" in told
    (tmp_path / "ledger-000001.jsonl").write_bytes(b"\n".join([*day.lines, *day.lines[:2]]) + b"\n")
    assert run(["scoreboard", str(tmp_path)]) == 3
    assert "line 6 is broken: prev_hash" in capsys.readouterr().err


def test_a_probability_told_again_after_a_restart_counts_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day = Day()
    day.tick(T0, 0.0, said(as_of=T0), [raised("flush", T0)])
    day.minutes(T0 + MINUTE, 1440)
    chain, again = Chain(), [*day.falls, *(fall._replace(fell=-0.01) for fall in day.falls)]
    (tmp_path / "ledger-000001.jsonl").write_bytes(b"".join(written(chain.add(fall)) + b"\n" for fall in again))
    assert run(["scoreboard", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    counts = {"elr_spike": "0", "flush": "1", "reset": "0", "crowded_longs": "0", "crowded_shorts": "0"}
    assert "2 outcomes told again after a restart are counted once" in told
    rows = [line.split() for line in told.splitlines() if " oi_5 " in line]
    assert [row[:3] for row in rows] == [["all", "oi_5", "1"], *([name, "oi_5", n] for name, n in counts.items())]


def test_a_changed_byte_is_named_and_exits_3(
    lines: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ledger-000001.jsonl"
    path.write_bytes(b"\n".join([*lines[:6], lines[6].replace(b'"score":0.', b'"score":1.'), *lines[7:]]) + b"\n")
    assert run(["scoreboard", str(path)]) == 3
    assert f"elr: {path}: line 7 is broken: hash does not fit the line" in capsys.readouterr().err


def test_a_missing_file_between_is_found(
    lines: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, part in enumerate((lines[:10], lines[20:30])):
        (tmp_path / f"ledger-00000{number + 1}.jsonl").write_bytes(b"\n".join(part) + b"\n")
    assert run(["scoreboard", str(tmp_path)]) == 3
    assert "ledger-000002.jsonl: line 1 is broken: prev_hash" in capsys.readouterr().err


def test_a_part_says_that_it_is_one_and_what_is_told_twice_counts_once(
    lines: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "part.jsonl"
    path.write_bytes(b"\n".join(lines[30:35]) + b"\n")
    assert run(["scoreboard", str(path)]) == 0
    assert "begins in the middle: with line 31 of the chain" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no ledger: name a FILE"),
        (["none.jsonl"], "none.jsonl: no ledger there"),
    ],
)
def test_usage(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scoreboard", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_an_empty_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ledger-000001.jsonl").write_bytes(b"")
    config = tmp_path / "elr.toml"
    config.write_text('[scoreboard]\nfolder = "."\n')
    assert run(["scoreboard", "--config", str(config)]) == 0
    assert "no outcome yet" in capsys.readouterr().out
