from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.model import Denominator, Readings
from service.scoring.elr import PERCENTILE_BANDS, SPEND_BANDS, Leverage, band
from tests.scoring.factory import (
    EXCHANGES,
    HOUR_MS,
    T0,
    VENUES,
    base,
    consensus,
    gone,
    level,
    no_data,
    readings,
    reporting,
    ticks,
    view,
)

KEYS = [
    "variant", "value", "unit", "z", "percentile", "n", "horizon_h", "change_1h", "band", "band_source",
    "formula_status", "as_of", "stale", "reason", "by_venue", "ma", "scope",
]  # fmt: skip


def said(now: Readings, denominator: Denominator | None, symbol: str = "BTC") -> dict[str, dict[str, Any]]:
    values = Leverage(symbol, EXCHANGES, denominator).values(now)
    assert [value["variant"] for value in values] == ["oi_reserve", "oi_mcap", "funding_spend"]
    return {value["variant"]: value for value in values}


def test_keys_in_order() -> None:
    for value in said(readings(), base()).values():
        assert list(value) == [*KEYS, "base", "base_changed", "provisional", "change"]


def test_oi_reserve() -> None:
    """Venues of alpha (400 + 200) and beta (300) over 2,500 coins; gamma has no reserve and stays out."""
    assert said(readings(), base())["oi_reserve"] == {
        "variant": "oi_reserve",
        "value": 900 / 2500,
        "unit": "ratio",
        "z": 0.2,
        "percentile": 0.41,
        "n": 1500,
        "horizon_h": 26,
        "change_1h": readings().windows[2].oi_change,
        "band": "low",
        "band_source": "percentile",
        "formula_status": "published",
        "as_of": T0 - 7_000,
        "stale": False,
        "reason": None,
        "by_venue": {"alpha_linear": 400 / 2000, "alpha_inverse": 200 / 2000, "beta": 300 / 500},
        "ma": {"1d": None, "7d": None, "30d": None},
        "scope": {
            "numerator": ["alpha_linear", "alpha_inverse", "beta"],
            "denominator": ["alpha", "beta"],
            "coverage": 1.0,
            "match": True,
        },
        "base": {
            "coins": 2500.0,
            "as_of": T0 - HOUR_MS,
            "age_h": 1.0,
            "source": "attestation",
            "licence": "own research",
        },
        "base_changed": False,
        "provisional": True,
        "change": {"1h": readings().windows[2].oi_change, "4h": None, "24h": 0.001, "7d": 0.0019},
    }


def test_oi_reserve_divides_by_the_whole_base_even_when_an_exchange_is_gone() -> None:
    venues = (VENUES[0], VENUES[1], gone("beta", 300.0), VENUES[3])
    value = said(readings(sample=consensus(venues=venues)), base())["oi_reserve"]
    assert value["value"] == 600 / 2500
    assert value["by_venue"] == {"alpha_linear": 400 / 2000, "alpha_inverse": 200 / 2000}
    assert value["scope"] == {
        "numerator": ["alpha_linear", "alpha_inverse"],
        "denominator": ["alpha", "beta"],
        "coverage": 600 / 900,
        "match": False,
    }


def test_one_of_two_venues_of_an_exchange_keeps_the_match_but_not_the_coverage() -> None:
    venues = (VENUES[0], gone("alpha_inverse", 200.0), VENUES[2], VENUES[3])
    scope = said(readings(sample=consensus(venues=venues)), base())["oi_reserve"]["scope"]
    assert (scope["match"], scope["coverage"]) == (True, 700 / 900)


def test_oi_reserve_over_a_total_that_cannot_be_split() -> None:
    value = said(readings(), base(reserves=(("all", 4_000.0),)))["oi_reserve"]
    assert value["value"] == 1000 / 4000
    assert value["by_venue"] == {}
    assert value["scope"] == {
        "numerator": ["alpha_linear", "alpha_inverse", "beta", "gamma"],
        "denominator": ["all"],
        "coverage": 1.0,
        "match": False,
    }


