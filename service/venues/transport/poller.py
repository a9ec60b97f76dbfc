"""What venues offer only over HTTP: repeated polls, instrument lists, the published past. The only HTTP client code.

Polls are spread evenly over their cadence and stay on their own grid: after a pause they go on in phase, so nothing
is caught up in a burst. A failed request costs one counter and some patience with that venue, never the process.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from collections.abc import Sequence

import aiohttp

from service.errors import VenueError, VenueRejected, VenueSilent
from service.model import Bad, Confirm, Control, Decoded, Funding, HistoryPoint, Listing, Mark, OpenInterest, Skipped
from service.venues.contract import FrameSink, Poll, Request, page_after
from service.venues.transport.backoff import Backoff
from service.venues.transport.budget import THROTTLED, http_reason, parse_retry_after, parse_used_weight
from service.venues.transport.venue_io import VenueIo

log = logging.getLogger(__name__)

CONNECTION = "rest"  # the sink's name for HTTP answers
POLL_BYTES = 4 << 20
METADATA_BYTES = 16 << 20
PAGES_MOST = 50  # of one instrument list: a longer one is no list
METADATA_FACTOR = 3.0  # instrument lists are megabytes: their deadline is this many times a poll's
AT_ONCE = 4  # requests of one venue under way together
OWN_FAULT = ("http_400", "http_404", "no_data", "not_whole", "oversized")  # concern one request, not the venue


class Poller:
    """All HTTP requests of one venue."""

    def __init__(self, io: VenueIo) -> None:
        self._io = io
        self._backoff = Backoff(io.network.backoff_cap_s, io.rng, io.network.healthy_s)
        self._resume_s = 0.0  # after trouble that concerns the whole venue
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._polls: tuple[Poll, ...] = ()
        self._due_s: dict[Request, float] = {}
        self._changed = asyncio.Event()

    async def run(self, polls: Sequence[Poll]) -> None:
        """Poll for good; ends only by cancellation."""
        phase = self._io.rng.random()
        tasks: dict[Poll, asyncio.Task[None]] = {}
        self.replan(polls)
        async with self.session() as session, asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                for poll in [poll for poll in tasks if poll not in self._polls]:
                    tasks.pop(poll).cancel()
                self._due_s = {
                    poll.request: self._due_s[poll.request] for poll in self._polls if poll.request in self._due_s
                }
                for every_s in dict.fromkeys(poll.every_s for poll in self._polls):
                    alike = [poll for poll in self._polls if poll.every_s == every_s]
                    for index, poll in enumerate(alike):
                        if poll not in tasks:
                            work = self._repeat(session, poll, every_s * (index + phase) / len(alike))
                            name = f"{self._io.venue.name}:poll:{every_s:g}:{index}"
                            tasks[poll] = group.create_task(work, name=name)
                await self._changed.wait()

    def replan(self, polls: Sequence[Poll]) -> None:
        """From now on these: unchanged ones go on in their phase, a changed cadence delays none beyond its plan."""
        self._polls = tuple(polls)
        self._changed.set()

    async def fetch_metadata(self, requests: Sequence[Request]) -> list[Request]:
        """Fetch each once, in order and with all its pages, into the sink. Returns those that failed, or of which a
        page failed: the caller tries them again later."""
        async with self.session() as session:
            return [request for request in requests if not await self._list(session, request)]

    async def _list(self, session: aiohttp.ClientSession, first: Request) -> bool:
        """All pages of one instrument list; False if one failed. One without an end is given up, and said to be so:
        asking again at once would not end it."""
        page, begun = first, {""}
        while True:
            items = None
            if self._io.budget.rest_blocked_s(asyncio.get_running_loop().time()) <= 0:  # else it said: not now
                items = await self._attempt(session, page, METADATA_BYTES, METADATA_FACTOR)
            if items is None or refuses(items):
                if page is not first:
                    why = "refused" if items is not None else self._io.health.last_error
                    self._not_whole(first, f"page {len(begun)}: {why}")
                return False
            following = [item.text for item in items if isinstance(item, Control) and item.kind == "more"]
            if not following:
                return True
            if first.more == "" or following[-1] in begun or len(begun) >= PAGES_MOST:
                self._not_whole(first, f"no end after {len(begun)} pages")
                return True
            begun.add(following[-1])
            page = page_after(first, following[-1])

    def _not_whole(self, first: Request, why: str) -> None:
        """Instruments may be missing, and none is taken for delisted."""
        log.warning("list venue=%s request=%s not whole: %s", self._io.venue.name, first.context, why)
        self._failed(VenueError("not_whole", f"{first.context}: {why}"))

    async def fetch_history(self, session: aiohttp.ClientSession, request: Request, sink: FrameSink) -> str | None:
        """One request for published history into ``sink``, within the part of the budget that live polls can spare.

        Returns None, or why it failed: a bounded reason, counted; it never makes live polls wait, except for a venue
        that throttles.
        """
        await self._spared(request)
        try:
            body = await self._fetch(session, request, POLL_BYTES, 1.0)
            if refuses(sink.frame(self._io.venue.name, CONNECTION, body, request.context)):
                raise VenueRejected("refused", request.context)
        except VenueError as error:
            failure = error
        except Exception as error:  # the one guard of a request: a defect of ours costs this answer only
            log.exception("history venue=%s failed", self._io.venue.name)
            failure = VenueError("bug", type(error).__name__)
        else:
            return None
        self._io.health.rest_failed(failure.reason, self._io.clock.now_ms(), f"history {failure.detail}", down=False)
        return failure.reason

    async def fetch_apart(self, session: aiohttp.ClientSession, request: Request) -> bytes:
        """The body of an answer that is for no decoder and on no tape, within what live polls can spare.

        Raises :exc:`VenueError`; the failure is counted, and makes live polls wait only where the venue throttles.
        """
        await self._spared(request)
        try:
            return await self._fetch(session, request, METADATA_BYTES, METADATA_FACTOR, apart=True)
        except VenueError as error:
            detail = f"{request.context} {error.detail}"
            self._io.health.rest_failed(error.reason, self._io.clock.now_ms(), detail, down=False)
            raise

    def blocked_s(self) -> float:
        """Seconds for which the exchange still forbids every request."""
        return self._io.budget.rest_blocked_s(asyncio.get_running_loop().time())

    async def _spared(self, request: Request) -> None:
        """Wait until live polls can spare the request's weight, and take it."""
        loop = asyncio.get_running_loop()
        budget, weight, bucket = self._io.budget, request.weight, request.bucket
        while (wait_s := budget.reserve_history(loop.time(), weight, bucket)) > 0:  # noqa: ASYNC110 - a budget has no event
            await asyncio.sleep(max(wait_s, 0.001))

    # -- inside ------------------------------------------------------------------------------------------------

    def session(self) -> aiohttp.ClientSession:
        """A pool of connections with our manners, closed by the caller."""
        return aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=AT_ONCE),
            headers={"Accept": "application/json"},
        )

    async def _repeat(self, session: aiohttp.ClientSession, poll: Poll, offset_s: float) -> None:
        loop = asyncio.get_running_loop()
        own = Backoff(max(self._io.network.backoff_cap_s, poll.every_s), self._io.rng, base_s=min(1.0, poll.every_s))
        start_s = min(loop.time() + offset_s, self._due_s.get(poll.request, math.inf))
        due_s, resume_s = start_s, 0.0
        while True:
            self._due_s[poll.request] = due_s
            await asyncio.sleep(due_s - loop.time())
            # While another venue of the exchange is banned polls are left out, too: none is caught up afterwards.
            blocked_s = self._io.budget.rest_blocked_s(loop.time())
            if blocked_s <= 0.0 and loop.time() >= max(self._resume_s, resume_s):
                items = await self._attempt(session, poll.request, POLL_BYTES)
                if items is not None and poll.expects and not _speaks(items, poll):
                    self._failed(VenueError("no_data", poll.request.context))
                    items = None
                if items is None:
                    if own.attempts == 0:
                        log.info("poll venue=%s request=%s failed", self._io.venue.name, poll.request.context)
                    resume_s = loop.time() + own.next_delay_s()
                else:
                    own.lived(math.inf)
            after = max(loop.time() + blocked_s, self._resume_s, resume_s)
            due_s = start_s + poll.every_s * (math.floor((after - start_s) / poll.every_s) + 1)

    async def _attempt(
        self, session: aiohttp.ClientSession, request: Request, limit: int, patience: float = 1.0
    ) -> Sequence[Decoded] | None:
        """One budgeted request into the sink; None if it failed (counted, and the venue left alone for a while)."""
        loop = asyncio.get_running_loop()
        budget, weight, bucket = self._io.budget, request.weight, request.bucket
        async with self._slots:
            while (wait_s := budget.reserve_rest(loop.time(), weight, bucket)) > 0:  # noqa: ASYNC110 - a budget has no event
                await asyncio.sleep(max(wait_s, 0.001))
            try:
                body = await self._fetch(session, request, limit, patience)
                items = self._io.sink.frame(self._io.venue.name, CONNECTION, body, request.context)
            except VenueError as error:
                self._failed(error)
                return None
            except Exception as error:  # the one guard of a poll: a defect of ours costs this answer only
                log.exception("poll venue=%s failed", self._io.venue.name)
                self._failed(VenueError("bug", type(error).__name__))
                return None
        self._backoff.lived(math.inf)
        if self._io.health.rest.ok is False:
            log.info("rest venue=%s answers again", self._io.venue.name)
        now_ms = self._io.clock.now_ms()
        self._io.health.rest_answered(now_ms)
        self._io.health.framed(CONNECTION, now_ms)
        return items

    def _failed(self, error: VenueError) -> None:
        down = error.reason not in OWN_FAULT
        if down and self._io.health.rest.ok is not False:
            log.warning("rest venue=%s reason=%s %s", self._io.venue.name, error.reason, error.detail)
        self._io.health.rest_failed(error.reason, self._io.clock.now_ms(), error.detail, down)
        if down:
            now_s = asyncio.get_running_loop().time()
            blocked_s = self._io.budget.rest_blocked_s(now_s)
            self._resume_s = max(self._resume_s, now_s + max(blocked_s, self._backoff.next_delay_s()))

    async def _fetch(
        self, session: aiohttp.ClientSession, request: Request, limit: int, patience: float, apart: bool = False
    ) -> bytes:
        """The body of a 2xx answer, at most ``limit`` bytes. Raises :exc:`VenueError` for anything else.

        ``apart``: the sink is told nothing.
        """
        total_s = self._io.network.open_timeout_s * patience
        headers = dict(request.headers)
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with session.request(
                request.method,
                request.url,
                data=None if request.body is None else request.body.encode(),
                headers=headers,
                allow_redirects=False,
                proxy=self._io.network.proxy,
                timeout=aiohttp.ClientTimeout(total=total_s),
            ) as response:
                self._note_used(response)
                if not 200 <= response.status < 300:
                    self._throttled(response)
                    raise VenueRejected(http_reason(response.status), f"HTTP {response.status}")
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > limit:
                        response.close()  # not released to the pool: the rest is never read
                        if not apart:
                            self._io.sink.rejected(self._io.venue.name, CONNECTION, "oversized")
                        raise VenueError("oversized", f"body above {limit} bytes")
                return bytes(body)
        except (aiohttp.ClientError, OSError) as error:
            raise rest_reason(error) from error

    def _note_used(self, response: aiohttp.ClientResponse) -> None:
        header = self._io.venue.limits.used_weight_header
        used = parse_used_weight(response.headers.get(header)) if header else None
        if used is not None:
            self._io.budget.note_used(asyncio.get_running_loop().time(), used)

    def _throttled(self, response: aiohttp.ClientResponse) -> None:
        if response.status in THROTTLED:
            after_s = parse_retry_after(response.headers.get("Retry-After"), self._io.clock.now_ms() / 1000)
            now_s = asyncio.get_running_loop().time()
            self._io.budget.penalise_rest(now_s, after_s)
            log.warning(
                "rest exchange=%s HTTP %d from venue=%s: its venues ask for nothing for %.0f s",
                self._io.venue.rules.exchange,
                response.status,
                self._io.venue.name,
                self._io.budget.rest_blocked_s(now_s),
            )


