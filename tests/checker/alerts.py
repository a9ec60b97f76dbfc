"""The alerts of docs/signal.md section 7, one symbol. Only which alert is raised or cleared when; not its text."""

from __future__ import annotations

from typing import Any

from .history import DAY, HOUR, Level
from .leverage import provisional
from .numbers import slack_of

CONFLICT_MS = 5 * 60_000
NO_DATA_MS = 30_000
SPIKE_PAUSE_MS = 6 * HOUR
DAY_TICKS = 8_640
EVENTS = ("transition",)  # of one tick: they do not last
RESTS_ON_THE_RANK = ("elr_spike", "crowding", "market_loaded")


class Often:
    """How often each alert was raised a day, over the running UTC day and the seven before it."""

    def __init__(self) -> None:
        self.ticks: list[int] = []
        self.raised: list[tuple[int, str]] = []

    def tick(self, ts: int) -> None:
        """A live tick, whatever the status at it."""
        self.ticks.append(ts)

    def per_day(self, ts: int, alert: str) -> float | None:
        """Of an alert that is raised at ``ts``: of the raises before it."""
        first = ts - ts % DAY - 7 * DAY
        ticks = len([at for at in self.ticks if at >= first])
        if ticks < DAY_TICKS:
            return None
        return len([at for at, name in self.raised if name == alert and first <= at < ts]) * DAY_TICKS / ticks


def told(symbol: str, ts: int, alert: str, state: str, often: Often, level: Level) -> dict[str, Any]:
    """What is compared of an alert. ``level``: the rank that some of them rest on."""
    made: dict[str, Any] = {"symbol": symbol, "ts": ts, "alert": alert, "state": state, "lasts": alert not in EVENTS}
    if state == "raised":
        made["per_day"] = often.per_day(ts, alert)
        often.raised.append((ts, alert))
    if alert in RESTS_ON_THE_RANK:
        made["provisional"] = provisional(level)
    return made


class Alerts:
    """``raised``: the alerts that are up."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.raised: list[str] = []
        self.often = Often()
        self.conflict_since: int | None = None
        self.no_data_since: int | None = None
        self.last_spike: int | None = None
        self.ran: str | None = None  # the direction of the last tick
        self.largest = 0.0  # abs(score) since it began
        self.crowd: str | None = None  # the regime for which crowding is up
        self.undecided: list[int] = []  # ticks at which a spike depends on how the percentile was binned

    @property
    def spike(self) -> dict[str, int] | None:
        """Since when an elr_spike is up."""
        if "elr_spike" not in self.raised or self.last_spike is None:
            return None
        return {"since": self.last_spike}

    def of(
        self,
        ts: int,
        status: str,
        levels: dict[str, Level],
        flushing: bool,
        regime: str | None,
        conflict: bool,
        transition: dict[str, str] | None,
        emit: bool,
        flush_values: dict[str, Any] | None = None,
        direction: str | None = None,
        score: float | None = None,
        momentum: str = "steady",
    ) -> list[dict[str, Any]]:
        self.conflict_since = _since(self.conflict_since, conflict, ts)
        # The 30 s are of live ticks: a service that has just started is still waiting for its venues.
        self.no_data_since = _since(self.no_data_since, status == "no_data" and emit, ts)
        if not emit:
            return []
        self.often.tick(ts)
        made: list[dict[str, Any]] = []
        size = abs(score) if score is not None else 0.0
        self.largest = max(self.largest, size) if direction == self.ran else size
        self.ran = direction

        def say(alert: str, state: str) -> None:
            made.append(told(self.symbol, ts, alert, state, self.often, levels["elr"]))

        def follow(alert: str, up: bool, down: bool) -> None:
            if up and alert not in self.raised:
                self.raised.append(alert)
                say(alert, "raised")
            elif down and alert in self.raised:
                self.raised.remove(alert)
                say(alert, "cleared")

        if status not in ("no_data", "warming"):
            z, percentile = levels["elr"].z, levels["elr"].percentile
            known = z is not None and percentile is not None
            if z is not None and percentile is not None and self._undecided(z, percentile):
                self.undecided.append(ts)
            spike = z is not None and percentile is not None and z >= 3 and percentile >= 0.95
            spike = spike and levels["elr"].horizon_h >= 72 and levels["elr"].n >= 72 * 30
            paused = self.last_spike is not None and ts - self.last_spike < SPIKE_PAUSE_MS
            if spike and not paused and "elr_spike" not in self.raised:
                self.last_spike = ts
                follow("elr_spike", True, False)
            elif known and z is not None and percentile is not None:
                follow("elr_spike", False, z < 2 or percentile < 0.90)
            follow("flush", flushing, not flushing)
            if flush_values is not None and made and made[-1]["alert"] == "flush":
                made[-1] |= flush_values
            follow("reset", regime == "reset", regime != "reset")
            crowded = regime in ("crowded_longs", "crowded_shorts")
            if crowded and self.crowd is not None and self.crowd != regime:
                follow("crowding", False, True)  # the other side is a new alert
            self.crowd = regime if crowded else None
            follow("crowding", crowded, not crowded)
            lasting = self.conflict_since is not None and ts - self.conflict_since >= CONFLICT_MS
            follow("conflict", lasting, not conflict)
            if transition is not None and transition["to"] != "neutral":
                say("transition", "raised")
            sided = direction in ("long", "short")
            fades = sided and momentum == "decelerating" and size <= 0.75 * self.largest
            follow("fading", fades, not sided or size >= 0.90 * self.largest)
            spread_z = levels["spread"].z
            if spread_z is not None:
                follow("venue_divergence", spread_z >= 3, spread_z < 2)
        lasting = self.no_data_since is not None and ts - self.no_data_since >= NO_DATA_MS
        follow("no_data", lasting, status != "no_data")
        return made

    def _undecided(self, z: float, percentile: float) -> bool:
        """Whether the slack of the percentile reaches over a threshold that decides something now."""
        low, high = percentile - slack_of(percentile), percentile + slack_of(percentile)
        if "elr_spike" in self.raised:
            return z >= 2 and low < 0.90 <= high
        return z >= 3 and low < 0.95 <= high


def _since(since: int | None, on: bool, ts: int) -> int | None:
    if not on:
        return None
    return ts if since is None else since
