"""The session table, every pair of it, and what a session does at each deadline. No loop, no socket, no clock."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from service.errors import OurBug
from service.model import Candidate, Flow
from service.venues.contract import ConnectionPlan, KeepAlive, Limits
from service.venues.transport.session import REASONS, SERVING, TABLE, Happening, Session, State
from service.venues.transport.silence_policy import Key, SilencePolicy
from tests.fakes.venue_server import FUNDING_AGE_S, LIMITS, MARK_AGE_S, RULES, decode

BTC: Key = ("BTC", "mark")
ETH: Key = ("ETH", "mark")
BTC_OI: Key = ("BTC", "oi")
PLAN = ConnectionPlan("public", "ws://toy", ("sub BTC", "sub ETH"), (BTC, ETH), acks=2)
CAP_MS, HEALTHY_MS, FIRST_MS = 60_000, 60_000, 30_000
FAST = replace(LIMITS, sends_per_s=1000.0)


def session(
    plan: ConnectionPlan = PLAN, limits: Limits = FAST, patience: SilencePolicy | None = None, jitter: float = 0.0
) -> Session:
    return Session(plan, limits, RULES, patience or SilencePolicy(CAP_MS), HEALTHY_MS, jitter)


def opened(made: Session, now_ms: int = 0) -> list[str]:
    """Open it and send everything; leaves it at the time of the last text."""
    made.attempt()
    made.opened(now_ms)
    return sent(made, now_ms)


def sent(made: Session, now_ms: int) -> list[str]:
    texts = []
    for at in range(now_ms, now_ms + 50):
        while (text := made.poll(at)) is not None:
            texts.append(text)
    return texts


def hear(made: Session, now_ms: int, *lines: str) -> bool:
    return made.received(now_ms, [item for line in lines for item in decode(line, now_ms)])


def run_to(made: Session, now_ms: int, end_ms: int, lines: Sequence[str], every_ms: int = 1000) -> None:
    """Hear ``lines`` regularly and poll at every deadline until ``end_ms``."""
    for at in range(now_ms, end_ms + 1, every_ms):
        hear(made, at, *lines)
        made.poll(at)


# -- the table -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("happening", list(Happening))
def test_every_pair(state: State, happening: Happening) -> None:
    """A pair of the table leads where it says; any other raises and leaves the state as it was."""
    made = session()
    made.state = state
    expected = TABLE.get((state, happening))
    if expected is None:
        with pytest.raises(OurBug, match=f"{happening.value} in state {state.value}"):
            made._go(happening)
        assert made.state is state
    else:
        made._go(happening)
        assert made.state is expected


def test_the_table_has_a_way_out_of_every_state_and_none_out_of_closed() -> None:
    assert not [pair for pair in TABLE if pair[0] is State.CLOSED]
    for state in State:
        if state is not State.CLOSED:
            reached = {state}
            for _ in State:
                reached |= {to for (at, _), to in TABLE.items() if at in reached}
            assert State.CLOSED in reached
    for state in SERVING:
        assert {(state, Happening.STOP), (state, Happening.LOST)} <= TABLE.keys()


def test_reasons_are_a_closed_list() -> None:
    assert len(set(REASONS)) == len(REASONS)


# -- opening ---------------------------------------------------------------------------------------------------


def test_texts_are_paced() -> None:
    """Ten a second: in no second more than ten, and all in order."""
    plan = replace(PLAN, frames=tuple(f"sub {number}" for number in range(25)))
    made = session(plan, LIMITS)
    made.attempt()
    made.opened(500)
    times, texts, now = [], [], 500
    while len(texts) < 25:
        text = made.poll(now)
        if text is None:
            deadline = made.deadline_ms()
            assert deadline is not None
            assert deadline > now
            now = deadline
        else:
            times.append(now)
            texts.append(text)
    assert texts == list(plan.frames)
    assert times == [500 + 100 * number for number in range(25)]


def test_live_when_every_stream_has_spoken() -> None:
    made = session()
    assert opened(made) == ["sub BTC", "sub ETH"]
    hear(made, 100, "mark BTC 1.5")
    assert made.state is State.SUBSCRIBING
    assert hear(made, 200, "mark ETH 2.5") is True
    assert made.state is State.LIVE  # acknowledged or not: data is what counts
    assert made.live_since_ms == 200
    assert made.live(200) == [BTC, ETH]


def test_an_index_alone_does_not_vouch_for_the_mark_a_confirm_does() -> None:
    made = session()
    opened(made)
    hear(made, 100, "mark BTC -", "mark ETH 2.5", "mark XRP 0.5")
    assert made.state is State.SUBSCRIBING
    hear(made, 200, "confirm BTC mark oi")
    assert made.state is State.LIVE


def test_a_plan_that_expects_nothing_lives_by_its_acknowledgements() -> None:
    made = session(replace(PLAN, expects=()))
    opened(made)
    hear(made, 10, "ack")
    assert made.state is State.SUBSCRIBING
    assert hear(made, 20, "ack") is True
    assert made.state is State.LIVE
    silent = session(replace(PLAN, expects=()))
    opened(silent)
    silent.poll(10_001)
    assert (silent.state, silent.reason) == (State.CLOSING, "no_ack")


def test_never_acknowledged_and_nothing_heard() -> None:
    made = session()
    opened(made)
    hear(made, 50, "ack")
    assert made.deadline_ms() == 10_001
    assert made.poll(10_000) is None
    assert made.state is State.SUBSCRIBING
    made.poll(10_001)
    assert (made.state, made.reason) == (State.CLOSING, "no_ack")
    assert made.deadline_ms() is None


def test_missing_acknowledgements_do_not_matter_while_streams_speak() -> None:
    made = session()
    opened(made)
    run_to(made, 100, 50_000, ["mark BTC 1.5", "mark ETH 2.5"])
    assert made.state is State.LIVE


def test_refused_and_nothing_heard() -> None:
    made = session()
    opened(made)
    assert hear(made, 100, "refused BTC") is True
    assert made.deadline_ms() == 5_100
    made.poll(5_099)
    assert made.state is State.SUBSCRIBING
    made.poll(5_100)
    assert (made.state, made.reason) == (State.CLOSING, "refused")


def test_a_second_refusal_gives_no_more_time() -> None:
    """Cause: counted from the latest refusal, a venue that refuses one by one would keep a dead socket open."""
    made = session()
    opened(made)
    hear(made, 100, "refused BTC")
    hear(made, 4_000, "refused ETH")
    assert made.deadline_ms() == 5_100
    made.poll(5_100)
    assert (made.state, made.reason) == (State.CLOSING, "refused")


def test_one_refused_of_two_keeps_serving_the_other() -> None:
    made = session()
    opened(made)
    hear(made, 100, "refused ETH")
    run_to(made, 200, FIRST_MS, ["mark BTC 1.5"])
    assert made.state is State.SUBSCRIBING
    run_to(made, FIRST_MS + 1, FIRST_MS + 1, ["mark BTC 1.5"])
    assert (made.state, made.reason) == (State.RENEWING, "refused")


@pytest.mark.parametrize("acks", [0, 2])
def test_first_message_deadline_with_nothing_heard(acks: int) -> None:
    made = session(replace(PLAN, acks=acks))
    opened(made)
    hear(made, 100, *["ack"] * acks)
    assert made.deadline_ms() == FIRST_MS + 1
    made.poll(FIRST_MS)
    assert made.state is State.SUBSCRIBING
    made.poll(FIRST_MS + 1)
    assert (made.state, made.reason) == (State.CLOSING, "first_message")


# -- keep-alive ------------------------------------------------------------------------------------------------


def test_keepalive_and_its_answer() -> None:
    plan = replace(PLAN, frames=(), acks=0, expects=(("BTC", "funding"),), keepalive=KeepAlive("ping", 20.0))
    made = session(plan)
    opened(made)
    hear(made, 10, "funding BTC 0.0001")
    assert made.poll(19_999) is None
    assert made.poll(20_000) == "ping"
    hear(made, 20_500, "pong")
    made.poll(30_000)
    assert made.state is State.LIVE
    assert made.poll(40_000) == "ping"
    made.poll(49_999)
    assert made.state in SERVING
    made.poll(50_000)
    assert (made.state, made.reason) == (State.CLOSING, "no_pong")


def test_keepalive_only_when_idle() -> None:
    made = session(replace(PLAN, frames=(), acks=0, keepalive=KeepAlive("ping", 20.0, only_when_idle=True)))
    opened(made)
    hear(made, 15_000, "mark BTC 1.5", "mark ETH 2.5")
    assert made.poll(20_000) is None
    assert made.poll(34_999) is None
    hear(made, 34_999, "mark BTC 1.5", "mark ETH 2.5")
    assert made.poll(54_998) is None
    assert made.poll(54_999) == "ping"


@pytest.mark.parametrize("only_when_idle", [True, False])
def test_unanswered_keepalives_keep_their_cadence_and_buy_no_time(only_when_idle: bool) -> None:
    """Causes: counted from the last frame alone, a keep-alive would be sent at every look until the answer comes; and
    with each one the time for the answer would begin anew, so that a dead socket that is pinged often never ends."""
    keepalive = KeepAlive("ping", 4.0, only_when_idle=only_when_idle)
    made = session(replace(PLAN, frames=(), acks=0, expects=(("BTC", "funding"),), keepalive=keepalive))
    opened(made)
    hear(made, 1_000, "funding BTC 0.0001")
    pings = [at for at in range(1_000, 20_001, 500) if made.poll(at) == "ping"]
    first_ms = 5_000 if only_when_idle else 4_000
    assert pings == [first_ms, first_ms + 4_000, first_ms + 8_000]
    assert (made.state, made.reason) == (State.CLOSING, "no_pong")

    made = session(replace(PLAN, frames=(), acks=0, expects=(("BTC", "funding"),), keepalive=keepalive))
    opened(made)
    hear(made, 1_000, "funding BTC 0.0001")
    for at in range(1_000, first_ms + 10_000):
        made.poll(at)
    assert made.state is State.LIVE
    made.poll(first_ms + 10_000)
    assert (made.state, made.reason) == (State.CLOSING, "no_pong")


def test_keepalives_go_between_paced_subscriptions() -> None:
    plan = replace(PLAN, frames=tuple("abcdefgh"), keepalive=KeepAlive("ping", 3.0))
    made = session(plan, replace(LIMITS, sends_per_s=1.0))
    made.attempt()
    made.opened(0)
    texts = [made.poll(at * 1000) for at in range(8)]
    assert texts == ["a", "b", "c", "ping", "d", "e", "ping", "f"]


def test_a_venues_ping_is_answered_first_once_and_at_the_pace_of_all_texts() -> None:
    """Cause: a venue that pings by messages closes the socket of a client that does not answer. Two pings need one
    answer: each is a message that counts against the venue's limit."""
    made = session(replace(PLAN, frames=tuple("abc")), replace(LIMITS, sends_per_s=1.0))
    made.attempt()
    made.opened(0)
    assert made.poll(0) == "a"
    assert hear(made, 100, "ping yes", "ping yes")  # True: there is something to do
    assert made.deadline_ms() == 1_000
    assert made.poll(999) is None
    assert [made.poll(at * 1000) for at in range(1, 5)] == ["yes", "b", "c", None]


