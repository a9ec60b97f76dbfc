"""The checker itself, observation to consensus, on cases computed by hand."""

from __future__ import annotations

import math

import pytest

from service.config import MarketSection
from service.model import Event, Stream

from .books import DAY_MS, HOUR_MS, refusal
from .consensus import rate_spread, take_sample
from .making import T0, S, confirm, funding, listing, mark, market, oi, rules
from .recompute import Checker, compare
from .streams import Market


def two_live(at: int = T0) -> Market:
    """Venues a and b, mark 100 and OI 30 and 10 coins."""
    made = market("a", "b")
    feed(made, mark("a", 100.0, at), oi("a", 30.0, at), mark("b", 100.0, at), oi("b", 10.0, at))
    return made


def feed(to: Market, *events: Event) -> list[str | None]:
    return [to.apply(event) for event in events]


def state(of: Market, venue: str, stream: str, at: int) -> str:
    return of.books["BTC"][venue]["P"].state(stream, at)


# freshness and refusals


def test_exactly_max_age_is_fresh_and_one_ms_more_is_not() -> None:
    made = two_live()
    assert state(made, "a", "mark", T0 + 15_000) == "LIVE"
    assert state(made, "a", "mark", T0 + 15_001) == "STALE"
    assert state(made, "a", "oi", T0 + 60_000) == "LIVE"
    assert state(made, "a", "funding", T0) == "NEVER"


@pytest.mark.parametrize(
    ("stamp", "last", "code"),
    [
        (T0 + 2000, None, None),
        (T0 + 2001, None, "future"),
        (T0 - 15_000, None, None),
        (T0 - 15_001, None, "too_old"),
        (T0 - 5, T0 - 5, None),
        (T0 - 6, T0 - 5, "out_of_order"),
        (None, T0, None),
    ],
)
def test_refusals(stamp: int | None, last: int | None, code: str | None) -> None:
    assert refusal(stamp, T0, rules("a").mark, last) == code


def test_a_stamp_of_change_may_be_old() -> None:
    assert refusal(T0 - DAY_MS, T0, rules("a").funding, None) is None


def test_a_refused_observation_neither_confirms_nor_counts() -> None:
    made = two_live()
    assert feed(made, mark("a", 101.0, T0 + 9 * S, stamp=T0 + 12 * S)) == ["future"]
    assert made.books["BTC"]["a"]["P"].mark() == 100.0
    assert state(made, "a", "mark", T0 + 15_001) == "STALE"


def test_a_confirm_keeps_fresh_what_has_a_value() -> None:
    made = two_live()
    feed(made, confirm("a", ("mark", "funding"), T0 + 10 * S))
    assert state(made, "a", "mark", T0 + 25 * S) == "LIVE"
    assert state(made, "a", "funding", T0 + 10 * S) == "NEVER"


def test_a_confirm_without_a_time_is_refused_after_a_refused_observation() -> None:
    made = two_live()
    bare: tuple[Stream, ...] = ("mark", "oi")
    assert feed(made, mark("a", 101.0, T0 + S, stamp=T0 + 9 * S), confirm("a", bare, T0 + 2 * S)) == ["future"] * 2
    assert (state(made, "a", "mark", T0 + 15_001), state(made, "a", "oi", T0 + 62 * S)) == ("STALE", "LIVE")
    assert feed(made, confirm("a", bare, T0 + 3 * S, stamp=T0 + 3 * S)) == ["future"]  # nor does one with a time
    assert feed(made, mark("a", 100.0, T0 + 4 * S, stamp=T0 + 4 * S)) == [None]
    late = mark("a", 101.0, T0 + 5 * S, stamp=T0 + 2 * S)
    assert feed(made, late, confirm("a", ("mark",), T0 + 6 * S)) == ["out_of_order"] * 2
    assert feed(made, confirm("a", ("mark",), T0 + 6 * S, stamp=T0 + 6 * S)) == [None]  # says of when it speaks
    # one that is quarantined has been taken note of; what is held may be confirmed again once one was accepted
    assert feed(made, mark("a", 110.0, T0 + 7 * S), confirm("a", bare, T0 + 8 * S)) == ["quarantined_mark", None]
    assert feed(made, mark("b", 100.5, T0 + 9 * S), confirm("b", ("mark",), T0 + 10 * S)) == [None, None]
    assert state(made, "b", "mark", T0 + 25 * S) == "LIVE"


