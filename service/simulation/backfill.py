"""The simulated past as events, at one-minute steps and then at 1 Hz: the path of a warm start from venue history.

Instruments, symbols, units and contract sizes are those which the venues' decoders give for the simulated servers'
frames, so that the live part follows without a seam.
"""

from __future__ import annotations

from collections.abc import Iterator

from service.model import Event, Funding, Listing, Mark, OpenInterest
from service.simulation.market import MarketModel, Quote

MINUTE_MS = 60_000
SECOND_MS = 1_000

# As the servers send it, or are polled.
OI_EVERY_S = {
    "binance_usdm": 10, "bybit": 2, "okx": 5, "hyperliquid": 3, "binance_coinm": 10, "bitget": 1, "gate": 1,
    "deribit": 1, "kraken_futures": 1, "bitmex": 3, "dydx": 30, "aster": 10, "lighter": 1,
}  # fmt: skip
FUNDING_EVERY_S = 10
# Venues that say when: the events of the others carry no venue timestamp.
_UNSTAMPED = ("hyperliquid",)
_INTERVAL_IN_FUNDING = ("okx",)  # its instruments do not say the interval, its funding does
_OI_IN_COINS = ("okx", "bitget")  # of inverse contracts too; that of the others is derived through the mark
_HALVED = ("gate",)  # counts both sides
_IN_DOLLARS = ("lighter",)  # of linear contracts, too
_NO_NEXT = ("deribit",)  # funding accrues continuously


def history(
    model: MarketModel, start_ms: int, coarse_end_ms: int, end_ms: int
) -> Iterator[tuple[int, int, list[Event]]]:
    """Move the model from ``start_ms`` to ``end_ms`` and yield ``(ts, step_s, events)``, all events with recv_ts == ts.

    First every UTC minute in (start_ms, coarse_end_ms] with step_s 60, then every whole second after it up to and
    including ``end_ms`` with step_s 1. The first list begins with all listings. Raises ValueError if the model is past
    ``start_ms``. A model not yet staged is staged for a demo that starts at ``end_ms``.
    """
    if model.now_ms > start_ms:
        raise ValueError(f"the market is at {model.now_ms}, after {start_ms}")
    if model.staged_ms is None:
        model.stage(end_ms)
    sources = [_Source(quote) for quote in model.quotes()]
    first = True
    for ts, step_s in _grid(start_ms, coarse_end_ms, end_ms):
        model.step(ts)
        events: list[Event] = listings(model, ts) if first else []
        second = ts // SECOND_MS
        whole = first or step_s == 60
        for source in sources:
            source.observe(events, ts, second, whole)
        first = False
        yield ts, step_s, events


def listings(model: MarketModel, ts: int) -> list[Event]:
    """What the venues' metadata says of every instrument."""
    return [
        Listing(
            venue=item.venue,
            instrument=item.name,
            symbol=item.symbol,
            inverse=item.inverse,
            contract_size=item.contract_size,
            multiplier=item.multiplier,
            interval_h=None if item.venue in _INTERVAL_IN_FUNDING else float(item.interval_h),
            trading=True,
            recv_ts=ts,
        )
        for item in (quote.instrument for quote in model.quotes())
    ]


def _grid(start_ms: int, coarse_end_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
    ts = (start_ms // MINUTE_MS + 1) * MINUTE_MS
    while ts <= coarse_end_ms:
        yield ts, 60
        ts += MINUTE_MS
    ts = (max(start_ms, coarse_end_ms) // SECOND_MS + 1) * SECOND_MS
    while ts <= end_ms:
        yield ts, 1
        ts += SECOND_MS


class _Source:
    """One instrument as its venue tells of it."""

    def __init__(self, quote: Quote) -> None:
        item = quote.instrument
        self._quote = quote
        self._names = item.venue, item.name, item.symbol
        self._stamped = item.venue not in _UNSTAMPED
        self._funded = item.venue not in _NO_NEXT
        self._scale = round(1 / item.multiplier)  # exact: native prices times 1, or 1000
        self._interval_h = float(item.interval_h)
        self._oi_every_s = OI_EVERY_S[item.venue]
        through_mark = item.unit == "quanto" or (item.inverse and item.venue not in _OI_IN_COINS)
        self._derived = through_mark or item.venue in _HALVED or item.venue in _IN_DOLLARS

    def observe(self, events: list[Event], ts: int, second: int, whole: bool) -> None:
        """Add what it says at ``ts``: a mark each second, the rest at the venue's pace, or the ``whole`` of it."""
        quote, scale = self._quote, self._scale
        venue, name, symbol = self._names
        stamp = ts if self._stamped else None
        events.append(Mark(venue, name, symbol, quote.mark * scale, quote.index * scale, stamp, ts))
        if whole or second % FUNDING_EVERY_S == 0:
            rate, interval_h = quote.told_rate, self._interval_h
            next_ts = quote.next_ts if self._funded else None
            rate_8h = rate * 8 / interval_h
            events.append(Funding(venue, name, symbol, rate, interval_h, rate_8h, next_ts, False, stamp, ts))
        if whole or second % self._oi_every_s == 0:
            contracts, each = quote.contracts, quote.contract_coins
            events.append(
                OpenInterest(venue, name, symbol, contracts, each, contracts * each, self._derived, stamp, ts)
            )
