"""The checker's funding quarantine, clipped rates and inverse open interest, on cases computed by hand."""

from __future__ import annotations

import math
import random

import pytest

from service.config import MarketSection
from service.market import Market as EngineMarket
from service.model import Event, VenueRules

from .consensus import clipped, take_sample, weighted_rate
from .making import T0, S, confirm, funding, listing, mark, market, oi, rules
from .streams import Market


def feed(to: Market, *events: Event) -> list[str | None]:
    return [to.apply(event) for event in events]


def two_live() -> Market:
    """Venues a and b, mark 100 and OI 30 and 10 coins."""
    made = market("a", "b")
    feed(made, mark("a", 100.0, T0), oi("a", 30.0, T0), mark("b", 100.0, T0), oi("b", 10.0, T0))
    return made


# funding


def rates_of(made: Market, *said: tuple[int, str, float | None]) -> list[bool]:
    """Which of (seconds after T0, venue, rate) are quarantined."""
    codes = feed(made, *(funding(venue, rate, T0 + at * S) for at, venue, rate in said))
    return [code == "quarantined_funding" for code in codes]


def test_funding_beyond_ten_times_of_what_is_known() -> None:
    made = market("a", "b", "c")
    assert rates_of(made, (0, "a", 5e-6), (0, "c", -0.00101), (0, "b", 1e-3)) == [False, True, False]  # of 1e-4
    # of b's 1e-3, be it with the other sign; a's own and b's are LIVE for 300 s
    assert rates_of(made, (1, "a", -0.0099), (2, "a", 0.01), (3, "a", 0.00101)) == [False, False, False]
    assert rates_of(made, (4, "b", 0.0099), (5, "a", 0.010001)) == [False, True]  # the cap
    # a is quarantined with an accepted 0.00101, which speaks for nobody; b and c have nothing else
    feed(made, listing("b", T0 + 6 * S, trading=False))
    assert rates_of(made, (7, "c", 0.0011), (8, "c", 0.0011), (9, "c", 0.001)) == [True, True, True]


def test_what_has_gone_stale_is_no_measure_for_others_but_for_itself() -> None:
    made = market("a", "b", "c")
    assert rates_of(made, (0, "a", 9e-4), (1, "a", 8e-3), (0, "b", 1e-4), (290, "b", 1e-4)) == [False] * 4
    assert rates_of(made, (302, "b", 2e-3)) == [True]  # a was heard at 1, so at 301 it still was a measure
    assert rates_of(made, (4000, "a", 0.01)) == [False]
    made = market("a", "b")
    assert rates_of(made, (0, "b", 1e-4), (1, "a", 1e-3), (301, "b", 2e-3)) == [False] * 3


def of_companies(*exchanges: str) -> list[VenueRules]:
    return [rules(venue, exchange) for venue, exchange in zip("abcd", exchanges, strict=False)]


def test_venues_of_one_company_are_one_voice() -> None:
    for exchanges, refused in (("xxy", True), ("xyz", False)):
        made = Market(["BTC"], of_companies(*exchanges), MarketSection())
        assert rates_of(made, *((0, venue, 1e-4) for venue in "abc"), (1, "a", 9e-3)) == [False, False, False, True]
        assert rates_of(made, (2, "b", 9e-3)) == [refused]


def test_of_a_silence_a_quarter_of_an_hour_counts_and_more_than_an_hour_begins_anew() -> None:
    for second, refused in ((900, True), (901, False)):  # 899 s and 900 of 2,100; 900 and 900
        made = market("a")
        said = ((-1, 1e-4), (0, 9e-3), (1, 9e-3), (second, 9e-3), (3000, 9e-3))
        assert rates_of(made, *((at, "a", rate) for at, rate in said)) == [False, True, True, True, refused]
    made = market("a")
    said = ((-1, 1e-4), (0, 9e-3), (1, 9e-3), (3602, 9e-3), (7202, 9e-3), (10_802, 9e-3), (14_402, 9e-3))
    assert rates_of(made, *((at, "a", rate) for at, rate in said)) == [False, True, True, True, True, True, False]


