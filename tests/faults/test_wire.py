"""Every simulated venue can be in the matrix, and what is said of its wire is what its server sends."""

from __future__ import annotations

import json
from functools import cache

import pytest

from tests.faults.catalogue import FAULTS, Script
from tests.faults.chaos import ChaosServer
from tests.faults.field import BASE_MS, SYMBOLS, Run, Spans, play, simulated
from tests.faults.wire import WIRES, changed, shifted, times

NOW_MS = 1_763_720_040_000


def test_every_simulated_venue_has_an_entry_and_the_catalogue_is_whole() -> None:
    assert [venue for venue in simulated() if venue not in WIRES] == []
    assert [fault.number for fault in FAULTS] == list(range(1, 25))
    assert len({fault.name for fault in FAULTS}) == 24


class Listening(Script):
    """No fault at all: remembers what goes out, and what is said in it."""

    def __init__(self, venue: str) -> None:
        super().__init__(venue, 1.0)
        self.kinds: dict[str, None] = {}
        self.topics: dict[str, None] = {}

    def outgoing(self, server: ChaosServer, topic: str, text: str) -> tuple[tuple[float, str], ...]:
        self._hear(topic, text)
        return ((0.0, text),)

    def answer(self, server: ChaosServer, path: str, text: str) -> str:
        self._hear(path, text)
        return text

    def _hear(self, topic: str, text: str) -> None:
        if self.data(topic):
            self.topics[topic] = None
            changed(text, self.wire, lambda kind, key, value: (self.kinds.setdefault(kind), (key, value))[1])


@cache
def listened() -> tuple[Run, dict[str, Listening]]:
    ears = {venue: Listening(venue) for venue in simulated()}
    return play(simulated(), ears, Spans(1, 45, 1, past_h=1)), ears


@pytest.mark.parametrize("venue", simulated())
def test_the_fields_and_topics_are_those_the_server_sends(venue: str) -> None:
    run, ears = listened()
    for stream in ("mark", "funding", "oi"):
        assert stream in ears[venue].kinds, f"no field of {venue} says {stream}"
        heard = {symbol for (of, name, what), symbol in _sent(run).items() if (of, what) == (venue, stream)}
        assert heard == set(SYMBOLS), f"{stream} of {venue} was sent for {heard}"


def _sent(run: Run) -> dict[tuple[str, str, str], str]:
    return {(v, name, stream): run.truth.symbol[v, name] for v, name, stream in run.sends}


# -- changing texts ------------------------------------------------------------------------------------------------


def test_a_change_reaches_every_named_field_and_nothing_else() -> None:
    text = (
        '{"topic":"tickers.A","data":[{"markPrice":"1.50","fundingRate":"","openInterest":7,"x":{"markPrice":null}}]}'
    )
    done = changed(text, WIRES["bybit"], lambda kind, key, value: (key, times(value, "100")))
    assert json.loads(done) == {
        "topic": "tickers.A",
        "data": [{"markPrice": "150.00", "fundingRate": "", "openInterest": 700, "x": {"markPrice": None}}],
    }
    assert changed("pong", WIRES["okx"], lambda kind, key, value: None) == "pong"
    bare = changed(text, WIRES["bybit"], lambda kind, key, value: None)
    assert json.loads(bare)["data"] == [{"fundingRate": "", "x": {"markPrice": None}}]


@pytest.mark.parametrize(
    ("text", "later"),
    [
        ('{"ts":1763720040123}', '{"ts":1763720340123}'),
        ('{"ts":"1763720040123"}', '{"ts":"1763720340123"}'),
        ('{"t":1763720040}', '{"t":1763720340}'),
        ('{"t":1763720040.123}', '{"t":1763720340.123}'),
        ('{"us":1763720040123456}', '{"us":1763720340123456}'),
        ('{"at":"2025-11-21T10:14:00.500Z"}', '{"at":"2025-11-21T10:19:00.500Z"}'),
        ('{"next":1763740800000}', '{"next":1763740800000}'),  # the next funding is not now
        ('{"oi":"71763720040.5","p":"86000.1"}', '{"oi":"71763720040.5","p":"86000.1"}'),
    ],
)
def test_times_near_now_are_shifted_in_every_unit(text: str, later: str) -> None:
    assert NOW_MS == BASE_MS
    assert shifted(text, NOW_MS, 300) == later
