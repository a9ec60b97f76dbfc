"""Binance, both products: liquidations (`!forceOrder@arr`), taker flow (`<symbol>@aggTrade`), long/short ratios.

Facts from the venue pages. `forceOrder`: `S` is the side of the order, so SELL closed a long; at most one order per
symbol and second is sent, so it is always a lower bound; silence is normal. An order has no id, and `T` is the time of
its last fill, `z` all that was filled by then: see `_forced_order`. `aggTrade`: `m` (the buyer is the maker) means the
taker sold; insurance-fund and auto-deleveraging fills are not in it, and in `@trade`, which is not subscribed to but
read, they carry an `X` other than MARKET. Nothing is sent again on subscribing. Times are not quite in order of `a`.
Ratios: `GET /futures/data/{globalLongShortAccountRatio,topLongShortAccountRatio,topLongShortPositionRatio}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from service.errors import BadPayload
from service.model import Decoded, Endpoints, ExtraStream, Listing, LongShortKind, PositionSide
from service.venues.contract import ConnectionPlan, Limits, Poll, Request
from service.venues.emit import guarded, mapping, need
from service.venues.liquidations import LiquidationReader, is_buy
from service.venues.numbers import coins, long_share, price, text, timestamp_ms
from service.venues.trades import Print, traded

PARAMS_PER_FRAME = 50
LIQUIDATIONS = "!forceOrder@arr"  # of all symbols; those not listed are left out by the decoder
TRADES_QUIET_S = 180.0  # 200 instruments without a single trade for so long: a dead route, acknowledged and silent
LIQUIDATIONS_QUIET_S = 3600.0  # no cadence is guaranteed: a calm hour costs one reconnect, a dead route is noticed
RATIO_S = 300.0  # the venue computes them every five minutes
RATIO_SLOWEST_S = 600.0  # fewer kinds rather than older values; a value is fresh for 900 s
RATIO_BUDGET_SHARE = 0.25  # of the request weight
RATIO = "long_short:"  # context, with the kind: the rows of different endpoints look the same

FILLING_MS = 10_000  # the fills of one order: it is immediate-or-cancel
TRADE_IDS = {"aggTrade": "a", "trade": "t"}

KINDS: dict[str, LongShortKind] = {kind: kind for kind in ("account", "top_account", "top_position")}


def frames_for(params: Sequence[str]) -> tuple[str, ...]:
    """The requests that subscribe to these streams."""
    return tuple(
        orjson.dumps(
            {
                "method": "SUBSCRIBE",
                "params": params[first : first + PARAMS_PER_FRAME],
                "id": first // PARAMS_PER_FRAME + 1,
            }
        ).decode()
        for first in range(0, len(params), PARAMS_PER_FRAME)
    )


class ExtraPlans:
    """The venue's side: which sockets and polls the extra streams take."""

    limits: Limits
    statistics_weight: float
    ratios: tuple[tuple[LongShortKind, str], ...]  # kind and endpoint, the most telling first

    def _statistics_of(self, instrument: str) -> str:
        """The query by which `/futures/data/*ratio` names an instrument."""
        raise NotImplementedError

    def _extra_connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream]
    ) -> list[ConnectionPlan]:
        """One socket for all liquidations, and as many as needed for the trades."""
        groups: list[tuple[list[str], float]] = []
        if "liquidation" in extras and listings:
            groups.append(([LIQUIDATIONS], LIQUIDATIONS_QUIET_S))
        if "flow" in extras:
            trades = [f"{item.instrument.lower()}@aggTrade" for item in listings]
            size = self.limits.max_topics
            groups += [(trades[start : start + size], TRADES_QUIET_S) for start in range(0, len(trades), size)]
        plans = []
        for count, (params, quiet_s) in enumerate(groups, 1):
            frames = frames_for(params)
            url = f"{endpoints.ws['market']}/ws"
            plans.append(ConnectionPlan(f"extra-{count}", url, frames, (), len(frames), quiet_s=quiet_s))
        return plans

    def _ratio_polls(self, endpoints: Endpoints, listings: Sequence[Listing]) -> list[Poll]:
        """Every five minutes; with many instruments fewer kinds, then less often, to stay within the budget."""
        if not listings:
            return []
        weight_per_s = self.limits.rest_weight * RATIO_BUDGET_SHARE / self.limits.rest_period_s
        affordable = int(RATIO_SLOWEST_S * weight_per_s / (self.statistics_weight * len(listings)))
        kinds = self.ratios[: max(1, affordable)]
        every_s = max(RATIO_S, len(kinds) * len(listings) * self.statistics_weight / weight_per_s)
        return [
            Poll(
                Request(
                    "GET",
                    f"{endpoints.rest}/futures/data/{endpoint}?{self._statistics_of(item.instrument)}&period=5m&limit=1",
                    self.statistics_weight,
                    context=f"{RATIO}{kind}",
                ),
                every_s,
            )
            for kind, endpoint in kinds
            for item in listings
        ]


