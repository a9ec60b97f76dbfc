from __future__ import annotations

import asyncio
import json
import random
import socket as sockets
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from service.clock import ServiceClock
from service.simulation import MarketModel, SimulatedVenues
from service.simulation.instruments import VENUES
from service.simulation.servers import MAX_UNSENT_BYTES
from tests.simulation.build import START_MS, ManualClock, beat, receive, serving

HELLO = {
    "binance_usdm": ("market", "/ws", '{"method":"SUBSCRIBE","params":["btcusdt@markPrice@1s"],"id":1}'),
    "bybit": ("linear", "", '{"op":"subscribe","args":["tickers.BTCUSDT"]}'),
    "okx": ("public", "", '{"op":"subscribe","args":[{"channel":"mark-price","instId":"BTC-USDT-SWAP"}]}'),
    "hyperliquid": ("main", "", '{"method":"subscribe","subscription":{"type":"activeAssetCtx","coin":"BTC"}}'),
}
FOUR = tuple(HELLO)


class LoopClock:
    """A clock that follows the event loop, so that virtual time moves both."""

    def now_ms(self) -> int:
        return START_MS + round(asyncio.get_running_loop().time() * 1000)


async def subscribed(endpoints: Any, venue: str) -> Any:
    kind, suffix, text = HELLO[venue]
    socket = await connect(endpoints[venue].ws[kind] + suffix)
    await socket.send(text)
    return socket