def test_oi_reserve_with_no_venue_in_scope_is_undefined_not_zero() -> None:
    value = said(readings(), base(reserves=(("delta", 700.0),)))["oi_reserve"]
    assert (value["value"], value["reason"], value["scope"]["numerator"]) == (None, "no_venue_in_scope", [])
    assert value["scope"]["coverage"] is None
    assert value["scope"]["match"] is False


def test_oi_mcap() -> None:
    value = said(readings(), base())["oi_mcap"]
    assert value["value"] == 100 * 1000 / 20_000
    assert value["unit"] == "%"
    assert value["by_venue"] == {"alpha_linear": 2.0, "alpha_inverse": 1.0, "beta": 1.5, "gamma": 0.5}
    assert (value["z"], value["percentile"], value["n"], value["horizon_h"]) == (0.2, 0.41, 1500, 26)
    assert value["change_1h"] == readings().windows[2].oi_change
    assert value["scope"] == {"numerator": [v.venue for v in VENUES], "denominator": [], "coverage": 1.0, "match": None}
    assert value["base"]["coins"] == 20_000.0


def test_funding_spend() -> None:
    value = said(readings(), base())["funding_spend"]
    assert (value["value"], value["unit"]) == (0.17, "coins_per_8h")
    assert (value["z"], value["percentile"], value["n"], value["horizon_h"]) == (0.36, 0.44, 1450, 27)
    assert (value["formula_status"], value["change_1h"], value["base"]) == ("inferred", None, None)
    assert value["by_venue"] == {
        "alpha_linear": 400 * 0.0001,
        "alpha_inverse": 200 * 0.0002,
        "beta": 300 * 0.0004,
        "gamma": 100 * -0.0003,
    }


def test_funding_spend_counts_only_venues_with_a_rate() -> None:
    venues = (VENUES[0], replace(VENUES[1], rate_8h=None), VENUES[2], gone("gamma", 100.0))
    scope = said(readings(sample=consensus(venues=venues)), None)["funding_spend"]["scope"]
    assert (scope["numerator"], scope["coverage"]) == (["alpha_linear", "beta"], 0.7)


def test_without_funding_the_spend_is_undefined() -> None:
    sample = consensus(funding_spend=None, venues=tuple(replace(v, rate_8h=None) for v in VENUES))
    value = said(readings(sample=sample, spend=level(None, z=None, percentile=None)), base())["funding_spend"]
    assert (value["value"], value["reason"], value["band"]) == (None, "no_funding", None)


@pytest.mark.parametrize("denominator", [None, base(supply=None, reserves=())])
def test_without_a_base_the_ratios_are_null_but_the_index_keeps_its_rank(denominator: Denominator | None) -> None:
    values = said(readings(), denominator)
    for name in ("oi_reserve", "oi_mcap"):
        assert (values[name]["value"], values[name]["reason"]) == (None, "no_denominator")
        assert (values[name]["z"], values[name]["percentile"]) == (0.2, 0.41)
        assert (values[name]["by_venue"], values[name]["base"], values[name]["stale"]) == ({}, None, False)
    assert values["oi_reserve"]["scope"]["match"] is None
    assert (values["funding_spend"]["value"], values["funding_spend"]["reason"]) == (0.17, None)


def test_each_ratio_needs_only_its_own_base() -> None:
    values = said(readings(), base(supply=None))
    assert (values["oi_reserve"]["reason"], values["oi_mcap"]["reason"]) == (None, "no_denominator")
    values = said(readings(), base(reserves=()))
    assert (values["oi_reserve"]["reason"], values["oi_mcap"]["reason"]) == ("no_denominator", None)


