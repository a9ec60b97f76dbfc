"""A venue's coming source counts in the proven one's place: only after two hours in which the two agreed, only while
the proven one is silent, and never for a quantity, a unit or a kind of contract that was not found to agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from service.config import MarketSection
from service.market import Market
from service.market.agreement import EVERY_MS, ROUND_MS, SILENT_MS
from service.market.venue_state import Instrument
from service.model import Candidate, Flow, Funding, Listing, Mark, OpenInterest
from tests.market.build import T0, rule

VENUE = "k"
HOUR_MS = 3_600_000
LINEAR = {"BTC": 80_000.0, "ETH": 3_000.0, "SOL": 150.0}
INVERSE = {"BTC": 80_000.0, "ETH": 3_000.0}
COINS, RATE = 2_000.0, 1.25e-5
Fields = Callable[[float, float, float, bool], tuple[tuple[str, str, float], ...]]  # of mark, contracts, rate, inverse


def as_v1(mark: float, contracts: float, rate: float, inverse: bool) -> tuple[tuple[str, str, float], ...]:
    """Rows that count as v1 does."""
    return (("mark", "mark_price", mark), ("oi", "open_interest", contracts), ("funding", "funding_rate", rate))


class Two:
    """A venue with two sources over one slowly moving truth; times are ms after T0."""

    def __init__(self, fields: Fields = as_v1, linear: dict[str, float] | None = None, inverse: Any = ()) -> None:
        self.fields = fields
        self.linear = LINEAR if linear is None else linear
        self.inverse = dict(inverse)
        self.at = 0
        self.scale = 1.0  # of every price
        self.late_ms = 0  # how old the unified source's times are
        self.market = self.fresh()

    def fresh(self) -> Market:
        rules = [rule(VENUE, sources=("v1", "unified")), rule("b")]
        return Market(sorted({*self.linear, *self.inverse}), rules, MarketSection())

    def instruments(self) -> list[tuple[str, str, float, bool]]:
        found = [(f"PF_{symbol}", symbol, price, False) for symbol, price in self.linear.items()]
        return found + [(f"PI_{symbol}", symbol, price, True) for symbol, price in self.inverse.items()]

    def step(self, v1: bool = True, unified: bool = True, ms: int = 10_000, spoilt: float = 1.0) -> None:
        """``spoilt``: factor of the open interest that the unified source says."""
        self.at += ms
        at, wave = T0 + self.at, self.scale * (1.0 + 0.004 * ((self.at // 600_000) % 3))
        for name, symbol, price, inverse in self.instruments():
            mark = price * wave
            contracts = COINS * price if inverse else COINS / wave
            rate = RATE * (1 + self.at // HOUR_MS)
            if v1:
                self.market.apply(Mark(VENUE, name, symbol, mark, mark * 1.001, at, at))
                self.market.apply(Funding(VENUE, name, symbol, rate, 1.0, rate * 8, None, False, at, at))
                each = 1 / mark if inverse else 1.0
                self.market.apply(OpenInterest(VENUE, name, symbol, contracts, each, contracts * each, inverse, at, at))
            if unified:
                rows = tuple(
                    (quantity, field, value * spoilt if quantity == "oi" else value)
                    for quantity, field, value in self.fields(mark, contracts, rate, inverse)
                )
                self.market.apply(self.candidate(name, symbol, inverse, rows))

    def candidate(self, name: str, symbol: str, inverse: bool, rows: tuple[tuple[str, str, float], ...]) -> Candidate:
        at = T0 + self.at
        return Candidate(VENUE, name, symbol, rows, inverse, 1.0, 1.0, 1.0, at + HOUR_MS, at - self.late_ms, at)

    def run(self, ms: int, **options: Any) -> None:
        end = self.at + ms
        while self.at < end:
            self.step(**options)

    def item(self, name: str = "PF_BTC") -> Instrument:
        return self.market.symbols[name[3:]].venues[VENUE].instruments[name]

    def live(self, name: str = "PF_BTC") -> tuple[bool, bool, bool]:
        """Of mark, funding and open interest."""
        item, at = self.item(name), T0 + self.at
        return item.mark.is_live(at), item.funding.is_live(at), item.oi.is_live(at)

    @property
    def agreed(self) -> dict[str, str]:
        found = self.market.agreements[VENUE].agreed
        return {key: f"{record['field']} {record['unit']}" for key, record in found.items()}

    @property
    def counts(self) -> str:
        return self.market.agreements[VENUE].counting(T0 + self.at)

    @property
    def why(self) -> str | None:
        return self.market.agreements[VENUE].reason(T0 + self.at)


AGREED = {
    "linear mark": "mark_price price",
    "linear oi": "open_interest contracts",
    "linear funding": "funding_rate relative",
}


def agreeing(**options: Any) -> Two:
    """After the first round."""
    two = Two(**options)
    two.run(ROUND_MS + 60_000)
    return two


def test_two_hours_that_agree_are_recorded_and_count_once_v1_is_silent() -> None:
    two = Two()
    two.run(ROUND_MS - 60_000)
    assert two.agreed == {}
    two.run(120_000)
    assert two.agreed == AGREED
    assert two.counts == "v1"
    two.run(SILENT_MS, v1=False)
    assert two.live() == (False, True, True)  # the mark has been stale since 15 s: nothing counts before the minute
    two.step(v1=False)
    assert two.counts == "unified"
    assert two.live() == (True, True, True)
    two.run(HOUR_MS, v1=False)
    assert two.live() == (True, True, True)
    assert two.item().funding.interval_h == 1.0
    two.step()
    assert two.counts == "v1"


def test_v1_alone_counts_while_it_speaks() -> None:
    """Cause guarded against: both at once would count a contract twice, or a value that is not proven beside a good
    one."""
    two = agreeing()
    before = two.item().oi.coins
    at = T0 + two.at
    row = two.candidate("PF_BTC", "BTC", False, as_v1(80_000.0, 1_000_000.0, 0.5, False))
    assert two.market.apply(row) is None
    assert (two.item().oi.coins, two.item().oi.confirmed_at) == (before, at)


@pytest.mark.parametrize(
    ("fields", "linear", "inverse"),
    [
        (
            lambda mark, contracts, rate, inverse: (
                ("mark", "mark_price", mark),
                ("oi", "oi", contracts if inverse else contracts * mark),  # all in dollars
                ("funding", "funding_rate", rate / mark if inverse else rate * mark),  # money an hour
            ),
            ("oi dollars", "funding_rate absolute"),
            ("oi contracts", "funding_rate absolute"),
        ),
        (
            lambda mark, contracts, rate, inverse: (
                ("mark", "mark_price", mark),
                ("oi", "oi", contracts / mark if inverse else contracts),  # all in coins
                ("funding", "relative_funding_rate", rate),
                ("funding", "funding_rate", rate * mark),
            ),
            ("oi contracts", "relative_funding_rate relative"),
            ("oi coins", "relative_funding_rate relative"),
        ),
    ],
)
def test_units_are_measured_and_converted(fields: Fields, linear: tuple[str, str], inverse: tuple[str, str]) -> None:
    """Cause guarded against: a name does not say the unit. Dollars for coins would be wrong by the price."""
    two = agreeing(fields=fields, inverse=INVERSE)
    assert (two.agreed["linear oi"], two.agreed["linear funding"]) == linear
    assert (two.agreed["inverse oi"], two.agreed["inverse funding"]) == inverse
    two.run(2 * SILENT_MS, v1=False)
    assert two.counts == "unified"
    for name in ("PF_BTC", "PI_BTC"):
        item = two.item(name)
        assert two.live(name) == (True, True, True)
        assert item.oi.coins == pytest.approx(COINS, rel=0.01)
        assert item.funding.rate == pytest.approx(RATE * (1 + two.at // HOUR_MS), rel=0.05)


@pytest.mark.parametrize(
    ("factors", "missing"),
    [
        ((1.0, 1.0, 100.0), "funding"),  # percent for a fraction
        ((1.0, 1.0, 8.0), "funding"),  # of eight hours
        ((1.0, 2.0, 1.0), "oi"),  # both sides
        ((1.0, 1.02, 1.0), "oi"),
        ((1.004, 1.0, 1.0), "mark"),
    ],
)
def test_one_quantity_that_does_not_agree_keeps_all_out(factors: tuple[float, float, float], missing: str) -> None:
    def fields(mark: float, contracts: float, rate: float, inverse: bool) -> tuple[tuple[str, str, float], ...]:
        return as_v1(mark * factors[0], contracts * factors[1], rate * factors[2], inverse)

    two = agreeing(fields=fields)
    assert two.agreed == {key: found for key, found in AGREED.items() if key != f"linear {missing}"}
    two.run(2 * HOUR_MS, v1=False)
    assert two.counts == "none"
    assert two.live() == (False, False, False)
    assert two.why is not None
    assert two.why.startswith(f"not agreed over two hours: linear {missing} agrees on 0 of ")


def test_a_field_that_is_not_there_is_told() -> None:
    two = Two(lambda mark, contracts, rate, inverse: as_v1(mark, contracts, rate, inverse)[:1])
    two.run(HOUR_MS)
    assert (
        two.why == "not agreed over two hours: linear mark agrees on 3 of 3, linear oi agrees on 0 of 3, "
        "linear funding agrees on 0 of 3"
    )


def test_of_several_fields_the_first_that_agrees_is_named() -> None:
    def fields(mark: float, contracts: float, rate: float, inverse: bool) -> tuple[tuple[str, str, float], ...]:
        return (("oi", "wrong", contracts * 3), ("oi", "right", contracts), *as_v1(mark, contracts, rate, inverse))

    assert agreeing(fields=fields).agreed["linear oi"] == "right contracts"


def test_linear_and_inverse_contracts_are_apart() -> None:
    """Cause guarded against: an agreement on the many PF would let the PI count in a unit of which nothing is known."""

    def fields(mark: float, contracts: float, rate: float, inverse: bool) -> tuple[tuple[str, str, float], ...]:
        return as_v1(mark, contracts * (7.0 if inverse else 1.0), rate, inverse)

    two = agreeing(fields=fields, inverse=INVERSE)
    two.run(2 * HOUR_MS, v1=False)
    assert two.live("PF_BTC") == (True, True, True)
    assert two.live("PI_BTC") == (False, False, False)
    assert two.counts == "unified"
    assert two.why == "not agreed over two hours: inverse oi agrees on 0 of 0"


def test_a_price_near_one_tells_no_unit() -> None:
    """Cause guarded against: at 1 dollar a coin's open interest in dollars is that in coins."""
    two = agreeing(linear={"XRP": 1.1, "ADA": 0.9})
    assert list(two.agreed) == ["linear mark"]


