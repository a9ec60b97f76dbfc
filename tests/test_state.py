"""Dump and load: exact through JSON text, sharing nothing, and refusing what JSON would bend."""

from __future__ import annotations

import json
import math
from array import array
from collections import deque
from typing import Any, ClassVar

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import state
from service.state import Stateful


class Counter(Stateful):
    STATE = ("count", "label")

    def __init__(self, step: int = 1) -> None:
        self.step = step  # a parameter, not state
        self.count = 0
        self.label: str | None = None

    def tick(self) -> None:
        self.count += self.step


class Everything(Stateful):
    STATE = (
        "number", "whole", "flag", "nothing", "text", "listed", "fixed", "ring", "packed", "packs", "plain", "child",
        "family", "team",
    )  # fmt: skip

    def __init__(self) -> None:
        self.number = 0.0
        self.whole = 0
        self.flag = False
        self.nothing: float | None = None
        self.text = ""
        self.listed: list[Any] = []
        self.fixed: tuple[float, ...] = ()
        self.ring: deque[float] = deque(maxlen=3)
        self.packed = array("d")
        self.packs: dict[str, array[int]] = {}
        self.plain: dict[str, Any] = {}
        self.child = Counter()
        self.family: dict[str, Counter] = {}
        self.team = [Counter(), Counter(10)]

    def make(self, name: str, key: str) -> Stateful | None:
        return Counter(len(key)) if name == "family" else None


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | FLOATS | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)


def _filled(number: float, plain: Any) -> Everything:
    one = Everything()
    one.number, one.whole, one.flag, one.nothing, one.text = number, 7, True, number, "text"
    one.listed = [1, number, None, plain]
    one.fixed = (number, 2.0)
    one.ring.extend([1.0, 2.0, number, 4.0])
    one.packed.extend([number, math.inf, -0.0])
    one.packs = {"a": array("H", [1, 65535]), "b": array("q", [-1])}
    one.plain = {"x": plain, "y": {"z": [number]}}
    one.child.tick()
    one.family = {"one": Counter(3), "b": Counter(1)}
    one.family["one"].tick()
    one.team[1].tick()
    return one


@given(FLOATS, PLAIN)
def test_through_text_and_back(number: float, plain: Any) -> None:
    one, two = _filled(number, plain), Everything()
    text = orjson.dumps(one.dump())
    two.load(orjson.loads(text))
    assert orjson.dumps(two.dump()) == text
    assert json.loads(text) == one.dump()
    assert math.copysign(1.0, two.number) == math.copysign(1.0, number)
    assert (two.number, two.whole, two.flag, two.nothing, two.text) == (number, 7, True, number, "text")
    assert (two.listed, two.plain) == (one.listed, one.plain)
    assert two.fixed == one.fixed
    assert two.ring == deque([2.0, number, 4.0])
    assert two.ring.maxlen == 3
    assert two.packed == one.packed
    assert two.packs == one.packs
    assert list(two.family) == ["one", "b"]
    # behaviour goes on too, with the parameters of the receiver
    for member in (two.family["one"], two.team[1], two.child):
        member.tick()
    assert (two.family["one"].count, two.team[1].count, two.child.count) == (6, 20, 2)


def test_loading_replaces_what_was_there() -> None:
    two = _filled(5.0, "old")
    two.load(Everything().dump())
    assert two.dump() == Everything().dump()


def test_nothing_is_shared_with_the_plain_form() -> None:
    plain = _filled(1.5, [1, [2]]).dump()
    text = orjson.dumps(plain)
    first, second = Everything(), Everything()
    first.load(plain)
    second.load(plain)
    first.listed[3][1].append(9)
    first.plain["y"]["z"].append(9)
    first.packs["a"].append(9)
    first.ring.append(9.0)
    first.team[0].tick()
    assert orjson.dumps(plain) == text == orjson.dumps(second.dump())


def test_a_dump_is_a_snapshot() -> None:
    one = _filled(1.5, [1])
    text = orjson.dumps(plain := one.dump())
    one.listed.append(1)
    one.plain["y"]["z"].append(1)
    one.packed.append(1.0)
    assert orjson.dumps(plain) == text