@pytest.mark.parametrize("seed", range(30))
def test_the_market_stage_believes_the_same_rates(seed: int) -> None:
    """Seeded rates of four venues, of which some are of one company: what was quarantined, and what is LIVE."""
    rng = random.Random(seed)
    ruled = of_companies(*rng.choice(("wxyz", "wwyz", "wwyy", "wwwz")))
    checked, stage = Market(["BTC"], ruled, MarketSection()), EngineMarket(["BTC"], ruled, MarketSection())
    at, rate, quarantined = T0, 1e-4, 0
    for _ in range(600):
        at += rng.choice((1, 1, 20, 60, 200, 300, 901, 3600, 3601, 9 * 3600) if rng.random() < 0.3 else (1, 60)) * S
        venue = rng.choice("abcd" if rng.random() < 0.6 else "a")
        rate = rng.choice((rate, rate, rate, 1e-4, -8e-4, 1e-3, 3e-3, -6e-3, 9e-3, 0.011))
        event = confirm(venue, ("funding",), at) if rng.random() < 0.2 else funding(venue, rate, at)
        code = checked.apply(event)
        assert stage.apply(event) == code
        quarantined += code == "quarantined_funding"
        for book in checked.of("BTC"):
            track = stage.symbols["BTC"].venues[book.venue].instruments["P"].funding
            assert (track.state == "QUARANTINED") == book.lines["funding"].quarantined
            assert (track.rate_8h if track.is_live(at) else None) == book.funding_rate_8h(at)
    assert quarantined > 50


def test_the_first_rate_of_all_is_judged_by_the_cap_alone() -> None:
    made = market("a", "b")
    assert rates_of(made, (0, "a", 0.01), (1, "b", None), (2, "b", -0.01)) == [False, False, False]
    made = market("a", "b")
    assert rates_of(made, (0, "a", None), (1, "b", 0.01), (302, "a", 0.01)) == [False, False, False]
    assert rates_of(market("a", "b"), (0, "a", 1e-4), (300, "b", 0.0011)) == [False, True]
    assert rates_of(market("a", "b"), (0, "a", 1e-4), (301, "b", 0.0011)) == [False, False]  # a is stale


def test_a_rate_a_hundred_times_too_large_is_released_when_it_is_right_again() -> None:
    made = market("a", "b", "c")
    rates_of(made, (0, "a", 5e-5), (0, "b", 5e-5), (0, "c", 5e-5))
    wrong = [(at, "a", 5e-3) for at in range(10, 200, 10)]
    assert rates_of(made, *wrong, (200, "a", 5e-5), (230, "a", 5e-5), (259, "a", 5e-5)) == [True] * 22
    assert rates_of(made, (260, "a", 5e-5)) == [False]


def clipped_of(*rates: float) -> list[float]:
    return list(clipped({f"v{i}": rate for i, rate in enumerate(rates)}).values())


def test_rates_are_clipped_from_three_venues_on() -> None:
    assert clipped_of() == []
    assert clipped_of(1e-4, 1e-2) == [1e-4, 1e-2]
    assert clipped_of(0.0, 1e-2, 1e-4) == [1e-4] * 3  # of three only the middle one is left
    assert clipped_of(3e-4, 1e-4, 4e-4, 2e-4) == [3e-4, 2e-4, 3e-4, 2e-4]
    assert clipped_of(1e-4, 1e-4, 1e-4, 9e-4) == [1e-4] * 4
    # median 1e-4, deviations 0, 0, 1e-4, 1e-2, 2e-2 -> MAD 1e-4: two are clipped at 6e-4, and so are of one size
    assert clipped_of(1e-4, 1e-4, 0.0, 1.01e-2, 2.01e-2) == pytest.approx([1e-4, 1e-4, 1e-4, 6e-4, 6e-4])
    # MAD 0 -> floor 1e-5: clipped at 5e-5
    assert clipped_of(0.0, 0.0, 0.0, 1.0, 1.0) == pytest.approx([0.0, 0.0, 0.0, 5e-5, 5e-5])


def test_the_rate_and_the_spend_are_of_clipped_rates_and_the_spread_is_not() -> None:
    made = market("a", "b", "c")
    for venue, coins, rate in (("a", 30.0, 2e-4), ("b", 10.0, 1e-4), ("c", 60.0, -8e-4)):
        feed(made, mark(venue, 100.0, T0), oi(venue, coins, T0), funding(venue, rate, T0))
    got = take_sample(made, "BTC", T0, 1, None)
    assert got.funding_8h == pytest.approx(1e-4)
    assert got.funding_spend == pytest.approx(0.01)
    assert got.funding_spread == pytest.approx(1e-3)
    assert got.outlier_sign == -1
    assert got.rates == {"a": 2e-4, "b": 1e-4, "c": -8e-4}
    assert weighted_rate({"b": 1e-4, "c": 1e-2}, {"b": 3.0, "c": 1.0}) == pytest.approx(2.575e-3)
    assert weighted_rate({}, {}) is None


