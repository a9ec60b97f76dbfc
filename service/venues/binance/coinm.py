"""Binance COIN-M futures: inverse perpetuals. Mark and funding from `<symbol>@markPrice@1s`, open interest by polling.

As on USD-M (see ``usdm.py``), except: the index comes on its own stream, by pair; open interest is counted,
one-sided, in contracts of a fixed number of dollars; `sumOpenInterestValue` is in coins; status is `contractStatus`.
Trades and liquidations count contracts too: their coins follow from their own price. Ratios are those of a pair, all
its contracts together; that of the top traders' accounts is left out (the documents disagree on how to ask for it).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from service.errors import BadPayload
from service.model import Decoded, Endpoints, Listing, Skipped, StreamRule, VenueRules
from service.venues.binance.usdm import (
    DEFAULT_OI_POLL_S,
    OI_POLLS_MAX_AGE,
    BinanceUsdm,
    BinanceUsdmDecoder,
)
from service.venues.contract import Catalog, Limits
from service.venues.emit import label, mapping, need
from service.venues.numbers import coins, number, price, text, timestamp_ms
from service.venues.symbols import USD_QUOTES, base_of, canonical

PERPETUAL = "_PERP"  # BTCUSD_PERP prices the pair BTCUSD; BTCUSD_260327 is a delivery contract
PERPETUALS_PER_SOCKET = 100  # each takes two streams: its mark and its pair's index
BUILT_IN_USD = {"BTC": 100.0}  # dollars per contract where no metadata says it
OTHERS_USD = 10.0


class BinanceCoinm(BinanceUsdm):
    """The venue: see :class:`service.venues.contract.Venue`."""

    name = "binance_coinm"
    title = "Binance COIN-M futures"
    api = "dapi"
    topics_each = 2  # the mark by instrument, the index by pair
    statistics_weight = 1.0
    funding_weight = 1.0
    ratios = (("account", "globalLongShortAccountRatio"), ("top_position", "topLongShortPositionRatio"))
    endpoints = Endpoints(ws={"market": "wss://dstream.binance.com"}, rest="https://dapi.binance.com")
    limits = Limits(
        connects=300,
        connect_period_s=300.0,
        sends_per_s=5.0,
        rest_weight=2400.0,  # its own: not shared with USD-M
        rest_period_s=60.0,
        max_topics=2 * PERPETUALS_PER_SOCKET,
        lifetime_s=86_400.0,
    )
    rules = VenueRules(
        venue="binance_coinm",
        exchange="binance",
        mark=StreamRule(15_000, "send"),
        funding=StreamRule(300_000, "send"),
        oi=StreamRule(int(OI_POLLS_MAX_AGE * DEFAULT_OI_POLL_S * 1000), "change"),
        index_max_age_ms=15_000,
        funding_cap_8h=0.16,
    )

    def decoder(self, catalog: Catalog) -> BinanceCoinmDecoder:
        return BinanceCoinmDecoder(catalog)

    def _topics(self, listings: Sequence[Listing]) -> list[str]:
        marks = [f"{item.instrument.lower()}@markPrice@1s" for item in listings]
        return marks + [f"{self._pair(item.instrument).lower()}@indexPrice@1s" for item in listings]

    def _pair(self, instrument: str) -> str:
        return instrument.removesuffix(PERPETUAL)

    def _statistics_of(self, instrument: str) -> str:
        return f"pair={quote(self._pair(instrument), safe='')}"

    def _interest_of(self, instrument: str) -> str:
        return f"{self._statistics_of(instrument)}&contractType=PERPETUAL"


class BinanceCoinmDecoder(BinanceUsdmDecoder):
    """Frames and HTTP answers of the venue. Funding and its intervals are read as on USD-M."""

    venue = "binance_coinm"

    def _read(self, parsed: Any, recv_ts: int, context: str, out: list[Decoded]) -> None:
        if parsed is None and context == "fundingInfo":
            parsed = []  # no instrument deviates from 8 h
        super()._read(parsed, recv_ts, context, out)

    def _row(self, row: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        if "sumOpenInterest" in row:
            self._interest_of_pair(row, recv_ts, out)
        elif "longPosition" in row:  # told by its own name, unlike the other ratios
            self._ratio(row, "top_position", recv_ts, out)
        elif "takerBuyVol" not in row:  # taker volumes: not used
            super()._row(row, recv_ts, out)

    def _statistics_name(self, row: dict[str, Any]) -> str:
        return text(need(row, "pair")) + PERPETUAL

    def _event(self, row: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        if label(need(row, "e"), "e") == "indexPriceUpdate":
            self._index_of_pair(row, recv_ts, out)
        else:
            super()._event(row, recv_ts, out)

    # -- mark, index -------------------------------------------------------------------------------------------

    def _index_in(self, row: dict[str, Any], key: str) -> float | None:
        """`markPrice` with an index is documented but in no recording: read where there is one."""
        return price(row[key]) if row.get(key, "") != "" else None

    def _index_of_pair(self, row: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        """`i` is the pair here and `p` the index price."""
        listing = self._listing(text(need(row, "i")) + PERPETUAL)
        if listing is not None:
            value, venue_ts = price(need(row, "p")), timestamp_ms(need(row, "E"))
            out.append(self._mark(listing, None, value, venue_ts, recv_ts))

    # -- amounts -----------------------------------------------------------------------------------------------

    def _amount(self, listing: Listing, amount: float, each: float, out: list[Decoded]) -> float | None:
        """Contracts of a fixed number of dollars, at the price they were traded at."""
        return self._coins_in(listing, amount, each, out)

    def _interest(self, row: dict[str, Any], key: str, time: str, recv_ts: int, out: list[Decoded]) -> None:
        """Contracts now. Their dollars are fixed, their coins follow from the last mark."""
        listing = self._listing(text(need(row, "symbol")))
        if listing is None:
            return
        contracts, venue_ts = coins(row[key]), timestamp_ms(need(row, time))
        mark = self._catalog.marks.get(listing.instrument)
        if listing.contract_size is None or mark is None:
            reason = "unknown_contract_size" if listing.contract_size is None else "no_mark"
            out.append(Skipped(self.venue, listing.instrument, reason))
            return
        size = listing.contract_size / mark
        out.append(self._open_interest(listing, contracts, size, contracts * size, True, venue_ts, recv_ts))

    def _interest_of_pair(self, row: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        """History: contracts, and their coins by the venue's own conversion at the time."""
        if label(need(row, "contractType"), "contractType") != "PERPETUAL":
            return  # delivery contracts, or all of a pair together
        listing = self._listing(text(need(row, "pair")) + PERPETUAL)
        if listing is None:
            return
        contracts, venue_ts = coins(row["sumOpenInterest"]), timestamp_ms(need(row, "timestamp"))
        amount = coins(need(row, "sumOpenInterestValue")) * listing.multiplier
        if (contracts > 0) is not (amount > 0):
            raise BadPayload("size_mismatch", f"{listing.instrument}: {contracts:g} contracts, {amount:g} coins")
        size = amount / contracts if contracts > 0 else 0.0  # no contracts leave the size open
        out.append(self._open_interest(listing, contracts, size, amount, False, venue_ts, recv_ts))

    # -- metadata ----------------------------------------------------------------------------------------------

    def _by_name(self, name: str) -> Listing | None:
        base = base_of(name.removesuffix(PERPETUAL), ("USD",)) if name.endswith(PERPETUAL) else None
        if base is None:
            return None
        symbol, multiplier = canonical(base)
        return self._guess(name, symbol, multiplier, True, BUILT_IN_USD.get(base, OTHERS_USD))

    def _instrument(self, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        fields = mapping(row, "symbols[]")
        name = text(need(fields, "symbol"))
        kind = label(need(fields, "contractType"), "contractType")  # winding down: PERPETUAL DELIVERING
        currency = label(need(fields, "quoteAsset"), "quoteAsset")
        if kind != "PERPETUAL" or currency not in USD_QUOTES:
            self._refuse(name, recv_ts, out)
            return
        symbol, multiplier = canonical(text(need(fields, "baseAsset")))
        stated = fields.get("contractSize", "")
        size = None if stated == "" else number(stated, 1e-6, 1e9)
        trading = label(need(fields, "contractStatus"), "contractStatus") == "TRADING"
        interval_h = self._metadata_interval(name)
        self._list(Listing(self.venue, name, symbol, True, size, multiplier, interval_h, trading, recv_ts), out)
