"""Subscriptions, replies and fan-out through fake outlets."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from service.config import FeedSection
from service.publishing import message as wire
from service.publishing.hub import Client, Hub
from tests.publishing.factories import EPOCH, TS, alert_body, signal_body
from tests.publishing.fakes import FakeOutlet, line


class Bench:
    """A hub on a clock that stands still, and helpers that speak for clients."""

    def __init__(self, symbols: tuple[str, ...] = ("BTC", "ETH"), **options: Any) -> None:
        self.sent = 0
        self.wakes = 0
        self.hub = Hub(
            FeedSection(**options), "live", symbols, EPOCH, "elr/1", lambda: TS, line, self._count, self._wake
        )

    def _count(self, count: int) -> None:
        self.sent += count

    def _wake(self) -> None:
        self.wakes += 1

    def client(self, now_s: float = 0.0, greeted: bool = True) -> tuple[Client, FakeOutlet]:
        outlet = FakeOutlet()
        client = self.hub.connect(outlet, now_s)
        if greeted:
            assert outlet.messages()[0]["type"] == "hello"
        return client, outlet

    def ask(self, who: tuple[Client, FakeOutlet], now_s: float = 0.0, **request: Any) -> list[dict[str, Any]]:
        self.hub.receive(who[0], orjson.dumps(request).decode(), now_s)
        return who[1].messages()

    def tick(self, ts: int = TS, symbols: tuple[str, ...] = ("BTC", "ETH"), alerts: int = 0) -> None:
        items: list[tuple[str, str, dict[str, Any]]] = [(f"signal.{s}", "signal", signal_body(s, ts)) for s in symbols]
        items += [("alert.BTC", "alert", alert_body("BTC", ts)) for _ in range(alerts)]
        self.hub.publish(items, wire.tick(ts, len(symbols), 0))


def test_hello_comes_first() -> None:
    bench = Bench()
    _, outlet = bench.client(greeted=False)
    hello = outlet.messages()
    assert [item["type"] for item in hello] == ["hello"]
    assert hello[0]["symbols"] == ["BTC", "ETH"]


def test_subscribe_acknowledges_then_sends_snapshots_then_updates() -> None:
    bench = Bench()
    bench.tick(TS - 10_000)
    who = bench.client()
    ack, *rest = bench.ask(who, op="subscribe", id=2, channels=["signal.*", "status"])
    assert ack == {
        "v": 1,
        "type": "subscribed",
        "id": 2,
        "epoch": EPOCH,
        "channels": {
            "signal.BTC": {"seq": 1, "recovered": False, "replayed": 0},
            "signal.ETH": {"seq": 1, "recovered": False, "replayed": 0},
            "status": {"seq": 0, "recovered": False, "replayed": 0},
        },
    }
    assert [(item["channel"], item["kind"], item["seq"]) for item in rest] == [
        ("signal.BTC", "snapshot", 1),
        ("signal.ETH", "snapshot", 1),
    ]
    bench.tick(TS)
    updates = who[1].messages()
    assert [(item.get("channel"), item.get("kind"), item.get("seq")) for item in updates] == [
        ("signal.BTC", "update", 2),
        ("signal.ETH", "update", 2),
        (None, None, None),
    ]
    assert updates[-1] == {"v": 1, "type": "tick", "ts": TS, "signals": 2, "missed": 0}


def test_only_what_is_subscribed_arrives_and_the_tick_only_with_a_signal_channel() -> None:
    bench = Bench()
    eth, market = bench.client(), bench.client()
    bench.ask(eth, op="subscribe", channels=["signal.ETH"])
    bench.ask(market, op="subscribe", channels=["market.*", "alert.BTC"])
    bench.tick(alerts=1)
    assert [item.get("channel", item["type"]) for item in eth[1].messages()] == ["signal.ETH", "tick"]
    assert [item.get("channel", item["type"]) for item in market[1].messages()] == ["alert.BTC"]


def test_one_unknown_channel_refuses_the_whole_request() -> None:
    bench = Bench()
    bench.tick()
    who = bench.client()
    (reply,) = bench.ask(who, op="subscribe", id=9, channels=["signal.BTC", "signal.NOPE"])
    assert (reply["type"], reply["id"], reply["code"]) == ("error", 9, "unknown_channel")
    assert "NOPE" in reply["message"]
    assert not who[0].channels
    bench.tick(TS + 10_000)
    assert who[1].messages() == []


def test_unsubscribe() -> None:
    bench = Bench()
    who = bench.client()
    bench.ask(who, op="subscribe", channels=["signal.*"])
    assert bench.ask(who, op="unsubscribe", id=3, channels=["signal.BTC", "market.BTC"]) == [
        {"v": 1, "type": "unsubscribed", "id": 3, "channels": ["signal.BTC", "market.BTC"]}
    ]
    bench.tick()
    assert [item.get("channel", item["type"]) for item in who[1].messages()] == ["signal.ETH", "tick"]


def test_snapshot_without_subscription_and_ping() -> None:
    bench = Bench()
    bench.tick()
    who = bench.client()
    ack, latest = bench.ask(who, op="snapshot", id=4, channels=["signal.ETH", "status"])
    assert ack == {
        "v": 1,
        "type": "snapshots",
        "id": 4,
        "epoch": EPOCH,
        "channels": {"signal.ETH": {"seq": 1}, "status": {"seq": 0}},
    }
    assert (latest["channel"], latest["kind"], latest["seq"]) == ("signal.ETH", "snapshot", 1)
    assert bench.ask(who, op="ping", id=5) == [{"v": 1, "type": "pong", "id": 5, "ts": TS}]
    bench.tick()
    assert who[1].messages() == []


def test_resume_recovers_exactly_what_was_missed() -> None:
    bench = Bench()
    for number in range(1, 6):
        bench.tick(TS + number * 10_000)
    who = bench.client()
    ack, *rest = bench.ask(
        who,
        op="subscribe",
        id=1,
        channels=["signal.BTC", "signal.ETH"],
        resume={"epoch": EPOCH, "seq": {"signal.BTC": 3, "signal.ETH": 5}},
    )
    assert ack["channels"] == {
        "signal.BTC": {"seq": 5, "recovered": True, "replayed": 2},
        "signal.ETH": {"seq": 5, "recovered": True, "replayed": 0},
    }
    assert [(item["channel"], item["kind"], item["seq"], item["ts"]) for item in rest] == [
        ("signal.BTC", "update", 4, TS + 40_000),
        ("signal.BTC", "update", 5, TS + 50_000),
    ]


@pytest.mark.parametrize(
    ("epoch", "seq"), [("01JOTHER", 4), (EPOCH, -1), (EPOCH, 10**30), (EPOCH, 6), (EPOCH, 1), (EPOCH, 2.5)]
)
def test_resume_that_cannot_be_told_gives_a_snapshot(epoch: str, seq: Any) -> None:
    bench = Bench(history_per_channel=2)
    for number in range(1, 6):
        bench.tick(TS + number * 10_000)
    who = bench.client()
    text = '{"op":"subscribe","id":1,"channels":["signal.BTC"],"resume":{"epoch":"%s","seq":{"signal.BTC":%s}}}'
    bench.hub.receive(who[0], text % (epoch, seq), 0.0)
    ack, latest = who[1].messages()
    assert ack["channels"] == {"signal.BTC": {"seq": 5, "recovered": False, "replayed": 0}}
    assert (latest["kind"], latest["seq"]) == ("snapshot", 5)


def test_a_channel_absent_from_resume_gets_a_snapshot() -> None:
    bench = Bench()
    bench.tick()
    who = bench.client()
    ack, latest = bench.ask(
        who, op="subscribe", channels=["signal.*"], resume={"epoch": EPOCH, "seq": {"signal.BTC": 1}}
    )
    assert [item["recovered"] for item in ack["channels"].values()] == [True, False]
    assert (latest["channel"], latest["kind"]) == ("signal.ETH", "snapshot")


def test_the_tenth_bad_request_within_a_minute_closes() -> None:
    bench = Bench()
    who = bench.client()
    for number in range(9):
        (reply,) = bench.ask(who, now_s=number * 6.0, op="dance", id=number)
        assert reply["code"] == "unknown_op"
    assert who[1].closed is None
    (reply,) = bench.ask(who, now_s=59.9, op="dance", id=9)
    assert reply["code"] == "unknown_op"
    assert who[1].closed == (4006, "bad requests")
    assert bench.ask(who, now_s=59.95, op="ping") == []


def test_ten_bad_requests_over_more_than_a_minute_do_not_close() -> None:
    bench = Bench()
    who = bench.client()
    for number in range(40):
        bench.ask(who, now_s=number * 7.0, op="dance")
    assert who[1].closed is None


@pytest.mark.parametrize(("last_s", "closed"), [(59.99, (4006, "bad requests")), (60.0, None)])
def test_the_tenth_bad_request_a_whole_minute_after_the_first_does_not_close(
    last_s: float, closed: tuple[int, str] | None
) -> None:
    bench = Bench()
    who = bench.client()
    for _ in range(9):
        bench.ask(who, now_s=0.0, op="dance")
    bench.ask(who, now_s=last_s, op="dance")
    assert who[1].closed == closed


@pytest.mark.parametrize(("last_s", "closed"), [(9.99, (4008, "rate")), (10.0, None)])
def test_one_request_too_many_ten_whole_seconds_after_the_first_is_none(
    last_s: float, closed: tuple[int, str] | None
) -> None:
    bench = Bench()
    who = bench.client()
    for _ in range(200):
        bench.ask(who, now_s=0.0, op="ping")
    bench.ask(who, now_s=last_s, op="ping")
    assert who[1].closed == closed


def test_a_flood_of_requests_closes() -> None:
    bench = Bench()
    who = bench.client()
    for number in range(200):
        bench.ask(who, now_s=number * 0.01, op="ping")
    assert who[1].closed is None
    bench.ask(who, now_s=2.1, op="ping")
    assert who[1].closed == (4008, "rate")


def test_a_request_each_tenth_of_a_second_is_no_flood() -> None:
    bench = Bench()
    who = bench.client()
    for number in range(1000):
        bench.ask(who, now_s=number * 0.1, op="ping")
    assert who[1].closed is None


def test_idle_clients_are_closed_at_the_limit_and_subscribing_prevents_it() -> None:
    bench = Bench()
    idle, busy, again = bench.client(), bench.client(), bench.client()
    bench.ask(busy, op="subscribe", channels=["status"])
    bench.ask(again, op="subscribe", channels=["status"])
    bench.hub.beat(29.9)
    assert idle[1].closed is None
    bench.ask(again, now_s=29.9, op="unsubscribe", channels=["status"])
    bench.hub.beat(30.0)
    assert idle[1].closed == (4002, "nothing subscribed")
    assert (busy[1].closed, again[1].closed) == (None, None)
    bench.hub.beat(59.9)
    assert again[1].closed == (4002, "nothing subscribed")


def test_heartbeats_come_every_ten_seconds_with_the_last_sequence_numbers() -> None:
    bench = Bench()
    who, other = bench.client(), bench.client(now_s=4.0)
    bench.ask(who, op="subscribe", channels=["signal.BTC", "status"])
    bench.tick()
    who[1].messages()
    bench.hub.beat(9.9)
    assert who[1].messages() == []
    bench.hub.beat(10.0)
    assert who[1].messages() == [
        {"v": 1, "type": "heartbeat", "epoch": EPOCH, "ts": TS, "seq": {"signal.BTC": 1, "status": 0}}
    ]
    assert other[1].messages() == []
    bench.hub.beat(14.1)
    assert [item["seq"] for item in other[1].messages()] == [{}]
    for now_s in (19.9, 20.0, 20.1, 29.9):
        bench.hub.beat(now_s)
    assert len(who[1].messages()) == 1


def test_a_heartbeat_late_by_minutes_is_not_repeated() -> None:
    bench = Bench()
    who = bench.client()
    bench.ask(who, op="subscribe", channels=["status"])
    for now_s in (300.0, 300.25, 300.5):
        bench.hub.beat(now_s)
    assert len(who[1].messages()) == 1


def test_the_heartbeat_of_a_slow_client_tells_what_it_was_sent() -> None:
    bench = Bench()
    who = bench.client()
    bench.ask(who, op="subscribe", channels=["signal.*"])
    bench.tick()
    who[1].messages()
    who[1].waiting = 140_000
    bench.tick(TS + 10_000, symbols=("BTC",))
    bench.tick(TS + 20_000, symbols=("BTC",))
    assert bench.wakes == 1
    bench.hub.beat(10.0)
    assert [item["seq"] for item in who[1].messages()] == [{"signal.BTC": 1, "signal.ETH": 1}]
    assert bench.hub.flush()
    who[1].take()
    assert not bench.hub.flush()
    first, last = who[1].messages()
    assert (first["seq"], first["skipped"], last["ts"]) == (3, 1, TS + 20_000)


def test_a_new_epoch_is_told_and_nothing_old_arrives() -> None:
    bench = Bench()
    who = bench.client()
    bench.ask(who, op="subscribe", channels=["signal.BTC"])
    who[1].waiting = 140_000
    bench.tick()
    bench.hub.restart("01JNEW")
    who[1].take()
    bench.hub.flush()
    bench.tick(TS + 10_000)
    heartbeat, tick_before, signal, tick = who[1].messages()
    assert (heartbeat["epoch"], heartbeat["seq"]) == ("01JNEW", {"signal.BTC": 0})
    assert (tick_before["type"], tick_before["ts"]) == ("tick", TS)
    assert (signal["epoch"], signal["seq"], signal["kind"]) == ("01JNEW", 1, "update")
    assert tick["ts"] == TS + 10_000
    fresh = bench.client()
    ack, _ = bench.ask(
        fresh, op="subscribe", channels=["signal.BTC"], resume={"epoch": EPOCH, "seq": {"signal.BTC": 1}}
    )
    assert ack["channels"]["signal.BTC"] == {"seq": 1, "recovered": False, "replayed": 0}


def test_a_slow_client_harms_nobody() -> None:
    bench = Bench(client_buffer_bytes=65_536)
    slow, healthy = bench.client(), bench.client()
    for who in (slow, healthy):
        bench.ask(who, op="subscribe", channels=["signal.*"])
        who[1].messages()
    slow[1].blocked = True
    for number in range(1, 101):
        bench.tick(TS + number * 10_000)
        if slow[1].closed is not None:
            bench.hub.disconnect(slow[0])
    assert slow[1].closed == (4003, "slow")
    assert slow[1].waiting < 65_536
    received = healthy[1].messages()
    assert [item["seq"] for item in received if item.get("channel") == "signal.BTC"] == list(range(1, 101))
    assert len(received) == 300
    assert not any("skipped" in item for item in received)


def test_shutdown_notifies_then_closes() -> None:
    bench = Bench()
    who = bench.client()
    bench.hub.shutdown(2500)
    assert who[1].messages() == [{"v": 1, "type": "notice", "code": "shutdown", "reconnect_after_ms": 2500}]
    assert who[1].closed == (1001, "restart")


def test_equal_subscriptions_share_one_encoded_write() -> None:
    bench = Bench()
    first, second = bench.client(), bench.client()
    for who in (first, second):
        bench.ask(who, op="subscribe", channels=["signal.*"])
        who[1].messages()
    bench.tick()
    assert first[1].frames[0] is second[1].frames[0]
    assert bench.sent == 6


@settings(max_examples=60)
@given(st.lists(st.lists(st.sampled_from(["BTC", "ETH"]), min_size=1, max_size=2, unique=True), max_size=20))
def test_sequences_rise_by_one(history: list[list[str]]) -> None:
    bench = Bench()
    who = bench.client()
    bench.ask(who, op="subscribe", channels=["signal.*"])
    for number, symbols in enumerate(history):
        bench.tick(TS + number * 10_000, symbols=tuple(symbols))
    seen: dict[str, list[int]] = {}
    for item in who[1].messages():
        if item["type"] == "signal":
            seen.setdefault(item["channel"], []).append(item["seq"])
    for channel, numbers in seen.items():
        assert numbers == list(range(1, 1 + sum(channel == f"signal.{s}" for symbols in history for s in symbols)))


class Reconnecting(RuleBasedStateMachine):
    """Clients that drop and resume at any moment: each sees every value once, or is told that it starts anew."""

    clients = Bundle("clients")

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(symbols=("BTC",), history_per_channel=3)
        self.published = 0
        self.online: list[dict[str, Any]] = []

    @rule(target=clients)
    def join(self) -> dict[str, Any]:
        state: dict[str, Any] = {"seq": None, "values": [], "who": None}
        self._connect(state)
        return state

    @rule(state=clients)
    def drop(self, state: dict[str, Any]) -> None:
        if state["who"] is not None:
            self._read(state)
            self.bench.hub.disconnect(state["who"][0])
            state["who"] = None

    @rule(state=clients)
    def resume(self, state: dict[str, Any]) -> None:
        if state["who"] is None:
            self._connect(state)

    @rule(state=clients)
    def stall(self, state: dict[str, Any]) -> None:
        if state["who"] is not None:
            state["who"][1].waiting = 200_000

    @rule()
    def relieve(self) -> None:
        for state in self.online:
            if state["who"] is not None:
                state["who"][1].take()
        self.bench.hub.flush()

    @rule(count=st.integers(1, 5))
    def publish(self, count: int) -> None:
        for _ in range(count):
            self.published += 1
            self.bench.tick(TS + self.published * 10_000, symbols=("BTC",))

    @invariant()
    def consistent(self) -> None:
        for state in self.online:
            if state["who"] is not None:
                self._read(state)

    def _connect(self, state: dict[str, Any]) -> None:
        state["who"] = self.bench.client()
        if state not in self.online:
            self.online.append(state)
        request: dict[str, Any] = {"op": "subscribe", "channels": ["signal.BTC"]}
        if state["seq"] is not None:
            request["resume"] = {"epoch": EPOCH, "seq": {"signal.BTC": state["seq"]}}
        ack, *rest = self.bench.ask(state["who"], **request)
        entry = ack["channels"]["signal.BTC"]
        gap = None if state["seq"] is None else self.published - state["seq"]
        assert entry["recovered"] == (gap is not None and gap <= 3)
        if entry["recovered"]:
            assert entry["replayed"] == gap
        for item in rest:
            self._take(state, item)

    def _read(self, state: dict[str, Any]) -> None:
        for item in state["who"][1].messages():
            self._take(state, item)

    def _take(self, state: dict[str, Any], item: dict[str, Any]) -> None:
        if item["type"] != "signal":
            return
        assert item["ts"] == TS + item["seq"] * 10_000
        if item["kind"] == "update":
            assert item["seq"] == (state["seq"] or 0) + 1 + item.get("skipped", 0)
        else:
            assert state["seq"] is None or item["seq"] >= state["seq"]
        state["seq"] = item["seq"]


Reconnecting.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestReconnecting = Reconnecting.TestCase
