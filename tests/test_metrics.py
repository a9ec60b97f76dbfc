"""Counters are declared, bounded in their labels, and the same in the documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from service.metrics import BAD_PAYLOAD_REASONS, CLOSE_CODES, FAMILIES, SKIPPED_REASONS, Metrics
from service.publishing import codes
from service.venues import VENUES as ALL_VENUES
from service.venues import symbols
from service.venues.reading import BAD_REASONS
from tests.venues.committed import all_steps

VENUES = ("bybit", "okx")


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(VENUES, "live", "0.1.0", registry)


def test_counters_with_known_labels_begin_at_zero(metrics: Metrics, registry: CollectorRegistry) -> None:
    for venue in VENUES:
        assert registry.get_sample_value("elr_venue_messages_total", {"venue": venue}) == 0
        for reason in BAD_REASONS:
            assert registry.get_sample_value("elr_bad_payload_total", {"venue": venue, "reason": reason}) == 0
    for row in codes.CLOSE_CODES:
        assert registry.get_sample_value("elr_feed_closed_total", {"code": str(row.code)}) == 0


def test_counting(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.tick(0.02, 0.003)
    metrics.tick(0.5, 0.2)
    metrics.ticks_missed(2)
    metrics.messages["okx"] += 1
    metrics.bad_payload("okx", "bad_json")
    metrics.skipped("okx", "dated")
    metrics.feed_clients(3)
    metrics.feed_sent(21)
    metrics.feed_closed(4003)
    metrics.feed_refused("503")
    metrics.feed_delivery(0.004)
    value = registry.get_sample_value
    assert value("elr_tick_duration_seconds_count") == 2
    assert value("elr_tick_duration_seconds_sum") == pytest.approx(0.52)
    assert value("elr_tick_duration_seconds_bucket", {"le": "0.025"}) == 1
    assert value("elr_tick_lag_seconds_sum") == pytest.approx(0.203)
    assert value("elr_ticks_missed_total") == 2
    assert value("elr_venue_messages_total", {"venue": "okx"}) == 1
    assert value("elr_venue_messages_total", {"venue": "bybit"}) == 0
    assert value("elr_bad_payload_total", {"venue": "okx", "reason": "bad_json"}) == 1
    assert value("elr_skipped_total", {"venue": "okx", "reason": "dated"}) == 1
    assert value("elr_skipped_total", {"venue": "okx", "reason": "xperp"}) == 0
    assert value("elr_feed_clients") == 3
    assert value("elr_feed_messages_total") == 21
    assert value("elr_feed_closed_total", {"code": "4003"}) == 1
    assert value("elr_feed_refused_total", {"status": "503"}) == 1
    assert value("elr_feed_delivery_seconds_bucket", {"le": "0.005"}) == 1


def test_label_values_are_bounded(metrics: Metrics, registry: CollectorRegistry) -> None:
    def series() -> int:
        return sum(len(metric.samples) for metric in registry.collect())

    before = series()
    for number in range(100):
        metrics.bad_payload(f"venue{number}", "bad_json")
        metrics.bad_payload("okx", f"reason{number}")
        metrics.skipped(f"venue{number}", "dated")
        metrics.skipped("okx", f"reason{number}")
        metrics.feed_closed(3000 + number)
        metrics.feed_refused(str(600 + number))
    assert series() == before
    assert registry.get_sample_value("elr_bad_payload_total", {"venue": "okx", "reason": "other"}) == 100
    assert registry.get_sample_value("elr_skipped_total", {"venue": "okx", "reason": "other"}) == 100
    assert registry.get_sample_value("elr_feed_closed_total", {"code": "other"}) == 100
    assert registry.get_sample_value("elr_feed_refused_total", {"status": "other"}) == 100


def test_the_closed_lists_hold_what_the_stages_say() -> None:
    assert set(BAD_REASONS) <= set(BAD_PAYLOAD_REASONS)
    assert {row.code for row in codes.CLOSE_CODES} <= set(CLOSE_CODES)
    assert {reason for _, reason in symbols.FOREIGN_NAMES} <= set(SKIPPED_REASONS)
    skipped = {
        row["skipped"] for venue in ALL_VENUES for step in all_steps(venue) for row in step.expected if "skipped" in row
    }
    assert len(skipped) > 8
    assert skipped <= set(SKIPPED_REASONS)


def test_two_instances_do_not_share_anything() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    Metrics(VENUES, "live", "1", first).ticks_missed(5)
    Metrics(VENUES, "live", "1", second)
    assert second.get_sample_value("elr_ticks_missed_total") == 0
    Metrics(VENUES, "live", "1")  # a registry of its own


def test_the_document_repeats_the_table(repository: Path) -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| (.+) \|$", (repository / "docs/metrics.md").read_text(), re.M
    )
    documented = {name: (kind, tuple(re.findall(r"`(\w+)`", labels)), text) for name, kind, labels, text in rows}
    assert len(documented) == len(rows)
    assert documented == {name: (family.kind, family.labels, family.help) for name, family in FAMILIES.items()}
