"""What a venue provides. Its files are pure: they build requests and decode frames, and touch no socket.

Adding a venue: one folder with a class that satisfies :class:`Venue` (:class:`Streamed` has the defaults of venues that
stream everything), one line in ``venues/__init__.py``, its fixtures. CONTRIBUTING.md has a worked example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import quote

from service.model import STREAMS, Decoded, Endpoints, ExtraStream, Listing, Stream, VenueRules
from service.venues.symbols import ASSETS, Asset

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """A venue's published limits, as budgets that all links and pollers of its exchange share: venues of one exchange
    state the same. ``buckets``: limits of some requests beside the weight, by name: (requests, seconds).
    ``used_weight_header``: the header in which an answer says the weight used within ``rest_period_s``; "": none.
    """

    connects: int  # connection attempts per connect_period_s
    connect_period_s: float
    sends_per_s: float  # client messages per second and connection
    rest_weight: float  # request weight per rest_period_s
    rest_period_s: float
    max_topics: int  # subscriptions per connection
    max_frame_bytes: int = 1 << 20
    lifetime_s: float | None = None  # the venue cuts connections at this age; planned reconnect comes before
    first_message_s: float = 30.0  # deadline for each expected stream's first message
    buckets: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    used_weight_header: str = ""


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Text the client must send every ``every_s`` seconds; the answer decodes to Control(kind="pong").

    A venue that pings by messages of its own needs nothing here: such a message decodes to Control(kind="ping"), whose
    text the link sends back.
    ``only_when_idle``: send only when nothing has been received for ``every_s``.
    """

    text: str
    every_s: float
    only_when_idle: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. ``weight`` counts against the REST budget; ``context`` goes to ``decode`` with the body.

    ``bucket``: one of ``Limits.buckets`` in which it counts once, too; "": none.

    ``more``: the name of the query parameter that asks for a list's next page; "": the answer is always the whole list.
    ``headers``: beyond what every request has.
    """

    method: Literal["GET", "POST"]
    url: str
    weight: float = 1.0
    body: str | None = None
    context: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    more: str = ""
    bucket: str = ""


PAGE = "|page:"  # in the context of a list's later pages, before where they begin


def page_after(first: Request, begins: str) -> Request:
    """The request for the page of a list that begins there; ``first``: the request for its first page."""
    joint = "&" if "?" in first.url else "?"
    url = f"{first.url}{joint}{first.more}={quote(begins, safe='')}"
    return replace(first, url=url, context=f"{first.context}{PAGE}{begins}")


def page_of(context: str) -> tuple[str, str]:
    """The context of a list's first page, and where the page of ``context`` begins: "" for the first.

    >>> page_of("contracts"), page_of("contracts|page:200")
    (('contracts', ''), ('contracts', '200'))
    """
    asked, _, begins = context.partition(PAGE)
    return asked, begins


@dataclass(frozen=True, slots=True)
class Poll:
    """A request repeated every ``every_s`` seconds; ``expects`` lists the (instrument, stream) pairs it feeds."""

    request: Request
    every_s: float
    expects: tuple[tuple[str, Stream], ...] = ()


@dataclass(frozen=True, slots=True)
class ConnectionPlan:
    """One socket: where to connect, what to send once open, and which streams must then speak.

    ``frames`` are sent in order, paced by ``Limits.sends_per_s``. Each (instrument, stream) in ``expects`` must
    deliver within ``Limits.first_message_s``, and again within its max_age, or the link is renewed.
    ``acks`` is how many acknowledgements a healthy venue sends for ``frames`` (0 where it sends none).
    ``quiet_s``: no frame at all for so long means the socket is dead, where nothing is expected (extra streams).
    ``sends_per_s``: where it is slower than ``Limits.sends_per_s``. ``apart``: another host than the venue's others,
    whose refusals must not keep them from connecting. ``anew``: by instrument, what asks for a new snapshot of its
    :class:`~service.model.Candidate`, sent where it has not spoken for ``anew_s``; where none speaks for three times as
    long, the socket is closed.
    """

    name: str
    url: str
    frames: tuple[str, ...]
    expects: tuple[tuple[str, Stream], ...]
    acks: int
    keepalive: KeepAlive | None = None
    quiet_s: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    sends_per_s: float | None = None
    apart: bool = False
    anew: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    anew_s: float = 60.0


class Catalog:
    """What one venue's decoders share: its listings by instrument, and last marks to convert USD contracts.

    Plain memory: filled by decoders, read by all connections of the venue; rebuilt identically in replay.
    ``assets``: which tickers are one asset.
    """

    def __init__(self, assets: Sequence[Asset] = ASSETS) -> None:
        self.assets = assets
        self.listings: dict[str, Listing] = {}
        self.marks: dict[str, float] = {}  # canonical units
        self.foreign: dict[str, str] = {}  # names the metadata says are no perpetual of a coin in dollars, and why
        self.named: dict[str, set[str]] = {}  # of each list whose pages are still coming, the names read so far
        self.default_interval_h: float | None = None  # of an instrument that the metadata does not name
        self.intervals_h: dict[str, float | None] = {}  # as stated last; None: named, but unreadable
        self.measured_h: dict[str, float | None] = {}  # of the running period, by its rollover; None: in doubt
        self.next_funding: dict[str, tuple[int, int]] = {}  # last announced funding time, and when it was said
        self.swaps_of_index: dict[str, tuple[str, ...]] = {}  # index name -> instruments it prices
        self.quanto: dict[str, float] = {}  # BitMEX: native coins per contract and dollar that bitcoin costs
        self.universe: tuple[str, ...] = ()  # names by position, where a venue sends positional arrays
        # Of each instrument the newest trade time counted, and the (time, id) of what was counted shortly before it.
        self.traded: dict[str, tuple[int, dict[tuple[int, str], None]]] = {}
        # Recent liquidation orders, the one told last at the end: the venue's time and how much was told of each.
        self.liquidated: dict[str, tuple[int | None, float]] = {}
        self.oi_sides: int | None = None  # sides that the venue's figure of open interest counts; None: as documented
        self.one_sided: dict[str, tuple[float, int]] = {}  # open interest of one side by another figure, its receipt
        self._shared: dict[type[Any], Any] = {}

    def shared(self, kind: type[T]) -> T:
        """The venue's one object of a class of its own, made when it is first asked for."""
        if kind not in self._shared:
            self._shared[kind] = kind()
        found: T = self._shared[kind]
        return found


