"""The seam of the extra streams and the past: what the servers tell, decoded by the real decoders, is the model's."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from functools import cache
from urllib.parse import parse_qsl, urlsplit

import pytest

from service.model import (
    EXTRA_STREAMS,
    Bad,
    Control,
    Decoded,
    Flow,
    HistoryPoint,
    Liquidation,
    Listing,
    LongShort,
    Positions,
    Skipped,
)
from service.simulation.market import HOUR_MS, MarketModel, Quote
from service.simulation.minutes import MINUTE_MS
from service.simulation.protocol import Frame, Protocol, Session
from service.simulation.quotes import Trade
from service.simulation.servers import PROTOCOLS
from service.simulation.venues.bybit import is_block
from service.venues import VENUES
from service.venues.contract import Catalog, Decoder, Endpoints, Request, page_after
from service.venues.gate.trades import Signs
from tests.simulation.build import START_MS
from tests.venues.conformance import OTHER_PRODUCTS

NAMES = ("binance_usdm", "bybit", "binance_coinm", "bitget", "gate", "aster")
SYMBOLS = ("BTC", "ETH", "1000PEPE")
EXACT = {"rel": 1e-9, "abs": 1e-12}
SECONDS = 100
FIVE_MS = 300_000


class Desk:
    """One venue spoken to by the real venue file; its market goes through a cascade from ``START_MS`` on."""

    def __init__(self, venue: str, hours: int = 1) -> None:
        self.model = MarketModel(8, SYMBOLS, START_MS - hours * HOUR_MS, (venue,))
        self.model.stage(START_MS - 2 * MINUTE_MS)
        self.model.step(START_MS)
        [kind] = [item for item in PROTOCOLS if item.venue == venue]
        self.protocol: Protocol = kind(self.model, random.Random(3))
        self.venue = VENUES[venue]
        self.catalog = Catalog()
        sockets, rest = self.protocol.addresses("127.0.0.1:9")
        self.endpoints = Endpoints(ws=sockets, rest=rest)
        self.now_ms = START_MS
        for request in self.venue.metadata(self.endpoints):
            self.ask(request)
        self.quotes = {quote.instrument.name: quote for quote in self.protocol.quotes}
        self.listings = [item for item in self.catalog.listings.values() if item.trading]
        assert {item.instrument for item in self.listings} == set(self.quotes)

    def ask(self, request: Request, gap_ms: int = 60) -> list[Decoded]:
        """One request, not faster than the venue allows; nothing in its answer is refused."""
        parts = urlsplit(request.url)
        query = dict(parse_qsl(parts.query))
        answer = self.protocol.answer(request.method, parts.path, query, request.body or "", self.now_ms)
        self.now_ms += gap_ms
        assert answer.status == 200, (request.url, answer)
        found = self.venue.decoder(self.catalog).decode(answer.text, self.now_ms, request.context)
        for item in found:
            if isinstance(item, Control) and item.kind == "more":
                self.ask(page_after(request, item.text))
        found = [
            item
            for item in found
            if not (isinstance(item, Skipped) and item.reason in OTHER_PRODUCTS)
            and not (isinstance(item, Control) and item.kind == "more")
        ]
        assert not [item for item in found if isinstance(item, Bad | Skipped | Control)], request.url
        return found

    def listen(self, seconds: int) -> Iterator[list[Decoded]]:
        """What the sockets of the extra streams say, second by second; the acks first."""
        listeners: list[tuple[Session, Decoder]] = []
        plans = [
            plan for plan in self.venue.connections(self.endpoints, self.listings, EXTRA_STREAMS) if not plan.expects
        ]
        assert plans
        for plan in plans:
            session = self.protocol.accept(urlsplit(plan.url).path, {}, "c", START_MS)
            assert session is not None
            decoder = self.venue.decoder(self.catalog)
            replies: list[Decoded] = []
            for number, sent in enumerate(plan.frames):
                at_ms = START_MS + number * 1000  # paced
                for out in self.protocol.received(session, sent, at_ms):
                    assert isinstance(out, Frame)
                    replies += decoder.decode(out.text, at_ms)
            assert [item.kind for item in replies if isinstance(item, Control)] == ["ack"] * plan.acks
            assert len(replies) == plan.acks  # whatever is sent again on subscribing says nothing
            listeners.append((session, decoder))
        for second in range(1, seconds + 1):
            now_ms = START_MS + second * 1000
            self.model.step(now_ms)
            heard: list[Decoded] = []
            for session, decoder in listeners:
                for frame in self.protocol.pushes(dict(session.topics), now_ms):
                    heard += decoder.decode(self.protocol.wrap(session, frame), now_ms)
            yield heard


@cache
def cascade(venue: str) -> tuple[list[Decoded], dict[str, list[list[Trade]]], dict[str, Quote]]:
    """What was heard in a cascade, and the truth: trades by instrument and second."""
    desk = Desk(venue)
    if venue == "gate":
        desk.catalog.shared(Signs).sign = -1  # as the simulated socket sends it, see below
    heard: list[Decoded] = []
    truth: dict[str, list[list[Trade]]] = {name: [] for name in desk.quotes}
    for items in desk.listen(SECONDS):
        heard += items
        for name, quote in desk.quotes.items():
            truth[name].append(list(quote.trades()))
    assert not [item for item in heard if isinstance(item, Bad | Skipped | Control)]
    return heard, truth, desk.quotes


@pytest.mark.parametrize("venue", NAMES)
def test_taker_flow_is_the_models(venue: str) -> None:
    heard, truth, quotes = cascade(venue)
    flows = [item for item in heard if isinstance(item, Flow)]
    for name, seconds in truth.items():
        sides = Counter[str]()
        for trade in (trade for trades in seconds for trade in trades):
            if venue != "bybit" or not is_block(trade):
                sides[trade.taker] += trade.contracts * quotes[name].coins_each(trade.price)
        assert sides["buy"] > 0
        assert sides["sell"] > 0
        assert sum(item.taker_buy_coins for item in flows if item.instrument == name) == pytest.approx(sides["buy"])
        assert sum(item.taker_sell_coins for item in flows if item.instrument == name) == pytest.approx(sides["sell"])
    assert all(item.venue_ts is not None and item.recv_ts - 1000 < item.venue_ts <= item.recv_ts for item in flows)


def told(venue: str, seconds: list[list[Trade]]) -> list[Trade]:
    """Which forced orders are told: of a second Binance the largest, Aster the latest; Bitget all, every 20 s."""
    forced = [[trade for trade in trades if trade.liquidated is not None] for trades in seconds]
    if venue.startswith("binance"):
        return [max(trades, key=lambda trade: trade.contracts) for trades in forced if trades]
    if venue == "aster":
        return [trades[-1] for trades in forced if trades]
    if venue == "bitget":
        late = (START_MS // 1000 + SECONDS) % 20
        forced = forced[: len(forced) - late]
    return [trade for trades in forced for trade in trades]


@pytest.mark.parametrize("venue", NAMES)
def test_liquidations_are_the_models(venue: str) -> None:
    heard, truth, quotes = cascade(venue)
    found = [item for item in heard if isinstance(item, Liquidation)]
    assert {item.lower_bound for item in found} == {venue != "bybit"}
    longs = 0
    for name, seconds in truth.items():
        expected = sorted(told(venue, seconds), key=lambda trade: (trade.ts, trade.contracts))
        each = quotes[name].coins_each
        coins = sorted(trade.contracts * each(trade.price) for trade in expected)
        items = [item for item in found if item.instrument == name]
        assert sorted(item.coins for item in items) == pytest.approx(coins)
        sides = Counter(item.liquidated_side for item in items)
        assert sides == Counter(trade.liquidated for trade in expected)
        assert sorted(item.venue_ts or 0 for item in items) == [trade.ts for trade in expected]
        assert all(item.price is not None for item in items)
        if quotes[name].instrument.symbol == "BTC":
            assert sides["short"] == 0  # the crowd is long
            longs += sides["long"]
    assert longs >= 10


def test_gates_list_tells_until_the_sign_of_its_socket_is_known() -> None:
    """Each liquidation of the cascade counts once, whichever of the two tells of it, on the right side."""
    desk = Desk("gate")
    signs = desk.catalog.shared(Signs)
    polls = desk.venue.polls(desk.endpoints, desk.listings, 10.0, ("liquidation",))
    found: list[Decoded] = [item for poll in polls for item in desk.ask(poll.request)]  # of before the start
    assert found == []
    expected: Counter[str | None] = Counter()
    skipped = 0
    for second, heard in enumerate(desk.listen(SECONDS), 1):
        for name, quote in desk.quotes.items():
            assert name
            expected.update(trade.liquidated for trade in quote.trades() if trade.liquidated is not None)
        skipped += sum(isinstance(item, Skipped) for item in heard)
        found += heard
        if second % 20 == 0:
            desk.now_ms = START_MS + second * 1000
            for poll in polls:
                found += desk.ask(poll.request)
    told_of = [item for item in found if isinstance(item, Liquidation)]
    assert signs.sign == -1
    assert 0 < skipped < len(told_of)
    assert Counter(item.liquidated_side for item in told_of) == expected


@pytest.mark.parametrize("venue", [name for name in NAMES if name != "aster"])  # it has none
def test_ratios_are_the_models(venue: str) -> None:
    desk = Desk(venue)
    before = len(desk.venue.polls(desk.endpoints, desk.listings, 10.0, ("liquidation",)))
    polls = desk.venue.polls(desk.endpoints, desk.listings, 10.0, EXTRA_STREAMS)[before:]
    found = [item for poll in polls for item in desk.ask(poll.request, gap_ms=1000)]
    shares = [item for item in found if isinstance(item, LongShort)]
    assert len(shares) >= len(desk.quotes) - (4 if venue in ("bybit", "bitget") else 0)
    for item in shares:
        assert item.long_share == pytest.approx(desk.quotes[item.instrument].long_share(item.kind), abs=1e-4)
        assert item.venue_ts is not None
        assert item.venue_ts % FIVE_MS == 0
        assert 0 <= START_MS - item.venue_ts < 2 * FIVE_MS
    positions = [item for item in found if isinstance(item, Positions)]
    assert len(positions) == (len(desk.quotes) if venue == "gate" else 0)
    for held in positions:
        quote = desk.quotes[held.instrument]
        total = held.long_coins + held.short_coins
        assert total == pytest.approx(0.3 * quote.coins, rel=0.05)  # as of the last five minutes
        assert held.long_coins / total == pytest.approx(quote.long_share("top_position"), abs=1e-3)


def histories(desk: Desk, listing: Listing) -> list[HistoryPoint]:
    found: list[HistoryPoint] = []
    since_ms = START_MS - 26 * HOUR_MS
    for request in desk.venue.history(desk.endpoints, listing, since_ms, START_MS):
        items = desk.ask(request)
        found += [item for item in items if isinstance(item, HistoryPoint)]
        assert len(items) == len([item for item in items if isinstance(item, HistoryPoint)])
    return found


@pytest.mark.parametrize("venue", NAMES)
def test_the_past_is_the_models(venue: str) -> None:
    desk = Desk(venue, hours=27)
    for listing in desk.listings:
        quote = desk.quotes[listing.instrument]
        records = {point.ts: point for point in quote.past.points(0, START_MS)}
        past: dict[str, dict[int, HistoryPoint]] = {"mark": {}, "index": {}, "oi": {}, "funding": {}}
        for item in histories(desk, listing):
            assert item.ts not in past[item.stream] or past[item.stream][item.ts].value == item.value
            past[item.stream][item.ts] = item
        for what in ("mark", "index"):
            assert len(past[what]) >= 26 * 60 - 1
            assert max(past[what]) == START_MS  # the running minute is left out
            scale = round(1 / listing.multiplier)
            for ts, item in past[what].items():
                assert item.value == pytest.approx(getattr(records[ts], what) * scale, **EXACT)
        for ts, item in past["oi"].items():
            # Bybit stamps the moment, which the decoder takes for the beginning of the five minutes it stands for.
            at = records[ts - FIVE_MS if venue == "bybit" else ts]
            assert item.value == pytest.approx(at.contracts, **EXACT)
        assert len(past["oi"]) >= (0 if venue in ("bitget", "aster") else 26 * 12 - 2)
        assert {ts // MINUTE_MS * MINUTE_MS: item.value for ts, item in past["funding"].items()} == {
            ts: rate for ts, rate in quote.settlements if ts >= min(past["funding"]) // MINUTE_MS * MINUTE_MS
        }
        assert len(past["funding"]) >= 3
        assert {item.interval_h for item in past["funding"].values()} == {float(quote.instrument.interval_h)}
