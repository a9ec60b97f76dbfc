"""Tapes and state of earlier versions: replayed to the same bytes, and gone on from (tests/data/stored/README.md)."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.config import Config, parse
from service.core.build import rules_of
from service.core.engine import STATE_VERSION, Engine
from service.model import Denominator
from service.publishing import body_bytes
from service.runtime.state_file import misfit
from service.state import Stateful
from service.tapes import Header, read
from tests.core.build import replayed

STORED = Path(__file__).resolve().parent.parent / "data" / "stored"
VERSIONS = sorted(path.name for path in STORED.iterdir() if path.is_dir())
MINUTE_MS = 60_000


def later(kind: type[Stateful] = Stateful) -> set[str]:
    return set(kind.LATER).union(*(later(narrower) for narrower in kind.__subclasses__()))


LATER = later()


def state_of(version: str) -> dict[str, Any]:
    plain: dict[str, Any] = orjson.loads(gzip.decompress((STORED / version / "state.json.gz").read_bytes()))
    return plain


def config_of(version: str) -> Config:
    header = next(iter(read(STORED / version / "tape.gz", pytest.fail)))
    assert isinstance(header, Header)
    return parse(header.config)


def as_stored(saved: Any, stored: Any) -> Any:
    """What is saved now, without the attributes that are newer than what was stored."""
    if isinstance(saved, dict) and isinstance(stored, dict):
        return {
            name: as_stored(value, stored.get(name))
            for name, value in saved.items()
            if name in stored or name not in LATER
        }
    return saved


def fresh(config: Config) -> Engine:
    return Engine(config.service.symbols, rules_of(config), config.market, [], config.weights)


def test_the_present_version_is_kept() -> None:
    assert f"state-{STATE_VERSION}" in VERSIONS, "a new state version: add what it stores to tests/data/stored"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_tape_replays_to_the_bytes_that_were_published(version: str) -> None:
    """Cause guarded against: a change that should change no number did, or renamed what a tape holds."""
    lines = [
        body_bytes(body) for _, _, ticks in replayed(STORED / version / "tape.gz") for t in ticks for body in t.signals
    ]
    assert len(lines) == 9
    assert lines == gzip.decompress((STORED / version / "signals.jsonl.gz").read_bytes()).splitlines()
    assert orjson.loads(lines[-1])["windows"]["1m"]["ready"]  # nothing to compare would be no comparison


@pytest.mark.parametrize("version", VERSIONS)
def test_a_state_is_gone_on_from(version: str) -> None:
    """Cause guarded against: a renamed attribute, and every user loses a month of percentiles at the upgrade."""
    plain, config = state_of(version), config_of(version)
    assert misfit(plain, plain["created_ms"]) is None
    engine = fresh(config)
    engine.restore(plain["engine"])
    saved = engine.save()
    if version == f"state-{STATE_VERSION}":
        assert orjson.dumps(saved) == orjson.dumps(plain["engine"])
    old = as_stored(saved, plain["engine"]) | {"version": plain["engine"]["version"]}
    assert orjson.dumps(old) == orjson.dumps(plain["engine"])
    again = fresh(config)
    again.restore(saved)
    assert orjson.dumps(again.save()) == orjson.dumps(saved)
    engine.denominate(Denominator("BTC", 19e6, (), engine.sampled_ms, "test", "none"))
    ticks = engine.advance(engine.sampled_ms + MINUTE_MS)
    assert len(ticks) == 6
    assert ticks[-1].signals[0]["status"] == "no_data"  # nothing was heard for a minute, and it says so
