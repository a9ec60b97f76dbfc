"""What the probabilities of a fall of open interest and the events came to: per symbol, and pooled by weeks.

Everything is a sum over outcomes, so a week can be left out again: that is what the intervals rest on.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import exp, inf, log
from operator import add, sub
from typing import Any, TypeAlias

from service.deleveraging import BINS, FALLS
from service.model import EventRecord
from service.scoreboard.falls import DAY_MS, EVENTS, Fall
from service.scoreboard.measures import jackknife
from service.state import Plain, Stateful
from service.statistics import fold

_About: TypeAlias = tuple[str | None, str]  # the event, None for the probabilities, and the fall

HOUR_MS = 3_600_000
MOST_WEEKS = 520  # ten years
LEAST_WEEKS = 8  # in which it happened; fewer have no interval
SHRINKAGE = 100  # outcomes that the model's base rate counts for beside a symbol's own
BETTER, NO_BETTER = "better_than_volatility", "no_better_than_volatility"
P_BINS = 40  # of ln(p / (1 - p)), a quarter wide, from -8 to 2

_UNKNOWN = BINS  # the bin of events whose volatility was not known
# Where each sum stands in a week's array.
_N = 0  # probabilities with an outcome
_LOST = 1
_ERRORS = 2  # by fall: happened; squared errors of the probability, of the base rate and of the volatility alone
_P = _ERRORS + 4 * len(FALLS)  # by fall and bin of p: probabilities, happened, sum of p
_VOLATILITY = _P + 3 * P_BINS * len(FALLS)  # by bin of volatility: probabilities, and of each fall those that happened
_EVENT = _VOLATILITY + 3 * BINS  # the same by event and bin, the last bin for an unknown volatility
_EVENT_LOST = _EVENT + 3 * (BINS + 1) * len(EVENTS)
_SIZE = _EVENT_LOST + len(EVENTS)


class FallTotals(Stateful):
    """One symbol, since its record began. ``n``, ``lost``: probabilities. ``own_*``: those that do not overlap."""

    STATE = ("_errors", "_events", "_own_ts", "lost", "n", "own_hits", "own_n")
    __slots__ = STATE

    def __init__(self) -> None:
        self.n = 0
        self.lost = 0
        self._errors = array("d", bytes(8 * 4 * len(FALLS)))  # as in a week
        self._events = array("Q", bytes(8 * 4 * len(EVENTS)))  # by event: n, of each fall those that happened, lost
        self.own_n = 0
        self.own_hits = [0] * len(FALLS)
        self._own_ts: int | None = None

    def load(self, plain: Plain) -> None:
        super().load(plain)
        counts = (self.n, self.lost, self.own_n, *self.own_hits)
        if not (
            all(type(count) is int and count >= 0 for count in counts)
            and type(self._own_ts) in (int, type(None))
            and (len(self._errors), len(self._events)) == (4 * len(FALLS), 4 * len(EVENTS))
            and len(self.own_hits) == len(FALLS)
            and _are_sums(self._errors)
        ):
            raise ValueError("FallTotals: no sums of outcomes")

    def enter(self, fall: Fall) -> None:
        known = fall.fell is not None
        if fall.event is not None:
            _count_hits(self._events, 4 * EVENTS.index(fall.event), fall)
            self._events[4 * EVENTS.index(fall.event) + 3] += not known
            return
        self.n += known
        self.lost += not known
        if not known:
            return
        _count_errors(self._errors, 0, fall)
        if self._own_ts is None or not self._own_ts <= fall.ts < self._own_ts + DAY_MS:
            self._own_ts = fall.ts  # the next that counts begins when this one has ended
            self.own_n += 1
            self.own_hits = [self.own_hits[0] + bool(fall.hit_5), self.own_hits[1] + bool(fall.hit_10)]

    def errors(self, number: int) -> Sequence[float]:
        """Of a fall: happened; squared errors of the probability, of the base rate and of the volatility alone."""
        return self._errors[4 * number : 4 * number + 4]

    def base_rates(self, pooled: Sequence[float]) -> tuple[float, float]:
        """The model's base rates, drawn towards the symbol's own as it has outcomes."""
        five, ten = (
            (SHRINKAGE * rate + hits) / (SHRINKAGE + self.own_n)
            for rate, hits in zip(pooled, self.own_hits, strict=True)
        )
        return five, ten

    def entry(self) -> dict[str, Any]:
        """The numbers without intervals: those need all symbols together."""
        falls = {}
        for number, name in enumerate(FALLS):
            found = _scores(self.n, self.errors(number))
            own = self.own_hits[number] / self.own_n if self.own_n > 0 else None
            falls[name] = {"n": self.n, **found, "own_share": own}
        return {"lost": self.lost, "own_n": self.own_n, "falls": falls}

    def events(self) -> dict[str, Any]:
        found = {}
        for number, name in enumerate(EVENTS):
            n, hit_5, hit_10, lost = self._events[4 * number : 4 * number + 4]
            found[name] = {"n": n, "hit_5": hit_5, "hit_10": hit_10, "lost": lost}
        return found


class FallRecord(Stateful):
    """All symbols together, by calendar week (UTC, from Monday) of the time of publication.

    ``summary``: what it came to when it was last renewed, at most once an hour of ticks: it costs milliseconds.
    """

    STATE = ("_changed", "_hour", "_weeks", "summary")
    __slots__ = (*STATE, "events")

    def __init__(self) -> None:
        self._weeks: dict[str, array[float]] = {}
        self._hour = 0
        self._changed = False
        self.summary: dict[str, Any] = {"as_of": None, **summed_up([])}
        self.events = _event_records(self.summary)  # what the alerts say of earlier ones

    def load(self, plain: Plain) -> None:
        super().load(plain)
        weeks = self._weeks.items()
        if not (
            (type(plain["_hour"]), type(plain["_changed"])) == (int, bool)
            and all(str(int(week)) == week and len(sums) == _SIZE and _are_sums(sums) for week, sums in weeks)
            and _alike(self.summary, {"as_of": None, **summed_up([])})
        ):
            raise ValueError("FallRecord: no sums of weeks")
        self.events = _event_records(self.summary)

    def enter(self, fall: Fall) -> None:
        week = str((fall.ts // DAY_MS + 3) // 7)  # the epoch began on a Thursday
        sums = self._weeks.get(week)
        if sums is None:
            sums = self._weeks[week] = array("d", bytes(8 * _SIZE))
            if len(self._weeks) > MOST_WEEKS:
                del self._weeks[min(self._weeks, key=int)]
        self._changed = True
        if fall.event is not None:
            number = EVENTS.index(fall.event)
            place = _UNKNOWN if fall.volatility_bin is None else fall.volatility_bin
            _count_hits(sums, _EVENT + 3 * ((BINS + 1) * number + place), fall)
            sums[_EVENT_LOST + number] += fall.fell is None
            return
        sums[_N] += fall.fell is not None
        sums[_LOST] += fall.fell is None
        if fall.fell is None:
            return
        _count_errors(sums, _ERRORS, fall)
        if fall.volatility_bin is not None:
            _count_hits(sums, _VOLATILITY + 3 * fall.volatility_bin, fall)
        for number, (p, hit) in enumerate(((fall.oi_5, fall.hit_5), (fall.oi_10, fall.hit_10))):
            assert p is not None  # a probability has both
            at = _P + 3 * (P_BINS * number + _p_bin(p))
            sums[at] += 1.0
            sums[at + 1] += bool(hit)
            sums[at + 2] += p

    def renew(self, ts: int, symbols: Iterable[FallTotals] = (), now: bool = False) -> None:
        """At tick ``ts``: sum it up, in a new hour or ``now``, if there is anything new. ``symbols``: their own."""
        if self._changed and (now or ts // HOUR_MS != self._hour):
            self._hour, self._changed = ts // HOUR_MS, False
            self.summary = {"as_of": ts, **summed_up(self._sorted())}
            totals = list(symbols)
            for number, fall in enumerate(FALLS):
                said = self.summary["deleveraging"]["falls"][fall]
                if said["evidence"] == BETTER and _rests_on_one(totals, number):
                    said["evidence"] = NO_BETTER
            self.events = _event_records(self.summary)

    @property
    def evidence(self) -> tuple[str, str]:
        """What may be said of the probabilities of 5 % and of 10 %, by the intervals of their skills."""
        five, ten = (self.summary["deleveraging"]["falls"][fall]["evidence"] for fall in FALLS)
        return five, ten

    def reliability(self) -> dict[str, list[dict[str, Any]]]:
        """By fall: what was said and what came, in groups of neighbouring bins with about a tenth of all each."""
        total = _total(self._sorted())
        return {name: _reliability(total, number) for number, name in enumerate(FALLS)}

    def _sorted(self) -> list[array[float]]:
        return [self._weeks[week] for week in sorted(self._weeks, key=int)]


def _are_sums(values: Sequence[float]) -> bool:
    return all(0.0 <= value < inf for value in values)


def _alike(found: Any, model: Any) -> bool:
    """Whether both have the same keys, and text where the other has text."""
    if not isinstance(model, dict):
        return type(found) is str if isinstance(model, str) else type(found) in (int, float, type(None))
    return (
        isinstance(found, dict)
        and found.keys() == model.keys()
        and all(_alike(found[key], value) for key, value in model.items())
    )


def _event_records(summary: Mapping[str, Any]) -> dict[str, EventRecord]:
    """Of falls of 5 %, by event."""
    found = {}
    for name, said in summary["events"].items():
        five = said["falls"]["oi_5"]
        numbers = (five[key] for key in ("share", "matched", "lift", "lift_low", "lift_high"))
        found[name] = EventRecord(said["n"], *numbers)
    return found


def summed_up(weeks: Sequence[Sequence[float]]) -> dict[str, Any]:
    """``deleveraging`` and ``events`` of the weeks' sums, with 95 % intervals (docs/scoreboard.md)."""
    total = _total(weeks)
    found = _statistics(total)
    without = [_statistics(list(map(sub, total, week))) for week in weeks]
    told: dict[_About, dict[str, float | None]] = {about: {} for about, _ in found}
    behind = {about: sum(_behind(about, week) > 0 for week in weeks) for about in told}  # integers
    for (about, name), value in found.items():
        low, high = None, None
        if behind[about] >= LEAST_WEEKS:
            there, back = _SCALES[name]
            parts = [_scaled(there, part[about, name]) for part in without]
            low, high = jackknife(_scaled(there, value), parts, behind[about] - 1)
            low, high = _scaled(back, low), _scaled(back, high)
        told[about] |= {name: value, f"{name}_low": low, f"{name}_high": high}
    probabilities: dict[str, Any] = {
        "weeks": sum(week[_N] > 0 for week in weeks),  # integers
        "lost": int(total[_LOST]),
        "falls": {},
    }
    for number, fall in enumerate(FALLS):
        happened = total[_ERRORS + 4 * number]
        share = happened / total[_N] if total[_N] > 0 else None
        probabilities["falls"][fall] = {
            "n": int(total[_N]),
            "evidence": evidence_of(told[None, fall]),
            "happened": share,
            **told[None, fall],
        }
    events = {}
    for number, event in enumerate(EVENTS):
        n = sum(total[_events_at(number, place)] for place in range(BINS + 1))  # integers
        events[event] = {
            "n": int(n),
            "lost": int(total[_EVENT_LOST + number]),
            "falls": {fall: told[event, fall] for fall in FALLS},
        }
    return {"deleveraging": probabilities, "events": events}


