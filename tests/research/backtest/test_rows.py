"""Reading history: layouts, units, the moment a row may be used, resolution, holes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import ConfigError, HistoryError
from service.model import Denominator, Funding, Liquidation, Mark, OpenInterest
from service.research.backtest.csv_history import frames, parse_time, read_history, resolution
from service.research.backtest.evaluate import described
from service.research.backtest.feeding import Slow, base, events
from tests.research.backtest.files import DAY_MS, HOUR_MS, T0, written


def test_the_documented_columns_are_read_with_their_times_and_units(tmp_path: Path) -> None:
    header = ("time", "venue", "mark", "index", "last", "open_interest_coins", "funding_rate", "funding_interval_h",
              "liquidated_long_coins", "reserve_coins", "supply_coins")  # fmt: skip
    path = written(
        tmp_path / "a.csv.gz",
        header,
        [
            (T0, "one", 101.5, 101.25, 101, 7, 0.0002, 4, 0.5, 70, 900),
            ("2023-11-15T01:00:00Z", "one", 102, "", 101, 8, "", "", 0, "", ""),
            ("2023-11-15 02:00:00", "two", "", "", 103, 0, -0.0001, 8, "", "", ""),
        ],
    )
    history = read_history(path, 0)
    assert (history.step_s, history.venues, history.layout, history.scorable) == (3_600, ("one", "two"), "elr", True)
    assert [row.known_ms for row in history.rows] == [T0, T0 + HOUR_MS, T0 + 2 * HOUR_MS]
    first = list(events(history.rows[0], "BTC", T0))
    assert first[0] == Mark("one", "BTC", "BTC", 101.5, 101.25, None, T0)
    assert [item for item in first if isinstance(item, OpenInterest)] == [
        OpenInterest("one", "BTC", "BTC", 7.0, 1.0, 7.0, False, None, T0)
    ] * 3
    assert Funding("one", "BTC", "BTC", 0.0002, 4.0, 0.0004, None, False, None, T0) in first
    assert Liquidation("one", "BTC", "BTC", "long", 0.5, None, True, None, T0) in first
    assert base(history.rows[0], "BTC") == Denominator(
        "BTC", 900.0, (("all", 70.0),), T0, "history file", "see the file's own source"
    )
    third = list(events(history.rows[2], "BTC", T0))
    assert third[0] == Mark("two", "BTC", "BTC", 103.0, None, None, T0)  # no mark: the last price
    assert [item.coins for item in third if isinstance(item, OpenInterest)] == [0.0] * 3  # 0 is a value
    assert base(history.rows[2], "BTC") is None
    assert not any(isinstance(item, Funding | Liquidation) for item in events(history.rows[1], "BTC", T0))


def test_a_bar_is_known_at_its_end(tmp_path: Path) -> None:
    rows = [(f"2024-01-01 00:{5 * i:02}:00", 100 + i, 50 + i) for i in range(4)]
    history = read_history(written(tmp_path / "a.csv", ("time_utc", "oi_close", "px_close"), rows), 0)
    assert history.layout == "OI and price bars"
    assert history.step_s == 300
    assert history.rows[0].known_ms == parse_time("2024-01-01T00:05:00Z")
    documented = read_history(written(tmp_path / "b.csv", ("bar_open", "open_interest_coins", "last"), rows), 0)
    assert [row.known_ms for row in documented.rows] == [row.known_ms for row in history.rows]


def test_a_day_is_known_after_its_midnight_and_the_delay(tmp_path: Path) -> None:
    header = ("date", "price_usd", "open_interest_usd", "exchange_reserve_btc", "funding_rate_pct")
    rows = [("2024-01-01", 40_000, 8e9, 2e6, 0.01), ("2024-01-02", 41_000, 8e9, 2e6, "")]
    history = read_history(written(tmp_path / "a.csv", header, rows), 90 * 60_000)
    assert history.step_s == 86_400
    first = history.rows[0]
    assert first.known_ms == parse_time("2024-01-02T01:30:00Z")
    told = list(events(first, "BTC", first.known_ms))
    assert [item.coins for item in told if isinstance(item, OpenInterest)] == [200_000.0] * 3
    assert next(item.rate_8h for item in told if isinstance(item, Funding)) == pytest.approx(1e-4, rel=1e-12)


@pytest.mark.parametrize(
    ("header", "row", "layout", "coins"),
    [
        (("time_utc", "open_interest_btc", "last_price", "index_price", "mark_price", "funding_rate"),
         (80_000, 41_000, 41_010, 41_005, 0.0001), "derivative ticker", 80_000.0),
        (("time_utc", "last_price", "open_interest_musd"), (8_000, 640), "polled inverse OI", 80_000.0),
        (("time", "last", "open_interest_usd"), (8_000, 640e6), "elr", 80_000.0),
    ],
)  # fmt: skip
def test_layouts_of_known_sources(
    tmp_path: Path, header: tuple[str, ...], row: tuple[float, ...], layout: str, coins: float
) -> None:
    rows = [(f"2024-01-01T00:00:{second:02}Z", *row) for second in (0, 5, 10)]
    history = read_history(written(tmp_path / "a.csv", header, rows), 0)
    assert (history.layout, history.step_s) == (layout, 5)
    found = [item for item in events(history.rows[0], "BTC", T0) if isinstance(item, OpenInterest)]
    assert found[0].coins == pytest.approx(coins)
    # What a change of positions changes: dollars of an inverse contract, else coins.
    assert found[0].contracts == pytest.approx(640e6 if layout == "polled inverse OI" else coins)


def test_supply_from_market_cap_and_slow_files(tmp_path: Path) -> None:
    header = ("date", "price_usd", "market_cap_usd", "supply_btc")
    rows = [("2024-01-01", 40_000, 8e11, ""), ("2024-01-02", 40_000, "", 19e6), ("2024-01-03", 40_000, "", "")]
    history = read_history(written(tmp_path / "a.csv", header, rows), 0)
    assert not history.scorable
    slow = Slow([history], "BTC")
    known = parse_time("2024-01-02T00:00:00Z")
    assert slow.bases(None, known - 1) == []
    assert [(at, item.supply) for at, item in slow.bases(None, known)] == [(known, 2e7)]
    assert [item.supply for _, item in slow.bases(known, known + 5 * DAY_MS)] == [19e6]


def test_settled_funding_stands_for_its_interval(tmp_path: Path) -> None:
    rows = [(T0, "BTC", 0.0003), (T0 + 8 * HOUR_MS, "BTC", 0.0)]
    history = read_history(written(tmp_path / "a.csv", ("time_ms", "coin", "funding_rate"), rows), 0)
    slow = Slow([history], "BTC")
    assert slow.funding("file", "BTC", T0 - 1) is None
    found = slow.funding("file", "BTC", T0 + 8 * HOUR_MS - 1)
    assert found is not None
    assert (found.rate_8h, found.settled, found.recv_ts) == (0.0003, True, T0 + 8 * HOUR_MS - 1)
    zero = slow.funding("file", "BTC", T0 + 9 * HOUR_MS)
    assert zero is not None
    assert zero.rate == 0.0
    assert slow.funding("file", "BTC", T0 + 17 * HOUR_MS) is None


def test_holes_part_the_file_and_shorter_gaps_are_samples_without_rows(tmp_path: Path) -> None:
    hours = [0, 1, 2, 5, 6, 40, 41]
    rows = [(T0 + hour * HOUR_MS, 100, 10) for hour in hours]
    history = read_history(written(tmp_path / "a.csv", ("time", "mark", "open_interest_coins"), rows), 0)
    assert [len(part) for part in history.segments] == [5, 2]  # 34 h are more than a day
    told = [((ts - T0) // HOUR_MS, len(rows)) for ts, rows in frames(history.segments[0], 3_600)]
    assert told == [(0, 1), (1, 1), (2, 1), (3, 0), (4, 0), (5, 1), (6, 1)]


def test_resolution_is_the_nearest_known_step() -> None:
    assert resolution([0, 5_240, 9_100, 14_500]) == 5
    assert resolution([0, 60_000, 120_000, 1_000_000]) == 60
    assert resolution([0, DAY_MS, 3 * DAY_MS, 4 * DAY_MS]) == 86_400


def test_a_row_polled_twice_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [(T0, 100, 10), (T0, 100, 10), (T0 + 5_000, 100, 10)]
    history = read_history(written(tmp_path / "a.csv", ("time", "mark", "open_interest_coins"), rows), 0)
    assert (len(history.rows), history.repeated) == (2, 1)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ((T0, "x", 10), "line 3: mark: 'x' is no number"),
        ((T0, 0, 10), "line 3: mark: 0 is out of range"),
        ((T0, "nan", 10), "line 3: mark: 'nan' is no number; leave the cell empty"),
        ((T0, 100, -1), "line 3: open_interest_coins: -1 is out of range"),
        (("soon", 100, 10), "line 3: time: 'soon' is no time"),
        ((T0 - 5_000, 100, 10), "line 3: time: not after the row before"),
        ((T0 - 1_000, 101, 10), "line 3: time: not after the row before"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path: Path, cells: tuple[object, ...], said: str) -> None:
    rows = [(T0 - 1_000, 100, 10), cells, (T0 + 5_000, 100, 10)]
    with pytest.raises(HistoryError) as caught:
        read_history(written(tmp_path / "a.csv", ("time", "mark", "open_interest_coins"), rows), 0)
    assert said in caught.value.problems[0]


def test_unknown_columns_and_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="no time: none of the columns time, bar_open, date"):
        read_history(written(tmp_path / "a.csv", ("when", "price"), [(1, 2)]), 0)
    with pytest.raises(HistoryError, match="fewer than two times"):
        read_history(written(tmp_path / "b.csv", ("time", "mark"), [(T0, 2)]), 0)
    (tmp_path / "c.csv.gz").write_bytes(b"\x1f\x8b broken")
    with pytest.raises(HistoryError, match=r"c\.csv\.gz: cannot be read"):
        read_history(tmp_path / "c.csv.gz", 0)
    with pytest.raises(ConfigError, match=r"d\.csv: cannot be read: No such file"):
        read_history(tmp_path / "d.csv", 0)


NEEDS = ("time", "mark", "open_interest_coins")
TWO = [(T0, 100, 10), (T0 + HOUR_MS, 101, 11)]


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        (("time", "mark", "open_interest_coins", "Mark"), [(*row, 5) for row in TWO], "mark: a column twice"),
        (("time", "bar_open", *NEEDS[1:]), [(T0, *TWO[0])] * 2, "time and bar_open: only one of them can be taken"),
        ((*NEEDS, "open_interest_usd"), [(*row, 5) for row in TWO], "open_interest_coins and open_interest_usd: only"),
        (("time", "price"), [(T0, 1)], "none of the columns time, price is known"),
        (("time;mark;open_interest_coins",), [("1;2;3",)], "cells must be separated by commas"),
        (NEEDS, [TWO[0], (T0 + HOUR_MS, 101)], "line 3: 2 cells under 3 columns"),  # a row that was cut off
        (NEEDS, [TWO[0], (T0 + HOUR_MS, 101, 11, 5)], "line 3: 4 cells under 3 columns"),  # a decimal comma
        (NEEDS, [TWO[0], (T0 + HOUR_MS, "1_000", 11)], "line 3: mark: '1_000' is no number"),  # float() takes it
        (NEEDS, [TWO[0], (T0 + HOUR_MS, "\u0663", 11)], "is no number"),  # and digits of any script
        (NEEDS, [(T0 // 1_000, 100, 10)], "is no time: ms since the epoch"),  # seconds
        (NEEDS, [(T0 * 1_000, 100, 10)], "is no time: ms since the epoch"),  # microseconds ended in a traceback
        (NEEDS, [("0001-01-01T00:00:00", 100, 10)], "is no time"),
        (NEEDS, [("2024-01-01", 100, 10)], "is a day without a time: name the column date"),  # a day of look-ahead
        (("date", *NEEDS[1:]), [("2024-01-01T05:00:00", 100, 10)], "is no UTC day"),  # hours read as days
        ((*NEEDS, "coin"), [(*TWO[0], "ETH"), (*TWO[1], "ETH")], "line 2: coin: ETH, and not BTC"),
    ],
)
def test_what_is_unclear_is_refused(
    tmp_path: Path, header: tuple[str, ...], rows: list[tuple[object, ...]], said: str
) -> None:
    with pytest.raises(HistoryError) as caught:
        read_history(written(tmp_path / "a.csv", header, rows), 0, "BTC")
    assert said in caught.value.problems[0]


def test_case_and_spaces_of_a_header_do_not_matter_and_what_is_not_read_is_told(tmp_path: Path) -> None:
    header = ("Time", " mark", "Open_Interest_Coins ", "fundingRate", "coin")
    rows = [(*row, 0.001, "BTC") for row in TWO]
    history = read_history(written(tmp_path / "a.csv", header, rows), 0, "BTC")
    assert history.columns == ("mark", "open_interest_coins")
    assert history.ignored == ("fundingrate",)
    crlf = tmp_path / "crlf.csv"
    crlf.write_bytes(b"\xef\xbb\xbf" + (tmp_path / "a.csv").read_bytes().replace(b"\n", b"\r\n"))
    assert read_history(crlf, 0).rows == history.rows


def test_settled_rates_are_of_the_interval_between_them(tmp_path: Path) -> None:
    """Hourly rates of another venue have the same header: read as rates per 8 h they were an eighth of themselves."""
    for hours in (1, 8):
        rates = [(T0 + i * hours * HOUR_MS, "BTC", 1e-5 * i) for i in range(5)]
        history = read_history(written(tmp_path / f"{hours}.csv", ("time_ms", "coin", "funding_rate"), rates), 0)
        settled = Slow([history], "BTC").funding("file", "BTC", T0 + 4 * hours * HOUR_MS)
        assert settled is not None
        assert settled.interval_h == hours
        assert settled.rate_8h == pytest.approx(4e-5 * 8 / hours)


def settled_file(path: Path, hours: list[int], header: tuple[str, ...] = ("time_ms", "funding_rate")) -> Path:
    rows = [(T0 + hour * HOUR_MS, -0.0015, *(4,) * (len(header) - 2)) for hour in hours]
    return written(path, header, rows)


def test_settled_rates_have_the_interval_of_their_own_row(tmp_path: Path) -> None:
    """Cause: one interval was taken for the whole file: after a change from 8 h to 1 h rates were an eighth."""
    hours = [*range(0, 81, 8), *range(81, 90)]
    history = read_history(settled_file(tmp_path / "a.csv", hours), 0)
    assert history.intervals == {"8": 11, "1": 9}
    slow = Slow([history], "BTC")
    for hour, expected in ((0, -0.0015), (80, -0.0015), (81, -0.012), (89, -0.012)):
        found = slow.funding("file", "BTC", T0 + hour * HOUR_MS)
        assert found is not None
        assert found.rate_8h == pytest.approx(expected)
    assert slow.funding("file", "BTC", T0 + 91 * HOUR_MS) is None


def test_a_missing_settled_row_doubles_no_interval_and_what_is_unknown_is_counted(tmp_path: Path) -> None:
    gap = read_history(settled_file(tmp_path / "gap.csv", [0, 1, 2, 4, 5, 6]), 0)
    assert gap.intervals == {"1": 6}
    odd = read_history(settled_file(tmp_path / "odd.csv", [0, 8, 16, 19, 20, 21]), 0)
    assert odd.intervals == {"8": 3, "unknown": 1, "1": 2}
    assert described(odd, {})["funding_intervals_h"] == {"8": 3, "unknown": 1, "1": 2}
    found = Slow([odd], "BTC").funding("file", "BTC", T0 + 19 * HOUR_MS)
    assert found is not None  # it ends the rate before it, and says nothing itself
    assert (found.rate, found.interval_h, found.rate_8h) == (-0.0015, None, None)


def test_an_interval_that_a_settled_row_says_wins(tmp_path: Path) -> None:
    header = ("time_ms", "funding_rate", "funding_interval_h")
    history = read_history(settled_file(tmp_path / "a.csv", [0, 8, 16, 19], header), 0)
    assert history.intervals == {"4": 4}


def test_settled_rates_of_two_venues_are_spaced_apart(tmp_path: Path) -> None:
    rows = [(T0 + hour * HOUR_MS, venue, 0.0001) for hour in range(0, 17) for venue in ("one", "two")
            if venue == "one" or hour % 8 == 0]  # fmt: skip
    history = read_history(written(tmp_path / "a.csv", ("time_ms", "venue", "funding_rate"), rows), 0)
    assert history.intervals == {"1": 17, "8": 3}


def test_a_daily_supply_in_the_coin_metrics_layout_is_known_after_its_day(tmp_path: Path) -> None:
    header = ("time", "PriceUSD", "CapMrktCurUSD", "SplyCur")
    rows = [("2024-01-01", 40_000, 8e11, 2e7), ("2024-01-02", "", "", 2.1e7)]
    history = read_history(written(tmp_path / "a.csv", header, rows), 60_000)
    assert [row.known_ms for row in history.rows] == [parse_time(f"2024-01-0{day}T00:01:00Z") for day in (2, 3)]
    found = base(history.rows[1], "BTC")
    assert found is not None
    assert found.supply == 2.1e7


def test_rows_of_another_name_of_the_coin_are_taken(tmp_path: Path) -> None:
    header = ("time", "coin", "mark", "open_interest_coins")
    rows = [(T0, "TON", 2.5, 100), (T0 + HOUR_MS, "GRAM", 2.25, 101), (T0 + 2 * HOUR_MS, "", 2.0, 102)]
    assert len(read_history(written(tmp_path / "a.csv", header, rows), 0, "GRAM").rows) == 3
    assert len(read_history(tmp_path / "a.csv", 0, "NEW", {"TON": "NEW", "GRAM": "NEW"}).rows) == 3
    with pytest.raises(HistoryError, match="coin: TON, and not BTC"):
        read_history(written(tmp_path / "b.csv", header, rows), 0, "BTC")