def test_a_ping_is_no_word_of_any_stream() -> None:
    made = session(replace(PLAN, frames=(), acks=0))
    opened(made)
    for at in range(0, FIRST_MS + 1, 1000):
        hear(made, at, "ping yes")
        made.poll(at)
    assert (made.state, made.reason) == (State.CLOSING, "first_message")


# -- silence ---------------------------------------------------------------------------------------------------


def test_one_silent_stream_asks_for_a_successor_at_twice_its_age() -> None:
    made = session()
    opened(made)
    run_to(made, 0, 40_000, ["mark BTC 1.5", "mark ETH 2.5"])
    run_to(made, 41_000, 60_000, ["mark BTC 1.5"])
    assert made.state is State.LIVE  # exactly 2 x max_age after the last
    assert made.deadline_ms() == 60_001
    made.poll(60_001)
    assert (made.state, made.reason) == (State.RENEWING, "stream_silent")
    assert made.live(60_001) == [BTC]


def test_all_silent_closes_at_once() -> None:
    made = session()
    opened(made)
    run_to(made, 0, 40_000, ["mark BTC 1.5", "mark ETH 2.5"])
    made.poll(60_000)
    assert made.state is State.LIVE
    made.poll(60_001)
    assert (made.state, made.reason) == (State.CLOSING, "stream_silent")


