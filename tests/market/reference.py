"""A second, slow market for histories in which every observation is plausible: plain loops over what was last said.

Shares no code with the service beyond the messages. It keeps every observation, and at a sample starts from nothing
but the last of each key, so that it has no running state but the previous sample's contracts.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from service.model import Confirm, Event, Funding, Mark, OpenInterest, VenueRules

DAY_MS = 86_400_000


class Reference:
    """One symbol."""

    def __init__(self, symbol: str, rules: Sequence[VenueRules], min_venues: int) -> None:
        self.symbol = symbol
        self.rules = rules
        self.min_venues = min_venues
        self.last: dict[tuple[str, str, str], Any] = {}  # (venue, instrument, stream) -> event
        self.confirmed: dict[tuple[str, str, str], int] = {}
        self.joined: dict[tuple[str, str], bool] = {}
        self.running: dict[tuple[str, str], bool] = {}
        self.before: dict[tuple[str, str], tuple[float, float]] = {}
        self.ln_oi_index = 0.0
        self.receipts = 0

    def apply(self, event: Event) -> None:
        if event.symbol != self.symbol:
            return
        where = (event.venue, event.instrument)
        if isinstance(event, Mark):
            if event.mark is not None:
                self._hold((*where, "mark"), event)
            older = self.last.get((*where, "index"))
            if event.index is not None and (older is None or event.venue_ts >= older.venue_ts):
                self._hold((*where, "index"), event)
                self.joined[where] = event.mark is not None
        elif isinstance(event, OpenInterest):
            self._hold((*where, "oi"), event)
            self.receipts += 1
        elif isinstance(event, Funding):
            if event.settled and self.running.get(where, False):
                return
            self.running[where] = not event.settled
            self._hold((*where, "funding"), event)
        elif isinstance(event, Confirm):
            for stream in event.streams:
                if (*where, stream) in self.last:
                    self.confirmed[(*where, stream)] = event.recv_ts
                    if stream == "mark" and self.joined.get(where, False):
                        self.confirmed[(*where, "index")] = event.recv_ts

    def _hold(self, key: tuple[str, str, str], event: Any) -> None:
        self.last[key] = event
        self.confirmed[key] = event.recv_ts

    def _age(self, key: tuple[str, str, str], ts: int) -> float:
        return ts - self.confirmed[key] if key in self.confirmed else math.inf

    def sample(self, ts: int) -> dict[str, Any]:
        inside: list[dict[str, Any]] = []
        absent: list[str] = []
        last_total = 0.0
        lasts: dict[str, float] = {}
        listing = 0
        counted: dict[tuple[str, str], tuple[float, float]] = {}
        for rule in self.rules:
            names = sorted({key[1] for key in self.last if key[0] == rule.venue})
            seen_coins = 0.0
            seen = False
            best: dict[str, Any] | None = None
            coins = 0.0
            oldest = math.inf
            sent = False
            for name in names:
                at = (rule.venue, name)
                oi = self.last.get((*at, "oi"))
                if oi is None:
                    continue
                sent = True
                if self._age((*at, "oi"), ts) <= DAY_MS:
                    seen = True
                    seen_coins += oi.coins
                mark_age, oi_age = self._age((*at, "mark"), ts), self._age((*at, "oi"), ts)
                if mark_age > rule.mark.max_age_ms or oi_age > rule.oi.max_age_ms:
                    continue
                counted[at] = (oi.contracts, oi.contract_coins)
                coins += oi.coins
                oldest = min(oldest, self.confirmed[(*at, "oi")])
                funding = self.last.get((*at, "funding"))
                funded = funding is not None and self._age((*at, "funding"), ts) <= rule.funding.max_age_ms
                indexed = self._age((*at, "index"), ts) <= rule.index_max_age_ms
                row = {
                    "venue": rule.venue,
                    "top": oi.coins,
                    "mark": self.last[(*at, "mark")].mark,
                    "mark_at": self.confirmed[(*at, "mark")],
                    "index": self.last[(*at, "index")].index if indexed else None,
                    "rate": funding.rate_8h if funded else None,
                    "funding_at": self.confirmed.get((*at, "funding")),
                    "worn": (
                        mark_age / rule.mark.max_age_ms,
                        self._age((*at, "funding"), ts) / rule.funding.max_age_ms if funded else 1.0,
                        oi_age / rule.oi.max_age_ms,
                    ),
                }
                if best is None or row["top"] > best["top"]:
                    best = row
            listing += sent
            last_total += seen_coins
            lasts[rule.venue] = seen_coins
            if best is not None:
                inside.append({**best, "coins": coins, "oldest": oldest})
            elif seen:
                absent.append(rule.venue)

        needed = 1 if listing == 1 else self.min_venues
        quorum = len(inside) >= needed
        self._link(counted, needed)
        receipts, self.receipts = self.receipts, 0
        total = 0.0
        for row in inside:
            total += row["coins"]
        out: dict[str, Any] = {
            "quorum": quorum,
            "oi_receipts": receipts,
            "full_set": not absent,
            "excluded": tuple(absent),
            "trouble": tuple(f"stale:{venue}" for venue in absent if lasts[venue] > 0.1 * last_total),
            "venues_total": listing,
            "coverage": total / last_total if last_total > 0.0 else 0.0,
            "ln_oi_index": self.ln_oi_index,
        }
        names = ("price", "index", "funding_8h", "funding_spend", "funding_spread", "oi_coins", "freshness", "as_of")
        out.update(dict.fromkeys(names))
        out["funding_outlier_sign"] = 0
        if quorum:
            out.update(self._values(inside, total))
        return out

    def _link(self, counted: dict[tuple[str, str], tuple[float, float]], needed: int) -> None:
        now = before = 0.0
        venues: list[str] = []
        for at, (contracts, _) in counted.items():
            if at in self.before:
                earlier, each = self.before[at]
                now += contracts * each
                before += earlier * each
                if at[0] not in venues:
                    venues.append(at[0])
        if len(venues) >= needed and now > 0.0 and before > 0.0:
            self.ln_oi_index += math.log(now / before)
        self.before = counted

    @staticmethod
    def _values(inside: list[dict[str, Any]], total: float) -> dict[str, Any]:
        indices = [row["index"] for row in inside if row["index"] is not None]
        funded = [row for row in inside if row["rate"] is not None]
        times = [row["mark_at"] for row in inside] + [row["oldest"] for row in inside]
        times += [row["funding_at"] for row in funded]
        wear = [sum(row["coins"] * row["worn"][stream] for row in inside) / total for stream in range(3)]
        out: dict[str, Any] = {
            "price": statistics.median([row["mark"] for row in inside]),
            "index": statistics.median(indices) if indices else None,
            "oi_coins": total,
            "freshness": min(math.exp(-mean) for mean in wear),
            "as_of": min(times),
        }
        if not funded:
            return out
        rates = [row["rate"] for row in funded]
        middle = statistics.median(rates)
        reach = math.inf
        if len(rates) >= 3:
            reach = 5.0 * max(statistics.median([abs(rate - middle) for rate in rates]), 1e-5)
        weight = sum(row["coins"] for row in funded)
        clipped = [max(middle - reach, min(middle + reach, rate)) for rate in rates]
        if len(rates) >= 3:
            second_lowest, second_highest = sorted(clipped)[1], sorted(clipped)[-2]
            clipped = [max(second_lowest, min(second_highest, rate)) for rate in clipped]
        out["funding_spend"] = sum(row["coins"] * rate for row, rate in zip(funded, clipped, strict=True))
        out["funding_8h"] = out["funding_spend"] / weight
        if len(rates) >= 2:
            out["funding_spread"] = max(rates) - min(rates)
            distances = [abs(rate - middle) for rate in rates]
            first = next(at for at, far in enumerate(distances) if far >= max(distances) * (1.0 - 1e-9))
            out["funding_outlier_sign"] = (rates[first] > middle) - (rates[first] < middle)
        return out
