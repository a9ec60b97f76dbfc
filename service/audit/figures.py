"""What the venues say themselves, over HTTP: which requests, where the figures stand in the answers, in which unit.

Pure, and apart from the decoders on purpose (`lint-imports`): a wrong unit there must not be wrong here, too. So where
a venue has open interest in another unit than the decoder reads, that one is read (in dollars, say), and sizes of
contracts come from the venue's answer, not from our listing. Of our listings only the name, the symbol, whether it is
inverse, and the canonical units per coin are used: an error in the last one is not seen here.

:data:`SOURCES` is the table; facts and doubts of each venue: docs/venues.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any
from urllib.parse import quote

import orjson

from service.model import Listing
from service.venues.contract import Request

Row = Mapping[str, Any]
NOT_AT_VENUE = "not at the venue"
NOT_READ = "not read"  # some answer was none: what is missing may have been in it
ANSWERED = ""  # in a merged row: the contexts of the answers that were understood
_ODD = (KeyError, TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError, OverflowError)


@dataclass(frozen=True, slots=True)
class Figures:
    """One instrument: ``mark`` in USD per canonical unit, ``funding`` as a fraction per 8 h, ``oi`` one-sided in
    canonical units. ``missing``: why a figure that is None is."""

    mark: float | None = None
    funding: float | None = None
    oi: float | None = None
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """One venue.

    ``requests``: of the HTTP base address and the listings, what is most likely to move last. ``rows``: of a parsed
    answer, instrument and fields; the rows of all answers of an instrument are merged. ``mark`` (USD per coin of the
    name), ``funding`` (per 8 h) and ``oi`` (one-sided, coins of the name): of the merged row and the listing; they
    raise for what is not there. ``oi_read``: what open interest is read from, for people.
    """

    requests: Callable[[str, Sequence[Listing]], list[Request]]
    rows: Callable[[Any], Iterable[tuple[Any, Any]]]
    mark: Callable[[Row], float]
    funding: Callable[[Row, Listing], float]
    oi: Callable[[Row, Listing], float]
    oi_read: str


def read(
    source: Source, answers: Mapping[str, bytes], listings: Iterable[Listing], failed: Sequence[str] = ()
) -> tuple[dict[str, Figures], list[str]]:
    """The figures of every listing, and which requests failed: those of ``failed``, and those whose answer was none.

    ``answers``: bodies by the context of their request. Never raises for what a venue answers.
    """
    read_rows: dict[str, list[tuple[str, Row]]] = {}  # rows that are none, or without a name, cost themselves
    failures = list(failed)
    for context, body in answers.items():
        document: Any = None
        try:
            document = orjson.loads(body)
            rows = source.rows(document)
            read_rows[context] = [(name, row) for name, row in rows if isinstance(name, str) and isinstance(row, dict)]
        except _ODD as error:
            failures.append(f"{context}: {_complaint(body, document, error)}")
    found: dict[str, dict[str, Any]] = {}
    for of_answer in read_rows.values():
        for name, row in of_answer:
            found.setdefault(name, {ANSWERED: read_rows}).update(row)
    absent = NOT_READ if failures else NOT_AT_VENUE
    return {item.instrument: _figures(source, found.get(item.instrument), item, absent) for item in listings}, failures


def _complaint(body: bytes, document: Any, error: Exception) -> str:
    """Why an answer is none: the venue's own words where it has some."""
    if document is None:
        return "null" if body.strip() == b"null" else "not JSON"
    if isinstance(document, dict):
        for key in ("msg", "retMsg", "message", "error", "errors"):
            if document.get(key):
                return " ".join(f"refused: {document[key]}".split())[:120]
    return f"another shape than documented ({type(error).__name__}: {error})"[:120]