def _scaled(scale: Callable[[float], float], value: float | None) -> float | None:
    """None, too, where the scale does not reach: at a share of 0 or 1."""
    try:
        return None if value is None else scale(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None


def _log_odds(share: float) -> float:
    return log(share / (1.0 - share))


def _odds_share(x: float) -> float:
    return 1.0 / (1.0 + exp(-x))


def _log_ratio(skill: float) -> float:
    return -log(1.0 - skill)


def _ratio_skill(x: float) -> float:
    return 1.0 - exp(-x)


_ODDS, _RATIO = (_log_odds, _odds_share), (_log_ratio, _ratio_skill)
# Statistic -> the rising scale on which its interval is taken, and back: errors are about even on both sides there, and
# it ends where the statistic does.
_SCALES: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "brier": _ODDS, "skill_base_rate": _RATIO, "skill_volatility": _RATIO, "auc": _ODDS, "share": _ODDS,
    "matched": _ODDS, "lift": (log, exp),
}  # fmt: skip


def evidence_of(said: Mapping[str, float | None]) -> str:
    """The word that the intervals of the two skills of a fall allow (docs/scoreboard.md)."""
    base_low, base_high = said["skill_base_rate_low"], said["skill_base_rate_high"]
    low = said["skill_volatility_low"]
    if base_low is None or base_high is None or low is None:
        return "none_yet"
    if base_high < 0.0:
        return "worse_than_base_rate"
    if low <= 0.0:
        return NO_BETTER
    # To beat volatility alone is no praise where that is worse than always saying the base rate.
    return BETTER if base_low > 0.0 else "no_better_than_base_rate"


