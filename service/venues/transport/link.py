"""Runs one planned connection for good: the only WebSocket client code.

A :class:`Link` keeps one socket serving and, while that one wants a successor, opens a second (make before break:
notices, lifetime, streams gone silent); both deliver until the successor covers the first. What happens when is
decided by :mod:`service.venues.transport.session`; here bytes are moved, foreign exceptions become bounded reasons, and
attempts obey backoff and the venue's budget. Deadlines use the loop's monotonic clock, so a wall-clock step or a
re-anchor moves none of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidProxy, InvalidStatus, InvalidURI

from service.errors import VenueError, VenueRejected, VenueSilent
from service.venues.contract import ConnectionPlan
from service.venues.transport.backoff import Backoff
from service.venues.transport.budget import THROTTLED, VenueBudget, http_reason, parse_retry_after
from service.venues.transport.reasons import closed_reason, open_reason
from service.venues.transport.session import SERVING, Session, State
from service.venues.transport.silence_policy import SilencePolicy
from service.venues.transport.venue_io import VenueIo

log = logging.getLogger(__name__)

CLOSE_S = 1.0  # a closing handshake gets this long, then the socket is aborted
SEND_S = 10.0  # a text of a few hundred bytes that cannot be sent within this: the peer reads nothing
PING_S = 20.0  # protocol pings where the venue has no keep-alive text of its own, and the deadline of their pongs
LEAST_WAIT_S = 0.001  # what is left of a pause by rounding is no reason to ask again a thousand times
RENEWAL_JITTER_S = 1.0  # links that got the same notice do not all knock at once


class _Connect(connect):
    """``connect`` that follows no redirect: only configured addresses are talked to."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Link:
    """One :class:`ConnectionPlan`, kept alive until :meth:`run` is cancelled."""

    def __init__(self, io: VenueIo, plan: ConnectionPlan) -> None:
        self.io = io
        self.plan = plan
        self.changed = asyncio.Event()
        self._backoff = Backoff(io.network.backoff_cap_s, io.rng, io.network.healthy_s)
        self.budget = io.budget
        if plan.apart:
            self.budget = io.apart or VenueBudget(io.venue.limits, io.budget.process_connects)
        self._patience = SilencePolicy(int(io.network.backoff_cap_s * 1000))
        self._sockets = 0
        self._current: _Socket | None = None
        self._successor: _Socket | None = None
        self._not_before_s = 0.0
        self._renewing = False

    def replan(self, plan: ConnectionPlan) -> None:
        """From now on this plan (of the same name): a successor serves it, and the old socket stays until covered.

        What the old plan had and the new one has not is no longer waited for.
        """
        self.plan = plan
        for socket in (self._current, self._successor):
            if socket is not None and socket.session.plan != plan and socket.session.state not in SERVING:
                socket.stop("stopped")  # not open yet: nothing is lost
        if self._successor is not None and self._successor.session.plan != plan:
            self._successor.stop("stopped")
        self.changed.set()

    async def run(self) -> None:
        """Never returns; cancel it to close its sockets (at most about a second each, together)."""
        self.io.health.connection(self.plan.name)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self.changed.clear()
                    wait_s = self._arrange(group, asyncio.get_running_loop().time())
                    self._report()
                    await _wait(self.changed, None if wait_s is None else max(wait_s, LEAST_WAIT_S))
        finally:
            self.io.health.forget(self.plan.name)

    @property
    def serves(self) -> bool:
        """The socket in use has this very plan, and every stream of it that can speak does."""
        current = self._current
        return current is not None and current.session.plan == self.plan and current.session.state is State.LIVE

    def next_name(self) -> str:
        """The name of the next socket: sinks start a fresh decoder for each."""
        self._sockets += 1
        return f"{self.plan.name}#{self._sockets}"

    # -- which sockets there should be ---------------------------------------------------------------------------

    def _arrange(self, group: asyncio.TaskGroup, now_s: float) -> float | None:
        """Drop ended sockets, swap, start new ones. Returns seconds until this must be asked again."""
        if self._successor is not None and self._successor.ended:
            self._pause(self._successor, now_s)
            self._successor = None
        if self._current is not None and self._current.ended:
            if self._successor is None:
                self._pause(self._current, now_s)
            self._current, self._successor, self._renewing = self._successor, None, False
        current, successor = self._current, self._successor
        if current is not None and successor is not None:
            self._compare(current, successor, now_s)
        if self._current is not None and self._successor is None:
            wanted = self._current.session.state is State.RENEWING or self._current.session.plan != self.plan
            if wanted and not self._renewing:  # a fresh wish: the first attempt comes at once
                self._backoff.lived(self._current.lived_s(now_s))
                self._not_before_s = max(self._not_before_s, now_s + self.io.rng.uniform(0.0, RENEWAL_JITTER_S))
            self._renewing = wanted
            if not wanted:
                return None
        if self._successor is not None:
            return None
        if now_s < self._not_before_s:
            return self._not_before_s - now_s
        started = _Socket(self, self._new_session())
        started.task = group.create_task(started.run(), name=f"{self.io.venue.name}:{self.plan.name}:socket")
        if self._current is None:
            self._current = started
        else:
            self._successor = started
        return None

    def _compare(self, current: _Socket, successor: _Socket, now_s: float) -> None:
        now_ms = round(now_s * 1000)
        if successor.session.covers(current.session, now_ms):
            reason = current.session.reason or "stopped"
            log.info("link venue=%s plan=%s renewed reason=%s", self.io.venue.name, self.plan.name, reason)
            current.stop(reason)
            self._current, self._successor, self._renewing = successor, None, False
        elif successor.session.judged(now_ms) and successor.session.state in SERVING:
            successor.stop("first_message")  # it serves less than what we have

    def _pause(self, ended: _Socket, now_s: float) -> None:
        self._backoff.lived(ended.lived_s(now_s))
        self._not_before_s = now_s + self._backoff.next_delay_s()

    def _new_session(self) -> Session:
        return Session(
            self.plan,
            self.io.venue.limits,
            self.io.venue.rules,
            self._patience,
            int(self.io.network.healthy_s * 1000),
            self.io.rng.random(),
        )

    def _report(self) -> None:
        shown = self.io.health.connection(self.plan.name)
        shown.streams_expected = len(self.plan.expects)
        if self._current is None:
            shown.state, shown.connection, shown.connected_since_ms = State.IDLE.value, None, None
            shown.streams_live, shown.renewing = 0, None
            return
        session = self._current.session
        now_ms = round(asyncio.get_running_loop().time() * 1000)
        shown.state = session.state.value
        shown.connection = self._current.name
        shown.connected_since_ms = self._current.connected_since_ms
        shown.streams_live = len(session.live(now_ms)) if session.state in SERVING else 0
        shown.renewing = session.reason if session.state is State.RENEWING else None
        given_up = tuple(f"{instrument}:{stream}" for instrument, stream in session.given_up)
        if given_up != shown.given_up and session.state in SERVING:
            log.info("link venue=%s plan=%s given_up=%s", self.io.venue.name, self.plan.name, ",".join(given_up) or "-")
            shown.given_up = given_up


