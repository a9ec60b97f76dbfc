"""Nothing that is said at a moment depends on a row that was known only later, whatever the file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.research.backtest.csv_history import History, Row, read_history
from service.research.backtest.fragility import labels
from service.research.backtest.run import Run
from service.research.backtest.series import Series
from tests.research.backtest.files import DAY_MS, HOUR_MS, T0, hourly, written

SCALE = {"mark": 1.9, "index": 2.1, "last": 1.9, "open_interest_coins": 0.4, "funding_rate": -3.0, "reserve_coins": 0.3,
         "liquidated_long_coins": 9.0}  # fmt: skip


def daily(path: Path) -> Path:
    lines = hourly(path, 80, waves=20).read_text().splitlines()
    days = [date(2023, 11, 15) + timedelta(days=i) for i in range(len(lines) - 1)]
    body = [f"{day},{line.split(',', 1)[1]}" for day, line in zip(days, lines[1:], strict=True)]
    path.write_text("\n".join([lines[0].replace("time", "date"), *body]) + "\n")
    return path


def gapped(path: Path) -> Path:
    lines = hourly(path, 24 * 6, flush_at=120).read_text().splitlines()
    path.write_text("\n".join(lines[:66] + lines[69:]) + "\n")
    return path


MAKERS: dict[str, Callable[[Path], Path]] = {
    "hourly, with a gap": gapped,
    "daily": daily,
    "5 min": lambda path: hourly(path, 300, step_ms=300_000),
    "5 s": lambda path: hourly(path, 260, start_ms=T0 + 1_500, step_ms=5_000),
}


def after(history: History, moment_ms: int) -> History:
    """The same file, all that is known after a moment changed."""
    segments = tuple(
        tuple(
            row
            if row.known_ms <= moment_ms
            else Row(
                row.known_ms, row.venue, {name: value * SCALE.get(name, 1.0) for name, value in row.numbers.items()}
            )
            for row in segment
        )
        for segment in history.segments
    )
    return History(
        history.path, history.layout, history.digest, history.step_s, history.venues, history.columns, segments
    )


def scored(history: History, slow: History) -> list[dict[str, Any]]:
    return [record for _, told in Run(history, [slow], "BTC").ticks() for record in told]


@pytest.mark.parametrize("made", MAKERS)
def test_what_is_told_until_a_moment_is_the_same_whatever_comes_after_it(tmp_path: Path, made: str) -> None:
    history = read_history(MAKERS[made](tmp_path / "h.csv"), 3_600_000)
    first, last = history.rows[0].known_ms, history.rows[-1].known_ms
    start = date(1970, 1, 1) + timedelta(days=first // DAY_MS - 3)
    days = [(str(start + timedelta(days=i)), 5_000 + i * i) for i in range((last - first) // DAY_MS + 5)]
    slow = read_history(written(tmp_path / "slow.csv", ("date", "reserve_coins"), days), 3_600_000)
    told = scored(history, slow)
    step_s = 10 if history.step_s < 60 else history.step_s
    changed_something = False
    for share in (0.5, 0.9):
        moment = history.rows[int(share * len(history.rows))].known_ms
        again = scored(after(history, moment), after(slow, moment))
        until = sum(item["ts"] <= moment for item in told)
        assert again[:until] == told[:until]
        changed_something |= again[until:] != told[until:]
        # An outcome knows its horizon and no more.
        one, other = Series(told, step_s), Series(again, step_s)
        for horizon_s in (step_s, 4 * step_s):
            known = one.ts + horizon_s * 1_000 <= moment
            assert np.array_equal(
                one.forward_return(horizon_s)[known], other.forward_return(horizon_s)[known], equal_nan=True
            )
        horizon_s = max(6 * step_s, HOUR_MS // 1_000)
        known = one.ts + horizon_s * 1_000 <= moment
        mine, theirs = labels(one.ahead(horizon_s)), labels(other.ahead(horizon_s))
        for name in mine:
            assert np.array_equal(mine[name][known], theirs[name][known], equal_nan=True), name
    assert changed_something


def test_a_daily_base_counts_from_the_minute_of_its_publication(tmp_path: Path) -> None:
    """The reserve of a day that is still running, or not yet published, divides nothing."""
    history = read_history(hourly(tmp_path / "h.csv", 96, step_ms=600_000), 0)
    rows = [("2023-11-14", 5_000), ("2023-11-15", 9_000), ("2023-11-16", 50)]
    for delay_m in (0, 60, 185):
        slow = read_history(written(tmp_path / "s.csv", ("date", "reserve_coins"), rows), delay_m * 60_000)
        for item in scored(history, slow):
            since_ms = item["ts"] - T0
            reserve = None if since_ms < delay_m * 60_000 else 5_000
            assert item["elr"] == (None if reserve is None else pytest.approx(item["oi_coins"] / reserve)), delay_m
