"""Funding that steps: who is believed when, against a second reading of the rule over the whole history."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.market.streams import FundingTrack, Trust, alike
from service.model import StreamRule

from .build import FUNDING_AGE, T0, Driver, rule

MINUTE, HOUR = 60_000, 3_600_000
REFUSED = "quarantined_funding"
USUAL, STEP = 0.0001, -0.02  # per 8 h; the cap is 0.03


def said(driver: Driver, venue: str, rate: float, first: int, last: int, every: int = MINUTE) -> list[int]:
    """Say a rate again and again; when it was believed."""
    return [at for at in range(first, last + 1, every) if driver.funding(venue, rate, at=at) is None]


# -- alone -------------------------------------------------------------------------------------------------------


def test_a_venue_alone_is_believed_after_half_an_hour_of_the_same() -> None:
    """Cause: a rate that stepped more than tenfold was quarantined for ever where no other venue lists the symbol."""
    driver = Driver(1)
    driver.funding("a", 0.0000125, at=0, interval_h=1.0)
    codes = [driver.funding("a", -0.0025, at=at, interval_h=1.0) for at in range(MINUTE, 2 * HOUR, MINUTE)]
    assert codes == [REFUSED] * 31 + [None] * 88  # the first of them enters, the second begins the count


def test_a_lone_rate_may_move_by_a_fifth_from_one_observation_to_the_next() -> None:
    rates = [STEP * 0.95**number for number in range(40)]
    driver = Driver(1)
    driver.funding("a", USUAL, at=0)
    codes = [driver.funding("a", rate, at=(number + 1) * MINUTE) for number, rate in enumerate(rates)]
    assert codes == [REFUSED] * 31 + [None] * 9


@pytest.mark.parametrize("other", [USUAL, STEP * 1.3, -STEP, None])
def test_a_rate_that_flaps_is_counted_anew(other: float | None) -> None:
    """Cause guarded against: errors that come and go add up to half an hour."""
    driver = Driver(1)
    driver.funding("a", USUAL, at=0)
    believed = [
        at
        for at in range(MINUTE, 5 * HOUR, MINUTE)
        if driver.funding("a", STEP if at // MINUTE % 10 or other is None else other, at=at) is None
    ]
    if other is None:
        assert believed[0] == 32 * MINUTE
    else:
        assert believed == []


def test_a_lone_unit_error_does_not_pass_quickly_nor_one_beyond_the_cap_ever() -> None:
    driver = Driver(1)
    driver.funding("a", USUAL, at=0)
    assert said(driver, "a", 100 * USUAL, MINUTE, 31 * MINUTE) == []
    driver = Driver(1)
    driver.funding("a", USUAL, at=0)
    assert said(driver, "a", 0.0301, MINUTE, 10 * HOUR) == []


def test_a_venue_that_speaks_on_change_repeats_by_confirming() -> None:
    """Cause: a rate that is fixed for hours is said once; confirmations did not count, so that it was never believed,
    neither the step nor, after an error, what is right again."""
    driver = Driver(1)
    driver.funding("a", USUAL, at=0)
    assert driver.funding("a", STEP, at=MINUTE) == REFUSED
    for minute in range(2, 34):
        assert driver.confirm("a", ("funding",), at=minute * MINUTE) is None
    view = driver.sample(33 * MINUTE + 1).venues[0]
    assert (view.rate, view.states[1], view.age_funding_ms) == (STEP, ("funding", "LIVE"), 1)
    driver = Driver(1)
    driver.funding("a", 0.5, at=0)
    driver.funding("a", USUAL, at=MINUTE)
    driver.confirm("a", ("funding",), at=MINUTE + 30_000)
    assert driver.state("a", "funding", at=MINUTE + 31_000) == "QUARANTINED"
    driver.confirm("a", ("funding",), at=2 * MINUTE)
    assert driver.sample(2 * MINUTE + 1).venues[0].rate == USUAL


@pytest.mark.parametrize(
    ("seconds", "believed"),
    [
        # Cause: of a rate said three times at once, and once more hours later, nobody knows that it lasted.
        ((60, 61, 62, 63, 63 + 3 * 3600), False),
        ((60, 61, 62, 63, 63 + 59 * 60), False),
        ((60, 61, 61 + 899, 61 + 1799), False),
        ((60, 61, 61 + 899, 61 + 3600), False),  # of the second silence 900 s count  # a second short of half an hour
        ((60, 61, 61 + 900, 61 + 1800), True),
        ((60, 61, 61 + 3600, 61 + 7200), True),  # the rows of an hourly file
        ((60, 61, 61 + 3601, 61 + 7200), False),
        ((60, 61, 61 + 3601, 61 + 7200, 61 + 10800, 61 + 14400), True),  # counted anew
    ],
)
def test_of_a_silence_a_quarter_of_an_hour_counts_and_after_an_hour_nothing(
    seconds: tuple[int, ...], believed: bool
) -> None:
    for repeats in (False, True):
        driver = Driver(1)
        driver.funding("a", USUAL, at=0)
        driver.funding("a", STEP, at=seconds[0] * 1000)
        for at in seconds[1:]:
            assert driver.sample(at * 1000 - 1).venues[0].states[1] == ("funding", "QUARANTINED")
            if repeats:
                driver.confirm("a", ("funding",), at=at * 1000)
            else:
                driver.funding("a", STEP, at=at * 1000)
        assert (driver.state("a", "funding", at=seconds[-1] * 1000) == "LIVE") == believed


def test_what_was_held_eight_hours_ago_is_no_measure() -> None:
    for late_ms, code in ((0, REFUSED), (1, None)):
        driver = Driver(1)
        driver.funding("a", USUAL, at=0)
        assert driver.funding("a", STEP, at=8 * HOUR + late_ms) == code


# -- several venues ----------------------------------------------------------------------------------------------


def test_venues_that_agree_after_a_gap_are_believed_at_once() -> None:
    """Cause: after hours of silence each held its old rate for a measure, and none was any other's."""
    driver = Driver(3)
    for venue in "abc":
        driver.funding(venue, USUAL, at=0)
    at = 3 * HOUR
    assert driver.funding("a", STEP, at=at) == REFUSED
    assert driver.funding("b", STEP * 1.2, at=at + 1000) is None
    view = driver.sample(at + 1000).venues[0]
    assert (view.rate, view.age_funding_ms, view.states[1]) == (STEP, 1000, ("funding", "LIVE"))  # as of its receipt
    assert driver.funding("c", STEP * 0.5, at=at + 2000) is None
    assert driver.funding("a", STEP, at=at + 3000) is None


