"""Alerts of one symbol: raised, cleared, inhibited (docs/signal.md section 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from service.advice import with_advice
from service.config import AlertSection
from service.model import EventRecord, LevelReading, Readings
from service.scoring.body import Status
from service.scoring.regime import provisional
from service.state import Plain, Stateful

SPIKE_RAISE_Z, SPIKE_RAISE_PERCENTILE = 3.0, 0.95
SPIKE_CLEAR_Z, SPIKE_CLEAR_PERCENTILE = 2.0, 0.90
SPIKE_EVERY_MS = 6 * 3_600_000
SPIKE_LEAST_H = 72  # hours behind the percentile: one of 26 h calls three times as many hours a spike
DIVERGENCE_RAISE_Z, DIVERGENCE_CLEAR_Z = 3.0, 2.0
CONFLICT_AFTER_MS = 300_000
NO_DATA_AFTER_MS = 30_000
# Of the largest size that the score had since its direction began: below the first it fades, from the second on it does
# not any more. Three ticks in a row that fall, which is all that `decelerating` means, come many times an hour.
FADING_RAISE, FADING_CLEAR = 0.75, 0.90
DAY_MS = 86_400_000
TICKS_A_DAY = 8_640
COUNTED_DAYS = 8  # the running one, too
CLEAR_LIFT = 1.5  # of what followed over what follows at the same volatility: worth saying without reserve

OWN_RULE = "by thresholds of your own, which nobody has judged"
FLUSH_TEXTS = {
    True: "open interest is collapsing: it was still falling when this was raised",
    False: "open interest has collapsed: it was not falling any more when this was raised",
    None: "open interest has collapsed: whether it was still falling when this was raised is not known",
}
EVENTS = ("transition",)  # of one tick: nothing that stands, and nothing that is cleared
SEVERITIES = {
    "no_data": "critical",
    "elr_spike": "warning",
    "reset": "info",
    "fading": "info",
    "flush": "warning",  # a few a day over twenty symbols, more than half done when it shows
    "crowding": "warning",
    "conflict": "info",
    "transition": "info",
    "venue_divergence": "warning",
    "market_loaded": "info",
    "market_flush": "warning",
}


@dataclass(frozen=True, slots=True)
class Situation:
    """What the alerts look at, as scored at this tick."""

    readings: Readings
    status: Status
    flushing: bool
    forced: bool | None
    regime: str | None
    conflict_windows: tuple[str, ...]
    conflict_since: int | None
    transition: dict[str, str] | None
    score: float | None
    confidence: float
    events: Mapping[str, EventRecord] = field(default_factory=dict)  # what followed earlier ones
    flush_falling: bool | None = None  # of a flush: whether open interest still falls
    direction: str | None = None
    momentum: str = "steady"


Days: TypeAlias = list[tuple[int, int, dict[str, int]]]  # [UTC day, live ticks in it, {alert: times raised}]


def count_tick(days: Days, ts: int) -> Days:
    """One more live tick, for the day of ``ts``; the oldest of more than eight days is dropped."""
    day = ts // DAY_MS
    if not days or days[-1][0] < day:
        days = [*[entry for entry in days if entry[0] > day - COUNTED_DAYS], (day, 0, {})]
    day, ticks, counts = days[-1]
    return [*days[:-1], (day, ticks + 1, counts)]


def per_day(days: Days, alert: str) -> float | None:
    """How often it was raised a day, over up to eight UTC days of live ticks; None below a day of them."""
    ticks = sum([watched for _, watched, _ in days])  # integers
    if ticks < TICKS_A_DAY:
        return None
    raised = sum([counts.get(alert, 0) for _, _, counts in days])  # integers
    return raised * TICKS_A_DAY / ticks


class Rule(NamedTuple):
    """How an alert is raised and cleared. ``mute``: not told. ``hold_ms``: raised once it has held so long. The others
    as far as the alert has them."""

    mute: bool = False
    hold_ms: int = 0
    z: float = 0.0
    clear_z: float = 0.0
    percentile: float = 0.0
    clear_percentile: float = 0.0
    share: float = 0.0
    clear_share: float = 0.0
    after_ms: int = 0

    def judged(self, default: Rule) -> bool:
        """Whether it is raised as by ``default``, whose record the scoreboard keeps."""
        return self._replace(mute=default.mute) == default


DEFAULT_RULES = {
    "elr_spike": Rule(
        z=SPIKE_RAISE_Z,
        clear_z=SPIKE_CLEAR_Z,
        percentile=SPIKE_RAISE_PERCENTILE,
        clear_percentile=SPIKE_CLEAR_PERCENTILE,
    ),
    "flush": Rule(),
    "reset": Rule(),
    "crowding": Rule(),
    "conflict": Rule(after_ms=CONFLICT_AFTER_MS),
    "transition": Rule(),
    "fading": Rule(share=FADING_RAISE, clear_share=FADING_CLEAR),
    "venue_divergence": Rule(z=DIVERGENCE_RAISE_Z, clear_z=DIVERGENCE_CLEAR_Z),
    "no_data": Rule(after_ms=NO_DATA_AFTER_MS),
    "market_loaded": Rule(percentile=SPIKE_RAISE_PERCENTILE, clear_percentile=SPIKE_CLEAR_PERCENTILE),
    "market_flush": Rule(),
}


def rules_for(symbol: str, sections: Sequence[AlertSection]) -> dict[str, Rule]:
    """The rules of a symbol (or of ``MARKET``): the defaults, and what the configuration changes, the later ones last.
    A bound for clearing that is not given keeps its distance to the one for raising."""
    rules = dict(DEFAULT_RULES)
    for section in sections:
        if section.only and symbol not in section.only:
            continue
        given = section.model_dump(exclude_none=True)
        changes = {name: given[name] for name in Rule._fields if name in given}
        changes |= {
            f"{name}_ms": round(given[f"{name}_s"] * 1000) for name in ("hold", "after") if f"{name}_s" in given
        }
        rule = rules[section.alert]
        for name in ("z", "percentile", "share"):
            clear = f"clear_{name}"
            if name in changes and clear not in changes:
                distance = getattr(rule, name) - getattr(rule, clear)
                moved = changes[name] - distance
                changes[clear] = min(1.0, moved) if name == "share" else max(0.0, moved)
        rules[section.alert] = rule._replace(**changes)
    return rules


class Alerts(Stateful):
    """Which alerts stand. ``_raised``: alert -> what it was raised for (its regime for ``crowding``, else "").

    ``_days``: [UTC day, live ticks in it, {alert: times it was raised}]: how often an alert comes is said with it.
    ``_run``: the direction that lasts and the largest size of its score.
    """

    STATE = ("_days", "_held", "_no_data_since", "_raised", "_run", "_spiked")
    LATER = frozenset({"_days", "_held", "_run"})
    __slots__ = (*STATE, "_rules", "_symbol")

    def __init__(self, symbol: str, rules: Mapping[str, Rule] = DEFAULT_RULES) -> None:
        self._symbol = symbol
        self._rules = rules
        self._held: dict[str, int] = {}  # alert (crowding: its side) with a minimum hold -> it holds since
        self._raised: dict[str, str] = {}
        self._spiked: int | None = None  # when elr_spike was last raised
        self._no_data_since: int | None = None
        self._days: Days = []
        self._run: tuple[str | None, float] = (None, 0.0)

    def update(self, now: Situation) -> list[dict[str, Any]]:
        """The alerts raised or cleared at this tick, in fixed order. Not called for back-filled ticks."""
        out: list[dict[str, Any]] = []
        self._watch(now)
        self._no_data(now, out)
        if now.status in ("no_data", "warming"):
            self._held = {alert: since for alert, since in self._held.items() if alert == "no_data"}
            return out  # what cannot be known is neither raised nor cleared
        self._spike(now, out)
        self._flush(now, out)
        self._reset(now, out)
        self._crowding(now, out)
        self._conflict(now, out)
        if now.transition is not None and now.transition["to"] != "neutral" and not self._rules["transition"].mute:
            text = f"direction {now.transition['from']} -> {now.transition['to']}"
            values = {"score": now.score, "confidence": now.confidence}
            out.append(self._body(now, "transition", "raised", text, now.transition | values))
        self._fading(now, out)
        self._divergence(now, out)
        return out

    @property
    def spike(self) -> dict[str, int] | None:
        """The ``spike`` of the message: since when elr_spike stands; None while it does not."""
        return {"since": self._spiked} if "elr_spike" in self._raised and self._spiked is not None else None

    def _watch(self, now: Situation) -> None:
        """Count the tick for its day; follow the direction's run."""
        self._days = count_tick(self._days, now.readings.ts)
        side, size = now.direction, 0.0 if now.score is None else abs(now.score)
        self._run = (side, max(self._run[1], size) if side == self._run[0] else size)

    def load(self, plain: Plain) -> None:
        super().load(plain)
        self._days = [(day, ticks, counts) for day, ticks, counts in self._days]
        self._run = (self._run[0], self._run[1])

    def reanchor(self, shift_ms: int) -> None:
        """Days are shifted whole."""
        days = round(shift_ms / DAY_MS)
        self._days = [(day + days, ticks, counts) for day, ticks, counts in self._days]
        if self._spiked is not None:
            self._spiked += shift_ms
        if self._no_data_since is not None:
            self._no_data_since += shift_ms
        self._held = {alert: since + shift_ms for alert, since in self._held.items()}

    def pause(self) -> None:
        """A back-filled tick: time without data in the past is not time without data now."""
        self._no_data_since = None
        self._held.clear()

    def _no_data(self, now: Situation, out: list[dict[str, Any]]) -> None:
        ts, sample = now.readings.ts, now.readings.consensus
        if now.status != "no_data":
            self._no_data_since = None
            self._set(now, out, "no_data", False, "enough fresh venues again", {})
            return
        if self._no_data_since is None:
            self._no_data_since = ts
        if ts - self._no_data_since >= self._rules["no_data"].after_ms:
            fresh = sum(view.fresh for view in sample.venues)  # integers
            values = {"venues_fresh": fresh, "venues_total": sample.venues_total}
            self._set(now, out, "no_data", True, "fewer fresh venues than the quorum: stand aside", values)

    def _spike(self, now: Situation, out: list[dict[str, Any]]) -> None:
        z, percentile, ts = now.readings.elr.z, now.readings.elr.percentile, now.readings.ts
        if z is None or percentile is None:
            self._held.pop("elr_spike", None)
            return
        rule = self._rules["elr_spike"]
        own = not rule.judged(DEFAULT_RULES["elr_spike"])
        followed = EventRecord() if own else now.events.get("elr_spike", EventRecord())
        values: dict[str, Any] = {"z": z, "percentile": percentile, **_told(followed)}
        values["provisional"] = provisional(now.readings.elr)
        due = self._spiked is None or ts - self._spiked >= SPIKE_EVERY_MS
        due = due and now.readings.elr.reaches(SPIKE_LEAST_H)
        stood = "elr_spike" in self._raised
        stands = spike_stands(z, percentile, stood, due, rule)
        if not stood:
            stands = self._holds(now, "elr_spike", stands, "elr_spike")
        if stands and not stood:
            self._spiked = ts
        text = "leverage is no longer unusual"
        if stands:
            text = (
                f"leverage is unusually high{_memory(now.readings.elr)}; it is not a direction; "
                f"{OWN_RULE if own else _followed(followed)}"
            )
        self._set(now, out, "elr_spike", stands, text, values)

    def _reset(self, now: Situation, out: list[dict[str, Any]]) -> None:
        stands = now.regime == "reset"
        text = "the reset is over"
        if stands:
            text = (
                "the flush is over: a reset until half of the fall is regained, or for three days; "
                "it is not shown to be a cleaner entry"
            )
        self._set(now, out, "reset", stands, text, {"regime": now.regime})

    def _fading(self, now: Situation, out: list[dict[str, Any]]) -> None:
        side, largest = self._run
        size = 0.0 if now.score is None else abs(now.score)
        values = {"direction": now.direction, "score": now.score, "largest": largest}
        rule = self._rules["fading"]
        if side not in ("long", "short") or size >= rule.clear_share * largest:
            self._set(now, out, "fading", False, "the score no longer fades", values)
        elif now.momentum == "decelerating" and size <= rule.share * largest:
            text = f"the {side} score fades: {size:.2f}, from {largest:.2f} at most since it is {side}"
            self._set(now, out, "fading", True, text, values)
        else:
            self._held.pop("fading", None)

    def _crowding(self, now: Situation, out: list[dict[str, Any]]) -> None:
        regime = now.regime if now.regime in ("crowded_longs", "crowded_shorts") else None
        stood = self._raised.get("crowding")
        for side in ("crowded_longs", "crowded_shorts"):
            if side != regime:
                self._held.pop(side, None)  # one side that was crowded before the other is a break
        if stood == regime:
            return
        own = not self._rules["crowding"].judged(DEFAULT_RULES["crowding"])
        followed = EventRecord() if own else now.events.get(regime or "", EventRecord())
        values: dict[str, Any] = {
            "regime": now.regime,
            "funding_z": now.readings.funding.z,
            "percentile": now.readings.elr.percentile,
            **_told(followed),
            "provisional": provisional(now.readings.elr),
        }
        if stood is not None:
            self._set(now, out, "crowding", False, f"no longer {_words(stood)}", values)
        if regime is not None:
            self._set(
                now,
                out,
                "crowding",
                True,
                f"{_words(regime)}{_memory(now.readings.elr)}; {OWN_RULE if own else _followed(followed)}",
                values,
                regime,
            )

    def _conflict(self, now: Situation, out: list[dict[str, Any]]) -> None:
        since = now.conflict_since
        values: dict[str, Any] = {"windows": list(now.conflict_windows)}
        if since is None:
            self._set(now, out, "conflict", False, "the windows no longer disagree", values)
        elif now.readings.ts - since >= self._rules["conflict"].after_ms:
            self._set(now, out, "conflict", True, f"the windows have disagreed for {self._minutes()}", values)

    def _divergence(self, now: Situation, out: list[dict[str, Any]]) -> None:
        z = now.readings.spread.z
        if z is None:
            self._held.pop("venue_divergence", None)
            return
        values = {"z": z, "spread": now.readings.consensus.funding_spread}
        rule = self._rules["venue_divergence"]
        if z >= rule.z:
            self._set(now, out, "venue_divergence", True, "funding differs unusually between venues", values)
        elif z < rule.clear_z:
            self._set(now, out, "venue_divergence", False, "funding of the venues is close again", values)
        else:
            self._held.pop("venue_divergence", None)

    def _flush(self, now: Situation, out: list[dict[str, Any]]) -> None:
        text = FLUSH_TEXTS[now.flush_falling] if now.flushing else "the flush is over"
        values: dict[str, Any] = {
            f"oi_change_{w.name}": w.oi_change for w in now.readings.windows if w.name in ("5m", "1h")
        }
        values["forced"] = now.forced
        values["falling"] = now.flush_falling
        self._set(now, out, "flush", now.flushing, text, values)

    def _set(
        self,
        now: Situation,
        out: list[dict[str, Any]],
        alert: str,
        raised: bool,
        text: str,
        values: dict[str, Any],
        about: str = "",
    ) -> None:
        """Let ``alert`` stand or not; says so only when that is news."""
        stood = alert in self._raised
        if not stood and alert != "elr_spike":  # which has been held already
            raised = self._holds(now, alert, raised, about or alert)
        if raised == stood:
            return
        if raised:
            self._raised[alert] = about
        else:
            del self._raised[alert]
        if self._rules[alert].mute:
            return
        out.append(self._body(now, alert, "raised" if raised else "cleared", text, values))

    def _holds(self, now: Situation, alert: str, condition: bool, what: str) -> bool:
        return has_held(self._held, what, condition, now.readings.ts, self._rules[alert])

    def _minutes(self) -> str:
        after_ms = self._rules["conflict"].after_ms
        return "five minutes" if after_ms == CONFLICT_AFTER_MS else f"{after_ms / 60_000:.1f} minutes"

    def _body(self, now: Situation, alert: str, state: str, text: str, values: dict[str, Any]) -> dict[str, Any]:
        ts, rule = now.readings.ts, self._rules[alert]
        return alert_body(self._symbol, ts, alert, state, text, values, self._days, rule)


