"""The budgets of one exchange, shared by all links and pollers of its venues: connection attempts, HTTP requests.

Pure: the caller passes monotonic seconds. A reservation is granted or refused, never queued: the caller that is
told to wait asks again afterwards, so a penalty that arrives meanwhile counts, and a cancelled caller costs nothing.
"""

from __future__ import annotations

from collections import deque
from email.utils import parsedate_to_datetime
from math import inf

from service.statistics import fold
from service.venues.contract import Limits

DEFAULT_PENALTY_S = 30.0  # a throttled answer that does not say how long
MAX_PENALTY_S = 3 * 86_400.0  # the longest ban a venue page documents (Binance, HTTP 418); beyond it is a mistake
HISTORY_SHARE = 0.6  # of the request weight; history is not granted what live polls may need within the period
SPARSE_S = 30.0  # a connection budget with less than one attempt in so long is one to be careful with
BURST_SHARE = 0.75  # of such a budget: up to it attempts come as backoff has them
EXTRA_SHARE = 0.25
THROTTLED = (403, 418, 429)  # statuses by which venues throttle (Bybit answers 403)


class Window:
    """At most ``capacity`` in any ``period_s`` seconds, whatever the moment the period begins."""

    def __init__(self, capacity: float, period_s: float) -> None:
        if not (capacity > 0 and period_s > 0):
            raise ValueError(f"budget: {capacity} per {period_s} s")
        self._capacity = capacity
        self._period_s = period_s
        self._spent: deque[tuple[float, float]] = deque()

    def wait_s(self, now_s: float, amount: float = 1.0, share: float = 1.0) -> float:
        """0.0: ``amount`` fits now. Otherwise the seconds until enough of the past has left the window.

        ``share``: only this part of the capacity may be used by the caller, whoever spent it before.
        """
        self._forget(now_s)
        capacity = self._capacity * share
        amount = min(amount, capacity)  # a request above the whole budget gets an empty window
        free = capacity - fold(spent for _, spent in self._spent)
        wait = 0.0
        for at_s, spent in self._spent:
            if amount <= free:
                break
            free += spent
            wait = at_s + self._period_s - now_s
        return wait

    def spent(self, now_s: float) -> float:
        """What was spent within the period."""
        self._forget(now_s)
        return fold(spent for _, spent in self._spent)

    def used(self, now_s: float) -> float:
        """Share of the capacity spent within the period, 0 to 1."""
        return self.spent(now_s) / self._capacity

    def _forget(self, now_s: float) -> None:
        while self._spent and self._spent[0][0] + self._period_s <= now_s:
            self._spent.popleft()

    def spend(self, now_s: float, amount: float = 1.0) -> None:
        self._spent.append((now_s, min(amount, self._capacity)))