def test_two_instruments_must_both_agree_and_one_busy_one_is_not_enough() -> None:
    two = Two(linear={"BTC": 80_000.0, "ETH": 3_000.0})
    while two.at < ROUND_MS + 60_000:
        two.step(unified=False)
        row = two.candidate("PF_BTC", "BTC", False, as_v1(two.item().mark.mark or 0.0, COINS, RATE, False))
        two.market.apply(row)
        if two.at % 600_000 == 0:  # every ten minutes
            mark = two.item("PF_ETH").mark.mark or 0.0
            two.market.apply(two.candidate("PF_ETH", "ETH", False, as_v1(mark, COINS, RATE, False)))
    assert two.agreed == {}


def test_a_silent_v1_is_not_compared() -> None:
    """Cause guarded against: agreeing with a value that is no longer said, or with one of its own."""
    two = agreeing()
    two.run(60_000, v1=False)
    tallies = orjson.dumps(two.market.agreements[VENUE].tallies)
    two.run(HOUR_MS, v1=False)
    assert two.counts == "unified"
    assert orjson.dumps(two.market.agreements[VENUE].tallies) == tallies


def test_a_round_that_does_not_agree_ends_the_agreement_and_one_with_too_little_does_not() -> None:
    two = agreeing()
    two.run(ROUND_MS // 3)
    two.run(3 * HOUR_MS, unified=False)
    two.step()
    assert two.agreed == AGREED
    two.run(2 * ROUND_MS + 120_000, spoilt=1.5)
    assert "linear oi" not in two.agreed
    two.run(2 * HOUR_MS, v1=False)
    assert two.counts == "none"


def test_after_a_restart_the_agreement_is_known_and_v1_gets_its_time_to_speak() -> None:
    """Cause guarded against: whichever socket opens first after a start would count."""
    two = agreeing()
    stored = orjson.loads(orjson.dumps(two.market.dump()))
    again = Two()
    again.at = two.at + HOUR_MS
    again.market.load(stored)
    assert again.agreed == AGREED
    again.step(v1=False)
    assert again.counts == "none"
    again.run(SILENT_MS - 10_000, v1=False)
    assert again.live()[0] is False
    again.run(20_000, v1=False)
    assert again.counts == "unified"
    assert again.live() == (True, True, True)
    assert orjson.dumps(again.market.dump()) != orjson.dumps(stored)


def test_the_comparison_goes_on_over_a_restart() -> None:
    """Cause guarded against: a service restarted every hour would never find out; a tape begins with this state too."""
    two = Two()
    for _ in range(12):
        two.run(ROUND_MS // 12)
        stored = orjson.loads(orjson.dumps(two.market.dump()))
        two.market = two.fresh()
        two.market.load(stored)
    two.run(60_000)
    assert two.agreed == AGREED


def test_a_state_without_agreements_loads_and_nothing_is_stored_before_the_candidate_speaks() -> None:
    two = Two()
    two.run(60_000, unified=False)
    stored = two.market.dump()
    assert "agreements" not in stored
    two.market.load(orjson.loads(orjson.dumps(stored)))
    two.step()
    assert list(two.market.dump()["agreements"]) == [VENUE]
    assert orjson.loads(b"".join(two.market.texts())) == two.market.dump()


def test_rules_for_values_hold_in_v1s_place() -> None:
    two = agreeing()
    two.run(2 * SILENT_MS, v1=False)
    held = two.item().oi.coins
    two.step(v1=False, spoilt=10.0)
    assert two.item().oi.state == "QUARANTINED"
    assert two.item().oi.coins == held
    two.step(v1=False)
    row = two.candidate("PF_ETH", "ETH", False, as_v1(3_000.0, COINS, RATE, False))
    assert two.market.apply(replace(row, venue_ts=T0 + two.at - 100_000)) == "too_old"


def test_nothing_is_heard_of_a_venue_before_its_candidate_counts() -> None:
    """Cause guarded against: a venue that never answered counts as listing every symbol; rows that count for nothing
    are no answer."""
    two = Two()
    two.run(600_000, v1=False)
    assert two.market.heard[VENUE] is False
    assert all(not state.venues[VENUE].instruments for state in two.market.symbols.values())
    assert two.counts == "none"


def test_index_and_flow_need_an_agreement_of_their_own() -> None:
    two = Two(
        lambda mark, contracts, rate, inverse: (*as_v1(mark, contracts, rate, inverse), ("index", "i", mark * 1.001))
    )
    other = Two(
        lambda mark, contracts, rate, inverse: (*as_v1(mark, contracts, rate, inverse), ("index", "i", mark * 1.01))
    )
    for pair in (two, other):
        while pair.at < ROUND_MS + 60_000:
            pair.step()
            for name, symbol, _, _ in pair.instruments():
                at = T0 + pair.at
                pair.market.apply(Flow(VENUE, name, symbol, 2.0, 1.0, at, at))
                size = 2.0 if pair is two else 3.0
                pair.market.apply(pair.candidate(name, symbol, False, (("buys", "qty", size), ("sells", "qty", 1.0))))
        pair.run(2 * SILENT_MS, v1=False)
        assert pair.counts == "unified"
    assert two.agreed == {**AGREED, "linear index": "i price", "flow": "qty contracts"}
    assert other.agreed == AGREED
    for pair, index, flow in ((two, True, True), (other, False, False)):
        at = T0 + pair.at
        assert (pair.item().mark.fresh_index(at) is not None) is index
        pair.market.sample(at + 1, 1)
        pair.market.apply(pair.candidate("PF_BTC", "BTC", False, (("buys", "qty", 0.5),)))
        assert (pair.item().reported.taker_buy == 0.5) is flow


def test_a_shift_of_the_clock_changes_no_age() -> None:
    two = agreeing()
    two.run(SILENT_MS // 2, v1=False)
    two.market.reanchor(-HOUR_MS)
    two.at -= HOUR_MS
    assert two.counts == "v1"
    two.run(SILENT_MS // 2 + 10_000, v1=False)
    assert two.counts == "unified"


def test_a_comparison_is_made_once_a_minute() -> None:
    two = Two()
    for _ in range(3 * EVERY_MS // 1000):
        two.step(ms=1_000)
    assert two.market.agreements[VENUE].asked["linear mark"] == dict.fromkeys(("PF_BTC", "PF_ETH", "PF_SOL"), 3)


def test_an_agreement_on_a_unit_that_is_not_known_is_none() -> None:
    stored = orjson.loads(orjson.dumps(agreeing().market.dump()))
    stored["agreements"][VENUE]["agreed"]["linear oi"]["unit"] = "lots"
    two = Two()
    two.market.load(stored)
    assert list(two.agreed) == ["linear mark", "linear funding"]


def test_what_people_see() -> None:
    two = agreeing()
    shown = two.market.agreements[VENUE].described(T0 + two.at)
    assert (shown["counts"], shown["reason"]) == ("v1", None)
    assert shown["agreed"]["linear mark"]["instruments"] == 3
    two.run(600_000, v1=False, unified=False)
    assert (two.counts, two.why) == ("none", "unified is silent")
    two.market.apply(Listing(VENUE, "PF_BTC", "BTC", False, 1.0, 1.0, 1.0, True, T0 + two.at))
    assert two.counts == "none"  # a listing is no value


@pytest.mark.parametrize(("late_ms", "agrees"), [(15_000, True), (15_001, False), (-2_000, True), (-2_001, False)])
def test_rows_whose_times_would_be_refused_earn_no_agreement(late_ms: int, agrees: bool) -> None:
    """Cause guarded against: `unified` would be said to count while every value of it is refused as too old."""
    two = Two()
    two.late_ms = late_ms
    two.run(ROUND_MS + 60_000)
    assert (two.agreed == AGREED) is agrees


MANY = {f"C{number}": 20.0 * (number + 1) for number in range(12)}


def test_a_contract_that_did_not_agree_never_counts_though_its_kind_does() -> None:
    """Cause: one of twelve was off in every comparison; nine in ten sufficed for the kind, and it counted with them."""

    def fields(mark: float, contracts: float, rate: float, inverse: bool) -> tuple[tuple[str, str, float], ...]:
        return as_v1(mark, contracts * (1.4 if mark < 21.0 else 1.0), rate, inverse)

    two = agreeing(fields=fields, linear=MANY)
    two.run(HOUR_MS, v1=False)
    assert two.counts == "unified"
    assert two.live("PF_C1") == (True, True, True)
    assert two.live("PF_C0") == (False, False, False)


def test_a_contradiction_under_way_suspends_the_agreement() -> None:
    """Cause: on the day of the switch the newer source began to count otherwise; the verdict of the last round stood
    until the next, and for ever where too little was compared before v1 ended."""
    two = agreeing()
    two.fields = lambda mark, contracts, rate, inverse: as_v1(mark, contracts, rate * mark, inverse)
    two.run(600_000)
    assert two.agreed == AGREED
    assert two.why == "not agreed over two hours: linear funding contradicts now what was recorded"
    two.run(4 * HOUR_MS, v1=False)
    assert two.live() == (False, False, False)
    assert "linear funding" not in two.agreed


def test_v1_is_not_silent_while_any_of_its_sockets_speaks() -> None:
    """Cause: its tickers fell silent and its trades went on, so that taker flow counted twice."""
    two = agreeing()
    for _ in range(30):
        two.step(v1=False)
        two.market.apply(Flow(VENUE, "PF_BTC", "BTC", 1.0, 0.0, T0 + two.at, T0 + two.at))
    assert two.counts == "v1"
    assert two.live()[0] is False


def test_rows_without_a_time_of_their_own_earn_no_agreement() -> None:
    """Cause: a source minutes late agreed in a calm market, and counted as if it were of now."""
    two = Two()
    candidate = two.candidate
    two.candidate = lambda *given: replace(candidate(*given), venue_ts=None)  # type: ignore[method-assign]
    two.run(ROUND_MS + 60_000)
    assert two.agreed == {}


def test_nothing_of_the_newer_source_counts_while_the_past_is_filled_in() -> None:
    """Cause: v1 is not heard in what was held back, so the newer source counted beside it."""
    two = agreeing()
    before = two.item().oi.confirmed_at
    two.market.filling = True
    two.run(300_000, v1=False)
    assert two.item().oi.confirmed_at == before


@pytest.mark.parametrize("damage", [{"unit": None}, {"since": None}, {"unit": "furlongs"}])
def test_a_damaged_agreement_costs_itself_alone(damage: dict[str, Any]) -> None:
    two = agreeing()
    stored = orjson.loads(orjson.dumps(two.market.dump()))
    record = stored["agreements"][VENUE]["agreed"]["linear oi"]
    for key, value in damage.items():
        record.update({key: value}) if value is not None else record.pop(key)
    again = two.fresh()
    again.load(stored)
    assert list(again.agreements[VENUE].agreed) == ["linear mark", "linear funding"]
    stored["agreements"][VENUE] = {"what": "is this"}
    again = two.fresh()
    again.load(stored)
    assert again.agreements[VENUE].agreed == {}
    assert again.symbols["BTC"].venues[VENUE].instruments.keys() == {"PF_BTC"}


def test_an_agreement_outlives_a_state_that_cannot_be_gone_on_from() -> None:
    """Cause: after v1's end nothing can earn it again; a state of three days ago lost it, and Kraken with it."""
    two = agreeing()
    again = two.fresh()
    again.salvage(orjson.loads(orjson.dumps(two.market.dump())))
    assert again.agreements[VENUE].agreed == two.market.agreements[VENUE].agreed
    assert again.agreements[VENUE].proven_at is None
    assert again.symbols["BTC"].venues[VENUE].instruments == {}
    again.salvage({})
