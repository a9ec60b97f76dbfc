"""One suite over every registered level: contract, lifecycle, zeros, gaps, resumption, online = batch."""

from __future__ import annotations

import copy
import math
import random
from dataclasses import fields, replace
from typing import Any

import pytest

from service.indicators import SymbolIndicators
from service.indicators.contract import Level
from service.indicators.levels import Levels
from service.model import Consensus, Readings
from tests.indicators.batch import Batch, differences
from tests.indicators.build import MINUTE, T0, run, sample, series, through_json

NAMES = Levels.STATE
FIRST = 0  # the first minute fed by hand


def level(name: str) -> Level:
    made = getattr(Levels(), name)
    assert isinstance(made, Level)
    return made


def fed(name: str, minutes: int, x: float) -> Level:
    """``minutes`` minute values of a level: fed as prices where it is the volatility, which needs 61 to have one."""
    made = level(name)
    extra = 61 if name == "volatility" else 0
    for minute in range(FIRST - extra, FIRST + minutes):
        made.update(minute, x)
        made.advance(minute + 1)
    return made


def zero_sample() -> Consensus:
    return sample(T0, price=100.0, index=100.0, funding_8h=0.0, funding_spend=0.0, funding_spread=0.0, ln_oi_index=0.0)


def test_registry_names_fields_of_readings() -> None:
    levels = Levels()
    assert tuple(one.NAME for one in levels.each()) == NAMES
    assert [type(getattr(levels, name)) for name in NAMES] == [type(one) for one in levels.each()]
    assert set(NAMES) <= {field.name for field in fields(Readings)}


@pytest.mark.parametrize("name", NAMES)
def test_cold_warming_ready(name: str) -> None:
    x = 100.0 if name == "volatility" else 0.0
    for minutes, ready in ((0, False), (59, False), (60, True)):
        made = fed(name, minutes, x)
        assert made.ready is ready
        reading = made.read(FIRST + minutes, zero_sample())
        assert reading.n == minutes
        assert (reading.z is not None, reading.percentile is not None) == (ready, ready)


@pytest.mark.parametrize("name", NAMES)
def test_zero_is_a_value(name: str) -> None:
    made = fed(name, 70, 100.0 if name == "volatility" else 0.0)
    reading = made.read(FIRST + 70, zero_sample())
    assert (reading.value, reading.z, reading.percentile, reading.n) == (0.0, 0.0, 0.5, 70)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "volatility"])
def test_no_quorum_no_value(name: str) -> None:
    made = fed(name, 70, 0.0)
    reading = made.read(FIRST + 70, replace(zero_sample(), quorum=False))
    assert (reading.value, reading.z, reading.percentile, reading.n) == (None, None, None, 70)


@pytest.mark.parametrize("name", NAMES)
def test_a_day_without_values_leads_back_to_cold(name: str) -> None:
    made = fed(name, 70, 100.0 if name == "volatility" else 0.0)
    made.advance(FIRST + 69 + 33 * 1440)
    assert not made.ready
    assert made.read(FIRST + 69 + 33 * 1440, zero_sample()).n == 0


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_not_changed(name: str) -> None:
    made = fed(name, 70, 100.0 if name == "volatility" else 0.0)
    item = zero_sample()
    kept = copy.deepcopy(item)
    made.of(item)
    made.value(item)
    made.read(FIRST + 70, item)
    assert item == kept


@pytest.mark.parametrize("name", NAMES)
def test_instances_share_nothing(name: str) -> None:
    one, other = level(name), level(name)
    before = other.dump()
    for minute in range(100):
        one.update(minute, 2.0)
    assert other.dump() == before != one.dump()


@pytest.mark.parametrize("name", NAMES)
def test_resumed_at_any_minute(name: str) -> None:
    whole, resumed = level(name), level(name)
    for minute in range(1, 1700):
        x = None if minute % 11 == 0 else 1.0 + (minute % 17) * 0.01
        for made in (whole, resumed):
            made.update(minute, x)
            made.advance(minute + 1)
        if minute % 97 == 0:
            plain = through_json(resumed.dump())
            resumed = level(name)
            resumed.load(plain)
            assert resumed.read(minute + 1, sample(T0)) == whole.read(minute + 1, sample(T0))
    assert resumed.dump() == whole.dump()


@pytest.fixture(scope="module")
def compared() -> tuple[Batch, list[Readings]]:
    live = [("live", 200), ("dark", 70), ("live", 90)]
    samples = series(77, [("minutes", 130), ("gap", 4 * 3600), ("minutes", 1500), ("gap", 100), *live])
    readings = run(SymbolIndicators("BTC"), samples)
    return Batch(samples, [reading.ts for reading in readings]), readings


@pytest.mark.parametrize("name", [*NAMES, "funding_abs"])
def test_online_equals_batch_at_every_eleventh_tick(name: str, compared: tuple[Batch, list[Readings]]) -> None:
    batch, readings = compared
    seen = 0
    for reading in readings[::11]:
        item = batch.by_second[reading.ts // 1000]
        assert differences(batch.level(name, reading.ts // MINUTE, item), getattr(reading, name)) == []
        seen += getattr(reading, name).percentile is not None
    assert seen > 20


def state(made: Level) -> dict[str, Any]:
    """All of it; of entries that are forgotten but still in the list (which shorter steps cut off earlier) nothing."""
    plain, older = made.dump(), made.history.older
    kept = {"_head": 0, "_steps": list(older._steps[older._head + 1 :]), "_packed": list(older._packed[older._head :])}
    return {**plain, "history": {**plain["history"], "older": {**plain["history"]["older"], **kept}}}


@pytest.mark.parametrize("held", [60, 1440, None])
@pytest.mark.parametrize("name", NAMES)
def test_minutes_entered_together_leave_what_they_leave_one_by_one(name: str, held: int | None) -> None:
    """All of the state, so that the shorter way changes no number: also where a month is over, where the bins of open
    interest are cut anew, where a value is missing, comes back, stays, or is 0 with either sign."""
    draw = random.Random(f"{name} {held}")
    together, single = level(name), level(name)
    minute, x = 7, 1.0
    while minute < 40 * 1440:
        until = minute + (draw.choice((1, 7, 60, 61, 1439, 2000)) if held is None else held)
        x = draw.choice((x, abs(x) * math.exp(draw.gauss(0, 0.02)), abs(x) * draw.choice((0.2, 1.0, 5.0))))
        value = None if draw.random() < 0.05 else x
        if name != "volatility":  # which is fed prices
            value = draw.choice((value, value, value, 0.0, -0.0, None if value is None else -value))
        together.hold(minute, until, value)
        for one in range(minute, until):
            single.update(one, value)
        minute = until + (draw.choice((0, 0, 0, 1, 90, 1441)) if held is None else 0)
        for made in (together, single):
            made.advance(minute)
        assert state(together) == state(single), minute
