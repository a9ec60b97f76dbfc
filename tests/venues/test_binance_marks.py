"""The short way for `markPriceUpdate` tells what the long way tells, of anything, and remembers the same."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from service.model import Bad, Decoded, Funding, Mark
from service.venues.binance.marks import HINT, read_marks
from service.venues.binance.messages import BinanceDecoder
from service.venues.contract import Catalog
from tests.venues.frames import GARBAGE, T0

NAME = "binance_usdm"
HOUR = 3_600_000
T8 = 1_763_712_000_000  # 08:00 UTC
SYMBOLS = ("BTCUSDT", "1000PEPEUSDT", "PEPEUSDT", "SOLUSDC", "ETHUSDT_260327", "ETHBTC", "NEWUSDT")
# Texts that one of the two JSON readers might take for a number, or a number for another.
TRICKS = (
    "1.5,2.5", "[1.5", "2.5]", "[1.5]", "1.5 ", " 1.5", "1.5\n", "\t1.5", "1.5\\n", "\\u0031.5", '1.5"', "true", "null",
    "1", "-0.0", "-0.00000000", "1e5", "1.5e2", "1.5E+2", "1e999", "1.5e400", "1.5e-400", "0.0", "01.5", "1.", ".5",
    "+1.5", "nan", "NaN", "Infinity", "1_0.5", "0." + "1" * 62, "0." + "1" * 63, "9" * 70, "", "-", "\u0661.5", "1.5,",
    "1000000000.1", "0.0000000000000001", "1.0000000001", "-1.0000000001",
)  # fmt: skip


def event(symbol: str = "BTCUSDT", **fields: Any) -> dict[str, Any]:
    return {
        "e": "markPriceUpdate", "E": T8 + 5000, "s": symbol, "p": "91234.50000000", "ap": "91233.25000000",
        "P": "91300.12500000", "i": "91240.75000000", "r": "0.00004321", "T": T8 + 8 * HOUR, "st": 1, **fields,
    }  # fmt: skip


def compact(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"))


def catalog() -> Catalog:
    made = Catalog()
    decoder = BinanceDecoder(NAME, False, made)
    rows = [
        {"symbol": symbol, "contractType": "PERPETUAL", "quoteAsset": quote, "baseAsset": base, "status": "TRADING"}
        for symbol, base, quote in (
            ("BTCUSDT", "BTC", "USDT"), ("1000PEPEUSDT", "1000PEPE", "USDT"), ("PEPEUSDT", "PEPE", "USDT"),
            ("SOLUSDC", "SOL", "USDC"), ("ETHBTC", "ETH", "BTC"),
        )
    ]  # fmt: skip
    decoder.decode(compact({"symbols": rows}), T0, "exchangeInfo")
    decoder.decode(compact([{"symbol": "SOLUSDC", "fundingIntervalHours": 4}]), T0, "fundingInfo")
    return made


class Both:
    """The decoder, and one that knows the long way only."""

    def __init__(self) -> None:
        self.catalogs = (catalog(), catalog())
        self.decoder, self._long = (BinanceDecoder(NAME, False, each) for each in self.catalogs)

    def decode(self, raw: str) -> list[Decoded]:
        """What both say of a frame, having made sure that it is the same."""
        long = self._long._emit.frame(raw, T0)
        found = self.decoder.decode(raw, T0)
        assert found == long, raw
        assert [repr(item) for item in found] == [repr(item) for item in long], raw  # 1 == 1.0, 0.0 == -0.0
        one, other = (vars(each) for each in self.catalogs)
        assert one == other, raw
        return found

    def takes(self, raw: str) -> bool:
        """Whether the short way reads the frame itself."""
        return HINT in raw and read_marks(raw, BinanceDecoder(NAME, False, catalog())._emit)


@pytest.mark.parametrize(
    "document",
    [
        event(),
        event("PEPEUSDT", r="-0.00000000"),
        event("SOLUSDC", E=T8 + 4 * HOUR, T=T8 + 4 * HOUR),
        event("ETHBTC"),
        event(T=T8, E=T8 + 700_000),  # the schedule is broken: one bad item
        event(T=0),
        event(T=5),
        event(p="91234"),
        {"stream": "btcusdt@markPrice@1s", "data": event()},
        [event(symbol) for symbol in SYMBOLS],
        [event(), event("ETHUSDT_260327", r="", T=0), event("SOLUSDC", T=T8 + 4 * HOUR)],
        [{key: event()[key] for key in ("e", "E", "s", "p", "i", "r", "T")}],
        [event(), {key: value for key, value in event("BTCUSD_PERP").items() if key not in ("st", "ap")}],
    ],
)
def test_documented_frames_go_the_short_way(document: Any) -> None:
    both = Both()
    assert both.takes(compact(document))
    assert both.decode(compact(document)) == both.decode(json.dumps(document))


@pytest.mark.parametrize(
    "document",
    [
        event(new="field"), event(i=91240.75), event(r=""), event(p=None), event(E="5"),
        event(e="aggTrade"), event(s=""), event(s="x" * 65), [], [[]], {}, "markPriceUpdate", [event(), event(p="")],
        event(i="1e999"), event(p="-91234.5"), event(st=1e300), event(st=2), event(st=0),
        [event(), event("BTCUSD_PERP", st=2)], [event(), event("SOLUSDC", st=2, T=T8 + 4 * HOUR)],
    ],
)  # fmt: skip
def test_anything_else_is_left_to_the_long_way(document: Any) -> None:
    both = Both()
    assert not both.takes(compact(document))
    both.decode(compact(document))


def test_a_rollover_measures_the_interval_on_either_way() -> None:
    both = Both()
    frames = [
        event(E=T8 - 1000, T=T8), event(E=T8 + 1000, T=T8 + 4 * HOUR), event(E=T8 - 500, T=T8),
        event(E=T8 + 2000, T=T8 + 4 * HOUR), event(E=T8 + 3000, T=T8 + 3 * HOUR),
    ]  # fmt: skip
    hours = [
        [item.interval_h for item in both.decode(compact(frame)) if isinstance(item, Funding)]
        for frame in (*frames, [*frames, event("SOLUSDC", T=T8 + 4 * HOUR)])
    ]
    assert hours == [[8.0], [4.0], [4.0], [4.0], [None], [None, None, None, None, None, 4.0]]


@pytest.mark.parametrize(
    "document",
    [
        [event(E=T8 - 1000, T=T8), event(E=T8 + 1000, T=T8 + 4 * HOUR), event(E=T8 + 2000, T=T8 + 4 * HOUR)],
        [event(E=1_262_304_000_000, T=1_262_303_999_000)],  # a `T` below all bounds, but not late
        event(E=1_262_304_000_000, T=1_262_303_999_000),
        [event(), event("ETHBTC"), event("ETHUSDT_260327"), event("SOLUSDC"), event()],
        event(E=float(T8), T=float(T8)),
        {"data": event(), "stream": None},
    ],
)
def test_frames_that_a_shorter_way_could_get_wrong(document: Any) -> None:
    """Cause: a rollover inside an array was measured too late for the same symbol further on in it."""
    both = Both()
    both.decode(compact(document))
    both.decode(compact(document))


@pytest.mark.parametrize("place", ['"ap":"', "}"])
def test_a_lone_surrogate_is_no_json(place: str) -> None:
    """Cause: msgspec refuses such a text with another error than any other."""
    for document in (event(), [event()]):
        head, found, tail = compact(document).rpartition(place)
        assert [type(item) for item in Both().decode(f"{head}{found}\ud800{tail}")] == [Bad]


def test_fuzzed_frames_are_told_alike() -> None:
    """Cause: a reader that is quicker and a little less strict would take what the other refuses."""
    rng = random.Random(20261130)
    both = Both()
    told = refused = short = 0
    for number in range(20_000):
        if number % 500 == 0:
            both = Both()
        raw = compact(_document(rng))
        if rng.random() < 0.3:
            raw = _damaged(raw, rng)
        found = both.decode(raw)
        told += any(isinstance(item, Mark) for item in found)
        refused += any(isinstance(item, Bad) for item in found)
        short += both.takes(raw) if number % 20 == 0 else 0
    assert told > 5000
    assert refused > 5000
    assert short > 100  # of 1000


def _document(rng: random.Random) -> Any:
    events = [_event(rng) for _ in range(rng.choice((1, 1, 1, 2, 3, 9)))]
    if len(events) > 1 or rng.random() < 0.2:
        return events if rng.random() < 0.9 else {"stream": "!markPrice@arr@1s", "data": events}
    return events[0] if rng.random() < 0.6 else {"stream": "btcusdt@markPrice@1s", "data": events[0]}


def _event(rng: random.Random) -> dict[str, Any]:
    at = T8 + rng.randrange(-9 * HOUR, 9 * HOUR)
    made = event(
        rng.choice(SYMBOLS),
        E=at,
        p=f"{rng.uniform(0.001, 90000):.8f}",
        r=f"{rng.gauss(0, 0.001):.8f}",
        T=T8 + rng.choice((-8, 0, 0, 4, 8, 8, 8)) * HOUR,
    )
    for _ in range(rng.choice((0, 0, 0, 0, 1, 1, 2))):
        key = rng.choice(list(made))
        act = rng.randrange(5)
        if act == 0:
            del made[key]
        elif act == 1:
            made[key] = rng.choice(GARBAGE)
        elif act == 2:
            made[f"{key}x"] = made[key]
        elif act == 3:
            made = dict(rng.sample(list(made.items()), len(made)))
        else:
            made[rng.choice("piPr")] = rng.choice(TRICKS)
    return made


def _damaged(raw: str, rng: random.Random) -> str:
    at = rng.randrange(len(raw))
    act = rng.randrange(6)
    if act == 0:
        return raw[:at]
    if act == 1:
        return raw[:at] + rng.choice('{}[],:"\\ \n\t\x00é0.-eE') + raw[at:]
    if act == 2:
        return raw[:at] + raw[at + 1 :]
    if act == 3:
        return raw.replace('"st":1', rng.choice(('"st":1e999', '"st":01', '"st":1,"st":2', '"st":"\\ud800"')))
    if act == 4:
        return raw.replace(
            rng.choice(("0", "1", ".")),
            rng.choice(("\\u0030", "\\u0020", "\\n", "\\t1", '\\"', "1,2", "],[")),
            1 + at % 3,
        )
    return raw[:at] + rng.choice('0123456789.-eE,"') + raw[at + 1 :]
