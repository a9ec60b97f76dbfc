"""Hand-made ticks, samples and collaborators for the publishing tests. Every field of a body has its own value."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from service.config import FeedSection
from service.deleveraging import packaged
from service.metrics import Metrics, ScrapeState
from service.model import MARKET, Consensus, Tick, VenueView
from service.publishing import Feed
from service.scoring.market_wide import MarketScorer
from tests.scoring import factory as scored

EPOCH = "01JCZX5Q8M3V7K2N4P6R8T0W1Y"
TS = 1_763_720_520_000
SYMBOLS = ("BTC", "ETH", "1000PEPE")
VENUES = ("bybit", "okx")


def signal_body(symbol: str = "BTC", ts: int = TS, **changes: Any) -> dict[str, Any]:
    window = {
        "ready": True,
        "score": -0.12,
        "strength": 0.4,
        "confidence": 0.41,
        "direction": "neutral",
        "return": -0.0004,
        "oi_change": 0.0011,
        "components": [
            {
                "id": "positioning",
                "score": -0.2,
                "weight": 1.0,
                "z": {"return": -0.8, "oi": 1.2},
                "quadrant": "short_build_up",
            }
        ],
    }
    body: dict[str, Any] = {
        "symbol": symbol,
        "ts": ts,
        "as_of": ts - 880,
        "ttl_ms": 30_000,
        "status": "ok",
        "reasons": [],
        "abstain": False,
        "tradeable": True,
        "score": -0.31,
        "strength": 0.72,
        "confidence": 0.69471,
        "direction": "short",
        "transition": None,
        "momentum": "steady",
        "conflict": False,
        "conflict_windows": [],
        "regime": "crowded_longs",
        "fragility": 0.81,
        "fragility_horizon_h": 24,
        "windows": {
            "1m": window,
            "5m": {**window, "score": -0.22, "strength": 0.5, "confidence": 0.52},
            "1h": {**window, "score": -0.33, "strength": 0.6, "confidence": 0.63},
        },
        "elr": [
            {
                "variant": "oi_reserve",
                "value": 0.2134,
                "unit": "ratio",
                "z": 1.9,
                "percentile": 0.96,
                "n": 1440,
                "horizon_h": 24,
                "change_1h": 0.004,
                "band": "high",
                "band_source": "percentile",
                "formula_status": "published",
                "as_of": ts - 881,
                "stale": False,
                "reason": None,
                "by_venue": {"bybit": 0.31},
                "ma": {"7d": 0.2, "30d": 0.19},
                "scope": {"numerator": ["bybit"], "denominator": ["bybit"], "coverage": 0.83, "match": True},
            },
            {
                "variant": "oi_mcap",
                "value": None,
                "unit": "%",
                "z": 1.8,
                "percentile": 0.95,
                "n": 1440,
                "horizon_h": 24,
                "change_1h": 0.005,
                "band": "high",
                "band_source": "percentile",
                "formula_status": "published",
                "as_of": ts - 882,
                "stale": False,
                "reason": "no_denominator",
                "by_venue": {},
                "ma": {"7d": None, "30d": None},
                "scope": {"numerator": ["bybit"], "denominator": [], "coverage": 0.84, "match": False},
            },
        ],
        "market": {
            "price": 83024.7,
            "index": 83020.1,
            "premium": 5.54e-05,
            "funding_8h": 0.0001,
            "oi_coins": 51234.5,
            "oi_usd": 4253728963.15,
            "oi_coverage": 0.85,
            "venues_fresh": 2,
            "venues_total": 3,
        },
        "confidence_factors": {
            "freshness": 0.93,
            "coverage": 0.83,
            "warmup": 1.0,
            "agreement": 0.9,
            "continuity": 1.0,
        },
        "p_hit": 0.5,
        "p_hit_n": 12,
        "modes": {
            "scalp": {
                "bias": "short",
                "score": -0.2,
                "as_of": ts - 20_000,
                "windows": {"1m": {"weight": 2 / 3, "score": -0.17}, "5m": {"weight": 1 / 3, "score": -0.26}},
            },
            "day": {
                "bias": "short",
                "score": -0.21,
                "as_of": ts - 30_000,
                "windows": {
                    "1m": {"weight": 0.2, "score": -0.16},
                    "5m": {"weight": 0.5, "score": -0.23},
                    "1h": {"weight": 0.3, "score": -0.21},
                },
            },
            "swing": {
                "bias": "neutral",
                "score": -0.02,
                "as_of": ts - 60_000,
                "windows": {
                    "1h": {"weight": 0.25, "score": -0.19},
                    "4h": {
                        "weight": 0.35,
                        "score": 0.08,
                        "return": 0.0061,
                        "oi_change": 0.0072,
                        "z": {"return": 0.6, "oi": 0.55},
                        "quadrant": "long_build_up",
                    },
                    "24h": {
                        "weight": 0.4,
                        "score": None,
                        "return": 0.0113,
                        "oi_change": None,
                        "z": {"return": None, "oi": None},
                        "quadrant": None,
                    },
                },
            },
        },
        "sizing": {
            "size_fraction": 0.0,
            "stop_multiplier": 1.0,
            "risk_multiplier": 0.62,
            "risk_factors": {"data": 0.9, "deleveraging": 0.6884, "spike": 1.0},
        },
        "weights_version": "static-1",
        "volatility_24h": 0.0312,
        "fragility_2": 0.77,
        "p_deleveraging": {
            "oi_5": 0.2715,
            "oi_10": 0.0526,
            "horizon_h": 24,
            "model": "deleveraging-1:1a2b3c4d",
            "base_rate": 0.1869,
            "base_rate_10": 0.0364,
            "as_of": ts - 20_000,
            "reason": None,
            "evidence": "none_yet",
            "evidence_10": "no_better_than_volatility",
        },
        "flush_falling": False,
        "flushed_1h": True,
        "provisional": True,
        "spike": {"since": ts - 50_000},
        "month": {
            "from": ts - 2_592_000_000,
            "until": ts - 93_600_000,
            "hours": 694,
            "venues": ["binance_usdm", "bybit"],
        },
        "oi_change": {"1h": 0.004, "4h": 0.0071, "24h": -0.0123, "7d": None},
    }
    return {**body, **changes}


def alert_body(symbol: str = "BTC", ts: int = TS, alert: str = "elr_spike") -> dict[str, Any]:
    return {
        "symbol": symbol,
        "ts": ts,
        "alert": alert,
        "state": "raised",
        "severity": "warning",
        "text": f"{symbol}: leverage far above its last day",
        "values": {"z": 3.4, "percentile": 0.98, "provisional": False, "per_day": 0.4},
        "lasts": True,
    }


def market_body_whole(ts: int = TS) -> dict[str, Any]:
    """The body of signal.MARKET as the real scorer makes it, of two symbols."""
    made = MarketScorer(2, packaged())
    sample = scored.consensus(ts, symbol=MARKET, venues=(), index=None)
    symbols = [scored.readings(ts), scored.readings(ts)]
    spiking = {"spike": {"since": ts - 40_000}, "regime": "loaded"}
    bodies = [signal_body("BTC", ts, flush=None), signal_body("ETH", ts, flush=None, **spiking)]
    return made.score(replace(scored.readings(ts, sample), symbol=MARKET), symbols, bodies, False)[0]


def make_tick(
    ts: int = TS,
    symbols: Sequence[str] = SYMBOLS,
    alerts: Sequence[dict[str, Any]] = (),
    market: dict[str, Any] | None = None,
) -> Tick:
    return Tick(ts, tuple(signal_body(symbol, ts) for symbol in symbols), tuple(alerts), market=market)


def view(venue: str = "bybit", **changes: Any) -> VenueView:
    values: dict[str, Any] = {
        "venue": venue,
        "instrument": "BTCUSDT",
        "fresh": True,
        "mark": 83024.7,
        "index": 83020.1,
        "rate": 0.00005,
        "rate_8h": 0.0001,
        "interval_h": 4.0,
        "oi_coins": 51234.5,
        "oi_coins_last": 51235.5,
        "age_mark_ms": 120,
        "age_funding_ms": 2300,
        "age_oi_ms": 4500,
        "states": (("mark", "LIVE"), ("funding", "LIVE"), ("oi", "LIVE")),
    }
    return VenueView(**{**values, **changes})


def sample(symbol: str = "BTC", ts: int = TS, **changes: Any) -> Consensus:
    gone = view(
        "okx",
        instrument="BTC-USDT-SWAP",
        fresh=False,
        mark=None,
        index=83021.3,
        rate=None,
        rate_8h=None,
        interval_h=8.0,
        oi_coins=None,
        oi_coins_last=20111.0,
        age_mark_ms=61_000,
        age_funding_ms=None,
        age_oi_ms=70_000,
        states=(("mark", "STALE"), ("funding", "NEVER"), ("oi", "STALE")),
    )
    values: dict[str, Any] = {
        "symbol": symbol,
        "ts": ts,
        "step_s": 1,
        "quorum": True,
        "price": 83024.7,
        "index": 83020.1,
        "funding_8h": 0.0001,
        "funding_spend": 5.12345,
        "funding_spread": 0.00002,
        "funding_outlier_sign": 1,
        "oi_coins": 51234.5,
        "ln_oi_index": 0.0123,
        "oi_receipts": 2,
        "full_set": False,
        "coverage": 0.7183,
        "freshness": 0.93,
        "as_of": ts - 4500,
        "trouble": ("stale:okx",),
        "excluded": ("okx",),
        "venues_total": 3,
        "venues": (view(), gone),
    }
    return Consensus(**{**values, **changes})


class FixedClock:
    """A service clock that a test sets."""

    def __init__(self, now_ms: int = TS + 4) -> None:
        self.now = now_ms

    def now_ms(self) -> int:
        return self.now


class FakeViews:
    """What the runtime would say; a test changes the attributes."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.samples: tuple[Consensus, ...] = ()
        self.up = {"bybit": True, "okx": False}
        self.symbols_document: dict[str, Any] = {"symbols": {"BTC": [{"venue": "bybit", "instrument": "BTCUSDT"}]}}

    def symbols(self) -> dict[str, Any]:
        return self.symbols_document

    def venues(self) -> dict[str, Any]:
        return {"venues": {"bybit": {"up": True}, "okx": {"up": False}}}

    def scoreboard(self) -> dict[str, Any]:
        return {"ts": self.clock.now, "horizons": {"1m": {"n": 3, "hit": 2 / 3}}}

    def scoreboard_of(self, symbol: str) -> dict[str, Any]:
        return {"symbol": symbol, "horizons": {"1m": {"n": 1, "hit": 1.0}}}

    def coverage(self) -> dict[str, Any]:
        return {"ts": self.clock.now, "list": {"name": "coingecko_derivatives", "age_s": 1 / 3}}

    def coverage_of(self, symbol: str) -> dict[str, Any] | None:
        return None if symbol == "ETH" else {"symbol": symbol, "share": 2 / 3, "reason": None}

    def scrape(self) -> ScrapeState:
        return ScrapeState(
            now_ms=self.clock.now,
            symbols=SYMBOLS,
            venues=tuple(self.up.items()),
            samples=self.samples,
            reconnects=(("okx", "reset", 3),),
        )


