"""DefiLlama: coins in the known wallets of each exchange, ``GET /protocol/{slug}``, no key.

The answer holds the whole history, tens of megabytes. Of its top-level ``tokens``, one ``{date, tokens: {NAME: n}}`` a
day and one of the running hour, only the newest counts, so it is read as it comes. Top-level, because DefiLlama has
summed the chains there as of one date, and keeps an exchange's own token and staked copies apart.
Endpoint: DefiLlama/api-docs ``defillama-openapi-free.json``; exchange slugs: the ones its CEX page uses.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import ijson

from service.denominators.contract import Answer, Fetch, Figure, coins_of, epoch_ms, unit_of
from service.errors import BadPayload
from service.statistics import fold

SLUGS = {  # exchange (as service.model.VenueRules.exchange) -> slug; Aster, dYdX, Hyperliquid, Lighter keep no coins
    "binance": "binance-cex",
    "bybit": "bybit",
    "okx": "okx",
    "bitget": "bitget",
    "gate": "gate",
    "deribit": "deribit",
    "kraken": "kraken",
    "bitmex": "bitmex",
}
HISTORY_BYTES = 256 << 20
# Redeemable one for one by somebody else. Staked copies (BETH) are other coins; an exchange's own paper (BTCB) stands
# for coins that are counted already. And names from before a renaming one for one, as docs/venues.md lists them:
# both may be there, for coins that have been exchanged and coins that have not.
WRAPPED = {
    "BTC": ("WBTC", "CBBTC", "TBTC"),
    "ETH": ("WETH",),
    "BNB": ("WBNB",),
    "SOL": ("WSOL",),
    "AVAX": ("WAVAX",),
    "TRX": ("WTRX",),
    "HYPE": ("WHYPE",),
    "GRAM": ("TON", "TONCOIN"),
    "LUNA": ("LUNA2",),
    "POL": ("MATIC",),
    "S": ("FTM",),
    "RENDER": ("RNDR",),
    "KAIA": ("KLAY",),
}


class DefiLlama:
    """See :class:`service.denominators.contract.Source`."""

    name = "defillama"
    title = "DefiLlama CEX transparency"
    licence = "DefiLlama free API; known wallets only"
    rest = "https://api.llama.fi"
    reserve_stale_h = 26.0  # its history has daily points; the running hour's is there only usually
    supply_stale_h = 48.0

    def begin(self, base: str, symbols: Sequence[str], ids: Mapping[str, str]) -> list[Fetch]:
        wanted = ",".join(symbols)
        return [
            Fetch(f"{base}/protocol/{slug}", f"{exchange}:{wanted}", HISTORY_BYTES) for exchange, slug in SLUGS.items()
        ]

    def reader(self, fetch: Fetch) -> LastTokens:
        exchange, _, wanted = fetch.context.partition(":")
        return LastTokens(exchange, wanted.split(","))


class LastTokens:
    """Keeps the newest entry of ``tokens`` while the body streams through."""

    def __init__(self, exchange: str, symbols: Sequence[str]) -> None:
        self._exchange = exchange
        self._symbols = symbols
        self._last: Any = None
        self._parser = ijson.items_coro(self._keep(), "tokens.item", use_float=True)

    def _keep(self) -> Generator[None, Any, None]:
        def sink() -> Generator[None, Any, None]:
            while True:
                entry = yield
                if self._last is None or _date(entry) >= _date(self._last):
                    self._last = entry

        keeper = sink()
        next(keeper)
        return keeper

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.send(chunk)
        except (ijson.JSONError, ValueError) as error:
            raise BadPayload("bad_json", str(error)[:80]) from None

    def finish(self, now_ms: int) -> Answer:
        try:
            self._parser.close()
        except (ijson.JSONError, ValueError) as error:
            raise BadPayload("bad_json", str(error)[:80]) from None
        entry = self._last
        if not isinstance(entry, dict):
            raise BadPayload("missing_field", "tokens")
        held = entry.get("tokens")
        if not isinstance(held, dict):
            raise BadPayload("wrong_type", "tokens[-1].tokens")
        as_of = epoch_ms(entry.get("date"), now_ms)
        figures, refused = [], []
        for symbol in self._symbols:
            token, tokens = unit_of(symbol)
            names = [name for name in (token, *WRAPPED.get(token, ())) if name in held]
            if not names:
                continue  # not a coin this exchange shows: no figure, which is not a reserve of 0
            try:
                total = fold(coins_of(held[name]) for name in names)
            except BadPayload as error:
                refused.append(error.reason)
                continue
            figures.append(Figure("reserve", symbol, self._exchange, total / tokens, as_of))
        return Answer(tuple(figures), tuple(refused))


def _date(entry: Any) -> float:
    """For the order of entries only; an entry without a date is older than any."""
    date = entry.get("date") if isinstance(entry, dict) else None
    return float(date) if isinstance(date, int | float) else -1.0