@pytest.mark.parametrize(
    ("age_ms", "reserves_stale", "supply_stale"),
    [
        (36 * HOUR_MS, False, False),
        (36 * HOUR_MS + 1, True, False),
        (48 * HOUR_MS, True, False),
        (48 * HOUR_MS + 1, True, True),
    ],
)
def test_a_stale_base_keeps_the_value_and_says_so(age_ms: int, reserves_stale: bool, supply_stale: bool) -> None:
    values = said(readings(), base(as_of=T0 - age_ms))
    for name, stale, number in (("oi_reserve", reserves_stale, 0.36), ("oi_mcap", supply_stale, 5.0)):
        assert (values[name]["value"], values[name]["stale"]) == (number, stale)
        assert values[name]["reason"] == ("stale_base" if stale else None)
        assert values[name]["as_of"] == T0 - 7_000
    assert values["funding_spend"]["stale"] is False


def test_unranked_values_say_why() -> None:
    now = readings(elr=level(z=None, percentile=None, n=59), spend=level(z=0.1, percentile=None, n=58))
    values = said(now, base())
    for name, n in (("oi_reserve", 59), ("oi_mcap", 59), ("funding_spend", 58)):
        assert (values[name]["percentile"], values[name]["reason"], values[name]["n"]) == (None, "warming", n)
        assert values[name]["value"] is not None
    assert values["oi_reserve"]["band"] is None


def test_change_1h_needs_the_ready_window() -> None:
    assert said(readings(w1h={"ready": False}), base())["oi_mcap"]["change_1h"] is None


def test_without_quorum_every_value_is_null() -> None:
    for symbol in ("BTC", "ETH"):
        for value in said(readings(sample=no_data()), base(as_of=T0 - 49 * HOUR_MS), symbol).values():
            assert value["reason"] == "no_quorum"
            for name in ("value", "z", "percentile", "change_1h", "band", "as_of"):
                assert value[name] is None
            assert value["by_venue"] == {}
            assert (value["scope"]["numerator"], value["scope"]["coverage"]) == ([], None)
            assert value["stale"] == (value["variant"] != "funding_spend")


@pytest.mark.parametrize(
    ("percentile", "expected"),
    [
        (0.0, "low"), (0.4999999999, "low"), (0.5, "moderate"), (0.7999999999, "moderate"),
        (0.8, "high"), (0.9499999999, "high"), (0.95, "extreme"), (1.0, "extreme"),
    ],
)  # fmt: skip
def test_percentile_bands(percentile: float, expected: str) -> None:
    assert band(percentile, PERCENTILE_BANDS) == expected
    assert said(readings(elr=level(percentile=percentile)), None)["oi_mcap"]["band"] == expected


@pytest.mark.parametrize(
    ("spend", "expected"),
    [
        (0.0, "low"), (0.99, "low"), (1.0, "low"), (9.99, "low"), (10.0, "moderate"), (-10.0, "moderate"),
        (24.99, "moderate"), (25.0, "high"), (49.99, "high"), (50.0, "extreme"), (-5000.0, "extreme"),
    ],
)  # fmt: skip
def test_spend_bands_of_btc(spend: float, expected: str) -> None:
    assert band(abs(spend), SPEND_BANDS) == expected
    now = readings(sample=consensus(funding_spend=spend), spend=level(percentile=None))
    value = said(now, None)["funding_spend"]
    assert (value["band"], value["band_source"]) == (expected, "cddstamp_inferred")


def test_spend_of_others_is_banded_by_percentile() -> None:
    now = readings(sample=consensus(funding_spend=9_999.0), spend=level(percentile=0.6))
    value = said(now, None, "ETH")["funding_spend"]
    assert (value["band"], value["band_source"]) == ("moderate", "percentile")


def test_a_venue_that_is_not_fresh_does_not_count_whatever_it_carries() -> None:
    venues = (*VENUES[:3], view("gamma", 100.0, fresh=False))
    assert said(readings(sample=consensus(venues=venues)), base())["oi_mcap"]["value"] == 100 * 900 / 20_000