class Running:
    """A feed on a free loopback port, with its collaborators."""

    def __init__(self, symbols: Sequence[str] = SYMBOLS, **settings: Any) -> None:
        self.clock = FixedClock()
        self.views = FakeViews(self.clock)
        self.registry = CollectorRegistry()
        self.metrics = Metrics(VENUES, "simulated", "0.1.0", self.registry)
        self.settings = FeedSection(**{"port": 0, **settings})
        self.feed = Feed(self.settings, "simulated", symbols, EPOCH, "elr/0.1.0", self.clock, self.metrics, self.views)
        self.port = 0

    async def __aenter__(self) -> Running:
        self.port = await self.feed.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.feed.drain()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/stream"

    def connect(self, **options: Any) -> connect:
        return connect(self.url, proxy=None, compression=None, **options)

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


async def receive(socket: ClientConnection, within_s: float = 5.0) -> dict[str, Any]:
    """The next message, as JSON."""
    async with asyncio.timeout(within_s):
        message: dict[str, Any] = orjson.loads(await socket.recv())
    return message


async def receive_many(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    return [await receive(socket) for _ in range(count)]


async def send(socket: ClientConnection, **request: Any) -> None:
    await socket.send(orjson.dumps(request).decode())


async def ask(socket: ClientConnection, **request: Any) -> dict[str, Any]:
    """Send a request and take the next message as its answer."""
    await send(socket, **request)
    return await receive(socket)


async def closed_with(socket: ClientConnection, within_s: float = 5.0) -> tuple[int | None, str | None]:
    """Read until the connection ends; its close code and reason."""
    async with asyncio.timeout(within_s):
        with suppress(ConnectionClosedError):
            async for _ in socket:
                pass
    return socket.close_code, socket.close_reason


async def http(
    port: int, request: str, headers: str = "Host: test\r\n", body: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    """One plain HTTP exchange over a raw socket: status, headers (lower case), body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{request} HTTP/1.1\r\n{headers}\r\n".encode() + body)
    async with asyncio.timeout(5):
        raw = await reader.read()
    writer.close()
    head, _, rest = raw.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    found = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
    return int(lines[0].split(" ")[1]), found, rest
