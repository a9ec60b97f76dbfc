"""Plain HTTP on the feed's port, pure: a request line and headers in, a :class:`Reply` out (docs/messages.md)."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qs, quote, unquote, urlsplit

import orjson

from service import advice
from service.metrics import ScrapeState
from service.model import MARKET
from service.publishing import page
from service.publishing.hub import Hub
from service.publishing.message import body_bytes, rounded

STREAM = "/v1/stream"
METRICS = "/metrics"
JSON = "application/json"
PAGE_BYTES = 240 * 1024  # of an uncompressed list; a larger body risks its end with a slow reader
# The page runs its own scripts and styles and talks to this service, nothing else; nobody shows it in a frame.
PAGE_HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("Referrer-Policy", "no-referrer"),
)
TOKEN_NAMES = frozenset(
    ("token", "access_token", "auth", "authorization", "bearer", "api_key", "apikey", "key", "secret", "jwt")
)


class Views(Protocol):
    """What the HTTP answers show of the rest of the service; the runtime implements it. Called on the event loop."""

    def symbols(self) -> dict[str, Any]:
        """``/v1/symbols``: canonical symbols to instruments, multipliers, intervals."""
        ...

    def venues(self) -> dict[str, Any]:
        """``/v1/venues``: health per venue, symbol, stream."""
        ...

    def weights(self) -> dict[str, Any]:
        """``/v1/weights``: the weights in force and what has been learned."""
        ...

    def scoreboard(self) -> dict[str, Any]:
        """``/v1/scoreboard`` without the symbols: each horizon over all of them."""
        ...

    def scoreboard_of(self, symbol: str) -> dict[str, Any]:
        """One symbol's part of it."""
        ...

    def coverage(self) -> dict[str, Any]:
        """``/v1/coverage`` without the symbols: the list of other venues' open interest, and how old it is."""
        ...

    def coverage_of(self, symbol: str) -> dict[str, Any] | None:
        """One symbol's part of it; None before there is any."""
        ...

    def scrape(self) -> ScrapeState:
        """What ``/metrics`` shows; the feed fills in ``signals``."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer. ``headers`` are those beyond the ones that every answer has."""

    status: HTTPStatus
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """A request line: ``path`` without query, ``query`` with the first value of each name."""

    method: str
    path: str
    query: Mapping[str, str]

    @classmethod
    def of(cls, method: str, target: str) -> Ask | None:
        """None where the target cannot be understood."""
        try:
            parts = urlsplit(target)
            query = parse_qs(parts.query, keep_blank_values=True, max_num_fields=50)
        except ValueError:
            return None
        return cls(method, parts.path, {name: values[0] for name, values in query.items()})


def failure(status: HTTPStatus, code: str, message: str, *headers: tuple[str, str]) -> Reply:
    """An error as JSON: ``{"error": {"code": ..., "message": ...}}``."""
    return Reply(status, orjson.dumps({"error": {"code": code, "message": message}}), headers=headers)


def check(ask: Ask | None) -> Reply | None:
    """What is refused on every path: nonsense, and access tokens in an address, which end up in logs."""
    if ask is None:
        return failure(HTTPStatus.BAD_REQUEST, "bad_request", "the request target cannot be understood")
    if any(name.lower() in TOKEN_NAMES for name in ask.query):
        return failure(
            HTTPStatus.UNAUTHORIZED,
            "unauthorised",
            "access tokens are never taken from the address; revoke this one if it is real",
        )
    return None


def origin_allowed(origin: str | None, host: str | None) -> bool:
    """A browser page may connect only if it came from this very host and port; other clients send no Origin."""
    if origin is None:
        return True
    scheme, found, rest = origin.partition("://")
    return bool(found) and scheme in ("http", "https") and host is not None and rest.lower() == host.lower()


def refuse_stream(ask: Ask, header: Callable[[str], list[str]]) -> Reply | None:
    """Why a request for the stream is no upgrade; None where it may go on. ``header``: all values of a name."""
    refused = not_allowed(ask, "GET")
    if refused is not None:
        return refused
    upgrade, origin, host = header("Upgrade"), header("Origin"), header("Host")
    if max(len(upgrade), len(origin), len(host)) > 1:
        return failure(HTTPStatus.BAD_REQUEST, "bad_request", "Upgrade, Origin and Host: one of each at most")
    if not upgrade:
        hint = "connect with a WebSocket client"
        return failure(HTTPStatus.UPGRADE_REQUIRED, "upgrade_required", hint, ("Upgrade", "websocket"))
    if not origin_allowed(origin[0] if origin else None, host[0] if host else None):
        return failure(HTTPStatus.FORBIDDEN, "forbidden_origin", "pages of other hosts may not connect")
    return None