def has_held(held: dict[str, int], what: str, condition: bool, ts: int, rule: Rule) -> bool:
    """Whether the condition of an alert that does not stand has held for the minimum of its ``rule``. ``held``: since
    when those hold that have a minimum; kept here, for ``what``."""
    if not condition:
        held.pop(what, None)
        return False
    if rule.hold_ms == 0:
        return True
    long_enough = ts - held.setdefault(what, ts) >= rule.hold_ms
    if long_enough:
        del held[what]
    return long_enough


def alert_body(
    symbol: str, ts: int, alert: str, state: str, text: str, values: dict[str, Any], days: Days, rule: Rule
) -> dict[str, Any]:
    """What is published of an alert. One that is raised is counted in ``days``; it says how often earlier ones came."""
    if state == "raised":
        often = per_day(days, alert)
        if alert in EVENTS and often is not None:
            text += f"; there are {often:.1f} of these a day"
        text = with_advice(alert, text)
        values = {**values, "per_day": often}
        if not rule.judged(DEFAULT_RULES[alert]):
            values["own_rule"] = True  # what the scoreboard judges is the default
        counts = days[-1][2]
        counts[alert] = counts.get(alert, 0) + 1
    return {
        "symbol": symbol,
        "ts": ts,
        "alert": alert,
        "state": state,
        "severity": SEVERITIES[alert],
        "text": f"{symbol}: {text}",
        "values": values,
        "lasts": alert not in EVENTS,
    }