def test_a_confirm_of_what_has_no_value_is_not_refused() -> None:
    made = two_live()
    assert feed(made, mark("a", None, T0, index=99.0, stamp=T0 + 9 * S), confirm("a", ("mark",), T0)) == [
        "future",
        None,
    ]
    assert feed(made, listing("a", T0), listing("a", T0, size=10.0), confirm("a", ("funding", "oi"), T0)) == [None] * 3


def test_an_index_comes_with_a_mark_that_is_believed() -> None:
    made = two_live()
    book = made.books["BTC"]["a"]["P"]
    feed(made, mark("a", 100.0, T0, index=99.0), mark("a", 110.0, T0 + S, index=109.0))
    assert book.index == 99.0
    feed(made, confirm("a", ("mark",), T0 + 2 * S))
    assert book.index_at == T0 + 2 * S
    feed(made, mark("a", None, T0 + 3 * S, index=98.0), confirm("a", ("mark",), T0 + 4 * S))
    assert (book.index, book.index_at) == (98.0, T0 + 3 * S)  # that one came alone


def test_an_index_alone_vouches_for_nothing_else() -> None:
    made = two_live()
    feed(made, mark("a", None, T0 + 10 * S, index=99.0))
    book = made.books["BTC"]["a"]["P"]
    assert (book.index, book.mark()) == (99.0, 100.0)
    assert book.state("mark", T0 + 16 * S) == "STALE"
    assert (book.live_index(T0 + 30 * S), book.live_index(T0 + 30 * S + 1)) == (99.0, None)


# quarantine


def say(to: Market, at: int, **marks: float) -> list[str | None]:
    """A mark of each named venue, ``at`` seconds after T0."""
    return feed(to, *(mark(venue, value, T0 + at * S) for venue, value in marks.items()))


def test_a_mark_far_from_the_others_is_held_until_three_agree_over_sixty_seconds() -> None:
    made = market("a", "b", "c")
    say(made, 0, b=100.0, c=100.0, a=100.0)
    # median of 100, 100 and 103 is 100: 3 % off. Back at 101 from 10 s on: 10, 40 and 69 (59 s) do not do, 70 does
    codes = say(made, 5, a=103.0)
    for at in (10, 40, 69, 70):
        codes += say(made, at, b=100.0, c=100.0, a=101.0)
    held = "quarantined_mark"
    assert codes == [held, *[None, None, held] * 3, None, None, None]
    assert state(made, "a", "mark", T0 + 70 * S) == "LIVE"


def test_a_disagreeing_mark_restarts_the_count() -> None:
    made = market("a", "b", "c")
    say(made, 0, b=100.0, c=100.0, a=100.0)
    for at, value in ((5, 103.0), (10, 101.0), (40, 101.0), (50, 97.0), (60, 101.0), (80, 101.0), (119, 101.0)):
        say(made, at, b=100.0, c=100.0, a=value)
    assert state(made, "a", "mark", T0 + 119 * S) == "QUARANTINED"
    say(made, 120, b=100.0, c=100.0, a=101.0)
    assert state(made, "a", "mark", T0 + 120 * S) == "LIVE"


def test_a_live_mark_is_judged_by_live_ones_and_another_by_all_that_are_heard() -> None:
    made = market("a", "b")
    held = "quarantined_mark"
    assert say(made, 0, a=100.0, b=103.0) == [None, held]
    assert say(made, 1, a=100.0) == [None]  # live, and b is not believed
    assert say(made, 16, b=103.0) == [held]  # a was heard 15 s ago
    assert say(made, 17, a=100.0) == [held]  # a has gone stale, so now b counts too
    assert say(made, 40, a=100.0) == [held]  # nobody heard for 15 s: agrees, the first of three


def test_a_wrong_venue_that_speaks_first_locks_nobody_out() -> None:
    made = market("a", "b", "c")
    # b against a alone is held; c sits on the median of 103, 100 and 100: believed; then a is the one that is off
    held = "quarantined_mark"
    assert say(made, 0, a=103.0, b=100.0, c=100.0) == [None, held, None]
    assert say(made, 1, a=103.0) == [held]
    codes = [say(made, at, b=100.0, c=100.0, a=103.0) for at in (10, 20, 30, 40, 50, 60, 70)]
    assert codes == [[held, None, held]] * 6 + [[None, None, held]]


