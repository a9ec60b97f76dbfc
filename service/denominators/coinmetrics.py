"""Coin Metrics community API: coins on all known exchange wallets, and supply; daily, BTC and ETH where free. Opt-in.

The free licence is CC BY-NC 4.0: **non-commercial use only**. Which metrics are free for which asset changes, so the
catalogue is asked first (``/v4/catalog-v2/asset-metrics``), then ``/v4/timeseries/asset-metrics`` for what it offers.
``SplyExNtv``: coins in all addresses labelled as exchange wallets, an underestimate. A point stamped day D is the
balance at the end of D (fundamentals page of Coin Metrics' product docs), so ``as_of`` is the following midnight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from service.denominators.contract import Answer, Fetch, Figure, Kind, WholeBody, coins_of, epoch_ms, unit_of
from service.errors import BadPayload

DAY_MS = 86_400_000
METRICS: dict[str, tuple[Kind, str]] = {"SplyExNtv": ("reserve", "all"), "SplyCur": ("supply", "")}
IDS = {"GRAM": "ton"}  # where the id is not the ticker
CATALOGUE = "catalogue"


class CoinMetrics:
    """See :class:`service.denominators.contract.Source`."""

    name = "coinmetrics"
    title = "Coin Metrics community"
    licence = "CC BY-NC 4.0: non-commercial use only"
    rest = "https://community-api.coinmetrics.io"
    reserve_stale_h = 36.0
    supply_stale_h = 48.0

    def begin(self, base: str, symbols: Sequence[str], ids: Mapping[str, str]) -> list[Fetch]:
        assets = ",".join(quote(_id(symbol), safe="") for symbol in symbols)
        metrics = ",".join(METRICS)
        url = f"{base}/v4/catalog-v2/asset-metrics?assets={assets}&metrics={metrics}&ignore_unsupported_errors=true"
        return [Fetch(url, f"{CATALOGUE} {base} {','.join(symbols)}")]

    def reader(self, fetch: Fetch) -> Catalogue | Series:
        kind, _, rest = fetch.context.partition(" ")
        if kind != CATALOGUE:
            return Series(rest.split(","))
        base, _, symbols = rest.partition(" ")
        return Catalogue(base, symbols.split(","))


def _rows(document: Any) -> list[Any]:
    rows = document.get("data") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise BadPayload("missing_field", "data")
    return rows


def _by_asset(symbols: Sequence[str]) -> dict[str, str]:
    return {_id(symbol): symbol for symbol in symbols}


def _id(symbol: str) -> str:
    token, _ = unit_of(symbol)
    return IDS.get(token, token.lower())


class Catalogue(WholeBody):
    """Which of our metrics the community may read, daily, as one request a metric."""

    def __init__(self, base: str, symbols: Sequence[str]) -> None:
        super().__init__()
        self._base = base
        self._symbols = _by_asset(symbols)

    def finish(self, now_ms: int) -> Answer:
        assets: dict[str, list[str]] = {metric: [] for metric in METRICS}
        for row in _rows(self.parsed()):
            if not isinstance(row, dict) or row.get("asset") not in self._symbols:
                continue
            for metric in row.get("metrics") or ():
                if not isinstance(metric, dict) or metric.get("metric") not in assets:
                    continue
                free = [
                    item
                    for item in metric.get("frequencies") or ()
                    if isinstance(item, dict) and item.get("frequency") == "1d" and item.get("community") is True
                ]
                if free:
                    assets[metric["metric"]].append(row["asset"])
        more = [
            Fetch(
                f"{self._base}/v4/timeseries/asset-metrics?assets={quote(','.join(named), safe=',')}&metrics={metric}"
                f"&frequency=1d&limit_per_asset=1",
                f"series {','.join(self._symbols[asset] for asset in named)}",
            )
            for metric, named in assets.items()
            if named
        ]
        return Answer((), (), tuple(more))


class Series(WholeBody):
    """The newest daily point of each asset: numbers are texts, time is ISO 8601 with nanoseconds."""

    def __init__(self, symbols: Sequence[str]) -> None:
        super().__init__()
        self._symbols = _by_asset(symbols)

    def finish(self, now_ms: int) -> Answer:
        figures: list[Figure] = []
        refused: list[str] = []
        for row in _rows(self.parsed()):
            try:
                figures.extend(self._row(row, now_ms))
            except BadPayload as error:
                refused.append(error.reason)
        return Answer(tuple(figures), tuple(refused))

    def _row(self, row: Any, now_ms: int) -> list[Figure]:
        if not isinstance(row, dict):
            raise BadPayload("wrong_type", "data[]")
        symbol = self._symbols.get(str(row.get("asset")))
        if symbol is None:
            return []
        as_of = min(epoch_ms(row.get("time"), now_ms) + DAY_MS, now_ms)
        return [
            Figure(kind, symbol, exchange, coins_of(row[metric]) / unit_of(symbol)[1], as_of)
            for metric, (kind, exchange) in METRICS.items()
            if row.get(metric) is not None
        ]
