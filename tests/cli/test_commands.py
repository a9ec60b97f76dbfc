"""The command line: exit statuses, one-line errors and decode's lines."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from service.cli.main import run


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
        (["record", "--out", "/none/x.tape"], 2, "/none/x.tape: cannot be written"),
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
        config.write_text(f'[service]\nsymbols = ["BTC"]\n[feed]\nport = {port}\n[state]\nfolder = "state"\n')
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
        '[service]\nsymbols = ["BTC"]\n[feed]\nport = 0\n[state]\nfolder = "state"\n'
        + "".join(f"[denominators.{name}]\nenabled = false\n" for name in ("defillama", "coingecko"))
        + "[coverage]\nenabled = false\n"
        + "".join(f'[venues.{name}]\nrest = "{nowhere}"\n' for name in ("binance_usdm", "bybit", "okx", "hyperliquid"))
        + "[venues.gate]\noi_poll_s = 20\n"
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
    said = (tmp_path / "log").read_text()
    assert "refused_connection" in said
    assert [line.partition("venues.")[2] for line in said.splitlines() if "no effect" in line] == [
        "gate.oi_poll_s: has no effect: the open interest of this venue is streamed"
    ]
