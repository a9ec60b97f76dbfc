from __future__ import annotations

import json
from typing import Any

import pytest

from service.advice import with_advice
from service.model import EventRecord, Readings
from service.scoring.alerts import Alerts, Situation
from tests.scoring.factory import HOUR_MS, T0, level, no_data, readings, ticks

Said = list[tuple[str, str]]

PRACTICE = "Traders reduce leverage and avoid new risk until it is over (practice)"


def update(alerts: Alerts, now: Readings, **changes: Any) -> list[dict[str, Any]]:
    fields: dict[str, Any] = {
        "status": "ok",
        "flushing": False,
        "forced": None,
        "regime": "calm",
        "conflict_windows": (),
        "conflict_since": None,
        "transition": None,
        "score": 0.21,
        "confidence": 0.83,
    }
    return alerts.update(Situation(readings=now, **fields | changes))


def said(alerts: Alerts, now: Readings, **changes: Any) -> Said:
    return [(alert["alert"], alert["state"]) for alert in update(alerts, now, **changes)]


def told(body: dict[str, Any]) -> dict[str, Any]:
    """The numbers that decided: how often the alert comes is not known on its first day."""
    values = dict(body["values"])
    assert values.pop("per_day") is None
    return values


def spiking(ts: int, z: float | None = 3.0, percentile: float | None = 0.95) -> Readings:
    return readings(ts, elr=level(z=z, percentile=percentile, n=40_000, horizon_h=720))


def test_a_quiet_market_says_nothing() -> None:
    assert said(Alerts("BTC"), readings()) == []


def test_body() -> None:
    (body,) = update(Alerts("ETH"), spiking(T0, 3.5, 0.97))
    assert list(body) == ["symbol", "ts", "alert", "state", "severity", "text", "values", "lasts"]
    assert (body["symbol"], body["ts"], body["severity"]) == ("ETH", T0, "warning")
    nothing = {"followed_n": 0, "followed_share": None, "followed_lift": None}
    assert told(body) == {"z": 3.5, "percentile": 0.97, **nothing, "provisional": False}
    assert body["text"].startswith("ETH: leverage")


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (EventRecord(), "is not shown yet"),
        (EventRecord(40, 0.35, 0.2, 1.75), "is not shown yet"),  # no interval yet: too few weeks
        (EventRecord(40, 0.22, 0.2, 1.1, 0.7, 1.5), "are not shown to follow more often than at the same volatility"),
        (EventRecord(400, 0.26, 0.2, 1.3, 1.05, 1.6), "26% were followed by a fall of open interest of 5 % "
         "within a day, hardly more than at the same volatility"),
        (EventRecord(400, 0.35, 0.2, 1.75, 1.3, 2.2), "35% were followed by a fall of open interest of 5 % "
         "within a day, 1.8 times as many as at the same volatility"),
    ],
)  # fmt: skip
def test_words_grow_and_shrink_with_the_record(record: EventRecord, words: str) -> None:
    """Cause: an alert that people act on said nothing of whether anything ever followed it."""
    (body,) = update(Alerts("ETH"), spiking(T0, 3.5, 0.97), events={"elr_spike": record})
    assert body["text"].endswith(words + ". " + PRACTICE)
    assert body["values"]["followed_n"] == record.n
    (other,) = update(Alerts("ETH"), spiking(T0, 3.5, 0.97), events={"crowded_longs": record})
    assert other["text"].endswith("is not shown yet. " + PRACTICE)  # each speaks of its own kind


@pytest.mark.parametrize(
    ("z", "percentile", "raised"),
    [(3.0, 0.95, True), (2.999999, 0.99, False), (9.0, 0.9499999, False), (None, 0.99, False), (9.0, None, False)],
)
def test_elr_spike_raises_at(z: float | None, percentile: float | None, raised: bool) -> None:
    assert said(Alerts("BTC"), spiking(T0, z, percentile)) == ([("elr_spike", "raised")] if raised else [])


