"""Trades counted once: two sockets, replays, clocks that disagree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadPayload
from service.model import Decoded, Flow, Liquidation, Listing, Skipped
from service.venues.contract import Catalog
from service.venues.trades import LATE_MS, ORDERS_KEPT, Orders, Print, Trades, coins_in, coins_of, traded
from tests.venues.frames import T0, bare_emit

COIN = Listing("venue", "COIN", "COIN", False, 1.0, 1.0, None, True, 0)


class Reader:
    """One connection's trades, a frame at a time."""

    def __init__(self, catalog: Catalog) -> None:
        self.emit = bare_emit(catalog)
        self._trades = Trades(self.emit)

    def take(self, *prints: Print, recv_ts: int = T0) -> list[Decoded]:
        self.emit.out, self.emit.recv_ts = [], recv_ts
        self._trades.tell(prints, False)
        return self.emit.out

    def subscribed(self, recv_ts: int) -> None:
        self.emit.recv_ts = recv_ts
        self._trades.begin("COIN")


def trade(at: int, key: str, coins: float = 1.0, buys: bool = True) -> Print:
    return Print(COIN, buys, coins, 10.0, at, key)


def bought(found: list[Decoded]) -> float:
    return sum(item.taker_buy_coins for item in found if isinstance(item, Flow))


def test_one_flow_a_frame_and_instrument_with_the_newest_time() -> None:
    other = Listing("venue", "B", "B", False, 1.0, 1.0, None, True, 0)
    found = Reader(Catalog()).take(
        trade(T0 - 5, "1", 2.0), Print(other, False, 7.0, 1.0, T0 - 4, "1"), trade(T0 - 3, "2", 0.5, buys=False)
    )
    assert found == [
        Flow("venue", "COIN", "COIN", 2.0, 0.5, T0 - 3, T0),
        Flow("venue", "B", "B", 0.0, 7.0, T0 - 4, T0),
    ]


def test_what_two_sockets_bring_counts_once() -> None:
    """Cause: while a socket replaced another, the trades of their overlap were counted twice."""
    catalog = Catalog()
    old, new = Reader(catalog), Reader(catalog)
    assert bought(old.take(trade(T0 - 9, "a", 1.0))) == 1.0
    assert bought(new.take(trade(T0 - 9, "a", 1.0), trade(T0 - 8, "b", 2.0))) == 2.0
    assert old.take(trade(T0 - 8, "b", 2.0)) == []
    assert bought(old.take(trade(T0 - 8, "c", 4.0))) == 4.0  # of the same ms, another one
    assert new.take(trade(T0 - 8, "c", 4.0), trade(T0 - 8, "b", 2.0)) == []


def test_older_than_the_subscription_is_history_on_that_connection() -> None:
    reader = Reader(Catalog())
    reader.subscribed(T0)
    assert reader.take(trade(T0 - 1, "a"), recv_ts=T0 + 50) == []
    assert bought(reader.take(trade(T0, "b"), trade(T0 + 1, "c"), recv_ts=T0 + 50)) == 2.0


def test_order_within_a_frame_does_not_matter() -> None:
    assert bought(Reader(Catalog()).take(trade(T0 - 1, "b", 2.0), trade(T0 - 9, "a", 1.0))) == 3.0


def test_a_time_of_the_future_does_not_age_later_trades() -> None:
    """Cause: one absurd time stamp would have silenced the instrument for good."""
    reader = Reader(Catalog())
    assert bought(reader.take(trade(T0 + 2001, "x"))) == 1.0  # the market refuses it as of the future
    assert bought(reader.take(trade(T0, "a"), recv_ts=T0 + 1)) == 1.0


@pytest.mark.parametrize("ahead_ms", [1, 1000, 2000, 2001, 10**9])
def test_a_time_a_little_ahead_hides_no_trade_after_it(ahead_ms: int) -> None:
    """Cause: a time up to 2 s ahead was believed, and hid all trades until it had come."""
    reader = Reader(Catalog())
    reader.take(trade(T0 + ahead_ms, "x"))
    assert [bought(reader.take(trade(T0 + n, f"{n}"), recv_ts=T0 + n + 2000)) for n in range(0, 6000, 500)] == [
        1.0
    ] * 12


def test_late_trades_count_once_until_they_are_too_late() -> None:
    catalog = Catalog()
    reader = Reader(catalog)
    assert bought(reader.take(trade(T0, "new"))) == 1.0
    assert bought(reader.take(trade(T0 - LATE_MS + 1, "late", 2.0))) == 2.0
    assert reader.take(trade(T0 - LATE_MS + 1, "late", 2.0)) == []
    assert reader.take(trade(T0 - LATE_MS, "old", 4.0)) == []
    assert reader.take(trade(1_300_000_000_000, "ancient", 4.0)) == []