def test_confirms_keep_a_stream_alive() -> None:
    made = session()
    opened(made)
    run_to(made, 0, 5_000, ["mark BTC 1.5", "mark ETH 2.5"])
    run_to(made, 6_000, 300_000, ["mark BTC 1.5", "confirm ETH mark"])
    assert made.state is State.LIVE


def test_each_stream_has_its_own_age() -> None:
    """Funding may be silent for minutes where the mark may not."""
    funding: Key = ("BTC", "funding")
    made = session(replace(PLAN, expects=(BTC, funding), acks=0))
    opened(made)
    hear(made, 10, "funding BTC 0.0001")
    run_to(made, 1000, 2 * FUNDING_AGE_S * 1000, ["mark BTC 1.5"])
    assert made.state is State.LIVE
    run_to(made, 241_000, 241_000, ["mark BTC 1.5"])
    assert made.state is State.RENEWING


def test_a_stream_that_speaks_again_ends_the_wish_for_a_successor() -> None:
    made = session()
    opened(made)
    run_to(made, 0, 40_000, ["mark BTC 1.5", "mark ETH 2.5"])
    run_to(made, 41_000, 61_000, ["mark BTC 1.5"])
    assert made.state is State.RENEWING
    hear(made, 62_000, "mark ETH 2.5")
    made.poll(62_000)
    assert (made.state, made.reason) == (State.LIVE, None)