def _figures(source: Source, row: Row | None, listing: Listing, absent: str) -> Figures:
    if row is None:
        return Figures(missing=dict.fromkeys(("mark", "funding", "oi"), absent))
    missing: dict[str, str] = {}

    def value(figure: str, reading: Callable[[], float], least: float) -> float | None:
        try:
            said = reading()
            if least <= said and isfinite(said):
                return said
            missing[figure] = f"unreadable: {said:g}"
        except KeyError as error:
            missing[figure] = f"{absent}: no {error.args[0]}"
        except _ODD as error:
            missing[figure] = f"unreadable: {error}"[:80]
        return None

    mark = value("mark", lambda: source.mark(row) / listing.multiplier, 1e-300)
    funding = value("funding", lambda: source.funding(row, listing), -1e9)
    oi = value("oi", lambda: source.oi(row, listing) * listing.multiplier, 0.0)
    return Figures(mark, funding, oi, missing)


def _number(row: Row, key: str) -> float:
    """A field as a number, whether it is sent as one or as text. Raises KeyError, TypeError, ValueError."""
    value = row[key]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(f"{key} is no number")
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"{key} is no number") from None
    if not isfinite(number):
        raise ValueError(f"{key} is not finite")
    return number


def _field(key: str) -> Callable[[Row], float]:
    return lambda row: _number(row, key)


def _get(url: str, context: str, weight: float = 1.0, headers: tuple[tuple[str, str], ...] = ()) -> Request:
    return Request("GET", url, weight, context=context, headers=headers)


def _keyed(key: str, *path: str) -> Callable[[Any], Iterator[tuple[Any, Any]]]:
    """Rows of the list at ``path`` of an answer, by the instrument's name in ``key``. Raises where there is no list."""

    def rows(document: Any) -> Iterator[tuple[Any, Any]]:
        for step in path:
            document = document[step]
        if not isinstance(document, list):
            raise TypeError(f"no list of {key}")
        for row in document:
            if isinstance(row, dict):
                yield row.get(key), row

    return rows


def _hourly(key: str) -> Callable[[Row, Listing], float]:
    """A fraction per hour."""
    return lambda row, listing: 8 * _number(row, key)


# -- Binance and what is built like it ---------------------------------------------------------------------------------


def _binance(api: str, premium_weight: float, sized: bool = False) -> Callable[[str, Sequence[Listing]], list[Request]]:
    """``api``: where it begins. ``sized``: the contracts' sizes are needed."""

    def requests(rest: str, listings: Sequence[Listing]) -> list[Request]:
        base = rest.removesuffix(api) + api
        asked = [
            _get(f"{base}/openInterest?symbol={quote(item.instrument, safe='')}", f"openInterest {item.instrument}")
            for item in listings
        ]
        if sized:
            asked.append(_get(f"{base}/exchangeInfo", "exchangeInfo"))
        asked.append(_get(f"{base}/fundingInfo", "fundingInfo"))
        return [*asked, _get(f"{base}/premiumIndex", "premiumIndex", premium_weight)]

    return requests


def _binance_rows(document: Any) -> Iterator[tuple[Any, Any]]:
    """A list, the list under ``symbols``, or one row alone; null where no interval differs from 8 h."""
    if isinstance(document, dict):
        document = document["symbols"] if "symbols" in document else [{"symbol": document["symbol"], **document}]
    yield from _keyed("symbol")([] if document is None else document)


def _binance_funding(row: Row, listing: Listing) -> float:
    """Every 8 h where the list of intervals does not name it: documented for Binance."""
    if "fundingInfo" not in row[ANSWERED]:
        raise KeyError("fundingIntervalHours")
    hours = _number(row, "fundingIntervalHours") if "fundingIntervalHours" in row else 8.0
    return _number(row, "lastFundingRate") * 8 / hours


def _named_interval_funding(row: Row, listing: Listing) -> float:
    return _number(row, "lastFundingRate") * 8 / _number(row, "fundingIntervalHours")


# -- the others --------------------------------------------------------------------------------------------------------


def _bybit_requests(rest: str, listings: Sequence[Listing]) -> list[Request]:
    lines = dict.fromkeys("inverse" if item.inverse else "linear" for item in listings)
    return [_get(f"{rest}/v5/market/tickers?category={line}", line) for line in lines]


