"""The ledger's lines: one outcome each, chained by hashes, so that none can be changed, dropped or put in afterwards.

A line is JSON: the fields of its kind (:data:`KINDS`) in alphabetical order, then ``prev_hash`` and ``hash``. ``hash``
is the SHA-256, in hex, of the *canonical* text of the fields (keys sorted, no spaces, numbers as Python's json writes
them) followed by ``prev_hash``; the first line's ``prev_hash`` is 64 zeros.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from typing import Any

from service.deleveraging import BINS
from service.scoreboard.falls import EVENTS, Fall, hits_of
from service.scoreboard.outcome import HORIZONS, SIDES, Outcome, is_hit, log_return
from service.state import Stateful

GENESIS = "0" * 64
FIELDS = (
    "T", "at", "direction", "hit", "horizon", "in_hit", "in_ic", "p_hit", "price_at", "price_then", "ret", "score",
    "seq", "symbol",
)  # fmt: skip
_FELL = ("alone_10", "alone_5", "at", "fell", "hit_10", "hit_5", "seq", "symbol", "volatility_24h", "volatility_bin")
_PAIRS = {  # what is said of falls of 5 % and of 10 %
    "deleveraging": (("oi_5", "oi_10"), ("base_rate", "base_rate_10"), ("alone_5", "alone_10")),
    "event": (("alone_5", "alone_10"),),
}
# Kind of line -> its fields. The first kind there was, of directions, has no field ``kind``.
KINDS: Mapping[str | None, tuple[str, ...]] = {
    None: FIELDS,
    "deleveraging": ("T", *_FELL, "base_rate", "base_rate_10", "kind", "oi_10", "oi_5"),
    "event": ("T", *_FELL, "event", "kind"),
}
_WORDS = {None: "null", True: "true", False: "false"}
_DIRECTIONS = {None: "null", "long": '"long"', "short": '"short"', "neutral": '"neutral"'}
_NAMES = tuple(name for name, _ in HORIZONS)
_HEX = set("0123456789abcdef")


def canonical(fields: dict[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _text(seq: int, outcome: Outcome | Fall) -> str:
    """The canonical text. Of a direction written out, in a tenth of the time: they are nearly all. A test keeps the
    two ways equal."""
    if isinstance(outcome, Fall):
        kind = "deleveraging" if outcome.event is None else "event"
        fields = {**outcome._asdict(), "T": outcome.ts, "kind": kind, "seq": seq}
        return canonical({name: fields[name] for name in KINDS[kind]})
    at, price_at, ret = outcome.at, outcome.price_at, outcome.ret
    return (
        f'{{"T":{outcome.ts},"at":{"null" if at is None else at},"direction":{_DIRECTIONS[outcome.direction]}'
        f',"hit":{_WORDS[outcome.hit]},"horizon":"{outcome.horizon}"'
        f',"in_hit":{_WORDS[outcome.in_hit]},"in_ic":{_WORDS[outcome.in_ic]},"p_hit":{outcome.p_hit!r}'
        f',"price_at":{"null" if price_at is None else repr(price_at)},"price_then":{outcome.price_then!r}'
        f',"ret":{"null" if ret is None else repr(ret)},"score":{outcome.score!r},"seq":{seq}'
        f',"symbol":{json.dumps(outcome.symbol)}}}'
    )


def _hash(text: str, prev: str) -> str:
    return sha256((text + prev).encode()).hexdigest()


def _line(text: str, prev: str, found: str) -> bytes:
    return f'{text[:-1]},"prev_hash":"{prev}","hash":"{found}"}}'.encode()


class Chain(Stateful):
    """The end of the chain: how many lines there are, and the hash of the last one."""

    STATE = ("hash", "seq")
    __slots__ = ("hash", "seq")

    def __init__(self) -> None:
        self.seq = 0
        self.hash = GENESIS

    def add(self, outcome: Outcome | Fall) -> tuple[str, str, str]:
        """Go on by one line: its canonical text, the hash before it and its own, for :func:`written`."""
        self.seq += 1
        prev = self.hash
        text = _text(self.seq, outcome)
        self.hash = _hash(text, prev)
        return text, prev, self.hash


def written(parts: tuple[str, str, str]) -> bytes:
    """A line without its newline."""
    return _line(*parts)


@dataclass(frozen=True, slots=True)
class Checked:
    """What :func:`verify` found. ``first_prev``: the hash that the first line follows; ``seq``, ``hash``: the end.

    ``broken``: number of the first line, from 1, that does not fit, and ``why``; None where all do.
    """

    lines: int
    first_prev: str
    first_seq: int
    seq: int
    hash: str
    broken: int | None = None
    why: str = ""


def verify(
    lines: Iterable[bytes],
    prev: str | None = None,
    seq: int | None = None,
    each: Callable[[Outcome | Fall], None] | None = None,
) -> Checked:
    """Check a ledger's lines (without newlines) in order, up to the first that is broken; ``each`` gets the whole ones.

    ``prev`` and ``seq``: end of the part before; where not given the first line is taken at its word, for a ledger may
    begin in the middle (``first_seq`` 1 and ``first_prev`` :data:`GENESIS` mean that it does not). A tail cut off as a
    whole leaves no trace in the lines: compare ``hash`` with one that was published.
    """
    count = 0
    first_prev, first_seq = prev or GENESIS, 1 if seq is None else seq + 1
    last_hash, last_seq = prev or GENESIS, 0 if seq is None else seq
    for line in lines:
        count += 1
        found, why = _parsed(line)
        if why == "" and found["prev_hash"] != last_hash and (prev is not None or count > 1):
            why = "prev_hash is not the hash of the line before"
        if why == "" and found["seq"] != last_seq + 1 and (seq is not None or count > 1):
            why = f"seq {found['seq']} does not follow {last_seq}"
        if why != "":
            return Checked(count, first_prev, first_seq, last_seq, last_hash, count, why)
        if count == 1:
            first_prev, first_seq = found["prev_hash"], found["seq"]
        last_hash, last_seq = found["hash"], found["seq"]
        if each is not None:
            each(_outcome(found))
    return Checked(count, first_prev, first_seq, last_seq, last_hash)


def read_line(line: bytes) -> Outcome | Fall:
    """The outcome of a line that :func:`verify` has passed."""
    return _outcome(json.loads(line))


def _outcome(fields: dict[str, Any]) -> Outcome | Fall:
    known = {"ts": fields["T"], **fields}
    if "kind" in fields:
        absent: dict[str, Any] = dict.fromkeys(Fall._fields)  # an event has no probability, and the other way round
        return Fall(**{name: known.get(name, absent[name]) for name in Fall._fields})
    return Outcome(**{name: known[name] for name in Outcome._fields})


def _parsed(line: bytes) -> tuple[dict[str, Any], str]:
    """The line's object and an empty text, or why it cannot be one of ours."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}, "not JSON"
    if not isinstance(found, dict):
        return {}, "not the fields of a ledger line"
    kind = found.get("kind")
    fields = KINDS.get(kind) if kind is None or isinstance(kind, str) else None
    if fields is None or set(found) != {*fields, "prev_hash", "hash"}:
        return {}, "not the fields of a ledger line"
    if not _is_whole(found["seq"]) or not all(_is_hash(found[name]) for name in ("prev_hash", "hash")):
        return {}, "seq or a hash is of a wrong type"
    try:
        text = canonical({name: found[name] for name in fields})
    except ValueError:
        return {}, "a number that JSON does not have"
    if _hash(text, found["prev_hash"]) != found["hash"]:
        return {}, "hash does not fit the line"
    if _line(text, found["prev_hash"], found["hash"]) != line:
        return {}, "not in canonical form"
    return found, _contradiction(found) if kind is None else _fall_contradiction(found)


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= _HEX