def test_zero_open_interest_is_a_value() -> None:
    values = said(readings(sample=consensus(venues=(view("beta", 0.0),))), base())
    for name in ("oi_reserve", "oi_mcap"):
        assert (values[name]["value"], values[name]["reason"]) == (0.0, None)
        assert (values[name]["by_venue"], values[name]["scope"]["coverage"]) == ({"beta": 0.0}, None)


def test_coverage_is_at_most_one() -> None:
    venues = (view("beta", 300.0, oi_coins_last=299.9999),)
    assert said(readings(sample=consensus(venues=venues)), base())["oi_reserve"]["scope"]["coverage"] == 1.0


def test_a_base_of_nothing_is_no_base_but_a_small_one_is() -> None:
    values = said(readings(), base(supply=0.0, reserves=(("alpha", 0.0),)))
    assert [values[name]["reason"] for name in ("oi_reserve", "oi_mcap")] == ["no_denominator", "no_denominator"]
    values = said(readings(), base(supply=0.5, reserves=(("beta", 0.5),)))
    assert [values[name]["value"] for name in ("oi_reserve", "oi_mcap")] == [600.0, 200_000.0]


# -- bases that come in ------------------------------------------------------------------------------------------


def tick(of: Leverage, ts: int, **changes: Any) -> dict[str, dict[str, Any]]:
    now = readings(ts, consensus(ts), **changes)
    of.observe(now)
    return {value["variant"]: value for value in of.values(now)}


def test_an_item_replaces_what_it_carries_and_leaves_the_other() -> None:
    of = Leverage("BTC", EXCHANGES, base())
    of.denominate(base(reserves=(), supply=40_000.0, as_of=T0 - 2 * HOUR_MS, source="count", licence="free"))
    values = tick(of, T0)
    assert values["oi_reserve"]["base"]["source"] == "attestation"
    assert values["oi_mcap"]["value"] == 100 * 1000 / 40_000
    assert values["oi_mcap"]["base"] == {
        "coins": 40_000.0, "as_of": T0 - 2 * HOUR_MS, "age_h": 2.0, "source": "count", "licence": "free",
    }  # fmt: skip
    of.denominate(base(supply=None, reserves=(("gamma", 50.0),), as_of=T0, source="wallets"))
    values = tick(of, ticks(1))
    assert (values["oi_reserve"]["value"], values["oi_reserve"]["base"]["source"]) == (2.0, "wallets")
    assert (values["oi_mcap"]["value"], values["oi_mcap"]["base"]["source"]) == (2.5, "count")


def test_an_item_with_nothing_in_it_takes_nothing_away() -> None:
    of = Leverage("BTC", EXCHANGES, base())
    of.denominate(base(supply=0.0, reserves=(("alpha", 0.0),), source="empty"))
    values = tick(of, T0)
    assert [values[name]["base"]["source"] for name in ("oi_reserve", "oi_mcap")] == ["attestation"] * 2


def test_each_base_grows_stale_at_an_age_of_its_own() -> None:
    of = Leverage("BTC", EXCHANGES, base(reserve_stale_h=3.0, supply_stale_h=1.5, as_of=T0))
    ages = (int(1.5 * HOUR_MS), int(1.5 * HOUR_MS) + 1, 3 * HOUR_MS, 3 * HOUR_MS + 1)
    stale = [[tick(of, T0 + age)[name]["stale"] for name in ("oi_reserve", "oi_mcap")] for age in ages]
    assert stale == [[False, False], [False, True], [False, True], [True, True]]
    assert tick(of, T0 + ages[-1])["oi_reserve"]["value"] == 0.36


