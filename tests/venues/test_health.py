"""Health: what is counted, shown and bounded."""

from __future__ import annotations

import json

from service.venues.transport.health import MAX_REASONS, VenueHealth


def test_counts_and_shows() -> None:
    health = VenueHealth("toy")
    link = health.connection("public")
    link.state, link.streams_expected, link.streams_live, link.given_up = "live", 3, 2, ("ADA:oi",)
    health.framed("public", 1000)
    health.framed("rest", 1100)
    health.reconnected("closed", 2000, "1012 (service restart)")
    health.reconnected("closed", 2500)
    health.reconnected("no_pong", 3000)
    health.rest_answered(4000)
    health.rest_failed("no_data", 4500, "oi ADA", down=False)
    plain = health.plain()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["reconnects"] == {"closed": 2, "no_pong": 1}
    assert plain["last_error"] == "rest no_data: oi ADA"
    assert plain["last_error_ms"] == 4500
    assert plain["last_frame_ms"] == 1100
    assert plain["connections"]["public"]["last_frame_ms"] == 1000
    assert plain["connections"]["public"]["streams"] == {"expected": 3, "live": 2}
    assert plain["rest"] == {"ok": True, "answered": 1, "last_ok_ms": 4000, "failures": {"no_data": 1}}
    assert health.given_up == ("ADA:oi",)
    health.rest_failed("http_503", 5000)
    assert health.plain()["rest"]["ok"] is False


def test_up_means_something_speaks() -> None:
    health = VenueHealth("toy")
    assert not health.up
    health.rest_answered(1)
    assert health.up  # a venue without connections lives by HTTP
    link = health.connection("a")
    assert not health.up
    link.streams_live = 1
    assert health.up
    health.forget("a")
    health.forget("a")
    assert health.up
    health.rest_failed("timeout", 2)
    assert not health.up


def test_memory_is_bounded() -> None:
    health = VenueHealth("toy")
    for number in range(1000):
        health.reconnected(f"reason_{number}", number, "x\n" * 1000)
    assert len(health.reconnects) == MAX_REASONS + 1
    assert sum(health.reconnects.values()) == 1000
    assert health.last_error is not None
    assert len(health.last_error) <= 200
    assert "\n" not in health.last_error
