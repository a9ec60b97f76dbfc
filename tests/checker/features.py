"""What happened in a run, as short words: a scenario that was to show something must have shown it."""

from __future__ import annotations

from typing import Any

from .recompute import Checker


class Features:
    """Collects words from expected bodies and alerts."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}

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
            self.note(f"stop:{body['sizing']['stop_multiplier']}")
            for window in body["windows"].values():
                for component in window["components"]:
                    if component["score"] is not None:
                        self.note(component["id"])
            for entry in body["elr"]:
                self.note(f"{entry['variant']}:{entry['reason']}")
                if entry["stale"]:
                    self.note("stale_denominator")
            if body["confidence_factors"]["continuity"] < 1:
                self.note("discontinuous")
        for alert in alerts:
            self.note(f"alert:{alert['alert']}:{alert['state']}")

    def market(self, checker: Checker) -> None:
        for code, count in checker.market.codes.items():
            self.seen[code] = self.seen.get(code, 0) + count
