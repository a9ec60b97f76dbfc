"""Lighter: dollars at the mark are coins, percent per hour, what the list of markets says of the socket's units."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest

from service.config import parse
from service.model import Bad, Control, Decoded, Funding, HistoryPoint, Listing, Mark, OiSides, OpenInterest, Skipped
from service.venues.contract import Catalog
from service.venues.lighter.metadata import MARKETS
from service.venues.lighter.venue import Lighter
from service.venues.symbols import Asset
from tests.venues.extras import DAY_AND_TWO, NOW, check_only_what_is_wanted, check_plans, requests_of, synthetic
from tests.venues.frames import T0, check_answers, check_mutations, decode, fresh, kinds, left_out, load, reasons, told

VENUE = Lighter()
NAME = "lighter"
SENT = 1_790_000_103_429  # of the snapshot
NEXT = 1_790_002_800_000  # the full hour after it
HOUR = 3_600_000


def row(symbol: str = "BTC", market: int = 1, **changes: object) -> dict[str, Any]:
    """What is read of a row: 2,000 coins at 70,002.2, 0.0016 % an hour."""
    return {
        "symbol": symbol,
        "market_id": market,
        "index_price": "70001.1",
        "mark_price": "70002.2",
        "open_interest": "140004400.000000",
        "funding_clamp_big": "4.0012",
        "current_funding_rate": "0.0016",
        "funding_timestamp": 1_790_000_000_000,
    } | changes


def update(*rows: dict[str, Any], at: int = SENT) -> dict[str, Any]:
    stats = {str(item["market_id"]): item for item in rows}
    return {"type": "update/market_stats", "channel": "market_stats:all", "timestamp": at, "market_stats": stats}


def snapshot(*rows: dict[str, Any], at: int = SENT) -> dict[str, Any]:
    return update(*rows, at=at) | {"type": "subscribed/market_stats"}


def listed(*rows: tuple[str, int, float], **changes: object) -> dict[str, Any]:
    """The list of markets: symbol, id, coins of open interest."""
    return {
        "code": 200,
        "order_book_details": [
            {
                "symbol": symbol,
                "market_id": market,
                "market_type": "perp",
                "status": "active",
                "open_interest": coins,
                "market_config": {"force_reduce_only": False},
            }
            | changes
            for symbol, market, coins in rows
        ],
    }


def metadata(catalog: Catalog, document: dict[str, Any], recv_ts: int = SENT) -> list[Decoded]:
    return decode(fresh(NAME, catalog), document, recv_ts, MARKETS)


def interests(found: list[Decoded]) -> list[float]:
    return [item.coins for item in found if isinstance(item, OpenInterest)]


def skipped(found: list[Decoded]) -> list[str]:
    return [item.reason for item in found if isinstance(item, Skipped)]


def trading(catalog: Catalog) -> list[str]:
    return [name for name, item in catalog.listings.items() if item.trading]


# -- units -----------------------------------------------------------------------------------------------------------


def test_dollars_at_the_mark_of_the_same_row_are_coins_and_percent_an_hour_a_fraction() -> None:
    """The venue page's own sums: 140,004,400 / 70,002.2 = 2,000 BTC; 0.0016 % per hour = 1.6e-5."""
    mark, funding, interest = decode(fresh(NAME), update(row()), SENT)
    assert mark == Mark(NAME, "BTC-1", "BTC", 70002.2, 70001.1, SENT, SENT)
    assert isinstance(funding, Funding)
    assert (funding.rate, funding.rate_8h) == pytest.approx((1.6e-5, 1.28e-4), rel=1e-12)
    assert isinstance(interest, OpenInterest)
    assert (interest.coins, interest.contracts) == pytest.approx((2000.0, 2000.0), rel=1e-14)


@pytest.mark.parametrize(
    ("mark", "lots", "digits"),
    [("70345.1", 165_349_417, 5), ("2404.12", 313_855_721, 4), ("0.52", 3, 2), ("1.5", 0, 2)],
)
def test_the_division_gives_back_whole_lots(mark: str, lots: int, digits: int) -> None:
    """Nothing is rounded, and nothing has to be: a sum in dollars with six decimals holds every lot."""
    dollars = f"{Decimal(lots) / 10**digits * Decimal(mark):.6f}"
    [coins] = interests(decode(fresh(NAME), update(row(mark_price=mark, open_interest=dollars))))
    assert coins * 10**digits == pytest.approx(lots, rel=1e-12)


