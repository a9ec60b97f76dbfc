"""Bitget's product lines, trades, liquidations, long/short ratios and published past.

Facts from the venue page: the side of a trade is the taker's, its size in base coins on every product line; the
`snapshot` of a trade channel is history. Liquidations exist on the v3 socket only, one channel a product line; their
`side` is the position's and their `amount` is in quote coins; of a second only the largest is told, so they are a
lower bound.
Bars: `candles` with `kLineType` MARK or INDEX (API documents, "Get Candlestick Data": stamped at their opening, the
last one may still change, 1,000 at most). Settled rates: "Get Historical Funding Rates", 100 a page. Ratios: "Futures
Active Long Short Account/Position Data", periods of 5 minutes, one request a second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from service.errors import BadPayload
from service.model import Decoded, ExtraStream, Listing, LongShortKind, PositionSide
from service.venues.contract import ConnectionPlan, KeepAlive, Poll, Request, sockets
from service.venues.emit import guarded, items, label, mapping, need
from service.venues.history import MINUTE_MS, Bars, context_of, newest_first, pages, same_name, subject_of
from service.venues.liquidations import LiquidationReader, is_buy
from service.venues.numbers import coins, number, price, rate, text, timestamp_ms
from service.venues.symbols import base_of
from service.venues.trades import Print, traded

PRODUCTS = ("USDT-FUTURES", "COIN-FUTURES", "USDC-FUTURES")
QUOTES = {"USDT-FUTURES": ("USDT",), "COIN-FUTURES": ("USD",), "USDC-FUTURES": ("PERP", "USDC")}  # name endings
INTERVALS_H = (1, 2, 4, 8)
KEEPALIVE = KeepAlive("ping", 30.0)
RATIO = "long_short:"  # context of a ratio answer: its rows do not name the instrument
RATIO_EVERY_S = 300.0
RATIO_MOST_S = 800.0  # a ratio is fresh for 900 s
RATIO_GAP_S = 1.25  # seconds between two requests: the venue allows one a second
RATIOS: dict[str, tuple[LongShortKind, str]] = {"account": ("account", "Account"), "position": ("position", "Position")}
BARS = {"mark": "MARK", "index": "INDEX"}
BARS_A_PAGE = 1000
RATES_A_PAGE = 100
TRADE_KEYS = {False: ("side", "size", "price", "ts", "tradeId"), True: ("S", "v", "p", "T", "i")}  # v2; v3 (UTA)


def product_of(name: str) -> str | None:
    """The product line a perpetual's name belongs to; None: not the name of a perpetual.

    >>> product_of("BTCUSDT"), product_of("BTCUSD"), product_of("BTCPERP"), product_of("BTCUSDZ25")
    ('USDT-FUTURES', 'COIN-FUTURES', 'USDC-FUTURES', None)
    """
    return next((product for product in PRODUCTS if base_of(name, QUOTES[product]) is not None), None)


def subscription(**argument: str | None) -> str:
    """The request for one channel."""
    return orjson.dumps({"op": "subscribe", "args": [argument]}).decode()


def requests_for(channel: str) -> Callable[[Sequence[Listing]], tuple[str, ...]]:
    """The requests for some instruments' channel of the v2 socket, one each."""
    return lambda part: tuple(
        subscription(instType=product_of(item.instrument), channel=channel, instId=item.instrument) for item in part
    )


def extra_plans(
    url: str, listings: Sequence[Listing], extras: Sequence[ExtraStream], most: int
) -> list[ConnectionPlan]:
    """Liquidations of all product lines on one v3 socket, trades on v2 sockets of their own. ``url``: the v2 socket."""
    plans: list[ConnectionPlan] = []
    if "liquidation" in extras:
        lines = [line for line in PRODUCTS if any(product_of(item.instrument) == line for item in listings)]
        frames = tuple(subscription(instType=line.lower(), topic="liquidation") for line in lines)
        if frames:
            v3 = url.replace("/v2/ws/", "/v3/ws/")  # the same host, as the venue page has it
            plans.append(ConnectionPlan("liquidation-extra-1", v3, frames, (), len(frames), KEEPALIVE))
    if "flow" in extras:
        plans += sockets("trade-extra", url, listings, most, requests_for("trade"), (), KEEPALIVE)
    return plans


def ratio_polls(rest: str, listings: Sequence[Listing], budget: float) -> list[Poll]:
    """Ratios of the USDT line (the endpoint knows no other). Each request takes the whole second's ``budget``: one a
    second is allowed. Accounts come first; position shares only where both fit into the freshness of a ratio.
    """
    names = [item.instrument for item in listings if product_of(item.instrument) == PRODUCTS[0]]
    kinds = list(RATIOS) if 2 * len(names) * RATIO_GAP_S <= RATIO_MOST_S else ["account"]
    every_s = max(RATIO_EVERY_S, len(kinds) * len(names) * RATIO_GAP_S)
    return [
        Poll(
            Request(
                "GET",
                f"{rest}/api/v2/mix/market/{kind}-long-short?symbol={name}&period=5m",
                weight=budget,
                context=f"{RATIO}{kind}:{name}",
            ),
            every_s,
        )
        for kind in kinds
        for name in names
    ]