def _bybit_oi(row: Row, listing: Listing) -> float:
    """From the value: dollars, of an inverse contract coins; both sides unless it is said to be of a single one."""
    single = "singleOpenInterestValue"
    value = _number(row, single) if row.get(single) else _number(row, "openInterestValue") / 2
    return value if listing.inverse else value / _number(row, "markPrice")


def _okx_requests(rest: str, listings: Sequence[Listing]) -> list[Request]:
    base = f"{rest}/api/v5/public"
    return [
        _get(f"{base}/funding-rate?instId=ANY", "funding-rate"),
        _get(f"{base}/open-interest?instType=SWAP", "open-interest"),
        _get(f"{base}/mark-price?instType=SWAP", "mark-price"),
    ]


def _okx_rows(document: Any) -> Iterator[tuple[Any, Any]]:
    if document["code"] != "0":
        raise ValueError(document["code"])
    yield from _keyed("instId", "data")(document)


def _okx_funding(row: Row, listing: Listing) -> float:
    """`fundingTime` is the next settlement, `nextFundingTime` the one after."""
    hours = (_number(row, "nextFundingTime") - _number(row, "fundingTime")) / 3_600_000
    if hours <= 0:
        raise ValueError("no interval")
    return _number(row, "fundingRate") * 8 / hours


def _bitget_requests(rest: str, listings: Sequence[Listing]) -> list[Request]:
    def line(item: Listing) -> str:
        return "COIN" if item.inverse else "USDC" if item.instrument.endswith("PERP") else "USDT"

    lines = dict.fromkeys(map(line, listings))
    return [
        _get(f"{rest}/api/v2/mix/market/{what}?productType={name}-FUTURES", f"{what} {name}")
        for what in ("contracts", "tickers")
        for name in lines
    ]


def _bitget_rows(document: Any) -> Iterator[tuple[Any, Any]]:
    if document["code"] != "00000":
        raise ValueError(document["code"])
    yield from _keyed("symbol", "data")(document)


def _gate_requests(rest: str, listings: Sequence[Listing]) -> list[Request]:
    """Two pages: more than 1,000 rows do not come at once, and with 2,000 this must be looked at again."""
    sizes = (("X-Gate-Size-Decimal", "1"),)
    lines = dict.fromkeys("btc" if item.inverse else "usdt" for item in listings)
    return [
        _get(f"{rest}/futures/{line}/contracts?limit=1000&offset={offset}", f"contracts {line} {offset}", headers=sizes)
        for line in lines
        for offset in ((1000, 0) if line == "usdt" else (0,))
    ]


def _gate_oi(row: Row, listing: Listing) -> float:
    """``position_size``: the long positions, so one side; a multiplier of 0 means a dollar a contract."""
    size = _number(row, "quanto_multiplier")
    return _number(row, "position_size") * (size if size > 0 else 1 / _number(row, "mark_price"))


def _deribit_requests(rest: str, listings: Sequence[Listing]) -> list[Request]:
    """By currency: that of an inverse perpetual (BTC-PERPETUAL), the quote of a linear one (SOL_USDC-PERPETUAL)."""
    currencies = dict.fromkeys(item.instrument.partition("-")[0].rpartition("_")[2] for item in listings)
    path = "public/get_book_summary_by_currency"
    return [_get(f"{rest}/{path}?currency={name}&kind=future", f"book summary {name}") for name in currencies]


def _deribit_oi(row: Row, listing: Listing) -> float:
    amount = _number(row, "open_interest")
    return amount / _number(row, "mark_price") if listing.inverse else amount


def _kraken_rows(document: Any) -> Iterator[tuple[Any, Any]]:
    if document["result"] != "success":
        raise ValueError("no success")
    for name, row in _keyed("symbol", "tickers")(document):
        yield str(name).upper(), row