def lone_failures(patience: SilencePolicy, tries: int) -> list[int]:
    """Times at which successors are wanted for an ETH that never speaks, each opened when the last wish came."""
    wishes, now = [], 0
    made = session(patience=patience)
    opened(made, now)
    while len(wishes) < tries:
        now += 1000
        hear(made, now, "mark BTC 1.5")
        made.poll(now)
        if made.state is State.RENEWING:
            wishes.append(now)
            successor = session(patience=patience)
            opened(successor, now)
            hear(successor, now, "mark BTC 1.5")
            assert successor.covers(made, now)
            made = successor
    return wishes


def test_a_delisted_instrument_is_given_up_after_one_more_connection() -> None:
    patience = SilencePolicy(CAP_MS)
    first, second, third = lone_failures(patience, 3)
    assert first == 31_000  # its first connection
    assert patience.given_up(ETH)
    assert second - first >= CAP_MS
    assert third - second >= CAP_MS


def test_its_later_tries_grow_rare() -> None:
    wishes = lone_failures(SilencePolicy(CAP_MS), 14)
    gaps = [b - a for a, b in itertools.pairwise(wishes)]
    assert min(gaps) >= CAP_MS
    assert gaps[-1] >= 3_600_000


def test_given_up_streams_do_not_hold_up_live_but_are_named() -> None:
    patience = SilencePolicy(CAP_MS)
    for _ in range(2):
        patience.failed(ETH, 0, 30_000, like_are_well=True)
    patience.renewed(30_000)
    made = session(patience=patience)
    opened(made, 31_000)
    hear(made, 31_100, "mark BTC 1.5")
    assert made.state is State.LIVE
    assert made.given_up == (ETH,)
    run_to(made, 32_000, 62_000, ["mark BTC 1.5"])
    assert made.given_up == (ETH,)
    hear(made, 62_500, "mark ETH 2.5")
    assert made.given_up == ()
    run_to(made, 63_000, 123_000, ["mark BTC 1.5", "mark ETH 2.5"])
    assert patience.failures(ETH) == 0  # a healthy while of speaking


@pytest.mark.parametrize(("spoke_ms", "failures"), [(HEALTHY_MS - 1, 1), (HEALTHY_MS, 0)])
def test_a_stream_is_forgiven_at_exactly_the_healthy_while(spoke_ms: int, failures: int) -> None:
    """Cause: forgiven sooner, a stream that dies again and again costs a connection each time."""
    patience = SilencePolicy(CAP_MS)
    patience.failed(ETH, 0, 0, like_are_well=True)
    made = session(patience=patience)
    opened(made)
    run_to(made, 0, spoke_ms, ["mark BTC 1.5", "mark ETH 2.5"], every_ms=1)
    assert patience.failures(ETH) == failures


