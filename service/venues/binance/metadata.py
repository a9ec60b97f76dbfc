"""Binance and Aster: instruments (`exchangeInfo`) and funding intervals (`fundingInfo`: at Binance those not of 8 h).

Intervals are as measured at the last rollover, else as the metadata says. COIN-M's status is `contractStatus`.
Aster calls everything a COIN, stocks and gold too: only what is known to be a coin counts there (``venues/coins.py``).
Its markets quoted in USD (BTCUSD) have no book: their mark is the index.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from service.errors import BadPayload
from service.model import Listing
from service.venues.contract import Catalog
from service.venues.emit import Emit, beyond
from service.venues.funding_schedule import restated, running_interval
from service.venues.numbers import interval_hours, number, text, timestamp_ms
from service.venues.reading import label, mapping
from service.venues.symbols import USD_QUOTES, base_of, canonical, why_foreign

INTERVALS_H = (1, 2, 4, 8)
TRADIFI, DELIVERING = "TRADIFI_PERPETUAL", "PERPETUAL DELIVERING"  # the latter: winding down
# `underlyingType`: an index may have a coin's ticker too (DEFI). A kind we do not know is left out.
COINS = ("", "COIN", "PREMARKET")
NOT_COINS = ("INDEX", "EQUITY", "KR_EQUITY", "HK_EQUITY", "COMMODITY", "FOREX", "FX", "ETF", "BOND")
ASTER = "aster"
# `fundingInfo` lists only instruments that differ from it; Aster's lists all, so that absence says nothing there.
DEFAULT_INTERVALS_H = {"binance_usdm": 8.0, "binance_coinm": 8.0}
LATE_FUNDING_MS = 600_000  # at a settlement T <= E for about a second; this long after it the schedule is broken
PERPETUAL = "_PERP"  # COIN-M: BTCUSD_PERP prices the pair BTCUSD; BTCUSD_260327 is a delivery contract
NAME_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD")  # of USD-M and Aster, where no metadata says it
BUILT_IN_USD = {"BTC": 100.0}  # dollars per COIN-M contract where no metadata says it
OTHERS_USD = 10.0
USDM_TYPE, COINM_TYPE = 1, 2  # `st` of a streamed row, where it has one: whose row it is


def by_name(venue: str, coinm: bool) -> Callable[[str], Listing | None]:
    """What a name alone says."""

    def usdm_name(name: str) -> Listing | None:
        base = None if "_" in name else base_of(name, NAME_QUOTES)  # BTCUSDT_210129 is a delivery contract
        if base is None:
            return None
        symbol, multiplier = canonical(base)
        return Listing(venue, name, symbol, False, multiplier, multiplier, None, True, 0)

    def coinm_name(name: str) -> Listing | None:
        base = base_of(name.removesuffix(PERPETUAL), ("USD",)) if name.endswith(PERPETUAL) else None
        if base is None:
            return None
        symbol, multiplier = canonical(base)
        return Listing(venue, name, symbol, True, BUILT_IN_USD.get(base, OTHERS_USD), multiplier, None, True, 0)

    return coinm_name if coinm else usdm_name


def listing_of(name: Any, stated: Any, emit: Emit, coinm: bool) -> Listing | None:
    """The listing of a streamed row, by its name; ``stated``: its `st`, or None. Streams of all symbols bring the rows
    of both products on either host: those of the other one are left out as any foreign product, so that each counts
    once, in its own units. Raises :exc:`BadPayload` for a name of ours that is said to be of the other."""
    listing = emit.listing(name)
    if listing is not None and stated is not None and stated != (COINM_TYPE if coinm else USDM_TYPE):
        raise BadPayload("unknown_shape", f"{listing.instrument} with st {stated}"[:80])
    return listing


def statistics_name(row: dict[str, Any], coinm: bool) -> str:
    """The instrument that a row of `/futures/data/*` is about."""
    return text(row["pair"]) + PERPETUAL if coinm else text(row["symbol"])


def read_instrument(row: Any, emit: Emit, coinm: bool) -> None:
    """One of the `symbols` of `exchangeInfo`."""
    fields = mapping(row, "symbols[]")
    state = "contractStatus" if coinm else "status"

    def trades(fields: dict[str, Any]) -> bool:
        """Neither pending (terms may be empty or 0) nor halted, settling or closed."""
        return label(fields[state], state) == "TRADING"

    def terms(name: str, fields: dict[str, Any]) -> Listing | str:
        why_not = _not_a_coin(name, fields, emit)
        if why_not is not None:
            return why_not
        symbol, multiplier = canonical(text(fields["baseAsset"]))
        size: float | None = multiplier
        if coinm:
            stated = fields.get("contractSize", "")
            size = None if stated == "" else number(stated, 1e-6, 1e9)
        interval_h, trading = stated_interval(emit.catalog, name), trades(fields)
        return Listing(emit.venue, name, symbol, coinm, size, multiplier, interval_h, trading, emit.recv_ts)

    emit.instrument(text(fields["symbol"]), fields, terms, trades)


def _not_a_coin(name: str, fields: dict[str, Any], emit: Emit) -> str | None:
    """Why this is no perpetual of a coin quoted in dollars; None if it is one."""
    contract = label(fields["contractType"], "contractType")
    if contract == TRADIFI:
        return "not_crypto"
    if contract == DELIVERING:
        return "not_trading"
    quotes = NAME_QUOTES if emit.venue == ASTER else USD_QUOTES
    if contract != "PERPETUAL" or label(fields["quoteAsset"], "quoteAsset") not in quotes:
        return why_foreign(name)
    underlying = label(fields.get("underlyingType", ""), "underlyingType")
    if underlying in COINS:
        return emit.why_no_coin(canonical(text(fields["baseAsset"]))[0]) if emit.venue == ASTER else None
    return "not_crypto" if underlying in NOT_COINS else "unknown_kind"


def read_funding_info(rows: list[Any], emit: Emit) -> None:
    """Funding intervals; instruments the answer does not name have 8 h, at Aster none known. Re-lists what changed."""
    catalog = emit.catalog
    before = {name: stated_interval(catalog, name) for name in catalog.listings}
    named: list[str] = []

    def read(row: Any) -> None:
        name = text(mapping(row, "row")["symbol"])
        named.append(name)
        catalog.intervals_h.setdefault(name, None)
        catalog.intervals_h[name] = interval_hours(row["fundingIntervalHours"])

    emit.each(rows, "fundingInfo", read)
    if len(named) == len(rows):  # a row without a name could be anyone's: then absence proves nothing
        catalog.default_interval_h = DEFAULT_INTERVALS_H.get(emit.venue)
        for name in [name for name in catalog.intervals_h if name not in named]:
            del catalog.intervals_h[name]
    for name, listing in list(catalog.listings.items()):
        interval_h = stated_interval(catalog, name)
        if interval_h != before[name]:
            restated(catalog, name, before[name], interval_h)
            emit.relisted(replace(listing, interval_h=interval_h, recv_ts=emit.recv_ts))


def stated_interval(catalog: Catalog, name: str) -> float | None:
    """The funding interval as the metadata says."""
    return catalog.intervals_h.get(name, catalog.default_interval_h)


def next_funding(stated: Any, venue_ts: int) -> int:
    """The next funding time of a message of ``venue_ts``. Raises :exc:`BadPayload` for one that is long past."""
    next_ts = timestamp_ms(stated)
    if venue_ts - next_ts > LATE_FUNDING_MS:
        raise BadPayload("out_of_bounds", f"next funding {venue_ts - next_ts} ms ago")
    return next_ts


def interval_at(catalog: Catalog, name: str, next_ts: int, venue_ts: int) -> float | None:
    """The funding interval: as measured at the last rollover, else as the metadata says; None: in doubt."""
    known = catalog.next_funding.get(name)
    if known is not None and known[0] == next_ts and known[1] <= venue_ts:  # the usual: only the time of saying is new
        catalog.next_funding[name] = (next_ts, venue_ts)
        measured = catalog.measured_h
        if name in measured:
            return measured[name]
        return catalog.intervals_h.get(name, catalog.default_interval_h)  # as `stated_interval`, without the call
    interval_h = running_interval(catalog, name, stated_interval(catalog, name), next_ts, venue_ts, INTERVALS_H)
    if beyond(interval_h, next_ts, venue_ts):
        catalog.measured_h[name] = interval_h = None
    return interval_h
