"""BitMEX: the table protocol, contracts to coins (inverse, linear, quanto), what an update vouches for."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.config import MarketSection
from service.errors import BadPayload
from service.market import Market
from service.model import Confirm, Control, Decoded, Funding, Listing, Mark, OpenInterest, Skipped
from service.venues.bitmex.metadata import canonical_base, contract_size, interval_h
from service.venues.bitmex.venue import Bitmex
from service.venues.contract import Catalog, Decoder
from service.venues.decoding import frames_in
from tests.venues.frames import (
    T0,
    check_mutations,
    check_sane,
    decode,
    fixtures,
    fresh,
    left_out,
    load,
    mutate,
    reasons,
    told,
)

VENUE = Bitmex()
NAME = "bitmex"
NEXT = 1763726400000
PARTIAL_TS = 1763719200500


def started(*fixtures: str, catalog: Catalog | None = None) -> Decoder:
    decoder = fresh(NAME, catalog)
    for name in fixtures or ("ws_partial_inverse",):
        assert reasons(decode(decoder, load(NAME, name))) == []
    return decoder


def update(symbol: str = "XBTUSD", **fields: object) -> dict[str, Any]:
    return {"table": "instrument", "action": "update", "data": [{"symbol": symbol, **fields}]}


def partial(fixture: str = "ws_partial_inverse", drop: tuple[str, ...] = (), **changes: object) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(load(NAME, fixture))
    frame["data"][0].update(changes)
    for key in drop:
        del frame["data"][0][key]
    return frame


def confirm(*streams: str, instrument: str = "XBTUSD", symbol: str = "BTC", ts: int | None = None) -> Decoded:
    return Confirm(NAME, instrument, symbol, streams, ts, T0)  # type: ignore[arg-type]


def at(second: float, **fields: object) -> dict[str, Any]:
    """An update of XBTUSD stamped ``second`` after ten o'clock; the partial is of 0.5."""
    return update(timestamp=f"2025-11-21T10:00:{second:06.3f}Z", **fields)


XBTUSD = Listing(NAME, "XBTUSD", "BTC", True, 1.0, 1.0, 8.0, True, T0)
DOTUSDT = Listing(NAME, "DOTUSDT", "DOT", False, 0.01, 1.0, 8.0, True, T0)
ETHUSD = Listing(NAME, "ETHUSD", "ETH", False, None, 1.0, 8.0, True, T0)


def test_inverse_partial() -> None:
    assert decode(fresh(NAME), load(NAME, "ws_partial_inverse")) == [
        XBTUSD,
        Mark(NAME, "XBTUSD", "BTC", 80000.0, 80010.0, PARTIAL_TS, T0),
        Funding(NAME, "XBTUSD", "BTC", 0.00013, 8.0, 0.00013, NEXT, False, PARTIAL_TS, T0),
        OpenInterest(NAME, "XBTUSD", "BTC", 320e6, 1 / 80000, 4000.0, True, PARTIAL_TS, T0),
    ]


def test_linear_partial() -> None:
    at = 1763719201000
    assert decode(fresh(NAME), load(NAME, "ws_partial_linear")) == [
        DOTUSDT,
        Mark(NAME, "DOTUSDT", "DOT", 2.5375, 2.5425, at, T0),
        Funding(NAME, "DOTUSDT", "DOT", -0.00002, 8.0, -0.00002, NEXT, False, at, T0),
        OpenInterest(NAME, "DOTUSDT", "DOT", 31.5e6, 0.01, 315000.0, False, at, T0),
    ]


def test_quanto_is_converted_through_the_bitcoin_index() -> None:
    """1,000,000 contracts of 100 satoshi a dollar of price: 1 BTC per dollar, 80,010 USD, whatever ETH costs."""
    found = decode(started(), load(NAME, "ws_partial_quanto"))
    interest = found[-1]
    assert found[0] == ETHUSD
    assert isinstance(interest, OpenInterest)
    assert interest.contract_coins == pytest.approx(0.08001, rel=1e-12)
    assert (interest.coins, interest.derived) == (pytest.approx(80010.0, rel=1e-12), True)
    in_bitcoin = 300000000000 / 1e8  # openValue
    assert interest.coins * 3000.0 / 80010.0 == pytest.approx(in_bitcoin, rel=1e-12)