def test_a_stream_given_up_on_here_no_longer_holds_up_live() -> None:
    """Cause: the socket that found out would never be called live, though it serves all that can be served."""
    patience = SilencePolicy(CAP_MS)
    patience.failed(ETH, 0, 0, like_are_well=True)
    made = session(patience=patience)
    opened(made)
    run_to(made, 100, FIRST_MS, ["mark BTC 1.5"])
    assert made.state is State.SUBSCRIBING
    run_to(made, FIRST_MS + 1, FIRST_MS + 1, ["mark BTC 1.5"])
    assert made.given_up == (ETH,)
    assert made.state is State.LIVE


def test_a_stream_that_only_answers_subscriptions_counts_as_failing() -> None:
    """Cause: a snapshot on subscribing, then silence, would renew the connection every 2 x max_age for ever."""
    patience = SilencePolicy(CAP_MS)
    made, now, wishes = session(patience=patience), 0, []
    opened(made)
    hear(made, 0, "mark ETH 2.5")
    while now < 20 * 60_000:
        now += 1000
        hear(made, now, "mark BTC 1.5")
        made.poll(now)
        if made.state is State.RENEWING:
            wishes.append(now)
            made = session(patience=patience)
            opened(made, now)
            hear(made, now, "mark ETH 2.5", "mark BTC 1.5")
    assert 3 <= len(wishes) <= 12
    assert all(b - a >= CAP_MS for a, b in itertools.pairwise(wishes))


# -- make before break -----------------------------------------------------------------------------------------


def test_a_notice_asks_for_a_successor_and_keeps_serving() -> None:
    made = session()
    opened(made)
    hear(made, 100, "mark BTC 1.5", "mark ETH 2.5")
    assert hear(made, 200, "closing") is True
    assert (made.state, made.reason) == (State.RENEWING, "closing_notice")
    run_to(made, 300, 100_000, ["mark BTC 1.5", "mark ETH 2.5"])
    assert made.state is State.RENEWING


@pytest.mark.parametrize(("jitter", "share"), [(0.0, 23 / 24), (1.0, 23 / 24 - 1 / 48)])
def test_planned_renewal_before_the_lifetime(jitter: float, share: float) -> None:
    made = session(limits=replace(FAST, lifetime_s=86_400.0), jitter=jitter)
    opened(made, 1000)
    due = 1000 + round(86_400_000 * share)
    for at in range(1000, due, 5000):
        hear(made, at, "mark BTC 1.5", "mark ETH 2.5")
        made.poll(at)
    hear(made, due - 1, "mark BTC 1.5", "mark ETH 2.5")
    assert made.deadline_ms() == due
    made.poll(due - 1)
    assert made.state is State.LIVE
    made.poll(due)
    assert (made.state, made.reason) == (State.RENEWING, "lifetime")


def test_a_successor_covers_when_it_has_heard_what_the_older_still_hears() -> None:
    old, new = session(), session()
    opened(old)
    run_to(old, 0, 1000, ["mark BTC 1.5", "mark ETH 2.5"])
    hear(old, 1000, "closing")
    assert not new.covers(old, 1000)
    opened(new, 1000)
    assert not new.covers(old, 1500)
    hear(new, 1500, "mark BTC 1.5")
    assert not new.covers(old, 1500)
    hear(new, 1600, "mark ETH 2.5")
    assert new.covers(old, 1600)
    new.stop("stopped")
    assert not new.covers(old, 1600)


def test_a_worse_successor_replaces_only_what_the_venue_will_cut() -> None:
    for notice, replaces in (("closing", True), (None, False)):
        old, new = session(), session()
        opened(old)
        opened(new)
        for at in range(0, 31_000, 1000):
            hear(old, at, "mark BTC 1.5", "mark ETH 2.5")
            hear(new, at, "mark BTC 1.5")
        if notice is not None:
            hear(old, 31_000, notice)
        assert not new.covers(old, 29_000)
        assert new.covers(old, 31_000) is replaces


