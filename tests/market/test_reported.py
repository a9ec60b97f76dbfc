"""Extra streams: what is refused at its exact limits, what a sample counts; none of it makes a venue count."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from service.market import Market
from service.model import Flow, Liquidation, LongShort, Positions, VenueView

from .build import T0, Driver


class Extras(Driver):
    """A driver with words for the extra streams; instrument P of venue a has 1,000 coins open at 0 ms."""

    def __init__(self, venues: int = 2) -> None:
        super().__init__(venues)
        for rule in self.rules:
            self.both(rule.venue, 100.0, 1_000.0, at=0)

    def flow(self, buy: float, sell: float, at: int = 500, venue_at: int | None = None, **where: str) -> str | None:
        place = {"venue": "a", "instrument": "P", "symbol": "BTC"} | where
        venue_ts = None if venue_at is None else T0 + venue_at
        return self.market.apply(
            Flow(**place, taker_buy_coins=buy, taker_sell_coins=sell, venue_ts=venue_ts, recv_ts=T0 + at)
        )

    def liquidation(
        self, side: Any, coins: float, at: int = 500, venue_at: int | None = None, **where: str
    ) -> str | None:
        place = {"venue": "a", "instrument": "P", "symbol": "BTC"} | where
        venue_ts = None if venue_at is None else T0 + venue_at
        return self.market.apply(
            Liquidation(
                **place,
                liquidated_side=side,
                coins=coins,
                price=100.0,
                lower_bound=True,
                venue_ts=venue_ts,
                recv_ts=T0 + at,
            )
        )

    def positions(
        self, long: float, short: float, at: int = 500, venue_at: int | None = None, instrument: str = "P"
    ) -> str | None:
        venue_ts = None if venue_at is None else T0 + venue_at
        return self.market.apply(Positions("a", instrument, "BTC", long, short, venue_ts, T0 + at))

    def share(
        self, share: float, kind: Any = "account", at: int = 500, venue_at: int | None = None, instrument: str = "P"
    ) -> str | None:
        venue_ts = None if venue_at is None else T0 + venue_at
        return self.market.apply(LongShort("a", instrument, "BTC", kind, share, venue_ts, T0 + at))

    def view(self, at: int, venue: str = "a") -> VenueView:
        return next(view for view in self.sample(at).venues if view.venue == venue)


def flows(view: VenueView) -> tuple[float, float, float, float]:
    return (view.taker_buy_coins, view.taker_sell_coins, view.liquidated_long_coins, view.liquidated_short_coins)


# -- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("venue_at", "code"),
    [(None, None), (62_000, None), (62_001, "future"), (0, None), (-1, "too_old")],
)
def test_trades_and_liquidations_from_the_future_or_told_again(venue_at: int | None, code: str | None) -> None:
    market = Extras()
    assert market.flow(1.0, 2.0, at=60_000, venue_at=venue_at) == code
    assert market.liquidation("long", 3.0, at=60_000, venue_at=venue_at) == code
    assert flows(market.view(61_000)) == ((1.0, 2.0, 3.0, 0.0) if code is None else (0.0,) * 4)


def test_trades_need_no_order() -> None:
    market = Extras()
    assert [market.flow(1.0, 0.0, at=900, venue_at=at) for at in (800, 200, 500)] == [None] * 3
    assert market.view(1000).taker_buy_coins == 3.0


@pytest.mark.parametrize(("coins", "code"), [(1_000.0, None), (1_000.001, "implausible")])
def test_more_than_is_open_is_implausible(coins: float, code: str | None) -> None:
    market = Extras()
    assert market.liquidation("short", coins) == code
    assert market.flow(coins - 400.0, 400.0) == code
    assert flows(market.view(1000)) == ((coins - 400.0, 400.0, 0.0, coins) if code is None else (0.0,) * 4)


def test_without_accepted_open_interest_nothing_can_be_judged() -> None:
    market = Extras()
    assert market.mark("a", 100.0, at=100, instrument="Q") is None
    assert market.flow(1e-9, 0.0, instrument="Q") == "implausible"
    assert market.liquidation("long", 1e-9, instrument="Q") == "implausible"
    assert market.oi("a", 5.0, at=600, instrument="Q") is None
    assert market.flow(1e-9, 0.0, instrument="Q") is None


@pytest.mark.parametrize(
    ("venue_at", "code"), [(None, None), (2_900, None), (2_901, "future"), (400, None), (399, "out_of_order")]
)
def test_positions_and_shares_come_in_order(venue_at: int | None, code: str | None) -> None:
    market = Extras()
    assert market.positions(1.0, 2.0, at=500, venue_at=400) is None
    assert market.share(0.25, at=500, venue_at=400) is None
    assert market.positions(3.0, 4.0, at=900, venue_at=venue_at) == code
    assert market.share(0.75, at=900, venue_at=venue_at) == code
    view = market.view(1000)
    if code is None:
        assert (view.long_coins, view.short_coins, view.long_short) == (3.0, 4.0, (("account", 0.75, T0 + 900),))
    else:
        assert (view.long_coins, view.short_coins, view.long_short) == (1.0, 2.0, (("account", 0.25, T0 + 500),))


def test_a_refused_share_or_one_without_a_time_does_not_move_the_order() -> None:
    market = Extras()
    assert market.share(0.25, venue_at=400) is None
    assert market.share(0.3, venue_at=9_000) == "future"
    assert market.share(0.35, venue_at=None) is None
    assert market.share(0.4, venue_at=399) == "out_of_order"
    assert market.share(0.5, venue_at=400) is None


def test_each_kind_of_share_has_its_own_order() -> None:
    """Cause guarded against: a venue's endpoints stamp their ratios differently; one would shut out the other."""
    market = Extras()
    assert market.share(0.6, "top_position", venue_at=450) is None
    assert market.share(0.55, "account", venue_at=300) is None
    assert market.view(1000).long_short == (("account", 0.55, T0 + 500), ("top_position", 0.6, T0 + 500))


