"""``elr backtest`` from files to its report: self-contained, complete, the same every time."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from service.cli import backtest as command
from service.cli.main import run
from service.research.backtest import measures, report
from service.research.backtest.evaluate import NO_INTERVAL, NOT_LEFT, NOT_SHOWN, OPPOSITE, SHOWN, UNDEFINED
from tests.research.backtest.files import DAY_MS, HOUR_MS, T0, hourly, written


class Page(HTMLParser):
    """Collects what a browser would load, and counts the plots."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.plots = 0
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.plots += tag == "svg"
        if tag in ("script", "link", "img", "iframe"):
            self.loaded.append(tag)
        self.loaded += [
            value for name, value in attrs if name in ("src", "href", "xlink:href") and value and value[0] != "#"
        ]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    one = hourly(folder / "one.csv", 24 * 9, flush_at=150)
    two = hourly(folder / "two.csv.gz", 24 * 8, start_ms=T0 + 40 * DAY_MS)
    slow = written(folder / "slow.csv", ("date", "reserve_coins"), [("2023-11-14", 5_000), ("2023-11-15", 5_500)])
    arguments = [
        str(one),
        str(two),
        "--slow",
        str(slow),
        "--event",
        "2023-11-21",
        "--event",
        "2020-03-12",
        "--report",
        str(folder / "out"),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "RESAMPLES", 200)
        _twice(arguments, folder)
    return folder / "out"


def _twice(arguments: list[str], folder: Path) -> None:
    assert run(["backtest", *arguments]) == 0
    first = (folder / "out" / "report.html").read_bytes()
    assert run(["backtest", *arguments, "--resume"]) == 0
    assert (folder / "out" / "report.html").read_bytes() == first


