"""A running service over the simulated venues, and the audit of it: real sockets, and faults planted on both sides."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from service.audit import SOURCES, Audit, Figures, compare
from service.cli import audit as cli
from service.clock import ServiceClock
from service.config import Config, parse
from service.core.build import rules_of
from service.core.engine import Engine
from service.model import Listing
from service.runtime import audits
from service.runtime.outputs import open_outputs
from service.runtime.service import Inputs, Service
from service.simulation import MarketModel, SimulatedVenues
from service.tapes import Record, read
from service.venues import VENUES

SYMBOLS = ("BTC", "ETH", "1000PEPE")
DEADLINE_S = 60.0


class Running:
    """A cold service over simulated venues. ``names``: those that are simulated."""

    def __init__(self, service: Service, simulated: SimulatedVenues, config: Config) -> None:
        self.service, self.simulated, self.config = service, simulated, config
        self.names = list(simulated.servers)
        self.url = ""
        start = service.feed.start

        async def noted() -> int:
            port = await start()
            self.url = f"http://127.0.0.1:{port}"
            return port

        service.feed.start = noted  # type: ignore[method-assign]

    def live(self) -> bool:
        """Whether every stream of every listed instrument is."""
        rows = [
            row
            for venue in self.service.views.venues()["venues"].values()
            for symbol in venue["symbols"].values()
            for row in symbol["instruments"].values()
        ]
        listed = sum(len(found) for found in self.service.views.symbols()["symbols"].values())
        return len(rows) == listed > len(self.names) and all(not row["missing"] for row in rows)

    async def audit(self, *arguments: str) -> tuple[int, str, str]:
        """`elr audit` of it in a process of its own: exit status, output, errors."""
        return await run_audit(self.url, *arguments)

    async def json(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        status, out, err = await self.audit("--json", *arguments)
        assert "Traceback" not in err
        return status, json.loads(out)


async def run_audit(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service", "audit", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def running(
    names: tuple[str, ...] | None = None,
    plant: Callable[[SimulatedVenues], None] | None = None,
    tape: Path | None = None,
) -> AsyncIterator[Running]:
    """``names``: the venues, all that there are where None. ``plant``: called before the service starts."""
    clock = ServiceClock()
    now = clock.now_ms() // 1000 * 1000
    model = MarketModel(5, SYMBOLS, now - 60_000)
    model.step(now)
    simulated = SimulatedVenues(model, clock, random.Random(5), scheduled_outage=False)
    for name in list(simulated.servers):
        if names is not None and name not in names:
            del simulated.servers[name]
    endpoints = await simulated.start()
    if plant is not None:
        plant(simulated)
    config = parse(
        {
            "service": {"symbols": list(SYMBOLS)},
            "feed": {"port": 0},
            "market": {"min_venues": 1},
            "streams": dict.fromkeys(("liquidation", "flow", "positions", "long_short"), False),
            "venues": {name: {"enabled": name in endpoints, "oi_poll_s": 1.0} for name in VENUES},
        }
    )
    service = Service(
        config=config,
        inputs=Inputs(
            source="simulated",
            venues={name: VENUES[name] for name in VENUES if name in endpoints},
            endpoints=endpoints,
            denominators=[],
        ),
        engine=Engine(SYMBOLS, rules_of(config), config.market, []),
        clock=clock,
        rng=random.Random(6),
        outputs=open_outputs(tape, None),
    )
    stop = asyncio.Event()
    found = Running(service, simulated, config)
    task = asyncio.create_task(service.run(stop))
    try:
        yield found
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)
        await simulated.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.1)


def test_all_venues_are_simulated() -> None:
    """So that what is shown below is shown of each."""
    assert set(SimulatedVenues(MarketModel(5, SYMBOLS, 0), ServiceClock(), random.Random(1)).servers) == set(VENUES)


async def test_every_simulated_venue_agrees_with_us() -> None:
    """Each figure of each instrument, from another place of the venue than the decoder's: within what is allowed."""
    async with running() as here:
        await until(here.live)
        status, document = await here.json()
        assert (status, document["beyond"]) == (0, 0)
        assert list(document["venues"]) == list(VENUES)
        for name, venue in document["venues"].items():
            assert venue["failures"] == [], name
            assert venue["compared"] == len(venue["rows"]) >= 6, name
            assert {row["figure"] for row in venue["rows"]} == {"oi", "mark", "funding"}
        assert document["compared"] == sum(venue["compared"] for venue in document["venues"].values()) > 80
        status, out, _ = await here.audit("--symbols", "ETH")
        assert status == 0
        assert "BTCUSDT" not in out
        assert re.search(r"source=simulated: \d+ figures compared, 0 beyond", out)


