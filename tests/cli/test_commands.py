"""The command line: exit statuses, one-line errors, decode's lines, and what the terminal table shows."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from service.cli import watch
from service.cli.main import run
from service.errors import ConfigError


@pytest.fixture(autouse=True)
def _own_signal_handler() -> Any:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_bad_config_lists_every_problem_and_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('[feed]\nport = 99999\nhots = "x"\n[market]\nmin_venues = 0\n')
    for command in (["serve", "--config", str(path)], ["demo", "--config", str(path)], ["check", str(path)]):
        assert run(command) == 2
        lines = capsys.readouterr().err.splitlines()
        assert [line.split(":")[2].strip() for line in lines] == ["feed.port", "feed.hots", "market.min_venues"]


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        (["check"], 0, "configuration: ok"),
        (["venues"], 0, "hyperliquid"),
        (["check", "none.toml"], 2, "none.toml: cannot be read"),
        (["decode", "nasdaq"], 2, "'nasdaq' is not a venue; known are binance_usdm"),
        (["decode", "okx", "/none"], 2, "/none: cannot be read"),
        (["replay", "none.tape"], 2, "none.tape: no such tape"),
        (["demo", "--port", "99999"], 2, "--port 99999"),
        (["record", "--out", "/none/x.tape"], 3, "/none/x.tape: cannot be written"),
    ],
)
def test_exit_statuses(command: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command) == status
    captured = capsys.readouterr()
    assert said in captured.out + captured.err
    assert "Traceback" not in captured.err


def test_usage_errors_exit_2() -> None:
    for command in ([], ["nonsense"], ["serve", "--nope"]):
        with pytest.raises(SystemExit) as left:
            run(command)
        assert left.value.code == 2


def decode(text: str, venue: str = "hyperliquid") -> tuple[int, list[dict[str, Any]]]:
    done = subprocess.run(
        [sys.executable, "-m", "service", "decode", venue],
        input=text.encode(),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_decode_reads_lines_and_exits_3_on_a_broken_one() -> None:
    context = {
        "funding": "0.00002",
        "openInterest": "7000.5",
        "oraclePx": "0.0051",
        "markPx": "0.0052",
        "midPx": "0.00515",
        "premium": "0.001",
        "prevDayPx": "0.004",
        "dayNtlVlm": "11",
        "impactPxs": None,
        "dayBaseVlm": "12",
    }
    good = json.dumps({"channel": "activeAssetCtx", "data": {"coin": "kPEPE", "ctx": context}})
    status, lines = decode(f"{good}\n\n{good[:-9]}\n")
    assert status == 3
    assert [line.get("stream", line.get("error")) for line in lines] == ["mark", "funding", "oi", "bad_payload"]
    assert lines[0]["symbol"] == "1000PEPE"
    assert (lines[0]["mark"], lines[0]["index"]) == (0.0052, 0.0051)
    assert lines[1]["rate_8h"] == pytest.approx(0.00016)
    assert (lines[2]["coins"], lines[2]["derived"]) == (7000.5, False)
    assert lines[3]["frame"] == 2
    assert decode(good)[0] == 0


def test_sigterm_before_a_command_is_under_way_exits_0() -> None:
    """Cause: the demo warms up before its event loop exists, and a container may be stopped then."""
    process = subprocess.Popen([sys.executable, "-m", "service", "demo", "--port", "0"], stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert b"driving" in process.stderr.readline()
    process.terminate()
    assert process.wait(5) == 0
    process.stderr.close()


def test_a_taken_port_is_said_plainly_and_exits_1(tmp_path: Path) -> None:
    config = tmp_path / "elr.toml"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config.write_text(f'[service]\nsymbols = ["BTC"]\n[feed]\nport = {port}\n')
        done = subprocess.run(
            [sys.executable, "-m", "service", "serve", "--config", str(config)],
            capture_output=True, timeout=30, check=False, text=True,
        )  # fmt: skip
    assert done.returncode == 1
    assert str(port) in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_serve_without_a_network_stays_up_says_why_and_publishes_no_data(tmp_path: Path) -> None:
    config = tmp_path / "elr.toml"
    nowhere = "http://127.0.0.1:9"
    config.write_text(
        '[service]\nsymbols = ["BTC"]\n[feed]\nport = 0\n'
        + "".join(f'[venues.{name}]\nrest = "{nowhere}"\n' for name in ("binance_usdm", "bybit", "okx", "hyperliquid"))
    )
    out = tmp_path / "signals.jsonl"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve", "--config", str(config), "--signals", str(out)], stderr=log
        )
    deadline = time.monotonic() + 25
    while time.monotonic() < deadline and not (out.exists() and out.stat().st_size > 0):
        assert process.poll() is None
        time.sleep(0.1)
    process.terminate()
    assert process.wait(6) == 0
    body = json.loads(out.read_text().splitlines()[0])
    assert (body["status"], body["score"], body["confidence"], body["tradeable"]) == ("no_data", None, 0.0, False)
    assert "refused_connection" in (tmp_path / "log").read_text()


# -- watch --------------------------------------------------------------------------------------------------------


def signal_message(symbol: str, ts: int, **changes: Any) -> dict[str, Any]:
    window = {"score": 0.25}
    message: dict[str, Any] = {
        "type": "signal",
        "symbol": symbol,
        "ts": ts,
        "ttl_ms": 30_000,
        "status": "ok",
        "score": -0.5,
        "confidence": 0.75,
        "fragility": 0.5,
        "regime": "crowded_longs",
        "windows": {"1m": window, "5m": window, "1h": {"score": None}},
        "elr": [{"percentile": None}, {"percentile": 0.97}],
        "market": {"price": 91234.5, "funding_8h": 0.0001},
        "abstain": False,
        "conflict": True,
        "transition": {"from": "neutral", "to": "short"},
        "direction": "short",
    }
    return message | changes


def shown(board: watch.Board, width: int, now_ms: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(watch.table(board, width, now_ms))
    return out.getvalue()


def board_of(*messages: dict[str, Any], symbols: list[str] | None = None) -> watch.Board:
    board = watch.Board("ws://x/v1/stream", symbols)
    board.take({"type": "hello", "source": "simulated", "symbols": ["BTC", "ETH"]})
    for message in messages:
        board.take(message)
    return board


def test_the_board_subscribes_to_what_the_feed_has() -> None:
    assert watch.Board("u", None).take({"type": "hello", "source": "live", "symbols": ["BTC", "ETH"]}) == [
        "signal.BTC", "signal.ETH",
    ]  # fmt: skip
    assert watch.Board("u", ["ETH"]).take({"type": "hello", "source": "live", "symbols": ["BTC", "ETH"]}) == [
        "signal.ETH"
    ]
    with pytest.raises(ConfigError, match="it has BTC"):
        watch.Board("u", ["DOT"]).take({"type": "hello", "source": "live", "symbols": ["BTC"]})


def test_the_table_shows_the_numbers_the_source_and_the_flags() -> None:
    text = shown(board_of(signal_message("BTC", 1_000_000)), 160, 1_005_000)
    for part in (
        "SIMULATED",
        "BTC",
        "-0.50",
        "+0.25",
        "0.75",
        "crowded_longs",
        "0.970",
        "91234.5",
        "1.00 bp",
        "conflict neutral->short",
    ):
        assert part in text


def test_a_signal_past_its_ttl_is_shown_as_stale_and_without_numbers() -> None:
    board = board_of(signal_message("BTC", 1_000_000))
    assert "STALE" not in shown(board, 160, 1_030_000)
    late = shown(board, 160, 1_030_001)
    assert "STALE" in late
    assert "-0.50" not in late


def test_a_narrow_terminal_gets_fewer_columns_and_every_line_fits() -> None:
    board = board_of(signal_message("BTC", 1_000_000))
    for width in (60, 100, 160):
        assert all(len(line) <= width for line in shown(board, width, 1_000_000).splitlines()[1:])
    assert "regime" not in shown(board, 60, 1_000_000)
    assert "regime" in shown(board, 100, 1_000_000)


def test_no_data_is_a_dash_not_a_zero() -> None:
    nothing = {"1m": {"score": None}, "5m": {"score": None}, "1h": {"score": None}}
    message = signal_message(
        "BTC", 1_000_000, status="no_data", score=None, confidence=0.0, fragility=None, regime=None, windows=nothing,
        market={"price": None, "funding_8h": None}, elr=[{"percentile": None}], transition=None,
    )  # fmt: skip
    line = next(line for line in shown(board_of(message), 160, 1_000_000).splitlines() if "BTC" in line)
    assert "no_data" in line
    assert line.count(" - ") >= 6


def test_plain_lines_for_pipes() -> None:
    assert watch.line(signal_message("BTC", 5, score=None)).startswith(
        "symbol=BTC ts=5 status=ok score=null confidence=0.75"
    )
