"""Which venues can be reached from here, over HTTP and every kind of socket, and what that leaves of each symbol."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp

from service.config import NetworkSection
from service.model import Endpoints, ExtraStream, Listing
from service.venues.contract import Catalog, ConnectionPlan, Request, Venue
from service.venues.symbols import ASSETS, Asset
from service.venues.transport.poller import refuses

METADATA_S = 30.0  # instrument lists are megabytes
SOCKET_S = 10.0
MAX_BODY_BYTES = 16 << 20
GEO_BLOCKS = (403, 451)


@dataclass(slots=True)
class Reach:
    """What one venue answered. ``problems``: ``what: why`` lines; ``listed``: our symbols that it lists, if it said.
    ``notes``: the same of a source without which the venue counts."""

    venue: str
    problems: list[str] = field(default_factory=list)
    listed: list[str] | None = None
    sockets: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def reachable(self) -> bool:
        return not self.problems and self.listed is not None

    def line(self, symbols: Sequence[str]) -> str:
        """For a person."""
        if not self.reachable:
            return "; ".join(self.problems)
        listed = self.listed or []
        missing = [symbol for symbol in symbols if symbol not in listed]
        text = f"reachable (HTTP{''.join(', ' + kind for kind in self.sockets)}), lists {len(listed)} of {len(symbols)}"
        return "; ".join([text, *([f"not {' '.join(missing)}"] if missing else []), *self.notes])


async def reach(
    venue: Venue,
    endpoints: Endpoints,
    symbols: Sequence[str],
    network: NetworkSection,
    extras: Sequence[ExtraStream],
    now_ms: int,
    assets: Sequence[Asset] = ASSETS,
) -> Reach:
    """Ask for the instrument lists and open each kind of socket once. Never raises for what the network does."""
    result = Reach(venue.name)
    catalog = Catalog(assets)
    decoder = venue.decoder(catalog)
    connector = aiohttp.TCPConnector(limit=4)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        for request in venue.metadata(endpoints):
            try:
                body = await _get(session, request, network.proxy)
                if refuses(decoder.decode(body, now_ms, request.context)):
                    result.problems.append("HTTP: what answers is no list of instruments: a login page, or an error")
                    break
            except (aiohttp.ClientError, OSError, TimeoutError, _Refused) as error:
                result.problems.append(f"HTTP: {why(error)}")
                break
        if not result.problems and not catalog.listings:
            result.problems.append("HTTP: the list of instruments is empty")
        wanted = [item for _, item in sorted(catalog.listings.items()) if item.trading and item.symbol in symbols]
        if not result.problems:
            result.listed = [symbol for symbol in symbols if any(item.symbol == symbol for item in wanted)]
        await _sockets(session, venue, endpoints, wanted, network.proxy, extras, result)
    return result


async def _sockets(
    session: aiohttp.ClientSession,
    venue: Venue,
    endpoints: Endpoints,
    wanted: Sequence[Listing],
    proxy: str | None,
    extras: Sequence[ExtraStream],
    result: Reach,
) -> None:
    """One connection of each kind that this run would open; all kinds where the instruments are not known."""
    plans = venue.connections(endpoints, wanted, extras) if wanted else []
    for kind, base in endpoints.ws.items():
        planned = [plan for plan in plans if base and plan.url.startswith(base)]
        if (plans and not planned) or not base:
            continue
        url, headers = _target(planned, base)
        try:
            async with asyncio.timeout(SOCKET_S):
                async with session.ws_connect(url, headers=headers, proxy=proxy):
                    result.sockets.append(f"{kind} socket")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            needed = venue.rules.sources is None or kind != venue.rules.sources[1]
            (result.problems if needed else result.notes).append(f"{kind} socket: {why(error)}")


def _target(planned: Sequence[ConnectionPlan], base: str) -> tuple[str, Mapping[str, str]]:
    return (planned[0].url, planned[0].headers) if planned else (base, {})


class _Refused(Exception):
    """An answer that is none."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


async def _get(session: aiohttp.ClientSession, request: Request, proxy: str | None) -> bytes:
    async with session.request(
        request.method,
        request.url,
        data=request.body,
        headers={"Content-Type": "application/json"},
        proxy=proxy,
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(total=METADATA_S),
    ) as answer:
        if answer.status != 200:
            raise _Refused(answer.status)
        body = bytearray()
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise aiohttp.ClientPayloadError(f"an answer above {MAX_BODY_BYTES} bytes")
        return bytes(body)


def why(error: Exception) -> str:
    """The trouble by its name, and what to do about it where that is known."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    status = getattr(error, "status", None)
    proxied = isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError)
    if status == 407:
        return "the proxy wants a login (HTTP 407): put user:password@ into network.proxy"
    if proxied:
        return f"the proxy cannot be used ({error}): check network.proxy"
    if isinstance(status, int) and status > 0:
        if status in GEO_BLOCKS:
            return f"refused from here (HTTP {status}: a geo-block?); use network.proxy, or disable the venue"
        return f"HTTP {status}"
    if isinstance(error, TimeoutError):
        return "no answer in time: a firewall that drops?"
    if isinstance(error, aiohttp.ClientConnectorDNSError) or isinstance(cause, socket.gaierror):
        return "its name cannot be resolved (DNS)"
    if isinstance(error, aiohttp.ClientSSLError) or isinstance(cause, ssl.SSLError):
        return f"TLS fails ({error}): a proxy that intercepts, or a wrong clock?"
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused"
    return str(error) or type(error).__name__


def without_quorum(symbols: Sequence[str], found: Sequence[Reach], min_venues: int) -> list[tuple[str, int, int]]:
    """(symbol, reachable venues that list it, venues needed) of every symbol that will have no data.

    A venue that did not say what it lists counts as listing everything, as in the running service.
    """
    result = []
    for symbol in symbols:
        listing = sum(item.listed is None or symbol in item.listed for item in found)  # integers
        there = sum(item.reachable and symbol in (item.listed or ()) for item in found)  # integers
        needed = 1 if listing == 1 else min_venues
        if there < needed:
            result.append((symbol, there, needed))
    return result
