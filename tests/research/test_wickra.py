"""The library against wickra 2 (PyPI, development group), an implementation of its own in Rust: equal to 1e-9 where the
definitions agree, and different where docs/indicators.md says so.

Shared inputs are ticks on a grid of one second: n of wickra's ticks are then a window of n slots.
"""

from __future__ import annotations

import inspect
import math
import random
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import metadata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.research.indicators import NOT_APPLICABLE, REGISTRY

wickra = pytest.importorskip("wickra", reason="wickra, the oracle, is not installed (dependency group dev)")

OI_WEIGHTED_N = 300  # theirs has no window: as long as the longest series here
STEP, N = 1_000, 7  # nine tenths of seven slots are all seven: both are ready at the same tick
T0 = 1_763_720_520_000


def plain(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Pair:
    """One of the library and its counterpart; what each is fed of a drawn row, and theirs in our unit."""

    ours: dict[str, Any]
    theirs: Callable[[], Any]
    low: tuple[float, ...]  # of each drawn number
    high: tuple[float, ...]
    to_us: Callable[[tuple[float, ...]], tuple[float, ...]] = plain
    in_our_unit: Callable[[Any], Any] = plain


def over(slots: int) -> dict[str, Any]:
    return {"window_ms": slots * STEP, "step_ms": STEP}


RATE, PRICES, AMOUNTS = ((-1e-3,), (1e-3,)), ((90.0, 90.0), (110.0, 110.0)), ((1.0, 1.0), (1e5, 1e5))
OI, OI_PRICE = ((1e3,), (1e5,)), ((1e3, 90.0), (1e5, 110.0))

PAIRS = {
    "funding_rate": Pair({}, wickra.FundingRate, *RATE, to_us=lambda x: (*x, 8.0)),
    "funding_mean": Pair(over(N), lambda: wickra.FundingRateMean(N), *RATE),
    "funding_z": Pair(over(N), lambda: wickra.FundingRateZScore(N), *RATE),
    "funding_apr": Pair({}, lambda: wickra.FundingImpliedApr(1095.0), *RATE),
    "basis": Pair({}, wickra.FundingBasis, *PRICES),
    "premium_index": Pair(over(1), wickra.PerpetualPremiumIndex, *PRICES),
    "oi_delta": Pair(over(1), wickra.OpenInterestDelta, *OI),
    "oi_momentum": Pair(over(N), lambda: wickra.OpenInterestMomentum(N), *OI, in_our_unit=lambda y: y / 100),
    "oi_price_divergence": Pair(over(N), lambda: wickra.OIPriceDivergence(N), *OI_PRICE),
    "oi_weighted_price": Pair(over(OI_WEIGHTED_N), wickra.OIWeighted, (90.0, 1e3), (110.0, 1e5)),
    "oi_to_volume": Pair(over(1), wickra.OiToVolumeRatio, (1e3, 1.0, 1.0), (1e5, 1e3, 1e3)),
    "long_short_ratio": Pair({}, wickra.LongShortRatio, *AMOUNTS),
    "taker_ratio": Pair(over(1), wickra.TakerBuySellRatio, *AMOUNTS),
    "liquidations": Pair(
        over(1), wickra.LiquidationFeatures, *AMOUNTS, in_our_unit=lambda y: (y[0], y[1], -y[2], y[3], -y[4])
    ),
    "elr": Pair({}, wickra.EstimatedLeverageRatio, *AMOUNTS),
}


def make(name: str) -> tuple[Any, Any]:
    return REGISTRY[name](**PAIRS[name].ours), PAIRS[name].theirs()


def ours(name: str, *rows: tuple[float | None, ...]) -> Any:
    """The value after ``rows``, one a second."""
    indicator = make(name)[0]
    for tick, row in enumerate(rows):
        indicator.update(T0 + tick * STEP, row)
    return indicator.value


def theirs(name: str, *rows: tuple[float, ...]) -> Any:
    indicator, value = make(name)[1], None
    for row in rows:
        value = indicator.update(*row)
    return value


def derivatives() -> list[str]:
    """Its indicators of derivatives: the names that its package imports under that heading."""
    _, block = inspect.getsource(wickra).split("    # Derivatives\n")[:2]
    return re.findall(r"^    (\w+),$", block.split("    # ")[0], re.MULTILINE)


def test_each_of_its_derivatives_indicators_has_its_place() -> None:
    """All of them are here or told not to be, as many as its own page counts."""
    named = {about.wickra for about in REGISTRY.values()} - {None}
    assert len(named) == 15
    assert sorted(derivatives()) == sorted([*named, *NOT_APPLICABLE])
    page = metadata("wickra")["Description"] or ""
    (row,) = re.findall(r"^\| Derivatives +\| (.*?) \|$", page, re.MULTILINE)
    assert len(row.split(", ")) == len(derivatives()) == 17
    assert named.isdisjoint(NOT_APPLICABLE)
    for name in (*sorted(named), *NOT_APPLICABLE):
        assert callable(getattr(wickra, name).update)
    assert {name: about.wickra for name, about in REGISTRY.items() if about.wickra is not None} == {
        name: type(pair.theirs()).__name__ for name, pair in PAIRS.items()
    }


def compare(name: str, rows: Sequence[tuple[float, ...]]) -> int:
    """How many values were given by both, and equal."""
    pair, compared = PAIRS[name], 0
    mine, other = make(name)
    for tick, row in enumerate(rows):
        mine.update(T0 + tick * STEP, pair.to_us(row))
        expected = other.update(*row)
        if name == "oi_weighted_price" and not mine.ready:
            assert tick + 1 < 0.9 * OI_WEIGHTED_N  # it waits for its window, they do not
            continue
        if name == "funding_z" and noisy(rows[: tick + 1]):
            continue
        assert (mine.value is None) == (expected is None)
        if expected is not None:
            assert mine.value == pytest.approx(pair.in_our_unit(expected), rel=1e-9, abs=1e-9)
            compared += 1
    return compared


def noisy(rows: Sequence[tuple[float, ...]]) -> bool:
    """Whether the rates of the window differ so little that rounding shows in their running sums (see
    ``test_noise_of_running_sums_is_no_z_score``), or that the squares of their differences are 0."""
    rates = [rate for (rate,) in rows]
    return statistics.pstdev(rates[-N:]) <= max(1e-3 * max(map(abs, rates)), 1e-12)


@pytest.mark.parametrize("name", list(PAIRS))
def test_equal_on_long_series(name: str) -> None:
    pair = PAIRS[name]
    for seed in range(4):
        rng = random.Random(seed)
        rows = [tuple(rng.uniform(*ends) for ends in zip(pair.low, pair.high, strict=True)) for _ in range(300)]
        assert compare(name, rows) >= 30


@pytest.mark.parametrize("name", list(PAIRS))
@given(data=st.data())
def test_equal_on_whatever_both_accept(name: str, data: st.DataObject) -> None:
    """Numbers at and between the ends, often the same again, and of both signs where there are."""
    pair = PAIRS[name]
    columns = [
        st.one_of(st.sampled_from((low, high, (low + high) / 2)), st.floats(low, high))
        for low, high in zip(pair.low, pair.high, strict=True)
    ]
    slots = OI_WEIGHTED_N if name == "oi_weighted_price" else N
    once = data.draw(st.lists(st.tuples(*columns), min_size=1, max_size=3 * N))
    rows = (once * (slots // len(once) + 1))[:OI_WEIGHTED_N]
    assert compare(name, rows) > 0 or name == "funding_z"


def test_ready_from_nine_tenths_of_a_window_on() -> None:
    mine, other = REGISTRY["funding_mean"](**over(20)), wickra.FundingRateMean(20)
    first = {}
    for tick in range(20):
        mine.update(T0 + tick * STEP, 1e-4)
        if mine.ready:
            first.setdefault("ours", tick + 1)
        if other.update(1e-4) is not None:
            first.setdefault("theirs", tick + 1)
    assert first == {"ours": 18, "theirs": 20}


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("oi_momentum", [(0.0,)] * N + [(5.0,)]),
        ("oi_to_volume", [(5.0, 0.0, 0.0)]),
        ("long_short_ratio", [(1.0, 0.0)]),
        ("taker_ratio", [(1.0, 0.0)]),
        ("elr", [(60.0, 0.0)]),
        ("funding_z", [(4e-4,)] * N),
    ],
)
def test_null_where_they_say_0(name: str, rows: list[tuple[float, ...]]) -> None:
    assert theirs(name, *rows) == 0.0
    assert ours(name, *rows) is None


def test_an_interval_other_than_8_h() -> None:
    assert ours("funding_rate", (2e-4, 4.0)) == pytest.approx(4e-4)
    assert theirs("funding_rate", (2e-4,)) == 2e-4


def test_noise_of_running_sums_is_no_z_score() -> None:
    mine, other = REGISTRY["funding_z"](**over(5)), wickra.FundingRateZScore(5)
    for tick, rate in enumerate([1.1, 2.2, 3.3, *[0.1] * 5]):
        mine.update(T0 + tick * STEP, rate)
        noise = other.update(rate)
    assert mine.value is None
    assert 1e-9 < abs(noise) < 1e-8


def test_prices_of_0() -> None:
    for name in ("basis", "premium_index"):
        assert ours(name, (100.0, 0.0)) is None
        with pytest.raises(ValueError, match="positive"):
            theirs(name, (100.0, 0.0))
    assert ours("basis", (0.0, 100.0)) == -1.0
    assert ours("oi_price_divergence", *[(1.0, 0.0)] * N, (1.0, 1.0)) is None
    with pytest.raises(ValueError, match="positive"):
        theirs("oi_price_divergence", (1.0, 0.0))


def test_basis_and_premium_index_are_one_there_and_two_here() -> None:
    rows = [(101.0, 100.0), (103.0, 100.0)]
    assert theirs("basis", *rows) == theirs("premium_index", *rows) == pytest.approx(0.03)
    mean = REGISTRY["premium_index"](window_ms=2 * STEP, step_ms=STEP)
    for tick, row in enumerate(rows):
        mean.update(T0 + tick * STEP, row)
    assert mean.value == pytest.approx(0.02)


def test_divergence_from_no_open_interest() -> None:
    rows = [(0.0, 100.0)] * N + [(5.0, 110.0)]
    assert theirs("oi_price_divergence", *rows) == pytest.approx(-0.1)
    assert ours("oi_price_divergence", *rows) is None


def test_weighted_price_forgets() -> None:
    window = REGISTRY["oi_weighted_price"](window_ms=2 * STEP, step_ms=STEP)
    for tick, row in enumerate([(10.0, 100.0), (20.0, 100.0), (40.0, 100.0)]):
        window.update(T0 + tick * STEP, row)
    assert window.value == pytest.approx(30.0)
    assert theirs("oi_weighted_price", (10.0, 100.0), (20.0, 100.0), (40.0, 100.0)) == pytest.approx(70 / 3)
    assert theirs("oi_weighted_price", (10.0, 0.0), (20.0, 0.0)) == 20.0
    assert ours("oi_weighted_price", *[(20.0, 0.0)] * 300) is None


def test_windows_are_of_time_not_of_ticks() -> None:
    mine, other = make("oi_delta")
    mine.update(T0, 100.0)
    other.update(100.0)
    mine.update(T0 + 5 * STEP, 130.0)
    assert other.update(130.0) == 30.0
    assert mine.value is None
    mine, other = make("taker_ratio")
    for row in ((3.0, 1.0), (1.0, 3.0), (2.0, 0.0)):  # three trades in one slot
        mine.update(T0, row)
        last = other.update(*row)
    assert mine.value == pytest.approx(6 / 4)
    assert last == 0.0


def test_liquidations_lean_up_when_shorts_are_bought_back() -> None:
    assert theirs("liquidations", (1.0, 3.0)) == (1.0, 3.0, -2.0, 4.0, -0.5)
    assert ours("liquidations", (1.0, 3.0)) == (1.0, 3.0, 2.0, 4.0, 0.5)
    assert theirs("liquidations", (0.0, 0.0))[-1] == 0.0
    assert ours("liquidations", (0.0, 0.0)) == (0.0, 0.0, 0.0, 0.0, None)


def test_a_reserve_is_held_and_open_interest_not_negative() -> None:
    assert ours("elr", (60.0, 40.0), (80.0, None)) == 2.0
    assert theirs("elr", (-1.0, 4.0)) == -0.25
    with pytest.raises(ValueError, match="oi"):
        ours("elr", (-1.0, 4.0))


def test_nan_and_infinity_are_refused_here_always() -> None:
    for wrong in (math.nan, math.inf):
        with pytest.raises(ValueError, match="rate"):
            ours("funding_mean", (wrong,))
        with pytest.raises(ValueError, match="finite"):
            theirs("funding_mean", (wrong,))
        with pytest.raises(ValueError, match="oi"):
            ours("elr", (wrong, 3.0))
        assert theirs("elr", (wrong, 3.0)) is None
