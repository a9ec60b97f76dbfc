"""The runner of denominators against loopback servers that speak the sources' shapes, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from service.config import Config, parse
from service.model import Denominator
from service.runtime.denominator_polls import DenominatorPolls
from tests.fakes.source_server import SourceServer, catalogue, coin, protocol

NOW = 1_795_000_000_000
DAY = 1_794_960_000
PATHS = [
    f"/protocol/{name}" for name in ("binance-cex", "bybit", "okx", "bitget", "gate", "deribit", "kraken", "bitmex")
]


class Clock:
    def __init__(self) -> None:
        self.offset_s = asyncio.get_running_loop().time()

    def now_ms(self) -> int:
        return NOW + int((asyncio.get_running_loop().time() - self.offset_s) * 1000)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[SourceServer]:
    running = await SourceServer().start()
    yield running
    await running.stop()


def config(server: SourceServer, *names: str, every_s: float = 3600.0) -> Config:
    sources = {
        name: {"enabled": name in names, "rest": server.base, "every_s": every_s}
        for name in ("defillama", "coinmetrics", "coingecko")
    }
    return parse({"service": {"symbols": ["BTC", "ETH"]}, "denominators": sources})


async def run_for(bases: DenominatorPolls, seconds: float) -> None:
    task = asyncio.create_task(bases.run())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def bases_of(settings: Config, into: list[Denominator], fixed: tuple[tuple[str, str], ...] = ()) -> DenominatorPolls:
    return DenominatorPolls(settings, fixed, into.append, Clock(), random.Random(3))  # type: ignore[arg-type]


@pytest.mark.looptime
async def test_all_three_arrive_by_themselves(server: SourceServer) -> None:
    for number, path in enumerate(PATHS):
        server.answers[path] = protocol([(DAY + number, {"BTC": 100.0 + number, "ETH": 200.0 + number})])
    server.answers["/api/v3/coins/markets"] = [coin("bitcoin", 19.9e6, "2026-11-18T00:00:00Z")]
    server.answers["/v4/catalog-v2/asset-metrics"] = catalogue({"btc": {"SplyExNtv": True}})
    server.answers["/v4/timeseries/asset-metrics"] = {"data": []}
    items: list[Denominator] = []
    await run_for(bases_of(config(server, "defillama", "coinmetrics", "coingecko"), items), 60)
    reserves = {item.symbol: item for item in items if item.reserves}
    assert len(reserves["BTC"].reserves) == 8
    assert reserves["BTC"].as_of == DAY * 1000
    assert [item.supply for item in items if item.supply is not None] == [19.9e6]


@pytest.mark.looptime
async def test_a_dead_source_is_asked_ever_more_rarely_and_its_figures_stay(server: SourceServer) -> None:
    server.answers["/api/v3/coins/markets"] = [coin("bitcoin", 19.9e6, "2026-11-18T00:00:00Z")]
    items: list[Denominator] = []
    bases = bases_of(config(server, "coingecko", every_s=600), items)
    task = asyncio.create_task(bases.run())
    await asyncio.sleep(10)
    assert len(items) == 1
    server.answers["/api/v3/coins/markets"] = 500
    await asyncio.sleep(3600)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    health = bases.health["coingecko"]
    assert 5 <= health.failures <= 14
    assert health.as_of_ms == 1_794_960_000_000
    assert health.last_error is not None
    assert "http_500" in health.last_error
    assert len(items) == 1


@pytest.mark.looptime
async def test_retry_after_is_honoured(server: SourceServer) -> None:
    server.answers["/api/v3/coins/markets"] = 429
    server.headers["Retry-After"] = "900"
    await run_for(bases_of(config(server, "coingecko"), []), 850)
    assert len(server.asked) == 1


@pytest.mark.looptime
async def test_one_exchange_missing_does_not_hold_up_the_others(server: SourceServer) -> None:
    server.answers["/protocol/okx"] = protocol([(DAY, {"BTC": 110.5})])
    server.answers["/protocol/bybit"] = b"<html>"
    items: list[Denominator] = []
    bases = bases_of(config(server, "defillama"), items)
    await run_for(bases, 60)
    assert [item.reserves for item in items] == [(("okx", 110.5),)]
    assert "http_404" in (bases.health["defillama"].last_error or "")
    assert "bad_json" in (bases.health["defillama"].last_error or "")


@pytest.mark.looptime
async def test_a_redirect_and_a_huge_body_are_refused(server: SourceServer) -> None:
    server.answers["/api/v3/coins/markets"] = 302
    server.headers["Location"] = "http://127.0.0.1:9/elsewhere"
    bases = bases_of(config(server, "coingecko"), [])
    await run_for(bases, 10)
    assert "http_302" in (bases.health["coingecko"].last_error or "")
    server.answers["/api/v3/coins/markets"] = b"[" + b" " * (5 << 20) + b"]"
    bases = bases_of(config(server, "coingecko"), [])
    await run_for(bases, 10)
    assert "oversized" in (bases.health["coingecko"].last_error or "")


@pytest.mark.looptime
async def test_what_the_operators_file_covers_is_not_asked_for(server: SourceServer) -> None:
    fixed = (("BTC", "supply"), ("ETH", "supply"))
    bases = bases_of(config(server, "coingecko"), [], fixed)
    await run_for(bases, 10)
    assert server.asked == []
    assert bases.health == {}


@pytest.mark.looptime
async def test_a_defect_of_ours_costs_one_poll(server: SourceServer, caplog: pytest.LogCaptureFixture) -> None:
    server.answers["/api/v3/coins/markets"] = [coin("bitcoin", 19.9e6, "2026-11-18T00:00:00Z")]
    got: list[Denominator] = []

    def broken(item: Denominator) -> None:
        got.append(item)
        raise RuntimeError("ours")

    bases = DenominatorPolls(config(server, "coingecko", every_s=60), (), broken, Clock(), random.Random(3))
    task = asyncio.create_task(bases.run())
    await asyncio.sleep(10)
    assert bases.health["coingecko"].last_error == "bug RuntimeError"
    await asyncio.sleep(190)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(got) == 1
    assert bases.health["coingecko"].polls >= 4
    assert bases.health["coingecko"].last_error is None
    assert "a defect of ours" in caplog.text
