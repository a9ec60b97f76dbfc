"""A plain client against a running demo: the contract of the feed, byte-identical replay, graceful end."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from service.config import Config, parse
from service.core.build import rules_of
from service.model import Candidate, Denominator, Event, Past, VenueRules, past_from
from service.simulation import MarketModel, denominators, history
from service.tapes import Header, read
from service.venues import VENUES
from service.venues.contract import Catalog
from tests.checker.recompute import Checker, compare
from tests.e2e.conftest import SEED, SYMBOLS, Demo

MESSAGE_S = 15.0


async def receive(feed: Any) -> dict[str, Any]:
    return json.loads(await asyncio.wait_for(feed.recv(), MESSAGE_S))


async def follow(url: str, channels: list[str], ticks: int) -> list[dict[str, Any]]:
    """Everything a client that subscribes to ``channels`` receives until ``ticks`` tick messages have come."""
    messages = []
    async with connect(url) as feed:
        messages.append(await receive(feed))
        await feed.send(json.dumps({"op": "subscribe", "id": 1, "channels": channels}))
        while sum(message["type"] == "tick" for message in messages) < ticks:
            messages.append(await receive(feed))
    return messages


def get(demo: Demo, path: str) -> Any:
    with urllib.request.urlopen(demo.http + path, timeout=5) as answer:
        return json.loads(answer.read())


async def test_a_subscriber_gets_a_snapshot_then_one_signal_a_symbol_and_tick(demo: Demo) -> None:
    messages = await follow(demo.feed, ["signal.*"], 2)
    hello, ack = messages[0], messages[1]
    assert (hello["type"], hello["source"], hello["tick_s"]) == ("hello", "simulated", 10)
    assert hello["symbols"] == list(SYMBOLS)
    assert set(ack["channels"]) == {f"signal.{symbol}" for symbol in SYMBOLS}
    signals = [message for message in messages if message["type"] == "signal"]
    assert [message["kind"] for message in signals[:3]] == ["snapshot"] * 3
    assert all(message["kind"] == "update" for message in signals[3:])
    for symbol in SYMBOLS:
        of_symbol = [message for message in signals if message["symbol"] == symbol]
        steps = {after["seq"] - before["seq"] for before, after in pairwise(of_symbol[1:])}
        assert steps <= {1}
        times = [message["ts"] for message in of_symbol[1:]]
        assert times == sorted(set(times))
        assert all(ts % 10_000 == 0 for ts in times)
    for message in signals:
        assert message["source"] == "simulated"
        product = 1.0
        for factor in message["confidence_factors"].values():
            product *= factor
        assert message["confidence"] == pytest.approx(product, rel=1e-9, abs=1e-12)
        assert message["tradeable"] == (
            message["status"] == "ok" and not message["abstain"] and not message["conflict"]
        )


async def test_the_demo_is_warm_from_the_first_tick(demo: Demo) -> None:
    for line in demo.signals.read_text().splitlines()[: len(SYMBOLS)]:
        body = json.loads(line)
        assert all(window["ready"] for window in body["windows"].values()), body["symbol"]
        assert body["score"] is not None
        assert body["strength"] is not None
        assert body["fragility"] is not None
        assert {item["variant"] for item in body["elr"] if item["value"] is not None} == {
            "oi_reserve",
            "oi_mcap",
            "funding_spend",
        }


def test_http_says_the_same_as_the_feed(demo: Demo) -> None:
    everything = get(demo, "/v1/signals")
    assert [body["symbol"] for body in everything["signals"]] == list(SYMBOLS)
    assert get(demo, "/v1/signals/BTC")["symbol"] == "BTC"
    venues = get(demo, "/v1/venues")
    assert list(venues["venues"]) == list(Config().venues.enabled()) == list(VENUES)  # all of them, in their order
    symbols = get(demo, "/v1/symbols")
    assert set(symbols["symbols"]) == set(SYMBOLS)


def test_the_known_share_is_that_of_the_simulated_list(demo: Demo) -> None:
    found = get(demo, "/v1/coverage")
    assert (found["source"], found["list"]["title"], found["list"]["stale"]) == ("simulated", "simulated list", False)
    assert [item["symbol"] for item in found["symbols"]] == list(SYMBOLS)
    for item in found["symbols"]:
        assert item["share"] == pytest.approx(0.74, abs=0.1), item["reason"]
    health = get(demo, "/v1/venues")["sources"]["coingecko_derivatives"]
    assert (health["failures"], health["last_error"]) == (0, None)


async def test_market_and_status_channels(demo: Demo) -> None:
    messages = await follow(demo.feed, ["market.BTC", "status", "signal.ETH"], 1)
    market = [message for message in messages if message["type"] == "market"]
    assert len(market) >= 1
    assert market[-1]["market"]["venues_fresh"] >= 2
    assert any(message["type"] == "status" for message in messages)


async def drain(feed: Any, into: list[dict[str, Any]]) -> None:
    while True:
        into.append(await receive(feed))


# -- a real Prometheus ------------------------------------------------------------------------------------------------


@pytest.fixture
def prometheus(demo: Demo, tmp_path: Path) -> Iterator[str]:
    """A real Prometheus that scrapes the demo each second with the project's own rules."""
    rules = Path(__file__).resolve().parents[2] / "config" / "alerts.yml"
    config = tmp_path / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{rules}']\n"
        f"scrape_configs: [{{job_name: elr, static_configs: [{{targets: ['127.0.0.1:{demo.port}']}}]}}]\n"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


