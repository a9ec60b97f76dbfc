"""Helpers of the venue tests: own fixtures, short constructors, and a mutator that knows JSON structure."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
from service.venues.contract import Catalog, Decoder
from service.venues.emit import Emit
from service.venues.reading import BAD_REASONS
from service.venues.sides import LEAST_INSTRUMENTS

DATA = Path(__file__).resolve().parent.parent / "data"
T0 = 1_763_719_206_000  # receive time of the tests, 2025-11-21 10:00:06 UTC


def load(venue: str, name: str) -> str:
    """The text of a fixture file."""
    return (DATA / venue / f"{name}.json").read_text()


def fixtures(venue: str) -> list[Any]:
    """All of a venue's fixtures, parsed, in name order."""
    return [json.loads(path.read_text()) for path in sorted((DATA / venue).glob("*.json"))]


def bare_emit(catalog: Catalog) -> Emit:
    """Of a venue that knows no names and is sent no frames: for what is handed an Emit."""
    return Emit("venue", catalog, lambda name: None, lambda parsed, context: None)


def fresh(venue: str, catalog: Catalog | None = None) -> Decoder:
    return VENUES[venue].decoder(catalog or Catalog())


def decode(decoder: Decoder, frame: Any, recv_ts: int = T0, context: str = "") -> list[Decoded]:
    """Decode a fixture's text or a document."""
    return decoder.decode(frame if isinstance(frame, str | bytes) else json.dumps(frame), recv_ts, context)


def kinds(found: list[Decoded]) -> list[type]:
    return [type(item) for item in found]


def left_out(found: list[Decoded]) -> list[str]:
    """Why each row was left out on purpose; nothing else is told."""
    assert all(isinstance(item, Skipped) for item in found), found
    return [item.reason for item in found if isinstance(item, Skipped)]


def told(found: list[Decoded]) -> list[Decoded]:
    """All but rows left out on purpose."""
    return [item for item in found if not isinstance(item, Skipped)]


def reasons(found: list[Decoded]) -> list[str]:
    return [item.reason for item in found if isinstance(item, Bad)]


GARBAGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**63, -(2**63), 1e308, -1e308, 5e-324, 0.5, "", "0", "-0", "nan", "NaN", "inf",
    "-Infinity", "1e999", "1_000", " 1", "1 ", "\u0661", "0x10", "1,5", "+1", ".5", "1.", "1e400", "-1", "9" * 64,
    "9" * 65, "\x00", "é", "a" * 5000, [], {}, [[]], [None], {"e": 1}, [1, 2], "2026-01-01", 1763719201, "BTCUSDT",
    "tickers.BTCUSDT", "snapshot", "delta", "BTC-USDT-SWAP", "kPEPE", "1e-300", "1e15", 1e-300, [0] * 50,
)  # fmt: skip


def mutate(document: Any, rng: random.Random) -> Any:
    """One to three structural mutations of a copy: replace, delete, rename, duplicate, wrap, retype."""
    result = [copy.deepcopy(document)]
    for _ in range(rng.randint(1, 3)):
        places: list[tuple[Any, Any]] = []
        _walk(result, places)
        container, key = rng.choice(places)
        act = rng.randrange(7)
        if act <= 2:
            container[key] = copy.deepcopy(rng.choice(GARBAGE))
        elif act == 3 and container is not result:
            del container[key]
        elif act == 4 and isinstance(container, dict):
            container[f"{key}{rng.choice(('X', '2', ''))}" if rng.random() < 0.5 else key.upper()] = container.pop(key)
        elif act == 5:
            container[key] = [container[key]] * rng.randint(1, 3) if rng.random() < 0.5 else {"data": container[key]}
        elif isinstance(container[key], str):
            container[key] = container[key][: rng.randrange(len(container[key]) + 1)]
        elif isinstance(container[key], int | float):
            container[key] = str(container[key])
    return result[0]


def _walk(value: Any, places: list[tuple[Any, Any]]) -> None:
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    for key in keys:
        places.append((value, key))
        if isinstance(value[key], dict | list):
            _walk(value[key], places)


