"""Shared decoder parts: parsing guards, settlement spacings, delisting by absence."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from service.errors import BadPayload
from service.model import Bad, Control, Decoded, Listing, Mark, Skipped
from service.venues.contract import Catalog
from service.venues.emit import PONG, Emit, contract_coins
from service.venues.funding_schedule import HOUR_MS, spacings_h
from service.venues.numbers import number, price
from service.venues.reading import document, echo, flag, is_buy, items, label, mapping, readable, said

START = 1_700_000_000_000


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "bad_json"),
        ("NaN", "bad_json"),
        ('{"a":1e999}', "bad_json"),
        ("[" * 2000, "too_deep"),
        (b"\xff", "bad_json"),
    ],
)
def test_document_refuses(raw: str | bytes, reason: str) -> None:
    with pytest.raises(BadPayload, match=reason):
        document(raw)


def test_types_are_checked() -> None:
    assert mapping({}, "x") == {}
    assert items([], "x") == []
    assert label("", "x") == ""
    assert label("a" * 99, "x") == "a" * 64
    assert flag(True, "x") is True
    for call in (lambda: mapping([], "x"), lambda: items({}, "x"), lambda: label(None, "x"), lambda: flag(1, "x")):
        with pytest.raises(BadPayload, match="wrong_type"):
            call()


def test_echo_is_bounded_text() -> None:
    assert echo("a" * 500) == "a" * 200
    assert echo(7) == "7"
    assert echo(None) == echo({}) == echo([1]) == ""


def test_absent_or_empty_is_unsaid_never_zero() -> None:
    assert said({}, "a", price) is None
    assert said({"a": ""}, "a", price) is None
    assert said({"a": "2.5"}, "a", price) == 2.5
    with pytest.raises(BadPayload):
        said({"a": None}, "a", price)
    assert readable({"a": None}, "a", price) is None  # the stream it belongs to says what is wrong


def test_sides() -> None:
    assert is_buy("Buy")
    assert is_buy("buy")
    assert not is_buy("SELL")
    for value, reason in (("long", "unknown_shape"), ("", "unknown_shape"), (None, "wrong_type"), (1, "wrong_type")):
        with pytest.raises(BadPayload, match=reason):
            is_buy(value)


@pytest.mark.parametrize(
    ("inverse", "size", "multiplier", "coins"),
    [
        (False, 0.01, 1.0, 0.01),  # linear: whatever the price
        (False, None, 1.0, None),
        (True, 10.0, 1.0, 0.004),  # 10 dollars at 2,500
        (True, 10.0, 0.001, 0.000004),  # priced per token, counted in thousands
        (True, None, 1.0, None),
    ],
)
def test_coins_per_contract(inverse: bool, size: float | None, multiplier: float, coins: float | None) -> None:
    assert contract_coins(Listing("v", "X", "X", inverse, size, multiplier, None, True, 0), 2500.0) == coins


COIN = Listing("venue", "COIN", "COIN", False, 1.0, 1.0, None, True, 0)


def emit() -> Emit:
    return Emit("venue", Catalog(), lambda name: COIN if name == "COIN" else None, lambda parsed, context: None)


def test_a_refusal_and_a_missing_field_become_one_bad_item_each() -> None:
    told = emit()

    def refuse(row: dict[str, str]) -> None:
        raise BadPayload("bad_number", "x")

    def read(row: dict[str, str]) -> None:
        told.control("info", None, row["text"])

    assert not told.guard(refuse, {})
    assert told.guard(read, {"text": "fine"})
    told.each([{}, {"text": "fine, too"}], "rows", read)
    assert told.out == [
        Bad("bad_number", "x"),
        Control("info", None, "fine"),
        Bad("missing_field", "text"),
        Control("info", None, "fine, too"),
    ]
    with pytest.raises(BadPayload, match="wrong_type"):
        told.each({}, "rows", read)


def test_a_frame_begins_anew_and_keeps_what_was_told_before_it_broke() -> None:
    def read(parsed: dict[str, float], context: str) -> None:
        told.mark(COIN, parsed["mark"], None, 5)
        told.control("info", context, str(parsed["text"]))

    told = Emit("venue", Catalog(), lambda name: None, read)
    first = told.frame('{"mark":2.5}', 7, "asked")
    assert first == [Mark("venue", "COIN", "COIN", 2.5, None, 5, 7), Bad("missing_field", "text")]
    second = told.frame(b'{"mark":2.5,"text":"all"}', 8, "asked")
    assert second == [Mark("venue", "COIN", "COIN", 2.5, None, 5, 8), Control("info", "asked", "all")]
    assert len(first) == 2


@pytest.mark.parametrize("raw", ["pong", b"pong", "ping", b"ping", "pang", b"pang", "", b"\xff\xff\xff\xff", "ponging"])
def test_text_that_is_no_json(raw: str | bytes) -> None:
    found = emit().frame(raw, 7)
    known: dict[str | bytes, list[Decoded]] = {"pong": [PONG], b"pong": [PONG], "ping": [], b"ping": []}
    assert [type(item) for item in found] == [Bad] if raw not in known else found == known[raw]


def test_a_name_is_looked_up_once_and_foreign_ones_stay_out() -> None:
    told = emit()
    assert told.listing("COIN") is COIN
    assert told.listing("OTHER") is None
    told.refuse("COIN")
    assert told.listing("COIN") is None
    told.listed(COIN)
    assert told.listing("COIN") is COIN
    for name, reason in ((None, "wrong_type"), ([], "wrong_type"), ("", "bad_name"), ("x" * 65, "bad_name")):
        with pytest.raises(BadPayload, match=reason):
            told.listing(name)


def test_what_is_foreign_is_left_out_and_said_at_each_row_that_names_it() -> None:
    told = emit()
    told.refuse("COIN", "not_crypto")
    assert (told.listing("COIN"), told.find("COIN"), told.find("OTHER")) == (None, None, None)
    assert told.listing("AB-26MAR27") is None
    assert told.out == [
        Skipped("venue", "COIN", "not_crypto"),
        Skipped("venue", "COIN", "not_crypto"),
        Skipped("venue", "AB-26MAR27", "dated"),
    ]


def test_what_turns_out_to_be_foreign_is_delisted_and_forgotten() -> None:
    told = emit()
    told.listed(COIN)
    told.refuse("COIN", "not_crypto")
    assert told.out[1:] == [replace(COIN, trading=False, recv_ts=0), Skipped("venue", "COIN", "not_crypto")]
    assert told.listing("COIN") is None


def rows_of_metadata(told: Emit, context: str, more: str, *rows: dict[str, Any]) -> list[Decoded]:
    """One page of a made-up list: each row says its name, whether it trades, and its size."""

    def terms(name: str, row: dict[str, Any]) -> Listing | str:
        size = number(row["size"], 1e-9, 1e9)
        return Listing("venue", name, name, False, size, 1.0, None, row["open"], told.recv_ts)

    def read(parsed: Any, asked: str) -> None:
        told.each(parsed, "rows", lambda row: told.instrument(row["name"], row, terms, lambda row: bool(row["open"])))
        told.delist_absent(asked, more)

    told._read = read
    return told.frame(orjson.dumps(rows), 7, context)


def row(name: str, open: bool = True, size: object = 1) -> dict[str, Any]:
    return {"name": name, "open": open, "size": size}


def trading(told: Emit) -> set[str]:
    return {name for name, listing in told.catalog.listings.items() if listing.trading}


def test_a_row_before_its_launch_is_left_out_quietly_and_keeps_nobody_listed() -> None:
    """Cause: its size of 0 was refused, and an answer with a refused row delisted nobody."""
    told = emit()
    rows_of_metadata(told, "all", "", row("A"), row("B"))
    found = rows_of_metadata(told, "all", "", row("A"), row("NEW", False, 0))
    assert [type(item) for item in found] == [Listing, Listing]
    assert trading(told) == {"A"}
    rows_of_metadata(told, "all", "", row("A"), row("NEW", True, 3))
    assert trading(told) == {"A", "NEW"}
    assert told.catalog.listings["NEW"].contract_size == 3.0
    rows_of_metadata(told, "all", "", row("A"), row("NEW", False, ""), row("B"))
    assert trading(told) == {"A", "B"}  # relisted, and closed without terms


def test_a_malformed_row_costs_itself_keeps_what_was_known_and_nobody_else() -> None:
    told = emit()
    rows_of_metadata(told, "all", "", row("A"), row("B", True, 2), row("C"))
    found = rows_of_metadata(told, "all", "", row("A"), row("B", True, "?"))
    assert [item.reason for item in found if isinstance(item, Bad)] == ["bad_number"]
    assert trading(told) == {"A", "B"}
    assert told.catalog.listings["B"].contract_size == 2.0


def test_an_answer_that_names_nothing_delists_nobody() -> None:
    told = emit()
    rows_of_metadata(told, "all", "", row("A"))
    assert rows_of_metadata(told, "all", "") == []
    rows_of_metadata(told, "all", "", {"open": True})
    assert trading(told) == {"A"}


def test_a_list_of_several_pages_delists_what_no_page_names() -> None:
    told = emit()
    rows_of_metadata(told, "all", "", row("A"), row("B"), row("C"))
    assert rows_of_metadata(told, "all", "c/1", row("A"))[-1] == Control("more", None, "c/1")
    assert trading(told) == {"A", "B", "C"}
    rows_of_metadata(told, "all|page:c/1", "", row("C"))
    assert trading(told) == {"A", "C"}


def test_a_list_of_which_a_page_is_missing_delists_nobody() -> None:
    told = emit()
    rows_of_metadata(told, "all", "", row("A"), row("B"), row("C"))
    rows_of_metadata(told, "all", "2", row("A"))  # the next page failed: the list is asked for again
    rows_of_metadata(told, "all", "2", row("B"))
    rows_of_metadata(told, "all|page:2", "", row("C"))
    assert trading(told) == {"B", "C"}  # of the list that came whole
    rows_of_metadata(told, "all|page:2", "", row("C"))
    assert trading(told) == {"B", "C"}  # a page without its first


def test_an_index_that_cannot_be_trusted_costs_itself() -> None:
    told = emit()
    assert told.index_in({"i": "2.5"}, "i") == 2.5
    assert told.index_in({"i": ""}, "i") is None
    assert told.out == []
    assert [told.index_in(fields, "i") for fields in ({"i": "0"}, {}, {"i": None})] == [None, None, None]
    assert [item.reason for item in told.out if isinstance(item, Bad)] == [
        "out_of_bounds",
        "missing_field",
        "wrong_type",
    ]


def test_spacings() -> None:
    hours = (0, 4, 8, 9, 25, 26.5)
    times = [START + int(hour * HOUR_MS) for hour in hours]
    found = spacings_h(times, (1, 4))
    assert [found[at] for at in times] == [4.0, 4.0, 4.0, 1.0, None, None]
    assert spacings_h([START], (1,)) == {}
    assert spacings_h([], (1,)) == {}


@given(st.lists(st.integers(0, 40), min_size=2, max_size=20, unique=True), st.integers(0, 59_000))
def test_spacings_ignore_order_and_small_delays(hours: list[int], jitter_ms: int) -> None:
    exact = [START + hour * HOUR_MS for hour in hours]
    late = [at + (jitter_ms if index % 2 else 0) for index, at in enumerate(exact)]
    one, other = spacings_h(exact, (1, 2, 4, 8)), spacings_h(list(reversed(late)), (1, 2, 4, 8))
    assert [one[at] for at in exact] == [other[at] for at in late]
