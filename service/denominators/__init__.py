"""What ELR divides by, from public slow sources: requests and answers, and which figure counts. Pure.

Adding a source: one file with a class that satisfies :class:`Source`, one line in :data:`SOURCES`, one section in the
configuration. The order is the precedence: the operator's file first, then the sources as listed here.
"""

from __future__ import annotations

from service.denominators.coingecko import CoinGecko
from service.denominators.coinmetrics import CoinMetrics
from service.denominators.contract import Answer, BodyReader, Fetch, Figure, Kind, Source
from service.denominators.defillama import DefiLlama
from service.denominators.precedence import Precedence, kinds_of

__all__ = ["SOURCES", "Answer", "BodyReader", "Fetch", "Figure", "Kind", "Precedence", "Source", "kinds_of"]

SOURCES: dict[str, Source] = {
    "defillama": DefiLlama(),
    "coinmetrics": CoinMetrics(),
    "coingecko": CoinGecko(),
}