def test_only_the_last_seconds_are_remembered() -> None:
    catalog = Catalog()
    reader = Reader(catalog)
    for n in range(1000):
        reader.take(trade(T0 + 100 * n, f"{n}"), recv_ts=T0 + 100 * n)
    newest, known = catalog.traded["COIN"]
    assert newest == T0 + 99_900
    assert len(known) == LATE_MS // 100


def test_liquidations_come_before_the_flow_they_are_part_of() -> None:
    found = Reader(Catalog()).take(Print(COIN, False, 3.0, 10.0, T0, "a", ("long", "short")))
    assert found == [
        Liquidation("venue", "COIN", "COIN", "long", 3.0, 10.0, False, T0, T0),
        Liquidation("venue", "COIN", "COIN", "short", 3.0, 10.0, False, T0, T0),
        Flow("venue", "COIN", "COIN", 0.0, 3.0, T0, T0),
    ]


@pytest.mark.parametrize("coins", [0.0, 1e19, float("nan")])
def test_no_amount_is_no_trade(coins: float) -> None:
    with pytest.raises(BadPayload):
        traded(coins)


def test_an_absurd_sum_costs_the_frame() -> None:
    (bad,) = Reader(Catalog()).take(trade(T0, "a", 9e17), trade(T0, "b", 9e17))
    assert getattr(bad, "reason", None) == "out_of_bounds"


def test_an_absurd_sum_takes_the_liquidations_in_it_with_it() -> None:
    """Cause: half a frame would be told, its liquidations without the flow they are part of."""
    forced = [Print(COIN, False, 9e17, 10.0, T0, key, ("long",)) for key in "ab"]
    assert [getattr(item, "reason", None) for item in Reader(Catalog()).take(*forced)] == ["out_of_bounds"]


def test_an_order_is_told_once_over_all_connections_and_old_ones_are_forgotten() -> None:
    catalog = Catalog()
    emits = [bare_emit(catalog) for _ in range(2)]
    for emit in emits:
        Orders(emit).tell("a", COIN, "long", 2.0, 10.0, True, T0)
    assert [len(emit.out) for emit in emits] == [1, 0]
    orders = Orders(emits[0])
    for number in range(ORDERS_KEPT):
        orders.told(str(number), T0, 1.0)
    assert len(orders.known) == ORDERS_KEPT
    assert "a" not in orders.known


def test_amounts_to_coins() -> None:
    inverse = Listing("venue", "I", "1000X", True, 10.0, 0.001, None, True, 0)
    unknown = Listing("venue", "U", "U", False, None, 1.0, None, True, 0)
    assert coins_of(COIN, 3.0, 7.0) == 3.0
    assert coins_of(inverse, 30.0, 0.002) == 15.0  # dollars, at 2 dollars a thousand
    emit = bare_emit(Catalog())
    assert coins_in(emit, inverse, 3.0, 0.002) == 15.0
    assert coins_in(emit, unknown, 3.0, 7.0) is None
    assert emit.out == [Skipped("venue", "U", "unknown_contract_size")]


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), unique=True, max_size=40),
    st.lists(st.booleans(), max_size=80),
)
def test_every_trade_is_counted_once_however_two_sockets_bring_them(
    order: list[tuple[int, int]], turns: list[bool]
) -> None:
    """Each socket brings one stream, whose times need not be in order; whatever the interleaving, nothing counts
    twice, and the socket that is further ahead loses none."""
    trades = [trade(T0 + at, str(key), 2.0**position) for position, (at, key) in enumerate(order)]
    catalog = Catalog()
    sockets = (Reader(catalog), Reader(catalog))
    places = [0, 0]
    total = 0.0
    for first in turns:
        which = 0 if first else 1
        if places[which] < len(trades):
            total += bought(sockets[which].take(trades[places[which]], recv_ts=T0 + 10))
            places[which] += 1
    assert total == sum(item.coins for item in trades[: max(places)])


def test_trades_without_ids_are_told_apart_by_what_they_were() -> None:
    """Two alike in one message are two; the same message on another socket is the same two."""
    catalog = Catalog()
    alike = [trade(T0, "", 2.0), trade(T0, "", 2.0), trade(T0, "", 3.0)]
    (flow,) = Reader(catalog).take(*alike)
    assert isinstance(flow, Flow)
    assert flow.taker_buy_coins == 7.0
    assert Reader(catalog).take(*alike) == []
