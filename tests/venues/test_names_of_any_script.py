"""Names of any script, and with marks that mean something in an address: asked for, answered and subscribed rightly."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import orjson
import pytest
from aiohttp import web

from service.model import EXTRA_STREAMS, Listing, Skipped
from service.venues import VENUES
from service.venues.coins import COINS as COINS_KNOWN
from service.venues.contract import Catalog, Request
from service.venues.decoding import decode_document
from tests.venues.test_symbols import NAMES, UNTOLD, emit_of

NOW = 1_763_683_200_000
COINS = ("币安人生", "A&B=C", "A+B", "A#B", "A%42", "A/B", "A,B")  # whatever a venue may list
STREAMED = ("币安人生", "龙虾", "ΣΩ", "İ")


def listing(venue: str, coin: str) -> Listing:
    name = NAMES[venue].format(coin)
    return Listing(venue, name, "X", venue == "binance_coinm", 1.0, 1.0, 8.0, True, 0)


def asked(venue: str, rest: str, coin: str) -> list[Request]:
    place = VENUES[venue]
    endpoints = type(place.endpoints)(ws=place.endpoints.ws, rest=rest)
    item = listing(venue, coin)
    requests = [poll.request for poll in place.polls(endpoints, [item], 10.0, EXTRA_STREAMS)]
    requests += place.history(endpoints, item, NOW - 7_200_000, NOW)
    return [request for request in requests if "liq_orders" not in request.url]  # Gate's are of all contracts


def texts(value: Any) -> list[str]:
    """All texts of a JSON document."""
    if isinstance(value, dict):
        value = list(value.values())
    return (
        [value]
        if isinstance(value, str)
        else [text for item in value for text in texts(item)]
        if isinstance(value, list)
        else []
    )


@pytest.mark.parametrize("venue", VENUES)
async def test_every_request_reaches_a_server_with_the_name_as_it_is(venue: str) -> None:
    """Cause: an address that is quoted twice, or not at all, asks for another instrument."""
    seen: list[tuple[str, list[str], str]] = []

    async def answer(request: web.Request) -> web.Response:
        values = [value for _, value in parse_qsl(request.rel_url.raw_query_string)]
        seen.append((request.path, values, await request.text()))
        return web.Response(text="{}")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession() as session:
            for coin in COINS:
                requests = asked(venue, f"http://127.0.0.1:{port}", coin)
                assert requests, venue
                name = NAMES[venue].format(coin)
                for request in requests:
                    assert request.url.isascii()
                    body = None if request.body is None else request.body.encode()
                    async with session.request(request.method, request.url, data=body) as response:
                        assert response.status == 200
                    path, values, text = seen.pop()
                    parts = [name.removesuffix(end) for end in ("", "-SWAP", "_PERP")]
                    if venue == "lighter":
                        parts = [name.rpartition("-")[2]]  # asked for by its id
                    told = [*values, *path.split("/"), *(orjson.loads(text).values() if text else ())]
                    told += [path.partition("Funding/")[2], path.partition("analytics/")[2].rpartition("/")[0]]
                    told += [path.partition(f"/v1/{tick}/")[2].rpartition("/")[0] for tick in ("mark", "spot")]
                    told += [str(value).partition("_")[2] for value in values]  # Gate: mark_BTC_USDT
                    if text:
                        told += list(orjson.loads(text).get("req", {}).values())
                    assert any(part in told for part in parts), (request.url, told)
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("coin", STREAMED)
def test_every_subscription_is_whole_json_with_the_name_in_it(venue: str, coin: str) -> None:
    place = VENUES[venue]
    name = NAMES[venue].format(coin)
    plans = place.connections(place.endpoints, [listing(venue, coin)], EXTRA_STREAMS)
    found = [text for plan in plans for frame in plan.frames for text in texts(orjson.loads(frame))]
    # Cause: `str.lower` of a whole name makes other names of some scripts; these streams are in lower ASCII case.
    wanted = "".join(letter.lower() if letter.isascii() else letter for letter in name)
    wanted = wanted if venue.startswith(("binance", "aster")) else name
    if venue == "lighter":
        wanted = f"trade/{name.rpartition('-')[2]}"  # asked for by its id
    if venue != "dydx":  # its one channel of marks is of all markets
        assert any(wanted in text for text in found)
    assert all(plan.url.isascii() for plan in plans)


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("coin", STREAMED)
def test_every_venue_lists_the_name_under_itself(venue: str, coin: str) -> None:
    emit = emit_of(venue)
    found = emit.listing(NAMES[venue].format(coin))
    if venue in UNTOLD and coin not in COINS_KNOWN:
        assert emit.out == [Skipped(venue, NAMES[venue].format(coin), "unknown_kind")]
        return
    assert found is not None
    assert (found.symbol, found.multiplier) == (coin, 1.0)


def test_a_thousand_of_a_token_of_any_script() -> None:
    found = emit_of("bybit").listing("1000龙虾USDT")
    assert found is not None
    assert (found.symbol, found.multiplier) == ("龙虾", 1000.0)


def test_a_frame_with_such_a_name_is_read_the_quick_way_and_the_slow() -> None:
    """Binance sends many marks in one frame: names that are no ASCII must not cost the others."""
    row = '{"e":"markPriceUpdate","E":1763683200500,"s":"%s","p":"%s","i":"2.5","P":"2","r":"0.0001","T":1763712000000}'
    frames = [
        row % ("币安人生USDT", "0.25"),
        "[" + row % ("币安人生USDT", "0.5") + "," + row % ("BTCUSDT", "90000") + "]",
    ]
    marks = [
        (line["symbol"], line["mark"])
        for frame in frames
        for line in decode_document("binance_usdm", frame)
        if line.get("stream") == "mark"
    ]
    assert marks == [("币安人生", 0.25), ("币安人生", 0.5), ("BTC", 90000.0)]
    decoder = VENUES["bybit"].decoder(Catalog())
    ticker = (
        '{"topic":"tickers.\\u9f99\\u867eUSDT","type":"snapshot","cs":51,"ts":1763683200500,"data":{"symbol":'
        '"\\u9f99\\u867eUSDT","markPrice":"2.113","indexPrice":"2.112","openInterest":"8002","nextFundingTime":'
        '"1763712000000","fundingRate":"0.00003","fundingIntervalHour":"8"}}'
    )
    assert {getattr(item, "symbol", None) for item in decoder.decode(ticker, NOW)} == {"龙虾"}
