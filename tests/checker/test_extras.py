"""The checker's extra streams, from the frame to the component, on cases computed by hand."""

from __future__ import annotations

import math

import pytest

from service.model import Event

from .components import components_of, kind_mean, liquidations, taker_flow
from .consensus import take_sample
from .flows import ALPHA, FlowReading, Flows, Ledger, TakerScale, intensity, of_fresh, tilt
from .history import DAY, MINUTE, Level, Window
from .making import T0, S, flow, liquidation, listing, long_short, mark, market, oi, positions, sample
from .streams import Market


def two_live() -> Market:
    """Venues a and b with OI 30 and 10 coins."""
    made = market("a", "b")
    feed(made, mark("a", 100.0, T0), oi("a", 30.0, T0), mark("b", 100.0, T0), oi("b", 10.0, T0))
    return made


def feed(to: Market, *events: Event) -> list[str | None]:
    return [to.apply(event) for event in events]


# refusals


@pytest.mark.parametrize(
    ("stamp", "code"),
    [(T0 + 2000, None), (T0 + 2001, "future"), (T0 - 60_000, None), (T0 - 60_001, "too_old"), (None, None)],
)
def test_stamps_of_flow_and_liquidations(stamp: int | None, code: str | None) -> None:
    assert feed(two_live(), flow("a", 1.0, 0.0, T0, stamp), liquidation("a", "long", 1.0, T0, stamp)) == [code, code]


def test_their_order_is_not_asked_for() -> None:
    codes = feed(two_live(), flow("a", 1.0, 0.0, T0, T0), flow("a", 1.0, 0.0, T0, T0 - 1))
    assert codes == [None, None]


def test_more_coins_than_the_open_interest_are_not_believed() -> None:
    made = two_live()
    codes = feed(
        made,
        flow("b", 6.0, 4.0, T0),
        flow("b", 6.0, 4.0001, T0),
        liquidation("b", "short", 10.0, T0),
        liquidation("b", "short", 10.0001, T0),
        flow("b", 0.001, 0.0, T0, name="Q"),  # of this instrument no open interest was ever accepted
    )
    assert codes == [None, "implausible", None, "implausible", "implausible"]
    assert feed(made, oi("b", 70.0, T0 + S), flow("b", 11.0, 0.0, T0 + S)) == ["quarantined_oi", "implausible"]
    got = take_sample(made, "BTC", T0 + S, 1, None)
    assert (got.taker, got.liquidated) == ({"a": (0.0, 0.0)}, {"a": (0.0, 0.0)})  # b is not in V


def test_positions_and_shares_have_an_order_of_their_own_each() -> None:
    made = two_live()
    codes = feed(
        made,
        positions("a", 5.0, 5.0, T0, T0 - DAY),  # may be old
        positions("a", 5.0, 5.0, T0, T0 - DAY - 1),
        long_short("a", "account", 0.6, T0, T0 - DAY - 2),
        long_short("a", "top_account", 0.7, T0, T0 - DAY - 3),
        long_short("a", "account", 0.5, T0, T0 - DAY - 3),
        long_short("a", "account", 0.5, T0, T0 + 2001),
    )
    assert codes == [None, "out_of_order", None, None, "out_of_order", "future"]


def test_a_venue_is_heard_by_whatever_it_says() -> None:
    made = market("a", "b")
    feed(made, mark("a", 100.0, T0), oi("a", 30.0, T0), flow("b", 1.0, 0.0, T0))
    got = take_sample(made, "BTC", T0, 1, None)
    assert (got.quorum, got.trouble, got.venues_total) == (True, [], 1)  # trades alone do not list the symbol


# the sample


def test_a_sample_has_what_came_since_the_one_before() -> None:
    made = two_live()
    feed(made, flow("a", 1.0, 2.0, T0), flow("a", 0.5, 0.0, T0), liquidation("b", "long", 0.25, T0))
    first = take_sample(made, "BTC", T0, 1, None)
    assert first.taker == {"a": (1.5, 2.0), "b": (0.0, 0.0)}
    assert first.liquidated == {"a": (0.0, 0.0), "b": (0.25, 0.0)}
    assert first.liquidation_at == T0
    assert take_sample(made, "BTC", T0 + S, 1, first).taker == {"a": (0.0, 0.0), "b": (0.0, 0.0)}