def _kraken_funding(row: Row, listing: Listing) -> float:
    """Over HTTP the rate is money, not a fraction: dollars per coin and hour, of an inverse contract coins per dollar
    and hour. The venue divides by the index at the time of fixing, so that small differences are usual."""
    index = _number(row, "indexPrice" if "indexPrice" in row else "markPrice")
    absolute = _number(row, "fundingRate")
    return 8 * (absolute * index if listing.inverse else absolute / index)


def _kraken_oi(row: Row, listing: Listing) -> float:
    """Contracts of one coin, of an inverse contract of one dollar."""
    amount = _number(row, "openInterest")
    return amount / _number(row, "markPrice") if listing.inverse else amount


XBT, USDT = 1e8, 1e6  # smallest units in a coin


def _bitmex_rows(document: Any) -> Iterator[tuple[Any, Any]]:
    """Each row with what bitcoin costs, for values settled in it."""
    rows = list(_keyed("symbol")(document))
    price = next((row.get("indicativeSettlePrice") for name, row in rows if name == "XBTUSD"), None)
    for name, row in rows:
        yield name, {**row, "indicativeSettlePrice of XBTUSD": price}


def _bitmex_funding(row: Row, listing: Listing) -> float:
    """The interval is the time of day in `2000-01-01T08:00:00.000Z`."""
    hours, minutes, _ = row["fundingInterval"].partition("T")[2].split(":")
    return _number(row, "fundingRate") * 8 / (int(hours) + int(minutes) / 60)


def _bitmex_oi(row: Row, listing: Listing) -> float:
    """From the value at the mark, in the smallest unit of what it is settled in."""
    value, settled = _number(row, "openValue"), row["settlCurrency"]
    if settled == "USDt":
        return value / USDT / _number(row, "markPrice")
    if settled != "XBt":
        raise ValueError(f"settled in {settled}")
    if listing.inverse:
        return value / XBT
    return value / XBT * _number(row, "indicativeSettlePrice of XBTUSD") / _number(row, "markPrice")


def _hyperliquid_requests(rest: str, listings: Sequence[Listing]) -> list[Request]:
    return [Request("POST", f"{rest}/info", 20.0, '{"type":"metaAndAssetCtxs"}', "metaAndAssetCtxs")]


def _hyperliquid_rows(document: Any) -> Iterator[tuple[Any, Any]]:
    """Names and figures are told apart, by their place."""
    meta, contexts = document
    for named, context in zip(meta["universe"], contexts, strict=True):
        if isinstance(named, dict):
            yield named.get("name"), context


def _lighter_requests(rest: str, listings: Sequence[Listing]) -> list[Request]:
    base = rest.removesuffix("/api/v1") + "/api/v1"
    return [
        _get(f"{base}/funding-rates", "funding-rates"),
        _get(f"{base}/orderBookDetails", "orderBookDetails"),
    ]


def _lighter_rows(document: Any) -> Iterator[tuple[Any, Any]]:
    """By symbol and id (BTC-1). The list of rates has rows of other exchanges, too; its ``rate`` is per 8 h."""
    rates = "funding_rates" in document
    for row in document["funding_rates" if rates else "order_book_details"]:
        if isinstance(row, dict) and (row.get("exchange") == "lighter" if rates else row.get("market_type") == "perp"):
            yield f"{row.get('symbol')}-{row.get('market_id')}", {"rate": row.get("rate")} if rates else row


