"""The worked example of CONTRIBUTING.md is a venue that works."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from service.model import Bad, Control, Decoded, Funding, Listing, Mark, OpenInterest, Skipped
from service.venues.contract import Catalog, Venue

T0 = 1_763_720_519_400
TICKER: dict[str, Any] = {
    "ch": "ticker", "inst": "BTC-PERP", "mark": "90000.5", "index": "90001.25", "rate": "0.0001",
    "next": 1_763_740_800_000, "oi": "1500", "ts": 1_763_720_519_000,
}  # fmt: skip
INSTRUMENTS = {"instruments": [{"inst": "BTC-PERP", "size": "0.01", "state": "open"}]}


@pytest.fixture
def acme(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Venue:
    text = (repository / "CONTRIBUTING.md").read_text()
    blocks = re.findall(r"<!-- acme/(\w+)\.py -->\n```python\n(.*?)```", text, re.S)
    assert [name for name, _ in blocks] == ["metadata", "messages", "venue"]  # in the order of their imports
    monkeypatch.setitem(sys.modules, "service.venues.acme", ModuleType("service.venues.acme"))
    for name, source in blocks:
        module = ModuleType(f"service.venues.acme.{name}")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(source, f"CONTRIBUTING.md acme/{name}.py", "exec"), module.__dict__)
    return sys.modules["service.venues.acme.venue"].__dict__["Acme"]()


def decoded(venue: Venue, *frames: Any, catalog: Catalog | None = None) -> list[Decoded]:
    decoder = venue.decoder(catalog or Catalog())
    return [item for frame in frames for item in decoder.decode(json.dumps(frame), T0, "")]


def test_a_ticker_becomes_three_observations(acme: Venue) -> None:
    catalog = Catalog()
    acme.decoder(catalog).decode(json.dumps(INSTRUMENTS), T0, "instruments")
    head, at = ("acme", "BTC-PERP", "BTC"), TICKER["ts"]
    assert decoded(acme, TICKER, catalog=catalog) == [
        Mark(*head, 90000.5, 90001.25, at, T0),
        Funding(*head, 0.0001, 8.0, 0.0001, TICKER["next"], False, at, T0),
        OpenInterest(*head, 1500.0, 0.01, 15.0, False, at, T0),
    ]


def test_what_is_wrong_costs_itself(acme: Venue) -> None:
    broken = {**TICKER, "mark": "nan"}
    del broken["rate"]
    found = decoded(acme, broken, {"ch": "ticker"}, {"other": 1}, [], {"subscribed": "ticker"}, {"ch": "book"})
    assert [item.reason for item in found if isinstance(item, Bad)] == [
        "bad_number", "missing_field", "missing_field", "unknown_shape", "wrong_type",
    ]  # fmt: skip
    assert [item for item in found if not isinstance(item, Bad)] == [
        Skipped("acme", "BTC-PERP", "unknown_contract_size"),
        Control("ack", "ticker", ""),
    ]


def test_its_sockets_hold_so_many_topics_in_so_many_requests(acme: Venue) -> None:
    names = [f"COIN{number}-PERP" for number in range(130)]
    listings = [Listing("acme", name, name[:-5], False, 1.0, 1.0, 8.0, True, 0) for name in names]
    plans = acme.connections(acme.endpoints, listings)
    assert [(plan.name, plan.acks) for plan in plans] == [("public-1", 5), ("public-2", 2)]
    assert [name for plan in plans for text in plan.frames for name in json.loads(text)["sub"]] == names
    assert acme.rules_for(10.0) == acme.rules
    assert acme.polls(acme.endpoints, listings, 10.0) == []
