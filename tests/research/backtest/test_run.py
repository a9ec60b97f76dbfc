"""History through the engine: what coarse data feed, what they must not, no look-ahead, holes, and resuming."""

from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.config import MarketSection
from service.core.engine import Engine
from service.errors import ConfigError
from service.research.backtest import run as backtest
from service.research.backtest.csv_history import History, read_history
from service.research.backtest.evaluate import unfed
from service.research.backtest.feeding import events, rules
from service.research.backtest.run import Run, drive
from tests.research.backtest.files import DAY_MS, HOUR_MS, T0, hourly, written


def ticks(history: History, slow: tuple[History, ...] = ()) -> list[dict[str, Any]]:
    return [record for _, told in Run(history, slow, "BTC").ticks() for record in told]


@pytest.fixture(scope="module")
def three_days(tmp_path_factory: pytest.TempPathFactory) -> History:
    return read_history(hourly(tmp_path_factory.mktemp("history") / "h.csv", 24 * 6, flush_at=120), 0)


def engine_of(history: History) -> Engine:
    return Engine(["BTC"], rules(history), MarketSection(min_venues=1), [])


def test_an_hour_s_sample_says_of_the_levels_what_sixty_held_minutes_say(three_days: History) -> None:
    coarse, fine = engine_of(three_days), engine_of(three_days)
    compared = 0
    rows = three_days.rows[:60]
    for before, row in pairwise([rows[0], *rows]):
        for held_ms in range(before.known_ms + 60_000, row.known_ms, 60_000):
            for event in events(before, "BTC", held_ms):
                fine.apply(event)
            fine.backfill(held_ms, silent=held_ms % 120_000 == 0)
        for engine, step_s in ((coarse, 3_600), (fine, 60)):
            for event in events(row, "BTC", row.known_ms):
                engine.apply(event)
            engine.backfill(row.known_ms, step_s=step_s)
        one = coarse.indicators["BTC"].read(row.known_ms)
        other = fine.indicators["BTC"].read(row.known_ms)
        for name in ("elr", "funding", "funding_abs", "premium", "volatility", "spend", "change_24h"):
            assert getattr(one, name) == getattr(other, name), name
        compared += one.elr.z is not None and one.volatility.percentile is not None
    assert compared > 50


def test_windows_shorter_than_the_step_are_not_ready_and_the_hour_is(three_days: History) -> None:
    told = ticks(three_days)
    rows = three_days.rows
    assert [item["ts"] for item in told] == [row.known_ms for row in rows]
    late = told[40]
    assert late["scores"]["1m"] is None
    assert late["scores"]["5m"] is None
    assert late["scores"]["1h"] is not None
    assert late["components"]["1h:positioning"] is not None
    assert late["strength"] is None
    assert late["oi_coins"] == rows[40].numbers["open_interest_coins"]
    assert late["price"] == rows[40].numbers["mark"]
    assert (late["liquidated_long_1h"], late["liquidated_short_1h"]) == (1.5, 0.5)
    assert not told[59]["warm"]
    assert told[59]["fragility"] is None
    assert told[60]["warm"]
    assert told[60]["fragility"] is not None


def test_a_flush_is_seen_and_whether_it_was_forced(three_days: History) -> None:
    told = ticks(three_days)
    assert [i for i, item in enumerate(told) if item["flush"]] == [120, 121, 122]
    assert told[120]["forced"] is False  # 2 of 75 coins that fell
    assert told[120]["regime"] == "flush"
    assert told[123]["regime"] == "reset"
    assert not told[20]["flush_fed"]  # the slow scale needs a day
    assert told[30]["flush_fed"]


def test_no_tick_knows_a_later_row(tmp_path: Path, three_days: History) -> None:
    short = read_history(hourly(tmp_path / "short.csv", 100, flush_at=120), 0)
    assert ticks(three_days)[:100] == ticks(short)


def test_a_slow_base_divides_only_once_it_is_known(tmp_path: Path, three_days: History) -> None:
    header = ("date", "reserve_coins", "supply_coins")
    rows = [("2023-11-14", 5_000, 20_000), ("2023-11-15", 8_000, 20_000)]
    slow = read_history(written(tmp_path / "slow.csv", header, rows), 90 * 60_000)
    told = ticks(three_days, (slow,))
    coins = [row.numbers["open_interest_coins"] for row in three_days.rows]
    assert [item["elr"] for item in told[:2]] == [None, None]  # the 14th is out at 01:30 of the 15th
    assert told[2]["elr"] == pytest.approx(coins[2] / 5_000)
    assert told[25]["elr"] == pytest.approx(coins[25] / 5_000)
    assert told[26]["elr"] == pytest.approx(coins[26] / 8_000)
    assert told[26]["elr_mcap"] == pytest.approx(100 * coins[26] / 20_000)