class VenueBudget:
    """The budgets of one exchange from the :class:`Limits` of its venues, and the penalties it has announced: Binance
    counts, and bans, an address over both its products.

    ``process_connects``: a window shared by the budgets of all venues, so that many venues dropped at one moment do
    not all knock at the next one. Every ``reserve_*`` returns 0.0 (granted: go now) or seconds to wait and ask again.
    """

    def __init__(self, limits: Limits, process_connects: Window | None = None) -> None:
        self._connects = Window(limits.connects, limits.connect_period_s)
        self.process_connects = process_connects
        self._rest = Window(limits.rest_weight, limits.rest_period_s)
        self._buckets = {name: Window(*each) for name, each in limits.buckets.items()}
        each_s = limits.connect_period_s / limits.connects
        self._distance_s = 4.0 * each_s if each_s >= SPARSE_S else 0.0
        self._connected_s = -inf
        self._connects_after_s = 0.0
        self._rest_after_s = 0.0

    def reserve_connect(self, now_s: float, extra: bool = False) -> float:
        """One connection attempt at ``now_s``. ``extra``: of a socket without which the venue counts all the same.

        Where a venue allows only so many an hour, attempts keep a distance from the last one of any socket once most
        of them are spent (a quarter, for extra ones), so that they are never used up: after a few minutes' outage
        the venue would otherwise be out of reach for the rest of the hour.
        """
        wait = max(self._connects_after_s - now_s, self._connects.wait_s(now_s), 0.0)
        if self._distance_s > 0.0 and self._connects.used(now_s) >= (EXTRA_SHARE if extra else BURST_SHARE):
            wait = max(wait, self._connected_s + self._distance_s - now_s)
        if self.process_connects is not None:
            wait = max(wait, self.process_connects.wait_s(now_s))
        if wait == 0.0:
            self._connects.spend(now_s)
            self._connected_s = now_s
            if self.process_connects is not None:
                self.process_connects.spend(now_s)
        return wait

    def reserve_rest(self, now_s: float, weight: float = 1.0, bucket: str = "", share: float = 1.0) -> float:
        """One HTTP request of ``weight`` at ``now_s``, and one of ``bucket`` where it has one.

        ``share``: the part of both that may be used up by then.
        """
        wait = max(self._rest_after_s - now_s, self._rest.wait_s(now_s, weight, share), 0.0)
        if bucket:
            wait = max(wait, self._buckets[bucket].wait_s(now_s, 1.0, share))
        if wait == 0.0:
            self._rest.spend(now_s, weight)
            if bucket:
                self._buckets[bucket].spend(now_s)
        return wait

    def reserve_history(self, now_s: float, weight: float = 1.0, bucket: str = "") -> float:
        """One HTTP request for the past: granted only while :data:`HISTORY_SHARE` of the budget is not used up."""
        return self.reserve_rest(now_s, weight, bucket, HISTORY_SHARE)

    def note_used(self, now_s: float, weight: float) -> None:
        """The exchange says that so much weight is used. What is above ours was spent by somebody else on our address,
        or costs more than we think: it counts like ours, from now on."""
        others = weight - self._rest.spent(now_s)
        if others > 0.0:
            self._rest.spend(now_s, others)

    def rest_blocked_s(self, now_s: float) -> float:
        """Seconds for which a penalty still forbids every request."""
        return max(self._rest_after_s - now_s, 0.0)

    def penalise_connects(self, now_s: float, retry_after_s: float | None) -> None:
        """An upgrade was throttled: no attempt at this exchange for that long (30 s where it does not say)."""
        self._connects_after_s = max(self._connects_after_s, now_s + _penalty_s(retry_after_s))

    def penalise_rest(self, now_s: float, retry_after_s: float | None) -> None:
        """A request was throttled: no request to this exchange for that long (30 s where it does not say)."""
        self._rest_after_s = max(self._rest_after_s, now_s + _penalty_s(retry_after_s))


def _penalty_s(retry_after_s: float | None) -> float:
    return DEFAULT_PENALTY_S if retry_after_s is None else min(max(retry_after_s, 1.0), MAX_PENALTY_S)


def parse_used_weight(header: str | None) -> float | None:
    """A header of ``Limits.used_weight_header`` as a number; None where there is none, or it is no count."""
    text = "" if header is None else header.strip()
    return float(text) if text.isascii() and text.isdecimal() and len(text) <= 12 else None


def parse_retry_after(header: str | None, utc_now_s: float) -> float | None:
    """Seconds from a ``Retry-After`` header (RFC 9110 section 10.2.3: a number or a date); None if there is none."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdecimal() and len(text) <= 12:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - utc_now_s)
    except (TypeError, ValueError, OverflowError):
        return None


def http_reason(status: int) -> str:
    """A bounded code for an HTTP status that refuses an upgrade or a request."""
    if 300 <= status < 400:
        return "redirect"
    if status in (400, 401, 403, 404, 418, 429, 451, 500, 502, 503, 504):
        return f"http_{status}"
    return "http_other"
