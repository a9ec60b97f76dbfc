from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from service.simulation.market import HOUR_MS, MarketModel
from service.simulation.protocol import Hangup
from tests.simulation.build import START_MS, beat, get, protocol_of, receive, say, serving, session_of

PATH = "/ws/v5/public"


def subscribe(*topics: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"op": "subscribe", "args": [{"channel": channel, "instId": name} for channel, name in topics], **more}


async def test_a_client_gets_one_ack_per_argument_and_first_data_of_each_channel() -> None:
    wanted = [
        ("mark-price", "BTC-USDT-SWAP"),
        ("index-tickers", "BTC-USDT"),
        ("funding-rate", "BTC-USDT-SWAP"),
        ("open-interest", "BTC-USDT-SWAP"),
    ]
    async with serving("okx") as (server, endpoints, clock), connect(endpoints.ws["public"]) as socket:
        await socket.send(json.dumps(subscribe(*wanted, id="perp")))
        messages = [await receive(socket) for _ in range(8)]
        for (channel, name), ack in zip(wanted, messages[:4], strict=True):
            assert list(ack) == ["id", "event", "arg", "connId"]
            assert (ack["id"], ack["event"], ack["arg"]) == ("perp", "subscribe", {"channel": channel, "instId": name})
        for (channel, name), data in zip(wanted, messages[4:], strict=True):
            assert data["arg"] == {"channel": channel, "instId": name}
            assert data["data"][0]["instId"] == name
            assert data["data"][0]["ts"] == str(START_MS)
        await socket.send("ping")
        assert await receive(socket) == "pong"
        await beat(server, clock)
        mark = await receive(socket)
        [quote] = [item for item in server.protocol.quotes if item.instrument.name == "BTC-USDT-SWAP"]
        assert mark["arg"]["channel"] == "mark-price"
        assert float(mark["data"][0]["markPx"]) == quote.mark


def test_funding_names_the_next_settlement_fundingtime() -> None:
    protocol = protocol_of("okx")
    replies = say(protocol, session_of(protocol, PATH), subscribe(("funding-rate", "SUI-USDT-SWAP")))
    row = replies[1]["data"][0]
    [quote] = [item for item in protocol.quotes if item.instrument.name == "SUI-USDT-SWAP"]
    assert int(row["fundingTime"]) == quote.next_ts
    assert int(row["nextFundingTime"]) - int(row["fundingTime"]) == 4 * 3_600_000
    assert (row["method"], row["nextFundingRate"], row["settState"]) == ("current_period", "", "settled")
    assert len(row) == 17


def test_open_interest_in_contracts_coins_and_dollars_agrees() -> None:
    protocol = protocol_of("okx")
    names = ("BTC-USDT-SWAP", "BTC-USD-SWAP", "PEPE-USDT-SWAP")
    replies = say(protocol, session_of(protocol, PATH), subscribe(*(("open-interest", name) for name in names)))
    rows = {reply["arg"]["instId"]: reply["data"][0] for reply in replies[3:]}
    for quote in protocol.quotes:
        item = quote.instrument
        if item.name in rows:
            row = {key: float(rows[item.name][key]) for key in ("oi", "oiCcy", "oiUsd")}
            assert row["oi"] == quote.contracts
            assert row["oiUsd"] == pytest.approx(row["oiCcy"] * quote.mark, rel=1e-9)
            assert (row["oiUsd"] if item.inverse else row["oiCcy"]) == pytest.approx(
                row["oi"] * item.native_size, rel=1e-9
            )


@pytest.mark.parametrize(
    "request_text", ["{", "[]", '{"op":"dance"}', '{"op":"subscribe"}', '{"op":"subscribe","args":[]}']
)
def test_bad_requests_get_60012_with_the_request(request_text: str) -> None:
    protocol = protocol_of("okx")
    [reply] = say(protocol, session_of(protocol, PATH), request_text)
    assert (reply["event"], reply["code"]) == ("error", "60012")
    assert request_text in reply["msg"]