def unavailable(message: str) -> Reply:
    """503, worth another try."""
    return failure(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", message, ("Retry-After", "5"))


# Relative, so that it also leads home behind a proxy's prefix.
LEAD_HOME = Reply(HTTPStatus.FOUND, b"", "text/plain", (("Location", page.HOME.removeprefix("/")), *PAGE_HEADERS))


class Routes:
    """All paths except the stream and the metrics.

    ``ready`` tells (ready, state in a word); ``tick_ts`` the time of the last published tick, None before any.
    ``files``: the page's, by path (:func:`service.publishing.page.load`).
    """

    def __init__(
        self,
        hub: Hub,
        views: Views,
        ready: Callable[[], tuple[bool, str]],
        tick_ts: Callable[[], int | None],
        now_ms: Callable[[], int],
        files: Mapping[str, page.Asset],
    ) -> None:
        self._hub = hub
        self._views = views
        self._ready = ready
        self._tick_ts = tick_ts
        self._now_ms = now_ms
        self._paths: dict[str, Callable[[Ask, bool], Reply]] = {
            "/healthz": lambda ask, whole: _json({"status": "alive"}),
            "/readyz": self._readyz,
            "/v1/signals": self._signals,
            "/v1/advice": lambda ask, whole: _json(advice.told()),
            "/v1/symbols": lambda ask, whole: _json(views.symbols()),
            "/v1/coverage": self._coverage,
            "/v1/scoreboard": self._scoreboard,
            "/v1/venues": lambda ask, whole: _json(views.venues()),
            "/v1/weights": lambda ask, whole: _json(views.weights()),
            "/": lambda ask, whole: LEAD_HOME,
        }
        shown = {path: Reply(HTTPStatus.OK, file.body, file.content_type, PAGE_HEADERS) for path, file in files.items()}
        self._paths |= {path: partial(_same, reply) for path, reply in shown.items()}
        pages = [path for path in self._paths if not path.startswith(page.ASSETS)]
        self.paths = (*pages, f"{page.ASSETS}{{file}}", "/v1/signals/{symbol}", METRICS, STREAM)

    def answer(self, ask: Ask, whole: bool) -> Reply:
        """The answer to a request that :func:`check` let pass. ``whole``: compression will keep a long list small."""
        route = self._paths.get(ask.path)
        if route is None and ask.path.startswith("/v1/signals/"):
            route = self._signal
        if route is None:
            return failure(HTTPStatus.NOT_FOUND, "not_found", f"the paths are {', '.join(self.paths)}")
        return not_allowed(ask) or route(ask, whole)

    def _readyz(self, ask: Ask, whole: bool) -> Reply:
        ready, state = self._ready()
        return _json({"status": state}, HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE)

    def _signal(self, ask: Ask, whole: bool) -> Reply:
        symbol = self._symbol(unquote(ask.path.removeprefix("/v1/signals/")))
        if symbol not in (*self._hub.symbols, MARKET):
            names = " ".join((*self._hub.symbols, MARKET))
            return failure(HTTPStatus.NOT_FOUND, "unknown_symbol", f"the symbols are {names}")
        text = self._text(symbol)
        if text is None:
            return failure(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", "no signal yet", ("Retry-After", "10"))
        return Reply(HTTPStatus.OK, text)

    def _signals(self, ask: Ask, whole: bool) -> Reply:
        market = self._text(MARKET)
        head = {"ts": self._tick_ts(), "market": None if market is None else orjson.Fragment(market)}
        return self._paged(ask, whole, head, b"signals", self._text)

    def _scoreboard(self, ask: Ask, whole: bool) -> Reply:
        def text(symbol: str) -> bytes:
            return body_bytes(self._views.scoreboard_of(symbol))

        return self._paged(ask, whole, rounded(self._views.scoreboard()), b"symbols", text)

    def _coverage(self, ask: Ask, whole: bool) -> Reply:
        def text(symbol: str) -> bytes | None:
            found = self._views.coverage_of(symbol)
            return None if found is None else body_bytes(found)

        # In pages for everybody: a symbol has a hundred markets, and all of them at once would hold up the event loop.
        return self._paged(ask, False, rounded(self._views.coverage()), b"symbols", text)

    def _paged(
        self, ask: Ask, whole: bool, head: dict[str, Any], name: bytes, text_of: Callable[[str], bytes | None]
    ) -> Reply:
        """``head``, the path of the next page, and a list with one item per symbol that has any."""
        symbols = self._hub.symbols
        after = ask.query.get("after")
        if after is not None:
            after = self._symbol(after)
            if after not in symbols:
                return failure(HTTPStatus.BAD_REQUEST, "bad_request", "after: the last symbol of the previous page")
            symbols = symbols[symbols.index(after) + 1 :]
        texts: list[bytes] = []
        size = 0
        follows = last = None
        for symbol in symbols:
            text = text_of(symbol)
            if text is None:
                continue
            if texts and not whole and size + len(text) > PAGE_BYTES:
                follows = f"{ask.path}?after={quote(last or '', safe='')}"
                break
            texts.append(text)
            size += len(text)
            last = symbol
        begin = orjson.dumps({**head, "next": follows})
        return Reply(HTTPStatus.OK, b'%b,"%b":[%b]}' % (begin[:-1], name, b",".join(texts)))

    def _symbol(self, name: str) -> str:
        """The symbol that a name in an address means."""
        name = unicodedata.normalize("NFC", name)
        return self._hub.aliases.get(name, name)

    def _text(self, symbol: str) -> bytes | None:
        latest = self._hub.sequencer.latest(f"signal.{symbol}")
        return None if latest is None else latest.text("snapshot", self._now_ms())


def not_allowed(ask: Ask, allowed: str = "GET, HEAD") -> Reply | None:
    """405 for a method that the path does not have."""
    if ask.method in allowed.split(", "):
        return None
    return failure(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", f"use {allowed}", ("Allow", allowed))


def accepts_gzip(header: str | None) -> bool:
    """Whether an Accept-Encoding header takes gzip (``q=0`` refuses it)."""
    for part in (header or "").split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if name in ("gzip", "*"):
            return not any(
                parameter.replace(" ", "") in ("q=0", "q=0.0", "q=0.00", "q=0.000") for parameter in parameters
            )
    return False


def _same(reply: Reply, ask: Ask, whole: bool) -> Reply:
    return reply


def _json(document: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Reply:
    return Reply(status, orjson.dumps(document))
