"""Aster: what differs from Binance, whose protocol it speaks."""

from __future__ import annotations

import asyncio
import random

import orjson
import pytest
from aiohttp import web

from service.config import NetworkSection
from service.model import (
    EXTRA_STREAMS,
    Control,
    Decoded,
    Endpoints,
    Funding,
    Liquidation,
    Listing,
    Mark,
    OpenInterest,
    Skipped,
)
from service.venues import VENUES
from service.venues.binance.marks import read_marks
from service.venues.contract import Catalog, Decoder
from service.venues.symbols import ASSETS, Asset
from service.venues.transport.budget import VenueBudget
from service.venues.transport.health import VenueHealth
from service.venues.transport.poller import Poller
from service.venues.transport.venue_io import VenueIo
from tests.fakes.venue_server import LoopClock, Sink
from tests.venues.extras import DAY_AND_TWO, NOW, synthetic, topics
from tests.venues.frames import T0, decode, fresh, load, reasons

NAME = "aster"
VENUE = VENUES[NAME]
HOUR = 3_600_000
T8 = 1_763_712_000_000  # 08:00 UTC


def update(at: int, next_ts: int, symbol: str = "ARBUSDT") -> dict[str, object]:
    return {
        "e": "markPriceUpdate",
        "E": at,
        "s": symbol,
        "p": "5.5",
        "i": "5.25",
        "P": "5",
        "r": "0.0001",
        "T": next_ts,
    }


def interval(decoder: Decoder, at: int, next_ts: int) -> float | None:
    _, funding = decode(decoder, update(at, next_ts))
    assert isinstance(funding, Funding)
    return funding.interval_h


def row(name: str, base: str, **fields: object) -> dict[str, object]:
    return {
        "symbol": name, "pair": name, "contractType": "PERPETUAL", "status": "TRADING", "baseAsset": base,
        "quoteAsset": "USDT", "marginAsset": "USDT", "underlyingType": "COIN", "underlyingSubType": [], **fields,
    }  # fmt: skip


def listed(*rows: dict[str, object], catalog: Catalog | None = None) -> list[Decoded]:
    found: list[Decoded] = fresh(NAME, catalog).decode(orjson.dumps({"symbols": rows}), T0, "exchangeInfo")
    return found


# -- funding intervals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [1, 2, 4, 8])
def test_intervals_of_funding_info_hold(hours: int) -> None:
    decoder = fresh(NAME)
    decode(decoder, [{"symbol": "ARBUSDT", "fundingIntervalHours": hours}])
    assert interval(decoder, T8 - 1000, T8) == hours


def test_what_funding_info_does_not_name_has_no_known_interval() -> None:
    """Cause: Binance's list names what differs from 8 h, so there absence says 8; here it says nothing, and a rate of
    an hour would have been read as one of eight."""
    decoder = fresh(NAME)
    decode(decoder, [{"symbol": "BTCUSDT", "fundingIntervalHours": 8}])
    assert interval(decoder, T8 - 2000, T8) is None
    [_, funding] = decode(decoder, update(T8 - 1000, T8))
    assert isinstance(funding, Funding)
    assert (funding.rate, funding.rate_8h) == (0.0001, None)
    assert interval(decoder, T8 + 1000, T8 + HOUR) == 1.0  # a step of T shows it


def test_an_empty_answer_names_nobody() -> None:
    decoder = fresh(NAME)
    decode(decoder, [{"symbol": "ARBUSDT", "fundingIntervalHours": 4}])
    decoder.decode("[]", T0, "fundingInfo")
    assert interval(decoder, T8 - 1000, T8) is None


@pytest.mark.parametrize(
    "name", ["ws_mark_price_update", "ws_mark_price_update_combined", "ws_mark_price_update_array"]
)
def test_marks_are_read_the_short_way_and_tell_what_the_long_way_tells(name: str) -> None:
    """Cause: the short way was written for one venue, whose name and interval of eight hours it could have kept."""
    raw = orjson.dumps(orjson.loads(load(NAME, name))).decode()
    short, long = fresh(NAME), fresh(NAME)
    emit = long._emit  # type: ignore[attr-defined]
    expected = emit.frame(raw, T0)
    assert short.decode(raw, T0) == expected
    assert {item.venue for item in expected} == {NAME}
    emit.out = []
    assert read_marks(raw, emit)


# -- what is counted -------------------------------------------------------------------------------------------------