def spike_stands(z: float, percentile: float, stood: bool, due: bool, rule: Rule = DEFAULT_RULES["elr_spike"]) -> bool:
    """Whether elr_spike stands now. ``due``: it may be raised: six hours are over since it last was, and the percentile
    has three days behind it. The back-test asks it too."""
    if z < rule.clear_z or percentile < rule.clear_percentile:
        return False
    return stood or (due and z >= rule.z and percentile >= rule.percentile)


def _memory(level: LevelReading) -> str:
    """In an alert that rests on a young rank, how young it is."""
    return f" (provisional: judged against {level.horizon_h / 24:.1f} days)" if provisional(level) else ""


def _told(record: EventRecord) -> dict[str, Any]:
    """What the record says of alerts of the kind, for those who count themselves (docs/alerts.md)."""
    return {"followed_n": record.n, "followed_share": record.share, "followed_lift": record.lift}


def _followed(record: EventRecord) -> str:
    """What became of earlier ones, in words no larger than the record: the claim is made only where it holds."""
    if record.share is None or record.lift is None or record.low is None:
        return "whether deep falls of open interest follow is not shown yet"
    if record.low <= 1.0:
        return "deep falls of open interest are not shown to follow more often than at the same volatility"
    claim = f"of {record.n} so far {record.share:.0%} were followed by a fall of open interest of 5 % within a day"
    if record.lift < CLEAR_LIFT:
        return f"{claim}, hardly more than at the same volatility"
    return f"{claim}, {record.lift:.1f} times as many as at the same volatility"


def _words(regime: str) -> str:
    return regime.replace("_", " ")
