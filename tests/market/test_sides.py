"""Which sides a venue's open interest counts: documented, measured, in doubt, and what a change does to the chain."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.config import MarketSection
from service.market import Market, SideRule
from service.market.sides import (
    EVEN_LOTS,
    FIGURES,
    LOT_TRADES,
    STEPPED,
    STEPS,
    TELL_CHANGE_MS,
    WINDOWS,
    WINDOWS_WITH_LOTS,
    TradeWatch,
)
from service.model import Flow, Listing, OiFigure, OiSides, OpenInterest
from service.state import Plain

from .build import T0, Driver, rule

TWO = OiFigure("total_size", 2, "here", "documented")


def measured(driver: Driver, venue: str, sides: int | None, at: int, ratio: float = 2.0) -> None:
    assert driver.market.apply(OiSides(venue, sides, ratio, 800, 0.99, T0 + at)) is None


def three(coins: float = 100.0) -> Driver:
    """Venues a, b and c, the first with a figure of two sides (halved by its decoder)."""
    driver = Driver([rule("a", oi_figure=TWO), rule("b"), rule("c")])
    for venue in "abc":
        driver.both(venue, 100.0, coins, at=0)
    return driver


def through(market: Market, plain: Plain) -> Market:
    """The same market restored from a dump."""
    again = Market(list(market.symbols), market._rules, MarketSection())
    again.load(orjson.loads(orjson.dumps(plain)))
    return again


# -- the rule --------------------------------------------------------------------------------------------------


def test_documented_until_measured() -> None:
    driver = three()
    rules = driver.market.sides
    assert [(item.sides, item.evidence, item.since_ms) for item in rules.values()] == [
        (2, "documented", None), (1, "assumed", None), (1, "assumed", None),
    ]  # fmt: skip
    measured(driver, "a", 2, at=500)
    assert (rules["a"].sides, rules["a"].evidence, rules["a"].since_ms) == (2, "measured", T0 + 500)
    measured(driver, "a", 2, at=900, ratio=1.99)
    assert rules["a"].described() == {
        "figure": "total_size", "sides": 2, "evidence": "measured", "source": "here", "since": T0 + 500,
        "checked": T0 + 900, "ratio": 1.99, "compared": 800, "doubts": {},
    }  # fmt: skip
    found = driver.sample(1000)
    assert (found.oi_coins, found.trouble) == (300.0, ())  # nothing has changed


def test_a_change_of_sides_is_no_change_of_leverage() -> None:
    """Cause: a venue began to count both sides within a month; read on, open interest would have doubled."""
    driver = three()
    assert driver.sample(1000).ln_oi_index == 0.0
    measured(driver, "a", 1, at=1500, ratio=1.0)
    driver.oi("a", 200.0, at=1600)  # the decoder no longer halves it
    found = driver.sample(2000)
    assert (found.ln_oi_index, found.oi_coins) == (0.0, 400.0)
    assert found.trouble == ("oi_sides_changed:a",)
    driver.oi("a", 220.0, at=2500)  # build-up from here on
    assert driver.sample(3000).ln_oi_index > 0.0


def test_a_change_is_told_for_an_hour() -> None:
    driver = three()
    driver.sample(1000)
    measured(driver, "a", 1, at=1500)
    for venue in "abc":
        driver.both(venue, 100.0, 100.0, at=1500 + TELL_CHANGE_MS)
    assert driver.sample(1500 + TELL_CHANGE_MS).trouble == ("oi_sides_changed:a",)
    assert driver.sample(1501 + TELL_CHANGE_MS).trouble == ()


def test_figures_that_disagree_take_the_venue_out_until_they_agree() -> None:
    """Never halved on a guess: contrary evidence excludes, and is said however small the venue is."""
    driver = three()
    measured(driver, "a", None, at=500, ratio=1.4)
    found = driver.sample(1000)
    assert (found.oi_coins, found.excluded, found.trouble) == (200.0, ("a",), ("oi_sides:a",))
    assert driver.market.sides["a"].doubts == {FIGURES: T0 + 500}
    measured(driver, "a", None, at=1400, ratio=1.4)
    assert driver.market.sides["a"].doubts == {FIGURES: T0 + 500}  # since when
    measured(driver, "a", 2, at=1500)
    back = driver.sample(2000)
    assert (back.oi_coins, back.ln_oi_index, back.trouble) == (300.0, 0.0, ())


def test_a_small_venue_in_doubt_is_named_too() -> None:
    driver = Driver([rule("a", oi_figure=TWO), rule("b"), rule("c")])
    for venue, coins in (("a", 1.0), ("b", 100.0), ("c", 100.0)):
        driver.both(venue, 100.0, coins, at=0)
    measured(driver, "a", None, at=500)
    assert driver.sample(1000).trouble == ("oi_sides:a",)


def test_a_measurement_of_a_venue_that_is_not_configured_is_nothing() -> None:
    measured(three(), "z", 1, at=500)


# -- all of it steps by two ------------------------------------------------------------------------------------

COINS = ("BTC", "ETH", "SOL", "XRP")


def market_of(venue_coins: float) -> Driver:
    driver = Driver([rule("a", oi_figure=TWO), rule("b"), rule("c")], COINS)
    for symbol in COINS:
        for venue in "abc":
            driver.market.apply(OpenInterest(venue, symbol, symbol, venue_coins, 1.0, venue_coins, False, None, T0))
    return driver


def step(driver: Driver, symbols: tuple[str, ...], coins: float, at: int) -> None:
    for symbol in symbols:
        driver.market.apply(OpenInterest("a", symbol, symbol, coins, 1.0, coins, False, None, T0 + at))


@pytest.mark.parametrize("times", [2.0, 0.5])
def test_most_instruments_doubling_at_once_is_another_way_of_counting(times: float) -> None:
    """Before the quarantine of each would let them pass a minute later."""
    driver = market_of(100.0)
    step(driver, COINS[:2], 100.0 * times, at=1000)
    assert not driver.market.sides["a"].doubted  # two of them may be chance
    step(driver, COINS[2:3], 101.0 * times, at=1100)
    assert driver.market.sides["a"].doubts == {STEPPED: T0 + 1100}
    measured(driver, "a", 1, at=2000)
    assert not driver.market.sides["a"].doubted


@pytest.mark.parametrize("believed", [True, False])
def test_and_back_again_ends_the_doubt(believed: bool) -> None:
    """Cause: a step that is back before it was believed never ended its doubt."""
    driver = market_of(100.0)
    for at in (1000, 21_000, 41_000, 61_000, 81_000)[: 5 if believed else 2]:  # the quarantine of each ends at 81 s
        step(driver, COINS, 200.0, at)
    assert driver.market.sides["a"].doubted
    for at in range(90_000, 180_000, 20_000):
        assert driver.market.sides["a"].doubted or at > 150_000  # a quarantine lasts a minute
        step(driver, COINS, 100.0, at)
        driver.sample(at + 1000)
    assert not driver.market.sides["a"].doubted


def test_a_doubt_lasts_while_open_interest_stays_where_it_stepped_to() -> None:
    driver = market_of(100.0)
    for at in range(1000, 600_000, 20_000):
        step(driver, COINS, 200.0, at)
        driver.sample(at + 500)
    assert driver.market.sides["a"].doubts == {STEPPED: T0 + 1000}


def test_steps_one_after_the_other_are_not_at_once() -> None:
    driver = market_of(100.0)
    for number, symbol in enumerate(COINS):
        step(driver, COINS, 100.0, number * 1_200_000)
        step(driver, (symbol,), 200.0, number * 1_200_000 + 1000)
    assert not driver.market.sides["a"].doubted


def test_a_step_over_an_hour_of_silence_is_one_too() -> None:
    """Cause: after an hour any open interest is believed at once, so that a venue that came back counting both sides
    from its maintenance, or from ours, was believed too."""
    driver = market_of(100.0)
    step(driver, COINS, 200.0, at=5 * 3_600_000)
    assert driver.market.sides["a"].doubted
    driver.sample(5 * 3_600_000 + 1000)
    assert driver.market.sides["a"].doubted  # believed, but not where they were


@pytest.mark.parametrize(("symbols", "doubted"), [(("BTC", "ETH"), True), (("BTC",), False)])
def test_of_two_instruments_both_must_step_and_one_alone_tells_nothing(symbols: Any, doubted: bool) -> None:
    driver = Driver([rule("a", oi_figure=TWO), rule("b"), rule("c")], symbols)
    for coins, at in ((100.0, 0), (200.0, 1000)):
        for symbol in symbols:
            driver.market.apply(OpenInterest("a", symbol, symbol, coins, 1.0, coins, False, None, T0 + at))
    assert driver.market.sides["a"].doubted is doubted


def test_a_release_that_knows_better_is_believed_over_what_was_stored() -> None:
    """Cause: a doubt, and the sides that were taken before, outlived the release that put them right."""
    before = Market(["BTC"], [rule("a"), rule("b"), rule("c")], MarketSection())
    before.apply(OpenInterest("a", "P", "BTC", 200.0, 1.0, 200.0, False, None, T0))
    before.sides["a"].doubts[STEPPED] = T0
    after = Market(["BTC"], [rule("a", oi_figure=TWO), rule("b"), rule("c")], MarketSection())
    after.load(orjson.loads(orjson.dumps(before.dump())))
    assert (after.sides["a"].sides, after.sides["a"].evidence, after.sides["a"].doubts) == (2, "documented", {})
    assert after.symbols["BTC"].venues["a"].instruments["P"].oi.contracts is None  # it was in other sides
    assert after.symbols["BTC"].venues["a"].sides is after.sides["a"]


def test_delisted_instruments_are_none_of_the_venues() -> None:
    driver = market_of(100.0)
    gone = [Listing("a", f"OLD{n}", "BTC", False, 1.0, 1.0, 8.0, False, T0) for n in range(4)]
    for listing in gone:
        driver.market.apply(OpenInterest("a", listing.instrument, "BTC", 5.0, 1.0, 5.0, False, None, T0))
        driver.market.apply(listing)
    step(driver, COINS[:3], 200.0, at=1000)
    assert driver.market.sides["a"].doubted


def test_figures_that_agree_outweigh_the_step() -> None:
    """Each instrument is still in its quarantine when the measurement comes."""
    driver = market_of(100.0)
    step(driver, COINS, 200.0, at=1000)
    measured(driver, "a", 2, at=2000)
    step(driver, COINS, 200.0, at=3000)
    assert not driver.market.sides["a"].doubted


@pytest.mark.parametrize("times", [1.6, 3.0, 100.0, 0.3])
def test_other_steps_say_nothing_of_sides(times: float) -> None:
    driver = market_of(100.0)
    step(driver, COINS, 100.0 * times, at=1000)
    assert not driver.market.sides["a"].doubted


# -- open interest against single trades -----------------------------------------------------------------------


def trades(driver: Driver, times: float, count: int, start: int, lots: float = 1.0) -> int:
    """So many windows in which one trade moves open interest by ``times`` its size."""
    at, oi = start, driver.market.symbols["BTC"].venues["a"].instruments["P"].oi
    for number in range(count):
        size = lots * (1 + number % 5)
        driver.oi("a", oi.contracts, at)  # type: ignore[arg-type]
        driver.market.apply(Flow("a", "P", "BTC", size, 0.0, None, T0 + at + 1))
        driver.oi("a", oi.contracts + times * size, at + 2)  # type: ignore[operator]
        at += 10
    return at


@pytest.mark.parametrize(("times", "doubted"), [(2.0, True), (0.5, True), (1.0, False)])
def test_moves_of_twice_or_half_the_trade_raise_a_doubt(times: float, doubted: bool) -> None:
    driver = three(10_000.0)
    trades(driver, times, WINDOWS - 1, 10)
    assert not driver.market.sides["a"].doubted
    at = trades(driver, times, 1, 2000)
    assert driver.market.sides["a"].doubts == ({STEPS: T0 + at - 8} if doubted else {})
    trades(driver, 1.0, WINDOWS, 4000)
    assert not driver.market.sides["a"].doubted


def test_a_measurement_ends_what_single_trades_made_doubtful() -> None:
    driver = three(10_000.0)
    trades(driver, 2.0, WINDOWS, 10)
    assert driver.market.sides["a"].doubted
    measured(driver, "a", 2, at=3000)
    assert not driver.market.sides["a"].doubted


def test_windows_of_more_than_one_trade_or_without_silence_before_say_nothing() -> None:
    found = SideRule(TWO)
    watch = TradeWatch()
    watch.interest(100.0, 100.0, found, 1)
    watch.trade(1.0)
    watch.trade(1.0)
    watch.interest(100.0, 104.0, found, 2)  # two trades
    watch.trade(1.0)
    watch.interest(104.0, 106.0, found, 3)  # one, but right after others: it may be late
    assert found.windows == {"half": 0, "one": 0, "two": 0}
    watch.interest(106.0, 106.0, found, 4)
    watch.trade(1.0)
    watch.interest(106.0, 108.0, found, 5)
    assert found.windows == {"half": 0, "one": 0, "two": 1}


def test_even_lots_alone_never_raise_a_doubt_but_lower_the_bar() -> None:
    """Parity is weak: the both-sided sum of one venue was odd once, a lot may be wrong."""
    found = SideRule(OiFigure())
    watch = TradeWatch()
    for _ in range(LOT_TRADES):
        watch.trade(0.003)
    watch.interest(0.0, 0.006, found, 1)
    now = 0.006
    for _ in range(EVEN_LOTS):
        watch.trade(0.003)
        watch.trade(0.006)
        watch.interest(now, now + 0.012, found, 2)
        now += 0.012
    assert (found.even, found.odd, found.doubted) == (EVEN_LOTS + 1, 0, False)
    for number in range(WINDOWS_WITH_LOTS):
        assert not found.doubted, number
        found.window(2.0, 1.0, 3)
    assert found.doubted


def test_an_odd_lot_rules_a_sum_of_two_sides_out() -> None:
    found = SideRule(OiFigure())
    for _ in range(EVEN_LOTS):
        found.lots(True)
    found.lots(False)
    for _ in range(WINDOWS - 1):
        found.window(2.0, 1.0, 3)
    assert not found.doubted


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0.01, 1e6), min_size=WINDOWS, max_size=3 * WINDOWS),
    st.floats(0.0, 1.0),
)
def test_one_sided_open_interest_is_never_doubted(sizes: list[float], kept: float) -> None:
    """A trade moves one side by its size, by nothing, or by anything between; moves of exactly half are rare."""
    found = SideRule(OiFigure())
    watch = TradeWatch()
    now = 1e9
    for number, size in enumerate(sizes):
        moved = size if number % 2 else size * kept * 0.48
        watch.interest(now, now, found, number)
        watch.trade(size)
        watch.interest(now, now + moved, found, number)
        now += moved
    assert not found.doubted


# -- state -----------------------------------------------------------------------------------------------------


def test_the_rule_is_part_of_the_state() -> None:
    driver = market_of(100.0)
    measured(driver, "a", 1, at=100)
    measured(driver, "b", None, at=200)
    again = through(driver.market, driver.market.dump())
    assert again.dump() == driver.market.dump()
    assert again.sides_in_force() == {"a": 1, "b": 1, "c": 1}
    assert again.sides["b"].doubted
    assert again.symbols["ETH"].venues["b"].sides is again.sides["b"]  # what is restored is what is used
    assert driver.market.sample(T0 + 1000, 1) == again.sample(T0 + 1000, 1)
    assert again.dump() == driver.market.dump()


def test_a_state_from_before_the_rule_is_read_anew_where_the_figure_was_taken_for_one_side() -> None:
    """Cause: Gate's figure was stored whole; halved from now on, it would read as a fall of open interest by half."""
    rules = [rule("gate", oi_figure=TWO), rule("b"), rule("c")]
    driver = Driver(rules)
    for venue, coins in (("gate", 200.0), ("b", 100.0), ("c", 100.0)):
        driver.both(venue, 100.0, coins, at=0)
    before = driver.sample(1000)
    plain = driver.market.dump()
    del plain["sides"]
    for symbol in plain["books"].values():
        for venue_state in symbol["venues" if "venues" in symbol else "shelves"].values():
            for instrument in venue_state["instruments"].values():
                del instrument["watch"]
    again = Driver(rules)
    again.market = through(driver.market, plain)
    again.oi("gate", 100.0, at=1500)
    found = again.sample(2000)
    assert (found.ln_oi_index, found.oi_coins) == (before.ln_oi_index, 300.0)
    assert found.trouble == ("oi_sides_changed:gate",)
    assert [item.changed_ms for item in again.market.sides.values()] == [T0, None, None]


def test_ages_survive_a_shifted_clock() -> None:
    driver = three()
    measured(driver, "a", 1, at=100)
    measured(driver, "b", None, at=200)
    driver.market.reanchor(5000)
    a, b = driver.market.sides["a"], driver.market.sides["b"]
    assert (a.since_ms, a.checked_ms, a.changed_ms) == (T0 + 5100,) * 3
    assert b.doubts == {FIGURES: T0 + 5200}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([1, 2, None]), min_size=1, max_size=12), st.floats(10.0, 1e6))
def test_no_measurement_ever_moves_the_chain(kinds: list[int | None], coins: float) -> None:
    """Whatever is measured, in whatever order: the figure follows it, and the chain of open interest stands still."""
    driver = Driver([rule("a", oi_figure=TWO), rule("b"), rule("c")])
    sides, at = 2, 0
    for kind in kinds:
        shown = coins * 2 / sides  # what the decoder makes of a figure that always counts two
        for venue in "abc":
            driver.both(venue, 100.0, shown if venue == "a" else coins, at)
        found: Any = driver.sample(at + 500)
        assert found.ln_oi_index == pytest.approx(0.0, abs=1e-12)
        measured(driver, "a", kind, at + 600)
        sides = kind or sides
        at += 1000
