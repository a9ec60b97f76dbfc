"""OKX: trades, liquidations and the long/short ratio of accounts.

Facts from the venue page. `trades`: `side` is the taker's, `sz` counts contracts, rows are whole taker fills and count
all. `liquidation-orders`, one topic for all swaps: `side` is that of the order, so sell closed a long; `bkPx` is the
bankruptcy price; it is not complete (hence a lower bound), not in order of time, and after subscribing a backlog may
come: what is older than the subscription is dropped, and so is what was told before. Ratios are REST
`/api/v5/rubik/stat/contracts/long-short-account-ratio-contract`, and those of the top 5 % of traders (API guide,
"Get top traders contract long/short ratio", and "... (by position)"): rows [time, longs/shorts], newest first, each
5 requests in 2 s by address and instrument.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from service.errors import BadPayload
from service.model import Decoded, Endpoints, ExtraStream, Listing, LongShortKind, PositionSide, Skipped
from service.venues.contract import ConnectionPlan, KeepAlive, Poll, Request
from service.venues.emit import guarded, items, label, mapping, need
from service.venues.liquidations import LiquidationReader, is_buy
from service.venues.numbers import coins, number, price, text, timestamp_ms
from service.venues.symbols import canonical_price
from service.venues.trades import Print, traded

SWAP = "-SWAP"
TRADES = "trades"
LIQUIDATIONS = "liquidation-orders"
RATIO = "long_short:"  # context of a poll, before kind and instrument
RATIOS: dict[str, tuple[LongShortKind, str]] = {  # the most telling first
    "account": ("account", "long-short-account-ratio-contract"),
    "top_position": ("top_position", "long-short-position-ratio-contract-top-trader"),
    "top_account": ("top_account", "long-short-account-ratio-contract-top-trader"),
}
ARGS_PER_FRAME = 60
KEEPALIVE = KeepAlive("ping", 25.0, only_when_idle=True)
RATIO_S = 300.0
RATIO_MAX = 1e6
RATIO_BUDGET_SHARE = 0.25  # of the request weight: above, fewer kinds, then less often


def subscriptions(args: Sequence[dict[str, str]]) -> tuple[str, ...]:
    """The requests that subscribe to these, well below 64 KB each."""
    return tuple(
        orjson.dumps({"op": "subscribe", "args": args[first : first + ARGS_PER_FRAME]}).decode()
        for first in range(0, len(args), ARGS_PER_FRAME)
    )


def extra_connections(
    endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream], max_topics: int
) -> list[ConnectionPlan]:
    """Liquidations of all swaps on one socket, in a request of their own; trades beside and on further ones."""
    if not listings:
        return []
    topics: list[dict[str, str]] = []
    if "liquidation" in extras:
        topics.append({"channel": LIQUIDATIONS, "instType": "SWAP"})
    if "flow" in extras:
        topics += [{"channel": TRADES, "instId": item.instrument} for item in listings]
    plans: list[ConnectionPlan] = []
    for start in range(0, len(topics), max_topics):
        part = topics[start : start + max_topics]
        alone = 1 if part[0]["channel"] == LIQUIDATIONS else 0
        frames = subscriptions(part[:alone]) + subscriptions(part[alone:])
        name = f"extra-{len(plans) + 1}"
        plans.append(ConnectionPlan(name, endpoints.ws["public"], frames, (), len(part), KEEPALIVE))
    return plans


def ratio_polls(
    endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream], weight_per_s: float
) -> list[Poll]:
    """Each kind of each instrument every five minutes, as far as the budget goes."""
    if "long_short" not in extras or not listings:
        return []
    allowed_per_s = weight_per_s * RATIO_BUDGET_SHARE
    affordable = int(RATIO_S * allowed_per_s / len(listings))
    kinds = list(RATIOS.values())[: max(1, affordable)]
    every_s = max(RATIO_S, len(kinds) * len(listings) / allowed_per_s)
    url = f"{endpoints.rest}/api/v5/rubik/stat/contracts"
    return [
        Poll(
            Request(
                "GET",
                f"{url}/{path}?instId={item.instrument}&period=5m&limit=1",
                context=f"{RATIO}{kind}:{item.instrument}",
            ),
            every_s,
        )
        for kind, path in kinds
        for item in listings
    ]


class OkxExtras(LiquidationReader):
    """The decoder's part for these."""

    def _swap(self, row: Any) -> Listing | None:
        """The row's instrument; None where it is no swap quoted in dollars."""
        name = text(need(mapping(row, "data[]"), "instId"))
        return self._listing(name) if row.get("instType", "SWAP") == "SWAP" else None

    def _coins(self, listing: Listing, contracts: float, each: float | None) -> float | None:
        """Canonical coins in so many contracts; for inverse ones at ``each`` per venue unit, else at the mark."""
        if listing.contract_size is None or not listing.inverse:
            return None if listing.contract_size is None else contracts * listing.contract_size
        if each is None:
            mark = self._catalog.marks.get(listing.instrument)
        else:
            mark = canonical_price(each, listing.multiplier)
        return None if mark is None else contracts * listing.contract_size / mark

    def _skip(self, listing: Listing) -> Skipped:
        reason = "unknown_contract_size" if listing.contract_size is None else "no_mark"
        return Skipped(self.venue, listing.instrument, reason)

    # -- trades ------------------------------------------------------------------------------------------------

    def _trades(self, rows: list[Any], recv_ts: int, out: list[Decoded]) -> None:
        prints: list[Print] = []
        sizeless: dict[str, Skipped] = {}
        for row in rows:
            guarded(out, self._trade, row, prints, sizeless)
        out.extend(sizeless.values())
        self._tell_trades(prints, False, recv_ts, out)

    def _trade(self, row: Any, prints: list[Print], sizeless: dict[str, Skipped]) -> None:
        listing = self._swap(row)
        if listing is None:
            return
        side, each, contracts = is_buy(need(row, "side")), price(need(row, "px")), coins(need(row, "sz"))
        at, key = timestamp_ms(need(row, "ts")), text(need(row, "tradeId"))
        amount = self._coins(listing, contracts, each)
        if amount is None:
            sizeless[listing.instrument] = self._skip(listing)
        else:
            prints.append(Print(listing, side, traded(amount), each, at, key))

    # -- liquidations ------------------------------------------------------------------------------------------

    def _liquidations(self, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        listing = self._swap(row)
        if listing is not None:
            for detail in items(need(row, "details"), "details"):
                guarded(out, self._forced, listing, detail, recv_ts, out)

    def _forced(self, listing: Listing, detail: Any, recv_ts: int, out: list[Decoded]) -> None:
        fields = mapping(detail, "details[]")
        bought, contracts = is_buy(need(fields, "side")), coins(need(fields, "sz"))
        at = timestamp_ms(need(fields, "ts"))
        each = None if fields.get("bkPx", "") == "" else price(fields["bkPx"])
        key = f"{listing.instrument} {at} {bought} {label(fields.get('posSide', ''), 'posSide')} {contracts} {each}"
        if at < self._since.get(LIQUIDATIONS, 0):
            return
        amount = self._coins(listing, contracts, each)
        if amount is None:
            out.append(self._skip(listing))
            return
        side: PositionSide = "short" if bought else "long"
        self._tell_liquidation(key, listing, side, amount, each, True, at, recv_ts, out)

    # -- ratio -------------------------------------------------------------------------------------------------

    def _ratio(self, rows: list[Any], subject: str, recv_ts: int, out: list[Decoded]) -> None:
        """The newest row that can be read, of the kind and instrument asked for."""
        said, _, name = subject.partition(":")
        if said not in RATIOS:
            raise BadPayload("unknown_shape", f"ratio of {said}"[:80])
        listing = self._listing(name)
        if listing is None:
            return
        found: list[tuple[int, float]] = []
        for row in rows:
            guarded(out, _ratio_row, row, found)
        if found:
            at, ratio = max(found)
            out.append(self._long_short(listing, RATIOS[said][0], ratio / (1 + ratio), at, recv_ts))


def _ratio_row(row: Any, found: list[tuple[int, float]]) -> None:
    fields = items(row, "row")
    if len(fields) < 2:
        raise BadPayload("missing_field", "ratio")
    found.append((timestamp_ms(fields[0]), number(fields[1], 0.0, RATIO_MAX)))
