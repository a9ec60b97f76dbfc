"""All 24 faults on one venue, and one fault on each of the others; `make faults` runs every cell at full length."""

from __future__ import annotations

import pytest

from tests.faults import judge
from tests.faults.catalogue import FAULTS, Refused
from tests.faults.field import BASE_MS, SYMBOLS, Spans, play, simulated
from tests.faults.matrix import SHORT, Cell, evidence_of, honest_run, judged, table

ONE_VENUE = "binance_usdm"  # sockets and HTTP: both carry what it needs to count
ELSEWHERE = {  # a fault for each of the others, each of another family
    "bybit": "delta first, absent field", "binance_coinm": "pongs, no data", "okx": "poisonous numbers",
    "bitget": "refused", "gate": "reset in mid-frame", "deribit": "venue clock off", "kraken_futures": "renamed field",
    "bitmex": "duplicates, replay", "hyperliquid": "frozen value", "dydx": "malformed", "aster": "403 429 503",
    "lighter": "unit error x100",
}  # fmt: skip
BY_NAME = {fault.name: fault for fault in FAULTS}
CELLS = [Cell(fault, ONE_VENUE) for fault in FAULTS]
CELLS += [Cell(BY_NAME[name], venue) for venue, name in ELSEWHERE.items() if venue in simulated()]


def test_every_simulated_venue_has_a_cell() -> None:
    assert {cell.venue for cell in CELLS} == set(simulated())


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_cell(cell: Cell) -> None:
    verdict = judged(cell, SHORT).verdict
    assert [str(violation) for violation in verdict.violations[:5]] == []
    assert sum(verdict.outcomes.values()) == len(SYMBOLS) * SHORT.fault // 10  # every tick of the fault was judged
    assert verdict.healthy_s is not None


def test_below_the_quorum_nothing_is_said() -> None:
    """Two venues, one of them refused: no data, no numbers, no series; and whole again afterwards."""
    venues = ("bybit", "okx")
    spans = Spans(20, 100, 60, past_h=4)
    cell = Cell(BY_NAME["refused"], "okx")
    run = play(venues, {"okx": Refused("okx", float(spans.fault))}, spans)
    evidence = evidence_of(cell, run, honest_run(venues, spans))
    verdict = judge.judge(evidence)
    assert [str(violation) for violation in verdict.violations[:5]] == []
    statuses = {body["status"] for tick in evidence.ticks if 80 < tick.at_s < 120 for body in tick.bodies}
    assert statuses == {"no_data"}
    assert all('elr_score{symbol="BTC"' not in text for at_s, text in evidence.scrapes if at_s < 121)
    assert evidence.ticks[-1].bodies[0]["status"] == "ok"


def test_the_same_seed_gives_the_same_run() -> None:
    spans = Spans(10, 30, 10, past_h=1)
    cell = Cell(BY_NAME["reset in mid-frame"], "okx")
    runs = [play(("bybit", "okx"), {"okx": cell.fault.make("okx", 30.0)}, spans) for _ in range(2)]
    first, second = ([item.tick for item in run.published] for run in runs)
    assert first == second
    assert first[0].ts == BASE_MS + 10_000
    assert runs[0].reconnects == runs[1].reconnects


def test_the_table_names_every_fault_and_says_which_cells_fail() -> None:
    good, bad = judge.Verdict(healthy_s=7.0, outcomes={"a": 3}), judge.Verdict(healthy_s=None)
    bad.violations.append(judge.Violation("W1", 0.0, "BTC", "stale"))
    text = table({(1, "okx"): good, (2, "okx"): bad}, ["okx"])
    rows = text.splitlines()
    assert len(rows) == 25
    assert "7s a" in rows[1]
    assert "FAIL" in rows[2]
    assert all(fault.name in row for fault, row in zip(FAULTS, rows[1:], strict=True))
