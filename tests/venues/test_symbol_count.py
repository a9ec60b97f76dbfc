"""500 instruments of each venue with every stream on: what the plans ask for stays within the venue's own limits."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from service.model import EXTRA_STREAMS, STREAMS
from service.venues import VENUES
from service.venues.contract import ConnectionPlan, Poll
from tests.venues.extras import synthetic, topics

COUNT = 500
FRAME_BYTES = 16 * 1024  # the smallest limit published for a request is 32 kB (Deribit)
# Topics a connection may carry (published, or, where nothing is, what we allow ourselves), and sockets at a time.
TOPICS = {"binance_usdm": 1024, "binance_coinm": 200, "bybit": 400, "okx": 240, "bitget": 50, "gate": 100,
          "deribit": 500, "kraken_futures": 100, "bitmex": 200, "hyperliquid": 1000, "dydx": 33,
          "aster": 200, "lighter": 500}  # fmt: skip
SOCKETS = {"binance_usdm": 300, "binance_coinm": 300, "bybit": 1000, "okx": 100, "bitget": 100, "gate": 300,
           "deribit": 32, "kraken_futures": 100, "bitmex": 60, "hyperliquid": 10, "dydx": 100,
           "aster": 300, "lighter": 200}  # fmt: skip
RENEWALS = 2  # sockets open beside those planned, while they take over
OPENED_WITHIN_S = 120.0
SUBSCRIBED_WITHIN_S = 60.0  # of its opening; the deadlines of first messages begin then
# Lighter's address may send 200 messages a minute over all its sockets, and a market is a message: so all trades are
# on one socket. (It has had 255 ids of perpetuals, stocks included.)
SUBSCRIBED_LATER_S = {"lighter": 200.0}
MESSAGES_A_MINUTE = {"lighter": 200}  # of an address


def plans_of(venue: str) -> list[ConnectionPlan]:
    place = VENUES[venue]
    return place.connections(place.endpoints, synthetic(venue, COUNT), EXTRA_STREAMS)


def polls_of(venue: str, oi_poll_s: float) -> list[Poll]:
    place = VENUES[venue]
    return place.polls(place.endpoints, synthetic(venue, COUNT), oi_poll_s, EXTRA_STREAMS)


@pytest.mark.parametrize("venue", VENUES)
def test_every_main_stream_is_expected_once(venue: str) -> None:
    plans, polls = plans_of(venue), polls_of(venue, 10.0)
    expected = Counter(pair for expects in (item.expects for item in plans) for pair in expects)
    expected.update(pair for item in polls for pair in item.expects)
    assert expected == Counter((item.instrument, stream) for item in synthetic(venue, COUNT) for stream in STREAMS)


@pytest.mark.parametrize("venue", VENUES)
def test_topics_and_frames(venue: str) -> None:
    limits = VENUES[venue].limits
    seen: Counter[tuple[str, str]] = Counter()
    for plan in plans_of(venue):
        asked = [topic for frame in plan.frames for topic in topics(frame)]
        assert 0 < len(asked) <= TOPICS[venue]
        seen.update((plan.url, topic) for topic in asked if topic not in ("heartbeat ", "v4_block_height "))
        assert max(len(frame.encode()) for frame in plan.frames) < FRAME_BYTES
        assert len(plan.frames) / limits.sends_per_s <= SUBSCRIBED_LATER_S.get(venue, SUBSCRIBED_WITHIN_S)
        if venue == "bybit":
            assert sum(map(len, asked)) <= 21_000  # characters of topics a connection
    assert max(seen.values()) == 1
    if venue == "hyperliquid":
        assert len(seen) <= 1000  # of all sockets together
    if venue == "okx":
        assert all(len(plan.frames) <= 480 for plan in plans_of(venue))  # requests an hour and connection
    if venue == "bitget":
        assert all(len(plan.frames) <= 240 for plan in plans_of(venue))


@pytest.mark.parametrize("venue", MESSAGES_A_MINUTE)
def test_all_sockets_together_keep_what_an_address_may_send(venue: str) -> None:
    """Pings and answers to pings are messages, too."""
    plans, limits = plans_of(venue), VENUES[venue].limits
    sent = 0.0
    for plan in plans:
        assert plan.keepalive is not None
        sent += min(len(plan.frames), 60.0 * limits.sends_per_s) + 2 * 60.0 / plan.keepalive.every_s
    assert sent <= MESSAGES_A_MINUTE[venue]
    assert 10.0 * limits.sends_per_s <= 50  # unanswered ones, should the venue fall silent for as long as we wait


@pytest.mark.parametrize("venue", VENUES)
def test_trades_of_every_instrument_are_asked_for_once(venue: str) -> None:
    """Hyperliquid's 1,000 subscriptions of an address leave room for as many trades as instruments."""
    plans = [plan for plan in plans_of(venue) if not plan.expects and not plan.apart]  # of a candidate: once more
    extra = [topic for plan in plans for frame in plan.frames for topic in topics(frame)]
    asked = "\n".join(topic for topic in extra if "trade" in topic.lower())
    assert len(asked.splitlines()) == COUNT
    for item in synthetic(venue, COUNT):
        name = item.instrument.lower() if venue.startswith(("binance", "aster")) else item.instrument
        if venue == "lighter":
            name = f"trade/{name.rpartition('-')[2]} "  # by its id
        assert name in asked


