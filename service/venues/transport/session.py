"""One socket's life as a table, and what to do next. No I/O: times (monotonic ms) and decoded items come in.

The link (``link.py``) tells a :class:`Session` what happened and asks it what to send, when to look again, whether a
successor is wanted (state RENEWING: this socket serves on until the successor covers it) and whether to close.
An acknowledgement is no proof of life and its absence no proof of death (venue pages: Binance acks dead routes,
Bybit sends data before the ack): each expected stream must speak itself.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Sequence

from service.errors import OurBug
from service.model import (
    Candidate,
    Confirm,
    Control,
    Decoded,
    Flow,
    Funding,
    Liquidation,
    LongShort,
    Mark,
    OpenInterest,
    Positions,
    VenueRules,
)
from service.venues.contract import ConnectionPlan, Limits
from service.venues.transport.silence_policy import Key, SilencePolicy

SILENT_AGES = 2  # a stream is silent after this many times its max_age without a value or a Confirm
ACK_MS = 10_000  # acknowledgements come within this long of the last subscription, if nothing else speaks
REFUSAL_GRACE_MS = 5_000  # after a refusal, other subscriptions of the socket have this long to speak
ANEW_GAP_MS = 5_000  # between two requests for new snapshots: never a burst of them
ANEW_IN_VAIN = 3  # times ``anew_s`` without a word of any instrument: the socket serves nothing
PONG_MS = 10_000  # after a keep-alive, anything at all must be received within this long


class State(enum.Enum):
    """IDLE: waiting for its turn. SUBSCRIBING: open, not every stream has spoken. LIVE: all that can speak do.
    RENEWING: serves, a successor is wanted. CLOSING: we are closing. CLOSED: over."""

    IDLE = "idle"
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    LIVE = "live"
    RENEWING = "renewing"
    CLOSING = "closing"
    CLOSED = "closed"


class Happening(enum.Enum):
    """ATTEMPT: a connection attempt begins. SETTLED: every stream spoke or is not waited for. RENEW: a successor
    is wanted. STOP: we want it closed. LOST: the attempt failed or the socket is gone."""

    ATTEMPT = "attempt"
    OPENED = "opened"
    SETTLED = "settled"
    RENEW = "renew"
    STOP = "stop"
    LOST = "lost"


TABLE: dict[tuple[State, Happening], State] = {
    (State.IDLE, Happening.ATTEMPT): State.CONNECTING,
    (State.IDLE, Happening.STOP): State.CLOSED,
    (State.CONNECTING, Happening.OPENED): State.SUBSCRIBING,
    (State.CONNECTING, Happening.STOP): State.CLOSING,
    (State.CONNECTING, Happening.LOST): State.CLOSED,
    (State.SUBSCRIBING, Happening.SETTLED): State.LIVE,
    (State.SUBSCRIBING, Happening.RENEW): State.RENEWING,
    (State.SUBSCRIBING, Happening.STOP): State.CLOSING,
    (State.SUBSCRIBING, Happening.LOST): State.CLOSED,
    (State.LIVE, Happening.RENEW): State.RENEWING,
    (State.LIVE, Happening.STOP): State.CLOSING,
    (State.LIVE, Happening.LOST): State.CLOSED,
    (State.RENEWING, Happening.RENEW): State.RENEWING,
    (State.RENEWING, Happening.SETTLED): State.LIVE,
    (State.RENEWING, Happening.STOP): State.CLOSING,
    (State.RENEWING, Happening.LOST): State.CLOSED,
    (State.CLOSING, Happening.STOP): State.CLOSING,
    (State.CLOSING, Happening.LOST): State.CLOSED,
}
SERVING = (State.SUBSCRIBING, State.LIVE, State.RENEWING)

REASONS = (  # why a socket ended or a successor was wanted; HTTP refusals add http_<status> (see link.py)
    "open_timeout", "dns", "refused_connection", "unreachable", "tls", "proxy", "redirect", "bad_address", "reset",
    "refused", "no_ack", "first_message", "stream_silent", "no_pong", "send_stalled",
    "closing_notice", "lifetime", "closed", "oversized", "bad_utf8", "protocol", "bug",
    "stopped",
)  # fmt: skip
PLANNED = ("closing_notice", "lifetime")  # the venue will cut this socket: a worse successor is better than none


class Session:
    """One socket of a plan. ``jitter`` in [0, 1] spreads the planned renewals of many links (up to 1/48 of the
    lifetime earlier); ``healthy_ms`` is how long a stream must speak before its earlier failures are forgotten."""

    def __init__(
        self,
        plan: ConnectionPlan,
        limits: Limits,
        rules: VenueRules,
        patience: SilencePolicy,
        healthy_ms: int,
        jitter: float = 0.0,
    ) -> None:
        self.state = State.IDLE
        self.reason: str | None = None
        self.opened_ms: int | None = None
        self.live_since_ms: int | None = None
        self.plan = plan
        self._limits = limits
        self._patience = patience
        self._healthy_ms = healthy_ms
        self._jitter = jitter
        self._silent_after_ms = {
            "mark": SILENT_AGES * rules.mark.max_age_ms,
            "funding": SILENT_AGES * rules.funding.max_age_ms,
            "oi": SILENT_AGES * rules.oi.max_age_ms,
        }
        self._first_heard: dict[Key, int | None] = dict.fromkeys(plan.expects)
        self._last_heard: dict[Key, int] = {}
        self._awaited = {key: None for key in plan.expects if not patience.given_up(key)}
        self._failed: dict[Key, int] = {}  # silent here, with the failures known when a successor was asked for
        self._queue = deque(plan.frames)
        self._send_gap_ms = 1000.0 / (plan.sends_per_s or limits.sends_per_s)
        self._sent_ms: float | None = None
        self._subscribed_ms: int | None = None  # when the last of the plan's frames went out
        self._acks = 0
        self._refused_ms: int | None = None
        self._received_ms = 0
        self._pinged_ms = 0
        self._pong_due_ms: int | None = None
        self._answer: str | None = None  # to the venue's last ping: several at once need one
        self._fresh_ms = dict.fromkeys(plan.anew, 0)  # when each last spoke, or was asked for again
        self._asked_anew_ms = 0
        self._told_ms: int | None = None  # when the last of them spoke
        self._spoke = False  # data of any kind came: what a plan without expected streams is judged by

    # -- what happened -----------------------------------------------------------------------------------------

    def attempt(self) -> None:
        self._go(Happening.ATTEMPT)

    def opened(self, now_ms: int) -> None:
        self._go(Happening.OPENED)
        self.opened_ms = self._received_ms = self._pinged_ms = now_ms
        if not self._queue:
            self._subscribed_ms = now_ms
        self._settle(now_ms)

    def lost(self, reason: str) -> None:
        """The attempt failed or the socket is gone. A reason given before (our own closing) stays."""
        closing = self.state is State.CLOSING
        self._go(Happening.LOST)
        if not closing:
            self.reason = reason

    def stop(self, reason: str) -> None:
        """Close it; the first reason stays."""
        closing = self.state is State.CLOSING
        self._go(Happening.STOP)
        if not closing:
            self.reason = reason

    def received(self, now_ms: int, items: Sequence[Decoded] = ()) -> bool:
        """A frame arrived and decoded to ``items``. True: :meth:`poll` should be asked now."""
        self._received_ms = now_ms
        self._pong_due_ms = None
        if self.state not in SERVING:
            return False
        news = False
        for item in items:
            if isinstance(item, Mark):
                if item.mark is not None:  # an index alone does not vouch for the mark
                    news |= self._heard((item.instrument, "mark"), now_ms)
            elif isinstance(item, OpenInterest):
                news |= self._heard((item.instrument, "oi"), now_ms)
            elif isinstance(item, Funding):
                news |= self._heard((item.instrument, "funding"), now_ms)
            elif isinstance(item, Confirm):
                for stream in item.streams:
                    news |= self._heard((item.instrument, stream), now_ms)
            elif isinstance(item, Control):
                news |= self._controlled(item, now_ms)
            elif isinstance(item, Candidate):
                self._spoke = True
                self._told_ms = now_ms
                if item.instrument in self._fresh_ms:
                    self._fresh_ms[item.instrument] = now_ms
            elif isinstance(item, Liquidation | Flow | Positions | LongShort):
                self._spoke = True  # extra streams: their silence is normal, so none is expected
        return news

    # -- what to do --------------------------------------------------------------------------------------------

    def poll(self, now_ms: int) -> str | None:
        """Apply the deadlines; the text to send now, if any (then ask again). Afterwards read ``state``."""
        if self.state not in SERVING:
            return None
        self._judge(now_ms)
        if self.state not in SERVING or now_ms < self._send_due_ms():
            return None
        text: str | None = None
        keepalive = self.plan.keepalive
        if self._answer is not None:
            text, self._answer = self._answer, None
        elif keepalive is not None and now_ms >= self._ping_due_ms():
            text = keepalive.text
            self._pinged_ms = now_ms
            if self._pong_due_ms is None:
                self._pong_due_ms = now_ms + PONG_MS
        elif self._queue or self._ask_anew(now_ms):
            text = self._queue.popleft()
            if not self._queue and self._subscribed_ms is None:
                self._subscribed_ms = now_ms
        if text is not None:
            self._sent_ms = now_ms
        return text

    def deadline_ms(self) -> int | None:
        """When :meth:`poll` must be asked again if nothing is received before; None: only when something is."""
        if self.state not in SERVING:
            return None
        due: list[float] = []
        if self._queue or self._answer is not None:
            due.append(self._send_due_ms())
        if self.plan.keepalive is not None:
            due.append(max(self._ping_due_ms(), self._send_due_ms()))
        if self._pong_due_ms is not None:
            due.append(self._pong_due_ms)
        if not self._last_heard:
            due.extend(at for at, _ in self._early())
        if self.plan.quiet_s is not None:
            due.append(self._quiet_at_ms(self.plan.quiet_s))
        if self._fresh_ms and self._subscribed_ms is not None:
            due.append(max(self._anew_due_ms(), self._send_due_ms()))
            due.append(self._in_vain_at_ms())
        if self.reason not in PLANNED and (lifetime := self._lifetime_due_ms()) is not None:
            due.append(lifetime)
        if (first := self.first_due_ms) is not None:
            if not self._first_heard and self.state is State.SUBSCRIBING:
                due.append(first)
            for key in self._first_heard:
                if key not in self._failed:
                    due.append(max(first, self._silent_at_ms(key)))
                elif self.state is not State.RENEWING:
                    due.append(self._patience.due_ms(key))
        return int(-(-min(due) // 1)) if due else None

    # -- what it is worth --------------------------------------------------------------------------------------

    @property
    def first_due_ms(self) -> int | None:
        """When every expected stream must have spoken; None while subscriptions are still going out."""
        if self._subscribed_ms is None:
            return None
        return self._subscribed_ms + int(self._limits.first_message_s * 1000)

    @property
    def given_up(self) -> tuple[Key, ...]:
        """Streams that were silent on earlier connections and have not spoken here, or fell silent again."""
        return tuple(
            key
            for key in self._first_heard
            if self._patience.given_up(key) and (key in self._failed or key not in self._last_heard)
        )

    def live(self, now_ms: int) -> list[Key]:
        """Streams that have spoken here and are not silent."""
        return [key for key in self._last_heard if now_ms < self._silent_at_ms(key)]

    def covers(self, older: Session, now_ms: int) -> bool:
        """``older`` can go: this one serves all that ``older`` still does, or is the better of the two for good."""
        if self.state not in SERVING or self._queue:
            return False
        if not self._first_heard:
            return self.state is State.LIVE
        mine = dict.fromkeys(self.live(now_ms))
        theirs = [key for key in older.live(now_ms) if key in self._first_heard]  # what is planned no more can go
        if mine and all(key in mine for key in theirs):
            return True
        return bool(mine) and self.judged(now_ms) and (older.reason in PLANNED or len(mine) >= len(theirs))

    def judged(self, now_ms: int) -> bool:
        """Whether the deadline of the first messages has passed."""
        return self.first_due_ms is not None and now_ms >= self.first_due_ms

    # -- inside ------------------------------------------------------------------------------------------------

    def _go(self, happening: Happening) -> None:
        try:
            self.state = TABLE[self.state, happening]
        except KeyError:
            raise OurBug(f"link {self.plan.name}: {happening.value} in state {self.state.value}") from None

    def _heard(self, key: Key, now_ms: int) -> bool:
        if key not in self._first_heard:
            return False
        self._last_heard[key] = now_ms
        if self._first_heard[key] is not None and key not in self._failed:
            return False
        self._first_heard[key] = now_ms  # a new span: a stream that speaks only on subscribing has none
        self._failed.pop(key, None)
        self._awaited.pop(key, None)
        self._settle(now_ms)
        return True

    def _controlled(self, item: Control, now_ms: int) -> bool:
        if item.kind == "ack":
            self._acks += 1
            self._settle(now_ms)
            return not self._first_heard
        if item.kind == "refused":
            self._refused_ms = now_ms if self._refused_ms is None else self._refused_ms
            return True
        if item.kind == "closing":
            self._renew("closing_notice")
            return True
        if item.kind == "ping":
            self._answer = item.text
            return True
        return False

    def _settle(self, now_ms: int) -> None:
        if self.state is State.SUBSCRIBING and not self._awaited:
            if not self._first_heard and self._acks < self.plan.acks and not self.judged(now_ms):
                return
            self._go(Happening.SETTLED)
            if self.live_since_ms is None:
                self.live_since_ms = now_ms

    def _renew(self, reason: str) -> None:
        if self.reason in PLANNED:
            return
        self._go(Happening.RENEW)
        self.reason = reason

    def _judge(self, now_ms: int) -> None:
        if self._pong_due_ms is not None and now_ms >= self._pong_due_ms:
            return self.stop("no_pong")
        if not self._last_heard:
            for at_ms, reason in self._early():
                if now_ms >= at_ms:
                    return self.stop(reason)
        if self.plan.quiet_s is not None and now_ms >= self._quiet_at_ms(self.plan.quiet_s):
            return self.stop("stream_silent")
        if self._fresh_ms and self._subscribed_ms is not None and now_ms >= self._in_vain_at_ms():
            return self.stop("first_message" if self._told_ms is None else "stream_silent")
        if not self._first_heard:
            self._settle(now_ms)
        lifetime = self._lifetime_due_ms()
        if lifetime is not None and now_ms >= lifetime:
            self._renew("lifetime")
        if self.judged(now_ms) and self._first_heard:
            self._judge_streams(now_ms)
        return None

    def _judge_streams(self, now_ms: int) -> None:
        live = self.live(now_ms)
        if not live:
            return self.stop("stream_silent" if self._last_heard else self._missing_reason())
        well = {stream: sum(key[1] == stream for key in live) for stream in ("mark", "funding", "oi")}
        alive = dict.fromkeys(live)
        assert self.opened_ms is not None
        for key in self._first_heard:
            if key in alive:
                self._forgive(key)
            elif key not in self._failed:
                self._patience.failed(key, self.opened_ms, now_ms, like_are_well=well[key[1]] > 0)
                self._failed[key] = self._patience.failures(key)
                self._awaited.pop(key, None)
        if self.live_since_ms is None:
            self.live_since_ms = now_ms
        self._settle(now_ms)
        if self.state is State.RENEWING:
            # Where a successor met the same silence, or the silent ones speak again, nothing is left to renew for.
            if self.reason in PLANNED or not all(self._patience.failures(k) > n for k, n in self._failed.items()):
                return None
            self._go(Happening.SETTLED)
            self.reason = None
        for key in self._failed:
            if self._patience.due_ms(key) <= now_ms:
                self._renew("stream_silent" if key in self._last_heard else self._missing_reason())
                self._patience.renewed(now_ms)
                self._failed = {k: self._patience.failures(k) for k in self._failed}
                break
        return None

    def _forgive(self, key: Key) -> None:
        """Earlier failures of ``key`` no longer count once it has spoken here for a healthy while."""
        first = self._first_heard[key]
        if first is not None and self._patience.failures(key) > 0 and self._last_heard[key] - first >= self._healthy_ms:
            self._patience.recovered(key)

    def _missing_reason(self) -> str:
        if self._refused_ms is not None:
            return "refused"
        return "no_ack" if self._acks < self.plan.acks else "first_message"

    def _early(self) -> list[tuple[int, str]]:
        """While nothing at all has been heard: reasons to close before the first messages are due."""
        found: list[tuple[int, str]] = []
        if not self._first_heard and (self._acks > 0 or self._spoke):
            return found  # one refused topic of many: the others are served
        if self._refused_ms is not None:
            found.append((self._refused_ms + REFUSAL_GRACE_MS, "refused"))
        elif self._acks < self.plan.acks and self._subscribed_ms is not None:
            found.append((self._subscribed_ms + ACK_MS, "no_ack"))
        return found

    def _silent_at_ms(self, key: Key) -> int:
        """The first ms at which ``key`` is silent; 0 if it has never spoken."""
        last = self._last_heard.get(key)
        return 0 if last is None else last + self._silent_after_ms[key[1]] + 1

    def _quiet_at_ms(self, quiet_s: float) -> int:
        """When a socket without any frame is dead."""
        return self._received_ms + int(quiet_s * 1000)

    def _ask_anew(self, now_ms: int) -> bool:
        """Queue the request for a new snapshot of the instrument that has been silent for longest, if one is due."""
        if not self._fresh_ms or self._subscribed_ms is None or now_ms < self._anew_due_ms():
            return False
        oldest = min(self._fresh_ms, key=self._fresh_ms.__getitem__)
        self._fresh_ms[oldest] = self._asked_anew_ms = now_ms
        self._queue.extend(self.plan.anew[oldest])
        return True

    def _anew_due_ms(self) -> int:
        assert self._subscribed_ms is not None
        oldest = max(min(self._fresh_ms.values()), self._subscribed_ms)
        return max(oldest + int(self.plan.anew_s * 1000), self._asked_anew_ms + ANEW_GAP_MS)

    def _in_vain_at_ms(self) -> int:
        """When a socket none of whose instruments speak is of no use, whatever else it sends."""
        assert self._subscribed_ms is not None
        told = self._subscribed_ms if self._told_ms is None else self._told_ms
        return max(told, self._subscribed_ms) + ANEW_IN_VAIN * int(self.plan.anew_s * 1000)

    def _send_due_ms(self) -> float:
        return 0.0 if self._sent_ms is None else self._sent_ms + self._send_gap_ms

    def _ping_due_ms(self) -> float:
        assert self.plan.keepalive is not None
        since = self._pinged_ms
        if self.plan.keepalive.only_when_idle:
            since = max(since, self._received_ms)
        return since + self.plan.keepalive.every_s * 1000

    def _lifetime_due_ms(self) -> float | None:
        if self._limits.lifetime_s is None or self.opened_ms is None:
            return None
        return self.opened_ms + self._limits.lifetime_s * 1000 * (23 / 24 - self._jitter / 48)
