"""Lighter: trades once each, liquidations with the side that the position before them had, replays left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.model import Control, Decoded, Flow, Liquidation, Skipped
from service.venues.contract import Catalog, Decoder
from service.venues.lighter.venue import Lighter
from tests.venues.frames import decode, fresh, kinds, left_out, load, reasons

VENUE = Lighter()
NAME = "lighter"
SENT = 1_790_000_103_429  # of the snapshot; the trades are half a second later


def known(catalog: Catalog | None = None) -> Decoder:
    """A decoder that has been told the names of markets, as another socket of the venue tells them."""
    catalog = catalog or Catalog()
    decode(fresh(NAME, catalog), load(NAME, "ws_subscribed"), SENT)
    return fresh(NAME, catalog)


def trade(number: int, kind: str = "trade", bought: bool = True, **changes: object) -> dict[str, Any]:
    return {
        "trade_id": number,
        "trade_id_str": str(number),
        "type": kind,
        "market_id": 1,
        "size": "0.5",
        "price": "70000.5",
        "usd_amount": "35000.25",
        "is_maker_ask": bought,
        "timestamp": SENT + 500,
        "taker_position_size_before": "-0.75" if bought else "0.75",
    } | changes


def message(trades: Any, liquidations: Any = None, channel: str = "trade:1", kind: str = "update") -> dict[str, Any]:
    found = {"type": f"{kind}/trade", "channel": channel, "nonce": 20_380_968_790, "trades": trades}
    return found if liquidations is None else found | {"liquidation_trades": liquidations}


def heard(frame: Any, recv_ts: int = SENT + 600) -> list[Decoded]:
    return decode(known(), frame, recv_ts)


def test_a_maker_who_asked_is_a_taker_who_bought() -> None:
    recv_ts = SENT + 600
    assert heard(load(NAME, "ws_trade")) == [Flow(NAME, "BTC-1", "BTC", 0.25, 0.125, SENT + 501, recv_ts)]
    scaled = trade(1, market_id=77, size="2000")
    assert heard(message([scaled], channel="trade:77")) == [
        Flow(NAME, "1000MOG-77", "MOG", 2_000_000.0, 0.0, SENT + 500, recv_ts)
    ]


def test_liquidations_are_of_the_taker_and_are_taker_flow_too() -> None:
    """The venue page: the taker sold, and its position had been positive: a long, 1,402.03 dollars of it."""
    long, short, flow = heard(load(NAME, "ws_liquidation"))
    recv_ts = SENT + 600
    assert long == Liquidation(NAME, "BTC-1", "BTC", "long", 0.02002, 70031.4, False, SENT + 587, recv_ts)
    assert short == Liquidation(NAME, "BTC-1", "BTC", "short", 0.04004, 70032.4, False, SENT + 588, recv_ts)
    assert flow == Flow(NAME, "BTC-1", "BTC", 0.04004, 0.02002, SENT + 588, recv_ts)
    assert long.coins * 70031.4 == pytest.approx(1402.028628)


@pytest.mark.parametrize(
    ("bought", "before", "refused"),
    [
        (True, "-0.75", False),
        (False, "0.75", False),
        (True, "0.75", True),
        (False, "-0.75", True),
        (True, "0", True),
        (False, "0.0", True),
        (True, None, False),  # not told: the side is the taker's
    ],
)
def test_a_liquidation_whose_side_and_position_disagree_is_refused(
    bought: bool, before: str | None, refused: bool
) -> None:
    """Cause: a wrong side turns a long squeeze into a short one. An ordinary trade's position says nothing."""
    row = trade(1, "liquidation", bought, taker_position_size_before=before)
    if before is None:
        del row["taker_position_size_before"]
    found = heard(message([], [row]))
    assert reasons(found) == (["size_mismatch"] if refused else [])
    if not refused:
        assert kinds(found) == [Liquidation, Flow]
        assert isinstance(found[0], Liquidation)
        assert found[0].liquidated_side == ("short" if bought else "long")
    assert kinds(heard(message([row | {"type": "trade"}]))) == [Flow]