def test_quanto_waits_for_bitcoin_and_is_then_told() -> None:
    decoder = fresh(NAME)
    assert decode(decoder, load(NAME, "ws_partial_quanto"))[-1] == Skipped(NAME, "ETHUSD", "no_mark")
    tick = update("ETHUSD", lastPrice=3002.5)
    assert decode(decoder, tick) == [confirm("mark", "funding", instrument="ETHUSD", symbol="ETH")]
    decode(decoder, load(NAME, "ws_partial_inverse"))
    interest, confirmed = decode(decoder, tick)
    assert isinstance(interest, OpenInterest)
    assert interest.venue_ts is None
    assert confirmed == confirm("mark", "funding", instrument="ETHUSD", symbol="ETH")
    everything = confirm("mark", "funding", "oi", instrument="ETHUSD", symbol="ETH")
    assert decode(decoder, tick) == [everything]


def test_quanto_is_not_converted_through_an_old_bitcoin() -> None:
    decoder = started("ws_partial_inverse", "ws_partial_quanto")
    change = update("ETHUSD", openInterest=1000001)
    assert isinstance(decode(decoder, change, T0 + 60_000)[0], OpenInterest)
    assert decode(decoder, change, T0 + 60_001)[0] == Skipped(NAME, "ETHUSD", "no_mark")
    decode(decoder, load(NAME, "ws_update_last_price"), T0 + 60_001)  # the bitcoin row is alive
    assert isinstance(decode(decoder, change, T0 + 60_001)[0], OpenInterest)


def test_quanto_of_another_settlement_is_not_guessed() -> None:
    found = decode(started(), partial("ws_partial_quanto", settlCurrency="USDt"))
    assert found[-1] == Skipped(NAME, "ETHUSD", "unknown_contract_size")


def test_update_before_the_partial_is_ignored() -> None:
    assert decode(fresh(NAME), load(NAME, "ws_update_mark")) == []


def test_update_brings_the_touched_stream_and_confirms_the_rest() -> None:
    decoder = started()
    assert decode(decoder, load(NAME, "ws_update_mark")) == [
        Mark(NAME, "XBTUSD", "BTC", 80020.0, 80010.0, 1763719202500, T0),  # the rest was said within the same 5 s
    ]
    assert decode(decoder, at(5.0, markPrice=80030.0)) == [
        Mark(NAME, "XBTUSD", "BTC", 80030.0, 80010.0, 1763719205000, T0),
        confirm("funding", "oi", ts=1763719205000),
    ]


def test_open_interest_without_a_time_at_the_current_mark() -> None:
    decoder = started()
    decode(decoder, load(NAME, "ws_update_mark"))
    assert decode(decoder, load(NAME, "ws_update_open_interest")) == [
        OpenInterest(NAME, "XBTUSD", "BTC", 321e6, 1 / 80020, 321e6 * (1 / 80020), True, None, T0),
        confirm("mark", "funding"),
    ]


def test_any_update_confirms_with_its_time() -> None:
    """The cause of a lost venue: a Confirm without a time is refused as long as the latest observation was."""
    decoder = started()
    assert decode(decoder, load(NAME, "ws_update_last_price")) == []
    assert decode(decoder, at(6.163, lastPrice=1)) == [confirm("mark", "funding", "oi", ts=1763719205000)]
    assert decode(decoder, update(lastPrice=1)) == [confirm("mark", "funding", "oi")]


