from __future__ import annotations

from service.scoring.body import market, window
from service.scoring.composite import score_window
from tests.scoring.factory import consensus, no_data, readings, unready
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
            }
        ],
        "trend": scored.score,
        "contrarian": None,
    }


def test_window_that_is_not_ready_claims_nothing() -> None:
    for part in (unready("5m"), reading("5m", ready=False)):
        said = window(score_window(part, readings(), 0.5), None, 0.8, "neutral")
        assert (said["ready"], said["confidence"]) == (False, 0.0)
        assert [said[name] for name in ("score", "strength", "return", "oi_change")] == [None] * 4