class Decoder(Protocol):
    """Frames of one connection (or of the venue's HTTP answers) to decoded items. Stateful only in deltas."""

    def decode(self, raw: str | bytes, recv_ts: int, context: str = "") -> list[Decoded]:
        """All items of one frame, in order. Never raises for bad input: bad rows come as :class:`Bad`.

        ``raw``: the frame's text, or a whole HTTP body. ``recv_ts``: receive time, UTC epoch ms.
        """
        ...


class Venue(Protocol):
    """One venue: names, limits, requests, and its decoder.

    ``title``: what it is, for people. ``polls_oi``: open interest comes by HTTP, every ``oi_poll_s`` of its settings.
    """

    name: str
    title: str
    polls_oi: bool
    limits: Limits
    rules: VenueRules
    endpoints: Endpoints

    def rules_for(self, oi_poll_s: float, instruments: int = 0) -> VenueRules:
        """``rules`` with the configured polling cadence, as stretched by the budget for so many instruments."""
        ...

    def decoder(self, catalog: Catalog) -> Decoder:
        """A fresh decoder for one connection."""
        ...

    def metadata(self, endpoints: Endpoints) -> list[Request]:
        """Requests whose answers list the instruments (decoded to Listing); of a list that pages, its first page."""
        ...

    def connections(
        self, endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream] = ()
    ) -> list[ConnectionPlan]:
        """Sockets for these instruments, within the venue's limits. Only trading listings are passed.

        ``extras``: the extra streams wanted; those that the venue has go on sockets of their own, so that a flood of
        trades or a refused topic never disturbs mark, funding and open interest.
        """
        ...

    def polls(
        self,
        endpoints: Endpoints,
        listings: Sequence[Listing],
        oi_poll_s: float,
        extras: Sequence[ExtraStream] = (),
    ) -> list[Poll]:
        """What the venue offers only over HTTP, budgeted: each poll's cadence respects ``Limits.rest_weight``."""
        ...

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        """Requests for the published past of one instrument from ``since_ms`` to ``now_ms`` (UTC epoch ms).

        Mark and index per minute, open interest and funding as fine as the venue has them; the most needed first,
        newest page first where there are several. Their ``context`` begins with ``history:``; they decode to
        :class:`~service.model.HistoryPoint`. Empty where the venue publishes no such history.
        """
        ...

    def month(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        """The same for weeks of it: marks and open interest by the hour, settled funding, as far back as there are.

        Their ``context`` begins with ``history:`` and names the step (``service.venues.history.HOURLY``). Empty where
        the venue publishes no open interest of the past: without it the rest would not count.
        """
        ...


class Streamed:
    """Base of a venue whose mark, funding and open interest all come over sockets, and which publishes no open interest
    of the past, see :class:`Venue`. A venue of which one of these is not true overrides it."""

    polls_oi = False
    rules: VenueRules

    def rules_for(self, oi_poll_s: float, instruments: int = 0) -> VenueRules:
        """Everything is streamed: the polling cadence does not matter."""
        return self.rules

    def polls(
        self,
        endpoints: Endpoints,
        listings: Sequence[Listing],
        oi_poll_s: float,
        extras: Sequence[ExtraStream] = (),
    ) -> list[Poll]:
        """Nothing is polled."""
        return []

    def month(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        """No past open interest."""
        return []


def paged(all_of_them: Sequence[T], size: int) -> list[Sequence[T]]:
    """Pages of at most ``size``, in order.

    >>> paged("abcde", 2)
    ['ab', 'cd', 'e']
    """
    return [all_of_them[start : start + size] for start in range(0, len(all_of_them), size)]


def sockets(
    name: str,
    url: str,
    listings: Sequence[Listing],
    each: int,
    requests: Callable[[Sequence[Listing]], tuple[str, ...]],
    streams: Sequence[Stream] = STREAMS,
    keepalive: KeepAlive | None = None,
    quiet_s: float | None = None,
    acks: Callable[[Sequence[Listing]], int] | None = None,
) -> list[ConnectionPlan]:
    """One socket for ``each`` so many instruments, ``name``-1 and so on. ``requests``: the texts that subscribe to
    them; each instrument must then speak on all of ``streams``. ``acks``: how many acknowledgements they bring, else
    one a text."""
    plans: list[ConnectionPlan] = []
    for part in paged(listings, each):
        frames = requests(part)
        expects = tuple((item.instrument, stream) for item in part for stream in streams)
        expected_acks = len(frames) if acks is None else acks(part)
        plans.append(
            ConnectionPlan(f"{name}-{len(plans) + 1}", url, frames, expects, expected_acks, keepalive, quiet_s)
        )
    return plans


class FrameSink(Protocol):
    """Where links and pollers deliver. The core's intake implements it: tape, decode, count, apply."""

    def opened(self, venue: str, connection: str) -> None:
        """A connection is open: its decoder starts anew (deltas need a new snapshot)."""
        ...

    def frame(self, venue: str, connection: str, raw: str | bytes, context: str = "") -> Sequence[Decoded]:
        """One frame or HTTP body, received now. Returns what it decoded to."""
        ...

    def rejected(self, venue: str, connection: str, reason: str) -> None:
        """A frame the transport refused (oversized, not text): counted as bad_payload."""
        ...

    def closed(self, venue: str, connection: str, reason: str) -> None:
        """The connection has ended, with a bounded reason code."""
        ...
