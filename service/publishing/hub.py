"""Clients, subscriptions and fan-out, sans-I/O: plain method calls in, frames to each client's outlet out.

Times named ``now_s`` are monotonic seconds and only pace the connection (heartbeats, idleness, offences); times inside
messages come from the service clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from service.config import FeedSection
from service.publishing import codes
from service.publishing import message as wire
from service.publishing.message import HEARTBEAT_S, Kind, Message
from service.publishing.outbox import Outbox, Outlet, Update
from service.publishing.requests import Channels, Refusal, Request, parse
from service.publishing.sequence import Sequencer

BAD_REQUESTS = 10  # the tenth within BAD_PERIOD_S closes
BAD_PERIOD_S = 60.0
MAX_REQUESTS = 200  # per RATE_PERIOD_S; a client needs a handful in its whole life
RATE_PERIOD_S = 10.0


class Client:
    """One connection. ``channels``: what it is subscribed to, in the order asked."""

    def __init__(self, outbox: Outbox, now_s: float) -> None:
        self.outbox = outbox
        self.channels: dict[str, None] = {}
        self.key: tuple[str, ...] = ()
        self.idle_since_s = now_s
        self.heartbeat_due_s = now_s + HEARTBEAT_S
        self.bad: deque[float] = deque(maxlen=BAD_REQUESTS)
        self.requests: deque[float] = deque(maxlen=MAX_REQUESTS + 1)

    def changed(self, now_s: float) -> None:
        self.key = tuple(self.channels)
        if not self.channels:
            self.idle_since_s = now_s


class Hub:
    """All clients and channels of the feed.

    ``now_ms``: the service clock. ``frame``: text to the bytes of a WebSocket frame. ``sent``: told how many messages
    were handed to a socket. ``on_waiting``: some client has something waiting; call :meth:`flush` soon. ``aliases``:
    other names of symbols.
    """

    def __init__(
        self,
        settings: FeedSection,
        source: str,
        symbols: Sequence[str],
        epoch: str,
        server_name: str,
        now_ms: Callable[[], int],
        frame: Callable[[bytes], bytes],
        sent: Callable[[int], None] = lambda count: None,
        on_waiting: Callable[[], None] = lambda: None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.symbols = tuple(symbols)
        self.aliases = {} if aliases is None else dict(aliases)
        self.channels = Channels(self.symbols, self.aliases)
        self.sequencer = Sequencer(self.channels.names, epoch, source, settings.history_per_channel)
        self.clients: dict[Client, None] = {}
        self._settings = settings
        self._server_name = server_name
        self._now_ms = now_ms
        self._frame = frame
        self._sent = sent
        self._on_waiting = on_waiting
        self._waiting: dict[Client, None] = {}

    # -- connections -------------------------------------------------------------------------------------------

    def connect(self, outlet: Outlet, now_s: float) -> Client:
        """A new client; it is greeted."""
        client = Client(Outbox(outlet, self._settings.client_buffer_bytes, self._render, self._sent), now_s)
        self.clients[client] = None
        greeting = wire.hello(self._server_name, self.sequencer.epoch, self.sequencer.source, self.symbols)
        client.outbox.reply(self._frame(greeting))
        return client

    def disconnect(self, client: Client) -> None:
        """The connection is gone."""
        self.clients.pop(client, None)
        self._waiting.pop(client, None)

    def shutdown(self, reconnect_after_ms: int) -> None:
        """Tell every client that the service goes, and begin to close."""
        frame = self._frame(wire.notice("shutdown", reconnect_after_ms))
        for client in list(self.clients):
            client.outbox.reply(frame)
            client.outbox.close(codes.RESTART, "restart")

    # -- requests ----------------------------------------------------------------------------------------------

    def receive(self, client: Client, text: str, now_s: float) -> None:
        """One text message of a client."""
        if client.outbox.closed:
            return
        client.requests.append(now_s)
        if len(client.requests) > MAX_REQUESTS and now_s - client.requests[0] < RATE_PERIOD_S:
            client.outbox.close(codes.RATE, "rate")
            return
        asked = parse(text, self.channels)
        if isinstance(asked, Refusal):
            self._refuse(client, asked, now_s)
        elif asked.op == "ping":
            self._reply(client, wire.pong(asked.id, self._now_ms()))
        elif asked.op == "subscribe":
            self._subscribe(client, asked, now_s)
        elif asked.op == "unsubscribe":
            self._unsubscribe(client, asked, now_s)
        else:
            self._snapshot(client, asked)
        self._note_waiting(client)

    def _reply(self, client: Client, text: bytes) -> None:
        client.outbox.reply(self._frame(text))

    def _refuse(self, client: Client, refusal: Refusal, now_s: float) -> None:
        self._reply(client, wire.error(refusal.id, refusal.code, refusal.message))
        client.bad.append(now_s)
        if len(client.bad) == BAD_REQUESTS and now_s - client.bad[0] < BAD_PERIOD_S:
            client.outbox.close(codes.BAD_REQUESTS, "bad requests")

    def _subscribe(self, client: Client, asked: Request, now_s: float) -> None:
        acks: dict[str, dict[str, Any]] = {}
        plan: list[tuple[Kind, Sequence[Message]]] = []
        for channel in asked.channels:
            missed = None
            if channel in asked.resume_seq:
                missed = self.sequencer.missed(channel, asked.resume_epoch, asked.resume_seq[channel])
            acks[channel] = {
                "seq": self.sequencer.seq(channel),
                "recovered": missed is not None,
                "replayed": 0 if missed is None else len(missed),
            }
            if missed is not None:
                plan.append(("update", missed))
            elif (latest := self.sequencer.latest(channel)) is not None:
                plan.append(("snapshot", (latest,)))
        self._reply(client, wire.subscribed(asked.id, self.sequencer.epoch, acks))
        client.outbox.forget(asked.channels)
        for kind, messages in plan:
            client.outbox.queue(messages, kind)
        client.channels.update(dict.fromkeys(asked.channels))
        client.changed(now_s)

    def _unsubscribe(self, client: Client, asked: Request, now_s: float) -> None:
        client.outbox.forget(asked.channels)
        for channel in asked.channels:
            client.channels.pop(channel, None)
        client.changed(now_s)
        self._reply(client, wire.unsubscribed(asked.id, asked.channels))

    def _snapshot(self, client: Client, asked: Request) -> None:
        acks = {channel: {"seq": self.sequencer.seq(channel)} for channel in asked.channels}
        self._reply(client, wire.snapshots(asked.id, self.sequencer.epoch, acks))
        # A snapshot replaces waiting values; waiting alerts are events, and the latest does not replace the others.
        client.outbox.forget([channel for channel in asked.channels if not channel.startswith("alert.")])
        latest = [self.sequencer.latest(channel) for channel in asked.channels]
        client.outbox.queue([message for message in latest if message is not None], "snapshot")

    # -- publishing --------------------------------------------------------------------------------------------

    def publish(self, items: Sequence[tuple[str, str, Mapping[str, Any]]], tick: bytes | None = None) -> None:
        """(channel, type, body) of each message in order, then ``tick`` to every subscriber of a signal channel.

        Each message is encoded once; clients with the same subscriptions share one write.
        """
        batch = []
        for channel, type_, body in items:
            message = self.sequencer.publish(channel, type_, wire.body_bytes(body))
            batch.append((message, type_ == "alert"))
        if not self.clients:
            return
        updates = [Update(self._render(message, "update", 0), message, event) for message, event in batch]
        last = None if tick is None else Update(self._frame(tick), None)
        shared: dict[tuple[str, ...], tuple[list[Update], bytes]] = {}
        for client in list(self.clients):
            if not client.key:
                continue
            found = shared.get(client.key)
            if found is None:
                found = shared[client.key] = _wanted(client, updates, last)
            if found[0]:
                client.outbox.updates(*found)
                self._note_waiting(client)

    def flush(self) -> bool:
        """Write what waits as far as clients take it; returns whether something still waits."""
        for client in list(self._waiting):
            client.outbox.flush()
            if not client.outbox.waiting:
                self._waiting.pop(client, None)
        return bool(self._waiting)

    def beat(self, now_s: float) -> None:
        """Heartbeats that are due, and clients that have subscribed to nothing for too long."""
        ts = self._now_ms()
        shared: dict[tuple[str, ...], bytes] = {}
        for client in list(self.clients):
            if not client.channels and now_s - client.idle_since_s >= self._settings.idle_s:
                client.outbox.close(codes.IDLE, "nothing subscribed")
            elif now_s >= client.heartbeat_due_s:
                due_s = client.heartbeat_due_s + HEARTBEAT_S
                client.heartbeat_due_s = due_s if due_s > now_s else now_s + HEARTBEAT_S
                behind = client.outbox.behind()
                frame = shared.get(client.key) if not behind else None
                if frame is None:
                    frame = self._heartbeat(client, ts, behind)
                    if not behind:
                        shared[client.key] = frame
                client.outbox.reply(frame)

    def restart(self, epoch: str) -> None:
        """Continuity is lost: a new epoch from which nothing earlier can be resumed; clients learn by a heartbeat."""
        self.sequencer.restart(epoch)
        ts = self._now_ms()
        for client in list(self.clients):
            client.outbox.forget(self.channels.names)
            client.outbox.reply(self._heartbeat(client, ts, {}))

    def _heartbeat(self, client: Client, ts: int, behind: Mapping[str, int | None]) -> bytes:
        """``seq``: the last one written to this client on each of its channels."""
        seq: dict[str, int] = {}
        for channel in client.channels:
            last = behind.get(channel, self.sequencer.seq(channel))
            if last is not None:
                seq[channel] = last
        return self._frame(wire.heartbeat(self.sequencer.epoch, ts, seq))

    def _render(self, message: Message, kind: Kind, skipped: int) -> bytes:
        return self._frame(message.text(kind, self._now_ms(), skipped))

    def _note_waiting(self, client: Client) -> None:
        if client.outbox.waiting and client not in self._waiting:
            self._waiting[client] = None
            self._on_waiting()


def _wanted(client: Client, updates: Sequence[Update], tick: Update | None) -> tuple[list[Update], bytes]:
    """The updates for a client's subscriptions, the tick last; and their frames in one."""
    wanted = [item for item in updates if item.message is not None and item.message.channel in client.channels]
    if tick is not None and any(channel.startswith("signal.") for channel in client.channels):
        wanted.append(tick)
    return wanted, b"".join(item.frame for item in wanted)