@pytest.mark.parametrize(
    ("item", "variant"),
    [
        (base(supply=None, reserves=(("alpha", 2_000.0), ("beta", 500.0), ("gamma", 1.0))), "oi_reserve"),
        (base(supply=None, reserves=(("alpha", 2_001.0), ("beta", 500.0))), "oi_reserve"),
        (base(supply=None, reserves=(("alpha", 500.0), ("beta", 2_000.0))), "oi_reserve"),
        (base(supply=20_001.0, reserves=()), "oi_mcap"),
    ],
)
def test_a_changed_base_is_said_for_an_hour_of_ticks(item: Denominator, variant: str) -> None:
    of = Leverage("BTC", EXCHANGES, base())
    assert not any(value["base_changed"] for value in tick(of, T0).values())
    of.denominate(item)
    for n in (1, 2, 360):
        assert [name for name, value in tick(of, ticks(n)).items() if value["base_changed"]] == [variant], n
    assert not any(value["base_changed"] for value in tick(of, ticks(361)).values())


def test_the_same_coins_from_elsewhere_or_the_first_at_all_are_no_change() -> None:
    of = Leverage("BTC", EXCHANGES, None)
    tick(of, T0)
    of.denominate(base())
    assert not any(value["base_changed"] for value in tick(of, ticks(1)).values())
    of.denominate(base(reserves=(("beta", 500.0), ("alpha", 2_000.0)), source="another", as_of=T0))
    values = tick(of, ticks(2))
    assert not any(value["base_changed"] for value in values.values())
    assert values["oi_reserve"]["base"]["source"] == "another"


def test_what_came_and_went_between_two_ticks_was_never_shown() -> None:
    of = Leverage("BTC", EXCHANGES, base())
    tick(of, T0)
    of.denominate(base(supply=30_000.0, reserves=()))
    of.denominate(base(supply=20_000.0, reserves=()))
    assert tick(of, ticks(1))["oi_mcap"]["base_changed"] is False


# -- positions ---------------------------------------------------------------------------------------------------


def positions(of: Leverage, sample: Any) -> dict[str, Any] | None:
    now = readings(sample.ts, sample)
    of.observe(now)
    told = of.values(now)
    return told[3] if len(told) == 4 else None


def test_position_base() -> None:
    """alpha_linear: 400 over 250 + 150; gamma: 100 over 60 + 40; the others report nothing."""
    of = Leverage("BTC", EXCHANGES, base())
    assert positions(of, consensus(T0 - 10_000)) is None
    assert positions(of, reporting()) == {
        "variant": "position_base",
        "value": 500 / 500,
        "unit": "ratio",
        "z": None,
        "percentile": None,
        "n": 0,
        "horizon_h": 0,
        "change_1h": None,
        "band": None,
        "band_source": "percentile",
        "formula_status": "published",
        "as_of": T0 - 7_000,
        "stale": False,
        "reason": None,
        "by_venue": {"alpha_linear": 1.0, "gamma": 1.0},
        "ma": None,
        "scope": {"numerator": ["alpha_linear", "gamma"], "denominator": [], "coverage": 0.5, "match": None},
        "base": None,
        "base_changed": False,
        "provisional": False,
        "change": None,
    }
    silent = positions(of, consensus(ticks(1)))
    assert silent is not None
    assert (silent["value"], silent["reason"], silent["by_venue"]) == (None, "no_positions", {})
    dark = positions(of, no_data(ticks(2)))
    assert dark is not None
    assert (dark["value"], dark["reason"]) == (None, "no_quorum")


def test_positions_of_a_venue_that_is_not_fresh_do_not_count() -> None:
    of = Leverage("BTC", EXCHANGES, None)
    venues = (*VENUES[:3], replace(gone("gamma", 100.0), long_coins=60.0, short_coins=40.0))
    told = positions(of, consensus(venues=venues))
    assert told is not None
    assert (told["value"], told["reason"], told["scope"]["numerator"]) == (None, "no_positions", [])


@pytest.mark.parametrize(("off", "reason"), [(0.0, "degenerate"), (9e-7, "degenerate"), (1.1e-6, None)])
def test_positions_that_are_open_interest_itself_are_degenerate(off: float, reason: str | None) -> None:
    venues = (replace(VENUES[0], long_coins=400.0, short_coins=400.0 * (1 + off)), *VENUES[1:])
    told = positions(Leverage("BTC", EXCHANGES, None), consensus(venues=venues))
    assert told is not None
    assert (told["value"], told["reason"]) == (pytest.approx(0.5, rel=1e-6), reason)


