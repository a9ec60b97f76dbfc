"""Kraken Futures' trades with the liquidations among them, and its published past.

Facts from the venue page: `side` is the taker's; `liquidation` and `termination` trades are forced, the taker side
being the liquidated one's order (sell: a long position); a termination unwinds a position outside the book, so it is
no taker flow, and neither are block and assignment trades. `trade_snapshot` replays the last trades on subscribing;
the first live trade may be among them (`seq` counts per product). The socket has no client ping of its own, so the
`heartbeat` feed shows that it lives.
History: "Market Candles" (`mark`, and `spot`, which is the index: same price, no volume) of the charts API, stamped at
their opening in ms, 2,000 a page as measured (5,000 documented); "Market Analytics" `open-interest`: buckets of open,
high, low, close, stamped at their start in seconds, whose last close is the ticker's value (ccxt pull request 30121);
settled rates at `/derivatives/api/v4/historicalfundingrates` (v3 answers 404). In which unit the analytics count
inverse contracts is not said: their open interest is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from service.errors import BadPayload
from service.model import Decoded, ExtraStream, Listing, PositionSide
from service.venues.contract import Catalog, ConnectionPlan, Request, sockets
from service.venues.emit import HOUR_MS, guarded, items, label, mapping, need
from service.venues.history import MINUTE_MS, context_of, newest_first, pages, subject_of
from service.venues.liquidations import is_buy
from service.venues.numbers import COINS_MAX, coins, iso_ms, number, price, rate, text, timestamp_ms
from service.venues.trades import Print, TradeReader, traded

INTERVAL_H = 1.0  # the unit of every relative rate, also of those fixed for four hours before 29 September 2022
FORCED = ("liquidation", "termination")
TAKEN = ("fill", "liquidation")
KINDS = (*FORCED, "fill", "block", "assignment")
QUIET_S = 180.0
INTEREST_MS = 300_000
BARS = {"mark": "mark", "index": "spot"}
BARS_A_PAGE = 2000
API = "/derivatives/api/v3"
RATES_MS = 96 * HOUR_MS  # the answer goes back a year: older rates are of no use
SEQ_MAX = 1e15


def subscription(feed: str, name: str | None = None) -> str:
    """The request for one product's feed, or for one without products."""
    products = {} if name is None else {"product_ids": [name]}
    return orjson.dumps({"event": "subscribe", "feed": feed, **products}).decode()


def requests_for(feed: str, *first: str) -> Callable[[Sequence[Listing]], tuple[str, ...]]:
    """The requests for a feed of some products, one each, after those that come ``first``."""
    return lambda part: (*first, *(subscription(feed, item.instrument) for item in part))


def extra_plans(
    url: str, listings: Sequence[Listing], extras: Sequence[ExtraStream], most: int
) -> list[ConnectionPlan]:
    """Trades, liquidations among them, on sockets with a heartbeat."""
    if "flow" not in extras and "liquidation" not in extras:
        return []
    trades = requests_for("trade", subscription("heartbeat"))
    return sockets("trade-extra", url, listings, most - 1, trades, (), quiet_s=QUIET_S)