@given(FLOATS, PLAIN)
def test_the_text_member_by_member_is_the_text_of_the_dump(number: float, plain: Any) -> None:
    one = _filled(number, plain)
    pieces = list(one.texts())
    assert b"".join(pieces) == orjson.dumps(one.dump())
    for name, counter in one.family.items():  # a piece of its own for each of them
        assert any(piece.endswith(orjson.dumps(name) + b":" + orjson.dumps(counter.dump())) for piece in pieces)
    for empty in (Everything(), Stateful()):
        assert b"".join(empty.texts()) == orjson.dumps(empty.dump())


def test_a_dict_of_plain_values_needs_no_make() -> None:
    class Tally(Stateful):
        STATE = ("seen",)

        def __init__(self) -> None:
            self.seen: dict[str, int] = {}

    one, two = Tally(), Tally()
    one.seen["a"] = 3
    two.load(one.dump())
    assert two.seen == {"a": 3}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_json_lacks_are_refused(bad: float) -> None:
    one = Everything()
    one.plain = {"deep": [bad]}
    with pytest.raises(ValueError, match="JSON has no such number"):
        one.dump()


@pytest.mark.parametrize("bad", [{1: 2}, {None: 2}, {"base64": "", "type": "d"}, {"a": object()}, {"a": {1, 2}}])
def test_what_is_not_plain_is_refused(bad: dict[Any, Any]) -> None:
    one = Everything()
    one.plain = bad
    with pytest.raises(TypeError, match="cannot dump"):
        one.dump()


@pytest.mark.parametrize(
    "plain", [None, [], "text", {}, {"count": 1}, {"count": 1, "label": None, "more": 2}, {"count": 1, "labels": 2}]
)
def test_another_shape_is_refused(plain: Any) -> None:
    counter = Counter()
    with pytest.raises(ValueError, match="Counter: state has"):
        counter.load(plain)
    assert counter.count == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("packed", {"type": "f", "base64": ""}),
        ("packed", [1.0]),
        ("packed", {"type": "d", "base64": "AAAA"}),
        ("packed", {"type": "d", "base64": "not base64!"}),
        ("packed", {"type": "d"}),
        ("team", []),
        ("team", [{"count": 1, "label": None}]),
        ("child", None),
        ("family", []),
        ("family", {"a": {"count": 1}}),
    ],
)
def test_a_wrong_member_is_refused(name: str, value: Any) -> None:
    plain = Everything().dump()
    plain[name] = value
    with pytest.raises(ValueError):  # noqa: PT011  # several texts, one kind
        Everything().load(plain)


@pytest.mark.parametrize("typecode", list("bBhHiIlLqQfd"))
def test_arrays_are_little_endian_whatever_the_machine(typecode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = array(typecode, [1, 2, 100])
    plain = state._pack(values)
    assert state._unpack(plain, typecode) == values
    monkeypatch.setattr(state.sys, "byteorder", "big")
    swapped = array(typecode, values)
    swapped.byteswap()
    assert state._pack(swapped) == plain
    assert state._unpack(plain, typecode) == swapped
    assert values == array(typecode, [1, 2, 100])


class Renamed(Stateful):
    STATE = ("now", "same")
    STORED: ClassVar = {"now": "before"}

    def __init__(self) -> None:
        self.now, self.same = 1, 2


def test_a_renamed_attribute_keeps_its_name_in_what_is_stored() -> None:
    """Cause guarded against: a better name in the code must not cost users what was saved under the old one."""
    made = Renamed()
    made.now = 7
    assert made.dump() == {"before": 7, "same": 2}
    assert b"".join(made.texts()) == orjson.dumps(made.dump())
    other = Renamed()
    other.load(made.dump())
    assert (other.now, other.same) == (7, 2)
    with pytest.raises(ValueError, match=r"state has \['now', 'same'\], expected \['before', 'same'\]"):
        other.load({"now": 7, "same": 2})
