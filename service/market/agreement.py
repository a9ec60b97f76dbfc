"""Whether a venue's coming source says what its proven one says, and which of the two counts (docs/venues.md). Pure.

A new socket of a venue may name its fields, and count in units, as nobody has written down yet. Its numbers come as
:class:`~service.model.Candidate`. Once a minute and instrument each field is compared, in every unit that it could be
in, with what the proven source said within the last seconds. Two hours of that are a round. A field and a unit that
agree with the proven source over a round are recorded: an agreement. Linear and inverse contracts are apart, because
they may count in different units.

The candidate counts while the proven source is silent, and for contracts whose mark, open interest and funding all have
a recorded agreement. It never counts beside the proven source: the two are one venue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import log
from typing import Any

from service.market.streams import AHEAD_MS, Track
from service.market.venue_state import Instrument
from service.model import Candidate, Event, Flow, Funding, Mark, OpenInterest
from service.state import Plain, Stateful
from service.statistics import fold

SILENT_MS = 60_000  # the proven source says nothing of any instrument for so long, beside a candidate that speaks
TOGETHER_MS = 5_000  # the proven value was confirmed this shortly before it is compared
EVERY_MS = 60_000  # one comparison a minute: busy instruments must not outweigh others
ROUND_MS = 7_200_000
LEAST_COMPARISONS = 60  # of an instrument in a round, which has 120 minutes
LEAST_INSTRUMENTS = 3  # all where there are fewer
LEAST_AGREEING = 0.9  # of an instrument's comparisons, and of the instruments
CONTRADICTED = 5  # comparisons of a field and unit of which most do not agree: what was recorded of it counts no more
TELLING = log(1.25)  # at a price near 1 an amount of coins and one of dollars look alike: such a contract tells nothing
LEAST_RATE = 1e-7  # per interval: rates near 0 agree in every unit

AGREED = {"field", "unit", "since", "checked", "instruments", "against"}
LINEAR, INVERSE = "linear", "inverse"
NEEDED = ("mark", "oi", "funding")
Reading = Callable[[float, float, Candidate], float]

# What a field may count: quantity of a kind of contract -> unit -> (the value as the proven source counts, from value,
# mark in USD per canonical unit and the row it stands in; the difference up to which the two agree, as a fraction).
# Prices move between two messages; open interest and a rate that is fixed for the hour hardly do. What turns an
# absolute rate into a relative one is the index at its fixing, of which the mark of now is a few percent off at most.
_price: dict[str, tuple[Reading, float]] = {"price": (lambda value, mark, row: value, 0.002)}
UNITS: dict[str, dict[str, tuple[Reading, float]]] = {
    "linear mark": _price,
    "inverse mark": _price,
    "linear index": _price,
    "inverse index": _price,
    "linear oi": {
        "contracts": (lambda value, mark, row: value, 0.01),
        "dollars": (lambda value, mark, row: value / (mark * row.contract_size), 0.01),
    },
    "inverse oi": {
        "contracts": (lambda value, mark, row: value, 0.01),
        "coins": (lambda value, mark, row: value * row.multiplier * mark / row.contract_size, 0.01),
    },
    "linear funding": {
        "relative": (lambda value, mark, row: value, 0.01),
        "absolute": (lambda value, mark, row: value / (mark * row.multiplier), 0.05),
    },
    "inverse funding": {
        "relative": (lambda value, mark, row: value, 0.01),
        "absolute": (lambda value, mark, row: value * mark * row.multiplier / row.contract_size, 0.05),
    },
}
FLOW = "flow"  # taker volume by the minute, of all contracts: each row has one field, whose size is taken for contracts
FLOW_WITHIN = 0.05  # trades at the seam of two minutes may come before it on one socket and after it on the other


class Agreement(Stateful):
    """One venue's proven source and its candidate. Times are receipts, UTC ms.

    ``agreed``: kind of contract and quantity -> the field and unit that agree, since when, when checked last, on how
    many instruments. ``tallies``: of the round under way, by kind, quantity, field and unit, per instrument
    [compared, agreeing]; ``asked``: by kind and quantity, per instrument how often the proven source could be compared.
    """

    STATE = (
        "agreed", "asked", "tallies", "round_ms", "compared_ms", "proven_ms", "proven_at", "since_ms", "spoke_ms",
        "volumes",
    )  # fmt: skip
    __slots__ = (*STATE, "sources")

    def __init__(self, sources: tuple[str, str]) -> None:
        self.sources = sources
        self.agreed: dict[str, dict[str, Any]] = {}
        self.asked: dict[str, dict[str, int]] = {}
        self.tallies: dict[str, dict[str, list[int]]] = {}
        self.round_ms: int | None = None  # when the round under way began
        self.compared_ms: dict[str, int] = {}  # by instrument
        self.proven_ms: dict[str, int] = {}  # by instrument: the last mark of the proven source
        self.proven_at: int | None = None  # the last of any instrument
        self.since_ms: int | None = None  # since when the candidate has spoken without a pause
        self.spoke_ms: int | None = None
        self.volumes: dict[str, list[float]] = {}  # by instrument: the minute, coins of either source in it

    # -- what the two say --------------------------------------------------------------------------------------

    def proven(self, event: Event) -> None:
        """The proven source said something that was not refused. Before the candidate has ever spoken nothing of it is
        kept: there is nothing to compare, and nothing to store."""
        if isinstance(event, Mark | Funding | OpenInterest | Flow):
            self.proven_at = event.recv_ts  # any of its sockets: were one left, what it brings would count twice
        if isinstance(event, Mark) and event.mark is not None:
            if self.stirred:
                self.proven_ms[event.instrument] = event.recv_ts
        elif isinstance(event, Flow) and self.stirred:
            self._volume(event.instrument, event.recv_ts, 1, event.taker_buy_coins + event.taker_sell_coins)

    def take(self, row: Candidate, instrument: Instrument | None) -> list[Event]:
        """Compare a row of the candidate; the observations that it is, where it counts in the proven one's place."""
        at = row.recv_ts
        if self.since_ms is None or self.spoke_ms is None or at - self.spoke_ms > SILENT_MS:
            self.since_ms = at
        self.spoke_ms = at
        traded = fold(value for quantity, _, value in row.fields if quantity in ("buys", "sells"))
        if traded > 0.0:
            self._volume(row.instrument, at, 2, traded)
        elif instrument is not None:
            self._compare(row, instrument)
        self._end_round(at)
        if not self.silent(at) or not self.agrees(_kind(row)) or self._is_against(row):
            return []
        return list(self._observations(row, instrument))

    @property
    def stirred(self) -> bool:
        """Whether the candidate has ever spoken."""
        return self.spoke_ms is not None

    def silent(self, at: int) -> bool:
        """Whether the proven source has been silent for long enough, while the candidate spoke. After a start both get
        the time to speak."""
        if self.since_ms is None:
            return False
        heard = self.since_ms if self.proven_at is None else max(self.since_ms, self.proven_at)
        return at - heard > SILENT_MS

    def agrees(self, kind: str) -> bool:
        """There is an agreement on all that is needed, and the round under way does not contradict it."""
        return all(self._stands(f"{kind} {quantity}") for quantity in NEEDED)

    def _stands(self, key: str) -> bool:
        return key in self.agreed and not self._is_contradicted(key)

    def _is_contradicted(self, key: str) -> bool:
        found = self.agreed[key]
        tallies = self.tallies.get(f"{key} {found['field']} {found['unit']}", {}).values()
        compared, agreeing = sum(tally[0] for tally in tallies), sum(tally[1] for tally in tallies)  # integers
        return compared >= CONTRADICTED and 2 * agreeing < compared

    def _is_against(self, row: Candidate) -> bool:
        """A contract of its own kind: it was compared, and did not agree where the others did."""
        return any(row.instrument in self.agreed[f"{_kind(row)} {quantity}"]["against"] for quantity in NEEDED)

    # -- comparing ---------------------------------------------------------------------------------------------

    def _compare(self, row: Candidate, instrument: Instrument) -> None:
        at, name = row.recv_ts, row.instrument
        if name not in self.proven_ms or at - self.proven_ms[name] > TOGETHER_MS:
            return
        if at - self.compared_ms.get(name, 0) < EVERY_MS or not _timely(row, instrument.mark):
            return
        mark = instrument.mark.mark
        if mark is None or not _recent(instrument.mark, at):
            return
        self.compared_ms[name] = at
        if self.round_ms is None:
            self.round_ms = at
        telling = abs(log(mark * row.multiplier)) > TELLING
        known: dict[str, float | None] = {
            "mark": mark,
            "index": instrument.mark.fresh_index(at),
            "oi": instrument.oi.contracts if telling and _recent(instrument.oi, at) else None,
            "funding": instrument.funding.rate if telling and _recent(instrument.funding, at) else None,
        }
        for quantity, value in known.items():
            if value is None or value == 0.0 or (quantity == "funding" and abs(value) < LEAST_RATE):
                continue
            key = f"{_kind(row)} {quantity}"
            asked = self.asked.setdefault(key, {})
            asked[name] = asked.get(name, 0) + 1
            for said, field, raw in row.fields:
                if said == quantity:
                    for unit, (reading, within) in UNITS[key].items():
                        self._tally(f"{key} {field} {unit}", name, abs(reading(raw, mark, row) / value - 1.0) <= within)

    def _tally(self, key: str, instrument: str, agrees: bool) -> None:
        tally = self.tallies.setdefault(key, {}).setdefault(instrument, [0, 0])
        tally[0] += 1
        tally[1] += agrees

    def _volume(self, instrument: str, at: int, source: int, coins: float) -> None:
        """Taker volume of a source (1 the proven one, 2 the candidate); the minute before is compared when it is over.
        A minute in which one of them said nothing is left out: its socket may have been down."""
        minute = at // EVERY_MS
        held = self.volumes.setdefault(instrument, [minute, 0.0, 0.0])
        if held[0] != minute:
            proven, candidate = held[1], held[2]
            if proven > 0.0 and candidate > 0.0:
                asked = self.asked.setdefault(FLOW, {})
                asked[instrument] = asked.get(instrument, 0) + 1
                self._tally(f"{FLOW} qty contracts", instrument, abs(candidate / proven - 1.0) <= FLOW_WITHIN)
            held[:] = [minute, 0.0, 0.0]
        held[source] += coins

    def _end_round(self, at: int) -> None:
        if self.round_ms is None or at - self.round_ms < ROUND_MS:
            return
        for key in (*UNITS, FLOW):
            self._judge(key, at)
        self.round_ms, self.asked, self.tallies = None, {}, {}

    def _judge(self, key: str, at: int) -> None:
        """Record the first field and unit that agree. Where enough was compared and none does, the agreement is over;
        where too little was, what was recorded stays."""
        needed = min(LEAST_INSTRUMENTS, len(self.asked.get(key, {})))
        judged = False
        for name, tallies in self.tallies.items():
            if not name.startswith(f"{key} "):
                continue
            shares = [agreeing / compared for compared, agreeing in tallies.values() if compared >= LEAST_COMPARISONS]
            if not shares or len(shares) < needed:
                continue
            judged = True
            well = sum([share >= LEAST_AGREEING for share in shares])  # integers
            if well >= max(needed, LEAST_AGREEING * len(shares)):
                field, unit = name.removeprefix(f"{key} ").rsplit(" ", 1)
                before = self.agreed.get(key)
                same = before is not None and (before["field"], before["unit"]) == (field, unit)
                since = before["since"] if before is not None and same else at
                against = [
                    instrument
                    for instrument, (compared, agreeing) in tallies.items()
                    if compared >= CONTRADICTED and agreeing < LEAST_AGREEING * compared
                ]
                self.agreed[key] = {
                    "field": field, "unit": unit, "since": since, "checked": at, "instruments": len(shares),
                    "against": against,
                }  # fmt: skip
                return
        if judged or (key in self.agreed and self._is_contradicted(key)):
            self.agreed.pop(key, None)

    # -- in the proven one's place -----------------------------------------------------------------------------

    def _observations(self, row: Candidate, instrument: Instrument | None) -> Iterator[Event]:
        whose, times = (row.venue, row.instrument, row.symbol), (row.venue_ts, row.recv_ts)
        mark = self._said(row, "mark", 1.0)
        if mark is not None:
            yield Mark(*whose, mark, self._said(row, "index", 1.0), *times)
        elif instrument is not None and instrument.mark.is_live(row.recv_ts):
            mark = instrument.mark.mark
        if mark is not None:
            rate = self._said(row, "funding", mark)
            if rate is not None:
                yield Funding(*whose, rate, row.interval_h, rate * 8.0 / row.interval_h, row.next_ts, False, *times)
            contracts = self._said(row, "oi", mark)
            if contracts is not None:
                each = row.contract_size / mark if row.inverse else row.contract_size
                derived = row.inverse or self.agreed[f"{_kind(row)} oi"]["unit"] != "contracts"
                yield OpenInterest(*whose, contracts, each, contracts * each, derived, *times)
        if FLOW in self.agreed:
            traded = {quantity: value for quantity, _, value in row.fields if quantity in ("buys", "sells")}
            if traded:
                yield Flow(*whose, traded.get("buys", 0.0), traded.get("sells", 0.0), *times)

    def _said(self, row: Candidate, quantity: str, mark: float) -> float | None:
        """What the row says in the field and unit that agree."""
        key = f"{_kind(row)} {quantity}"
        agreed = self.agreed.get(key)
        if agreed is None:
            return None
        for said, field, value in row.fields:
            if (said, field) == (quantity, agreed["field"]):
                return UNITS[key][agreed["unit"]][0](value, mark, row)
        return None

    # -- what people see ---------------------------------------------------------------------------------------

    def counting(self, at: int) -> str:
        """The name of the source that counts; ``none``: neither."""
        proven, candidate = self.sources
        if self.proven_at is not None and at - self.proven_at <= SILENT_MS:
            return proven
        speaks = self.spoke_ms is not None and at - self.spoke_ms <= SILENT_MS
        return candidate if speaks and self.silent(at) and (self.agrees(LINEAR) or self.agrees(INVERSE)) else "none"

    def described(self, at: int) -> dict[str, Any]:
        """As ``/v1/venues`` shows it."""
        return {
            "counts": self.counting(at),
            "reason": self.reason(at),
            "agreed": {key: dict(found) for key, found in self.agreed.items()},
            "round_began": self.round_ms,
        }

    def reason(self, at: int) -> str | None:
        """Why the candidate could not count now, if the proven source were silent; None: it could."""
        candidate = self.sources[1]
        if self.spoke_ms is None or at - self.spoke_ms > SILENT_MS:
            return f"{candidate} is silent"
        missing = [
            f"{kind} {quantity} {self._compared(f'{kind} {quantity}')}"
            for kind in (LINEAR, INVERSE)
            for quantity in NEEDED
            if not self._stands(f"{kind} {quantity}")
            and (kind == LINEAR or any(key.startswith(INVERSE) for key in (*self.asked, *self.agreed)))
        ]
        return f"not agreed over two hours: {', '.join(missing)}" if missing else None

    def _compared(self, key: str) -> str:
        """On how many instruments a field agrees so far, of how many that could be compared in this round."""
        if key in self.agreed:
            return "contradicts now what was recorded"
        best = 0
        for name, tallies in self.tallies.items():
            if name.startswith(f"{key} "):
                well = [agreeing >= LEAST_AGREEING * compared for compared, agreeing in tallies.values()]
                best = max(best, sum(well))  # integers
        return f"agrees on {best} of {len(self.asked.get(key, {}))}"

    # -- clock and state ---------------------------------------------------------------------------------------

    def load(self, plain: Plain) -> None:
        """An agreement on a unit that is not known here, or one that is not whole, is none."""
        super().load(plain)
        for key, found in list(self.agreed.items()):
            known = key == FLOW or found.get("unit") in UNITS.get(key, {})
            if not known or found.keys() != AGREED:
                del self.agreed[key]

    def salvage(self, plain: Plain) -> None:
        """The agreements of a dump, and nothing of the round under way."""
        whole = Agreement(self.sources)
        whole.load(plain)
        self.agreed = whole.agreed

    def reanchor(self, delta_ms: int) -> None:
        for name in ("round_ms", "proven_at", "since_ms", "spoke_ms"):
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, value + delta_ms)
        for times in (self.compared_ms, self.proven_ms):
            for instrument in times:
                times[instrument] += delta_ms
        for found in self.agreed.values():
            found["since"] += delta_ms
            found["checked"] += delta_ms
        self.volumes.clear()  # the minute under way is of neither clock


def _kind(row: Candidate) -> str:
    return INVERSE if row.inverse else LINEAR


def _timely(row: Candidate, track: Track) -> bool:
    """Whether the row's own time would let it count: what would be refused must not earn an agreement."""
    if row.venue_ts is None:
        return False  # it may be minutes late, and would count as of now
    return -AHEAD_MS <= row.recv_ts - row.venue_ts <= track.max_age_ms or not track.sends


def _recent(track: Track, at: int) -> bool:
    """Whether the held value is believed and was confirmed just now."""
    return track.is_live(at) and track.confirmed_at is not None and at - track.confirmed_at <= TOGETHER_MS
