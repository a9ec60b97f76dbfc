"""dYdX's recorded frames against values worked out by hand, for every capture file."""

from __future__ import annotations

import pytest

from tests.venues.conformance import (
    Row,
    catalog_of,
    decoded,
    files_of,
    flow,
    funding,
    interest,
    kinds_of,
    mark,
    needs_captures,
    read,
    same,
)

pytestmark = needs_captures
NAME = "dydx"


def price(symbol: str, value: float, ts: int | None = None) -> Row:
    """The oracle price is mark and index."""
    return mark(f"{symbol}-USD", symbol, value, value, ts)


def rate(symbol: str, value: float) -> Row:
    return funding(f"{symbol}-USD", symbol, value, 1.0, None, None)


def coins(symbol: str, value: float) -> Row:
    return interest(f"{symbol}-USD", symbol, value, value, 1.0, None)


def market(symbol: str, oracle: float, hourly: float, amount: float) -> list[Row]:
    return [price(symbol, oracle), rate(symbol, hourly), coins(symbol, amount)]


def settled(value: float, ts: int) -> Row:
    return funding("BTC-USD", "BTC", value, 1.0, None, ts, settled=True)


EXPECTED: dict[str, list[Row]] = {
    "rest_block_height_nautilus.json": [],
    "rest_historical_funding_nautilus.json": [  # 8 December 2025, 16:00, 15:00 and 14:00
        settled(0.000002375, 1765209600219),
        settled(0.000000375, 1765206000586),
        settled(0.000000625, 1765202400112),
    ],
    "rest_perpetual_markets_nautilus.json": [
        *market("BTC", 89919.2, 0.00000254545454545455, 381.7348),
        *market("ETH", 3103.01, 0.00000125, 7457.108),
        *market("SOL", 135.3, -0.00000143181818181818, 41917.9),
    ],
    "rest_time_nautilus.json": [],
    "ws_connected_pong_abacus.jsonl": [],
    "ws_doc_samples.jsonl": [
        *market("BTC", 27752.92, 0.0, 1891.473716288),
        *market("ETH", 1808.2, 0.0, 44027.853711),
        rate("BTC", 0.00006821875),
        rate("ETH", 0.00007478125),
    ],
    "ws_error_messages_from_source.jsonl": [],
    "ws_error_nautilus.json": [],
    "ws_markets_channel_and_batch_abacus.jsonl": [
        coins("BTC", 3531.250439547),
        coins("ETH", 46115.767606),
        coins("BTC", 5082.297882905),
        coins("ETH", 67603.376057),
        price("BTC", 21000.0, 1654084861002),
    ],
    "ws_markets_subscribed_2024.json": [
        *market("BTC", 60387.51779, 0.00001351666666666667, 648.2389),
        *market("ETH", 2623.2521, 0.00001051666666666667, 15395.279),
    ],
    "ws_markets_subscribed_abacus_r1.jsonl": [
        *market("APE", 1.260519794, -0.00000426818181818182, 142671.0),
        *market("BTC", 20000.0, 0.0, 0.0),
        *market("ETH", 1500.0, 0.0, 0.0),
    ],
    "ws_markets_subscribed_nautilus.json": [
        *market("BTC", 43250.0, 0.0001, 987654321.0),
        *market("ETH", 2250.0, 0.00008, 123456789.0),
    ],
    "ws_markets_trading_update_2024.jsonl": [coins("ETH", 15398.406)],
    "ws_markets_update_nautilus.json": [price("BTC", 43300.0, 1704067260000), price("ETH", 2255.0, 1704067260000)],
    "ws_trades_2024.jsonl": [flow("AVAX-USD", "AVAX", 79.2, 0.0, 1724371198855)],
    "ws_trades_channel_and_batch_abacus.jsonl": [
        flow("ETH-USD", "ETH", 1.593707, 0.0, 1670812094859),
        flow("ETH-USD", "ETH", 9.574413, 17.936814, 1671082953507),  # 139 trades of one message
    ],
    "ws_trades_subscribed_nautilus.json": [],
}


def test_every_capture_file_is_accounted_for() -> None:
    assert sorted(EXPECTED) == files_of(NAME)


@pytest.mark.parametrize("name", EXPECTED)
def test_capture(name: str) -> None:
    same(read(NAME, name), EXPECTED[name])


def test_update_after_its_snapshot() -> None:
    """Frames 17 and 15,871 of one connection of August 2024."""
    names = ("ws_markets_subscribed_2024.json", "ws_markets_trading_update_2024.jsonl")
    same(read(NAME, *names), [*EXPECTED[names[0]], coins("ETH", 15398.406)])


def test_metadata() -> None:
    catalog = catalog_of(NAME, "rest_perpetual_markets_nautilus.json", "markets")
    assert [(item.instrument, item.symbol, item.interval_h, item.trading) for item in catalog.listings.values()] == [
        ("BTC-USD", "BTC", 1.0, True),
        ("ETH-USD", "ETH", 1.0, True),
        ("SOL-USD", "SOL", 1.0, True),
    ]


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("ws_connected_pong_abacus.jsonl", ["info", "pong"]),
        ("ws_error_messages_from_source.jsonl", ["refused"] * 9),
        ("ws_error_nautilus.json", ["refused"]),
        ("ws_trades_subscribed_nautilus.json", ["ack"]),
    ],
)
def test_control_frames(name: str, kinds: list[str]) -> None:
    found = decoded(NAME, name)
    assert kinds_of(found) == kinds
    assert len(found) == len(kinds)