def test_slow_funding_feeds_what_the_file_lacks(tmp_path: Path) -> None:
    rows = [(T0 + i * HOUR_MS, 100 + i % 7, 50 + i % 5) for i in range(80)]
    history = read_history(written(tmp_path / "a.csv", ("time", "last", "open_interest_coins"), rows), 0)
    rates = [(T0 + i * 8 * HOUR_MS, "BTC", 1e-4 * i) for i in range(9)]
    slow = read_history(written(tmp_path / "f.csv", ("time_ms", "coin", "funding_rate"), rates), 0)
    assert all(item["funding_8h"] is None and item["fragility"] is None for item in ticks(history))
    told = ticks(history, (slow,))
    assert told[7]["funding_8h"] == 0.0
    assert told[8]["funding_8h"] == pytest.approx(1e-4)
    assert told[72]["funding_8h"] == pytest.approx(8e-4)
    assert told[73]["funding_8h"] is None  # nothing is settled any more
    assert told[70]["fragility"] is not None


def test_daily_rows_have_ranks_but_no_window_no_z_and_no_volatility(tmp_path: Path) -> None:
    path = hourly(tmp_path / "d.csv", 60, step_ms=DAY_MS, waves=20)
    history = read_history(path, 0)
    told = ticks(history)
    last = told[-1]
    assert history.step_s == 86_400
    assert last["rank_elr"] is not None
    assert last["rank_funding"] is not None
    for name in ("score", "z_elr", "z_funding", "z_premium", "rank_volatility", "fragility"):
        assert all(item[name] is None for item in told), name
    assert not any(item["flush_fed"] for item in told)
    assert {item["status"] for item in told} == {None}  # what the rule waits for never comes
    assert {item["regime"] for item in told} <= {None, "calm", "building", "loaded"}
    # The rank counts the month before: 30 rows held for a day each, the youngest exactly, of the others each tenth.
    values = [row.numbers["open_interest_coins"] for row in history.rows]
    below = sum(value < values[-1] for value in values[-31:-1])
    assert last["rank_elr"] == pytest.approx(below / 30, abs=2 / 30)  # bins of half a percent


def test_after_a_hole_everything_begins_anew(tmp_path: Path) -> None:
    first = hourly(tmp_path / "a.csv", 80).read_text()
    later = hourly(tmp_path / "b.csv", 80, start_ms=T0 + 30 * DAY_MS).read_text()
    (tmp_path / "c.csv").write_text(first + later.split("\n", 1)[1])
    joined = ticks(read_history(tmp_path / "c.csv", 0))
    alone = ticks(read_history(tmp_path / "b.csv", 0))
    assert [{**item, "segment": 1} for item in alone] == joined[80:]
    assert {item["segment"] for item in joined[:80]} == {0}


def test_a_short_gap_is_no_data_and_no_window_reaches_over_it(tmp_path: Path) -> None:
    lines = hourly(tmp_path / "a.csv", 100).read_text().splitlines()
    (tmp_path / "gap.csv").write_text("\n".join(lines[:71] + lines[74:]) + "\n")
    told = ticks(read_history(tmp_path / "gap.csv", 0))
    assert len(told) == 100
    assert [item["status"] == "no_data" for item in told[69:75]] == [False, True, True, True, False, False]
    assert told[73]["scores"]["1h"] is None
    assert told[74]["scores"]["1h"] is not None


def test_data_finer_than_a_minute_take_the_live_path(tmp_path: Path) -> None:
    rows = [(T0 + 2_500 + i * 5_000, 100 + i % 3, 50 + i % 4) for i in range(200)]
    history = read_history(written(tmp_path / "a.csv", ("time", "last", "open_interest_coins"), rows), 0)
    told = ticks(history)
    assert [item["ts"] for item in told[:3]] == [T0 + 10_000, T0 + 20_000, T0 + 30_000]
    assert told[0]["price"] == 101  # of 7.5 s; the row of 12.5 s is not known
    assert told[0]["oi_coins"] == 51
    assert told[50]["scores"]["1m"] is None  # its scale needs 60 ticks, its past has 50
    assert told[-1]["scores"]["1m"] is not None
    assert told[-1]["scores"]["5m"] is not None


class Stopped(Exception):
    pass


