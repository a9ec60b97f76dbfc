"""Kraken's unified socket: the simulated one speaks the documented part, and over it v1 is followed without a jump.

The fields of its ticker are the simulation's assumption (service/simulation/venues/kraken_unified.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import connect

from service.config import parse
from service.core.replay import Run
from service.market.agreement import ROUND_MS, SILENT_MS
from service.model import Tick
from service.simulation.market import MarketModel
from service.simulation.protocol import Hangup
from service.tapes import Header, Record
from service.venues import VENUES
from tests.simulation.build import START_MS, beat, protocol_of, receive, say, serving, session_of

PATH = "/v2/public"
VENUE = "kraken_futures"
SYMBOLS = ("BTC", "ETH", "SOL")
STEP_MS = 10_000
Change = Callable[[str], str]


def subscribe(channel: str, *symbols: str, **params: Any) -> dict[str, Any]:
    asked = {"channel": channel, "asset_class": "derivatives", **params}
    return {"method": "subscribe", "params": asked | ({"symbol": list(symbols)} if symbols else {}), "req_id": 7}


# -- the documented part -----------------------------------------------------------------------------------------------


async def test_status_comes_first_then_one_answer_a_symbol_and_pongs() -> None:
    async with serving(VENUE) as (_, endpoints, _), connect(endpoints.ws["unified"]) as socket:
        greeting = await receive(socket)
        assert (greeting["channel"], greeting["data"][0]["system"]) == ("status", "online")
        await socket.send(json.dumps(subscribe("ticker", "PF_XBTUSD", "PF_NOPEUSD")))
        ack, ticker, refused = [await receive(socket) for _ in range(3)]
        assert (ack["success"], ack["req_id"], ack["result"]["symbol"]) == (True, 7, "PF_XBTUSD")
        assert (ticker["type"], ticker["data"][0]["symbol"]) == ("snapshot", "PF_XBTUSD")
        assert (refused["success"], refused["symbol"]) == (False, "PF_NOPEUSD")
        await socket.send('{"method":"ping","req_id":9}')
        pong = await receive(socket)
        assert (pong["method"], pong["req_id"], pong["success"]) == ("pong", 9, True)


def test_asset_class_is_needed_and_a_broken_request_ends_the_socket() -> None:
    protocol = protocol_of(VENUE)
    session = session_of(protocol, PATH)
    request = subscribe("ticker", "PF_XBTUSD")
    del request["params"]["asset_class"]
    assert say(protocol, session, request)[0]["success"] is False
    assert say(protocol, session, subscribe("book", "PF_XBTUSD"))[0]["success"] is False
    assert say(protocol, session, "{") == [Hangup(1008, "malformed request")]


async def test_the_ticker_speaks_on_trades_and_a_new_subscription_brings_a_snapshot() -> None:
    async with serving(VENUE) as (server, endpoints, clock), connect(endpoints.ws["unified"]) as socket:
        await receive(socket)
        names = [quote.instrument.name for quote in server.protocol.quotes]
        await socket.send(json.dumps(subscribe("ticker", *names, snapshot=False)))
        assert all([(await receive(socket))["success"] for _ in names])
        await beat(server, clock)
        traded = [quote.instrument.name for quote in server.protocol.quotes if quote.trades()]
        assert [(await receive(socket))["data"][0]["symbol"] for _ in traded] == traded
        await socket.send(json.dumps({**subscribe("ticker", names[0]), "method": "unsubscribe"}))
        await socket.send(json.dumps(subscribe("ticker", names[0])))
        assert [(await receive(socket))["method"] for _ in range(2)] == ["unsubscribe", "subscribe"]
        assert (await receive(socket))["type"] == "snapshot"


# -- the whole line, without sockets -----------------------------------------------------------------------------------


def frames(from_ms: int, until_ms: int, v1_until_ms: int, change: Change = str) -> Iterator[Record]:
    """What both sockets bring, as the records of a tape; v1 and HTTP end at ``v1_until_ms``. ``change``: to texts of
    the unified socket."""
    model = MarketModel(5, SYMBOLS, START_MS - 60_000, (VENUE,))
    model.step(START_MS)
    protocol = protocol_of(VENUE, model)
    names = [quote.instrument.name for quote in protocol.quotes]
    v1, unified = session_of(protocol, "/ws/v1"), session_of(protocol, PATH)
    say(protocol, v1, {"event": "subscribe", "feed": "ticker", "product_ids": names})
    say(protocol, v1, {"event": "subscribe", "feed": "trade", "product_ids": names})
    say(protocol, unified, subscribe("ticker", *names))
    say(protocol, unified, subscribe("trade", *names))
    if from_ms == START_MS:
        body = protocol.answer("GET", "/derivatives/api/v3/instruments", {}, "", START_MS).text
        yield Record("f", START_MS, VENUE, "rest", body, "instruments")
    for ts in range(START_MS + STEP_MS, until_ms, STEP_MS):
        model.step(ts)
        sent = list(protocol.pushes({**v1.topics, **unified.topics}, ts))
        if ts < from_ms:
            continue
        for frame in sorted(sent, key=lambda frame: frame.topic.startswith("unified")):
            newer = frame.topic.startswith("unified")
            if newer or ts < v1_until_ms:
                text = change(frame.text) if newer else frame.text
                yield Record("f", ts + 50 + 50 * newer, VENUE, "unified#1" if newer else "v1#1", text, "")


def run_of(created_ms: int, state: Any = None) -> Run:
    config = parse(
        {
            "service": {"symbols": list(SYMBOLS)},
            "market": {"min_venues": 1},
            "venues": {name: {"enabled": name == VENUE} for name in VENUES},
        }
    )
    return Run(Header(created_ms, "live", "test", False, config.model_dump(mode="json"), [], state), "test")


def bodies(ticks: list[Tick]) -> bytes:
    return b"\n".join(orjson.dumps([tick.ts, tick.signals]) for tick in ticks)


END_MS = START_MS + ROUND_MS + 120_000  # v1 ends


@cache
def over_the_end() -> tuple[dict[int, Any], bytes, list[Tick]]:
    """A run over the end of v1: its states at some times, the bodies after the middle, all ticks."""
    run, ticks, states = run_of(START_MS), list[Tick](), dict[int, Any]()
    wanted = [START_MS + ROUND_MS // 2, END_MS - STEP_MS, END_MS + 5 * SILENT_MS]
    for record in frames(START_MS, END_MS + 10 * SILENT_MS, END_MS):
        while wanted and record.ts > wanted[0]:
            ticks += run.take(Record("e", wanted[0]))
            states[wanted.pop(0)] = orjson.loads(orjson.dumps(run.engine.save()))
        ticks += run.take(record)
    half = [tick for tick in ticks if tick.ts > START_MS + ROUND_MS // 2]
    return states, bodies(half), ticks


def oi(body: Any) -> float | None:
    return body["oi"]["total_coins"] if isinstance(body["oi"], dict) else None


def test_v1_ends_and_the_unified_socket_takes_its_place_without_a_jump() -> None:
    states, _, _ = over_the_end()
    *_, before_ms, after_ms = states
    agreement = states[after_ms]["engine"]["market"]["agreements"][VENUE]
    assert {key: (found["field"], found["unit"]) for key, found in agreement["agreed"].items()} == {
        "linear mark": ("mark_price", "price"),
        "linear index": ("index_price", "price"),
        "linear oi": ("open_interest", "contracts"),
        "linear funding": ("funding_rate", "absolute"),
        "inverse mark": ("mark_price", "price"),
        "inverse index": ("index_price", "price"),
        "inverse oi": ("open_interest", "contracts"),
        "inverse funding": ("funding_rate", "absolute"),
        "flow": ("qty", "contracts"),
    }
    for symbol in SYMBOLS:
        before, after = (
            states[at]["engine"]["market"]["books"][symbol]["shelves"][VENUE]["instruments"]
            for at in (before_ms, after_ms)
        )
        assert list(before) == list(after)
        for name, item in after.items():
            assert item["oi"]["state"] == item["mark"]["state"] == item["funding"]["state"] == "LIVE", name
            assert item["oi"]["coins"] == pytest.approx(before[name]["oi"]["coins"], rel=0.05)
            assert item["funding"]["rate"] == pytest.approx(before[name]["funding"]["rate"], rel=0.05)


def test_a_tape_that_begins_between_replays_alike() -> None:
    """Cause guarded against: an agreement that only the process knew would come at another time in a replay."""
    states, live, _ = over_the_end()
    middle_ms = START_MS + ROUND_MS // 2
    again, ticks = run_of(middle_ms, states[middle_ms]), list[Tick]()
    for record in frames(middle_ms, END_MS + 10 * SILENT_MS, END_MS):
        ticks += again.take(record)
    assert bodies(ticks) == live


def test_without_an_agreement_the_venue_leaves_the_sums() -> None:
    """Funding in percent: no unit that is known."""

    def percent(text: str) -> str:
        document = json.loads(text)
        for row in document["data"]:
            if "funding_rate" in row:
                row["funding_rate"] *= 100.0
        return json.dumps(document)

    run = run_of(START_MS)
    for record in frames(START_MS, END_MS + 5 * SILENT_MS, END_MS, percent):
        run.take(record)
    market, at = run.engine.market, run.engine.sampled_ms
    agreement = market.agreements[VENUE]
    assert agreement.counting(at) == "none"
    assert agreement.reason(at) is not None
    assert "linear funding agrees on 0 of 3" in str(agreement.reason(at))
    assert all(not view.fresh for sample in run.engine.samples for view in sample.venues)
