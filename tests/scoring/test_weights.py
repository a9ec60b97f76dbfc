"""Learned shares in place of the fixed formula: what a window's score and a message are then made of."""

from __future__ import annotations

from typing import Any

import pytest

from service.scoring import COMPONENT_IDS, Scorer, Weights
from service.scoring.composite import gate, score_window
from tests.scoring import factory

ZERO_ONLY = {"zero": 1.0}
STATIC_ONLY = {"static": 1.0}
MIXED = {"positioning": 0.3, "premium": 0.2, "funding": 0.1, "divergence": 0.05, "static": 0.15, "zero": 0.2}


def hour(shares: dict[str, float] | None, **changes: Any) -> Any:
    readings = factory.readings(**changes)
    return score_window(readings.windows[2], readings, gate(readings.elr.z), shares)


def test_the_static_expert_alone_is_the_fixed_formula() -> None:
    fixed, learned = hour(None), hour(STATIC_ONLY)
    assert fixed.score == fixed.static == learned.static
    assert learned.score == pytest.approx(fixed.score, rel=1e-14)
    assert fixed.weights == (1.0, 1.0, 1.0, 1.0)
    assert sum(learned.weights) == pytest.approx(1.0)
    quiet = {"funding": factory.level(None, z=None), "spread": factory.level(None, z=None)}
    assert hour(STATIC_ONLY, **quiet).score == pytest.approx(hour(None, **quiet).score, rel=1e-14)


def test_the_zero_expert_alone_says_nothing() -> None:
    learned = hour(ZERO_ONLY)
    assert learned.score == 0.0
    assert learned.weights == (0.0, 0.0, 0.0, 0.0)


def test_the_score_is_the_sum_of_weight_times_score() -> None:
    learned, fixed = hour(MIXED), hour(None)
    scores = [said.score for _, said in learned.judged]
    assert learned.score == pytest.approx(sum(w * s for w, s in zip(learned.weights, scores, strict=True)), rel=1e-14)
    assert learned.score == learned.trend + learned.contrarian
    own = sum(MIXED[part.id] * said.score for part, said in learned.judged)
    assert learned.score == pytest.approx(own + 0.15 * fixed.score, rel=1e-14)
    assert 1.0 - sum(learned.weights) == pytest.approx(MIXED["zero"])


def test_a_sleeping_component_leaves_its_share_to_the_others() -> None:
    quiet = {"premium": factory.level(None, z=None)}
    learned, fixed = hour(MIXED, **quiet), hour(None, **quiet)
    own = sum(MIXED[part.id] * said.score for part, said in learned.judged if said.score is not None)
    assert learned.score == pytest.approx((own + 0.15 * fixed.score) / 0.8, rel=1e-14)
    assert learned.weights[1] == 0.0
    assert 1.0 - sum(learned.weights) == pytest.approx(0.2 / 0.8)


def test_shares_that_believe_only_what_sleeps_say_nothing() -> None:
    assert hour({"premium": 1.0}, premium=factory.level(None, z=None)).score == 0.0


def test_what_is_not_ready_has_no_score_whatever_the_shares() -> None:
    learned = hour(MIXED, w1h={"ready": False})
    assert (learned.score, learned.static, learned.trend) == (None, None, None)
    mute = {name: factory.level(None, z=None) for name in ("premium", "funding", "spread")}
    assert hour(MIXED, w1h={"z_return": None}, **mute).score is None


def test_a_message_with_learned_weights_can_be_recomputed() -> None:
    scorer = Scorer("BTC", factory.EXCHANGES, factory.base())
    body, _ = scorer.score(factory.readings(), weights=Weights("hedge-7-0badcafe", {"1h": MIXED}))
    assert body["weights_version"] == "hedge-7-0badcafe"
    hourly, minute = body["windows"]["1h"], body["windows"]["1m"]
    assert hourly["score"] == pytest.approx(sum(part["weight"] * part["score"] for part in hourly["components"]))
    assert [part["weight"] for part in minute["components"]] == [1.0, 1.0, 1.0]  # a window left out: as ever
    plain, _ = Scorer("BTC", factory.EXCHANGES, factory.base()).score(factory.readings())
    assert minute == plain["windows"]["1m"]
    assert hourly["score"] != plain["windows"]["1h"]["score"]
    assert scorer.experts()["1h"]["static"] == plain["windows"]["1h"]["score"]


def test_the_experts_are_the_components_and_the_fixed_formula() -> None:
    scorer = Scorer("BTC", factory.EXCHANGES, factory.base())
    assert scorer.experts() == {}
    body, _ = scorer.score(factory.readings())
    experts = scorer.experts()
    assert {name: tuple(said) for name, said in experts.items()} == {
        name: (*ids, "static") for name, ids in COMPONENT_IDS.items()
    }
    for name, window in body["windows"].items():
        assert experts[name] == {part["id"]: part["score"] for part in window["components"]} | {
            "static": window["score"]
        }


def test_the_silent_past_follows_with_the_same_weights() -> None:
    told, silent = (Scorer("BTC", factory.EXCHANGES, factory.base()) for _ in range(2))
    weights = Weights("hedge-7-0badcafe", {"1h": MIXED, "5m": {"positioning": 1.0}})
    for n in range(8):
        readings = factory.readings(factory.ticks(n), w1h={"z_return": 0.3 * n})
        told.score(readings, True, weights)
        silent.follow(readings, weights)
    assert silent.dump() == told.dump()
