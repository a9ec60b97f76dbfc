"""A start on the venues' history: warm within a minute, bounded by its deadline, the same again in a replay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from service.model import Denominator
from service.tapes import Header, Record, read
from tests.fakes.history_venue import interest, price
from tests.runtime.starting import NOON_MS, configuration, replayed, until, world

pytestmark = pytest.mark.looptime(idle_step=0.05, idle_timeout=20)


def windows(body: dict[str, Any]) -> dict[str, bool]:
    return {name: body["windows"][name]["ready"] for name in ("1m", "5m", "1h")}


@pytest.mark.parametrize("second", [2.0, 30.0, 58.5])
async def test_a_fresh_start_is_warm_within_about_a_minute(
    tmp_path: Path, second: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any second of a minute: no window drops out again when its start passes the moment of going live."""
    async with world(second) as made:
        async with made.service(configuration(), tmp_path) as running:
            first = await running.tick()
            assert first.ts - running.began_ms <= 72_000
            body = first.signals[0]
            assert windows(body)["5m"]
            assert windows(body)["1h"]
            assert body["market"]["price"] == pytest.approx(price("BTC", first.ts), rel=1e-3)
            assert body["market"]["oi_coins"] == pytest.approx(3 * interest("BTC", first.ts), rel=1e-3)
            await running.tick(50, 520)
        for tick in running.ticks[6:]:
            assert all(windows(tick.signals[0]).values()), tick.ts
        statuses = [tick.signals[0]["status"] for tick in running.ticks[1:]]
        assert set(statuses) == {"ok"}
        assert [b.ts - a.ts for a, b in zip(running.ticks, running.ticks[1:], strict=False)] == [10_000] * 49
    assert replayed(tmp_path / "run.tape", monkeypatch) == (tmp_path / "run.jsonl").read_bytes()
    header, *records = read(tmp_path / "run.tape", print)
    assert isinstance(header, Header)
    assert header.state is not None
    contexts = [item.context for item in records if isinstance(item, Record) and item.kind == "f"]
    assert "meta" in contexts
    assert not [context for context in contexts if context.startswith("history")]


async def test_a_dead_venue_delays_nobody_and_its_history_stays_missing(tmp_path: Path) -> None:
    async with world(2.0) as made:
        made.servers["okx"].trouble = lambda path: web.Response(status=503)
        async with made.service(configuration(), tmp_path) as running:
            first = await running.tick()
            assert first.ts - running.began_ms <= 75_000
            body = first.signals[0]
            assert windows(body)["1h"]
            assert "unheard:okx" in body["reasons"]
            assert body["status"] == "degraded"


async def test_a_slow_venue_is_left_behind_with_what_it_gave(tmp_path: Path) -> None:
    symbols = [f"S{number}" for number in range(8)]
    async with world(2.0) as made:
        for server in made.servers.values():
            server.names = symbols
        made.servers["okx"].delay_s = 6.0
        async with made.service(configuration(symbols, deadline_s=20.0), tmp_path) as running:
            await until(lambda: "okx 0 %" in running.service.feed.starting, 10)
            assert running.service.feed.starting.startswith("starting: history ")
            first = await running.tick(within_s=100)
            assert 15_000 <= made.clock.now_ms() - running.began_ms <= 30_000  # it would not be done by the deadline
            assert windows(first.signals[0])["1h"]
            venues = [len(sample.venues) for sample in running.engine.samples]
            assert venues == [3] * 8  # live it counts like the others
        assert 4 <= len(made.servers["okx"].asked) < 32


async def test_without_any_history_the_start_is_cold_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    async with world(30.0) as made:
        for server in made.servers.values():
            server.trouble = lambda path: web.Response(status=404) if path == "/history" else None
        async with made.service(configuration(), tmp_path) as running:
            first = await running.tick()
            assert first.ts - running.began_ms <= 20_000
            assert first.signals[0]["status"] == "warming"
            assert first.signals[0]["market"]["price"] is not None
            await running.tick(3)
    assert "cold start: no venue gave any history" in caplog.text
    assert replayed(tmp_path / "run.tape", monkeypatch) == (tmp_path / "run.jsonl").read_bytes()


async def test_broken_history_is_counted_and_costs_that_venue_only(tmp_path: Path) -> None:
    async with world(2.0) as made:
        made.servers["okx"].trouble = lambda path: web.Response(text="nonsense") if path == "/history" else None
        async with made.service(configuration(), tmp_path) as running:
            body = (await running.tick()).signals[0]
            assert windows(body)["1h"]
            value = running.service.metrics.registry.get_sample_value
            assert (
                value("elr_bad_payload_total", {"venue": "okx", "reason": "unknown_shape"}) == 12
            )  # asked three times each


async def test_a_quorum_for_every_symbol_comes_before_more_venues_for_one(tmp_path: Path) -> None:
    symbols = [f"S{number}" for number in range(12)]
    async with world(2.0) as made:
        for server in made.servers.values():
            server.names = symbols
        async with made.service(configuration(symbols), tmp_path) as running:
            await running.tick(within_s=100)
        third = []  # the place, in its venue's order, of what is the third venue of a symbol
        first = []
        orders = {
            name: list(dict.fromkeys(item.split(":")[0] for item in server.asked))
            for name, server in made.servers.items()
        }
        for order in orders.values():
            assert sorted(order) == sorted(symbols)
        for symbol in symbols:
            places = sorted(order.index(symbol) for order in orders.values())
            first += places[:2]
            third.append(places[2])
        assert sum(first) / len(first) < sum(third) / len(third)


async def test_stopping_while_it_warms_up_is_quick_and_leaves_no_run_on_the_tape(tmp_path: Path) -> None:
    async with world(30.0) as made:
        async with made.service(configuration(), tmp_path) as running:
            await until(lambda: "waiting" in running.service.feed.starting, 30)
        assert running.ticks == []
    assert (tmp_path / "run.tape").read_bytes() == b""


def test_noon_is_on_the_grid() -> None:
    assert NOON_MS % 60_000 == 0


async def test_denominators_that_arrive_before_and_after_going_live_replay_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One within the state of the header, one held beyond it, one live: each is in use from the same tick on."""
    supply = Denominator("BTC", 19_000_000.0, (), NOON_MS - 3_600_000, "a test", "none")
    async with world(30.0) as made:
        async with made.service(configuration(), tmp_path) as running:
            await until(lambda: "waiting" in running.service.feed.starting, 30)
            running.service.denominate(supply)
            await running.tick(2)
            running.service.denominate(replace(supply, supply=21_000_000.0, source="another"))
            await running.tick(5)
        values = [
            next(item["value"] for item in tick.signals[0]["elr"] if item["variant"] == "oi_mcap")
            for tick in running.ticks
        ]
        assert None not in values
        assert values[0] / values[4] == pytest.approx(21 / 19, rel=0.01)
    kinds = [item.kind for item in read(tmp_path / "run.tape", print) if isinstance(item, Record)]
    assert kinds.count("d") == 2
    assert replayed(tmp_path / "run.tape", monkeypatch) == (tmp_path / "run.jsonl").read_bytes()
