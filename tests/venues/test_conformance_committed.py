"""Every venue's committed frames against values worked out by hand: the conformance suite of any machine.

The frames are written for this purpose in the shape that each venue documents (tests/data/README.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from service.model import Flow, HistoryPoint, Liquidation, LongShort, OpenInterest, Positions
from service.venues import VENUES
from service.venues.contract import Catalog
from tests.venues.committed import (
    ITEM_TYPES,
    Case,
    Told,
    all_steps,
    cases,
    is_row,
    name_of,
    print_case,
    read_steps,
    same,
)
from tests.venues.emits import emitted_by
from tests.venues.frames import DATA
from tests.venues.shapes import objects_in

CASES = [case for venue in VENUES for case in cases(venue)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.venue}: {case.title}")
def test_committed_frames(case: Case) -> None:
    """Frame by frame as the service reads them, and all together as `elr decode` prints them."""
    for step, found in read_steps(case):
        same(found, step.expected)
    if case.printed():
        same(print_case(case), [told for step in case.steps for told in step.expected if is_row(told)])


# -- nothing is left out ---------------------------------------------------------------------------------------------

NEVER_EMITTED: dict[str, dict[type, str]] = {  # its code names them, no frame leads to them
    "hyperliquid": {Liquidation: "trades do not say whether they are liquidations"},
    "aster": {LongShort: "the code is Binance's, its documents have no ratios"},
}


@pytest.mark.parametrize("venue", VENUES)
def test_every_type_of_item_that_a_decoder_can_emit_is_covered(venue: str) -> None:
    emitted = emitted_by(VENUES[venue].decoder(Catalog()))
    covered = {name_of(told) for step in all_steps(venue) for told in step.expected}
    never = set(NEVER_EMITTED.get(venue, {}))
    assert {kind.__name__ for kind in emitted - never} == covered
    assert never <= emitted


def test_code_tells_what_a_decoder_can_emit() -> None:
    """Of the extra streams, as the venues' own documents have them."""
    by_kind = {kind: [v for v in VENUES if kind in emitted_by(VENUES[v].decoder(Catalog()))] for kind in ITEM_TYPES}
    assert by_kind[Positions] == ["gate"]
    assert by_kind[LongShort] == ["binance_usdm", "binance_coinm", "bybit", "okx", "bitget", "gate", "aster"]
    assert by_kind[Flow] == by_kind[OpenInterest] == by_kind[HistoryPoint] == list(VENUES)


def told(**wanted: Any) -> Callable[[Told], bool]:
    return lambda row: all(row.get(key) == value for key, value in wanted.items())


def has(key: str, **wanted: Any) -> Callable[[Told], bool]:
    return lambda row: told(**wanted)(row) and row.get(key) not in (None, 0.0)


ASPECTS: dict[str, Callable[[Told], bool]] = {
    "mark": has("mark", stream="mark"),
    "index": has("index", stream="mark"),
    "rate and its 8 h": has("rate_8h", stream="funding", settled=False),
    "rate without interval": told(stream="funding", interval_h=None),
    "next funding time": has("next_ts", stream="funding"),
    "settled rate": told(stream="funding", settled=True),
    "oi as counted": told(stream="oi", derived=False),
    "oi derived": told(stream="oi", derived=True),
    "coins that are not the contracts": lambda row: "contracts" in row and row["coins"] not in (0.0, row["contracts"]),
    "linear listing": told(item="listing", inverse=False),
    "inverse listing": told(item="listing", inverse=True),
    "scaled listing": lambda row: row.get("item") == "listing" and row["multiplier"] != 1.0,
    "listing that does not trade": told(item="listing", trading=False),
    "taker bought": has("taker_buy", stream="flow"),
    "taker sold": has("taker_sell", stream="flow"),
    "long liquidated": told(stream="liquidation", liquidated_side="long"),
    "short liquidated": told(stream="liquidation", liquidated_side="short"),
    "ratio of accounts": told(stream="long_short", kind="account"),
    "ratio of positions": told(stream="long_short", kind="position"),
    "ratio of top accounts": told(stream="long_short", kind="top_account"),
    "ratio of top positions": told(stream="long_short", kind="top_position"),
    "positions": told(stream="positions"),
    "confirmation": told(item="confirm"),
    "past mark": told(item="past", stream="mark"),
    "past index": told(item="past", stream="index"),
    "past oi": told(item="past", stream="oi"),
    "past rate": told(item="past", stream="funding"),
    "ack": told(item="control", kind="ack"),
    "pong": told(item="control", kind="pong"),
    "info": told(item="control", kind="info"),
    "refused": told(item="control", kind="refused"),
    "closing": told(item="control", kind="closing"),
}
BROKEN, FOREIGN = "broken row in a good frame", "instrument left out by metadata"