def test_a_confirm_keeps_a_mark_heard() -> None:
    made = market("a", "b")
    say(made, 0, a=100.0, b=103.0)
    feed(made, confirm("b", ("mark",), T0 + 10 * S))
    assert state(made, "b", "mark", T0 + 10 * S) == "QUARANTINED"
    assert say(made, 25, a=100.0) == ["quarantined_mark"]


def test_a_mark_without_others_is_not_checked() -> None:
    made = market("a", "b")
    assert feed(made, mark("a", 100.0, T0), mark("a", 150.0, T0 + S)) == [None, None]


def test_an_oi_step_is_released_when_it_lasts() -> None:
    made = two_live()
    # 30 -> 37 is +23 %: the first value; 38, 37.5, 39 agree with it at 10, 30, 70 s: 60 s after the first agreeing one
    codes = feed(made, *(oi("a", c, T0 + at * S) for at, c in ((5, 37.0), (10, 38.0), (30, 37.5), (70, 39.0))))
    assert codes == ["quarantined_oi"] * 3 + [None]
    assert made.books["BTC"]["a"]["P"].oi().coins == 39.0


def test_a_disagreeing_oi_becomes_the_new_first_value() -> None:
    made = two_live()
    steps = ((5, 40.0), (10, 40.0), (20, 60.0), (30, 60.0), (60, 61.0), (89, 60.0))
    assert feed(made, *(oi("a", c, T0 + at * S) for at, c in steps)) == ["quarantined_oi"] * 6
    assert feed(made, oi("a", 60.0, T0 + 90 * S)) == [None]


def test_back_within_the_accepted_value_agrees_but_does_not_release_at_once() -> None:
    made = two_live()
    steps = ((5, 40.0), (10, 30.0), (40, 31.0), (69, 30.0))
    assert feed(made, *(oi("a", c, T0 + at * S) for at, c in steps)) == ["quarantined_oi"] * 4
    assert feed(made, oi("a", 30.0, T0 + 70 * S)) == [None]


def test_beyond_a_factor_of_five_agreeing_with_itself_never_releases() -> None:
    made = two_live()
    for at in range(10, 3000, 10):
        assert feed(made, oi("a", 151.0, T0 + at * S)) == ["quarantined_oi"]
    codes = feed(made, *(oi("a", 30.0, T0 + 3000 * S + at * S) for at in (0, 30, 60)))
    assert codes == ["quarantined_oi", "quarantined_oi", None]


def test_an_old_baseline_excuses_a_step_but_not_a_unit_error() -> None:
    made = two_live()
    assert feed(made, oi("a", 29.0 / 6, T0 + 2 * HOUR_MS)) == ["quarantined_oi"]
    made = two_live()
    assert feed(made, oi("a", 60.0, T0 + HOUR_MS)) == [None]
    made = two_live()
    assert feed(made, oi("a", 60.0, T0 + HOUR_MS - 1)) == ["quarantined_oi"]
    made = two_live()
    assert feed(made, oi("a", 3000.0, T0 + DAY_MS)) == [None]


def test_funding_beyond_the_cap() -> None:
    made = two_live()
    codes = feed(
        made, *(funding("a", r, T0 + at * S) for at, r in ((0, 0.01), (1, -0.011), (2, 0.0), (40, 0.0), (62, 0.0)))
    )
    assert codes == [None, "quarantined_funding", "quarantined_funding", "quarantined_funding", None]


def test_a_mark_that_stands_still_while_the_others_move_is_frozen_until_it_changes() -> None:
    made = market("a", "b")
    feed(made, oi("a", 1.0, T0), oi("b", 1.0, T0), mark("b", 100.0, T0), mark("a", 100.0, T0))
    made.freeze("BTC", T0)  # the reference: 100
    for second in range(1, 60):
        value = 100.05 if second < 30 else 100.11  # ln(100.11/100) = 0.0010994 > 0.001
        feed(made, mark("a", 100.0, T0 + second * S), mark("b", value, T0 + second * S))
        made.freeze("BTC", T0 + second * S)
    assert state(made, "a", "mark", T0 + 59 * S) == "LIVE"
    feed(made, mark("a", 100.0, T0 + 60 * S), mark("b", 100.11, T0 + 60 * S))
    made.freeze("BTC", T0 + 60 * S)
    assert state(made, "a", "mark", T0 + 60 * S) == "FROZEN"
    feed(made, mark("b", 100.0, T0 + 61 * S), mark("a", 100.0, T0 + 61 * S))
    made.freeze("BTC", T0 + 61 * S)
    assert state(made, "a", "mark", T0 + 61 * S) == "FROZEN"
    feed(made, mark("a", 100.01, T0 + 62 * S))
    assert state(made, "a", "mark", T0 + 62 * S) == "LIVE"


