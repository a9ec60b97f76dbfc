"""The committed frames of a venue and what they must decode to: `tests/data/<venue>/conformance.jsonl`.

The form of these files is in tests/data/README.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import pytest
from msgspec.structs import fields

from service.model import (
    Bad,
    Candidate,
    Confirm,
    Control,
    Decoded,
    Flow,
    Funding,
    HistoryPoint,
    Liquidation,
    Listing,
    LongShort,
    Mark,
    OiSides,
    OpenInterest,
    Positions,
    Skipped,
)
from service.venues import VENUES
from service.venues.contract import Catalog
from service.venues.decoding import NO_RECEIVE_TIME, decode_document
from tests.venues.frames import DATA, load

Told = Mapping[str, Any]

STREAMS: dict[type, str] = {
    Mark: "mark",
    Funding: "funding",
    OpenInterest: "oi",
    Liquidation: "liquidation",
    Flow: "flow",
    Positions: "positions",
    LongShort: "long_short",
}
OTHERS: dict[type, str] = {
    Listing: "listing",
    Control: "control",
    Confirm: "confirm",
    HistoryPoint: "past",
    OiSides: "sides",
    Candidate: "candidate",
}
ROW_NAMES = {  # of `elr decode`, where they differ from those of the items
    "taker_buy_coins": "taker_buy",
    "taker_sell_coins": "taker_sell",
    "long_coins": "long",
    "short_coins": "short",
}


@dataclass
class Step:
    """One frame, and all that it must decode to, in order."""

    text: str
    frame: Any  # parsed; None of a text that is no JSON
    context: str
    recv_ts: int
    fixture: str | None
    expected: list[Told] = field(default_factory=list)


@dataclass
class Case:
    """Frames that one decoder reads one after the other."""

    venue: str
    title: str
    steps: list[Step] = field(default_factory=list)

    def printed(self) -> bool:
        """Whether `elr decode` can read it: it knows neither requests nor receive times."""
        return all(step.context == "" and step.recv_ts == NO_RECEIVE_TIME for step in self.steps)


def cases(venue: str) -> list[Case]:
    found: list[Case] = []
    for line in (DATA / venue / "conformance.jsonl").read_text().splitlines():
        row = json.loads(line)
        if "case" in row:
            found.append(Case(venue, row["case"]))
        elif "frame" in row or "raw" in row:
            found[-1].steps.append(_step(venue, row))
        else:
            found[-1].steps[-1].expected.append(row)
    return found


def _step(venue: str, row: dict[str, Any]) -> Step:
    frame, context, recv_ts = row.get("frame"), row.get("context", ""), row.get("recv_ts", NO_RECEIVE_TIME)
    if "raw" in row:
        return Step(row["raw"], None, context, recv_ts, None)
    if isinstance(frame, str):
        text = load(venue, frame)
        return Step(text, json.loads(text), context, recv_ts, frame)
    return Step(json.dumps(frame), frame, context, recv_ts, None)


def all_steps(venue: str) -> list[Step]:
    return [step for case in cases(venue) for step in case.steps]


def of_item(venue: str, item: Decoded) -> dict[str, Any]:
    """An item as the files write it."""
    if isinstance(item, Bad):
        return {"error": "bad_payload", "reason": item.reason}
    if isinstance(item, Skipped):
        assert item.venue == venue
        return {"skipped": item.reason, "instrument": item.instrument}
    values = {name.name: getattr(item, name.name) for name in fields(item)}
    if not isinstance(item, Control):
        assert values.pop("venue") == venue
        values.pop("recv_ts", None)
        if values.get("index") == "":  # of a listing: its own name says it
            del values["index"]
    kind = type(item)
    head = {"stream": STREAMS[kind]} if kind in STREAMS else {"item": OTHERS[kind]}
    return head | {ROW_NAMES.get(name, name): _listed(v) for name, v in values.items()}


def _listed(value: Any) -> Any:
    """Tuples as JSON has them."""
    return [_listed(item) for item in value] if type(value) is tuple else value


def of_row(venue: str, row: Told) -> dict[str, Any]:
    """A row of `elr decode` as the files write it."""
    assert row.get("venue", venue) == venue
    return {key: value for key, value in row.items() if key not in ("venue", "frame")}


def name_of(told: Told) -> str:
    """The name of the item's type."""
    if "item" not in told and "stream" not in told:
        return "Bad" if "error" in told else "Skipped"
    names = OTHERS if "item" in told else STREAMS
    return next(kind.__name__ for kind, name in names.items() if name == told.get("item", told.get("stream")))


def is_row(told: Told) -> bool:
    """Whether `elr decode` prints it."""
    return "item" not in told


def read_steps(case: Case, catalog: Catalog | None = None) -> Iterator[tuple[Step, list[dict[str, Any]]]]:
    """Each frame with all that a decoder of the venue makes of it, receive times and requests told."""
    decoder = VENUES[case.venue].decoder(catalog or Catalog())
    for step in case.steps:
        items = decoder.decode(step.text.strip(), step.recv_ts, step.context)
        assert all(getattr(item, "recv_ts", step.recv_ts) == step.recv_ts for item in items)
        yield step, [of_item(case.venue, item) for item in items]


def print_case(case: Case) -> list[dict[str, Any]]:
    """What `elr decode` prints of its frames: a document if it is one, else one frame a line."""
    texts = [step.text.strip() for step in case.steps]
    document = texts[0] if len(texts) == 1 else "\n".join(" ".join(text.splitlines()) for text in texts)
    return [of_row(case.venue, row) for row in decode_document(case.venue, document)]


def same(found: Sequence[Told], expected: Sequence[Told]) -> None:
    """Equal, key by key; numbers with a fraction but for the last digits of their division."""
    for row, wanted in zip(found, expected, strict=False):
        assert set(row) == set(wanted), (row, wanted)
        for key, right in wanted.items():
            value = row[key]
            if type(right) is float and type(value) is float:
                assert value == pytest.approx(right, rel=1e-12, abs=0.0), (key, row, wanted)
            else:
                assert type(value) is type(right), (key, row, wanted)
                assert value == right, (key, row, wanted)
    assert len(found) == len(expected), (found, expected)


ITEM_TYPES: tuple[type, ...] = tuple(
    kind for part in get_args(Decoded) for kind in ([part] if isinstance(part, type) else get_args(part))
)