LEFT_OUT = [
    ("BTCUSD", row("BTCUSD", "BTC", quoteAsset="USD"), "foreign"),
    ("GNSUSD", row("GNSUSD", "GNS", quoteAsset="USD"), "foreign"),
    ("BTCUSD1", row("BTCUSD1", "BTC", quoteAsset="USD1"), "foreign"),
    ("TSLAUSDT", row("TSLAUSDT", "TSLA"), "not_crypto"),
    ("XAUUSDT", row("XAUUSDT", "XAU"), "not_crypto"),
    ("SUSDT", row("SUSDT", "S"), "unknown_kind"),  # Sonic, or SentinelOne
    ("NEWCOINUSDT", row("NEWCOINUSDT", "NEWCOIN"), "unknown_kind"),
]


@pytest.mark.parametrize(
    ("name", "metadata", "reason"), LEFT_OUT, ids=lambda value: value if type(value) is str else ""
)
def test_what_is_no_coin_in_dollars_is_left_out_by_metadata_and_by_name(
    name: str, metadata: dict[str, object], reason: str
) -> None:
    """Cause: stocks and gold are called COIN, too, and frames may come before the metadata."""
    skipped = [Skipped(NAME, name, reason)]
    catalog = Catalog()
    assert listed(metadata, catalog=catalog) == skipped
    for frames in (update(T0, T8, name), [update(T0, T8, name)], {"symbol": name, "openInterest": "7.5", "time": T0}):
        assert decode(fresh(NAME), frames) == skipped  # before metadata
        assert decode(fresh(NAME, catalog), frames) == skipped
    assert catalog.marks == {}


@pytest.mark.parametrize("kind", ["INDEX", "EQUITY", "COMMODITY"])
def test_a_kind_that_the_metadata_do_tell_counts_for_coins_too(kind: str) -> None:
    assert listed(row("BTCUSDT", "BTC", underlyingType=kind)) == [Skipped(NAME, "BTCUSDT", "not_crypto")]


def test_the_operators_word_makes_a_coin_by_metadata_and_by_name() -> None:
    assets = (*ASSETS, Asset("NEWCOIN", "NEWCOIN", venue=NAME))
    found = listed(row("NEWCOINUSDT", "NEWCOIN"), catalog=Catalog(assets))
    assert found == [Listing(NAME, "NEWCOINUSDT", "NEWCOIN", False, 1.0, 1.0, None, True, T0)]
    mark, _ = decode(fresh(NAME, Catalog(assets)), update(T0, T8, "NEWCOINUSDT"))
    assert isinstance(mark, Mark)


def test_what_was_listed_and_turns_out_to_be_none_is_forgotten() -> None:
    catalog = Catalog()
    listed(row("BTCUSDT", "BTC"), catalog=catalog)
    gone, skipped = listed(row("BTCUSDT", "BTC", quoteAsset="USD"), catalog=catalog)
    assert isinstance(gone, Listing)
    assert not gone.trading
    assert skipped == Skipped(NAME, "BTCUSDT", "foreign")


# -- liquidations, errors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "count"), [("FILLED", 1), ("PARTIALLY_FILLED", 0), ("NEW", 0), ("EXPIRED", 0)])
def test_only_filled_orders_are_liquidations(state: str, count: int) -> None:
    frame = load(NAME, "ws_force_order").replace('"FILLED"', f'"{state}"')
    found = decode(fresh(NAME), frame)
    assert [type(item) for item in found] == [Liquidation] * count


def test_an_order_without_a_state_is_refused() -> None:
    found = decode(fresh(NAME), load(NAME, "ws_force_order").replace('"X":"FILLED",', ""))
    assert reasons(found) == ["missing_field"]


@pytest.mark.parametrize("venue", [NAME, "binance_usdm", "binance_coinm"])
@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ('{"code":2,"msg":"no"}', Control("refused", None, "2 no")),
        ('{"code":2,"msg":"no","id":4}', Control("refused", "4", "2 no")),
        ('{"error":{"code":2,"msg":"no"}}', Control("refused", None, "no")),
        ('{"error":{"code":2,"msg":"no"},"id":4}', Control("refused", "4", "no")),
    ],
)
def test_errors_are_refusals_flat_or_nested_with_or_without_a_number(venue: str, frame: str, said: Control) -> None:
    """Cause: a nested error without the request's number was an unknown shape, so the link waited for its deadline."""
    assert decode(fresh(venue), frame) == [said]


# -- requests --------------------------------------------------------------------------------------------------------


def test_one_address_without_a_route() -> None:
    plans = VENUE.connections(VENUE.endpoints, synthetic(NAME, 450), EXTRA_STREAMS)
    assert {plan.url for plan in plans} == {"wss://fstream.asterdex.com/ws"}
    counts = [sum(len(topics(frame)) for frame in plan.frames) for plan in plans]
    assert counts == [200, 200, 50, 1, 200, 200, 50]  # marks, liquidations, trades