@pytest.mark.parametrize(
    ("z", "percentile", "cleared"),
    [(2.0, 0.90, False), (1.999999, 0.99, True), (9.0, 0.8999999, True), (None, 0.1, False), (0.1, None, False)],
)
def test_elr_spike_clears_below(z: float | None, percentile: float | None, cleared: bool) -> None:
    alerts = Alerts("BTC")
    said(alerts, spiking(T0))
    assert said(alerts, spiking(ticks(1))) == []
    assert said(alerts, spiking(ticks(2), z, percentile)) == ([("elr_spike", "cleared")] if cleared else [])


def test_elr_spike_at_most_once_in_six_hours() -> None:
    alerts = Alerts("BTC")
    assert said(alerts, spiking(T0)) == [("elr_spike", "raised")]
    assert said(alerts, spiking(ticks(1), 1.0)) == [("elr_spike", "cleared")]
    assert said(alerts, spiking(ticks(2))) == []
    assert said(alerts, spiking(T0 + 6 * HOUR_MS - 10_000)) == []
    assert said(alerts, spiking(T0 + 6 * HOUR_MS)) == [("elr_spike", "raised")]


def test_flush_follows_the_flush() -> None:
    alerts = Alerts("BTC")
    (body,) = update(alerts, readings(), flushing=True, forced=True)
    assert (body["alert"], body["state"], body["severity"]) == ("flush", "raised", "warning")
    changes = {window.name: window.oi_change for window in readings().windows}
    assert told(body) == {
        "oi_change_5m": changes["5m"], "oi_change_1h": changes["1h"], "forced": True, "falling": None,
    }  # fmt: skip
    assert said(alerts, readings(ticks(1)), flushing=True) == []
    assert said(alerts, readings(ticks(2))) == [("flush", "cleared")]


@pytest.mark.parametrize(
    ("falling", "text"),
    [
        (True, "BTC: open interest is collapsing: it was still falling when this was raised"),
        (False, "BTC: open interest has collapsed: it was not falling any more when this was raised"),
        (None, "BTC: open interest has collapsed: whether it was still falling when this was raised is not known"),
    ],
)
def test_a_flush_alert_says_whether_the_fall_goes_on(falling: bool | None, text: str) -> None:
    (body,) = update(Alerts("BTC"), readings(), flushing=True, flush_falling=falling)
    assert (body["text"], body["values"]["falling"]) == (with_advice("flush", text), falling)


def test_crowding_follows_the_regime() -> None:
    alerts = Alerts("BTC")
    assert said(alerts, readings(), regime="loaded") == []
    (body,) = update(alerts, readings(ticks(1)), regime="crowded_longs")
    unknown = "whether deep falls of open interest follow is not shown yet"
    assert (body["state"], body["text"]) == (
        "raised",
        with_advice("crowding", f"BTC: crowded longs (provisional: judged against 1.1 days); {unknown}"),
    )
    nothing = {"followed_n": 0, "followed_share": None, "followed_lift": None}
    values = {"regime": "crowded_longs", "funding_z": 0.31, "percentile": 0.41, **nothing, "provisional": True}
    assert told(body) == values
    assert said(alerts, readings(ticks(2)), regime="crowded_longs") == []
    assert said(alerts, readings(ticks(3)), regime="crowded_shorts") == [
        ("crowding", "cleared"),
        ("crowding", "raised"),
    ]
    assert said(alerts, readings(ticks(4)), regime="flush") == [("crowding", "cleared")]


def test_conflict_is_raised_after_five_minutes() -> None:
    alerts = Alerts("BTC")
    lasting: dict[str, Any] = {"conflict_windows": ("1m", "1h"), "conflict_since": T0}
    assert said(alerts, readings(ticks(29)), **lasting) == []
    (body,) = update(alerts, readings(ticks(30)), **lasting)
    assert (body["alert"], body["state"], told(body)) == ("conflict", "raised", {"windows": ["1m", "1h"]})
    assert said(alerts, readings(ticks(31)), **lasting) == []
    assert said(alerts, readings(ticks(32))) == [("conflict", "cleared")]


def test_a_short_conflict_says_nothing() -> None:
    alerts = Alerts("BTC")
    assert said(alerts, readings(), conflict_windows=("1m", "1h"), conflict_since=T0) == []
    assert said(alerts, readings(ticks(1))) == []