class _Socket:
    """One socket: waits for the budget, connects, moves frames, closes. Ends by itself, never raises."""

    def __init__(self, link: Link, session: Session) -> None:
        self.session = session
        self.name: str | None = None
        self.connected_since_ms: int | None = None
        self.ended = False
        self.task: asyncio.Task[None] | None = None
        self._link = link
        self._kick = asyncio.Event()
        self._venue = link.io.venue.name

    def lived_s(self, now_s: float) -> float:
        """Seconds since its streams spoke; 0 before."""
        since_ms = self.session.live_since_ms
        return 0.0 if since_ms is None else now_s - since_ms / 1000

    def stop(self, reason: str) -> None:
        """Close it; returns at once."""
        if self.session.state in SERVING:
            self.session.stop(reason)
            self._kick.set()
        elif self.task is not None:
            self.task.cancel()

    async def run(self) -> None:
        link = self._link
        detail = ""
        try:
            try:
                await self._converse()
            except asyncio.CancelledError:
                self._end("stopped")
                raise
            except VenueError as error:
                self._end(error.reason)
                detail = error.detail
            finally:
                if self.name is not None:
                    link.io.sink.closed(self._venue, self.name, self.session.reason or "bug")
        except Exception as error:  # the one guard of this task: a defect of ours costs this socket only
            log.exception("link venue=%s plan=%s failed", self._venue, link.plan.name)
            self._end("bug")
            detail = type(error).__name__
        finally:
            reason = self.session.reason or "bug"
            if reason != "stopped":
                link.io.health.reconnected(reason, link.io.clock.now_ms(), detail)
                log.info("link venue=%s plan=%s ended reason=%s %s", self._venue, link.plan.name, reason, detail)
            self.ended = True
            link.changed.set()

    def _end(self, reason: str) -> None:
        if self.session.state is State.IDLE:
            self.session.stop(reason)
        elif self.session.state is not State.CLOSED:
            self.session.lost(reason)

    async def _converse(self) -> None:
        link = self._link
        loop = asyncio.get_running_loop()
        while (wait_s := link.budget.reserve_connect(loop.time(), extra=not link.plan.expects)) > 0:  # noqa: ASYNC110 - a budget has no event
            await asyncio.sleep(max(wait_s, 0.001))
        self.session.attempt()
        link.changed.set()
        connection = await _open(link, self.session.plan)
        self.name = link.next_name()
        self.connected_since_ms = link.io.clock.now_ms()
        reader: asyncio.Task[None] | None = None
        try:
            link.io.sink.opened(self._venue, self.name)
            self.session.opened(round(loop.time() * 1000))
            link.changed.set()
            reader = asyncio.create_task(self._read(connection, self.name), name=f"{self._venue}:{self.name}:reader")
            reader.add_done_callback(lambda _: self._kick.set())
            await self._drive(connection, reader)
        finally:
            await _close(connection, reader)
        if reader.done() and not reader.cancelled():
            reader.result()  # why the socket ended, where it was not us

    async def _read(self, connection: ClientConnection, name: str) -> None:
        """Frames to the sink until the socket ends; raises :exc:`VenueError` with the reason."""
        link, loop = self._link, asyncio.get_running_loop()
        while True:
            try:
                raw = await connection.recv()
            except ConnectionClosed as error:
                failure = closed_reason(error)
                if failure.reason in ("oversized", "bad_utf8"):
                    link.io.sink.rejected(self._venue, name, failure.reason)
                raise failure from error
            items = link.io.sink.frame(self._venue, name, raw) if isinstance(raw, str) else ()
            if isinstance(raw, bytes):
                link.io.sink.rejected(self._venue, name, "binary")
            else:
                link.io.health.framed(link.plan.name, link.io.clock.now_ms())
            if self.session.received(round(loop.time() * 1000), items):
                self._kick.set()

    async def _drive(self, connection: ClientConnection, reader: asyncio.Task[None]) -> None:
        """Sends and deadlines until the socket ends or the session wants it closed."""
        loop = asyncio.get_running_loop()
        while not reader.done():
            self._kick.clear()
            text = self.session.poll(round(loop.time() * 1000))
            if self.session.state not in SERVING:
                return
            self._link.changed.set()
            if text is not None:
                try:
                    async with asyncio.timeout(SEND_S):
                        await connection.send(text)
                except TimeoutError:
                    raise VenueSilent("send_stalled", "the peer reads nothing") from None
                except ConnectionClosed:
                    return  # the reader knows why
                continue
            deadline_ms = self.session.deadline_ms()
            await _wait(self._kick, None if deadline_ms is None else deadline_ms / 1000 - loop.time())