def _rests_on_one(totals: Sequence[FallTotals], number: int) -> bool:
    """Whether leverage adds nothing over volatility once a certain symbol is left out: that of a broken feed, say."""
    own, alone = ([one.errors(number)[place] for one in totals] for place in (1, 3))
    all_own, all_alone = fold(own), fold(alone)
    return len(totals) > 1 and any(all_own - a >= all_alone - b > 0.0 for a, b in zip(own, alone, strict=True))


def _total(weeks: Sequence[Sequence[float]]) -> list[float]:
    total = [0.0] * _SIZE
    for week in weeks:  # by time, from left to right
        total = list(map(add, total, week))
    return total


def _statistics(sums: Sequence[float]) -> dict[tuple[_About, str], float | None]:
    """All that has an interval; None where there is nothing to divide by."""
    found: dict[tuple[_About, str], float | None] = {}
    for number, fall in enumerate(FALLS):
        scores = _scores(sums[_N], sums[_ERRORS + 4 * number : _ERRORS + 4 * number + 4])
        for name in ("brier", "skill_base_rate", "skill_volatility"):
            found[(None, fall), name] = scores[name]
        found[(None, fall), "auc"] = _area(sums, number)
        shares = []  # of the probabilities, by bin of volatility
        for place in range(BINS):
            at = _VOLATILITY + 3 * place
            shares.append(sums[at + 1 + number] / sums[at] if sums[at] > 0 else None)
        for which, event in enumerate(EVENTS):
            for name, value in _event_statistics(sums, which, number, shares).items():
                found[(event, fall), name] = value
    return found


