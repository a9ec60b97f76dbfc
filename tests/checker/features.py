"""What happened in a run, as short words: a scenario that was to show something must have shown it."""

from __future__ import annotations

from typing import Any

from .history import MINUTE, WINDOWS
from .recompute import Checker


class Features:
    """Collects words from expected bodies and alerts."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}
        self._pausing: dict[str, int] = {}  # by symbol: `since` of a flush that did not fire at the last tick

    def note(self, word: str) -> None:
        self.seen[word] = self.seen.get(word, 0) + 1

    def tick(self, bodies: dict[str, dict[str, Any]], alerts: list[dict[str, Any]]) -> None:
        for symbol, body in bodies.items():
            self.note(f"status:{body['status']}")
            self.note(f"regime:{body['regime']}")
            self.note(f"direction:{body['direction']}")
            self.note(f"momentum:{body['momentum']}")
            for reason in body["reasons"]:
                self.note(reason)
                self.note(f"{symbol}/{reason}")
            for name in ("tradeable", "conflict"):
                if body[name]:
                    self.note(name)
            if body["transition"] is not None:
                self.note("transition")
            if body["p_hit"] != 0.5:
                self.note("p_hit")
            if body["sizing"]["size_fraction"] > 0:
                self.note("sized")
            self.days(body)
            self.note(f"stop:{body['sizing']['stop_multiplier']}")
            if body["flush"] is not None:
                self.note(f"forced:{body['flush']['forced']}")
            if body["long_short"]:
                self.note("long_short")
            for name, window in body["windows"].items():
                if window["ready"] and window["backfilled"]:
                    self.note(f"backfilled:{name}")
                if window["taker"] is not None:
                    self.note("taker")
                for component in window["components"]:
                    if component["score"] is not None:
                        self.note(component["id"])
            for entry in body["elr"]:
                self.note(f"{entry['variant']}:{entry['reason']}")
                if entry["base_changed"]:
                    self.note(f"{symbol}/{entry['variant']}:changed")
                for name, value in (entry["ma"] or {}).items():
                    if value is not None:
                        self.note(f"ma:{name}")
                if entry["stale"]:
                    self.note("stale_denominator")
            if body["confidence_factors"]["continuity"] < 1:
                self.note("discontinuous")
        for alert in alerts:
            self.note(f"alert:{alert['alert']}:{alert['state']}")

    def days(self, body: dict[str, Any]) -> None:
        """The volatility of a day; whether the probabilities are of this tick, of one before in its minute, or null."""
        self.note("no_volatility_24h" if body["volatility_24h"] is None else "volatility_24h")
        if body["fragility_2"] is not None:
            self.note("fragility_2")
        said = body["p_deleveraging"]
        if said["reason"] is not None:
            self.note(f"p:{said['reason']}")
        elif said["as_of"] < body["ts"]:
            self.note("p:kept")
        else:
            self.note("p:anew" if said["as_of"] % MINUTE == 0 else "p:anew_within")

    def windows(self, checker: Checker, ts: int, bodies: dict[str, dict[str, Any]]) -> None:
        """Which ready windows begin between two samples."""
        for symbol, history in checker.histories.items():
            for name, seconds in WINDOWS:
                if bodies[symbol]["windows"][name]["ready"] and history.ends(ts, seconds) is None:
                    self.note(f"interpolated:{name}")

    def flushes(self, checker: Checker, bodies: dict[str, dict[str, Any]]) -> None:
        """What fires; a pause, and whether the same flush fires again; falling by the hour where 5 minutes are not
        known; and how a flush ends.
        """
        for symbol, body in bodies.items():
            said, causes, now = body["flush"], checker.verdicts[symbol].flush.causes, body["flush_falling"]
            pausing = self._pausing.pop(symbol, None)
            self.note(f"falling:{now}")
            self.note(f"flushed_1h:{body['flushed_1h']}")
            self.note(f"fires:{'+'.join(causes)}")
            if now and body["windows"]["5m"]["oi_change"] is None:
                self.note("falling:by_the_hour")
            if said is None:
                if pausing is not None:
                    self.note(f"flush_ends:{body['status']}")
                continue
            if body["flushed_1h"] is False:
                self.note("flush_older_than_its_fall")
            if causes and pausing is not None:
                self.note("fires_again" if pausing == said["since"] else "another_flush")
            elif not causes:
                self.note("pause:no_quorum" if body["status"] == "no_data" else "pause")
                self._pausing[symbol] = said["since"]

    def market(self, checker: Checker) -> None:
        """What the market stage of the checker met with, and rates that were clipped to a fraction."""
        for code, count in checker.market.codes.items():
            self.seen[code] = self.seen.get(code, 0) + count
        for symbol, history in checker.histories.items():
            for sample in history.quorum:
                said, used = sample.rates, sample.rates_used
                if any(abs(said[venue]) > 4 * abs(used[venue]) for venue in said):
                    self.note(f"{symbol}/clipped")