def _speaks(items: Sequence[Decoded], poll: Poll) -> bool:
    """Whether an answer carries anything of what its poll is for; a row left out or refused has its own counter."""
    instruments = dict.fromkeys(instrument for instrument, _ in poll.expects)
    return any(
        isinstance(item, Bad)
        or (isinstance(item, Mark | Funding | OpenInterest | Confirm | Skipped) and item.instrument in instruments)
        for item in items
    )


def rest_reason(error: Exception) -> VenueError:
    """Why a request failed: an aiohttp or socket error to a bounded reason."""
    detail = f"{type(error).__name__}: {error}"
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    match error, cause:
        case TimeoutError(), _:
            return VenueSilent("timeout", detail)
        case aiohttp.ClientSSLError(), _:
            reason = "tls"
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError(), _:
            reason = "proxy"
        case aiohttp.InvalidURL(), _:
            reason = "bad_address"
        case aiohttp.ClientConnectorDNSError(), _:
            reason = "dns"
        case _, socket.gaierror():
            reason = "dns"
        case _, ConnectionRefusedError():
            reason = "refused_connection"
        case aiohttp.ClientConnectorError(), _:
            reason = "unreachable"
        case ((aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError() | OSError()), _):
            reason = "reset"
        case _:
            reason = "protocol"
    return VenueError(reason, detail)


def refuses(items: Sequence[Decoded]) -> bool:
    """Whether an HTTP 200 is no answer: an error in words, a maintenance page. Anything of use in it is an answer."""
    trouble = any(isinstance(item, Bad) or (isinstance(item, Control) and item.kind == "refused") for item in items)
    return trouble and not any(
        isinstance(item, Listing | HistoryPoint | Mark | Funding | OpenInterest | Skipped)
        or (isinstance(item, Control) and item.kind == "more")
        for item in items
    )