def _event_statistics(
    sums: Sequence[float], which: int, number: int, shares: Sequence[float | None]
) -> dict[str, float | None]:
    """The share that was followed by the fall; that of hours with the same volatility; the one over the other.

    The lift compares like with like: only events whose volatility was known, in bins that have probabilities.
    """
    n = hits = matched_n = matched_hits = expected = 0.0
    for place in range(BINS + 1):
        at = _events_at(which, place)
        n += sums[at]
        hits += sums[at + 1 + number]
        share = shares[place] if place < BINS else None
        if share is not None:
            matched_n += sums[at]
            matched_hits += sums[at + 1 + number]
            expected += sums[at] * share
    return {
        "share": hits / n if n > 0 else None,
        "matched": expected / matched_n if matched_n > 0 else None,
        "lift": matched_hits / expected if expected > 0 else None,
    }


def _events_at(which: int, place: int) -> int:
    return _EVENT + 3 * ((BINS + 1) * which + place)


def _behind(about: _About, week: Sequence[float]) -> float:
    """Outcomes in a week of an event; of probabilities those after which the fall came, 0 where it came after all: only
    weeks with both tell a good probability from one that is small."""
    event, fall = about
    if event is None:
        came = week[_ERRORS + 4 * FALLS.index(fall)]
        return came if came < week[_N] else 0.0
    which = EVENTS.index(event)
    return sum(week[_events_at(which, place)] for place in range(BINS + 1))  # integers


def _scores(n: float, sums: Sequence[float]) -> dict[str, float | None]:
    """The share that happened, the Brier score and its skills: how much smaller it is than that of the other."""
    happened, own, base, alone = sums
    return {
        "happened": happened / n if n > 0 else None,
        "brier": own / n if n > 0 else None,
        "skill_base_rate": 1.0 - own / base if base > 0 else None,
        "skill_volatility": 1.0 - own / alone if alone > 0 else None,
    }


def _count_errors(sums: array[float], at: int, fall: Fall) -> None:
    for hit, *said in (
        (fall.hit_5, fall.oi_5, fall.base_rate, fall.alone_5),
        (fall.hit_10, fall.oi_10, fall.base_rate_10, fall.alone_10),
    ):
        sums[at] += bool(hit)
        for number, p in enumerate(said, at + 1):
            assert p is not None  # a probability has all three
            sums[number] += (p - bool(hit)) ** 2
        at += 1 + len(said)


def _count_hits(sums: array[Any], at: int, fall: Fall) -> None:
    if fall.fell is not None:
        sums[at] += 1
        sums[at + 1] += bool(fall.hit_5)
        sums[at + 2] += bool(fall.hit_10)


def _p_bin(p: float) -> int:
    if not 0.0 < p < 1.0:
        return 0 if p <= 0.0 else P_BINS - 1
    return min(P_BINS - 1, max(0, int(4.0 * (log(p / (1.0 - p)) + 8.0))))


def _edge(number: int) -> float:
    if not 0 < number < P_BINS:
        return 0.0 if number <= 0 else 1.0
    return 1.0 / (1.0 + exp(8.0 - number / 4.0))


def _area(sums: Sequence[float], number: int) -> float | None:
    """Area under the curve: how often the larger of two probabilities was the one that happened; a tie counts half."""
    area = below = 0.0
    happened = 0.0
    for place in range(P_BINS):
        at = _P + 3 * (P_BINS * number + place)
        came, not_came = sums[at + 1], sums[at] - sums[at + 1]
        area += came * (below + 0.5 * not_came)
        below += not_came
        happened += came
    return area / (happened * below) if happened > 0 and below > 0 else None


def _reliability(total: Sequence[float], number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    n = happened = said = low = 0.0
    for place in range(P_BINS):
        at = _P + 3 * (P_BINS * number + place)
        if n == 0:
            low = _edge(place)
        n, happened, said = n + total[at], happened + total[at + 1], said + total[at + 2]
        if n > 0 and (10 * n >= total[_N] or place == P_BINS - 1):
            found.append({"low": low, "high": _edge(place + 1), "n": int(n), "p": said / n, "happened": happened / n})
            n = happened = said = 0.0
    return found
