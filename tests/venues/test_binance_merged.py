"""Binance's streams of all symbols bring both products on either host: each row counts once, in its own units.

Cause: since 2026-06-30 `!forceOrder@arr` of each host has all of them. Told apart by the host, 29 contracts of 100 USD
would be 29 bitcoins, and every liquidation would count twice.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.model import Bad, Decoded, Funding, Liquidation, Mark, Skipped
from service.venues.contract import Catalog, Decoder
from tests.venues.frames import T0, decode, fresh, left_out, reasons, told

USDM, COINM = "binance_usdm", "binance_coinm"
T8 = T0 // 28_800_000 * 28_800_000 + 28_800_000


def forced(name: str, **fields: Any) -> dict[str, Any]:
    return {"stream": "!forceOrder@arr", "data": {"e": "forceOrder", "E": T0 - 1001, "o": {"s": name, **fields}}}


LONG = forced(
    "BTCUSD_PERP", ps="BTCUSD", S="SELL", o="LIMIT", f="IOC", q="31", p="70010.1", ap="70011.2", X="FILLED", l="7",
    z="29", T=T0 - 1002,
)  # fmt: skip
SHORT = forced(
    "BTCUSDT", S="BUY", o="LIMIT", f="IOC", q="0.041", p="70020.3", ap="70021.4", X="FILLED", l="0.011", z="0.040",
    T=T0 - 2004,
)  # fmt: skip


def mark(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "e": "markPriceUpdate", "E": T0 - 3005, "s": name, "p": "2501.5", "P": "2502.6", "i": "2503.7",
        "r": "0.00005800", "T": T8, **fields,
    }  # fmt: skip


ARRAY = [
    mark("ETHUSDT", p="2504.8", i="2505.9", st=1, ap="2506.1"), mark("ETHUSD_PERP", st=2),
    mark("ETHUSD_270326", r="", T=0, st=2), mark("ETHUSDT_270326", r="", T=0, st=1), mark("SOLUSDT", p="125.5", st=1),
]  # fmt: skip


def test_each_liquidation_counts_once_over_both_hosts() -> None:
    """29 contracts of 100 USD are 2,900 USD of a long, 0.040 coins at 70,021.4 are 2,800.856 USD of a short. In lists
    and one by one, combined and raw."""
    found: list[Liquidation] = []
    catalogs = {USDM: Catalog(), COINM: Catalog()}
    for venue, catalog in catalogs.items():
        decoder = fresh(venue, catalog)
        for frame in (LONG, SHORT, LONG["data"], [SHORT["data"], LONG["data"]], {**LONG, "data": [LONG["data"]]}):
            found += [item for item in decode(decoder, frame) if not isinstance(item, Skipped)]  # type: ignore[misc]
    assert all(isinstance(item, Liquidation) for item in found)
    assert [(item.venue, item.liquidated_side, item.price) for item in found] == [
        (USDM, "short", 70021.4), (COINM, "long", 70011.2),
    ]  # fmt: skip
    assert [item.coins * item.price for item in found] == pytest.approx([2800.856, 2900.0])


@pytest.mark.parametrize(("venue", "frame", "reason"), [(USDM, LONG, "foreign"), (COINM, SHORT, "foreign")])
def test_an_order_of_the_other_product_is_left_out(venue: str, frame: Any, reason: str) -> None:
    assert left_out(decode(fresh(venue), frame)) == [reason]


def test_marks_of_both_products_in_one_array() -> None:
    for document in (ARRAY, {"stream": "!markPrice@arr@1s", "data": ARRAY}):
        usdm, coinm = decode(fresh(USDM), document), decode(fresh(COINM), document)
        assert [type(item) for item in usdm] == [Mark, Funding, Skipped, Skipped, Skipped, Mark, Funding]
        assert [(m.instrument, m.mark, m.index) for m in usdm if isinstance(m, Mark)] == [
            ("ETHUSDT", 2504.8, 2505.9), ("SOLUSDT", 125.5, 2503.7),
        ]  # fmt: skip
        assert [(m.instrument, m.mark, m.index) for m in coinm if isinstance(m, Mark)] == [
            ("ETHUSD_PERP", 2501.5, 2503.7)
        ]
        assert [item for item in [*usdm, *coinm] if isinstance(item, Bad)] == []
        skipped = [item.reason for item in [*usdm, *coinm] if isinstance(item, Skipped)]
        assert set(skipped) == {"foreign", "dated"}


def both_ways(venue: str, row: dict[str, Any]) -> list[Decoded]:
    """Raw as a socket sends it, so that the short way may try, and as HTTP bytes, which it does not read."""
    text = json.dumps(row, separators=(",", ":"))
    decoders: tuple[Decoder, Decoder] = fresh(venue), fresh(venue)
    found = decoders[0].decode(text, T0)
    assert found == decoders[1].decode(text.encode(), T0)
    return found


@pytest.mark.parametrize(("venue", "name", "ours"), [(USDM, "BTCUSDT", 1), (COINM, "BTCUSD_PERP", 2)])
@pytest.mark.parametrize("kind", ["mark", "trade", "order", "order_inside"])
def test_a_name_of_ours_that_is_said_to_be_of_the_other_product_is_refused(
    venue: str, name: str, ours: int, kind: str
) -> None:
    def row(st: object) -> dict[str, Any]:
        if kind == "mark":
            return mark(name, st=st)
        if kind == "trade":
            return {
                "e": "aggTrade",
                "E": T0,
                "a": 7,
                "s": name,
                "p": "99.5",
                "q": "3",
                "T": T0 - 5,
                "m": True,
                "st": st,
            }
        body = {**(SHORT if venue == USDM else LONG)["data"]["o"], "s": name}
        outer = {"e": "forceOrder", "E": T0, "o": body}
        return {**outer, "st": st} if kind == "order" else {**outer, "o": {**body, "st": st}}

    assert reasons(both_ways(venue, row(ours))) == []
    assert told(both_ways(venue, row(ours))) != []
    for other in (3 - ours, 3, "1", 0):
        assert reasons(both_ways(venue, row(other))) == ["unknown_shape"]
        assert len(both_ways(venue, row(other))) == 1


def test_quantity_counts_with_retail_orders_and_the_average_mark_is_no_mark() -> None:
    """`q` is read, not `nq`; `p` is the mark, not `ap`, its moving average."""
    trade = {"e": "aggTrade", "E": T0, "a": 7, "s": "BTCUSDT", "p": "99.5", "q": "3", "nq": "2", "T": T0 - 5, "m": True}
    (flow,) = decode(fresh(USDM), trade)
    assert flow.taker_sell_coins == 3.0  # type: ignore[union-attr]
    found = decode(fresh(USDM), mark("ETHUSDT", ap="2400.5", st=1))
    assert [item.mark for item in found if isinstance(item, Mark)] == [2501.5]


@pytest.mark.parametrize(
    ("venue", "name", "state"), [(USDM, "BTCUSDT", "status"), (COINM, "BTCUSD_PERP", "contractStatus")]
)
def test_a_halted_instrument_is_suspended_and_comes_back(venue: str, name: str, state: str) -> None:
    """TRADING_HALT: listed, but nothing of it counts until it trades again; its name stays one of ours."""
    base, quote = ("BTC", "USDT") if venue == USDM else ("BTC", "USD")
    row = {"symbol": name, "contractType": "PERPETUAL", "baseAsset": base, "quoteAsset": quote, "contractSize": 100}
    catalog = Catalog()
    decoder = fresh(venue, catalog)
    for said, trading in (("TRADING", True), ("TRADING_HALT", False), ("TRADING", True)):
        decode(decoder, {"symbols": [{**row, state: said}]}, context="exchangeInfo")
        assert catalog.listings[name].trading is trading
        assert catalog.foreign == {}


def test_stocks_are_left_out() -> None:
    row = {"symbol": "TSLAUSDT", "contractType": "TRADIFI_PERPETUAL", "baseAsset": "TSLA", "quoteAsset": "USDT"}
    found = decode(fresh(USDM), {"symbols": [{**row, "status": "TRADING"}]}, context="exchangeInfo")
    assert left_out(found) == ["not_crypto"]
