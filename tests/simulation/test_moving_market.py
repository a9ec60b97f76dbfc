"""While the market moves: every value that a decoder reads from deltas and updates is the market's at that moment."""

from __future__ import annotations

from collections import defaultdict

import pytest

from service.model import Bad, Candidate, Confirm, Funding, Mark, OpenInterest, Skipped
from service.simulation.market import MarketModel
from service.simulation.protocol import Frame, Session
from service.venues.contract import Decoder
from tests.simulation.build import START_MS
from tests.simulation.test_round_trip import EXACT, Desk, is_other_product

VENUES = ("okx", "hyperliquid", "deribit", "kraken_futures", "bitmex", "dydx", "lighter")
SYMBOLS = ("BTC", "ETH", "SOL", "1000PEPE")
SECONDS = 100
TASK_S = 30  # dYdX works out open interest and funding this often


@pytest.mark.parametrize("venue", VENUES)
def test_updates_decode_to_the_market_as_it_moves(venue: str) -> None:
    model = MarketModel(8, SYMBOLS, START_MS, (venue,))
    desk = Desk(venue, model)
    for request in desk.venue.metadata(desk.endpoints):
        desk.request(request, START_MS)
    listings = [item for item in desk.catalog.listings.values() if item.trading]
    lines: list[tuple[Session, Decoder]] = []
    for plan in desk.venue.connections(desk.endpoints, listings):
        session = desk.protocol.accept("/" + plan.url.split("/", 3)[3], {}, "c", START_MS - 60_000)
        assert session is not None
        decoder = desk.venue.decoder(desk.catalog)
        for count, sent in enumerate(plan.frames):
            at_ms = START_MS - int((len(plan.frames) - count) * 1000 / desk.venue.limits.sends_per_s)
            for out in desk.protocol.received(session, sent, at_ms):
                assert isinstance(out, Frame)
                decoder.decode(desk.protocol.wrap(session, out) if out.topic else out.text, at_ms)
        lines.append((session, decoder))
    quotes = {quote.instrument.name: quote for quote in model.quotes(venue)}
    wanted = {topic: None for session, _ in lines for topic in session.topics}
    heard: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for half in range(1, 2 * SECONDS + 1):
        now_ms = START_MS + half * 500
        model.step(now_ms // 1000 * 1000)
        for frame in desk.protocol.pushes(wanted, now_ms):
            for session, decoder in lines:
                if frame.topic not in session.topics:
                    continue
                for item in decoder.decode(desk.protocol.wrap(session, frame), now_ms):
                    if isinstance(item, Candidate | Confirm) or is_other_product(item):
                        continue
                    assert not isinstance(item, Bad | Skipped), item
                    assert isinstance(item, Mark | Funding | OpenInterest), item
                    quote = quotes[item.instrument]
                    scale = round(1 / quote.instrument.multiplier)
                    if isinstance(item, Mark):
                        for stream, value, now in (("mark", item.mark, quote.mark), ("index", item.index, quote.index)):
                            if value is not None:
                                assert value == pytest.approx(now * scale, **EXACT)
                                heard[item.instrument][stream].append(value)
                    elif isinstance(item, Funding):
                        assert item.rate == pytest.approx(quote.told_rate, **EXACT)
                        assert item.next_ts == (None if venue == "deribit" else quote.next_ts)
                        heard[item.instrument]["funding"].append(item.rate)
                    else:
                        assert item.contracts == pytest.approx(quote.contracts, **EXACT)
                        assert item.coins == pytest.approx(quote.coins, **EXACT)
                        heard[item.instrument]["oi"].append(item.coins)
    assert set(heard) == set(quotes)
    for name, streams in heard.items():
        assert len(streams["mark"]) >= SECONDS / 3 - 1, name  # Hyperliquid's move about every 3 s
        assert len(streams["index"]) >= SECONDS / 3 - 1, name
        assert len(streams["oi"]) >= SECONDS // TASK_S, name
        assert len(set(streams["oi"])) > 1, name