def history_requests(rest: str, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
    """Bars of mark and index, then the settled rates."""
    name, base = listing.instrument, f"{rest}/api/v2/mix/market"
    product = product_of(name)
    if product is None:
        return []
    what = f"symbol={name}&productType={product.lower()}"
    bars: list[list[Request]] = []
    for stream, kind in BARS.items():
        series = []
        for first, last in pages(since_ms, now_ms, MINUTE_MS, BARS_A_PAGE - 2):  # both ends may count
            span = f"startTime={first}&endTime={last + MINUTE_MS}&limit={BARS_A_PAGE}"
            url = f"{base}/candles?{what}&granularity=1m&kLineType={kind}&{span}"
            series.append(Request("GET", url, context=context_of(stream, name)))
        bars.append(series)
    rates = f"{base}/history-fund-rate?{what}&pageSize={RATES_A_PAGE}"
    return newest_first(*bars, [Request("GET", rates, context=context_of("funding", name))])


class BitgetExtras(LiquidationReader):
    """The part of the decoder that reads them."""

    def _trades(self, frame: dict[str, Any], name: str, modern: bool, recv_ts: int, out: list[Decoded]) -> None:
        action = label(need(frame, "action"), "action")
        if action == "snapshot":
            return  # what was traded before we subscribed
        if action != "update":
            raise BadPayload("unknown_shape", f"action {action}")
        listing = self._listing(name)
        if listing is None:
            return
        prints: list[Print] = []
        for row in items(need(frame, "data"), "data"):
            guarded(out, self._trade, row, listing, TRADE_KEYS[modern], prints)
        self._tell_trades(prints, False, recv_ts, out)

    @staticmethod
    def _trade(row: Any, listing: Listing, keys: tuple[str, str, str, str, str], prints: list[Print]) -> None:
        fields = mapping(row, "data[]")
        side, size, each, at, key = (need(fields, name) for name in keys)
        amount = traded(coins(size) * listing.multiplier)
        prints.append(Print(listing, is_buy(side), amount, price(each), timestamp_ms(at), text(key)))

    def _liquidations(self, frame: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        for row in items(need(frame, "data"), "data"):
            guarded(out, self._liquidated, row, recv_ts, out)

    def _liquidated(self, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        """One position closed by force: `buy` was a long one."""
        fields = mapping(row, "data[]")
        listing = self._listing(text(need(fields, "symbol")))
        if listing is None:
            return
        side: PositionSide = "long" if is_buy(need(fields, "side")) else "short"
        each, quoted = price(need(fields, "price")), coins(need(fields, "amount"))
        at, amount = timestamp_ms(need(fields, "ts")), quoted / each * listing.multiplier
        key = f"{listing.instrument} {at} {side} {quoted} {each}"
        self._tell_liquidation(key, listing, side, amount, each, True, at, recv_ts, out)

    # -- HTTP answers ------------------------------------------------------------------------------------------

    def _extra_answer(self, data: Any, recv_ts: int, context: str, out: list[Decoded]) -> bool:
        """Whether the answer was one of ours, told by its context."""
        asked = subject_of(context)
        if context.startswith(RATIO):
            kind, _, name = context.removeprefix(RATIO).partition(":")
            if kind in RATIOS:
                self._ratio(kind, name, items(data, "data"), recv_ts, out)
            return True
        if asked is None:
            return False
        listing = self._listing(asked[1])
        if listing is not None:
            hours = self._catalog.intervals_h.get(listing.instrument, listing.interval_h)
            self._tell_history(listing, asked[0], items(data, "data"), INTERVALS_H, hours, recv_ts, out)
        return True

    def _ratio(self, kind: str, name: str, rows: list[Any], recv_ts: int, out: list[Decoded]) -> None:
        """The newest of the rows, whatever their order."""
        listing = self._listing(name)
        shares: list[tuple[int, float]] = []
        for row in rows:
            guarded(out, self._share, row, RATIOS[kind][1], shares)
        if listing is not None and shares:
            at, share = max(shares)
            out.append(self._long_short(listing, RATIOS[kind][0], share, at, recv_ts))

    @staticmethod
    def _share(row: Any, what: str, into: list[tuple[int, float]]) -> None:
        """Long over both, so that it does not matter whether they are fractions or percentages."""
        fields = mapping(row, "data[]")
        long, short = (number(need(fields, f"{side}{what}Ratio"), 0.0, 100.0) for side in ("long", "short"))
        if long + short <= 0.0:
            raise BadPayload("out_of_bounds", "neither long nor short")
        into.append((timestamp_ms(need(fields, "ts")), long / (long + short)))

    def _history_rate(self, listing: Listing, row: Any, settled: list[tuple[int, float]]) -> None:
        fields = mapping(row, "data[]")
        same_name(text(need(fields, "symbol")), listing.instrument)
        settled.append((timestamp_ms(need(fields, "fundingTime")), rate(need(fields, "fundingRate"))))

    def _history_bar(self, listing: Listing, stream: Bars, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        """[opening, open, high, low, close, ...]"""
        values = items(row, "data[]")
        if len(values) < 5:
            raise BadPayload("missing_field", "close of a bar")
        opened, close = timestamp_ms(values[0]), price(values[4])
        self._bar(listing, stream, opened, close, recv_ts, out)
