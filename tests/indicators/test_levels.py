"""What each level reads of a sample, and what is its own: floors, horizons, the second reading of funding."""

from __future__ import annotations

import pytest

from service.indicators.contract import Level
from service.indicators.levels import Elr, Funding, Premium, Spend, Spread
from service.model import Consensus
from tests.indicators.build import DAY_MINUTES, sample

ITEM = sample(
    0, price=101.0, index=100.0, funding_8h=-0.0003, funding_spend=-1.5, funding_spread=0.0007, ln_oi_index=0.25
)


def test_what_each_reads() -> None:
    assert Elr().value(ITEM) == 0.25
    assert Funding().value(ITEM) == -0.0003
    assert Premium().value(ITEM) == pytest.approx(0.01)
    assert Spread().value(ITEM) == 0.0007
    assert Spend().value(ITEM) == -1.5


def test_premium_needs_an_index() -> None:
    assert Premium().value(sample(0, index=None)) is None


@pytest.mark.parametrize(
    ("level", "item"),
    [
        (Elr(), sample(0, ln_oi_index=1e-3)),
        (Funding(), sample(0, funding_8h=1e-5)),
        (Premium(), sample(0, price=100.001, index=100.0)),
        (Spread(), sample(0, funding_spread=1e-5)),
        (Spend(), sample(0, funding_spend=0.03, oi_coins=3000.0)),
    ],
)
def test_a_flat_past_measures_by_the_floor(level: Level, item: Consensus) -> None:
    for minute in range(60):
        level.update(minute, 0.0)
    assert level.read(60, item).z == pytest.approx(1 / 1.4826, rel=1e-6)


def test_magnitude_of_funding_ranks_both_signs_and_remembers_30_days() -> None:
    funding = Funding()
    for minute in range(2 * DAY_MINUTES):
        funding.update(minute, (0.001, -0.001, 0.002, -0.002)[minute % 4])
    now = 2 * DAY_MINUTES
    magnitude = funding.read_magnitude(now, sample(0, funding_8h=-0.0015))
    assert (magnitude.value, magnitude.z) == (0.0015, None)
    assert (magnitude.n, magnitude.horizon_h, magnitude.percentile) == (2 * DAY_MINUTES, 48, 0.5)
    signed = funding.read(now, sample(0, funding_8h=-0.0015))
    assert (signed.n, signed.horizon_h, signed.percentile) == (DAY_MINUTES, 24, 0.25)


def test_spread_is_judged_by_all_its_past() -> None:
    """A day of wide spreads after ten narrow ones is unusual, though nothing in the day itself is."""
    spread = Spread()
    for minute in range(11 * DAY_MINUTES):
        spread.update(minute, 1e-5 if minute < 10 * DAY_MINUTES else 1e-3)
    reading = spread.read(11 * DAY_MINUTES, sample(0, funding_spread=1e-3))
    assert reading.z is not None
    assert reading.z > 60
    assert reading.n == 11 * DAY_MINUTES
    assert reading.horizon_h == 264
    assert reading.percentile == pytest.approx((10 + 0.5) / 11)


def test_change_24h_needs_both_ends() -> None:
    elr = Elr()
    elr.update(100, 0.0)
    assert elr.change_24h(100 + DAY_MINUTES, ITEM) == 0.25
    assert elr.change_24h(101 + DAY_MINUTES, ITEM) is None
    assert elr.change_24h(100 + DAY_MINUTES, sample(0, quorum=False)) is None


def test_change_4h_needs_both_ends() -> None:
    elr = Elr()
    elr.update(100, 0.0)
    assert elr.change_4h(340, ITEM) == 0.25
    assert elr.change_4h(341, ITEM) is None
    assert elr.change_4h(340, sample(0, quorum=False)) is None
