"""Where frames enter: stamped after every sample taken, decoded per connection, broken ones only counted."""

from __future__ import annotations

from service.metrics import Metrics
from service.model import Event, Mark
from service.tapes import Record
from service.venues import VENUES
from service.wiring.intake import Intake

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


def build(sampled_ms: int = 0) -> tuple[Intake, list[Event], list[Record], Metrics]:
    events: list[Event] = []
    records: list[Record] = []
    metrics = Metrics(("bybit",), "live", "test")
    intake = Intake({"bybit": VENUES["bybit"]}, Hand(), events.append, lambda: sampled_ms, metrics, records.append)
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


def test_frames_of_a_venue_that_is_not_configured_are_only_recorded() -> None:
    intake, events, records, _ = build()
    assert intake.frame("okx", "public#1", "{}") == ()
    assert len(records) == 1
    assert events == []