async def test_the_service_audits_itself_and_neither_market_nor_tape_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A venue that counts twice, on /v1/venues and in the metrics; the answers are no part of a replay."""
    monkeypatch.setattr(audits, "FIRST_S", 1.0)
    monkeypatch.setattr(audits, "APART_S", 0.1)

    def plant(simulated: SimulatedVenues) -> None:
        simulated.servers["kraken_futures"].on_send = times("openInterest", 2.0, http=False)
        simulated.servers["okx"].on_send = lambda topic, text: None if topic.endswith("/mark-price") else text

    async with running(("kraken_futures", "hyperliquid", "okx"), plant, tmp_path / "a.tape") as here:
        kept = here.service.audits
        assert kept is not None
        await until(lambda: len(kept.latest) == 3 and here.live())
        for name in here.names:  # again, now that every stream has spoken
            kept._tell(await kept.once(name, here.service._runners[name]))
        told = here.service.views.venues()["venues"]
        audit = told["kraken_futures"]["audit"]
        assert audit["compared"] == 15
        assert audit["beyond"] == 5  # every contract: of coins, and of dollars
        assert {row["figure"] for row in audit["worst"]} == {"oi"}
        assert audit["worst"][0]["ratio"] == pytest.approx(2.0, rel=0.02)
        assert told["hyperliquid"]["audit"]["beyond"] == 0
        assert told["okx"]["audit"]["failures"] == ["mark-price: http_503: HTTP 503"]
        assert told["okx"]["links"]["rest"]["failures"]["http_503"] >= 1
        assert told["okx"]["links"]["rest"]["ok"] is True
        found = {item.venue: item for item in here.service.views.scrape().audits}
        assert {name: (item.beyond, item.stale) for name, item in found.items()} == {
            "kraken_futures": (5, False), "hyperliquid": (0, False), "okx": (0, False),
        }  # fmt: skip
        ratios = {symbol: value for figure, symbol, value in found["kraken_futures"].figures if figure == "oi"}
        assert ratios == dict.fromkeys(SYMBOLS, pytest.approx(2.0, rel=0.02))
    contexts = {item.context for item in read(tmp_path / "a.tape", print) if isinstance(item, Record)}
    asked = {
        request.context
        for name in ("kraken_futures", "hyperliquid", "okx")
        for request in SOURCES[name].requests("", [])
    }
    assert len(asked) == 5
    assert not contexts & asked


# -- faults ------------------------------------------------------------------------------------------------------------


def times(field: str, factor: float, http: bool) -> Callable[[str, str], str]:
    """A hook that multiplies every number of this field: in what is pushed, or in what HTTP answers."""

    def multiplied(match: re.Match[str]) -> str:
        return f"{match[1]}{match[2]}{factor * float(match[3])!r}{match[2]}"

    def hook(topic: str, text: str) -> str:
        over_http = topic.startswith("/")
        return re.sub(rf'("{field}": ?)("?)([-+.\de]+)\2', multiplied, text) if over_http is http else text

    return hook


def beyond(document: dict[str, Any]) -> dict[tuple[str, str], set[str]]:
    """Venue and figure of what is, to the symbols."""
    found: dict[tuple[str, str], set[str]] = {}
    for name, venue in document["venues"].items():
        for row in venue["rows"]:
            if row["beyond"]:
                found.setdefault((name, row["figure"]), set()).add(row["symbol"])
    return found


async def test_a_venue_that_counts_twice_on_its_socket_is_named() -> None:
    """Cause: open interest of both sides taken for one is a number like any other, until the venue is asked again."""

    def plant(simulated: SimulatedVenues) -> None:
        simulated.servers["kraken_futures"].on_send = times("openInterest", 2.0, http=False)

    async with running(("kraken_futures", "hyperliquid", "okx"), plant) as here:
        await until(here.live)
        status, document = await here.json()
        assert status == 1
        assert beyond(document) == {("kraken_futures", "oi"): set(SYMBOLS)}
        row = document["venues"]["kraken_futures"]["rows"][0]
        assert row["ratio"] == pytest.approx(2.0, rel=0.02)
        assert "both sides" in row["note"]
        status, out, _ = await here.audit()
        assert status == 1
        assert re.search(r"kraken_futures +P[FI]_\w+ +oi .* \+(99|100|101)\.\d\d%", out)
        assert "twice theirs: both sides counted?" in out


async def test_the_same_over_http_and_funding_per_hour() -> None:
    def plant(simulated: SimulatedVenues) -> None:
        simulated.servers["hyperliquid"].on_send = times("openInterest", 2.0, http=True)
        simulated.servers["dydx"].on_send = times("nextFundingRate", 0.125, http=True)

    async with running(("dydx", "hyperliquid", "okx"), plant) as here:
        await until(here.live)
        status, document = await here.json()
        assert status == 1
        found = beyond(document)
        assert found.pop(("hyperliquid", "oi")) == set(SYMBOLS)
        assert document["venues"]["hyperliquid"]["rows"][0]["ratio"] == pytest.approx(0.5, rel=0.02)
        assert found.keys() <= {("dydx", "funding")}  # a rate next to 0 is off by less than the floor


async def test_a_decoder_with_a_wrong_unit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit shares nothing with the decoders, so that what is wrong in them is not wrong in it."""
    from service.venues.hyperliquid import messages

    right = messages.coins
    monkeypatch.setattr(messages, "coins", lambda value: 2.0 * right(value))
    async with running(("kraken_futures", "hyperliquid")) as here:
        await until(here.live)
        status, document = await here.json()
        assert status == 1
        assert beyond(document) == {("hyperliquid", "oi"): set(SYMBOLS)}


