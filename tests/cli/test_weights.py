"""``elr weights``: from a service, from a saved state, saved for freezing, and what is no such thing."""

from __future__ import annotations

import asyncio
import gzip
import signal
from argparse import Namespace
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from service.cli import weights
from service.cli.main import run
from service.config import WeightsSection, load
from service.errors import ServiceError
from service.learning import Learner

EXPERTS = dict.fromkeys(("1m", "5m", "1h"), ("positioning",))
T0 = 1_763_719_200_000


def learned(**settings: Any) -> Learner:
    made = Learner(("BTC", "ETH"), EXPERTS, WeightsSection(**settings))
    for minute in range(31):
        ts = T0 + minute * 60_000
        made.mature(ts, {symbol: {"1m": 1.0, "5m": 1.0} for symbol in ("BTC", "ETH")})
        said = {name: {"positioning": 0.5, "static": 0.25} for name in EXPERTS}
        made.take(ts, {"BTC": said, "ETH": said})
    return made


@pytest.fixture(autouse=True)
def _own_signal_handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state.json.gz"
    path.write_bytes(gzip.compress(orjson.dumps({"engine": {"engine": {"learner": learned().dump()}}})))
    return path


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    report = {"ts": T0, "source": "live", **learned(mode="learn", min_outcomes=10).report()}

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(report)

    async def other(request: web.Request) -> web.Response:
        return web.json_response({"other": 1})

    app = web.Application()
    app.add_routes([web.get("/v1/weights", answer), web.get("/v1/other", other)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def ask(source: str) -> int:
    """The command, which has an event loop of its own, beside the server's."""
    return await asyncio.to_thread(weights.run, Namespace(source=source, symbol=None, save=None))


async def test_a_running_service(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving() as address:
        assert await ask(address) == 0
        assert await ask(f"{address}/v1/weights") == 0
    out = capsys.readouterr().out
    report = learned().report()["groups"]["all"]
    said = " ".join(out.split())
    assert said.count(f"mode learn, in force hedge-30-{report_hash()}, learned so far {report['shadow_version']};") == 2
    assert "from 10 rounds on" in said
    rows = [line for line in out.splitlines() if "positioning" in line]
    window = report["windows"]["1m"]
    assert f"{window['shares']['positioning']:.3f}" in rows[0]
    assert f"{window['gains']['positioning']:+.5f}" in rows[0]
    assert "single expert" in out
    assert f"{window['regret'][0]['bound']:.2f}" in out


def report_hash() -> str:
    """Of what is in force after 30 minutes: the 1m window, the only one with ten rounds."""
    force = learned(mode="learn", min_outcomes=10).in_force("BTC")
    assert force is not None
    assert list(force.windows) == ["1m"]
    return force.version.rpartition("-")[2]


def test_what_is_in_force_is_frozen_as_it_is(tmp_path: Path) -> None:
    """Between 720 and 1,440 rounds it is partly the fixed formula; the file had what was learned alone, a jump."""
    eased, learned_1h = {"static": 0.9, "zero": 0.1}, {"static": 0.25, "zero": 0.75}
    group = {
        "shadow_version": "hedge-800-0",
        "windows": {
            "1m": {"rounds": 800, "in_force": eased, "shares": {"static": 0.1, "zero": 0.9}},
            "1h": {"rounds": 12, "in_force": None, "shares": learned_1h},
            "5m": {"rounds": 0, "in_force": None, "shares": learned_1h},
        },
    }
    weights._save(tmp_path / "w.json", group, 720)
    assert orjson.loads((tmp_path / "w.json").read_bytes())["windows"] == {"1m": eased, "1h": learned_1h}


async def test_what_is_no_service_is_one_line() -> None:
    async with serving() as address:
        with pytest.raises(ServiceError, match="answers 404"):
            await ask(f"{address}/v1/nothing")
        with pytest.raises(ServiceError, match="weights of another shape"):
            await ask(f"{address}/v1/other")
    with pytest.raises(ServiceError, match="is the service running"):
        await ask("http://127.0.0.1:1")


def test_a_saved_state_and_a_file_to_freeze(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "weights.json"
    assert run(["weights", str(state), "--save", str(target)]) == 0
    captured = capsys.readouterr()
    report = learned().report()["groups"]["all"]
    assert f"learned so far {report['shadow_version']}" in captured.out
    assert f"saved {report['shadow_version']} to" in captured.err
    rounds = report["windows"]["1m"]["rounds"]
    assert f"elr: 1m has {rounds} rounds, fewer than 720: frozen, it is little but the prior" in captured.err
    config = tmp_path / "c.toml"
    config.write_text('[weights]\nmode = "frozen"\nfile = "weights.json"\n')
    section = load(config).weights
    assert section.frozen is not None
    assert section.frozen.windows["1m"] == report["windows"]["1m"]["shares"]
    force = Learner(("BTC",), EXPERTS, section).in_force("BTC")
    assert force is not None
    assert force.version == report["shadow_version"]
    assert "1h" not in force.windows  # nothing was learned there


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (None, 2, "no such file"),
        (b"nonsense", 1, "not a saved state"),
        (gzip.compress(b"{}", mtime=0), 1, "a state without weights"),
        (gzip.compress(b"[1]", mtime=0), 1, "not a saved state"),
    ],
)
def test_what_is_no_state_is_one_line(
    content: bytes | None, status: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.json.gz"
    if content is not None:
        path.write_bytes(content)
    assert run(["weights", str(path)]) == status
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_symbols_of_their_own(tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.json.gz"
    dump = learned(per_symbol=True).dump()
    path.write_bytes(gzip.compress(orjson.dumps({"engine": {"engine": {"learner": dump}}})))
    assert run(["weights", str(path)]) == 2
    assert "one of BTC ETH" in capsys.readouterr().err
    assert run(["weights", str(path), "--symbol", "ETH"]) == 0
    assert run(["weights", str(state), "--symbol", "ETH"]) == 2
    assert "the same for all symbols" in capsys.readouterr().err


def test_nothing_learned_is_nothing_to_freeze(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new.json.gz"
    dump = Learner(("BTC",), EXPERTS).dump()
    path.write_bytes(gzip.compress(orjson.dumps({"engine": {"engine": {"learner": dump}}})))
    assert run(["weights", str(path), "--save", str(tmp_path / "w.json")]) == 2
    assert "nothing has been learned yet" in capsys.readouterr().err
    assert not (tmp_path / "w.json").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"experts": [1, 2]},
        {"experts": {"1m": ["a"]}},
        {"symbols": 5},
        {"per_symbol": "x"},
        {"experts": {"1m": None, "5m": None, "1h": None}},
    ],
)
def test_a_state_of_another_shape_is_one_line_and_no_traceback(
    change: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cause: where the experts were no object it ended in a traceback; a wrong flag was answered with three lines."""
    plain = learned().dump()
    plain["about"].update(change)
    path = tmp_path / "x.json.gz"
    path.write_bytes(gzip.compress(orjson.dumps({"engine": {"engine": {"learner": plain}}})))
    assert run(["weights", str(path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("elr: ")
    assert len(error.splitlines()) == 1


def test_an_address_that_is_none_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Cause: `http://[` ended in a traceback."""
    assert run(["weights", "http://["]) == 1
    assert "no address" in capsys.readouterr().err


def test_check_refuses_frozen_weights_of_experts_that_there_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cause: `elr check` called a configuration ok with which `elr serve` then would not start."""
    (tmp_path / "w.json").write_text('{"format":"elr-weights","rounds":3,"windows":{"1m":{"sideways":1.0}}}')
    (tmp_path / "c.toml").write_text('[weights]\nmode = "frozen"\nfile = "w.json"\n')
    assert run(["check", str(tmp_path / "c.toml")]) == 2
    assert f"weights.file: {tmp_path / 'w.json'}: windows.1m: unknown sideways" in capsys.readouterr().err