def test_what_is_said_in_quarantine_stands_still_or_moves() -> None:
    made = market("a", "b", "c")
    feed(made, *(mark(venue, 100.0, T0) for venue in "abc"))
    for second in range(1, 130):
        at = T0 + second * S
        moved = 100.0 + 0.01 * second  # 1.3 % in all
        feed(made, mark("a", moved, at), mark("b", moved, at), mark("c", 150.0 if second >= 65 else moved * 1.5, at))
        made.freeze("BTC", at)
        assert state(made, "c", "mark", at) == "QUARANTINED"
        assert made.books["BTC"]["c"]["P"].frozen == (second >= 125)  # 60 s after what it said last changed


def test_listings() -> None:
    made = market("a", "b")
    feed(made, listing("a", T0), oi("b", 5.0, T0))
    assert made.venues_listing("BTC") == 2
    feed(made, listing("b", T0, trading=False))
    assert made.venues_listing("BTC") == 1
    feed(made, oi("a", 10.0, T0), mark("a", 100.0, T0))
    assert made.books["BTC"]["a"]["P"].counts(T0)
    feed(made, listing("a", T0 + S, size=10.0))  # contracts now mean ten times as much: 1 of them is a first value
    assert not made.books["BTC"]["a"]["P"].counts(T0 + S)
    assert made.books["BTC"]["a"]["P"].seen(T0 + S)
    assert feed(made, oi("a", 1.0, T0 + 2 * S, size=10.0)) == [None]
    assert made.books["BTC"]["a"]["P"].counts(T0 + 2 * S)


# consensus


def test_consensus_of_two_venues() -> None:
    made = two_live()
    feed(made, mark("b", 101.0, T0 + 2 * S, index=100.5), funding("a", 1e-4, T0 + S), funding("b", 3e-4, T0 + S))
    got = take_sample(made, "BTC", T0 + 5 * S, 1, None)
    assert got.quorum
    assert (got.price, got.index, got.oi_coins) == (100.5, 100.5, 40.0)
    assert got.funding_8h == pytest.approx((30 * 1e-4 + 10 * 3e-4) / 40)  # 1.5e-4
    assert got.funding_spend == pytest.approx(0.006)
    assert got.funding_spread == pytest.approx(2e-4)
    assert got.outlier_sign == -1  # both as far from the median: the first, a, is below it
    assert (got.coverage, got.full_set, got.as_of, got.oi_receipts) == (1.0, True, T0, 2)
    # marks: a is 5 of 15 s old, b 3; oi: 5 of 60 each; funding: 4 of 300 each -> the marks decide
    assert got.freshness == pytest.approx(math.exp(-(30 * 5 / 15 + 10 * 3 / 15) / 40))
    assert take_sample(made, "BTC", T0 + 6 * S, 1, got).oi_receipts == 0


def test_a_lost_venue_costs_coverage_and_is_named_and_never_moves_the_index() -> None:
    made = market("a", "b", "c")
    for venue, coins in (("a", 30.0), ("b", 10.0), ("c", 60.0)):
        feed(made, mark(venue, 100.0, T0), oi(venue, coins, T0))
    first = take_sample(made, "BTC", T0, 1, None)
    feed(made, *(mark(v, 100.0, T0 + 16 * S) for v in "ab"), oi("a", 33.0, T0 + 16 * S))
    second = take_sample(made, "BTC", T0 + 16 * S, 1, first)
    assert second.coverage == pytest.approx(43 / 103)
    assert not second.full_set
    assert second.trouble == ["stale:c"]
    assert second.ln_oi_index == pytest.approx(math.log(43 / 40))  # over a and b only
    feed(made, mark("c", 100.0, T0 + 17 * S), oi("c", 50.0, T0 + 17 * S))
    third = take_sample(made, "BTC", T0 + 17 * S, 1, second)
    assert third.ln_oi_index == second.ln_oi_index
    assert third.trouble == []