def query(base: str, expression: str) -> list[Any]:
    address = f"{base}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    with urllib.request.urlopen(address, timeout=5) as answer:
        return list(json.loads(answer.read())["data"]["result"])


@pytest.mark.needs_prometheus
@pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not installed (Debian package prometheus)"
)
async def test_every_expression_of_the_overview_has_data_in_a_real_prometheus(demo: Demo, prometheus: str) -> None:
    """The scoreboard's need hours of outcomes, a chance of a fall a week of history:
    tests/operations/test_prometheus.py has both. Its count says on the first day that there is none."""
    overview = Path(__file__).resolve().parents[2] / "config" / "grafana" / "dashboards" / "overview.json"
    expressions = [
        target["expr"].replace("$symbol", ".*")
        for panel in json.loads(overview.read_text())["panels"]
        for target in panel["targets"]
        if not target["expr"].startswith("elr_deleveraging_probability")
    ]
    assert len(expressions) >= 20
    assert 'count(elr_deleveraging_probability{fall="oi_5"}) or 0 * max(elr_build_info)' in expressions
    empty = expressions
    deadline = time.monotonic() + 40.0  # two ticks, so that rates and quantiles have something to say
    while empty and time.monotonic() < deadline:
        await asyncio.sleep(1.0)
        try:
            empty = [
                expression for expression in expressions if not await asyncio.to_thread(query, prometheus, expression)
            ]
        except OSError:
            continue  # still starting
    assert empty == []
    assert query(prometheus, 'max(elr_build_info{source="simulated"})')
    assert query(prometheus, 'ALERTS{alertname="ElrServiceDown"}') == []


# -- after the end of the run: these stop the demo, so they stand last ------------------------------------------------