NO_RATIOS = dict.fromkeys(
    ("ratio of accounts", "ratio of positions", "ratio of top accounts", "ratio of top positions"), "none published"
)
NO_BARS = dict.fromkeys(("past mark", "past index"), "none published")
NO_PAST = NO_BARS | {"past oi": "none published"}
NO_POSITIONS = {"positions": "none published"}
NO_DELTAS = {"confirmation": "every message is whole"}
NO_NOTICES = {"info": "no notices", "closing": "no notices"}
FRAMES_PING = {"pong": "pings are protocol frames"}
KNOWN_INTERVAL = {"rate without interval": "one interval for all"}
LINEAR = {"inverse listing": "linear contracts only"}
ALL_COUNTED = {"oi derived": "coins as they come"}

NOT_THERE: dict[str, dict[str, str]] = {  # venue -> aspect -> why it has none
    "binance_usdm": {
        **LINEAR, **ALL_COUNTED, **NO_POSITIONS, **NO_DELTAS, **NO_NOTICES, **FRAMES_PING,
        "ratio of positions": "of the top only",
    },
    "binance_coinm": {
        **NO_POSITIONS, **NO_DELTAS, **NO_NOTICES, **FRAMES_PING,
        "linear listing": "inverse contracts only",
        "scaled listing": "no such names",
        "ratio of positions": "of the top only",
        "ratio of top accounts": "not asked for: the documents disagree how",
    },
    "bybit": {
        **NO_POSITIONS, **NO_NOTICES,
        "ratio of positions": "of accounts only",
        "ratio of top accounts": "of accounts only",
        "ratio of top positions": "of accounts only",
    },
    "okx": {**NO_POSITIONS, **NO_DELTAS, "ratio of positions": "of the top only"},
    "bitget": {
        **ALL_COUNTED, **NO_POSITIONS, **NO_DELTAS, **NO_NOTICES,
        "ratio of top accounts": "of all only",
        "ratio of top positions": "of all only",
        "past oi": "none published",
    },
    "gate": {**NO_DELTAS, "ratio of positions": "of the top only"},
    "deribit": {
        **NO_RATIOS, **NO_POSITIONS, **NO_PAST, **NO_DELTAS, **KNOWN_INTERVAL,
        "next funding time": "funding accrues continuously",
        "settled rate": "only of a request, as past rates",
        "closing": "no notices",
    },
    "kraken_futures": {
        **NO_RATIOS, **NO_POSITIONS, **NO_DELTAS, **KNOWN_INTERVAL,
        "closing": "no notices",
    },
    "bitmex": {
        **NO_RATIOS, **NO_POSITIONS, **NO_PAST,
        "closing": "no notices",
    },
    "hyperliquid": {
        **LINEAR, **ALL_COUNTED, **NO_RATIOS, **NO_POSITIONS, **NO_PAST, **NO_DELTAS, **KNOWN_INTERVAL,
        "long liquidated": "liquidations look like any trade",
        "short liquidated": "liquidations look like any trade",
        "closing": "no notices",
        FOREIGN: "other dexes have metadata of their own",
    },
    "aster": {
        **LINEAR, **ALL_COUNTED, **NO_RATIOS, **NO_POSITIONS, **NO_DELTAS, **NO_NOTICES, **FRAMES_PING,
        "past oi": "none published",
    },
    "dydx": {
        **LINEAR, **ALL_COUNTED, **NO_RATIOS, **NO_POSITIONS, **NO_PAST, **KNOWN_INTERVAL,
        "closing": "no notices",
        FOREIGN: "every market is a perpetual in dollars",
    },
    "lighter": {
        **LINEAR, **NO_RATIOS, **NO_POSITIONS, **NO_PAST, **NO_DELTAS, **KNOWN_INTERVAL,
        "oi as counted": "dollars, always through the mark",
        "settled rate": "only of a request, as past rates",
        "closing": "no notices",
    },
}  # fmt: skip