def test_a_quarantined_rate_is_released_by_confirming_what_another_venue_says_too() -> None:
    driver = Driver(2)
    driver.funding("a", USUAL, at=0)
    driver.funding("b", USUAL, at=0)
    assert driver.funding("a", STEP, at=HOUR) == REFUSED
    at = HOUR + FUNDING_AGE + 1  # too late for what a said
    assert driver.funding("b", STEP, at=at) == REFUSED
    driver.confirm("a", ("funding",), at=at + 1000)
    for view in driver.sample(at + 1000).venues:
        assert (view.rate, view.states[1]) == (STEP, ("funding", "LIVE"))


def test_other_venues_that_are_live_and_disagree_keep_a_rate_out_for_good() -> None:
    driver = Driver(3)
    believed = []
    for at in range(0, 12 * HOUR, 4 * MINUTE):
        for venue in "ab":
            driver.funding(venue, USUAL, at=at)
        if at > 0 and driver.funding("c", 100 * USUAL, at=at + 1000) is None:
            believed.append(at)
    assert believed == []


def test_more_venues_that_agree_than_disagree_are_believed() -> None:
    for against, code in ((1, None), (2, REFUSED)):
        driver = Driver(4)
        for venue in "abcd":
            driver.funding(venue, USUAL, at=0)
        at = HOUR  # the measures of a and b are stale, those of the others are not
        for venue in "cd"[:against]:
            driver.funding(venue, USUAL, at=at)
        assert driver.funding("a", STEP, at=at + 1000) == REFUSED
        assert driver.funding("b", STEP, at=at + 2000) == code


def company(exchanges: dict[str, str]) -> Driver:
    return Driver([rule(venue, exchange=exchange) for venue, exchange in exchanges.items()])


def test_two_venues_of_one_company_do_not_back_each_other() -> None:
    """Cause: a unit error of one company, in its two venues, was two voices against one and believed at once."""
    driver = company({"a": "x", "b": "x", "c": "y"})
    for venue in "abc":
        driver.funding(venue, USUAL, at=0)
    for at in range(1000, 4 * HOUR, MINUTE):
        driver.funding("c", USUAL, at=at)
        assert driver.funding("a", 100 * USUAL, at=at + 1) == REFUSED
        assert driver.funding("b", 100 * USUAL, at=at + 2) == REFUSED


def test_the_venues_of_one_company_are_one_voice_against_a_rate_too() -> None:
    for exchanges, code in (("yy", None), ("yz", REFUSED)):
        driver = company({"a": "v", "b": "w", "c": exchanges[0], "d": exchanges[1]})
        for venue in "abcd":
            driver.funding(venue, USUAL, at=0)
        for venue in "cd":
            driver.funding(venue, USUAL, at=HOUR)
        assert driver.funding("a", STEP, at=HOUR + 1000) == REFUSED
        assert driver.funding("b", STEP, at=HOUR + 2000) == code