async def test_sigterm_ends_with_a_notice_close_1001_and_status_0(demo: Demo) -> None:
    async with connect(demo.feed) as feed:
        await receive(feed)
        await feed.send(json.dumps({"op": "subscribe", "id": 1, "channels": ["signal.BTC"]}))
        while (await receive(feed))["type"] != "tick":
            pass
        status, seconds = await asyncio.to_thread(demo.stop)
        rest: list[dict[str, Any]] = []
        with pytest.raises(ConnectionClosed) as closed:
            await drain(feed, rest)
    assert status == 0, demo.log.read_text()
    assert seconds < 5.0
    assert any(message["type"] == "notice" and message["code"] == "shutdown" for message in rest)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    assert "Traceback" not in demo.log.read_text()


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_the_replay_is_byte_identical_in_any_hash_seed(demo: Demo, hash_seed: str) -> None:
    assert demo.process.poll() == 0
    done = subprocess.run(
        [sys.executable, "-m", "service", "replay", str(demo.tape), "--signals", "-"],
        capture_output=True,
        timeout=120,
        check=True,
        cwd=demo.tape.parent,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    live = demo.signals.read_bytes()
    assert len(live.splitlines()) >= 3 * len(SYMBOLS)
    assert done.stdout == live


def live_events(demo: Demo) -> Iterable[Event | int | tuple[int, Past]]:
    """What the tape's frames say, decoded, the months with their receipt, and the published ticks, in order. Candidates
    are left out: before two hours have agreed they change nothing."""
    catalogs = {name: Catalog() for name in VENUES}
    decoders: dict[tuple[str, str], Any] = {}
    for item in read(demo.tape, lambda text: None):
        if isinstance(item, Header):
            continue
        if item.kind == "p":
            yield item.ts
        elif item.kind == "m":
            assert item.item is not None
            yield item.ts, past_from(item.item)
        elif item.kind == "o":
            decoders[item.venue, item.connection] = VENUES[item.venue].decoder(catalogs[item.venue])
        elif item.kind == "f":
            key = (item.venue, item.connection)
            if key not in decoders:
                decoders[key] = VENUES[item.venue].decoder(catalogs[item.venue])
            for decoded in decoders[key].decode(item.raw, item.ts, item.context):
                if isinstance(decoded, Event.__args__) and not isinstance(decoded, Candidate):  # type: ignore[attr-defined]
                    yield decoded


def test_the_signals_equal_an_independent_recomputation(demo: Demo) -> None:
    """From the simulated past and the tape's frames, by a checker that was written from the documents alone."""
    assert demo.process.poll() == 0
    header = next(iter(read(demo.tape, lambda text: None)))
    assert isinstance(header, Header)
    assert header.state is not None
    warm_ms = int(header.state["engine"]["sampled_ms"])
    past = demo.past()
    begin_ms = past[0][0]
    assert past[-1][2] == warm_ms
    config = parse(header.config)
    rules: list[VenueRules] = rules_of(config)
    bases: list[Denominator] = denominators(SEED, SYMBOLS, begin_ms)
    checker = Checker(SYMBOLS, rules, config.market, bases)
    model = MarketModel(SEED, SYMBOLS, begin_ms)
    for arguments in past:
        for ts, step_s, events in history(model, *arguments):
            for event in events:
                checker.apply(event)
            checker.sample(ts, step_s)
            if step_s == 60 or ts % 10_000 == 0:
                checker.tick(ts, backfill=True)
    published = [json.loads(line) for line in demo.signals.read_text().splitlines()]
    by_tick = {body["ts"]: {} for body in published}
    for body in published:
        by_tick[body["ts"]][body["symbol"]] = body
    sampled = warm_ms
    compared = 0

    def sample_to(until_ms: int) -> None:
        nonlocal sampled, compared
        while sampled + 1000 <= until_ms:
            sampled += 1000
            checker.sample(sampled, 1)
            if sampled % 10_000 == 0:
                expected = checker.tick(sampled)
                for symbol, body in by_tick.get(sampled, {}).items():
                    differences = compare(expected[symbol], body)
                    assert not differences, (symbol, sampled, differences[:10])
                    compared += 1

    for item in live_events(demo):
        if isinstance(item, int):
            sample_to(item)
        elif isinstance(item, tuple):
            sample_to(item[0] - 1)
            checker.fill(item[1])
        else:
            sample_to(item.recv_ts - 1)
            checker.apply(item)
    assert compared == len(published)