def covered(venue: str) -> set[str]:
    """The aspects that the venue's committed frames show."""
    steps = all_steps(venue)
    found = {name for name, shows in ASPECTS.items() for step in steps if any(map(shows, step.expected))}
    if any({"error" in row for row in step.expected} == {True, False} for step in steps):
        found.add(BROKEN)
    for case in cases(venue):
        catalog = Catalog()
        for _ in read_steps(case, catalog):
            pass
        if catalog.foreign and catalog.listings:
            found.add(FOREIGN)
    return found


@pytest.mark.parametrize("venue", VENUES)
def test_every_aspect_is_covered_or_said_not_to_be_there(venue: str) -> None:
    assert covered(venue) == {*ASPECTS, BROKEN, FOREIGN} - set(NOT_THERE[venue])


@pytest.mark.parametrize("venue", VENUES)
def test_every_fixture_is_read(venue: str) -> None:
    """A fixture that no case names is checked by no value of this suite."""
    named = {step.fixture for step in all_steps(venue)} - {None}
    assert named == {path.stem for path in (DATA / venue).glob("*.json")}


# -- a field mixed up with another shows -----------------------------------------------------------------------------

NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?").fullmatch
ALIKE = (  # the same by what they mean
    {"q", "z"},  # an order that was filled
    {"oi", "oiCcy"},  # contracts of one coin
    {"index", "markPrice"},  # a market that is not open yet
    {"multiplier", "underlyingToSettleMultiplier"},  # contracts of a dollar
    {"multiplier", "underlyingToPositionMultiplier"},  # a contract's terms
    {"size", "foreignNotional"},  # contracts of a dollar
    {"trade_id", "trade_id_str"},  # one number, written twice
    {"ask_id", "ask_id_str"},
    {"bid_id", "bid_id_str"},
    {"ask_client_id", "ask_client_id_str"},
    {"bid_client_id", "bid_client_id_str"},
)


@pytest.mark.parametrize("venue", VENUES)
def test_every_number_of_a_row_differs_from_its_others(venue: str) -> None:
    for step in all_steps(venue):
        if step.frame is None:
            continue
        for row in objects_in(step.frame):
            by_value: dict[float, set[str]] = {}
            for key, value in row.items():
                if type(value) in (int, float) or (type(value) is str and NUMBER(value)):
                    by_value.setdefault(float(value), set()).add(key)
            same_value = [keys for value, keys in by_value.items() if value not in (0.0, 1.0) and len(keys) > 1]
            assert all(keys in ALIKE for keys in same_value), (same_value, row)


def test_a_case_says_what_it_is_about_and_is_read() -> None:
    titles = [(case.venue, case.title) for case in CASES]
    assert len(dict.fromkeys(titles)) == len(titles)
    assert all(case.title and case.steps for case in CASES)
    for venue in VENUES:
        for line in (DATA / venue / "conformance.jsonl").read_text().splitlines():
            assert type(json.loads(line)) is dict
