"""Client messages: understood, or refused whole with a code; never an exception."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.publishing.codes import ERROR_CODES
from service.publishing.requests import Channels, Refusal, Request, parse
from tests.publishing.factories import EPOCH

CHANNELS = Channels(("BTC", "ETH"))


def asked(**fields: Any) -> Request | Refusal:
    return parse(orjson.dumps(fields).decode(), CHANNELS)


def test_wildcards_expand_in_order_and_each_channel_once() -> None:
    assert asked(op="subscribe", id=1, channels=["signal.ETH", "signal.*", "status", "status"]) == Request(
        "subscribe", 1, ("signal.ETH", "signal.BTC", "status")
    )
    assert asked(op="unsubscribe", id="a", channels=["alert.*", "market.*"]) == Request(
        "unsubscribe", "a", ("alert.BTC", "alert.ETH", "alert.MARKET", "market.BTC", "market.ETH")
    )


def test_the_market_as_a_whole_is_asked_for_by_name() -> None:
    """Who asks for `signal.*` handles symbols, whose messages have other fields."""
    assert asked(op="subscribe", id=1, channels=["signal.*"]) == Request("subscribe", 1, ("signal.BTC", "signal.ETH"))
    assert asked(op="subscribe", id=1, channels=["signal.MARKET", "alert.MARKET"]) == Request(
        "subscribe", 1, ("signal.MARKET", "alert.MARKET")
    )
    assert isinstance(asked(op="subscribe", id=1, channels=["market.MARKET"]), Refusal)


def test_resume_is_taken_for_subscribe_only() -> None:
    resume = {"epoch": EPOCH, "seq": {"signal.BTC": 7, "signal.GONE": 9}}
    assert asked(op="subscribe", id=1, channels=["signal.BTC"], resume=resume) == Request(
        "subscribe", 1, ("signal.BTC",), EPOCH, {"signal.BTC": 7, "signal.GONE": 9}
    )
    assert asked(op="snapshot", id=1, channels=["signal.BTC"], resume=resume) == Request("snapshot", 1, ("signal.BTC",))


def test_ping_needs_no_id() -> None:
    assert asked(op="ping") == Request("ping", None)


@pytest.mark.parametrize(
    ("text", "code", "request_id"),
    [
        ("", "bad_json", None),
        ("{", "bad_json", None),
        ("nonsense", "bad_json", None),
        ("[" * 4000, "bad_json", None),
        ('{"a":' * 700 + "1" + "}" * 700, "bad_request", None),
        ("[]", "bad_request", None),
        ("3", "bad_request", None),
        ("null", "bad_request", None),
        ("{}", "bad_request", None),
        ('{"op":5,"id":1}', "bad_request", 1),
        ('{"op":null,"id":1}', "bad_request", 1),
        ('{"op":"ping","id":1.5}', "bad_request", None),
        ('{"op":"ping","id":true}', "bad_request", None),
        ('{"op":"ping","id":[1]}', "bad_request", None),
        ('{"op":"ping","id":123456789012345678901234567890}', "bad_request", None),
        ('{"op":"ping","id":"%s"}' % ("x" * 65), "bad_request", None),
        ('{"op":"dance","id":2}', "unknown_op", 2),
        ('{"op":"auth","id":3,"token":"t"}', "bad_request", 3),
        ('{"op":"subscribe","id":4}', "bad_request", 4),
        ('{"op":"subscribe","id":4,"channels":[]}', "bad_request", 4),
        ('{"op":"subscribe","id":4,"channels":"signal.BTC"}', "bad_request", 4),
        ('{"op":"subscribe","id":4,"channels":{"signal.BTC":1}}', "bad_request", 4),
        ('{"op":"subscribe","id":4,"channels":["signal.BTC",7]}', "bad_request", 4),
        ('{"op":"subscribe","id":4,"channels":[["signal.BTC"]]}', "bad_request", 4),
        ('{"op":"subscribe","id":5,"channels":["signal.BTC","signal.NOPE"]}', "unknown_channel", 5),
        ('{"op":"subscribe","id":5,"channels":["*"]}', "unknown_channel", 5),
        ('{"op":"subscribe","id":5,"channels":["signal.btc"]}', "unknown_channel", 5),
        ('{"op":"snapshot","id":5,"channels":["scores"]}', "unknown_channel", 5),
        ('{"op":"subscribe","id":6,"channels":["signal.BTC"],"resume":[]}', "bad_request", 6),
        ('{"op":"subscribe","id":6,"channels":["signal.BTC"],"resume":{"epoch":"x"}}', "bad_request", 6),
        ('{"op":"subscribe","id":6,"channels":["signal.BTC"],"resume":{"epoch":1,"seq":{}}}', "bad_request", 6),
        ('{"op":"subscribe","id":6,"channels":["signal.BTC"],"resume":{"epoch":"x","seq":[1]}}', "bad_request", 6),
        (
            '{"op":"subscribe","id":6,"channels":["signal.BTC"],"resume":{"epoch":"x","seq":{"a":"1"}}}',
            "bad_request",
            6,
        ),
    ],
)
def test_refusals(text: str, code: str, request_id: int | None) -> None:
    refused = parse(text, CHANNELS)
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.id) == (code, request_id)
    assert refused.code in ERROR_CODES
    assert 0 < len(refused.message) < 200


@pytest.mark.parametrize("count", [101, 10_000])
def test_more_than_a_hundred_channels_are_too_many(count: int) -> None:
    refused = asked(op="subscribe", id=1, channels=["signal.BTC"] * count)
    assert isinstance(refused, Refusal)
    assert refused.code == "too_many"
    assert isinstance(asked(op="subscribe", id=1, channels=["signal.BTC"] * 100), Request)


def test_an_id_has_up_to_64_characters() -> None:
    assert asked(op="ping", id="x" * 64) == Request("ping", "x" * 64)
    assert isinstance(asked(op="ping", id="x" * 65), Refusal)


def test_as_many_names_as_there_are_channels_are_never_too_many() -> None:
    channels = Channels(tuple(f"S{n}" for n in range(500)))
    whole = parse(orjson.dumps({"op": "subscribe", "channels": list(channels.names)}).decode(), channels)
    assert isinstance(whole, Request)
    assert whole.channels == channels.names


@given(st.text(max_size=200))
def test_no_text_raises(text: str) -> None:
    assert isinstance(parse(text, CHANNELS), Request | Refusal)


keys = st.sampled_from(["op", "id", "channels", "resume", "epoch", "seq", "signal.BTC", "x"])
leaves = st.sampled_from(["subscribe", "unsubscribe", "snapshot", "ping", "auth", "signal.*", "status", EPOCH])
shapes = st.recursive(
    leaves | st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(keys, shapes, max_size=5))
def test_no_shape_raises(shape: dict[str, Any]) -> None:
    assert isinstance(parse(orjson.dumps(shape).decode(), CHANNELS), Request | Refusal)
