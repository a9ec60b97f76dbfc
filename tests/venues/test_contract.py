"""What streamed venues share: sockets by so many instruments, nothing polled."""

from __future__ import annotations

import doctest
from collections.abc import Sequence

from service.model import STREAMS, Listing
from service.venues import contract
from service.venues.contract import KeepAlive, paged, sockets
from tests.venues.extras import synthetic

URL = "wss://example.invalid"


def requests(part: Sequence[Listing]) -> tuple[str, ...]:
    return ("hello", *(item.instrument for item in part))


def test_each_instrument_is_on_one_socket_and_expected_there() -> None:
    listings = synthetic("hyperliquid", 7)
    plans = sockets("main", URL, listings, 3, requests, keepalive=KeepAlive("ping", 5.0), quiet_s=9.0)
    assert [plan.name for plan in plans] == ["main-1", "main-2", "main-3"]
    assert [plan.acks for plan in plans] == [4, 4, 2]  # one for every request, those of no instrument too
    assert [name for plan in plans for name in plan.frames[1:]] == [item.instrument for item in listings]
    for plan in plans:
        assert plan.expects == tuple((name, stream) for name in plan.frames[1:] for stream in STREAMS)
        assert (plan.url, plan.keepalive, plan.quiet_s) == (URL, KeepAlive("ping", 5.0), 9.0)


def test_acknowledgements_are_counted_as_the_venue_sends_them() -> None:
    plans = sockets("main", URL, synthetic("hyperliquid", 5), 3, requests, acks=lambda part: 2 * len(part))
    assert [plan.acks for plan in plans] == [6, 4]


def test_pages_hold_all_in_order() -> None:
    assert doctest.testmod(contract).failed == 0
    assert paged((), 3) == []
    assert [list(page) for page in paged(range(7), 3)] == [[0, 1, 2], [3, 4, 5], [6]]


def test_extra_sockets_promise_no_stream() -> None:
    (plan,) = sockets("extra", URL, synthetic("hyperliquid", 3), 3, requests, ())
    assert (plan.expects, plan.keepalive, plan.quiet_s) == ((), None, None)
    assert sockets("extra", URL, [], 3, requests, ()) == []
