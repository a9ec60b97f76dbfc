"""Rounds, labels and modes: what is learned from what, when, and what is then in force."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from service.config import FrozenWeights, WeightsSection
from service.errors import ConfigError
from service.learning import Learner
from service.learning.hedge import label, loss
from service.learning.learner import ROUND_MS, SPAN_MS, WINDOWS

T0 = 1_763_719_200_000  # a UTC hour
MINUTE, HOUR = 60_000, 3_600_000
EXPERTS = {"1m": ("up", "down"), "5m": ("up", "down"), "1h": ("up", "down", "late")}
SAID = {
    "1m": {"up": 0.5, "down": -0.25, "static": 0.125},
    "5m": {"up": 0.6, "down": None, "static": 0.6},
    "1h": {"up": 0.7, "down": -0.35, "late": None, "static": 0.175},
}
SYMBOLS = ("BTC", "ETH")


def learner(**settings: Any) -> Learner:
    return Learner(SYMBOLS, EXPERTS, WeightsSection(**settings))


def both(value: Any) -> dict[str, Any]:
    return dict.fromkeys(SYMBOLS, value)


def windows(made: Learner, group: str = "all") -> dict[str, Any]:
    found: dict[str, Any] = made.report()["groups"][group]["windows"]
    return found


def drive(made: Learner, minutes: int, z: float = 1.0, begin: int = T0) -> None:
    for minute in range(minutes + 1):
        ts = begin + minute * MINUTE
        made.mature(ts, both({"1m": z, "5m": z, "1h": z}))
        made.take(ts, both(SAID))


def test_a_round_is_closed_by_the_return_of_its_own_window_and_only_then() -> None:
    made = learner()
    made.take(T0, both(SAID))
    for minute in range(1, 61):
        made.mature(T0 + minute * MINUTE, both({"1m": 1.0, "5m": 1.0, "1h": 1.0}))
        counts = {name: window["rounds"] for name, window in windows(made).items()}
        assert counts == {"1m": 1, "5m": int(minute >= 5), "1h": int(minute >= 60)}
    gains = windows(made)["1h"]["gains"]
    assert gains["up"] == pytest.approx(loss(0.0, 0.5) - loss(0.7, label(1.0)))
    assert gains["late"] == 0.0
    assert windows(made)["1h"]["awake"] == {"up": 1.0, "down": 1.0, "late": 0.0, "static": 1.0, "zero": 1.0}


def test_rounds_begin_on_the_grid_of_their_window_and_do_not_overlap() -> None:
    made = learner()
    drive(made, 121, begin=T0 + 2 * MINUTE)
    counts = {name: window["rounds"] for name, window in windows(made).items()}
    assert counts == {"1m": 121, "5m": 23, "1h": 1}


def test_a_label_that_is_missing_or_late_is_none() -> None:
    made = learner()
    made.take(T0, both(SAID))
    made.mature(T0 + MINUTE, {"BTC": {"1m": None}})
    assert windows(made)["1m"]["rounds"] == 0
    made.take(T0 + MINUTE, both(SAID))
    made.mature(T0 + 3 * MINUTE, both({"1m": 1.0}))  # the tick at which it was due was skipped
    assert windows(made)["1m"]["rounds"] == 0
    made.take(T0 + 3 * MINUTE, both(SAID))
    made.reanchor()
    made.mature(T0 + 4 * MINUTE, both({"1m": 1.0}))
    assert windows(made)["1m"]["rounds"] == 0
    made.take(T0 + 4 * MINUTE, both(SAID))
    made.mature(T0 + 5 * MINUTE, {"ETH": {"1m": 1.0}})  # one symbol of two is a round
    assert windows(made)["1m"]["rounds"] == 1


def test_a_symbol_of_which_no_component_speaks_takes_no_part() -> None:
    mute, alone = learner(), learner()
    silent = {name: dict.fromkeys(said) for name, said in SAID.items()}
    mute.take(T0, {"BTC": SAID, "ETH": silent})
    alone.take(T0, {"BTC": SAID})
    for made in (mute, alone):
        made.mature(T0 + MINUTE, both({"1m": -1.5}))
    assert mute.report() == alone.report()
    mute.take(T0 + MINUTE, both(silent))
    mute.mature(T0 + 2 * MINUTE, both({"1m": 1.0}))
    assert windows(mute)["1m"]["rounds"] == 1


def test_a_round_is_said_with_all_labels_that_came_before_it() -> None:
    """The effective delay is one round: the share changes between the label at T and what is said at T."""
    made = learner(mode="learn", min_outcomes=1)
    made.take(T0, both(SAID))
    assert made.in_force("BTC") is None
    made.mature(T0 + MINUTE, both({"1m": 2.0}))
    force = made.in_force("BTC")
    assert force is not None
    assert force.windows["1m"]["up"] > 0.5 / 3 > force.windows["1m"]["down"]  # where all but zero began
    assert list(force.windows) == ["1m"]


def test_pooled_learns_one_set_and_per_symbol_one_each() -> None:
    pooled, apart = learner(mode="learn", min_outcomes=1), learner(mode="learn", min_outcomes=1, per_symbol=True)
    for made in (pooled, apart):
        for minute in range(200):
            made.mature(T0 + minute * MINUTE, {"BTC": {"1m": 2.0}, "ETH": {"1m": -2.0}})
            made.take(T0 + minute * MINUTE, both(SAID))
    together = pooled.in_force("BTC")
    assert together is not None
    assert together == pooled.in_force("ETH")
    btc, eth = apart.in_force("BTC"), apart.in_force("ETH")
    assert btc is not None
    assert eth is not None
    assert btc.windows["1m"]["up"] > 0.5 > btc.windows["1m"]["down"]
    assert eth.windows["1m"]["down"] > 0.3 > eth.windows["1m"]["up"]
    assert btc.version != eth.version
    # pooled, what one gains the other loses: only the hurdle is left, and zero is ahead
    assert max(together.windows["1m"], key=together.windows["1m"].__getitem__) == "zero"


def test_static_learns_in_the_background_what_learn_would_use() -> None:
    static, learning = learner(), learner(mode="learn", min_outcomes=30)
    drive(static, 29)
    drive(learning, 29)
    assert static.in_force("BTC") is None
    assert learning.in_force("BTC") is None
    drive(static, 90)
    drive(learning, 90)
    assert static.in_force("BTC") is None
    force = learning.in_force("BTC")
    assert force is not None
    assert list(force.windows) == ["1m"]  # the others have not enough rounds
    assert {name: window["shares"] for name, window in windows(static).items()} == {
        name: window["shares"] for name, window in windows(learning).items()
    }
    told = static.report()["groups"]["all"]
    assert told["version"] == "static-1"
    assert told["shadow_version"].startswith("hedge-")
    assert [window["in_force"] for window in told["windows"].values()] == [None, None, None]
    assert learning.report()["groups"]["all"]["windows"]["1m"]["in_force"] == force.windows["1m"]


def test_what_is_learned_replaces_the_formula_bit_by_bit() -> None:
    """Cause: at the round that made a window learned its score fell to a third at once, and the direction with it."""
    made = learner(mode="learn", min_outcomes=10)
    static = dict.fromkeys(("up", "down", "zero"), 0.0) | {"static": 1.0}
    before = static
    for minute in range(40):
        made.mature(T0 + minute * MINUTE, both({"1m": 1.0}))
        made.take(T0 + minute * MINUTE, both(SAID))
        learned, force = windows(made)["1m"], made.in_force("BTC")
        if learned["rounds"] < 10:
            assert force is None
            continue
        assert force is not None
        now = force.windows["1m"]
        part = min(1.0, (learned["rounds"] - 9) / 10)
        expected = {name: part * share + (1 - part) * static[name] for name, share in learned["shares"].items()}
        assert dict(now) == pytest.approx(expected, abs=1e-15)
        assert sum(now.values()) == pytest.approx(1.0, abs=1e-12)
        assert max(abs(now[name] - before[name]) for name in now) < 0.1
        before = dict(now)
    assert before == learned["shares"]


def test_the_version_names_the_rounds_and_the_weights() -> None:
    made = learner(mode="learn", min_outcomes=2)
    drive(made, 3)
    force = made.in_force("ETH")
    assert force is not None
    kind, rounds, digest = force.version.split("-")
    assert (kind, rounds, len(digest)) == ("hedge", "3", 8)
    other = learner(mode="learn", min_outcomes=2)
    drive(other, 3, z=-1.0)
    different = other.in_force("ETH")
    assert different is not None
    assert different.version.split("-")[:2] == ["hedge", "3"]
    assert different.version != force.version


def test_frozen_weights_stay_and_keep_their_version() -> None:
    learned = learner(mode="learn", min_outcomes=1)
    drive(learned, 20)
    force = learned.in_force("BTC")
    assert force is not None
    given = FrozenWeights(rounds=int(force.version.split("-")[1]), windows=orjson.loads(orjson.dumps(force.windows)))
    frozen = learner(mode="frozen", frozen=given)
    drive(frozen, 40, z=-2.0)
    assert frozen.in_force("BTC") == force
    assert windows(frozen)["1m"]["rounds"] == 40  # and learns in the background
    with pytest.raises(
        ConfigError, match=r"weights\.frozen\.windows\.1m: unknown sideways; it has up down static zero"
    ):
        learner(mode="frozen", frozen=FrozenWeights(rounds=1, windows={"1m": {"sideways": 1.0}}))


@pytest.mark.parametrize("per_symbol", [False, True])
def test_dump_and_load_at_any_minute_go_on_exactly(per_symbol: bool) -> None:
    def play(made: Learner, first: int, end: int) -> None:
        for minute in range(first, end):
            rng = random.Random(minute)
            z = {symbol: {name: rng.gauss(0, 1) for name, _ in WINDOWS} for symbol in SYMBOLS}
            made.mature(T0 + minute * MINUTE, z)
            made.take(T0 + minute * MINUTE, both(SAID))

    for cut in (0, 1, 63, 130):
        straight = learner(mode="learn", min_outcomes=2, per_symbol=per_symbol)
        play(straight, 0, cut)
        second = learner(mode="learn", min_outcomes=2, per_symbol=per_symbol)
        second.load(orjson.loads(orjson.dumps(straight.dump())))
        assert second.in_force("BTC") == straight.in_force("BTC")
        for made in (straight, second):
            play(made, cut, 200)
        assert orjson.dumps(second.dump()) == orjson.dumps(straight.dump())
        assert second.in_force("ETH") == straight.in_force("ETH")
        seen = Learner.saved(orjson.loads(orjson.dumps(straight.dump()))).report()["groups"]
        assert seen.keys() == straight.report()["groups"].keys()
        for group in seen:
            assert seen[group]["shadow_version"] == straight.report()["groups"][group]["shadow_version"]


@pytest.mark.parametrize("per_symbol", [False, True])
def test_another_symbol_or_another_order_costs_nothing_learned(per_symbol: bool) -> None:
    """A symbol added to the configuration threw away two months of what all had taught."""
    made = learner(per_symbol=per_symbol)
    drive(made, 130)
    plain = orjson.loads(orjson.dumps(made.dump()))
    other = Learner(("NEW", *reversed(SYMBOLS)), EXPERTS, WeightsSection(per_symbol=per_symbol))
    other.load(plain)
    before, after = made.report()["groups"], other.report()["groups"]
    assert {group: after[group] for group in before} == before
    assert all(part["rounds"] > 0 for part in after["BTC" if per_symbol else "all"]["windows"].values())
    if per_symbol:
        assert {part["rounds"] for part in after["NEW"]["windows"].values()} == {0}
    for name, waiting in plain["_pending"].items():  # rounds under way go on, with the symbols that stay
        assert other.dump()["_pending"][name] == waiting
    alone = Learner(("NEW", "ETH"), EXPERTS, WeightsSection(per_symbol=per_symbol))
    alone.load(plain)
    assert plain["_pending"]
    for name, waiting in plain["_pending"].items():
        assert alone.dump()["_pending"][name] == {**waiting, "said": {"ETH": waiting["said"]["ETH"]}}
    stranger = Learner(("NEW",), EXPERTS, WeightsSection(per_symbol=per_symbol))
    stranger.load(plain)
    assert stranger.dump()["_pending"] == {}


def test_what_was_learned_with_other_components_or_pooling_does_not_fit() -> None:
    made = learner()
    drive(made, 10)
    plain = orjson.loads(orjson.dumps(made.dump()))
    for other in (
        learner(per_symbol=True),
        Learner(SYMBOLS, {**EXPERTS, "1m": ("up", "down", "new")}),
    ):
        fresh = orjson.dumps(other.dump())
        other.load(plain)
        assert orjson.dumps(other.dump()) == fresh


def test_the_measured_regret_is_within_the_bound_with_delay_and_gaps() -> None:
    """The whole protocol: labels a window later, some never, components that sleep, ticks that are skipped."""
    for seed in range(30):
        rng = random.Random(seed)
        made = learner(mode="learn", min_outcomes=1)
        lean = rng.choice((-1.0, 0.0, 1.0))
        for minute in range(400):
            ts = T0 + minute * MINUTE
            if rng.random() < 0.05:
                continue
            z = {
                symbol: {name: None if rng.random() < 0.1 else rng.gauss(lean, 2.0) for name, _ in WINDOWS}
                for symbol in SYMBOLS
            }
            made.mature(ts, z)
            said = {
                symbol: {
                    name: {expert: None if rng.random() < 0.2 else rng.uniform(-1, 1) for expert in (*parts, "static")}
                    for name, parts in EXPERTS.items()
                }
                for symbol in SYMBOLS
            }
            made.take(ts, said)
        for name, window in windows(made).items():
            assert window["rounds"] > (0 if name == "1h" else 40)
            for entry in window["regret"]:
                assert entry["measured"] <= entry["bound"] + 1e-9, (seed, name, entry)


def test_every_window_is_a_multiple_of_the_round_and_the_span_holds_many() -> None:
    assert all(ms % ROUND_MS == 0 and SPAN_MS // ms > 1000 for _, ms in WINDOWS)


def test_the_metrics_show_what_is_learned_and_whether_it_is_used() -> None:
    static, learning = learner(), learner(mode="learn", min_outcomes=30)
    for made in (static, learning):
        drive(made, 60)
    for made, used in ((static, [False, False, False]), (learning, [True, False, False])):
        found = made.numbers()
        assert [(item.window, item.rounds) for item in found] == [("1m", 60), ("5m", 12), ("1h", 1)]
        assert [item.in_force for item in found] == used
        for item in found:
            assert dict(item.shares) == windows(made)[item.window]["shares"]
    frozen = learner(mode="frozen", frozen=FrozenWeights(rounds=9, windows={"5m": {"up": 0.25, "zero": 0.75}}))
    drive(frozen, 60)
    assert [item.in_force for item in frozen.numbers()] == [False, True, False]
    assert [item.shares for item in frozen.numbers()] == [item.shares for item in static.numbers()]  # learned, not used


def test_weights_of_each_symbol_s_own_are_not_in_the_metrics() -> None:
    """A mean of shares would be nobody's; one set a symbol would be series without end."""
    made = learner(per_symbol=True)
    drive(made, 60)
    assert made.numbers() == ()