# -- samples -----------------------------------------------------------------------------------------------------


def test_a_sample_takes_what_came_since_the_one_before() -> None:
    market = Extras()
    market.flow(1.0, 0.0, at=100)
    market.flow(0.5, 4.0, at=200)
    market.liquidation("long", 7.0, at=300)
    market.liquidation("short", 9.0, at=400)
    market.flow(20.0, 30.0, at=400, venue="b")
    first = market.sample(1000)
    assert [flows(view) for view in first.venues] == [(1.5, 4.0, 7.0, 9.0), (20.0, 30.0, 0.0, 0.0)]
    assert flows(market.view(2000)) == (0.0,) * 4


def test_the_instruments_of_a_venue_add_up_but_for_those_not_trading() -> None:
    market = Extras()
    for name in ("Q", "R"):
        market.both("a", 100.0, 50.0, at=0, instrument=name)
    for name, coins in (("P", 1.0), ("Q", 2.0), ("R", 4.0)):
        assert market.flow(coins, 0.0, instrument=name) is None
        assert market.liquidation("long", coins, instrument=name) is None
        assert market.positions(coins, 2 * coins, instrument=name) is None
        assert market.share(coins / 8, instrument=name) is None
    market.listing("a", 600, instrument="R", trading=False)
    view = market.view(1000)
    assert flows(view) == (3.0, 0.0, 3.0, 0.0)
    assert (view.long_coins, view.short_coins) == (3.0, 6.0)
    assert view.long_short == (("account", 0.125, T0 + 500),)  # of P, which has most open
    market.listing("a", 1100, instrument="R", trading=True)
    assert flows(market.view(2000)) == (0.0,) * 4  # what came while it did not trade is gone


