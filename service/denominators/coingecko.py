"""CoinGecko: circulating supply, ``GET /api/v3/coins/markets``, one call for up to 250 coins, no key.

Document: coingecko/coingecko-api-oas ``demo-api.json``. Supply changes slowly, so that supply x our own price makes a
market cap as fresh as the price. A ticker names many coins: only ids that we or the operator chose are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.denominators.contract import Answer, Fetch, Figure, WholeBody, coins_of, epoch_ms, unit_of
from service.errors import BadPayload

PER_PAGE = 250
IDS = {
    "BTC": "bitcoin",
    "ETH": "ethereum",
    "SOL": "solana",
    "XRP": "ripple",
    "BNB": "binancecoin",
    "DOGE": "dogecoin",
    "ADA": "cardano",
    "AVAX": "avalanche-2",
    "LINK": "chainlink",
    "DOT": "polkadot",
    "LTC": "litecoin",
    "BCH": "bitcoin-cash",
    "TRX": "tron",
    "SUI": "sui",
    "APT": "aptos",
    "ARB": "arbitrum",
    "OP": "optimism",
    "NEAR": "near",
    "GRAM": "the-open-network",
    "HYPE": "hyperliquid",
    "1000PEPE": "pepe",
    # Not among the default symbols, but renamed, so that their ids are not what one would guess.
    "POL": "polygon-ecosystem-token",
    "LUNA": "terra-luna-2",
    "S": "sonic-3",
    "RENDER": "render-token",
    "KAIA": "kaia",
    "FET": "fetch-ai",
}


class CoinGecko:
    """See :class:`service.denominators.contract.Source`."""

    name = "coingecko"
    title = "CoinGecko"
    licence = "CoinGecko API terms: data provided by CoinGecko"
    rest = "https://api.coingecko.com"
    reserve_stale_h = 36.0
    supply_stale_h = 48.0

    def begin(self, base: str, symbols: Sequence[str], ids: Mapping[str, str]) -> list[Fetch]:
        named = {symbol: ids.get(symbol, IDS.get(symbol)) for symbol in symbols}
        pairs = [(symbol, name) for symbol, name in named.items() if name is not None]
        fetches = []
        for start in range(0, len(pairs), PER_PAGE):
            page = pairs[start : start + PER_PAGE]
            wanted = ",".join(name for _, name in page)
            fetches.append(
                Fetch(
                    f"{base}/api/v3/coins/markets?vs_currency=usd&ids={wanted}&per_page={PER_PAGE}",
                    ",".join(f"{symbol}={name}" for symbol, name in page),
                )
            )
        return fetches

    def reader(self, fetch: Fetch) -> Markets:
        symbols: dict[str, list[str]] = {}
        for pair in fetch.context.split(","):
            symbol, _, name = pair.partition("=")
            symbols.setdefault(name, []).append(symbol)
        return Markets(symbols)


class Markets(WholeBody):
    """``symbols``: id -> the symbols it is the supply of."""

    def __init__(self, symbols: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self._symbols = symbols

    def finish(self, now_ms: int) -> Answer:
        rows = self.parsed()
        if not isinstance(rows, list):
            raise BadPayload("wrong_type", "an array of coins belongs here")
        figures: list[Figure] = []
        refused: list[str] = []
        for row in rows:
            try:
                figures.extend(self._row(row, now_ms))
            except BadPayload as error:
                refused.append(error.reason)
        return Answer(tuple(figures), tuple(refused))

    def _row(self, row: Any, now_ms: int) -> list[Figure]:
        if not isinstance(row, dict):
            raise BadPayload("wrong_type", "coin")
        supply = row.get("circulating_supply")
        if supply is None:
            return []  # not known to them: no figure
        coins, as_of = coins_of(supply), epoch_ms(row.get("last_updated"), now_ms)
        return [
            Figure("supply", symbol, "", coins / unit_of(symbol)[1], as_of)
            for symbol in self._symbols.get(str(row.get("id")), ())
        ]