def test_a_price_stamped_on_the_grid_is_in_order_after_an_exactly_stamped_row() -> None:
    """Were rows confirmed to the millisecond, the next price, stamped on its grid, would be refused as older."""
    decoder = started()
    market = Market(("BTC",), [VENUE.rules], MarketSection(min_venues=1))
    for frame in (load(NAME, "ws_partial_inverse"), at(5.9, lastPrice=1), at(5.5, markPrice=80100.0)):
        for item in decode(decoder, frame):
            assert isinstance(item, Listing | Mark | Funding | OpenInterest | Confirm)
            assert market.apply(item) is None
    (sample,) = market.sample(T0, 1)
    assert sample.price == 80100.0


def test_a_late_row_neither_overwrites_nor_confirms() -> None:
    """The cause of a stale price confirmed as fresh: rows were merged in the order in which they came."""
    decoder = started()
    assert len(decode(decoder, at(7.5, markPrice=80200.0, openInterest=322000000))) == 3
    assert decode(decoder, at(7.0, markPrice=80100.0, openInterest=1)) == []
    assert decode(decoder, at(7.0, lastPrice=1)) == []
    assert decode(decoder, at(7.5, indicativeSettlePrice=80210.0)) == [
        Mark(NAME, "XBTUSD", "BTC", 80200.0, 80210.0, 1763719207500, T0),  # equal is not late
        confirm("funding", ts=1763719205000),
    ]
    assert decode(decoder, update(markPrice=80300.0))[0] == Mark(NAME, "XBTUSD", "BTC", 80300.0, 80210.0, None, T0)


def test_a_late_row_is_taken_where_no_later_row_has_the_field() -> None:
    """Left out whole it would lose the funding rate until the next one, hours later."""
    decoder = started()
    decode(decoder, at(7.5, markPrice=80200.0))
    next_interval = {"fundingRate": 0.0003, "fundingTimestamp": "2025-11-21T20:00:00.000Z"}
    assert decode(decoder, at(7.0, markPrice=80100.0, indicativeSettlePrice=80110.0, **next_interval)) == [
        Mark(NAME, "XBTUSD", "BTC", 80200.0, 80110.0, 1763719207500, T0),
        Funding(NAME, "XBTUSD", "BTC", 0.0003, 8.0, 0.0003, 1763755200000, False, 1763719207000, T0),
    ]


def test_late_terms_are_old_terms() -> None:
    decoder = started()
    assert decode(decoder, at(7.5, state="Open"))[0] == XBTUSD
    assert decode(decoder, at(7.0, state="Closed")) == []


def test_a_time_ahead_of_ours_orders_nothing() -> None:
    """A venue's clock that was ahead and is right again: its rows are not late for as long as it was ahead."""
    decoder = started()
    (ahead,) = decode(decoder, at(8.001, markPrice=80100.0))  # 2,001 ms ahead of the receipt
    assert ahead == Mark(NAME, "XBTUSD", "BTC", 80100.0, 80010.0, T0 + 2001, T0)
    assert decode(decoder, at(6.0, markPrice=80050.0)) == [
        Mark(NAME, "XBTUSD", "BTC", 80050.0, 80010.0, T0, T0),
        confirm("funding", "oi", ts=1763719205000),
    ]
    assert len(decode(decoder, at(8.0, markPrice=80100.0))) == 2
    assert decode(decoder, at(7.0, markPrice=80070.0)) == []


ROW_FIELDS = {"markPrice": 80100.0, "indicativeSettlePrice": 80200.0, "fundingRate": 0.0001, "openInterest": 3e8}


@given(st.lists(st.sets(st.sampled_from(sorted(ROW_FIELDS)), min_size=1), min_size=1, max_size=6), st.randoms())
def test_whatever_order_rows_come_in_the_same_is_said_at_the_end(rows: list[set[str]], rng: random.Random) -> None:
    frames = [
        at(1.0 + number * 0.5, **{key: ROW_FIELDS[key] * (1 + number / 100) for key in sorted(keys)})
        for number, keys in enumerate(rows)
    ]
    ends = []
    for _ in range(2):
        decoder = started()
        said: dict[str, tuple[object, ...]] = {}
        for frame in frames:
            for item in decode(decoder, frame):
                if isinstance(item, Mark):
                    said["mark"] = (item.mark, item.index, item.venue_ts)
                elif isinstance(item, Funding):
                    said["funding"] = (item.rate, item.rate_8h, item.venue_ts)
                elif isinstance(item, OpenInterest):
                    said["oi"] = (item.contracts, item.venue_ts)
        ends.append(said)
        rng.shuffle(frames)
    assert ends[0] == ends[1]


