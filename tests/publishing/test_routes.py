"""Plain HTTP: paths, methods, paging, compression; over real sockets where the library has a say."""

from __future__ import annotations

import gzip
from typing import Any

import orjson
import pytest

from service.publishing import http as routes
from service.publishing.http import Ask, accepts_gzip, origin_allowed
from service.publishing.message import rounded
from tests.publishing.factories import (
    EPOCH,
    SYMBOLS,
    TS,
    Running,
    http,
    make_tick,
    market_body_whole,
    sample,
    signal_body,
)

PATHS = (
    "/healthz",
    "/readyz",
    "/metrics",
    "/v1/signals",
    "/v1/signals/BTC",
    "/v1/symbols",
    "/v1/venues",
    "/v1/coverage",
)


async def test_every_path_answers_get_and_head_alike() -> None:
    async with Running() as run:
        run.feed.publish_tick(make_tick(), 0)
        run.feed.set_ready(True)
        for path in PATHS:
            status, headers, body = await http(run.port, f"GET {path}")
            assert status == 200, path
            assert int(headers["content-length"]) == len(body) > 0
            assert headers["connection"] == "close"
            assert headers["cache-control"] == "no-store"
            assert headers["server"] == "elr/0.1.0"
            head_status, head_headers, nothing = await http(run.port, f"HEAD {path}")
            assert (head_status, nothing) == (200, b"")
            assert int(head_headers["content-length"]) > 0
            if path != "/metrics":
                assert headers["content-type"] == "application/json"
                assert head_headers["content-length"] == headers["content-length"]
                orjson.loads(body)


async def test_signals() -> None:
    async with Running() as run:
        status, _, body = await http(run.port, "GET /v1/signals")
        assert (status, orjson.loads(body)) == (200, {"ts": None, "market": None, "next": None, "signals": []})
        status, headers, body = await http(run.port, "GET /v1/signals/ETH")
        assert (status, orjson.loads(body)["error"]["code"]) == (503, "not_ready")
        assert headers["retry-after"] == "10"
        run.feed.publish_tick(make_tick(), 0)
        run.feed.publish_tick(make_tick(TS + 10_000), 0)
        everything = orjson.loads((await http(run.port, "GET /v1/signals"))[2])
        assert everything["ts"] == TS + 10_000
        assert [item["symbol"] for item in everything["signals"]] == list(SYMBOLS)
        one = orjson.loads((await http(run.port, "GET /v1/signals/ETH?whatever=1"))[2])
        assert one == everything["signals"][1]
        envelope = {
            "v": 1,
            "type": "signal",
            "kind": "snapshot",
            "channel": "signal.ETH",
            "seq": 2,
            "epoch": EPOCH,
            "source": "simulated",
            "sent_ts": TS + 4,
        }
        assert one == {**envelope, **rounded(signal_body("ETH", TS + 10_000))}
        assert everything["market"] is None
        assert (await http(run.port, "GET /v1/signals/MARKET"))[0] == 503
        run.feed.publish_tick(make_tick(TS + 20_000, market=market_body_whole(TS + 20_000)), 0)
        market = orjson.loads((await http(run.port, "GET /v1/signals/MARKET"))[2])
        whole = {**envelope, "channel": "signal.MARKET", "seq": 1}
        assert market == {**whole, **rounded(market_body_whole(TS + 20_000))}
        everything = orjson.loads((await http(run.port, "GET /v1/signals"))[2])
        assert everything["market"] == market
        assert len(everything["signals"]) == 3


async def test_symbols_and_venues_come_from_the_views() -> None:
    async with Running() as run:
        assert orjson.loads((await http(run.port, "GET /v1/symbols"))[2]) == run.views.symbols()
        assert orjson.loads((await http(run.port, "GET /v1/venues"))[2]) == run.views.venues()


async def test_coverage_is_a_head_and_the_symbols_that_have_any() -> None:
    async with Running() as run:
        document = orjson.loads((await http(run.port, "GET /v1/coverage"))[2])
        assert document["list"] == {"name": "coingecko_derivatives", "age_s": 0.3333333333}
        assert document["next"] is None
        found = {item["symbol"]: item["share"] for item in document["symbols"]}
        assert found == {symbol: 0.6666666667 for symbol in SYMBOLS if symbol != "ETH"}


@pytest.mark.parametrize(
    ("request_line", "status", "code"),
    [
        ("GET /nowhere", 404, "not_found"),
        ("GET /v2/stream", 404, "not_found"),
        ("GET /v1/signals/", 404, "unknown_symbol"),
        ("GET /v1/signals/NOPE", 404, "unknown_symbol"),
        ("GET /v1/signals/btc", 404, "unknown_symbol"),
        ("GET /v1/signals/BTC/", 404, "unknown_symbol"),
        ("GET /v1/signals/../../etc/passwd", 404, "unknown_symbol"),
        ("GET /v1/signals?after=NOPE", 400, "bad_request"),
        ("GET http://[/healthz", 400, "bad_request"),
        ("POST /v1/signals", 405, "method_not_allowed"),
        ("POST /v1/signals/BTC", 405, "method_not_allowed"),
        ("DELETE /metrics", 405, "method_not_allowed"),
        ("OPTIONS /healthz", 405, "method_not_allowed"),
        ("POST /v1/stream", 405, "method_not_allowed"),
        ("OPTIONS /v1/stream", 405, "method_not_allowed"),
        ("GET /v1/stream", 426, "upgrade_required"),
    ],
)
async def test_refusals_are_json(request_line: str, status: int, code: str) -> None:
    async with Running() as run:
        found, headers, body = await http(run.port, request_line)
        document = orjson.loads(body)
        assert (found, document["error"]["code"]) == (status, code)
        assert list(document) == ["error"]
        assert document["error"]["message"]
        if status == 405:
            assert "GET" in headers["allow"]
        if status == 426:
            assert headers["upgrade"] == "websocket"
        assert run.count("elr_feed_refused_total", status=str(status)) == 1