SOURCES: dict[str, Source] = {
    "binance_usdm": Source(
        requests=_binance("/fapi/v1", 10.0),
        rows=_binance_rows,
        mark=_field("markPrice"),
        funding=_binance_funding,
        oi=lambda row, listing: _number(row, "openInterest"),
        oi_read="openInterest, coins; the venue has no other figure of the same moment",
    ),
    "binance_coinm": Source(
        requests=_binance("/dapi/v1", 10.0, sized=True),
        rows=_binance_rows,
        mark=_field("markPrice"),
        funding=_binance_funding,
        oi=lambda row, listing: _number(row, "openInterest") * _number(row, "contractSize") / _number(row, "markPrice"),
        oi_read="openInterest, contracts of contractSize dollars (exchangeInfo), over the mark",
    ),
    "bybit": Source(
        requests=_bybit_requests,
        rows=_keyed("symbol", "result", "list"),
        mark=_field("markPrice"),
        funding=lambda row, listing: _number(row, "fundingRate") * 8 / _number(row, "fundingIntervalHour"),
        oi=_bybit_oi,
        oi_read="singleOpenInterestValue, else half of openInterestValue: dollars over the mark; inverse: coins",
    ),
    "okx": Source(
        requests=_okx_requests,
        rows=_okx_rows,
        mark=_field("markPx"),
        funding=_okx_funding,
        oi=lambda row, listing: _number(row, "oiUsd") / _number(row, "markPx"),
        oi_read="oiUsd over the mark",
    ),
    "bitget": Source(
        requests=_bitget_requests,
        rows=_bitget_rows,
        mark=_field("markPrice"),
        funding=lambda row, listing: _number(row, "fundingRate") * 8 / _number(row, "fundInterval"),
        oi=lambda row, listing: _number(row, "holdingAmount"),
        oi_read="holdingAmount, coins; the venue has no other figure",
    ),
    "gate": Source(
        requests=_gate_requests,
        rows=_keyed("name"),
        mark=_field("mark_price"),
        funding=lambda row, listing: _number(row, "funding_rate") * 28_800 / _number(row, "funding_interval"),
        oi=_gate_oi,
        oi_read="position_size (one side), contracts of quanto_multiplier coins",
    ),
    "deribit": Source(
        requests=_deribit_requests,
        rows=_keyed("instrument_name", "result"),
        mark=_field("mark_price"),
        funding=lambda row, listing: _number(row, "current_funding"),
        oi=_deribit_oi,
        oi_read="open_interest: dollars over the mark (inverse), coins (linear)",
    ),
    "kraken_futures": Source(
        requests=lambda rest, listings: [_get(f"{rest}/tickers", "tickers")],
        rows=_kraken_rows,
        mark=_field("markPrice"),
        funding=_kraken_funding,
        oi=_kraken_oi,
        oi_read="openInterest: coins; inverse: dollars over the mark",
    ),
    "bitmex": Source(
        requests=lambda rest, listings: [_get(f"{rest}/instrument/active", "instruments")],
        rows=_bitmex_rows,
        mark=_field("markPrice"),
        funding=_bitmex_funding,
        oi=_bitmex_oi,
        oi_read="openValue: satoshi or millionths of a dollar",
    ),
    "hyperliquid": Source(
        requests=_hyperliquid_requests,
        rows=_hyperliquid_rows,
        mark=_field("markPx"),
        funding=_hourly("funding"),
        oi=lambda row, listing: _number(row, "openInterest"),
        oi_read="openInterest, coins; the venue has no other figure",
    ),
    "dydx": Source(
        requests=lambda rest, listings: [_get(f"{rest}/perpetualMarkets", "perpetualMarkets")],
        rows=lambda document: document["markets"].items(),
        mark=_field("oraclePrice"),
        funding=_hourly("nextFundingRate"),
        oi=lambda row, listing: _number(row, "openInterest"),
        oi_read="openInterest, coins; the venue has no other figure",
    ),
    "aster": Source(
        requests=_binance("/fapi/v3", 1.0),
        rows=_binance_rows,
        mark=_field("markPrice"),
        funding=_named_interval_funding,
        oi=lambda row, listing: _number(row, "openInterest"),
        oi_read="openInterest, coins; not documented, and the venue has no other figure",
    ),
    "lighter": Source(
        requests=_lighter_requests,
        rows=_lighter_rows,
        mark=_field("mark_price"),
        funding=lambda row, listing: _number(row, "rate"),
        oi=lambda row, listing: _number(row, "open_interest"),
        oi_read="open_interest of orderBookDetails, coins (the socket has dollars)",
    ),
}