def test_the_share_of_the_instrument_with_most_open_interest_that_has_one() -> None:
    market = Extras()
    market.both("a", 100.0, 50.0, at=0, instrument="B")
    market.both("a", 100.0, 50.0, at=0, instrument="C")
    market.share(0.3, instrument="C")
    assert market.view(1000).long_short == (("account", 0.3, T0 + 500),)
    market.share(0.4, instrument="B", at=1500)  # as much open: the first by name
    assert market.view(2000).long_short == (("account", 0.4, T0 + 1500),)


def test_positions_and_shares_are_fresh_for_900_seconds() -> None:
    market = Extras()
    market.positions(5.0, 0.0)
    market.share(0.0)
    last = market.view(900_500)
    assert (last.long_coins, last.short_coins, last.long_short) == (5.0, 0.0, (("account", 0.0, T0 + 500),))
    gone = market.view(900_501)
    assert (gone.long_coins, gone.short_coins, gone.long_short) == (None, None, ())


def test_extras_vouch_for_nothing() -> None:
    """A venue whose trades go on while its marks have died is not in V, and no receipt of open interest is counted."""
    market = Extras()
    market.sample(1000)
    for at in range(1_500, 61_500, 1000):
        market.flow(1.0, 1.0, at=at)
        market.liquidation("long", 1.0, at=at)
        market.positions(1.0, 1.0, at=at)
        market.share(0.5, at=at)
        found = market.sample(at + 500)
        assert found.oi_receipts == 0
    view = found.venues[0]
    assert (view.fresh, view.oi_coins, dict(view.states)["mark"]) == (False, None, "STALE")
    assert flows(view) == (1.0, 1.0, 1.0, 0.0)  # told, for those who count: the indicators ask whether it is in V


def test_extras_of_what_is_not_configured_are_ignored() -> None:
    market = Extras()
    assert market.flow(1e12, 0.0, venue="nowhere") is None
    assert market.flow(1e12, 0.0, symbol="DOGE") is None


def test_each_sum_begins_anew_after_a_sample() -> None:
    """Cause: one that is not cleared comes again with the next sample in which anything is traded."""
    market = Extras()
    market.flow(1.0, 2.0)
    market.liquidation("long", 3.0)
    market.liquidation("short", 4.0)
    assert flows(market.sample(1000).venues[0]) == (1.0, 2.0, 3.0, 4.0)
    for second, told in enumerate(((5.0, 0.0, 0.0, 0.0), (0.0, 5.0, 0.0, 0.0)), 1):
        market.flow(told[0], told[1], at=second * 1000 + 500)
        assert flows(market.sample(second * 1000 + 1000).venues[0]) == told
    market.liquidation("long", 6.0, at=3_500)
    assert flows(market.sample(4_000).venues[0]) == (0.0, 0.0, 6.0, 0.0)
    assert flows(market.sample(5_000).venues[0]) == (0.0, 0.0, 0.0, 0.0)


def test_extras_shift_and_resume() -> None:
    market = Extras()
    market.flow(1.5, 0.0)
    market.positions(5.0, 6.0, venue_at=400)
    market.share(0.25, "position", venue_at=400)
    market.market.reanchor(-3_600_000)
    other = Market(["BTC"], market.rules, market.market._settings)
    other.load(orjson.loads(orjson.dumps(market.market.dump())))
    for made in (market.market, other):
        late = LongShort("a", "P", "BTC", "position", 0.5, T0 + 399, T0 + 600 - 3_600_000)
        assert made.apply(replace(late, venue_ts=T0 - 3_600_000)) == "out_of_order"
        view = made.sample(T0 + 900_500 - 3_600_000, 1)[0].venues[0]
        assert (view.long_coins, view.short_coins, view.taker_buy_coins) == (5.0, 6.0, 1.5)
        assert view.long_short == (("position", 0.25, T0 + 500 - 3_600_000),)
        view = made.sample(T0 + 901_000 - 3_600_000, 1)[0].venues[0]
        assert (view.long_coins, view.long_short) == (None, ())
    assert other.dump() == market.market.dump()
