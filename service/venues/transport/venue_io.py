"""What all links of one venue and its poller share."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol

from service.clock import Clock
from service.venues.contract import FrameSink, Venue
from service.venues.transport.budget import VenueBudget
from service.venues.transport.health import VenueHealth


class Network(Protocol):
    """How to behave towards a venue. The table ``[network]`` of the configuration is one."""

    @property
    def proxy(self) -> str | None: ...
    @property
    def open_timeout_s(self) -> float: ...
    @property
    def backoff_cap_s(self) -> float: ...
    @property
    def healthy_s(self) -> float: ...
    @property
    def listing_refresh_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class VenueIo:
    """Where a venue's data go, and what keeps its requests within bounds."""

    venue: Venue
    sink: FrameSink
    clock: Clock
    rng: random.Random
    budget: VenueBudget  # of the exchange: other venues may share it
    network: Network
    health: VenueHealth
    apart: VenueBudget | None = None  # of sockets whose trouble must not cost the others; None: each has its own