def test_no_positions_at_all_divide_nothing() -> None:
    venues = (replace(VENUES[0], long_coins=0.0, short_coins=0.0), *VENUES[1:])
    told = positions(Leverage("BTC", EXCHANGES, None), consensus(venues=venues))
    assert told is not None
    assert (told["value"], told["reason"], told["by_venue"]) == (None, "no_positions", {})


# -- daily means -------------------------------------------------------------------------------------------------


def test_ma_of_both_ratios_takes_ticks_with_quorum_and_coverage() -> None:
    of = Leverage("BTC", EXCHANGES, base())
    midnight = T0 // 86_400_000 * 86_400_000
    for n in range(721):
        ts = midnight + n * 60_000
        sample = consensus(ts, step_s=60)
        if n % 2 == 1:  # each of these would be counted as another value
            sample = replace(sample, coverage=0.79, venues=VENUES[:2])
        of.observe(readings(ts, sample))
        of.observe(readings(ts, no_data(ts, coverage=0.9, step_s=60)))
    assert of._daily._count == 361 * 6
    for n in range(721, 1440):
        of.observe(readings(midnight + n * 60_000, consensus(midnight + n * 60_000, step_s=60, venues=VENUES[:1])))
    values = tick(of, midnight + 86_400_000)
    expected = (361 * 5.0 + 719 * 2.0) / (361 + 719)
    assert values["oi_mcap"]["ma"] == {"1d": pytest.approx(expected, rel=1e-12), "7d": None, "30d": None}
    over_reserves = (361 * 900 / 2500 + 719 * 400 / 2500) / (361 + 719)
    assert values["oi_reserve"]["ma"] == {"1d": pytest.approx(over_reserves, rel=1e-12), "7d": None, "30d": None}
    assert values["funding_spend"]["ma"] is None


@pytest.mark.parametrize(("coverage", "ticks_counted"), [(0.7999999, 0), (0.8, 1)])
def test_a_tick_of_just_enough_coverage_counts_for_the_day(coverage: float, ticks_counted: int) -> None:
    of = Leverage("BTC", EXCHANGES, base())
    of.observe(readings(T0, replace(consensus(T0), coverage=coverage)))
    assert of._daily._count == ticks_counted


def test_a_tick_without_a_venue_in_scope_is_in_no_mean_of_oi_reserve() -> None:
    """Cause guarded against: a ratio of 0 for a minute in which the venues that hold the reserves were gone."""
    of = Leverage("BTC", EXCHANGES, base(reserves=(("gamma", 50.0),)))
    of.observe(readings(T0))
    of.observe(readings(ticks(1), consensus(ticks(1), venues=VENUES[:3])))
    assert (of._daily_reserve._count, of._daily_reserve._sum) == (1, 100 / 50)
    assert of._daily._count == 2


def test_changes_over_four_lookbacks_and_none_without_quorum() -> None:
    now = readings(change_4h=-0.05, change_24h=None)
    values = said(now, None)
    assert values["oi_mcap"]["change"] == {"1h": now.windows[2].oi_change, "4h": -0.05, "24h": None, "7d": 0.0019}
    assert values["funding_spend"]["change"] is None
    assert set(said(readings(sample=no_data()), base())["oi_reserve"]["change"].values()) == {None}


def test_without_a_supply_there_is_no_ma() -> None:
    of = Leverage("BTC", EXCHANGES, base(supply=None))
    midnight = T0 // 86_400_000 * 86_400_000
    for n in range(1441):
        of.observe(readings(midnight + n * 60_000, consensus(midnight + n * 60_000, step_s=60)))
    assert tick(of, midnight + 86_410_000)["oi_mcap"]["ma"] == {"1d": None, "7d": None, "30d": None}
