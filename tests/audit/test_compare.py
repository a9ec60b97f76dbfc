"""What is beyond, what is missing, and what a difference looks like."""

from __future__ import annotations

import json
import math

import pytest

from service.audit import Audit, Difference, Figures, compare
from service.config import AuditSection
from service.model import Listing

ITEM = Listing("okx", "ETH-USDT-SWAP", "ETH", False, None, 1.0, None, True, 0)
ALLOWED = AuditSection()


def rows(ours: Figures, theirs: Figures, allowed: AuditSection = ALLOWED) -> dict[str, Difference]:
    found = compare("okx", [ITEM], {ITEM.instrument: ours}, {ITEM.instrument: theirs}, allowed)
    return {row.figure: row for row in found}


def test_agreement_and_what_is_just_beyond() -> None:
    found = rows(Figures(2500.0, 0.0001, 1049.0), Figures(2500.0, 0.00012, 1000.0))
    assert [row.beyond for row in found.values()] == [False, False, False]
    assert found["oi"].ratio == pytest.approx(1.049)
    assert found["oi"].off == pytest.approx(0.049)
    assert found["funding"].off == pytest.approx(-0.00002)
    found = rows(Figures(2526.0, 0.0001, 1051.0), Figures(2500.0, 0.00014, 1000.0))
    assert [(row.beyond, row.note) for row in found.values()] == [(True, "")] * 3
    found = rows(Figures(2474.0, 0.0001, 949.0), Figures(2500.0, 0.00014, 1000.0))
    assert [row.beyond for row in found.values()] == [True] * 3


def test_small_rates_differ_by_a_floor_and_large_ones_by_a_share() -> None:
    """A rate near 0 is never within any share of another; one of a squeeze moves by more than any floor."""
    assert not rows(Figures(funding=0.000019), Figures(funding=0.0))["funding"].beyond
    assert rows(Figures(funding=0.000021), Figures(funding=0.0))["funding"].beyond
    assert not rows(Figures(funding=-0.0076), Figures(funding=-0.01))["funding"].beyond
    assert rows(Figures(funding=-0.0074), Figures(funding=-0.01))["funding"].beyond


def test_what_is_allowed_is_configured() -> None:
    wide = AuditSection(oi=1.5, mark=0.5, funding_share=0.9, funding_8h=0.001)
    near, far = Figures(3000.0, 0.0009, 2000.0), Figures(2500.0, 0.0001, 1000.0)
    assert sum(row.beyond for row in rows(near, far).values()) == 3
    assert sum(row.beyond for row in rows(near, far, wide).values()) == 0


def test_what_is_missing_is_said_and_is_no_0() -> None:
    found = rows(
        Figures(None, 0.0001, None, {"mark": "stale", "oi": "quarantined"}),
        Figures(2500.0, None, None, {"funding": "not at the venue: no fundingRate", "oi": "not at the venue"}),
    )
    assert {name: (row.ratio, row.off, row.beyond, row.note) for name, row in found.items()} == {
        "oi": (None, None, False, "not here: quarantined; not at the venue"),
        "mark": (None, None, False, "not here: stale"),
        "funding": (None, None, False, "not at the venue: no fundingRate"),
    }
    assert (found["mark"].ours, found["mark"].theirs) == (None, 2500.0)
    unheard = compare("okx", [ITEM], {}, {}, ALLOWED)
    assert {row.note for row in unheard} == {"not here: never received; not at the venue"}


def test_a_0_at_the_venue() -> None:
    """No contract open is a figure like any other; ours beside it has no ratio."""
    assert not rows(Figures(oi=0.0), Figures(oi=0.0))["oi"].beyond
    row = rows(Figures(oi=7.0), Figures(oi=0.0))["oi"]
    assert (row.beyond, row.ratio, row.off, row.note) == (True, None, None, "0 at the venue")
    assert row.times == math.inf
    json.loads(json.dumps(row.plain(), allow_nan=False))
    assert rows(Figures(oi=0.0), Figures(oi=7.0))["oi"].beyond


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (2.0, "both sides"),
        (0.5, "half of theirs"),
        (2499.0, "dollars taken for coins"),
        (1 / 2501.0, "coins taken for dollars"),
        (1000.0, "10^3"),
        (1e-8, "10^-8"),
        (1.07, None),
        (3.0, None),
    ],
)
def test_what_open_interest_that_is_off_looks_like(ratio: float, said: str | None) -> None:
    row = rows(Figures(oi=ratio * 640.0), Figures(mark=2500.0, oi=640.0))["oi"]
    assert row.beyond
    assert (row.note == "") if said is None else (said in row.note)


@pytest.mark.parametrize(
    ("ours", "said"),
    [(0.0008, "8 times"), (0.01, "percent"), (1e-6, "fraction"), (0.0000125, "eighth"), (-0.0001, "sign"),
     (0.0002, "interval"), (0.0004, "interval"), (0.0, None)],
)  # fmt: skip
def test_what_funding_that_is_off_looks_like(ours: float, said: str | None) -> None:
    row = rows(Figures(funding=ours), Figures(funding=0.0001))["funding"]
    assert row.beyond
    assert (row.note == "") if said is None else (said in row.note)


def test_a_mark_in_another_unit() -> None:
    assert "10^-3" in rows(Figures(mark=2.5), Figures(mark=2500.0))["mark"].note


def test_sides_in_doubt_are_compared_all_the_same() -> None:
    """Cause: it is the venue whose figure is in doubt of which the audit can tell most."""
    row = rows(Figures(oi=2000.0, missing={"oi": "not counted: its sides are in doubt"}), Figures(oi=1000.0))["oi"]
    assert (row.ratio, row.beyond) == (2.0, True)
    assert row.note == "not counted: its sides are in doubt; twice theirs: both sides counted?"


def test_the_worst_come_first_and_only_what_was_compared_counts() -> None:
    found = rows(Figures(2600.0, 0.0001, 1500.0), Figures(2500.0, None, 1000.0))
    audit = Audit("okx", 7, tuple(found.values()))
    assert (audit.compared, audit.beyond) == (2, 2)
    assert [row.figure for row in audit.worst(5)] == ["oi", "mark"]  # ten times and four times what is allowed
    assert [row.figure for row in audit.worst(1)] == ["oi"]
