"""Hyperliquid: trades of a coin, and its settled funding.

Facts from the venue page. `trades`: `side` is the aggressor's, "B" bought, "A" sold; `sz` in units of the coin's name;
(time, coin, tid) identifies a trade, `tid` alone does not. On subscribing the last 30 fills are sent again without any
mark: what is older than the acknowledgement is left out. There is no public liquidation channel, and liquidations in
the book look like any trade: none are told. The address' 1,000 subscriptions and 10 sockets are shared by all streams.
Past: `fundingHistory` (at most 500 rows, weight 20 and 1 per 20 rows) only. `candleSnapshot` is of trades, not of the
mark, the oracle's past is not published, and open interest is only told as of now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from service.errors import BadPayload
from service.model import Decoded, Endpoints, ExtraStream, Listing
from service.venues.contract import ConnectionPlan, KeepAlive, Request, sockets
from service.venues.emit import HOUR_MS, guarded, items, label, mapping, need
from service.venues.history import context_of, same_name
from service.venues.numbers import coins, price, rate, text, timestamp_ms
from service.venues.trades import Print, TradeReader, traded

MAX_CONNECTIONS = 10
MAX_SUBSCRIPTIONS = 1000
INTERVAL_H = 1.0
INTERVALS_H = (1, 8)  # 8 h until mid 2023; other spacings in the history are late or missing rows
PAST_INTERVALS_H = (1,)  # of the days a start asks for: eight hours between two rows are missing rows
KEEPALIVE = KeepAlive('{"method":"ping"}', 30.0)
SIDES = {"B": True, "A": False}
FUNDINGS_PER_WEIGHT = 20


def requests_for(kind: str) -> Callable[[Sequence[Listing]], tuple[str, ...]]:
    """One request a coin: there is no batching."""
    return lambda part: tuple(
        orjson.dumps({"method": "subscribe", "subscription": {"type": kind, "coin": item.instrument}}).decode()
        for item in part
    )


def extra_connections(
    url: str, listings: Sequence[Listing], extras: Sequence[ExtraStream], most: int, taken: int
) -> list[ConnectionPlan]:
    """Trades, on what subscriptions and sockets the main streams (``taken`` sockets) leave: first listings first."""
    left = MAX_CONNECTIONS - taken
    room = MAX_SUBSCRIPTIONS - len(listings)
    if "flow" not in extras or left <= 0 or room <= 0:
        return []
    wanted = listings[:room]
    each = max(most, -(-len(wanted) // left))
    return sockets("extra", url, wanted, each, requests_for("trades"), (), KEEPALIVE)


def history(endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
    """Settled funding, from the hour before on: the rate in force at the beginning."""
    since_ms -= HOUR_MS
    rows = (now_ms - since_ms) // HOUR_MS + 1
    body = {"type": "fundingHistory", "coin": listing.instrument, "startTime": since_ms, "endTime": now_ms}
    weight = 20.0 + -(-rows // FUNDINGS_PER_WEIGHT)
    context = context_of("funding", listing.instrument)
    return [Request("POST", f"{endpoints.rest}/info", weight, orjson.dumps(body).decode(), context)]


class HyperliquidExtras(TradeReader):
    """The decoder's part for these."""

    def _acknowledged(self, asked: dict[str, Any], recv_ts: int) -> None:
        if asked.get("type") == "trades" and type(asked.get("coin")) is str:
            self._begin(asked["coin"], recv_ts)

    def _trades(self, rows: list[Any], recv_ts: int, out: list[Decoded]) -> None:
        prints: list[Print] = []
        for row in rows:
            guarded(out, self._trade, row, prints)
        self._tell_trades(prints, False, recv_ts, out)

    def _trade(self, row: Any, prints: list[Print]) -> None:
        fields = mapping(row, "trade")
        listing = self._listing(text(need(fields, "coin")))
        if listing is None:
            return
        side = label(need(fields, "side"), "side")
        if side not in SIDES:
            raise BadPayload("unknown_shape", f"side {side}")
        each, amount = price(need(fields, "px")), coins(need(fields, "sz")) * listing.multiplier
        at, tid = timestamp_ms(need(fields, "time")), need(fields, "tid")
        if type(tid) is not int:
            raise BadPayload("wrong_type", "tid")
        prints.append(Print(listing, SIDES[side], traded(amount), each, at, str(tid)))

    def _past_rows(self, parsed: Any, what: str, name: str, recv_ts: int, out: list[Decoded]) -> None:
        listing = self._settling(what, name)
        self._tell_history(listing, what, items(parsed, "fundingHistory"), PAST_INTERVALS_H, INTERVAL_H, recv_ts, out)

    def _history_rate(self, listing: Listing, row: Any, settled: list[tuple[int, float]]) -> None:
        fields = mapping(row, "fundingHistory[]")
        same_name(text(need(fields, "coin")), listing.instrument)
        settled.append((timestamp_ms(need(fields, "time")), rate(need(fields, "fundingRate"))))
