"""The fitted form and its file (docs/deleveraging.md)."""

from __future__ import annotations

from copy import deepcopy
from math import exp, log
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.deleveraging import FORM, digest, packaged, packaged_parameters, parse

RANKS = st.floats(0, 1)
VOLATILITIES = st.floats(1e-9, 10)


def changed(**parts: Any) -> dict[str, Any]:
    plain = deepcopy(packaged_parameters()) | parts
    return plain | {"hash": digest(plain)}


def test_the_formula_as_the_document_has_it() -> None:
    plain = changed(
        parameters={"a_5": -1.5, "a_10": -3.5, "c_rank": 1.25, "c_volatility": 0.75},
        volatility_alone={"a_5": -1.25, "a_10": -3.25, "c_volatility": 0.5},
    )
    model = parse(plain)
    x = 1.25 * (0.9 - 0.5) + 0.75 * log(0.06 / 0.03)
    assert model.probabilities(0.9, 0.06) == pytest.approx((1 / (1 + exp(1.5 - x)), 1 / (1 + exp(3.5 - x))))
    y = 0.5 * log(0.06 / 0.03)
    assert model.volatility_alone(0.06) == pytest.approx((1 / (1 + exp(1.25 - y)), 1 / (1 + exp(3.25 - y))))
    assert model.name == f"{FORM}:{plain['hash'][:8]}"


@given(RANKS, VOLATILITIES, RANKS, VOLATILITIES)
def test_what_it_promises(rank: float, volatility: float, other_rank: float, other: float) -> None:
    model = packaged()
    for five, ten in (model.probabilities(rank, volatility), model.volatility_alone(volatility)):
        assert 0 < ten <= five < 1
    low, high = sorted((rank, other_rank))
    assert model.probabilities(low, volatility) <= model.probabilities(high, volatility)
    calm, wild = sorted((volatility, other))
    assert model.probabilities(rank, calm) <= model.probabilities(rank, wild)
    assert 0 <= model.volatility_bin(calm) <= model.volatility_bin(wild) <= 9


def test_a_tenth_begins_at_its_edge() -> None:
    model = packaged()
    first = model.volatility_edges[0]
    assert (model.volatility_bin(first * 0.999), model.volatility_bin(first)) == (0, 1)


@pytest.mark.parametrize(
    ("plain", "why"),
    [
        (None, "not a file of"),
        ({}, "not a file of"),
        (changed(form="other"), "not a file of"),
        (packaged_parameters() | {"least_rank_h": 1}, "hash does not fit"),
        (packaged_parameters() | {"rows": 10**30}, "hash does not fit"),  # TOML can say that, JSON cannot
        (changed(parameters={}), "KeyError"),
        (changed(base_rates={"oi_5": "0.1", "oi_10": 0.01}), "'0.1' is not a number"),
        (changed(base_rates={"oi_5": 0.01, "oi_10": 0.1}), "cannot be likelier"),
        (changed(volatility_edges=[0.1] * 9), "rising"),
        (changed(volatility_edges=[0.1]), "rising"),
        (changed(least_rank_h=168.9), "whole hours"),
        (changed(parameters={"a_5": -1.5, "a_10": -3.5, "c_rank": 1e300, "c_volatility": 1}), "1e.300 is not a number"),
        (changed(least_rank_h=True), "whole hours"),
        (changed(least_rank_h=0), "whole hours"),
    ],
)
def test_a_file_that_is_none_is_refused(plain: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(plain)