def test_a_successor_that_serves_as_many_others_replaces_for_good() -> None:
    for heard, replaces in ((["mark ETH 2.5"], True), ([], False)):
        old, new = session(), session()
        opened(old)
        opened(new)
        for at in range(0, 31_000, 1000):
            hear(old, at, "mark BTC 1.5")
            hear(new, at, *heard)
        assert not new.covers(old, FIRST_MS)  # it may still hear the other one
        assert new.covers(old, 31_000) is replaces


# -- ending ----------------------------------------------------------------------------------------------------


# -- plans that expect nothing: extra streams, whose silence is normal -----------------------------------------------

EXTRA = ConnectionPlan("extra-1", "ws://toy", ("sub trades", "sub liquidations"), (), acks=2, quiet_s=90.0)
TRADE = Flow("toy", "BTC", "BTC", 1.0, 0.0, None, 0)


def test_a_quiet_extra_socket_lives_on_pongs_and_dies_without_any_frame() -> None:
    made = session(EXTRA)
    opened(made)
    hear(made, 100, "ack", "ack")
    assert made.state is State.LIVE
    for at in range(1000, 600_001, 1000):
        if at % 60_000 == 0:
            hear(made, at, "pong")
        made.poll(at)
    assert made.state is State.LIVE
    assert made.deadline_ms() == 690_000
    made.poll(689_999)
    assert made.state is State.LIVE
    made.poll(690_000)
    assert (made.state, made.reason) == (State.CLOSING, "stream_silent")


@pytest.mark.parametrize("served", ["ack", "data"])
def test_a_refused_extra_topic_does_not_sink_the_others(served: str) -> None:
    """Cause: with no stream expected nothing was ever heard, so one refusal closed the socket again and again."""
    made = session(EXTRA)
    opened(made)
    if served == "ack":
        hear(made, 100, "ack")
    else:
        made.received(100, [TRADE])
    hear(made, 200, "refused")
    for at in range(1000, 80_001, 1000):
        made.poll(at)
    assert made.state is State.LIVE


@pytest.mark.parametrize(("lines", "reason"), [(("refused",), "refused"), ((), "no_ack")])
def test_an_extra_socket_on_which_nothing_was_accepted_is_closed(lines: tuple[str, ...], reason: str) -> None:
    made = session(EXTRA)
    opened(made)
    hear(made, 100, *lines)
    made.poll(20_000)
    assert (made.state, made.reason) == (State.CLOSING, reason)


# -- another plan ------------------------------------------------------------------------------------------------


def test_a_successor_with_another_plan_need_not_serve_what_is_planned_no_more() -> None:
    """Cause: a delisted instrument, still heard on the old socket, kept the successor from ever covering it."""
    old = session()
    opened(old)
    hear(old, 100, "mark BTC 1.5", "mark ETH 2.5")
    new = session(replace(PLAN, expects=(ETH, ("SOL", "mark"))))
    opened(new, 1000)
    hear(new, 1100, "mark SOL 1.5")
    assert not new.covers(old, 1200)
    hear(new, 1300, "mark ETH 2.5")
    assert new.covers(old, 1400)


def test_our_own_reason_survives_the_loss() -> None:
    made = session()
    opened(made)
    made.stop("lifetime")
    made.stop("stopped")
    made.lost("closed")
    assert (made.state, made.reason) == (State.CLOSED, "lifetime")
    assert made.poll(1) is None
    assert made.received(1, decode("mark BTC 1.5")) is False
    with pytest.raises(OurBug):
        made.lost("closed")
    assert made.reason == "lifetime"


def test_a_loss_gives_its_reason() -> None:
    for before in (lambda made: made.attempt(), opened):
        made = session()
        before(made)
        made.lost("reset")
        assert (made.state, made.reason) == (State.CLOSED, "reset")


