"""The documents say what the code does: every message, field, close code and error code, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.publishing import codes
from service.publishing import message as wire
from service.publishing.message import Message, body_bytes, market_body, status_body
from service.publishing.requests import Channels, Request, parse
from service.scoreboard import Scoreboard
from service.scoring import Scorer
from tests.publishing.factories import EPOCH, SYMBOLS, TS, Running, alert_body, market_body_whole, sample
from tests.scoring import factory

NAMED = ("windows", "by_venue", "venues", "seq", "modes", "horizons")  # objects whose keys are names
CALLED = {"windows": "<window>", "by_venue": "<venue>", "venues": "<venue>", "seq": "<channel>", "modes": "<mode>"}
CALLED |= {
    "shares": "<state>",
    "horizons": "<horizon>",
    "falls": "<fall>",
    "events": "<event>",
}  # what a name is called
WHOLE = (
    "values",
    "z",
    "base",
    "ma",
    "change",
    "oi_change",
    "transition",
    "taker",
    "liquidated",
    "flush",
    "month",
)  # documented as one field


def paths(value: Any, path: str = "") -> set[str]:
    """Every field of a message, ``a.b[].c``, with names generalised."""
    name = path.rpartition(".")[2]
    if name in WHOLE:
        return {path}
    if isinstance(value, dict) and (name in CALLED or name == "channels"):
        called = CALLED.get(name, "<channel>")
        return set().union(*(paths(item, f"{path}.{called}") for item in value.values()))
    if isinstance(value, dict):
        return set().union(*(paths(item, f"{path}.{key}" if path else key) for key, item in value.items()))
    if isinstance(value, list) and (name in ("symbols", "channels") or (value and isinstance(value[0], dict))):
        return set().union(*(paths(item, f"{path}[]") for item in value))
    return {path}


def encoded(type_: str, channel: str, body: dict[str, Any]) -> bytes:
    return Message(type_, channel, 3, EPOCH, "live", body_bytes(body)).text("update", TS)


def scored_body() -> dict[str, Any]:
    """A body of the real scorer."""
    scorer = Scorer("BTC", factory.EXCHANGES, factory.base())
    body, _ = scorer.score(factory.readings(sample=factory.reporting()))
    return body


VENUE = {"up": True, "streams": {"live": 61, "stale": 2}, "reconnects": 1, "last_error": None}
MESSAGES = {
    "hello": wire.hello("elr/0.1.0", EPOCH, "live", SYMBOLS),
    "subscribed": wire.subscribed(2, EPOCH, {"signal.BTC": {"seq": 8130, "recovered": True, "replayed": 7}}),
    "unsubscribed": wire.unsubscribed(4, ("market.BTC",)),
    "snapshots": wire.snapshots(5, EPOCH, {"signal.ETH": {"seq": 8130}}),
    "pong": wire.pong(6, TS),
    "error": wire.error(2, "unknown_channel", "why"),
    "tick": wire.tick(TS, 21, 0),
    "heartbeat": wire.heartbeat(EPOCH, TS, {"signal.BTC": 8131}),
    "notice": wire.notice("shutdown", 3000),
    "signal.SYMBOL": encoded("signal", "signal.BTC", scored_body()),
    "signal.MARKET": encoded("signal", "signal.MARKET", market_body_whole()),
    "market.SYMBOL": encoded("market", "market.BTC", market_body(sample())),
    "alert.SYMBOL": encoded("alert", "alert.BTC", alert_body()),
    "status": encoded("status", "status", status_body(TS, {"bybit": VENUE})),
    "scoreboard": encoded("scoreboard", "scoreboard", Scoreboard(("BTC",)).body(TS)),
}


@pytest.fixture
def sections(repository: Path) -> dict[str, str]:
    text = (repository / "docs/messages.md").read_text(encoding="utf-8")
    return {part.split("\n", 1)[0].strip(): part for part in text.split("\n## ")[1:]}


def rows(section: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def examples(section: str) -> list[str]:
    return [line for block in re.findall(r"```json\n(.*?)```", section, re.DOTALL) for line in block.splitlines()]


@pytest.mark.parametrize("name", MESSAGES)
def test_every_field_of_every_message_is_described_and_no_other(name: str, sections: dict[str, str]) -> None:
    made = paths(orjson.loads(MESSAGES[name]))
    described = rows(sections[name])
    assert len(set(described)) == len(described)
    if "." in name or name in Channels.SINGLE:
        described += rows(sections["Envelope of channel messages"])
        made |= {"skipped"}
    assert sorted(described) == sorted(made)


@pytest.mark.parametrize("name", MESSAGES)
def test_every_example_has_the_fields_of_the_message(name: str, sections: dict[str, str]) -> None:
    (example,) = examples(sections[name])
    assert paths(orjson.loads(example)) == paths(orjson.loads(MESSAGES[name]))
    assert list(orjson.loads(example)) == list(orjson.loads(MESSAGES[name]))


def test_the_example_signal_keeps_the_promise_of_its_confidence(sections: dict[str, str]) -> None:
    signal = orjson.loads(examples(sections["signal.SYMBOL"])[0])
    product = 1.0
    for factor in signal["confidence_factors"].values():
        product *= factor
    assert signal["confidence"] == pytest.approx(product, abs=1e-10)


def test_every_request_example_is_understood(sections: dict[str, str]) -> None:
    asked = [parse(line, Channels(("BTC", "ETH"))) for line in examples(sections["Requests"])]
    assert [item.op for item in asked if isinstance(item, Request)] == [
        "subscribe",
        "subscribe",
        "unsubscribe",
        "snapshot",
        "ping",
    ]
    assert len(asked) == 5


def test_error_codes(sections: dict[str, str]) -> None:
    listed = sections["error"].split("\nCodes: ")[1].split("\n\n")[0]
    assert tuple(re.findall(r"`(\w+)`", listed)) == codes.ERROR_CODES


def test_close_codes(repository: Path) -> None:
    text = (repository / "docs/close-codes.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\d{4}) \| (.+?) \| (.+) \|$", text, re.MULTILINE)
    expected = [
        (str(row.code), row.meaning + ("" if row.used else " (reserved)"), row.reconnect) for row in codes.CLOSE_CODES
    ]
    assert listed == expected


def test_paths(sections: dict[str, str]) -> None:
    assert sorted(re.findall(r"^\| `(/[^`]*)` \|", sections["HTTP"], re.MULTILINE)) == sorted(
        Running().feed._routes.paths
    )


def test_the_channel_kinds_are_the_described_ones(sections: dict[str, str]) -> None:
    assert {f"{kind}.SYMBOL" for kind in Channels.KINDS} | set(Channels.SINGLE) <= set(sections)