def test_a_wrong_argument_fails_alone() -> None:
    protocol = protocol_of("okx")
    session = session_of(protocol, PATH)
    request = subscribe(
        ("mark-price", "NOPE-USDT-SWAP"), ("index-tickers", "BTC-USDT-SWAP"), ("mark-price", "ETH-USDT-SWAP")
    )
    replies = say(protocol, session, request)
    assert [reply.get("event") for reply in replies] == ["error", "error", "subscribe", None]
    assert [reply["code"] for reply in replies[:2]] == ["60018", "60018"]
    assert list(session.topics) == ["mark-price:ETH-USDT-SWAP"]
    [gone] = say(
        protocol, session, {"op": "unsubscribe", "args": [{"channel": "mark-price", "instId": "ETH-USDT-SWAP"}]}
    )
    assert gone["event"] == "unsubscribe"
    assert session.topics == {}


def test_480_operations_an_hour() -> None:
    protocol = protocol_of("okx")
    session = session_of(protocol, PATH)
    for _ in range(480):
        assert say(protocol, session, subscribe(("mark-price", "ETH-USDT-SWAP")))[0]["event"] == "subscribe"
    assert say(protocol, session, subscribe(("mark-price", "ETH-USDT-SWAP")))[0]["code"] == "60014"
    later = START_MS + 3_600_001
    assert say(protocol, session, subscribe(("mark-price", "ETH-USDT-SWAP")), later)[0]["event"] == "subscribe"


