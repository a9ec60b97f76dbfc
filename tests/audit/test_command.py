"""`elr audit`: what it says where nothing is beyond and yet nothing is proven; addresses that are none."""

from __future__ import annotations

import pytest

from service.audit.compare import Audit, Difference
from service.cli.audit import _unsound
from service.cli.main import run as elr
from service.runtime.audits import numbers_of


def row(instrument: str, theirs: float | None, note: str = "", ours: float | None = 5.0) -> Difference:
    known = ours is not None and theirs is not None
    times = -1.0 if not known else 0.0 if ours == theirs else 9.0
    ratio = ours / theirs if ours is not None and theirs else None
    return Difference("okx", "BTC", instrument, "oi", ours, theirs, ratio, None, times > 1, times, note)


def test_a_venue_that_was_hardly_compared_is_not_sound() -> None:
    """Cause: 42 of a venue's 63 figures were never read, and the audit ended with 0: nothing was beyond."""
    assert _unsound([Audit("okx", 1, (row("A", 5.0), row("B", 5.0)), ())]) == []
    assert _unsound([Audit("okx", 1, (row("A", 5.0), row("B", None), row("C", None)), ())]) == [
        "okx: less than half of its figures could be compared"
    ]
    assert _unsound([Audit("okx", 1, (), ("tickers: timeout",))]) != []
    assert _unsound([Audit("okx", 1, (), ())]) == []  # lists none of our symbols


def test_what_is_in_quarantine_here_is_not_sound() -> None:
    """Cause: a mark of twice the others' goes into quarantine, is compared no more, and 0 were beyond."""
    rows = (row("A", 5.0), row("B", 5.0), row("C", 9.0, "not here: quarantined", None))
    assert _unsound([Audit("okx", 1, rows, ())]) == ["okx: not counted here, so not compared: C"]


def test_the_metric_of_a_symbol_is_of_the_instrument_furthest_off_or_of_none() -> None:
    """Cause: theirs was 0, which has no ratio, and the metric showed the next instrument's 1.0."""
    assert numbers_of(Audit("okx", 1, (row("A", 0.0), row("B", 5.0)), ())).figures == ()
    assert numbers_of(Audit("okx", 1, (row("B", 5.0),), ())).figures == (("oi", "BTC", 1.0),)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "127.0.0.1:1: an address begins with http://"),
        ("http://me:secret@127.0.0.1:1", "no service answers at http://127.0.0.1:1 ("),
    ],
)
def test_an_address_is_told_without_its_password(address: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert elr(["audit", address]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert "secret" not in err
