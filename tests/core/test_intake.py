"""Where frames enter: stamped after every sample taken, decoded per connection, broken ones only counted."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from service.core.intake import Intake
from service.core.replay import Run
from service.metrics import Metrics
from service.model import EXTRA_STREAMS, Event, ExtraStream, Mark
from service.tapes import Header, Record
from service.venues import VENUES

SNAPSHOT = (
    '{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","markPrice":"101.5","indexPrice":"101.25",'
    '"singleOpenInterest":"2000.5","openInterest":"4001","fundingIntervalHour":"8","fundingRate":"0.0002",'
    '"nextFundingTime":"1763712000000"},"cs":10,"ts":1763683200000}'
)
DELTA = (
    '{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","markPrice":"102.5"},"cs":11,'
    '"ts":1763683201000}'
)


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 1_763_683_200_100

    def now_ms(self) -> int:
        return self.now


def build(
    sampled_ms: int = 0, venue: str = "bybit", extras: Sequence[ExtraStream] = EXTRA_STREAMS
) -> tuple[Intake, list[Event], list[Record], Metrics]:
    events: list[Event] = []
    records: list[Record] = []
    metrics = Metrics((venue,), "live", "test")
    intake = Intake({venue: VENUES[venue]}, Hand(), events.append, lambda: sampled_ms, metrics, records.append, extras)
    return intake, events, records, metrics


def test_a_frame_is_recorded_decoded_and_applied() -> None:
    intake, events, records, metrics = build()
    intake.opened("bybit", "linear#1")
    intake.frame("bybit", "linear#1", SNAPSHOT)
    assert [record.kind for record in records] == ["o", "f"]
    assert records[1].raw == SNAPSHOT
    assert {type(event).__name__ for event in events} == {"Mark", "Funding", "OpenInterest"}
    assert all(event.recv_ts == 1_763_683_200_100 for event in events)
    assert metrics.registry.get_sample_value("elr_venue_messages_total", {"venue": "bybit"}) == 1


def test_a_receipt_is_never_stamped_at_or_before_a_sample_already_taken() -> None:
    """Cause: a frame received in the very millisecond of a sample would be on the other side of it in a replay."""
    intake, _, records, _ = build(sampled_ms=1_763_683_200_100)
    intake.frame("bybit", "rest", "[]")
    assert records[0].ts == 1_763_683_200_101


def test_a_new_connection_needs_a_new_snapshot() -> None:
    intake, events, _, _ = build()
    intake.opened("bybit", "linear#1")
    intake.frame("bybit", "linear#1", SNAPSHOT)
    intake.closed("bybit", "linear#1", "reset")
    intake.opened("bybit", "linear#2")
    before = len(events)
    intake.frame("bybit", "linear#2", DELTA)
    assert len(events) == before
    intake.frame("bybit", "linear#2", SNAPSHOT)
    intake.frame("bybit", "linear#2", DELTA)
    assert any(isinstance(event, Mark) and event.mark == 102.5 for event in events[before:])


def test_a_broken_frame_costs_one_counter(caplog: object) -> None:
    intake, events, _, metrics = build()
    intake.opened("bybit", "linear#1")
    intake.frame("bybit", "linear#1", SNAPSHOT[:-20])
    intake.rejected("bybit", "linear#1", "oversized")
    assert events == []
    for reason in ("bad_json", "oversized"):
        assert metrics.registry.get_sample_value("elr_bad_payload_total", {"venue": "bybit", "reason": reason}) == 1
    intake.frame("bybit", "linear#1", SNAPSHOT)
    assert len(events) == 3


def test_a_row_left_out_on_purpose_is_counted_by_its_reason() -> None:
    intake, events, _, metrics = build()
    intake.frame("bybit", "linear#1", SNAPSHOT.replace("BTCUSDT", "BTCUSDH26"))
    assert events == []
    value = metrics.registry.get_sample_value
    assert value("elr_skipped_total", {"venue": "bybit", "reason": "dated"}) == 1
    assert value("elr_skipped_total", {"venue": "bybit", "reason": "foreign"}) == 0


def test_frames_of_a_venue_that_is_not_configured_are_only_recorded() -> None:
    intake, events, records, _ = build()
    assert intake.frame("okx", "public#1", "{}") == ()
    assert len(records) == 1
    assert events == []


FORCED_TRADE = {
    "type": "channel_data",
    "channel": "v4_trades",
    "id": "BTC-USD",
    "contents": {
        "trades": [
            {
                "id": "0123",
                "side": "SELL",
                "size": "0.5",
                "price": "80000",
                "type": "LIQUIDATED",
                "createdAt": "2025-11-21T00:00:00.000Z",
            }
        ]
    },
}


@pytest.mark.parametrize(
    ("extras", "kinds"),
    [
        (EXTRA_STREAMS, ["Liquidation", "Flow"]),
        (("liquidation",), ["Liquidation"]),
        (("flow", "positions"), ["Flow"]),
        ((), []),
    ],
)
def test_a_stream_that_is_off_is_dropped_from_a_channel_that_carries_two(
    extras: Sequence[ExtraStream], kinds: list[str]
) -> None:
    """Cause: with only one of them on, a venue whose trades carry the liquidations brought both."""
    intake, events, records, _ = build(venue="dydx", extras=extras)
    intake.opened("dydx", "extra#1")
    intake.frame("dydx", "extra#1", json.dumps(FORCED_TRADE))
    assert [type(event).__name__ for event in events] == kinds
    assert len(records) == 2


@pytest.mark.parametrize(("flow", "kinds"), [(True, ["Liquidation", "Flow"]), (False, ["Liquidation"])])
def test_a_replay_leaves_out_what_was_off_when_the_tape_was_made(flow: bool, kinds: list[str]) -> None:
    """Cause: a replay that applied what the live run had dropped would publish other signals."""
    at = Hand().now
    config = {
        "market": {"min_venues": 1},
        "venues": {"dydx": {"enabled": True}},
        "streams": {"flow": flow},
    }
    run = Run(Header(at, "live", "test", True, config, [], None), "a.tape")
    applied: list[str] = []
    run.engine.apply = lambda event: applied.append(type(event).__name__)  # type: ignore[method-assign]
    raw = json.dumps(FORCED_TRADE)
    run.take(Record("o", at + 1, "dydx", "extra#1"))
    run.take(Record("f", at + 2, "dydx", "extra#1", raw=raw))
    assert applied == kinds


def test_what_a_person_should_read_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Cause guarded against: a warning of the venue in every acknowledgement would fill the log."""
    intake, _, _, _ = build(venue="kraken_futures")
    ack = (
        '{"method":"subscribe","success":true,"result":{"channel":"ticker","symbol":"PF_ETHUSD","warnings":["W"]},'
        '"req_id":5}'
    )
    for _ in range(3):
        intake.frame("kraken_futures", "unified-1#1", ack)
    assert [record.getMessage() for record in caplog.records] == [
        "notice venue=kraken_futures ticker:PF_ETHUSD warning: W"
    ]
