"""The committed frames against the recorded ones: none is a copy, each has the shape of its kind of message."""

from __future__ import annotations

import inspect
import json
import re
import sys
from typing import Any

import pytest

from service.venues import VENUES
from service.venues.contract import Catalog
from tests.venues.committed import all_steps
from tests.venues.conformance import CAPTURES, files_of, needs_captures
from tests.venues.shapes import fields_of, frames_in, kind_of, objects_in, scalars_in

pytestmark = needs_captures

Shapes = dict[str, dict[str, set[str]]]  # kind of message -> field -> kinds of its values

# Messages without a value of their own: there is one way to write them.
FIXED_WORDING: tuple[dict[str, Any], ...] = (
    {"event": "info", "version": 1},
    {"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}},
    {"channel": "pong"},
)
VALUES_THAT_SAY_IT = 4  # an object of so many values is no copy by chance
FIXED_NUMBERS = (  # that a venue's documents name
    "2000-01-01T08:00:00.000Z",  # BitMEX's interval of 8 h
    "32503708800000",  # Deribit's expiry of a perpetual
    "-32602", "60012", "64008",  # codes of errors and notices
    "1774598400000",  # 27 March 2026, 8:00 UTC: a day of delivery
)  # fmt: skip
SIGNIFICANT_DIGITS = 5

# Kinds of rows that hold dozens of trading rules: of these only what the decoder reads must be there.
TERMS = (
    "body with symbols", "body with ctVal", "body with contractType", "body with fundInterval",
    "body with quanto_multiplier", "body with settlement_period", "body with instruments", "body with typ",
    "table=instrument action=partial", "body with order_book_details",
)  # fmt: skip
LEFT_OUT = {  # (venue, field) -> why no committed frame has it
    ("gate", ".quanto_multiplier"): "REST tickers of 2026 have it, and the decoder takes such rows for metadata",
    ("gate", ".requestId"): "of a client's own test",
    ("bitmex", ".types"): "of a partial: what its rows show anyway",
    ("bitmex", ".foreignKeys"): "partials until 2022",
    ("bitmex", ".attributes"): "partials until 2022",
    ("hyperliquid", ".note"): "of the recording",
    ("hyperliquid", ".universe[].growthMode"): "other dexes",
    ("hyperliquid", ".universe[].lastGrowthModeChangeTime"): "other dexes",
    ("dydx", ".contents.markets.*.baseAsset"): "early networks",
    ("dydx", ".contents.markets.*.quoteAsset"): "early networks",
    ("dydx", ".contents.markets.*.basePositionSize"): "early networks",
    ("dydx", ".contents.markets.*.basePositionNotional"): "early networks",
    ("dydx", ".contents.markets.*.maxPositionSize"): "early networks",
    ("dydx", ".contents.markets.*.incrementalPositionSize"): "early networks",
    ("dydx", ".contents.markets.*.incrementalInitialMarginFraction"): "early networks",
    ("dydx", ".contents.markets.*.lastPrice"): "early networks",
    ("dydx", ".contents.markets.*.nextFundingUpdate"): "early networks",
}
OTHERWISE_TOO = {  # documents have these as another kind of value than recordings
    ("binance_usdm", ".timestamp"),
    ("bitget", ".data[].symbolType"),
}


def recorded(venue: str) -> list[Any]:
    return [frame for name in files_of(venue) for frame in frames_in(venue, (CAPTURES / venue / name).read_text())]


def shapes(frames: list[Any]) -> Shapes:
    found: Shapes = {}
    for frame in frames:
        fields = found.setdefault(kind_of(frame), {})
        for path, kinds in fields_of(frame).items():
            fields.setdefault(path, set()).update(kinds)
    return found


def read_kinds(venue: str) -> set[str]:
    """The kinds of messages of which the decoder makes anything, of recorded frames or of ours with their request."""
    decoder = VENUES[venue].decoder(Catalog())
    found = {kind_of(frame) for frame in recorded(venue) if decoder.decode(json.dumps(frame), 0)}
    for step in all_steps(venue):
        if step.expected and step.frame is not None:
            found |= {kind_of(frame) for frame in frames_in(venue, step.text)}
    return found


def sound(venue: str) -> list[Any]:
    """The committed frames but those with a row that is broken on purpose."""
    steps = [step for step in all_steps(venue) if not any("error" in row for row in step.expected)]
    return [frame for step in steps for frame in frames_in(venue, step.text)]


def text_of(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def long_numbers(frame: Any) -> set[str]:
    """Its numbers and times of so many digits that two are not alike by chance."""
    texts = (value if type(value) is str else json.dumps(value) for value in scalars_in(frame))
    return {text for text in texts if len(re.sub("[^0-9]", "", text).strip("0")) >= SIGNIFICANT_DIGITS}


@pytest.mark.parametrize("venue", VENUES)
def test_no_committed_frame_is_a_recorded_one(venue: str) -> None:
    frames = {text_of(frame) for frame in recorded(venue)}
    rows = {text_of(row) for frame in recorded(venue) for row in objects_in(frame)}
    for step in all_steps(venue):
        if step.frame is None or step.frame in FIXED_WORDING:
            continue
        assert text_of(step.frame) not in frames, step.text
        for row in objects_in(step.frame):
            assert len(list(scalars_in(row))) < VALUES_THAT_SAY_IT or text_of(row) not in rows, row


@pytest.mark.parametrize("venue", VENUES)
def test_no_committed_frame_shares_a_long_number_with_a_recorded_one(venue: str) -> None:
    """A recorded frame with some digits changed would still be one."""
    theirs = {number for frame in recorded(venue) for number in long_numbers(frame)}
    ours = {number for step in all_steps(venue) for number in long_numbers(step.frame)}
    assert not ours & theirs - set(FIXED_NUMBERS)


@pytest.mark.parametrize("venue", VENUES)
def test_every_kind_of_message_that_is_read_is_committed(venue: str) -> None:
    read = read_kinds(venue)
    assert {kind for kind in shapes(recorded(venue)) if kind in read} <= set(shapes(sound(venue)))


@pytest.mark.parametrize("venue", VENUES)
def test_committed_messages_have_the_recorded_fields(venue: str) -> None:
    """All of them; of the terms of instruments, those that the decoder's code names."""
    ours, read, code = shapes(sound(venue)), read_kinds(venue), code_of(venue)
    missing = [
        f"{kind}: {path}"
        for kind, fields in shapes(recorded(venue)).items()
        for path in fields
        if kind in read
        and not {path, f"{path}[]"} & set(ours[kind])
        and not any((venue, path[: len(field)]) == (venue_, field) for venue_, field in LEFT_OUT)
        and (kind not in TERMS or f'"{path.rpartition(".")[2]}"' in code)
    ]
    assert not missing


@pytest.mark.parametrize("venue", VENUES)
def test_committed_fields_have_the_recorded_kinds_of_values(venue: str) -> None:
    """Numbers where the venue sends numbers, texts where it sends texts."""
    theirs = shapes(recorded(venue))
    other = [
        f"{kind}: {path} is {kinds}, recorded {theirs[kind][path]}"
        for kind, fields in shapes(sound(venue)).items()
        for path, kinds in fields.items()
        if path in theirs.get(kind, {})
        and theirs[kind][path] != {"nothing"}
        and not kinds <= theirs[kind][path] | {"nothing"}
        and (venue, path) not in OTHERWISE_TOO
    ]
    assert not other


def code_of(venue: str) -> str:
    """The text of the modules of which the venue's decoder is made."""
    modules = {base.__module__ for base in type(VENUES[venue].decoder(Catalog())).__mro__}
    return "\n".join(inspect.getsource(sys.modules[name]) for name in modules if name.startswith("service.venues"))
