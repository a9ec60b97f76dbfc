"""The feed's only socket code: WebSocket and plain HTTP on one port. What to say is decided in hub.py and http.py.

A frame is made once and written to every client's transport (measured cheapest); the library does the rest of the
protocol. Its own write limit lies far above ours, so that its pings are never held up behind a full buffer and a dead
client is found by them even when it never reaches the byte limit.
"""

from __future__ import annotations

import asyncio
import errno
import gzip
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State

from service.clock import Clock, perf_seconds
from service.config import FeedSection
from service.errors import PublishError
from service.metrics import MarketNumbers, Metrics, SignalNumbers, market_numbers, numbers_of
from service.model import Consensus, Tick
from service.publishing import codes, exporter, page
from service.publishing import http as routes
from service.publishing import message as wire
from service.publishing.http import METRICS, STREAM, Ask, Reply, Routes, Views, failure
from service.publishing.hub import Hub

log = logging.getLogger(__name__)
library_log = logging.getLogger(f"{__name__}.websockets")
library_log.setLevel(logging.WARNING)  # below it the library writes a line per connection, and request targets

OPEN_TIMEOUT_S = 5.0  # from connect to upgraded, or to the last byte of an HTTP answer
CLOSE_TIMEOUT_S = 4.0  # for closings that the library starts; with two ping periods a dead client lasts 44 s
CUT_AFTER_S = 1.0  # for closings that we start: then the socket is cut
HOUSEKEEPING_S = 0.25
FLUSH_S = 0.01
SETTLE_S = 2.0  # draining: for clients to follow the close
LINGER_S = 0.5  # draining: for HTTP answers on their way
TICKING_MS = 30_000  # ready means that the last tick is at most this old
COMPRESS_ABOVE = 16 * 1024
SPARE_CONNECTIONS = 256  # for HTTP, above max_clients
NO_BODY = frozenset((b"GET", b"HEAD", b"OPTIONS"))


def frame(text: bytes) -> bytes:
    """An unmasked, uncompressed text frame: what a server sends."""
    return Frame(Opcode.TEXT, text).serialize(mask=False)


