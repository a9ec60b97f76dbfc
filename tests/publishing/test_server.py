"""The feed over loopback with real clients: protocol, limits, slow clients, draining."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import Any

import looptime
import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from service.errors import PublishError
from service.publishing import Feed
from tests.publishing.factories import (
    EPOCH,
    SYMBOLS,
    TS,
    Running,
    alert_body,
    ask,
    closed_with,
    http,
    make_tick,
    market_body_whole,
    receive,
    receive_many,
    sample,
)

UPGRADE = (
    "Host: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


async def raw_client(port: int, receive_buffer: int = 4096) -> socket.socket:
    """An upgraded connection on a bare socket that reads only when told to."""
    loop = asyncio.get_running_loop()
    bare = socket.socket()
    bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    bare.setblocking(False)
    await loop.sock_connect(bare, ("127.0.0.1", port))
    await loop.sock_sendall(bare, f"GET /v1/stream HTTP/1.1\r\n{UPGRADE}\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += await loop.sock_recv(bare, 1)
    assert head.startswith(b"HTTP/1.1 101")
    return bare


def masked(payload: bytes, opcode: int = 1, fin: bool = True) -> bytes:
    """A client frame, written by hand."""
    mask = os.urandom(4)
    length = len(payload)
    sized = struct.pack("!B", 0x80 | length) if length < 126 else struct.pack("!BH", 0x80 | 126, length)
    body = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return struct.pack("!B", (0x80 if fin else 0) | opcode) + sized + mask + body


async def eventually(condition: Any, within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_market_as_a_whole_comes_after_the_symbols_to_those_who_asked() -> None:
    async with Running() as run, run.connect() as client, run.connect() as other:
        for connection, channels in ((client, ["signal.BTC", "signal.MARKET", "alert.*"]), (other, ["signal.*"])):
            await receive(connection)
            await ask(connection, op="subscribe", id=1, channels=channels)
        alert = {**alert_body("MARKET"), "alert": "market_flush"}
        run.feed.publish_tick(make_tick(alerts=[alert], market=market_body_whole()), 0)
        got = await receive_many(client, 4)
        assert [item.get("channel") for item in got] == ["signal.BTC", "signal.MARKET", "alert.MARKET", None]
        assert (got[1]["symbol"], got[1]["type"], got[-1]["signals"]) == ("MARKET", "signal", 3)
        assert [item.get("symbol") for item in await receive_many(other, 4)] == [*SYMBOLS, None]


# -- the conversation --------------------------------------------------------------------------------------------


async def test_hello_subscribe_snapshot_update_tick_unsubscribe() -> None:
    async with Running() as run, run.connect() as client:
        hello = await receive(client)
        assert (hello["type"], hello["epoch"], hello["source"]) == ("hello", EPOCH, "simulated")
        assert (hello["symbols"], hello["market"]) == (list(SYMBOLS), "MARKET")
        run.feed.publish_tick(make_tick(), 0)
        ack = await ask(client, op="subscribe", id=2, channels=["signal.*", "alert.BTC"])
        assert list(ack["channels"]) == ["signal.BTC", "signal.ETH", "signal.1000PEPE", "alert.BTC"]
        snapshots = await receive_many(client, 3)
        assert {item["kind"] for item in snapshots} == {"snapshot"}
        assert [item["symbol"] for item in snapshots] == list(SYMBOLS)
        assert {item["source"] for item in snapshots} == {"simulated"}
        run.feed.publish_tick(make_tick(TS + 10_000, alerts=[alert_body("BTC"), alert_body("ETH")]), 2)
        updates = await receive_many(client, 5)
        assert [item.get("channel") for item in updates] == [
            "signal.BTC",
            "signal.ETH",
            "signal.1000PEPE",
            "alert.BTC",
            None,
        ]
        assert updates[-1] == {"v": 1, "type": "tick", "ts": TS + 10_000, "signals": 3, "missed": 2}
        assert (await ask(client, op="unsubscribe", id=3, channels=["signal.*"]))["type"] == "unsubscribed"
        run.feed.publish_tick(make_tick(TS + 20_000), 0)
        assert (await ask(client, op="ping", id=5)) == {"v": 1, "type": "pong", "id": 5, "ts": TS + 4}
        assert run.count("elr_feed_messages_total") == 8
        assert run.count("elr_feed_clients") == 1


async def test_market_is_published_once_per_sample_and_status_as_given() -> None:
    async with Running() as run, run.connect() as client:
        await receive(client)
        await ask(client, op="subscribe", channels=["market.BTC", "status"])
        run.feed.publish_market([sample("BTC"), sample("ETH")])
        run.feed.publish_market([sample("BTC"), sample("ETH")])
        run.feed.publish_market([sample("BTC", TS + 1000)])
        run.feed.publish_status({"ts": TS, "venues": {}})
        got = await receive_many(client, 3)
        assert [(item["channel"], item["seq"], item["ts"]) for item in got] == [
            ("market.BTC", 1, TS),
            ("market.BTC", 2, TS + 1000),
            ("status", 1, TS),
        ]
        assert got[0]["venues"]["okx"]["state"]["mark"] == "STALE"


async def test_resume_over_a_reconnect() -> None:
    async with Running() as run:
        for number in range(5):
            run.feed.publish_tick(make_tick(TS + number * 10_000), 0)
        async with run.connect() as client:
            await receive(client)
            resume = {"epoch": EPOCH, "seq": {"signal.BTC": 3}}
            ack = await ask(client, op="subscribe", id=1, channels=["signal.BTC"], resume=resume)
            assert ack["channels"]["signal.BTC"] == {"seq": 5, "recovered": True, "replayed": 2}
            missed = await receive_many(client, 2)
            assert [(item["seq"], item["kind"]) for item in missed] == [(4, "update"), (5, "update")]


async def test_a_new_epoch_drops_what_was_published_before() -> None:
    async with Running() as run, run.connect() as client:
        await receive(client)
        run.feed.publish_tick(make_tick(), 0)
        await ask(client, op="subscribe", channels=["signal.BTC"])
        await receive(client)
        run.feed.new_epoch("01JNEW")
        assert (await receive(client))["epoch"] == "01JNEW"
        assert (await http(run.port, "GET /v1/signals/BTC"))[0] == 503
        run.feed.publish_tick(make_tick(TS - 60_000), 0)
        signal = await receive(client)
        assert (signal["epoch"], signal["seq"]) == ("01JNEW", 1)


async def test_no_compression_is_negotiated() -> None:
    async with Running() as run, connect(run.url, proxy=None, compression="deflate") as client:
        assert client.protocol.extensions == []
        assert (await receive(client))["type"] == "hello"


# -- bad clients -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "bad_json"),
        ("[" * 4000, "bad_json"),
        ('{"op":"subscribe","id":1,"channels":["signal.BTC","nope"]}', "unknown_channel"),
        ('{"op":"subscribe","id":1,"channels":[1]}', "bad_request"),
        ('{"op":"sing"}', "unknown_op"),
    ],
)
async def test_a_bad_frame_gets_an_error_and_the_connection_lives(text: str, code: str) -> None:
    async with Running() as run, run.connect() as client:
        await receive(client)
        await client.send(text)
        assert (await receive(client))["code"] == code
        assert (await ask(client, op="ping", id=1))["type"] == "pong"


async def test_the_tenth_bad_frame_closes_after_its_reply() -> None:
    async with Running() as run, run.connect() as client:
        await receive(client)
        for _ in range(10):
            await client.send("{")
        assert [item["code"] for item in await receive_many(client, 10)] == ["bad_json"] * 10
        assert await closed_with(client) == (4006, "bad requests")
        await eventually(lambda: run.count("elr_feed_closed_total", code="4006") == 1)


async def test_ten_thousand_channels_in_one_message() -> None:
    async with Running(max_message_bytes=65_536) as run, run.connect() as client:
        await receive(client)
        text = orjson.dumps({"op": "subscribe", "id": 1, "channels": ["a.b"] * 10_000}).decode()
        assert len(text) < 65_536
        await client.send(text)
        assert (await receive(client))["code"] == "too_many"


async def test_oversized_binary_and_broken_frames() -> None:
    async with Running() as run:
        async with run.connect() as client:
            await receive(client)
            await client.send("x" * 4097)
            assert (await closed_with(client))[0] == 1009
        async with run.connect() as client:
            await receive(client)
            await client.send(b"{}")
            assert (await closed_with(client))[0] == 1003
        for frame, code in (
            (masked(b"\xff\xfe"), 1007),
            (b"\x81\x02{}", 1002),  # not masked
            (masked(b"{}", opcode=0x41), 1002),  # reserved bit
            (masked(b"", opcode=9, fin=False), 1002),  # fragmented ping
            (masked(b"x" * 126, opcode=9), 1002),  # ping too long
        ):
            bare = await raw_client(run.port)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(bare, frame)
            data = b""
            async with asyncio.timeout(5):
                while chunk := await loop.sock_recv(bare, 65_536):
                    data += chunk
            bare.close()
            assert struct.pack("!H", code) in data, code
        for code in ("1009", "1003", "1007"):
            await eventually(lambda code=code: run.count("elr_feed_closed_total", code=code) == 1)
        await eventually(lambda: run.count("elr_feed_closed_total", code="1002") == 4)
        await eventually(lambda: run.count("elr_feed_clients") == 0)


async def test_bytes_that_are_not_http_cost_a_counter() -> None:
    async with Running() as run:
        for junk in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", b"hello there\r\n\r\n", b"GET /\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
            writer.write(junk)
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            writer.close()
        await eventually(lambda: run.count("elr_feed_refused_total", status="bad_http") == 3)


async def test_idle_is_closed() -> None:
    async with Running(idle_s=0.05) as run, run.connect() as client:
        assert await closed_with(client) == (4002, "nothing subscribed")


# -- limits ------------------------------------------------------------------------------------------------------


async def refused_status(run: Running, **options: Any) -> int:
    with pytest.raises(InvalidStatus) as refused:
        await connect(options.pop("url", run.url), proxy=None, **options)
    body = orjson.loads(refused.value.response.body)
    assert set(body["error"]) == {"code", "message"}
    return refused.value.response.status_code


async def test_connection_limits_and_that_places_come_free() -> None:
    async with Running(max_clients=2) as run:
        first, second = await run.connect(), await run.connect()
        assert await refused_status(run) == 503
        await first.close()
        await eventually(lambda: run.count("elr_feed_clients") == 1)
        async with run.connect() as third:
            assert (await receive(third))["type"] == "hello"
        await second.close()
        assert run.count("elr_feed_refused_total", status="503") == 1
    async with Running(max_clients_per_address=1) as run, run.connect():
        assert await refused_status(run) == 503
        assert (await http(run.port, "GET /healthz"))[0] == 200


async def test_origins() -> None:
    async with Running() as run:
        own = f"http://127.0.0.1:{run.port}"
        async with run.connect(origin=own) as client:
            assert (await receive(client))["type"] == "hello"
        for origin in (
            "http://127.0.0.1",
            f"{own}.evil",
            "null",
            "https://evil.example",
            f"file://127.0.0.1:{run.port}",
        ):
            assert await refused_status(run, origin=origin) == 403
        double = await http(run.port, "GET /v1/stream", UPGRADE + "Origin: http://test\r\nOrigin: http://test\r\n")
        assert double[0] == 400


@pytest.mark.parametrize("query", ["token=canary", "a=1&Access_Token=canary", "apikey=canary"])
async def test_a_token_in_the_address_is_refused_and_never_repeated(
    query: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with Running() as run:
        assert await refused_status(run, url=f"{run.url}?{query}") == 401
        status, _, body = await http(run.port, f"GET /healthz?{query}")
        assert (status, b"canary" in body) == (401, False)
        assert b"canary" not in (await http(run.port, "GET /metrics"))[2]
    ours = [record for record in caplog.records if record.name.startswith("service")]
    assert not any("canary" in record.getMessage() for record in ours)


async def test_a_handshake_that_does_not_come_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.publishing.feed.OPEN_TIMEOUT_S", 0.1)
    async with Running() as run:
        reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
        writer.write(b"GET /v1/str")
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()


# -- slow and dead clients ---------------------------------------------------------------------------------------


async def test_a_client_that_never_reads_is_dropped_and_the_healthy_one_gets_everything() -> None:
    async with Running(client_buffer_bytes=65_536) as run, run.connect() as healthy:
        await receive(healthy)
        await ask(healthy, op="subscribe", channels=["signal.*"])
        stuck = [await raw_client(run.port) for _ in range(5)]
        loop = asyncio.get_running_loop()
        for bare in stuck:
            await loop.sock_sendall(bare, masked(b'{"op":"subscribe","channels":["signal.*"]}'))
        await eventually(lambda: sum(bool(client.channels) for client in run.feed.hub.clients) == 6)
        most = 0
        ticks = 0
        while len(run.feed.hub.clients) > 1:
            ticks += 1
            assert ticks < 5000
            run.feed.publish_tick(make_tick(TS + ticks * 10_000), 0)
            most = max(most, *(c.transport.get_write_buffer_size() for c in run.feed._connections))
            received = await receive_many(healthy, 4)
            assert [item.get("seq") for item in received] == [ticks] * 3 + [None]
            assert not any("skipped" in item for item in received)
        assert most <= 65_536
        assert run.count("elr_feed_closed_total", code="4003") == 5
        for bare in stuck:
            bare.close()


async def test_a_client_that_pauses_gets_the_newest_and_the_number_skipped() -> None:
    async with Running(client_buffer_bytes=1_000_000) as run:
        bare = await raw_client(run.port)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(bare, masked(b'{"op":"subscribe","channels":["signal.BTC"]}'))
        await eventually(lambda: any(client.channels for client in run.feed.hub.clients))
        (client,) = run.feed.hub.clients
        published = 0
        while not client.outbox.waiting:
            published += 1
            run.feed.publish_tick(make_tick(TS + published * 10_000, ("BTC",)), 0)
            assert published < 20_000
        for _ in range(3):
            published += 1
            run.feed.publish_tick(make_tick(TS + published * 10_000, ("BTC",)), 0)
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        data = b""
        async with asyncio.timeout(10):
            while b'"seq":%d,' % published not in data:
                data += await loop.sock_recv(bare, 1 << 20)
        assert b'"skipped":3' in data
        bare.close()


@pytest.mark.parametrize("unsent", [0, 200_000])
def test_a_dead_client_is_found_by_ping_within_45_s(unsent: int) -> None:
    """At one tick per ten seconds a dead client may never reach the byte limit, and unsent bytes must not hold up the
    pings: below its own write limit the library waits for nothing."""

    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        async with Running(ping_s=20.0, client_buffer_bytes=1_000_000) as run:
            bare = await raw_client(run.port)
            await loop.sock_sendall(bare, masked(b'{"op":"subscribe","channels":["signal.BTC"]}'))
            await eventually(lambda: any(client.channels for client in run.feed.hub.clients))
            (connection,) = run.feed._connections
            published = 0
            while connection.transport.get_write_buffer_size() < unsent:
                published += 1
                run.feed.publish_tick(make_tick(TS + published * 10_000), 0)
            began = loop.time()
            while run.feed.hub.clients:
                await asyncio.sleep(1.0)
            bare.close()
            assert run.count("elr_feed_closed_total", code="1011") == 1
            return loop.time() - began

    loop = looptime.patch_event_loop(asyncio.new_event_loop())
    try:
        with looptime.Chronometer():
            assert 20 < loop.run_until_complete(asyncio.wait_for(scenario(), 300)) <= 45
    finally:
        loop.close()


# -- start and stop ----------------------------------------------------------------------------------------------


async def test_a_taken_port_is_told_with_what_to_do() -> None:
    async with Running() as run:
        other = Running(port=run.port)
        with pytest.raises(PublishError, match=rf"port {run.port} on 127\.0\.0\.1 is in use.*feed\.port"):
            await other.feed.start()
        await other.feed.drain()


async def test_an_address_that_is_not_ours_is_told() -> None:
    with pytest.raises(PublishError, match=r"192\.0\.2\.1 port .*feed\.host"):
        await Running(host="192.0.2.1").feed.start()


async def test_drain_notifies_closes_and_ends_within_four_seconds_with_clients_that_do_not_read() -> None:
    run = Running()
    run.port = await run.feed.start()
    loop = asyncio.get_running_loop()
    run.feed.set_ready(True)
    stuck = [await raw_client(run.port) for _ in range(20)]
    for bare in stuck:
        await loop.sock_sendall(bare, masked(b'{"op":"subscribe","channels":["signal.*","market.*"]}'))
    async with run.connect() as client:
        await receive(client)
        await ask(client, op="subscribe", channels=["status"])
        await eventually(lambda: sum(bool(c.channels) for c in run.feed.hub.clients) == 21)
        for number in range(60):
            run.feed.publish_tick(make_tick(TS + number * 10_000), 0)
        began = loop.time()
        draining = asyncio.create_task(run.feed.drain())
        await asyncio.sleep(0)
        status, _, body = await http(run.port, "GET /readyz")
        assert (status, orjson.loads(body)) == (503, {"status": "draining"})
        assert await receive(client) == {"v": 1, "type": "notice", "code": "shutdown", "reconnect_after_ms": 3000}
        assert await closed_with(client) == (1001, "restart")
        assert loop.time() - began < 1
        await draining
    assert loop.time() - began < 4
    assert not run.feed.hub.clients
    assert not run.feed._connections
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await asyncio.open_connection("127.0.0.1", run.port)
    for bare in stuck:
        bare.close()


async def test_drain_without_clients_is_quick_and_may_be_repeated() -> None:
    run = Running()
    await run.feed.start()
    began = asyncio.get_running_loop().time()
    await run.feed.drain()
    await run.feed.drain()
    assert asyncio.get_running_loop().time() - began < 0.5


async def test_nothing_is_left_running() -> None:
    before = asyncio.all_tasks()
    async with Running() as run:
        async with run.connect() as client:
            await receive(client)
        bare = await raw_client(run.port)
    bare.close()
    await eventually(lambda: asyncio.all_tasks() == before, 2.0)


async def test_ready_follows_ticks() -> None:
    async with Running() as run:
        feed: Feed = run.feed

        async def readyz() -> tuple[int, str]:
            status, _, body = await http(run.port, "GET /readyz")
            return status, orjson.loads(body)["status"]

        assert await readyz() == (503, "starting")
        feed.publish_tick(make_tick(), 0)
        feed.set_ready(True)
        assert await readyz() == (200, "ready")
        run.clock.now += 30_000
        assert await readyz() == (200, "ready")
        run.clock.now += 1
        assert await readyz() == (503, "stalled")
        feed.publish_tick(make_tick(TS + 30_000), 0)
        assert await readyz() == (200, "ready")
        feed.set_ready(False)
        assert await readyz() == (503, "starting")


def test_the_same_on_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test_hello_subscribe_snapshot_update_tick_unsubscribe())
        runner.run(test_a_client_that_never_reads_is_dropped_and_the_healthy_one_gets_everything())
        runner.run(test_drain_notifies_closes_and_ends_within_four_seconds_with_clients_that_do_not_read())
