"""The dated table of venue changes, and who is told of it when. Today is an argument: no test depends on the date."""

from __future__ import annotations

import logging
from datetime import date, timedelta

import pytest

from service.cli import check, serve
from service.cli.main import run
from service.clock import ServiceClock
from service.config import parse
from service.core.build import rules_of, venues_of
from service.core.engine import Engine
from service.core.intake import Intake
from service.metrics import Metrics
from service.runtime.read_models import ReadModels
from service.venues import VENUES
from service.venues.changes import CHANGES, WARN_DAYS, Change, changes_of, day_of, shown, warnings

END = date(2027, 3, 1)
DAY_MS = 86_400_000
DECEMBER_MS = 1_796_083_200_000  # 2026-12-01


def test_the_end_of_krakens_old_interfaces_is_warned_of_in_time() -> None:
    """From 120 days before, and afterwards in other words; only where Kraken is enabled."""
    assert warnings(VENUES, date(2026, 10, 1)) == []
    assert warnings(VENUES, END - timedelta(WARN_DAYS + 1)) == []
    assert len(warnings(VENUES, END - timedelta(WARN_DAYS))) == 2
    first, second = warnings(VENUES, date(2026, 12, 1))
    assert first.startswith("kraken_futures: ends in 90 days, on 2027-03-01: the REST API and the WebSocket v1 of ")
    assert "excluded then, unless its unified socket has agreed" in first
    assert "(documented)" in first
    # What the venue did not say itself is not said as if it had.
    assert second.startswith("kraken_futures: may end in 90 days, on 2027-03-01: charts and analytics")
    after = warnings(VENUES, date(2027, 3, 2))
    assert [line.split(": ")[1] for line in after] == ["ended on 2027-03-01", "may have ended on 2027-03-01"]
    assert warnings(VENUES, END)[0].startswith("kraken_futures: ended on")
    assert warnings([name for name in VENUES if name != "kraken_futures"], date(2026, 12, 1)) == []


def test_what_is_handled_is_not_warned_of() -> None:
    row = Change(("okx", "gate"), END, "the socket", "reported", "somebody", "", "Look.")
    assert warnings(["gate"], END, [row]) == ["gate: ended on 2027-03-01: the socket (reported). Look."]
    assert warnings(["gate"], END, [row._replace(handled="by the other socket")]) == []
    assert warnings(["gate", "okx"], END, [row._replace(venues=())])[0].startswith("gate, okx: ")


def test_every_row_is_whole() -> None:
    assert [change.day for change in CHANGES] == sorted(change.day for change in CHANGES)
    for change in CHANGES:
        assert set(change.venues) <= set(VENUES), change
        assert bool(change.handled) is not bool(change.then), "an open row says what follows, a handled one by what"
        assert change.what
        assert change.source
        assert "|" not in "".join(map(str, change))  # a row of a table
    assert [change.what for change in changes_of("okx")] == [
        change.what for change in CHANGES if change.venues in ((), ("okx",))
    ]


def test_days_left_count_down_and_go_below_zero() -> None:
    rows = {row["what"]: row for row in shown("kraken_futures", date(2026, 12, 1))}
    end = rows["the REST API and the WebSocket v1 of futures.kraken.com"]
    assert (end["from"], end["days_left"], end["handled"]) == ("2027-03-01", 90, False)
    demo = rows["demo-futures.kraken.com is gone, without a successor"]
    assert (demo["days_left"], demo["handled"]) == (-140, "it was never an address of ours")
    assert day_of(DECEMBER_MS - 1) == date(2026, 11, 30)


class At:
    """The clock of a command, on a day."""

    now = DECEMBER_MS

    def now_ms(self) -> int:
        return self.now


@pytest.mark.parametrize(("days", "said"), [(-61, None), (0, "in 90 days, on 2027-03-01"), (91, "ended on 2027-03-01")])
def test_elr_check_says_so(
    days: int, said: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(At, "now", DECEMBER_MS + days * DAY_MS)
    monkeypatch.setattr(check, "ServiceClock", At)
    assert run(["check"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("kraken_futures: ")]
    assert len(lines) == (0 if said is None else 2)
    assert all(said in line for line in lines if said is not None)


def test_elr_serve_says_so_at_its_start(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(serve, "ServiceClock", At)
    monkeypatch.setattr(serve, "_serve", lambda *arguments: 0)
    monkeypatch.setattr(serve, "_state_file", lambda config: None)
    with caplog.at_level(logging.WARNING):
        assert run(["serve"]) == 0
    said = [record.message for record in caplog.records if "in 90 days, on 2027-03-01" in record.message]
    assert len(said) == 2


def test_elr_venues_lists_what_is_open(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["venues"]) == 0
    out = capsys.readouterr().out
    assert "kraken_futures: end on 2027-03-01: the REST API and the WebSocket v1" in out


def test_the_venues_document_shows_each_venues_rows() -> None:
    config = parse({"venues": {name: {"enabled": name in ("okx", "kraken_futures")} for name in VENUES}})
    engine = Engine(config.service.symbols, rules_of(config), config.market, [])
    venues = venues_of(config)
    intake = Intake(venues, ServiceClock(), engine.apply, lambda: 0, Metrics(tuple(venues), "live", "0"))
    found = ReadModels(config, "live", engine, intake, {}, At()).venues()["venues"]
    assert list(found) == ["okx", "kraken_futures"]
    for name, venue in found.items():
        assert venue["changes"] == shown(name, date(2026, 12, 1))
        assert set(venue["changes"][0]) == {"what", "from", "evidence", "source", "handled", "days_left"}
