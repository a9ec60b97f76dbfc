"""The list of other venues' open interest against a loopback server that speaks its shape, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from service.config import Config, parse
from service.coverage import LIST, KnownShare
from service.errors import VenueError
from service.runtime import coverage_poll
from service.runtime.coverage_poll import ask_coverage, poll_coverage
from service.runtime.denominator_polls import SourceHealth
from tests.coverage.build import NOW, sample, view
from tests.fakes.source_server import SourceServer, derivative

ROWS = [
    derivative("HTX Futures", "BTC-USDT", "BTC", "83000.5", last_traded_at=None),
    derivative("KuCoin Futures", "XBTUSDTM", "BTC", "83001.5", last_traded_at=None),
    derivative("MEXC (Futures)", "ETH_USDT", "ETH", "2700.5", last_traded_at=None),
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


class Polled:
    """A poll under way, with what it fills."""

    def __init__(self, server: SourceServer, every_s: float = 3600.0) -> None:
        self.known = KnownShare(True)
        self.health = SourceHealth(LIST.name)
        config = parse({"service": {"symbols": ["BTC"]}, "coverage": {"every_s": every_s}})
        priced = [replace(sample(view("okx", 0.1)), price=83_000.0)]
        polling = poll_coverage(config, server.base, self.known, self.health, lambda: priced, Clock(), random.Random(3))
        self._task = asyncio.create_task(polling)

    async def __aenter__(self) -> Polled:
        await asyncio.sleep(5)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.mark.looptime
async def test_the_list_comes_about_once_an_hour(server: SourceServer) -> None:
    server.answers[LIST.path] = ROWS
    async with Polled(server) as polled:
        await asyncio.sleep(3 * 3600)
    assert server.asked == [LIST.path] * (3 + (polled.health.polls == 4))
    assert polled.known.listed is not None
    assert [item.market for item in polled.known.listed.tickers["BTC"]] == ["HTX Futures", "KuCoin Futures"]
    assert polled.health.as_of_ms == polled.known.listed.as_of > NOW + 6_000_000
    assert (polled.health.failures, polled.health.last_error) == (0, None)
    # Compared with our price when the list came: later than 15 minutes after it, it could not be.
    late = replace(sample(view("okx", 0.1)), price=83_000.0)
    assert polled.known.shares(late, polled.known.listed.as_of + 3_000_000)[0] is not None


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (500, "http_500"),
        (404, "http_404"),
        (302, "http_302"),
        (429, "http_429 asked to wait 60 s"),
        (b"<html>busy</html>", "bad_json"),
        (b'{"status":{"error_code":10005}}', "wrong_type"),
        (b"[", "bad_json"),
        (ROWS[:1], "not_whole"),
    ],
)
async def test_a_broken_answer_is_counted_and_the_last_good_list_stays(
    server: SourceServer, broken: object, error: str
) -> None:
    server.answers[LIST.path] = ROWS
    async with Polled(server, every_s=600) as polled:
        good = polled.known.listed
        server.answers[LIST.path] = broken
        await asyncio.sleep(660)
        assert polled.known.listed is good
        assert polled.health.failures >= 1
        assert (polled.health.last_error or "").startswith(error)
        server.answers[LIST.path] = ROWS
        await asyncio.sleep(700)
        assert polled.known.listed is not good
        assert polled.health.last_error is None


@pytest.mark.looptime
async def test_a_huge_answer_is_cut_off(server: SourceServer) -> None:
    server.answers[LIST.path] = b"[" + b" " * (50 << 20) + b"]"
    async with Polled(server) as polled:
        assert polled.known.listed is None
        assert (polled.health.last_error or "").startswith("oversized")
        assert polled.health.failures == 1


@pytest.mark.looptime
async def test_a_server_that_does_not_answer_is_left_after_a_while(
    server: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage_poll, "BODY_S", 2.0)
    server.delay_s = 3.0
    async with Polled(server) as polled:
        assert (polled.health.last_error or "").startswith("timeout")


@pytest.mark.looptime
async def test_a_dead_list_is_asked_ever_more_rarely_and_retry_after_is_honoured(server: SourceServer) -> None:
    server.answers[LIST.path] = 500
    async with Polled(server) as polled:
        await asyncio.sleep(3 * 3600)
        assert 7 <= polled.health.failures == len(server.asked) <= 13
    server.asked.clear()
    server.answers[LIST.path], server.headers["Retry-After"] = 429, "1800"
    async with Polled(server):
        await asyncio.sleep(1790)
    assert len(server.asked) == 1


@pytest.mark.looptime
async def test_a_defect_of_ours_costs_one_poll(
    server: SourceServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers[LIST.path] = ROWS
    monkeypatch.setattr(coverage_poll, "Tickers", None)
    async with Polled(server) as polled:
        assert polled.health.last_error == "bug TypeError"
        assert "a defect of ours" in caplog.text
        monkeypatch.undo()
        await asyncio.sleep(60)
        assert polled.known.listed is not None


async def test_nobody_there_is_said(server: SourceServer) -> None:
    with pytest.raises(VenueError, match="unreachable"):
        await ask_coverage(Config(), "http://127.0.0.1:9", NOW)
