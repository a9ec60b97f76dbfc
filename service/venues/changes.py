"""What venues changed, or will end, and when: one table for docs/venues.md, `elr check`, `elr serve`, `/v1/venues`.

Pure: today's date is an argument. A row that nothing handles yet is open; open rows are endings, and are warned of.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from typing import Any, Literal, NamedTuple

WARN_DAYS = 120  # before the day of an open row

Evidence = Literal["documented", "reported", "recorded", "inferred"]


class Change(NamedTuple):
    """``venues``: whose; () is all of them. ``day``: UTC, from then on; ``evidence``: documented by the venue, reported
    by others, recorded in frames, or inferred. ``handled``: what of us handles it; "": nothing yet, it is open.
    ``then``: of an open row, what follows for us and what to do."""

    venues: tuple[str, ...]
    day: date
    what: str
    evidence: Evidence
    source: str
    handled: str
    then: str = ""


BINANCE = ("binance_usdm", "binance_coinm")

CHANGES = (  # in the order of days
    Change(
        ("gate",), date(2025, 12, 9), "sizes are cut to whole contracts without the header `X-Gate-Size-Decimal`",
        "documented", "change log; seen in frames of October 2026", "the header is sent on every socket and request",
    ),
    Change(
        ("binance_usdm",), date(2025, 12, 31), "`nq` in aggTrade: the quantity without retail orders (RPI)",
        "documented", "change log of 2025-12-29", "`q`, all of the quantity, is read everywhere, `nq` nowhere",
    ),
    Change(
        ("binance_usdm",), date(2026, 3, 6), "sockets are routed: `/public`, `/market`, `/private`",
        "documented", "Important WebSocket Change Notice", "the address has `/market`, where all of our topics are",
    ),
    Change(
        ("bitget",), date(2026, 3, 16), "symbols that are no ASCII", "reported", "tardis-node, 2026-03-16",
        "names of any script, percent-encoded in requests",
    ),
    Change(
        ("bitmex",), date(2026, 3, 30), "`limit` of the welcome message is empty or absent",
        "documented", "venue blog, api-change-30-03-26", "it is not read",
    ),
    Change(
        ("binance_usdm",), date(2026, 4, 23), "sockets without a route carry no market data, and say nothing of it",
        "documented", "Important WebSocket Change Notice", "as of 2026-03-06; the deadline of first messages tells",
    ),
    Change(
        ("bitget",), date(2026, 4, 28), "the API v3 beside v2; liquidations come on v3 alone. No end of v2 is known",
        "reported", "tardis-node switched that day; both lived in September 2026",
        "v3 for liquidations, v2 for the rest; frames of either are read",
    ),
    Change(
        ("bybit",), date(2026, 6, 11), "`singleOpenInterest` beside `openInterest`, which counts both sides",
        "documented", "change log v5", "`singleOpenInterest` is read, else half; measured at run time",
    ),
    Change(
        (), date(2026, 6, 15), "the coin TON is renamed GRAM, at each venue on a day of its own",
        "reported", "venue announcements", "both tickers are one asset (`Assets with several tickers`)",
    ),
    Change(
        ("dydx",), date(2026, 6, 24), "subscriptions beyond 32 of a channel and connection are dropped silently",
        "reported", "nautilus_trader issue 4290; of about that day", "32 markets a socket; marks come on one topic",
    ),
    Change(
        BINANCE, date(2026, 6, 30), "both products share 2,400 weight a minute, over both hosts",
        "documented", "integration notice, quoted in nautilus_trader 4301 and ccxt 28971; not read itself",
        "one budget for all venues of an exchange",
    ),
    Change(
        BINANCE, date(2026, 6, 30), "streams of all symbols bring both products on either host; `st` tells which",
        "documented", "integration notice, as above; no such array was recorded",
        "rows are told by their names, `st` must agree",
    ),
    Change(
        ("kraken_futures",), date(2026, 7, 14), "demo-futures.kraken.com is gone, without a successor",
        "reported", "sieblyio/kraken-api release 1.1.7", "it was never an address of ours",
    ),
    Change(
        ("bybit",), date(2026, 7, 23), "splits of stocks change the contracts of stock perpetuals",
        "documented", "change log v5, execType CorporateAction", "stocks are left out (`not_crypto`)",
    ),
    Change(
        ("okx",), date(2026, 8, 4), "X-Perps: dated contracts that pay funding",
        "recorded", "frames of that day; ccxt 29349 of 2026-07-29", "left out (`xperp`), on purpose",
    ),
    Change(
        ("gate",), date(2026, 8, 19), "perpetuals settled in USD1, on a socket of their own",
        "documented", "change log", "not counted, on purpose: the lists of USDT and BTC are read",
    ),
    Change(
        ("gate",), date(2026, 8, 20), "liquidations come as arrays; `futures.contract_info` pushes new sizes",
        "documented", "change log", "arrays and single objects are read; sizes are those of the hourly list",
    ),
    Change(
        ("kraken_futures",), date(2027, 3, 1), "the REST API and the WebSocket v1 of futures.kraken.com",
        "documented", "docs.kraken.com, futures-rest", "",
        "Kraken is excluded then, unless its unified socket has agreed with v1: see counted_source of kraken_futures "
        "in /v1/venues. Keep the service running, with its state, over that day; or set "
        "venues.kraken_futures.enabled = false",
    ),
    Change(
        ("kraken_futures",), date(2027, 3, 1), "charts and analytics (`/api/charts/v1`): same host, no notice",
        "inferred", "docs.kraken.com, futures-rest", "",
        "Kraken then has no published past: keep the service's own (state.keep = true)",
    ),
)  # fmt: skip


def day_of(now_ms: int) -> date:
    """The UTC day of a time of the service clock.

    >>> day_of(1_796_083_200_000).isoformat()
    '2026-12-01'
    """
    return datetime.fromtimestamp(now_ms / 1000, UTC).date()


def changes_of(venue: str) -> list[Change]:
    """The rows of a venue, with those of all venues."""
    return [change for change in CHANGES if not change.venues or venue in change.venues]


def shown(venue: str, today: date) -> list[dict[str, Any]]:
    """The same as ``/v1/venues`` shows them; ``days_left`` is below 0 afterwards."""
    return [
        {
            "what": change.what,
            "from": change.day.isoformat(),
            "evidence": change.evidence,
            "source": change.source,
            "handled": change.handled or False,
            "days_left": (change.day - today).days,
        }
        for change in changes_of(venue)
    ]


def warnings(venues: Collection[str], today: date, changes: Sequence[Change] = CHANGES) -> list[str]:
    """One line for each open row of these venues that is :data:`WARN_DAYS` away or less, or past."""
    lines = []
    for change in changes:
        days = (change.day - today).days
        whose = [venue for venue in change.venues or venues if venue in venues]
        if change.handled or not whose or days > WARN_DAYS:
            continue
        ends, ended = ("may end", "may have ended") if change.evidence == "inferred" else ("ends", "ended")
        when = f"{ends} in {days} days, on {change.day}" if days > 0 else f"{ended} on {change.day}"
        lines.append(f"{', '.join(whose)}: {when}: {change.what} ({change.evidence}). {change.then}")
    return lines