@pytest.mark.parametrize("kind", ["deleverage", "market-settlement"])
def test_what_no_taker_took_is_left_out_wherever_it_stands(kind: str) -> None:
    assert heard(message([trade(1, kind)], [trade(2, kind)])) == []


def test_an_unknown_kind_and_another_markets_trade_are_refused() -> None:
    found = heard(message([trade(1, "gift"), trade(2, market_id=2), trade(3)], [trade(4, size="0")]))
    assert reasons(found) == ["out_of_bounds", "unknown_shape", "bad_name"]
    assert [item.taker_buy_coins for item in found if isinstance(item, Flow)] == [0.5]


@pytest.mark.parametrize("liquidations", [None, [], "none"])
def test_the_array_of_liquidations_may_be_absent(liquidations: Any) -> None:
    found = heard(message([trade(1)], liquidations))
    assert [item.taker_buy_coins for item in found if isinstance(item, Flow)] == [0.5]
    assert reasons(found) == (["wrong_type"] if liquidations == "none" else [])


def test_what_a_subscription_answers_is_history_and_so_is_what_is_told_again_later() -> None:
    """Cause: the answer holds trades and liquidations that are up to an hour old. Counted, they were a burst now."""
    recv_ts = SENT + 550
    decoder = known()
    assert decode(decoder, load(NAME, "ws_subscribed_trade"), recv_ts) == [Control("ack", "trade:1", "subscribed")]
    old = json.loads(load(NAME, "ws_subscribed_trade"))
    again = old | {"type": "update/trade"}
    assert decode(decoder, again, recv_ts + 10) == []
    assert decode(decoder, load(NAME, "ws_trade"), recv_ts + 20) == []  # from before the subscription
    [long, short, flow] = decode(decoder, load(NAME, "ws_liquidation"), recv_ts + 60)
    assert kinds([long, short, flow]) == [Liquidation, Liquidation, Flow]


def test_each_trade_counts_once_over_all_sockets_and_arrays() -> None:
    """Two sockets bring the same while one takes over; a liquidation in both arrays is one liquidation."""
    catalog = Catalog()
    first, second = known(catalog), known(catalog)
    forced = trade(7, "liquidation")
    assert kinds(decode(first, message([trade(8), forced], [forced]), SENT + 600)) == [Liquidation, Flow]
    assert decode(second, message([trade(8)], [forced]), SENT + 600) == []
    [flow] = decode(second, message([trade(8), trade(9)]), SENT + 600)
    assert isinstance(flow, Flow)
    assert flow.taker_buy_coins == 0.5


def test_ids_are_told_apart_by_their_text() -> None:
    """As numbers, ids beyond 2^53 would run together."""
    rows = [trade(2**53, trade_id_str=str(2**53)), trade(2**53, trade_id_str=str(2**53 + 1))]
    [flow] = heard(message(rows))
    assert isinstance(flow, Flow)
    assert flow.taker_buy_coins == 1.0


def test_trades_of_markets_without_a_name_and_of_no_coins_are_left_out() -> None:
    assert decode(fresh(NAME), load(NAME, "ws_trade")) == [Skipped(NAME, "trade:1", "unknown_instrument")]
    catalog = Catalog()
    rows = [
        {"symbol": "TSLA", "market_id": 1, "market_type": "perp", "status": "active"},
        {"symbol": "ETH/USDC", "market_id": 2048, "market_type": "spot", "status": "active"},
    ]
    decode(fresh(NAME, catalog), {"code": 200, "order_book_details": rows})
    assert left_out(decode(fresh(NAME, catalog), load(NAME, "ws_trade"))) == ["not_crypto"]
    rows = [{"symbol": "XAU", "market_id": 3, "market_type": 7, "status": "active"}]  # broken, and gold all the same
    assert reasons(decode(fresh(NAME, catalog), {"code": 200, "order_book_details": rows})) == ["wrong_type"]
    gold = message([trade(1, market_id=3)], channel="trade:3")
    assert left_out(decode(fresh(NAME, catalog), gold)) == ["not_crypto"]
    spot = message([trade(1, market_id=2048)], channel="trade:2048")
    assert left_out(decode(fresh(NAME, catalog), spot)) == ["foreign"]