async def data_of(socket: Any, count: int) -> list[dict[str, Any]]:
    """The next market data frames, replies left out."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        message = await receive(socket)
        if (
            "e" in message
            or "topic" in message
            or ("data" in message and message.get("channel") != "subscriptionResponse")
        ):
            found.append(message)
    return found


async def test_all_venues_send_on_ports_of_their_own_as_real_time_goes_by() -> None:
    clock = ServiceClock()
    now = clock.now_ms()
    venues = SimulatedVenues(MarketModel(5, ("BTC", "ETH"), now - 60_000, FOUR), clock, random.Random(1))
    endpoints = await venues.start()
    try:
        assert list(endpoints) == list(HELLO)
        assert len({item.rest for item in endpoints.values()}) == 4
        opened = [await subscribed(endpoints, venue) for venue in HELLO]
        frames = await asyncio.gather(*(data_of(socket, 2) for socket in opened))
        assert [len(item) for item in frames] == [2, 2, 2, 2]
        assert venues.model.now_ms % 1000 == 0
        assert venues.model.now_ms > now
        async with aiohttp.ClientSession() as http:
            answer = await http.get(f"{endpoints['binance_usdm'].rest}/fapi/v1/openInterest?symbol=BTCUSDT")
            assert answer.status == 200
            assert answer.headers["X-MBX-USED-WEIGHT-1M"] == "1"
            assert float((await answer.json())["openInterest"]) > 1000
            meta = await http.post(f"{endpoints['hyperliquid'].rest}/info", data='{"type":"meta"}')
            assert (await meta.json())["universe"][0]["name"] == "BTC"
        for socket in opened:
            await socket.close()
    finally:
        await venues.stop()
        await venues.stop()


async def test_an_outage_drops_the_sockets_refuses_new_ones_and_ends() -> None:
    async with serving("okx") as (server, endpoints, _):
        url = endpoints.ws["public"]
        async with connect(url) as socket:
            await socket.send(HELLO["okx"][2])
            await receive(socket)
            await receive(socket)
            assert server.connections == 1
            server.outage(True)
            with pytest.raises(ConnectionClosed) as caught:
                await receive(socket)
            assert caught.value.rcvd is None
        with pytest.raises(InvalidStatus) as refused:
            await connect(url)
        assert refused.value.response.status_code == 503
        async with aiohttp.ClientSession() as http:
            assert (await http.get(f"{endpoints.rest}/api/v5/public/time")).status == 503
            server.outage(False)
            assert (await http.get(f"{endpoints.rest}/api/v5/public/time")).status == 200
        async with connect(url) as socket:
            await socket.send("ping")
            assert await receive(socket) == "pong"


@pytest.mark.looptime
async def test_one_venue_has_an_outage_of_three_minutes_after_six() -> None:
    clock = LoopClock()
    venues = SimulatedVenues(MarketModel(5, ("BTC",), START_MS - 60_000), clock, random.Random(1))
    assert venues.planned_outage is not None
    victim, after_s, length_s = venues.planned_outage
    assert 340 <= after_s <= 380
    assert 170 <= length_s <= 190
    await venues.start()
    try:
        down: dict[str, list[float]] = {}
        for second in range(720):
            for venue, server in venues.servers.items():
                if server.down:
                    down.setdefault(venue, []).append(second)
            await asyncio.sleep(1)
        assert list(down) == [victim]
        assert down[victim][0] == pytest.approx(after_s, abs=2)
        assert len(down[victim]) == pytest.approx(length_s, abs=2)
        assert 0 <= clock.now_ms() - venues.model.now_ms <= 1000
    finally:
        await venues.stop()


def test_the_outage_is_drawn_from_the_seed_and_can_be_left_out() -> None:
    model = MarketModel(5, ("BTC",), START_MS)

    def plan(seed: int) -> Any:
        return SimulatedVenues(model, ManualClock(), random.Random(seed)).planned_outage

    assert plan(1) == plan(1)
    assert {plan(seed)[0] for seed in range(120)} == set(VENUES)
    assert sorted(SimulatedVenues(model, ManualClock(), random.Random(1)).servers) == sorted(VENUES)
    two = MarketModel(5, ("BTC",), START_MS, ("gate", "okx"))
    assert list(SimulatedVenues(two, ManualClock(), random.Random(1)).servers) == ["okx", "gate"]
    quiet = SimulatedVenues(model, ManualClock(), random.Random(1), scheduled_outage=False)
    assert quiet.planned_outage is None


async def test_the_fault_hook_sees_and_changes_everything_sent() -> None:
    async with serving("bybit") as (server, endpoints, clock):
        seen: list[str] = []

        def hook(topic: str, text: str) -> str | None:
            seen.append(topic)
            return None if topic == "" else "garbled" if topic.startswith("tickers.") else text

        server.on_send = hook
        async with connect(endpoints.ws["linear"]) as socket:
            await socket.send(HELLO["bybit"][2])
            assert await asyncio.wait_for(socket.recv(), 5) == "garbled"
            await beat(server, clock)
            assert await asyncio.wait_for(socket.recv(), 5) == "garbled"
        assert seen.count("tickers.BTCUSDT") == 2
        assert "" in seen
        server.on_send = lambda topic, text: None
        async with aiohttp.ClientSession() as http:
            assert (await http.get(f"{endpoints.rest}/v5/market/time")).status == 503


async def test_all_subscribers_get_the_same_text() -> None:
    async with serving("hyperliquid") as (server, endpoints, clock):
        opened = [await connect(endpoints.ws["main"]) for _ in range(3)]
        for socket in opened:
            await socket.send(HELLO["hyperliquid"][2])
            await receive(socket)
            await receive(socket)
        await beat(server, clock, 3)
        texts = [await asyncio.wait_for(socket.recv(), 5) for socket in opened]
        assert len(set(texts)) == 1
        for socket in opened:
            await socket.close()


async def test_wrong_paths_and_binary_frames() -> None:
    async with serving("bybit") as (_, endpoints, _clock):
        with pytest.raises(InvalidStatus) as refused:
            await connect(endpoints.ws["linear"].replace("linear", "moon"))
        assert refused.value.response.status_code == 404
        async with connect(endpoints.ws["linear"]) as socket:
            await socket.send(b"binary")
            with pytest.raises(ConnectionClosed) as caught:
                await receive(socket)
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1003


async def test_a_clients_ping_frame_is_answered() -> None:
    async with serving("okx") as (_, endpoints, _clock), connect(endpoints.ws["public"]) as socket:
        assert await asyncio.wait_for(await socket.ping(), 5) >= 0


async def test_a_client_that_does_not_read_is_cut_and_holds_nobody_up() -> None:
    async with serving("okx") as (server, endpoints, clock):
        reader = await connect(endpoints.ws["public"])
        await reader.send(HELLO["okx"][2])
        await receive(reader)
        await receive(reader)
        [client] = server._clients
        big = json.dumps({"pad": "x" * 200_000})
        server.on_send = lambda topic, text: big if topic.startswith("mark-price") else text
        reader.transport.pause_reading()
        for _ in range(80):
            clock.ms += 10_000
            client.session.last_in_ms = clock.ms
            server.protocol.model.step(clock.ms)
            await asyncio.wait_for(server.beat(clock.ms), 5)
            if client.transport.is_closing():
                break
        assert client.transport.is_closing()
        assert client.transport.get_write_buffer_size() <= 2 * MAX_UNSENT_BYTES
        reader.transport.abort()


async def test_a_taken_port_is_reported_and_nothing_stays_open() -> None:
    with sockets.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        venues = SimulatedVenues(MarketModel(5, ("BTC",), START_MS), ManualClock(), random.Random(1))
        with pytest.raises(OSError, match=str(port)):
            await venues.start({"bybit": port})
        first = venues.servers["binance_usdm"].port
        with sockets.socket() as probe, pytest.raises(ConnectionRefusedError):
            probe.connect(("127.0.0.1", first))


async def test_a_given_port_is_used() -> None:
    with sockets.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    venues = SimulatedVenues(MarketModel(5, ("BTC",), START_MS), ManualClock(), random.Random(1))
    endpoints = await venues.start({"okx": port})
    try:
        assert endpoints["okx"].rest == f"http://127.0.0.1:{port}"
    finally:
        await venues.stop()
