"""The seam: the simulated servers' frames, decoded by the real decoders, say what the simulated history says."""

from __future__ import annotations

import random
from urllib.parse import parse_qsl, urlsplit

import pytest

from service.config import DEFAULT_SYMBOLS
from service.model import Bad, Confirm, Control, Decoded, Event, Funding, Listing, Mark, OpenInterest, Skipped
from service.simulation.backfill import history
from service.simulation.market import HOUR_MS, MarketModel
from service.simulation.protocol import Answer, Frame, Protocol
from service.simulation.servers import PROTOCOLS
from service.venues import VENUES
from service.venues.contract import Catalog, Endpoints, Request, page_after
from tests.simulation.build import START_MS
from tests.venues.conformance import OTHER_PRODUCTS

SYMBOLS = (*DEFAULT_SYMBOLS, "1000SHIB", "WIF")
NAMES = [protocol.venue for protocol in PROTOCOLS]
SOMETIMES_STAMPED = ("dydx",)  # its prices are, but not in snapshots
EXACT = {"rel": 1e-9, "abs": 1e-12}


def is_other_product(item: Decoded) -> bool:
    """Lists name them, and so do topics of all markets."""
    return isinstance(item, Skipped) and item.reason in OTHER_PRODUCTS


class Desk:
    """One venue's protocol, spoken to by the real venue file."""

    def __init__(self, venue: str, model: MarketModel) -> None:
        [kind] = [item for item in PROTOCOLS if item.venue == venue]
        self.protocol: Protocol = kind(model, random.Random(3))
        self.venue = VENUES[venue]
        self.catalog = Catalog()
        sockets, rest = self.protocol.addresses("127.0.0.1:9")
        self.endpoints = Endpoints(ws=sockets, rest=rest)
        assert list(sockets) == list(self.venue.endpoints.ws)
        self.items: list[Decoded] = []
        self.now_ms = 0  # when the last frame came

    def request(self, request: Request, now_ms: int) -> None:
        parts = urlsplit(request.url)
        answer: Answer = self.protocol.answer(
            request.method, parts.path, dict(parse_qsl(parts.query)), request.body or "", now_ms
        )
        assert answer.status == 200, answer
        for item in self.venue.decoder(self.catalog).decode(answer.text, now_ms, request.context):
            if isinstance(item, Control) and item.kind == "more":
                self.request(page_after(request, item.text), now_ms)
            elif not is_other_product(item):
                self.items.append(item)

    def talk(self, now_ms: int) -> None:
        """Metadata, subscriptions with their first data, one poll of each."""
        for request in self.venue.metadata(self.endpoints):
            self.request(request, now_ms)
        listings = [item for item in self.catalog.listings.values() if item.trading]
        for number, plan in enumerate(self.venue.connections(self.endpoints, listings)):
            session = self.protocol.accept(urlsplit(plan.url).path, {}, f"c{number}", now_ms)
            assert session is not None, plan.url
            decoder = self.venue.decoder(self.catalog)
            texts = []
            at_ms = now_ms
            for count, sent in enumerate(plan.frames):  # paced as the links do: some venues refuse what comes faster
                at_ms = now_ms + int(count * 1000 / self.venue.limits.sends_per_s)
                for out in self.protocol.received(session, sent, at_ms):
                    assert isinstance(out, Frame), out
                    texts.append(self.protocol.wrap(session, out) if out.topic else out.text)
            at_ms = -(-at_ms // 1000) * 1000
            self.now_ms = max(self.now_ms, at_ms)
            texts += [self.protocol.wrap(session, frame) for frame in self.protocol.pushes(session.topics, at_ms)]
            if plan.keepalive is not None:
                [pong] = self.protocol.received(session, plan.keepalive.text, at_ms)
                assert isinstance(pong, Frame)
                texts.append(pong.text)
            items = [item for text in texts for item in decoder.decode(text, at_ms)]
            self.items += [item for item in items if not is_other_product(item)]
            kinds = [item.kind for item in items if isinstance(item, Control)]
            assert kinds.count("ack") == plan.acks
            assert kinds.count("pong") == (0 if plan.keepalive is None else 1)
            assert len(kinds) == kinds.count("ack") + kinds.count("pong")
            served = {
                (item.instrument, _stream(item)) for item in items if isinstance(item, Mark | Funding | OpenInterest)
            }
            assert set(plan.expects) <= served
        for poll in self.venue.polls(self.endpoints, listings, 10.0):
            self.request(poll.request, now_ms)


def _stream(item: Mark | Funding | OpenInterest) -> str:
    if isinstance(item, Mark):
        return "index" if item.mark is None else "mark"
    return "funding" if isinstance(item, Funding) else "oi"


@pytest.fixture(scope="module")
def past() -> tuple[MarketModel, list[Event], list[Event]]:
    """A market after two hours of history, its listings, and its last minute's events."""
    model = MarketModel(8, SYMBOLS, START_MS - 2 * HOUR_MS)
    steps = list(history(model, START_MS - 2 * HOUR_MS, START_MS, START_MS))
    listings = [event for event in steps[0][2] if isinstance(event, Listing)]
    assert steps[-1][0] == START_MS
    return model, listings, steps[-1][2]


@pytest.mark.parametrize("venue", NAMES)
def test_no_frame_is_bad_or_skipped(venue: str, past: tuple[MarketModel, list[Event], list[Event]]) -> None:
    desk = Desk(venue, past[0])
    desk.talk(START_MS)
    assert [item for item in desk.items if isinstance(item, Bad | Skipped)] == []


@pytest.mark.parametrize("venue", NAMES)
def test_the_metadata_list_what_the_history_lists(
    venue: str, past: tuple[MarketModel, list[Event], list[Event]]
) -> None:
    desk = Desk(venue, past[0])
    desk.talk(START_MS)
    trading = {name: item for name, item in desk.catalog.listings.items() if item.trading}
    expected = {event.instrument: event for event in past[1] if isinstance(event, Listing) and event.venue == venue}
    assert set(trading) == set(expected)
    for name, item in expected.items():
        found = trading[name]
        assert (found.symbol, found.inverse, found.multiplier) == (item.symbol, item.inverse, item.multiplier)
        assert found.interval_h == item.interval_h
        if item.contract_size is None:
            assert found.contract_size is None
        else:
            assert found.contract_size == pytest.approx(item.contract_size, **EXACT)


@pytest.mark.parametrize("venue", NAMES)
def test_there_is_no_seam_between_history_and_frames(
    venue: str, past: tuple[MarketModel, list[Event], list[Event]]
) -> None:
    desk = Desk(venue, past[0])
    desk.talk(START_MS)
    expected = [event for event in past[2] if event.venue == venue]
    marks = {item.instrument: item for item in desk.items if isinstance(item, Mark) and item.mark is not None}
    indices = {item.instrument: item.index for item in desk.items if isinstance(item, Mark) and item.index is not None}
    fundings = {item.instrument: item for item in desk.items if isinstance(item, Funding)}
    interests = {item.instrument: item for item in desk.items if isinstance(item, OpenInterest)}
    assert len(marks) == len(indices) == len(fundings) == len(interests) == len(expected) / 3
    for event in expected:
        name = event.instrument
        if isinstance(event, Mark):
            assert marks[name].symbol == event.symbol
            assert marks[name].mark == pytest.approx(event.mark, **EXACT)
            assert indices[name] == pytest.approx(event.index, **EXACT)
        elif isinstance(event, Funding):
            found = fundings[name]
            assert (found.interval_h, found.next_ts, found.settled) == (event.interval_h, event.next_ts, event.settled)
            assert found.rate == pytest.approx(event.rate, **EXACT)
            assert found.rate_8h == pytest.approx(event.rate_8h, **EXACT)
        else:
            assert isinstance(event, OpenInterest)
            interest = interests[name]
            assert interest.contracts == pytest.approx(event.contracts, **EXACT)
            assert interest.contract_coins == pytest.approx(event.contract_coins, **EXACT)
            assert interest.coins == pytest.approx(event.coins, **EXACT)
            assert interest.derived == event.derived


@pytest.mark.parametrize("venue", NAMES)
def test_venue_timestamps_never_lie_behind_the_history(
    venue: str, past: tuple[MarketModel, list[Event], list[Event]]
) -> None:
    desk = Desk(venue, past[0])
    desk.talk(START_MS)
    stamped = {(event.instrument, type(event)): event.venue_ts for event in past[2] if event.venue == venue}
    for item in desk.items:
        if isinstance(item, Mark | Funding | OpenInterest):
            before = stamped[item.instrument, type(item)]
            assert venue in SOMETIMES_STAMPED or (item.venue_ts is None) == (before is None)
            assert item.venue_ts is None or before is None or before <= item.venue_ts <= desk.now_ms


def test_bybits_deltas_decode_to_the_market_as_it_moves() -> None:
    model = MarketModel(8, ("BTC", "1000PEPE"), START_MS)
    desk = Desk("bybit", model)
    for request in desk.venue.metadata(desk.endpoints):
        desk.request(request, START_MS)
    listings = [item for item in desk.catalog.listings.values() if item.trading]
    plan = desk.venue.connections(desk.endpoints, listings)[0]
    session = desk.protocol.accept(urlsplit(plan.url).path, {}, "c", START_MS)
    assert session is not None
    decoder = desk.venue.decoder(desk.catalog)
    for sent in plan.frames:
        for out in desk.protocol.received(session, sent, START_MS):
            assert isinstance(out, Frame)
            decoder.decode(out.text, START_MS)
    marks: dict[str, float] = {}
    coins: dict[str, float] = {}
    confirms = 0
    for half in range(1, 41):
        now_ms = START_MS + half * 500
        model.step(now_ms // 1000 * 1000)
        for frame in desk.protocol.pushes(session.topics, now_ms):
            for item in decoder.decode(frame.text, now_ms):
                assert not isinstance(item, Bad | Skipped)
                confirms += isinstance(item, Confirm)
                if isinstance(item, Mark) and item.mark is not None:
                    marks[item.instrument] = item.mark
                if isinstance(item, OpenInterest):
                    coins[item.instrument] = item.coins
        for quote in model.quotes("bybit"):
            name = quote.instrument.name
            if name in marks and not quote.instrument.inverse:
                assert marks[name] == pytest.approx(quote.price, **EXACT)
            if name in coins and not quote.instrument.inverse:
                assert coins[name] == pytest.approx(quote.coins, **EXACT)
    assert set(marks) == {"BTCUSDT", "BTCPERP", "1000PEPEUSDT"}
    assert confirms >= 60
