"""Known share: how much of a symbol's known open interest our venues hold. Pure.

Our venues' open interest is our own, live and one-sided; that of the others comes from a list that somebody else keeps
(:mod:`service.coverage.coingecko`). docs/coverage.md says what is documented and what is assumed.
"""

from __future__ import annotations

from service.coverage.coingecko import LIST, Listed, Tickers
from service.coverage.known_share import STALE_MS, KnownShare

__all__ = ["LIST", "STALE_MS", "KnownShare", "Listed", "Tickers"]
