"""BitMEX as its page describes it: tables of partial, insert, update and delete; an ack per topic; the text `ping`."""

from __future__ import annotations

import random
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from service.simulation.market import HOUR_MS, MarketModel, Quote
from service.simulation.protocol import (
    Answer,
    Frame,
    Hangup,
    Out,
    Protocol,
    Session,
    by_name,
    day_volume,
    encode,
    epoch_ms,
    iso,
    parse,
    strings,
)  # fmt: skip
from service.simulation.quotes import Trade

CONNECTIONS_PER_HOUR = 60
MAX_ARGS = 20
OI_EVERY_MS = (2_000, 9_000)
SEE = "Please see the documentation at https://www.bitmex.com/app/wsAPI."
UNRECOGNIZED = f"Unrecognized request. See the docs or send 'help' for more details. {SEE}"
KEYS: dict[str, list[str]] = {
    "instrument": ["symbol"], "funding": ["timestamp", "symbol"], "trade": [], "liquidation": ["orderID"],
}  # fmt: skip
MAX_ROWS = 500
INDEX_PRINT_MS = 60_000
TYPES = {
    "instrument": {"symbol": "symbol", "state": "symbol", "markPrice": "float", "openInterest": "long"},
    "funding": {"timestamp": "timestamp", "symbol": "symbol", "fundingRate": "float", "fundingRateDaily": "float"},
    "trade": {"timestamp": "timestamp", "symbol": "symbol", "side": "symbol", "size": "long", "price": "float"},
    "liquidation": {"orderID": "guid", "symbol": "symbol", "side": "symbol", "price": "float", "leavesQty": "long"},
}
XBT = 100_000_000  # satoshi per bitcoin: the smallest unit of XBt
USDT = 1_000_000  # of USDt
TICKS = ("PlusTick", "ZeroPlusTick", "MinusTick", "ZeroMinusTick")


# -- rows, in the venue's units ----------------------------------------------------------------------------------------


def terms(quote: Quote) -> dict[str, Any]:
    """What the contract is: 1 USD (inverse), 1/underlyingToPositionMultiplier coins, or satoshi per dollar (quanto)."""
    item = quote.instrument
    if item.unit == "usd":
        contract = {"multiplier": -XBT, "settlCurrency": "XBt", "underlyingToSettleMultiplier": -XBT}
    elif item.unit == "quanto":
        contract = {
            "multiplier": round(item.native_size * XBT),
            "settlCurrency": "XBt",
            "quoteToSettleMultiplier": 3108,
        }
    else:
        contract = {
            "multiplier": round(item.native_size * USDT, 6),
            "settlCurrency": "USDt",
            "underlyingToPositionMultiplier": round(1 / item.native_size, 6),
            "quoteToSettleMultiplier": USDT,
        }
    return {
        "symbol": item.name,
        "rootSymbol": item.base,
        "state": "Open",
        "typ": "FFWCSX",
        "listing": "2018-08-01T12:00:00.000Z",
        "front": "2018-08-01T12:00:00.000Z",
        "positionCurrency": "USD" if item.unit == "usd" else "" if item.unit == "quanto" else item.base,
        "underlying": item.base,
        "quoteCurrency": item.quote,
        "underlyingSymbol": f"{item.base}T=" if item.quote == "USDT" else f"{item.base}=",
        "reference": "BMEX",
        "referenceSymbol": index_symbol(quote),
        "maxOrderQty": 10_000_000,
        "maxPrice": 1_000_000,
        "lotSize": 100,
        "tickSize": round(10.0**-item.price_digits, item.price_digits),
        **contract,
        "isQuanto": item.unit == "quanto",
        "isInverse": item.unit == "usd",
        "initMargin": 0.01,
        "maintMargin": 0.005,
        "riskLimit": 20_000_000_000,
        "riskStep": 15_000_000_000,
        "taxed": True,
        "deleverage": True,
        "makerFee": 0.0005,
        "takerFee": 0.0005,
        "settlementFee": 0,
        "fundingBaseSymbol": f".{item.base}BON8H",
        "fundingQuoteSymbol": ".USDBON8H",
        "fundingPremiumSymbol": f".{item.name}PI8H",
        "markMethod": "FairPrice",
        "fairMethod": "FundingRate",
        "hasLiquidity": True,
    }


def index_symbol(quote: Quote) -> str:
    """The venue's name of the index that prices an instrument."""
    return f".B{quote.instrument.base}{'T' if quote.instrument.quote == 'USDT' else ''}"


