"""Signals as a data frame that candles are merged with: one row a candle, and nothing known after its close."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cli.main import run
from service.errors import ConfigError
from service.research.backtest import measures
from service.research.backtest.csv_history import read_history
from service.research.backtest.export import frame, timeframe_s
from service.research.backtest.run import Run
from tests.research.backtest.files import DAY_MS, HOUR_MS, T0, hourly, written


@given(
    st.lists(st.integers(0, 3 * DAY_MS), min_size=1, max_size=60, unique=True),
    st.sampled_from((10, 60, 300, 3_600, 14_400, 86_400)),
)
def test_no_signal_stands_beside_a_candle_that_closed_before_it_was_known(offsets: list[int], step_s: int) -> None:
    known = sorted(T0 + offset for offset in offsets)
    table = frame([{"ts": ts, "score": ts / T0} for ts in known], step_s)
    opens = [int(date.timestamp() * 1_000) for date in table["date"]]
    assert opens == sorted(set(opens))
    for opened, ts in zip(opens, table["ts"], strict=True):
        closes = opened + step_s * 1_000
        assert opened % (step_s * 1_000) == 0
        assert opened < ts <= closes
        assert ts == max(one for one in known if one <= closes)  # the newest that was known then
    for ts in known:  # and each is there with the first candle that closes no earlier
        assert -(-ts // (step_s * 1_000)) * step_s * 1_000 - step_s * 1_000 in opens


def test_a_signal_known_at_the_close_belongs_to_the_candle_that_closes_then() -> None:
    records = [{"ts": T0 + n, "score": float(n)} for n in (0, 1, HOUR_MS, HOUR_MS + 1)]
    table = frame(records, 3_600)
    assert [str(date) for date in table["date"]] == [
        "2023-11-14 23:00:00+00:00", "2023-11-15 00:00:00+00:00", "2023-11-15 01:00:00+00:00",
    ]  # fmt: skip
    assert table["score"].tolist() == [0.0, HOUR_MS, HOUR_MS + 1]


def test_every_plain_field_of_a_record_comes_along_by_its_own_name(tmp_path: Path) -> None:
    history = read_history(hourly(tmp_path / "h.csv", 80), 0)
    records = [item for _, told in Run(history, [], "BTC").ticks() for item in told]
    records[5]["p_deleveraging"] = {"oi_5": 0.25, "oi_10": None, "model": "m"}
    table = frame(records, 3_600)
    assert list(table.columns[:2]) == ["date", "ts"]
    plain = {name for name, value in records[0].items() if not isinstance(value, dict | list)}
    assert plain | {"scores.1m", "scores.5m", "scores.1h", "p_deleveraging.oi_5"} <= set(table.columns)
    assert not any(name.startswith("components") for name in table.columns)
    assert table["rank_elr"].isna().tolist() == [item["rank_elr"] is None for item in records]
    assert table["flush"].dtype == bool
    assert table["p_deleveraging.oi_5"].dropna().tolist() == [0.25]


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz"])
def test_the_command_writes_a_file_that_candles_merge_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As freqtrade has them: a column ``date``, UTC, the time a candle opens."""
    monkeypatch.setattr(measures, "RESAMPLES", 100)
    path = hourly(tmp_path / "h.csv", 60)
    arguments = ["backtest", str(path), "--report", str(tmp_path / "out"), "--export", str(tmp_path / name)]
    assert run(arguments) == 0
    signals = pd.read_csv(tmp_path / name, parse_dates=["date"])
    candles = pd.DataFrame({"date": pd.date_range("2023-11-14", periods=120, freq="1h", tz="UTC"), "close": range(120)})
    merged = candles.merge(signals, on="date", how="left")
    assert len(merged) == 120
    told = [json.loads(line) for line in (tmp_path / "out" / "1-h.ticks.jsonl").read_text().splitlines()]
    assert merged["ts"].dropna().tolist() == [item["ts"] for item in told]
    assert merged["ts"].first_valid_index() == 23  # the row of 00:00 of the 15th, beside the candle that closes then
    assert merged["score"].iloc[60] == told[60 - 23]["score"]
    raw = (tmp_path / name).read_bytes()
    assert run([*arguments, "--export-timeframe", "4h"]) == 0
    wide = pd.read_csv(tmp_path / name, parse_dates=["date"])
    assert (wide["ts"] - wide["date"].map(lambda date: date.timestamp() * 1_000)).iloc[:-1].tolist() == [
        4 * HOUR_MS
    ] * (len(wide) - 1)
    assert run(arguments) == 0
    assert (tmp_path / name).read_bytes() == raw


def test_a_daily_row_stands_beside_the_day_in_which_it_was_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row of the 14th is out at 01:00 of the 15th: no candle that closed at midnight may have it."""
    monkeypatch.setattr(measures, "RESAMPLES", 100)
    rows = [(f"2023-11-{14 + i}", 100 + i, 50 + i) for i in range(9)]
    path = written(tmp_path / "d.csv", ("date", "mark", "open_interest_coins"), rows)
    target = tmp_path / "out.csv"
    assert run(["backtest", str(path), "--report", str(tmp_path / "out"), "--export", str(target)]) == 0
    told = pd.read_csv(target)
    assert told["date"].iloc[0].startswith("2023-11-15")
    assert told["price"].iloc[0] == 100


@pytest.mark.parametrize("text", ["1w", "7m", "0h", "h", "1.5h", "2d", "-1h", ""])
def test_a_timeframe_that_does_not_divide_a_day_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="a part of a day"):
        timeframe_s(text)
    assert (timeframe_s("5m"), timeframe_s("1h"), timeframe_s("1d")) == (300, 3_600, 86_400)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--export", "x.parquet"], "--export x.parquet: must end with .csv or .csv.gz"),
        (["--export", "no/where/x.csv"], "--export no/where/x.csv: no folder no/where"),
        (["--export", "x.csv", "--export-timeframe", "7m"], "--export-timeframe 7m: a part of a day"),
        (["--export-timeframe", "1h"], "--export-timeframe: of what --export writes"),
    ],
)
def test_wrong_options_are_named_before_anything_is_read(
    tmp_path: Path, extra: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["backtest", str(tmp_path / "none.csv"), "--report", str(tmp_path / "out"), *extra]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_files_that_overlap_are_not_exported_into_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = hourly(tmp_path / "a.csv", 30), hourly(tmp_path / "b.csv", 30, start_ms=T0 + HOUR_MS)
    target = tmp_path / "x.csv"
    assert run(["backtest", str(one), str(two), "--report", str(tmp_path / "out"), "--export", str(target)]) == 2
    assert "of files that overlap in time, one at a time" in capsys.readouterr().err