def check_sane(found: list[Decoded], venue: str) -> None:
    """What every decoded item must satisfy, whatever the input was."""
    for item in found:
        if isinstance(item, Bad):
            assert item.reason in BAD_REASONS
            assert len(item.detail) <= 120
        elif isinstance(item, Control):
            assert len(item.text) <= 500
        else:
            assert item.venue == venue
        if isinstance(item, Mark):
            assert item.mark is not None or item.index is not None
            assert all(value is None or (math.isfinite(value) and value > 0) for value in (item.mark, item.index))
        elif isinstance(item, Funding):
            assert math.isfinite(item.rate)
            assert (item.interval_h is None) == (item.rate_8h is None)
            assert item.interval_h is None or 1 <= item.interval_h <= 24
            assert item.rate_8h is None or math.isfinite(item.rate_8h)
        elif isinstance(item, OpenInterest):
            for value in (item.contracts, item.contract_coins, item.coins):
                assert math.isfinite(value)
                assert value >= 0
        elif isinstance(item, Listing):
            assert item.contract_size is None or (math.isfinite(item.contract_size) and item.contract_size > 0)
            assert item.multiplier > 0
        elif isinstance(item, Liquidation | Flow | Positions | LongShort | HistoryPoint):
            check_sane_extra(item)
        elif isinstance(item, Candidate):
            assert item.contract_size > 0
            assert all(math.isfinite(value) for _, _, value in item.fields)
            assert all(value >= 0 for quantity, _, value in item.fields if quantity != "funding")
            assert all(value > 0 for quantity, _, value in item.fields if quantity in ("mark", "index"))
        elif isinstance(item, OiSides):
            assert item.sides in (1, 2, None)
            assert math.isfinite(item.ratio)
            assert item.compared >= LEAST_INSTRUMENTS
        elif not isinstance(item, Bad | Control):
            assert isinstance(item, Confirm | Skipped)
        if isinstance(
            item, Mark | Funding | OpenInterest | Candidate | Confirm | Liquidation | Flow | Positions | LongShort
        ):
            assert item.venue_ts is None or 1_262_304_000_000 <= item.venue_ts <= 4_102_444_800_000
            assert item.instrument
            assert item.symbol


def check_sane_extra(item: Liquidation | Flow | Positions | LongShort | HistoryPoint) -> None:
    """What every decoded item of an extra stream, and every point of history, must satisfy."""
    amounts: tuple[float, ...]
    match item:
        case Liquidation():
            assert item.coins > 0
            assert item.liquidated_side in ("long", "short")
            assert item.price is None or (math.isfinite(item.price) and item.price > 0)
            amounts = (item.coins,)
        case Flow():
            assert item.taker_buy_coins + item.taker_sell_coins > 0
            amounts = (item.taker_buy_coins, item.taker_sell_coins)
        case Positions():
            amounts = (item.long_coins, item.short_coins)
        case LongShort():
            assert item.long_share <= 1
            amounts = (item.long_share,)
        case HistoryPoint():
            assert item.hold_ms > 0
            assert item.stream != "funding" or item.interval_h is not None
            amounts = (abs(item.value),)
    assert all(math.isfinite(amount) and amount >= 0 for amount in amounts)


def check_mutations(venue: str, seed: int, rounds: int, contexts: Sequence[str] = ()) -> None:
    """Feed intact and mutated fixtures to one decoder: nothing but sane items ever comes out, nothing is raised.

    ``contexts``: further contexts of HTTP answers to try them under.
    """
    rng = random.Random(seed)
    documents = fixtures(venue)
    decoder = fresh(venue)
    for _ in range(rounds):
        document = rng.choice(documents)
        if rng.random() < 0.8:
            document = mutate(document, rng)
        text = json.dumps(document)
        if rng.random() < 0.05:
            text = text[: rng.randrange(len(text) + 1)]
        context = rng.choice(
            ("", "", "exchangeInfo", "fundingInfo", "instruments", "instruments:linear", "meta", *contexts)
        )
        found = decoder.decode(text if rng.random() < 0.5 else text.encode(), rng.choice((0, T0)), context)
        check_sane(found, venue)


def check_answers(decoder: Decoder, venue: str, rng: random.Random, context: str, rounds: int = 1) -> None:
    """Mutated fixtures as answers to one request: nothing but sane items comes out, nothing is raised."""
    for _ in range(rounds):
        for document in fixtures(venue):
            check_sane(decode(decoder, mutate(document, rng), context=context), venue)