def history_requests(rest: str, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
    """Bars of mark, open interest, bars of index, settled rates."""
    name, root = listing.instrument, rest.removesuffix(API)
    charts = f"{root}/api/charts/v1"
    bars: dict[str, list[Request]] = {}
    for stream, tick in BARS.items():
        bars[stream] = [
            Request(
                "GET",
                f"{charts}/{tick}/{name}/1m?from={first // 1000}&to={last // 1000}",
                context=context_of(stream, name),
            )
            for first, last in pages(since_ms, now_ms, MINUTE_MS, BARS_A_PAGE)
        ]
    interest = [
        Request(
            "GET",
            f"{charts}/analytics/{name}/open-interest?since={first // 1000}&to={last // 1000}&interval=300",
            context=context_of("oi", name),
        )
        for first, last in pages(since_ms, now_ms, INTEREST_MS, BARS_A_PAGE)
        if not listing.inverse
    ]
    rates = Request(
        "GET",
        f"{root}/derivatives/api/v4/historicalfundingrates?symbol={name}",
        context=context_of("funding", name),
    )
    return newest_first(bars["mark"], interest, bars["index"], [rates])


class KrakenFuturesExtras(TradeReader):
    """The part of the decoder that reads them."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog)
        self._replayed: dict[str, int] = {}  # product -> newest trade of the replay on this connection

    def _trade_feed(self, feed: str, frame: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        listing = self._listing(text(need(frame, "product_id")).upper())
        if listing is None:
            return
        if feed == "trade_snapshot":
            for row in items(need(frame, "trades"), "trades"):
                guarded(out, self._replay, listing.instrument, row)
            return
        kind = label(need(frame, "type"), "type")
        if kind not in KINDS:
            raise BadPayload("unknown_shape", f"trade of type {kind}"[:80])
        buys, contracts, each = is_buy(need(frame, "side")), coins(need(frame, "qty")), price(need(frame, "price"))
        at, seq = timestamp_ms(need(frame, "time")), _sequence(frame)
        if kind not in (*FORCED, *TAKEN) or seq <= self._replayed.get(listing.instrument, -1):
            return
        amount = self._coins_in(listing, contracts, each, out)
        if amount is None:
            return
        side: PositionSide = "short" if buys else "long"
        forced = (side,) if kind in FORCED else ()
        item = Print(listing, buys, traded(amount), each, at, str(seq), forced)
        if kind in TAKEN:
            self._tell_trades([item], False, recv_ts, out)
        elif self._news(listing.instrument, [item], recv_ts):
            out.append(self._liquidation(listing, side, item.coins, each, False, at, recv_ts))

    def _replay(self, name: str, row: Any) -> None:
        seq = _sequence(mapping(row, "trades[]"))
        self._replayed[name] = max(seq, self._replayed.get(name, seq))

    # -- HTTP answers ------------------------------------------------------------------------------------------

    def _past_answer(self, frame: dict[str, Any], recv_ts: int, context: str, out: list[Decoded]) -> bool:
        """Whether the answer was one of history, told by its context."""
        asked = subject_of(context)
        if asked is None:
            return False
        what, name = asked
        listing = self._listing(name)
        if what == "oi":
            result = frame.get("result")
            if type(result) is not dict:
                return False  # a refusal
            if listing is not None:
                self._buckets(listing, result, recv_ts, out)
            return True
        rows = frame.get("rates" if what == "funding" else "candles")
        if rows is None:
            return False
        if listing is not None:
            read = self._settled_rate if what == "funding" else self._bar_row
            for row in items(rows, "rows"):
                guarded(out, read, row, listing, what, recv_ts, out)
        return True

    def _bar_row(self, row: Any, listing: Listing, what: str, recv_ts: int, out: list[Decoded]) -> None:
        fields = mapping(row, "candles[]")
        opened, close = timestamp_ms(need(fields, "time")), price(need(fields, "close"))
        if what in BARS:
            self._bar(listing, "mark" if what == "mark" else "index", opened, close, recv_ts, out)

    def _settled_rate(self, row: Any, listing: Listing, what: str, recv_ts: int, out: list[Decoded]) -> None:
        fields = mapping(row, "rates[]")
        at = iso_ms(need(fields, "timestamp"))
        if at >= recv_ts - RATES_MS:
            settled = [(at, rate(need(fields, "relativeFundingRate")))]
            self._history_funding(listing, settled, (), INTERVAL_H, recv_ts, out)

    def _buckets(self, listing: Listing, result: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        """Two arrays side by side: times in seconds, buckets of four values."""
        times, buckets = items(need(result, "timestamp"), "timestamp"), items(need(result, "data"), "data")
        if len(times) != len(buckets):
            raise BadPayload("size_mismatch", f"{len(times)} times, {len(buckets)} values")
        if not listing.inverse:
            for at, bucket in zip(times, buckets, strict=True):
                guarded(out, self._bucket, at, bucket, listing, recv_ts, out)

    def _bucket(self, at: Any, bucket: Any, listing: Listing, recv_ts: int, out: list[Decoded]) -> None:
        values = items(bucket, "data[]")
        if len(values) != 4:
            raise BadPayload("size_mismatch", f"bucket of {len(values)} values")
        opened = timestamp_ms(number(at, 0.0, COINS_MAX) * 1000)
        self._history_interest(listing, opened, INTEREST_MS, coins(values[3]), recv_ts, out)


def _sequence(fields: dict[str, Any]) -> int:
    """A trade's number within its product."""
    return int(number(need(fields, "seq"), 0.0, SEQ_MAX))