def test_unchanged_values_are_repeated_at_the_heartbeat_only() -> None:
    protocol = protocol_of("okx")
    wanted = {"mark-price:BTC-USDT-SWAP": None, "index-tickers:BTC-USDT": None}
    seen: dict[str, list[int]] = {topic: [] for topic in wanted}
    for half in range(0, 242):
        for frame in protocol.pushes(wanted, START_MS + half * 500):
            seen[frame.topic].append(half // 2)
    assert seen == {"mark-price:BTC-USDT-SWAP": list(range(0, 121, 10)), "index-tickers:BTC-USDT": [0, 60, 120]}


def test_funding_and_open_interest_keep_their_pace() -> None:
    protocol = protocol_of("okx")
    topics = {"funding-rate:BTC-USDT-SWAP": None, "open-interest:BTC-USDT-SWAP": None}
    at: dict[str, list[int]] = {topic: [] for topic in topics}
    for half in range(3600):
        for frame in protocol.pushes(topics, START_MS + half * 500):
            at[frame.topic].append(half * 500)
    for topic, (least, most) in zip(topics, ((30_000, 90_500), (3_000, 10_500)), strict=True):
        gaps = [after - before for before, after in zip(at[topic], at[topic][1:], strict=False)]
        assert least <= min(gaps)
        assert max(gaps) <= most
        assert len(set(gaps)) > 3


def test_quiet_or_aimless_connections_are_closed() -> None:
    protocol = protocol_of("okx")
    aimless, quiet = session_of(protocol, PATH), session_of(protocol, PATH)
    say(protocol, quiet, subscribe(("mark-price", "ETH-USDT-SWAP")), START_MS + 1000)
    aimless.last_in_ms = START_MS + 29_000
    assert protocol.watch(aimless, START_MS + 29_999) == []
    assert isinstance(protocol.watch(aimless, START_MS + 30_000)[0], Hangup)
    assert protocol.watch(quiet, START_MS + 30_999) == []
    assert isinstance(protocol.watch(quiet, START_MS + 31_000)[0], Hangup)
    say(protocol, quiet, "ping", START_MS + 30_999)
    assert protocol.watch(quiet, START_MS + 31_000) == []


def test_http_answers() -> None:
    protocol = protocol_of("okx")
    _, instruments = get(protocol, "/api/v5/public/instruments", instType="SWAP")
    rows = {row["instId"]: row for row in instruments["data"]}
    assert [rows["BTC-USDT-SWAP"][key] for key in ("ctVal", "ctMult", "ctValCcy", "ctType", "uly", "state")] == [
        "0.01",
        "1",
        "BTC",
        "linear",
        "BTC-USDT",
        "live",
    ]
    assert [rows["BTC-USD-SWAP"][key] for key in ("ctVal", "ctValCcy", "ctType", "settleCcy")] == [
        "100",
        "USD",
        "inverse",
        "BTC",
    ]
    assert (rows["PEPE-USDT-SWAP"]["ctVal"], rows["SIMOLD-USDT-SWAP"]["state"]) == ("10000000", "suspend")
    assert "HYPE-USDT-SWAP" not in rows
    swaps = len(protocol.quotes)
    assert len(get(protocol, "/api/v5/public/open-interest", instType="SWAP")[1]["data"]) == swaps
    assert len(get(protocol, "/api/v5/public/mark-price", instType="SWAP")[1]["data"]) == swaps
    assert len(get(protocol, "/api/v5/public/funding-rate", instId="ANY")[1]["data"]) == swaps
    assert len(get(protocol, "/api/v5/public/funding-rate", instId="BTC-USD-SWAP")[1]["data"]) == 1
    assert [row["instId"] for row in get(protocol, "/api/v5/market/index-tickers", quoteCcy="USD")[1]["data"]] == [
        "BTC-USD",
        "ETH-USD",
    ]
    assert get(protocol, "/api/v5/public/time")[1]["data"] == [{"ts": str(START_MS)}]


def test_http_errors() -> None:
    protocol = protocol_of("okx")
    assert get(protocol, "/api/v5/public/instruments")[1]["code"] == "50014"
    assert get(protocol, "/api/v5/public/funding-rate")[1]["code"] == "50014"
    assert get(protocol, "/api/v5/market/index-tickers")[1]["code"] == "50014"
    assert get(protocol, "/api/v5/public/instruments", instType="MOON")[1]["code"] == "51000"
    assert get(protocol, "/api/v5/public/open-interest", instType="SWAP", instId="NOPE")[1]["code"] == "51001"
    assert get(protocol, "/api/v5/nothing")[0] == 404
    assert protocol.answer("POST", "/api/v5/public/time", {}, "", START_MS).status == 405


def test_trades_come_singly_and_never_on_subscribing() -> None:
    protocol = protocol_of("okx")
    session = session_of(protocol, PATH)
    assert len(say(protocol, session, subscribe(("trades", "BTC-USDT-SWAP")))) == 1  # the ack
    [quote] = [item for item in protocol.quotes if item.instrument.name == "BTC-USDT-SWAP"]
    seen = 0
    for half in range(1, 21):
        protocol.model.step(START_MS + half * 500 // 1000 * 1000)
        frames = list(protocol.pushes(session.topics, START_MS + half * 500))
        assert len(frames) == (0 if half % 2 else len(quote.trades()))
        for frame, trade in zip(frames, quote.trades(), strict=False):
            [row] = json.loads(frame.text)["data"]
            assert [row[key] for key in ("tradeId", "side", "ts")] == [str(trade.number), trade.taker, str(trade.ts)]
            assert (float(row["px"]), float(row["sz"])) == (trade.price, trade.contracts)
            seen += 1
    assert seen > 10


def test_liquidations_of_all_swaps_some_told_twice_and_a_backlog_for_newcomers() -> None:
    model = MarketModel(5, ("BTC", "ETH"), START_MS - HOUR_MS, ("okx",))
    model.stage(START_MS - 180_000)
    model.step(START_MS)
    protocol = protocol_of("okx", model)
    session = session_of(protocol, PATH)
    request = {"op": "subscribe", "args": [{"channel": "liquidation-orders", "instType": "SWAP"}]}
    assert [reply["event"] for reply in say(protocol, session, request)] == ["subscribe"]
    told, expected = [], []
    for second in range(1, 61):
        model.step(START_MS + second * 1000)
        for frame in protocol.pushes(session.topics, START_MS + second * 1000):
            message = json.loads(frame.text)
            assert message["arg"] == {"channel": "liquidation-orders", "instType": "SWAP"}
            [row] = message["data"]
            [detail] = row["details"]
            assert detail["posSide"] in ("net", "long" if detail["side"] == "sell" else "short")
            told.append((row["instId"], detail["side"], float(detail["sz"]), int(detail["ts"])))
        for quote in protocol.quotes:
            expected += [(quote.instrument.name, t.taker, t.contracts, t.ts) for t in quote.liquidations()]
    assert len(told) > len(expected) > 20
    assert list(dict.fromkeys(told)) == expected
    replies = say(protocol, session_of(protocol, PATH), request, START_MS + 60_500)
    backlog = [int(reply["data"][0]["details"][0]["ts"]) for reply in replies[1:]]
    assert len(backlog) == 20
    assert backlog != sorted(backlog)
    wrong = {"op": "subscribe", "args": [{"channel": "liquidation-orders", "instType": "MOON"}]}
    assert say(protocol, session_of(protocol, PATH), wrong)[0]["code"] == "60018"


def test_the_past_in_pages_of_a_hundred_newest_first() -> None:
    protocol = protocol_of("okx")
    now_ms = START_MS + 20 * HOUR_MS
    protocol.model.step(now_ms)
    [quote] = [item for item in protocol.quotes if item.instrument.name == "BTC-USDT-SWAP"]
    name = {"instId": "BTC-USDT-SWAP"}
    _, marks = get(protocol, "/api/v5/market/mark-price-candles", now_ms, bar="1m", **name)
    assert [int(row[0]) for row in marks["data"]] == list(range(now_ms, now_ms - 6_000_000, -60_000))
    assert [row[5] for row in marks["data"][:2]] == ["0", "1"]
    assert float(marks["data"][1][4]) == quote.mark  # the close of the last minute is the price now
    older = {"after": str(now_ms - 60_000), "before": str(now_ms - 240_000), "instId": "BTC-USDT"}
    _, indices = get(protocol, "/api/v5/market/history-index-candles", now_ms, **older)
    assert [int(row[0]) for row in indices["data"]] == [now_ms - 120_000, now_ms - 180_000]
    [point] = quote.past.points(now_ms - 60_000, now_ms - 60_000)
    assert float(indices["data"][0][4]) == point.index
    _, interest = get(protocol, "/api/v5/rubik/stat/contracts/open-interest-history", now_ms, period="5m", **name)
    stamp, contracts, coins, usd = (float(value) for value in interest["data"][0])
    [point] = quote.past.points(int(stamp), int(stamp))
    assert (stamp, contracts, len(interest["data"])) == (now_ms // 300_000 * 300_000, point.contracts, 100)
    assert coins == pytest.approx(contracts * 0.01)
    assert usd == pytest.approx(coins * point.mark)
    _, rates = get(protocol, "/api/v5/public/funding-rate-history", now_ms, **name)
    assert [float(row["realizedRate"]) for row in rates["data"]] == [rate for _, rate in reversed(quote.settlements)]
    assert [int(row["fundingTime"]) for row in rates["data"]] == [at for at, _ in reversed(quote.settlements)]


def test_ratios_and_taker_volume() -> None:
    protocol = protocol_of("okx")
    [quote] = [item for item in protocol.quotes if item.instrument.name == "ETH-USDT-SWAP"]
    base = "/api/v5/rubik/stat/contracts/long-short"
    for tail, kind in (
        ("account-ratio-contract", "account"),
        ("account-ratio-contract-top-trader", "top_account"),
        ("position-ratio-contract-top-trader", "top_position"),
    ):
        [[at, ratio]] = get(protocol, f"{base}-{tail}", instId="ETH-USDT-SWAP", period="5m")[1]["data"]
        share = quote.long_share(kind)  # type: ignore[arg-type]
        assert (int(at), float(ratio)) == (START_MS // 300_000 * 300_000, pytest.approx(share / (1 - share), abs=1e-4))
    protocol.model.step(START_MS + HOUR_MS)
    later = START_MS + HOUR_MS
    _, taken = get(protocol, "/api/v5/rubik/stat/taker-volume-contract", later, instId="ETH-USDT-SWAP", unit="1")
    assert len(taken["data"]) == 12
    _, sold, bought = (float(value) for value in taken["data"][0])
    assert bought / (sold + bought) == pytest.approx(quote.long_share("account"), abs=1e-5) != 0.5


def test_errors_about_the_past() -> None:
    protocol = protocol_of("okx")
    candles, interest = "/api/v5/market/mark-price-candles", "/api/v5/rubik/stat/contracts/open-interest-history"
    for path, query, code in (
        (candles, {}, "50014"),
        (candles, {"instId": "NOPE-SWAP"}, "51001"),
        (candles, {"instId": "BTC-USDT-SWAP", "bar": "7m"}, "51000"),
        (candles, {"instId": "BTC-USDT-SWAP", "after": "x"}, "51000"),
        (candles, {"instId": "BTC-USDT-SWAP", "limit": "0"}, "51000"),
        ("/api/v5/market/index-candles", {"instId": "BTC-USDT-SWAP"}, "51001"),
        (interest, {"instId": "NOPE-SWAP"}, "51001"),
        (interest, {"instId": "BTC-USDT-SWAP", "period": "7m"}, "51000"),
        ("/api/v5/public/funding-rate-history", {"instId": "BTC-USDT-SWAP", "before": "x"}, "51000"),
    ):
        assert get(protocol, path, **query)[1]["code"] == code, (path, query)