@pytest.mark.parametrize(
    ("before", "after", "raised"),
    [("neutral", "long", True), ("long", "short", True), ("short", "long", True), ("long", "neutral", False)],
)
def test_transition(before: str, after: str, raised: bool) -> None:
    out = update(Alerts("BTC"), readings(), transition={"from": before, "to": after})
    assert [(alert["alert"], alert["state"]) for alert in out] == ([("transition", "raised")] if raised else [])
    if raised:
        assert told(out[0]) == {"from": before, "to": after, "score": 0.21, "confidence": 0.83}


def test_transitions_are_not_cleared() -> None:
    alerts = Alerts("BTC")
    for n in range(3):
        assert said(alerts, readings(ticks(2 * n)), transition={"from": "neutral", "to": "short"}) == [
            ("transition", "raised")
        ]
        assert said(alerts, readings(ticks(2 * n + 1)), transition={"from": "short", "to": "neutral"}) == []


def test_venue_divergence() -> None:
    alerts = Alerts("BTC")
    steps: list[tuple[float | None, Said]] = [
        (2.999999, []),
        (3.0, [("venue_divergence", "raised")]),
        (2.0, []),
        (None, []),
        (1.999999, [("venue_divergence", "cleared")]),
        (2.5, []),
    ]
    for n, (z, expected) in enumerate(steps):
        assert said(alerts, readings(ticks(n), spread=level(z=z))) == expected


def test_no_data_after_thirty_seconds() -> None:
    alerts = Alerts("BTC")
    for n in range(3):
        assert said(alerts, readings(ticks(n), no_data(ticks(n))), status="no_data") == []
    (body,) = update(alerts, readings(ticks(3), no_data(ticks(3))), status="no_data")
    assert (body["alert"], body["state"], body["severity"]) == ("no_data", "raised", "critical")
    assert told(body) == {"venues_fresh": 1, "venues_total": 4}
    assert said(alerts, readings(ticks(4), no_data(ticks(4))), status="no_data") == []
    assert said(alerts, readings(ticks(5)), status="warming") == [("no_data", "cleared")]


def test_short_gaps_do_not_add_up() -> None:
    alerts = Alerts("BTC")
    for n in range(12):
        lost = n % 3 != 2
        assert said(alerts, readings(ticks(n)), status="no_data" if lost else "ok") == []


@pytest.mark.parametrize("status", ["no_data", "warming"])
def test_inhibited(status: str) -> None:
    """Neither raised nor cleared; what still holds afterwards is said then."""
    everything: dict[str, Any] = {
        "flushing": True,
        "regime": "crowded_longs",
        "conflict_since": T0 - HOUR_MS,
        "conflict_windows": ("1m", "5m"),
        "transition": {"from": "neutral", "to": "long"},
    }
    alerts = Alerts("BTC")
    loud = readings(T0, elr=level(z=4.0, percentile=0.99, n=40_000, horizon_h=720), spread=level(z=4.0))
    assert said(alerts, loud, status=status, **everything) == []
    raised = [
        (name, "raised")
        for name in ("elr_spike", "flush", "crowding", "conflict", "transition", "venue_divergence")
    ]  # fmt: skip
    assert said(alerts, loud, **everything) == raised
    assert said(alerts, readings(ticks(1)), status=status) == []
    assert said(alerts, readings(ticks(1)), status="degraded") == [
        (name, "cleared") for name, _ in raised if name != "transition"
    ]


def test_an_inhibited_spike_does_not_use_up_the_six_hours() -> None:
    alerts = Alerts("BTC")
    assert said(alerts, spiking(T0), status="warming") == []
    assert said(alerts, spiking(ticks(1))) == [("elr_spike", "raised")]


def test_reanchor_keeps_limits() -> None:
    alerts = Alerts("BTC")
    alerts.reanchor(1_000)
    said(alerts, spiking(T0))
    said(alerts, spiking(ticks(1), 0.0))
    said(alerts, readings(ticks(2)), status="no_data")
    alerts.reanchor(-HOUR_MS)
    assert said(alerts, spiking(ticks(4) - HOUR_MS), status="no_data") == []
    assert said(alerts, spiking(ticks(5) - HOUR_MS), status="no_data") == [("no_data", "raised")]
    assert said(alerts, spiking(T0 + 5 * HOUR_MS - 10_000)) == [("no_data", "cleared")]
    assert said(alerts, spiking(T0 + 5 * HOUR_MS)) == [("elr_spike", "raised")]


