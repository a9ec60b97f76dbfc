from __future__ import annotations

import pytest

from service.model import Readings
from service.scoring.body import judge_status, long_short, market, window
from service.scoring.composite import score_window
from tests.scoring.factory import T0, consensus, forced, no_data, readings, reporting, taken, unready
from tests.scoring.factory import window as reading


def test_market() -> None:
    assert market(consensus()) == {
        "price": 100.0,
        "index": 99.0,
        "premium": 100.0 / 99.0 - 1,
        "funding_8h": 0.00017,
        "oi_coins": 1000.0,
        "oi_usd": 100_000.0,
        "oi_coverage": 0.98,
        "venues_fresh": 4,
        "venues_total": 4,
    }


def test_no_premium_without_an_index() -> None:
    said = market(consensus(index=None, funding_8h=None))
    assert (said["premium"], said["index"], said["funding_8h"], said["price"]) == (None, None, None, 100.0)


def test_market_without_quorum_says_only_who_is_there() -> None:
    said = market(no_data())
    assert (said.pop("venues_fresh"), said.pop("venues_total")) == (1, 4)
    assert set(said.values()) == {None}


def test_window() -> None:
    now = readings()
    scored = score_window(now.windows[0], now, 0.5)
    assert window(scored, 0.7, 0.8, "long") == {
        "ready": True,
        "score": scored.score,
        "strength": 0.7,
        "confidence": 0.8,
        "direction": "long",
        "return": now.windows[0].ret,
        "oi_change": now.windows[0].oi_change,
        "components": [
            {
                "id": "positioning",
                "score": scored.score,
                "weight": 1.0,
                "z": {"return": 0.5, "oi": 0.75},
                "quadrant": "long_build_up",
                "kind": "trend",
            },
            {
                "id": "taker_flow",
                "score": None,
                "weight": 1.0,
                "z": {"taker": None},
                "quadrant": None,
                "kind": "trend",
            },
            {
                "id": "liquidations",
                "score": None,
                "weight": 1.0,
                "z": {"imbalance": None, "intensity": None},
                "quadrant": None,
                "kind": "pressure",
            },
        ],
        "trend": scored.score,
        "contrarian": None,
        "backfilled": False,
        "taker": None,
        "liquidated": None,
    }


def test_window_says_what_was_taken_and_liquidated() -> None:
    now = readings(w5m={**taken(7.0, 5.0, 0.25, 1.5), **forced(0.0, 3.0, 1.0, 1e-3), "backfilled": True})
    said = window(score_window(now.windows[1], now, 0.5), None, 0.8, None)
    assert said["backfilled"] is True
    assert said["taker"] == {"buy_coins": 7.0, "sell_coins": 5.0, "imbalance": 0.25}
    assert said["liquidated"] == {"long_coins": 0.0, "short_coins": 3.0}
    assert [part["z"] for part in said["components"][1:]] == [{"taker": 1.5}, {"imbalance": 1.0, "intensity": 1e-3}]


def test_balanced_taking_is_told_and_is_not_silence() -> None:
    now = readings(w1m=taken(4.0, 4.0, 0.0, 0.0))
    said = window(score_window(now.windows[0], now, 0.5), None, 0.8, None)
    assert said["taker"] == {"buy_coins": 4.0, "sell_coins": 4.0, "imbalance": 0.0}
    assert said["components"][1]["score"] == 0.0


def test_long_short_in_venue_order() -> None:
    assert long_short(reporting()) == [
        {"venue": "alpha_linear", "kind": "account", "long_share": 0.61, "as_of": T0 - 5_000},
        {"venue": "beta", "kind": "account", "long_share": 0.44, "as_of": T0 - 6_000},
        {"venue": "beta", "kind": "top_position", "long_share": 0.57, "as_of": T0 - 7_000},
    ]
    assert long_short(consensus()) == []


def test_window_that_is_not_ready_claims_nothing() -> None:
    rich = {**taken(7.0, 5.0, 0.25, 1.5), **forced(1.0, 3.0, 0.5, 1e-3), "backfilled": True}
    for part in (unready("5m"), reading("5m", ready=False, **rich)):
        said = window(score_window(part, readings(), 0.5), None, 0.8, "neutral")
        assert (said["ready"], said["confidence"]) == (False, 0.0)
        assert [said[name] for name in ("score", "strength", "return", "oi_change", "taker", "liquidated")] == [
            None
        ] * 6
        assert said["backfilled"] is False
        assert {x for component in said["components"] for x in component["z"].values()} == {None}


TROUBLE = ("stale:beta",)


@pytest.mark.parametrize(
    ("now", "status", "reasons"),
    [
        (readings(), "ok", []),
        (readings(w1m={"ready": False}, w5m={"ready": False}), "ok", []),
        (readings(sample=consensus(coverage=0.8)), "ok", []),
        (readings(sample=consensus(coverage=0.8 - 1e-12)), "degraded", ["coverage"]),
        (readings(sample=consensus(trouble=TROUBLE)), "degraded", ["stale:beta"]),
        (readings(w1h={"ready": False}), "warming", ["warming:1h"]),
        (readings(statistics_ready=False), "warming", ["warming:statistics"]),
        (
            readings(sample=consensus(trouble=TROUBLE), w1h={"ready": False}, statistics_ready=False),
            "warming",
            ["warming:1h", "warming:statistics", "stale:beta"],
        ),
        (readings(sample=no_data(trouble=())), "no_data", ["quorum"]),
        (
            readings(sample=no_data(trouble=TROUBLE), statistics_ready=False),
            "no_data",
            ["quorum", "stale:beta"],
        ),
    ],
)
def test_status(now: Readings, status: str, reasons: list[str]) -> None:
    assert judge_status(now) == (status, reasons)