def test_a_market_per_thousand_tokens_counts_in_canonical_units() -> None:
    rows = (row("1000PEPE", 4, mark_price="0.0125", index_price="0.0126", open_interest="1250000"),
            row("1000MOG", 77, mark_price="0.5", index_price="0.51", open_interest="1000000"))  # fmt: skip
    found = decode(fresh(NAME), update(*rows))
    assert interests(found) == [100_000_000.0, 2_000_000_000.0]  # thousands of PEPE, single MOG
    assert [item.mark for item in found if isinstance(item, Mark)] == [0.0125, 0.0005]


def test_the_next_funding_time_is_the_next_full_hour_and_never_funding_timestamp() -> None:
    for at, upcoming in ((SENT, NEXT), (NEXT - 1, NEXT), (NEXT, NEXT + HOUR)):
        [funding] = [item for item in decode(fresh(NAME), update(row(), at=at), at) if isinstance(item, Funding)]
        assert (funding.next_ts, funding.interval_h) == (upcoming, 1.0)


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"current_funding_rate": "5.0001"}, True),
        ({"current_funding_rate": "-5.0001"}, True),
        ({"current_funding_rate": "-0.5"}, False),
        ({"funding_clamp_big": "0.0400", "current_funding_rate": "0.000012"}, True),  # fractions
        ({"funding_clamp_big": "400.0"}, True),  # basis points
        ({"funding_clamp_big": "4.0"}, False),
    ],
)
def test_a_rate_in_another_unit_is_refused_and_costs_only_itself(changes: dict[str, str], refused: bool) -> None:
    """Cause: documents show fractions under the names under which recordings have percent: a hundred times too much."""
    found = decode(fresh(NAME), update(row(**changes)))
    assert reasons(found) == (["out_of_bounds"] if refused else [])
    assert Funding not in kinds(found) if refused else Funding in kinds(found)
    assert Mark in kinds(found)
    assert interests(found) == pytest.approx([2000.0])


# -- the list of markets knows how many coins there are ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("coins", "after_ms", "refused"),
    [
        (2000.0, 0, False),
        (10_000.0, 0, False),  # a fifth of what is listed
        (10_001.0, 0, True),
        (400.0, 0, False),  # five times
        (399.9, 0, True),
        (140_004_400.0, 2 * HOUR, True),  # as if the socket's figure were coins already
        (2000.0, 2 * HOUR, False),
        (2000.0, 2 * HOUR + 1, True),  # the list is too old to vouch for the unit
        (0.0, 0, False),
    ],
)
def test_open_interest_that_the_list_contradicts_is_refused(coins: float, after_ms: int, refused: bool) -> None:
    """Cause: `open_interest` is dollars on the socket and coins in the list; a mix-up is off by the price."""
    catalog = Catalog()
    metadata(catalog, listed(("BTC", 1, coins)))
    found = decode(fresh(NAME, catalog), update(row()), SENT + after_ms)
    assert reasons(found) == (["size_mismatch"] if refused else [])
    assert kinds(found)[:2] == [Mark, Funding]
    assert interests(found) == pytest.approx([] if refused else [2000.0])


ROWS = (row(), row("ETH", 0, mark_price="2500", open_interest="75000000"), row("SOL", 2, mark_price="140",
        open_interest="7000000"))  # fmt: skip


@pytest.mark.parametrize(
    ("factor", "sides", "after"),
    [(1.0, 1, 2000.0), (2.0, 2, 1000.0), (1.4, None, 2000.0)],
)
def test_the_list_measures_how_many_sides_the_socket_counts(factor: float, sides: int | None, after: float) -> None:
    """Cause: older programs double this figure; should the venue begin to, it is halved from the list on that shows it.
    Where the two fit neither one side nor two it is in doubt."""
    catalog = Catalog()
    decoder = fresh(NAME, catalog)
    decode(decoder, update(*ROWS), SENT)
    coins = (("BTC", 1, 2000 / factor), ("ETH", 0, 30_000 / factor), ("SOL", 2, 50_000 / factor))
    [measured] = [item for item in metadata(catalog, listed(*coins), SENT + 1000) if isinstance(item, OiSides)]
    assert (measured.sides, measured.compared, measured.agreeing) == (sides, 3, 1.0)
    assert measured.ratio == pytest.approx(factor)
    assert interests(decode(decoder, update(row()), SENT + 2000)) == pytest.approx([after])