# -- the boundary: foreign exceptions end here ---------------------------------------------------------------------


async def _open(link: Link, plan: ConnectionPlan) -> ClientConnection:
    """A socket that has been upgraded. Raises :exc:`VenueError`."""
    ping_s = None if plan.keepalive is not None else PING_S  # one heartbeat, the one the venue documents
    try:
        return await _Connect(
            plan.url,
            additional_headers=dict(plan.headers),
            proxy=link.io.network.proxy,
            open_timeout=link.io.network.open_timeout_s,
            ping_interval=ping_s,
            ping_timeout=ping_s,
            close_timeout=CLOSE_S,
            max_size=link.io.venue.limits.max_frame_bytes,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        if status in THROTTLED:
            after_s = parse_retry_after(error.response.headers.get("Retry-After"), link.io.clock.now_ms() / 1000)
            link.budget.penalise_connects(asyncio.get_running_loop().time(), after_s)
        raise VenueRejected(http_reason(status), f"HTTP {status}") from error
    except (InvalidHandshake, InvalidProxy, InvalidURI, OSError, EOFError) as error:
        raise open_reason(error) from error


async def _close(connection: ClientConnection, reader: asyncio.Task[None] | None) -> None:
    """Closing handshake of at most a second, then the socket is gone, whatever happens meanwhile."""
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await connection.close()
    finally:
        connection.transport.abort()
        if reader is not None:
            if not reader.done():
                await asyncio.wait([reader], timeout=CLOSE_S)
            reader.cancel()
            if reader.done() and not reader.cancelled():
                reader.exception()  # seen, also where another error is on its way


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    """Until the event is set or the seconds are over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None if seconds is None else max(seconds, 0.0)):
            await event.wait()
