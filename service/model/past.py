"""A month before the first sample, hour by hour, made of the venues' published history (docs/signal.md section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any, NamedTuple

HOUR_MS = 3_600_000
LARGEST = 1e12  # of a price, and of a rate in any unit
LARGEST_LN = 100.0  # of an index: e^100 coins are none


class PastHour(NamedTuple):
    """A symbol on a full UTC hour ``ts`` (ms), as a sample of that time. ``ln_oi``: ln of a chain-linked index of its
    own, of any origin. ``funding_8h``, ``spread`` (of the venues' rates, per 8 h): None where not known."""

    ts: int
    price: float
    ln_oi: float
    funding_8h: float | None
    spread: float | None


@dataclass(frozen=True, slots=True)
class Past:
    """``hours`` rise by ``ts``. ``venues``: whose open interest is in it, in configuration order."""

    symbol: str
    hours: tuple[PastHour, ...]
    venues: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """As it stands on a tape: hours as arrays."""
        return {"symbol": self.symbol, "venues": list(self.venues), "hours": [list(hour) for hour in self.hours]}


def past_from(plain: Mapping[str, Any]) -> Past:
    """Back from :meth:`Past.plain`. Raises ValueError, KeyError or TypeError for what is none."""
    hours = tuple(PastHour(*hour) for hour in plain["hours"])
    venues = tuple(plain["venues"])
    if type(plain["symbol"]) is not str or not all(type(venue) is str for venue in venues):
        raise ValueError("a name that is no text")
    if not hours or not all(_is_hour(hour) for hour in hours):
        raise ValueError("an hour that is none")
    if any(after.ts <= before.ts for before, after in pairwise(hours)):
        raise ValueError("hours that do not rise")
    return Past(plain["symbol"], hours, venues)


def _is_hour(hour: PastHour) -> bool:
    said = [number for number in (hour.funding_8h, hour.spread) if number is not None]
    return (
        type(hour.ts) is int
        and hour.ts > 0
        and hour.ts % HOUR_MS == 0
        and all(type(number) in (int, float) and isfinite(number) for number in (hour.price, hour.ln_oi, *said))
        and 0 < hour.price <= LARGEST
        and abs(hour.ln_oi) <= LARGEST_LN
        and all(abs(number) <= LARGEST for number in said)
    )