def test_dollars_taken_for_coins_fit_neither_one_side_nor_two() -> None:
    """Should the socket begin to say coins, each instrument is off by its own price, and the venue is in doubt."""
    catalog = Catalog()
    coins = tuple(item | {"open_interest": "1000"} for item in ROWS)
    decode(fresh(NAME, catalog), update(*coins), SENT)
    found = metadata(catalog, listed(("BTC", 1, 1000.0), ("ETH", 0, 1000.0), ("SOL", 2, 1000.0)), SENT)
    assert [item.sides for item in found if isinstance(item, OiSides)] == [None]


def test_a_unit_that_changes_between_two_lists_is_doubted_at_once() -> None:
    """Cause: dollars for coins are off by the price, so the row of a coin near one dollar shows nothing wrong: three
    markets that are far off say it of all. It was believed until the next list, for up to an hour."""
    catalog = Catalog()
    prices = {"BTC": 70_000.0, "ETH": 2_500.0, "SOL": 140.0, "XRP": 2.0, "DOGE": 0.5, "ADA": 0.7}
    names = [(symbol, market, 1000.0) for market, symbol in enumerate(prices)]
    metadata(catalog, listed(*names), SENT - 600_000)
    decoder = fresh(NAME, catalog)

    def said(unit: float) -> list[Decoded]:
        rows = [
            row(symbol, market, mark_price=str(prices[symbol]), open_interest=str(coins * prices[symbol] ** unit))
            for symbol, market, coins in names
        ]
        return decode(decoder, update(*rows), SENT)

    assert OiSides not in kinds(said(1.0))
    found = said(0.0)
    assert reasons(found) == ["size_mismatch"] * 3
    assert [item.sides for item in found if isinstance(item, OiSides)] == [None]
    assert OiSides not in kinds(said(0.0))  # once is enough, until a list comes
    metadata(catalog, listed(*names), SENT)
    assert OiSides in kinds(said(0.0))


def test_a_snapshot_after_the_list_measures_the_sides() -> None:
    """Cause: at a start the list comes before the socket, so that nothing was measured for an hour."""
    catalog = Catalog()
    metadata(catalog, listed(("BTC", 1, 2000.0), ("ETH", 0, 30_000.0), ("SOL", 2, 50_000.0)), SENT - 3000)
    found = decode(fresh(NAME, catalog), snapshot(*ROWS), SENT)
    assert [item.sides for item in found if isinstance(item, OiSides)] == [1]


def test_a_socket_that_has_been_silent_measures_nothing() -> None:
    catalog = Catalog()
    decode(fresh(NAME, catalog), update(*ROWS), SENT)
    coins = (("BTC", 1, 2000.0), ("ETH", 0, 30_000.0), ("SOL", 2, 50_000.0))
    assert OiSides in kinds(metadata(catalog, listed(*coins), SENT + 60_000))
    assert OiSides not in kinds(metadata(catalog, listed(*coins), SENT + 60_001))


# -- which markets ----------------------------------------------------------------------------------------------------


def test_metadata_tells_coins_from_stocks_by_our_own_list_and_what_trades_by_status() -> None:
    catalog = Catalog()
    found = metadata(catalog, json.loads(load(NAME, "http_order_book_details")))
    assert trading(catalog) == ["BTC-1", "1000MOG-77"]
    assert [item.instrument for item in found if isinstance(item, Listing)] == ["BTC-1", "ETH-0", "1000MOG-77", "SOL-2"]
    skipped = [(item.instrument, item.reason) for item in found if isinstance(item, Skipped)]
    assert skipped == [("TSLA-112", "not_crypto"), ("QQZ-113", "unknown_kind"), ("ETH/USDC-2048", "foreign")]