@pytest.mark.parametrize("step_ms", [5_000, HOUR_MS])
@pytest.mark.parametrize("after", [1, 70, 143])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step_ms: int, after: int
) -> None:
    monkeypatch.setattr(backtest, "CHECKPOINT_TICKS", 7)
    history = read_history(hourly(tmp_path / "h.csv", 144, step_ms=step_ms), 0)
    slow_rows = [("2023-11-14", 5_000), ("2023-11-16", 8_000)]
    slow = read_history(written(tmp_path / "slow.csv", ("date", "reserve_coins"), slow_rows), 0)
    whole = drive(Run(history, [slow], "BTC"), tmp_path, "whole", False, lambda rows: None).read_bytes()

    done = 0

    def stop(rows: int) -> None:
        nonlocal done
        done += rows
        if done >= after:
            raise Stopped

    with pytest.raises(Stopped):
        drive(Run(history, [slow], "BTC"), tmp_path, "part", False, stop)
    seen: list[int] = []
    again = drive(Run(history, [slow], "BTC"), tmp_path, "part", True, seen.append)
    assert again.read_bytes() == whole
    assert sum(seen) == 144
    assert len(whole.splitlines()) == (144 if step_ms == HOUR_MS else 72)
    finished = Run(history, [slow], "BTC")
    drive(finished, tmp_path, "part", True, seen.append)  # nothing is left to do
    assert again.read_bytes() == whole


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, three_days: History) -> None:
    other = read_history(hourly(tmp_path / "o.csv", 20), 0)
    drive(Run(other, [], "BTC"), tmp_path, "x", False, lambda rows: None)
    for history, symbol in ((three_days, "BTC"), (other, "ETH")):
        with pytest.raises(ConfigError, match="of another version, file, symbol or delay"):
            drive(Run(history, [], symbol), tmp_path, "x", True, lambda rows: None)
    (tmp_path / "x.checkpoint.json").write_bytes(orjson.dumps([1]))
    with pytest.raises(ConfigError, match="cannot be used"):
        drive(Run(other, [], "BTC"), tmp_path, "x", True, lambda rows: None)


def test_a_checkpoint_of_another_delay_is_refused(tmp_path: Path) -> None:
    """It was gone on from, and the report then told the new delay of ticks that were made with the old one."""
    path = hourly(tmp_path / "d.csv", 12)
    text = path.read_text().splitlines()
    rows = [f"2023-11-{day + 1:02}," + line.split(",", 1)[1] for day, line in enumerate(text[1:])]
    path.write_text("\n".join([text[0].replace("time", "date"), *rows]) + "\n")
    drive(Run(read_history(path, 0), [], "BTC"), tmp_path, "x", False, lambda rows: None)
    with pytest.raises(ConfigError, match="of another version, file, symbol or delay"):
        drive(Run(read_history(path, 60_000), [], "BTC"), tmp_path, "x", True, lambda rows: None)
    slow_path = written(tmp_path / "s.csv", ("date", "reserve_coins"), [("2023-11-01", 5), ("2023-11-02", 6)])
    early, late = (read_history(slow_path, delay_ms) for delay_ms in (0, 60_000))
    drive(Run(read_history(path, 0), [early], "BTC"), tmp_path, "x", False, lambda rows: None)
    with pytest.raises(ConfigError, match="of another version, file, symbol or delay"):
        drive(Run(read_history(path, 0), [late], "BTC"), tmp_path, "x", True, lambda rows: None)


@pytest.mark.parametrize("damage", ["gone", "shorter", "changed"])
def test_ticks_that_are_not_those_of_the_checkpoint_are_refused(tmp_path: Path, damage: str) -> None:
    """Shorter ones were filled up with zero bytes, changed ones taken as they were."""
    history = read_history(hourly(tmp_path / "h.csv", 20), 0)
    path = drive(Run(history, [], "BTC"), tmp_path, "x", False, lambda rows: None)
    raw = path.read_bytes()
    path.write_bytes({"gone": b"", "shorter": raw[:500], "changed": raw.replace(b"40", b"41", 1)}[damage])
    if damage == "gone":
        path.unlink()
    with pytest.raises(ConfigError, match=r"not the ticks of x\.checkpoint\.json; run without --resume"):
        drive(Run(history, [], "BTC"), tmp_path, "x", True, lambda rows: None)
    assert drive(Run(history, [], "BTC"), tmp_path, "x", False, lambda rows: None).read_bytes() == raw