async def test_what_a_venue_does_not_answer_is_a_line_and_the_others_go_on(tmp_path: Path) -> None:
    """Bad JSON, 503, rows that are missing, other types, silence: each venue's own, and no traceback."""
    names = ("bybit", "okx", "gate", "deribit", "bitget", "kraken_futures")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # and never answer
        await _answer_badly(names, silent.getsockname()[1], tmp_path / "elr.toml")


async def _answer_badly(names: tuple[str, ...], port: int, config: Path) -> None:
    async with running(names) as here:
        await until(here.live)
        servers = here.simulated.servers
        servers["bybit"].on_send = lambda topic, text: "<html>" if topic.endswith("/tickers") else text
        servers["okx"].on_send = lambda topic, text: None if topic.endswith("/mark-price") else text
        servers["gate"].on_send = lambda topic, text: text.replace('"ETH_USDT"', '"XYZ_USDT"')
        servers["deribit"].on_send = lambda topic, text: (
            re.sub(r'"open_interest":[\d.]+', '"open_interest":[]', text) if topic.startswith("/") else text
        )
        config.write_text(f'[network]\nopen_timeout_s = 0.4\n[venues.bitget]\nrest = "http://127.0.0.1:{port}"\n')
        status, document = await here.json("--config", str(config))
        venues = document["venues"]
        # Cause: nothing was beyond, so all seemed well, though of Bybit and Bitget nothing had been compared.
        assert (status, document["beyond"]) == (1, 0)
        assert {name: venue["compared"] == len(venue["rows"]) for name, venue in venues.items()} == {
            "bybit": False, "okx": False, "bitget": False, "gate": False, "deribit": False, "kraken_futures": True,
        }  # fmt: skip
        assert venues["bybit"]["compared"] == venues["bitget"]["compared"] == 0
        assert venues["bybit"]["failures"] == ["linear: not JSON", "inverse: not JSON"]
        assert venues["okx"]["failures"] == ["mark-price: http_503: HTTP 503"]
        assert venues["bitget"]["failures"][0].endswith(": timeout: TimeoutError")
        assert venues["bitget"]["failures"][-1].startswith("given up")
        missing = {
            (name, row["symbol"], row["figure"]): row["note"]
            for name in ("okx", "gate", "deribit")
            for row in venues[name]["rows"]
            if row["theirs"] is None
        }
        assert missing[("okx", "BTC", "mark")] == "not read: no markPx"
        assert missing[("okx", "BTC", "oi")] == "not read: no markPx"
        assert missing[("gate", "ETH", "oi")] == "not at the venue"
        assert missing[("deribit", "BTC", "oi")] == "unreadable: open_interest is no number"
        assert ("okx", "BTC", "funding") not in missing
        assert {row["note"] for row in venues["bitget"]["rows"]} == {"not read"}
        status, out, err = await here.audit("--config", str(config))
        assert status == 1
        assert "Traceback" not in out + err
        assert "mark-price: http_503: HTTP 503" in out
        assert "bybit: less than half of its figures could be compared" in out


