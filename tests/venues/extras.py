"""What the extra sockets, polls and history requests of any venue must keep: the venue's own limits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from service.model import EXTRA_STREAMS, ExtraStream, HistoryPoint, Listing
from service.venues.contract import Request, Venue

_LINEAR: dict[str, str] = {  # of linear instruments; every tenth is inverse where a venue has such contracts
    "binance_usdm": "1000000C{}USDT",
    "bybit": "1000000C{}USDT",
    "okx": "CCCCCC{}-USDT-SWAP",
    "bitget": "CCCCCC{}USDT",
    "gate": "CCCCCC{}_USDT",
    "deribit": "C{}_USDC-PERPETUAL",
    "kraken_futures": "PF_CCCCC{}USD",
    "bitmex": "1000000C{}USDT",
    "hyperliquid": "kCCCC{}",
    "dydx": "C{},RAYDIUM,4k3Dyjzvzp8eMZWUXbBCjEvwSkkk59S5iCNLY3QrkX6R-USD",
    "aster": "1000000C{}USDT",
    "lighter": "C{0}-{0}",
}
_INVERSE = {
    "binance_coinm": "C{}USD_PERP",
    "bybit": "C{}USD",
    "okx": "C{}-USD-SWAP",
    "bitget": "C{}USD",
    "gate": "C{}_USD",
    "deribit": "C{}-PERPETUAL",
    "kraken_futures": "PI_C{}USD",
    "bitmex": "C{}USD",
}
NOW = 1_763_719_206_000  # 2025-11-21 10:00:06 UTC
DAY_AND_TWO = 26 * 3_600_000


def check_plans(venue: Venue, listings: Sequence[Listing]) -> list[str]:
    """The names of all plans with every extra stream on; each keeps the limits, and the main ones are as without."""
    main = venue.connections(venue.endpoints, listings)
    plans = venue.connections(venue.endpoints, listings, EXTRA_STREAMS)
    names = [plan.name for plan in plans]
    assert len(dict.fromkeys(names)) == len(names)
    assert [plan for plan in plans if plan.expects] == main
    for plan in plans:
        assert 0 < len(plan.frames) <= venue.limits.max_topics
        assert plan.acks == len(plan.frames)
        assert all(len(frame) < 4096 for frame in plan.frames)
        assert len(plan.frames) / venue.limits.sends_per_s <= 30.0
        assert plan.keepalive is not None or plan in main or (plan.quiet_s is not None and plan.quiet_s <= 180.0)
    assert len(plans) <= venue.limits.connects
    return names


def check_only_what_is_wanted(venue: Venue, listings: Sequence[Listing], kinds: dict[ExtraStream, str]) -> None:
    """Each extra stream alone opens the sockets with its name in theirs (none where it is not in ``kinds``)."""
    main = venue.connections(venue.endpoints, listings)
    for stream in EXTRA_STREAMS:
        plans = [plan for plan in venue.connections(venue.endpoints, listings, (stream,)) if plan not in main]
        assert bool(plans) is (stream in kinds)
        assert all(kinds[stream] in plan.name for plan in plans)
    assert venue.connections(venue.endpoints, [], EXTRA_STREAMS) == []


def check_polls(venue: Venue, listings: Sequence[Listing], budget_share: float, forced: Sequence[float] = ()) -> None:
    """All polls together need at most this share of the request budget. ``forced``: seconds between polls of
    liquidations."""
    polls = venue.polls(venue.endpoints, listings, 10.0, EXTRA_STREAMS)
    assert polls
    used = sum(poll.request.weight / poll.every_s for poll in polls)
    assert used <= budget_share * venue.limits.rest_weight / venue.limits.rest_period_s
    assert all(poll.expects == () for poll in polls)
    assert sorted(poll.every_s for poll in polls if poll.every_s < 300.0) == sorted(forced)
    assert venue.polls(venue.endpoints, listings, 10.0) == []
    assert venue.polls(venue.endpoints, listings, 10.0, ("flow",)) == []
    assert len(venue.polls(venue.endpoints, listings, 10.0, ("liquidation",))) == len(forced)


def requests_of(venue: Venue, listing: Listing, since_ms: int = NOW - DAY_AND_TWO, now_ms: int = NOW) -> list[Request]:
    found = venue.history(venue.endpoints, listing, since_ms, now_ms)
    assert all(request.method == "GET" and request.context.startswith("history:") for request in found)
    assert all(request.context.endswith(f":{listing.instrument}") for request in found)
    return found


def points(found: Sequence[object]) -> list[tuple[str, int, float, int]]:
    """(stream, time, value, hold) of decoded history; anything else fails."""
    assert all(isinstance(item, HistoryPoint) for item in found)
    return [(item.stream, item.ts, item.value, item.hold_ms) for item in found if isinstance(item, HistoryPoint)]


def synthetic(venue: str, count: int, inverse_too: bool = True) -> list[Listing]:
    """So many made-up instruments with names as the venue has them, some inverse where it has such contracts."""
    found = []
    for number in range(count):
        inverse = venue not in _LINEAR or (inverse_too and venue in _INVERSE and number % 10 == 0)
        name = (_INVERSE if inverse else _LINEAR)[venue].format(number)
        found.append(Listing(venue, name, f"C{number}", inverse, 10.0, 1.0, 8.0, True, NOW))
    return found


def topics(frame: str) -> list[str]:
    """What one request subscribes to, as text; the venues put it in different places."""
    request: dict[str, Any] = json.loads(frame)
    params = request.get("params")
    if isinstance(params, list):
        return [str(item) for item in params]
    if isinstance(params, dict) and "channel" in params:
        return [f"{params['channel']} {item}" for item in params.get("symbol", [""])]
    if isinstance(params, dict):
        return [str(item) for item in params["channels"]]
    if "args" in request:
        return [json.dumps(item) for item in request["args"]]
    if "payload" in request:
        return [f"{request['channel']} {item}" for item in request["payload"]]
    if "feed" in request:
        return [f"{request['feed']} {item}" for item in request.get("product_ids", [""])]
    if "subscription" in request:
        return [json.dumps(request["subscription"])]
    return [f"{request['channel']} {request.get('id', '')}"]