def test_trades_of_a_venue_out_of_v_are_lost_and_those_of_a_delisted_instrument_too() -> None:
    made = two_live()
    feed(made, oi("a", 5.0, T0, name="Q"), mark("a", 100.0, T0, name="Q"))
    feed(made, flow("a", 1.0, 0.0, T0), flow("a", 0.5, 0.0, T0, name="Q"), listing("a", T0, trading=False, name="Q"))
    feed(made, liquidation("b", "long", 1.0, T0 + 16 * S), mark("a", 100.0, T0 + 16 * S))
    got = take_sample(made, "BTC", T0 + 16 * S, 1, None)  # the mark of b is 16 s old
    assert (got.taker, got.liquidated) == ({"a": (1.0, 0.0)}, {"a": (0.0, 0.0)})
    assert got.liquidation_at == T0 + 16 * S  # heard of all the same
    feed(made, mark("b", 100.0, T0 + 17 * S))
    assert take_sample(made, "BTC", T0 + 17 * S, 1, got).liquidated["b"] == (0.0, 0.0)


def test_positions_are_fresh_for_a_quarter_of_an_hour() -> None:
    made = two_live()
    assert not take_sample(made, "BTC", T0, 1, None).has_positions
    feed(made, positions("b", 4.0, 5.0, T0), positions("b", 1.0, 1.0, T0 + S, name="Q"))
    assert take_sample(made, "BTC", T0 + 900 * S, 1, None).positions == {"b": (5.0, 6.0)}
    assert take_sample(made, "BTC", T0 + 900 * S + 1, 1, None).positions == {"b": (1.0, 1.0)}
    gone = take_sample(made, "BTC", T0 + 902 * S, 1, None)
    assert (gone.positions, gone.has_positions) == ({}, True)


def test_of_a_kind_the_largest_instrument_speaks() -> None:
    made = two_live()
    feed(made, oi("b", 20.0, T0, name="Q"), oi("b", 10.0, T0, name="O"))
    feed(made, long_short("b", "top_account", 0.1, T0), long_short("b", "account", 0.2, T0))
    feed(made, long_short("a", "account", 0.3, T0 + S), long_short("b", "account", 0.4, T0 + 2 * S, name="O"))
    rows = [("a", "account", 0.3, T0 + S), ("b", "account", 0.4, T0 + 2 * S), ("b", "top_account", 0.1, T0)]
    assert take_sample(made, "BTC", T0 + 2 * S, 1, None).long_short == rows  # of P and O with 10 each the first by name
    feed(made, long_short("b", "account", 0.9, T0 + 3 * S, name="Q"))
    assert take_sample(made, "BTC", T0 + 3 * S, 1, None).long_short[1] == ("b", "account", 0.9, T0 + 3 * S)
    late = take_sample(made, "BTC", T0 + 902 * S + 1, 1, None).long_short
    assert late == [("b", "account", 0.9, T0 + 3 * S)]


# windows


def test_a_window_sums_the_samples_after_its_start_by_venue() -> None:
    ledger = Ledger()
    for at, venue, amounts in (
        (0, "a", (9.0, 9.0)),
        (1, "a", (1.0, 0.0)),
        (60, "a", (2.0, 1.0)),
        (61, "a", (9.0, 0.0)),
    ):
        ledger.put(T0 + at * S, {venue: amounts, "b": (0.0, 0.0)})
    assert ledger.by_venue(T0 + 60 * S, 60) == {"a": (3.0, 1.0)}
    assert ledger.total(T0 + 60 * S, 60) == (3.0, 1.0)


def test_the_tilt_is_weighted_by_open_interest_not_by_volume() -> None:
    oi_of = {"a": 30.0, "b": 10.0, "c": 60.0, "d": 0.0}
    sums = of_fresh({"a": (3.0, 1.0), "b": (0.0, 5000.0), "d": (1.0, 0.0), "gone": (1.0, 0.0)}, oi_of)
    assert list(sums) == ["a", "b"]
    # a: (3-1)/4 = 0.5, b: -1, however much it says it traded: (30*0.5 - 10) / 40
    assert tilt(sums, oi_of) == pytest.approx(0.125)
    assert intensity(sums, oi_of) == pytest.approx((4 / 30 + 500) / 2)
    assert (tilt({}, oi_of), intensity({}, oi_of)) == (None, None)