def test_absent_in_a_partial_is_unknown_absent_in_an_update_unchanged() -> None:
    decoder = fresh(NAME)
    found = decode(decoder, partial(drop=("fundingRate", "fundingInterval", "openInterest")))
    assert [type(item) for item in found] == [Listing, Mark]
    assert decode(decoder, update(lastPrice=1)) == [confirm("mark")]
    funding = decode(decoder, update(fundingRate=0.0002, fundingInterval="2000-01-01T04:00:00.000Z"))[0]
    assert isinstance(funding, Funding)
    assert (funding.interval_h, funding.rate_8h, funding.next_ts) == (4.0, 0.0004, NEXT)
    assert decode(decoder, update(fundingRate=0.0)) == [
        Funding(NAME, "XBTUSD", "BTC", 0.0, 4.0, 0.0, NEXT, False, None, T0),
        confirm("mark"),
    ]


@pytest.mark.parametrize("value", [None, ""])
def test_cleared_is_not_zero(value: object) -> None:
    decoder = started()
    assert decode(decoder, update(fundingRate=value)) == [confirm("mark", "oi")]
    assert decode(decoder, update(openInterest=value)) == [confirm("mark")]
    assert decode(decoder, update(markPrice=value)) == [Mark(NAME, "XBTUSD", "BTC", None, 80010.0, None, T0)]
    assert decode(decoder, update(lastPrice=1)) == []


def test_unreadable_field_costs_its_stream_until_it_is_said_again() -> None:
    decoder = started()
    found = decode(decoder, update(markPrice="1e999", fundingRate=0.0003))
    assert reasons(found) == ["out_of_bounds"]
    assert [type(item) for item in found[1:]] == [Funding, Confirm]
    assert found[2] == confirm("oi")
    assert decode(decoder, update(lastPrice=1)) == [confirm("funding", "oi")]
    assert decode(decoder, update(openInterest=5))[0] == Skipped(NAME, "XBTUSD", "no_mark")
    found = decode(decoder, update(markPrice=80050.0))
    assert [type(item) for item in found] == [Mark, OpenInterest, Confirm]  # now there is a price to convert through
    assert decode(decoder, update(lastPrice=1)) == [confirm("mark", "funding", "oi")]


def test_unreadable_interval_is_unknown_even_with_metadata() -> None:
    decoder = started()
    assert reasons(decode(decoder, update(fundingInterval="2000-01-01T08:30:00.000Z"))) == ["out_of_bounds"]
    funding = decode(decoder, update(fundingRate=0.0004))[0]
    assert isinstance(funding, Funding)
    assert (funding.interval_h, funding.rate_8h) == (None, None)


def test_unreadable_index_is_not_confirmed_with_the_mark() -> None:
    """A Confirm of the mark vouches for the index that came with it."""
    decoder = started()
    assert reasons(decode(decoder, update(indicativeSettlePrice=0))) == ["out_of_bounds"]
    assert decode(decoder, update(lastPrice=1)) == [confirm("funding", "oi")]
    assert decode(decoder, update(markPrice=2.5))[0] == Mark(NAME, "XBTUSD", "BTC", 2.5, None, None, T0)
    assert decode(decoder, update(indicativeSettlePrice=2.75))[0] == Mark(NAME, "XBTUSD", "BTC", 2.5, 2.75, None, T0)
    assert decode(decoder, update(lastPrice=1)) == [confirm("mark", "funding", "oi")]


def test_refused_row_leaves_its_fields_in_doubt() -> None:
    decoder = started()
    assert reasons(decode(decoder, update(markPrice=1.0, timestamp="today"))) == ["bad_number"]
    assert decode(decoder, update(lastPrice=1)) == [confirm("funding", "oi")]


