from __future__ import annotations

import json

import pytest

from service.model import Liquidation, Skipped
from service.simulation.market import MarketModel
from service.venues import VENUES
from service.venues.contract import Catalog
from tests.simulation.build import START_MS, SYMBOLS, get, market, protocol_of, say, session_of


def test_the_routes_of_the_other_product_do_not_exist() -> None:
    protocol = protocol_of("binance_coinm")
    assert protocol.accept("/market/ws", {}, "c", START_MS) is None
    session = session_of(protocol, "/ws")
    assert say(protocol, session, {"method": "SUBSCRIBE", "params": ["btcusd_perp@markPrice@1s"], "id": 1}) == [
        {"result": None, "id": 1}
    ]
    assert not session.silent
    combined = protocol.accept("/stream", {"streams": "btcusd_perp@markPrice/btcusd@indexPrice@1s"}, "c", START_MS)
    assert combined is not None
    assert list(combined.topics) == ["btcusd_perp@markPrice", "btcusd@indexPrice@1s"]


def test_the_index_comes_by_pair_and_not_with_the_mark() -> None:
    protocol = protocol_of("binance_coinm")
    quote = protocol.quotes[0]
    topics = dict.fromkeys(["btcusd_perp@markPrice@1s", "btcusd@indexPrice@1s", "btcusd@markPrice@1s", "nope@x"])
    frames = [json.loads(frame.text) for frame in protocol.pushes(topics, START_MS)]
    assert [frame["e"] for frame in frames] == ["markPriceUpdate", "indexPriceUpdate"]
    mark, index = frames
    assert "i" not in mark
    assert (mark["s"], float(mark["p"]), float(mark["r"]), mark["T"]) == (
        "BTCUSD_PERP", quote.mark, quote.rate, quote.next_ts,
    )  # fmt: skip
    assert (index["i"], float(index["p"])) == ("BTCUSD", quote.index)
    slow = dict.fromkeys(["btcusd_perp@markPrice"])
    assert [len(list(protocol.pushes(slow, START_MS + ms))) for ms in (0, 500, 1000, 3000)] == [1, 0, 0, 1]


def test_trades_and_liquidations_count_contracts() -> None:
    model = MarketModel(5, SYMBOLS, START_MS - 3_600_000)
    model.stage(START_MS - 120_000)
    model.step(START_MS)
    protocol = protocol_of("binance_coinm", model)
    quote = protocol.quotes[0]
    met = 0
    for second in range(1, 61):
        model.step(START_MS + second * 1000)
        trades = [json.loads(item.text) for item in protocol.pushes({"btcusd_perp@aggTrade": None}, model.now_ms)]
        assert [(row["q"], row["m"]) for row in trades] == [
            (f"{trade.contracts:.0f}", trade.taker == "sell") for trade in quote.trades()
        ]
        assert all("nq" not in row for row in trades)
        forced = [json.loads(item.text)["o"] for item in protocol.pushes({"!forceOrder@arr": None}, model.now_ms)]
        mine = [order for order in forced if order["s"] == "BTCUSD_PERP"]
        assert len(mine) == min(1, len(quote.liquidations()))  # one a second, the largest
        for order in mine:
            met += 1
            assert (order["S"], order["ps"]) == ("SELL", "BTCUSD")
            assert float(order["z"]) == max(trade.contracts for trade in quote.liquidations())
    assert met >= 5


def test_both_hosts_send_the_orders_of_both_products_and_each_counts_once() -> None:
    """Through the decoders of the service, subscribed on both hosts in one run."""
    model = MarketModel(5, SYMBOLS, START_MS - 3_600_000)
    model.stage(START_MS - 120_000)
    model.step(START_MS)
    protocols = {venue: protocol_of(venue, model) for venue in ("binance_usdm", "binance_coinm")}
    decoders = {}
    for venue, protocol in protocols.items():
        decoders[venue] = VENUES[venue].decoder(Catalog())
        base = f"/{'d' if venue == 'binance_coinm' else 'f'}api/v1"
        decoders[venue].decode(json.dumps(get(protocol, f"{base}/exchangeInfo")[1]), START_MS, "exchangeInfo")
    sent = dict.fromkeys(protocols, 0)
    counted, expected, skipped = [], [], 0
    for second in range(1, 61):
        model.step(START_MS + second * 1000)
        for venue, protocol in protocols.items():
            for frame in protocol.pushes({"!forceOrder@arr": None}, model.now_ms):
                sent[venue] += 1
                for item in decoders[venue].decode(frame.text, model.now_ms):
                    if isinstance(item, Liquidation):
                        counted.append((item.venue, item.instrument, item.coins))
                    else:
                        assert isinstance(item, Skipped)
                        skipped += 1
            for quote in protocol.quotes:
                if forced := quote.liquidations():
                    largest = max(forced, key=lambda trade: trade.contracts)
                    coins = largest.contracts * quote.coins_each(largest.price)
                    expected.append((venue, quote.instrument.name, coins))
    assert sent["binance_usdm"] == sent["binance_coinm"] == len(expected) == len(counted) == skipped
    assert {venue for venue, _, _ in counted} == set(protocols)
    for one, other in zip(sorted(counted), sorted(expected), strict=True):
        assert one[:2] == other[:2]
        assert one[2] == pytest.approx(other[2], rel=1e-6)