async def test_a_post_with_a_body_is_told_405_too() -> None:
    async with Running() as run:
        length = "Host: test\r\nContent-Length: 2\r\n"
        status, headers, body = await http(run.port, "POST /v1/signals", length, b"{}")
        assert (status, orjson.loads(body)["error"]["code"]) == (405, "method_not_allowed")
        assert int(headers["content-length"]) == len(body)


@pytest.mark.parametrize("headers", ["Host: test\r\nX: " + "a" * 9000 + "\r\n", "Host: test\r\n" + "X: 1\r\n" * 200])
async def test_oversized_headers(headers: str) -> None:
    async with Running() as run:
        assert (await http(run.port, "GET /healthz", headers))[0] == 431


async def test_large_answers_are_compressed_where_accepted() -> None:
    async with Running() as run:
        run.views.symbols_document = {"symbols": {f"S{n}": [{"venue": "bybit"}] * 10 for n in range(5000)}}
        status, headers, body = await http(run.port, "GET /v1/symbols", "Host: test\r\nAccept-Encoding: br, gzip\r\n")
        assert (status, headers["content-encoding"], headers["vary"]) == (200, "gzip", "Accept-Encoding")
        assert len(body) < 100_000
        assert orjson.loads(gzip.decompress(body)) == run.views.symbols_document
        status, headers, plain = await http(run.port, "GET /v1/symbols")
        assert "content-encoding" not in headers
        assert orjson.loads(plain) == run.views.symbols_document
        assert len(plain) > 500_000
        small = await http(run.port, "GET /healthz", "Host: test\r\nAccept-Encoding: gzip\r\n")
        assert "content-encoding" not in small[1]


async def test_a_long_list_is_paged_without_compression_and_whole_with_it() -> None:
    symbols = tuple(f"S{n}" for n in range(200))
    async with Running(symbols=symbols) as run:
        run.feed.publish_tick(make_tick(symbols=symbols), 0)
        path, seen, pages = "/v1/signals", [], 0
        while path is not None:
            _, _, body = await http(run.port, f"GET {path}")
            assert len(body) <= routes.PAGE_BYTES + 1000
            page = orjson.loads(body)
            seen += [item["symbol"] for item in page["signals"]]
            path = page["next"]
            pages += 1
        assert seen == list(symbols)
        assert pages > 1
        _, _, body = await http(run.port, "GET /v1/signals", "Host: test\r\nAccept-Encoding: gzip\r\n")
        whole = orjson.loads(gzip.decompress(body))
        assert whole["next"] is None
        assert [item["symbol"] for item in whole["signals"]] == list(symbols)


async def test_metrics_over_http() -> None:
    async with Running() as run:
        run.views.samples = (sample(),)
        run.feed.publish_tick(make_tick(), 0)
        status, headers, body = await http(run.port, "GET /metrics")
        assert status == 200
        assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert b'elr_score{symbol="BTC",window="composite"} -0.31\n' in body
        assert b'elr_mark_price_usd{symbol="BTC",venue="bybit"} 83024.7\n' in body
        run.clock.now += 30_001
        _, _, body = await http(run.port, "GET /metrics")
        assert b"elr_score{" not in body
        assert b"elr_mark_price_usd{" not in body
        assert b'elr_venue_up{venue="bybit"} 1.0\n' in body


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, None, True),
        (None, "a:1", True),
        ("http://a:1", "a:1", True),
        ("https://a", "A", True),
        ("http://a:1", "a", False),
        ("http://a.evil", "a", False),
        ("http://a", None, False),
        ("a:1", "a:1", False),
        ("", "", False),
        ("null", "null", False),
        ("http://", "", True),  # no browser has an empty host; nothing to protect
    ],
)
def test_origin(origin: str | None, host: str | None, allowed: bool) -> None:
    assert origin_allowed(origin, host) is allowed


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("br, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
        ("*", True),
        ("identity", False),
        ("xgzip", False),
    ],
)
def test_accept_encoding(header: str | None, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/a?b=1&b=2&c=", Ask("GET", "/a", {"b": "1", "c": ""})),
        ("http://host/a", Ask("GET", "/a", {})),
        ("*", Ask("GET", "*", {})),
        ("http://[", None),
        ("/?" + "&".join(f"a{n}=1" for n in range(60)), None),
    ],
)
def test_targets(target: str, expected: Any) -> None:
    assert Ask.of("GET", target) == expected