@pytest.mark.parametrize("venue", VENUES)
def test_connections(venue: str) -> None:
    limits, plans = VENUES[venue].limits, plans_of(venue)
    assert len(dict.fromkeys(plan.name for plan in plans)) == len(plans)
    assert len(plans) + RENEWALS <= SOCKETS[venue]
    periods = (len(plans) - 1) // limits.connects  # whole periods until the last may be opened
    assert periods * limits.connect_period_s <= OPENED_WITHIN_S


@pytest.mark.parametrize("oi_poll_s", [1.0, 10.0])
@pytest.mark.parametrize("venue", VENUES)
def test_polls(venue: str, oi_poll_s: float) -> None:
    limits, polls = VENUES[venue].limits, polls_of(venue, oi_poll_s)
    used_per_s = sum(poll.request.weight / poll.every_s for poll in polls)
    assert used_per_s <= limits.rest_weight / limits.rest_period_s * (1 + 1e-9)
    assert all(poll.request.weight <= limits.rest_weight for poll in polls)
    assert len(dict.fromkeys((poll.request.url, poll.request.body) for poll in polls)) == len(polls)
    interest = [poll for poll in polls if poll.expects]
    if interest:  # what is polled is polled well within its max_age
        max_age_ms = VENUES[venue].rules_for(oi_poll_s, COUNT).oi.max_age_ms
        assert all(2 * poll.every_s * 1000 <= max_age_ms for poll in interest)
    assert all(poll.every_s <= 800.0 for poll in polls)  # ratios are fresh for 900 s


def test_polls_of_all_venues_of_an_exchange_share_its_limits() -> None:
    """500 instruments of each venue: together within the weight and every bucket, with something left for history."""
    weight: dict[str, float] = defaultdict(float)
    requests: dict[tuple[str, str], float] = defaultdict(float)
    for venue, place in VENUES.items():
        for poll in polls_of(venue, 1.0):
            exchange, bucket = place.rules.exchange, poll.request.bucket
            weight[exchange] += poll.request.weight / poll.every_s
            if bucket:
                requests[exchange, bucket] += 1 / poll.every_s
    for place in VENUES.values():
        limits, exchange = place.limits, place.rules.exchange
        assert weight[exchange] <= limits.rest_weight / limits.rest_period_s * (1 + 1e-9)
        for bucket, (most, period_s) in limits.buckets.items():
            assert requests[exchange, bucket] <= 0.7 * most / period_s
    assert weight["binance"] * 60 == pytest.approx(1000 + 240 + 100)