def test_one_bad_row_leaves_the_others() -> None:
    frame = update(openInterest=5)
    frame["data"] = [{"openInterest": 1}, 7, *frame["data"]]
    found = decode(started(), frame)
    assert reasons(found) == ["missing_field", "wrong_type"]
    assert [item.contracts for item in found if isinstance(item, OpenInterest)] == [5.0]


def test_state_changes_the_listing() -> None:
    decoder = started()
    listing = decode(decoder, update(state="Closed"))[0]
    assert listing == Listing(NAME, "XBTUSD", "BTC", True, 1.0, 1.0, 8.0, False, T0)


def test_changed_terms_tell_the_same_contracts_again() -> None:
    decoder = started("ws_partial_linear")
    found = decode(decoder, update("DOTUSDT", underlyingToPositionMultiplier=1000, multiplier=1000))
    assert isinstance(found[0], Listing)
    assert found[0].contract_size == 0.001
    assert isinstance(found[1], OpenInterest)
    assert (found[1].contracts, found[1].coins) == (31.5e6, 31500.0)
    found = decode(decoder, update("DOTUSDT", isInverse="no"))
    assert reasons(found) == ["wrong_type"]
    assert found[-1] == confirm("mark", "funding", instrument="DOTUSDT", symbol="DOT")


def test_sizes_that_disagree_are_unknown() -> None:
    found = decode(fresh(NAME), partial("ws_partial_linear", multiplier=100))
    assert found[-1] == Skipped(NAME, "DOTUSDT", "unknown_contract_size")


def test_delete_delists() -> None:
    decoder = started("ws_partial_linear")
    (gone,) = decode(decoder, load(NAME, "ws_delete"))
    assert gone == Listing(NAME, "DOTUSDT", "DOT", False, 0.01, 1.0, 8.0, False, T0)
    assert decode(decoder, update("DOTUSDT", markPrice=2.0)) == []


@pytest.mark.parametrize("fixture", ["ws_partial_foreign", "ws_trade_partial", "ws_liquidation_partial"])
def test_other_products_and_what_was_before_us_are_silent(fixture: str) -> None:
    assert told(decode(fresh(NAME), load(NAME, fixture))) == []


def test_control_frames() -> None:
    decoder = fresh(NAME)
    assert decode(decoder, "pong") == [Control("pong", None, "pong")]
    assert decode(decoder, load(NAME, "ws_welcome")) == [Control("info", None, "Welcome to the BitMEX Realtime API.")]
    assert decode(decoder, load(NAME, "ws_subscribed")) == [Control("ack", "instrument:XBTUSD", "")]
    assert decode(decoder, load(NAME, "ws_refused")) == [
        Control("refused", "instrument:NOPE", "400 Unknown or expired symbol.")
    ]
    assert decode(decoder, load(NAME, "http_error")) == [
        Control("refused", None, "Rate limit exceeded, retry in 1 seconds.")
    ]
    assert decode(decoder, {"success": False, "subscribe": "x"}) == [Control("refused", "x", "")]
    assert decode(decoder, {"op": "subscribe", "args": ["instrument"]}) == []


@pytest.mark.parametrize(
    "frame", [{"foo": 1}, 42, "x", [], {}, None, [{"foo": 1}], {"table": "instrument", "action": "x"}]
)
def test_unknown_shapes(frame: object) -> None:
    assert reasons(fresh(NAME).decode(json.dumps(frame), T0)) == ["unknown_shape"]


def test_settled_rates() -> None:
    decoder = fresh(NAME)
    assert decode(decoder, load(NAME, "ws_funding_insert")) == [
        Funding(NAME, "XBTUSD", "BTC", 0.000109, 8.0, 0.000109, None, True, 1763697600000, T0)
    ]
    assert decode(decoder, load(NAME, "http_get_funding"), context="funding") == [
        Funding(NAME, "DOTUSDT", "DOT", 0.00007, 8.0, 0.00007, None, True, 1763697600000, T0),
        Funding(NAME, "DOTUSDT", "DOT", -0.00006, 4.0, -0.00012, None, True, 1763668800000, T0),
    ]