def test_the_weight_is_one_of_both_hosts() -> None:
    model = market()
    usdm, coinm = protocol_of("binance_usdm", model), protocol_of("binance_coinm", model)
    used = [
        protocol.answer("GET", f"/{api}/v1/ping", {}, "", START_MS).headers["X-MBX-USED-WEIGHT-1M"]
        for protocol, api in ((usdm, "fapi"), (coinm, "dapi"), (usdm, "fapi"))
    ]
    assert used == ["1", "2", "3"]


def test_open_interest_is_in_contracts_of_a_pair() -> None:
    protocol = protocol_of("binance_coinm")
    quote = protocol.quotes[0]
    _, interest = get(protocol, "/dapi/v1/openInterest", symbol="BTCUSD_PERP")
    assert (interest["pair"], interest["contractType"]) == ("BTCUSD", "PERPETUAL")
    assert float(interest["openInterest"]) * 100 / quote.mark == pytest.approx(quote.coins)


def test_metadata_name_status_and_size_in_their_own_way() -> None:
    protocol = protocol_of("binance_coinm")
    _, info = get(protocol, "/dapi/v1/exchangeInfo")
    rows = {row["symbol"]: row for row in info["symbols"]}
    assert {row["contractStatus"] for row in rows.values()} == {"TRADING", "SETTLING"}
    assert not any("status" in row for row in rows.values())
    assert (rows["BTCUSD_PERP"]["contractSize"], rows["ETHUSD_PERP"]["contractSize"]) == (100, 10)
    assert rows["BTCUSD_270326"]["contractType"] == "CURRENT_QUARTER"
    assert get(protocol, "/fapi/v1/exchangeInfo")[0] == 404


def test_premiums_are_an_array_with_the_delivery_contracts() -> None:
    protocol = protocol_of("binance_coinm")
    _, by_pair = get(protocol, "/dapi/v1/premiumIndex", pair="BTCUSD")
    assert [(row["symbol"], row["lastFundingRate"] == "", row["nextFundingTime"] == 0) for row in by_pair] == [
        ("BTCUSD_PERP", False, False),
        ("BTCUSD_270326", True, True),
    ]
    assert [row["symbol"] for row in get(protocol, "/dapi/v1/premiumIndex", symbol="BTCUSD_PERP")[1]] == ["BTCUSD_PERP"]
    assert get(protocol, "/dapi/v1/premiumIndex", pair="NOPE")[0] == 400


def test_statistics_are_asked_for_by_pair() -> None:
    model = market()
    model.step(START_MS + 600_000)
    protocol = protocol_of("binance_coinm", model)
    quote = protocol.quotes[0]
    query = {"pair": "BTCUSD", "period": "5m"}
    now_ms = START_MS + 600_000
    path = "/futures/data/openInterestHist"
    _, rows = get(protocol, path, now_ms, **query, contractType="PERPETUAL")
    for row in rows:
        [point] = quote.past.points(row["timestamp"] + 300_000, row["timestamp"] + 300_000)
        assert float(row["sumOpenInterest"]) == point.contracts
        assert float(row["sumOpenInterestValue"]) == pytest.approx(point.contracts * 100 / point.mark)  # coins
    assert len(rows) == 2
    assert get(protocol, path, now_ms, **query, contractType="CURRENT_QUARTER") == (200, [])
    assert get(protocol, path, now_ms, **query)[1]["code"] == -1102
    assert get(protocol, path, now_ms, symbol="BTCUSD_PERP", period="5m")[1]["code"] == -1102
    [ratio] = get(protocol, "/futures/data/topLongShortPositionRatio", now_ms, **query)[1]
    assert float(ratio["longPosition"]) == quote.long_share("top_position")
    [accounts] = get(protocol, "/futures/data/globalLongShortAccountRatio", now_ms, **query)[1]
    assert float(accounts["longAccount"]) == quote.long_share("account")
    assert get(protocol, "/futures/data/nothing", now_ms, **query)[0] == 404
    _, index = get(protocol, "/dapi/v1/indexPriceKlines", now_ms, pair="BTCUSD", interval="1m", limit="1")
    assert float(index[0][4]) == quote.index