def test_random_histories_never_spin_and_never_break() -> None:
    """700 random lives: after poll() returned None the deadline lies ahead; only legal states and known reasons."""
    for seed in range(700):
        rng = random.Random(seed)
        limits = replace(LIMITS, sends_per_s=rng.choice([1.0, 10.0, 33.3]), lifetime_s=rng.choice([None, 240.0]))
        keepalive = rng.choice([None, KeepAlive("ping", 20.0), KeepAlive("ping", 15.0, only_when_idle=True)])
        plan = replace(PLAN, expects=rng.choice([(), (BTC,), (BTC, ETH), (BTC, ETH, BTC_OI)]), keepalive=keepalive)
        patience = SilencePolicy(CAP_MS)
        now = rng.randrange(0, 1_000_000)
        for _ in range(3):
            made = session(plan, limits, patience, rng.random())
            made.attempt()
            made.opened(now)
            lines = ["mark BTC 1.5", "mark ETH 2.5", "oi BTC 3.5", "ack", "refused", "closing", "pong", "info", "?"]
            weights = [9, rng.choice([0, 9]), rng.choice([0, 3]), 1, rng.choice([0, 1]), rng.choice([0, 1]), 1, 1, 1]
            pace = rng.choice([200, 3000, 15_000])
            for _ in range(60):
                while made.poll(now) is not None:
                    pass
                if made.state not in SERVING:
                    break
                deadline = made.deadline_ms()
                assert deadline is None or deadline > now, f"seed {seed}"
                heard = now + rng.randrange(1, pace)
                if deadline is not None and deadline <= heard:
                    now = deadline
                else:
                    now = heard
                    hear(made, now, *rng.choices(lines, weights))
            if made.state in SERVING:
                made.stop("stopped")
            assert made.reason in REASONS, f"seed {seed}"
            made.lost("closed")


def test_mark_age_constant() -> None:
    """The tests above speak of 20 s: two times the mark's age."""
    assert 2 * MARK_AGE_S == 20


# -- a source that is not proven -----------------------------------------------------------------------------------

QUIET = replace(
    PLAN, expects=(), acks=0, anew={"BTC": ("unsub BTC", "sub BTC"), "ETH": ("unsub ETH", "sub ETH")}, anew_s=60.0
)


def said(made: Session, now_ms: int, name: str) -> None:
    made.received(now_ms, [Candidate("toy", name, name, (), False, 1.0, 1.0, 1.0, 0, None, now_ms)])


def test_what_has_been_silent_for_longest_is_asked_for_again_never_in_a_burst() -> None:
    """Cause: a ticker that speaks on trades alone grows old on a healthy socket; a hundred at once would be refused."""
    made = session(QUIET)
    opened(made)
    said(made, 1_000, "ETH")
    said(made, 5_000, "BTC")
    assert made.deadline_ms() == 61_000
    assert sent(made, 60_950) == []
    assert sent(made, 61_000) == ["unsub ETH", "sub ETH"]
    assert made.deadline_ms() == 66_000  # BTC is due, but not at once
    assert sent(made, 66_000) == ["unsub BTC", "sub BTC"]
    said(made, 70_000, "ETH")
    assert made.deadline_ms() == 126_000  # once a minute


def test_a_socket_that_acknowledges_and_serves_nothing_is_closed() -> None:
    made = session(QUIET)
    opened(made)
    hear(made, 10, "ack", "ack")
    at = 10
    while made.state in SERVING and at < 1_000_000:
        at = made.deadline_ms() or at
        hear(made, at, "pong")
        sent(made, at)
    assert (made.reason, at) == ("first_message", 180_001)


def test_a_plan_may_be_paced_more_slowly_than_its_venue() -> None:
    made = session(replace(PLAN, sends_per_s=5.0))
    made.attempt()
    made.opened(0)
    assert made.poll(0) == "sub BTC"
    assert made.poll(199) is None
    assert made.poll(200) == "sub ETH"


def test_no_deadline_lies_in_the_past_while_a_text_must_wait_for_its_turn() -> None:
    """Cause: an instrument is due, but a ping has just gone out. A deadline that nothing can be done about makes the
    link ask again and again without a pause."""
    made = session(replace(QUIET, sends_per_s=5.0, keepalive=KeepAlive("ping", 60.1)))
    made.attempt()
    made.opened(0)
    for at in (0, 200):
        assert made.poll(at) is not None
    at = 200
    while at < 400_000 and made.state in SERVING:
        hear(made, at, "pong")
        due = made.deadline_ms()
        assert due is not None
        at = max(at, due)
        before = (made.state, made.poll(at))
        later = made.deadline_ms()
        assert before[1] is not None or made.state not in SERVING or later is None or later > at
