"""`elr check --net`: what is refused is named, and which symbols that costs."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from service.cli.main import run
from service.cli.reach import Reach, reach, without_quorum
from service.config import NetworkSection
from service.model import Endpoints
from tests.fakes.history_venue import PastServer, PastVenue

pytestmark = pytest.mark.looptime(idle_step=0.05, idle_timeout=20)

SYMBOLS = ("BTC", "ETH", "GRAM")
NOW = 1_763_683_200_000


@pytest.fixture(autouse=True)
def _own_signal_handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def server(names: tuple[str, ...] = ("BTC", "ETH", "DOGE")) -> PastServer:
    return PastServer(lambda: NOW, names)


async def ask(endpoints: Endpoints, **network: Any) -> Reach:
    return await reach(PastVenue("okx"), endpoints, SYMBOLS, NetworkSection(**network), ("flow",), NOW)


async def test_a_venue_that_answers_is_reachable_and_says_what_it_lists() -> None:
    async with server().running() as site:
        found = await ask(site.endpoints)
    assert found.reachable
    assert found.listed == ["BTC", "ETH"]
    assert found.line(SYMBOLS) == "reachable (HTTP, main socket), lists 2 of 3; not GRAM"
    assert site.opened == ["BTC,ETH"]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/meta", 451, "HTTP: refused from here (HTTP 451: a geo-block?)"),
        ("/meta", 403, "HTTP: refused from here (HTTP 403: a geo-block?)"),
        ("/meta", 407, "HTTP: the proxy wants a login (HTTP 407)"),
        ("/meta", 500, "HTTP: HTTP 500"),
        ("/ws", 451, "main socket: refused from here (HTTP 451: a geo-block?)"),
        ("/ws", 503, "main socket: HTTP 503"),
    ],
)
async def test_a_refusal_is_named(path: str, status: int, said: str) -> None:
    async with server().running() as site:
        site.trouble = lambda asked: web.Response(status=status) if asked == path else None
        found = await ask(site.endpoints)
    assert not found.reachable
    assert found.line(SYMBOLS).startswith(said)


async def test_trouble_below_http_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        port = taken.getsockname()[1]
        found = await ask(Endpoints({"main": f"ws://127.0.0.1:{port}"}, f"http://127.0.0.1:{port}"))
    assert found.problems == ["HTTP: connection refused", "main socket: connection refused"]
    async with server().running() as site:
        secure = site.endpoints.rest.replace("http:", "https:")
        found = await ask(Endpoints(site.endpoints.ws, secure))
        assert "HTTP: TLS fails" in found.problems[0]
        found = await ask(site.endpoints, proxy="http://127.0.0.1:9")
        assert "HTTP: the proxy cannot be used" in found.problems[0]

    async def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    found = await ask(Endpoints({}, "http://venue.invalid"))
    assert found.problems == ["HTTP: its name cannot be resolved (DNS)"]


async def test_silence_is_named() -> None:
    async def silent(request: web.Request) -> web.Response:
        await asyncio.sleep(1000)
        return web.Response()

    quiet = server()
    quiet._meta = silent  # type: ignore[method-assign]
    async with quiet.running():
        found = await ask(quiet.endpoints)
    assert found.problems == ["HTTP: no answer in time: a firewall that drops?"]


def test_symbols_that_lose_their_quorum_are_found() -> None:
    def venue(name: str, listed: list[str] | None, *problems: str) -> Reach:
        return Reach(name, list(problems), listed)

    both = [venue("a", ["BTC", "ETH"]), venue("b", ["BTC", "GRAM"])]
    assert without_quorum(SYMBOLS, both, 2) == []  # ETH and GRAM have a single venue each: one is enough
    dead = [*both, venue("c", None, "HTTP: refused")]
    assert without_quorum(SYMBOLS, dead, 2) == [("ETH", 1, 2), ("GRAM", 1, 2)]  # c may list them: nobody knows
    half = [venue("a", ["BTC"]), venue("b", ["BTC"], "main socket: HTTP 451")]
    assert without_quorum(("BTC",), half, 2) == [("BTC", 1, 2)]
    assert without_quorum(("BTC",), [venue("a", [])], 1) == [("BTC", 0, 1)]


def test_the_command_lists_the_symbols_without_data_and_exits_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "elr.toml"
    lines = ["[service]", 'symbols = ["BTC", "GRAM"]']
    for name in ("bybit", "okx"):
        kinds = {"bybit": ("linear", "inverse"), "okx": ("public",)}[name]
        lines += [f"[venues.{name}]", 'rest = "http://127.0.0.1:9"', f"[venues.{name}.ws]"]
        lines += [f'{kind} = "ws://127.0.0.1:9"' for kind in kinds]
    lines += [f"[venues.{name}]\nenabled = false" for name in OTHERS]
    lines += [f'[denominators.{name}]\nrest = "http://127.0.0.1:9"' for name in ("defillama", "coingecko")]
    lines += ['[coverage]\nrest = "http://127.0.0.1:9"']
    path.write_text("\n".join(lines))
    assert run(["check", "--net", str(path)]) == 1
    said = capsys.readouterr().out
    assert "bybit: HTTP: connection refused; linear socket: connection refused; inverse socket: conn" in said
    assert "0 of 2 venues reachable" in said
    assert said.count(": not reachable (unreachable") == 3  # two sources of denominators, and the list:
    assert "known share from coingecko_derivatives: not reachable (unreachable" in said
    assert "GRAM: NO quorum: 0 reachable venues list it, 2 are needed" in said


OTHERS = (
    "binance_usdm", "binance_coinm", "bitget", "gate", "deribit", "kraken_futures", "bitmex", "hyperliquid", "dydx",
)  # fmt: skip