def test_trouble_needs_more_than_a_tenth_of_the_last_oi() -> None:
    made = two_live()
    feed(made, oi("b", 10.0 / 3, T0 + S))  # a step of two thirds: quarantined, so 10 of 40 stays the last accepted
    got = take_sample(made, "BTC", T0 + S, 1, None)
    assert (got.quorum, got.trouble) == (False, ["quarantined:b"])
    small = market("a", "b")
    feed(small, mark("a", 1.0, T0), oi("a", 90.0, T0), oi("b", 10.0, T0))
    assert take_sample(small, "BTC", T0, 1, None).trouble == []


def test_below_quorum_everything_is_null_and_the_link_is_zero() -> None:
    made = two_live()
    first = take_sample(made, "BTC", T0, 1, None)
    feed(made, mark("a", 100.0, T0 + 16 * S), oi("a", 33.0, T0 + 16 * S))
    second = take_sample(made, "BTC", T0 + 16 * S, 1, first)
    assert not second.quorum
    assert (second.price, second.oi_coins, second.freshness, second.as_of) == (None, None, None, None)
    assert second.ln_oi_index == 0.0


def test_one_venue_is_a_quorum_where_only_one_lists() -> None:
    made = market("a", "b")
    feed(made, mark("a", 100.0, T0), oi("a", 30.0, T0))
    assert not take_sample(made, "BTC", T0, 1, None).quorum  # nothing was ever heard from b: it may list the symbol
    made.unheard.remove("b")  # it has spoken, of something else
    assert take_sample(made, "BTC", T0, 1, None).quorum
    feed(made, listing("b", T0))
    assert not take_sample(made, "BTC", T0, 1, None).quorum


def test_several_instruments_add_up_and_the_largest_speaks() -> None:
    made = two_live()
    feed(made, mark("b", 101.0, T0, name="Q"), oi("b", 400.0, T0, size=0.05, name="Q"))
    got = take_sample(made, "BTC", T0, 1, None)
    assert (got.price, got.oi_coins) == (100.5, 60.0)  # b: 10 + 20 coins, mark of Q
    # an inverse contract whose coins per contract moved with the price: no build-up
    feed(made, oi("b", 400.0, T0 + S, size=0.04, name="Q"))
    assert take_sample(made, "BTC", T0 + S, 1, got).ln_oi_index == 0.0


@pytest.mark.parametrize(
    ("rates", "spread", "sign"),
    [
        ([1e-4, 2e-4, 5e-4], 4e-4, 1),
        ([1e-4, 4e-4, 5e-4], 4e-4, -1),
        ([3e-4, 3e-4], 0.0, 0),
        ([0.1 + 0.2, 0.3], 0.0, 1),  # two rates tie, whatever rounding says: the first
        ([3e-4], None, 0),
    ],
)
def test_outlier(rates: list[float], spread: float | None, sign: int) -> None:
    got, got_sign = rate_spread(rates)
    assert got == (None if spread is None else pytest.approx(spread, abs=1e-15))
    assert got_sign == sign


# the whole


def test_a_checker_without_any_data_says_so() -> None:
    checker = Checker(["BTC"], [rules("a"), rules("b")], MarketSection(), [])
    checker.sample(T0, 1)
    body = checker.tick(T0)["BTC"]
    assert body["status"] == "no_data"
    assert (body["score"], body["direction"], body["confidence"], body["tradeable"]) == (None, None, 0.0, False)
    assert "quorum" in body["reasons"]
    assert list(body["windows"]) == ["1m", "5m", "1h"]
    assert [entry["value"] for entry in body["elr"]] == [None, None, None]


def test_confidence_is_the_product_of_the_published_factors() -> None:
    checker = Checker(["BTC"], [rules("a"), rules("b")], MarketSection(), [])
    for second in range(61):
        at = T0 + second * S
        for event in (mark("a", 100.0, at), oi("a", 30.0, at), mark("b", 100.3, at), oi("b", 10.0, at)):
            checker.apply(event)
        checker.sample(at, 1)
    body = checker.tick(T0 + 60 * S)["BTC"]
    factors = body["confidence_factors"]
    # no funding ever: its age counts as its limit, exp(-1); only the 1m window of weight 0.2 is ready
    assert factors == {
        "freshness": 0.3678794412,
        "coverage": 1.0,
        "warmup": 0.2,
        "agreement": 1.0,
        "continuity": 1.0,
    }
    assert body["confidence"] == pytest.approx(0.07357588824, rel=1e-12)
    assert body["reasons"] == [
        "low_confidence",
        "low_freshness",
        "low_warmup",
        "no_score",
        "warming:1h",
        "warming:statistics",
    ]
    assert compare(body, body) == []