def test_the_taker_scale() -> None:
    scale = TakerScale()
    for tick in range(59):
        scale.update(T0 + tick * 10 * S, 0.5)
    scale.update(T0 + 590 * S, None)
    assert scale.z(0.25, T0 + 650 * S, 60) is None  # 59 updates
    scale.update(T0 + 600 * S, 0.5)
    scale.update(T0 + 610 * S, 0.0)
    assert scale.z(0.25, T0 + 660 * S, 60) == pytest.approx(0.5)
    assert scale.z(0.25, T0 + 670 * S, 60) == pytest.approx(0.5 / math.sqrt(1 - ALPHA))
    assert scale.z(None, T0 + 670 * S, 60) is None
    assert pytest.approx(1 - 2 ** (-1 / 360)) == ALPHA


def test_the_taker_scale_has_a_floor() -> None:
    scale = TakerScale()
    for tick in range(60):
        scale.update(T0 + tick * 10 * S, 0.001)
    assert scale.z(0.03, T0 + 890 * S, 300) == pytest.approx(1.5)


def flows_of(*amounts: tuple[int, tuple[float, float], tuple[float, float]]) -> Flows:
    """Taker flow and liquidations of venue a at so many seconds after T0."""
    made = Flows()
    for at, taker, forced in amounts:
        made.observe(sample(T0 + at * S, taker={"a": taker}, liquidated={"a": forced}))
    return made


def test_a_window_reads_flow_and_liquidations() -> None:
    made = flows_of((10, (4.0, 0.0), (0.0, 0.0)), (70, (1.0, 3.0), (0.003, 0.001)))
    now = sample(T0 + 70 * S)  # venue a has 10 coins
    minute, five, hour = (made.read(now, name, seconds) for name, seconds in (("1m", 60), ("5m", 300), ("1h", 3600)))
    assert minute.taker == {"buy_coins": 1.0, "sell_coins": 3.0, "imbalance": -0.5}
    assert five.taker == {"buy_coins": 5.0, "sell_coins": 3.0, "imbalance": 0.25}
    assert minute.liquidated == hour.liquidated == {"long_coins": 0.003, "short_coins": 0.001}
    assert minute.imbalance == pytest.approx(-0.5)
    assert minute.intensity == pytest.approx(4e-4)
    assert (hour.taker, hour.imbalance) == (None, None)
    later = sample(T0 + 200 * S)
    assert made.read(later, "1m", 60) == FlowReading()
    assert made.read(sample(T0 + 3670 * S), "1h", 3600).liquidated is None


def test_the_hour_keeps_what_was_counted_of_a_venue_that_has_left() -> None:
    made = flows_of((10, (4.0, 0.0), (0.0, 0.5)))
    now = sample(T0 + 20 * S, fresh_oi={"b": 10.0})
    assert made.read(now, "1m", 60) == FlowReading()
    assert made.read(now, "1h", 3600).liquidated == {"long_coins": 0.0, "short_coins": 0.5}


def test_a_backfilled_minute_does_not_update_the_scale() -> None:
    made = flows_of((0, (4.0, 1.0), (0.0, 0.0)))
    made.update(sample(T0, step_s=60))
    made.update(sample(T0 + 10 * S))
    made.update(sample(T0 + 10 * MINUTE))  # nothing was traded in its window
    assert [updates for updates, _ in made.scales["1m"].states] == [0, 1, 1]
    assert made.scales["5m"].states[-1][1] == pytest.approx(0.36)


# components


def test_taker_flow_and_liquidations() -> None:
    assert taker_flow(2.0)["score"] == pytest.approx(math.tanh(1.0))
    assert taker_flow(None)["score"] is None
    # half of it net shorts bought back, at the scale of the window
    part = liquidations("1m", FlowReading(imbalance=0.5, intensity=2e-4))
    assert part["score"] == pytest.approx(0.5 * math.tanh(1.0))
    assert (part["kind"], part["z"]) == ("pressure", {"imbalance": 0.5, "intensity": 2e-4})
    assert liquidations("5m", FlowReading(imbalance=-1.0, intensity=1e-3))["score"] == pytest.approx(-math.tanh(2.0))
    assert liquidations("5m", FlowReading())["score"] is None


def test_pressure_counts_with_the_trend() -> None:
    made = Window("5m", 300, True, None, None, None, None, None, None)
    flow_read = FlowReading(z_taker=2.0, imbalance=-1.0, intensity=5e-4)
    parts = components_of(made, flow_read, dict.fromkeys(("premium",), Level(None, None, None, 0, 0)), sample(T0))
    assert [part["id"] for part in parts] == ["positioning", "taker_flow", "liquidations"]
    assert kind_mean(parts, "trend", "pressure") == pytest.approx(0.0)
    assert kind_mean(parts, "contrarian") is None
