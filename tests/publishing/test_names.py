"""Symbols under other names and of any script: channels, resume, addresses, metrics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from service.publishing import Feed
from service.publishing.requests import Channels, Refusal, Request, parse
from tests.publishing.factories import EPOCH, Running, ask, http, make_tick, receive

ALIASES = {"TON": "GRAM", "MATIC": "POL"}
SYMBOLS = ("BTC", "GRAM", "币安人生")


class Named(Running):
    """A feed whose symbols have other names."""

    def __init__(self) -> None:
        super().__init__(SYMBOLS)
        clock, metrics, views = self.clock, self.metrics, self.views
        self.feed = Feed(self.settings, "simulated", SYMBOLS, EPOCH, "elr/0.1.0", clock, metrics, views, ALIASES)


def asked(**fields: Any) -> Request | Refusal:
    return parse(orjson.dumps(fields).decode(), Channels(SYMBOLS, ALIASES))


def test_channels_of_another_name_are_those_of_the_symbol_once() -> None:
    wanted = ["signal.TON", "market.TON", "signal.GRAM", "signal.币安人生"]
    assert asked(op="subscribe", id=1, channels=wanted) == Request(
        "subscribe", 1, ("signal.GRAM", "market.GRAM", "signal.币安人生")
    )
    refused = asked(op="subscribe", id=1, channels=["signal.MATIC"])  # a name of a symbol that is not served
    assert isinstance(refused, Refusal)
    assert refused.code == "unknown_channel"


def test_resume_with_the_seq_of_another_name() -> None:
    """Cause: a client that was subscribed before the upgrade would lose its place."""
    resume = {"epoch": EPOCH, "seq": {"signal.TON": 7, "signal.BTC": 9, "signal.GONE": 3, "signal.*": 1}}
    assert asked(op="subscribe", id=1, channels=["signal.TON", "signal.BTC"], resume=resume) == Request(
        "subscribe",
        1,
        ("signal.GRAM", "signal.BTC"),
        EPOCH,
        {"signal.GRAM": 7, "signal.BTC": 9, "signal.GONE": 3, "signal.*": 1},
    )


async def test_the_conversation_names_the_symbol() -> None:
    async with Named() as run, run.connect() as client:
        assert (await receive(client))["symbols"] == list(SYMBOLS)
        run.feed.publish_tick(make_tick(symbols=SYMBOLS), 0)
        ack = await ask(client, op="subscribe", id=2, channels=["signal.TON", "signal.币安人生"])
        assert list(ack["channels"]) == ["signal.GRAM", "signal.币安人生"]
        assert [(await receive(client))["channel"] for _ in range(2)] == ["signal.GRAM", "signal.币安人生"]
        resume = {"epoch": EPOCH, "seq": {"signal.TON": 1}}
        again = await ask(client, op="subscribe", id=3, channels=["signal.TON"], resume=resume)
        assert again["channels"] == {"signal.GRAM": {"seq": 1, "recovered": True, "replayed": 0}}


@pytest.mark.parametrize(
    ("name", "symbol"),
    [("GRAM", "GRAM"), ("TON", "GRAM"), (quote("币安人生"), "币安人生"), (quote("币安人生").lower(), "币安人生")],
)
async def test_addresses(name: str, symbol: str) -> None:
    async with Named() as run:
        run.feed.publish_tick(make_tick(symbols=SYMBOLS), 0)
        status, _, body = await http(run.port, f"GET /v1/signals/{name}")
        assert (status, orjson.loads(body)["symbol"]) == (200, symbol)


@pytest.mark.parametrize("path", ["/v1/signals", "/v1/scoreboard"])
async def test_paging_after_another_name(path: str) -> None:
    async with Named() as run:
        run.feed.publish_tick(make_tick(symbols=SYMBOLS), 0)
        key = path.rpartition("/")[2].replace("scoreboard", "symbols")
        for name, left in (("TON", ["币安人生"]), ("BTC", ["GRAM", "币安人生"]), (quote("币安人生"), [])):
            status, _, body = await http(run.port, f"GET {path}?after={name}")
            assert (status, [item["symbol"] for item in orjson.loads(body)[key]]) == (200, left)


async def test_the_next_page_after_a_name_of_any_script_is_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.publishing.http.PAGE_BYTES", 1)
    async with Named() as run:
        run.feed.publish_tick(make_tick(symbols=("币安人生", "BTC", "GRAM")), 0)
        path, found = "/v1/signals", []
        while path is not None:
            assert path.isascii()
            answer = orjson.loads((await http(run.port, f"GET {path}"))[2])
            found += [item["symbol"] for item in answer["signals"]]
            path = answer["next"]
        assert found == list(SYMBOLS)


async def test_metrics_carry_names_of_any_script(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Named() as run:
        state = replace(run.views.scrape(), symbols=SYMBOLS)
        monkeypatch.setattr(run.views, "scrape", lambda: state)
        run.feed.publish_tick(make_tick(symbols=SYMBOLS), 0)
        text = (await http(run.port, "GET /metrics"))[2].decode()
        assert 'symbol="币安人生"' in text
        assert 'symbol="GRAM"' in text
        assert "TON" not in text