def _contradiction(found: dict[str, Any]) -> str:
    """Where the numbers of a rightly hashed line contradict each other; empty where they do not."""
    try:
        if found["horizon"] not in _NAMES:
            return "an unknown horizon"
        if not _is_typed(found):
            return "a value of a wrong type"
        if not (-1.0 <= found["score"] <= 1.0 and 0.0 <= found["p_hit"] <= 1.0):
            return "a score or a p_hit out of its range"
        if found["in_hit"] and found["direction"] not in SIDES:
            return "in_hit without a direction"
        if found["at"] is None:
            return "" if found["ret"] is found["price_at"] is found["hit"] is None else "lost, and yet with an outcome"
        if found["ret"] != log_return(found["price_then"], found["price_at"]):
            return "ret is not ln(price_at / price_then)"
        if found["hit"] is not is_hit(found["direction"], found["ret"]):
            return "hit does not follow from direction and ret"
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return "a value of a wrong type"
    return ""


def _is_typed(found: dict[str, Any]) -> bool:
    """Whether what comes of the line can be counted. A liar has our code and hashes rightly; he must not stop us."""
    numbers = [found[name] for name in ("score", "p_hit", "price_then")]
    if found["at"] is not None:
        numbers += [found["price_at"], found["ret"]]
    return (
        all(type(value) is float and isfinite(value) for value in numbers)
        and _is_whole(found["T"])
        and (found["at"] is None or _is_whole(found["at"]))
        and type(found["in_hit"]) is type(found["in_ic"]) is bool
        and type(found["symbol"]) is str
        and (found["direction"] is None or found["direction"] in ("long", "short", "neutral"))
    )


def _fall_contradiction(found: dict[str, Any]) -> str:
    """The same of a line that is judged by open interest."""
    volatility, place, event = found["volatility_24h"], found["volatility_bin"], found["kind"] == "event"
    pairs = [(found[five], found[ten]) for five, ten in _PAIRS[found["kind"]]]
    if event and found["event"] not in EVENTS:
        return "an unknown event"
    if event and place is None and pairs == [(None, None)] and volatility in (None, 0.0):
        pairs = []  # the volatility was not known then
    elif type(place) is not int or not _is_number(volatility) or not all(_is_number(p) for pair in pairs for p in pair):
        return "a value of a wrong type"
    if not (
        (volatility is None or _is_number(volatility))
        and _is_whole(found["T"])
        and type(found["symbol"]) is str
        and (found["at"] is None or (_is_whole(found["at"]) and _is_number(found["fell"])))
    ):
        return "a value of a wrong type"
    if not all(0.0 <= ten <= five <= 1.0 for five, ten in pairs):
        return "probabilities out of their range, or 10 % likelier than 5 %"
    if (place is not None and not 0 <= place < BINS) or (volatility is not None and volatility < 0.0):
        return "a volatility out of its range"
    if found["at"] is None and found["fell"] is not None:
        return "lost, and yet with an outcome"
    if any(found[name] is not hit for name, hit in zip(("hit_5", "hit_10"), hits_of(found["fell"]), strict=True)):
        return "hits do not follow from fell"
    return ""


def _is_whole(value: Any) -> bool:
    """A count or a time that others can read, too."""
    return type(value) is int and 0 <= value < 1 << 53


def _is_number(value: Any) -> bool:
    return type(value) is float and isfinite(value)
