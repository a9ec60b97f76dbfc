"""Real history through the product's own code: what docs/evidence.md says, as far as it runs in seconds.

The files are not part of this repository: they are looked for in ``$ELR_SHARED`` or next to the repository.
"""

from __future__ import annotations

import os
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest

from bench import flush, rates
from service.research.backtest.csv_history import read_history
from service.research.backtest.evaluate import evaluate, series_of, unfed
from service.research.backtest.events import study
from service.research.backtest.run import Run

HISTORY = Path(os.environ.get("ELR_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "history"

pytestmark = [
    pytest.mark.needs_shared,
    pytest.mark.skipif(not HISTORY.is_dir(), reason=f"no history at {HISTORY} (set ELR_SHARED)"),
]
DELAY_MS = 3_600_000


def test_every_file_with_open_interest_is_read() -> None:
    found = {}
    for path in sorted(HISTORY.glob("*.csv.gz")):
        if path.name.startswith(("bitmex", "btc_daily", "bybit", "coinalyze", "tardis", "funding_binance")):
            history = read_history(path, DELAY_MS)
            found[path.name.split("_")[0] + f" {history.step_s}"] = (history.scorable, len(history.segments))
    assert found == {
        "bitmex 5": (True, 2),
        "bybit 3600": (True, 1),
        "btc 86400": (True, 2),  # 2022-01-01 to 2023-06-30 is missing
        "coinalyze 300": (True, 1),
        "coinalyze 3600": (True, 1),
        "funding 28800": (False, 1),
        "tardis 3600": (True, 1),
    }


def test_the_polled_feed_with_its_pauses_says_nothing_and_says_so() -> None:
    history = read_history(HISTORY / "bitmex_XBTUSD_oi_5s_20191226.csv.gz", DELAY_MS)
    assert history.repeated == 7
    told = [record for _, part in Run(history, [], "BTC").ticks() for record in part]
    series = series_of(history, told)
    assert sorted(set(series.segments.tolist())) == [0, 1]  # the pause of 38 h is a hole
    assert {
        after["ts"] - before["ts"] for before, after in pairwise(told) if after["segment"] == before["segment"]
    } == {10_000}
    silent = [item for item in told if item["status"] == "no_data"]
    assert 150 < len(silent) < 400  # the pauses of 4 and 40 min are not, and no data
    assert all(item["score"] is None for item in silent)
    numbers = evaluate(series, [], 10.0)
    assert numbers["known"]["fragility"] == 0.0
    assert numbers["fragility"]["auc"]["oi_fall_5"]["leverage and funding"]["auc"]["value"] is None
    assert any("premium" in text for text in unfed(history))


def test_the_flush_of_january_2024_is_seen_when_nearly_half_of_it_is_over() -> None:
    history = read_history(HISTORY / "tardis_binance_BTCUSDT_derivative_ticker_1h_20231128_20240214.csv.gz", DELAY_MS)
    told = [record for _, part in Run(history, [], "BTC").ticks() for record in part]
    assert len(told) == 1_891
    found = study(series_of(history, told), date(2024, 1, 3))
    assert found is not None
    assert found["flush_at"] == "2024-01-03T12:00+00:00"
    assert found["change"] == pytest.approx(67_540.619 / 81_325.356 - 1)  # as cascade_events.csv has it
    assert 0.4 < found["fallen_by_then"] < 0.5
    assert found["fragility"] == pytest.approx(0.838, abs=0.001)


def test_the_rules_compared_beside_the_engine_are_the_one_that_runs() -> None:
    """docs/flush.md compares rules worked out from open interest and price alone; both must fire at the same rows."""
    path = HISTORY / flush.FILES["BTC 2023-24"]
    told = [record["flush"] for _, part in Run(read_history(path, DELAY_MS), [], "BTC").ticks() for record in part]
    assert flush.fired(flush.hourly(path))[flush.TAKEN].tolist() == told
    assert 10 < sum(told) < 15  # integers


def test_how_often_alerts_come_on_rows_of_five_minutes_is_what_docs_say(repository: Path) -> None:
    (told,) = rates.of_report(HISTORY, "btc_5m")
    assert round(told.days * 288) == 1_381  # of 1,441 rows the first sixty are not watched
    (row,) = [item for item in rates.table({"btc_5m": [told]}, ("btc_5m",)) if "5 minutes" in item]
    assert row in (repository / "docs/alerts.md").read_text(encoding="utf-8").splitlines()


def test_alerts_begin_where_the_regimes_of_the_back_test_do() -> None:
    """The alerts are raised beside the run, from its bodies: a flush is one where the run has one, not more often."""
    path = HISTORY / "tardis_binance_BTCUSDT_derivative_ticker_1h_20231128_20240214.csv.gz"
    run = rates.Alerted(read_history(path, DELAY_MS), [], "BTC")
    told = [record for _, part in run.ticks() for record in part]
    for alert, stands in {
        "flush": [item["flush"] for item in told],
        "reset": [item["regime"] == "reset" for item in told],
    }.items():
        began = [after and not before for before, after in pairwise(stands)]
        assert run.raised[alert] == began.count(True) > 0
