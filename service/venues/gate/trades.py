"""Gate's trades, liquidations, statistics and published past.

Facts from the venue page: sizes are contracts; a trade's sign is the taker's side, `is_internal` marks what the
insurance fund or deleveraging took over. The sign of a liquidation is undocumented: it is read here as that of an
order, as of trades and as implementers do (negative: sold, so a long position was liquidated); the REST description
reads as the position's, so the direction is not certain. Until August 2026 one a second and contract was told:
liquidations are a lower bound. The WebSocket page swaps `lsr_taker` and `lsr_account`, the REST page is right.
Top traders' sizes (`top_long_size`, `top_short_size`, contracts) are in the statistics since April 2026 (API v4
changelog, 4.106.73). Bars: `candlesticks` of `mark_`/`index_` contracts, 2,000 at most; open interest:
`contract_stats` with `from`, `interval`, `limit` (API v4, Futures). Whether a statistic's time is the start of its
period is not said: taken as such, the later of the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from service.errors import BadPayload
from service.model import Decoded, ExtraStream, Listing, LongShortKind, PositionSide, Skipped, Stream
from service.venues.contract import ConnectionPlan, KeepAlive, Poll, Request
from service.venues.emit import contract_coins, echo, guarded, items, mapping, need, said
from service.venues.history import MINUTE_MS, Bars, context_of, newest_first, pages, subject_of
from service.venues.liquidations import LiquidationReader
from service.venues.numbers import COINS_MAX, TS_MAX, TS_MIN, coins, number, price, rate, text, timestamp_ms
from service.venues.trades import Print, traded

TRADES, LIQUIDATIONS, STATISTICS = "futures.trades", "futures.public_liquidates", "futures.contract_stats"
HEADERS = {"X-Gate-Size-Decimal": "1"}  # else fractional sizes are cut off
STATS = "contract_stats:"  # context of statistics: their rows do not name the contract
STATS_EVERY_S = 300.0
STATS_A_PAGE = 100
STATS_MS = 300_000
RATIO_MAX = 1e6
BARS_A_PAGE = 2000
RATES_A_PAGE = 100
INTERVALS_H = (1, 2, 4, 8)
SECONDS_BELOW = 1e11  # a smaller time is in seconds, in fields that have been both
RATIOS: tuple[tuple[LongShortKind, str], ...] = (
    ("account", "lsr_account"),
    ("top_account", "top_lsr_account"),
    ("top_position", "top_lsr_size"),
)


def plan(
    name: str, url: str, channel: str, contracts: Sequence[str], expects: tuple[tuple[str, Stream], ...] = ()
) -> ConnectionPlan:
    """A socket with one request a contract: an unknown one fails its whole request."""
    frames = tuple(  # "time" is left out: a plan is made once, and the server does not ask for it
        orjson.dumps({"id": request, "channel": channel, "event": "subscribe", "payload": [contract]}).decode()
        for request, contract in enumerate(contracts, 1)
    )
    return ConnectionPlan(
        name, url, frames, expects, len(frames), KeepAlive('{"channel":"futures.ping"}', 15.0), headers=HEADERS
    )


def extra_plans(
    settle: str, url: str, listings: Sequence[Listing], extras: Sequence[ExtraStream], most: int
) -> list[ConnectionPlan]:
    """All contracts' liquidations of a settlement currency on one socket, trades on others."""
    plans: list[ConnectionPlan] = []
    names = [item.instrument for item in listings]
    if "liquidation" in extras and names:
        plans.append(plan(f"{settle}-liquidation-extra-1", url, LIQUIDATIONS, ["!all"]))
    if "flow" in extras:
        for number_, start in enumerate(range(0, len(names), most), 1):
            plans.append(plan(f"{settle}-trade-extra-{number_}", url, TRADES, names[start : start + most]))
    return plans


def stats_polls(rest: str, listings: Sequence[Listing]) -> list[Poll]:
    """The newest statistics of each contract; 200 requests in ten seconds are allowed."""
    return [
        Poll(
            Request(
                "GET",
                f"{_futures(rest, item)}/contract_stats?contract={item.instrument}&interval=5m&limit=1",
                context=f"{STATS}{item.instrument}",
            ),
            STATS_EVERY_S,
        )
        for item in listings
    ]