@pytest.mark.parametrize("known", [False, True])
def test_a_stock_of_a_coins_name_counts_neither_before_nor_after_the_list(known: bool) -> None:
    """Cause: DASH is DoorDash here; its price would be a coin's, and its open interest."""
    catalog = Catalog()
    rows = (("DASH", 5, 100.0), ("XAU", 6, 100.0), ("QQZ", 7, 100.0))
    if known:
        assert left_out(metadata(catalog, listed(*rows))) == ["not_crypto", "not_crypto", "unknown_kind"]
    found = decode(fresh(NAME, catalog), update(*(row(symbol, market) for symbol, market, _ in rows)))
    assert left_out(found) == ["not_crypto", "not_crypto", "unknown_kind"]


def test_an_operator_says_that_a_ticker_is_a_coin() -> None:
    catalog = Catalog((Asset("QQZ", "QQZ", 1.0, NAME),))
    assert kinds(decode(fresh(NAME, catalog), update(row("QQZ", 7)))) == [Mark, Funding, OpenInterest]


@pytest.mark.parametrize("changes", [{"status": "inactive"}, {"market_config": {"force_reduce_only": True}}])
def test_what_does_not_trade_or_can_only_be_closed_says_nothing(changes: dict[str, Any]) -> None:
    """Cause: an inactive market keeps its last prices and open interest in every snapshot."""
    catalog = Catalog()
    metadata(catalog, listed(("BTC", 1, 2000.0), **changes))
    assert trading(catalog) == []
    assert decode(fresh(NAME, catalog), update(row())) == []


def test_a_market_that_is_listed_again_is_another_instrument_and_does_not_count_twice() -> None:
    """Cause: it gets another id, and the old one's last open interest stays in the list and on the socket."""
    catalog = Catalog()
    metadata(catalog, listed(("BTC", 1, 2000.0)))
    again = listed(("BTC", 1, 2000.0), status="inactive")["order_book_details"]
    again += listed(("BTC", 201, 1500.0))["order_book_details"]
    metadata(catalog, {"code": 200, "order_book_details": again})
    assert trading(catalog) == ["BTC-201"]
    found = decode(fresh(NAME, catalog), update(row(), row("BTC", 201, open_interest="105003300")))
    assert [item.instrument for item in found if isinstance(item, OpenInterest)] == ["BTC-201"]
    assert interests(found) == pytest.approx([1500.0])
    metadata(catalog, listed(("ETH", 0, 30_000.0)))
    assert trading(catalog) == ["ETH-0"]  # what a whole list does not name is gone


def test_an_id_that_the_list_does_not_name_waits_for_the_next_list() -> None:
    """Cause: a market listed anew counted beside its old id, twice, until the list came."""
    catalog = Catalog()
    metadata(catalog, listed(("BTC", 1, 2000.0)))
    decoder = fresh(NAME, catalog)
    assert decode(decoder, update(row("BTC", 201))) == [Skipped(NAME, "BTC-201", "unknown_instrument")]
    metadata(catalog, listed(("BTC", 201, 2000.0)))
    assert interests(decode(decoder, update(row("BTC", 201)))) == pytest.approx([2000.0])


@pytest.mark.parametrize(
    ("settings", "reason"), [({"trading_hours": "09:30-16:00"}, ["not_crypto"]), ({"hidden": True}, [])]
)
def test_a_market_with_hours_is_no_coin_and_a_hidden_one_does_not_trade(settings: Any, reason: list[str]) -> None:
    catalog = Catalog()
    assert skipped(metadata(catalog, listed(("BTC", 1, 2000.0), market_config=settings))) == reason
    assert trading(catalog) == []


def test_a_market_that_has_stopped_is_no_news_in_a_snapshot() -> None:
    """Cause: a snapshot has rows of all markets and one time for all. One that had stopped was live after each
    reconnect, which its own silence brought about, with a rate for the next hour."""
    catalog = Catalog()
    first = fresh(NAME, catalog)
    assert interests(decode(first, snapshot(row()), SENT)) == pytest.approx([2000.0])
    again, later = fresh(NAME, catalog), SENT + 600_000
    assert not {Mark, Funding, OpenInterest} & set(kinds(decode(again, snapshot(row(), at=later), later)))
    assert Mark in kinds(decode(again, snapshot(row(mark_price="70002.3"), at=later), later))


