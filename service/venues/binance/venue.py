"""Binance USD-M and COIN-M futures, and Aster, which speaks their protocol: their limits, what is asked of them.

Facts from the venue pages, all: numbers are text; open interest is polled, one-sided; an unknown symbol or a retired
route is acknowledged and then silent; the connection is cut at 24 h. USD-M: mark, index and funding come on
`<symbol>@markPrice@1s`, amounts in base units (1000SHIB: thousands of SHIB). COIN-M: inverse contracts of a fixed
number of dollars; the index comes on its own stream, by pair; statistics are those of a pair, all its contracts
together, and of the ratios that of the top traders' accounts is left out (the documents disagree on how to ask for it).
Since 2026-06-30 both are one exchange to its limits (one request weight for an address, over both hosts) and to its
streams of all symbols: each host sends the rows of both, see :func:`service.venues.binance.metadata.listing_of`.
Aster: as USD-M, without routes and without `/futures/data`; its `openInterest` is in no document and may vanish.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

import orjson

from service.model import Endpoints, ExtraStream, Listing, LongShortKind, OiFigure, Stream, StreamRule, VenueRules
from service.venues.binance import history
from service.venues.binance.history import FUNDING, STATISTICS
from service.venues.binance.messages import BinanceDecoder
from service.venues.binance.metadata import ASTER, PERPETUAL
from service.venues.binance.trades import RATIO
from service.venues.contract import Catalog, ConnectionPlan, Limits, Poll, Request, paged, sockets

STREAMS: tuple[Stream, ...] = ("mark", "funding")  # of a socket; open interest is polled
PARAMS_PER_FRAME = 50
OI_WEIGHT = 1.0
OI_POLLS_MAX_AGE = 3
DEFAULT_OI_POLL_S = 10.0
LIQUIDATIONS = "!forceOrder@arr"  # of all symbols of both products; those not listed are left out by the decoder
TRADES_QUIET_S = 180.0  # 200 instruments without a single trade for so long: a dead route, acknowledged and silent
LIQUIDATIONS_QUIET_S = 3600.0  # no cadence is guaranteed: a calm hour costs one reconnect, a dead route is noticed
RATIO_S = 300.0  # the venue computes them every five minutes
RATIO_SLOWEST_S = 600.0  # fewer kinds rather than older values; a value is fresh for 900 s
RATIO_SHARE = 1 / 3  # of the requests of STATISTICS, for each product; the rest is for history
# Beside the weight. Documented are 1000 statistics in 5 min (we keep half of that: at "weight 0" clients ran into bans)
# and 500 funding requests in 5 min; that both hosts count together, as with the weight, is assumed.
# Aster documents no limit for funding requests alone; to keep this one costs it nothing.
BUCKETS = {STATISTICS: (150, 60.0), FUNDING: (500, 300.0)}
DOCUMENTED = OiFigure("openInterest", 1, "venue page: single side", "documented")


@dataclass(frozen=True, slots=True)
class Product:
    """One of the lines of contracts."""

    name: str
    title: str
    exchange: str
    api: str  # first part of every HTTP path
    endpoints: Endpoints
    topics_each: int
    oi_figure: OiFigure
    oi_per_min: float  # request weight for open interest; what is left is for ratios, lists, history, recovery
    statistics: bool  # whether there is `/futures/data/*`
    ratios: tuple[tuple[LongShortKind, str], ...]  # kind and endpoint, the most telling first


USDM = Product(
    name="binance_usdm",
    title="Binance USD-M futures",
    exchange="binance",
    api="fapi/v1",
    endpoints=Endpoints(ws={"market": "wss://fstream.binance.com/market"}, rest="https://fapi.binance.com"),
    topics_each=1,
    oi_figure=DOCUMENTED,
    oi_per_min=1000.0,  # 500 instruments every 30 s
    statistics=True,
    ratios=(
        ("account", "globalLongShortAccountRatio"),
        ("top_position", "topLongShortPositionRatio"),
        ("top_account", "topLongShortAccountRatio"),
    ),
)
COINM = Product(
    name="binance_coinm",
    title="Binance COIN-M futures",
    exchange="binance",
    api="dapi/v1",
    endpoints=Endpoints(ws={"market": "wss://dstream.binance.com"}, rest="https://dapi.binance.com"),
    topics_each=2,  # the mark by instrument, the index by pair
    oi_figure=DOCUMENTED,
    oi_per_min=240.0,  # 40 instruments every 10 s; about so many there are
    statistics=True,
    ratios=(("account", "globalLongShortAccountRatio"), ("top_position", "topLongShortPositionRatio")),
)
ASTER_PERPETUALS = Product(
    name=ASTER,
    title="Aster perpetuals",
    exchange="aster",
    api="fapi/v3",
    endpoints=Endpoints(ws={"market": "wss://fstream.asterdex.com"}, rest="https://fapi.asterdex.com"),
    topics_each=1,
    oi_figure=OiFigure("openInterest", 1, "assumed: not documented; an odd count in a frame of 2026", "assumed"),
    oi_per_min=1200.0,  # half of its own budget: 500 instruments every 25 s
    statistics=False,
    ratios=(),
)


class Binance:
    """One product: see :class:`service.venues.contract.Venue`."""

    polls_oi = True
    limits = Limits(
        connects=300,
        connect_period_s=300.0,
        sends_per_s=5.0,
        rest_weight=2400.0,  # of an exchange, both products of Binance together
        rest_period_s=60.0,
        max_topics=200,
        lifetime_s=86_400.0,
        buckets=BUCKETS,
        used_weight_header="X-MBX-USED-WEIGHT-1M",
    )

    def __init__(self, product: Product) -> None:
        self.name = product.name
        self.title = product.title
        self.endpoints = product.endpoints
        self.rules = VenueRules(
            venue=product.name,
            exchange=product.exchange,
            mark=StreamRule(15_000, "send"),
            funding=StreamRule(300_000, "send"),
            oi=StreamRule(int(OI_POLLS_MAX_AGE * DEFAULT_OI_POLL_S * 1000), "change"),
            index_max_age_ms=15_000,
            funding_cap_8h=0.16,
            oi_figure=product.oi_figure,
        )
        self._product = product
        self._coinm = product is COINM

    def rules_for(self, oi_poll_s: float, instruments: int = 0) -> VenueRules:
        """Open interest is fresh for three polling intervals."""
        age_ms = int(OI_POLLS_MAX_AGE * self._cadence_s(oi_poll_s, instruments) * 1000)
        return replace(self.rules, oi=StreamRule(age_ms, "change"))

    def decoder(self, catalog: Catalog) -> BinanceDecoder:
        return BinanceDecoder(self.name, self._coinm, catalog)

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        base = f"{endpoints.rest}/{self._product.api}"
        return [
            Request("GET", f"{base}/{what}", context=what, bucket=bucket)
            for what, bucket in (("exchangeInfo", ""), ("fundingInfo", FUNDING))
        ]

    # -- sockets -----------------------------------------------------------------------------------------------

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        url, most = f"{endpoints.ws['market']}/ws", self.limits.max_topics
        plans = sockets("market", url, listings, most // self._product.topics_each, self._marks, STREAMS)
        groups: list[tuple[Sequence[str], float]] = []  # one socket for all liquidations, then those of trades
        if "liquidation" in extras and listings:
            groups.append(([LIQUIDATIONS], LIQUIDATIONS_QUIET_S))
        if "flow" in extras:
            trades = [f"{_lower(item.instrument)}@aggTrade" for item in listings]
            groups += [(page, TRADES_QUIET_S) for page in paged(trades, most)]
        for count, (topics, quiet_s) in enumerate(groups, 1):
            frames = _subscribe(topics)
            plans.append(ConnectionPlan(f"extra-{count}", url, frames, (), len(frames), quiet_s=quiet_s))
        return plans

    def _marks(self, listings: Sequence[Listing]) -> tuple[str, ...]:
        topics = [f"{_lower(item.instrument)}@markPrice@1s" for item in listings]
        if self._coinm:
            topics += [f"{_lower(self._pair(item.instrument))}@indexPrice@1s" for item in listings]
        return _subscribe(topics)

    # -- requests ----------------------------------------------------------------------------------------------

    def polls(
        self,
        endpoints: Endpoints,
        listings: Sequence[Listing],
        oi_poll_s: float,
        extras: Sequence[ExtraStream] = (),
    ) -> list[Poll]:
        every_s = self._cadence_s(oi_poll_s, len(listings))
        base = f"{endpoints.rest}/{self._product.api}/openInterest?symbol="
        interest = [
            Poll(
                Request("GET", base + quote(item.instrument, safe=""), OI_WEIGHT, context="openInterest"),
                every_s,
                ((item.instrument, "oi"),),
            )
            for item in listings
        ]
        return interest + (self._ratio_polls(endpoints, listings) if "long_short" in extras else [])

    def _cadence_s(self, oi_poll_s: float, instruments: int) -> float:
        """One request per instrument, all of them within the product's part of the request weight."""
        return max(oi_poll_s, instruments * OI_WEIGHT * 60.0 / self._product.oi_per_min)

    def _ratio_polls(self, endpoints: Endpoints, listings: Sequence[Listing]) -> list[Poll]:
        """Every five minutes; with many instruments fewer kinds, then less often, to stay within the budget."""
        if not listings:
            return []
        requests, period_s = BUCKETS[STATISTICS]
        per_s = requests * RATIO_SHARE / period_s
        affordable = int(RATIO_SLOWEST_S * per_s / len(listings))
        kinds = self._product.ratios[: max(1, affordable)]
        every_s = max(RATIO_S, len(kinds) * len(listings) / per_s)
        base = f"{endpoints.rest}/futures/data"
        return [
            Poll(
                Request(
                    "GET",
                    f"{base}/{endpoint}?{self._statistics(item.instrument)}&period=5m&limit=1",
                    context=f"{RATIO}{kind}",
                    bucket=STATISTICS,
                ),
                every_s,
            )
            for kind, endpoint in kinds
            for item in listings
        ]

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        name, base = listing.instrument, f"{endpoints.rest}/{self._product.api}"
        pair = f"pair={quote(self._pair(name), safe='')}"
        return history.requests(name, base, pair, self._past_interest(endpoints, name), since_ms, now_ms)

    def month(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        name, base = listing.instrument, f"{endpoints.rest}/{self._product.api}"
        return history.month(name, base, self._past_interest(endpoints, name), since_ms, now_ms)

    def _past_interest(self, endpoints: Endpoints, name: str) -> str | None:
        """The address of an instrument's past open interest; None: there is none."""
        subject = self._statistics(name) + ("&contractType=PERPETUAL" if self._coinm else "")
        return f"{endpoints.rest}/futures/data/openInterestHist?{subject}" if self._product.statistics else None

    def _pair(self, instrument: str) -> str:
        """The pair whose index an instrument follows: for a USD-M perpetual its own name."""
        return instrument.removesuffix(PERPETUAL) if self._coinm else instrument

    def _statistics(self, instrument: str) -> str:
        """The query by which `/futures/data/*` names an instrument."""
        return f"{'pair' if self._coinm else 'symbol'}={quote(self._pair(instrument), safe='')}"


def _lower(name: str) -> str:
    """A name as streams have it. ASCII letters only: lower case may have other letters in other scripts.

    >>> _lower("BTCUSDT"), _lower("币安人生USDT"), _lower("İUSDT")
    ('btcusdt', '币安人生usdt', 'İusdt')
    """
    return name.encode().lower().decode()


def _subscribe(topics: Sequence[str]) -> tuple[str, ...]:
    """The requests that subscribe to these streams."""
    return tuple(
        orjson.dumps({"method": "SUBSCRIBE", "params": page, "id": number}).decode()
        for number, page in enumerate(paged(topics, PARAMS_PER_FRAME), 1)
    )
