"""The scoreboard on the feed: a channel, a path and metrics, over a real socket."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from service.metrics import ScrapeState
from service.scoreboard import Scoreboard
from tests.publishing.factories import SYMBOLS, TS, FakeViews, Running, ask, http, receive, signal_body

MINUTE = 60_000


def board() -> Scoreboard:
    """One minute of ten-second signals (1m: short), each followed by a fall; then what they came to."""
    made = Scoreboard(SYMBOLS)
    price = 83024.7
    for tick in range(13):
        ts = TS + tick * 10_000
        made.mature(ts, [price] * len(SYMBOLS))
        bodies = [signal_body(symbol, ts) for symbol in SYMBOLS]
        for body in bodies:
            body["market"] = {**body["market"], "price": price}
            body["windows"] = {name: {**window, "direction": "short"} for name, window in body["windows"].items()}
        made.take(ts, bodies)
        price *= 0.9999
    return made


class Views(FakeViews):
    """The real scoreboard behind the fake rest."""

    board = board()

    def scoreboard(self) -> dict[str, Any]:
        return self.board.document(self.clock.now)

    def scoreboard_of(self, symbol: str) -> dict[str, Any]:
        return self.board.of_symbol(symbol)

    def scrape(self) -> ScrapeState:
        return replace(super().scrape(), evaluations=self.board.numbers())


def running() -> Running:
    run = Running()
    run.feed._views = run.feed._routes._views = Views(run.clock)
    return run


async def test_snapshot_on_subscribing_then_updates() -> None:
    async with running() as run, run.connect() as client:
        await receive(client)
        run.feed.hub.publish([("scoreboard", "scoreboard", Views.board.body(TS))])
        ack = await ask(client, op="subscribe", id=1, channels=["scoreboard"])
        assert ack["channels"] == {"scoreboard": {"seq": 1, "recovered": False, "replayed": 0}}
        snapshot = await receive(client)
        assert (snapshot["type"], snapshot["kind"], snapshot["seq"], snapshot["ts"]) == (
            "scoreboard",
            "snapshot",
            1,
            TS,
        )
        run.feed.hub.publish([("scoreboard", "scoreboard", Views.board.body(TS + MINUTE))])
        update = await receive(client)
        assert (update["kind"], update["seq"], update["ts"]) == ("update", 2, TS + MINUTE)
        assert list(update["horizons"]) == ["1m", "5m", "1h", "composite"]
        one = update["horizons"]["1m"]
        assert (one["n"], one["hit"], one["matured"], one["lost"]) == (6, 1.0, 21, 0)
        assert one["hit_high"] == 1.0
        assert 0.3 < one["hit_low"] < 0.5  # two outcomes a symbol, three symbols in step: two trials' worth
        assert one["n_effective"] == 2.0
        assert update["horizons"]["composite"] == dict.fromkeys(one) | {
            "n": 0, "n_effective": 0.0, "ic_n": 0, "matured": 0, "lost": 0,
        }  # fmt: skip
        assert update["ledger"] == {"seq": Views.board.chain.seq, "hash": Views.board.chain.hash, "kept": False}


async def test_the_path_shows_everything_per_symbol() -> None:
    async with running() as run:
        status, _, body = await http(run.port, "GET /v1/scoreboard")
        document = orjson.loads(body)
        assert (status, document["next"], document["ts"]) == (200, None, run.clock.now)
        assert [item["symbol"] for item in document["symbols"]] == list(SYMBOLS)
        one = document["symbols"][1]["horizons"]["1m"]
        assert (one["n"], one["hit"], one["p_hit"]) == (2, 1.0, 0.5024875622)
        assert [part["n"] for part in one["bins"]] == [2]
        assert [part["n"] for part in document["horizons"]["1m"]["bins"]] == [6]
        status, _, body = await http(run.port, "GET /v1/scoreboard?after=BTC")
        assert [item["symbol"] for item in orjson.loads(body)["symbols"]] == ["ETH", "1000PEPE"]
        assert (await http(run.port, "GET /v1/scoreboard?after=NOPE"))[0] == 400


async def test_metrics_show_counts_always_and_ratios_once_there_are_any() -> None:
    async with running() as run:
        text = (await http(run.port, "GET /metrics"))[2].decode()
        assert 'elr_eval_outcomes{horizon="1m",symbol="ETH"} 2.0' in text
        assert 'elr_eval_hit_ratio{horizon="1m",symbol="ETH"} 1.0' in text
        assert 'elr_eval_brier{horizon="1m",symbol="ETH"} 0.2' in text
        assert 'elr_eval_outcomes{horizon="composite",symbol="ETH"} 0.0' in text
        assert 'elr_eval_hit_ratio{horizon="composite"' not in text
