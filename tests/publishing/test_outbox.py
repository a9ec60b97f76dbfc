"""The slow-client rule: direct below the soft limit, newest value above it, closed beyond the limit; order kept."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.publishing.message import Kind, Message
from service.publishing.outbox import Outbox, Update
from tests.publishing.factories import EPOCH
from tests.publishing.fakes import FakeOutlet, line

LIMIT = 20_000


def render(message: Message, kind: Kind, skipped: int) -> bytes:
    return line(message.text(kind, 0, skipped))


def message(channel: str, seq: int, type_: str = "signal") -> Message:
    return Message(type_, channel, seq, EPOCH, "live", orjson.dumps({"seq_again": seq, "pad": "x" * 300}))


def update(channel: str, seq: int) -> Update:
    made = message(channel, seq)
    return Update(render(made, "update", 0), made, event=channel.startswith("alert."))


def tick(ts: int) -> Update:
    return Update(line(orjson.dumps({"type": "tick", "ts": ts})), None)


class Bench:
    """An outbox with a fake outlet, and what it told about sent messages."""

    def __init__(self, limit: int = LIMIT, blocked: bool = False) -> None:
        self.outlet = FakeOutlet(blocked)
        self.sent = 0
        self.box = Outbox(self.outlet, limit, render, self._count)

    def _count(self, count: int) -> None:
        self.sent += count

    def publish(self, *batch: Update) -> None:
        self.box.updates(batch, b"".join(item.frame for item in batch))

    def fill(self) -> None:
        """Something else fills the buffer just above the soft limit."""
        self.outlet.waiting = LIMIT // 2 + 1

    def seen(self) -> list[tuple[Any, ...]]:
        return [
            (item["channel"], item["seq"], item["kind"], item.get("skipped"))
            if item["type"] != "tick"
            else ("tick", item["ts"])
            for item in self.outlet.messages()
        ]


def test_a_batch_is_one_write_while_the_client_keeps_up() -> None:
    bench = Bench()
    bench.publish(update("signal.BTC", 1), update("signal.ETH", 1), tick(10))
    assert len(bench.outlet.frames) == 1
    assert bench.sent == 3
    assert bench.seen() == [("signal.BTC", 1, "update", None), ("signal.ETH", 1, "update", None), ("tick", 10)]
    assert not bench.box.waiting


def test_above_the_soft_limit_only_the_newest_value_waits_and_says_how_many_were_skipped() -> None:
    bench = Bench()
    bench.fill()
    for seq in (1, 2, 3):
        bench.publish(update("signal.BTC", seq), tick(seq * 10))
    bench.publish(update("signal.ETH", 1), tick(40))
    assert bench.seen() == []
    assert bench.box.waiting
    bench.outlet.take()
    bench.box.flush()
    assert bench.seen() == [("signal.BTC", 3, "update", 2), ("signal.ETH", 1, "update", None), ("tick", 40)]
    assert not bench.box.waiting
    bench.publish(update("signal.BTC", 4))
    assert bench.seen() == [("signal.BTC", 4, "update", None)]


def test_the_tick_message_stays_behind_its_signals() -> None:
    bench = Bench()
    bench.publish(update("signal.BTC", 1))
    bench.fill()
    bench.publish(update("signal.ETH", 1), tick(10))
    bench.publish(update("signal.BTC", 2), update("signal.ETH", 2), tick(20))
    bench.outlet.take()
    bench.box.flush()
    assert [item[0] for item in bench.seen()] == ["signal.BTC", "signal.BTC", "signal.ETH", "tick"]


def test_nothing_overtakes_what_waits() -> None:
    bench = Bench()
    bench.fill()
    bench.publish(update("signal.BTC", 1))
    bench.outlet.take()  # the buffer is empty again, but flush() has not run
    bench.publish(update("signal.BTC", 2))
    bench.box.flush()
    assert bench.seen() == [("signal.BTC", 2, "update", 1)]


def test_alerts_are_never_passed_over() -> None:
    bench = Bench()
    bench.fill()
    for seq in (1, 2, 3):
        bench.publish(update("alert.BTC", seq))
    bench.outlet.take()
    bench.box.flush()
    assert bench.seen() == [("alert.BTC", seq, "update", None) for seq in (1, 2, 3)]


def test_a_snapshot_not_yet_written_becomes_the_newer_value() -> None:
    bench = Bench()
    bench.fill()
    bench.box.queue([message("signal.BTC", 5)], "snapshot")
    bench.publish(update("signal.BTC", 6))
    bench.publish(update("signal.BTC", 7))
    assert bench.box.behind() == {"signal.BTC": None}
    bench.outlet.take()
    bench.box.flush()
    assert bench.seen() == [("signal.BTC", 7, "snapshot", None)]


def test_resumed_messages_all_arrive_before_what_follows() -> None:
    bench = Bench()
    bench.fill()
    bench.box.queue([message("signal.BTC", seq) for seq in (5, 6, 7)], "update")
    bench.publish(update("signal.BTC", 8))
    bench.publish(update("signal.BTC", 9))
    assert bench.box.behind() == {"signal.BTC": 4}
    bench.outlet.take()
    bench.box.flush()
    assert [(item[1], item[3]) for item in bench.seen()] == [(5, None), (6, None), (7, None), (9, 1)]


def test_behind_tells_the_last_sequence_number_written() -> None:
    bench = Bench()
    bench.publish(update("signal.BTC", 7))
    assert bench.box.behind() == {}
    bench.fill()
    for seq in (8, 9, 10):
        bench.publish(update("signal.BTC", seq), update("alert.BTC", seq), tick(seq))
    assert bench.box.behind() == {"signal.BTC": 7, "alert.BTC": 7}


def test_forgotten_channels_do_not_arrive() -> None:
    bench = Bench()
    bench.fill()
    bench.publish(update("signal.BTC", 1), update("alert.BTC", 1), update("signal.ETH", 1), tick(10))
    bench.box.forget(("signal.BTC", "alert.BTC"))
    bench.outlet.take()
    bench.box.flush()
    assert bench.seen() == [("signal.ETH", 1, "update", None), ("tick", 10)]


def test_a_client_that_never_reads_is_closed_with_bounded_memory() -> None:
    bench = Bench(blocked=True)
    published = 0
    while bench.outlet.closed is None:
        published += 1
        bench.publish(update("signal.BTC", published), tick(published))
        assert bench.outlet.waiting <= LIMIT
        assert published < 1000
    assert bench.outlet.closed == (4003, "slow")
    assert not bench.box.waiting
    bench.publish(update("signal.BTC", published + 1))  # quietly nothing: FakeOutlet would object
    bench.box.reply(b"late\n")


def test_replies_count_against_the_limit_too() -> None:
    bench = Bench(blocked=True)
    for _ in range(3000):
        bench.box.reply(line(b'{"type":"pong"}'))
    assert bench.outlet.closed == (4003, "slow")
    assert bench.outlet.waiting <= LIMIT + 100


@pytest.mark.parametrize(("more", "closed"), [(-1, None), (0, None), (1, (4003, "slow"))])
def test_exactly_the_limit_may_wait_and_one_byte_more_is_slow(more: int, closed: tuple[int, str] | None) -> None:
    """Cause: off by one, a client is closed that kept to the limit it was promised, or memory goes beyond it."""
    reply = b'{"type":"pong"}'
    bench = Bench(blocked=True)
    bench.outlet.waiting = LIMIT - len(reply) + more
    bench.box.reply(reply)
    assert bench.outlet.waiting == LIMIT + more
    assert bench.outlet.closed == closed


@pytest.mark.parametrize(("more", "closed"), [(-1, None), (0, None), (1, (4003, "slow"))])
def test_bytes_passed_over_count_to_the_byte(more: int, closed: tuple[int, str] | None) -> None:
    """A value that a newer one replaced counts like one that waits in the buffer."""
    bench = Bench()
    first = update("signal.BTC", 1)
    bench.fill()
    bench.publish(first)
    bench.outlet.waiting = LIMIT - len(first.frame) + more
    bench.publish(update("signal.BTC", 2))
    assert bench.outlet.closed == closed


@pytest.mark.parametrize(("more", "closed"), [(0, None), (1, (4003, "slow"))])
def test_alerts_that_wait_count_to_the_byte(more: int, closed: tuple[int, str] | None) -> None:
    """Cause: each of them waits; uncounted, a client that never reads would cost memory without end."""
    bench = Bench()
    alerts = [update("alert.BTC", seq) for seq in range(1, 10)]
    bench.fill()
    bench.publish(*alerts[:8])
    assert bench.outlet.closed is None
    bench.outlet.waiting = LIMIT - sum(len(item.frame) for item in alerts) + more
    assert bench.outlet.waiting > LIMIT // 2
    bench.publish(alerts[8])
    assert bench.outlet.closed == closed


def test_an_empty_buffer_settles_what_was_passed_over() -> None:
    """Cause: who has read everything owes nothing; without it old debts would close a client that keeps up."""
    bench = Bench()
    bench.fill()
    for seq in range(1, 11):
        bench.publish(update("signal.BTC", seq))  # nine passed over, some 4 kB
    bench.outlet.take()
    bench.box.flush()
    assert bench.seen() == [("signal.BTC", 10, "update", 9)]
    bench.outlet.waiting = LIMIT
    bench.box.reply(b"")
    assert bench.outlet.closed is None


@pytest.mark.parametrize(("more", "writes"), [(-1, 1), (0, 1), (1, 2)])
def test_a_batch_that_just_fits_below_the_limit_is_one_write(more: int, writes: int) -> None:
    """One byte more, and only what is below half of the limit is written; the rest waits, and nobody is closed."""
    batch = [update("signal.BTC", 1), update("signal.ETH", 1), tick(10)]
    limit = sum(len(item.frame) for item in batch) - more
    bench = Bench(limit, blocked=True)
    bench.publish(*batch)
    assert len(bench.outlet.frames) == writes
    assert bench.box.waiting == (more > 0)
    assert bench.outlet.closed is None


@pytest.mark.parametrize(("more", "written"), [(0, 1), (1, 0)])
def test_half_of_the_limit_is_still_little(more: int, written: int) -> None:
    """For a batch in one, for each of a batch that is too large, and for what waits."""
    bench = Bench(blocked=True)
    bench.outlet.waiting = LIMIT // 2 + more
    bench.publish(update("signal.BTC", 1), tick(10))
    assert len(bench.outlet.frames) == written
    assert len(bench.outlet.messages()) == 2 * written

    bench = Bench()
    bench.outlet.waiting = LIMIT // 2 + more
    large = [update(f"signal.S{number}", 1) for number in range(LIMIT // 300)]
    bench.publish(*large)
    assert len(bench.outlet.messages()) == len(large) * written

    bench = Bench()
    bench.fill()
    bench.publish(update("signal.BTC", 1))
    bench.outlet.waiting = LIMIT // 2 + more
    bench.box.flush()
    assert len(bench.outlet.messages()) == written


def test_who_takes_most_of_the_stream_stays() -> None:
    bench = Bench(blocked=True)
    got: list[tuple[Any, ...]] = []
    size = len(update("signal.BTC", 1).frame)
    for seq in range(1, 2000):
        bench.publish(update("signal.BTC", seq))
        bench.outlet.take(int(size * 0.6))
        bench.box.flush()
        got += bench.seen()
    assert bench.outlet.closed is None
    assert len(got) > 1000
    for before, after in pairwise(got):
        assert after[1] == before[1] + 1 + (after[3] or 0)


def test_who_takes_a_fifth_of_it_is_closed() -> None:
    bench = Bench(blocked=True)
    size = len(update("signal.BTC", 1).frame)
    for seq in range(1, 2000):
        bench.publish(update("signal.BTC", seq))
        if bench.outlet.closed is not None:
            break
        bench.outlet.take(size // 5)
        bench.box.flush()
    assert bench.outlet.closed == (4003, "slow")


def test_one_tick_of_many_symbols_does_not_close_a_client_with_an_empty_buffer() -> None:
    bench = Bench(blocked=True)
    batch = [update(f"signal.S{n}", 1) for n in range(200)]  # some 90 kB against a limit of 20 kB
    assert sum(len(item.frame) for item in batch) > 4 * LIMIT
    bench.publish(*batch)
    got = bench.seen()
    while bench.box.waiting:
        bench.outlet.take()
        bench.box.flush()
        got += bench.seen()
    assert bench.outlet.closed is None
    assert [item[0] for item in got] == [f"signal.S{n}" for n in range(200)]


actions = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.lists(st.sampled_from(["signal.A", "signal.B", "alert.A"]), max_size=4)),
        st.tuples(st.just("take"), st.integers(0, 3000)),
        st.tuples(st.just("flush"), st.just(0)),
    ),
    max_size=80,
)


@given(actions, st.integers(2_000, 8_000))
def test_whatever_happens_a_client_can_account_for_every_sequence_number(
    steps: Sequence[tuple[str, Any]], limit: int
) -> None:
    bench = Bench(limit, blocked=True)
    published: dict[str, int] = {}
    last: dict[str, int] = {}

    def check() -> None:
        for item in bench.outlet.messages():
            channel = item["channel"]
            assert item["seq"] == last.get(channel, 0) + 1 + item.get("skipped", 0)
            assert "skipped" not in item or channel.startswith("signal.")
            last[channel] = item["seq"]

    for name, value in steps:
        if name == "publish":
            batch = []
            for channel in value:
                published[channel] = published.get(channel, 0) + 1
                batch.append(update(channel, published[channel]))
            bench.publish(*batch)
        elif name == "take":
            bench.outlet.take(value)
        else:
            bench.box.flush()
        check()
    if bench.outlet.closed is None:
        while bench.box.waiting:
            bench.outlet.take()
            bench.box.flush()
        check()
        assert last == published
    else:
        assert bench.outlet.closed == (4003, "slow")