def test_a_given_0_is_no_liquidation_and_a_blank_is_unknown(tmp_path: Path) -> None:
    """Cause: only amounts above 0 became events, and an hour without events was told as unknown. And the other way
    round: of two sides of which one was given, the other was told as 0."""
    given = [("", ""), (0, 0), (0, ""), (3, ""), ("", 0), (2, 5), (0, 0), ("", "")]
    rows = [(T0 + i * HOUR_MS, 100 + i % 7, 50 + i % 5, *cells) for i, cells in enumerate(given)]
    header = ("time", "mark", "open_interest_coins", "liquidated_long_coins", "liquidated_short_coins")
    told = ticks(read_history(written(tmp_path / "a.csv", header, rows), 0))
    assert [(item["liquidated_long_1h"], item["liquidated_short_1h"]) for item in told] == [
        (None, None), (0.0, 0.0), (0.0, None), (3.0, None), (None, 0.0), (2.0, 5.0), (0.0, 0.0), (None, None),
    ]  # fmt: skip
    quarters = [(T0 + i * HOUR_MS // 4, 100, 50, 1 if i == 1 else 0, "" if i < 6 else 0) for i in range(10)]
    told = ticks(read_history(written(tmp_path / "b.csv", header, quarters), 0))
    assert [item["liquidated_long_1h"] for item in told] == [0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert [item["liquidated_short_1h"] for item in told] == [None] * 6 + [0.0] * 4


def test_the_liquidations_of_a_day_are_not_told_as_those_of_an_hour(tmp_path: Path) -> None:
    """Cause: a row's amount counts from the row's moment on, whatever it is the amount of."""
    rows = [(T0 + i * DAY_MS, 100 + i % 7, 50 + i % 5, 2, 0) for i in range(5)]
    header = ("time", "mark", "open_interest_coins", "liquidated_long_coins", "liquidated_short_coins")
    told = ticks(read_history(written(tmp_path / "d.csv", header, rows), 0))
    assert {(item["liquidated_long_1h"], item["liquidated_short_1h"]) for item in told} == {(None, None)}


@pytest.mark.parametrize(("cell", "forced"), [("0", False), ("", None)])
def test_a_flush_without_a_liquidation_in_a_day_was_not_forced_where_the_file_says_so(
    tmp_path: Path, cell: str, forced: bool | None
) -> None:
    """Cause: as above; the venue was taken for one that reports nothing."""
    lines = hourly(tmp_path / "h.csv", 24 * 6, flush_at=120).read_text().splitlines()
    told = [line.rsplit(",", 2)[0] + f",{cell},{cell}" for line in lines[1:]]
    (tmp_path / "h.csv").write_text("\n".join([lines[0], *told]) + "\n")
    record = ticks(read_history(tmp_path / "h.csv", 0))[120]
    assert (record["flush"], record["forced"]) == (True, forced)


@pytest.mark.parametrize("left_out", [(), ("index",), ("index", "funding_rate", "funding_interval_h")])
def test_the_status_does_not_wait_for_what_the_file_cannot_feed(tmp_path: Path, left_out: tuple[str, ...]) -> None:
    """Cause: without an index the premium never has its sixty values, so that the status stayed `warming` for ever."""
    lines = [line.split(",") for line in hourly(tmp_path / "h.csv", 72).read_text().splitlines()]
    kept = [position for position, name in enumerate(lines[0]) if name not in left_out]
    text = "\n".join(",".join(line[position] for position in kept) for line in lines)
    (tmp_path / "less.csv").write_text(text + "\n")
    told = [item["status"] for item in ticks(read_history(tmp_path / "less.csv", 0))]
    assert told[0] == "warming"
    assert told[-1] in ("ok", "degraded")
    assert told == sorted(told, key=lambda status: status != "warming")  # once, not back and forth
    blank = [",".join("" if name == "index" else cell for name, cell in zip(lines[0], line, strict=True))
             for line in lines[1:60]]  # fmt: skip
    late = [",".join(line) for line in lines[60:61]]  # it has an index, so that it is waited for
    (tmp_path / "late.csv").write_text("\n".join([",".join(lines[0]), *blank, *late]) + "\n")
    assert {item["status"] for item in ticks(read_history(tmp_path / "late.csv", 0))} == {"warming"}


def test_slow_funding_is_waited_for_and_never_told_as_missing(tmp_path: Path) -> None:
    """Cause: what a file cannot feed was read off its own columns, whatever `--slow` gave."""
    rows = [(T0 + i * HOUR_MS, 100 + i % 7, 50 + i % 5) for i in range(80)]
    history = read_history(written(tmp_path / "a.csv", ("time", "last", "open_interest_coins"), rows), 0)
    rates = [(T0 + i * 8 * HOUR_MS, "BTC", 1e-4 * i) for i in range(9)]
    slow = read_history(written(tmp_path / "f.csv", ("time_ms", "coin", "funding_rate"), rates), 0)
    day = ("date", "reserve_coins", "market_cap")
    base = read_history(written(tmp_path / "s.csv", day, [("2023-11-14", 5_000, 9), ("2023-11-15", 8_000, 9)]), 0)
    said = " ".join(unfed(history, [slow, base]))
    assert not any(word in said for word in ("funding", "oi_reserve", "oi_mcap"))
    assert "premium: no index price" in said
    later = [(T0 + (900 + i) * HOUR_MS, "BTC", 1e-4) for i in range(0, 80, 8)]
    future = read_history(written(tmp_path / "l.csv", ("time_ms", "coin", "funding_rate"), later), 0)
    before = [(T0 - (900 - i) * HOUR_MS, "BTC", 1e-4) for i in range(0, 80, 8)]
    past = read_history(written(tmp_path / "p.csv", ("time_ms", "coin", "funding_rate"), before), 0)
    for companions in ([], [future], [past]):
        assert "funding, its rank, fragility: no funding rate in it, nor in a --slow file for its time" in unfed(
            history, companions
        )


@pytest.mark.parametrize(
    ("step_s", "factor", "lost"),
    [
        (300, 1.19, 0),
        (300, 1.3, 1),
        (1_800, 4.9, 1),
        (3_600, 1.3, 0),
        (3_600, 4.9, 0),
        (3_600, 5.1, 24),
        (86_400, 6, 0),
    ],
)
def test_how_many_rows_a_step_of_open_interest_costs(tmp_path: Path, step_s: int, factor: float, lost: int) -> None:
    """docs/backtest.md said that a fifth away from a value of an hour ago is doubted: it is from one less than an hour
    old, so that rows of an hour never are; five times away from one less than a day old, for a day."""
    rows = [(T0 + i * step_s * 1_000, 100, 50 * (factor if i >= 10 else 1)) for i in range(60)]
    told = ticks(read_history(written(tmp_path / "a.csv", ("time", "mark", "open_interest_coins"), rows), 0))
    assert [item["oi_coins"] for item in told].count(None) == lost


def test_what_the_market_does_not_believe_is_counted_over_holes_and_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtest, "CHECKPOINT_TICKS", 7)
    rates = [1e-4] * 20 + [0.003] * 2 + [1e-4] * 20
    starts = [T0, T0 + 30 * DAY_MS]
    rows = [(start + i * HOUR_MS, 100 + i % 7, 50 + i % 5, rate) for start in starts for i, rate in enumerate(rates)]
    header = ("time", "mark", "open_interest_coins", "funding_rate")
    history = read_history(written(tmp_path / "a.csv", header, rows), 0)
    whole = Run(history, [], "BTC")
    drive(whole, tmp_path, "whole", False, lambda rows: None)
    assert whole.refused["quarantined_funding"] >= 4  # ten times its own rate, with no other venue to say the same
    seen = 0

    def stop(rows: int) -> None:
        nonlocal seen
        seen += rows
        if seen >= 70:
            raise Stopped

    with pytest.raises(Stopped):
        drive(Run(history, [], "BTC"), tmp_path, "part", False, stop)
    again = Run(history, [], "BTC")
    drive(again, tmp_path, "part", True, lambda rows: None)
    assert again.refused == whole.refused


def test_open_interest_that_is_always_0_is_a_value(tmp_path: Path) -> None:
    """Its spend of 0 had a floor of 0: a day of it divided by zero, live as well."""
    rows = [(T0 + i * HOUR_MS, 100 + i % 7, 0, 1e-4) for i in range(70)]
    header = ("time", "mark", "open_interest_coins", "funding_rate")
    told = ticks(read_history(written(tmp_path / "a.csv", header, rows), 0))
    assert len(told) == 70
    assert {item["funding_spend"] for item in told} == {0.0}


def test_rows_are_counted_where_samples_are_missing(tmp_path: Path) -> None:
    lines = hourly(tmp_path / "a.csv", 30).read_text().splitlines()
    (tmp_path / "gap.csv").write_text("\n".join(lines[:11] + lines[14:]) + "\n")
    run = Run(read_history(tmp_path / "gap.csv", 0), [], "BTC")
    told = list(islice(run.ticks(), 14))
    assert run.place.frames == 14
    assert run.rows_done() == sum(rows for rows, _ in told) == 11
    assert run.rows == 27


def test_a_back_filled_sample_stands_for_whole_minutes(three_days: History) -> None:
    engine = engine_of(three_days)
    for step_s in (0, 30, 90):
        with pytest.raises(ValueError, match="whole minutes"):
            engine.backfill(T0, step_s=step_s)
