"""CoinGecko's list of derivatives: ``GET /api/v3/derivatives``, every ticker of every venue it follows, no key.

Document: docs.coingecko.com, "Derivatives Tickers List": ``open_interest`` and ``volume_24h`` are in USD, the answer is
renewed every 30 seconds. About 9 MB and 25,000 tickers of 105 venues in 2026, so it is read as it comes, and only the
tickers of our symbols are kept. What it does not say: the unit of ``price``, and whether an open interest counts one
side or both (docs/coverage.md).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import ijson

from service.errors import BadPayload
from service.venues.numbers import PRICE_MAX, PRICE_MIN, number
from service.venues.symbols import Asset, assets_at, base_ticker, canonical, canonical_price, why_foreign

USD_MAX = 1e12  # of one instrument: more than all of them together have
MAX_NAME = 100  # characters
MAX_KEPT = 100_000  # tickers of our symbols: four times what the whole list has
OLD_S = 86_400  # without a trade for so long
AHEAD_S = 3600
OTHER_PRODUCTS = ("dated", "option", "xperp", "builder_dex")


class _List(NamedTuple):
    """What there is to say of the list. ``max_bytes`` bounds an answer."""

    name: str
    title: str
    licence: str
    rest: str
    path: str
    max_bytes: int


LIST = _List(
    "coingecko_derivatives",
    "CoinGecko derivatives list",
    "CoinGecko API terms: data provided by CoinGecko",
    "https://api.coingecko.com",
    "/api/v3/derivatives",
    32 << 20,
)


class Ticker(NamedTuple):
    """One perpetual of one market. ``oi_usd``: > 0, None where the list states none. ``volume_usd``: of 24 hours, None
    where it is not stated. ``prices``: per canonical unit, as either of its two names has it."""

    market: str
    instrument: str
    oi_usd: float | None
    volume_usd: float | None
    prices: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """One answer. ``as_of``: epoch ms, when it was asked for (the answer itself has no time).

    ``tickers``: by symbol. ``left_out``: by symbol (empty where it could not be told) and reason, how many. ``rows``,
    ``markets``: how many the whole answer has.
    """

    as_of: int
    tickers: Mapping[str, tuple[Ticker, ...]]
    left_out: Mapping[str, Mapping[str, int]]
    rows: int
    markets: int


class Tickers:
    """Reads one answer as it comes. ``now_ms``: UTC epoch ms. Raises :exc:`BadPayload` for what is no such list."""

    def __init__(self, symbols: Sequence[str], assets: Sequence[Asset], now_ms: int) -> None:
        self._tickers: dict[str, dict[tuple[str, str], Ticker]] = {symbol: {} for symbol in symbols}
        self._left_out: dict[str, dict[str, int]] = {}
        self._today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
        self._assets = assets_at("", assets)
        self._now_ms = now_ms
        self._rows = self._kept = 0
        self._markets: set[str] = set()
        self._parser = ijson.items_coro(self._sink(), "item", use_float=True)

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.send(chunk)
        except (ijson.JSONError, ValueError, OverflowError) as error:
            raise BadPayload("bad_json", str(error)[:80]) from None

    def finish(self) -> Listed:
        """The body is complete."""
        try:
            self._parser.close()
        except (ijson.JSONError, ValueError, OverflowError) as error:
            raise BadPayload("bad_json", str(error)[:80]) from None
        if not self._markets:
            raise BadPayload("wrong_type", "a list of tickers belongs here")
        return Listed(
            self._now_ms,
            {symbol: tuple(found.values()) for symbol, found in self._tickers.items()},
            self._left_out,
            self._rows,
            len(self._markets),
        )

    def _sink(self) -> Generator[None, Any, None]:
        def sink() -> Generator[None, Any, None]:
            while True:
                self._take((yield))

        keeper = sink()
        next(keeper)
        return keeper

    def _take(self, row: Any) -> None:
        self._rows += 1
        symbol = ""
        try:
            market, instrument = _name(row, "market"), _name(row, "symbol")
            self._markets.add(market)
            names = [name for name in (row.get("index_id"), instrument) if type(name) is str and name != ""]
            asset = self._unit(names[0])[0]
            if asset not in self._tickers:
                return  # none of our symbols
            symbol = asset
            units = [unit for name, unit in map(self._unit, names) if name == symbol]
            self._keep(symbol, self._ticker(row, market, instrument, units))
        except BadPayload as error:
            reasons = self._left_out.setdefault(symbol, {})
            reasons[error.reason] = reasons.get(error.reason, 0) + 1

    def _keep(self, symbol: str, ticker: Ticker) -> None:
        found = self._tickers[symbol]
        if (ticker.market, ticker.instrument) in found:
            raise BadPayload("repeated")
        if self._kept >= MAX_KEPT:
            raise BadPayload("oversized")
        self._kept += 1
        found[ticker.market, ticker.instrument] = ticker

    def _unit(self, name: str) -> tuple[str, float]:
        """Canonical symbol, and canonical units in one unit of the name's base."""
        symbol, multiplier = canonical(base_ticker(unicodedata.normalize("NFC", name[:MAX_NAME])))
        asset = self._assets.get(symbol)
        if asset is None or (asset.since is not None and asset.since > self._today):
            return symbol, multiplier
        return asset.canonical, multiplier * asset.factor

    def _ticker(self, row: Mapping[str, Any], market: str, instrument: str, units: Sequence[float]) -> Ticker:
        if row.get("contract_type") != "perpetual":
            raise BadPayload("dated" if row.get("contract_type") == "futures" else "unknown_kind")
        product = why_foreign(instrument)
        if product in OTHER_PRODUCTS:
            raise BadPayload(product)
        traded_s = row.get("last_traded_at")
        if traded_s is not None:
            behind_s = self._now_ms / 1000 - number(traded_s, 0, 1e11)
            if not -AHEAD_S <= behind_s <= OLD_S:
                raise BadPayload("old" if behind_s > OLD_S else "out_of_bounds")
        stated = row.get("open_interest")
        oi_usd = None if stated is None else number(stated, 0.0, USD_MAX)
        price = number(row.get("price"), PRICE_MIN, PRICE_MAX)
        prices = tuple(dict.fromkeys(canonical_price(price, unit) for unit in units))
        # 0 states nothing: most are venues that tell none.
        return Ticker(market, instrument, oi_usd or None, _volume(row.get("volume_24h")), prices)


def _volume(value: Any) -> float | None:
    """A bad volume does not cost the open interest beside it."""
    try:
        return None if value is None else number(value, 0.0, USD_MAX)
    except BadPayload:
        return None


def _name(row: Any, field: str) -> str:
    value = row.get(field) if isinstance(row, dict) else None
    if type(value) is not str or not 0 < len(value) <= MAX_NAME:
        raise BadPayload("wrong_type", field)
    return value