def test_a_venue_follows_the_believed_rate_of_its_company_within_the_tenfold() -> None:
    driver = company({"a": "x", "b": "x", "c": "y"})
    for venue in "abc":
        driver.funding(venue, USUAL, at=0)
    assert driver.funding("c", STEP, at=HOUR) == REFUSED
    assert driver.funding("a", STEP / 2, at=HOUR + 1000) is None  # c says the like
    assert driver.funding("b", STEP / 5, at=HOUR + 2000) is None  # nobody else does; ten times what a believes


@pytest.mark.parametrize(
    ("other", "code"),
    [
        (STEP / 3, None), (STEP / 3.1, REFUSED),  # an interval read four times too long is no second voice
        (-STEP, REFUSED),
        (STEP * 1.6, REFUSED),  # beyond the cap of its venue: it speaks for nobody
    ],
)  # fmt: skip
def test_what_backs_a_rate(other: float, code: str | None) -> None:
    driver = Driver(2)
    for venue in "ab":
        driver.funding(venue, USUAL, at=0)
    assert driver.funding("a", other, at=3 * HOUR) == REFUSED
    assert driver.funding("b", STEP, at=3 * HOUR + 1000) == code


def test_what_was_said_longer_ago_than_max_age_backs_nobody() -> None:
    for late_ms, code in ((0, None), (1, REFUSED)):
        driver = Driver(2)
        for venue in "ab":
            driver.funding(venue, USUAL, at=0)
        driver.funding("a", STEP, at=HOUR)
        assert driver.funding("b", STEP, at=HOUR + FUNDING_AGE + late_ms) == code


def test_rates_alike() -> None:
    assert alike(-0.006, -0.002)
    assert not alike(-0.0061, -0.002)
    assert not alike(0.002, -0.002)
    assert not alike(0.0, 0.0)


# -- stored ------------------------------------------------------------------------------------------------------


def test_a_quarantine_of_a_step_goes_on_after_a_restart_and_one_of_an_older_version_loads() -> None:
    driver = Driver(1)
    driver.funding("a", USUAL, at=0)
    said(driver, "a", STEP, MINUTE, 20 * MINUTE)
    plain = driver.market.dump()
    after = Driver(1)
    after.market.load(plain)
    assert said(after, "a", STEP, 21 * MINUTE, 33 * MINUTE) == [32 * MINUTE, 33 * MINUTE]
    (instrument,) = [item for name, item in plain["books"]["BTC"]["shelves"]["a"]["instruments"].items()]
    for name in FundingTrack.LATER:
        del instrument["funding"][name]
    older = Driver(1)
    older.market.load(plain)
    assert said(older, "a", STEP, 21 * MINUTE, 55 * MINUTE)[0] == 52 * MINUTE


def test_a_moved_clock_moves_what_was_heard() -> None:
    driver = Driver(2)
    track = FundingTrack(StreamRule(FUNDING_AGE, "change"), 0.03, Trust.of(driver.market._settings))
    assert not track.take(0.5, 0.5, 8.0, T0)
    track.reanchor(5000)
    assert track.heard_at == T0 + 5000


# -- the rule again, over the whole history ----------------------------------------------------------------------


@dataclass
class Said:
    """One observation, or a Confirm of it: what was made of it. ``side``: of the count that it was part of."""

    at: int
    venue: str
    rate: float | None  # per 8 h
    side: str = ""
    believed: bool = False


