"""Round trips of trades, liquidations, ratios and the past: what the decoders read is what the market did."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import pytest

from service.model import EXTRA_STREAMS, Bad, Control, Flow, HistoryPoint, Liquidation, Listing, LongShort, Skipped
from service.simulation.market import HOUR_MS, MarketModel
from service.simulation.protocol import Frame, Session
from service.simulation.quotes import Quote, Trade
from service.venues.contract import ConnectionPlan, Decoder
from tests.simulation.build import START_MS
from tests.simulation.test_round_trip import EXACT, Desk

VENUES = ("okx", "hyperliquid", "deribit", "kraken_futures", "bitmex", "dydx", "lighter")
SYMBOLS = ("BTC", "ETH", "SOL", "1000PEPE")
SECONDS = 90
NO_LIQUIDATIONS = ("hyperliquid",)
LOWER_BOUND = ("okx", "deribit")


@pytest.fixture(scope="module")
def flushed() -> MarketModel:
    """All venues after most of a day."""
    return market(SYMBOLS, VENUES, 20)


def market(symbols: tuple[str, ...], venues: tuple[str, ...], hours: int) -> MarketModel:
    """A market whose first symbol begins to be flushed."""
    model = MarketModel(8, symbols, START_MS - hours * HOUR_MS, venues)
    model.stage(START_MS - 180_000)
    model.step(START_MS)
    return model


@dataclass
class Line:
    """One connection for extra streams."""

    plan: ConnectionPlan
    session: Session
    decoder: Decoder


@dataclass
class Heard:
    """Sums of what was decoded, and of what the market did."""

    flows: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0]))
    traded: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0]))
    liquidations: list[Liquidation] = field(default_factory=list)
    forced: list[tuple[str, str, float, float]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    blocks: int = 0


def connected(desk: Desk, model: MarketModel) -> list[Line]:
    """Every extra socket, subscribed while the market goes on; what comes on subscribing must not count."""
    now_ms = at_ms = model.now_ms
    for request in desk.venue.metadata(desk.endpoints):
        desk.request(request, now_ms)
    listings = [item for item in desk.catalog.listings.values() if item.trading]
    main = {plan.name for plan in desk.venue.connections(desk.endpoints, listings)}
    lines = []
    for plan in desk.venue.connections(desk.endpoints, listings, EXTRA_STREAMS):
        if plan.name in main:
            continue
        session = desk.protocol.accept("/" + plan.url.split("/", 3)[3], {}, plan.name, at_ms)
        assert session is not None
        decoder = desk.venue.decoder(desk.catalog)
        acks = 0
        for sent in plan.frames:
            at_ms += int(1000 / desk.venue.limits.sends_per_s)
            model.step(at_ms // 1000 * 1000)
            for out in desk.protocol.received(session, sent, at_ms):
                assert isinstance(out, Frame), out
                text = desk.protocol.wrap(session, out) if out.topic else out.text
                for item in decoder.decode(text, at_ms):
                    assert isinstance(item, Control), item
                    assert item.kind in ("ack", "info")
                    acks += item.kind == "ack"
        assert acks == plan.acks
        assert plan.expects == ()
        lines.append(Line(plan, session, decoder))
    model.step(-(-at_ms // 1000) * 1000)
    return lines


def note(heard: Heard, quote: Quote, trade: Trade, venue: str) -> None:
    name = quote.instrument.name
    coins = trade.contracts * quote.coins_each(trade.price)
    terminated = venue == "kraken_futures" and trade.liquidated is not None and trade.number % 5 == 0
    if not terminated:  # settled outside the book: no taker took it
        heard.traded[name][0 if trade.taker == "buy" else 1] += coins
    if trade.liquidated is not None and quote.instrument.unit != "quanto":
        heard.forced.append((name, trade.liquidated, coins, trade.price / quote.instrument.multiplier))


def listen(desk: Desk, model: MarketModel, lines: list[Line]) -> Heard:
    heard = Heard()
    begin_ms = model.now_ms
    for second in range(1, SECONDS + 1):
        now_ms = begin_ms + second * 1000
        model.step(now_ms)
        wanted = {topic: None for line in lines for topic in line.session.topics}
        for frame in desk.protocol.pushes(wanted, now_ms):
            for line in lines:
                if frame.topic not in line.session.topics:
                    continue
                text = desk.protocol.wrap(line.session, frame)
                heard.blocks += text.count('"block_trade_id"') + text.count('"type":"block"')
                for item in line.decoder.decode(text, now_ms):
                    assert not isinstance(item, Bad), item
                    if isinstance(item, Flow):
                        heard.flows[item.instrument][0] += item.taker_buy_coins
                        heard.flows[item.instrument][1] += item.taker_sell_coins
                        assert item.venue_ts is not None
                        assert now_ms - 1000 < item.venue_ts < now_ms
                    elif isinstance(item, Liquidation):
                        heard.liquidations.append(item)
                    elif isinstance(item, Skipped):
                        heard.skipped[item.instrument] = item.reason
        for quote in model.quotes(desk.protocol.venue):
            for trade in quote.trades():
                note(heard, quote, trade, desk.protocol.venue)
    # What a venue tells a moment later (orders that grow in the book).
    last_ms = begin_ms + (SECONDS + 1) * 1000
    for frame in desk.protocol.pushes({"liquidation": None}, last_ms) if desk.protocol.venue == "bitmex" else ():
        for line in lines:
            if frame.topic in line.session.topics and '"insert"' not in frame.text:
                found = line.decoder.decode(frame.text, last_ms)
                heard.liquidations += [item for item in found if isinstance(item, Liquidation)]
    return heard


@pytest.fixture(scope="module", params=[*((venue, "BTC") for venue in VENUES), ("bitmex", "ETH")])
def told(request: pytest.FixtureRequest) -> tuple[str, str, Heard]:
    """(venue, the symbol that is flushed, what was heard); ETH is a quanto contract on BitMEX."""
    venue, first = request.param
    model = market((first, *(symbol for symbol in SYMBOLS if symbol != first)), (venue,), 4)
    desk = Desk(venue, model)
    lines = connected(desk, model)
    assert lines
    return venue, first, listen(desk, model, lines)


def test_the_flow_of_every_instrument_is_what_takers_took(told: tuple[str, str, Heard]) -> None:
    venue, _, heard = told
    assert set(heard.flows) == set(heard.traded)
    for name, (bought, sold) in heard.traded.items():
        assert heard.flows[name][0] == pytest.approx(bought, **EXACT), (venue, name)
        assert heard.flows[name][1] == pytest.approx(sold, **EXACT), (venue, name)
        assert bought > 0 or sold > 0


def test_every_liquidation_is_told_once_with_its_side_coins_and_price(told: tuple[str, str, Heard]) -> None:
    venue, _, heard = told
    if venue in NO_LIQUIDATIONS:
        assert heard.liquidations == []
        return
    assert len(heard.forced) > 20
    assert sum(side == "long" for _, side, _, _ in heard.forced) > 20  # its crowd was long
    sums: dict[tuple[str, str], float] = defaultdict(float)
    found: dict[tuple[str, str], float] = defaultdict(float)
    for name, side, coins, _ in heard.forced:
        sums[name, side] += coins
    for item in heard.liquidations:
        found[item.instrument, item.liquidated_side] += item.coins
        assert item.lower_bound is (venue in LOWER_BOUND)
    assert set(found) == set(sums)
    for key, coins in sums.items():
        assert found[key] == pytest.approx(coins, **EXACT), key
    prices = {round(price, 12) for _, _, _, price in heard.forced}
    if venue != "bitmex":  # whose orders move their price
        assert len(heard.liquidations) == len(heard.forced)
        assert all(item.price is not None and round(item.price, 12) in prices for item in heard.liquidations)


def test_what_cannot_be_counted_is_named(told: tuple[str, str, Heard]) -> None:
    venue, first, heard = told
    quanto = {"ETHUSD": "unknown_contract_size"}
    assert heard.skipped == (quanto if (venue, first) == ("bitmex", "ETH") else {})


def test_block_trades_were_on_the_wire(told: tuple[str, str, Heard]) -> None:
    """Else the flows above would say nothing of them."""
    venue, _, heard = told
    assert (heard.blocks > 2) is (venue in ("deribit", "kraken_futures"))


def test_the_ratio_of_okx_is_the_crowds(flushed: MarketModel) -> None:
    desk = Desk("okx", flushed)
    for request in desk.venue.metadata(desk.endpoints):
        desk.request(request, START_MS)
    listings = [item for item in desk.catalog.listings.values() if item.trading]
    for poll in desk.venue.polls(desk.endpoints, listings, 10.0, EXTRA_STREAMS):
        desk.request(poll.request, START_MS)
    told = [item for item in desk.items if isinstance(item, LongShort)]
    shares = {(item.instrument, item.kind): item for item in told}
    kinds = {item.kind for item in told}
    assert "account" in kinds
    assert set(shares) == {(quote.instrument.name, kind) for quote in flushed.quotes("okx") for kind in kinds}
    for quote in flushed.quotes("okx"):
        for kind in kinds:
            found = shares[quote.instrument.name, kind]
            assert found.venue_ts == START_MS // 300_000 * 300_000
            assert found.long_share == pytest.approx(quote.long_share(kind), abs=2e-5)


# -- the past ------------------------------------------------------------------------------------------------------

STREAMS = {
    "okx": {"mark", "index", "oi", "funding"},
    "kraken_futures": {"mark", "index", "oi", "funding"},
    "hyperliquid": {"funding"},
    "deribit": {"funding"},
    "bitmex": {"funding"},
}
STAMP_MS = {"hyperliquid": 48, "dydx": 219, "kraken_futures": -HOUR_MS}  # of a settled rate, after its settlement
OI_LAG_MS = {"okx": 300_000}  # a stamp whose moment the venue does not say: taken for the later one


def past_of(desk: Desk, listing: Listing, since_ms: int) -> list[HistoryPoint]:
    for request in desk.venue.history(desk.endpoints, listing, since_ms, START_MS):
        assert request.context.startswith("history:")
        desk.request(request, START_MS)
    assert [item for item in desk.items if isinstance(item, Bad | Skipped)] == []
    return [item for item in desk.items if isinstance(item, HistoryPoint)]


@pytest.mark.parametrize("venue", VENUES)
def test_the_past_is_the_markets(venue: str, flushed: MarketModel) -> None:
    since_ms = START_MS - 3 * HOUR_MS
    names = [quote.instrument.name for quote in flushed.quotes(venue)]
    for name in names:
        desk = Desk(venue, flushed)
        for request in desk.venue.metadata(desk.endpoints):
            desk.request(request, START_MS)
        [quote] = [quote for quote in flushed.quotes(venue) if quote.instrument.name == name]
        points = past_of(desk, desk.catalog.listings[name], since_ms)
        for item in points:
            check_point(venue, quote, item)
        found = {item.stream for item in points}
        if venue in STREAMS and not (venue == "kraken_futures" and quote.instrument.inverse):
            assert found == STREAMS[venue] - ({"funding"} if not quote.settlements else set())
        for stream in found - {"funding", "oi"}:
            stamps = {item.ts for item in points if item.stream == stream}
            assert set(range(-(-since_ms // 60_000) * 60_000, START_MS + 1, 60_000)) <= stamps


def check_point(venue: str, quote: Quote, item: HistoryPoint) -> None:
    scale = round(1 / quote.instrument.multiplier)
    assert item.ts <= START_MS
    if item.stream == "funding":
        if venue == "deribit":  # hourly shares of eight-hourly rates, taken as known an hour after their stamp
            charged = [rate for at, rate in quote.settlements if at <= item.ts - HOUR_MS]
            assert (item.value, item.interval_h) == (charged[-1] / 8 if charged else 0.0, 1.0)
            return
        settled = {at + STAMP_MS.get(venue, 0): rate for at, rate in quote.settlements}
        settled[quote.next_ts + STAMP_MS.get(venue, 0)] = quote.told_rate  # of the running hour, where it is fixed
        assert item.value == pytest.approx(settled[item.ts], **EXACT)
        assert item.interval_h == quote.instrument.interval_h
        return
    [point] = quote.past.points(item.ts, item.ts)
    if item.stream == "oi":
        at = item.ts - OI_LAG_MS.get(venue, 0)
        [point] = quote.past.points(at, at)
        assert item.value == pytest.approx(point.contracts, **EXACT)
    else:
        assert item.value == pytest.approx((point.mark if item.stream == "mark" else point.index) * scale, **EXACT)