def history_requests(rest: str, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
    """Bars of mark, open interest, bars of index, settled rates."""
    name, base = listing.instrument, _futures(rest, listing)
    bars: dict[str, list[Request]] = {}
    for stream in ("mark", "index"):
        bars[stream] = [
            Request(
                "GET",
                f"{base}/candlesticks?contract={stream}_{name}&interval=1m&from={first // 1000}&to={last // 1000}",
                context=context_of(stream, name),
            )
            for first, last in pages(since_ms, now_ms, MINUTE_MS, BARS_A_PAGE)
        ]
    interest = [
        Request(
            "GET",
            f"{base}/contract_stats?contract={name}&interval=5m&from={first // 1000}&limit={STATS_A_PAGE}",
            context=context_of("oi", name),
        )
        for first, _ in pages(since_ms, now_ms, STATS_MS, STATS_A_PAGE)
    ]
    rates = f"{base}/funding_rate?contract={name}&limit={RATES_A_PAGE}"
    return newest_first(
        bars["mark"], interest, bars["index"], [Request("GET", rates, context=context_of("funding", name))]
    )


def _futures(rest: str, listing: Listing) -> str:
    return f"{rest}/futures/{'btc' if listing.inverse else 'usdt'}"


def from_seconds(value: Any) -> int:
    """Seconds (whole or not) as milliseconds."""
    return int(number(value, TS_MIN / 1000, TS_MAX / 1000) * 1000)


def sent_ms(frame: dict[str, Any]) -> int | None:
    """When the message was sent. ``time_ms`` is missing in old messages and 0 in some of 2023."""
    if frame.get("time_ms", 0) != 0:
        return timestamp_ms(frame["time_ms"])
    return from_seconds(frame["time"]) if "time" in frame else None


def rows_of(result: Any) -> list[Any]:
    """The rows of a message in any of its three shapes."""
    if type(result) is dict:
        return [result]
    rows: list[Any] = []
    for row in items(result, "result"):
        if type(row) is list:
            rows.extend(row)
        else:
            rows.append(row)
    return rows


def _either_ms(value: Any) -> int:
    """A time that has been in seconds and in milliseconds."""
    return from_seconds(value) if number(value, 0.0, TS_MAX) < SECONDS_BELOW else timestamp_ms(value)


class GateExtras(LiquidationReader):
    """The part of the decoder that reads them."""

    def _extra_message(self, channel: str, frame: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        if channel not in (TRADES, LIQUIDATIONS, STATISTICS):
            return  # candles, books: not used
        venue_ts, rows = sent_ms(frame), rows_of(need(frame, "result"))
        if channel == TRADES:
            prints: list[Print] = []
            unsized: dict[str, None] = {}
            for row in rows:
                guarded(out, self._trade, row, prints, unsized)
            out.extend(Skipped(self.venue, name, "unknown_contract_size") for name in unsized)
            self._tell_trades(prints, False, recv_ts, out)
            return
        for row in rows:
            if channel == LIQUIDATIONS:
                guarded(out, self._liquidated, row, venue_ts, recv_ts, out)
            else:
                guarded(out, self._named_statistic, row, recv_ts, out)

    def _trade(self, row: Any, prints: list[Print], unsized: dict[str, None]) -> None:
        fields = mapping(row, "result[]")
        listing = self._listing(text(need(fields, "contract")))
        internal = fields.get("is_internal", False)
        if type(internal) is not bool:
            raise BadPayload("wrong_type", "is_internal")
        if listing is None or internal:
            return
        contracts, each = number(need(fields, "size"), -COINS_MAX, COINS_MAX), price(need(fields, "price"))
        if "create_time_ms" in fields:
            at = _either_ms(fields["create_time_ms"])
        else:
            at = from_seconds(need(fields, "create_time"))
        size, key = contract_coins(listing, each), echo(need(fields, "id"))
        if size is None:
            unsized[listing.instrument] = None
        elif contracts != 0.0:  # 0: a fraction, to who does not ask for decimals
            prints.append(Print(listing, contracts > 0, traded(abs(contracts) * size), each, at, key))

    def _liquidated(self, row: Any, sent: int | None, recv_ts: int, out: list[Decoded]) -> None:
        """One forced order, at its bankruptcy price. `time` was in seconds once, and may be missing."""
        fields = mapping(row, "result[]")
        listing = self._listing(text(need(fields, "contract")))
        if listing is None:
            return
        contracts, each = number(need(fields, "size"), -COINS_MAX, COINS_MAX), price(need(fields, "price"))
        at = _either_ms(fields["time"]) if "time" in fields else sent
        amount = self._coins_in(listing, abs(contracts), each, out)
        if amount is None:
            return
        side: PositionSide = "long" if contracts < 0 else "short"
        key = f"{listing.instrument} {at} {contracts} {each}"
        self._tell_liquidation(key, listing, side, amount, each, True, at, recv_ts, out)

    # -- statistics --------------------------------------------------------------------------------------------

    def _named_statistic(self, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        fields = mapping(row, "result[]")
        listing = self._listing(text(need(fields, "contract")))
        if listing is not None:
            self._statistic(listing, fields, recv_ts, out)

    def _statistic(self, listing: Listing, fields: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        venue_ts = _either_ms(need(fields, "time"))
        for kind, key in RATIOS:
            if fields.get(key, "") != "":
                guarded(out, self._ratio, listing, kind, fields[key], venue_ts, recv_ts, out)
        guarded(out, self._top_traders, listing, fields, venue_ts, recv_ts, out)

    def _ratio(
        self, listing: Listing, kind: LongShortKind, ratio: Any, venue_ts: int, recv_ts: int, out: list[Decoded]
    ) -> None:
        value = number(ratio, 0.0, RATIO_MAX)
        out.append(self._long_short(listing, kind, value / (1 + value), venue_ts, recv_ts))

    def _top_traders(
        self, listing: Listing, fields: dict[str, Any], venue_ts: int, recv_ts: int, out: list[Decoded]
    ) -> None:
        """Absolute sizes; those of an inverse contract are dollars at the statistics' own mark."""
        long, short = said(fields, "top_long_size", coins), said(fields, "top_short_size", coins)
        if long is None or short is None:
            return
        size = contract_coins(listing, price(need(fields, "mark_price"))) if listing.inverse else listing.contract_size
        if size is None:
            out.append(Skipped(self.venue, listing.instrument, "unknown_contract_size"))
        else:
            out.append(self._positions(listing, long * size, short * size, venue_ts, recv_ts))

    # -- HTTP answers ------------------------------------------------------------------------------------------

    def _extra_answer(self, rows: list[Any], recv_ts: int, context: str, out: list[Decoded]) -> bool:
        """Whether the answer was one of ours, told by its context."""
        if context.startswith(STATS):
            self._newest_statistic(context.removeprefix(STATS), rows, recv_ts, out)
            return True
        asked = subject_of(context)
        if asked is None:
            return False
        listing = self._listing(asked[1])
        if listing is not None:
            self._tell_history(listing, asked[0], rows, INTERVALS_H, listing.interval_h, recv_ts, out)
        return True

    def _newest_statistic(self, name: str, rows: list[Any], recv_ts: int, out: list[Decoded]) -> None:
        listing = self._listing(name)
        dated: list[tuple[int, dict[str, Any]]] = []
        for row in rows:
            guarded(out, lambda row: dated.append((_either_ms(need(mapping(row, "row"), "time")), row)), row)
        if listing is not None and dated:
            self._statistic(listing, max(dated, key=lambda item: item[0])[1], recv_ts, out)

    def _history_rate(self, listing: Listing, row: Any, settled: list[tuple[int, float]]) -> None:
        fields = mapping(row, "row")
        settled.append((_either_ms(need(fields, "t")), rate(need(fields, "r"))))

    def _history_bar(self, listing: Listing, stream: Bars, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        fields = mapping(row, "row")
        opened, close = _either_ms(need(fields, "t")), price(need(fields, "c"))
        self._bar(listing, stream, opened, close, recv_ts, out)

    def _history_count(self, listing: Listing, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        """Contracts of five minutes, one-sided as those of tickers."""
        fields = mapping(row, "row")
        opened, contracts = _either_ms(need(fields, "time")), coins(need(fields, "open_interest"))
        self._history_interest(listing, opened, STATS_MS, contracts, recv_ts, out)
