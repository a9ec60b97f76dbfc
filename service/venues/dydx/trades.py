"""dYdX v4: trades, the liquidations among them, and settled funding.

Facts from the venue page: the answer to a `v4_trades` subscription is history and left out; `side` is the taker's,
`size` coins; `type` LIQUIDATED: the taker was being liquidated, so SELL closed a long, and every liquidation of a
subscribed market is told; DELEVERAGED is no trade of a taker's. 32 markets a connection; the server sends no answer to
a JSON ping, so `v4_block_height` (a message a block, about each second) tells a living socket from a dead one.
Past: `GET /historicalFunding/{ticker}` (Indexer API documentation; newest first, `limit`). The oracle's past, which
would be the marks, is not published (candles are of trades), and the open interest that candles do carry is left out
with it: a venue without marks cannot count, and its open interest alone would only lower the coverage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import orjson

from service.errors import BadPayload
from service.model import Decoded, Endpoints, ExtraStream, Listing, PositionSide
from service.venues.contract import ConnectionPlan, Request, sockets
from service.venues.emit import HOUR_MS, guarded, items, label, mapping, need
from service.venues.history import context_of, same_name
from service.venues.liquidations import is_buy
from service.venues.numbers import coins, iso_ms, price, rate, text
from service.venues.trades import Print, TradeReader, traded

TRADES = "v4_trades"
BLOCKS = "v4_block_height"
QUIET_S = 60.0  # dozens of blocks
INTERVAL_H = 1.0
INTERVALS_H = (1,)
MAX_NAME = 128  # permissionless markets: PEPE,RAYDIUM,<address>-USD
LIQUIDATED = "LIQUIDATED"
DELEVERAGED = "DELEVERAGED"


def market_name(value: Any) -> str:
    """A market's ticker, which may be longer than other venues' names. Raises :exc:`BadPayload`."""
    if type(value) is not str:
        raise BadPayload("wrong_type", f"{type(value).__name__} where a ticker belongs")
    if not value or len(value) > MAX_NAME:
        raise BadPayload("bad_name", repr(value[:40]))
    return value


def subscription(channel: str, market: str | None = None) -> str:
    """One request; updates come in batches."""
    request: dict[str, object] = {"type": "subscribe", "channel": channel}
    if market is not None:
        request["id"] = market
    return orjson.dumps(request | {"batched": True}).decode()


def extra_connections(
    url: str, listings: Sequence[Listing], extras: Sequence[ExtraStream], most: int
) -> list[ConnectionPlan]:
    """Trades bring the liquidations too. Each socket hears the blocks, a channel with a limit of its own."""
    if "flow" not in extras and "liquidation" not in extras:
        return []
    return sockets("extra", url, listings, most, _requests, (), quiet_s=QUIET_S)


def _requests(listings: Sequence[Listing]) -> tuple[str, ...]:
    return subscription(BLOCKS), *(subscription(TRADES, item.instrument) for item in listings)


def history(endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
    """Settled funding, with the rate in force at the beginning."""
    rows = (now_ms - since_ms) // HOUR_MS + 2
    url = f"{endpoints.rest}/historicalFunding/{quote(listing.instrument, safe='')}?limit={rows}"
    return [Request("GET", url, context=context_of("funding", listing.instrument))]


class DydxTrades(TradeReader):
    """The decoder's part for these."""

    def _trades(self, market: Any, parts: list[Any], recv_ts: int, out: list[Decoded]) -> None:
        """The trades of one message: of one market, in one or several contents."""
        listing = self._listing(market_name(market))
        if listing is None:
            return
        prints: list[Print] = []
        for part in parts:
            guarded(out, self._part, listing, part, prints, out)
        self._tell_trades(prints, False, recv_ts, out)

    def _part(self, listing: Listing, part: Any, prints: list[Print], out: list[Decoded]) -> None:
        for row in items(need(mapping(part, "contents"), "trades"), "trades"):
            guarded(out, self._trade, listing, row, prints)

    def _trade(self, listing: Listing, row: Any, prints: list[Print]) -> None:
        fields = mapping(row, "trade")
        kind, bought = label(fields.get("type", ""), "type"), is_buy(need(fields, "side"))
        each, amount = price(need(fields, "price")), traded(coins(need(fields, "size")) * listing.multiplier)
        at, key = iso_ms(need(fields, "createdAt")), text(need(fields, "id"))
        if kind != DELEVERAGED:
            closed: PositionSide = "short" if bought else "long"
            liquidated = (closed,) if kind == LIQUIDATED else ()
            prints.append(Print(listing, bought, amount, each, at, key, liquidated))

    def _past_rows(self, parsed: Any, what: str, name: str, recv_ts: int, out: list[Decoded]) -> None:
        listing = self._settling(what, name)
        rows = items(need(mapping(parsed, "answer"), "historicalFunding"), "historicalFunding")
        self._tell_history(listing, what, rows, INTERVALS_H, INTERVAL_H, recv_ts, out)

    def _history_rate(self, listing: Listing, row: Any, settled: list[tuple[int, float]]) -> None:
        """A rate of an hour, stamped with the first block after it."""
        fields = mapping(row, "historicalFunding[]")
        same_name(market_name(need(fields, "ticker")), listing.instrument)
        settled.append((iso_ms(need(fields, "effectiveAt")), rate(need(fields, "rate"))))
