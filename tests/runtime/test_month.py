"""A month of history beside the live service: after the first tick, within budgets, once, and again after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from service.core.month import MarketPast
from service.model import MARKET, Past
from service.runtime import month as month_module
from service.runtime.state_file import StateFile
from service.tapes import Record, read
from tests.fakes.history_venue import HOUR_MS, interest
from tests.runtime.starting import NAMES, World, configuration, replayed, until, world

pytestmark = pytest.mark.looptime(idle_step=0.05, idle_timeout=20)


def filled(made: World, names: tuple[str, ...] = NAMES) -> int:
    """Requests for months, of all the venues."""
    return sum(len(made.servers[name].months) for name in names)  # integers


def scraped(text: bytes, name: str) -> float:
    [line] = [line for line in text.decode().splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[-1])


async def test_a_first_day_is_judged_against_a_month(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(2.0) as made:
        for server in made.servers.values():
            server.month_delay_s = 3.0
        async with made.service(configuration(), tmp_path) as running:
            await until(lambda: len(made.servers["okx"].asked) > 0, 20)
            assert filled(made) == 0
            first = await running.tick()
            assert filled(made) <= 3  # not before there are ticks
            young = first.signals[0]
            assert (young["provisional"], young["month"], young["oi_change"]["7d"]) == (True, None, None)
            assert young["p_deleveraging"]["reason"] == "short_rank"
            await until(lambda: running.engine.indicators["BTC"].month is not None, 60)
            at = running.ticks[-1].ts
            await until(lambda: running.ticks[-1].ts >= at + 20_000, 40)
            body = running.ticks[-1].signals[0]
            metrics = await running.service.feed._metrics_text()
        assert filled(made) == 9  # marks, open interest and rates, of three venues
        assert (body["provisional"], body["elr"][0]["horizon_h"]) == (False, 720)
        assert body["month"]["venues"] == list(NAMES)
        market = running.ticks[-1].market
        assert market is not None
        assert (market["provisional"], market["level"]["horizon_h"]) == (False, 720)
        assert market["oi_change"]["7d"] == pytest.approx(body["oi_change"]["7d"], abs=2e-4)  # the only symbol
        assert 690 <= body["month"]["hours"] <= 696  # of 720 those before the 26 of the start
        assert body["p_deleveraging"]["oi_5"] is not None
        ago = body["ts"] // HOUR_MS * HOUR_MS - 7 * 24 * HOUR_MS
        change = interest("BTC", body["ts"]) / interest("BTC", ago) - 1
        assert body["oi_change"]["7d"] == pytest.approx(change, abs=2e-4)
        assert scraped(metrics, "elr_month_filled_symbols") == 1.0
        assert scraped(metrics, 'elr_month_requests_total{result="ok",venue="okx"}') == 3.0
    assert replayed(tmp_path / "run.tape", monkeypatch) == (tmp_path / "run.jsonl").read_bytes()
    _, *records = read(tmp_path / "run.tape", print)
    entered = [item for item in records if isinstance(item, Record) and item.kind == "m"]
    assert [item.item["symbol"] for item in entered if item.item is not None] == ["BTC", MARKET]
    assert all(1_200 <= item.ts % 10_000 <= 8_600 for item in entered)  # between two ticks


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    async with world(2.0) as made:
        for config in (configuration(month_days=0), configuration(history=False)):
            async with made.service(config, tmp_path, warm=False) as running:
                assert running.service.month is None
                await running.tick(4)
        assert filled(made) == 0


async def test_a_venue_that_does_not_answer_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(month_module, "AGAIN_S", 100.0)
    caplog.set_level("INFO")
    async with world(2.0) as made:
        made.servers["okx"].trouble = lambda path: web.Response(status=503) if path == "/month" else None
        async with made.service(configuration(), tmp_path) as running:
            await running.tick()
            await until(lambda: "asked again" in caplog.text, 80)
            assert running.engine.indicators["BTC"].month is None
            assert "no answer from okx" in caplog.text
            asked = len(made.servers["okx"].months)
            await until(lambda: running.engine.indicators["BTC"].month is not None, 150)
            known: Any = running.engine.indicators["BTC"].month
            assert known.venues == ("bybit", "hyperliquid")  # then without it
            assert asked < len(made.servers["okx"].months) <= 2 * asked
            # The market as a whole does not wait for a venue that may never answer.
            await until(lambda: running.engine.market_wide.month is not None, 60)


async def test_a_symbol_asked_for_again_counts_once_in_the_market(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """okx has no answer for ETH: BTC is entered in the first round, and asked for again in the second one."""
    monkeypatch.setattr(month_module, "AGAIN_S", 100.0)
    rounds: list[list[str]] = []

    class Told(MarketPast):
        def __init__(self) -> None:
            super().__init__()
            self.symbols: list[str] = []
            rounds.append(self.symbols)

        def add(self, past: Past, oi_usd: float) -> None:
            self.symbols.append(past.symbol)
            super().add(past, oi_usd)

    monkeypatch.setattr(month_module, "MarketPast", Told)
    names = ["BTC", "ETH"]
    async with world(2.0) as made:
        for server in made.servers.values():
            server.names = names
        okx = made.servers["okx"]
        okx.trouble = lambda path: web.Response(status=503) if path == "/month" and okx.months[-1] == "ETH" else None
        async with made.service(configuration(names), tmp_path) as running:
            await running.tick()
            await until(lambda: running.engine.market_wide.month is not None, 400)
        entered = [item.item for item in read(tmp_path / "run.tape", print) if isinstance(item, Record) and item.item]
    assert [item["symbol"] for item in entered] == [*names, MARKET]
    assert [symbols for symbols in rounds if symbols] == [["BTC"], names]


async def test_a_venue_that_has_no_such_history_is_no_reason_to_wait(tmp_path: Path) -> None:
    async with world(2.0) as made:
        made.servers["okx"].trouble = lambda path: web.Response(status=404) if path == "/month" else None
        async with made.service(configuration(), tmp_path) as running:
            await running.tick()
            await until(lambda: running.engine.indicators["BTC"].month is not None, 60)
        assert len(made.servers["okx"].months) == 3  # each once: asking again would not help


async def test_without_any_history_nothing_is_entered_and_nobody_is_asked_again(tmp_path: Path) -> None:
    async with world(2.0) as made:
        for server in made.servers.values():
            server.trouble = lambda path: web.Response(status=404) if path == "/month" else None
        async with made.service(configuration(), tmp_path) as running:
            await running.tick(12, 300)
            assert running.ticks[-1].signals[0]["provisional"]
        assert filled(made) == 9


async def test_a_restart_goes_on_with_the_symbols_that_are_left(tmp_path: Path) -> None:
    names = ["BTC", "ETH", "SOL"]
    async with world(2.0) as made:
        for server in made.servers.values():
            server.names, server.month_delay_s = names, 5.0
        state = StateFile(tmp_path / "state")
        config = configuration(names)
        async with made.service(config, tmp_path, state=state) as running:
            await running.tick()
            await until(lambda: running.engine.indicators["BTC"].month is not None, 60)
        done = [name for name in names if running.engine.indicators[name].month is not None]
        assert 1 <= len(done) < 3
        known = running.engine.indicators["BTC"].month
        for server in made.servers.values():
            server.months.clear()
        async with made.service(config, tmp_path, state=state) as again:
            await again.tick()
            await until(lambda: all(own.month is not None for own in again.engine.indicators.values()), 90)
            assert again.engine.indicators["BTC"].month == known
            await until(lambda: again.engine.market_wide.month is not None, 60)
        # The market as a whole is made of all symbols' months, so all are asked for again; entered are those left.
        assert len(made.servers["okx"].months) == 9
        entered = [item.item for item in read(tmp_path / "run.tape", print) if isinstance(item, Record) and item.item]
        assert [item["symbol"] for item in entered] == [*names, MARKET]
        for server in made.servers.values():
            server.months.clear()
        async with made.service(config, tmp_path, state=state) as whole:
            await whole.tick(6)
            assert whole.service.month is not None
        state.close()
        assert filled(made) == 0  # nothing is left to ask for