def test_dump_and_load() -> None:
    alerts = Alerts("BTC")
    said(alerts, spiking(T0), regime="crowded_shorts")
    said(alerts, readings(ticks(1)), status="no_data")
    again = Alerts("BTC")
    again.load(json.loads(json.dumps(alerts.dump())))
    assert again.dump() == alerts.dump()
    calm = readings(ticks(2), elr=level(z=0.0))
    assert said(again, calm) == said(alerts, calm) == [("elr_spike", "cleared"), ("crowding", "cleared")]


def following(alerts: Alerts, n: int, score: float | None, direction: str | None, momentum: str = "steady") -> Said:
    return said(alerts, readings(ticks(n)), score=score, direction=direction, momentum=momentum)


def test_fading_is_a_score_well_below_its_largest_that_goes_on_falling() -> None:
    """Three falling ticks alone come many times an hour; a quarter off the largest does not."""
    alerts = Alerts("BTC")
    assert following(alerts, 0, 0.4, "long") == []
    assert following(alerts, 1, 0.35, "long", "decelerating") == []
    assert following(alerts, 2, 0.29, "long") == []  # low enough, but not falling for three ticks
    assert following(alerts, 3, 0.28, "long", "decelerating") == [("fading", "raised")]
    assert following(alerts, 4, 0.35, "long", "accelerating") == []
    assert following(alerts, 5, 0.37, "long") == [("fading", "cleared")]
    assert following(alerts, 6, 0.2, "long", "decelerating") == [("fading", "raised")]
    assert following(alerts, 7, -0.2, "short", "decelerating") == [("fading", "cleared")]
    assert following(alerts, 8, -0.14, "short", "decelerating") == [("fading", "raised")]
    assert following(alerts, 9, -0.05, "neutral") == [("fading", "cleared")]
    assert following(alerts, 10, 0.05, "neutral", "decelerating") == []


def test_a_reset_is_said_once_and_ends() -> None:
    alerts = Alerts("BTC")
    (body,) = update(alerts, readings(), regime="reset")
    assert (body["alert"], body["state"], body["severity"], body["lasts"]) == ("reset", "raised", "info", True)
    assert said(alerts, readings(ticks(1)), regime="reset") == []
    assert said(alerts, readings(ticks(2)), regime="flush", flushing=True) == [
        ("flush", "raised"),
        ("reset", "cleared"),
    ]


def test_a_transition_is_an_event_and_says_how_often_it_comes() -> None:
    alerts = Alerts("BTC")
    change = {"from": "neutral", "to": "long"}
    (body,) = update(alerts, readings(), transition=change)
    assert (body["lasts"], body["values"]["per_day"]) == (False, None)
    for n in range(1, 8_640):
        alerts.update(Situation(readings(ticks(n)), "ok", False, None, "calm", (), None, None, 0.2, 0.8))
    loaded = Alerts("BTC")
    loaded.load(json.loads(json.dumps(alerts.dump())))
    for of in (alerts, loaded):
        (body,) = update(of, readings(ticks(8_640)), transition=change)
        assert body["values"]["per_day"] == pytest.approx(1 * 8_640 / 8_641)
        assert body["text"] == with_advice("transition", "BTC: direction neutral -> long; there are 1.0 of these a day")


def test_what_is_long_ago_is_not_how_often_it_comes() -> None:
    """Eight UTC days count; a service that stood still counts no time."""
    alerts = Alerts("BTC")
    for n in range(3):
        update(alerts, readings(ticks(n)), transition={"from": "neutral", "to": "long"})
    week = 8 * 24 * HOUR_MS
    for n in range(8_640):
        alerts.update(Situation(readings(T0 + week + n * 10_000), "ok", False, None, "calm", (), None, None, 0.2, 0.8))
    (body,) = update(alerts, readings(T0 + week + 86_400_000), transition={"from": "neutral", "to": "long"})
    assert body["values"]["per_day"] == 0.0