class Rule:
    """Section 2 of docs/signal.md, quarantine of funding; everything is looked up in the list of what was said."""

    CAP = 0.03

    def __init__(self, exchanges: str) -> None:
        self.log: list[Said] = []
        self.exchange = dict(zip(VENUES, exchanges, strict=True))

    def of(self, venue: str) -> list[Said]:
        return [item for item in self.log if item.venue == venue]

    def live(self, venue: str, at: int) -> float | None:
        past = self.of(venue)
        return past[-1].rate if past and past[-1].believed and at - past[-1].at <= FUNDING_AGE else None

    def says(self, venue: str, at: int) -> float | None:
        past = self.of(venue)
        if not past or at - past[-1].at > FUNDING_AGE or past[-1].rate is None:
            return None
        return past[-1].rate if past[-1].believed or abs(past[-1].rate) <= self.CAP else None

    def hear(self, venue: str, rate: float | None, at: int) -> bool:
        item = Said(at, venue, rate)
        self._judge(item, self.of(venue))
        self.log.append(item)
        if item.believed and rate is not None and abs(rate) > 10 * USUAL:
            for other in VENUES:
                said, last = self.says(other, at), self.of(other)[-1]
                if other == venue or last.believed or said is None or abs(said) <= 10 * USUAL:
                    continue
                if said * rate > 0 and max(said / rate, rate / said) <= 3 and self._backed(said, at, other):
                    self.log.append(Said(last.at, other, said, believed=True))
        return item.believed

    def _judge(self, item: Said, past: list[Said]) -> None:
        rate, at, others = item.rate, item.at, [name for name in VENUES if name != item.venue]
        live = [abs(found) for name in others if (found := self.live(name, at)) is not None]
        held = [before for before in past if before.believed]
        own = [abs(held[-1].rate)] if held and held[-1].rate is not None and at - held[-1].at <= 8 * HOUR else []
        doubted = past[-1] if past and not past[-1].believed else None
        size = 0.0 if rate is None else abs(rate)
        if size > self.CAP:
            return
        if rate is not None and size > 10 * USUAL and self._backed(rate, at, item.venue):
            item.believed = True
            return
        if not (live or own) or size <= 10 * max([USUAL, *live, *own]):
            item.side = "near"
        elif doubted is not None and not live and doubted.rate and rate is not None:
            item.side = "far" if abs(rate / doubted.rate - 1) <= 0.2 and at - doubted.at <= HOUR else ""
        if doubted is None:
            item.believed = item.side == "near"
        elif item.side:
            count = [item]
            for before in reversed(past):
                if before.believed or before.side != item.side:
                    break
                count.append(before)
            lasted = sum(min(15 * MINUTE, after.at - before.at) for after, before in pairwise(count))
            lasts = at - count[-1].at >= MINUTE and (item.side == "near" or lasted >= 30 * MINUTE)
            item.believed = len(count) >= 3 and lasts

    def _backed(self, rate: float, at: int, venue: str) -> bool:
        like = against = 0
        for exchange in {self.exchange[name] for name in VENUES} - {self.exchange[venue]}:
            names = [name for name in VENUES if self.exchange[name] == exchange]
            said = [other for name in names if (other := self.says(name, at)) is not None and other * rate > 0]
            live = [other for name in names if (other := self.live(name, at)) is not None]
            if any(max(other / rate, rate / other) <= 3 for other in said):
                like += 1
            elif any(abs(rate) > 10 * max(USUAL, abs(other)) for other in live):
                against += 1
        return like > 0 and like + 1 > against


VENUES = "abcd"
RATES = (0.0, USUAL, -9e-4, 2e-3, -0.02, -0.018, -0.0065, 0.025, 0.04, None)
WORDS = st.one_of(st.sampled_from(("same", "same", "confirm")), st.sampled_from(RATES))
STEPS = st.tuples(
    st.sampled_from((1000, MINUTE, 4 * MINUTE, 10 * MINUTE, HOUR, 9 * HOUR)), st.sampled_from(VENUES), WORDS
)
ALONE = st.tuples(st.sampled_from((20_000, MINUTE, 10 * MINUTE, 16 * MINUTE)), st.just("a"), WORDS)
TOGETHER = st.tuples(st.just(1000), st.sampled_from(VENUES), WORDS)


@given(
    st.lists(
        st.one_of(st.lists(STEPS, max_size=4), st.lists(ALONE, max_size=8), st.lists(TOGETHER, max_size=8)), max_size=8
    ),
    st.sampled_from(("abcd", "aacd", "aacc")),
)
@settings(max_examples=400, deadline=None)
def test_who_is_believed_when(stretches: list[list[tuple[int, str, float | str | None]]], exchanges: str) -> None:
    driver, reference = company(dict(zip(VENUES, exchanges, strict=True))), Rule(exchanges)
    for venue in VENUES:
        assert reference.hear(venue, USUAL, 0)
        assert driver.funding(venue, USUAL, at=0) is None
    at = 0
    for step_ms, venue, what in [step for stretch in stretches for step in stretch]:
        at += step_ms
        before = reference.of(venue)[-1]
        if what == "confirm":
            driver.confirm(venue, ("funding",), at=at)
            if before.believed:  # as fresh as if it was said
                reference.log.append(Said(at, venue, before.rate, believed=True))
            else:
                reference.hear(venue, before.rate, at)
        else:
            rate = before.rate if what == "same" else what
            assert not isinstance(rate, str)
            believed = reference.hear(venue, rate, at)
            code = driver.funding(venue, rate or 0.0, at=at, interval_h=None if rate is None else 8.0)
            assert (code is None) == believed
        for view in driver.sample(at).venues:
            last = reference.of(view.venue)[-1]
            assert (dict(view.states)["funding"] == "QUARANTINED") == (not last.believed)
            assert view.rate_8h == reference.live(view.venue, at)