def test_metadata_lists_and_delists() -> None:
    catalog = Catalog()
    decoder = fresh(NAME, catalog)
    bonk = Listing(NAME, "100BONKUSDT", "1000BONK", False, 0.0001, 0.1, 8.0, False, T0)
    assert told(decode(decoder, load(NAME, "http_get_instrument_active"), context="instruments")) == [
        XBTUSD, DOTUSDT, ETHUSD, bonk,
    ]  # fmt: skip
    assert catalog.foreign.keys() == {"XBTZ25", "XBT_USDT"}
    rows = [row for row in json.loads(load(NAME, "http_get_instrument_active")) if row["symbol"] != "ETHUSD"]
    gone = Listing(NAME, "ETHUSD", "ETH", False, None, 1.0, 8.0, False, T0)
    assert decode(decoder, rows, context="instruments")[-1] == gone
    assert "ETHUSD" not in catalog.foreign


def test_rows_without_context_are_observations_with_bitcoin_first() -> None:
    found = decode(fresh(NAME), load(NAME, "http_get_instrument_active"))
    interests = [(item.instrument, item.coins) for item in found if isinstance(item, OpenInterest)]
    assert interests == [
        ("XBTUSD", 4000.0),
        ("DOTUSDT", 315000.0),
        ("ETHUSD", pytest.approx(80010.0)),
        ("100BONKUSDT", pytest.approx(700.0)),
    ]
    bonk = [item for item in found if isinstance(item, Mark) and item.symbol == "1000BONK"]
    assert [(item.mark, item.index) for item in bonk] == [(pytest.approx(0.024), pytest.approx(0.025))]


@pytest.mark.parametrize(
    ("name", "symbol", "size"),
    [("XBTUSD", "BTC", 1.0), ("ETHUSD", "ETH", None), ("SOLUSDT", "SOL", None), ("100BONKUSDT", "1000BONK", None)],
)
def test_by_name_only_one_size_is_known(name: str, symbol: str, size: float | None) -> None:
    row = {"symbol": name, "markPrice": 2.5, "openInterest": 10, "timestamp": "2025-11-21T10:00:00.500Z"}
    mark, interest = decode(fresh(NAME), row)
    assert isinstance(mark, Mark)
    assert mark.symbol == symbol
    if size is None:
        assert interest == Skipped(NAME, name, "unknown_contract_size")
    else:
        assert isinstance(interest, OpenInterest)
        assert interest.coins == 4.0


@pytest.mark.parametrize("name", ["XBTZ25", ".BXBT", "XBT_USDT", "XBTEUR", "USD", "ETHXBT"])
def test_foreign_names(name: str) -> None:
    assert left_out(decode(fresh(NAME), {"symbol": name, "markPrice": 2.5, "openInterest": 10}))


def test_contract_terms() -> None:
    assert canonical_base("100X") == ("X", 100.0)
    assert canonical_base("1000X") == ("X", 1000.0)
    assert interval_h("2000-01-01T01:00:00.000Z") == 1.0
    assert interval_h("2000-01-02T00:00:00.000Z") == 24.0
    assert contract_size({"multiplier": -1e8, "underlyingToSettleMultiplier": -1e8}, True, 1.0) == 1.0
    assert contract_size({"multiplier": -1e8}, True, 1.0) is None
    assert contract_size({"multiplier": -1e8, "underlyingToSettleMultiplier": 1e8}, True, 1.0) is None
    assert contract_size({"underlyingToPositionMultiplier": 1e6}, False, 1.0) == 1e-6
    assert contract_size({"underlyingToPositionMultiplier": -5}, False, 1.0) is None
    with pytest.raises(BadPayload):
        contract_size({"underlyingToPositionMultiplier": 0}, False, 1.0)