@pytest.mark.parametrize(("age_ms", "counts"), [(2 * HOUR, True), (2 * HOUR + 1, False), (-HOUR, True)])
def test_a_row_whose_last_settlement_is_long_ago_has_stopped(age_ms: int, counts: bool) -> None:
    found = decode(fresh(NAME), update(row(funding_timestamp=SENT - age_ms)), SENT)
    assert (Mark in kinds(found)) == counts
    assert skipped(found) == ([] if counts else ["stopped"])


def test_ages_at_which_nothing_counts_any_more() -> None:
    rules = VENUE.rules
    assert (rules.mark.max_age_ms, rules.index_max_age_ms, rules.oi.max_age_ms) == (30_000, 30_000, 60_000)
    assert rules.funding.max_age_ms == 300_000


def test_a_rate_whose_unit_nothing_beside_it_shows_is_refused() -> None:
    """Cause: without the limit in the same unit a fraction was read as percent."""
    fields = {key: value for key, value in row().items() if key != "funding_clamp_big"}
    found = decode(fresh(NAME), update(fields))
    assert reasons(found) == ["missing_field"]
    assert Funding not in kinds(found)


@pytest.mark.parametrize("channel", ["market_stats:2", "market_stats", "something"])
def test_the_row_of_one_market_must_be_its_channels(channel: str) -> None:
    frame = update(row()) | {"channel": channel, "market_stats": row()}
    assert reasons(decode(fresh(NAME), frame)) == ["bad_name"]
    assert Mark in kinds(decode(fresh(NAME), frame | {"channel": "market_stats:1"}))


def test_a_row_under_another_markets_id_is_refused() -> None:
    frame = update(row()) | {"market_stats": {"7": row()}}
    assert reasons(decode(fresh(NAME), frame)) == ["bad_name"]


def test_a_list_that_cannot_be_read_delists_nobody() -> None:
    catalog = Catalog()
    metadata(catalog, listed(("BTC", 1, 2000.0)))
    assert metadata(catalog, {"code": 200, "order_book_details": []}) == []
    assert reasons(metadata(catalog, {"code": 200, "order_book_details": None})) == []
    assert reasons(metadata(catalog, {"code": 200, "order_book_details": "none"})) == ["wrong_type"]
    assert trading(catalog) == ["BTC-1"]


# -- who vouches for what ----------------------------------------------------------------------------------------------


def test_an_update_says_nothing_of_markets_it_leaves_out() -> None:
    """Cause: messages have no numbers, so a market whose rows stopped coming looks like one in which nothing moves.
    It must become stale by its own silence, however busy the others are."""
    decoder = fresh(NAME)
    decode(decoder, load(NAME, "ws_subscribed"), SENT)
    found = decode(decoder, load(NAME, "ws_update"), SENT + 402)
    assert {getattr(item, "instrument", None) for item in found} == {"ETH-0"}
    assert (VENUE.rules.mark.max_age_ms, VENUE.rules.mark.stamp) == (30_000, "send")


def test_a_broken_row_costs_itself_and_a_broken_frame_itself() -> None:
    decoder = fresh(NAME)
    found = decode(decoder, update(row(), {"market_id": 3}, row("ETH", 0, mark_price="0")))
    assert reasons(found) == ["missing_field", "out_of_bounds"]
    assert [item.reason for item in found if isinstance(item, Skipped)] == ["no_mark"]
    assert [item.instrument for item in found if isinstance(item, Funding)] == ["BTC-1", "ETH-0"]
    assert reasons(decode(decoder, {"type": "update/market_stats", "channel": "market_stats:all"})) == ["missing_field"]
    assert reasons(decode(decoder, update(row()))) == []


# -- the connection ----------------------------------------------------------------------------------------------------


def test_the_servers_ping_is_answered_and_subscribing_twice_is_no_refusal() -> None:
    """Causes: a client that does not answer is cut; errors carry no request, and this one is harmless."""
    decoder = fresh(NAME)
    assert decode(decoder, load(NAME, "ws_ping")) == [Control("ping", None, '{"type":"pong"}')]
    assert decode(decoder, load(NAME, "ws_pong")) == [Control("pong", None, "pong")]
    [twice] = decode(decoder, load(NAME, "ws_already_subscribed"))
    [wrong] = decode(decoder, load(NAME, "ws_error"))
    assert isinstance(twice, Control)
    assert isinstance(wrong, Control)
    assert (twice.kind, wrong.kind) == ("info", "refused")
    assert reasons(decode(decoder, {"error": "no"})) == ["wrong_type"]