def interval(quote: Quote) -> str:
    """Eight hours, as the venue writes them."""
    return f"2000-01-01T{quote.instrument.interval_h:02d}:00:00.000Z"


def open_value(quote: Quote) -> int:
    """Value of the open interest at the mark, in the smallest unit of the settlement currency."""
    item = quote.instrument
    if item.unit == "usd":
        return round(quote.contracts / quote.mark * XBT)
    if item.unit == "quanto":
        return round(quote.contracts * item.native_size * quote.mark * XBT)
    return round(quote.contracts * item.native_size * quote.mark * USDT)


def prices(quote: Quote) -> dict[str, Any]:
    """The fields that move with every second."""
    return {
        "openValue": open_value(quote),
        "fairBasis": round(quote.mark - quote.index, quote.instrument.price_digits),
        "fairPrice": quote.mark,
        "markPrice": quote.mark,
        "indicativeSettlePrice": quote.index,
    }


def funding(quote: Quote) -> dict[str, Any]:
    """The rate that will be charged, fixed since the last settlement, and the forecast of the one after."""
    return {
        "fundingTimestamp": iso(quote.next_ts),
        "fundingInterval": interval(quote),
        "fundingRate": quote.told_rate,
        "indicativeFundingRate": quote.rate,
    }


def full_row(quote: Quote, now_ms: int, day: tuple[float, float, float]) -> dict[str, Any]:
    """A row as a partial or /instrument has it: fields that are null are left out."""
    item, mark = quote.instrument, quote.mark
    before, high, low = day
    volume = day_volume(quote)
    contracts = round(volume * quote.contracts / max(quote.coins, 1e-9))
    return {
        **terms(quote),
        **funding(quote),
        "openingTimestamp": iso(now_ms // HOUR_MS * HOUR_MS),
        "closingTimestamp": iso((now_ms // HOUR_MS + 1) * HOUR_MS),
        "sessionInterval": "2000-01-01T01:00:00.000Z",
        "prevClosePrice": round(before, item.price_digits),
        "volume24h": contracts,
        "homeNotional24h": round(volume, 6),
        "foreignNotional24h": round(volume * mark, 4),
        "prevPrice24h": round(before, item.price_digits),
        "highPrice": round(max(high, mark), item.price_digits),
        "lowPrice": round(min(low, mark), item.price_digits),
        "lastPrice": mark,
        "lastTickDirection": "ZeroPlusTick",
        "lastChangePcnt": round(mark / before - 1, 4),
        "bidPrice": mark,
        "midPrice": mark,
        "askPrice": round(mark + 10.0**-item.price_digits, item.price_digits),
        "openInterest": round(quote.contracts),
        **prices(quote),
        "timestamp": iso(now_ms // 500 * 500),
    }


def foreign(quote: Quote) -> list[dict[str, Any]]:
    """What a client must leave out: a dated future, and spot."""
    dated = {"symbol": f"{quote.instrument.base}Z26", "typ": "FFCCSX", "expiry": "2026-12-25T12:00:00.000Z"}
    spot = {"symbol": f"{quote.instrument.base}_USDT", "typ": "IFXXXP", "isInverse": False, "quoteCurrency": "USDT"}
    return [{**terms(quote), **kind, "markPrice": quote.mark, "openInterest": 0} for kind in (dated, spot)]


# -- trades and liquidation orders -------------------------------------------------------------------------------------


class Event(NamedTuple):
    """A change of the liquidation table."""

    symbol: str
    action: str
    row: dict[str, Any]


class Liquidations:
    """Liquidation orders resting in the book: each is inserted, changes or not, and is deleted a second later.

    What is liquidated is the most that an order has ever had: one in three shrinks, one in three grows.
    """

    def __init__(self) -> None:
        self._resting: dict[str, tuple[dict[str, Any], int, int]] = {}  # id -> row, whole size, kind

    def rows(self, symbol: str) -> list[dict[str, Any]]:
        """The orders of one instrument, or of all (""), that rest now."""
        return [dict(row) for row, _, _ in self._resting.values() if symbol in ("", row["symbol"])]

    def advance(self, quotes: Iterable[Quote]) -> list[Event]:
        """The next second: what became of the orders, and the new ones."""
        events: list[Event] = []
        for key, (row, whole, kind) in self._resting.items():
            symbol, head = row["symbol"], {"orderID": key, "symbol": row["symbol"]}
            if kind == 1:
                events.append(Event(symbol, "update", {**head, "price": row["price"] * 1.0001}))
                events.append(Event(symbol, "update", {**head, "leavesQty": whole // 2}))
            elif kind == 2 and whole > row["leavesQty"]:
                events.append(Event(symbol, "update", {**head, "leavesQty": whole}))
            events.append(Event(symbol, "delete", head))
        self._resting = {}
        for quote in quotes:
            for fill in quote.liquidations():
                row, whole, kind = _order(quote, fill)
                self._resting[row["orderID"]] = (row, whole, kind)
                events.append(Event(row["symbol"], "insert", dict(row)))
        return events


def _order(quote: Quote, fill: Trade) -> tuple[dict[str, Any], int, int]:
    whole, kind = round(fill.contracts), fill.number % 3
    row = {
        "orderID": _guid(quote, fill),
        "symbol": quote.instrument.name,
        "side": fill.taker.capitalize(),  # of the order: Sell closes a long
        "price": fill.price,
        "leavesQty": max(1, whole * 3 // 5) if kind == 2 else whole,
    }
    return row, whole, kind


def trades(quote: Quote, fills: Iterable[Trade]) -> list[dict[str, Any]]:
    """Rows of the trade table."""
    return [_trade(quote, fill) for fill in fills]


def _trade(quote: Quote, fill: Trade) -> dict[str, Any]:
    item, price = quote.instrument, fill.price
    home = fill.contracts * quote.coins_each(price) / item.multiplier
    if item.unit == "usd":
        gross = home * XBT
    elif item.unit == "quanto":
        gross = fill.contracts * item.native_size * price * XBT
    else:
        gross = home * price * USDT
    return {
        "timestamp": iso(fill.ts),
        "symbol": item.name,
        "side": fill.taker.capitalize(),
        "size": round(fill.contracts),
        "price": price,
        "tickDirection": TICKS[fill.number % len(TICKS)],
        "trdMatchID": _guid(quote, fill),
        "grossValue": round(gross),
        "homeNotional": home,
        "foreignNotional": home * price,
        "trdType": "Regular",
    }


def referential(quotes: Sequence[Quote], now_ms: int) -> list[dict[str, Any]]:
    """Index prints, which come among the trades of a client who subscribes to all: no trades."""
    prices = {index_symbol(quote): quote.index for quote in quotes}
    kind = {"side": "Buy", "size": 0, "tickDirection": "ZeroPlusTick", "trdType": "Referential"}
    return [{"timestamp": iso(now_ms), "symbol": name, "price": price, **kind} for name, price in prices.items()]


def _guid(quote: Quote, fill: Trade) -> str:
    return f"{zlib.crc32(quote.instrument.name.encode()):08x}-006d-4000-8000-{fill.number:012x}"


# -- the server --------------------------------------------------------------------------------------------------------


class Bitmex(Protocol):
    venue = "bitmex"

    def __init__(self, model: MarketModel, rng: random.Random) -> None:
        super().__init__(model, rng)
        self._by_name = by_name(self.quotes)
        self._told: dict[str, dict[str, dict[str, Any]]] = {}  # topic -> symbol -> fields that every subscriber has
        self._due: dict[str, int] = {}  # topic -> next push of open interest
        self._charging = {quote.instrument.name: quote.next_ts for quote in self.quotes}
        self._wanted: Mapping[str, None] = {}
        self._opened: deque[int] = deque()
        self._liquidations = Liquidations()

    def addresses(self, authority: str) -> tuple[dict[str, str], str]:
        return {"realtime": f"ws://{authority}/realtime"}, f"http://{authority}/api/v1"

    def accept(self, path: str, query: Mapping[str, str], session_id: str, now_ms: int) -> Session | None:
        if path != "/realtime":
            return None
        while self._opened and self._opened[0] <= now_ms - HOUR_MS:
            self._opened.popleft()
        self._opened.append(now_ms)
        kind = "refused" if len(self._opened) > CONNECTIONS_PER_HOUR else "realtime"
        return Session(kind, session_id, now_ms, last_in_ms=now_ms)

    def greeting(self, session: Session, now_ms: int) -> list[Out]:
        if session.kind == "refused":
            wait_s = (self._opened[0] + HOUR_MS - now_ms) // 1000 + 1
            text = f"Rate limit exceeded, retry in {wait_s} seconds."
            return [_error(429, text, {}, {"retryAfter": wait_s}), Hangup(1008, "rate limit")]
        welcome = {
            "info": "Welcome to the BitMEX Realtime API.",
            "version": "2.0.0",
            "timestamp": iso(now_ms),
            "docs": "https://www.bitmex.com/app/wsAPI",
            "heartbeatEnabled": False,
            "appName": "ws-feedhandler",
        }
        return [Frame(encode(welcome))]

    def received(self, session: Session, text: str, now_ms: int) -> list[Out]:
        session.count_in(now_ms)
        if text == "ping":
            return [Frame("pong")]
        request = parse(text)
        if not isinstance(request, dict) or request.get("op") not in ("subscribe", "unsubscribe"):
            return [_error(400, UNRECOGNIZED, request if isinstance(request, dict) else {})]
        arguments = request.get("args")
        topics = [arguments] if isinstance(arguments, str) else strings(arguments)
        if not topics:
            return [_error(400, f"args is required. {SEE}", request)]
        if len(topics) > MAX_ARGS:
            return [_error(400, f"Too many args sent. Max length is {MAX_ARGS}", request)]
        for topic in topics:  # one bad topic fails the whole request
            problem = self._problem(topic)
            if problem is not None:
                return [_error(400, problem, request)]
        replies: list[Out] = []
        for topic in topics:
            replies += self._subscription(session, str(request["op"]), topic, request, now_ms)
        return replies

    def _problem(self, topic: str) -> str | None:
        table, _, name = topic.partition(":")
        if table not in KEYS:
            return f"Unknown table: {table}. {SEE}"
        return f"Unknown or expired symbol: {name}. {SEE}" if name and name not in self._by_name else None

    def _subscription(
        self, session: Session, operation: str, topic: str, request: dict[str, Any], now_ms: int
    ) -> list[Out]:
        if operation == "unsubscribe":
            session.topics.pop(topic, None)
        pool = {"pool": "Aggregated"} if topic.startswith("trade") else {}
        ack = Frame(encode({"success": True, operation: topic, **pool, "request": request}))
        if operation == "unsubscribe" or topic in session.topics:
            return [ack]
        session.topics[topic] = None
        return [ack, Frame(self._partial(topic, now_ms), topic)]  # before the acks of the topics that follow

    def pushes(self, wanted: Mapping[str, None], now_ms: int) -> Iterator[Frame]:
        self._wanted = dict(wanted)
        if now_ms % 1000 != 0:
            return
        charged = self._settled()
        wants_liquidations = any(topic.startswith("liquidation") for topic in wanted)
        events = self._liquidations.advance(self.quotes if wants_liquidations else ())
        for topic in wanted:
            table, _, name = topic.partition(":")
            quotes = [self._by_name[name]] if name else self.quotes
            if table == "instrument":
                yield from self._updates(topic, quotes, now_ms)
            elif table == "liquidation":
                yield from _liquidated(topic, [event for event in events if name in ("", event.symbol)])
            else:
                if table == "trade":
                    rows = [row for quote in quotes for row in trades(quote, quote.trades())]
                    rows += referential(quotes, now_ms) if not name and now_ms % INDEX_PRINT_MS == 0 else []
                else:
                    rows = [charged[quote.instrument.name] for quote in quotes if quote.instrument.name in charged]
                if rows:
                    yield Frame(_table(table, "insert", rows), topic)

    # -- tables ----------------------------------------------------------------------------------------------------

    def _partial(self, topic: str, now_ms: int) -> str:
        table, _, name = topic.partition(":")
        quotes: Sequence[Quote] = [self._by_name[name]] if name else self.quotes
        if table == "instrument":
            rows = [self._whole(quote, now_ms) for quote in quotes]
            if topic not in self._wanted:  # else the next update is still relative to what the others have
                self._told[topic] = {quote.instrument.name: _moving(quote) for quote in quotes}
            rows += foreign(quotes[0]) if not name and quotes else []
        elif table == "trade":  # the latest trades, which may be old
            rows = [row for quote in quotes for row in trades(quote, quote.trades()[-1:] or list(quote.recent)[-1:])]
        elif table == "liquidation":
            rows = self._liquidations.rows(name)
        else:
            rows = [_charged(quote, *quote.settlements[-1]) for quote in quotes if quote.settlements]
        pool = {"pool": "Aggregated"} if table == "trade" else {}
        return encode(
            {
                "table": table,
                "action": "partial",
                "keys": KEYS[table],
                "types": TYPES[table],
                "filter": {**pool, "symbol": name} if name else pool,
                "data": rows,
            }
        )

    def _whole(self, quote: Quote, now_ms: int) -> dict[str, Any]:
        item = quote.instrument
        before, high, low = self.model.state(item.symbol).day()
        scale = item.multiplier
        return full_row(quote, now_ms, (before * scale, high * scale, low * scale))

    def _updates(self, topic: str, quotes: Sequence[Quote], now_ms: int) -> Iterator[Frame]:
        """Changed fields of changed rows; open interest in messages of its own, without a time."""
        told = self._told.setdefault(topic, {})
        rows = []
        for quote in quotes:
            name = quote.instrument.name
            before, after = told.get(name, {}), _moving(quote)
            told[name] = after
            changed = {key: value for key, value in after.items() if before.get(key) != value}
            if changed:
                rows.append({"symbol": name, **changed, "timestamp": iso(now_ms // 500 * 500)})
        if rows:
            yield Frame(_table("instrument", "update", rows), topic)
        if now_ms >= self._due.setdefault(topic, now_ms + self.rng.randrange(*OI_EVERY_MS)):
            self._due[topic] = now_ms + self.rng.randrange(*OI_EVERY_MS)
            interests = [{"symbol": quote.instrument.name, "openInterest": round(quote.contracts)} for quote in quotes]
            yield Frame(_table("instrument", "update", interests), topic)

    def _settled(self) -> dict[str, dict[str, Any]]:
        """Funding rows of the settlements since the last beat."""
        rows = {}
        for quote in self.quotes:
            name = quote.instrument.name
            if self._charging[name] != quote.next_ts:
                self._charging[name] = quote.next_ts
                rows[name] = _charged(quote, *quote.settlements[-1])
        return rows

    # -- HTTP ------------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: Mapping[str, str], body: str, now_ms: int) -> Answer:
        if method != "GET":
            return _refused(405, "Method Not Allowed")
        if path == "/api/v1/instrument/active":
            rows = [self._whole(quote, now_ms) for quote in self.quotes]
            return Answer(200, encode(rows + (foreign(self.quotes[0]) if self.quotes else [])))
        if path == "/api/v1/instrument":
            name = query.get("symbol")
            kept = [quote for quote in self.quotes if name is None or quote.instrument.name == name]
            return Answer(200, encode([self._whole(quote, now_ms) for quote in kept]))
        if path == "/api/v1/funding":
            return self._past_funding(query)
        return _refused(404, "Not Found")

    def _past_funding(self, query: Mapping[str, str]) -> Answer:
        """Settled rates, oldest first unless `reverse`, from `startTime` to `endTime`."""
        name, count = query.get("symbol"), query.get("count", "100")
        if not (count.isdecimal() and 0 < int(count) <= MAX_ROWS):
            return _refused(400, f"Maximum result count is {MAX_ROWS}")
        first, last = epoch_ms(query.get("startTime", "2010-01-01")), epoch_ms(query.get("endTime", "2100-01-01"))
        if first is None or last is None:
            return _refused(400, "startTime or endTime is not a date")
        kept = [quote for quote in self.quotes if name is None or quote.instrument.name == name]
        settled = [(at, rate, quote) for quote in kept for at, rate in quote.settlements if first <= at <= last]
        settled.sort(key=lambda row: row[0], reverse=query.get("reverse") == "true")
        return Answer(200, encode([_charged(quote, at, rate) for at, rate, quote in settled[: int(count)]]))


def _charged(quote: Quote, at_ms: int, rate: float) -> dict[str, Any]:
    return {
        "timestamp": iso(at_ms),
        "symbol": quote.instrument.name,
        "fundingInterval": interval(quote),
        "fundingRate": rate,
        "fundingRateDaily": round(rate * 24 / quote.instrument.interval_h, 8),
    }


def _liquidated(topic: str, events: list[Event]) -> Iterator[Frame]:
    """Each change in a message of its own."""
    for event in events:
        yield Frame(_table("liquidation", event.action, [event.row]), topic)


def _moving(quote: Quote) -> dict[str, Any]:
    return {**prices(quote), **funding(quote)}


def _table(table: str, action: str, rows: list[dict[str, Any]]) -> str:
    return encode({"table": table, "action": action, "data": rows})


def _error(status: int, text: str, request: dict[str, Any], meta: dict[str, Any] | None = None) -> Frame:
    return Frame(encode({"status": status, "error": text, "meta": meta or {}, "request": request}))


def _refused(status: int, message: str) -> Answer:
    return Answer(status, encode({"error": {"message": message, "name": "HTTPError"}}))