class _Connection(ServerConnection):
    """Registers itself while it lasts, and answers methods whose body the library would hang up on."""

    def __init__(self, feed: Feed, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._feed = feed
        self._heard = False
        self._answered = False
        self.closing_since_s: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._feed.arrived(self)

    def data_received(self, data: bytes) -> None:
        if not self._heard:
            self._heard = True
            method = data[:16].split(b" ", 1)[0]
            if method.isalpha() and method.isupper() and b" HTTP/1" in data and method not in NO_BODY:
                self._answered = True
                self._feed.metrics.feed_refused("405")
                refused = failure(
                    HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "use GET", ("Allow", "GET, HEAD")
                )
                self.transport.write(_response(refused, head=False).serialize())
                self.transport.close()
                return
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._heard and not self._answered and self.request is None:
            self._feed.metrics.feed_refused("bad_http")
        super().connection_lost(exc)
        self._feed.left(self)


class _Outlet:
    """A connection as the hub sees it (:class:`~service.publishing.outbox.Outlet`)."""

    def __init__(self, connection: ServerConnection, closing: set[asyncio.Task[None]]) -> None:
        self._connection = connection
        self._transport = connection.transport
        self._closing = closing

    def buffered(self) -> int:
        return self._transport.get_write_buffer_size()

    def write(self, frame: bytes) -> None:
        if self._connection.state is State.OPEN and not self._transport.is_closing():
            self._transport.write(frame)

    def close(self, code: int, reason: str) -> None:
        task = asyncio.create_task(self._close(code, reason))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(CUT_AFTER_S):
                await self._connection.close(code, reason)
        except TimeoutError:
            pass
        finally:
            self._transport.abort()


class Feed:
    """Publishes to WebSocket clients, HTTP and metrics. The ``publish_*`` methods are synchronous and never wait."""

    def __init__(
        self,
        settings: FeedSection,
        source: str,
        symbols: Sequence[str],
        epoch: str,
        server_name: str,
        clock: Clock,
        metrics: Metrics,
        views: Views,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        """``aliases``: other names of symbols, which requests may use."""
        self.metrics = metrics
        self._settings = settings
        self._server_name = server_name
        self._clock = clock
        self._views = views
        self.hub = Hub(
            settings,
            source,
            symbols,
            epoch,
            server_name,
            clock.now_ms,
            frame,
            metrics.feed_sent,
            self._flush_soon,
            aliases,
        )
        self._routes = Routes(self.hub, views, self._readiness, lambda: self._tick_ts, clock.now_ms, page.load())
        self._ready = False
        self.starting = "starting"  # what /readyz says until the first tick
        self._draining = False
        self._tick_ts: int | None = None
        self._ticked_ms: int | None = None
        self._numbers: tuple[SignalNumbers, ...] = ()
        self._market: MarketNumbers | None = None
        self._market_ts: dict[str, int] = {}
        self._server: Server | None = None
        self._connections: dict[_Connection, None] = {}
        self._admitted: dict[ServerConnection, str] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._house: asyncio.Task[None] | None = None
        self._flusher: asyncio.Task[None] | None = None
        self._scrape: asyncio.Task[bytes] | None = None
        self._empty = asyncio.Event()

    # -- for the runtime ---------------------------------------------------------------------------------------

    async def start(self) -> int:
        """Open the port and return its number. Raises :exc:`PublishError` that says what to do."""
        settings = self._settings
        try:
            self._server = await serve(
                self._handle,
                settings.host,
                settings.port,
                process_request=self._process_request,
                compression=None,
                server_header=self._server_name,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                ping_interval=settings.ping_s,
                ping_timeout=settings.ping_s,
                max_size=settings.max_message_bytes,
                write_limit=4 * settings.client_buffer_bytes + (1 << 20),
                logger=library_log,
                create_connection=partial(_Connection, self),  # type: ignore[arg-type]
            )
        except OSError as error:
            raise PublishError(why_not(error, settings.host, settings.port)) from None
        self._house = asyncio.create_task(self._keep_house(), name="feed:housekeeping")
        self._house.add_done_callback(self._ended)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def publish_tick(self, tick: Tick, missed: int) -> None:
        """All signals of a tick, its alerts, then the tick message. ``missed``: ticks before it, not published."""
        started_s = perf_seconds()
        self._tick_ts = tick.ts
        self._ticked_ms = self._clock.now_ms()
        self._numbers = tuple(numbers_of(body) for body in tick.signals)
        self._market = market_numbers(tick.market)
        bodies = tick.signals if tick.market is None else (*tick.signals, tick.market)
        items = [(f"signal.{body['symbol']}", "signal", body) for body in bodies]
        items.extend((f"alert.{body['symbol']}", "alert", body) for body in tick.alerts)
        self.hub.publish(items, wire.tick(tick.ts, len(tick.signals), missed))
        self.metrics.feed_delivery(perf_seconds() - started_s)

    def publish_market(self, samples: Sequence[Consensus]) -> None:
        """One message per symbol, except for a sample that was published before."""
        items = []
        for sample in samples:
            if self._market_ts.get(sample.symbol) != sample.ts:
                self._market_ts[sample.symbol] = sample.ts
                items.append((f"market.{sample.symbol}", "market", wire.market_body(sample)))
        if items:
            self.hub.publish(items)

    def publish_status(self, body: dict[str, Any]) -> None:
        self.hub.publish([("status", "status", body)])

    def set_ready(self, ready: bool) -> None:
        self._ready = ready

    def new_epoch(self, epoch: str) -> None:
        """Continuity is lost: sequences begin anew, and what was published before is forgotten."""
        self._tick_ts = None
        self._numbers, self._market = (), None
        self._market_ts.clear()
        self.hub.restart(epoch)

    async def drain(self, reconnect_after_ms: int = 3000) -> None:
        """Not ready at once; notice and close 1001 to every client; all closed within 4 s, whether they read or not."""
        self._ready = False
        self._draining = True
        server, self._server = self._server, None
        if server is None:
            return
        self.hub.shutdown(reconnect_after_ms)
        if self._closing:
            await asyncio.wait(list(self._closing), timeout=SETTLE_S)
        server.close(close_connections=False)
        if self._connections:
            self._empty.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), LINGER_S)
        for connection in list(self._connections):
            connection.transport.abort()
        for task in (self._house, self._flusher):
            if task is not None:
                task.cancel()
        try:
            async with asyncio.timeout(1.0):
                await server.wait_closed()
        except TimeoutError:
            log.warning("feed: connections=%d left after draining", len(self._connections))

    # -- connections -------------------------------------------------------------------------------------------

    def arrived(self, connection: _Connection) -> None:
        """A TCP connection was accepted."""
        self._connections[connection] = None
        if len(self._connections) > self._settings.max_clients + SPARE_CONNECTIONS:
            self.metrics.feed_refused("503")
            connection.transport.abort()

    def left(self, connection: _Connection) -> None:
        """A TCP connection is gone."""
        self._connections.pop(connection, None)
        self._admitted.pop(connection, None)
        if not self._connections:
            self._empty.set()

    async def _handle(self, connection: ServerConnection) -> None:
        loop = asyncio.get_running_loop()
        client = self.hub.connect(_Outlet(connection, self._closing), loop.time())
        self.metrics.feed_clients(len(self.hub.clients))
        try:
            while True:
                text = await connection.recv()
                if isinstance(text, str):
                    self.hub.receive(client, text, loop.time())
                else:
                    client.outbox.close(codes.NOT_TEXT, "text messages only")
        except ConnectionClosed as closed:
            self.metrics.feed_closed(_code(closed))
        finally:
            self.hub.disconnect(client)
            self.metrics.feed_clients(len(self.hub.clients))

    async def _keep_house(self) -> None:
        """Heartbeats, idle clients, and connections whose peer does not follow a close."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            now_s = loop.time()
            self.hub.beat(now_s)
            for connection in list(self._connections):
                if connection in self._admitted and connection.state is State.CLOSING:
                    if connection.closing_since_s is None:
                        connection.closing_since_s = now_s
                    elif now_s - connection.closing_since_s > CUT_AFTER_S:
                        connection.transport.abort()

    def _flush_soon(self) -> None:
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush(), name="feed:flush")
            self._flusher.add_done_callback(self._ended)

    async def _flush(self) -> None:
        pause_s = 0.0  # a loop that writes at the end of its turn may be done by then
        while True:
            await asyncio.sleep(pause_s)
            if not self.hub.flush():
                return
            pause_s = FLUSH_S

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._ready = False  # a feed without heartbeats must not look healthy
            log.error("feed task=%s failed", task.get_name(), exc_info=error)

    # -- HTTP --------------------------------------------------------------------------------------------------

    def _readiness(self) -> tuple[bool, str]:
        if self._draining:
            return False, "draining"
        if not self._ready:
            return False, self.starting
        if self._ticked_ms is not None and self._clock.now_ms() - self._ticked_ms > TICKING_MS:
            return False, "stalled"
        return True, "ready"

    async def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """None lets the upgrade go on; anything else is a plain HTTP answer."""
        ask = Ask.of(request.method, request.path)
        reply = routes.check(ask)
        if reply is None and ask is not None:
            if ask.path == STREAM:
                reply = self._refuse_stream(connection, ask, request.headers)
                if reply is None:
                    return None
            else:
                zipped = routes.accepts_gzip(", ".join(request.headers.get_all("Accept-Encoding")))
                return _response(await self._plain(ask, zipped), request.method == "HEAD")
        assert reply is not None  # nothing is refused without a reply
        self.metrics.feed_refused(str(int(reply.status)))
        return _response(reply, request.method == "HEAD")

    async def _plain(self, ask: Ask, zipped: bool) -> Reply:
        if ask.path == METRICS:
            reply = routes.not_allowed(ask) or Reply(HTTPStatus.OK, await self._metrics_text(), exporter.CONTENT_TYPE)
        else:
            reply = self._routes.answer(ask, zipped)
        if 400 <= reply.status < 500:
            self.metrics.feed_refused(str(int(reply.status)))
        if zipped and len(reply.body) > COMPRESS_ABOVE:
            body = await asyncio.to_thread(gzip.compress, reply.body, 1)
            headers = (*reply.headers, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
            reply = replace(reply, body=body, headers=headers)
        return reply

    async def _metrics_text(self) -> bytes:
        """Copied here, rendered in a thread; scrapes that arrive meanwhile share the answer."""
        if self._scrape is None or self._scrape.done():
            state = replace(self._views.scrape(), signals=self._numbers, market=self._market)
            self._scrape = asyncio.create_task(asyncio.to_thread(exporter.render, self.metrics.registry, state))
        return await asyncio.shield(self._scrape)

    def _refuse_stream(self, connection: ServerConnection, ask: Ask, headers: Headers) -> Reply | None:
        if (refused := routes.refuse_stream(ask, headers.get_all)) is not None:
            return refused
        address = str(connection.remote_address[0])
        if self._draining:
            return routes.unavailable("the service is stopping")
        if len(self._admitted) >= self._settings.max_clients:
            return routes.unavailable("too many clients")
        if sum(known == address for known in self._admitted.values()) >= self._settings.max_clients_per_address:
            return routes.unavailable("too many clients from this address")
        self._admitted[connection] = address
        return None


def _response(reply: Reply, head: bool) -> Response:
    headers = Headers(
        [
            ("Date", formatdate(usegmt=True)),
            ("Connection", "close"),
            ("Content-Length", str(len(reply.body))),
            ("Content-Type", reply.content_type),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            *reply.headers,
        ]
    )
    return Response(reply.status.value, reply.status.phrase, headers, b"" if head else reply.body)


def _code(closed: ConnectionClosed) -> int:
    """The code of whoever closed first; 1006 if nobody said anything."""
    first = closed.rcvd if closed.rcvd_then_sent or closed.sent is None else closed.sent
    return 1006 if first is None else int(first.code)


def why_not(error: OSError, host: str, port: int) -> str:
    """Why a port cannot be opened, in one line: which port, what is wrong, what to do."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use: stop the program that has it, or choose another port (feed.port in the "
            "configuration, --port where the command has it; 0 picks a free one)"
        )
    if error.errno == errno.EACCES:
        return f"port {port} on {host}: not permitted; choose a port above 1023 (feed.port)"
    return f"cannot listen on {host} port {port}: {error.strerror or error}; check feed.host and feed.port"