def test_one_socket_of_all_markets_and_one_of_trades() -> None:
    assert check_plans(VENUE, synthetic(NAME, 60)) == ["stream-1", "extra-1"]
    check_only_what_is_wanted(VENUE, synthetic(NAME, 3), {"flow": "extra", "liquidation": "extra"})
    main, extra = VENUE.connections(VENUE.endpoints, synthetic(NAME, 2), ("flow",))
    assert main.frames == ('{"type":"subscribe","channel":"market_stats/all"}',)
    assert extra.frames == ('{"type":"subscribe","channel":"trade/0"}', '{"type":"subscribe","channel":"trade/1"}')
    for plan in (main, extra):
        assert plan.keepalive is not None
        assert 30.0 <= plan.keepalive.every_s <= 60.0


def test_the_address_may_ask_for_reading_only() -> None:
    """From restricted regions the venue wants `readonly=true` in the address."""
    url = "wss://mainnet.zklighter.elliot.ai/stream?readonly=true"
    config = parse({"venues": {"lighter": {"ws": {"stream": url}}}})
    endpoints = type(VENUE.endpoints)(ws=dict(config.venues.lighter.ws), rest=VENUE.endpoints.rest)
    assert {plan.url for plan in VENUE.connections(endpoints, synthetic(NAME, 2), ("flow",))} == {url}


# -- the past ----------------------------------------------------------------------------------------------------------


def test_settled_rates_have_the_sign_of_who_pays() -> None:
    [request] = requests_of(VENUE, Listing(NAME, "BTC-1", "BTC", False, 1.0, 1.0, 1.0, True, 0))
    address, _, query = request.url.partition("?")
    assert address == "https://mainnet.zklighter.elliot.ai/api/v1/fundings"
    since_s = (NOW - DAY_AND_TWO) // 1000 - 3600
    asked = f"market_id=1&resolution=1h&start_timestamp={since_s}&end_timestamp={NOW // 1000}&count_back=28"
    assert query == asked
    found = decode(fresh(NAME), load(NAME, "http_fundings"), SENT, request.context)
    assert found == [
        HistoryPoint(NAME, "BTC-1", "BTC", "funding", 1_789_995_600_000, 0.0016 / 100, 1.0, 4_500_000),
        HistoryPoint(NAME, "BTC-1", "BTC", "funding", 1_789_999_200_000, -0.0007 / 100, 1.0, 4_500_000),
    ]


def test_the_past_of_what_is_no_coin_and_rows_in_another_unit_are_refused() -> None:
    assert reasons(decode(fresh(NAME), load(NAME, "http_fundings"), SENT, "history:funding:TSLA")) == ["unknown_shape"]
    rows = [{"timestamp": 1_789_995_600, "rate": "5.01", "direction": "long"}]
    found = decode(fresh(NAME), {"code": 200, "fundings": rows}, SENT, "history:funding:BTC-1")
    assert reasons(found) == ["out_of_bounds"]


# -- anything at all ---------------------------------------------------------------------------------------------------


def test_mutated_frames_and_answers_cost_themselves() -> None:
    check_mutations(NAME, 11, 1500, (MARKETS, "history:funding:BTC-1"))
    check_answers(fresh(NAME), NAME, random.Random(5), MARKETS, 20)


@pytest.mark.parametrize("market", [-1, 2**31, True, "1", 1.5, None, [1]])
def test_an_id_is_a_whole_number(market: object) -> None:
    found = decode(fresh(NAME), update(row() | {"market_id": market}))
    assert all(isinstance(item, Bad) for item in found)
    assert told(found)


def test_frames_before_any_list_are_read_by_their_names() -> None:
    assert kinds(decode(fresh(NAME), update(row()), T0)) == [Mark, Funding, OpenInterest]
    assert left_out(decode(fresh(NAME), update(row("ETH/USDC", 2048)))) == ["foreign"]