async def test_nothing_compared_is_no_agreement() -> None:
    async with running(("kraken_futures",)) as here:
        await until(here.live)
        here.simulated.servers["kraken_futures"].on_send = lambda topic, text: None if topic.startswith("/") else text
        status, out, _ = await here.audit()
        assert status == 1
        assert "0 figures compared" in out
        status, _, err = await here.audit("--symbols", "XYZ")
        assert status == 2
        assert "XYZ" in err


@pytest.mark.parametrize("width", [80, 160])
def test_the_table_fits(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Names and numbers whole, whatever the terminal."""
    monkeypatch.setattr(cli, "PIPED_WIDTH", width)
    item = Listing("binance_coinm", "1000PEPEUSDT", "1000PEPE", False, None, 1.0, None, True, 0)
    rows = compare(
        item.venue, [item], {item.instrument: Figures(0.0118, -0.0001, 123_456_789_012.3)},
        {item.instrument: Figures(0.0118, -0.0008, 61_728_394_506.1)}, Config().audit,
    )  # fmt: skip
    cli._show(Config(), "live", [Audit(item.venue, 1, tuple(rows), ("premiumIndex: http_503: HTTP 503",))], True)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    for text in ("1000PEPEUSDT", "123,456,789,012", "61,728,394,506", "+100.00%", "-0.0800 %", "0.01180000"[:6]):
        assert text in out
    assert out.index(" oi ") < out.index("+0.00%")


async def test_without_a_service_a_line_says_what_to_start(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    status, out, err = await run_audit(f"http://127.0.0.1:{port}")
    assert (status, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert "elr serve" in err
    for address in ("http://", "nonsense", "http://127.0.0.1:99999"):
        status, _, err = await run_audit(address)
        assert status == 1
        assert "Traceback" not in err
        assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("symbols", "venues", "said"),
    [
        ({"symbols": {}}, {"source": "replay", "venues": {"okx": {"rest": None}}}, "source=replay: it has no venues"),
        ({"symbols": {}}, {"source": "live", "venues": {"okx": {}}}, "an older version"),
        ({"symbols": []}, {"source": "live", "venues": {}}, "not this service"),
        ([], {}, "not an object"),
        ({"symbols": {}}, "<html>", "not JSON"),
    ],
)
async def test_what_is_no_service_with_venues_is_said_in_a_line(symbols: Any, venues: Any, said: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        document = symbols if request.path == "/v1/symbols" else venues
        return web.Response(text=document if isinstance(document, str) else json.dumps(document))

    application = web.Application()
    application.router.add_get("/v1/{what}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        status, out, err = await run_audit(f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()
    assert (status, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert said in err