def test_the_page_needs_nothing_but_itself(made: Path) -> None:
    text = (made / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert page.loaded == []
    assert not re.search(r"@import|url\(\s*['\"]?http", text)
    assert page.plots >= 3 * 4  # two files and both together; price, decay, calibration or deciles, regimes
    said = " ".join(page.text)
    for words in ("one.csv + two.csv.gz", "window 1m: shorter than the resolution", "How many tests", "Known days"):
        assert words in said


def test_the_answers_come_first_and_a_no_stands_as_a_yes_would(made: Path) -> None:
    told = json.loads((made / "report.json").read_text())[0]
    page = (made / "report.html").read_text()
    assert page.index("Does the score rank the return") < page.index("What was read") < page.index("<svg")
    for row in told["headline"]:
        assert row["question"] in html.unescape(page)
    assert any(row["verdict"].startswith(("not", "no", "cannot")) for row in told["headline"])
    assert page.count("background:#ffffff") + page.count("background:#eeeeee") >= 3


def test_days_a_file_does_not_cover_are_named(made: Path) -> None:
    told = json.loads((made / "report.json").read_text())
    assert told[0]["events_not_covered"] == ["2020-03-12"]
    assert "Not covered by this file: 2020-03-12." in (made / "report.html").read_text()
    share = told[0]["events"][0]["days_as_high"]
    assert share is None or 0 < share <= 1


def test_several_files_are_also_corrected_as_one_family(made: Path) -> None:
    one, two, both = (part["multiplicity"] for part in json.loads((made / "report.json").read_text()))
    assert one["over_all_files"]["tests"] == two["over_all_files"]["tests"] == one["tests"] + two["tests"]
    assert "over_all_files" not in both  # the files together are not further tests
    p = [row["p"] for part in (one, two) for row in part["rows"]]
    corrected = measures.benjamini_hochberg(p)
    assert one["over_all_files"]["left_after_benjamini_hochberg"] == [
        row["test"] for row, q in zip(one["rows"], corrected[: one["tests"]], strict=True) if q < 0.05
    ]


def test_files_that_overlap_are_not_put_together_and_one_is_not_taken_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same hours twice halve every variance; and two coins of a layout are not one market."""
    monkeypatch.setattr(measures, "RESAMPLES", 100)
    one = hourly(tmp_path / "one.csv", 30)
    other = hourly(tmp_path / "other.csv", 30, start_ms=T0 + 20 * HOUR_MS)
    assert run(["backtest", str(one), str(other), "--report", str(tmp_path / "out")]) == 0
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [len(part["inputs"]) for part in told] == [1, 1]
    same = tmp_path / "same.csv"
    same.write_bytes(one.read_bytes())
    assert run(["backtest", str(one), str(same), "--report", str(tmp_path / "out")]) == 2
    assert f"{same}: the same as {one}" in capsys.readouterr().err


def test_a_name_of_the_configuration_is_taken_for_its_symbol(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cause: the command knew the names that we ship alone."""
    config = tmp_path / "own.toml"
    config.write_text('[[assets]]\nticker = "OLD"\ncanonical = "NEW"\n')
    rows = [(T0, "OLD", 2.5, 100), (T0 + HOUR_MS, "NEW", 2.25, 101)]
    path = written(tmp_path / "a.csv", ("time", "coin", "mark", "open_interest_coins"), rows)
    asked = ["backtest", str(path), "--symbol", "OLD", "--report", str(tmp_path / "out")]
    assert run(asked) == 3
    assert "coin: NEW, and not OLD" in capsys.readouterr().err
    assert run([*asked, "--config", str(config)]) != 2
    assert "coin:" not in capsys.readouterr().err


def test_a_run_that_stops_leaves_no_report_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "RESAMPLES", 100)
    one = hourly(tmp_path / "one.csv", 30)
    arguments = ["backtest", str(one), "--report", str(tmp_path / "out")]
    assert run(arguments) == 0
    (tmp_path / "out" / "notes.txt").write_text("mine")

    def stop(*_: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "drive", stop)
    run(arguments)
    assert not (tmp_path / "out" / "report.html").exists()
    assert not (tmp_path / "out" / "report.json").exists()
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_every_number_is_in_the_json(made: Path) -> None:
    told = json.loads((made / "report.json").read_text())
    assert [[item["file"] for item in part["inputs"]] for part in told] == [
        ["one.csv"], ["two.csv.gz"], ["one.csv", "two.csv.gz"],
    ]  # fmt: skip
    one, _, both = told
    assert (one["ticks"], both["ticks"]) == (216, 216 + 192)
    assert one["flushes"] == both["flushes"] == 1
    assert one["events"][0]["flush_at"] == "2023-11-21T06:00+00:00"
    assert one["events"][0]["variant"] == "oi_reserve"
    assert one["known"]["window 1h"] == 1.0
    assert one["known"]["window 1m"] == 0.0
    assert one["slow"][0]["file"] == "slow.csv"
    assert one["multiplicity"]["tests"] > 30
    assert set(one["fragility"]["auc"]) == {"flush", "oi_fall_5", "oi_fall_10"}
    assert one["direction"]["trades"]["cost_bp"] == 10.0


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--symbol", "btc"], "--symbol btc: is not in upper case; did you mean BTC?"),
        (["--symbol", "A/B"], "--symbol A/B: is no base asset; did you mean A?"),
        (["--event", "yesterday"], "--event: Invalid isoformat string"),
        (["--delay-m", "-1"], "--delay-m -1: between 0 and 1440"),
        (["--cost-bp", "-1"], "--cost-bp -1.0: between 0 and 1000"),
    ],
)
def test_wrong_options_are_named(
    tmp_path: Path, extra: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = hourly(tmp_path / "one.csv", 3)
    assert run(["backtest", str(path), "--report", str(tmp_path / "out"), *extra]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_cannot_be_scored_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "r.csv", ("date", "reserve_coins"), [("2023-11-14", 5_000), ("2023-11-15", 5_500)])
    assert run(["backtest", str(path), "--report", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "r.csv: no price to score: none of the columns mark, last; read were reserve_coins, not used none" in said
    assert "r.csv: no open interest to score: none of the columns open_interest_coins, open_interest_usd, " in said
    assert "--slow" in said


@pytest.mark.parametrize(
    ("header", "status", "said"),
    [
        ("time,mark,open_interst_coins", 2, "no open interest to score: none of the columns open_interest_coins, "
         "open_interest_usd, open_interest_contracts_usd; read were mark, not used open_interst_coins"),
        ("time,mark,open_interst_coins", 2, "did you mean open_interest_coins, where it has open_interst_coins?"),
        ("time,marks,open_interest_coins", 2, "did you mean mark, where it has marks?"),
        ("tme,mark,open_interest_coins", 3, "no time: none of the columns time, bar_open, date, nor those of a "
         "known source; its columns are tme, mark, open_interest_coins"),
        ("tme,mark,open_interest_coins", 3, "did you mean time, where it has tme?"),
        ("time_utc,open_interest_btc,markprice", 3, "like a file of the layout 'derivative ticker', but without "
         "its column mark_price"),
        ("time_utc,open_interest_btc,markprice", 3, "did you mean mark_price, where it has markprice?"),
        ("time,price,funding_rates", 3, "did you mean funding_rate, where it has funding_rates?"),
    ],
)  # fmt: skip
def test_a_required_column_that_is_misspelt_is_named_with_the_one_that_was_meant(
    tmp_path: Path, header: str, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cause: the command ended with "no price and open interest to score", or with a list of the columns found."""
    path = written(tmp_path / "r.csv", header.split(","), [(T0 + i * HOUR_MS, 100 + i, 50 + i) for i in range(9)])
    assert run(["backtest", str(path), "--report", str(tmp_path / "out")]) == status
    assert said in capsys.readouterr().err


def test_a_required_column_without_a_number_is_told_from_one_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(T0 + i * HOUR_MS, 100 + i, "") for i in range(9)]
    path = written(tmp_path / "r.csv", ("time", "mark", "open_interest_usd"), rows)
    assert run(["backtest", str(path), "--report", str(tmp_path / "out")]) == 2
    assert "(open_interest_usd: there, but empty)" in capsys.readouterr().err


def test_bad_data_is_no_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken row was reported as `elr: config:` with the status of a wrong option."""
    path = written(tmp_path / "r.csv", ("time", "mark", "open_interest_coins"), [(T0, "x", 1), (T0 + HOUR_MS, 1, 1)])
    assert run(["backtest", str(path), "--report", str(tmp_path / "out")]) == 3
    assert capsys.readouterr().err.startswith(f"elr: {path}: line 2: mark: 'x' is no number")


def test_without_the_research_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "scipy" else object())
    assert run(["backtest", str(tmp_path / "x.csv"), "--report", str(tmp_path / "out")]) == 2
    assert "scipy missing: run `make dev` in the clone, then .venv/bin/elr backtest" in capsys.readouterr().err


def test_what_comes_before_that_loads_none_of_the_extra() -> None:
    """Or the service as it is installed, without numpy, would answer with a traceback."""
    code = (
        "import sys, service.cli.backtest as command; print(*[name for name in command.NEEDED if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == []


def test_a_report_takes_one_thread(tmp_path: Path) -> None:
    """Cause: the arrays are short, and threads of the linear algebra only waited for each other: 100,000 rows took 69 s
    of CPU where one thread takes 32; and with another number of cores came other last digits."""
    path = hourly(tmp_path / "one.csv", 60)
    code = (
        "import os, sys; from service.cli.main import run\n"
        "assert run(sys.argv[1:]) == 0\n"
        "import numpy as np; np.ones((700, 700)) @ np.ones((700, 700))\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    arguments = ["backtest", str(path), "--report", str(tmp_path / "out")]
    several = {**os.environ, **dict.fromkeys(command.ONE_THREAD, "4")}
    told = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, env=several
    )
    assert told.stdout.split()[-1] == "1"


def test_the_report_names_events_and_ranks_in_words(made: Path) -> None:
    """Cause: tables and plots said `oi_fall_5` and `rank_elr`."""
    page = html.unescape((made / "report.html").read_text())
    for code in ("oi_fall_5", "oi_fall_10", "rank_elr", "rank_funding", "rank_volatility", "pre_at", "fallen_by_then"):
        assert code not in page
    for words in ("open interest -5 %", "open interest -10 %", "leverage rank", "flush seen, up to the low"):
        assert words in page


def test_not_shown_and_no_differ_by_sign_and_by_a_colour_that_everybody_sees() -> None:
    """Cause: both had the same red, which a tenth of men cannot tell from the green of yes."""
    kinds = {
        verdict.split()[0].rstrip(":") for verdict in (SHOWN, OPPOSITE, NOT_SHOWN, NOT_LEFT, NO_INTERVAL, UNDEFINED)
    }
    assert kinds == set(report.BANDS) == set(report.SIGNS)
    assert len(set(report.BANDS.values())) == len(set(report.SIGNS.values())) == len(kinds)
    lightness = {kind: sum(int(colour[at : at + 2], 16) for at in (1, 3, 5)) for kind, colour in report.BANDS.items()}
    assert lightness["not"] > lightness["yes"] > lightness["no"]
    blue = {kind: int(colour[5:], 16) - int(colour[1:3], 16) for kind, colour in report.BANDS.items()}
    assert blue["yes"] > 0 > blue["no"]  # blue against orange: no red beside green