def test_connections() -> None:
    listings = [Listing(NAME, f"C{n}USDT", f"C{n}", False, 0.01, 1.0, 8.0, True, T0) for n in range(200)]
    plans = VENUE.connections(VENUE.endpoints, [*listings, XBTUSD])
    assert [(plan.name, plan.acks, len(plan.frames)) for plan in plans] == [
        ("realtime-1", 199, 199),
        ("realtime-2", 2, 2),
    ]
    assert [json.loads(frame) for frame in plans[1].frames] == [
        {"op": "subscribe", "args": ["instrument:C199USDT"]},
        {"op": "subscribe", "args": ["instrument:XBTUSD"]},
    ]
    assert plans[1].expects[3:] == (("XBTUSD", "mark"), ("XBTUSD", "funding"), ("XBTUSD", "oi"))
    assert plans[0].keepalive is not None
    assert (plans[0].keepalive.text, plans[0].keepalive.only_when_idle) == ("ping", True)
    (request,) = VENUE.metadata(VENUE.endpoints)
    assert request.url == "https://www.bitmex.com/api/v1/instrument/active"
    assert VENUE.polls(VENUE.endpoints, listings, 10.0) == []
    assert VENUE.rules_for(99.0) == VENUE.rules


@pytest.mark.parametrize("listings", [[ETHUSD], [ETHUSD, XBTUSD]])
def test_quanto_contracts_bring_bitcoin_first_on_their_socket(listings: list[Listing]) -> None:
    (plan,) = VENUE.connections(VENUE.endpoints, listings)
    assert [json.loads(frame)["args"] for frame in plan.frames] == [["instrument:XBTUSD"], ["instrument:ETHUSD"]]
    assert plan.expects.count(("XBTUSD", "mark")) == 1
    assert (("XBTUSD", "oi") in plan.expects) is (len(listings) == 2)


def test_documents_of_several_frames() -> None:
    rows = json.loads(load(NAME, "http_get_funding"))
    assert frames_in(NAME, rows) == [rows]
    messages = [json.loads(load(NAME, "ws_welcome")), json.loads(load(NAME, "ws_update_mark"))]
    assert frames_in(NAME, messages) == messages
    assert frames_in(NAME, rows[0]) == [rows[0]]


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_no_mutation_escapes(seed: int) -> None:
    check_mutations(NAME, seed, 60, ("history:funding:XBTUSD", "history:x:XBTUSD", "history:"))


@given(st.randoms(use_true_random=False))
def test_no_mutation_escapes_a_running_decoder(rng: Any) -> None:
    decoder = started("ws_partial_inverse", "ws_partial_linear", "ws_partial_quanto")
    for document in fixtures(NAME) * 2:
        check_sane(
            decode(decoder, mutate(document, rng), context=rng.choice(("", "instruments", "history:funding:XBTUSD"))),
            NAME,
        )


KEYS = ("markPrice", "indicativeSettlePrice", "fundingRate", "openInterest", "lastPrice")
VALUES = st.sampled_from((0.5, 0.25, 0.125, None, "1e999"))


@given(st.lists(st.tuples(st.sampled_from(KEYS), VALUES), max_size=15))
def test_a_confirmed_value_is_the_last_said(steps: list[tuple[str, Any]]) -> None:
    """Whatever happens in between, a Confirm never vouches for a value that the venue has replaced."""
    decoder = started()
    said: dict[str, Any] = {"markPrice": 80000.0, "fundingRate": 0.00013, "openInterest": 320e6}
    told = dict(said)
    main = {"mark": "markPrice", "funding": "fundingRate", "oi": "openInterest"}
    for key, value in steps:
        said[key] = value
        for item in decode(decoder, update(**{key: value})):
            if isinstance(item, Mark):
                told["markPrice"] = item.mark
            elif isinstance(item, Funding):
                told["fundingRate"] = item.rate
            elif isinstance(item, OpenInterest):
                told["openInterest"] = item.contracts
            elif isinstance(item, Confirm):
                for stream in item.streams:
                    assert told[main[stream]] == said[main[stream]]
