"""Learned weights in the engine: what they may touch in each mode, over restarts and in a replay."""

from __future__ import annotations

from math import sin
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.config import Config, FrozenWeights, MarketSection, WeightsSection, parse
from service.core.engine import Engine
from service.model import Tick
from service.publishing import body_bytes
from tests.core.build import T0, both, replayed, rules
from tests.runtime import test_service

LEARN = WeightsSection(mode="learn", min_outcomes=3)


def engine(weights: WeightsSection | None = None) -> Engine:
    return Engine(["BTC"], rules(), MarketSection(), [], weights)


def warm(weights: WeightsSection | None = None) -> Engine:
    """Two hours and more back-filled, live from the minute T0 on."""
    made = engine(weights)
    for minute in range(-130, 1):
        for event in both(T0 + minute * 60_000, 100.0 + sin(minute), 1000.0 + minute % 7):
            made.apply(event)
        made.backfill(T0 + minute * 60_000, silent=True)
    made.advance(T0)
    return made


def feed(made: Engine, first: int, end: int) -> list[Tick]:
    """Seconds ``first`` to ``end`` after T0, price and open interest on the move."""
    ticks = []
    for second in range(first + 1, end + 1):
        ts = T0 + second * 1000
        for event in both(ts - 500, 100.0 + sin(second / 40), 1000.0 + second % 11):
            made.apply(event)
        ticks += made.advance(ts)
    return ticks


def told(ticks: list[Tick]) -> list[bytes]:
    return [body_bytes(body) for tick in ticks for body in tick.signals]


def rounds(made: Engine, window: str = "1m") -> int:
    count: int = made.learner.report()["groups"]["all"]["windows"][window]["rounds"]
    return count


def test_static_learns_in_the_background_and_says_nothing_of_it() -> None:
    made = warm(WeightsSection(mode="static"))
    ticks = feed(made, 0, 660)
    assert (rounds(made), rounds(made, "5m")) == (10, 1)  # from the first live grid time on
    assert {tick.signals[0]["weights_version"] for tick in ticks} == {"static-1"}
    parts = ticks[-1].signals[0]["windows"]["1m"]["components"]
    assert [part["weight"] for part in parts] == [1.0, 1.0, 1.0]
    shares = made.learner.report()["groups"]["all"]["windows"]["1m"]["shares"]
    assert list(shares) == ["positioning", "taker_flow", "liquidations", "static", "zero"]
    assert shares["positioning"] != shares["zero"]


def test_the_past_teaches_nothing() -> None:
    made = warm()
    assert rounds(made) == 0
    driven = engine()
    for second in range(1, 601):
        for event in both(T0 + second * 1000 - 500, 100.0 + sin(second)):
            driven.apply(event)
        driven.advance(T0 + second * 1000, live=False)
    assert rounds(driven) == 0


def test_learn_takes_over_at_the_least_number_of_rounds_and_not_before() -> None:
    static, learning = warm(), warm(LEARN)
    before, after = feed(static, 0, 660), feed(learning, 0, 660)
    versions = [tick.signals[0]["weights_version"] for tick in after]
    turn = versions.index(next(version for version in versions if version != "static-1"))
    assert after[turn].ts == T0 + 240_000  # the fourth grid time: the third label
    assert told(after[:turn]) == told(before[:turn])
    body = after[turn].signals[0]
    assert body["weights_version"].startswith("hedge-3-")
    window = body["windows"]["1m"]
    assert window["score"] == pytest.approx(
        sum(part["weight"] * part["score"] for part in window["components"] if part["score"] is not None)
    )
    assert body["windows"]["1h"] == before[turn].signals[0]["windows"]["1h"]
    # what is in force does not change what is learned
    assert (
        learning.learner.report()["groups"]["all"]["windows"]["1m"]["shares"]
        == (static.learner.report()["groups"]["all"]["windows"]["1m"]["shares"])
    )


def test_frozen_weights_are_in_force_from_the_first_tick_and_stay() -> None:
    frozen = FrozenWeights(rounds=9, windows={"1m": {"zero": 1.0}})
    made = warm(WeightsSection(mode="frozen", frozen=frozen))
    ticks = feed(made, 0, 300)
    assert {tick.signals[0]["windows"]["1m"]["score"] for tick in ticks} == {0.0}
    (version,) = {tick.signals[0]["weights_version"] for tick in ticks}
    assert version.startswith("hedge-9-")


@pytest.mark.parametrize("cut", [59, 60, 245, 305])
def test_what_is_learned_survives_a_restart_exactly(cut: int) -> None:
    straight, first = warm(LEARN), warm(LEARN)
    feed(straight, 0, cut)
    feed(first, 0, cut)
    second = engine(LEARN)
    second.restore(orjson.loads(orjson.dumps(first.save())))
    assert told(feed(second, cut, 500)) == told(feed(straight, cut, 500))
    assert orjson.dumps(second.save()) == orjson.dumps(straight.save())
    assert rounds(second) == 7


def test_a_state_from_before_weights_were_learned_still_fits() -> None:
    old = warm()
    feed(old, 0, 200)
    saved = orjson.loads(orjson.dumps(old.save()))
    del saved["engine"]["learner"]
    made = engine()
    made.restore(saved)
    assert rounds(made) == 0
    assert told(feed(made, 200, 300)) == told(feed(old, 200, 300))


def test_a_clock_step_gives_up_the_rounds_under_way() -> None:
    made = warm()
    feed(made, 0, 130)
    before = rounds(made)
    made.reanchor(7_000)
    for second in range(131, 171):
        for event in both(T0 + second * 1000 + 6_500, 100.0 + sin(second / 40)):
            made.apply(event)
        made.advance(T0 + second * 1000 + 7_000)
    assert made.sampled_ms == T0 + 177_000
    assert rounds(made) == before


def test_a_replay_with_learned_weights_is_byte_identical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"mode": "learn", "min_outcomes": 2}
    monkeypatch.setattr(test_service, "parse", lambda plain: parse({**plain, "weights": settings}))
    monkeypatch.setattr(test_service, "Engine", lambda *parts: Engine(*parts, WeightsSection.model_validate(settings)))
    bench = test_service.Bench(tmp_path)
    for second in range(960):
        bench.second(100.0 + sin(second / 40))
    bench.service.close()
    live = (tmp_path / "a.jsonl").read_bytes()
    versions = {body["weights_version"] for body in bench.published()}
    assert len(versions) >= 3
    assert "static-1" in versions
    again = [tick for _, _, ticks in replayed(tmp_path / "a.tape") for tick in ticks]
    assert b"".join(line + b"\n" for line in told(again)) == live


def test_the_view_says_what_the_learner_reports(tmp_path: Path) -> None:
    bench = test_service.Bench(tmp_path)
    view: dict[str, Any] = bench.service.views.weights()
    bench.service.close()
    assert (view["source"], view["mode"], view["min_outcomes"], view["per_symbol"]) == ("live", "learn", 720, False)
    assert list(view["groups"]["all"]["windows"]) == ["1m", "5m", "1h"]
    assert orjson.loads(orjson.dumps(view))["groups"] == view["groups"]


def test_the_default_is_static_until_outcomes_are_enough() -> None:
    assert Config().weights == WeightsSection()
    assert (Config().weights.mode, Config().weights.min_outcomes) == ("learn", 720)
    made = warm()
    assert {tick.signals[0]["weights_version"] for tick in feed(made, 0, 120)} == {"static-1"}
