"""DefiLlama, CoinGecko and Coin Metrics on one loopback port, in the shapes their documents show."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from aiohttp import web

DAY_S = 86_400


def protocol(days: list[tuple[int, dict[str, float]]], **extra: Any) -> dict[str, Any]:
    """An answer of ``/protocol/{slug}``: whole history, chains first, totals last."""
    rows = [{"date": date, "tokens": tokens} for date, tokens in days]
    return {
        "id": "2269",
        "name": "Simulated CEX",
        "category": "CEX",
        "currentChainTvls": {"Bitcoin": 17.5},
        "chainTvls": {
            "Bitcoin": {
                "tvl": [{"date": days[0][0], "totalLiquidityUSD": 18.5}],
                "tokensInUsd": [{"date": days[0][0], "tokens": {"BTC": 19.5}}],
                "tokens": [{"date": days[-1][0] + 5, "tokens": {"BTC": 20.5}}],
            },
            "OwnTokens": {"tokens": [{"date": days[-1][0] + 6, "tokens": {"BNB": 21.5}}]},
        },
        "tvl": [{"date": days[-1][0], "totalLiquidityUSD": 22.5}],
        "tokensInUsd": [{"date": days[-1][0], "tokens": {"BTC": 23.5}}],
        "tokens": rows,
        **extra,
    }


def coin(id_: str, supply: float | None, last_updated: str) -> dict[str, Any]:
    """A row of ``/coins/markets``."""
    return {
        "id": id_,
        "symbol": id_[:3],
        "name": id_.title(),
        "current_price": 101.5,
        "market_cap": 102.5,
        "fully_diluted_valuation": 103.5,
        "circulating_supply": supply,
        "total_supply": 104.5,
        "max_supply": None,
        "last_updated": last_updated,
    }


def derivative(market: str, symbol: str, index_id: str | None, price: str, **changes: Any) -> dict[str, Any]:
    """A row of ``/derivatives``, in the shape of the documented example; every field with a value of its own."""
    return {
        "market": market,
        "symbol": symbol,
        "index_id": index_id,
        "price": price,
        "price_percentage_change_24h": 1.5274,
        "contract_type": "perpetual",
        "index": 3393.5342,
        "basis": -0.0523,
        "spread": 0.01,
        "funding_rate": -0.007182,
        "open_interest": 9_327_998.66,
        "volume_24h": 392_642_535.232,
        "last_traded_at": 1_794_999_000,
        "expired_at": None,
        **changes,
    }


def catalogue(offers: dict[str, dict[str, bool]]) -> dict[str, Any]:
    """An answer of the catalogue: asset -> metric -> whether the community may read it daily."""
    return {
        "data": [
            {
                "asset": asset,
                "metrics": [
                    {
                        "metric": metric,
                        "frequencies": [
                            {"frequency": "1b", "community": True},
                            {"frequency": "1d", "min_time": "2010-01-01T00:00:00.000000000Z", "community": free},
                        ],
                    }
                    for metric, free in metrics.items()
                ],
            }
            for asset, metrics in offers.items()
        ]
    }


class SourceServer:
    """Answers by path; what is not in ``answers`` is 404. A value that is an int is an HTTP status."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.headers: dict[str, str] = {}
        self.delay_s = 0.0
        self.asked: list[str] = []
        self.base = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> SourceServer:
        application = web.Application()
        application.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        await asyncio.sleep(self.delay_s)
        answer = self.answers.get(request.path, 404)
        if isinstance(answer, int):
            return web.Response(status=answer, headers=self.headers)
        body = answer if isinstance(answer, bytes) else orjson.dumps(answer)
        return web.Response(body=body, content_type="application/json")