# inverse open interest


def inverse_market(*events: Event) -> Market:
    """Venue a with 30 linear coins and Q, listed as inverse at 10 dollars with 200 contracts; b with 10 coins."""
    made = two_live()
    q = listing("a", T0, size=10.0, name="Q", inverse=True)
    feed(made, q, mark("a", 100.0, T0, name="Q"), oi("a", 200.0, T0, size=0.11, name="Q", derived=True), *events)
    return made


def coins_of(made: Market) -> float:
    return made.books["BTC"]["a"]["Q"].coins()


def test_inverse_open_interest_is_priced_at_the_mark_of_each_sample() -> None:
    made = inverse_market()
    assert coins_of(made) == pytest.approx(22.0)  # no sample yet: as observed
    first = take_sample(made, "BTC", T0, 1, None)
    assert (first.oi_coins, first.fresh_oi["a"]) == (60.0, 50.0)  # 200 * 10 / 100
    feed(made, mark("a", 101.0, T0 + S, name="Q"))
    second = take_sample(made, "BTC", T0 + S, 1, first)
    assert second.fresh_oi["a"] == pytest.approx(30 + 2000 / 101)
    assert second.ln_oi_index == 0.0  # the price is no build-up
    # 220 contracts now, at the 10 / 101 coins of the sample before, whatever the mark is by now
    feed(made, mark("a", 100.0, T0 + 2 * S, name="Q"), oi("a", 220.0, T0 + 2 * S, size=0.2, name="Q", derived=True))
    third = take_sample(made, "BTC", T0 + 2 * S, 1, second)
    assert third.ln_oi_index == pytest.approx(math.log((40 + 2200 / 101) / (40 + 2000 / 101)))
    assert third.fresh_oi["a"] == 52.0


def test_while_it_does_not_count_the_last_price_stands() -> None:
    made = inverse_market()
    first = take_sample(made, "BTC", T0, 1, None)
    feed(made, mark("a", 10_000.0, T0 + S, name="Q"), oi("a", 220.0, T0 + S, size=0.001, name="Q", derived=True))
    got = take_sample(made, "BTC", T0 + S, 1, first)
    assert got.fresh_oi["a"] == 30.0
    assert (coins_of(made), got.last_oi["a"]) == (22.0, 52.0)  # 220 * 10 / 100
    assert got.coverage == pytest.approx(40 / 62)
    # never believed: as observed
    made = inverse_market(mark("a", 10_000.0, T0 + S, name="Q"))
    assert take_sample(made, "BTC", T0 + S, 1, None).last_oi["a"] == pytest.approx(52.0)


def test_after_a_change_of_the_contract_size_the_observation_stands_until_it_counts() -> None:
    made = inverse_market()
    before = take_sample(made, "BTC", T0, 1, None)
    feed(made, listing("a", T0 + S, size=100.0, name="Q", inverse=True), mark("a", 10_000.0, T0 + S, name="Q"))
    assert coins_of(made) == 20.0
    feed(made, oi("a", 20.0, T0 + 2 * S, size=1.1, name="Q", derived=True))
    assert take_sample(made, "BTC", T0 + 2 * S, 1, before).last_oi["a"] == pytest.approx(52.0)


@pytest.mark.parametrize("derived", [True, False])
@pytest.mark.parametrize("inverse", [True, False])
def test_what_is_not_both_inverse_and_derived_is_taken_as_it_came(inverse: bool, derived: bool) -> None:
    made = two_live()
    feed(made, listing("b", T0, size=10.0, name="Q", inverse=inverse), mark("b", 100.0, T0, name="Q"))
    feed(made, oi("b", 200.0, T0, size=0.11, name="Q", derived=derived))
    got = take_sample(made, "BTC", T0, 1, None)
    assert got.fresh_oi["b"] == pytest.approx(30.0 if inverse and derived else 32.0)