class ExtrasReader(LiquidationReader):
    """The decoder's side."""

    def _amount(self, listing: Listing, amount: float, each: float, out: list[Decoded]) -> float | None:
        """Canonical coins in ``amount`` traded at ``each``; None, with a word in ``out``, where that is not known."""
        raise NotImplementedError

    def _statistics_name(self, row: dict[str, Any]) -> str:
        """The instrument that a row of `/futures/data/*` is about."""
        return text(need(row, "symbol"))

    def _forced_order(self, row: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        """`z` of it was filled, at `ap` on average; `q` and `p` are only what was ordered.

        Orders alike in side, `q` and `p` are one order as long as something of it is open and little time has passed:
        then only what was filled since is told. What comes again, or comes late from another socket, is not.
        """
        order = mapping(need(row, "o"), "o")
        listing = self._listing(text(need(order, "s")))
        if listing is None:
            return
        bought = is_buy(need(order, "S"))
        filled, ordered, venue_ts = coins(need(order, "z")), coins(need(order, "q")), timestamp_ms(need(order, "T"))
        if filled == 0.0:
            return  # nothing liquidated yet
        average = price(need(order, "ap"))
        key = f"{listing.instrument} {bought} {ordered} {price(need(order, 'p'))}"
        more = filled
        if key in self._catalog.liquidated:
            at, before = self._catalog.liquidated[key]
            assert at is not None
            if venue_ts == at or (venue_ts > at and before < ordered and venue_ts - at <= FILLING_MS):
                more = filled - before
            if venue_ts < at or more <= 0.0:
                return
        amount = self._amount(listing, more, average, out)
        if amount is not None:
            side: PositionSide = "short" if bought else "long"
            out.append(self._liquidation(listing, side, amount, average, True, venue_ts, recv_ts))
            self._told(key, venue_ts, filled)

    def _trade(self, row: dict[str, Any], id_key: str, recv_ts: int, out: list[Decoded]) -> None:
        listing = self._listing(text(need(row, "s")))
        if listing is None or row.get("X", "MARKET") != "MARKET":
            return
        taker_sold, number_, at = need(row, "m"), need(row, id_key), timestamp_ms(need(row, "T"))
        if type(taker_sold) is not bool:
            raise BadPayload("wrong_type", f"m: {type(taker_sold).__name__} where true or false belongs")
        if type(number_) is not int:
            raise BadPayload("wrong_type", f"{id_key}: {type(number_).__name__} where a number belongs")
        each = price(need(row, "p"))
        amount = self._amount(listing, coins(need(row, "q")), each, out)
        if amount is not None and amount != 0.0:
            trade = Print(listing, not taker_sold, traded(amount), each, at, str(number_))
            self._tell_trades([trade], False, recv_ts, out)

    def _ratios(self, rows: list[Any], kind: str, recv_ts: int, out: list[Decoded]) -> None:
        known = KINDS.get(kind)
        if known is None:
            raise BadPayload("unknown_shape", f"ratio of {kind}"[:80])
        for row in rows:
            guarded(out, self._ratio, row, known, recv_ts, out)

    def _ratio(self, row: Any, kind: LongShortKind, recv_ts: int, out: list[Decoded]) -> None:
        """Shares of accounts or positions. USD-M names both `longAccount`, COIN-M the latter `longPosition`."""
        fields = mapping(row, "row")
        listing = self._listing(self._statistics_name(fields))
        if listing is None:
            return
        long_key, short_key = (
            ("longPosition", "shortPosition") if "longPosition" in fields else ("longAccount", "shortAccount")
        )
        share = long_share(need(fields, long_key), need(fields, short_key))
        out.append(self._long_short(listing, kind, share, timestamp_ms(need(fields, "timestamp")), recv_ts))
