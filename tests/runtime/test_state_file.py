"""State over restarts: whole or not at all, used only where it fits, and never a reason to stop."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import Sequence
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from service.config import Config, MarketSection
from service.core.engine import Engine
from service.core.snapshot import Slices
from service.errors import ConfigError
from service.metrics import Metrics
from service.runtime.saver import Saver
from service.runtime.state_file import StateFile, default_folder, document, misfit, restored
from service.scoreboard import read_line
from tests.core import build
from tests.core.build import T0, VENUES, both, engine, rules
from tests.fakes.history_venue import interest
from tests.runtime.starting import configuration, replayed, until, world

NAMES = ("BTC", "ETH")


def text(plain: dict[str, Any]) -> list[bytes]:
    return [orjson.dumps(plain)]


def lived(seconds: int = 30) -> Any:
    made = engine()
    made.advance(T0)
    for second in range(1, seconds + 1):
        for event in both(T0 + 1000 * second - 500, 100.0 + 0.01 * second):
            made.apply(event)
        made.advance(T0 + 1000 * second)
    return made


CONFIG = Config().model_copy(
    update={
        "service": Config().service.model_copy(update={"symbols": ("BTC",)}),
        "start": Config().start.model_copy(update={"history": False}),
    }
)
WITH_HISTORY = CONFIG.model_copy(update={"start": Config().start})
LATER = T0 + 31_000


@pytest.fixture
def file(tmp_path: Path) -> Any:
    made = StateFile(tmp_path / "state")
    yield made
    made.close()


def test_a_restored_engine_goes_on_exactly(file: StateFile) -> None:
    before = lived()
    file.write(text(document(before, CONFIG, T0 + 30_000)))
    after, found = restored(file, CONFIG, engine, LATER)
    assert found == "restored the state saved 1 s ago"
    assert after.save() == before.save()
    for second in range(31, 61):
        for event in both(T0 + 1000 * second - 500, 101.0 + 0.01 * second):
            before.apply(event)
            after.apply(event)
        assert after.advance(T0 + 1000 * second) == before.advance(T0 + 1000 * second)


def test_a_state_that_knows_little_is_worth_less_than_history(file: StateFile) -> None:
    """Cause: what a start without a network had saved kept every later start from asking for history."""
    file.write(text(document(lived(), CONFIG, T0 + 30_000)))
    made, found = restored(file, WITH_HISTORY, engine, LATER)
    assert made.sampled_ms == 0
    assert found == "saved state is not used: it knows only 0.0 h, history is worth more"
    assert restored(file, CONFIG, engine, LATER)[0].sampled_ms == T0 + 30_000


@pytest.mark.parametrize("sampled", [None, "abc", 1.5, -5, 0, T0 + 9_000_000])
def test_a_last_sample_that_cannot_be_is_damage(file: StateFile, sampled: Any) -> None:
    """Cause: it loaded, and every start from then on ended in a traceback."""
    plain = document(lived(), CONFIG, T0 + 30_000)
    plain["engine"]["engine"]["sampled_ms"] = sampled
    file.write(text(plain))
    made, found = restored(file, CONFIG, engine, LATER)
    assert (made.sampled_ms, found) == (0, "saved state is not used: it is damaged")
    assert file.path.with_name("state.json.gz.bad").exists()


def test_nothing_saved_is_a_fresh_engine(file: StateFile) -> None:
    made, found = restored(file, CONFIG, engine, LATER)
    assert (made.sampled_ms, found) == (0, None)


@pytest.mark.parametrize("cut", [0, 10, 500])
def test_a_torn_file_is_set_aside(file: StateFile, cut: int, caplog: pytest.LogCaptureFixture) -> None:
    file.write(text(document(lived(), CONFIG, T0)))
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:cut])
    made, found = restored(file, CONFIG, engine, LATER)
    assert (made.sampled_ms, found) == (0, None)
    assert not file.path.exists()
    assert file.path.with_name("state.json.gz.bad").read_bytes() == whole[:cut]
    assert "set aside" in caplog.text


def test_a_file_of_another_shape_is_set_aside(file: StateFile) -> None:
    plain = document(lived(), CONFIG, T0)
    del plain["engine"]["engine"]["market"]["heard"]
    file.write(text(plain))
    made, found = restored(file, CONFIG, engine, LATER)
    assert (made.sampled_ms, found) == (0, "saved state is not used: it is damaged")
    assert made.save() == engine().save()  # nothing of it was taken
    file.path.write_bytes(gzip.compress(b"[1]"))
    assert file.read() is None


def of(*symbols: str) -> Config:
    return CONFIG.model_copy(update={"service": CONFIG.service.model_copy(update={"symbols": symbols})})


def engine_of(symbols: Sequence[str], names: Sequence[str] = VENUES) -> Engine:
    return Engine(symbols, [replace(rules()[0], venue=name, exchange=name) for name in names], MarketSection(), [])


@pytest.mark.parametrize(
    ("symbols", "names", "said"),
    [
        (("BTC",), ("okx", "bybit"), ""),
        (("BTC", "ETH"), VENUES, ": 1 of 2 symbols; new: ETH"),
        (("ETH", "SOL", "BTC"), ("okx", "gate"), ": 1 of 3 symbols; new: ETH, SOL; new venues: gate; "
         "venues no longer configured: bybit"),
    ],
)  # fmt: skip
def test_a_start_says_what_was_kept_and_what_began_anew(
    file: StateFile, symbols: tuple[str, ...], names: tuple[str, ...], said: str
) -> None:
    """Cause: "it is of other symbols", and weeks of percentiles of twenty symbols were gone for one more."""
    before = lived()
    file.write(text(document(before, CONFIG, T0 + 30_000)))
    made, found = restored(file, of(*symbols), lambda: engine_of(symbols, names), LATER)
    assert found == f"restored the state saved 1 s ago{said}"
    assert made.sampled_ms == before.sampled_ms
    assert orjson.dumps(made.indicators["BTC"].dump()) == orjson.dumps(before.indicators["BTC"].dump())
    back, found = restored(file, CONFIG, engine, LATER)
    assert found == "restored the state saved 1 s ago"
    file.write(text(document(made, of(*symbols), T0 + 30_000)))  # and the way back
    back, found = restored(file, CONFIG, engine, LATER)
    assert found is not None
    assert ("no longer configured: " in found) == (len(symbols) > 1)
    assert orjson.dumps(back.indicators["BTC"].dump()) == orjson.dumps(before.indicators["BTC"].dump())


def test_a_damaged_symbol_is_named_and_the_others_go_on(file: StateFile, caplog: pytest.LogCaptureFixture) -> None:
    before = engine_of(("BTC", "ETH"))
    before.advance(T0)
    before.advance(T0 + 30_000)
    plain = document(before, of("BTC", "ETH"), T0 + 30_000)
    del plain["engine"]["engine"]["indicators"]["ETH"]["_ring"]
    file.write(text(plain))
    made, found = restored(file, of("BTC", "ETH"), lambda: engine_of(("BTC", "ETH")), LATER)
    assert found == "restored the state saved 1 s ago: 1 of 2 symbols; damaged, so they begin anew: ETH"
    assert "of the saved state ETH is damaged (ValueError: SymbolIndicators: state has" in caplog.text
    assert (made.sampled_ms, made.begun_anew) == (T0 + 30_000, ("ETH",))
    assert file.path.exists()
    made, found = restored(file, of("ETH"), lambda: engine_of(["ETH"]), LATER)  # nothing is left of it
    assert (made.sampled_ms, found) == (0, "saved state is not used: it is damaged")
    assert file.path.with_name("state.json.gz.bad").exists()


def test_a_state_of_other_symbols_alone_is_not_used(file: StateFile) -> None:
    file.write(text(document(lived(), CONFIG, T0 + 30_000)))
    made, found = restored(file, of("ETH"), lambda: engine_of(["ETH"]), LATER)
    assert (made.sampled_ms, found) == (0, "saved state is not used: it is of other symbols")
    assert file.path.exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"created_ms": T0 + 60_000}, "from the future"),
        ({"created_ms": LATER - 73 * 3_600_000}, "73 h old"),
        ({"version": 9}, "another format"),
        ({"engine": {"version": 0}}, "engine is of version 0"),
        ({"created_ms": "yesterday"}, "incomplete"),
    ],
)
def test_what_does_not_fit_is_not_used_and_said(file: StateFile, change: dict[str, Any], why: str) -> None:
    plain = document(lived(), CONFIG, T0) | change
    assert why in str(misfit(plain, LATER))
    file.write(text(plain))
    made, found = restored(file, CONFIG, engine, LATER)
    assert made.sampled_ms == 0
    assert found is not None
    assert why in found


def test_writing_replaces_the_file_as_a_whole(file: StateFile, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write(text({"a": 1}))

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        file.write(text({"a": 2}))
    assert orjson.loads(gzip.decompress(file.path.read_bytes())) == {"a": 1}


def test_a_folder_serves_one_process(file: StateFile) -> None:
    with pytest.raises(ConfigError, match="in use by another process"):
        StateFile(file.path.parent)


def test_a_folder_that_cannot_be_written_is_said() -> None:
    with pytest.raises(ConfigError, match=r"state\.folder: /proc/none cannot be written"):
        StateFile(Path("/proc/none"))


def test_the_default_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "elr-signal-service"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")  # the specification: to be ignored
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_folder() == tmp_path / "home" / ".local" / "state" / "elr-signal-service"


async def test_a_failing_write_is_one_line_and_a_metric(file: StateFile, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    metrics = Metrics(("bybit",), "live", "test")
    saver = Saver(file, lambda: (part for part in [text({"a": 1})]), metrics, lambda: T0)
    write, file.write = file.write, lambda plain: (_ for _ in ()).throw(OSError(28, "full"))  # type: ignore[method-assign]
    await saver.save()
    await saver.save()
    file.write = write  # type: ignore[method-assign]
    await saver.save()
    value = metrics.registry.get_sample_value
    assert value("elr_state_saves_total", {"result": "failed"}) == 2
    assert value("elr_state_saves_total", {"result": "ok"}) == 1
    said = [record.message for record in caplog.records if record.name == "service.runtime.saver"]
    assert len(said) == 2
    assert "cannot be saved" in said[0]
    assert "saved again" in said[1]


async def test_a_state_that_cannot_be_dumped_costs_the_save_only(file: StateFile) -> None:
    """Cause: a value that JSON has no word for would have ended the service."""

    def broken() -> Slices:
        yield [b"{"]
        raise ValueError("cannot dump inf")

    metrics = Metrics(("bybit",), "live", "test")
    await Saver(file, broken, metrics, lambda: T0).save()
    assert metrics.registry.get_sample_value("elr_state_saves_total", {"result": "failed"}) == 1
    assert not file.path.exists()


# -- a whole service, stopped and started again -----------------------------------------------------------------


@pytest.mark.looptime(idle_step=0.05, idle_timeout=20)
@pytest.mark.parametrize("pause_s", [3.0, 400.0, 30 * 3600.0])
async def test_a_new_symbol_is_warm_from_the_first_tick_and_the_others_are_only_filled_up(
    tmp_path: Path, file: StateFile, pause_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cause: a restored engine asks for the gap alone, and a new symbol would have no window for an hour and no
    statistics for a day."""
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    async with world(2.0) as made:
        for server in made.servers.values():
            server.names = ["BTC", "ETH"]
        async with made.service(configuration(), tmp_path / "1", state=file) as running:
            await running.tick(3)
        stopped = running.engine.dump()
        await asyncio.sleep(pause_s)
        for server in made.servers.values():
            server.since.clear()
        async with made.service(configuration(["ETH", "BTC"]), tmp_path / "2", state=file) as running:
            first = await running.tick()
            assert first.ts - running.began_ms <= 75_000
            for body in first.signals:
                assert [body["windows"][name]["ready"] for name in ("5m", "1h")] == [True, True], body["symbol"]
                assert body["elr"][1]["n"] > 24 * 60, body["symbol"]
            await running.tick(20, 300)
            for tick in running.ticks[6:]:
                [eth, btc] = tick.signals
                assert eth["status"] == "ok", tick.ts
                # after a day and more its own rates are old, and settled ones do not stand for them
                assert btc["status"] == ("ok" if pause_s < 1000 else "warming"), tick.ts
                assert all(part["ready"] for body in tick.signals for part in body["windows"].values())
            since = {name: {item for server in made.servers.values() for item in server.since[name]} for name in NAMES}
            [asked] = since["ETH"]
            assert asked == running.began_ms - 26 * 3_600_000
            assert since["BTC"] == {max(asked, stopped["sampled_ms"])}
            index, now = running.engine.samples[0].ln_oi_index, running.engine.samples[0].ts
            begun = (asked // 60_000 + 1) * 60_000
            assert index == pytest.approx(log(interest("ETH", now) / interest("ETH", begun)), abs=0.01)
    assert replayed(tmp_path / "2" / "run.tape", monkeypatch) == (tmp_path / "2" / "run.jsonl").read_bytes()


@pytest.mark.looptime(idle_step=0.05, idle_timeout=20)
@pytest.mark.parametrize("other", ["lists BTC", "lists nothing any more", "is new"])
async def test_a_new_symbol_that_one_venue_lists_is_warm_too(tmp_path: Path, file: StateFile, other: str) -> None:
    """Cause: filled in apart, the venues that list only the other symbols had not been heard, and a lone venue is no
    quorum beside venues that nobody has heard."""
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    async with world(2.0) as made:
        made.servers["bybit"].names = ["BTC", "ETH"]
        async with made.service(configuration(), tmp_path / "1", state=file) as running:
            await running.tick(3)
        await asyncio.sleep(60.0)
        if other == "lists nothing any more":
            made.servers["okx"].names = []
        elif other == "is new":
            plain = file.read()
            assert plain is not None
            market = plain["engine"]["engine"]["market"]
            for part in (market["heard"], market["sides"], market["books"]["BTC"]["shelves"]):
                del part["okx"]
            file.write(text(plain))
        async with made.service(configuration(["ETH", "BTC"]), tmp_path / "2", state=file) as running:
            for body in (await running.tick()).signals:
                assert body["windows"]["1h"]["ready"], body["symbol"]
                assert body["elr"][1]["n"] > 24 * 60, body["symbol"]


@pytest.mark.looptime(idle_step=0.05, idle_timeout=20)
async def test_a_new_symbol_of_which_no_venue_gives_history_begins_live_and_it_is_said(
    tmp_path: Path, file: StateFile, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    async with world(2.0) as made:
        for server in made.servers.values():
            server.names = ["BTC", "ETH"]
        async with made.service(configuration(), tmp_path / "1", state=file) as running:
            await running.tick(3)
        await asyncio.sleep(60.0)
        for server in made.servers.values():
            server.without_past.add("ETH")
        async with made.service(configuration(["ETH", "BTC"]), tmp_path / "2", state=file) as running:
            [eth, btc] = (await running.tick(3)).signals
            assert (eth["status"], eth["windows"]["1h"]["ready"]) == ("warming", False)
            assert (btc["status"], btc["windows"]["1h"]["ready"]) == ("ok", True)
    assert "no venue gave any history of ETH: their windows and statistics fill up live" in caplog.text


@pytest.mark.looptime(idle_step=0.05, idle_timeout=20)
async def test_what_was_open_of_a_symbol_that_is_gone_is_in_the_ledger_of_the_run_and_of_its_replay(
    tmp_path: Path, file: StateFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cause guarded against: the two chains part at the first line, because the tape's header does not know of it."""
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    async with world(2.0) as made:
        for server in made.servers.values():
            server.names = ["BTC", "ETH"]
        async with made.service(configuration(["BTC", "ETH"], month_days=0), tmp_path / "1", state=file) as running:
            await running.tick(9)
        before = running.engine.scoreboard.chain.seq
        await asyncio.sleep(3.0)
        async with made.service(configuration(month_days=0), tmp_path / "2", state=file) as running:
            running.engine.scoreboard.keep_lines()
            await running.tick()
            lines = [read_line(line) for line in running.engine.scoreboard.drain()]
        told = [outcome for outcome in lines if outcome.symbol == "ETH"]
        assert len(told) > 9
        assert all(outcome.ret is None for outcome in told)
        assert running.engine.scoreboard.chain.seq >= before + len(told)
    assert replayed(tmp_path / "2" / "run.tape", monkeypatch) == (tmp_path / "2" / "run.jsonl").read_bytes()
    *_, (run, _, _) = build.replayed(tmp_path / "2" / "run.tape")
    assert run.engine.scoreboard.chain.dump() == running.engine.scoreboard.chain.dump()


@pytest.mark.looptime(idle_step=0.05, idle_timeout=20)
async def test_a_new_symbol_without_history_begins_live_and_the_others_are_as_they_were(
    tmp_path: Path, file: StateFile
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    config = configuration(["ETH", "BTC"])
    config = config.model_copy(update={"start": config.start.model_copy(update={"history": False})})
    async with world(2.0) as made:
        for server in made.servers.values():
            server.names = ["BTC", "ETH"]
        async with made.service(configuration(), tmp_path / "1", state=file) as running:
            await running.tick(3)
        await asyncio.sleep(3.0)
        async with made.service(config, tmp_path / "2", warm=False, state=file) as running:
            [eth, btc] = (await running.tick(2)).signals
            assert (eth["status"], eth["windows"]["1h"]["ready"]) == ("warming", False)
            assert (btc["status"], btc["windows"]["1h"]["ready"]) == ("ok", True)


@pytest.mark.looptime(idle_step=0.05, idle_timeout=20)
@pytest.mark.parametrize("pause_s", [3.0, 400.0])
async def test_a_restart_goes_on_where_it_stopped(tmp_path: Path, file: StateFile, pause_s: float) -> None:
    first_run, second_run = tmp_path / "1", tmp_path / "2"
    first_run.mkdir()
    second_run.mkdir()
    state = file
    async with world(2.0) as made:
        async with made.service(configuration(), first_run, state=state) as running:
            await running.tick(3)
            await until(state.path.exists, 10)
        stopped = running.engine
        await asyncio.sleep(pause_s)
        for server in made.servers.values():
            server.asked.clear()
        async with made.service(configuration(), second_run, state=state) as running:
            assert 0 <= running.engine.sampled_ms - stopped.sampled_ms <= 4_000  # at once over a short pause
            first = await running.tick()
            body = first.signals[0]
            assert first.ts - running.began_ms <= (15_000 if pause_s < 20 else 75_000)
            assert body["windows"]["1h"]["ready"]
            assert body["windows"]["5m"]["ready"]
            await running.tick(8)
            assert running.ticks[-1].signals[0]["status"] == "ok"
            index = running.engine.samples[0].ln_oi_index
    asked = sum(len(server.asked) for server in made.servers.values())
    assert asked == (0 if pause_s < 20 else 12)  # history only for a gap, and only of the gap
    # chain-linked over the restart: the index moved with the interest since the first back-filled minute
    began = (running.began_ms - round(pause_s * 1000)) // 60_000 * 60_000 - 26 * 3_600_000
    now = running.engine.samples[0].ts
    assert index == pytest.approx(log(interest("BTC", now) / interest("BTC", began)), abs=0.01)


@pytest.mark.looptime(idle_step=0.05, idle_timeout=20)
async def test_a_start_that_is_stopped_keeps_the_older_state(tmp_path: Path, file: StateFile) -> None:
    """Cause: the state of a start that had not come to its end would replace a better one."""
    state = file
    state.write(text({"kept": True}))
    async with world(30.0) as made, made.service(configuration(), tmp_path, state=state) as running:
        await until(lambda: "waiting" in running.service.feed.starting, 30)
    assert state.read() == {"kept": True}


@pytest.mark.looptime(idle_step=0.05, idle_timeout=20)
@pytest.mark.parametrize("pause_s", [300.0, 2000.0])
async def test_a_restart_without_history_goes_on_with_a_gap(
    tmp_path: Path, file: StateFile, pause_s: float, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    async with world(2.0) as made:
        async with made.service(configuration(), tmp_path / "1", state=file) as running:
            await running.tick(3)
        await asyncio.sleep(pause_s)
        for server in made.servers.values():
            server.trouble = lambda path: web.Response(status=404) if path == "/history" else None
        async with made.service(configuration(), tmp_path / "2", state=file) as running:
            body = (await running.tick()).signals[0]
            assert not body["windows"]["5m"]["ready"]  # the gap is no data, and nothing pretends otherwise
            assert body["market"]["price"] is not None
            await running.tick(3)
    assert "going on from the saved state, with a gap" in caplog.text
    assert replayed(tmp_path / "2" / "run.tape", monkeypatch) == (tmp_path / "2" / "run.jsonl").read_bytes()
