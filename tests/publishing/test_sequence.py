"""Sequences without gaps; resuming gives exactly what was missed, or says that it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import OurBug
from service.publishing.sequence import Sequencer
from tests.publishing.factories import EPOCH


def sequencer(history: int = 3) -> Sequencer:
    return Sequencer(("signal.BTC", "signal.ETH"), EPOCH, "live", history)


def test_each_channel_counts_from_one() -> None:
    made = sequencer()
    assert [made.publish("signal.BTC", "signal", b"{}").seq for _ in range(3)] == [1, 2, 3]
    assert made.publish("signal.ETH", "signal", b"{}").seq == 1
    assert (made.seq("signal.BTC"), made.seq("signal.ETH")) == (3, 1)


def test_an_unknown_channel_is_our_bug() -> None:
    with pytest.raises(OurBug, match="SOL"):
        sequencer().publish("signal.SOL", "signal", b"{}")


@given(st.integers(0, 6), st.integers(0, 12), st.integers(-3, 15))
def test_missed_is_exact_or_refused(history: int, published: int, seen: int) -> None:
    made = sequencer(history)
    everything = [made.publish("signal.BTC", "signal", b'{"n":%d}' % n) for n in range(published)]
    missed = made.missed("signal.BTC", EPOCH, seen)
    if 0 <= seen <= published and published - seen <= history:
        assert missed == tuple(everything[seen:])
    else:
        assert missed is None


@pytest.mark.parametrize("seq", [-1, -(2**63), 2**63, 10**30, 1e300, 2.0, float("nan"), True, "2", None, [2], {}])
def test_no_value_of_seq_raises_or_resumes(seq: Any) -> None:
    made = sequencer()
    made.publish("signal.BTC", "signal", b"{}")
    made.publish("signal.BTC", "signal", b"{}")
    assert made.missed("signal.BTC", EPOCH, seq) is None


@pytest.mark.parametrize("epoch", ["", "01JOTHER", None, 5, [EPOCH]])
def test_a_foreign_epoch_cannot_be_resumed(epoch: Any) -> None:
    made = sequencer()
    made.publish("signal.BTC", "signal", b"{}")
    assert made.missed("signal.BTC", epoch, 1) is None
    assert made.missed("signal.BTC", EPOCH, 1) == ()


def test_a_new_epoch_forgets_everything() -> None:
    made = sequencer()
    made.publish("signal.BTC", "signal", b"{}")
    made.restart("01JNEW")
    assert made.latest("signal.BTC") is None
    assert made.missed("signal.BTC", EPOCH, 1) is None
    first = made.publish("signal.BTC", "signal", b"{}")
    assert (first.seq, first.epoch) == (1, "01JNEW")
