"""Encoding: 10 significant digits, finite or null, bodies deterministic, envelopes in front."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.publishing import message as wire
from service.publishing.message import Message, body_bytes, market_body, rounded, status_body
from tests.publishing.factories import EPOCH, TS, sample, signal_body, view

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1 + 0.2, b"0.3"),
        (1 / 3, b"0.3333333333"),
        (83024.123456789, b"83024.12346"),
        (4253728963.1548, b"4253728963.0"),
        (1e-7 / 3, b"3.333333333e-8"),
        (-0.0, b"0.0"),
        (0.0, b"0.0"),
        (math.nan, b"null"),
        (math.inf, b"null"),
        (-math.inf, b"null"),
        (1.7976931348623157e308, b"null"),  # rounds up beyond the largest float
        (True, b"true"),
        (1_763_720_520_000, b"1763720520000"),
        (None, b"null"),
    ],
)
def test_one_value(value: Any, text: bytes) -> None:
    assert body_bytes({"x": value}) == b'{"x":%b}' % text


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_every_number_is_finite_and_short_and_rounding_twice_changes_nothing(body: dict[str, Any]) -> None:
    encoded = body_bytes(body)
    assert body_bytes(orjson.loads(encoded)) == encoded
    for number in _floats(rounded(body)):
        assert math.isfinite(number)
        assert number == float(f"{number:.10g}")


def _floats(value: Any) -> list[float]:
    if isinstance(value, float):
        return [value]
    if isinstance(value, dict):
        return [number for item in value.values() for number in _floats(item)]
    return [number for item in value for number in _floats(item)] if isinstance(value, list) else []


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-300, max_value=1e300))
def test_rounding_is_within_half_a_unit_of_the_tenth_digit(value: float) -> None:
    assert math.isclose(rounded(value), value, rel_tol=5.1e-10)


def test_the_body_keeps_the_key_order_given() -> None:
    assert list(orjson.loads(body_bytes(signal_body()))) == list(signal_body())
    assert body_bytes({"b": 1, "a": 2}) == b'{"b":1,"a":2}'


def test_the_body_is_the_same_in_every_envelope() -> None:
    body = body_bytes(signal_body())
    first = Message("signal", "signal.BTC", 8131, EPOCH, "live", body)
    other = Message("signal", "signal.BTC", 1, "another", "replay", body)
    for text in (first.text("update", TS), first.text("snapshot", TS + 9, 3), other.text("update", 0)):
        assert text.endswith(body[1:])
        decoded = orjson.loads(text)
        assert {key: decoded[key] for key in signal_body()} == orjson.loads(body)


def test_the_envelope_stands_in_front_in_its_order() -> None:
    message = Message("signal", "signal.BTC", 8131, EPOCH, "live", b'{"symbol":"BTC"}')
    assert message.text("update", 1763720520004) == (
        b'{"v":1,"type":"signal","kind":"update","channel":"signal.BTC","seq":8131,"epoch":"%b","source":"live",'
        b'"sent_ts":1763720520004,"symbol":"BTC"}' % EPOCH.encode()
    )
    assert orjson.loads(message.text("update", 5, skipped=2))["skipped"] == 2
    assert b"skipped" not in message.text("update", 5)


def test_market_body() -> None:
    body = market_body(sample())
    assert body == {
        "symbol": "BTC",
        "ts": TS,
        "market": {
            "price": 83024.7,
            "index": 83020.1,
            "premium": 83024.7 / 83020.1 - 1,
            "funding_8h": 0.0001,
            "oi_coins": 51234.5,
            "oi_usd": 51234.5 * 83024.7,
            "oi_coverage": 0.7183,
            "venues_fresh": 1,
            "venues_total": 3,
        },
        "venues": {
            "bybit": {
                "mark": 83024.7,
                "index": 83020.1,
                "funding_8h": 0.0001,
                "interval_h": 4.0,
                "oi_coins": 51234.5,
                "age_ms": {"mark": 120, "funding": 2300, "oi": 4500},
                "state": {"mark": "LIVE", "funding": "LIVE", "oi": "LIVE"},
            },
            "okx": {
                "mark": None,
                "index": 83021.3,
                "funding_8h": None,
                "interval_h": 8.0,
                "oi_coins": None,
                "age_ms": {"mark": 61_000, "funding": None, "oi": 70_000},
                "state": {"mark": "STALE", "funding": "NEVER", "oi": "STALE"},
            },
        },
    }


def test_market_body_without_quorum_has_no_numbers_but_counts() -> None:
    body = market_body(sample(quorum=False, price=None, oi_coins=None, venues=(view(fresh=False),)))
    counts = {"venues_fresh": 0, "venues_total": 3}
    assert body["market"] == {**dict.fromkeys(body["market"], None), **counts}


def test_market_body_zero_is_a_value() -> None:
    market = market_body(sample(oi_coins=0.0, funding_8h=0.0))["market"]
    assert (market["oi_coins"], market["oi_usd"], market["funding_8h"]) == (0.0, 0.0, 0.0)
    assert market_body(sample(index=None))["market"]["premium"] is None


def test_status_body_takes_the_published_fields_only() -> None:
    venue = {"last_error": "reset: gone", "up": True, "streams": {"live": 61, "stale": 2}, "reconnects": 1, "more": 5}
    assert body_bytes(status_body(TS, {"bybit": venue})) == (
        b'{"ts":1763720520000,"venues":{"bybit":{"up":true,"streams":{"live":61,"stale":2},"reconnects":1,'
        b'"last_error":"reset: gone"}}}'
    )


def test_messages_outside_the_channels() -> None:
    assert orjson.loads(wire.hello("elr/1", EPOCH, "live", ("BTC",))) == {
        "v": 1,
        "type": "hello",
        "server": "elr/1",
        "epoch": EPOCH,
        "source": "live",
        "tick_s": 10,
        "heartbeat_s": 10,
        "symbols": ["BTC"],
        "market": "MARKET",
    }
    assert wire.tick(TS, 21, 2) == b'{"v":1,"type":"tick","ts":1763720520000,"signals":21,"missed":2}'
    assert wire.notice("shutdown", 3000) == b'{"v":1,"type":"notice","code":"shutdown","reconnect_after_ms":3000}'
    assert wire.pong(5, TS) == b'{"v":1,"type":"pong","id":5,"ts":1763720520000}'
    assert wire.error(None, "bad_json", "why") == b'{"v":1,"type":"error","id":null,"code":"bad_json","message":"why"}'