def test_names_are_lower_case_in_ascii_alone() -> None:
    """Cause: lower case of other scripts is another name: the venue would acknowledge it, and stay silent."""
    item = Listing(NAME, "ÄΣBUSDT", "X", False, 1.0, 1.0, 8.0, True, 0)
    [plan] = VENUE.connections(VENUE.endpoints, [item])
    assert topics(plan.frames[0]) == ["ÄΣbusdt@markPrice@1s"]


def test_open_interest_is_polled_and_ratios_are_not() -> None:
    polls = VENUE.polls(VENUE.endpoints, synthetic(NAME, 500), 10.0, EXTRA_STREAMS)
    assert {poll.request.url.partition("?")[0] for poll in polls} == {"https://fapi.asterdex.com/fapi/v3/openInterest"}
    assert len(polls) == 500
    per_minute = sum(poll.request.weight * 60 / poll.every_s for poll in polls)
    assert per_minute <= VENUE.limits.rest_weight / 2  # the rest is for metadata, history and recovery


def test_history_is_of_marks_indices_and_rates() -> None:
    item = Listing(NAME, "币安人生USDT", "币安人生", False, 1.0, 1.0, 8.0, True, 0)
    requests = VENUE.history(VENUE.endpoints, item, NOW - DAY_AND_TWO, NOW)
    assert {request.context for request in requests} == {
        f"history:{what}:币安人生USDT" for what in ("mark", "index", "funding")
    }
    assert all(request.url.startswith("https://fapi.asterdex.com/fapi/v3/") for request in requests)
    assert all("%E5%B8%81" in request.url and request.url.isascii() for request in requests)
    assert [request.weight for request in requests if "fundingRate" in request.url] == [1.0]


def test_rules() -> None:
    rules = VENUE.rules
    assert (rules.exchange, rules.oi_figure.sides, rules.oi_figure.evidence) == ("aster", 1, "assumed")
    assert VENUES["binance_usdm"].rules.oi_figure.evidence == "documented"


def test_open_interest() -> None:
    assert decode(fresh(NAME), load(NAME, "http_get_open_interest")) == [
        OpenInterest(NAME, "BTCUSDT", "BTC", 6007.008, 1.0, 6007.008, False, 1763719295432, T0)
    ]


@pytest.mark.looptime(idle_step=0.05, idle_timeout=30)
async def test_five_hundred_symbols_stay_within_the_weight_of_any_minute() -> None:
    """Polls, metadata and history together, counted as the venue counts them."""
    spent: list[tuple[float, float]] = []
    loop = asyncio.get_running_loop()
    listings = synthetic(NAME, 500)
    weights: dict[str, float] = {}

    async def answer(request: web.Request) -> web.Response:
        spent.append((loop.time(), weights[str(request.rel_url)]))
        body = {"symbol": request.query.get("symbol"), "openInterest": "7.5", "time": T0}
        return web.json_response(body if request.path.endswith("/openInterest") else [])

    app = web.Application()
    app.router.add_route("GET", "/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoints = Endpoints({}, f"http://127.0.0.1:{runner.addresses[0][1]}")
    polls = VENUE.polls(endpoints, listings, 10.0, EXTRA_STREAMS)
    past = [request for item in listings for request in VENUE.history(endpoints, item, NOW - DAY_AND_TWO, NOW)]
    for request in [*(poll.request for poll in polls), *VENUE.metadata(endpoints), *past]:
        weights[request.url.removeprefix(endpoints.rest)] = request.weight
    sink, health = Sink(), VenueHealth(NAME)
    io = VenueIo(VENUE, sink, LoopClock(), random.Random(3), VenueBudget(VENUE.limits), NetworkSection(), health)
    poller = Poller(io)
    polling = asyncio.create_task(poller.run(polls))

    async def backfill() -> None:
        async with poller.session() as session:
            for request in past:
                await poller.fetch_history(session, request, sink)

    filling = asyncio.create_task(backfill())
    await poller.fetch_metadata(VENUE.metadata(endpoints))
    await asyncio.sleep(240)
    for task in (polling, filling):
        task.cancel()
    await asyncio.gather(polling, filling, return_exceptions=True)
    await runner.cleanup()
    worst = max(sum(weight for at, weight in spent if start <= at < start + 60) for start, _ in spent)
    assert 1200 <= worst <= 2400
    assert {reason: count for reason, count in health.rest.failures.items() if reason.startswith("http")} == {}
