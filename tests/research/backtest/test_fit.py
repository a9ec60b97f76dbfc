"""`elr fit`: from the folders of finished back-tests to a parameter file (docs/deleveraging.md)."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from service.cli.main import run
from service.deleveraging import digest, parse
from service.research.backtest.run import VERSION

HOUR_MS = 3_600_000
START_MS = 1_609_459_200_000  # 2021-01-01T00:00Z


def report(directory: Path, seed: int = 1, hours: int = 24 * 60, version: int = VERSION) -> Path:
    """As `elr backtest` leaves its folder: open interest and price walk at random, deep falls among them."""
    rng = np.random.default_rng(seed)
    interest, price = np.cumsum(rng.normal(0, 0.015, hours)), 100 * np.exp(np.cumsum(rng.normal(0, 0.01, hours)))
    records = [
        {
            "ts": START_MS + i * HOUR_MS, "segment": 0, "warm": i >= 60, "price": price[i], "ln_oi": interest[i],
            "flush": False, "flush_fed": True, "regime": "calm", "rank_elr": float(rng.uniform()) if i >= 60 else None,
            "rank_h": i, "volatility_24h": float(rng.uniform(0.01, 0.09)),
        }
        for i in range(hours)
    ]  # fmt: skip
    ticks = b"".join(orjson.dumps(item, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n" for item in records)
    digest = sha256(str(seed).encode()).hexdigest()
    directory.mkdir()
    (directory / "1-walk.ticks.jsonl").write_bytes(ticks)
    kept = {"version": version, "files": [digest], "ticks_sha256": sha256(ticks).hexdigest()}
    (directory / "1-walk.checkpoint.json").write_bytes(orjson.dumps(kept))
    told = {"symbol": "SOL", "inputs": [{"file": "walk.csv", "sha256": digest, "resolution_s": 3_600}]}
    (directory / "report.json").write_bytes(orjson.dumps([told]))
    return directory


def without(path: Path, part: bytes) -> None:
    written = path.read_bytes()
    assert part in written
    path.write_bytes(written.replace(part, b""))


def test_the_file_says_what_was_fitted_to_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "found.json"
    folders = [report(tmp_path / "a", 1), report(tmp_path / "b", 2)]
    assert run(["fit", *map(str, folders), "--out", str(out)]) == 0
    told: dict[str, Any] = orjson.loads(out.read_bytes())
    assert told["hash"] == digest(told)
    assert parse(told).least_rank_h == 168  # the service takes it
    assert [(item["file"], item["symbol"]) for item in told["data"]] == [("walk.csv", "SOL")] * 2
    assert told["data"][0]["sha256"] == sha256(b"1").hexdigest()
    assert (told["data"][0]["from"], told["data"][0]["to"]) == ("2021-01-08", "2021-03-01")
    assert told["rows"] == told["data"][0]["rows"] + told["data"][1]["rows"] == 2 * (24 * 60 - 168 - 22)
    assert set(told["parameters"]) == {"a_5", "a_10", "c_rank", "c_volatility"}
    assert set(told["volatility_alone"]) == {"a_5", "a_10", "c_volatility"}
    assert len(told["volatility_edges"]) == 9
    assert told["walk_forward"] == {"oi_5": None, "oi_10": None}  # two months: no quarter has 180 days before it
    assert "parameters.c_rank: " in capsys.readouterr().out  # against what is in force


def test_a_file_that_is_there_is_replaced_only_on_demand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, folder = tmp_path / "found.json", str(report(tmp_path / "a"))
    assert run(["fit", folder, "--out", str(out)]) == 0
    before = out.read_bytes()
    other = str(report(tmp_path / "b", 2))
    assert run(["fit", other, "--out", str(out)]) == 2
    assert out.read_bytes() == before
    said = capsys.readouterr()
    assert "--force replaces it" in said.err
    assert "parameters.a_5: " in said.out
    assert run(["fit", other, "--out", str(out), "--force"]) == 0
    assert out.read_bytes() != before
    assert run(["fit", other, "--out", str(out), "--force"]) == 0
    assert "nothing changes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("harm", "status", "says"),
    [
        (lambda folder: (folder / "report.json").unlink(), 2, "that came to its end"),
        (lambda folder: (folder / "report.json").write_text("{"), 3, "no report"),
        (lambda folder: without(folder / "report.json", b'"symbol":"SOL",'), 3, "no report: 'symbol'"),
        (lambda folder: without(folder / "report.json", b',"resolution_s":3600'), 3, "no report: 'resolution_s'"),
        (lambda folder: (folder / "1-walk.ticks.jsonl").write_text("{}\n"), 3, "not the ticks of"),
        (lambda folder: (folder / "1-walk.ticks.jsonl").unlink(), 1, "No such file"),
        (lambda folder: (folder / "1-walk.checkpoint.json").unlink(), 2, "no ticks of walk.csv"),
        (lambda folder: (folder / "1-walk.checkpoint.json").write_text("[]"), 3, "no checkpoint"),
    ],
)
def test_what_is_no_whole_report_is_named(
    harm: Any, status: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = report(tmp_path / "a")
    harm(folder)
    assert run(["fit", str(folder), "--out", str(tmp_path / "found.json")]) == status
    assert says in capsys.readouterr().err
    assert not (tmp_path / "found.json").exists()


def test_ticks_of_another_version_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = report(tmp_path / "a", version=VERSION - 1)
    assert run(["fit", str(folder), "--out", str(tmp_path / "found.json")]) == 2
    assert "run `elr backtest` again" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named_before_anything_is_fitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(report(tmp_path / "a"))
    assert run(["fit", folder, "--out", str(tmp_path / "none" / "found.json")]) == 2
    said = capsys.readouterr()
    assert f"no folder {tmp_path / 'none'}" in said.err
    assert said.out == ""


def test_the_same_file_twice_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(report(tmp_path / "a"))
    assert run(["fit", folder, folder, "--out", str(tmp_path / "found.json")]) == 2
    assert "is there twice" in capsys.readouterr().err


def test_too_few_hours_are_not_fitted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = report(tmp_path / "a", hours=160)
    assert run(["fit", str(folder), "--out", str(tmp_path / "found.json")]) == 3
    assert "too little to fit" in capsys.readouterr().err
